/* Independent comparison: the exact filter and smoother with joint Gaussian conditioning in closed form; ensemble
 * methods
 * with the exact filter (exactly for the square root, at the rate 1/sqrt(n) else); particle filters' likelihood with
 * the
 * exact one. Statistical bounds are 4 standard errors: 6e-5 false alarms each, seeds fixed. */
#include "linear_bed.h"

/* Stationary Ornstein-Uhlenbeck process seen at n times by sensors of different noise: cov v exp(-a |t - s|). */
static void test_exact(void **state) {
  (void)state;
  enum { N = 7 };
  static const double t[N] = {0, 0.3, 0.3, 1, 1.9, 2.5, 2.5}, y[N] = {5.5, 4.2, 4.9, 6, 5.1, 4, 4.6};
  static const int which[N] = {0, 0, 1, 1, 0, 0, 1};
  double a[1] = {-0.8}, b[1] = {0.8 * 5}, q[1] = {0.9}, c[2] = {1, 1}, m0[1] = {5}, p0[1] = {0.9 / 1.6}, v = p0[0];
  bed B, *w = &B;
  bed_open(w, 1);
  dpi_linear_def def = {.system = {.nstate = 1, .noutput = 2, .a = a, .b = b, .q = q, .c = c, .m0 = m0, .p0 = p0}};
  for (int k = 0; k < N; k++) bed_add(w, t[k], which[k], y[k]);
  dpi_kalman *k;
  OK(w, dpi_kalman_run(w->ctx, &def, &w->problem, NULL, w->reading, N, &k));
  double s[N * N], r[N], quad = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++)
      s[i * N + j] = v * dpi_m_exp(-0.8 * fabs(t[i] - t[j])) + (i == j ? pow(w->sensor[which[i]].scale, 2) : 0);
  assert_true(dpi_chol(s, N));
  for (int i = 0; i < N; i++) r[i] = y[i] - 5;
  dpi_chol_solve(s, N, r);
  for (int i = 0; i < N; i++) quad += r[i] * (y[i] - 5);
  near("evidence", k->evidence, -0.5 * (quad + dpi_chol_logdet(s, N) + N * 1.8378770664093454836), 1e-10);
  assert_int_equal(k->ntime, 5);
  for (int m = 0; m < k->ntime; m++) {
    double tm = (double)k->time[m] / DP_TICKS, cross[N], mean = 5, var = v;
    for (int i = 0; i < N; i++) {
      cross[i] = v * dpi_m_exp(-0.8 * fabs(t[i] - tm));
      mean += cross[i] * r[i];
    }
    double solved[N];
    memcpy(solved, cross, sizeof solved);
    dpi_chol_solve(s, N, solved);
    for (int i = 0; i < N; i++) var -= cross[i] * solved[i];
    near("smoothed mean", k->smooth[m], mean, 1e-10);
    near("smoothed variance", k->smooth_cov[m], var, 1e-10);
    if (m == k->ntime - 1) near("filtered mean", k->mean[m], mean, 1e-10);
  }
  dpi_kalman_destroy(k);
  bed_close(w);
}

/* Two sensors on one quantity that stands still: precisions add. */
static void test_fusion(void **state) {
  (void)state;
  bed B, *w = &B;
  bed_open(w, 1);
  double zero[1] = {0}, c[2] = {1, 1}, m0[1] = {3}, p0[1] = {4};
  dpi_linear_def def = {
      .system = {.nstate = 1, .noutput = 2, .a = zero, .b = zero, .q = zero, .c = c, .m0 = m0, .p0 = p0}};
  bed_add(w, 1, 0, 5);
  bed_add(w, 1, 1, 4);
  bed_add(w, 1, 1, NAN);
  dpi_kalman *k;
  OK(w, dpi_kalman_run(w->ctx, &def, &w->problem, NULL, w->reading, w->nreading, &k));
  double prec = 1 / 4.0 + 1 / 0.09 + 1 / 0.25;
  near("mean", k->mean[0], (3 / 4.0 + 5 / 0.09 + 4 / 0.25) / prec, 1e-12);
  near("variance", k->cov[0], 1 / prec, 1e-12);
  assert_int_equal(k->nreading, 2);
  dpi_kalman_destroy(k);
  bed_close(w);
}

