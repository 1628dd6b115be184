/* stream.c - floor 5: many members into a sink, in bounded memory, while the threads stay busy: dp_simulate_into for
 * members that are there, dp_simulate_stream for members that a source makes.
 *
 *     chunk 0 1 2 3 4 5 6 ...      made, computed and shown to `eager` by the workers, taken in this
 *                                  order, each in a slot
 *           |---| |-------|
 *           given  in slots        the calling thread gives what is ready, in order, between chunks of its own
 *
 * 1. A chunk is a batch. At most nslot chunks from the first not yet given on are in work, so that memory is fixed and
 *    a slow sink holds up the workers instead of the memory.
 * 2. A chunk waits for a slot only while earlier ones are in work or ready, and the calling thread gives while it
 *    waits: somebody can always go on.
 * 3. The sink is called on the calling thread alone; eager on any, for chunks in any order.
 * 4. How members are cut into chunks decides nothing but memory, and how much a stop loses: the first chunks of a
 *    source are short, since nobody knows yet how long its members take.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "sim/sim_impl.h"

#define NUMBERS_MOST 8388608 /* in all slots: 64 MB, */
#define POLL_S 0.02          /* a waiting worker looks whether to stop */
#define RAMP 4               /* a chunk is no longer than this part of what came before it */

typedef enum slot_state { FREE, BUSY, READY } slot_state;

typedef struct slot {
  slot_state state;
  int chunk;
  int owner; /* worker that used it last plus 1; 0: nobody yet */
  dpi_part part;
  dp_member *made;                 /* [block] owned; members of a source, */
  double *param;                   /* [block x nparam] owned; and their parameters */
  dp_member_result *member_result; /* [block] owned; what sink and eager see */
} slot;

struct dpi_slots {
  int nslot, length; /* members each has room for */
  slot slot[];
};

typedef struct into {
  const dp_sim *sim;
  const dp_member *member; /* [nmember], or NULL: of the source */
  const dp_source *source;
  int from; /* number of the first member */
  int nmember, block, length; /* length: the most members of a chunk */
  size_t number; /* a source's first member's results are so many numbers */
  bool ramp;
  dp_run_opts opts; /* the caller's, without progress */
  const dp_run_opts *asked;
  double opened_s;
  dp_sink_fn sink, eager; /* eager: or NULL */
  void *user;
  pthread_t caller;
  int nchunk, nslot;
  int *first;                      /* [nchunk + 1] member, from 0 */
  slot *slot;                      /* [nslot] */
  pthread_mutex_t lock;            /* of what follows and the slots' states */
  pthread_cond_t moved;
  int ngiven; /* chunks */
  int failed; /* lowest chunk that failed; nchunk when none has */
} into;

/* ---- sources ---- */

dp_status dpi_source_fill(const dp_sim *sim, const dp_source *source, int first, int n, dp_member *member,
                          double *param) {
  const size_t nparam = (size_t)sim->desc.nparam;
  for (int i = 0; i < n; i++) {
    double *own = param + (size_t)i * nparam;
    if (nparam) memcpy(own, sim->desc.param_default, nparam * sizeof *own);
    member[i] = (dp_member){.param = own, .stream = (uint64_t)(first + i)};
  }
  return source->fill(source->user, first, n, member, param);
}

dp_status dpi_source_shape(const dp_sim *sim, const dp_source *source, int number, dp_member *out) {
  double *param = DPI_NEW_ARRAY(sim->ctx, double, (size_t)sim->desc.nparam + 1);
  if (!param) return DP_ERR_MEMORY;
  dp_status status = dpi_source_fill(sim, source, number, 1, out, param);
  dpi_free(sim->ctx, param);
  return status;
}

/* ---- chunks ---- */

static size_t numbers_of(const into *x, const dp_member *m) {
  const dp_sim *sim = x->sim;
  const size_t column = (size_t)(sim->nrow_spoke + (sim->compose ? sim->desc.noutput : 0)) * (size_t)(1 + x->opts.ndir);
  return (size_t)m->nout * column + (size_t)m->nfunctional;
}

