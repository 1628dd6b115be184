/* run.c - floor 5: a batch of members going through time.
 *
 * 1. Members are split into batches of a size that the spoke and the number of members give; never the threads.
 * 2. What a batch does depends on its own members and the times of advance; batches run in any order.
 * 3. A row given to a sink is never given again; functionals come once, with the member's last rows.
 * 4. A stopped advance (cancelled, deadline) leaves some batches behind; the next advance first brings those to the
 *    same place, so that the times at which members stop on their way do not depend on the interruption.
 *
 * States: opened -> level at a time <-> interrupted (half-way) ; any -> broken (a batch failed as a whole: out of
 * memory).
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "sim/sim_impl.h"

double dpi_run_clock(const dp_run_opts *opts) { return opts->deadline_s > 0 ? dpi_clock_s() : 0.0; }

bool dpi_run_stop(const void *user) {
  const dp_run *run = user;
  if (dp_ctx_cancelled(run->ctx)) return true;
  return run->opts.deadline_s > 0 && dpi_clock_s() - run->opened_s >= run->opts.deadline_s;
}

/* ---- rows ---- */

size_t dpi_rows_size(const dp_sim *sim, const dp_member *m, int ndir) {
  size_t column = (size_t)sim->nrow_spoke;
  if (sim->compose) column += (size_t)sim->desc.noutput;
  return (size_t)m->nout * column * (size_t)(1 + ndir) + (size_t)m->nfunctional;
}

double *dpi_rows_place(const dp_sim *sim, const dp_member *m, int ndir, dpi_member_out *out,
                       dpi_rows *rows, double *p) {
  size_t nout = (size_t)m->nout, total = dpi_rows_size(sim, m, ndir);
  for (size_t k = 0; k < total; k++) p[k] = NAN;
  double *end = p + total;
  size_t n = nout * (size_t)sim->nrow_spoke, nd = n * (size_t)ndir;
  out->value = p;
  out->dvalue = ndir ? p + n : NULL;
  p += n + nd;
  rows->value = out->value;
  rows->dvalue = out->dvalue;
  if (sim->compose) {
    n = nout * (size_t)sim->desc.noutput;
    rows->value = p;
    rows->dvalue = ndir ? p + n : NULL;
    p += n + n * (size_t)ndir;
  }
  out->functional = p;
  return end;
}

/* ---- one batch ---- */

dp_status dpi_batch_open(dp_run *run, dpi_sim_batch *b) {
  const dp_sim *sim = run->sim;
  if (sim->compose) {
    b->work = dpi_alloc_array(run->ctx, dpi_compose_work(sim->compose), sizeof(double));
    if (!b->work) return DP_ERR_MEMORY;
    dpi_compose_init(sim->compose, b->work);
  }
  return dpi_batch_reopen(run, b);
}

dp_status dpi_batch_reopen(dp_run *run, dpi_sim_batch *b) {
  const dp_sim *sim = run->sim;
  dpi_batch_def def = {.member = run->member + b->first,
                       .n = b->n,
                       .ndir = run->opts.ndir,
                       .seed = run->opts.seed,
                       .out = run->out + b->first,
                       .end = run->end && sim->spoke_desc->own_end ? run->end + b->first : NULL,
                       .stop = dpi_run_stop,
                       .stop_user = run};
  uint64_t fp = dpi_fp_enter();
  dp_status status = sim->ops->open(sim->spoke, &def, &b->spoke);
  dpi_fp_leave(fp);
  return status;
}

void dpi_batch_close(dp_run *run, dpi_sim_batch *b) {
  if (b->spoke) run->sim->ops->close(b->spoke);
  dpi_free(run->ctx, b->work);
  b->spoke = NULL;
  b->work = NULL;
}

