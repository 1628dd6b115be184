/* petab_measure.c - floor 3: the measurement table of both versions. */
#include <math.h>
#include <string.h>

#include "format/petab/petab_impl.h"

typedef struct columns {
  const petab_group *group;
  int observable, before, condition, experiment, model, value, time, parameters, noise, dataset, replicate;
  int type, category, bounds; /* measurementType, measurementCategory, censoringBounds */
} columns;

/* columns of other programs that change the likelihood */
static const char *const refused[] = {"lloq", "uloq", "censoring"};

static const char *const words[] = {"observableId",
                                    "preequilibrationConditionId",
                                    "simulationConditionId",
                                    "experimentId",
                                    "modelId",
                                    "measurement",
                                    "time",
                                    "observableParameters",
                                    "noiseParameters",
                                    "datasetId",
                                    "replicateId",
                                    "measurementType",
                                    "measurementCategory",
                                    "censoringBounds"};

static dp_status refuse(petab_sheet *s, int row, const char *column, const char *why) {
  const dpi_petab_place place = petab_place(s, row, column);
  return petab_fail(s->r->p, &place, DP_ERR_UNSUPPORTED, "%s", why);
}

static dp_status head(petab_sheet *s, void *out) {
  columns *c = out;
  bool v1 = s->r->p->version == 1;
  DP_TRY(dpi_table_need(s->t, "observableId", &c->observable));
  if (v1)
    DP_TRY(dpi_table_need(s->t, "simulationConditionId", &c->condition));
  else
    DP_TRY(dpi_table_need(s->t, "experimentId", &c->experiment));
  DP_TRY(dpi_table_need(s->t, "measurement", &c->value));
  DP_TRY(dpi_table_need(s->t, "time", &c->time));
  c->before = v1 ? dpi_table_column(s->t, "preequilibrationConditionId") : -1;
  c->model = v1 ? -1 : dpi_table_column(s->t, "modelId");
  c->parameters = dpi_table_column(s->t, "observableParameters");
  c->noise = dpi_table_column(s->t, "noiseParameters");
  c->dataset = dpi_table_column(s->t, "datasetId");
  c->replicate = dpi_table_column(s->t, "replicateId");
  c->type = dpi_table_column(s->t, "measurementType");
  c->category = dpi_table_column(s->t, "measurementCategory");
  c->bounds = dpi_table_column(s->t, "censoringBounds");
  for (int i = 0; i < DPI_COUNT(refused); i++)
    if (dpi_table_column(s->t, refused[i]) >= 0)
      return refuse(s, -1, refused[i],
                    "this column is not supported; say it by measurementType (left-censored, right-censored, "
                    "interval-censored) and censoringBounds, or remove it");
  return petab_note_columns(s, words, DPI_COUNT(words));
}

/* ---- overrides ---- */

/* A cell's expressions, parsed once for each text. */
static dp_status parse_overrides(petab_sheet *s, int row, int column, const char *label, int *out) {
  petab_reader *r = s->r;
  dpi_petab *p = r->p;
  const char *cell = petab_cell(s, row, column), **part;
  dpi_petab_place place = petab_place(s, row, label);
  double x;
  int n;
  *out = dpi_map_get(&r->cells, cell);
  if (*out >= 0) return DP_OK;
  DP_TRY(petab_split(p, cell, &part, &n));
  const dpi_petab_expr **value = DPI_ARENA_ARRAY(&p->arena, const dpi_petab_expr *, n > 0 ? n : 1);
  if (!value) return petab_memory(p);
  for (int i = 0; i < n; i++) {
    if (*part[i] == '\0')
      return petab_fail(p, &place, DP_ERR_INPUT, "'%.60s' holds an empty entry; write values with one ';' between them",
                        cell);
    DP_TRY(dpi_petab_parse(p, part[i], &place, &value[i]));
    if (p->version == 1 && dpi_petab_lone_name(value[i]) < 0 && !dpi_petab_number(value[i], &x))
      return petab_fail(p, &place, DP_ERR_INPUT, "found '%.60s', expected a number or the id of a parameter", part[i]);
  }
  DP_TRY(dpi_grow(r->ctx, (void **)&r->cell, &r->cap_cell, r->ncell + 1, sizeof *r->cell));
  r->cell[r->ncell] = (petab_overrides){n, value};
  DP_TRY(dpi_map_put(&r->cells, cell, r->ncell));
  *out = r->ncell++;
  return DP_OK;
}

