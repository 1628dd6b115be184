/* cmd_trial.c - doppel trial FILE: policies tried on virtual people. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

const cli_option cli_options_trial[] = {
    {"--members", "N", "people (as the file says)"},
    {"--no-checks", NULL, "without the engine's own checks for the credibility report"},
    {"--page", "FILE", "also the page, as HTML"},
    {"--json", NULL, "JSON instead of text"},
    {"--threads", "N", "threads; results do not depend on it"},
    {"--twins", "DIR", "a further folder with kinds"},
    {0}};

static void progress(void *user, double done) {
  (void)user;
  if (isatty(2)) fprintf(stderr, "\r%3.0f %%%s", 100 * done, done >= 1 ? "\n" : "");
}

static void show_estimate(const dp_trial_estimate *e) {
  if (isfinite(e->low))
    printf("%10.4g  [%.4g, %.4g]", e->value, e->low, e->high);
  else if (isfinite(e->value))
    printf("%10.4g  no interval", e->value);
  else
    printf("         -  too few people");
}

static void show_arms(const dp_trial_result *r) {
  for (int a = 0; a < r->narm; a++) {
    const dp_trial_arm *x = &r->arm[a];
    printf("arm %-20s %d people", x->name, x->nperson);
    if (x->ndropout) printf(", %d left early", x->ndropout);
    if (x->nmissing) printf(", %d endpoints missing", x->nmissing);
    if (x->nfailed) printf(", %d simulations failed", x->nfailed);
    if (x->nlimited) printf(", %lld doses cut to their bounds", (long long)x->nlimited);
    if (x->nincident) printf(", %d failures of its policy", x->nincident);
    printf("\n");
  }
  printf("\n");
}

/* Who was put where within strata; at how many people the data are looked at. */
static void show_plan(const dp_trial_result *r) {
  if (r->nstratum) printf("people of each stratum in these arms\n");
  for (int s = 0; s < r->nstratum; s++) {
    printf("  %-44s", r->stratum[s].name);
    for (int a = 0; a < r->narm; a++) printf(" %6d", r->stratum[s].nperson[a]);
    printf("\n");
  }
  if (r->nlook)
    printf("looks, boundary %s (estimates and p below are of all people and know of no looks)\n", r->boundary);
  for (int k = 0; k < r->nlook; k++)
    printf("  look %d with %d people: |z| %.4g, p %.2g\n", k + 1, r->look[k].people, r->look[k].boundary, r->look[k].p);
  if (r->nstratum || r->nlook) printf("\n");
}

static void show_difference(const dp_trial_result *r, const dp_trial_difference *f) {
  const int width = 29 - (int)strlen(r->arm[f->arm].name);
  printf("  %s - %-*s", r->arm[f->arm].name, width > 0 ? width : 0, r->arm[f->against].name);
  show_estimate(&f->estimate);
  if (!isnan(f->p)) printf(f->p < 1e-4 ? "  p < 0.0001" : "  p %.2g", f->p);
  if (!isnan(f->p_holm)) printf(f->p_holm < 1e-4 ? " (Holm < 0.0001)" : " (Holm %.2g)", f->p_holm);
  printf("  n %d, %s", f->estimate.n, f->estimate.method);
  if (strcmp(f->estimate.method, f->test) != 0) printf(", p by %s", f->test);
  if (r->nlook && f->crossed)
    printf("; crosses at look %d, with %d people", f->crossed, r->look[f->crossed - 1].people);
  else if (r->nlook)
    printf("; crosses at no look");
  if (f->power_n && isnan(f->power))
    printf("; power %s", f->power_method);
  else if (f->power_n)
    printf("; power with %d %s %.1f %% [%.1f, %.1f]", f->power_n,
           dp_trial_describe(r->trial)->design == DP_TRIAL_PARALLEL ? "an arm" : "people", 100 * f->power,
           100 * f->power_low, 100 * f->power_high);
  if (!isnan(f->power_people)) printf(", which end with %.0f people on average", f->power_people);
  printf("\n");
}

static void show_endpoints(const dp_trial_desc *d, const dp_trial_result *r) {
  for (int e = 0; e < r->nendpoint; e++) {
    char unit[64];
    printf("%s, %s\n", d->endpoint[e].name, cli_unit(d->endpoint[e].unit, unit));
    for (int a = 0; a < r->narm; a++) {
      printf("  %-32s", r->arm[a].name);
      show_estimate(&r->arm[a].estimate[e]);
      printf("  n %d, %s\n", r->arm[a].estimate[e].n, r->arm[a].estimate[e].method);
    }
    for (int k = 0; k < r->ndifference; k++)
      if (r->difference[k].endpoint == e) show_difference(r, &r->difference[k]);
  }
}

