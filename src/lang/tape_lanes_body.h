/* tape_lanes_body.h - floor 3, inside the room: one table of dpi_lane_ops with its interpreter. A body, not an
 * interface: whoever includes it defines
 *
 *     LANE_TABLE            name of the table
 *     LANE_SET              set of num/lane_math.h
 *     LANE_W                width
 *     LANE_ISA, LANE_FUSED  as in dpi_lane_ops
 *     LANE_FMA(a, b, c)     DPI_OP_FMA of vectors or numbers in this arithmetic
 *     LANE_SQRT(a)          of vectors; not for width 1
 *
 * and is compiled for the processor the set needs. Everything but the table is static: no code for one processor may be
 * taken for another's by the linker. What was defined is undefined again at the end.
 */
#include <math.h>

#include "lang/lang_impl.h"
#include "lang/tape_lanes.h"
#include "num/lane_math.h"

#define LANE_JOIN_(a, b) a##_##b
#define LANE_JOIN(a, b) LANE_JOIN_(a, b)
#define LOCAL(name) LANE_JOIN(name, LANE_TABLE)
#define MATH(name) LANE_JOIN(dpi_lane_##name, LANE_SET)

/* what no vector function does: the same in each lane as in the scalar interpreter */
#define BY_LANE(name, op)                                                              \
  static void LOCAL(name)(const double *a, const double *b, double *out) {             \
    for (int l = 0; l < LANE_W; l++) out[l] = dpi_op_eval(DPI_OP_##op, a[l], b[l], 0); \
  }
BY_LANE(digamma, DIGAMMA)
BY_LANE(mod, MOD)

#define EACH_LANE(name, value)                                             \
  static void LOCAL(name)(const double *a, const double *b, double *out) { \
    (void)b;                                                               \
    for (int l = 0; l < LANE_W; l++) {                                     \
      const double x = a[l], y = b[l];                                     \
      (void)y;                                                             \
      out[l] = (value);                                                    \
    }                                                                      \
  }
EACH_LANE(floor, floor(x))
EACH_LANE(ceil, ceil(x))
EACH_LANE(sign, x != x ? x : (double)((x > 0.0) - (x < 0.0)))
EACH_LANE(min, x < y || x != x ? x : y)
EACH_LANE(max, x > y || x != x ? x : y)

#define MATH_ENTRY(name, op) [DPI_OP_##op] = MATH(name),
#define MATH_CALLS DPI_LANE_MATH_LIST(MATH_ENTRY) DPI_LANE_MATH_LIST2(MATH_ENTRY)
#define LOCAL_CALLS                                                                                \
  [DPI_OP_DIGAMMA] = LOCAL(digamma), [DPI_OP_MOD] = LOCAL(mod), [DPI_OP_FLOOR] = LOCAL(floor),     \
  [DPI_OP_CEIL] = LOCAL(ceil), [DPI_OP_SIGN] = LOCAL(sign), [DPI_OP_MIN] = LOCAL(min), [DPI_OP_MAX] = LOCAL(max)

#if LANE_W == 1
#define TAPE_RUN LOCAL(run)
#define TAPE_FMA(a, b, c) LANE_FMA(a, b, c)
#include "lang/tape_scalar.h"
#else

typedef double LOCAL(vec) __attribute__((vector_size(8 * LANE_W), may_alias));
typedef int64_t LOCAL(mask) __attribute__((vector_size(8 * LANE_W), may_alias));
#define VEC LOCAL(vec)
#define MASK LOCAL(mask)

/* a mask of comparison as 0 and 1 */
static inline VEC LOCAL(truth)(MASK m) { return (VEC)(m & (MASK)((VEC){0} + 1.0)); }

static inline VEC LOCAL(choose)(MASK m, VEC a, VEC b) { return (VEC)(((MASK)a & m) | ((MASK)b & ~m)); }

/* dpi_powi */
static inline VEC LOCAL(powi)(VEC x, int n) {
  unsigned k = n < 0 ? 0u - (unsigned)n : (unsigned)n;
  const VEC one = (VEC){0} + 1.0;
  VEC r = one, b = x;
  bool first = true;
  for (; k != 0; k >>= 1) {
    if ((k & 1u) && first) {
      r = b;
      first = false;
    } else if (k & 1u) {
      r = r * b;
    }
    if (k > 1) b = b * b;
  }
  if (n < 0) r = one / r;
  return r;
}

// clang-format off
#define TRUTH(m) LOCAL(truth)((MASK)(m))
#define VECTOR_LIST(X)                                                                             \
  X(DPI_OP_ADD, r[s->a] + r[s->b])                                                                 \
  X(DPI_OP_SUB, r[s->a] - r[s->b])                                                                 \
  X(DPI_OP_MUL, r[s->a] * r[s->b])                                                                 \
  X(DPI_OP_DIV, r[s->a] / r[s->b])                                                                 \
  X(DPI_OP_NEG, -r[s->a])                                                                          \
  X(DPI_OP_POWI, LOCAL(powi)(r[s->a], s->b))                                                       \
  X(DPI_OP_SQRT, LANE_SQRT(r[s->a]))                                                               \
  X(DPI_OP_ABS, (VEC)((MASK)r[s->a] & INT64_MAX))                                                  \
  X(DPI_OP_LT, TRUTH(r[s->a] < r[s->b]))                                                           \
  X(DPI_OP_LE, TRUTH(r[s->a] <= r[s->b]))                                                          \
  X(DPI_OP_GT, TRUTH(r[s->a] > r[s->b]))                                                           \
  X(DPI_OP_GE, TRUTH(r[s->a] >= r[s->b]))                                                          \
  X(DPI_OP_EQ, TRUTH(r[s->a] == r[s->b]))                                                          \
  X(DPI_OP_NE, TRUTH(r[s->a] != r[s->b]))                                                          \
  X(DPI_OP_AND, TRUTH((MASK)(r[s->a] != 0.0) & (MASK)(r[s->b] != 0.0)))                            \
  X(DPI_OP_OR, TRUTH((MASK)(r[s->a] != 0.0) | (MASK)(r[s->b] != 0.0)))                             \
  X(DPI_OP_NOT, TRUTH(r[s->a] == 0.0))                                                             \
  X(DPI_OP_IF, LOCAL(choose)((MASK)(r[s->a] != 0.0), r[s->b], r[s->c]))                            \
  X(DPI_OP_FMA, LANE_FMA(r[s->a], r[s->b], r[s->c]))                                               \
  X(DPI_STEP_MADD, r[s->a] * r[s->b] + r[s->c])                                                    \
  X(DPI_STEP_MSUB, r[s->a] * r[s->b] - r[s->c])                                                    \
  X(DPI_STEP_NMADD, r[s->c] - r[s->a] * r[s->b])                                                   \
  X(DPI_STEP_CUBE, r[s->a] * (r[s->a] * r[s->a]))

/* through the table of calls; CONST and SYM are never steps */
#define CALLED_LIST(X)                                                                             \
  X(POW) X(EXP) X(LOG) X(LOG10) X(FLOOR) X(CEIL) X(SIN) X(COS) X(TAN) X(ASIN) X(ACOS) X(ATAN) X(SINH) X(COSH)  \
  X(TANH) X(ASINH) X(ACOSH) X(ATANH) X(EXPM1) X(LOG1P) X(ERF) X(LGAMMA) X(DIGAMMA) X(SIGN) X(ATAN2) X(MIN)     \
  X(MAX) X(MOD)
// clang-format on

static void LOCAL(run)(const dpi_step *s, double *reg) {
  static const dpi_lane_fn call[DPI_OP_COUNT] = {MATH_CALLS LOCAL_CALLS};
#define VECTOR_LABEL(op, value) [op] = &&do_##op,
#define CALLED_LABEL(op) [DPI_OP_##op] = &&do_call,
  static const void *const label[DPI_STEP_COUNT] = {VECTOR_LIST(VECTOR_LABEL)
                                                        CALLED_LIST(CALLED_LABEL)[DPI_STEP_END] = &&do_end};
  VEC *r = (VEC *)reg;
#define NEXT goto *label[s->op]
  NEXT;
#define VECTOR_CASE(op, value)   \
  do_##op : r[s->dst] = (value); \
  s++;                           \
  NEXT;
  VECTOR_LIST(VECTOR_CASE)
do_call:
  call[s->op]((const double *)&r[s->a], (const double *)&r[s->b], (double *)&r[s->dst]);
  s++;
  NEXT;
do_end:
  return;
}
#endif

const dpi_lane_ops LANE_TABLE = {
    .width = LANE_W,
    .isa = LANE_ISA,
    .fma = LANE_FUSED,
    .call = {MATH_CALLS LOCAL_CALLS},
    .run = LOCAL(run),
};

#undef LANE_JOIN_
#undef LANE_JOIN
#undef LOCAL
#undef MATH
#undef BY_LANE
#undef EACH_LANE
#undef MATH_ENTRY
#undef MATH_CALLS
#undef LOCAL_CALLS
#undef VEC
#undef MASK
#undef TRUTH
#undef VECTOR_LIST
#undef CALLED_LIST
#undef VECTOR_LABEL
#undef CALLED_LABEL
#undef VECTOR_CASE
#undef NEXT
#undef LANE_TABLE
#undef LANE_SET
#undef LANE_W
#undef LANE_ISA
#undef LANE_FUSED
#undef LANE_FMA
#undef LANE_SQRT
