/* nm_effects.c - floor 3: which individual parameter each ETA makes, and which ETAs are one effect of
 * several occasions.
 *
 * Occasions. The blocks of $OMEGA ... SAME are one effect, drawn anew each occasion, when a column says which of them
 * holds: putting each value of that column in leaves one copy, and all results are the same but for the copy's number.
 * Any code that means this is understood, whatever its form.
 *
 * Individual parameters. From an effect upward, as long as there is one user only: sum of effects -> exp -> product. A
 * product with a THETA is lognormal with that typical value; a sum with one is normal; exp/(1 + exp) of ln(t/(1 - t))
 * is logit-normal. What fits none of these keeps an effect of its own around 0, or a lognormal one around 1: the same
 * numbers, other names.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/nmtran/nm_control.h"

/* ---- occasions ---- */

static bool compares(const nm_graph *g, const nm_expr *e, int column, double *value) {
  for (int k = 0; k < 2; k++) {
    const nm_expr *c = &g->node[e->a[k]];
    if (c->op == X_COL && c->a[0] == column && nm_is_num(g, e->a[1 - k], value)) return true;
  }
  return false;
}

dp_status nm_constants(nm_stream *s, const nm_node *root, int nroot, int column, double *value, int *n,
                       bool *only_equal) {
  uint8_t *mark;
  nm_graph *g = &s->g;
  *n = 0;
  *only_equal = true;
  DP_TRY(nm_reach(g, root, nroot, &mark));
  for (int i = 0; i < g->n; i++) {
    const nm_expr *e = &g->node[i];
    double v;
    if (!mark[i]) continue;
    bool equal = e->op == X_EQ || e->op == X_NE;
    if (equal && compares(g, e, column, &v)) {
      int k = 0;
      while (k < *n && value[k] != v) k++;
      if (k == *n && *n < 64) value[(*n)++] = v;
      continue;
    }
    for (int k = 0; k < nm_nchild(e->op); k++)
      if (g->node[e->a[k]].op == X_COL && g->node[e->a[k]].a[0] == column) *only_equal = false;
  }
  dpi_free(s->ctx, mark);
  for (int i = 1; i < *n; i++)
    for (int k = i; k > 0 && value[k] < value[k - 1]; k--) {
      double v = value[k];
      value[k] = value[k - 1];
      value[k - 1] = v;
    }
  return DP_OK;
}

/* Number of the copy that ETA e is (0: the first), -1 when it has none. */
static int copy_of(const nm_matrix *m, int e, int *base) {
  int copy = 0;
  *base = m->same[e] >= 0 ? m->same[e] : e;
  bool repeated = false;
  for (int i = 0; i < m->n; i++) {
    if (m->same[i] != *base) continue;
    repeated = true;
    if (i <= e) copy++;
  }
  return repeated ? copy : -1;
}

/* The one copy used below the roots, -1 none, -2 several. */
static dp_status used_copy(nm_stream *s, const nm_node *root, int nroot, int *copy) {
  uint8_t *mark;
  DP_TRY(nm_reach(&s->g, root, nroot, &mark));
  *copy = -1;
  for (int i = 0; i < s->g.n; i++) {
    int base;
    if (!mark[i] || s->g.node[i].op != X_ETA) continue;
    int k = copy_of(&s->omega, s->g.node[i].a[0], &base);
    if (k < 0) continue;
    *copy = *copy == -1 || *copy == k ? k : -2;
  }
  dpi_free(s->ctx, mark);
  return DP_OK;
}

/* roots with column = value and the copies' ETAs called by the first's name. */
static dp_status specialise(nm_stream *s, nm_node *root, int nroot, int column, double value, int *copy) {
  nm_node from[NM_MAX_ETA], to[NM_MAX_ETA];
  nm_node at = nm_leaf(&s->g, X_COL, column), number = nm_num(&s->g, value);
  DP_TRY(nm_substitute(&s->g, root, nroot, &at, &number, 1));
  DP_TRY(used_copy(s, root, nroot, copy));
  int n = 0;
  for (int e = 0; e < s->omega.n; e++) {
    if (s->omega.same[e] < 0) continue;
    from[n] = nm_leaf(&s->g, X_ETA, e);
    to[n++] = nm_leaf(&s->g, X_ETA, s->omega.same[e]);
  }
  return nm_substitute(&s->g, root, nroot, from, to, n);
}

