/* surrogate.c - floor 1: what follows from a surrogate's settings and rows, and its answers. */
#include "num/surrogate.h"

#include <math.h>
#include <string.h>

#define SQRT5 2.23606797749978969641
#define JITTER 1e-12 /* of the signal's variance, beside the noise: rounding */

/* ---- life ---- */

static dp_status rooms(dpi_surrogate *s) {
  size_t n = (size_t)s->ninput, m = (size_t)s->nrow;
  s->input = DPI_ARENA_ARRAY(&s->arena, dpi_surrogate_input, n);
  s->x = DPI_ARENA_ARRAY(&s->arena, double, n *m);
  s->place = DPI_ARENA_ARRAY(&s->arena, double, n *m);
  s->part = DPI_ARENA_ARRAY(&s->arena, dpi_surrogate_part, s->noutput);
  if (!s->input || !s->x || !s->place || !s->part) return DP_ERR_MEMORY;
  for (int o = 0; o < s->noutput; o++) {
    s->part[o].y = DPI_ARENA_ARRAY(&s->arena, double, m);
    s->part[o].length = DPI_ARENA_ARRAY(&s->arena, double, n);
    if (!s->part[o].y || !s->part[o].length) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

dp_status dpi_surrogate_create(dp_ctx *ctx, int ninput, int nrow, int noutput, dpi_surrogate **out) {
  *out = NULL;
  if (ninput < 1 || ninput > 1000 || nrow < 2 || nrow > DPI_SURROGATE_MOST_ROWS || noutput < 1 || noutput > 10000)
    return dpi_fail(ctx, DP_ERR_INPUT,
                    "surrogate: %d inputs, %d rows, %d outputs; expected 1 to 1000, 2 to %d, 1 to 10000", ninput, nrow,
                    noutput, DPI_SURROGATE_MOST_ROWS);
  dpi_surrogate *s = DPI_NEW(ctx, dpi_surrogate);
  if (!s) return DP_ERR_MEMORY;
  s->ctx = ctx;
  s->ninput = ninput;
  s->nrow = nrow;
  s->noutput = noutput;
  dpi_arena_init(&s->arena, ctx);
  dp_status status = rooms(s);
  if (status == DP_OK)
    *out = s;
  else
    dpi_surrogate_destroy(s);
  return status;
}

void dpi_surrogate_destroy(dpi_surrogate *s) {
  if (!s) return;
  dp_ctx *ctx = s->ctx;
  for (int o = 0; s->part && o < s->noutput; o++) {
    dpi_free(ctx, s->part[o].factor);
    dpi_free(ctx, s->part[o].weight);
  }
  dpi_arena_release(&s->arena);
  dpi_free(ctx, s);
}

dp_status dpi_surrogate_terms(dpi_surrogate *s, int part, int nterm) {
  dpi_surrogate_part *p = &s->part[part];
  p->power = DPI_ARENA_ARRAY(&s->arena, uint8_t, (size_t)nterm * (size_t)s->ninput + 1);
  p->nterm = nterm;
  return p->power ? DP_OK : DP_ERR_MEMORY;
}

/* ---- places ---- */

static double scaled(const dpi_surrogate_input *in, double x) { return in->log ? dpi_m_log(x) : x; }

int dpi_surrogate_outside(const dpi_surrogate *s, const double *x) {
  for (int k = 0; k < s->ninput; k++)
    if (!(x[k] >= s->input[k].low && x[k] <= s->input[k].high)) return k;
  return -1;
}

void dpi_surrogate_place(const dpi_surrogate *s, const double *x, double *u) {
  for (int k = 0; k < s->ninput; k++) {
    const dpi_surrogate_input *in = &s->input[k];
    double low = scaled(in, in->low), high = scaled(in, in->high);
    u[k] = (scaled(in, x[k]) - low) / (high - low);
  }
}

double dpi_surrogate_kernel_at(dpi_surrogate_kernel k, double r2) {
  if (k == DPI_KERNEL_SQEXP) return dpi_m_exp(-0.5 * r2);
  double a = SQRT5 * sqrt(r2);
  return (1 + a + 5.0 / 3 * r2) * dpi_m_exp(-a);
}

void dpi_surrogate_polynomials(const dpi_surrogate *s, int k, double x, int degree, double *p) {
  const dpi_surrogate_input *in = &s->input[k];
  double low = scaled(in, in->low), high = scaled(in, in->high), z = scaled(in, x);
  z = in->hermite ? (z - in->a) / in->b : 2 * (z - low) / (high - low) - 1;
  double before = 0, now = 1; /* without their norm */
  double factorial = 1;
  for (int d = 0; d <= degree; d++) {
    p[d] = in->hermite ? now / sqrt(factorial) : now * sqrt(2.0 * d + 1);
    double next = in->hermite ? z * now - d * before : ((2 * d + 1) * z * now - d * before) / (d + 1);
    before = now;
    now = next;
    factorial *= d + 1;
  }
}

/* ---- Gaussian process ---- */

static double covariance(const dpi_surrogate *s, const dpi_surrogate_part *p, const double *u, const double *v) {
  double r2 = 0;
  for (int k = 0; k < s->ninput; k++) {
    double d = (u[k] - v[k]) / p->length[k];
    r2 += d * d;
  }
  return p->signal * p->signal * dpi_surrogate_kernel_at(p->kernel, r2);
}

static double variance_of(const double *y, int n) {
  double mean = 0, square = 0;
  for (int i = 0; i < n; i++) mean += y[i] / n;
  for (int i = 0; i < n; i++) square += (y[i] - mean) * (y[i] - mean);
  return square / (n - 1);
}

static void judge(dpi_surrogate_part *p, int n, double square) {
  double v = variance_of(p->y, n);
  p->loo = sqrt(square / n);
  p->q2 = v > 0 ? 1 - p->loo * p->loo / v : 1;
}

/* Constant, weights, likelihood and leaving one out from the factor; inverse [n x n], one [n]. */
static void finish_process(const dpi_surrogate *s, dpi_surrogate_part *p, double *inverse, double *one) {
  int n = s->nrow;
  double top = 0, bottom = 0, square = 0, fit = 0;
  for (int i = 0; i < n; i++) one[i] = 1;
  dpi_chol_solve(p->factor, n, one);
  for (int i = 0; i < n; i++) {
    top += one[i] * p->y[i];
    bottom += one[i];
  }
  p->mean = top / bottom;
  for (int i = 0; i < n; i++) p->weight[i] = p->y[i] - p->mean;
  dpi_chol_solve(p->factor, n, p->weight);
  dpi_chol_inverse(p->factor, n, inverse);
  for (int i = 0; i < n; i++) {
    double precision = inverse[(size_t)i * (size_t)n + (size_t)i], error = p->weight[i] / precision;
    square += error * error;
    fit += p->weight[i] * (p->y[i] - p->mean);
  }
  judge(p, n, square);
  p->spread = p->inflate > 0 ? p->inflate : 1;
  p->loglik = -0.5 * fit - 0.5 * dpi_chol_logdet(p->factor, n) - 0.91893853320467274178 * n;
}

static dp_status assemble_process(dpi_surrogate *s, dpi_surrogate_part *p) {
  size_t n = (size_t)s->nrow, d = (size_t)s->ninput;
  double *work = DPI_NEW_ARRAY(s->ctx, double, n *n + n), *u = s->place;
  if (!p->factor) p->factor = DPI_NEW_ARRAY(s->ctx, double, n *n);
  if (!p->weight) p->weight = DPI_NEW_ARRAY(s->ctx, double, n);
  if (!work || !p->factor || !p->weight) {
    dpi_free(s->ctx, work);
    return DP_ERR_MEMORY;
  }
  for (size_t i = 0; i < n; i++) dpi_surrogate_place(s, s->x + i * d, u + i * d);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++) p->factor[i * n + j] = covariance(s, p, u + i * d, u + j * d);
  for (size_t i = 0; i < n; i++) p->factor[i * n + i] += p->noise * p->noise + JITTER * p->signal * p->signal;
  bool good = dpi_chol(p->factor, (int)n);
  if (good) finish_process(s, p, work, work + n * n);
  dpi_free(s->ctx, work);
  return good
             ? DP_OK
             : dpi_fail(s->ctx, DP_ERR_NUMERIC, "surrogate, output %s: the covariance is not positive definite", p->id);
}

static void ask_process(const dpi_surrogate *s, const dpi_surrogate_part *p, const double *x, double *mean, double *sd,
                        double *work) {
  size_t n = (size_t)s->nrow, d = (size_t)s->ninput;
  double *u = work, *k = work + d, left = p->signal * p->signal;
  dpi_surrogate_place(s, x, u);
  *mean = p->mean;
  for (size_t i = 0; i < n; i++) {
    k[i] = covariance(s, p, u, s->place + i * d);
    *mean += k[i] * p->weight[i];
  }
  if (!sd) return;
  dpi_tri_solve_lower(p->factor, (int)n, k);
  for (size_t i = 0; i < n; i++) left -= k[i] * k[i];
  *sd = p->spread * sqrt(fmax(left, 0));
}

/* ---- polynomial chaos ---- */

/* All terms at x into psi [nterm]; one: [DPI_SURROGATE_MOST_DEGREE + 1]. */
static void terms(const dpi_surrogate *s, const dpi_surrogate_part *p, const double *x, double *psi, double *one) {
  for (int t = 0; t < p->nterm; t++) psi[t] = 1;
  for (int k = 0; k < s->ninput; k++) {
    int most = 0;
    for (int t = 0; t < p->nterm; t++) {
      int d = p->power[(size_t)t * (size_t)s->ninput + (size_t)k];
      if (d > most) most = d;
    }
    if (!most) continue;
    dpi_surrogate_polynomials(s, k, x[k], most, one);
    for (int t = 0; t < p->nterm; t++) psi[t] *= one[p->power[(size_t)t * (size_t)s->ninput + (size_t)k]];
  }
}

/* psi [nrow x nterm]; one [nterm] */
static void residuals(const dpi_surrogate *s, dpi_surrogate_part *p, const double *psi, double *one) {
  int n = s->nrow, m = p->nterm;
  double square = 0;
  for (int i = 0; i < n; i++) {
    double error = p->y[i], leverage = 0;
    for (int t = 0; t < m; t++) {
      one[t] = psi[(size_t)i * (size_t)m + (size_t)t];
      error -= one[t] * p->weight[t];
    }
    dpi_tri_solve_lower(p->factor, m, one);
    for (int t = 0; t < m; t++) leverage += one[t] * one[t];
    error /= fmax(1 - leverage, 1e-10);
    square += error * error;
  }
  judge(p, n, square);
  p->spread = p->loo * (p->inflate > 0 ? p->inflate : 1);
}

static dp_status assemble_chaos(dpi_surrogate *s, dpi_surrogate_part *p) {
  size_t n = (size_t)s->nrow, m = (size_t)p->nterm;
  if (m < 1 || m >= n)
    return dpi_fail(s->ctx, DP_ERR_INPUT,
                    "surrogate, output %s: %zu terms from %zu rows, expected fewer terms than rows", p->id, m, n);
  double *psi = DPI_NEW_ARRAY(s->ctx, double, n *m + m + DPI_SURROGATE_MOST_DEGREE + 1);
  dpi_free(s->ctx, p->factor);
  dpi_free(s->ctx, p->weight);
  p->factor = DPI_NEW_ARRAY(s->ctx, double, m *m);
  p->weight = DPI_NEW_ARRAY(s->ctx, double, m);
  if (!psi || !p->factor || !p->weight) {
    dpi_free(s->ctx, psi);
    return DP_ERR_MEMORY;
  }
  double *one = psi + n * m;
  for (size_t i = 0; i < n; i++) {
    double *row = psi + i * m;
    terms(s, p, s->x + i * (size_t)s->ninput, row, one);
    for (size_t t = 0; t < m; t++) {
      p->weight[t] += row[t] * p->y[i];
      for (size_t q = 0; q <= t; q++) p->factor[t * m + q] += row[t] * row[q];
    }
  }
  bool good = dpi_chol(p->factor, (int)m);
  if (good) {
    dpi_chol_solve(p->factor, (int)m, p->weight);
    residuals(s, p, psi, one);
  }
  dpi_free(s->ctx, psi);
  return good ? DP_OK
              : dpi_fail(s->ctx, DP_ERR_NUMERIC, "surrogate, output %s: terms can't be told apart on the rows", p->id);
}

static void ask_chaos(const dpi_surrogate *s, const dpi_surrogate_part *p, const double *x, double *mean, double *sd,
                      double *work) {
  double *psi = work, leverage = 0;
  terms(s, p, x, psi, work + p->nterm);
  *mean = 0;
  for (int t = 0; t < p->nterm; t++) *mean += psi[t] * p->weight[t];
  if (!sd) return;
  dpi_tri_solve_lower(p->factor, p->nterm, psi);
  for (int t = 0; t < p->nterm; t++) leverage += psi[t] * psi[t];
  *sd = p->spread * sqrt(1 + leverage);
}

/* ---- either ---- */

dp_status dpi_surrogate_assemble(dpi_surrogate *s, int part) {
  dpi_surrogate_part *p = &s->part[part];
  return p->kind == DPI_SURROGATE_GP ? assemble_process(s, p) : assemble_chaos(s, p);
}

size_t dpi_surrogate_work(const dpi_surrogate *s) {
  return (size_t)s->nrow + 2 * (size_t)s->ninput + DPI_SURROGATE_MOST_DEGREE + 2;
}

void dpi_surrogate_ask(const dpi_surrogate *s, int part, const double *x, double *mean, double *sd, double *work) {
  const dpi_surrogate_part *p = &s->part[part];
  (p->kind == DPI_SURROGATE_GP ? ask_process : ask_chaos)(s, p, x, mean, sd, work);
}

dp_status dpi_surrogate_ask_all(const dpi_surrogate *s, int part, int npoint, const double *x, double *mean,
                                double *sd) {
  double *work = DPI_NEW_ARRAY(s->ctx, double, dpi_surrogate_work(s));
  dp_status status = work ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < npoint && status == DP_OK; i++) {
    const double *at = x + (size_t)i * (size_t)s->ninput;
    int k = dpi_surrogate_outside(s, at);
    if (k >= 0)
      status = dpi_fail(s->ctx, DP_ERR_INPUT, "surrogate: %s = %g is outside its domain, %g to %g", s->input[k].id,
                        at[k], s->input[k].low, s->input[k].high);
    else
      dpi_surrogate_ask(s, part, at, &mean[i], sd ? &sd[i] : NULL, work);
  }
  dpi_free(s->ctx, work);
  return status;
}
