/* estimate.h over a whole problem. Independent comparison: a straight line with known noise, where least squares, its
 * covariance, profiles, posterior and evidence are textbook formulas. */
#include "infer/petab/tests/calib_rig.h"

#include "doppel/estimate.h"

/* x = a + b t, noise 0.5; t = 0 .. 5 */
enum { N = 6 };
static const double MEASURED[N] = {1.2, 1.3, 2.4, 2.2, 3.1, 3.9};
static const double SD = 0.5, LN_2PI = 1.8378770664093454836;

#define LINE(bounds)                                                                                                   \
  {.model = "model line()\n  x = a; a = 1; b = 1; x' = b;\nend\n",                                                     \
   .parameters = "parameterId|lowerBound|upperBound|nominalValue|estimate\n" bounds,                                   \
   .observables = "observableId|observableFormula|noiseFormula|noiseDistribution\no|x|0.5|normal\n",                   \
   .measurements = "observableId|experimentId|time|measurement\n"                                                      \
                   "o||0|1.2\no||1|1.3\no||2|2.4\no||3|2.2\no||4|3.1\no||5|3.9\n"}
static const tables WIDE = LINE("a|-10|10|0|true\nb|-10|10|0|true\n");
static const tables NARROW = LINE("a|-10|10|0|true\nb|-10|0.4|0|true\n");

typedef struct line { /* least squares */
  double a, b, var_a, var_b, j, det; /* det of the information */
} line;

static line least_squares(void) {
  double s = 0, t1 = 0, t2 = 0, y0 = 0, y1 = 0;
  for (int i = 0; i < N; i++) s += 1, t1 += i, t2 += i * i, y0 += MEASURED[i], y1 += i * MEASURED[i];
  const double det = s * t2 - t1 * t1, v = SD * SD;
  line l = {.a = (t2 * y0 - t1 * y1) / det, .b = (s * y1 - t1 * y0) / det, .var_a = v * t2 / det, .var_b = v * s / det,
            .j = N * (log(SD) + 0.5 * LN_2PI), .det = det / (v * v)};
  for (int i = 0; i < N; i++) l.j += 0.5 * pow((MEASURED[i] - l.a - l.b * i) / SD, 2);
  return l;
}

static dp_problem *open_line(rig *r, const tables *t) { return rig_open(r, rig_v2(r, t), DP_DERIVATIVE_FORWARD); }

/* ---- fit ---- */

static void test_fit_is_least_squares(void **state) {
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &WIDE);
  dp_problem_fit_def def = dp_problem_fit_def_default();
  def.nstart = 7;
  dp_fit *f;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_OK);
  assert_int_equal(f->nparam, 2);
  assert_int_equal(f->nstart, 7);
  assert_int_equal(f->nfound, 7);
  assert_int_equal(f->noptimum, 1);
  assert_int_equal(f->rank, 2);
  const dp_fit_optimum *o = &f->optimum[0];
  check_near("a", o->x[0], l.a, 1e-6);
  check_near("b", o->x[1], l.b, 1e-6);
  check_near("J", o->j, l.j, 1e-9);
  check_near("J of its parts", o->j, -o->llh - o->log_prior, 1e-15);
  check_near("sd of a", o->sd[0], sqrt(l.var_a), 1e-6);
  check_near("sd of b", o->sd[1], sqrt(l.var_b), 1e-6);
  check_near("AIC", f->aic, 4 + 2 * l.j, 1e-9);
  check_near("AICc", f->aicc, 4 + 2 * l.j + 12.0 / (N - 3), 1e-9);
  check_near("BIC", f->bic, 2 * log(N) + 2 * l.j, 1e-9);
  check_near("hit rate", f->hit_rate, 1, 0);
  bool seen[7] = {false};
  for (int i = 0; i < 7; i++) {
    assert_true(i == 0 || f->start[i].j >= f->start[i - 1].j);
    assert_in_range(f->start[i].start, 0, 6);
    assert_false(seen[f->start[i].start]);
    seen[f->start[i].start] = true;
    assert_int_equal(f->start[i].optimum, 0);
    assert_true(f->start[i].j_start >= f->start[i].j);
    assert_true(f->start[i].end[0] != 0);
  }
  dp_fit_destroy(f);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

