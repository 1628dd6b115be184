/* sens_run.c - floor 6, inside infer/sobol: a definition becomes points, values and an answer. */
#include <math.h>
#include <string.h>

#include "infer/sobol/sens.h"

#define COOKIE 0x53454e53u /* "SENS" */
enum { BLOCK = 16384, PURPOSE_BOOT = 0x53424f4f };

struct dp_sensitivity {
  dp_ctx *ctx;
  dpi_arena arena; /* what follows */
  dp_sensitivity_desc desc;
  char reason[160];
  dp_estimate *value; /* [noutput x ngroup x nmeasure] */
  dp_estimate *pair;  /* [noutput x npair], row by row of the lower triangle */
  double *mean, *sd;  /* [noutput] */
  uint8_t *constant;  /* [noutput] */
};

dp_sensitivity_def dp_sensitivity_def_default(void) {
  return (dp_sensitivity_def){.cookie = COOKIE,
                              .nsample = 1024,
                              .seed = 1,
                              .rtol = 1e-12,
                              .nlevel = 4,
                              .tail = 0.01,
                              .nouter = 1,
                              .ninner = 3,
                              .nvariance = 1024,
                              .nboot = 400,
                              .level = 0.95};
}

/* ---- the answer ---- */

dp_sensitivity_desc dp_sensitivity_describe(const dp_sensitivity *s) { return s->desc; }

dp_estimate *dpi_sens_at(dp_sensitivity *r, int output, int group, int measure) {
  return &r->value[((size_t)output * (size_t)r->desc.ngroup + (size_t)group) * (size_t)r->desc.nmeasure +
                   (size_t)measure];
}

dp_estimate *dpi_sens_pair_at(dp_sensitivity *r, int output, int group, int other) {
  int i = group > other ? group : other, j = group > other ? other : group;
  return &r->pair[(size_t)output * (size_t)r->desc.npair + (size_t)(i * (i - 1) / 2 + j)];
}

dp_estimate dp_sensitivity_value(const dp_sensitivity *s, int output, int group, int measure) {
  return s
      ->value[((size_t)output * (size_t)s->desc.ngroup + (size_t)group) * (size_t)s->desc.nmeasure + (size_t)measure];
}

dp_estimate dp_sensitivity_pair(const dp_sensitivity *s, int output, int group, int other) {
  int i = group > other ? group : other, j = group > other ? other : group;
  if (!s->pair || i == j) return (dp_estimate){NAN, NAN, NAN, 0};
  return s->pair[(size_t)output * (size_t)s->desc.npair + (size_t)(i * (i - 1) / 2 + j)];
}

double dp_sensitivity_mean(const dp_sensitivity *s, int output) { return s->mean[output]; }
double dp_sensitivity_sd(const dp_sensitivity *s, int output) { return s->sd[output]; }

int dp_sensitivity_constant(const dp_sensitivity *s, int output) { return s->constant[output]; }

void dp_sensitivity_destroy(dp_sensitivity *s) {
  if (!s) return;
  dp_ctx *ctx = s->ctx;
  dpi_arena_release(&s->arena);
  dpi_free(ctx, s);
}

static dp_status copy_words(dpi_arena *arena, int n, const char *const *word, const char *const **out) {
  const char **copy = DPI_ARENA_ARRAY(arena, const char *, n);
  if (!copy) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++)
    if (!(copy[i] = dpi_arena_strdup(arena, word[i]))) return DP_ERR_MEMORY;
  *out = copy;
  return DP_OK;
}

