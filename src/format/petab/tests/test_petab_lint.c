/* Compared with: one problem in order, and what is said when one of its tables is spoiled. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/tests/own_context.h"
#include "format/petab/tests/petab_files.h"

#define V1_P "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n"
#define V1_M "observableId\tsimulationConditionId\tmeasurement\ttime\tobservableParameters\tnoiseParameters\n"
#define V1_O "observableId\tobservableFormula\tobservableTransformation\tnoiseFormula\tnoiseDistribution\n"
#define V2_P "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\tpriorDistribution\tpriorParameters\n"
#define V2_M "observableId\texperimentId\ttime\tmeasurement\tnoiseParameters\n"
#define V2_O "observableId\tobservableFormula\tnoiseFormula\tnoiseDistribution\tnoisePlaceholders\n"

static const petab_text good_v1[] = {
    {"y", PETAB_V1_YAML},
    {"p.tsv", V1_P "k1\tlog10\t1e-5\t1e5\t0.8\t1\n"},
    {"o.tsv", V1_O "obs\tobservableParameter1_obs * A\tlin\tnoiseParameter1_obs\tnormal\n"},
    {"c.tsv", "conditionId\tA\nc0\t1\n"},
    {"m.tsv", V1_M "obs\tc0\t0.7\t10\t2\tk1\n"},
};

static const petab_text good_v2[] = {
    {"y", PETAB_V2_YAML},
    {"p.tsv", V2_P "k1\t0\t10\t0.8\ttrue\tnormal\t1;2\n"},
    {"o.tsv", V2_O "obs\tA\tn\tnormal\tn\n"},
    {"c.tsv", "conditionId\ttargetId\ttargetValue\nc0\tA\t2\n"},
    {"e.tsv", "experimentId\ttime\tconditionId\ne0\t-inf\tc0\ne0\t5\t\n"},
    {"m.tsv", V2_M "obs\te0\t10\t0.7\tk1\n"},
    {"map.tsv", "petabEntityId\tmodelEntityId\n"},
};

typedef struct spoiled {
  int version;
  const char *file, *text, *message;
} spoiled;

static const spoiled cases[] = {
    /* the grouping file */
    {1, "y", "format_version: 3\n", "y:1: format_version '3' is not read; offered are 1 and 2"},
    {1, "y", "problems: []\n", "y:1: key 'format_version' is missing; a PEtab problem says 1 or 2.0.0 there"},
    {1, "y", "format_version: 1\nparameter_file: p.tsv\nproblem: []\n",
     "y:3: a PEtab problem of version 1 has no key 'problem'; did you mean 'problems'?"},
    {1, "y", "a: [\n", "y:2: not YAML: did not find expected node content"},
    {1, "y", "format_version: 1\nparameter_file: p.tsv\nproblems:\n- {sbml_files: [a, b]}\n",
     "y:4: more than one model in an entry of problems; give each model an entry with its own tables"},
    {1, "y", "format_version: 1\nparameter_file: http://x/p.tsv\nproblems:\n- {}\n",
     "y:2: parameter_file: 'http://x/p.tsv' is an address; download the file and name it here"},
    {2, "y", PETAB_V2_YAML "extensions: {sciml: {version: 1, required: true}}\n",
     "y:10: the problem requires the PEtab extension 'sciml', which is not offered"},
    {2, "y",
     "format_version: 2.0.0\nparameter_files: [p.tsv]\nmodel_files: {m: {location: a, language: bngl}}\n"
     "measurement_files: [m.tsv]\nobservable_files: [o.tsv]\n",
     "y:3: model language 'bngl' is not read; offered are sbml and antimony"},
    {2, "y", "format_version: 2.0.0\nparameter_files: [p.tsv]\nmeasurement_files: [m.tsv]\nobservable_files: [o.tsv]\n",
     "y:1: key 'model_files' is missing or names no model; expected 'id:' with 'location:' and 'language:'"},
    {2, "y",
     "format_version: 2.0.0\nparameter_files: [none.tsv]\nmodel_files: {m: {location: a, language: sbml}}\n"
     "measurement_files: [m.tsv]\nobservable_files: [o.tsv]\n",
     "none.tsv: there is no such file"},
    /* parameters */
    {1, "p.tsv", "parameterId\testimate\nk1\t1\n", "p.tsv:1: found no column parameterScale, expected one"},
    {1, "p.tsv", V1_P "k1\tlog10\t1\t2\t1\t1\nk1\tlog10\t1\t2\t1\t1\n",
     "p.tsv:3: column parameterId: parameter 'k1' occurs twice, first in p.tsv:2"},
    {1, "p.tsv", V1_P "1k\tlog10\t1\t2\t1\t1\n",
     "p.tsv:2: column parameterId: '1k' is no identifier: letters, digits and underscores, not beginning with a digit"},
    {1, "p.tsv", V1_P "Time\tlog10\t1\t2\t1\t1\n",
     "p.tsv:2: column parameterId: 'Time' is a word of PEtab's own and cannot name anything"},
    {1, "p.tsv", V1_P "k1\tlog10\t2\t1\t1\t1\n",
     "p.tsv:2: column lowerBound: the lower bound 2 of 'k1' is not below its upper bound 1; exchange them"},
    {1, "p.tsv", V1_P "k1\tlog10\t0\t1\t1\t1\n",
     "p.tsv:2: column lowerBound: the lower bound 0 of 'k1' is not positive, but its scale is log10"},
    {1, "p.tsv", V1_P "k1\tlog2\t1\t2\t1\t1\n",
     "p.tsv:2: column parameterScale: found 'log2', expected lin, log or log10; did you mean log?"},
    {1, "p.tsv", V1_P "k1\tlin\t1\t2\t\t0\n",
     "p.tsv:2: column nominalValue: 'k1' is not estimated and has no nominalValue; give one"},
    {1, "p.tsv", V1_P "k1\tlin\t\t2\t1\t1\n", "p.tsv:2: column lowerBound: 'k1' is estimated and has no lowerBound"},
    {1, "p.tsv", V1_P "k1\tlin\t1\t2\t1\tmaybe\n", "p.tsv:2: column estimate: found 'maybe', expected 0 or 1"},
    {1, "p.tsv", V1_P "k1\tlin\tlow\t2\t1\t1\n", "p.tsv:2: column lowerBound: found 'low', expected a number"},
    {1, "p.tsv", V1_P "A\tlin\t0\t2\t1\t1\nk1\tlin\t0\t2\t1\t1\n",
     "c.tsv:1: column A: 'A' is set by a condition and by the parameter table; give the condition a parameter of "
     "another name"},
    {1, "p.tsv", V1_P "observableParameter1_obs\tlin\t0\t2\t1\t1\n",
     "o.tsv:2: column observableFormula: placeholder 'observableParameter1_obs' is also in the parameter table; take "
     "it out there"},
    {2, "p.tsv", V2_P "k1\t0\t10\t0.8\ttrue\tnormal\t1\n",
     "p.tsv:2: column priorParameters: prior 'normal' has 1 parameter, expected 2, separated by ';'"},
    {2, "p.tsv", V2_P "k1\t0\t10\t0.8\ttrue\tnormal\t1;-2\n",
     "p.tsv:2: column priorParameters: the spread -2 of the prior is not positive"},
    {2, "p.tsv", V2_P "k1\t0\t10\t0.8\ttrue\tlognormal\t1;2\n",
     "p.tsv:2: column priorDistribution: unknown prior 'lognormal'; did you mean 'log-normal'?"},
    {2, "p.tsv", V2_P "k1\t0\t10\t0.8\ttrue\tuniform\t11;12\n",
     "p.tsv:2: column priorDistribution: the prior leaves no probability between the bounds 0 and 10"},
    {2, "p.tsv", V2_P "k1\t0\t10\t0.8\ttrue\t\t1;2\n",
     "p.tsv:2: column priorParameters: parameters of a prior without a prior; name its distribution or empty this "
     "cell"},
    {2, "p.tsv", "parameterId\tparameterScale\testimate\nk1\tlog10\tfalse\n",
     "p.tsv:2: column parameterScale: version 2 knows no parameter scales, found 'log10'; give a prior such as "
     "log-normal"},
    {2, "p.tsv", V2_P "obs\t0\t10\t0.8\ttrue\t\t\n",
     "o.tsv:2: column observableId: 'obs' is also a parameter of the parameter table; rename one of them"},
    /* observables */
    {1, "o.tsv", V1_O "obs\tA +\tlin\t1\tnormal\n",
     "o.tsv:2: column observableFormula: character 4 of 'A +': the formula ends where a number, a name or '(' is "
     "expected"},
    {1, "o.tsv", V1_O "obs\tA\tlin\t\tnormal\n", "o.tsv:2: column noiseFormula: the formula is missing"},
    {1, "o.tsv", V1_O "obs\tA\tlin\t0\tnormal\n", "o.tsv:2: column noiseFormula: the noise 0 is not positive"},
    {1, "o.tsv", V1_O "obs\tA\tlin\t1\tnormall\n",
     "o.tsv:2: column noiseDistribution: found 'normall', expected normal or laplace; did you mean normal?"},
    {1, "o.tsv", V1_O "obs\tobservableParameter2_obs\tlin\t1\tnormal\n",
     "o.tsv:2: column observableFormula: observableParameter2_obs is used, but not observableParameter1_obs; number "
     "the placeholders without gaps"},
    {1, "o.tsv", V1_O "obs\tA\tlin\t1\t\nobs\tA\tlin\t1\t\n",
     "o.tsv:3: column observableId: observable 'obs' occurs twice, first in o.tsv:2"},
    {2, "o.tsv", V2_O "obs\ta\tn\tnormal\tn\na\tb\t1\t\t\nb\t1 + a\t1\t\t\n",
     "o.tsv:3: column observableFormula: observable 'a' depends on itself; break the circle"},
    {2, "o.tsv", V2_O "obs\tA\tn\tnormal\tn;n\n", "o.tsv:2: column noisePlaceholders: placeholder 'n' is listed twice"},
    {2, "o.tsv", V2_O "obs\tA\tn\tgamma\tn\n",
     "o.tsv:2: column noiseDistribution: found 'gamma', expected normal, laplace, log-normal or log-laplace"},
    {2, "o.tsv", "observableId\tobservableFormula\tnoiseFormula\tobservableTransformation\nobs\tA\t1\tlog\n",
     "o.tsv:2: column observableTransformation: version 2 knows no transformations, found 'log'; write "
     "noiseDistribution log-normal or "
     "log-laplace"},
    /* conditions and experiments */
    {1, "c.tsv", "conditionId\tA\nc0\t1\nc0\t2\n",
     "c.tsv:3: column conditionId: condition 'c0' occurs twice, first in c.tsv:2"},
    {1, "c.tsv", "conditionId\tA\nc0\t1+k1\n",
     "c.tsv:2: column A: found '1+k1', expected a number or the id of a parameter (version 1 has no formulas here)"},
    {1, "c.tsv", "conditionId\tA b\nc0\t1\n", "c.tsv:1: column A b: the column's name is no identifier"},
    {2, "c.tsv", "conditionId\ttargetId\ttargetValue\nc0\tA\t2\nc0\tA\t3\n",
     "c.tsv:3: column targetId: condition 'c0' sets 'A' twice, first in c.tsv:2"},
    {2, "c.tsv", "conditionId\ttargetId\ttargetValue\nc0\tk1\t2\n",
     "c.tsv:2: column targetId: 'k1' is set by a condition and by the parameter table; give the condition a parameter "
     "of another name"},
    {2, "c.tsv", "conditionId\ttargetId\ttargetValue\nc0\tA\t\n", "c.tsv:2: column targetValue: the value is missing"},
    {2, "e.tsv", "experimentId\ttime\tconditionId\ne0\t0\tc9\n",
     "e.tsv:2: column conditionId: the condition tables have no condition 'c9'; add it, or leave the cell empty for no "
     "change"},
    {2, "e.tsv", "experimentId\ttime\tconditionId\ne0\tinf\tc0\n",
     "e.tsv:2: column time: found 'inf', expected a time or -inf (come to rest first)"},
    {2, "e.tsv", "experimentId\ttime\tconditionId\ne0\t0\tc0\ne0\t0\tc0\n",
     "e.tsv:3: column conditionId: experiment 'e0' applies this condition twice at the same time, first in line 2"},
    {2, "e.tsv", "experimentId\ttime\tconditionId\ne0\t-inf\tc0\n",
     "m.tsv:2: column time: experiment 'e0' only comes to rest and has no time 10; measure at inf or add a period"},
    {2, "e.tsv", "experimentId\ttime\tconditionId\ne0\t-inf\tc0\ne0\t11\t\n",
     "m.tsv:2: column time: time 10 lies before the start of the experiment at 11"},
    {2, "map.tsv", "petabEntityId\tmodelEntityId\na\tb.c\na\td.e\n",
     "map.tsv:3: column petabEntityId: 'a' is mapped twice; leave one of the rows"},
    /* measurements */
    {1, "m.tsv", V1_M "ob\tc0\t1\t0\t2\tk1\n", "m.tsv:2: column observableId: the tables have no observable 'ob'"},
    {1, "m.tsv", V1_M "obs\tc1\t1\t0\t2\tk1\n",
     "m.tsv:2: column simulationConditionId: the tables have no condition 'c1'"},
    {1, "m.tsv", V1_M "obs\tc0\t1\t-1\t2\tk1\n",
     "m.tsv:2: column time: time -1 lies before the start of the experiment at 0"},
    {1, "m.tsv", V1_M "obs\tc0\tNaN\t1\t2\tk1\n", "m.tsv:2: column measurement: found 'NaN', expected a number"},
    {1, "m.tsv", V1_M "obs\tc0\t1\t\t2\tk1\n", "m.tsv:2: column time: found '', expected a time or inf (steady state)"},
    {1, "m.tsv", V1_M "obs\tc0\t1\t0\t2;3\tk1\n",
     "m.tsv:2: column observableParameters: observable 'obs' has 1 observable placeholder, the row gives 2; write "
     "values with ';' between them"},
    {1, "m.tsv", V1_M "obs\tc0\t1\t0\t2\t\n",
     "m.tsv:2: column noiseParameters: observable 'obs' has 1 noise placeholder, the row gives 0; write values with "
     "';' between them"},
    {1, "m.tsv", V1_M "obs\tc0\t1\t0\t2\t-1\n", "m.tsv:2: column noiseParameters: the noise -1 is not positive"},
    {1, "m.tsv", V1_M "obs\tc0\t1\t0\t2\tk1;\n",
     "m.tsv:2: column noiseParameters: 'k1;' holds an empty entry; write values with one ';' between them"},
    {1, "m.tsv", V1_M, "m.tsv: the measurement tables hold no measurement"},
    {1, "m.tsv", "observableId\tmeasurement\ttime\n", "m.tsv:1: found no column simulationConditionId, expected one"},
    {2, "m.tsv", V2_M "obs\te1\t10\t0.7\tk1\n", "m.tsv:2: column experimentId: the tables have no experiment 'e1'"},
    {2, "o.tsv", V2_O "obs\tA\tn\tlog-normal\tn\nobs2\tA\t1\t\t\n", NULL}, /* 0.7 is positive */
    {2, "m.tsv", V2_M "obs\te0\tinf\t0.7\tk1 * 2\n", NULL},
};

