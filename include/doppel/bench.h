/* bench.h - the benchmark of ensembles: many members of a small model, beside CVODE in the same run.
 *
 * Problems: robertson (3 states; robertson-long to t = 1e11), hires (8), boehm (8), bachmann (25), glucose (13 states,
 * a day with three meals and their insulin). Parameters of the members are log-uniform within a factor 10 around
 * nominal: nominal x 10^u, u uniform in [-1, 1], from counter-based streams of a fixed seed. Beside it runs CVODE (BDF,
 * Newton) as a careful user would: derivatives and analytic Jacobian compiled, re-initialised and not rebuilt for each
 * member, stopped at what jumps, the faster of its dense and its KLU solver, rtol 1e-6 and the problem's atol.
 *
 * Error of a member: the largest |x - ref| / (atol + 1e-6 |ref|) over states and output times, ref by CVODE at rtol
 * 1e-12. Our tolerance is the loosest of a ladder whose errors over the sampled members (largest, and root mean square)
 * are no larger than CVODE's.
 *
 *     dp_bench_def def = dp_bench_def_default();
 *     DP_TRY(dp_bench_ensemble(ctx, &def, each, user));
 */
#ifndef DOPPEL_BENCH_H
#define DOPPEL_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_bench_def {
  uint32_t cookie;
  const char *const *only; /* problems by name; NULL: all */
  int nonly;
  int nmember;        /* of the timed batch; 0: each problem's own number, for which CVODE takes some seconds */
  int nsample;        /* members whose error is found (the first ones); 400 */
  int repeats;        /* of each timing; 5 */
  uint64_t seed;      /* 1 */
  int nthread;        /* more than 1: our side also on so many threads; 2 */
  const char *method; /* ours: "ensemble" */
  double rtol;        /* ours; 0: found on the ladder */
  const char *cache;  /* folder for machine code kept between runs, NULL: none */
  const char *petab;  /* folder of the PEtab benchmark collection, for boehm and bachmann; NULL: they are skipped */
  const char *peer_module; /* a second build of CVODE to be timed beside the installed one (build option
                              DOPPEL_BENCH_SUNDIALS): distributions ship it compiled without optimisation. NULL: none */
  int million;             /* not 0: also 10^6 members of Robertson's problem at rtol 1e-4 on nthread threads */
} dp_bench_def;
dp_bench_def dp_bench_def_default(void);

/* Distribution over members of a member's largest weighted error. */
typedef struct dp_bench_error {
  double median, p95, largest, rms;
} dp_bench_error;

/* Strings are borrowed for the duration of the call; times in seconds; tolerances and errors as above. */
typedef struct dp_bench_row {
  const char *name;    /* "robertson"; "robertson, 2 threads"; "robertson, 10^6 at rtol 1e-4, 2 threads" */
  const char *skipped; /* "" or why there is nothing: only `name` counts then */
  int nstate, nout, nmember, nthread, nsample;
  double t_end, rtol, atol;       /* ours */
  double seconds, seconds_median; /* the whole batch, machine code ready; best and median of the repeats */
  double cold_s, cold_one_s;     /* text to the end of the first batch, of one member, nothing ready; 0: not measured */
  double cached_s, cached_one_s; /* the same with machine code in the cache (def.cache) */
  int nfailed;
  dp_bench_error error;
  const char *peer;        /* "cvode" or "one thread"; "" none */
  const char *peer_solver; /* "dense", "klu", "" */
  double peer_rtol, peer_atol, peer_seconds, peer_seconds_median;
  double peer_steps; /* mean a member */
  int peer_nfailed;
  dp_bench_error peer_error;
  double ratio; /* peer_seconds / seconds: how many times faster than the peer we are */
  char peer_version[24];
  double other_seconds, other_ratio; /* the same with the second build of CVODE; 0: none was given */
  const char *other_solver;
  char other_version[24];
} dp_bench_row;

/* Each problem is measured in contexts of its own; ctx carries messages and the wish to stop. ERR_INPUT: no problem of
 * that name, a module without CVODE in it. */
typedef void (*dp_bench_fn)(void *user, const dp_bench_row *row); /* as soon as a row is there */
dp_status dp_bench_ensemble(dp_ctx *ctx, const dp_bench_def *def, dp_bench_fn each, void *user);
/* A row as one JSON object, times in seconds, in text [size], ended by a zero; how long it is without that, as snprintf. Enough
 * for every row: */
#define DP_BENCH_JSON_SIZE 4096
size_t dp_bench_row_json(const dp_bench_row *row, char *text, size_t size);

/* ---- closed loops ----
 *
 * Virtual people (the model of twins/s2008, its 30 people in turn) under a controller that every 5 minutes reads a
 * noisy sensor and sets the pump: meals at times and of sizes of their own, announced; counters of readings; only the last
 * values are given. "basal-bolus": the person's own rate, stopped below 70 mg/dL, meals and corrections by CR and CF;
 * "pid": the rate by proportion, integral and trend besides. Error: the first `nreplay` people (one of each table row)
 * run again with all that was pumped recorded, and that replayed without controller by rk853 at rtol 1e-10: the largest
 * difference of plasma and sensor glucose, mg/dL, at all readings. Beside it in the same run: the same people under
 * basal-bolus without noise in plain C, Runge-Kutta steps of 1 minute.
 *
 *     dp_bench_loop_def def = dp_bench_loop_def_default();
 *     DP_TRY(dp_bench_loop(ctx, &def, each, user)); */
typedef struct dp_bench_loop_def {
  uint32_t cookie;
  const char *const *only; /* rows by name ("pid", "pid, 2 threads", "plain C"); NULL: all */
  int nonly;
  int nmember;      /* 1024 */
  int days;         /* 14 */
  int nreplay;      /* people whose error is found, each over replay_days; 30 */
  int replay_days;  /* 3 */
  int repeats;      /* of each timing: the best counts; 3 */
  double step;      /* min; 2.5 */
  uint64_t seed;    /* 1 */
  int nthread;      /* more than 1: also on so many threads, whose bytes must be the same; 2 */
  bool interpret;   /* no machine code */
  /* share of a row's run that is done, 0 .. 1, on the calling thread; NULL: nobody wants to know */
  void (*progress)(void *user, const char *row, double done);
  void *progress_user;
} dp_bench_loop_def;
dp_bench_loop_def dp_bench_loop_def_default(void);

typedef struct dp_bench_loop_row {
  const char *name;       /* "basal-bolus", "pid", "plain C"; with ", 2 threads" */
  int nmember, days, nthread, nfailed;
  double seconds;         /* processor time of all threads, best of the repeats */
  double wall;            /* of that repeat, s */
  double days_per_second; /* patient-days a second of processor time */
  double error;           /* mg/dL; NaN: not found */
  double in_range, low;   /* share of readings in 70 .. 180 and below 70 mg/dL */
  char digest[17];        /* of all results: the same on any number of threads; "" for plain C */
} dp_bench_loop_row;
typedef void (*dp_bench_loop_fn)(void *user, const dp_bench_loop_row *row);
dp_status dp_bench_loop(dp_ctx *ctx, const dp_bench_loop_def *def, dp_bench_loop_fn each, void *user);

#ifdef __cplusplus
}
#endif
#endif
