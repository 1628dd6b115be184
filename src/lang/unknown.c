/* unknown.c - floor 3: what an incomplete model can't say, when it is sealed partly.
 *
 * A parameter without value, a state without initial value, a reaction without rate, a name that is only used has no
 * value: the *causes*. What follows from them is not known either:
 *
 *     an assigned variable         one thing in its formula is not known
 *     a state, a parameter         its rate or initial value
 *     what a constraint determines something else in the constraint
 *     what an event sets           its trigger, delay, priority or the value
 *     a delayed value, a draw      lag or expression; arguments
 *
 * All of that becomes ASSIGNED with the value NaN, and what would compute it (constraints, events, draws, changes by
 * reactions) is dropped; so nothing that is left depends on it, and the rest is the model without it. Judged is what
 * formulas name, not what they come to: a parameter that is 0 saves no product, a condition no branch.
 *
 * A parameter without value that an event sets is not known *yet*: it stays, with what is assigned from it; everything
 * else that depends on it is not known at all. A state without initial value that an event sets is refused: from then
 * on it would have a course, and there is no way to begin one late.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/network.h"
#include "lang/seal_impl.h"

enum { KNOWN, NOT_YET, NEVER };

#define MOST_NAMES 12 /* in the sentence on what follows */
#define MOST_NEAR 20  /* "did you mean" */

typedef struct spread { /* nodes: symbols, then events */
  dpi_sealer *s;
  dp_model *m;
  dp_ctx *ctx;
  int nnode;
  uint8_t *level;   /* [nnode] */
  uint8_t *given;   /* [n] the caller will give its value */
  uint8_t *cause;   /* [n] */
  uint8_t *told;    /* [n] named in a sentence */
  int *owner;       /* [n] constraint that determines the symbol + 1 */
  int *edge;        /* pairs: what is not known, what follows */
  int nedge, cap_edge;
  int *first, *user; /* what follows from node i: user[first[i] .. first[i + 1]) */
  int *queue;       /* [2 nnode] a node is raised twice at most */
  int nqueue;
  int nnear;
} spread;

/* ---- causes ---- */
static bool has_value(const dpi_symbol *y) { return y->value == y->value || y->init != DPI_NODE_NONE; }

static bool lacks_value(const spread *p, int sym) {
  const dpi_symbol *y = &p->m->sym[sym];
  if (p->given[sym] || p->owner[sym] > 0) return false;
  return (y->kind == DPI_SYM_PARAM || y->kind == DPI_SYM_STATE) && !has_value(y);
}

static bool any_cause(const spread *p) {
  for (int i = 1; i < p->s->n; i++)
    if (lacks_value(p, i)) return true;
  return false;
}

static void raise_to(spread *p, int node, uint8_t level) {
  if (p->level[node] >= level) return;
  p->level[node] = level;
  p->queue[p->nqueue++] = node;
}

static void start_causes(spread *p) {
  for (int i = 1; i < p->s->n; i++) {
    if (!lacks_value(p, i)) continue;
    p->cause[i] = 1;
    raise_to(p, i, p->m->sym[i].kind == DPI_SYM_PARAM && p->s->target[i] ? NOT_YET : NEVER);
  }
}

/* ---- what follows from what ---- */
static dp_status add_edge(spread *p, int from, int to) {
  DP_TRY(dpi_grow(p->ctx, (void **)&p->edge, &p->cap_edge, 2 * (p->nedge + 1), sizeof *p->edge));
  p->edge[2 * p->nedge] = from;
  p->edge[2 * p->nedge + 1] = to;
  p->nedge++;
  return DP_OK;
}

static dp_status add_formula(spread *p, dpi_node node, int to) {
  int n;
  DP_TRY(dpi_seal_symbols(p->s, node, &n));
  for (int i = 0; i < n; i++) DP_TRY(add_edge(p, p->s->list[i], to));
  return DP_OK;
}

