/* calib_read.c - floor 6: what the reader of PEtab (format/petab.h) found, sorted by model and as texts in our
 * own syntax.  O
 *
 * Names in texts are the model's ids between backquotes. Of each model's part only what its measurements use is taken:
 * other observables need not make sense there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/petab/calib.h"

typedef struct sorter {
  dp_ctx *ctx;
  dpi_arena *arena;
  const dpi_petab *from;
  int *observable, *experiment; /* number within the part, -1 */
  bool ordinal;                 /* some measurements are */
  int *ncategory, **category;   /* [nobservable x nmodel] of ordinal observables; ncategory -1: not looked up yet */
} sorter;

static const char *text_of(const sorter *k, const dpi_petab_expr *e) {
  dpi_str s;
  dpi_str_init(&s, k->ctx);
  dpi_petab_print(k->from, e, NULL, &s);
  const char *copy = s.failed ? NULL : dpi_arena_strdup(k->arena, dpi_str_text(&s));
  dpi_str_release(&s);
  return copy;
}

static const char *where(const sorter *k, const dpi_petab_place *at) {
  return dpi_arena_printf(k->arena, "%s:%d", at->file ? at->file : k->from->path, at->line);
}

/* ---- parameters ---- */

static dp_status take_param(const sorter *k, const dpi_petab_parameter *from, bool any, dpi_calib_param *to) {
  to->id = from->id;
  to->element = k->from->name[from->name].model_id;
  to->where = where(k, &from->place);
  to->scale = (dp_problem_scale)from->scale;
  to->estimated = from->estimate;
  to->solved = (dpi_calib_solved)from->solved;
  to->nominal = from->nominal;
  to->lower = from->lower;
  to->upper = from->upper;
  if (!to->where) return DP_ERR_MEMORY;
  to->prior =
      any && from->estimate && !from->solved ? from->prior : (dpi_petab_prior){.lower = -INFINITY, .upper = INFINITY};
  return DP_OK;
}

/* ---- experiments ---- */

