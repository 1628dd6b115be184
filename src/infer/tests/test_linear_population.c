/* Independent comparison: maximum likelihood of balanced random-coefficient and nested designs in closed form (with a
 * free covariance, with occasions, without effects); gradients with differences; the leave-one-out store with
 * single fits. */
#include "linear_kind.h"

enum { NPEOPLE = 12, NTIME = 4 };
static const double T[NTIME] = {1, 2, 4, 7};

/* Every person at the same times: y [NPEOPLE x NTIME] and the record. */
static void make_lines(world *w, double *y, bool lognormal, int npeople) {
  char text[4000] = "ID,TIME,DV\n";
  dpi_rng rng = dpi_rng_make(5, 6, 7);
  for (int i = 0; i < npeople; i++) {
    double z = noise(&rng), base = 2 + .7 * z, slope = 1 - .4 * z + .5 * noise(&rng);
    for (int k = 0; k < NTIME; k++) {
      double v = base + slope * T[k] + .4 * noise(&rng);
      char number[32];
      dpi_format_double(lognormal ? exp(v) : v, number);
      snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%g,%s\n", i + 1, T[k], number);
      y[i * NTIME + k] = v;
    }
  }
  OK(linear_read(w, text));
}

typedef struct lines_truth {
  double base, slope, omega[4], sd;
} lines_truth;

/* Everybody's least-squares line b_i: their mean, S - sd^2 (A'A)^-1 with S the mean square around it, sd^2 = RSS/(N (n
 * - 2)) (Laird & Ware's balanced case). */
static lines_truth lines_ml(const double *y) {
  double st = 0, stt = 0, b[NPEOPLE][2], rss = 0, mean[2] = {0};
  lines_truth r = {0};
  for (int k = 0; k < NTIME; k++) st += T[k], stt += T[k] * T[k];
  double det = NTIME * stt - st * st, inv[4] = {stt / det, -st / det, -st / det, NTIME / det};
  for (int i = 0; i < NPEOPLE; i++) {
    double sy = 0, sty = 0;
    for (int k = 0; k < NTIME; k++) sy += y[i * NTIME + k], sty += T[k] * y[i * NTIME + k];
    for (int p = 0; p < 2; p++) {
      b[i][p] = inv[2 * p] * sy + inv[2 * p + 1] * sty;
      mean[p] += b[i][p] / NPEOPLE;
    }
    for (int k = 0; k < NTIME; k++) {
      double e = y[i * NTIME + k] - b[i][0] - b[i][1] * T[k];
      rss += e * e;
    }
  }
  double v = rss / (NPEOPLE * (NTIME - 2));
  for (int p = 0; p < 2; p++)
    for (int q = 0; q < 2; q++) {
      for (int i = 0; i < NPEOPLE; i++)
        r.omega[2 * p + q] += (b[i][p] - mean[p]) * (b[i][q] - mean[q]) / NPEOPLE;
      r.omega[2 * p + q] -= v * inv[2 * p + q];
    }
  r.base = mean[0], r.slope = mean[1], r.sd = sqrt(v);
  return r;
}

/* -2 ln L of the lines at given values */
static double lines_objective(const double *y, const lines_truth *q) {
  double a[2 * NTIME], r[NTIME], sum = 0;
  for (int i = 0; i < NPEOPLE; i++) {
    for (int k = 0; k < NTIME; k++) {
      a[2 * k] = 1, a[2 * k + 1] = T[k];
      r[k] = y[i * NTIME + k] - q->base - q->slope * T[k];
    }
    sum += gaussian(NTIME, 2, a, q->omega, q->sd, r, NULL, NULL);
  }
  return -2 * sum;
}

