/* Independent comparison: profiles in closed form (linear regression; one parameter eliminated by hand), a fine scan,
 * and coverage on simulated data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "infer/point/profile.h"
#include "infer/point/tests/point_densities.h"

static const double CHI2_95 = 3.841458820694124; /* of one degree of freedom */

static dpi_profiles *run(squares *q, const double *x, const dpi_profile_def *def) {
  dpi_profiles *p = NULL;
  dp_status status = dpi_profiles_run(&q->base, x, def, &p);
  if (status != DP_OK) fail_msg("%s: %s", dp_status_name(status), dp_ctx_error(q->base.ctx));
  return p;
}

static bool near(double a, double b, double tol) { return fabs(a - b) <= tol * fmax(1, fabs(b)); }

/* ---- a line: x = a + b t, sd 0.5 ---- */

static const double LT[6] = {0, 1, 2, 3, 4, 5}, LY[6] = {1.1, 1.9, 3.4, 3.8, 5.2, 5.7};
static void line(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  for (int k = 0; k < 6; k++) {
    r[k] = (x[0] + x[1] * LT[k] - LY[k]) / 0.5;
    jac[2 * k] = 2;
    jac[2 * k + 1] = 2 * LT[k];
  }
}

/* the value at t = 8, and a product; u: which */
static dp_status at_eight(void *user, int npoint, const double *x, double *g, double *grad, bool *ok) {
  const int *which = user;
  for (int p = 0; p < npoint; p++) {
    const double *y = x + 2 * p;
    g[p] = *which ? y[0] * y[1] : y[0] + 8 * y[1];
    grad[2 * p] = *which ? y[1] : 1;
    grad[2 * p + 1] = *which ? y[0] : 8;
    ok[p] = true;
  }
  return DP_OK;
}

static void test_linear(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double x0[2] = {0, 0};
  int sum = 0;
  const dpi_profiled eight = {"at 8", at_eight, &sum};
  squares_init(&q, ctx, 2, 6, line, NULL, -INFINITY, INFINITY);
  dpi_profile_def def = dpi_profile_def_default();
  def.prediction = &eight;
  def.nprediction = 1;
  const double level[3] = {0.9, 0.95, 0.999}, z2[3] = {2.705543454095465, 3.841458820694124, 10.82756617024101};
  for (int l = 0; l < 3; l++) {
    def.level = level[l];
    dpi_profiles *p = run(&q, x0, &def);
    assert_int_equal(p->nprofile, 3);
    /* information 4 (n, St; St, Stt): variances of a, b and of a + 8 b */
    double det = 6 * 55.0 - 15 * 15, var[3] = {.25 * 55 / det, .25 * 6 / det, .25 * (55 - 16 * 15 + 64 * 6) / det};
    double best[3] = {p->x[0], p->x[1], p->x[0] + 8 * p->x[1]};
    for (int k = 0; k < 3; k++) {
      double half = sqrt(var[k] * z2[l]);
      assert_int_equal(p->profile[k].verdict, DPI_IDENTIFIABLE_YES);
      assert_true(near(p->profile[k].at, best[k], 1e-9));
      assert_true(near(p->profile[k].side[0].limit, best[k] - half, 1e-6));
      assert_true(near(p->profile[k].side[1].limit, best[k] + half, 1e-6));
      for (int s = 0; s < 2; s++) { /* every point lies on the parabola, with its slope */
        for (int m = 0; m < p->profile[k].side[s].npoint; m++) {
          dpi_profile_point *pt = &p->profile[k].side[s].point[m];
          double e = pt->at - best[k];
          assert_true(near(pt->j - p->j, 0.5 * e * e / var[k], 1e-8) && near(pt->slope, e / var[k], 1e-5));
        }
      }
    }
    assert_true(p->neval < 130 && p->nrestart == 0);
    dpi_profiles_destroy(p);
  }
  dp_ctx_destroy(ctx);
}

