/* stream.c - floor 5: members that are made when they are needed, simulated in waves, given to a sink in their order.
 *
 * 1. How long a wave is decides nothing but memory and how much a stop loses: members do not depend on their
 *    neighbours. So its length may follow the clock: short enough that a stop finds something done, long enough that
 *    threads are busy.
 * 2. A wave is filled by all threads, simulated by all threads (dp_simulate), and given by the calling one.
 */
#include <string.h>

#include "sim/sim_impl.h"

#define FILL 128           /* members filled by one worker at once */
#define WAVE_LEAST 64      /* members of a wave: all lanes of some threads have work */
#define WAVE_FIRST 4096    /* most members of the first wave, of which nobody knows yet how long they take */
#define WAVE_MOST 65536    /* and of any */
#define WAVE_BYTES 8388608 /* of one wave's values and parameters */
#define SHORT_S 0.02       /* a wave that took less may be longer, */
#define LONG_S 0.5         /* one that took more shorter: Ctrl-C and progress wait for its end */

typedef struct stream {
  const dp_sim *sim;
  const dp_source *source;
  dp_run_opts opts; /* of the whole: its progress and its deadline */
  dp_sink_fn sink;
  void *user;
  int first, nmember, ndone;
  int wave, cap; /* present length; room */
  double opened_s;
  dp_member *member;       /* [cap] */
  double *param;           /* [cap x nparam] */
  dp_member_result *block; /* [cap] */
  int filling, nfill;      /* of the present wave */
} stream;

/* ---- memory ---- */

static void release(stream *s) {
  dpi_free(s->sim->ctx, s->member);
  dpi_free(s->sim->ctx, s->param);
  dpi_free(s->sim->ctx, s->block);
  s->member = NULL;
  s->param = NULL;
  s->block = NULL;
  s->cap = 0;
}

static dp_status room(stream *s, int n) {
  if (n <= s->cap) return DP_OK;
  release(s);
  dp_ctx *ctx = s->sim->ctx;
  s->member = DPI_NEW_ARRAY(ctx, dp_member, n);
  s->param = DPI_NEW_ARRAY(ctx, double, (size_t)n *(size_t)s->sim->desc.nparam + 1);
  s->block = DPI_NEW_ARRAY(ctx, dp_member_result, n);
  if (!s->member || !s->param || !s->block) return DP_ERR_MEMORY;
  s->cap = n;
  return DP_OK;
}

/* ---- one wave ---- */

/* dpi_work_fn */
static dp_status fill(void *user, int i, int worker) {
  (void)worker;
  stream *s = user;
  size_t nparam = (size_t)s->sim->desc.nparam;
  int from = i * FILL, n = s->nfill - from < FILL ? s->nfill - from : FILL;
  double *param = s->param + (size_t)from * nparam;
  for (int k = 0; k < n; k++) {
    if (nparam)
      memcpy(param + (size_t)k * nparam, s->sim->desc.param_default, nparam * sizeof *param);
    s->member[from + k] = (dp_member){.param = param + (size_t)k * nparam,
                                      .stream = (uint64_t)(s->filling + from + k)};
  }
  return s->source->fill(s->source->user, s->filling + from, n, s->member + from, param);
}

static dp_status give(stream *s, const dp_result *r) {
  for (int i = 0; i < r->nmember; i++) s->block[i] = dpi_result_member(r, i, s->filling + i);
  return s->sink(s->user, s->block, r->nmember);
}

static void tell(void *user, double done) {
  stream *s = user;
  if (s->opts.progress)
    s->opts.progress(s->opts.progress_user, (s->ndone + done * s->nfill) / s->nmember);
}

static dp_status one_wave(stream *s) {
  dp_ctx *ctx = s->sim->ctx;
  dp_run_opts inner = s->opts;
  inner.progress = tell;
  inner.progress_user = s;
  if (inner.deadline_s > 0) {
    inner.deadline_s -= dpi_clock_s() - s->opened_s;
    if (!(inner.deadline_s > 0))
      return dpi_fail(ctx, DP_ERR_CANCELLED, "simulation: stopped at its deadline");
  }
  dp_result *r = NULL;
  DP_TRY(dpi_parallel_for(ctx, (s->nfill + FILL - 1) / FILL, fill, s));
  DP_TRY(dp_simulate(s->sim, s->member, s->nfill, &inner, &r));
  dp_status status = give(s, r);
  dp_result_destroy(r);
  return status;
}

/* ---- the whole ---- */

/* The most members of a wave: its values and parameters in a fixed memory. */
static int longest(const stream *s) {
  const dp_member *m = &s->member[0];
  size_t each = sizeof(double) *
                    ((size_t)m->nout * (size_t)s->sim->desc.noutput * (size_t)(1 + s->opts.ndir) +
                     (size_t)s->sim->desc.nparam) +
                sizeof(dp_member) + sizeof(dp_member_result);
  size_t most = WAVE_BYTES / each;
  return most < WAVE_LEAST ? WAVE_LEAST : most > WAVE_MOST ? WAVE_MOST : (int)most;
}

static int shortest(const stream *s) {
  int64_t least = (int64_t)s->sim->spoke_desc->block * dp_ctx_nthread(s->sim->ctx);
  return least < WAVE_LEAST ? WAVE_LEAST : least > WAVE_FIRST ? WAVE_FIRST : (int)least;
}

static dp_status all_waves(stream *s) {
  int least = shortest(s), most = least;
  s->wave = least;
  while (s->ndone < s->nmember) {
    int left = s->nmember - s->ndone;
    s->nfill = left < s->wave ? left : s->wave;
    s->filling = s->first + s->ndone;
    DP_TRY(room(s, s->nfill));
    double began = dpi_clock_s();
    DP_TRY(one_wave(s));
    double took = dpi_clock_s() - began;
    if (s->ndone == 0) most = longest(s) > least ? longest(s) : least;
    s->ndone += s->nfill;
    if (took < SHORT_S) s->wave = 2 * s->wave < most ? 2 * s->wave : most;
    if (took > LONG_S) s->wave = s->wave / 2 > least ? s->wave / 2 : least;
  }
  return DP_OK;
}

dp_status dp_simulate_stream(const dp_sim *sim, int first, int nmember, const dp_source *source,
                             const dp_run_opts *opts, dp_sink_fn sink, void *user) {
  DP_TRY(dpi_check_opts(sim, opts));
  if (first < 0 || nmember < 0 || nmember > INT32_MAX - first || !source || !source->fill || !sink)
    return dpi_fail(sim->ctx, DP_ERR_USAGE, "stream: members %d and %d more: no such numbers",
                    first, nmember);
  stream s = {.sim = sim,
              .source = source,
              .opts = *opts,
              .sink = sink,
              .user = user,
              .first = first,
              .nmember = nmember,
              .opened_s = dpi_clock_s()};
  dp_status status = all_waves(&s);
  release(&s);
  return status;
}
