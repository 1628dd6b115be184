/* why_text.c - floor 8: the explanation in plain words, and as JSON. */
#include "explain/why_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "explain/explain.h"

static const char *words(const dp_kind *k, int t) {
  const dpi_kind_term *x = &k->reward.term[t];
  return x->text && x->text[0] ? x->text : x->name;
}

static const dpi_kind_term *term_named(const dp_kind *k, const char *id, const dpi_kind_term **out) {
  for (int t = 0; t < k->reward.nterm; t++)
    if (strcmp(k->reward.term[t].id, id) == 0) return *out = &k->reward.term[t];
  return *out = NULL;
}

/* ---- words ---- */

/* At most 48 letters; what is cut ends in "...", so that no number loses its last digits unseen. */
static const char *clipped(const char *s, char out[49]) {
  size_t n = strlen(s), kept = 45;
  if (n < 49) return s;
  while (kept > 0 && ((unsigned char)s[kept] & 0xC0) == 0x80) kept--; /* no letter is cut in two */
  snprintf(out, 49, "%.*s...", (int)kept, s);
  return out;
}

/* Which plan stands beside the best one: the runner-up, or what missed a limit where nothing else is admissible. */
static void say_beside(dpi_str *s, const dp_why *w) {
  const dp_why_rival *r = NULL;
  for (int i = 0; i < w->nrival; i++)
    if (w->rival[i].plan == w->runner_up) r = &w->rival[i];
  if (!r)
    dpi_str_add(s, "  term by term, best and runner-up\n");
  else
    dpi_str_addf(s, "  term by term, best and %s%s%s\n", r->admissible ? "runner-up, " : "", r->text,
                 r->admissible ? "" : ", which misses a limit");
}

static void say_terms(dpi_str *s, const dp_kind *k, const dp_why *w) {
  if (w->nterm == 0) return;
  say_beside(s, w);
  for (int i = 0; i < w->nterm; i++) {
    const dp_why_term *x = &w->term[i];
    bool limit = k->reward.term[x->term].goal == DPI_GOAL_LIMIT;
    double f = limit ? 100 : 1;
    const char *unit = limit ? " %" : "", *points = limit ? " points" : "";
    char text[49];
    dpi_str_addf(s, "    %-48s %9.4g%s  %9.4g%s  %+.3g%s", clipped(words(k, x->term), text), f * x->best, unit,
                 f * x->other, unit, f * x->difference, points);
    if (isfinite(x->low) && x->high - x->low > 1e-6 * fabs(x->difference))
      dpi_str_addf(s, " (%+.3g .. %+.3g)", f * x->low, f * x->high);
    dpi_str_add(s, "\n");
  }
}

static void say_limits(dpi_str *s, const dp_kind *k, const dp_why *w) {
  if (w->nlimit) dpi_str_add(s, "  limits, the tightest first\n");
  for (int i = 0; i < w->nlimit; i++) {
    const dp_why_limit *l = &w->limit[i];
    bool least = k->reward.term[l->term].at_least;
    dpi_str_addf(s, "    %s: estimate %.1f %%, bound %.1f %%, %s %.1f %%: %s by %.1f points\n", words(k, l->term), 100 * l->estimate,
                 100 * l->bound, least ? "at least" : "at most", 100 * l->allowed, l->holds ? "holds" : "is missed", 100 * fabs(l->slack));
  }
}

static void say_drivers(dpi_str *s, const char *what, const dp_why_driver *d, int n) {
  int said = 0;
  for (int i = 0; i < n; i++) {
    if (d[i].share < 0.02 && said) continue;
    if (!said++) dpi_str_addf(s, "  %s depends on\n", what);
    dpi_str_addf(s, "    %-16.16s %3.0f %% of its variance", d[i].parameter, 100 * d[i].share);
    if (isfinite(d[i].low)) dpi_str_addf(s, " (%.0f .. %.0f)", 100 * d[i].low, 100 * d[i].high);
    dpi_str_addf(s, "; %s with a larger %s\n", d[i].direction > 0 ? "larger" : "smaller", d[i].name);
  }
}

/* Of an individual parameter, as people write it (10^9/L for 10*9/L), behind a space; "" where it has none. */
static const char *unit_of(const dp_kind *k, const char *parameter, char out[64]) {
  out[0] = 0;
  for (int i = 0; i < k->neffect; i++)
    if (strcmp(k->effect[i].parameter, parameter) == 0 && k->effect[i].unit && strcmp(k->effect[i].unit, "1") != 0)
      snprintf(out, 64, " %s", k->effect[i].unit);
  for (char *p = out; (p = strstr(p, "10*")) != NULL; p += 3) p[2] = '^';
  return out;
}

