/* suite_case.c - floor 8: one case of the SBML Test Suite read from its folder.
 *
 * Lines of NNNNN-settings.txt are "key: value"; lists are separated by commas; blanks and line endings do not matter.
 * An empty value means "not given". NNNNN-results.csv has a header; the first column is the time unless the case is not
 * timed. Missing and infinite values are spelt NaN, INF, -INF in any case of letters.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "suite/suite_impl.h"

enum { MOST_LIST = 4096 };

/* ---- text ---- */

/* Cut blanks off both ends, in place. */
static char *trim(char *s) {
  while (isspace((unsigned char)*s)) s++;
  char *end = s + strlen(s);
  while (end > s && isspace((unsigned char)end[-1])) end--;
  *end = 0;
  return s;
}

/* The next piece of *at up to a separator, trimmed; NULL at the end. */
static char *next_piece(char **at, const char *separators) {
  if (!*at) return NULL;
  char *piece = *at, *end = piece + strcspn(piece, separators);
  *at = *end ? end + 1 : NULL;
  *end = 0;
  return trim(piece);
}

/* A number, or one of the spellings of what is none. */
static bool parse_value(const char *s, double *out) {
  if (dpi_parse_double(s, out)) return true;
  bool negative = *s == '-';
  if (*s == '-' || *s == '+') s++;
  if (!strcasecmp(s, "nan")) {
    *out = NAN;
  } else if (!strcasecmp(s, "inf") || !strcasecmp(s, "infinity")) {
    *out = negative ? -INFINITY : INFINITY;
  } else {
    return false;
  }
  return true;
}

/* A file of the case as text in its arena; optional: "" when it is not there. */
static dp_status read_text(dpi_suite_case *c, const char *ending, bool optional, char **text, const char **path) {
  char *data = NULL;
  size_t size;
  *text = "";
  *path = dpi_arena_printf(&c->arena, "%s/%s%s", c->dir, c->id, ending);
  if (!*path) return DP_ERR_MEMORY;
  if (optional && !dpi_file_exists(*path)) return DP_OK;
  DP_TRY(dpi_file_read(c->ctx, *path, (size_t)64 << 20, &data, &size));
  *text = dpi_arena_strndup(&c->arena, data, size);
  dpi_free(c->ctx, data);
  return *text ? DP_OK : DP_ERR_MEMORY;
}

/* ---- settings ---- */

typedef struct setting { /* values as written; "" not given */
  const char *key;
  char *value;
} setting;

enum { START, DURATION, STEPS, VARIABLES, ABSOLUTE, RELATIVE, AMOUNT, CONCENTRATION, MEAN_RANGE, SD_RANGE, NSETTING };

static void split_settings(char *text, setting s[NSETTING]) {
  static const char *const key[NSETTING] = {"start",    "duration", "steps",         "variables", "absolute",
                                            "relative", "amount",   "concentration", "meanRange", "sdRange"};
  for (int k = 0; k < NSETTING; k++) s[k] = (setting){key[k], text + strlen(text)};
  for (char *line; (line = next_piece(&text, "\r\n"));) {
    char *colon = strchr(line, ':');
    if (!colon) continue;
    *colon = 0;
    for (int k = 0; k < NSETTING; k++)
      if (!strcasecmp(trim(line), key[k])) s[k].value = trim(colon + 1);
  }
}

static dp_status take_number(const dpi_suite_case *c, const char *path, const setting *s, double *out) {
  if (!*s->value || dpi_parse_double(s->value, out)) return DP_OK;
  return dpi_fail(c->ctx, DP_ERR_INPUT, "%s: %s: found '%s', expected a number", path, s->key, s->value);
}

/* "(-3, 3)" */
static dp_status take_range(const dpi_suite_case *c, const char *path, const setting *s, double out[2]) {
  out[0] = out[1] = NAN;
  if (!*s->value) return DP_OK;
  char *at = s->value + strspn(s->value, "(["), *low = next_piece(&at, ","), *high = next_piece(&at, ",)]");
  if (low && high && dpi_parse_double(low, &out[0]) && dpi_parse_double(high, &out[1]) && out[0] <= out[1])
    return DP_OK;
  return dpi_fail(c->ctx, DP_ERR_INPUT, "%s: %s: expected (LOW, HIGH)", path, s->key);
}

/* "S1" -> S1 */
static char *unquoted(char *word) {
  size_t n = strlen(word);
  if (n < 2 || word[0] != '"' || word[n - 1] != '"') return word;
  word[n - 1] = '\0';
  return word + 1;
}

/* Comma-separated words into the arena. */
static dp_status take_list(dpi_suite_case *c, char *text, int *n, const char ***out) {
  const char **word = DPI_ARENA_ARRAY(&c->arena, const char *, strlen(text) / 2 + 1);
  if (!word) return DP_ERR_MEMORY;
  *n = 0;
  for (char *piece; (piece = next_piece(&text, ","));)
    if (*piece) word[(*n)++] = unquoted(piece);
  *out = word;
  return DP_OK;
}

