/* Derivatives by parameters, amount and time of doses through every kind of instant, against Richardson-extrapolated
 * central differences of the exact method's values (the nonlinear model: of rk853 at rtol 1e-12). */
#include "eq_bed.h"

#define NDIR 9 /* CL V ka F L D R, amount, time */
static const char *const dir_name[NDIR] = {"CL", "V", "ka", "F", "L", "D", "R", "amount", "time"};
static const double base[NDIR] = {4, 70, 1.1, 0.6, 0.75, 2.5, 37, 320, 0};

typedef void (*scene_fn)(const dp_sim *sim, bed_run *r, double amount, double shift);

/* Directions of amount and time on the dose that moves. */
static dp_instant moving(double time, dp_instant_type type, int control, double amount, double shift) {
  dp_instant in = bed_at(time + shift, type, control, amount);
  in.dir_amount = 7;
  in.dir_time = 8;
  return in;
}

static void put(const dp_sim *sim, bed_run *r, scene_fn scene, const double *theta) {
  bed_defaults(sim, r);
  for (int k = 0; k < 7; k++) r->param[dp_sim_param(sim, bed_active[k])] = theta[k];
  scene(sim, r, theta[7], theta[8]);
  static const double times[] = {1.2, 2.1, 2.9, 3.6, 5, 7.3, 9.1, 13, 17, 21.7, 26, 33, 50};
  for (int i = 0; i < DPI_COUNT(times); i++) bed_out(r, times[i], 5);
}

static void differences(const dp_sim *sim, scene_fn scene, double *d) {
  static bed_run r[4];
  for (int q = 0; q < NDIR; q++) {
    const double h = q == 8 ? 0.02 : 0.01 * base[q];
    static const double step[4] = {1, -1, 0.5, -0.5};
    for (int s = 0; s < 4; s++) {
      double theta[NDIR];
      memcpy(theta, base, sizeof base);
      theta[q] += h * step[s];
      put(sim, &r[s], scene, theta);
      bed_go(sim, &r[s]);
      if (r[s].status != DP_MEMBER_OK) fail_msg("difference by %s: %s", dir_name[q], r[s].reason);
    }
    for (int i = 0; i < r[0].nout * 3; i++) {
      const double wide = (r[0].value[i] - r[1].value[i]) / (2 * h), close = (r[2].value[i] - r[3].value[i]) / h;
      d[i * NDIR + q] = (4 * close - wide) / 3;
    }
  }
}

/* What a direction's derivatives are measured against: the largest at any output of that kind. */
static double size_of(const double *d, int nout, int o, int q) {
  double big = 0;
  for (int i = 0; i < nout; i++) big = fmax(big, fabs(d[(3 * i + o) * NDIR + q]));
  return big;
}

static void compare(const dp_sim *sim, scene_fn scene, const double *d, double tol, const char *what) {
  static bed_run r;
  put(sim, &r, scene, base);
  r.ndir = NDIR;
  for (int k = 0; k < 7; k++) r.seed[k * NDIR + k] = 1;
  bed_go(sim, &r);
  if (r.status != DP_MEMBER_OK) fail_msg("%s: %s", what, r.reason);
  for (int i = 0; i < r.nout; i++)
    for (int o = 0; o < 3; o++)
      for (int q = 0; q < NDIR; q++) {
        char label[200];
        const int at = (3 * i + o) * NDIR + q;
        snprintf(label, sizeof label, "%.80s: d %s / d %s", what, bed_output[o].id, dir_name[q]);
        bed_near(r.dvalue[at], d[at], tol, tol * size_of(d, r.nout, o, q) + 1e-9, label,
                 (double)r.out[i].time / DP_TICKS);
      }
}

static void each(const char *what, scene_fn scene) {
  static const char *const methods[] = {"linear", "rk853", "cvode"};
  static double d[BED_MAX * 3 * NDIR];
  for (int two = 0; two < 2; two++) {
    dp_model *m = two ? bed_model(bed_two, bed_two_param, NULL) : bed_model(bed_one, bed_one_param, NULL);
    dp_sim *exact = bed_sim(m, "linear", 1e-10);
    differences(exact, scene, d);
    for (int k = 0; k < DPI_COUNT(methods); k++) {
      char label[100];
      dp_sim *sim = bed_sim(m, methods[k], 1e-10);
      snprintf(label, sizeof label, "%s, %s, %s", what, two ? "two" : "one", methods[k]);
      compare(sim, scene, d, 1e-6, label);
      dp_sim_destroy(sim);
    }
    dp_sim_destroy(exact);
    dp_model_destroy(m);
  }
}

/* ---- scenes ---- */

