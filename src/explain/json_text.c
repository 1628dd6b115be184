/* json_text.c - numbers and texts of the document, and the one way in which it fails: a part that could not be made
 * makes the whole fail; nothing is left out silently. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "explain/explain.h"

json_t *dpi_explain_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *dpi_explain_numbers(const double *x, int n) {
  json_t *a = json_array();
  bool good = a != NULL;
  for (int i = 0; i < n; i++) dpi_explain_append(a, dpi_explain_number(x[i]), &good);
  if (good) return a;
  json_decref(a);
  return NULL;
}

/* Length of the UTF-8 sequence at s, 0 when it is none (RFC 3629). */
static size_t sequence(const unsigned char *s) {
  static const struct {
    unsigned char low, high, second_low, second_high;
    size_t n;
  } form[] = {{0x01, 0x7f, 0, 0, 1},          {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
              {0xe1, 0xec, 0x80, 0xbf, 3},    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
              {0xf0, 0xf0, 0x90, 0xbf, 4},    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  for (int i = 0; i < DPI_COUNT(form); i++) {
    if (s[0] < form[i].low || s[0] > form[i].high) continue;
    if (form[i].n == 1) return 1;
    if (s[1] < form[i].second_low || s[1] > form[i].second_high) return 0;
    for (size_t k = 2; k < form[i].n; k++)
      if ((s[k] & 0xc0) != 0x80) return 0;
    return form[i].n;
  }
  return 0;
}

json_t *dpi_explain_text(const char *text) {
  if (!text) text = "";
  json_t *plain = json_string(text);
  if (plain) return plain;
  char *copy = malloc(strlen(text) + 1);
  if (!copy) return NULL;
  strcpy(copy, text);
  for (char *at = copy; *at;) {
    size_t n = sequence((const unsigned char *)at);
    if (n == 0) *at = '?';
    at += n ? n : 1;
  }
  json_t *clean = json_string(copy);
  free(copy);
  return clean;
}

void dpi_explain_append(json_t *array, json_t *item, bool *good) {
  if (json_array_append_new(array, item) != 0) *good = false;
}

void dpi_explain_set(json_t *object, const char *key, json_t *item, bool *good) {
  if (json_object_set_new(object, key, item) != 0) *good = false;
}

dp_status dpi_explain_dump(dp_ctx *ctx, json_t *document, size_t flags, char **text) {
  char *raw = document ? json_dumps(document, flags) : NULL;
  json_decref(document);
  *text = NULL;
  if (!raw) return dpi_fail(ctx, DP_ERR_MEMORY, "no memory for the JSON document");
  size_t n = strlen(raw);
  *text = dpi_alloc(ctx, n + 1);
  if (*text) memcpy(*text, raw, n + 1);
  free(raw);
  return *text ? DP_OK : DP_ERR_MEMORY;
}

double dpi_explain_discrepancy(const dp_belief *b) {
  if (!b->discrepancy) return NAN;
  double *x = DPI_NEW_ARRAY(b->ctx, double, b->ndraw);
  if (!x) return NAN;
  memcpy(x, b->discrepancy, sizeof *x * (size_t)b->ndraw);
  dpi_sort(x, b->ndraw);
  double median = dpi_quantile_weighted(x, NULL, b->ndraw, 0.5, NULL);
  dpi_free(b->ctx, x);
  return median;
}
