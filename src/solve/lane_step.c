/* lane_step.c - floor 3: what all step graphs have in common: rates at a stage, error norm, dense output.
 *
 * Divisions are dear: the error norm compares fractions by their cross products and divides once.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "solve/lane_step_impl.h"

#define OP1(op, a) dpi_g_op1(b->g, DPI_OP_##op, (a))
#define OP2(op, a, c) dpi_g_op2(b->g, DPI_OP_##op, (a), (c))

dp_status dpi_lane_no_memory(const dpi_lane_build *b) {
  return dpi_fail(b->ctx, DP_ERR_MEMORY, "model '%s': a step of method %s can't be stored", b->sys->model->name,
                  b->tab->name);
}

dpi_node *dpi_lane_nodes(dpi_lane_build *b, int n) {
  dpi_node *p = DPI_ARENA_ARRAY(b->arena, dpi_node, n > 0 ? n : 1);
  for (int i = 0; p != NULL && i < n; i++) p[i] = DPI_NODE_NONE;
  return p;
}

/* ---- rates ---- */

static dp_status derive(dpi_lane_build *b) {
  const dpi_system *sys = b->sys;
  for (int k = 0; k < sys->jac_nnz; k++) {
    b->jac[k] = dpi_g_diff(b->g, b->formula[sys->jac_row[k]], 1 + sys->jac_col[k]);
    if (b->jac[k] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  }
  for (int k = 0; k < b->n && b->rate_t != NULL; k++) {
    b->rate_t[k] = dpi_g_diff(b->g, b->formula[k], 0);
    if (b->rate_t[k] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  }
  return DP_OK;
}

/* Rates and derivatives as the step has them. Derivatives by time appear only where a rate has time in it. */
static dp_status write_rates(dpi_lane_build *b) {
  const dpi_system *sys = b->sys;
  const int n = b->n, nnz = b->tab->implicit ? sys->jac_nnz : 0, nt = b->tab->implicit && !sys->autonomous ? n : 0;
  b->formula = dpi_lane_nodes(b, n + nnz + nt); /* rewritten together: they share */
  b->later = dpi_lane_nodes(b, n);
  if (b->formula == NULL || b->later == NULL) return DP_ERR_MEMORY;
  b->jac = b->formula + n;
  b->rate_t = nt > 0 ? b->jac + nnz : NULL;
  for (int k = 0; k < n; k++) b->formula[k] = b->later[k] = sys->model->sym[1 + k].formula;
  if (b->tab->implicit) DP_TRY(derive(b));
  DP_TRY(dpi_lane_rewrite(b->ctx, sys, b->formula, n + nnz + nt));
  return dpi_lane_rewrite(b->ctx, sys, b->later, n);
}

/* ---- stages ---- */

dp_status dpi_lane_rates(dpi_lane_build *b, int i) {
  b->replacement[0] = b->time[i];
  memcpy(b->replacement + 1, b->point[i], (size_t)b->n * sizeof *b->replacement);
  b->rate[i] = dpi_lane_nodes(b, b->n);
  if (b->rate[i] == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < b->n; k++) {
    dpi_node f = dpi_g_subst(b->g, i == 0 ? b->formula[k] : b->later[k], b->replacement, b->sys->nsym);
    b->rate[i][k] = b->u == NULL ? f : OP2(ADD, f, b->u[k]);
    if (b->rate[i][k] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  }
  return DP_OK;
}

dpi_node dpi_lane_sum(const dpi_lane_build *b, dpi_node acc, const dpi_node *w, dpi_node *const *v, int from, int m,
                      int state) {
  for (int j = from; j < m; j++)
    if (w[j] != DPI_NODE_NONE) acc = dpi_g_fma(b->g, w[j], v[j][state], acc);
  return acc;
}

dp_status dpi_lane_row(const dpi_lane_build *b, const double *row, int m, dpi_node *w) {
  for (int j = 0; j < m; j++) {
    w[j] = row[j] == 0.0 ? DPI_NODE_NONE : dpi_lane_const(b, row[j]);
    if (row[j] != 0.0 && w[j] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  }
  return DP_OK;
}

/* Does the row go on where the row before ended? (stiffly accurate methods: x_6 = x_5 + U_5) */
static int shared(int i, const double *row, const double *before) {
  if (before == NULL) return 0;
  for (int j = 0; j < i - 1; j++)
    if (row[j] != before[j]) return 0;
  return i - 1;
}

dp_status dpi_lane_point(dpi_lane_build *b, int i, const double *row, const double *before, const dpi_node *w,
                         dpi_node *out) {
  int from = shared(i, row, before);
  const dpi_node *base = from > 0 ? b->point[i - 1] : b->x;
  for (int k = 0; k < b->n; k++) {
    out[k] = dpi_lane_sum(b, base[k], w, b->stage, from, i, k);
    if (out[k] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  }
  return DP_OK;
}

/* ---- error ---- */

typedef struct fraction {
  dpi_node num, den;
} fraction;

static fraction larger(const dpi_lane_build *b, fraction p, fraction q) {
  dpi_node first = OP2(GE, OP2(MUL, p.num, q.den), OP2(MUL, q.num, p.den));
  return (fraction){dpi_g_if(b->g, first, p.num, q.num), dpi_g_if(b->g, first, p.den, q.den)};
}

/* The largest, in pairs, so that it does not become one long chain; overwrites f. */
static fraction largest(const dpi_lane_build *b, fraction *f, int n) {
  for (; n > 1; n = (n + 1) / 2)
    for (int i = 0; i < (n + 1) / 2; i++) f[i] = 2 * i + 1 < n ? larger(b, f[2 * i], f[2 * i + 1]) : f[2 * i];
  return f[0];
}

dpi_node dpi_lane_weight(const dpi_lane_build *b, const dpi_lane_step *s, int k) {
  double atol = fmax(b->def.atol_state != NULL ? b->def.atol_state[k] : b->def.atol, DBL_MIN); /* never 0/0 */
  dpi_node size = OP2(MAX, OP1(ABS, b->x[k]), OP1(ABS, s->x_new[k]));
  return dpi_g_fma(b->g, dpi_lane_const(b, b->def.rtol), size, dpi_lane_const(b, atol));
}

/* is everything finite? a sum is, when its terms are: comparisons alone would let a NaN through */
static dpi_node finite(const dpi_lane_build *b, const dpi_lane_step *s) {
  dpi_node sum = dpi_lane_const(b, 0.0);
  for (int k = 0; k < b->n; k++) sum = OP2(ADD, sum, s->x_new[k]);
  for (int k = 0; k < b->n && !s->implicit; k++) sum = OP2(ADD, sum, s->error[k]); /* implicit: x_new has it in */
  return OP2(LE, OP1(ABS, sum), dpi_lane_const(b, DBL_MAX));
}

static dp_status add_norm(dpi_lane_build *b, dpi_lane_step *s) {
  fraction *f = DPI_ARENA_ARRAY(b->arena, fraction, b->n > 0 ? b->n : 1);
  if (f == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < b->n; k++) f[k] = (fraction){OP1(ABS, s->error[k]), dpi_lane_weight(b, s, k)};
  fraction worst = largest(b, f, b->n);
  s->err = dpi_g_if(b->g, finite(b, s), OP2(DIV, worst.num, worst.den), dpi_lane_const(b, INFINITY));
  return s->err == DPI_NODE_NONE ? dpi_lane_no_memory(b) : DP_OK;
}

static dp_status add_error(dpi_lane_build *b, dpi_lane_step *s) {
  dpi_node w[DPI_LANE_STAGE_MAX], zero = dpi_lane_const(b, 0.0);
  DP_TRY(dpi_lane_row(b, b->tab->error, b->nstage, w));
  s->error = dpi_lane_nodes(b, b->n);
  if (s->error == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < b->n; k++) {
    s->error[k] = dpi_lane_sum(b, zero, w, b->stage, 0, b->nstage, k);
    if (s->error[k] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  }
  return DP_OK;
}

static dp_status add_dense(dpi_lane_build *b, dpi_lane_step *s) {
  dpi_node w[DPI_LANE_STAGE_MAX], zero = dpi_lane_const(b, 0.0);
  s->ndense = b->tab->ndense;
  s->dense_weight = b->tab->dense;
  for (int d = 0; d < s->ndense; d++) {
    DP_TRY(dpi_lane_row(b, b->tab->dense + d * b->nstage, b->nstage, w));
    s->dense[d] = dpi_lane_nodes(b, b->n);
    if (s->dense[d] == NULL) return DP_ERR_MEMORY;
    for (int k = 0; k < b->n; k++) {
      s->dense[d][k] = dpi_lane_sum(b, zero, w, b->stage, 0, b->nstage, k);
      if (s->dense[d][k] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
    }
  }
  return DP_OK;
}

/* ---- the whole ---- */

static dp_status start(dpi_lane_build *b) {
  b->n = b->sys->nstate;
  b->nstage = b->tab->nstage;
  b->t = dpi_g_sym(b->g, 0);
  b->h = dpi_g_sym(b->g, dpi_lane_sym(b->sys, DPI_LANE_H));
  b->x = dpi_lane_nodes(b, b->n);
  b->u = b->def.input ? dpi_lane_nodes(b, b->n) : NULL;
  b->replacement = dpi_lane_nodes(b, b->sys->nsym);
  if (b->x == NULL || (b->def.input && b->u == NULL) || b->replacement == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < b->n; k++) {
    b->x[k] = dpi_g_sym(b->g, 1 + k);
    if (b->u != NULL) b->u[k] = dpi_g_sym(b->g, dpi_lane_sym(b->sys, DPI_LANE_U + k));
  }
  /* substituted for a symbol, none would mean: the symbol stays */
  bool all = b->t != DPI_NODE_NONE && b->h != DPI_NODE_NONE;
  for (int k = 0; k < b->n; k++) all = all && b->x[k] != DPI_NODE_NONE && (b->u == NULL || b->u[k] != DPI_NODE_NONE);
  for (int i = 0; i < b->nstage; i++) {
    b->time[i] = dpi_g_fma(b->g, dpi_lane_const(b, b->tab->alpha[i]), b->h, b->t);
    all = all && b->time[i] != DPI_NODE_NONE;
  }
  return all ? write_rates(b) : dpi_lane_no_memory(b);
}

static dp_status check(dp_ctx *ctx, const dpi_system *sys, const dpi_lane_step_def *def) {
  if (dpi_lane_tableau_find(def->method) == NULL)
    return dpi_fail(ctx, DP_ERR_USAGE, "there is no method '%s' that steps in lanes", def->method);
  if (sys->nalgebraic > 0 || sys->ndelayed > 0)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "model '%s': algebraic and delayed values can't be stepped in lanes",
                    sys->model->name);
  if (sys->nstate < 1) return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "model '%s' has no states to step", sys->model->name);
  return DP_OK;
}

dp_status dpi_lane_step_build(dp_ctx *ctx, const dpi_system *sys, const dpi_lane_step_def *def, dpi_arena *arena,
                              dpi_lane_step *out) {
  DP_TRY(check(ctx, sys, def));
  dpi_lane_build *b = DPI_ARENA_NEW(arena, dpi_lane_build);
  if (b == NULL) return DP_ERR_MEMORY;
  *b = (dpi_lane_build){.ctx = ctx, .arena = arena, .g = sys->model->graph, .sys = sys, .def = *def};
  b->tab = dpi_lane_tableau_find(def->method);
  *out = (dpi_lane_step){.method = b->tab->name,
                         .order = b->tab->order,
                         .order_error = b->tab->order_error,
                         .implicit = b->tab->implicit,
                         .nstage = b->tab->nstage,
                         .limit = b->tab->limit,
                         .build = b};
  out->growth = DPI_NODE_NONE;
  DP_TRY(start(b));
  DP_TRY(b->tab->implicit ? dpi_lane_build_ros(b, out) : dpi_lane_build_rk(b, out));
  out->stage = b->stage;
  DP_TRY(add_error(b, out));
  DP_TRY(add_norm(b, out));
  return add_dense(b, out);
}

/* ---- symbols ---- */

void dpi_lane_fast(const dpi_system *sys, uint8_t *fast) {
  memset(fast, 0, (size_t)dpi_lane_nsym(sys));
  memset(fast, 1, (size_t)sys->nstate + 1);
  memset(fast + sys->nsym, 1, (size_t)(DPI_LANE_U + sys->nstate));
}