static dp_status add_symbol(spread *p, int sym) {
  const dpi_symbol *y = &p->m->sym[sym];
  DP_TRY(add_formula(p, y->formula, sym));
  DP_TRY(add_formula(p, y->init, sym));
  DP_TRY(add_formula(p, y->delay, sym));
  /* a rate of change, also where its formula is known already */
  if (y->target > 0) DP_TRY(add_edge(p, y->target, sym));
  if (p->owner[sym] > 0) DP_TRY(add_formula(p, p->m->constraint[p->owner[sym] - 1].residual, sym));
  return DP_OK;
}

static dp_status add_event(spread *p, int event) {
  const dpi_model_event *e = &p->m->event[event];
  int node = p->s->n + event;
  DP_TRY(add_formula(p, e->trigger, node));
  DP_TRY(add_formula(p, e->delay, node));
  DP_TRY(add_formula(p, e->priority, node));
  for (int k = 0; k < e->nassign; k++) {
    const dpi_event_assign *a = &e->assign[k];
    DP_TRY(add_edge(p, node, a->sym));
    DP_TRY(add_formula(p, a->value, a->sym));
    if (a->times > 0) DP_TRY(add_edge(p, a->times, a->sym));
  }
  return DP_OK;
}

static dp_status add_edges(spread *p) {
  dp_model *m = p->m;
  for (int i = 1; i < p->s->n; i++) DP_TRY(add_symbol(p, i));
  for (int i = 0; i < m->nevent; i++) DP_TRY(add_event(p, i));
  for (int i = 0; i < m->ndraw; i++)
    for (int k = 0; k < m->draw[i].narg; k++) DP_TRY(add_formula(p, m->draw[i].arg[k], m->draw[i].sym));
  p->user = DPI_NEW_ARRAY(p->ctx, int, p->nedge > 0 ? p->nedge : 1);
  if (p->user == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < p->nedge; i++) p->first[p->edge[2 * i] + 1]++;
  for (int i = 0; i < p->nnode; i++) p->first[i + 1] += p->first[i];
  for (int i = p->nedge - 1; i >= 0; i--) p->user[--p->first[p->edge[2 * i] + 1]] = p->edge[2 * i + 1];
  for (int i = 0; i < p->nnode; i++) p->first[i] = p->first[i + 1];
  p->first[p->nnode] = p->nedge;
  return DP_OK;
}

/* What is assigned is as much known as what it is made of; all else has a past, or decides. */
static uint8_t level_of(const spread *p, int to, uint8_t level) {
  return to < p->s->n && p->m->sym[to].kind == DPI_SYM_ASSIGNED ? level : NEVER;
}

static void follow(spread *p) {
  for (int k = 0; k < p->nqueue; k++) {
    int from = p->queue[k];
    for (int i = p->first[from]; i < p->first[from + 1]; i++)
      raise_to(p, p->user[i], level_of(p, p->user[i], p->level[from]));
  }
}

/* A state without initial value, whose rate is known, and an event that says what it is. */
static dp_status check_events(const spread *p) {
  const dp_model *m = p->m;
  for (int i = 0; i < m->nevent; i++) {
    for (int k = 0; k < m->event[i].nassign && p->level[p->s->n + i] == KNOWN; k++) {
      const dpi_event_assign *a = &m->event[i].assign[k];
      const dpi_symbol *y = &m->sym[a->sym];
      int n;
      bool known = p->level[a->times] == KNOWN;
      if (!p->cause[a->sym] || y->kind != DPI_SYM_STATE) continue;
      DP_TRY(dpi_seal_symbols(p->s, a->value, &n));
      for (int j = 0; j < n; j++) known = known && p->level[p->s->list[j]] == KNOWN;
      if (known)
        return dpi_fail(p->ctx, DP_ERR_INPUT, "%s:%d: state '%s' has no initial value, expected '%s = ...'", m->source,
                        y->line, y->id, y->id);
    }
  }
  return DP_OK;
}

/* ---- sentences ---- */
static dp_status say(spread *p, const char *element, int line, const char *text) {
  dp_model *m = p->m;
  if (text == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_grow(p->ctx, (void **)&m->unknown, &m->cap_unknown, m->nunknown + 1, sizeof *m->unknown));
  m->unknown[m->nunknown++] = (dpi_unknown){text, element, line};
  return DP_OK;
}

