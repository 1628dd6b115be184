/* cmd_forecast.c - doppel forecast KIND --patient ID --plan FILE...: what would happen to this person under each plan? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/forecast_plot.h"
#include "cli/whatif_person.h"

const cli_option cli_options_forecast[] = {
    CLI_WHATIF_OPTIONS,
    {"--plan", "FILE|none", "a plan of treatment (docs/decide.md) from now on; may be repeated; none: nothing is given"},
    {"--horizon", "TIME", "where the forecast ends (the kind's horizon, or where the longest plan has run out)"},
    {"--plot", "FILE.svg", "the picture"},
    CLI_WHATIF_LAST,
    {0}};

enum { POINTS = 161, ROWS = 9, Q05 = 1, Q50 = 4, Q95 = 7 }; /* Q*: places in dp_level */

/* ---- text ---- */

static char letter(int plan) { return (char)('A' + plan); }

/* least: what is smaller than that is rounding. JSON has all digits. */
static void cell(double middle, double low, double high, double least) {
  char text[64] = "-";
  const double x[3] = {fabs(middle) < least ? 0 : middle, fabs(low) < least ? 0 : low, fabs(high) < least ? 0 : high};
  if (isfinite(middle)) snprintf(text, sizeof text, "%.3g (%.3g .. %.3g)", x[0], x[1], x[2]);
  printf("  %-32s", text);
}

/* A thousand-millionth of the largest number that the strand has under any plan. */
static double negligible(const dp_whatif *w, int s) {
  double most = 0;
  for (int i = 0; i < w->nplan; i++)
    for (int t = 0; t < w->ntime; t++) {
      const double *q = w->strand[i * w->nshown + s].q + t * DP_NLEVEL;
      if (isfinite(q[Q05])) most = fmax(most, fabs(q[Q05]));
      if (isfinite(q[Q95])) most = fmax(most, fabs(q[Q95]));
    }
  return 1e-9 * most;
}

static void print_strand(const cli_whatif *c, const dp_whatif *w, int s) {
  const dp_shown *x = &w->shown[s];
  const double least = negligible(w, s);
  char unit[64];
  int first = 0;
  while (first + 1 < w->ntime && w->time[first] < w->now - 1e-9) first++;
  cli_unit(x->unit, unit);
  printf("\n%s%s%s%s%s: median (5 %% .. 95 %%)\n%-12s", x->name, *unit ? " [" : "", unit, *unit ? "]" : "",
         x->measured ? ", as it would be measured" : "", dp_kind_time_unit(c->kind));
  for (int i = 0; i < w->nplan; i++) printf("  %-32c", letter(i));
  printf("\n");
  for (int r = 0; r < ROWS; r++) {
    const double even = w->now + r * (w->end - w->now) / (ROWS - 1);
    int t = first;
    while (t + 1 < w->ntime && fabs(w->time[t + 1] - even) <= fabs(w->time[t] - even)) t++;
    printf("%-12.5g", w->time[t]);
    for (int i = 0; i < w->nplan; i++) {
      const double *q = w->strand[i * w->nshown + s].q + t * DP_NLEVEL;
      cell(q[Q50], q[Q05], q[Q95], least);
    }
    printf("\n");
  }
  for (int side = 0; side < 2 && isfinite(w->strand[s].lowest[1]); side++) {
    printf("%-12s", side ? "highest" : "lowest");
    for (int i = 0; i < w->nplan; i++) {
      const dp_strand *y = &w->strand[i * w->nshown + s];
      const double *e = side ? y->highest : y->lowest;
      cell(e[1], e[0], e[2], least);
    }
    printf("\n");
  }
}

/* An interval only where there is one: a term over the plan itself is the same in every draw. */
static void number(char *text, size_t size, const dp_term_value *v) {
  if (v->high - v->low > 1e-6 * fabs(v->value)) snprintf(text, size, "%.4g (%.4g .. %.4g)", v->value, v->low, v->high);
  else snprintf(text, size, "%.4g", v->value);
}

static void print_terms(const cli_whatif *c, const dp_whatif *w) {
  const dp_appraisal *a = w->appraisal;
  printf("\nby the kind's reward (limits hold at their confidence bound)\n%-44s", "");
  for (int i = 0; i < w->nplan; i++) printf("  %-30c", letter(i));
  printf("\n");
  bool differ = false;
  for (int i = 1; i < w->nplan; i++) differ = differ || a->plan[i].window != a->plan[0].window;
  if (differ) {
    printf("%-44s", "judged over");
    for (int i = 0; i < w->nplan; i++) {
      char text[64];
      snprintf(text, sizeof text, "%.6g %.20s", a->plan[i].window, dp_kind_time_unit(c->kind));
      printf("  %-30s", text);
    }
    printf("\n");
  }
  for (int t = 0; t < a->nterm; t++) {
    const dp_term_info info = dp_kind_term(c->kind, t);
    char label[96];
    printf("%-44s", cli_clip(info.text && info.text[0] ? info.text : info.id, 44, label));
    for (int i = 0; i < w->nplan; i++) {
      const dp_term_value *v = &a->plan[i].term[t];
      char text[64];
      if (info.limit)
        snprintf(text, sizeof text, "%.1f %% (bound %.1f %%)%s", 100 * v->value, 100 * (info.at_least ? v->low : v->high),
                 v->holds ? "" : " FAILS");
      else
        number(text, sizeof text, v);
      printf("  %-30s", text);
    }
    printf("\n");
  }
  printf("%-44s", "reward");
  for (int i = 0; i < w->nplan; i++) {
    char text[64];
    snprintf(text, sizeof text, "%.4g%s", a->plan[i].reward, a->plan[i].admissible ? "" : "  not admissible");
    printf("  %-30s", text);
  }
  printf("\n");
}

