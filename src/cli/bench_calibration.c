/* bench_calibration.c - doppel bench calibration: one objective and one gradient of calibration problems, how
 * long each takes.
 *
 * Times are processor seconds of the calling thread and of those that work with it. What happens once is left out:
 * tables, compilation, machine code (`ready` waits until the thread that makes it has nothing left to do). Each repeat
 * is at a point of its own, so that nothing can be remembered.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "doppel/calibrate.h"

enum { LEAST_REPEATS = 5, MOST_REPEATS = 200 };

/* What is timed; a problem is opened for each, as how derivatives are made is part of what it compiles. */
static const struct {
  const char *name;
  dp_problem_derivative derivative;
  unsigned what;
} tasks[] = {{"value", DP_DERIVATIVE_AUTO, DP_PROBLEM_VALUE},
             {"gradient", DP_DERIVATIVE_AUTO, DP_PROBLEM_GRADIENT},
             {"forward", DP_DERIVATIVE_FORWARD, DP_PROBLEM_GRADIENT},
             {"adjoint", DP_DERIVATIVE_ADJOINT, DP_PROBLEM_GRADIENT},
             {"fisher", DP_DERIVATIVE_AUTO, DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER}};
enum { NTASK = sizeof tasks / sizeof *tasks };

typedef struct timing {
  bool ok;
  double llh, open_s, first_s, ready_s, best_s, median_s, wall_s;
  int repeats;
  char reason[200];
} timing;

typedef struct rig {
  cli_call *call;
  dp_problem_def def;
  double budget; /* processor seconds of the repeats of one task */
  bool wanted[NTASK];
  dp_problem *problem;
  const dp_problem_desc *d;
  double *x, *gradient, *fisher; /* one block */
  double spent[MOST_REPEATS], wall[MOST_REPEATS];
} rig;

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *pa, const void *pb) {
  const double a = *(const double *)pa, b = *(const double *)pb;
  return a < b ? -1 : a > b;
}

/* ---- one task ---- */

/* The nominal point, a little aside for k > 0: inwards at a bound. */
static void make_point(rig *r, int k) {
  for (int q = 0; q < r->d->nparam; q++) {
    double shift = (q % 2 ? 1e-7 : -1e-7) * k;
    const double x = r->d->nominal[q];
    if (x + shift > r->d->upper[q] || x + shift < r->d->lower[q]) shift = -shift;
    r->x[q] = x + shift;
  }
}

static dp_status ask(rig *r, int k, unsigned what, dp_problem_value *v) {
  make_point(r, k);
  *v = (dp_problem_value){.gradient = what & DP_PROBLEM_GRADIENT ? r->gradient : NULL,
                          .fisher = what & DP_PROBLEM_FISHER ? r->fisher : NULL};
  return dp_problem_eval(r->problem, 1, r->x, what, v);
}

/* Evaluates until no other thread has worked meanwhile for a while: code is ready. At most a minute. What takes long by
 * itself is not asked again: the first time has started the thread. */
static dp_status make_ready(rig *r, unsigned what, double first_s, double *ready_s) {
  const double begin = seconds_of(CLOCK_MONOTONIC);
  int idle = 0;
  dp_problem_value v;
  while (idle < 4 && seconds_of(CLOCK_MONOTONIC) - begin < 60) {
    const double before = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - seconds_of(CLOCK_THREAD_CPUTIME_ID);
    const dp_status st = first_s < 0.1 * r->budget ? ask(r, 0, what, &v) : DP_OK;
    if (st != DP_OK) return st;
    const struct timespec pause = {0, 50000000};
    nanosleep(&pause, NULL);
    const double after = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - seconds_of(CLOCK_THREAD_CPUTIME_ID);
    idle = after - before < 5e-4 ? idle + 1 : 0;
  }
  *ready_s = seconds_of(CLOCK_MONOTONIC) - begin;
  return DP_OK;
}

