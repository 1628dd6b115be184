/* suite_cases.c - floor 8: the cases of a folder found, judged on all threads, reported in order.
 *
 * A case is a folder NAME that holds NAME-settings.txt. Workers take cases in ascending order; a finished case waits
 * until all before it are reported. Which thread judged a case never changes its result.
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "suite/suite_impl.h"

#define COOKIE 0x73626d31u

dp_sbml_def dp_sbml_def_default(void) {
  dp_sbml_def d = {.cookie = COOKIE, .runs = 10000, .seed = 1};
  return d;
}

void dpi_suite_verdict(dp_sbml_case *r, const char *status, const char *fmt, ...) {
  va_list ap;
  snprintf(r->status, sizeof r->status, "%s", status);
  va_start(ap, fmt);
  vsnprintf(r->why, sizeof r->why, fmt, ap);
  va_end(ap);
}

/* ---- which cases ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Is id the one named, or within FIRST-LAST? */
static bool matches(const char *only, const char *id) {
  size_t n = strlen(id);
  if (!strcmp(only, id)) return true;
  return strlen(only) == 2 * n + 1 && only[n] == '-' && strncmp(only, id, n) <= 0 && strcmp(id, only + n + 1) <= 0;
}

static bool wanted(const dp_sbml_def *def, const char *id) {
  for (int k = 0; k < def->nonly; k++)
    if (matches(def->only[k], id)) return true;
  return def->nonly == 0;
}

/* All folders of dir that are cases and asked for. */
static dp_status scan(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, dpi_suite_list *list) {
  const char **id = NULL;
  int cap = 0;
  DIR *folder = opendir(dir);
  if (!folder) return dpi_fail_path(ctx, dir, "cannot be opened as a folder", errno);
  dp_status status = DP_OK;
  for (struct dirent *e; status == DP_OK && (e = readdir(folder));) {
    if (e->d_name[0] == '.' || !wanted(def, e->d_name)) continue;
    const char *path = dpi_arena_printf(&list->arena, "%s/%s/%s-settings.txt", dir, e->d_name, e->d_name);
    if (path && !dpi_file_exists(path)) continue;
    status = path ? dpi_grow(ctx, (void **)&id, &cap, list->n + 1, sizeof *id) : DP_ERR_MEMORY;
    if (status == DP_OK && !(id[list->n++] = dpi_arena_strdup(&list->arena, e->d_name))) status = DP_ERR_MEMORY;
  }
  closedir(folder);
  if (status == DP_OK) {
    list->id = DPI_ARENA_ARRAY(&list->arena, const char *, list->n + 1);
    if (list->id && list->n) memcpy(list->id, id, sizeof *id * (size_t)list->n);
    if (!list->id) status = DP_ERR_MEMORY;
  }
  dpi_free(ctx, id);
  return status;
}

static dp_status check_only(dp_ctx *ctx, const dp_sbml_def *def, const dpi_suite_list *list) {
  for (int k = 0; k < def->nonly; k++) {
    int found = 0;
    for (int i = 0; i < list->n && !found; i++) found = matches(def->only[k], list->id[i]);
    if (!found) return dpi_fail(ctx, DP_ERR_INPUT, "%s: no case '%s' here", list->dir, def->only[k]);
  }
  return list->n ? DP_OK : dpi_fail(ctx, DP_ERR_INPUT, "%s: found no NAME/NAME-settings.txt", list->dir);
}

dp_status dpi_suite_list_read(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, dpi_suite_list *list) {
  memset(list, 0, sizeof *list);
  if (def->cookie != COOKIE) return dpi_fail(ctx, DP_ERR_USAGE, "dp_sbml_def: start from dp_sbml_def_default()");
  dpi_arena_init(&list->arena, ctx);
  list->dir = dpi_arena_strdup(&list->arena, dir);
  dp_status status = list->dir ? scan(ctx, dir, def, list) : DP_ERR_MEMORY;
  if (status == DP_OK) {
    qsort(list->id, (size_t)list->n, sizeof *list->id, by_text);
    status = check_only(ctx, def, list);
  }
  if (status != DP_OK) dpi_arena_release(&list->arena);
  return status;
}

/* ---- all of them ---- */

typedef struct suite_run {
  dp_ctx *ctx;
  const dp_sbml_def *def;
  const dpi_suite_list *list;
  dpi_judge_fn judge;
  dp_sbml_fn each;
  void *user;
  dp_sbml_case *result; /* [list->n] */
  uint8_t *done;        /* [list->n], guarded by lock like all below */
  int next;             /* first case not reported yet */
  pthread_mutex_t lock;
} suite_run;

/* Report case i and those behind it that waited for it. */
static void report(suite_run *w, int i) {
  pthread_mutex_lock(&w->lock);
  w->done[i] = 1;
  while (w->next < w->list->n && w->done[w->next]) {
    w->each(w->user, &w->result[w->next]);
    w->next++;
  }
  pthread_mutex_unlock(&w->lock);
}

/* dpi_work_fn: one case. Only a lack of memory and a request to stop end the whole run. */
static dp_status run_case(void *user, int i, int worker) {
  (void)worker;
  suite_run *w = user;
  dp_sbml_case *r = &w->result[i];
  dpi_suite_case *c = NULL;
  char dir[2048];
  double start = dpi_clock_s();
  snprintf(r->id, sizeof r->id, "%.15s", w->list->id[i]);
  snprintf(dir, sizeof dir, "%s/%s", w->list->dir, w->list->id[i]);
  r->worst = NAN;
  dp_status status = dpi_suite_case_read(w->ctx, dir, w->list->id[i], &c);
  if (status == DP_OK) {
    r->analytic = c->analytic;
    status = w->judge(w->ctx, c, w->def, r);
  }
  dpi_suite_case_destroy(c);
  if (status == DP_ERR_MEMORY || dp_ctx_cancelled(w->ctx)) return status == DP_OK ? DP_ERR_CANCELLED : status;
  if (status != DP_OK) {
    const char *message = dp_ctx_error(w->ctx);
    dpi_suite_verdict(r, status == DP_ERR_UNSUPPORTED ? "refused" : "error", "%s",
                      message[0] ? message : dp_status_sentence(status));
  }
  dp_ctx_clear_error(w->ctx);
  r->seconds = dpi_clock_s() - start;
  report(w, i);
  return DP_OK;
}

static dp_status run_list(suite_run *w, bool in_turn) {
  if (!in_turn) return dpi_parallel_for(w->ctx, w->list->n, run_case, w);
  for (int i = 0; i < w->list->n; i++) {
    if (dp_ctx_cancelled(w->ctx)) return dpi_fail(w->ctx, DP_ERR_CANCELLED, "stopped on request");
    DP_TRY(run_case(w, i, 0));
  }
  return DP_OK;
}

dp_status dpi_suite_run(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, bool in_turn, dpi_judge_fn judge,
                        dp_sbml_fn each, void *user) {
  dpi_suite_list list;
  DP_TRY(dpi_suite_list_read(ctx, dir, def, &list));
  suite_run w = {.ctx = ctx, .def = def, .list = &list, .judge = judge, .each = each, .user = user};
  w.result = DPI_ARENA_ARRAY(&list.arena, dp_sbml_case, list.n);
  w.done = DPI_ARENA_ARRAY(&list.arena, uint8_t, list.n);
  dp_status status = DP_ERR_MEMORY;
  if (w.result && w.done) {
    pthread_mutex_init(&w.lock, NULL);
    status = run_list(&w, in_turn);
    pthread_mutex_destroy(&w.lock);
  }
  dpi_arena_release(&list.arena);
  return status;
}
