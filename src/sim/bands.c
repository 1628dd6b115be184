/* bands.c - floor 5: bands over any number of members (doppel/bands.h).
 *
 *     for each block of members, in order:
 *       simulate    as dp_simulate_stream, into an array [cell x member]; a cell is one output at one time
 *       digest      each cell: finite values, moments, sorted, thinned to a piece of a sketch     } threads share
 *       add         pieces and moments to the bands, cell by cell                                } the cells
 *
 * With ranks block b belongs to rank b mod nrank. Others than rank 0 send what they digested; rank 0 adds in the order
 * of blocks. Where a block is digested does not show: its digest depends on its members alone, and block length on what
 * is asked alone.
 */
#include "doppel/bands.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "num/sketch.h"
#include "sim/sim_impl.h"

#define DPI_BANDS_COOKIE 0x4450424eu /* "DPBN" */
#define BLOCK_NUMBERS (4 << 20)      /* numbers in a block, about: 32 MB */
#define LEAVING_NS 100000000         /* a signal to all ranks reaches all of them within this */
#define NAP_FIRST_NS 20000           /* between two looks for a message: from this, */
#define NAP_MOST_NS 1000000          /* growing by a quarter up to this */
enum {
  BLOCK_LEAST = 256, /* members in a block */
  BLOCK_MOST = 16384,
  REASON = 200, /* bytes kept of why a member failed */
  TILE = 8      /* cells taken over at once: their numbers lie side by side in a member's rows, a cache line of them */
};

dp_bands_def dp_bands_def_default(void) {
  return (dp_bands_def){.cookie = DPI_BANDS_COOKIE, .rank_error = 5e-4};
}

/* What is known of a block's members besides their values. Travels between ranks as it is. */
typedef struct outcome {
  int32_t block, nmember, nfailed, first_failed;
  double fail_time;
  char reason[REASON];
} outcome;

/* A block's members, and what was digested of them: cell k's piece begins at piece[at[k]]. */
typedef struct digest {
  outcome out;
  dpi_moments *moments; /* [ncell] */
  size_t *at;           /* [ncell] */
  double *piece;
} digest;

struct dp_bands {
  dp_ctx *ctx;
  int ntime, noutput, ncell, nmember, block, nblock;
  dp_bands_desc desc;
  char reason[REASON];
  dpi_sketch *sketch;   /* [ncell] */
  dpi_moments *moments; /* [ncell] */
};

typedef struct work {
  const dp_sim *sim;
  const dp_source *source;
  dp_run_opts opts;
  dp_bands_def def;
  dp_bands *bands;
  const dp_ranks *ranks;          /* NULL: alone */
  int first;                      /* of the present block */
  int nfilled;                    /* members of the present block that are in */
  dpi_slots *slots;               /* owned; of the simulation, from block to block */
  digest own;    /* piece: [ncell x block] values, digested in place */
  digest other;  /* from another rank; piece within message */
  char *message; /* owned; the last one sent or received */
  size_t message_size;
  uint8_t *done;    /* [ncell] of the present loop over cells */
  dpi_work_fn each; /* ... what it does */
  const digest *adding;
  double opened_s; /* clock when it began, for the deadline */
  int nthread;
  dpi_sketch_scratch *scratch; /* [nthread] */
  uint64_t *sorting;           /* [nthread x 2 block] */
} work;

/* ---- memory ---- */

static void digest_release(dp_ctx *ctx, digest *d) {
  dpi_free(ctx, d->moments);
  dpi_free(ctx, d->at);
}

static dp_status digest_init(dp_ctx *ctx, digest *d, int ncell) {
  d->moments = DPI_NEW_ARRAY(ctx, dpi_moments, ncell);
  d->at = DPI_NEW_ARRAY(ctx, size_t, ncell);
  return d->moments && d->at ? DP_OK : DP_ERR_MEMORY;
}

void dp_bands_destroy(dp_bands *b) {
  if (!b) return;
  for (int k = 0; b->sketch && k < b->ncell; k++) dpi_sketch_release(b->ctx, &b->sketch[k]);
  dpi_free(b->ctx, b->sketch);
  dpi_free(b->ctx, b->moments);
  dpi_free(b->ctx, b);
}

