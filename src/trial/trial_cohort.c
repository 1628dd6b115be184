/* trial_cohort.c - floor 8: who takes part: rows of a table, or draws from a population's law. Everybody is a function
 * of their number. Those of either who are like a target population: trial_match.c.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/table.h"
#include "kind/kind_find.h"
#include "num/num.h"
#include "trial/trial_impl.h"

enum { most_columns = 400, most_rows = 1000000, most_people = 100000000 };

/* ---- one person ---- */

static void from_table(const dp_trial *t, uint64_t number, double *value, char id[64]) {
  const dpi_cohort *c = &t->cohort;
  int row = (int)(number % (uint64_t)c->nrow);
  if (c->resample) {
    dpi_rng rng = dpi_rng_make(t->desc.seed, number, DPI_TRIAL_ROW);
    row = (int)(dpi_rng_uniform(&rng) * c->nrow);
  }
  dpi_rng rng = dpi_rng_make(t->desc.seed, number, DPI_TRIAL_JITTER);
  for (int k = 0; k < c->ncolumn; k++) {
    const double z = dpi_rng_normal(&rng); /* drawn whether or not it is used: a column's number does not move others */
    value[k] = c->value[(size_t)row * (size_t)c->ncolumn + (size_t)k];
    if (c->jitter[k] > 0) value[k] *= dpi_m_exp(c->jitter[k] * z);
  }
  snprintf(id, 64, "%.40s/%llu", c->person[row], (unsigned long long)number);
}

static void from_population(const dp_trial *t, uint64_t number, double *value, char id[64]) {
  const dpi_cohort *c = &t->cohort;
  const int n = t->kind->neffect;
  double z[DPI_EIG_MAX];
  dpi_rng rng = dpi_rng_make(t->desc.seed, number, DPI_TRIAL_ETA);
  for (int k = 0; k < n; k++) z[k] = dpi_rng_normal(&rng);
  dpi_tri_mul_lower(c->chol, n, z, value);
  for (int k = n; k < c->ncolumn; k++)
    value[k] = dp_vary(c->vary[k].kind, c->vary[k].a, c->vary[k].b, t->desc.seed, number, c->column[k]);
  snprintf(id, 64, "%llu", (unsigned long long)number);
}

static void from_given(const dp_trial *t, uint64_t number, double *value, char id[64]) {
  const dpi_cohort *c = &t->cohort;
  const size_t row = (size_t)(number % (uint64_t)c->nrow), which = (size_t)(number / (uint64_t)c->nrow);
  memcpy(value, c->value + row * (size_t)c->ncolumn, sizeof *value * (size_t)c->ncolumn);
  for (int k = 0; k < c->nsetting; k++) value[c->setting[k]] = c->replace[which * (size_t)c->nsetting + (size_t)k];
  snprintf(id, 64, "draw %zu", row);
}

uint64_t dpi_cohort_chance(const dp_trial *t, int i) {
  return (uint64_t)(t->cohort.kind == DPI_COHORT_GIVEN ? i % t->cohort.nrow : i);
}

static void candidate(const dp_trial *t, uint64_t number, double *value, char id[64]) {
  if (t->cohort.kind == DPI_COHORT_GIVEN)
    from_given(t, number, value, id);
  else if (t->cohort.kind == DPI_COHORT_TABLE)
    from_table(t, number, value, id);
  else
    from_population(t, number, value, id);
}

void dpi_cohort_person(const dp_trial *t, int i, double *value, char id[64]) {
  candidate(t, (uint64_t)(t->cohort.accepted ? t->cohort.accepted[i] : i), value, id);
}

/* ---- reading ---- */

static dp_status wrong(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what, const char *expected) {
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found '%.60s', expected %s", doc->source, node->line, what,
                  node->text ? node->text : "a list or map", expected);
}

