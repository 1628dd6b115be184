;; Bioavailability between 0 and 1
$PROBLEM Bioavailability between 0 and 1
$INPUT ID TIME EVID AMT CMT II ADDL MDV DV GRID=DROP
$DATA data008.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
  ; people differ by a factor
  TVCL = THETA(1)
  TVV  = THETA(2)
  TVKA = THETA(3)
  CL = TVCL*EXP(ETA(1))
  V  = TVV*EXP(ETA(2))
  KA = TVKA*EXP(ETA(3))
  LGT = LOG(THETA(4)/(1 - THETA(4))) + ETA(4)
  F1 = EXP(LGT)/(1 + EXP(LGT))
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
  5.D-1 FIX ; bioavailability
$OMEGA 0.2 FIX 0.2 FIX 0.2 FIX 0.2 FIX
$SIGMA 0.05 FIX
$ESTIMATION METHOD=CONDITIONAL INTERACTION MAXEVAL=0
$TABLE ID TIME IPRED CL NOPRINT FILE=out.tab
