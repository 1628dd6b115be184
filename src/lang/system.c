/* system.c - floor 3: from a sealed model to the tapes an integrator needs: right-hand side, Jacobian, parameter
 * derivatives, initial values, delayed expressions; and what is known about its shape (linear, autonomous).
 *
 * The tape `full` shares all subexpressions between dx/dt, J and F_p because the graph is hash-consed.
 */
#include <string.h>

#include "lang/lang_impl.h"

typedef struct entry {
  int row, col;
  dpi_node value;
} entry;

typedef struct builder {
  dp_ctx *ctx;
  dpi_graph *g;
  const dp_model *m;
  dpi_system *sys;
  uint8_t *fast;    /* [nsym] time, states, delayed */
  int *first, *row; /* formulas that contain a symbol: row[first[sym] .. first[sym + 1]), ascending */
  entry *jac, *fp;
  int njac, nfp, cap_jac, cap_fp;
} builder;

static dp_status no_memory(const builder *b) {
  return dpi_fail(b->ctx, DP_ERR_MEMORY, "model '%s': the derivatives can't be stored", b->m->name);
}

/* d rhs_row / d sym as an entry, unless it is zero */
static dp_status add_entry(builder *b, int row, int col, int sym, entry **list, int *n, int *cap) {
  dpi_node d = dpi_g_diff(b->g, b->m->sym[1 + row].formula, sym);
  double value;
  if (d == DPI_NODE_NONE) return no_memory(b);
  if (dpi_g_is_const(b->g, d, &value) && value == 0.0) return DP_OK;
  DP_TRY(dpi_grow(b->ctx, (void **)list, cap, *n + 1, sizeof **list));
  (*list)[(*n)++] = (entry){row, col, d};
  return DP_OK;
}

typedef struct occurrence {
  int sym, row;
} occurrence;

static dp_status add_occurrences(builder *b, int row, occurrence **list, int *count, int *cap) {
  const dpi_node *node;
  int n;
  if (dpi_g_reach_fast(b->g, b->m->sym[1 + row].formula, -1, &node, &n) != DP_OK) return no_memory(b);
  for (int i = 0; i < n; i++) {
    dpi_gnode at = dpi_graph_at(b->g, node[i]);
    if (at.op != DPI_OP_SYM) continue;
    DP_TRY(dpi_grow(b->ctx, (void **)list, cap, *count + 1, sizeof **list));
    (*list)[(*count)++] = (occurrence){at.arg[0], row};
  }
  return DP_OK;
}

/* which formulas contain which symbols */
static dp_status find_occurrences(builder *b) {
  occurrence *list = NULL;
  int count = 0, cap = 0, nsym = b->m->nsym;
  dp_status status = DP_OK;
  for (int i = 0; i < b->m->nstate && status == DP_OK; i++) status = add_occurrences(b, i, &list, &count, &cap);
  b->first = DPI_NEW_ARRAY(b->ctx, int, nsym + 2);
  b->row = DPI_NEW_ARRAY(b->ctx, int, count > 0 ? count : 1);
  if (status == DP_OK && (b->first == NULL || b->row == NULL)) status = DP_ERR_MEMORY;
  if (status == DP_OK) { /* counted two places on, so that filling leaves the beginnings */
    for (int i = 0; i < count; i++) b->first[list[i].sym + 2]++;
    for (int i = 0; i < nsym; i++) b->first[i + 2] += b->first[i + 1];
    for (int i = 0; i < count; i++) b->row[b->first[list[i].sym + 1]++] = list[i].row;
  }
  dpi_free(b->ctx, list);
  return status;
}

static dp_status derive(builder *b) {
  DP_TRY(find_occurrences(b));
  for (int j = 0; j < b->m->nstate; j++)
    for (int i = b->first[1 + j]; i < b->first[2 + j]; i++)
      DP_TRY(add_entry(b, b->row[i], j, 1 + j, &b->jac, &b->njac, &b->cap_jac));
  for (int k = 0; k < b->sys->nactive; k++) {
    int sym = b->sys->active[k];
    for (int i = b->first[sym]; i < b->first[sym + 1]; i++)
      DP_TRY(add_entry(b, b->row[i], k, sym, &b->fp, &b->nfp, &b->cap_fp));
  }
  return DP_OK;
}

static dp_status copy_pattern(builder *b, const entry *list, int n, const int **row,
                              const int **col) {
  int *r = DPI_NEW_ARRAY(b->ctx, int, n > 0 ? n : 1),
      *c = DPI_NEW_ARRAY(b->ctx, int, n > 0 ? n : 1);
  *row = r;
  *col = c;
  if (r == NULL || c == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    r[i] = list[i].row;
    c[i] = list[i].col;
  }
  return DP_OK;
}

