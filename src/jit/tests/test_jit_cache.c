/* The cache on disk: what was stored comes back before dpi_jit_start returns; what was damaged, cut, renamed or written
 * by somebody else is compiled anew; a folder that can't be used means no cache and nothing worse. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "jit_check.h"

#include "base/tests/failing_memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  (void)st, (void)flag, (void)ftw;
  return remove(path);
}

static int setup_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "jit-cache.XXXXXX");
  if (mkdtemp(folder) == NULL) return -1;
  strcat(folder, "/a/b");
  ctx = make_ctx(folder);
  return 0;
}

static int teardown_folder(void **state) {
  int bad = teardown(state);
  folder[strlen(folder) - 4] = '\0';
  return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0 ? bad : -1;
}

/* ---- entries ---- */

static char entry[8][256];
static int nentry;

static int see_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  (void)st, (void)ftw;
  if (flag == FTW_F && nentry < DPI_COUNT(entry)) snprintf(entry[nentry++], sizeof entry[0], "%s", path);
  return 0;
}

static int list_entries(void) {
  nentry = 0;
  (void)nftw(folder, see_entry, 8, FTW_PHYS);
  return nentry;
}

static long size_of(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static void flip_bit(const char *path, long at) {
  FILE *f = fopen(path, "r+b");
  assert_non_null(f);
  fseek(f, at, SEEK_SET);
  int c = fgetc(f);
  fseek(f, at, SEEK_SET);
  fputc(c ^ 0x10, f);
  fclose(f);
}

/* Start and wait; how many units came from the cache. The code must be right wherever it came from. */
static int cached_units(const dpi_tape *t, dpi_jit_tier tier, bool only_cache) {
  dpi_jit *job = NULL;
  dpi_jit_unit unit = {t, 1};
  dpi_jit_opts opts = dpi_jit_opts_default();
  opts.tier = tier;
  opts.wait = true;
  opts.cached_only = only_cache;
  check_ok(dpi_jit_start(ctx, &unit, 1, &opts, &job));
  dpi_jit_report r = dpi_jit_describe(job);
  assert_string_equal(dp_ctx_error(ctx), "");
  if (!only_cache) assert_int_equal(r.ncode, 1);
  if (r.ncode > 0) {
    dpi_rng rng = dpi_rng_make(1, 1, 2);
    check_body(t, 1, &rng, 10);
  }
  dpi_jit_destroy(job);
  return r.ncached;
}

static void what_was_stored_comes_back(void **state) {
  (void)state;
  need_llvm();
  dpi_tape *t = random_tape(1, 200, 20, NULL), *other = random_tape(2, 200, 20, NULL);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, false), 0);
  assert_int_equal(list_entries(), 1);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, false), 1);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 1); /* LLVM takes no part */
  assert_int_equal(cached_units(other, DPI_JIT_QUICK, true), 0);
  /* optimised code serves whoever asks; quick code is where a tiered job starts from */
  assert_int_equal(cached_units(t, DPI_JIT_TIERED, false), 1);
  assert_int_equal(list_entries(), 2);
  assert_int_equal(unlink(strstr(entry[0], ".tmp") ? entry[1] : entry[0]), 0);
  assert_int_equal(cached_units(t, DPI_JIT_OPTIMISED, true), 1);
  dpi_tape_destroy(t);
  dpi_tape_destroy(other);
}

static void damaged_entries_are_made_anew(void **state) {
  (void)state;
  need_llvm();
  dpi_tape *t = random_tape(1, 60, 10, NULL);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, false), 0);
  assert_int_equal(list_entries(), 1);
  long size = size_of(entry[0]);
  assert_true(size > 200);
  const long at[] = {0, 20, 100, 144, 150, 300, size / 2, size - 1};
  for (int k = 0; k < DPI_COUNT(at); k++) {
    flip_bit(entry[0], at[k]);
    assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 0);
    assert_int_equal(cached_units(t, DPI_JIT_QUICK, false), 0); /* replaced */
    assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 1);
  }
  const long cut[] = {0, 1, 143, 144, 145, 400, size - 1};
  for (int k = 0; k < DPI_COUNT(cut); k++) {
    assert_int_equal(truncate(entry[0], cut[k]), 0);
    assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 0);
    assert_int_equal(cached_units(t, DPI_JIT_QUICK, false), 0);
    assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 1);
  }
  assert_int_equal(list_entries(), 1);
  dpi_tape_destroy(t);
}

