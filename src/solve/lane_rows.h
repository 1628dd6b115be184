/* lane_rows.h - floor 3: whole rows of lanes from one place to another.
 *
 * Rows that machine code reads next are written at the width at which it reads them: a wide read that follows narrow
 * writes of the same row waits until these have left the processor's store buffer. */
#ifndef DPI_LANE_ROWS_H
#define DPI_LANE_ROWS_H

#include <stdint.h>

/* to[i][lane] := from[i][lane], i = 0 .. n - 1 in this order, for the lanes of `mask`. vector: lanes that are computed
 * at once, 8 only where dpi_lane_ops_find(8) has something; lanes: of a row, a multiple of it. */
void dpi_rows_move(int vector, int lanes, double *const *to, const double *const *from, int n, uint32_t mask);
/* Lanes of the row that hold no finite number, as bits. */
uint32_t dpi_rows_wild(int vector, int lanes, const double *row);

#endif
