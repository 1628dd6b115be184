/* twins/insulin as a problem: gradient against differences of values (two lags that are a person's own, errors
 * correlated in time), no corners although a meal's times move; cheap values, their gradient and the modes found by
 * them against the kind's own sim, on any number of threads; the uniform law of the delay; what is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/infer.h"

#define KIND DOPPEL_SOURCE_DIR "/twins/insulin"

typedef struct bed {
  dp_ctx *ctx;
  dp_kind *kind;
  dp_record *record;
  dp_prior *prior;
  dpi_person *p;
} bed;

static void open_bed_on(bed *b, int nthread) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  double omega[64 * 64];
  memset(b, 0, sizeof *b);
  assert_int_equal(dp_ctx_create(&def, &b->ctx), DP_OK);
  if (dp_kind_load(b->ctx, KIND, &b->kind) != DP_OK) fail_msg("%s", dp_ctx_error(b->ctx));
  if (dp_kind_record(b->kind, KIND "/patients/virtual.csv", &b->record) != DP_OK) fail_msg("%s", dp_ctx_error(b->ctx));
  assert_int_equal(dp_prior_nominal(b->kind, &b->prior), DP_OK);
  if (dpi_person_create(b->kind, b->record, 0, 900, false, &b->p) != DP_OK) fail_msg("%s", dp_ctx_error(b->ctx));
  b->p->typical = b->prior->typical;
  dpi_person_omega(b->p, b->prior->omega, omega);
  assert_int_equal(dpi_indiv_prior(b->p->iv, omega), DP_OK);
}

static void open_bed(bed *b) { open_bed_on(b, dp_ctx_def_default().nthread); }

static void close_bed(bed *b) {
  dpi_person_destroy(b->p);
  dp_prior_destroy(b->prior);
  dp_record_destroy(b->record);
  dp_kind_destroy(b->kind);
  assert_int_equal(dpi_alloc_live(b->ctx), 0);
  dp_ctx_destroy(b->ctx);
}

static void gradient_by_differences(void **state) {
  (void)state;
  bed b;
  open_bed(&b);
  dpi_indiv *iv = b.p->iv;
  int n = iv->dim;
  double x[64], g[64], fisher[64 * 64];
  bool ok = false;
  assert_int_equal(n, b.kind->neffect);
  assert_false(iv->def.corners);
  assert_true(iv->def.smooth);
  assert_int_equal(b.p->nmeeting, 0);
  assert_non_null(iv->def.link);
  for (int a = 0; a < n; a++) x[a] = 0.2 * sqrt(b.kind->effect[a].variance) * (a % 3 - 1);
  dpi_point pt = {0, g, fisher};
  assert_int_equal(dpi_indiv_eval(iv, x, true, &pt, &ok), DP_OK);
  assert_true(ok);
  for (int a = 0; a < n; a++) {
    double h = 2e-2 * sqrt(b.kind->effect[a].variance), l[2], keep = x[a];
    for (int side = 0; side < 2; side++) {
      dpi_point value = {0, NULL, NULL};
      x[a] = keep + (side ? h : -h);
      assert_int_equal(dpi_indiv_eval(iv, x, false, &value, &ok), DP_OK);
      assert_true(ok);
      l[side] = value.l;
    }
    x[a] = keep;
    double slope = (l[1] - l[0]) / (2 * h), size = sqrt(b.kind->effect[a].variance);
    if (fabs(g[a] - slope) * size > 1e-3 * (1 + fabs(slope) * size))
      fail_msg("%s: gradient %.9g, differences %.9g", b.kind->effect[a].id, g[a], slope);
  }
  close_bed(&b);
}

/* Length of v in posterior standard deviations' dual, |L^-1 v| with F = L L'. */
static double dual_norm(const double *fisher, int n, const double *v) {
  double chol[64 * 64], w[64], s = 0;
  memcpy(chol, fisher, sizeof(double) * (size_t)(n * n));
  memcpy(w, v, sizeof(double) * (size_t)n);
  assert_true(dpi_chol(chol, n));
  dpi_tri_solve_lower(chol, n, w);
  for (int a = 0; a < n; a++) s += w[a] * w[a];
  return sqrt(s);
}

