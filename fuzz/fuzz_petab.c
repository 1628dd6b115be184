/* fuzz_petab.c - any bytes as a PEtab problem: refused with a message or a problem whose indices, orders and
 * formulas are what its header promises, all memory given back. The first byte chooses the version (bit 0), whether
 * the grouping file is fuzzed too (bit 1); tables follow each other, separated by 0x01: parameters, observables,
 * conditions, measurements, experiments, mapping. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/petab.h"

#define CHECK(cond) \
  if (!(cond)) abort()

enum { NFILE = 7, MOST = 16384 };

typedef struct input {
  const char *text[NFILE];
  size_t size[NFILE];
} input;

static const char *const paths[NFILE] = {"y", "p", "o", "c", "m", "e", "t"};
static const char yaml_v1[] =
    "format_version: 1\nparameter_file: p\nproblems:\n- {condition_files: [c], measurement_files: [m], "
    "observable_files: [o], "
    "sbml_files: [x]}\n";
static const char yaml_v2[] =
    "format_version: 2.0.0\nparameter_files: [p]\nmodel_files: {a: {location: x, language: sbml}, b: {location: y, "
    "language: sbml}}\n"
    "measurement_files: [m]\nobservable_files: [o]\ncondition_files: [c]\nexperiment_files: [e]\nmapping_files: [t]\n";

static dp_status load(void *user, dp_ctx *ctx, const char *path, char **data, size_t *size) {
  const input *in = user;
  for (int i = 0; i < NFILE; i++) {
    if (strcmp(path, paths[i]) != 0) continue;
    *data = dpi_alloc(ctx, in->size[i] + 1);
    if (!*data) return DP_ERR_MEMORY;
    if (in->size[i]) memcpy(*data, in->text[i], in->size[i]);
    *size = in->size[i];
    return DP_OK;
  }
  return dpi_fail(ctx, DP_ERR_IO, "%s: no such file", path);
}

static bool knows(void *user, int model, const char *id) {
  (void)user;
  return id[0] != 'z' && model >= 0;
}

static void check_formula(const dpi_petab *p, const dpi_petab_expr *e, const double *x, double *grad) {
  dpi_str text;
  double number;
  dpi_str_init(&text, p->ctx);
  double y = dpi_petab_eval(e, x), again = dpi_petab_eval_grad(e, x, 1.0, grad);
  CHECK(y == again || (y != y && again != again));
  CHECK(!dpi_petab_number(e, &number) || number == y || (number != number && y != y));
  CHECK(dpi_petab_lone_name(e) < p->nname);
  dpi_petab_print(p, e, NULL, &text);
  CHECK(!text.failed && text.len > 0);
  dpi_str_release(&text);
}

static void check_parameters(const dpi_petab *p) {
  for (int i = 0; i < p->nparameter; i++) {
    const dpi_petab_parameter *q = &p->parameter[i];
    double slope;
    dpi_petab_log_prior(&q->prior, q->nominal, &slope, NULL);
    if (q->prior.family != DPI_PETAB_FLAT) (void)dpi_petab_prior_quantile(&q->prior, 0.25);
    CHECK(p->name[q->name].kind == DPI_PETAB_PARAMETER && p->name[q->name].index == i);
    CHECK(!q->estimate || q->lower <= q->upper);
    CHECK(q->estimate || q->nominal == q->nominal);
  }
}

static void check_observables(const dpi_petab *p, const double *x, double *grad) {
  for (int i = 0; i < p->nobservable; i++) {
    const dpi_petab_observable *o = &p->observable[i];
    check_formula(p, o->formula, x, grad);
    check_formula(p, o->noise_formula, x, grad);
    CHECK(o->model >= -1 && o->model < p->nmodel);
    for (int k = 0; k < o->nplaceholder; k++) CHECK(p->name[o->placeholder[k]].kind == DPI_PETAB_PLACEHOLDER);
    for (int k = 0; k < o->nnoise_placeholder; k++)
      CHECK(p->name[o->noise_placeholder[k]].kind == DPI_PETAB_PLACEHOLDER);
  }
}

static void check_period(const dpi_petab *p, const dpi_petab_period *k, const double *x, double *grad) {
  for (int i = 0; i < k->nchange; i++) {
    CHECK(k->change[i].target >= 0 && k->change[i].target < p->nname);
    CHECK((k->change[i].value != NULL) == (k->change[i].how == DPI_PETAB_SET));
    if (k->change[i].value) check_formula(p, k->change[i].value, x, grad);
    for (int j = 0; j < i; j++) CHECK(k->change[j].target != k->change[i].target);
  }
}

static void check_experiments(const dpi_petab *p, const double *x, double *grad) {
  int n = 0;
  for (int i = 0; i < p->nexperiment; i++) {
    const dpi_petab_experiment *e = &p->experiment[i];
    CHECK(e->nperiod > 0 && e->nmeasurement > 0 && e->model >= 0 && e->model < p->nmodel);
    for (int k = 0; k < e->nperiod; k++) {
      CHECK(e->period[k].time < INFINITY && (k == 0 || e->period[k].time > e->period[k - 1].time));
      check_period(p, &e->period[k], x, grad);
    }
    for (int k = 0; k < e->nmeasurement; k++) {
      const dpi_petab_measurement *m = &p->measurement[e->measurement[k]];
      CHECK(m->experiment == i && m->model == e->model && (m->type != DPI_PETAB_QUANTITATIVE || isfinite(m->value)));
      CHECK(m->type == DPI_PETAB_ORDINAL ? m->category > 0 : m->low < m->high);
      CHECK(k == 0 || p->measurement[e->measurement[k - 1]].time <= m->time);
      for (int j = 0; j < p->observable[m->observable].nplaceholder; j++) check_formula(p, m->override[j], x, grad);
      for (int j = 0; j < p->observable[m->observable].nnoise_placeholder; j++)
        check_formula(p, m->noise_override[j], x, grad);
    }
    n += e->nmeasurement;
  }
  CHECK(n == p->nmeasurement && n > 0);
}

static void check_problem(dpi_petab *p) {
  double *x = calloc((size_t)p->nname, sizeof *x), *grad = calloc((size_t)p->nname, sizeof *grad);
  CHECK(x && grad);
  for (int i = 0; i < p->nname; i++) x[i] = 0.5 + i;
  CHECK(p->name[0].kind == DPI_PETAB_TIME && strlen(p->hash) == 64);
  check_parameters(p);
  check_observables(p, x, grad);
  check_experiments(p, x, grad);
  dp_status status = dpi_petab_check_names(p, knows, NULL, NULL);
  CHECK(status == DP_OK || status == DP_ERR_INPUT);
  dp_ctx_clear_error(p->ctx);
  free(x);
  free(grad);
}

/* The tables between the separators. */
static void cut(const uint8_t *data, size_t size, input *in) {
  static const int order[] = {1, 2, 3, 4, 5, 6, 0};
  int v2 = data[0] & 1, nfile = NFILE - !(data[0] & 2);
  const char *s = (const char *)data + 1, *end = (const char *)data + size;
  in->text[0] = v2 ? yaml_v2 : yaml_v1;
  in->size[0] = strlen(in->text[0]);
  for (int k = 0; k < nfile && s <= end; k++) {
    const char *to = s < end ? memchr(s, 1, (size_t)(end - s)) : NULL;
    if (!to) to = end;
    in->text[order[k]] = s;
    in->size[order[k]] = (size_t)(to - s);
    s = to + 1;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || size > MOST) return 0;
  input in = {{NULL}, {0}};
  dp_ctx_def cdef = dp_ctx_def_default();
  dpi_petab_def def = {.path = "y", .load = load, .user = &in};
  dpi_petab_issues issues;
  dpi_petab *p = NULL;
  dp_ctx *ctx;
  cut(data, size, &in);
  CHECK(dp_ctx_create(&cdef, &ctx) == DP_OK);
  CHECK(dpi_petab_lint(ctx, &def, &issues) == DP_OK && !*dp_ctx_error(ctx));
  dp_status status = dpi_petab_read(ctx, &def, &p);
  CHECK((status == DP_OK) == (p != NULL));
  CHECK((status == DP_OK) == !*dp_ctx_error(ctx));
  CHECK((status == DP_OK) == (issues.n == 0));
  CHECK(status == DP_OK || strcmp(issues.item[0].text, dp_ctx_error(ctx)) == 0);
  CHECK(status == DP_OK || status == DP_ERR_INPUT || status == DP_ERR_UNSUPPORTED || status == DP_ERR_IO);
  if (p) check_problem(p);
  dpi_petab_destroy(p);
  dpi_petab_issues_release(&issues);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
