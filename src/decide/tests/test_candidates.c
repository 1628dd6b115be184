/* Independent comparison: every count of every tablet by plain loops; the text of a regimen read back and added up. */
#include "decide_rig.h"

/* "2 x 300 mg + 100 mg" -> sum and count */
static void read_tablets(const char *text, double *sum, int *units) {
  *sum = 0;
  *units = 0;
  for (const char *at = text; at; at = strstr(at, " + ") ? strstr(at, " + ") + 3 : NULL) {
    double a = 0;
    int n = 1, used = 0;
    if (sscanf(at, "%d x %lf mg%n", &n, &a, &used) != 2 || !used) {
      n = 1;
      assert_int_equal(sscanf(at, "%lf mg", &a), 1);
    }
    *sum += n * a;
    *units += n;
  }
}

static void release(dp_candidate *c) { free(c); }

static void all_sums_by_brute_force(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  const dpi_kind_control *control = &w.kind->control[0];
  int least[1000] = {0}, ndose = 0, n;
  for (int a = 0; a <= 3; a++)
    for (int b = 0; b <= 3 - a; b++)
      for (int c = 0; c <= 3 - a - b; c++) {
        int dose = 100 * a + 200 * b + 300 * c, units = a + b + c;
        if (dose > 0 && dose <= 900 && (!least[dose] || units < least[dose])) least[dose] = units;
      }
  for (int d = 1; d < 1000; d++) ndose += least[d] > 0;
  dp_candidate *c;
  assert_int_equal(list_candidates(w.kind, &c, &n, NULL), DP_OK);
  assert_int_equal(n, ndose * control->ninterval);
  for (int i = 0; i < n; i++) {
    double sum;
    int units;
    assert_true(c[i].dose == floor(c[i].dose) && least[(int)c[i].dose] > 0);
    assert_int_equal(c[i].units, least[(int)c[i].dose]);
    read_tablets(c[i].tablets, &sum, &units);
    assert_true(sum == c[i].dose && units == c[i].units);
    assert_true(c[i].interval == control->interval[i / ndose]);
    if (i % ndose) assert_true(c[i].dose > c[i - 1].dose);
  }
  release(c);
  world_close(&w);
}

/* 0.1 + 0.2 in binary is more than 0.3: it is the same dose, and it is not above a bound of 0.3 */
static void decimal_tablets(void **state) {
  const char *dir = rig_kind(*state, "theophylline");
  rig_edit(dir, "controls.tsv", "0\t900\t100;200;300\t3", "0\t0.3\t0.1;0.2;0.3\t2");
  world w = world_open(*state, dir);
  dp_candidate *c;
  int n;
  assert_int_equal(list_candidates(w.kind, &c, &n, NULL), DP_OK);
  assert_int_equal(n, 3 * 4);
  assert_string_equal(c[0].tablets, "0.1 mg");
  assert_string_equal(c[1].tablets, "0.2 mg");
  assert_string_equal(c[2].tablets, "0.3 mg");
  assert_int_equal(c[2].units, 1);
  release(c);
  world_close(&w);
}

static void refused(rig *r, const char *from, const char *to, const char *said) {
  const char *dir = rig_kind(r, "theophylline");
  rig_edit(dir, "controls.tsv", from, to);
  world w = world_open(r, dir);
  dp_candidate *c = NULL;
  int n = -1;
  assert_int_equal(list_candidates(w.kind, &c, &n, NULL), DP_ERR_UNSUPPORTED);
  if (!strstr(dp_ctx_error(r->ctx), said)) fail_msg("'%s' is not in '%s'", said, dp_ctx_error(r->ctx));
  assert_true(c == NULL && n == 0);
  dp_ctx_clear_error(r->ctx);
  world_close(&w);
}

/* what cannot be listed in full is refused by name, never cut short */
static void too_many_or_none(void **state) {
  rig *r = *state;
  refused(r, "100;200;300\t3", "100;200;300\t1000", "control 'oral': 1000 tablets of 3 strengths");
  refused(r, "0\t900\t100;200;300\t3", "0\t\t0.001;1;1000\t80", "control 'oral' gives more than 20000 regimens");
  refused(r, "0\t900\t100;200;300\t3", "40\t90\t100;200;300\t3", "no sum of its tablets lies between 40 and 90 mg");
  refused(r, "0\t900\t100;200;300\t3",
          "0\t\t1.00001;10.00001;100.00001;1000.00001;10000.00001;100000.00001;1000000.00001\t7",
          "takes more than 95 letters to say");
  refused(r, "0\t900\t100;200;300\t3", "0\t\t\t3", "has no strengths, no values and no upper bound");
  refused(r, "3\t6;8;12;24", "3\t", "control 'oral' has no intervals");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(all_sums_by_brute_force, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(decimal_tablets, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(too_many_or_none, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
