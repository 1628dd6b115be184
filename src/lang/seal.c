/* seal.c - floor 3: sealing turns what was read into a closed system in states, delays, draws, parameters and time.
 *
 *  1. every used symbol must be defined, every state must have an initial value;
 *  2. delays that need no history are taken away (delay.c); rateOf(x) becomes a formula (rate.c);
 *  3. constraints find the variables that they determine (algebraic.c); in an incomplete model, sealed partly, what is
 *     not known is taken out before (unknown.c);
 *  4. values at the start: initial expressions are written out in parameters; loops are named (resolve.c);
 *  5. parameters with an initial expression become assigned formulas of other parameters (k2 follows k1), or, when an
 *     event changes them or what they were computed from, or when they depend on the start time, states with rate 0;
 *  6. states are numbered first (differential, then algebraic), then what is delayed;
 *  7. assigned symbols are written out everywhere; loops are named;
 *  8. each event gets one root function for each elementary relation of its trigger (root.c).
 */
#include <math.h>
#include <string.h>

#include "lang/seal_impl.h"

static void sealer_release(dpi_sealer *s) {
  dpi_free(s->ctx, s->target);
  dpi_free(s->ctx, s->past);
  dpi_free(s->ctx, s->start);
  dpi_free(s->ctx, s->now);
  dpi_free(s->ctx, s->number);
  dpi_free(s->ctx, s->mark);
  dpi_free(s->ctx, s->path);
  s->target = s->mark = NULL;
  s->past = s->start = s->now = NULL;
  s->number = s->path = NULL;
}

/* arrays for the symbols there are now */
static dp_status sealer_fit(dpi_sealer *s) {
  sealer_release(s);
  int n = s->n = s->m->nsym;
  s->target = DPI_NEW_ARRAY(s->ctx, uint8_t, n);
  s->past = DPI_NEW_ARRAY(s->ctx, dpi_node, n);
  s->start = DPI_NEW_ARRAY(s->ctx, dpi_node, n);
  s->now = DPI_NEW_ARRAY(s->ctx, dpi_node, n);
  s->number = DPI_NEW_ARRAY(s->ctx, int, n);
  s->mark = DPI_NEW_ARRAY(s->ctx, uint8_t, n);
  s->path = DPI_NEW_ARRAY(s->ctx, int, n);
  bool ok = s->target && s->past && s->start && s->now && s->number && s->mark && s->path;
  return ok ? DP_OK : DP_ERR_MEMORY;
}

/* ---- what is there ---- */

/* a state that never moves by itself and has no value is a parameter without value */
static bool rests(const dpi_sealer *s, const dpi_symbol *y) {
  double rate;
  return dpi_g_is_const(s->m->graph, y->formula, &rate) && rate == 0.0;
}

static bool is_given(const dpi_sealer *s, const char *id) {
  for (int i = 0; i < s->ngiven; i++)
    if (strcmp(s->given[i], id) == 0) return true;
  return false;
}

/* Reactions without a rate are for flux balance; elsewhere nothing says how fast they are. */
static dp_status check_rates(const dpi_sealer *s) {
  for (int i = 0; i < s->m->nsym && !s->partly; i++) {
    const dpi_symbol *y = &s->m->sym[i];
    if (y->unrated && y->kind == DPI_SYM_PARAM && y->value != y->value)
      return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "%s:%d: reaction '%s' has no rate; only flux balance does without",
                      s->m->source, y->line, y->id);
  }
  return DP_OK;
}

static dp_status check_defined(const dpi_sealer *s) {
  char near[160];
  DP_TRY(check_rates(s));
  for (int i = 0; i < s->m->nsym; i++) {
    dpi_symbol *y = &s->m->sym[i];
    if (!y->defined && y->value != y->value && !s->partly) /* who gives a value defines */
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s: '%s' is used but not defined%s", y->where, y->id,
                      dpi_model_suggest(s->m, y->id, i, near));
    if (y->kind != DPI_SYM_STATE || y->init != DPI_NODE_NONE) continue;
    if (!rests(s, y) && s->partly && !is_given(s, y->id)) continue; /* unknown.c */
    if (!rests(s, y))
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: state '%s' has no initial value, expected '%s = ...'",
                      s->m->source, y->line, y->id, y->id);
    y->kind = DPI_SYM_PARAM;
    y->formula = DPI_NODE_NONE;
  }
  return DP_OK;
}

