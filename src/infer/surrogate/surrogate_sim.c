/* surrogate_sim.c - floor 6, inside infer/surrogate: the function is a sim, the answer a public dp_surrogate.
 *
 * Training points and held-out points are two independent scrambled nets by the inputs' laws.
 */
#include <math.h>
#include <string.h>

#include "doppel/surrogate.h"
#include "infer/sobol/sens.h"
#include "infer/surrogate/surrogate_train.h"

#define COOKIE 0x53525047u /* "SRPG" */
#define TAIL 4.0           /* deviations at which laws without bounds end */
#define SURE 3.0902        /* normal deviate of 1 in 1000 */
enum { PURPOSE_TEST = 0x53525445 };

struct dp_surrogate {
  dp_ctx *ctx;
  dpi_surrogate *s;
  dpi_arena arena;
  dpi_str text;
  double accuracy;
  dp_surrogate_desc desc;
};

dp_surrogate_def dp_surrogate_def_default(void) {
  return (dp_surrogate_def){.cookie = COOKIE, .npoint = 200, .ntest = 200, .seed = 1, .accuracy = 0.05};
}

/* ---- what is said of it ---- */

static double deviation(const double *y, int n) {
  double mean = 0, square = 0;
  for (int i = 0; i < n; i++) mean += y[i] / n;
  for (int i = 0; i < n; i++) square += (y[i] - mean) * (y[i] - mean);
  return sqrt(square / (n > 1 ? n - 1 : 1));
}

static double size_of(const double *y, int n) {
  double size = 0;
  for (int i = 0; i < n; i++) size = fmax(size, fabs(y[i]));
  return size;
}

static void tell_output(const dp_surrogate *o, const dpi_surrogate_part *p, dp_surrogate_output *out) {
  int n = o->s->nrow;
  *out = (dp_surrogate_output){.id = p->id,
                               .kind = p->kind == DPI_SURROGATE_GP ? "gp" : "pce",
                               .sd = deviation(p->y, n),
                               .loo = p->loo,
                               .ntest = p->ntest,
                               .rms = p->rms,
                               .inside = p->inside};
  double least = 0.9 - SURE * sqrt(0.09 / (p->ntest > 0 ? p->ntest : 1) + 0.09 / n);
  double most = fmax(o->accuracy * out->sd, 1e-9 * size_of(p->y, n)); /* a constant is met to rounding */
  out->good = p->ntest > 0 && p->rms <= most && p->inside >= least;
}

static dp_status tell(dp_surrogate *o) {
  const dpi_surrogate *s = o->s;
  dp_surrogate_input *input = DPI_ARENA_ARRAY(&o->arena, dp_surrogate_input, s->ninput);
  dp_surrogate_output *output = DPI_ARENA_ARRAY(&o->arena, dp_surrogate_output, s->noutput);
  if (!input || !output) return DP_ERR_MEMORY;
  o->desc = (dp_surrogate_desc){.ninput = s->ninput,
                                .noutput = s->noutput,
                                .nrow = s->nrow,
                                .nfailed = s->nfailed,
                                .start = s->start,
                                .input = input,
                                .output = output,
                                .hash = s->hash,
                                .origin = s->origin,
                                .good = 1};
  for (int k = 0; k < s->ninput; k++)
    input[k] = (dp_surrogate_input){s->input[k].id, s->input[k].low, s->input[k].high};
  for (int i = 0; i < s->noutput; i++) {
    tell_output(o, &s->part[i], &output[i]);
    if (!output[i].good) o->desc.good = 0;
  }
  return DP_OK;
}

static dp_surrogate *make(dp_ctx *ctx, double accuracy) {
  dp_surrogate *o = DPI_NEW(ctx, dp_surrogate);
  if (!o) return NULL;
  o->ctx = ctx;
  o->accuracy = accuracy;
  dpi_arena_init(&o->arena, ctx);
  dpi_str_init(&o->text, ctx);
  return o;
}

dp_surrogate_desc dp_surrogate_describe(const dp_surrogate *s) { return s->desc; }

const char *dp_surrogate_text(const dp_surrogate *s, size_t *size) {
  if (size) *size = s->text.len;
  return s->text.data;
}

void dp_surrogate_destroy(dp_surrogate *s) {
  if (!s) return;
  dp_ctx *ctx = s->ctx;
  dpi_surrogate_destroy(s->s);
  dpi_str_release(&s->text);
  dpi_arena_release(&s->arena);
  dpi_free(ctx, s);
}

int dp_surrogate_is_text(const char *text, size_t size) {
  static const char word[] = "doppel surrogate ";
  return size >= sizeof word - 1 && memcmp(text, word, sizeof word - 1) == 0;
}

