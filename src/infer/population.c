/* population.c - all people together: the objective sum of -2 ln p(y_i) and its gradient in the estimated parameters.
 *
 * theta holds, each on a scale without bounds: typical values (log, logit or linear), variances (log, above a floor) or
 * the Cholesky factor of a free block of Omega, and parameters without a random effect (errors among them).
 *
 * With a person's mode xm, H = Hessian of l/2, P = Omega^-1, q = d ln|Q|/dx (marginal.c) the gradient is
 *     d/dtheta [l(xm) + ln|Omega| + ln|Q|] = dl + d ln|Q| explicit + q' dxm/dtheta,
 *     dxm/dtheta = -(2H)^-1 d(grad l)/dtheta
 *   typical value that only shifts effects along d:  -2 d'P x                + q' H^-1 P d
 *   entry of Omega, E = dOmega/dtheta:               -x'P E P x + tr(P E)    - tr(Q^-1 P E P) + q' H^-1 P E P x
 *   anything else: l, grad l and ln|Q| differenced at fixed x
 * (Almquist et al. 2015, J Pharmacokinet Pharmacodyn 42:191, give the like for FOCE). Whether a typical value only
 * shifts is not believed but tried on everybody: a covariate's factor may spoil it for some.
 */
#include "infer/population_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VARIANCE_FLOOR 1e-6
#define FACTOR_FLOOR 1e-3
#define GENERIC_STEP 1e-3

/* ---- scales ---- */

double dpi_theta_to(dpi_scale s, double v) {
  if (s == DPI_SCALE_LOG) return dpi_m_log(v);
  if (s == DPI_SCALE_LOGIT) return dpi_m_log(v / (1 - v));
  return v;
}

double dpi_theta_from(dpi_scale s, double t) {
  if (s == DPI_SCALE_LOG) return dpi_m_exp(t);
  if (s == DPI_SCALE_LOGIT) return 1 / (1 + dpi_m_exp(-t));
  return t;
}

static dpi_scale param_scale(const dp_kind *k, int i) {
  for (int e = 0; e < k->neffect; e++) {
    if (k->effect[e].typical != i) continue;
    if (k->effect[e].distribution == DPI_DIST_LOGNORMAL) return DPI_SCALE_LOG;
    if (k->effect[e].distribution == DPI_DIST_LOGITNORMAL) return DPI_SCALE_LOGIT;
    return DPI_SCALE_LIN;
  }
  const dpi_kind_param *p = &k->param[i];
  if (p->scale == DPI_SCALE_LOGIT) return DPI_SCALE_LOGIT;
  return p->scale != DPI_SCALE_LIN || (p->lower >= 0 && p->nominal > 0) ? DPI_SCALE_LOG
                                                                        : DPI_SCALE_LIN;
}

/* ---- layout of theta ---- */

static dp_status add_typical(dpi_population *pop, const dp_prior *start, int i) {
  const dpi_kind_param *p = &pop->kind->param[i];
  theta_def *t = &pop->theta[pop->ntheta];
  t->kind = THETA_GENERIC;
  t->param = i;
  t->scale = param_scale(pop->kind, i);
  double v = start->typical[i];
  bool inside = t->scale == DPI_SCALE_LOG     ? v > 0
                : t->scale == DPI_SCALE_LOGIT ? v > 0 && v < 1
                                              : isfinite(v);
  if (!inside)
    return dpi_fail(pop->ctx, DP_ERR_INPUT,
                    "parameter %s: starting value %g does not fit its scale", p->id, v);
  t->lower =
      t->scale != DPI_SCALE_LIN && !(p->lower > 0) ? -INFINITY : dpi_theta_to(t->scale, p->lower);
  t->upper =
      t->scale == DPI_SCALE_LOGIT && !(p->upper < 1) ? INFINITY : dpi_theta_to(t->scale, p->upper);
  pop->start[pop->ntheta++] = dpi_theta_to(t->scale, v);
  return DP_OK;
}

/* Collect into order[] the effects joined with e by free covariances. */
static void collect_block(const dp_kind *k, int e, bool *used, int *order, int *n) {
  used[e] = true;
  order[(*n)++] = e;
  for (int f = 0; f < k->neffect; f++)
    if (!used[f] && k->omega_free[e * k->neffect + f]) collect_block(k, f, used, order, n);
}

/* Thetas of a block with this covariance [n x n] (destroyed): ln of what a variance has above its floor, or the
 * Cholesky factor row by row. A covariance that is none gets a larger diagonal until it is one. */
