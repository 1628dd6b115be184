/* base.h - floor 0: memory, failure messages, strings, maps, hashing, worker threads.
 *
 * Everything here is shared by all rooms and knows nothing of medicine or mathematics.
 * Invariants:
 *   1. all memory comes from the context's hook; a block carries its size in a hidden 16-byte header, so freeing needs
 *      no size; blocks are aligned to 16 bytes;
 *   2. an arena is owned by one object and freed at once with it; it is not thread-safe;
 *   3. dpi_fail never loses the first message.
 */
#ifndef DPI_BASE_H
#define DPI_BASE_H

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doppel/context.h"
#include "doppel/status.h"

#define DP_ASSERT(cond) assert(cond)
#define DPI_COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#if defined(__GNUC__)
#define DPI_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define DPI_PRINTF(f, a)
#endif

/* ---- failure ---- */
/* Record a message (printf form) unless one is recorded already; returns status, so `return dpi_fail(...)`. ctx may be
 * NULL (then only the status is returned). Message style: "file.csv:12: column AMT: found 'x', expected a number". */
dp_status dpi_fail(dp_ctx *ctx, dp_status status, const char *fmt, ...) DPI_PRINTF(3, 4);
void dpi_log(dp_ctx *ctx, int level, const char *fmt, ...) DPI_PRINTF(3, 4);

/* ---- memory ---- */
/* NULL when there is no memory (also recorded as ERR_MEMORY). Zeroed. size 0 gives a valid unique block. */
void *dpi_alloc(dp_ctx *ctx, size_t size);
void *dpi_realloc(dp_ctx *ctx, void *ptr, size_t size); /* new part not zeroed; ptr may be NULL */
void dpi_free(dp_ctx *ctx, void *ptr);                  /* NULL allowed */
/* Typed array with overflow check. */
void *dpi_alloc_array(dp_ctx *ctx, size_t count, size_t size);
#define DPI_NEW(ctx, type) ((type *)dpi_alloc((ctx), sizeof(type)))
#define DPI_NEW_ARRAY(ctx, type, n) ((type *)dpi_alloc_array((ctx), (size_t)(n), sizeof(type)))
/* number of live blocks and of allocations ever made through ctx: for tests that count */
size_t dpi_alloc_live(const dp_ctx *ctx);
size_t dpi_alloc_total(const dp_ctx *ctx);

/* Grow *items (capacity *cap, element size) so that it holds at least need. Amortised doubling. */
dp_status dpi_grow(dp_ctx *ctx, void **items, int *cap, int need, size_t size);

typedef struct dpi_arena {
  dp_ctx *ctx;
  struct dpi_arena_block *head;
} dpi_arena;
void dpi_arena_init(dpi_arena *arena, dp_ctx *ctx);
void dpi_arena_release(dpi_arena *arena);
void *dpi_arena_alloc(dpi_arena *arena, size_t size); /* zeroed, 16-byte aligned, NULL without memory */
void *dpi_arena_array(dpi_arena *arena, size_t count, size_t size);
char *dpi_arena_strdup(dpi_arena *arena, const char *s);
char *dpi_arena_strndup(dpi_arena *arena, const char *s, size_t n);
char *dpi_arena_printf(dpi_arena *arena, const char *fmt, ...) DPI_PRINTF(2, 3);
#define DPI_ARENA_NEW(arena, type) ((type *)dpi_arena_alloc((arena), sizeof(type)))
#define DPI_ARENA_ARRAY(arena, type, n) ((type *)dpi_arena_array((arena), (size_t)(n), sizeof(type)))

/* ---- strings ---- */
typedef struct dpi_str { /* growing text; data is always NUL-terminated once something was added; failed is sticky */
  dp_ctx *ctx;
  char *data;
  size_t len, cap;
  bool failed;
} dpi_str;
void dpi_str_init(dpi_str *s, dp_ctx *ctx);
void dpi_str_release(dpi_str *s);
void dpi_str_add(dpi_str *s, const char *text);
void dpi_str_addn(dpi_str *s, const char *text, size_t n);
void dpi_str_addf(dpi_str *s, const char *fmt, ...) DPI_PRINTF(2, 3);
const char *dpi_str_text(const dpi_str *s); /* "" when empty */

