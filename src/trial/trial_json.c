/* trial_json.c - floor 8: a trial's result as one JSON object. No time of day, no machine: the same command gives the
 * same bytes. */
#include <math.h>
#include <string.h>

#include "trial/trial_impl.h"

static void text(dpi_str *s, const char *key, const char *value) {
  dpi_str_addf(s, "\"%s\":\"", key);
  for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
    if (*p == '"' || *p == '\\')
      dpi_str_addf(s, "\\%c", *p);
    else if (*p < 32 || *p == 127)
      dpi_str_addf(s, "\\u%04x", *p);
    else
      dpi_str_addn(s, (const char *)p, 1);
  }
  dpi_str_add(s, "\"");
}

static void number(dpi_str *s, const char *key, double x) {
  char out[32];
  dpi_format_double(x, out);
  dpi_str_addf(s, "\"%s\":%s", key, isfinite(x) ? out : "null");
}

static void estimate(dpi_str *s, const dp_trial_estimate *e) {
  dpi_str_addf(s, "\"n\":%d,", e->n);
  number(s, "value", e->value), dpi_str_add(s, ",");
  number(s, "low", e->low), dpi_str_add(s, ",");
  number(s, "high", e->high), dpi_str_add(s, ",");
  number(s, "sd", e->sd), dpi_str_add(s, ",");
  text(s, "method", e->method);
}

static void head(dpi_str *s, const dp_trial_result *r) {
  static const char *const designs[] = {"parallel", "crossover", "paired"};
  const dp_trial_desc *d = &r->trial->desc;
  text(s, "trial", d->title), dpi_str_add(s, ",");
  text(s, "question", d->question), dpi_str_add(s, ",");
  text(s, "kind", dp_kind_id(d->kind)), dpi_str_add(s, ",");
  text(s, "design", designs[d->design]), dpi_str_add(s, ",");
  text(s, "time_unit", d->time_unit), dpi_str_add(s, ",");
  number(s, "horizon", d->horizon), dpi_str_add(s, ",");
  if (d->run_in > 0) number(s, "run_in", d->run_in), dpi_str_add(s, ",");
  number(s, "confidence", r->trial->confidence), dpi_str_add(s, ",");
  dpi_str_addf(s, "\"seed\":%llu,\"people\":%d,\"simulations\":%lld,\"candidates\":%lld,", (unsigned long long)d->seed,
               r->nperson, (long long)r->ncall, (long long)r->ncandidate);
  number(s, "acceptance", r->acceptance), dpi_str_add(s, ",");
  dpi_str_addf(s, "\"match_simulations\":%lld,", (long long)r->nmatched);
  text(s, "arithmetic", dp_arithmetic()), dpi_str_add(s, ",");
  text(s, "trial_hash", d->hash), dpi_str_add(s, ",");
  text(s, "hash", r->hash);
}

static void arm(dpi_str *s, const dp_trial_result *r, const dp_trial_arm *a) {
  dpi_str_add(s, "{");
  text(s, "arm", a->name);
  dpi_str_addf(s,
               ",\"people\":%d,\"dropped_out\":%d,\"missing\":%d,\"failed\":%d,\"limited\":%lld,\"incidents\":%d,"
               "\"endpoints\":[",
               a->nperson, a->ndropout, a->nmissing, a->nfailed, (long long)a->nlimited, a->nincident);
  for (int e = 0; e < r->nendpoint; e++) {
    const dp_trial_endpoint *p = &r->trial->desc.endpoint[e];
    dpi_str_add(s, e ? ",{" : "{");
    text(s, "id", p->id), dpi_str_add(s, ",");
    text(s, "name", p->name), dpi_str_add(s, ",");
    text(s, "unit", p->unit), dpi_str_add(s, ",");
    estimate(s, &a->estimate[e]), dpi_str_add(s, ",");
    number(s, "q05", a->q05[e]), dpi_str_add(s, ",");
    number(s, "median", a->median[e]), dpi_str_add(s, ",");
    number(s, "q95", a->q95[e]), dpi_str_add(s, "}");
  }
  dpi_str_add(s, "]}");
}

