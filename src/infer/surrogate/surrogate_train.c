/* surrogate_train.c - floor 6, inside infer/surrogate: design, answers, one fit an output. */
#include "infer/surrogate/surrogate_train.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "infer/sobol/sens.h"

#define COOKIE 0x53555252u /* "SURR" */

dpi_training_def dpi_training_def_default(void) {
  return (dpi_training_def){
      .cookie = COOKIE, .npoint = 200, .seed = 1, .kernel = DPI_KERNEL_MATERN52, .nstart = 4, .degree = 12, .q = 0.75};
}

/* ---- checks ---- */

static bool is_word(const char *id) {
  size_t n = id ? strlen(id) : 0;
  for (size_t i = 0; i < n; i++)
    if (isspace((unsigned char)id[i])) return false;
  return n > 0 && n < DPI_SURROGATE_ID;
}

static dp_status check_input(dp_ctx *ctx, const dpi_surrogate_input *in) {
  if (!is_word(in->id)) return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: an input's id is one word, found '%s'", in->id);
  if (!(in->low < in->high) || !isfinite(in->low) || !isfinite(in->high) || (in->log && !(in->low > 0)))
    return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: input %s: domain %g to %g%s", in->id, in->low, in->high,
                    in->log ? ", expected positive ends" : "");
  if (in->hermite && (!(in->b > 0) || !isfinite(in->a) || !isfinite(in->b)))
    return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: input %s: mean %g, deviation %g", in->id, in->a, in->b);
  return DP_OK;
}

static dp_status check(dp_ctx *ctx, const dpi_training_def *def, int noutput, const char *const *id) {
  if (def->cookie != COOKIE) return dpi_fail(ctx, DP_ERR_USAGE, "dpi_training_def not from dpi_training_def_default");
  if (def->npoint < 4 || def->npoint > DPI_SURROGATE_MOST_ROWS || def->ninput < 1 || noutput < 1)
    return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: %d points, %d inputs, %d outputs; expected 4 to %d points",
                    def->npoint, def->ninput, noutput, DPI_SURROGATE_MOST_ROWS);
  if (def->degree < 1 || def->degree > DPI_SURROGATE_MOST_DEGREE || !(def->q > 0 && def->q <= 1))
    return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: degree %d, norm %g; expected 1 to %d, above 0 to 1", def->degree,
                    def->q, DPI_SURROGATE_MOST_DEGREE);
  for (int k = 0; k < def->ninput; k++) DP_TRY(check_input(ctx, &def->input[k]));
  for (int o = 0; o < noutput; o++)
    if (!is_word(id[o]))
      return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: an output's id is one word, found '%s'", id[o] ? id[o] : "");
  return DP_OK;
}

/* ---- design ---- */

/* An input at share u of its law within the domain. */
static double at_share(const dpi_surrogate_input *in, double u) {
  double low = in->log ? dpi_m_log(in->low) : in->low, high = in->log ? dpi_m_log(in->high) : in->high, z;
  if (in->hermite) {
    double from = dpi_norm_cdf((low - in->a) / in->b), to = dpi_norm_cdf((high - in->a) / in->b);
    z = in->a + in->b * dpi_norm_quantile(from + (to - from) * u);
  } else {
    z = low + (high - low) * u;
  }
  double x = in->log ? dpi_m_exp(z) : z;
  return fmin(fmax(x, in->low), in->high);
}

typedef struct answers {
  double *x, *y;
  uint64_t *stream;
  uint8_t *ok;
} answers;

static void release(dp_ctx *ctx, answers *a) {
  dpi_free(ctx, a->x);
  dpi_free(ctx, a->y);
  dpi_free(ctx, a->stream);
  dpi_free(ctx, a->ok);
}

