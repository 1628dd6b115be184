/* petab_observe.c - floor 3: the observable table of both versions.
 *
 * Version 2 lists placeholders in columns; version 1 knows them by their names, observableParameter1_obs and
 * noiseParameter1_obs. Ids of observables inside formulas are replaced by their formulas: version 2 everywhere,
 * version 1 in noise formulas.
 */
#include <stdio.h>
#include <string.h>

#include "format/petab/petab_impl.h"

typedef struct columns {
  const petab_group *group;
  int id, label, formula, transformation, noise, distribution, placeholders, noise_placeholders;
} columns;

enum { MAX_PLACEHOLDERS = 1000 };

static const char *const words[] = {"observableId",           "observableName",           "observableFormula",
                                    "noiseFormula",           "observableTransformation", "noiseDistribution",
                                    "observablePlaceholders", "noisePlaceholders"};

static dp_status head(petab_sheet *s, void *out) {
  columns *c = out;
  bool v2 = s->r->p->version == 2;
  DP_TRY(dpi_table_need(s->t, "observableId", &c->id));
  DP_TRY(dpi_table_need(s->t, "observableFormula", &c->formula));
  DP_TRY(dpi_table_need(s->t, "noiseFormula", &c->noise));
  c->label = dpi_table_column(s->t, "observableName");
  c->transformation = dpi_table_column(s->t, "observableTransformation");
  c->distribution = dpi_table_column(s->t, "noiseDistribution");
  c->placeholders = v2 ? dpi_table_column(s->t, "observablePlaceholders") : -1;
  c->noise_placeholders = v2 ? dpi_table_column(s->t, "noisePlaceholders") : -1;
  if (dpi_table_column(s->t, "measurementType") >= 0) {
    const dpi_petab_place place = petab_place(s, -1, "measurementType");
    return petab_fail(s->r->p, &place, DP_ERR_UNSUPPORTED,
                      "measurementType is read from the measurement table; move the column there");
  }
  return petab_note_columns(s, words, DPI_COUNT(words));
}

/* ---- distributions ---- */

static dp_status read_noise_v1(petab_sheet *s, int row, const columns *c, dpi_petab_observable *o) {
  static const char *const scales[] = {"lin", "log", "log10"}, *const families[] = {"normal", "laplace"};
  int k = 0;
  DP_TRY(dpi_table_choice(s->t, row, c->transformation, scales, 3, 0, &k));
  o->scale = (dpi_petab_scale)k;
  DP_TRY(dpi_table_choice(s->t, row, c->distribution, families, 2, 0, &k));
  o->noise = (dpi_petab_noise)k;
  return DP_OK;
}

static dp_status read_noise_v2(petab_sheet *s, int row, const columns *c, dpi_petab_observable *o) {
  static const char *const families[] = {"normal", "laplace", "log-normal", "log-laplace"};
  int k = 0;
  const char *old = petab_cell(s, row, c->transformation);
  if (!petab_empty(old) && strcmp(old, "lin") != 0)
    return dpi_table_fail(
        s->t, row, c->transformation,
        "version 2 knows no transformations, found '%.40s'; write noiseDistribution log-normal or log-laplace", old);
  DP_TRY(dpi_table_choice(s->t, row, c->distribution, families, 4, 0, &k));
  o->scale = k >= 2 ? DPI_PETAB_LOG : DPI_PETAB_LIN;
  o->noise = (dpi_petab_noise)(k % 2);
  return DP_OK;
}

/* ---- placeholders ---- */

static dp_status make_placeholder(dpi_petab *p, int name, int observable, const dpi_petab_place *place) {
  dpi_petab_name *n = &p->name[name];
  if (n->kind == DPI_PETAB_PARAMETER)
    return petab_fail(p, place, DP_ERR_INPUT, "placeholder '%s' is also in the parameter table; take it out there",
                      n->id);
  if (n->kind == DPI_PETAB_TIME) return petab_fail(p, place, DP_ERR_INPUT, "'time' is no placeholder");
  if (n->kind == DPI_PETAB_PLACEHOLDER) return DP_OK;
  n->kind = DPI_PETAB_PLACEHOLDER;
  n->index = observable;
  return DP_OK;
}

/* a;b of a column */
static dp_status listed_placeholders(petab_sheet *s, int row, int column, const char *label, int observable, int **out,
                                     int *n) {
  dpi_petab *p = s->r->p;
  const char **part;
  dpi_petab_place place = petab_place(s, row, label);
  DP_TRY(petab_split(p, petab_cell(s, row, column), &part, n));
  if (*n > MAX_PLACEHOLDERS)
    return petab_fail(p, &place, DP_ERR_UNSUPPORTED, "more than %d placeholders", MAX_PLACEHOLDERS);
  int *name = DPI_ARENA_ARRAY(&p->arena, int, *n > 0 ? *n : 1);
  if (!name) return petab_memory(p);
  for (int i = 0; i < *n; i++) {
    if (!petab_valid_id(part[i]) || petab_reserved(part[i]))
      return petab_fail(p, &place, DP_ERR_INPUT, "'%.60s' is no identifier", part[i]);
    DP_TRY(petab_name(p, part[i], strlen(part[i]), &place, &name[i]));
    for (int k = 0; k < i; k++)
      if (name[k] == name[i]) return petab_fail(p, &place, DP_ERR_INPUT, "placeholder '%s' is listed twice", part[i]);
    DP_TRY(make_placeholder(p, name[i], observable, &place));
  }
  *out = name;
  return DP_OK;
}

