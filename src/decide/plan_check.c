/* plan_check.c - floor 6: may a plan be given? Amounts, tablets, intervals, infusions, changes, clinic hours, each
 * refused with its bound.  U
 *
 * Rows are looked at one by one, and then as what a person gets: rows of one control whose doses begin at the same time
 * are one dose, which has the control's bounds; a change is from one dose to the next, whichever rows they come from,
 * and for the first dose of a plan from the last one that was given before it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "decide/decide.h"

#define SAME(a, b) (fabs((a) - (b)) <= 1e-9 * fmax(1.0, fabs(b)))

/* Where a message points: "plan 'high', row 2 (iv)". */
static const char *place(const dp_kind *kind, const dp_plan *plan, int row, char out[128]) {
  snprintf(out, 128, "plan '%s', row %d (%s)", plan->name, row + 1, kind->control[plan->row[row].control].id);
  return out;
}

static dp_status check_tablets(const dp_kind *kind, const dpi_kind_control *c, double amount, const char *where) {
  dpi_dose_list list;
  if (c->nstrength == 0 || amount == 0) return DP_OK;
  DP_TRY(dpi_decide_doses(kind, c, &list));
  bool made = dpi_decide_dose_find(&list, amount) >= 0;
  dpi_decide_doses_release(&list);
  return made ? DP_OK
              : dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is no sum of at most %d of its tablets", where, amount,
                         c->unit, c->max_units > 0 ? c->max_units : 1);
}

/* One dose against its control. */
static dp_status check_amount(const dp_kind *kind, const dpi_kind_control *c, double amount, const char *where) {
  double slack = 1e-9 * amount;
  if (amount > c->upper + slack)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is more than the control's upper bound of %g %s", where, amount,
                    c->unit, c->upper, c->unit);
  if (amount > 0 && amount < c->lower - slack)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is less than the control's lower bound of %g %s", where, amount,
                    c->unit, c->lower, c->unit);
  bool found = c->nvalue == 0;
  for (int i = 0; i < c->nvalue; i++) found |= SAME(amount, c->value[i]);
  if (!found)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is none of the %d amounts allowed", where, amount, c->unit,
                    c->nvalue);
  double steps = c->step > 0 ? amount / c->step : 0;
  if (c->step > 0 && fabs(steps - floor(steps + 0.5)) > 1e-6)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is no multiple of %g %s", where, amount, c->unit, c->step,
                    c->unit);
  return check_tablets(kind, c, amount, where);
}

/* An infusion that has not ended when its next repeat begins: rates would add up without a word of it. */
static dp_status check_duration(const dp_kind *kind, const dp_plan *plan, int row) {
  const dp_plan_row *r = &plan->row[row];
  char where[128];
  if ((r->repeats == 0 && !r->steady) || !(r->interval > 0) || !(r->amount > 0)) return DP_OK;
  if (r->duration <= r->interval * (1 + 1e-9)) return DP_OK;
  return dpi_fail(
      kind->ctx, DP_ERR_INPUT,
      "%s: an infusion over %g %s has not ended when the next begins after %g %s; give a row for each where "
      "they are meant to overlap",
      place(kind, plan, row, where), r->duration, kind->time_unit, r->interval, kind->time_unit);
}

static dp_status check_interval(const dp_kind *kind, const dp_plan *plan, int row) {
  const dp_plan_row *r = &plan->row[row];
  const dpi_kind_control *c = &kind->control[r->control];
  char where[128];
  if (!(r->interval > 0) || (r->repeats == 0 && !r->steady) || c->ninterval == 0) return DP_OK;
  for (int i = 0; i < c->ninterval; i++)
    if (SAME(r->interval, c->interval[i])) return DP_OK;
  return dpi_fail(kind->ctx, DP_ERR_INPUT,
                  "%s: an interval of %g %s is none of the control's %d intervals (%g to %g %s)",
                  place(kind, plan, row, where), r->interval, kind->time_unit, c->ninterval, c->interval[0],
                  c->interval[c->ninterval - 1], kind->time_unit);
}

