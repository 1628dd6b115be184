/* unit_parse.c - UCUM's grammar (case-sensitive form), https://ucum.org/ucum sections 4 to 12:
 *
 *   main       = ["/"] term
 *   term       = component { ("." | "/") component }          left to right: a/b.c = (a/b).c
 *   component  = symbol [exponent] [annotation] | number [annotation] | annotation | "(" term ")"
 *   exponent   = ["+" | "-"] digits
 *   annotation = "{" printable ASCII without braces "}"       says what is counted, never changes
 *   the unit
 *   symbol     = atom | prefix metric-atom                    square brackets belong to the atom
 *
 * A value on a scale that is not a ratio (Cel, [pH], B) may carry a prefix and an annotation but
 * stand in no product.
 */
#include "num/unit_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 32
#define MAX_EXPONENT 99
#define MAX_EXPONENT_TEN 300
#define MAX_ARBITRARY 4
#define MAX_TEXT 1000

typedef struct value { /* num / den * 10^exp10 in base units */
  double num, den;
  int exp10;
  int dim[DP_UNIT_NDIM];
  int narb;
  struct {
    const char *code;
    int exp;
  } arb[MAX_ARBITRARY];
  const dpi_unit_row *special; /* num, den, exp10 are then the prefix */
} value;

typedef struct parser {
  dp_ctx *ctx;
  const char *text;
  const char *at;
  int depth;
} parser;

static const value one = {.num = 1.0, .den = 1.0};

static int column(const parser *p, const char *at) { return (int)(at - p->text) + 1; }

#define FAIL(p, where, ...) fail_at((p), column((p), (where)), __VA_ARGS__)

