/* Compared with: formulas and tables worked out by hand from small control streams; one wrong stream for
 * every refusal. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "format/format.h"
#include "format/nmtran_control.h"

extern const dpi_format_ops dp_format_nmtran;
static dp_ctx *ctx;
static dpi_arena arena;

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  if (dp_ctx_create(&def, &ctx) != DP_OK) return -1;
  dpi_arena_init(&arena, ctx);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  dpi_arena_release(&arena);
  size_t live = dpi_alloc_live(ctx);
  dp_ctx_destroy(ctx);
  return live == 0 ? 0 : -1;
}

/* ---- streams made of parts ---- */

typedef struct parts {
  const char *input, *subs, *pk, *error, *values, *more;
} parts;

static char stream[8192];

/* Line 1 $PROBLEM, 2 $INPUT, 3 $DATA, 4 $SUBROUTINES; what a part leaves out is this one. */
static const char *make(parts p) {
  snprintf(stream, sizeof stream, "$PROBLEM a test\n$INPUT %s\n$DATA d.csv IGNORE=@\n%s\n%s$PK\n%s\n$ERROR\n%s\n%s\n",
           p.input ? p.input : "ID TIME AMT DV", p.subs ? p.subs : "$SUBROUTINES ADVAN1 TRANS2", p.more ? p.more : "",
           p.pk ? p.pk : "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)\nS1=V", p.error ? p.error : "Y=F*(1+EPS(1))",
           p.values ? p.values : "$THETA (0,4) (0,70)\n$OMEGA 0.1\n$SIGMA 0.04");
  return stream;
}

static dp_status translate(const char *text, dpi_nmtran_kind *k) {
  return dpi_nmtran_control(ctx, &arena, text, strlen(text), "m.ctl", k);
}

