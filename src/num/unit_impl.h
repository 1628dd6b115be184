/* unit_impl.h - ring two of units: UCUM's table as unit_table.c holds it. */
#ifndef DPI_UNIT_IMPL_H
#define DPI_UNIT_IMPL_H

#include "base/base.h"
#include "doppel/units.h"

/* How a value on a non-ratio scale becomes one in base units (UCUM sections 21 and 46). */
typedef enum dpi_unit_function {
  DPI_UNIT_NONE, /* factor (and offset) */
  DPI_UNIT_LN,
  DPI_UNIT_LG,
  DPI_UNIT_LG2, /* twice the decimal logarithm: levels of field quantities */
  DPI_UNIT_LD,
  DPI_UNIT_PH,
  DPI_UNIT_SQRT,
  DPI_UNIT_TAN, /* 100 tan(angle) */
  DPI_UNIT_HPX,
  DPI_UNIT_HPC,
  DPI_UNIT_HPM,
  DPI_UNIT_HPQ,
} dpi_unit_function;

typedef struct dpi_unit_row { /* one symbol of UCUM; factor = num / den * 10^exp10 */
  const char *code;
  bool metric; /* takes prefixes */
  double num, den;
  int exp10;
  double offset;
  int8_t dim[DP_UNIT_NDIM];
  dpi_unit_function function;
  const char *arbitrary; /* "" or the code it counts in ("[IU]" counts "[iU]") */
} dpi_unit_row;

typedef struct dpi_unit_prefix {
  const char *code;
  double num;
  int exp10;
} dpi_unit_prefix;

/* The row of a code given by its first n bytes, or NULL. */
const dpi_unit_row *dpi_unit_find(const char *code, size_t n);
/* Split a symbol into prefix and metric row; false when it is none. */
bool dpi_unit_split(const char *code, size_t n, const dpi_unit_prefix **prefix,
                    const dpi_unit_row **row);
/* What was probably meant by something that is no symbol, written to hint; false when nothing
 * comes near. */
bool dpi_unit_suggest(const char *code, size_t n, char *hint, size_t size);
/* num / den * 10^e, with one rounding in all while num and den are whole and small. */
double dpi_unit_quotient(double num, double den, int e);
/* Plain UCUM, in which mol, eq and osm are the number 6.02214076e23: for comparing with other
 * implementations. */
void dpi_unit_plain(dp_unit *unit);

#endif