/* Steps compose: the transition over h is the square of that over h/2, with its noise; and a discrete map's. */
static void test_steps(void **state) {
  (void)state;
  double f[4], d[2], q[4], f2[4], d2[2], q2[4], work[400];
  assert_true(dpi_linear_work(2) <= 400);
  for (int discrete = 0; discrete < 2; discrete++) {
    dpi_linear s = {.nstate = 2, .a = bed_a, .b = bed_b, .q = bed_q, .discrete = discrete};
    dpi_linear_step(&s, 2, f, d, q, work);
    dpi_linear_step(&s, 4, f2, d2, q2, work);
    for (int i = 0; i < 2; i++) {
      double shift = d[i];
      for (int j = 0; j < 2; j++) {
        double ff = 0, fqf = q[i * 2 + j];
        shift += f[i * 2 + j] * d[j];
        for (int k = 0; k < 2; k++) {
          ff += f[i * 2 + k] * f[k * 2 + j];
          for (int l = 0; l < 2; l++) fqf += f[i * 2 + k] * q[k * 2 + l] * f[j * 2 + l];
        }
        near("transition", f2[i * 2 + j], ff, 1e-13);
        near("noise", q2[i * 2 + j], fqf, 1e-13);
      }
      near("shift", d2[i], shift, 1e-13);
    }
  }
}

/* The square root filter is the exact one of the ensemble's own mean and covariance: with a drift, three readings. */
static void test_square_root(void **state) {
  (void)state;
  bed B, *w = &B;
  bed_open(w, 1);
  w->drift[0] = (dpi_drift){.mean = 0.2, .sd = 0.4, .diffusion = 0.1};
  w->problem.ndrift = 1;
  w->sensor[1].drifts = true;
  bed_add(w, 0, 0, 1.4);
  bed_add(w, 0, 1, 2.2);
  bed_add(w, 0, 1, 1.9);
  dpi_filter_def def = dpi_filter_def_default();
  def.n = 20;
  def.seed = 5;
  dpi_filter *f;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  double m0[3], p0[9], mean[3], cov[9], zero[9] = {0}, c[6] = {1, 0, 0, 1, 0.5, 1};
  OK(w, dpi_filter_moments(f, m0, p0));
  OK(w, dpi_filter_read(f, w->reading, w->nreading));
  OK(w, dpi_filter_moments(f, mean, cov));
  dpi_filter_report report;
  dpi_filter_judge(f, &report);
  dpi_linear_def plain = {
      .system = {.nstate = 3, .noutput = 2, .a = zero, .b = zero, .q = zero, .c = c, .m0 = m0, .p0 = p0}};
  dpi_sensor sensor[2] = {w->sensor[0], w->sensor[1]};
  sensor[1].drifts = false;
  dpi_problem problem = {.sensor = sensor, .nsensor = 2};
  dpi_kalman *k;
  OK(w, dpi_kalman_run(w->ctx, &plain, &problem, NULL, w->reading, w->nreading, &k));
  near("evidence", report.evidence, k->evidence, 1e-10);
  for (int i = 0; i < 3; i++) near("mean", mean[i], k->mean[i], 1e-10);
  for (int i = 0; i < 9; i++) near("covariance", cov[i], k->cov[i], 1e-10);
  assert_true(report.usable);
  dpi_kalman_destroy(k);
  dpi_filter_destroy(f);
  bed_close(w);
}

/* Root mean squared error of the last mean and covariance over seeds. */
static double error_of(bed *w, dpi_filter_method method, int n, int nseed, const dpi_kalman *k) {
  double sum = 0;
  const double *em = k->mean + (k->ntime - 1) * 2, *ec = k->cov + (k->ntime - 1) * 4;
  for (int seed = 0; seed < nseed; seed++) {
    dpi_filter_def def = dpi_filter_def_default();
    def.method = method;
    def.n = n;
    def.seed = 100 + (uint64_t)seed;
    def.ncheckpoint = 0;
    dpi_filter *f;
    double mean[2], cov[4];
    OK(w, dpi_filter_create(&w->problem, &def, &f));
    OK(w, dpi_filter_read(f, w->reading, w->nreading));
    OK(w, dpi_filter_moments(f, mean, cov));
    for (int i = 0; i < 2; i++) sum += pow(mean[i] - em[i], 2);
    for (int i = 0; i < 4; i++) sum += pow(cov[i] - ec[i], 2);
    dpi_filter_destroy(f);
  }
  return sqrt(sum / nseed);
}

