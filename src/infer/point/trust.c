/* trust.c - floor 6, inside infer/point: the trust-region search as a machine that asks and is told.
 *
 *     START_VALUE -> START -> (told) -> TRIAL or TRIAL_VALUE -> (told: accepted or refused) -> TRIAL ...
 *     -> SNAP -> DONE
 *
 * TRIAL_VALUE asks for J alone; when it would be accepted, TRIAL asks for the same point with derivatives. SNAP puts
 * parameters that have come to rest next to a bound on it. AGAIN (after dpi_trust_load) asks for the present point once
 * more and goes on as if nothing had happened.
 *
 * Curvature: B = F + S. F is the Fisher information; S is the secant estimate of the rest by Dennis, Gay & Welsch (ACM
 * TOMS 7 (1981) 348), sized. Both models, with and without S, predict each trial's fall; the better one makes
 * the next step. Where F is dear (def.refresh) it is asked for now and then only: between, F stays that of an earlier
 * point and S learns what has changed since; when F comes, F + S stays what it was.
 */
#include "infer/point/trust.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "infer/point/point_impl.h"
#include "num/num.h"

#define ACCEPT 1e-4      /* least share of the promised fall */
#define RADIUS_MAX 1e3   /* units of scale */
#define SHRINK 0.25
#define GROW 2.0
#define NEAR_BOUND 1e-3  /* units of scale: at the end put on the bound */
#define SWITCH 1.5       /* how much better the other model must have predicted */

typedef enum phase {
  PHASE_START_VALUE,
  PHASE_START,
  PHASE_TRIAL,
  PHASE_TRIAL_VALUE,
  PHASE_SNAP,
  PHASE_AGAIN,
  PHASE_DONE
} phase;

struct dpi_trust {
  dp_ctx *ctx;
  dpi_trust_def def;
  int n, m;                    /* all and free parameters */
  const double *lower, *upper; /* [n] copies */
  bool *fixed;                 /* [n] */
  int *index;                  /* [m] of the free ones */
  double *w;                   /* [n] scale */
  double *x, *xt;              /* [n] present point and trial */
  double *grad, *gradt;        /* [n] of J */
  double *fisher, *fishert;    /* [n x n] or NULL */
  double *s;                   /* [m x m] secant part (hybrid), or all of B (bfgs, sr1) */
  double *step, *y, *z;        /* [m] of the trial; for updates */
  dpi_quad q;
  signed char *at;
  double j, loglik, logprior, radius, length, promise, promise_other;
  double optimality;
  bool use_s;    /* hybrid: S is in the model */
  bool sized;    /* bfgs, sr1: B has got its size */
  bool inside;   /* neither radius nor bounds cut the step */
  int cautious;  /* the last trial was 1: refused, 2: not evaluable */
  int stale;     /* points accepted since F was asked for */
  bool with_fisher; /* the question just put asks for F */
  phase phase, resume;
  double j_trial;    /* of PHASE_TRIAL_VALUE */
  dpi_trust_end end_found; /* while snapping */
  double *block;
  dpi_trust_result result;
};

#define HESSIAN_ROW(name, word, help) word,
static const char *const hessian_name[] = {DPI_HESSIAN_LIST(HESSIAN_ROW)};
#define END_NAME(name, good, word, text) word,
#define END_TEXT(name, good, word, text) text,
#define END_GOOD(name, good, word, text) good,
static const char *const end_name[] = {DPI_TRUST_END_LIST(END_NAME)};
static const char *const end_text[] = {DPI_TRUST_END_LIST(END_TEXT)};
static const bool end_good[] = {DPI_TRUST_END_LIST(END_GOOD)};

static int find_word(const char *const *list, int n, const char *word) {
  for (int k = 0; k < n; k++) {
    if (strcmp(list[k], word) == 0) return k;
  }
  return -1;
}
const char *dpi_hessian_name(dpi_hessian h) { return hessian_name[h]; }
int dpi_hessian_find(const char *word) { return find_word(hessian_name, DPI_HESSIAN_COUNT, word); }
const char *dpi_trust_end_name(dpi_trust_end end) { return end_name[end]; }
const char *dpi_trust_end_text(dpi_trust_end end) { return end_text[end]; }
int dpi_trust_end_find(const char *word) { return find_word(end_name, DPI_TRUST_END_COUNT, word); }
bool dpi_trust_end_good(dpi_trust_end end) { return end_good[end]; }

