/* tangent_event.c - floor 3: how the tangent of a path jumps at events, and where rates jump.
 *
 * With root g(t, x, p) = 0 at t = tau(p), rates f- before and f+ after, ' along the direction (Hiskens & Pai 2000, IEEE
 * Trans. Circuits Syst. I 47:204; the same equations as eq_watch.c and eq_event.c, here as expressions, so that their
 * own derivatives are taken in turn):
 *
 *     tau' = -(g_x x' + g_p p') / (g_x f- + g_t)
 *     rates jump     x'+ = x' + (f- - f+) tau'
 *     x+ = h(t, x, p)
 *                    y = x' + f- tau',   x'+ = h_x y + h_p p' + h_t tau' - f+ tau';   what is not set: y - f+ tau'
 *
 * At one instant first the switches of rates are gone over, each by an event of its own; then what turned true notes
 * tau' (`moment`, once an instant: `caught`); then the model's events run with it. What follows from a jump (an event
 * set off by another, or by a condition) has that jump's tau': `jumped` is the time of the last one.
 *
 * Events that time and fixed numbers alone decide have tau' = 0 and need none of this.
 */
#include <math.h>
#include <string.h>

#include "lang/tangent_impl.h"

typedef dpi_tangent_maker maker;

#define FIRST_PRIORITY 1e300 /* switches, then catchers: each its own, so that none are drawn by lot */

typedef struct list {
  dpi_event_assign *item;
  int n, cap;
} list;

static dp_status set(maker *k, list *l, int sym, dpi_node value, int times) {
  if (value == DPI_NODE_NONE) return DP_ERR_MEMORY;
  DP_TRY(dpi_grow(k->ctx, (void **)&l->item, &l->cap, l->n + 1, sizeof *l->item));
  l->item[l->n++] = (dpi_event_assign){sym, value, times};
  return DP_OK;
}

static dp_status add_event(maker *k, dpi_model_event *e, const list *l) {
  dpi_event_assign *a = DPI_ARENA_ARRAY(&k->t->arena, dpi_event_assign, l->n + 1);
  if (!a || !e->id) return DP_ERR_MEMORY;
  if (l->n > 0) memcpy(a, l->item, (size_t)l->n * sizeof *a);
  e->assign = a;
  e->nassign = l->n;
  e->nroot = 0;
  e->root = NULL;
  return dpi_model_add_event(k->t, e);
}

static bool is_zero(const maker *k, dpi_node node) {
  double v;
  return dpi_g_is_const(k->g, node, &v) && v == 0;
}

static dpi_node sym(const maker *k, int s) { return dpi_g_sym(k->g, s); }
static dpi_node op(const maker *k, dpi_op o, dpi_node a, dpi_node b) { return dpi_g_op2(k->g, o, a, b); }
static dpi_node constant(const maker *k, double v) { return dpi_g_const(k->g, v); }

/* How a node changes with time along the path that has these rates. */
static dp_status along(const maker *k, const dpi_node *rate, dpi_node node, dpi_node *out) {
  const int n = k->m->nstate;
  dpi_node *at = DPI_NEW_ARRAY(k->ctx, dpi_node, 2 * n + 2), *to = at ? at + n + 1 : NULL;
  if (!at) return DP_ERR_MEMORY;
  for (int j = 0; j < n; j++) {
    at[j] = sym(k, k->sym[1 + j]);
    to[j] = rate[j];
  }
  at[n] = sym(k, 0);
  to[n] = constant(k, 1);
  const dp_status st = dpi_g_jvp(k->g, &node, 1, at, to, n + 1, out);
  dpi_free(k->ctx, at);
  return st;
}

/* tau' of a root that goes through zero: top / bottom. */
typedef struct crossing {
  dpi_node root, top, bottom;
} crossing;

