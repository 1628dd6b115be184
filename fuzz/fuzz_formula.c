/* fuzz_formula.c - any bytes as a formula: parsed, printed, read back as the same expression, derived, evaluated. */
#include <stdlib.h>
#include <string.h>

#include "lang/lang.h"

static void evaluate(dp_ctx *ctx, const dp_model *m, dpi_node n) {
  uint8_t *fast = DPI_NEW_ARRAY(ctx, uint8_t, m->nsym);
  double *sym = DPI_NEW_ARRAY(ctx, double, m->nsym), out;
  dpi_tape *t = NULL;
  for (int i = 0; i < m->nsym; i++) {
    fast[i] = i % 2 == 0;
    sym[i] = 0.5 + i;
  }
  if (dpi_tape_create(ctx, m->graph, &n, 1, fast, m->nsym, &t) != DP_OK) abort();
  double *reg = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(t));
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, &out);
  dpi_tape_destroy(t);
  dpi_free(ctx, reg);
  dpi_free(ctx, sym);
  dpi_free(ctx, fast);
}

/* what is printed must be read back as the same node, unless nesting or length forbid; names that were given between
 * backquotes are printed as they are, and what is delayed has only numbers for a name (#1) until the model is sealed */
static void round_trip(dp_ctx *ctx, dp_model *m, dpi_node n) {
  dpi_str text;
  dpi_node again;
  dpi_str_init(&text, ctx);
  dpi_model_print(m, n, &text);
  bool numbered = strchr(dpi_str_text(&text), '#') != NULL;
  dp_status s = numbered ? DP_ERR_UNSUPPORTED : dpi_model_parse(m, dpi_str_text(&text), "again", false, &again);
  if (s == DP_OK && again != n) abort();
  if (s != DP_OK && s != DP_ERR_UNSUPPORTED && text.len < 100000) abort();
  dpi_str_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static dp_ctx *ctx;
  if (ctx == NULL) {
    dp_ctx_def def = dp_ctx_def_default();
    if (dp_ctx_create(&def, &ctx) != DP_OK) abort();
  }
  size_t live = dpi_alloc_live(ctx);
  dp_model *m = NULL;
  dpi_node n = DPI_NODE_NONE;
  char *text = malloc(size + 1);
  if (text == NULL || dpi_model_create(ctx, "fuzz", "fuzz", &m) != DP_OK) abort();
  memcpy(text, data, size);
  text[size] = '\0';
  if (dpi_model_parse(m, text, "fuzz", true, &n) == DP_OK) {
    if (strchr(text, '`') == NULL) round_trip(ctx, m, n);
    evaluate(ctx, m, n);
    for (int k = 0; k < m->nsym && k < 3; k++) evaluate(ctx, m, dpi_g_diff(m->graph, n, k));
  } else if (dp_ctx_error(ctx)[0] == '\0') {
    abort();
  }
  dp_model_destroy(m);
  dp_ctx_clear_error(ctx);
  free(text);
  if (dpi_alloc_live(ctx) != live) abort();
  return 0;
}