static dp_status mark_targets(dpi_sealer *s) {
  const dp_model *m = s->m;
  for (int i = 0; i < m->nevent; i++) {
    for (int k = 0; k < m->event[i].nassign; k++) {
      int sym = m->event[i].assign[k].sym;
      dpi_sym_kind kind = m->sym[sym].kind;
      if (kind != DPI_SYM_STATE && kind != DPI_SYM_PARAM)
        return dpi_fail(s->ctx, DP_ERR_INPUT,
                        "%s:%d: event '%s' sets '%s', which is given by a formula at all times",
                        m->source, m->event[i].line, m->event[i].id, m->sym[sym].id);
      s->target[sym] = 1;
    }
  }
  return DP_OK;
}

/* ---- parameters with an initial expression ---- */

/* flag[node]: does it depend on a symbol of the set? Of every node there is now, in one pass: a chain of values, each
 * computed from the one before, would be walked again for each of them. */
static dp_status flag_nodes(const dpi_sealer *s, const uint8_t *set, uint8_t **out) {
  const dpi_graph *g = s->m->graph;
  int n = dpi_graph_count(g);
  uint8_t *flag = DPI_NEW_ARRAY(s->ctx, uint8_t, n > 0 ? n : 1);
  *out = flag;
  if (flag == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) { /* arguments come before their users */
    dpi_gnode at = dpi_graph_at(g, i);
    int nchild = dpi_op_arity(at.op);
    flag[i] = at.op == DPI_OP_SYM && at.arg[0] < s->m->nsym && set[at.arg[0]];
    for (int k = 0; k < nchild; k++) flag[i] |= flag[at.arg[k]];
  }
  return DP_OK;
}

static dp_status settle_param(dpi_sealer *s, int i, const uint8_t *moving) {
  dpi_symbol *y = &s->m->sym[i];
  if (y->kind != DPI_SYM_PARAM || y->init == DPI_NODE_NONE) return DP_OK;
  if (dpi_g_is_const(s->m->graph, s->start[i], &y->value)) {
    y->init = DPI_NODE_NONE;
    return DP_OK;
  }
  y->value = NAN;
  y->kind = moving[s->start[i]] || s->target[i] ? DPI_SYM_STATE : DPI_SYM_ASSIGNED;
  y->formula = y->kind == DPI_SYM_STATE ? dpi_g_const(s->m->graph, 0.0) : s->start[i];
  if (y->kind == DPI_SYM_ASSIGNED) y->init = DPI_NODE_NONE;
  return y->formula == DPI_NODE_NONE ? dpi_seal_no_memory(s) : DP_OK;
}

static dp_status settle_params(dpi_sealer *s) {
  dp_model *m = s->m;
  uint8_t *moving = DPI_NEW_ARRAY(s->ctx, uint8_t, s->n); /* may differ between start and later */
  if (moving == NULL) return DP_ERR_MEMORY;
  uint8_t *flag = NULL;
  for (int i = 0; i < s->n; i++) moving[i] = s->target[i] || m->sym[i].kind == DPI_SYM_TIME || m->sym[i].algebraic;
  dp_status status = flag_nodes(s, moving, &flag);
  for (int i = 0; i < s->n && status == DP_OK; i++) status = settle_param(s, i, flag);
  dpi_free(s->ctx, moving);
  dpi_free(s->ctx, flag);
  return status;
}

/* ---- numbering and writing out ---- */
static int place(const dpi_symbol *y) {
  if (y->kind == DPI_SYM_STATE) return y->algebraic ? 1 : 0;
  return y->kind == DPI_SYM_DELAYED ? 2 : 3;
}

static void number_symbols(dpi_sealer *s) {
  dp_model *m = s->m;
  int next = 1, count[4] = {0};
  s->number[0] = 0;
  for (int p = 0; p < 4; p++) {
    for (int i = 1; i < s->n; i++) {
      if (place(&m->sym[i]) != p) continue;
      s->number[i] = next++;
      count[p]++;
    }
  }
  m->nstate = count[0] + count[1];
  m->nalgebraic = count[1];
  m->ndelayed = count[2];
}

/* what is computed once at the start can't wait for a variable that is found when the model runs */
static dp_status check_start(dpi_sealer *s, dpi_node node, const char *what, int line) {
  int n;
  DP_TRY(dpi_seal_symbols(s, node, &n));
  for (int i = 0; i < n; i++)
    if (s->list[i] <= s->m->nstate && s->list[i] > 0)
      return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: the value of '%s' at the start depends on a variable that an algebraic rule gives "
                      "implicitly, not supported",
                      s->m->source, line, what);
  return DP_OK;
}

