/* individual.c - one person: l(x) = -2 ln p(y | x) - 2 ln p(x) with its exact gradient and Fisher matrix.
 *
 * Data terms without constants, z = (y - f)/s:
 *   measured     z^2 + 2 ln s             gradient  -2 z df/s + 2 (1 - z^2) ds/s
 *                                         Fisher    df df'/s^2 + 2 ds ds'/s^2  (= JJ'/v + 1/2 dv dv'/v^2, v = s^2)
 *   censored     -2 ln Phi(u), u = +-(limit - f)/s (M3; Beal 2001, J Pharmacokinet Pharmacodyn 28:481)
 *                                         gradient  -2 h(u) du, h = phi/Phi; curvature h (h + u) du du'
 *   lognormal    f, df replaced by ln f, df/f; y is a logarithm already
 *   correlated   standardised errors of an observable are an Ornstein-Uhlenbeck process, Markov: with b the datum
 *                before, v = (z - r z_b)/q, q^2 = 1 - r^2:   v^2 + 2 ln s + 2 ln q
 *                                         Fisher    w w' + a a' + (a a' + r^2 (a_b a_b' - a a_b' - a_b a'))/q^2,
 *                                         w = (df/s - r df_b/s_b)/q, a = ds/s, a_b = ds_b/s_b
 *   both         values beyond a limit whose errors go with those of their neighbours: a run of them, with the datum
 *                after, counts -2 ln of its density given the datum before (censored_run.c); gradient exact;
 *                Fisher    of normal laws N(m, v) of each z given what was before, of which a limit takes the share w:
 *                          w/v e e', e = du - dm, dm then moved by w e; for the datum after k k'/v + 2 a a',
 *                          k = df/s + m a + dm
 *   shaped       errors that are not normal: z is what makes them so (shaped_error.c); beyond a limit z of the limit
 * Prior: eta' Omega^-1 eta. With the discrepancy term x ends with lambda = ln delta, delta half-normal of scale d:
 *   -2 ln p(lambda) = delta^2/d^2 - 2 lambda + constant.
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

static const double LN_2PI = 1.8378770664093454836;

#define ROUGH_STEP 3e-4 /* of differences of cheap values, prior standard deviations: l's gradient within 1e-3 */

dp_status dpi_indiv_create(dp_ctx *ctx, const dpi_indiv_def *def, dpi_indiv **out) {
  *out = NULL;
  dpi_indiv *iv = DPI_NEW(ctx, dpi_indiv);
  if (!iv) return DP_ERR_MEMORY;
  iv->ctx = ctx;
  iv->def = *def;
  dpi_arena_init(&iv->arena, ctx);
  size_t p = (size_t)def->neta, n = (size_t)def->nobs;
  iv->free = DPI_ARENA_ARRAY(&iv->arena, int, p + 1);
  iv->chol = DPI_ARENA_ARRAY(&iv->arena, double, p *p + 1);
  iv->prec = DPI_ARENA_ARRAY(&iv->arena, double, p *p + 1);
  iv->eta = DPI_ARENA_ARRAY(&iv->arena, double, p + 1);
  iv->pred.f = DPI_ARENA_ARRAY(&iv->arena, double, n + 1);
  iv->pred.s = DPI_ARENA_ARRAY(&iv->arena, double, n + 1);
  iv->pred.df = DPI_ARENA_ARRAY(&iv->arena, double, n *p + 1);
  iv->pred.ds = DPI_ARENA_ARRAY(&iv->arena, double, n *p + 1);
  size_t work = (p + 1) * (p + 2) + (def->discrepancy ? dpi_disc_work(def->nobs, def->neta) : 0);
  iv->work = DPI_ARENA_ARRAY(&iv->arena, double, work);
  dp_status st = dpi_runs_create(&iv->arena, def, &iv->run, &iv->nrun, &iv->run_rules);
  iv->in_run = DPI_ARENA_ARRAY(&iv->arena, uint8_t, n + 1);
  if (st == DP_OK) st = dpi_shaped_create(&iv->arena, def, &iv->shape_info);
  if (st != DP_OK || !iv->in_run || !iv->free || !iv->chol || !iv->prec || !iv->eta || !iv->pred.f || !iv->pred.s ||
      !iv->pred.df || !iv->pred.ds || !iv->work) {
    dpi_indiv_destroy(iv);
    return DP_ERR_MEMORY;
  }
  memset(iv->in_run, 0, n + 1);
  for (int k = 0; k < iv->nrun; k++) {
    for (int j = 0; j < iv->run[k].n; j++) iv->in_run[iv->run[k].at[j]] = 1;
    if (iv->run[k].after >= 0) iv->in_run[iv->run[k].after] = 1;
  }
  *out = iv;
  return DP_OK;
}