/* Hours from clock hour x until the control's hours end; 0: x is outside. */
static double hours_left(const dpi_kind_control *c, double x) {
  const double slack = 1e-9;
  double from = c->hours_from, to = c->hours_to;
  bool over = from > to; /* over midnight */
  if (over ? x < from - slack && x > to + slack : x < from - slack || x > to + slack) return 0;
  double left = over && x >= from - slack ? 24 - x + to : to - x;
  return fmax(left, 0) + slack;
}

/* The first clock hour, of this dose or one of its repeats, at which none may begin; NaN: all are fine. Repeats that
 * stay within the
 * hours are passed over together. */
static double bad_hour(const dp_kind *kind, const dpi_kind_control *c, const dp_plan_row *r, double now, double hours) {
  double interval = r->interval * hours;
  int n = r->repeats;
  if (interval > 0 && fabs(fmod(interval + 1e-9, 24)) < 2e-9) n = 0; /* days: always the same hour */
  for (int k = 0; k <= n;) {
    double x = fmod((now + r->time + k * r->interval) * hours + kind->clock, 24);
    if (x < 0) x += 24;
    if (x > 24 - 1e-9) x = 0;
    double left = hours_left(c, x), skip = interval > 0 ? floor(left / interval) : n;
    if (left == 0) return x;
    if (skip >= n - k) break;
    k += skip > 1 ? (int)skip : 1;
  }
  return NAN;
}

/* Can a dose every `interval` hours for ever stay within the control's hours, whatever hour it begins at? The clock
 * hours that it meets are g apart, g what interval and day have in common, so all but one such gap must be within. */
static bool hours_ever(const dpi_kind_control *c, double interval) {
  double a = 24, b = fmod(interval, 24), length = c->hours_to - c->hours_from;
  if (length <= 0) length += 24; /* over midnight */
  while (b > 1e-6) {
    double rest = fmod(a, b);
    a = b;
    b = b - rest < 1e-6 ? 0 : rest;
  }
  return length >= 24 - a - 1e-9;
}

static dp_status check_hours(const dp_kind *kind, const dp_plan *plan, int row, double now) {
  const dp_plan_row *r = &plan->row[row];
  const dpi_kind_control *c = &kind->control[r->control];
  char where[128];
  double hours;
  if (isnan(c->hours_from) || !(r->amount > 0)) return DP_OK;
  if (isnan(kind->clock) && !r->steady)
    return dpi_fail(kind->ctx, DP_ERR_INPUT,
                    "%s: the control has clinic hours, but twin.yaml has no clock: (hours at time 0)",
                    place(kind, plan, row, where));
  DP_TRY(dp_unit_convert(kind->ctx, 1.0, kind->time_unit, "h", 0.0, &hours));
  if (r->steady) { /* it has no beginning, so it begins at the best hour there is */
    if (hours_ever(c, r->interval * hours)) return DP_OK;
    return dpi_fail(kind->ctx, DP_ERR_INPUT,
                    "%s: a dose every %g %s, for ever, can't stay within the control's hours %g to %g",
                    place(kind, plan, row, where), r->interval, kind->time_unit, c->hours_from, c->hours_to);
  }
  double bad = bad_hour(kind, c, r, now, hours);
  if (isnan(bad)) return DP_OK;
  return dpi_fail(kind->ctx, DP_ERR_INPUT,
                  "%s: a dose would begin at %.2f o'clock, outside the control's hours %g to %g",
                  place(kind, plan, row, where), bad, c->hours_from, c->hours_to);
}

/* ---------------------------------------------------------------- what a person gets */

enum { MAX_DOSES = 1000000 };

typedef struct got { /* of one control at one time */
  double time, amount;
  int row, nrow; /* the row that begins first there, and how many do */
} got;

