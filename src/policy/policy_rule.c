/* policy_rule.c - floor 7: a rule in two forms, which say the same.
 *
 *     formulas   every local name replaced by what stands for it in a sim: a law of the waist (dp_law_def) evaluates
 *                them
 *     session    a model without states of the local names, its formulas one tape: asked by one person outside of a sim
 *
 * next and give see the state as it was at the beginning of the decision, let goes from top to bottom.
 */
#include "lang/lang.h"
#include "policy/policy_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- as formulas ---- */

/* Local names and what stands for them, growing by `let`. */
typedef struct names {
  const char **name, **formula;
  int n;
} names;

static dp_status names_make(const dp_policy *p, const dpi_policy_words *w, dpi_arena *arena, names *out) {
  const dpi_policy_rule *r = &p->rule;
  const int most = p->desc.nread + p->desc.nannounce + p->desc.nperson + r->nstate + r->nparameter + r->nlet + 1;
  *out = (names){DPI_ARENA_ARRAY(arena, const char *, most), DPI_ARENA_ARRAY(arena, const char *, most), 0};
  if (!out->name || !out->formula) return DP_ERR_MEMORY;
#define DPI_PUT(id, text) (out->name[out->n] = (id), out->formula[out->n++] = (text))
  for (int i = 0; i < p->desc.nread; i++) DPI_PUT(p->desc.read[i], w->read[i]);
  for (int i = 0; i < p->desc.nannounce; i++) DPI_PUT(p->desc.announce[i], w->announce[i]);
  for (int i = 0; i < p->desc.nperson; i++) DPI_PUT(p->desc.person[i], w->person[i]);
  for (int i = 0; i < r->nstate; i++) DPI_PUT(r->state[i], w->state[i]);
  char number[32];
  for (int i = 0; i <= r->nparameter; i++) {
    dpi_format_double(i < r->nparameter ? r->value[i] : p->desc.every, number);
    DPI_PUT(i < r->nparameter ? r->parameter[i] : "period", dpi_arena_strdup(arena, number));
    if (!out->formula[out->n - 1]) return DP_ERR_MEMORY;
  }
#undef DPI_PUT
  return DP_OK;
}

static dp_status put_in(const dp_policy *p, dpi_arena *arena, const names *n, const dpi_policy_formula *f,
                        const char **out) {
  *out = NULL;
  return f->text ? dpi_policy_replace(p->ctx, arena, f->text, n->name, n->formula, n->n, out) : DP_OK;
}

dp_status dpi_policy_formulas_make(const dp_policy *p, const dpi_policy_words *words, dpi_arena *arena,
                                   dpi_policy_formulas *out) {
  const dpi_policy_rule *r = &p->rule;
  names n;
  DP_TRY(names_make(p, words, arena, &n));
  for (int i = 0; i < r->nlet; i++) {
    DP_TRY(put_in(p, arena, &n, &r->let[i], &n.formula[n.n]));
    n.name[n.n++] = r->let[i].id;
  }
  out->next = DPI_ARENA_ARRAY(arena, const char *, r->nstate + 1);
  out->give = DPI_ARENA_ARRAY(arena, const char *, p->desc.ngive + 1);
  if (!out->next || !out->give) return DP_ERR_MEMORY;
  for (int i = 0; i < r->nstate; i++) DP_TRY(put_in(p, arena, &n, &r->next[i], &out->next[i]));
  for (int i = 0; i < p->desc.ngive; i++) DP_TRY(put_in(p, arena, &n, &r->give[i], &out->give[i]));
  return DP_OK;
}

/* ---- asked by one person ---- */

struct dpi_rule_session {
  const dp_policy *policy;
  dp_model *model;
  dpi_tape *tape;
  int nsym;
  double *sym, *reg, *out;                           /* in one block after this struct's own */
  int *read, *announce, *person, *state, *parameter; /* symbols */
};

static dp_status add_names(dp_model *m, const char *const *id, int n) {
  for (int i = 0; i < n; i++) {
    int sym;
    DP_TRY(dpi_model_symbol(m, id[i], 0, &sym));
    m->sym[sym].value = 0;
  }
  return DP_OK;
}

static dp_status parse(const dp_policy *p, dp_model *m, const dpi_policy_formula *f, const char *what, dpi_node *out) {
  char where[400];
  snprintf(where, sizeof where, "%.200s:%d: %s '%.60s'", p->desc.source, f->line, what, f->id);
  return dpi_model_parse(m, f->text, where, false, out);
}

/* The model of the local names, sealed; node [nstate + ngive] of what comes out. */
static dp_status make_model(const dp_policy *p, dp_model *m, dpi_node *node) {
  const dpi_policy_rule *r = &p->rule;
  static const char *const period[] = {"period"};
  DP_TRY(add_names(m, p->desc.read, p->desc.nread));
  DP_TRY(add_names(m, p->desc.announce, p->desc.nannounce));
  DP_TRY(add_names(m, p->desc.person, p->desc.nperson));
  DP_TRY(add_names(m, r->state, r->nstate));
  DP_TRY(add_names(m, r->parameter, r->nparameter));
  DP_TRY(add_names(m, period, 1));
  for (int i = 0; i < r->nlet; i++) {
    dpi_node n;
    DP_TRY(parse(p, m, &r->let[i], "let", &n)); /* names what it does not know, so nothing below it either */
    DP_TRY(dpi_model_assign(m, r->let[i].id, r->let[i].text, p->desc.source));
  }
  DP_TRY(dpi_model_seal(m));
  for (int i = 0; i < r->nstate; i++) {
    const int sym = dpi_model_find(m, r->state[i]);
    if (r->next[i].text)
      DP_TRY(parse(p, m, &r->next[i], "next", &node[i]));
    else
      node[i] = dpi_g_sym(m->graph, sym);
  }
  for (int i = 0; i < p->desc.ngive; i++) DP_TRY(parse(p, m, &r->give[i], "gives", &node[r->nstate + i]));
  return DP_OK;
}