static void say_shift(dpi_str *s, const dp_kind *k, const dp_why_shift *x) {
  const dpi_kind_term *t = NULL;
  if (x->way == DP_WHY_PARAMETER) {
    char unit[64];
    dpi_str_addf(s, "%s %.3g instead of %.3g%s (%+.2f sd)", x->what, x->to, x->from, unit_of(k, x->what, unit), x->sd);
    return;
  }
  if (!term_named(k, x->what, &t)) return;
  if (x->way == DP_WHY_WEIGHT)
    dpi_str_addf(s, "weight of %s %.3g instead of %.3g", x->what, x->to, x->from);
  else if (x->loosen)
    dpi_str_addf(s, "limit %s at %s %.1f %% instead of %.1f %%", x->what, t->at_least ? "least" : "most", 100 * x->to, 100 * x->from);
  else
    dpi_str_addf(s, "limit %s stricter than %.1f %% (now %.1f %%)", x->what, 100 * x->to, 100 * x->from);
}

static void say_rival(dpi_str *s, const dp_kind *k, const dp_why *w, const dp_why_rival *r) {
  int parameters = 0;
  dpi_str_addf(s, "    %s", r->text);
  if (w->best >= 0) dpi_str_addf(s, " (reward %+.4g%s)", -r->difference, r->admissible ? "" : ", misses a limit");
  dpi_str_add(s, ": ");
  if (w->best < 0 && r->admissible) {
    dpi_str_add(s, "holds its limits on the draws that it was searched on\n");
    return;
  }
  for (int i = 0; i < r->nshift; i++) {
    if (r->shift[i].way == DP_WHY_PARAMETER && parameters++ >= 2) continue; /* the two easiest */
    const dp_why_shift *before = i ? &r->shift[i - 1] : NULL;
    bool and = before && before->way == DP_WHY_LIMIT && before->loosen && r->shift[i].way == DP_WHY_LIMIT && r->shift[i].loosen;
    if (i) dpi_str_add(s, and ? " and " : ", or ");
    say_shift(s, k, &r->shift[i]);
  }
  if (!parameters && isfinite(r->within_sd))
    dpi_str_addf(s, "%sno one parameter within %.1f sd of what is believed", r->nshift ? "; " : "", r->within_sd);
  else if (!r->nshift)
    dpi_str_add(s, w->risky ? "not known by parameters (rewards have a risk measure)" : "nothing that was tried");
  dpi_str_add(s, "\n");
}

static void say_data(dpi_str *s, const dp_kind *k, const dp_why *w) {
  if (w->next_known)
    dpi_str_addf(s,
                 "  data: %s at %g %s would change this with probability %.0f %% (%.0f .. %.0f, %d imagined results); "
                 "expected gain in reward %.3g\n",
                 w->next_observable, w->next_time, k->time_unit, 100 * w->next_change, 100 * w->next_low,
                 100 * w->next_high, w->next_results, w->next_gain);
  else if (w->next_asked)
    dpi_str_add(s, "  data: how likely a further sample is to change this can't be said from these draws\n");
  else if (w->nlimit_driver || w->ndriver)
    dpi_str_addf(s, "  data: whatever tells more about %s\n", w->nlimit_driver ? w->limit_driver[0].name : w->driver[0].name);
}

/* No plan is best: because none holds its limits, or because those that did were not confirmed. */
static void say_none(dpi_str *s, const dp_why *w) {
  bool held = w->nlimit > 0;
  for (int i = 0; i < w->nlimit; i++) held = held && w->limit[i].holds;
  if (held)
    dpi_str_addf(s, "why none: %s holds its limits on the draws that it was searched on; fresh draws did not confirm a choice\n", w->best_text);
  else
    dpi_str_addf(s, "why none: no plan holds every limit; nearest: %s\n", w->best_text);
}

static void say(dpi_str *s, const dp_kind *k, const dp_why *w) {
  char what[256];
  if (w->best >= 0)
    dpi_str_addf(s, "why: %s\n  reward %.5g; the highest of the admissible plans with probability %.0f %%\n", w->best_text, w->reward,
                 100 * w->best_probability);
  else
    say_none(s, w);
  say_terms(s, k, w);
  say_limits(s, k, w);
  say_drivers(s, "the difference in reward", w->driver, w->ndriver);
  if (w->best >= 0 && w->runner_up >= 0 && w->ndriver == 0)
    dpi_str_addf(s, "  the difference in reward is the same whatever this person is like%s\n", w->nlimit ? "; limits decide" : "");
  if (w->nlimit) {
    const dpi_kind_term *t = &k->reward.term[w->limit[0].term];
    snprintf(what, sizeof what, "what the tightest limit (%.60s) is about", t->id);
    say_drivers(s, what, w->limit_driver, w->nlimit_driver);
  }
  say_data(s, k, w);
  if (w->nrival) dpi_str_addf(s, "  for another plan to %s\n", w->best >= 0 ? "win" : "be safe enough");
  for (int i = 0; i < w->nrival; i++) say_rival(s, k, w, &w->rival[i]);
}

