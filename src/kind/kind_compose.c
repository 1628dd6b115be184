/* kind_compose.c - the model and the rows of the tables become one sim.
 *
 * Each individual parameter is an assigned symbol of the model, made from its typical value t, the product F of its
 * covariates' factors and the sum E of its random effects:
 *     lognormal     P = t*F*exp(E)
 *     normal        P = t*F + E
 *     logitnormal   P = 1/(1 + exp(-(ln(t*F/(1 - t*F)) + E)))
 * Outputs of the sim: each observable's prediction and standard deviation, each individual parameter, each quantity.
 * Outputs with the same id and formula are one.
 */
#include "kind/kind_draft.h"
#include "lang/lang.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- words of formulas */

static bool word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The next occurrence of id as a whole word, NULL when there is none. */
static const char *find_word(const char *text, const char *id) {
  size_t n = strlen(id);
  for (const char *p = text; (p = strstr(p, id)); p++)
    if ((p == text || !word_char(p[-1])) && !word_char(p[n])) return p;
  return NULL;
}

/* text with each word `id` replaced by "(formula)"; the text itself when it has none. NULL without memory. */
static const char *replace_word(dpi_draft *d, const char *text, const char *id,
                                const char *formula) {
  if (!find_word(text, id)) return text;
  dpi_str s;
  dpi_str_init(&s, d->ctx);
  for (const char *hit; (hit = find_word(text, id)); text = hit + strlen(id)) {
    dpi_str_addn(&s, text, (size_t)(hit - text));
    dpi_str_addf(&s, "(%s)", formula);
  }
  dpi_str_add(&s, text);
  const char *out = s.failed ? NULL : dpi_arena_strdup(d->arena, dpi_str_text(&s));
  dpi_str_release(&s);
  return out;
}

