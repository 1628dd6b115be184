/* Units against values known exactly (definitions of the units, molar masses, the clinic's
 * arithmetic); messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "doppel/units.h"

static dp_ctx *ctx;

#define GLUCOSE 180.156

static double convert(double value, const char *from, const char *to, double molar_mass) {
  double out = NAN;
  dp_ctx_clear_error(ctx);
  dp_status st = dp_unit_convert(ctx, value, from, to, molar_mass, &out);
  if (st != DP_OK) fail_msg("%s -> %s: %s", from, to, dp_ctx_error(ctx));
  return out;
}

/* equal to the last bit: what has an exact factor must come out exact */
static void exact(double value, const char *from, const char *to, double expected) {
  double out = convert(value, from, to, 0.0);
  if (out != expected)
    fail_msg("%g %s -> %s: found %.17g, expected %.17g", value, from, to, out, expected);
}

static void close_to(double value, const char *from, const char *to, double molar_mass,
                     double expected, double tol) {
  double out = convert(value, from, to, molar_mass);
  if (!(fabs(out - expected) <= tol * fabs(expected))) {
    fail_msg("%g %s -> %s: found %.17g, expected %.17g", value, from, to, out, expected);
  }
}

/* refused with ERR_INPUT, and the message holds every one of the words (separated by |) */
static void refused_message(dp_status st, const char *what, const char *words) {
  char copy[200], *save = NULL;
  if (st != DP_ERR_INPUT) fail_msg("%s: status %s", what, dp_status_name(st));
  snprintf(copy, sizeof copy, "%s", words);
  for (char *w = strtok_r(copy, "|", &save); w; w = strtok_r(NULL, "|", &save)) {
    if (!strstr(dp_ctx_error(ctx), w))
      fail_msg("%s: '%s' is not in: %s", what, w, dp_ctx_error(ctx));
  }
}

static void refused(const char *from, const char *to, double molar_mass, const char *words) {
  double out = 1.0;
  dp_ctx_clear_error(ctx);
  refused_message(dp_unit_convert(ctx, 1.0, from, to, molar_mass, &out), from, words);
  assert_true(isnan(out));
}

static void invalid(const char *text, const char *words) {
  dp_unit u;
  dp_ctx_clear_error(ctx);
  refused_message(dp_unit_parse(ctx, text, &u), text, words);
}

static void test_exact(void **state) {
  (void)state;
  exact(1, "ug/mL", "mg/L", 1);
  exact(1, "mg", "ug", 1000);
  exact(1, "ug", "mg", 0.001);
  exact(1, "mg/dL", "g/L", 0.01);
  exact(1, "g/dL", "mg/mL", 10);
  exact(1, "ng/mL", "ug/L", 1);
  exact(1, "kg", "ng", 1e12);
  exact(1, "mmol/L", "umol/mL", 1);
  exact(1, "mol/m3", "mmol/L", 1);
  exact(1, "10*9/L", "10*3/uL", 1);
  exact(5.5, "10*9/L", "/nL", 5.5);
  exact(1, "10*12/L", "10*6/uL", 1);
  exact(1, "10^9/L", "10*9/L", 1);
  exact(45, "%", "1", 0.45);
  exact(1, "g/kg", "[ppth]", 1);
  exact(1, "[ppm]", "%", 1e-4);
  exact(1, "d", "h", 24);
  exact(1, "wk", "d", 7);
  exact(1, "h", "min", 60);
  exact(1, "/h", "/d", 24);
  exact(1, "[lb_av]", "g", 453.59237);
  exact(1, "[in_i]", "cm", 2.54);
  exact(6, "L/h", "mL/min", 100);
  exact(100, "mL/min", "L/h", 6);
  exact(1, "L/h/kg", "mL/(h.kg)", 1000);
  exact(1, "k[iU]/L", "m[iU]/mL", 1000);
  exact(1, "[IU]/mL", "[iU]/mL", 1);
  exact(1, "kat/L", "umol/(s.mL)", 1000);
  exact(60, "U/L", "umol/(h.mL)", 3.6);
  exact(760, "mm[Hg]", "m[Hg]", 0.76);
  exact(37, "Cel", "Cel", 37);
  exact(1, "l", "L", 1);
  exact(1, "dm3", "L", 1);
  exact(1, "g%", "g/dL", 1);
  exact(1, "mg/g{creat}", "mg/g", 1);
  exact(1, "meq/L", "eq/m3", 1);
  exact(1, "", "%", 100);
  exact(1, "a", "d", 365.25);
}