/* Does the column choose among the copies, and do nothing else? Then the roots become those of one occasion. */
static dp_status try_column(nm_stream *s, nm_people *p, nm_roots *r, int column, bool *good) {
  double value[64];
  int n;
  bool only;
  *good = false;
  DP_TRY(nm_constants(s, r->node, r->nneed, column, value, &n, &only));
  if (n < 1) return DP_OK;
  nm_node *one = DPI_ARENA_ARRAY(s->arena, nm_node, r->n), *other = DPI_ARENA_ARRAY(s->arena, nm_node, r->n);
  if (!one || !other) return DP_ERR_MEMORY;
  bool seen[NM_MAX_ETA] = {false};
  for (int k = 0; k < n; k++) {
    nm_node *now = k ? other : one;
    int copy;
    memcpy(now, r->node, sizeof *now * (size_t)r->n);
    DP_TRY(specialise(s, now, r->n, column, value[k], &copy));
    if (copy < 0 || copy >= NM_MAX_ETA || seen[copy]) return DP_OK;
    seen[copy] = true;
    if (k && memcmp(one, other, sizeof *one * (size_t)r->nneed) != 0) return DP_OK;
  }
  memcpy(r->node, one, sizeof *one * (size_t)r->n);
  p->occasion_column = column;
  p->occasion_low = value[0];
  p->occasion_high = value[n - 1];
  *good = true;
  return DP_OK;
}

static dp_status find_occasions(nm_stream *s, nm_people *p, nm_roots *r) {
  const nm_matrix *m = &s->omega;
  int copy, first = -1;
  bool good = false, fixed = true;
  p->occasion_column = -1;
  for (int e = 0; e < m->n; e++) {
    if (m->same[e] < 0) continue;
    if (first < 0) first = e;
    fixed = fixed && m->fixed[e];
  }
  if (first < 0) return DP_OK;
  DP_TRY(used_copy(s, r->node, r->nneed, &copy));
  if (copy == -1) return DP_OK; /* not used */
  for (int c = 0; c < s->ncolumn && !good; c++)
    if (!s->column[c].drop) DP_TRY(try_column(s, p, r, c, &good));
  if (!good && fixed) return DP_OK; /* effects of their own with equal variances that nobody estimates */
  if (!good)
    return NM_REFUSE(s, 1,
                     "$OMEGA SAME: no single column says which of the copies holds (as in IF (OCC.EQ.1) ...), "
                     "or it does more than that; other uses of SAME are not supported");
  for (int e = 0; e < m->n; e++) {
    int base;
    if (m->same[e] < 0 && copy_of(m, e, &base) >= 0) p->occasion[e] = true;
  }
  return DP_OK;
}

/* ---- upward ---- */

/* What results need of the graph: the nodes that there were when it was looked at. */
typedef struct view {
  const nm_graph *g;
  const nm_roots *r;
  uint8_t *mark;
  int n;
} view;

/* The users of x: how many, and two of them. A needed root counts as a user without a node. */
static int users(const view *v, nm_node x, nm_node *one, nm_node *two) {
  const nm_graph *g = v->g;
  int n = 0;
  *one = *two = NM_NONE;
  for (int i = 0; i < v->r->nneed; i++)
    if (v->r->node[i] == x) n++;
  for (int i = x + 1; i < v->n; i++) {
    if (!v->mark[i]) continue;
    bool uses = false;
    for (int k = 0; k < nm_nchild(g->node[i].op); k++) uses = uses || g->node[i].a[k] == x;
    if (!uses) continue;
    n++;
    if (*one == NM_NONE)
      *one = i;
    else
      *two = i;
  }
  return n;
}

static nm_node only_user(const view *v, nm_node x) {
  nm_node one, two;
  return users(v, x, &one, &two) == 1 ? one : NM_NONE;
}

static bool has_only(const nm_graph *g, nm_node x, uint32_t bits) { return !(g->node[x].leaves & ~bits); }

#define FIXED_LEAVES (NM_BIT(X_NUM) | NM_BIT(X_THETA) | NM_BIT(X_COL))

static nm_node other_child(const nm_graph *g, nm_node parent, nm_node x) {
  const nm_expr *e = &g->node[parent];
  return e->a[0] == x ? e->a[1] : e->a[0];
}

