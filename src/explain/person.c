/* person.c - one person's part of the document. */
#include <math.h>

#include "doppel/whatif.h"
#include "explain/explain.h"
#include "explain/why_impl.h"

static json_t *finish(json_t *part, bool good) {
  if (good) return part;
  json_decref(part);
  return NULL;
}

static json_t *observed(const dp_twin_view *v, const dp_kind *kind) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < v->nseen + v->nsealed; i++) {
    const dp_seen *s = &v->seen[i];
    dpi_explain_append(a,
                       json_pack("{s:o, s:o, s:o, s:b, s:b, s:i}", "time", dpi_explain_number(s->time), "value",
                                 dpi_explain_number(s->censored ? s->limit : s->value), "observable",
                                 dpi_explain_text(kind->observable[s->observable].id), "sealed", s->sealed, "censored",
                                 s->censored != 0, "line", s->line),
                       &good);
  }
  return finish(a, good);
}

static json_t *doses(const dp_twin_view *v) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < v->ndose; i++)
    dpi_explain_append(a,
                       json_pack("{s:o, s:o}", "time", dpi_explain_number(v->dose_time[i]), "amount",
                                 dpi_explain_number(v->dose_amount[i])),
                       &good);
  return finish(a, good);
}

static json_t *prior(const dp_prior *p, const dp_kind *kind) {
  json_t *typical = json_object(), *sd = json_object();
  bool good = typical && sd;
  for (int i = 0; i < kind->nparam; i++)
    dpi_explain_set(typical, kind->param[i].id, dpi_explain_number(p->typical[i]), &good);
  for (int e = 0; e < kind->neffect; e++)
    dpi_explain_set(sd, kind->effect[e].id, dpi_explain_number(sqrt(p->omega[e * kind->neffect + e])), &good);
  return json_pack("{s:o, s:o, s:i, s:b, s:o, s:o, s:o, s:o}", "source", dpi_explain_text(p->source), "method",
                   dpi_explain_text(p->method), "people", p->npeople, "converged", p->converged, "objective",
                   dpi_explain_number(p->objective), "typical", finish(typical, good), "between_people_sd",
                   finish(sd, good), "hash", dpi_explain_text(p->hash));
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

static void add_densities(json_t *o, const double *a, int na, const double *b, int nb, bool logs, bool *good) {
  double x[DPI_DENSITY_POINTS], da[DPI_DENSITY_POINTS], db[DPI_DENSITY_POINTS];
  dpi_explain_density(a, na, b, nb, logs, x, da, db);
  dpi_explain_set(o, "x", dpi_explain_numbers(x, DPI_DENSITY_POINTS), good);
  dpi_explain_set(o, "prior_density", dpi_explain_numbers(da, DPI_DENSITY_POINTS), good);
  dpi_explain_set(o, "posterior_density", dpi_explain_numbers(db, DPI_DENSITY_POINTS), good);
  dpi_explain_set(o, "log", json_boolean(logs), good);
}

/* Posterior quantiles of one individual parameter, and beside them the prior's where the twin has it. */
static json_t *individual(const dp_twin_view *v, const dp_kind *kind, int e, bool for_page) {
  const dpi_kind_effect *f = &kind->effect[e];
  bool logs = f->distribution == DPI_DIST_LOGNORMAL;
  dp_ctx *ctx = v->belief->ctx;
  double *b = column(v->belief, e, logs), *a = v->before ? column(v->before, e, logs) : NULL;
  json_t *o = json_pack("{s:o, s:o, s:o}", "id", dpi_explain_text(f->parameter), "name", dpi_explain_text(f->name),
                        "unit", dpi_explain_text(f->unit));
  bool good = o && b && (a || !v->before);
  if (good && a && for_page) add_densities(o, a, v->before->ndraw, b, v->belief->ndraw, logs, &good);
  if (good && a) dpi_explain_set(o, "prior", quantiles(a, v->before->ndraw, logs), &good);
  if (good) dpi_explain_set(o, "posterior", quantiles(b, v->belief->ndraw, logs), &good);
  dpi_free(ctx, a);
  dpi_free(ctx, b);
  return finish(o, good);
}

static json_t *individuals(const dp_twin_view *v, const dp_kind *kind, bool for_page) {
  json_t *each = json_array();
  bool good = each != NULL;
  for (int e = 0; e < kind->neffect; e++) dpi_explain_append(each, individual(v, kind, e, for_page), &good);
  return finish(each, good);
}

static json_t *belief(const dp_twin_view *v, const dp_kind *kind, bool for_page) {
  const dp_belief *b = v->belief;
  return json_pack("{s:o, s:b, s:o, s:i, s:i, s:o, s:o, s:o, s:b, s:o, s:o, s:s}", "method",
                   dpi_explain_text(b->method), "usable", b->usable, "verdict", dpi_explain_text(b->verdict),
                   "samples_used", b->nobs, "draws", b->ndraw, "effective_draws", dpi_explain_number(b->ess), "khat",
                   dpi_explain_number(b->khat), "predictive_check_p", dpi_explain_number(b->ppc_p), "discrepancy",
                   b->discrepancy != NULL, "discrepancy_sd", dpi_explain_number(dpi_explain_discrepancy(b)),
                   "parameters", individuals(v, kind, for_page), "hash", b->hash);
}

static json_t *fan(const dp_fan *f, const dp_kind *kind) {
  json_t *q = json_array();
  bool good = q != NULL;
  for (int l = 0; l < DP_NLEVEL; l++) {
    json_t *row = json_array();
    for (int i = 0; i < f->ntime; i++) dpi_explain_append(row, dpi_explain_number(f->q[i * DP_NLEVEL + l]), &good);
    dpi_explain_append(q, row, &good);
  }
  return json_pack("{s:o, s:o, s:o}", "observable", dpi_explain_text(kind->observable[f->observable].id), "time",
                   dpi_explain_numbers(f->time, f->ntime), "quantiles", finish(q, good));
}

static json_t *fans(const dp_fan *f, int n, const dp_kind *kind) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < n; i++) dpi_explain_append(a, fan(&f[i], kind), &good);
  return finish(a, good);
}

