/* plan_space.c - floor 6: which plans there are. What reward.yaml and controls.tsv allow becomes a list of variables,
 * each with
 * levels or a range; a point of it is a plan.
 *
 *     regimen   interval, then one amount a control
 *     course    spacing (where it is a choice), then one amount a control and decision time, or one for all times
 *
 * Searches move in [0, 1]^nvar and know nothing of plans. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"

static dp_status copy_levels(const dp_kind *kind, const double *from, int n, bool zero, dpi_variable *v) {
  double *level = DPI_NEW_ARRAY(kind->ctx, double, n + 1);
  if (!level) return DP_ERR_MEMORY;
  v->level = level;
  v->n = n + zero;
  for (int i = 0; i < n; i++) level[i + zero] = from[i];
  return DP_OK;
}

/* Multiples of the control's step, where they can be listed. */
static dp_status step_levels(const dp_kind *kind, const dpi_kind_control *c, dpi_variable *v) {
  double first = ceil(c->lower / c->step - 1e-9), last = floor(c->upper / c->step + 1e-9), n = last - first + 1;
  if (n < 1)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s': no multiple of %g lies between %g and %g %s",
                    kind->dir, c->id, c->step, c->lower, c->upper, c->unit);
  if (n > DPI_MAX_LISTED) return DP_OK;
  double *level = DPI_NEW_ARRAY(kind->ctx, double, (int)n);
  if (!level) return DP_ERR_MEMORY;
  for (int i = 0; i < (int)n; i++) level[i] = (first + i) * c->step;
  v->level = level;
  v->n = (int)n;
  return DP_OK;
}

/* The doses of a control with tablets; 0 among them where giving nothing is a choice. */
static dp_status tablet_levels(const dp_kind *kind, dpi_dose_list *list, bool zero, dpi_variable *v) {
  if (list->n == 0) DP_TRY(dpi_decide_doses(kind, list->control, list));
  double *amount = DPI_NEW_ARRAY(kind->ctx, double, list->n + 1);
  if (!amount) return DP_ERR_MEMORY;
  for (int i = 0; i < list->n; i++) amount[i] = list->dose[i].amount;
  dp_status status = copy_levels(kind, amount, list->n, zero, v);
  dpi_free(kind->ctx, amount);
  return status;
}

static dp_status amount_variable(dpi_space *s, int control, int slot) {
  const dp_kind *kind = s->kind;
  const dpi_kind_control *c = &kind->control[control];
  const dpi_kind_reward *r = &kind->reward;
  dpi_variable *v = &s->var[s->nvar++];
  *v = (dpi_variable){.control = control, .slot = slot, .lower = c->lower, .upper = c->upper, .step = c->step};
  if (c->nvalue) return copy_levels(kind, c->value, c->nvalue, false, v);
  s->doses[control].kind = kind;
  s->doses[control].control = c;
  bool zero = c->lower <= 0 && (r->form == DPI_FORM_COURSE || r->nplanned > 1);
  if (c->nstrength) return tablet_levels(kind, &s->doses[control], zero, v);
  if (isinf(c->upper))
    return dpi_fail(
        kind->ctx, DP_ERR_UNSUPPORTED,
        "%s: control '%s' has no strengths, no values and no upper bound: there is nothing to search between",
        kind->dir, c->id);
  return c->step > 0 ? step_levels(kind, c, v) : DP_OK;
}

/* Do all planned controls allow this interval? */
static bool allowed_interval(const dp_kind *kind, double interval) {
  for (int k = 0; k < kind->reward.nplanned; k++) {
    const dpi_kind_control *c = &kind->control[kind->reward.planned[k]];
    bool found = c->ninterval == 0;
    for (int i = 0; i < c->ninterval; i++) found |= fabs(c->interval[i] - interval) <= 1e-9 * interval;
    if (!found) return false;
  }
  return true;
}