/* Nothing a failed member wrote beyond its last good row may be seen, and a good member must have passed all rows. */
static dp_status settle_member(const dp_run *run, int i, dp_time to) {
  dpi_member_out *out = &run->out[i];
  const dp_member *m = &run->member[i];
  int due = dpi_member_rows(m, to);
  if (out->status == DP_MEMBER_OK && out->ndone == due) return DP_OK;
  if (out->status == DP_MEMBER_OK || out->ndone > due || out->ndone < 0) {
    return dpi_fail(run->ctx, DP_ERR_BUG,
                    "spoke '%s': member %d passed %d output times up to %.9g, expected %d",
                    run->sim->ops->name, i, out->ndone, (double)to / DP_TICKS, due);
  }
  size_t width = (size_t)run->sim->nrow_spoke, nd = (size_t)run->opts.ndir;
  for (size_t k = (size_t)out->ndone * width; k < (size_t)m->nout * width; k++) out->value[k] = NAN;
  if (!nd) return DP_OK;
  for (size_t k = (size_t)out->ndone * width * nd; k < (size_t)m->nout * width * nd; k++)
    out->dvalue[k] = NAN;
  return DP_OK;
}

dp_status dpi_batch_advance(dp_run *run, dpi_sim_batch *b, dp_time to) {
  const dp_sim *sim = run->sim;
  uint64_t fp = dpi_fp_enter();
  dp_status status = sim->ops->advance(b->spoke, to);
  for (int i = b->first; i < b->first + b->n && status == DP_OK; i++) {
    status = settle_member(run, i, to);
    if (status != DP_OK || !sim->compose) continue;
    dpi_compose_rows(sim->compose, &run->member[i], run->opts.ndir, &run->out[i], &run->rows[i],
                     b->work);
  }
  dpi_fp_leave(fp);
  if (status != DP_OK) return status;
  b->time = to;
  b->started = true;
  return DP_OK;
}

/* ---- open ---- */

#define BATCHES_LEAST 16 /* so that threads end at about the same time */

int dpi_run_block(const dp_sim *sim, int nmember) {
  const dpi_spoke_desc *d = sim->spoke_desc;
  int block = d->block;
  while (block <= d->block_most / 2 && nmember / BATCHES_LEAST >= 2 * block) block *= 2;
  return block;
}

static dp_status make_batches(dp_run *run) {
  int block = run->block = dpi_run_block(run->sim, run->nmember);
  run->nbatch = (run->nmember + block - 1) / block;
  run->batch = DPI_NEW_ARRAY(run->ctx, dpi_sim_batch, run->nbatch);
  if (!run->batch) return DP_ERR_MEMORY;
  for (int b = 0; b < run->nbatch; b++) {
    run->batch[b].first = b * block;
    run->batch[b].n = block < run->nmember - b * block ? block : run->nmember - b * block;
  }
  return DP_OK;
}

/* One block: out, rows, then every member's numbers. */
static dp_status make_store(dp_run *run) {
  size_t n = (size_t)run->nmember, number = 0;
  for (int i = 0; i < run->nmember; i++)
    number += dpi_rows_size(run->sim, &run->member[i], run->opts.ndir);
  size_t head = n * (sizeof *run->out + sizeof *run->rows);
  if (number > (SIZE_MAX / 2 - head) / sizeof(double)) {
    return dpi_fail(run->ctx, DP_ERR_MEMORY, "run: %zu numbers of output do not fit", number);
  }
  char *p = dpi_alloc(run->ctx, head + number * sizeof(double));
  if (!p) return DP_ERR_MEMORY;
  run->store = p;
  run->out = (dpi_member_out *)p;
  run->rows = (dpi_rows *)(p + n * sizeof *run->out);
  double *next = (double *)(p + head);
  for (int i = 0; i < run->nmember; i++) {
    next = dpi_rows_place(run->sim, &run->member[i], run->opts.ndir, &run->out[i], &run->rows[i],
                          next);
  }
  return DP_OK;
}
_Static_assert(sizeof(dpi_member_out) % 8 == 0 && sizeof(dpi_rows) % 8 == 0, "numbers follow them");

static dp_status take_members(dp_run *run, const dp_member *member, bool own) {
  run->member = member;
  if (!own) return DP_OK;
  run->own_member = DPI_NEW_ARRAY(run->ctx, dp_member, run->nmember);
  if (!run->own_member) return DP_ERR_MEMORY;
  if (run->nmember) memcpy(run->own_member, member, (size_t)run->nmember * sizeof *member);
  run->member = run->own_member;
  return DP_OK;
}

