/* lingauss.c - test spoke: an exact linear-Gaussian map in discrete time.
 *
 *     x(k+1) = A x(k) + B u(k) + w(k),   w_j(k) = q_j z,   z normal, number 2 k + j of the member's stream
 *
 * A is 2 x 2, B diagonal, u_j the sum of the infusion rates into state j that run at the beginning of the step. Steps are at
 * the whole units of time after the start; instants happen between steps. Derivatives are of the path at fixed noise:
 *     dx(k+1) = A dx(k) + dA x(k) + dB u(k) + dq z
 */
#include <math.h>
#include <string.h>

#include "frame.h"
#include "num/num.h"
#include "test_spokes.h"

#define N 2
#define NOISE 0x4c47u /* purpose of the stream */

enum { A11, A12, A21, A22, B1, B2, Q1, Q2, X10, X20, NPARAM };
static const char *const param_id[NPARAM] = {"a11", "a12", "a21", "a22",  "b1",
                                             "b2",  "q1",  "q2",  "x1_0", "x2_0"};
static const double param_default[NPARAM] = {0.9, 0.1, 0.0, 0.8, 1, 1, 0, 0, 1, 0};
static const char *const state_id[N] = {"x1", "x2"};
static const char *const state_unit[N] = {"mg", "mg"};

/* numbers of a member: x, u, item of the last reset, then dx [N x ndir] and dparam [NPARAM x ndir] */
enum { AT_U = N, AT_RESET = 2 * N, AT_DX };

static int lg_nx(const frame_spoke *s, int ndir) {
  (void)s;
  return AT_DX + (N + NPARAM) * ndir;
}

static double *dx_of(const frame_batch *b, int i) { return b->m[i].x + AT_DX; }
static double *dparam_of(const frame_batch *b, int i) {
  return b->m[i].x + AT_DX + N * b->def.ndir;
}

/* State as the parameters say, with their directions. */
static void initial(frame_batch *b, int i) {
  frame_member *m = &b->m[i];
  const dp_member *member = &b->def.member[i];
  int nd = b->def.ndir;
  for (int j = 0; j < N; j++) {
    m->x[j] = member->state0 ? member->state0[j] : m->param[X10 + j];
    for (int v = 0; v < nd; v++)
      dx_of(b, i)[j * nd + v] = member->state0 ? 0 : dparam_of(b, i)[(X10 + j) * nd + v];
  }
}

static dp_status lg_begin(frame_batch *b, int i) {
  const double *seed = b->def.member[i].seed;
  int nd = b->def.ndir;
  for (int a = 0; seed && a < b->spoke->nactive; a++) {
    for (int v = 0; v < nd; v++)
      dparam_of(b, i)[b->spoke->active_param[a] * nd + v] = seed[a * nd + v];
  }
  initial(b, i);
  return DP_OK;
}

static double noise(const frame_batch *b, int i, int64_t step, int j) {
  dpi_rng rng = dpi_rng_make(b->def.seed, b->def.member[i].stream, NOISE);
  rng.counter = (uint64_t)(step * N + j);
  return dpi_rng_normal(&rng);
}

static void step(frame_batch *b, int i, int64_t k) {
  frame_member *m = &b->m[i];
  const double *p = m->param, *u = m->x + AT_U;
  int nd = b->def.ndir;
  double x[N] = {m->x[0], m->x[1]}, z[N] = {noise(b, i, k, 0), noise(b, i, k, 1)};
  for (int j = 0; j < N; j++) {
    const double *a = p + A11 + N * j;
    m->x[j] = a[0] * x[0] + a[1] * x[1] + p[B1 + j] * u[j] + p[Q1 + j] * z[j];
  }
  for (int v = 0; v < nd; v++) {
    double *dx = dx_of(b, i) + v;
    const double *dp = dparam_of(b, i) + v;
    double d[N] = {dx[0], dx[nd]};
    for (int j = 0; j < N; j++) {
      const double *a = p + A11 + N * j, *da = dp + (A11 + N * j) * nd;
      dx[j * nd] = a[0] * d[0] + a[1] * d[1] + da[0] * x[0] + da[nd] * x[1] +
                   dp[(B1 + j) * nd] * u[j] + dp[(Q1 + j) * nd] * z[j];
    }
  }
}

/* Steps end at whole units of time after the start: all of them in (m->time, to]. */
static void lg_flow(frame_batch *b, int i, dp_time to) {
  frame_member *m = &b->m[i];
  dp_time start = b->def.member[i].start;
  int64_t last = (to - start) / DP_TICKS;
  for (int64_t k = (m->time - start) / DP_TICKS; k < last; k++) {
    step(b, i, k);
    m->time = start + (k + 1) * DP_TICKS;
    if (isfinite(m->x[0]) && isfinite(m->x[1])) continue;
    frame_fail(b, i, "state '%s' is not finite", state_id[isfinite(m->x[0]) ? 1 : 0]);
    return;
  }
}