static dp_status repeat(rig *r, unsigned what, timing *t) {
  double total = 0;
  int n = 0;
  dp_problem_value v;
  while (n < MOST_REPEATS && (n < LEAST_REPEATS || total < r->budget) && total < 3 * r->budget) {
    const double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), wall = seconds_of(CLOCK_MONOTONIC);
    const dp_status st = ask(r, n + 1, what, &v);
    if (st != DP_OK) return st;
    r->spent[n] = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    r->wall[n] = seconds_of(CLOCK_MONOTONIC) - wall;
    total += r->spent[n++];
  }
  qsort(r->spent, (size_t)n, sizeof *r->spent, ascending);
  qsort(r->wall, (size_t)n, sizeof *r->wall, ascending);
  t->best_s = r->spent[0];
  t->median_s = r->spent[n / 2];
  t->wall_s = r->wall[n / 2];
  t->repeats = n;
  return DP_OK;
}

/* Every repeat costs the same whatever the others gave; the answer kept is the one at the nominal point. */
static dp_status measure(rig *r, unsigned what, timing *t) {
  dp_problem_value v;
  const double begin = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  dp_status st = ask(r, 0, what, &v);
  t->first_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - begin;
  if (st != DP_OK) return st;
  t->ok = v.ok;
  t->llh = v.llh;
  memcpy(t->reason, v.reason, sizeof t->reason);
  if (!v.ok) return DP_OK;
  st = make_ready(r, what, t->first_s, &t->ready_s);
  if (st == DP_OK) st = repeat(r, what, t);
  /* what the table shows of the gradient is that of the nominal point */
  if (st == DP_OK) st = ask(r, 0, what, &v);
  return st;
}

/* ---- rows ---- */

static void json_problem(const rig *r, bool more) {
  printf("%s\n{\"problem\": ", more ? "," : "");
  cli_json_text(r->d->name);
  printf(", \"parameters\": %d, \"measurements\": %d, \"experiments\": %d, \"simulations\": %d, \"states\": %d",
         r->d->nparam, r->d->ndatum, r->d->nexperiment, r->d->nsimulation, r->d->nstate);
  cli_json_exact(", \"rtol\": ", r->def.rtol);
  cli_json_exact(", \"atol\": ", r->def.atol);
  printf(", \"threads\": %d", dp_ctx_nthread(r->call->ctx));
}

static void json_task(const rig *r, int task, const timing *t) {
  printf(",\n \"%s\": {\"ok\": %s", tasks[task].name, t->ok ? "true" : "false");
  if (!t->ok) {
    printf(", \"reason\": ");
    cli_json_text(t->reason);
    printf("}");
    return;
  }
  cli_json_exact(", \"llh\": ", t->llh);
  cli_json_exact(", \"open_s\": ", t->open_s);
  cli_json_exact(", \"first_s\": ", t->first_s);
  cli_json_exact(", \"ready_s\": ", t->ready_s);
  cli_json_exact(", \"best_s\": ", t->best_s);
  cli_json_exact(", \"median_s\": ", t->median_s);
  cli_json_exact(", \"wall_s\": ", t->wall_s);
  printf(", \"repeats\": %d", t->repeats);
  if (tasks[task].what) {
    printf(", \"gradient\": {");
    for (int q = 0; q < r->d->nparam; q++) {
      printf("%s", q ? ", " : "");
      cli_json_text(r->d->id[q]);
      cli_json_exact(": ", r->gradient[q]);
    }
    printf("}");
  }
  printf("}");
}

static void text_task(const rig *r, int task, const timing *t) {
  printf("%-32s %-9s ", r->d ? r->d->name : "", tasks[task].name);
  if (t->ok)
    printf("%10.3f %10.3f %10.1f %18.10g\n", t->best_s * 1e3, t->median_s * 1e3, t->ready_s * 1e3, t->llh);
  else
    printf("not evaluable: %s\n", t->reason);
}

/* ---- all tasks of a problem ---- */

/* Problem and room for its answers; exit code. A way that the model does not offer is a row that says so,
 * behind others. */
