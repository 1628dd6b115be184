/* unit_convert.c - from one unit to another: factors, molar mass, temperature scales, levels.
 *
 * A value in another unit is value (num_from den_to) / (den_from num_to) * 10^(difference of
 * exponents): with whole numbers that is one rounding, so 1000 comes out as 1000 and 6 L/h as 100
 * mL/min.
 */
#include "num/unit_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"

#define DIM_G 2
#define DIM_MOL 7
#define LN2 0x1.62e42fefa39efp-1

static const char *const dim_name[DP_UNIT_NDIM] = {"m", "s", "g", "rad", "K", "C", "cd", "mol"};

static const char *shown(const dp_unit *u) { return u->text[0] ? u->text : "1"; }

/* What a unit measures: "g.m-3", "[iU].m-3"; "a number" without dimension. */
static void describe(const dp_unit *u, char *out, size_t size) {
  /* as people write it: the substance first */
  static const int order[DP_UNIT_NDIM] = {2, 7, 0, 1, 3, 4, 5, 6};
  size_t used = 0;
  out[0] = '\0';
  if (u->arbitrary[0]) used += (size_t)snprintf(out, size, "%s", u->arbitrary);
  for (int k = 0; k < DP_UNIT_NDIM && used < size; k++) {
    int i = order[k];
    if (!u->dim[i]) continue;
    const char *dot = used ? "." : "";
    if (u->dim[i] == 1)
      used += (size_t)snprintf(out + used, size - used, "%s%s", dot, dim_name[i]);
    else
      used += (size_t)snprintf(out + used, size - used, "%s%s%d", dot, dim_name[i], u->dim[i]);
  }
  if (!out[0]) snprintf(out, size, "a number");
}

static bool counts(const dp_unit *u, const char *code) {
  return strstr(u->arbitrary, code) != NULL;
}

/* Advice for two units that differ in what they count. */
static const char *advice(const dp_unit *from, const dp_unit *to) {
  if (counts(from, "eq^") || counts(to, "eq^"))
    return "; equivalents count charges: divide by the valence first";
  if (counts(from, "osm^") || counts(to, "osm^"))
    return "; osmoles count dissolved particles, not moles";
  if (counts(from, "[iU]") || counts(to, "[iU]")) {
    return "; international units are defined by each substance's assay (and U is the enzyme unit, "
           "umol/min)";
  }
  return "";
}

static dp_status refuse(dp_ctx *ctx, const dp_unit *from, const dp_unit *to) {
  char a[120], b[120];
  describe(from, a, sizeof a);
  describe(to, b, sizeof b);
  return dpi_fail(ctx, DP_ERR_INPUT, "'%s' does not convert to '%s': found %s, expected %s%s",
                  shown(from), shown(to), a, b, advice(from, to));
}

/* Power of the molar mass between two units: 0 same dimension, k when `from` has k grams where
 * `to` has k moles; false when they differ in anything else. */
static bool molar_power(const dp_unit *from, const dp_unit *to, int *k) {
  for (int i = 0; i < DP_UNIT_NDIM; i++) {
    if (i != DIM_G && i != DIM_MOL && from->dim[i] != to->dim[i]) return false;
  }
  *k = from->dim[DIM_G] - to->dim[DIM_G];
  return *k == to->dim[DIM_MOL] - from->dim[DIM_MOL];
}

/* value in `from` as a value in `to`; a factor is that of 1. */
static dp_status scale(dp_ctx *ctx, double value, const dp_unit *from, const dp_unit *to,
                       double molar_mass, double *out) {
  int k;
  *out = NAN;
  if (strcmp(from->special, to->special) != 0) {
    return dpi_fail(
        ctx, DP_ERR_INPUT,
        "'%s' does not convert to '%s' by a factor: one of them is not on a ratio scale",
        shown(from), shown(to));
  }
  if (strcmp(from->arbitrary, to->arbitrary) != 0) return refuse(ctx, from, to);
  if (!molar_power(from, to, &k)) return refuse(ctx, from, to);
  double zero_from = from->offset * from->factor, zero_to = to->offset * to->factor;
  if (fabs(zero_from - zero_to) > 1e-12 * fabs(zero_from)) {
    return dpi_fail(ctx, DP_ERR_INPUT,
                    "'%s' does not convert to '%s' by a factor: their zeros differ", shown(from),
                    shown(to));
  }
  if (k != 0 && (!(molar_mass > 0.0) || isinf(molar_mass))) {
    return dpi_fail(
        ctx, DP_ERR_INPUT,
        "'%s' (mass) and '%s' (amount of substance) convert only with the substance's molar mass, "
        "which is not known here",
        shown(k > 0 ? from : to), shown(k > 0 ? to : from));
  }
  double num = from->num * to->den, den = from->den * to->num;
  for (int i = 0; i < k; i++) den *= molar_mass;
  for (int i = 0; i < -k; i++) num *= molar_mass;
  double f = dpi_unit_quotient(num, den, from->exp10 - to->exp10);
  if (!(f > 0.0) || isinf(f)) return refuse(ctx, from, to);
  /* the value before the division, so that 6 L/h is 100 mL/min and not the next number */
  double x = dpi_unit_quotient(value * num, den, from->exp10 - to->exp10);
  *out = isfinite(x) ? x : value * f;
  return DP_OK;
}

