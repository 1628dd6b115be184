/* run_add.c - floor 5: instants that come while a run is under way: what controllers outside decide, adaptive designs.
 *
 * A member's instants are the caller's list until the first addition; then the run holds a merged list of its own.
 * What was added lies behind all that has been taken, so how far a spoke has come in its timeline (a number of
 * instants) stays true. A spoke's batch was opened on the old list: it is opened anew, and its members moved over as a
 * fork moves them, when the run next advances; once, however many instants came. Saving and forking read the old batch
 * and the new list, which fit.
 */
#include <string.h>

#include "sim/sim_impl.h"

/* ---- lists ---- */

dpi_added *dpi_added_create(dp_ctx *ctx, int nmember) {
  return DPI_NEW_ARRAY(ctx, dpi_added, nmember > 0 ? nmember : 1);
}

void dpi_added_destroy(dp_ctx *ctx, dpi_added *added, int nmember) {
  for (int i = 0; added && i < nmember; i++) dpi_free(ctx, added[i].list);
  dpi_free(ctx, added);
}

dp_status dpi_added_take(dp_ctx *ctx, dpi_added *a, dp_member *m, const dp_instant *list, int n) {
  a->base = m->instant;
  a->nbase = m->ninstant;
  a->list = DPI_NEW_ARRAY(ctx, dp_instant, n > 0 ? n : 1);
  if (!a->list) return DP_ERR_MEMORY;
  a->cap = n > 0 ? n : 1;
  if (n > 0) memcpy(a->list, list, (size_t)n * sizeof *list);
  m->instant = a->list;
  m->ninstant = n;
  return DP_OK;
}

dp_member dpi_added_base(const dp_run *run, int i) {
  dp_member m = run->member[i];
  if (!run->added || !run->added[i].list) return m;
  m.instant = run->added[i].base;
  m.ninstant = run->added[i].nbase;
  return m;
}

/* ---- adding ---- */

/* The run's own list of members, and of this one's instants with room for n more. */
static dp_status own_list(dp_run *run, int member, int n) {
  dp_ctx *ctx = run->ctx;
  if (!run->added) run->added = dpi_added_create(ctx, run->nmember);
  if (!run->added) return DP_ERR_MEMORY;
  if (!run->own_member) {
    run->own_member = DPI_NEW_ARRAY(ctx, dp_member, run->nmember);
    if (!run->own_member) return DP_ERR_MEMORY;
    memcpy(run->own_member, run->member, (size_t)run->nmember * sizeof *run->member);
    run->member = run->own_member;
  }
  dpi_added *a = &run->added[member];
  dp_member *m = &run->own_member[member];
  if (!a->list) DP_TRY(dpi_added_take(ctx, a, m, m->instant, m->ninstant));
  DP_TRY(dpi_grow(ctx, (void **)&a->list, &a->cap, m->ninstant + n, sizeof *a->list));
  m->instant = a->list;
  return DP_OK;
}

/* At the run's present time all is done: what comes there now comes behind it. */
static int32_t order_at(const dp_run *run, const dp_member *m, int ninstant, const dp_instant *s) {
  if (!run->started || s->time != run->time) return s->order;
  int64_t last = (int64_t)s->order - 1;
  for (int k = 0; k < ninstant; k++)
    if (m->instant[k].time == s->time && m->instant[k].order > last) last = m->instant[k].order;
  for (int k = 0; k < m->nout; k++)
    if (m->out[k].time == s->time && m->out[k].order > last) last = m->out[k].order;
  return last < INT32_MAX ? (int32_t)(last + 1) : INT32_MAX;
}

/* Behind all that are no later. There is room. */
static void insert(dp_member *m, dp_instant *list, const dp_instant *s) {
  int at = m->ninstant++;
  for (; at > 0 && (list[at - 1].time > s->time || (list[at - 1].time == s->time && list[at - 1].order > s->order));
       at--)
    list[at] = list[at - 1];
  list[at] = *s;
}

