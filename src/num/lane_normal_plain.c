/* lane_normal_plain.c - floor 1: eight normal numbers at once, on any processor. */
#define LANE_NAME dpi_lane_normal_plain
#include "num/lane_normal_body.h"