static dp_status read(const spoiled *s, dpi_petab **p, dpi_petab_issues *issues) {
  const petab_text *good = s->version == 1 ? good_v1 : good_v2;
  petab_text file[DPI_COUNT(good_v2)];
  petab_texts all = {file, s->version == 1 ? DPI_COUNT(good_v1) : DPI_COUNT(good_v2)};
  for (int i = 0; i < all.n; i++)
    file[i] = s->file && strcmp(good[i].path, s->file) == 0 ? (petab_text){s->file, s->text} : good[i];
  dpi_petab_def def = {.path = "y", .load = petab_texts_load, .user = &all};
  return issues ? dpi_petab_lint(ctx, &def, issues) : dpi_petab_read(ctx, &def, p);
}

/* Each is refused with its place and a remedy, and a lint says the same first. */
static void first_error(void **state) {
  (void)state;
  int nwrong = 0;
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    dpi_petab *p = NULL;
    dpi_petab_issues issues;
    dp_status status = read(&cases[i], &p, NULL);
    if (!cases[i].message) {
      if (status != DP_OK) fail_msg("case %d: %s", i, dp_ctx_error(ctx));
      dpi_petab_destroy(p);
      continue;
    }
    if (status == DP_OK) fail_msg("case %d is not refused: %s", i, cases[i].message);
    assert_null(p);
    if (strcmp(dp_ctx_error(ctx), cases[i].message) != 0) {
      print_message("case %d: '%s', expected '%s'\n", i, dp_ctx_error(ctx), cases[i].message);
      nwrong++;
      dp_ctx_clear_error(ctx);
      continue;
    }
    dp_ctx_clear_error(ctx);
    assert_int_equal(read(&cases[i], NULL, &issues), DP_OK);
    assert_true(issues.n >= 1);
    assert_string_equal(issues.item[0].text, cases[i].message);
    assert_int_equal(issues.item[0].status, status);
    dpi_petab_issues_release(&issues);
  }
  assert_int_equal(nwrong, 0);
}