dpi_trust_def dpi_trust_def_default(void) {
  return (dpi_trust_def){.hessian = DPI_HESSIAN_HYBRID,
                         .exact_max = 300,
                         .gtol = 1e-6,
                         .ftol = 1e-10,
                         .xtol = 1e-9,
                         .noise = 1e-9,
                         .max_iter = 1000,
                         .radius = 1,
                         .value_first = 1,
                         .refresh = 1};
}

/* ---- life ---- */

static bool uses_fisher(const dpi_trust *t) { return t->def.hessian <= DPI_HESSIAN_FISHER; }

static dp_status make_block(dpi_trust *t) {
  size_t n = (size_t)t->n, nn = n * n, fishers = uses_fisher(t) ? 2 : 0;
  bool secant = t->def.hessian != DPI_HESSIAN_FISHER;
  double *p = t->block = DPI_NEW_ARRAY(t->ctx, double, 15 * n + 12 * n + 4 * nn + fishers * nn + (secant ? nn : 0) + 1);
  t->index = DPI_NEW_ARRAY(t->ctx, int, 3 * n + 1);
  t->fixed = DPI_NEW_ARRAY(t->ctx, bool, n + 1);
  t->at = DPI_NEW_ARRAY(t->ctx, signed char, n + 1);
  if (!p || !t->index || !t->fixed || !t->at) return DP_ERR_MEMORY;
  double *lower, *upper;
  double **vec[] = {&lower,    &upper, &t->w,   &t->x,   &t->xt,  &t->grad, &t->gradt, &t->step,
                    &t->q.g,   &t->q.v, &t->q.r, &t->q.c, &t->q.lo, &t->q.hi, &t->q.lambda};
  for (int k = 0; k < DPI_COUNT(vec); k++, p += n) *vec[k] = p;
  t->q.t = p;
  p += 12 * n;
  double **mat[] = {&t->q.b, &t->q.vec, &t->q.m1, &t->q.m2};
  for (int k = 0; k < DPI_COUNT(mat); k++, p += nn) *mat[k] = p;
  if (fishers) {
    t->fisher = p;
    t->fishert = p + nn;
    p += 2 * nn;
  }
  t->s = secant ? p : NULL;
  t->y = t->q.t + 2 * n; /* the step's scratch has room there between steps */
  t->z = t->q.t + 3 * n;
  t->q.index = t->index + n;
  t->lower = lower;
  t->upper = upper;
  return DP_OK;
}

dp_status dpi_trust_create(dp_ctx *ctx, const dpi_density *d, const dpi_trust_def *def, dpi_trust **out) {
  dpi_trust *t = DPI_NEW(ctx, dpi_trust);
  *out = NULL;
  if (!t) return DP_ERR_MEMORY;
  t->ctx = ctx;
  t->n = d->n;
  t->def = def ? *def : dpi_trust_def_default();
  dp_status status = make_block(t);
  if (status != DP_OK) {
    dpi_trust_destroy(t);
    return status;
  }
  memcpy((double *)t->lower, d->lower, sizeof(double) * (size_t)t->n);
  memcpy((double *)t->upper, d->upper, sizeof(double) * (size_t)t->n);
  if (t->def.fixed) memcpy(t->fixed, t->def.fixed, sizeof(bool) * (size_t)t->n);
  if (t->def.scale) memcpy(t->w, t->def.scale, sizeof(double) * (size_t)t->n);
  t->phase = PHASE_DONE;
  *out = t;
  return DP_OK;
}

void dpi_trust_destroy(dpi_trust *t) {
  if (!t) return;
  dp_ctx *ctx = t->ctx;
  dpi_free(ctx, t->block);
  dpi_free(ctx, t->index);
  dpi_free(ctx, t->fixed);
  dpi_free(ctx, t->at);
  dpi_free(ctx, t);
}

/* A tenth of the box, so a decade where a box of logarithms spans ten; no more than the parameter's own size allows. */
static double natural_scale(double lower, double upper, double x) {
  double width = upper - lower, size = fmax(1, fabs(x));
  return isfinite(width) ? fmin(width / 10, size) : size;
}