void dpi_indiv_destroy(dpi_indiv *iv) {
  if (!iv) return;
  dp_ctx *ctx = iv->ctx;
  dpi_arena_release(&iv->arena);
  dpi_free(ctx, iv);
}

dp_status dpi_indiv_prior(dpi_indiv *iv, const double *omega) {
  int p = iv->def.neta, n = 0;
  for (int j = 0; j < p; j++) {
    double v = omega[j * p + j];
    if (!(v >= 0) || isinf(v))
      return dpi_fail(iv->ctx, DP_ERR_INPUT,
                      "prior: variance of random effect %d: found %g, expected 0 or more", j + 1,
                      v);
    if (v > 0) iv->free[n++] = j;
  }
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) iv->chol[a * n + b] = omega[iv->free[a] * p + iv->free[b]];
  if (!dpi_chol(iv->chol, n))
    return dpi_fail(iv->ctx, DP_ERR_INPUT,
                    "prior: the covariance of the random effects is not positive definite");
  for (int a = 0; a < n; a++)
    for (int b = a + 1; b < n; b++) iv->chol[a * n + b] = 0;
  dpi_chol_inverse(iv->chol, n, iv->prec);
  iv->logdet = dpi_chol_logdet(iv->chol, n);
  iv->nfree = n;
  iv->dim = n + (iv->def.discrepancy ? 1 : 0);
  return DP_OK;
}

void dpi_indiv_eta(const dpi_indiv *iv, const double *x, double *eta) {
  memset(eta, 0, sizeof(double) * (size_t)iv->def.neta);
  for (int a = 0; a < iv->nfree; a++) eta[iv->free[a]] = x[a];
}

void dpi_indiv_x(const dpi_indiv *iv, const double *eta, double *x) {
  for (int a = 0; a < iv->nfree; a++) x[a] = eta[iv->free[a]];
}

int dpi_indiv_nmeasured(const dpi_indiv *iv) {
  int n = 0;
  for (int i = 0; i < iv->def.nobs; i++) n += iv->def.datum[i].censored == 0;
  return n;
}

double dpi_indiv_constant(const dpi_indiv *iv, bool data_only) {
  double c = dpi_indiv_nmeasured(iv) * LN_2PI;
  if (data_only) return c;
  c += iv->logdet + iv->nfree * LN_2PI;
  /* half-normal: p(delta) = sqrt(2/pi)/d exp(-delta^2/(2 d^2)) */
  if (iv->def.discrepancy) c += LN_2PI - 2 * dpi_m_log(2.0) + 2 * dpi_m_log(iv->def.discrepancy_sd);
  return c;
}

/* Are predictions usable: finite, s > 0, and f > 0 where its logarithm is compared? */
static bool pred_valid(const dpi_indiv *iv, const dpi_pred *p) {
  for (int i = 0; i < iv->def.nobs; i++) {
    if (!isfinite(p->f[i]) || !isfinite(p->s[i]) || !(p->s[i] > 0)) return false;
    if (iv->def.datum[i].log && !(p->f[i] > 0)) return false;
  }
  return true;
}

static double datum_value(const dpi_datum *d, double f, double s) {
  if (d->log) f = dpi_m_log(f);
  const dpi_shaped e = dpi_shaped_at(d->shape, (d->y - f) / s);
  if (d->censored == 0) return e.z * e.z + 2 * dpi_m_log(s / e.slope);
  return -2 * dpi_norm_logcdf(d->censored > 0 ? e.z : -e.z);
}

