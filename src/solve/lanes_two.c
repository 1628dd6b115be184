/* lanes_two.c - floor 3: step control of 2 lanes: SSE2, NEON, or what the compiler makes of it. */
#define LANES 2
#define GO dpi_lanes_go2
#include "solve/lanes_body.h"
