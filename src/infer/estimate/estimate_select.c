/* estimate_select.c - floor 6: estimate.h, which model: PEtab Select problems.  O -> D
 *
 *     problem file -> tables of the model space -> models (one choice for each parameter)
 *                  -> fits, turn by turn -> weights
 *
 * brute_force fits all. forward begins with the models that estimate least; each turn fits those that estimate what
 * the best one does and as few more as there are, and goes on with the best of them while the criterion falls.
 * backward is the same from above. famos goes both ways, sideways and by jumps (select_famos.h); its space is never
 * written out, so that it may be as large as it likes. Format: PEtab Select, problem definition
 * (petab-select.readthedocs.io), format_version beta_1 to 1.0.0.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/estimate.h"
#include "format/table.h"
#include "infer/estimate/select_arguments.h"
#include "infer/estimate/select_famos.h"
#include "infer/petab/calib.h"
#include "infer/point/select.h"
#include "kind/kind_yaml.h"

#define SELECT_COOKIE 0x73656c31u
#define MOST_SPACE 1000000 /* models of a table: more are not looked through */
#define MOST_BYTES ((size_t)1 << 20)

typedef struct model { /* of the space */
  const char *subspace, *problem, *id;
  const char **value; /* [nparam] */
  int size;           /* parameters of the table that it estimates */
  int fitted;         /* into model[], -1 */
} model;

typedef struct row { /* famos: the row of its space; each parameter has a value, is estimated, or may be either */
  const char *subspace, *problem;
  const char **value; /* [nparam] NULL: always estimated */
  bool *may_fix, *may_estimate;
  int *number[2]; /* [nparam] place of the value, and of estimate, in the cell */
} row;

typedef struct selector {
  dp_ctx *ctx;
  const dp_select_def *def;
  const char *path, *criterion, *method;
  dpi_arena arena;
  int nparam;
  const char **param;
  int nspace, cap;
  model *space;
  double size;            /* models of the space */
  dp_select_model *found; /* [size], at most what may be fitted */
  int nfound;
  row row;
  dpi_famos_def famos;
} selector;

typedef struct select_own {
  dp_selection pub;
  dpi_arena arena;
} select_own;

dp_select_def dp_select_def_default(void) {
  dp_select_def def = {.cookie = SELECT_COOKIE, .search_rtol = 1e-6, .nstart = 20, .seed = 1, .max_models = 1000};
  def.problem = dp_problem_def_default();
  def.problem.max_steps = 10000;
  return def;
}

/* ---- the file ---- */

/* A name in the file, seen from its folder. */
static const char *beside(selector *s, const char *name) { return dpi_select_beside(&s->arena, s->path, name); }

static bool is_famos(const selector *s) { return strcmp(s->method, "famos") == 0; }

static dp_status refuse_entries(const selector *s, const dpi_yaml *root) {
  static const char *const entry[] = {"constraint_files", "predecessor_model_files", "candidate_space_arguments"};
  const int n = is_famos(s) ? 2 : 3;
  for (int i = 0; i < n; i++) {
    const dpi_yaml *node = dpi_yaml_get(root, entry[i]);
    if (!node || (node->type != DPI_YAML_SCALAR && node->count == 0)) continue;
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "%s:%d: '%s' is not offered; remove it", s->path, node->line, entry[i]);
  }
  return DP_OK;
}

static dp_status check_words(selector *s) {
  static const char *const criterion[] = {"AIC", "AICc", "BIC"};
  static const char *const method[] = {"brute_force", "forward", "backward", "famos"};
  int c = 0, m = 0;
  while (c < 3 && strcmp(s->criterion, criterion[c]) != 0) c++;
  while (m < 4 && strcmp(s->method, method[m]) != 0) m++;
  if (c == 3)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "%s: criterion '%s', expected AIC, AICc or BIC", s->path, s->criterion);
  if (m == 4)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED,
                    "%s: method '%s' is not offered; take brute_force, forward, backward or famos", s->path, s->method);
  return DP_OK;
}

/* ---- the space ---- */

