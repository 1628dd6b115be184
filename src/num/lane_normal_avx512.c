/* lane_normal_avx512.c - floor 1: eight normal numbers at once. Compiled with -mavx512f -mavx512dq (room.cmake). */
#if defined(__x86_64__)
#define LANE_NAME dpi_lane_normal_avx512
#include "num/lane_normal_body.h"
#endif