/* ---- y = a exp(-b t): a is eliminated by hand at any b, so b's profile and the end of its interval are known ---- */

static double j_at(const double *d, double logb) {
  double sy = 0, ss = 0, j = 0, b = dpi_m_exp(2.302585092994045684 * logb);
  for (int k = 0; k < DECAY_N; k++) {
    double e = dpi_m_exp(-b * d[2 * k]);
    sy += e * d[2 * k + 1];
    ss += e * e;
  }
  for (int k = 0; k < DECAY_N; k++) {
    double r = (sy / ss * dpi_m_exp(-b * d[2 * k]) - d[2 * k + 1]) / 0.05;
    j += 0.5 * r * r;
  }
  return j;
}

typedef struct crossing { const double *d; double level; } crossing;
static double over(void *user, double x) {
  const crossing *c = user;
  return j_at(c->d, x) - c->level;
}

static void test_nonlinear(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  double d[2 * DECAY_N];
  const double x0[2] = {0, 0};
  decay_data(d, 0.3, 0.8, 11); /* few signal: far from a parabola */
  squares_init(&q, ctx, 2, DECAY_N, decay, d, -4, 4);
  dpi_profile_def def = dpi_profile_def_default();
  def.root_tol = 1e-9;
  dpi_profiles *p = run(&q, x0, &def);
  const dpi_profile *b = &p->profile[1];
  crossing c = {d, p->j + 0.5 * CHI2_95};
  for (int s = 0; s < 2; s++) {
    for (int m = 0; m < b->side[s].npoint; m++)
      assert_true(near(b->side[s].point[m].j, j_at(d, b->side[s].point[m].at), 1e-7));
    double out = s ? 4 : -4;
    if (over(&c, out) < 0) {
      assert_true(b->side[s].open && b->side[s].limit == out);
      continue;
    }
    double root = dpi_root(over, &c, b->at, over(&c, b->at), out, over(&c, out), 1e-12);
    assert_true(!b->side[s].open && near(b->side[s].limit, root, 1e-5));
  }
  dpi_profiles_destroy(p);
  dp_ctx_destroy(ctx);
}

/* ---- what can't be identified, by name ---- */

static void undetermined(const void *user, const double *x, double *r, double *jac) {
  double e = dpi_m_exp(x[3]);
  (void)user;
  memset(jac, 0, 12 * sizeof *jac);
  r[0] = x[0] - 1;
  r[1] = x[1] + x[2] - .5;
  r[2] = 3 * (e / (1 + e) - .9); /* saturates: no upper end */
  jac[0] = jac[5] = jac[6] = 1;
  jac[11] = 3 * e / (1 + e) / (1 + e);
}

static void test_verdicts(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double x0[4] = {0, 0, 0, 0};
  const double wide[2] = {8, 1e9};
  for (int w = 0; w < 2; w++) {
    squares_init(&q, ctx, 4, 3, undetermined, NULL, -wide[w], wide[w]);
    q.lower[3] = -5;
    q.upper[3] = 5;
    dpi_profile_def def = dpi_profile_def_default();
    dpi_profiles *p = run(&q, x0, &def);
    const dpi_identifiable want[4] = {DPI_IDENTIFIABLE_YES, DPI_IDENTIFIABLE_NOT, DPI_IDENTIFIABLE_NOT,
                                      DPI_IDENTIFIABLE_OPEN_ABOVE};
    for (int k = 0; k < 4; k++) assert_int_equal(p->profile[k].verdict, want[k]);
    assert_true(p->profile[3].side[1].end == DPI_PROFILE_BOUND && p->profile[3].side[1].limit == 5);
    dpi_str s;
    dpi_rank r;
    dpi_str_init(&s, ctx);
    assert_int_equal(dpi_rank_analyse(&p->arena, &q.base, p->x, p->fisher, NULL, 1e-6, &r), DP_OK);
    dpi_rank_write(&r, &q.base, &s);
    assert_int_equal(r.rank, 3);
    assert_non_null(
        strstr(dpi_str_text(&s), "no information: a change of 'b' by 1, 'c' by -1 leaves the data as they are"));
    dpi_str_release(&s);
    dpi_str_init(&s, ctx);
    dpi_profiles_write(p, &q.base, &s);
    assert_non_null(strstr(dpi_str_text(&s), "structurally not identifiable here"));
    assert_non_null(strstr(dpi_str_text(&s), "above: a bound was reached below the threshold"));
    dpi_str_release(&s);
    dpi_profiles_destroy(p);
  }
  dp_ctx_destroy(ctx);
}