static void print_pairs(const dp_whatif *w) {
  for (int i = 0; i < w->nplan; i++)
    for (int j = i + 1; j < w->nplan; j++) {
      const dp_whatif_pair_value *p = dp_whatif_pair(w, i, j);
      printf("%c against %c: reward %+.4g", letter(i), letter(j), p->difference);
      if (isfinite(p->low)) printf(" (%+.4g .. %+.4g by the number of draws)", p->low, p->high);
      printf("; over what is not known about the person %+.4g .. %+.4g; P(%c better) %.1f %%\n", p->q05, p->q95, letter(i),
             100 * p->better);
    }
}

static void print_text(const cli_whatif *c, const dp_whatif *w, const char *why) {
  int nseen = 0;
  dp_patient_seen(c->patient, &nseen);
  printf("%s, person %s: known until %g %s (%d samples), forecast to %g %s\n", dp_kind_title(c->kind),
         c->record->subject[c->subject].id, w->now, dp_kind_time_unit(c->kind), nseen, w->end, dp_kind_time_unit(c->kind));
  cli_print_belief(c->belief);
  for (int i = 0; i < w->nplan; i++)
    printf("  %c  %s: %s%s\n", letter(i), c->plan[i]->name[0] ? c->plan[i]->name : "plan", w->text[i],
           cli_begins_steady(c->plan[i]) ? ", from its steady state on" : "");
  for (int s = 0; s < w->nshown; s++) print_strand(c, w, s);
  if (w->appraisal) {
    print_terms(c, w);
    print_pairs(w);
    if (why) printf("\n%s", why);
  } else {
    printf("\nthis kind has no reward: plans are shown, not judged\n");
  }
  printf("Same draws and same measurement noise under every plan. Research use only; nobody was treated. %.12s seed %lld\n", w->hash,
         c->seed);
}

/* ---- JSON ---- */

static void json_list(const char *before, const double *x, int n) {
  printf("%s[", before);
  for (int i = 0; i < n; i++) cli_json_number(i ? "," : "", x[i]);
  printf("]");
}

static void json_strand(const dp_whatif *w, int plan, int s) {
  const dp_strand *x = &w->strand[plan * w->nshown + s];
  cli_json_named(s ? ",\n    {\"id\":" : "\n    {\"id\":", w->shown[s].id);
  cli_json_named(",\"unit\":", w->shown[s].unit);
  printf(",\"measured\":%s,\"quantiles\":[", w->shown[s].measured ? "true" : "false");
  for (int t = 0; t < w->ntime; t++) json_list(t ? "," : "", x->q + t * DP_NLEVEL, DP_NLEVEL);
  json_list("],\"lowest\":", x->lowest, 3);
  json_list(",\"highest\":", x->highest, 3);
  printf("}");
}

static void json_judged(const cli_whatif *c, const dp_appraisal *a, int plan) {
  const dp_plan_appraisal *p = &a->plan[plan];
  cli_json_number(",\"reward\":", p->reward);
  cli_json_number(",\"reward_low\":", p->reward_low);
  cli_json_number(",\"reward_high\":", p->reward_high);
  printf(",\"admissible\":%s", p->admissible ? "true" : "false");
  cli_json_number(",\"probability_best\":", p->best);
  cli_json_number(",\"window\":", p->window);
  printf(",\"terms\":[");
  for (int t = 0; t < a->nterm; t++) {
    const dp_term_info info = dp_kind_term(c->kind, t);
    cli_json_named(t ? ",{\"id\":" : "{\"id\":", info.id);
    cli_json_named(",\"goal\":", info.limit ? "limit" : "reward");
    cli_json_number(",\"value\":", p->term[t].value);
    cli_json_number(",\"low\":", p->term[t].low);
    cli_json_number(",\"high\":", p->term[t].high);
    printf(",\"holds\":%s}", p->term[t].holds ? "true" : "false");
  }
  printf("]");
}

