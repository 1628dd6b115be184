/* plan_check.c - floor 6: may a plan be given? Amounts, tablets, intervals, changes, clinic hours, each refused with
 * its bound.  U */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"

#define SAME(a, b) (fabs((a) - (b)) <= 1e-9 * fmax(1.0, fabs(b)))

/* Where a message points: "plan 'high', row 2 (iv)". */
static const char *place(const dp_kind *kind, const dp_plan *plan, int row, char out[128]) {
  snprintf(out, 128, "plan '%s', row %d (%s)", plan->name, row + 1, kind->control[plan->row[row].control].id);
  return out;
}

static dp_status check_tablets(const dp_kind *kind, const dp_plan *plan, int row) {
  const dp_plan_row *r = &plan->row[row];
  const dpi_kind_control *c = &kind->control[r->control];
  char where[128];
  dpi_dose_list list;
  if (c->nstrength == 0 || r->amount == 0) return DP_OK;
  DP_TRY(dpi_decide_doses(kind, c, &list));
  bool made = dpi_decide_dose_find(&list, r->amount) >= 0;
  dpi_decide_doses_release(&list);
  return made ? DP_OK
              : dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is no sum of at most %d of its tablets",
                         place(kind, plan, row, where), r->amount, c->unit, c->max_units > 0 ? c->max_units : 1);
}

static dp_status check_amount(const dp_kind *kind, const dp_plan *plan, int row) {
  const dp_plan_row *r = &plan->row[row];
  const dpi_kind_control *c = &kind->control[r->control];
  char where[128];
  double slack = 1e-9 * r->amount;
  if (r->amount > c->upper + slack)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is more than the control's upper bound of %g %s",
                    place(kind, plan, row, where), r->amount, c->unit, c->upper, c->unit);
  if (r->amount > 0 && r->amount < c->lower - slack)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is less than the control's lower bound of %g %s",
                    place(kind, plan, row, where), r->amount, c->unit, c->lower, c->unit);
  bool found = c->nvalue == 0;
  for (int i = 0; i < c->nvalue; i++) found |= SAME(r->amount, c->value[i]);
  if (!found)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is none of the %d amounts allowed",
                    place(kind, plan, row, where), r->amount, c->unit, c->nvalue);
  double steps = c->step > 0 ? r->amount / c->step : 0;
  if (c->step > 0 && fabs(steps - floor(steps + 0.5)) > 1e-6)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %g %s is no multiple of %g %s", place(kind, plan, row, where),
                    r->amount, c->unit, c->step, c->unit);
  return check_tablets(kind, plan, row);
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

static dp_status check_hours(const dp_kind *kind, const dp_plan *plan, int row, double now) {
  const dp_plan_row *r = &plan->row[row];
  const dpi_kind_control *c = &kind->control[r->control];
  char where[128];
  double hours;
  if (isnan(c->hours_from) || r->steady || !(r->amount > 0)) return DP_OK;
  if (isnan(kind->clock))
    return dpi_fail(kind->ctx, DP_ERR_INPUT,
                    "%s: the control has clinic hours, but twin.yaml has no clock: (hours at time 0)",
                    place(kind, plan, row, where));
  DP_TRY(dp_unit_convert(kind->ctx, 1.0, kind->time_unit, "h", 0.0, &hours));
  double bad = bad_hour(kind, c, r, now, hours);
  if (isnan(bad)) return DP_OK;
  return dpi_fail(kind->ctx, DP_ERR_INPUT,
                  "%s: a dose would begin at %.2f o'clock, outside the control's hours %g to %g",
                  place(kind, plan, row, where), bad, c->hours_from, c->hours_to);
}

/* From one row of a control to the next in time; within a row nothing changes. */
static dp_status check_changes(const dp_kind *kind, const dp_plan *plan, int row) {
  const dp_plan_row *r = &plan->row[row], *before = NULL;
  const dpi_kind_control *c = &kind->control[r->control];
  char where[128];
  if (isinf(c->rate_limit)) return DP_OK;
  for (int i = 0; i < plan->nrow; i++) {
    const dp_plan_row *q = &plan->row[i];
    if (q->control != r->control || q->time >= r->time) continue;
    if (!before || q->time > before->time) before = q;
  }
  double change = before ? fabs(r->amount - before->amount) : 0;
  if (change <= c->rate_limit * (1 + 1e-9)) return DP_OK;
  return dpi_fail(kind->ctx, DP_ERR_INPUT,
                  "%s: a change of %g %s from the dose before is more than the rate limit of %g %s",
                  place(kind, plan, row, where), change, c->unit, c->rate_limit, c->unit);
}

dp_status dp_plan_check(const dp_kind *kind, const dp_plan *plan, double now) {
  for (int i = 0; i < plan->nrow; i++) {
    if (plan->row[i].control < 0 || plan->row[i].control >= kind->ncontrol)
      return dpi_fail(kind->ctx, DP_ERR_USAGE, "plan '%s', row %d: control %d, but the kind has %d", plan->name, i + 1,
                      plan->row[i].control, kind->ncontrol);
    DP_TRY(check_amount(kind, plan, i));
    DP_TRY(check_interval(kind, plan, i));
    DP_TRY(check_changes(kind, plan, i));
    DP_TRY(check_hours(kind, plan, i, now));
  }
  return DP_OK;
}

bool dpi_plan_allowed(const dp_kind *kind, const dp_plan *plan, double now) {
  bool clean = !*dp_ctx_error(kind->ctx);
  dp_status status = DP_OK;
  for (int i = 0; status == DP_OK && i < plan->nrow; i++) {
    status = check_changes(kind, plan, i);
    if (status == DP_OK) status = check_hours(kind, plan, i, now);
  }
  if (status != DP_OK && clean) dp_ctx_clear_error(kind->ctx);
  return status == DP_OK;
}
