/* cmd_vpc.c - doppel vpc KIND: does the population's law make data like the observed? Visual predictive check. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/vpc_plot.h"

const cli_option cli_options_vpc[] = {
    {"--patients", "FILE", "an event table instead of the kind's own"},
    {"--prior", "NAME",
     "the law under test: estimated (default) from these people, own: from the kind's own people, nominal: the "
     "kind's published or starting values"},
    {"--method", "NAME",
     "how it is estimated: laplace, focei, agq or saem; without: as `doppel run` does, from the store where it fits"},
    {"--members", "N", "simulated data sets (500)"},
    {"--seed", "N", "of all draws (1)"},
    {"--bins", "N", "bins of equally many samples (by how many samples people have)"},
    {"--edges", "T,T,...", "the bins' ends instead"},
    {"--after-dose", NULL, "time since the last dose"},
    {"--prediction-corrected", NULL, "doses, covariates and times within a bin made alike (Bergstrand 2011)"},
    {"--correction", "NAME", "with it: ratio (default), or difference for values that are logarithms"},
    {"-o", "FILE.svg", "the picture"},
    {"--json", NULL, "one JSON object instead of text"},
    {"--threads", "N", "threads; results do not depend on it"},
    {"--twins", "DIR", "a further folder with kinds"},
    {"--dry-run", NULL, "read and check everything, compute and write nothing"},
    {0}};

/* ---- what comes out ---- */

static void json_number(double x) {
  if (isfinite(x)) printf("%.10g", x);
  else printf("null");
}

static void json_three(const char *name, const double *x) {
  printf("\"%s\":[", name);
  for (int k = 0; k < 3; k++) {
    if (k) printf(",");
    json_number(x[k]);
  }
  printf("]");
}

static void json_bin(const dp_vpc_bin *b) {
  printf("{\"low\":%.10g,\"high\":%.10g,\"middle\":%.10g,\"observations\":%d,\"below\":%d,", b->low, b->high, b->middle,
         b->nobs, b->nbelow);
  json_three("observed", b->observed);
  printf(",\"simulated\":[");
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) {
    printf(q ? ",{" : "{");
    json_three("interval", b->simulated[q]);
    printf(",\"inside\":%s}", b->inside[q] ? "true" : "false");
  }
  printf("],");
  json_three("below_simulated", b->below);
  printf("}");
}

static void print_json(const dp_kind *kind, const dp_prior *prior, const dp_vpc *v, const dp_vpc_def *d) {
  printf("{\"kind\":");
  cli_json_text(dp_kind_id(kind));
  printf(",\"prior\":");
  cli_json_text(prior->source[0] ? prior->source : prior->method);
  printf(
      ",\"prior_hash\":\"%s\",\"people\":%d,\"members\":%d,\"seed\":%llu,\"correction\":\"%s\",\"after_dose\":%s,"
      "\"failed\":%ld,\"percentiles\":[5,50,95],\"cells\":%d,\"inside\":%d,\n \"observables\":[",
      prior->hash, v->npeople, v->nreplicate, (unsigned long long)d->seed, d->correction,
      d->after_dose ? "true" : "false", v->nfailed, v->ncell, v->ninside);
  for (int i = 0; i < v->npanel; i++) {
    const dp_vpc_panel *p = &v->panel[i];
    printf("%s{\"id\":", i ? ",\n  " : "");
    cli_json_text(p->id);
    printf(",\"unit\":");
    cli_json_text(p->unit);
    printf(",\"left_out\":%d,\"uncorrected\":%d,\"bins\":[", p->nleft_out, p->nuncorrected);
    for (int k = 0; k < p->nbin; k++) {
      if (k) printf(",\n   ");
      json_bin(&p->bin[k]);
    }
    printf("]}");
  }
  printf("]}\n");
}

/* A percentile and its interval: "4.21 (3.80 .. 4.77)", a star behind what lies outside. */
static void print_cell(const dp_vpc_bin *b, int q) {
  char number[3][24], cell[80];
  const double x[3] = {b->observed[q], b->simulated[q][0], b->simulated[q][2]};
  for (int k = 0; k < 3; k++) {
    if (isnan(x[k])) snprintf(number[k], sizeof number[k], "-");
    else if (isinf(x[k])) snprintf(number[k], sizeof number[k], "below");
    else snprintf(number[k], sizeof number[k], "%.4g", x[k]);
  }
  snprintf(cell, sizeof cell, "%s (%s .. %s)%s", number[0], number[1], number[2], b->inside[q] ? "" : " *");
  printf("  %-28s", cell);
}