static dp_status find_names(dpi_rule_session *s, const char *const *id, int n, int **at) {
  *at = DPI_NEW_ARRAY(s->policy->ctx, int, n + 1);
  if (!*at) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) (*at)[i] = dpi_model_find(s->model, id[i]);
  return DP_OK;
}

static dp_status make_tape(dpi_rule_session *s) {
  const dp_policy *p = s->policy;
  const dpi_policy_rule *r = &p->rule;
  dp_ctx *ctx = p->ctx;
  const int nout = r->nstate + p->desc.ngive;
  dpi_node *node = DPI_NEW_ARRAY(ctx, dpi_node, nout + 1);
  dp_status status = node ? make_model(p, s->model, node) : DP_ERR_MEMORY;
  s->nsym = s->model->nsym;
  uint8_t *fast = status == DP_OK ? DPI_NEW_ARRAY(ctx, uint8_t, s->nsym) : NULL;
  if (status == DP_OK && !fast) status = DP_ERR_MEMORY;
  for (int i = 0; status == DP_OK && i < s->nsym; i++) fast[i] = 1;
  if (status == DP_OK) status = dpi_tape_create(ctx, s->model->graph, node, nout, fast, s->nsym, &s->tape);
  dpi_free(ctx, fast);
  dpi_free(ctx, node);
  DP_TRY(status);
  s->sym = DPI_NEW_ARRAY(ctx, double, s->nsym);
  s->reg = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(s->tape) + 1);
  s->out = DPI_NEW_ARRAY(ctx, double, nout + 1);
  return s->sym && s->reg && s->out ? DP_OK : DP_ERR_MEMORY;
}

static dp_status rule_open(dpi_rule_session *s, const double *person) {
  const dp_policy *p = s->policy;
  const dpi_policy_rule *r = &p->rule;
  DP_TRY(dpi_model_create(p->ctx, "policy", p->desc.source, &s->model));
  DP_TRY(make_tape(s));
  DP_TRY(find_names(s, p->desc.read, p->desc.nread, &s->read));
  DP_TRY(find_names(s, p->desc.announce, p->desc.nannounce, &s->announce));
  DP_TRY(find_names(s, p->desc.person, p->desc.nperson, &s->person));
  DP_TRY(find_names(s, r->state, r->nstate, &s->state));
  DP_TRY(find_names(s, r->parameter, r->nparameter, &s->parameter));
  for (int i = 0; i < p->desc.nperson; i++) s->sym[s->person[i]] = person ? person[i] : 0;
  for (int i = 0; i < r->nstate; i++) s->sym[s->state[i]] = r->start[i];
  for (int i = 0; i < r->nparameter; i++) s->sym[s->parameter[i]] = r->value[i];
  dpi_tape_init(s->tape, s->reg);
  return DP_OK;
}

dp_status dpi_rule_open(const dp_policy *policy, const double *person, dpi_rule_session **out) {
  dpi_rule_session *s = DPI_NEW(policy->ctx, dpi_rule_session);
  *out = NULL;
  if (!s) return DP_ERR_MEMORY;
  s->policy = policy;
  const dp_status status = rule_open(s, person);
  if (status == DP_OK)
    *out = s;
  else
    dpi_rule_close(s);
  return status;
}

dp_status dpi_rule_step(dpi_rule_session *s, const dp_policy_input *input, double *give) {
  const dp_policy *p = s->policy;
  const dpi_policy_rule *r = &p->rule;
  s->sym[0] = input->time;
  const int period = dpi_model_find(s->model, "period");
  if (period >= 0) s->sym[period] = p->desc.every;
  for (int i = 0; i < p->desc.nread; i++) s->sym[s->read[i]] = input->read[i];
  for (int i = 0; i < p->desc.nannounce; i++) s->sym[s->announce[i]] = input->announce[i];
  dpi_tape_prologue(s->tape, s->sym, s->reg);
  dpi_tape_eval(s->tape, s->sym, s->reg, s->out);
  for (int i = 0; i < p->desc.ngive; i++) {
    give[i] = s->out[r->nstate + i];
    if (!isfinite(give[i]))
      return dpi_fail(p->ctx, DP_ERR_NUMERIC, "%s: gives '%s' is no finite number at time %g", p->desc.source,
                      p->desc.give[i], input->time);
  }
  for (int i = 0; i < r->nstate; i++) s->sym[s->state[i]] = s->out[i];
  return DP_OK;
}

void dpi_rule_close(dpi_rule_session *s) {
  if (!s) return;
  dp_ctx *ctx = s->policy->ctx;
  dpi_tape_destroy(s->tape);
  dp_model_destroy(s->model);
  void *const block[] = {s->sym, s->reg, s->out, s->read, s->announce, s->person, s->state, s->parameter};
  for (int i = 0; i < DPI_COUNT(block); i++) dpi_free(ctx, block[i]);
  dpi_free(ctx, s);
}
