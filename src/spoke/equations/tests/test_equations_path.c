/* Functionals of the path against closed forms: areas, tmax = ln(ka/ke)/(ka - ke) and Cmax, time above a level, first
 * passages; jumps at window ends; independence of where outputs lie. */
#include <time.h>

#include "eq_bed.h"

static const char *const methods[] = {"linear", "rk853", "cvode"};
static const double CL = 4, V = 70, KA = 1.1;

static dp_functional path(dp_functional_kind kind, double from, double to, double level, double level2) {
  return (dp_functional){kind, 0, bed_ticks(from), bed_ticks(to), level, level2};
}

static double oral(double t) {
  const double ke = CL / V;
  return 320 / V * KA / (KA - ke) * (exp(-ke * t) - exp(-KA * t));
}
static double oral_area(double a, double b) {
  const double ke = CL / V;
  return 320 / V * KA / (KA - ke) * ((exp(-ke * a) - exp(-ke * b)) / ke - (exp(-KA * a) - exp(-KA * b)) / KA);
}
/* time in (a, b) at which the oral curve is at `level`, by bisection on the formula */
static double oral_cross(double a, double b, double level) {
  const bool up = oral(a) < level;
  for (int i = 0; i < 200; i++) {
    const double m = 0.5 * (a + b);
    if ((oral(m) < level) == up)
      a = m;
    else
      b = m;
  }
  return a;
}

static void oral_case(const dp_sim *sim, bed_run *r) {
  bed_defaults(sim, r);
  r->in[r->nin++] = bed_at(0, DP_ADD, C_ORAL, 320);
  r->f[0] = path(DP_INTEGRAL, 0, 24, 0, 0);
  r->f[1] = path(DP_INTEGRAL, 1.5, 7.25, 0, 0);
  r->f[2] = path(DP_MAXIMUM, 0, 24, 0, 0);
  r->f[3] = path(DP_MAXIMUM, 5, 24, 0, 0);
  r->f[4] = path(DP_MINIMUM, 0.5, 24, 0, 0);
  r->f[5] = path(DP_TIME_BETWEEN, 0, 24, 3.2, INFINITY);
  r->f[6] = path(DP_TIME_BETWEEN, 0, 48, 2, 3.2);
  r->f[7] = path(DP_FIRST_ABOVE, 0, 24, 3.2, 0);
  r->f[8] = path(DP_FIRST_BELOW, 4, 48, 2, 0);
  r->f[9] = path(DP_FIRST_ABOVE, 0, 24, 5, 0);
  r->f[10] = path(DP_FIRST_BELOW, 2, 24, 4, 0); /* already below at the start */
  r->nf = 11;
}