/* Sum of effects that x, an effect, stands in; its ETAs into p. */
static nm_node sum_of_effects(const view *v, nm_node x, nm_individual *p) {
  const nm_graph *g = v->g;
  p->eta[0] = g->node[x].a[0];
  p->neta = 1;
  for (;;) {
    nm_node up = only_user(v, x);
    if (up == NM_NONE || g->node[up].op != X_ADD || p->neta >= 4) return x;
    nm_node other = other_child(g, up, x);
    if (other == x || g->node[other].op != X_ETA || only_user(v, other) != up) return x;
    p->eta[p->neta++] = g->node[other].a[0];
    x = up;
  }
}

static const char *name_of(const nm_roots *r, nm_node x) {
  for (int i = r->nneed; i < r->n; i++)
    if (r->node[i] == x && r->name[i]) return r->name[i];
  return NULL;
}

/* The typical value in a product and what is left of it. */
typedef struct product {
  int theta;
  nm_node rest; /* NM_NONE: nothing */
} product;

static void times(nm_graph *g, product *p, nm_node x, bool below) {
  nm_node one = nm_num(g, 1);
  if (p->rest == NM_NONE)
    p->rest = below ? nm_make(g, X_DIV, one, x, 0) : x;
  else
    p->rest = nm_make(g, below ? X_DIV : X_MUL, p->rest, x, 0);
}

/* Take x (or 1/x) into the product; a first THETA with a positive value is the typical value. */
static void absorb(nm_stream *s, product *p, nm_node x, bool below, bool positive) {
  nm_graph *g = &s->g;
  for (int steps = 0; steps < 64; steps++) { /* from the right end of a chain of factors */
    const nm_expr e = g->node[x];
    if (below || p->theta >= 0 || (e.op != X_MUL && e.op != X_DIV)) break;
    if (e.op == X_MUL && g->node[e.a[1]].op == X_THETA && g->node[e.a[0]].op != X_THETA) {
      times(g, p, e.a[0], false);
      x = e.a[1];
      continue;
    }
    times(g, p, e.a[1], e.op == X_DIV);
    x = e.a[0];
  }
  const nm_expr e = g->node[x];
  if (!below && e.op == X_THETA && p->theta < 0 && (!positive || s->theta[e.a[0]].init > 0))
    p->theta = e.a[0];
  else
    times(g, p, x, below);
}

/* A typical value is usable when nothing but covariates is left beside it. */
static bool usable(const nm_graph *g, const product *p) {
  return p->theta >= 0 && (p->rest == NM_NONE || (g->node[p->rest].leaves & NM_BIT(X_COL)));
}

/* exp(effects) upward through products: up to the first variable that has a THETA, else as far as a THETA was met. */
static bool climb_product(nm_stream *s, const view *v, nm_node e, nm_individual *p, nm_node *top) {
  nm_graph *g = &s->g;
  product now = {-1, NM_NONE};
  bool found = false;
  for (nm_node x = e; !g->failed;) {
    nm_node up = only_user(v, x);
    if (up == NM_NONE) break;
    const nm_expr u = g->node[up];
    bool over = u.op == X_DIV && u.a[0] == x;
    if ((u.op != X_MUL && !over) || u.a[0] == u.a[1]) break;
    nm_node other = other_child(g, up, x);
    if (!has_only(g, other, FIXED_LEAVES)) break;
    absorb(s, &now, other, over, true);
    x = up;
    if (!usable(g, &now)) continue;
    found = true;
    *top = x;
    p->theta = now.theta;
    p->factor = now.rest;
    p->distribution = 0;
    if (name_of(v->r, x)) break;
  }
  return found;
}

/* Is m = t/(1 - t)*e with a THETA t between 0 and 1? */
static bool odds(const nm_stream *s, nm_node m, nm_node e, int *theta) {
  const nm_graph *g = &s->g;
  const nm_expr *x = &g->node[m];
  if (x->op != X_MUL) return false;
  nm_node d = other_child(g, m, e);
  const nm_expr *q = &g->node[d];
  if (q->op != X_DIV || g->node[q->a[0]].op != X_THETA || g->node[q->a[1]].op != X_SUB) return false;
  const nm_expr *w = &g->node[q->a[1]];
  double one;
  *theta = g->node[q->a[0]].a[0];
  double init = s->theta[*theta].init;
  return nm_is_num(g, w->a[0], &one) && one == 1 && w->a[1] == q->a[0] && init > 0 && init < 1;
}

