/* case.c - one person's record under a kind: what the waist needs to simulate them.  O, U -> members
 *
 * Row i of a person takes the orders 8 i .. 8 i + 4 of its time, in this sequence:
 *     +0 covariates and occasion of the row (LOCF: a value holds from its row on)
 *     +1 reset   +2 dose   +3 observation
 *     +4 covariates and occasion of row i + 1 (NOCB: a value holds over the interval that ends at its row)
 * NEXT is NOCB for rates, and a dose goes by the first row later than it: such values switch at +0 of a dose.
 * so equal times keep the order of the rows and everything is emitted already sorted. Rows of one time share an output
 * row as long as nothing happened between them.
 *
 * Directions: the person's effects first, then the effects of occasion 0, 1, ... An occasion's effects reach the model by
 * switches that carry dir_amount; dpi_case_apply writes eta through it.
 */
#include <math.h>
#include <string.h>

#include "kind/kind_events.h"
#include "num/num.h"

enum { ORDERS = 8, AT_BEFORE = 0, AT_RESET = 1, AT_DOSE = 2, AT_OUTPUT = 3, AT_AFTER = 4 };

typedef struct builder {
  dp_ctx *ctx;
  dpi_case *c;
  const dp_kind *kind;
  const dp_record *record;
  const dp_subject *subject;
  double *
      covariate; /* [nevent x ncovariate] after the policy for missing values; NaN: unknown and not needed */
  int *occasion;   /* [nevent] */
  double *current; /* [ncovariate] value in force */
  int current_occasion;
  int ninstant_at_output; /* instants when the last output row was made */
} builder;

static const dp_event *event_at(const builder *b, int row) { return &b->subject->event[row]; }

static double to_units(dp_time t) { return (double)t / (double)DP_TICKS; }

/* ---------------------------------------------------------------- covariates */

static bool equal_nocase(const char *a, const char *b) {
  for (; *a && *b; a++, b++) {
    char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
    char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;
    if (x != y) return false;
  }
  return *a == *b;
}

/* Names of columns are compared without letters' case, as the field does; one that matches exactly comes first. */
int dpi_record_covariate(const dp_record *record, const char *id) {
  for (int i = 0; i < record->ncovariate; i++)
    if (strcmp(record->covariate_id[i], id) == 0) return i;
  for (int i = 0; i < record->ncovariate; i++)
    if (equal_nocase(record->covariate_id[i], id)) return i;
  return -1;
}

/* Must its value be known at every row? */
static bool needed(const dpi_kind_covariate *v) { return v->sim_param >= 0 || v->occasion; }

