/* birthdeath.c - test spoke: individuals that give birth (rate `birth` each) and die (rate `death` each), exactly.
 *
 * Each agent has two clocks, one for each channel: an event happens when the integral of the channel's rate has used up a
 * unit exponential (the modified next reaction method: Anderson 2007, J Chem Phys 127, 214107). The exponentials
 * are numbers of the member's stream under (channel, agent, how many before), and an agent's name is made of its
 * parent's and its rank among the parent's children. So what one agent does never depends on another: two plans share all
 * agents that both have, and resampling reshuffles nothing.
 *
 * Mean n0 exp((b - d) t), variance n0 (b + d)/(b - d) exp((b - d) t)(exp((b - d) t) - 1) (Bailey 1964, section 8.6).
 */
#include <math.h>
#include <string.h>

#include "frame.h"
#include "num/num.h"
#include "test_spokes.h"

enum { BIRTH, DEATH, N0, MOST, NPARAM };
static const char *const param_id[NPARAM] = {"birth", "death", "n0", "most"};
static const double param_default[NPARAM] = {0.5, 0.3, 10, 5000};
static const char *const state_id[] = {"n"};
static const char *const state_unit[] = {"1"};
enum { S_N, S_BIRTHS, S_DEATHS, S_AGE, NSIGNAL };
static const char *const signal_id[NSIGNAL] = {"n", "births", "deaths", "age"};

typedef struct clock {
  double left, since; /* what is left of the exponential at time `since` */
  double at;          /* when it runs out under the present rate */
} clock;

typedef struct agent {
  uint64_t name;
  double born;
  uint64_t nchild;
  clock channel[2]; /* BIRTH, DEATH */
} agent;

typedef struct herd {
  agent *a;
  int n, cap;
} herd;

/* numbers of a member */
enum { X_BIRTHS, X_DEATHS, NX };

static int bd_nx(const frame_spoke *s, int ndir) {
  (void)s;
  (void)ndir;
  return NX;
}

static herd *herd_of(const frame_batch *b, int i) { return b->m[i].more; }

