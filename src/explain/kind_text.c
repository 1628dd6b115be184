/* kind_text.c - a kind of twin in words, for `doppel twin show`. */
#include <math.h>

#include "explain/explain.h"

static void line(dpi_str *out, const char *label, const char *text) {
  if (text && text[0]) dpi_str_addf(out, "%-13s %s\n", label, text);
}

static void add_effects(dpi_str *out, const dp_kind *k) {
  dpi_str_add(out, "\nindividual parameters\n");
  for (int e = 0; e < k->neffect; e++) {
    const dpi_kind_effect *f = &k->effect[e];
    static const char *const law[] = {"log-normal", "normal", "logit-normal", "uniform"};
    dpi_str_addf(out, "  %-10s typical %-10.4g %-8s %-12s variance %-8.4g %s%s\n", f->parameter,
                 k->param[f->typical].nominal, f->unit, law[f->distribution], f->variance, f->name,
                 f->occasion ? " (by occasion)" : "");
  }
}

static void add_observables(dpi_str *out, const dp_kind *k) {
  dpi_str_add(out, "\nobservables\n");
  for (int o = 0; o < k->nobservable; o++)
    dpi_str_addf(out, "  %-10s %-8s %s%s\n", k->observable[o].id, k->observable[o].unit, k->observable[o].name,
                 k->observable[o].noise == DPI_NOISE_LOGNORMAL ? " (log-normal error)"
                 : k->observable[o].noise == DPI_NOISE_JOHNSON ? " (skewed error, Johnson's law)"
                                                               : "");
}

static void add_reward(dpi_str *out, const dp_kind *k) {
  if (!k->reward.given) {
    dpi_str_add(out, "\nno reward: nothing is decided by this kind\n");
    return;
  }
  const dpi_kind_control *c = &k->control[k->reward.control];
  dpi_str_addf(out, "\nplans %s [%s]:", c->name, c->unit);
  for (int i = 0; i < c->nstrength; i++) dpi_str_addf(out, " %g", c->strength[i]);
  dpi_str_add(out, "; every");
  for (int i = 0; i < c->ninterval; i++) dpi_str_addf(out, " %g", c->interval[i]);
  dpi_str_addf(out, " %s; limits hold at the %.0f %% bound; residual error %s\n", k->time_unit,
               100 * k->reward.confidence, k->reward.residual ? "counts" : "does not count");
  for (int t = 0; t < k->reward.nterm; t++)
    dpi_str_addf(out, "  %-8s %s\n", k->reward.term[t].goal == DPI_GOAL_LIMIT ? "limit" : "reward",
                 k->reward.term[t].text);
  line(out, "approver", c->approver);
  line(out, "note", k->reward.note);
}

dp_status dp_report_kind_json(const dp_kind *k, char **text) {
  json_t *o = json_object();
  bool good = o != NULL;
  dpi_explain_set(o, "kind", dpi_explain_kind(k), &good);
  dpi_explain_set(o, "until", dpi_explain_number(k->until), &good);
  dpi_explain_set(o, "states", json_integer(dp_model_nstate(k->model)), &good);
  dpi_explain_set(o, "parameters", dpi_explain_parameters(k), &good);
  dpi_explain_set(o, "observables", dpi_explain_observables(k), &good);
  dpi_explain_set(o, "reward", dpi_explain_reward(k), &good);
  dpi_explain_set(o, "model_hash", json_string(dp_model_hash(k->model)), &good);
  if (!good) {
    json_decref(o);
    o = NULL;
  }
  return dpi_explain_dump(k->ctx, o, JSON_REAL_PRECISION(12) | JSON_INDENT(1), text);
}

dp_status dp_report_kind(const dp_kind *k, char **text) {
  dpi_str out;
  dpi_str_init(&out, k->ctx);
  dpi_str_addf(&out, "%s: %s\n\n", k->id, k->title);
  line(&out, "question", k->question);
  line(&out, "intended use", k->intended_use);
  line(&out, "people", k->people);
  line(&out, "source", k->source);
  dpi_str_addf(&out, "%-13s observed until %g %s by default; %d states\n", "time", k->until, k->time_unit,
               dp_model_nstate(k->model));
  add_effects(&out, k);
  add_observables(&out, k);
  add_reward(&out, k);
  dpi_str_addf(&out, "\nkind %.16s  model %.16s\n", k->hash, dp_model_hash(k->model));
  if (out.failed) {
    dpi_str_release(&out);
    return DP_ERR_MEMORY;
  }
  *text = out.data;
  return DP_OK;
}