/* The file of the kind holds this text. */
static void holds(const char *text, const char *file, const char *want) {
  dpi_nmtran_kind k;
  if (translate(text, &k) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  const char *found = dpi_nmtran_text(&k, file);
  if (!found || !strstr(found, want))
    fail_msg("%s: expected '%s' in\n%s", file, want, found ? found : "(no such file)");
}

static void lacks(const char *text, const char *file, const char *unwanted) {
  dpi_nmtran_kind k;
  if (translate(text, &k) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  const char *found = dpi_nmtran_text(&k, file);
  if (found && strstr(found, unwanted)) fail_msg("%s: did not expect '%s' in\n%s", file, unwanted, found);
}

/* A rule of the model for one assignment in $PK that CL uses. */
static void rule(const char *code, const char *want) {
  char pk[1000];
  snprintf(pk, sizeof pk, "%s\nCL=X*THETA(1)*EXP(ETA(1))\nV=THETA(2)*X\nS1=V", code);
  holds(make((parts){.input = "ID TIME AMT DV WT SEX", .pk = pk}), "model.ant", want);
}

/* ---- what is read ---- */

static void the_simple_one(void **state) {
  (void)state;
  const char *t = make((parts){0});
  holds(t, "model.ant", "central' = -CL/THETA2*central;");
  holds(t, "parameters.tsv", "THETA1\tlin\t0\t1000000\t4\t1\t1\t\n");
  holds(t, "parameters.tsv", "sd_EPS1\tlin\t0.0002\t200\t0.2\t1\t1\t\n");
  holds(t, "population.tsv", "CL\tTHETA1\tlognormal\tETA1\t\tperson\t0.1\t1\t1\t\n");
  holds(t, "observables.tsv", "y\tcentral/THETA2\tsd_EPS1*abs(central/THETA2)\tnormal\t1\t\t\t\n");
  holds(t, "controls.tsv", "dose_central\tcentral\t\t\t\t\t1\t1\t");
  holds(t, "twin.yaml", "columns: \"ID TIME AMT DV\"\n  ignore: '@'");
  lacks(t, "twin.yaml", "covariates");
}

static void expressions(void **state) {
  (void)state;
  rule("X=WT**2**3", "X := WT^(2^3);");
  rule("X=-WT**2+1.D1*.5", "X := -(WT^2) + 5;");
  rule("X=WT-(SEX-WT)/2/(WT*3)", "X := WT - (SEX - WT)/2/(WT*3);");
  rule("X=exp(log(WT)*SQRT(sex))", "X := exp(ln(WT)*sqrt(SEX));");
  rule("IF (SEX.EQ.1.AND.WT.GT.70) THEN\n X=1\nELSE IF (SEX==2) THEN\n X=2 + &\n 3*WT\nELSE\n X=4\nENDIF",
       "X := piecewise(1, SEX == 1 && WT > 70, piecewise(2 + 3*WT, SEX == 2, 4));");
  rule("X=1\nIF (.NOT.(WT/=5)) X=WT*X", "X := piecewise(WT, not(WT != 5), 1);");
  rule("IF (SEX.EQ.1) X=7 ; a comment", "X := piecewise(7, SEX == 1, nan);");
  rule("X=MOD(WT,3)+INT(WT)+MIN(WT,1,SEX)",
       "X := mod(WT, 3) + piecewise(ceil(WT), (WT) < 0, floor(WT)) + min(min(WT, 1), SEX);");
  rule("X=WT\nX=X+WT\nX=X*X", "X := (WT + WT)*(WT + WT);");
}

/* exp(MU + ETA), sums, logit, products with covariates, and what fits none. */
static void individual_parameters(void **state) {
  (void)state;
  static const struct {
    const char *cl, *row, *model;
  } cases[] = {
      {"MU_1=LOG(THETA(1))\nCL=EXP(MU_1+ETA(1))", "CL\tTHETA1\tlognormal\tETA1", "CL = 1;"},
      {"TVCL=THETA(1)*(WT/70)**0.75\nCL=TVCL*EXP(ETA(1))", "CL\tTHETA1\tlognormal\tETA1", "CL = 1;"},
      {"CL=THETA(1)+ETA(1)", "CL\tTHETA1\tnormal\tETA1", "CL = 1;"},
      {"CL=EXP(THETA(1)+ETA(1))", "R_ETA1\tone\tlognormal\tETA1", "CL := exp(THETA1)*R_ETA1;"},
      {"CL=(THETA(1)+WT)*EXP(ETA(1))", "R_ETA1\tone\tlognormal\tETA1", "CL := (THETA1 + WT)*R_ETA1;"},
      {"CL=THETA(1)*(1+ETA(1))", "P_ETA1\tzero\tnormal\tETA1", "CL := THETA1*(1 + P_ETA1);"},
      {"CL=THETA(1)*EXP(ETA(1)*WT)", "P_ETA1\tzero\tnormal\tETA1", "CL := THETA1*exp(P_ETA1*WT);"},
  };
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    char pk[300];
    snprintf(pk, sizeof pk, "%s\nV=THETA(2)\nS1=V", cases[i].cl);
    parts p = {.input = "ID TIME AMT DV WT", .pk = pk};
    holds(make(p), "population.tsv", cases[i].row);
    holds(make(p), "model.ant", cases[i].model);
  }
  parts p = {.input = "ID TIME AMT DV WT",
             .pk = "CL=THETA(1)*(WT/70)**THETA(3)*EXP(ETA(1))\nV=THETA(2)*WT\nS1=V",
             .values = "$THETA (0,4) (0,70) .75\n$OMEGA 0.1\n$SIGMA 0.04"};
  holds(make(p), "covariates.tsv", "WT\t1\tWT\t\t\tCL\t(WT/70)^THETA3\trefuse\tnocb\t");
  p = (parts){.pk = "LG=LOG(THETA(1)/(1-THETA(1)))+ETA(1)\nF1=EXP(LG)/(1+EXP(LG))\nCL=2\nV=THETA(2)\nS1=V",
              .values = "$THETA (0,.4,1) (0,70)\n$OMEGA 0.1\n$SIGMA 0.04"};
  holds(make(p), "population.tsv", "F1\tTHETA1\tlogitnormal\tETA1");
  holds(make(p), "controls.tsv", "dose_central\tcentral\tF1\t");
}

static void occasions(void **state) {
  (void)state;
  static const char values[] =
      "$THETA (0,4) (0,70)\n$OMEGA 0.1\n$OMEGA BLOCK(1) 0.02\n$OMEGA BLOCK(1) SAME(2)\n$SIGMA 0.04";
  static const char *const codes[] = {
      "IF (OCC.EQ.1) IOV=ETA(2)\nIF (OCC.EQ.2) IOV=ETA(3)\nIF (OCC.EQ.3) IOV=ETA(4)\nCL=THETA(1)*EXP(ETA(1)+IOV)",
      "O1=0\nO2=0\nO3=0\nIF (OCC.EQ.1) O1=1\nIF (OCC.EQ.2) O2=1\nIF (OCC.EQ.3) O3=1\n"
      "CL=THETA(1)*EXP(ETA(1))*EXP(O1*ETA(2)+O2*ETA(3)+O3*ETA(4))"};
  for (int i = 0; i < DPI_COUNT(codes); i++) {
    char pk[400];
    snprintf(pk, sizeof pk, "%s\nV=THETA(2)\nS1=V", codes[i]);
    parts p = {.input = "ID TIME AMT DV OCC", .pk = pk, .values = values};
    holds(make(p), "population.tsv", "CL\tTHETA1\tlognormal\tETA1\t\tperson\t0.1");
    holds(make(p), "population.tsv", "CL\tTHETA1\tlognormal\tETA2\t\toccasion\t0.02");
    lacks(make(p), "population.tsv", "ETA3");
    holds(make(p), "covariates.tsv", "OCC\t1\tOCC\t1\t3\t\t\trefuse\tnocb\t1");
  }
}

static void values(void **state) {
  (void)state;
  parts p = {.pk = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))\nS1=V",
             .values =
                 "$THETA (0,4,10) ; clearance (L/h)\n 7D1 FIX ;volume\n$OMEGA BLOCK(2) SD CORR\n.5\n.1 .2\n"
                 "$SIGMA (.2 SD FIX)"};
  holds(make(p), "parameters.tsv", "THETA1\tlin\t0\t10\t4\t1\t1\tclearance (L/h)\n");
  holds(make(p), "parameters.tsv", "THETA2\tlin\t\t\t70\t0\t1\tvolume\n");
  holds(make(p), "parameters.tsv", "sd_EPS1\tlin\t\t\t0.2\t0\t");
  holds(make(p), "population.tsv", "ETA1\t\tperson\t0.25\t1");
  char want[64], number[32];
  dpi_format_double(.1 * sqrt(.5 * .5 * (.2 * .2)), number);
  snprintf(want, sizeof want, "\t\t\tETA1\tETA2\t\t%s\t1", number);
  holds(make(p), "population.tsv", want);
  /* an effect of variance 0 is none; a THETA that nothing needs is left out and told */
  p = (parts){.pk = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))\nS1=V\nUNUSED=THETA(3)",
              .values = "$THETA (0,4)x2 5\n$OMEGA 0.1 0 FIX\n$SIGMA 0.04"};
  lacks(make(p), "population.tsv", "ETA2");
  lacks(make(p), "parameters.tsv", "THETA3");
  dpi_nmtran_kind k;
  assert_int_equal(translate(make(p), &k), DP_OK);
  assert_true(k.nnote == 1 && strstr(k.note[0], "THETA(3) changes no result"));
  assert_string_equal(k.data, "d.csv");
}