/* Block length: a power of two that what is asked gives, and nothing else. */
static int block_length(int ncell) {
  int n = BLOCK_MOST;
  while (n > BLOCK_LEAST && (int64_t)n * ncell > BLOCK_NUMBERS) n /= 2;
  return n;
}

/* The first member tells the number of output times. */
static dp_status bands_shape(work *w) {
  dp_bands *b = w->bands;
  dp_member one;
  DP_TRY(dpi_source_shape(w->sim, w->source, 0, &one));
  int64_t ncell = (int64_t)one.nout * w->sim->desc.noutput;
  if (one.nout < 0 || ncell > INT32_MAX / 16)
    return dpi_fail(b->ctx, DP_ERR_INPUT, "bands: %d output times of %d outputs", one.nout,
                    w->sim->desc.noutput);
  b->ntime = one.nout;
  b->noutput = w->sim->desc.noutput;
  b->ncell = (int)ncell;
  b->block = block_length(b->ncell);
  b->nblock = (int)(((int64_t)b->nmember + b->block - 1) / b->block);
  b->sketch = DPI_NEW_ARRAY(b->ctx, dpi_sketch, ncell);
  b->moments = DPI_NEW_ARRAY(b->ctx, dpi_moments, ncell);
  if (!b->sketch || !b->moments) return DP_ERR_MEMORY;
  double eps = b->nmember <= DP_BANDS_EXACT ? 0.0 : w->def.rank_error;
  for (int k = 0; k < b->ncell; k++) b->sketch[k].eps = eps;
  return DP_OK;
}

/* Members in a block as far as there are so many. */
static int length_of(const dp_bands *b) { return b->nmember < b->block ? b->nmember : b->block; }

static dp_status work_init(work *w) {
  dp_bands *b = w->bands;
  int length = length_of(b);
  w->nthread = dp_ctx_nthread(b->ctx);
  w->own.piece = DPI_NEW_ARRAY(b->ctx, double, (size_t)b->ncell *(size_t)length + 1);
  w->scratch = DPI_NEW_ARRAY(b->ctx, dpi_sketch_scratch, w->nthread);
  w->sorting = DPI_NEW_ARRAY(b->ctx, uint64_t, (size_t)w->nthread * 2 * (size_t)length);
  w->done = DPI_NEW_ARRAY(b->ctx, uint8_t, b->ncell + 1);
  if (!w->own.piece || !w->scratch || !w->sorting || !w->done) return DP_ERR_MEMORY;
  DP_TRY(digest_init(b->ctx, &w->own, b->ncell));
  for (int k = 0; k < b->ncell; k++) w->own.at[k] = (size_t)k * (size_t)length;
  return w->ranks ? digest_init(b->ctx, &w->other, b->ncell) : DP_OK;
}

static void work_release(work *w) {
  dp_ctx *ctx = w->bands->ctx;
  digest_release(ctx, &w->own);
  digest_release(ctx, &w->other);
  dpi_slots_release(w->sim, w->slots);
  dpi_free(ctx, w->own.piece);
  dpi_free(ctx, w->message);
  dpi_free(ctx, w->sorting);
  dpi_free(ctx, w->done);
  for (int i = 0; w->scratch && i < w->nthread; i++)
    dpi_sketch_scratch_release(ctx, &w->scratch[i]);
  dpi_free(ctx, w->scratch);
}

/* ---- taking over values ---- */

static void note_outcome(outcome *o, const dp_member_result *r) {
  o->nmember++;
  if (r->status == DP_MEMBER_OK) return;
  if (o->nfailed++) return;
  o->first_failed = r->member;
  o->fail_time = r->fail_time;
  size_t n = strlen(r->reason) < REASON - 1 ? strlen(r->reason) : REASON - 1;
  memcpy(o->reason, r->reason, n);
  memset(o->reason + n, 0, REASON - n);
}

static dp_status still_there(const work *w);