/* ---- other branches ---- */

/* J of a has two valleys; the start lies in the shallower: met on the way and taken */
static void valleys(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  r[0] = 0.9 * (x[0] * x[0] - 1);
  r[1] = 0.5 * (x[0] - 1);
  r[2] = x[1] - x[0];
  jac[0] = 1.8 * x[0];
  jac[1] = 0;
  jac[2] = 0.5;
  jac[3] = 0;
  jac[4] = -1;
  jac[5] = 1;
}

static void test_better_optimum(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double x0[2] = {-1, -1};
  const int batch[2] = {1, 64};
  double limit[2];
  squares_init(&q, ctx, 2, 3, valleys, NULL, -5, 5);
  for (int b = 0; b < 2; b++) {
    dpi_profile_def def = dpi_profile_def_default();
    def.batch = batch[b];
    dpi_profiles *p = run(&q, x0, &def);
    assert_true(p->nrestart >= 1 && fabs(p->x[0] - 1) < 1e-6 && p->j < 1e-10);
    assert_true(p->profile[0].verdict == DPI_IDENTIFIABLE_YES);
    limit[b] = p->profile[0].side[0].limit;
    dpi_profiles_destroy(p);
  }
  assert_true(limit[0] == limit[1]);
  dp_ctx_destroy(ctx);
}

/* b has two valleys; near the optimum a is bound by the one, further out the other is lower: its J by a scan over b */
static void branches(const void *user, const double *x, double *r, double *jac) {
  (void)user;
  r[0] = 3 * (x[1] * x[1] - 1);
  r[1] = 0.5 * x[0] * (1 + x[1]);
  r[2] = 0.6 * (x[1] - 1);
  r[3] = 0.2 * x[0];
  const double j[8] = {0, 6 * x[1], 0.5 * (1 + x[1]), 0.5 * x[0], 0, 0.6, 0.2, 0};
  memcpy(jac, j, sizeof j);
}

static double lowest(double a) {
  double least = INFINITY;
  for (int k = -20000; k <= 20000; k++) {
    double x[2] = {a, 1e-4 * k}, r[4], jac[8];
    branches(NULL, x, r, jac);
    least = fmin(least, 0.5 * (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + r[3] * r[3]));
  }
  return least;
}

static void test_other_valley(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double x0[2] = {0, 1}, other[2] = {0, -1};
  squares_init(&q, ctx, 2, 4, branches, NULL, -20, 20);
  dpi_profile_def def = dpi_profile_def_default();
  def.nparam = 1;
  def.param = (const int[]){0};
  dpi_profiles *p = run(&q, x0, &def);
  double alone = p->profile[0].side[1].limit;
  dpi_profiles_destroy(p);
  def.alternative = other;
  def.nalternative = 1;
  p = run(&q, x0, &def);
  const dpi_profile_side *s = &p->profile[0].side[1];
  assert_true(s->end == DPI_PROFILE_CROSSED && s->limit > 7 && alone < 2.5);
  assert_true(s->jumped && fabs(lowest(s->limit) - p->j - 0.5 * CHI2_95) < 2e-3);
  for (int m = 0; m < s->npoint; m++) assert_true(fabs(s->point[m].j - lowest(s->point[m].at)) < 0.025);
  assert_true(fabs(p->profile[0].side[0].limit + s->limit) < 1e-2);
  dpi_profiles_destroy(p);
  dp_ctx_destroy(ctx);
}