/* Values of a cell between semicolons; *n of them. */
static dp_status split(selector *s, const char *cell, int *n, const char ***out) {
  int count = 1;
  for (const char *c = cell; *c; c++) count += *c == ';';
  *out = DPI_ARENA_ARRAY(&s->arena, const char *, count + 1);
  if (!*out) return DP_ERR_MEMORY;
  *n = 0;
  for (const char *from = cell; from;) {
    const char *end = strchr(from, ';'), *stop = end ? end : from + strlen(from);
    while (from < stop && *from == ' ') from++;
    int len = (int)(stop - from);
    while (len > 0 && from[len - 1] == ' ') len--;
    if (((*out)[(*n)++] = dpi_arena_printf(&s->arena, "%.*s", len, from)) == NULL) return DP_ERR_MEMORY;
    from = end ? end + 1 : NULL;
  }
  return DP_OK;
}

static dp_status add_model(selector *s, const char *subspace, const char *problem, const char **const *choice,
                           const int *at) {
  if (s->nspace == s->cap) {
    const int cap = s->cap ? 2 * s->cap : 64;
    model *more = DPI_ARENA_ARRAY(&s->arena, model, cap);
    if (!more) return DP_ERR_MEMORY;
    if (s->nspace) memcpy(more, s->space, sizeof *more * (size_t)s->nspace);
    s->space = more;
    s->cap = cap;
  }
  model *m = &s->space[s->nspace++];
  dpi_str id;
  dpi_str_init(&id, s->ctx);
  *m = (model){.subspace = subspace, .problem = problem, .fitted = -1};
  m->value = DPI_ARENA_ARRAY(&s->arena, const char *, s->nparam + 1);
  dpi_str_addf(&id, "%s_", subspace);
  for (int k = 0; m->value && k < s->nparam; k++) {
    m->value[k] = choice[k][at[k]];
    m->size += strcmp(m->value[k], "estimate") == 0;
    dpi_str_addf(&id, at[k] < 10 ? "%d" : "(%d)", at[k]);
  }
  m->id = dpi_arena_strdup(&s->arena, dpi_str_text(&id));
  dpi_str_release(&id);
  return m->value && m->id ? DP_OK : DP_ERR_MEMORY;
}

static dp_status check_value(const selector *s, const dpi_table *t, int row, const char *id, const char *value) {
  double x;
  if (strcmp(value, "estimate") == 0 || (dpi_parse_double(value, &x) && isfinite(x))) return DP_OK;
  return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: parameter '%s': found '%s', expected a number or 'estimate'", t->source,
                  dpi_table_line(t, row), id, value);
}

/* famos: the row as it is. */
static dp_status keep_row(selector *s, const dpi_table *t, int line, const char *subspace, const char *problem,
                          const char **const *choice, const int *n) {
  row *r = &s->row;
  const size_t m = (size_t)s->nparam + 1;
  if (r->subspace)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "%s:%d: famos goes over one row, '%s'; make files of the others",
                    t->source, dpi_table_line(t, line), r->subspace);
  *r = (row){.subspace = subspace, .problem = problem, .value = DPI_ARENA_ARRAY(&s->arena, const char *, m),
             .may_fix = DPI_ARENA_ARRAY(&s->arena, bool, m), .may_estimate = DPI_ARENA_ARRAY(&s->arena, bool, m)};
  for (int k = 0; k < 2; k++)
    if (!(r->number[k] = DPI_ARENA_ARRAY(&s->arena, int, m))) return DP_ERR_MEMORY;
  if (!r->value || !r->may_fix || !r->may_estimate) return DP_ERR_MEMORY;
  s->size = 1;
  for (int k = 0; k < s->nparam; k++) {
    for (int i = 0; i < n[k]; i++) {
      const bool estimate = strcmp(choice[k][i], "estimate") == 0;
      if (estimate ? r->may_estimate[k] : r->may_fix[k])
        return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED,
                        "%s:%d: parameter '%s': famos needs one value, or estimate, or both; found several", t->source,
                        dpi_table_line(t, line), s->param[k]);
      if (estimate) r->may_estimate[k] = true;
      else r->may_fix[k] = true, r->value[k] = choice[k][i];
      r->number[estimate][k] = i;
    }
    s->size *= n[k];
  }
  return DP_OK;
}