/* the guess from which the search for an algebraic variable starts, in old numbers */
static dp_status write_guess(dpi_sealer *s, dpi_symbol *y) {
  int n;
  DP_TRY(dpi_seal_write_out(s, &y->init, s->start));
  DP_TRY(dpi_seal_symbols(s, y->init, &n));
  for (int i = 0; i < n; i++)
    if (s->m->sym[s->list[i]].algebraic) y->init = dpi_g_const(s->m->graph, 1.0); /* of another: then any */
  return y->init == DPI_NODE_NONE ? dpi_seal_no_memory(s) : DP_OK;
}

/* what each delayed expression was before the start, in old numbers: kept as init */
static dp_status write_past(dpi_sealer *s) {
  dp_model *m = s->m;
  bool any = false;
  for (int i = 1; i < s->n; i++) any = any || m->sym[i].kind == DPI_SYM_DELAYED;
  if (!any) return DP_OK;
  DP_TRY(dpi_seal_resolve(s, DPI_SEAL_PAST, s->past));
  for (int i = 1; i < s->n; i++) {
    dpi_symbol *y = &m->sym[i];
    if (y->kind != DPI_SYM_DELAYED) continue;
    y->init = y->formula;
    DP_TRY(dpi_seal_write_out(s, &y->init, s->past));
  }
  return DP_OK;
}

/* values at the start: from the old numbering to the new */
static dp_status write_start(dpi_sealer *s, const dpi_node *rename) {
  dp_model *m = s->m;
  for (int i = 0; i < s->n; i++)
    if (m->sym[i].algebraic) DP_TRY(write_guess(s, &m->sym[i]));
  if (dpi_g_subst_all(m->graph, s->start, s->n, rename, s->n) != DP_OK) return dpi_seal_no_memory(s);
  for (int i = 0; i < s->n; i++) {
    dpi_symbol *y = &m->sym[i];
    if (y->kind == DPI_SYM_STATE && !y->algebraic) y->init = s->start[i];
    if (y->kind == DPI_SYM_STATE && y->algebraic) DP_TRY(dpi_seal_write_out(s, &y->init, rename));
    if (y->kind == DPI_SYM_STATE) DP_TRY(check_start(s, y->init, y->id, y->line));
    if (y->kind == DPI_SYM_DELAYED) DP_TRY(dpi_seal_write_out(s, &y->init, rename));
    if (y->kind == DPI_SYM_DELAYED) DP_TRY(check_start(s, s->start[i], y->id, y->line));
    if (y->kind == DPI_SYM_DELAYED) DP_TRY(check_start(s, y->init, y->id, y->line));
  }
  for (int i = 0; i < m->ndraw; i++) {
    dpi_draw *d = &m->draw[i];
    if (d->phase != DPI_DRAW_START) continue;
    for (int k = 0; k < d->narg; k++) { /* arguments in old numbers become values at the start in new ones */
      DP_TRY(dpi_seal_write_out(s, &d->arg[k], s->start));
      DP_TRY(check_start(s, d->arg[k], m->sym[d->sym].id, d->line));
    }
  }
  return DP_OK;
}

static dp_status write_starts(dpi_sealer *s) {
  dpi_node *rename = DPI_NEW_ARRAY(s->ctx, dpi_node, s->n);
  if (rename == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < s->n; i++) rename[i] = dpi_g_sym(s->m->graph, s->number[i]);
  dp_status status = write_start(s, rename);
  dpi_free(s->ctx, rename);
  return status;
}

static dp_status write_symbols(dpi_sealer *s) {
  for (int i = 0; i < s->n; i++) {
    dpi_symbol *y = &s->m->sym[i];
    if (y->kind == DPI_SYM_ASSIGNED) y->formula = s->now[i];
    if (y->kind != DPI_SYM_STATE && y->kind != DPI_SYM_DELAYED) continue;
    DP_TRY(dpi_seal_write_out(s, &y->formula, s->now));
    DP_TRY(dpi_seal_write_out(s, &y->delay, s->now));
  }
  return DP_OK;
}

