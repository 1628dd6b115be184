/* bench_insulin.c - doppel bench insulin: twins of virtual people on insulin (doppel/insulin.h). In silico. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "doppel/insulin.h"

static double points(double share) { return 100 * share; }

static void each(void *user, const dp_insulin_person *p) {
  int *n = user;
  if (!*n)
    printf(
        "In silico: virtual people (S2008), twins by another model. Shares in %%; A: starting therapy, B: another, C: "
        "tuned.\n\n"
        "%-15s %6s %6s | %6s %6s | %6s %6s %13s %6s %6s | %-15s %6s %6s %6s %6s | %5s %6s %5s\n",
        "person", "TIR A", "TBR A", "TIR B", "TBR B", "said", "TBR", "TIR 90 %", "inside", "bands", "C: basal,CR,CF",
        "TIR A'", "TIR C", "TBR A'", "TBR C", "ESS", "k-hat", "s");
  printf(
      "%-15s %6.1f %6.2f | %6.1f %6.2f | %6.1f %6.2f %6.1f-%6.1f %6s %6.1f | %4.2f,%4.2f,%4.2f  %6.1f %6.1f %6.2f "
      "%6.2f | %5.0f "
      "%6.2f %5.1f%s\n",
      p->id, points(p->tir_a), points(p->tbr_a), points(p->tir_b), points(p->tbr_b), points(p->tir_said),
      points(p->tbr_said), points(p->tir_low), points(p->tir_high),
      p->tir_b >= p->tir_low && p->tir_b <= p->tir_high ? "yes" : "no", points(p->covered), p->tuned.basal,
      p->tuned.ratio, p->tuned.factor, points(p->tir_start), points(p->tir_tuned), points(p->tbr_start),
      points(p->tbr_tuned), p->ess, p->khat, p->seconds, p->usable ? "" : "  not usable: nothing proposed");
  if (isfinite(p->tir_loop[0]))
    printf("  in a loop, the same days: open %.1f, %.2f; PID %.1f, %.2f; twin %.1f, %.2f\n",
           points(p->tir_loop[DP_INSULIN_OPEN]), points(p->tbr_loop[DP_INSULIN_OPEN]),
           points(p->tir_loop[DP_INSULIN_PID]), points(p->tbr_loop[DP_INSULIN_PID]),
           points(p->tir_loop[DP_INSULIN_TWIN]), points(p->tbr_loop[DP_INSULIN_TWIN]));
  fflush(stdout);
  ++*n;
}

static void write_sum(const dp_insulin_sum *s, bool tuned) {
  printf("\n%d people, %d beliefs usable\n", s->npeople, s->nusable);
  printf(
      "another therapy foretold: median error of time in range %.2f points, of time below 70 %.2f points;\n"
      "  90 %% bands hold %.1f %% of the sensor's readings, 90 %% intervals of time in range %d of %d people\n",
      s->tir_error, s->tbr_error, points(s->covered), s->ncovered_tir, s->npeople);
  if (isfinite(s->tir_loop[0]))
    printf(
        "in a loop, means: open %.2f, %.2f; PID %.2f, %.2f; twin %.2f, %.2f\n"
        "  twin beside open: time in range %+.2f points (95 %% %.2f to %.2f), below 70 %+.2f (%.2f to %.2f);\n"
        "  more in range and no more below in %d, neither less in range nor more below in %d of %d people; %d were at "
        "100 %% in range already\n",
        points(s->tir_loop[DP_INSULIN_OPEN]), points(s->tbr_loop[DP_INSULIN_OPEN]), points(s->tir_loop[DP_INSULIN_PID]),
        points(s->tbr_loop[DP_INSULIN_PID]), points(s->tir_loop[DP_INSULIN_TWIN]), points(s->tbr_loop[DP_INSULIN_TWIN]),
        s->loop_gain, s->loop_gain_low, s->loop_gain_high, s->loop_change, s->loop_change_low, s->loop_change_high,
        s->nraised_loop, s->nheld_loop, s->npeople, s->nfull);
  if (!tuned) return;
  printf(
      "therapy tuned on the twin, on other days: time in range %+.2f points (95 %% %.2f to %.2f), below 70 %+.2f (%.2f "
      "to "
      "%.2f);\n  more time in range in %d, more time below 70 in %d, more in range and no more below in %d, neither "
      "less in "
      "range nor more below in %d of %d people; %d kept A, %d were at 100 %% in range already\n",
      s->tir_gain, s->tir_gain_low, s->tir_gain_high, s->tbr_change, s->tbr_change_low, s->tbr_change_high,
      s->nraised_tir, s->nraised_tbr, s->nraised, s->nheld, s->npeople, s->nkept, s->nfull);
}

static void write_search(const dp_insulin_search *s, int nstart) {
  printf(
      "a day's twin: best objective %.6f of %d searches from draws of the prior to their end (%d of them within 1e-3; "
      "%.1f s)\n"
      "  found within 1e-3 in %d of %d seeds, worst excess %.2g; %.2f s a search, at most %.2f s (processor)\n"
      "  posterior of 1000 draws (effective %.0f) in %.2f s (processor), %.2f s (wall)\n",
      s->best, nstart, s->nbest, s->seconds_many, s->nfound, s->nseed, s->worst, s->seconds_mean, s->seconds_most,
      s->posterior_ess, s->posterior_seconds, s->posterior_wall);
}

int cli_bench_insulin(cli_call *call) {
  dp_insulin_def def = dp_insulin_def_default();
  dp_insulin_sum sum;
  dp_insulin_search search;
  char people[1024], twin[1024];
  long long seed = 1;
  int n = 0, nseed = 20, nstart = 0;
  const char *meals = cli_get(call, "--meals");
  if (meals && strcmp(meals, "regular") != 0 && strcmp(meals, "random") != 0)
    return cli_usage(call, "--meals: found '%s', expected regular or random", meals);
  if (meals && strcmp(meals, "random") == 0) def.meals = DP_INSULIN_RANDOM;
  if (!cli_count(call, "--days", 1, &def.days) || !cli_count(call, "--after", 1, &def.after) ||
      !cli_count(call, "--sample", 20, &def.ndraw) || !cli_count(call, "--tune", 0, &def.ntune) ||
      (cli_has(call, "--starts") && !cli_count(call, "--starts", 1, &nstart)) ||
      !cli_count(call, "--loop", 0, &def.nloop) || !cli_integer(call, "--seed", &seed))
    return dp_status_exit_code(DP_ERR_USAGE);
  def.seed = (uint64_t)seed;
  def.only = cli_get(call, "--only");
  def.tuning = cli_get(call, "--tuning");
  if (cli_has(call, "--work")) {
    def.work = cli_get(call, "--work");
    (void)mkdir(def.work, 0777); /* one that cannot be made is told of when a record is written there */
  }
  int code = cli_kind_dir(call, "s2008", people);
  if (code == 0) code = cli_kind_dir(call, "insulin", twin);
  if (code) return code;
  def.people = people;
  def.twin = twin;
  if (nstart > 0) {
    CLI_TRY(call, dp_insulin_identify(call->ctx, &def, nseed, nstart, &search));
    write_search(&search, nstart);
    return 0;
  }
  CLI_TRY(call, dp_insulin_study(call->ctx, &def, each, &n, &sum));
  write_sum(&sum, def.ntune > 0);
  return 0;
}