/* Noise and quantity formulas may name observables: put their formulas in. */
static dp_status replace_observables(dpi_draft *d, dpi_formula *f) {
  for (int i = 0; i < d->kind->nobservable; i++) {
    const char *id = d->observable[i].id;
    if (strcmp(d->value[i].text, id) == 0) continue; /* the model's own symbol */
    f->text = replace_word(d, f->text, id, d->value[i].text);
    if (!f->text) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

/* ---------------------------------------------------------------- symbols */

/* The symbol id as a parameter with this value; found in the model or added. */
static dp_status set_param(dpi_draft *d, const char *file, const char *id, double value) {
  dp_model *m = d->kind->model;
  int sym = dpi_model_find(m, id);
  if (sym < 0) DP_TRY(dpi_model_symbol(m, id, 0, &sym));
  if (m->sym[sym].kind != DPI_SYM_PARAM)
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "%s: '%s' is no parameter of the model: %s:%d gives it %s", file, id, m->source,
                    m->sym[sym].line, m->sym[sym].kind == DPI_SYM_STATE ? "a rate" : "a formula");
  m->sym[sym].value = value;
  m->sym[sym].init = DPI_NODE_NONE;
  return DP_OK;
}

/* Does any formula or the model use the covariate? */
static bool covariate_used(const dpi_draft *d, const char *id) {
  if (dpi_model_find(d->kind->model, id) >= 0) return true;
  bool used = false;
  for (int i = 0; i < d->nfactor; i++) used = used || find_word(d->factor[i].formula.text, id);
  for (int i = 0; i < d->kind->nobservable; i++)
    used = used || find_word(d->value[i].text, id) || find_word(d->sigma[i].text, id);
  for (int i = 0; i < d->kind->nquantity; i++) used = used || find_word(d->formula[i].text, id);
  for (int i = 0; i < d->kind->ncontrol; i++) {
    const dp_control_def *c = &d->control_def[i];
    const char *const text[] = {c->bioavailability, c->lag, c->rate, c->duration};
    for (int k = 0; k < DPI_COUNT(text); k++) used = used || (text[k] && find_word(text[k], id));
  }
  return used;
}

/* A covariate's value before anybody's is known: only a place holder, dpi_case_create always sets it. */
static double covariate_default(const dpi_kind_covariate *c) {
  if (c->missing == DPI_MISSING_VALUE) return c->value;
  if (isfinite(c->lower) && isfinite(c->upper)) return c->lower + (c->upper - c->lower) / 2;
  return isfinite(c->lower) ? c->lower : isfinite(c->upper) ? c->upper : 0.0;
}

/* Typical values, error parameters, covariates in use, effects. */
static dp_status add_symbols(dpi_draft *d) {
  dp_kind *k = d->kind;
  for (int i = 0; i < k->nparam; i++)
    DP_TRY(set_param(d, "parameters.tsv", k->param[i].id, k->param[i].nominal));
  for (int i = 0; i < k->ncovariate; i++) {
    dpi_kind_covariate *c = &d->covariate[i];
    if (covariate_used(d, c->id))
      DP_TRY(set_param(d, "covariates.tsv", c->id, covariate_default(c)));
  }
  for (int i = 0; i < k->neffect; i++) DP_TRY(set_param(d, "population.tsv", k->effect[i].id, 0.0));
  for (int i = 0; d->extra && i < d->extra->nparam; i++) {
    if (dpi_model_find(k->model, d->extra->param[i]) >= 0)
      return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: a symbol '%s' exists already", k->model->source, d->extra->param[i]);
    DP_TRY(set_param(d, k->model->source, d->extra->param[i], d->extra->value[i]));
  }
  return DP_OK;
}

/* ---------------------------------------------------------------- individual parameters */

/* Sum of the effects of an individual parameter, "" when it has none. */
static void add_effects(const dpi_draft *d, int individual, dpi_str *s) {
  for (int i = 0, n = 0; i < d->kind->neffect; i++)
    if (d->effect_individual[i] == individual)
      dpi_str_addf(s, "%s%s", n++ ? " + " : "", d->effect[i].id);
}

static void add_typical(const dpi_draft *d, int individual, dpi_str *s) {
  dpi_str_add(s, d->param[d->individual[individual].typical].id);
  for (int i = 0; i < d->nfactor; i++)
    if (d->factor[i].individual == individual) dpi_str_addf(s, "*(%s)", d->factor[i].formula.text);
}

/* The formula of the file's head. */
static const char *individual_formula(dpi_draft *d, int individual) {
  dpi_str effects, typical, s;
  dpi_str_init(&effects, d->ctx);
  dpi_str_init(&typical, d->ctx);
  dpi_str_init(&s, d->ctx);
  add_effects(d, individual, &effects);
  add_typical(d, individual, &typical);
  const char *e = dpi_str_text(&effects), *t = dpi_str_text(&typical);
  dpi_distribution distribution = d->individual[individual].distribution;
  if (!*e)
    dpi_str_add(&s, t);
  else if (distribution == DPI_DIST_LOGNORMAL)
    dpi_str_addf(&s, "%s*exp(%s)", t, e);
  else if (distribution == DPI_DIST_NORMAL)
    dpi_str_addf(&s, "%s + (%s)", t, e);
  else if (distribution == DPI_DIST_UNIFORM)
    dpi_str_addf(&s, "%s*(1 + erf((%s)*0.7071067811865476))", t, e);
  else
    dpi_str_addf(&s, "1/(1 + exp(-(ln((%s)/(1 - %s)) + (%s))))", t, t, e);
  bool failed = effects.failed || typical.failed || s.failed;
  const char *out = failed ? NULL : dpi_arena_strdup(d->arena, dpi_str_text(&s));
  dpi_str_release(&effects);
  dpi_str_release(&typical);
  dpi_str_release(&s);
  return out;
}

/* "expected a <what> of the model", with the nearest id. */
static dp_status no_symbol(dpi_draft *d, const char *where, const char *id, const char *what) {
  const dp_model *m = d->kind->model;
  const char **ids = DPI_ARENA_ARRAY(d->arena, const char *, m->nsym);
  if (!ids) return DP_ERR_MEMORY;
  for (int i = 0; i < m->nsym; i++) ids[i] = m->sym[i].id;
  const char *near = dpi_nearest_word(id, ids, m->nsym);
  return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: found '%s', expected a %s of %s%s%s%s", where, id,
                  what, m->source, near ? "; did you mean '" : "", near ? near : "",
                  near ? "'?" : "");
}