/* Members of the next chunk: a batch, or fewer when their results are large, but as many as the spoke takes at once. */
static int chunk_length(const into *x, int first) {
  const int nleft = x->nmember - first, least = x->sim->spoke_desc->block;
  int most = dpi_batch_length(dp_ctx_nthread(x->sim->ctx), x->block, nleft), n = 0;
  if (x->ramp && most > first / RAMP) most = first / RAMP > least ? first / RAMP : least;
  if (most > nleft) most = nleft;
  size_t number = 0;
  for (; n < most && (n < least || number < (size_t)(NUMBERS_MOST / x->nslot)); n++)
    number += x->member ? numbers_of(x, &x->member[first + n]) : x->number;
  return n;
}

static void cut(into *x) {
  x->nchunk = 0;
  for (int first = 0; first < x->nmember; first += chunk_length(x, first)) x->first[x->nchunk++] = first;
  x->first[x->nchunk] = x->nmember;
}

/* ---- the calling thread ---- */

static slot *ready(into *x) {
  slot *found = NULL;
  pthread_mutex_lock(&x->lock);
  for (int k = 0; k < x->nslot && !found; k++)
    if (x->slot[k].state == READY && x->slot[k].chunk == x->ngiven) found = &x->slot[k];
  pthread_mutex_unlock(&x->lock);
  return found;
}

static dp_status give_one(into *x, slot *s) {
  const int n = s->part.result->nmember;
  DP_TRY(x->sink(x->user, s->member_result, n));
  if (x->asked->progress)
    x->asked->progress(x->asked->progress_user, (double)(x->first[s->chunk] + n) / x->nmember);
  return DP_OK;
}

/* dpi_serve_fn: all that is ready, in order */
static dp_status give(void *user) {
  into *x = user;
  for (slot *s; (s = ready(x)) != NULL;) {
    dp_status status = give_one(x, s);
    pthread_mutex_lock(&x->lock);
    if (status == DP_OK) {
      s->state = FREE;
      x->ngiven++;
    } else if (s->chunk < x->failed) {
      x->failed = s->chunk;
    }
    pthread_cond_broadcast(&x->moved);
    pthread_mutex_unlock(&x->lock);
    DP_TRY(status);
  }
  return DP_OK;
}

/* ---- the workers ---- */

static void wait_a_little(into *x) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += (long)(POLL_S * 1e9);
  if (until.tv_nsec >= 1000000000L) {
    until.tv_nsec -= 1000000000L;
    until.tv_sec++;
  }
  pthread_cond_timedwait(&x->moved, &x->lock, &until);
}

/* The one this worker used last, whose memory is near, rather than a new one rather than another's. */
static slot *free_slot(into *x, int chunk, int worker) {
  slot *best = NULL;
  int cost = 3;
  if (chunk - x->ngiven >= x->nslot) return NULL;
  for (int k = 0; k < x->nslot; k++) {
    slot *s = &x->slot[k];
    const int c = s->owner == worker + 1 ? 0 : s->owner == 0 ? 1 : 2;
    if (s->state != FREE || c >= cost) continue;
    best = s;
    cost = c;
  }
  if (best == NULL) return NULL;
  best->state = BUSY;
  best->chunk = chunk;
  best->owner = worker + 1;
  return best;
}

/* A slot for this chunk, when there is one. */
static dp_status take_slot(into *x, int chunk, int worker, slot **out) {
  const bool caller = pthread_equal(pthread_self(), x->caller);
  dp_status status = DP_OK;
  pthread_mutex_lock(&x->lock);
  while (status == DP_OK && (*out = free_slot(x, chunk, worker)) == NULL) {
    if (x->failed < chunk || dp_ctx_cancelled(x->sim->ctx)) {
      status = DP_ERR_CANCELLED;
      break;
    }
    const int before = x->ngiven;
    if (caller) {
      pthread_mutex_unlock(&x->lock);
      status = give(x);
      pthread_mutex_lock(&x->lock);
    }
    if (x->ngiven == before && status == DP_OK) wait_a_little(x);
  }
  pthread_mutex_unlock(&x->lock);
  return status;
}

