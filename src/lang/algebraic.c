/* algebraic.c - floor 3: which variable each constraint 0 = g determines, and how.
 *
 *  1. residuals are written out in what has a value of its own; those that are 0 say nothing and are dropped;
 *  2. constraints are matched to unknowns (dpi_symbol.free). Where there is a choice a variable without a value is
 *     taken before one with a value, one that no event sets before one that an event sets, one in the rule itself
 *     before one behind its assigned symbols, then in the order of the text. (What can be matched is a matroid: taking
 *     it greedily in this order gives the best complete matching.)
 *  3. the matched equations fall into blocks that depend on each other in one direction only (Tarjan);
 *  4. a block linear in its unknowns is solved: they become ASSIGNED. Others become algebraic STATEs, left numeric.
 *
 * A constraint that finds no unknown is refused: too many equations, or states bound to each other (higher index).
 */
#include <math.h>
#include <string.h>

#include "lang/seal_impl.h"

#define BLOCK_MAX 6   /* larger blocks are left to the numeric solver */
#define CRAMER_MAX 3  /* what elimination with constant pivots may leave over */
#define GUESS 1.0     /* where the search starts for a variable without initial value */

typedef struct equation {
  dpi_node g;  /* written out */
  int line;
  int constraint; /* its index */
  int unknown; /* symbol, 0: not matched */
  int first, n;   /* unknowns in it: edge[first..] */
  int first_rate, nrate; /* unknowns whose rate of change is in it: edge too */
  int low, index; /* Tarjan; index 0: not visited */
  bool open;
} equation;

typedef struct system {
  dpi_sealer *s;
  dpi_graph *g;
  dpi_node *present;
  equation *eq;
  int n;
  int *edge; /* symbols */
  int nedge, cap_edge;
  uint8_t *direct;      /* [nsym] stands in a constraint as written, not only behind assigned symbols */
  int *owner;           /* [nsym] equation that determines the symbol + 1, 0: none */
  int *back, *back_first; /* equations in which a symbol occurs: back[back_first[sym] .. back_first[sym + 1]) */
} system;

static dp_status fail_equation(const system *y, const equation *e, dp_status status, const char *why) {
  dpi_str text;
  dpi_str_init(&text, y->s->ctx);
  dpi_model_print(y->s->m, e->g, &text);
  bool cut = text.len > 120;
  dp_status made = dpi_fail(y->s->ctx, status, "%s:%d: algebraic rule 0 = %.120s%s %s", y->s->m->source, e->line,
                            dpi_str_text(&text), cut ? " ..." : "", why);
  dpi_str_release(&text);
  return made;
}

/* ---- 1. written out ---- */
static dp_status add_edge(system *y, int sym) {
  DP_TRY(dpi_grow(y->s->ctx, (void **)&y->edge, &y->cap_edge, y->nedge + 1, sizeof *y->edge));
  y->edge[y->nedge++] = sym;
  return DP_OK;
}

/* of whose rate this is, however often derived */
static int rate_base(const dp_model *m, int sym) {
  while (m->sym[sym].kind == DPI_SYM_RATEOF) sym = m->sym[sym].target;
  return sym;
}

static dp_status find_unknowns(system *y, equation *e) {
  dpi_sealer *s = y->s;
  int n;
  DP_TRY(dpi_seal_symbols(s, e->g, &n));
  e->first = y->nedge;
  for (int i = 0; i < n; i++)
    if (dpi_seal_is_unknown(s, s->list[i])) DP_TRY(add_edge(y, s->list[i]));
  e->n = y->nedge - e->first;
  e->first_rate = y->nedge;
  for (int i = 0; i < n; i++)
    if (s->m->sym[s->list[i]].kind == DPI_SYM_RATEOF) DP_TRY(add_edge(y, rate_base(s->m, s->list[i])));
  e->nrate = y->nedge - e->first_rate;
  return DP_OK;
}

static dp_status mark_direct(system *y, dpi_node g) {
  int n;
  DP_TRY(dpi_seal_symbols(y->s, g, &n));
  for (int i = 0; i < n; i++) y->direct[y->s->list[i]] = 1;
  return DP_OK;
}