static void print_panel(const dp_vpc_panel *p, const char *unit) {
  int below = 0;
  for (int k = 0; k < p->nbin; k++) below |= p->bin[k].nbelow > 0 || p->bin[k].below[2] > 0;
  printf("\n%s [%s]: observed percentile (90 %% of simulations), * outside\n%-20s %5s  %-28s  %-28s  %-28s%s\n",
         p->name, p->unit, unit, "n", "5 %", "median", "95 %", below ? "  below limit" : "");
  for (int k = 0; k < p->nbin; k++) {
    const dp_vpc_bin *b = &p->bin[k];
    char time[64];
    if (b->low < b->high) snprintf(time, sizeof time, "%.4g .. %.4g", b->low, b->high);
    else snprintf(time, sizeof time, "%.4g", b->low);
    printf("%-20s %5d", time, b->nobs);
    for (int q = 0; q < DP_VPC_NPERCENTILE; q++) print_cell(b, q);
    if (below) printf("  %.3g (%.3g .. %.3g)", (double)b->nbelow / b->nobs, b->below[0], b->below[2]);
    printf("\n");
  }
  if (p->nleft_out) printf("%d samples in no bin\n", p->nleft_out);
  if (p->nuncorrected) printf("%d samples where the prediction is 0 are not corrected\n", p->nuncorrected);
}

static void print_text(const dp_kind *kind, const dp_prior *prior, const dp_vpc *v, const dp_vpc_def *d,
                       const char *axis) {
  printf("%s: visual predictive check%s, %d people, %d simulated data sets\nlaw: %s\n", dp_kind_id(kind),
         strcmp(d->correction, "none") != 0 ? ", prediction-corrected" : "", v->npeople, v->nreplicate,
         prior->source[0] ? prior->source : prior->method);
  for (int i = 0; i < v->npanel; i++) print_panel(&v->panel[i], axis);
  printf("\n%d of %d observed percentiles lie in their 90 %% intervals\n", v->ninside, v->ncell);
  if (v->nfailed)
    printf("the model failed for %ld of %d simulated people, which are left out\n", v->nfailed,
           v->npeople * v->nreplicate);
}

/* ---- what goes in ---- */

static bool read_edges(const cli_call *call, double edge[1002], int *n) {
  const char *text = cli_get(call, "--edges");
  for (*n = 0; text && *n < 1002;) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || !isfinite(x) || (*end && *end != ',')) break;
    edge[(*n)++] = x;
    if (!*end) return true;
    text = end + 1;
  }
  cli_usage(call, "option --edges: found '%s', expected 2 to 1001 ascending times, as 0,1,4", cli_get(call, "--edges"));
  return false;
}

/* Everything of the command line, before anything is computed. */
static int read_def(const cli_call *call, dp_vpc_def *d, double edge[1002]) {
  static const char *const priors[] = {"estimated", "own", "nominal"};
  long long members = d->nreplicate, seed = 1, bins = 0;
  if (!cli_integer(call, "--members", &members) || !cli_integer(call, "--seed", &seed) ||
      !cli_integer(call, "--bins", &bins))
    return 2;
  if (members < 20 || members > 100000)
    return cli_usage(call, "option --members: found %lld, expected 20 to 100000", members);
  if (cli_has(call, "--bins") && (bins < 1 || bins > 1000))
    return cli_usage(call, "option --bins: found %lld, expected 1 to 1000", bins);
  if (cli_has(call, "--bins") && cli_has(call, "--edges"))
    return cli_usage(call, "option --bins does not go with --edges");
  if (cli_has(call, "--correction") && !cli_has(call, "--prediction-corrected"))
    return cli_usage(call, "option --correction belongs to --prediction-corrected");
  d->nreplicate = (int)members;
  d->seed = (uint64_t)seed;
  d->nbin = (int)bins;
  d->after_dose = cli_has(call, "--after-dose");
  if (cli_has(call, "--prediction-corrected"))
    d->correction = cli_has(call, "--correction") ? cli_get(call, "--correction") : "ratio";
  if (strcmp(d->correction, "none") != 0 && strcmp(d->correction, "ratio") != 0 &&
      strcmp(d->correction, "difference") != 0)
    return cli_usage(call, "option --correction: found '%s', expected ratio or difference", d->correction);
  if (cli_has(call, "--edges")) {
    if (!read_edges(call, edge, &d->nedge)) return 2;
    d->edge = edge;
  }
  const char *prior = cli_get(call, "--prior"), *method = cli_get(call, "--method");
  int known = !prior;
  for (int k = 0; k < 3 && prior; k++) known |= strcmp(prior, priors[k]) == 0;
  if (!known) return cli_usage(call, "option --prior: found '%s', expected estimated, own or nominal", prior);
  if (prior && strcmp(prior, "nominal") == 0 && method)
    return cli_usage(call, "option --method does not go with --prior nominal");
  if (method && strcmp(method, "laplace") != 0 && strcmp(method, "focei") != 0 && strcmp(method, "agq") != 0 &&
      strcmp(method, "saem") != 0)
    return cli_usage(call, "option --method: found '%s', expected laplace, focei, agq or saem", method);
  return cli_has(call, "-o") ? cli_writable(cli_get(call, "-o")) : 0;
}

