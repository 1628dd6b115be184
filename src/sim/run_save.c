/* run_save.c - floor 5: a run as bytes, and back.
 *
 * Layout (numbers in the machine's order, checked by a mark; u = unsigned of so many bits, f = double):
 *   "DPRUN002"  u32 mark 0x01020304
 *   64 sim's hash   64 hash of all members as they were at open (parameters, timelines, streams)
 *   u32 replayed   u32 ndir   u64 seed   u64 nmember
 *   u32 members with instants added on the way, of each: u32 member, u32 n, {u64 time, u32 order, u32 type, u32 target,
 *               f amount, f rate, u64 interval, u32 repeats, u32 steady, u32 dir_amount, u32 dir_time} [n]: all of them
 *   u32 started   u64 time
 *   replayed:   u64 stream at the start [nmember]   u64 nentry   {u32 op, u32 member, u64 at} [nentry]
 *               u64 nnumber   f [nnumber]
 *   each member: u32 nemitted   u32 final, and unless replayed
 *               u32 ndone   u32 status   f fail_time   u64 n, reason [n]   f functional [nfunctional]
 *               f value, then dvalue of the rows [nemitted, ndone)
 *               u64 n, the spoke's own bytes [n] (none when failed)
 *   64 SHA-256 of all before
 */
#include <math.h>
#include <string.h>

#include "sim/sim_impl.h"

#define MAGIC "DPRUN002"
#define MARK 0x01020304u
#define HEX 64

/* ---- hash of the members ---- */

static void hash_numbers(dpi_sha256 *h, const double *x, size_t n) {
  int64_t count = x ? (int64_t)n : -1;
  dpi_sha256_add(h, &count, sizeof count);
  if (x && n) dpi_sha256_add(h, x, n * sizeof *x);
}

/* Field by field: the padding of a struct has no meaning. */
static void hash_instant(dpi_sha256 *h, const dp_instant *s) {
  int64_t whole[] = {s->time,    s->order,  s->type,       s->target,  s->interval,
                     s->repeats, s->steady, s->dir_amount, s->dir_time};
  double real[] = {s->amount, s->rate};
  dpi_sha256_add(h, whole, sizeof whole);
  dpi_sha256_add(h, real, sizeof real);
}

static void hash_member(dpi_sha256 *h, const dp_sim *sim, const dp_member *m, int ndir) {
  hash_numbers(h, m->param, (size_t)sim->desc.nparam);
  hash_numbers(h, ndir ? m->seed : NULL, (size_t)sim->desc.nactive * (size_t)ndir);
  hash_numbers(h, m->state0, (size_t)sim->desc.nstate);
  int64_t count[] = {m->ninstant, m->nout, m->nfunctional, m->start, (int64_t)m->stream};
  dpi_sha256_add(h, count, sizeof count);
  for (int k = 0; k < m->ninstant; k++) hash_instant(h, &m->instant[k]);
  for (int k = 0; k < m->nout; k++) {
    int64_t at[] = {m->out[k].time, m->out[k].order};
    dpi_sha256_add(h, at, sizeof at);
  }
  for (int k = 0; k < m->nfunctional; k++) {
    const dp_functional *f = &m->functional[k];
    int64_t whole[] = {f->kind, f->output, f->from, f->to};
    double real[] = {f->level, f->level2};
    dpi_sha256_add(h, whole, sizeof whole);
    dpi_sha256_add(h, real, sizeof real);
  }
}

static dp_status hash_members(const dp_sim *sim, const dp_member *m, int n, int ndir,
                              char hex[65]) {
  dpi_sha256 *h = dpi_sha256_create(sim->ctx);
  if (!h) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) hash_member(h, sim, &m[i], ndir);
  dpi_sha256_finish(h, hex);
  return DP_OK;
}

/* The run's members as they were at open. */
static dp_status hash_run(const dp_run *run, char hex[65]) {
  dpi_sha256 *h = dpi_sha256_create(run->ctx);
  if (!h) return DP_ERR_MEMORY;
  for (int i = 0; i < run->nmember; i++) {
    const dp_member m = dpi_added_base(run, i);
    hash_member(h, run->sim, &m, run->opts.ndir);
  }
  dpi_sha256_finish(h, hex);
  return DP_OK;
}

/* ---- write ---- */

static void put(dpi_str *s, const void *p, size_t n) { dpi_str_addn(s, p, n); }
static void put_u32(dpi_str *s, uint32_t x) { put(s, &x, sizeof x); }
static void put_u64(dpi_str *s, uint64_t x) { put(s, &x, sizeof x); }
static void put_numbers(dpi_str *s, const double *x, size_t n) {
  if (n) put(s, x, n * sizeof *x);
}