dp_status dp_surrogate_load(dp_ctx *ctx, const char *name, const char *text, size_t size, dp_surrogate **out) {
  dp_surrogate *o = make(ctx, dp_surrogate_def_default().accuracy);
  *out = NULL;
  dp_status status = o ? dpi_surrogate_read(ctx, name, text, size, &o->s) : DP_ERR_MEMORY;
  if (status == DP_OK) {
    dpi_str_addn(&o->text, text, size);
    status = o->text.failed ? DP_ERR_MEMORY : tell(o);
  }
  if (status == DP_OK)
    *out = o;
  else
    dp_surrogate_destroy(o);
  return status;
}

/* ---- training ---- */

/* The law as domain and polynomial. */
static dp_status input_of(dp_ctx *ctx, const dp_input_def *d, dpi_surrogate_input *in) {
  *in = (dpi_surrogate_input){.low = d->a, .high = d->b};
  bool bounds = d->low != 0 || d->high != 0;
  if (!d->id || strlen(d->id) >= sizeof in->id)
    return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: input '%s': expected an id of at most %d letters",
                    d->id ? d->id : "", DPI_SURROGATE_ID - 1);
  memcpy(in->id, d->id, strlen(d->id) + 1);
  in->log = d->kind == DP_INPUT_LOGUNIFORM || d->kind == DP_INPUT_LOGNORMAL;
  in->hermite = d->kind == DP_INPUT_NORMAL || d->kind == DP_INPUT_LOGNORMAL;
  if (!in->hermite) return DP_OK;
  if (in->log && !(d->a > 0)) return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: input %s: a median is positive", d->id);
  in->a = in->log ? dpi_m_log(d->a) : d->a;
  in->b = d->b;
  in->low = in->a - TAIL * in->b;
  in->high = in->a + TAIL * in->b;
  if (in->log) in->low = dpi_m_exp(in->low), in->high = dpi_m_exp(in->high);
  if (bounds) in->low = fmax(in->low, d->low), in->high = fmin(in->high, d->high);
  return DP_OK;
}

dp_status dpi_surrogate_name(dp_ctx *ctx, const char *quantity, dp_time t, char *id) {
  char number[32];
  size_t n = 0;
  dpi_format_double((double)t / (double)DP_TICKS, number);
  for (const char *c = quantity; *c && n < DPI_SURROGATE_ID; c++)
    if (*c != ' ' && *c != '\t' && *c != '\n') id[n++] = *c;
  if (n + 1 + strlen(number) >= DPI_SURROGATE_ID)
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "surrogate: output '%.60s...' is longer than %d letters: give the formula a name", quantity,
                    DPI_SURROGATE_ID - 34);
  id[n++] = '@';
  memcpy(id + n, number, strlen(number) + 1);
  return DP_OK;
}

typedef struct task {
  dp_ctx *ctx;
  const dp_surrogate_def *def;
  int noutput;
  dp_points_fn fn;
  void *user;
  dpi_surrogate_input *input;
  dpi_training_def training;
  dpi_arena arena; /* input */
} task;

static dp_status prepare(task *t) {
  t->input = DPI_ARENA_ARRAY(&t->arena, dpi_surrogate_input, t->def->ninput);
  if (!t->input) return DP_ERR_MEMORY;
  for (int k = 0; k < t->def->ninput; k++) DP_TRY(input_of(t->ctx, &t->def->input[k], &t->input[k]));
  t->training = dpi_training_def_default();
  t->training.kind = (dpi_training_kind)t->def->kind;
  t->training.input = t->input;
  t->training.ninput = t->def->ninput;
  t->training.npoint = t->def->npoint;
  t->training.seed = t->def->seed;
  return DP_OK;
}

/* Held-out points: errors of every output. x, y: ntest points. */
static dp_status compare(dpi_surrogate *s, int ntest, const double *x, const double *y, const uint8_t *ok) {
  double *work = DPI_NEW_ARRAY(s->ctx, double, dpi_surrogate_work(s));
  if (!work) return DP_ERR_MEMORY;
  for (int o = 0; o < s->noutput; o++) {
    dpi_surrogate_part *p = &s->part[o];
    double square = 0, mean, sd, rounding = 1e-12 * size_of(p->y, s->nrow);
    int inside = 0, n = 0;
    for (int i = 0; i < ntest; i++) {
      double truth = y[(size_t)i * (size_t)s->noutput + (size_t)o];
      if (!ok[i] || !isfinite(truth)) continue;
      dpi_surrogate_ask(s, o, x + (size_t)i * (size_t)s->ninput, &mean, &sd, work);
      square += (mean - truth) * (mean - truth);
      inside += fabs(mean - truth) <= 1.6448536269514722 * sd + rounding;
      n++;
    }
    p->ntest = n;
    p->rms = n ? sqrt(square / n) : 0;
    p->inside = n ? (double)inside / n : 0;
  }
  dpi_free(s->ctx, work);
  return DP_OK;
}

