/* calib_model.c - floor 6: one model of a problem made ready: names of the tables, what conditions set, laws.  O, U
 *
 * Before the model is sealed,
 *   - parameters of the table, placeholders and what only conditions know become parameters of the model; a parameter
 *     of the table loses the initial assignment it may have;
 *   - what a first condition sets starts there: a state (or a constant given by an expression) gets the
 *     initial expression
 *         overrides(T) ? initial(T) : its own
 *     with two parameters that each experiment gives; where all experiments set it, initial(T) alone;
 *   - what a later condition sets is set by a law (sim.h) at its time: T := later1(T), a parameter that the experiment
 *     gives, or an expression of what the model is just then.
 *
 * Where an experiment begins at a steady state, that is found by a model of its own (dpi_calib_before): the same, with
 * the time standing still far in the future and without events. The main model's states then start at parameters,
 * resumed() ? rest(S) : as above.
 *
 * A species that the model carries as an amount is set as its amount: value times volume. Where a condition changes the
 * volume itself, concentrations stay.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/petab/calib.h"

typedef struct target {
  const char *id; /* of what carries it in the model */
  int sym;        /* of that */
  int volume;     /* symbol by which the given value is multiplied, 0: none */
  int nfirst;     /* experiments whose first condition gives it */
  bool later;
  const char *slot, *flag; /* parameters that take its first value; NULL: none, flag NULL: always given */
} target;

typedef struct maker {
  dpi_calib_part *p;
  dp_ctx *ctx;
  dpi_arena *arena;
  dp_model *m;
  const dpi_calib_table *t;
  target *target;
  int ntarget, cap, nstart;
  bool slots; /* make room for states from before */
  /* the law under work */
  const char **law_target, **law_formula;
  int nset, cap_target, cap_formula;
} maker;

/* ---- names ---- */

static dp_status add_param(maker *k, const char *id, double value, int *sym) {
  DP_TRY(dpi_model_declare(k->m, id, 0, sym));
  k->m->sym[*sym].value = value;
  return DP_OK;
}

static dp_status give(dpi_calib_part *p, int experiment, const char *param, int expr) {
  DP_TRY(dpi_grow(p->ctx, (void **)&p->given, &p->cap_given, p->ngiven + 1, sizeof *p->given));
  p->given[p->ngiven++] = (dpi_calib_given){experiment, param, expr};
  return DP_OK;
}

static dp_status refuse_rule(const maker *k, const char *where, const char *id, const char *what) {
  const int sym = dpi_model_find(k->m, id);
  return dpi_fail(k->ctx, DP_ERR_INPUT, "%s: '%s' is %s in %s:%d; expected a constant or a state of the model", where,
                  id, what, k->m->source, sym < 0 ? 0 : k->m->sym[sym].line);
}

static dp_status table_param(maker *k, int i) {
  const dpi_calib_param *q = &k->t->param[i];
  const char *id = q->element;
  int sym = dpi_model_find(k->m, id);
  if (sym < 0) DP_TRY(add_param(k, id, 0, &sym));
  dpi_symbol *y = &k->m->sym[sym];
  if (y->kind == DPI_SYM_STATE || sym == 0) return refuse_rule(k, q->where, id, "a quantity that changes");
  if (y->kind != DPI_SYM_PARAM) return refuse_rule(k, q->where, id, "given by a rule");
  y->init = DPI_NODE_NONE;
  y->value = isfinite(q->nominal) ? q->nominal : 0;
  y->free = false;
  return give(k->p, -1, id, i);
}

static dp_status add_names(maker *k) {
  int sym;
  for (int i = 0; i < k->t->nparam; i++) DP_TRY(table_param(k, i));
  for (int i = 0; i < k->t->nobservable; i++) {
    const dpi_calib_observable *o = &k->t->observable[i];
    for (int j = 0; j < o->nplaceholder; j++)
      if (dpi_model_find(k->m, o->placeholder[j]) < 0) DP_TRY(add_param(k, o->placeholder[j], 0, &sym));
  }
  return DP_OK;
}

/* ---- targets ---- */