/* n of "<prefix><n>_<id>", 0: it is something else */
static int placeholder_number(const char *name, const char *prefix, const char *id) {
  size_t length = strlen(prefix);
  int n = 0;
  if (strncmp(name, prefix, length) != 0) return 0;
  const char *c = name + length;
  if (*c < '1' || *c > '9') return 0;
  for (; *c >= '0' && *c <= '9'; c++)
    if (n < 1000000) n = 10 * n + (*c - '0');
  return *c == '_' && strcmp(c + 1, id) == 0 ? n : 0;
}

/* Version 1: the placeholders that the formulas use, without gaps. */
static dp_status implied_placeholders(dpi_petab *p, int observable, const bool *used, const char *prefix,
                                      const char *column, int **out, int *n) {
  const dpi_petab_observable *o = &p->observable[observable];
  dpi_petab_place place = {o->place.file, o->place.line, column};
  *n = 0;
  for (int i = 0; i < p->nname; i++) {
    int k = used[i] ? placeholder_number(p->name[i].id, prefix, o->id) : 0;
    if (k > *n) *n = k;
  }
  if (*n > MAX_PLACEHOLDERS)
    return petab_fail(p, &place, DP_ERR_UNSUPPORTED, "more than %d placeholders", MAX_PLACEHOLDERS);
  int *name = DPI_ARENA_ARRAY(&p->arena, int, *n > 0 ? *n : 1);
  if (!name) return petab_memory(p);
  for (int i = 0; i < *n; i++) name[i] = -1;
  for (int i = 0; i<p->nname && * n> 0; i++) {
    int k = used[i] ? placeholder_number(p->name[i].id, prefix, o->id) : 0;
    if (k > 0) name[k - 1] = i;
  }
  for (int i = 0; i < *n; i++) {
    if (name[i] < 0)
      return petab_fail(p, &place, DP_ERR_INPUT,
                        "%s%d_%s is used, but not %s%d_%s; number the placeholders without gaps", prefix, *n, o->id,
                        prefix, i + 1, o->id);
    DP_TRY(make_placeholder(p, name[i], observable, &place));
  }
  *out = name;
  return DP_OK;
}

/* ---- observables inside formulas ---- */

typedef struct expander {
  petab_reader *r;
  char *state; /* of each observable: 0 untouched, 1 under way, 2 done */
  int depth;
  long budget;
} expander;

/* The observable that a name means, -1: none. */
static int observable_of(const petab_reader *r, int name) {
  const dpi_petab_name *n = &r->p->name[name];
  return n->kind == DPI_PETAB_MODEL ? dpi_map_get(&r->observables, n->id) : -1;
}

static const dpi_petab_expr *put_observable(void *user, int name) {
  const petab_reader *r = user;
  int o = observable_of(r, name);
  return o < 0 ? NULL : r->p->observable[o].formula;
}

static dp_status expand(expander *x, int observable);

static dp_status expand_inside(expander *x, const dpi_petab_expr *e) {
  int o = e->op == PETAB_NAME ? observable_of(x->r, e->name) : -1;
  if (o >= 0) DP_TRY(expand(x, o));
  for (int i = 0; i < e->narg; i++) DP_TRY(expand_inside(x, e->arg[i]));
  return DP_OK;
}

/* The formula of an observable, after those of the observables in it. */
static dp_status expand(expander *x, int observable) {
  dpi_petab *p = x->r->p;
  dpi_petab_observable *o = &p->observable[observable];
  dpi_petab_place place = {o->place.file, o->place.line, "observableFormula"};
  if (x->state[observable] == 2 || !o->formula) return DP_OK;
  if (x->state[observable] == 1)
    return petab_fail(p, &place, DP_ERR_INPUT, "observable '%s' depends on itself; break the circle", o->id);
  if (++x->depth > PETAB_DEPTH)
    return petab_fail(p, &place, DP_ERR_UNSUPPORTED, "observables inside observables, more than %d deep", PETAB_DEPTH);
  x->state[observable] = 1;
  DP_TRY(expand_inside(x, o->formula));
  x->state[observable] = 2;
  x->depth--;
  return petab_replace(p, o->formula, &place, put_observable, x->r, &x->budget, &o->formula);
}

static dp_status expand_noise(expander *x, int observable) {
  dpi_petab *p = x->r->p;
  dpi_petab_observable *o = &p->observable[observable];
  dpi_petab_place place = {o->place.file, o->place.line, "noiseFormula"};
  if (!o->noise_formula) return DP_OK;
  return petab_replace(p, o->noise_formula, &place, put_observable, x->r, &x->budget, &o->noise_formula);
}