/* All models of a row: each combination of its cells' values. */
static dp_status read_row(selector *s, const dpi_table *t, int row, int first) {
  const char *subspace, *yaml, ***choice = DPI_ARENA_ARRAY(&s->arena, const char **, s->nparam + 1);
  int *n = DPI_ARENA_ARRAY(&s->arena, int, 2 * s->nparam + 2), *at = n + s->nparam + 1, column;
  double count = 1;
  if (!choice || !n) return DP_ERR_MEMORY;
  DP_TRY(dpi_table_text(t, row, 0, &subspace));
  const char *file = dpi_table_column(t, "petab_yaml") >= 0 ? "petab_yaml" : "model_subspace_petab_yaml";
  DP_TRY(dpi_table_need(t, file, &column));
  DP_TRY(dpi_table_text(t, row, column, &yaml));
  for (int k = 0; k < s->nparam; k++) {
    DP_TRY(split(s, dpi_table_cell(t, row, first + k), &n[k], &choice[k]));
    for (int i = 0; i < n[k]; i++) DP_TRY(check_value(s, t, row, s->param[k], choice[k][i]));
    count *= n[k];
  }
  if (!is_famos(s) && count + s->nspace > MOST_SPACE)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "%s:%d: the space has more than %d models", t->source,
                    dpi_table_line(t, row), MOST_SPACE);
  subspace = dpi_arena_strdup(&s->arena, subspace);
  yaml = beside(s, yaml);
  if (!subspace || !yaml) return DP_ERR_MEMORY;
  if (is_famos(s)) return keep_row(s, t, row, subspace, yaml, (const char **const *)choice, n);
  for (bool more = true; more;) {
    DP_TRY(add_model(s, subspace, yaml, (const char **const *)choice, at));
    int k = s->nparam - 1;
    for (; k >= 0 && ++at[k] == n[k]; k--) at[k] = 0;
    more = k >= 0;
  }
  return DP_OK;
}

/* The parameters are the columns behind the fixed ones, the same in all files. */
static dp_status take_columns(selector *s, const dpi_table *t, int *first) {
  int id;
  DP_TRY(dpi_table_need(t, "model_subspace_id", &id));
  if (id != 0)
    return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: the first column must be model_subspace_id", t->source,
                    t->header_line);
  *first = 1;
  while (*first < t->ncolumn &&
         (strcmp(t->column[*first], "petab_yaml") == 0 || strcmp(t->column[*first], "sbml") == 0 ||
          strcmp(t->column[*first], "model_subspace_petab_yaml") == 0))
    ++*first;
  const int n = t->ncolumn - *first;
  bool same = !s->param || n == s->nparam;
  for (int k = 0; same && s->param && k < n; k++) same = strcmp(s->param[k], t->column[*first + k]) == 0;
  if (!same)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED,
                    "%s: its parameters are others than those of the files before it; make one file", t->source);
  if (s->param) return DP_OK;
  s->nparam = n;
  s->param = DPI_ARENA_ARRAY(&s->arena, const char *, n + 1);
  for (int k = 0; s->param && k < n; k++)
    if (!(s->param[k] = dpi_arena_strdup(&s->arena, t->column[*first + k]))) return DP_ERR_MEMORY;
  return s->param ? DP_OK : DP_ERR_MEMORY;
}

static dp_status read_space(selector *s, const char *name) {
  dpi_table *t = NULL;
  const char *path = beside(s, name);
  int first = 0;
  if (!path) return DP_ERR_MEMORY;
  DP_TRY(dpi_table_load(s->ctx, path, '\t', &t));
  dp_status st = take_columns(s, t, &first);
  for (int row = 0; row < t->nrow && st == DP_OK; row++) st = read_row(s, t, row, first);
  dpi_table_destroy(t);
  return st;
}

