/* plan.c - floor 6: a plan as data: made, copied, told in a line, turned into what the waist is given.  U
 *
 * Its text form is in plan_text.c, what may be given in plan_check.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"

/* Plans act after whatever history has at the same time. */
#define ORDER_FIRST (1 << 30)

dp_status dp_plan_create(dp_ctx *ctx, int nrow, dp_plan **out) {
  *out = NULL;
  dp_plan *p = DPI_NEW(ctx, dp_plan);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = ctx;
  p->nrow = nrow;
  p->row = DPI_NEW_ARRAY(ctx, dp_plan_row, nrow + 1);
  if (!p->row) {
    dpi_free(ctx, p);
    return DP_ERR_MEMORY;
  }
  *out = p;
  return DP_OK;
}

dp_status dp_plan_copy(const dp_plan *from, dp_plan **out) {
  DP_TRY(dp_plan_create(from->ctx, from->nrow, out));
  memcpy((*out)->name, from->name, sizeof from->name);
  if (from->nrow) memcpy((*out)->row, from->row, sizeof *from->row * (size_t)from->nrow);
  return DP_OK;
}

void dp_plan_destroy(dp_plan *plan) {
  if (!plan) return;
  dpi_free(plan->ctx, plan->row);
  dpi_free(plan->ctx, plan);
}

/* ---------------------------------------------------------------- in a line */

/* How many rows from `first` on are one dose at different times. */
static int same_dose(const dp_plan *plan, int first) {
  const dp_plan_row *a = &plan->row[first];
  int n = 1;
  for (; first + n < plan->nrow; n++) {
    const dp_plan_row *b = &plan->row[first + n];
    bool single = a->repeats == 0 && b->repeats == 0 && !a->steady && !b->steady;
    if (!single || a->control != b->control || a->amount != b->amount || a->duration != b->duration) break;
  }
  return n;
}

/* "1500 mg over 2 h every 12 h, 10 times, at 24 h"; n rows of one dose: "at 0, 12, 24 h" */
static void row_text(const dp_kind *kind, const dp_plan *plan, int first, int n, const dpi_dose_list *doses,
                     dpi_str *s) {
  const dp_plan_row *r = &plan->row[first];
  const dpi_kind_control *c = &kind->control[r->control];
  char dose[96], a[32];
  bool several = false;
  for (int i = 0; i < plan->nrow; i++) several |= plan->row[i].control != r->control;
  dpi_decide_dose_text(c, &doses[r->control], r->amount, dose);
  if (several) dpi_str_addf(s, "%s ", c->name);
  dpi_str_add(s, dose);
  if (r->duration > 0) dpi_format_double(r->duration, a), dpi_str_addf(s, " over %s %s", a, kind->time_unit);
  if (r->interval > 0 && (r->repeats > 0 || r->steady))
    dpi_format_double(r->interval, a), dpi_str_addf(s, " every %s %s", a, kind->time_unit);
  if (r->repeats > 0 && !r->steady) dpi_str_addf(s, ", %d times", r->repeats + 1);
  if (n == 1 && !(r->time > 0)) return;
  for (int i = 0; i < n; i++) dpi_format_double(r[i].time, a), dpi_str_addf(s, "%s%s", i ? ", " : " at ", a);
  dpi_str_addf(s, " %s", kind->time_unit);
}

dp_status dpi_plan_text(const dp_kind *kind, const dp_plan *plan, const dpi_dose_list *doses, char *out, size_t size) {
  dpi_str s;
  dpi_str_init(&s, kind->ctx);
  for (int i = 0, n; i < plan->nrow; i += n) {
    if (i) dpi_str_add(&s, "; ");
    n = same_dose(plan, i);
    row_text(kind, plan, i, n, doses, &s);
  }
  if (plan->nrow == 0) dpi_str_add(&s, "nothing");
  bool failed = s.failed;
  size_t n = strlen(dpi_str_text(&s));
  if (size > 0) snprintf(out, size, "%s", dpi_str_text(&s));
  if (size > 4 && n >= size) memcpy(out + size - 4, "...", 4);
  dpi_str_release(&s);
  return failed ? DP_ERR_MEMORY : DP_OK;
}

dp_status dp_plan_describe(const dp_kind *kind, const dp_plan *plan, char *out, size_t size) {
  dpi_dose_list *doses = DPI_NEW_ARRAY(kind->ctx, dpi_dose_list, kind->ncontrol + 1);
  dp_status status = doses ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; status == DP_OK && i < plan->nrow; i++) {
    int c = plan->row[i].control;
    if (doses[c].n == 0 && kind->control[c].nstrength) status = dpi_decide_doses(kind, &kind->control[c], &doses[c]);
  }
  if (status == DP_OK) status = dpi_plan_text(kind, plan, doses, out, size);
  for (int c = 0; doses && c < kind->ncontrol; c++) dpi_decide_doses_release(&doses[c]);
  dpi_free(kind->ctx, doses);
  return status;
}