static dp_status read_overrides(petab_sheet *s, int row, int column, const char *label, int expected, const char *what,
                                const dpi_petab_observable *o, const dpi_petab_expr ***out) {
  int k;
  if (petab_empty(petab_cell(s, row, column)) && expected == 0) return DP_OK;
  DP_TRY(parse_overrides(s, row, column, label, &k));
  dpi_petab_place place = petab_place(s, row, label);
  int n = s->r->cell[k].n;
  if (n != expected && expected == 0)
    return petab_fail(s->r->p, &place, DP_ERR_INPUT,
                      "observable '%s' has no %s placeholders, the row gives %d; empty the cell", o->id, what, n);
  if (n != expected)
    return petab_fail(s->r->p, &place, DP_ERR_INPUT,
                      "observable '%s' has %d %s placeholder%s, the row gives %d; write values with ';' between them",
                      o->id, expected, what, expected == 1 ? "" : "s", n);
  *out = s->r->cell[k].value;
  return DP_OK;
}

/* ---- what was measured where ---- */

static dp_status find(petab_sheet *s, int row, int column, const dpi_map *map, const char *what, int *out) {
  const char *cell = petab_cell(s, row, column);
  *out = dpi_map_get(map, cell);
  if (*out >= 0) return DP_OK;
  if (*cell == '\0') return dpi_table_fail(s->t, row, column, "the cell is empty, expected the id of %s", what);
  return dpi_table_fail(s->t, row, column, "the tables have no %s '%.60s'", what, cell);
}

static dp_status find_model(petab_sheet *s, int row, const columns *c, int *out) {
  *out = c->group->model >= 0 ? c->group->model : 0;
  if (s->r->p->version == 1) return DP_OK;
  if (!petab_empty(petab_cell(s, row, c->model))) return find(s, row, c->model, &s->r->models, "model", out);
  if (s->r->p->nmodel == 1) return DP_OK;
  return dpi_table_fail(s->t, row, c->model, "the problem has %d models; name one of them in column modelId",
                        s->r->p->nmodel);
}

static dp_status find_experiment(petab_sheet *s, int row, const columns *c, dpi_petab_measurement *m) {
  petab_reader *r = s->r;
  int condition, before = -1, course = -1;
  DP_TRY(find_model(s, row, c, &m->model));
  if (r->p->version == 2) {
    if (!petab_empty(petab_cell(s, row, c->experiment)))
      DP_TRY(find(s, row, c->experiment, &r->courses, "experiment", &course));
    if (course >= 0) r->course[course].used = true;
    return petab_experiment_v2(r, course, m->model, &m->experiment);
  }
  DP_TRY(find(s, row, c->condition, &r->conditions, "condition", &condition));
  if (!petab_empty(petab_cell(s, row, c->before)))
    DP_TRY(find(s, row, c->before, &r->conditions, "condition", &before));
  r->condition[condition].used = true;
  if (before >= 0) r->condition[before].used = true;
  return petab_experiment_v1(r, before, condition, m->model, &m->experiment);
}

static dp_status check_time(petab_sheet *s, int row, const columns *c, const dpi_petab_measurement *m) {
  const dpi_petab_experiment *e = &s->r->p->experiment[m->experiment];
  const char *cell = petab_cell(s, row, c->time);
  double start = e->period[0].time;
  if (!(m->time > -INFINITY))
    return dpi_table_fail(s->t, row, c->time, "found '%.40s', expected a time or inf (steady state)", cell);
  if (m->time == INFINITY) return DP_OK;
  if (start == -INFINITY && e->nperiod == 1)
    return dpi_table_fail(s->t, row, c->time,
                          "experiment '%s' only comes to rest and has no time %g; measure at inf or add a period",
                          e->id, m->time);
  if (start == -INFINITY) start = e->period[1].time;
  if (m->time < start)
    return dpi_table_fail(s->t, row, c->time, "time %g lies before the start of the experiment at %g", m->time, start);
  return DP_OK;
}