static dp_status read_all(selector *s) {
  char *text = NULL;
  size_t size;
  dpi_yaml_doc doc = {.ctx = s->ctx, .arena = &s->arena, .source = s->path};
  DP_TRY(dpi_file_read(s->ctx, s->path, MOST_BYTES, &text, &size));
  dp_status st = dpi_yaml_parse(&doc, text, size);
  dpi_free(s->ctx, text);
  DP_TRY(st);
  if (doc.root->type != DPI_YAML_MAP || !dpi_yaml_get(doc.root, "model_space_files"))
    return dpi_fail(s->ctx, DP_ERR_INPUT, "%s: not a PEtab Select problem: found no model_space_files", s->path);
  DP_TRY(dpi_yaml_string(&doc, doc.root, "criterion", s->def->criterion ? s->def->criterion : NULL, &s->criterion));
  DP_TRY(dpi_yaml_string(&doc, doc.root, "method", s->def->method ? s->def->method : NULL, &s->method));
  if (s->def->criterion) s->criterion = s->def->criterion;
  if (s->def->method) s->method = s->def->method;
  DP_TRY(check_words(s));
  DP_TRY(refuse_entries(s, doc.root));
  const dpi_yaml *files = dpi_yaml_get(doc.root, "model_space_files");
  if (files->type != DPI_YAML_SEQUENCE)
    return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: model_space_files: expected a list", s->path, files->line);
  for (const dpi_yaml *f = files->first; f; f = f->next) {
    if (f->type != DPI_YAML_SCALAR)
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: model_space_files: expected the name of a file", s->path, f->line);
    DP_TRY(read_space(s, f->text));
  }
  if (s->nspace == 0 && !s->row.subspace)
    return dpi_fail(s->ctx, DP_ERR_INPUT, "%s: its model space is empty", s->path);
  if (!is_famos(s)) {
    s->size = s->nspace;
    return DP_OK;
  }
  s->famos = (dpi_famos_def){.nparam = s->nparam, .may_fix = s->row.may_fix, .may_estimate = s->row.may_estimate};
  const dpi_select_names names = {.arena = &s->arena, .path = s->path, .criterion = s->criterion, .nparam = s->nparam,
                                  .param = s->param, .may_fix = s->row.may_fix, .may_estimate = s->row.may_estimate};
  return dpi_select_arguments(&names, dpi_yaml_get(doc.root, "candidate_space_arguments"), &s->famos);
}

/* ---- one model ---- */

static double criterion_of(const selector *s, const dp_select_model *m) {
  return strcmp(s->criterion, "AIC") == 0 ? m->aic : strcmp(s->criterion, "BIC") == 0 ? m->bic : m->aicc;
}

/* Nothing is estimated: there is nothing to search. */
static dp_status only_value(dp_problem *p, dp_select_model *m) {
  dp_problem_value v = {0};
  const double none = 0;
  DP_TRY(dp_problem_eval(p, 1, &none, DP_PROBLEM_VALUE, &v));
  if (!v.ok) return dpi_fail(p->ctx, DP_ERR_CONVERGE, "%s", v.reason);
  const dpi_criteria c = dpi_criteria_of(v.llh, 0, p->desc.ndatum);
  m->llh = v.llh;
  m->j = -(v.llh + v.log_prior);
  m->aic = c.aic;
  m->aicc = c.aicc;
  m->bic = c.bic;
  return DP_OK;
}

static dp_status fit_opened(const selector *s, dp_problem *p, dp_problem *coarse, dp_select_model *m) {
  m->nestimated = p->desc.nparam;
  if (p->desc.nparam == 0) return only_value(p, m);
  dp_problem_fit_def def = dp_problem_fit_def_default();
  dp_fit *fit = NULL;
  def.nstart = s->def->nstart;
  def.seed = s->def->seed;
  def.coarse = coarse;
  DP_TRY(dp_problem_fit(p, &def, &fit));
  m->j = fit->optimum[0].j;
  m->llh = fit->optimum[0].llh;
  m->aic = fit->aic;
  m->aicc = fit->aicc;
  m->bic = fit->bic;
  dp_fit_destroy(fit);
  return DP_OK;
}

/* A model that was fitted has no AICc where observations are few: that is its reason. */
static dp_status say_undefined(selector *s, const dp_problem *p, dp_select_model *m) {
  if (isfinite(criterion_of(s, m)) || !isfinite(m->llh)) return DP_OK;
  m->reason = dpi_arena_printf(&s->arena, "%s is not defined: %d observations, %d parameters", s->criterion,
                               p->desc.ndatum, m->nestimated);
  return m->reason ? DP_OK : DP_ERR_MEMORY;
}