/* Those of the list; in a regimen, those that every planned control allows. */
static dp_status interval_variable(dpi_space *s, const double *list, int n) {
  dpi_variable *v = &s->var[s->nvar++];
  *v = (dpi_variable){.interval = true, .control = s->kind->reward.control, .slot = -1};
  DP_TRY(copy_levels(s->kind, list, n, false, v));
  if (s->kind->reward.form == DPI_FORM_COURSE) return DP_OK;
  double *level = (double *)v->level;
  v->n = 0;
  for (int i = 0; i < n; i++)
    if (allowed_interval(s->kind, list[i])) level[v->n++] = list[i];
  if (v->n) return DP_OK;
  return dpi_fail(s->kind->ctx, DP_ERR_UNSUPPORTED, "%s: no interval is allowed by every planned control",
                  s->kind->dir);
}

/* A window shorter than an interval would not see its end: troughs would look high, areas too. */
static dp_status check_window(const dp_kind *kind, const double *interval, int n) {
  double window = kind->reward.window;
  if (window <= 0 || n == 0 || interval[n - 1] <= window * (1 + 1e-9)) return DP_OK;
  return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                  "%s: reward.yaml: the window of %g %s is shorter than the interval of %g %s, whose end it would not "
                  "see; take a longer "
                  "window or shorter intervals",
                  kind->dir, window, kind->time_unit, interval[n - 1], kind->time_unit);
}

/* Decision times of a course, the spacing aside. */
static int slots(const dpi_kind_reward *r) { return r->nspacing ? r->count : r->ntime; }

static dp_status add_variables(dpi_space *s) {
  const dp_kind *kind = s->kind;
  const dpi_kind_reward *r = &kind->reward;
  const dpi_kind_control *first = &kind->control[r->control];
  bool course = r->form == DPI_FORM_COURSE;
  if (!course && r->nspacing == 0 && first->ninterval == 0)
    return dpi_fail(
        kind->ctx, DP_ERR_UNSUPPORTED,
        "%s: control '%s' has no intervals: a regimen needs some, in controls.tsv or under plan in reward.yaml",
        kind->dir, first->id);
  if (!course)
    DP_TRY(
        check_window(kind, r->nspacing ? r->spacing : first->interval, r->nspacing ? r->nspacing : first->ninterval));
  if (r->nspacing)
    DP_TRY(interval_variable(s, r->spacing, r->nspacing));
  else if (!course)
    DP_TRY(interval_variable(s, first->interval, first->ninterval));
  for (int c = 0; c < r->nplanned; c++)
    for (int k = 0; k < (course && !r->same ? slots(r) : 1); k++)
      DP_TRY(amount_variable(s, r->planned[c], course && !r->same ? k : -1));
  return DP_OK;
}

dp_status dpi_space_open(const dp_kind *kind, dpi_space *s) {
  const dpi_kind_reward *r = &kind->reward;
  *s = (dpi_space){.kind = kind};
  int most = 1 + r->nplanned * (r->form == DPI_FORM_COURSE && !r->same ? slots(r) : 1);
  s->var = DPI_NEW_ARRAY(kind->ctx, dpi_variable, most);
  s->doses = DPI_NEW_ARRAY(kind->ctx, dpi_dose_list, kind->ncontrol + 1);
  dp_status status = s->var && s->doses ? add_variables(s) : DP_ERR_MEMORY;
  if (status != DP_OK) {
    dpi_space_close(s);
    return status;
  }
  s->npoint = 1;
  for (int i = 0; i < s->nvar; i++) s->npoint *= s->var[i].n ? s->var[i].n : INFINITY;
  return DP_OK;
}

void dpi_space_close(dpi_space *s) {
  dp_ctx *ctx = s->kind->ctx;
  for (int i = 0; s->var && i < s->nvar; i++) dpi_free(ctx, (void *)s->var[i].level);
  for (int c = 0; s->doses && c < s->kind->ncontrol; c++) dpi_decide_doses_release(&s->doses[c]);
  dpi_free(ctx, s->var);
  dpi_free(ctx, s->doses);
  *s = (dpi_space){.kind = s->kind};
}