/* A needed covariate without a column and without a value to use instead. */
static dp_status no_column(const builder *b, const dpi_kind_covariate *v) {
  const char *near = dpi_nearest_word(v->id, b->record->covariate_id, b->record->ncovariate);
  return dpi_fail(b->ctx, DP_ERR_INPUT,
                  "%s: has no column %s, which the kind '%s' needs (%s, %s)%s%s%s",
                  b->record->source, v->id, b->kind->id, v->name, v->unit,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static dp_status check_range(const builder *b, const dpi_kind_covariate *v, const dp_event *e,
                             double x) {
  if (x >= v->lower && x <= v->upper) return DP_OK;
  return dpi_fail(b->ctx, DP_ERR_INPUT, "%s:%d: column %s: found %g, expected %g to %g %s",
                  b->record->source, e->line, v->id, x, v->lower, v->upper, v->unit);
}

/* One covariate at every row: as recorded, or by its policy where nothing is recorded. */
static dp_status fill_covariate(builder *b, int index) {
  const dpi_kind_covariate *v = &b->kind->covariate[index];
  int column = dpi_record_covariate(b->record, v->id), n = b->kind->ncovariate;
  if (column < 0 && needed(v) && v->missing != DPI_MISSING_VALUE) return no_column(b, v);
  double last = NAN;
  for (int row = 0; row < b->subject->nevent; row++) {
    const dp_event *e = event_at(b, row);
    double x = column < 0 ? NAN : e->covariate[column];
    if (!isnan(x))
      DP_TRY(check_range(b, v, e, x));
    else if (v->missing == DPI_MISSING_VALUE)
      x = v->value;
    else if (v->missing == DPI_MISSING_CARRY)
      x = last;
    if (isnan(x) && needed(v))
      return dpi_fail(b->ctx, DP_ERR_INPUT, "%s:%d: column %s: found no value, expected %s in %s%s",
                      b->record->source, e->line, v->id, v->name, v->unit,
                      v->missing == DPI_MISSING_CARRY ? " (nothing earlier to carry on)" : "");
    b->covariate[row * n + index] = last = x;
  }
  return DP_OK;
}

/* The covariate whose values are occasions, -1: none. */
static int occasion_covariate(const dp_kind *kind) {
  for (int i = 0; i < kind->ncovariate; i++)
    if (kind->covariate[i].occasion) return i;
  return -1;
}

/* Occasion of each row, numbered in order of first appearance. */
static void number_occasions(builder *b) {
  int index = occasion_covariate(b->kind), n = b->kind->ncovariate;
  b->c->noccasion = 1;
  if (index < 0) return;
  b->c->noccasion = 0;
  for (int row = 0; row < b->subject->nevent; row++) {
    double x = b->covariate[row * n + index];
    int earlier = 0;
    while (earlier < row && b->covariate[earlier * n + index] != x) earlier++;
    b->occasion[row] = earlier < row ? b->occasion[earlier] : b->c->noccasion++;
  }
}

/* ---------------------------------------------------------------- directions */

/* Directions and the seed: which effect's parameter each direction moves at the start. */
static dp_status lay_out_directions(builder *b) {
  const dp_kind *k = b->kind;
  dpi_case *c = b->c;
  int nperson = 0, noccasion_effect = 0;
  for (int i = 0; i < k->neffect; i++) *(k->effect[i].occasion ? &noccasion_effect : &nperson) += 1;
  c->neta = nperson + c->noccasion * noccasion_effect;
  int *effect = DPI_ARENA_ARRAY(&c->arena, int, c->neta);
  c->seed = DPI_ARENA_ARRAY(&c->arena, double, k->neffect * c->neta);
  if (!effect || !c->seed) return DP_ERR_MEMORY;
  int n = 0;
  for (int i = 0; i < k->neffect; i++)
    if (!k->effect[i].occasion) effect[n++] = i;
  for (int o = 0; o < c->noccasion; o++)
    for (int i = 0; i < k->neffect; i++)
      if (k->effect[i].occasion) effect[n++] = i;
  for (int e = 0; e < nperson + (c->noccasion ? noccasion_effect : 0); e++)
    c->seed[k->effect[effect[e]].active * c->neta + e] = 1.0;
  c->eta_effect = effect;
  return DP_OK;
}

/* ---------------------------------------------------------------- the timeline */

static dp_instant *add_instant(builder *b, int row, int at, dp_instant_type type) {
  dp_instant *s = &b->c->instant[b->c->ninstant++];
  *s = dp_instant_default();
  s->time = event_at(b, row)->time;
  s->order = row * ORDERS + at;
  s->type = type;
  return s;
}

/* Bring the covariates of one convention, at this place of the timeline, to what `row` says. */
static void switch_covariates(builder *b, int place_row, int at, int row, dpi_convention convention) {
  int n = b->kind->ncovariate;
  for (int i = 0; i < n; i++) {
    const dpi_kind_covariate *v = &b->kind->covariate[i];
    double x = b->covariate[row * n + i];
    if (v->convention != convention || v->sim_param < 0 || x == b->current[i]) continue;
    dp_instant *s = add_instant(b, place_row, at, DP_SWITCH);
    s->target = v->sim_param;
    s->amount = b->current[i] = x;
  }
}

/* Go to the occasion of `row`: its effects take over. */
static void switch_occasion(builder *b, int place_row, int at, int row, dpi_convention convention) {
  int index = occasion_covariate(b->kind), next = b->occasion[row];
  if (index < 0 || b->kind->covariate[index].convention != convention || next == b->current_occasion) return;
  b->current_occasion = next;
  int per_occasion = 0, nperson = 0;
  for (int i = 0; i < b->kind->neffect; i++)
    *(b->kind->effect[i].occasion ? &per_occasion : &nperson) += 1;
  for (int e = nperson + next * per_occasion; e < nperson + (next + 1) * per_occasion; e++) {
    dp_instant *s = add_instant(b, place_row, at, DP_SWITCH);
    s->target = b->kind->effect[b->c->eta_effect[e]].sim_param;
    s->dir_amount = e;
  }
}

/* ---------------------------------------------------------------- doses */

/* The control of a dose's compartment. */
dp_status dpi_event_control(const dp_kind *k, const char *source, const dp_event *e, int *out) {
  if (k->ncontrol == 0)
    return dpi_fail(k->ctx, DP_ERR_INPUT, "%s:%d: found a dose, but the kind '%s' has no controls",
                    source, e->line, k->id);
  for (*out = 0; *out < k->ncontrol; (*out)++)
    if (k->control[*out].compartment == e->compartment) return DP_OK;
  for (*out = 0; *out < k->ncontrol; (*out)++)
    if (k->control[*out].compartment == 0) return DP_OK;
  *out = 0;
  if (e->compartment == 0 && k->ncontrol == 1) return DP_OK;
  return dpi_fail(k->ctx, DP_ERR_INPUT,
                  "%s:%d: column CMT: found %d on a dose, expected %d (control '%s')%s", source,
                  e->line, e->compartment, k->control[0].compartment, k->control[0].id,
                  k->ncontrol > 1 ? " or another control's" : "");
}

/* RATE -1 and -2 need a formula in controls.tsv. */
static dp_status check_model_rate(const builder *b, const dp_event *e,
                                  const dpi_kind_control *control) {
  bool offered = e->rate == DP_RATE_MODEL ? control->model_rate : control->model_duration;
  if (e->rate >= 0 || offered) return DP_OK;
  return dpi_fail(
      b->ctx, DP_ERR_INPUT,
      "%s:%d: column RATE: found %g, but control '%s' has no %s formula in controls.tsv",
      b->record->source, e->line, e->rate, control->id,
      e->rate == DP_RATE_MODEL ? "rate" : "duration");
}

static dp_status add_dose(builder *b, int row) {
  const dp_event *e = event_at(b, row);
  int index;
  DP_TRY(dpi_event_control(b->kind, b->record->source, e, &index));
  const dpi_kind_control *control = &b->kind->control[index];
  DP_TRY(check_model_rate(b, e, control));
  bool constant = e->amount == 0 && e->rate > 0 && e->steady == 1;
  if (!(e->amount > 0) && !constant)
    return dpi_fail(b->ctx, DP_ERR_INPUT, "%s:%d: column AMT: found %g, expected a dose > 0 %s",
                    b->record->source, e->line, e->amount, control->unit);
  if (control->reset_state >= 0) {
    if (e->repeats > 0 || e->steady)
      return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: columns ADDL, SS: doses of '%s' begin with %s set to 0, expected a row for each",
                      b->record->source, e->line, control->id, control->resets);
    add_instant(b, row, AT_DOSE, DP_SET)->target = control->reset_state;
  }
  dp_instant *s = add_instant(b, row, AT_DOSE, e->rate == 0 ? DP_ADD : DP_INFUSE);
  s->target = control->sim_control;
  s->amount = e->amount;
  s->rate = e->rate;
  s->interval = e->interval;
  s->repeats = e->repeats;
  s->steady = e->steady;
  double end = to_units(e->time) + to_units(e->interval) * e->repeats;
  if (end > b->c->last_time) b->c->last_time = end;
  return DP_OK;
}

/* ---------------------------------------------------------------- observations */

/* "expected one of cp (DVID cp), pca (DVID pca)" */
static dp_status no_observable(const dp_kind *k, const char *source, const dp_event *e) {
  dpi_str list;
  dpi_str_init(&list, k->ctx);
  for (int i = 0; i < k->nobservable; i++) {
    const dpi_kind_observable *o = &k->observable[i];
    dpi_str_addf(&list, "%s%s (", i ? ", " : "", o->id);
    if (*o->dvid) dpi_str_addf(&list, "DVID %s%s", o->dvid, o->compartment ? ", " : "");
    if (o->compartment) dpi_str_addf(&list, "CMT %d", o->compartment);
    dpi_str_add(&list, ")");
  }
  dp_status status =
      dpi_fail(k->ctx, DP_ERR_INPUT,
               "%s:%d: found a measurement with DVID '%s' and CMT %d, expected one of %s", source,
               e->line, e->dvid, e->compartment, dpi_str_text(&list));
  dpi_str_release(&list);
  return status;
}

/* Which observable the row measures: by dvid where both sides have one, else by compartment. */
dp_status dpi_event_observable(const dp_kind *k, const char *source, const dp_event *e, int *out) {
  bool by_dvid = false;
  for (int i = 0; i < k->nobservable; i++) by_dvid = by_dvid || *k->observable[i].dvid;
  by_dvid = by_dvid && *e->dvid;
  for (*out = 0; *out < k->nobservable; (*out)++) {
    const dpi_kind_observable *o = &k->observable[*out];
    if (by_dvid ? strcmp(o->dvid, e->dvid) == 0
                : o->compartment == e->compartment && e->compartment)
      return DP_OK;
  }
  for (*out = 0; *out < k->nobservable && by_dvid; (*out)++)
    if (strcmp(k->observable[*out].dvid, "*") == 0) return DP_OK; /* any other text */
  for (*out = 0; *out < k->nobservable && !by_dvid; (*out)++)
    if (k->observable[*out].compartment == 0 && !*k->observable[*out].dvid) return DP_OK;
  *out = 0;
  if (!by_dvid && e->compartment == 0 && k->nobservable == 1) return DP_OK;
  return no_observable(k, source, e);
}

/* Below quantification: said by CENS, or by a value under the row's or the observable's limit. */
static dp_status read_censoring(const builder *b, const dp_event *e, const dpi_kind_observable *o,
                                dpi_case_obs *obs) {
  bool row_limit = e->limit > 0; /* false for NaN */
  obs->limit = row_limit ? e->limit : o->lloq;
  if (e->censored == -1)
    return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED,
                    "%s:%d: column CENS: values above a limit (-1) are not supported",
                    b->record->source, e->line);
  if (e->censored == 1) {
    if (row_limit && e->limit < e->value)
      return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: column CENS: a value between two limits (%g, %g) is not supported",
                      b->record->source, e->line, e->limit, e->value);
    if (e->value > 0 && !row_limit) obs->limit = e->value;
    if (isnan(obs->limit))
      return dpi_fail(b->ctx, DP_ERR_INPUT,
                      "%s:%d: column CENS: found 1 without a limit of quantification in DV or LLOQ",
                      b->record->source, e->line);
    obs->censored = 1;
  } else {
    obs->censored = e->value < obs->limit;
  }
  return DP_OK;
}

