/* jit_cache.c - floor 3: machine code kept on disk.
 *
 * <folder>/<first two digits of the key>/<the other 62>:
 *
 *     "doppel-code 1\n"  14 bytes
 *     key                64 hex digits and a newline
 *     SHA-256 of what follows, 64 hex digits and a newline
 *     an object file
 *
 * 1. an entry appears by rename: nobody sees half of one; the last of two writers wins, and both wrote the same;
 * 2. what is read is executed: a file that another user owns or may write, or whose bytes do not match, does not count;
 * 3. nothing here fails: no folder, no permission, no space means no entry. The context's messages are left alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "jit/jit_impl.h"

#define MAGIC "doppel-code 1\n"
enum { NMAGIC = sizeof MAGIC - 1, NHASH = 65, NHEAD = NMAGIC + 2 * NHASH };
#define ENTRY_MOST ((size_t)64 << 20)

/* <folder>/ab/cdef..., and with suffix; NULL without memory */
static char *entry_path(dp_ctx *ctx, const char *folder, const char *key, const char *suffix) {
  size_t n = strlen(folder) + strlen(key) + strlen(suffix) + 4;
  char *path = dpi_alloc(ctx, n);
  if (path) snprintf(path, n, "%s/%.2s/%s%s", folder, key, key + 2, suffix);
  return path;
}

/* ---- reading ---- */

static bool read_exactly(int fd, char *data, size_t size) {
  while (size > 0) {
    ssize_t n = read(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= (size_t)n;
  }
  return true;
}

/* is it a file of ours that nobody else could have written? */
static bool trusted(int fd, size_t *size) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return false;
  if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022) != 0) return false;
  if (st.st_size < NHEAD || (size_t)st.st_size > ENTRY_MOST) return false;
  *size = (size_t)st.st_size;
  return true;
}

static bool head_matches(const char *head, const char *key, const char *data, size_t size) {
  char hash[65];
  if (memcmp(head, MAGIC, NMAGIC) != 0) return false;
  if (memcmp(head + NMAGIC, key, 64) != 0 || head[NMAGIC + 64] != '\n' || head[NHEAD - 1] != '\n') return false;
  dpi_sha256_hex(data, size, hash);
  return hash[0] != '\0' && memcmp(head + NMAGIC + NHASH, hash, 64) == 0;
}

bool dpi_jit_cache_read(dp_ctx *ctx, const char *folder, const char *key, char **data, size_t *size) {
  char head[NHEAD], *path = entry_path(ctx, folder, key, "");
  *data = NULL;
  if (path == NULL) return false;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  dpi_free(ctx, path);
  if (fd < 0) return false;
  size_t n = 0;
  bool good = trusted(fd, &n) && read_exactly(fd, head, NHEAD);
  if (good) {
    n -= NHEAD;
    *data = dpi_alloc(ctx, n);
    good = *data != NULL && read_exactly(fd, *data, n) && head_matches(head, key, *data, n);
  }
  /* what is used is young again; where that isn't allowed it only goes earlier */
  if (good) (void)futimens(fd, NULL);
  close(fd);
  if (good) {
    *size = n;
  } else {
    dpi_free(ctx, *data);
    *data = NULL;
  }
  return good;
}

/* ---- writing ---- */

/* the folder and all above it that are missing: the owner's alone */
static void make_folders(char *path) {
  for (char *p = path + 1; *p != '\0'; p++) {
    if (*p != '/') continue;
    *p = '\0';
    (void)mkdir(path, 0700);
    *p = '/';
  }
}

static bool write_exactly(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= (size_t)n;
  }
  return true;
}

static bool write_entry(int fd, const char *key, const void *data, size_t size) {
  char head[NHEAD + 1], hash[65];
  dpi_sha256_hex(data, size, hash);
  snprintf(head, sizeof head, "%s%s\n%s\n", MAGIC, key, hash);
  return hash[0] != '\0' && write_exactly(fd, head, NHEAD) && write_exactly(fd, data, size);
}

void dpi_jit_cache_write(dp_ctx *ctx, const char *folder, const char *key, const void *data, size_t size) {
  static atomic_uint serial; /* tells writers of one process apart */
  char suffix[64];
  if (strlen(key) != 64 || size > ENTRY_MOST - NHEAD) return;
  snprintf(suffix, sizeof suffix, ".%ld-%u.tmp", (long)getpid(), atomic_fetch_add(&serial, 1));
  char *path = entry_path(ctx, folder, key, ""), *temp = entry_path(ctx, folder, key, suffix);
  if (path && temp) {
    make_folders(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
      bool good = write_entry(fd, key, data, size);
      if (close(fd) != 0) good = false;
      if (!good || rename(temp, path) != 0) (void)unlink(temp);
    }
  }
  dpi_free(ctx, path);
  dpi_free(ctx, temp);
}

/* ---- keeping it small ---- */

typedef struct entry {
  struct timespec time;
  size_t size;
  char name[3 + 62 + 1]; /* "ab/cdef..." */
} entry;

typedef struct entry_list {
  dp_ctx *ctx;
  entry *item;
  int n, cap;
  size_t total;
} entry_list;

static bool is_hex(const char *s, size_t n) { return strlen(s) == n && strspn(s, "0123456789abcdef") == n; }

/* entries of one shard; temporary files of an hour ago were left by somebody who died */
static void list_shard(entry_list *l, int fd, const char *shard) {
  DIR *dir = fdopendir(fd);
  if (dir == NULL) {
    close(fd);
    return;
  }
  for (struct dirent *d; (d = readdir(dir)) != NULL;) {
    struct stat st;
    if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) continue;
    size_t n = strlen(d->d_name);
    if (n > 4 && strcmp(d->d_name + n - 4, ".tmp") == 0) {
      struct timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      if (now.tv_sec - st.st_mtim.tv_sec > 3600) (void)unlinkat(fd, d->d_name, 0);
    }
    if (!is_hex(d->d_name, 62)) continue;
    if (dpi_grow(l->ctx, (void **)&l->item, &l->cap, l->n + 1, sizeof *l->item) != DP_OK) break;
    entry *e = &l->item[l->n++];
    e->time = st.st_mtim;
    e->size = (size_t)st.st_size;
    snprintf(e->name, sizeof e->name, "%.2s/%.62s", shard, d->d_name);
    l->total += e->size;
  }
  closedir(dir);
}

static int older(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->time.tv_sec != y->time.tv_sec) return x->time.tv_sec < y->time.tv_sec ? -1 : 1;
  if (x->time.tv_nsec != y->time.tv_nsec) return x->time.tv_nsec < y->time.tv_nsec ? -1 : 1;
  return strcmp(x->name, y->name);
}

void dpi_jit_cache_trim(dp_ctx *ctx, const char *folder, size_t most) {
  entry_list l = {.ctx = ctx};
  DIR *dir = opendir(folder);
  if (dir == NULL) return;
  for (struct dirent *d; (d = readdir(dir)) != NULL;) {
    if (!is_hex(d->d_name, 2)) continue;
    int fd = openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) list_shard(&l, fd, d->d_name);
  }
  if (l.total > most) {
    /* a tenth more than need be, so that the next entry does not start this again */
    size_t goal = most - most / 10;
    qsort(l.item, (size_t)l.n, sizeof *l.item, older);
    for (int i = 0; i < l.n && l.total > goal; i++) {
      (void)unlinkat(dirfd(dir), l.item[i].name, 0);
      l.total -= l.item[i].size;
    }
  }
  closedir(dir);
  dpi_free(ctx, l.item);
}
