;; Methotrexate, infusion, clearance changes with the cycle
$PROBLEM Methotrexate, infusion, clearance changes with the cycle
$INPUT ID TIME EVID AMT CMT RATE MDV DV AGE SCR CYCLE GRID=DROP
$DATA data951.csv IGNORE=@
$SUBROUTINES ADVAN3 TRANS4
$PK
  IOV = 0
  IF (CYCLE.EQ.1) IOV = ETA(5)
  IF (CYCLE.EQ.2) IOV = ETA(6)
  CL = THETA(1)*(AGE/62)**(-0.22)*(SCR/67)**(-0.43)*EXP(ETA(1) + IOV)
  V1 = THETA(2)*EXP(ETA(2))
  Q  = THETA(3)*EXP(ETA(3))
  V2 = THETA(4)*EXP(ETA(4))
  S1 = V1/2.2   ; 2.2 nmol are 1 ug
$ERROR
  IPRED = F
  Y = IPRED*(1 + EPS(1)) + EPS(2)
$THETA
  7.1 FIX  ; clearance
  25.1 FIX ; central volume
  0.15 FIX ; exchange
  2.7 FIX  ; peripheral volume
$OMEGA BLOCK(2) FIX
  0.266256
  0.002401 0.233289
$OMEGA BLOCK(2) FIX
  0.430336
  0.084164 0.4096
$OMEGA BLOCK(1) FIX 0.027225   ; clearance, from cycle to cycle
$OMEGA BLOCK(1) SAME
$SIGMA 0.2116 FIX 225 FIX
$ESTIMATION METHOD=1 INTER