static dp_status check_value(petab_sheet *s, int row, const columns *c, const dpi_petab_observable *o,
                             const dpi_petab_measurement *m) {
  double spread;
  if (m->type == DPI_PETAB_QUANTITATIVE && o->scale != DPI_PETAB_LIN && !(m->value > 0.0))
    return dpi_table_fail(s->t, row, c->value,
                          "%g is not positive, but the noise of observable '%s' is on a logarithmic scale", m->value,
                          o->id);
  if (!o->noise_formula || o->nnoise_placeholder != 1 ||
      dpi_petab_lone_name(o->noise_formula) != o->noise_placeholder[0])
    return DP_OK;
  if (dpi_petab_number(m->noise_override[0], &spread) && !(spread > 0.0))
    return dpi_table_fail(s->t, row, c->noise, "the noise %g is not positive", spread);
  return DP_OK;
}

/* ---- what is known of a value ---- */

static dp_status read_category(petab_sheet *s, int row, const columns *c, dpi_petab_measurement *m) {
  if (petab_empty(petab_cell(s, row, c->category)))
    return dpi_table_fail(s->t, row, c->category,
                          "an ordinal measurement needs its category in column measurementCategory");
  DP_TRY(dpi_table_int(s->t, row, c->category, &m->category));
  if (m->category >= 1) return DP_OK;
  return dpi_table_fail(s->t, row, c->category, "found category %d, expected 1 or more", m->category);
}

static dp_status read_bounds(petab_sheet *s, int row, const columns *c, const dpi_petab_observable *o,
                             dpi_petab_measurement *m) {
  const char *cell = petab_cell(s, row, c->bounds), **part;
  const int expected = m->type == DPI_PETAB_INTERVAL_CENSORED ? 2 : 1;
  double x[2];
  int n;
  DP_TRY(petab_split(s->r->p, cell, &part, &n));
  if (petab_empty(cell) || n != expected)
    return dpi_table_fail(s->t, row, c->bounds, "found '%.60s', expected %s in column censoringBounds", cell,
                          expected == 1 ? "the bound" : "the two bounds LOW;HIGH");
  for (int i = 0; i < n; i++)
    if (!dpi_parse_double(part[i], &x[i]) || !isfinite(x[i]))
      return dpi_table_fail(s->t, row, c->bounds, "found '%.60s', expected a number", part[i]);
  m->low = m->type == DPI_PETAB_LEFT_CENSORED ? -INFINITY : x[0];
  m->high = m->type == DPI_PETAB_RIGHT_CENSORED ? INFINITY : x[n - 1];
  if (!(m->low < m->high))
    return dpi_table_fail(s->t, row, c->bounds, "the lower bound %g is not below the upper bound %g", m->low, m->high);
  if (o->scale == DPI_PETAB_LIN) return DP_OK;
  if (!(m->high > 0.0) || (m->type == DPI_PETAB_RIGHT_CENSORED && !(m->low > 0.0)))
    return dpi_table_fail(s->t, row, c->bounds,
                          "the bound %g is not positive, but the noise of observable '%s' is on a logarithmic scale",
                          m->type == DPI_PETAB_RIGHT_CENSORED ? m->low : m->high, o->id);
  return DP_OK;
}

