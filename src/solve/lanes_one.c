/* lanes_one.c - floor 3: step control of a single lane. */
#define LANES 1
#define GO dpi_lanes_go1
#include "solve/lanes_body.h"
