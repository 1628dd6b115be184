/* study_text.c - the study as text for a terminal: the sceptic's answers first, then one line a person,
 * the worst first. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/appraise.h"
#include "explain/explain.h"

static void number(dpi_str *out, double x, const char *fmt) {
  if (isfinite(x))
    dpi_str_addf(out, fmt, x);
  else
    dpi_str_addf(out, "%*s", (int)snprintf(NULL, 0, fmt, 0.0), "-");
}

/* Is the model taken at its word? */
static void add_discrepancy(dpi_str *out, const dp_study *s) {
  double low = INFINITY, high = -INFINITY;
  for (int i = 0; i < s->ntwin; i++) {
    double d = dpi_explain_discrepancy(dp_twin_look(s->twin[i])->belief);
    if (d < low) low = d;
    if (d > high) high = d;
  }
  if (low > high)
    dpi_str_add(out,
                "  model      taken as true up to its parameters (--discrepancy on widens the bands by its error)\n");
  else
    dpi_str_addf(out,
                 "  model      not taken as true: bands hold a discrepancy term, sd %.1f to %.1f %% of the prediction "
                 "(posterior medians)\n",
                 100 * low, 100 * high);
}

static void heading(dpi_str *out, const dp_study *s) {
  const dp_kind *k = s->kind;
  int seen = 0, sealed = 0;
  for (int i = 0; i < s->ntwin; i++) {
    const dp_twin_view *v = dp_twin_look(s->twin[i]);
    seen += v->nseen;
    sealed += v->nsealed;
  }
  dpi_str_addf(out, "%s\n", k->title);
  if (!s->own)
    dpi_str_addf(out, "  who        %d of the %d in %s\n", s->ntwin, s->record->nsubject, s->record->source);
  else if (k->people && k->people[0])
    dpi_str_addf(out, "  who        %s\n", k->people);
  dpi_str_addf(out, "  seen       %d samples up to %g %s; %d later ones stayed sealed until the forecast was made\n",
               seen, dp_twin_look(s->twin[0])->until, k->time_unit, sealed);
  dpi_str_addf(out, "  prior      %s\n", dp_twin_look(s->twin[0])->prior->source);
  add_discrepancy(out, s);
}

static void three(dpi_str *out, const char *label, const double x[3]) {
  dpi_str_addf(out, "    %-15s", label);
  for (int f = 0; f < 3; f++) number(out, x[f], f ? "     %7.3f" : "  %7.3f");
  dpi_str_add(out, "\n");
}

static void observable_block(dpi_str *out, const dp_study *s, const dp_study_score *x) {
  const dpi_kind_observable *o = &s->kind->observable[x->observable];
  if (x->nsample == 0) return;
  dpi_str_addf(out, "\n  %s [%s], %d sealed samples\n", o->name, o->unit, x->nsample);
  dpi_str_addf(out, "    in the 90 %% band  %d of %d (%.0f %%; %.0f to %.0f when people are resampled), expected %.0f;"
               " population's band %d\n",
               x->inside[2], x->nsample, 100 * x->coverage90, 100 * x->coverage_low, 100 * x->coverage_high,
               0.9 * x->nsample, x->inside_population);
  dpi_str_add(out, "                        twin  population  last value\n");
  three(out, "CRPS", x->crps);
  three(out, "absolute error", x->mae);
  if (x->nlast > 0 && x->nlast < x->nsample)
    dpi_str_addf(out, "    the last value speaks of %d of them only; there the twin's CRPS is %.3f\n", x->nlast,
                 x->crps_twin_last);
  dpi_str_addf(out, "    skill over population %+.0f %% (%+.0f to %+.0f): the twin %s both alternatives in CRPS\n",
               100 * x->skill, 100 * x->skill_low, 100 * x->skill_high,
               x->crps[0] < x->crps[1] && !(x->crps_twin_last >= x->crps[2]) ? "beats" : "does NOT beat");
}

static void person_line(dpi_str *out, const dp_study *s, int i) {
  const dp_kind *k = s->kind;
  const dp_twin_view *v = dp_twin_look(s->twin[i]);
  int in = 0;
  for (int n = 0; n < v->nscore; n++) in += v->score[n].inside[2];
  dpi_str_addf(out, "  %-8.8s %4d %6d/%-3d", v->subject, v->nseen, in, v->nscore);
  for (int f = 0; f < 3; f++) number(out, v->rel_crps[f], "%7.2f");
  dpi_str_addf(out, " %-5s", v->rel_crps[0] > v->rel_crps[1] ? "lost" : "");
  const dp_candidate *c = dpi_explain_chosen(v->advice);
  if (c) {
    dpi_str_addf(out, " %s every %g %s", c->tablets, c->interval, k->time_unit);
    for (int t = 0; t < k->reward.nterm; t++) {
      const dp_term_info info = dp_kind_term(k, t);
      /* a probability or a part of the window */
      bool share = strcmp(info.unit, "1") == 0 && k->reward.term[t].of == DPI_OF_PATH;
      if (share) dpi_str_addf(out, "; %s %.0f %%", info.id, 100 * c->term[t].value);
      else dpi_str_addf(out, "; %s %.4g %s", info.id, c->term[t].value, strcmp(info.unit, "1") != 0 ? info.unit : "");
    }
  } else if (v->advice) {
    dpi_str_addf(out, " %s", v->advice->runner_up >= 0 ? "no recommendation; nearest: " : v->advice->reason);
    if (v->advice->runner_up >= 0) {
      const dp_candidate *r = &v->advice->candidate[v->advice->runner_up];
      dpi_str_addf(out, "%s every %g %s (%s)", r->tablets, r->interval, k->time_unit, v->advice->binding);
    }
  }
  dpi_str_add(out, "\n");
}

dp_status dp_report_table(const dp_study *s, char **text) {
  dpi_str out;
  dpi_str_init(&out, s->ctx);
  heading(&out, s);
  for (int o = 0; o < s->nscore; o++) observable_block(&out, s, &s->score[o]);
  int scored = 0;
  for (int o = 0; o < s->nscore; o++) scored += s->score[o].nsample;
  if (scored > 0)
    dpi_str_addf(&out,
                 "\n  The twin lost to the population's forecast in %d of %d people (won in %d), to the last value in "
                 "%d.\n",
                 s->nlost, s->ntwin, s->nwon, s->nlost_last);
  else
    dpi_str_add(&out, "\n  Nothing stayed sealed, so nothing was scored.\n");
  dpi_str_add(&out,
              "\n  person   seen  in 90 %  CRPS relative to the population's      next regimen (limits hold at their"
              " bound)\n                           twin   pop.   last\n");
  for (int i = 0; i < s->ntwin; i++) person_line(&out, s, s->worst_first[i]);
  dpi_str_addf(&out, "\n  Worst person first. Research use only; nobody was treated. study %.12s seed %llu\n", s->hash,
               (unsigned long long)s->def.twin.seed);
  if (out.failed) {
    dpi_str_release(&out);
    return DP_ERR_MEMORY;
  }
  *text = out.data;
  return DP_OK;
}