static dp_status write_equations(system *y) {
  dp_model *m = y->s->m;
  DP_TRY(dpi_seal_resolve(y->s, DPI_SEAL_PRESENT, y->present));
  for (int i = 0; i < m->nconstraint; i++) {
    equation *e = &y->eq[y->n];
    double value;
    *e = (equation){.g = m->constraint[i].residual, .line = m->constraint[i].line, .constraint = i};
    DP_TRY(mark_direct(y, e->g));
    DP_TRY(dpi_seal_write_out(y->s, &e->g, y->present));
    if (!dpi_g_is_const(y->g, e->g, &value)) {
      DP_TRY(find_unknowns(y, e));
      y->n++;
    } else if (value != 0.0) {
      return fail_equation(y, e, DP_ERR_INPUT, "can't hold");
    }
  }
  return DP_OK;
}

/* from symbols to the equations they stand in */
static void turn_edges(system *y) {
  int nsym = y->s->m->nsym;
  for (int i = 0; i < y->n; i++)
    for (int k = 0; k < y->eq[i].n; k++) y->back_first[y->edge[y->eq[i].first + k] + 1]++;
  for (int i = 0; i < nsym; i++) y->back_first[i + 1] += y->back_first[i];
  int total = y->back_first[nsym];
  for (int i = y->n - 1; i >= 0; i--)
    for (int k = 0; k < y->eq[i].n; k++) y->back[--y->back_first[y->edge[y->eq[i].first + k] + 1]] = i;
  for (int i = 0; i < nsym; i++) y->back_first[i] = y->back_first[i + 1];
  y->back_first[nsym] = total;
}

/* ---- 2. matching ---- */
typedef struct search {
  int *from;     /* [n] symbol by which an equation was reached */
  int *queue;    /* [n] equations reached */
  uint8_t *seen; /* [n]; stays set after a search without success: no later one can pass there */
} search;

static void reach_from(system *y, search *w, int sym, int *n) {
  for (int k = y->back_first[sym]; k < y->back_first[sym + 1]; k++) {
    int i = y->back[k];
    if (w->seen[i]) continue;
    w->seen[i] = 1;
    w->from[i] = sym;
    w->queue[(*n)++] = i;
  }
}

/* give sym an equation, moving others to theirs if need be */
static bool match_symbol(system *y, search *w, int sym) {
  int n = 0;
  reach_from(y, w, sym, &n);
  for (int k = 0; k < n; k++) {
    int i = w->queue[k];
    if (y->eq[i].unknown > 0) {
      reach_from(y, w, y->eq[i].unknown, &n);
      continue;
    }
    for (int at = i;;) { /* along the path back to sym */
      int owner = w->from[at], left = y->owner[owner] - 1;
      y->eq[at].unknown = owner;
      y->owner[owner] = at + 1;
      if (owner == sym) break;
      at = left;
    }
    for (int j = 0; j < n; j++) w->seen[w->queue[j]] = 0;
    return true;
  }
  return false;
}

/* 0: taken first */
static int rank(const system *y, int sym) {
  const dpi_symbol *v = &y->s->m->sym[sym];
  int hidden = !y->direct[sym]; /* a rule is rather about what was written into it */
  if (y->s->target[sym]) return 4 + hidden;
  return 2 * (v->init != DPI_NODE_NONE || v->value == v->value) + hidden;
}

static dp_status check_matched(const system *y) {
  bool left = false;
  for (int i = 0; i < y->s->m->nsym; i++) left = left || (dpi_seal_is_unknown(y->s, i) && y->owner[i] == 0);
  for (int i = 0; i < y->n; i++) {
    const equation *e = &y->eq[i];
    if (e->unknown > 0) continue;
    if (left)
      return fail_equation(y, e, DP_ERR_UNSUPPORTED,
                           "determines nothing that is not determined otherwise (overdetermined, or of higher index)");
    return fail_equation(y, e, DP_ERR_INPUT, "determines nothing that is not determined otherwise (overdetermined)");
  }
  return DP_OK;
}