/* 40 seeds: each error is known to 10 %, so the rate over a factor 32 to .04; bounds at 4 of those. */
static void test_rate(void **state) {
  (void)state;
  bed B, *w = &B;
  bed_open(w, 1);
  bed_course(w, 8);
  dpi_kalman *k;
  OK(w, dpi_kalman_run(w->ctx, &w->def, &w->problem, NULL, w->reading, w->nreading, &k));
  for (int method = DPI_FILTER_ENKF; method <= DPI_FILTER_BOOTSTRAP; method++) {
    double few = error_of(w, method, 100, 40, k), many = error_of(w, method, 3200, 40, k);
    double rate = log(few / many) / log(32);
    print_message("method %d: %g with 100, %g with 3200 members, rate %.3f\n", method, few, many, rate);
    near("rate", rate, 0.5, 0.16);
    assert_true(many < 0.03);
  }
  dpi_kalman_destroy(k);
  bed_close(w);
}

/* The likelihood (not its logarithm) has the exact mean. */
static void test_unbiased(void **state) {
  (void)state;
  bed B, *w = &B;
  bed_open(w, 1);
  bed_course(w, 8);
  dpi_kalman *k;
  OK(w, dpi_kalman_run(w->ctx, &w->def, &w->problem, NULL, w->reading, w->nreading, &k));
  for (int method = DPI_FILTER_BOOTSTRAP; method <= DPI_FILTER_AUXILIARY; method++) {
    double sum = 0, sum2 = 0;
    int n = 600;
    for (int seed = 0; seed < n; seed++) {
      dpi_filter_def def = dpi_filter_def_default();
      def.method = method;
      def.n = 60;
      def.seed = 1000 + (uint64_t)seed;
      def.ncheckpoint = 0;
      dpi_filter *f;
      dpi_filter_report r;
      OK(w, dpi_filter_create(&w->problem, &def, &f));
      OK(w, dpi_filter_read(f, w->reading, w->nreading));
      dpi_filter_judge(f, &r);
      double ratio = exp(r.evidence - k->evidence);
      sum += ratio;
      sum2 += ratio * ratio;
      dpi_filter_destroy(f);
    }
    double mean = sum / n, se = sqrt((sum2 / n - mean * mean) / n);
    print_message("method %d: likelihood %.4f +- %.4f of the exact one\n", method, mean, se);
    near("likelihood", mean, 1, 4 * se);
    assert_true(se < 0.05);
  }
  dpi_kalman_destroy(k);
  bed_close(w);
}

/* ---- late, missing, what-if ---- */

typedef struct ending {
  double z[100 * 2], w[100], evidence;
  dpi_filter_report report;
} ending;

static void end_of(bed *w, dpi_filter *f, ending *e) {
  memset(e, 0, sizeof *e);
  OK(w, dpi_filter_members(f, e->z, e->w));
  dpi_filter_judge(f, &e->report);
  e->evidence = e->report.evidence;
}

static bool same(const ending *a, const ending *b) {
  return !memcmp(a->z, b->z, sizeof a->z) && !memcmp(a->w, b->w, sizeof a->w) && a->evidence == b->evidence;
}