static bool listed(const char *name, const char *const *list, int n) {
  for (int i = 0; i < n; i++)
    if (!strcmp(list[i], name)) return true;
  return false;
}

/* Variables and the sense in which each is meant. */
static dp_status take_variables(dpi_suite_case *c, const setting s[NSETTING]) {
  const char **amount, **concentration;
  int namount, nconcentration;
  DP_TRY(take_list(c, s[VARIABLES].value, &c->nvariable, &c->variable));
  DP_TRY(take_list(c, s[AMOUNT].value, &namount, &amount));
  DP_TRY(take_list(c, s[CONCENTRATION].value, &nconcentration, &concentration));
  c->signal = DPI_ARENA_ARRAY(&c->arena, const char *, (size_t)c->nvariable + 1);
  if (!c->signal) return DP_ERR_MEMORY;
  for (int i = 0; i < c->nvariable; i++) {
    const char *id = c->variable[i];
    const char *form = listed(id, amount, namount)                 ? "amount(%s)"
                       : listed(id, concentration, nconcentration) ? "concentration(%s)"
                                                                   : NULL;
    if (!form)
      c->signal[i] = id;
    else if (form[0] == 'a')
      c->signal[i] = dpi_arena_printf(&c->arena, "amount(%s)", id);
    else
      c->signal[i] = dpi_arena_printf(&c->arena, "concentration(%s)", id);
    if (!c->signal[i]) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status read_settings(dpi_suite_case *c, const char *path, char *text) {
  setting s[NSETTING];
  double steps = 0;
  split_settings(text, s);
  DP_TRY(take_number(c, path, &s[START], &c->start));
  DP_TRY(take_number(c, path, &s[DURATION], &c->duration));
  DP_TRY(take_number(c, path, &s[STEPS], &steps));
  DP_TRY(take_number(c, path, &s[ABSOLUTE], &c->absolute));
  DP_TRY(take_number(c, path, &s[RELATIVE], &c->relative));
  DP_TRY(take_range(c, path, &s[MEAN_RANGE], c->mean_range));
  DP_TRY(take_range(c, path, &s[SD_RANGE], c->sd_range));
  c->timed = *s[DURATION].value != 0;
  bool still = steps == 0 && c->duration >= 0; /* one row, at the start */
  if (c->timed && !still && !(steps >= 1 && steps <= 1e7 && steps == floor(steps) && c->duration > 0))
    return dpi_fail(c->ctx, DP_ERR_INPUT, "%s: found duration '%s' and steps '%s', expected a time and a whole number",
                    path, s[DURATION].value, s[STEPS].value);
  c->steps = c->timed ? (int)steps : 0;
  if (c->absolute < 0 || c->relative < 0) return dpi_fail(c->ctx, DP_ERR_INPUT, "%s: a tolerance is negative", path);
  return take_variables(c, s);
}

/* ---- results ---- */

static dp_status read_header(dpi_suite_case *c, const char *path, char *line) {
  const char **name;
  int n;
  DP_TRY(take_list(c, line, &n, &name));
  bool time_first = n > 0 && !strcasecmp(name[0], "time");
  if (c->timed && !time_first) return dpi_fail(c->ctx, DP_ERR_INPUT, "%s:1: the first column is not time", path);
  if (n > MOST_LIST)
    return dpi_fail(c->ctx, DP_ERR_INPUT, "%s:1: found %d columns, expected at most %d", path, n, MOST_LIST);
  c->column = name + c->timed;
  c->ncolumn = n - c->timed;
  return n > 0 ? DP_OK : dpi_fail(c->ctx, DP_ERR_INPUT, "%s:1: no columns", path);
}

static dp_status read_row(dpi_suite_case *c, const char *path, int number, char *line) {
  int k = -(int)c->timed;
  for (char *piece; (piece = next_piece(&line, ",")); k++) {
    double v;
    if (k == c->ncolumn && !*piece) break; /* a comma at the end */
    if (k >= c->ncolumn || !parse_value(piece, &v))
      return dpi_fail(c->ctx, DP_ERR_INPUT, "%s:%d: found '%s', expected %d numbers", path, number, piece,
                      c->ncolumn + c->timed);
    if (k < 0)
      c->time[c->nrow] = v;
    else
      c->value[(size_t)c->nrow * (size_t)c->ncolumn + (size_t)k] = v;
  }
  if (k < c->ncolumn)
    return dpi_fail(c->ctx, DP_ERR_INPUT, "%s:%d: found %d columns, expected %d", path, number, k + c->timed,
                    c->ncolumn + c->timed);
  c->nrow++;
  return DP_OK;
}

static dp_status read_results(dpi_suite_case *c, const char *path, char *text) {
  size_t lines = 1, pieces = 1;
  for (const char *p = text; *p; p++) {
    lines += *p == '\n' || *p == '\r';
    pieces += *p == ',' || *p == '\n' || *p == '\r';
  }
  char *line = next_piece(&text, "\r\n");
  DP_TRY(read_header(c, path, line));
  if (c->timed) c->time = DPI_ARENA_ARRAY(&c->arena, double, lines);
  c->value = DPI_ARENA_ARRAY(&c->arena, double, pieces); /* empty lines cost nothing */
  if ((c->timed && !c->time) || !c->value) return DP_ERR_MEMORY;
  for (int number = 2; (line = next_piece(&text, "\r\n")); number++)
    if (*line) DP_TRY(read_row(c, path, number, line));
  return c->nrow ? DP_OK : dpi_fail(c->ctx, DP_ERR_INPUT, "%s: no rows", path);
}

/* "generatedBy: Analytic" in the description, which need not be there. */
static dp_status read_description(dpi_suite_case *c) {
  char *text;
  const char *path;
  DP_TRY(read_text(c, "-model.m", true, &text, &path));
  char *at = strstr(text, "generatedBy:");
  if (!at) return DP_OK;
  at += strlen("generatedBy:");
  at += strspn(at, " \t");
  c->analytic = !strncasecmp(at, "Analytic", 8);
  return DP_OK;
}

dp_status dpi_suite_case_parse(dpi_suite_case *c, const char *settings_path, char *settings, const char *results_path,
                               char *results) {
  DP_TRY(read_settings(c, settings_path, settings));
  return read_results(c, results_path, results);
}

static dp_status read_all(dpi_suite_case *c, const char *dir, const char *id) {
  char *settings, *results;
  const char *settings_path, *results_path;
  c->id = dpi_arena_strdup(&c->arena, id);
  c->dir = dpi_arena_strdup(&c->arena, dir);
  if (!c->id || !c->dir) return DP_ERR_MEMORY;
  DP_TRY(read_text(c, "-settings.txt", false, &settings, &settings_path));
  DP_TRY(read_text(c, "-results.csv", false, &results, &results_path));
  DP_TRY(dpi_suite_case_parse(c, settings_path, settings, results_path, results));
  return read_description(c);
}

dp_status dpi_suite_case_read(dp_ctx *ctx, const char *dir, const char *id, dpi_suite_case **out) {
  *out = NULL;
  dpi_suite_case *c = DPI_NEW(ctx, dpi_suite_case);
  if (!c) return DP_ERR_MEMORY;
  c->ctx = ctx;
  dpi_arena_init(&c->arena, ctx);
  dp_status status = read_all(c, dir, id);
  if (status == DP_OK)
    *out = c;
  else
    dpi_suite_case_destroy(c);
  return status;
}

void dpi_suite_case_destroy(dpi_suite_case *c) {
  if (!c) return;
  dpi_arena_release(&c->arena);
  dpi_free(c->ctx, c);
}

/* ---- questions ---- */

const char *dpi_suite_signal(const dpi_suite_case *c, const char *name) {
  for (int i = 0; i < c->nvariable; i++)
    if (!strcmp(c->variable[i], name)) return c->signal[i];
  return name;
}

double dpi_suite_expected(const dpi_suite_case *c, int row, int column) {
  return c->value[(size_t)row * (size_t)c->ncolumn + (size_t)column];
}

static dp_status add_file(dpi_suite_case *c, const char *ending, const char *level, dpi_suite_file *file, int *nfile) {
  const char *path = dpi_arena_printf(&c->arena, "%s/%s-%s", c->dir, c->id, ending);
  if (!path) return DP_ERR_MEMORY;
  if (!dpi_file_exists(path)) return DP_OK;
  snprintf(file[*nfile].level, sizeof file->level, "%s", level);
  file[(*nfile)++].path = path;
  return DP_OK;
}

dp_status dpi_suite_files(dpi_suite_case *c, dpi_suite_file file[DPI_SUITE_FILES], int *nfile) {
  *nfile = 0;
  for (int level = 3; level >= 1; level--)
    for (int version = 7; version >= 1; version--) {
      char name[] = {'l', (char)('0' + level), 'v', (char)('0' + version), '\0'}, ending[32];
      snprintf(ending, sizeof ending, "sbml-%s.xml", name);
      DP_TRY(add_file(c, ending, name, file, nfile));
    }
  if (*nfile == 0) DP_TRY(add_file(c, "antimony.txt", "antimony", file, nfile));
  return *nfile ? DP_OK : dpi_fail(c->ctx, DP_ERR_INPUT, "%s: no %s-sbml-lLvV.xml", c->dir, c->id);
}
