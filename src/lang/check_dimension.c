/* check_dimension.c - floor 3: units of measure as exponents of base units: from SBML's words, products, printing. */
#include "lang/check_dimension.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* SBML's base units; exponents of m kg s mol item A K cd (BIPM, The International System of Units, 9th edition) */
static const struct {
  const char *name;
  double factor;
  int8_t e[DPI_NDIM];
} bases[] = {
    {"ampere", 1, {0, 0, 0, 0, 0, 1}},
    {"avogadro", 6.02214179e23, {0}},
    {"becquerel", 1, {0, 0, -1}},
    {"candela", 1, {0, 0, 0, 0, 0, 0, 0, 1}},
    {"Celsius", 1, {0, 0, 0, 0, 0, 0, 1}},
    {"coulomb", 1, {0, 0, 1, 0, 0, 1}},
    {"dimensionless", 1, {0}},
    {"farad", 1, {-2, -1, 4, 0, 0, 2}},
    {"gram", 1e-3, {0, 1}},
    {"gray", 1, {2, 0, -2}},
    {"henry", 1, {2, 1, -2, 0, 0, -2}},
    {"hertz", 1, {0, 0, -1}},
    {"item", 1, {0, 0, 0, 0, 1}},
    {"joule", 1, {2, 1, -2}},
    {"katal", 1, {0, 0, -1, 1}},
    {"kelvin", 1, {0, 0, 0, 0, 0, 0, 1}},
    {"kilogram", 1, {0, 1}},
    {"liter", 1e-3, {3}},
    {"litre", 1e-3, {3}},
    {"lumen", 1, {0, 0, 0, 0, 0, 0, 0, 1}},
    {"lux", 1, {-2, 0, 0, 0, 0, 0, 0, 1}},
    {"meter", 1, {1}},
    {"metre", 1, {1}},
    {"mole", 1, {0, 0, 0, 1}},
    {"newton", 1, {1, 1, -2}},
    {"ohm", 1, {2, 1, -3, 0, 0, -2}},
    {"pascal", 1, {-1, 1, -2}},
    {"radian", 1, {0}},
    {"second", 1, {0, 0, 1}},
    {"siemens", 1, {-2, -1, 3, 0, 0, 2}},
    {"sievert", 1, {2, 0, -2}},
    {"steradian", 1, {0}},
    {"tesla", 1, {0, 1, -2, 0, 0, -1}},
    {"volt", 1, {2, 1, -3, 0, 0, -1}},
    {"watt", 1, {2, 1, -3}},
    {"weber", 1, {2, 1, -2, 0, 0, -1}},
};

dpi_dimension dpi_dimension_one(void) { return (dpi_dimension){.factor = 1.0}; }

static bool base_unit(const char *name, dpi_dimension *out) {
  for (int i = 0; i < DPI_COUNT(bases); i++)
    if (strcmp(bases[i].name, name) == 0) {
      *out = (dpi_dimension){.factor = bases[i].factor};
      for (int k = 0; k < DPI_NDIM; k++) out->exponent[k] = bases[i].e[k];
      return true;
    }
  return false;
}

/* left: parts that may still be looked at, since units may be made of units made of ... */
static bool defined_unit(const dpi_net *net, const dpi_net_unit *u, dpi_dimension *out, int depth, int *left) {
  *out = dpi_dimension_one();
  for (int k = 0; k < u->npart; k++) {
    const dpi_net_unit_part *p = &u->part[k];
    dpi_dimension d;
    bool good = base_unit(p->kind, &d);
    if (--*left < 0) return false;
    for (int i = 0; i < net->nunit && !good && depth < 8; i++)
      good = strcmp(net->unit[i].id, p->kind) == 0 && &net->unit[i] != u &&
             defined_unit(net, &net->unit[i], &d, depth + 1, left);
    if (!good) return false;
    d.factor *= p->multiplier * pow(10.0, p->scale);
    *out = dpi_dimension_times(*out, d, p->exponent);
  }
  return true;
}

/* Levels 1 and 2: words with a meaning of their own */
static const char *builtin_unit(const dpi_net *net, const char *word, double *power) {
  static const struct {
    const char *word, *unit;
    double power;
  } words[] = {{"substance", "mole", 1}, {"volume", "litre", 1}, {"area", "metre", 2}, {"length", "metre", 1},
               {"time", "second", 1}};
  if (net->level != 1 && net->level != 2) return NULL;
  for (int i = 0; i < DPI_COUNT(words); i++)
    if (strcmp(words[i].word, word) == 0) return *power = words[i].power, words[i].unit;
  return NULL;
}

bool dpi_dimension_of(const dpi_net *net, const char *unit, dpi_dimension *out) {
  double power = 1.0;
  dpi_dimension d;
  int left = 1000;
  for (int i = 0; i < net->nunit; i++)
    if (strcmp(net->unit[i].id, unit) == 0) return defined_unit(net, &net->unit[i], out, 0, &left);
  if (base_unit(unit, out)) return true;
  const char *base = builtin_unit(net, unit, &power);
  if (base == NULL || !base_unit(base, &d)) return false;
  *out = dpi_dimension_times(dpi_dimension_one(), d, power);
  return true;
}

