/* kind_rows.c - rows of parameters.tsv, observables.tsv, controls.tsv, quantities.tsv and evidence.tsv to structs.
 *
 * Columns are PEtab's where PEtab has them; unit and name are ours. What the columns mean is in docs/kind.md.
 */
#include "kind/kind_draft.h"
#include "kind/path_figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ERR_INPUT when this row's id stood in an earlier row. */
static dp_status unique(const dpi_sheet *s, int row, const char *column) {
  const char *id = dpi_sheet_cell(s, row, column);
  for (int i = 0; i < row; i++)
    if (strcmp(id, dpi_sheet_cell(s, i, column)) == 0)
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: %s '%s' stands already in line %d", s->source,
                      s->line[row], column, id, s->line[i]);
  return DP_OK;
}

/* The row's unit, checked to be one. */
static dp_status unit_cell(dpi_draft *d, const dpi_sheet *s, int row, const char **text) {
  *text = dpi_sheet_cell(s, row, "unit");
  dp_unit unit;
  return dpi_draft_unit(d, dpi_sheet_where(s, row, "unit"), *text, &unit);
}

/* Display name; empty: the id. */
static const char *name_cell(const dpi_sheet *s, int row, const char *id) {
  const char *name = dpi_sheet_cell(s, row, "name");
  return *name ? name : id;
}

/* A reference range: both ends or none, ascending. */
static dp_status range_cells(const dpi_sheet *s, int row, const char *low_column,
                             const char *high_column, double *low, double *high) {
  DP_TRY(dpi_sheet_number(s, row, low_column, NAN, low));
  DP_TRY(dpi_sheet_number(s, row, high_column, NAN, high));
  if (isnan(*low) != isnan(*high))
    return dpi_sheet_fail(s, row, low_column, "expected both ends or none");
  if (*low >= *high) return dpi_sheet_fail(s, row, high_column, "expected more than the lower end");
  return DP_OK;
}

/* ---------------------------------------------------------------- parameters.tsv */

/* Bounds and nominal value fit together: an estimated parameter is bounded, the scale is defined on the whole range. */
static dp_status check_bounds(const dpi_sheet *s, int row, const dpi_kind_param *p) {
  if (p->estimate && (isinf(p->lower) || isinf(p->upper))) {
    const char *column = isinf(p->lower) ? "lowerBound" : "upperBound";
    return dpi_fail(
        s->ctx, DP_ERR_INPUT,
        "%s:%d: %s of '%s' is missing: an estimated parameter needs both bounds (or estimate 0)",
        s->source, s->line[row], column, p->id);
  }
  if (p->lower >= p->upper)
    return dpi_sheet_fail(s, row, "upperBound", "expected more than lowerBound");
  if (p->nominal < p->lower || p->nominal > p->upper)
    return dpi_sheet_fail(s, row, "nominalValue",
                          "expected a value between lowerBound and upperBound");
  if (!p->estimate) return DP_OK;
  bool positive = p->scale != DPI_SCALE_LIN;
  if (positive && p->lower <= 0)
    return dpi_sheet_fail(s, row, "lowerBound", "expected > 0 on this scale");
  if (p->scale == DPI_SCALE_LOGIT && p->upper >= 1)
    return dpi_sheet_fail(s, row, "upperBound", "expected < 1 on the logit scale");
  return DP_OK;
}

static dp_status read_param(dpi_draft *d, const dpi_sheet *s, int row, dpi_kind_param *p) {
  static const char *const scales[] = {"lin", "log", "log10", "logit"};
  DP_TRY(dpi_sheet_id(s, row, "parameterId", &p->id));
  DP_TRY(unique(s, row, "parameterId"));
  p->name = name_cell(s, row, p->id);
  DP_TRY(unit_cell(d, s, row, &p->unit));
  int scale;
  DP_TRY(
      dpi_sheet_word(s, row, "parameterScale", scales, DPI_COUNT(scales), DPI_SCALE_LIN, &scale));
  p->scale = (dpi_scale)scale;
  DP_TRY(dpi_sheet_flag(s, row, "estimate", false, &p->estimate));
  DP_TRY(dpi_sheet_number(s, row, "lowerBound", -INFINITY, &p->lower));
  DP_TRY(dpi_sheet_number(s, row, "upperBound", INFINITY, &p->upper));
  DP_TRY(dpi_sheet_number(s, row, "nominalValue", NAN, &p->nominal));
  if (isnan(p->nominal)) return dpi_sheet_fail(s, row, "nominalValue", "expected a number");
  p->sim_param = -1;
  return check_bounds(s, row, p);
}