/* Error of a measured datum in standard deviations, or limit of a censored one; and that as a normal law has it. */
static double in_sd(const dpi_datum *d, const dpi_pred *p, int i) {
  return (d[i].y - (d[i].log ? dpi_m_log(p->f[i]) : p->f[i])) / p->s[i];
}
static double standardised(const dpi_datum *d, const dpi_pred *p, int i) {
  return dpi_shaped_at(d[i].shape, in_sd(d, p, i)).z;
}

/* What the shape of a measured datum's error adds to l, beside its z. */
static double shape_value(const dpi_datum *d, const dpi_pred *p, int i) {
  return d[i].shape ? -2 * dpi_m_log(dpi_shaped_at(d[i].shape, in_sd(d, p, i)).slope) : 0;
}

/* A run's limits c [n], as below ones, and what is measured around it. */
static void run_limits(const dpi_indiv *iv, const dpi_run *run, const dpi_pred *p, double *c, double *zb, double *za) {
  const dpi_datum *d = iv->def.datum;
  for (int k = 0; k < run->n; k++) c[k] = run->sign[k] * standardised(d, p, run->at[k]);
  *zb = run->before >= 0 ? standardised(d, p, run->before) : 0;
  *za = run->after >= 0 ? standardised(d, p, run->after) : 0;
}

/* Draws are evaluated on several threads at once, so a run's room is its own; NULL: no memory. */
static double *run_room(const dpi_indiv *iv, const dpi_run *run, bool slopes) {
  return DPI_NEW_ARRAY(iv->ctx, double, dpi_run_work(run, slopes) + 5 * ((size_t)run->n + 2));
}

/* A run's part of l: NaN where it has none. */
static double run_value(const dpi_indiv *iv, const dpi_run *run, const dpi_pred *p) {
  double *c = run_room(iv, run, false), zb, za, lnl = NAN;
  if (!c) return NAN;
  run_limits(iv, run, p, c, &zb, &za);
  if (!dpi_run_lnl(iv->run_rules, run, c, zb, za, c + run->n, &lnl, NULL)) lnl = NAN;
  dpi_free(iv->ctx, c);
  if (run->after >= 0) lnl -= dpi_m_log(p->s[run->after]) + 0.5 * shape_value(iv->def.datum, p, run->after);
  return -2 * lnl;
}

/* Data with shaped errors, one after the other: what is known from the one before, and what is not yet in l, as one
 * logarithm serves many data. */
typedef struct chain {
  int last;         /* datum whose z is known */
  double z;
  double rho, log_q2;
  double product;   /* of s dz/de^-1 */
} chain;

static double chain_end(chain *c) {
  const double l = 2 * dpi_m_log(c->product);
  c->product = 1;
  return l;
}

static double shaped_pair(const dpi_indiv *iv, const dpi_pred *p, int i, chain *c) {
  const dpi_datum *d = iv->def.datum;
  const dpi_link *link = &iv->def.link[i];
  const dpi_shaped e = dpi_shaped_at(d[i].shape, in_sd(d, p, i));
  const double zb = c->last == link->before ? c->z : standardised(d, p, link->before);
  const double v = e.z - link->rho * zb, q2 = 1 - link->rho * link->rho, width = p->s[i] / e.slope;
  double l = v * v / q2;
  if (link->rho != c->rho) c->rho = link->rho, c->log_q2 = dpi_m_log(q2);
  if (!(width > 1e-30 && width < 1e30)) return l + c->log_q2 + 2 * dpi_m_log(width); /* nothing like a reading */
  c->last = i;
  c->z = e.z;
  c->product *= width;
  if (!(c->product > 1e-250 && c->product < 1e250)) l += chain_end(c);
  return l + c->log_q2;
}

