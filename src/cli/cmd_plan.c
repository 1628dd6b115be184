/* cmd_plan.c - doppel plan KIND --patient ID: the plan that the kind's reward and limits would have for this person, or none because
 * ...; and why. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/forecast_plot.h"
#include "cli/whatif_person.h"

const cli_option cli_options_plan[] = {
    CLI_WHATIF_OPTIONS,
    {"--search", "NAME", "exhaustive, cma, cross-entropy or gradient (reward.yaml's, or what suits the number of plans)"},
    {"--evaluations", "N", "plans that a search may try (reward.yaml's)"},
    {"-o", "FILE.tsv", "the proposed plan, as doppel forecast --plan reads it"},
    {"--plot", "FILE.svg", "the forecast under the proposed plan and under the runner-up, given from now on"},
    CLI_WHATIF_LAST,
    {0}};

enum { NEXT = 6, POINTS = 161, MOST_REPEATS = 100000 };

/* Times at which another sample could still be taken: spread from now to the kind's horizon. */
static int next_times(double now, double horizon, double out[NEXT]) {
  static const double part[NEXT] = {0.08, 0.2, 0.35, 0.5, 0.75, 1.0};
  int n = 0;
  for (int i = 0; i < NEXT && horizon > now; i++) out[n++] = now + part[i] * (horizon - now);
  return n;
}

/* ---- text ---- */

static void print_candidate(const cli_whatif *c, const dp_advice *a, const char *what, int i) {
  const dp_candidate *x = &a->candidate[i];
  printf("%-12s %s\n", what, x->text);
  for (int t = 0; t < a->nterm; t++) {
    const dp_term_info info = dp_kind_term(c->kind, t);
    const dp_term_value *v = &x->term[t], *f = x->fresh ? &x->fresh[t] : NULL;
    char text[96];
    printf("  %-52s ", cli_clip(info.text && info.text[0] ? info.text : info.id, 92, text));
    if (info.limit) {
      printf("%.1f %%, bound %.1f %%%s", 100 * v->value, 100 * (info.at_least ? v->low : v->high), v->holds ? "" : " FAILS");
      if (f) printf("; on fresh draws %.1f %%, bound %.1f %%", 100 * f->value, 100 * (info.at_least ? f->low : f->high));
    } else {
      bool bare = !info.unit || strcmp(info.unit, "1") == 0;
      printf("%.5g%s%s", v->value, bare ? "" : " ", bare ? "" : info.unit);
      if (f) printf("; on fresh draws %.5g", f->value);
    }
    printf("\n");
  }
  if (x->nfailed) printf("  %d of %d draws could not be simulated; they count against it\n", x->nfailed, x->ndraw);
}

static void print_text(const cli_whatif *c, const dp_advice *a, const char *why) {
  int nseen = 0;
  dp_patient_seen(c->patient, &nseen);
  printf("%s, person %s: known until %g %s (%d samples)\n", dp_kind_title(c->kind), c->record->subject[c->subject].id, c->until,
         dp_kind_time_unit(c->kind), nseen);
  cli_print_belief(c->belief);
  if (a->chosen >= 0) print_candidate(c, a, "proposed", a->chosen);
  if (a->runner_up >= 0) print_candidate(c, a, a->chosen >= 0 ? "runner-up" : "nearest", a->runner_up);
  printf("%s\n", a->reason);
  if (a->approver[0]) printf("to be approved by: %s\n", a->approver);
  if (a->nconflict) {
    printf("limits that no plan%s holds together:", strcmp(a->search, "exhaustive") ? " rehearsed" : "");
    for (int i = 0; i < a->nconflict; i++) printf("%s %s", i ? "," : "", dp_kind_term(c->kind, a->conflict[i]).id);
    printf("\n");
  }
  if (a->nobjective > 1) {
    printf("not dominated in the objectives:\n");
    for (int i = 0; i < a->ncandidate; i++) {
      if (!a->candidate[i].pareto || !a->candidate[i].objective) continue;
      printf("  %-60s", a->candidate[i].text);
      for (int o = 0; o < a->nobjective; o++) printf(" %s %.4g", a->objective[o], a->candidate[i].objective[o]);
      printf("\n");
    }
  }
  if (why) printf("\n%s", why);
  printf("%s, %d plans rehearsed. Research use only; nobody was treated. seed %lld\n", a->search, a->evaluations, c->seed);
}