static void run_orders(bed *w, dpi_filter_def def) {
  ending in_order, late, missing, again;
  dpi_filter *f, *g;
  int n = w->nreading;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  OK(w, dpi_filter_read(f, w->reading, n));
  end_of(w, f, &in_order);
  dpi_filter_destroy(f);
  /* one by one; two are late, one of them at a time that has readings already; a forecast in between */
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  for (int k = 0; k < n; k++) {
    if (k == 4 || k == 7) continue;
    OK(w, dpi_filter_read(f, &w->reading[k], 1));
    if (k == 6) OK(w, dpi_filter_advance(f, w->reading[k].time + T(0.31)));
  }
  OK(w, dpi_filter_fork(f, &g));
  OK(w, dpi_filter_read(f, &w->reading[7], 1));
  OK(w, dpi_filter_read(f, &w->reading[4], 1));
  end_of(w, f, &late);
  assert_true(same(&in_order, &late));
  assert_true(late.report.nlate >= 2 && late.report.nrestart >= 2);
  OK(w, dpi_filter_advance(g, T(100)));
  OK(w, dpi_filter_read(g, &w->reading[4], 1));
  OK(w, dpi_filter_read(g, &w->reading[7], 1));
  end_of(w, g, &again);
  assert_true(same(&in_order, &again));
  dpi_filter_destroy(f);
  dpi_filter_destroy(g);
  /* missing values among them change nothing */
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  for (int k = 0; k < n; k++) {
    dpi_reading none = {.time = w->reading[k].time - T(0.05), .sensor = 1, .y = NAN};
    OK(w, dpi_filter_read(f, &none, 1));
    OK(w, dpi_filter_read(f, &w->reading[k], 1));
  }
  end_of(w, f, &missing);
  assert_true(same(&in_order, &missing));
  assert_int_equal(missing.report.nmissing, n);
  dpi_filter_destroy(f);
}

static void test_orders(void **state) {
  (void)state;
  double noise[2] = {0.1, 0};
  bed B, *w = &B;
  bed_open(w, 1);
  bed_course(w, 9);
  w->drift[0] = (dpi_drift){.sd = 0.1, .diffusion = 0.1, .rate = 0.2};
  for (int method = DPI_FILTER_ENKF; method <= DPI_FILTER_AUXILIARY; method++)
    for (int kept = 0; kept < 9; kept += 4) {
      dpi_filter_def def = dpi_filter_def_default();
      def.method = method;
      def.n = 100;
      def.seed = 9;
      def.ncheckpoint = kept;
      def.every = kept == 8 ? 2 : 1;
      w->problem.noise = kept == 4 ? noise : NULL;
      w->problem.noise_step = T(0.25);
      run_orders(w, def);
    }
  bed_close(w);
}

/* ---- other noise ---- */

/* Moments by the trapezoidal rule on a fine grid of its own. */
static void check_match(const dpi_sensor *s, const dpi_reading *r, double m, double c) {
  double sum[3] = {0, 0, 0}, sd = sqrt(c), h = 18 * sd / 400000;
  for (int i = 0; i <= 400000; i++) {
    double x = m - 9 * sd + i * h, z = (x - m) / sd;
    double w = h * exp(-0.5 * z * z) / sqrt(6.283185307179586 * c) * exp(dpi_sensor_loglik(s, r, x, 0, s->scale));
    sum[0] += w;
    sum[1] += w * x;
    sum[2] += w * x * x;
  }
  double mean = sum[1] / sum[0], var = sum[2] / sum[0] - mean * mean;
  dpi_matched g = dpi_sensor_match(s, r, m, c, s->scale);
  double gain = c / (c + g.r);
  near("evidence", g.evidence, log(sum[0]), 2e-3);
  near("mean", m + gain * (g.y - m), mean, 2e-3 * sd);
  if (var < c) near("variance", c * (1 - gain), var, 4e-3 * c);
}

static void test_match(void **state) {
  (void)state;
  static const dpi_sensor_noise noise[] = {DPI_SENSOR_NORMAL, DPI_SENSOR_LAPLACE, DPI_SENSOR_STUDENT};
  for (int k = 0; k < 3; k++)
    for (int censored = -1; censored <= 1; censored++)
      for (int j = 0; j < 4; j++) {
        dpi_sensor s = {.id = "s", .noise = noise[k], .scale = j % 2 ? 0.05 : 1.3, .dof = 3.5};
        dpi_reading r = {.y = j < 2 ? 2.1 : 5, .censored = censored};
        check_match(&s, &r, 2, 0.8);
      }
}