static void cheap_values(void **state) {
  (void)state;
  bed b;
  open_bed(&b);
  dpi_indiv *iv = b.p->iv;
  int n = iv->dim;
  double x[4 * 64], l[4], g[64], fisher[64 * 64], rough_g[64], rough_fisher[64 * 64];
  dpi_rng rng = dpi_rng_make(1, 0, DPI_RNG_START);
  assert_non_null(iv->def.many);
  for (int k = 0; k < 4; k++)
    for (int a = 0; a < n; a++) x[k * n + a] = 0.5 * sqrt(b.kind->effect[a].variance) * dpi_rng_normal(&rng);
  assert_int_equal(dpi_indiv_many(iv, x, 4, l), DP_OK);
  for (int k = 0; k < 4; k++) {
    bool ok = false, fine = false;
    dpi_point pt = {0, g, fisher}, rough = {0, rough_g, rough_fisher};
    assert_int_equal(dpi_indiv_eval(iv, x + k * n, true, &pt, &ok), DP_OK);
    assert_int_equal(dpi_indiv_rough(iv, x + k * n, &rough, &fine), DP_OK);
    assert_true(ok && fine);
    assert_true(fabs(l[k] - pt.l) < 1e-4 * (1 + fabs(pt.l)));
    assert_true(l[k] == rough.l);
    for (int a = 0; a < n; a++) rough_g[a] -= g[a];
    assert_true(dual_norm(fisher, n, rough_g) < 0.01 * dual_norm(fisher, n, g));
  }
  x[0] = NAN;
  bool ok = true;
  assert_int_equal(dpi_indiv_rough(iv, x, &(dpi_point){0, g, fisher}, &ok), DP_OK);
  assert_false(ok);
  close_bed(&b);
}

/* The same best mode with and without cheap values; the same bytes on one thread and on two. */
static void cheap_modes(void **state) {
  (void)state;
  double x[3][4 * 64];
  dpi_mode mode[3][4];
  int n = 0;
  for (int k = 0; k < 3; k++) {
    bed b;
    int nmode = 0;
    const dpi_mode_def def = dpi_mode_def_default();
    open_bed_on(&b, k == 1 ? 2 : 1);
    n = b.p->iv->dim;
    if (k == 2) b.p->iv->def.many = NULL;
    assert_int_equal(
        dpi_mode_multi(b.p->iv, &def, NULL, 4, dpi_rng_make(3, 0, DPI_RNG_START), 4, x[k], mode[k], &nmode), DP_OK);
    assert_true(nmode > 0 && mode[k][0].converged);
    close_bed(&b);
  }
  assert_memory_equal(x[0], x[1], sizeof(double) * (size_t)n);
  assert_true(mode[0][0].l == mode[1][0].l);
  assert_true(fabs(mode[0][0].l - mode[2][0].l) < 1e-6 * (1 + fabs(mode[2][0].l)));
  assert_true(mode[0][0].decrement < 1e-5);
}

/* delay = 30 (1 + erf(e/sqrt 2)) = 60 Phi(e) */
static void delay_is_uniform(void **state) {
  (void)state;
  bed b;
  open_bed(&b);
  int e = 0, nobs = b.p->nobs;
  while (strcmp(b.kind->effect[e].parameter, "delay") != 0) e++;
  for (int k = -2; k <= 2; k++) {
    double eta[64] = {0}, f[1000], s[1000], individual[64];
    uint8_t ok;
    assert_true(nobs < 1000);
    eta[e] = 0.8 * k;
    dpi_person_batch out = {f, s, individual, &ok};
    assert_int_equal(dpi_person_simulate(b.p, eta, 1, &out), DP_OK);
    assert_true(ok);
    assert_true(fabs(individual[e] - 60 * dpi_norm_cdf(0.8 * k)) < 1e-9);
  }
  close_bed(&b);
}

static void correlated_errors_are_refused(void **state) {
  (void)state;
  bed b;
  dpi_person *p = NULL;
  open_bed(&b);
  assert_int_equal(dpi_person_create(b.kind, b.record, 0, 600, true, &p), DP_ERR_UNSUPPORTED);
  assert_null(p);
  assert_non_null(strstr(dp_ctx_error(b.ctx), "discrepancy"));
  dp_ctx_clear_error(b.ctx);
  assert_int_equal(dpi_refuse_links(b.kind, "this test"), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(b.ctx), "errors of cgm are correlated in time"));
  dp_ctx_clear_error(b.ctx);
  close_bed(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gradient_by_differences), cmocka_unit_test(delay_is_uniform),
                                     cmocka_unit_test(cheap_values), cmocka_unit_test(cheap_modes),
                                     cmocka_unit_test(correlated_errors_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
