/* candidates.c - doses that can be given: every sum of existing tablets. A list that cannot be made in full is refused,
 * never cut
 * short. */
#include <math.h>
#include <stdio.h>

#include "decide/decide.h"

enum { MAX_STRENGTH = DPI_MAX_STRENGTH, MAX_COMBINATION = 1000000 };

/* Text such as "2 x 300 mg + 100 mg", the largest tablet first. */
static dp_status tablets_text(const dpi_dose_list *list, const int *count, char *out, size_t size) {
  const dpi_kind_control *c = list->control;
  size_t at = 0;
  out[0] = 0;
  for (int s = c->nstrength - 1; s >= 0; s--) {
    if (count[s] == 0) continue;
    char number[32], times[16] = "";
    dpi_format_double(c->strength[s], number);
    if (count[s] > 1) snprintf(times, sizeof times, "%d x ", count[s]);
    int wrote = snprintf(out + at, size - at, "%s%s%s %s", at ? " + " : "", times, number, c->unit);
    if (wrote < 0 || (size_t)wrote >= size - at)
      return dpi_fail(
          list->kind->ctx, DP_ERR_UNSUPPORTED,
          "%s: control '%s': a dose of so many different tablets that it takes more than %d letters to say: "
          "'%s ...'",
          list->kind->dir, c->id, (int)size - 1, out);
    at += (size_t)wrote;
  }
  return DP_OK;
}

/* Keep for each amount the combination with the fewest tablets. */
static dp_status offer(dpi_dose_list *list, const int *count) {
  const dpi_kind_control *c = list->control;
  dpi_dose d = {0};
  for (int s = 0; s < c->nstrength; s++) {
    d.amount += c->strength[s] * count[s];
    d.units += count[s];
    d.count[s] = count[s];
  }
  double slack = 1e-9 * d.amount; /* 0.1 + 0.2 is 0.3 */
  if (d.units == 0 || d.amount < c->lower - slack || d.amount > c->upper + slack) return DP_OK;
  int k = 0;
  while (k < list->n && fabs(list->dose[k].amount - d.amount) > slack) k++;
  if (k < list->n) {
    if (d.units < list->dose[k].units) list->dose[k] = d;
    return DP_OK;
  }
  if ((size_t)list->n * (size_t)(c->ninterval ? c->ninterval : 1) >= DPI_MAX_LISTED)
    return dpi_fail(list->kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s' gives more than %d regimens",
                    list->kind->dir, c->id, DPI_MAX_LISTED);
  DP_TRY(dpi_grow(list->kind->ctx, (void **)&list->dose, &list->cap, list->n + 1, sizeof *list->dose));
  list->dose[list->n++] = d;
  return DP_OK;
}

/* Every multiset of at most `left` tablets from strength s on. */
static dp_status combine(dpi_dose_list *list, int s, int left, int *count) {
  if (s == list->control->nstrength) return offer(list, count);
  for (int k = 0; k <= left; k++) {
    count[s] = k;
    DP_TRY(combine(list, s + 1, left - k, count));
  }
  count[s] = 0;
  return DP_OK;
}

static dp_status check(const dp_kind *kind, const dpi_kind_control *c) {
  if (c->nstrength > MAX_STRENGTH)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s' has %d strengths, at most %d", kind->dir, c->id,
                    c->nstrength, MAX_STRENGTH);
  double combinations = 1; /* (units + strengths) over strengths */
  for (int s = 1; s <= c->nstrength; s++) combinations *= (double)(c->max_units + s) / s;
  if (combinations > MAX_COMBINATION)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                    "%s: control '%s': %d tablets of %d strengths make %.3g doses, at most %d", kind->dir, c->id,
                    c->max_units, c->nstrength, combinations, MAX_COMBINATION);
  return DP_OK;
}

/* Ascending amounts, each with its text. */
static dp_status put_in_order(dpi_dose_list *list) {
  dp_ctx *ctx = list->kind->ctx;
  double *amount = DPI_NEW_ARRAY(ctx, double, list->n + 1);
  int *order = DPI_NEW_ARRAY(ctx, int, list->n + 1);
  dpi_dose *sorted = DPI_NEW_ARRAY(ctx, dpi_dose, list->n + 1);
  dp_status status = amount && order && sorted ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    for (int d = 0; d < list->n; d++) amount[d] = list->dose[d].amount;
    dpi_argsort(amount, list->n, order);
  }
  for (int d = 0; status == DP_OK && d < list->n; d++) {
    sorted[d] = list->dose[order[d]];
    status = tablets_text(list, sorted[d].count, sorted[d].text, sizeof sorted[d].text);
  }
  dpi_free(ctx, amount);
  dpi_free(ctx, order);
  if (status != DP_OK) {
    dpi_free(ctx, sorted);
    return status;
  }
  dpi_free(ctx, list->dose);
  list->dose = sorted;
  list->cap = list->n + 1;
  return DP_OK;
}

dp_status dpi_decide_doses(const dp_kind *kind, const dpi_kind_control *control, dpi_dose_list *out) {
  dpi_dose_list list = {.kind = kind, .control = control};
  int count[MAX_STRENGTH] = {0};
  *out = (dpi_dose_list){.kind = kind, .control = control};
  DP_TRY(check(kind, control));
  dp_status status = combine(&list, 0, control->max_units > 0 ? control->max_units : 1, count);
  if (status == DP_OK && list.n == 0)
    status =
        dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s': no sum of its tablets lies between %g and %g %s",
                 kind->dir, control->id, control->lower, control->upper, control->unit);
  if (status == DP_OK) status = put_in_order(&list);
  if (status == DP_OK)
    *out = list;
  else
    dpi_free(kind->ctx, list.dose);
  return status;
}

void dpi_decide_doses_release(dpi_dose_list *list) {
  if (list->kind) dpi_free(list->kind->ctx, list->dose);
  list->dose = NULL;
  list->n = 0;
}

int dpi_decide_dose_find(const dpi_dose_list *list, double amount) {
  for (int d = 0; d < list->n; d++)
    if (fabs(list->dose[d].amount - amount) <= 1e-9 * amount) return d;
  return -1;
}

/* As people read it: of a control that takes any amount six digits (or all before the point), none finer than a
 * millionth of its upper bound. What a plan's file gets is the number itself. */
static double readable(const dpi_kind_control *c, double amount) {
  if (c->nstrength || c->nvalue || c->step > 0 || !(amount > 0)) return amount;
  if (isfinite(c->upper) && amount < 1e-6 * c->upper) return 0;
  double unit = 1;
  while (amount * unit < 1e5 && unit < 1e18) unit *= 10;
  return floor(amount * unit + 0.5) / unit;
}

void dpi_decide_dose_text(const dpi_kind_control *c, const dpi_dose_list *list, double amount, char out[96]) {
  int d = list ? dpi_decide_dose_find(list, amount) : -1;
  char number[32];
  dpi_format_double(readable(c, amount), number);
  if (d >= 0)
    snprintf(out, 96, "%s", list->dose[d].text);
  else
    snprintf(out, 96, "%s %s", number, c->unit);
}
