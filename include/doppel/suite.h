/* suite.h - test suites that others wrote, run against this engine.
 *
 * NONMEM's individual estimates: dir holds dataNNN.csv (event tables) and runNNN.phi (for every subject the conditional
 * mode, its covariance and the FOCE-I objective, population parameters fixed); the model of run NNN is the kind in
 * kinds_dir/runNNN. Two checks a run:
 *   1. the objective at the reference's own mode is the reference's, for every subject;
 *   2. our own mode: individual parameters within 0.1 % of the reference, or a joint objective lower by more than 1e-3;
 *      never one higher by more than 1e-3.
 *
 *     dp_nonmem_def def = dp_nonmem_def_default();
 *     DP_TRY(dp_suite_nonmem(ctx, dir, kinds_dir, &def, each, user));
 */
#ifndef DOPPEL_SUITE_H
#define DOPPEL_SUITE_H

#include <stdbool.h>
#include <stdint.h>

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_nonmem_result {
  char run[16];    /* "001" */
  char status[12]; /* pass, fail, refused (no kind, or not supported), error */
  char why[320];   /* "" for pass */
  int nsubject;
  /* check 1 */
  double worst;            /* largest |our objective - theirs| at their mode, over its tolerance */
  double worst_difference; /* the same, in units of the objective */
  char worst_subject[32];
  double objective, reference; /* sums over subjects */
  /* check 2 */
  int nparameter;         /* individual parameters compared */
  int nwithin;            /* within 0.1 % */
  int nbetter;            /* subjects whose joint objective is lower than at their mode by more than 1e-3 */
  int nflat;              /* subjects beyond 0.1 % whose joint objective is the same within 1e-3, never higher */
  int nworse;             /* subjects whose joint objective is higher by more than 1e-3 */
  char worse_subject[32]; /* the one that is higher by most */
  int nunconverged;
  double largest; /* largest relative difference among subjects that are not better */
  double seconds; /* of check 2: all mode searches */
  double patients_per_s;
  double cpu_seconds; /* of processors, of all threads, machine code made meanwhile included */
  double patients_per_core_s;
  double evaluations; /* of the model with derivatives, a subject */
  /* check 3, where the reference prints it: the effects' conditional covariance at their mode, entry by entry, in parts of the
   * two standard deviations */
  int ncovariance, ncovariance_within; /* compared, within 1 % */
  double largest_covariance;
} dp_nonmem_result;

typedef struct dp_nonmem_def {
  uint32_t cookie;
  const char *const *only; /* runs, or NULL: all for which there are data */
  int nonly;
  int nstart;      /* mode searches a subject: 3 */
  int max_subject; /* 0: all */
  const char
      *model; /* a kind's folder or a control stream for the runs asked for, instead of kinds_dir's runNNN; NULL none */
} dp_nonmem_def;
dp_nonmem_def dp_nonmem_def_default(void);

/* Called for each run in ascending order, as soon as it is done. */
typedef void (*dp_nonmem_fn)(void *user, const dp_nonmem_result *result);
dp_status dp_suite_nonmem(dp_ctx *ctx, const char *dir, const char *kinds_dir, const dp_nonmem_def *def,
                          dp_nonmem_fn each, void *user);

/* ---- SBML Test Suite: dir holds NNNNN/NNNNN-settings.txt, -results.csv, -sbml-lLvV.xml ----
 * Semantic cases: every row and column within absolute + relative |expected|; NaN matches NaN, an infinity only itself.
 * all_levels: every level and version of the case must pass. */
typedef struct dp_sbml_case {
  char id[16];     /* "00001" */
  char status[12]; /* pass, fail, refused (names the construct, before any number), error */
  char why[400];   /* "" for pass */
  char level[16];  /* "l3v2"; of the file that decided, "all" with all_levels */
  double seconds;
  double worst;    /* largest deviation over its tolerance; NaN when nothing was compared */
  bool analytic;   /* the case says that its reference is analytic */
  bool tighter;    /* also passes at a tenth of the tolerance */
  int excursions;  /* stochastic: columns and rows that left their range in the first try */
  double expected; /* stochastic: how many a perfect simulator would show, on average */
  int again;       /* stochastic: columns that left their range in the first try and again in one of two repeats */
  double expected_again; /* stochastic: how many a perfect simulator would show, were times independent */
  int compared;          /* values compared */
} dp_sbml_case;

typedef struct dp_sbml_def {
  uint32_t cookie;
  const char *const *only; /* cases, or NULL: all */
  int nonly;
  bool all_levels;
  int runs;          /* stochastic: 10000 */
  uint64_t seed;     /* of random ties and draws */
  double rtol, atol; /* of the integration; 0: chosen from the case's own tolerances */
  const char *
      method; /* semantic: an integrator (dp_sim_def), NULL: auto; stochastic: "direct" or "next-reaction", NULL: direct */
} dp_sbml_def;
dp_sbml_def dp_sbml_def_default(void);

