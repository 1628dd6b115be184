/* multistart.h - floor 6, inside infer/point: many searches from many places, and what they found.
 *
 * Searches advance together, so that the density is always asked for many points at once; what a start finds depends on
 * that start alone, so the answer is the same for any batch. An interrupted run leaves a file from which the same call
 * goes on to the same result.
 *
 *     dpi_multistart_def def = dpi_multistart_def_default();
 *     def.nstart = 100;
 *     def.file = "fit.tsv";
 *     dpi_multistart *ms = NULL;
 *     DP_TRY(dpi_multistart_run(d, &def, &ms));
 *     ms->optimum[0].x, ms->hit_rate ...
 *     dpi_multistart_destroy(ms);
 */
#ifndef DPI_MULTISTART_H
#define DPI_MULTISTART_H

#include "infer/point/starts.h"
#include "infer/point/trust.h"

typedef struct dpi_multistart_def {
  int nstart;            /* drawn starts */
  dpi_sampling sampling;
  uint64_t seed;
  const double *given;   /* [ngiven x n] starts before the drawn ones; borrowed */
  int ngiven;
  int screen;            /* candidates a drawn start: the one with the least J is taken; 1: no choice */
  int max_redraw;        /* a start that can't be evaluated is drawn again so often */
  int batch;             /* points asked for at the same time; the answer does not depend on it */
  bool race;             /* starts take turns: all of them get a few steps, the better half of them twice as many, and so
                            on; in the end the rest, the best first. The whole answer is the same, but where time ends
                            it, it has been spent on the better ones. Up to 1000 starts, and 512 MiB of searches */
  bool starts_only;      /* what was found is not sorted into optima */
  double max_cpu;        /* seconds of processor time of the process; then what is under way ends where it is;
                            0: no limit. Fewer points are asked for at once where they take a large part of it */
  long max_eval;         /* starts begun when the ones before have taken so many points do not count; 0: no limit */
  dpi_trust_def trust;
  double j_tol;          /* optima with J closer than this and ... */
  double x_tol;          /* ... closer than this in units of the curvature (standard deviations) are the same one */
  const char *file;      /* state for going on, NULL: none. Read when it is there, removed never */
  double save_every;     /* seconds */
  const char *key;       /* what the density is (a hash of model and data), NULL: unknown; part of the
                            file's identity */
  void (*progress)(void *user, int done, int of, double best); /* NULL: none */
  void *user;
} dpi_multistart_def;
dpi_multistart_def dpi_multistart_def_default(void); /* 100 latin starts, 64 at a time */

typedef struct dpi_start { /* what one start gave */
  dpi_trust_end end;
  double j, loglik, logprior; /* J infinite: nothing */
  double j0;                  /* J at the start */
  double optimality;
  int niter, nredraw;
  long neval, nfailed;        /* all points of this start, and those not evaluable */
  int optimum;                /* into optimum[], -1: none */
  double *x, *x0;             /* [n] */
  char reason[160];           /* of the last point that was not evaluable */
} dpi_start;

typedef struct dpi_optimum { /* a distinct one */
  double j, loglik, logprior;
  double *x, *fisher; /* [n], [n x n] (NULL: quasi-Newton) */
  signed char *at;    /* [n] -1 at the lower bound, 1 at the upper */
  int start;          /* the best start that found it */
  int count;          /* starts that found it */
} dpi_optimum;

typedef struct dpi_multistart {
  dpi_arena arena;
  int n, nstart;        /* with the given ones, which come first */
  dpi_start *start;     /* [nstart] in the order of starts */
  int *order;           /* [nfound] the waterfall: starts by J, ascending */
  int nfound;           /* starts that found anything */
  int nended;           /* searches that came to their own end; fewer than nstart when the processor time was spent */
  int noptimum;
  dpi_optimum *optimum; /* by J, ascending */
  double hit_rate;      /* share of the starts begun whose J is within j_tol of the best */
  long neval, nfailed, nredraw;
} dpi_multistart;

/* DP_ERR_CONVERGE when no start could be evaluated, with the commonest reasons; DP_ERR_CANCELLED after the file is
 * written; DP_ERR_CONFLICT when the file belongs to something else. */
dp_status dpi_multistart_run(dpi_density *d, const dpi_multistart_def *def, dpi_multistart **out);
void dpi_multistart_destroy(dpi_multistart *ms);
/* Tables: the waterfall (rank, start, J, J - best, optimum, end, evaluations) and the distinct optima with their x. */
void dpi_multistart_write(const dpi_multistart *ms, const dpi_density *d, dpi_str *out);

#endif