static void errors_and_observables(void **state) {
  (void)state;
  static const char two[] = "$THETA (0,4) (0,70)\n$OMEGA 0.1\n$SIGMA 0.04 4";
  holds(make((parts){.error = "Y=F+F*EPS(1)+EPS(2)", .values = two}), "observables.tsv",
        "\tsqrt((sd_EPS1*(central/THETA2))^2 + sd_EPS2^2)\t");
  holds(make((parts){.error = "Y=F*EXP(EPS(1))"}), "observables.tsv", "\tsd_EPS1*abs(central/THETA2)\t");
  holds(make((parts){.error = "IF(F.GT.0) IPRED=LOG(F)\nY=IPRED+EPS(1)"}), "observables.tsv",
        "\tIPRED\tsd_EPS1\tnormal");
  holds(
      make((parts){.error = "W=SQRT(1+F**2)\nY=F+W*EPS(1)", .values = "$THETA (0,4) (0,70)\n$OMEGA 0.1\n$SIGMA 1 FIX"}),
      "observables.tsv", "\tW\tnormal");
  /* by compartment */
  parts p = {.input = "ID TIME AMT DV CMT",
             .subs = "$SUBROUTINES ADVAN2 TRANS2",
             .pk = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)\nKA=1\nS2=V\nALAG1=0.5",
             .error = "IF (CMT.EQ.1) THEN\n Y=F+EPS(2)\nELSE\n Y=F*(1+EPS(1))\nENDIF",
             .values = two};
  holds(make(p), "observables.tsv", "y_central\tcentral/THETA2\tsd_EPS1*abs(central/THETA2)\tnormal\t1\t\t\t2\n");
  holds(make(p), "observables.tsv", "y_depot\tdepot\tsd_EPS2\tnormal\t1\t\t\t1\n");
  holds(make(p), "controls.tsv", "dose_depot\tdepot\t\t0.5\t\t\t1\t");
  holds(make(p), "twin.yaml", "dose_compartment: 1\n  observed_compartment: 2");
  /* by a column that says which; data items that an observation has not */
  p = (parts){.input = "ID TIME AMT DV EVID FLAG",
              .error = "IF (EVID.EQ.1) Y=0\nIF (FLAG.EQ.2) THEN\n Y=A(1)+EPS(2)\nELSE\n Y=F+EPS(1)\nENDIF",
              .values = two};
  holds(make(p), "observables.tsv", "y2\tcentral\tsd_EPS2\tnormal\t1\t\t2\t\n");
  holds(make(p), "observables.tsv", "y_other\tcentral/THETA2\tsd_EPS1\tnormal\t1\t\t*\t\n");
  holds(make(p), "twin.yaml", "FLAG=DVID");
}

