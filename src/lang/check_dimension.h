/* check_dimension.h - ring three of the model check: units of measure as exponents of the base units of SBML.
 *
 * SBML's items are kept apart from the number one, as its moles are from 6e23: that is what the models mean by them.
 */
#ifndef DPI_CHECK_DIMENSION_H
#define DPI_CHECK_DIMENSION_H

#include "lang/network.h"

enum { DPI_DIM_METRE, DPI_DIM_KILOGRAM, DPI_DIM_SECOND, DPI_DIM_MOLE, DPI_DIM_ITEM, DPI_DIM_AMPERE, DPI_DIM_KELVIN,
       DPI_DIM_CANDELA, DPI_NDIM };

typedef struct dpi_dimension {
  double exponent[DPI_NDIM];
  double factor; /* to the base units */
} dpi_dimension;

dpi_dimension dpi_dimension_one(void);
/* A unit by its id in the network, or a base unit of SBML; false: neither. In Levels 1 and 2 "substance", "volume",
 * "area", "length" and "time" have the meaning these levels give them. */
bool dpi_dimension_of(const dpi_net *net, const char *unit, dpi_dimension *out);
dpi_dimension dpi_dimension_times(dpi_dimension a, dpi_dimension b, double power); /* a * b^power */
bool dpi_dimension_equal(const dpi_dimension *a, const dpi_dimension *b); /* same exponents, same factor */
bool dpi_dimension_plain(const dpi_dimension *a);                         /* no exponents */
/* "mmol/(L s)"; as short as a reader expects. */
void dpi_dimension_print(const dpi_dimension *a, char *out, size_t size);

#endif