static void test_free_covariance(void **state) {
  (void)state;
  for (int lognormal = 0; lognormal < 2; lognormal++) {
    variant v = {.name = lognormal ? "cov_log" : "cov", .correlated = true, .lognormal = lognormal};
    world W, *w = &W;
    double y[NPEOPLE * NTIME], jacobian = 0, o = 0;
    linear_open(w, &v, 1);
    make_lines(w, y, lognormal, NPEOPLE);
    for (int i = 0; lognormal && i < NPEOPLE * NTIME; i++) jacobian += 2 * y[i];
    lines_truth q = lines_ml(y);
    assert_true(fabs(q.omega[1]) > .03 && q.omega[0] * q.omega[3] > q.omega[1] * q.omega[1]);
    for (int m = 0; m < 2; m++) {
      dp_fit_def def = dp_fit_def_default();
      dp_prior *p = NULL;
      def.method = m ? "focei" : "laplace";
      OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p));
      assert_true(p->converged);
      near("objective", p->objective, lines_objective(y, &q) + jacobian, 1e-6);
      near("tv_base", p->typical[0], q.base, 1e-3);
      near("tv_slope", p->typical[1], q.slope, 1e-3);
      near("sd", p->typical[2], q.sd, 1e-3);
      for (int k = 0; k < 4; k++) near("omega", p->omega[k], q.omega[k], 2e-3);
      /* elsewhere too */
      lines_truth at = {1.5, 1.2, {.8, -.2, -.2, .4}, .3};
      p->typical[0] = at.base, p->typical[1] = at.slope, p->typical[2] = at.sd;
      memcpy(p->omega, at.omega, sizeof at.omega);
      OK(dp_prior_objective(w->kind, w->record, NULL, 0, p, def.method, &o));
      near("objective there", o, lines_objective(y, &at) + jacobian, 1e-8);
      dp_prior_destroy(p);
    }
    world_close(w);
  }
}

/* people / occasions / replicates, balanced: maximum likelihood from the sums of squares (Searle, Casella & McCulloch
 * 1992, Variance Components, section 4.4) */
static void test_occasions(void **state) {
  (void)state;
  enum { A = 10, B = 2, N = 3 };
  static const variant v = {.name = "nested", .iov = "base"};
  world W, *w = &W;
  char text[4000] = "ID,TIME,DV,OCC\n";
  double y[A][B][N], mean_i[A] = {0}, mean_ij[A][B] = {{0}}, mean = 0, sse = 0, sso = 0, ssa = 0;
  dpi_rng rng = dpi_rng_make(8, 9, 10);
  linear_open(w, &v, 2);
  for (int i = 0; i < A; i++) {
    double person = 2 + noise(&rng);
    for (int j = 0; j < B; j++) {
      double occasion = person + .6 * noise(&rng);
      for (int k = 0; k < N; k++) {
        y[i][j][k] = occasion + .3 * noise(&rng);
        char number[32];
        dpi_format_double(y[i][j][k], number);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d,%s,%d\n", i + 1, j * N + k,
                 number, j + 1);
        mean_ij[i][j] += y[i][j][k] / N;
      }
      mean_i[i] += mean_ij[i][j] / B;
    }
    mean += mean_i[i] / A;
  }
  for (int i = 0; i < A; i++) {
    ssa += B * N * (mean_i[i] - mean) * (mean_i[i] - mean);
    for (int j = 0; j < B; j++) {
      sso += N * (mean_ij[i][j] - mean_i[i]) * (mean_ij[i][j] - mean_i[i]);
      for (int k = 0; k < N; k++)
        sse += (y[i][j][k] - mean_ij[i][j]) * (y[i][j][k] - mean_ij[i][j]);
    }
  }
  double mse = sse / (A * B * (N - 1)), mso = sso / (A * (B - 1));
  OK(linear_read(w, text));
  /* no slope: fixed at 0 with next to no variance, both not estimated */
  dp_kind *k = w->kind;
  ((dpi_kind_param *)k->param)[1].estimate = false;
  ((dpi_kind_param *)k->param)[1].nominal = 0;
  ((double *)k->omega)[4] = 1e-12;
  ((uint8_t *)k->omega_free)[4] = 0;
  for (int m = 0; m < 2; m++) {
    dp_fit_def def = dp_fit_def_default();
    dp_prior *p = NULL;
    def.method = m ? "focei" : "laplace";
    OK(dp_prior_fit(k, w->record, NULL, 0, &def, &p));
    assert_true(p->converged);
    near("tv_base", p->typical[0], mean, 1e-4);
    near("sd", p->typical[2], sqrt(mse), 1e-3);
    near("between occasions", p->omega[8], (mso - mse) / N, 1e-3);
    near("between people", p->omega[0], (ssa / A - mso) / (B * N), 1e-3);
    dp_prior_destroy(p);
  }
  world_close(w);
}