int dpi_cohort_column(const dpi_cohort *c, const char *id) {
  for (int k = 0; k < c->ncolumn; k++)
    if (strcmp(c->column[k], id) == 0) return k;
  return -1;
}

static const dpi_kind_covariate *covariate_of(const dp_kind *kind, const char *id) {
  for (int i = 0; i < kind->ncovariate; i++)
    if (strcmp(kind->covariate[i].id, id) == 0) return &kind->covariate[i];
  return NULL;
}

static bool allowed(const dpi_kind_covariate *v, double x) { return !(x < v->lower) && !(x > v->upper); }

/* A column that the model reads has numbers in every row, those of a covariate within its range. */
static dp_status check_column(const dp_trial *t, const dpi_table *table, int k) {
  const dpi_kind_covariate *v = covariate_of(t->kind, table->column[k]);
  if (!v && dp_sim_param(t->kind->sim, table->column[k]) < 0) return DP_OK;
  for (int row = 0; row < table->nrow; row++) {
    double x;
    DP_TRY(dpi_table_number(table, row, k, &x));
    if (v && !allowed(v, x))
      return dpi_table_fail(table, row, k, "found %g, expected %g to %g %s", x, v->lower, v->upper, v->unit);
  }
  return DP_OK;
}

/* Columns all of whose cells are numbers; the person is the column `person` or `id`, else the row's number. */
static dp_status take_table(dp_trial *t, const dpi_table *table) {
  dpi_cohort *c = &t->cohort;
  if (table->nrow < 1 || table->nrow > most_rows || table->ncolumn > most_columns)
    return dpi_fail(t->ctx, DP_ERR_INPUT, "%s: found %d rows and %d columns, expected 1 to 1000000 and at most 400",
                    c->table, table->nrow, table->ncolumn);
  int person = dpi_table_column(table, "person");
  if (person < 0) person = dpi_table_column(table, "id");
  c->nrow = table->nrow;
  c->column = DPI_ARENA_ARRAY(&t->arena, const char *, table->ncolumn + 1);
  c->person = DPI_ARENA_ARRAY(&t->arena, const char *, table->nrow);
  c->value = DPI_ARENA_ARRAY(&t->arena, double, (size_t)table->nrow *(size_t)table->ncolumn);
  c->jitter = DPI_ARENA_ARRAY(&t->arena, double, table->ncolumn + 1);
  int *from = DPI_ARENA_ARRAY(&t->arena, int, table->ncolumn + 1);
  if (!c->column || !c->person || !c->value || !c->jitter || !from) return DP_ERR_MEMORY;
  for (int k = 0; k < table->ncolumn; k++) {
    bool number = k != person;
    double x;
    if (number) DP_TRY(check_column(t, table, k));
    for (int row = 0; row < table->nrow && number; row++) number = dpi_parse_double(dpi_table_cell(table, row, k), &x);
    if (!number) continue;
    from[c->ncolumn] = k;
    c->column[c->ncolumn] = dpi_arena_strdup(&t->arena, table->column[k]);
    if (!c->column[c->ncolumn++]) return DP_ERR_MEMORY;
  }
  for (int row = 0; row < table->nrow; row++) {
    c->person[row] = person >= 0 ? dpi_arena_strdup(&t->arena, dpi_table_cell(table, row, person))
                                 : dpi_arena_printf(&t->arena, "%d", row + 1);
    if (!c->person[row]) return DP_ERR_MEMORY;
    for (int k = 0; k < c->ncolumn; k++)
      dpi_parse_double(dpi_table_cell(table, row, from[k]), &c->value[(size_t)row * (size_t)c->ncolumn + (size_t)k]);
  }
  return DP_OK;
}

