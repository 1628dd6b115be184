/* Independent comparison: IBIS behind the waist with the conjugate posterior and evidence of a straight line; SMC2 with
 * the exact marginal likelihood, integrated over the parameter on a grid. Bounds are 4 standard errors of the spread
 * over
 * seeds, which are fixed: 6e-5 false alarms each. */
#include "sim_bed.h"

#include "infer/filter/carry.h"
#include "infer/filter/smoother.h"
#include "infer/filter/statics.h"

#define NTIME 8
#define SD 0.4

/* y = base + slope t at 1..NTIME; the slope is known by one half, the base by 1. */
static const double line_y[NTIME] = {3.4, 4.1, 5.9, 6.2, 7.8, 8.1, 9.9, 10.4};
static const double prior_mean[2] = {2, 1}, prior_sd[2] = {1, 0.5};

/* Posterior and evidence of the first n readings. */
static double conjugate(int n, double mean[2], double cov[4]) {
  double prec[4] = {1 / (prior_sd[0] * prior_sd[0]), 0, 0, 1 / (prior_sd[1] * prior_sd[1])}, v[2];
  double s[NTIME * NTIME], r[NTIME], quad = 0;
  for (int a = 0; a < 2; a++) v[a] = prec[a * 3] * prior_mean[a];
  for (int k = 0; k < n; k++) {
    double h[2] = {1, k + 1.0};
    for (int a = 0; a < 2; a++) {
      v[a] += h[a] * line_y[k] / (SD * SD);
      for (int b = 0; b < 2; b++) prec[a * 2 + b] += h[a] * h[b] / (SD * SD);
    }
    r[k] = line_y[k] - prior_mean[0] - prior_mean[1] * (k + 1);
    for (int j = 0; j < n; j++) s[k * n + j] = 1 + 0.25 * (k + 1) * (j + 1) + (k == j ? SD * SD : 0);
  }
  assert_true(dpi_chol(prec, 2) && dpi_chol(s, n));
  dpi_chol_inverse(prec, 2, cov);
  for (int a = 0; a < 2; a++) mean[a] = cov[a * 2] * v[0] + cov[a * 2 + 1] * v[1];
  dpi_tri_solve_lower(s, n, r);
  for (int k = 0; k < n; k++) quad += r[k] * r[k];
  return -0.5 * (quad + dpi_chol_logdet(s, n) + n * 1.8378770664093454836);
}

typedef struct world {
  SIM_BED;
  dpi_sensor sensor;
  dpi_problem problem;
  dpi_reading reading[NTIME];
  int param[2];
  dpi_static_prior prior;
} world;

static void world_open(world *w, int nthread) {
  static const char path[] = DOPPEL_BINARY_DIR "/statics_line.ant";
  static const char text[] = "model line()\n base = 2; slope = 1;\n x = 0;\n x' = slope;\n y := base + x;\nend\n";
  memset(w, 0, sizeof *w);
  sim_bed_context(&w->bed, nthread);
  sim_bed_write(path, text);
  dp_time time[NTIME];
  for (int k = 0; k < NTIME; k++) {
    time[k] = T(k + 1);
    w->reading[k] = (dpi_reading){.time = time[k], .y = line_y[k]};
  }
  sim_bed_process(&w->bed, path, dp_sim_def_default(), "y", time, NTIME);
  w->sensor = (dpi_sensor){.id = "y", .scale = SD};
  w->problem = (dpi_problem){.process = w->process, .sensor = &w->sensor, .nsensor = 1};
  w->param[0] = dp_sim_param(w->sim, "base");
  w->param[1] = dp_sim_param(w->sim, "slope");
  w->prior = (dpi_static_prior){.n = 2, .param = w->param, .mean = prior_mean, .sd = prior_sd};
}

static void world_close(world *w) { sim_bed_close(&w->bed); }

static void add(double *sum, double x) {
  sum[0] += x;
  sum[1] += x * x;
}

/* Mean over n seeds against what is exact. */
static void check_mean(const char *what, const double *sum, int n, double exact) {
  double mean = sum[0] / n, se = sqrt(fmax(0, sum[1] / n - mean * mean) / (n - 1));
  print_message("%s: %.4f +- %.4f, exact %.4f\n", what, mean, se, exact);
  near(what, mean, exact, 4 * se);
}