/* What carries a species given by concentration where its volume varies: amount(S) = S * V. */
static bool by_amount(const maker *k, const char *id, int *amount, int *volume) {
  char name[300];
  const int e = dp_model_find_element(k->m, id);
  if (e < 0 || strlen(id) > 250) return false;
  const dp_element x = dp_model_element(k->m, e);
  snprintf(name, sizeof name, "amount(%s)", id);
  *amount = dpi_model_find(k->m, name);
  *volume = x.compartment[0] ? dpi_model_find(k->m, x.compartment) : -1;
  return x.kind == DP_ELEMENT_SPECIES && *amount > 0 && *volume > 0 && k->m->sym[*amount].kind != DPI_SYM_ASSIGNED;
}

static bool in_table(const maker *k, const char *id) {
  for (int i = 0; i < k->t->nparam; i++)
    if (!strcmp(k->t->param[i].element, id)) return true;
  return false;
}

static dp_status make_target(maker *k, const dpi_calib_assign *a, int *index) {
  const char *id = a->target;
  int sym = dpi_model_find(k->m, id), volume = 0, base;
  if (in_table(k, a->target))
    return dpi_fail(
        k->ctx, DP_ERR_INPUT,
        "%s: condition sets '%s', which stands in the parameter table; give the condition a name of its own there",
        a->where, a->target);
  if (sym < 0) DP_TRY(add_param(k, id, NAN, &sym));
  if (sym == 0) return refuse_rule(k, a->where, id, "the time");
  if (k->m->sym[sym].kind == DPI_SYM_ASSIGNED && by_amount(k, id, &base, &volume)) sym = base;
  if (k->m->sym[sym].kind != DPI_SYM_PARAM && k->m->sym[sym].kind != DPI_SYM_STATE)
    return refuse_rule(k, a->where, id, "given by a rule");
  for (*index = 0; *index < k->ntarget; ++*index)
    if (k->target[*index].sym == sym) return DP_OK;
  DP_TRY(dpi_grow(k->ctx, (void **)&k->target, &k->cap, k->ntarget + 1, sizeof *k->target));
  k->target[k->ntarget++] = (target){.id = k->m->sym[sym].id, .sym = sym, .volume = volume};
  return DP_OK;
}

/* Does the model itself set it by an event? */
static bool set_by_event(const dp_model *m, int sym) {
  for (int i = 0; i < m->nevent; i++)
    for (int j = 0; j < m->event[i].nassign; j++)
      if (m->event[i].assign[j].sym == sym) return true;
  return false;
}

/* ---- the conditions of one experiment ---- */

typedef struct course { /* what an experiment has given so far: [ntarget at the end] */
  int *expr;            /* expression, -1: nothing, -2: unknown */
  int cap;
} course;

static dp_status course_room(maker *k, course *c) {
  const int before = c->cap;
  DP_TRY(dpi_grow(k->ctx, (void **)&c->expr, &c->cap, k->ntarget + 1, sizeof *c->expr));
  for (int i = before; i < c->cap; i++) c->expr[i] = -1;
  return DP_OK;
}

static dp_status first_value(maker *k, int x, const dpi_calib_period *period, const dpi_calib_assign *a, course *c) {
  int index, expr;
  const char *foreign;
  if (a->keep) return DP_OK;
  DP_TRY(make_target(k, a, &index));
  DP_TRY(course_room(k, c));
  DP_TRY(dpi_express_add(k->p->express, k->t->reevaluate ? k->m : NULL, a->value, a->where, period->time, &expr,
                         &foreign));
  if (foreign)
    return dpi_fail(
        k->ctx, DP_ERR_INPUT,
        "%s: the value of '%s' in a first condition names '%s', which is neither in the parameter table nor a "
        "constant of the model with a value",
        a->where, a->target, foreign);
  if (c->expr[index] != -1)
    return dpi_fail(k->ctx, DP_ERR_INPUT, "%s: experiment '%s' sets '%s' twice at one time; remove one of the two",
                    a->where, k->t->experiment[x].id, a->target);
  c->expr[index] = expr;
  k->target[index].nfirst++;
  return DP_OK;
}

/* What stands in formulas for a symbol, whatever its name. */
static const char *quoted(maker *k, int sym) { return dpi_arena_printf(k->arena, "`%s`", k->m->sym[sym].id); }