static dp_status assign_individuals(dpi_draft *d) {
  dp_model *m = d->kind->model;
  /* a factor's mistakes are named at its own place, before it disappears in the whole formula */
  for (int i = 0; i < d->nfactor; i++) {
    dpi_node node;
    DP_TRY(dpi_model_parse(m, d->factor[i].formula.text, d->factor[i].formula.where, false, &node));
  }
  for (int i = 0; i < d->nindividual; i++) {
    const dpi_individual *p = &d->individual[i];
    int sym = dpi_model_find(m, p->id);
    if (sym < 0) return no_symbol(d, p->where, p->id, "parameter");
    if (m->sym[sym].kind != DPI_SYM_PARAM)
      return dpi_fail(d->ctx, DP_ERR_INPUT,
                      "%s: '%s' is no parameter of the model: %s:%d gives it a rate or formula",
                      p->where, p->id, m->source, m->sym[sym].line);
    const char *formula = individual_formula(d, i);
    if (!formula) return DP_ERR_MEMORY;
    DP_TRY(dpi_model_assign(m, p->id, formula, p->where));
  }
  return DP_OK;
}

/* ---------------------------------------------------------------- outputs and controls */

typedef struct outputs {
  dp_output_def *def;
  int n;
} outputs;

/* Index of the output id; one of the same id and formula is shared. */
static dp_status add_output(dpi_draft *d, outputs *o, const char *id, dpi_formula formula,
                            const char *unit, int *out) {
  dpi_node node;
  for (*out = 0; *out < o->n; (*out)++) {
    if (strcmp(o->def[*out].id, id) != 0) continue;
    if (strcmp(o->def[*out].formula, formula.text) == 0) return DP_OK;
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "%s: '%s' is already '%s', expected another id or the same formula",
                    formula.where, id, o->def[*out].formula);
  }
  DP_TRY(dpi_model_parse(d->kind->model, formula.text, formula.where, false, &node));
  o->def[o->n++] = (dp_output_def){.id = id, .formula = formula.text, .unit = unit};
  return DP_OK;
}

static dp_status add_observables(dpi_draft *d, outputs *o) {
  for (int i = 0; i < d->kind->nobservable; i++) {
    dpi_kind_observable *obs = &d->observable[i];
    bool own = strcmp(d->value[i].text, obs->id) == 0;
    if (!own && dpi_model_find(d->kind->model, obs->id) >= 0)
      return dpi_fail(d->ctx, DP_ERR_INPUT,
                      "%s: '%s' is also a symbol of the model: a noise formula that names it would "
                      "be ambiguous",
                      d->value[i].where, obs->id);
    DP_TRY(add_output(d, o, obs->id, d->value[i], obs->unit, &obs->value_output));
    DP_TRY(replace_observables(d, &d->sigma[i]));
    const char *id = dpi_arena_printf(d->arena, "%s.sigma", obs->id);
    if (!id) return DP_ERR_MEMORY;
    const char *unit = obs->noise == DPI_NOISE_LOGNORMAL ? "1" : obs->unit;
    DP_TRY(add_output(d, o, id, d->sigma[i], unit, &obs->sigma_output));
  }
  return DP_OK;
}

static dp_status add_outputs(dpi_draft *d, outputs *o) {
  dp_kind *k = d->kind;
  o->def = DPI_ARENA_ARRAY(d->arena, dp_output_def, 2 * k->nobservable + k->neffect + k->nquantity);
  if (!o->def) return DP_ERR_MEMORY;
  DP_TRY(add_observables(d, o));
  for (int i = 0; i < k->neffect; i++) {
    dpi_kind_effect *e = &d->effect[i];
    dpi_formula f = {e->parameter, d->individual[d->effect_individual[i]].where};
    DP_TRY(add_output(d, o, e->parameter, f, e->unit, &e->sim_output));
  }
  for (int i = 0; i < k->nquantity; i++) {
    DP_TRY(replace_observables(d, &d->formula[i]));
    DP_TRY(add_output(d, o, k->quantity[i].id, d->formula[i], k->quantity[i].unit,
                      &d->quantity[i].sim_output));
  }
  return DP_OK;
}

