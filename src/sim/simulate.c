/* simulate.c - floor 5: open, advance to the end, emit, close in one call; the inner loop of fitting.
 *
 * 1. Each member goes to its own end (last output time or window) and no further, so that what it gives does not depend
 *    on how long its neighbours run: a batch holds consecutive members, of one end unless the spoke heeds each one's
 *    own.
 * 2. A batch is opened, advanced and closed by one worker at once; only results outlive it.
 * 3. A fused spoke writes into the result's arrays. A few members cost two allocations here (the result, the spoke's
 *    batch), no hash and no thread.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "sim/sim_impl.h"

/* ---- the result ---- */

typedef struct result_own {
  dp_result pub; /* first: what the caller sees */
  size_t size;   /* of the block */
  char *text;    /* owned: reasons of failed members, NULL when there were none yet */
  size_t text_size;
} result_own;

typedef struct extent {
  size_t rows, functionals;
} extent;

static extent measure(const dp_member *member, int n) {
  extent e = {0};
  for (int i = 0; i < n; i++) {
    e.rows += (size_t)member[i].nout;
    e.functionals += (size_t)member[i].nfunctional;
  }
  return e;
}

static size_t round16(size_t size) { return (size + 15) & ~(size_t)15; }

/* Room of this size for a result, in what *out is if that is large enough; *out is a result or NULL in any case. */
static dp_status result_room(dp_ctx *ctx, size_t size, result_own **out) {
  result_own *own = *out;
  if (own && own->size >= size) return DP_OK;
  result_own old = own ? *own : (result_own){0};
  dpi_free(ctx, own);
  if (own) size += size / 4; /* the third is not larger again by a row */
  *out = own = dpi_realloc(ctx, NULL, size); /* not cleared: all of it is written, or masked when a member has failed */
  if (!own) {
    dpi_free(ctx, old.text);
    return DP_ERR_MEMORY;
  }
  *own = (result_own){.pub.ctx = ctx, .size = size, .text = old.text, .text_size = old.text_size};
  return DP_OK;
}

/* One block: struct, value_at, functional_at, reason, fail_time, status, value, dvalue, functional. *out: NULL, or a
 * result whose block is used again where it is large enough. */
static dp_status result_create(const dp_sim *sim, const dp_member *member, int n, int ndir,
                               result_own **out) {
  extent e = measure(member, n);
  size_t count = (size_t)n, width = (size_t)sim->desc.noutput, nd = (size_t)ndir;
  size_t at_index = round16(sizeof(result_own));
  size_t at_reason = at_index + 2 * (count + 1) * sizeof(size_t);
  size_t at_time = at_reason + count * sizeof(char *);
  size_t at_status = at_time + count * sizeof(double);
  size_t at_value = round16(at_status + count);
  size_t cell = width * (1 + nd) * sizeof(double);
  size_t tail = e.functionals * sizeof(double);
  if (cell && e.rows > (SIZE_MAX / 2 - at_value - tail) / cell) {
    return dpi_fail(sim->ctx, DP_ERR_MEMORY, "dp_simulate: %zu rows of output do not fit", e.rows);
  }
  DP_TRY(result_room(sim->ctx, at_value + e.rows * cell + tail, out));
  char *p = (char *)*out;
  dp_result *r = &(*out)->pub;
  *r = (dp_result){.ctx = sim->ctx, .nmember = n, .noutput = sim->desc.noutput, .ndir = ndir};
  r->value_at = (size_t *)(p + at_index);
  r->functional_at = r->value_at + count + 1;
  r->reason = (const char **)(p + at_reason);
  r->fail_time = (double *)(p + at_time);
  r->status = (uint8_t *)(p + at_status);
  r->value = (double *)(p + at_value);
  r->dvalue = ndir ? r->value + e.rows * width : NULL;
  r->functional = r->value + e.rows * width * (1 + nd);
  size_t rows = e.rows * width * (1 + nd), numbers = rows + e.functionals;
  /* rows that a spoke writes itself are written once: what a member could not give is masked when it has failed */
  for (size_t k = sim->compose ? 0 : rows; k < numbers; k++) r->value[k] = NAN;
  r->value_at[0] = r->functional_at[0] = 0;
  for (int i = 0; i < n; i++) {
    r->value_at[i + 1] = r->value_at[i] + (size_t)member[i].nout;
    r->functional_at[i + 1] = r->functional_at[i] + (size_t)member[i].nfunctional;
  }
  return DP_OK;
}

void dp_result_destroy(dp_result *result) {
  if (!result) return;
  dpi_free(result->ctx, ((result_own *)result)->text);
  dpi_free(result->ctx, result);
}

#define TEXT_LEAST 4096 /* bytes */

