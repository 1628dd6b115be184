/* Compared with: problems worked out by hand, in both versions; every allocation failing once. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "base/tests/own_context.h"
#include "format/petab/tests/petab_files.h"

static dpi_petab *read(const petab_text *file, int n) {
  petab_texts all = {file, n};
  dpi_petab_def def = {.path = file[0].path, .load = petab_texts_load, .user = &all};
  dpi_petab *p = NULL;
  if (dpi_petab_read(ctx, &def, &p) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  return p;
}

static const char *name(const dpi_petab *p, int i) { return p->name[i].id; }

static bool prints(const dpi_petab *p, const dpi_petab_expr *e, const char *expected) {
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_petab_print(p, e, NULL, &s);
  bool same = strcmp(dpi_str_text(&s), expected) == 0;
  if (!same) print_message("%s, expected %s\n", dpi_str_text(&s), expected);
  dpi_str_release(&s);
  return same;
}

static const petab_text v1[] = {
    {"dir/y.yaml", PETAB_V1_YAML},
    {"dir/p.tsv",
     "\xEF\xBB\xBFparameterId\tparameterName\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n"
     "k1\trate\tlog10\t1e-5\t1e5\t0.8\t1\r\nk2\t\tlin\t\t\t0.6\t0\nsd\t\tlog\t1e-3\t10\t\t1\nA_1\t\tlin\t-"
     "inf\tinf\t2\t1\n"},
    {"dir/o.tsv",
     "observableId\tobservableName\tobservableFormula\tobservableTransformation\tnoiseFormula\tnoiseDistribution\n"
     "obs\tfirst\tobservableParameter2_obs + observableParameter1_obs * A\tlog10\tnoiseParameter1_obs * obs\tnormal\n"
     "\"obs2\"\t\tB\t\t0.5\tlaplace\n"},
    {"dir/c.tsv",
     "conditionId\tconditionName\tA\tk3\tB\npre\twith, comma\t0\t1.5\tNaN\nc0\t\tA_1\tNaN\t\nc1\t\tNaN\t2\t\n"},
    /* empty cells at the ends of rows may be left out */
    {"dir/m.tsv",
     "observableId\tpreequilibrationConditionId\tsimulationConditionId\tmeasurement\ttime\tobservableParameters\tnoiseP"
     "arameters\tdatasetId\n"
     "obs\tpre\tc0\t0.7\t10\t2;k2\tsd\tset\n"
     "obs2\tpre\tc0\t0.1\t0\n"
     "obs2\t\tc1\t-0.1\tinf\t\t\t\n"
     "obs\tpre\tc0\t0.3\t10\t2;k2\t0.25\t\n"},
};

static void version_1(void **state) {
  (void)state;
  dpi_petab *p = read(v1, DPI_COUNT(v1));
  assert_int_equal(p->version, 1);
  assert_int_equal(p->nmodel, 1);
  assert_string_equal(p->model[0].path, "dir/model.xml");
  assert_string_equal(p->model[0].language, "sbml");
  assert_int_equal(p->nparameter, 4);
  const dpi_petab_parameter *q = p->parameter;
  assert_true(q[0].scale == DPI_PETAB_LOG10 && q[0].lower == 1e-5 && q[0].upper == 1e5 && q[0].nominal == 0.8 &&
              q[0].estimate);
  assert_string_equal(q[0].label, "rate");
  assert_true(q[1].lower == -INFINITY && q[1].upper == INFINITY && !q[1].estimate);
  assert_true(isnan(q[2].nominal) && q[2].scale == DPI_PETAB_LOG && q[3].upper == INFINITY);
  assert_int_equal(p->name[q[2].name].kind, DPI_PETAB_PARAMETER);

  assert_int_equal(p->nobservable, 2);
  const dpi_petab_observable *o = p->observable;
  assert_true(o[0].noise == DPI_PETAB_NOISE_NORMAL && o[0].scale == DPI_PETAB_LOG10 && o[0].nplaceholder == 2);
  assert_string_equal(name(p, o[0].placeholder[0]), "observableParameter1_obs");
  assert_string_equal(name(p, o[0].placeholder[1]), "observableParameter2_obs");
  assert_int_equal(p->name[o[0].placeholder[0]].kind, DPI_PETAB_PLACEHOLDER);
  assert_int_equal(o[0].nnoise_placeholder, 1);
  assert_true(prints(p, o[0].noise_formula,
                     "(`noiseParameter1_obs` * (`observableParameter2_obs` + (`observableParameter1_obs` * `A`)))"));
  assert_true(o[1].noise == DPI_PETAB_NOISE_LAPLACE && o[1].scale == DPI_PETAB_LIN && o[1].nplaceholder == 0);
  dpi_petab_destroy(p);
}