typedef void (*dp_sbml_fn)(void *user, const dp_sbml_case *result); /* in ascending order of ids */
dp_status dp_suite_sbml(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, dp_sbml_fn each, void *user);
/* Mean and standard deviation over runs against their exact values: Z = sqrt(n) (X - mu) / sigma and
 * Y = sqrt(n/2) (S^2 / sigma^2 - 1) within each settings file's ranges; exact where sigma = 0. A case that leaves a range is
 * repeated twice with fresh fixed seeds and fails when the same column leaves it again at the same time. Columns that left
 * it again at whatever time are counted (`again`): a perfect simulator has some (`expected_again`), as many times are
 * judged. */
dp_status dp_suite_sbml_stochastic(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, dp_sbml_fn each, void *user);

/* ---- PEtab's test cases: folders below dir with a problem NAME.yaml and what to expect of it, NAME_solution.yaml ----
 * Judged at the nominal parameters: simulations row by row, chi2, llh and, where they are given, priors and the posterior without
 * its constant, each within the tolerance that the case states. */
typedef struct dp_petab_case {
  char id[64];     /* path below dir: "v1.0.0/sbml/0001" */
  char status[12]; /* pass, fail, refused (names the construct), error */
  char why[400];   /* "" for pass */
  double seconds;
  double worst; /* largest deviation over its tolerance; NaN when nothing was compared */
  double llh, expected;
  int compared; /* values compared */
} dp_petab_case;
typedef void (*dp_petab_case_fn)(void *user, const dp_petab_case *result);

/* ---- published calibration problems: each folder of dir holds one ----
 * The log-likelihood at the nominal parameters against a table of references (columns problem, reference_llh, note: "derived"
 * there allows 1e-4, else 1e-6, relative); problems without a reference against another integrator. With gradients, at the nominal
 * and at random points: backwards against forward, in parts of the largest component, and differences by Richardson. */
typedef struct dp_petab_benchmark {
  char problem[64];
  char status[12];
  char why[400];
  int nstate, nparam, ndatum, nsimulation, ndirection, nobservable;
  double llh, reference, difference; /* difference: |llh - reference| / max(1, |reference|) */
  double tolerance;
  char against[32]; /* "pinned", "derived", or the other integrator's name */
  double log_prior;
  double open_s, llh_s, forward_s,
      adjoint_s;       /* seconds: to compile; of one evaluation, best of some; NaN: not measured */
  int npoint, nusable; /* gradients: points tried, and where the model could be run */
  char lost[200];      /* why it could not be run at the first of the others */
  double adjoint;      /* largest deviation backwards against forward */
  int same_steps; /* 1: asked for, or backwards could not be had but with steps chosen by values alone (dp_sim_def.same_steps) */
  double differences; /* and of forward against differences */
  int ndifference; /* lines compared so, at all points: up to 8 parameters drawn at each, and 2 directions that move all */
  int nunsettled; /* lines beside these, whose differences agree to 1e-5 at no step: they say nothing */
} dp_petab_benchmark;
typedef void (*dp_petab_benchmark_fn)(void *user, const dp_petab_benchmark *result);

typedef struct dp_petab_suite_def {
  uint32_t cookie;
  const char *const *only; /* cases or problems (last part of the path is enough), or NULL: all */
  int nonly;
  const char *const *skip; /* left out, named likewise */
  int nskip;
  const char *method;    /* an integrator (dp_problem_def), NULL: its default */
  const char *other;     /* benchmark: the second integrator: "cvode" */
  double rtol, atol;     /* 0: the default of dp_problem_def */
  const char *reference; /* benchmark: the table, NULL: none */
  bool gradients;
  int points;           /* random points: 5 */
  uint64_t seed;        /* of these: 1 */
  double gradient_rtol; /* 1e-12 */
  int lines;            /* parameters drawn at each point, along which differences are taken: 8, the most; 0: none, but
                              the directions that move all stay */
  int same_steps;       /* as in dp_problem_def, for all gradients and their timings */
  int timings;          /* evaluations of which the fastest counts: 3 */
} dp_petab_suite_def;
dp_petab_suite_def dp_petab_suite_def_default(void);
dp_status dp_suite_petab(dp_ctx *ctx, const char *dir, const dp_petab_suite_def *def, dp_petab_case_fn each,
                         void *user);
/* The mathematics of PEtab's expressions: `file` holds `cases:`, a list of `expression` and `expected` (a number or an expression).
 * Equal within 1e-12 of max(1, |expected|), infinities only themselves. Ids are the expressions, or "#N" where they are long; --only
 * also takes numbers. */
dp_status dp_suite_petab_math(dp_ctx *ctx, const char *file, const dp_petab_suite_def *def, dp_petab_case_fn each,
                              void *user);
dp_status dp_suite_petab_benchmark(dp_ctx *ctx, const char *dir, const dp_petab_suite_def *def,
                                   dp_petab_benchmark_fn each, void *user);

#ifdef __cplusplus
}
#endif
#endif