/* b's upper bound is below its estimate: the other one is a's least squares given b there */
static void test_fit_at_a_bound(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &NARROW);
  dp_problem_fit_def def = dp_problem_fit_def_default();
  def.nstart = 3;
  dp_fit *f;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_OK);
  double a = 0;
  for (int i = 0; i < N; i++) a += (MEASURED[i] - 0.4 * i) / N;
  const dp_fit_optimum *o = &f->optimum[0];
  check_near("b", o->x[1], 0.4, 1e-7);
  check_near("a", o->x[0], a, 1e-6);
  assert_int_equal(o->at[0], 0);
  assert_int_equal(o->at[1], 1);
  check_near("sd of a, b being given", o->sd[0], SD / sqrt(N), 1e-6);
  assert_false(isfinite(o->sd[1]));
  dp_fit_destroy(f);
  dp_problem_close(p);
}

static void test_fit_starts(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  const double given[4] = {3, 3, -4, 2};
  dp_problem_fit_def def = dp_problem_fit_def_default();
  def.nstart = 0;
  def.given = given;
  def.ngiven = 2;
  def.nominal = 1;
  dp_fit *f;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_OK);
  assert_int_equal(f->nstart, 3);
  for (int i = 0; i < 3; i++) { /* J of the place that each began at: the nominal point first */
    const double *x = f->start[i].start == 0 ? dp_problem_describe(p)->nominal : given + 2 * (f->start[i].start - 1);
    double j = N * (log(SD) + 0.5 * LN_2PI);
    for (int k = 0; k < N; k++) j += 0.5 * pow((MEASURED[k] - x[0] - x[1] * k) / SD, 2);
    check_near("J at the start", f->start[i].j_start, j, 1e-9);
  }
  dp_fit_destroy(f);
  def.max_cpu = 1e-12; /* no time at all: an answer or an error, nothing half-made */
  const dp_status st = dp_problem_fit(p, &def, &f);
  if (st == DP_OK) {
    assert_true(f->noptimum > 0);
    dp_fit_destroy(f);
  } else {
    assert_null(f);
    assert_true(dp_ctx_error(r->ctx)[0] != 0);
  }
  dp_problem_close(p);
}

static void test_fit_refusals(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  dp_fit *f = (dp_fit *)p;
  dp_problem_fit_def good = dp_problem_fit_def_default(), def = {0};
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  assert_null(f);
  def = good, def.sampling = "magic";
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  def = good, def.hessian = "magic";
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  def = good, def.nstart = 0;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  def = good, def.nstart = -3;
  assert_int_equal(dp_problem_fit(p, &def, &f), DP_ERR_USAGE);
  assert_null(f);
  dp_fit_destroy(NULL);
  dp_problem_close(p);
}

/* ---- profiles ---- */

static void test_limits_are_the_parabola(void **state) {
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {l.a, l.b}, other[2] = {l.a + 1, l.b};
  const int which[1] = {1};
  dp_problem_limits_def def = dp_problem_limits_def_default();
  dp_limits *m;
  assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_OK);
  assert_int_equal(m->n, 2);
  assert_int_equal(m->nbetter, 0);
  check_near("threshold", m->threshold, 0.5 * 3.841458820694124, 1e-9);
  for (int i = 0; i < 2; i++) {
    const dp_limit *q = &m->limit[i];
    const double wide = 1.959963984540054 * sqrt(i ? l.var_b : l.var_a);
    assert_int_equal(q->param, i);
    check_near("at", q->at, x[i], 1e-9);
    check_near("lower", q->lower, x[i] - wide, 1e-3 * wide);
    check_near("upper", q->upper, x[i] + wide, 1e-3 * wide);
    assert_string_equal(q->verdict, "identifiable");
    for (int k = 0; k < q->npoint; k++) {
      assert_true(k == 0 || q->point[k].at > q->point[k - 1].at);
      check_near("J along the profile", q->point[k].j,
                 l.j + 0.5 * pow((q->point[k].at - x[i]) / wide * 1.959963984540054, 2), 1e-5);
    }
  }
  dp_limits_destroy(m);
  /* from a worse place with a better one beside it; one parameter at another level */
  def.level = 0.5;
  def.param = which;
  def.n = 1;
  def.other = x;
  def.nother = 1;
  assert_int_equal(dp_problem_limits(p, other, &def, &m), DP_OK);
  assert_int_equal(m->n, 1);
  assert_int_equal(m->limit[0].param, 1);
  check_near("J", m->j, l.j, 1e-8);
  check_near("quartile", m->limit[0].upper - m->limit[0].at, 0.6744897501960817 * sqrt(l.var_b), 1e-3);
  dp_limits_destroy(m);
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