static void version_1_course(void **state) {
  (void)state;
  dpi_petab *p = read(v1, DPI_COUNT(v1));
  assert_int_equal(p->nexperiment, 2);
  const dpi_petab_experiment *e = &p->experiment[0];
  assert_string_equal(e->id, "pre|c0");
  assert_int_equal(e->nperiod, 2);
  assert_true(e->period[0].time == -INFINITY && e->period[1].time == 0.0);
  /* NaN before: nothing; NaN afterwards: k3, which the first set, is taken back, B was never set */
  assert_int_equal(e->period[0].nchange, 2);
  assert_int_equal(e->period[1].nchange, 2);
  const dpi_petab_change *c = e->period[1].change;
  assert_string_equal(name(p, c[0].target), "A");
  assert_int_equal(c[0].how, DPI_PETAB_SET);
  assert_true(prints(p, c[0].value, "`A_1`"));
  assert_string_equal(name(p, c[1].target), "k3");
  assert_int_equal(c[1].how, DPI_PETAB_RESET);
  assert_null(c[1].value);
  assert_string_equal(p->experiment[1].id, "c1");
  assert_int_equal(p->experiment[1].nperiod, 1);
  assert_int_equal(p->experiment[1].period[0].nchange, 1);

  assert_int_equal(p->nmeasurement, 4);
  assert_int_equal(e->nmeasurement, 3); /* by time, then by row */
  assert_true(e->measurement[0] == 1 && e->measurement[1] == 0 && e->measurement[2] == 3);
  const dpi_petab_measurement *m = p->measurement;
  double x;
  assert_true(m[0].value == 0.7 && m[0].time == 10.0 && m[0].experiment == 0 && m[2].time == INFINITY);
  assert_true(dpi_petab_number(m[0].override[0], &x) && x == 2.0);
  assert_string_equal(name(p, dpi_petab_lone_name(m[0].override[1])), "k2");
  assert_true(dpi_petab_number(m[3].noise_override[0], &x) && x == 0.25);
  assert_ptr_equal(m[0].override, m[3].override); /* equal cells are kept once */
  assert_string_equal(m[0].dataset, "set");
  assert_string_equal(m[0].place.file, "dir/m.tsv");
  assert_int_equal(m[0].place.line, 2);
  assert_int_equal(strlen(p->hash), 64);
  dpi_petab_destroy(p);
}

static const petab_text v2[] = {
    {"y", "id: test\nextensions: {pretty: {version: 1.0, required: false}}\n" PETAB_V2_YAML "  # second model\n"},
    {"p.tsv",
     "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\nk1\t0\t10\t0.8\ttrue\nsd\t\t\t0.6\tfalse\n"},
    {"o.tsv",
     "observableId\tobservableFormula\tnoiseFormula\tnoiseDistribution\tobservablePlaceholders\tnoisePlaceholders\n"
     "total\tA2 + scaled\tsd\tlog-laplace\t\t\n"
     "scaled\tscale * A\tsd\tnormal\tscale\t\n"
     "plain\tA ^ 2\tn1 + n2 * plain\tlog-normal\t\tn1 ; n2\n"},
    {"c.tsv", "conditionId\ttargetId\ttargetValue\nc1\tA\tA + 2*k1\nc2\tk9\tpiecewise(1, time > 2, 0)\nc1\tlocal\t3\n"},
    {"e.tsv",
     "experimentId\ttime\tconditionId\ne1\t20\tc1\ne1\t-inf\tc2\ne1\t5\t\ne2\t-1.5\tc1\ne2\t-1.5\tc2\nunused\t0\tc1\n"},
    {"m.tsv",
     "observableId\texperimentId\ttime\tmeasurement\tobservableParameters\tnoiseParameters\n"
     "plain\te1\t5\t2\t\tsd/2;0.1*k1\nplain\te2\t-1\t3\t\tsd;0\nscaled\t\t4\t1\t3\t\nplain\te1\tinf\t1\t\t1;2\n"},
    {"map.tsv", "petabEntityId\tmodelEntityId\tname\nlocal\treaction1.k\tnice\nk9\t\tannotation\n"},
};

