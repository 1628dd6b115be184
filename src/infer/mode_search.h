/* mode_search.h - floor 6, inside infer: mode searches as question and answer, so that many go side by side.
 *
 * A *search* (mode.c) goes downhill from one start; a *hunt* (mode_multi.c) is one person's searches from several starts. Both
 * say at which point they want the model, and are told what it gave there:
 *
 *     dpi_hunt_begin(&hunt, &def, first, nstart, rng);
 *     while (hunt.open) {
 *       DP_TRY(dpi_indiv_eval(iv, hunt.search.xt, true, &hunt.search.pt, &ok));     one by one, or people in a batch
 *       dpi_hunt_told(&hunt, ok);
 *     }
 */
#ifndef DPI_MODE_SEARCH_H
#define DPI_MODE_SEARCH_H

#include "infer/infer.h"

typedef struct dpi_search {
  dpi_indiv *iv;
  int n;
  bool open, first;      /* xt is to be evaluated; it is the start */
  double *x, *xt;        /* present and trial point */
  dpi_point pt;          /* what was found at xt goes here: l, g, Fisher matrix */
  double *g, *gt;        /* dl/dx / 2 in u */
  double *b, *s, *bt;    /* F in u at x and xt; S */
  double *w, *v, *c, *p; /* eigenvalues, vectors, g in their axes, step in u */
  double *tmp, *mat;
  double l, radius, decrement, before, fall, length;
  int stalled;
  int held; /* component of x that stays where it is: the search goes along a corner; -1 none */
  dpi_mode_def def;
  dpi_mode mode; /* the result, once it is not open any more */
} dpi_search;

dp_status dpi_search_create(dpi_arena *arena, dpi_indiv *iv, dpi_search *q);
/* remainder: S of a search that ended nearby, or NULL. */
void dpi_search_begin(dpi_search *q, const dpi_mode_def *def, const double *x, const double *remainder);
/* Goes on from where one ended, with its l, gradient, Fisher matrix and S: nothing is evaluated there again. */
void dpi_search_resume(dpi_search *q, const dpi_mode_def *def, const double *x, double l, const double *g, const double *b,
                       const double *s);
/* Begins with x[held] kept. */
void dpi_search_along(dpi_search *q, const dpi_mode_def *def, const double *x, int held);
/* dl/dz / 2 at the present point, z prior standard deviations of x[held] with the others going along as they are correlated. */
double dpi_search_across(const dpi_search *q, int held);
/* ok: pt was filled; false: the model can't be evaluated at xt. */
void dpi_search_told(dpi_search *q, bool ok);
/* Is the present point in the basin of a mode at x with remainder s and Fisher matrix b (both in u)? There the gradient is,
 * within a part, what the mode's quadratic predicts, so that the way down ends in it. */
bool dpi_search_drawn(const dpi_search *q, const double *x, const double *b, const double *s);
/* Where values are cheap: the step's length is the best of several, shorter and longer ones; before xt is evaluated. */
dp_status dpi_search_probe(dpi_search *q);
/* One by one until it is closed. */
dp_status dpi_search_run(dpi_search *q);

#define DPI_HUNT_MODES 8 /* distinct modes at most */

typedef struct dpi_edge { /* where a component of x takes a dose past an observation: l has a corner there, and is smooth between */
  int axis;
  double at;
} dpi_edge;

typedef struct dpi_hunt {
  dpi_search search;
  dpi_mode_def def;
  const double *start; /* the caller's second start, or NULL */
  const double *extra; /* [nextra x dim] starts that come before all that are left, or NULL */
  int nextra;
  dpi_rng rng;
  bool open, refine; /* refine: the second half of a start's search */
  bool cheap;        /* the way is gone by cheap values, only a mode itself is found by the kind's own sim */
  bool screen;       /* the present search's start is a draw of the prior: the best of several may take its place */
  bool given;        /* the present search began at one of `extra` */
  bool best_only;    /* only the best mode is wanted: others need not be followed to their end. The caller's to set */
  int k, nfound, nstart, wanted, max;
  double xt[65];       /* where the present search has come from and to */
  double *x, *g;       /* [max x dim] of the modes: place, gradient in u */
  double *b, *s;       /* [max x dim^2] Fisher matrix in u, S */
  dpi_mode mode[DPI_HUNT_MODES];
  int nmode;
  dpi_edge *edge; /* [nedge] those within reach of the prior, ascending by axis, then place */
  int nedge;
} dpi_hunt;

dp_status dpi_hunt_create(dpi_arena *arena, dpi_indiv *iv, int max, dpi_hunt *h);
void dpi_hunt_begin(dpi_hunt *h, const dpi_mode_def *def, const double *first, int nstart, dpi_rng rng);
void dpi_hunt_told(dpi_hunt *h, bool ok);
/* Go on until nstart starts have been tried. */
void dpi_hunt_more(dpi_hunt *h, int nstart);
/* Go on from n given points [n x dim], which the caller keeps. */
void dpi_hunt_from(dpi_hunt *h, const double *x, int n);
/* Mode k comes to the head of the list. */
void dpi_hunt_first(dpi_hunt *h, int k);
/* Prior standard deviation of component a of x. */
double dpi_hunt_sd(const dpi_hunt *h, int a);
/* The edge at which x lies, within a part of a prior standard deviation; -1 none. */
int dpi_hunt_edge(const dpi_hunt *h, const double *x, double within);
/* x with component a at `to`, the others following as the prior correlates them. */
void dpi_hunt_shift(const dpi_hunt *h, const double *x, int a, double to, double *out);
/* Where the best search ended on a corner: polish by values, and look from further starts. One by one. */
dp_status dpi_hunt_corner(dpi_hunt *h);

/* The modes of many people (mode_batch.c). */
typedef struct dpi_modes_def {
  dpi_mode_def mode;
  int nstart;      /* searches a person */
  int nstart_more; /* and where several modes or a corner were met; 0: no more than that */
  uint64_t seed;
} dpi_modes_def;

typedef struct dpi_modes { /* of one person */
  int nmode;
  dpi_mode mode; /* the best */
  double *x;     /* [dim] caller's memory */
} dpi_modes;
/* Searches of all people side by side: everybody's next point is one member of a batch behind the waist. Where the kind
 * has a cheaper sim for ensembles, the way is gone with that and the last steps with the kind's own. */
dp_status dpi_modes_find(const dp_kind *kind, dpi_person *const *person, int n, const dpi_modes_def *def,
                         dpi_modes *out);

#endif
