/* st_flow.c - states that change continuously, and jumps whose propensities change with them or with time.  D -> D
 *
 * Straight flow (rates constant between jumps) is a line from the last happening: no error, no steps.
 *
 * Otherwise flow y and the used-up part H of the unit exponential are integrated together,
 *     y' = f(t, y, x),   H' = sum of propensities at (t, y, x),   x constant between jumps,
 * by Dormand & Prince 5(4) with dense output (Hairer, Norsett, Wanner 1993, II.4 to II.6); the next jump is where H
 * reaches what is left. So time-dependent propensities are exact up to the tolerance of the integration.
 */
#include "spoke/stochastic/st_impl.h"

/* ---- straight ---- */

void dpi_st_flow_start(dpi_st_bench *w, double t) {
  const dpi_st_spoke *sp = w->spoke;
  w->from = t;
  w->sym[0] = t;
  w->step = 0;
  for (int i = 0; i < sp->nflow; i++) w->base[i] = w->sym[sp->flow_sym[i]];
  if (sp->nflow && sp->straight) memcpy(w->slope, dpi_st_eval(w, &sp->flow), sizeof(double) * (size_t)sp->nflow);
  dpi_st_event_forget(w);
}

void dpi_st_flow_at(dpi_st_bench *w, double t) {
  const dpi_st_spoke *sp = w->spoke;
  w->sym[0] = t;
  if (!sp->straight) return;
  for (int i = 0; i < sp->nflow; i++) w->sym[sp->flow_sym[i]] = w->base[i] + w->slope[i] * (t - w->from);
}

/* ---- curved ---- */

static void put(dpi_st_bench *w, double t, const double *y) {
  const dpi_st_spoke *sp = w->spoke;
  w->sym[0] = t;
  for (int i = 0; i < sp->nflow; i++) w->sym[sp->flow_sym[i]] = y[i];
}

/* f(t, y) with H' behind it. A propensity below zero is found at the end of the step, not within. */
static void slopes(dpi_st_bench *w, double t, const double *y, double *f) {
  const dpi_st_spoke *sp = w->spoke;
  put(w, t, y);
  if (sp->nflow) memcpy(f, dpi_st_eval(w, &sp->flow), sizeof *f * (size_t)sp->nflow);
  double sum = 0;
  for (int r = 0; r < sp->nchannel; r++) {
    const double a = sp->channel[r].drifts ? dpi_st_rate(w, r) : w->tree[sp->leaf + r];
    sum += a > 0 || isnan(a) ? a : 0;
  }
  f[sp->nflow] = sum;
}

/* a21; a31 a32; ...; the last row gives the result of order 5 */
static const double tableau[6][6] = {{1.0 / 5},
                                     {3.0 / 40, 9.0 / 40},
                                     {44.0 / 45, -56.0 / 15, 32.0 / 9},
                                     {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
                                     {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
                                     {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84}};
static const double node[6] = {1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1};
static const double error_weight[7] = {71.0 / 57600,      0,          -71.0 / 16695, 71.0 / 1920,
                                       -17253.0 / 339200, 22.0 / 525, -1.0 / 40};
static const double dense_weight[7] = {-12715105075.0 / 11282082432.0,  0,
                                       87487479700.0 / 32700410799.0,   -10690763975.0 / 1880347072.0,
                                       701980252875.0 / 199316789632.0, -1453857185.0 / 822651844.0,
                                       69997945.0 / 29380423.0};

/* One step of size h from (t, y) with k[0] given; y1 and the error's norm. */
static double try_step(dpi_st_bench *w, double t, double h) {
  const dpi_st_spoke *sp = w->spoke;
  const int n = sp->nflow + 1;
  double *y = w->y, *y1 = w->y + n, *k = w->k;
  for (int s = 0; s < 6; s++) {
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int j = 0; j <= s; j++) sum += tableau[s][j] * k[j * n + i];
      y1[i] = y[i] + h * sum;
    }
    slopes(w, t + node[s] * h, y1, k + (s + 1) * n);
  }
  double norm = 0;
  for (int i = 0; i < n; i++) {
    double e = 0;
    for (int j = 0; j < 7; j++) e += error_weight[j] * k[j * n + i];
    const double big = fabs(y[i]) > fabs(y1[i]) ? fabs(y[i]) : fabs(y1[i]);
    const double scale = (i < sp->nflow ? sp->atol : sp->rtol) + sp->rtol * big;
    const double q = fabs(h * e) / scale;
    if (!(q <= norm)) norm = q; /* keeps NaN */
  }
  return norm;
}