/* The species that amount(S) or concentration(S) is about, into id; its symbol, or -1. */
static int species_of(const spread *p, const char *text, char *id, size_t size) {
  const char *open = strchr(text, '(');
  int index;
  if (p->m->net == NULL || open == NULL) return -1;
  if (strncmp(text, "amount(", 7) != 0 && strncmp(text, "concentration(", 14) != 0) return -1;
  int n = snprintf(id, size, "%s", open + 1);
  if (n < 1 || n >= (int)size) return -1;
  id[n - 1] = '\0';
  return dpi_net_find(p->m->net, id, &index) == DPI_NET_SPECIES ? dpi_model_find(p->m, id) : -1;
}

/* In flux balance species have no amounts and reactions no rates. */
static bool is_expected(const spread *p, dpi_net_kind kind) {
  const dpi_net *net = p->m->net;
  return net != NULL && net->flux && net->nobjective > 0 && (kind == DPI_NET_SPECIES || kind == DPI_NET_REACTION);
}

static dp_status say_undefined(spread *p, int sym) {
  const dpi_symbol *y = &p->m->sym[sym];
  char near[160] = "";
  const char *line = strrchr(y->where, ':');
  int at = line != NULL && sscanf(line, ":%d", &at) == 1 ? at : 0;
  if (p->nnear++ < MOST_NEAR) dpi_model_suggest(p->m, y->id, sym, near);
  return say(p, y->id, at, dpi_arena_printf(&p->m->arena, "'%s' is used but not defined%s", y->id, near));
}

static dp_status say_cause(spread *p, int sym) {
  dpi_arena *arena = &p->m->arena;
  const dpi_symbol *y = &p->m->sym[sym];
  char id[400];
  int index, of = species_of(p, y->id, id, sizeof id);
  if (of >= 0) p->told[of] = 1;
  else of = sym;
  p->told[sym] = 1;
  const char *name = p->m->sym[of].id;
  dpi_net_kind kind = p->m->net != NULL ? dpi_net_find(p->m->net, name, &index) : DPI_NET_NOTHING;
  if (is_expected(p, kind)) return DP_OK;
  if (!y->defined) return say_undefined(p, sym);
  const char *text = kind == DPI_NET_SPECIES       ? "species '%s' has no initial value"
                     : kind == DPI_NET_COMPARTMENT ? "compartment '%s' has no size"
                     : kind == DPI_NET_REACTION    ? "reaction '%s' has no rate"
                     : y->kind == DPI_SYM_STATE    ? "parameter '%s' has no initial value"
                                                   : "parameter '%s' has no value";
  dpi_str made;
  dpi_str_init(&made, p->ctx);
  dpi_str_addf(&made, text, name);
  if (p->level[sym] == NOT_YET) dpi_str_add(&made, " before an event sets it");
  dp_status status = made.failed ? DP_ERR_MEMORY : say(p, name, y->line, dpi_arena_strdup(arena, dpi_str_text(&made)));
  dpi_str_release(&made);
  return status;
}

/* Is this worth a name among what follows? */
static bool is_worth(const spread *p, int sym) {
  const dpi_symbol *y = &p->m->sym[sym];
  char id[400];
  int index;
  if (p->told[sym] || p->level[sym] == KNOWN) return false;
  if (p->m->net == NULL) return strchr(y->id, '(') == NULL;
  int of = species_of(p, y->id, id, sizeof id);
  if (of >= 0) return p->level[of] == KNOWN;
  dpi_net_kind kind = dpi_net_find(p->m->net, y->id, &index);
  return kind != DPI_NET_NOTHING && !is_expected(p, kind);
}

