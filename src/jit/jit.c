/* jit.c - floor 3: a job: tapes, the thread that compiles them, and what became of it.
 *
 *     start    each unit: key -> cache -> loaded and attached        on the caller's thread
 *              what is left -> work                                  on its own thread, or the caller's (opts.wait)
 *     work     for each tier, for each unit: compile -> store -> load -> attach
 *     destroy  stop after the present unit, detach, unmap
 *
 * Locks: `lock` guards what the report says and `stop`; images and code are written by one thread before they are
 * attached, and read by nobody but the tapes' users after that. Quick code stays mapped when optimised code takes its
 * place, as somebody may still be inside it.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "jit/jit_impl.h"
#include "num/num.h"

enum { TIERS = 2, STACK = 16 << 20 }; /* LLVM's recursions are deep for long tapes */

typedef struct unit {
  dpi_jit_unit what;
  const dpi_lane_ops *ops; /* NULL: this processor can't */
  dpi_jit_target target;
  char key[TIERS][65];
  dpi_jit_image image[TIERS]; /* by dpi_jit_tier */
  bool done;                  /* has its last code, or can't have it */
} unit;

struct dpi_jit {
  dp_ctx *ctx;
  dpi_jit_opts opts;
  const char *cache; /* folder or NULL */
  int n;
  unit *unit;
  bool threaded, joined;
  pthread_t thread;
  pthread_mutex_t lock;
  bool stop;
  dpi_jit_report report; /* guarded by lock, with `why` */
  char why[DPI_JIT_WHY];
};

dpi_jit_opts dpi_jit_opts_default(void) { return (dpi_jit_opts){.tier = DPI_JIT_TIERED, .cache = true}; }

/* the first reason is kept */
static void say_why(dpi_jit *job, const char *why) {
  pthread_mutex_lock(&job->lock);
  if (job->why[0] == '\0') snprintf(job->why, sizeof job->why, "%s", why);
  pthread_mutex_unlock(&job->lock);
}

static bool stopped(dpi_jit *job) {
  pthread_mutex_lock(&job->lock);
  bool stop = job->stop;
  pthread_mutex_unlock(&job->lock);
  return stop || dpi_background_ending();
}

static dpi_jit_tier best_tier(const dpi_jit *job) {
  return job->opts.tier == DPI_JIT_QUICK ? DPI_JIT_QUICK : DPI_JIT_OPTIMISED;
}

/* ---- from object to tape ---- */

static bool unit_has_code(const unit *u) {
  return u->image[DPI_JIT_QUICK].memory != NULL || u->image[DPI_JIT_OPTIMISED].memory != NULL;
}

/* loads an object and puts the tape on it; false: not sound */
static bool unit_load(dpi_jit *job, unit *u, dpi_jit_tier tier, const void *data, size_t size, bool cached, char *why) {
  bool had = unit_has_code(u);
  if (!dpi_jit_load(data, size, &u->image[tier], why)) return false;
  dpi_tape_attach(u->what.tape, u->what.width, &u->image[tier].code);
  pthread_mutex_lock(&job->lock);
  job->report.ncode += !had;
  job->report.ncached += cached;
  job->report.ncompiled += !cached;
  job->report.bytes += u->image[tier].ncode;
  pthread_mutex_unlock(&job->lock);
  return true;
}

static bool unit_from_cache(dpi_jit *job, unit *u, dpi_jit_tier tier) {
  char *data, why[DPI_JIT_WHY];
  size_t size;
  if (job->cache == NULL || u->key[tier][0] == '\0') return false;
  if (!dpi_jit_cache_read(job->ctx, job->cache, u->key[tier], &data, &size)) return false;
  bool good = unit_load(job, u, tier, data, size, true, why);
  dpi_free(job->ctx, data);
  return good;
}

static void unit_compile(dpi_jit *job, dpi_jit_compiler *c, unit *u, dpi_jit_tier tier) {
  char why[DPI_JIT_WHY];
  dpi_jit_object object;
  double start = dpi_clock_s();
  bool good = dpi_jit_compile(c, u->what.tape, &u->target, tier, &object, why);
  double end = dpi_clock_s();
  pthread_mutex_lock(&job->lock);
  job->report.compile_s += end - start;
  pthread_mutex_unlock(&job->lock);
  if (good) good = unit_load(job, u, tier, object.data, object.size, false, why);
  if (!good)
    say_why(job, why);
  else if (job->cache != NULL && u->key[tier][0] != '\0')
    dpi_jit_cache_write(job->ctx, job->cache, u->key[tier], object.data, object.size);
}

/* ---- work ---- */

/* everything in this tier that has no code as good */
static void work_tier(dpi_jit *job, dpi_jit_compiler *c, dpi_jit_tier tier) {
  for (int i = 0; i < job->n && !stopped(job); i++) {
    unit *u = &job->unit[i];
    if (u->done || u->image[tier].memory != NULL || (tier == DPI_JIT_QUICK && unit_has_code(u))) continue;
    unit_compile(job, c, u, tier);
  }
}

static void work_inside(dpi_jit *job) {
  char why[DPI_JIT_WHY];
  double seconds;
  bool there = dpi_jit_llvm_open(why, &seconds);
  pthread_mutex_lock(&job->lock);
  job->report.load_s = seconds;
  pthread_mutex_unlock(&job->lock);
  dpi_jit_compiler *c = there && !stopped(job) ? dpi_jit_compiler_create(job->ctx, why) : NULL;
  if (c == NULL) {
    if (!stopped(job)) say_why(job, why);
    return;
  }
  if (job->opts.tier != DPI_JIT_OPTIMISED) work_tier(job, c, DPI_JIT_QUICK);
  if (job->opts.tier != DPI_JIT_QUICK) work_tier(job, c, DPI_JIT_OPTIMISED);
  dpi_jit_compiler_destroy(c);
  if (job->cache != NULL && !stopped(job)) dpi_jit_cache_trim(job->ctx, job->cache, DPI_JIT_CACHE_MOST);
}

