/* petab_course.c - floor 3: conditions and experiments of both versions -> experiments, each a list of periods.
 *
 * Version 1 has a wide table of conditions, and measurements name one or two of them: simulation, and what to come
 * to rest under before. Version 2 has a long table of changes and a table of what begins when. Both become the same:
 * periods with changes.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/petab/petab_impl.h"

/* ---- conditions ---- */

static dp_status add_condition(petab_sheet *s, int row, const char *id, int *out) {
  petab_reader *r = s->r;
  DP_TRY(dpi_grow(r->ctx, (void **)&r->condition, &r->cap_condition, r->ncondition + 1, sizeof *r->condition));
  r->condition[r->ncondition] = (petab_condition){.id = id, .place = petab_place(s, row, "conditionId")};
  DP_TRY(dpi_map_put(&r->conditions, id, r->ncondition));
  *out = r->ncondition++;
  return DP_OK;
}

static dp_status add_change(petab_reader *r, petab_condition *c, dpi_petab_change change) {
  DP_TRY(dpi_grow(r->ctx, (void **)&c->change, &c->cap, c->nchange + 1, sizeof *c->change));
  c->change[c->nchange++] = change;
  return DP_OK;
}

/* A target is nothing that the parameter table gives. */
static dp_status check_target(dpi_petab *p, int name, const dpi_petab_place *place) {
  const dpi_petab_name *n = &p->name[name];
  if (n->kind == DPI_PETAB_PARAMETER)
    return petab_fail(
        p, place, DP_ERR_INPUT,
        "'%s' is set by a condition and by the parameter table; give the condition a parameter of another name", n->id);
  if (n->kind == DPI_PETAB_PLACEHOLDER)
    return petab_fail(p, place, DP_ERR_INPUT, "'%s' is a placeholder, which measurements fill", n->id);
  if (n->kind == DPI_PETAB_TIME) return petab_fail(p, place, DP_ERR_INPUT, "time cannot be set");
  return DP_OK;
}

/* ---- version 1: wide ---- */

typedef struct wide_columns {
  int id;
  int *target; /* [ncolumn] names, -1: not a target */
} wide_columns;

static dp_status wide_head(petab_sheet *s, void *user) {
  wide_columns *c = user;
  dpi_petab *p = s->r->p;
  DP_TRY(dpi_table_need(s->t, "conditionId", &c->id));
  c->target = DPI_ARENA_ARRAY(&p->arena, int, s->t->ncolumn);
  if (!c->target) return petab_memory(p);
  for (int k = 0; k < s->t->ncolumn; k++) {
    const char *id = s->t->column[k];
    c->target[k] = -1;
    if (k == c->id || strcmp(id, "conditionName") == 0) continue;
    const char *label = dpi_arena_strdup(&p->arena, id);
    if (!label) return petab_memory(p);
    dpi_petab_place place = petab_place(s, -1, label);
    dp_status status = DP_OK;
    if (!petab_valid_id(id)) status = petab_fail(p, &place, DP_ERR_INPUT, "the column's name is no identifier");
    if (status == DP_OK) status = petab_name(p, id, strlen(id), &place, &c->target[k]);
    if (status == DP_OK) status = check_target(p, c->target[k], &place);
    if (status != DP_OK) c->target[k] = -1;
    DP_TRY(petab_note(s->r, status));
  }
  return DP_OK;
}

/* A number or the id of a parameter; NaN or nothing: NULL. */
static dp_status wide_cell(petab_sheet *s, int row, int k, dpi_petab_change *out) {
  dpi_petab *p = s->r->p;
  const char *cell = petab_cell(s, row, k);
  double x;
  *out = (dpi_petab_change){
      .how = DPI_PETAB_SET, .place = petab_place(s, row, p->name[out->target].id), .target = out->target};
  if (dpi_table_missing(cell)) return DP_OK;
  DP_TRY(dpi_petab_parse(p, cell, &out->place, &out->value));
  if (dpi_petab_lone_name(out->value) >= 0 || dpi_petab_number(out->value, &x)) return DP_OK;
  return petab_fail(p, &out->place, DP_ERR_INPUT,
                    "found '%.60s', expected a number or the id of a parameter (version 1 has no formulas here)", cell);
}