static dp_status build_tape(builder *b, dpi_node *out, int nout, dpi_tape **tape) {
  return dpi_tape_create(b->ctx, b->g, out, nout, b->fast, b->m->nsym, tape);
}

static dp_status build_tapes(builder *b, dpi_node *out) {
  dpi_system *sys = b->sys;
  int n = b->m->nstate, k = 0;
  for (; k < n; k++) out[k] = b->m->sym[1 + k].formula;
  DP_TRY(build_tape(b, out, n, &sys->rhs));
  for (int i = 0; i < b->njac; i++) out[k++] = b->jac[i].value;
  for (int i = 0; i < b->nfp; i++) out[k++] = b->fp[i].value;
  return build_tape(b, out, k, &sys->full);
}

static dp_status build_init(builder *b, dpi_node *out) {
  dpi_system *sys = b->sys;
  int n = b->m->nstate, k = n;
  for (int i = 0; i < n; i++) out[i] = b->m->sym[1 + i].init;
  for (int i = 0; i < n; i++) {
    for (int a = 0; a < sys->nactive; a++) {
      out[k] = dpi_g_diff(b->g, out[i], sys->active[a]);
      if (out[k++] == DPI_NODE_NONE) return no_memory(b);
    }
  }
  return build_tape(b, out, k, &sys->init);
}

/* ---- shape ---- */

/* does this depend on time, a state or a delayed value? by node, for every node there is now */
static dp_status find_moving(const builder *b, uint8_t **moving) {
  int n = dpi_graph_count(b->g);
  uint8_t *flag = DPI_NEW_ARRAY(b->ctx, uint8_t, n > 0 ? n : 1);
  *moving = flag;
  if (flag == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) { /* arguments come before their users */
    dpi_gnode at = dpi_graph_at(b->g, i);
    int nchild = dpi_op_arity(at.op);
    flag[i] = at.op == DPI_OP_SYM && at.arg[0] < b->m->nsym && b->fast[at.arg[0]];
    for (int k = 0; k < nchild; k++) flag[i] |= flag[at.arg[k]];
  }
  return DP_OK;
}

/* does an operation that hides depend on what moves, anywhere in the right-hand side? */
static dp_status find_hidden(const builder *b, const dpi_node *rhs, const uint8_t *moving, bool *found) {
  dpi_node *list = NULL;
  int n = 0;
  DP_TRY(dpi_g_reach(b->g, rhs, b->m->nstate, &list, &n));
  for (int i = 0; i < n && !*found; i++) {
    dpi_gnode at = dpi_graph_at(b->g, list[i]);
    if (dpi_op_hides(at.op)) *found = moving[at.op == DPI_OP_IF ? at.arg[0] : list[i]];
  }
  dpi_free(b->ctx, list);
  return DP_OK;
}

/* the right-hand side at x = 0 */
static dp_status remainder_at_zero(builder *b, dpi_node *rest) {
  const dp_model *m = b->m;
  dpi_node *zero = DPI_NEW_ARRAY(b->ctx, dpi_node, m->nsym);
  if (zero == NULL) return DP_ERR_MEMORY;
  dp_status status = DP_OK;
  for (int i = 0; i < m->nsym; i++) zero[i] = i >= 1 && i <= m->nstate ? dpi_g_const(b->g, 0.0) : DPI_NODE_NONE;
  for (int i = 0; i < m->nstate && status == DP_OK; i++) {
    rest[i] = dpi_g_subst(b->g, m->sym[1 + i].formula, zero, m->nsym);
    if (rest[i] == DPI_NODE_NONE) status = no_memory(b);
  }
  dpi_free(b->ctx, zero);
  return status;
}

/* rhs = A(p) x + b(p) exactly when J is free of x and t and what is left at x = 0 is free of t */
static dp_status find_shape(builder *b, dpi_node *work) {
  const dp_model *m = b->m;
  int n = m->nstate;
  /* fast reactions are too stiff for a matrix exponential */
  bool bent = m->nalgebraic > 0 || m->ndelayed > 0 || dpi_model_find(m, DPI_FAST_SPEED) >= 0;
  b->sys->autonomous = m->ndelayed == 0 && b->first[0] == b->first[1];
  if (!bent) DP_TRY(remainder_at_zero(b, work));
  uint8_t *moving = NULL;
  DP_TRY(find_moving(b, &moving));
  for (int i = 0; i < b->njac && !bent; i++) bent = moving[b->jac[i].value];
  for (int i = 0; i < n && !bent; i++) bent = moving[work[i]];
  for (int i = 0; i < n; i++) work[i] = m->sym[1 + i].formula;
  dp_status status = bent ? DP_OK : find_hidden(b, work, moving, &bent);
  dpi_free(b->ctx, moving);
  b->sys->linear = !bent;
  return status;
}

