/* fuzz_surrogate.c - any bytes as a surrogate's file: refused with a message or read, then asked, written and read back to
 * the same bytes, and simulated; all memory given back. First byte odd: the right hash is put behind the bytes, so that what
 * lies behind that check is reached too. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "doppel/sim.h"
#include "num/surrogate.h"

#define CHECK(cond) \
  if (!(cond)) abort()

static void ask(dp_ctx *ctx, const dpi_surrogate *s) {
  double *x = malloc(sizeof *x * (size_t)s->ninput);
  for (int k = 0; k < s->ninput; k++) x[k] = s->x[k]; /* the first row lies inside */
  for (int o = 0; o < s->noutput; o++) {
    double mean, sd;
    CHECK(dpi_surrogate_ask_all(s, o, 1, x, &mean, &sd) == DP_OK);
    CHECK(!(sd < 0));
  }
  x[0] = s->input[0].high + fabs(s->input[0].high) + 1;
  double mean;
  if (x[0] > s->input[0].high) {
    CHECK(dpi_surrogate_ask_all(s, 0, 1, x, &mean, NULL) == DP_ERR_INPUT);
    dp_ctx_clear_error(ctx);
  }
  free(x);
}

static void again(dp_ctx *ctx, dpi_surrogate *s) {
  dpi_str a, b;
  dpi_surrogate *t = NULL;
  dpi_str_init(&a, ctx);
  dpi_str_init(&b, ctx);
  CHECK(dpi_surrogate_write(s, &a) == DP_OK);
  CHECK(dpi_surrogate_read(ctx, "again", a.data, a.len, &t) == DP_OK);
  CHECK(dpi_surrogate_write(t, &b) == DP_OK);
  CHECK(strcmp(a.data, b.data) == 0);
  dpi_surrogate_destroy(t);
  dpi_str_release(&a);
  dpi_str_release(&b);
}

/* As the spoke "statistical" has it: refused, or one member runs or fails. */
static void simulate(dp_ctx *ctx, const char *text) {
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  dp_result *r = NULL;
  def.spoke = "statistical";
  def.config = text;
  dp_run_opts opts = dp_run_opts_default();
  const dp_output_time when = {DP_TICKS, 0};
  if (dp_sim_create(ctx, &def, &sim) == DP_OK) {
    dp_member m = {.param = dp_sim_describe(sim)->param_default, .out = &when, .nout = 1};
    if (dp_simulate(sim, &m, 1, &opts, &r) == DP_OK) dp_result_destroy(r);
  }
  dp_ctx_clear_error(ctx);
  dp_sim_destroy(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  dpi_surrogate *s;
  dpi_str text;
  def.nthread = 1;
  CHECK(dp_ctx_create(&def, &ctx) == DP_OK);
  dpi_str_init(&text, ctx);
  dpi_str_addn(&text, (const char *)data + 1, size - 1);
  if (data[0] % 2) {
    char hash[65];
    if (size < 2 || data[size - 1] != '\n') dpi_str_add(&text, "\n");
    dpi_sha256_hex(text.data, text.len, hash);
    dpi_str_addf(&text, "sha256 %s\n", hash);
  }
  const char *bytes = text.data ? text.data : "";
  dp_status status = dpi_surrogate_read(ctx, "fuzz", bytes, text.len, &s);
  CHECK((status == DP_OK) == (s != NULL));
  CHECK((status == DP_OK) == !*dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
  if (s) ask(ctx, s);
  if (s) again(ctx, s);
  if (!memchr(bytes, 0, text.len)) simulate(ctx, bytes);
  dpi_surrogate_destroy(s);
  dpi_str_release(&text);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