/* Everybody alike: ordinary least squares, sd^2 = RSS/n. */
static void test_nobody_differs(void **state) {
  (void)state;
  static const variant v = {.name = "pooled", .no_effect = true};
  world W, *w = &W;
  double y[NPEOPLE * NTIME], n = NPEOPLE * NTIME, st = 0, stt = 0, sy = 0, sty = 0, rss = 0;
  linear_open(w, &v, 1);
  make_lines(w, y, false, NPEOPLE);
  for (int i = 0; i < NPEOPLE * NTIME; i++) {
    double t = T[i % NTIME];
    st += t, stt += t * t, sy += y[i], sty += t * y[i];
  }
  double slope = (n * sty - st * sy) / (n * stt - st * st), base = (sy - slope * st) / n;
  for (int i = 0; i < NPEOPLE * NTIME; i++) {
    double e = y[i] - base - slope * T[i % NTIME];
    rss += e * e;
  }
  dp_fit_def def = dp_fit_def_default();
  dp_prior *p = NULL;
  OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p));
  near("base", p->typical[0], base, 1e-3);
  near("slope", p->typical[1], slope, 1e-3);
  near("sd", p->typical[2], sqrt(rss / n), 1e-3);
  near("objective", p->objective, n * (LN_2PI + log(rss / n) + 1), 1e-6);
  dp_prior_destroy(p);
  world_close(w);
}

/* A factor of a covariate keeps slope's typical value from being a mere shift, here only from the fourth person on. */
static void test_gradient_with_covariate(void **state) {
  (void)state;
  static const variant v = {.name = "factor", .weight = "locf", .correlated = true};
  world W, *w = &W;
  char text[2000] = "ID,TIME,DV,W\n";
  dpi_rng rng = dpi_rng_make(2, 3, 4);
  linear_open(w, &v, 1);
  for (int i = 0; i < 6; i++)
    for (int k = 0; k < NTIME; k++)
      snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%g,%.6f,%d\n", i + 1, T[k],
               2 + T[k] * (i < 3 ? 1 : 2) + noise(&rng), i < 3 ? 70 : 140);
  OK(linear_read(w, text));
  for (int m = 0; m < 2; m++) {
    dp_prior *p = NULL;
    dpi_population *pop = NULL;
    OK(dp_prior_nominal(w->kind, &p));
    OK(dpi_population_create(w->kind, w->record, NULL, 0, p, m ? DPI_FOCEI : DPI_LAPLACE, &pop));
    int n = dpi_population_ntheta(pop);
    double x[8], g[8], hi, lo, f;
    bool ok;
    assert_int_equal(n, 6); /* two typical values, sd, three of the covariance's factor */
    dpi_population_start(pop, x);
    for (int k = 0; k < n; k++) x[k] += 0.1 * (k % 3 - 1) + 0.05;
    OK(dpi_population_eval(pop, x, &f, g, &ok));
    for (int k = 0; k < n; k++) {
      double at = x[k];
      char label[96];
      x[k] = at + 1e-4;
      OK(dpi_population_eval(pop, x, &hi, NULL, &ok));
      x[k] = at - 1e-4;
      OK(dpi_population_eval(pop, x, &lo, NULL, &ok));
      x[k] = at;
      double want = (hi - lo) / 2e-4;
      if (fabs(g[k] - want) > 1e-4 * (1 + fabs(want)))
        fail_msg("%s: %.8g, differences %.8g", dpi_population_label(pop, k, label), g[k], want);
    }
    dpi_population_destroy(pop);
    dp_prior_destroy(p);
  }
  world_close(w);
}

