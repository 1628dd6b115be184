/* suite_petab.c - floor 6: PEtab's test cases and published calibration problems (see doppel/suite.h).
 *
 * A case is a folder with NAME.yaml and NAME_solution.yaml:
 *     chi2: 0.79   llh: -0.85   simulation_files: [_simulations.tsv]   tol_chi2, tol_llh, tol_simulations
 *     log_prior: {p1: -0.69, ...}   tol_log_prior   unnorm_log_posterior   tol_unnorm_log_posterior
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/table.h"
#include "infer/petab/calib.h"
#include "infer/petab/suite_petab.h"
#include "kind/kind_yaml.h"

dp_petab_suite_def dp_petab_suite_def_default(void) {
  return (dp_petab_suite_def){
      .cookie = 0x70737531u, .other = "cvode", .points = 5, .lines = 8, .seed = 1, .gradient_rtol = 1e-12, .timings = 3};
}

/* ---- folders ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Names in a folder, sorted, without hidden ones. */
dp_status dpi_suite_names(dpi_arena *arena, const char *dir, int *n, const char ***out) {
  DIR *d = opendir(dir);
  if (!d) return dpi_fail_path(arena->ctx, dir, "cannot be opened as a folder", errno);
  int cap = 0;
  const char **list = NULL;
  dp_status st = DP_OK;
  *n = 0;
  for (struct dirent *e; st == DP_OK && (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    st = dpi_grow(arena->ctx, (void **)&list, &cap, *n + 1, sizeof *list);
    if (st == DP_OK && !(list[*n] = dpi_arena_strdup(arena, e->d_name))) st = DP_ERR_MEMORY;
    if (st == DP_OK) ++*n;
  }
  closedir(d);
  *out = DPI_ARENA_ARRAY(arena, const char *, *n + 1);
  if (st == DP_OK && !*out) st = DP_ERR_MEMORY;
  if (st == DP_OK && *n) {
    memcpy((void *)*out, list, (size_t)*n * sizeof *list);
    qsort((void *)*out, (size_t)*n, sizeof **out, by_text);
  }
  dpi_free(arena->ctx, (void *)list);
  return st;
}

bool dpi_suite_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static bool among(const char *const *list, int n, const char *id) {
  const char *last = strrchr(id, '/');
  last = last ? last + 1 : id;
  for (int i = 0; i < n; i++)
    if (!strcmp(list[i], id) || !strcmp(list[i], last)) return true;
  return false;
}

bool dpi_suite_wanted(const dp_petab_suite_def *def, const char *id) {
  return (def->nonly == 0 || among(def->only, def->nonly, id)) && !among(def->skip, def->nskip, id);
}

static dp_status found_all(dp_ctx *ctx, const char *dir, const char *option, const char *const *list, int nlist,
                           const char *const *id, int n) {
  for (int k = 0; k < nlist; k++) {
    bool found = false;
    for (int i = 0; i < n && !found; i++) found = among(&list[k], 1, id[i]);
    if (!found)
      return dpi_fail(ctx, DP_ERR_INPUT, "%s: option %s: '%.100s' is none of the %d there (the first is %s)", dir, option,
                      list[k], n, n ? id[0] : "-");
  }
  return DP_OK;
}

dp_status dpi_suite_all_found(dp_ctx *ctx, const dp_petab_suite_def *def, const char *dir, const char *const *id, int n) {
  DP_TRY(found_all(ctx, dir, "--only", def->only, def->nonly, id, n));
  return found_all(ctx, dir, "--skip", def->skip, def->nskip, id, n);
}

/* ---- what a case expects ---- */

typedef struct expected {
  double chi2, llh, tol_chi2, tol_llh, tol_simulations, tol_prior, posterior, tol_posterior;
  const dpi_yaml *files, *prior;
} expected;

static dp_status read_expected(dpi_yaml_doc *doc, expected *e) {
  char *text = NULL;
  size_t size;
  DP_TRY(dpi_file_read(doc->ctx, doc->source, (size_t)16 << 20, &text, &size));
  dp_status st = dpi_yaml_parse(doc, text, size);
  dpi_free(doc->ctx, text);
  if (st != DP_OK) return st;
  const struct {
    const char *key;
    double *to;
  } number[] = {{"chi2", &e->chi2}, {"llh", &e->llh}, {"unnorm_log_posterior", &e->posterior}};
  const struct {
    const char *key;
    double *to;
  } tolerance[] = {{"tol_chi2", &e->tol_chi2},
                   {"tol_llh", &e->tol_llh},
                   {"tol_simulations", &e->tol_simulations},
                   {"tol_log_prior", &e->tol_prior},
                   {"tol_unnorm_log_posterior", &e->tol_posterior}};
  for (int i = 0; i < DPI_COUNT(number); i++) {
    *number[i].to = NAN;
    if (dpi_yaml_get(doc->root, number[i].key)) DP_TRY(dpi_yaml_number(doc, doc->root, number[i].key, 0, number[i].to));
  }
  for (int i = 0; i < DPI_COUNT(tolerance); i++)
    DP_TRY(dpi_yaml_number(doc, doc->root, tolerance[i].key, 1e-3, tolerance[i].to));
  e->files = dpi_yaml_get(doc->root, "simulation_files");
  e->prior = dpi_yaml_get(doc->root, "log_prior");
  return DP_OK;
}

/* ---- judging ---- */

typedef struct judge {
  dp_ctx *ctx;
  dpi_arena arena;
  dp_petab_case *r;
  const char *dir;
  expected want;
  dp_problem *problem;
  dp_problem_value got;
  bool *used; /* [ndatum] data that a row of the simulation table has met */
} judge;

static void compare(judge *j, const char *what, double got, double want, double tolerance) {
  const double off = fabs(got - want) / tolerance;
  j->r->compared++;
  if (isnan(want) && isnan(got)) return;
  if (!(off <= j->r->worst)) j->r->worst = isnan(off) ? INFINITY : off;
  if (off <= 1 || j->r->why[0]) return;
  snprintf(j->r->status, sizeof j->r->status, "fail");
  snprintf(j->r->why, sizeof j->r->why, "%s: found %.12g, expected %.12g within %g", what, got, want, tolerance);
}

/* The next datum that a row of the simulation table means, -1. */
static int find_datum(judge *j, const char *observable, const char *experiment, double time) {
  const dp_problem_desc *d = dp_problem_describe(j->problem);
  for (int i = 0; i < d->ndatum; i++)
    if (!j->used[i] && !strcmp(d->observable[d->datum_observable[i]], observable) &&
        !strcmp(d->datum_experiment[i], experiment) && d->datum_time[i] == time) {
      j->used[i] = true;
      return i;
    }
  return -1;
}

static dp_status compare_row(judge *j, const dpi_table *t, int row) {
  double time, value;
  char what[200];
  const int condition = dpi_table_column(t, "simulationConditionId");
  const char *before = dpi_table_cell(t, row, dpi_table_column(t, "preequilibrationConditionId"));
  const char *experiment = dpi_table_cell(t, row, condition >= 0 ? condition : dpi_table_column(t, "experimentId"));
  const char *observable = dpi_table_cell(t, row, dpi_table_column(t, "observableId"));
  DP_TRY(dpi_table_bound_or(t, row, dpi_table_column(t, "time"), NAN, &time));
  DP_TRY(dpi_table_bound_or(t, row, dpi_table_column(t, "simulation"), NAN, &value));
  if (before[0]) experiment = dpi_arena_printf(&j->arena, "%s|%s", before, experiment);
  if (!experiment) return DP_ERR_MEMORY;
  const int i = find_datum(j, observable, experiment, time);
  if (i < 0)
    return dpi_table_fail(t, row, -1, "found no measurement of '%s' in '%s' at %g for this simulation", observable,
                          experiment, time);
  snprintf(what, sizeof what, "simulation of '%.60s' in '%.60s' at %g", observable, experiment, time);
  compare(j, what, j->got.simulation[i], value, j->want.tol_simulations);
  return DP_OK;
}

static dp_status compare_simulations(judge *j) {
  for (const dpi_yaml *f = j->want.files ? j->want.files->first : NULL; f; f = f->next) {
    dpi_table *t = NULL;
    const char *path = dpi_arena_printf(&j->arena, "%s/%s", j->dir, f->text ? f->text : "");
    if (!path) return DP_ERR_MEMORY;
    DP_TRY(dpi_table_load(j->ctx, path, '\t', &t));
    dp_status st = DP_OK;
    for (int row = 0; row < t->nrow && st == DP_OK; row++) st = compare_row(j, t, row);
    dpi_table_destroy(t);
    DP_TRY(st);
  }
  return DP_OK;
}

static dp_status compare_priors(judge *j, const dpi_yaml_doc *doc) {
  for (const dpi_yaml *y = j->want.prior ? j->want.prior->first : NULL; y; y = y->next) {
    double want;
    char what[120];
    const int q = dp_problem_param(j->problem, y->key);
    DP_TRY(dpi_yaml_number(doc, j->want.prior, y->key, NAN, &want));
    if (q < 0)
      return dpi_fail(j->ctx, DP_ERR_INPUT, "%s:%d: '%s' is not among the estimated", doc->source, y->line, y->key);
    snprintf(what, sizeof what, "prior of '%.80s'", y->key);
    compare(j, what, j->got.prior[q], want, j->want.tol_prior);
  }
  if (isfinite(j->want.posterior))
    compare(j, "posterior", j->got.llh + j->got.log_prior, j->want.posterior, j->want.tol_posterior);
  return DP_OK;
}

static dp_status compare_all(judge *j, const dpi_yaml_doc *doc) {
  const dp_problem_desc *d = dp_problem_describe(j->problem);
  j->got.simulation = DPI_ARENA_ARRAY(&j->arena, double, d->ndatum + 1);
  j->got.prior = DPI_ARENA_ARRAY(&j->arena, double, d->nparam + 1);
  j->used = DPI_ARENA_ARRAY(&j->arena, bool, d->ndatum + 1);
  if (!j->got.simulation || !j->got.prior || !j->used) return DP_ERR_MEMORY;
  DP_TRY(dp_problem_eval(j->problem, 1, d->nominal, DP_PROBLEM_VALUE, &j->got));
  j->r->llh = j->got.llh;
  j->r->expected = j->want.llh;
  if (!j->got.ok) return dpi_fail(j->ctx, DP_ERR_NUMERIC, "%s", j->got.reason);
  DP_TRY(compare_simulations(j));
  if (isfinite(j->want.chi2)) compare(j, "chi2", j->got.chi2, j->want.chi2, j->want.tol_chi2);
  if (isfinite(j->want.llh)) compare(j, "llh", j->got.llh, j->want.llh, j->want.tol_llh);
  return compare_priors(j, doc);
}

static dp_status judge_case(judge *j, const dp_petab_suite_def *def, const char *problem, const char *solution) {
  dp_problem_def pd = dp_problem_def_default();
  dpi_yaml_doc doc = {.ctx = j->ctx, .arena = &j->arena, .source = solution};
  pd.quiet = 1;
  if (def->method) pd.method = def->method;
  if (def->rtol > 0) pd.rtol = def->rtol;
  if (def->atol > 0) pd.atol = def->atol;
  DP_TRY(read_expected(&doc, &j->want));
  DP_TRY(dp_problem_open(j->ctx, problem, &pd, &j->problem));
  return compare_all(j, &doc);
}

/* A case's outcome is its own; only lack of memory and a request to stop end the suite. */
dp_status dpi_suite_outcome(dp_ctx *ctx, dp_status st, char status[12], char *why, size_t room) {
  if (st == DP_ERR_MEMORY || st == DP_ERR_CANCELLED || dp_ctx_cancelled(ctx))
    return st == DP_OK ? DP_ERR_CANCELLED : st;
  if (st != DP_OK) {
    const char *message = dp_ctx_error(ctx);
    snprintf(status, 12, "%s", st == DP_ERR_UNSUPPORTED ? "refused" : "error");
    snprintf(why, room, "%s", message[0] ? message : dp_status_sentence(st));
  }
  dp_ctx_clear_error(ctx);
  return DP_OK;
}

typedef struct walk {
  dp_ctx *ctx;
  dpi_arena arena;
  const dp_petab_suite_def *def;
  dp_petab_case_fn each;
  void *user;
  size_t root; /* length of dir with its slash */
  const char **id; /* of all cases, in their order; owned */
  int nid, cap_id;
  bool list; /* they are only listed */
} walk;

static dp_status list_case(walk *w, const char *dir) {
  DP_TRY(dpi_grow(w->ctx, (void **)&w->id, &w->cap_id, w->nid + 1, sizeof *w->id));
  w->id[w->nid] = dpi_arena_strdup(&w->arena, strlen(dir) > w->root ? dir + w->root : dir);
  return w->id[w->nid++] ? DP_OK : DP_ERR_MEMORY;
}

static dp_status run_case(walk *w, const char *dir, const char *name) {
  dp_petab_case r = {.status = "pass", .worst = 0};
  judge j = {.ctx = w->ctx, .r = &r, .dir = dir};
  const double start = dpi_clock_s();
  const char *problem =
      dpi_arena_printf(&w->arena, "%s/%.*s.yaml", dir, (int)(strlen(name) - strlen("_solution.yaml")), name);
  const char *solution = dpi_arena_printf(&w->arena, "%s/%s", dir, name);
  if (!problem || !solution) return DP_ERR_MEMORY;
  snprintf(r.id, sizeof r.id, "%s", strlen(dir) > w->root ? dir + w->root : dir);
  if (!dpi_suite_wanted(w->def, r.id)) return DP_OK;
  dpi_arena_init(&j.arena, w->ctx);
  dp_status st = judge_case(&j, w->def, problem, solution);
  dp_problem_close(j.problem);
  dpi_arena_release(&j.arena);
  DP_TRY(dpi_suite_outcome(w->ctx, st, r.status, r.why, sizeof r.why));
  r.seconds = dpi_clock_s() - start;
  w->each(w->user, &r);
  return DP_OK;
}

static dp_status walk_folder(walk *w, const char *dir, int depth) {
  static const char ending[] = "_solution.yaml";
  const char **name;
  int n;
  DP_TRY(dpi_suite_names(&w->arena, dir, &n, &name));
  for (int i = 0; i < n; i++) {
    const size_t len = strlen(name[i]);
    const char *path = dpi_arena_printf(&w->arena, "%s/%s", dir, name[i]);
    if (!path) return DP_ERR_MEMORY;
    if (len > sizeof ending - 1 && !strcmp(name[i] + len - (sizeof ending - 1), ending))
      DP_TRY(w->list ? list_case(w, dir) : run_case(w, dir, name[i]));
    else if (depth < 8 && dpi_suite_folder(path))
      DP_TRY(walk_folder(w, path, depth + 1));
  }
  return DP_OK;
}

dp_status dpi_suite_check_def(dp_ctx *ctx, const char *dir, const dp_petab_suite_def *def) {
  if (def->cookie != dp_petab_suite_def_default().cookie || !dir)
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "suite: its def does not come from dp_petab_suite_def_default, or there is no folder");
  return DP_OK;
}

dp_status dp_suite_petab(dp_ctx *ctx, const char *dir, const dp_petab_suite_def *def, dp_petab_case_fn each,
                         void *user) {
  walk w = {.ctx = ctx, .def = def, .each = each, .user = user, .root = dir ? strlen(dir) + 1 : 0};
  DP_TRY(dpi_suite_check_def(ctx, dir, def));
  dpi_arena_init(&w.arena, ctx);
  w.list = true;
  dp_status st = walk_folder(&w, dir, 0);
  if (st == DP_OK && w.nid == 0)
    st = dpi_fail(ctx, DP_ERR_INPUT, "%s: found no case (NAME_solution.yaml) there", dir);
  if (st == DP_OK) st = dpi_suite_all_found(ctx, def, dir, w.id, w.nid);
  w.list = false;
  if (st == DP_OK) st = walk_folder(&w, dir, 0);
  dpi_free(ctx, (void *)w.id);
  dpi_arena_release(&w.arena);
  return st;
}
