/* calib_read.c - floor 6: what the reader of PEtab (format/petab.h) found, sorted by model and as texts in our own syntax.  O
 *
 * Names in texts are the model's ids between backquotes. Of each model's part only what its measurements use is taken:
 * other observables need not make sense there.
 */
#include <math.h>
#include <string.h>

#include "infer/petab/calib.h"

typedef struct sorter {
  dp_ctx *ctx;
  dpi_arena *arena;
  const dpi_petab *from;
  int *observable, *experiment; /* number within the part, -1 */
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

static dpi_law_kind law_kind(const dpi_petab_prior *q) {
  static const dpi_law_kind plain[] = {[DPI_PETAB_FLAT] = DPI_LAW_NONE,
                                       [DPI_PETAB_UNIFORM] = DPI_LAW_UNIFORM,
                                       [DPI_PETAB_NORMAL] = DPI_LAW_NORMAL,
                                       [DPI_PETAB_LAPLACE] = DPI_LAW_LAPLACE,
                                       [DPI_PETAB_CAUCHY] = DPI_LAW_CAUCHY,
                                       [DPI_PETAB_CHISQUARE] = DPI_LAW_CHISQUARE,
                                       [DPI_PETAB_EXPONENTIAL] = DPI_LAW_EXPONENTIAL,
                                       [DPI_PETAB_GAMMA] = DPI_LAW_GAMMA,
                                       [DPI_PETAB_RAYLEIGH] = DPI_LAW_RAYLEIGH};
  if (q->on_scale || q->scale == DPI_PETAB_LIN) return plain[q->family];
  return q->family == DPI_PETAB_NORMAL    ? DPI_LAW_LOG_NORMAL
         : q->family == DPI_PETAB_LAPLACE ? DPI_LAW_LOG_LAPLACE
                                          : DPI_LAW_LOG_UNIFORM;
}

static dp_status take_param(const sorter *k, const dpi_petab_parameter *from, bool any, dpi_calib_param *to) {
  char why[160];
  const dpi_petab_prior *q = &from->prior;
  to->id = from->id;
  to->element = k->from->name[from->name].model_id;
  to->where = where(k, &from->place);
  to->scale = (dp_problem_scale)from->scale;
  to->estimated = from->estimate;
  to->nominal = from->nominal;
  to->lower = from->lower;
  to->upper = from->upper;
  if (!to->where) return DP_ERR_MEMORY;
  const dpi_law_kind kind = any && from->estimate ? law_kind(q) : DPI_LAW_NONE;
  if (!dpi_law_init(&to->prior, kind, q->a, q->b, q->lower, q->upper, why))
    return dpi_fail(k->ctx, DP_ERR_INPUT, "%s: prior of '%s': %s", to->where, to->id, why);
  to->prior.scaled = q->on_scale;
  return DP_OK;
}

static dp_status take_params(const sorter *k, int *n, dpi_calib_param **out) {
  bool any = false; /* without any prior this is maximum likelihood, and none is implied */
  *n = k->from->nparameter;
  *out = DPI_ARENA_ARRAY(k->arena, dpi_calib_param, *n + 1);
  if (!*out) return DP_ERR_MEMORY;
  for (int i = 0; i < *n; i++) any = any || (!k->from->parameter[i].implied && k->from->parameter[i].estimate);
  for (int i = 0; i < *n; i++) DP_TRY(take_param(k, &k->from->parameter[i], any, &(*out)[i]));
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
  for (int i = 0; i < n + m; i++) {
    to->given[i] = text_of(k, i < n ? from->override[i] : from->noise_override[i - n]);
    if (!to->given[i]) return DP_ERR_MEMORY;
  }
  return DP_OK;
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

dp_status dpi_calib_read(dpi_arena *arena, const char *path, dpi_calib_file *out) {
  const dpi_petab_def def = {.path = path};
  DP_TRY(dpi_petab_read(arena->ctx, &def, &out->petab));
  sorter k = {.ctx = arena->ctx, .arena = arena, .from = out->petab};
  return take_all(&k, out);
}
