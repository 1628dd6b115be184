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

void dpi_design_release(dp_ctx *ctx, dpi_design *d) {
  dpi_free(ctx, d->x);
  dpi_free(ctx, d->y);
  dpi_free(ctx, d->stream);
  dpi_free(ctx, d->ok);
}

static dp_status make_points(dp_ctx *ctx, const dpi_training_def *def, dpi_design *a) {
  size_t n = (size_t)def->npoint, d = (size_t)def->ninput;
  dpi_net net;
  dp_status status = dpi_net_init(&net, ctx, def->ninput, def->seed);
  for (size_t i = 0; i < n && status == DP_OK; i++) {
    dpi_net_point(&net, (uint32_t)i, a->x + i * d);
    for (size_t k = 0; k < d; k++) a->x[i * d + k] = at_share(&def->input[k], a->x[i * d + k]);
    a->stream[i] = i;
    a->ok[i] = 1;
  }
  dpi_net_release(&net, ctx);
  return status;
}

dp_status dpi_design_ask(dp_ctx *ctx, const dpi_training_def *def, int noutput, dp_points_fn fn, void *user,
                         dpi_design *a) {
  size_t n = (size_t)def->npoint, d = (size_t)def->ninput, m = (size_t)noutput;
  *a = (dpi_design){.x = DPI_NEW_ARRAY(ctx, double, n *d),
                    .y = DPI_NEW_ARRAY(ctx, double, n *m),
                    .stream = DPI_NEW_ARRAY(ctx, uint64_t, n),
                    .ok = DPI_NEW_ARRAY(ctx, uint8_t, n)};
  if (!a->x || !a->y || !a->stream || !a->ok) return DP_ERR_MEMORY;
  DP_TRY(make_points(ctx, def, a));
  dp_points p = {.n = def->npoint, .x = a->x, .stream = a->stream, .y = a->y, .ok = a->ok};
  DP_TRY(fn(user, &p));
  p.reason[sizeof p.reason - 1] = 0;
  memcpy(a->reason, p.reason, sizeof a->reason);
  for (size_t i = 0; i < n; i++)
    for (size_t o = 0; o < m; o++)
      if (!isfinite(a->y[i * m + o])) a->ok[i] = 0;
  return DP_OK;
}

/* ---- fits ---- */

#define CLOSE 1e-3 /* of the output's deviation: a polynomial that errs less is taken without training a process */

static double variance(const double *y, int n) {
  double mean = 0, square = 0;
  for (int i = 0; i < n; i++) mean += y[i] / n;
  for (int i = 0; i < n; i++) square += (y[i] - mean) * (y[i] - mean) / n;
  return square;
}

static dp_status fit_one(dpi_surrogate *s, int o, const dpi_training_def *def) {
  if (def->kind == DPI_TRAIN_PCE) return dpi_surrogate_fit_pce(s, o, def);
  if (def->kind == DPI_TRAIN_GP) return dpi_surrogate_fit_gp(s, o, def);
  DP_TRY(dpi_surrogate_fit_pce(s, o, def));
  double chaos = s->part[o].cross, inflate = s->part[o].inflate;
  if (chaos * chaos <= CLOSE * CLOSE * variance(s->part[o].y, s->nrow)) return DP_OK;
  dp_status status = dpi_surrogate_fit_gp(s, o, def);
  if (status == DP_OK && s->part[o].cross <= chaos) return DP_OK;
  if (status != DP_OK && status != DP_ERR_CONVERGE && status != DP_ERR_NUMERIC) return status;
  dp_ctx_clear_error(s->ctx);
  s->part[o].kind = DPI_SURROGATE_PCE; /* its terms are still there */
  s->part[o].inflate = inflate;
  s->part[o].cross = chaos;
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

static void fill(dpi_surrogate *s, const dpi_training_def *def, const char *const *id, const dpi_design *a) {
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

static dp_status train(dp_ctx *ctx, const dpi_training_def *def, int noutput, const char *const *id,
                       const dpi_design *a, dpi_surrogate **out) {
  int n = 0;
  for (int i = 0; i < def->npoint; i++) n += a->ok[i];
  if (n < 4)
    return dpi_fail(ctx, DP_ERR_CONVERGE, "surrogate: %d of %d points are left, too few; one failed: %s", n,
                    def->npoint, a->reason[0] ? a->reason : "a value is no finite number");
  DP_TRY(dpi_surrogate_create(ctx, def->ninput, n, noutput, out));
  (*out)->nfailed = def->npoint - n;
  fill(*out, def, id, a);
  return fit_all(&(job){*out, def});
}

dp_status dpi_surrogate_train(dp_ctx *ctx, const dpi_training_def *def, int noutput, const char *const *id,
                              dp_points_fn fn, void *user, dpi_surrogate **out) {
  dpi_design a = {0};
  *out = NULL;
  DP_TRY(check(ctx, def, noutput, id));
  dp_status status = dpi_design_ask(ctx, def, noutput, fn, user, &a);
  if (status == DP_OK) status = train(ctx, def, noutput, id, &a, out);
  dpi_design_release(ctx, &a);
  if (status != DP_OK) {
    dpi_surrogate_destroy(*out);
    *out = NULL;
  }
  return status;
}