static dp_status check_times(const dp_bands *b, const dp_member_result *result, int n) {
  for (int i = 0; i < n; i++)
    if (result[i].nout != b->ntime)
      return dpi_fail(b->ctx, DP_ERR_INPUT, "bands: member %d has %d output times, the first one has %d",
                      result[i].member, result[i].nout, b->ntime);
  return DP_OK;
}

/* dp_sink_fn, on any thread: values to their cells, some cells of all members at a time. */
static dp_status scatter(void *user, const dp_member_result *result, int n) {
  const work *w = user;
  const int ncell = w->bands->ncell;
  DP_TRY(check_times(w->bands, result, n));
  double *piece = w->own.piece + (result[0].member - w->first);
  for (int from = 0; from < ncell; from += TILE) {
    const int to = from + TILE < ncell ? from + TILE : ncell;
    for (int m = 0; m < n; m++)
      for (int k = from; k < to; k++) piece[w->own.at[k] + (size_t)m] = result[m].value[k];
  }
  return DP_OK;
}

/* dp_sink_fn: these are in */
static dp_status take(void *user, const dp_member_result *result, int n) {
  work *w = user;
  DP_TRY(still_there(w));
  for (int i = 0; i < n; i++) note_outcome(&w->own.out, &result[i]);
  w->nfilled += n;
  return DP_OK;
}

/* ---- digesting and adding ---- */

/* dpi_work_fn */
static dp_status mark_cell(void *user, int k, int worker) {
  work *w = user;
  DP_TRY(w->each(w, k, worker));
  w->done[k] = 1;
  return DP_OK;
}

/* All cells, also when the context is asked to stop half-way: bands are of whole blocks or of none. */
static dp_status all_cells(work *w, dpi_work_fn each) {
  dp_bands *b = w->bands;
  w->each = each;
  memset(w->done, 0, (size_t)b->ncell);
  dp_status status = dpi_parallel_for(b->ctx, b->ncell, mark_cell, w);
  if (status != DP_ERR_CANCELLED) return status;
  for (int k = 0; k < b->ncell; k++)
    if (!w->done[k]) DP_TRY(each(w, k, 0));
  return DP_OK;
}

/* dpi_work_fn: one cell of the own block. */
static dp_status digest_cell(void *user, int k, int worker) {
  work *w = user;
  const dp_bands *b = w->bands;
  double *x = w->own.piece + w->own.at[k];
  int n = 0;
  for (int i = 0; i < w->nfilled; i++)
    if (isfinite(x[i])) x[n++] = x[i];
  w->own.moments[k] = dpi_moments_of(x, n);
  dpi_sketch_sort(x, n, w->sorting + (size_t)worker * 2 * (size_t)length_of(b));
  dpi_sketch_digest(x, n, b->sketch[k].eps, x);
  return DP_OK;
}

/* dpi_work_fn */
static dp_status add_cell(void *user, int k, int worker) {
  work *w = user;
  dp_bands *b = w->bands;
  const digest *d = w->adding;
  DP_TRY(dpi_sketch_add(b->ctx, &b->sketch[k], d->piece + d->at[k], (int)d->moments[k].count,
                        &w->scratch[worker]));
  dpi_moments_add(&b->moments[k], &d->moments[k]);
  return DP_OK;
}

static dp_status add(work *w, const digest *d) {
  dp_bands *b = w->bands;
  w->adding = d;
  DP_TRY(all_cells(w, add_cell));
  b->desc.ndone += d->out.nmember;
  if (d->out.nfailed && !b->desc.nfailed) {
    b->desc.first_failed = d->out.first_failed;
    b->desc.fail_time = d->out.fail_time;
    memcpy(b->reason, d->out.reason, REASON);
  }
  b->desc.nfailed += d->out.nfailed;
  return DP_OK;
}

static void tell(void *user, double done) {
  work *w = user;
  const dp_bands *b = w->bands;
  int left = b->nmember - w->first, n = left < b->block ? left : b->block;
  if (w->def.progress)
    w->def.progress(w->def.progress_user, b->desc.ndone + done * n,
                    b->desc.nfailed + w->own.out.nfailed);
}

