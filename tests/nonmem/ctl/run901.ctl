;; Carboplatin, infusion, volume by body surface
$PROBLEM Carboplatin, infusion, volume by body surface
$INPUT ID TIME EVID AMT CMT RATE MDV DV BSA GRID=DROP
$DATA data901.csv IGNORE=@
$SUBROUTINES ADVAN3 TRANS4
$PK
  CL = THETA(1)*EXP(ETA(1))
  V1 = THETA(2)*BSA*EXP(ETA(2))
  V2 = THETA(3)*EXP(ETA(3))
  Q  = THETA(4)
  S1 = V1
$ERROR
  IPRED = F
  W = IPRED
  IF (IPRED.EQ.0) W = 1   ; a prediction of nothing has a unit of error
  Y = IPRED + W*EPS(1)
$THETA
  6.38 FIX ; clearance
  9.5 FIX  ; central volume at 1 m2
  9.56 FIX ; peripheral volume
  2.7 FIX  ; exchange
$OMEGA 0.105 FIX 0.0378 FIX 0.026 FIX
$SIGMA 0.0381 FIX
$ESTIMATION METHOD=1 INTER
