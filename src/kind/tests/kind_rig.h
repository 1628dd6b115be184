/* kind_rig.h - what the room's tests share: a context, a folder of their own, kinds with one text changed. */
#ifndef DPI_KIND_RIG_H
#define DPI_KIND_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kind/kind_impl.h"

#define TWINS DOPPEL_SOURCE_DIR "/twins"

typedef struct rig {
  dp_ctx *ctx;
  char dir[200]; /* removed at the end */
} rig;

static inline int rig_setup(void **state) {
  rig *r = calloc(1, sizeof *r);
  dp_ctx_def def = dp_ctx_def_default();
  if (!r || dp_ctx_create(&def, &r->ctx) != DP_OK) return -1;
  snprintf(r->dir, sizeof r->dir, "/tmp/doppel-kind-XXXXXX");
  if (!mkdtemp(r->dir)) return -1;
  *state = r;
  return 0;
}

/* dir/name into path */
static inline void rig_join(char *path, size_t size, const char *dir, const char *name) {
  int n = snprintf(path, size, "%s/%s", dir, name);
  if (n < 0 || (size_t)n >= size) abort();
}

static inline void rig_remove(const char *dir) {
  DIR *d = opendir(dir);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    char path[1400];
    struct stat st;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    rig_join(path, sizeof path, dir, e->d_name);
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
      rig_remove(path);
    else
      unlink(path);
  }
  closedir(d);
  rmdir(dir);
}

/* Also checks that nothing is left in memory. */
static inline int rig_teardown(void **state) {
  rig *r = *state;
  size_t live = dpi_alloc_live(r->ctx);
  rig_remove(r->dir);
  dp_ctx_destroy(r->ctx);
  free(r);
  if (live != 0) fprintf(stderr, "%zu blocks left\n", live);
  return live == 0 ? 0 : -1;
}

/* Text of a file, to be freed. */
static inline char *rig_read(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *text = calloc(1, 1 << 20);
  size_t n = fread(text, 1, (1 << 20) - 1, f);
  text[n] = '\0';
  fclose(f);
  return text;
}

static inline void rig_write(const char *path, const char *text) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static inline void rig_copy(const char *from, const char *to) {
  DIR *d = opendir(from);
  assert_non_null(d);
  assert_int_equal(mkdir(to, 0777), 0);
  for (struct dirent *e; (e = readdir(d));) {
    char a[1400], b[1400];
    struct stat st;
    if (e->d_name[0] == '.') continue;
    rig_join(a, sizeof a, from, e->d_name);
    rig_join(b, sizeof b, to, e->d_name);
    assert_int_equal(stat(a, &st), 0);
    if (S_ISDIR(st.st_mode)) {
      rig_copy(a, b);
    } else {
      char *text = rig_read(a);
      rig_write(b, text);
      free(text);
    }
  }
  closedir(d);
}

/* In a file, the first occurrence of `from` becomes `to`; it must occur. */
static inline void rig_edit(const char *dir, const char *file, const char *from, const char *to) {
  char path[600];
  rig_join(path, sizeof path, dir, file);
  char *text = rig_read(path);
  assert_non_null(text);
  char *hit = strstr(text, from);
  if (!hit) fail_msg("%s: '%s' does not occur", file, from);
  char *out = calloc(1, strlen(text) + strlen(to) + 1);
  memcpy(out, text, (size_t)(hit - text));
  strcat(out, to);
  strcat(out, hit + strlen(from));
  rig_write(path, out);
  free(out);
  free(text);
}

/* A fresh copy of a kind under the test's folder. */
static inline const char *rig_kind(rig *r, const char *name) {
  static int count;
  static char dir[400];
  char from[400];
  snprintf(from, sizeof from, TWINS "/%s", name);
  snprintf(dir, sizeof dir, "%s/k%d", r->dir, count++);
  rig_copy(from, dir);
  return dir;
}

static inline dp_kind *rig_load(rig *r, const char *dir) {
  dp_kind *kind = NULL;
  if (dp_kind_load(r->ctx, dir, &kind) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  return kind;
}

/* The record in `text` under the kind; it must be good. */
static inline dp_record *rig_record(rig *r, const dp_kind *kind, const char *text) {
  char path[400];
  dp_record *record = NULL;
  rig_join(path, sizeof path, r->dir, "record.csv");
  rig_write(path, text);
  if (dp_kind_record(kind, path, &record) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  return record;
}

/* Simulate one case at eta, with derivatives; free with dp_result_destroy. */
static inline dp_result *rig_simulate(rig *r, const dpi_case *c, const double *typical,
                                      const double *eta) {
  const dp_sim *sim = c->kind->sim;
  double *param = calloc((size_t)dp_sim_describe(sim)->nparam + 1, sizeof *param);
  dp_instant *instant = calloc((size_t)c->ninstant + 1, sizeof *instant);
  dpi_case_apply(c, typical, eta, param, instant);
  dp_member m = {.param = param,
                 .seed = c->seed,
                 .instant = instant,
                 .ninstant = c->ninstant,
                 .out = c->out,
                 .nout = c->nout,
                 .stream = c->stream};
  dp_run_opts opts = dp_run_opts_default();
  opts.ndir = c->neta;
  dp_result *result = NULL;
  if (dp_simulate(sim, &m, 1, &opts, &result) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  assert_int_equal(result->nfailed, 0);
  free(param);
  free(instant);
  return result;
}

/* Prediction of observation i. */
static inline double rig_prediction(const dpi_case *c, const dp_result *result, int i) {
  const dpi_case_obs *o = &c->obs[i];
  return result->value[o->row * result->noutput + c->kind->observable[o->observable].value_output];
}

static inline void rig_near(double a, double b, double tolerance) {
  if (!(fabs(a - b) <= tolerance * (1 + fabs(b)))) fail_msg("found %.15g, expected %.15g", a, b);
}

#endif