dp_status dpi_draft_parameters(dpi_draft *d) {
  static const dpi_sheet_column columns[] = {
      {"parameterId", true},  {"parameterScale", true}, {"lowerBound", true}, {"upperBound", true},
      {"nominalValue", true}, {"estimate", true},       {"unit", true},       {"name", false}};
  dpi_sheet s;
  DP_TRY(dpi_draft_sheet(d, "parameters", true, columns, DPI_COUNT(columns), &s));
  d->param = DPI_ARENA_ARRAY(d->arena, dpi_kind_param, s.nrow);
  if (!d->param) return DP_ERR_MEMORY;
  for (int row = 0; row < s.nrow; row++) DP_TRY(read_param(d, &s, row, &d->param[row]));
  d->kind->param = d->param;
  d->kind->nparam = s.nrow;
  return DP_OK;
}

/* ---------------------------------------------------------------- observables.tsv */

/* Of a Johnson law, and of no other, the shape is given. */
static dp_status read_shape(const dpi_sheet *s, int row, dpi_kind_observable *o) {
  static const char *const columns[] = {"noiseGamma", "noiseDelta", "noiseMean"};
  double shape[3];
  for (int k = 0; k < DPI_COUNT(columns); k++) {
    const bool given = *dpi_sheet_cell(s, row, columns[k]) != 0;
    if (given && o->noise != DPI_NOISE_JOHNSON)
      return dpi_sheet_fail(s, row, columns[k], "expected nothing: only a johnsonsu error has this shape");
    if (!given && k < 2 && o->noise == DPI_NOISE_JOHNSON)
      return dpi_sheet_fail(s, row, columns[k], "expected a number: the shape of a johnsonsu error");
    DP_TRY(dpi_sheet_number(s, row, columns[k], 0.0, &shape[k]));
  }
  if (o->noise != DPI_NOISE_JOHNSON) return DP_OK;
  if (!(shape[1] >= 0.7 && fabs(shape[0]) <= 5))
    return dpi_sheet_fail(s, row, "noiseDelta", "expected a delta of at least 0.7 with a gamma within -5 to 5");
  if (!(fabs(shape[2]) <= 10))
    return dpi_sheet_fail(s, row, "noiseMean", "expected -10 to 10 standard deviations of the error");
  if (!dpi_johnson_make(shape[0], shape[1], &o->shape))
    return dpi_sheet_fail(s, row, "noiseDelta", "the law has no standard deviation in numbers");
  o->shape.shift += shape[2];
  return DP_OK;
}

static dp_status read_observable(dpi_draft *d, const dpi_sheet *s, int row,
                                 dpi_kind_observable *o) {
  static const char *const noises[] = {"normal", "lognormal", "log-normal", "johnsonsu"};
  static const dpi_noise law[] = {DPI_NOISE_NORMAL, DPI_NOISE_LOGNORMAL, DPI_NOISE_LOGNORMAL, DPI_NOISE_JOHNSON};
  DP_TRY(dpi_sheet_id(s, row, "observableId", &o->id));
  DP_TRY(unique(s, row, "observableId"));
  o->name = name_cell(s, row, o->id);
  DP_TRY(unit_cell(d, s, row, &o->unit));
  o->loinc = dpi_sheet_cell(s, row, "loinc");
  o->dvid = dpi_sheet_cell(s, row, "dvid");
  int noise;
  DP_TRY(dpi_sheet_word(s, row, "noiseDistribution", noises, DPI_COUNT(noises), 0, &noise));
  o->noise = law[noise];
  DP_TRY(read_shape(s, row, o));
  DP_TRY(dpi_sheet_int(s, row, "compartment", 0, 0, 1000000, &o->compartment));
  DP_TRY(dpi_sheet_number(s, row, "lloq", NAN, &o->lloq));
  if (o->lloq <= 0) return dpi_sheet_fail(s, row, "lloq", "expected > 0 (empty: none)");
  DP_TRY(dpi_sheet_flag(s, row, "primary", false, &o->primary));
  DP_TRY(range_cells(s, row, "axisLow", "axisHigh", &o->axis_low, &o->axis_high));
  DP_TRY(dpi_sheet_number(s, row, "noiseTimescale", 0.0, &o->noise_timescale));
  if (o->noise_timescale < 0) return dpi_sheet_fail(s, row, "noiseTimescale", "expected a time > 0 (empty: none)");
  DP_TRY(dpi_sheet_number(s, row, "molarMass", 0.0, &o->molar_mass));
  if (o->molar_mass < 0) return dpi_sheet_fail(s, row, "molarMass", "expected g/mol > 0");
  dpi_formula *value = &d->value[row], *sigma = &d->sigma[row];
  DP_TRY(dpi_sheet_need(s, row, "observableFormula", &value->text));
  DP_TRY(dpi_sheet_need(s, row, "noiseFormula", &sigma->text));
  value->where = dpi_sheet_where(s, row, "observableFormula");
  sigma->where = dpi_sheet_where(s, row, "noiseFormula");
  return value->where && sigma->where ? DP_OK : DP_ERR_MEMORY;
}

