/* why_impl.h - floor 8: what the files of the explanation share.
 *
 *   why.c          terms, limits, rivals
 *   why_drivers.c  which parameters the answer hangs on
 *   why_advice.c   from an advice: which candidates are compared
 *   why_text.c     in words and as JSON
 */
#ifndef DPI_EXPLAIN_WHY_IMPL_H
#define DPI_EXPLAIN_WHY_IMPL_H

#include <jansson.h>

#include "doppel/why.h"
#include "kind/kind_impl.h"
#include "num/num.h"

enum { DPI_WHY_NONE = -2 }; /* of dp_why_plans' best: none, even where the appraisal has one; the first is nearest */

typedef struct dpi_why_column { /* an individual parameter of the belief */
  int effect;              /* row in kind->effect */
  bool log;                /* standardised on the logarithm: positive in every draw */
  double mean, sd;         /* on that scale */
} dpi_why_column;

typedef struct dpi_why_work {
  const dp_kind *kind;
  const dp_belief *belief;
  const dp_appraisal *a;
  const char (*text)[192]; /* [nplan] */
  const dp_why_def *def;
  dp_why *why;
  bool none;               /* best was given as DPI_WHY_NONE */
  double *work;            /* [4 x ndraw] scratch of whoever is called */
  double *threshold;       /* [nterm] limits: the estimate at which the bound just holds */
  double *z;               /* [ncolumn x ndraw] standardised parameters */
  dpi_why_column *column;
  int ncolumn;
  double *shift, reach;    /* [ncolumn x nplan] least shifts at which a plan wins, NaN none; how far was looked in every direction */
} dpi_why_work;

/* Fills driver and limit_driver; shown: the plan whose tightest limit is looked at. */
dp_status dpi_why_drivers(dpi_why_work *w, int shown);

json_t *dpi_explain_why(const dp_kind *kind, const dp_why *why); /* NULL without memory */

#endif