/* Targets are states; formulas parse. */
static dp_status check_controls(dpi_draft *d) {
  dp_model *m = d->kind->model;
  static const char *const columns[] = {"bioavailability", "lag", "rate", "duration"};
  for (int i = 0; i < d->kind->ncontrol; i++) {
    const dp_control_def *c = &d->control_def[i];
    const char *const text[] = {c->bioavailability, c->lag, c->rate, c->duration};
    const char *where = dpi_arena_printf(d->arena, "%s: column target", d->control_where[i]);
    if (!where) return DP_ERR_MEMORY;
    int sym = dpi_model_find(m, c->target);
    if (sym < 0) return no_symbol(d, where, c->target, "state");
    if (m->sym[sym].kind != DPI_SYM_STATE)
      return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: '%s' is no state of the model: it has no rate",
                      where, c->target);
    const char *resets = d->control[i].resets;
    sym = *resets ? dpi_model_find(m, resets) : -1;
    if (*resets && (sym < 0 || m->sym[sym].kind != DPI_SYM_STATE))
      return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: column resets: '%s' is no state of the model", d->control_where[i],
                      resets);
    for (int k = 0; k < DPI_COUNT(text); k++) {
      dpi_node node;
      where = dpi_arena_printf(d->arena, "%s: column %s", d->control_where[i], columns[k]);
      if (!where) return DP_ERR_MEMORY;
      if (text[k]) DP_TRY(dpi_model_parse(m, text[k], where, false, &node));
    }
  }
  return DP_OK;
}

/* Is the formula made of numbers and of parameters that no effect reaches? A word that is neither counts as reached. */
static bool effectless(const dpi_draft *d, const char *text) {
  const dp_model *m = d->kind->model;
  char word[64];
  for (const char *p = text; *p;) {
    size_t n = 0;
    while (word_char(p[n])) n++;
    if (n == 0 || (*p >= '0' && *p <= '9')) { /* the exponent of a number goes with it */
      p += n > 0 ? n : 1;
      continue;
    }
    if (n >= sizeof word) return false;
    memcpy(word, p, n);
    word[n] = 0;
    int sym = dpi_model_find(m, word);
    if (sym < 0 || m->sym[sym].kind != DPI_SYM_PARAM) return false;
    for (int i = 0; i < d->kind->neffect; i++)
      if (strcmp(d->effect[i].id, word) == 0) return false;
    p += n;
  }
  return true;
}

/* The effect that alone makes the individual parameter `id`, without a covariate's factor; -1 when there is none such. */
static int only_effect(const dpi_draft *d, const char *id) {
  int found = -1;
  for (int i = 0; i < d->kind->neffect; i++) {
    if (strcmp(d->effect[i].parameter, id) != 0) continue;
    if (found >= 0 || d->effect[i].occasion) return -1;
    found = i;
  }
  for (int i = 0; i < d->nfactor && found >= 0; i++)
    if (d->factor[i].individual == d->effect_individual[found]) return -1;
  return found;
}

/* Rates between a state and the nearest observable that hangs on it: 0 it is in its formula; many: none; -1: no memory. */
static int rates_between(dpi_draft *d, const char *target) {
  const dp_model *m = d->kind->model;
  int nsym = m->nsym, from = dpi_model_find(m, target), level = 0;
  uint8_t *reached = DPI_ARENA_ARRAY(d->arena, uint8_t, nsym + 1), *seen = DPI_ARENA_ARRAY(d->arena, uint8_t, nsym + 1);
  if (!reached || !seen || from < 0) return -1;
  reached[from] = 1;
  for (bool more = true; more && level <= nsym; level++) {
    for (int i = 0; i < d->kind->nobservable; i++)
      for (int part = 0; part < 2; part++) {
        dpi_node node;
        const dpi_formula *f = part ? &d->sigma[i] : &d->value[i];
        memset(seen, 0, (size_t)nsym);
        if (dpi_model_parse((dp_model *)m, f->text, f->where, false, &node) != DP_OK) return -1;
        if (dpi_g_depends(m->graph, node, seen, nsym) != DP_OK) return -1;
        for (int s = 0; s < nsym; s++)
          if (seen[s] && reached[s] == 1 && m->sym[s].kind == DPI_SYM_STATE) return level;
      }
    more = false;
    for (int s = 0; s < nsym; s++) {
      if (m->sym[s].kind != DPI_SYM_STATE || reached[s]) continue;
      memset(seen, 0, (size_t)nsym);
      if (dpi_g_depends(m->graph, m->sym[s].formula, seen, nsym) != DP_OK) return -1;
      for (int q = 0; q < nsym && !reached[s]; q++)
        if (seen[q] && reached[q] == 1) reached[s] = 2;
      more = more || reached[s] == 2;
    }
    for (int s = 0; s < nsym; s++) reached[s] = reached[s] ? 1 : 0;
  }
  return level;
}

