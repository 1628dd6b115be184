/* cmd_surrogate.c - doppel surrogate fit MODEL -o FILE: a cheap stand-in for a model, with its own error and domain;
 * doppel surrogate show FILE. Model, times, doses and laws of parameters are given as to doppel simulate. Of a person
 * of a kind: surrogate_person.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/simulate.h"
#include "cli/surrogate_person.h"

const cli_option cli_options_surrogate[] = {
    {"--vary", "ID=DIST",
     "an input's law, which is its domain: uniform(a,b), loguniform(a,b), factor(f), normal(m,s) and "
     "lognormal(median,s) "
     "within 4 s; all=factor(f): every parameter that is not 0; may be repeated"},
    {"-o", "FILE", "where the surrogate is written"},
    {"--points", "N", "points of training, by a scrambled Sobol sequence (200; at most 4000)"},
    {"--held-out", "N", "points at which the surrogate is tried afterwards (200)"},
    {"--kind", "NAME",
     "best (default: whichever errs less in cross-validation), gp (Gaussian process), pce (polynomial chaos)"},
    {"--accuracy", "X",
     "largest error that is accepted: root mean square at held-out points over the output's deviation (0.05)"},
    {"--accept", NULL, "write it though it is not as accurate as asked"},
    {"--output", "FORMULA", "a quantity to learn; may be repeated (all species)"},
    {"--times", "T,T,...", "times at which it is learnt"},
    SIMULATE_OPTIONS,
    {"--threads", "N", "threads; results do not depend on it"},
    {"--members", "N", "not used"},
    {"--patient", "FILE|ID",
     "of a KIND: whose doses and covariates; inputs are their random effects, outputs observables"},
    {"--priors", "FILE", "of a KIND: stored leave-one-out priors (KIND/priors.tsv)"},
    {"--twins", "DIR", "a further folder with kinds"},
    {0}};
const cli_option cli_options_surrogate_show[] = {{0}};

static const char *const kinds[] = {"best", "gp", "pce"};

typedef struct training {
  simulation s;
  dp_surrogate_def def;
  dp_input_def *input;   /* owned */
  const char **quantity; /* owned */
  dp_surrogate *answer;
  const char *path;
} training;

int surrogate_training(cli_call *call, dp_surrogate_def *def) {
  long long seed = 1, points = 200, held = 200;
  const char *kind = cli_get(call, "--kind");
  int k = 0;
  while (kind && k < 3 && strcmp(kinds[k], kind) != 0) k++;
  if (k == 3) return cli_usage(call, "option --kind: found '%s', expected best, gp or pce", kind);
  if (!cli_integer(call, "--seed", &seed) || !cli_integer(call, "--points", &points) ||
      !cli_integer(call, "--held-out", &held) || !cli_number(call, "--accuracy", &def->accuracy))
    return 2;
  if (points < 20 || points > 4000 || held < 20 || held > 1000000)
    return cli_usage(call, "expected 20 to 4000 --points and 20 to 1000000 --held-out");
  def->kind = (dp_surrogate_kind)k;
  def->seed = (uint64_t)seed;
  def->npoint = (int)points;
  def->ntest = (int)held;
  return 0;
}

/* --times is simulate's --at, and -o is no form of an answer here. */
static int translate(cli_call *call, training *q) {
  q->def = dp_surrogate_def_default();
  const int code = surrogate_training(call, &q->def);
  if (code) return code;
  q->path = cli_get(call, "-o");
  if (!q->path) return cli_usage(call, "where to? give -o FILE");
  if (!cli_has(call, "--vary"))
    return cli_usage(call, "nothing varies: give --vary ID=DIST or --vary all=factor(f), or, of a KIND with people, "
                     "--patient ID, whose own parameters then vary");
  cli_as(call, "--times", "--at");
  cli_as(call, "-o", NULL);
  cli_as(call, "--members", NULL);
  cli_give(call, "--members", "2");
  return cli_writable(q->path);
}

static int make_inputs(training *q) {
  int n = q->s.nvaried;
  q->input = calloc((size_t)n + 1, sizeof *q->input);
  q->quantity = calloc((size_t)q->s.ncolumn + 1, sizeof *q->quantity);
  if (!q->input || !q->quantity) return dp_status_exit_code(DP_ERR_MEMORY);
  for (int k = 0; k < n; k++) q->input[k] = simulate_input(&q->s.varied[k]);
  for (int c = 0; c < q->s.ncolumn; c++) q->quantity[c] = q->s.column[c].id;
  q->def.input = q->input;
  q->def.ninput = n;
  q->def.quantity = q->quantity;
  return 0;
}