static dp_status write_event(dpi_sealer *s, dpi_model_event *e) {
  dpi_event_assign *a = DPI_ARENA_ARRAY(&s->m->arena, dpi_event_assign, e->nassign > 0 ? e->nassign : 1);
  if (a == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_seal_write_out(s, &e->trigger, s->now));
  DP_TRY(dpi_seal_write_out(s, &e->delay, s->now));
  DP_TRY(dpi_seal_write_out(s, &e->priority, s->now));
  for (int k = 0; k < e->nassign; k++) {
    a[k] = (dpi_event_assign){s->number[e->assign[k].sym], e->assign[k].value, s->number[e->assign[k].times]};
    DP_TRY(dpi_seal_write_out(s, &a[k].value, s->now));
  }
  e->assign = a;
  return dpi_seal_event_roots(s, e);
}

static dp_status write_draws(dpi_sealer *s) {
  for (int i = 0; i < s->m->ndraw; i++) {
    dpi_draw *d = &s->m->draw[i];
    for (int k = 0; k < d->narg && d->phase != DPI_DRAW_START; k++) DP_TRY(dpi_seal_write_out(s, &d->arg[k], s->now));
    d->sym = s->number[d->sym];
  }
  return DP_OK;
}

static dp_status write_changes(dpi_sealer *s, const dpi_change **list, int n) {
  dpi_change *made = DPI_ARENA_ARRAY(&s->m->arena, dpi_change, n > 0 ? n : 1);
  if (made == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) {
    made[k] = (dpi_change){s->number[(*list)[k].state], (*list)[k].by};
    DP_TRY(dpi_seal_write_out(s, &made[k].by, s->now));
  }
  *list = made;
  return DP_OK;
}

static dp_status write_reaction(dpi_sealer *s, dpi_model_reaction *r) {
  r->sym = s->number[r->sym];
  DP_TRY(dpi_seal_write_out(s, &r->rate, s->now));
  DP_TRY(write_changes(s, &r->change, r->nchange));
  return write_changes(s, &r->order, r->norder);
}

static dp_status write_formulas(dpi_sealer *s) {
  dp_model *m = s->m;
  DP_TRY(write_symbols(s));
  for (int i = 0; i < m->nevent; i++) DP_TRY(write_event(s, &m->event[i]));
  DP_TRY(write_draws(s));
  for (int i = 0; i < m->nreaction; i++) DP_TRY(write_reaction(s, &m->reaction[i]));
  return DP_OK;
}

/* ---- putting the symbols into their new order ---- */
static dp_status reorder(dpi_sealer *s) {
  dp_model *m = s->m;
  dpi_symbol *sym = DPI_NEW_ARRAY(s->ctx, dpi_symbol, s->n);
  m->value = DPI_NEW_ARRAY(s->ctx, dpi_node, s->n);
  m->start = DPI_NEW_ARRAY(s->ctx, dpi_node, s->n);
  if (sym == NULL || m->value == NULL || m->start == NULL) {
    dpi_free(s->ctx, sym);
    return DP_ERR_MEMORY;
  }
  for (int i = 0; i < s->n; i++) {
    sym[s->number[i]] = m->sym[i];
    m->value[s->number[i]] = s->now[i];
    m->start[s->number[i]] = s->start[i];
  }
  dpi_free(s->ctx, m->sym);
  m->sym = sym;
  m->cap_sym = s->n;
  for (int i = 0; i < s->n; i++) DP_TRY(dpi_map_put(&m->ids, m->sym[i].id, i));
  return DP_OK;
}

/* ---- what running the model needs ---- */
typedef struct roots {
  dpi_node *node;
  int n, cap;
} roots;

static dp_status add_root(dpi_sealer *s, roots *r, dpi_node node) {
  if (node == DPI_NODE_NONE) return DP_OK;
  DP_TRY(dpi_grow(s->ctx, (void **)&r->node, &r->cap, r->n + 1, sizeof *r->node));
  r->node[r->n++] = node;
  return DP_OK;
}

static dp_status gather(dpi_sealer *s, roots *r) {
  const dp_model *m = s->m;
  for (int i = 1; i <= m->nstate + m->ndelayed; i++) {
    DP_TRY(add_root(s, r, m->sym[i].formula));
    DP_TRY(add_root(s, r, m->sym[i].init));
    DP_TRY(add_root(s, r, m->start[i]));
    DP_TRY(add_root(s, r, m->sym[i].delay));
  }
  for (int i = 0; i < m->nevent; i++) {
    const dpi_model_event *e = &m->event[i];
    DP_TRY(add_root(s, r, e->trigger));
    DP_TRY(add_root(s, r, e->delay));
    DP_TRY(add_root(s, r, e->priority));
    for (int k = 0; k < e->nassign; k++) {
      DP_TRY(add_root(s, r, e->assign[k].value));
      if (e->assign[k].times > 0) DP_TRY(add_root(s, r, m->value[e->assign[k].times]));
    }
  }
  for (int i = 0; i < m->ndraw; i++)
    for (int k = 0; k < m->draw[i].narg; k++) DP_TRY(add_root(s, r, m->draw[i].arg[k]));
  return DP_OK;
}

