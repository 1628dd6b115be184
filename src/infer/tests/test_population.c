/* Independent comparison: published estimates of the theophylline data (NONMEM's FOCE with interaction; Laplace),
 * gradients with central differences of the objective, and the same maximum from a distant start. */
#include "theophylline.h"

static double param(const world *w, const dp_prior *p, const char *id) {
  for (int i = 0; i < w->kind->nparam; i++)
    if (!strcmp(w->kind->param[i].id, id)) return p->typical[i];
  fail_msg("no parameter %s", id);
  return NAN;
}

typedef struct truth {
  const char *method;
  double objective, ka, cl, v, o_ka, o_cl, o_v, sd;
} truth;

static const truth TRUTH[] = {
    {"focei", 359.40319, .46391, 1.01216, 3.45975, .40234, .06910, .01916, .69442},
    {"laplace", 361.10333, .45757, 1.01198, 3.45370, .39834, .07011, .01823, .69563}};

static void check(const world *w, const dp_prior *p, const truth *t) {
  assert_true(p->converged);
  if (fabs(p->objective - t->objective) > 1e-3)
    fail_msg("%s: objective %.6f", t->method, p->objective);
  assert_true(fabs(dpi_m_log(param(w, p, "tv_ka")) - t->ka) < 1e-3);
  assert_true(fabs(dpi_m_log(param(w, p, "tv_CL")) - t->cl) < 5e-4);
  assert_true(fabs(dpi_m_log(param(w, p, "tv_V")) - t->v) < 5e-4);
  assert_true(fabs(param(w, p, "sd_add") - t->sd) < 5e-4);
  assert_true(fabs(p->omega[0] / t->o_ka - 1) < 2e-3);
  assert_true(fabs(p->omega[4] / t->o_cl - 1) < 2e-3);
  assert_true(fabs(p->omega[8] / t->o_v - 1) < 3e-3);
}

static void test_published_estimates(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 2);
  for (int m = 0; m < 2; m++) {
    dp_fit_def def = dp_fit_def_default();
    dp_prior *p = NULL, *start = NULL;
    def.method = TRUTH[m].method;
    OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p));
    check(w, p, &TRUTH[m]);
    assert_int_equal(p->npeople, 12);
    /* uncertainty of a typical value: about omega / 12 for a well-determined one */
    assert_true(p->uncertainty[4] > 0.5 * p->omega[4] / 12 &&
                p->uncertainty[4] < 2 * p->omega[4] / 12);
    dp_prior_destroy(p);
    /* far away: a third of everything */
    OK(dp_prior_nominal(w->kind, &start));
    for (int i = 0; i < start->nparam; i++) start->typical[i] *= 0.3;
    for (int i = 0; i < 9; i++) start->omega[i] *= 0.3;
    def.start = start;
    OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p));
    check(w, p, &TRUTH[m]);
    dp_prior_destroy(p);
    dp_prior_destroy(start);
  }
  world_close(w);
}

static void test_objective_at_a_point(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 1);
  /* at the published FOCE-I estimates the objective is the published minimum */
  const truth *t = &TRUTH[0];
  dp_prior *p = NULL;
  double o;
  OK(dp_prior_nominal(w->kind, &p));
  p->typical[0] = dpi_m_exp(t->ka);
  p->typical[1] = dpi_m_exp(t->cl);
  p->typical[2] = dpi_m_exp(t->v);
  p->typical[3] = t->sd;
  p->omega[0] = t->o_ka;
  p->omega[4] = t->o_cl;
  p->omega[8] = t->o_v;
  OK(dp_prior_objective(w->kind, w->record, NULL, 0, p, "focei", &o));
  assert_true(fabs(o - 359.40319) < 1e-4);
  assert_int_equal(dp_prior_objective(w->kind, w->record, NULL, 0, p, "guess", &o), DP_ERR_USAGE);
  dp_prior_destroy(p);
  world_close(w);
}

static void test_gradient(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 2);
  for (int m = 0; m < 2; m++) {
    dp_prior *p = NULL;
    dpi_population *pop = NULL;
    OK(dp_prior_nominal(w->kind, &p));
    OK(dpi_population_create(w->kind, w->record, NULL, 0, p, m ? DPI_FOCEI : DPI_LAPLACE, &pop));
    int n = dpi_population_ntheta(pop);
    assert_int_equal(n, 7);
    double x[7], g[7], f, t[7], lo = 0, hi = 0, dummy[7];
    bool ok;
    dpi_population_start(pop, x);
    for (int k = 0; k < n; k++) x[k] += 0.1 * (k % 3 - 1) + 0.05;
    OK(dpi_population_eval(pop, x, &f, g, &ok));
    assert_true(ok);
    for (int k = 0; k < n; k++) {
      memcpy(t, x, sizeof t);
      t[k] = x[k] + 1e-3;
      OK(dpi_population_eval(pop, t, &hi, NULL, &ok));
      t[k] = x[k] - 1e-3;
      OK(dpi_population_eval(pop, t, &lo, NULL, &ok));
      double want = (hi - lo) / 2e-3;
      char label[96];
      if (fabs(g[k] - want) > 2e-3 * (1 + fabs(want)))
        fail_msg("%d %s: %.8g, differences %.8g", m, dpi_population_label(pop, k, label), g[k],
                 want);
    }
    /* single people's scores sum to it */
    OK(dpi_population_eval(pop, x, &f, dummy, &ok));
    const double *s = dpi_population_scores(pop);
    for (int k = 0; k < n; k++) {
      double sum = 0;
      for (int i = 0; i < 12; i++) sum += s[i * n + k];
      assert_true(fabs(sum - g[k]) < 1e-4 * (1 + fabs(g[k])));
    }
    dpi_population_destroy(pop);
    dp_prior_destroy(p);
  }
  world_close(w);
}

