/* statistical.c - floor 4, a spoke: a trained surrogate answers in place of the model it was trained on.  D -> O, Q
 *
 * The definition's `config` is the surrogate's text (num/surrogate.h). Its outputs are named QUANTITY@TIME; its inputs
 * are the parameters, their defaults the middle of the domain. There are no states: an answer is a function
 * of parameters.
 *
 *     signals   QUANTITY          method "draw" (also "auto"): mean + error x z, z standard normal by
 *                                 (seed, stream, output);
 *                                 method "mean": the mean
 *               error(QUANTITY)   one deviation
 *
 * 1. Parameters outside the domain, and times that were not trained, make the member fail, by name: nothing is
 *    extrapolated, in parameters or in time.
 * 2. z belongs to the member's stream and the output: members that share a stream err alike. Errors of different
 *    outputs are drawn independently, which is what is known of them.
 * 3. What the surrogate was not trained for is refused at create or open: controls, instants, another start.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/surrogate.h"
#include "spoke/spoke.h"

enum { PURPOSE_ERROR = 0x53555245, BLOCK = 64, MOST_TOLD = 4 };

typedef struct statistical {
  dpi_spoke base;
  dpi_spoke_desc desc;
  dpi_arena arena;
  dpi_surrogate *s;
  bool draws;
  int nquantity, ntime;
  dp_time start;
  dp_time *time; /* [ntime] ascending */
  int *part;     /* [ntime x nquantity] output of the surrogate, or -1 */
} statistical;

typedef struct statistical_batch {
  const statistical *p;
  dpi_batch_def def;
  double *work;
} statistical_batch;

static double in_units(dp_time t) { return (double)t / (double)DP_TICKS; }

/* ---- what the surrogate's outputs are ---- */

typedef struct address {
  char quantity[DPI_SURROGATE_ID];
  dp_time time;
} address;

static dp_status read_address(dp_ctx *ctx, const char *id, address *a) {
  const char *at = strrchr(id, '@');
  double t;
  if (!at || at == id || !dpi_parse_double(at + 1, &t) || !(fabs(t) <= 9e9))
    return dpi_fail(ctx, DP_ERR_INPUT, "surrogate, output %s: expected QUANTITY@TIME", id);
  memcpy(a->quantity, id, (size_t)(at - id));
  a->quantity[at - id] = 0;
  a->time = (dp_time)llround(t * (double)DP_TICKS);
  return DP_OK;
}

static int find_quantity(const statistical *p, const char *id) {
  for (int q = 0; q < p->nquantity; q++)
    if (strcmp(p->desc.signal_id[2 * q], id) == 0) return q;
  return -1;
}

static int find_time(const statistical *p, dp_time t) {
  int low = 0, high = p->ntime;
  while (low < high) {
    int mid = (low + high) / 2;
    if (p->time[mid] < t)
      low = mid + 1;
    else
      high = mid;
  }
  return low < p->ntime && p->time[low] == t ? low : -1;
}

static void insert_time(statistical *p, dp_time t) {
  if (find_time(p, t) >= 0) return;
  int at = p->ntime++;
  for (; at > 0 && p->time[at - 1] > t; at--) p->time[at] = p->time[at - 1];
  p->time[at] = t;
}

static dp_status add_quantity(statistical *p, const char **signal, const char *id) {
  char text[DPI_SURROGATE_ID + 16];
  snprintf(text, sizeof text, "error(%s)", id);
  signal[2 * p->nquantity] = dpi_arena_strdup(&p->arena, id);
  signal[2 * p->nquantity + 1] = dpi_arena_strdup(&p->arena, text);
  if (!signal[2 * p->nquantity] || !signal[2 * p->nquantity + 1]) return DP_ERR_MEMORY;
  p->nquantity++;
  return DP_OK;
}

static dp_status list_outputs(statistical *p) {
  int n = p->s->noutput;
  const char **signal = DPI_ARENA_ARRAY(&p->arena, const char *, 2 * (size_t)n);
  p->time = DPI_ARENA_ARRAY(&p->arena, dp_time, n);
  if (!signal || !p->time) return DP_ERR_MEMORY;
  p->desc.signal_id = signal;
  address a;
  for (int o = 0; o < n; o++) {
    DP_TRY(read_address(p->base.ctx, p->s->part[o].id, &a));
    insert_time(p, a.time);
    if (find_quantity(p, a.quantity) < 0) DP_TRY(add_quantity(p, signal, a.quantity));
  }
  p->desc.nsignal = 2 * p->nquantity;
  size_t ncell = (size_t)p->ntime * (size_t)p->nquantity;
  p->part = DPI_ARENA_ARRAY(&p->arena, int, ncell);
  if (!p->part) return DP_ERR_MEMORY;
  for (size_t i = 0; i < ncell; i++) p->part[i] = -1;
  for (int o = 0; o < n; o++) {
    DP_TRY(read_address(p->base.ctx, p->s->part[o].id, &a));
    int *cell = &p->part[(size_t)find_time(p, a.time) * (size_t)p->nquantity + (size_t)find_quantity(p, a.quantity)];
    if (*cell >= 0) return dpi_fail(p->base.ctx, DP_ERR_INPUT, "surrogate: output %s is there twice", p->s->part[o].id);
    *cell = o;
  }
  return DP_OK;
}

