/* check.c - floor 3: what a careful reader finds in a model: what it is and needs to run. The rest is in check_*.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/check_impl.h"

/* ---------------------------------------------------------------- saying it */
dp_status dpi_check_say(dpi_checker *c, dp_finding_kind kind, const char *element, int line, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return c->each(c->user, &(dp_finding){.kind = kind, .element = element, .line = line, .text = text});
}

enum { NAMES_SHOWN = 8 };

void dpi_check_names_add(dpi_check_names *l, const char *id, int line) {
  size_t len = strlen(l->text);
  if (l->n == 0) l->first = id, l->line = line;
  if (l->n < NAMES_SHOWN) snprintf(l->text + len, sizeof l->text - len, "%s%.60s", l->n ? ", " : "", id);
  l->n++;
}

/* text with its %d and %s filled in: the texts are this room's own */
static void fill(char *out, size_t size, const char *text, int n, const char *names) {
  for (size_t k = 0; k + 1 < size && *text; text++) {
    bool number = text[0] == '%' && text[1] == 'd', word = text[0] == '%' && text[1] == 's';
    out[k] = *text;
    out[k + 1] = '\0';
    if (number) snprintf(out + k, size - k, "%d", n);
    if (word) snprintf(out + k, size - k, "%s", names);
    if (number || word) text++;
    k += strlen(out + k);
  }
}

dp_status dpi_check_names_say(dpi_checker *c, const dpi_check_names *l, dp_finding_kind kind, const char *one,
                              const char *many) {
  char names[700], text[900] = "";
  if (l->n == 0) return DP_OK;
  snprintf(names, sizeof names, "%s", l->text);
  size_t len = strlen(names);
  if (l->n > NAMES_SHOWN) snprintf(names + len, sizeof names - len, " and %d more", l->n - NAMES_SHOWN);
  fill(text, sizeof text, l->n == 1 ? one : many, l->n, names);
  return dpi_check_say(c, kind, l->n == 1 ? l->first : "", l->line, "%s", text);
}

/* ---------------------------------------------------------------- walking the network */
const dpi_net_parameter *dpi_check_local(const dpi_net_reaction *r, const char *id) {
  for (int k = 0; r && k < r->nlocal; k++)
    if (strcmp(r->local[k].id, id) == 0) return &r->local[k];
  return NULL;
}

const dpi_net_rule *dpi_check_rule(const dpi_net *net, const char *variable, unsigned kinds) {
  for (int i = 0; i < net->nrule; i++)
    if ((kinds >> net->rule[i].kind & 1u) && strcmp(net->rule[i].variable, variable) == 0) return &net->rule[i];
  return NULL;
}

static dp_status event_formulas(const dpi_net_event *e, dpi_check_formula fn, void *user) {
  DP_TRY(fn(user, e->trigger, NULL));
  DP_TRY(fn(user, e->delay, NULL));
  DP_TRY(fn(user, e->priority, NULL));
  for (int k = 0; k < e->nassign; k++) DP_TRY(fn(user, e->assign[k].math, NULL));
  return DP_OK;
}

dp_status dpi_check_formulas(const dpi_net *net, dpi_check_formula fn, void *user) {
  for (int i = 0; i < net->nrule; i++) DP_TRY(fn(user, net->rule[i].math, NULL));
  for (int i = 0; i < net->nconstraint; i++) DP_TRY(fn(user, net->constraint[i].math, NULL));
  for (int i = 0; i < net->nevent; i++) DP_TRY(event_formulas(&net->event[i], fn, user));
  for (int i = 0; i < net->nreaction; i++) {
    const dpi_net_reaction *r = &net->reaction[i];
    DP_TRY(fn(user, r->rate, r));
    for (int k = 0; k < r->nreactant; k++) DP_TRY(fn(user, r->reactant[k].math, NULL));
    for (int k = 0; k < r->nproduct; k++) DP_TRY(fn(user, r->product[k].math, NULL));
  }
  return DP_OK;
}

bool dpi_check_moves(dpi_checker *c, dpi_node node, uint8_t *seen) {
  const dp_model *m = c->m;
  memset(seen, 0, (size_t)m->nsym);
  dp_status status = dpi_g_depends(m->graph, node, seen, m->nsym);
  if (status != DP_OK) c->status = status;
  for (int i = 0; i < m->nsym; i++) {
    if (!seen[i]) continue;
    if (m->sym[i].kind != DPI_SYM_PARAM) return true;
    for (int e = 0; e < m->nevent; e++)
      for (int k = 0; k < m->event[e].nassign; k++)
        if (m->event[e].assign[k].sym == i) return true;
  }
  return false;
}

/* ---------------------------------------------------------------- what the model is */
static void add_count(dpi_str *out, int n, const char *one, const char *many) {
  if (n > 0) dpi_str_addf(out, "%s%d %s", out->len ? ", " : "", n, n == 1 ? one : many);
}

static dp_status say_counts(dpi_checker *c) {
  const dpi_net *net = c->net;
  int rules = 0, initial = 0;
  for (int i = 0; i < net->nrule; i++) *(net->rule[i].kind == DPI_RULE_INITIAL ? &initial : &rules) += 1;
  dpi_str out;
  dpi_str_init(&out, c->ctx);
  add_count(&out, net->ncompartment, "compartment", "compartments");
  add_count(&out, net->nspecies, "species", "species");
  add_count(&out, net->nparameter, "parameter", "parameters");
  add_count(&out, net->nreaction, "reaction", "reactions");
  add_count(&out, rules, "rule", "rules");
  add_count(&out, initial, "initial assignment", "initial assignments");
  add_count(&out, net->nevent, "event", "events");
  add_count(&out, net->nfunction, "function", "functions");
  add_count(&out, net->nconstraint, "constraint", "constraints");
  dp_status status =
      out.failed ? DP_ERR_MEMORY
                 : dpi_check_say(c, DP_FINDING_SUMMARY, "", 0, "%s: %s", net->language[0] ? net->language : "model",
                                 out.len ? dpi_str_text(&out) : "nothing");
  dpi_str_release(&out);
  return status;
}