void dpi_population_block_theta(double *cov, int n, double *theta) {
  if (n == 1) {
    theta[0] = dpi_m_log(fmax(cov[0] - VARIANCE_FLOOR, VARIANCE_FLOOR));
    return;
  }
  double l[64 * 64];
  for (double more = 0;; more = more > 0 ? 10 * more : 1e-10) {
    memcpy(l, cov, sizeof(double) * (size_t)(n * n));
    for (int r = 0; r < n; r++) l[r * n + r] += more * (fabs(cov[r * n + r]) + VARIANCE_FLOOR);
    if (dpi_chol(l, n) || more > 1) break;
  }
  for (int r = 0, k = 0; r < n; r++)
    for (int c = 0; c <= r; c++)
      theta[k++] = r == c ? dpi_m_log(fmax(l[r * n + r] - FACTOR_FLOOR, FACTOR_FLOOR)) : l[r * n + c];
}

static dp_status add_block(dpi_population *pop, const dp_prior *start, const block_def *b,
                           int index) {
  const dp_kind *k = pop->kind;
  const int *e = pop->order + b->first;
  double *l = DPI_ARENA_ARRAY(&pop->arena, double, (size_t)b->n *(size_t)b->n);
  if (!l) return DP_ERR_MEMORY;
  for (int r = 0; r < b->n; r++)
    for (int c = 0; c < b->n; c++) {
      l[r * b->n + c] = start->omega[e[r] * k->neffect + e[c]];
      if (!k->omega_free[e[r] * k->neffect + e[c]])
        return dpi_fail(pop->ctx, DP_ERR_UNSUPPORTED,
                        "random effects %s and %s: some covariances of their block are free and "
                        "this one is fixed; only whole blocks can be estimated",
                        k->effect[e[r]].id, k->effect[e[c]].id);
    }
  double *test = DPI_ARENA_ARRAY(&pop->arena, double, (size_t)b->n *(size_t)b->n);
  if (!test) return DP_ERR_MEMORY;
  memcpy(test, l, sizeof(double) * (size_t)(b->n * b->n));
  if (!dpi_chol(test, b->n))
    return dpi_fail(pop->ctx, DP_ERR_INPUT,
                    "random effect %s: starting variance must be positive to be estimated",
                    k->effect[e[0]].id);
  for (int r = 0, k = pop->ntheta; r < b->n; r++)
    for (int c = 0; c <= r; c++, k++) {
      theta_kind kind = b->n == 1 ? THETA_VARIANCE : THETA_FACTOR;
      pop->theta[k] = (theta_def){kind, -1, DPI_SCALE_LIN, -INFINITY, INFINITY, index, r, c};
    }
  dpi_population_block_theta(l, b->n, pop->start + pop->ntheta);
  pop->ntheta += b->n * (b->n + 1) / 2;
  return DP_OK;
}

/* A covariance is estimated only together with both of its variances. */
static dp_status check_free(const dpi_population *pop) {
  const dp_kind *k = pop->kind;
  int ne = k->neffect;
  if (ne > 64)
    return dpi_fail(pop->ctx, DP_ERR_UNSUPPORTED,
                    "kind %s: %d random effects, at most 64 are supported", k->id, ne);
  for (int i = 0; i < ne; i++)
    for (int j = 0; j < i; j++)
      if (k->omega_free[i * ne + j] && !(k->omega_free[i * ne + i] && k->omega_free[j * ne + j]))
        return dpi_fail(
            pop->ctx, DP_ERR_UNSUPPORTED,
            "random effects %s and %s: their covariance is free and a variance is fixed; only "
            "whole blocks can be estimated",
            k->effect[j].id, k->effect[i].id);
  return DP_OK;
}

static dp_status layout(dpi_population *pop, const dp_prior *start) {
  const dp_kind *k = pop->kind;
  size_t ne = (size_t)k->neffect, max = (size_t)k->nparam + ne * (ne + 1) / 2 + 1;
  pop->theta = DPI_ARENA_ARRAY(&pop->arena, theta_def, max);
  pop->start = DPI_ARENA_ARRAY(&pop->arena, double, max);
  pop->block = DPI_ARENA_ARRAY(&pop->arena, block_def, ne + 1);
  pop->order = DPI_ARENA_ARRAY(&pop->arena, int, ne + 1);
  bool *used = DPI_ARENA_ARRAY(&pop->arena, bool, ne + 1);
  if (!pop->theta || !pop->start || !pop->block || !pop->order || !used) return DP_ERR_MEMORY;
  for (int i = 0; i < k->nparam; i++)
    if (k->param[i].estimate) DP_TRY(add_typical(pop, start, i));
  DP_TRY(check_free(pop));
  int n = 0;
  for (int e = 0; e < k->neffect; e++) {
    if (used[e] || !k->omega_free[e * k->neffect + e]) continue;
    block_def *b = &pop->block[pop->nblock];
    b->first = n;
    collect_block(k, e, used, pop->order, &n);
    b->n = n - b->first;
    DP_TRY(add_block(pop, start, b, pop->nblock++));
  }
  return DP_OK;
}

/* ---- theta -> typical values, Omega, dOmega ---- */