static void version_2(void **state) {
  (void)state;
  dpi_petab *p = read(v2, DPI_COUNT(v2));
  assert_int_equal(p->version, 2);
  assert_string_equal(p->id, "test");
  assert_string_equal(p->model[0].id, "m1");
  assert_string_equal(p->model[0].path, "model.xml");
  const dpi_petab_observable *o = p->observable;
  assert_true(o[0].noise == DPI_PETAB_NOISE_LAPLACE && o[0].scale == DPI_PETAB_LOG);
  assert_true(o[2].noise == DPI_PETAB_NOISE_NORMAL && o[2].scale == DPI_PETAB_LOG && o[1].scale == DPI_PETAB_LIN);
  assert_true(prints(p, o[0].formula, "(`A2` + (`scale` * `A`))")); /* observables are put in */
  assert_true(prints(p, o[2].noise_formula, "(`n1` + (`n2` * (`A` ^ 2)))"));
  assert_int_equal(o[1].nplaceholder, 1);
  assert_int_equal(o[2].nnoise_placeholder, 2);
  assert_string_equal(name(p, o[2].noise_placeholder[1]), "n2");
  assert_true(prints(p, p->measurement[0].noise_override[1], "(0.1 * `k1`)"));

  assert_int_equal(p->nexperiment, 3);
  const dpi_petab_experiment *e = p->experiment;
  assert_string_equal(e[0].id, "e1");
  assert_int_equal(e[0].nperiod, 3);
  assert_true(e[0].period[0].time == -INFINITY && e[0].period[1].time == 5.0 && e[0].period[2].time == 20.0);
  assert_int_equal(e[0].period[1].nchange, 0);
  assert_int_equal(e[0].period[2].nchange, 2);
  assert_true(prints(p, e[0].period[2].change[0].value, "(`A` + (2 * `k1`))"));
  assert_string_equal(p->name[e[0].period[2].change[1].target].model_id, "reaction1.k");
  assert_int_equal(e[1].nperiod, 1); /* two conditions at once */
  assert_int_equal(e[1].period[0].nchange, 3);
  assert_int_equal(e[1].period[0].ncondition, 2);
  assert_true(prints(p, e[1].period[0].change[2].value, "piecewise(1, (time > 2), 0)"));
  assert_string_equal(e[2].id, "");
  assert_true(e[2].model_start && e[2].nperiod == 1 && e[2].period[0].time == 0.0 && e[2].nmeasurement == 1);
  dpi_petab_destroy(p);
}

/* Several files of a kind are one table; several models name theirs. */
static void many_files(void **state) {
  (void)state;
  static const petab_text file[] = {
      {"/abs/y",
       "format_version: 2\nparameter_files:\n- p.tsv\n- q.tsv\nmodel_files:\n  m1: {location: a.xml, language: sbml}\n"
       "  m2: {location: /else/b.ant, language: antimony}\nmeasurement_files: [m.tsv, n.tsv]\nobservable_files: o.tsv\n"
       "experiment_files: [e.tsv]\n"},
      {"/abs/p.tsv", "parameterId\testimate\tnominalValue\na\tfalse\t1\n"},
      {"/abs/q.tsv", "nominalValue\tparameterId\testimate\n2\tb\tfalse\n"},
      {"/abs/o.tsv", "observableId\tobservableFormula\tnoiseFormula\no\ta*x\tb\n"},
      {"/abs/e.tsv", "experimentId\ttime\tconditionId\ne1\t0\t\n"},
      {"/abs/m.tsv", "modelId\tobservableId\texperimentId\ttime\tmeasurement\nm2\to\te1\t0\t1\n"},
      {"/abs/n.tsv", "modelId\tobservableId\texperimentId\ttime\tmeasurement\nm1\to\te1\t0\t1\nm2\to\te1\t1\t1\n"},
  };
  dpi_petab *p = read(file, DPI_COUNT(file));
  assert_int_equal(p->nparameter, 2);
  assert_string_equal(p->model[0].path, "/abs/a.xml");
  assert_string_equal(p->model[1].path, "/else/b.ant");
  assert_string_equal(p->model[1].language, "antimony");
  assert_int_equal(p->nmeasurement, 3);
  assert_int_equal(p->nexperiment, 2); /* e1 with each model */
  assert_true(p->experiment[0].model == 1 && p->experiment[0].nmeasurement == 2 && p->experiment[1].model == 0);
  dpi_petab_destroy(p);
}

