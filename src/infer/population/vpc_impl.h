/* vpc_impl.h - floor 6: what the two halves of the visual predictive check share: vpc.c simulates, vpc_bins.c compares. */
#ifndef DPI_VPC_IMPL_H
#define DPI_VPC_IMPL_H

#include "doppel/vpc.h"
#include "infer/infer.h"

/* A measured value and what becomes of it. */
typedef struct dpi_vpc_sample {
  int observable;
  double time;  /* since the last dose where that is asked for; NaN: before the first */
  double y;     /* as measured */
  double limit; /* of quantification; -infinity: none */
  double pred;  /* prediction at effects 0 */
  bool below;
  int bin;      /* of its observable; -1: left out */
} dpi_vpc_sample;

typedef struct dpi_vpc_work {
  dp_ctx *ctx;
  dpi_arena arena;
  const dp_kind *kind;
  const dp_vpc_def *def;
  const dp_prior *prior;
  dpi_person **person; /* [npeople] */
  int npeople;
  int nsample;
  dpi_vpc_sample *sample; /* [nsample] in the order of people, then of their observations */
  double *y;              /* [nsample x nreplicate]; NaN: the model failed */
  long nfailed;
} dpi_vpc_work;

typedef struct dpi_vpc_answer {
  dp_vpc view;
  dpi_arena arena;
} dpi_vpc_answer;

/* Bins, percentiles and intervals from w's samples and simulations into the answer. */
dp_status dpi_vpc_compare(dpi_vpc_work *w, dpi_vpc_answer *a);
/* Percentile p (0..1) of n ascending numbers, of which the first may be -infinity; NaN for none. */
double dpi_vpc_percentile(const double *x, int n, double p);

#endif
