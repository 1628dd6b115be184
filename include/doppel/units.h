/* units.h - units of measure in UCUM's notation ("mg/L", "ug/mL", "L/h", "mmol/L", "%", "10*9/L", "[iU]/L").
 *
 * A unit is a factor, an exponent for each base dimension, and (for arbitrary units such as [iU]) a name that converts
 * to nothing else. Units are checked where a number enters a model, a reward or the record: never guessed.
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
  double factor;               /* to the base units */
  double offset;               /* for Cel, [degF]: value_base = (value + offset) * factor */
  int8_t dim[DP_UNIT_NDIM];    /* exponents */
  char arbitrary[24];          /* "" or the arbitrary unit's code with its exponent, e.g. "[iU]^1" */
  char special[16];            /* "" or the name of a non-ratio unit ("pH", "B", ...): only equal units convert */
} dp_unit;

/* Parse UCUM text (case-sensitive). "" and "1" are dimensionless. ERR_INPUT names the offending part and its column. */
dp_status dp_unit_parse(dp_ctx *ctx, const char *text, dp_unit *out);

/* value_to = value_from * *factor. molar_mass in g/mol converts between mass and amount of substance; 0: not known, then
 * mass against amount is an error. ERR_INPUT with both units named when they do not convert. */
dp_status dp_unit_factor(dp_ctx *ctx, const dp_unit *from, const dp_unit *to, double molar_mass, double *factor);

/* Convert one value, also between temperature scales. */
dp_status dp_unit_convert(dp_ctx *ctx, double value, const char *from, const char *to, double molar_mass, double *out);

#ifdef __cplusplus
}
#endif
#endif
