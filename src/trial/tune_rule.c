/* tune_rule.c - floor 8: what makes one candidate better than the present settings: limits, conditions and a reward,
 * read from the file and judged over endpoints by draw.
 *
 * A limit is about a candidate alone and holds at the bound of its probability (Clopper & Pearson 1934), as limits of
 * reward.yaml do. A condition compares each draw with itself under the present settings and holds at its estimate. The
 * reward is a formula of their values.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/lang.h"
#include "num/num.h"
#include "trial/tune_impl.h"

struct dpi_tune_formula {
  dp_ctx *ctx;
  dp_model *model;
  dpi_tape *tape;
  int nsym;
  int symbol[DPI_TUNE_TERMS]; /* of each term */
};

static dp_status wrong(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what, const char *expected) {
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found %s%.60s%s, expected %s", doc->source, node->line, what,
                  node->text ? "'" : "", node->text ? node->text : "a list or map", node->text ? "'" : "", expected);
}

/* ---- terms ---- */

/* "> 4 %", "<= 0": into relation, at_bound, *number. */
static dp_status read_relation(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *unit, double molar_mass,
                               int *relation, int *at_bound, double *number) {
  const char *text = node->text ? node->text : "";
  char where[400];
  if (*text != '<' && *text != '>') return wrong(doc, node, node->key, "<, <=, > or >= and a number");
  *relation = *text == '<' ? -1 : 1;
  *at_bound = text[1] == '=';
  snprintf(where, sizeof where, "%s:%d: %s", doc->source, node->line, node->key);
  return dpi_policy_quantity(doc->ctx, where, text + 1 + *at_bound, unit, molar_mass, number);
}

static dp_status read_probability(const dpi_yaml_doc *doc, const dpi_yaml *map, dp_tune_term *t) {
  const dpi_yaml *node = dpi_yaml_get(map, "probability");
  int relation, closed;
  if (!node) return wrong(doc, map, t->id, "a probability: \">= 0.7\" or \"<= 5 %\"");
  DP_TRY(read_relation(doc, node, "1", 0, &relation, &closed, &t->probability));
  t->at_least = relation > 0;
  if (!closed || !(t->probability >= 0 && t->probability <= 1))
    return wrong(doc, node, "probability", "<= or >= and a number from 0 to 1");
  return DP_OK;
}

static dp_status read_endpoint(const dp_tune *tune, const dpi_yaml_doc *doc, const dpi_yaml *map, dp_tune_term *t) {
  const char *id;
  DP_TRY(dpi_yaml_string(doc, map, "endpoint", NULL, &id));
  for (t->endpoint = 0; t->endpoint < tune->desc.nendpoint; t->endpoint++)
    if (strcmp(tune->desc.endpoint[t->endpoint].id, id) == 0) return DP_OK;
  return wrong(doc, dpi_yaml_get(map, "endpoint"), "endpoint", "the id of one of `endpoints`");
}

static const char *words_of(dpi_arena *arena, const dp_tune_term *t, const dp_trial_endpoint *e, const char *asked) {
  const char *sign = t->at_least ? ">=" : "<=", *event = t->goal == DP_TUNE_LIMIT ? "" : "change of ";
  if (t->goal == DP_TUNE_MEAN) return dpi_arena_printf(arena, "mean change of %s %s", e->name, asked);
  return dpi_arena_printf(arena, "P(%s%s %s) %s %g %%", event, e->name, asked, sign, 100 * t->probability);
}

