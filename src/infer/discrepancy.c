/* discrepancy.c - a model that is slightly wrong: a Gaussian process beside the measurement error.
 *
 * Within one observable and over its measured values, residuals r = y - f (ln y - ln f for log-normal noise)
 * have covariance
 *     K_ij = s_i^2 [i = j] + delta^2 u_i u_j exp(-|t_i - t_j| / tau),      u = f (u = 1 on the log scale)
 * (Kennedy & O'Hagan 2001, J R Stat Soc B 63:425, with an exponential kernel relative to the prediction).
 * l = r'K^-1 r + ln|K|.  With a = K^-1 r and M = K^-1 - a a':
 *     dl/dp = tr(M dK/dp) - 2 a' dr... here dr = -df:  -2 a' df + tr(M dK)
 *     Fisher of l/2: df' K^-1 df + 1/2 tr(K^-1 dK_p K^-1 dK_q)
 * A censored value enters by its marginal law: variance s^2 + delta^2 u^2, apart from the others.
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

size_t dpi_disc_work(int nobs, int neta) {
  size_t n = (size_t)nobs, q = (size_t)neta + 1;
  return 3 * n * n + 4 * n + q * n * n + q * n + 1;
}

typedef struct kernel {
  int n;           /* measured values of one group */
  const int *at;   /* their places */
  double *k, *inv; /* K's Cholesky factor, K^-1 */
  double *r, *a, *u;
} kernel;

static double corr(double t1, double t2, double tau) { return dpi_m_exp(-fabs(t1 - t2) / tau); }

/* Fill K and r of a group; false when K is not positive definite. */
static bool kernel_fill(kernel *k, const dpi_datum *d, const dpi_pred *p, double delta,
                        double tau) {
  int n = k->n;
  for (int i = 0; i < n; i++) {
    const dpi_datum *di = &d[k->at[i]];
    double f = p->f[k->at[i]];
    k->r[i] = di->y - (di->log ? dpi_m_log(f) : f);
    k->u[i] = di->log ? 1.0 : f;
  }
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++) {
      double v = delta * delta * k->u[i] * k->u[j] * corr(d[k->at[i]].time, d[k->at[j]].time, tau);
      if (i == j) v += p->s[k->at[i]] * p->s[k->at[i]];
      k->k[i * n + j] = k->k[j * n + i] = v;
    }
  return dpi_chol(k->k, n);
}

/* Indices of the measured values of a group. */
static int group_members(const dpi_datum *d, int nobs, int group, int *at) {
  int n = 0;
  for (int i = 0; i < nobs; i++)
    if (d[i].group == group && d[i].censored == 0) at[n++] = i;
  return n;
}

static int ngroup(const dpi_datum *d, int nobs) {
  int g = 0;
  for (int i = 0; i < nobs; i++)
    if (d[i].group >= g) g = d[i].group + 1;
  return g;
}

/* dK/dp for parameter p (an eta, or ln delta at the end) into dk [n x n]; du, ds by that parameter. */
static void kernel_slope(const kernel *k, const dpi_datum *d, const dpi_pred *p, int neta, int par,
                         double delta, double tau, double *dk) {
  int n = k->n;
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++) {
      int ii = k->at[i], jj = k->at[j];
      double c = delta * delta * corr(d[ii].time, d[jj].time, tau), v;
      if (par == neta) {
        v = 2 * c * k->u[i] * k->u[j];
      } else {
        double dui = d[ii].log ? 0 : p->df[ii * neta + par],
               duj = d[jj].log ? 0 : p->df[jj * neta + par];
        v = c * (dui * k->u[j] + k->u[i] * duj);
        if (i == j) v += 2 * p->s[ii] * p->ds[ii * neta + par];
      }
      dk[i * n + j] = dk[j * n + i] = v;
    }
}

