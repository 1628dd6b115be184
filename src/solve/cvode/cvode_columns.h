/* cvode_columns.h - floor 3, private to cvode: all sensitivities of a member as one vector of SUNDIALS.
 *
 * CVODES keeps each column of S as a vector of its own and goes through them one by one. Here S, row-major
 * [n x columns] as everywhere else in this room, is one vector of the library, so that its arithmetic, J S and the
 * linear solves run along rows, in lanes, and are told to the library as one sensitivity.
 *
 * Invariants:
 *   1. each number is what the library's own vectors give: the same operations in the same order, a norm is the
 *      largest of the columns' norms;
 *   2. a vector takes the shape of what is put into it (the library lends its state vectors as scratch for columns);
 *      set to a constant it has again the shape it was made with;
 *   3. element by element operations on columns wait in a queue and are done together, piece by piece, so that a
 *      dozen of them go through memory once. Whoever looks at numbers asks for them by dpi_columns_data;
 *   4. whoever writes numbers himself asks where by dpi_columns_begin;
 *   5. the content begins as that of a serial vector: NV_DATA_S is right for vectors of one column, which never wait.
 */
#ifndef DPI_CVODE_COLUMNS_H
#define DPI_CVODE_COLUMNS_H

#include <sundials/sundials_nvector.h>

#include "base/base.h"

enum { DPI_COLUMNS_QUEUE = 48 };

typedef enum dpi_columns_kind {
  DPI_COLUMNS_SET,      /* z = a */
  DPI_COLUMNS_SCALE,    /* z = a x */
  DPI_COLUMNS_SUM,      /* z = a x + b y */
  DPI_COLUMNS_BOTH,     /* z = a (x + b y), b: 1 or -1 */
  DPI_COLUMNS_PRODUCT,  /* z = x y */
  DPI_COLUMNS_QUOTIENT, /* z = x / y */
  DPI_COLUMNS_SIZE,     /* z = |x| */
  DPI_COLUMNS_INVERSE,  /* z = 1 / x */
  DPI_COLUMNS_ADD       /* z = x + a */
} dpi_columns_kind;

/* z may be x or y; otherwise nothing overlaps. */
typedef struct dpi_columns_op {
  dpi_columns_kind kind;
  double a, b;
  const double *x, *y;
  double *z;
} dpi_columns_op;

/* J by rows: entries [first[i], first[i + 1]) of row i, in the order of the tape's list. */
typedef struct dpi_columns_rows {
  int n;
  int *first, *entry, *col;
} dpi_columns_rows;

/* Factors of a matrix: R \ A(P, Q) = L U + F, all by columns; blocks [first[k], first[k + 1]) along the diagonal. U's
 * diagonal stands last in its columns, L's (1) first. */
typedef struct dpi_columns_factors {
  int n, nblock;
  const int64_t *first, *p, *q;
  const double *scale; /* [n] R in the order of rows of the factors */
  const int64_t *lp, *li, *up, *ui, *fp, *fi;
  const double *lx, *ux, *fx;
} dpi_columns_factors;

enum { DPI_COLUMNS_TILE = 32 }; /* columns solved at once */

/* The arithmetic by one instruction set; all give the same bytes. */
typedef struct dpi_columns_kernels {
  void (*elements)(const dpi_columns_op *op, int nop, size_t count);
  /* sum[c] = sum over rows of (x w)^2 */
  void (*squares)(int n, int nc, const double *x, const double *w, double *sum);
  /* out += J in, both [n x nc] */
  void (*product)(const dpi_columns_rows *rows, int nc, const double *jac, const double *in, double *out);
  /* b [n x nc] becomes the solution; room [n x DPI_COLUMNS_TILE] */
  void (*solve)(const dpi_columns_factors *f, int nc, double *b, double *room);
} dpi_columns_kernels;
extern const dpi_columns_kernels dpi_columns_base;
#if defined(__x86_64__)
extern const dpi_columns_kernels dpi_columns_avx, dpi_columns_avx512;
#endif

/* What vectors of one integrator share. */
typedef struct dpi_columns {
  dp_ctx *ctx;
  const dpi_columns_kernels *kernels; /* what this processor does best */
  int n, most;                        /* rows; largest number of columns */
  double *sum;                        /* owned: [most] */
  struct dpi_columns_slot *slot;      /* owned: what is behind vectors */
  dpi_columns_op queue[DPI_COLUMNS_QUEUE];
  int nqueue;
  size_t count;   /* elements of those waiting */
  unsigned epoch; /* changes when the queue is emptied */
  bool no_memory; /* a vector lacks room: operations do nothing, and nothing is worth anything */
  bool exact;     /* the corrector asks for the matrix of here and now (cvode_corrector.h) */
} dpi_columns;

dp_status dpi_columns_init(dp_ctx *ctx, int n, int most, dpi_columns *family);
void dpi_columns_release(dpi_columns *family); /* after all vectors */
/* A vector [n x nc] of zeros. The library can't do without one: where there is no memory for its numbers, no_memory
 * says so, and it must be given back before that is taken back. NULL: the library itself had none. */
N_Vector dpi_columns_new(dpi_columns *family, SUNContext sun, int nc);
/* Another number of columns, at most family->most; the content is lost. */
void dpi_columns_set(N_Vector v, int nc);
/* Where to write its numbers, all of them: it has the shape again that it was made with. */
double *dpi_columns_begin(N_Vector v);
/* Its numbers, after what waits for them. */
double *dpi_columns_data(N_Vector v);
/* Its numbers stand in `data` [n x nc] from now on, borrowed; NULL: in its own again. */
void dpi_columns_lend(N_Vector v, double *data);
int dpi_columns_count(N_Vector v); /* of columns it has now */

#endif
