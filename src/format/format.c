/* format.c - floor 3: bytes on disk to a record, by the format asked for or the one that fits
 * best.  -> O, U */
#include "format/format.h"

#include <string.h>

#define RECORD_COOKIE 0x44505244u /* "DPRD" */

dp_record_def dp_record_def_default(void) { return (dp_record_def){.cookie = RECORD_COOKIE}; }

/* The format of that name; the message lists those there are. */
static dp_status by_name(dp_ctx *ctx, const char *name, const dpi_format_ops **out) {
  const dpi_format_ops *const *list = dpi_format_registry();
  dpi_str names;
  dpi_str_init(&names, ctx);
  for (; *list; list++) {
    if (strcmp((*list)->name, name) == 0) {
      *out = *list;
      dpi_str_release(&names);
      return DP_OK;
    }
    dpi_str_addf(&names, "%s%s", names.len ? ", " : "", (*list)->name);
  }
  dp_status status = dpi_fail(ctx, DP_ERR_USAGE, "format: found '%s', expected one of: %s", name,
                              dpi_str_text(&names));
  dpi_str_release(&names);
  return status;
}

/* The format with the highest probe; the first of equals. */
static dp_status by_content(dp_ctx *ctx, const char *data, size_t size, const char *source,
                            const dpi_format_ops **out) {
  int best = 0;
  for (const dpi_format_ops *const *list = dpi_format_registry(); *list; list++) {
    int p = (*list)->probe(data, size, source);
    if (p <= best) continue;
    best = p;
    *out = *list;
  }
  if (best > 0) return DP_OK;
  return dpi_fail(ctx, DP_ERR_INPUT, "%s: the content is of no known format", source);
}

dp_status dp_record_read(dp_ctx *ctx, const char *path, const dp_record_def *def, dp_record **out) {
  if (out) *out = NULL;
  if (!ctx || !path || !out)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_record_read: an argument is NULL");
  dp_record_def usual = dp_record_def_default();
  if (!def) def = &usual;
  if (def->cookie != RECORD_COOKIE) {
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_record_def was not made by dp_record_def_default");
  }
  const dpi_format_ops *format = NULL;
  if (def->format) DP_TRY(by_name(ctx, def->format, &format));
  char *data;
  size_t size;
  DP_TRY(dpi_file_read(ctx, path, 0, &data, &size));
  dp_status status = DP_OK;
  if (!format) status = by_content(ctx, data, size, path, &format);
  if (status == DP_OK) status = format->read(ctx, data, size, path, def, out);
  dpi_free(ctx, data);
  return status;
}
