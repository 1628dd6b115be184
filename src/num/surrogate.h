/* surrogate.h - floor 1: a trained surrogate: a function known at some points, answered between them with its own
 * error.
 *
 * A surrogate is data: its inputs with their domain, the points it was made from and the few settings that training
 * chose (a Gaussian process' lengths, a polynomial's terms). Everything else follows from these by `assemble`, the
 * same way where it is trained and where it is read. What lies outside the domain is never answered. Training:
 * infer/surrogate.
 *
 *     gp     y ~ constant + Gaussian process, squared exponential or Matern 5/2 with a length for each input, plus
 * noise; inputs
 *            on 0..1 of their domain (C. E. Rasmussen, C. K. I. Williams 2006, ch. 2 and 5)
 *     pce    sum of products of orthonormal polynomials, Legendre on the domain or Hermite on a normal law (D. Xiu,
 * G. E.
 *            Karniadakis 2002), by least squares
 *
 * The error of an answer is part of it: for gp the process' posterior deviation, for pce the error of leaving out one
 * row with the leverage of the place; each times what cross-validation of the whole training shows
 * to be needed (inflate).
 */
#ifndef DPI_SURROGATE_H
#define DPI_SURROGATE_H

#include "num/num.h"

typedef enum dpi_surrogate_kind { DPI_SURROGATE_GP, DPI_SURROGATE_PCE } dpi_surrogate_kind;
typedef enum dpi_surrogate_kernel { DPI_KERNEL_SQEXP, DPI_KERNEL_MATERN52 } dpi_surrogate_kernel;

enum { DPI_SURROGATE_ID = 128, DPI_SURROGATE_MOST_ROWS = 4000, DPI_SURROGATE_MOST_DEGREE = 60 };

typedef struct dpi_surrogate_input {
  char id[DPI_SURROGATE_ID];
  double low, high; /* domain */
  bool log;         /* the input's logarithm is what enters */
  bool hermite;     /* pce: normal with mean a and deviation b (of the logarithm if log); else uniform on the domain */
  double a, b;
} dpi_surrogate_input;

typedef struct dpi_surrogate_part { /* one output */
  char id[DPI_SURROGATE_ID];
  dpi_surrogate_kind kind;
  double *y; /* [nrow] */
  dpi_surrogate_kernel kernel;
  double *length;       /* gp: [ninput] on 0..1 */
  double signal, noise; /* gp: standard deviations */
  int nterm;            /* pce */
  uint8_t *power;       /* pce: [nterm x ninput] */
  double inflate;       /* what errors are multiplied by, from cross-validation; 0: 1 */
  int ntest;            /* held-out points at which the function was asked beside it; 0: none */
  double rms, inside;   /* root mean square error there; share within 1.645 deviations */
  /* by assemble */
  double mean;    /* gp: of y, by generalised least squares */
  double *factor; /* gp: [nrow x nrow] Cholesky of the covariance; pce: [nterm x nterm] of the Gram matrix */
  double *weight; /* gp: [nrow]; pce: [nterm] coefficients */
  double spread;  /* pce: deviation of an answer where leverage is 0; gp: what deviations are multiplied by */
  double loo;     /* root mean square of the errors made when each point is left out */
  double q2;      /* 1 - loo^2 / variance of y */
  double loglik;  /* gp: marginal */
  double cross;   /* by training: root mean square error of cross-validation */
} dpi_surrogate_part;

typedef struct dpi_surrogate {
  dp_ctx *ctx;
  dpi_arena arena;
  int ninput, nrow, noutput, nfailed; /* nfailed: points of the design at which the function failed */
  double start;                       /* time at which the function's runs began */
  char origin[65];                    /* hash of what was asked, "" */
  dpi_surrogate_input *input;
  double *x;     /* [nrow x ninput] */
  double *place; /* [nrow x ninput] on 0..1, by assemble */
  dpi_surrogate_part *part;
  char hash[65]; /* of its text; "" before it is written */
} dpi_surrogate;

/* Room for so much, all zero. */
dp_status dpi_surrogate_create(dp_ctx *ctx, int ninput, int nrow, int noutput, dpi_surrogate **out);
void dpi_surrogate_destroy(dpi_surrogate *s);
/* Room for nterm terms in a part; what it had is let go with the surrogate. */
dp_status dpi_surrogate_terms(dpi_surrogate *s, int part, int nterm);
/* What follows from settings and rows. ERR_NUMERIC: the covariance or Gram matrix is not positive definite. */
dp_status dpi_surrogate_assemble(dpi_surrogate *s, int part);

/* First input outside its domain, or -1. */
int dpi_surrogate_outside(const dpi_surrogate *s, const double *x);
/* Mean and error at x, which is inside. work: at least dpi_surrogate_work doubles. */
size_t dpi_surrogate_work(const dpi_surrogate *s);
void dpi_surrogate_ask(const dpi_surrogate *s, int part, const double *x, double *mean, double *sd, double *work);
/* Many points; ERR_INPUT, by name and value, when one lies outside. sd may be NULL. */
dp_status dpi_surrogate_ask_all(const dpi_surrogate *s, int part, int npoint, const double *x, double *mean,
                                double *sd);

/* For training: places of a point on 0..1; covariance of two such places; all terms' polynomials at x. */
void dpi_surrogate_place(const dpi_surrogate *s, const double *x, double *u);
double dpi_surrogate_kernel_at(dpi_surrogate_kernel k, double r2); /* r2: squared distance in lengths */
/* Orthonormal polynomials 0..degree of input k at x. */
void dpi_surrogate_polynomials(const dpi_surrogate *s, int k, double x, int degree, double *p);

/* As text, with its hash in the last line; s->hash is set. */
dp_status dpi_surrogate_write(dpi_surrogate *s, dpi_str *text);
/* From such a text; assembled. Damage is refused by line. name: for messages. */
dp_status dpi_surrogate_read(dp_ctx *ctx, const char *name, const char *text, size_t size, dpi_surrogate **out);

#endif