/* Whether effects move doses in time. A model's events may set anything, so with them nothing is known. */
static void find_moves(dpi_draft *d) {
  for (int i = 0; i < d->kind->ncontrol; i++) {
    const dp_control_def *c = &d->control_def[i];
    dpi_kind_control *k = &d->control[i];
    bool events = d->kind->model->nevent > 0, lag = c->lag && (events || !effectless(d, c->lag)),
         rate = c->rate && (events || !effectless(d, c->rate)),
         duration = c->duration && (events || !effectless(d, c->duration)),
         share = c->bioavailability && !effectless(d, c->bioavailability); /* less to give may end earlier */
    k->moved_effect = -1;
    k->moved = lag || rate || duration ? DPI_MOVED_SOMEHOW : DPI_MOVED_NOT;
    /* where one moves, the other must not be there at all: its value would be wanted */
    bool alone = !events && !rate && (lag ? !c->duration : duration && !c->lag && !share);
    if (k->moved == DPI_MOVED_NOT || !alone) continue;
    k->moved_effect = only_effect(d, lag ? c->lag : c->duration);
    k->smooth = lag && rates_between(d, c->target) >= 3;
    if (k->moved_effect >= 0) k->moved = lag ? DPI_MOVED_LAG : DPI_MOVED_DURATION;
  }
}

/* ---------------------------------------------------------------- the sim */

/* With laws, outputs and a method of the extra's: one sim for all. */
static dp_status create_sim_with(dpi_draft *d, const dp_sim_def *own) {
  dp_kind *k = d->kind;
  const dpi_kind_extra *e = d->extra;
  dp_output_def *output = DPI_ARENA_ARRAY(d->arena, dp_output_def, own->noutput + e->noutput + 1);
  dp_sim_def def = *own;
  if (!output) return DP_ERR_MEMORY;
  for (int i = 0; i < own->noutput; i++) output[i] = own->output[i];
  for (int i = 0; i < e->noutput; i++) output[own->noutput + i] = e->output[i];
  def.output = output;
  def.noutput += e->noutput;
  def.law = e->law;
  def.nlaw = e->nlaw;
  def.nactive = 0; /* nothing is differentiated: neither laws nor effects need directions */
  def.method = e->method ? e->method : d->method_ensemble;
  def.step = e->step;
  const double ratio = d->rtol_ensemble > d->rtol ? d->rtol_ensemble / d->rtol : 1;
  def.rtol = e->rtol > 0 ? e->rtol : d->rtol * ratio;
  def.atol = e->atol > 0 ? e->atol : d->atol * ratio;
  DP_TRY(dp_sim_create(d->ctx, &def, &k->sim));
  k->ensemble = k->sim;
  return DP_OK;
}

/* Everything but the method's name was read from tables that are in order: what the waist can't use is that. */
static dp_status create_by(dpi_draft *d, const dp_sim_def *def, const char *key, dp_sim **out) {
  const dp_status status = dp_sim_create(d->ctx, def, out);
  const dpi_yaml *node = dpi_yaml_get(d->twin.root, key);
  if (status != DP_ERR_USAGE || !node) return status;
  char why[400];
  snprintf(why, sizeof why, "%s", dp_ctx_error(d->ctx));
  dp_ctx_clear_error(d->ctx);
  return dpi_fail(d->ctx, DP_ERR_INPUT, "%s:%d: %s: %s, ensemble", d->twin.source, node->line, key, why);
}

static dp_status create_sim(dpi_draft *d, const outputs *o) {
  dp_kind *k = d->kind;
  const char **active = DPI_ARENA_ARRAY(d->arena, const char *, k->neffect + 1);
  if (!active) return DP_ERR_MEMORY;
  for (int i = 0; i < k->neffect; i++) active[i] = k->effect[i].id;
  dp_sim_def def = dp_sim_def_default();
  def.model = k->model;
  def.time_unit = k->time_unit;
  def.output = o->def;
  def.noutput = o->n;
  def.control = d->control_def;
  def.ncontrol = k->ncontrol;
  def.active = active;
  def.nactive = k->neffect;
  def.method = d->method;
  def.rtol = d->rtol;
  def.atol = d->atol;
  k->sim_def = def;
  if (d->extra) return create_sim_with(d, &def);
  DP_TRY(create_by(d, &def, "method", &k->sim));
  k->ensemble = k->sim;
  const double ratio = d->rtol_ensemble > d->rtol ? d->rtol_ensemble / d->rtol : 1;
  if (ratio == 1 && strcmp(d->method_ensemble, d->method) == 0) return DP_OK;
  def.method = d->method_ensemble;
  def.rtol *= ratio;
  def.atol *= ratio;
  k->ensemble = NULL;
  return create_by(d, &def, "ensemble_method", &k->ensemble);
}