dp_status dp_why_text(const dp_kind *kind, const dp_why *why, char **text) {
  dpi_str s;
  dpi_str_init(&s, kind->ctx);
  say(&s, kind, why);
  if (s.failed) {
    dpi_str_release(&s);
    return DP_ERR_MEMORY;
  }
  *text = s.data;
  return DP_OK;
}

/* ---- JSON ---- */

static json_t *finish(json_t *part, bool good) {
  if (good) return part;
  json_decref(part);
  return NULL;
}

static json_t *pair_of(double low, double high) { return json_pack("[o, o]", dpi_explain_number(low), dpi_explain_number(high)); }

static json_t *json_terms(const dp_kind *k, const dp_why *w) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < w->nterm; i++) {
    const dp_why_term *x = &w->term[i];
    dpi_explain_append(a,
                       json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "id", dpi_explain_text(k->reward.term[x->term].id), "goal",
                                 k->reward.term[x->term].goal == DPI_GOAL_LIMIT ? "limit" : "reward", "best", dpi_explain_number(x->best),
                                 "runner_up", dpi_explain_number(x->other), "difference", dpi_explain_number(x->difference), "interval",
                                 pair_of(x->low, x->high)),
                       &good);
  }
  return finish(a, good);
}

static json_t *json_limits(const dp_kind *k, const dp_why *w) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < w->nlimit; i++) {
    const dp_why_limit *l = &w->limit[i];
    dpi_explain_append(a,
                       json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "id", dpi_explain_text(k->reward.term[l->term].id), "text",
                                 dpi_explain_text(words(k, l->term)), "estimate", dpi_explain_number(l->estimate), "bound",
                                 dpi_explain_number(l->bound), "allowed", dpi_explain_number(l->allowed), "slack",
                                 dpi_explain_number(l->slack), "holds", l->holds),
                       &good);
  }
  return finish(a, good);
}

static json_t *json_drivers(const dp_why_driver *d, int n) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < n; i++)
    dpi_explain_append(a,
                       json_pack("{s:o, s:o, s:o, s:o, s:o}", "parameter", dpi_explain_text(d[i].parameter), "name",
                                 dpi_explain_text(d[i].name), "share", dpi_explain_number(d[i].share), "interval",
                                 pair_of(d[i].low, d[i].high), "direction", dpi_explain_number(d[i].direction)),
                       &good);
  return finish(a, good);
}

static json_t *json_shifts(const dp_why_rival *r) {
  static const char *const way[] = {"parameter", "weight", "limit"};
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < r->nshift; i++) {
    const dp_why_shift *x = &r->shift[i];
    dpi_explain_append(a,
                       json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "way", way[x->way], "what", dpi_explain_text(x->what), "from",
                                 dpi_explain_number(x->from), "to", dpi_explain_number(x->to), "sd", dpi_explain_number(x->sd), "change",
                                 x->way == DP_WHY_LIMIT ? json_string(x->loosen ? "looser" : "stricter") : json_null()),
                       &good);
  }
  return finish(a, good);
}

static json_t *json_rivals(const dp_why *w) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < w->nrival; i++) {
    const dp_why_rival *r = &w->rival[i];
    dpi_explain_append(a,
                       json_pack("{s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "text", dpi_explain_text(r->text), "reward",
                                 dpi_explain_number(r->reward), "difference", dpi_explain_number(r->difference), "probability_better",
                                 dpi_explain_number(r->better), "admissible", r->admissible, "parameters_moved_to_sd",
                                 dpi_explain_number(r->within_sd), "would_win_if", json_shifts(r)),
                       &good);
  }
  return finish(a, good);
}

static json_t *json_data(const dp_why *w) {
  if (!w->next_known) return json_null();
  return json_pack("{s:o, s:o, s:o, s:o, s:i, s:o, s:o}", "observable", dpi_explain_text(w->next_observable), "time",
                   dpi_explain_number(w->next_time), "probability_of_change", dpi_explain_number(w->next_change),
                   "probability_of_change_interval", pair_of(w->next_low, w->next_high), "imagined_results", w->next_results,
                   "effective_draws", dpi_explain_number(w->next_ess), "expected_gain", dpi_explain_number(w->next_gain));
}

json_t *dpi_explain_why(const dp_kind *k, const dp_why *w) {
  return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "recommended", w->best >= 0, "plan",
                   dpi_explain_text(w->best_text), "reward", dpi_explain_number(w->reward), "probability_best",
                   dpi_explain_number(w->best_probability), "terms", json_terms(k, w), "limits", json_limits(k, w), "drivers_of_difference",
                   json_drivers(w->driver, w->ndriver), "drivers_of_tightest_limit", json_drivers(w->limit_driver, w->nlimit_driver),
                   "data", json_data(w), "rivals", json_rivals(w));
}

dp_status dp_why_json(const dp_kind *kind, const dp_why *why, char **text) {
  return dpi_explain_dump(kind->ctx, dpi_explain_why(kind, why), JSON_REAL_PRECISION(12) | JSON_INDENT(1), text);
}