static void s_bolus(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  r->in[r->nin++] = moving(0.5, DP_ADD, C_IV, amount, shift);
}
static void s_lag(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  r->in[r->nin++] = moving(0.5, DP_ADD, C_ALL, amount, shift);
  r->in[r->nin - 1].interval = bed_ticks(6);
  r->in[r->nin - 1].repeats = 3;
}
static void s_infuse(bed_run *r, int control, double rate, double amount, double shift) {
  r->in[r->nin++] = moving(0.5, DP_INFUSE, control, amount, shift);
  r->in[r->nin - 1].rate = rate;
}
static void s_rate(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  s_infuse(r, C_IV_ALL, 50, amount, shift);
}
static void s_model_rate(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  s_infuse(r, C_IV_ALL, DP_RATE_MODEL, amount, shift);
}
static void s_model_duration(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  s_infuse(r, C_ALL, DP_DURATION_MODEL, amount, shift);
  r->in[r->nin++] = bed_at(1, DP_ADD, C_ALL, 100); /* arrives while the infusion runs */
}
static void steady(bed_run *r, double interval, int kind) {
  r->in[r->nin - 1].interval = bed_ticks(interval);
  r->in[r->nin - 1].steady = kind;
}
static void s_steady_bolus(const dp_sim *sim, bed_run *r, double amount, double shift) {
  s_bolus(sim, r, amount, shift);
  steady(r, 9, 1);
}
static void s_steady_lag(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  r->in[r->nin++] = moving(0.5, DP_ADD, C_ALL, amount, shift);
  steady(r, 9, 1);
  r->in[r->nin - 1].repeats = 2;
}
static void s_steady_rate(const dp_sim *sim, bed_run *r, double amount, double shift) {
  s_rate(sim, r, amount, shift);
  steady(r, 9, 1);
}
static void s_steady_overlap(const dp_sim *sim, bed_run *r, double amount, double shift) { /* 5.19 h every 2 h */
  s_model_rate(sim, r, amount, shift);
  steady(r, 2, 1);
}
static void s_steady_wrap(const dp_sim *sim, bed_run *r, double amount, double shift) { /* 0.75 + 2.5 > 3 */
  (void)sim;
  s_infuse(r, C_ALL, DP_DURATION_MODEL, amount, shift);
  steady(r, 3, 1);
}
static void s_steady_added(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  r->in[r->nin++] = bed_at(0, DP_INFUSE, C_IV_ALL, 200); /* runs at 0.5 */
  r->in[0].rate = 25;
  s_infuse(r, C_IV_ALL, DP_DURATION_MODEL, amount, shift);
  steady(r, 6, 2);
}
static void s_steady_constant(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  r->in[r->nin++] = bed_at(0, DP_ADD, C_IV, amount);
  r->in[0].dir_amount = 7;
  r->in[r->nin++] = bed_at(0.5 + shift, DP_INFUSE, C_IV_ALL, 0);
  r->in[1].dir_time = 8;
  r->in[1].rate = DP_RATE_MODEL;
  r->in[1].interval = bed_ticks(1); /* without meaning for a constant infusion */
  r->in[1].steady = 2;
}
static void s_reset(const dp_sim *sim, bed_run *r, double amount, double shift) {
  s_model_duration(sim, r, amount, shift);
  r->in[r->nin++] = bed_at(2.5, DP_RESET, 0, 0);
  r->in[r->nin++] = moving(2.8, DP_ADD, C_ALL, amount, shift);
}
static void s_edit(const dp_sim *sim, bed_run *r, double amount, double shift) {
  s_bolus(sim, r, 100, shift);
  r->in[0].dir_amount = -1;
  r->in[r->nin++] = bed_at(2, DP_SCALE, dp_sim_state(sim, "central"), amount / 320);
  r->in[r->nin++] = bed_at(3, DP_SET, dp_sim_state(sim, "depot"), 20);
}

static void test_doses(void **state) {
  (void)state;
  each("bolus", s_bolus);
  each("lag, F, repeats", s_lag);
  each("rate", s_rate);
  each("modelled rate", s_model_rate);
  each("modelled duration", s_model_duration);
}
static void test_steady_bolus(void **state) {
  (void)state;
  each("steady bolus", s_steady_bolus);
  each("steady, lag, repeats", s_steady_lag);
}
static void test_steady_infusion(void **state) {
  (void)state;
  each("steady infusion", s_steady_rate);
  each("steady overlapping infusions", s_steady_overlap);
  each("steady infusion across the interval's end", s_steady_wrap);
  each("steady added", s_steady_added);
  each("constant infusion", s_steady_constant);
}
static void test_reset(void **state) {
  (void)state;
  each("reset", s_reset);
}