static dp_status fail_at(const parser *p, int col, const char *fmt, ...) DPI_PRINTF(3, 4);
static dp_status fail_at(const parser *p, int col, const char *fmt, ...) {
  char what[300];
  va_list args;
  va_start(args, fmt);
  vsnprintf(what, sizeof what, fmt, args);
  va_end(args);
  return dpi_fail(p->ctx, DP_ERR_INPUT, "unit '%.80s', column %d: %s", p->text, col, what);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- arithmetic of values ---- */
static double ipow(double x, int k) {
  double r = 1.0;
  for (int i = 0; i < k; i++) r *= x;
  return r;
}

static value power(const value *v, int e) {
  value r = *v;
  int k = e < 0 ? -e : e;
  r.num = ipow(e < 0 ? v->den : v->num, k);
  r.den = ipow(e < 0 ? v->num : v->den, k);
  r.exp10 = v->exp10 * e;
  for (int i = 0; i < DP_UNIT_NDIM; i++) r.dim[i] = v->dim[i] * e;
  for (int i = 0; i < v->narb; i++) r.arb[i].exp = v->arb[i].exp * e;
  return r;
}

/* Add an arbitrary unit to a product; those whose exponent comes to nothing are dropped. */
static bool add_arbitrary(value *v, const char *code, int exp) {
  for (int i = 0; i < v->narb; i++) {
    if (strcmp(v->arb[i].code, code) != 0) continue;
    v->arb[i].exp += exp;
    if (v->arb[i].exp == 0) v->arb[i] = v->arb[--v->narb];
    return true;
  }
  if (exp == 0) return true;
  if (v->narb == MAX_ARBITRARY) return false;
  v->arb[v->narb].code = code;
  v->arb[v->narb++].exp = exp;
  return true;
}

static bool is_one(const value *v) {
  for (int i = 0; i < DP_UNIT_NDIM; i++) {
    if (v->dim[i]) return false;
  }
  return !v->special && v->narb == 0 && v->exp10 == 0 && v->num == v->den;
}

/* acc := acc * v^sign */
static dp_status combine(const parser *p, const char *where, value *acc, const value *v, int sign) {
  if (acc->special || v->special) {
    const dpi_unit_row *row = acc->special ? acc->special : v->special;
    if (acc->special && is_one(v)) return DP_OK;
    if (v->special && is_one(acc) && sign > 0) {
      *acc = *v;
      return DP_OK;
    }
    return FAIL(p, where, "found '%s' in a product, expected it alone: its scale is not a ratio%s",
                row->code, row->dim[4] ? "; write K for differences of temperature" : "");
  }
  value f = power(v, sign);
  acc->num *= f.num;
  acc->den *= f.den;
  acc->exp10 += f.exp10;
  for (int i = 0; i < DP_UNIT_NDIM; i++) acc->dim[i] += f.dim[i];
  for (int i = 0; i < f.narb; i++) {
    if (!add_arbitrary(acc, f.arb[i].code, f.arb[i].exp)) {
      return FAIL(p, where, "found more than %d different arbitrary units, expected fewer",
                  MAX_ARBITRARY);
    }
  }
  /* keep far from overflow: exponents of any real unit are small */
  for (int i = 0; i < DP_UNIT_NDIM; i++) {
    if (acc->dim[i] > MAX_EXPONENT || acc->dim[i] < -MAX_EXPONENT) {
      return FAIL(p, where, "found a dimension to the power %d, expected at most %d", acc->dim[i],
                  MAX_EXPONENT);
    }
  }
  if (!(acc->num > 0.0 && acc->den > 0.0) || isinf(acc->num) || isinf(acc->den) ||
      acc->exp10 > MAX_EXPONENT_TEN || acc->exp10 < -MAX_EXPONENT_TEN) {
    return FAIL(p, where, "the unit is too large or too small for a number");
  }
  return DP_OK;
}

/* ---- the pieces of the grammar ---- */
static dp_status skip_annotation(parser *p) {
  const char *start = p->at++;
  for (; *p->at && *p->at != '}'; p->at++) {
    if (*p->at == '{') return FAIL(p, p->at, "found '{' inside an annotation, expected '}'");
    if (*p->at < 32 || *p->at > 126)
      return FAIL(p, p->at, "found a character that is not ASCII inside an annotation");
  }
  if (!*p->at) return FAIL(p, start, "found '{' without its '}'");
  p->at++;
  return DP_OK;
}

/* End of the symbol that starts here; NULL when a bracket stays open. */
static const char *symbol_end(const char *s) {
  while (*s && !is_digit(*s) && *s > 32 && *s < 127 && !strchr("./(){}+-]", *s)) {
    if (*s != '[') {
      s++;
      continue;
    }
    while (*s && *s != ']') s++;
    if (!*s) return NULL;
    s++;
  }
  return s;
}

static dp_status unknown_symbol(const parser *p, const char *start, size_t n) {
  char hint[48];
  int shown = n > 40 ? 40 : (int)n;
  const dpi_unit_row *row =
      n > 1 && strchr("YZEPTGMkhdcmunpfazy", start[0]) ? dpi_unit_find(start + 1, n - 1) : NULL;
  if (row && !row->metric)
    return FAIL(p, start, "found '%.*s', but '%s' takes no prefix", shown, start, row->code);
  if (dpi_unit_suggest(start, n, hint, sizeof hint)) {
    return FAIL(p, start, "found '%.*s', which is no unit of UCUM; did you mean %s?", shown, start,
                hint);
  }
  return FAIL(p, start, "found '%.*s', which is no unit of UCUM", shown, start);
}

/* value of one symbol, prefix included */
static value symbol_value(const dpi_unit_row *row, const dpi_unit_prefix *prefix) {
  value v = one;
  if (row->offset != 0.0 || row->function != DPI_UNIT_NONE) {
    v.special = row;
  } else {
    v.num = row->num;
    v.den = row->den;
    v.exp10 = row->exp10;
    for (int i = 0; i < DP_UNIT_NDIM; i++) v.dim[i] = row->dim[i];
    if (row->arbitrary[0]) add_arbitrary(&v, row->arbitrary, 1);
  }
  if (prefix) {
    v.num *= prefix->num;
    v.exp10 += prefix->exp10;
  }
  return v;
}

/* [+-]digits; *found says whether there were any */
static dp_status parse_exponent(parser *p, int limit, int *e, bool *found) {
  const char *start = p->at;
  int sign = *p->at == '-' ? -1 : 1, n = 0;
  *found = false;
  if (*p->at == '-' || *p->at == '+') {
    p->at++;
    if (!is_digit(*p->at))
      return FAIL(p, start, "found '%c', expected digits of an exponent behind it", *start);
  }
  while (is_digit(*p->at)) {
    n = 10 * n + (*p->at++ - '0');
    *found = true;
    if (n > limit) return FAIL(p, start, "found an exponent beyond %d", limit);
  }
  *e = sign * n;
  return DP_OK;
}

static dp_status parse_symbol(parser *p, value *out) {
  const char *start = p->at, *end;
  bool ten = strncmp(start, "10*", 3) == 0 || strncmp(start, "10^", 3) == 0;
  end = ten ? start + 3 : symbol_end(start);
  if (!end) return FAIL(p, start, "found '[' without its ']'");
  size_t n = (size_t)(end - start);
  const dpi_unit_prefix *prefix = NULL;
  const dpi_unit_row *row = dpi_unit_find(start, n);
  if (!row && !dpi_unit_split(start, n, &prefix, &row)) return unknown_symbol(p, start, n);
  p->at = end;
  value v = symbol_value(row, prefix);
  int e = 1;
  bool found;
  DP_TRY(parse_exponent(p, ten ? MAX_EXPONENT_TEN : MAX_EXPONENT, &e, &found));
  if (!found) e = 1;
  if (found && v.special)
    return FAIL(p, start, "found an exponent on '%s', whose scale is not a ratio", row->code);
  *out = found ? power(&v, e) : v;
  return DP_OK;
}

static dp_status parse_number(parser *p, value *out) {
  const char *start = p->at;
  double x = 0.0;
  while (is_digit(*p->at)) x = 10.0 * x + (*p->at++ - '0');
  if (x == 0.0) return FAIL(p, start, "found the number 0, expected a positive one");
  if (x > 1e100) return FAIL(p, start, "found a number beyond 1e100");
  if (*p->at && !strchr("./){", *p->at)) {
    int n = (int)(p->at - start);
    return FAIL(
        p, p->at,
        "found '%.10s' behind the number %.*s, expected '.', '/' or the end (multiply with a dot)",
        p->at, n > 20 ? 20 : n, start);
  }
  *out = one;
  out->num = x;
  return DP_OK;
}

static dp_status parse_term(parser *p, int sign, value *out);

static dp_status parse_parenthesis(parser *p, value *out) {
  const char *start = p->at++;
  if (++p->depth > MAX_DEPTH)
    return FAIL(p, start, "found parentheses nested more than %d deep", MAX_DEPTH);
  DP_TRY(parse_term(p, 1, out));
  if (*p->at != ')') return FAIL(p, start, "found '(' without its ')'");
  p->at++;
  p->depth--;
  return DP_OK;
}

static dp_status parse_component(parser *p, value *out) {
  unsigned char c = (unsigned char)*p->at;
  *out = one;
  if (c == '(') return parse_parenthesis(p, out);
  if (c == '{') return skip_annotation(p);
  if (c == '\0') return FAIL(p, p->at, "found the end, expected a unit");
  if (c == 0xC2 || c == 0xCE)
    return FAIL(p, p->at, "found a Greek letter, expected ASCII: micro is written u");
  if (c < 33 || c > 126)
    return FAIL(p, p->at, "found a blank or a character that is not ASCII, expected a unit");
  if (strchr("./)}]+-", c)) return FAIL(p, p->at, "found '%c', expected a unit", c);
  if (is_digit(*p->at) && strncmp(p->at, "10*", 3) != 0 && strncmp(p->at, "10^", 3) != 0) {
    DP_TRY(parse_number(p, out));
  } else {
    DP_TRY(parse_symbol(p, out));
  }
  return *p->at == '{' ? skip_annotation(p) : DP_OK;
}

static dp_status parse_term(parser *p, int sign, value *out) {
  *out = one;
  for (;;) {
    const char *where = p->at;
    value v;
    DP_TRY(parse_component(p, &v));
    DP_TRY(combine(p, where, out, &v, sign));
    if (*p->at != '.' && *p->at != '/') return DP_OK;
    sign = *p->at++ == '/' ? -1 : 1;
  }
}

/* ---- from value to dp_unit ---- */
double dpi_unit_quotient(double num, double den, int e) {
  /* powers up to 22 are exact, and so is their product with a small whole number */
  static const double ten[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  double rest = 1.0;
  for (; e > 22; e -= 22) rest *= 1e22;
  for (; e < -22; e += 22) rest /= 1e22;
  return (e < 0 ? num / (den * ten[-e]) : num * ten[e] / den) * rest;
}

/* "[iU]^1.[arb'U]^-1", in the order of the codes */
static dp_status write_arbitrary(const parser *p, value *v, dp_unit *out) {
  size_t used = 0;
  for (int i = 0; i < v->narb; i++) {
    int first = i;
    for (int j = i + 1; j < v->narb; j++) {
      if (strcmp(v->arb[j].code, v->arb[first].code) < 0) first = j;
    }
    const char *code = v->arb[first].code;
    int exp = v->arb[first].exp;
    v->arb[first] = v->arb[i];
    int n = snprintf(out->arbitrary + used, sizeof out->arbitrary - used, "%s%s^%d", i ? "." : "",
                     code, exp);
    used += (size_t)n;
    if (used >= sizeof out->arbitrary) return FAIL(p, p->text, "found too many arbitrary units");
  }
  return DP_OK;
}

static dp_status finish(const parser *p, value *v, dp_unit *out) {
  const dpi_unit_row *row = v->special;
  dp_unit u = {0};
  u.num = v->num;
  u.den = v->den;
  u.exp10 = v->exp10;
  for (int i = 0; i < DP_UNIT_NDIM; i++) u.dim[i] = (int8_t)(row ? row->dim[i] : v->dim[i]);
  if (row && row->function == DPI_UNIT_NONE) {
    /* base = (x prefix + offset) factor = (x + offset / prefix) prefix factor */
    u.offset = row->offset / dpi_unit_quotient(v->num, v->den, v->exp10);
    u.num *= row->num;
    u.den *= row->den;
    u.exp10 += row->exp10;
  } else if (row) {
    snprintf(u.special, sizeof u.special, "%s", row->code);
  }
  u.factor = dpi_unit_quotient(u.num, u.den, u.exp10);
  if (!(u.factor > 0.0) || isinf(u.factor))
    return FAIL(p, p->text, "the unit is too large or too small for a number");
  DP_TRY(write_arbitrary(p, v, &u));
  int n = snprintf(u.text, sizeof u.text, "%s", p->text);
  if (n >= (int)sizeof u.text) memcpy(u.text + sizeof u.text - 4, "...", 4);
  *out = u;
  return DP_OK;
}

dp_status dp_unit_parse(dp_ctx *ctx, const char *text, dp_unit *out) {
  parser p = {.ctx = ctx, .text = text ? text : "", .at = text ? text : ""};
  value v = one;
  memset(out, 0, sizeof *out);
  if (strlen(p.text) > MAX_TEXT)
    return dpi_fail(ctx, DP_ERR_INPUT, "unit: found a text longer than %d", MAX_TEXT);
  if (!*p.text) return finish(&p, &v, out);
  int sign = 1;
  if (*p.at == '/') {
    sign = -1;
    p.at++;
  }
  DP_TRY(parse_term(&p, sign, &v));
  if (*p.at) return FAIL(&p, p.at, "found '%.10s', expected '.', '/' or the end", p.at);
  return finish(&p, &v, out);
}
