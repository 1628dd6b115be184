/* Independent comparison: SAEM beside the exact maximum of a linear model (where Laplace is exact), with correlated
 * effects and with occasions; beside theophylline's exact optimum by quadrature. Bounds are parts
 * of the estimates' own standard errors: 0.15, and about as much for Omega. */
#include "../../tests/linear_kind.h"
#include "infer/population_impl.h"

enum { NPEOPLE = 12, NTIME = 4 };
static const double T[NTIME] = {1, 2, 4, 7};

static void lines(world *w) {
  char text[4000] = "ID,TIME,DV\n";
  dpi_rng rng = dpi_rng_make(5, 6, 7);
  for (int i = 0; i < NPEOPLE; i++) {
    double z = noise(&rng), base = 2 + .7 * z, slope = 1 - .4 * z + .5 * noise(&rng);
    for (int k = 0; k < NTIME; k++)
      snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%g,%.17g\n", i + 1, T[k],
               base + slope * T[k] + .4 * noise(&rng));
  }
  OK(linear_read(w, text));
}

static void occasions(world *w) {
  char text[6000] = "ID,TIME,DV,OCC\n";
  dpi_rng rng = dpi_rng_make(8, 9, 10);
  for (int i = 0; i < 15; i++) {
    double person = 2 + .8 * noise(&rng), slope = 1 + .5 * noise(&rng);
    for (int j = 0; j < 2; j++) {
      double occasion = person + .6 * noise(&rng);
      for (int k = 0; k < 3; k++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d,%.17g,%d\n", i + 1, j * 3 + k,
                 occasion + slope * (j * 3 + k) + .3 * noise(&rng), j + 1);
    }
  }
  OK(linear_read(w, text));
}

/* What an estimate is, for test_same. */
static void numbers(const dp_prior *p, double out[7]) {
  const double now[7] = {p->objective, p->typical[0], p->typical[1], p->typical[2], p->omega[0], p->omega[1], p->omega[3]};
  memcpy(out, now, sizeof now);
}

/* In parts of the standard error of each estimate; kept [7] (or NULL): SAEM's. */
static void compare(world *w, const char *exact, double part, double gap, double *kept) {
  dp_fit_def def = dp_fit_def_default();
  dp_prior *p = NULL, *q = NULL;
  dp_fit_check *c = NULL;
  double o;
  def.method = exact;
  OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p));
  OK(dp_prior_check(w->kind, w->record, NULL, 0, p, exact, &c));
  def.method = "saem";
  OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &q));
  assert_true(p->converged && q->converged && c->determined);
  assert_string_equal(q->method, "saem");
  if (kept) numbers(q, kept);
  int k = 0;
  for (int i = 0; i < q->nparam; i++)
    if (w->kind->param[i].estimate) {
      if (fabs(q->typical[i] - p->typical[i]) > part * c->se[k])
        fail_msg("%s: found %.8g, expected %.8g +- %.3g", c->label[k], q->typical[i], p->typical[i], part * c->se[k]);
      k++;
    }
  for (int e = 0; e < q->neffect * q->neffect; e++) {
    int r = e / q->neffect, s = e % q->neffect;
    double size = sqrt(p->omega[r * (q->neffect + 1)] * p->omega[s * (q->neffect + 1)]) * sqrt(2.0 / p->npeople);
    if (fabs(q->omega[e] - p->omega[e]) > 1.5 * part * size)
      fail_msg("omega %d: found %.8g, expected %.8g +- %.3g", e, q->omega[e], p->omega[e], 1.5 * part * size);
  }
  /* the likelihood at its end: within its own error of the exact one there, and next to the maximum */
  OK(dp_prior_objective(w->kind, w->record, NULL, 0, q, exact, &o));
  assert_true(q->objective_error > 0 && q->objective_error < 0.2);
  assert_true(fabs(q->objective - o) < 4 * q->objective_error + 1e-3);
  assert_true(o > p->objective - 1e-3 && o < p->objective + gap);
  dp_fit_check_destroy(c);
  dp_prior_destroy(p);
  dp_prior_destroy(q);
}

static const variant correlated = {.name = "saem", .correlated = true};
static double alone[7]; /* its estimate on one thread */

static void test_correlated(void **state) {
  (void)state;
  world W, *w = &W;
  linear_open(w, &correlated, 1);
  lines(w);
  compare(w, "laplace", 0.15, 0.05, alone);
  world_close(w);
}

static void test_occasions(void **state) {
  (void)state;
  static const variant v = {.name = "saem_iov", .iov = "base"};
  world W, *w = &W;
  linear_open(w, &v, 2);
  occasions(w);
  compare(w, "laplace", 0.15, 0.05, NULL);
  world_close(w);
}

static void test_theophylline(void **state) {
  (void)state;
  world W, *w = &W;
  world_open(w, 2);
  compare(w, "agq", 0.15, 0.05, NULL);
  world_close(w);
}

/* The same bytes on any number of threads as test_correlated had on one; others with another seed. */
static void test_same(void **state) {
  (void)state;
  assert_true(alone[0] != 0);
  for (uint64_t seed = 1; seed <= 2; seed++) {
    world W, *w = &W;
    dp_prior *p = NULL;
    dp_fit_def def = dp_fit_def_default();
    double now[7];
    def.method = "saem";
    def.seed = seed;
    linear_open(w, &correlated, 7);
    lines(w);
    OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &p));
    numbers(p, now);
    if (seed == 1) assert_memory_equal(alone, now, sizeof now);
    if (seed == 2) assert_true(memcmp(alone, now, sizeof now) != 0);
    dp_prior_destroy(p);
    world_close(w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_correlated), cmocka_unit_test(test_occasions),
                                     cmocka_unit_test(test_theophylline), cmocka_unit_test(test_same)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