/* a sound object under a sound hash that isn't one of ours, and an entry under another's name */
static void foreign_entries_do_not_count(void **state) {
  (void)state;
  need_llvm();
  dpi_tape *t = random_tape(1, 60, 10, NULL), *other = random_tape(2, 60, 10, NULL);
  dpi_jit_target target = dpi_jit_target_find(1, strcmp(dp_arithmetic(), "fma") == 0);
  char key[65], other_key[65];
  dpi_jit_key(ctx, t, &target, DPI_JIT_QUICK, key);
  dpi_jit_key(ctx, other, &target, DPI_JIT_QUICK, other_key);
  assert_string_not_equal(key, other_key);
  dpi_jit_cache_write(ctx, folder, key, "\177ELF but not really", 20);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 0);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, false), 0);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 1);

  assert_int_equal(list_entries(), 1);
  char name[256];
  snprintf(name, sizeof name, "%s/%.2s", folder, other_key);
  (void)mkdir(name, 0700);
  snprintf(name, sizeof name, "%s/%.2s/%s", folder, other_key, other_key + 2);
  assert_int_equal(rename(entry[0], name), 0);
  assert_int_equal(cached_units(other, DPI_JIT_QUICK, true), 0);

  /* what others may write is not run, nor what a link leads to */
  dpi_jit_cache_write(ctx, folder, key, "x", 1);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, false), 0);
  snprintf(name, sizeof name, "%s/%.2s/%s", folder, key, key + 2);
  assert_int_equal(chmod(name, 0666), 0);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 0);
  assert_int_equal(chmod(name, 0600), 0);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 1);
  char away[300];
  snprintf(away, sizeof away, "%s/elsewhere", folder);
  assert_int_equal(rename(name, away), 0);
  assert_int_equal(symlink("../elsewhere", name), 0);
  assert_int_equal(cached_units(t, DPI_JIT_QUICK, true), 0);
  dpi_tape_destroy(t);
  dpi_tape_destroy(other);
}

static void a_folder_that_cannot_be_used_is_no_cache(void **state) {
  (void)state;
  need_llvm();
  dpi_tape *t = random_tape(1, 60, 10, NULL);
  static const char *const bad[] = {"/proc/nothing/here", "/dev/null", "", "/dev/null/x"};
  dp_ctx *old = ctx;
  for (int k = 0; k < DPI_COUNT(bad); k++) {
    dp_ctx *c = make_ctx(bad[k]);
    dpi_jit_unit unit = {t, 1};
    dpi_jit *job = start_waiting(c, &unit, 1, DPI_JIT_QUICK);
    assert_int_equal(dpi_jit_describe(job).ncode, 1);
    assert_string_equal(dp_ctx_error(c), "");
    dpi_jit_destroy(job);
    assert_int_equal(dpi_alloc_live(c), 0);
    dp_ctx_destroy(c);
  }
  ctx = old;
  dpi_tape_destroy(t);
}