static dp_status match(system *y) {
  dp_ctx *ctx = y->s->ctx;
  search w = {.from = DPI_NEW_ARRAY(ctx, int, y->n),
              .queue = DPI_NEW_ARRAY(ctx, int, y->n),
              .seen = DPI_NEW_ARRAY(ctx, uint8_t, y->n)};
  bool ok = w.from != NULL && w.queue != NULL && w.seen != NULL;
  int matched = 0;
  for (int r = 0; r <= 5 && ok; r++)
    for (int i = 1; i < y->s->m->nsym && matched < y->n; i++)
      if (dpi_seal_is_unknown(y->s, i) && rank(y, i) == r) matched += match_symbol(y, &w, i);
  dpi_free(ctx, w.from);
  dpi_free(ctx, w.queue);
  dpi_free(ctx, w.seen);
  return ok ? check_matched(y) : DP_ERR_MEMORY;
}

/* ---- 4. blocks ---- */
typedef struct block {
  int n;
  const int *eq;
  dpi_node a[BLOCK_MAX][BLOCK_MAX], b[BLOCK_MAX]; /* a u = b */
  dpi_node u[BLOCK_MAX];
  int row[BLOCK_MAX], col[BLOCK_MAX]; /* pivots in order */
} block;

static const equation *eq_of(const system *y, const block *k, int i) { return &y->eq[k->eq[i]]; }

static bool is_zero(const system *y, dpi_node n) {
  double v;
  return dpi_g_is_const(y->g, n, &v) && v == 0.0;
}

static dpi_node minus(system *y, dpi_node a, dpi_node b) { return dpi_g_op2(y->g, DPI_OP_SUB, a, b); }
static dpi_node times(system *y, dpi_node a, dpi_node b) { return dpi_g_op2(y->g, DPI_OP_MUL, a, b); }
static dpi_node over(system *y, dpi_node a, dpi_node b) {
  double v;
  bool turn = dpi_g_is_const(y->g, b, &v) && v < 0.0; /* reads better */
  if (turn) b = dpi_g_const(y->g, -v);
  dpi_node made = dpi_g_op2(y->g, DPI_OP_DIV, a, b);
  return turn ? dpi_g_op1(y->g, DPI_OP_NEG, made) : made;
}

/* does an operation whose derivative hides that it is not linear depend on these symbols? */
static dp_status is_bent(system *y, dpi_node g, const uint8_t *set, bool *bent) {
  const dpi_node *list;
  int n;
  if (dpi_g_reach_fast(y->g, g, -1, &list, &n) != DP_OK) return dpi_seal_no_memory(y->s);
  int32_t *uses = dpi_g_scratch(y->g);
  for (int i = 0; i < n && !*bent; i++) {
    dpi_gnode at = dpi_graph_at(y->g, list[i]);
    int nchild = dpi_op_arity(at.op);
    uses[list[i]] = at.op == DPI_OP_SYM && set[at.arg[0]];
    for (int k = 0; k < nchild; k++) uses[list[i]] |= uses[at.arg[k]];
    if (dpi_op_hides(at.op)) *bent = at.op == DPI_OP_IF ? uses[at.arg[0]] : uses[list[i]];
  }
  return DP_OK;
}

static dp_status uses_any(system *y, dpi_node node, const uint8_t *set, bool *uses) {
  int n;
  DP_TRY(dpi_seal_symbols(y->s, node, &n));
  for (int i = 0; i < n && !*uses; i++) *uses = set[y->s->list[i]];
  return DP_OK;
}

/* a and b of a u = b; *linear false: it is not of this form */
static dp_status linear_form(system *y, block *k, const uint8_t *set, dpi_node *zero, bool *linear) {
  bool bent = false;
  for (int i = 0; i < k->n && !bent; i++) {
    dpi_node g = eq_of(y, k, i)->g;
    DP_TRY(is_bent(y, g, set, &bent));
    for (int j = 0; j < k->n && !bent; j++) {
      k->a[i][j] = dpi_g_diff(y->g, g, eq_of(y, k, j)->unknown);
      if (k->a[i][j] == DPI_NODE_NONE) return dpi_seal_no_memory(y->s);
      DP_TRY(uses_any(y, k->a[i][j], set, &bent));
    }
    dpi_node rest = dpi_g_subst(y->g, g, zero, y->s->m->nsym);
    k->b[i] = dpi_g_op1(y->g, DPI_OP_NEG, rest);
    if (k->b[i] == DPI_NODE_NONE) return dpi_seal_no_memory(y->s);
  }
  *linear = !bent;
  return DP_OK;
}