static double middle(const dpi_surrogate_input *in) {
  double low = in->log ? dpi_m_log(in->low) : in->low, high = in->log ? dpi_m_log(in->high) : in->high;
  double m = in->hermite ? in->a : 0.5 * (low + high);
  return fmin(fmax(in->log ? dpi_m_exp(m) : m, in->low), in->high);
}

static dp_status list_inputs(statistical *p) {
  int n = p->s->ninput;
  const char **id = DPI_ARENA_ARRAY(&p->arena, const char *, n);
  double *value = DPI_ARENA_ARRAY(&p->arena, double, n);
  if (!id || !value) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) {
    id[k] = p->s->input[k].id;
    value[k] = middle(&p->s->input[k]);
    for (int j = 0; j < k; j++)
      if (strcmp(id[j], id[k]) == 0)
        return dpi_fail(p->base.ctx, DP_ERR_INPUT, "surrogate: input %s is there twice", id[k]);
  }
  p->desc.param_id = id;
  p->desc.param_default = value;
  p->desc.nparam = n;
  return DP_OK;
}

/* ---- life ---- */

static dp_status refuse(dp_ctx *ctx, const dp_sim_def *def) {
  if (!def->config)
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "spoke 'statistical' needs a surrogate's text in config; see doppel surrogate fit");
  if (def->model) return dpi_fail(ctx, DP_ERR_USAGE, "spoke 'statistical' takes a surrogate, no model");
  if (def->ncontrol > 0)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                    "control '%s': a surrogate takes no doses: those it was trained with are in it",
                    def->control[0].id);
  if (strcmp(def->method, "auto") != 0 && strcmp(def->method, "draw") != 0 && strcmp(def->method, "mean") != 0)
    return dpi_fail(ctx, DP_ERR_USAGE, "spoke 'statistical': method '%s', expected draw or mean", def->method);
  if (def->nactive > 0)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "active parameter '%s': a surrogate offers no derivatives",
                    def->active[0]);
  return DP_OK;
}

static void statistical_destroy(dpi_spoke *spoke) {
  statistical *p = (statistical *)spoke;
  dpi_surrogate_destroy(p->s);
  dpi_arena_release(&p->arena);
  dpi_free(p->base.ctx, p);
}

extern const dpi_spoke_ops dp_spoke_statistical;

static dp_status statistical_create(dp_ctx *ctx, const dp_sim_def *def, dpi_spoke **out) {
  DP_TRY(refuse(ctx, def));
  statistical *p = DPI_NEW(ctx, statistical);
  if (!p) return DP_ERR_MEMORY;
  p->base = (dpi_spoke){.ops = &dp_spoke_statistical, .ctx = ctx};
  dpi_arena_init(&p->arena, ctx);
  p->draws = strcmp(def->method, "mean") != 0;
  dp_status status = dpi_surrogate_read(ctx, "surrogate", def->config, strlen(def->config), &p->s);
  if (status == DP_OK) status = list_inputs(p);
  if (status == DP_OK) status = list_outputs(p);
  if (status == DP_OK && !(fabs(p->s->start) <= 9e9))
    status = dpi_fail(ctx, DP_ERR_INPUT, "surrogate: start %g, expected a time", p->s->start);
  if (status != DP_OK) {
    statistical_destroy(&p->base);
    return status;
  }
  p->start = (dp_time)llround(p->s->start * (double)DP_TICKS);
  p->desc.caps = DP_CAP_THREADS | (p->draws ? DP_CAP_STOCHASTIC : 0);
  p->desc.ranks = 1;
  p->desc.block = BLOCK;
  p->desc.identity = p->s->hash;
  *out = &p->base;
  return DP_OK;
}

static const dpi_spoke_desc *statistical_describe(const dpi_spoke *spoke) {
  return &((const statistical *)spoke)->desc;
}

/* ---- answers ---- */

