/* jit_target.c - floor 3: which processor and features LLVM is told for a width of lanes.
 *
 * Features follow from width and arithmetic alone, never from the machine at hand, so that the code of a tape is the
 * same bytes wherever it is made. dpi_lane_ops_find says whether this processor can run it:
 *
 *     width   x86-64                                    arm64
 *     8       AVX-512 F and DQ, fma                     (not offered)
 *     4       fma: AVX2 and fma; nofma: AVX             (not offered)
 *     1, 2    fma: AVX and fma;  nofma: SSE2            NEON
 */
#include "jit/jit_impl.h"

#if defined(__x86_64__)
dpi_jit_target dpi_jit_target_find(int width, bool fma) {
  dpi_jit_target t = {.triple = "x86_64-unknown-linux-gnu", .cpu = "x86-64", .width = width, .fma = fma, .floor = true};
  if (width == 8)
    t.features = "+avx512f,+avx512dq,+avx2,+fma";
  else if (width == 4)
    t.features = fma ? "+avx2,+fma" : "+avx";
  else if (fma)
    t.features = "+avx,+fma";
  else
    t.features = "", t.floor = false;
  return t;
}
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
dpi_jit_target dpi_jit_target_find(int width, bool fma) {
  return (dpi_jit_target){.triple = "aarch64-unknown-linux-gnu",
                          .cpu = "generic",
                          .features = "+neon",
                          .width = width,
                          .fma = fma,
                          .floor = true};
}
#else
dpi_jit_target dpi_jit_target_find(int width, bool fma) { return (dpi_jit_target){.width = width, .fma = fma}; }
#endif
