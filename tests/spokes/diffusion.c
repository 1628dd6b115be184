/* diffusion.c - test spoke: diffusion with decay on a line, exact in time.
 *
 *     u_t = D u_xx - k u on [0, length], no flux at the ends; n cells of width h = length / n, u_i at the cells' centres
 *     du_i/dt = D (u_{i-1} - 2 u_i + u_{i+1}) / h^2 - k u_i,  ends mirrored
 *
 * The cosines c_m(i) = cos(pi m (i + 1/2) / n) are the eigenvectors, with eigenvalues -(4 D / h^2) sin^2(pi m / (2 n)) - k
 * (discrete cosine transform II: Strang 1999, SIAM Review 41, 135). The state is kept at the last instant or edit and every
 * value is computed from there, so that advancing in pieces changes no byte.
 * A concentration is never below zero: an edit is projected to u_i >= 0.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "num/num.h"
#include "test_spokes.h"

#define PI 3.14159265358979323846
#define CELL_MOST 128

enum { D, K, LENGTH, BASE, AMPLITUDE, MODE, NPARAM };
static const char *const param_id[NPARAM] = {"D", "k", "length", "base", "amplitude", "mode"};
static const double param_default[NPARAM] = {0.1, 0, 1, 1, 0.5, 1};

typedef struct grid {
  int n;
  double *cosine;     /* [n x n] c_m(i), row m */
  double *eigen;      /* [n] sin^2(pi m / (2 n)) */
  const char **state; /* [n] u0, u1, ... */
  const char **unit;
} grid;

static const grid *grid_of(const frame_batch *b) { return b->spoke->own; }

/* numbers of a member: the present state, then the time and the modes [n] of the last instant or edit */
static int df_nx(const frame_spoke *s, int ndir) {
  (void)ndir;
  return 2 * ((const grid *)s->own)->n + 1;
}
static double *since_of(const frame_batch *b, int i) { return b->m[i].x + grid_of(b)->n; }
static double *modes_of(const frame_batch *b, int i) { return since_of(b, i) + 1; }

/* From here on the state starts anew: its modes, now. a_m = (2 - [m = 0]) / n sum_i u_i c_m(i) */
static void anchor(frame_batch *b, int i) {
  const grid *g = grid_of(b);
  const double *u = b->m[i].x;
  double *a = modes_of(b, i);
  *since_of(b, i) = frame_time(b->m[i].time);
  for (int m = 0; m < g->n; m++) {
    double sum = 0;
    for (int j = 0; j < g->n; j++) sum += u[j] * g->cosine[m * g->n + j];
    a[m] = sum * (m ? 2.0 : 1.0) / g->n;
  }
}

static void initial(frame_batch *b, int i) {
  const grid *g = grid_of(b);
  const double *p = b->m[i].param, *state0 = b->def.member[i].state0;
  for (int j = 0; j < g->n; j++) {
    double c = dpi_m_cos(PI * p[MODE] * (j + 0.5) / g->n);
    b->m[i].x[j] = state0 ? state0[j] : p[BASE] + p[AMPLITUDE] * c;
  }
  anchor(b, i);
}

static dp_status df_begin(frame_batch *b, int i) {
  initial(b, i);
  return DP_OK;
}

static void df_flow(frame_batch *b, int i, dp_time to) {
  const grid *g = grid_of(b);
  frame_member *m = &b->m[i];
  const double *p = m->param, *a = modes_of(b, i);
  double t = frame_time(to) - *since_of(b, i), h = p[LENGTH] / g->n;
  memset(m->x, 0, (size_t)g->n * sizeof *m->x);
  for (int q = 0; q < g->n; q++) {
    double w = a[q] * dpi_m_exp(-(4 * p[D] / (h * h) * g->eigen[q] + p[K]) * t);
    for (int j = 0; j < g->n; j++) m->x[j] += w * g->cosine[q * g->n + j];
  }
  for (int j = 0; j < g->n; j++) {
    if (isfinite(m->x[j])) continue;
    frame_fail(b, i, "state '%s' is not finite on the way to %g", g->state[j], frame_time(to));
    return;
  }
}

static void df_act(frame_batch *b, int i, int k) {
  const grid *g = grid_of(b);
  frame_member *m = &b->m[i];
  const frame_item *item = &m->item[k];
  switch (item->type) {
    case DP_ADD:
      m->x[item->target] += item->amount * g->n / m->param[LENGTH];
      break; /* amount / h */
    case DP_SET:
      m->x[item->target] = item->amount;
      break;
    case DP_SCALE:
      m->x[item->target] *= item->amount;
      break;
    case DP_SWITCH:
      m->param[item->target] = item->amount;
      break;
    case DP_RESET:
      initial(b, i);
      return;
    default:
      return; /* refused */
  }
  anchor(b, i);
}