static void test_limits_refusals(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {1, 0.5};
  const int wrong[1] = {2};
  dp_limits *m = (dp_limits *)p;
  dp_problem_limits_def def = {0};
  assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_ERR_USAGE);
  assert_null(m);
  for (int i = 0; i < 4; i++) {
    def = dp_problem_limits_def_default();
    def.level = ((const double[]){0, 1, -0.5, NAN})[i];
    assert_int_equal(dp_problem_limits(p, x, &def, &m), DP_ERR_USAGE);
  }
  def = dp_problem_limits_def_default();
  def.param = wrong;
  def.n = 1;
  assert_int_not_equal(dp_problem_limits(p, x, &def, &m), DP_OK);
  assert_null(m);
  dp_limits_destroy(NULL);
  dp_problem_close(p);
}

/* ---- posteriors ---- */

/* A uniform prior over the box, 20 x 20: the posterior is the Gaussian, the evidence its integral over 400. Bounds:
 * five standard errors of the effective draws that the sample itself says, which a second test (cli) and the
 * samplers' own hold. */
static void test_samples_of_a_gaussian(void **state) {
  static const char *const methods[] = {"nuts", "tempering", "smc", "laplace"};
  rig *r = *state;
  const line l = least_squares();
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {l.a, l.b}, sd[2] = {sqrt(l.var_a), sqrt(l.var_b)};
  const double evidence = -l.j + LN_2PI - 0.5 * log(l.det) - log(400);
  for (int k = 0; k < 4; k++) {
    dp_problem_sample_def def = dp_problem_sample_def_default();
    dp_sample *s;
    def.method = methods[k];
    def.start = x;
    def.nstart = 1;
    assert_int_equal(dp_problem_sample(p, &def, &s), DP_OK);
    if (!s->usable) fail_msg("%s: %s", methods[k], s->verdict);
    assert_int_equal(s->nparam, 2);
    for (int q = 0; q < 2; q++) {
      const dp_sample_param *m = &s->param[q];
      const double n = isfinite(m->ess_bulk) ? m->ess_bulk : 400, error = 5 * sd[q] / sqrt(n);
      if (!(fabs(m->mean - x[q]) < error)) fail_msg("%s: mean %g of %g", methods[k], m->mean, x[q]);
      if (!(fabs(m->sd - sd[q]) < error)) fail_msg("%s: sd %g of %g", methods[k], m->sd, sd[q]);
      assert_true(m->q05 < m->q25 && m->q25 < m->q50 && m->q50 < m->q75 && m->q75 < m->q95);
    }
    for (int i = 0; i < s->nchain * s->ndraw; i += 97) { /* what stands beside a draw is of that draw */
      double j = N * (log(SD) + 0.5 * LN_2PI);
      for (int t = 0; t < N; t++) j += 0.5 * pow((MEASURED[t] - s->x[2 * i] - s->x[2 * i + 1] * t) / SD, 2);
      check_near("llh of a draw", s->llh[i], -j, 1e-8);
    }
    if (isfinite(s->evidence) && !(fabs(s->evidence - evidence) < 5 * s->evidence_error + 1e-3))
      fail_msg("%s: ln evidence %g +- %g, expected %g", methods[k], s->evidence, s->evidence_error, evidence);
    assert_true(isfinite(s->evidence) == (k > 0));
    dp_sample_destroy(s);
  }
  dp_problem_close(p);
  assert_int_equal(dpi_alloc_live(r->ctx), 0);
}

static void test_sample_refusals(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  dp_problem_sample_def def = {0};
  dp_sample *s = (dp_sample *)p;
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  assert_null(s);
  def = dp_problem_sample_def_default();
  def.method = "magic";
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  def.method = NULL;
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  def.method = "laplace"; /* without a mode */
  assert_int_equal(dp_problem_sample(p, &def, &s), DP_ERR_USAGE);
  assert_null(s);
  dp_sample_destroy(NULL);
  dp_problem_close(p);
}

/* ---- files ---- */