/* ---- JSON ---- */

static void json_rows(const cli_whatif *c, const dp_plan *p) {
  printf(",\"rows\":[");
  for (int i = 0; i < p->nrow; i++) {
    const dp_plan_row *r = &p->row[i];
    cli_json_named(i ? ",{\"control\":" : "{\"control\":", dp_kind_control_id(c->kind, r->control));
    cli_json_exact(",\"time\":", r->time);
    cli_json_exact(",\"amount\":", r->amount);
    cli_json_named(",\"unit\":", dp_kind_control_unit(c->kind, r->control));
    cli_json_exact(",\"duration\":", r->duration);
    cli_json_exact(",\"interval\":", r->interval);
    printf(",\"repeats\":%d,\"steady\":%d}", r->repeats, r->steady);
  }
  printf("]");
}

static void json_terms(const cli_whatif *c, const char *name, const dp_term_value *v, int n) {
  printf(",\"%s\":[", name);
  for (int t = 0; v && t < n; t++) {
    const dp_term_info info = dp_kind_term(c->kind, t);
    cli_json_named(t ? ",{\"id\":" : "{\"id\":", info.id);
    cli_json_named(",\"goal\":", info.limit ? "limit" : "reward");
    cli_json_number(",\"value\":", v[t].value);
    cli_json_number(",\"low\":", v[t].low);
    cli_json_number(",\"high\":", v[t].high);
    printf(",\"holds\":%s}", v[t].holds ? "true" : "false");
  }
  printf("]");
}

static void json_candidate(const cli_whatif *c, const dp_advice *a, const char *name, int i) {
  if (i < 0) {
    printf(",\n \"%s\":null", name);
    return;
  }
  const dp_candidate *x = &a->candidate[i];
  printf(",\n \"%s\":{", name);
  cli_json_named("\"text\":", x->text);
  json_rows(c, a->plan[i]);
  cli_json_number(",\"reward\":", x->reward);
  cli_json_number(",\"reward_low\":", x->reward_low);
  cli_json_number(",\"reward_high\":", x->reward_high);
  printf(",\"admissible\":%s,\"draws\":%d,\"failed\":%d", x->admissible ? "true" : "false", x->ndraw, x->nfailed);
  json_terms(c, "terms", x->term, a->nterm);
  json_terms(c, "fresh", x->fresh, a->nterm);
  printf("}");
}

/* The plans that no other beats in every objective of `pareto`. */
static void json_front(const cli_whatif *c, const dp_advice *a) {
  int n = 0;
  printf(",\n \"objectives\":[");
  for (int o = 0; o < a->nobjective; o++) cli_json_named(o ? "," : "", a->objective[o]);
  printf("],\n \"front\":[");
  for (int i = 0; i < a->ncandidate; i++) {
    const dp_candidate *x = &a->candidate[i];
    if (!x->pareto || !x->objective) continue;
    cli_json_named(n++ ? ",\n  {\"text\":" : "\n  {\"text\":", x->text);
    json_rows(c, a->plan[i]);
    cli_json_number(",\"reward\":", x->reward);
    printf(",\"objectives\":[");
    for (int o = 0; o < a->nobjective; o++) cli_json_number(o ? "," : "", x->objective[o]);
    printf("]}");
  }
  printf("]");
}

