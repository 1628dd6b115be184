/* petab_names.c - floor 3: names of a PEtab problem against the model that somebody above has read.
 *
 * A name is in order when the model knows it. One that it does not may still be an output parameter: set by the
 * changes of an experiment and used in formulas of what is measured in it.
 */
#include <string.h>

#include "format/petab/petab_impl.h"

typedef struct checker {
  dpi_petab *p;
  dpi_petab_known known;
  void *user;
  dpi_petab_issues *issues;
  int model;
  signed char *seen; /* [nname] of the model: 0 not asked yet, 1 known, -1 unknown */
  bool *target;      /* [nname] set in this experiment */
  bool *used;        /* [nname] in formulas of this experiment */
  bool *told;        /* [nname] complained of */
} checker;

static bool is_known(checker *c, int name) {
  const dpi_petab_name *n = &c->p->name[name];
  if (n->kind != DPI_PETAB_MODEL) return true;
  if (c->seen[name] == 0) c->seen[name] = c->known(c->user, c->model, n->model_id) ? 1 : -1;
  return c->seen[name] > 0;
}

static dp_status complain(checker *c, int name, const dpi_petab_place *place, const char *remedy) {
  const dpi_petab *p = c->p;
  if (c->told[name]) return DP_OK;
  c->told[name] = true;
  const char **words = DPI_NEW_ARRAY(p->ctx, const char *, p->nparameter > 0 ? p->nparameter : 1);
  if (!words) return DP_ERR_MEMORY;
  for (int i = 0; i < p->nparameter; i++) words[i] = p->parameter[i].id;
  const char *near = dpi_nearest_word(p->name[name].id, words, p->nparameter);
  dp_status status =
      petab_fail(c->p, place, DP_ERR_INPUT, "neither the model nor the parameter table knows '%s'%s%s%s",
                 p->name[name].id, near ? "; did you mean '" : "; ", near ? near : remedy, near ? "'?" : "");
  dpi_free(p->ctx, words);
  if (!c->issues) return status;
  petab_add_issue(c->issues, status, dp_ctx_error(p->ctx));
  dp_ctx_clear_error(p->ctx);
  return DP_OK;
}

static dp_status check_expr(checker *c, const dpi_petab_expr *e, const dpi_petab_place *place, bool outputs) {
  if (e->op == PETAB_NAME) {
    c->used[e->name] = true;
    if (!is_known(c, e->name) && !(outputs && c->target[e->name]))
      DP_TRY(complain(c, e->name, place, "add it to the parameter table"));
  }
  for (int i = 0; i < e->narg; i++) DP_TRY(check_expr(c, e->arg[i], place, outputs));
  return DP_OK;
}

/* Formulas of an observable may use its placeholders (and those of no other). */
static dp_status check_placeholders(checker *c, const dpi_petab_expr *e, const dpi_petab_observable *o,
                                    const dpi_petab_place *place) {
  if (e->op == PETAB_NAME && c->p->name[e->name].kind == DPI_PETAB_PLACEHOLDER && !c->told[e->name]) {
    bool own = false;
    for (int i = 0; i < o->nplaceholder; i++) own = own || o->placeholder[i] == e->name;
    for (int i = 0; i < o->nnoise_placeholder; i++) own = own || o->noise_placeholder[i] == e->name;
    if (!own)
      return complain(c, e->name, place,
                      "it is a placeholder of another observable, which no measurement of this one fills");
  }
  for (int i = 0; i < e->narg; i++) DP_TRY(check_placeholders(c, e->arg[i], o, place));
  return DP_OK;
}

static dp_status check_measurement(checker *c, const dpi_petab_measurement *m) {
  const dpi_petab_observable *o = &c->p->observable[m->observable];
  dpi_petab_place place = m->place;
  place.column = "observableParameters";
  for (int i = 0; i < o->nplaceholder; i++) DP_TRY(check_expr(c, m->override[i], &place, true));
  place.column = "noiseParameters";
  for (int i = 0; i < o->nnoise_placeholder; i++) DP_TRY(check_expr(c, m->noise_override[i], &place, true));
  return DP_OK;
}

static dp_status check_observable(checker *c, const dpi_petab_observable *o) {
  dpi_petab_place place = {o->place.file, o->place.line, "observableFormula"};
  DP_TRY(check_expr(c, o->formula, &place, true));
  DP_TRY(check_placeholders(c, o->formula, o, &place));
  place.column = "noiseFormula";
  DP_TRY(check_expr(c, o->noise_formula, &place, true));
  return check_placeholders(c, o->noise_formula, o, &place);
}

