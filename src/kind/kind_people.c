/* kind_people.c - population.tsv and covariates.tsv: how one person's parameters differ from another's.
 *
 * A row of population.tsv is one of three things:
 *     parameterId typical effectId ...    an individual parameter with a random effect (a second row of the same
 *                                         parameterId adds another effect, e.g. one of the occasion level)
 *     parameterId typical                 an individual parameter without one (so that covariates may act on it)
 *     effectId effectId2 variance         a covariance of two effects
 */
#include "kind/kind_draft.h"
#include "num/num.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- population.tsv */

/* Index of the individual parameter, -1 when no row made it yet. */
static int find_individual(const dpi_draft *d, const char *id) {
  for (int i = 0; i < d->nindividual; i++)
    if (strcmp(d->individual[i].id, id) == 0) return i;
  return -1;
}

static int find_effect(const dpi_draft *d, const char *id) {
  for (int i = 0; i < d->kind->neffect; i++)
    if (strcmp(d->effect[i].id, id) == 0) return i;
  return -1;
}

/* The individual parameter and its typical value have units of the same size. */
static dp_status check_unit(dpi_draft *d, const dpi_sheet *s, int row, const char *unit,
                            const dpi_kind_param *typical) {
  dp_unit parsed;
  DP_TRY(dpi_draft_unit(d, dpi_sheet_where(s, row, "unit"), unit, &parsed));
  double factor = 0;
  bool clean = !*dp_ctx_error(d->ctx);
  dp_status status = dp_unit_convert(d->ctx, 1.0, typical->unit, unit, 0.0, &factor);
  if (status == DP_OK && fabs(factor - 1) < 1e-12) return DP_OK;
  if (clean) dp_ctx_clear_error(d->ctx);
  return dpi_fail(d->ctx, DP_ERR_INPUT,
                  "%s:%d: column unit: found '%s', but its typical value '%s' has the unit '%s'",
                  s->source, s->line[row], unit, typical->id, typical->unit);
}

/* A row for a parameter that an earlier row made must say the same of it. */
static dp_status same_individual(const dpi_sheet *s, int row, const dpi_individual *old,
                                 int typical, int distribution) {
  if (old->typical != typical)
    return dpi_sheet_fail(s, row, "typical", "expected the typical value of the earlier row");
  if ((int)old->distribution != distribution)
    return dpi_sheet_fail(s, row, "distribution", "expected the distribution of the earlier row");
  return DP_OK;
}

/* The individual parameter of the row: found or made. */
static dp_status read_individual(dpi_draft *d, const dpi_sheet *s, int row, int *out) {
  static const char *const distributions[] = {"lognormal", "normal", "logitnormal", "uniform"};
  const char *id, *typical_id;
  DP_TRY(dpi_sheet_id(s, row, "parameterId", &id));
  DP_TRY(dpi_sheet_need(s, row, "typical", &typical_id));
  const char *const *ids;
  DP_TRY(dpi_draft_param_ids(d, &ids));
  int typical, distribution;
  DP_TRY(dpi_draft_refer(d, dpi_sheet_where(s, row, "typical"), "parameter of parameters.tsv",
                         typical_id, ids, d->kind->nparam, &typical));
  DP_TRY(dpi_sheet_word(s, row, "distribution", distributions, DPI_COUNT(distributions),
                        DPI_DIST_LOGNORMAL, &distribution));
  *out = find_individual(d, id);
  if (*out >= 0) return same_individual(s, row, &d->individual[*out], typical, distribution);
  for (int i = 0; i < d->kind->nparam; i++)
    if (strcmp(ids[i], id) == 0)
      return dpi_sheet_fail(s, row, "parameterId",
                            "but parameters.tsv has this id: a typical value needs one of its own");
  double t = d->param[typical].nominal;
  if (distribution == DPI_DIST_LOGITNORMAL && !(t > 0 && t < 1))
    return dpi_sheet_fail(s, row, "distribution",
                          "but the typical value does not lie between 0 and 1");
  if ((distribution == DPI_DIST_LOGNORMAL || distribution == DPI_DIST_UNIFORM) && !(t > 0))
    return dpi_sheet_fail(s, row, "distribution", "but the typical value is not > 0");
  *out = d->nindividual++;
  d->individual[*out] = (dpi_individual){
      .id = id, .typical = typical, .distribution = (dpi_distribution)distribution};
  d->individual[*out].where = dpi_sheet_where(s, row, "parameterId");
  return d->individual[*out].where ? DP_OK : DP_ERR_MEMORY;
}