/* jitter: 0.1, of all numbers; or {column: 0.1, ...} */
static dp_status read_jitter(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *n) {
  dpi_cohort *c = &t->cohort;
  if (!n) return DP_OK;
  if (n->type == DPI_YAML_SCALAR) {
    double sd;
    if (!dpi_parse_double(n->text, &sd) || sd < 0 || sd > 2) return wrong(doc, n, "jitter", "a number from 0 to 2");
    for (int k = 0; k < c->ncolumn; k++) c->jitter[k] = sd;
    return DP_OK;
  }
  if (n->type != DPI_YAML_MAP) return wrong(doc, n, "jitter", "a number, or {column: number, ...}");
  for (const dpi_yaml *e = n->first; e; e = e->next) {
    const int k = dpi_cohort_column(c, e->key);
    if (k < 0) return wrong(doc, e, e->key, "a column of numbers of the table as the name of a jitter");
    if (!e->text || !dpi_parse_double(e->text, &c->jitter[k]) || c->jitter[k] < 0 || c->jitter[k] > 2)
      return wrong(doc, e, e->key, "a number from 0 to 2");
  }
  return DP_OK;
}

static dp_status read_table(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  dpi_cohort *c = &t->cohort;
  const char *file;
  DP_TRY(dpi_yaml_string(doc, map, "table", NULL, &file));
  c->kind = DPI_COHORT_TABLE;
  c->table = dpi_policy_path(&t->arena, t->folder, file);
  if (!c->table) return DP_ERR_MEMORY;
  if (dpi_policy_no_file(c->table)) return wrong(doc, dpi_yaml_get(map, "table"), "table", "a file that is there");
  dpi_table *table;
  DP_TRY(dpi_table_load(t->ctx, c->table, DPI_TABLE_DETECT, &table));
  dp_status status = take_table(t, table);
  dpi_table_destroy(table);
  DP_TRY(status);
  DP_TRY(dpi_yaml_bool(doc, map, "resample", false, &c->resample));
  return read_jitter(t, doc, dpi_yaml_get(map, "jitter"));
}

/* "normal(70, 12)" */
static dp_status read_variation(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *e, dpi_variation *v) {
  static const char *const words[] = {"normal", "lognormal", "uniform", "loguniform"};
  const char *text = e->text ? e->text : "";
  double a;
  if (dpi_parse_double(text, &a)) return *v = (dpi_variation){DP_VARY_UNIFORM, a, a}, DP_OK;
  for (int i = 0; i < DPI_COUNT(words); i++) {
    const size_t n = strlen(words[i]), length = strlen(text);
    if (strncmp(text, words[i], n) != 0 || text[n] != '(' || text[length - 1] != ')') continue;
    const char *comma = strchr(text, ',');
    if (!comma) break;
    char *first = dpi_arena_strndup(&t->arena, text + n + 1, (size_t)(comma - text) - n - 1);
    char *second = dpi_arena_strndup(&t->arena, comma + 1, length - 2 - (size_t)(comma - text));
    if (!first || !second) return DP_ERR_MEMORY;
    v->kind = (dp_variation)i;
    const bool good = dpi_parse_double(first, &v->a) && dpi_parse_double(second, &v->b) &&
                      (i == DP_VARY_UNIFORM ? v->a <= v->b : v->b > 0) && (i != DP_VARY_LOGUNIFORM || v->a > 0);
    if (good) return DP_OK;
    break;
  }
  return wrong(doc, e, e->key, "a number, normal(mean, sd), lognormal(median, s), uniform(a, b) or loguniform(a, b)");
}

/* A law whose middle (of a uniform law: whose ends) the covariate can't have is a slip. */
static dp_status check_variation(const dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *e,
                                 const dpi_variation *v) {
  const dpi_kind_covariate *k = covariate_of(t->kind, e->key);
  const bool ends = v->kind == DP_VARY_UNIFORM || v->kind == DP_VARY_LOGUNIFORM;
  if (!k || (allowed(k, v->a) && (!ends || allowed(k, v->b)))) return DP_OK;
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found '%.60s', expected values from %g to %g %s", doc->source,
                  e->line, e->key, e->text, k->lower, k->upper, k->unit);
}