/* Gradient and Fisher matrix of one group. w [q x n x n] keeps K^-1 dK_p, b [q x n] df. */
static void kernel_derive(const kernel *k, const dpi_datum *d, const dpi_pred *p, int neta,
                          double delta, double tau, double *dk, double *w, double *b,
                          dpi_disc_point *out) {
  int n = k->n, q = neta + 1;
  for (int par = 0; par < q; par++) {
    double g = 0, *wp = w + (size_t)par * n * n, *bp = b + (size_t)par * n;
    kernel_slope(k, d, p, neta, par, delta, tau, dk);
    for (int i = 0; i < n; i++) {
      int ii = k->at[i];
      bp[i] = par == neta ? 0 : p->df[ii * neta + par] * (d[ii].log ? 1 / p->f[ii] : 1.0);
      g -= 2 * k->a[i] * bp[i];
      for (int j = 0; j < n; j++) {
        g += (k->inv[i * n + j] - k->a[i] * k->a[j]) * dk[i * n + j];
        double s = 0;
        for (int m = 0; m < n; m++) s += k->inv[i * n + m] * dk[m * n + j];
        wp[i * n + j] = s;
      }
    }
    out->g[par] += g;
  }
  for (int x = 0; x < q; x++)
    for (int y = 0; y < q; y++) {
      double s = 0;
      const double *wx = w + (size_t)x * n * n, *wy = w + (size_t)y * n * n;
      for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
          s +=
              b[x * n + i] * k->inv[i * n + j] * b[y * n + j] + 0.5 * wx[i * n + j] * wy[j * n + i];
      out->fisher[x * q + y] += s;
    }
}

/* A censored value: u = +-(y - f)/sd, sd^2 = s^2 + delta^2 v^2. du [neta + 1]: room for its slopes. */
static void censored_part(const dpi_datum *d, int i, int neta, const dpi_pred *p, double delta,
                          double *du, dpi_disc_point *out) {
  double f = d[i].log ? dpi_m_log(p->f[i]) : p->f[i], v = d[i].log ? 1.0 : p->f[i];
  double sd = sqrt(p->s[i] * p->s[i] + delta * delta * v * v),
         sign = d[i].censored > 0 ? 1.0 : -1.0;
  double u = sign * (d[i].y - f) / sd, h = dpi_norm_hazard(u), w = h * (h + u);
  int q = neta + 1;
  out->l += -2 * dpi_norm_logcdf(u);
  for (int a = 0; out->g && a < q; a++) {
    double df = 0, dv2;
    if (a == neta) {
      dv2 = 2 * delta * delta * v * v;
    } else {
      df = p->df[i * neta + a] * (d[i].log ? 1 / p->f[i] : 1.0);
      dv2 = 2 * p->s[i] * p->ds[i * neta + a] + (d[i].log ? 0 : 2 * delta * delta * v * df);
    }
    du[a] = -sign * df / sd - u * 0.5 * dv2 / (sd * sd);
    out->g[a] += -2 * h * du[a];
  }
  for (int a = 0; out->g && a < q; a++)
    for (int b = 0; b < q; b++) out->fisher[a * q + b] += w * du[a] * du[b];
}

bool dpi_disc_eval(const dpi_datum *d, int nobs, int neta, const dpi_pred *p, double delta,
                   double tau, double *work, dpi_disc_point *out) {
  size_t n2 = (size_t)nobs * (size_t)nobs, q = (size_t)neta + 1;
  kernel k = {.k = work, .inv = work + n2, .r = work + 3 * n2};
  double *dk = work + 2 * n2;
  k.a = k.r + nobs;
  k.u = k.a + nobs;
  int *at = (int *)(void *)(k.u + nobs);
  double *w = k.u + 2 * nobs, *b = w + q * n2;
  k.at = at;
  out->l = 0;
  if (out->g) memset(out->g, 0, sizeof(double) * q);
  if (out->fisher) memset(out->fisher, 0, sizeof(double) * q * q);
  for (int i = 0; i < nobs; i++)
    if (d[i].censored) censored_part(d, i, neta, p, delta, b, out);
  for (int group = 0, ng = ngroup(d, nobs); group < ng; group++) {
    k.n = group_members(d, nobs, group, at);
    if (k.n == 0) continue;
    if (!kernel_fill(&k, d, p, delta, tau)) return false;
    memcpy(k.a, k.r, sizeof(double) * (size_t)k.n);
    dpi_chol_solve(k.k, k.n, k.a);
    out->l += dpi_chol_logdet(k.k, k.n);
    for (int i = 0; i < k.n; i++) out->l += k.r[i] * k.a[i];
    if (!out->g) continue;
    dpi_chol_inverse(k.k, k.n, k.inv);
    kernel_derive(&k, d, p, neta, delta, tau, dk, w, b, out);
  }
  return isfinite(out->l);
}

