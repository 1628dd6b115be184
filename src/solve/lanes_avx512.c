/* lanes_avx512.c - floor 3: step control of 8 lanes, AVX-512 (compiled with -mavx512f -mavx512dq). */
#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define LANES 8
#define GO dpi_lanes_go8
#include "solve/lanes_body.h"
#else
#include "solve/lanes_impl.h"
uint32_t dpi_lanes_go8(dpi_lanes_ctl *c) {
  (void)c;
  return 0; /* dpi_lane_ops_find gives no such width here */
}
#endif