static dp_status read_population(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  dpi_cohort *c = &t->cohort;
  const dp_kind *k = t->kind;
  const dpi_yaml *covariates = dpi_yaml_get(map, "covariates");
  const int n = k->neffect;
  c->kind = DPI_COHORT_POPULATION;
  if (covariates && covariates->type != DPI_YAML_MAP)
    return wrong(doc, covariates, "covariates", "{name: distribution}");
  if (n < 1 || n > DPI_EIG_MAX) return wrong(doc, map, "population", "a kind with random effects, at most 64");
  for (int i = 0; i < n; i++)
    if (k->effect[i].occasion)
      return dpi_fail(t->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: population: effects of occasions ('%s') are not offered in trials", doc->source,
                      map->line, k->effect[i].id);
  const int most = n + (covariates ? covariates->count : 0);
  c->column = DPI_ARENA_ARRAY(&t->arena, const char *, most);
  c->vary = DPI_ARENA_ARRAY(&t->arena, dpi_variation, most);
  c->chol = DPI_ARENA_ARRAY(&t->arena, double, (size_t)n *(size_t)n);
  if (!c->column || !c->vary || !c->chol) return DP_ERR_MEMORY;
  memcpy(c->chol, k->omega, sizeof(double) * (size_t)n * (size_t)n);
  if (!dpi_chol(c->chol, n)) return wrong(doc, map, "population", "a positive definite covariance in population.tsv");
  for (int i = 0; i < n; i++) c->column[c->ncolumn++] = k->effect[i].id;
  for (const dpi_yaml *e = covariates ? covariates->first : NULL; e; e = e->next) {
    if (dpi_cohort_column(c, e->key) >= 0 || !dpi_policy_name(e->key))
      return wrong(doc, e, e->key, "another name of a covariate");
    DP_TRY(read_variation(t, doc, e, &c->vary[c->ncolumn]));
    DP_TRY(check_variation(t, doc, e, &c->vary[c->ncolumn]));
    c->column[c->ncolumn++] = e->key;
  }
  return DP_OK;
}

/* A covariate that has no value of its own must be said. */
static dp_status check_covariates(const dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  for (int i = 0; i < t->kind->ncovariate; i++) {
    const dpi_kind_covariate *v = &t->kind->covariate[i];
    if (v->sim_param >= 0 && v->missing != DPI_MISSING_VALUE && dpi_cohort_column(&t->cohort, v->id) < 0)
      return dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: cohort: the model needs everybody's '%s' (%s, %s)", doc->source,
                      map->line, v->id, v->name, v->unit);
  }
  return DP_OK;
}

/* "level at 8 h": what the model has of a person. */
static dp_status read_output(const dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *e, const char *at,
                             dpi_target *g) {
  char id[128], where[400];
  if ((size_t)(at - e->key) >= sizeof id) return wrong(doc, e, e->key, "a shorter name");
  snprintf(id, sizeof id, "%.*s", (int)(at - e->key), e->key);
  const int observable = dpi_kind_find_observable(t->kind, id), quantity = dpi_kind_find_quantity(t->kind, id);
  if (observable < 0 && quantity < 0)
    return wrong(doc, e, e->key, "an observable or a quantity of the kind before `at`");
  g->output = observable >= 0 ? t->kind->observable[observable].value_output : t->kind->quantity[quantity].sim_output;
  snprintf(where, sizeof where, "%s:%d: %.60s", doc->source, e->line, e->key);
  DP_TRY(dpi_policy_quantity(t->ctx, where, at + 4, t->kind->time_unit, 0, &g->time));
  return g->time >= 0 && g->time <= t->desc.horizon ? DP_OK : wrong(doc, e, e->key, "a time from 0 to the horizon");
}

