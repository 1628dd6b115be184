/* candidates.c - regimens that can be given: every sum of existing tablets, at every allowed interval. */
#include <math.h>
#include <stdio.h>

#include "decide/decide.h"

typedef struct dose_list {
  double amount[256];
  int units[256];
  char tablets[256][48];
  int n;
} dose_list;

/* Text such as "2 x 300 mg + 100 mg" from how many of each strength. */
static void tablets_text(const dpi_kind_control *c, const int *count, char out[48]) {
  size_t at = 0;
  out[0] = 0;
  for (int s = c->nstrength - 1; s >= 0; s--) {
    if (count[s] == 0) continue;
    char one[48], number[32];
    dpi_format_double(c->strength[s], number);
    if (count[s] == 1)
      snprintf(one, sizeof one, "%s%s %s", at ? " + " : "", number, c->unit);
    else
      snprintf(one, sizeof one, "%s%d x %s %s", at ? " + " : "", count[s], number, c->unit);
    int wrote = snprintf(out + at, 48 - at, "%s", one);
    if (wrote < 0 || (size_t)wrote >= 48 - at) return;
    at += (size_t)wrote;
  }
}

/* Keep for each amount the combination with the fewest tablets. */
static void offer(dose_list *list, const dpi_kind_control *c, const int *count) {
  double amount = 0;
  int units = 0;
  for (int s = 0; s < c->nstrength; s++) {
    amount += c->strength[s] * count[s];
    units += count[s];
  }
  if (units == 0 || amount < c->lower || amount > c->upper) return;
  int k = 0;
  while (k < list->n && fabs(list->amount[k] - amount) > 1e-9 * amount) k++;
  if (k == list->n) {
    if (list->n == DPI_COUNT(list->amount)) return;
    list->n++;
  } else if (list->units[k] <= units) {
    return;
  }
  list->amount[k] = amount;
  list->units[k] = units;
  tablets_text(c, count, list->tablets[k]);
}

/* Every multiset of at most `left` tablets from strength s on. */
static void combine(dose_list *list, const dpi_kind_control *c, int s, int left, int *count) {
  if (s == c->nstrength) {
    offer(list, c, count);
    return;
  }
  for (int k = 0; k <= left; k++) {
    count[s] = k;
    combine(list, c, s + 1, left - k, count);
  }
  count[s] = 0;
}

dp_status dpi_decide_candidates(const dp_kind *kind, dp_candidate **out, int *n) {
  const dpi_kind_control *c = &kind->control[kind->reward.control];
  if (c->nstrength == 0 || c->ninterval == 0)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                    "%s: control '%s' has no strengths or intervals; only regimens of existing tablets are planned",
                    kind->dir, c->id);
  if (c->nstrength > 16)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: control '%s' has %d strengths, at most 16", kind->dir, c->id,
                    c->nstrength);
  dose_list *list = DPI_NEW(kind->ctx, dose_list);
  if (!list) return DP_ERR_MEMORY;
  int count[16] = {0}, order[256];
  combine(list, c, 0, c->max_units > 0 ? c->max_units : 1, count);
  dpi_argsort(list->amount, list->n, order);
  *n = list->n * c->ninterval;
  dp_candidate *all = DPI_NEW_ARRAY(kind->ctx, dp_candidate, *n);
  if (!all) {
    dpi_free(kind->ctx, list);
    return DP_ERR_MEMORY;
  }
  for (int i = 0; i < c->ninterval; i++)
    for (int d = 0; d < list->n; d++) {
      dp_candidate *a = &all[i * list->n + d];
      a->interval = c->interval[i];
      a->dose = list->amount[order[d]];
      a->units = list->units[order[d]];
      snprintf(a->tablets, sizeof a->tablets, "%s", list->tablets[order[d]]);
    }
  dpi_free(kind->ctx, list);
  *out = all;
  return DP_OK;
}
