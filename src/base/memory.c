/* memory.c - floor 0: blocks that know their size, growing arrays, arenas.
 *
 * 1. A block starts 16 bytes after what the hook gave; those bytes hold the block's size (without
 *    them).
 * 2. live and total count blocks and allocations of the context; a realloc that moves or not
 *    counts one allocation.
 * 3. Arena blocks come zeroed and are handed out once, so arena memory needs no second clearing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context_impl.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_RED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_RED 1
#endif
#endif
#ifdef ARENA_RED
#include <sanitizer/asan_interface.h>
#define RED_ZONE 16
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define RED_ZONE 0
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define HEADER ((size_t)16)
_Static_assert(sizeof(size_t) <= 16, "the header holds the size");

/* ---- blocks ---- */

static size_t block_size(const void *ptr) {
  size_t size;
  memcpy(&size, (const char *)ptr - HEADER, sizeof size);
  return size;
}

/* Ask the hook; ctx NULL means the C library. */
static void *hook(dp_ctx *ctx, void *raw, size_t size_old, size_t size_new) {
  if (ctx) return ctx->alloc(ctx->alloc_user, raw, size_old, size_new);
  if (size_new) return realloc(raw, size_new);
  free(raw);
  return NULL;
}

static void *no_memory(dp_ctx *ctx, size_t size) {
  dpi_fail(ctx, DP_ERR_MEMORY, "out of memory: %zu bytes were asked for and not given", size);
  return NULL;
}

void *dpi_realloc(dp_ctx *ctx, void *ptr, size_t size) {
  if (size > SIZE_MAX - HEADER) return no_memory(ctx, size);
  char *raw = ptr ? (char *)ptr - HEADER : NULL;
  char *now = hook(ctx, raw, ptr ? block_size(ptr) + HEADER : 0, size + HEADER);
  if (!now) return no_memory(ctx, size);
  memcpy(now, &size, sizeof size);
  if (ctx) {
    atomic_fetch_add_explicit(&ctx->total, 1, memory_order_relaxed);
    if (!ptr) atomic_fetch_add_explicit(&ctx->live, 1, memory_order_relaxed);
  }
  return now + HEADER;
}

void *dpi_alloc(dp_ctx *ctx, size_t size) {
  void *ptr = dpi_realloc(ctx, NULL, size);
  if (ptr) memset(ptr, 0, size);
  return ptr;
}

void dpi_free(dp_ctx *ctx, void *ptr) {
  if (!ptr) return;
  hook(ctx, (char *)ptr - HEADER, block_size(ptr) + HEADER, 0);
  if (ctx) atomic_fetch_sub_explicit(&ctx->live, 1, memory_order_relaxed);
}

void *dpi_alloc_array(dp_ctx *ctx, size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) return no_memory(ctx, SIZE_MAX);
  return dpi_alloc(ctx, count * size);
}

size_t dpi_alloc_live(const dp_ctx *ctx) { return atomic_load(&((dp_ctx *)ctx)->live); }
size_t dpi_alloc_total(const dp_ctx *ctx) { return atomic_load(&((dp_ctx *)ctx)->total); }

/* Doubles, so that n additions cost O(n); the old array stays valid when there is no memory. */
dp_status dpi_grow(dp_ctx *ctx, void **items, int *cap, int need, size_t size) {
  if (need <= *cap) return DP_OK;
  int64_t want = *cap > 0 ? (int64_t)*cap * 2 : 8;
  if (want < need) want = need;
  if (want > INT32_MAX) want = INT32_MAX;
  if (size && (uint64_t)want > (SIZE_MAX - HEADER) / size) {
    no_memory(ctx, SIZE_MAX);
    return DP_ERR_MEMORY;
  }
  void *now = dpi_realloc(ctx, *items, (size_t)want * size);
  if (!now) return DP_ERR_MEMORY;
  *items = now;
  *cap = (int)want;
  return DP_OK;
}

/* ---- arenas ---- */

struct dpi_arena_block {
  struct dpi_arena_block *next;
  size_t size, used; /* of the bytes after this header */
  size_t pad;
};
_Static_assert(sizeof(struct dpi_arena_block) % 16 == 0, "arena memory starts aligned");

#define ARENA_FIRST ((size_t)2048)
#define ARENA_MOST ((size_t)1 << 20) /* blocks double up to this */

static char *block_bytes(struct dpi_arena_block *b) { return (char *)(b + 1); }

void dpi_arena_init(dpi_arena *arena, dp_ctx *ctx) { *arena = (dpi_arena){.ctx = ctx}; }

void dpi_arena_release(dpi_arena *arena) {
  struct dpi_arena_block *b = arena->head;
  while (b) {
    struct dpi_arena_block *next = b->next;
    UNPOISON(block_bytes(b), b->size);
    dpi_free(arena->ctx, b);
    b = next;
  }
  arena->head = NULL;
}

/* A new block for at least size bytes. A request larger than the usual block gets one of its own
 * *behind* the head, so that the rest of the head stays in use. */
static struct dpi_arena_block *arena_block(dpi_arena *arena, size_t size) {
  struct dpi_arena_block *head = arena->head;
  size_t usual = ARENA_FIRST;
  if (head) usual = head->size < ARENA_MOST / 2 ? head->size * 2 : ARENA_MOST;
  bool own = head && size > usual / 2;
  size_t room = own || size > usual ? size : usual;
  struct dpi_arena_block *b = dpi_alloc(arena->ctx, sizeof *b + room);
  if (!b) return NULL;
  b->size = room;
  POISON(block_bytes(b), room);
  b->next = own ? head->next : head;
  if (own)
    head->next = b;
  else
    arena->head = b;
  return b;
}

void *dpi_arena_alloc(dpi_arena *arena, size_t size) {
  if (size > SIZE_MAX / 2) return no_memory(arena->ctx, size);
  size_t take = ((size ? size : 1) + RED_ZONE + 15) & ~(size_t)15;
  struct dpi_arena_block *b = arena->head;
  if (!b || b->size - b->used < take) b = arena_block(arena, take);
  if (!b) return NULL;
  char *ptr = block_bytes(b) + b->used;
  b->used += take;
  UNPOISON(ptr, size);
  return ptr;
}

void *dpi_arena_array(dpi_arena *arena, size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) return no_memory(arena->ctx, SIZE_MAX);
  return dpi_arena_alloc(arena, count * size);
}

char *dpi_arena_strndup(dpi_arena *arena, const char *s, size_t n) {
  char *copy = dpi_arena_alloc(arena, n + 1);
  if (copy && n) memcpy(copy, s, n);
  return copy;
}

char *dpi_arena_strdup(dpi_arena *arena, const char *s) {
  return dpi_arena_strndup(arena, s, strlen(s));
}

char *dpi_arena_printf(dpi_arena *arena, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  int n = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  if (n < 0) return no_memory(arena->ctx, 0);
  char *text = dpi_arena_alloc(arena, (size_t)n + 1);
  if (!text) return NULL;
  va_start(args, fmt);
  vsnprintf(text, (size_t)n + 1, fmt, args);
  va_end(args);
  return text;
}
