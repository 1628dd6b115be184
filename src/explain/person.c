/* person.c - one person's part of the document. */
#include <math.h>

#include "explain/explain.h"

json_t *dpi_explain_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *dpi_explain_numbers(const double *x, int n) {
  json_t *a = json_array();
  for (int i = 0; i < n; i++) json_array_append_new(a, dpi_explain_number(x[i]));
  return a;
}

static json_t *observed(const dp_twin_view *v, const dp_kind *kind) {
  json_t *a = json_array();
  for (int i = 0; i < v->nseen + v->nsealed; i++) {
    const dp_seen *s = &v->seen[i];
    json_array_append_new(a, json_pack("{s:o, s:o, s:s, s:b, s:b, s:i}", "time", dpi_explain_number(s->time), "value",
                                       dpi_explain_number(s->censored ? s->limit : s->value), "observable",
                                       kind->observable[s->observable].id, "sealed", s->sealed, "censored",
                                       s->censored != 0, "line", s->line));
  }
  return a;
}

static json_t *doses(const dp_twin_view *v) {
  json_t *a = json_array();
  for (int i = 0; i < v->ndose; i++)
    json_array_append_new(a, json_pack("{s:o, s:o}", "time", dpi_explain_number(v->dose_time[i]), "amount",
                                       dpi_explain_number(v->dose_amount[i])));
  return a;
}

static json_t *prior(const dp_prior *p, const dp_kind *kind) {
  json_t *typical = json_object(), *sd = json_object();
  for (int i = 0; i < kind->nparam; i++)
    json_object_set_new(typical, kind->param[i].id, dpi_explain_number(p->typical[i]));
  for (int e = 0; e < kind->neffect; e++)
    json_object_set_new(sd, kind->effect[e].id, dpi_explain_number(sqrt(p->omega[e * kind->neffect + e])));
  return json_pack("{s:s, s:s, s:i, s:b, s:o, s:o, s:o, s:s}", "source", p->source, "method", p->method, "people",
                   p->npeople, "converged", p->converged, "objective", dpi_explain_number(p->objective), "typical",
                   typical, "between_people_sd", sd, "hash", p->hash);
}

/* Column e of a belief's individual parameters; log scale where asked. */
static double *column(const dp_belief *b, int e, bool log_scale) {
  double *x = DPI_NEW_ARRAY(b->ctx, double, b->ndraw + 1);
  for (int k = 0; x && k < b->ndraw; k++) {
    double v = b->individual[(size_t)k * (size_t)b->nindividual + (size_t)e];
    x[k] = log_scale ? dpi_m_log(v) : v;
  }
  return x;
}

static json_t *quantiles(double *x, int n, bool log_scale) {
  static const double p[5] = {.05, .25, .5, .75, .95};
  double q[5];
  dpi_sort(x, n);
  for (int i = 0; i < 5; i++) {
    q[i] = dpi_quantile_weighted(x, NULL, n, p[i], NULL);
    if (log_scale) q[i] = dpi_m_exp(q[i]);
  }
  return dpi_explain_numbers(q, 5);
}

static void add_densities(json_t *o, const double *a, int na, const double *b, int nb, bool logs) {
  double x[DPI_DENSITY_POINTS], da[DPI_DENSITY_POINTS], db[DPI_DENSITY_POINTS];
  dpi_explain_density(a, na, b, nb, logs, x, da, db);
  json_object_set_new(o, "x", dpi_explain_numbers(x, DPI_DENSITY_POINTS));
  json_object_set_new(o, "prior_density", dpi_explain_numbers(da, DPI_DENSITY_POINTS));
  json_object_set_new(o, "posterior_density", dpi_explain_numbers(db, DPI_DENSITY_POINTS));
  json_object_set_new(o, "log", json_boolean(logs));
}

