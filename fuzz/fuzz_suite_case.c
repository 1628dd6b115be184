/* fuzz_suite_case.c - any bytes as the settings and the results of a case of the SBML Test Suite, with a 0 between them;
 * what is accepted holds together.
 */
#include <stdlib.h>
#include <string.h>

#include "suite/suite_impl.h"

static void use(const dpi_suite_case *c) {
  double sum = 0;
  if (c->ncolumn < 0 || c->nrow < 0) abort();
  if (c->steps < 0 || (c->steps > 0 && !(c->duration > 0))) abort();
  for (int i = 0; i < c->nrow; i++) {
    if (c->timed) sum += c->time[i];
    for (int k = 0; k < c->ncolumn; k++) sum += dpi_suite_expected(c, i, k);
  }
  for (int k = 0; k < c->ncolumn; k++)
    sum += (double)strlen(dpi_suite_signal(c, c->column[k])); /* "" stands in quotes: of no model */
  volatile double kept = sum; /* every value is read */
  (void)kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static dp_ctx *ctx;
  if (ctx == NULL) {
    dp_ctx_def def = dp_ctx_def_default();
    if (dp_ctx_create(&def, &ctx) != DP_OK) abort();
  }
  size_t live = dpi_alloc_live(ctx);
  dpi_suite_case c = {.ctx = ctx, .id = "1", .dir = "."};
  dpi_arena_init(&c.arena, ctx);
  char *text = calloc(1, size + 2);
  if (text == NULL) abort();
  memcpy(text, data, size);
  char *results = text + strlen(text) + (strlen(text) < size);
  dp_status s = dpi_suite_case_parse(&c, "settings.txt", text, "results.csv", results);
  if (s == DP_OK)
    use(&c);
  else if (dp_ctx_error(ctx)[0] == '\0' || s == DP_ERR_BUG)
    abort(); /* a refusal must say why */
  dpi_arena_release(&c.arena);
  dp_ctx_clear_error(ctx);
  free(text);
  if (dpi_alloc_live(ctx) != live) abort();
  return 0;
}