/* beyond a wall nothing can be evaluated: the side is told as failed, with the reason */
static void test_wall(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  squares_init(&q, ctx, 2, 6, line, NULL, -INFINITY, INFINITY);
  const double wall[3] = {1, 0, 1.2}, x0[2] = {0, 1};
  q.wall = wall;
  dpi_profile_def def = dpi_profile_def_default();
  dpi_profiles *p = run(&q, x0, &def);
  const dpi_profile_side *s = &p->profile[0].side[1];
  assert_true(s->end == DPI_PROFILE_FAILED && s->open && s->limit > 1.19 && s->limit <= 1.2);
  assert_string_equal(s->reason, "beyond the wall");
  assert_true(p->profile[0].verdict == DPI_IDENTIFIABLE_UNKNOWN && !p->profile[0].side[0].open);
  dpi_profiles_destroy(p);
  dp_ctx_destroy(ctx);
}

/* ---- predictions ---- */

/* a b on the line's data: the profile by a scan over b along the hyperbola a = g / b */
static double constrained(double g) {
  double least = INFINITY;
  for (int k = 1; k < 400000; k++) {
    double b = 1e-5 * k, x[2] = {g / b, b}, r[6], jac[12], j = 0;
    line(NULL, x, r, jac);
    for (int i = 0; i < 6; i++) j += 0.5 * r[i] * r[i];
    least = fmin(least, j);
  }
  return least;
}

static void test_prediction(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  int product = 1;
  const dpi_profiled pr = {"a b", at_eight, &product};
  const double x0[2] = {1, 1};
  squares_init(&q, ctx, 2, 6, line, NULL, -9, 9);
  dpi_profile_def def = dpi_profile_def_default();
  def.nparam = 0;
  def.param = (const int[]){0};
  def.prediction = &pr;
  def.nprediction = 1;
  dpi_profiles *p = run(&q, x0, &def);
  assert_int_equal(p->nprofile, 1);
  for (int s = 0; s < 2; s++) {
    const dpi_profile_side *side = &p->profile[0].side[s];
    assert_true(side->end == DPI_PROFILE_CROSSED && side->npoint > 3);
    assert_true(fabs(constrained(side->limit) - p->j - 0.5 * CHI2_95) < 2e-3);
    assert_true(fabs(constrained(side->point[1].at) - side->point[1].j) < 1e-5);
  }
  dpi_profiles_destroy(p);
  dp_ctx_destroy(ctx);
}

/* e^d / (1 + e^d) of `undetermined`'s parameters, b + c, b alone, and a number: bounded on one side only, bounded,
 * free, constant; d's box ends at 5 */
static dp_status four_kinds(void *user, int npoint, const double *x, double *g, double *grad, bool *ok) {
  const int *which = user;
  for (int p = 0; p < npoint; p++) {
    const double *y = x + 4 * p;
    const double e = dpi_m_exp(y[3]);
    memset(grad + 4 * p, 0, 4 * sizeof *grad);
    ok[p] = true;
    switch (*which) {
      case 0:
        g[p] = e / (1 + e);
        grad[4 * p + 3] = e / (1 + e) / (1 + e);
        break;
      case 1:
        g[p] = y[1] + y[2];
        grad[4 * p + 1] = grad[4 * p + 2] = 1;
        break;
      case 2:
        g[p] = y[1];
        grad[4 * p + 1] = 1;
        break;
      default: g[p] = 42;
    }
  }
  return DP_OK;
}