/* Posterior quantiles of one individual parameter, and beside them the prior's where the twin has it. */
static json_t *individual(const dp_twin_view *v, const dp_kind *kind, int e, bool for_page) {
  const dpi_kind_effect *f = &kind->effect[e];
  bool logs = f->distribution == DPI_DIST_LOGNORMAL;
  dp_ctx *ctx = v->belief->ctx;
  double *b = column(v->belief, e, logs), *a = v->before ? column(v->before, e, logs) : NULL;
  json_t *o = json_pack("{s:s, s:s, s:s}", "id", f->parameter, "name", f->name, "unit", f->unit);
  if (a && b && for_page) add_densities(o, a, v->before->ndraw, b, v->belief->ndraw, logs);
  if (a) json_object_set_new(o, "prior", quantiles(a, v->before->ndraw, logs));
  if (b) json_object_set_new(o, "posterior", quantiles(b, v->belief->ndraw, logs));
  dpi_free(ctx, a);
  dpi_free(ctx, b);
  return o;
}

static json_t *belief(const dp_twin_view *v, const dp_kind *kind, bool for_page) {
  json_t *each = json_array();
  const dp_belief *b = v->belief;
  for (int e = 0; e < kind->neffect; e++) json_array_append_new(each, individual(v, kind, e, for_page));
  return json_pack("{s:s, s:b, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:s}", "method", b->method, "usable", b->usable,
                   "verdict", b->verdict, "samples_used", b->nobs, "draws", b->ndraw, "effective_draws",
                   dpi_explain_number(b->ess), "khat", dpi_explain_number(b->khat), "predictive_check_p",
                   dpi_explain_number(b->ppc_p), "parameters", each, "hash", b->hash);
}

static json_t *fan(const dp_fan *f, const dp_kind *kind) {
  json_t *q = json_array();
  for (int l = 0; l < DP_NLEVEL; l++) {
    json_t *row = json_array();
    for (int i = 0; i < f->ntime; i++) json_array_append_new(row, dpi_explain_number(f->q[i * DP_NLEVEL + l]));
    json_array_append_new(q, row);
  }
  return json_pack("{s:s, s:o, s:o}", "observable", kind->observable[f->observable].id, "time",
                   dpi_explain_numbers(f->time, f->ntime), "quantiles", q);
}

static json_t *fans(const dp_fan *f, int n, const dp_kind *kind) {
  json_t *a = json_array();
  for (int i = 0; i < n; i++) json_array_append_new(a, fan(&f[i], kind));
  return a;
}

static json_t *three(const double x[3]) {
  return json_pack("{s:o, s:o, s:o}", "twin", dpi_explain_number(x[0]), "population", dpi_explain_number(x[1]),
                   "last_value", dpi_explain_number(x[2]));
}

static json_t *score(const dp_twin_view *v, const dp_kind *kind) {
  json_t *a = json_array();
  for (int i = 0; i < v->nscore; i++) {
    const dp_sample_score *s = &v->score[i];
    const dp_seen *o = &v->seen[s->observation];
    json_array_append_new(
        a, json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:[b,b,b,b], s:b}", "time", dpi_explain_number(o->time),
                     "observable", kind->observable[o->observable].id, "measured", dpi_explain_number(o->value),
                     "quantiles", dpi_explain_numbers(s->q, DP_NLEVEL), "pit", dpi_explain_number(s->pit), "crps",
                     three(s->crps), "error", three(s->error), "inside_50_80_90_95", s->inside[0], s->inside[1],
                     s->inside[2], s->inside[3], "inside_population_90", s->inside_population));
  }
  return json_pack("{s:o, s:o}", "samples", a, "relative_crps", three(v->rel_crps));
}

const dp_candidate *dpi_explain_chosen(const dp_advice *a) {
  return a && a->chosen >= 0 ? &a->candidate[a->chosen] : NULL;
}

static json_t *terms(const dp_term_value *t, const dp_kind *kind) {
  if (!t) return json_null();
  json_t *a = json_array();
  for (int i = 0; i < kind->reward.nterm; i++)
    json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:b}", "id", kind->reward.term[i].id, "goal",
                                       kind->reward.term[i].goal == DPI_GOAL_LIMIT ? "limit" : "reward", "text",
                                       kind->reward.term[i].text, "value", dpi_explain_number(t[i].value), "low",
                                       dpi_explain_number(t[i].low), "high", dpi_explain_number(t[i].high), "holds",
                                       t[i].holds));
  return a;
}