/* ---------------------------------------------------------------- instants */

dp_instant dpi_plan_instant(const dp_kind *kind, const dp_plan_row *r, dp_time now) {
  const dpi_kind_control *c = &kind->control[r->control];
  dp_instant s = dp_instant_default();
  s.type = DP_ADD;
  s.time = now + (dp_time)llround(r->time * (double)DP_TICKS);
  s.target = c->sim_control;
  s.amount = r->amount;
  s.interval = (dp_time)llround(r->interval * (double)DP_TICKS);
  s.repeats = r->repeats;
  s.steady = r->steady;
  if (r->duration > 0)
    s.rate = r->amount / r->duration;
  else if (c->model_duration)
    s.rate = DP_DURATION_MODEL;
  else if (c->model_rate)
    s.rate = DP_RATE_MODEL;
  if (s.rate != 0) s.type = DP_INFUSE;
  return s;
}

/* The instants of one row, at out[*n]: a dose, after a state that its control sets to 0. */
static dp_status row_instants(const dp_kind *kind, const dp_plan *plan, int row, dp_time start, dp_instant *out, int *n,
                              int *row_of) {
  const dp_plan_row *r = &plan->row[row];
  const dpi_kind_control *c = &kind->control[r->control];
  dp_instant dose = dpi_plan_instant(kind, r, start);
  if (c->reset_state >= 0) {
    if (r->repeats > 0 || r->steady)
      return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                      "plan '%s', row %d: doses of '%s' begin with %s set to 0, expected a row for each", plan->name,
                      row + 1, c->id, c->resets);
    if (row_of) row_of[*n] = -1;
    dp_instant set = dp_instant_default();
    set.time = dose.time;
    set.type = DP_SET;
    set.target = c->reset_state;
    set.order = ORDER_FIRST + *n;
    out[(*n)++] = set;
  }
  if (row_of) row_of[*n] = row;
  dose.order = ORDER_FIRST + *n;
  out[(*n)++] = dose;
  return DP_OK;
}

/* All rows in the order of their times. */
static dp_status all_instants(const dp_kind *kind, const dp_plan *plan, double now, const int *order, dp_instant *out,
                              int *n, int *row_of) {
  dp_time start = (dp_time)llround(now * (double)DP_TICKS);
  bool steady = false;
  for (int i = 0; i < plan->nrow; i++) {
    if (!(plan->row[order[i]].amount > 0)) continue; /* a dose of nothing */
    DP_TRY(row_instants(kind, plan, order[i], start, out, n, row_of));
    dp_instant *s = &out[*n - 1];
    if (s->steady && steady && !kind->proportional)
      return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                      "plan '%s', row %d (%s): a second steady row: steady states add up only where the response is "
                      "proportional to the doses, which that of %s is not",
                      plan->name, order[i] + 1, kind->control[plan->row[order[i]].control].id, kind->id);
    if (s->steady && steady) s->steady = 2; /* on top of the first one's steady state */
    steady |= s->steady != 0;
  }
  return DP_OK;
}

dp_status dpi_plan_instants(const dp_kind *kind, const dp_plan *plan, double now, dp_instant **out, int *n, int *row) {
  dp_ctx *ctx = kind->ctx;
  *n = 0;
  double *when = DPI_NEW_ARRAY(ctx, double, plan->nrow + 1);
  int *order = DPI_NEW_ARRAY(ctx, int, plan->nrow + 1);
  *out = DPI_NEW_ARRAY(ctx, dp_instant, 2 * (size_t)plan->nrow + 1);
  dp_status status = when && order && *out ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; status == DP_OK && i < plan->nrow; i++) when[i] = plan->row[i].time;
  if (status == DP_OK) {
    dpi_argsort(when, plan->nrow, order);
    status = all_instants(kind, plan, now, order, *out, n, row);
  }
  dpi_free(ctx, when);
  dpi_free(ctx, order);
  if (status == DP_OK) return DP_OK;
  dpi_free(ctx, *out);
  *out = NULL;
  *n = 0;
  return status;
}

dp_status dp_plan_instants(const dp_kind *kind, const dp_plan *plan, double now, dp_instant **out, int *n) {
  return dpi_plan_instants(kind, plan, now, out, n, NULL);
}

void dp_plan_instants_free(const dp_plan *plan, dp_instant *instants) { dpi_free(plan->ctx, instants); }

/* ---------------------------------------------------------------- what a plan amounts to */

bool dpi_plan_steady(const dp_plan *plan) { return plan->nrow > 0 && plan->row[0].steady != 0; }

static double end_of(const dp_plan_row *r) { return r->time + r->interval * r->repeats; }

/* When the last dose begins. */
static double last_dose(const dp_plan *plan) {
  double last = 0;
  for (int i = 0; i < plan->nrow; i++) last = fmax(last, end_of(&plan->row[i]));
  return last;
}

