/* incidence.h - floor 3, private to linear: matrices that share one pattern closed under products.
 *
 * Entry (i, k) is kept when state k can reach state i through the rates (or i = k). This relation
 * is reflexive and transitive, so sums, products and exponentials of such matrices have the same
 * pattern (the incidence algebra of a preorder). Chains, absorbing compartments (urine, area under
 * the curve) and unconnected parts cost what they need and no more, without any case distinction.
 *
 * A matrix is its entries [nnz], row by row. With directions, entry c has 4 * nblock derivatives
 * beside it
 * ([nnz x 4 nblock]: blocks of four fill the processor's registers).
 */
#ifndef DPI_INCIDENCE_H
#define DPI_INCIDENCE_H

#include "base/base.h"

typedef struct dpi_pair {
  int a, b;
} dpi_pair;

/* States that reach each other (a cycle: central and peripheral compartment), when they are not all
 * states. */
typedef struct dpi_block {
  struct dpi_incidence *sub; /* owned: full matrices of the block */
  int *entry;                /* owned: [sub->nnz] the same entries in the whole */
} dpi_block;

struct dpi_expm_work;
struct dpi_incidence;

/* The arithmetic by one instruction set; all give the same bytes. */
typedef struct dpi_incidence_ops {
  void (*multiply)(const struct dpi_incidence *p, int nblock, const double *a, const double *da, const double *b,
                   const double *db, double *c, double *dc);
  bool (*expm)(const struct dpi_incidence *p, int nblock, const double *m, const double *dm, bool metzler, double h,
               double *e, double *de, struct dpi_expm_work *work);
} dpi_incidence_ops;
extern const dpi_incidence_ops dpi_incidence_base;
#if defined(__x86_64__)
extern const dpi_incidence_ops dpi_incidence_avx, dpi_incidence_avx512;
#endif

#define DPI_CHAIN 3

typedef struct dpi_incidence {
  const dpi_incidence_ops *ops; /* what this processor does best */
  int n, nnz;
  int *row, *col; /* [nnz] */
  int *at;        /* [n x n] entry of (row, col) or -1 */
  int *diag;      /* [n] entry of (i, i) */
  int *first;     /* [nnz + 1] products that make entry c: pair[first[c]] .. */
  dpi_pair *pair; /* entry c of A B = sum A[a] B[b] */
  uint8_t *alone; /* [n] no other state both reaches i and is reached from it: exp has exp(a_ii) on
                     its diagonal */
  int nchain;     /* n where it is at most DPI_CHAIN and no state is in a cycle, else 0: closed form */
  int chain[DPI_CHAIN]; /* then the states, everybody behind who reaches them */
  bool has_cycle;       /* two states that reach each other, and at most one more: closed form */
  int cycle[3];         /* then the two, and the one beside them or -1 */
  int nblock;     /* cycles: exp has the exponential of the block in its place */
  dpi_block *block;
} dpi_incidence;

/* From reach [n x n] (made reflexive and transitive in place). */
dp_status dpi_incidence_init(dp_ctx *ctx, int n, uint8_t *reach, dpi_incidence *p);
void dpi_incidence_release(dp_ctx *ctx, dpi_incidence *p);

/* c = a b and, where nblock > 0, dc = da b + a db. c may not be a or b. */
void dpi_incidence_multiply(const dpi_incidence *p, int nblock, const double *a, const double *da,
                            const double *b, const double *db, double *c, double *dc);
/* Largest row sum of absolute values. */
double dpi_incidence_norm(const dpi_incidence *p, const double *a);

typedef struct dpi_expm_work {
  double *x[6], *dx[6];    /* powers and scratch: entries [nnz] and derivatives [nnz x 4 nblock] */
  double *m, *dm, *e, *de; /* of a block, as large as the whole; used where there are blocks */
  struct dpi_expm_work *inner; /* for a block's exponential */
} dpi_expm_work;

/* e = exp(m h) and de = its derivatives in the directions dm. metzler: off the diagonal m >= 0,
 * then no cancellation happens and every entry is accurate by itself. False when m h is not finite.
 */
bool dpi_incidence_expm(const dpi_incidence *p, int nblock, const double *m, const double *dm,
                        bool metzler, double h, double *e, double *de, dpi_expm_work *work);

#endif