static json_t *three(const double x[3]) {
  return json_pack("{s:o, s:o, s:o}", "twin", dpi_explain_number(x[0]), "population", dpi_explain_number(x[1]),
                   "last_value", dpi_explain_number(x[2]));
}

static json_t *score(const dp_twin_view *v, const dp_kind *kind) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < v->nscore; i++) {
    const dp_sample_score *s = &v->score[i];
    const dp_seen *o = &v->seen[s->observation];
    json_t *one =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:[b,b,b,b], s:b}", "time", dpi_explain_number(o->time),
                  "observable", dpi_explain_text(kind->observable[o->observable].id), "measured",
                  dpi_explain_number(o->value), "quantiles", dpi_explain_numbers(s->q, DP_NLEVEL), "pit",
                  dpi_explain_number(s->pit), "crps", three(s->crps), "error", three(s->error), "inside_50_80_90_95",
                  s->inside[0], s->inside[1], s->inside[2], s->inside[3], "inside_population_90", s->inside_population);
    dpi_explain_append(a, one, &good);
  }
  return json_pack("{s:o, s:o}", "samples", finish(a, good), "relative_crps", three(v->rel_crps));
}

const dp_candidate *dpi_explain_chosen(const dp_advice *a) {
  return a && a->chosen >= 0 ? &a->candidate[a->chosen] : NULL;
}

static json_t *terms(const dp_term_value *t, const dp_kind *kind) {
  if (!t) return json_null();
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < kind->reward.nterm; i++) {
    const dpi_kind_term *k = &kind->reward.term[i];
    dpi_explain_append(a,
                       json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:b}", "id", dpi_explain_text(k->id), "goal",
                                 k->goal == DPI_GOAL_LIMIT ? "limit" : "reward", "text", dpi_explain_text(k->text),
                                 "value", dpi_explain_number(t[i].value), "low", dpi_explain_number(t[i].low), "high",
                                 dpi_explain_number(t[i].high), "holds", t[i].holds),
                       &good);
  }
  return finish(a, good);
}

static json_t *candidate(const dp_candidate *c, const dp_kind *kind) {
  if (!c) return json_null();
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:i, s:i, s:o, s:o}", "text",
                   dpi_explain_text(c->text), "dose", dpi_explain_number(c->dose), "interval",
                   dpi_explain_number(c->interval), "unit", dpi_explain_text(kind->control[kind->reward.control].unit),
                   "tablets", dpi_explain_text(c->tablets), "reward", dpi_explain_number(c->reward), "reward_low",
                   dpi_explain_number(c->reward_low), "reward_high", dpi_explain_number(c->reward_high), "admissible",
                   c->admissible, "draws", c->ndraw, "failed", c->nfailed, "terms", terms(c->term, kind), "fresh",
                   terms(c->fresh, kind));
}

static json_t *next_samples(const dp_advice *a, const dp_kind *kind) {
  json_t *list = json_array();
  bool good = list != NULL;
  for (int i = 0; i < a->nnext; i++)
    dpi_explain_append(list,
                       json_pack("{s:o, s:o, s:o, s:[o, o], s:o, s:o, s:i, s:o, s:o}", "time",
                                 dpi_explain_number(a->next[i].time), "observable",
                                 dpi_explain_text(kind->observable[a->next[i].observable].id), "changes_advice",
                                 dpi_explain_number(a->next[i].change), "changes_advice_interval",
                                 dpi_explain_number(a->next[i].change_low), dpi_explain_number(a->next[i].change_high),
                                 "admissible_plan", dpi_explain_number(a->next[i].advise), "gain",
                                 dpi_explain_number(a->next[i].gain), "results", a->next[i].nresult, "effective_draws",
                                 dpi_explain_number(a->next[i].ess), "unclear", dpi_explain_number(a->next[i].unclear)),
                       &good);
  return finish(list, good);
}