static void same_bytes(const dp_prior *a, const dp_prior *b) {
  assert_memory_equal(a->typical, b->typical, sizeof(double) * (size_t)a->nparam);
  assert_memory_equal(a->omega, b->omega, sizeof(double) * 9);
  assert_memory_equal(a->uncertainty, b->uncertainty, sizeof(double) * 9);
  assert_memory_equal(&a->objective, &b->objective, sizeof(double));
  assert_string_equal(a->hash, b->hash);
  assert_string_equal(a->source, b->source);
}

/* the same bytes on any number of threads, and whatever the excluded person's data are */
static void test_leave_one_out(void **state) {
  (void)state;
  static const int nthread[] = {1, 2, 7};
  dp_prior *first = NULL;
  world keep[3];
  for (int k = 0; k < 3; k++) {
    world *w = &keep[k];
    dp_prior *p = NULL;
    world_open(w, nthread[k]);
    if (k == 2) assert_true(world_change(w, 4, -1, 1.7) > 5);
    OK(dp_prior_loo(w->kind, w->record, 4, NULL, &p));
    assert_int_equal(p->npeople, 11);
    assert_true(p->converged);
    if (first) {
      same_bytes(first, p);
      dp_prior_destroy(p);
    } else {
      first = p;
    }
  }
  world *w = &keep[0];
  dp_prior *other = NULL;
  OK(dp_prior_loo(w->kind, w->record, 5, NULL, &other));
  assert_string_not_equal(first->hash, other->hash);
  assert_true(first->omega[0] != other->omega[0]);
  dp_prior_destroy(other);
  dp_prior_destroy(first);
  for (int k = 0; k < 3; k++) world_close(&keep[k]);
}

static void test_store(void **state) {
  (void)state;
  static const char path[] = DOPPEL_BINARY_DIR "/test_population_priors.tsv";
  world W, *w = &W;
  world_open(w, 2);
  dp_prior *p[2] = {NULL, NULL}, *back = NULL;
  for (int i = 0; i < 2; i++) OK(dp_prior_loo(w->kind, w->record, i, NULL, &p[i]));
  const char *key[2] = {w->record->subject[0].id, w->record->subject[1].id};
  OK(dp_prior_write(w->kind, path, key, (const dp_prior *const *)p, 2));
  OK(dp_prior_read(w->kind, path, key[1], &back));
  assert_non_null(back);
  same_bytes(p[1], back);
  dp_prior_destroy(back);
  OK(dp_prior_read(w->kind, path, "nobody", &back));
  assert_null(back);
  /* a stored prior whose hash fits is taken without estimating: iterations of a mark left in it show */
  p[0]->iterations = 77777;
  OK(dp_prior_write(w->kind, path, key, (const dp_prior *const *)p, 2));
  OK(dp_prior_loo(w->kind, w->record, 0, path, &back));
  assert_int_equal(back->iterations, 77777);
  dp_prior_destroy(back);
  /* data of another person changed: not taken */
  world_change(w, 3, -1, 1.01);
  OK(dp_prior_loo(w->kind, w->record, 0, path, &back));
  assert_int_not_equal(back->iterations, 77777);
  dp_prior_destroy(back);
  /* damage is named with its place */
  FILE *f = fopen(path, "w");
  fputs("key\titem\trow\tcolumn\tvalue\n1\ttypical\ttv_kaa\t\t1\n", f);
  fclose(f);
  assert_int_equal(dp_prior_read(w->kind, path, "1", &back), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(w->ctx), ":2: column row: found 'tv_kaa'"));
  dp_ctx_clear_error(w->ctx);
  for (int i = 0; i < 2; i++) dp_prior_destroy(p[i]);
  world_close(w);
}

static void test_refusals(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 1);
  int all[12];
  dp_prior *p = NULL;
  dp_fit_def def = dp_fit_def_default();
  for (int i = 0; i < 12; i++) all[i] = i;
  assert_int_equal(dp_prior_fit(w->kind, w->record, all, 12, &def, &p), DP_ERR_INPUT);
  dp_ctx_clear_error(w->ctx);
  def.cookie = 0;
  assert_int_equal(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p), DP_ERR_USAGE);
  dp_ctx_clear_error(w->ctx);
  assert_int_equal(dp_prior_loo(w->kind, w->record, 12, NULL, &p), DP_ERR_USAGE);
  dp_ctx_clear_error(w->ctx);
  assert_null(p);
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_published_estimates),
                                     cmocka_unit_test(test_objective_at_a_point),
                                     cmocka_unit_test(test_gradient),
                                     cmocka_unit_test(test_leave_one_out),
                                     cmocka_unit_test(test_store),
                                     cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
