/* units.h - units of measure in UCUM's notation ("mg/L", "ug/mL", "L/h", "mmol/L", "%", "10*9/L", "[iU]/L").
 *
 * A unit is a factor, an exponent for each base dimension, and (for arbitrary units such as [iU]) a name that converts
 * to nothing else. Equivalents (eq) and osmoles (osm) count charges and particles: they do not convert to mol either.
 * Units are checked where a number enters a model, a reward or the record: never guessed.
 *
 *     dp_unit a, b; double f;
 *     dp_unit_parse(ctx, "ug/mL", &a); dp_unit_parse(ctx, "mg/L", &b);
 *     dp_unit_factor(ctx, &a, &b, 0.0, &f);      gives f = 1
 */
#ifndef DOPPEL_UNITS_H
#define DOPPEL_UNITS_H

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DP_UNIT_NDIM 8 /* m s g rad K C cd + mol (kept apart from the number 6.022e23, unlike plain UCUM) */

typedef struct dp_unit {
  double factor;            /* to the base units: num / den * 10^exp10 */
  double num, den;          /* the factor's parts, mostly whole numbers: so 1000 comes out as 1000 */
  int exp10;
  double offset;            /* for Cel, [degF]: value_base = (value + offset) * factor; else 0 */
  int8_t dim[DP_UNIT_NDIM]; /* exponents */
  char arbitrary[48];       /* "" or what is counted, with its exponent: "[iU]^1", "eq^1" */
  char special[24];         /* "" or the code of a logarithmic or other non-ratio unit ("[pH]", "B"): only the same
                               unit has a factor to it; factor is then the prefix */
  char text[40];            /* as written, for messages; shortened to 39 bytes */
} dp_unit;

/* Parse UCUM text (case-sensitive). "" and "1" are dimensionless. ERR_INPUT names the offending part and its column. */
dp_status dp_unit_parse(dp_ctx *ctx, const char *text, dp_unit *out);

/* value_to = value_from * *factor. molar_mass in g/mol converts between mass and amount of substance; 0: not known, then
 * mass against amount is an error. ERR_INPUT with both units named when they do not convert. */
dp_status dp_unit_factor(dp_ctx *ctx, const dp_unit *from, const dp_unit *to, double molar_mass, double *factor);

/* Convert one value, also between temperature scales and from levels and pH to the quantity behind them. */
dp_status dp_unit_convert(dp_ctx *ctx, double value, const char *from, const char *to, double molar_mass, double *out);

#ifdef __cplusplus
}
#endif
#endif