dp_status dpi_sens_room(dpi_sens *s, int nmeasure, const char *const *measure, bool pairs) {
  dp_sensitivity *r = s->out;
  int ngroup = s->in.ngroup, npair = pairs ? ngroup * (ngroup - 1) / 2 : 0;
  size_t n = (size_t)s->noutput;
  DP_TRY(copy_words(&r->arena, ngroup, s->in.name, &r->desc.group));
  DP_TRY(copy_words(&r->arena, nmeasure, measure, &r->desc.measure));
  r->desc.method = s->def.method;
  r->desc.noutput = s->noutput;
  r->desc.ngroup = ngroup;
  r->desc.nmeasure = nmeasure;
  r->desc.npair = npair;
  size_t nvalue = n * (size_t)ngroup * (size_t)nmeasure;
  r->value = DPI_ARENA_ARRAY(&r->arena, dp_estimate, nvalue);
  if (npair) r->pair = DPI_ARENA_ARRAY(&r->arena, dp_estimate, n * (size_t)npair);
  r->mean = DPI_ARENA_ARRAY(&r->arena, double, n);
  r->sd = DPI_ARENA_ARRAY(&r->arena, double, n);
  r->constant = DPI_ARENA_ARRAY(&r->arena, uint8_t, n);
  if (!r->value || (npair && !r->pair) || !r->mean || !r->sd || !r->constant) return DP_ERR_MEMORY;
  for (size_t i = 0; i < nvalue; i++) r->value[i] = (dp_estimate){NAN, NAN, NAN, 0};
  for (size_t i = 0; i < n * (size_t)npair; i++) r->pair[i] = (dp_estimate){NAN, NAN, NAN, 0};
  return DP_OK;
}

double dpi_sens_variance(const dpi_sens *s, int output, int npoint, const uint16_t *w, double *mean) {
  double n = 0, sum = 0, square = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < npoint; i++) {
      double y = s->y[(size_t)i * (size_t)s->noutput + (size_t)output], k = w ? w[i] : 1;
      if (isnan(y)) continue;
      if (pass)
        square += k * (y - sum / n) * (y - sum / n);
      else
        n += k, sum += k * y;
    }
  *mean = sum / n;
  return n > 1 ? square / (n - 1) : NAN;
}

void dpi_sens_moments(dpi_sens *s, int output, double mean, double sd) {
  s->out->mean[output] = mean;
  s->out->sd[output] = sd;
}

bool dpi_sens_constant(dpi_sens *s, int output) {
  double size = 0;
  for (int i = 0; i < s->npoint; i++) size = fmax(size, fabs(s->y[(size_t)i * (size_t)s->noutput + (size_t)output]));
  s->out->constant[output] = s->out->sd[output] <= s->def.rtol * size + s->def.atol; /* fmax: NaN does not count */
  return s->out->constant[output];
}

/* ---- values ---- */

static void note_block(dpi_sens *s, const dp_points *p, double *y) {
  dp_sensitivity *r = s->out;
  for (int i = 0; i < p->n; i++) {
    if (p->ok[i]) continue;
    if (!r->desc.nfailed++) memcpy(r->reason, p->reason, sizeof r->reason);
    for (int o = 0; o < s->noutput; o++) y[(size_t)i * (size_t)s->noutput + (size_t)o] = NAN;
  }
  for (size_t i = 0; i < (size_t)p->n * (size_t)s->noutput; i++)
    if (!isfinite(y[i])) y[i] = NAN;
}

static dp_status blocks(dpi_sens *s, dpi_sens_make_fn make, void *user, double *x, uint64_t *stream, uint8_t *ok) {
  for (int first = 0; first < s->npoint; first += BLOCK) {
    int n = s->npoint - first < BLOCK ? s->npoint - first : BLOCK;
    dp_points p = {.n = n, .x = x, .stream = stream, .ok = ok, .y = s->y + (size_t)first * (size_t)s->noutput};
    if (dp_ctx_cancelled(s->ctx)) return dpi_fail(s->ctx, DP_ERR_CANCELLED, "sensitivity: stopped");
    for (int i = 0; i < n; i++) make(user, first + i, x + (size_t)i * (size_t)s->in.n, &stream[i]);
    memset(ok, 1, (size_t)n);
    DP_TRY(s->fn(s->user, &p));
    p.reason[sizeof p.reason - 1] = 0;
    note_block(s, &p, p.y);
  }
  return DP_OK;
}