static void test_close(void **state) {
  (void)state;
  close_to(1, "L/h", "mL/min", 0, 1000.0 / 60.0, 2e-16);
  close_to(1, "mm[Hg]", "Pa", 0, 133.322, 2e-16);
  close_to(1, "kcal", "kJ", 0, 4.184, 2e-16);
  close_to(98.6, "[degF]", "Cel", 0, 37.0, 1e-14);
  close_to(37, "Cel", "[degF]", 0, 98.6, 1e-14);
  close_to(36.6, "Cel", "K", 0, 309.75, 1e-15);
  close_to(310.15, "K", "Cel", 0, 37.0, 1e-14);
  close_to(37000, "mCel", "[degF]", 0, 98.6, 1e-13);
  close_to(80, "[degRe]", "Cel", 0, 100.0, 1e-14);
  /* pH 7.4 is 39.81 nmol/L of hydrogen ions: 10^(9 - 7.4) */
  close_to(7.4, "[pH]", "nmol/L", 0, pow(10.0, 1.6), 1e-14);
  close_to(40.0, "nmol/L", "[pH]", 0, -log10(40e-9), 1e-14);
  close_to(30, "dB", "1", 0, 1000.0, 1e-14);
  close_to(60, "dB[SPL]", "Pa", 0, 0.02, 1e-14);
  close_to(0.02, "Pa", "dB[SPL]", 0, 60.0, 1e-14);
  close_to(1, "Np", "1", 0, exp(1.0), 1e-15);
  close_to(100, "%[slope]", "deg", 0, 45.0, 1e-14);
  close_to(100, "[p'diop]", "deg", 0, 45.0, 1e-14);
  close_to(8, "1", "bit_s", 0, 3.0, 1e-15);
  close_to(1, "B", "dB", 0, 10.0, 1e-15);
}

/* every function of a non-ratio unit is undone by its inverse */
static void test_special_inverse(void **state) {
  (void)state;
  static const char *const pair[][2] = {{"[pH]", "mol/L"},
                                        {"B", "1"},
                                        {"Np", "1"},
                                        {"B[V]", "mV"},
                                        {"B[kW]", "W"},
                                        {"bit_s", "1"},
                                        {"[m/s2/Hz^(1/2)]", "m2/s4/Hz"},
                                        {"[p'diop]", "rad"},
                                        {"%[slope]", "rad"},
                                        {"[hp'_X]", "1"},
                                        {"[hp'_C]", "1"},
                                        {"[hp'_M]", "1"},
                                        {"[hp'_Q]", "1"},
                                        {"Cel", "K"},
                                        {"[degF]", "K"},
                                        {"[degRe]", "K"}};
  for (int i = 0; i < DPI_COUNT(pair); i++) {
    for (double x = 0.25; x < 12.0; x *= 1.9) {
      double there = convert(x, pair[i][0], pair[i][1], 0.0);
      close_to(there, pair[i][1], pair[i][0], 0.0, x, 1e-12);
    }
  }
}

static void test_molar_mass(void **state) {
  (void)state;
  close_to(100, "mg/dL", "mmol/L", GLUCOSE, 1000.0 / GLUCOSE, 4e-16);
  close_to(5.5, "mmol/L", "mg/dL", GLUCOSE, 0.55 * GLUCOSE, 4e-16);
  close_to(1, "mol", "kg", GLUCOSE, 0.180156, 4e-16);
  close_to(1, "L/g", "L/mol", GLUCOSE, GLUCOSE, 4e-16);
  exact(1, "mg/dL", "mg/L", 10); /* not asked for */
  refused("mg/dL", "mmol/L", 0.0, "mg/dL|mmol/L|molar mass");
  refused("mg/dL", "mmol/L", -1.0, "molar mass");
  refused("mg/dL", "mmol/L", NAN, "molar mass");
  refused("mg", "mol/L", GLUCOSE, "mg|mol/L");
}

static void test_refused(void **state) {
  (void)state;
  refused("[iU]", "mg", 0.0, "[iU]|mg|assay");
  refused("[iU]", "mg", 5808.0, "[iU]|mg|assay");
  refused("mg", "[iU]", 0.0, "[iU]");
  refused("U", "[iU]", 0.0, "enzyme unit");
  refused("[iU]", "[arb'U]", 0.0, "[arb'U]");
  refused("[iU]/mL", "mL", 0.0, "[iU]");
  refused("[iU]", "1", 0.0, "[iU]");
  refused("meq/L", "mmol/L", 0.0, "valence");
  refused("mosm/kg", "mmol/kg", 0.0, "particles");
  refused("mg/L", "mg", 0.0, "g.m-3|expected g");
  refused("L/h", "L", 0.0, "L/h");
  refused("mg", "mL", 0.0, "'mg'|'mL'|found g, expected m3");
  refused("h", "1", 0.0, "expected a number");
  refused("[pH]", "mg/L", 0.0, "molar mass");
  refused("Cel", "s", 0.0, "Cel");
  dp_unit c, f;
  double x;
  dp_ctx_clear_error(ctx);
  assert_int_equal(dp_unit_parse(ctx, "Cel", &c), DP_OK);
  assert_int_equal(dp_unit_parse(ctx, "[degF]", &f), DP_OK);
  refused_message(dp_unit_factor(ctx, &c, &f, 0.0, &x), "Cel factor", "zeros differ");
  assert_int_equal(dp_unit_parse(ctx, "[pH]", &f), DP_OK);
  dp_ctx_clear_error(ctx);
  refused_message(dp_unit_factor(ctx, &c, &f, 0.0, &x), "pH factor", "ratio scale");
  refused("1", "[pH]", 0.0, "[pH]");
  dp_ctx_clear_error(ctx);
  refused_message(dp_unit_convert(ctx, -1.0, "mol/L", "[pH]", 0.0, &x), "negative", "no value");
}

