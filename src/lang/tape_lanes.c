/* tape_lanes.c - floor 3: tapes run for several members side by side: what this processor can, workspaces, running.
 *
 *     reg   row 0: [lane 0][lane 1]..[lane W-1]   row 1: ...      rows as in tape.h
 */
#include <string.h>

#include "lang/tape_lanes.h"
#include "num/num.h"

#if defined(__x86_64__)
static bool has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
}
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static const dpi_lane_ops *find(int width, bool fused) {
  switch (width) {
    case 8: return !has_avx512() ? NULL : fused ? &dpi_lane_ops_avx512_fma : &dpi_lane_ops_avx512_nofma;
    case 4:
      if (fused) return has_avx2() ? &dpi_lane_ops_avx2_fma4 : NULL;
      return __builtin_cpu_supports("avx") ? &dpi_lane_ops_avx_nofma4 : NULL;
    case 2:
      if (!fused) return &dpi_lane_ops_sse2_nofma2;
      return has_avx2() ? &dpi_lane_ops_avx2_fma2 : &dpi_lane_ops_plain_fma2;
    case 1:
      if (!fused) return &dpi_lane_ops_plain_nofma1;
      return has_avx2() ? &dpi_lane_ops_avx2_fma1 : &dpi_lane_ops_plain_fma1;
    default: return NULL;
  }
}
#else
static const dpi_lane_ops *find(int width, bool fused) {
#if defined(__aarch64__)
  if (width == 2) return fused ? &dpi_lane_ops_neon_fma2 : &dpi_lane_ops_neon_nofma2;
#else
  if (width == 2) return fused ? &dpi_lane_ops_plain_fma2 : &dpi_lane_ops_plain_nofma2;
#endif
  if (width == 1) return fused ? &dpi_lane_ops_plain_fma1 : &dpi_lane_ops_plain_nofma1;
  return NULL;
}
#endif

const dpi_lane_ops *dpi_lane_ops_find(int width) {
  const bool fused = dp_arithmetic()[0] == 'f'; /* "fma" or "nofma"; asked for at each run of a short tape */
  if (width != 0) return find(width, fused);
  for (int w = DPI_LANES_MAX; w > 1; w /= 2) {
    const dpi_lane_ops *ops = find(w, fused);
    if (ops != NULL) return ops;
  }
  return find(1, fused);
}

/* ---- workspaces ---- */
#define ALIGN 64

/* Over-long by one alignment; the byte before what is given away says how far in it lies. */
double *dpi_lanes_alloc(dp_ctx *ctx, size_t ndouble) {
  if (ndouble > (SIZE_MAX - ALIGN) / sizeof(double)) {
    dpi_fail(ctx, DP_ERR_MEMORY, "lanes: a workspace of %zu numbers is too large", ndouble);
    return NULL;
  }
  unsigned char *p = dpi_alloc(ctx, ndouble * sizeof(double) + ALIGN);
  if (p == NULL) return NULL;
  size_t shift = ALIGN - (uintptr_t)p % ALIGN;
  p[shift - 1] = (unsigned char)shift;
  return (double *)(void *)(p + shift);
}

void dpi_lanes_free(dp_ctx *ctx, double *p, size_t ndouble) {
  (void)ndouble; /* the context's hook knows */
  if (p == NULL) return;
  unsigned char *at = (unsigned char *)p;
  dpi_free(ctx, at - at[-1]);
}

int dpi_tape_row(const dpi_tape *t, int sym) {
  for (int i = 0; i < t->nfast; i++)
    if (t->fast[i].sym == sym) return t->fast[i].reg;
  return -1;
}

size_t dpi_tape_lanes_size(const dpi_tape *t, int width) { return (size_t)t->nreg * (size_t)width; }

void dpi_tape_lanes_init(const dpi_tape *t, int width, double *reg) {
  memset(reg, 0, dpi_tape_lanes_size(t, width) * sizeof *reg);
  for (int i = 0; i < t->nconst; i++)
    for (int l = 0; l < width; l++) reg[(size_t)i * (size_t)width + (size_t)l] = t->constant[i];
}

/* ---- running ---- */

/* Rows of slow symbols and slow values stand together, behind the constants. */
void dpi_tape_lanes_prologue(const dpi_tape *t, int width, double *reg, int lane, const double *sym, double *scratch) {
  dpi_tape_prologue(t, sym, scratch);
  const int first = t->nconst, end = first + t->nslow + t->nprologue;
  for (int i = first; i < end; i++) reg[(size_t)i * (size_t)width + (size_t)lane] = scratch[i];
}

void dpi_tape_lanes_run(const dpi_tape *t, const dpi_lane_ops *ops, double *reg) {
  const dpi_code *code = atomic_load_explicit(&t->code[dpi_width_index(ops->width)], memory_order_acquire);
  if (code != NULL && code->body != NULL)
    code->body(reg, ops);
  else
    ops->run(t->body, reg);
}