/* two processes write and damage the same entry, a third reads: it is always whole or not there */
static void concurrent_writers_leave_whole_entries(void **state) {
  (void)state;
  char key[65];
  dpi_sha256_hex("k", 1, key);
  size_t size = 200000;
  char *mine = dpi_alloc(ctx, size);
  pid_t child[2];
  for (int c = 0; c < 2; c++) {
    child[c] = fork();
    assert_true(child[c] >= 0);
    if (child[c] == 0) {
      memset(mine, 'a' + c, size);
      for (int k = 0; k < 100; k++) dpi_jit_cache_write(ctx, folder, key, mine, size - (size_t)k * 100);
      _exit(0);
    }
  }
  int seen = 0, left = 2;
  while (left > 0 || seen == 0) {
    char *data;
    size_t n;
    if (dpi_jit_cache_read(ctx, folder, key, &data, &n)) {
      seen++;
      for (size_t i = 0; i < n; i++) assert_int_equal(data[i], data[0]);
      dpi_free(ctx, data);
    }
    int status;
    while (left > 0 && waitpid(-1, &status, WNOHANG) > 0) {
      left--;
      assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
  }
  assert_int_equal(list_entries(), 1); /* no temporary files */
  dpi_free(ctx, mine);
}

static void the_oldest_entries_go_first(void **state) {
  (void)state;
  char key[20][65], name[256], *data, byte[1000] = {0};
  size_t n;
  for (int k = 0; k < 20; k++) {
    dpi_sha256_hex(&k, sizeof k, key[k]);
    dpi_jit_cache_write(ctx, folder, key[k], byte, sizeof byte);
    snprintf(name, sizeof name, "%s/%.2s/%s", folder, key[k], key[k] + 2);
    struct timespec when[2] = {{.tv_sec = 1000000 + k}, {.tv_sec = 1000000 + k}};
    assert_int_equal(utimensat(AT_FDCWD, name, when, 0), 0);
  }
  /* entry 0 is used: it is young again */
  assert_true(dpi_jit_cache_read(ctx, folder, key[0], &data, &n));
  assert_int_equal(n, sizeof byte);
  dpi_free(ctx, data);
  dpi_jit_cache_trim(ctx, folder, 1 << 20); /* all of it may stay */
  assert_true(dpi_jit_cache_read(ctx, folder, key[0], &data, &n));
  dpi_free(ctx, data);
  dpi_jit_cache_trim(ctx, folder, 12000);
  for (int k = 0; k < 20; k++) {
    bool there = dpi_jit_cache_read(ctx, folder, key[k], &data, &n);
    if (there) dpi_free(ctx, data);
    if (k == 0 || k > 12) assert_true(there);
    if (k > 0 && k < 9) assert_false(there);
  }
}

/* each request of a job for memory is refused once: it says so, or goes on without code or without an entry */
static void lack_of_memory_is_survived(void **state) {
  (void)state;
  need_llvm();
  dpi_tape *t = random_tape(1, 60, 10, NULL);
  bool failed = true;
  for (long k = 0; failed; k++) {
    failing_memory memory = {0};
    dp_ctx_def def = failing_def(&memory);
    dp_ctx *c = NULL;
    def.cache = folder;
    assert_int_equal(dp_ctx_create(&def, &c), DP_OK);
    dpi_jit_unit unit = {t, 1};
    dpi_jit_opts opts = dpi_jit_opts_default();
    dpi_jit *job = NULL;
    opts.tier = DPI_JIT_QUICK;
    opts.wait = true;
    failing_next(&memory, k);
    dp_status status = dpi_jit_start(c, &unit, 1, &opts, &job);
    failed = failing_happened(&memory);
    assert_true(status == DP_OK || (status == DP_ERR_MEMORY && job == NULL));
    dpi_jit_destroy(job);
    assert_int_equal(dpi_alloc_live(c), 0);
    dp_ctx_destroy(c);
    /* now with an entry, now without */
    if (k % 2 == 0 && list_entries() > 0) (void)unlink(entry[0]);
    assert_true(k < 200);
  }
  dpi_tape_destroy(t);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup_folder, teardown_folder)
int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(what_was_stored_comes_back),
      CASE(damaged_entries_are_made_anew),
      CASE(foreign_entries_do_not_count),
      CASE(a_folder_that_cannot_be_used_is_no_cache),
      CASE(concurrent_writers_leave_whole_entries),
      CASE(the_oldest_entries_go_first),
      CASE(lack_of_memory_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