static void unpack_block(dpi_population *pop, const double *theta, int first, const block_def *b) {
  int n = b->n, ne = pop->ne;
  const int *e = pop->order + b->first;
  double l[64 * 64];
  if (n == 1) {
    double v = dpi_m_exp(theta[first]);
    pop->omega[e[0] * ne + e[0]] = VARIANCE_FLOOR + v;
    pop->domega[(size_t)first * ne * ne + (size_t)(e[0] * ne + e[0])] = v;
    return;
  }
  for (int r = 0, k = first; r < n; r++)
    for (int c = 0; c < n; c++)
      l[r * n + c] = c > r ? 0 : c < r ? theta[k++] : FACTOR_FLOOR + dpi_m_exp(theta[k++]);
  for (int r = 0; r < n; r++)
    for (int c = 0; c < n; c++) {
      double s = 0;
      for (int m = 0; m < n; m++) s += l[r * n + m] * l[c * n + m];
      pop->omega[e[r] * ne + e[c]] = s;
    }
  /* dOmega = dL L' + L dL' with dL non-zero at (row, col) only */
  for (int row = 0, k = first; row < n; row++)
    for (int col = 0; col <= row; col++, k++) {
      double *d = pop->domega + (size_t)k * ne * ne;
      double slope = row == col ? l[row * n + col] - FACTOR_FLOOR : 1.0;
      for (int c = 0; c < n; c++) {
        d[e[row] * ne + e[c]] += slope * l[c * n + col];
        d[e[c] * ne + e[row]] += slope * l[c * n + col];
      }
    }
}

/* Is Omega a covariance? Variances that go down beside a fixed covariance may leave it none. */
static bool definite(const dpi_population *pop) {
  int n = pop->ne;
  memcpy(pop->factor, pop->omega, sizeof(double) * (size_t)n * (size_t)n);
  for (int e = 0; e < n; e++)
    if (pop->factor[e * n + e] == 0) pop->factor[e * n + e] = 1;
  return dpi_chol(pop->factor, n);
}

/* false: outside the bounds, or no covariance */
bool dpi_population_unpack(dpi_population *pop, const double *theta) {
  memset(pop->domega, 0, sizeof(double) * (size_t)pop->ntheta * (size_t)(pop->ne * pop->ne));
  for (int k = 0; k < pop->ntheta; k++) {
    const theta_def *t = &pop->theta[k];
    if (!isfinite(theta[k]) || theta[k] < t->lower || theta[k] > t->upper || fabs(theta[k]) > 300)
      return false;
    if (t->param >= 0)
      pop->typical[t->param] = dpi_theta_from(t->scale, theta[k]);
    else if (t->row == 0 && t->col == 0)
      unpack_block(pop, theta, k, &pop->block[t->block]);
  }
  return definite(pop);
}

/* ---- what a typical value shifts ---- */

/* Direction d [neta] in which typical value i would shift the effects; false when it has none or one
 * without variance. */
bool dpi_shift_direction(const dpi_population *pop, const dpi_person *p, int i, double *d) {
  const dp_kind *k = pop->kind;
  bool person = false, any = false;
  for (int e = 0; e < k->neffect; e++)
    person = person || (k->effect[e].typical == i && !k->effect[e].occasion);
  for (int j = 0; j < p->c->neta; j++) {
    const dpi_kind_effect *e = &k->effect[p->c->eta_effect[j]];
    d[j] = e->typical == i && e->occasion == !person ? 1.0 : 0.0;
    any = any || d[j] != 0;
  }
  for (int j = 0; j < p->c->neta && any; j++) {
    bool is_free = false;
    for (int a = 0; a < p->iv->nfree; a++) is_free = is_free || p->iv->free[a] == j;
    if (d[j] != 0 && !is_free) return false;
  }
  return any;
}

/* Predictions of a person at eta with typical value t moved by h; w [2 nobs] takes values and standard deviations. */
static dp_status predict_moved(const dpi_population *pop, member *mb, const theta_def *t, double h,
                               const double *eta, double *w, bool *ok) {
  dpi_indiv *iv = mb->p->iv;
  dpi_pred out = {w, w + iv->def.nobs, NULL, NULL};
  double at = pop->typical[t->param];
  if (h != 0) mb->typical[t->param] = dpi_theta_from(t->scale, dpi_theta_to(t->scale, at) + h);
  dp_status st = iv->def.predict(iv->def.user, eta, false, &out, ok);
  mb->typical[t->param] = at;
  return st;
}

/* How far a trial moves a typical value: visible, and inside the model's domain. */
static double trial_step(const dpi_population *pop, const member *mb, const theta_def *t,
                         const double *d) {
  double v = 0;
  if (t->scale != DPI_SCALE_LIN) return 0.1;
  for (int j = 0; j < mb->p->iv->def.neta; j++) {
    int e = mb->p->c->eta_effect[j];
    if (d[j] != 0) v = fmax(v, pop->omega[e * pop->ne + e]);
  }
  return 0.1 * sqrt(v);
}