static void set_direction(double *d, int nd, int dir) {
  for (int v = 0; v < nd; v++) d[v] = v == dir ? 1.0 : 0.0;
}

static void lg_act(frame_batch *b, int i, int k) {
  frame_member *m = &b->m[i];
  const frame_item *item = &m->item[k];
  int nd = b->def.ndir, j = item->target;
  double *dx = dx_of(b, i) + j * nd, *dparam = dparam_of(b, i);
  switch (item->type) {
    case DP_ADD:
      m->x[j] += item->amount;
      if (item->dir >= 0) dx[item->dir] += 1.0;
      break;
    case DP_INFUSE:
      if (!item->ends)
        m->x[AT_U + j] += item->amount;
      else if (item->begin >= (int)m->x[AT_RESET])
        m->x[AT_U + j] -= item->amount;
      break;
    case DP_SET:
      m->x[j] = item->amount;
      set_direction(dx, nd, item->dir);
      break;
    case DP_SCALE:
      for (int v = 0; v < nd; v++) dx[v] = item->amount * dx[v] + (v == item->dir ? m->x[j] : 0.0);
      m->x[j] *= item->amount;
      break;
    case DP_RESET:
      initial(b, i);
      m->x[AT_U] = m->x[AT_U + 1] = 0.0;
      m->x[AT_RESET] = k;
      break;
    case DP_SWITCH:
      m->param[j] = item->amount;
      set_direction(dparam + j * nd, nd, item->dir);
      break;
    case DP_EQUILIBRATE:
    case DP_APPLY:
      break; /* refused by the sim: DP_CAP_STEADY and DP_CAP_LAWS are not offered */
  }
}

static void lg_give(const frame_batch *b, int i, double *signal, double *dsignal) {
  memcpy(signal, b->m[i].x, N * sizeof *signal);
  if (dsignal) memcpy(dsignal, dx_of(b, i), (size_t)(N * b->def.ndir) * sizeof *dsignal);
}

static dp_status lg_refuse(const frame_batch *b, const dp_instant *s) {
  const char *what = NULL;
  if (s->type == DP_INFUSE && !(s->rate > 0)) what = "an infusion without a rate";
  if (s->type == DP_INFUSE && s->dir_amount >= 0)
    what = "the derivative of an infused amount (it ends between steps)";
  if (s->dir_time >= 0) what = "the derivative of a time (time is discrete)";
  if (!what) return DP_OK;
  return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED, "spoke 'lingauss': %s is not offered", what);
}

static const frame_ops ops = {.nx = lg_nx,
                              .begin = lg_begin,
                              .flow = lg_flow,
                              .act = lg_act,
                              .give = lg_give,
                              .refuse = lg_refuse};

static dp_status lingauss_create(dp_ctx *ctx, const dp_sim_def *def, dpi_spoke **out) {
  static const dpi_spoke_desc desc = {
      .caps = DP_CAP_DISCRETE | DP_CAP_STOCHASTIC | DP_CAP_THREADS | DP_CAP_SAVE | DP_CAP_EDIT |
              DP_CAP_JVP,
      .ranks = 1,
      .nparam = NPARAM,
      .nstate = N,
      .nsignal = N,
      .param_id = param_id,
      .param_default = param_default,
      .state_id = state_id,
      .state_unit = state_unit,
      .signal_id = state_id,
      .block = 3, /* small and odd, so that tests meet batches of several sizes */
  };
  frame_spoke *s = NULL;
  DP_TRY(frame_create(ctx, def, &dp_test_spoke_lingauss, &ops, &desc, &s));
  *out = &s->base;
  return DP_OK;
}

static dp_status lingauss_state_get(const dpi_batch *batch, int member, double *x) {
  memcpy(x, ((const frame_batch *)batch)->m[member].x, N * sizeof *x);
  return DP_OK;
}

static dp_status lingauss_state_set(dpi_batch *batch, int member, const double *x) {
  memcpy(((frame_batch *)batch)->m[member].x, x, N * sizeof *x);
  return DP_OK;
}

const dpi_spoke_ops dp_test_spoke_lingauss = {
    .interface = DPI_SPOKE_INTERFACE,
    .name = "lingauss",
    .help = "test: linear-Gaussian map in discrete time",
    .create = lingauss_create,
    .destroy = frame_destroy,
    .describe = frame_describe,
    .open = frame_open,
    .advance = frame_advance,
    .close = frame_close,
    .fork = frame_fork,
    .save = frame_save,
    .load = frame_load,
    .state_get = lingauss_state_get,
    .state_set = lingauss_state_set,
};
