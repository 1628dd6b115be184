/* petab_params.c - floor 3: the parameter table of both versions, with bounds, scales and priors as written.
 *
 * Bounds and nominal values are values themselves, whatever the scale. Version 2 has no scale, and truncates priors
 * to the bounds.
 */
#include <math.h>
#include <string.h>

#include "format/petab/petab_impl.h"

typedef struct columns {
  int id, label, scale, lower, upper, nominal, estimate;
  int prior, prior_values; /* v1: objectivePrior...; v2: prior... */
  int start, start_values; /* v1: initializationPrior... */
  int type;                /* parameterType: solved inside the objective */
} columns;

static const char *const words[] = {"parameterId",
                                    "parameterName",
                                    "parameterScale",
                                    "lowerBound",
                                    "upperBound",
                                    "nominalValue",
                                    "estimate",
                                    "objectivePriorType",
                                    "objectivePriorParameters",
                                    "initializationPriorType",
                                    "initializationPriorParameters",
                                    "priorDistribution",
                                    "priorParameters",
                                    "parameterType"};

static dp_status head(petab_sheet *s, void *out) {
  columns *c = out;
  bool v1 = s->r->p->version == 1;
  DP_TRY(dpi_table_need(s->t, "parameterId", &c->id));
  DP_TRY(dpi_table_need(s->t, "estimate", &c->estimate));
  c->scale = dpi_table_column(s->t, "parameterScale");
  if (v1) DP_TRY(dpi_table_need(s->t, "parameterScale", &c->scale));
  c->label = dpi_table_column(s->t, "parameterName");
  c->lower = dpi_table_column(s->t, "lowerBound");
  c->upper = dpi_table_column(s->t, "upperBound");
  c->nominal = dpi_table_column(s->t, "nominalValue");
  c->prior = dpi_table_column(s->t, v1 ? "objectivePriorType" : "priorDistribution");
  c->prior_values = dpi_table_column(s->t, v1 ? "objectivePriorParameters" : "priorParameters");
  c->type = dpi_table_column(s->t, "parameterType");
  c->start = v1 ? dpi_table_column(s->t, "initializationPriorType") : -1;
  c->start_values = v1 ? dpi_table_column(s->t, "initializationPriorParameters") : -1;
  return petab_note_columns(s, words, DPI_COUNT(words));
}

/* ---- priors ---- */

typedef struct prior_word {
  const char *word;
  dpi_petab_family family;
  dpi_petab_scale scale;
  bool on_scale; /* on the parameter's scale */
} prior_word;

static const prior_word words_v1[] = {
    {"uniform", DPI_PETAB_UNIFORM, DPI_PETAB_LIN, false},
    {"normal", DPI_PETAB_NORMAL, DPI_PETAB_LIN, false},
    {"laplace", DPI_PETAB_LAPLACE, DPI_PETAB_LIN, false},
    {"logNormal", DPI_PETAB_NORMAL, DPI_PETAB_LOG, false},
    {"logLaplace", DPI_PETAB_LAPLACE, DPI_PETAB_LOG, false},
    {"parameterScaleUniform", DPI_PETAB_UNIFORM, DPI_PETAB_LIN, true},
    {"parameterScaleNormal", DPI_PETAB_NORMAL, DPI_PETAB_LIN, true},
    {"parameterScaleLaplace", DPI_PETAB_LAPLACE, DPI_PETAB_LIN, true},
};

static const prior_word words_v2[] = {
    {"uniform", DPI_PETAB_UNIFORM, DPI_PETAB_LIN, false},
    {"normal", DPI_PETAB_NORMAL, DPI_PETAB_LIN, false},
    {"laplace", DPI_PETAB_LAPLACE, DPI_PETAB_LIN, false},
    {"log-normal", DPI_PETAB_NORMAL, DPI_PETAB_LOG, false},
    {"log-laplace", DPI_PETAB_LAPLACE, DPI_PETAB_LOG, false},
    {"log-uniform", DPI_PETAB_UNIFORM, DPI_PETAB_LOG, false},
    {"cauchy", DPI_PETAB_CAUCHY, DPI_PETAB_LIN, false},
    {"chisquare", DPI_PETAB_CHISQUARE, DPI_PETAB_LIN, false},
    {"exponential", DPI_PETAB_EXPONENTIAL, DPI_PETAB_LIN, false},
    {"gamma", DPI_PETAB_GAMMA, DPI_PETAB_LIN, false},
    {"rayleigh", DPI_PETAB_RAYLEIGH, DPI_PETAB_LIN, false},
};