#define INSTANT_SIZE 64 /* bytes of one */

static void save_instant(dpi_str *s, const dp_instant *in) {
  put_u64(s, (uint64_t)in->time);
  put_u32(s, (uint32_t)in->order);
  put_u32(s, (uint32_t)in->type);
  put_u32(s, (uint32_t)in->target);
  put_numbers(s, &in->amount, 1);
  put_numbers(s, &in->rate, 1);
  put_u64(s, (uint64_t)in->interval);
  put_u32(s, (uint32_t)in->repeats);
  put_u32(s, (uint32_t)in->steady);
  put_u32(s, (uint32_t)in->dir_amount);
  put_u32(s, (uint32_t)in->dir_time);
  put_u32(s, 0);
}

static void save_added(const dp_run *run, dpi_str *s) {
  uint32_t n = 0;
  for (int i = 0; run->added && i < run->nmember; i++) n += run->added[i].list != NULL;
  put_u32(s, n);
  for (int i = 0; n && i < run->nmember; i++) {
    if (!run->added[i].list) continue;
    put_u32(s, (uint32_t)i);
    put_u32(s, (uint32_t)run->member[i].ninstant);
    for (int k = 0; k < run->member[i].ninstant; k++) save_instant(s, &run->member[i].instant[k]);
  }
}

static void save_log(const dp_run *run, dpi_str *s) {
  for (int i = 0; i < run->nmember; i++)
    put_u64(s, run->stream0 ? run->stream0[i] : run->member[i].stream);
  const dpi_log_book *log = &run->log;
  put_u64(s, (uint64_t)log->nentry);
  for (int k = 0; k < log->nentry; k++) {
    put_u32(s, (uint32_t)log->entry[k].op);
    put_u32(s, (uint32_t)log->entry[k].member);
    put_u64(s, (uint64_t)log->entry[k].at);
  }
  put_u64(s, (uint64_t)log->nnumber);
  put_numbers(s, log->number, (size_t)log->nnumber);
}

/* The spoke's own bytes with their length in front, which is known only afterwards. */
static dp_status save_spoke(const dp_run *run, int i, dpi_str *s) {
  put_u64(s, 0);
  if (s->failed) return DP_ERR_MEMORY;
  size_t from = s->len;
  const dpi_sim_batch *b = dpi_run_batch(run, i);
  if (run->out[i].status == DP_MEMBER_OK) DP_TRY(run->sim->ops->save(b->spoke, i - b->first, s));
  if (s->failed) return DP_ERR_MEMORY;
  uint64_t n = s->len - from;
  memcpy(s->data + from - sizeof n, &n, sizeof n);
  return DP_OK;
}

static dp_status save_member(const dp_run *run, int i, dpi_str *s) {
  const dpi_member_out *out = &run->out[i];
  const dpi_rows *rows = &run->rows[i];
  put_u32(s, (uint32_t)rows->nemitted);
  put_u32(s, rows->final);
  if (dpi_replay_needed(run->sim)) return DP_OK;
  put_u32(s, (uint32_t)out->ndone);
  put_u32(s, out->status);
  put_numbers(s, &out->fail_time, 1);
  put_u64(s, strlen(out->reason));
  put(s, out->reason, strlen(out->reason));
  put_numbers(s, out->functional, (size_t)run->member[i].nfunctional);
  if (out->ndone > rows->nemitted) {
    size_t width = (size_t)run->sim->desc.noutput, nd = (size_t)run->opts.ndir;
    size_t at = (size_t)rows->nemitted * width, n = (size_t)(out->ndone - rows->nemitted) * width;
    put_numbers(s, rows->value + at, n);
    if (nd) put_numbers(s, rows->dvalue + at * nd, n * nd);
  }
  return save_spoke(run, i, s);
}

static dp_status save_into(const dp_run *run, dpi_str *s) {
  char hex[65];
  DP_TRY(hash_run(run, hex));
  bool replay = dpi_replay_needed(run->sim);
  put(s, MAGIC, strlen(MAGIC));
  put_u32(s, MARK);
  put(s, run->sim->hash, HEX);
  put(s, hex, HEX);
  put_u32(s, replay);
  put_u32(s, (uint32_t)run->opts.ndir);
  put_u64(s, run->opts.seed);
  put_u64(s, (uint64_t)run->nmember);
  save_added(run, s);
  put_u32(s, run->started);
  put_u64(s, (uint64_t)run->time);
  if (replay) save_log(run, s);
  for (int i = 0; i < run->nmember; i++) DP_TRY(save_member(run, i, s));
  if (s->failed) return DP_ERR_MEMORY;
  dpi_sha256_hex(s->data, s->len, hex);
  put(s, hex, HEX);
  return s->failed ? DP_ERR_MEMORY : DP_OK;
}