/* The row that begins first, the first of those in the file. */
static const dp_plan_row *first_row(const dp_plan *plan) {
  const dp_plan_row *first = &plan->row[0];
  for (int i = 1; i < plan->nrow; i++)
    if (plan->row[i].time < first->time) first = &plan->row[i];
  return first;
}

double dpi_plan_interval(const dp_plan *plan) {
  if (plan->nrow == 0) return 0;
  const dp_plan_row *first = first_row(plan);
  if (first->interval > 0 && (first->repeats > 0 || first->steady)) return first->interval;
  double next = INFINITY;
  for (int i = 0; i < plan->nrow; i++)
    if (plan->row[i].control == first->control && plan->row[i].time > first->time) next = fmin(next, plan->row[i].time);
  return isinf(next) ? 0 : next - first->time;
}

/* After what time a steady state comes round again: the longest interval of its rows, so often that it holds each of
 * the others a whole number of times; where they share no such time, the longest. */
static double period(const dp_plan *plan) {
  enum { MOST = 1000 };
  double longest = 0;
  for (int i = 0; i < plan->nrow; i++)
    if (plan->row[i].steady) longest = fmax(longest, plan->row[i].interval);
  for (int m = 1; m <= MOST; m++) {
    bool whole = true;
    for (int i = 0; whole && i < plan->nrow; i++) {
      double n = plan->row[i].steady ? m * longest / plan->row[i].interval : 1;
      whole = fabs(n - floor(n + 0.5)) <= 1e-9 * n;
    }
    if (whole) return m * longest;
  }
  return longest;
}

/* From the last dose but one to the last of a control, and when that last one is; 0: it has none, or one alone. */
static double last_gap(const dp_plan *plan, int control, double *last) {
  double before = -INFINITY;
  *last = -INFINITY;
  for (int i = 0; i < plan->nrow; i++)
    if (plan->row[i].control == control) *last = fmax(*last, end_of(&plan->row[i]));
  for (int i = 0; i < plan->nrow; i++) {
    const dp_plan_row *r = &plan->row[i];
    if (r->control != control) continue;
    if (end_of(r) < *last - 1e-9 * fmax(1.0, *last)) /* 0.1 + 0.2 is 0.3 */
      before = fmax(before, end_of(r));
    else if (r->repeats > 0)
      before = fmax(before, end_of(r) - r->interval);
  }
  return isinf(before) ? 0 : *last - before;
}

/* The spacing that a course ends with: that of the control which is given last, of several the longest; where it is
 * given once, the longest of the others. 0: everything is given once. */
static double spacing(const dp_kind *kind, const dp_plan *plan) {
  double end = last_dose(plan), out = 0, other = 0;
  for (int c = 0; c < kind->ncontrol; c++) {
    double last, gap = last_gap(plan, c, &last);
    if (last >= end) out = fmax(out, gap);
    other = fmax(other, gap);
  }
  return out > 0 ? out : other;
}

double dpi_plan_window(const dp_kind *kind, const dp_plan *plan) {
  if (kind->reward.window > 0) return kind->reward.window;
  if (dpi_plan_steady(plan)) return period(plan);
  double gap = spacing(kind, plan);
  return gap > 0 ? last_dose(plan) + gap : fmax(last_dose(plan) + kind->horizon, kind->horizon);
}

/* Does a term over the plan itself count this control? control -1: those that are planned. */
static bool counted(const dp_kind *kind, int control, int of) {
  bool planned = false;
  for (int i = 0; i < kind->reward.nplanned; i++) planned |= kind->reward.planned[i] == of;
  return control >= 0 ? of == control : planned;
}

/* Doses of a row that begin within the window. */
static double doses_within(const dp_plan_row *r, double window) {
  if (!(r->amount > 0) || r->time >= window) return 0;
  double most = r->interval > 0 ? ceil((window - r->time) / r->interval - 1e-9) : 1;
  return fmin(most, r->repeats + 1.0);
}

double dpi_plan_figure(const dp_kind *kind, const dp_plan *plan, dpi_term_of of, int control) {
  double window = dpi_plan_window(kind, plan), amount = 0, count = 0, intensity = 0, once = 0;
  if (of == DPI_OF_INTERVAL) return dpi_plan_interval(plan);
  for (int i = 0; i < plan->nrow; i++) {
    const dp_plan_row *r = &plan->row[i];
    if (!counted(kind, control, r->control)) continue;
    double n = doses_within(r, window);
    count += n;
    amount += n * r->amount;
    if (r->steady && r->interval > 0)
      intensity += r->amount / r->interval;
    else
      once += n * r->amount;
  }
  if (of == DPI_OF_AMOUNT) return amount;
  if (of == DPI_OF_COUNT) return count;
  return dpi_plan_steady(plan) ? intensity + once / window : amount / window;
}
