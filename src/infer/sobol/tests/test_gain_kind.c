/* Independent comparison: the linear-Gaussian closed form. A law of the theophylline kind is made so narrow that the
 * model is linear in the effects; with J the derivatives of the predictions by the effects (from
 * differences of the sim),
 *
 *     narrowing = (J_q Omega J_f')^2 / (J_q Omega J_q' (J_f Omega J_f' + s^2))
 *     information = ln(1 + J_f Omega J_f'/s^2)/2
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "doppel/gain.h"
#include "infer/infer.h"

enum { NDRAW = 3000, NC = 4 };
#define NARROW 1e-4 /* of the kind's variances */

typedef struct scene {
  dp_ctx *ctx;
  dp_kind *kind;
  dp_record *record;
  dp_prior *prior;
} scene;

static void must(const scene *s, dp_status status) {
  if (status != DP_OK) print_error("%s\n", dp_ctx_error(s->ctx));
  assert_int_equal(status, DP_OK);
}

static void near(double found, double want, double within) {
  if (!(fabs(found - want) <= within)) print_error("found %.8g, want %.8g within %.3g\n", found, want, within);
  assert_true(fabs(found - want) <= within);
}

static void open_scene(scene *s) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 1;
  assert_int_equal(dp_ctx_create(&def, &s->ctx), DP_OK);
  must(s, dp_kind_load(s->ctx, DOPPEL_SOURCE_DIR "/twins/theophylline", &s->kind));
  must(s, dp_kind_record(s->kind, dp_kind_patients(s->kind), &s->record));
  must(s, dp_prior_nominal(s->kind, &s->prior));
  for (int i = 0; i < s->prior->neffect * s->prior->neffect; i++) s->prior->omega[i] *= NARROW;
  for (int i = 0; i < s->prior->nparam; i++) /* errors shrink along, so that there is something to be told */
    if (strcmp(dp_kind_parameter_id(s->kind, i), "sd_add") == 0) s->prior->typical[i] *= sqrt(NARROW);
}

static void close_scene(scene *s) {
  dp_prior_destroy(s->prior);
  dp_record_destroy(s->record);
  dp_kind_destroy(s->kind);
  dp_ctx_destroy(s->ctx);
}

/* Prediction and error at a time, effects eta. */
static void predict(const scene *s, const dpi_case *c, const double *eta, double time, double *f, double *sd) {
  double param[64];
  dp_instant instant[64];
  dp_output_time when = {(dp_time)llround(time * (double)DP_TICKS), INT32_MAX};
  assert_true(dp_sim_describe(s->kind->sim)->nparam <= 64 && c->ninstant <= 64);
  dpi_case_apply(c, s->prior->typical, eta, param, instant);
  dpi_case_undirect(instant, c->ninstant);
  dp_member m = {.param = param, .instant = instant, .ninstant = c->ninstant, .out = &when, .nout = 1};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r;
  must(s, dp_simulate(s->kind->sim, &m, 1, &opts, &r));
  *f = r->value[s->kind->observable[0].value_output];
  *sd = r->value[s->kind->observable[0].sigma_output];
  dp_result_destroy(r);
}

static void jacobian(const scene *s, const dpi_case *c, double time, double *j, double *sd) {
  double eta[16] = {0}, up, down, ignore;
  assert_true(c->neta <= 16);
  for (int k = 0; k < c->neta; k++) {
    eta[k] = 1e-4;
    predict(s, c, eta, time, &up, &ignore);
    eta[k] = -1e-4;
    predict(s, c, eta, time, &down, &ignore);
    eta[k] = 0;
    j[k] = (up - down) / 2e-4;
  }
  predict(s, c, eta, time, &up, sd);
}

static double product(const scene *s, const double *a, const double *b) {
  double sum = 0;
  int n = s->prior->neffect;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < n; k++) sum += a[i] * s->prior->omega[i * n + k] * b[k];
  return sum;
}

static void test_linear(void **state) {
  (void)state;
  scene s;
  dpi_case *c;
  dp_belief *belief;
  dp_gain_outlook o;
  dp_gain gain[NC];
  const dp_gain_place forecast = {"c", 12}, candidate[NC] = {{"c", 0.5}, {"c", 2}, {"c", 12}, {"c", 24}};
  open_scene(&s);
  must(&s, dpi_case_create(s.kind, s.record, 2, &c));
  assert_int_equal(c->neta, s.prior->neffect);
  dp_assimilate_def def = dp_assimilate_def_default();
  def.ndraw = NDRAW;
  def.nproposal = 2 * NDRAW;
  def.discrepancy = 0;
  must(&s, dp_assimilate(s.kind, s.record, 2, -1, s.prior, &def, &belief)); /* before all samples: the law itself */
  must(&s, dp_gain_kind(s.kind, s.record, 2, s.prior, belief, &forecast, candidate, NC, 3, &o, gain));
  assert_int_equal(o.nfailed, 0);
  double jq[16], jf[16], sd;
  jacobian(&s, c, forecast.time, jq, &sd);
  double vq = product(&s, jq, jq);
  near(o.sd / sqrt(vq), 1, 0.05); /* 4 standard errors of a deviation from 3000 draws: 0.052 */
  for (int k = 0; k < NC; k++) {
    jacobian(&s, c, candidate[k].time, jf, &sd);
    double vf = product(&s, jf, jf), cov = product(&s, jq, jf);
    double narrowing = cov * cov / (vq * (vf + sd * sd)), information = 0.5 * log(1 + vf / (sd * sd));
    assert_true(gain[k].usable);
    /* 4.5 standard errors: eight comparisons, one is missed by chance in 18000 choices of seeds */
    near(gain[k].narrowing, narrowing, 4.5 * gain[k].narrowing_se + 1e-6);
    near(gain[k].information, information, 4.5 * gain[k].information_se + 1e-6);
    /* a squared correlation from NDRAW draws: standard error 2 r (1 - r^2) / sqrt(n), near 0 of the size of 1/n */
    near(gain[k].linear_narrowing, narrowing, 9 * sqrt(narrowing) * (1 - narrowing) / sqrt(NDRAW) + 10.0 / NDRAW);
  }
  dp_belief_destroy(belief);
  dpi_case_destroy(c);
  close_scene(&s);
}

static void test_refused(void **state) {
  (void)state;
  scene s;
  dp_belief *belief;
  dp_gain_outlook o;
  dp_gain gain;
  open_scene(&s);
  dp_assimilate_def def = dp_assimilate_def_default();
  must(&s, dp_assimilate(s.kind, s.record, 0, -1, s.prior, &def, &belief));
  dp_gain_place good = {"c", 12}, unknown = {"insulin", 12}, early = {"c", -1};
  assert_int_equal(dp_gain_kind(s.kind, s.record, 0, s.prior, belief, &unknown, &good, 1, 1, &o, &gain), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(s.ctx), "no observable 'insulin'"));
  dp_ctx_clear_error(s.ctx);
  assert_int_equal(dp_gain_kind(s.kind, s.record, 0, s.prior, belief, &good, &early, 1, 1, &o, &gain), DP_ERR_INPUT);
  dp_ctx_clear_error(s.ctx);
  dp_belief_destroy(belief);
  close_scene(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear), cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