static dp_status read_term(dp_tune *tune, const dpi_yaml_doc *doc, const dpi_yaml *map, bool limit, dp_tune_term *t) {
  static const char *const of_limit[] = {"id", "endpoint", "event", "probability", "text"};
  static const char *const of_condition[] = {"id", "endpoint", "change", "probability", "mean_change", "text"};
  DP_TRY(limit ? dpi_yaml_known(doc, map, "a limit", of_limit, DPI_COUNT(of_limit))
               : dpi_yaml_known(doc, map, "a condition", of_condition, DPI_COUNT(of_condition)));
  DP_TRY(dpi_yaml_string(doc, map, "id", NULL, &t->id));
  if (!dpi_policy_name(t->id)) return wrong(doc, dpi_yaml_get(map, "id"), "id", "letters, digits and _");
  for (const dp_tune_term *o = tune->desc.term; o < t; o++)
    if (strcmp(o->id, t->id) == 0) return wrong(doc, dpi_yaml_get(map, "id"), "id", "an id of its own");
  t->line = map->line;
  DP_TRY(read_endpoint(tune, doc, map, t));
  const dpi_yaml *share = dpi_yaml_get(map, limit ? "event" : "change"), *mean = dpi_yaml_get(map, "mean_change");
  if ((share != NULL) == (mean != NULL))
    return wrong(doc, map, t->id, limit ? "an event: \"> 4 %\"" : "one of change: \"> 0\" and mean_change: \"> 0\"");
  t->goal = limit ? DP_TUNE_LIMIT : mean ? DP_TUNE_MEAN : DP_TUNE_SHARE;
  const dpi_yaml *asked = mean ? mean : share;
  const dpi_endpoint *e = &tune->trial->endpoint[t->endpoint];
  const double mass = e->observable >= 0 ? tune->trial->kind->observable[e->observable].molar_mass : 0;
  const char *unit = e->relation ? "1" : e->pub.unit; /* of an event: 0 and 1 */
  DP_TRY(read_relation(doc, asked, unit, mass, &t->relation, &t->at_bound, &t->bound));
  if (mean && dpi_yaml_get(map, "probability"))
    return wrong(doc, dpi_yaml_get(map, "probability"), "probability", "none: a mean has no probability");
  if (!mean) DP_TRY(read_probability(doc, map, t));
  DP_TRY(dpi_yaml_string(doc, map, "text", "", &t->text));
  if (!*t->text) t->text = words_of(&tune->trial->arena, t, &tune->desc.endpoint[t->endpoint], asked->text);
  return t->text ? DP_OK : DP_ERR_MEMORY;
}

static dp_status read_list(dp_tune *tune, const dpi_yaml_doc *doc, const char *key, dp_tune_term *term) {
  const dpi_yaml *list = dpi_yaml_get(doc->root, key);
  const bool limit = strcmp(key, "limits") == 0;
  const int most = limit ? DPI_TUNE_LIMITS : DPI_TUNE_TERMS - DPI_TUNE_LIMITS;
  if (!list) return DP_OK;
  if (list->type != DPI_YAML_SEQUENCE || list->count > most)
    return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected a list of at most %d", doc->source, list->line, key,
                    most);
  for (const dpi_yaml *e = list->first; e; e = e->next) {
    DP_TRY(read_term(tune, doc, e, limit, &term[tune->desc.nterm]));
    tune->desc.nterm++;
  }
  return DP_OK;
}

/* ---- what can't be ---- */

/* "P(x on this side of bound) >= share" in the place of a term. */
typedef struct demand {
  int side;
  bool closed;
  double bound, share;
} demand;

static demand demand_of(const dp_tune_term *t) {
  if (t->goal == DP_TUNE_MEAN) return (demand){t->relation, t->at_bound, t->bound, 1};
  if (t->at_least) return (demand){t->relation, t->at_bound, t->bound, t->probability};
  return (demand){-t->relation, !t->at_bound, t->bound, 1 - t->probability};
}

/* Two terms about the same number ask for sides that have nothing in common, together in more than all draws. */
static bool contradict(const dp_tune_term *s, const dp_tune_term *t) {
  demand a = demand_of(s), b = demand_of(t);
  if (s->goal != t->goal || s->endpoint != t->endpoint || a.side == b.side) return false;
  if (a.side > 0) {
    const demand c = a;
    a = b;
    b = c;
  }
  const bool apart = a.bound < b.bound || (a.bound == b.bound && !(a.closed && b.closed));
  return apart && a.share + b.share > 1 + 1e-12;
}

/* Draws that a limit needs at least, all of them on its good side, so that its bound can hold; infinite: none do. */
static double draws_for(const dp_tune_term *t, double confidence) {
  const double allowed = t->at_least ? 1 - t->probability : t->probability;
  if (!(allowed > 0)) return INFINITY;
  if (allowed >= 1) return 1;
  return dpi_m_log(1 - confidence) / dpi_m_log1p(-allowed) - 1e-9;
}