static json_t *candidate(const dp_candidate *c, const dp_kind *kind) {
  if (!c) return json_null();
  return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:b, s:i, s:o, s:o}", "dose", dpi_explain_number(c->dose),
                   "interval", dpi_explain_number(c->interval), "unit",
                   kind->control[kind->reward.control].unit, "tablets", c->tablets, "reward",
                   dpi_explain_number(c->reward), "reward_low", dpi_explain_number(c->reward_low), "reward_high",
                   dpi_explain_number(c->reward_high), "admissible", c->admissible, "draws", c->ndraw, "terms",
                   terms(c->term, kind), "fresh", terms(c->fresh, kind));
}

static json_t *next_samples(const dp_advice *a, const dp_kind *kind) {
  json_t *list = json_array();
  for (int i = 0; i < a->nnext; i++)
    json_array_append_new(list, json_pack("{s:o, s:s, s:o, s:o, s:o}", "time", dpi_explain_number(a->next[i].time),
                                          "observable", kind->observable[a->next[i].observable].id, "changes_advice",
                                          dpi_explain_number(a->next[i].change), "admissible_plan",
                                          dpi_explain_number(a->next[i].advise), "gain",
                                          dpi_explain_number(a->next[i].gain)));
  return list;
}

/* proposal (null when there is none), reason, and what stood beside it. */
static void add_advice(json_t *o, const dp_advice *a, const dp_kind *kind, bool for_page) {
  if (!a) {
    json_object_set_new(o, "proposal", json_null());
    json_object_set_new(o, "reason", json_string("deciding was not asked for, or this kind has no reward"));
    return;
  }
  json_object_set_new(o, "proposal", candidate(dpi_explain_chosen(a), kind));
  json_object_set_new(o, "reason", json_string(a->reason));
  json_object_set_new(o, "binding", json_string(a->binding));
  json_object_set_new(o, "runner_up", candidate(a->runner_up >= 0 ? &a->candidate[a->runner_up] : NULL, kind));
  json_object_set_new(o, "probability_best", dpi_explain_number(a->best_probability));
  json_object_set_new(o, "next_sample", next_samples(a, kind));
  if (!for_page) return;
  json_t *all = json_array();
  for (int c = 0; c < a->ncandidate; c++) json_array_append_new(all, candidate(&a->candidate[c], kind));
  json_object_set_new(o, "candidates", all);
}

/* One stop of the slider: what would have been said with samples up to there. */
static json_t *stop(const dp_twin_view *v, const dp_kind *kind) {
  json_t *q = json_array();
  for (int e = 0; e < kind->neffect; e++) json_array_append_new(q, individual(v, kind, e, false));
  return json_pack("{s:o, s:i, s:o, s:o, s:o, s:s}", "until", dpi_explain_number(v->until), "seen", v->nseen,
                   "forecast", fans(v->fan, v->nfan, kind), "parameters", q, "score", score(v, kind), "hash", v->hash);
}

json_t *dpi_explain_person(const dp_study *study, int i, bool for_page) {
  const dp_kind *kind = study->kind;
  const dp_twin_view *v = dp_twin_look(study->twin[i]);
  json_t *o = json_pack("{s:s, s:o, s:i, s:i}", "id", v->subject, "until", dpi_explain_number(v->until), "seen",
                        v->nseen, "sealed", v->nsealed);
  json_object_set_new(o, "observed", observed(v, kind));
  json_object_set_new(o, "doses", doses(v));
  json_object_set_new(o, "prior", prior(v->prior, kind));
  json_object_set_new(o, "belief", belief(v, kind, for_page));
  json_object_set_new(o, "forecast", fans(v->fan, v->nfan, kind));
  if (v->population) json_object_set_new(o, "population_forecast", fans(v->population, v->nfan, kind));
  json_object_set_new(o, "score", score(v, kind));
  add_advice(o, v->advice, kind, for_page);
  json_object_set_new(o, "hashes", json_pack("{s:s, s:s, s:s}", "prior", v->prior->hash, "belief", v->belief->hash,
                                             "turn", v->hash));
  if (for_page && study->nuntil > 0) {
    json_t *stops = json_array();
    for (int u = 0; u < study->nuntil; u++)
      json_array_append_new(stops, stop(dp_twin_look(study->at[i * study->nuntil + u]), kind));
    json_object_set_new(o, "stops", stops);
  }
  return o;
}
