/* fuzz_unit.c - any text is a unit or a refusal with a message; what is a unit converts to itself
 * by the factor 1. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "doppel/units.h"

static dp_ctx *ctx;

static void require(int ok) {
  if (!ok) abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  dp_ctx_def def = dp_ctx_def_default();
  require(dp_ctx_create(&def, &ctx) == DP_OK);
  return 0;
}

/* the input holds two texts, parted by a line feed */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  require(text != NULL);
  memcpy(text, data, size);
  text[size] = '\0';
  char *second = strchr(text, '\n');
  if (second) *second++ = '\0';
  dp_unit a, b;
  double f;
  dp_ctx_clear_error(ctx);
  if (dp_unit_parse(ctx, text, &a) == DP_OK) {
    require(a.factor > 0.0 && isfinite(a.factor) && isfinite(a.offset));
    require(memchr(a.arbitrary, '\0', sizeof a.arbitrary) &&
            memchr(a.special, '\0', sizeof a.special));
    require(dp_unit_factor(ctx, &a, &a, 0.0, &f) == DP_OK && fabs(f - 1.0) < 1e-12);
    double x;
    if (second && dp_unit_parse(ctx, second, &b) == DP_OK &&
        dp_unit_convert(ctx, 2.0, text, second, 180.0, &x) == DP_OK) {
      require(!isnan(x));
    }
  } else {
    require(dp_ctx_error(ctx)[0] != '\0');
  }
  free(text);
  return 0;
}