/* the largest constant coefficient among rows and columns from `from` on, moved to the pivot's place */
static bool constant_pivot(system *y, block *k, int from) {
  int row = -1, col = -1;
  double best = 0.0, v;
  for (int i = from; i < k->n; i++) {
    for (int j = from; j < k->n; j++) {
      if (!dpi_g_is_const(y->g, k->a[k->row[i]][k->col[j]], &v) || !(fabs(v) > best)) continue;
      best = fabs(v);
      row = i;
      col = j;
    }
  }
  if (row < 0) return false;
  int r = k->row[from], c = k->col[from];
  k->row[from] = k->row[row], k->row[row] = r;
  k->col[from] = k->col[col], k->col[col] = c;
  return true;
}

static void eliminate(system *y, block *k, int p) {
  int pr = k->row[p], pc = k->col[p];
  for (int i = p + 1; i < k->n; i++) {
    int r = k->row[i];
    if (is_zero(y, k->a[r][pc])) continue;
    dpi_node f = over(y, k->a[r][pc], k->a[pr][pc]);
    for (int j = p + 1; j < k->n; j++)
      k->a[r][k->col[j]] = minus(y, k->a[r][k->col[j]], times(y, f, k->a[pr][k->col[j]]));
    k->b[r] = minus(y, k->b[r], times(y, f, k->b[pr]));
  }
}

/* determinant of the core from `from` on; column `swap` (-1: none) replaced by b */
static dpi_node determinant(system *y, const block *k, int from, int swap) {
  dpi_node a[CRAMER_MAX][CRAMER_MAX];
  int n = k->n - from;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      a[i][j] = j == swap ? k->b[k->row[from + i]] : k->a[k->row[from + i]][k->col[from + j]];
  if (n == 1) return a[0][0];
  if (n == 2) return minus(y, times(y, a[0][0], a[1][1]), times(y, a[0][1], a[1][0]));
  dpi_node sum = dpi_g_const(y->g, 0.0);
  for (int j = 0; j < 3; j++) {
    int p = (j + 1) % 3, q = (j + 2) % 3;
    dpi_node minor = minus(y, times(y, a[1][p], a[2][q]), times(y, a[1][q], a[2][p]));
    sum = dpi_g_op2(y->g, DPI_OP_ADD, sum, times(y, a[0][j], minor));
  }
  return sum;
}

static dp_status fail_singular(const system *y, const block *k) {
  return fail_equation(y, eq_of(y, k, k->n - 1), DP_ERR_INPUT,
                       k->n > 1 ? "follows from the other algebraic rules, or contradicts them"
                                : "does not determine its variable");
}

/* u of a u = b; *solved false: no constant pivots left and too much over */
static dp_status solve_linear(system *y, block *k, bool *solved) {
  int from = 0;
  for (int i = 0; i < k->n; i++) k->row[i] = k->col[i] = i;
  for (; from < k->n && constant_pivot(y, k, from); from++) eliminate(y, k, from);
  *solved = k->n - from <= CRAMER_MAX;
  if (!*solved) return DP_OK;
  if (from < k->n) {
    dpi_node det = determinant(y, k, from, -1);
    if (det == DPI_NODE_NONE) return dpi_seal_no_memory(y->s);
    if (is_zero(y, det)) return fail_singular(y, k);
    for (int j = 0; from + j < k->n; j++) k->u[k->col[from + j]] = over(y, determinant(y, k, from, j), det);
  }
  for (int p = from - 1; p >= 0; p--) {
    int r = k->row[p];
    dpi_node rest = k->b[r];
    for (int j = p + 1; j < k->n; j++) rest = minus(y, rest, times(y, k->a[r][k->col[j]], k->u[k->col[j]]));
    k->u[k->col[p]] = over(y, rest, k->a[r][k->col[p]]);
  }
  for (int i = 0; i < k->n; i++)
    if (k->u[i] == DPI_NODE_NONE) return dpi_seal_no_memory(y->s);
  return DP_OK;
}