/* Status, time and reason of every member; reasons are copied, since the batches are gone. */
static dp_status result_outcomes(result_own *own, const dpi_member_out *out) {
  dp_result *r = &own->pub;
  size_t size = 0;
  for (int i = 0; i < r->nmember; i++) {
    bool failed = out[i].status != DP_MEMBER_OK;
    r->status[i] = (uint8_t)out[i].status;
    r->fail_time[i] = failed ? out[i].fail_time : NAN;
    r->reason[i] = "";
    r->nfailed += failed;
    if (failed) size += strlen(out[i].reason) + 1;
  }
  if (size > own->text_size) {
    dpi_free(r->ctx, own->text);
    own->text_size = 0;
    size = 2 * size > TEXT_LEAST ? 2 * size : TEXT_LEAST; /* the next part's may be longer */
    own->text = dpi_alloc(r->ctx, size);
    if (!own->text) return DP_ERR_MEMORY;
    own->text_size = size;
  }
  char *p = own->text;
  for (int i = 0; i < r->nmember; i++) {
    if (out[i].status == DP_MEMBER_OK) continue;
    size_t n = strlen(out[i].reason) + 1;
    memcpy(p, out[i].reason, n);
    r->reason[i] = p;
    p += n;
  }
  return DP_OK;
}

/* ---- the work ---- */

typedef struct job {
  dp_run run; /* without a store of its own */
  dp_result *result;
  pthread_t caller;
  int nthread; /* that share the batches */
  atomic_int ndone;
} job;

/* Where the spoke writes and where outputs go. Composed outputs need room for the signals in between, owned by
 * *signal. */
static dp_status place(job *j, const dpi_sim_batch *b, double **signal) {
  const dp_sim *sim = j->run.sim;
  dp_result *r = j->result;
  size_t width = (size_t)r->noutput, ndir = (size_t)r->ndir, nsignal = (size_t)sim->nrow_spoke;
  size_t rows = r->value_at[b->first + b->n] - r->value_at[b->first], first = r->value_at[b->first];
  *signal = NULL;
  if (sim->compose) {
    *signal = dpi_alloc_array(sim->ctx, rows * nsignal * (1 + ndir), sizeof(double));
    if (!*signal) return DP_ERR_MEMORY;
  }
  for (int i = b->first; i < b->first + b->n; i++) {
    size_t at = r->value_at[i];
    dpi_member_out *out = &j->run.out[i];
    dpi_rows *row = &j->run.rows[i];
    row->value = r->value + at * width;
    row->dvalue = ndir ? r->dvalue + at * width * ndir : NULL;
    out->value = *signal ? *signal + (at - first) * nsignal : row->value;
    out->dvalue = !ndir     ? NULL
                  : *signal ? *signal + (rows + (at - first) * ndir) * nsignal
                            : row->dvalue;
    out->functional = r->functional + r->functional_at[i];
  }
  return DP_OK;
}

static dp_status simulate_batch(job *j, dpi_sim_batch *b) {
  dp_run *run = &j->run;
  double *signal = NULL;
  dp_status status = place(j, b, &signal);
  if (status == DP_OK) status = dpi_batch_open(run, b);
  if (status == DP_OK) status = dpi_batch_advance(run, b, b->time);
  dpi_batch_close(run, b);
  dpi_free(run->ctx, signal);
  return status;
}

static dp_status simulate_one(void *user, int i, int worker) {
  (void)worker;
  job *j = user;
  if (dpi_run_stop(&j->run)) {
    return dpi_fail(j->run.ctx, DP_ERR_CANCELLED,
                    "dp_simulate: stopped on request or at its deadline");
  }
  DP_TRY(simulate_batch(j, &j->run.batch[i]));
  int ndone = atomic_fetch_add(&j->ndone, 1) + 1;
  if (j->run.opts.progress && pthread_equal(pthread_self(), j->caller)) {
    j->run.opts.progress(j->run.opts.progress_user, (double)ndone / j->run.nbatch);
  }
  return DP_OK;
}

#define BATCH_LEAST 32 /* members */

int dpi_batch_length(int nthread, int block, int nleft) {
  const int share = nleft / (2 * nthread);
  const int least = block < BATCH_LEAST ? block : BATCH_LEAST;
  if (nthread == 1 || share >= block) return block;
  return share > least ? share : least;
}

/* Consecutive members, at most dpi_batch_length of them, make a batch; of one end, unless the spoke knows each member's
 * own. batch NULL: only count. */
static int split(const dp_run *run, int nthread, dpi_sim_batch *batch) {
  int nbatch = 0;
  const bool mixed = run->sim->spoke_desc->own_end;
  for (int i = 0; i < run->nmember; nbatch++) {
    const int first = i, most = dpi_batch_length(nthread, run->block, run->nmember - i);
    dp_time end = run->end[i];
    for (; i < run->nmember && i - first < most; i++) {
      if (run->end[i] != end && !mixed) break;
      if (run->end[i] > end) end = run->end[i];
    }
    if (batch) batch[nbatch] = (dpi_sim_batch){.first = first, .n = i - first, .time = end};
  }
  return nbatch;
}