static dp_status ask(dp_ctx *ctx, const dpi_training_def *def, int noutput, dp_points_fn fn, void *user, answers *a,
                     dp_points *p) {
  size_t n = (size_t)def->npoint, d = (size_t)def->ninput;
  dpi_net net;
  *a = (answers){DPI_NEW_ARRAY(ctx, double, n *d), DPI_NEW_ARRAY(ctx, double, n *(size_t)noutput),
                 DPI_NEW_ARRAY(ctx, uint64_t, n), DPI_NEW_ARRAY(ctx, uint8_t, n)};
  if (!a->x || !a->y || !a->stream || !a->ok) return DP_ERR_MEMORY;
  dp_status status = dpi_net_init(&net, ctx, def->ninput, def->seed);
  for (size_t i = 0; i < n && status == DP_OK; i++) {
    dpi_net_point(&net, (uint32_t)i, a->x + i * d);
    for (size_t k = 0; k < d; k++) a->x[i * d + k] = at_share(&def->input[k], a->x[i * d + k]);
    a->stream[i] = i;
    a->ok[i] = 1;
  }
  dpi_net_release(&net, ctx);
  DP_TRY(status);
  *p = (dp_points){.n = def->npoint, .x = a->x, .stream = a->stream, .y = a->y, .ok = a->ok};
  DP_TRY(fn(user, p));
  for (size_t i = 0; i < n; i++)
    for (size_t o = 0; o < (size_t)noutput; o++)
      if (!isfinite(a->y[i * (size_t)noutput + o])) a->ok[i] = 0;
  return DP_OK;
}

/* ---- fits ---- */

static dp_status fit_one(dpi_surrogate *s, int o, const dpi_training_def *def) {
  if (def->kind == DPI_TRAIN_PCE) return dpi_surrogate_fit_pce(s, o, def);
  if (def->kind == DPI_TRAIN_GP) return dpi_surrogate_fit_gp(s, o, def);
  DP_TRY(dpi_surrogate_fit_pce(s, o, def));
  double chaos = s->part[o].loo;
  DP_TRY(dpi_surrogate_fit_gp(s, o, def));
  if (s->part[o].loo <= chaos) return DP_OK;
  s->part[o].kind = DPI_SURROGATE_PCE; /* its terms are still there */
  return dpi_surrogate_assemble(s, o);
}

typedef struct job {
  dpi_surrogate *s;
  const dpi_training_def *def;
} job;

/* One after the other: outputs have an arena in common. */
static dp_status fit_all(const job *j) {
  for (int o = 0; o < j->s->noutput; o++) {
    if (dp_ctx_cancelled(j->s->ctx)) return dpi_fail(j->s->ctx, DP_ERR_CANCELLED, "surrogate: training was stopped");
    DP_TRY(fit_one(j->s, o, j->def));
  }
  return DP_OK;
}

static void fill(dpi_surrogate *s, const dpi_training_def *def, const char *const *id, const answers *a) {
  size_t d = (size_t)def->ninput, m = 0;
  memcpy(s->input, def->input, sizeof *s->input * d);
  for (int o = 0; o < s->noutput; o++) memcpy(s->part[o].id, id[o], strlen(id[o]) + 1);
  for (size_t i = 0; i < (size_t)def->npoint; i++) {
    if (!a->ok[i]) continue;
    memcpy(s->x + m * d, a->x + i * d, sizeof *s->x * d);
    for (int o = 0; o < s->noutput; o++) s->part[o].y[m] = a->y[i * (size_t)s->noutput + (size_t)o];
    m++;
  }
}

static dp_status train(dp_ctx *ctx, const dpi_training_def *def, int noutput, const char *const *id, const answers *a,
                       const char *reason, dpi_surrogate **out) {
  int n = 0;
  for (int i = 0; i < def->npoint; i++) n += a->ok[i];
  if (n < 4)
    return dpi_fail(ctx, DP_ERR_CONVERGE, "surrogate: %d of %d points are left, too few; one failed: %s", n,
                    def->npoint, reason);
  DP_TRY(dpi_surrogate_create(ctx, def->ninput, n, noutput, out));
  (*out)->nfailed = def->npoint - n;
  fill(*out, def, id, a);
  return fit_all(&(job){*out, def});
}

dp_status dpi_surrogate_train(dp_ctx *ctx, const dpi_training_def *def, int noutput, const char *const *id,
                              dp_points_fn fn, void *user, dpi_surrogate **out) {
  answers a = {0};
  dp_points p = {0};
  *out = NULL;
  DP_TRY(check(ctx, def, noutput, id));
  dp_status status = ask(ctx, def, noutput, fn, user, &a, &p);
  p.reason[sizeof p.reason - 1] = 0;
  if (status == DP_OK)
    status = train(ctx, def, noutput, id, &a, p.reason[0] ? p.reason : "a value is no finite number", out);
  release(ctx, &a);
  if (status != DP_OK) {
    dpi_surrogate_destroy(*out);
    *out = NULL;
  }
  return status;
}
