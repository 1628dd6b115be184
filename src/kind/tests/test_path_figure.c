/* test_path_figure.c - figures of a path from text: every form, units converted by hand, everything else refused by
 * name. */
#include "kind/path_figure.h"
#include "kind/tests/kind_rig.h"

static dp_kind *open_kind(rig *r) {
  dp_kind *k = NULL;
  if (dp_kind_load(r->ctx, TWINS "/vancomycin", &k) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  return k;
}

static dpi_path_request parse(rig *r, const dp_kind *k, const char *text) {
  dpi_path_request q;
  if (dpi_path_request_parse(k, text, "here", &q) != DP_OK) fail_msg("%s: %s", text, dp_ctx_error(r->ctx));
  return q;
}

static void forms_are_read(void **state) {
  rig *r = *state;
  dp_kind *k = open_kind(r);
  dpi_path_request q = parse(r, k, "integral(c, 9 d, 240) = 0.4 g.h/L");
  assert_int_equal(q.ask, DPI_ASK_FIGURE);
  assert_int_equal(q.figure.form, DPI_PATH_FUNCTIONAL);
  assert_int_equal(q.figure.functional, DP_INTEGRAL);
  assert_int_equal(q.figure.output, k->quantity[0].sim_output);
  assert_true(q.figure.from == 216 && q.figure.to == 240);
  assert_true(fabs(q.wanted - 400) < 1e-9);
  dp_kind_destroy(k);
}

static void windows_and_levels(void **state) {
  rig *r = *state;
  dp_kind *k = open_kind(r);
  dpi_path_request q = parse(r, k, "first_below(serum, 0.01 g/L, 120 min, 1 d)");
  assert_int_equal(q.figure.functional, DP_FIRST_BELOW);
  assert_true(fabs(q.figure.level - 10) < 1e-12 && q.figure.from == 2 && q.figure.to == 24);
  assert_string_equal(q.figure.unit, "h");
  q = parse(r, k, " time_between( c , 10 , 20 mg/L , 0 , 24 ) ");
  assert_true(q.figure.level == 10 && q.figure.level2 == 20 && isnan(q.wanted));
  q = parse(r, k, "time_of_minimum(c, 0, 10)");
  assert_int_equal(q.figure.form, DPI_PATH_TIME_OF);
  assert_int_equal(q.figure.functional, DP_MINIMUM);
  assert_string_equal(q.figure.unit, "h");
  q = parse(r, k, "c(24)=11.04931");
  assert_int_equal(q.figure.form, DPI_PATH_VALUE);
  assert_true(q.figure.from == 24 && q.wanted == 11.04931);
  assert_string_equal(q.figure.unit, "mg/L");
  q = parse(r, k, "value(CL, 1e-1 d)");
  assert_true(fabs(q.figure.from - 2.4) < 1e-12);
  assert_string_equal(q.figure.unit, "L/h");
  q = parse(r, k, "Vc");
  assert_true(q.figure.form == DPI_PATH_VALUE && isnan(q.figure.from));
  q = parse(r, k, "eta_Vp");
  assert_true(q.figure.form == DPI_PATH_EFFECT && q.figure.output == 2);
  dp_kind_destroy(k);
}

static void doses(void **state) {
  rig *r = *state;
  dp_kind *k = open_kind(r);
  dpi_path_request q = parse(r, k, "dose_for(integral(c, 216, 240) = 400; duration 120 min, interval 1 d, count 11)");
  assert_int_equal(q.ask, DPI_ASK_DOSE_FOR);
  assert_true(q.wanted == 400 && q.dosing.duration == 2 && q.dosing.interval == 24 && q.dosing.count == 11);
  assert_true(q.dosing.control == 0 && isnan(q.dosing.dose) && !q.dosing.steady);
  q = parse(r, k, "value_of(maximum(c, 0, 24); control iv, dose 1.5 g, steady, interval 12)");
  assert_int_equal(q.ask, DPI_ASK_VALUE_OF);
  assert_true(fabs(q.dosing.dose - 1500) < 1e-9 && q.dosing.steady && q.dosing.count == 0 && isnan(q.wanted));
  dp_kind_destroy(k);
}

static void the_rest_is_refused(void **state) {
  static const struct {
    const char *text, *said;
  } bad[] = {
      {"", "expected a figure"},
      {"integral", "expected a quantity"},
      {"integral(", "expected"},
      {"integral(c", "','"},
      {"integral(c, 0", "','"},
      {"integral(c, 0, 24", "')'"},
      {"integral(c, 24, 0)", "ends after"},
      {"integral(c, 0, 24) = 400 mg", "does not convert to 'mg.h/L'"},
      {"integral(c, 0, 24) = much", "expected a number"},
      {"integral(c, 0, 24) 400", "nothing more"},
      {"integral(conc, 0, 24)", "'conc'"},
      {"integral(c, -1, 24)", "a time from 0"},
      {"integral(c, 0, 1e300)", "a time from 0"},
      {"integral(c, 0, nan)", "expected a number"},
      {"integral(c, 0, 24 mg)", "does not convert to 'h'"},
      {"time_between(c, 20, 10, 0, 24)", "upper end"},
      {"total(c, 0, 24)", "'total'"},
      {"CL2", "'CL2'"},
      {"dose_for(integral(c, 0, 24))", "'='"},
      {"dose_for(CL = 2)", "under these doses"},
      {"dose_for(integral(c, 0, 24) = 400; steady)", "need an interval"},
      {"dose_for(integral(c, 0, 24) = 400; count 3)", "need an interval"},
      {"dose_for(integral(c, 0, 24) = 400; count 2.5, interval 12)", "whole number"},
      {"dose_for(integral(c, 0, 24) = 400; control oral)", "control of this kind"},
      {"dose_for(integral(c, 0, 24) = 400; speed 3)", "dose, interval"},
      {"dose_for(integral(c, 0, 24) = 400; interval 1e6, count 100000)", "beyond 1e9"},
      {"dose_for(integral(c, 0, 24) = 400; duration 1e-10)", "shorter than"},
      {"dose_for(integral(c, 0, 24) = 400; interval 1e-10, count 2)", "shorter than"},
      {"integral(c, 0, 1e-10)", "ends after"},
      {"value_of(maximum(c, 0, 24))", "'dose'"},
      {"value_of(maximum(c, 0, 24) = 3; dose 100)", "no '='"},
      {"value_of(maximum(c, 0, 24); dose 0)", "> 0"},
      {"value_of(maximum(c, 0, 24); dose 5 L)", "does not convert to 'mg'"},
      {"value_of(maximum(c, 0, 24); dose 100", "')'"},
  };
  rig *r = *state;
  dp_kind *k = open_kind(r);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    dpi_path_request q;
    dp_ctx_clear_error(r->ctx);
    assert_int_equal(dpi_path_request_parse(k, bad[i].text, "here", &q), DP_ERR_INPUT);
    if (!strstr(dp_ctx_error(r->ctx), bad[i].said) || strncmp(dp_ctx_error(r->ctx), "here: ", 6) != 0)
      fail_msg("%s: '%s', expected '%s'", bad[i].text, dp_ctx_error(r->ctx), bad[i].said);
  }
  dp_kind_destroy(k);
}