/* Each observable once, however many measurements there are. */
static dp_status check_measurements(checker *c, const dpi_petab_experiment *e, char *done) {
  memset(done, 0, (size_t)c->p->nobservable);
  for (int i = 0; i < e->nmeasurement; i++) {
    const dpi_petab_measurement *m = &c->p->measurement[e->measurement[i]];
    if (!done[m->observable]) DP_TRY(check_observable(c, &c->p->observable[m->observable]));
    done[m->observable] = 1;
    DP_TRY(check_measurement(c, m));
  }
  return DP_OK;
}

static dp_status check_experiment(checker *c, const dpi_petab_experiment *e, char *done) {
  size_t n = (size_t)c->p->nname;
  if (e->model != c->model) memset(c->seen, 0, n);
  c->model = e->model;
  memset(c->target, 0, n * sizeof *c->target);
  memset(c->used, 0, n * sizeof *c->used);
  for (int k = 0; k < e->nperiod; k++)
    for (int i = 0; i < e->period[k].nchange; i++) c->target[e->period[k].change[i].target] = true;
  DP_TRY(check_measurements(c, e, done));
  for (int k = 0; k < e->nperiod; k++) {
    for (int i = 0; i < e->period[k].nchange; i++) {
      const dpi_petab_change *change = &e->period[k].change[i];
      if (change->value) DP_TRY(check_expr(c, change->value, &change->place, true));
    }
  }
  for (int k = 0; k < e->nperiod; k++) {
    for (int i = 0; i < e->period[k].nchange; i++) {
      const dpi_petab_change *change = &e->period[k].change[i];
      dpi_petab_place place = change->place;
      if (c->p->version == 2) place.column = "targetId";
      if (!is_known(c, change->target) && !c->used[change->target])
        DP_TRY(complain(c, change->target, &place, "correct the id of what is changed"));
    }
  }
  return DP_OK;
}

/* Observables with an id of the model's: which of the two is meant? Version 1 has tables that do so. */
static dp_status check_shadows(checker *c) {
  dpi_petab *p = c->p;
  for (int o = 0; o < p->nobservable; o++) {
    const dpi_petab_observable *q = &p->observable[o];
    bool in = false;
    int last = -1; /* models of experiments come in runs */
    for (int e = 0; e < p->nexperiment && !in; e++) {
      const int m = p->experiment[e].model;
      if (m == last || (q->model >= 0 && q->model != m)) continue;
      in = c->known(c->user, last = m, q->id);
    }
    const dpi_petab_place place = {q->place.file, q->place.line, "observableId"};
    if (in && p->version == 1)
      DP_TRY(petab_remark(p, &place, "'%.80s' is also an entity of the model; rename the observable", q->id));
    if (!in || p->version == 1) continue;
    const dp_status status =
        petab_fail(p, &place, DP_ERR_INPUT, "'%s' is also an entity of the model; rename the observable", q->id);
    if (!c->issues) return status;
    petab_add_issue(c->issues, status, dp_ctx_error(p->ctx));
    dp_ctx_clear_error(p->ctx);
  }
  return DP_OK;
}

dp_status dpi_petab_check_names(dpi_petab *p, dpi_petab_known known, void *user, dpi_petab_issues *issues) {
  size_t n = (size_t)p->nname;
  checker c = {.p = p, .known = known, .user = user, .issues = issues, .model = -1};
  char *done = dpi_alloc(p->ctx, (size_t)p->nobservable + 1);
  c.seen = dpi_alloc(p->ctx, n);
  c.target = DPI_NEW_ARRAY(p->ctx, bool, n);
  c.used = DPI_NEW_ARRAY(p->ctx, bool, n);
  c.told = DPI_NEW_ARRAY(p->ctx, bool, n);
  dp_status status = done && c.seen && c.target && c.used && c.told ? DP_OK : petab_memory(p);
  if (status == DP_OK) status = check_shadows(&c);
  for (int e = 0; e < p->nexperiment && status == DP_OK; e++) status = check_experiment(&c, &p->experiment[e], done);
  dpi_free(p->ctx, done);
  dpi_free(p->ctx, c.seen);
  dpi_free(p->ctx, c.target);
  dpi_free(p->ctx, c.used);
  dpi_free(p->ctx, c.told);
  return status;
}
