/* kind_plan.c - reward.yaml: which plans there are (`plan`), and formulas over a reward's value (`utility`). Floor 5.
 *
 *     plan:
 *       form: course             regimen (default): a dose every interval, at steady state
 *       controls: [iv]
 *       times: [0, 21 d, 42 d]   or every, first, count; or intervals (alternatives), first, count
 *       same: true
 *       search: cma
 *       evaluations: 2000
 */
#include "kind/kind_draft.h"
#include "lang/lang.h"

#include <math.h>
#include <string.h>

enum { MAX_TIME = 1000, MAX_EVALUATIONS = 10000000 };

struct dpi_kind_formula {
  dp_model *model; /* of the symbol x alone */
  dpi_tape *tape;  /* value, slope */
  int sym;
};

/* ---------------------------------------------------------------- formulas over x */

static void formula_release(struct dpi_kind_formula *f) {
  if (!f) return;
  dpi_tape_destroy(f->tape);
  dp_model_destroy(f->model);
}

void dpi_kind_reward_release(dp_kind *kind) {
  for (int t = 0; t < kind->reward.nterm; t++) formula_release(kind->reward.term[t].utility);
}

static dp_status compile(dpi_draft *d, const char *text, const char *where, struct dpi_kind_formula *f) {
  DP_TRY(dpi_model_create(d->ctx, "utility", where, &f->model));
  DP_TRY(dpi_model_symbol(f->model, "x", 1, &f->sym));
  f->model->sym[f->sym].value = 0;
  dpi_node node;
  DP_TRY(dpi_model_parse(f->model, text, where, false, &node));
  uint8_t fast[2] = {1, 1}, seen[2] = {0, 0};
  if (f->model->nsym == DPI_COUNT(fast)) DP_TRY(dpi_g_depends(f->model->graph, node, seen, f->model->nsym));
  if (f->model->nsym != DPI_COUNT(fast) || seen[0])
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: expected a formula over x alone", where);
  dpi_node out[2] = {node, dpi_g_diff(f->model->graph, node, f->sym)};
  if (out[1] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  return dpi_tape_create(d->ctx, f->model->graph, out, 2, fast, f->model->nsym, &f->tape);
}

dp_status dpi_draft_utility(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *node,
                            struct dpi_kind_formula **out) {
  if (!node->text) return dpi_reward_fail(doc, node, "a formula over x, such as \"min(x, 600)/600\"");
  const char *where = dpi_arena_printf(d->arena, "%s:%d: %s", doc->source, node->line, node->key);
  struct dpi_kind_formula *f = DPI_ARENA_NEW(d->arena, struct dpi_kind_formula);
  if (!where || !f) return DP_ERR_MEMORY;
  dp_status status = compile(d, node->text, where, f);
  if (status != DP_OK)
    formula_release(f);
  else
    *out = f;
  return status;
}

int dpi_kind_formula_work(const struct dpi_kind_formula *f) { return dpi_tape_nreg(f->tape); }

void dpi_kind_formula_many(const struct dpi_kind_formula *f, const double *x, int n, double *work, double *out) {
  double sym[2] = {0, 0}, both[2];
  dpi_tape_init(f->tape, work);
  dpi_tape_prologue(f->tape, sym, work);
  for (int i = 0; i < n; i++) {
    sym[f->sym] = x[i];
    dpi_tape_eval(f->tape, sym, work, both);
    out[i] = both[0];
  }
}

double dpi_kind_formula_slope(const struct dpi_kind_formula *f, double x, double *work, double *value) {
  double sym[2] = {0, 0}, both[2];
  dpi_tape_init(f->tape, work);
  dpi_tape_prologue(f->tape, sym, work);
  sym[f->sym] = x;
  dpi_tape_eval(f->tape, sym, work, both);
  *value = both[0];
  return both[1];
}

/* ---------------------------------------------------------------- plan */

/* A list of times, ascending. */
static dp_status read_times(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *node, bool positive,
                            const double **out, int *n) {
  if (node->type != DPI_YAML_SEQUENCE || node->count < 1 || node->count > MAX_TIME)
    return dpi_reward_fail(doc, node, "a list of ascending times such as [0, 21 d]");
  double *list = DPI_ARENA_ARRAY(d->arena, double, node->count);
  if (!list) return DP_ERR_MEMORY;
  int i = 0;
  for (const dpi_yaml *item = node->first; item; item = item->next, i++) {
    DP_TRY(dpi_draft_time(d, doc, item, &list[i]));
    bool fine = i ? list[i] > list[i - 1] : positive ? list[i] > 0 : list[i] >= 0;
    if (!fine)
      return dpi_reward_fail(doc, item, positive ? "ascending times > 0" : "ascending times >= 0");
  }
  *out = list;
  *n = node->count;
  return DP_OK;
}

/* controls: which are planned, in this order. */
static dp_status read_controls(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map, dpi_kind_reward *r) {
  const dpi_yaml *node = map ? dpi_yaml_get(map, "controls") : NULL;
  int n = node && node->type == DPI_YAML_SEQUENCE ? node->count : 1, k = 0;
  int *list = DPI_ARENA_ARRAY(d->arena, int, n + 1);
  const char **ids = DPI_ARENA_ARRAY(d->arena, const char *, d->kind->ncontrol + 1);
  if (!list || !ids) return DP_ERR_MEMORY;
  list[0] = r->control;
  r->planned = list;
  r->nplanned = 1;
  if (!node) return DP_OK;
  if (node->type != DPI_YAML_SEQUENCE || n < 1) return dpi_reward_fail(doc, node, "a list of controls");
  for (int i = 0; i < d->kind->ncontrol; i++) ids[i] = d->control[i].id;
  for (const dpi_yaml *item = node->first; item; item = item->next, k++) {
    if (!item->text) return dpi_reward_fail(doc, item, "a control of controls.tsv");
    const char *where = dpi_arena_printf(d->arena, "%s:%d: controls", doc->source, item->line);
    DP_TRY(dpi_draft_refer(d, where, "control of controls.tsv", item->text, ids, d->kind->ncontrol, &list[k]));
    for (int j = 0; j < k; j++)
      if (list[j] == list[k]) return dpi_reward_fail(doc, item, "each control once");
  }
  r->nplanned = n;
  r->control = list[0];
  return DP_OK;
}

/* every, first, count: the times of a course that has one spacing. */
static dp_status read_every(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map, dpi_kind_reward *r) {
  const dpi_yaml *every = dpi_yaml_get(map, "every");
  double spacing;
  DP_TRY(dpi_draft_time(d, doc, every, &spacing));
  if (!(spacing > 0)) return dpi_reward_fail(doc, every, "a time > 0");
  double *time = DPI_ARENA_ARRAY(d->arena, double, r->count);
  if (!time) return DP_ERR_MEMORY;
  for (int i = 0; i < r->count; i++) time[i] = r->first + i * spacing;
  r->time = time;
  r->ntime = r->count;
  return DP_OK;
}

/* When the doses of a course are. */
static dp_status read_course(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map, dpi_kind_reward *r) {
  const dpi_yaml *times = dpi_yaml_get(map, "times"), *every = dpi_yaml_get(map, "every"),
                 *intervals = dpi_yaml_get(map, "intervals"), *first = dpi_yaml_get(map, "first"),
                 *count = dpi_yaml_get(map, "count");
  if ((times != NULL) + (every != NULL) + (intervals != NULL) != 1)
    return dpi_fail(doc->ctx, DP_ERR_INPUT,
                    "%s:%d: plan: a course needs one of times, every (with count) and intervals (with count)",
                    doc->source, map->line);
  if (times) {
    if (first || count) return dpi_reward_fail(doc, first ? first : count, "nothing here beside times");
    return read_times(d, doc, times, false, &r->time, &r->ntime);
  }
  if (first) DP_TRY(dpi_draft_time(d, doc, first, &r->first));
  if (r->first < 0) return dpi_reward_fail(doc, first, "a time >= 0");
  DP_TRY(dpi_yaml_int(doc, map, "count", 1, 1, MAX_TIME, &r->count));
  if (every) return read_every(d, doc, map, r);
  return read_times(d, doc, intervals, true, &r->spacing, &r->nspacing);
}

/* A regimen may name intervals of its own, and nothing of a course. */
static dp_status read_regimen(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map, dpi_kind_reward *r) {
  static const char *const course[] = {"times", "every", "first", "count", "same"};
  for (int i = 0; i < DPI_COUNT(course); i++) {
    const dpi_yaml *node = dpi_yaml_get(map, course[i]);
    if (node) return dpi_reward_fail(doc, node, "it only under form: course");
  }
  const dpi_yaml *intervals = dpi_yaml_get(map, "intervals");
  return intervals ? read_times(d, doc, intervals, true, &r->spacing, &r->nspacing) : DP_OK;
}

dp_status dpi_draft_plan(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map, dpi_kind_reward *r) {
  static const char *const keys[] = {"form",  "controls",  "times", "every",  "first",
                                     "count", "intervals", "same",  "search", "evaluations"};
  static const char *const forms[] = {"regimen", "course"}; /* order of dpi_plan_form */
  static const char *const searches[] = {"exhaustive", "cma", "cross-entropy", "gradient"};
  const char *word, *where;
  int form = 0, index;
  r->search = "";
  r->evaluations = 2000;
  DP_TRY(read_controls(d, doc, map && map->type == DPI_YAML_MAP ? map : NULL, r));
  if (!map) return DP_OK;
  DP_TRY(dpi_yaml_known(doc, map, "plan", keys, DPI_COUNT(keys)));
  DP_TRY(dpi_yaml_string(doc, map, "form", "regimen", &word));
  const dpi_yaml *node = dpi_yaml_get(map, "form");
  where = dpi_arena_printf(d->arena, "%s:%d: form", doc->source, node ? node->line : map->line);
  DP_TRY(dpi_draft_refer(d, where, "form of plans, regimen or course", word, forms, DPI_COUNT(forms), &form));
  r->form = (dpi_plan_form)form;
  DP_TRY(dpi_yaml_bool(doc, map, "same", false, &r->same));
  DP_TRY(r->form == DPI_FORM_COURSE ? read_course(d, doc, map, r) : read_regimen(d, doc, map, r));
  DP_TRY(dpi_yaml_string(doc, map, "search", "", &r->search));
  node = dpi_yaml_get(map, "search");
  where = dpi_arena_printf(d->arena, "%s:%d: search", doc->source, node ? node->line : map->line);
  if (node)
    DP_TRY(dpi_draft_refer(d, where, "search: exhaustive, cma, cross-entropy or gradient", r->search, searches,
                           DPI_COUNT(searches), &index));
  return dpi_yaml_int(doc, map, "evaluations", 2000, 1, MAX_EVALUATIONS, &r->evaluations);
}