/* Two observables must be told apart by dvid or compartment; exactly one is the primary one. */
static dp_status check_observables(dpi_draft *d, const dpi_sheet *s) {
  int nprimary = 0;
  for (int i = 0; i < s->nrow; i++) {
    nprimary += d->observable[i].primary;
    for (int j = 0; j < i; j++) {
      const dpi_kind_observable *a = &d->observable[i], *b = &d->observable[j];
      if (strcmp(a->dvid, b->dvid) == 0 && a->compartment == b->compartment)
        return dpi_fail(d->ctx, DP_ERR_INPUT,
                        "%s:%d: observables '%s' and '%s' have the same dvid and compartment: a "
                        "measurement could "
                        "not be told to be of one or the other",
                        s->source, s->line[i], b->id, a->id);
    }
  }
  if (nprimary == 0 && s->nrow > 0) d->observable[0].primary = true;
  if (nprimary > 1)
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: %d observables are primary, expected one", s->source,
                    nprimary);
  return DP_OK;
}

dp_status dpi_draft_observables(dpi_draft *d) {
  static const dpi_sheet_column columns[] = {{"observableId", true}, {"observableFormula", true},
                                             {"noiseFormula", true}, {"noiseDistribution", false},
                                             {"unit", true},         {"name", false},
                                             {"loinc", false},       {"dvid", false},
                                             {"compartment", false}, {"lloq", false},
                                             {"primary", false},     {"axisLow", false},
                                             {"axisHigh", false},    {"molarMass", false},
                                             {"noiseTimescale", false}, {"noiseGamma", false},
                                             {"noiseDelta", false},     {"noiseMean", false}};
  dpi_sheet s;
  DP_TRY(dpi_draft_sheet(d, "observables", true, columns, DPI_COUNT(columns), &s));
  if (s.nrow == 0)
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: has no rows: what is measured?", s.source);
  d->observable = DPI_ARENA_ARRAY(d->arena, dpi_kind_observable, s.nrow);
  d->value = DPI_ARENA_ARRAY(d->arena, dpi_formula, s.nrow);
  d->sigma = DPI_ARENA_ARRAY(d->arena, dpi_formula, s.nrow);
  if (!d->observable || !d->value || !d->sigma) return DP_ERR_MEMORY;
  for (int row = 0; row < s.nrow; row++) DP_TRY(read_observable(d, &s, row, &d->observable[row]));
  d->kind->observable = d->observable;
  d->kind->nobservable = s.nrow;
  return check_observables(d, &s);
}

/* ---------------------------------------------------------------- controls.tsv */

/* NULL for an empty cell. */
static const char *optional(const dpi_sheet *s, int row, const char *column) {
  const char *text = dpi_sheet_cell(s, row, column);
  return *text ? text : NULL;
}