static void test_prediction_verdicts(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double x0[4] = {0, 0, 0, 0};
  int which[4] = {0, 1, 2, 3};
  dpi_profiled pr[4];
  for (int k = 0; k < 4; k++) pr[k] = (dpi_profiled){"g", four_kinds, &which[k]};
  squares_init(&q, ctx, 4, 3, undetermined, NULL, -8, 8);
  q.lower[3] = -5;
  q.upper[3] = 5;
  dpi_profile_def def = dpi_profile_def_default();
  def.param = (const int[]){0};
  def.prediction = pr;
  def.nprediction = 4;
  dpi_profiles *p = run(&q, x0, &def);
  static const char *const verdict[4] = {"unbounded above", "bounded", "unbounded", "bounded"};
  static const char *const words[4] = {
      ("above: the data allow all that the parameters' bounds do, to 0.993307, where 'd' is at its bound"), "both ends",
      "below: the data allow all that the parameters' bounds do", "it depends on nothing that is estimated"};
  for (int k = 0; k < 4; k++) {
    dpi_str s;
    dpi_str_init(&s, ctx);
    dpi_prediction_words(&p->profile[k], &q.base, &s);
    if (!strstr(dpi_str_text(&s), words[k])) fail_msg("prediction %d: %s", k, dpi_str_text(&s));
    assert_string_equal(dpi_prediction_verdict(p->profile[k].verdict), verdict[k]);
    dpi_str_release(&s);
  }
  const dpi_profile_side *below = &p->profile[0].side[0], *above = p->profile[0].side + 1;
  /* 3 (g - 0.9) is the only residual it changes: both are known */
  assert_true(near(below->limit, 0.9 - sqrt(CHI2_95) / 3, 1e-4) && near(above->limit, 1 / (1 + dpi_m_exp(-5)), 1e-4));
  for (int s = 0; s < 2; s++) {
    assert_true(near(p->profile[1].side[s].limit, 0.5 + (s ? 1 : -1) * sqrt(CHI2_95), 1e-4));
    /* b + c is held at 0.5 by the data, both within 8: b from -7.5 to 8, where J begins to rise slowly */
    assert_true(fabs(p->profile[2].side[s].limit) > 7.4);
    assert_true(p->profile[3].side[s].limit == 42 && !p->profile[3].side[s].open);
  }
  dpi_profiles_destroy(p);
  dp_ctx_destroy(ctx);
}

/* The valleys of test_other_valley, for a prediction that is the parameter a itself: the same curve, also where the
 * other branch is entered, and earlier points are those of the lower one. */
static dp_status just_a(void *user, int npoint, const double *x, double *g, double *grad, bool *ok) {
  (void)user;
  for (int p = 0; p < npoint; p++) {
    g[p] = x[2 * p];
    grad[2 * p] = 1;
    grad[2 * p + 1] = 0;
    ok[p] = true;
  }
  return DP_OK;
}

static void test_prediction_other_valley(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  squares q;
  const double x0[2] = {0, 1}, other[2] = {0, -1};
  const dpi_profiled pr = {"a", just_a, NULL};
  squares_init(&q, ctx, 2, 4, branches, NULL, -20, 20);
  dpi_profile_def def = dpi_profile_def_default();
  def.param = (const int[]){0};
  def.nparam = 1;
  def.prediction = &pr;
  def.nprediction = 1;
  def.alternative = other;
  def.nalternative = 1;
  dpi_profiles *p = run(&q, x0, &def);
  for (int s = 0; s < 2; s++) {
    const dpi_profile_side *of_a = &p->profile[0].side[s], *side = &p->profile[1].side[s];
    assert_true(side->end == DPI_PROFILE_CROSSED && side->jumped && fabs(side->limit - of_a->limit) < 1e-2);
    for (int m = 0; m < side->npoint; m++) {
      assert_true(fabs(side->point[m].j - lowest(side->point[m].at)) < 0.025);
      assert_true(m == 0 || (s ? 1 : -1) * (side->point[m].at - side->point[m - 1].at) > 0);
    }
  }
  dpi_profiles_destroy(p);
  dp_ctx_destroy(ctx);
}

