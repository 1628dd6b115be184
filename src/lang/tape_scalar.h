/* tape_scalar.h - floor 3, inside the room: the interpreter of one lane. A body, not an interface: whoever includes it
 * defines TAPE_RUN, the function's name, and TAPE_FMA(a, b, c), and compiles it for the processor it is meant for.
 */
#include <math.h>

#include "lang/lang_impl.h"
#include "lang/tape.h"

// clang-format off
/* frequent operations in line; what costs a function call anyway goes through dpi_op_eval */
#define INLINE_LIST(X)                                                                               \
  X(DPI_OP_ADD, r[s->a] + r[s->b])                                                                   \
  X(DPI_OP_SUB, r[s->a] - r[s->b])                                                                   \
  X(DPI_OP_MUL, r[s->a] * r[s->b])                                                                   \
  X(DPI_OP_DIV, r[s->a] / r[s->b])                                                                   \
  X(DPI_OP_NEG, -r[s->a])                                                                            \
  X(DPI_OP_POW, dpi_m_pow(r[s->a], r[s->b]))                                                         \
  X(DPI_OP_POWI, dpi_powi(r[s->a], s->b))                                                            \
  X(DPI_OP_EXP, dpi_m_exp(r[s->a]))                                                                  \
  X(DPI_OP_LOG, dpi_m_log(r[s->a]))                                                                  \
  X(DPI_OP_SQRT, sqrt(r[s->a]))                                                                      \
  X(DPI_OP_ABS, fabs(r[s->a]))                                                                       \
  X(DPI_OP_LT, (double)(r[s->a] < r[s->b]))                                                          \
  X(DPI_OP_LE, (double)(r[s->a] <= r[s->b]))                                                         \
  X(DPI_OP_GT, (double)(r[s->a] > r[s->b]))                                                          \
  X(DPI_OP_GE, (double)(r[s->a] >= r[s->b]))                                                         \
  X(DPI_OP_EQ, (double)(r[s->a] == r[s->b]))                                                         \
  X(DPI_OP_NE, (double)(r[s->a] != r[s->b]))                                                         \
  X(DPI_OP_AND, (double)(r[s->a] != 0.0 && r[s->b] != 0.0))                                          \
  X(DPI_OP_OR, (double)(r[s->a] != 0.0 || r[s->b] != 0.0))                                           \
  X(DPI_OP_NOT, (double)(r[s->a] == 0.0))                                                            \
  X(DPI_OP_IF, r[s->a] != 0.0 ? r[s->b] : r[s->c])                                                   \
  X(DPI_OP_FMA, TAPE_FMA(r[s->a], r[s->b], r[s->c]))                                                 \
  X(DPI_STEP_MADD, r[s->a] * r[s->b] + r[s->c])                                                      \
  X(DPI_STEP_MSUB, r[s->a] * r[s->b] - r[s->c])                                                      \
  X(DPI_STEP_NMADD, r[s->c] - r[s->a] * r[s->b])                                                     \
  X(DPI_STEP_CUBE, r[s->a] * (r[s->a] * r[s->a]))

/* operations without a line of their own */
#define OTHER_LIST(X)\
  X(CONST) X(SYM) X(LOG10) X(FLOOR) X(CEIL) X(SIN) X(COS) X(TAN) X(ASIN) X(ACOS) X(ATAN) X(SINH) X(COSH)      \
  X(TANH) X(ASINH) X(ACOSH) X(ATANH) X(EXPM1) X(LOG1P) X(ERF) X(LGAMMA) X(DIGAMMA) X(SIGN) X(ATAN2) X(MIN)    \
  X(MAX) X(MOD)
// clang-format on

#if defined(__GNUC__)
static void TAPE_RUN(const dpi_step *s, double *restrict r) {
#define INLINE_LABEL(op, value) [op] = &&do_##op,
#define OTHER_LABEL(op) [DPI_OP_##op] = &&do_other,
  static const void *const label[DPI_STEP_COUNT] = {INLINE_LIST(INLINE_LABEL)
                                                    OTHER_LIST(OTHER_LABEL)[DPI_STEP_END] = &&do_end};
#define NEXT goto *label[s->op]
  NEXT;
#define INLINE_CASE(op, value)   \
  do_##op : r[s->dst] = (value); \
  s++;                           \
  NEXT;
  INLINE_LIST(INLINE_CASE)
do_other:
  r[s->dst] = dpi_op_eval((dpi_op)s->op, r[s->a], r[s->b], r[s->c]);
  s++;
  NEXT;
do_end:
  return;
}
#else
static void TAPE_RUN(const dpi_step *s, double *restrict r) {
  for (;; s++) {
    switch (s->op) {
#define INLINE_CASE(op, value) \
  case op:                     \
    r[s->dst] = (value);       \
    break;
      INLINE_LIST(INLINE_CASE)
      case DPI_STEP_END:
        return;
      default:
        r[s->dst] = dpi_op_eval((dpi_op)s->op, r[s->a], r[s->b], r[s->c]);
        break;
    }
  }
}
#endif

#undef INLINE_LIST
#undef OTHER_LIST
#undef INLINE_LABEL
#undef OTHER_LABEL
#undef INLINE_CASE
#undef NEXT
#undef TAPE_RUN
#undef TAPE_FMA
