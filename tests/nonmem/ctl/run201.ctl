;; Saturable elimination
$PROBLEM Saturable elimination
$INPUT ID TIME EVID AMT CMT II ADDL MDV DV GRID=DROP
$DATA data201.csv IGNORE=@
$SUBROUTINES ADVAN13 TOL=9
$MODEL COMP=(DEPOT,DEFDOSE) COMP=(CENTRAL,DEFOBS)
$PK
  VM = THETA(1)*EXP(ETA(1))
  V  = THETA(2)*EXP(ETA(2))
  KA = THETA(3)*EXP(ETA(3))
  KM = THETA(4)*EXP(ETA(4))
  S2 = V
$DES
  CONC = A(2)/V
  DADT(1) = -KA*A(1)
  DADT(2) = KA*A(1) - VM*CONC/(KM + CONC)
$ERROR
  IPRED = F
  W = IPRED
  IF (IPRED.EQ.0) W = 1   ; a prediction of nothing has a unit of error
  Y = IPRED + W*EPS(1)
$THETA
  1E4 FIX  ; largest rate of elimination
  70 FIX   ; volume
  1 FIX    ; absorption rate
  2500 FIX ; concentration of half of it
$OMEGA 0.2 FIX 0.2 FIX 0.2 FIX 0.2 FIX
$SIGMA 0.05 FIX
$ESTIMATION METHOD=CONDITIONAL INTERACTION MAXEVAL=0
$TABLE ID TIME IPRED CL NOPRINT FILE=out.tab