static dp_status run_build(dp_run *run, const dp_member *member, bool own) {
  DP_TRY(dpi_instance_take(run->sim));
  run->counted = true;
  DP_TRY(take_members(run, member, own));
  DP_TRY(make_batches(run));
  DP_TRY(make_store(run));
  for (int b = 0; b < run->nbatch; b++) DP_TRY(dpi_batch_open(run, &run->batch[b]));
  return DP_OK;
}

dp_status dpi_run_make(const dp_sim *sim, const dp_member *member, int n, const dp_run_opts *opts,
                       bool own_members, dp_run **out) {
  dp_run *run = DPI_NEW(sim->ctx, dp_run);
  if (!run) return DP_ERR_MEMORY;
  run->sim = sim;
  run->ctx = sim->ctx;
  run->opts = *opts;
  run->nmember = n;
  run->opened_s = dpi_run_clock(opts);
  dp_status status = run_build(run, member, own_members);
  if (status != DP_OK) {
    dp_run_close(run);
    return status;
  }
  *out = run;
  return DP_OK;
}

dp_status dp_run_open(const dp_sim *sim, const dp_member *member, int nmember,
                      const dp_run_opts *opts, dp_run **out) {
  *out = NULL;
  DP_TRY(dpi_check_opts(sim, opts));
  DP_TRY(dpi_check_members(sim, member, nmember, opts));
  return dpi_run_make(sim, member, nmember, opts, false, out);
}

void dp_run_close(dp_run *run) {
  if (!run) return;
  for (int b = 0; run->batch && b < run->nbatch; b++) dpi_batch_close(run, &run->batch[b]);
  if (run->counted) dpi_instance_give(run->sim);
  dpi_replay_release(run);
  dpi_added_destroy(run->ctx, run->added, run->nmember);
  dpi_free(run->ctx, run->stream0);
  dpi_free(run->ctx, run->batch);
  dpi_free(run->ctx, run->store);
  dpi_free(run->ctx, run->own_member);
  dpi_free(run->ctx, run);
}

dpi_sim_batch *dpi_run_batch(const dp_run *run, int member) {
  return &run->batch[member / run->block];
}

/* ---- advance ---- */

typedef struct advance {
  dp_run *run;
  dp_time to;
  pthread_t caller;
  atomic_int ndone;
} advance;

static bool behind(const dpi_sim_batch *b, dp_time to) { return !b->started || b->time < to; }

/* One batch, on whatever thread; progress is told only from the caller's. */
static dp_status advance_one(void *user, int i, int worker) {
  (void)worker;
  advance *a = user;
  dp_run *run = a->run;
  if (behind(&run->batch[i], a->to)) {
    if (dpi_run_stop(run)) {
      return dpi_fail(run->ctx, DP_ERR_CANCELLED,
                      "run: stopped on request or at its deadline on the way to %.9g",
                      (double)a->to / DP_TICKS);
    }
    DP_TRY(dpi_batch_advance(run, &run->batch[i], a->to));
  }
  int ndone = atomic_fetch_add(&a->ndone, 1) + 1;
  if (run->opts.progress && !run->quiet && pthread_equal(pthread_self(), a->caller)) {
    run->opts.progress(run->opts.progress_user, (double)ndone / run->nbatch);
  }
  return DP_OK;
}

/* Serial where the spoke is not safe on threads; the same batches in any case. */
static dp_status advance_all(dp_run *run, advance *a) {
  if (run->sim->spoke_desc->caps & DP_CAP_THREADS) {
    return dpi_parallel_for(run->ctx, run->nbatch, advance_one, a);
  }
  for (int b = 0; b < run->nbatch; b++) DP_TRY(advance_one(a, b, 0));
  return DP_OK;
}

dp_status dpi_run_go(dp_run *run, dp_time to) {
  advance a = {.run = run, .to = to, .caller = pthread_self()};
  atomic_init(&a.ndone, 0);
  dp_status status = advance_all(run, &a);
  if (status == DP_ERR_CANCELLED) {
    run->interrupted = true;
    run->pending = to;
    return status;
  }
  if (status != DP_OK) {
    run->broken = status;
    return status;
  }
  run->interrupted = false;
  run->started = true;
  run->time = to;
  if (run->opts.progress && !run->quiet && run->nbatch)
    run->opts.progress(run->opts.progress_user, 1.0);
  return DP_OK;
}

