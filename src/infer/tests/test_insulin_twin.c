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
#include <stdlib.h>
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
    double h = 5e-3 * sqrt(b.kind->effect[a].variance), l[2], keep = x[a];
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

static const double FLOOR = 80, DAYS = 2880; /* mg/dL, the least that is shown; min of a record with lows in them */
#define LOWS KIND "/patients/week.csv"
enum { VALUE, BELOW, TAKEN, NCASE }; /* what is under it: as it is; told as below; taken for a measured 125 */

/* Readings up to FLOOR of a record of this test's own; how many. */
static int floor_readings(dp_record *r, int which) {
  int n = 0;
  for (int i = 0; i < r->subject[0].nevent; i++) {
    dp_event *e = (dp_event *)&r->subject[0].event[i];
    if (e->evid != 0 || !(e->value <= FLOOR)) continue;
    n++;
    if (which == VALUE) continue;
    e->value = FLOOR;
    e->censored = which == BELOW;
  }
  return n;
}

/* What a belief says of glucose where readings lay under FLOOR: mean over draws. */
static double said_below(const bed *b, const dp_record *shown, const dp_belief *belief) {
  dpi_person *p = NULL;
  double *f, sum = 0;
  int n = 0;
  assert_int_equal(dpi_person_create(b->kind, shown, 0, DAYS, false, &p), DP_OK);
  p->typical = b->prior->typical;
  const size_t draws = (size_t)belief->ndraw, nobs = (size_t)p->nobs;
  f = malloc(sizeof *f * draws * (2 * nobs + 64));
  uint8_t *ok = malloc(draws);
  dpi_person_batch out = {f, f + draws * nobs, f + 2 * draws * nobs, ok};
  assert_int_equal(dpi_person_simulate(p, belief->eta, belief->ndraw, &out), DP_OK);
  for (size_t k = 0; k < draws; k++)
    for (size_t i = 0; i < nobs; i++) {
      if (!(p->datum[i].y <= FLOOR)) continue;
      sum += f[k * nobs + i];
      n++;
    }
  free(f);
  free(ok);
  dpi_person_destroy(p);
  return sum / n;
}

/* The cheap values of searches and the posterior's see one likelihood. */
static void same_values(const bed *b, const dp_record *r) {
  dpi_person *p = NULL;
  double x[64] = {0}, omega[64 * 64], many;
  bool ok;
  dpi_point pt = {0, NULL, NULL};
  assert_int_equal(dpi_person_create(b->kind, r, 0, DAYS, false, &p), DP_OK);
  p->typical = b->prior->typical;
  dpi_person_omega(p, b->prior->omega, omega);
  assert_int_equal(dpi_indiv_prior(p->iv, omega), DP_OK);
  assert_true(p->iv->nrun > 0);
  assert_int_equal(dpi_indiv_eval(p->iv, x, false, &pt, &ok), DP_OK);
  assert_int_equal(dpi_indiv_many(p->iv, x, 1, &many), DP_OK);
  assert_true(ok && fabs(many - pt.l) < 1e-3 * (1 + fabs(pt.l)));
  dpi_person_destroy(p);
}

/* Readings at the least that a sensor shows, whose errors last: the belief is usable, and nearer to that from the
 * values than one that takes them for measured. */
static void a_sensor_with_a_floor(void **state) {
  (void)state;
  double said[NCASE];
  dp_record *shown = NULL;
  bed b;
  open_bed(&b);
  assert_int_equal(dp_kind_record(b.kind, LOWS, &shown), DP_OK);
  for (int k = 0; k < NCASE; k++) {
    dp_record *r = NULL;
    dp_belief *belief = NULL;
    assert_int_equal(dp_kind_record(b.kind, LOWS, &r), DP_OK);
    assert_true(floor_readings(r, k) > 5);
    dp_assimilate_def def = dp_assimilate_def_default();
    def.nstart = 2;
    def.nproposal = 1000;
    if (dp_assimilate(b.kind, r, 0, DAYS, b.prior, &def, &belief) != DP_OK) fail_msg("%s", dp_ctx_error(b.ctx));
    if (!belief->usable) fail_msg("%s", belief->verdict);
    assert_true(belief->ppc_p > 0 && belief->ppc_p < 1);
    said[k] = said_below(&b, shown, belief);
    if (k == BELOW) same_values(&b, r);
    dp_belief_destroy(belief);
    dp_record_destroy(r);
  }
  if (!(fabs(said[BELOW] - said[VALUE]) < 0.5 * fabs(said[TAKEN] - said[VALUE])))
    fail_msg("mean glucose there: %g from values, %g from sides of a limit, %g from the limit", said[VALUE],
             said[BELOW], said[TAKEN]);
  dp_record_destroy(shown);
  close_bed(&b);
}

/* A meal is told twice; one half alone would be silently wrong. */
static void half_a_meal(void **state) {
  (void)state;
  bed b;
  open_bed(&b);
  dp_record *r = NULL;
  dpi_person *p = NULL;
  assert_int_equal(dp_kind_record(b.kind, KIND "/patients/virtual.csv", &r), DP_OK);
  for (int i = 0; i < r->subject[0].nevent; i++) {
    dp_event *e = (dp_event *)&r->subject[0].event[i];
    if (e->evid == 1 && e->compartment == 3) e->amount *= 2;
  }
  assert_int_equal(dpi_person_create(b.kind, r, 0, 900, false, &p), DP_ERR_INPUT);
  assert_null(p);
  assert_non_null(strstr(dp_ctx_error(b.ctx), "of 'meal' alone, expected the same dose of 'meal_late' (CMT 3)"));
  dp_ctx_clear_error(b.ctx);
  dp_record_destroy(r);
  close_bed(&b);
}

/* Two readings, the second below a limit, nearer to each other than errors can be told apart. */
static void neighbours_too_near(void **state) {
  (void)state;
  bed b;
  dp_record *r = NULL;
  dpi_person *p = NULL;
  open_bed(&b);
  assert_int_equal(dp_kind_record(b.kind, KIND "/patients/virtual.csv", &r), DP_OK);
  dp_event *e = (dp_event *)r->subject[0].event;
  e[1].time = e[0].time + DP_TICKS / 1000;
  assert_int_equal(dpi_person_create(b.kind, r, 0, 60, false, &p), DP_OK);
  dpi_person_destroy(p);
  e[1].censored = 1;
  assert_int_equal(dpi_person_create(b.kind, r, 0, 60, false, &p), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(b.ctx), "of their neighbours"));
  dp_ctx_clear_error(b.ctx);
  dp_record_destroy(r);
  close_bed(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gradient_by_differences), cmocka_unit_test(delay_is_uniform),
                                     cmocka_unit_test(cheap_values), cmocka_unit_test(cheap_modes),
                                     cmocka_unit_test(correlated_errors_are_refused),
                                     cmocka_unit_test(half_a_meal), cmocka_unit_test(a_sensor_with_a_floor),
                                     cmocka_unit_test(neighbours_too_near)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