static dp_status implied(petab_reader *r, int observable, bool *used) {
  dpi_petab *p = r->p;
  dpi_petab_observable *o = &p->observable[observable];
  memset(used, 0, (size_t)p->nname * sizeof *used);
  if (o->formula) dpi_petab_uses(o->formula, used);
  if (o->noise_formula) dpi_petab_uses(o->noise_formula, used);
  DP_TRY(implied_placeholders(p, observable, used, "observableParameter", "observableFormula", &o->placeholder,
                              &o->nplaceholder));
  return implied_placeholders(p, observable, used, "noiseParameter", "noiseFormula", &o->noise_placeholder,
                              &o->nnoise_placeholder);
}

static dp_status finish(petab_reader *r, expander *x, bool *used) {
  dpi_petab *p = r->p;
  for (int i = r->first_observable; i < p->nobservable; i++) {
    if (p->version == 1) DP_TRY(petab_note(r, implied(r, i, used)));
    if (p->version == 2) {
      x->depth = 0;
      DP_TRY(petab_note(r, expand(x, i)));
    }
  }
  for (int i = r->first_observable; i < p->nobservable; i++) DP_TRY(petab_note(r, expand_noise(x, i)));
  return DP_OK;
}

/* ---- one row ---- */

static dp_status new_observable(petab_sheet *s, int row, const columns *c, int *out) {
  dpi_petab *p = s->r->p;
  const char *id;
  DP_TRY(petab_cell_id(s, row, c->id, "observableId", &id));
  dpi_petab_place place = petab_place(s, row, "observableId");
  int before = dpi_map_get(&s->r->observables, id), name = dpi_map_get(&p->own->names, id);
  if (before >= 0)
    return petab_fail(p, &place, DP_ERR_INPUT, "observable '%s' occurs twice, first in %s:%d", id,
                      p->observable[before].place.file, p->observable[before].place.line);
  if (p->version == 2 && name >= 0 && p->name[name].kind == DPI_PETAB_PARAMETER)
    return petab_fail(p, &place, DP_ERR_INPUT, "'%s' is also a parameter of the parameter table; rename one of them",
                      id);
  DP_TRY(dpi_grow(p->ctx, (void **)&p->observable, &p->own->cap_observable, p->nobservable + 1, sizeof *p->observable));
  *out = p->nobservable;
  p->observable[*out] = (dpi_petab_observable){.id = id, .label = "", .model = c->group->model, .place = place};
  DP_TRY(dpi_map_put(&s->r->observables, id, *out));
  p->nobservable++;
  return DP_OK;
}

static dp_status read_formula(petab_sheet *s, int row, int column, const char *label, const dpi_petab_expr **out) {
  dpi_petab_place place = petab_place(s, row, label);
  const char *cell = petab_cell(s, row, column);
  if (petab_empty(cell)) return petab_fail(s->r->p, &place, DP_ERR_INPUT, "the formula is missing");
  return dpi_petab_parse(s->r->p, cell, &place, out);
}

static dp_status read_row(petab_sheet *s, int row, void *user) {
  const columns *c = user;
  dpi_petab *p = s->r->p;
  int k = 0;
  double spread;
  DP_TRY(new_observable(s, row, c, &k));
  dpi_petab_observable *o = &p->observable[k];
  o->label = dpi_arena_strdup(&p->arena, petab_cell(s, row, c->label));
  if (!o->label) return petab_memory(p);
  DP_TRY(p->version == 1 ? read_noise_v1(s, row, c, o) : read_noise_v2(s, row, c, o));
  DP_TRY(listed_placeholders(s, row, c->placeholders, "observablePlaceholders", k, &o->placeholder, &o->nplaceholder));
  DP_TRY(listed_placeholders(s, row, c->noise_placeholders, "noisePlaceholders", k, &o->noise_placeholder,
                             &o->nnoise_placeholder));
  DP_TRY(read_formula(s, row, c->formula, "observableFormula", &o->formula));
  DP_TRY(read_formula(s, row, c->noise, "noiseFormula", &o->noise_formula));
  if (dpi_petab_number(o->noise_formula, &spread) && !(spread > 0.0))
    return dpi_table_fail(s->t, row, c->noise, "the noise %g is not positive", spread);
  return DP_OK;
}

dp_status petab_read_observables(petab_reader *r, const petab_group *g) {
  dpi_petab *p = r->p;
  columns c = {.group = g};
  DP_TRY(petab_sheet_read_all(r, &g->observable, head, read_row, &c));
  expander x = {.r = r, .state = dpi_alloc(r->ctx, (size_t)p->nobservable + 1), .budget = PETAB_EXPAND};
  bool *used = DPI_NEW_ARRAY(r->ctx, bool, p->nname);
  dp_status status = x.state && used ? finish(r, &x, used) : petab_memory(p);
  dpi_free(r->ctx, x.state);
  dpi_free(r->ctx, used);
  return status;
}