void dpi_space_decode(const dpi_space *s, const double *u, double *x) {
  for (int i = 0; i < s->nvar; i++) {
    const dpi_variable *v = &s->var[i];
    if (v->n) {
      int k = (int)floor(u[i] * v->n);
      x[i] = v->level[k < 0 ? 0 : k >= v->n ? v->n - 1 : k];
      continue;
    }
    x[i] = v->lower + u[i] * (v->upper - v->lower);
    if (v->step > 0) x[i] = fmin(fmax(floor(x[i] / v->step + 0.5) * v->step, v->lower), v->upper);
  }
}

void dpi_space_point(const dpi_space *s, int64_t i, double *x) {
  for (int k = s->nvar - 1; k >= 0; k--) {
    x[k] = s->var[k].level[i % s->var[k].n];
    i /= s->var[k].n;
  }
}

/* Rows of a regimen: every control at steady state of the same interval, for as long as any term looks. */
static void regimen_rows(const dpi_space *s, const double *x, dp_plan *plan) {
  const dpi_kind_reward *r = &s->kind->reward;
  double interval = x[0], window = r->window > 0 ? r->window : interval;
  for (int t = 0; t < r->nterm; t++)
    if (r->term[t].windowed) window = fmax(window, r->term[t].to);
  int repeats = (int)(ceil(window / interval - 1e-9)) - 1;
  for (int i = 1; i < s->nvar; i++)
    plan->row[i - 1] = (dp_plan_row){.control = s->var[i].control,
                                     .amount = x[i],
                                     .interval = interval,
                                     .repeats = repeats > 0 ? repeats : 0,
                                     .steady = 1};
}

/* Rows of a course, by time and then by control. */
static void course_rows(const dpi_space *s, const double *x, dp_plan *plan) {
  const dpi_kind_reward *r = &s->kind->reward;
  int n = slots(r), row = 0;
  for (int k = 0; k < n; k++)
    for (int c = 0; c < r->nplanned; c++, row++) {
      double time = r->nspacing ? r->first + k * x[0] : r->time[k];
      plan->row[row] = (dp_plan_row){.control = r->planned[c], .time = time, .amount = x[dpi_space_variable(s, row)]};
    }
}

int dpi_space_variable(const dpi_space *s, int row) {
  const dpi_kind_reward *r = &s->kind->reward;
  if (r->form == DPI_FORM_REGIMEN) return row + 1;
  int k = row / r->nplanned, c = row % r->nplanned;
  return (r->nspacing ? 1 : 0) + (r->same ? c : c * slots(r) + k);
}

dp_status dpi_space_plan(const dpi_space *s, const double *x, dp_plan **out) {
  const dpi_kind_reward *r = &s->kind->reward;
  bool course = r->form == DPI_FORM_COURSE;
  DP_TRY(dp_plan_create(s->kind->ctx, course ? r->nplanned * slots(r) : s->nvar - 1, out));
  if (course)
    course_rows(s, x, *out);
  else
    regimen_rows(s, x, *out);
  return DP_OK;
}

dp_status dpi_space_describe(const dpi_space *s, const dp_plan *plan, dp_candidate *c) {
  const dp_plan_row *r = &plan->row[0];
  const dpi_dose_list *list = &s->doses[r->control];
  int found = dpi_decide_dose_find(list, r->amount);
  c->dose = r->amount;
  c->interval = dpi_plan_interval(plan);
  c->units = found >= 0 ? list->dose[found].units : 0;
  dpi_decide_dose_text(&s->kind->control[r->control], list, r->amount, c->tablets);
  return dpi_plan_text(s->kind, plan, s->doses, c->text, sizeof c->text);
}
