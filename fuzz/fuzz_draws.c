/* fuzz_draws.c - any bytes as a sampler's file: refused with a message or read with every draw in its place; all memory
 * given back. First byte odd: the right head is put before the bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "infer/sample/chain.h"

#define CHECK(cond) \
  if (!(cond)) abort()

static char path[64];
static char head[2048]; /* what a file of this definition begins with */
static const char *const names[2] = {"ka", "CL"};
static const dpi_draws_def def = {.sampler = "nuts",
                                  .tag = "tag",
                                  .seed = 3,
                                  .n = 2,
                                  .name = names,
                                  .nchain = 2,
                                  .ndraw = 3,
                                  .stat = true,
                                  .nstate = 2};

static void put(const char *a, size_t na, const uint8_t *b, size_t nb) {
  FILE *f = fopen(path, "wb");
  CHECK(f && fwrite(a, 1, na, f) == na && fwrite(b, 1, nb, f) == nb);
  CHECK(fclose(f) == 0);
}

/* A file without draws, up to its first line that is no head. */
static void make_head(dp_ctx *ctx) {
  dpi_draws *s;
  snprintf(path, sizeof path, "/tmp/doppel-fuzz-draws-%ld", (long)getpid());
  CHECK(dpi_draws_create(ctx, &def, &s) == DP_OK);
  CHECK(dpi_draws_save(s, path) == DP_OK);
  dpi_draws_destroy(s);
  FILE *f = fopen(path, "rb");
  CHECK(f);
  size_t n = fread(head, 1, sizeof head - 1, f);
  fclose(f);
  head[n] = 0;
  char *state = strstr(head, "# state");
  CHECK(state);
  *state = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  dp_ctx_def cdef = dp_ctx_def_default();
  dp_ctx *ctx;
  dpi_draws *s;
  CHECK(dp_ctx_create(&cdef, &ctx) == DP_OK);
  if (!path[0]) make_head(ctx);
  put(head, data[0] % 2 ? strlen(head) : 0, data + 1, size - 1);
  dp_status status = dpi_draws_load(ctx, path, &def, &s);
  CHECK((status == DP_OK) == (s != NULL));
  CHECK((status == DP_OK) == !*dp_ctx_error(ctx));
  if (s) {
    for (int c = 0; c < 2; c++) CHECK(s->done[c] >= 0 && s->done[c] <= 3);
    CHECK(s->nplace >= 0 && s->nplace <= DPI_DRAWS_PLACES);
    CHECK(dpi_draws_save(s, path) == DP_OK);
  }
  dpi_draws_destroy(s);
  unlink(path);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