/* Lognormal effects make every typical value of warfarin's that has one a shift, however rough the integrator. */
static void test_shifts_are_found(void **state) {
  (void)state;
  world W, *w = &W;
  dp_ctx_def def = dp_ctx_def_default();
  dp_prior *p = NULL;
  dpi_population *pop = NULL;
  memset(w, 0, sizeof *w);
  assert_int_equal(dp_ctx_create(&def, &w->ctx), DP_OK);
  OK(dp_kind_load(w->ctx, DOPPEL_SOURCE_DIR "/twins/warfarin", &w->kind));
  OK(dp_kind_record(w->kind, dp_kind_patients(w->kind), &w->record));
  OK(dp_prior_nominal(w->kind, &p));
  OK(dpi_population_create(w->kind, w->record, NULL, 0, p, DPI_FOCEI, &pop));
  int nshift = 0;
  for (int k = 0; k < dpi_population_ntheta(pop); k++) {
    char label[96];
    nshift += strstr(dpi_population_label(pop, k, label), "(shift)") != NULL;
  }
  assert_int_equal(nshift, w->kind->neffect);
  dpi_population_destroy(pop);
  dp_prior_destroy(p);
  world_close(w);
}

/* Refused or stepped back from, never a fit that breaks in the middle. */
static void test_odd_covariances(void **state) {
  (void)state;
  static const variant v = {.name = "odd", .correlated = true};
  world W, *w = &W;
  double y[NPEOPLE * NTIME];
  dp_prior *p = NULL;
  dp_fit_def def = dp_fit_def_default();
  linear_open(w, &v, 1);
  make_lines(w, y, false, NPEOPLE);
  uint8_t *is_free = (uint8_t *)w->kind->omega_free;
  is_free[0] = is_free[3] = 0;
  assert_int_equal(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(w->ctx), "eta_base and eta_slope"));
  dp_ctx_clear_error(w->ctx);
  /* a fixed covariance forbids small variances: such a point can't be evaluated, and that is all */
  is_free[0] = is_free[3] = 1;
  is_free[1] = is_free[2] = 0;
  dpi_population *pop = NULL;
  double x[8], f;
  bool ok = true;
  OK(dp_prior_nominal(w->kind, &p));
  OK(dpi_population_create(w->kind, w->record, NULL, 0, p, DPI_FOCEI, &pop));
  dpi_population_start(pop, x);
  OK(dpi_population_eval(pop, x, &f, NULL, &ok));
  assert_true(ok);
  x[3] = x[4] = log(.05); /* .05 * .05 < .1 * .1 */
  OK(dpi_population_eval(pop, x, &f, NULL, &ok));
  assert_false(ok);
  dpi_population_destroy(pop);
  p->typical[1] = 101;
  assert_int_equal(dp_prior_objective(w->kind, w->record, NULL, 0, p, "focei", &f), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(w->ctx), "tv_slope"));
  dp_ctx_clear_error(w->ctx);
  dp_prior_destroy(p);
  world_close(w);
}

static void same_prior(const dp_prior *a, const dp_prior *b) {
  assert_memory_equal(a->typical, b->typical, sizeof(double) * 3);
  assert_memory_equal(a->omega, b->omega, sizeof(double) * 4);
  assert_memory_equal(a->uncertainty, b->uncertainty, sizeof(double) * 4);
  assert_memory_equal(&a->objective, &b->objective, sizeof(double));
  assert_string_equal(a->hash, b->hash);
  assert_int_equal(a->npeople, b->npeople);
}