/* Rows of evidence.tsv about a person: what they ask for is looked at when the kind is loaded. */
static void evidence_rows(void **state) {
  static const struct {
    const char *from, *to, *said;
  } bad[] = {
      {"CL\tmap\tA", "CLL\tmap\tA", "'CLL'"},
      {"CL\tmap\tA", "CL\tmap\t", "column person"},
      {"CL\tmap\tA", "tv_CL\tlaplace\tA", "no person with this method"},
      {"CL\tmap\tA", "CL\tmab\tA", "'mab'"},
      {"CL\tmap\tA", "c(24) = 3\tmap\tA", "no '=' outside"},
      {"0.005\tL/h", "0.005\tL", "does not convert to this row's unit 'L'"},
      {"dose_for(integral(c, 0, 24) = 400; duration 2)", "dose_for(integral(c, 0, 24); duration 2)", "'='"},
  };
  rig *r = *state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *dir = rig_kind(r, "vancomycin");
    dp_kind *k = NULL;
    rig_edit(dir, "evidence/evidence.tsv", bad[i].from, bad[i].to);
    dp_ctx_clear_error(r->ctx);
    assert_int_equal(dp_kind_load(r->ctx, dir, &k), DP_ERR_INPUT);
    if (!strstr(dp_ctx_error(r->ctx), bad[i].said) || !strstr(dp_ctx_error(r->ctx), "evidence.tsv:"))
      fail_msg("'%s' for '%s': %s", bad[i].to, bad[i].from, dp_ctx_error(r->ctx));
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {TEST(forms_are_read), TEST(windows_and_levels), TEST(doses),
                                     TEST(the_rest_is_refused), TEST(evidence_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