/* ---- coverage ---- */

/* a exp(-b t) at a time beyond the data, of parameters that are logarithms */
static dp_status later(void *user, int npoint, const double *x, double *g, double *grad, bool *ok) {
  const double t = *(const double *)user, ln10 = 2.302585092994045684;
  for (int p = 0; p < npoint; p++) {
    const double a = dpi_m_exp(ln10 * x[2 * p]), b = dpi_m_exp(ln10 * x[2 * p + 1]);
    g[p] = a * dpi_m_exp(-b * t);
    grad[2 * p] = ln10 * g[p];
    grad[2 * p + 1] = -ln10 * b * t * g[p];
    ok[p] = true;
  }
  return DP_OK;
}

/* The same 2000 sets for predictions within and beyond the data: 0.93 .. 0.97 as below, each fails by chance with
 * probability 5e-5. */
static void test_prediction_coverage(void **state) {
  (void)state;
  enum { SETS = 2000, WHEN = 3 };
  dp_ctx *ctx = plain_ctx();
  const double truth[2] = {0.30102999566398120, -0.15490195998574317};
  double when[WHEN] = {0.5, 3, 8}, g[WHEN], grad[2];
  int covered[WHEN] = {0};
  dpi_profiled pr[WHEN];
  bool ok;
  for (int k = 0; k < WHEN; k++) {
    pr[k] = (dpi_profiled){"later", later, &when[k]};
    assert_int_equal(later(&when[k], 1, truth, &g[k], grad, &ok), DP_OK);
  }
  for (int k = 0; k < SETS; k++) {
    squares q;
    double d[2 * DECAY_N];
    decay_data(d, 2, 0.7, 1000 + (uint64_t)k);
    squares_init(&q, ctx, 2, DECAY_N, decay, d, -4, 4);
    dpi_profile_def def = dpi_profile_def_default();
    def.step = 0.5;
    def.param = (const int[]){0};
    def.prediction = pr;
    def.nprediction = WHEN;
    dpi_profiles *p = run(&q, truth, &def);
    for (int i = 0; i < WHEN; i++) {
      const dpi_profile *f = &p->profile[i];
      assert_int_equal(f->verdict, DPI_IDENTIFIABLE_YES);
      covered[i] += f->side[0].limit <= g[i] && g[i] <= f->side[1].limit;
    }
    dpi_profiles_destroy(p);
  }
  for (int i = 0; i < WHEN; i++) {
    if (covered[i] < 0.93 * SETS || covered[i] > 0.97 * SETS)
      fail_msg("at %g: %d of %d covered", when[i], covered[i], SETS);
    print_message("coverage at %g: %.4f\n", when[i], (double)covered[i] / SETS);
  }
  dp_ctx_destroy(ctx);
}

/* 2000 sets of simulated data (fixed seeds) of the decay. The expected count of covered truths at 95 % is 1900; the
 * interval 0.93 .. 0.97 is 4.1 standard deviations wide each way: a right method fails with probability 5e-5 for
 * each parameter. */
static void test_coverage(void **state) {
  (void)state;
  enum { SETS = 2000 };
  dp_ctx *ctx = plain_ctx();
  const double truth[2] = {0.30102999566398120, -0.15490195998574317}; /* log10 of 2 and 0.7 */
  int covered[2] = {0, 0};
  for (int k = 0; k < SETS; k++) {
    squares q;
    double d[2 * DECAY_N];
    decay_data(d, 2, 0.7, 1000 + (uint64_t)k);
    squares_init(&q, ctx, 2, DECAY_N, decay, d, -4, 4);
    dpi_profile_def def = dpi_profile_def_default();
    def.step = 0.5;
    dpi_profiles *p = run(&q, truth, &def);
    for (int i = 0; i < 2; i++) {
      const dpi_profile *f = &p->profile[i];
      assert_int_equal(f->verdict, DPI_IDENTIFIABLE_YES);
      covered[i] += f->side[0].limit <= truth[i] && truth[i] <= f->side[1].limit;
    }
    dpi_profiles_destroy(p);
  }
  for (int i = 0; i < 2; i++) {
    if (covered[i] < 0.93 * SETS || covered[i] > 0.97 * SETS)
      fail_msg("parameter %d: %d of %d covered", i, covered[i], SETS);
    print_message("coverage of parameter %d: %.4f\n", i, (double)covered[i] / SETS);
  }
  dp_ctx_destroy(ctx);
}