/* What a slot's chunks need, when it is used for the first time. */
static dp_status slot_memory(const into *x, slot *s) {
  dp_ctx *ctx = x->sim->ctx;
  const int n = x->length;
  if (s->member_result) return DP_OK;
  s->member_result = DPI_NEW_ARRAY(ctx, dp_member_result, n);
  if (x->source) {
    s->made = DPI_NEW_ARRAY(ctx, dp_member, n);
    s->param = DPI_NEW_ARRAY(ctx, double, (size_t)n *(size_t)x->sim->desc.nparam + 1);
  }
  return s->member_result && (!x->source || (s->made && s->param)) ? DP_OK : DP_ERR_MEMORY;
}

void dpi_slots_release(const dp_sim *sim, dpi_slots *all) {
  for (int k = 0; all && k < all->nslot; k++) {
    slot *s = &all->slot[k];
    dpi_part_release(sim, &s->part);
    dpi_free(sim->ctx, s->member_result);
    dpi_free(sim->ctx, s->made);
    dpi_free(sim->ctx, s->param);
  }
  dpi_free(sim->ctx, all);
}

/* Those kept from an earlier call, if there are enough and they are long enough. */
static dp_status slots_take(into *x, dpi_slots **keep) {
  dpi_slots *all = *keep;
  if (!all || all->nslot < x->nslot || all->length < x->length) {
    dpi_slots_release(x->sim, all);
    *keep = all = dpi_alloc(x->sim->ctx, sizeof *all + (size_t)x->nslot * sizeof *all->slot);
    if (!all) return DP_ERR_MEMORY;
    all->nslot = x->nslot;
    all->length = x->length;
  }
  x->length = all->length; /* a later call's may be longer than this one's */
  x->slot = all->slot;
  for (int k = 0; k < x->nslot; k++) x->slot[k].state = FREE;
  return DP_OK;
}

/* Members first to first + n - 1 of this call. */
static dp_status make(const into *x, slot *s, int first, int n) {
  DP_TRY(dpi_source_fill(x->sim, x->source, x->from + first, n, s->made, s->param));
  return dpi_check_members(x->sim, s->made, n, &x->opts);
}

static dp_status fill_slot(const into *x, slot *s) {
  const int first = x->first[s->chunk], n = x->first[s->chunk + 1] - first;
  DP_TRY(slot_memory(x, s));
  if (x->source) DP_TRY(make(x, s, first, n));
  DP_TRY(dpi_part_simulate(x->sim, x->source ? s->made : x->member + first, n, x->block, 1, &x->opts, x->opened_s,
                           &s->part));
  for (int i = 0; i < n; i++) s->member_result[i] = dpi_result_member(s->part.result, i, x->from + first + i);
  return x->eager ? x->eager(x->user, s->member_result, n) : DP_OK;
}

/* dpi_work_fn: one chunk */
static dp_status compute(void *user, int i, int worker) {
  into *x = user;
  slot *s = NULL;
  dp_status status = take_slot(x, i, worker, &s);
  if (status == DP_OK) status = fill_slot(x, s);
  pthread_mutex_lock(&x->lock);
  if (s) s->state = READY;
  if (status != DP_OK && i < x->failed) x->failed = i;
  if (status != DP_OK && s) s->chunk = -1; /* is never given */
  pthread_cond_broadcast(&x->moved);
  pthread_mutex_unlock(&x->lock);
  return status;
}

/* ---- the call ---- */

static dp_status all_chunks(into *x) {
  if (x->nslot > 1) return dpi_parallel_serve(x->sim->ctx, x->nchunk, compute, give, x);
  for (int i = 0; i < x->nchunk; i++) {
    DP_TRY(compute(x, i, 0));
    DP_TRY(give(x));
  }
  return DP_OK;
}

