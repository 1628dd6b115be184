/* lane_tangent.c - floor 3: tangent and adjoint of an integration step, made by the graph passes of lang (dpi_g_jvp,
 * dpi_g_vjp).
 *
 * The elimination inside an implicit step is differentiated like everything else: it is straight-line code without
 * pivoting, so the derivative of the solution through the factors is W^-1 (b' - W' y) term by term.
 */
#include "solve/lane_tangent.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "solve/lane_step_impl.h"

/* ---- tangent ---- */

/* Inputs of the step: states, input rates, active parameters; with the symbols of direction q beside them. */
static dp_status directions(dpi_graph *g, const dpi_system *sys, int q, int ndir, dpi_node *at, dpi_node *dot) {
  int k = 0;
  for (int j = 0; j < sys->nstate; j++, k++) {
    at[k] = dpi_g_sym(g, 1 + j);
    dot[k] = dpi_g_sym(g, dpi_tangent_s(sys, j, q, ndir));
  }
  for (int j = 0; j < sys->nstate; j++, k++) {
    at[k] = dpi_g_sym(g, dpi_lane_sym(sys, DPI_LANE_U) + j);
    dot[k] = dpi_g_sym(g, dpi_tangent_u(sys, j, q, ndir));
  }
  for (int a = 0; a < sys->nactive; a++, k++) {
    at[k] = dpi_g_sym(g, sys->active[a]);
    dot[k] = dpi_g_sym(g, dpi_tangent_p(sys, a, q, ndir));
  }
  for (int i = 0; i < k; i++)
    if (at[i] == DPI_NODE_NONE || dot[i] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  return DP_OK;
}

/* x_new, error, stages in a row; explicit: also where the last stage but one stands */
static int gather(const dpi_system *sys, const dpi_lane_step *step, dpi_node *out) {
  const int n = sys->nstate;
  const size_t size = sizeof *out * (size_t)n;
  memcpy(out, step->x_new, size);
  memcpy(out + n, step->error, size);
  for (int i = 0; i < step->nstage; i++) memcpy(out + (2 + i) * n, step->stage[i], size);
  if (step->implicit) return (2 + step->nstage) * n;
  memcpy(out + (2 + step->nstage) * n, step->build->point[step->nstage - 2], size);
  return (3 + step->nstage) * n;
}

static dp_status one_direction(dpi_lane_tangent *tan, const dpi_system *sys, const dpi_node *out, int nout, int q,
                               dpi_node *work) {
  const int nat = 2 * sys->nstate + sys->nactive;
  dpi_node *at = work, *dot = at + nat, *d = dot + nat;
  DP_TRY(directions(sys->model->graph, sys, q, tan->ndir, at, dot));
  DP_TRY(dpi_g_jvp(sys->model->graph, out, nout, at, dot, nat, d));
  for (int i = 0; i < nout; i++) tan->x_new[(size_t)i * tan->ndir + q] = d[i];
  return DP_OK;
}

dp_status dpi_lane_tangent_init(dpi_lane_tangent *tan, dp_ctx *ctx, const dpi_system *sys, const dpi_lane_step *step,
                                int ndir) {
  const size_t n = (size_t)sys->nstate, most = (3 + (size_t)step->nstage) * n, nat = 2 * n + (size_t)sys->nactive;
  *tan = (dpi_lane_tangent){.ctx = ctx, .ndir = ndir, .nstage = step->nstage};
  tan->x_new = DPI_NEW_ARRAY(ctx, dpi_node, most * (size_t)ndir + 1);
  dpi_node *out = DPI_NEW_ARRAY(ctx, dpi_node, most + 1), *work = DPI_NEW_ARRAY(ctx, dpi_node, 2 * nat + most + 1);
  dp_status status = tan->x_new && out && work ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    tan->error = tan->x_new + n * (size_t)ndir;
    tan->stage = tan->error + n * (size_t)ndir;
    tan->point = step->implicit ? NULL : tan->stage + (size_t)step->nstage * n * (size_t)ndir;
    const int nout = gather(sys, step, out);
    for (int q = 0; q < ndir && status == DP_OK; q++) status = one_direction(tan, sys, out, nout, q, work);
  }
  dpi_free(ctx, out);
  dpi_free(ctx, work);
  if (status != DP_OK) dpi_lane_tangent_release(tan);
  return status;
}

void dpi_lane_tangent_release(dpi_lane_tangent *tan) {
  if (tan->ctx) dpi_free(tan->ctx, tan->x_new);
  *tan = (dpi_lane_tangent){0};
}

/* ---- error and symbols of step and tangent together ---- */

#define OP1(op, a) dpi_g_op1(g, DPI_OP_##op, (a))
#define OP2(op, a, b) dpi_g_op2(g, DPI_OP_##op, (a), (b))

