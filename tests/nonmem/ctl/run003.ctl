;; Dose into a depot after a lag
$PROBLEM Dose into a depot after a lag
$INPUT ID TIME EVID AMT CMT II ADDL MDV DV GRID=DROP
$DATA data003.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
  ; people differ by a factor
  TVCL = THETA(1)
  TVV  = THETA(2)
  TVKA = THETA(3)
  CL = TVCL*EXP(ETA(1))
  V  = TVV*EXP(ETA(2))
  KA = TVKA*EXP(ETA(3))
  ALAG1 = THETA(4)*EXP(ETA(4))
  S2 = V
$ERROR
  IPRED = F
  W = IPRED
  IF (IPRED.EQ.0) W = 1   ; a prediction of nothing has a unit of error
  Y = IPRED + W*EPS(1)
$THETA
  4 FIX    ; clearance
  70 FIX   ; volume
  1 FIX    ; absorption rate
  1.0 FIX  ; lag
$OMEGA 0.2 FIX 0.2 FIX 0.2 FIX 0.2 FIX
$SIGMA 0.05 FIX
$ESTIMATION METHOD=CONDITIONAL INTERACTION MAXEVAL=0
$TABLE ID TIME IPRED CL NOPRINT FILE=out.tab