/* Simulate and digest block i. DP_ERR_CANCELLED: its first members are digested. */
static dp_status own_block(work *w, int i) {
  const dp_bands *b = w->bands;
  dp_run_opts opts = w->opts;
  opts.progress = tell;
  opts.progress_user = w;
  w->first = i * b->block;
  w->nfilled = 0;
  w->own.out = (outcome){.block = i, .first_failed = -1, .fail_time = NAN};
  int left = b->nmember - w->first;
  if (opts.deadline_s > 0) opts.deadline_s -= dpi_clock_s() - w->opened_s;
  if (w->opts.deadline_s > 0 && !(opts.deadline_s > 0))
    return dpi_fail(b->ctx, DP_ERR_CANCELLED, "bands: stopped at their deadline");
  const bool ramp = i < (w->ranks ? w->ranks->nrank : 1); /* this process's first block */
  dp_status status = dpi_simulate_source(w->sim, w->first, left < b->block ? left : b->block, w->source, ramp, &opts,
                                         scatter, take, w, &w->slots);
  if (status != DP_OK && status != DP_ERR_CANCELLED) return status;
  DP_TRY(all_cells(w, digest_cell));
  return status;
}

/* ---- between ranks ---- */

/* First message of every rank: all must be about to do the same. */
typedef struct greeting {
  char hash[65], version[15];
  int32_t nmember, ncell, block, spare;
  uint64_t seed;
  double rank_error;
} greeting;

static greeting greet(const work *w) {
  greeting g;
  memset(&g, 0, sizeof g);
  memcpy(g.hash, w->sim->desc.hash,
         strlen(w->sim->desc.hash) < 65 ? strlen(w->sim->desc.hash) : 64);
  memcpy(g.version, dp_version(), strlen(dp_version()) < 15 ? strlen(dp_version()) : 14);
  g.nmember = w->bands->nmember;
  g.ncell = w->bands->ncell;
  g.block = w->bands->block;
  g.seed = w->opts.seed;
  g.rank_error = w->def.rank_error;
  return g;
}

static dp_status rank_left(const work *w, int rank, dp_status status, const char *why) {
  const struct timespec moment = {0, LEAVING_NS};
  if (w->ranks->rank > 0) return DP_ERR_CANCELLED; /* rank 0 says why */
  nanosleep(&moment, NULL);
  if (dp_ctx_cancelled(w->bands->ctx))
    return DP_ERR_CANCELLED; /* all were asked to stop, that one heard it first */
  if (status == DP_OK || status == DP_ERR_CANCELLED) status = DP_ERR_RANK;
  return dpi_fail(w->bands->ctx, status, "rank %d of %d: %s", rank, w->ranks->nrank,
                  why && why[0] ? why : "left before the work was done");
}

/* Has somebody left? Asked now and then by those who are busy: rank 0 of all others, the others of rank 0. */
static dp_status still_there(const work *w) {
  for (int r = 0; w->ranks && r < w->ranks->nrank; r++) {
    size_t size;
    dp_status status = DP_OK;
    const char *why = NULL;
    if (r == w->ranks->rank || (w->ranks->rank > 0 && r > 0)) continue;
    if (w->ranks->poll(w->ranks->user, r, &size, &status, &why) < 0 &&
        (w->ranks->rank > 0 || status != DP_OK))
      return rank_left(w, r, status, why); /* who left well has done its part */
  }
  return DP_OK;
}

/* Wait for a message, patiently: ranks may be more than there are processors. */
static dp_status await(work *w, int from, size_t *size) {
  const dp_ranks *ranks = w->ranks;
  struct timespec nap = {0, NAP_FIRST_NS};
  for (;;) {
    dp_status status = DP_OK;
    const char *why = NULL;
    int there = ranks->poll(ranks->user, from, size, &status, &why);
    if (there < 0) return rank_left(w, from, status, why);
    if (there > 0) break;
    if (dp_ctx_cancelled(w->bands->ctx)) return DP_ERR_CANCELLED;
    if (w->opts.deadline_s > 0 && dpi_clock_s() - w->opened_s > w->opts.deadline_s)
      return DP_ERR_CANCELLED;
    nanosleep(&nap, NULL);
    if (nap.tv_nsec < NAP_MOST_NS) nap.tv_nsec += nap.tv_nsec / 4;
  }
  if (*size > w->message_size) {
    dpi_free(w->bands->ctx, w->message);
    w->message_size = 0;
    w->message = dpi_alloc(w->bands->ctx, *size);
    if (!w->message) return DP_ERR_MEMORY;
    w->message_size = *size;
  }
  return ranks->receive(ranks->user, from, w->message, *size);
}