static dp_status wide_row(petab_sheet *s, int row, void *user) {
  const wide_columns *c = user;
  petab_reader *r = s->r;
  const char *id;
  int k;
  DP_TRY(petab_cell_id(s, row, c->id, "conditionId", &id));
  if (dpi_map_get(&r->conditions, id) >= 0) {
    const dpi_petab_place *first = &r->condition[dpi_map_get(&r->conditions, id)].place;
    return dpi_table_fail(s->t, row, c->id, "condition '%s' occurs twice, first in %s:%d", id, first->file,
                          first->line);
  }
  DP_TRY(add_condition(s, row, id, &k));
  for (int i = 0; i < s->t->ncolumn; i++) {
    dpi_petab_change change = {.target = c->target[i]};
    if (c->target[i] < 0) continue;
    DP_TRY(petab_note(r, wide_cell(s, row, i, &change)));
    DP_TRY(add_change(r, &r->condition[k], change));
  }
  return DP_OK;
}

/* ---- version 2: long ---- */

typedef struct long_columns {
  int id, target, value;
} long_columns;

static dp_status long_head(petab_sheet *s, void *user) {
  long_columns *c = user;
  DP_TRY(dpi_table_need(s->t, "conditionId", &c->id));
  DP_TRY(dpi_table_need(s->t, "targetId", &c->target));
  return dpi_table_need(s->t, "targetValue", &c->value);
}

static dp_status long_row(petab_sheet *s, int row, void *user) {
  const long_columns *c = user;
  petab_reader *r = s->r;
  dpi_petab *p = r->p;
  const char *id, *target;
  dpi_petab_change change = {.how = DPI_PETAB_SET};
  DP_TRY(petab_cell_id(s, row, c->id, "conditionId", &id));
  int k = dpi_map_get(&r->conditions, id);
  if (k < 0) DP_TRY(add_condition(s, row, id, &k));
  DP_TRY(petab_cell_id(s, row, c->target, "targetId", &target));
  change.place = petab_place(s, row, "targetId");
  DP_TRY(petab_name(p, target, strlen(target), &change.place, &change.target));
  DP_TRY(check_target(p, change.target, &change.place));
  for (int i = 0; i < r->condition[k].nchange; i++)
    if (r->condition[k].change[i].target == change.target)
      return petab_fail(p, &change.place, DP_ERR_INPUT, "condition '%s' sets '%s' twice, first in %s:%d", id, target,
                        r->condition[k].change[i].place.file, r->condition[k].change[i].place.line);
  change.place.column = "targetValue";
  if (*petab_cell(s, row, c->value) == '\0') return petab_fail(p, &change.place, DP_ERR_INPUT, "the value is missing");
  DP_TRY(dpi_petab_parse(p, petab_cell(s, row, c->value), &change.place, &change.value));
  return add_change(r, &r->condition[k], change);
}

dp_status petab_read_conditions(petab_reader *r, const petab_group *g) {
  wide_columns wide;
  long_columns tall;
  return r->p->version == 1 ? petab_sheet_read_all(r, &g->condition, wide_head, wide_row, &wide)
                            : petab_sheet_read_all(r, &g->condition, long_head, long_row, &tall);
}

/* ---- the experiment table of version 2 ---- */

typedef struct course_columns {
  int id, time, condition;
} course_columns;

static dp_status course_head(petab_sheet *s, void *user) {
  course_columns *c = user;
  DP_TRY(dpi_table_need(s->t, "experimentId", &c->id));
  DP_TRY(dpi_table_need(s->t, "time", &c->time));
  return dpi_table_need(s->t, "conditionId", &c->condition);
}

static dp_status find_course(petab_sheet *s, int row, int column, int *out) {
  petab_reader *r = s->r;
  const char *id;
  DP_TRY(petab_cell_id(s, row, column, "experimentId", &id));
  *out = dpi_map_get(&r->courses, id);
  if (*out >= 0) return DP_OK;
  DP_TRY(dpi_grow(r->ctx, (void **)&r->course, &r->cap_course, r->ncourse + 1, sizeof *r->course));
  r->course[r->ncourse] = (petab_course){.id = id, .place = petab_place(s, row, "experimentId")};
  DP_TRY(dpi_map_put(&r->courses, id, r->ncourse));
  *out = r->ncourse++;
  return DP_OK;
}