void dpi_trust_begin(dpi_trust *t, const double *x0, const bool *fixed) {
  if (fixed) memcpy(t->fixed, fixed, sizeof(bool) * (size_t)t->n);
  t->m = 0;
  for (int i = 0; i < t->n; i++) {
    t->x[i] = t->xt[i] = fmin(fmax(x0[i], t->lower[i]), t->upper[i]);
    if (!t->def.scale) t->w[i] = natural_scale(t->lower[i], t->upper[i], t->x[i]);
    if (!t->fixed[i]) t->index[t->m++] = i;
  }
  t->q.m = t->m;
  t->q.plane = t->m > t->def.exact_max;
  if (t->s) memset(t->s, 0, sizeof(double) * (size_t)t->m * (size_t)t->m);
  t->radius = t->def.radius;
  t->use_s = t->sized = false;
  t->cautious = t->stale = 0;
  t->with_fisher = uses_fisher(t);
  t->j = INFINITY;
  memset(&t->result, 0, sizeof t->result);
  t->result.end = DPI_TRUST_RUNNING;
  t->phase = t->def.value_first == 2 ? PHASE_START_VALUE : PHASE_START;
}

/* ---- the model around x ---- */

static double noise(const dpi_trust *t) { return t->def.noise * fmax(1, fabs(t->j)); }

/* y = S s, in the free parameters */
static void secant_times(const dpi_trust *t, const double *s, double *y) {
  for (int a = 0; a < t->m; a++) {
    y[a] = 0;
    for (int b = 0; b < t->m; b++) y[a] += t->s[(size_t)a * t->m + b] * s[b];
  }
}

static void set_model(dpi_trust *t) {
  dpi_quad *q = &t->q;
  for (int a = 0; a < t->m; a++) {
    int i = t->index[a];
    q->g[a] = t->w[i] * t->grad[i];
    q->lo[a] = fmin((t->lower[i] - t->x[i]) / t->w[i], 0);
    q->hi[a] = fmax((t->upper[i] - t->x[i]) / t->w[i], 0);
    for (int b = 0; b < t->m; b++) {
      size_t ab = (size_t)a * t->m + b;
      double f = uses_fisher(t) ? t->w[i] * t->w[t->index[b]] * t->fisher[(size_t)i * t->n + t->index[b]] : 0;
      q->b[ab] = f + (!uses_fisher(t) || t->use_s ? t->s[ab] : 0);
    }
  }
  dpi_quad_scale(q);
  t->optimality = dpi_quad_optimality(q);
  if (!uses_fisher(t) && !t->sized) { /* a first guess: the first step has the first radius */
    double size = 0;
    for (int a = 0; a < t->m; a++) size += q->g[a] * q->g[a];
    for (int a = 0; a < t->m; a++) q->b[(size_t)a * t->m + a] = sqrt(size) / t->def.radius + DBL_MIN;
  }
}

static void finish(dpi_trust *t, dpi_trust_end end) {
  t->result.end = end;
  t->phase = PHASE_DONE;
  t->q.known = false;
}

/* What rests next to a bound and is pushed to it is put on it; false: there is none. */
static bool propose_snap(dpi_trust *t) {
  bool any = false;
  memcpy(t->xt, t->x, sizeof(double) * (size_t)t->n);
  for (int a = 0; a < t->m; a++) {
    int i = t->index[a];
    double room = t->q.g[a] < 0 ? t->q.hi[a] : -t->q.lo[a];
    if (!(room > 0) || room > NEAR_BOUND || t->q.g[a] == 0) continue;
    t->xt[i] = t->q.g[a] < 0 ? t->upper[i] : t->lower[i];
    any = true;
  }
  return any;
}

static void settle(dpi_trust *t, dpi_trust_end end) {
  t->end_found = end;
  if (!dpi_trust_end_good(end) || !propose_snap(t)) {
    finish(t, end);
    return;
  }
  t->phase = PHASE_SNAP;
}

/* The same step as the other model of the hybrid sees it. */
static double promise_of_other(const dpi_trust *t) {
  double extra = 0, *y = t->z;
  if (t->def.hessian != DPI_HESSIAN_HYBRID) return t->promise;
  secant_times(t, t->step, y);
  for (int a = 0; a < t->m; a++) extra += 0.5 * t->step[a] * y[a];
  return t->use_s ? t->promise + extra : t->promise - extra;
}

static bool budget_spent(dpi_trust *t) {
  if (t->result.niter >= t->def.max_iter) {
    finish(t, DPI_TRUST_ITERATIONS);
    return true;
  }
  if (t->def.max_eval > 0 && t->result.neval >= t->def.max_eval) {
    finish(t, DPI_TRUST_EVALUATIONS);
    return true;
  }
  return false;
}