static dp_status simulate_all(job *j) {
  dp_run *run = &j->run;
  split(run, j->nthread, run->batch);
  if (run->nbatch > 1 && (run->sim->spoke_desc->caps & DP_CAP_THREADS)) {
    DP_TRY(dpi_parallel_for(run->ctx, run->nbatch, simulate_one, j));
  } else {
    for (int b = 0; b < run->nbatch; b++) DP_TRY(simulate_one(j, b, 0));
  }
  return result_outcomes((result_own *)j->result, run->out);
}

#define FEW 4 /* members whose scratch lies on the stack */

/* What a call needs besides the result. */
static dp_status scratch_room(dp_ctx *ctx, dpi_part *p, size_t size) {
  if (size <= p->size) return DP_OK;
  dpi_free(ctx, p->scratch);
  p->size = 0;
  p->scratch = dpi_alloc(ctx, size);
  if (!p->scratch) return DP_ERR_MEMORY;
  p->size = size;
  return DP_OK;
}

/* Nothing has been given yet, and where each member ends. Reasons stay as they are: only those of failed members are
 * read. */
static void clean(dp_run *run, dpi_member_out *out, dpi_rows *rows, dp_time *end) {
  for (int i = 0; i < run->nmember; i++) {
    out[i].ndone = 0;
    out[i].status = DP_MEMBER_OK;
    out[i].fail_time = 0;
    out[i].reason[0] = '\0';
    rows[i] = (dpi_rows){0};
    end[i] = dpi_member_end(&run->member[i]);
  }
  run->out = out;
  run->rows = rows;
  run->end = end;
}

/* Scratch of the run: on the stack for few members, else one block. */
static dp_status with_scratch(job *j, dpi_part *p) {
  dp_run *run = &j->run;
  size_t n = (size_t)run->nmember;
  if (run->nmember <= FEW) {
    dpi_member_out out[FEW];
    dpi_rows rows[FEW];
    dpi_sim_batch batch[FEW];
    dp_time end[FEW];
    clean(run, out, rows, end);
    run->nbatch = split(run, j->nthread, NULL);
    run->batch = batch;
    return simulate_all(j);
  }
  size_t at_rows = n * sizeof *run->out, at_end = at_rows + n * sizeof *run->rows,
         at_batch = at_end + n * sizeof *run->end;
  DP_TRY(scratch_room(run->ctx, p, at_batch + n * sizeof *run->batch)); /* at worst each member is a batch */
  clean(run, (dpi_member_out *)p->scratch, (dpi_rows *)(p->scratch + at_rows), (dp_time *)(p->scratch + at_end));
  run->nbatch = split(run, j->nthread, NULL);
  run->batch = (dpi_sim_batch *)(p->scratch + at_batch);
  return simulate_all(j);
}

dp_status dpi_part_simulate(const dp_sim *sim, const dp_member *member, int n, int block, int nthread,
                            const dp_run_opts *opts, double opened_s, dpi_part *part) {
  result_own *own = (result_own *)part->result;
  dp_status status = result_create(sim, member, n, opts->ndir, &own);
  part->result = own ? &own->pub : NULL;
  DP_TRY(status);
  job j = {.result = part->result, .caller = pthread_self(), .nthread = nthread};
  j.run = (dp_run){.sim = sim,
                   .ctx = sim->ctx,
                   .opts = *opts,
                   .opened_s = opened_s,
                   .member = member,
                   .nmember = n,
                   .block = block};
  atomic_init(&j.ndone, 0);
  DP_TRY(dpi_instance_take(sim));
  status = with_scratch(&j, part);
  dpi_instance_give(sim);
  return status;
}

dp_status dp_simulate(const dp_sim *sim, const dp_member *member, int nmember,
                      const dp_run_opts *opts, dp_result **out) {
  *out = NULL;
  DP_TRY(dpi_check_opts(sim, opts));
  DP_TRY(dpi_check_members(sim, member, nmember, opts));
  dpi_part part = {0};
  const int block = dpi_run_block(sim, nmember), nthread = dp_ctx_nthread(sim->ctx);
  dp_status status = dpi_part_simulate(sim, member, nmember, block, nthread, opts, dpi_run_clock(opts), &part);
  if (status == DP_OK) {
    *out = part.result;
    part.result = NULL;
  }
  dpi_part_release(sim, &part);
  return status;
}

/* ---- in parts ---- */

dp_member_result dpi_result_member(const dp_result *r, int i, int number) {
  size_t at = r->value_at[i] * (size_t)r->noutput;
  return (dp_member_result){
      .member = number,
      .status = (dp_member_status)r->status[i],
      .fail_time = r->fail_time[i],
      .reason = r->reason[i],
      .nout = (int)(r->value_at[i + 1] - r->value_at[i]),
      .value = r->value + at,
      .dvalue = r->dvalue ? r->dvalue + at * (size_t)r->ndir : NULL,
      .nfunctional = (int)(r->functional_at[i + 1] - r->functional_at[i]),
      .functional = r->functional + r->functional_at[i],
  };
}

void dpi_part_release(const dp_sim *sim, dpi_part *part) {
  dp_result_destroy(part->result);
  dpi_free(sim->ctx, part->scratch);
  *part = (dpi_part){0};
}