static void json_next(const dp_advice *a) {
  printf(",\n \"next_sample\":[");
  for (int i = 0; i < a->nnext; i++) {
    const dp_next_sample *n = &a->next[i];
    cli_json_number(i ? ",{\"time\":" : "{\"time\":", n->time);
    cli_json_named(",\"observable\":", n->id);
    cli_json_number(",\"changes_advice\":", n->change);
    cli_json_number(",\"changes_advice_interval\":[", n->change_low);
    cli_json_number(",", n->change_high);
    cli_json_number("],\"admissible_plan\":", n->advise);
    cli_json_number(",\"gain\":", n->gain);
    printf(",\"results\":%d", n->nresult);
    cli_json_number(",\"effective_draws\":", n->ess);
    cli_json_number(",\"unclear\":", n->unclear);
    printf("}");
  }
  printf("]");
}

static void print_json(const cli_whatif *c, const dp_advice *a, const char *why) {
  cli_json_named("{\"kind\":", dp_kind_id(c->kind));
  cli_json_named(",\"patient\":", c->record->subject[c->subject].id);
  cli_json_named(",\"time_unit\":", dp_kind_time_unit(c->kind));
  cli_json_number(",\"now\":", c->until);
  printf(",\"draws\":%d,\"seed\":%lld", c->belief->ndraw, c->seed);
  cli_json_belief(c->belief);
  cli_json_named(",\n \"search\":", a->search);
  printf(",\"evaluations\":%d", a->evaluations);
  cli_json_number(",\"probability_best\":", a->best_probability);
  cli_json_named(",\n \"reason\":", a->reason);
  cli_json_named(",\"approver\":", a->approver);
  json_candidate(c, a, "chosen", a->chosen);
  json_candidate(c, a, "runner_up", a->runner_up);
  printf(",\n \"conflict\":[");
  for (int i = 0; i < a->nconflict; i++) cli_json_named(i ? "," : "", dp_kind_term(c->kind, a->conflict[i]).id);
  printf("]");
  json_front(c, a);
  json_next(a);
  printf(",\n \"why\":%s}\n", why ? why : "null");
}

/* ---- the work ---- */

/* A regimen is judged over its window; what is written or drawn goes on to the kind's horizon. steady: as it was judged, from its
 * steady state on; else given from now on in the state the person is in: nobody jumps into a steady state. */
static dp_status go_on(const cli_whatif *c, const dp_plan *from, const char *name, bool steady, dp_plan **out) {
  const double left = dp_kind_horizon(c->kind) - c->until;
  const dp_status status = dp_plan_copy(from, out);
  if (status != DP_OK) return status;
  if (name) snprintf((*out)->name, sizeof(*out)->name, "%s", name);
  for (int i = 0; i < (*out)->nrow; i++) {
    dp_plan_row *r = &(*out)->row[i];
    if (!r->steady) continue;
    const double more = ceil((left - r->time) / r->interval - 1e-9) - 1;
    r->steady = steady;
    r->repeats = more > MOST_REPEATS ? MOST_REPEATS : more > r->repeats ? (int)more : r->repeats;
  }
  return DP_OK;
}

static int put_text(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  bool good = f && fputs(text, f) >= 0;
  if (f && fclose(f) != 0) good = false;
  if (good) return 0;
  fprintf(stderr, "doppel: %s could not be written\n", path);
  return dp_status_exit_code(DP_ERR_IO);
}

static int write_plan(const cli_whatif *c, const dp_advice *a) {
  const char *path = cli_get(c->call, "-o");
  char *text = NULL;
  dp_plan *plan = NULL;
  int code = 0;
  if (!path) return 0;
  if (a->chosen < 0) {
    fprintf(stderr, "doppel: no plan is proposed: %s is not written\n", path);
    return 0;
  }
  dp_status status = go_on(c, a->plan[a->chosen], NULL, true, &plan);
  if (status == DP_OK) status = dp_plan_write(c->kind, plan, &text);
  code = status == DP_OK ? put_text(path, text) : cli_failed(c->call, status);
  if (text) dp_plan_text_free(plan, text);
  dp_plan_destroy(plan);
  return code;
}