static dp_status check_terms(const dp_tune *tune, const dpi_yaml_doc *doc) {
  const dp_tune_desc *d = &tune->desc;
  const int draws = d->draws < d->fresh ? d->draws : d->fresh;
  for (int i = 0; i < d->nterm; i++) {
    const dp_tune_term *t = &d->term[i];
    for (int k = 0; k < i; k++)
      if (contradict(&d->term[k], t))
        return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: '%s' contradicts '%s' of line %d: nothing can hold both",
                        doc->source, t->line, t->id, d->term[k].id, d->term[k].line);
    if (t->goal != DP_TUNE_LIMIT) continue;
    const double n = ceil(draws_for(t, d->confidence));
    if (!(n < 1e9))
      return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: limit '%s': no number of draws can show a probability of 0 or 1",
                      doc->source, t->line, t->id);
    if (n > draws)
      return dpi_fail(doc->ctx, DP_ERR_INPUT,
                      "%s:%d: limit '%s': at confidence %g it takes at least %.0f draws, found draws: %d and fresh: %d",
                      doc->source, t->line, t->id, d->confidence, n, d->draws, d->fresh);
  }
  return DP_OK;
}

dp_status dpi_tune_enough(const dp_tune *tune, double effective) {
  const dp_tune_desc *d = &tune->desc;
  for (int i = 0; i < tune->nlimit; i++) {
    const double n = draws_for(&d->term[i], d->confidence);
    if (effective < n)
      return dpi_fail(tune->ctx, DP_ERR_INPUT,
                      "%s:%d: limit '%s' takes at least %.0f draws that count, the belief has %.0f (--draws)",
                      d->source, d->term[i].line, d->term[i].id, ceil(n), floor(effective));
  }
  return DP_OK;
}

/* ---- the reward ---- */

void dpi_tune_formula_destroy(dpi_tune_formula *f) {
  if (!f) return;
  dpi_tape_destroy(f->tape);
  dp_model_destroy(f->model);
  dpi_free(f->ctx, f);
}

static dp_status compile(dp_tune *tune, const dpi_yaml_doc *doc, const char *text, int line) {
  dpi_tune_formula *f = tune->reward = DPI_NEW(doc->ctx, dpi_tune_formula);
  char where[400];
  dpi_node node;
  if (!f) return DP_ERR_MEMORY;
  f->ctx = doc->ctx;
  snprintf(where, sizeof where, "%.300s:%d: reward", doc->source, line);
  DP_TRY(dpi_model_create(doc->ctx, "reward", doc->source, &f->model));
  for (int i = 0; i < tune->desc.nterm; i++) {
    int symbol;
    DP_TRY(dpi_model_symbol(f->model, tune->desc.term[i].id, 0, &symbol));
    f->model->sym[symbol].value = 0;
  }
  DP_TRY(dpi_model_seal(f->model));
  DP_TRY(dpi_model_parse(f->model, text, where, false, &node));
  for (int i = 0; i < tune->desc.nterm; i++) f->symbol[i] = dpi_model_find(f->model, tune->desc.term[i].id);
  f->nsym = f->model->nsym;
  uint8_t *fast = DPI_NEW_ARRAY(doc->ctx, uint8_t, f->nsym + 1);
  if (!fast) return DP_ERR_MEMORY;
  memset(fast, 1, (size_t)f->nsym);
  const dp_status status = dpi_tape_create(doc->ctx, f->model->graph, &node, 1, fast, f->nsym, &f->tape);
  dpi_free(doc->ctx, fast);
  return status;
}

dp_status dpi_tune_read_rule(dp_tune *tune, const dpi_yaml_doc *doc) {
  dp_tune_term *term = DPI_ARENA_ARRAY(&tune->trial->arena, dp_tune_term, DPI_TUNE_TERMS);
  if (!term) return DP_ERR_MEMORY;
  tune->desc.term = term;
  DP_TRY(read_list(tune, doc, "limits", term));
  tune->nlimit = tune->desc.nterm;
  DP_TRY(read_list(tune, doc, "conditions", term));
  if (tune->desc.nterm == tune->nlimit)
    return wrong(doc, doc->root, "conditions", "at least one: what makes a setting better than the present one");
  DP_TRY(check_terms(tune, doc));
  DP_TRY(dpi_yaml_string(doc, doc->root, "reward", NULL, &tune->desc.reward));
  return compile(tune, doc, tune->desc.reward, dpi_yaml_get(doc->root, "reward")->line);
}