static double data_value(const dpi_indiv *iv, const dpi_pred *p) {
  const dpi_datum *d = iv->def.datum;
  chain c = {-1, 0, 0, 0, 1};
  double l = 0;
  for (int k = 0; k < iv->nrun; k++) l += run_value(iv, &iv->run[k], p);
  for (int i = 0; i < iv->def.nobs; i++) {
    if (iv->in_run[i]) continue;
    const dpi_link *link = iv->def.link && iv->def.link[i].before >= 0 ? &iv->def.link[i] : NULL;
    if (!link) {
      l += datum_value(&d[i], p->f[i], p->s[i]);
      continue;
    }
    if (d[i].shape) {
      l += shaped_pair(iv, p, i, &c);
      continue;
    }
    double v = standardised(d, p, i) - link->rho * standardised(d, p, link->before), q2 = 1 - link->rho * link->rho;
    l += v * v / q2 + 2 * dpi_m_log(p->s[i]) + dpi_m_log(q2);
  }
  return l + (c.product == 1 ? 0 : chain_end(&c));
}

/* gradient by f and s of one datum, and the three entries of its Fisher matrix in (f, s) */
typedef struct datum_slope {
  double f, s, ff, fs, ss;
} datum_slope;

static datum_slope datum_derive(const dpi_datum *d, double f, double s) {
  double scale = d->log ? 1 / f : 1.0; /* d ln f / d f */
  if (d->log) f = dpi_m_log(f);
  double z = (d->y - f) / s;
  datum_slope r;
  if (d->censored == 0) {
    r = (datum_slope){-2 * z / s * scale, 2 * (1 - z * z) / s, scale * scale / (s * s), 0,
                      2 / (s * s)};
    return r;
  }
  const dpi_shaped e = dpi_shaped_at(d->shape, z);
  double sign = d->censored > 0 ? 1.0 : -1.0, u = sign * e.z, h = dpi_norm_hazard(u), w = h * (h + u);
  double uf = -sign * e.slope * scale / s, us = -sign * e.slope * z / s;
  r = (datum_slope){-2 * h * uf, -2 * h * us, w * uf * uf, w * uf * us, w * us * us};
  return r;
}

/* A measured datum whose error is shaped, with the one before, if any: its part of gradient and Fisher matrix. */
static void shaped_derive(const dpi_indiv *iv, const dpi_pred *p, int i, dpi_point *out) {
  const dpi_datum *d = iv->def.datum;
  const int n = iv->dim, m = iv->nfree, neta = iv->def.neta, before = iv->def.link ? iv->def.link[i].before : -1,
            b = before < 0 ? i : before; /* without one before, its part is 0 */
  const double *info = iv->shape_info + 16 * (size_t)i;
  double g[4], k[64][4], t[4];
  dpi_shaped_slopes(d[i].shape, in_sd(d, p, i), in_sd(d, p, b), before < 0 ? 0 : iv->def.link[i].rho, g);
  for (int a = 0; a < m; a++) {
    const size_t at = (size_t)i * neta + (size_t)iv->free[a], last = (size_t)b * neta + (size_t)iv->free[a];
    const double slope[4] = {p->df[at] / p->s[i], p->ds[at] / p->s[i], p->df[last] / p->s[b], p->ds[last] / p->s[b]};
    memcpy(k[a], slope, sizeof slope);
    for (int x = 0; x < 4; x++) {
      out->g[a] += 2 * g[x] * slope[x];
      t[x] = info[x] * slope[0] + info[4 + x] * slope[1] + info[8 + x] * slope[2] + info[12 + x] * slope[3];
    }
    for (int c = 0; c <= a; c++)
      out->fisher[a * n + c] += t[0] * k[c][0] + t[1] * k[c][1] + t[2] * k[c][2] + t[3] * k[c][3];
  }
}