static void test_ibis(void **state) {
  (void)state;
  enum { SEEDS = 12 };
  world W, *w = &W;
  world_open(w, 2);
  double m0[2] = {0}, m1[2] = {0}, v[2] = {0}, z[2] = {0}, mean[2], cov[4], before[2], vb[4];
  double evidence = conjugate(NTIME, mean, cov), early = conjugate(NTIME - 1, before, vb), last[2] = {0};
  for (int seed = 0; seed < SEEDS; seed++) {
    dpi_statics_def def = dpi_statics_def_default();
    dpi_statics *s;
    double m[2], c[4];
    def.n = 500;
    def.seed = 40 + (uint64_t)seed;
    OK(w, dpi_statics_create(&w->problem, &w->prior, &def, &s));
    for (int k = 0; k < NTIME; k++) OK(w, dpi_statics_read(s, &w->reading[k], 1));
    dpi_statics_moments(s, m, c);
    const dpi_statics_report *r = dpi_statics_judge(s);
    if (!r->usable) fail_msg("%s", r->verdict);
    assert_true(r->nrejuvenate > 0);
    add(m0, m[0]);
    add(m1, m[1]);
    add(v, c[3] / cov[3]);
    add(z, r->evidence);
    add(last, r->gained[NTIME - 1]);
    dpi_statics_destroy(s);
  }
  check_mean("base", m0, SEEDS, mean[0]);
  check_mean("slope", m1, SEEDS, mean[1]);
  check_mean("variance of the slope over the exact one", v, SEEDS, 1);
  check_mean("evidence", z, SEEDS, evidence);
  check_mean("evidence that the last reading added", last, SEEDS, evidence - early);
  world_close(w);
}

/* Late readings and threads change no byte; a start that knows nothing is bridged in steps. */
static void test_ibis_orders(void **state) {
  (void)state;
  double x[3][200 * 2], weight[3][200], evidence[3];
  for (int c = 0; c < 3; c++) {
    world W, *w = &W;
    world_open(w, c == 1 ? 3 : 1);
    w->sensor.scale = 0.02; /* each reading says very much */
    dpi_statics_def def = dpi_statics_def_default();
    dpi_statics *s;
    def.n = 200;
    OK(w, dpi_statics_create(&w->problem, &w->prior, &def, &s));
    for (int k = 0; k < NTIME; k++)
      if (c != 2 || k != 2) OK(w, dpi_statics_read(s, &w->reading[k], 1));
    if (c == 2) OK(w, dpi_statics_read(s, &w->reading[2], 1));
    memcpy(x[c], dpi_statics_x(s), sizeof x[c]);
    memcpy(weight[c], dpi_statics_weight(s), sizeof weight[c]);
    const dpi_statics_report *r = dpi_statics_judge(s);
    evidence[c] = r->evidence;
    assert_int_equal(r->nrestart, c == 2);
    assert_true(r->ess_least > 90);
    dpi_statics_destroy(s);
    world_close(w);
    assert_memory_equal(x[c], x[0], sizeof x[0]);
    assert_memory_equal(weight[c], weight[0], sizeof weight[0]);
    assert_true(evidence[c] == evidence[0]);
  }
}

/* ---- SMC2 ---- */

static void apply_level(void *user, const double *param, dpi_linear *s) {
  (void)user;
  s->b[0] = 0.5 * param[0];
}

/* ln of the integral over the level N(1, 0.8^2) of the exact likelihood; mean and sd of the posterior. */
static double exact_marginal(bed *b, const dpi_linear_def *def, double *mean, double *sd) {
  double sum[3] = {0, 0, 0}, top = 0;
  for (int i = 0; i <= 400; i++) {
    double x = 1 + 0.8 * (i - 200) / 33.0, z = (x - 1) / 0.8;
    dpi_kalman *k;
    OK(b, dpi_kalman_run(b->ctx, def, &b->problem, &x, b->reading, b->nreading, &k));
    if (!i) top = k->evidence + 30;
    double w = exp(k->evidence - top - 0.5 * z * z) / sqrt(6.283185307179586) / 33.0;
    sum[0] += w;
    sum[1] += w * x;
    sum[2] += w * x * x;
    dpi_kalman_destroy(k);
  }
  *mean = sum[1] / sum[0];
  *sd = sqrt(sum[2] / sum[0] - *mean * *mean);
  return top + log(sum[0]);
}