static int family_arguments(dpi_petab_family f) {
  return f == DPI_PETAB_CHISQUARE || f == DPI_PETAB_EXPONENTIAL || f == DPI_PETAB_RAYLEIGH ? 1 : 2;
}

static dp_status find_prior(petab_sheet *s, int row, int column, const prior_word **out) {
  bool v1 = s->r->p->version == 1;
  const prior_word *words = v1 ? words_v1 : words_v2;
  int n = v1 ? DPI_COUNT(words_v1) : DPI_COUNT(words_v2);
  const char *cell = petab_cell(s, row, column), *names[DPI_COUNT(words_v2)];
  for (int i = 0; i < n; i++) {
    names[i] = words[i].word;
    if (strcmp(cell, names[i]) == 0) return *out = &words[i], DP_OK;
  }
  const char *near = dpi_nearest_word(cell, names, n);
  return dpi_table_fail(s->t, row, column, "unknown prior '%.60s'%s%s%s", cell, near ? "; did you mean '" : "",
                        near ? near : "", near ? "'?" : "; see PEtab's list of prior distributions");
}

static dp_status prior_numbers(petab_sheet *s, int row, int column, const prior_word *w, double *x, int *n) {
  const char **part;
  DP_TRY(petab_split(s->r->p, petab_cell(s, row, column), &part, n));
  int expected = family_arguments(w->family);
  if (*n != expected && !(*n == 0 && w->family == DPI_PETAB_UNIFORM))
    return dpi_table_fail(s->t, row, column, "prior '%s' has %d parameter%s, expected %d, separated by ';'", w->word,
                          *n, *n == 1 ? "" : "s", expected);
  for (int i = 0; i < *n; i++)
    if (!dpi_parse_double(part[i], &x[i]))
      return dpi_table_fail(s->t, row, column, "found '%.60s', expected a number", part[i]);
  return DP_OK;
}

/* Spreads are positive; low lies below high; what is taken the logarithm of is positive. */
static dp_status check_prior(petab_sheet *s, int row, int column, const prior_word *w, const double *x) {
  switch (w->family) {
    case DPI_PETAB_UNIFORM:
      if (!(x[0] < x[1]))
        return dpi_table_fail(s->t, row, column, "the lower end %g is not below the upper end %g", x[0], x[1]);
      if (w->scale != DPI_PETAB_LIN && !(x[0] > 0.0))
        return dpi_table_fail(s->t, row, column, "the lower end %g of a %s prior is not positive", x[0], w->word);
      return DP_OK;
    case DPI_PETAB_GAMMA:
      if (!(x[0] > 0.0)) return dpi_table_fail(s->t, row, column, "the shape %g is not positive", x[0]);
      /* fall through */
    case DPI_PETAB_NORMAL:
    case DPI_PETAB_LAPLACE:
    case DPI_PETAB_CAUCHY:
      if (!(x[1] > 0.0)) return dpi_table_fail(s->t, row, column, "the spread %g of the prior is not positive", x[1]);
      return DP_OK;
    default:
      return x[0] > 0.0 ? DP_OK
                        : dpi_table_fail(s->t, row, column, "the parameter %g of the prior is not positive", x[0]);
  }
}

/* The prior of a cell; FLAT when there is none. */
static dp_status read_prior(petab_sheet *s, int row, int column, int values, const dpi_petab_parameter *q,
                            dpi_petab_prior *out) {
  const prior_word *w = NULL;
  double x[2] = {q->lower, q->upper};
  int n;
  *out = (dpi_petab_prior){.lower = -INFINITY, .upper = INFINITY};
  if (petab_empty(petab_cell(s, row, column))) {
    if (petab_empty(petab_cell(s, row, values))) return DP_OK;
    return dpi_table_fail(s->t, row, values,
                          "parameters of a prior without a prior; name its distribution or empty this cell");
  }
  DP_TRY(find_prior(s, row, column, &w));
  DP_TRY(prior_numbers(s, row, values, w, x, &n));
  dpi_petab_scale scale = w->on_scale ? q->scale : w->scale;
  if (n == 0 && w->on_scale)
    for (int i = 0; i < 2; i++) x[i] = dpi_petab_to_scale(scale, x[i]);
  if (n == 0 && !(isfinite(x[0]) && isfinite(x[1]))) return DP_OK; /* flat without ends */
  DP_TRY(check_prior(s, row, values, w, x));
  if (w->family == DPI_PETAB_UNIFORM && !w->on_scale && scale != DPI_PETAB_LIN)
    for (int i = 0; i < 2; i++) x[i] = dpi_petab_to_scale(scale, x[i]); /* log-uniform names its ends by their values */
  out->family = w->family;
  out->scale = scale;
  out->on_scale = w->on_scale;
  out->a = x[0];
  out->b = x[1];
  return DP_OK;
}