static void test_messages(void **state) {
  (void)state;
  invalid("mcg", "'mcg'|column 1|did you mean ug");
  invalid("mL/mcg", "column 4|did you mean ug");
  invalid("mIU/L", "did you mean m[iU]");
  invalid("IU", "did you mean [iU]");
  invalid("hr", "did you mean h");
  invalid("mmHg", "did you mean mm[Hg]");
  invalid("KG", "did you mean kg");
  invalid("mM", "did you mean mmol/L");
  invalid("umoll", "did you mean umol");
  invalid("g/12h", "column 5|behind the number 12|multiply with a dot");
  invalid("\xC2\xB5g", "micro is written u");
  invalid("\xCE\xBCg", "micro is written u");
  invalid("mg /L", "column 3");
  invalid(" mg", "column 1|blank");
  invalid("mg/", "column 4|end");
  invalid("mg//L", "column 4|'/'");
  invalid("(mg/L", "column 1|without its ')'");
  invalid("mg)", "column 3");
  invalid("[iU", "without its ']'");
  invalid("mg{total", "column 3|without its '}'");
  invalid("m{a{b}}", "inside an annotation");
  invalid("mg-", "digits");
  invalid("m1000", "exponent");
  invalid("10*999", "exponent");
  invalid("0", "number 0");
  invalid("mg.Cel", "Cel|ratio");
  invalid("Cel/h", "Cel|write K");
  invalid("/Cel", "ratio");
  invalid("Cel2", "exponent");
  invalid("kh", "takes no prefix");
  invalid("qwertzuiop", "no unit of UCUM");
  invalid("((((((((((((((((((((((((((((((((((m))))))))))))))))))))))))))))))))))", "nested");
  invalid("m99.m99", "expected at most");
  invalid("Ym99", "too large");
  invalid("Ym90.Yg90", "too large");
  char longer[2000];
  memset(longer, 'm', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  invalid(longer, "longer than");
}

static void test_fields(void **state) {
  (void)state;
  dp_unit u;
  dp_ctx_clear_error(ctx);
  assert_int_equal(dp_unit_parse(ctx, "m[iU]/mL", &u), DP_OK);
  assert_string_equal(u.arbitrary, "[iU]^1");
  assert_true(u.factor == 1e3 && u.dim[0] == -3);
  assert_int_equal(dp_unit_parse(ctx, "[PFU].[iU]-2/[CFU]", &u), DP_OK);
  assert_string_equal(u.arbitrary, "[CFU]^-1.[PFU]^1.[iU]^-2");
  assert_int_equal(dp_unit_parse(ctx, "[iU]/[IU]", &u), DP_OK);
  assert_string_equal(u.arbitrary, "");
  assert_int_equal(dp_unit_parse(ctx, "mg/kg/d", &u), DP_OK);
  assert_string_equal(u.text, "mg/kg/d");
  assert_true(u.dim[2] == 0 && u.dim[1] == -1);
  assert_int_equal(
      dp_unit_parse(ctx, "g{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}", &u), DP_OK);
  assert_int_equal(strlen(u.text), 39);
  assert_int_equal(dp_unit_parse(ctx, NULL, &u), DP_OK);
  assert_true(u.factor == 1.0);
  assert_int_equal(dp_unit_parse(ctx, "{Cel}.Cel{body}", &u), DP_OK);
  assert_true(u.offset == 273.15);
}

/* there and back is where one was, over all pairs of the clinic's concentration units */
static void test_round_trip(void **state) {
  (void)state;
  static const char *const unit[] = {"mg/dL",  "ug/mL",   "g/L",    "ng/uL", "mmol/L",
                                     "umol/L", "nmol/mL", "mol/m3", "pg/fL"};
  for (int i = 0; i < DPI_COUNT(unit); i++) {
    for (int j = 0; j < DPI_COUNT(unit); j++) {
      double x = convert(convert(7.25, unit[i], unit[j], GLUCOSE), unit[j], unit[i], GLUCOSE);
      assert_true(fabs(x - 7.25) < 1e-14);
    }
  }
}

int main(void) {
  dp_ctx_def def = dp_ctx_def_default();
  if (dp_ctx_create(&def, &ctx) != DP_OK) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exact),           cmocka_unit_test(test_close),
      cmocka_unit_test(test_special_inverse), cmocka_unit_test(test_molar_mass),
      cmocka_unit_test(test_refused),         cmocka_unit_test(test_messages),
      cmocka_unit_test(test_fields),          cmocka_unit_test(test_round_trip),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  dp_ctx_destroy(ctx);
  return failed;
}