/* Version 1's list of problems: tables of their own, parameters in common. */
static void many_problems(void **state) {
  (void)state;
  static const petab_text file[] = {
      {"y",
       "format_version: 1\nparameter_file: p.tsv\nproblems:\n"
       "- {condition_files: [c.tsv], measurement_files: [m.tsv], observable_files: [o.tsv], sbml_files: [a.xml]}\n"
       "- {condition_files: [c.tsv], measurement_files: [m.tsv], observable_files: [q.tsv], sbml_files: [b.xml]}\n"},
      {"p.tsv", "parameterId\tparameterScale\testimate\tnominalValue\na\tlin\t0\t1\n"},
      {"o.tsv", "observableId\tobservableFormula\tnoiseFormula\no\ta*x\t1\n"},
      {"q.tsv", "observableId\tobservableFormula\tnoiseFormula\no\ta*y\t1\n"},
      {"c.tsv", "conditionId\nc\n"},
      {"m.tsv", "observableId\tsimulationConditionId\ttime\tmeasurement\no\tc\t0\t1\n"},
  };
  dpi_petab *p = read(file, DPI_COUNT(file));
  assert_int_equal(p->nmodel, 2);
  assert_int_equal(p->nexperiment, 2);
  assert_true(p->measurement[0].observable == 0 && p->measurement[1].observable == 1);
  assert_true(p->measurement[1].model == 1 && p->experiment[1].model == 1 && p->observable[1].model == 1);
  dpi_petab_destroy(p);
}

/* ---- names against a model ---- */

static bool knows(void *user, int model, const char *id) {
  (void)model;
  for (const char *const *w = user; *w; w++)
    if (strcmp(*w, id) == 0) return true;
  return false;
}

static void names(void **state) {
  (void)state;
  static const char *const all[] = {"A", "k9", "reaction1.k", "A2", NULL}, *const less[] = {"A", "k9", NULL};
  dpi_petab *p = read(v2, DPI_COUNT(v2));
  dpi_petab_issues issues = {.n = 0};
  dpi_arena_init(&issues.arena, ctx);
  assert_int_equal(dpi_petab_check_names(p, knows, (void *)all, NULL), DP_OK);
  assert_int_equal(dpi_petab_check_names(p, knows, (void *)less, NULL), DP_ERR_INPUT);
  assert_string_equal(
      dp_ctx_error(ctx),
      "c.tsv:4: column targetId: neither the model nor the parameter table knows 'local'; correct the id "
      "of what is changed");
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_petab_check_names(p, knows, (void *)(less + 2), &issues), DP_OK);
  assert_int_equal(issues.n, 3); /* A, k9, local; A2 is in no formula that is measured */
  dpi_petab_issues_release(&issues);
  dpi_petab_destroy(p);
}

/* What a condition sets and only formulas use needs no model. */
static void output_parameters(void **state) {
  (void)state;
  petab_text file[DPI_COUNT(v1)];
  memcpy(file, v1, sizeof v1);
  static const char *const all[] = {"A", "B", NULL};
  dpi_petab *p = read(file, DPI_COUNT(file));
  assert_int_equal(dpi_petab_check_names(p, knows, (void *)all, NULL), DP_ERR_INPUT); /* k3 is used nowhere */
  dp_ctx_clear_error(ctx);
  dpi_petab_destroy(p);
  file[2].text =
      "observableId\tobservableFormula\tnoiseFormula\nobs\tobservableParameter1_obs*A+observableParameter2_"
      "obs\tnoiseParameter1_obs\n"
      "obs2\tk3 + B\t1\n";
  p = read(file, DPI_COUNT(file));
  assert_int_equal(dpi_petab_check_names(p, knows, (void *)all, NULL), DP_OK);
  dpi_petab_destroy(p);
}

/* ---- memory ---- */

static void failing(const petab_text *file, int n) {
  petab_texts all = {file, n};
  dpi_petab_def def = {.path = file[0].path, .load = petab_texts_load, .user = &all};
  failing_memory memory = {0};
  dp_ctx *c = failing_context(&memory);
  assert_non_null(c);
  bool failed = true;
  for (long k = 0; failed; k++) {
    dpi_petab *p = NULL;
    failing_next(&memory, k);
    dp_status status = dpi_petab_read(c, &def, &p);
    failed = failing_happened(&memory);
    failing_never(&memory);
    assert_int_equal(status, failed ? DP_ERR_MEMORY : DP_OK);
    assert_true((p != NULL) == !failed);
    dpi_petab_destroy(p);
    assert_int_equal(dpi_alloc_live(c), 0);
    dp_ctx_clear_error(c);
  }
  dp_ctx_destroy(c);
}

static void no_memory(void **state) {
  (void)state;
  failing(v1, DPI_COUNT(v1));
  failing(v2, DPI_COUNT(v2));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(version_1),         cmocka_unit_test(version_1_course), cmocka_unit_test(version_2),
      cmocka_unit_test(many_files),        cmocka_unit_test(many_problems),    cmocka_unit_test(names),
      cmocka_unit_test(output_parameters), cmocka_unit_test(no_memory),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