/* The tolerance of S for state j and direction q. */
static dpi_node room(const dpi_lane_build *b, const dpi_lane_tangent *tan, int j, int q) {
  dpi_graph *g = b->g;
  const int at = j * tan->ndir + q;
  const double atol = b->def.atol_state ? b->def.atol_state[j] : b->def.atol;
  const dpi_node s = dpi_g_sym(g, dpi_tangent_s(b->sys, j, q, tan->ndir));
  const dpi_node scale = dpi_g_sym(g, dpi_tangent_scale(b->sys, q, tan->ndir));
  const dpi_node size = OP2(MAX, OP1(ABS, s), OP1(ABS, tan->x_new[at]));
  const dpi_node floor = OP2(MUL, dpi_g_const(g, atol), scale);
  return dpi_g_fma(g, dpi_g_const(g, b->def.rtol), size, floor);
}

/* |error of S| over its tolerance */
static dpi_node part(const dpi_lane_build *b, const dpi_lane_tangent *tan, int j, int q) {
  dpi_graph *g = b->g;
  return OP2(DIV, OP1(ABS, tan->error[j * tan->ndir + q]), room(b, tan, j, q));
}

dp_status dpi_lane_tangent_growth(const dpi_lane_tangent *tan, const dpi_lane_step *step, dpi_node *growth) {
  const dpi_lane_build *b = step->build;
  dpi_graph *g = b->g;
  if (!tan->point || step->growth == DPI_NODE_NONE) return DP_OK;
  const size_t each = (size_t)b->n * (size_t)tan->ndir;
  const dpi_node *last = tan->stage + (size_t)(tan->nstage - 1) * each, *before = last - each;
  const dpi_node zero = dpi_g_const(g, 0.0);
  dpi_node up = zero, down = zero;
  for (int j = 0; j < b->n; j++)
    for (int q = 0; q < tan->ndir; q++) {
      const int at = j * tan->ndir + q;
      const dpi_node unit = OP2(DIV, dpi_g_const(g, 1.0), room(b, tan, j, q)),
                     dv = OP2(MUL, OP2(SUB, last[at], before[at]), unit),
                     dx = OP2(MUL, OP2(SUB, tan->x_new[at], tan->point[at]), unit);
      up = dpi_g_fma(g, dv, dv, up);
      down = dpi_g_fma(g, dx, dx, down);
    }
  const dpi_node own = dpi_g_if(g, OP2(GT, down, zero), OP1(SQRT, OP2(DIV, up, down)), zero);
  *growth = OP2(MAX, step->growth, own);
  return *growth == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

dp_status dpi_lane_tangent_error(const dpi_lane_tangent *tan, const dpi_lane_step *step, dpi_node *err) {
  const dpi_lane_build *b = step->build;
  dpi_graph *g = b->g;
  int n = 0;
  dpi_node *list = DPI_NEW_ARRAY(tan->ctx, dpi_node, (size_t)b->n * tan->ndir + 1);
  if (!list) return DP_ERR_MEMORY;
  for (int j = 0; j < b->n; j++)
    for (int q = 0; q < tan->ndir; q++) list[n++] = part(b, tan, j, q);
  for (; n > 1; n = (n + 1) / 2)
    for (int i = 0; i < (n + 1) / 2; i++)
      list[i] = 2 * i + 1 < n ? OP2(MAX, list[2 * i], list[2 * i + 1]) : list[2 * i];
  const dpi_node all = OP2(LE, list[0], dpi_g_const(g, DBL_MAX));
  *err = OP2(MAX, step->err, dpi_g_if(g, all, list[0], dpi_g_const(g, INFINITY)));
  dpi_free(tan->ctx, list);
  return *err == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

void dpi_tangent_fast(const dpi_system *sys, int ndir, uint8_t *fast) {
  dpi_lane_fast(sys, fast);
  memset(fast + dpi_lane_nsym(sys), 0, (size_t)(dpi_tangent_nsym(sys, ndir) - dpi_lane_nsym(sys)));
  memset(fast + dpi_tangent_s(sys, 0, 0, ndir), 1, (size_t)sys->nstate * ndir);
  memset(fast + dpi_tangent_u(sys, 0, 0, ndir), 1, (size_t)sys->nstate * ndir);
}

/* ---- adjoint ---- */

typedef struct maker {
  dpi_lane_adjoint *adj;
  dpi_graph *g;
  const dpi_system *sys;
  dpi_node *out;    /* [(1 + ndense) nstate] x_new, dense */
  dpi_node *weight; /* the same size */
  dpi_node *at;     /* [2 nstate + nactive] */
  dpi_node *grad;   /* [2 nstate + nactive] */
  uint8_t *fast;    /* [nsym] */
} maker;

static dp_status weights(maker *k) {
  const int n = k->sys->nstate;
  int a = 0;
  for (int d = -1; d < k->adj->ndense; d++)
    for (int j = 0; j < n; j++) k->weight[(d + 1) * n + j] = dpi_g_sym(k->g, dpi_adjoint_w(k->sys, d, j));
  for (int j = 0; j < n; j++) k->at[a++] = dpi_g_sym(k->g, 1 + j);
  for (int j = 0; j < n; j++) k->at[a++] = dpi_g_sym(k->g, dpi_lane_sym(k->sys, DPI_LANE_U) + j);
  for (int i = 0; i < k->sys->nactive; i++) k->at[a++] = dpi_g_sym(k->g, k->sys->active[i]);
  for (int i = 0; i < a; i++)
    if (k->at[i] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  for (int i = 0; i < (1 + k->adj->ndense) * n; i++)
    if (k->weight[i] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  return DP_OK;
}

static dp_status backward(maker *k, int nout, dpi_tape **tape) {
  const int nat = 2 * k->sys->nstate + k->sys->nactive;
  DP_TRY(dpi_g_vjp(k->g, k->out, k->weight, nout, k->at, nat, k->grad));
  DP_TRY(dpi_lane_powers(k->adj->ctx, k->g, k->grad, nat, k->fast));
  return dpi_tape_create(k->adj->ctx, k->g, k->grad, nat, k->fast, k->adj->nsym, tape);
}

/* The first nout of them: the same powers as in the step's own tape. */
static dp_status forward(maker *k, int nout, dpi_tape **tape) {
  dp_ctx *ctx = k->adj->ctx;
  dpi_node *out = DPI_NEW_ARRAY(ctx, dpi_node, nout + 1);
  dp_status status = out ? DP_OK : DP_ERR_MEMORY;
  if (out) memcpy(out, k->out, sizeof *out * (size_t)nout);
  if (status == DP_OK) status = dpi_lane_powers(ctx, k->g, out, nout, k->fast);
  if (status == DP_OK) status = dpi_tape_create(ctx, k->g, out, nout, k->fast, k->adj->nsym, tape);
  dpi_free(ctx, out);
  return status;
}

static dp_status tapes(maker *k, const dpi_lane_step *step) {
  dpi_lane_adjoint *adj = k->adj;
  const int n = k->sys->nstate;
  for (int d = -1; d < adj->ndense; d++)
    memcpy(k->out + (d + 1) * n, d < 0 ? step->x_new : step->dense[d], sizeof *k->out * (size_t)n);
  DP_TRY(weights(k));
  dpi_lane_fast(k->sys, k->fast);
  memset(k->fast + dpi_adjoint_w(k->sys, -1, 0), 1, (size_t)(1 + adj->ndense) * n);
  DP_TRY(forward(k, n, &adj->step));
  DP_TRY(forward(k, (1 + adj->ndense) * n, &adj->out));
  DP_TRY(backward(k, n, &adj->back));
  return backward(k, (1 + adj->ndense) * n, &adj->back_dense);
}

dp_status dpi_lane_adjoint_create(dp_ctx *ctx, const dpi_lane_step *step, dpi_lane_adjoint **out) {
  const dpi_system *sys = step->build->sys;
  const size_t n = (size_t)sys->nstate, most = n * (1 + (size_t)step->ndense) + 1,
               nat = 2 * n + (size_t)sys->nactive + 1;
  dpi_lane_adjoint *adj = DPI_NEW(ctx, dpi_lane_adjoint);
  if (!adj) return DP_ERR_MEMORY;
  *adj =
      (dpi_lane_adjoint){.ctx = ctx, .sys = sys, .ndense = step->ndense, .nsym = dpi_adjoint_nsym(sys, step->ndense)};
  maker k = {.adj = adj, .g = sys->model->graph, .sys = sys};
  k.out = DPI_NEW_ARRAY(ctx, dpi_node, most);
  k.weight = DPI_NEW_ARRAY(ctx, dpi_node, most);
  k.at = DPI_NEW_ARRAY(ctx, dpi_node, nat);
  k.grad = DPI_NEW_ARRAY(ctx, dpi_node, nat);
  k.fast = DPI_NEW_ARRAY(ctx, uint8_t, (size_t)adj->nsym + 1);
  dp_status status = k.out && k.weight && k.at && k.grad && k.fast ? tapes(&k, step) : DP_ERR_MEMORY;
  dpi_free(ctx, k.out);
  dpi_free(ctx, k.weight);
  dpi_free(ctx, k.at);
  dpi_free(ctx, k.grad);
  dpi_free(ctx, k.fast);
  if (status != DP_OK) {
    dpi_lane_adjoint_destroy(adj);
    return status;
  }
  *out = adj;
  return DP_OK;
}

void dpi_lane_adjoint_destroy(dpi_lane_adjoint *adj) {
  if (!adj) return;
  dpi_tape_destroy(adj->step);
  dpi_tape_destroy(adj->out);
  dpi_tape_destroy(adj->back);
  dpi_tape_destroy(adj->back_dense);
  dpi_free(adj->ctx, adj);
}
