/* select_famos.h - floor 6, inside infer/estimate: FAMoS, a search over models that estimate one subset or another of
 * some parameters.
 *
 *     forward      one more parameter        backward      one less
 *     lateral      one for another of the same swap set
 *     most distant a jump to the complement of a good model that is furthest from all that were fitted
 *
 * A turn fits the neighbours of the present model by one method. While the best of them is better, it is the present
 * model of the next turn; else the scheme says which method comes next, by the methods of the last turns.
 *
 * Source: Gabel, Hohl, Imle, Fackler, Graw, PLoS Comput. Biol. 15 (2019) e1007230; scheme, critical and swap sets as
 * PEtab Select has them (petab-select.readthedocs.io).
 */
#ifndef DPI_SELECT_FAMOS_H
#define DPI_SELECT_FAMOS_H

#include "base/base.h"

#define DPI_FAMOS_LIST(X)         \
  X(FORWARD, "forward")           \
  X(BACKWARD, "backward")         \
  X(LATERAL, "lateral")           \
  X(MOST_DISTANT, "most_distant") \
  X(END, "null")
typedef enum dpi_famos_method {
#define DPI_FAMOS_ENUM(name, word) DPI_FAMOS_##name,
  DPI_FAMOS_LIST(DPI_FAMOS_ENUM)
#undef DPI_FAMOS_ENUM
      DPI_FAMOS_COUNT
} dpi_famos_method;
const char *dpi_famos_name(dpi_famos_method m);
bool dpi_famos_named(const char *word, dpi_famos_method *out);

#define DPI_FAMOS_PATTERN 8
typedef struct dpi_famos_rule { /* after turns of these methods (the last one last) without success: the next method */
  int n;                        /* 0: at the start */
  dpi_famos_method previous[DPI_FAMOS_PATTERN], next;
} dpi_famos_rule;

typedef struct dpi_famos_set {
  int n;
  const int *param;
} dpi_famos_set;

typedef struct dpi_famos_def {
  int nparam;
  const bool *may_fix, *may_estimate; /* [nparam] */
  int ncritical, nswap;
  const dpi_famos_set *critical; /* of each at least one parameter is estimated */
  const dpi_famos_set *swap;
  int nrule; /* 0: those of the paper; the first that fits counts */
  const dpi_famos_rule *rule;
  int nreattempt;        /* jumps instead of an end */
  bool consecutive;      /* lateral goes on while it finds better models; else it is left after one turn */
  const bool *start;     /* [nparam] NULL: the smallest model (forward), the largest (backward) */
  bool start_is_nothing; /* start is not fitted: whatever comes is better */
  /* Fits the model that estimates these; its number, and its criterion (infinite: it could not be fitted). predecessor:
   * the number of the model it is a neighbour of, -1. */
  dp_status (*fit)(void *user, const bool *estimated, int predecessor, int *number, double *criterion);
  void (*turn)(void *user, dpi_famos_method method, const bool *present, int ncandidate); /* NULL allowed */
  void *user;
} dpi_famos_def;

/* ERR_INPUT: the start does not fit the critical sets, the scheme has no rule. */
dp_status dpi_famos_run(dp_ctx *ctx, const dpi_famos_def *def);

#endif