/* "0;0.5;1": ascending amounts >= 0. */
static dp_status read_values(const dpi_sheet *s, int row, dpi_kind_control *c) {
  const char *text = dpi_sheet_cell(s, row, "values");
  if (!*text) return DP_OK;
  int count = 1;
  for (const char *p = text; *p; p++) count += *p == ';';
  double *list = DPI_ARENA_ARRAY(s->arena, double, count);
  if (!list) return DP_ERR_MEMORY;
  for (int i = 0; i < count; i++) {
    size_t len = strcspn(text, ";");
    char *item = dpi_arena_strndup(s->arena, text, len);
    if (!item) return DP_ERR_MEMORY;
    bool good = dpi_parse_double(item, &list[i]) && (i ? list[i] > list[i - 1] : list[i] >= 0);
    if (!good || list[i] < c->lower || list[i] > c->upper)
      return dpi_sheet_fail(s, row, "values", "expected ascending amounts from lower to upper with ';' between");
    text += len + (text[len] == ';');
  }
  c->value = list;
  c->nvalue = count;
  if (c->nstrength) return dpi_sheet_fail(s, row, "values", "expected either values or strengths");
  return DP_OK;
}

/* "8-18": clock hours within which a dose may begin. */
static dp_status read_hours(const dpi_sheet *s, int row, dpi_kind_control *c) {
  const char *text = dpi_sheet_cell(s, row, "hours"), *dash = strchr(text, '-');
  c->hours_from = c->hours_to = NAN;
  if (!*text) return DP_OK;
  char *from = dash ? dpi_arena_strndup(s->arena, text, (size_t)(dash - text)) : NULL;
  bool good = from && dpi_parse_double(from, &c->hours_from) && dpi_parse_double(dash + 1, &c->hours_to) &&
              c->hours_from >= 0 && c->hours_from <= 24 && c->hours_to >= 0 && c->hours_to <= 24 &&
              c->hours_from != c->hours_to;
  return good ? DP_OK : dpi_sheet_fail(s, row, "hours", "expected two clock hours such as '8-18'");
}

/* What else bounds a plan: amounts that are allowed, steps, changes, hours. */
static dp_status read_allowed(const dpi_sheet *s, int row, dpi_kind_control *c) {
  DP_TRY(read_values(s, row, c));
  DP_TRY(dpi_sheet_number(s, row, "step", 0.0, &c->step));
  if (c->step < 0) return dpi_sheet_fail(s, row, "step", "expected an amount > 0");
  if (c->step > 0 && (c->nvalue || c->nstrength))
    return dpi_sheet_fail(s, row, "step", "expected no step beside values or strengths");
  DP_TRY(dpi_sheet_number(s, row, "rateLimit", INFINITY, &c->rate_limit));
  if (!(c->rate_limit > 0)) return dpi_sheet_fail(s, row, "rateLimit", "expected an amount > 0");
  return read_hours(s, row, c);
}

static dp_status read_control(dpi_draft *d, const dpi_sheet *s, int row, dpi_kind_control *c) {
  DP_TRY(dpi_sheet_id(s, row, "controlId", &c->id));
  DP_TRY(unique(s, row, "controlId"));
  c->name = name_cell(s, row, c->id);
  DP_TRY(unit_cell(d, s, row, &c->unit));
  c->approver = dpi_sheet_cell(s, row, "approver");
  c->resets = dpi_sheet_cell(s, row, "resets");
  c->sim_control = c->reset_state = c->with = -1;
  DP_TRY(dpi_sheet_int(s, row, "compartment", 0, 0, 1000000, &c->compartment));
  DP_TRY(dpi_sheet_number(s, row, "lower", 0.0, &c->lower));
  DP_TRY(dpi_sheet_number(s, row, "upper", INFINITY, &c->upper));
  if (c->lower < 0) return dpi_sheet_fail(s, row, "lower", "expected a dose >= 0");
  if (!(c->upper > c->lower)) return dpi_sheet_fail(s, row, "upper", "expected more than lower");
  DP_TRY(dpi_sheet_list(s, row, "strengths", &c->strength, &c->nstrength));
  DP_TRY(dpi_sheet_list(s, row, "intervals", &c->interval, &c->ninterval));
  DP_TRY(dpi_sheet_int(s, row, "maxUnits", 1, 1, 1000, &c->max_units));
  DP_TRY(dpi_sheet_number(s, row, "molarMass", 0.0, &c->molar_mass));
  if (c->molar_mass < 0) return dpi_sheet_fail(s, row, "molarMass", "expected g/mol > 0");
  DP_TRY(read_allowed(s, row, c));
  dp_control_def *def = &d->control_def[row];
  def->id = c->id;
  DP_TRY(dpi_sheet_need(s, row, "target", &def->target));
  def->bioavailability = optional(s, row, "bioavailability");
  def->lag = optional(s, row, "lag");
  def->rate = optional(s, row, "rate");
  def->duration = optional(s, row, "duration");
  c->model_rate = def->rate != NULL;
  c->model_duration = def->duration != NULL;
  c->timed = def->lag || def->rate || def->duration;
  if (*c->resets && def->lag) return dpi_sheet_fail(s, row, "resets", "expected nothing where doses have a lag");
  d->control_where[row] = dpi_arena_printf(d->arena, "%s:%d", s->source, s->line[row]);
  return d->control_where[row] ? DP_OK : DP_ERR_MEMORY;
}

