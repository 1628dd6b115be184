;; The logarithm of the concentration is measured
$PROBLEM The logarithm of the concentration is measured
$INPUT ID TIME EVID AMT CMT II ADDL MDV ODV=DROP DV=LDV GRID=DROP
$DATA data407.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
  ; people differ by a factor
  TVCL = THETA(1)
  TVV  = THETA(2)
  TVKA = THETA(3)
  CL = TVCL*EXP(ETA(1))
  V  = TVV*EXP(ETA(2))
  KA = TVKA*EXP(ETA(3))
  S2 = V
$ERROR
  IPRED = -9
  IF (F.GT.0) IPRED = LOG(F)
  Y = IPRED + EPS(1)
$THETA
  4 FIX    ; clearance
  70 FIX   ; volume
  1 FIX    ; absorption rate
$OMEGA 0.2 FIX 0.2 FIX 0.2 FIX
$SIGMA 0.05 FIX
$ESTIMATION METHOD=CONDITIONAL INTERACTION MAXEVAL=0
$TABLE ID TIME IPRED CL NOPRINT FILE=out.tab