static dp_status with_slots(into *x) {
  dp_ctx *ctx = x->sim->ctx;
  const int least = dpi_batch_length(dp_ctx_nthread(ctx), x->sim->spoke_desc->block, 0); /* members of a chunk */
  x->first = dpi_alloc(ctx, ((size_t)(x->nmember / least) + 2) * sizeof *x->first);
  if (!x->first) return DP_ERR_MEMORY;
  cut(x);
  x->failed = x->nchunk;
  dp_status status = all_chunks(x);
  dpi_free(ctx, x->first);
  return status;
}

static int slots(const dp_sim *sim, int nmember, int block) {
  const int nthread = dp_ctx_nthread(sim->ctx);
  const bool alone = !(sim->spoke_desc->caps & DP_CAP_THREADS) || sim->spoke_desc->max_instances > 0;
  return nthread == 1 || alone || nmember <= block ? 1 : nthread + 2;
}

/* keep: slots of earlier calls, or NULL */
static dp_status run(into *x, dpi_slots **keep) {
  const dp_run_opts *opts = x->asked;
  dpi_slots *own = NULL;
  x->opts = *opts;
  x->opts.progress = NULL; /* told here, of the whole */
  x->block = dpi_run_block(x->sim, x->nmember);
  x->length = x->block < x->nmember ? x->block : x->nmember;
  x->nslot = slots(x->sim, x->nmember, x->block);
  x->opened_s = dpi_run_clock(opts);
  x->caller = pthread_self();
  DP_TRY(slots_take(x, keep ? keep : &own));
  pthread_mutex_init(&x->lock, NULL);
  pthread_cond_init(&x->moved, NULL);
  dp_status status = with_slots(x);
  pthread_cond_destroy(&x->moved);
  pthread_mutex_destroy(&x->lock);
  dpi_slots_release(x->sim, own);
  return status;
}

dp_status dp_simulate_into(const dp_sim *sim, const dp_member *member, int nmember, const dp_run_opts *opts,
                           dp_sink_fn sink, void *user) {
  DP_TRY(dpi_check_opts(sim, opts));
  DP_TRY(dpi_check_members(sim, member, nmember, opts));
  if (nmember == 0) return DP_OK;
  into x = {.sim = sim, .member = member, .nmember = nmember, .asked = opts, .sink = sink, .user = user};
  return run(&x, NULL);
}

/* How large the source's members are, by the first of these. */
static dp_status probe(into *x) {
  dp_member one;
  DP_TRY(dpi_source_shape(x->sim, x->source, x->from, &one));
  x->opts.ndir = x->asked->ndir;
  x->number = numbers_of(x, &one) + (size_t)x->sim->desc.nparam + sizeof(dp_member) / sizeof(double);
  return DP_OK;
}

dp_status dpi_simulate_source(const dp_sim *sim, int first, int nmember, const dp_source *source, bool ramp,
                              const dp_run_opts *opts, dp_sink_fn eager, dp_sink_fn sink, void *user,
                              dpi_slots **keep) {
  DP_TRY(dpi_check_opts(sim, opts));
  if (first < 0 || nmember < 0 || nmember > INT32_MAX - first || !source || !source->fill || !sink)
    return dpi_fail(sim->ctx, DP_ERR_USAGE, "stream: members %d and %d more: no such numbers", first, nmember);
  if (nmember == 0) return DP_OK;
  into x = {.sim = sim, .source = source, .from = first, .nmember = nmember, .ramp = ramp, .asked = opts};
  x.eager = eager;
  x.sink = sink;
  x.user = user;
  DP_TRY(probe(&x));
  return run(&x, keep);
}

dp_status dp_simulate_stream(const dp_sim *sim, int first, int nmember, const dp_source *source,
                             const dp_run_opts *opts, dp_sink_fn sink, void *user) {
  return dpi_simulate_source(sim, first, nmember, source, true, opts, NULL, sink, user, NULL);
}