/* The other half of a dose that a kind wants told twice: of the same unit. */
static dp_status read_with(const dpi_sheet *s, dpi_kind_control *control) {
  for (int row = 0; row < s->nrow; row++) {
    const char *id = dpi_sheet_cell(s, row, "with");
    if (!*id) continue;
    for (int i = 0; i < s->nrow; i++)
      if (i != row && strcmp(control[i].id, id) == 0 && strcmp(control[i].unit, control[row].unit) == 0)
        control[row].with = i;
    if (control[row].with < 0) return dpi_sheet_fail(s, row, "with", "expected another control, of the same unit");
  }
  return DP_OK;
}

dp_status dpi_draft_controls(dpi_draft *d) {
  static const dpi_sheet_column columns[] = {
      {"controlId", true},    {"target", true},     {"bioavailability", false},
      {"lag", false},         {"rate", false},      {"duration", false},
      {"compartment", false}, {"unit", true},       {"lower", false},
      {"upper", false},       {"strengths", false}, {"maxUnits", false},
      {"intervals", false},   {"approver", false},  {"name", false},
      {"molarMass", false},   {"resets", false},    {"values", false},
      {"step", false},        {"rateLimit", false}, {"hours", false},
      {"with", false}};
  dpi_sheet s;
  DP_TRY(dpi_draft_sheet(d, "controls", false, columns, DPI_COUNT(columns), &s));
  d->control = DPI_ARENA_ARRAY(d->arena, dpi_kind_control, s.nrow);
  d->control_def = DPI_ARENA_ARRAY(d->arena, dp_control_def, s.nrow);
  d->control_where = DPI_ARENA_ARRAY(d->arena, const char *, s.nrow);
  if (!d->control || !d->control_def || !d->control_where) return DP_ERR_MEMORY;
  d->kind->control = d->control;
  for (int row = 0; row < s.nrow; row++) {
    dpi_kind_control *c = &d->control[row];
    DP_TRY(read_control(d, &s, row, c));
    for (int i = 0; i < row; i++)
      if (c->compartment == d->control[i].compartment)
        return dpi_sheet_fail(&s, row, "compartment",
                              "expected another compartment than an earlier control's");
  }
  d->kind->ncontrol = s.nrow;
  return read_with(&s, d->control);
}

/* ---------------------------------------------------------------- quantities.tsv */

static dp_status read_quantity(dpi_draft *d, const dpi_sheet *s, int row, dpi_kind_quantity *q) {
  DP_TRY(dpi_sheet_id(s, row, "quantityId", &q->id));
  DP_TRY(unique(s, row, "quantityId"));
  q->name = name_cell(s, row, q->id);
  DP_TRY(unit_cell(d, s, row, &q->unit));
  q->meaning = dpi_sheet_cell(s, row, "meaning");
  DP_TRY(range_cells(s, row, "rangeLow", "rangeHigh", &q->low, &q->high));
  DP_TRY(dpi_sheet_need(s, row, "formula", &d->formula[row].text));
  d->formula[row].where = dpi_sheet_where(s, row, "formula");
  return d->formula[row].where ? DP_OK : DP_ERR_MEMORY;
}