static void test_nested(void **state) {
  (void)state;
  enum { SEEDS = 10 };
  double a[1] = {-0.5}, b[1] = {0}, q[1] = {0.1}, c[2] = {1, 1}, m0[1] = {0.5}, p0[1] = {0.2}, level[1] = {1};
  double pm[1] = {1}, ps[1] = {0.8}, mean, sd;
  double x[2][60];
  int which[1] = {0};
  bed B, *w = &B;
  bed_open(w, 2);
  bed_course(w, 10);
  dpi_linear_def def = {.system = {.nstate = 1, .noutput = 2, .a = a, .b = b, .q = q, .c = c, .m0 = m0, .p0 = p0},
                        .nparam = 1,
                        .param_default = level,
                        .apply = apply_level};
  dpi_process *p;
  OK(w, dpi_process_linear(w->ctx, &def, &p));
  w->problem.process = p;
  dpi_static_prior prior = {.n = 1, .param = which, .mean = pm, .sd = ps};
  double evidence = exact_marginal(w, &def, &mean, &sd);
  /* Normalised by their own sum, moments of N particles are off by a term in 1/N (and about its own mean a sample's
   * variance lacks that mean's). What has no such term is evidence x moment: sequential Monte Carlo is unbiased for the
   * measure that is not normalised (P. Del Moral, Feynman-Kac Formulae, 2004, theorem 7.4.2). So with as few
   * particles as
   * one likes, E[Z/Z_exact sum w g(x)] is the posterior's mean of g: held against it for g = 1, x and (x - mean)^2. */
  for (int size = 0; size < 3; size++) {
    double m[2] = {0}, v[2] = {0}, own[2] = {0}, z[2] = {0};
    int n = size == 0 ? 60 : size == 1 ? 150 : 300, seeds = size == 0 ? 4 * SEEDS : size == 1 ? 2 * SEEDS : SEEDS;
    for (int seed = 0; seed < seeds; seed++) {
      dpi_statics_def sd_def = dpi_statics_def_default();
      dpi_statics *s;
      double mm[1], cc[1];
      sd_def.nested = true;
      sd_def.n = n;
      sd_def.ninner = 60;
      sd_def.max_move = 4;
      sd_def.seed = 10 + (uint64_t)seed;
      OK(w, dpi_statics_create(&w->problem, &prior, &sd_def, &s));
      OK(w, dpi_statics_read(s, w->reading, w->nreading));
      dpi_statics_moments(s, mm, cc);
      const dpi_statics_report *r = dpi_statics_judge(s);
      assert_true(r->nrejuvenate > 0 && r->nsweep > 0);
      double ratio = exp(r->evidence - evidence);
      add(m, ratio * (mm[0] - mean) / sd);
      add(own, cc[0] / (sd * sd));
      add(v, ratio * (cc[0] + (mm[0] - mean) * (mm[0] - mean)) / (sd * sd));
      add(z, ratio);
      dpi_statics_destroy(s);
    }
    print_message("%d particles, %d seeds: their own variance is %.3f of the exact one\n", n, seeds, own[0] / seeds);
    check_mean("evidence over the exact one", z, seeds, 1);
    check_mean("times the level, from the exact mean, in sd", m, seeds, 0);
    check_mean("times the square of that", v, seeds, 1);
  }
  /* one thread, same bytes */
  for (int k = 0; k < 2; k++) {
    bed C, *u = &C;
    bed_open(u, k ? 1 : 3);
    bed_course(u, 6);
    dpi_process *r;
    dpi_statics *s;
    OK(u, dpi_process_linear(u->ctx, &def, &r));
    u->problem.process = r;
    dpi_statics_def sd_def = dpi_statics_def_default();
    sd_def.nested = true;
    sd_def.n = 60;
    sd_def.ninner = 20;
    OK(u, dpi_statics_create(&u->problem, &prior, &sd_def, &s));
    OK(u, dpi_statics_read(s, u->reading, u->nreading));
    memcpy(x[k], dpi_statics_x(s), sizeof x[k]);
    dpi_statics_destroy(s);
    dpi_process_destroy(r);
    bed_close(u);
  }
  assert_memory_equal(x[0], x[1], sizeof x[0]);
  dpi_process_destroy(p);
  bed_close(w);
}