/* Draws have the distribution whose logarithm is given: quantiles of 20000 draws, 4 standard errors. */
static void test_draws(void **state) {
  (void)state;
  for (int noise = DPI_SENSOR_NORMAL; noise <= DPI_SENSOR_STUDENT; noise++) {
    dpi_sensor s = {.id = "s", .noise = noise, .scale = 0.7, .dof = 4};
    dpi_rng rng = dpi_rng_make(3, (uint64_t)noise, 1);
    for (int q = 0; q < 3; q++) {
      dpi_reading r = {.y = 1.5 + 0.8 * q, .censored = 1};
      double p = exp(dpi_sensor_loglik(&s, &r, 2, 0.1, 0.7)), low = 0;
      for (int i = 0; i < 20000; i++) low += dpi_sensor_draw(&s, 2, 0.1, 0.7, &rng) < r.y;
      near("share below", low / 20000, p, 4 * sqrt(p * (1 - p) / 20000));
    }
  }
}

/* One reading 40 standard deviations off: a normal sensor follows it, a Student one does not, in either kind of
 * filter. */
static void test_outlier(void **state) {
  (void)state;
  bed B, *w = &B;
  bed_open(w, 1);
  bed_course(w, 8);
  for (int method = DPI_FILTER_ESRF; method <= DPI_FILTER_BOOTSTRAP; method++) {
    double mean[3][2];
    for (int c = 0; c < 3; c++) { /* clean; outlier under Student; outlier under normal */
      dpi_filter_def def = dpi_filter_def_default();
      def.method = method;
      def.n = 2000;
      def.seed = 4;
      w->sensor[0].noise = c == 2 ? DPI_SENSOR_NORMAL : DPI_SENSOR_STUDENT;
      w->sensor[0].dof = 4;
      dpi_reading r[200];
      memcpy(r, w->reading, sizeof r);
      int off = w->nreading - 1;
      while (r[off].sensor) off--;
      if (c) r[off].y += 12;
      dpi_filter *f;
      OK(w, dpi_filter_create(&w->problem, &def, &f));
      OK(w, dpi_filter_read(f, r, w->nreading));
      OK(w, dpi_filter_moments(f, mean[c], NULL));
      dpi_filter_destroy(f);
    }
    print_message("method %d: clean %.3f, outlier %.3f with Student noise, %.3f with normal noise\n", method,
                  mean[0][0], mean[1][0], mean[2][0]);
    near("robust", mean[1][0], mean[0][0], 0.5);
    assert_true(fabs(mean[2][0] - mean[0][0]) > 1);
  }
  bed_close(w);
}

/* A sensor that drifts beside a steady one: its bias is found; and the ensemble agrees with the exact answer. */
static void test_drift(void **state) {
  (void)state;
  bed B, *w = &B;
  bed_open(w, 1);
  double zero[1] = {0}, q[1] = {0.04}, a[1] = {-0.3}, b[1] = {1.5}, c[2] = {1, 1}, m0[1] = {5}, p0[1] = {0.1}, x = 5,
         bias = 0;
  dpi_linear_def def = {.system = {.nstate = 1, .noutput = 2, .a = a, .b = b, .q = q, .c = c, .m0 = m0, .p0 = p0}};
  (void)zero;
  dpi_process *p;
  OK(w, dpi_process_linear(w->ctx, &def, &p));
  w->problem.process = p;
  w->drift[0] = (dpi_drift){.sd = 0.2, .diffusion = 0.2};
  w->problem.ndrift = 1;
  w->sensor[1] = (dpi_sensor){.id = "drifting", .index = 1, .scale = 0.2, .drifts = true};
  dpi_rng rng = dpi_rng_make(77, 0, 1);
  for (int k = 1; k <= 60; k++) {
    x += 0.5 * (1.5 - 0.3 * x) + 0.2 * sqrt(0.5) * dpi_rng_normal(&rng);
    bias = 0.04 * k; /* steadily out of place */
    bed_add(w, 0.5 * k, 1, x + bias + 0.2 * dpi_rng_normal(&rng));
    if (k % 3 == 0) bed_add(w, 0.5 * k, 0, x + 0.3 * dpi_rng_normal(&rng));
  }
  dpi_kalman *k;
  OK(w, dpi_kalman_run(w->ctx, &def, &w->problem, NULL, w->reading, w->nreading, &k));
  const double *em = k->mean + 2 * (k->ntime - 1), *ec = k->cov + 4 * (k->ntime - 1);
  print_message("bias %.3f: exact %.3f +- %.3f\n", bias, em[1], sqrt(ec[3]));
  near("bias", em[1], bias, 3 * sqrt(ec[3]));
  near("state", em[0], x, 3 * sqrt(ec[0]));
  assert_true(sqrt(ec[3]) < 0.4);
  dpi_filter_def fd = dpi_filter_def_default();
  fd.n = 2000;
  dpi_filter *f;
  double mean[2], cov[4];
  OK(w, dpi_filter_create(&w->problem, &fd, &f));
  OK(w, dpi_filter_read(f, w->reading, w->nreading));
  OK(w, dpi_filter_moments(f, mean, cov));
  for (int i = 0; i < 2; i++) near("ensemble mean", mean[i], em[i], 0.15 * sqrt(ec[3 * i]));
  for (int i = 0; i < 2; i++) near("ensemble sd", sqrt(cov[3 * i]) / sqrt(ec[3 * i]), 1, 0.1);
  dpi_filter_destroy(f);
  dpi_kalman_destroy(k);
  dpi_process_destroy(p);
  bed_close(w);
}

