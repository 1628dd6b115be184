/* context.c - floor 0: the caller's context, its error record, log lines, cancelling; a clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/context_impl.h"

#ifndef DOPPEL_VERSION
#define DOPPEL_VERSION "unversioned" /* the build gives the project's version */
#endif

const char *dp_version(void) { return DOPPEL_VERSION; }

double dpi_clock_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- life ---- */

/* The C library behind the hook's form. */
static void *alloc_default(void *user, void *ptr, size_t size_old, size_t size_new) {
  (void)user;
  (void)size_old;
  if (size_new == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, size_new);
}

/* Silent, on the C library's memory, one thread. */
dp_ctx_def dp_ctx_def_default(void) { return (dp_ctx_def){.cookie = DPI_CTX_COOKIE, .nthread = 1}; }

/* A context from a definition made by dp_ctx_def_default. */
dp_status dp_ctx_create(const dp_ctx_def *def, dp_ctx **out) {
  if (!out) return DP_ERR_USAGE;
  *out = NULL;
  if (!def || def->cookie != DPI_CTX_COOKIE || def->nthread < 1) return DP_ERR_USAGE;
  dp_alloc_fn alloc = def->alloc ? def->alloc : alloc_default;
  dp_ctx *ctx = alloc(def->alloc_user, NULL, 0, sizeof *ctx);
  if (!ctx) return DP_ERR_MEMORY;
  memset(ctx, 0, sizeof *ctx);
  ctx->alloc = alloc;
  ctx->alloc_user = def->alloc_user;
  ctx->log = def->log;
  ctx->log_user = def->log_user;
  ctx->nthread = def->nthread;
  ctx->interpret = def->interpret != 0;
  ctx->ranks = def->ranks;
  if (def->cache) {
    size_t size = strlen(def->cache) + 1;
    ctx->cache = alloc(def->alloc_user, NULL, 0, size);
    if (!ctx->cache) {
      alloc(def->alloc_user, ctx, sizeof *ctx, 0);
      return DP_ERR_MEMORY;
    }
    memcpy(ctx->cache, def->cache, size);
  }
  atomic_init(&ctx->cancelled, 0);
  atomic_init(&ctx->live, 0);
  atomic_init(&ctx->total, 0);
  /* default mutexes: initialising them cannot fail on the systems we build for */
  pthread_mutex_init(&ctx->error_lock, NULL);
  pthread_mutex_init(&ctx->log_lock, NULL);
  pthread_mutex_init(&ctx->pool_lock, NULL);
  dpi_background_watch();
  *out = ctx;
  return DP_OK;
}

/* Stops the workers and frees the context; what was allocated through it must be gone by then. */
void dp_ctx_destroy(dp_ctx *ctx) {
  if (!ctx) return;
  dpi_pool_destroy(ctx);
  pthread_mutex_destroy(&ctx->pool_lock);
  pthread_mutex_destroy(&ctx->log_lock);
  pthread_mutex_destroy(&ctx->error_lock);
  if (ctx->cache) ctx->alloc(ctx->alloc_user, ctx->cache, strlen(ctx->cache) + 1, 0);
  ctx->alloc(ctx->alloc_user, ctx, sizeof *ctx, 0);
}

bool dpi_ctx_interpret(const dp_ctx *ctx) { return ctx->interpret; }
const char *dpi_ctx_cache(const dp_ctx *ctx) { return ctx->cache; }
const dp_ranks *dpi_ctx_ranks(const dp_ctx *ctx) { return ctx->ranks; }

int dp_ctx_nthread(const dp_ctx *ctx) { return ctx->nthread; }

/* ---- messages ---- */

const char *dp_ctx_error(const dp_ctx *ctx) {
  dpi_mark *mark = dpi_mark_of(ctx);
  if (mark) return mark->error.set ? mark->error.text : "";
  /* the lock is the only thing changed: reading is const to the caller */
  dp_ctx *c = (dp_ctx *)ctx;
  pthread_mutex_lock(&c->error_lock);
  const char *text = c->error.set ? c->error.text : "";
  pthread_mutex_unlock(&c->error_lock);
  return text;
}

void dp_ctx_clear_error(dp_ctx *ctx) {
  dpi_mark *mark = dpi_mark_of(ctx);
  if (mark) {
    mark->error.set = false;
    return;
  }
  pthread_mutex_lock(&ctx->error_lock);
  ctx->error.set = false;
  pthread_mutex_unlock(&ctx->error_lock);
}

/* Fill the slot unless it holds a message already; one cut by the slot's size ends in "...". */
static void slot_fill(dpi_error_slot *slot, const char *fmt, va_list args) DPI_PRINTF(2, 0);
static void slot_fill(dpi_error_slot *slot, const char *fmt, va_list args) {
  if (slot->set) return;
  int n = vsnprintf(slot->text, sizeof slot->text, fmt, args);
  if (n < 0) slot->text[0] = '\0';
  if (n >= (int)sizeof slot->text) memcpy(slot->text + sizeof slot->text - 4, "...", 4);
  slot->set = true;
}

dp_status dpi_fail(dp_ctx *ctx, dp_status status, const char *fmt, ...) {
  if (!ctx) return status;
  va_list args;
  va_start(args, fmt);
  dpi_mark *mark = dpi_mark_of(ctx);
  if (mark) {
    slot_fill(&mark->error, fmt, args);
  } else {
    pthread_mutex_lock(&ctx->error_lock);
    slot_fill(&ctx->error, fmt, args);
    pthread_mutex_unlock(&ctx->error_lock);
  }
  va_end(args);
  return status;
}

/* One line to the caller's log; lines of several threads never mix. */
void dpi_log(dp_ctx *ctx, int level, const char *fmt, ...) {
  if (!ctx || !ctx->log) return;
  char line[DPI_ERROR_SIZE];
  va_list args;
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  pthread_mutex_lock(&ctx->log_lock);
  ctx->log(ctx->log_user, level, line);
  pthread_mutex_unlock(&ctx->log_lock);
}

/* ---- cancelling ---- */

void dp_ctx_cancel(dp_ctx *ctx) { atomic_store(&ctx->cancelled, 1); }
void dp_ctx_resume(dp_ctx *ctx) { atomic_store(&ctx->cancelled, 0); }
int dp_ctx_cancelled(const dp_ctx *ctx) { return atomic_load(&((dp_ctx *)ctx)->cancelled); }