static dp_status set_in_law(maker *k, const char *id, const char *formula) {
  if (!formula) return DP_ERR_MEMORY;
  DP_TRY(dpi_grow(k->ctx, (void **)&k->law_target, &k->cap_target, k->nset + 1, sizeof *k->law_target));
  DP_TRY(dpi_grow(k->ctx, (void **)&k->law_formula, &k->cap_formula, k->nset + 1, sizeof *k->law_formula));
  k->law_target[k->nset] = id;
  k->law_formula[k->nset++] = formula;
  return DP_OK;
}

/* A later value that the parameter table decides goes through a parameter of the sim; else it is a formula. */
static dp_status later_formula(maker *k, int x, int number, int index, const dpi_calib_assign *a, int expr,
                               const char **formula) {
  int sym;
  *formula = dpi_arena_printf(k->arena, "(%s)", a->value);
  if (expr < 0) return *formula ? DP_OK : DP_ERR_MEMORY;
  const char *slot = dpi_arena_printf(k->arena, "later%d(%s)", number, k->target[index].id);
  if (!slot) return DP_ERR_MEMORY;
  if (dpi_model_find(k->m, slot) < 0) DP_TRY(add_param(k, slot, 0, &sym));
  DP_TRY(give(k->p, x, slot, expr));
  *formula = dpi_arena_printf(k->arena, "`%s`", slot);
  return *formula ? DP_OK : DP_ERR_MEMORY;
}

/* The constant's own value: what a blank cell after another condition goes back to. */
static dp_status own_value(maker *k, const dpi_calib_assign *a, int index, int *expr, bool *skip) {
  const dpi_symbol *y = &k->m->sym[k->target[index].sym];
  *skip = y->kind != DPI_SYM_PARAM;
  if (*skip) return DP_OK;
  if (y->init != DPI_NODE_NONE)
    return dpi_fail(
        k->ctx, DP_ERR_UNSUPPORTED,
        "%s: '%s' is left blank after another condition gave it, and the model gives it by an expression; write "
        "its value",
        a->where, a->target);
  return dpi_express_constant(k->p->express, y->value, expr);
}

static dp_status later_value(maker *k, int x, int number, const dpi_calib_assign *a, course *c) {
  int index, expr = -1;
  const char *foreign = NULL, *formula;
  bool skip = false;
  DP_TRY(make_target(k, a, &index));
  DP_TRY(course_room(k, c));
  const dpi_calib_period *period = &k->t->experiment[x].period[number];
  if (a->keep && c->expr[index] == -1) return DP_OK;
  if (a->keep)
    DP_TRY(own_value(k, a, index, &expr, &skip));
  else
    DP_TRY(dpi_express_add(k->p->express, NULL, a->value, a->where, period->time, &expr, &foreign));
  target *g = &k->target[index];
  const bool constant = k->m->sym[g->sym].kind == DPI_SYM_PARAM;
  if (skip || (constant && expr >= 0 && c->expr[index] == expr && !set_by_event(k->m, g->sym))) return DP_OK;
  for (int i = 0; i < k->nset; i++)
    if (!strcmp(k->law_target[i], g->id))
      return dpi_fail(k->ctx, DP_ERR_INPUT, "%s: experiment '%s' sets '%s' twice at one time; remove one of the two",
                      a->where, k->t->experiment[x].id, a->target);
  g->later = true;
  c->expr[index] = expr >= 0 ? expr : -2;
  DP_TRY(later_formula(k, x, number, index, a, expr, &formula));
  return set_in_law(k, k->m->sym[g->sym].id, formula);
}

/* Values of concentrations become amounts in the volume as it will be; concentrations stay where the volume is set. */
static dp_status law_volumes(maker *k) {
  const int n = k->nset;
  int amount, volume;
  for (int e = 0; e < dp_model_nelement(k->m); e++) {
    const dp_element x = dp_model_element(k->m, e);
    if (x.kind != DP_ELEMENT_SPECIES || !by_amount(k, x.id, &amount, &volume) || x.amount) continue;
    if (k->m->sym[dpi_model_find(k->m, x.id)].kind != DPI_SYM_ASSIGNED) continue;
    int set = -1, moved = -1;
    for (int i = 0; i < n; i++) {
      if (!strcmp(k->law_target[i], k->m->sym[amount].id)) set = i;
      if (!strcmp(k->law_target[i], k->m->sym[volume].id)) moved = i;
    }
    const char *v = moved >= 0 ? k->law_formula[moved] : quoted(k, volume);
    if (!v) return DP_ERR_MEMORY;
    if (set >= 0) {
      k->law_formula[set] = dpi_arena_printf(k->arena, "(%s)*%s", k->law_formula[set], v);
      if (!k->law_formula[set]) return DP_ERR_MEMORY;
    } else if (moved >= 0) {
      DP_TRY(set_in_law(k, k->m->sym[amount].id,
                        dpi_arena_printf(k->arena, "`%s`/`%s`*%s", k->m->sym[amount].id, k->m->sym[volume].id, v)));
    }
  }
  return DP_OK;
}

