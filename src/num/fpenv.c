/* fpenv.c - the floating-point environment the engine computes in: round to nearest, denormals
 * kept, nothing trapped.
 *
 * A host (an audio program, MATLAB, a solver built with -ffast-math) may have switched denormals
 * to zero or changed the rounding mode; results would then differ from machine to machine. Called
 * on entry of every worker.
 */
#include "num/num.h"

#if defined(__SSE2__)
#include <xmmintrin.h>

#define MXCSR_DEFAULT 0x1f80u /* all exceptions masked, round to nearest, FTZ and DAZ off */

uint64_t dpi_fp_enter(void) {
  uint32_t saved = _mm_getcsr();
  _mm_setcsr(MXCSR_DEFAULT);
  return saved;
}

void dpi_fp_leave(uint64_t saved) { _mm_setcsr((uint32_t)saved); }

#elif defined(__aarch64__)

/* FPCR = 0: round to nearest, FZ off, nothing trapped */
uint64_t dpi_fp_enter(void) {
  uint64_t saved;
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
  __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
  return saved;
}

void dpi_fp_leave(uint64_t saved) { __asm__ volatile("msr fpcr, %0" : : "r"(saved)); }

#else
#include <fenv.h>

uint64_t dpi_fp_enter(void) {
  int saved = fegetround();
  fesetround(FE_TONEAREST);
  return (uint64_t)saved;
}

void dpi_fp_leave(uint64_t saved) { fesetround((int)saved); }

#endif