dp_status dpi_sens_evaluate(dpi_sens *s, int64_t npoint, dpi_sens_make_fn make, void *user) {
  if (npoint > 2000000000)
    return dpi_fail(s->ctx, DP_ERR_USAGE, "sensitivity: %lld points, expected at most 2000000000", (long long)npoint);
  s->npoint = s->out->desc.npoint = (int)npoint;
  int block = s->npoint < BLOCK ? s->npoint : BLOCK;
  s->y = DPI_NEW_ARRAY(s->ctx, double, (size_t)npoint *(size_t)s->noutput);
  double *x = DPI_NEW_ARRAY(s->ctx, double, (size_t)block *(size_t)s->in.n);
  uint64_t *stream = DPI_NEW_ARRAY(s->ctx, uint64_t, block);
  uint8_t *ok = DPI_NEW_ARRAY(s->ctx, uint8_t, block);
  dp_status status = s->y && x && stream && ok ? blocks(s, make, user, x, stream, ok) : DP_ERR_MEMORY;
  dpi_free(s->ctx, x);
  dpi_free(s->ctx, stream);
  dpi_free(s->ctx, ok);
  return status;
}

/* ---- intervals ---- */

void dpi_sens_resample(uint64_t seed, int b, int n, uint16_t *count) {
  dpi_rng rng = dpi_rng_make(seed, (uint64_t)b, PURPOSE_BOOT);
  memset(count, 0, sizeof *count * (size_t)n);
  for (int i = 0; i < n; i++) count[(int)(((dpi_rng_u64(&rng) >> 32) * (uint64_t)n) >> 32)] += 1;
}

void dpi_sens_interval(dp_estimate *e, double *replicate, int nboot, double level) {
  int n = 0;
  for (int b = 0; b < nboot; b++)
    if (isfinite(replicate[b])) replicate[n++] = replicate[b];
  if (n < 2) return;
  dpi_sort(replicate, n);
  e->low = dpi_quantile_weighted(replicate, NULL, n, 0.5 * (1 - level), NULL);
  e->high = dpi_quantile_weighted(replicate, NULL, n, 0.5 * (1 + level), NULL);
}

/* ---- the call ---- */

static dp_status check(dp_ctx *ctx, const dp_sensitivity_def *def, int noutput) {
  if (def->cookie != COOKIE)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_sensitivity_def not from dp_sensitivity_def_default");
  if (noutput < 1) return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: no outputs");
  if (def->nsample < 2 || def->nsample > 100000000)
    return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: a sample of %d, expected 2 to 100000000", def->nsample);
  if (!(def->rtol >= 0) || !(def->atol >= 0))
    return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: tolerances %g and %g, expected none below 0", def->rtol,
                    def->atol);
  if (def->nboot < 0 || def->nboot > 1000000 || !(def->level > 0 && def->level < 1))
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "sensitivity: %d replicates at level %g, expected 0 or more, level between 0 and 1", def->nboot,
                    def->level);
  return DP_OK;
}

static dp_status work(dpi_sens *s) {
  switch (s->def.method) {
    case DP_SENSITIVITY_SOBOL:
      return dpi_sens_sobol(s);
    case DP_SENSITIVITY_MORRIS:
      return dpi_sens_morris(s);
    case DP_SENSITIVITY_SHAPLEY:
      return dpi_sens_shapley(s);
  }
  return dpi_fail(s->ctx, DP_ERR_USAGE, "sensitivity: no such method");
}

dp_status dp_sensitivity_run(dp_ctx *ctx, const dp_sensitivity_def *def, int noutput, dp_points_fn fn, void *user,
                             dp_sensitivity **out) {
  *out = NULL;
  DP_TRY(check(ctx, def, noutput));
  dpi_sens s = {.ctx = ctx, .def = *def, .noutput = noutput, .fn = fn, .user = user};
  s.out = DPI_NEW(ctx, dp_sensitivity);
  if (!s.out) return DP_ERR_MEMORY;
  s.out->ctx = ctx;
  dpi_arena_init(&s.out->arena, ctx);
  s.out->desc.reason = s.out->reason;
  dp_status status = dpi_inputs_init(&s.in, ctx, &s.def);
  if (status == DP_OK) status = work(&s);
  dpi_inputs_release(&s.in);
  dpi_free(ctx, s.y);
  if (status == DP_OK)
    *out = s.out;
  else
    dp_sensitivity_destroy(s.out);
  return status;
}