/* m/(1 + m) over m = t/(1 - t)*exp(effects) */
static bool climb_logit(nm_stream *s, const view *v, nm_node e, nm_individual *p, nm_node *top) {
  nm_graph *g = &s->g;
  nm_node m = only_user(v, e), one, two;
  if (m == NM_NONE || !odds(s, m, e, &p->theta) || users(v, m, &one, &two) != 2) return false;
  if (g->node[two].op != X_DIV || g->node[one].op != X_ADD || g->node[two].a[0] != m || g->node[two].a[1] != one)
    return false;
  double number;
  if (!nm_is_num(g, other_child(g, one, m), &number) || number != 1 || only_user(v, one) != two) return false;
  p->distribution = 2;
  p->factor = NM_NONE;
  *top = two;
  return true;
}

/* a + effects */
static bool climb_sum(nm_stream *s, const view *v, nm_node x, nm_individual *p, nm_node *top) {
  nm_graph *g = &s->g;
  nm_node up = only_user(v, x);
  if (up == NM_NONE || g->node[up].op != X_ADD) return false;
  nm_node a = other_child(g, up, x);
  product now = {-1, NM_NONE};
  if (a == x || !has_only(g, a, FIXED_LEAVES)) return false;
  absorb(s, &now, a, false, false);
  if (!usable(g, &now)) return false;
  p->theta = now.theta;
  p->factor = now.rest;
  p->distribution = 1;
  *top = up;
  return true;
}

/* ---- one effect after the other ---- */

static dp_status individual_of(nm_stream *s, nm_people *p, nm_roots *r, nm_node eta, const view *v) {
  nm_graph *g = &s->g;
  nm_individual *q = &p->item[p->n];
  *q = (nm_individual){.theta = -1, .factor = NM_NONE, .distribution = 1};
  nm_node x = sum_of_effects(v, eta, q), top = x, up = only_user(v, x);
  if (up != NM_NONE && g->node[up].op == X_EXP) {
    if (!climb_product(s, v, up, q, &top) && !climb_logit(s, v, up, q, &top)) {
      q->theta = -1;
      q->factor = NM_NONE;
      q->distribution = 0;
      top = up;
    }
  } else if (!climb_sum(s, v, x, q, &top)) {
    q->theta = -1;
    q->factor = NM_NONE;
    q->distribution = 1;
  }
  const char *name = q->theta >= 0 ? name_of(r, top) : NULL;
  q->id = name           ? name
          : q->theta < 0 ? dpi_arena_printf(s->arena, q->distribution ? "P_ETA%d" : "R_ETA%d", q->eta[0] + 1)
                         : dpi_arena_printf(s->arena, "I_ETA%d", q->eta[0] + 1);
  if (!q->id) return DP_ERR_MEMORY;
  q->symbol = nm_leaf(g, X_SYM, p->n);
  p->n++;
  DP_TRY(nm_check(s));
  return nm_substitute(g, r->node, r->n, &top, &q->symbol, 1);
}

/* The next ETA that is still in the needed roots, -1 none; what they reach. */
static dp_status next_eta(nm_stream *s, const nm_roots *r, view *v, nm_node *eta) {
  *eta = NM_NONE;
  *v = (view){.g = &s->g, .r = r, .n = s->g.n};
  DP_TRY(nm_reach(&s->g, r->node, r->nneed, &v->mark));
  for (int i = 0; i < v->n; i++) {
    const nm_expr *e = &s->g.node[i];
    if (v->mark[i] && e->op == X_ETA && (*eta == NM_NONE || e->a[0] < s->g.node[*eta].a[0])) *eta = i;
  }
  return DP_OK;
}

dp_status nm_people_find(nm_stream *s, nm_people *p, nm_roots *r) {
  DP_TRY(find_occasions(s, p, r));
  p->n = 0;
  for (int k = 0; k < NM_MAX_ETA; k++) {
    view v;
    nm_node eta;
    DP_TRY(next_eta(s, r, &v, &eta));
    dp_status st = DP_OK;
    if (eta != NM_NONE) st = individual_of(s, p, r, eta, &v);
    dpi_free(s->ctx, v.mark);
    DP_TRY(st);
    if (eta == NM_NONE) return DP_OK;
  }
  return NM_REFUSE(s, 1, "more than %d ETAs", NM_MAX_ETA);
}