/* A quasi-Newton matrix that sees no way down a slope has learnt a curvature that is gone: it begins anew. */
static bool forget(dpi_trust *t) {
  if (uses_fisher(t) || !t->sized || t->optimality <= 1e2 * t->def.gtol * fmax(1, fabs(t->j))) return false;
  t->sized = false;
  memset(t->s, 0, sizeof(double) * (size_t)t->m * (size_t)t->m);
  t->radius = t->def.radius;
  set_model(t);
  return true;
}

/* From the present point, model and radius: the next trial, or the end. */
static void propose(dpi_trust *t) {
  double least = t->def.ftol * fmax(1, fabs(t->j));
  if (t->m == 0 || t->optimality <= t->def.gtol) {
    settle(t, DPI_TRUST_GRADIENT);
    return;
  }
  if (budget_spent(t)) return;
  double theta = t->optimality < 1e-3 ? 1 : fmax(0.95, 1 - t->optimality);
  t->length = dpi_quad_step(&t->q, t->radius, theta, 0.01 * least, t->step, &t->inside);
  t->promise = -dpi_quad_value(&t->q, t->step);
  double longest = 0;
  for (int a = 0; a < t->m; a++) {
    int i = t->index[a];
    double x = t->x[i] + t->w[i] * t->step[a];
    /* as far as to the bound means on it, whatever rounding says */
    if (t->step[a] <= t->q.lo[a]) x = t->lower[i];
    if (t->step[a] >= t->q.hi[a]) x = t->upper[i];
    t->xt[i] = fmin(fmax(x, t->lower[i]), t->upper[i]);
    longest = fmax(longest, fabs(t->step[a]));
  }
  for (int i = 0; i < t->n; i++) {
    if (t->fixed[i]) t->xt[i] = t->x[i];
  }
  if (t->promise <= least && (t->inside || t->radius >= 1)) {
    if (forget(t)) {
      propose(t);
      return;
    }
    settle(t, DPI_TRUST_DECREASE);
  } else if (!(longest > t->def.xtol)) {
    settle(t, t->cautious == 2 && t->optimality > 1e-2 ? DPI_TRUST_STUCK : DPI_TRUST_STEP);
  } else {
    t->promise_other = promise_of_other(t);
    bool first = t->def.value_first == 2 || (t->def.value_first == 1 && t->cautious);
    t->phase = first ? PHASE_TRIAL_VALUE : PHASE_TRIAL;
  }
}

/* ---- secant updates, for the step just accepted; g and gt are gradients in units of scale ---- */

static double dot(const double *a, const double *b, int n) {
  double s = 0;
  for (int k = 0; k < n; k++) s += a[k] * b[k];
  return s;
}

/* S += (r y' + y r') / y's - (s'r) y y' / (y's)^2 with r = z - tau S s; z = S+ s wanted. Symmetric to the last bit: a
 * search that is saved keeps one half of S. */
static void update_structured(dpi_trust *t) {
  int m = t->m;
  double *y = t->y, *z = t->z, *ss = t->q.t, *s = t->step, ys = dot(y, s, m);
  if (!(ys > 1e-10 * sqrt(dot(y, y, m) * dot(s, s, m)))) return;
  secant_times(t, s, ss);
  double sss = dot(s, ss, m), sz = dot(s, z, m), tau = sss != 0 ? fmin(fabs(sz / sss), 1) : 1;
  for (int a = 0; a < m; a++) z[a] -= tau * ss[a];
  double sr = dot(s, z, m);
  for (int a = 0; a < m; a++) {
    for (int b = 0; b < m; b++) {
      double *e = &t->s[(size_t)a * m + b];
      *e = tau * *e + (z[a] * y[b] + y[a] * z[b]) / ys - sr * (y[a] * y[b]) / (ys * ys);
    }
  }
}

static void update_bfgs(dpi_trust *t) {
  int m = t->m;
  double *y = t->y, *bs = t->q.t, ys = dot(y, t->step, m);
  if (!(ys > 1e-10 * sqrt(dot(y, y, m) * dot(t->step, t->step, m)))) return;
  secant_times(t, t->step, bs);
  double sbs = dot(t->step, bs, m);
  for (int a = 0; a < m; a++) {
    for (int b = 0; b < m; b++) t->s[(size_t)a * m + b] += y[a] * y[b] / ys - bs[a] * bs[b] / sbs;
  }
}