static dp_status add_observation(builder *b, int row) {
  const dp_event *e = event_at(b, row);
  dpi_case *c = b->c;
  dpi_case_obs *obs = &c->obs[c->nobs];
  DP_TRY(dpi_event_observable(b->kind, b->record->source, e, &obs->observable));
  const dpi_kind_observable *o = &b->kind->observable[obs->observable];
  obs->value = e->value;
  obs->line = e->line;
  obs->time = to_units(e->time);
  DP_TRY(read_censoring(b, e, o, obs));
  if (o->noise == DPI_NOISE_LOGNORMAL && !obs->censored && !(e->value > 0))
    return dpi_fail(b->ctx, DP_ERR_INPUT,
                    "%s:%d: column DV: found %g, expected > 0: the error of '%s' is lognormal",
                    b->record->source, e->line, e->value, o->id);
  bool shared =
      c->nout > 0 && c->out[c->nout - 1].time == e->time && b->ninstant_at_output == c->ninstant;
  if (!shared) c->out[c->nout++] = (dp_output_time){e->time, row * ORDERS + AT_OUTPUT};
  b->ninstant_at_output = c->ninstant;
  obs->row = c->nout - 1;
  for (int i = c->nobs - 1; i >= 0 && c->obs[i].time == obs->time; i--)
    if (c->obs[i].observable == obs->observable) c->obs[i].replicate = obs->replicate = true;
  c->nobs++;
  return DP_OK;
}