static void show_credibility(const dp_trial_credibility *c) {
  static const char *const states[] = {"pass", "FAIL", "missing", "stated"};
  const char *const rows[][2] = {{"question", c->question},
                                 {"context of use", c->context},
                                 {"model influence", c->influence},
                                 {"consequence", c->consequence},
                                 {"model risk", c->risk}};
  printf("\ncredibility (in the shape of ASME V&V 40)\n");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    printf("  %-16s %s\n", rows[i][0], *rows[i][1] ? rows[i][1] : "not stated");
  for (int i = 0; i < c->nevidence; i++)
    printf("  %-8s %s: %s\n", states[c->evidence[i].state], c->evidence[i].factor, c->evidence[i].what);
}

static void show(const dp_trial_desc *d, const dp_trial_result *r) {
  static const char *const designs[] = {"parallel arms", "cross-over", "the same people in every arm"};
  printf("%s\n%s\n\n", d->title, d->question);
  const double day = strcmp(d->time_unit, "min") == 0 ? 1440 : strcmp(d->time_unit, "h") == 0 ? 24 : INFINITY;
  printf("in silico: %d virtual people, %s, %g %s", r->nperson, designs[d->design], d->horizon, d->time_unit);
  if (d->horizon >= 2 * day) printf(" (%.4g days)", d->horizon / day);
  printf(" each, %lld simulations\n", (long long)r->ncall);
  if (d->run_in > 0) printf("after a run-in of %g %s, in which nothing is counted\n", d->run_in, d->time_unit);
  if (r->ncandidate > r->nperson)
    printf("matched to a target: %lld candidates, %.2f %% accepted, %lld simulations for that\n",
           (long long)r->ncandidate, 100 * r->acceptance, (long long)r->nmatched);
  show_arms(r);
  show_plan(r);
  show_endpoints(d, r);
  for (int i = 0; i < r->nincident; i++)
    printf("%s  %s, person %s, at %g %s: %s\n", i ? "        " : "\nfailures", r->arm[r->incident[i].arm].name,
           r->incident[i].person, r->incident[i].time, d->time_unit, r->incident[i].reason);
  show_credibility(&r->credibility);
}

static int write_page(cli_call *call, const dp_trial_result *r, const char *path) {
  char *text = NULL;
  CLI_TRY(call, dp_trial_page(r, &text));
  FILE *f = fopen(path, "wb");
  bool good = f && fwrite(text, 1, strlen(text), f) == strlen(text);
  good = (!f || fclose(f) == 0) && good;
  dp_trial_text_free(r, text);
  if (good) return 0;
  fprintf(stderr, "doppel: %s could not be written\n", path);
  return dp_status_exit_code(DP_ERR_IO);
}

static int report(cli_call *call, const dp_trial *trial, const dp_trial_result *r) {
  const char *page = cli_get(call, "--page");
  int code = page ? write_page(call, r, page) : 0;
  if (code) return code;
  if (!cli_has(call, "--json")) {
    show(dp_trial_describe(trial), r);
  } else {
    char *text = NULL;
    CLI_TRY(call, dp_trial_json(r, &text));
    fputs(text, stdout);
    dp_trial_text_free(r, text);
  }
  for (int a = 0; a < r->narm; a++)
    if (r->arm[a].nfailed) return dp_status_exit_code(DP_ERR_CONVERGE);
  return 0;
}

int cmd_trial(cli_call *call) {
  const char *dirs[8];
  dp_trial *trial = NULL;
  dp_trial_result *result = NULL;
  dp_trial_def def = dp_trial_def_default();
  if (call->nplain != 1) return cli_usage(call, "trial needs one TRIAL.yaml, found %d", call->nplain);
  if (cli_has(call, "--members") && !cli_count(call, "--members", 1, &def.nperson)) return 2;
  if (cli_has(call, "--page")) {
    const int code = cli_writable(cli_get(call, "--page"));
    if (code) return code;
  }
  const int ndir = cli_kind_dirs(call, dirs);
  def.check = !cli_has(call, "--no-checks");
  def.progress = progress;
  int code = 0;
  dp_status status = dp_trial_read(call->ctx, call->plain[0], dirs, ndir, &trial);
  if (status == DP_OK) status = dp_trial_run(trial, &def, &result);
  code = status == DP_OK ? report(call, trial, result) : cli_failed(call, status);
  dp_trial_result_destroy(result);
  dp_trial_destroy(trial);
  return code;
}