/* What stands behind the advice; null where nothing may be said (no plan, a belief that is not fit for use). */
static json_t *why_of(const dp_study *s, int i) {
  const dp_twin_view *v = dp_twin_look(s->twin[i]);
  const dp_why_def def = dp_why_def_default();
  dp_patient *patient = NULL;
  dp_why *why = NULL;
  if (!v->advice || v->advice->ncandidate == 0 || !v->belief->usable) return json_null();
  dp_status status =
      dp_patient_create(s->kind, s->record, s->subject[i], s->prior[i], v->until, v->belief, NULL, &patient);
  if (status == DP_OK) status = dp_why_advice(s->kind, dp_patient_look(patient), v->advice, &def, &why);
  json_t *o = status == DP_OK ? dpi_explain_why(s->kind, why) : status == DP_ERR_MEMORY ? NULL : json_null();
  if (status != DP_OK && status != DP_ERR_MEMORY) dp_ctx_clear_error(s->ctx);
  dp_why_destroy(why);
  dp_patient_destroy(patient);
  return o;
}

/* proposal (null when there is none), reason, and what stood beside it. */
static void add_advice(json_t *o, const dp_advice *a, const dp_kind *kind, bool for_page, bool *good) {
  if (!a) {
    dpi_explain_set(o, "proposal", json_null(), good);
    dpi_explain_set(o, "reason", json_string("deciding was not asked for, or this kind has no reward"), good);
    return;
  }
  dpi_explain_set(o, "proposal", candidate(dpi_explain_chosen(a), kind), good);
  dpi_explain_set(o, "reason", dpi_explain_text(a->reason), good);
  dpi_explain_set(o, "binding", dpi_explain_text(a->binding), good);
  dpi_explain_set(o, "approver", dpi_explain_text(a->approver), good);
  dpi_explain_set(o, "runner_up", candidate(a->runner_up >= 0 ? &a->candidate[a->runner_up] : NULL, kind), good);
  dpi_explain_set(o, "probability_best", dpi_explain_number(a->best_probability), good);
  dpi_explain_set(o, "next_sample", next_samples(a, kind), good);
  if (!for_page) return;
  json_t *all = json_array();
  for (int c = 0; c < a->ncandidate; c++) dpi_explain_append(all, candidate(&a->candidate[c], kind), good);
  dpi_explain_set(o, "candidates", all, good);
}

/* One stop of the slider: what would have been said with samples up to there. */
static json_t *stop(const dp_twin_view *v, const dp_kind *kind) {
  return json_pack("{s:o, s:i, s:o, s:o, s:o, s:s}", "until", dpi_explain_number(v->until), "seen", v->nseen,
                   "forecast", fans(v->fan, v->nfan, kind), "parameters", individuals(v, kind, false), "score",
                   score(v, kind), "hash", v->hash);
}

static void add_stops(json_t *o, const dp_study *study, int i, bool *good) {
  json_t *stops = json_array();
  for (int u = 0; u < study->nuntil; u++)
    dpi_explain_append(stops, stop(dp_twin_look(study->at[i * study->nuntil + u]), study->kind), good);
  dpi_explain_set(o, "stops", stops, good);
}

json_t *dpi_explain_person(const dp_study *study, int i, bool for_page) {
  const dp_kind *kind = study->kind;
  const dp_twin_view *v = dp_twin_look(study->twin[i]);
  json_t *o = json_pack("{s:o, s:o, s:i, s:i}", "id", dpi_explain_text(v->subject), "until",
                        dpi_explain_number(v->until), "seen", v->nseen, "sealed", v->nsealed);
  bool good = o != NULL;
  dpi_explain_set(o, "observed", observed(v, kind), &good);
  dpi_explain_set(o, "doses", doses(v), &good);
  dpi_explain_set(o, "prior", prior(v->prior, kind), &good);
  dpi_explain_set(o, "belief", belief(v, kind, for_page), &good);
  dpi_explain_set(o, "forecast", fans(v->fan, v->nfan, kind), &good);
  if (v->population) dpi_explain_set(o, "population_forecast", fans(v->population, v->nfan, kind), &good);
  dpi_explain_set(o, "score", score(v, kind), &good);
  add_advice(o, v->advice, kind, for_page, &good);
  if (v->advice) dpi_explain_set(o, "why", why_of(study, i), &good);
  dpi_explain_set(o, "hashes",
                  json_pack("{s:o, s:s, s:s}", "prior", dpi_explain_text(v->prior->hash), "belief", v->belief->hash,
                            "turn", v->hash),
                  &good);
  if (for_page && study->nuntil > 0) add_stops(o, study, i, &good);
  return finish(o, good);
}
