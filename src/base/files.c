/* files.c - floor 0: whole files in and out, SHA-256.
 *
 * Writing: <path>.<process>-<n>.tmp beside path -> all bytes -> fsync -> rename -> fsync of the
 * folder. Until the rename path holds the old bytes, after it the new ones; on any failure the
 * temporary file is removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

#define READ_MOST ((size_t)256 << 20)

static dp_status fail_as(dp_ctx *ctx, dp_status status, const char *path, const char *what, int error) {
  char why[160];
  if (strerror_r(error, why, sizeof why) != 0) snprintf(why, sizeof why, "error %d", error);
  return dpi_fail(ctx, status, "%s: %s: %s", path, what, why);
}

dp_status dpi_fail_path(dp_ctx *ctx, const char *path, const char *what, int error) {
  static const int fault[] = {ENOENT, ENOTDIR, EISDIR, EACCES, EPERM, ELOOP, ENAMETOOLONG, ENXIO};
  dp_status status = DP_ERR_IO;
  for (size_t k = 0; k < DPI_COUNT(fault); k++)
    if (error == fault[k]) status = DP_ERR_INPUT;
  return fail_as(ctx, status, path, what, error);
}

/* ---- reading ---- */

/* Read fd to its end into *data (capacity *cap); one byte beyond max shows that there is more than
 * allowed. */
static dp_status read_all(dp_ctx *ctx, const char *path, int fd, size_t max, char **data,
                          size_t *size, size_t cap) {
  size_t n = 0;
  for (;;) {
    if (n + 1 >= cap) {
      size_t want = cap < max / 2 ? cap * 2 : max + 2;
      char *now = dpi_realloc(ctx, *data, want);
      if (!now) return DP_ERR_MEMORY;
      *data = now;
      cap = want;
    }
    ssize_t got = read(fd, *data + n, cap - n - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return dpi_fail_path(ctx, path, "cannot be read", errno);
    if (got == 0) break;
    n += (size_t)got;
    if (n > max) {
      return dpi_fail(ctx, DP_ERR_INPUT, "%s: found more than %zu bytes, expected at most that",
                      path, max);
    }
  }
  (*data)[n] = '\0';
  *size = n;
  return DP_OK;
}

dp_status dpi_file_read(dp_ctx *ctx, const char *path, size_t max, char **data, size_t *size) {
  *data = NULL;
  *size = 0;
  if (max == 0) max = READ_MOST;
  if (max > SIZE_MAX / 4) max = SIZE_MAX / 4;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return dpi_fail_path(ctx, path, "cannot be opened", errno);
  struct stat st;
  size_t cap = 65536;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0) {
    cap = (size_t)st.st_size < max ? (size_t)st.st_size + 2 : max + 2;
  }
  dp_status status = DP_ERR_MEMORY;
  *data = dpi_realloc(ctx, NULL, cap);
  if (*data) status = read_all(ctx, path, fd, max, data, size, cap);
  close(fd);
  if (status == DP_OK) return DP_OK;
  dpi_free(ctx, *data);
  *data = NULL;
  return status;
}

bool dpi_file_exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0;
}

/* ---- writing ---- */

static int write_all(int fd, const char *data, size_t size) {
  while (size) {
    ssize_t n = write(fd, data, size < (1u << 30) ? size : 1u << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return ENOSPC;
    data += n;
    size -= (size_t)n;
  }
  return 0;
}

/* Make the temporary file; names left over by a dead process are stepped over. */
static int temp_open(const char *path, char *temp, size_t ntemp) {
  static atomic_uint serial;
  for (int attempt = 0; attempt < 100; attempt++) {
    unsigned n = atomic_fetch_add(&serial, 1);
    snprintf(temp, ntemp, "%s.%ld-%u.tmp", path, (long)getpid(), n);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

/* Bytes to disk under the temporary name, with the permissions of the file it is to replace. */
static int temp_write(int fd, const char *path, const void *data, size_t size) {
  struct stat st;
  int error = write_all(fd, data, size);
  if (!error && stat(path, &st) == 0 && fchmod(fd, st.st_mode & 07777) != 0) error = errno;
  /* some file systems cannot sync and say so with EINVAL: that is not a failure to write */
  if (!error && fsync(fd) != 0 && errno != EINVAL) error = errno;
  if (close(fd) != 0 && !error) error = errno;
  return error;
}

/* The rename itself becomes durable; without permission to open the folder it is merely atomic. */
static void sync_folder(char *temp) {
  char *slash = strrchr(temp, '/');
  if (slash) slash[slash == temp] = '\0';
  int fd = open(slash ? temp : ".", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

dp_status dpi_file_write(dp_ctx *ctx, const char *path, const void *data, size_t size) {
  size_t ntemp = strlen(path) + 48;
  char *temp = dpi_alloc(ctx, ntemp);
  if (!temp) return DP_ERR_MEMORY;
  int error = 0;
  int fd = temp_open(path, temp, ntemp);
  if (fd < 0) {
    error = errno;
  } else {
    error = temp_write(fd, path, data, size);
    if (!error && rename(temp, path) != 0) error = errno;
    if (error)
      unlink(temp);
    else
      sync_folder(temp);
  }
  dpi_free(ctx, temp);
  return error ? fail_as(ctx, DP_ERR_IO, path, "cannot be written", error) : DP_OK;
}

/* ---- SHA-256 (FIPS 180-4) through OpenSSL ---- */

struct dpi_sha256 {
  dp_ctx *ctx;
  EVP_MD_CTX *md;
  bool failed;
};

static void hex_of(const unsigned char digest[32], char hex[65]) {
  static const char digit[] = "0123456789abcdef";
  for (int k = 0; k < 32; k++) {
    hex[2 * k] = digit[digest[k] >> 4];
    hex[2 * k + 1] = digit[digest[k] & 15];
  }
  hex[64] = '\0';
}

void dpi_sha256_hex(const void *data, size_t size, char hex[65]) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  hex[0] = '\0';
  if (EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) == 1) hex_of(digest, hex);
}

dpi_sha256 *dpi_sha256_create(dp_ctx *ctx) {
  dpi_sha256 *h = DPI_NEW(ctx, dpi_sha256);
  if (!h) return NULL;
  h->ctx = ctx;
  h->md = EVP_MD_CTX_new();
  if (h->md && EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) == 1) return h;
  EVP_MD_CTX_free(h->md);
  dpi_free(ctx, h);
  dpi_fail(ctx, DP_ERR_MEMORY, "out of memory: SHA-256 could not be started");
  return NULL;
}

void dpi_sha256_add(dpi_sha256 *h, const void *data, size_t size) {
  if (size && EVP_DigestUpdate(h->md, data, size) != 1) h->failed = true;
}

void dpi_sha256_finish(dpi_sha256 *h, char hex[65]) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  hex[0] = '\0';
  if (!h) return;
  if (!h->failed && EVP_DigestFinal_ex(h->md, digest, NULL) == 1) hex_of(digest, hex);
  EVP_MD_CTX_free(h->md);
  dpi_free(h->ctx, h);
}
