;; Two compartments and a depot
$PROBLEM Two compartments and a depot
$INPUT ID TIME EVID AMT CMT II ADDL MDV DV GRID=DROP
$DATA data101.csv IGNORE=@
$SUBROUTINES ADVAN=ADVAN4 TRANS=TRANS4
$PK
  CL = THETA(1)*EXP(ETA(1))
  V2 = THETA(2)*EXP(ETA(2))
  KA = THETA(3)*EXP(ETA(3))
  V3 = THETA(4)*EXP(ETA(4))
  Q  = THETA(5)
  S2 = V2
$ERROR
  IPRED = F
  W = IPRED
  IF (IPRED.EQ.0) W = 1   ; a prediction of nothing has a unit of error
  Y = IPRED + W*EPS(1)
$THETA
  4 FIX    ; clearance
  70 FIX   ; volume
  1 FIX    ; absorption rate
  50 FIX ; peripheral volume
  4 FIX ; exchange
$OMEGA DIAGONAL(4) 0.2 FIX 0.2 FIX 0.2 FIX 0.2 FIX
$SIGMA 0.05 FIX
$ESTIMATION METHOD=CONDITIONAL INTERACTION MAXEVAL=0
$TABLE ID TIME IPRED CL NOPRINT FILE=out.tab
