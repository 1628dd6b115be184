/* candidates.c - regimens that can be given: every sum of existing tablets, at every allowed interval. A list that cannot be
 * made in full is refused, never cut short. */
#include <math.h>
#include <stdio.h>

#include "decide/decide.h"

enum { MAX_STRENGTH = 16, MAX_COMBINATION = 1000000, MAX_CANDIDATE = 20000 };

typedef struct tablet_dose {
  double amount;
  int units;
  int count[MAX_STRENGTH]; /* of each strength */
} tablet_dose;

typedef struct dose_list {
  const dp_kind *kind;
  const dpi_kind_control *control;
  tablet_dose *dose;
  int n, cap;
} dose_list;

/* Text such as "2 x 300 mg + 100 mg", the largest tablet first. */
static dp_status tablets_text(const dose_list *list, const int *count, char *out, size_t size) {
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
      return dpi_fail(list->kind->ctx, DP_ERR_UNSUPPORTED,
                      "%s: control '%s': a dose of so many different tablets that it takes more than %d letters to say: "
                      "'%s ...'",
                      list->kind->dir, c->id, (int)size - 1, out);
    at += (size_t)wrote;
  }
  return DP_OK;
}

/* Keep for each amount the combination with the fewest tablets. */
static dp_status offer(dose_list *list, const int *count) {
  const dpi_kind_control *c = list->control;
  tablet_dose d = {0};
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
  if ((size_t)list->n * (size_t)c->ninterval >= MAX_CANDIDATE)
    return dpi_fail(list->kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s' gives more than %d regimens",
                    list->kind->dir, c->id, MAX_CANDIDATE);
  DP_TRY(dpi_grow(list->kind->ctx, (void **)&list->dose, &list->cap, list->n + 1, sizeof *list->dose));
  list->dose[list->n++] = d;
  return DP_OK;
}

/* Every multiset of at most `left` tablets from strength s on. */
static dp_status combine(dose_list *list, int s, int left, int *count) {
  if (s == list->control->nstrength) return offer(list, count);
  for (int k = 0; k <= left; k++) {
    count[s] = k;
    DP_TRY(combine(list, s + 1, left - k, count));
  }
  count[s] = 0;
  return DP_OK;
}

static dp_status check(const dp_kind *kind, const dpi_kind_control *c) {
  if (c->nstrength == 0 || c->ninterval == 0)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                    "%s: control '%s' has no strengths or intervals; only regimens of existing tablets are planned",
                    kind->dir, c->id);
  if (c->nstrength > MAX_STRENGTH)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s' has %d strengths, at most %d", kind->dir, c->id,
                    c->nstrength, MAX_STRENGTH);
  double combinations = 1; /* (units + strengths) over strengths */
  for (int s = 1; s <= c->nstrength; s++) combinations *= (double)(c->max_units + s) / s;
  if (combinations > MAX_COMBINATION)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s': %d tablets of %d strengths make %.3g doses, at most %d",
                    kind->dir, c->id, c->max_units, c->nstrength, combinations, MAX_COMBINATION);
  return DP_OK;
}

/* The list times the intervals, ascending interval then dose. */
static dp_status cross(const dose_list *list, dp_candidate **out, int *n) {
  dp_ctx *ctx = list->kind->ctx;
  const dpi_kind_control *c = list->control;
  double *amount = DPI_NEW_ARRAY(ctx, double, list->n + 1);
  int *order = DPI_NEW_ARRAY(ctx, int, list->n + 1);
  dp_candidate *all = DPI_NEW_ARRAY(ctx, dp_candidate, (size_t)list->n * (size_t)c->ninterval + 1);
  dp_status status = amount && order && all ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    for (int d = 0; d < list->n; d++) amount[d] = list->dose[d].amount;
    dpi_argsort(amount, list->n, order);
  }
  for (int i = 0; status == DP_OK && i < c->ninterval; i++)
    for (int d = 0; status == DP_OK && d < list->n; d++) {
      const tablet_dose *from = &list->dose[order[d]];
      dp_candidate *a = &all[i * list->n + d];
      a->interval = c->interval[i];
      a->dose = from->amount;
      a->units = from->units;
      status = tablets_text(list, from->count, a->tablets, sizeof a->tablets);
    }
  dpi_free(ctx, amount);
  dpi_free(ctx, order);
  if (status != DP_OK) {
    dpi_free(ctx, all);
    return status;
  }
  *out = all;
  *n = list->n * c->ninterval;
  return DP_OK;
}

dp_status dpi_decide_candidates(const dp_kind *kind, dp_candidate **out, int *n) {
  dose_list list = {.kind = kind, .control = &kind->control[kind->reward.control]};
  int count[MAX_STRENGTH] = {0};
  *out = NULL;
  *n = 0;
  DP_TRY(check(kind, list.control));
  dp_status status = combine(&list, 0, list.control->max_units > 0 ? list.control->max_units : 1, count);
  if (status == DP_OK && list.n == 0)
    status = dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s': no sum of its tablets lies between %g and %g %s",
                      kind->dir, list.control->id, list.control->lower, list.control->upper, list.control->unit);
  if (status == DP_OK) status = cross(&list, out, n);
  dpi_free(kind->ctx, list.dose);
  return status;
}