static dp_status fit_problem(selector *s, const model *from, dp_select_model *m) {
  dp_problem_choice *choice = DPI_ARENA_ARRAY(&s->arena, dp_problem_choice, s->nparam + 1);
  dp_problem *p = NULL, *coarse = NULL;
  if (!choice) return DP_ERR_MEMORY;
  for (int k = 0; k < s->nparam; k++) {
    choice[k] = (dp_problem_choice){.id = s->param[k], .estimate = strcmp(from->value[k], "estimate") == 0};
    if (!choice[k].estimate) dpi_parse_double(from->value[k], &choice[k].value);
  }
  dp_problem_def def = s->def->problem;
  def.choice = choice;
  def.nchoice = s->nparam;
  dp_status st = dp_problem_open(s->ctx, from->problem, &def, &p);
  if (st == DP_OK && p->desc.nparam > 0 && s->def->search_rtol > def.rtol) {
    def.rtol = s->def->search_rtol;
    st = dp_problem_open(s->ctx, from->problem, &def, &coarse);
  }
  if (st == DP_OK) st = fit_opened(s, p, coarse, m);
  if (st == DP_OK) st = say_undefined(s, p, m);
  dp_problem_close(coarse);
  dp_problem_close(p);
  return st;
}

/* Fits a model of the space. That it can't be fitted is an outcome. */
static dp_status fit_model(selector *s, int which, int predecessor) {
  model *from = &s->space[which];
  dp_select_model *m = &s->found[s->nfound];
  if (s->nfound >= s->def->max_models)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED,
                    "%s: %d models have been fitted and more would have to be; allow more, or search %s", s->path,
                    s->nfound, "forward or backward");
  *m = (dp_select_model){.id = from->id, .subspace = from->subspace, .problem = from->problem, .value = from->value,
                         .j = INFINITY, .llh = -INFINITY, .aic = INFINITY, .aicc = INFINITY, .bic = INFINITY,
                         .turn = s->nfound, .predecessor = predecessor, .reason = ""};
  dp_status st = fit_problem(s, from, m);
  if (st == DP_ERR_CONVERGE) {
    m->reason = dpi_arena_strdup(&s->arena, dp_ctx_error(s->ctx));
    dp_ctx_clear_error(s->ctx);
    st = m->reason ? DP_OK : DP_ERR_MEMORY;
  }
  DP_TRY(st);
  m->criterion = criterion_of(s, m);
  s->space[which].fitted = s->nfound++;
  if (s->def->progress) s->def->progress(s->def->user, s->nfound, m->id, m->criterion);
  return DP_OK;
}

/* ---- which ones ---- */

/* a estimates all that b does. */
static bool covers(const selector *s, const model *a, const model *b) {
  for (int k = 0; k < s->nparam; k++)
    if (strcmp(b->value[k], "estimate") == 0 && strcmp(a->value[k], "estimate") != 0) return false;
  return true;
}

/* May m come after `last` (NULL: nothing has been fitted)? */
static bool follows(const selector *s, const model *m, const model *last, bool up) {
  if (m->fitted >= 0) return false;
  if (!last) return true;
  if (m->size == last->size) return false;
  return up ? m->size > last->size && covers(s, m, last) : m->size < last->size && covers(s, last, m);
}

/* A turn of forward (up) or backward: the nearest in size that may follow. *best: the best of them, -1:
 * there was none. */
static dp_status take_turn(selector *s, int last, bool up, int *best) {
  const model *from = last >= 0 ? &s->space[last] : NULL;
  int size = -1;
  *best = -1;
  for (int i = 0; i < s->nspace; i++) {
    const model *m = &s->space[i];
    if (follows(s, m, from, up) && (size < 0 || (up ? m->size < size : m->size > size))) size = m->size;
  }
  for (int i = 0; i < s->nspace && size >= 0; i++) {
    if (s->space[i].size != size || !follows(s, &s->space[i], from, up)) continue;
    DP_TRY(fit_model(s, i, from ? from->fitted : -1));
    if (*best < 0 || s->found[s->space[i].fitted].criterion < s->found[s->space[*best].fitted].criterion) *best = i;
  }
  return DP_OK;
}