/* Do two predictions agree, beside what the move changed? n values each */
static bool same_move(const double *base, const double *a, const double *b, int n) {
  double change = 0, size = 0, apart = 0;
  for (int i = 0; i < n; i++) {
    change = fmax(change, fabs(b[i] - base[i]));
    size = fmax(size, fabs(b[i]));
    apart = fmax(apart, fabs(a[i] - b[i]));
  }
  return apart <= 1e-5 * change + 1e-7 * size;
}

/* Does moving typical value t equal moving the effects along d? Both are done, at eta = 0.1. */
static dp_status shift_holds(dpi_population *pop, member *mb, const theta_def *t, bool *holds) {
  int n = mb->p->iv->def.nobs, neta = mb->p->iv->def.neta;
  double d[64], eta[64];
  *holds = neta <= 64 && dpi_shift_direction(pop, mb->p, t->param, d);
  if (!*holds || n == 0) return DP_OK;
  double *w = DPI_NEW_ARRAY(pop->ctx, double, 6 * n), h = trial_step(pop, mb, t, d);
  if (!w) return DP_ERR_MEMORY;
  bool ok = true;
  for (int j = 0; j < neta; j++) eta[j] = 0.1;
  dp_status st = predict_moved(pop, mb, t, 0, eta, w, &ok);
  if (st == DP_OK && ok) st = predict_moved(pop, mb, t, h, eta, w + 2 * n, &ok);
  for (int j = 0; j < neta; j++) eta[j] += h * d[j];
  if (st == DP_OK && ok) st = predict_moved(pop, mb, t, 0, eta, w + 4 * n, &ok);
  *holds = st == DP_OK && ok && same_move(w, w + 2 * n, w + 4 * n, n) &&
           same_move(w + n, w + 3 * n, w + 5 * n, n);
  dpi_free(pop->ctx, w);
  return st;
}

static dp_status find_shifts(dpi_population *pop) {
  for (int k = 0; k < pop->ntheta; k++) {
    theta_def *t = &pop->theta[k];
    if (t->param < 0) continue;
    bool holds = true;
    for (int i = 0; i < pop->npeople && holds; i++)
      DP_TRY(shift_holds(pop, &pop->member[i], t, &holds));
    if (holds) t->kind = THETA_SHIFT;
  }
  return DP_OK;
}

/* ---- create ---- */

static dp_status member_create(dpi_population *pop, const dp_record *record, int subject,
                               member *mb) {
  DP_TRY(dpi_person_create(pop->kind, record, subject, INFINITY, false, &mb->p));
  size_t n = (size_t)mb->p->c->neta;
  mb->typical = DPI_ARENA_ARRAY(&pop->arena, double, (size_t)pop->nparam + 1);
  mb->omega = DPI_ARENA_ARRAY(&pop->arena, double, n *n + 1);
  mb->e = DPI_ARENA_ARRAY(&pop->arena, double, 3 * n * n + 1);
  if (!mb->typical || !mb->omega || !mb->e) return DP_ERR_MEMORY;
  mb->pe = mb->e + n * n;
  mb->pep = mb->pe + n * n;
  memcpy(mb->typical, pop->typical, sizeof(double) * (size_t)pop->nparam);
  mb->p->typical = mb->typical;
  dpi_person_omega(mb->p, pop->omega, mb->omega);
  DP_TRY(dpi_indiv_prior(mb->p->iv, mb->omega));
  return dpi_marginal_create(&pop->arena, mb->p->iv->dim, &mb->m);
}

static dp_status population_fill(dpi_population *pop, const dp_record *record, const int *exclude,
                                 int nexclude, const dp_prior *start) {
  size_t ne = (size_t)pop->ne;
  DP_TRY(layout(pop, start));
  pop->source = dpi_arena_strdup(&pop->arena, record->source);
  if (!pop->source) return DP_ERR_MEMORY;
  pop->member = DPI_ARENA_ARRAY(&pop->arena, member, (size_t)record->nsubject + 1);
  pop->typical = DPI_ARENA_ARRAY(&pop->arena, double, (size_t)pop->nparam + 1);
  pop->omega = DPI_ARENA_ARRAY(&pop->arena, double, ne *ne + 1);
  pop->factor = DPI_ARENA_ARRAY(&pop->arena, double, ne *ne + 1);
  pop->domega = DPI_ARENA_ARRAY(&pop->arena, double, (size_t)pop->ntheta *ne *ne + 1);
  pop->value = DPI_ARENA_ARRAY(&pop->arena, double, (size_t)record->nsubject + 1);
  pop->score =
      DPI_ARENA_ARRAY(&pop->arena, double, (size_t)record->nsubject *(size_t)pop->ntheta + 1);
  if (!pop->member || !pop->typical || !pop->omega || !pop->factor || !pop->domega || !pop->value ||
      !pop->score)
    return DP_ERR_MEMORY;
  memcpy(pop->typical, start->typical, sizeof(double) * (size_t)pop->nparam);
  memcpy(pop->omega, start->omega, sizeof(double) * ne * ne);
  for (int i = 0; i < record->nsubject; i++) {
    bool out = false;
    for (int k = 0; k < nexclude; k++) out = out || exclude[k] == i;
    if (out) continue;
    DP_TRY(member_create(pop, record, i, &pop->member[pop->npeople++]));
  }
  if (pop->npeople == 0)
    return dpi_fail(pop->ctx, DP_ERR_INPUT, "%s: no people left to estimate from", record->source);
  int nobs = 0;
  for (int i = 0; i < pop->npeople; i++) nobs += pop->member[i].p->nobs;
  if (nobs == 0)
    return dpi_fail(pop->ctx, DP_ERR_INPUT, "%s: found no measured value, expected some to estimate from",
                    record->source);
  return find_shifts(pop);
}