/* A datum whose error goes with the one before: its part of gradient and Fisher matrix. */
static void pair_derive(const dpi_indiv *iv, const dpi_pred *p, int i, dpi_point *out) {
  const dpi_datum *d = iv->def.datum;
  int n = iv->dim, m = iv->nfree, neta = iv->def.neta, b = iv->def.link[i].before;
  double r = iv->def.link[i].rho, q2 = 1 - r * r, zi = standardised(d, p, i), zb = standardised(d, p, b);
  double v = (zi - r * zb) / q2;
  double fi = (d[i].log ? 1 / p->f[i] : 1.0) / p->s[i], fb = (d[b].log ? 1 / p->f[b] : 1.0) / p->s[b];
  const double *dfi = p->df + (size_t)i * neta, *dfb = p->df + (size_t)b * neta, *dsi = p->ds + (size_t)i * neta,
               *dsb = p->ds + (size_t)b * neta;
  double w[64], ai[64], ab[64];
  for (int a = 0; a < m; a++) {
    int j = iv->free[a];
    ai[a] = dsi[j] / p->s[i];
    ab[a] = dsb[j] / p->s[b];
    w[a] = fi * dfi[j] - r * fb * dfb[j];
    out->g[a] += 2 * (ai[a] - v * (w[a] + zi * ai[a] - r * zb * ab[a]));
    for (int c = 0; c <= a; c++)
      out->fisher[a * n + c] +=
          (w[a] * w[c] + ai[a] * ai[c] + r * r * (ab[a] * ab[c] - ai[a] * ab[c] - ab[a] * ai[c])) / q2 + ai[a] * ai[c];
  }
}

/* Slopes dz of a standardised error or limit, by w = df/s and a = ds/s, all [nfree]: -(w + z a), and of a shaped one
 * -dz/de (w + e a). Returns d ln(dz/de)/de, 0 of a normal one. */
static double standardised_slopes(const dpi_indiv *iv, const dpi_pred *p, int i, double *w, double *a, double *dz) {
  const dpi_datum *d = &iv->def.datum[i];
  const double *df = p->df + (size_t)i * iv->def.neta, *ds = p->ds + (size_t)i * iv->def.neta;
  const double scale = (d->log ? 1 / p->f[i] : 1.0) / p->s[i], e = in_sd(iv->def.datum, p, i);
  const dpi_shaped shape = dpi_shaped_at(d->shape, e);
  for (int k = 0; k < iv->nfree; k++) {
    w[k] = scale * df[iv->free[k]];
    a[k] = ds[iv->free[k]] / p->s[i];
    dz[k] = -shape.slope * (w[k] + e * a[k]);
  }
  return shape.bend;
}

/* fisher += scale k k', its lower half */
static void add_square(const double *k, double scale, int m, int n, double *fisher) {
  for (int a = 0; a < m; a++)
    for (int b = 0; b <= a; b++) fisher[a * n + b] += scale * k[a] * k[b];
}

/* A run's part of gradient and Fisher matrix, g [n + 2] and the laws m, v, w being known. */
static void run_slopes(const dpi_indiv *iv, const dpi_run *run, const dpi_pred *p, const double *g, const double *m,
                       const double *v, const double *share, dpi_point *out) {
  const int n = iv->dim, nfree = iv->nfree;
  double w[64], a[64], dz[64], dm[64] = {0}, e[64];
  for (int k = run->before >= 0 ? -1 : 0; k < run->n + (run->after >= 0); k++) {
    const int i = k < 0 ? run->before : k < run->n ? run->at[k] : run->after;
    const bool shaped = iv->def.datum[i].shape != NULL;
    const double sign = k < 0 || k == run->n ? 1 : run->sign[k], bend = standardised_slopes(iv, p, i, w, a, dz);
    const double error = in_sd(iv->def.datum, p, i);
    for (int j = 0; j < nfree; j++) {
      const double du = sign * dz[j], before = k < 0 ? 0 : run->rho[k] * dm[j];
      out->g[j] -= 2 * g[k + 1] * du;
      e[j] = k < run->n ? du - before : (shaped ? -dz[j] : w[j] + m[k] * a[j]) + before;
      dm[j] = k < 0 ? du : before + (k < run->n ? share[k] * e[j] : 0);
      if (k == run->n) out->g[j] += 2 * (a[j] + bend * (w[j] + error * a[j]));
    }
    if (k >= 0) add_square(e, (k < run->n ? share[k] : 1) / v[k], nfree, n, out->fisher);
    if (k == run->n) add_square(a, 2, nfree, n, out->fisher);
  }
}

