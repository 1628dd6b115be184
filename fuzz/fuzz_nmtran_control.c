/* fuzz_nmtran_control.c - any bytes as a control stream: refused with a message, or a kind whose files the readers of kinds take
 * or refuse with a message; never a crash, a leak or an error of our own. Bytes before the first 0x01, when there is one, are a
 * data file that is then read by the stream's columns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/format.h"
#include "format/nmtran_control.h"
#include "kind/kind_impl.h"

#define CHECK(cond) \
  if (!(cond)) abort()

static char stream_path[64], data_path[64];

static void clean(void) {
  unlink(stream_path);
  unlink(data_path);
}

static void put(const char *path, const void *data, size_t size) {
  FILE *f = fopen(path, "wb");
  CHECK(f);
  CHECK(!size || fwrite(data, 1, size, f) == size);
  fclose(f);
}

/* The stream as a kind, and the data as its record. */
static void load(dp_ctx *ctx, const void *text, size_t size, const void *data, size_t ndata) {
  dp_kind *kind = NULL;
  dp_record *record = NULL;
  put(stream_path, text, size);
  dp_status st = dp_kind_load(ctx, stream_path, &kind);
  CHECK(st != DP_ERR_BUG && (st == DP_OK) == (kind != NULL));
  CHECK(st == DP_OK || *dp_ctx_error(ctx));
  if (kind && ndata) {
    put(data_path, data, ndata);
    st = dp_kind_record(kind, data_path, &record);
    CHECK((st == DP_OK) == (record != NULL));
  }
  dp_record_destroy(record);
  dp_kind_destroy(kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!*stream_path) {
    snprintf(stream_path, sizeof stream_path, "/tmp/doppel-fuzz-%ld.ctl", (long)getpid());
    snprintf(data_path, sizeof data_path, "/tmp/doppel-fuzz-%ld.csv", (long)getpid());
    atexit(clean);
  }
  if (size > 8192 || size == 0) return 0;
  const uint8_t *mark = memchr(data, 1, size);
  size_t ndata = mark ? (size_t)(mark - data) : 0, skip = mark ? ndata + 1 : 0;
  const char *text = (const char *)data + skip;
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  CHECK(dp_ctx_create(&def, &ctx) == DP_OK);
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  dpi_nmtran_kind kind;
  if (size > skip) (void)dpi_nmtran_is_control(text, size - skip);
  dp_status st = dpi_nmtran_control(ctx, &arena, text, size - skip, "fuzz.ctl", &kind);
  CHECK(st == DP_OK || st == DP_ERR_INPUT || st == DP_ERR_UNSUPPORTED);
  CHECK((st == DP_OK) == !*dp_ctx_error(ctx));
  for (int i = 0; i < kind.nfile && st == DP_OK; i++) CHECK(kind.file[i].text[0]);
  CHECK(st != DP_OK || dpi_nmtran_text(&kind, "twin.yaml"));
  dpi_arena_release(&arena);
  if (st == DP_OK) load(ctx, text, size - skip, data, ndata);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