/* Rates of models with more compartments: sums of flows. */
static void advans(void **state) {
  (void)state;
  static const char v[] = "$THETA (0,1)x8\n$OMEGA 0.1\n$SIGMA 0.04";
  parts p = {.subs = "$SUBS ADVAN=ADVAN4, TRANS=TRANS4",
             .pk = "CL=THETA(1)*EXP(ETA(1))\nV2=THETA(2)\nQ=THETA(3)\nV3=THETA(4)\nKA=THETA(5)",
             .values = v};
  holds(make(p), "model.ant",
        "central' = THETA5*depot - CL/THETA2*central - THETA3/THETA2*central + THETA3/THETA4*peripheral;");
  holds(make(p), "model.ant", "peripheral' = THETA3/THETA2*central - THETA3/THETA4*peripheral;");
  p = (parts){.subs = "$SUBROUTINES ADVAN10", .pk = "VM=THETA(1)*EXP(ETA(1))\nKM=THETA(2)", .values = v};
  holds(make(p), "model.ant", "central' = -VM*central/(THETA2 + central);");
  p = (parts){.subs = "$SUBROUTINES ADVAN5",
              .more = "$MODEL COMP=(GUT,DEFDOSE) COMP=(BLOOD,DEFOBS)\n",
              .pk = "K12=THETA(1)*EXP(ETA(1))\nK20=THETA(2)",
              .values = v};
  holds(make(p), "model.ant", "blood' = K12*gut - THETA2*blood;");
  p = (parts){.subs = "$SUBROUTINES ADVAN13 TOL=6",
              .more = "$MODEL NCOMP=1 COMP=(PLASMA)\n$DES\nC1=A(1)/V\nDADT(1)=-CL*C1*(1+T)\n",
              .pk = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)\nA_0(1)=V*3",
              .values = v};
  holds(make(p), "model.ant", "plasma' = -CL*(plasma/THETA2)*(1 + time);");
  holds(make(p), "model.ant", "plasma = THETA2*3;");
}