/* Flat on the scale of estimation between the bounds. */
static dpi_petab_prior between_bounds(const dpi_petab_parameter *q) {
  dpi_petab_prior p = {.lower = -INFINITY, .upper = INFINITY};
  double a = dpi_petab_to_scale(q->scale, q->lower), b = dpi_petab_to_scale(q->scale, q->upper);
  if (!(isfinite(a) && isfinite(b) && a < b)) return p;
  p.family = DPI_PETAB_UNIFORM;
  p.scale = q->scale;
  p.on_scale = q->scale != DPI_PETAB_LIN;
  p.a = a;
  p.b = b;
  return p;
}

static dp_status read_priors(petab_sheet *s, int row, const columns *c, dpi_petab_parameter *q) {
  if (!q->estimate) return DP_OK; /* a fixed parameter has none that counts */
  DP_TRY(read_prior(s, row, c->prior, c->prior_values, q, &q->prior));
  q->implied = petab_empty(petab_cell(s, row, c->prior));
  if (s->r->p->version == 1) {
    DP_TRY(read_prior(s, row, c->start, c->start_values, q, &q->start));
    if (q->start.family == DPI_PETAB_FLAT) q->start = between_bounds(q);
    return DP_OK;
  }
  if (q->prior.family == DPI_PETAB_FLAT) {
    q->prior = between_bounds(q);
  } else {
    q->prior.lower = q->lower;
    q->prior.upper = q->upper;
    q->prior.log_mass = petab_log_mass(&q->prior);
    if (!(q->prior.log_mass > -INFINITY))
      return dpi_table_fail(s->t, row, c->prior, "the prior leaves no probability between the bounds %g and %g",
                            q->lower, q->upper);
  }
  q->start = q->prior;
  return DP_OK;
}

/* ---- one row ---- */

static dp_status read_scale(petab_sheet *s, int row, int column, dpi_petab_scale *out) {
  static const char *const scales[] = {"lin", "log", "log10"};
  int k = 0;
  const char *cell = petab_cell(s, row, column);
  if (s->r->p->version == 2) {
    if (petab_empty(cell) || strcmp(cell, "lin") == 0) return DP_OK;
    return dpi_table_fail(s->t, row, column,
                          "version 2 knows no parameter scales, found '%.40s'; give a prior such as log-normal", cell);
  }
  DP_TRY(dpi_table_choice(s->t, row, column, scales, 3, 0, &k));
  *out = (dpi_petab_scale)k;
  return DP_OK;
}

static dp_status read_estimate(petab_sheet *s, int row, int column, bool *out) {
  const char *cell = petab_cell(s, row, column);
  static const char *const yes[] = {"1", "true", "True", "TRUE", "1.0"}, *const no[] = {"0", "false", "False", "FALSE",
                                                                                        "0.0"};
  for (int i = 0; i < DPI_COUNT(yes); i++) {
    if (strcmp(cell, yes[i]) == 0) return *out = true, DP_OK;
    if (strcmp(cell, no[i]) == 0) return *out = false, DP_OK;
  }
  return dpi_table_fail(s->t, row, column, "found '%.40s', expected %s", cell,
                        s->r->p->version == 1 ? "0 or 1" : "true or false");
}