/* lags and delayed expressions; the expressions as they were before the start */
static dp_status build_delays(builder *b, dpi_node *out) {
  const dp_model *m = b->m;
  int n = m->ndelayed, first = m->nstate + 1;
  if (n == 0) return DP_OK;
  for (int i = 0; i < n; i++) {
    out[i] = m->sym[first + i].delay;
    out[n + i] = m->sym[first + i].formula;
  }
  DP_TRY(build_tape(b, out, 2 * n, &b->sys->lag));
  for (int i = 0; i < n; i++) out[i] = m->sym[first + i].init;
  return build_tape(b, out, n, &b->sys->past);
}

static dp_status check_active(const builder *b) {
  for (int k = 0; k < b->sys->nactive; k++) {
    int sym = b->sys->active[k];
    if (sym < 1 || sym >= b->m->nsym)
      return dpi_fail(b->ctx, DP_ERR_USAGE, "active parameter %d is not a symbol of model '%s'",
                      sym, b->m->name);
    if (b->m->sym[sym].kind != DPI_SYM_PARAM)
      return dpi_fail(b->ctx, DP_ERR_USAGE,
                      "'%s' can't carry derivatives, expected a parameter of model '%s'",
                      b->m->sym[sym].id, b->m->name);
  }
  return DP_OK;
}

static dp_status build(builder *b) {
  const dp_model *m = b->m;
  size_t n = (size_t)m->nstate, na = (size_t)b->sys->nactive;
  b->fast = DPI_NEW_ARRAY(b->ctx, uint8_t, m->nsym);
  if (b->fast == NULL) return DP_ERR_MEMORY;
  DP_TRY(check_active(b));
  memset(b->fast, 1, n + 1 + (size_t)m->ndelayed);
  DP_TRY(derive(b));
  size_t most = n + (size_t)b->njac + (size_t)b->nfp + n * na + 2 * (size_t)m->ndelayed + 1;
  dpi_node *out = DPI_NEW_ARRAY(b->ctx, dpi_node, most);
  if (out == NULL) return DP_ERR_MEMORY;
  dp_status status = build_tapes(b, out);
  if (status == DP_OK) status = build_init(b, out);
  if (status == DP_OK) status = build_delays(b, out);
  if (status == DP_OK) status = find_shape(b, out);
  dpi_free(b->ctx, out);
  DP_TRY(status);
  b->sys->jac_nnz = b->njac;
  b->sys->fp_nnz = b->nfp;
  DP_TRY(copy_pattern(b, b->jac, b->njac, &b->sys->jac_row, &b->sys->jac_col));
  return copy_pattern(b, b->fp, b->nfp, &b->sys->fp_row, &b->sys->fp_col);
}

dp_status dpi_system_create(dp_ctx *ctx, const dp_model *m, const int *active, int nactive,
                            dpi_system **out) {
  if (!m->sealed)
    return dpi_fail(ctx, DP_ERR_USAGE, "model '%s' must be sealed before it is compiled", m->name);
  dpi_system *sys = DPI_NEW(ctx, dpi_system);
  if (sys == NULL) return DP_ERR_MEMORY;
  int *copy = DPI_NEW_ARRAY(ctx, int, nactive > 0 ? nactive : 1);
  sys->ctx = ctx;
  sys->model = m;
  sys->nsym = m->nsym;
  sys->nstate = m->nstate;
  sys->nalgebraic = m->nalgebraic;
  sys->ndelayed = m->ndelayed;
  sys->nactive = nactive;
  sys->active = copy;
  builder b = {.ctx = ctx, .g = m->graph, .m = m, .sys = sys};
  dp_status status = copy == NULL ? DP_ERR_MEMORY : DP_OK;
  if (status == DP_OK && nactive > 0) memcpy(copy, active, (size_t)nactive * sizeof *copy);
  if (status == DP_OK) status = build(&b);
  dpi_free(ctx, b.fast);
  dpi_free(ctx, b.first);
  dpi_free(ctx, b.row);
  dpi_free(ctx, b.jac);
  dpi_free(ctx, b.fp);
  if (status != DP_OK) {
    dpi_system_destroy(sys);
    return status;
  }
  *out = sys;
  return DP_OK;
}

void dpi_system_destroy(dpi_system *sys) {
  if (sys == NULL) return;
  dp_ctx *ctx = sys->ctx;
  dpi_tape_destroy(sys->rhs);
  dpi_tape_destroy(sys->full);
  dpi_tape_destroy(sys->init);
  dpi_tape_destroy(sys->lag);
  dpi_tape_destroy(sys->past);
  dpi_free(ctx, (void *)sys->active);
  dpi_free(ctx, (void *)sys->jac_row);
  dpi_free(ctx, (void *)sys->jac_col);
  dpi_free(ctx, (void *)sys->fp_row);
  dpi_free(ctx, (void *)sys->fp_col);
  dpi_free(ctx, sys);
}