static int by_time(const void *a, const void *b) {
  const got *x = a, *y = b;
  return x->time != y->time ? (x->time > y->time) - (x->time < y->time) : x->row - y->row;
}

/* Doses of a control in the order of time, those at one time as one; *out is freed by the caller. A row alone is one
 * entry: nothing changes within it. */
static dp_status list_doses(const dp_kind *kind, const dp_plan *plan, int control, got **out, int *n) {
  double total = 0;
  int rows = 0, all = 0;
  *out = NULL;
  *n = 0;
  for (int i = 0; i < plan->nrow; i++)
    if (plan->row[i].control == control) rows++, total += plan->row[i].repeats + 1.0;
  if (rows > 1 && total > MAX_DOSES)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                    "plan '%s': %.0f doses of control '%s' in several rows, at most %d can be held against its bounds",
                    plan->name, total, kind->control[control].id, MAX_DOSES);
  got *g = DPI_NEW_ARRAY(kind->ctx, got, rows > 1 ? (int)total : 1);
  if (!g) return DP_ERR_MEMORY;
  for (int i = 0; i < plan->nrow; i++) {
    const dp_plan_row *r = &plan->row[i];
    if (r->control != control) continue;
    for (int k = 0; k <= (rows > 1 ? r->repeats : 0); k++)
      g[all++] = (got){.time = r->time + k * r->interval, .amount = r->amount, .row = i, .nrow = 1};
  }
  qsort(g, (size_t)all, sizeof *g, by_time);
  for (int i = 0; i < all; i++) {
    got *last = *n ? &g[*n - 1] : NULL;
    if (last && g[i].time - last->time <= 1e-9 * fmax(1.0, g[i].time)) {
      last->amount += g[i].amount;
      last->nrow++;
    } else {
      g[(*n)++] = g[i];
    }
  }
  *out = g;
  return DP_OK;
}

/* What was given of a control last before the plan: its amount, NaN where none was. */
static double last_given(const dp_kind *kind, const dp_plan_patient *patient, int control, double *when) {
  const dp_time now = (dp_time)llround(patient->now * (double)DP_TICKS);
  dp_time last = INT64_MIN;
  double amount = NAN;
  for (int i = 0; i < patient->nhistory; i++) {
    const dp_instant *s = &patient->history[i];
    if ((s->type != DP_ADD && s->type != DP_INFUSE) || s->target != kind->control[control].sim_control) continue;
    if (s->time > now || !(s->amount > 0)) continue;
    int64_t k = s->interval > 0 && s->repeats > 0 ? (now - s->time) / s->interval : 0;
    const dp_time at = s->time + (k < s->repeats ? k : s->repeats) * s->interval;
    if (at < last) continue;
    amount = at == last ? amount + s->amount : s->amount;
    last = at;
  }
  *when = (double)last / (double)DP_TICKS;
  return amount;
}

/* Every dose against the one before. Nothing given is no dose, in a plan as in a record. */
static dp_status check_changes(const dp_kind *kind, const dp_plan *plan, int control, const dp_plan_patient *patient,
                               const got *dose, int n) {
  const dpi_kind_control *c = &kind->control[control];
  char where[128];
  double when = NAN, before = patient ? last_given(kind, patient, control, &when) : NAN;
  bool given = false;
  for (int i = 0; i < n; i++) {
    if (!(dose[i].amount > 0)) continue;
    const double change = fabs(dose[i].amount - before);
    if (change > c->rate_limit * (1 + 1e-9)) {
      place(kind, plan, dose[i].row, where);
      if (given)
        return dpi_fail(kind->ctx, DP_ERR_INPUT,
                        "%s: a change of %g %s from the dose before is more than the rate limit of %g %s", where,
                        change, c->unit, c->rate_limit, c->unit);
      return dpi_fail(kind->ctx, DP_ERR_INPUT,
                      "%s: a change of %g %s from the last dose given (%g %s at %g %s) is more than the rate limit of "
                      "%g %s",
                      where, change, c->unit, before, c->unit, when, kind->time_unit, c->rate_limit, c->unit);
    }
    before = dose[i].amount;
    given = true;
  }
  return DP_OK;
}

