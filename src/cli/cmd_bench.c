/* cmd_bench.c - doppel bench ensemble: many members of small models, beside CVODE in the same run (doppel/bench.h).
 * doppel bench calibration: bench_calibration.c;
 * doppel bench loop: bench_closed.c; doppel bench insulin: bench_insulin.c.
 *
 * Rows are printed as they come. In JSON ratio_to_cvode is how many times our time CVODE takes; errors are the largest
 * over the sampled members, in units of the tolerance.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "doppel/bench.h"
#include "doppel/engine.h"

const cli_option cli_options_bench[] = {
    {"--only", "NAME",
     "this problem: robertson, robertson-long, hires, boehm, bachmann, glucose; calibration: this of value, gradient, "
     "forward, adjoint, fisher; loop: a row, as 'pid, 2 threads'; may be repeated"},
    {"--members", "N", "members of the timed batch (as many as CVODE does in some seconds)"},
    {"--sample", "N", "members whose error is found (400; loop: 30)"},
    {"--repeats", "N", "of each timing; the best counts (5; loop: 3)"},
    {"--days", "N", "loop: days of each of the --members (14)"},
    {"--step", "MIN", "loop: longest step of the integration, minutes (2.5)"},
    {"--rtol", "X", "our relative tolerance (the loosest whose errors are no larger than CVODE's; calibration: 1e-8)"},
    {"--problem", "PROBLEM.yaml", "calibration: a calibration problem (PEtab); may be repeated"},
    {"--atol", "X", "calibration: absolute tolerance (1e-8)"},
    {"--budget", "S", "calibration: processor seconds of the repeats of each timing (2)"},
    {"--method", "NAME", "ours (ensemble)"},
    {"--petab", "DIR", "the PEtab benchmark collection: boehm and bachmann are read from there, and skipped without"},
    {"--million", NULL, "also 10^6 members of Robertson's problem at rtol 1e-4"},
    {"--seed", "N", "seed of the members (1)"},
    {"--threads", "N", "threads of the further rows (2)"},
    {"--interpret", NULL, "no machine code"},
    {"--cache", "DIR", "where machine code is kept between runs"},
    {"--no-cache", NULL, "keep and read no machine code"},
    {"--work", "DIR", "insulin: folder where the records that twins read are kept, made if it is not there (.)"},
    {"--meals", "DAYS", "insulin: regular (three meals) or random (as the open simulator of these people draws them)"},
    {"--after", "N", "insulin: other days on which therapies are compared (14)"},
    {"--tune", "N", "insulin: draws on which therapies are rehearsed (50; 0: none is tuned)"},
    {"--tuning", "FILE", "insulin: settings, endpoints, conditions and reward that C is chosen by (the kind's tunings/pump.yaml); see tune"},
    {"--loop", "N", "insulin: also days under open loop, a PID rule and N draws of the twin in a loop (0: no loops)"},
    {"--starts", "N",
     "insulin: instead, find a day's twin by N searches from everywhere, and by 20 seeds as it is found"},
    {"--twins", "DIR", "insulin: a further folder with kinds"},
    {"--json", NULL, "one JSON object: machine, rows"},
    {0}};

typedef struct table {
  bool json;
  int nrow;
} table;

static void json_row(table *t, const dp_bench_row *r) {
  char text[DP_BENCH_JSON_SIZE];
  dp_bench_row_json(r, text, sizeof text);
  printf("%s\n%s", t->nrow ? "," : "", text);
}

static void text_row(table *t, const dp_bench_row *r) {
  if (!t->nrow)
    printf("%-40s %8s %12s %8s %9s   %-10s %12s %8s %9s %8s\n", "problem", "members", "us a member",
           "rtol", "error", "peer", "us a member", "rtol", "error", "times");
  if (r->skipped[0]) {
    printf("%-40s skipped: %s\n", r->name, r->skipped);
    return;
  }
  printf("%-40s %8d %12.3f %8.2g %9.3g", r->name, r->nmember, r->seconds / r->nmember * 1e6,
         r->rtol, r->error.largest);
  if (r->peer[0])
    printf("   %-10s %12.3f %8.2g %9.3g %8.1f", r->peer, r->peer_seconds / r->nmember * 1e6,
           r->peer_rtol, r->peer_error.largest, r->ratio);
  printf("%s", r->nfailed ? "" : "\n");
  if (r->nfailed) printf("   %d failed\n", r->nfailed);
}

/* dp_bench_fn */
static void each(void *user, const dp_bench_row *row) {
  table *t = user;
  (t->json ? json_row : text_row)(t, row);
  t->nrow++;
  fflush(stdout);
}