/* The random effect of the row, if it has one. */
static dp_status read_effect(dpi_draft *d, const dpi_sheet *s, int row, int individual) {
  static const char *const levels[] = {"person", "occasion"};
  if (!*dpi_sheet_cell(s, row, "effectId")) return DP_OK;
  const dpi_kind_param *typical = &d->param[d->individual[individual].typical];
  dpi_kind_effect *e = &d->effect[d->kind->neffect];
  DP_TRY(dpi_sheet_id(s, row, "effectId", &e->id));
  if (find_effect(d, e->id) >= 0)
    return dpi_sheet_fail(s, row, "effectId", "but an earlier row has this effect");
  if (find_individual(d, e->id) >= 0)
    return dpi_sheet_fail(s, row, "effectId", "but this is the id of an individual parameter");
  int level;
  DP_TRY(dpi_sheet_word(s, row, "level", levels, DPI_COUNT(levels), 0, &level));
  e->occasion = level == 1;
  DP_TRY(dpi_sheet_number(s, row, "variance", NAN, &e->variance));
  if (!(e->variance > 0)) return dpi_sheet_fail(s, row, "variance", "expected a variance > 0");
  DP_TRY(dpi_sheet_flag(s, row, "estimate", false, &e->estimate));
  const char *unit = dpi_sheet_cell(s, row, "unit"), *name = dpi_sheet_cell(s, row, "name");
  e->unit = *unit ? unit : typical->unit;
  e->name = *name ? name : typical->name;
  DP_TRY(check_unit(d, s, row, e->unit, typical));
  e->parameter = d->individual[individual].id;
  e->typical = d->individual[individual].typical;
  e->distribution = d->individual[individual].distribution;
  e->sim_param = e->active = e->sim_output = -1;
  d->effect_individual[d->kind->neffect++] = individual;
  return DP_OK;
}

/* A covariance row into omega and omega_free. */
static dp_status read_covariance(dpi_draft *d, const dpi_sheet *s, int row, double *omega,
                                 uint8_t *free_entry) {
  int index[2], n = d->kind->neffect;
  static const char *const columns[] = {"effectId", "effectId2"};
  for (int k = 0; k < 2; k++) {
    index[k] = find_effect(d, dpi_sheet_cell(s, row, columns[k]));
    if (index[k] < 0)
      return dpi_sheet_fail(s, row, columns[k], "expected the effectId of another row");
  }
  int i = index[0], j = index[1];
  if (i == j) return dpi_sheet_fail(s, row, "effectId2", "expected two different effects");
  if (d->effect[i].occasion != d->effect[j].occasion)
    return dpi_sheet_fail(s, row, "effectId2", "but the two effects are of different levels");
  if (omega[i * n + j] != 0.0 || free_entry[i * n + j])
    return dpi_sheet_fail(s, row, "effectId2", "but an earlier row gives this covariance");
  double value;
  bool estimate;
  DP_TRY(dpi_sheet_number(s, row, "variance", NAN, &value));
  if (isnan(value)) return dpi_sheet_fail(s, row, "variance", "expected the covariance");
  DP_TRY(dpi_sheet_flag(s, row, "estimate", false, &estimate));
  omega[i * n + j] = omega[j * n + i] = value;
  free_entry[i * n + j] = free_entry[j * n + i] = estimate;
  return DP_OK;
}