/* A quantity that is an observable under another name must have a unit of the same size. */
static dp_status check_quantity_unit(dpi_draft *d, const dpi_sheet *s, int row) {
  const dpi_kind_quantity *q = &d->quantity[row];
  for (int i = 0; i < d->kind->nobservable; i++) {
    const dpi_kind_observable *o = &d->observable[i];
    if (strcmp(d->formula[row].text, d->value[i].text) != 0 &&
        strcmp(d->formula[row].text, o->id) != 0)
      continue;
    double same = 0;
    dp_status status = dp_unit_convert(d->ctx, 1.0, q->unit, o->unit, 0.0, &same);
    if (status == DP_OK && fabs(same - 1) < 1e-12) continue;
    dp_ctx_clear_error(d->ctx);
    return dpi_fail(
        d->ctx, DP_ERR_INPUT,
        "%s:%d: quantity '%s' is observable '%s' but its unit '%s' is not the observable's '%s'",
        s->source, s->line[row], q->id, o->id, q->unit, o->unit);
  }
  return DP_OK;
}

/* One that is no row of the table: of a policy that looks ahead. */
static dp_status add_quantity(dpi_draft *d, const dpi_kind_extra_quantity *e) {
  const int row = d->kind->nquantity;
  dp_unit unit;
  for (int i = 0; i < row; i++)
    if (strcmp(d->quantity[i].id, e->id) == 0)
      return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: found '%s', expected an id that is no quantity of the kind", e->where,
                      e->id);
  DP_TRY(dpi_draft_unit(d, e->where, e->unit, &unit));
  d->quantity[row] = (dpi_kind_quantity){
      .id = e->id, .name = e->id, .unit = e->unit, .meaning = "", .sim_output = -1, .low = NAN, .high = NAN};
  d->formula[row] = (dpi_formula){.text = e->formula, .where = e->where};
  d->kind->nquantity++;
  return DP_OK;
}

dp_status dpi_draft_quantities(dpi_draft *d) {
  static const dpi_sheet_column columns[] = {
      {"quantityId", true}, {"formula", true},   {"unit", true},      {"name", false},
      {"meaning", false},   {"rangeLow", false}, {"rangeHigh", false}};
  dpi_sheet s;
  DP_TRY(dpi_draft_sheet(d, "quantities", false, columns, DPI_COUNT(columns), &s));
  const int more = d->extra ? d->extra->nquantity : 0;
  d->quantity = DPI_ARENA_ARRAY(d->arena, dpi_kind_quantity, s.nrow + more);
  d->formula = DPI_ARENA_ARRAY(d->arena, dpi_formula, s.nrow + more);
  if (!d->quantity || !d->formula) return DP_ERR_MEMORY;
  d->kind->quantity = d->quantity;
  for (int row = 0; row < s.nrow; row++) {
    DP_TRY(read_quantity(d, &s, row, &d->quantity[row]));
    DP_TRY(check_quantity_unit(d, &s, row));
  }
  d->kind->nquantity = s.nrow;
  for (int i = 0; i < more; i++) DP_TRY(add_quantity(d, &d->extra->quantity[i]));
  return DP_OK;
}

/* ---------------------------------------------------------------- evidence.tsv */

/* Is this `what` something that can be computed? minus2ll, ofv, <parameter>, ln(<parameter>), variance(<effect>),
 * covariance(<effect>,<effect>). */
static bool known_figure(const dpi_draft *d, const char *what) {
  if (strcmp(what, "minus2ll") == 0 || strcmp(what, "ofv") == 0) return true;
  char text[128];
  for (int i = 0; i < d->kind->nparam; i++) {
    if (strcmp(what, d->param[i].id) == 0) return true;
    snprintf(text, sizeof text, "ln(%s)", d->param[i].id);
    if (strcmp(what, text) == 0) return true;
  }
  for (int i = 0; i < d->kind->neffect; i++) {
    snprintf(text, sizeof text, "variance(%s)", d->effect[i].id);
    if (strcmp(what, text) == 0) return true;
    for (int j = 0; j < i; j++) {
      snprintf(text, sizeof text, "covariance(%s,%s)", d->effect[j].id, d->effect[i].id);
      if (strcmp(what, text) == 0) return true;
    }
  }
  return false;
}