static void run_derive(const dpi_indiv *iv, const dpi_run *run, const dpi_pred *p, dpi_point *out) {
  const size_t n = (size_t)run->n + 2;
  double *c = run_room(iv, run, true), *g = c + n, *m = g + n, *v = m + n, *share = v + n, zb, za, lnl;
  bool ok = c != NULL;
  if (ok) {
    run_limits(iv, run, p, c, &zb, &za);
    dpi_run_moments(run, c, zb, share + n, m, v, share);
    ok = dpi_run_lnl(iv->run_rules, run, c, zb, za, share + n, &lnl, g);
  }
  if (ok)
    run_slopes(iv, run, p, g, m, v, share, out);
  else
    out->g[0] = NAN;
  dpi_free(iv->ctx, c);
}

/* Data part of gradient and Fisher matrix in the free etas. */
static void data_derive(const dpi_indiv *iv, const dpi_pred *p, dpi_point *out) {
  int n = iv->dim, m = iv->nfree, neta = iv->def.neta;
  for (int k = 0; k < iv->nrun && m > 0; k++) run_derive(iv, &iv->run[k], p, out);
  for (int i = 0; i < iv->def.nobs; i++) {
    if (iv->in_run[i]) continue;
    if (iv->def.datum[i].shape && !iv->def.datum[i].censored) {
      shaped_derive(iv, p, i, out);
      continue;
    }
    if (iv->def.link && iv->def.link[i].before >= 0) {
      pair_derive(iv, p, i, out);
      continue;
    }
    datum_slope r = datum_derive(&iv->def.datum[i], p->f[i], p->s[i]);
    const double *df = p->df + (size_t)i * neta, *ds = p->ds + (size_t)i * neta;
    for (int a = 0; a < m; a++) {
      double fa = df[iv->free[a]], sa = ds[iv->free[a]];
      out->g[a] += r.f * fa + r.s * sa;
      double wf = r.ff * fa + r.fs * sa, ws = r.fs * fa + r.ss * sa;
      for (int b = 0; b <= a; b++)
        out->fisher[a * n + b] += wf * df[iv->free[b]] + ws * ds[iv->free[b]];
    }
  }
  for (int a = 0; a < m; a++)
    for (int b = 0; b < a; b++) out->fisher[b * n + a] = out->fisher[a * n + b];
}

/* Value (and derivatives when out->g) of the data part under the discrepancy term. */
static bool disc_part(dpi_indiv *iv, const double *x, const dpi_pred *p, bool deriv,
                      dpi_point *out) {
  int neta = iv->def.neta, q = neta + 1, n = iv->dim, m = iv->nfree;
  double delta = dpi_m_exp(x[m]);
  dpi_disc_point dp = {0, iv->work, iv->work + q};
  if (!deriv) dp.g = dp.fisher = NULL;
  double *work = iv->work + q * (q + 1);
  if (!dpi_disc_eval(iv->def.datum, iv->def.nobs, neta, p, delta, iv->def.discrepancy_tau, work,
                     &dp))
    return false;
  out->l += dp.l;
  if (!deriv) return true;
  for (int a = 0; a <= m; a++) {
    int ja = a < m ? iv->free[a] : neta;
    out->g[a] += dp.g[ja];
    for (int b = 0; b <= m; b++)
      out->fisher[a * n + b] += dp.fisher[ja * q + (b < m ? iv->free[b] : neta)];
  }
  return true;
}

/* Add the prior of x. */
static void prior_part(const dpi_indiv *iv, const double *x, bool deriv, dpi_point *out) {
  int m = iv->nfree, n = iv->dim;
  for (int a = 0; a < m; a++) {
    double s = 0;
    for (int b = 0; b < m; b++) s += iv->prec[a * m + b] * x[b];
    out->l += x[a] * s;
    if (!deriv) continue;
    out->g[a] += 2 * s;
    for (int b = 0; b < m; b++) out->fisher[a * n + b] += iv->prec[a * m + b];
  }
  if (!iv->def.discrepancy) return;
  double r = dpi_m_exp(x[m]) / iv->def.discrepancy_sd;
  out->l += r * r - 2 * x[m];
  if (!deriv) return;
  out->g[m] += 2 * r * r - 2;
  out->fisher[m * n + m] += 2 * r * r;
}