static dp_status odd_message(const work *w, int from) {
  return dpi_fail(w->bands->ctx, DP_ERR_BUG,
                  "rank %d of %d: a message of another shape than expected", from, w->ranks->nrank);
}

static dp_status meet(work *w) {
  greeting own = greet(w), other;
  if (!w->ranks) return DP_OK;
  if (w->ranks->rank > 0) return w->ranks->send(w->ranks->user, 0, &own, sizeof own);
  for (int r = 1; r < w->ranks->nrank; r++) {
    size_t size;
    DP_TRY(await(w, r, &size));
    if (size != sizeof other) return odd_message(w, r);
    memcpy(&other, w->message, sizeof other);
    if (memcmp(&own, &other, sizeof own) != 0)
      return dpi_fail(w->bands->ctx, DP_ERR_INPUT,
                      "rank %d of %d: has another model, program, arithmetic or question than rank "
                      "0 (hash %.12s, here %.12s)",
                      r, w->ranks->nrank, other.hash, own.hash);
  }
  return DP_OK;
}

/* A message: outcome, moments, pieces. */
static dp_status send_own(work *w) {
  const dp_bands *b = w->bands;
  size_t head = sizeof(outcome) + (size_t)b->ncell * sizeof(dpi_moments), numbers = 0;
  for (int k = 0; k < b->ncell; k++)
    numbers += (size_t)dpi_sketch_piece((int)w->own.moments[k].count, b->sketch[k].eps);
  size_t size = head + numbers * sizeof(double);
  if (size > w->message_size) {
    dpi_free(b->ctx, w->message);
    w->message_size = 0;
    w->message = dpi_alloc(b->ctx, size);
    if (!w->message) return DP_ERR_MEMORY;
    w->message_size = size;
  }
  memcpy(w->message, &w->own.out, sizeof(outcome));
  memcpy(w->message + sizeof(outcome), w->own.moments, head - sizeof(outcome));
  char *p = w->message + head;
  for (int k = 0; k < b->ncell; k++) {
    size_t n =
        (size_t)dpi_sketch_piece((int)w->own.moments[k].count, b->sketch[k].eps) * sizeof(double);
    memcpy(p, w->own.piece + w->own.at[k], n);
    p += n;
  }
  return w->ranks->send(w->ranks->user, 0, w->message, size);
}

static dp_status receive_other(work *w, int from, int block) {
  const dp_bands *b = w->bands;
  size_t head = sizeof(outcome) + (size_t)b->ncell * sizeof(dpi_moments), at = 0, size;
  DP_TRY(await(w, from, &size));
  if (size < head) return odd_message(w, from);
  memcpy(&w->other.out, w->message, sizeof(outcome));
  memcpy(w->other.moments, w->message + sizeof(outcome), head - sizeof(outcome));
  for (int k = 0; k < b->ncell; k++) {
    int64_t count = w->other.moments[k].count;
    if (count < 0 || count > b->block) return odd_message(w, from);
    w->other.at[k] = at;
    at += (size_t)dpi_sketch_piece((int)count, b->sketch[k].eps);
  }
  if (size != head + at * sizeof(double) || w->other.out.block != block)
    return odd_message(w, from);
  w->other.piece = (double *)(void *)(w->message + head);
  w->other.out.reason[REASON - 1] = 0;
  return DP_OK;
}

/* ---- the whole ---- */