/* Variances on the diagonal, covariance rows off it; positive definite. */
static dp_status build_omega(dpi_draft *d, const dpi_sheet *s) {
  int n = d->kind->neffect;
  double *omega = DPI_ARENA_ARRAY(d->arena, double, n *n),
         *factor = DPI_ARENA_ARRAY(d->arena, double, n *n);
  uint8_t *free_entry = DPI_ARENA_ARRAY(d->arena, uint8_t, n * n);
  if (!omega || !factor || !free_entry) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    omega[i * n + i] = d->effect[i].variance;
    free_entry[i * n + i] = d->effect[i].estimate;
  }
  for (int row = 0; row < s->nrow; row++)
    if (*dpi_sheet_cell(s, row, "effectId2")) DP_TRY(read_covariance(d, s, row, omega, free_entry));
  memcpy(factor, omega, sizeof(double) * (size_t)(n * n));
  if (n > 0 && !dpi_chol(factor, n))
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "%s: variances and covariances make no positive definite matrix", s->source);
  d->kind->omega = omega;
  d->kind->omega_free = free_entry;
  return DP_OK;
}

dp_status dpi_draft_population(dpi_draft *d) {
  static const dpi_sheet_column columns[] = {
      {"parameterId", true}, {"typical", true}, {"distribution", true}, {"effectId", true},
      {"effectId2", false},  {"level", false},  {"variance", true},     {"estimate", true},
      {"unit", false},       {"name", false}};
  dpi_sheet s;
  DP_TRY(dpi_draft_sheet(d, "population", false, columns, DPI_COUNT(columns), &s));
  d->individual = DPI_ARENA_ARRAY(d->arena, dpi_individual, s.nrow);
  d->effect = DPI_ARENA_ARRAY(d->arena, dpi_kind_effect, s.nrow);
  d->effect_individual = DPI_ARENA_ARRAY(d->arena, int, s.nrow);
  if (!d->individual || !d->effect || !d->effect_individual) return DP_ERR_MEMORY;
  d->kind->effect = d->effect;
  for (int row = 0; row < s.nrow; row++) {
    int individual;
    if (*dpi_sheet_cell(&s, row, "effectId2")) continue;
    DP_TRY(read_individual(d, &s, row, &individual));
    DP_TRY(read_effect(d, &s, row, individual));
  }
  return build_omega(d, &s);
}

/* ---------------------------------------------------------------- covariates.tsv */

/* missing: refuse, carry, or the number to use. */
static dp_status read_missing(const dpi_sheet *s, int row, dpi_kind_covariate *c) {
  const char *text = dpi_sheet_cell(s, row, "missing");
  c->missing = DPI_MISSING_REFUSE;
  c->value = NAN;
  if (!*text || strcmp(text, "refuse") == 0) return DP_OK;
  if (strcmp(text, "carry") == 0) return c->missing = DPI_MISSING_CARRY, DP_OK;
  if (!dpi_parse_double(text, &c->value))
    return dpi_sheet_fail(s, row, "missing", "expected refuse, carry or a number");
  c->missing = DPI_MISSING_VALUE;
  if (c->value < c->lower || c->value > c->upper)
    return dpi_sheet_fail(s, row, "missing", "expected a value in the covariate's own range");
  return DP_OK;
}

/* The next part of a text with ';' between parts. */
static char *next_part(dpi_arena *arena, const char **text) {
  size_t n = strcspn(*text, ";");
  char *part = dpi_arena_strndup(arena, *text, n);
  *text += n + ((*text)[n] == ';');
  return part;
}

static int count_parts(const char *text) {
  int n = *text != '\0';
  for (; *text; text++) n += *text == ';';
  return n;
}

/* parameterId "CL;V" with factor "(WT/70)^0.75;WT/70": one factor for each parameter. */
static dp_status read_factors(dpi_draft *d, const dpi_sheet *s, int row,
                              const dpi_kind_covariate *c) {
  const char *ids = c->parameter, *texts = c->factor;
  int n = count_parts(ids);
  if (n != count_parts(texts))
    return dpi_sheet_fail(s, row, "factor", "expected one formula for each parameterId");
  for (int i = 0; i < n; i++) {
    const char *id = next_part(d->arena, &ids), *text = next_part(d->arena, &texts);
    if (!id || !text) return DP_ERR_MEMORY;
    const char **known = DPI_ARENA_ARRAY(d->arena, const char *, d->nindividual);
    if (!known) return DP_ERR_MEMORY;
    for (int k = 0; k < d->nindividual; k++) known[k] = d->individual[k].id;
    dpi_factor factor = {.formula = {text, dpi_sheet_where(s, row, "factor")}};
    DP_TRY(dpi_draft_refer(d, dpi_sheet_where(s, row, "parameterId"),
                           "individual parameter of population.tsv", id, known, d->nindividual,
                           &factor.individual));
    DP_TRY(
        dpi_grow(d->ctx, (void **)&d->factor, &d->cap_factor, d->nfactor + 1, sizeof *d->factor));
    d->factor[d->nfactor++] = factor;
  }
  return DP_OK;
}

