/* antimony_build.c - floor 3: from reactions, rules and compartments to the rates of a model.
 *
 * A species stands for its concentration in its compartment (for its amount when substanceOnly). Its rate is
 *
 *     d[S]/dt = (sum over reactions of stoichiometry * rate) / V      rates are amounts per time
 *
 * with V the compartment's volume, which must be constant; the default compartment has volume 1.
 */
#include <math.h>

#include "lang/antimony/antimony_impl.h"

static dp_status fail_sym(const ant_reader *r, int sym, dp_status status, const char *what,
                          const char *other) {
  const dpi_symbol *s = &r->m->sym[sym];
  int line = r->info[sym].line ? r->info[sym].line : s->line;
  return dpi_fail(r->ctx, status, "%s:%d: '%s' %s%s", r->source, line, s->id, what, other);
}

/* ---- reactions ---- */
static dp_status add_to_sum(ant_reader *r, const ant_term *t, dpi_node rate) {
  dpi_graph *g = r->m->graph;
  ant_info *info = &r->info[t->species];
  if (info->boundary || info->constant) return DP_OK;
  dpi_node flow = dpi_g_op2(g, DPI_OP_MUL, t->stoich, rate);
  if (!info->has_sum)
    info->sum = t->product ? flow : dpi_g_op1(g, DPI_OP_NEG, flow);
  else
    info->sum = dpi_g_op2(g, t->product ? DPI_OP_ADD : DPI_OP_SUB, info->sum, flow);
  info->has_sum = true;
  return info->sum == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

static dp_status sum_reactions(ant_reader *r) {
  for (int i = 0; i < r->nreaction; i++) {
    const ant_reaction *x = &r->reaction[i];
    if (!x->has_rate)
      return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: reaction '%s' has no rate; a network without rates is not supported",
                      r->source, x->line, r->m->sym[x->sym].id);
    r->m->sym[x->sym].formula = x->rate;
    dpi_node rate = dpi_g_sym(r->m->graph, x->sym);
    if (rate == DPI_NODE_NONE) return DP_ERR_MEMORY;
    for (int k = 0; k < x->nterm; k++) DP_TRY(add_to_sum(r, &r->term[x->first + k], rate));
  }
  return DP_OK;
}

/* ---- compartments ---- */
static bool varies(const ant_reader *r, int sym) {
  return r->info[sym].has_rate || r->info[sym].event_target ||
         r->m->sym[sym].kind == DPI_SYM_ASSIGNED;
}

/* the default compartment counts only when the text names it */
static void find_homes(ant_reader *r) {
  int def = dpi_model_find(r->m, "default_compartment");
  for (int i = 1; i < r->m->nsym; i++)
    if (r->info[i].species && r->info[i].home == 0 && def > 0 && i != def) r->info[i].home = def;
}

static dp_status check_homes(const ant_reader *r) {
  for (int i = 1; i < r->m->nsym; i++) {
    const ant_info *s = &r->info[i];
    if (s->home == 0) continue;
    const char *home = r->m->sym[s->home].id;
    if (r->info[s->home].reaction || r->info[s->home].species)
      return fail_sym(r, i, DP_ERR_INPUT, "lies in what is not a compartment: ", home);
    if (s->reaction)
      return fail_sym(r, i, DP_ERR_UNSUPPORTED,
                      "is a reaction with a compartment, not supported: ", home);
    /* an amount, or a concentration given by a rule, does not feel the volume */
    bool feels =
        s->species && !s->substance_only && r->m->sym[i].kind != DPI_SYM_ASSIGNED && !s->has_rate;
    if (feels && varies(r, s->home))
      return fail_sym(r, i, DP_ERR_UNSUPPORTED,
                      "is a species in a compartment whose volume varies, not supported: ", home);
  }
  return DP_OK;
}

/* ---- states ---- */
static dp_status make_state(ant_reader *r, int sym, dpi_node rate) {
  dpi_symbol *s = &r->m->sym[sym];
  if (rate == DPI_NODE_NONE) return DP_ERR_MEMORY;
  s->kind = DPI_SYM_STATE;
  s->formula = rate;
  if (s->init == DPI_NODE_NONE && s->value == s->value)
    s->init = dpi_g_const(r->m->graph, s->value);
  s->value = NAN;
  return DP_OK;
}

static dp_status settle_symbol(ant_reader *r, int sym) {
  const ant_info *s = &r->info[sym];
  dpi_graph *g = r->m->graph;
  bool ruled = r->m->sym[sym].kind == DPI_SYM_ASSIGNED;
  if (s->constant && !s->species && (s->has_rate || ruled) && !s->reaction)
    return fail_sym(r, sym, DP_ERR_INPUT, "is declared const but has a ",
                    ruled ? "formula" : "rate");
  if (s->has_rate && s->has_sum)
    return fail_sym(r, sym, DP_ERR_INPUT,
                    "has a rate beside its reactions, expected '$' or one of them", "");
  if (ruled && s->has_sum)
    return fail_sym(r, sym, DP_ERR_INPUT,
                    "has a formula beside its reactions, expected '$' or one of them", "");
  if (s->has_rate) return make_state(r, sym, s->rate);
  if (!s->has_sum) return DP_OK;
  if (s->home == 0 || s->substance_only) return make_state(r, sym, s->sum);
  return make_state(r, sym, dpi_g_op2(g, DPI_OP_DIV, s->sum, dpi_g_sym(g, s->home)));
}

dp_status dpi_ant_build(ant_reader *r) {
  if (dpi_ant_info(r, r->m->nsym - 1) == NULL) return DP_ERR_MEMORY;
  DP_TRY(sum_reactions(r));
  find_homes(r);
  DP_TRY(check_homes(r));
  for (int i = 1; i < r->m->nsym; i++) DP_TRY(settle_symbol(r, i));
  return DP_OK;
}