static int open_task(rig *r, const char *path, int task, bool first, timing *t) {
  const double begin = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  r->def.derivative = tasks[task].derivative;
  const dp_status st = dp_problem_open(r->call->ctx, path, &r->def, &r->problem);
  if (st == DP_ERR_UNSUPPORTED && !first) {
    snprintf(t->reason, sizeof t->reason, "%s", dp_ctx_error(r->call->ctx));
    dp_ctx_clear_error(r->call->ctx);
    return 0;
  }
  if (st != DP_OK) return cli_failed(r->call, st);
  t->open_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - begin;
  r->d = dp_problem_describe(r->problem);
  const size_t n = (size_t)r->d->nparam;
  r->x = calloc(2 * n + n * n + 1, sizeof *r->x);
  if (!r->x) return cli_failed(r->call, DP_ERR_MEMORY);
  r->gradient = r->x + n;
  r->fisher = r->x + 2 * n;
  for (size_t q = 0; q < n; q++)
    if (isnan(r->d->nominal[q]))
      return cli_usage(r->call, "%s: parameter '%s' has no nominal value", path, r->d->id[q]);
  return 0;
}

static void close_task(rig *r) {
  dp_problem_close(r->problem);
  free(r->x);
  r->problem = NULL;
  r->d = NULL;
  r->x = NULL;
}

static int bench_problem(rig *r, const char *path, bool json, bool more) {
  bool begun = false;
  for (int k = 0; k < NTASK; k++) {
    timing t = {0};
    if (!r->wanted[k]) continue;
    int code = open_task(r, path, k, !begun, &t);
    if (code == 0 && !begun && json) json_problem(r, more);
    begun = begun || code == 0;
    if (code == 0 && r->problem) {
      const dp_status st = measure(r, tasks[k].what, &t);
      if (st != DP_OK) code = cli_failed(r->call, st);
    }
    if (code == 0) (json ? json_task : text_task)(r, k, &t);
    fflush(stdout);
    close_task(r);
    if (code) return code;
  }
  if (json) printf("}");
  return 0;
}

static int read_only(rig *r) {
  cli_call *call = r->call;
  for (int k = 0; k < NTASK; k++) r->wanted[k] = !cli_has(call, "--only");
  for (int i = cli_each(call, "--only", -1); i >= 0; i = cli_each(call, "--only", i)) {
    int k = 0;
    while (k < NTASK && strcmp(tasks[k].name, call->given[i].value) != 0) k++;
    if (k == NTASK)
      return cli_usage(call, "option --only: found '%s', expected value, gradient, forward, adjoint or fisher",
                       call->given[i].value);
    r->wanted[k] = true;
  }
  return 0;
}

int cli_bench_calibration(cli_call *call) {
  static rig r;
  r = (rig){.call = call, .def = dp_problem_def_default(), .budget = 2};
  r.def.rtol = r.def.atol = 1e-8;
  if (!cli_number(call, "--rtol", &r.def.rtol) || !cli_number(call, "--atol", &r.def.atol) ||
      !cli_number(call, "--budget", &r.budget))
    return 2;
  if (!(r.budget > 0)) return cli_usage(call, "option --budget: expected seconds, more than 0");
  if (cli_has(call, "--method")) r.def.method = cli_get(call, "--method");
  int code = read_only(&r);
  if (code) return code;
  if (!cli_has(call, "--problem")) return cli_usage(call, "bench calibration needs --problem PROBLEM.yaml");
  const bool json = cli_has(call, "--json");
  if (json)
    printf("{\"rows\":[");
  else
    printf("%-32s %-9s %10s %10s %10s %18s\n", "problem", "what", "best ms", "median ms", "ready ms", "llh");
  bool more = false;
  for (int i = cli_each(call, "--problem", -1); i >= 0 && code == 0; i = cli_each(call, "--problem", i), more = true)
    code = bench_problem(&r, call->given[i].value, json, more);
  if (json) printf("]}\n");
  return code;
}