/* ---------------------------------------------------------------- all together */

static dp_status check_time(const builder *b, int row) {
  const dp_event *e = event_at(b, row);
  if (e->time < 0)
    return dpi_fail(b->ctx, DP_ERR_INPUT, "%s:%d: column TIME: found %g, expected a time >= 0",
                    b->record->source, e->line, to_units(e->time));
  if (row > 0 && e->time < event_at(b, row - 1)->time)
    return dpi_fail(b->ctx, DP_ERR_INPUT,
                    "%s:%d: column TIME: found %g, earlier than the row before", b->record->source,
                    e->line, to_units(e->time));
  return DP_OK;
}

static void switch_all(builder *b, int place_row, int at, int row, dpi_convention convention) {
  switch_covariates(b, place_row, at, row, convention);
  switch_occasion(b, place_row, at, row, convention);
}

/* The first row later than this one; where none is, the last. */
static int later_row(const builder *b, int row) {
  int to = row;
  while (to + 1 < b->subject->nevent && event_at(b, to)->time == event_at(b, row)->time) to++;
  return to;
}

static bool is_dose(const dp_event *e) { return e->evid == 1 || e->evid == 4; }

/* A dose that a kind wants told twice, to two controls, must not come alone: half of it would be silently wrong. */
static dp_status check_with(const builder *b, int row) {
  const dp_event *e = event_at(b, row);
  int own, other;
  DP_TRY(dpi_event_control(b->kind, b->record->source, e, &own));
  const int with = b->kind->control[own].with;
  if (with < 0) return DP_OK;
  int from = row, to = row;
  while (from > 0 && event_at(b, from - 1)->time == e->time) from--;
  while (to + 1 < b->subject->nevent && event_at(b, to + 1)->time == e->time) to++;
  for (int k = from; k <= to; k++) {
    const dp_event *o = event_at(b, k);
    if (!is_dose(o)) continue;
    DP_TRY(dpi_event_control(b->kind, b->record->source, o, &other));
    if (other == with && o->amount == e->amount && o->repeats == e->repeats && o->interval == e->interval &&
        o->rate == e->rate)
      return DP_OK;
  }
  return dpi_fail(b->ctx, DP_ERR_INPUT,
                  "%s:%d: found %g %s of '%s' alone, expected the same dose of '%s' (CMT %d) at the same time",
                  b->record->source, e->line, e->amount, b->kind->control[own].unit, b->kind->control[own].id,
                  b->kind->control[with].id, b->kind->control[with].compartment);
}