static dp_status take_period(const sorter *k, const dpi_petab_period *from, double first, dpi_calib_period *to) {
  to->steady = isinf(from->time);
  to->time = to->steady ? first : from->time;
  to->nassign = from->nchange;
  to->assign = DPI_ARENA_ARRAY(k->arena, dpi_calib_assign, from->nchange + 1);
  if (!to->assign) return DP_ERR_MEMORY;
  for (int i = 0; i < from->nchange; i++) {
    dpi_calib_assign *a = &to->assign[i];
    a->target = k->from->name[from->change[i].target].model_id;
    a->keep = from->change[i].how == DPI_PETAB_RESET;
    a->value = a->keep ? "" : text_of(k, from->change[i].value);
    a->where = where(k, &from->change[i].place);
    if (!a->value || !a->where) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status take_experiment(const sorter *k, const dpi_petab_experiment *from, dpi_calib_experiment *to) {
  double first = 0; /* time at which what is measured begins */
  to->id = from->id;
  to->nperiod = from->nperiod;
  to->period = DPI_ARENA_ARRAY(k->arena, dpi_calib_period, from->nperiod + 1);
  if (!to->period) return DP_ERR_MEMORY;
  for (int i = from->nperiod - 1; i >= 0; i--)
    if (!isinf(from->period[i].time)) first = from->period[i].time;
  for (int i = 0; i < from->nperiod; i++) DP_TRY(take_period(k, &from->period[i], first, &to->period[i]));
  return DP_OK;
}

/* ---- observables and measurements ---- */

static dp_status take_observable(const sorter *k, const dpi_petab_observable *from, dpi_calib_observable *to) {
  const int n = from->nplaceholder, m = from->nnoise_placeholder;
  to->id = from->id;
  to->formula = text_of(k, from->formula);
  to->noise = text_of(k, from->noise_formula);
  to->where = where(k, &from->place);
  to->distribution = (dpi_noise)((from->noise == DPI_PETAB_NOISE_LAPLACE ? 3 : 0) + (int)from->scale);
  to->nplaceholder = n + m;
  to->placeholder = DPI_ARENA_ARRAY(k->arena, const char *, n + m + 1);
  if (!to->formula || !to->noise || !to->where || !to->placeholder) return DP_ERR_MEMORY;
  for (int i = 0; i < n + m; i++)
    to->placeholder[i] = k->from->name[i < n ? from->placeholder[i] : from->noise_placeholder[i - n]].model_id;
  return DP_OK;
}

/* ---- ordinal observables: categories are known; thresholds between them are parameters that no table names ---- */

static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* The categories of an observable that were measured (of one model), in order. */
static dp_status look_up(const sorter *k, int observable, int model, int *n, int **out) {
  const dpi_petab *p = k->from;
  int count = 0, plain = 0, at = 0;
  *n = 0;
  for (int i = 0; i < p->nmeasurement; i++) {
    const dpi_petab_measurement *m = &p->measurement[i];
    if (m->observable != observable || m->model != model) continue;
    if (m->type == DPI_PETAB_ORDINAL)
      at = i, count++;
    else
      plain++;
  }
  if (count == 0) return DP_OK;
  const char *place = where(k, &p->measurement[at].place), *id = p->observable[observable].id;
  *out = DPI_ARENA_ARRAY(k->arena, int, count + 1);
  if (!*out || !place) return DP_ERR_MEMORY;
  if (plain > 0)
    return dpi_fail(k->ctx, DP_ERR_UNSUPPORTED,
                    "%s: observable '%s' has ordinal and other measurements; make two observables of it", place, id);
  for (int i = 0; i < p->nmeasurement; i++)
    if (p->measurement[i].observable == observable && p->measurement[i].model == model)
      (*out)[(*n)++] = p->measurement[i].category;
  qsort(*out, (size_t)*n, sizeof **out, by_value);
  int distinct = 1;
  for (int i = 1; i < *n; i++)
    if ((*out)[i] != (*out)[i - 1]) (*out)[distinct++] = (*out)[i];
  *n = distinct;
  if (distinct > 1) return DP_OK;
  return dpi_fail(k->ctx, DP_ERR_INPUT,
                  "%s: all measurements of ordinal observable '%s' are of category %d: nothing can be learnt "
                  "from them; remove them",
                  place, id, (*out)[0]);
}

static dp_status find_categories(const sorter *k, int observable, int model, int *n, int **out) {
  const int at = observable * k->from->nmodel + model;
  if (k->ncategory[at] < 0) DP_TRY(look_up(k, observable, model, &k->ncategory[at], &k->category[at]));
  *n = k->ncategory[at];
  *out = k->category[at];
  return DP_OK;
}

static const char *threshold_id(const sorter *k, int observable, int model, int category) {
  const char *id = k->from->observable[observable].id;
  return model == 0 ? dpi_arena_printf(k->arena, "%s:threshold:%d", id, category)
                    : dpi_arena_printf(k->arena, "%s:threshold:%d:model:%d", id, category, model + 1);
}

/* Thresholds are named by the category above them. */
static dp_status take_thresholds(const sorter *k, int *n, dpi_calib_param *out) {
  const dpi_petab *p = k->from;
  for (int o = 0; o < p->nobservable && k->ordinal; o++)
    for (int m = 0; m < p->nmodel; m++) {
      int count, *category = NULL;
      DP_TRY(find_categories(k, o, m, &count, &category));
      for (int c = 1; c < count; c++) {
        dpi_calib_param *q = out ? &out[*n] : NULL;
        ++*n;
        if (!q) continue;
        *q = (dpi_calib_param){.id = threshold_id(k, o, m, category[c]),
                               .where = where(k, &p->observable[o].place),
                               .estimated = true,
                               .solved = DPI_SOLVED_THRESHOLD,
                               .nominal = c,
                               .lower = -INFINITY,
                               .upper = INFINITY,
                               .prior = {.lower = -INFINITY, .upper = INFINITY}};
        q->element = q->id;
        if (!q->id || !q->where) return DP_ERR_MEMORY;
      }
    }
  return DP_OK;
}

/* Between which thresholds, or bounds, a value lies. */
static dp_status take_bounds(const sorter *k, const dpi_petab_measurement *from, dpi_calib_datum *to) {
  int n, *category;
  if (from->type == DPI_PETAB_QUANTITATIVE) return DP_OK;
  if (from->type != DPI_PETAB_ORDINAL) {
    if (isfinite(from->low) && !(to->low = dpi_arena_printf(k->arena, "%.17g", from->low))) return DP_ERR_MEMORY;
    if (isfinite(from->high) && !(to->high = dpi_arena_printf(k->arena, "%.17g", from->high))) return DP_ERR_MEMORY;
    return DP_OK;
  }
  DP_TRY(find_categories(k, from->observable, from->model, &n, &category));
  for (int c = 0; c < n; c++) {
    if (category[c] != from->category) continue;
    const char *low = c > 0 ? threshold_id(k, from->observable, from->model, category[c]) : NULL;
    const char *high = c + 1 < n ? threshold_id(k, from->observable, from->model, category[c + 1]) : NULL;
    if (low) to->low = dpi_arena_printf(k->arena, "`%s`", low);
    if (high) to->high = dpi_arena_printf(k->arena, "`%s`", high);
    if ((c > 0 && (!low || !to->low)) || (c + 1 < n && (!high || !to->high))) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status take_datum(const sorter *k, const dpi_petab_measurement *from, dpi_calib_datum *to) {
  const dpi_petab_observable *o = &k->from->observable[from->observable];
  const int n = o->nplaceholder, m = o->nnoise_placeholder;
  to->observable = k->observable[from->observable];
  to->experiment = k->experiment[from->experiment];
  to->time = from->time;
  to->value = from->value;
  to->where = where(k, &from->place);
  to->given = DPI_ARENA_ARRAY(k->arena, const char *, n + m + 1);
  if (!to->where || !to->given) return DP_ERR_MEMORY;
  DP_TRY(take_bounds(k, from, to));
  for (int i = 0; i < n + m; i++) {
    to->given[i] = text_of(k, i < n ? from->override[i] : from->noise_override[i - n]);
    if (!to->given[i]) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status take_params(const sorter *k, int *n, dpi_calib_param **out) {
  bool any = false; /* without any prior this is maximum likelihood, and none is implied */
  const int rows = k->from->nparameter;
  int more = 0;
  DP_TRY(take_thresholds(k, &more, NULL));
  *out = DPI_ARENA_ARRAY(k->arena, dpi_calib_param, rows + more + 1);
  if (!*out) return DP_ERR_MEMORY;
  for (int i = 0; i < rows; i++) any = any || (!k->from->parameter[i].implied && k->from->parameter[i].estimate);
  for (int i = 0; i < rows; i++) DP_TRY(take_param(k, &k->from->parameter[i], any, &(*out)[i]));
  *n = rows;
  return take_thresholds(k, n, *out);
}

/* ---- one model's part ---- */

static dp_status room(const sorter *k, int model, dpi_calib_table *t) {
  const dpi_petab *p = k->from;
  for (int i = 0; i < p->nobservable; i++) k->observable[i] = -1;
  for (int i = 0; i < p->nexperiment; i++) k->experiment[i] = -1;
  for (int i = 0; i < p->nmeasurement; i++) {
    const dpi_petab_measurement *m = &p->measurement[i];
    if (m->model != model) continue;
    if (k->observable[m->observable] < 0) k->observable[m->observable] = t->nobservable++;
    if (k->experiment[m->experiment] < 0) k->experiment[m->experiment] = t->nexperiment++;
    t->ndatum++;
  }
  t->observable = DPI_ARENA_ARRAY(k->arena, dpi_calib_observable, t->nobservable + 1);
  t->experiment = DPI_ARENA_ARRAY(k->arena, dpi_calib_experiment, t->nexperiment + 1);
  t->datum = DPI_ARENA_ARRAY(k->arena, dpi_calib_datum, t->ndatum + 1);
  t->number = DPI_ARENA_ARRAY(k->arena, int, t->ndatum + 1);
  return t->observable && t->experiment && t->datum && t->number ? DP_OK : DP_ERR_MEMORY;
}

static dp_status take_table(const sorter *k, int model, dpi_calib_table *t) {
  const dpi_petab *p = k->from;
  t->model = p->model[model].path;
  t->index = model;
  t->reevaluate = p->version == 1;
  DP_TRY(room(k, model, t));
  for (int i = 0; i < p->nobservable; i++)
    if (k->observable[i] >= 0) DP_TRY(take_observable(k, &p->observable[i], &t->observable[k->observable[i]]));
  for (int i = 0; i < p->nexperiment; i++)
    if (k->experiment[i] >= 0) DP_TRY(take_experiment(k, &p->experiment[i], &t->experiment[k->experiment[i]]));
  for (int i = 0, n = 0; i < p->nmeasurement; i++) {
    if (p->measurement[i].model != model) continue;
    DP_TRY(take_datum(k, &p->measurement[i], &t->datum[n]));
    t->number[n++] = i;
  }
  return DP_OK;
}

/* "folder/Boehm.yaml" -> "Boehm" */
static const char *name_of(dpi_arena *arena, const char *path) {
  const char *base = strrchr(path, '/'), *dot;
  base = base ? base + 1 : path;
  dot = strrchr(base, '.');
  return dpi_arena_strndup(arena, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

static dp_status prepare_categories(sorter *k) {
  const dpi_petab *p = k->from;
  const size_t n = (size_t)p->nobservable * (size_t)p->nmodel;
  for (int i = 0; i < p->nmeasurement; i++) k->ordinal = k->ordinal || p->measurement[i].type == DPI_PETAB_ORDINAL;
  if (!k->ordinal) return DP_OK;
  k->ncategory = DPI_ARENA_ARRAY(k->arena, int, n + 1);
  k->category = DPI_ARENA_ARRAY(k->arena, int *, n + 1);
  if (!k->ncategory || !k->category) return DP_ERR_MEMORY;
  for (size_t i = 0; i < n; i++) k->ncategory[i] = -1;
  return DP_OK;
}

static dp_status take_all(sorter *k, dpi_calib_file *out) {
  const dpi_petab *p = k->from;
  dpi_calib_param *param;
  int nparam;
  k->observable = DPI_ARENA_ARRAY(k->arena, int, p->nobservable + 1);
  k->experiment = DPI_ARENA_ARRAY(k->arena, int, p->nexperiment + 1);
  out->table = DPI_ARENA_ARRAY(k->arena, dpi_calib_table, p->nmodel + 1);
  out->name = p->id[0] ? p->id : name_of(k->arena, p->path);
  out->version = p->version;
  out->ndatum = p->nmeasurement;
  if (!k->observable || !k->experiment || !out->table || !out->name) return DP_ERR_MEMORY;
  DP_TRY(prepare_categories(k));
  DP_TRY(take_params(k, &nparam, &param));
  for (int m = 0; m < p->nmodel; m++) {
    dpi_calib_table *t = &out->table[out->ntable];
    DP_TRY(take_table(k, m, t));
    t->nparam = nparam;
    t->param = param;
    if (t->ndatum > 0)
      out->ntable++;
    else
      *t = (dpi_calib_table){0};
  }
  if (out->ntable == 0) return dpi_fail(k->ctx, DP_ERR_INPUT, "%s: the problem has no measurements; add some", p->path);
  return DP_OK;
}

dp_status dpi_calib_read(dpi_arena *arena, const dpi_petab_def *def, dpi_calib_file *out) {
  DP_TRY(dpi_petab_read(arena->ctx, def, &out->petab));
  sorter k = {.ctx = arena->ctx, .arena = arena, .from = out->petab};
  return take_all(&k, out);
}