dp_status dpi_population_create(const dp_kind *kind, const dp_record *record, const int *exclude,
                                int nexclude, const dp_prior *start, dpi_marginal_method method,
                                dpi_population **out) {
  *out = NULL;
  if (start->nparam != kind->nparam || start->neffect != kind->neffect)
    return dpi_fail(kind->ctx, DP_ERR_USAGE,
                    "prior of %d parameters and %d effects: kind %s has %d and %d", start->nparam,
                    start->neffect, kind->id, kind->nparam, kind->neffect);
  dpi_population *pop = DPI_NEW(kind->ctx, dpi_population);
  if (!pop) return DP_ERR_MEMORY;
  pop->ctx = kind->ctx;
  pop->kind = kind;
  pop->method = method;
  pop->node_tolerance = 1e-4;
  pop->nparam = kind->nparam;
  pop->ne = kind->neffect;
  dpi_arena_init(&pop->arena, kind->ctx);
  dp_status st = population_fill(pop, record, exclude, nexclude, start);
  if (st != DP_OK) {
    dpi_population_destroy(pop);
    return st;
  }
  *out = pop;
  return DP_OK;
}

void dpi_population_destroy(dpi_population *pop) {
  if (!pop) return;
  dp_ctx *ctx = pop->ctx;
  dpi_grid_destroy(ctx, pop->grid);
  for (int i = 0; i < pop->npeople; i++) dpi_person_destroy(pop->member[i].p);
  dpi_arena_release(&pop->arena);
  dpi_free(ctx, pop);
}

int dpi_population_ntheta(const dpi_population *pop) { return pop->ntheta; }
int dpi_population_npeople(const dpi_population *pop) { return pop->npeople; }
const double *dpi_population_scores(const dpi_population *pop) { return pop->score; }
void dpi_population_method(dpi_population *pop, dpi_marginal_method method) {
  pop->method = method;
}
void dpi_population_nodes(dpi_population *pop, int nodes) {
  pop->nodes = nodes;
  dpi_grid_drop(pop);
  for (int i = 0; i < pop->npeople; i++) pop->member[i].m.warm = false;
}

void dpi_population_bounds(const dpi_population *pop, double *lower, double *upper) {
  for (int k = 0; k < pop->ntheta; k++) {
    lower[k] = pop->theta[k].lower;
    upper[k] = pop->theta[k].upper;
  }
}

void dpi_population_start(const dpi_population *pop, double *theta) {
  memcpy(theta, pop->start, sizeof(double) * (size_t)pop->ntheta);
}

const char *dpi_population_failing(const dpi_population *pop, char text[320]) {
  int i = 0;
  while (i < pop->npeople && isfinite(pop->value[i])) i++;
  if (i == pop->npeople) return "";
  const dpi_case *c = pop->member[i].p->c;
  snprintf(text, 320, "%.200s:%d: person '%.60s': ", pop->source, c->nobs ? c->obs[0].line : 1, c->id);
  return text;
}

const char *dpi_population_label(const dpi_population *pop, int k, char text[96]) {
  const theta_def *t = &pop->theta[k];
  const char *kinds[] = {"shift", "other", "variance", "covariance factor"};
  if (t->param >= 0)
    snprintf(text, 96, "%.60s (%s)", pop->kind->param[t->param].id, kinds[t->kind]);
  else {
    const int *e = pop->order + pop->block[t->block].first;
    snprintf(text, 96, "%.30s %.30s (%s)", pop->kind->effect[e[t->row]].id,
             pop->kind->effect[e[t->col]].id, kinds[t->kind]);
  }
  return text;
}

/* ---- gradient of one person ---- */

static void mat_vec(const double *a, const double *x, int n, double *y) {
  for (int i = 0; i < n; i++) {
    y[i] = 0;
    for (int j = 0; j < n; j++) y[i] += a[i * n + j] * x[j];
  }
}