static void test_oral(void **state) {
  (void)state;
  const double ke = CL / V, tmax = log(KA / ke) / (KA - ke);
  const double up2 = oral_cross(0, tmax, 2), up3 = oral_cross(0, tmax, 3.2), down3 = oral_cross(tmax, 48, 3.2),
               down2 = oral_cross(tmax, 48, 2);
  const double want[] = {oral_area(0, 24),
                         oral_area(1.5, 7.25),
                         oral(tmax),
                         oral(5),
                         fmin(oral(0.5), oral(24)),
                         down3 - up3,
                         (up3 - up2) + (down2 - down3),
                         up3,
                         down2,
                         NAN,
                         2};
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    oral_case(sim, &r);
    bed_go(sim, &r);
    assert_int_equal(r.status, DP_MEMBER_OK);
    for (int i = 0; i < r.nf; i++) {
      if (isnan(want[i]))
        assert_true(isnan(r.functional[i]));
      else
        bed_near(r.functional[i], want[i], 2e-9, 0, methods[k], i);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Repeated bolus: saw teeth, both sides of each jump count, at the window's end only the side before. */
static void test_saw_teeth(void **state) {
  (void)state;
  const double ke = CL / V, e = exp(-8 * ke), c0 = 100 / V;
  const double top3 = c0 * (1 + e + e * e); /* after the third dose, at 16 */
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    bed_defaults(sim, &r);
    r.in[0] = bed_at(0, DP_ADD, C_IV, 100);
    r.in[0].interval = bed_ticks(8);
    r.in[0].repeats = 3;
    r.nin = 1;
    r.f[0] = path(DP_MAXIMUM, 8, 16, 0, 0); /* after the second dose; the third does not count */
    r.f[1] = path(DP_MAXIMUM, 8, 20, 0, 0);
    r.f[2] = path(DP_MINIMUM, 8, 16, 0, 0);             /* before the third */
    r.f[3] = path(DP_MINIMUM, 4, 12, 0, 0);             /* before the second */
    r.f[4] = path(DP_FIRST_ABOVE, 0, 30, 1.01 * c0, 0); /* by the jump at 8 */
    r.f[5] = path(DP_MAXIMUM, 16, 16, 0, 0);            /* one instant: after everything there */
    r.f[6] = path(DP_INTEGRAL, 0, 16, 0, 0);
    r.f[7] = path(DP_MAXIMUM, 24, 24, 0, 0); /* the end of the run */
    r.nf = 8;
    bed_go(sim, &r);
    const double want[] = {c0 * (1 + e),
                           top3,
                           c0 * (1 + e) * e,
                           c0 * e,
                           8,
                           top3,
                           c0 * (1 - e) / ke * (2 + e),
                           c0 * (1 + e + e * e + e * e * e)};
    for (int i = 0; i < r.nf; i++) bed_near(r.functional[i], want[i], 2e-9, 0, methods[k], i);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Infusion: the maximum is a corner at its end, where the slope never is zero. */
static void test_corner(void **state) {
  (void)state;
  const double ke = CL / V;
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    bed_defaults(sim, &r);
    r.in[0] = bed_at(0, DP_INFUSE, C_IV, 100);
    r.in[0].rate = 30;
    r.nin = 1;
    r.f[0] = path(DP_MAXIMUM, 0, 24, 0, 0);
    r.nf = 1;
    bed_go(sim, &r);
    bed_near(r.functional[0], 30 / CL * -expm1(-ke * 100 / 30), 2e-9, 0, methods[k], 0);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* A peak while an infusion runs: the slope there has the input in it. Truth by golden-section search on the formula. */
static double with_infusion(double t) { return oral(t) - 5 / CL * expm1(-CL / V * t); }

static void test_peak_under_infusion(void **state) {
  (void)state;
  double a = 0.5, b = 12;
  const double golden = 0.6180339887498949;
  for (int i = 0; i < 80; i++) {
    const double c = b - golden * (b - a), d = a + golden * (b - a);
    if (with_infusion(c) > with_infusion(d))
      b = d;
    else
      a = c;
  }
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    bed_defaults(sim, &r);
    r.in[0] = bed_at(0, DP_ADD, C_ORAL, 320 * 4);
    r.in[1] = bed_at(0, DP_INFUSE, C_IV, 5 * 4 * 40);
    r.in[1].rate = 5 * 4;
    r.nin = 2;
    r.f[0] = path(DP_MAXIMUM, 0, 12, 0, 0);
    r.f[1] = path(DP_INTEGRAL, 0, 12, 0, 0);
    r.nf = 2;
    bed_go(sim, &r);
    const double ke = CL / V, area = 4 * (oral_area(0, 12) + 5 / CL * (12 + expm1(-ke * 12) / ke));
    bed_near(r.functional[0], 4 * with_infusion(0.5 * (a + b)), 2e-9, 0, methods[k], 0);
    bed_near(r.functional[1], area, 2e-9, 0, methods[k], 1);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* An oscillator seen for many periods by the method that takes the whole segment at once. */
static void test_oscillation(void **state) {
  (void)state;
  static const bed_state osc[] = {
      {"depot", "0", "-ka*depot"}, {"central", "V", "CL*q"}, {"q", "0", "-CL*central"}, {0}};
  dp_model *m = bed_model(osc, bed_one_param, NULL); /* central/V = cos(CL t) */
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    const double period = 2 * acos(-1.0) / CL;
    bed_defaults(sim, &r);
    r.f[0] = path(DP_TIME_BETWEEN, 0, 20 * period, 0.5, INFINITY);
    r.f[1] = path(DP_MAXIMUM, 0.3 * period, 20.7 * period, 0, 0);
    r.f[2] = path(DP_INTEGRAL, 0, 20.25 * period, 0, 0);
    r.nf = 3;
    bed_go(sim, &r);
    bed_near(r.functional[0], 20 * period / 3, 1e-7, 0, methods[k], 0);
    bed_near(r.functional[1], 1, 1e-7, 0, methods[k], 1);
    bed_near(r.functional[2], 1 / CL, 1e-6, 0, methods[k], 2);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Outputs never steer the integration: the same bytes with none, few and many of them. */
static void test_outputs_do_not_matter(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_two, bed_two_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run none, some, many;
    dp_sim *sim = bed_sim(m, methods[k], 1e-7);
    bed_run *const run[3] = {&none, &some, &many};
    for (int q = 0; q < 3; q++) {
      oral_case(sim, run[q]);
      run[q]->in[run[q]->nin++] = bed_at(6, DP_INFUSE, C_ALL, 300);
      run[q]->in[run[q]->nin - 1].rate = DP_DURATION_MODEL;
      bed_out(run[q], 3.0, 0);
      for (int i = 0; q > 0 && i < (q == 1 ? 6 : 390); i++) bed_out(run[q], 3.5 + (q == 1 ? 7 : 0.1) * i, 0);
      if (q == 0) bed_out(run[q], 48, 0);
      bed_go(sim, run[q]);
    }
    assert_memory_equal(none.functional, some.functional, sizeof(double) * 9);
    assert_memory_equal(none.functional, many.functional, sizeof(double) * 9);
    assert_memory_equal(none.value, some.value, sizeof(double) * 3);
    assert_memory_equal(none.value, many.value, sizeof(double) * 3);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Cells at rest until a drug works on them: on the level stretch rounding is all that there is to be seen, and it must
 * not be looked into (the extremum of 64 members costs about what their paths cost, not a hundred times as much). The
 * same of a drug that has gone below the tolerance, and of a difference of large numbers. below: of circ0, what the
 * lowest value is less than. */
static double level_seconds(const dp_sim *sim, bool extremum, double below) {
  enum { MEMBERS = 64 };
  static dp_member member[MEMBERS];
  static double param[MEMBERS][16];
  const dp_functional lowest = path(DP_MINIMUM, 0, 21, 0, 0);
  const dp_output_time end = {bed_ticks(21), 0};
  const dp_sim_desc *d = dp_sim_describe(sim);
  const int circ0 = dp_sim_param(sim, "circ0"), dose = dp_sim_param(sim, "dose");
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  struct timespec t[2];
  for (int i = 0; i < MEMBERS; i++) {
    for (int k = 0; k < d->nparam; k++) param[i][k] = d->param_default[k];
    param[i][circ0] = 3 + 0.13 * i;
    param[i][dose] = 0.1 + 0.02 * i;
    member[i] = (dp_member){.param = param[i], .out = &end, .nout = 1, .functional = &lowest, .nfunctional = extremum};
  }
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t[0]);
  BED_OK(dp_simulate(sim, member, MEMBERS, &opts, &res));
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t[1]);
  for (int i = 0; i < MEMBERS; i++) {
    assert_int_equal(res->status[i], DP_MEMBER_OK);
    if (extremum) assert_true(res->functional[i] < below * param[i][circ0]);
  }
  dp_result_destroy(res);
  return (double)(t[1].tv_sec - t[0].tv_sec) + 1e-9 * (double)(t[1].tv_nsec - t[0].tv_nsec);
}

static void test_level_stretch(void **state) {
  (void)state;
  static const char text[] =
      "circ0 = 5; k = 0.77; drug = dose; dose = 0.3; drug' = -2*drug; prol = circ0; t1 = circ0; t2 = circ0;\n"
      "t3 = circ0; blood = circ0; prol' = k*prol*((1 - drug)*(circ0/blood)^0.239 - 1); t1' = k*(prol - t1);\n"
      "t2' = k*(t1 - t2); t3' = k*(t2 - t3); blood' = k*(t3 - blood);\n";
  dp_model *m = NULL;
  BED_OK(dpi_model_read_text(bed_ctx, text, strlen(text), "inline", &m));
  BED_OK(dpi_model_seal(m));
  static const struct {
    const char *method, *formula;
    double below;
  } row[] = {{"ensemble", "blood", 0.99},      {"cvode", "blood", 0.99}, {"ensemble", "drug", 1e-8},
             {"cvode", "drug", 1e-8},          {"rk853", "drug", 1e-8},  {"ensemble", "blood - circ0", -0.01},
             {"cvode", "blood - circ0", -0.01}};
  for (int k = 0; k < DPI_COUNT(row); k++) {
    const dp_output_def out = {"seen", row[k].formula, ""};
    dp_sim_def def = dp_sim_def_default();
    dp_sim *sim = NULL;
    def.model = m;
    def.method = row[k].method;
    def.rtol = 1e-5;
    def.atol = 1e-8;
    def.time_unit = "d";
    def.output = &out;
    def.noutput = 1;
    BED_OK(dp_sim_create(bed_ctx, &def, &sim));
    level_seconds(sim, true, row[k].below);
    const double without = level_seconds(sim, false, 0), with = level_seconds(sim, true, row[k].below);
    print_message("64 members by %s: %.2f ms, with the lowest %s %.2f ms\n", row[k].method, 1e3 * without, out.formula,
                  1e3 * with);
    /* no figure of speed: halved to the last depth this is thousands of times as much, and a busy machine or a compiler
     * at work beside it ten times */
    assert_true(with < 200 * without);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_oral),          cmocka_unit_test(test_saw_teeth),
      cmocka_unit_test(test_corner),        cmocka_unit_test(test_peak_under_infusion),
      cmocka_unit_test(test_oscillation),   cmocka_unit_test(test_outputs_do_not_matter),
      cmocka_unit_test(test_level_stretch),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