static void nothing_wrong(void **state) {
  (void)state;
  for (int version = 1; version <= 2; version++) {
    spoiled s = {.version = version};
    dpi_petab_issues issues;
    assert_int_equal(read(&s, NULL, &issues), DP_OK);
    assert_int_equal(issues.n, 0);
    dpi_petab_issues_release(&issues);
  }
}

/* All of them, also in later tables. */
static void every_error(void **state) {
  (void)state;
  petab_text file[DPI_COUNT(good_v1)];
  petab_texts all = {file, DPI_COUNT(good_v1)};
  memcpy(file, good_v1, sizeof good_v1);
  file[1].text = V1_P "k1\tlog10\t2\t1\t0.8\t1\nk2\tlin\t1\t2\t\t0\n";
  file[2].text = V1_O "obs\tobservableParameter1_obs * (A\tlin\tnoiseParameter1_obs\tnormal\nobs2\tA\tlog\t1\t\n";
  file[4].text = V1_M "obs2\tc0\t-0.7\t10\t\t\nobs2\tc9\t1\t1\t\t\nobs2\tc0\t1\t1\t\t\n";
  dpi_petab_def def = {.path = "y", .load = petab_texts_load, .user = &all};
  dpi_petab_issues issues;
  assert_int_equal(dpi_petab_lint(ctx, &def, &issues), DP_OK);
  static const char *const places[] = {"p.tsv:2:", "p.tsv:3:", "o.tsv:2:", "m.tsv:2:", "m.tsv:3:"};
  for (int i = 0; i < issues.n && i < DPI_COUNT(places); i++)
    if (strncmp(issues.item[i].text, places[i], strlen(places[i])) != 0)
      fail_msg("%s, expected %s", issues.item[i].text, places[i]);
  assert_int_equal(issues.n, DPI_COUNT(places));
  dpi_petab_issues_release(&issues);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_error),
      cmocka_unit_test(nothing_wrong),
      cmocka_unit_test(every_error),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
