/* test_equations_crew.c - where members in lanes begin: explicitly those that end before the model becomes stiff.
 * Compared with the methods by themselves, to the byte. */
#include "eq_text.h"

enum { NT = 9 };

/* x is calm; w follows it ever faster: by exp(2) more at each unit of time */
static const char text[] =
    "model later\n"
    "  z' = 1; x' = 0.1*z - x; w' = -exp(2*z)*(w - x);\n"
    "  z = 0; x = 1; w = 0.5;\n"
    "end\n";

static dp_sim *sim_by(const char *method, dp_model **model) {
  static const dp_output_def output[] = {{"w", NULL, ""}};
  dp_sim_def def = dp_sim_def_default();
  dp_model *m = NULL;
  dp_sim *sim = NULL;
  BED_OK(dpi_antimony_read(bed_ctx, text, strlen(text), "later", &m));
  BED_OK(dp_model_seal(m));
  def.model = m;
  def.method = method;
  def.rtol = 1e-7;
  def.atol = 1e-10;
  def.output = output;
  def.noutput = 1;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  *model = m;
  return sim;
}

/* NT outputs up to the end */
static void go(const char *method, double end, double *value) {
  dp_model *m = NULL;
  dp_sim *sim = sim_by(method, &m);
  bed_run *r = calloc(1, sizeof *r);
  assert_non_null(r);
  bed_defaults(sim, r);
  for (int i = 1; i <= NT; i++) bed_out(r, end * i / NT, 0);
  bed_go(sim, r);
  if (r->status != DP_MEMBER_OK) fail_msg("%s to %g: %s", method, end, r->reason);
  memcpy(value, r->value, sizeof *value * NT);
  free(r);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

static void test_begin(void **state) {
  (void)state;
  static const struct {
    double end;
    const char *as, *not;
  } cases[] = {{1.0, "tsit", "rodas"}, {7.0, "rodas", "tsit"}};
  for (int i = 0; i < 2; i++) {
    double by_itself[NT], as[NT], other[NT];
    go("ensemble", cases[i].end, by_itself);
    go(cases[i].as, cases[i].end, as);
    assert_memory_equal(by_itself, as, sizeof as);
    if (i == 1) continue; /* `tsit` gives up there */
    go(cases[i].not, cases[i].end, other);
    assert_memory_not_equal(by_itself, other, sizeof other);
    for (int k = 0; k < NT; k++) bed_near(by_itself[k], other[k], 1e-6, 1e-9, "w", k);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_begin, bed_setup, bed_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