static double dot(const double *a, const double *b, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static double score_shift(const dpi_population *pop, const member *mb, const double *hq,
                          const theta_def *t) {
  const dpi_indiv *iv = mb->p->iv;
  int n = iv->dim;
  double d[64], df[64], pd[64];
  dpi_shift_direction(pop, mb->p, t->param, d);
  dpi_indiv_x(iv, d, df);
  mat_vec(iv->prec, df, n, pd);
  return -2 * dot(pd, mb->m.x, n) + dot(hq, pd, n);
}

static double score_omega(const dpi_population *pop, const member *mb, const double *hq, int k) {
  const dpi_indiv *iv = mb->p->iv;
  int n = iv->dim, neta = iv->def.neta;
  double px[64], epx[64], pepx[64];
  dpi_person_omega(mb->p, pop->domega + (size_t)k * pop->ne * pop->ne, mb->omega);
  double trace = 0, trace_q = 0;
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) mb->e[a * n + b] = mb->omega[iv->free[a] * neta + iv->free[b]];
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) {
      mb->pe[a * n + b] = 0;
      for (int c = 0; c < n; c++) mb->pe[a * n + b] += iv->prec[a * n + c] * mb->e[c * n + b];
    }
  for (int a = 0; a < n; a++) {
    trace += mb->pe[a * n + a];
    for (int b = 0; b < n; b++) {
      double s = 0;
      for (int c = 0; c < n; c++) s += mb->pe[a * n + c] * iv->prec[c * n + b];
      trace_q += mb->m.qinv[a * n + b] * s;
    }
  }
  mat_vec(iv->prec, mb->m.x, n, px);
  mat_vec(mb->e, px, n, epx);
  mat_vec(iv->prec, epx, n, pepx);
  return -dot(px, epx, n) + trace - trace_q + dot(hq, pepx, n);
}

/* Differences of l, grad l and ln|Q| at fixed x. hq = H^-1 q. */
static dp_status score_generic(const dpi_population *pop, member *mb, const double *hq,
                               const theta_def *t, double *score, bool *ok) {
  dpi_indiv *iv = mb->p->iv;
  int n = iv->dim;
  double g[2][65], l[2], logdet[2], theta = dpi_theta_to(t->scale, pop->typical[t->param]);
  double h = t->scale == DPI_SCALE_LIN ? GENERIC_STEP * fmax(fabs(theta), 1e-3) : GENERIC_STEP;
  for (int side = 0; side < 2 && *ok; side++) {
    mb->typical[t->param] = dpi_theta_from(t->scale, theta + (side ? -h : h));
    dpi_point pt = {0, g[side], mb->e};
    DP_TRY(dpi_indiv_eval(iv, mb->m.x, true, &pt, ok));
    l[side] = pt.l;
    if (*ok) DP_TRY(dpi_marginal_logdet(iv, pop->method, mb->m.x, &logdet[side], ok));
  }
  mb->typical[t->param] = pop->typical[t->param];
  if (!*ok) return DP_OK;
  *score = (l[0] - l[1] + logdet[0] - logdet[1]) / (2 * h);
  for (int a = 0; a < n; a++) *score -= 0.5 * hq[a] * (g[0][a] - g[1][a]) / (2 * h);
  return DP_OK;
}

/* H^-1 q; the Fisher matrix stands in where the Hessian is not positive definite (FOCE-I only). */
static void solve_q(const dpi_population *pop, const member *mb, double *hq) {
  int n = mb->p->iv->dim;
  memcpy(hq, mb->m.q, sizeof(double) * (size_t)n);
  memcpy(mb->e, mb->m.hess, sizeof(double) * (size_t)n * (size_t)n);
  if (pop->method == DPI_FOCEI && dpi_chol(mb->e, n))
    dpi_chol_solve(mb->e, n, hq);
  else
    mat_vec(mb->m.qinv, mb->m.q, n, hq);
}

static dp_status member_gradient(dpi_population *pop, int i, bool *ok) {
  member *mb = &pop->member[i];
  double hq[65];
  solve_q(pop, mb, hq);
  for (int k = 0; k < pop->ntheta && *ok; k++) {
    double *s = &pop->score[(size_t)i * pop->ntheta + k];
    const theta_def *t = &pop->theta[k];
    *s = 0;
    if (t->kind == THETA_SHIFT)
      *s = score_shift(pop, mb, hq, t);
    else if (pop->shift_only)
      continue;
    else if (t->kind == THETA_GENERIC)
      DP_TRY(score_generic(pop, mb, hq, t, s, ok));
    else
      *s = score_omega(pop, mb, hq, k);
    if (!isfinite(*s)) *ok = false;
  }
  return DP_OK;
}