static void make_dense(dpi_st_bench *w, double h) {
  const int n = w->spoke->nflow + 1;
  const double *y = w->y, *y1 = w->y + n, *k = w->k;
  double *d = w->k + 7 * n;
  for (int i = 0; i < n; i++) {
    const double diff = y1[i] - y[i], b = h * k[i] - diff;
    double sum = 0;
    for (int j = 0; j < 7; j++) sum += dense_weight[j] * k[j * n + i];
    d[i] = y[i];
    d[n + i] = diff;
    d[2 * n + i] = b;
    d[3 * n + i] = diff - h * k[6 * n + i] - b;
    d[4 * n + i] = h * sum;
  }
}

static double dense(const dpi_st_bench *w, int i, double t) {
  const int n = w->spoke->nflow + 1;
  const double *d = w->k + 7 * n + i, q = (t - w->y_from) / w->y_step, p = 1 - q;
  return d[0] + q * (d[n] + p * (d[2 * n] + q * (d[3 * n] + p * d[4 * n])));
}

static void dense_at(dpi_st_bench *w, double t) {
  const dpi_st_spoke *sp = w->spoke;
  w->sym[0] = t;
  for (int i = 0; i < sp->nflow; i++) w->sym[sp->flow_sym[i]] = dense(w, i, t);
}

/* A first step from the size of the slopes. */
static double guess(const dpi_st_bench *w, double t, double end) {
  const dpi_st_spoke *sp = w->spoke;
  const int n = sp->nflow + 1;
  double h = end - t;
  for (int i = 0; i < n; i++) {
    const double scale = fabs(w->y[i]) + (i < sp->nflow ? sp->atol : 1);
    const double want = 0.01 * scale / fabs(w->k[i]);
    if (want < h) h = want;
  }
  return h;
}

/* An accepted step from t, at most to `end`; false: the member failed. */
static bool step(dpi_st_bench *w, double t, double end, double *reached) {
  const int n = w->spoke->nflow + 1;
  if (!(w->step > 0)) w->step = guess(w, t, end);
  for (int tries = 0; tries < 200; tries++) {
    double h = w->step;
    const bool last = h >= end - t;
    if (last) h = end - t;
    const double e = try_step(w, t, h);
    if (e <= 1) {
      const double grow = e > 0 ? 0.9 * dpi_m_pow(e, -0.2) : 5;
      const double next = h * (grow < 0.2 ? 0.2 : (grow > 5 ? 5 : grow));
      if (!last || next > w->step) w->step = next;
      w->y_from = t;
      w->y_step = h;
      make_dense(w, h);
      *reached = last ? end : t + h;
      memcpy(w->k, w->k + 6 * n, sizeof(double) * (size_t)n); /* the last slope is the next first */
      return true;
    }
    const double shrink = isfinite(e) ? 0.9 * dpi_m_pow(e, -0.2) : 0.1;
    w->step = h * (shrink < 0.1 ? 0.1 : shrink);
    if (!(t + w->step > t)) break;
  }
  return dpi_st_fail(w, t,
                     "the steps between jumps become too small: a state or a rate is not finite, or changes too fast");
}

/* Where H reaches `left` within the last step. */
static double crossing(const dpi_st_bench *w, double from, double to, double left) {
  const int h = w->spoke->nflow;
  double a = from, b = to, fa = dense(w, h, a) - left, fb = dense(w, h, b) - left;
  for (int i = 0; i < 200; i++) {
    double c = i % 3 < 2 ? a - fa * (b - a) / (fb - fa) : a + 0.5 * (b - a);
    if (!(c > a && c < b)) c = a + 0.5 * (b - a);
    if (!(c > a && c < b)) break;
    const double fc = dense(w, h, c) - left;
    if (fc < 0) {
      a = c;
      fa = fc;
    } else {
      b = c;
      fb = fc;
    }
    if (b - a <= 1e-14 * fabs(b) || fb == 0) break;
  }
  return b;
}

