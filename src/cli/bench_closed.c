/* bench_closed.c - doppel bench loop: virtual people under closed-loop control, patient-days a second
 * (doppel/bench.h). */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"
#include "doppel/bench.h"

typedef struct table {
  bool json;
  int nrow;
} table;

static void each(void *user, const dp_bench_loop_row *r) {
  table *t = user;
  if (t->json) {
    printf(
        "%s\n{\"name\":\"%s\",\"members\":%d,\"days\":%d,\"threads\":%d,\"failed\":%d,\"seconds\":%.6g,\"wall\":%.6g,"
        "\"days_per_second\":%.6g,\"in_range\":%.6g,\"low\":%.6g,\"digest\":\"%s\",\"error\":",
        t->nrow ? "," : "", r->name, r->nmember, r->days, r->nthread, r->nfailed, r->seconds, r->wall,
        r->days_per_second, r->in_range, r->low, r->digest);
    if (isfinite(r->error))
      printf("%.6g}", r->error);
    else
      printf("null}");
  } else {
    if (!t->nrow)
      printf("%-24s %8s %6s %12s %10s %12s %10s %8s %8s  %s\n", "controller", "people", "days", "seconds", "by clock",
             "days/s/core", "error", "70-180", "< 70", "results");
    printf("%-24s %8d %6d %12.4f %10.4f %12.0f ", r->name, r->nmember, r->days, r->seconds, r->wall,
           r->days_per_second);
    if (isfinite(r->error))
      printf("%10.2g", r->error);
    else
      printf("%10s", "");
    printf(" %7.2f%% %7.2f%%  %s\n", 100 * r->in_range, 100 * r->low, r->digest);
    if (r->nfailed) printf("  %d people failed\n", r->nfailed);
  }
  t->nrow++;
  fflush(stdout);
}

static bool whole(const cli_call *call, const char *name, int *out) {
  long long n = *out;
  if (!cli_integer(call, name, &n)) return false;
  if (cli_has(call, name) && (n < 1 || n > 100000000)) {
    cli_usage(call, "option %s: found %lld, expected 1 to 100000000", name, n);
    return false;
  }
  *out = (int)n;
  return true;
}

/* Long runs say how far they are, at most every ten seconds. */
typedef struct watch {
  double began, told; /* s */
  double first;       /* share that was done at the beginning */
} watch;

static void progress(void *user, const char *row, double done) {
  watch *w = user;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  const double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
  if (done <= w->first || w->began == 0) { /* another run */
    *w = (watch){.began = now, .told = now, .first = done};
    return;
  }
  if (now - w->told < 10 || done >= 1) return;
  w->told = now;
  fprintf(stderr, "%s: %.1f %% done, %.1f min left\n", row, 100 * done,
          (now - w->began) * (1 - done) / (done - w->first) / 60);
}

int cli_bench_loop(cli_call *call) {
  dp_bench_loop_def def = dp_bench_loop_def_default();
  watch run = {0};
  def.progress = progress;
  def.progress_user = &run;
  table t = {.json = cli_has(call, "--json")};
  long long seed = (long long)def.seed, sample = def.nreplay;
  if (!whole(call, "--members", &def.nmember) || !whole(call, "--days", &def.days) ||
      !whole(call, "--repeats", &def.repeats) || !cli_number(call, "--step", &def.step) ||
      !cli_integer(call, "--seed", &seed) || !cli_integer(call, "--sample", &sample))
    return 2;
  if (sample < 0 || sample > 1000) return cli_usage(call, "option --sample: found %lld, expected 0 to 1000", sample);
  if (!(def.step > 0)) return cli_usage(call, "option --step: expected minutes, more than 0");
  def.nreplay = (int)sample;
  def.seed = (uint64_t)seed;
  def.interpret = cli_has(call, "--interpret");
  if (cli_has(call, "--threads")) def.nthread = dp_ctx_nthread(call->ctx);
  static const char *only[CLI_MAX_GIVEN];
  for (int i = cli_each(call, "--only", -1); i >= 0; i = cli_each(call, "--only", i))
    only[def.nonly++] = call->given[i].value;
  if (def.nonly) def.only = only;
  if (t.json) printf("{\"rows\":[");
  const dp_status status = dp_bench_loop(call->ctx, &def, each, &t);
  if (t.json) printf("]}\n");
  return status == DP_OK ? 0 : cli_failed(call, status);
}