/* parameterType: what is solved inside the objective has no prior of its own. */
static dp_status read_type(petab_sheet *s, int row, const columns *c, dpi_petab_parameter *q) {
  static const char *const words[] = {"", "scaling", "offset", "sigma"};
  int k = 0;
  const char *cell = petab_cell(s, row, c->type);
  if (petab_empty(cell)) return DP_OK;
  for (int i = 1; i < 4; i++) k = strcmp(cell, words[i]) == 0 ? i : k;
  if (k == 0) {
    const char *near = dpi_nearest_word(cell, words + 1, 3);
    return dpi_table_fail(s->t, row, c->type,
                          "parameterType '%.40s' is not supported; there are scaling, offset and sigma%s%s%s", cell,
                          near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
  }
  if (!q->estimate) return DP_OK; /* a number like others */
  q->solved = (dpi_petab_solved)k;
  if (!q->implied && q->prior.family != DPI_PETAB_FLAT)
    return dpi_table_fail(s->t, row, c->prior,
                          "'%s' is solved inside the objective (parameterType %s) and can't have a prior; "
                          "empty one of the two cells",
                          q->id, cell);
  if (k == DPI_PETAB_SIGMA && q->upper <= 0.0)
    return dpi_table_fail(s->t, row, c->upper, "'%s' is a standard deviation, its upper bound %g is not positive",
                          q->id, q->upper);
  return DP_OK;
}

static dp_status check_bounds(petab_sheet *s, int row, const columns *c, const dpi_petab_parameter *q) {
  static const char *const scales[] = {"lin", "log", "log10"};
  if (!q->estimate) {
    if (q->nominal != q->nominal)
      return dpi_table_fail(s->t, row, c->nominal, "'%s' is not estimated and has no nominalValue; give one", q->id);
    return DP_OK;
  }
  if (petab_empty(petab_cell(s, row, c->lower)))
    return dpi_table_fail(s->t, row, c->lower, "'%s' is estimated and has no lowerBound", q->id);
  if (petab_empty(petab_cell(s, row, c->upper)))
    return dpi_table_fail(s->t, row, c->upper, "'%s' is estimated and has no upperBound", q->id);
  if (q->lower > q->upper || (s->r->p->version == 2 && q->lower == q->upper))
    return dpi_table_fail(s->t, row, c->lower,
                          "the lower bound %g of '%s' is not below its upper bound %g; exchange them", q->lower, q->id,
                          q->upper);
  if (q->scale != DPI_PETAB_LIN && !(q->lower > 0.0))
    return dpi_table_fail(s->t, row, c->lower, "the lower bound %g of '%s' is not positive, but its scale is %s",
                          q->lower, q->id, scales[q->scale]);
  if (q->scale != DPI_PETAB_LIN && q->nominal <= 0.0)
    return dpi_table_fail(s->t, row, c->nominal, "the nominal value %g of '%s' is not positive, but its scale is %s",
                          q->nominal, q->id, scales[q->scale]);
  if (!(q->nominal < q->lower) && !(q->nominal > q->upper)) return DP_OK; /* not given counts too */
  const dpi_petab_place place = petab_place(s, row, "nominalValue");
  return petab_remark(s->r->p, &place,
                      "the nominal value %g of '%s' lies outside its bounds %g to %g: no fit will begin or end there",
                      q->nominal, q->id, q->lower, q->upper);
}

/* A new entry, found by its id. */
static dp_status new_parameter(petab_sheet *s, int row, const columns *c, dpi_petab_parameter **out) {
  dpi_petab *p = s->r->p;
  const char *id;
  int name;
  DP_TRY(petab_cell_id(s, row, c->id, "parameterId", &id));
  dpi_petab_place place = petab_place(s, row, "parameterId");
  DP_TRY(petab_name(p, id, strlen(id), &place, &name));
  if (p->name[name].kind == DPI_PETAB_PARAMETER) {
    const dpi_petab_place *first = &p->parameter[p->name[name].index].place;
    return petab_fail(p, &place, DP_ERR_INPUT, "parameter '%s' occurs twice, first in %s:%d", id, first->file,
                      first->line);
  }
  DP_TRY(dpi_grow(p->ctx, (void **)&p->parameter, &p->own->cap_parameter, p->nparameter + 1, sizeof *p->parameter));
  *out = &p->parameter[p->nparameter];
  **out = (dpi_petab_parameter){.id = id, .name = name, .label = "", .place = place, .nominal = NAN};
  p->name[name].kind = DPI_PETAB_PARAMETER;
  p->name[name].index = p->nparameter++;
  return DP_OK;
}

static dp_status read_row(petab_sheet *s, int row, void *user) {
  const columns *c = user;
  dpi_petab_parameter *q = NULL;
  DP_TRY(new_parameter(s, row, c, &q));
  q->label = dpi_arena_strdup(&s->r->p->arena, petab_cell(s, row, c->label));
  if (!q->label) return petab_memory(s->r->p);
  q->prior = q->start = (dpi_petab_prior){.lower = -INFINITY, .upper = INFINITY};
  DP_TRY(read_scale(s, row, c->scale, &q->scale));
  DP_TRY(read_estimate(s, row, c->estimate, &q->estimate));
  DP_TRY(dpi_table_bound_or(s->t, row, c->lower, -INFINITY, &q->lower));
  DP_TRY(dpi_table_bound_or(s->t, row, c->upper, INFINITY, &q->upper));
  DP_TRY(dpi_table_number_or(s->t, row, c->nominal, NAN, &q->nominal));
  DP_TRY(check_bounds(s, row, c, q));
  DP_TRY(read_priors(s, row, c, q));
  return read_type(s, row, c, q);
}

dp_status petab_read_parameters(petab_reader *r) {
  columns c;
  return petab_sheet_read_all(r, &r->parameter, head, read_row, &c);
}