/* TRANS3, 5 and 6 against TRANS1: their rate constants are those of the definitions. */
static void same_exponents(void **state) {
  (void)state;
  static const char v[] = "$THETA (0,1)x8\n$OMEGA 0.1\n$SIGMA 0.04";
  parts p = {.subs = "$SUBROUTINES ADVAN3 TRANS6",
             .pk = "ALPHA=THETA(1)*EXP(ETA(1))\nBETA=THETA(2)\nK21=THETA(3)",
             .values = v};
  holds(make(p), "model.ant",
        "peripheral' = (ALPHA + THETA2 - THETA3 - ALPHA*THETA2/THETA3)*central - THETA3*peripheral;");
  p = (parts){.subs = "$SUBROUTINES ADVAN3 TRANS3",
              .pk = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)\nQ=THETA(3)\nVSS=THETA(4)",
              .values = v};
  holds(make(p), "model.ant", "peripheral' = THETA3/THETA2*central - THETA3/(THETA4 - THETA2)*peripheral;");
}

/* ---- what is refused ---- */

static const struct {
  parts p;
  dp_status status;
  const char *message;
} refusals[] = {
    {{.subs = "$SUBROUTINES ADVAN16"}, DP_ERR_UNSUPPORTED, "m.ctl:4: ADVAN16 is not supported"},
    {{.subs = "$SUBROUTINES ADVAN1 OTHER=x.f90"},
     DP_ERR_UNSUPPORTED,
     "m.ctl:4: $SUBROUTINES: OTHER is not supported (code outside the control stream cannot be read)"},
    {{.subs = "$SUBROUTINES ADVAN1 TRANS4"}, DP_ERR_UNSUPPORTED, "m.ctl:4: ADVAN1 with TRANS4 is not supported"},
    {{.more = "$MIX\nNSPOP=2\n"}, DP_ERR_UNSUPPORTED, "m.ctl:5: record $MIX is not supported"},
    {{.more = "$NONSENSE\n"}, DP_ERR_UNSUPPORTED, "m.ctl:5: record $NONSENSE is not known"},
    {{.more = "$EST METHOD=1 LAPLACE LIKE\n"},
     DP_ERR_UNSUPPORTED,
     "m.ctl:5: $ESTIMATION LIKE: Y as a likelihood is not supported"},
    {{.pk = "\" verbatim"}, DP_ERR_UNSUPPORTED, "m.ctl:6: verbatim code (\") is not supported"},
    {{.pk = "CL=THETA(3)"}, DP_ERR_INPUT, "m.ctl:6: THETA(3): there are 2"},
    {{.pk = "CL=ETA(2)"}, DP_ERR_INPUT, "m.ctl:6: ETA(2): there are 1"},
    {{.pk = "CL=1\nV="}, DP_ERR_INPUT, "m.ctl:7: a formula ends early"},
    {{.pk = "CL=1 2"}, DP_ERR_INPUT, "m.ctl:6: found '2' behind the end of a statement"},
    {{.pk = "CL=1\n"}, DP_ERR_INPUT, "m.ctl:5: $PK gives no V, which ADVAN1 TRANS2 needs"},
    {{.pk = "IF (1.EQ.2) THEN\nCL=1"}, DP_ERR_INPUT, "m.ctl:7: an IF ... THEN has no ENDIF"},
    {{.pk = "CL=TIME\nV=1"},
     DP_ERR_UNSUPPORTED,
     "m.ctl:6: TIME outside $ERROR (the record's time) is not supported; in $DES the time is T"},
    {{.pk = "CL=LAST+1\nLAST=CL\nV=1"},
     DP_ERR_UNSUPPORTED,
     "m.ctl:6: LAST has no value where it is used (values kept from one record to the next are not supported)"},
    {{.pk = "CL=FOO(2)\nV=1"}, DP_ERR_UNSUPPORTED, "m.ctl:6: FOO is no function or array that is supported"},
    {{.pk = "AMT=1"}, DP_ERR_UNSUPPORTED, "m.ctl:6: AMT is a column of $INPUT: an assignment to it is not supported"},
    {{.pk = "DO WHILE (X)"}, DP_ERR_UNSUPPORTED, "m.ctl:6: DO is not supported"},
    {{.error = "Y=F"}, DP_ERR_UNSUPPORTED, "m.ctl:9: Y has no EPS: a measurement without an error is not supported"},
    {{.error = "IPRED=F"}, DP_ERR_INPUT, "m.ctl:9: $ERROR gives no Y"},
    {{.error = "Y=SIN(EPS(1))"},
     DP_ERR_UNSUPPORTED,
     "m.ctl:9: Y: EPS(1) stands in a function that has no derivative here"},
    {{.error = "F_FLAG=1\nY=PHI(F)"},
     DP_ERR_UNSUPPORTED,
     "m.ctl:9: F_FLAG: Y as a likelihood is not supported; values below quantification are said by columns CENS and "
     "LIMIT of an event table, without F_FLAG"},
    {{.values = "$THETA (0,4) (5,3)\n$OMEGA 1\n$SIGMA 1"},
     DP_ERR_INPUT,
     "m.ctl:11: $THETA: THETA(2): the starting value 3 does not lie between its bounds 5 and inf"},
    {{.values = "$THETA (0,4) (0,,3)\n$OMEGA 1\n$SIGMA 1"},
     DP_ERR_UNSUPPORTED,
     "m.ctl:11: $THETA: no starting value for THETA(2): NM-TRAN would search for one"},
    {{.values = "$THETA 1 2\n$OMEGA BLOCK(2) 1 2\n$SIGMA 1"},
     DP_ERR_INPUT,
     "m.ctl:12: $OMEGA: BLOCK(2) has 2 values, expected 3"},
    {{.values = "$THETA 1 2\n$OMEGA SAME\n$SIGMA 1"}, DP_ERR_INPUT, "m.ctl:12: $OMEGA: SAME without a block before it"},
    {{.values = "$THETA 1 2\n$OMEGA 0\n$SIGMA 1"}, DP_ERR_INPUT, "m.ctl:12: $OMEGA: a variance of 0 that is not FIX"},
    {{.input = "ID TIME AMT DV L2"}, DP_ERR_UNSUPPORTED, "m.ctl:2: $INPUT: column L2 is not supported (DROP it)"},
    {{.input = "ID TIME AMT DV WT WT"}, DP_ERR_INPUT, "m.ctl:2: $INPUT: column WT stands twice"},
};