/* Counted as background work: LLVM's exit functions would pull the ground from under a thread that is inside it. */
static void work(dpi_jit *job) {
  if (!dpi_background_enter()) return;
  work_inside(job);
  dpi_background_leave();
}

static void *thread_main(void *job) {
  uint64_t saved = dpi_fp_enter();
  work(job);
  dpi_fp_leave(saved);
  return NULL;
}

static bool start_thread(dpi_jit *job) {
  pthread_attr_t attr;
  if (pthread_attr_init(&attr) != 0) return false;
  (void)pthread_attr_setstacksize(&attr, STACK);
  job->threaded = pthread_create(&job->thread, &attr, thread_main, job) == 0;
  pthread_attr_destroy(&attr);
  return job->threaded;
}

/* ---- life ---- */

/* everything that can be had without a compiler; true: something is left to do */
static bool prepare(dpi_jit *job) {
  bool fma = strcmp(dp_arithmetic(), "fma") == 0, left = false;
  for (int i = 0; i < job->n; i++) {
    unit *u = &job->unit[i];
    u->ops = dpi_lane_ops_find(u->what.width);
    u->target = dpi_jit_target_find(u->what.width, fma);
    u->done = u->ops == NULL || u->target.triple == NULL;
    if (u->done) {
      say_why(job, u->ops == NULL ? "this processor has no lanes of that width" : "no machine code for this processor");
      continue;
    }
    if (job->cache != NULL) {
      for (int t = 0; t < TIERS; t++) dpi_jit_key(job->ctx, u->what.tape, &u->target, (dpi_jit_tier)t, u->key[t]);
      u->done = unit_from_cache(job, u, DPI_JIT_OPTIMISED);
      if (!u->done && unit_from_cache(job, u, DPI_JIT_QUICK)) u->done = best_tier(job) == DPI_JIT_QUICK;
    }
    left = left || !u->done;
  }
  return left;
}

static dpi_jit *job_create(dp_ctx *ctx, const dpi_jit_unit *what, int n, const dpi_jit_opts *opts) {
  dpi_jit *job = DPI_NEW(ctx, dpi_jit);
  if (job == NULL) return NULL;
  job->ctx = ctx;
  job->opts = opts ? *opts : dpi_jit_opts_default();
  job->cache = job->opts.cache && dpi_jit_llvm_version()[0] != '\0' ? dpi_ctx_cache(ctx) : NULL;
  if (job->cache != NULL && job->cache[0] == '\0') job->cache = NULL;
  job->unit = DPI_NEW_ARRAY(ctx, unit, n > 0 ? n : 1);
  if (job->unit == NULL) {
    dpi_free(ctx, job);
    return NULL;
  }
  job->n = job->report.nunit = n;
  for (int i = 0; i < n; i++) job->unit[i].what = what[i];
  pthread_mutex_init(&job->lock, NULL);
  return job;
}

dp_status dpi_jit_start(dp_ctx *ctx, const dpi_jit_unit *what, int n, const dpi_jit_opts *opts, dpi_jit **out) {
  *out = NULL;
  dpi_jit *job = job_create(ctx, what, n, opts);
  if (job == NULL) return DP_ERR_MEMORY;
  *out = job;
  if (dpi_ctx_interpret(ctx)) {
    say_why(job, "the context asks for the interpreter");
    return DP_OK;
  }
  if (!prepare(job)) return DP_OK;
  if (job->opts.cached_only)
    say_why(job, "not in the cache");
  else if (job->opts.wait)
    work(job);
  else if (!start_thread(job))
    say_why(job, "no thread to compile on");
  return DP_OK;
}

void dpi_jit_wait(dpi_jit *job) {
  if (!job->threaded || job->joined) return;
  pthread_join(job->thread, NULL);
  job->joined = true;
}

/* the tape goes back to the interpreter, unless somebody else's code runs it by now */
static void unit_release(unit *u) {
  for (int t = 0; t < TIERS; t++) {
    if (u->image[t].memory == NULL) continue;
    const dpi_code *now = atomic_load(&((dpi_tape *)u->what.tape)->code[dpi_width_index(u->what.width)]);
    if (now == &u->image[t].code) dpi_tape_attach(u->what.tape, u->what.width, NULL);
    dpi_jit_unload(&u->image[t]);
  }
}

void dpi_jit_destroy(dpi_jit *job) {
  if (job == NULL) return;
  pthread_mutex_lock(&job->lock);
  job->stop = true;
  pthread_mutex_unlock(&job->lock);
  dpi_jit_wait(job);
  for (int i = 0; i < job->n; i++) unit_release(&job->unit[i]);
  pthread_mutex_destroy(&job->lock);
  dpi_free(job->ctx, job->unit);
  dpi_free(job->ctx, job);
}

dpi_jit_report dpi_jit_describe(const dpi_jit *job) {
  dpi_jit *j = (dpi_jit *)job; /* the lock is the only thing changed */
  pthread_mutex_lock(&j->lock);
  dpi_jit_report r = j->report;
  /* a reason is written once, before it is seen */
  r.why = j->why;
  pthread_mutex_unlock(&j->lock);
  return r;
}

bool dpi_jit_available(void) {
  char why[DPI_JIT_WHY];
  double seconds;
  return dpi_jit_llvm_open(why, &seconds);
}
