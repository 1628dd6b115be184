/* surrogate_pce.c - floor 6, inside infer/surrogate: which terms a polynomial chaos has.
 *
 * Candidates are all products with (sum of power^q)^(1/q) <= degree, degree rising while it helps. From them terms
 * are taken one by one, each time the one that explains most of what is left (orthogonal matching pursuit), and the
 * count is kept at which leaving out one point at a time, made stricter for few points, errs least:
 *
 *     criterion = mean (e_i / (1 - h_i))^2  (n / (n - m)) (1 + m / n)
 *
 * That flatters, as terms were chosen on the rows left out: surrogate_cross.c puts it right.
 *
 * Sources: G. Blatman, B. Sudret, J. Comput. Phys. 230 (2011) 2345 (hyperbolic sets, stepwise choice, the
 * correction); indices from coefficients: B. Sudret, Reliab. Eng. Syst. Saf. 93 (2008) 964.
 */
#include <math.h>
#include <string.h>

#include "infer/surrogate/surrogate_train.h"

enum { MOST_CANDIDATES = 3000, PATIENCE = 10 };

typedef struct pursuit {
  dpi_surrogate *s;
  dpi_surrogate_part *part;
  int n, d, ncandidate, cap;
  uint8_t *power;   /* [ncandidate x d] */
  double *psi;      /* [ncandidate x n] columns, orthogonalised against those taken */
  double *size;     /* [ncandidate] square of a column as it was */
  double *left, *h; /* [n] residuals, leverages */
  int *taken;       /* in order */
  bool *used;
  double *table; /* [d x (most + 1)] of one row */
} pursuit;

/* ---- candidates ---- */

static double norm(const uint8_t *power, int d, double q) {
  double sum = 0;
  for (int k = 0; k < d; k++)
    if (power[k]) sum += dpi_m_pow(power[k], q);
  return sum > 0 ? dpi_m_pow(sum, 1 / q) : 0;
}

static bool next_power(uint8_t *power, int d, int degree, double q) {
  for (int k = 0; k < d; k++) { /* counting, digits limited by the norm */
    power[k]++;
    if (norm(power, d, q) <= degree + 1e-9) return true;
    power[k] = 0;
  }
  return false;
}

/* All of them, or -1: more than there may be. power NULL: count only. */
static int list_powers(int d, int degree, double q, uint8_t *power, uint8_t *work) {
  int n = 0;
  memset(work, 0, (size_t)d);
  do {
    if (n == MOST_CANDIDATES) return -1;
    if (power) memcpy(power + (size_t)n * (size_t)d, work, (size_t)d);
    n++;
  } while (next_power(work, d, degree, q));
  return n;
}

static void fill_columns(pursuit *p, int degree) {
  int stride = degree + 1;
  for (int i = 0; i < p->n; i++) {
    const double *x = p->s->x + (size_t)i * (size_t)p->d;
    for (int k = 0; k < p->d; k++)
      dpi_surrogate_polynomials(p->s, k, x[k], degree, p->table + (size_t)k * (size_t)stride);
    for (int c = 0; c < p->ncandidate; c++) {
      double value = 1;
      for (int k = 0; k < p->d; k++) value *= p->table[k * stride + p->power[(size_t)c * (size_t)p->d + (size_t)k]];
      p->psi[(size_t)c * (size_t)p->n + (size_t)i] = value;
    }
  }
}

/* ---- pursuit ---- */