static void test_any_batch(void **state) {
  (void)state;
  dp_ctx *ctx = plain_ctx();
  const int batch[3] = {1, 3, 64};
  char *first = NULL;
  squares q;
  double d[2 * DECAY_N];
  const double x0[2] = {0, 0};
  int product = 1;
  const dpi_profiled pr = {"a b", at_eight, &product};
  decay_data(d, 1, 0.5, 5);
  squares_init(&q, ctx, 2, DECAY_N, decay, d, -4, 4);
  for (int b = 0; b < 3; b++) {
    dpi_profile_def def = dpi_profile_def_default();
    def.batch = batch[b];
    def.prediction = &pr;
    def.nprediction = 1;
    q.largest = 0;
    dpi_profiles *p = run(&q, x0, &def);
    dpi_str s;
    dpi_str_init(&s, ctx);
    dpi_profiles_write(p, &q.base, &s);
    for (int k = 0; k < 6; k++) {
      const dpi_profile_side *side = &p->profile[k / 2].side[k % 2];
      for (int m = 0; m < side->npoint; m++) dpi_str_addf(&s, "%.17g %.17g\n", side->point[m].at, side->point[m].x[0]);
    }
    assert_true(q.largest >= (b == 2 ? 6 : batch[b]));
    if (first) assert_string_equal(dpi_str_text(&s), first);
    if (first)
      dpi_str_release(&s);
    else
      first = s.data;
    dpi_profiles_destroy(p);
  }
  dpi_free(ctx, first);
  dp_ctx_destroy(ctx);
}

static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  dp_ctx *ctx = failing_context(&memory);
  squares q;
  const double x0[2] = {0, 0};
  int sum = 0;
  const dpi_profiled eight = {"at 8", at_eight, &sum};
  squares_init(&q, ctx, 2, 6, line, NULL, -INFINITY, INFINITY);
  dpi_profile_def def = dpi_profile_def_default();
  def.prediction = &eight;
  def.nprediction = 1;
  for (long n = 0;; n++) {
    dpi_profiles *p = NULL;
    failing_next(&memory, n);
    dp_status status = dpi_profiles_run(&q.base, x0, &def, &p);
    bool failed = failing_happened(&memory);
    failing_never(&memory);
    assert_int_equal(status, failed ? DP_ERR_MEMORY : DP_OK);
    dpi_profiles_destroy(p);
    assert_int_equal(dpi_alloc_live(ctx), 0);
    dp_ctx_clear_error(ctx);
    if (!failed) break;
  }
  def.trust.hessian = DPI_HESSIAN_BFGS;
  dpi_profiles *p = NULL;
  assert_int_equal(dpi_profiles_run(&q.base, x0, &def, &p), DP_ERR_USAGE);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_linear),         cmocka_unit_test(test_nonlinear),    cmocka_unit_test(test_verdicts),
      cmocka_unit_test(test_better_optimum), cmocka_unit_test(test_other_valley), cmocka_unit_test(test_wall),
      cmocka_unit_test(test_prediction),     cmocka_unit_test(test_coverage),     cmocka_unit_test(test_any_batch),
      cmocka_unit_test(test_prediction_verdicts), cmocka_unit_test(test_prediction_other_valley),
      cmocka_unit_test(test_prediction_coverage),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