/* dpi_famos_def.fit: a model of the row */
static dp_status fit_of_row(void *user, const bool *estimated, int predecessor, int *number, double *criterion) {
  selector *s = user;
  const row *r = &s->row;
  const size_t n = (size_t)s->nparam + 1;
  int *at = DPI_ARENA_ARRAY(&s->arena, int, n);
  const char **pair = DPI_ARENA_ARRAY(&s->arena, const char *, 2 * n);
  const char ***choice = DPI_ARENA_ARRAY(&s->arena, const char **, n);
  if (!at || !pair || !choice) return DP_ERR_MEMORY;
  for (int k = 0; k < s->nparam; k++) {
    at[k] = r->number[estimated[k]][k];
    choice[k] = pair + 2 * k;
    choice[k][at[k]] = estimated[k] ? "estimate" : r->value[k];
  }
  DP_TRY(add_model(s, r->subspace, r->problem, (const char **const *)choice, at));
  DP_TRY(fit_model(s, s->nspace - 1, predecessor));
  *number = s->nfound - 1;
  *criterion = s->found[*number].criterion;
  return DP_OK;
}

static dp_status search(selector *s) {
  int last = -1, best;
  if (is_famos(s)) {
    s->famos.fit = fit_of_row;
    s->famos.user = s;
    return dpi_famos_run(s->ctx, &s->famos);
  }
  if (strcmp(s->method, "brute_force") == 0) {
    for (int i = 0; i < s->nspace; i++) DP_TRY(fit_model(s, i, -1));
    return DP_OK;
  }
  while (true) {
    DP_TRY(take_turn(s, last, strcmp(s->method, "forward") == 0, &best));
    if (best < 0) return DP_OK;
    const bool falls =
        last < 0 || s->found[s->space[best].fitted].criterion < s->found[s->space[last].fitted].criterion;
    if (!falls) return DP_OK;
    last = best;
  }
}

static dp_status keep(select_own *o, selector *s) {
  double *c = DPI_ARENA_ARRAY(&s->arena, double, 2 * s->nfound + 1), *w = c + s->nfound;
  if (!c) return DP_ERR_MEMORY;
  int best = -1;
  for (int i = 0; i < s->nfound; i++) {
    c[i] = s->found[i].criterion;
    if (isfinite(c[i]) && (best < 0 || c[i] < c[best])) best = i;
  }
  dpi_select_weights(c, s->nfound, w);
  for (int i = 0; i < s->nfound; i++) s->found[i].weight = w[i];
  o->pub = (dp_selection){.criterion = dpi_arena_strdup(&s->arena, s->criterion),
                          .method = dpi_arena_strdup(&s->arena, s->method),
                          .nparam = s->nparam,
                          .param = s->param,
                          .nspace = s->size,
                          .nmodel = s->nfound,
                          .model = s->found,
                          .best = best};
  o->arena = s->arena;
  return o->pub.criterion && o->pub.method ? DP_OK : DP_ERR_MEMORY;
}

dp_status dp_select_run(dp_ctx *ctx, const char *path, const dp_select_def *def, dp_selection **out) {
  *out = NULL;
  if (!path || !def || def->cookie != SELECT_COOKIE || def->nstart < 1 || def->max_models < 1)
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "select: found no path, or a definition that dp_select_def_default did not make");
  select_own *o = DPI_NEW(ctx, select_own);
  if (!o) return DP_ERR_MEMORY;
  selector s = {.ctx = ctx, .def = def, .path = path};
  dpi_arena_init(&s.arena, ctx);
  dp_status st = read_all(&s);
  const double most = fmin(s.size, def->max_models);
  if (st == DP_OK && !(s.found = DPI_ARENA_ARRAY(&s.arena, dp_select_model, (size_t)most + 2))) st = DP_ERR_MEMORY;
  if (st == DP_OK) st = search(&s);
  if (st == DP_OK) st = keep(o, &s);
  if (st == DP_OK) {
    *out = &o->pub;
    return DP_OK;
  }
  dpi_arena_release(&s.arena);
  dpi_free(ctx, o);
  return st;
}

void dp_selection_destroy(dp_selection *selection) {
  if (!selection) return;
  select_own *o = (select_own *)selection;
  dp_ctx *ctx = o->arena.ctx;
  dpi_arena_release(&o->arena);
  dpi_free(ctx, o);
}