static dp_status mark_needed(dpi_sealer *s) {
  dp_model *m = s->m;
  roots r = {0};
  dpi_node *list = NULL;
  int n = 0;
  dp_status status = gather(s, &r);
  if (status == DP_OK) status = dpi_g_reach(m->graph, r.node, r.n, &list, &n);
  for (int i = 0; i < n && status == DP_OK; i++) {
    dpi_gnode at = dpi_graph_at(m->graph, list[i]);
    if (at.op == DPI_OP_SYM) m->sym[at.arg[0]].needed = true;
  }
  dpi_free(s->ctx, r.node);
  dpi_free(s->ctx, list);
  return status;
}

/* time, what has a rate or an equation, what is delayed or drawn anew, what an event sets */
static bool varies_itself(dpi_sealer *s, int sym) {
  const dpi_symbol *y = &s->m->sym[sym];
  double rate;
  if (y->varies) return true; /* set by an event or drawn at one */
  if (y->kind == DPI_SYM_TIME || y->kind == DPI_SYM_DELAYED) return true;
  if (y->kind != DPI_SYM_STATE) return false;
  return y->algebraic || !dpi_g_is_const(s->m->graph, y->formula, &rate) || rate != 0.0;
}

static dp_status mark_varying(dpi_sealer *s) {
  dp_model *m = s->m;
  for (int i = 0; i < m->nevent; i++)
    for (int k = 0; k < m->event[i].nassign; k++) m->sym[m->event[i].assign[k].sym].varies = true;
  for (int i = 0; i < m->ndraw; i++)
    if (m->draw[i].phase != DPI_DRAW_START) m->sym[m->draw[i].sym].varies = true;
  uint8_t *flag = NULL, *set = DPI_NEW_ARRAY(s->ctx, uint8_t, m->nsym);
  if (set == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < m->nsym; i++) set[i] = varies_itself(s, i);
  dp_status status = flag_nodes(s, set, &flag);
  for (int i = 0; i < m->nsym && status == DP_OK; i++) m->sym[i].varies = flag[m->value[i]];
  dpi_free(s->ctx, set);
  dpi_free(s->ctx, flag);
  return status;
}

static dp_status seal(dpi_sealer *s) {
  DP_TRY(check_defined(s));
  DP_TRY(sealer_fit(s));
  DP_TRY(dpi_seal_delays(s));
  DP_TRY(dpi_seal_rates(s));
  DP_TRY(sealer_fit(s));
  DP_TRY(mark_targets(s));
  if (s->partly) DP_TRY(dpi_seal_unknown(s));
  DP_TRY(dpi_seal_constraints(s));
  s->settled = true;
  DP_TRY(dpi_seal_rates(s)); /* of what the constraints determine */
  DP_TRY(sealer_fit(s));
  DP_TRY(mark_targets(s));
  DP_TRY(write_past(s));
  DP_TRY(dpi_seal_resolve(s, DPI_SEAL_START, s->start));
  DP_TRY(settle_params(s));
  number_symbols(s);
  DP_TRY(dpi_seal_resolve(s, DPI_SEAL_NOW, s->now));
  DP_TRY(write_starts(s));
  DP_TRY(write_formulas(s));
  DP_TRY(reorder(s));
  DP_TRY(mark_needed(s));
  return mark_varying(s);
}

static dp_status seal_once(dpi_sealer *s) {
  if (s->m->sealed) return DP_OK;
  dp_status status = seal(s);
  sealer_release(s);
  dpi_free(s->ctx, s->stack);
  dpi_free(s->ctx, s->list);
  dpi_free(s->ctx, s->rate);
  dpi_free(s->ctx, s->order);
  s->m->sealed = status == DP_OK;
  return status;
}

dp_status dpi_model_seal(dp_model *m) { return seal_once(&(dpi_sealer){.m = m, .ctx = m->ctx}); }
dp_status dp_model_seal(dp_model *m) { return dpi_model_seal(m); }

dp_status dp_model_seal_partly(dp_model *m, const char *const *given, int ngiven) {
  return seal_once(&(dpi_sealer){.m = m, .ctx = m->ctx, .partly = true, .given = given, .ngiven = ngiven});
}