/* measurementType and the columns that belong to it. */
static dp_status read_type(petab_sheet *s, int row, const columns *c, const dpi_petab_observable *o,
                           dpi_petab_measurement *m) {
  static const char *const words[] = {"quantitative", "left-censored", "right-censored", "interval-censored",
                                      "ordinal"};
  const char *cell = petab_cell(s, row, c->type);
  int k = petab_empty(cell) ? 0 : -1;
  for (int i = 0; i < DPI_COUNT(words); i++) k = strcmp(cell, words[i]) == 0 ? i : k;
  if (k < 0 && strcmp(cell, "semiquantitative") == 0)
    return refuse(s, row, "measurementType",
                  "semiquantitative measurements (nonlinear-monotone splines) are not supported; give them "
                  "as ordinal, or quantitative");
  if (k < 0) {
    const char *near = dpi_nearest_word(cell, words, DPI_COUNT(words));
    return dpi_table_fail(s->t, row, c->type, "unknown measurementType '%.40s'; %s%s%s", cell,
                          near ? "did you mean '"
                               : "there are "
                                 "quantitative, left-censored, right-censored, interval-censored, ordinal",
                          near ? near : "", near ? "'?" : "");
  }
  m->type = (dpi_petab_known_as)k;
  m->low = -INFINITY;
  m->high = INFINITY;
  if (k != DPI_PETAB_ORDINAL && !petab_empty(petab_cell(s, row, c->category)))
    return dpi_table_fail(s->t, row, c->category,
                          "a category without measurementType ordinal; name the type or empty this cell");
  if ((k == DPI_PETAB_QUANTITATIVE || k == DPI_PETAB_ORDINAL) && !petab_empty(petab_cell(s, row, c->bounds)))
    return dpi_table_fail(s->t, row, c->bounds,
                          "bounds without a censored measurementType; name the type or empty this cell");
  if (k == DPI_PETAB_QUANTITATIVE) return DP_OK;
  return k == DPI_PETAB_ORDINAL ? read_category(s, row, c, m) : read_bounds(s, row, c, o, m);
}

static dp_status read_row(petab_sheet *s, int row, void *user) {
  const columns *c = user;
  petab_reader *r = s->r;
  dpi_petab *p = r->p;
  dpi_petab_measurement m = {.place = petab_place(s, row, "")};
  DP_TRY(find(s, row, c->observable, &r->observables, "observable", &m.observable));
  const dpi_petab_observable *o = &p->observable[m.observable];
  DP_TRY(read_type(s, row, c, o, &m));
  if (m.type == DPI_PETAB_QUANTITATIVE)
    DP_TRY(dpi_table_number(s->t, row, c->value, &m.value));
  else
    DP_TRY(dpi_table_number_or(s->t, row, c->value, NAN, &m.value));
  DP_TRY(find_experiment(s, row, c, &m));
  DP_TRY(dpi_table_bound_or(s->t, row, c->time, NAN, &m.time));
  DP_TRY(check_time(s, row, c, &m));
  DP_TRY(read_overrides(s, row, c->parameters, "observableParameters", o->nplaceholder, "observable", o, &m.override));
  DP_TRY(read_overrides(s, row, c->noise, "noiseParameters", o->nnoise_placeholder, "noise", o, &m.noise_override));
  DP_TRY(check_value(s, row, c, o, &m));
  m.dataset = dpi_arena_strdup(&p->arena, petab_cell(s, row, c->dataset));
  m.replicate = dpi_arena_strdup(&p->arena, petab_cell(s, row, c->replicate));
  if (!m.dataset || !m.replicate) return petab_memory(p);
  DP_TRY(dpi_grow(p->ctx, (void **)&p->measurement, &p->own->cap_measurement, p->nmeasurement + 1,
                  sizeof *p->measurement));
  p->measurement[p->nmeasurement++] = m;
  return DP_OK;
}

dp_status petab_read_measurements(petab_reader *r, const petab_group *g) {
  columns c = {.group = g, .experiment = -1, .condition = -1};
  int before = r->p->nmeasurement;
  DP_TRY(petab_sheet_read_all(r, &g->measurement, head, read_row, &c));
  if (r->p->nmeasurement > before || (r->issues && r->issues->n > 0)) return DP_OK;
  return petab_note(
      r, dpi_fail(r->ctx, DP_ERR_INPUT, "%s: the measurement tables hold no measurement", g->measurement.path[0]));
}