static void json_pairs(const dp_whatif *w) {
  int n = 0;
  printf(",\n \"compared\":[");
  for (int i = 0; i < w->nplan; i++)
    for (int j = i + 1; j < w->nplan; j++) {
      const dp_whatif_pair_value *p = dp_whatif_pair(w, i, j);
      printf("%s{\"plan\":%d,\"against\":%d", n++ ? "," : "", i, j);
      cli_json_number(",\"difference\":", p->difference);
      cli_json_number(",\"low\":", p->low);
      cli_json_number(",\"high\":", p->high);
      cli_json_number(",\"over_people_05\":", p->q05);
      cli_json_number(",\"over_people_95\":", p->q95);
      cli_json_number(",\"probability_better\":", p->better);
      printf("}");
    }
  printf("]");
}

/* Who and what is believed of them, after which the forecast follows; of an unfit belief there is none. */
static void json_head(const cli_whatif *c) {
  cli_json_named("{\"kind\":", dp_kind_id(c->kind));
  cli_json_named(",\"patient\":", c->record->subject[c->subject].id);
  cli_json_named(",\"time_unit\":", dp_kind_time_unit(c->kind));
  cli_json_number(",\"now\":", c->until);
  printf(",\"draws\":%d,\"seed\":%lld", c->belief->ndraw, c->seed);
  cli_json_belief(c->belief);
}

static void print_json(const cli_whatif *c, const dp_whatif *w, const char *why) {
  json_head(c);
  cli_json_number(",\n \"end\":", w->end);
  cli_json_named(",\"hash\":", w->hash);
  json_list(",\n \"levels\":", dp_level, DP_NLEVEL);
  json_list(",\n \"time\":", w->time, w->ntime);
  printf(",\n \"plans\":[");
  for (int i = 0; i < w->nplan; i++) {
    cli_json_named(i ? ",\n  {\"name\":" : "\n  {\"name\":", c->plan[i]->name);
    cli_json_named(",\"text\":", w->text[i]);
    printf(",\"failed\":%d,\"shown\":[", w->nfailed[i]);
    for (int s = 0; s < w->nshown; s++) json_strand(w, i, s);
    printf("]");
    if (w->appraisal) json_judged(c, w->appraisal, i);
    printf("}");
  }
  printf("]");
  if (w->appraisal) json_pairs(w);
  printf(",\n \"why\":%s}\n", why ? why : "null");
}

/* ---- the work ---- */

/* What would have to be true for another of the plans to win: where there are several and a reward. */
static int explain(cli_whatif *c, const dp_whatif *w, char **text) {
  const dp_why_def def = dp_why_def_default();
  dp_why *why = NULL;
  if (!w->appraisal || w->nplan < 2) return 0;
  CLI_TRY(c->call, dp_why_plans(c->kind, c->belief, w->appraisal, (const char(*)[192])w->text, -1, &def, &why));
  const dp_status status = cli_has(c->call, "--json") ? dp_why_json(c->kind, why, text) : dp_why_text(c->kind, why, text);
  dp_why_destroy(why);
  return status == DP_OK ? 0 : cli_failed(c->call, status);
}

static int answer(cli_whatif *c, const dp_whatif *w) {
  const char *plot = cli_get(c->call, "--plot");
  int code = 0;
  for (int i = 0; i < w->nplan; i++)
    if (w->nfailed[i])
      fprintf(stderr, "doppel: warning: plan %c: %d of %d draws could not be simulated, or show no number somewhere\n",
              letter(i), w->nfailed[i], w->ndraw);
  if (plot) code = cli_plot_forecast(plot, c->kind, c->record->subject[c->subject].id, c->patient, c->plan, w);
  char *why = NULL;
  if (!code) code = explain(c, w, &why);
  if (!code && cli_has(c->call, "--json")) print_json(c, w, why);
  else if (!code) print_text(c, w, why);
  dp_report_free(c->call->ctx, why);
  return code;
}

static int forecast(cli_call *call, cli_whatif *c) {
  dp_whatif_def def = dp_whatif_def_default();
  dp_whatif *w = NULL;
  def.seed = (uint64_t)c->seed;
  def.ntime = POINTS;
  def.doses = 1;
  def.from = 0;
  if (!cli_number(call, "--horizon", &def.end)) return 2;
  int code = cli_whatif_unfit(c);
  if (code && cli_has(call, "--json")) {
    json_head(c);
    printf(",\"plans\":[],\"why\":null}\n");
  }
  if (code) return code;
  CLI_TRY(call, dp_whatif_run(c->kind, c->patient, c->plan, c->nplan, &def, &w));
  code = answer(c, w);
  dp_whatif_destroy(w);
  return code;
}

int cmd_forecast(cli_call *call) {
  static cli_whatif c;
  if (call->nplain != 1) return cli_usage(call, "forecast needs one KIND, found %d", call->nplain);
  if (!cli_has(call, "--plan")) return cli_usage(call, "which plan? give --plan FILE (or none), once for each branch");
  if (cli_has(call, "--plot") && cli_writable(cli_get(call, "--plot"))) return dp_status_exit_code(DP_ERR_IO);
  int code = cli_whatif_open(call, &c, false);
  if (!code) code = forecast(call, &c);
  cli_whatif_close(&c);
  return code;
}
