/* tune_impl.h - floor 8: a tuning as its file has it. A trial whose people are the draws of one person's belief:
 *
 *     tune_read.c    the file's own words -> dp_tune     tune_rule.c    terms and reward: one candidate judged
 *     tune_people.c  the person as a cohort              tune_run.c     every candidate rehearsed, the best ones again
 *     tune_choose.c  which one, and why
 */
#ifndef DPI_TUNE_IMPL_H
#define DPI_TUNE_IMPL_H

#include "doppel/tune.h"
#include "trial/trial_impl.h"

enum { DPI_TUNE_CANDIDATES = 2000, DPI_TUNE_LIMITS = 12, DPI_TUNE_TERMS = 40, DPI_TUNE_FINALS = 6 };

typedef struct dpi_tune_formula dpi_tune_formula; /* of the terms' values by their ids */

struct dp_tune {
  dp_ctx *ctx;
  dp_trial *trial; /* one arm, a given cohort */
  dp_tune_desc desc;
  int nlimit;  /* the first so many terms */
  int *column; /* [nsetting] of the cohort */
  dpi_tune_formula *reward;
  bool rows; /* changes are scaled: endpoints are counted after that */
};

/* tune_rule.c: limits, conditions, reward */
dp_status dpi_tune_read_rule(dp_tune *tune, const dpi_yaml_doc *doc);
void dpi_tune_formula_destroy(dpi_tune_formula *f);
/* ERR_INPUT: a limit that cannot hold on so few draws. */
dp_status dpi_tune_enough(const dp_tune *tune, double effective);

/* tune_people.c: draws of the belief as rows of a cohort */
typedef struct dpi_tune_people {
  int nsearch, nfresh;
  bool fresh_new;
  double *search, *fresh; /* [n x ncolumn] */
  double *present;        /* [nsetting] */
} dpi_tune_people;
dp_status dpi_tune_people_make(dpi_arena *arena, const dp_tune *tune, const dp_tune_person *person,
                               const dp_tune_def *def, dpi_tune_people *out);

/* tune_choose.c */
/* The finals of a search: the present settings, then the admissible candidates with the largest rewards. */
dp_status dpi_tune_finals(dpi_arena *arena, dp_tune_result *r);
/* Outcome, runner-up, what binds, conflicts and words; value [nfinal x nfresh x nendpoint] of the second look. */
dp_status dpi_tune_conclude(dpi_arena *arena, dp_tune_result *r, const double *value, uint64_t seed);

#endif