/* u of each cell, and the whole amount h sum u_i */
static void df_give(const frame_batch *b, int i, double *signal, double *dsignal) {
  (void)dsignal;
  const grid *g = grid_of(b);
  memcpy(signal, b->m[i].x, (size_t)g->n * sizeof *signal);
  double sum = 0;
  for (int j = 0; j < g->n; j++) sum += b->m[i].x[j];
  signal[g->n] = sum * b->m[i].param[LENGTH] / g->n;
}

static dp_status df_refuse(const frame_batch *b, const dp_instant *s) {
  if (s->type != DP_INFUSE) return DP_OK;
  return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED, "spoke 'diffusion': an infusion is not offered");
}

static const frame_ops ops = {.nx = df_nx,
                              .begin = df_begin,
                              .flow = df_flow,
                              .act = df_act,
                              .give = df_give,
                              .refuse = df_refuse};

/* ---- create ---- */

static dp_status read_config(dp_ctx *ctx, const char *config, int *cells) {
  *cells = 16;
  if (!config) return DP_OK;
  int64_t n = 0;
  if (strncmp(config, "cells=", 6) == 0 && dpi_parse_int(config + 6, &n) && n >= 2 &&
      n <= CELL_MOST) {
    *cells = (int)n;
    return DP_OK;
  }
  return dpi_fail(ctx, DP_ERR_INPUT, "spoke 'diffusion': config '%s', expected 'cells=<2 to %d>'",
                  config, CELL_MOST);
}

/* The spoke's ids and tables live in an arena of the sim's context that frame_create takes over. */
static dp_status make_grid(dpi_arena *arena, int n, grid **out) {
  grid *g = DPI_ARENA_NEW(arena, grid);
  if (!g) return DP_ERR_MEMORY;
  g->n = n;
  g->cosine = DPI_ARENA_ARRAY(arena, double, n *n);
  g->eigen = DPI_ARENA_ARRAY(arena, double, n);
  g->state = DPI_ARENA_ARRAY(arena, const char *, n + 1);
  g->unit = DPI_ARENA_ARRAY(arena, const char *, n);
  if (!g->cosine || !g->eigen || !g->state || !g->unit) return DP_ERR_MEMORY;
  for (int m = 0; m < n; m++) {
    double s = dpi_m_sin(PI * m / (2.0 * n));
    g->eigen[m] = s * s;
    g->unit[m] = "mg/L";
    g->state[m] = dpi_arena_printf(arena, "u%d", m);
    if (!g->state[m]) return DP_ERR_MEMORY;
    for (int j = 0; j < n; j++) g->cosine[m * n + j] = dpi_m_cos(PI * m * (j + 0.5) / n);
  }
  g->state[n] = "total"; /* a signal, not a state */
  *out = g;
  return DP_OK;
}

static dp_status create_on(dp_ctx *ctx, const dp_sim_def *def, dpi_arena *arena,
                           frame_spoke **out) {
  int cells = 0;
  grid *g = NULL;
  DP_TRY(read_config(ctx, def->config, &cells));
  DP_TRY(make_grid(arena, cells, &g));
  dpi_spoke_desc desc = {.caps = DP_CAP_EDIT | DP_CAP_THREADS,
                         .ranks = 1,
                         .nparam = NPARAM,
                         .nstate = g->n,
                         .nsignal = g->n + 1,
                         .param_id = param_id,
                         .param_default = param_default,
                         .state_id = g->state,
                         .state_unit = g->unit,
                         .signal_id = g->state,
                         .block = 2};
  DP_TRY(frame_create(ctx, def, &dp_test_spoke_diffusion, &ops, &desc, out));
  (*out)->own = g;
  return DP_OK;
}

static dp_status diffusion_create(dp_ctx *ctx, const dp_sim_def *def, dpi_spoke **out) {
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  frame_spoke *s = NULL;
  dp_status status = create_on(ctx, def, &arena, &s);
  if (status != DP_OK) {
    dpi_arena_release(&arena);
    return status;
  }
  s->tables = arena; /* released with the spoke */
  *out = &s->base;
  return DP_OK;
}

static dp_status diffusion_state_get(const dpi_batch *batch, int member, double *x) {
  const frame_batch *b = (const frame_batch *)batch;
  memcpy(x, b->m[member].x, (size_t)grid_of(b)->n * sizeof *x);
  return DP_OK;
}

static dp_status diffusion_state_set(dpi_batch *batch, int member, const double *x) {
  frame_batch *b = (frame_batch *)batch;
  for (int j = 0; j < grid_of(b)->n; j++) b->m[member].x[j] = x[j] > 0 ? x[j] : 0.0;
  anchor(b, member);
  return DP_OK;
}

/* no save: the sim replays */
const dpi_spoke_ops dp_test_spoke_diffusion = {
    .interface = DPI_SPOKE_INTERFACE,
    .name = "diffusion",
    .help = "test: diffusion and decay on a line; config: cells=<n>",
    .create = diffusion_create,
    .destroy = frame_destroy,
    .describe = frame_describe,
    .open = frame_open,
    .advance = frame_advance,
    .close = frame_close,
    .state_get = diffusion_state_get,
    .state_set = diffusion_state_set,
};