static dp_status cross(const maker *k, const dpi_node *rate, dpi_node root, crossing *c) {
  c->root = root;
  DP_TRY(dpi_tangent_of(k, &root, 1, &c->top));
  c->top = dpi_g_op1(k->g, DPI_OP_NEG, c->top);
  DP_TRY(along(k, rate, root, &c->bottom));
  return c->top == DPI_NODE_NONE || c->bottom == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

static dpi_node quotient(const maker *k, const crossing *c) {
  if (is_zero(k, c->top) || is_zero(k, c->bottom)) return constant(k, 0);
  const dpi_node still = op(k, DPI_OP_EQ, c->bottom, constant(k, 0));
  return dpi_g_if(k->g, still, constant(k, 0), op(k, DPI_OP_DIV, c->top, c->bottom));
}

/* ---- switches of rates ---- */

typedef struct rates {
  dpi_node *below; /* all nodes that rates are made of */
  int nbelow;
  dpi_node *as, *copy;  /* [count] */
  dpi_node *low, *high; /* [nstate] rates where a < b, and where a > b */
} rates;

static bool ordering(dpi_op o) { return o == DPI_OP_LT || o == DPI_OP_LE || o == DPI_OP_GT || o == DPI_OP_GE; }
static bool truth(dpi_op o) { return o >= DPI_OP_LT && o <= DPI_OP_NOT; }

/* Does it move with parameters? */
static dp_status moves(const maker *k, dpi_node node, bool *out) {
  dpi_node d, n = k->copy[node];
  DP_TRY(dpi_tangent_of(k, &n, 1, &d));
  *out = !is_zero(k, d);
  return DP_OK;
}

/* Jumps of rates that are no comparison. */
static dp_status check_jump(const maker *k, dpi_gnode n) {
  bool a = false, b = false;
  const int arity = dpi_op_arity(n.op);
  const bool step = n.op == DPI_OP_FLOOR || n.op == DPI_OP_CEIL || n.op == DPI_OP_SIGN || n.op == DPI_OP_MOD;
  const int nlogical = n.op == DPI_OP_AND || n.op == DPI_OP_OR ? 2 : n.op == DPI_OP_NOT || n.op == DPI_OP_IF ? 1 : 0;
  if (step) DP_TRY(moves(k, n.arg[0], &a));
  if (step && arity > 1) DP_TRY(moves(k, n.arg[1], &b));
  for (int i = 0; i < nlogical; i++) {
    bool moving = false;
    if (!truth(dpi_graph_at(k->m->graph, n.arg[i]).op)) DP_TRY(moves(k, n.arg[i], &moving));
    a = a || moving;
  }
  if (!a && !b) return DP_OK;
  return dpi_fail(k->ctx, DP_ERR_UNSUPPORTED,
                  "%s: second derivatives are not offered where a rate jumps by %s of what parameters move; write the "
                  "jump as a comparison",
                  k->m->source, nlogical ? "the truth of a number" : dpi_op_table[n.op].text);
}

/* The rates with all comparisons of a and b as on one side; less: a < b. */
static dp_status one_side(const maker *k, rates *r, dpi_gnode pair, bool less, dpi_node *out) {
  for (int i = 0; i < r->nbelow; i++) {
    const dpi_gnode n = dpi_graph_at(k->m->graph, r->below[i]);
    const bool same = ordering(n.op) && n.arg[0] == pair.arg[0] && n.arg[1] == pair.arg[1];
    const bool turned = ordering(n.op) && n.arg[0] == pair.arg[1] && n.arg[1] == pair.arg[0];
    const bool says_less = n.op == DPI_OP_LT || n.op == DPI_OP_LE;
    r->as[r->below[i]] = DPI_NODE_NONE;
    if (!same && !turned) continue;
    r->as[r->below[i]] = constant(k, (says_less == less) == same ? 1 : 0);
    if (r->as[r->below[i]] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  DP_TRY(dpi_tangent_copy(k, r->below, r->nbelow, r->as, r->copy));
  for (int j = 0; j < k->m->nstate; j++) out[j] = r->copy[k->m->sym[1 + j].formula];
  return DP_OK;
}

/* x' := x' + (f- - f+) tau', unless something jumped just now: then that jump had f+ for its rates already. */
static dp_status switch_event(maker *k, dpi_node trigger, dpi_node root, const dpi_node *from, const dpi_node *to,
                              const char *id) {
  list l = {0};
  crossing c;
  DP_TRY(cross(k, from, root, &c));
  const dpi_node zero = constant(k, 0), now = op(k, DPI_OP_EQ, sym(k, k->jumped), sym(k, 0));
  const dpi_node moment = dpi_g_if(k->g, now, zero, quotient(k, &c));
  dp_status st = DP_OK;
  for (int j = 0; j < k->m->nstate && st == DP_OK; j++) {
    const dpi_node jump = op(k, DPI_OP_MUL, op(k, DPI_OP_SUB, from[j], to[j]), moment);
    const int s = k->dot[1 + j];
    if (jump == DPI_NODE_NONE)
      st = DP_ERR_MEMORY;
    else if (!is_zero(k, jump))
      st = set(k, &l, s, op(k, DPI_OP_ADD, sym(k, s), jump), 0);
  }
  dpi_model_event e = {.id = id,
                       .trigger = trigger,
                       .delay = DPI_NODE_NONE,
                       .priority = constant(k, FIRST_PRIORITY * (1 - 1e-6 * k->t->nevent)),
                       .initial_value = true,
                       .persistent = true};
  if (st == DP_OK && l.n > 0) st = add_event(k, &e, &l);
  dpi_free(k->ctx, l.item);
  return st;
}

static dp_status make_aux(maker *k) {
  static const char *const id[] = {DPI_TANGENT_MOMENT, "tangent(caught)", DPI_TANGENT_JUMPED};
  int *const to[] = {&k->moment, &k->caught, &k->jumped};
  if (k->moment > 0) return DP_OK;
  for (int i = 0; i < 3; i++) {
    DP_TRY(dpi_model_declare(k->t, id[i], 0, to[i]));
    dpi_symbol *y = &k->t->sym[*to[i]];
    y->kind = DPI_SYM_STATE;
    y->formula = constant(k, 0);
    y->init = i == 0 ? constant(k, 0) : sym(k, 0);
    y->value = NAN;
    if (y->formula == DPI_NODE_NONE || y->init == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

/* Both ways through one comparison; others of the same two sides go with it. */
static dp_status go_over(maker *k, rates *r, dpi_node at) {
  const dpi_gnode n = dpi_graph_at(k->m->graph, at);
  const dpi_node a = k->copy[n.arg[0]], b = k->copy[n.arg[1]], root = op(k, DPI_OP_SUB, a, b), is = k->copy[at];
  const bool less = n.op == DPI_OP_LT || n.op == DPI_OP_LE;
  DP_TRY(make_aux(k));
  DP_TRY(one_side(k, r, n, true, r->low));
  DP_TRY(one_side(k, r, n, false, r->high));
  const dpi_node *yes = less ? r->low : r->high, *no = less ? r->high : r->low;
  const char *on = dpi_arena_printf(&k->t->arena, "tangent(on %d)", at),
             *off = dpi_arena_printf(&k->t->arena, "tangent(off %d)", at);
  DP_TRY(switch_event(k, is, root, no, yes, on));
  return switch_event(k, dpi_g_op1(k->g, DPI_OP_NOT, is), root, yes, no, off);
}

static dp_status switches(maker *k, rates *r) {
  for (int i = 0; i < r->nbelow; i++) {
    const dpi_gnode n = dpi_graph_at(k->m->graph, r->below[i]);
    bool known = false, a = false, b = false;
    DP_TRY(check_jump(k, n));
    if (!ordering(n.op)) continue;
    for (int j = 0; j < i && !known; j++) {
      const dpi_gnode o = dpi_graph_at(k->m->graph, r->below[j]);
      known = ordering(o.op) &&
              ((o.arg[0] == n.arg[0] && o.arg[1] == n.arg[1]) || (o.arg[0] == n.arg[1] && o.arg[1] == n.arg[0]));
    }
    if (known) continue;
    DP_TRY(moves(k, n.arg[0], &a));
    DP_TRY(moves(k, n.arg[1], &b));
    if (a || b) DP_TRY(go_over(k, r, r->below[i]));
  }
  return DP_OK;
}

static dp_status all_switches(maker *k) {
  const int n = k->m->nstate;
  rates r = {0};
  dpi_node *root = DPI_NEW_ARRAY(k->ctx, dpi_node, 3 * n + 1);
  r.as = DPI_NEW_ARRAY(k->ctx, dpi_node, k->count + 1);
  r.copy = DPI_NEW_ARRAY(k->ctx, dpi_node, k->count + 1);
  dp_status st = root && r.as && r.copy ? DP_OK : DP_ERR_MEMORY;
  for (int j = 0; j < n && st == DP_OK; j++) root[j] = k->m->sym[1 + j].formula;
  if (st == DP_OK) {
    r.low = root + n;
    r.high = root + 2 * n;
    st = dpi_g_reach(k->m->graph, root, n, &r.below, &r.nbelow);
  }
  if (st == DP_OK) st = switches(k, &r);
  dpi_free(k->ctx, root);
  dpi_free(k->ctx, r.as);
  dpi_free(k->ctx, r.copy);
  dpi_free(k->ctx, r.below);
  return st;
}

/* ---- the model's events ---- */

static dp_status refuse_event(const maker *k, const dpi_model_event *e, const char *why) {
  return dpi_fail(k->ctx, DP_ERR_UNSUPPORTED, "%s:%d: second derivatives are not offered: event '%s' %s", k->m->source,
                  e->line, e->id, why);
}

/* Is its time fixed, whatever parameters do? */
static dp_status is_still(const maker *k, const dpi_model_event *e, bool *still) {
  *still = true;
  for (int r = 0; r < e->nroot && *still; r++) {
    bool moving;
    DP_TRY(moves(k, e->root[r], &moving));
    *still = !moving;
  }
  if (!*still || e->delay == DPI_NODE_NONE) return DP_OK;
  bool moving;
  DP_TRY(moves(k, e->delay, &moving));
  *still = !moving;
  return DP_OK;
}

/* What is assigned, the factor from the time of execution written out. */
static dp_status value_of(const maker *k, const dpi_model_event *e, int i, dpi_node *out) {
  const dpi_event_assign *a = &e->assign[i];
  *out = k->copy[a->value];
  if (a->times == 0) return DP_OK;
  if (k->m->sym[a->times].varies) return refuse_event(k, e, "sets an amount in a compartment whose size changes");
  *out = op(k, DPI_OP_MUL, *out, k->copy[dpi_model_value(k->m, a->times)]);
  return *out == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* Its values are those of the trigger's time; would they be others when it is executed? */
static dp_status keeps_values(const maker *k, const dpi_model_event *e, bool *out) {
  const dp_model *m = k->m;
  uint8_t *seen = DPI_NEW_ARRAY(k->ctx, uint8_t, m->nsym + 1);
  if (!seen) return DP_ERR_MEMORY;
  dp_status st = DP_OK;
  *out = false;
  for (int i = 0; i < e->nassign && st == DP_OK; i++) st = dpi_g_depends(m->graph, e->assign[i].value, seen, m->nsym);
  for (int o = 0; o < m->nevent && st == DP_OK; o++)
    for (int i = 0; i < m->event[o].nassign; i++)
      if (&m->event[o] != e && seen[m->event[o].assign[i].sym]) *out = true;
  if (e->delay != DPI_NODE_NONE)
    for (int s = 0; s < m->nsym; s++) *out = *out || (seen[s] && m->sym[s].varies);
  *out = *out && e->from_trigger;
  dpi_free(k->ctx, seen);
  return st;
}

static dpi_model_event copy_of(const maker *k, const dpi_model_event *e) {
  dpi_model_event to = *e;
  to.id = dpi_arena_strdup(&k->t->arena, e->id);
  to.trigger = k->copy[e->trigger];
  if (e->delay != DPI_NODE_NONE) to.delay = k->copy[e->delay];
  if (e->priority != DPI_NODE_NONE) to.priority = k->copy[e->priority];
  return to;
}

/* tau' = 0 */
static dp_status still_event(maker *k, const dpi_model_event *e) {
  dpi_model_event to = copy_of(k, e);
  list l = {0};
  bool keeps = false;
  dp_status st = keeps_values(k, e, &keeps);
  for (int i = 0; i < e->nassign && st == DP_OK; i++) {
    const int s = e->assign[i].sym;
    dpi_node value, d;
    st = value_of(k, e, i, &value);
    if (st == DP_OK) st = dpi_tangent_of(k, &value, 1, &d);
    if (st == DP_OK) st = set(k, &l, k->sym[s], value, 0);
    if (st == DP_OK) st = set(k, &l, k->dot[s], d, 0);
  }
  if (st == DP_OK && k->moment > 0) {
    if (!keeps) to.from_trigger = false;
    if (keeps && e->delay != DPI_NODE_NONE)
      st = refuse_event(k, e, "has a delay and values from before it, beside jumps whose times move");
    if (st == DP_OK) st = set(k, &l, k->moment, constant(k, 0), 0);
    if (st == DP_OK) st = set(k, &l, k->jumped, sym(k, 0), 0);
  }
  if (st == DP_OK) st = add_event(k, &to, &l);
  dpi_free(k->ctx, l.item);
  return st;
}

/* tau' of an event just triggered, if no jump did it: that of the root which is nearest to zero. */
static dp_status moment_of(const maker *k, const dpi_model_event *e, dpi_node *out) {
  crossing best = {0};
  for (int r = 0; r < e->nroot; r++) {
    crossing c;
    DP_TRY(cross(k, k->rate, k->copy[e->root[r]], &c));
    if (r > 0) {
      const dpi_node a = op(k, DPI_OP_MUL, dpi_g_op1(k->g, DPI_OP_ABS, c.root),
                            dpi_g_op1(k->g, DPI_OP_ABS, best.bottom)),
                     b = op(k, DPI_OP_MUL, dpi_g_op1(k->g, DPI_OP_ABS, best.root),
                            dpi_g_op1(k->g, DPI_OP_ABS, c.bottom)),
                     nearer = op(k, DPI_OP_LT, a, b);
      c.root = dpi_g_if(k->g, nearer, c.root, best.root);
      c.top = dpi_g_if(k->g, nearer, c.top, best.top);
      c.bottom = dpi_g_if(k->g, nearer, c.bottom, best.bottom);
    }
    best = c;
  }
  const dpi_node now = sym(k, 0), had = op(k, DPI_OP_OR, op(k, DPI_OP_EQ, sym(k, k->jumped), now),
                                           op(k, DPI_OP_EQ, sym(k, k->caught), now));
  *out = dpi_g_if(k->g, had, sym(k, k->moment), quotient(k, &best));
  return *out == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* Derivatives of values where the state just before moves by y [nstate], the time by `moment`. */
static dp_status pushed(const maker *k, const dpi_node *value, int n, const dpi_node *y, dpi_node moment,
                        dpi_node *out) {
  const int ns = k->m->nstate;
  dpi_node *at = DPI_NEW_ARRAY(k->ctx, dpi_node, 2 * (ns + k->nat + 1)), *to = at ? at + ns + k->nat + 1 : NULL;
  int nat = 0;
  if (!at) return DP_ERR_MEMORY;
  for (int j = 0; j < ns; j++) {
    at[nat] = sym(k, k->sym[1 + j]);
    to[nat++] = y[j];
  }
  for (int s = ns + 1; s < k->m->nsym; s++) {
    if (k->dot[s] == 0) continue;
    at[nat] = sym(k, k->sym[s]);
    to[nat++] = sym(k, k->dot[s]);
  }
  at[nat] = sym(k, 0);
  to[nat++] = moment;
  const dp_status st = dpi_g_jvp(k->g, value, n, at, to, nat, out);
  dpi_free(k->ctx, at);
  return st;
}

/* One moving event under work. */
typedef struct moving {
  const dpi_model_event *e;
  dpi_node *value, *slope; /* [nassign] */
  dpi_node *y, *after;     /* [nstate] */
  dpi_node *put;           /* [nsym of t] */
  bool keeps;
} moving;

static dp_status before_jump(const maker *k, const moving *v, dpi_node moment) {
  for (int j = 0; j < k->m->nstate; j++) {
    v->y[j] = op(k, DPI_OP_ADD, sym(k, k->dot[1 + j]), op(k, DPI_OP_MUL, k->rate[j], moment));
    if (v->y[j] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

/* States that keep a value, and its derivative, from the trigger's time to the execution. */
static dp_status keep(maker *k, const moving *v, int i, list *l) {
  dpi_node *const from[] = {&v->value[i], &v->slope[i]};
  for (int j = 0; j < 2; j++) {
    int s;
    const char *id = dpi_arena_printf(&k->t->arena, "tangent(%s, %d, %d)", v->e->id, i, j);
    if (!id) return DP_ERR_MEMORY;
    DP_TRY(dpi_model_declare(k->t, id, 0, &s));
    dpi_symbol *y = &k->t->sym[s];
    y->kind = DPI_SYM_STATE;
    y->formula = y->init = constant(k, 0);
    y->value = NAN;
    if (y->init == DPI_NODE_NONE) return DP_ERR_MEMORY;
    DP_TRY(set(k, l, s, *from[j], 0));
    *from[j] = sym(k, s);
  }
  return DP_OK;
}

/* Notes tau', and what the event will need. */
static dp_status catch_event(maker *k, const moving *v) {
  list l = {0};
  dpi_node moment;
  dpi_model_event to = {.id = dpi_arena_printf(&k->t->arena, "tangent(%s)", v->e->id),
                        .trigger = k->copy[v->e->trigger],
                        .delay = DPI_NODE_NONE,
                        .priority = constant(k, 1e-3 * FIRST_PRIORITY * (1 - 1e-6 * k->t->nevent)),
                        .initial_value = v->e->initial_value,
                        .persistent = true,
                        .line = v->e->line};
  dp_status st = moment_of(k, v->e, &moment);
  if (st == DP_OK) st = set(k, &l, k->moment, moment, 0);
  if (st == DP_OK) st = set(k, &l, k->caught, sym(k, 0), 0);
  if (st == DP_OK && v->keeps) {
    st = before_jump(k, v, moment);
    if (st == DP_OK) st = pushed(k, v->value, v->e->nassign, v->y, moment, v->slope);
    for (int i = 0; i < v->e->nassign && st == DP_OK; i++) st = keep(k, v, i, &l);
  }
  if (st == DP_OK) st = add_event(k, &to, &l);
  dpi_free(k->ctx, l.item);
  return st;
}

static dp_status set_tangents(maker *k, const moving *v, list *l) {
  const dpi_node moment = sym(k, k->moment);
  const int nsym = k->t->nsym;
  for (int s = 0; s < nsym; s++) v->put[s] = DPI_NODE_NONE;
  for (int i = 0; i < v->e->nassign; i++) v->put[k->sym[v->e->assign[i].sym]] = v->value[i];
  for (int j = 0; j < k->m->nstate; j++) v->after[j] = k->rate[j];
  DP_TRY(dpi_g_subst_all(k->g, v->after, k->m->nstate, v->put, nsym));
  for (int j = 0; j < k->m->nstate; j++) {
    dpi_node to = v->y[j];
    for (int i = 0; i < v->e->nassign; i++)
      if (v->e->assign[i].sym == 1 + j) to = v->slope[i];
    if (to == v->y[j] && v->after[j] == k->rate[j]) continue;
    to = op(k, DPI_OP_SUB, to, op(k, DPI_OP_MUL, v->after[j], moment));
    DP_TRY(set(k, l, k->dot[1 + j], to, 0));
  }
  for (int i = 0; i < v->e->nassign; i++)
    if (v->e->assign[i].sym > k->m->nstate) DP_TRY(set(k, l, k->dot[v->e->assign[i].sym], v->slope[i], 0));
  return DP_OK;
}

static dp_status jump_event(maker *k, const moving *v) {
  const dpi_node moment = sym(k, k->moment);
  dpi_model_event to = copy_of(k, v->e);
  list l = {0};
  to.from_trigger = false;
  dp_status st = before_jump(k, v, moment);
  if (st == DP_OK && !v->keeps) st = pushed(k, v->value, v->e->nassign, v->y, moment, v->slope);
  for (int i = 0; i < v->e->nassign && st == DP_OK; i++) st = set(k, &l, k->sym[v->e->assign[i].sym], v->value[i], 0);
  if (st == DP_OK) st = set_tangents(k, v, &l);
  if (st == DP_OK) st = set(k, &l, k->jumped, sym(k, 0), 0);
  if (st == DP_OK) st = add_event(k, &to, &l);
  dpi_free(k->ctx, l.item);
  return st;
}

static dp_status moving_event(maker *k, const dpi_model_event *e) {
  const int n = k->m->nstate, na = e->nassign;
  moving v = {.e = e};
  if (e->delay != DPI_NODE_NONE) return refuse_event(k, e, "has a delay, and its time moves with parameters");
  dpi_node *block = DPI_NEW_ARRAY(k->ctx, dpi_node, 2 * n + 4 * na + k->t->nsym + 1);
  if (!block) return DP_ERR_MEMORY;
  v.y = block;
  v.after = v.y + n;
  v.value = v.after + n;
  v.slope = v.value + na;
  v.put = v.slope + na; /* states that keep values are declared meanwhile */
  dp_status st = keeps_values(k, e, &v.keeps);
  for (int i = 0; i < na && st == DP_OK; i++) st = value_of(k, e, i, &v.value[i]);
  if (st == DP_OK) st = catch_event(k, &v);
  if (st == DP_OK) st = jump_event(k, &v);
  dpi_free(k->ctx, block);
  return st;
}

dp_status dpi_tangent_events(maker *k, bool at_rest) {
  const dp_model *m = k->m;
  bool all_still = true, still;
  if (at_rest) return DP_OK;
  for (int e = 0; e < m->nevent; e++) {
    DP_TRY(is_still(k, &m->event[e], &still));
    all_still = all_still && still;
  }
  if (!all_still) DP_TRY(make_aux(k));
  DP_TRY(all_switches(k));
  for (int e = 0; e < m->nevent; e++) {
    DP_TRY(is_still(k, &m->event[e], &still));
    DP_TRY(still ? still_event(k, &m->event[e]) : moving_event(k, &m->event[e]));
  }
  return DP_OK;
}