static dp_status read_match(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  static const char *const keys[] = {"mean", "sd"};
  dpi_cohort *c = &t->cohort;
  if (!map) return DP_OK;
  if (map->type != DPI_YAML_MAP || map->count < 1 || map->count > DPI_TRIAL_TARGETS)
    return wrong(doc, map, "match", "{name: {mean: ..., sd: ...}}, 1 to 4 of them");
  c->target = DPI_ARENA_ARRAY(&t->arena, dpi_target, map->count);
  if (!c->target) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = map->first; e; e = e->next) {
    dpi_target *g = &c->target[c->ntarget++];
    DP_TRY(dpi_yaml_known(doc, e, "a target", keys, 2));
    const char *at = strstr(e->key, " at ");
    g->name = e->key;
    g->output = -1;
    g->column = at ? -1 : dpi_cohort_column(c, e->key);
    if (at) DP_TRY(read_output(t, doc, e, at, g));
    if (!at && g->column < 0)
      return wrong(doc, e, e->key, "a number of the people of the cohort, or NAME at TIME, as the name of a target");
    DP_TRY(dpi_yaml_number(doc, e, "mean", NAN, &g->mean));
    DP_TRY(dpi_yaml_number(doc, e, "sd", NAN, &g->sd));
    if (!(g->sd > 0)) return wrong(doc, dpi_yaml_get(e, "sd"), "sd", "a number > 0");
  }
  return DP_OK;
}

dp_status dpi_cohort_given(dp_trial *t) {
  dpi_cohort *c = &t->cohort;
  const dp_kind *k = t->kind;
  c->kind = DPI_COHORT_GIVEN;
  c->n = c->nrow = 1;
  c->column = DPI_ARENA_ARRAY(&t->arena, const char *, k->neffect + k->nparam + k->ncovariate + most_columns);
  if (!c->column) return DP_ERR_MEMORY;
  for (int i = 0; i < k->neffect; i++) c->column[c->ncolumn++] = k->effect[i].id;
  for (int i = 0; i < k->nparam; i++) c->column[c->ncolumn++] = k->param[i].id;
  for (int i = 0; i < k->ncovariate; i++)
    if (k->covariate[i].sim_param >= 0) c->column[c->ncolumn++] = k->covariate[i].id;
  return DP_OK;
}

dp_status dpi_cohort_add(dp_trial *t, const dp_policy *p) {
  if (p->desc.nperson > most_columns)
    return dpi_fail(t->ctx, DP_ERR_INPUT, "%s: found %d numbers of a person, expected at most %d", p->desc.source,
                    p->desc.nperson, most_columns);
  for (int i = 0; i < p->desc.nperson; i++)
    if (dpi_cohort_column(&t->cohort, p->desc.person[i]) < 0) t->cohort.column[t->cohort.ncolumn++] = p->desc.person[i];
  return DP_OK;
}

dp_status dpi_trial_read_cohort(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  static const char *const keys[] = {"table", "population", "covariates", "n", "resample", "jitter", "match"};
  DP_TRY(dpi_yaml_known(doc, map, "a cohort", keys, DPI_COUNT(keys)));
  const bool table = dpi_yaml_get(map, "table") != NULL, population = dpi_yaml_get(map, "population") != NULL;
  if (table == population) return wrong(doc, map, "cohort", "one of table and population");
  for (int i = 2; i < DPI_COUNT(keys); i++) {
    const dpi_yaml *n = dpi_yaml_get(map, keys[i]);
    const bool fits = i == 2 ? population : i == 4 || i == 5 ? table : true;
    if (n && !fits) return wrong(doc, n, keys[i], "it with the other kind of cohort only");
  }
  if (table)
    DP_TRY(read_table(t, doc, map));
  else
    DP_TRY(read_population(t, doc, map));
  DP_TRY(check_covariates(t, doc, map));
  DP_TRY(dpi_yaml_int(doc, map, "n", table ? t->cohort.nrow : 100, 1, most_people, &t->cohort.n));
  return read_match(t, doc, dpi_yaml_get(map, "match"));
}