static double product(const double *a, const double *b, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static double *column(const pursuit *p, int c) { return p->psi + (size_t)c * (size_t)p->n; }

/* The candidate that explains most of what is left, or -1. */
static int choose(const pursuit *p) {
  int best = -1;
  double most = 0;
  for (int c = 0; c < p->ncandidate; c++) {
    if (p->used[c]) continue;
    double square = product(column(p, c), column(p, c), p->n), with = product(column(p, c), p->left, p->n);
    if (square < 1e-10 * p->size[c]) continue; /* those taken say it already */
    double gain = with * with / square;
    if (gain > most) {
      most = gain;
      best = c;
    }
  }
  return best;
}

static void take(pursuit *p, int c, int m) {
  double *e = column(p, c), length = sqrt(product(e, e, p->n));
  for (int i = 0; i < p->n; i++) e[i] /= length;
  double share = product(e, p->left, p->n);
  for (int i = 0; i < p->n; i++) {
    p->left[i] -= share * e[i];
    p->h[i] += e[i] * e[i];
  }
  p->used[c] = true;
  p->taken[m] = c;
  for (int o = 0; o < p->ncandidate; o++) {
    if (p->used[o]) continue;
    double *other = column(p, o), with = product(e, other, p->n);
    for (int i = 0; i < p->n; i++) other[i] -= with * e[i];
  }
}

static double criterion(const pursuit *p, int m) {
  double sum = 0;
  for (int i = 0; i < p->n; i++) {
    double e = p->left[i] / fmax(1 - p->h[i], 1e-10);
    sum += e * e / p->n;
  }
  return sum * p->n / (p->n - m) * (1 + (double)m / p->n);
}

/* Gives the criterion; *nterm terms of taken make it. */
static double pursue(pursuit *p, int *nterm) {
  double best = INFINITY, y2 = 0;
  int most = p->cap < p->ncandidate ? p->cap : p->ncandidate;
  memcpy(p->left, p->part->y, sizeof *p->left * (size_t)p->n);
  memset(p->h, 0, sizeof *p->h * (size_t)p->n);
  y2 = product(p->left, p->left, p->n);
  *nterm = 0;
  for (int c = 0; c < p->ncandidate; c++) p->size[c] = product(column(p, c), column(p, c), p->n);
  for (int m = 0; m < most; m++) {
    int c = m == 0 ? 0 : choose(p); /* the constant first */
    if (c < 0) break;
    take(p, c, m);
    double now = criterion(p, m + 1);
    if (now < best) {
      best = now;
      *nterm = m + 1;
    }
    if (product(p->left, p->left, p->n) < 1e-26 * y2 || m + 1 - *nterm >= PATIENCE) break;
  }
  return best;
}

/* ---- degrees ---- */

static void release(pursuit *p) {
  dp_ctx *ctx = p->s->ctx;
  dpi_free(ctx, p->power);
  dpi_free(ctx, p->psi);
  dpi_free(ctx, p->size);
  dpi_free(ctx, p->taken);
  dpi_free(ctx, p->used);
}

static dp_status room(pursuit *p, int degree) {
  dp_ctx *ctx = p->s->ctx;
  size_t c = (size_t)p->ncandidate, n = (size_t)p->n;
  p->power = DPI_NEW_ARRAY(ctx, uint8_t, c * (size_t)p->d);
  p->psi = DPI_NEW_ARRAY(ctx, double, c *n);
  p->size = DPI_NEW_ARRAY(ctx, double, c + 2 * n + (size_t)p->d * ((size_t)degree + 1));
  p->taken = DPI_NEW_ARRAY(ctx, int, c);
  p->used = DPI_NEW_ARRAY(ctx, bool, c);
  if (!p->power || !p->psi || !p->size || !p->taken || !p->used) return DP_ERR_MEMORY;
  p->left = p->size + c;
  p->h = p->left + n;
  p->table = p->h + n;
  return DP_OK;
}

/* Terms in the order of their number, so that the file says the same whatever was taken first. */
static dp_status keep(pursuit *p, int part, int nterm) {
  DP_TRY(dpi_surrogate_terms(p->s, part, nterm));
  int m = 0;
  for (int c = 0; c < p->ncandidate; c++)
    for (int t = 0; t < nterm; t++)
      if (p->taken[t] == c)
        memcpy(p->part->power + (size_t)m++ * (size_t)p->d, p->power + (size_t)c * (size_t)p->d, (size_t)p->d);
  return DP_OK;
}

static dp_status try_degree(dpi_surrogate *s, int part, int ncandidate, int degree, double q, uint8_t *work,
                            double *best, bool *better) {
  pursuit p = {
      .s = s, .part = &s->part[part], .n = s->nrow, .d = s->ninput, .ncandidate = ncandidate, .cap = s->nrow / 2};
  int nterm = 0;
  dp_status status = room(&p, degree);
  if (status == DP_OK) {
    list_powers(p.d, degree, q, p.power, work);
    fill_columns(&p, degree);
    double now = pursue(&p, &nterm);
    *better = nterm > 0 && now < *best;
    if (*better) {
      *best = now;
      status = keep(&p, part, nterm);
    }
  }
  release(&p);
  return status;
}

/* Terms of a part, without assembling it. */
static dp_status choose_terms(dpi_surrogate *s, int part, const dpi_training_def *def) {
  double best = INFINITY;
  int worse = 0;
  uint8_t *work = DPI_NEW_ARRAY(s->ctx, uint8_t, s->ninput);
  dp_status status = work ? DP_OK : DP_ERR_MEMORY;
  s->part[part].kind = DPI_SURROGATE_PCE;
  for (int degree = 1; degree <= def->degree && worse < 3 && status == DP_OK; degree++) {
    bool better = false;
    int ncandidate = list_powers(s->ninput, degree, def->q, NULL, work);
    if (ncandidate < 0) break;
    status = try_degree(s, part, ncandidate, degree, def->q, work, &best, &better);
    worse = better ? 0 : worse + 1;
  }
  dpi_free(s->ctx, work);
  if (status == DP_OK && !isfinite(best))
    return dpi_fail(s->ctx, DP_ERR_CONVERGE, "surrogate, output %s: no polynomial can be fitted to %d rows",
                    s->part[part].id, s->nrow);
  return status;
}

/* dpi_cross_fn */
static dp_status fit_plain(dpi_surrogate *s, int part, const dpi_training_def *def, const dpi_surrogate_part *whole) {
  (void)whole;
  s->part[part].inflate = 1;
  DP_TRY(choose_terms(s, part, def));
  return dpi_surrogate_assemble(s, part);
}

dp_status dpi_surrogate_fit_pce(dpi_surrogate *s, int part, const dpi_training_def *def) {
  DP_TRY(fit_plain(s, part, def, NULL));
  return dpi_surrogate_cross(s, part, def, fit_plain);
}

void dpi_surrogate_sobol(const dpi_surrogate *s, int part, double *first, double *total) {
  const dpi_surrogate_part *p = &s->part[part];
  double all = 0;
  for (int k = 0; k < s->ninput; k++) first[k] = total[k] = 0;
  for (int t = 0; t < p->nterm; t++) {
    const uint8_t *power = p->power + (size_t)t * (size_t)s->ninput;
    double square = p->weight[t] * p->weight[t];
    int count = 0;
    for (int k = 0; k < s->ninput; k++) count += power[k] > 0;
    if (count) all += square;
    for (int k = 0; k < s->ninput; k++) {
      if (power[k]) total[k] += square;
      if (power[k] && count == 1) first[k] += square;
    }
  }
  for (int k = 0; k < s->ninput; k++) {
    first[k] = all > 0 ? first[k] / all : NAN;
    total[k] = all > 0 ? total[k] / all : NAN;
  }
}