static dp_status add_row(builder *b, int row) {
  const dp_event *e = event_at(b, row);
  DP_TRY(check_time(b, row));
  if (to_units(e->time) > b->c->last_time) b->c->last_time = to_units(e->time);
  if (e->time == 0) b->c->start = (dp_output_time){0, row * ORDERS + AT_OUTPUT};
  bool dose = is_dose(e);
  switch_all(b, row, AT_BEFORE, row, DPI_LOCF);
  if (dose) switch_all(b, row, AT_BEFORE, later_row(b, row), DPI_NEXT);
  if (e->evid == 3 || e->evid == 4) add_instant(b, row, AT_RESET, DP_RESET);
  if (dose) DP_TRY(check_with(b, row));
  if (dose) DP_TRY(add_dose(b, row));
  if (e->evid == 0 && !e->missing) DP_TRY(add_observation(b, row));
  if (row + 1 >= b->subject->nevent) return DP_OK;
  switch_all(b, row, AT_AFTER, row + 1, DPI_NOCB);
  if (!dose) switch_all(b, row, AT_AFTER, later_row(b, row), DPI_NEXT);
  return DP_OK;
}

/* Everything at its start: nominal typical values, effects 0, the first row's covariates. */
static dp_status start_param(builder *b) {
  const dp_kind *k = b->kind;
  const dp_sim_desc *desc = dp_sim_describe(k->sim);
  b->c->param = DPI_ARENA_ARRAY(&b->c->arena, double, desc->nparam);
  if (!b->c->param) return DP_ERR_MEMORY;
  if (desc->nparam) memcpy(b->c->param, desc->param_default, sizeof(double) * (size_t)desc->nparam);
  for (int i = 0; i < k->nparam; i++) b->c->param[k->param[i].sim_param] = k->param[i].nominal;
  for (int i = 0; i < k->neffect; i++) b->c->param[k->effect[i].sim_param] = 0.0;
  for (int i = 0; i < k->ncovariate && b->subject->nevent > 0; i++) {
    b->current[i] = b->covariate[i];
    if (k->covariate[i].sim_param >= 0) b->c->param[k->covariate[i].sim_param] = b->covariate[i];
  }
  return DP_OK;
}

/* Room for the most that the rows can give. */
static dp_status make_room(builder *b) {
  const dp_kind *k = b->kind;
  dpi_arena *arena = &b->c->arena;
  size_t nevent = (size_t)b->subject->nevent, ncov = (size_t)k->ncovariate;
  b->covariate = DPI_ARENA_ARRAY(arena, double, nevent *ncov);
  b->occasion = DPI_ARENA_ARRAY(arena, int, nevent);
  b->current = DPI_ARENA_ARRAY(arena, double, ncov);
  b->c->instant = DPI_ARENA_ARRAY(arena, dp_instant, nevent * (3 + ncov + (size_t)k->neffect));
  b->c->out = DPI_ARENA_ARRAY(arena, dp_output_time, nevent);
  b->c->obs = DPI_ARENA_ARRAY(arena, dpi_case_obs, nevent);
  bool good = b->covariate && b->occasion && b->current && b->c->instant && b->c->out && b->c->obs;
  if (good && nevent > INT32_MAX / ORDERS)
    return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED, "%s: subject %s has too many rows",
                    b->record->source, b->subject->id);
  return good ? DP_OK : DP_ERR_MEMORY;
}