/* Parse a whole trimmed string as a finite decimal number (also 1e-3); locale-independent; false otherwise. */
bool dpi_parse_double(const char *s, double *out);
bool dpi_parse_int(const char *s, int64_t *out);
/* Shortest text that reads back to the same double ("0.1", "1e-300"); NaN and infinities as "nan", "inf", "-inf". */
void dpi_format_double(double x, char out[32]);
/* Nearest of the n words by edit distance (<= 2 and < length; case apart, a swap is one), or NULL:
 * for "did you mean". */
const char *dpi_nearest_word(const char *word, const char *const *words, int n);

/* ---- map from string to int (keys are copied) ---- */
typedef struct dpi_map {
  dp_ctx *ctx;
  struct dpi_map_slot *slot;
  int count, cap;
  dpi_arena key; /* the copies */
} dpi_map;
void dpi_map_init(dpi_map *map, dp_ctx *ctx);
void dpi_map_release(dpi_map *map);
dp_status dpi_map_put(dpi_map *map, const char *key, int value); /* replaces */
int dpi_map_get(const dpi_map *map, const char *key);            /* -1 when absent */

/* ---- files and hashes ---- */
/* A path that can't be read, with the system's words for `error` (errno). ERR_INPUT where the path is at fault: nothing
 * is there, it is a folder, it may not be read; ERR_IO where the machine is: the disk, too many open files. */
dp_status dpi_fail_path(dp_ctx *ctx, const char *path, const char *what, int error);
/* Whole file into memory (NUL-terminated beyond *size); at most max bytes (0: 256 MiB). Free with dpi_free. */
dp_status dpi_file_read(dp_ctx *ctx, const char *path, size_t max, char **data, size_t *size);
/* Write to a temporary file beside path, then rename: nothing half-written is ever seen under path. */
dp_status dpi_file_write(dp_ctx *ctx, const char *path, const void *data, size_t size);
bool dpi_file_exists(const char *path);
/* SHA-256 as 64 hex digits; "" when the cryptographic library failed. Streaming form for composite hashes. */
void dpi_sha256_hex(const void *data, size_t size, char hex[65]);
typedef struct dpi_sha256 dpi_sha256;
dpi_sha256 *dpi_sha256_create(dp_ctx *ctx);
void dpi_sha256_add(dpi_sha256 *h, const void *data, size_t size);
void dpi_sha256_finish(dpi_sha256 *h, char hex[65]); /* destroys h */

/* ---- time ---- */
/* Seconds of a clock that only goes forward, from whenever: for deadlines and timings, never for results. */
double dpi_clock_s(void);

/* ---- machine code (room jit) ---- */
bool dpi_ctx_interpret(const dp_ctx *ctx);
const char *dpi_ctx_cache(const dp_ctx *ctx); /* folder or NULL */

/* Other processes that share the work, or NULL. */
const dp_ranks *dpi_ctx_ranks(const dp_ctx *ctx);

/* ---- threads ---- */
/* Call fn(user, i, worker) for i = 0..n-1 on the context's workers (dynamic order; worker in 0..nthread-1). The first
 * failing status wins by *lowest i* (deterministic); remaining work is skipped; DP_ERR_CANCELLED when cancelled.
 * Nested calls run serially on the calling worker, under its number; only inside a loop of one item they get the
 * workers. Messages of items that succeed are dropped; of those that fail, the lowest item's is kept. */
typedef dp_status (*dpi_work_fn)(void *user, int i, int worker);
dp_status dpi_parallel_for(dp_ctx *ctx, int n, dpi_work_fn fn, void *user);
/* The same, while serve(user) is called on the calling thread alone: after each item of its own, when another worker
 * has ended one and it has none, and at last when all have ended. Where serve fails the loop ends with its status. */
typedef dp_status (*dpi_serve_fn)(void *user);
dp_status dpi_parallel_serve(dp_ctx *ctx, int n, dpi_work_fn fn, dpi_serve_fn serve, void *user);

/* Work on a thread of one's own that goes on when the caller's call has returned (leaving.c): counted between enter and
 * leave, so that a process that main leaves waits for it. enter gives false, and ending true, once main is leaving:
 * come out at the next opportunity. The context calls watch. */
bool dpi_background_enter(void);
void dpi_background_leave(void);
bool dpi_background_ending(void);
void dpi_background_watch(void);

#endif