static dp_status course_row(petab_sheet *s, int row, void *user) {
  const course_columns *c = user;
  petab_reader *r = s->r;
  const char *cell = petab_cell(s, row, c->condition);
  int k;
  petab_step step = {.condition = -1, .place = petab_place(s, row, "conditionId")};
  DP_TRY(find_course(s, row, c->id, &k));
  DP_TRY(dpi_table_bound_or(s->t, row, c->time, NAN, &step.time));
  if (!(step.time < INFINITY))
    return dpi_table_fail(s->t, row, c->time, "found '%.40s', expected a time or -inf (come to rest first)",
                          petab_cell(s, row, c->time));
  if (!petab_empty(cell)) {
    step.condition = dpi_map_get(&r->conditions, cell);
    if (step.condition >= 0) r->condition[step.condition].used = true;
    if (step.condition < 0)
      return dpi_table_fail(
          s->t, row, c->condition,
          "the condition tables have no condition '%.60s'; add it, or leave the cell empty for no change", cell);
  }
  petab_course *course = &r->course[k];
  for (int i = 0; i < course->nstep; i++)
    if (course->step[i].time == step.time && course->step[i].condition == step.condition)
      return dpi_table_fail(s->t, row, c->condition,
                            "experiment '%s' applies this condition twice at the same time, first in line %d",
                            course->id, course->step[i].place.line);
  step.row = course->nstep;
  DP_TRY(dpi_grow(r->ctx, (void **)&course->step, &course->cap, course->nstep + 1, sizeof *course->step));
  course->step[course->nstep++] = step;
  return DP_OK;
}

