/* threads.c - floor 0: loops over workers.
 *
 * 1. The calling thread is worker 0; nthread - 1 more are started by the first loop and sleep
 *    between loops.
 * 2. Items are taken in ascending order from one counter. An item is left out only when a lower
 *    one has failed, so every item below the lowest failing one has run, and which status and
 *    message are given does not depend on timing.
 * 3. A loop inside a loop of the same context runs on the worker it was called from, under that
 *    worker's number; only when the outer loop has a single item does the inner one get the pool.
 * 4. A loop from a second thread while the pool is busy runs serially on that thread as worker 0.
 * 5. Workers take over the caller's floating-point environment for each loop.
 * 6. A loop may have a server: what the calling thread does between items and while it waits for the others.
 *
 * States of a pool: idle (job NULL) -> running (job set, generation + 1, nactive workers inside)
 * -> idle; stop ends it.
 */
#include <fenv.h>
#include <string.h>

#include "base/context_impl.h"

static _Thread_local dpi_mark *mark_top;

dpi_mark *dpi_mark_of(const dp_ctx *ctx) {
  for (dpi_mark *m = mark_top; m; m = m->outer) {
    if (m->ctx == ctx) return m;
  }
  return NULL;
}

static void mark_push(dpi_mark *mark, const dp_ctx *ctx, int worker, bool alone) {
  mark->ctx = ctx;
  mark->worker = worker;
  mark->alone = alone;
  mark->error.set = false;
  mark->outer = mark_top;
  mark_top = mark;
}
static void mark_pop(dpi_mark *mark) { mark_top = mark->outer; }

/* ---- one loop ---- */

typedef struct job {
  dp_ctx *ctx;
  int n;
  dpi_work_fn fn;
  void *user;
  bool alone; /* a single item outside any other loop: the pool is free for loops inside it */
  dpi_serve_fn serve; /* or NULL; called on thread `caller` alone */
  pthread_t caller;
  struct dpi_pool *pool; /* that runs it, or NULL */
  atomic_int nended;     /* items of other threads; counted where there is a server */
  fenv_t env;
  atomic_llong next; /* next item to take; wide, as every worker takes one too many */
  atomic_int worst;  /* lowest failing item so far, n when none */
  pthread_mutex_t lock;
  dp_status status; /* of item `worst`; with its message guarded by lock */
  char message[DPI_ERROR_SIZE];
} job;

/* Item i failed: keep status and message when none lower has. */
static void job_fail(job *j, int i, dp_status status, const dpi_error_slot *error) {
  pthread_mutex_lock(&j->lock);
  if (i < atomic_load(&j->worst)) {
    atomic_store(&j->worst, i);
    j->status = status;
    memcpy(j->message, error->text, sizeof j->message);
    if (!error->set) j->message[0] = '\0';
  }
  pthread_mutex_unlock(&j->lock);
}

static void pool_wake_caller(struct dpi_pool *pool);

/* The server's failure counts as that of an item below all others. */
static void job_serve(job *j, dpi_mark *mark) {
  if (atomic_load(&j->worst) < 0) return;
  mark->error.set = false;
  dp_status status = j->serve(j->user);
  if (status != DP_OK) job_fail(j, -1, status, &mark->error);
}

static void job_ended(job *j, dpi_mark *mark) {
  if (!j->serve) return;
  if (pthread_equal(pthread_self(), j->caller)) {
    job_serve(j, mark);
    return;
  }
  atomic_fetch_add(&j->nended, 1);
  pool_wake_caller(j->pool);
}

/* Take items until there are none or one lower has failed. */
static void job_run(job *j, int worker) {
  dpi_mark mark;
  mark_push(&mark, j->ctx, worker, j->alone);
  for (;;) {
    long long item = atomic_fetch_add(&j->next, 1);
    if (item >= j->n || item > atomic_load(&j->worst)) break;
    int i = (int)item;
    mark.error.set = false;
    dp_status status = DP_ERR_CANCELLED;
    if (!dp_ctx_cancelled(j->ctx))
      status = j->fn(j->user, i, worker);
    else
      dpi_fail(j->ctx, status, "stopped on request");
    if (status == DP_OK) {
      job_ended(j, &mark);
      continue;
    }
    job_fail(j, i, status, &mark.error);
    break; /* whatever this worker took next would be higher */
  }
  mark_pop(&mark);
}

/* ---- the pool ---- */

typedef struct pool_worker {
  struct dpi_pool *pool;
  int number;
  pthread_t thread;
} pool_worker;

struct dpi_pool {
  pthread_mutex_t lock;
  pthread_cond_t wake, idle;
  job *job;            /* borrowed from the caller's stack while it runs */
  uint64_t generation; /* of jobs */
  int nactive;         /* workers that have not finished the present job */
  bool stop;
  int nworker;
  pool_worker worker[];
};