dpi_dimension dpi_dimension_times(dpi_dimension a, dpi_dimension b, double power) {
  a.factor *= power == 1.0 ? b.factor : power == -1.0 ? 1.0 / b.factor : pow(b.factor, power);
  for (int k = 0; k < DPI_NDIM; k++) a.exponent[k] += power * b.exponent[k];
  return a;
}

static bool alike(const dpi_dimension *a, const dpi_dimension *b) {
  for (int k = 0; k < DPI_NDIM; k++)
    if (fabs(a->exponent[k] - b->exponent[k]) > 1e-9) return false;
  return true;
}

bool dpi_dimension_equal(const dpi_dimension *a, const dpi_dimension *b) {
  return alike(a, b) && fabs(a->factor - b->factor) <= 1e-9 * fabs(b->factor);
}

bool dpi_dimension_plain(const dpi_dimension *a) {
  dpi_dimension one = dpi_dimension_one();
  return alike(a, &one);
}

/* ---- printing ---- */
static void put(char *out, size_t size, const char *text) {
  size_t n = strlen(out);
  if (n < size) snprintf(out + n, size - n, "%s", text);
}

static void put_power(char *out, size_t size, const char *symbol, double e, bool first) {
  char text[48];
  if (e == 1.0) snprintf(text, sizeof text, "%s%s", first ? "" : " ", symbol);
  else snprintf(text, sizeof text, "%s%s^%.4g", first ? "" : " ", symbol, e);
  put(out, size, text);
}

/* Minutes, hours or days where they leave a power of ten; the factor is then without them. */
static const char *time_symbol(double *factor, double e) {
  static const struct {
    const char *symbol;
    double seconds;
  } times[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
  for (int k = 0; k < DPI_COUNT(times) && e != 0.0; k++) {
    double f = *factor / pow(times[k].seconds, e), power = log10(f);
    if (fabs(power - nearbyint(power)) > 1e-9) continue;
    *factor = f;
    return times[k].symbol;
  }
  return "s";
}

/* The prefix that stands for the factor, "" when there is none; then factor becomes 1. */
static const char *prefix_of(double *factor) {
  static const struct {
    const char *prefix;
    int power;
  } prefixes[] = {{"f", -15}, {"p", -12}, {"n", -9}, {"u", -6}, {"m", -3}, {"k", 3}, {"M", 6}};
  double power = log10(*factor);
  for (int k = 0; k < DPI_COUNT(prefixes); k++)
    if (fabs(power - prefixes[k].power) < 1e-9) return *factor = 1.0, prefixes[k].prefix;
  return "";
}

void dpi_dimension_print(const dpi_dimension *a, char *out, size_t size) {
  double litre = fabs(fmod(a->exponent[DPI_DIM_METRE], 3.0)) < 1e-9 ? a->exponent[DPI_DIM_METRE] / 3.0 : 0.0;
  double factor = a->factor * pow(1e3, litre + a->exponent[DPI_DIM_KILOGRAM]); /* litres and grams are written */
  const char *second = time_symbol(&factor, a->exponent[DPI_DIM_SECOND]);
  const struct {
    const char *symbol;
    double e;
    bool prefixed;
  } part[] = {{"mol", a->exponent[DPI_DIM_MOLE], true},    {"item", a->exponent[DPI_DIM_ITEM], false},
              {"L", litre, true},                          {"m", a->exponent[DPI_DIM_METRE] - 3.0 * litre, true},
              {"g", a->exponent[DPI_DIM_KILOGRAM], true},  {"A", a->exponent[DPI_DIM_AMPERE], true},
              {"K", a->exponent[DPI_DIM_KELVIN], false},   {"cd", a->exponent[DPI_DIM_CANDELA], false},
              {second, a->exponent[DPI_DIM_SECOND], false}};
  int up = 0, down = 0, lead = -1;
  char text[32];
  for (int k = 0; k < DPI_COUNT(part); k++) {
    up += part[k].e > 1e-9;
    down += part[k].e < -1e-9;
    if (lead < 0 && part[k].e > 1e-9) lead = k;
  }
  const char *prefix = lead >= 0 && part[lead].prefixed && part[lead].e == 1.0 ? prefix_of(&factor) : "";
  out[0] = '\0';
  if (fabs(factor - 1.0) > 1e-9) {
    snprintf(text, sizeof text, "%.6g%s", factor, up ? " " : "");
    put(out, size, text);
  } else if (up == 0) {
    put(out, size, down ? "1" : "dimensionless");
  }
  put(out, size, prefix);
  for (int k = 0, n = 0; k < DPI_COUNT(part); k++)
    if (part[k].e > 1e-9) put_power(out, size, part[k].symbol, part[k].e, n++ == 0);
  if (down > 0) put(out, size, down > 1 ? "/(" : "/");
  for (int k = 0, n = 0; k < DPI_COUNT(part); k++)
    if (part[k].e < -1e-9) put_power(out, size, part[k].symbol, -part[k].e, n++ == 0);
  if (down > 1) put(out, size, ")");
}