/* ---- what it is ---- */

static void show(FILE *to, const dp_surrogate_desc *d) {
  fprintf(to, "surrogate of %d inputs, %d outputs, from %d points", d->ninput, d->noutput, d->nrow);
  if (d->nfailed) fprintf(to, " (%d more failed: near them it guesses)", d->nfailed);
  fprintf(to, "\n%-24s %12s %12s\n", "input", "from", "to");
  for (int k = 0; k < d->ninput; k++)
    fprintf(to, "%-24s %12.6g %12.6g\n", d->input[k].id, d->input[k].low, d->input[k].high);
  fprintf(to, "%-24s %4s %12s %12s %9s %9s\n", "output", "kind", "deviation", "error", "share", "within");
  for (int o = 0; o < d->noutput; o++) {
    const dp_surrogate_output *p = &d->output[o];
    fprintf(to, "%-24s %4s %12.5g %12.5g %9.4f %9.3f%s\n", p->id, p->kind, p->sd, p->rms,
            p->sd > 0 ? p->rms / p->sd : 0, p->inside, p->good ? "" : "  not as asked");
  }
  fprintf(
      to,
      "error: root mean square at held-out points; share: of the deviation; within: share of held-out points within "
      "1.645 of\ntheir own errors (0.9 is meant)\n");
}

static int write_file(const dp_surrogate *s, const char *path) {
  size_t size;
  const char *text = dp_surrogate_text(s, &size);
  FILE *f = fopen(path, "wb");
  bool good = f && fwrite(text, 1, size, f) == size;
  if (f && fclose(f) != 0) good = false;
  if (good) return 0;
  fprintf(stderr, "doppel: %s: can't be written\n", path);
  return dp_status_exit_code(DP_ERR_IO);
}

int surrogate_give(cli_call *call, const dp_surrogate *s, const char *path, double accuracy) {
  const dp_surrogate_desc d = dp_surrogate_describe(s);
  show(stdout, &d);
  if (d.good || cli_has(call, "--accept")) return write_file(s, path);
  fprintf(
      stderr,
      "doppel: not written: some outputs err by more than %g of their deviation, or their errors are too small; more "
      "--points,\nnarrower --vary, or --accept\n",
      accuracy);
  return dp_status_exit_code(DP_ERR_CONVERGE);
}

static int fit(cli_call *call, training *q) {
  dp_member base = q->s.member;
  base.param = q->s.param;
  CLI_TRY(call, dp_surrogate_fit(call->ctx, q->s.sim, &base, &q->def, &q->answer));
  return surrogate_give(call, q->answer, q->path, q->def.accuracy);
}

int cmd_surrogate_fit(cli_call *call) {
  static training q;
  if (call->nplain != 1) return cli_usage(call, "surrogate fit needs one MODEL or KIND, found %d", call->nplain);
  if (cli_has(call, "--patient")) return surrogate_fit_person(call);
  int code = translate(call, &q);
  if (!code) code = simulate_prepare(call, &q.s);
  if (!code && q.s.surrogate) code = cli_usage(call, "%s is a surrogate already", call->plain[0]);
  if (!code) code = make_inputs(&q);
  if (!code) code = fit(call, &q);
  dp_surrogate_destroy(q.answer);
  simulate_release(&q.s);
  free(q.input);
  free(q.quantity);
  return code;
}

int cmd_surrogate_show(cli_call *call) {
  dp_surrogate *s = NULL;
  if (call->nplain != 1) return cli_usage(call, "surrogate show needs one FILE, found %d", call->nplain);
  int code = cli_readable(call->plain[0]);
  if (!code) code = simulate_load_surrogate(call, &s);
  if (code) return code;
  if (!s) {
    fprintf(stderr, "doppel: %s: no surrogate; doppel surrogate fit writes them\n", call->plain[0]);
    return dp_status_exit_code(DP_ERR_INPUT);
  }
  dp_surrogate_desc d = dp_surrogate_describe(s);
  show(stdout, &d);
  printf("hash %s\ntrained on %s\n", d.hash, d.origin[0] ? d.origin : "something unnamed");
  dp_surrogate_destroy(s);
  return 0;
}