/* ---- refusals and failures of memory ---- */

static void expect_refusal(bed *b, dp_status got, dp_status want, const char *text) {
  assert_int_equal(got, want);
  if (!strstr(dp_ctx_error(b->ctx), text)) fail_msg("'%s' does not say '%s'", dp_ctx_error(b->ctx), text);
  dp_ctx_clear_error(b->ctx);
}

static void test_refusals(void **state) {
  (void)state;
  bed B, *w = &B;
  bed_open(w, 1);
  dpi_filter_def def = dpi_filter_def_default();
  dpi_filter *f;
  w->sensor[1].scale = 0;
  expect_refusal(w, dpi_filter_create(&w->problem, &def, &f), DP_ERR_INPUT, "'two'");
  w->sensor[1].scale = 0.5;
  w->sensor[1].index = 2;
  expect_refusal(w, dpi_filter_create(&w->problem, &def, &f), DP_ERR_INPUT, "output 2");
  w->sensor[1].index = 1;
  def.n = 1;
  expect_refusal(w, dpi_filter_create(&w->problem, &def, &f), DP_ERR_INPUT, "1 members");
  def.n = 100;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  dpi_reading r = {.time = T(-1), .y = 1};
  expect_refusal(w, dpi_filter_read(f, &r, 1), DP_ERR_INPUT, "before the start");
  r = (dpi_reading){.time = T(1), .sensor = 5, .y = 1};
  expect_refusal(w, dpi_filter_read(f, &r, 1), DP_ERR_INPUT, "sensor 5");
  r = (dpi_reading){.time = T(1), .y = INFINITY};
  expect_refusal(w, dpi_filter_read(f, &r, 1), DP_ERR_INPUT, "value inf");
  /* nobody can explain it: an outcome, in words */
  dpi_filter_destroy(f);
  def.method = DPI_FILTER_BOOTSTRAP;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  r = (dpi_reading){.time = T(1), .y = 1e200};
  OK(w, dpi_filter_read(f, &r, 1));
  dpi_filter_report report;
  dpi_filter_judge(f, &report);
  assert_false(report.usable);
  assert_non_null(strstr(report.verdict, "'one'"));
  dpi_filter_destroy(f);
  bed_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exact),       cmocka_unit_test(test_fusion), cmocka_unit_test(test_steps),
      cmocka_unit_test(test_square_root), cmocka_unit_test(test_rate),   cmocka_unit_test(test_unbiased),
      cmocka_unit_test(test_orders),      cmocka_unit_test(test_match),  cmocka_unit_test(test_draws),
      cmocka_unit_test(test_outlier),     cmocka_unit_test(test_drift),  cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