static dp_status statistical_open(const dpi_spoke *spoke, const dpi_batch_def *def, dpi_batch **out) {
  const statistical *p = (const statistical *)spoke;
  for (int i = 0; i < def->n; i++) {
    if (def->member[i].ninstant > 0)
      return dpi_fail(spoke->ctx, DP_ERR_UNSUPPORTED,
                      "a surrogate takes no doses, switches or other instants: those it was trained with are in it");
    if (def->member[i].start != p->start)
      return dpi_fail(spoke->ctx, DP_ERR_UNSUPPORTED, "a member starts at %g, the surrogate was trained from %g on",
                      in_units(def->member[i].start), p->s->start);
  }
  statistical_batch *b = DPI_NEW(spoke->ctx, statistical_batch);
  if (!b) return DP_ERR_MEMORY;
  *b = (statistical_batch){.p = p, .def = *def, .work = DPI_NEW_ARRAY(spoke->ctx, double, dpi_surrogate_work(p->s))};
  if (!b->work) {
    dpi_free(spoke->ctx, b);
    return DP_ERR_MEMORY;
  }
  *out = (dpi_batch *)b;
  return DP_OK;
}

static void fail(dpi_member_out *out, dp_time t) {
  out->status = DP_MEMBER_FAILED;
  out->fail_time = in_units(t);
}

static void fail_time(const statistical *p, dpi_member_out *out, dp_time t) {
  size_t n = (size_t)snprintf(out->reason, sizeof out->reason, "time %g was not trained; trained:", in_units(t));
  for (int i = 0; i < p->ntime && i < MOST_TOLD && n < sizeof out->reason; i++)
    n += (size_t)snprintf(out->reason + n, sizeof out->reason - n, " %g", in_units(p->time[i]));
  if (p->ntime > MOST_TOLD && n < sizeof out->reason)
    snprintf(out->reason + n, sizeof out->reason - n, " ... %g", in_units(p->time[p->ntime - 1]));
  fail(out, t);
}

/* One row of signals at trained time k. A quantity that was not trained there is not known: NaN. */
static void answer(const statistical_batch *b, int i, int k, double *signal) {
  const statistical *p = b->p;
  const dp_member *m = &b->def.member[i];
  for (int q = 0; q < p->nquantity; q++) {
    int part = p->part[(size_t)k * (size_t)p->nquantity + (size_t)q];
    double mean = NAN, sd = NAN;
    if (part >= 0) dpi_surrogate_ask(p->s, part, m->param, &mean, &sd, b->work);
    if (part >= 0 && p->draws) {
      dpi_rng rng = dpi_rng_make(b->def.seed, m->stream, PURPOSE_ERROR + (uint32_t)part);
      mean += sd * dpi_rng_normal(&rng);
    }
    signal[2 * q] = mean;
    signal[2 * q + 1] = sd;
  }
}

static void advance_member(const statistical_batch *b, int i, dp_time to) {
  const statistical *p = b->p;
  const dp_member *m = &b->def.member[i];
  dpi_member_out *out = &b->def.out[i];
  if (out->status != DP_MEMBER_OK) return;
  int outside = dpi_surrogate_outside(p->s, m->param);
  if (outside >= 0) {
    const dpi_surrogate_input *in = &p->s->input[outside];
    snprintf(out->reason, sizeof out->reason, "%.60s = %g is outside the surrogate's domain, %g to %g", in->id,
             m->param[outside], in->low, in->high);
    fail(out, m->start);
    return;
  }
  for (; out->ndone < m->nout && m->out[out->ndone].time <= to; out->ndone++) {
    int k = find_time(p, m->out[out->ndone].time);
    if (k < 0) {
      fail_time(p, out, m->out[out->ndone].time);
      return;
    }
    answer(b, i, k, out->value + (size_t)out->ndone * (size_t)p->desc.nsignal);
  }
}

static dp_status statistical_advance(dpi_batch *batch, dp_time to) {
  const statistical_batch *b = (const statistical_batch *)batch;
  for (int i = 0; i < b->def.n; i++) advance_member(b, i, to);
  return DP_OK;
}

static void statistical_close(dpi_batch *batch) {
  statistical_batch *b = (statistical_batch *)batch;
  dp_ctx *ctx = b->p->base.ctx;
  dpi_free(ctx, b->work);
  dpi_free(ctx, b);
}

const dpi_spoke_ops dp_spoke_statistical = {
    .interface = DPI_SPOKE_INTERFACE,
    .name = "statistical",
    .help = "a trained surrogate in place of a model, with its own error",
    .create = statistical_create,
    .destroy = statistical_destroy,
    .describe = statistical_describe,
    .open = statistical_open,
    .advance = statistical_advance,
    .close = statistical_close,
};