static void update_sr1(dpi_trust *t) {
  int m = t->m;
  double *r = t->z;
  secant_times(t, t->step, r);
  for (int a = 0; a < m; a++) r[a] = t->y[a] - r[a];
  double rs = dot(r, t->step, m);
  if (!(fabs(rs) > 1e-8 * sqrt(dot(r, r, m) * dot(t->step, t->step, m)))) return;
  for (int a = 0; a < m; a++) {
    for (int b = 0; b < m; b++) t->s[(size_t)a * m + b] += r[a] * r[b] / rs;
  }
}

/* F comes anew after points without: S takes what F has changed by, so that F + S is still what steps have taught. */
static void carry_over(dpi_trust *t) {
  for (int a = 0; a < t->m; a++) {
    for (int b = 0; b <= a; b++) { /* symmetric to the last bit, as update_structured leaves it */
      const int i = t->index[a], j = t->index[b];
      const size_t ij = (size_t)i * t->n + j;
      t->s[(size_t)a * t->m + b] += t->w[i] * t->w[j] * (t->fisher[ij] - t->fishert[ij]);
      t->s[(size_t)b * t->m + a] = t->s[(size_t)a * t->m + b];
    }
  }
}

/* Called with x, grad still the old ones and xt, gradt, fishert the new. */
static void update_secant(dpi_trust *t) {
  int m = t->m;
  if (t->def.hessian == DPI_HESSIAN_FISHER) return;
  if (t->def.hessian == DPI_HESSIAN_HYBRID && t->with_fisher && t->stale > 0) carry_over(t);
  for (int a = 0; a < m; a++) {
    int i = t->index[a];
    t->step[a] = (t->xt[i] - t->x[i]) / t->w[i];
    t->y[a] = t->w[i] * (t->gradt[i] - t->grad[i]);
  }
  if (t->def.hessian == DPI_HESSIAN_HYBRID) {
    for (int a = 0; a < m; a++) {
      int i = t->index[a];
      t->z[a] = t->y[a];
      for (int b = 0; b < m; b++)
        t->z[a] -= t->w[i] * t->w[t->index[b]] * t->fishert[(size_t)i * t->n + t->index[b]] * t->step[b];
    }
    update_structured(t);
    return;
  }
  double ys = dot(t->y, t->step, m), size = dot(t->y, t->y, m);
  if (!t->sized && ys > 0) { /* the size of B from the first curvature seen */
    for (int a = 0; a < m; a++) t->s[(size_t)a * m + a] = size / ys;
    t->sized = true;
  }
  if (t->sized && t->def.hessian == DPI_HESSIAN_BFGS) update_bfgs(t);
  if (t->sized && t->def.hessian == DPI_HESSIAN_SR1) update_sr1(t);
}

/* ---- being told ---- */

void dpi_point_reason(char out[160], const char *text) {
  int n = 0;
  for (; text[n] && n < 159; n++) out[n] = (unsigned char)text[n] < ' ' ? ' ' : text[n];
  out[n] = 0;
}

static void fail(dpi_trust *t, const dpi_density_value *v) {
  t->result.nfailed++;
  dpi_point_reason(t->result.reason, v->reason[0] ? v->reason : "the density is not finite there");
}

/* The answer is usable: what was asked for is finite. */
static bool usable(const dpi_trust *t, const dpi_density_value *v, bool derivatives) {
  if (!v->ok || !isfinite(v->loglik + v->logprior)) return false;
  for (int a = 0; derivatives && a < t->m; a++) {
    int i = t->index[a];
    if (!isfinite(v->gradient[i])) return false;
    for (int b = 0; t->with_fisher && b < t->m; b++) {
      if (!isfinite(v->fisher[(size_t)i * t->n + t->index[b]])) return false;
    }
  }
  return true;
}

/* The gradient of J into gradt, the Fisher information into fishert, from wherever the answer has them. */
static void take_derivatives(dpi_trust *t, const dpi_density_value *v) {
  for (int i = 0; i < t->n; i++) t->gradt[i] = -v->gradient[i];
  size_t size = sizeof(double) * (size_t)t->n * (size_t)t->n;
  if (t->with_fisher && v->fisher != t->fishert) memcpy(t->fishert, v->fisher, size);
  if (uses_fisher(t) && !t->with_fisher) memcpy(t->fishert, t->fisher, size);
}