/* Go on and note it, for runs that are replayed. */
static dp_status go_logged(dp_run *run, dp_time to) {
  DP_TRY(dpi_run_go(run, to));
  if (!dpi_replay_needed(run->sim)) return DP_OK;
  dp_status status = dpi_replay_log(run, DPI_LOG_ADVANCE, 0, to, NULL);
  if (status != DP_OK) run->broken = status; /* without its log it could not be saved truly */
  return status;
}

static dp_status check_broken(const dp_run *run, const char *call) {
  if (run->broken == DP_OK) return DP_OK;
  return dpi_fail(run->ctx, DP_ERR_USAGE,
                  "%s: the run has failed before (%s) and can only be emitted and closed", call,
                  dp_status_name(run->broken));
}

dp_status dpi_run_level(const dp_run *run, const char *call) {
  DP_TRY(check_broken(run, call));
  if (!run->interrupted) return DP_OK;
  return dpi_fail(run->ctx, DP_ERR_USAGE,
                  "%s: an advance to %.9g was stopped half-way: advance again first", call,
                  (double)run->pending / DP_TICKS);
}

dp_status dp_run_advance(dp_run *run, dp_time to) {
  DP_TRY(check_broken(run, "dp_run_advance"));
  dp_time at = run->interrupted ? run->pending : run->time;
  if ((run->started || run->interrupted) && to < at) {
    return dpi_fail(run->ctx, DP_ERR_USAGE, "dp_run_advance: to %.9g, but the run is at %.9g",
                    (double)to / DP_TICKS, (double)at / DP_TICKS);
  }
  DP_TRY(dpi_run_renew(run));
  if (run->interrupted) DP_TRY(go_logged(run, run->pending));
  if (run->started && to == run->time) return DP_OK;
  return go_logged(run, to);
}

/* ---- emit ---- */

static bool windows_passed(const dp_member *m, dp_time t) {
  for (int k = 0; k < m->nfunctional; k++) {
    if (m->functional[k].to > t) return false;
  }
  return true;
}

/* What member i gives now; rows of a failed member that lie behind the run's time come masked. */
static dp_member_result member_result(const dp_run *run, const dpi_sim_batch *b, int i) {
  const dp_member *m = &run->member[i];
  const dpi_member_out *out = &run->out[i];
  const dpi_rows *rows = &run->rows[i];
  size_t at = (size_t)rows->nemitted * (size_t)run->sim->desc.noutput;
  bool failed = out->status != DP_MEMBER_OK;
  int due = b->started ? dpi_member_rows(m, b->time) : 0;
  bool last = b->started && due == m->nout && windows_passed(m, b->time);
  return (dp_member_result){
      .member = i,
      .status = out->status,
      .fail_time = failed ? out->fail_time : NAN,
      .reason = failed ? out->reason : "",
      .out_first = rows->nemitted,
      .nout = due > rows->nemitted ? due - rows->nemitted : 0,
      .value = rows->value + at,
      .dvalue = rows->dvalue ? rows->dvalue + at * (size_t)run->opts.ndir : NULL,
      .nfunctional = last && !rows->final ? m->nfunctional : 0,
      .functional = out->functional};
}

#define EMIT_MOST 256 /* results handed over at once */

dp_status dp_run_emit(dp_run *run, dp_sink_fn sink, void *user) {
  dp_member_result block[EMIT_MOST];
  for (int first = 0; first < run->nmember; first += EMIT_MOST) {
    int n = run->nmember - first < EMIT_MOST ? run->nmember - first : EMIT_MOST;
    for (int k = 0; k < n; k++)
      block[k] = member_result(run, dpi_run_batch(run, first + k), first + k);
    DP_TRY(sink(user, block, n));
    /* only what the sink took counts as given */
    for (int k = 0; k < n; k++) {
      dpi_rows *rows = &run->rows[first + k];
      rows->nemitted = block[k].out_first + block[k].nout;
      if (block[k].nfunctional) rows->final = true;
    }
  }
  return DP_OK;
}