static dp_status say_following(spread *p) {
  dpi_str out;
  dpi_str_init(&out, p->ctx);
  int n = 0;
  dpi_str_add(&out, "so ");
  for (int i = 1; i < p->s->n; i++)
    if (is_worth(p, i) && n++ < MOST_NAMES) dpi_str_addf(&out, "%s'%s'", n > 1 ? ", " : "", p->m->sym[i].id);
  if (n > MOST_NAMES) dpi_str_addf(&out, " and %d more", n - MOST_NAMES);
  dpi_str_add(&out, n > 1 ? " are not known" : " is not known");
  dp_status status = out.failed ? DP_ERR_MEMORY : DP_OK;
  if (status == DP_OK && n > 0) status = say(p, "", 0, dpi_arena_strdup(&p->m->arena, dpi_str_text(&out)));
  dpi_str_release(&out);
  return status;
}

static dp_status say_all(spread *p) {
  for (int i = 1; i < p->s->n; i++)
    if (p->cause[i]) DP_TRY(say_cause(p, i));
  if (p->m->nunknown == 0) return DP_OK;
  DP_TRY(say_following(p));
  for (int i = 0; i < p->m->nevent; i++) {
    const dpi_model_event *e = &p->m->event[i];
    if (p->level[p->s->n + i] == KNOWN) continue;
    DP_TRY(say(p, e->id, e->line,
               dpi_arena_printf(&p->m->arena, "event '%s' is left out: when it happens is not known", e->id)));
  }
  return DP_OK;
}

/* ---- taken out ---- */
static bool is_gone(const spread *p, int sym) { return p->level[sym] == NEVER; }

static void drop_constraints(spread *p) {
  dp_model *m = p->m;
  for (int i = 1; i < p->s->n; i++)
    if (p->owner[i] > 0 && is_gone(p, i)) m->constraint[p->owner[i] - 1].residual = DPI_NODE_NONE;
  int n = 0;
  for (int i = 0; i < m->nconstraint; i++)
    if (m->constraint[i].residual != DPI_NODE_NONE) m->constraint[n++] = m->constraint[i];
  m->nconstraint = n;
}

/* Draws of events that go, and those that are not known, then the events: numbers of the others move up. */
static dp_status drop_events(spread *p) {
  dp_model *m = p->m;
  int *number = DPI_NEW_ARRAY(p->ctx, int, m->nevent > 0 ? m->nevent : 1), n = 0, ndraw = 0;
  if (number == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < m->nevent; i++) number[i] = p->level[p->s->n + i] == KNOWN ? n++ : -1;
  for (int i = 0; i < m->ndraw; i++) {
    dpi_draw d = m->draw[i];
    bool of_event = d.phase != DPI_DRAW_START;
    if (of_event && number[d.event] < 0) raise_to(p, d.sym, NEVER);
    if (is_gone(p, d.sym)) continue;
    if (of_event) d.event = number[d.event];
    m->draw[ndraw++] = d;
  }
  for (int i = 0; i < m->nevent; i++)
    if (number[i] >= 0) m->event[number[i]] = m->event[i];
  m->ndraw = ndraw;
  m->nevent = n;
  dpi_free(p->ctx, number);
  return DP_OK;
}

static dp_status drop_assignments(spread *p, dpi_model_event *e) {
  int n = 0;
  dpi_event_assign *kept = DPI_ARENA_ARRAY(&p->m->arena, dpi_event_assign, e->nassign > 0 ? e->nassign : 1);
  if (kept == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < e->nassign; k++)
    if (!is_gone(p, e->assign[k].sym)) kept[n++] = e->assign[k];
  e->assign = kept;
  e->nassign = n;
  return DP_OK;
}

static dp_status drop_changes(spread *p, const dpi_change **list, int *n) {
  int left = 0;
  dpi_change *kept = DPI_ARENA_ARRAY(&p->m->arena, dpi_change, *n > 0 ? *n : 1);
  if (kept == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < *n; k++)
    if (!is_gone(p, (*list)[k].state)) kept[left++] = (*list)[k];
  *list = kept;
  *n = left;
  return DP_OK;
}