static void move_to_trial(dpi_trust *t, const dpi_density_value *v) {
  double *swap = t->x;
  t->x = t->xt;
  t->xt = swap;
  swap = t->grad;
  t->grad = t->gradt;
  t->gradt = swap;
  swap = t->fisher;
  t->fisher = t->fishert;
  t->fishert = swap;
  t->loglik = v->loglik;
  t->logprior = v->logprior;
  t->j = -(v->loglik + v->logprior);
  set_model(t);
}

static void shrink(dpi_trust *t, double by, int why) {
  t->radius = by * fmin(t->radius, t->length);
  t->cautious = why;
  t->result.niter++;
  propose(t);
}

/* The model that has predicted the fall better makes the next step; true: it has changed. */
static bool choose_model(dpi_trust *t, double fall) {
  if (t->def.hessian != DPI_HESSIAN_HYBRID) return false;
  double here = fabs(fall - t->promise), there = fabs(fall - t->promise_other);
  if (!(here > SWITCH * there)) return false;
  t->use_s = !t->use_s;
  return true;
}

/* A trial that does not fall as it should: the other model or a smaller region. SR1 learns from it (Conn, Gould, Toint,
 * Math. Prog. 50 (1991) 177). */
static void refuse(dpi_trust *t, double fall) {
  bool learns = t->def.hessian == DPI_HESSIAN_SR1 && t->sized && t->phase == PHASE_TRIAL;
  if (learns) update_secant(t);
  if (choose_model(t, fall) || learns) set_model(t);
  shrink(t, fall < -3 * t->promise ? 0.1 : SHRINK, 1);
}

/* At the bottom J's rounding hides its fall; there gradients decide. */
static bool rounding(const dpi_trust *t, double fall) {
  return fall > -noise(t) && fall <= noise(t) && t->promise <= 10 * noise(t);
}

/* Largest |v_i g_i| at the trial, with the present scaling: is the trial better by its gradient? */
static bool flatter(const dpi_trust *t) {
  double before = 0, after = 0;
  for (int a = 0; a < t->m; a++) {
    before = fmax(before, fabs(t->q.r[a] * t->q.g[a]));
    after = fmax(after, fabs(t->q.r[a] * t->w[t->index[a]] * t->gradt[t->index[a]]));
  }
  return after < before;
}

static void accept(dpi_trust *t, const dpi_density_value *v, double fall) {
  double ratio = fall / t->promise;
  update_secant(t);
  choose_model(t, fall);
  if (t->with_fisher && t->stale > 0 && !t->inside) t->use_s = false; /* far off, what is new is worth more */
  t->stale = t->with_fisher || !uses_fisher(t) ? 0 : t->stale + 1;
  if (ratio > 0.75 && t->length > 0.8 * t->radius) t->radius = fmin(GROW * t->radius, RADIUS_MAX);
  if (ratio < 0.25 && !rounding(t, fall)) t->radius = SHRINK * fmin(t->length, t->radius);
  t->cautious = 0;
  t->result.niter++;
  move_to_trial(t, v);
  propose(t);
}

static void tell_trial(dpi_trust *t, const dpi_density_value *v) {
  bool derivatives = t->phase == PHASE_TRIAL;
  if (!usable(t, v, derivatives)) {
    fail(t, v);
    shrink(t, SHRINK, 2);
    return;
  }
  double fall = t->j + v->loglik + v->logprior;
  bool falls = fall > ACCEPT * t->promise && fall > 0;
  if (derivatives) take_derivatives(t, v);
  if (!falls && !rounding(t, fall)) {
    refuse(t, fall);
  } else if (!derivatives) {
    t->phase = PHASE_TRIAL;
  } else if (falls || flatter(t)) {
    accept(t, v, fall);
  } else {
    refuse(t, fall);
  }
}

static void tell_start(dpi_trust *t, const dpi_density_value *v) {
  const bool derivatives = t->phase == PHASE_START;
  if (!usable(t, v, derivatives)) {
    fail(t, v);
    finish(t, DPI_TRUST_START);
    return;
  }
  if (!derivatives) {
    t->phase = PHASE_START;
    return;
  }
  take_derivatives(t, v);
  move_to_trial(t, v);
  memcpy(t->xt, t->x, sizeof(double) * (size_t)t->n);
  propose(t);
}

