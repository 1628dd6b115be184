/* bench_impl.h - floor 8: a benchmark problem, its members, and the two sides that run them.
 *
 * Flow: dpi_bench_problems -> dpi_bench_open (model text, members) -> dpi_bench_peer_* (CVODE, compiled derivatives)
 * and dpi_bench_ours_* (the waist) -> dpi_bench_errors -> rows (bench_rows.c).
 *
 * Numbers of a side are an array [nmember x nout x nstate], states in the order of the peer; a failed member's are NaN.
 */
#ifndef DPI_BENCH_IMPL_H
#define DPI_BENCH_IMPL_H

#include "base/base.h"
#include "doppel/bench.h"
#include "doppel/sim.h"

/* Derivatives in C. p: parameters in the order of param_id; v: non-zeros of df/dx by columns. */
typedef struct dpi_bench_peer {
  int nstate, nparam, nnz;
  const char *const *state_id, *const *param_id;
  const int *row, *column; /* row[k] of v[k]; column[j] .. column[j + 1] are column j's */
  void (*rhs)(double t, const double *x, const double *p, double *f);
  void (*jac)(double t, const double *x, const double *p, double *v);
  void (*start)(const double *p, double *x);
} dpi_bench_peer;

extern const dpi_bench_peer dpi_peer_robertson, dpi_peer_hires, dpi_peer_boehm, dpi_peer_bachmann, dpi_peer_glucose;
extern const char dpi_glucose_text[]; /* examples/glucose-day.ant */

typedef struct dpi_bench_value {
  const char *id;
  double value; /* NaN: as the model says */
} dpi_bench_value;

/* Into `state` at `rate` from `start` until `amount` is in. */
typedef struct dpi_bench_infusion {
  const char *state;
  double start, amount, rate;
} dpi_bench_infusion;

typedef struct dpi_bench_problem {
  const char *name, *about;
  const dpi_bench_peer *peer;
  const char *text;             /* model text, or NULL and: */
  const char *file;             /* below the folder of the PEtab collection */
  const dpi_bench_value *fixed; /* what the nominal patient has other than the text says */
  int nfixed;
  const dpi_bench_value *varied;
  int nvaried;
  const dpi_bench_infusion *infusion; /* ascending start */
  int ninfusion;
  const char *memory;       /* a state of ours that the peer has as its last parameter: see bench_cvode.c; NULL */
  const char *memory_of[2]; /* at the start of an infusion into it: the sum of these states */
  double atol, t_end;       /* in the model's unit of time, as out and the infusions */
  double unit;              /* of the sim's time, for horizons that ticks can't hold; 0: 1 */
  const double *out;
  int nout;
  int nmember;
} dpi_bench_problem;
const dpi_bench_problem *dpi_bench_problems(int *n);

/* A problem with its model, ready to be run by both. */
typedef struct dpi_bench_case {
  dp_ctx *ctx;
  dpi_arena arena;
  const dpi_bench_problem *problem;
  dp_model *model; /* owned */
  int nparam;      /* of the sim */
  double *nominal; /* [nparam] */
  int *varied;     /* [nvaried] sim parameter */
  int *peer_param; /* [peer->nparam] sim parameter, -1: the memory */
  dp_instant *instant;
  dp_output_time *out;
  dp_output_def *output;   /* peer's states */
  dp_control_def *control; /* states that are infused */
  int ninstant, noutput, ncontrol;
} dpi_bench_case;
/* Reads the model in ctx's machine. *skipped is set and *out NULL where a file is not there. */
dp_status dpi_bench_open(dp_ctx *ctx, const dpi_bench_problem *problem, const char *petab, dpi_bench_case **out,
                         const char **skipped);
void dpi_bench_close(dpi_bench_case *c);
/* The model alone, sealed, into c->model, which the caller frees: what a start from text costs. */
dp_status dpi_bench_read(dpi_bench_case *c, const char *petab, const char **skipped);
/* Parameters of members first .. first + n - 1, [n x nparam]. */
void dpi_bench_draw(const dpi_bench_case *c, uint64_t seed, int first, int n, double *param);

/* ---- our side (bench_ours.c) ---- */
dp_status dpi_bench_sim(const dpi_bench_case *c, const char *method, double rtol, double atol, dp_sim **out);
/* All members through dp_simulate_into; value NULL: rows are looked at and dropped. *nfailed */
dp_status dpi_bench_ours(const dpi_bench_case *c, const dp_sim *sim, const dp_member *member, int n, double *value,
                         int *nfailed);
/* The members of parameters [n x nparam]; free with dpi_free. */
dp_member *dpi_bench_members(const dpi_bench_case *c, const double *param, int n);

/* ---- CVODE (bench_cvode.c) ---- */
typedef struct dpi_bench_cvode dpi_bench_cvode;
typedef struct dpi_bench_count {
  int nfailed;
  long nstep;
} dpi_bench_count;
typedef struct dpi_bench_cvode_ops {
  /* NULL: it could not be set up */
  dpi_bench_cvode *(*create)(const dpi_bench_case *c, bool klu, double rtol, double atol);
  void (*destroy)(dpi_bench_cvode *s); /* NULL allowed */
  /* Members of param [n x nparam]; value NULL: states are looked at and dropped. */
  void (*run)(dpi_bench_cvode *s, const double *param, int n, double *value, dpi_bench_count *count);
  void (*version)(char *text, size_t size);
} dpi_bench_cvode_ops;
extern const dpi_bench_cvode_ops dpi_bench_cvode_installed;

/* ---- errors (bench_errors.c) ---- */
/* each: [n] of the caller, sorted afterwards. Members that failed on either side are left out. */
dp_bench_error dpi_bench_errors(const dpi_bench_problem *p, const double *value, const double *reference, int n,
                                double *each);

#endif