/* dpi_work_fn: one person's value and score; NaN when it can't be evaluated */
static dp_status member_eval(void *user, int i, int worker) {
  (void)worker;
  dpi_population *pop = user;
  member *mb = &pop->member[i];
  pop->value[i] = NAN;
  memcpy(mb->typical, pop->typical, sizeof(double) * (size_t)pop->nparam);
  dpi_person_omega(mb->p, pop->omega, mb->omega);
  DP_TRY(dpi_indiv_prior(mb->p->iv, mb->omega));
  DP_TRY(dpi_marginal_eval(mb->p->iv, pop->method, pop->gradient, &mb->m));
  bool ok = mb->m.ok;
  if (ok && pop->gradient) DP_TRY(member_gradient(pop, i, &ok));
  if (ok) pop->value[i] = mb->m.value + mb->p->jacobian;
  return DP_OK;
}

dp_status dpi_population_eval(dpi_population *pop, const double *theta, double *value, double *grad,
                              bool *ok) {
  *ok = dpi_population_unpack(pop, theta);
  if (!*ok) return DP_OK;
  if (pop->method == DPI_QUADRATURE) return dpi_grid_eval(pop, theta, value, grad, ok);
  pop->gradient = grad != NULL;
  DP_TRY(dpi_parallel_for(pop->ctx, pop->npeople, member_eval, pop));
  *value = dpi_sum(pop->value, pop->npeople);
  *ok = isfinite(*value);
  for (int k = 0; grad && k < pop->ntheta; k++) {
    grad[k] = 0;
    for (int i = 0; i < pop->npeople; i++) grad[k] += pop->score[(size_t)i * pop->ntheta + k];
  }
  return DP_OK;
}

dp_status dpi_population_restart(dpi_population *pop, const double *theta, bool *changed) {
  double value = 0;
  bool ok = false;
  *changed = false;
  DP_TRY(dpi_population_eval(pop, theta, &value, NULL, &ok));
  if (!ok) return DP_OK;
  double *before = DPI_NEW_ARRAY(pop->ctx, double, pop->npeople);
  if (!before) return DP_ERR_MEMORY;
  for (int i = 0; i < pop->npeople; i++) {
    before[i] = pop->value[i];
    pop->member[i].m.warm = false;
  }
  dp_status st = dpi_population_eval(pop, theta, &value, NULL, &ok);
  for (int i = 0; i < pop->npeople; i++)
    *changed = *changed || fabs(pop->value[i] - before[i]) > 1e-3;
  dpi_free(pop->ctx, before);
  return st;
}

bool dpi_population_lift(const dpi_population *pop, double *theta) {
  bool any = false;
  for (int k = 0; k < pop->ntheta; k++)
    if (pop->theta[k].kind == THETA_VARIANCE && dpi_m_exp(theta[k]) < 10 * VARIANCE_FLOOR) {
      theta[k] = dpi_m_log(0.1);
      any = true;
    }
  return any;
}

void dpi_population_write(const dpi_population *pop, const double *theta, dp_prior *prior) {
  dpi_population *w =
      (dpi_population *)pop; /* present values follow theta; nothing a caller sees changes */
  dpi_population_unpack(w, theta);
  memcpy(prior->typical, pop->typical, sizeof(double) * (size_t)pop->nparam);
  memcpy(prior->omega, pop->omega, sizeof(double) * (size_t)pop->ne * (size_t)pop->ne);
  prior->npeople = pop->npeople;
}

/* ---- uncertainty of the typical values ---- */

/* Which thetas are typical values of effects between people: which [ntheta]. */
static int typical_thetas(const dpi_population *pop, int *which, bool *all_shift) {
  int n = 0;
  *all_shift = true;
  for (int k = 0; k < pop->ntheta; k++) {
    bool has = false;
    for (int e = 0; e < pop->ne; e++)
      has =
          has || (pop->theta[k].param >= 0 && pop->kind->effect[e].typical == pop->theta[k].param &&
                  !pop->kind->effect[e].occasion);
    if (!has) continue;
    which[n++] = k;
    *all_shift = *all_shift && pop->theta[k].kind == THETA_SHIFT;
  }
  return n;
}

/* Half the Hessian of the objective in `which`, by central differences of the gradient; outer products of the scores of
 * single people where that is not positive definite. hess [n x n] */
