/* vpc.h - does a population's law make data like those it was estimated from?  O, D -> audit
 *
 *     dp_vpc_def def = dp_vpc_def_default();
 *     dp_vpc *vpc;
 *     DP_TRY(dp_vpc_create(kind, record, prior, &def, &vpc));
 *     for (int p = 0; p < vpc->npanel; p++) ... vpc->panel[p].bin[k].observed[1] ...
 *     dp_vpc_destroy(vpc);
 *
 * Visual predictive check: the whole data set is simulated again and again (same people, doses, covariates and times; effects
 * drawn from Omega, residual error drawn; typical values as they are). In bins of time, percentiles of the observed values stand
 * beside the interval in which nine of ten simulated data sets have theirs. The correction for what differs by design (doses,
 * covariates, times within a bin) is that of Bergstrand, Hooker, Wallin & Karlsson (2011) AAPS J 13:143.
 */
#ifndef DOPPEL_VPC_H
#define DOPPEL_VPC_H

#include "doppel/belief.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DP_VPC_NPERCENTILE = 3 }; /* 5, 50, 95 */

typedef struct dp_vpc_def {
  uint32_t cookie;
  uint64_t seed;          /* 1 */
  int nreplicate;         /* 500 */
  int nbin;               /* 0: by how many samples people have; bins of equally many samples, equal times stay together */
  const double *edge;     /* [nedge] ascending, borrowed: bins [edge k, edge k+1), the last one closed; NULL: nbin */
  int nedge;
  int after_dose;         /* 1: time since the last dose; samples before the first are left out */
  const char *correction; /* "none"; "ratio": value times median prediction of the bin / prediction at effects 0;
                             "difference": value + median - prediction, for values that are logarithms */
} dp_vpc_def;
dp_vpc_def dp_vpc_def_default(void);

typedef struct dp_vpc_bin {
  double low, high, middle; /* first, last and median time of its samples */
  int nobs, nbelow;         /* samples; of them below their limit of quantification */
  /* -infinity: that percentile lies below the limit; NaN: no simulation */
  double observed[DP_VPC_NPERCENTILE];
  double simulated[DP_VPC_NPERCENTILE][3]; /* low end of the 90 % interval, median, high end */
  int inside[DP_VPC_NPERCENTILE];          /* observed lies in the interval */
  double below[3];                         /* simulated fraction below the limit: low, median, high */
} dp_vpc_bin;

typedef struct dp_vpc_panel { /* an observable */
  const char *id, *name, *unit;
  int nbin;
  const dp_vpc_bin *bin;
  int npoint;            /* samples in bins */
  const double *time;    /* [npoint] */
  const double *value;   /* [npoint] corrected; -infinity: below the limit */
  int nleft_out;         /* outside the edges, or before the first dose */
  int nuncorrected;      /* prediction 0: "ratio" leaves such values as they are */
} dp_vpc_panel;

typedef struct dp_vpc {
  int npanel;
  const dp_vpc_panel *panel; /* observables without samples have none */
  int nreplicate, npeople;
  int ncell, ninside;        /* observed percentiles in all, and inside their intervals: nine of ten are to be expected */
  long nfailed;              /* simulated people on whom the model failed; left out. More than 1 in 20 is an error */
  void *owner;               /* internal */
} dp_vpc;

/* prior: the law under test, usually dp_prior_fit's of the same people. ERR_UNSUPPORTED: a correction of values below
 * quantification (their rank after it is not known), or of a model with a random course. */
dp_status dp_vpc_create(const dp_kind *kind, const dp_record *record, const dp_prior *prior, const dp_vpc_def *def,
                        dp_vpc **out);
void dp_vpc_destroy(dp_vpc *vpc);

#ifdef __cplusplus
}
#endif
#endif
