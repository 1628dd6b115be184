/* cvode_columns_body.h - floor 3, private to cvode: the arithmetic of cvode_columns.h once for each instruction set.
 * Lanes are columns or elements: nothing is summed in another order by wider registers and nothing is contracted
 * (-ffp-contract=off), so all give the same bytes.
 *
 * Before it is included: KERNELS, the table's name; WIDE, doubles of the widest register.
 */
#include <math.h>
#include <string.h>

#include "solve/cvode/cvode_columns.h"

#define PIECE 256 /* elements: a dozen vectors' pieces fit the first cache */
#define TILE DPI_COLUMNS_TILE
#define NREG (TILE / WIDE)

typedef double lanes __attribute__((vector_size(8 * WIDE), aligned(8), may_alias));
typedef int64_t bits __attribute__((vector_size(8 * WIDE), aligned(8), may_alias));

#define LOAD(p) (*(const lanes *)(p))
#define STORE(p) (*(lanes *)(p))

/* One operation over a piece; VECTOR and SCALAR are expressions in X, Y, of lanes and of numbers. */
#define EACH(VECTOR, SCALAR)                                  \
  do {                                                        \
    int i = 0;                                                \
    for (; i + WIDE <= m; i += WIDE) STORE(z + i) = (VECTOR); \
    for (; i < m; i++) z[i] = (SCALAR);                       \
  } while (0)
#define X LOAD(x + i)
#define Y LOAD(y + i)

static void one(const dpi_columns_op *o, size_t from, int m) {
  const double *x = o->x ? o->x + from : NULL, *y = o->y ? o->y + from : NULL;
  double *z = o->z + from;
  const double a = o->a, b = o->b;
  switch (o->kind) {
    case DPI_COLUMNS_SET:
      EACH((lanes){0.0} + a, a);
      break;
    case DPI_COLUMNS_SCALE:
      if (a == 1.0)
        memcpy(z, x, (size_t)m * sizeof *z);
      else
        EACH(a * X, a * x[i]);
      break;
    case DPI_COLUMNS_SUM:
      if (a == 1.0 && b == 1.0)
        EACH(X + Y, x[i] + y[i]);
      else if (a == 1.0)
        EACH(X + b * Y, x[i] + b * y[i]);
      else
        EACH(a * X + b * Y, a * x[i] + b * y[i]);
      break;
    case DPI_COLUMNS_BOTH:
      EACH(a * (X + b * Y), a * (x[i] + b * y[i]));
      break;
    case DPI_COLUMNS_PRODUCT:
      EACH(X * Y, x[i] * y[i]);
      break;
    case DPI_COLUMNS_QUOTIENT:
      EACH(X / Y, x[i] / y[i]);
      break;
    case DPI_COLUMNS_SIZE:
      EACH((lanes)(*(const bits *)(x + i) & INT64_MAX), fabs(x[i]));
      break;
    case DPI_COLUMNS_INVERSE:
      EACH(1.0 / X, 1.0 / x[i]);
      break;
    case DPI_COLUMNS_ADD:
      EACH(X + a, x[i] + a);
      break;
  }
}
#undef X
#undef Y

static void elements(const dpi_columns_op *op, int nop, size_t count) {
  for (size_t from = 0; from < count; from += PIECE) {
    const int m = count - from < PIECE ? (int)(count - from) : PIECE;
    for (int i = 0; i < nop; i++) one(&op[i], from, m);
  }
}

static void squares(int n, int nc, const double *x, const double *w, double *sum) {
  memset(sum, 0, (size_t)nc * sizeof *sum);
  for (int r = 0; r < n; r++, x += nc, w += nc) {
    int c = 0;
    for (; c + WIDE <= nc; c += WIDE) {
      const lanes p = LOAD(x + c) * LOAD(w + c);
      STORE(sum + c) += p * p;
    }
    for (; c < nc; c++) sum[c] += (x[c] * w[c]) * (x[c] * w[c]);
  }
}