static dp_status read_covariate(dpi_draft *d, const dpi_sheet *s, int row, dpi_kind_covariate *c) {
  static const char *const conventions[] = {"locf", "nocb", "next"}; /* as dpi_convention */
  DP_TRY(dpi_sheet_id(s, row, "covariateId", &c->id));
  for (int i = 0; i < row; i++)
    if (strcmp(d->covariate[i].id, c->id) == 0)
      return dpi_sheet_fail(s, row, "covariateId",
                            "but an earlier row has it (join several parameters with ';')");
  const char *name = dpi_sheet_cell(s, row, "name");
  c->name = *name ? name : c->id;
  c->unit = dpi_sheet_cell(s, row, "unit");
  dp_unit unit;
  DP_TRY(dpi_draft_unit(d, dpi_sheet_where(s, row, "unit"), c->unit, &unit));
  DP_TRY(dpi_sheet_number(s, row, "lower", -INFINITY, &c->lower));
  DP_TRY(dpi_sheet_number(s, row, "upper", INFINITY, &c->upper));
  if (c->lower >= c->upper) return dpi_sheet_fail(s, row, "upper", "expected more than lower");
  DP_TRY(read_missing(s, row, c));
  int convention;
  DP_TRY(dpi_sheet_word(s, row, "convention", conventions, DPI_COUNT(conventions), 0, &convention));
  c->convention = (dpi_convention)convention;
  DP_TRY(dpi_sheet_flag(s, row, "occasion", false, &c->occasion));
  c->parameter = dpi_sheet_cell(s, row, "parameterId");
  c->factor = dpi_sheet_cell(s, row, "factor");
  c->sim_param = -1;
  return read_factors(d, s, row, c);
}

/* Occasion effects need one column that says when an occasion begins. */
static dp_status check_occasions(const dpi_draft *d, const char *source) {
  int ncolumn = 0, neffect = 0;
  for (int i = 0; i < d->kind->ncovariate; i++) ncolumn += d->covariate[i].occasion;
  for (int i = 0; i < d->kind->neffect; i++) neffect += d->effect[i].occasion;
  if (ncolumn > 1)
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: %d covariates begin occasions, expected one", source,
                    ncolumn);
  if (neffect > 0 && ncolumn == 0)
    return dpi_fail(
        d->ctx, DP_ERR_INPUT,
        "%s: population.tsv has effects of level occasion, but no covariate has occasion 1",
        source);
  return DP_OK;
}

dp_status dpi_draft_covariates(dpi_draft *d) {
  static const dpi_sheet_column columns[] = {
      {"covariateId", true}, {"unit", true},         {"name", false},   {"lower", true},
      {"upper", true},       {"parameterId", false}, {"factor", false}, {"missing", true},
      {"convention", false}, {"occasion", false}};
  dpi_sheet s;
  DP_TRY(dpi_draft_sheet(d, "covariates", false, columns, DPI_COUNT(columns), &s));
  d->covariate = DPI_ARENA_ARRAY(d->arena, dpi_kind_covariate, s.nrow);
  if (!d->covariate) return DP_ERR_MEMORY;
  for (int row = 0; row < s.nrow; row++) DP_TRY(read_covariate(d, &s, row, &d->covariate[row]));
  d->kind->covariate = d->covariate;
  d->kind->ncovariate = s.nrow;
  return check_occasions(d, s.source ? s.source : d->twin.source);
}