/* person and plan of a row about one person's path (methods map and typical). */
static dp_status read_evidence_person(dpi_draft *d, const dpi_sheet *s, int row, bool of_person, dpi_kind_evidence *e) {
  const char *plan = dpi_sheet_cell(s, row, "plan");
  e->person = dpi_sheet_cell(s, row, "person");
  e->where = dpi_sheet_where(s, row, "what");
  e->plan = *plan ? dpi_arena_printf(d->arena, "%s/%s", d->kind->dir, plan) : "";
  if (!e->where || !e->plan) return DP_ERR_MEMORY;
  if (*plan && (*plan == '/' || strstr(plan, "..")))
    return dpi_sheet_fail(s, row, "plan", "expected a file inside the kind's folder");
  if (!of_person && *e->person) return dpi_sheet_fail(s, row, "person", "expected no person with this method");
  if (!of_person && *plan) return dpi_sheet_fail(s, row, "plan", "expected no plan with this method");
  if (of_person && !*e->person) return dpi_sheet_fail(s, row, "person", "expected the id of one of the kind's patients");
  return DP_OK;
}

static dp_status read_evidence(dpi_draft *d, const dpi_sheet *s, int row, dpi_kind_evidence *e) {
  DP_TRY(dpi_sheet_need(s, row, "evidenceId", &e->id));
  DP_TRY(unique(s, row, "evidenceId"));
  DP_TRY(dpi_sheet_need(s, row, "what", &e->what));
  static const char *const methods[] = {"focei", "laplace", "map", "typical"};
  int method;
  DP_TRY(dpi_sheet_word(s, row, "method", methods, DPI_COUNT(methods), 0, &method));
  e->method = methods[method];
  DP_TRY(read_evidence_person(d, s, row, method >= 2, e));
  if (method < 2 && !known_figure(d, e->what))
    return dpi_sheet_fail(
        s, row, "what",
        "expected minus2ll, ofv, a parameterId, ln(parameterId), variance(effectId) or "
        "covariance(effectId,effectId)");
  DP_TRY(dpi_sheet_number(s, row, "published", NAN, &e->published));
  DP_TRY(dpi_sheet_number(s, row, "tolerance", NAN, &e->tolerance));
  if (isnan(e->published)) return dpi_sheet_fail(s, row, "published", "expected a number");
  if (!(e->tolerance > 0))
    return dpi_sheet_fail(s, row, "tolerance", "expected an absolute tolerance > 0");
  DP_TRY(unit_cell(d, s, row, &e->unit));
  return dpi_sheet_need(s, row, "source", &e->source);
}

dp_status dpi_draft_evidence(dpi_draft *d) {
  static const dpi_sheet_column columns[] = {
      {"evidenceId", true}, {"what", true}, {"method", true}, {"published", true},
      {"tolerance", true},  {"unit", true}, {"source", true}, {"person", false},
      {"plan", false}};
  dpi_sheet s;
  DP_TRY(dpi_draft_sheet(d, "evidence", false, columns, DPI_COUNT(columns), &s));
  dpi_kind_evidence *list = DPI_ARENA_ARRAY(d->arena, dpi_kind_evidence, s.nrow);
  if (!list) return DP_ERR_MEMORY;
  for (int row = 0; row < s.nrow; row++) DP_TRY(read_evidence(d, &s, row, &list[row]));
  d->kind->evidence = list;
  d->kind->nevidence = s.nrow;
  return DP_OK;
}

/* What rows about a person's path ask for must be something; known when the sim is there. */
dp_status dpi_draft_evidence_check(const dpi_draft *d) {
  const dp_kind *k = d->kind;
  for (int i = 0; i < k->nevidence; i++) {
    const dpi_kind_evidence *e = &k->evidence[i];
    if (!*e->person) continue;
    dpi_path_request q;
    DP_TRY(dpi_path_request_parse(k, e->what, e->where, &q));
    if (q.ask == DPI_ASK_FIGURE && !isnan(q.wanted))
      return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: '%.200s': expected no '=' outside dose_for(...)", e->where, e->what);
    double factor;
    bool clean = !*dp_ctx_error(d->ctx);
    bool converts = dp_unit_convert(d->ctx, 1.0, dpi_path_request_unit(k, &q), e->unit, 0.0, &factor) == DP_OK;
    if (!converts && clean) dp_ctx_clear_error(d->ctx);
    if (!converts)
      return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: '%.200s' is in %s, which does not convert to this row's unit '%s'", e->where,
                      e->what, dpi_path_request_unit(k, &q), e->unit);
    if (q.ask != DPI_ASK_FIGURE && *e->plan)
      return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: '%.200s': has doses of its own, expected no plan", e->where, e->what);
  }
  return DP_OK;
}