/* `reg` registers of columns from c on. */
static inline __attribute__((always_inline)) void product_columns(const dpi_columns_rows *rows, int nc, int c, int reg,
                                                                  const double *jac, const double *in, double *out) {
  for (int r = 0; r < rows->n; r++) {
    double *to = out + (size_t)r * (size_t)nc + c;
    lanes sum[NREG];
    if (rows->first[r] == rows->first[r + 1]) continue;
    for (int g = 0; g < reg; g++) sum[g] = LOAD(to + g * WIDE);
    for (int e = rows->first[r]; e < rows->first[r + 1]; e++) {
      const double v = jac[rows->entry[e]];
      const double *at = in + (size_t)rows->col[e] * (size_t)nc + c;
      for (int g = 0; g < reg; g++) sum[g] += v * LOAD(at + g * WIDE);
    }
    for (int g = 0; g < reg; g++) STORE(to + g * WIDE) = sum[g];
  }
}

static void product(const dpi_columns_rows *rows, int nc, const double *jac, const double *in, double *out) {
  int c = 0;
  for (; c + TILE <= nc; c += TILE) product_columns(rows, nc, c, NREG, jac, in, out);
  for (; c + WIDE <= nc; c += WIDE) product_columns(rows, nc, c, 1, jac, in, out);
  for (int r = 0; c < nc && r < rows->n; r++)
    for (int e = rows->first[r]; e < rows->first[r + 1]; e++) {
      const double v = jac[rows->entry[e]];
      const double *at = in + (size_t)rows->col[e] * (size_t)nc;
      for (int k = c; k < nc; k++) out[(size_t)r * (size_t)nc + k] += v * at[k];
    }
}

/* to -= v from, `reg` registers */
static inline __attribute__((always_inline)) void less(int reg, double *to, double v, const lanes *from) {
  for (int g = 0; g < reg; g++) STORE(to + g * WIDE) -= v * from[g];
}

static inline __attribute__((always_inline)) void load_tile(int reg, lanes *to, const double *from) {
  for (int g = 0; g < reg; g++) to[g] = LOAD(from + g * WIDE);
}

/* The block's two triangles, then what the rows above take from it. */
static inline __attribute__((always_inline)) void solve_block(const dpi_columns_factors *f, int64_t from, int64_t to,
                                                              int reg, double *room) {
  const int64_t wide = reg * WIDE;
  lanes x[NREG];
  for (int64_t k = from; k < to; k++) {
    load_tile(reg, x, room + k * wide);
    for (int64_t p = f->lp[k] + 1; p < f->lp[k + 1]; p++) less(reg, room + f->li[p] * wide, f->lx[p], x);
  }
  for (int64_t k = to - 1; k >= from; k--) {
    const int64_t end = f->up[k + 1] - 1;
    load_tile(reg, x, room + k * wide);
    for (int g = 0; g < reg; g++) STORE(room + k * wide + g * WIDE) = x[g] = x[g] / f->ux[end];
    for (int64_t p = f->up[k]; p < end; p++) less(reg, room + f->ui[p] * wide, f->ux[p], x);
  }
  for (int64_t k = from; k < to; k++) {
    load_tile(reg, x, room + k * wide);
    for (int64_t p = f->fp[k]; p < f->fp[k + 1]; p++) less(reg, room + f->fi[p] * wide, f->fx[p], x);
  }
}

/* m columns from c on, in `reg` registers. */
static inline __attribute__((always_inline)) void solve_columns(const dpi_columns_factors *f, int nc, int c, int m,
                                                                int reg, double *b, double *room) {
  const int wide = reg * WIDE;
  for (int k = 0; k < f->n; k++) {
    const double *from = b + (size_t)f->p[k] * (size_t)nc + c;
    double *to = room + (size_t)k * (size_t)wide;
    for (int i = 0; i < m; i++) to[i] = from[i] / f->scale[k];
    for (int i = m; i < wide; i++) to[i] = 0.0;
  }
  for (int k = f->nblock - 1; k >= 0; k--) solve_block(f, f->first[k], f->first[k + 1], reg, room);
  for (int k = 0; k < f->n; k++)
    memcpy(b + (size_t)f->q[k] * (size_t)nc + c, room + (size_t)k * (size_t)wide, (size_t)m * sizeof *b);
}

static void solve(const dpi_columns_factors *f, int nc, double *b, double *room) {
  int c = 0;
  for (; c + TILE <= nc; c += TILE) solve_columns(f, nc, c, TILE, NREG, b, room);
  for (; c + TILE / 2 <= nc; c += TILE / 2) solve_columns(f, nc, c, TILE / 2, NREG / 2, b, room);
  for (; c < nc; c += WIDE) solve_columns(f, nc, c, nc - c < WIDE ? nc - c : WIDE, 1, b, room);
}

const dpi_columns_kernels KERNELS = {elements, squares, product, solve};