static bool point_compute(dpi_indiv *iv, const double *x, const dpi_pred *p, bool deriv,
                          dpi_point *out) {
  int n = iv->dim;
  if (!pred_valid(iv, p)) return false;
  out->l = 0;
  if (deriv) {
    memset(out->g, 0, sizeof(double) * (size_t)n);
    memset(out->fisher, 0, sizeof(double) * (size_t)n * (size_t)n);
  }
  if (iv->def.discrepancy) {
    if (!disc_part(iv, x, p, deriv, out)) return false;
  } else {
    out->l = data_value(iv, p);
    if (deriv) data_derive(iv, p, out);
  }
  prior_part(iv, x, deriv, out);
  if (!isfinite(out->l)) return false;
  for (int a = 0; deriv && a < n; a++)
    if (!isfinite(out->g[a]) || !isfinite(out->fisher[a * n + a])) return false;
  return true;
}

dp_status dpi_indiv_eval(dpi_indiv *iv, const double *x, bool deriv, dpi_point *out, bool *ok) {
  *ok = false;
  for (int a = 0; a < iv->dim; a++)
    if (!isfinite(x[a])) return DP_OK;
  dpi_indiv_eta(iv, x, iv->eta);
  bool model_ok = true;
  iv->neval++;
  DP_TRY(iv->def.predict(iv->def.user, iv->eta, deriv, &iv->pred, &model_ok));
  if (model_ok) *ok = point_compute(iv, x, &iv->pred, deriv, out);
  return DP_OK;
}

bool dpi_indiv_point(dpi_indiv *iv, const double *x, dpi_point *out) {
  return point_compute(iv, x, &iv->pred, true, out);
}

bool dpi_indiv_value(dpi_indiv *iv, const double *x, const dpi_pred *pred, double *l) {
  dpi_point pt = {0, NULL, NULL};
  if (!point_compute(iv, x, pred, false, &pt)) return false;
  *l = pt.l;
  return true;
}

/* Cheap predictions at n etas that stand in iv->many; f and s follow there. */
static dp_status predict_many(dpi_indiv *iv, int n, double **f, double **s, uint8_t *ok) {
  *f = iv->many + (size_t)DPI_MANY * (size_t)iv->def.neta;
  *s = *f + (size_t)DPI_MANY * (size_t)iv->def.nobs;
  iv->neval += n;
  return iv->def.many(iv->def.user, iv->many, n, *f, *s, ok);
}

static bool many_memory(dpi_indiv *iv) {
  size_t each = (size_t)iv->def.neta + 2 * (size_t)iv->def.nobs;
  if (!iv->many) iv->many = DPI_ARENA_ARRAY(&iv->arena, double, DPI_MANY *each + 1);
  return iv->many != NULL;
}

dp_status dpi_indiv_many(dpi_indiv *iv, const double *x, int n, double *l) {
  size_t p = (size_t)iv->def.neta, nobs = (size_t)iv->def.nobs, dim = (size_t)iv->dim;
  double *f, *s;
  uint8_t ok[DPI_MANY];
  DP_ASSERT(n <= DPI_MANY);
  if (!many_memory(iv)) return DP_ERR_MEMORY;
  for (size_t k = 0; k < (size_t)n; k++) dpi_indiv_eta(iv, x + k * dim, iv->many + k * p);
  DP_TRY(predict_many(iv, n, &f, &s, ok));
  for (size_t k = 0; k < (size_t)n; k++) {
    const dpi_pred pred = {f + k * nobs, s + k * nobs, NULL, NULL};
    if (!ok[k] || !dpi_indiv_value(iv, x + k * dim, &pred, &l[k])) l[k] = INFINITY;
  }
  return DP_OK;
}