/* Rank 0, or alone: blocks in their order, each from whoever has it. */
static dp_status lead(work *w) {
  int nrank = w->ranks ? w->ranks->nrank : 1;
  for (int i = 0; i < w->bands->nblock; i++) {
    if (i % nrank == 0) {
      dp_status status = own_block(w, i);
      if (status == DP_OK || (status == DP_ERR_CANCELLED && w->nfilled)) DP_TRY(add(w, &w->own));
      if (status != DP_OK) return status;
    } else {
      DP_TRY(receive_other(w, i % nrank, i));
      DP_TRY(add(w, &w->other));
    }
  }
  return DP_OK;
}

static dp_status serve(work *w) {
  for (int i = w->ranks->rank; i < w->bands->nblock; i += w->ranks->nrank) {
    DP_TRY(own_block(w, i));
    DP_TRY(send_own(w));
  }
  return DP_OK;
}

static void finish(dp_bands *b) {
  b->desc.rank_error = 0;
  for (int k = 0; k < b->ncell; k++)
    b->desc.rank_error = fmax(b->desc.rank_error, dpi_sketch_error(&b->sketch[k]));
}

dp_status dp_simulate_bands(const dp_sim *sim, int nmember, const dp_source *source,
                            const dp_run_opts *opts, const dp_bands_def *def, dp_bands **out) {
  *out = NULL;
  DP_TRY(dpi_check_opts(sim, opts));
  if (!def || def->cookie != DPI_BANDS_COOKIE || nmember < 1 || !source || !source->fill ||
      opts->ndir)
    return dpi_fail(
        sim->ctx, DP_ERR_USAGE,
        "bands: no members, no source, a definition not from its default, or derivatives");
  if (!(def->rank_error >= 0 && def->rank_error < 0.5))
    return dpi_fail(sim->ctx, DP_ERR_USAGE, "bands: rank error %g, expected 0 to 0.5",
                    def->rank_error);
  dp_bands *b = DPI_NEW(sim->ctx, dp_bands);
  if (!b) return DP_ERR_MEMORY;
  b->ctx = sim->ctx;
  b->nmember = nmember;
  b->desc = (dp_bands_desc){.first_failed = -1, .fail_time = NAN};
  work w = {.sim = sim,
            .source = source,
            .opts = *opts,
            .def = *def,
            .bands = b,
            .ranks = dpi_ctx_ranks(sim->ctx),
            .opened_s = dpi_clock_s()};
  if (w.ranks && w.ranks->nrank < 2) w.ranks = NULL;
  dp_status status = bands_shape(&w);
  if (status == DP_OK) status = work_init(&w);
  if (status == DP_OK) status = meet(&w);
  if (status == DP_OK) status = w.ranks && w.ranks->rank > 0 ? serve(&w) : lead(&w);
  work_release(&w);
  if ((status != DP_OK && status != DP_ERR_CANCELLED) || (w.ranks && w.ranks->rank > 0)) {
    dp_bands_destroy(b);
    return status;
  }
  finish(b);
  *out = b;
  return status;
}

/* ---- asking ---- */

dp_bands_desc dp_bands_describe(const dp_bands *b) {
  dp_bands_desc d = b->desc;
  d.ntime = b->ntime;
  d.noutput = b->noutput;
  d.nmember = b->nmember;
  d.reason = b->reason;
  return d;
}

static int cell_of(const dp_bands *b, int time, int output) {
  bool there = time >= 0 && time < b->ntime && output >= 0 && output < b->noutput;
  return there ? time * b->noutput + output : -1;
}

double dp_bands_quantile(const dp_bands *b, int time, int output, double q) {
  int k = cell_of(b, time, output);
  return k < 0 || !(q >= 0 && q <= 1) ? NAN : dpi_sketch_quantile(&b->sketch[k], q);
}

double dp_bands_mean(const dp_bands *b, int time, int output) {
  int k = cell_of(b, time, output);
  return k < 0 || b->moments[k].count == 0 ? NAN : b->moments[k].mean;
}

double dp_bands_sd(const dp_bands *b, int time, int output) {
  int k = cell_of(b, time, output);
  return k < 0 ? NAN : dpi_moments_sd(&b->moments[k]);
}

int dp_bands_count(const dp_bands *b, int time, int output) {
  int k = cell_of(b, time, output);
  return k < 0 ? 0 : (int)b->moments[k].count;
}