dp_status dp_run_save(const dp_run *run, void **bytes, size_t *size) {
  *bytes = NULL;
  *size = 0;
  DP_TRY(dpi_run_level(run, "dp_run_save"));
  dpi_str s;
  dpi_str_init(&s, run->ctx);
  uint64_t fp = dpi_fp_enter();
  dp_status status = save_into(run, &s);
  dpi_fp_leave(fp);
  if (status != DP_OK) {
    dpi_str_release(&s);
    return status;
  }
  *bytes = s.data; /* now the caller's */
  *size = s.len;
  return DP_OK;
}

void dp_run_bytes_free(const dp_sim *sim, void *bytes) { dpi_free(sim->ctx, bytes); }

/* ---- read ---- */

typedef struct reader {
  const char *p;
  size_t left;
  bool bad; /* sticky: asked for more than there is, or for what makes no sense */
} reader;

static const char *take(reader *r, size_t n) {
  if (r->bad || n > r->left) {
    r->bad = true;
    return NULL;
  }
  const char *p = r->p;
  r->p += n;
  r->left -= n;
  return p;
}

static uint32_t take_u32(reader *r) {
  uint32_t x = 0;
  const char *p = take(r, sizeof x);
  if (p) memcpy(&x, p, sizeof x);
  return x;
}

static uint64_t take_u64(reader *r) {
  uint64_t x = 0;
  const char *p = take(r, sizeof x);
  if (p) memcpy(&x, p, sizeof x);
  return x;
}

static void take_numbers(reader *r, double *x, size_t n) {
  if (n > r->left / sizeof *x) r->bad = true;
  const char *p = take(r, n * sizeof *x);
  if (p && n) memcpy(x, p, n * sizeof *x);
}

static dp_status refuse(const dp_sim *sim, const char *what) {
  return dpi_fail(sim->ctx, DP_ERR_INPUT, "dp_run_load: %s", what);
}

/* Whole and undamaged? Leaves r behind magic and mark, without the hash at the end. */
static dp_status open_reader(const dp_sim *sim, const void *bytes, size_t size, reader *r) {
  *r = (reader){.p = bytes, .left = size};
  const char *magic = take(r, strlen(MAGIC));
  if (!magic || memcmp(magic, MAGIC, strlen(MAGIC)) != 0)
    return refuse(sim, "these bytes are no saved run");
  if (take_u32(r) != MARK)
    return refuse(sim, "saved on a machine with another order of bytes, or truncated");
  if (r->left < HEX) return refuse(sim, "the bytes are truncated");
  r->left -= HEX;
  char hex[65];
  dpi_sha256_hex(bytes, size - HEX, hex);
  if (memcmp((const char *)bytes + size - HEX, hex, HEX) == 0) return DP_OK;
  return refuse(sim, "the bytes are truncated or damaged (their SHA-256 does not fit)");
}

/* Of this sim, these members, these options? */
static dp_status check_head(const dp_sim *sim, const dp_member *member, int n,
                            const dp_run_opts *opts, reader *r) {
  char hex[65];
  DP_TRY(hash_members(sim, member, n, opts->ndir, hex));
  const char *sim_hash = take(r, HEX), *member_hash = take(r, HEX);
  uint32_t replay = take_u32(r), ndir = take_u32(r);
  uint64_t seed = take_u64(r), nmember = take_u64(r);
  if (r->bad) return refuse(sim, "the bytes are truncated");
  if (memcmp(sim_hash, sim->hash, HEX) != 0) {
    return dpi_fail(sim->ctx, DP_ERR_INPUT,
                    "dp_run_load: saved by the sim %.12s..., this is the sim %.12s...", sim_hash,
                    sim->hash);
  }
  if (ndir != (uint32_t)opts->ndir || seed != opts->seed || nmember != (uint64_t)n) {
    return refuse(sim, "saved with another number of members or directions, or another seed");
  }
  if (memcmp(member_hash, hex, HEX) != 0) {
    return refuse(sim, "saved with other members (parameters, instants, output times or streams)");
  }
  if (replay != dpi_replay_needed(sim))
    return refuse(sim, "saved in the other way (by replay or by the spoke)");
  return DP_OK;
}