dp_status dp_unit_factor(dp_ctx *ctx, const dp_unit *from, const dp_unit *to, double molar_mass,
                         double *factor) {
  return scale(ctx, 1.0, from, to, molar_mass, factor);
}

/* The function of a special unit, of a value without prefix; in the row's base units. */
static double special_to_base(const dpi_unit_row *row, double x) {
  double ref = dpi_unit_quotient(row->num, row->den, row->exp10);
  switch (row->function) {
    case DPI_UNIT_LN:
      return ref * dpi_m_exp(x);
    case DPI_UNIT_LG:
      return ref * dpi_m_pow(10.0, x);
    case DPI_UNIT_LG2:
      return ref * dpi_m_pow(10.0, 0.5 * x);
    case DPI_UNIT_LD:
      return ref * dpi_m_pow(2.0, x);
    case DPI_UNIT_PH:
      return ref * dpi_m_pow(10.0, -x);
    case DPI_UNIT_SQRT:
      return ref * x * x;
    case DPI_UNIT_TAN:
      return ref * dpi_m_atan(0.01 * x);
    case DPI_UNIT_HPX:
      return dpi_m_pow(10.0, -x);
    case DPI_UNIT_HPC:
      return dpi_m_pow(100.0, -x);
    case DPI_UNIT_HPM:
      return dpi_m_pow(1000.0, -x);
    case DPI_UNIT_HPQ:
      return dpi_m_pow(50000.0, -x);
    case DPI_UNIT_NONE:
      break;
  }
  return NAN;
}

static double special_from_base(const dpi_unit_row *row, double base) {
  double y = base / dpi_unit_quotient(row->num, row->den, row->exp10);
  switch (row->function) {
    case DPI_UNIT_LN:
      return dpi_m_log(y);
    case DPI_UNIT_LG:
      return dpi_m_log10(y);
    case DPI_UNIT_LG2:
      return 2.0 * dpi_m_log10(y);
    case DPI_UNIT_LD:
      return dpi_m_log(y) / LN2;
    case DPI_UNIT_PH:
      return -dpi_m_log10(y);
    case DPI_UNIT_SQRT:
      return sqrt(y);
    case DPI_UNIT_TAN:
      return 100.0 * dpi_m_tan(y);
    case DPI_UNIT_HPX:
      return -dpi_m_log10(y);
    case DPI_UNIT_HPC:
      return -0.5 * dpi_m_log10(y);
    case DPI_UNIT_HPM:
      return -dpi_m_log10(y) / 3.0;
    case DPI_UNIT_HPQ:
      return -dpi_m_log(y) / dpi_m_log(50000.0);
    case DPI_UNIT_NONE:
      break;
  }
  return NAN;
}

/* The same unit without its scale: base units of what lies behind it. */
static dp_unit behind(const dp_unit *u) {
  dp_unit b = *u;
  b.num = b.den = b.factor = 1.0;
  b.exp10 = 0;
  b.offset = 0.0;
  b.special[0] = '\0';
  return b;
}

static double to_base(const dp_unit *u, double x) {
  const dpi_unit_row *row = u->special[0] ? dpi_unit_find(u->special, strlen(u->special)) : NULL;
  return row ? special_to_base(row, x * u->factor) : (x + u->offset) * u->factor;
}

static double from_base(const dp_unit *u, double base) {
  const dpi_unit_row *row = u->special[0] ? dpi_unit_find(u->special, strlen(u->special)) : NULL;
  return row ? special_from_base(row, base) / u->factor : base / u->factor - u->offset;
}

dp_status dp_unit_convert(dp_ctx *ctx, double value, const char *from, const char *to,
                          double molar_mass, double *out) {
  dp_unit a, b;
  double f;
  *out = NAN;
  DP_TRY(dp_unit_parse(ctx, from, &a));
  DP_TRY(dp_unit_parse(ctx, to, &b));
  bool scales = a.special[0] || b.special[0] || a.offset != 0.0 || b.offset != 0.0;
  if (!scales || (strcmp(a.special, b.special) == 0 && a.offset == b.offset)) {
    return scale(ctx, value, &a, &b, molar_mass, out);
  }
  dp_unit base_a = behind(&a), base_b = behind(&b);
  DP_TRY(dp_unit_factor(ctx, &base_a, &base_b, molar_mass, &f));
  double x = from_base(&b, to_base(&a, value) * f);
  if (!isfinite(x) && isfinite(value)) {
    return dpi_fail(ctx, DP_ERR_INPUT, "%g '%s' has no value in '%s'", value, shown(&a), shown(&b));
  }
  *out = x;
  return DP_OK;
}

void dpi_unit_plain(dp_unit *u) {
  static const double avogadro = 602214076.0; /* times 10^15 */
  int k = u->dim[DIM_MOL], exp = 0;
  /* "eq^1" or "osm^-1" alone; products of several stay as they are */
  if (sscanf(u->arbitrary, "eq^%d", &exp) == 1 || sscanf(u->arbitrary, "osm^%d", &exp) == 1) {
    if (!strchr(u->arbitrary, '.')) {
      k += exp;
      u->arbitrary[0] = '\0';
    }
  }
  for (int i = 0; i < k; i++) u->num *= avogadro;
  for (int i = 0; i < -k; i++) u->den *= avogadro;
  u->exp10 += 15 * k;
  u->dim[DIM_MOL] = 0;
  u->factor = dpi_unit_quotient(u->num, u->den, u->exp10);
}