/* Differences over steps h [nfree] from the first of nfree + 1 predictions, into iv->pred. */
static void differences(dpi_indiv *iv, const double *f, const double *s, const double *h) {
  size_t p = (size_t)iv->def.neta, nobs = (size_t)iv->def.nobs;
  memcpy(iv->pred.f, f, nobs * sizeof *f);
  memcpy(iv->pred.s, s, nobs * sizeof *s);
  memset(iv->pred.df, 0, nobs * p * sizeof *f);
  memset(iv->pred.ds, 0, nobs * p * sizeof *s);
  for (size_t a = 0; a < (size_t)iv->nfree; a++) {
    const double *fa = f + (a + 1) * nobs, *sa = s + (a + 1) * nobs;
    size_t j = (size_t)iv->free[a];
    for (size_t i = 0; i < nobs; i++) {
      iv->pred.df[i * p + j] = (fa[i] - f[i]) / h[a];
      iv->pred.ds[i * p + j] = (sa[i] - s[i]) / h[a];
    }
  }
}

dp_status dpi_indiv_rough(dpi_indiv *iv, const double *x, dpi_point *out, bool *ok) {
  int m = iv->nfree;
  size_t p = (size_t)iv->def.neta;
  double h[DPI_MANY], *f, *s;
  uint8_t each[DPI_MANY];
  *ok = false;
  for (int a = 0; a < iv->dim; a++)
    if (!isfinite(x[a])) return DP_OK;
  if (!many_memory(iv)) return DP_ERR_MEMORY;
  for (int k = 0; k <= m; k++) dpi_indiv_eta(iv, x, iv->many + (size_t)k * p);
  for (int a = 0; a < m; a++) {
    double v = 0;
    for (int b = 0; b <= a; b++) v += iv->chol[a * m + b] * iv->chol[a * m + b];
    h[a] = ROUGH_STEP * sqrt(v);
    iv->many[(size_t)(a + 1) * p + (size_t)iv->free[a]] += h[a];
  }
  DP_TRY(predict_many(iv, m + 1, &f, &s, each));
  for (int k = 0; k <= m; k++)
    if (!each[k]) return DP_OK;
  differences(iv, f, s, h);
  *ok = dpi_indiv_point(iv, x, out);
  return DP_OK;
}

/* Squared residual of the datum after a run, by the normal law that the run leaves of it. */
static double run_chi2(const dpi_indiv *iv, const dpi_run *run, const dpi_pred *p) {
  if (run->after < 0) return 0;
  const size_t n = (size_t)run->n + 1;
  double *c = run_room(iv, run, false), *m = c + n, *v = m + n, zb, za;
  if (!c) return NAN;
  run_limits(iv, run, p, c, &zb, &za);
  dpi_run_moments(run, c, zb, v + 2 * n, m, v, v + n);
  const double chi2 = (za - m[run->n]) * (za - m[run->n]) / v[run->n];
  dpi_free(iv->ctx, c);
  return chi2;
}

double dpi_indiv_chi2(dpi_indiv *iv, const double *x, const dpi_pred *pred) {
  if (iv->def.discrepancy)
    return dpi_disc_chi2(iv->def.datum, iv->def.nobs, pred, dpi_m_exp(x[iv->nfree]),
                         iv->def.discrepancy_tau, iv->work);
  double c = 0;
  for (int k = 0; k < iv->nrun; k++) c += run_chi2(iv, &iv->run[k], pred);
  for (int i = 0; i < iv->def.nobs; i++) {
    const dpi_datum *d = &iv->def.datum[i];
    if (d->censored || iv->in_run[i]) continue;
    double z = standardised(iv->def.datum, pred, i);
    const dpi_link *k = iv->def.link ? &iv->def.link[i] : NULL;
    if (k && k->before >= 0)
      z = (z - k->rho * standardised(iv->def.datum, pred, k->before)) / sqrt(1 - k->rho * k->rho);
    c += z * z;
  }
  return c;
}