/* IBIS is not for noise, and says what is. */
static void test_refused(void **state) {
  (void)state;
  bed B, *w = &B;
  bed_open(w, 1);
  double pm[1] = {1}, ps[1] = {0.8}, level[1] = {1};
  int which[1] = {0};
  w->def.nparam = 1;
  w->def.param_default = level;
  dpi_process *p;
  OK(w, dpi_process_linear(w->ctx, &w->def, &p));
  w->problem.process = p;
  dpi_static_prior prior = {.n = 1, .param = which, .mean = pm, .sd = ps};
  dpi_statics_def def = dpi_statics_def_default();
  dpi_statics *s;
  assert_int_equal(dpi_statics_create(&w->problem, &prior, &def, &s), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(w->ctx), "use nested"));
  dpi_process_destroy(p);
  bed_close(w);
}

/* ---- a batch posterior becomes the start, and back ---- */

static void test_carry(void **state) {
  (void)state;
  enum { N = 400 };
  static double x[N * 2];
  world W, *w = &W;
  world_open(w, 1);
  double mean[2], cov[4], after[2], cov_after[4], l[4];
  conjugate(4, mean, cov);
  double whole = conjugate(NTIME, after, cov_after), part = conjugate(4, mean, cov);
  memcpy(l, cov, sizeof l);
  assert_true(dpi_chol(l, 2));
  for (int i = 0; i < N; i++) { /* batch draws of the posterior of the first four readings */
    dpi_rng rng = dpi_rng_make(3, (uint64_t)i, 1);
    double z0 = dpi_rng_normal(&rng), z1 = dpi_rng_normal(&rng);
    x[i * 2] = mean[0] + l[0] * z0;
    x[i * 2 + 1] = mean[1] + l[2] * z0 + l[3] * z1;
  }
  dpi_draws_carried batch = {.n = N, .dim = 2, .x = x, .usable = 1, .evidence = part}, back;
  dpi_carry *carry;
  OK(w, dpi_carry_begin(&w->problem, &w->prior, &batch, w->reading, 4, &carry));
  OK(w, dpi_carry_read(carry, w->reading + 4, 1));
  dpi_carry_back(carry, &back);
  double v[2], vc[4];
  conjugate(5, v, vc);
  double m = 0;
  for (int i = 0; i < N; i++) m += back.weight[i] * back.x[i * 2 + 1];
  near("slope after one more", m, v[1], 4 * sqrt(vc[3] / back.ess));
  assert_true(back.usable);
  OK(w, dpi_carry_read(carry, w->reading + 5, NTIME - 5));
  dpi_carry_back(carry, &back);
  print_message("carried: ess %.1f, k-hat %.2f, evidence %.3f (exact %.3f): %s\n", back.ess, back.khat, back.evidence,
                whole, back.verdict);
  near("evidence", back.evidence, whole, 0.3);
  dpi_carry_destroy(carry);
  /* what may not be used stays so, whatever its weights */
  batch.usable = 0;
  snprintf(batch.verdict, sizeof batch.verdict, "chains disagree");
  OK(w, dpi_carry_begin(&w->problem, &w->prior, &batch, w->reading, 4, &carry));
  dpi_carry_back(carry, &back);
  assert_false(back.usable);
  assert_non_null(strstr(back.verdict, "chains disagree"));
  dpi_carry_destroy(carry);
  world_close(w);
}

/* A straight line is linear in its parameters: the smoother is exact but for its 4000 draws of the prior. */
static void test_smoother(void **state) {
  (void)state;
  enum { N = 4000 };
  static double x[N * 2];
  world W, *w = &W;
  world_open(w, 1);
  double mean[2], cov[4];
  conjugate(NTIME, mean, cov);
  for (int niter = 1; niter <= 4; niter += 3) {
    dpi_smoother_report r;
    OK(w, dpi_smoother_run(&w->problem, &w->prior, 3, N, niter, w->reading, NTIME, x, &r));
    assert_true(r.usable);
    assert_true(r.misfit < 3);
    for (int a = 0; a < 2; a++) {
      double m = 0, v = 0;
      for (int i = 0; i < N; i++) m += x[i * 2 + a] / N;
      for (int i = 0; i < N; i++) v += (x[i * 2 + a] - m) * (x[i * 2 + a] - m) / (N - 1);
      near("mean", m, mean[a], 0.07 * sqrt(cov[a * 3]));
      near("sd", sqrt(v / cov[a * 3]), 1, 0.05);
    }
  }
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_ibis),   cmocka_unit_test(test_ibis_orders),
                                     cmocka_unit_test(test_nested), cmocka_unit_test(test_refused),
                                     cmocka_unit_test(test_carry),  cmocka_unit_test(test_smoother)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
