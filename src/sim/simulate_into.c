/* simulate_into.c - floor 5: many members into a sink, in bounded memory, while the threads stay busy.
 *
 *     chunk 0 1 2 3 4 5 6 ...      computed by the workers in this order, each into a slot
 *           |---| |-------|
 *           given  in slots        the calling thread gives what is ready, in order, between chunks of its own
 *
 * 1. A chunk is a batch. At most nslot chunks from the first not yet given on are in work, so that memory is fixed and
 *    a slow sink holds up the workers instead of the memory.
 * 2. A chunk waits for a slot only while earlier ones are in work or ready, and the calling thread gives while it
 *    waits: somebody can always go on.
 * 3. The sink is called on the calling thread alone.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "sim/sim_impl.h"

#define NUMBERS_MOST 8388608 /* in all slots: 64 MB, */
#define POLL_S 0.02          /* a waiting worker looks whether to stop */

typedef enum slot_state { FREE, BUSY, READY } slot_state;

typedef struct slot {
  slot_state state;
  int chunk;
  int owner; /* worker that used it last plus 1; 0: nobody yet */
  dpi_part part;
} slot;

typedef struct into {
  const dp_sim *sim;
  const dp_member *member;
  int nmember, block;
  dp_run_opts opts; /* the caller's, without progress */
  const dp_run_opts *asked;
  double opened_s;
  dp_sink_fn sink;
  void *user;
  pthread_t caller;
  int nchunk, nslot;
  int *first;                      /* [nchunk + 1] member */
  dp_member_result *member_result; /* [block] */
  slot *slot;                      /* [nslot] */
  pthread_mutex_t lock;            /* of what follows and the slots' states */
  pthread_cond_t moved;
  int ngiven; /* chunks */
  int failed; /* lowest chunk that failed; nchunk when none has */
} into;

/* ---- chunks ---- */

/* Members of the next chunk: a batch, or fewer when their results are large, but as many as the spoke takes at once. */
static int chunk_length(const into *x, int first) {
  const dp_sim *sim = x->sim;
  const int nleft = x->nmember - first, least = sim->spoke_desc->block;
  int most = dpi_batch_length(dp_ctx_nthread(sim->ctx), x->block, nleft), n = 0;
  const size_t column = (size_t)(sim->nrow_spoke + (sim->compose ? sim->desc.noutput : 0)) * (size_t)(1 + x->opts.ndir);
  size_t number = 0;
  if (most > nleft) most = nleft;
  for (; n < most && (n < least || number < (size_t)(NUMBERS_MOST / x->nslot)); n++) {
    const dp_member *m = &x->member[first + n];
    number += (size_t)m->nout * column + (size_t)m->nfunctional;
  }
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
  const dp_result *r = s->part.result;
  const int first = x->first[s->chunk];
  for (int i = 0; i < r->nmember; i++) x->member_result[i] = dpi_result_member(r, i, first + i);
  DP_TRY(x->sink(x->user, x->member_result, r->nmember));
  if (x->asked->progress)
    x->asked->progress(x->asked->progress_user, (double)(first + r->nmember) / x->nmember);
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

/* dpi_work_fn: one chunk */
static dp_status compute(void *user, int i, int worker) {
  into *x = user;
  slot *s = NULL;
  dp_status status = take_slot(x, i, worker, &s);
  if (status == DP_OK)
    status = dpi_part_simulate(x->sim, x->member + x->first[i], x->first[i + 1] - x->first[i], x->block, 1, &x->opts,
                               x->opened_s, &s->part);
  pthread_mutex_lock(&x->lock);
  if (s) s->state = READY;
  if (status != DP_OK && i < x->failed) x->failed = i;
  if (status != DP_OK && s) s->chunk = -1; /* is never given */
  pthread_cond_broadcast(&x->moved);
  pthread_mutex_unlock(&x->lock);
  return status;
}

/* ---- the call ---- */

/* One block: where chunks begin, one chunk's members as the sink sees them, slots. */
static dp_status with_memory(into *x) {
  dp_ctx *ctx = x->sim->ctx;
  const int least = dpi_batch_length(dp_ctx_nthread(ctx), x->sim->spoke_desc->block, 0); /* members of a chunk */
  const size_t most = (size_t)(x->nmember / least + 2), longest = (size_t)(x->block < x->nmember ? x->block : x->nmember);
  const size_t at_slot = longest * sizeof *x->member_result, at_first = at_slot + (size_t)x->nslot * sizeof *x->slot;
  char *block = dpi_alloc(ctx, at_first + most * sizeof *x->first);
  if (!block) return DP_ERR_MEMORY;
  x->member_result = (dp_member_result *)block;
  x->slot = (slot *)(block + at_slot);
  x->first = (int *)(block + at_first);
  cut(x);
  memset(x->slot, 0, (size_t)x->nslot * sizeof *x->slot);
  x->failed = x->nchunk;
  dp_status status = DP_OK;
  if (x->nslot > 1) {
    status = dpi_parallel_serve(ctx, x->nchunk, compute, give, x);
  } else {
    for (int i = 0; i < x->nchunk && status == DP_OK; i++) {
      status = compute(x, i, 0);
      if (status == DP_OK) status = give(x);
    }
  }
  for (int k = 0; k < x->nslot; k++) dpi_part_release(x->sim, &x->slot[k].part);
  dpi_free(ctx, block);
  return status;
}

static int slots(const dp_sim *sim, int nmember, int block) {
  const int nthread = dp_ctx_nthread(sim->ctx);
  const bool alone = !(sim->spoke_desc->caps & DP_CAP_THREADS) || sim->spoke_desc->max_instances > 0;
  return nthread == 1 || alone || nmember <= block ? 1 : 2 * nthread + 2;
}

dp_status dp_simulate_into(const dp_sim *sim, const dp_member *member, int nmember, const dp_run_opts *opts,
                           dp_sink_fn sink, void *user) {
  DP_TRY(dpi_check_opts(sim, opts));
  DP_TRY(dpi_check_members(sim, member, nmember, opts));
  if (nmember == 0) return DP_OK;
  into x = {.sim = sim, .member = member, .nmember = nmember, .opts = *opts, .asked = opts, .sink = sink, .user = user};
  x.opts.progress = NULL; /* told here, of the whole */
  x.block = dpi_run_block(sim, nmember);
  x.nslot = slots(sim, nmember, x.block);
  x.opened_s = dpi_run_clock(opts);
  x.caller = pthread_self();
  pthread_mutex_init(&x.lock, NULL);
  pthread_cond_init(&x.moved, NULL);
  dp_status status = with_memory(&x);
  pthread_cond_destroy(&x.moved);
  pthread_mutex_destroy(&x.lock);
  return status;
}
