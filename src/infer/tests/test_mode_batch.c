/* Independent comparison: modes of theophylline's people found side by side and one by one; the same bytes on any
 * number of threads and whoever else is in the batch. */
#include "theophylline.h"

#include "infer/mode_search.h"

enum { N = 12 };

typedef struct found {
  double x[N][8];
  dpi_modes m[N];
} found;

static void people(world *w, const dp_prior *prior, int first, int n, dpi_person **p) {
  double omega[64];
  for (int i = 0; i < n; i++) {
    OK(dpi_person_create(w->kind, w->record, first + i, INFINITY, false, &p[i]));
    p[i]->typical = prior->typical;
    dpi_person_omega(p[i], prior->omega, omega);
    OK(dpi_indiv_prior(p[i]->iv, omega));
  }
}

/* Modes of people first .. first + n - 1; one by one into single unless NULL. */
static void find(int nthread, int first, int n, found *out, double *single) {
  world W, *w = &W;
  dp_prior *prior = NULL;
  dpi_person *p[N];
  dpi_modes_def def = {.mode = dpi_mode_def_default(), .nstart = 3, .nstart_more = 16, .seed = 1};
  memset(out, 0, sizeof *out);
  world_open(w, nthread);
  OK(dp_prior_nominal(w->kind, &prior));
  people(w, prior, first, n, p);
  for (int i = 0; i < n; i++) out->m[i].x = out->x[i];
  OK(dpi_modes_find(w->kind, p, n, &def, out->m));
  for (int i = 0; single && i < n; i++) {
    dpi_mode mode[4];
    double x[32];
    int nmode = 0;
    OK(dpi_mode_multi(p[i]->iv, &def.mode, NULL, 16, dpi_rng_make(1, p[i]->c->stream, DPI_RNG_START), 4, x, mode,
                      &nmode));
    assert_true(nmode > 0 && mode[0].converged);
    single[i * 4] = mode[0].l;
    memcpy(single + i * 4 + 1, x, 3 * sizeof(double));
  }
  for (int i = 0; i < n; i++) dpi_person_destroy(p[i]);
  dp_prior_destroy(prior);
  world_close(w);
}

static void test_single(void **state) {
  (void)state;
  static found f;
  double single[N * 4];
  find(2, 0, N, &f, single);
  for (int i = 0; i < N; i++) {
    assert_true(f.m[i].nmode >= 1 && f.m[i].mode.converged);
    assert_true(fabs(f.m[i].mode.l - single[i * 4]) < 1e-7);
    for (int a = 0; a < 3; a++) assert_true(fabs(f.x[i][a] - single[i * 4 + 1 + a]) < 1e-6);
  }
}

static void test_same(void **state) {
  (void)state;
  static found a, b, c;
  find(1, 0, N, &a, NULL);
  find(7, 0, N, &b, NULL);
  find(2, 5, 2, &c, NULL);
  assert_memory_equal(a.x, b.x, sizeof a.x);
  for (int i = 0; i < N; i++) assert_true(a.m[i].mode.l == b.m[i].mode.l);
  assert_memory_equal(a.x[5], c.x[0], sizeof a.x[0]);
  assert_memory_equal(a.x[6], c.x[1], sizeof a.x[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_single), cmocka_unit_test(test_same)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