static dp_status settle_linear(system *y, block *k, bool *solved) {
  dp_ctx *ctx = y->s->ctx;
  int nsym = y->s->m->nsym;
  *solved = false;
  if (k->n > BLOCK_MAX) return DP_OK;
  uint8_t *set = DPI_NEW_ARRAY(ctx, uint8_t, nsym);
  dpi_node *zero = DPI_NEW_ARRAY(ctx, dpi_node, nsym);
  dp_status status = set == NULL || zero == NULL ? DP_ERR_MEMORY : DP_OK;
  for (int i = 0; i < nsym && status == DP_OK; i++) zero[i] = DPI_NODE_NONE;
  for (int i = 0; i < k->n && status == DP_OK; i++) {
    set[eq_of(y, k, i)->unknown] = 1;
    zero[eq_of(y, k, i)->unknown] = dpi_g_const(y->g, 0.0);
  }
  if (status == DP_OK) status = linear_form(y, k, set, zero, solved);
  if (status == DP_OK && *solved) status = solve_linear(y, k, solved);
  dpi_free(ctx, set);
  dpi_free(ctx, zero);
  return status;
}

static dp_status make_assigned(system *y, const block *k) {
  for (int i = 0; i < k->n; i++) {
    dpi_symbol *v = &y->s->m->sym[eq_of(y, k, i)->unknown];
    v->kind = DPI_SYM_ASSIGNED;
    v->formula = k->u[i];
    v->init = DPI_NODE_NONE;
    v->value = NAN;
  }
  return DP_OK;
}

/* each unknown with the equation it was matched to */
static dp_status make_algebraic(system *y, const block *k) {
  for (int i = 0; i < k->n; i++) {
    const equation *e = eq_of(y, k, i);
    dpi_symbol *v = &y->s->m->sym[e->unknown];
    if (v->init == DPI_NODE_NONE) v->init = dpi_g_const(y->g, v->value == v->value ? v->value : GUESS);
    v->kind = DPI_SYM_STATE;
    v->algebraic = true;
    v->formula = e->g;
    v->value = NAN;
    if (v->init == DPI_NODE_NONE) return dpi_seal_no_memory(y->s);
  }
  return DP_OK;
}

static dp_status check_block(const system *y, const block *k) {
  dp_model *m = y->s->m;
  for (int i = 0; i < k->n; i++) {
    const equation *e = eq_of(y, k, i);
    if (y->s->target[e->unknown])
      return dpi_fail(y->s->ctx, DP_ERR_INPUT,
                      "%s:%d: an event sets '%s', which the algebraic rule in line %d determines", m->source,
                      m->sym[e->unknown].line, m->sym[e->unknown].id, e->line);
    for (int j = 0; j < e->nrate; j++) {
      int of = y->edge[e->first_rate + j];
      for (int l = 0; l < k->n; l++)
        if (eq_of(y, k, l)->unknown == of)
          return fail_equation(y, e, DP_ERR_UNSUPPORTED, "contains the rate of change of what it determines");
    }
  }
  return DP_OK;
}

static dp_status settle_block(system *y, const int *eq, int n) {
  block k = {.n = n, .eq = eq};
  bool solved;
  DP_TRY(check_block(y, &k));
  DP_TRY(settle_linear(y, &k, &solved));
  return solved ? make_assigned(y, &k) : make_algebraic(y, &k);
}

/* ---- 3. order of the blocks ---- */
typedef struct tarjan {
  int *stack, *call, *edge; /* [n]: open equations; path; next edge of each equation on the path */
  int nstack, ncall, count;
} tarjan;

static void enter(system *y, tarjan *t, int i) {
  equation *e = &y->eq[i];
  e->index = e->low = ++t->count;
  e->open = true;
  t->stack[t->nstack++] = i;
  t->edge[t->ncall] = 0;
  t->call[t->ncall++] = i;
}

