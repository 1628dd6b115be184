/* point_batch.c - floor 6, inside infer/point: searches that advance at the same time. */
#include "infer/point/point_batch.h"

#include <string.h>

dp_status dpi_batch_init(dpi_batch *b, dp_ctx *ctx, int n, int cap) {
  size_t count = (size_t)cap + 1, size = count * (size_t)n;
  *b = (dpi_batch){.ctx = ctx, .n = n, .cap = cap};
  b->owner = DPI_NEW_ARRAY(ctx, int, count);
  b->x = DPI_NEW_ARRAY(ctx, double, size);
  b->what = DPI_NEW_ARRAY(ctx, unsigned, count);
  b->value = DPI_NEW_ARRAY(ctx, dpi_density_value, count);
  b->order = DPI_NEW_ARRAY(ctx, int, count);
  b->part_x = DPI_NEW_ARRAY(ctx, double, size);
  b->part = DPI_NEW_ARRAY(ctx, dpi_density_value, count);
  return b->owner && b->x && b->what && b->value && b->order && b->part_x && b->part ? DP_OK : DP_ERR_MEMORY;
}

void dpi_batch_release(dpi_batch *b) {
  if (!b->ctx) return;
  dpi_free(b->ctx, b->owner);
  dpi_free(b->ctx, b->x);
  dpi_free(b->ctx, b->what);
  dpi_free(b->ctx, b->value);
  dpi_free(b->ctx, b->order);
  dpi_free(b->ctx, b->part_x);
  dpi_free(b->ctx, b->part);
  memset(b, 0, sizeof *b);
}

bool dpi_batch_ask(dpi_batch *b, dpi_trust *t, int owner) {
  int k = b->count;
  DP_ASSERT(k < b->cap);
  if (!dpi_trust_next(t, b->x + (size_t)k * (size_t)b->n, &b->what[k], &b->value[k])) return false;
  b->owner[k] = owner;
  b->count++;
  return true;
}

dp_status dpi_batch_eval(dpi_batch *b, dpi_density *d) {
  for (unsigned what = 0; what <= (DPI_DENSITY_GRADIENT | DPI_DENSITY_FISHER); what++) {
    int m = 0;
    size_t n = (size_t)b->n;
    for (int k = 0; k < b->count; k++) {
      if (b->what[k] != what) continue;
      memcpy(b->part_x + (size_t)m * n, b->x + (size_t)k * n, sizeof(double) * n);
      b->part[m] = b->value[k];
      b->order[m++] = k;
    }
    if (m == 0) continue;
    DP_TRY(dpi_density_eval(d, m, b->part_x, what, b->part));
    for (int k = 0; k < m; k++) b->value[b->order[k]] = b->part[k];
  }
  return DP_OK;
}
