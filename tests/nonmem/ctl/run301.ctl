;; Weight and sex change the clearance
$PROBLEM Weight and sex change the clearance
$INPUT ID TIME EVID AMT CMT II ADDL MDV DV BW SEX GRID=DROP
$DATA data301.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
  IF (SEX.EQ.1) THEN
    FSEX = 0.75
  ELSE
    FSEX = 1
  ENDIF
  TVCL = THETA(1)*(BW/75)**1.5*FSEX
  CL = TVCL*EXP(ETA(1))
  V  = THETA(2)*EXP(ETA(2))
  KA = THETA(3)*EXP(ETA(3))
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
$OMEGA 0.2 FIX 0.2 FIX 0.2 FIX
$SIGMA 0.05 FIX
$ESTIMATION METHOD=CONDITIONAL INTERACTION MAXEVAL=0
$TABLE ID TIME IPRED CL NOPRINT FILE=out.tab
