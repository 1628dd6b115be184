/* test_equations_rest.c - a state of rest under a law of conservation, where rates span ten decades and what is slow
 * is a difference of what is fast; its derivative. Compared with the closed form. */
#include "eq_text.h"

/* Four pairs that change places some 1e7 times a unit of time; from pair to pair it takes a thousand units. At rest
 * a_i = h_i b_i, k b_i = q b_4^2, the sum of all is 1. */
static const char text[] =
    "model slow\n"
    "  a1' = f*(0.37*b1 - a1) + q*b4^2; b1' = f*(a1 - 0.37*b1) - k*b1;\n"
    "  a2' = 0.3*f*(2.7*b2 - a2) + k*b1; b2' = 0.3*f*(a2 - 2.7*b2) - k*b2;\n"
    "  a3' = 0.7*f*(1.9*b3 - a3) + k*b2; b3' = 0.7*f*(a3 - 1.9*b3) - k*b3;\n"
    "  a4' = 1.7*f*(0.61*b4 - a4) + k*b3; b4' = 1.7*f*(a4 - 0.61*b4) - q*b4^2;\n"
    "  a1 = 1; b1 = 0; a2 = 0; b2 = 0; a3 = 0; b3 = 0; a4 = 0; b4 = 0; f = 2e7; k = 0.7e-3; q = 1.3e-3;\n"
    "end\n";

static void test_decades(void **state) {
  (void)state;
  static const dp_output_def output[] = {{"a1", NULL, ""}, {"b3", NULL, ""}, {"b4", NULL, ""}};
  static const char *const active[] = {"q"};
  dp_sim_def def = dp_sim_def_default();
  dp_model *m = NULL;
  dp_sim *sim = NULL;
  BED_OK(dpi_antimony_read(bed_ctx, text, strlen(text), "slow", &m));
  BED_OK(dp_model_seal(m));
  def.model = m;
  def.method = "ensemble";
  def.rtol = 1e-9;
  def.atol = 1e-13;
  def.output = output;
  def.noutput = 3;
  def.active = active;
  def.nactive = 1;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  bed_run *r = calloc(1, sizeof *r);
  assert_non_null(r);
  bed_defaults(sim, r);
  r->in[r->nin++] = bed_at(0, DP_EQUILIBRATE, 0, 0);
  bed_out(r, 0, 5);
  r->ndir = 1;
  r->seed[0] = 1;
  bed_go(sim, r);
  if (r->status != DP_MEMBER_OK) fail_msg("%s", r->reason);
  /* p b4^2 + g b4 = 1, but for slow over fast, 1e-10 */
  const double k = 0.7e-3, ratio = 1.3e-3 / k, g = 1.61, p = (1.37 + 3.7 + 2.9) * ratio;
  const double b = (sqrt(g * g + 4 * p) - g) / (2 * p), slope = -p / 1.3e-3 * b * b / (2 * p * b + g);
  const double want[] = {0.37 * ratio * b * b, ratio * b * b, b};
  for (int i = 0; i < 3; i++) bed_near(r->value[i], want[i], 1e-7, 0, output[i].id, 0);
  bed_near(r->dvalue[2], slope, 1e-4, 0, "db4/dq", 0);
  print_message("b4: %.3g off, db4/dq: %.3g\n", r->value[2] / b - 1, r->dvalue[2] / slope - 1);
  free(r);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* Two states that change places f times a unit of time; one is fed s and leaks k of itself. */
static const char leaky[] =
    "model leaky\n"
    "  a' = s - f*(a - b); b' = f*(a - b) - k*b;\n"
    "  a = 3; b = 1; f = %g; s = %g; k = %g;\n"
    "end\n";

/* A leak is found, or nothing moves but what is conserved, or the question is refused; never a state of rest that is
 * wrong. */
static void test_leak(void **state) {
  (void)state;
  static const dp_output_def output[] = {{"a", NULL, ""}, {"b", NULL, ""}};
  static const struct {
    double f, s, k, b; /* b: at rest; 0: refused */
  } row[] = {{1e3, 1, 1, 1}, {1e8, 1, 1, 1}, {1e12, 0, 0, 2}, {1e12, 1, 1, 0}, {4e12, 2, 0.5, 0}};
  for (int i = 0; i < DPI_COUNT(row); i++) {
    char words[400];
    dp_sim_def def = dp_sim_def_default();
    dp_model *m = NULL;
    dp_sim *sim = NULL;
    snprintf(words, sizeof words, leaky, row[i].f, row[i].s, row[i].k);
    BED_OK(dpi_antimony_read(bed_ctx, words, strlen(words), "leaky", &m));
    BED_OK(dp_model_seal(m));
    def.model = m;
    def.output = output;
    def.noutput = 2;
    BED_OK(dp_sim_create(bed_ctx, &def, &sim));
    bed_run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    bed_defaults(sim, r);
    r->in[r->nin++] = bed_at(0, DP_EQUILIBRATE, 0, 0);
    bed_out(r, 0, 5);
    bed_go(sim, r);
    if (row[i].b > 0) {
      if (r->status != DP_MEMBER_OK) fail_msg("f %g: %s", row[i].f, r->reason);
      bed_near(r->value[1], row[i].b, 1e-6, 0, "b", 0);
    } else {
      if (r->status != DP_MEMBER_FAILED) fail_msg("f %g: not refused: b %g", row[i].f, r->value[1]);
      assert_non_null(strstr(r->reason, "can't be told from a conserved one"));
    }
    free(r);
    dp_sim_destroy(sim);
    dp_model_destroy(m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_decades, bed_setup, bed_teardown),
                                     cmocka_unit_test_setup_teardown(test_leak, bed_setup, bed_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