/* Everything is moved to t: symbols, what is left of the exponential, propensities. */
static bool settle(dpi_st_bench *w, double t, double used) {
  const dpi_st_spoke *sp = w->spoke;
  dpi_st_member *m = w->m;
  w->sym[0] = t;
  m->t = t;
  m->left[0] -= used;
  if (m->left[0] < 0) m->left[0] = 0;
  m->since[0] = t;
  for (int i = 0; i < sp->nflow; i++)
    if (!isfinite(w->sym[sp->flow_sym[i]]))
      return dpi_st_fail(w, t, "state '%s' is not finite", sp->desc.state_id[sp->flow_sym[i] - 1]);
  for (int r = 0; r < sp->nchannel; r++) {
    if (!sp->channel[r].drifts) continue;
    const double a = dpi_st_rate(w, r);
    if (!(a >= 0 && a < INFINITY)) return dpi_st_bad_rate(w, r, a, t);
    dpi_st_put(w, r, a);
  }
  return true;
}

/* The jump at m->t. */
static dpi_st_outcome jump(dpi_st_bench *w) {
  const dpi_st_spoke *sp = w->spoke;
  dpi_st_member *m = w->m;
  double u[2];
  int r;
  dpi_st_uniforms(w, 0, u);
  m->left[0] = -dpi_m_log(u[1]);
  if (!dpi_st_pick(w, u[0], m->t, &r) || !dpi_st_fire(w, r, 1, m->t)) return DPI_ST_FAIL;
  const dpi_st_channel *c = &sp->channel[r];
  for (int k = 0; k < c->nhit; k++) {
    const double a = dpi_st_rate(w, c->hit[k]);
    if (!(a >= 0 && a < INFINITY)) {
      dpi_st_bad_rate(w, c->hit[k], a, m->t);
      return DPI_ST_FAIL;
    }
    dpi_st_put(w, c->hit[k], a);
  }
  if (c->nwatch && dpi_st_event_changed(w, r)) return dpi_st_event_run(w) ? DPI_ST_AGAIN : DPI_ST_FAIL;
  if (++w->beat >= 4096 && dpi_st_halt(w)) return DPI_ST_FAIL;
  return DPI_ST_THERE;
}

/* One step, or a part of it up to the next jump or event. */
static dpi_st_outcome advance(dpi_st_bench *w, double end, bool *fresh) {
  const dpi_st_spoke *sp = w->spoke;
  dpi_st_member *m = w->m;
  const int n = sp->nflow + 1, h = sp->nflow;
  const double t = m->t, left = m->left[0];
  double to = t, when;
  if (*fresh) slopes(w, t, w->y, w->k);
  *fresh = false;
  if (!step(w, t, end, &to)) return DPI_ST_FAIL;
  const bool fires = w->y[n + h] >= left && sp->nchannel > 0;
  if (fires) to = crossing(w, t, to, left);
  const bool event = sp->ncurved && dpi_st_event_find(w, t, to, dense_at, &when);
  if (event) to = when;
  const double used = fires && !event ? left : dense(w, h, to);
  if (to == w->y_from + w->y_step)
    put(w, to, w->y + n);
  else
    dense_at(w, to);
  if (!settle(w, to, used)) return DPI_ST_FAIL;
  if (event) return dpi_st_event_run(w) ? DPI_ST_AGAIN : DPI_ST_FAIL;
  if (fires) {
    *fresh = true;
    return jump(w);
  }
  return DPI_ST_THERE;
}

dpi_st_outcome dpi_st_drift_to(dpi_st_bench *w, double end) {
  const dpi_st_spoke *sp = w->spoke;
  dpi_st_member *m = w->m;
  bool fresh = true;
  const double affine = sp->naffine ? dpi_st_event_next(w) : INFINITY;
  const double stop = affine < end ? affine : end;
  while (m->t < stop) {
    for (int i = 0; i < sp->nflow; i++) w->y[i] = w->sym[sp->flow_sym[i]];
    w->y[sp->nflow] = 0;
    const dpi_st_outcome o = advance(w, stop, &fresh);
    if (o != DPI_ST_THERE) return o;
  }
  if (affine > end) return DPI_ST_THERE;
  w->sym[0] = m->t;
  return dpi_st_event_run(w) ? DPI_ST_AGAIN : DPI_ST_FAIL;
}