static void add_text(dpi_sha256 *h, const char *text) {
  if (!text) text = "";
  dpi_sha256_add(h, text, strlen(text) + 1);
}

/* kind->law: see there. */
static dp_status hash_law(dpi_draft *d) {
  dp_kind *k = d->kind;
  dpi_sha256 *h = dpi_sha256_create(d->ctx);
  char number[32];
  if (!h) return DP_ERR_MEMORY;
  add_text(h, dp_model_hash(k->model));
  for (int i = 0; i < k->nobservable; i++) {
    add_text(h, d->value[i].text);
    add_text(h, d->sigma[i].text);
    const dpi_kind_observable *o = &k->observable[i];
    const double error[] = {o->noise_timescale, o->shape.gamma, o->shape.delta, o->shape.shift};
    for (int j = 0; j < (o->noise == DPI_NOISE_JOHNSON ? 4 : error[0] != 0); j++) {
      dpi_format_double(error[j], number);
      add_text(h, number);
    }
  }
  for (int i = 0; i < k->ncontrol; i++) {
    const dp_control_def *c = &d->control_def[i];
    const char *const text[] = {c->target, c->bioavailability, c->lag, c->rate, c->duration};
    for (int j = 0; j < DPI_COUNT(text); j++) add_text(h, text[j]);
  }
  add_text(h, d->method);
  dpi_format_double(d->rtol, number);
  add_text(h, number);
  dpi_format_double(d->atol, number);
  add_text(h, number);
  dpi_sha256_finish(h, k->law);
  return DP_OK;
}

/* Where the tables' ids ended up in the sim. */
static dp_status find_indices(dpi_draft *d) {
  dp_kind *k = d->kind;
  bool found = true;
  for (int i = 0; i < k->nparam; i++)
    found &= (d->param[i].sim_param = dp_sim_param(k->sim, k->param[i].id)) >= 0;
  for (int i = 0; i < k->neffect; i++) {
    found &= (d->effect[i].sim_param = dp_sim_param(k->sim, k->effect[i].id)) >= 0;
    found &= (d->effect[i].active = dp_sim_active(k->sim, k->effect[i].id)) >= 0 || d->extra;
  }
  for (int i = 0; i < k->ncovariate; i++)
    d->covariate[i].sim_param = dp_sim_param(k->sim, k->covariate[i].id);
  for (int i = 0; i < k->ncontrol; i++) {
    found &= (d->control[i].sim_control = dp_sim_control(k->sim, k->control[i].id)) >= 0;
    if (*d->control[i].resets) found &= (d->control[i].reset_state = dp_sim_state(k->sim, d->control[i].resets)) >= 0;
  }
  return found ? DP_OK
               : dpi_fail(d->ctx, DP_ERR_BUG, "%s: the sim lost a parameter or control", k->dir);
}

/* Every parameter of the sim has a value by now. */
static dp_status check_values(dpi_draft *d) {
  const dp_sim_desc *desc = dp_sim_describe(d->kind->sim);
  for (int i = 0; i < desc->nparam; i++)
    if (isnan(desc->param_default[i]))
      return dpi_fail(d->ctx, DP_ERR_INPUT,
                      "%s: parameter '%s' has no value, expected one there or in parameters.tsv",
                      d->kind->model->source, desc->param_id[i]);
  return DP_OK;
}

dp_status dpi_draft_compose(dpi_draft *d) {
  const char *path;
  char *text;
  size_t size;
  DP_TRY(dpi_draft_file(d, "model", true, true, &path, &text, &size));
  dp_status read = dpi_model_read_text(d->ctx, text, size, path, &d->kind->model);
  dpi_free(d->ctx, text);
  DP_TRY(read);
  DP_TRY(add_symbols(d));
  DP_TRY(assign_individuals(d));
  DP_TRY(dp_model_seal(d->kind->model));
  outputs o = {0};
  DP_TRY(add_outputs(d, &o));
  DP_TRY(check_controls(d));
  find_moves(d);
  DP_TRY(create_sim(d, &o));
  DP_TRY(dpi_draft_linear(d));
  DP_TRY(hash_law(d));
  DP_TRY(find_indices(d));
  return check_values(d);
}
