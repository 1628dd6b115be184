/* fuzz_resume.c - any bytes as the file from which an interrupted multi-start fit goes on: refused with a message, or the
 * fit ends as a fit does; all memory given back. First byte odd: the right head is put before the bytes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "infer/point/multistart.h"

#define CHECK(cond) \
  if (!(cond)) abort()

static char path[64];
static char head[2048];
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

static dp_status fit(dp_ctx *ctx, dpi_multistart **out) {
  dpi_density d = {.ops = &ops, .ctx = ctx, .n = 2, .name = names, .lower = lower, .upper = upper, .ndatum = 5};
  dpi_multistart_def def = dpi_multistart_def_default();
  def.nstart = 3;
  def.batch = 2;
  def.file = path;
  def.key = "key";
  return dpi_multistart_run(&d, &def, out);
}

/* A whole fit leaves a file; its first two lines say whose it is. */
static void make_head(dp_ctx *ctx) {
  dpi_multistart *ms = NULL;
  snprintf(path, sizeof path, "/tmp/doppel-fuzz-resume-%ld", (long)getpid());
  unlink(path);
  CHECK(fit(ctx, &ms) == DP_OK);
  dpi_multistart_destroy(ms);
  FILE *f = fopen(path, "rb");
  CHECK(f);
  size_t n = fread(head, 1, sizeof head - 1, f);
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
  dpi_multistart *ms = NULL;
  cdef.nthread = 1;
  CHECK(dp_ctx_create(&cdef, &ctx) == DP_OK);
  if (!path[0]) make_head(ctx);
  FILE *f = fopen(path, "wb");
  size_t nhead = data[0] % 2 ? strlen(head) : 0;
  CHECK(f && fwrite(head, 1, nhead, f) == nhead && fwrite(data + 1, 1, size - 1, f) == size - 1);
  CHECK(fclose(f) == 0);
  dp_status status = fit(ctx, &ms);
  CHECK((status == DP_OK) == (ms != NULL));
  CHECK((status == DP_OK) == !*dp_ctx_error(ctx));
  dpi_multistart_destroy(ms);
  unlink(path);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
