/* fuzz_resume.c - any bytes as the file from which an interrupted multi-start fit, or the scatter search after it, goes
 * on: refused with a message, or it ends as it does; all memory given back. First byte: bit 0, the right head is put
 * before the bytes; bit 1, the scatter search; bit 2, information now and then. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "infer/point/scatter.h"

#define CHECK(cond) \
  if (!(cond)) abort()

static char path[64];
static char head[4][2048];
static const char *const names[2] = {"a", "b"};
static const double lower[2] = {-2, -2}, upper[2] = {3, 3};

/* A valley: J = (a - 1)^2 + 3 (b + a/2)^2. Never more than so many points, so that no state makes a fit endless. */
static dp_status eval(dpi_density *d, int npoint, const double *x, unsigned what, dpi_density_value *v) {
  CHECK(d->neval < 100000);
  for (int i = 0; i < npoint; i++) {
    double p = x[2 * i] - 1, q = x[2 * i + 1] + 0.5 * x[2 * i];
    CHECK(isfinite(x[2 * i]) && isfinite(x[2 * i + 1])); /* whatever a file says, points are numbers */
    v[i].ok = true;
    v[i].logprior = 0;
    v[i].loglik = -p * p - 3 * q * q;
    if (what & DPI_DENSITY_GRADIENT) {
      v[i].gradient[0] = -2 * p - 3 * q;
      v[i].gradient[1] = -6 * q;
    }
    if (what & DPI_DENSITY_FISHER) {
      v[i].fisher[0] = 3.5;
      v[i].fisher[1] = v[i].fisher[2] = 3;
      v[i].fisher[3] = 6;
    }
  }
  return DP_OK;
}

static const dpi_density_ops ops = {.eval = eval};

static dp_status fit(dp_ctx *ctx, int refresh, dpi_multistart **out) {
  dpi_density d = {.ops = &ops, .ctx = ctx, .n = 2, .name = names, .lower = lower, .upper = upper, .ndatum = 5};
  dpi_multistart_def def = dpi_multistart_def_default();
  def.nstart = 3;
  def.batch = 2;
  def.file = path;
  def.key = "key";
  def.trust.refresh = refresh;
  return dpi_multistart_run(&d, &def, out);
}

static dp_status scatter(dp_ctx *ctx, int refresh, dpi_scatter **out) {
  const double x[2] = {2, 2}, j = 28;
  dpi_density d = {.ops = &ops, .ctx = ctx, .n = 2, .name = names, .lower = lower, .upper = upper, .ndatum = 5};
  dpi_scatter_def def = dpi_scatter_def_default();
  def.members = 3;
  def.families = def.places = def.levels = def.patience = 2;
  def.file = path;
  def.local.key = "key";
  def.local.trust.refresh = refresh;
  return dpi_scatter_run(&d, &def, 1, x, &j, out);
}

static dp_status go(dp_ctx *ctx, int kind, bool *some) {
  dpi_multistart *ms = NULL;
  dpi_scatter *s = NULL;
  const int refresh = kind & 4 ? 3 : 1;
  const dp_status status = kind & 2 ? scatter(ctx, refresh, &s) : fit(ctx, refresh, &ms);
  *some = ms || s;
  dpi_multistart_destroy(ms);
  dpi_scatter_destroy(s);
  return status;
}

/* A whole fit leaves a file; its first two lines say whose it is. */
static void make_head(dp_ctx *ctx, int kind, char head[2048]) {
  bool some;
  unlink(path);
  CHECK(go(ctx, kind, &some) == DP_OK);
  FILE *f = fopen(path, "rb");
  CHECK(f);
  size_t n = fread(head, 1, 2047, f);
  fclose(f);
  head[n] = 0;
  char *line = strchr(head, '\n');
  CHECK(line && (line = strchr(line + 1, '\n')));
  line[1] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  dp_ctx_def cdef = dp_ctx_def_default();
  dp_ctx *ctx;
  bool some;
  const int kind = data[0] & 6;
  cdef.nthread = 1;
  CHECK(dp_ctx_create(&cdef, &ctx) == DP_OK);
  if (!path[0]) {
    snprintf(path, sizeof path, "/tmp/doppel-fuzz-resume-%ld", (long)getpid());
    for (int k = 0; k < 4; k++) make_head(ctx, 2 * k, head[k]);
  }
  FILE *f = fopen(path, "wb");
  size_t nhead = data[0] % 2 ? strlen(head[kind / 2]) : 0;
  CHECK(f && fwrite(head[kind / 2], 1, nhead, f) == nhead && fwrite(data + 1, 1, size - 1, f) == size - 1);
  CHECK(fclose(f) == 0);
  dp_status status = go(ctx, kind, &some);
  CHECK((status == DP_OK) == some);
  CHECK((status == DP_OK) == !*dp_ctx_error(ctx));
  unlink(path);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
