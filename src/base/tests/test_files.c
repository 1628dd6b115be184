/* Compared with: the bytes written, seen through stdio; SHA-256 examples of FIPS 180-4 (NIST's
 * published vectors). */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

static char folder[] = "/tmp/dp_files_XXXXXX";
static dp_ctx *ctx;

static int setup(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  if (!mkdtemp(folder)) return -1;
  return dp_ctx_create(&def, &ctx) == DP_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  dp_ctx_destroy(ctx);
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static const char *in_folder(const char *name) {
  static char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static int files_in_folder(void) {
  int n = 0;
  DIR *d = opendir(folder);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

static void what_is_written_is_read(void **state) {
  (void)state;
  enum { N = 300000 };
  static char bytes[N];
  for (int k = 0; k < N; k++) bytes[k] = (char)(k * 31 % 256);
  for (int size = 0; size <= N; size = size * 3 + 1) {
    const char *path = in_folder("a.bin");
    assert_int_equal(dpi_file_write(ctx, path, bytes, (size_t)size), DP_OK);
    char *data;
    size_t n;
    assert_int_equal(dpi_file_read(ctx, path, 0, &data, &n), DP_OK);
    assert_int_equal(n, size);
    assert_memory_equal(data, bytes, (size_t)size);
    assert_int_equal(data[n], '\0');
    dpi_free(ctx, data);
    if (size > 0) {
      assert_int_equal(dpi_file_read(ctx, path, (size_t)size, &data, &n), DP_OK);
      dpi_free(ctx, data);
    }
    if (size > 1) {
      assert_int_equal(dpi_file_read(ctx, path, (size_t)size - 1, &data, &n), DP_ERR_INPUT);
      assert_null(data);
      dp_ctx_clear_error(ctx);
    }
  }
  assert_int_equal(files_in_folder(), 1);
  assert_int_equal(dpi_alloc_live(ctx), 0);
}

static void absent_files_are_named(void **state) {
  (void)state;
  char *data;
  size_t n;
  const char *path = in_folder("not/there.csv");
  assert_false(dpi_file_exists(path));
  assert_int_equal(dpi_file_read(ctx, path, 0, &data, &n), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "not/there.csv: cannot be opened"));
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_file_read(ctx, folder, 0, &data, &n), DP_ERR_INPUT); /* a folder is no file */
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_file_write(ctx, path, "x", 1), DP_ERR_IO);
  assert_non_null(strstr(dp_ctx_error(ctx), "not/there.csv: cannot be written"));
  dp_ctx_clear_error(ctx);
  assert_true(dpi_file_exists(folder));
}

/* The child may write 1000 bytes a file only: the write breaks off, the old bytes stay, nothing is
 * left beside them. */
static void a_broken_write_changes_nothing(void **state) {
  (void)state;
  const char *path = in_folder("b.txt");
  assert_int_equal(dpi_file_write(ctx, path, "old", 3), DP_OK);
  int before = files_in_folder();
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    static char big[5000];
    struct rlimit limit = {1000, 1000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(dpi_file_write(ctx, path, big, sizeof big) == DP_ERR_IO ? 0 : 1);
  }
  int code;
  assert_int_equal(waitpid(child, &code, 0), child);
  assert_int_equal(code, 0);
  assert_int_equal(files_in_folder(), before);
  char *data;
  size_t n;
  assert_int_equal(dpi_file_read(ctx, path, 0, &data, &n), DP_OK);
  assert_string_equal(data, "old");
  dpi_free(ctx, data);
}

/* While one process writes again and again, every look sees one of the two contents whole. */
static void nothing_half_written_is_seen(void **state) {
  (void)state;
  enum { N = 200000 };
  static char bytes[N];
  const char *path = in_folder("c.bin");
  memset(bytes, 'a', N);
  assert_int_equal(dpi_file_write(ctx, path, bytes, N), DP_OK);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    for (int k = 0; k < 40; k++) {
      memset(bytes, k % 2 ? 'a' : 'b', N);
      if (dpi_file_write(ctx, path, bytes, k % 2 ? N : N / 2) != DP_OK) _exit(1);
    }
    _exit(0);
  }
  int code, looks = 0;
  pid_t done = 0;
  while (done == 0) {
    char *data;
    size_t n;
    assert_int_equal(dpi_file_read(ctx, path, 0, &data, &n), DP_OK);
    assert_int_equal(n, data[0] == 'a' ? N : N / 2);
    assert_int_equal(data[n - 1], data[0]);
    dpi_free(ctx, data);
    looks++;
    done = waitpid(child, &code, WNOHANG);
  }
  assert_int_equal(code, 0);
  assert_true(looks > 1);
}

static void permissions_are_kept(void **state) {
  (void)state;
  const char *path = in_folder("d.txt");
  struct stat st;
  assert_int_equal(dpi_file_write(ctx, path, "1", 1), DP_OK);
  assert_int_equal(chmod(path, 0640), 0);
  assert_int_equal(dpi_file_write(ctx, path, "2", 1), DP_OK);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0640);
}

static void hashes_of_the_standard(void **state) {
  (void)state;
  static const struct {
    const char *text, *hex;
  } cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  for (int k = 0; k < DPI_COUNT(cases); k++) {
    char hex[65];
    size_t n = strlen(cases[k].text);
    dpi_sha256_hex(cases[k].text, n, hex);
    assert_string_equal(hex, cases[k].hex);
    dpi_sha256 *h = dpi_sha256_create(ctx);
    for (size_t i = 0; i < n; i++) dpi_sha256_add(h, cases[k].text + i, 1);
    dpi_sha256_finish(h, hex);
    assert_string_equal(hex, cases[k].hex);
  }
  assert_int_equal(dpi_alloc_live(ctx), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read),
      cmocka_unit_test(absent_files_are_named),
      cmocka_unit_test(a_broken_write_changes_nothing),
      cmocka_unit_test(nothing_half_written_is_seen),
      cmocka_unit_test(permissions_are_kept),
      cmocka_unit_test(hashes_of_the_standard),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