static bool same_law(const dp_law_def *l, const maker *k) {
  if (l->n != k->nset) return false;
  for (int i = 0; i < l->n; i++)
    if (strcmp(l->target[i], k->law_target[i]) || strcmp(l->formula[i], k->law_formula[i])) return false;
  return true;
}

static dp_status finish_law(maker *k, int *out) {
  dpi_calib_part *p = k->p;
  *out = -1;
  if (k->nset == 0) return DP_OK;
  DP_TRY(law_volumes(k));
  for (*out = 0; *out < p->nlaw; ++*out)
    if (same_law(&p->law[*out], k)) return DP_OK;
  const char **t = DPI_ARENA_ARRAY(k->arena, const char *, k->nset),
             **f = DPI_ARENA_ARRAY(k->arena, const char *, k->nset);
  const char *id = dpi_arena_printf(k->arena, "condition %d", p->nlaw + 1);
  if (!t || !f || !id) return DP_ERR_MEMORY;
  memcpy((void *)t, k->law_target, (size_t)k->nset * sizeof *t);
  memcpy((void *)f, k->law_formula, (size_t)k->nset * sizeof *f);
  DP_TRY(dpi_grow(k->ctx, (void **)&p->law, &p->cap_law, p->nlaw + 1, sizeof *p->law));
  p->law[p->nlaw++] = (dp_law_def){.id = id, .n = k->nset, .target = t, .formula = f};
  return DP_OK;
}

/* All conditions of an experiment; c: what it has given at the end of its first one is kept in `start`. */
static dp_status experiment(maker *k, int x, course *c, course *start) {
  const dpi_calib_experiment *e = &k->t->experiment[x];
  k->p->law_of[x] = DPI_ARENA_ARRAY(k->arena, int, e->nperiod + 1);
  if (!k->p->law_of[x]) return DP_ERR_MEMORY;
  for (int i = 0; i < c->cap; i++) c->expr[i] = -1;
  for (int number = 0; number < e->nperiod; number++) {
    const dpi_calib_period *period = &e->period[number];
    k->nset = 0;
    for (int i = 0; i < period->nassign; i++)
      DP_TRY(number == 0 ? first_value(k, x, period, &period->assign[i], c)
                         : later_value(k, x, number, &period->assign[i], c));
    DP_TRY(finish_law(k, &k->p->law_of[x][number]));
    if (number > 0) continue;
    DP_TRY(course_room(k, c));
    for (int i = 0; i < k->ntarget; i++) {
      if (c->expr[i] < 0) continue;
      DP_TRY(dpi_grow(k->ctx, (void **)&start->expr, &start->cap, 3 * (k->nstart + 1), sizeof *start->expr));
      int *at = start->expr + 3 * k->nstart++;
      at[0] = x;
      at[1] = i;
      at[2] = c->expr[i];
    }
  }
  return DP_OK;
}

/* ---- where first values go ---- */

