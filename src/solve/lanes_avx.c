/* lanes_avx.c - floor 3: step control of 4 lanes, AVX (compiled with -mavx). */
#if defined(__AVX__)
#define LANES 4
#define GO dpi_lanes_go4
#include "solve/lanes_body.h"
#else
#include "solve/lanes_impl.h"
uint32_t dpi_lanes_go4(dpi_lanes_ctl *c) {
  (void)c;
  return 0; /* dpi_lane_ops_find gives no such width here */
}
#endif