static dp_status typical_information(dpi_population *pop, const double *theta, const int *which,
                                     int n, double *work, double *hess) {
  int nt = pop->ntheta;
  double *t = work, *gp = t + nt, *gm = gp + nt, *opg = gm + nt, value;
  bool ok = false;
  memcpy(t, theta, sizeof(double) * (size_t)nt);
  DP_TRY(dpi_population_eval(pop, t, &value, gp, &ok));
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) {
      opg[a * n + b] = 0;
      for (int i = 0; i < pop->npeople; i++)
        opg[a * n + b] +=
            0.25 * pop->score[(size_t)i * nt + which[a]] * pop->score[(size_t)i * nt + which[b]];
    }
  for (int a = 0; a < n && ok; a++) {
    const theta_def *ta = &pop->theta[which[a]];
    double h = fmin(0.3, 0.1 / sqrt(opg[a * n + a] + 1e-12)), at = theta[which[a]];
    h = fmin(h, 0.4 * (ta->upper - ta->lower));
    at = fmin(fmax(at, ta->lower + h),
              ta->upper - h); /* a value at its bound is judged just inside */
    t[which[a]] = at + h;
    DP_TRY(dpi_population_eval(pop, t, &value, gp, &ok));
    t[which[a]] = at - h;
    if (ok) DP_TRY(dpi_population_eval(pop, t, &value, gm, &ok));
    t[which[a]] = theta[which[a]];
    for (int b = 0; b < n; b++) hess[a * n + b] = (gp[which[b]] - gm[which[b]]) / (4 * h);
  }
  for (int a = 0; a < n; a++)
    for (int b = 0; b < a; b++)
      hess[a * n + b] = hess[b * n + a] = 0.5 * (hess[a * n + b] + hess[b * n + a]);
  double *test = opg + n * n;
  memcpy(test, hess, sizeof(double) * (size_t)n * (size_t)n);
  if (!ok || !dpi_chol(test, n)) memcpy(hess, opg, sizeof(double) * (size_t)n * (size_t)n);
  return DP_OK;
}

/* Variance of the weak law that each typical value carries beside the data, so that one which they leave open does not
 * make the prior of a new person infinitely wide: a factor e on log and logit scales, more where people differ more. */
static double weak_variance(const dpi_population *pop, int k) {
  const theta_def *t = &pop->theta[k];
  double v = t->scale == DPI_SCALE_LIN ? pop->typical[t->param] * pop->typical[t->param] : 1.0;
  for (int e = 0; e < pop->ne; e++)
    if (pop->kind->effect[e].typical == t->param) v = fmax(v, 4 * pop->omega[e * pop->ne + e]);
  return v > 0 ? v : 1.0;
}

/* inverse information -> covariance on the effects' scale */
static dp_status spread_covariance(const dpi_population *pop, const int *which, int n, double *info,
                                   double *inv, double *cov) {
  for (int a = 0; a < n; a++) info[a * n + a] += 1 / weak_variance(pop, which[a]);
  if (!dpi_chol(info, n))
    return dpi_fail(pop->ctx, DP_ERR_CONVERGE,
                    "uncertainty of the typical values: the data do not determine them all");
  dpi_chol_inverse(info, n, inv);
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++)
      for (int e = 0; e < pop->ne; e++)
        for (int f = 0; f < pop->ne; f++) {
          const dpi_kind_effect *ke = &pop->kind->effect[e], *kf = &pop->kind->effect[f];
          if (ke->occasion || kf->occasion) continue;
          if (ke->typical == pop->theta[which[a]].param &&
              kf->typical == pop->theta[which[b]].param)
            cov[e * pop->ne + f] = inv[a * n + b];
        }
  return DP_OK;
}

dp_status dpi_population_uncertainty(dpi_population *pop, const double *theta, double *cov) {
  size_t nt = (size_t)pop->ntheta;
  memset(cov, 0, sizeof(double) * (size_t)pop->ne * (size_t)pop->ne);
  int *which = DPI_NEW_ARRAY(pop->ctx, int, nt + 1);
  double *work = DPI_NEW_ARRAY(pop->ctx, double, 3 * nt + 4 * nt * nt + 1);
  dp_status st = which && work ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) {
    bool all_shift;
    int n = typical_thetas(pop, which, &all_shift);
    double *info = work + 3 * nt + 2 * nt * nt, *inv = info + nt * nt;
    pop->shift_only = all_shift;
    if (n > 0) st = typical_information(pop, theta, which, n, work, info);
    pop->shift_only = false;
    if (n > 0 && st == DP_OK) st = spread_covariance(pop, which, n, info, inv, cov);
  }
  dpi_free(pop->ctx, which);
  dpi_free(pop->ctx, work);
  return st;
}

#define NOTHING 1e-8 /* of -2 ln L over the width of a weak law */

dp_status dpi_population_undetermined(dpi_population *pop, const double *theta, uint8_t *undetermined) {
  memset(undetermined, 0, (size_t)pop->nparam);
  double *grad = DPI_NEW_ARRAY(pop->ctx, double, pop->ntheta + 1), value;
  if (!grad) return DP_ERR_MEMORY;
  bool ok = false;
  pop->method = DPI_FOCEI; /* where the data say nothing its scores are 0, not merely small */
  dp_status st = dpi_population_eval(pop, theta, &value, grad, &ok);
  for (int k = 0; k < pop->ntheta && ok && st == DP_OK; k++) {
    if (pop->theta[k].param < 0) continue;
    double most = 0;
    for (int i = 0; i < pop->npeople; i++) most = fmax(most, fabs(pop->score[(size_t)i * pop->ntheta + k]));
    undetermined[pop->theta[k].param] = most * sqrt(weak_variance(pop, k)) <= NOTHING;
  }
  dpi_free(pop->ctx, grad);
  return st;
}
