/* run_fork.c - floor 5: a new run that goes on from members of another: resampling, what-if, trees of plans.
 *
 * The child gives outputs of its own future only: what the parent has produced up to the fork stays the parent's.
 * Functionals whose windows began before the fork cover the whole window, past and future.
 */
#include <string.h>

#include "sim/sim_impl.h"

static dp_status check_index(const dp_run *run, const int *index, int n) {
  DP_TRY(dpi_run_level(run, "dp_run_fork"));
  if (n < 0 || (n && !index))
    return dpi_fail(run->ctx, DP_ERR_USAGE, "dp_run_fork: %d members in no list", n);
  for (int k = 0; k < n; k++) {
    if (index[k] >= 0 && index[k] < run->nmember) continue;
    return dpi_fail(run->ctx, DP_ERR_INPUT, "dp_run_fork: index[%d] is %d, expected 0 to %d", k,
                    index[k], run->nmember - 1);
  }
  return DP_OK;
}

/* The members of the child in the streams they start with, which a replay needs and a native fork replaces. */
static dp_member *child_members(const dp_run *run, const int *index, int n,
                                const uint64_t *streams) {
  dp_member *member = DPI_NEW_ARRAY(run->ctx, dp_member, n);
  for (int k = 0; member && k < n; k++) {
    member[k] = run->member[index[k]];
    if (dpi_replay_needed(run->sim)) {
      if (run->stream0) member[k].stream = run->stream0[index[k]];
    } else if (streams) {
      member[k].stream = streams[k];
    }
  }
  return member;
}

/* Instants that were added to the parent's members are the child's own; NULL in *out: none were. */
static dp_status child_added(const dp_run *run, const int *index, int n, dp_member *member, dpi_added **out) {
  *out = NULL;
  if (!run->added) return DP_OK;
  dpi_added *added = dpi_added_create(run->ctx, n);
  dp_status status = added ? DP_OK : DP_ERR_MEMORY;
  for (int k = 0; k < n && status == DP_OK; k++) {
    const dpi_added *from = &run->added[index[k]];
    if (!from->list) continue;
    status = dpi_added_take(run->ctx, &added[k], &member[k], from->list, run->member[index[k]].ninstant);
    added[k].base = from->base;
    added[k].nbase = from->nbase;
  }
  if (status != DP_OK) {
    dpi_added_destroy(run->ctx, added, n);
    return status;
  }
  *out = added;
  return DP_OK;
}

/* ---- by the spoke ---- */

/* Where the parent's member stands, as far as the sim knows it. */
static void copy_out(const dp_run *from, int i, dp_run *to, int k) {
  const dpi_member_out *a = &from->out[i];
  dpi_member_out *b = &to->out[k];
  const dp_member *m = &from->member[i];
  b->ndone = a->ndone;
  b->status = a->status;
  b->fail_time = a->fail_time;
  memcpy(b->reason, a->reason, sizeof b->reason);
  if (m->nfunctional) memcpy(b->functional, a->functional, (size_t)m->nfunctional * sizeof(double));
  to->rows[k].ncomposed = a->ndone;
}

/* One member's state from batch to batch: the spoke's fork, or its save and load. */
static dp_status move_state(const dp_run *from, int i, dp_run *to, int k) {
  const dpi_spoke_ops *ops = from->sim->ops;
  const dpi_sim_batch *a = dpi_run_batch(from, i);
  dpi_sim_batch *b = dpi_run_batch(to, k);
  if (ops->fork) return ops->fork(a->spoke, i - a->first, b->spoke, k - b->first);
  dpi_str bytes;
  dpi_str_init(&bytes, from->ctx);
  dp_status status = ops->save(a->spoke, i - a->first, &bytes);
  if (status == DP_OK && bytes.failed) status = DP_ERR_MEMORY;
  if (status == DP_OK) status = ops->load(b->spoke, k - b->first, dpi_str_text(&bytes), bytes.len);
  dpi_str_release(&bytes);
  return status;
}

static dp_status fork_native(const dp_run *from, const int *index, dp_run *to) {
  dp_status status = DP_OK;
  uint64_t fp = dpi_fp_enter();
  for (int k = 0; k < to->nmember && status == DP_OK; k++) {
    copy_out(from, index[k], to, k);
    if (to->out[k].status == DP_MEMBER_OK) status = move_state(from, index[k], to, k);
  }
  dpi_fp_leave(fp);
  to->started = from->started;
  to->time = from->time;
  for (int b = 0; b < to->nbatch; b++) {
    to->batch[b].started = from->started;
    to->batch[b].time = from->time;
  }
  return status;
}

/* ---- by replay ---- */

static dp_status fork_replay(const dp_run *from, const int *index, const uint64_t *streams,
                             dp_run *to) {
  to->stream0 = DPI_NEW_ARRAY(to->ctx, uint64_t, to->nmember);
  if (!to->stream0) return DP_ERR_MEMORY;
  for (int k = 0; k < to->nmember; k++) to->stream0[k] = to->member[k].stream;
  DP_TRY(dpi_replay_fork(from, index, to));
  for (int k = 0; streams && k < to->nmember; k++) {
    DP_TRY(dpi_replay_log(to, DPI_LOG_STREAM, k, (int64_t)streams[k], NULL));
  }
  return dpi_replay_go(to);
}

/* The past was the parent's to emit. */
static void forget_past(dp_run *run) {
  for (int k = 0; run->started && k < run->nmember; k++) {
    run->rows[k].nemitted = dpi_member_rows(&run->member[k], run->time);
  }
}

dp_status dp_run_fork(const dp_run *run, const int *index, int n, const uint64_t *streams,
                      dp_run **out) {
  *out = NULL;
  DP_TRY(check_index(run, index, n));
  dp_member *member = child_members(run, index, n, streams);
  if (!member) return DP_ERR_MEMORY;
  dp_run *child = NULL;
  dpi_added *added = NULL;
  dp_status status = child_added(run, index, n, member, &added);
  if (status == DP_OK) status = dpi_run_make(run->sim, member, n, &run->opts, true, &child);
  dpi_free(run->ctx, member);
  if (status != DP_OK) {
    dpi_added_destroy(run->ctx, added, n);
    return status;
  }
  child->added = added;
  bool replay = dpi_replay_needed(run->sim);
  status = replay ? fork_replay(run, index, streams, child) : fork_native(run, index, child);
  if (status != DP_OK) {
    dp_run_close(child);
    return status;
  }
  forget_past(child);
  *out = child;
  return DP_OK;
}