static void refusals_name_the_place(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(refusals); i++) {
    dpi_nmtran_kind k;
    dp_status st = translate(make(refusals[i].p), &k);
    if (st != refusals[i].status || strcmp(dp_ctx_error(ctx), refusals[i].message))
      fail_msg("case %d: found status %d, '%s', expected '%s'", i, st, dp_ctx_error(ctx), refusals[i].message);
    dp_ctx_clear_error(ctx);
  }
}

/* What is not supported costs nothing where no result needs it. */
static void only_what_counts(void **state) {
  (void)state;
  parts p = {.pk = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)\nS1=V\nIF (AMT.GT.0) TDOS=TIME\nTAD=TIME-TDOS",
             .error = "Y=F*(1+EPS(1))\nIRES=DV-F\nIF (ICALL.EQ.4) Y=NEWIND"};
  lacks(make(p), "model.ant", "TAD");
  holds(make(p), "observables.tsv", "\tsd_EPS1*abs(central/THETA2)\t");
}

static void looks_like_one(void **state) {
  (void)state;
  assert_true(dpi_nmtran_is_control("; note\n\n  $PROB x", 18));
  assert_true(dpi_nmtran_is_control("$sizes LVR=1", 12));
  assert_false(dpi_nmtran_is_control("ID,TIME", 7));
  assert_false(dpi_nmtran_is_control("", 0));
  assert_false(dpi_nmtran_is_control("$PR", 3));
}