static void machine_text(char *text, size_t size, int nthread) {
  char line[256], name[128] = "unknown processor";
  FILE *f = fopen("/proc/cpuinfo", "r");
  while (f && fgets(line, sizeof line, f)) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon) continue;
    colon[strcspn(colon, "\n")] = 0;
    snprintf(name, sizeof name, "%s", colon + 2);
    break;
  }
  if (f) fclose(f);
  dp_engine e = dp_engine_describe();
  snprintf(text, size, "%s, %d threads; doppel %s, %s arithmetic, %s, %d lanes, %s", name, nthread,
           dp_version(), e.arithmetic, e.instructions, e.lanes,
           e.compiler ? "machine code" : "interpreted");
}

/* A whole number from `least` on; false after a message. */
static bool count(const cli_call *call, const char *name, long long least, int *out) {
  long long n = *out;
  if (!cli_integer(call, name, &n)) return false;
  if (cli_has(call, name) && (n < least || n > 100000000)) {
    cli_usage(call, "option %s: found %lld, expected %lld to 100000000", name, n, least);
    return false;
  }
  *out = (int)n;
  return true;
}

static int read_options(cli_call *call, dp_bench_def *def, const char **only) {
  static const char *const known[] = {"robertson", "robertson-long", "hires", "boehm", "bachmann", "glucose"};
  long long seed = (long long)def->seed;
  if (!count(call, "--members", 1, &def->nmember) || !count(call, "--sample", 1, &def->nsample) ||
      !count(call, "--repeats", 1, &def->repeats) || !cli_number(call, "--rtol", &def->rtol) ||
      !cli_integer(call, "--seed", &seed))
    return 2;
  def->seed = (uint64_t)seed;
  if (cli_has(call, "--rtol") && !(def->rtol > 0))
    return cli_usage(call, "option --rtol: tolerances must be positive");
  if (cli_has(call, "--method")) def->method = cli_get(call, "--method");
  if (cli_has(call, "--threads")) def->nthread = dp_ctx_nthread(call->ctx);
  def->petab = cli_get(call, "--petab");
  def->cache = cli_cache();
  def->million = cli_has(call, "--million");
  for (int i = cli_each(call, "--only", -1); i >= 0; i = cli_each(call, "--only", i)) {
    const char *name = call->given[i].value;
    size_t k = 0;
    while (k < sizeof known / sizeof *known && strcmp(known[k], name) != 0) k++;
    if (k == sizeof known / sizeof *known) {
      const char *near = cli_nearest(name, known, (int)k);
      return cli_usage(
          call, "option --only: no problem '%s'%s%s%s (robertson, robertson-long, hires, boehm, bachmann, glucose)",
          name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    only[def->nonly++] = name;
  }
  if (def->nonly) def->only = only;
  return 0;
}

int cmd_bench(cli_call *call) {
  static const char *const names[] = {"ensemble", "calibration", "loop", "insulin"};
  static const char *only[CLI_MAX_GIVEN];
  if (call->nplain > 1)
    return cli_usage(call, "bench takes one NAME, found '%s' too", call->plain[1]);
  if (call->nplain && strcmp(call->plain[0], names[1]) == 0) return cli_bench_calibration(call);
  if (call->nplain && strcmp(call->plain[0], names[2]) == 0) return cli_bench_loop(call);
  if (call->nplain && strcmp(call->plain[0], names[3]) == 0) return cli_bench_insulin(call);
  if (call->nplain && strcmp(call->plain[0], names[0]) != 0) {
    const char *near = cli_nearest(call->plain[0], names, 4);
    return cli_usage(call, "unknown benchmark '%s'%s%s%s (ensemble, calibration, loop, insulin)", call->plain[0],
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  }
  dp_bench_def def = dp_bench_def_default();
  table t = {.json = cli_has(call, "--json")};
  int code = read_options(call, &def, only);
  if (code) return code;
  char machine[400];
  machine_text(machine, sizeof machine, def.nthread);
  if (t.json) {
    printf("{\"machine\":");
    cli_json_text(machine);
    printf(",\n\"rows\":[");
  } else {
    printf("%s\n", machine);
  }
  fflush(stdout);
  dp_status status = dp_bench_ensemble(call->ctx, &def, each, &t);
  if (t.json) printf("]}\n");
  if (status != DP_OK) return cli_failed(call, status);
  return 0;
}