/* SCALE by amount/320 has d/d amount = x/320: the direction of the factor is seeded through a second run. */
static void test_scale_and_set(void **state) {
  (void)state;
  static double d[BED_MAX * 3 * NDIR];
  dp_model *m = bed_model(bed_one, bed_one_param, NULL);
  dp_sim *sim = bed_sim(m, "linear", 1e-10);
  static bed_run r;
  differences(sim, s_edit, d);
  put(sim, &r, s_edit, base);
  r.in[1].dir_amount = 7;
  r.ndir = NDIR;
  for (int k = 0; k < 7; k++) r.seed[k * NDIR + k] = 1;
  bed_go(sim, &r);
  for (int i = 0; i < r.nout; i++)
    for (int o = 0; o < 3; o++)
      for (int q = 0; q < NDIR; q++) {
        const int at = (3 * i + o) * NDIR + q;
        bed_near(r.dvalue[at] / (q == 7 ? 320 : 1), d[at], 1e-6, 1e-8, dir_name[q], (double)r.out[i].time / DP_TICKS);
      }
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* A switched parameter: derivative by its value before (seed), by its value after (dir_amount). */
static void switch_run(const dp_sim *sim, bed_run *r, double before, double after) {
  bed_defaults(sim, r);
  bed_param_set(sim, r, "CL", before);
  r->in[0] = bed_at(0, DP_ADD, C_ORAL, 320);
  r->in[1] = bed_at(4, DP_SWITCH, dp_sim_param(sim, "CL"), after);
  r->in[1].dir_amount = 1;
  r->nin = 2;
  for (int i = 1; i < 12; i++) bed_out(r, 1.1 * i, 0);
}

static void test_switch(void **state) {
  (void)state;
  dp_model *m = bed_model(bed_two, bed_two_param, NULL);
  for (int k = 0; k < 3; k++) {
    static const char *const methods[] = {"linear", "rk853", "cvode"};
    static bed_run r, a, b, c, e;
    dp_sim *sim = bed_sim(m, methods[k], 1e-10);
    for (int q = 0; q < 2; q++) {
      const double h = 0.02;
      switch_run(sim, &r, 4, 9);
      r.ndir = 2;
      r.seed[0] = 1; /* CL, direction 0 */
      bed_go(sim, &r);
      bed_run *const run[4] = {&a, &b, &c, &e};
      static const double step[4] = {1, -1, 0.5, -0.5};
      for (int s = 0; s < 4; s++) {
        switch_run(sim, run[s], 4 + (q == 0 ? h * step[s] : 0), 9 + (q == 1 ? h * step[s] : 0));
        bed_go(sim, run[s]);
      }
      for (int i = 0; i < r.nout; i++) {
        const double want =
            (4 * (c.value[3 * i] - e.value[3 * i]) / h - (a.value[3 * i] - b.value[3 * i]) / (2 * h)) / 3;
        bed_near(r.dvalue[3 * i * 2 + q], want, 1e-6, 1e-7, methods[k], i);
      }
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Michaelis-Menten with turnover: nonlinear, with a baseline that depends on parameters; steady state by Newton. */
static const bed_state mm[] = {{"depot", "0", "-ka*depot"},
                               {"central", "0", "ka*depot - CL*V*central/(V + central)"},
                               {"peri", "D*R", "R*D*(1 - 0.5*central/(V + central)) - R*peri/7"},
                               {0}};
static const bed_param mm_param[] = {{"CL", 4.0},  {"V", 70.0}, {"ka", 1.1}, {"F", 0.6}, {"L", 0.75},
                                     {"D", 2.5}, {"R", 37.0}, {0}};

static void s_mm_steady(const dp_sim *sim, bed_run *r, double amount, double shift) {
  s_steady_wrap(sim, r, amount, shift);
  r->in[0].interval = bed_ticks(9);
}
static void s_mm_rest(const dp_sim *sim, bed_run *r, double amount, double shift) {
  (void)sim;
  r->in[0] = bed_at(0, DP_EQUILIBRATE, 0, 0);
  r->in[1] = moving(0.5, DP_ADD, C_ALL, amount, shift);
  r->nin = 2;
}
static void s_mm_constant(const dp_sim *sim, bed_run *r, double amount, double shift) {
  s_steady_constant(sim, r, amount, shift);
  r->in[1].steady = 1;
}

static void test_nonlinear(void **state) {
  (void)state;
  static const struct {
    const char *name;
    scene_fn scene;
  } scenes[] = {{"steady", s_mm_steady},
                {"dose, lag", s_lag},
                {"equilibrate", s_mm_rest},
                {"constant", s_mm_constant},
                {"model duration", s_model_duration}};
  static const char *const methods[] = {"rk853", "cvode", "auto"};
  static double d[BED_MAX * 3 * NDIR];
  dp_model *m = bed_model(mm, mm_param, NULL);
  dp_sim *fine = bed_sim(m, "rk853", 1e-12);
  for (int s = 0; s < DPI_COUNT(scenes); s++) {
    differences(fine, scenes[s].scene, d);
    for (int k = 0; k < DPI_COUNT(methods); k++) {
      dp_sim *sim = bed_sim(m, methods[k], 1e-10);
      char label[100];
      snprintf(label, sizeof label, "nonlinear %s, %s", scenes[s].name, methods[k]);
      compare(sim, scenes[s].scene, d, 2e-6, label);
      dp_sim_destroy(sim);
    }
  }
  dp_sim_destroy(fine);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_doses),         cmocka_unit_test(test_steady_bolus), cmocka_unit_test(test_steady_infusion),
      cmocka_unit_test(test_reset),         cmocka_unit_test(test_scale_and_set), cmocka_unit_test(test_switch),
      cmocka_unit_test(test_nonlinear),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
