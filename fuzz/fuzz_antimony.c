/* fuzz_antimony.c - any bytes as Antimony text: read, seal, compile, show; never a crash, a leak or our own fault.
 *
 * A text that is read must show itself; what is written of it must be read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/network.h"

/* the tapes run once, with all symbols 1: no access outside the registers */
static void run_once(dp_ctx *ctx, const dpi_tape *t, int nsym, int nout) {
  double *sym = DPI_NEW_ARRAY(ctx, double, nsym), *reg = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(t));
  double *out = DPI_NEW_ARRAY(ctx, double, nout + 1);
  for (int i = 0; i < nsym; i++) sym[i] = 1.0;
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, out);
  dpi_free(ctx, sym);
  dpi_free(ctx, reg);
  dpi_free(ctx, out);
}

/* Is it a model that can run? */
static bool use(dp_ctx *ctx, dp_model *m) {
  dpi_system *sys = NULL;
  char *text = NULL;
  dpi_node n;
  if (dp_model_seal(m) != DP_OK) return false;
  if (dp_model_show(m, &text) == DP_OK) dp_model_text_free(m, text);
  (void)dpi_model_parse(m, "time + 1", "fuzz", false, &n);
  if (m->nstate > 200 || dpi_graph_count(m->graph) > 20000) return true;
  if (dpi_system_create(ctx, m, NULL, 0, &sys) != DP_OK) return true;
  run_once(ctx, sys->full, m->nsym, sys->nstate + sys->jac_nnz);
  run_once(ctx, sys->init, m->nsym, sys->nstate);
  dpi_system_destroy(sys);
  return true;
}

/* written text is a text of ours: only its size may be too much for us; SBML can't say all that Antimony can */
static void write_and_read(dp_ctx *ctx, const dpi_net *net, const dpi_language *language) {
  dpi_str text;
  dpi_net *again = NULL;
  dpi_str_init(&text, ctx);
  dp_status s = language->write(net, &text);
  bool written = s == DP_OK;
  if (s == DP_OK) s = language->read(ctx, dpi_str_text(&text), text.len, "again", &again);
  /* a loop that folds away here (i = 0*i) is one in SBML: dp_model_write refuses it */
  bool circular = s == DP_ERR_INPUT && strstr(dp_ctx_error(ctx), "SBML rule 20906") != NULL;
  if ((written && s == DP_ERR_INPUT && !circular) || s == DP_ERR_BUG) {
    fprintf(stderr, "%s\n%s\n", dp_ctx_error(ctx), dpi_str_text(&text));
    abort();
  }
  dpi_net_destroy(again);
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
  dp_status s = dpi_antimony_read(ctx, (const char *)data, size, "fuzz.ant", &m);
  if (s == DP_OK) {
    if (m->net != NULL) write_and_read(ctx, m->net, &dpi_language_antimony);
    dp_ctx_clear_error(ctx);
    if (use(ctx, m) && m->net != NULL && size < 3000) write_and_read(ctx, m->net, &dpi_language_sbml);
    dp_model_destroy(m);
  } else if (dp_ctx_error(ctx)[0] == '\0' || s == DP_ERR_BUG) {
    abort(); /* a refusal must say why */
  }
  dp_ctx_clear_error(ctx);
  if (dpi_alloc_live(ctx) != live) abort();
  return 0;
}