static void tell_snap(dpi_trust *t, const dpi_density_value *v) {
  if (!usable(t, v, true)) {
    fail(t, v);
  } else if (t->j + v->loglik + v->logprior >= -noise(t)) {
    take_derivatives(t, v);
    move_to_trial(t, v);
  }
  finish(t, t->end_found);
}

/* After a reload: the present point is as it was, and the trial follows from it; then the answer that was
 * waited for. */
static void tell_again(dpi_trust *t, const dpi_density_value *v) {
  phase wanted = t->resume;
  if (!usable(t, v, true)) { /* it was once: the density has changed */
    fail(t, v);
    finish(t, DPI_TRUST_START);
    return;
  }
  t->result.neval--;
  take_derivatives(t, v);
  memcpy(t->xt, t->x, sizeof(double) * (size_t)t->n);
  move_to_trial(t, v);
  propose(t);
  if (t->phase != PHASE_DONE && t->phase != PHASE_SNAP) t->phase = wanted;
}

/* F with the next gradient? Where it is dear: when it has become old, when the model has just been wrong, at ends. */
static bool wants_fisher(const dpi_trust *t) {
  if (!uses_fisher(t) || t->def.refresh <= 1) return uses_fisher(t);
  if (t->phase == PHASE_AGAIN) return t->stale == 0;
  return t->phase != PHASE_TRIAL || t->stale + 1 >= t->def.refresh || t->cautious == 1;
}

bool dpi_trust_next(dpi_trust *t, double *x, unsigned *what, dpi_density_value *value) {
  if (t->phase == PHASE_DONE) return false;
  memcpy(x, t->phase == PHASE_AGAIN ? t->x : t->xt, sizeof(double) * (size_t)t->n);
  memset(value, 0, sizeof *value);
  *what = DPI_DENSITY_VALUE;
  if (t->phase != PHASE_TRIAL_VALUE && t->phase != PHASE_START_VALUE) {
    t->with_fisher = wants_fisher(t);
    *what = DPI_DENSITY_GRADIENT | (t->with_fisher ? DPI_DENSITY_FISHER : 0);
    value->gradient = t->gradt;
    value->fisher = t->with_fisher ? t->fishert : NULL;
  }
  return true;
}

void dpi_trust_tell(dpi_trust *t, const dpi_density_value *value) {
  t->result.neval++;
  switch (t->phase) {
    case PHASE_START_VALUE:
    case PHASE_START: tell_start(t, value); break;
    case PHASE_TRIAL:
    case PHASE_TRIAL_VALUE: tell_trial(t, value); break;
    case PHASE_SNAP: tell_snap(t, value); break;
    case PHASE_AGAIN: tell_again(t, value); break;
    case PHASE_DONE: break;
  }
}

static void where_bounds(dpi_trust *t) {
  for (int i = 0; i < t->n; i++) t->at[i] = (signed char)(t->x[i] <= t->lower[i] ? -1 : t->x[i] >= t->upper[i] ? 1 : 0);
}

const dpi_trust_result *dpi_trust_result_of(const dpi_trust *t) {
  dpi_trust *w = (dpi_trust *)t; /* the result is a view that is filled when looked at */
  where_bounds(w);
  w->result.j = t->j;
  w->result.loglik = t->loglik;
  w->result.logprior = t->logprior;
  w->result.x = t->x;
  w->result.gradient = t->grad;
  w->result.fisher = t->fisher;
  w->result.at = t->at;
  w->result.optimality = t->optimality;
  return &t->result;
}

dp_status dpi_trust_minimise(dpi_density *d, dpi_trust *t, const double *x0, const bool *fixed) {
  double *x = DPI_NEW_ARRAY(t->ctx, double, t->n + 1);
  dp_status status = x ? DP_OK : DP_ERR_MEMORY;
  unsigned what;
  dpi_density_value value;
  dpi_trust_begin(t, x0, fixed);
  while (status == DP_OK && dpi_trust_next(t, x, &what, &value)) {
    status = dpi_density_eval(d, 1, x, what, &value);
    if (status == DP_OK) dpi_trust_tell(t, &value);
  }
  dpi_free(t->ctx, x);
  return status;
}

/* ---- as text ---- */

static void add_number(dpi_str *out, double x) {
  char text[32];
  dpi_format_double(x, text);
  dpi_str_addf(out, " %s", text);
}

