/* fuzz_glucose.c - any bytes as a sensor's readings: refused with a message or read; then metrics and profile; all
 * memory given back. The first byte chooses the unit that the caller gives. */
#include <math.h>
#include <stdlib.h>

#include "format/glucose_series.h"

#define CHECK(cond) \
  if (!(cond)) abort()

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const units[] = {NULL, "mg/dL", "mmol/L"};
  dp_ctx *ctx = NULL;
  dp_ctx_def context = dp_ctx_def_default();
  dp_glucose_read_def def = dp_glucose_read_def_default();
  dp_glucose_series *series = NULL;
  int n = 0;
  if (size == 0 || dp_ctx_create(&context, &ctx) != DP_OK) return 0;
  def.unit = units[data[0] % 3];
  dp_status status = dpi_glucose_read_text(ctx, (const char *)data + 1, size - 1, "fuzz", &def, &series, &n);
  CHECK((status == DP_OK) == !*dp_ctx_error(ctx));
  for (int i = 0; i < n; i++) {
    dp_glucose_metrics m = dp_glucose_measure(&series[i]);
    dp_glucose_profile *p = NULL;
    if (m.n) CHECK(fabs(m.tir + m.tbr70 + m.tar180 - 100) < 1e-9);
    if (dp_glucose_profile_make(ctx, &series[i], 60, &p) == DP_OK) CHECK(p->nslot == 24);
    dp_glucose_profile_free(ctx, p);
  }
  dp_glucose_series_free(ctx, series, n);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