static dp_status build(builder *b) {
  const dp_kind *k = b->kind;
  b->c->id = dpi_arena_strdup(&b->c->arena, b->subject->id);
  char *name = dpi_arena_printf(&b->c->arena, "%s/%s", k->id, b->subject->id);
  if (!b->c->id || !name) return DP_ERR_MEMORY;
  b->c->stream = dpi_hash64(name);
  DP_TRY(make_room(b));
  for (int i = 0; i < k->ncovariate; i++) DP_TRY(fill_covariate(b, i));
  number_occasions(b);
  DP_TRY(lay_out_directions(b));
  DP_TRY(start_param(b));
  for (int row = 0; row < b->subject->nevent; row++) DP_TRY(add_row(b, row));
  return DP_OK;
}

dp_status dpi_case_create(const dp_kind *kind, const dp_record *record, int subject,
                          dpi_case **out) {
  *out = NULL;
  if (subject < 0 || subject >= record->nsubject)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "%s: subject %d, but it has %d", record->source,
                    subject, record->nsubject);
  dpi_case *c = DPI_NEW(kind->ctx, dpi_case);
  if (!c) return DP_ERR_MEMORY;
  dpi_arena_init(&c->arena, kind->ctx);
  c->kind = kind;
  builder b = {.ctx = kind->ctx,
               .c = c,
               .kind = kind,
               .record = record,
               .subject = &record->subject[subject]};
  dp_status status = build(&b);
  if (status != DP_OK)
    dpi_case_destroy(c);
  else
    *out = c;
  return status;
}

void dpi_case_destroy(dpi_case *c) {
  if (!c) return;
  dp_ctx *ctx = c->kind->ctx;
  dpi_arena_release(&c->arena);
  dpi_free(ctx, c);
}

int dpi_case_seen(const dpi_case *c, double until) {
  int n = 0;
  while (n < c->nobs && c->obs[n].time <= until) n++;
  return n;
}

void dpi_case_apply(const dpi_case *c, const double *typical, const double *eta, double *param,
                    dp_instant *instant) {
  const dp_kind *k = c->kind;
  memcpy(param, c->param, sizeof(double) * (size_t)dp_sim_describe(k->sim)->nparam);
  for (int i = 0; i < k->nparam && typical; i++) param[k->param[i].sim_param] = typical[i];
  for (int a = 0; a < k->neffect; a++)
    for (int e = 0; e < c->neta; e++)
      if (c->seed[k->effect[a].active * c->neta + e] != 0.0) param[k->effect[a].sim_param] = eta[e];
  if (c->ninstant) memcpy(instant, c->instant, sizeof *instant * (size_t)c->ninstant);
  for (int i = 0; i < c->ninstant; i++)
    if (instant[i].type == DP_SWITCH && instant[i].dir_amount >= 0)
      instant[i].amount = eta[instant[i].dir_amount];
}

double dpi_kind_measure(const dpi_kind_observable *o, double f, double sigma, double z) {
  if (o->noise == DPI_NOISE_JOHNSON) return f + sigma * dpi_johnson_error(&o->shape, z);
  return o->noise == DPI_NOISE_LOGNORMAL ? f * dpi_m_exp(sigma * z) : f + sigma * z;
}

double dpi_kind_error(const dpi_kind_observable *o, double y, double f, double sigma, double *ln_slope) {
  double slope, bend, z;
  *ln_slope = -dpi_m_log(sigma);
  if (o->noise == DPI_NOISE_LOGNORMAL) return y > 0 && f > 0 ? (dpi_m_log(y) - dpi_m_log(f)) / sigma : NAN;
  z = (y - f) / sigma;
  if (o->noise == DPI_NOISE_NORMAL) return z;
  z = dpi_johnson_z(&o->shape, z, &slope, &bend);
  *ln_slope += dpi_m_log(slope);
  return z;
}

void dpi_case_undirect(dp_instant *instant, int n) {
  for (int i = 0; i < n; i++) instant[i].dir_amount = instant[i].dir_time = -1;
}