/* the equation at the end of the path has no edges left */
static dp_status leave(system *y, tarjan *t) {
  int i = t->call[--t->ncall], first = t->nstack;
  equation *e = &y->eq[i];
  if (t->ncall > 0 && e->low < y->eq[t->call[t->ncall - 1]].low) y->eq[t->call[t->ncall - 1]].low = e->low;
  if (e->low != e->index) return DP_OK;
  do {
    first--;
    y->eq[t->stack[first]].open = false;
  } while (t->stack[first] != i);
  int n = t->nstack - first;
  t->nstack = first;
  return settle_block(y, t->stack + first, n);
}

static dp_status walk(system *y, tarjan *t, int root) {
  enter(y, t, root);
  while (t->ncall > 0) {
    int at = t->call[t->ncall - 1], k = t->edge[t->ncall - 1]++;
    equation *e = &y->eq[at];
    if (k >= e->n + e->nrate) {
      DP_TRY(leave(y, t));
      continue;
    }
    int to = y->owner[y->edge[e->first + k]] - 1; /* rates follow the unknowns */
    if (to < 0) continue;
    if (y->eq[to].index == 0)
      enter(y, t, to);
    else if (y->eq[to].open && y->eq[to].index < e->low)
      e->low = y->eq[to].index;
  }
  return DP_OK;
}

static dp_status settle_blocks(system *y) {
  dp_ctx *ctx = y->s->ctx;
  tarjan t = {.stack = DPI_NEW_ARRAY(ctx, int, y->n),
              .call = DPI_NEW_ARRAY(ctx, int, y->n),
              .edge = DPI_NEW_ARRAY(ctx, int, y->n)};
  dp_status status = t.stack && t.call && t.edge ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < y->n && status == DP_OK; i++)
    if (y->eq[i].index == 0) status = walk(y, &t, i);
  dpi_free(ctx, t.stack);
  dpi_free(ctx, t.call);
  dpi_free(ctx, t.edge);
  return status;
}

static dp_status match_all(system *y) {
  dpi_sealer *s = y->s;
  y->present = DPI_NEW_ARRAY(s->ctx, dpi_node, s->n);
  y->eq = DPI_NEW_ARRAY(s->ctx, equation, s->m->nconstraint);
  y->owner = DPI_NEW_ARRAY(s->ctx, int, s->n);
  y->direct = DPI_NEW_ARRAY(s->ctx, uint8_t, s->n);
  y->back_first = DPI_NEW_ARRAY(s->ctx, int, s->n + 1);
  if (y->present == NULL || y->eq == NULL || y->owner == NULL || y->direct == NULL || y->back_first == NULL)
    return DP_ERR_MEMORY;
  DP_TRY(write_equations(y));
  if (y->n == 0) return DP_OK;
  y->back = DPI_NEW_ARRAY(s->ctx, int, y->nedge > 0 ? y->nedge : 1);
  if (y->back == NULL) return DP_ERR_MEMORY;
  turn_edges(y);
  return match(y);
}

static void system_release(system *y) {
  dp_ctx *ctx = y->s->ctx;
  dpi_free(ctx, y->present);
  dpi_free(ctx, y->eq);
  dpi_free(ctx, y->edge);
  dpi_free(ctx, y->owner);
  dpi_free(ctx, y->direct);
  dpi_free(ctx, y->back);
  dpi_free(ctx, y->back_first);
}

dp_status dpi_seal_match(dpi_sealer *s, int *owner) {
  memset(owner, 0, (size_t)s->n * sizeof *owner);
  if (s->m->nconstraint == 0) return DP_OK;
  system y = {.s = s, .g = s->m->graph};
  dp_status status = match_all(&y);
  for (int i = 0; i < y.n && status == DP_OK; i++) owner[y.eq[i].unknown] = y.eq[i].constraint + 1;
  system_release(&y);
  return status;
}

dp_status dpi_seal_constraints(dpi_sealer *s) {
  if (s->m->nconstraint == 0) return DP_OK;
  system y = {.s = s, .g = s->m->graph};
  dp_status status = match_all(&y);
  if (status == DP_OK && y.n > 0) status = settle_blocks(&y);
  system_release(&y);
  return status;
}