static dp_instant take_instant(reader *r) {
  dp_instant in = {.time = (dp_time)take_u64(r)};
  in.order = (int32_t)take_u32(r);
  in.type = (dp_instant_type)take_u32(r);
  in.target = (int32_t)take_u32(r);
  take_numbers(r, &in.amount, 1);
  take_numbers(r, &in.rate, 1);
  in.interval = (dp_time)take_u64(r);
  in.repeats = (int32_t)take_u32(r);
  in.steady = (int32_t)take_u32(r);
  in.dir_amount = (int32_t)take_u32(r);
  in.dir_time = (int32_t)take_u32(r);
  take_u32(r);
  return in;
}

/* One member's list in place of the one it had at open. */
static dp_status load_instants(const dp_sim *sim, dp_member *m, dpi_added *a, int member, int ndir, reader *r) {
  const uint32_t n = take_u32(r);
  if (r->bad || n > r->left / INSTANT_SIZE || n < (uint32_t)m->ninstant || a->list)
    return refuse(sim, "the instants added on the way make no sense");
  dp_instant *list = DPI_NEW_ARRAY(sim->ctx, dp_instant, n + 1);
  if (!list) return DP_ERR_MEMORY;
  for (uint32_t k = 0; k < n; k++) list[k] = take_instant(r);
  dp_status status = r->bad ? refuse(sim, "the bytes are truncated") : DP_OK;
  if (status == DP_OK) status = dpi_check_added(sim, member, list, (int)n, ndir, m->start);
  if (status == DP_OK) status = dpi_added_take(sim->ctx, a, m, list, (int)n);
  dpi_free(sim->ctx, list);
  return status;
}

/* member: a copy of the caller's; *out NULL: nothing was added. */
static dp_status load_added(const dp_sim *sim, dp_member *member, int n, int ndir, reader *r, dpi_added **out) {
  const uint32_t count = take_u32(r);
  *out = NULL;
  if (r->bad || count > (uint32_t)n) return refuse(sim, "the bytes are truncated");
  if (count == 0) return DP_OK;
  dpi_added *added = dpi_added_create(sim->ctx, n);
  dp_status status = added ? DP_OK : DP_ERR_MEMORY;
  for (uint32_t k = 0; k < count && status == DP_OK; k++) {
    const uint32_t i = take_u32(r);
    status = r->bad || i >= (uint32_t)n ? refuse(sim, "the instants added on the way make no sense")
                                        : load_instants(sim, &member[i], &added[i], (int)i, ndir, r);
  }
  if (status != DP_OK) {
    dpi_added_destroy(sim->ctx, added, n);
    return status;
  }
  *out = added;
  return DP_OK;
}

static dp_status load_log(dp_run *run, reader *r) {
  uint64_t nentry = take_u64(r);
  if (r->bad || nentry > r->left / 16) return refuse(run->sim, "the log is truncated");
  const char *entries = take(r, (size_t)nentry * 16);
  uint64_t nnumber = take_u64(r);
  if (r->bad || nnumber > r->left / sizeof(double))
    return refuse(run->sim, "the log's numbers are truncated");
  reader e = {.p = entries, .left = (size_t)nentry * 16};
  const char *numbers = take(r, (size_t)nnumber * sizeof(double));
  double *x = DPI_NEW_ARRAY(run->ctx, double, run->sim->desc.nstate);
  if (!x) return DP_ERR_MEMORY;
  dp_status status = DP_OK;
  size_t nstate = (size_t)run->sim->desc.nstate;
  for (uint64_t k = 0; k < nentry && status == DP_OK; k++) {
    uint32_t op = take_u32(&e), member = take_u32(&e);
    uint64_t at = take_u64(&e);
    bool edit = op == DPI_LOG_EDIT;
    if (op > DPI_LOG_STREAM || (op != DPI_LOG_ADVANCE && member >= (uint32_t)run->nmember) ||
        (edit && (at > nnumber || nnumber - at < nstate))) {
      status = refuse(run->sim, "the log makes no sense");
      break;
    }
    if (edit && nstate) memcpy(x, numbers + (size_t)at * sizeof(double), nstate * sizeof(double));
    status = dpi_replay_log(run, (dpi_log_op)op, (int)member, (int64_t)at, x);
  }
  dpi_free(run->ctx, x);
  return status;
}

/* Streams at the start, then the way of the log; afterwards the streams are the caller's again by its entries. */
static dp_status load_replay(dp_run *run, reader *r) {
  run->stream0 = DPI_NEW_ARRAY(run->ctx, uint64_t, run->nmember);
  if (!run->stream0) return DP_ERR_MEMORY;
  for (int i = 0; i < run->nmember; i++) {
    run->stream0[i] = take_u64(r);
    run->own_member[i].stream = run->stream0[i];
  }
  DP_TRY(load_log(run, r));
  return dpi_replay_go(run);
}