void dpi_trust_save(const dpi_trust *t, dpi_str *out) {
  const dpi_trust_result *r = &t->result;
  dpi_str_addf(out, "%d %d %d %d %d %d %ld %ld", (int)(t->phase == PHASE_AGAIN ? t->resume : t->phase), t->n, t->m,
               t->use_s, t->sized, t->cautious, r->neval, r->nfailed);
  dpi_str_addf(out, " %d", r->niter);
  add_number(out, t->radius);
  dpi_str_addf(out, " %d", t->stale);
  for (int i = 0; i < t->n; i++) dpi_str_addf(out, " %d", t->fixed[i]);
  for (int i = 0; i < t->n; i++) add_number(out, t->w[i]);
  for (int i = 0; i < t->n; i++) add_number(out, t->x[i]);
  for (int a = 0; t->s && a < t->m; a++) {
    for (int b = 0; b <= a; b++) add_number(out, t->s[(size_t)a * t->m + b]);
  }
  for (int i = 0; t->stale > 0 && i < t->n; i++) { /* F of an earlier point: nobody can be asked for it again */
    for (int j = 0; j < t->n; j++) add_number(out, t->fisher[(size_t)i * t->n + j]);
  }
  dpi_str_addf(out, " %s", r->reason);
}

/* the next number of the text; NAN: there is none */
static double take(const char **text) {
  char word[40];
  size_t len = 0;
  double x;
  while (**text == ' ') (*text)++;
  while (**text && **text != ' ' && len < sizeof word - 1) word[len++] = *(*text)++;
  word[len] = 0;
  if (strcmp(word, "inf") == 0) return INFINITY;
  return len && dpi_parse_double(word, &x) ? x : NAN;
}

static bool take_whole(const char **text, double low, double high, double *out) {
  *out = take(text);
  return *out >= low && *out <= high && *out == floor(*out);
}

bool dpi_trust_load(dpi_trust *t, const char *text) {
  double head[9];
  const double most[9] = {PHASE_SNAP, t->n, t->n, 1, 1, 2, 9e15, 9e15, 2e9};
  for (int k = 0; k < 9; k++) {
    if (!take_whole(&text, 0, most[k], &head[k])) return false;
  }
  double radius = take(&text), flag, stale = 0;
  if ((int)head[1] != t->n || !(radius > 0)) return false;
  if (!take_whole(&text, 0, uses_fisher(t) ? 2e9 : 0, &stale)) return false;
  for (int i = 0; i < t->n; i++) {
    if (!take_whole(&text, 0, 1, &flag)) return false;
    t->fixed[i] = flag != 0;
  }
  for (int i = 0; i < t->n; i++) {
    t->w[i] = take(&text);
    if (!(t->w[i] > 0) || !isfinite(t->w[i])) return false;
  }
  for (int i = 0; i < t->n; i++) {
    t->xt[i] = take(&text);
    if (!(t->xt[i] >= t->lower[i] && t->xt[i] <= t->upper[i])) return false;
  }
  const double *scale = t->def.scale;
  t->def.scale = t->w; /* kept, not chosen anew */
  dpi_trust_begin(t, t->xt, NULL);
  t->def.scale = scale;
  for (int a = 0; t->s && a < t->m; a++) {
    for (int b = 0; b <= a; b++) {
      double e = take(&text);
      if (!isfinite(e)) return false;
      t->s[(size_t)a * t->m + b] = t->s[(size_t)b * t->m + a] = e;
    }
  }
  if (t->m != (int)head[2]) return false;
  t->stale = (int)stale;
  for (int i = 0; t->stale > 0 && i < t->n; i++) {
    for (int j = 0; j < t->n; j++) {
      t->fisher[(size_t)i * t->n + j] = take(&text);
      if (!isfinite(t->fisher[(size_t)i * t->n + j])) return false;
    }
  }
  if (*text == ' ') text++;
  dpi_point_reason(t->result.reason, text);
  t->use_s = head[3] != 0;
  t->sized = head[4] != 0;
  t->cautious = (int)head[5];
  t->result.neval = (long)head[6];
  t->result.nfailed = (long)head[7];
  t->result.niter = (int)head[8];
  t->radius = radius;
  t->resume = (phase)head[0];
  t->phase = t->resume <= PHASE_START ? t->resume : PHASE_AGAIN;
  return true;
}