/* Doses of rows together: the control's bounds. */
static dp_status check_sums(const dp_kind *kind, const dp_plan *plan, int control, const got *dose, int n) {
  enum { SEEN = 8 };
  char where[128], both[192];
  double seen[SEEN];
  int nseen = 0;
  for (int i = 0; i < n; i++) {
    bool known = dose[i].nrow < 2; /* repeats meet again and again: the same sums are not checked each time */
    for (int k = 0; !known && k < SEEN && k < nseen; k++) known = seen[k] == dose[i].amount;
    if (known) continue;
    seen[nseen++ % SEEN] = dose[i].amount;
    snprintf(both, sizeof both, "%s, with %d more at the same time", place(kind, plan, dose[i].row, where),
             dose[i].nrow - 1);
    DP_TRY(check_amount(kind, &kind->control[control], dose[i].amount, both));
  }
  return DP_OK;
}

static dp_status check_control(const dp_kind *kind, const dp_plan *plan, int control, const dp_plan_patient *patient,
                               bool sums) {
  got *dose;
  int n;
  if (isinf(kind->control[control].rate_limit) && !sums) return DP_OK;
  DP_TRY(list_doses(kind, plan, control, &dose, &n));
  dp_status status = check_changes(kind, plan, control, patient, dose, n);
  if (status == DP_OK && sums) status = check_sums(kind, plan, control, dose, n);
  dpi_free(kind->ctx, dose);
  return status;
}

/* ---------------------------------------------------------------- all together */

static dp_status check_rows(const dp_kind *kind, const dp_plan *plan, double now) {
  char where[128];
  for (int i = 0; i < plan->nrow; i++) {
    const dp_plan_row *r = &plan->row[i];
    if (r->control < 0 || r->control >= kind->ncontrol)
      return dpi_fail(kind->ctx, DP_ERR_USAGE, "plan '%s', row %d: control %d, but the kind has %d", plan->name, i + 1,
                      r->control, kind->ncontrol);
    DP_TRY(check_amount(kind, &kind->control[r->control], r->amount, place(kind, plan, i, where)));
    DP_TRY(check_interval(kind, plan, i));
    DP_TRY(check_duration(kind, plan, i));
    DP_TRY(check_hours(kind, plan, i, now));
  }
  return DP_OK;
}

static dp_status check_plan(const dp_kind *kind, const dp_plan *plan, double now, const dp_plan_patient *patient) {
  DP_TRY(check_rows(kind, plan, now));
  for (int c = 0; c < kind->ncontrol; c++) DP_TRY(check_control(kind, plan, c, patient, true));
  return DP_OK;
}

dp_status dp_plan_check(const dp_kind *kind, const dp_plan *plan, double now) {
  return check_plan(kind, plan, now, NULL);
}

dp_status dp_plan_check_for(const dp_kind *kind, const dp_plan *plan, const dp_plan_patient *patient) {
  return check_plan(kind, plan, patient->now, patient);
}

dp_status dpi_plan_allowed(const dp_kind *kind, const dp_plan *plan, const dp_plan_patient *patient, bool *may) {
  bool clean = !*dp_ctx_error(kind->ctx);
  dp_status status = DP_OK;
  for (int i = 0; status == DP_OK && i < plan->nrow; i++) status = check_hours(kind, plan, i, patient->now);
  for (int c = 0; status == DP_OK && c < kind->ncontrol; c++) status = check_control(kind, plan, c, patient, false);
  *may = status == DP_OK;
  if (status == DP_ERR_MEMORY) return status;
  if (status != DP_OK && clean) dp_ctx_clear_error(kind->ctx);
  return DP_OK;
}