/* In the text of a file, every `from` becomes `to`. */
static void file_replace(world *w, const char *path, const char *from, const char *to) {
  char *text = NULL, *at;
  size_t size;
  dpi_str s;
  OK(dpi_file_read(w->ctx, path, 0, &text, &size));
  dpi_str_init(&s, w->ctx);
  char *next = text;
  assert_non_null(strstr(text, from));
  for (; (at = strstr(next, from)); next = at + strlen(from)) {
    dpi_str_addn(&s, next, (size_t)(at - next));
    dpi_str_add(&s, to);
  }
  dpi_str_add(&s, next);
  OK(dpi_file_write(w->ctx, path, dpi_str_text(&s), s.len));
  dpi_str_release(&s);
  dpi_free(w->ctx, text);
}

static void test_store(void **state) {
  (void)state;
  static const variant v = {.name = "store", .correlated = true};
  static const char path[] = DOPPEL_BINARY_DIR "/linear_store_priors.tsv";
  enum { N = 5 };
  world W, *w = &W;
  double y[NPEOPLE * NTIME];
  dp_prior *one = NULL, *stored = NULL;
  remove(path);
  linear_open(w, &v, 2);
  make_lines(w, y, false, N);
  OK(dp_prior_loo_store(w->kind, w->record, path));
  for (int i = -1; i < N; i++) {
    const char *key = i < 0 ? "*" : w->record->subject[i].id;
    OK(dp_prior_loo(w->kind, w->record, i, NULL, &one));
    OK(dp_prior_read(w->kind, path, key, &stored));
    assert_non_null(stored);
    same_prior(one, stored);
    assert_int_equal(stored->npeople, i < 0 ? N : N - 1);
    dp_prior_destroy(one);
    dp_prior_destroy(stored);
  }
  /* what fits is kept: marks stay */
  file_replace(w, path, "\titerations\t\t\t", "\titerations\t\t\t777");
  OK(dp_prior_loo_store(w->kind, w->record, path));
  for (int i = -1; i < N; i++) {
    OK(dp_prior_loo(w->kind, w->record, i, path, &one));
    assert_true(one->iterations >= 7770);
    dp_prior_destroy(one);
  }
  /* entries of another version of the kind, whose parameters had other names, are estimated anew */
  char hash[65], other[65];
  dp_fit_def def = dp_fit_def_default();
  int person = 2;
  OK(dpi_prior_hash(w->kind, w->record, &person, 1, &def, hash));
  memset(other, '0', 64);
  other[64] = 0;
  file_replace(w, path, hash, other);
  file_replace(w, path, "tv_base", "tv_bottom");
  OK(dp_prior_loo(w->kind, w->record, 2, path, &one));
  assert_true(one->iterations < 7770);
  dp_prior_destroy(one);
  /* one that should fit and is damaged is named */
  assert_int_equal(dp_prior_loo(w->kind, w->record, 1, path, &one), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(w->ctx), "tv_bottom"));
  dp_ctx_clear_error(w->ctx);
  file_replace(w, path, "1\ttypical\ttv_bottom", "x\ttypical\ttv_base");
  assert_int_equal(dp_prior_read(w->kind, path, "1", &one), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(w->ctx), "no typical value of tv_base"));
  dp_ctx_clear_error(w->ctx);
  world_close(w);
}

/* "*" means nobody left out; a person of that name would be taken for it. */
static void test_store_key(void **state) {
  (void)state;
  static const variant v = {.name = "key"};
  world W, *w = &W;
  linear_open(w, &v, 1);
  OK(linear_read(w, "ID,TIME,DV\n*,1,3\n*,2,4\nb,1,3\nb,2,5\n"));
  assert_int_equal(dp_prior_loo_store(w->kind, w->record, DOPPEL_BINARY_DIR "/linear_key.tsv"),
                   DP_ERR_INPUT);
  dp_ctx_clear_error(w->ctx);
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_free_covariance),
                                     cmocka_unit_test(test_occasions),
                                     cmocka_unit_test(test_nobody_differs),
                                     cmocka_unit_test(test_gradient_with_covariate),
                                     cmocka_unit_test(test_shifts_are_found),
                                     cmocka_unit_test(test_odd_covariances),
                                     cmocka_unit_test(test_store),
                                     cmocka_unit_test(test_store_key)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