static void no_memory(void **state) {
  (void)state;
  const char *t =
      make((parts){.input = "ID TIME AMT DV WT CMT",
                   .subs = "$SUBROUTINES ADVAN2 TRANS2",
                   .pk = "IF (WT.GT.1) THEN\nCL=THETA(1)*EXP(ETA(1))\nELSE\nCL=1\nENDIF\nV=THETA(2)\nKA=1\nS2=V"});
  failing_memory memory = {0};
  dp_ctx *poor = failing_context(&memory);
  assert_non_null(poor);
  for (int n = 0; n < 3000; n++) {
    dpi_arena a;
    dpi_nmtran_kind k;
    dpi_arena_init(&a, poor);
    failing_next(&memory, n);
    dp_status st = dpi_nmtran_control(poor, &a, t, strlen(t), "m.ctl", &k);
    bool happened = failing_happened(&memory);
    failing_never(&memory);
    dpi_arena_release(&a);
    assert_int_equal(dpi_alloc_live(poor), 0);
    assert_int_equal(st, happened ? DP_ERR_MEMORY : DP_OK);
    assert_true(!*dp_ctx_error(poor) == (st == DP_OK));
    dp_ctx_clear_error(poor);
    if (!happened) {
      assert_true(n > 20);
      dp_ctx_destroy(poor);
      return;
    }
  }
  fail();
}

/* ---- data files by columns ---- */

static void tables_by_columns(void **state) {
  (void)state;
  dp_record_def def = dp_record_def_default();
  def.columns = "C=DROP ID TIME ODV=DROP DV AMT CMT WT";
  def.ignore = "C";
  def.drop = "WT.GT.1D2 ID.EQ.7";
  def.dose_compartment = 1;
  def.observed_compartment = 2;
  static const char text[] =
      "C,ID,TIME,DV,LDV,AMT,CMT,WT\n"
      ".,1,0,.,.,1D2,.,70,extra\n"
      ". 1 2 8.5 2.14 . . 70\n"
      ".,1,3,8.0,2.08,,3,170\n"
      ".,7,0,.,.,100,1,70\n"
      ".,2,0,.,.,5.0E1,0\n";
  dp_record *r;
  if (dp_format_nmtran.read(ctx, text, sizeof text - 1, "d.csv", &def, &r) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  assert_int_equal(r->nsubject, 2);
  assert_int_equal(r->ncovariate, 1);
  const dp_event *e = r->subject[0].event;
  assert_int_equal(r->subject[0].nevent, 2);
  assert_true(e[0].evid == 1 && e[0].amount == 100 && e[0].compartment == 1 && e[0].line == 2 &&
              e[0].covariate[0] == 70);
  assert_true(e[1].evid == 0 && e[1].value == 2.14 && e[1].compartment == 2 && e[1].line == 3 &&
              e[1].time == 2 * DP_TICKS);
  assert_true(r->subject[1].event[0].line == 6 && isnan(r->subject[1].event[0].covariate[0]));
  dp_record_destroy(r);
  def.drop = "HT.EQ.1";
  assert_int_equal(dp_format_nmtran.read(ctx, text, sizeof text - 1, "d.csv", &def, &r), DP_ERR_INPUT);
  assert_string_equal(dp_ctx_error(ctx), "d.csv: found the condition 'HT.EQ.1', but there is no such column");
  dp_ctx_clear_error(ctx);
  def.drop = NULL;
  def.keep = "ID.EQ.2";
  assert_int_equal(dp_format_nmtran.read(ctx, text, sizeof text - 1, "d.csv", &def, &r), DP_OK);
  assert_true(r->nsubject == 1 && strcmp(r->subject[0].id, "2") == 0);
  dp_record_destroy(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_simple_one),
      cmocka_unit_test(expressions),
      cmocka_unit_test(individual_parameters),
      cmocka_unit_test(occasions),
      cmocka_unit_test(values),
      cmocka_unit_test(errors_and_observables),
      cmocka_unit_test(advans),
      cmocka_unit_test(same_exponents),
      cmocka_unit_test(refusals_name_the_place),
      cmocka_unit_test(only_what_counts),
      cmocka_unit_test(looks_like_one),
      cmocka_unit_test(no_memory),
      cmocka_unit_test(tables_by_columns),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