static int plot(const cli_whatif *c, const dp_advice *a) {
  dp_plan *plan[2] = {0};
  int n = 0, code;
  dp_whatif *w = NULL;
  dp_whatif_def def = dp_whatif_def_default();
  if (!cli_has(c->call, "--plot")) return 0;
  dp_status status = DP_OK;
  if (a->chosen >= 0) status = go_on(c, a->plan[a->chosen], "proposed", false, &plan[n++]);
  if (status == DP_OK && a->runner_up >= 0)
    status = go_on(c, a->plan[a->runner_up], a->chosen >= 0 ? "runner-up" : "nearest", false, &plan[n++]);
  if (n == 0) {
    fprintf(stderr, "doppel: there is no plan to draw: %s is not written\n", cli_get(c->call, "--plot"));
    return 0;
  }
  def.seed = (uint64_t)c->seed;
  def.ntime = POINTS;
  def.doses = 1;
  def.from = 0;
  if (status == DP_OK) status = dp_whatif_run(c->kind, c->patient, plan, n, &def, &w);
  code = status != DP_OK ? cli_failed(c->call, status)
                         : cli_plot_forecast(cli_get(c->call, "--plot"), c->kind, c->record->subject[c->subject].id,
                                             c->patient, plan, w);
  dp_whatif_destroy(w);
  for (int i = 0; i < n; i++) dp_plan_destroy(plan[i]);
  return code;
}

static int explain(cli_whatif *c, const dp_advice *a, char **text) {
  const dp_why_def def = dp_why_def_default();
  dp_why *why = NULL;
  if (a->ncandidate == 0) return 0;
  CLI_TRY(c->call, dp_why_advice(c->kind, dp_patient_look(c->patient), a, &def, &why));
  const dp_status status = cli_has(c->call, "--json") ? dp_why_json(c->kind, why, text) : dp_why_text(c->kind, why, text);
  dp_why_destroy(why);
  return status == DP_OK ? 0 : cli_failed(c->call, status);
}

static int search(cli_whatif *c) {
  cli_call *call = c->call;
  dp_plan_def def = dp_plan_def_default();
  dp_advice *a = NULL;
  double next[NEXT];
  char *why = NULL;
  const int unfit = cli_whatif_unfit(c);
  int code = 0;
  if (unfit && !cli_has(call, "--json")) return unfit;
  def.seed = (uint64_t)c->seed;
  def.next_time = next;
  def.nnext_time = next_times(c->until, dp_kind_horizon(c->kind), next);
  def.search = cli_get(call, "--search");
  if (cli_has(call, "--evaluations") && !cli_count(call, "--evaluations", 1, &def.evaluations)) return 2;
  CLI_TRY(call, dp_plan_search(c->kind, dp_patient_look(c->patient), &def, &a)); /* of an unfit belief: none, and why */
  code = explain(c, a, &why);
  if (!code) code = write_plan(c, a);
  if (!code) code = plot(c, a);
  if (!code && cli_has(call, "--json")) print_json(c, a, why);
  else if (!code) print_text(c, a, why);
  dp_report_free(call->ctx, why);
  dp_advice_destroy(a);
  return code ? code : unfit;
}

int cmd_plan(cli_call *call) {
  static cli_whatif c;
  if (call->nplain != 1) return cli_usage(call, "plan needs one KIND, found %d", call->nplain);
  for (int k = 0; k < 2; k++) {
    const char *path = cli_get(call, k ? "-o" : "--plot");
    if (path && cli_writable(path)) return dp_status_exit_code(DP_ERR_IO);
  }
  int code = cli_whatif_open(call, &c, true);
  if (!code) code = search(&c);
  cli_whatif_close(&c);
  return code;
}
