/* Compared with: an allocator that keeps its own books (bytes, blocks, old sizes) and can fail at
 * the n-th call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

typedef struct books {
  size_t bytes, blocks, calls;
  size_t fail_at; /* the call that gets nothing; 0 none */
  size_t limit;   /* largest size given; 0 any */
} books;

/* Checks that the old size is the one last asked for, by keeping it in front of the block. */
static void *book_alloc(void *user, void *ptr, size_t size_old, size_t size_new) {
  books *b = user;
  size_t *raw = ptr ? (size_t *)((char *)ptr - 16) : NULL;
  assert_int_equal(raw ? *raw : 0, size_old);
  if (size_new == 0) {
    b->bytes -= size_old;
    b->blocks--;
    free(raw);
    return NULL;
  }
  if (++b->calls == b->fail_at || (b->limit && size_new > b->limit)) return NULL;
  raw = realloc(raw, size_new + 16);
  assert_non_null(raw);
  b->bytes += size_new - size_old;
  b->blocks += ptr == NULL;
  *raw = size_new;
  return (char *)raw + 16;
}

static dp_ctx *context(books *b) {
  dp_ctx_def def = dp_ctx_def_default();
  def.alloc = book_alloc;
  def.alloc_user = b;
  dp_ctx *ctx = NULL;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static void blocks_are_counted_and_given_back(void **state) {
  (void)state;
  books b = {0};
  dp_ctx *ctx = context(&b);
  size_t before = b.bytes;
  assert_int_equal(dpi_alloc_live(ctx), 0);
  unsigned char *p = dpi_alloc(ctx, 1000);
  for (int k = 0; k < 1000; k++) assert_int_equal(p[k], 0);
  assert_int_equal((uintptr_t)p % 16, 0);
  void *empty = dpi_alloc(ctx, 0), *empty2 = dpi_alloc(ctx, 0);
  assert_non_null(empty);
  assert_ptr_not_equal(empty, empty2);
  assert_int_equal(dpi_alloc_live(ctx), 3);
  assert_int_equal(b.blocks, 4); /* and the context itself */
  memset(p, 7, 1000);
  p = dpi_realloc(ctx, p, 5000);
  for (int k = 0; k < 1000; k++) assert_int_equal(p[k], 7);
  assert_int_equal(dpi_alloc_live(ctx), 3);
  assert_int_equal(dpi_alloc_total(ctx), 4);
  assert_true(b.bytes >= before + 5000);
  dpi_free(ctx, p);
  dpi_free(ctx, empty);
  dpi_free(ctx, empty2);
  dpi_free(ctx, NULL);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  assert_int_equal(b.bytes, before);
  dp_ctx_destroy(ctx);
  assert_int_equal(b.bytes, 0);
  assert_int_equal(b.blocks, 0);
}

static void memory_works_without_a_context(void **state) {
  (void)state;
  int *p = DPI_NEW_ARRAY(NULL, int, 10);
  assert_int_equal(p[9], 0);
  p = dpi_realloc(NULL, p, 4000);
  dpi_free(NULL, p);
}

static void impossible_sizes_are_refused(void **state) {
  (void)state;
  books b = {0};
  dp_ctx *ctx = context(&b);
  assert_null(dpi_alloc_array(ctx, SIZE_MAX / 2, 3));
  assert_string_not_equal(dp_ctx_error(ctx), "");
  assert_null(dpi_alloc(ctx, SIZE_MAX));
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  assert_null(dpi_arena_array(&arena, SIZE_MAX / 2, 3));
  assert_null(dpi_arena_alloc(&arena, SIZE_MAX - 8));
  dpi_arena_release(&arena);
  void *items = NULL;
  int cap = 0;
  assert_int_equal(dpi_grow(ctx, &items, &cap, 4, SIZE_MAX / 4), DP_ERR_MEMORY);
  assert_null(items);
  dp_ctx_destroy(ctx);
}

static void growing_doubles(void **state) {
  (void)state;
  books b = {0};
  dp_ctx *ctx = context(&b);
  int *items = NULL, cap = 0;
  for (int k = 0; k < 100000; k++) {
    assert_int_equal(dpi_grow(ctx, (void **)&items, &cap, k + 1, sizeof *items), DP_OK);
    items[k] = k;
  }
  for (int k = 0; k < 100000; k++) assert_int_equal(items[k], k);
  assert_true(dpi_alloc_total(ctx) < 20); /* log2(100000 / 8) = 13.6 */
  b.limit = 1;
  assert_int_equal(dpi_grow(ctx, (void **)&items, &cap, cap + 1, sizeof *items), DP_ERR_MEMORY);
  assert_int_equal(items[99999], 99999); /* the old array is still there */
  b.limit = 0;
  dpi_free(ctx, items);
  dp_ctx_destroy(ctx);
}

/* Many sizes, each filled with its own byte, then read again: no two pieces overlap. */
static void arena_pieces_do_not_overlap(void **state) {
  (void)state;
  books b = {0};
  dp_ctx *ctx = context(&b);
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  enum { N = 3000 };
  static unsigned char *piece[N];
  static size_t size[N];
  for (int k = 0; k < N; k++) {
    size[k] = (size_t)(k * 37 % 211);
    if (k % 500 == 7) size[k] = 300000; /* gets a block of its own */
    piece[k] = dpi_arena_alloc(&arena, size[k]);
    assert_non_null(piece[k]);
    assert_int_equal((uintptr_t)piece[k] % 16, 0);
    for (size_t j = 0; j < size[k]; j++) assert_int_equal(piece[k][j], 0);
    memset(piece[k], k % 251 + 1, size[k]);
  }
  for (int k = 0; k < N; k++) {
    for (size_t j = 0; j < size[k]; j++) assert_int_equal(piece[k][j], k % 251 + 1);
  }
  assert_true(dpi_alloc_live(ctx) < 40);
  dpi_arena_release(&arena);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

static void arena_texts(void **state) {
  (void)state;
  books b = {0};
  dp_ctx *ctx = context(&b);
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  assert_string_equal(dpi_arena_strdup(&arena, ""), "");
  assert_string_equal(dpi_arena_strdup(&arena, "clearance"), "clearance");
  assert_string_equal(dpi_arena_strndup(&arena, "clearance", 5), "clear");
  assert_string_equal(dpi_arena_printf(&arena, "%s:%d", "a.csv", 12), "a.csv:12");
  dpi_arena_release(&arena);
  dp_ctx_destroy(ctx);
}

/* A bit of everything that allocates; must fail cleanly wherever memory ends. */
static dp_status everything(dp_ctx *ctx) {
  dpi_arena arena;
  dpi_map map;
  dpi_str text;
  dpi_arena_init(&arena, ctx);
  dpi_map_init(&map, ctx);
  dpi_str_init(&text, ctx);
  dp_status status = DP_OK;
  for (int k = 0; k < 200 && status == DP_OK; k++) {
    char *key = dpi_arena_printf(&arena, "key %d of a longer kind", k);
    status = key ? dpi_map_put(&map, key, k) : DP_ERR_MEMORY;
    if (key) dpi_str_add(&text, key);
  }
  if (status == DP_OK && text.failed) status = DP_ERR_MEMORY;
  dpi_sha256 *h = status == DP_OK ? dpi_sha256_create(ctx) : NULL;
  if (status == DP_OK && !h) status = DP_ERR_MEMORY;
  char hex[65];
  if (h) dpi_sha256_finish(h, hex);
  dpi_str_release(&text);
  dpi_map_release(&map);
  dpi_arena_release(&arena);
  return status;
}

static void the_nth_allocation_fails_cleanly(void **state) {
  (void)state;
  size_t n = 1;
  for (;; n++) {
    books b = {0};
    dp_ctx *ctx = context(&b);
    b.fail_at = b.calls + n;
    dp_status status = everything(ctx);
    bool reached = b.calls >= b.fail_at;
    assert_int_equal(status, reached ? DP_ERR_MEMORY : DP_OK);
    if (reached) assert_memory_equal(dp_ctx_error(ctx), "out of memory", 13);
    assert_int_equal(dpi_alloc_live(ctx), 0);
    dp_ctx_destroy(ctx);
    assert_int_equal(b.bytes, 0);
    if (!reached) break;
  }
  assert_true(n > 15);
}

static void no_memory_for_the_context_itself(void **state) {
  (void)state;
  books b = {.fail_at = 1};
  dp_ctx_def def = dp_ctx_def_default();
  def.alloc = book_alloc;
  def.alloc_user = &b;
  dp_ctx *ctx;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_ERR_MEMORY);
  assert_null(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_are_counted_and_given_back),
      cmocka_unit_test(memory_works_without_a_context),
      cmocka_unit_test(impossible_sizes_are_refused),
      cmocka_unit_test(growing_doubles),
      cmocka_unit_test(arena_pieces_do_not_overlap),
      cmocka_unit_test(arena_texts),
      cmocka_unit_test(the_nth_allocation_fails_cleanly),
      cmocka_unit_test(no_memory_for_the_context_itself),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