static dp_status find_prior(const cli_call *call, const dp_kind *kind, const dp_record *record, const char *dir,
                            uint64_t seed, dp_prior **out) {
  char store[1100];
  const char *name = cli_get(call, "--prior");
  if (name && strcmp(name, "nominal") == 0) return dp_prior_nominal(kind, out);
  if (cli_has(call, "--method")) {
    dp_fit_def def = dp_fit_def_default();
    def.method = cli_get(call, "--method");
    def.seed = seed;
    return dp_prior_fit(kind, record, NULL, 0, &def, out);
  }
  snprintf(store, sizeof store, "%s/priors.tsv", dir);
  return dp_prior_loo(kind, record, -1, store, out);
}

/* ---- the work ---- */

static int check(cli_call *call, const dp_kind *kind, const dp_record *record, const dp_prior *prior,
                 const dp_vpc_def *def) {
  dp_vpc *vpc = NULL;
  CLI_TRY(call, dp_vpc_create(kind, record, prior, def, &vpc));
  char axis[120], title[700];
  int code = 0;
  snprintf(axis, sizeof axis, "%s [%s]", def->after_dose ? "time since the last dose" : "time",
           dp_kind_time_unit(kind));
  if (cli_has(call, "-o")) {
    snprintf(title, sizeof title,
             "%s: visual predictive check%s, %d people, %d simulated data sets, %d of %d percentiles inside",
             dp_kind_id(kind), strcmp(def->correction, "none") != 0 ? ", prediction-corrected" : "", vpc->npeople,
             vpc->nreplicate, vpc->ninside, vpc->ncell);
    code = cli_plot_vpc(cli_get(call, "-o"), title, axis, vpc);
  }
  if (cli_has(call, "--json")) print_json(kind, prior, vpc, def);
  else print_text(kind, prior, vpc, def, axis);
  dp_vpc_destroy(vpc);
  return code;
}

/* The record of the people, and of those from whom the law comes. */
static int with_records(cli_call *call, const dp_kind *kind, const char *dir, const dp_vpc_def *def) {
  const char *path = cli_has(call, "--patients") ? cli_get(call, "--patients") : dp_kind_patients(kind),
             *name = cli_get(call, "--prior");
  const bool own = name && strcmp(name, "own") == 0;
  if (!path[0]) return cli_no_patients(call, kind, "--patients");
  if (own && !dp_kind_patients(kind)[0])
    return cli_usage(call, "option --prior own: kind '%s' has no patients of its own", dp_kind_id(kind));
  dp_record *record = NULL, *source = NULL;
  dp_prior *prior = NULL;
  int code = 0;
  dp_status st = cli_record(kind, path, &record);
  if (st == DP_OK && own) st = dp_kind_record(kind, dp_kind_patients(kind), &source);
  if (st == DP_OK && cli_has(call, "--dry-run")) {
    printf("would simulate %d people of %s %d times under kind %s\n", record->nsubject, record->source, def->nreplicate,
           dp_kind_id(kind));
  } else {
    if (st == DP_OK) st = find_prior(call, kind, own ? source : record, dir, def->seed, &prior);
    if (st == DP_OK && !prior->converged && strcmp(prior->method, "published") != 0)
      fprintf(stderr, "doppel: warning: the estimate of the law did not converge\n");
    if (st == DP_OK) code = check(call, kind, record, prior, def);
  }
  if (st != DP_OK) code = cli_failed(call, st);
  dp_prior_destroy(prior);
  dp_record_destroy(source);
  dp_record_destroy(record);
  return code;
}

int cmd_vpc(cli_call *call) {
  double edge[1002];
  if (call->nplain != 1) return cli_usage(call, "vpc needs one KIND, found %d", call->nplain);
  dp_vpc_def def = dp_vpc_def_default();
  int code = read_def(call, &def, edge);
  if (code) return code;
  char dir[1024];
  code = cli_kind_dir(call, call->plain[0], dir);
  if (code) return code;
  dp_kind *kind = NULL;
  CLI_TRY(call, dp_kind_load(call->ctx, dir, &kind));
  code = with_records(call, kind, dir, &def);
  dp_kind_destroy(kind);
  return code;
}