static void *worker_main(void *user) {
  pool_worker *w = user;
  struct dpi_pool *pool = w->pool;
  uint64_t seen = 0;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    while (!pool->stop && pool->generation == seen) pthread_cond_wait(&pool->wake, &pool->lock);
    if (pool->stop) break;
    seen = pool->generation;
    job *j = pool->job;
    pthread_mutex_unlock(&pool->lock);
    fesetenv(&j->env);
    job_run(j, w->number);
    pthread_mutex_lock(&pool->lock);
    if (--pool->nactive == 0) pthread_cond_signal(&pool->idle);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

/* Start the workers; fewer when the system gives fewer, NULL when there is no memory. Called with
 * pool_lock held. */
static struct dpi_pool *pool_create(dp_ctx *ctx) {
  size_t size = sizeof(struct dpi_pool) + (size_t)ctx->nthread * sizeof(pool_worker);
  struct dpi_pool *pool = ctx->alloc(ctx->alloc_user, NULL, 0, size);
  if (!pool) return NULL;
  memset(pool, 0, size);
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->wake, NULL);
  pthread_cond_init(&pool->idle, NULL);
  for (int k = 0; k < ctx->nthread - 1; k++) {
    pool_worker *w = &pool->worker[k];
    w->pool = pool;
    w->number = k + 1;
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0) break;
    pool->nworker++;
  }
  return pool;
}

void dpi_pool_destroy(dp_ctx *ctx) {
  struct dpi_pool *pool = ctx->pool;
  if (!pool) return;
  pthread_mutex_lock(&pool->lock);
  pool->stop = true;
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  for (int k = 0; k < pool->nworker; k++) pthread_join(pool->worker[k].thread, NULL);
  pthread_cond_destroy(&pool->idle);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->lock);
  size_t size = sizeof(struct dpi_pool) + (size_t)ctx->nthread * sizeof(pool_worker);
  ctx->alloc(ctx->alloc_user, pool, size, 0);
  ctx->pool = NULL;
}

static void pool_wake_caller(struct dpi_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pthread_cond_signal(&pool->idle);
  pthread_mutex_unlock(&pool->lock);
}

/* The caller has no item left: it serves until the workers have none. Called with pool->lock held. */
static void pool_serve(struct dpi_pool *pool, job *j) {
  dpi_mark mark;
  int seen = 0;
  mark_push(&mark, j->ctx, 0, false);
  while (pool->nactive) {
    int nended = atomic_load(&j->nended);
    if (nended == seen) {
      pthread_cond_wait(&pool->idle, &pool->lock);
      continue;
    }
    seen = nended;
    pthread_mutex_unlock(&pool->lock);
    job_serve(j, &mark);
    pthread_mutex_lock(&pool->lock);
  }
  mark_pop(&mark);
}

/* Run the job on the caller and all workers, and wait for all. */
static void pool_run(struct dpi_pool *pool, job *j) {
  j->pool = pool;
  pthread_mutex_lock(&pool->lock);
  pool->job = j;
  pool->generation++;
  pool->nactive = pool->nworker;
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
  job_run(j, 0);
  pthread_mutex_lock(&pool->lock);
  if (j->serve) pool_serve(pool, j);
  while (pool->nactive) pthread_cond_wait(&pool->idle, &pool->lock);
  pool->job = NULL;
  pthread_mutex_unlock(&pool->lock);
}

/* ---- the call ---- */

/* On the pool when it is free; a loop that cannot have it runs on the calling thread, with the
 * same result. */
static void job_dispatch(dp_ctx *ctx, job *j, const dpi_mark *outer) {
  if (outer && !outer->alone) {
    job_run(j, outer->worker);
    return;
  }
  if (ctx->nthread == 1 || j->n == 1 || pthread_mutex_trylock(&ctx->pool_lock) != 0) {
    job_run(j, 0);
    return;
  }
  if (!ctx->pool) ctx->pool = pool_create(ctx);
  if (ctx->pool && ctx->pool->nworker)
    pool_run(ctx->pool, j);
  else
    job_run(j, 0);
  pthread_mutex_unlock(&ctx->pool_lock);
}

static dp_status loop(dp_ctx *ctx, int n, dpi_work_fn fn, dpi_serve_fn serve, void *user) {
  const dpi_mark *outer = dpi_mark_of(ctx);
  job j = {.ctx = ctx, .n = n, .fn = fn, .serve = serve, .user = user, .status = DP_OK, .caller = pthread_self()};
  j.alone = n == 1 && (!outer || outer->alone);
  atomic_init(&j.next, 0);
  atomic_init(&j.worst, n);
  atomic_init(&j.nended, 0);
  fegetenv(&j.env);
  pthread_mutex_init(&j.lock, NULL);
  job_dispatch(ctx, &j, outer);
  pthread_mutex_destroy(&j.lock);
  if (serve && atomic_load(&j.worst) >= 0) DP_TRY(serve(user));
  if (j.status == DP_OK) return DP_OK;
  /* an item that failed without a message leaves the record as it is */
  return j.message[0] ? dpi_fail(ctx, j.status, "%s", j.message) : j.status;
}

dp_status dpi_parallel_for(dp_ctx *ctx, int n, dpi_work_fn fn, void *user) {
  return n <= 0 ? DP_OK : loop(ctx, n, fn, NULL, user);
}

dp_status dpi_parallel_serve(dp_ctx *ctx, int n, dpi_work_fn fn, dpi_serve_fn serve, void *user) {
  return n <= 0 ? DP_OK : loop(ctx, n, fn, serve, user);
}