static dp_status drop_reactions(spread *p) {
  dp_model *m = p->m;
  int n = 0;
  for (int i = 0; i < m->nreaction; i++) {
    dpi_model_reaction r = m->reaction[i];
    if (is_gone(p, r.sym)) continue;
    DP_TRY(drop_changes(p, &r.change, &r.nchange));
    DP_TRY(drop_changes(p, &r.order, &r.norder));
    m->reaction[n++] = r;
  }
  m->nreaction = n;
  return DP_OK;
}

static dp_status take_out_symbols(spread *p) {
  dpi_node none = dpi_g_const(p->m->graph, NAN);
  if (none == DPI_NODE_NONE) return dpi_seal_no_memory(p->s);
  for (int i = 1; i < p->s->n; i++) {
    dpi_symbol *y = &p->m->sym[i];
    if (!is_gone(p, i)) continue;
    y->unknown = y->kind == DPI_SYM_STATE || p->owner[i] > 0 ? DPI_UNKNOWN_COURSE : DPI_UNKNOWN_VALUE;
    y->kind = DPI_SYM_ASSIGNED;
    y->formula = none;
    y->init = y->delay = DPI_NODE_NONE;
    y->value = NAN;
    y->target = 0;
    y->free = y->unrated = false;
  }
  return DP_OK;
}

static dp_status take_out(spread *p) {
  drop_constraints(p);
  DP_TRY(drop_events(p));
  for (int i = 0; i < p->m->nevent; i++) DP_TRY(drop_assignments(p, &p->m->event[i]));
  DP_TRY(drop_reactions(p));
  return take_out_symbols(p);
}

/* ---- all of it ---- */
static dp_status spread_init(spread *p) {
  dpi_sealer *s = p->s;
  p->nnode = s->n + s->m->nevent;
  p->level = DPI_NEW_ARRAY(p->ctx, uint8_t, p->nnode);
  p->given = DPI_NEW_ARRAY(p->ctx, uint8_t, s->n);
  p->cause = DPI_NEW_ARRAY(p->ctx, uint8_t, s->n);
  p->told = DPI_NEW_ARRAY(p->ctx, uint8_t, s->n);
  p->owner = DPI_NEW_ARRAY(p->ctx, int, s->n);
  p->first = DPI_NEW_ARRAY(p->ctx, int, p->nnode + 1);
  p->queue = DPI_NEW_ARRAY(p->ctx, int, 2 * p->nnode);
  if (!p->level || !p->given || !p->cause || !p->told || !p->owner || !p->first || !p->queue) return DP_ERR_MEMORY;
  for (int i = 0; i < s->ngiven; i++) {
    int sym = dpi_model_find(s->m, s->given[i]);
    if (sym >= 0 && sym < s->n) p->given[sym] = 1;
  }
  return DP_OK;
}

static void spread_release(spread *p) {
  dpi_free(p->ctx, p->level);
  dpi_free(p->ctx, p->given);
  dpi_free(p->ctx, p->cause);
  dpi_free(p->ctx, p->told);
  dpi_free(p->ctx, p->owner);
  dpi_free(p->ctx, p->first);
  dpi_free(p->ctx, p->queue);
  dpi_free(p->ctx, p->edge);
  dpi_free(p->ctx, p->user);
}

static dp_status find_unknown(spread *p) {
  DP_TRY(spread_init(p));
  if (!any_cause(p)) return DP_OK;
  DP_TRY(dpi_seal_match(p->s, p->owner));
  if (!any_cause(p)) return DP_OK;
  start_causes(p);
  DP_TRY(add_edges(p));
  follow(p);
  DP_TRY(check_events(p));
  DP_TRY(say_all(p));
  return take_out(p);
}

dp_status dpi_seal_unknown(dpi_sealer *s) {
  spread p = {.s = s, .m = s->m, .ctx = s->ctx};
  dp_status status = find_unknown(&p);
  spread_release(&p);
  return status;
}

int dp_model_nunknown(const dp_model *m) { return m->nunknown; }

const char *dp_model_unknown(const dp_model *m, int index) {
  DP_ASSERT(index >= 0 && index < m->nunknown);
  return m->unknown[index].text;
}
