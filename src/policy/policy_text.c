/* policy_text.c - floor 7: words of formulas replaced, numbers with units, names of files. */
#include "policy/policy_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { longest_text = 1 << 20 };

static bool word_first(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool word_char(char c) { return word_first(c) || digit(c); }

bool dpi_policy_name(const char *id) {
  static const char *const taken[] = {
      "time",  "period",    "pi",   "exp", "ln",     "log",      "log10",      "sqrt",     "abs",         "floor",
      "ceil",  "min",       "max",  "mod", "sin",    "cos",      "tan",        "asin",     "acos",        "atan",
      "sinh",  "cosh",      "tanh", "pow", "true",   "false",    "and",        "or",       "not",         "xor",
      "delay", "piecewise", "root", "sqr", "rateOf", "infinity", "notanumber", "avogadro", "exponentiale"};
  if (!word_first(*id) || strlen(id) > 60) return false;
  for (const char *p = id; *p; p++)
    if (!word_char(*p)) return false;
  for (int i = 0; i < DPI_COUNT(taken); i++)
    if (strcmp(taken[i], id) == 0) return false;
  return true;
}

/* Length of the number at p with its exponent, so that its "e" is no word. */
static size_t number_length(const char *p) {
  size_t n = 0;
  while (digit(p[n]) || p[n] == '.') n++;
  if ((p[n] == 'e' || p[n] == 'E') && (digit(p[n + 1]) || ((p[n + 1] == '+' || p[n + 1] == '-') && digit(p[n + 2])))) {
    n += 2;
    while (digit(p[n])) n++;
  }
  return n;
}

dp_status dpi_policy_replace(dp_ctx *ctx, dpi_arena *arena, const char *text, const char *const *name,
                             const char *const *formula, int n, const char **out) {
  dpi_str s;
  dpi_str_init(&s, ctx);
  for (const char *p = text; *p && s.len <= longest_text;) {
    size_t length = 1;
    if (digit(*p) || (*p == '.' && digit(p[1]))) {
      length = number_length(p);
    } else if (word_first(*p)) {
      while (word_char(p[length])) length++;
      int k = 0;
      while (k < n && (strncmp(name[k], p, length) != 0 || name[k][length])) k++;
      if (k < n) {
        dpi_str_addf(&s, "(%s)", formula[k]);
        p += length;
        continue;
      }
    }
    dpi_str_addn(&s, p, length);
    p += length;
  }
  const bool large = s.len > longest_text;
  *out = s.failed || large ? NULL : dpi_arena_strdup(arena, dpi_str_text(&s));
  dpi_str_release(&s);
  if (large) return dpi_fail(ctx, DP_ERR_INPUT, "a formula is longer than 1 MiB when all names in it are written out");
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* ---- numbers with units ---- */

dp_status dpi_policy_quantity(dp_ctx *ctx, const char *where, const char *text, const char *unit, double molar_mass,
                              double *out) {
  char number[64];
  while (*text == ' ') text++;
  size_t n = *text == '-' || *text == '+';
  n += number_length(text + n);
  if (n == 0 || n >= sizeof number) goto wrong;
  memcpy(number, text, n);
  number[n] = 0;
  if (!dpi_parse_double(number, out)) goto wrong;
  for (text += n; *text == ' '; text++) continue;
  if (!*text) return DP_OK;
  const bool first = !*dp_ctx_error(ctx);
  const dp_status status = dp_unit_convert(ctx, *out, text, unit, molar_mass, out);
  if (status == DP_OK || !first) return status;
  char found[300]; /* the parser does not know the place: say it again with it */
  snprintf(found, sizeof found, "%s", dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
  return dpi_fail(ctx, DP_ERR_INPUT, "%s: %s", where, found);
wrong:
  return dpi_fail(ctx, DP_ERR_INPUT, "%s: found '%.60s', expected a number, or a number and a unit that converts to %s",
                  where, text, unit);
}

dp_status dpi_policy_yaml_quantity(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key, const char *unit,
                                   double fallback, double *out) {
  const char *text;
  char where[400];
  *out = fallback;
  if (!dpi_yaml_get(map, key) && !isnan(fallback)) return DP_OK;
  DP_TRY(dpi_yaml_string(doc, map, key, NULL, &text));
  snprintf(where, sizeof where, "%s:%d: %s", doc->source, dpi_yaml_get(map, key)->line, key);
  return dpi_policy_quantity(doc->ctx, where, text, unit, 0.0, out);
}

/* ---- files ---- */

const char *dpi_policy_no_file(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0) return "there is no such file";
  return S_ISDIR(st.st_mode) ? "found a folder, expected a file" : NULL;
}

const char *dpi_policy_folder(dpi_arena *arena, const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? dpi_arena_strndup(arena, path, (size_t)(slash - path)) : dpi_arena_strdup(arena, ".");
}

const char *dpi_policy_path(dpi_arena *arena, const char *folder, const char *name) {
  if (*name == '/' || strcmp(folder, ".") == 0) return dpi_arena_strdup(arena, name);
  return dpi_arena_printf(arena, "%s/%s", folder, name);
}