/* A file of one problem is not gone on from by another: other data, bounds, model or tolerance. */
static void test_files_belong_to_their_problem(void **state) {
  rig *r = *state;
  tables other = WIDE;
  dp_problem_fit_def fd = dp_problem_fit_def_default();
  dp_problem_sample_def sd = dp_problem_sample_def_default();
  char fit_file[200], sample_file[200];
  dp_fit *f;
  dp_sample *s;
  dp_problem *p = open_line(r, &WIDE);
  snprintf(fit_file, sizeof fit_file, "%s/fit", r->dir);
  snprintf(sample_file, sizeof sample_file, "%s/sample", r->dir);
  fd.nstart = 3;
  fd.file = fit_file;
  sd.nchain = 2;
  sd.nwarmup = sd.ndraw = 50;
  sd.file = sample_file;
  for (int again = 0; again < 2; again++) { /* the second time from the files alone */
    assert_int_equal(dp_problem_fit(p, &fd, &f), DP_OK);
    dp_fit_destroy(f);
    assert_int_equal(dp_problem_sample(p, &sd, &s), DP_OK);
    dp_sample_destroy(s);
  }
  dp_problem_close(p);
  static const char *const change[3] = {"model line()\n  x = a + 1; a = 1; b = 1; x' = b;\nend\n", NULL, NULL};
  for (int k = 0; k < 3; k++) {
    other = WIDE;
    if (k == 0) other.model = change[0];
    if (k == 1) other.measurements = "observableId|experimentId|time|measurement\no||0|1.2\no||1|1.3\n";
    if (k == 2) other.observables = "observableId|observableFormula|noiseFormula|noiseDistribution\no|x|0.6|normal\n";
    p = open_line(r, &other);
    f = (dp_fit *)p;
    s = (dp_sample *)p;
    assert_int_not_equal(dp_problem_fit(p, &fd, &f), DP_OK);
    assert_null(f);
    assert_non_null(strstr(dp_ctx_error(r->ctx), fit_file));
    dp_ctx_clear_error(r->ctx);
    assert_int_not_equal(dp_problem_sample(p, &sd, &s), DP_OK);
    assert_null(s);
    assert_non_null(strstr(dp_ctx_error(r->ctx), sample_file));
    dp_ctx_clear_error(r->ctx);
    dp_problem_close(p);
  }
  unlink(fit_file);
  unlink(sample_file);
}

/* ---- trouble ---- */

static void test_cancelled(void **state) {
  rig *r = *state;
  dp_problem *p = open_line(r, &WIDE);
  const double x[2] = {1, 0.5};
  dp_problem_fit_def fd = dp_problem_fit_def_default();
  dp_problem_limits_def ld = dp_problem_limits_def_default();
  dp_problem_sample_def sd = dp_problem_sample_def_default();
  dp_fit *f;
  dp_limits *l;
  dp_sample *s;
  dp_ctx_cancel(r->ctx);
  assert_int_equal(dp_problem_fit(p, &fd, &f), DP_ERR_CANCELLED);
  assert_int_equal(dp_problem_limits(p, x, &ld, &l), DP_ERR_CANCELLED);
  assert_int_equal(dp_problem_sample(p, &sd, &s), DP_ERR_CANCELLED);
  assert_true(!f && !l && !s);
  dp_ctx_resume(r->ctx);
  fd.nstart = 2;
  assert_int_equal(dp_problem_fit(p, &fd, &f), DP_OK);
  dp_fit_destroy(f);
  dp_problem_close(p);
}

/* Each call once with every few-th request refused: out of memory, nothing half-made, nothing lost. */
static void test_memory(void **state) {
  rig *r = *state;
  const double x[2] = {1, 0.5};
  for (int call = 0; call < 4; call++) {
    bool failed = true;
    int rounds = 0;
    for (long granted = 0; failed; granted += 1 + granted / 6, rounds++) {
      dp_problem *p = open_line(r, &WIDE);
      dp_fit *f = NULL;
      dp_limits *l = NULL;
      dp_sample *s = NULL;
      dp_problem_fit_def fd = dp_problem_fit_def_default();
      dp_problem_limits_def ld = dp_problem_limits_def_default();
      dp_problem_sample_def sd = dp_problem_sample_def_default();
      fd.nstart = 2;
      sd.method = call == 2 ? "nuts" : "laplace";
      sd.nchain = 1;
      sd.nwarmup = sd.ndraw = 10;
      sd.start = x;
      sd.nstart = 1;
      failing_next(&r->memory, granted);
      const dp_status st = call == 0   ? dp_problem_fit(p, &fd, &f)
                           : call == 1 ? dp_problem_limits(p, x, &ld, &l)
                                       : dp_problem_sample(p, &sd, &s);
      failed = failing_happened(&r->memory);
      failing_never(&r->memory);
      if (st != DP_OK) {
        assert_int_equal(st, DP_ERR_MEMORY);
        assert_true(!f && !l && !s);
      }
      dp_fit_destroy(f);
      dp_limits_destroy(l);
      dp_sample_destroy(s);
      dp_problem_close(p);
      dp_ctx_clear_error(r->ctx);
      assert_int_equal(dpi_alloc_live(r->ctx), 0);
    }
    assert_true(rounds > 5);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_fit_is_least_squares, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_fit_at_a_bound, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_fit_starts, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_fit_refusals, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_limits_are_the_parabola, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_limits_refusals, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_samples_of_a_gaussian, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_sample_refusals, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_files_belong_to_their_problem, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_cancelled, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_memory, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