static dp_status reward_of(const dp_tune *tune, const dp_tune_value *term, double *out) {
  const dpi_tune_formula *f = tune->reward;
  const int nreg = dpi_tape_nreg(f->tape);
  double *work = DPI_NEW_ARRAY(tune->ctx, double, f->nsym + nreg + 1), *reg = work + f->nsym;
  if (!work) return DP_ERR_MEMORY;
  for (int i = 0; i < tune->desc.nterm; i++) work[f->symbol[i]] = term[i].value;
  dpi_tape_init(f->tape, reg);
  dpi_tape_prologue(f->tape, work, reg);
  dpi_tape_eval(f->tape, work, reg, out);
  if (!isfinite(*out)) *out = NAN;
  dpi_free(tune->ctx, work);
  return DP_OK;
}

/* ---- judged ---- */

static bool is_so(const dp_tune_term *t, double x) {
  if (x == t->bound) return t->at_bound;
  return t->relation < 0 ? x < t->bound : x > t->bound;
}

static dp_tune_value judge_limit(const dp_tune *tune, const dp_tune_term *t, const double *candidate, int n,
                                 double effective) {
  const size_t width = (size_t)tune->desc.nendpoint;
  int hit = 0;
  for (int i = 0; i < n; i++) {
    const double x = candidate[(size_t)i * width + (size_t)t->endpoint];
    hit += isnan(x) ? !t->at_least : is_so(t, x); /* what is not known counts against it */
  }
  dp_tune_value v = {.value = n > 0 ? (double)hit / n : NAN, .low = 0, .high = 1};
  if (n > 0) dpi_binomial_bounds(v.value * effective, effective, 2 * tune->desc.confidence - 1, &v.low, &v.high);
  v.holds = t->at_least ? v.low >= t->probability : v.high <= t->probability;
  return v;
}

static dp_tune_value judge_change(const dp_tune *tune, const dp_tune_term *t, const double *present,
                                  const double *candidate, int n) {
  const size_t width = (size_t)tune->desc.nendpoint;
  int hit = 0, m = 0, numbers = 0;
  double sum = 0;
  for (int i = 0; i < n; i++) {
    const size_t at = (size_t)i * width + (size_t)t->endpoint;
    const double change = candidate[at] - present[at];
    if (isnan(present[at])) continue;
    m++;
    hit += isnan(change) ? !t->at_least : is_so(t, change);
    numbers += !isnan(change);
    sum += isnan(change) ? 0 : change;
  }
  dp_tune_value v = {.value = NAN, .low = NAN, .high = NAN};
  if (m == 0 || numbers == 0) return v;
  v.value = t->goal == DP_TUNE_MEAN ? sum / numbers : (double)hit / m;
  if (t->goal == DP_TUNE_MEAN)
    v.holds = numbers == m && is_so(t, v.value); /* a mean over some of the draws would flatter */
  else
    v.holds = t->at_least ? v.value >= t->probability : v.value <= t->probability;
  return v;
}

dp_status dp_tune_judge(const dp_tune *tune, const double *present, const double *candidate, int n, double effective,
                        dp_tune_value *term, dp_tune_verdict *out) {
  const dp_tune_desc *d = &tune->desc;
  *out = (dp_tune_verdict){.safe = n > 0, .better = n > 0, .reward = NAN};
  if (effective > n) effective = n;
  for (int i = 0; i < d->nterm; i++) {
    const dp_tune_term *t = &d->term[i];
    term[i] = t->goal == DP_TUNE_LIMIT ? judge_limit(tune, t, candidate, n, effective)
                                       : judge_change(tune, t, present, candidate, n);
    if (!term[i].holds && t->goal == DP_TUNE_LIMIT) out->safe = 0;
    if (!term[i].holds && t->goal != DP_TUNE_LIMIT) out->better = 0;
  }
  for (int i = 0; i < n; i++) {
    bool missing = false;
    for (int e = 0; e < d->nendpoint; e++) missing = missing || isnan(candidate[(size_t)(i * d->nendpoint + e)]);
    out->nfailed += missing;
  }
  return reward_of(tune, term, &out->reward);
}

int dp_tune_counts(const dp_tune *tune, int endpoint) {
  const dpi_endpoint *e = &tune->trial->endpoint[endpoint];
  return e->readings && e->samples && e->observable >= 0;
}

double dp_tune_count(const dp_tune *tune, int endpoint, const double *x, int n) {
  const dpi_endpoint *e = &tune->trial->endpoint[endpoint];
  return dp_tune_counts(tune, endpoint) ? dpi_trial_event(e, dpi_trial_count(tune->trial, e, x, n)) : NAN;
}