/* What the sim knows of a member that was saved by its spoke. */
static dp_status load_out(dp_run *run, int i, reader *r) {
  dpi_member_out *out = &run->out[i];
  const dp_member *m = &run->member[i];
  dpi_rows *rows = &run->rows[i];
  uint32_t ndone = take_u32(r), status = take_u32(r);
  take_numbers(r, &out->fail_time, 1);
  uint64_t nreason = take_u64(r);
  const char *reason = nreason < sizeof out->reason ? take(r, (size_t)nreason) : NULL;
  take_numbers(r, out->functional, (size_t)m->nfunctional);
  if (r->bad || !reason || ndone > (uint32_t)m->nout || status > DP_MEMBER_FAILED) {
    return refuse(run->sim, "a member's state makes no sense");
  }
  memcpy(out->reason, reason, (size_t)nreason);
  out->reason[nreason] = '\0';
  out->ndone = (int)ndone;
  out->status = (dp_member_status)status;
  rows->ncomposed = out->ndone;
  if (out->ndone <= rows->nemitted) return DP_OK;
  size_t width = (size_t)run->sim->desc.noutput, nd = (size_t)run->opts.ndir;
  size_t at = (size_t)rows->nemitted * width, n = (size_t)(out->ndone - rows->nemitted) * width;
  take_numbers(r, rows->value + at, n);
  if (nd) take_numbers(r, rows->dvalue + at * nd, n * nd);
  return DP_OK;
}

static dp_status load_member(dp_run *run, int i, reader *r) {
  uint32_t nemitted = take_u32(r), final = take_u32(r);
  if (r->bad || nemitted > (uint32_t)run->member[i].nout)
    return refuse(run->sim, "a member's place makes no sense");
  run->rows[i].nemitted = (int)nemitted;
  run->rows[i].final = final != 0;
  if (dpi_replay_needed(run->sim)) return DP_OK;
  DP_TRY(load_out(run, i, r));
  uint64_t n = take_u64(r);
  const char *bytes = n <= r->left ? take(r, (size_t)n) : NULL;
  if (!bytes) return refuse(run->sim, "the bytes are truncated");
  if (run->out[i].status != DP_MEMBER_OK) return DP_OK;
  dpi_sim_batch *b = dpi_run_batch(run, i);
  return run->sim->ops->load(b->spoke, i - b->first, bytes, (size_t)n);
}

static dp_status load_run(dp_run *run, reader *r) {
  bool started = take_u32(r) != 0;
  dp_time time = (dp_time)take_u64(r);
  if (dpi_replay_needed(run->sim)) {
    DP_TRY(load_replay(run, r));
    if (run->started != started || (started && run->time != time)) {
      return refuse(run->sim, "the log does not lead to the time that was saved");
    }
  }
  for (int i = 0; i < run->nmember; i++) DP_TRY(load_member(run, i, r));
  if (r->bad || r->left) return refuse(run->sim, "the bytes are truncated or there are too many");
  run->started = started;
  run->time = time;
  for (int b = 0; b < run->nbatch; b++) {
    run->batch[b].started = started;
    run->batch[b].time = time;
  }
  return DP_OK;
}

dp_status dp_run_load(const dp_sim *sim, const dp_member *member, int nmember,
                      const dp_run_opts *opts, const void *bytes, size_t size, dp_run **out) {
  *out = NULL;
  DP_TRY(dpi_check_opts(sim, opts));
  DP_TRY(dpi_check_members(sim, member, nmember, opts));
  reader r;
  DP_TRY(open_reader(sim, bytes, size, &r));
  DP_TRY(check_head(sim, member, nmember, opts, &r));
  dp_run *run = NULL;
  dpi_added *added = NULL;
  dp_member *own = DPI_NEW_ARRAY(sim->ctx, dp_member, nmember > 0 ? nmember : 1);
  if (!own) return DP_ERR_MEMORY;
  if (nmember) memcpy(own, member, (size_t)nmember * sizeof *own);
  dp_status status = load_added(sim, own, nmember, opts->ndir, &r, &added);
  if (status == DP_OK) status = dpi_run_make(sim, own, nmember, opts, true, &run);
  dpi_free(sim->ctx, own);
  if (status != DP_OK) {
    dpi_added_destroy(sim->ctx, added, nmember);
    return status;
  }
  run->added = added;
  uint64_t fp = dpi_fp_enter();
  status = load_run(run, &r);
  dpi_fp_leave(fp);
  if (status != DP_OK) {
    dp_run_close(run);
    return status;
  }
  *out = run;
  return DP_OK;
}