dp_status dp_run_add(dp_run *run, int member, const dp_instant *instant, int n) {
  DP_TRY(dpi_run_level(run, "dp_run_add"));
  if (member < 0 || member >= run->nmember)
    return dpi_fail(run->ctx, DP_ERR_INPUT, "dp_run_add: member %d, expected 0 to %d", member, run->nmember - 1);
  if (n < 0 || (n && !instant)) return dpi_fail(run->ctx, DP_ERR_USAGE, "dp_run_add: %d instants in no list", n);
  if (dpi_replay_needed(run->sim))
    return dpi_fail(run->ctx, DP_ERR_UNSUPPORTED, "dp_run_add: spoke '%s' does not offer DP_CAP_SAVE with this model",
                    run->sim->ops->name);
  const dp_time least = run->started ? run->time : run->member[member].start;
  DP_TRY(dpi_check_added(run->sim, member, instant, n, run->opts.ndir, least));
  if (n == 0) return DP_OK;
  DP_TRY(own_list(run, member, n));
  dp_member *m = &run->own_member[member];
  const int before = m->ninstant;
  int32_t floor = INT32_MIN; /* those at the present time keep their order among each other */
  for (int k = 0; k < n; k++) {
    dp_instant s = instant[k];
    if (run->started && s.time == run->time) {
      if (floor == INT32_MIN) floor = order_at(run, m, before, &s);
      if (s.order < floor) s.order = floor;
    }
    insert(m, run->added[member].list, &s);
  }
  dpi_run_batch(run, member)->stale = true;
  return DP_OK;
}

/* ---- opening a batch anew ---- */

static dp_status move_member(const dp_run *run, dpi_batch *from, dpi_batch *to, int i) {
  const dpi_spoke_ops *ops = run->sim->ops;
  if (ops->fork) return ops->fork(from, i, to, i);
  dpi_str bytes;
  dpi_str_init(&bytes, run->ctx);
  dp_status status = ops->save(from, i, &bytes);
  if (status == DP_OK && bytes.failed) status = DP_ERR_MEMORY;
  if (status == DP_OK) status = ops->load(to, i, dpi_str_text(&bytes), bytes.len);
  dpi_str_release(&bytes);
  return status;
}

/* What a spoke's open and the moving may write: where members stand, functionals in progress. */
static size_t functionals(const dp_run *run, const dpi_sim_batch *b) {
  size_t n = 0;
  for (int i = 0; i < b->n; i++) n += (size_t)run->member[b->first + i].nfunctional;
  return n;
}

static void keep(const dp_run *run, const dpi_sim_batch *b, double *f, bool back) {
  for (int i = 0; i < b->n; i++) {
    const size_t n = (size_t)run->member[b->first + i].nfunctional;
    double *own = run->out[b->first + i].functional;
    if (n) memcpy(back ? own : f, back ? f : own, n * sizeof *f);
    f += n;
  }
}

static dp_status renew(dp_run *run, dpi_sim_batch *b) {
  dpi_member_out *out = run->out + b->first;
  dpi_member_out *was = DPI_NEW_ARRAY(run->ctx, dpi_member_out, b->n);
  double *functional = DPI_NEW_ARRAY(run->ctx, double, functionals(run, b) + 1);
  dpi_sim_batch fresh = *b;
  dp_status status = was && functional ? DP_OK : DP_ERR_MEMORY;
  fresh.spoke = NULL;
  if (status == DP_OK) {
    memcpy(was, out, (size_t)b->n * sizeof *was);
    keep(run, b, functional, false);
    status = dpi_batch_reopen(run, &fresh);
    memcpy(out, was, (size_t)b->n * sizeof *was);
    keep(run, b, functional, true);
  }
  for (int i = 0; i < b->n && status == DP_OK; i++)
    if (out[i].status == DP_MEMBER_OK) status = move_member(run, b->spoke, fresh.spoke, i);
  if (status == DP_OK) {
    dpi_batch *old = b->spoke;
    b->spoke = fresh.spoke;
    b->stale = false;
    run->sim->ops->close(old);
  } else if (fresh.spoke) {
    run->sim->ops->close(fresh.spoke);
  }
  dpi_free(run->ctx, was);
  dpi_free(run->ctx, functional);
  return status;
}

dp_status dpi_run_renew(dp_run *run) {
  dp_status status = DP_OK;
  if (!run->added) return DP_OK;
  const uint64_t fp = dpi_fp_enter();
  for (int b = 0; b < run->nbatch && status == DP_OK; b++)
    if (run->batch[b].stale) status = renew(run, &run->batch[b]);
  dpi_fp_leave(fp);
  return status;
}