static dp_status slot(maker *k, target *g, const char *what, const char **id, dpi_node *node) {
  int sym;
  *id = dpi_arena_printf(k->arena, "%s(%s)", what, g->id);
  if (!*id) return DP_ERR_MEMORY;
  DP_TRY(add_param(k, *id, 0, &sym));
  *node = dpi_g_sym(k->m->graph, sym);
  return *node == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

static dp_status place_first(maker *k, target *g) {
  dpi_graph *graph = k->m->graph;
  dpi_node value, flag;
  const bool always = g->nfirst == k->t->nexperiment;
  dpi_symbol *y = &k->m->sym[g->sym];
  if (y->kind == DPI_SYM_PARAM && (y->init == DPI_NODE_NONE || (always && !g->later))) {
    if (always) y->init = DPI_NODE_NONE;
    if (always && isnan(y->value)) y->value = 0;
    y->free = false;
    g->slot = g->id;
    return DP_OK;
  }
  DP_TRY(slot(k, g, "initial", &g->slot, &value));
  if (g->volume) value = dpi_g_op2(graph, DPI_OP_MUL, value, dpi_g_sym(graph, g->volume));
  y = &k->m->sym[g->sym];
  const dpi_node own = y->init;
  if (!always && own != DPI_NODE_NONE) {
    DP_TRY(slot(k, g, "overrides", &g->flag, &flag));
    value = dpi_g_if(graph, flag, value, own);
  }
  y = &k->m->sym[g->sym];
  y->init = value;
  y->value = NAN;
  y->free = false;
  return value == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* A constant that stays what it was at the start, whatever happens to what it was computed from. */
static dp_status freeze(maker *k, int sym) {
  dpi_symbol *y = &k->m->sym[sym];
  y->kind = DPI_SYM_STATE;
  y->formula = dpi_g_const(k->m->graph, 0);
  y->value = NAN;
  return y->formula == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* moves[s]: symbol s is set by a later condition, or follows one that is */
static dp_status spread(maker *k, uint8_t *moves, bool *more) {
  dp_model *m = k->m;
  for (int s = 1; s < m->nsym; s++) {
    const dpi_symbol *y = &m->sym[s];
    const dpi_node from = y->kind == DPI_SYM_ASSIGNED ? y->formula : y->kind == DPI_SYM_PARAM ? y->init : DPI_NODE_NONE;
    const int32_t *list;
    int n;
    if (moves[s] || from == DPI_NODE_NONE) continue;
    DP_TRY(dpi_g_symbols(m->graph, from, &list, &n));
    for (int i = 0; i < n && !moves[s]; i++) moves[s] = moves[list[i]];
    *more = *more || moves[s];
  }
  return DP_OK;
}

static dp_status freeze_what_follows(maker *k) {
  uint8_t *moves = DPI_NEW_ARRAY(k->ctx, uint8_t, k->m->nsym + 1);
  if (!moves) return DP_ERR_MEMORY;
  dp_status st = DP_OK;
  bool any = false, more;
  for (int i = 0; i < k->ntarget; i++)
    if (k->target[i].later) {
      moves[k->target[i].sym] = 1;
      any = true;
    }
  do {
    more = false;
    if (any && !k->t->reevaluate) st = spread(k, moves, &more);
  } while (more && st == DP_OK);
  for (int s = 1; s < k->m->nsym && st == DP_OK; s++) {
    const dpi_symbol *y = &k->m->sym[s];
    bool itself = false;
    for (int i = 0; i < k->ntarget; i++) itself = itself || (k->target[i].later && k->target[i].sym == s);
    if (moves[s] && y->kind == DPI_SYM_PARAM && y->init != DPI_NODE_NONE && (itself || !k->t->reevaluate))
      st = freeze(k, s);
  }
  dpi_free(k->ctx, moves);
  return st;
}

static dp_status give_first(maker *k, const course *start) {
  int one, zero;
  DP_TRY(dpi_express_constant(k->p->express, 1, &one));
  DP_TRY(dpi_express_constant(k->p->express, 0, &zero));
  for (int i = 0; i < k->ntarget; i++)
    if (k->target[i].flag) DP_TRY(give(k->p, -1, k->target[i].flag, zero));
  for (int i = 0; i < k->nstart; i++) {
    const int *at = start->expr + 3 * i;
    const target *g = &k->target[at[1]];
    DP_TRY(give(k->p, at[0], g->slot, at[2]));
    if (g->flag) DP_TRY(give(k->p, at[0], g->flag, one));
  }
  return DP_OK;
}

/* ---- steady states before ---- */

#define LATE 1e12 /* what the time is where nothing changes any more */

/* States that start where the other model came to rest. */
static dp_status add_slots(maker *k) {
  dpi_calib_before *b = &k->p->before;
  dp_model *m = k->m;
  const int n = m->nsym;
  int flag, slot, on, off;
  DP_TRY(add_param(k, "resumed()", 0, &flag));
  DP_TRY(dpi_express_constant(k->p->express, 1, &on));
  DP_TRY(dpi_express_constant(k->p->express, 0, &off));
  DP_TRY(give(k->p, -1, "resumed()", off));
  for (int x = 0; x < k->t->nexperiment; x++)
    if (k->t->experiment[x].nperiod > 0 && k->t->experiment[x].period[0].steady) DP_TRY(give(k->p, x, "resumed()", on));
  b->state = DPI_ARENA_ARRAY(k->arena, const char *, n);
  b->slot = DPI_ARENA_ARRAY(k->arena, const char *, n);
  if (!b->state || !b->slot) return DP_ERR_MEMORY;
  for (int s = 1; s < n; s++) {
    if (m->sym[s].kind != DPI_SYM_STATE) continue;
    const char *id = dpi_arena_printf(k->arena, "rest(%s)", m->sym[s].id);
    if (!id) return DP_ERR_MEMORY;
    DP_TRY(add_param(k, id, 0, &slot));
    b->state[b->nslot] = m->sym[s].id;
    b->slot[b->nslot++] = id;
    const dpi_node from = dpi_g_sym(m->graph, slot);
    dpi_node own = m->sym[s].init;
    if (own == DPI_NODE_NONE) own = dpi_g_const(m->graph, m->sym[s].value);
    m->sym[s].init = dpi_g_if(m->graph, dpi_g_sym(m->graph, flag), from, own);
    if (m->sym[s].init == DPI_NODE_NONE) return DP_ERR_MEMORY;
    m->sym[s].value = NAN;
  }
  return DP_OK;
}

static dp_status stop_time(dp_model *m) {
  const dpi_node late = dpi_g_const(m->graph, LATE);
  m->nevent = 0;
  for (int s = 1; s < m->nsym; s++) {
    dpi_node *f = &m->sym[s].formula;
    if (*f == DPI_NODE_NONE) continue;
    *f = dpi_g_subst(m->graph, *f, &late, 1); /* symbol 0 is time */
    if (*f == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status prepare(maker *k) {
  course c = {0}, start = {0};
  k->p->law_of = DPI_ARENA_ARRAY(k->arena, int *, k->t->nexperiment + 1);
  if (!k->p->law_of) return DP_ERR_MEMORY;
  dp_status st = add_names(k);
  for (int x = 0; x < k->t->nexperiment && st == DP_OK; x++) st = experiment(k, x, &c, &start);
  for (int i = 0; i < k->ntarget && st == DP_OK; i++)
    if (k->target[i].nfirst > 0) st = place_first(k, &k->target[i]);
  if (st == DP_OK) st = freeze_what_follows(k);
  if (st == DP_OK) st = give_first(k, &start);
  if (st == DP_OK && k->slots) st = add_slots(k);
  int sym;
  if (st == DP_OK) st = add_param(k, DPI_CALIB_SCALE, 0, &sym);
  dpi_free(k->ctx, c.expr);
  dpi_free(k->ctx, start.expr);
  return st;
}

static dp_status make(dpi_calib_part *p, dp_model *m, bool slots) {
  maker k = {.p = p, .ctx = p->ctx, .arena = p->arena, .t = p->table, .m = m, .slots = slots};
  const dp_status st = prepare(&k);
  dpi_free(p->ctx, k.target);
  dpi_free(p->ctx, (void *)k.law_target);
  dpi_free(p->ctx, (void *)k.law_formula);
  return st;
}

/* The model of steady states goes through the same preparation; what that says of experiments is known already. */
static dp_status make_before(dpi_calib_part *p) {
  dpi_calib_part other = {.ctx = p->ctx, .arena = p->arena, .table = p->table, .express = p->express};
  dp_model *m;
  DP_TRY(dp_model_read(p->ctx, p->table->model, &p->before.model));
  m = p->before.model;
  dp_status st = make(&other, m, false);
  dpi_free(p->ctx, other.law);
  dpi_free(p->ctx, other.given);
  if (st == DP_OK) st = stop_time(m);
  return st == DP_OK ? dp_model_seal(m) : st;
}

dp_status dpi_calib_model(dpi_calib_part *p) {
  for (int x = 0; x < p->table->nexperiment; x++)
    p->steady = p->steady || (p->table->experiment[x].nperiod > 0 && p->table->experiment[x].period[0].steady);
  DP_TRY(make(p, p->model, p->steady));
  DP_TRY(dp_model_seal(p->model));
  return p->steady ? make_before(p) : DP_OK;
}
