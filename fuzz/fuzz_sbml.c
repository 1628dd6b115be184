/* fuzz_sbml.c - any bytes as SBML text: read, make equations, seal; never a crash, a leak of ours, or a refusal without reason.
 *
 * libSBML is not instrumented: run with -detect_leaks=0 -rss_limit_mb=4096. Inputs that libSBML itself can't bear are worth a
 * check of ours in sbml_scan.c.
 */
#include <stdlib.h>
#include <string.h>

#include "lang/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static dp_ctx *ctx;
  if (ctx == NULL) {
    dp_ctx_def def = dp_ctx_def_default();
    if (dp_ctx_create(&def, &ctx) != DP_OK) abort();
  }
  size_t live = dpi_alloc_live(ctx);
  dpi_net *net = NULL;
  dp_model *m = NULL;
  (void)dpi_language_sbml.is((const char *)data, size);
  dp_status s = dpi_language_sbml.read(ctx, (const char *)data, size, "fuzz.xml", &net);
  if (s == DP_OK) s = dpi_net_lower(net, &m);
  if (s == DP_OK) s = dp_model_seal(m);
  if (s != DP_OK && (dp_ctx_error(ctx)[0] == '\0' || s == DP_ERR_BUG))
    abort(); /* a refusal must say why */
  dp_model_destroy(m);
  dp_ctx_clear_error(ctx);
  if (dpi_alloc_live(ctx) != live) abort();
  return 0;
}