static int compare_step(const void *a, const void *b) {
  const petab_step *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

/* ---- periods ---- */

/* The conditions of steps that begin at once: changes of different targets. */
static dp_status make_period(petab_reader *r, const petab_course *course, int from, int to, dpi_petab_period *out) {
  dpi_petab *p = r->p;
  int nchange = 0;
  for (int i = from; i < to; i++)
    nchange += course->step[i].condition < 0 ? 0 : r->condition[course->step[i].condition].nchange;
  *out = (dpi_petab_period){.time = course->step[from].time};
  out->change = DPI_ARENA_ARRAY(&p->arena, dpi_petab_change, nchange > 0 ? nchange : 1);
  out->condition = DPI_ARENA_ARRAY(&p->arena, const char *, to - from);
  if (!out->change || !out->condition) return petab_memory(p);
  for (int i = from; i < to; i++) {
    if (course->step[i].condition < 0) continue;
    const petab_condition *c = &r->condition[course->step[i].condition];
    out->condition[out->ncondition++] = c->id;
    for (int k = 0; k < c->nchange; k++) {
      for (int j = 0; j < out->nchange && to - from > 1; j++)
        if (out->change[j].target == c->change[k].target)
          return petab_fail(p, &course->step[i].place, DP_ERR_INPUT,
                            "condition '%s' and another one that begins at the same time both set '%s'", c->id,
                            p->name[c->change[k].target].id);
      out->change[out->nchange++] = c->change[k];
    }
  }
  return DP_OK;
}

static dp_status make_periods(petab_reader *r, petab_course *course, int *nperiod, dpi_petab_period **out) {
  *out = DPI_ARENA_ARRAY(&r->p->arena, dpi_petab_period, course->nstep + 1);
  if (!*out) return petab_memory(r->p);
  *nperiod = course->nstep == 0;
  if (course->nstep == 0) { /* in a lint whose complaints were about its rows: nothing more is said */
    (*out)->time = -DBL_MAX;
    return DP_OK;
  }
  qsort(course->step, (size_t)course->nstep, sizeof *course->step, compare_step);
  for (int from = 0, to; from < course->nstep; from = to) {
    for (to = from + 1; to < course->nstep && course->step[to].time == course->step[from].time;) to++;
    DP_TRY(make_period(r, course, from, to, &(*out)[(*nperiod)++]));
  }
  return DP_OK;
}

dp_status petab_read_experiments(petab_reader *r, const petab_group *g) {
  course_columns c;
  DP_TRY(petab_sheet_read_all(r, &g->experiment, course_head, course_row, &c));
  for (int i = 0; i < r->ncourse; i++) { /* also those that nobody measured */
    int n;
    dpi_petab_period *period;
    DP_TRY(petab_note(r, make_periods(r, &r->course[i], &n, &period)));
  }
  return DP_OK;
}

/* ---- experiments that are measured ---- */

static dp_status add_experiment(petab_reader *r, dpi_petab_experiment e, const char *key, int *out) {
  dpi_petab *p = r->p;
  DP_TRY(dpi_grow(p->ctx, (void **)&p->experiment, &p->own->cap_experiment, p->nexperiment + 1, sizeof *p->experiment));
  p->experiment[p->nexperiment] = e;
  DP_TRY(dpi_map_put(&r->experiments, key, p->nexperiment));
  *out = p->nexperiment++;
  return DP_OK;
}

dp_status petab_experiment_v2(petab_reader *r, int course, int model, int *out) {
  dpi_petab *p = r->p;
  char key[40];
  snprintf(key, sizeof key, "%d:%d", course, model);
  *out = dpi_map_get(&r->experiments, key);
  if (*out >= 0) return DP_OK;
  dpi_petab_experiment e = {.id = "", .model = model, .place = {p->path, 1, ""}};
  if (course < 0) {
    e.model_start = true;
    e.nperiod = 1;
    e.period = DPI_ARENA_NEW(&p->arena, dpi_petab_period);
    if (!e.period) return petab_memory(p);
  } else {
    e.id = r->course[course].id;
    e.place = r->course[course].place;
    DP_TRY(make_periods(r, &r->course[course], &e.nperiod, &e.period));
  }
  return add_experiment(r, e, key, out);
}

static bool sets(const petab_condition *c, int target) {
  for (int i = 0; c && i < c->nchange; i++)
    if (c->change[i].target == target) return c->change[i].value != NULL;
  return false;
}

/* A condition of version 1 as a period. NaN leaves things as they are; after another period it takes back what that
 * one set. */
static dp_status period_v1(petab_reader *r, const petab_condition *before, const petab_condition *c, double time,
                           dpi_petab_period *out) {
  dpi_petab *p = r->p;
  *out = (dpi_petab_period){.time = time, .ncondition = 1};
  out->change = DPI_ARENA_ARRAY(&p->arena, dpi_petab_change, c->nchange > 0 ? c->nchange : 1);
  out->condition = DPI_ARENA_NEW(&p->arena, const char *);
  if (!out->change || !out->condition) return petab_memory(p);
  out->condition[0] = c->id;
  for (int i = 0; i < c->nchange; i++) {
    dpi_petab_change change = c->change[i];
    if (!change.value) change.how = DPI_PETAB_RESET;
    if (change.value || sets(before, change.target)) out->change[out->nchange++] = change;
  }
  return DP_OK;
}

dp_status petab_experiment_v1(petab_reader *r, int before, int condition, int model, int *out) {
  dpi_petab *p = r->p;
  char key[40];
  snprintf(key, sizeof key, "%d:%d", before, condition);
  *out = dpi_map_get(&r->experiments, key);
  if (*out >= 0) return DP_OK;
  const petab_condition *c = &r->condition[condition], *b = before < 0 ? NULL : &r->condition[before];
  dpi_petab_experiment e = {.model = model, .place = c->place, .nperiod = b ? 2 : 1};
  e.id = b ? dpi_arena_printf(&p->arena, "%s|%s", b->id, c->id) : c->id;
  e.period = DPI_ARENA_ARRAY(&p->arena, dpi_petab_period, 2);
  if (!e.id || !e.period) return petab_memory(p);
  if (b) DP_TRY(period_v1(r, NULL, b, -INFINITY, &e.period[0]));
  DP_TRY(period_v1(r, b, c, 0.0, &e.period[b ? 1 : 0]));
  return add_experiment(r, e, key, out);
}