static void difference(dpi_str *s, const dp_trial_result *r, const dp_trial_difference *d) {
  dpi_str_add(s, "{");
  text(s, "arm", r->arm[d->arm].name), dpi_str_add(s, ",");
  text(s, "against", r->arm[d->against].name), dpi_str_add(s, ",");
  text(s, "id", r->trial->desc.endpoint[d->endpoint].id), dpi_str_add(s, ",");
  text(s, "unit", r->trial->desc.endpoint[d->endpoint].unit), dpi_str_add(s, ",");
  estimate(s, &d->estimate), dpi_str_add(s, ",");
  number(s, "p", d->p), dpi_str_add(s, ",");
  if (r->trial->holm) number(s, "p_holm", d->p_holm), dpi_str_add(s, ",");
  text(s, "test", d->test);
  if (r->nlook) dpi_str_add(s, ",\"looks\":[");
  for (int k = 0; k < r->nlook; k++) {
    dpi_str_add(s, k ? ",{" : "{");
    number(s, "value", d->seen[k].value), dpi_str_add(s, ",");
    number(s, "p", d->seen[k].p), dpi_str_add(s, "}");
  }
  if (r->nlook) {
    dpi_str_add(s, "],");
    number(s, "crossed_at_look", d->crossed ? d->crossed : NAN), dpi_str_add(s, ",");
    number(s, "crossed_with_people", d->crossed ? r->look[d->crossed - 1].people : NAN);
  }
  if (d->power_n) {
    dpi_str_add(s, ",\"power\":{");
    number(s, "value", d->power), dpi_str_add(s, ",");
    number(s, "low", d->power_low), dpi_str_add(s, ",");
    number(s, "high", d->power_high), dpi_str_add(s, ",");
    if (r->nlook) number(s, "expected_people", d->power_people), dpi_str_add(s, ",");
    dpi_str_addf(s, "\"people_an_arm\":%d,\"trials\":%d,", d->power_n, d->power_trials);
    text(s, "method", d->power_method);
    dpi_str_add(s, "}");
  }
  dpi_str_add(s, "}");
}

/* Strata of the randomisation and looks at the data, where there are. */
static void plan(dpi_str *s, const dp_trial_result *r) {
  if (r->nstratum) dpi_str_add(s, ",\"strata\":[");
  for (int k = 0; k < r->nstratum; k++) {
    dpi_str_add(s, k ? ",{" : "{");
    text(s, "stratum", r->stratum[k].name), dpi_str_add(s, ",\"people\":[");
    for (int a = 0; a < r->narm; a++) dpi_str_addf(s, a ? ",%d" : "%d", r->stratum[k].nperson[a]);
    dpi_str_add(s, "]}");
  }
  if (r->nstratum) dpi_str_add(s, "]");
  if (!r->nlook) return;
  dpi_str_add(s, ",\"looks\":{");
  text(s, "boundary", r->boundary), dpi_str_add(s, ",\"at\":[");
  for (int k = 0; k < r->nlook; k++) {
    dpi_str_addf(s, k ? ",{\"people\":%d," : "{\"people\":%d,", r->look[k].people);
    number(s, "share", r->look[k].share), dpi_str_add(s, ",");
    number(s, "z", r->look[k].boundary), dpi_str_add(s, ",");
    number(s, "p", r->look[k].p), dpi_str_add(s, "}");
  }
  dpi_str_add(s, "]}");
}

static void credibility(dpi_str *s, const dp_trial_credibility *c) {
  static const char *const states[] = {"pass", "fail", "missing", "stated"};
  dpi_str_add(s, "\"credibility\":{");
  text(s, "question_of_interest", c->question), dpi_str_add(s, ",");
  text(s, "context_of_use", c->context), dpi_str_add(s, ",");
  text(s, "model_influence", c->influence), dpi_str_add(s, ",");
  text(s, "decision_consequence", c->consequence), dpi_str_add(s, ",");
  text(s, "model_risk", c->risk), dpi_str_add(s, ",\"evidence\":[");
  for (int i = 0; i < c->nevidence; i++) {
    const dp_trial_evidence *e = &c->evidence[i];
    dpi_str_add(s, i ? ",{" : "{");
    text(s, "factor", e->factor), dpi_str_add(s, ",");
    text(s, "state", states[e->state]), dpi_str_add(s, ",");
    text(s, "what", e->what), dpi_str_add(s, ",");
    number(s, "value", e->value), dpi_str_add(s, ",");
    number(s, "limit", e->limit), dpi_str_add(s, "}");
  }
  dpi_str_add(s, "]}");
}

dp_status dp_trial_json(const dp_trial_result *r, char **out) {
  dpi_str s;
  dpi_str_init(&s, r->ctx);
  dpi_str_add(&s, "{");
  head(&s, r);
  plan(&s, r);
  dpi_str_add(&s, ",\"arms\":[");
  for (int a = 0; a < r->narm; a++) {
    if (a) dpi_str_add(&s, ",");
    arm(&s, r, &r->arm[a]);
  }
  dpi_str_add(&s, "],\"differences\":[");
  for (int k = 0; k < r->ndifference; k++) {
    if (k) dpi_str_add(&s, ",");
    difference(&s, r, &r->difference[k]);
  }
  dpi_str_add(&s, "],\"incidents\":[");
  for (int k = 0; k < r->nincident; k++) {
    const dp_trial_incident *i = &r->incident[k];
    dpi_str_add(&s, k ? ",{" : "{");
    text(&s, "arm", r->arm[i->arm].name), dpi_str_add(&s, ",");
    text(&s, "person", i->person), dpi_str_add(&s, ",");
    number(&s, "time", i->time), dpi_str_add(&s, ",");
    text(&s, "reason", i->reason), dpi_str_add(&s, "}");
  }
  dpi_str_add(&s, "],");
  credibility(&s, &r->credibility);
  dpi_str_add(&s, "}\n");
  *out = s.failed ? NULL : s.data;
  if (s.failed) dpi_str_release(&s);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

void dp_trial_text_free(const dp_trial_result *r, char *t) { dpi_free(r->ctx, t); }