double dpi_disc_chi2(const dpi_datum *d, int nobs, const dpi_pred *p, double delta, double tau,
                     double *work) {
  size_t n2 = (size_t)nobs * (size_t)nobs;
  kernel k = {.k = work, .r = work + 3 * n2};
  k.u = k.r + 2 * nobs;
  int *at = (int *)(void *)(k.u + nobs);
  k.at = at;
  double c = 0;
  for (int group = 0, ng = ngroup(d, nobs); group < ng; group++) {
    k.n = group_members(d, nobs, group, at);
    if (k.n == 0 || !kernel_fill(&k, d, p, delta, tau)) continue;
    dpi_tri_solve_lower(k.k, k.n, k.r);
    for (int i = 0; i < k.n; i++) c += k.r[i] * k.r[i];
  }
  return c;
}

size_t dpi_disc_draw_work(int n, int m) {
  size_t a = (size_t)n, b = (size_t)m;
  return a * a + a * b + b * b + a + b + 1;
}

/* Gaussian conditioning: mean C'K^-1 r, covariance S - C'K^-1 C, with C between measured and asked, S
 * among the asked. */
bool dpi_disc_draw(const dpi_disc_draw_def *q, dpi_rng *rng, double *work, double *out) {
  int n = q->n, m = q->m;
  double *k = work, *c = k + (size_t)n * n, *s = c + (size_t)n * m, *r = s + (size_t)m * m,
         *z = r + n;
  double d2 = q->delta * q->delta;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++)
      k[i * n + j] = d2 * (q->log ? 1 : q->f[i] * q->f[j]) * corr(q->t[i], q->t[j], q->tau) +
                     (i == j ? q->s[i] * q->s[i] : 0);
    r[i] = q->resid[i];
  }
  if (!dpi_chol(k, n)) return false;
  dpi_tri_solve_lower(k, n, r);
  /* columns of c: L^-1 C */
  for (int b = 0; b < m; b++) {
    double *col = c + (size_t)b * n;
    for (int i = 0; i < n; i++)
      col[i] = d2 * (q->log ? 1 : q->f[i] * q->fstar[b]) * corr(q->t[i], q->tstar[b], q->tau);
    dpi_tri_solve_lower(k, n, col);
  }
  for (int a = 0; a < m; a++) {
    double scale = d2 * (q->log ? 1 : q->fstar[a] * q->fstar[a]);
    for (int b = 0; b <= a; b++) {
      double v =
          d2 * (q->log ? 1 : q->fstar[a] * q->fstar[b]) * corr(q->tstar[a], q->tstar[b], q->tau);
      for (int i = 0; i < n; i++) v -= c[(size_t)a * n + i] * c[(size_t)b * n + i];
      s[a * m + b] = s[b * m + a] = v + (a == b ? 1e-9 * scale + 1e-300 : 0);
    }
    z[a] = dpi_rng_normal(rng);
  }
  if (!dpi_chol(s, m)) return false;
  dpi_tri_mul_lower(s, m, z, out);
  for (int a = 0; a < m; a++)
    for (int i = 0; i < n; i++) out[a] += c[(size_t)a * n + i] * r[i];
  return true;
}
