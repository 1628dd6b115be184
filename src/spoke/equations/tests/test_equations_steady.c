/* Steady states of systems that conserve something: closed forms of equilibria; a periodic steady state against the
 * plain way of giving 200 doses. Then what has no steady state. */
#include "eq_bed.h"

static const char *const methods[] = {"rk853", "cvode", "auto"};

static void active_seed(bed_run *r, int ndir, const int *which) {
  r->ndir = ndir;
  for (int q = 0; q < ndir; q++) r->seed[which[q] * ndir + q] = 1;
}

/* depot <-> central with rates ka, L; total R: central = R ka/(ka + L) */
static void test_exchange(void **state) {
  (void)state;
  static const bed_state s[] = {{"depot", "R", "L*central - ka*depot"}, {"central", "0", "ka*depot - L*central"}, {0}};
  static const int which[3] = {6, 2, 4};
  const double R = 37, ka = 1.1, L = 0.75, sum = ka + L;
  dp_model *m = bed_model(s, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-9);
    bed_defaults(sim, &r);
    r.in[0] = bed_at(1, DP_EQUILIBRATE, 0, 0);
    r.nin = 1;
    bed_out(&r, 1, 1);
    bed_out(&r, 9, 1);
    active_seed(&r, 3, which);
    bed_go(sim, &r);
    if (r.status != DP_MEMBER_OK) fail_msg("%s: %s", methods[k], r.reason);
    for (int i = 0; i < 2; i++) {
      const double *d = r.dvalue + 3 * (3 * i + 1);
      bed_near(r.value[3 * i + 1], R * ka / sum, 1e-8, 0, methods[k], i);
      bed_near(d[0], ka / sum, 1e-7, 0, "d/dR", i);
      bed_near(d[1], R * L / (sum * sum), 1e-7, 0, "d/dka", i);
      bed_near(d[2], -R * ka / (sum * sum), 1e-7, 0, "d/dL", i);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* 2 depot <-> central: depot + 2 central = R, central = ka/L depot^2 */
static double dimer(double R, double ka, double L) {
  const double q = 2 * ka / L, depot = (-1 + sqrt(1 + 4 * q * R)) / (2 * q);
  return ka / L * depot * depot;
}

static void test_dimer(void **state) {
  (void)state;
  static const bed_state s[] = {
      {"depot", "R", "-2*ka*depot^2 + 2*L*central"}, {"central", "0", "ka*depot^2 - L*central"}, {0}};
  static const int which[3] = {6, 2, 4};
  dp_model *m = bed_model(s, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run r;
    dp_sim *sim = bed_sim(m, methods[k], 1e-9);
    const double p[3] = {37, 1.1, 0.75}, h = 1e-4;
    bed_defaults(sim, &r);
    r.in[0] = bed_at(0, DP_EQUILIBRATE, 0, 0);
    r.nin = 1;
    bed_out(&r, 0, 1);
    active_seed(&r, 3, which);
    bed_go(sim, &r);
    if (r.status != DP_MEMBER_OK) fail_msg("%s: %s", methods[k], r.reason);
    bed_near(r.value[1], dimer(p[0], p[1], p[2]), 1e-9, 0, methods[k], 0);
    for (int q = 0; q < 3; q++) {
      double a[3], b[3];
      memcpy(a, p, sizeof p);
      memcpy(b, p, sizeof p);
      a[q] += h;
      b[q] -= h;
      bed_near(r.dvalue[3 + q], (dimer(a[0], a[1], a[2]) - dimer(b[0], b[1], b[2])) / (2 * h), 1e-7, 0, methods[k], q);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* A drug that binds a receptor of constant total: the plain way is to give 200 doses. */
static void test_receptor(void **state) {
  (void)state;
  static const bed_state s[] = {{"depot", "R", "L*bound - 0.01*ka*depot*central"}, /* free receptor */
                                {"central", "0", "L*bound - 0.01*ka*depot*central - CL/V*central"},
                                {"bound", "0", "0.01*ka*depot*central - L*bound"},
                                {0}};
  static const int which[4] = {0, 1, 2, 6};
  dp_model *m = bed_model(s, bed_one_param, NULL);
  for (int k = 0; k < DPI_COUNT(methods); k++) {
    static bed_run steady, plain;
    bed_run *const run[2] = {&steady, &plain};
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    for (int q = 0; q < 2; q++) {
      bed_defaults(sim, run[q]);
      run[q]->in[0] = bed_at(0, DP_ADD, C_IV, 100);
      run[q]->in[0].interval = bed_ticks(12);
      run[q]->in[0].repeats = q == 0 ? 1 : 201;
      run[q]->in[0].steady = q == 0;
      run[q]->nin = 1;
      for (int i = 0; i < 12; i++) bed_out(run[q], (q == 0 ? 0 : 2400) + 1.7 * i, 1);
      active_seed(run[q], 4, which);
      bed_go(sim, run[q]);
      if (run[q]->status != DP_MEMBER_OK) fail_msg("%s: %s", methods[k], run[q]->reason);
    }
    for (int i = 0; i < 36; i++) {
      bed_near(steady.value[i], plain.value[i], 1e-7, 0, methods[k], i);
      for (int q = 0; q < 4; q++)
        bed_near(steady.dvalue[4 * i + q], plain.dvalue[4 * i + q], 1e-5, 1e-7, methods[k], i);
    }
    steady.ndir = 0; /* without derivatives the search is another */
    bed_go(sim, &steady);
    for (int i = 0; i < 36; i++) bed_near(steady.value[i], plain.value[i], 1e-7, 0, methods[k], i);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Linear kinetics that drive a response which is linear in itself: found without search. The plain way is to give 140
 * doses: by mouth with lag and bioavailability, as infusions longer than their interval, and with a slow response. */
static void test_cascade(void **state) {
  (void)state;
  static const bed_state s[] = {{"depot", "0", "-ka*depot"},
                                {"blood", "0", "ka*depot - CL/V*blood"},
                                {"effect", "R", "0.1*R*(1 - blood/(5*V2 + blood)) - (0.1 + 0.01*blood)*effect"},
                                {"central", "1", "0.02*effect - 0.008*central"}, /* what the outputs show */
                                {0}};
  static const int which[5] = {0, 1, 2, 6, 4};
  dp_model *m = bed_model(s, bed_two_param, NULL);
  for (int k = 0; k < 6; k++) { /* rk853, cvode */
    static bed_run steady, plain;
    bed_run *const run[2] = {&steady, &plain};
    const int kind = k % 3, nin = 140;
    dp_sim *sim = bed_sim(m, methods[k / 3], 1e-9);
    for (int q = 0; q < 2; q++) {
      bed_defaults(sim, run[q]);
      run[q]->in[0] = bed_at(0, kind == 1 ? DP_INFUSE : DP_ADD, kind == 2 ? C_ORAL : C_ALL, 100);
      if (kind == 1) run[q]->in[0].rate = 2; /* F 100/2 = 30 h */
      run[q]->in[0].interval = bed_ticks(24);
      run[q]->in[0].repeats = q == 0 ? 1 : nin + 1;
      run[q]->in[0].steady = q == 0;
      run[q]->nin = 1;
      for (int i = 0; i < 12; i++) bed_out(run[q], (q == 0 ? 0 : 24.0 * nin) + 3.3 * i, 1);
      active_seed(run[q], 5, which);
      bed_go(sim, run[q]);
      if (run[q]->status != DP_MEMBER_OK) fail_msg("%s: %s", methods[k / 3], run[q]->reason);
    }
    for (int i = 0; i < 36; i++) {
      bed_near(steady.value[i], plain.value[i], 1e-7, 1e-9, methods[k / 3], i);
      for (int q = 0; q < 5; q++)
        bed_near(steady.dvalue[5 * i + q], plain.dvalue[5 * i + q], 1e-5, 1e-6, methods[k / 3], 100 * kind + i);
    }
    steady.ndir = 0;
    bed_go(sim, &steady);
    for (int i = 0; i < 36; i++) bed_near(steady.value[i], plain.value[i], 1e-7, 1e-9, methods[k / 3], i);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Saturable elimination slower than the doses: the state grows without end. */
static void test_overdose(void **state) {
  (void)state;
  static const bed_state s[] = {{"depot", "0", "-ka*depot"}, {"central", "0", "-CL*central/(V + central)"}, {0}};
  dp_model *m = bed_model(s, bed_one_param, NULL);
  static bed_run r;
  dp_sim *sim = bed_sim(m, "rk853", 1e-8);
  bed_defaults(sim, &r);
  r.in[0] = bed_at(0, DP_ADD, C_IV, 49); /* at most 48 go in 12 h */
  r.in[0].interval = bed_ticks(12);
  r.in[0].steady = 1;
  r.nin = 1;
  bed_out(&r, 1, 0);
  bed_go(sim, &r);
  assert_int_equal(r.status, DP_MEMBER_FAILED);
  assert_non_null(strstr(r.reason, "no steady state"));
  bed_defaults(sim, &r);
  r.in[0] = bed_at(0, DP_ADD, C_IV, 47); /* just below */
  r.in[0].interval = bed_ticks(12);
  r.in[0].steady = 1;
  r.nin = 1;
  bed_out(&r, 0, 0);
  bed_out(&r, 12, 0);
  bed_go(sim, &r);
  if (r.status != DP_MEMBER_OK) fail_msg("%s", r.reason);
  /* Michaelis-Menten: V ln(x0/x1) + x0 - x1 = CL t, with x1 = x0 - 47 */
  const double x0 = r.value[1], x1 = r.value[4];
  bed_near(x0 - x1, 47, 1e-6, 0, "gone in 12 h", 12);
  bed_near(70 * log(x0 / x1) + x0 - x1, 48, 1e-6, 0, "integrated form", 12);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exchange),
      cmocka_unit_test(test_dimer),
      cmocka_unit_test(test_receptor),
      cmocka_unit_test(test_cascade),
      cmocka_unit_test(test_overdose),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