/* A name from two, by the finalizer of SplitMix64. */
static uint64_t name_of(uint64_t parent, uint64_t rank) {
  uint64_t z = parent + 0x9e3779b97f4a7c15u * (rank + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static double uniform(const frame_batch *b, int i, uint32_t purpose, uint64_t name) {
  dpi_rng rng = dpi_rng_make(b->def.seed, b->def.member[i].stream, purpose);
  rng.counter = name;
  return dpi_rng_uniform(&rng);
}

static void wind(const frame_batch *b, int i, agent *a, int channel, double now) {
  clock *c = &a->channel[channel];
  c->left = -dpi_m_log(uniform(b, i, 0x4244u + (uint32_t)channel, name_of(a->name, a->nchild)));
  c->since = now;
  double rate = b->m[i].param[channel];
  c->at = rate > 0 ? now + c->left / rate : INFINITY;
}

static dp_status add_agent(frame_batch *b, int i, uint64_t name, double now) {
  herd *h = herd_of(b, i);
  if (h->n >= b->m[i].param[MOST]) {
    frame_fail(b, i, "more than %g individuals", b->m[i].param[MOST]);
    return DP_OK;
  }
  DP_TRY(dpi_grow(b->ctx, (void **)&h->a, &h->cap, h->n + 1, sizeof *h->a));
  agent *a = &h->a[h->n++];
  *a = (agent){.name = name, .born = now};
  wind(b, i, a, BIRTH, now);
  wind(b, i, a, DEATH, now);
  return DP_OK;
}

static void remove_agent(herd *h, int k) {
  memmove(h->a + k, h->a + k + 1, (size_t)(h->n - k - 1) * sizeof *h->a);
  h->n--;
}

/* Founders are named by `origin`, so that those of different doses are different individuals. */
static dp_status add_founders(frame_batch *b, int i, double count, uint64_t origin) {
  if (!(count >= 0)) {
    frame_fail(b, i, "%g individuals cannot be added", count);
    return DP_OK;
  }
  double now = frame_time(b->m[i].time);
  for (uint64_t k = 0; (double)k + 0.5 < count && b->def.out[i].status == DP_MEMBER_OK; k++) {
    DP_TRY(add_agent(b, i, name_of(origin, k), now));
  }
  return DP_OK;
}

static bool check_rates(const frame_batch *b, int i) {
  for (int c = BIRTH; c <= DEATH; c++) {
    double rate = b->m[i].param[c];
    if (rate >= 0 && isfinite(rate)) continue;
    frame_fail(b, i, "parameter '%s' is %g, expected 0 or more", param_id[c], rate);
    return false;
  }
  return true;
}

static dp_status bd_begin(frame_batch *b, int i) {
  frame_member *m = &b->m[i];
  herd *h = m->more = DPI_NEW(b->ctx, herd);
  if (!h) return DP_ERR_MEMORY;
  if (!check_rates(b, i)) return DP_OK;
  const double *state0 = b->def.member[i].state0;
  return add_founders(b, i, state0 ? state0[0] : m->param[N0], 0);
}

/* The next event of all; channel -1 when there is none before `end`. */
static int next_event(const herd *h, double end, int *channel) {
  int who = -1;
  *channel = -1;
  for (int k = 0; k < h->n; k++) {
    for (int c = BIRTH; c <= DEATH; c++) {
      if (!(h->a[k].channel[c].at <= end)) continue;
      end = h->a[k].channel[c].at;
      who = k;
      *channel = c;
    }
  }
  return who;
}

static void bd_flow(frame_batch *b, int i, dp_time to) {
  frame_member *m = &b->m[i];
  herd *h = herd_of(b, i);
  int channel;
  for (int k; (k = next_event(h, frame_time(to), &channel)) >= 0;) {
    double now = h->a[k].channel[channel].at;
    if (channel == DEATH) {
      remove_agent(h, k);
      m->x[X_DEATHS]++;
      continue;
    }
    uint64_t child = name_of(~h->a[k].name, h->a[k].nchild++);
    wind(b, i, &h->a[k], BIRTH, now);
    m->x[X_BIRTHS]++;
    b->broken = add_agent(b, i, child, now);
    if (b->broken != DP_OK || b->def.out[i].status != DP_MEMBER_OK) return;
  }
}

/* Clocks go on under the new rate with what is left of their exponentials. */
static void change_rate(frame_batch *b, int i, int channel, double rate_old) {
  herd *h = herd_of(b, i);
  double now = frame_time(b->m[i].time), rate = b->m[i].param[channel];
  for (int k = 0; k < h->n; k++) {
    clock *c = &h->a[k].channel[channel];
    c->left -= rate_old * (now - c->since);
    if (c->left < 0) c->left = 0; /* rounding */
    c->since = now;
    c->at = rate > 0 ? now + c->left / rate : INFINITY;
  }
}

/* Each individual survives by its own number. */
static void thin(frame_batch *b, int i, double fraction, int pos) {
  herd *h = herd_of(b, i);
  for (int k = h->n - 1; k >= 0; k--) {
    if (uniform(b, i, 0x5448u, name_of(h->a[k].name, (uint64_t)pos)) < fraction) continue;
    remove_agent(h, k);
    b->m[i].x[X_DEATHS]++;
  }
}

static void bd_act(frame_batch *b, int i, int k) {
  frame_member *m = &b->m[i];
  const frame_item *item = &m->item[k];
  uint64_t origin = name_of(1 + (uint64_t)item->pos, (uint64_t)item->repeat);
  double old;
  switch (item->type) {
    case DP_ADD:
      b->broken = add_founders(b, i, item->amount, origin);
      break;
    case DP_SCALE:
      thin(b, i, item->amount, item->pos);
      break;
    case DP_SET:
    case DP_RESET:
      herd_of(b, i)->n = 0;
      b->broken = add_founders(b, i, item->type == DP_SET ? item->amount : m->param[N0], origin);
      break;
    case DP_SWITCH:
      old = m->param[item->target];
      m->param[item->target] = item->amount;
      if (item->target <= DEATH && check_rates(b, i)) change_rate(b, i, item->target, old);
      break;
    default:
      break; /* refused */
  }
}

static void bd_give(const frame_batch *b, int i, double *signal, double *dsignal) {
  (void)dsignal;
  const herd *h = herd_of(b, i);
  double sum = 0, now = frame_time(b->m[i].time);
  for (int k = 0; k < h->n; k++) sum += now - h->a[k].born;
  signal[S_N] = h->n;
  signal[S_BIRTHS] = b->m[i].x[X_BIRTHS];
  signal[S_DEATHS] = b->m[i].x[X_DEATHS];
  signal[S_AGE] = h->n ? sum / h->n : 0;
}

static dp_status bd_refuse(const frame_batch *b, const dp_instant *s) {
  if (s->type != DP_INFUSE) return DP_OK;
  return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED, "spoke 'birthdeath': individuals cannot be infused");
}

/* Exponentials have no memory: what is pending is drawn anew from the new stream. */
static void bd_restream(frame_batch *b, int i) {
  herd *h = herd_of(b, i);
  for (int k = 0; k < h->n; k++) {
    wind(b, i, &h->a[k], BIRTH, frame_time(b->m[i].time));
    wind(b, i, &h->a[k], DEATH, frame_time(b->m[i].time));
  }
}

static void bd_more_free(frame_batch *b, int i) {
  herd *h = herd_of(b, i);
  if (h) dpi_free(b->ctx, h->a);
  dpi_free(b->ctx, h);
}

static void bd_more_save(const frame_batch *b, int i, dpi_str *bytes) {
  const herd *h = herd_of(b, i);
  if (h->n) dpi_str_addn(bytes, (const char *)h->a, (size_t)h->n * sizeof *h->a);
}

static dp_status bd_more_load(frame_batch *b, int i, const void *bytes, size_t size) {
  herd *h = herd_of(b, i);
  if (size % sizeof *h->a)
    return dpi_fail(b->ctx, DP_ERR_INPUT, "spoke 'birthdeath': half an individual");
  int n = (int)(size / sizeof *h->a);
  DP_TRY(dpi_grow(b->ctx, (void **)&h->a, &h->cap, n, sizeof *h->a));
  if (n) memcpy(h->a, bytes, size);
  h->n = n;
  return DP_OK;
}

static const frame_ops ops = {.nx = bd_nx,
                              .begin = bd_begin,
                              .flow = bd_flow,
                              .act = bd_act,
                              .give = bd_give,
                              .refuse = bd_refuse,
                              .restream = bd_restream,
                              .more_free = bd_more_free,
                              .more_save = bd_more_save,
                              .more_load = bd_more_load};

static dp_status birthdeath_create(dp_ctx *ctx, const dp_sim_def *def, dpi_spoke **out) {
  static const dpi_spoke_desc desc = {
      .caps = DP_CAP_STOCHASTIC | DP_CAP_THREADS | DP_CAP_SAVE,
      .ranks = 1,
      .nparam = NPARAM,
      .nstate = 1,
      .nsignal = NSIGNAL,
      .param_id = param_id,
      .param_default = param_default,
      .state_id = state_id,
      .state_unit = state_unit,
      .signal_id = signal_id,
      .block = 4,
  };
  frame_spoke *s = NULL;
  DP_TRY(frame_create(ctx, def, &dp_test_spoke_birthdeath, &ops, &desc, &s));
  *out = &s->base;
  return DP_OK;
}

static dp_status birthdeath_state_get(const dpi_batch *batch, int member, double *x) {
  x[0] = herd_of((const frame_batch *)batch, member)->n;
  return DP_OK;
}

/* no fork: the sim makes it of save and load; no state_set: who would the new individuals be? */
const dpi_spoke_ops dp_test_spoke_birthdeath = {
    .interface = DPI_SPOKE_INTERFACE,
    .name = "birthdeath",
    .help = "test: birth and death of individual agents, exact",
    .create = birthdeath_create,
    .destroy = frame_destroy,
    .describe = frame_describe,
    .open = frame_open,
    .advance = frame_advance,
    .close = frame_close,
    .save = frame_save,
    .load = frame_load,
    .state_get = birthdeath_state_get,
};