static dp_status hold_out(task *t, dpi_surrogate *s) {
  dpi_design d;
  dpi_training_def def = t->training;
  def.npoint = t->def->ntest;
  def.seed = dpi_rng_at(t->def->seed, 1, PURPOSE_TEST, 0);
  dp_status status = dpi_design_ask(t->ctx, &def, s->noutput, t->fn, t->user, &d);
  if (status == DP_OK) status = compare(s, def.npoint, d.x, d.y, d.ok);
  dpi_design_release(t->ctx, &d);
  return status;
}

static dp_status work(task *t, const char *const *id, double start, const char *origin, dp_surrogate *o) {
  DP_TRY(prepare(t));
  DP_TRY(dpi_surrogate_train(t->ctx, &t->training, t->noutput, id, t->fn, t->user, &o->s));
  o->s->start = start;
  if (strlen(origin) < sizeof o->s->origin) memcpy(o->s->origin, origin, strlen(origin) + 1);
  if (t->def->ntest > 0) DP_TRY(hold_out(t, o->s));
  DP_TRY(dpi_surrogate_write(o->s, &o->text));
  return tell(o);
}

dp_status dpi_surrogate_check(dp_ctx *ctx, const dp_surrogate_def *def) {
  if (def->cookie != COOKIE) return dpi_fail(ctx, DP_ERR_USAGE, "dp_surrogate_def not from dp_surrogate_def_default");
  if (def->ntest < 0 || def->ntest > 1000000 || !(def->accuracy > 0))
    return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: %d held-out points, accuracy %g; expected 0 to 1000000, above 0",
                    def->ntest, def->accuracy);
  return DP_OK;
}

dp_status dpi_surrogate_make(dp_ctx *ctx, const dp_surrogate_def *def, int noutput, const char *const *id, double start,
                             const char *origin, dp_points_fn fn, void *user, dp_surrogate **out) {
  task t = {.ctx = ctx, .def = def, .noutput = noutput, .fn = fn, .user = user};
  dp_surrogate *o = make(ctx, def->accuracy);
  dpi_arena_init(&t.arena, ctx);
  const dp_status status = o ? work(&t, id, start, origin, o) : DP_ERR_MEMORY;
  dpi_arena_release(&t.arena);
  *out = status == DP_OK ? o : NULL;
  if (status != DP_OK) dp_surrogate_destroy(o);
  return status;
}

/* ---- a sim ---- */

static dp_status check(dp_ctx *ctx, const dp_sim *sim, const dp_member *base, const dp_surrogate_def *def) {
  DP_TRY(dpi_surrogate_check(ctx, def));
  if (!def->quantity) return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: no names for the sim's outputs");
  if (base->nfunctional > 0)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "surrogate: functionals of the path are not learnt");
  if (dp_sim_describe(sim)->caps & DP_CAP_STOCHASTIC)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                    "surrogate: spoke '%s' draws random numbers; what is learnt must follow from parameters",
                    dp_sim_describe(sim)->spoke);
  for (int i = 1; i < base->nout; i++)
    if (base->out[i].time == base->out[i - 1].time)
      return dpi_fail(ctx, DP_ERR_USAGE, "surrogate: time %g is asked for twice",
                      (double)base->out[i].time / (double)DP_TICKS);
  return DP_OK;
}

/* Names of all outputs, in the order of the sim's answers. */
static dp_status name_all(const dpi_sim_points *p, const dp_surrogate_def *def, dpi_arena *arena, const char **id) {
  const int nquantity = dp_sim_describe(p->sim)->noutput;
  for (int i = 0; i < p->base->nout; i++)
    for (int q = 0; q < nquantity; q++) {
      char *to = DPI_ARENA_ARRAY(arena, char, DPI_SURROGATE_ID);
      if (!to) return DP_ERR_MEMORY;
      DP_TRY(dpi_surrogate_name(arena->ctx, def->quantity[q], p->base->out[i].time, to));
      id[i * nquantity + q] = to;
    }
  return DP_OK;
}

dp_status dp_surrogate_fit(dp_ctx *ctx, const dp_sim *sim, const dp_member *base, const dp_surrogate_def *def,
                           dp_surrogate **out) {
  *out = NULL;
  DP_TRY(check(ctx, sim, base, def));
  dpi_sim_points points;
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  dp_status status = dpi_sim_points_init(&points, ctx, sim, base, def->input, def->ninput, def->seed);
  const char **id = status == DP_OK ? DPI_ARENA_ARRAY(&arena, const char *, points.noutput) : NULL;
  if (status == DP_OK) status = id ? name_all(&points, def, &arena, id) : DP_ERR_MEMORY;
  if (status == DP_OK)
    status = dpi_surrogate_make(ctx, def, points.noutput, id, (double)base->start / (double)DP_TICKS,
                                dp_sim_describe(sim)->hash, dpi_sim_points_ask, &points, out);
  dpi_sim_points_release(&points, ctx);
  dpi_arena_release(&arena);
  return status;
}