static int count_kind(const dp_model *m, dpi_sym_kind kind) {
  int n = 0;
  for (int i = 0; i < m->nsym; i++) n += m->sym[i].kind == kind;
  return n;
}

static dp_status say_needs(dpi_checker *c) {
  const dp_model *m = c->m;
  if (c->net->flux && c->net->nobjective > 0)
    DP_TRY(dpi_check_say(c, DP_FINDING_SUMMARY, "", 0, "flux balance: %d objective%s", c->net->nobjective,
                         c->net->nobjective > 1 ? "s" : ""));
  dpi_str out;
  dpi_str_init(&out, c->ctx);
  add_count(&out, m->nstate - m->nalgebraic, "differential equation", "differential equations");
  add_count(&out, m->nalgebraic, "algebraic equation", "algebraic equations");
  add_count(&out, count_kind(m, DPI_SYM_DELAYED), "delayed value", "delayed values");
  add_count(&out, m->nevent, "event", "events");
  add_count(&out, m->ndraw, "random draw", "random draws");
  dp_status status = out.failed ? DP_ERR_MEMORY
                                : dpi_check_say(c, DP_FINDING_SUMMARY, "", 0, "to run: %s",
                                                out.len ? dpi_str_text(&out) : "no equations, only formulas");
  dpi_str_release(&out);
  return status;
}

/* ---- can it be simulated molecule by molecule? the first thing that speaks against it */
static const char *uneven_term(const dpi_net_reaction *r) {
  for (int k = 0; k < r->nreactant + r->nproduct; k++) {
    const dpi_net_term *t = k < r->nreactant ? &r->reactant[k] : &r->product[k - r->nreactant];
    if (t->math || (t->stoichiometry == t->stoichiometry && t->stoichiometry != floor(t->stoichiometry)))
      return t->species;
  }
  return NULL;
}

/* Is a rate, down through its factors, a difference of two things that change? Then it is a net rate. */
static bool is_net_rate(dpi_checker *c, dpi_node node, uint8_t *seen, int depth) {
  if (node == DPI_NODE_NONE || depth > 64) return false;
  dpi_gnode v = dpi_graph_at(c->m->graph, node);
  if (v.op == DPI_OP_SUB) return dpi_check_moves(c, v.arg[0], seen) && dpi_check_moves(c, v.arg[1], seen);
  if (v.op == DPI_OP_MUL) return is_net_rate(c, v.arg[0], seen, depth + 1) || is_net_rate(c, v.arg[1], seen, depth + 1);
  return (v.op == DPI_OP_DIV || v.op == DPI_OP_NEG) && is_net_rate(c, v.arg[0], seen, depth + 1);
}

static dp_status say_stochastic(dpi_checker *c) {
  const dpi_net *net = c->net;
  const dp_model *m = c->m;
  const char *head = "as random jumps of whole molecules:";
  if (net->nreaction == 0 || (net->flux && net->nobjective > 0)) return DP_OK;
  if (m->nalgebraic > 0)
    return dpi_check_say(c, DP_FINDING_SUMMARY, "", 0, "%s no, there are algebraic equations", head);
  if (m->ndelayed > 0) return dpi_check_say(c, DP_FINDING_SUMMARY, "", 0, "%s no, there are delayed values", head);
  for (int i = 0; i < net->nreaction; i++) {
    const dpi_net_reaction *r = &net->reaction[i];
    const char *species = uneven_term(r);
    if (species)
      return dpi_check_say(c, DP_FINDING_SUMMARY, r->id, r->line,
                           "%s no, reaction %s takes or makes no whole number of %s", head, r->id, species);
    if (r->fast) return dpi_check_say(c, DP_FINDING_SUMMARY, r->id, r->line, "%s no, reaction %s is fast", head, r->id);
  }
  uint8_t *seen = DPI_ARENA_ARRAY(&c->arena, uint8_t, m->nsym);
  if (seen == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < m->nreaction; i++)
    if (m->reaction[i].reversible && is_net_rate(c, m->reaction[i].rate, seen, 0))
      return dpi_check_say(c, DP_FINDING_SUMMARY, m->reaction[i].id, m->reaction[i].line,
                           "%s only when split, the rate of reaction %s is that of both directions", head,
                           m->reaction[i].id);
  DP_TRY(c->status);
  return dpi_check_say(c, DP_FINDING_SUMMARY, "", 0, "%s yes, all stoichiometries are whole", head);
}

static dp_status check_all(dpi_checker *c) {
  if (c->net == NULL)
    return dpi_check_say(c, DP_FINDING_SUMMARY, "", 0, "%d states, %d events", c->m->nstate, c->m->nevent);
  DP_TRY(say_counts(c));
  DP_TRY(say_needs(c));
  DP_TRY(say_stochastic(c));
  DP_TRY(dpi_check_structure(c));
  DP_TRY(dpi_check_units(c));
  return dpi_check_conserved(c);
}

dp_status dp_model_check(const dp_model *model, dp_finding_fn each, void *user) {
  if (!model->sealed) return dpi_fail(model->ctx, DP_ERR_USAGE, "the model '%s' is not sealed", model->name);
  dpi_checker c = {.m = model, .net = model->net, .ctx = model->ctx, .each = each, .user = user};
  dpi_arena_init(&c.arena, model->ctx);
  dp_status status = check_all(&c);
  dpi_arena_release(&c.arena);
  return status;
}
