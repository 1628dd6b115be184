/* insulin_tune.c - floor 8: a therapy chosen on what a twin says of days of its own invention (insulin.h). Which ones
 * are rehearsed and what makes one better than A stands in a file, that of `doppel tune` (tune.h); the days and the
 * errors of the model are the experiment's (insulin_outlook.c).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/insulin_impl.h"

enum { REHEARSED_DAYS = 7, NSETTING = 3 };
static const char *const setting_id[NSETTING] = {"basal", "CR", "CF"};
static const dp_insulin_therapy START = {1, 1, 1};

dp_status dpi_insulin_tuning_open(dp_ctx *ctx, const dp_insulin_def *def, dp_tune **out) {
  char usual[1100], beside[1100];
  const char *path = def->tuning ? def->tuning : usual, *const dirs[] = {beside};
  if (snprintf(usual, sizeof usual, "%s/tunings/pump.yaml", def->twin) >= (int)sizeof usual)
    return dpi_fail(ctx, DP_ERR_USAGE, "%.40s...: the path is too long", def->twin);
  snprintf(beside, sizeof beside, "%s/..", def->twin);
  DP_TRY(dp_tune_read(ctx, path, dirs, 1, out));
  const dp_tune_desc *d = dp_tune_describe(*out);
  bool ours = d->nsetting == NSETTING;
  for (int s = 0; s < NSETTING && ours; s++)
    ours = d->setting[s].relative && strcmp(d->setting[s].id, setting_id[s]) == 0;
  for (int e = 0; e < d->nendpoint && ours; e++)
    ours = dp_tune_counts(*out, e) && strcmp(d->endpoint[e].unit, "%") == 0; /* not by how often there are readings */
  if (ours) return DP_OK;
  dp_tune_destroy(*out);
  *out = NULL;
  return dpi_fail(ctx, DP_ERR_INPUT,
                  "%s: expected settings basal, CR and CF as multiples (times), and endpoints of the sensor's glucose, "
                  "by: samples, in %%",
                  path);
}

/* Candidate k of the product of the file's lists, the first setting slowest. */
static dp_insulin_therapy candidate(const dp_tune_desc *d, int k) {
  double times[NSETTING];
  for (int s = NSETTING - 1; s >= 0; s--) {
    times[s] = d->setting[s].value[k % d->setting[s].n];
    k /= d->setting[s].n;
  }
  return (dp_insulin_therapy){times[0], times[1], times[2]};
}

/* Endpoints [n x nendpoint] of each draw under a therapy; draw: scratch. */
static dp_status rehearse(const dp_tune *tune, dpi_insulin_outlook *o, dp_insulin_therapy therapy, double *draw,
                          double *value) {
  const int nend = dp_tune_describe(tune)->nendpoint;
  DP_TRY(dpi_insulin_outlook_say(o, therapy, draw));
  for (int i = 0; i < o->n; i++)
    for (int e = 0; e < nend; e++)
      value[(size_t)i * nend + e] = dp_tune_count(tune, e, draw + (size_t)i * o->nt, o->nt);
  return DP_OK;
}

static dp_status best(const dpi_insulin_case *c, dpi_insulin_outlook *o, double *draw, double *present, double *value,
                      dp_tune_value *term, dp_insulin_therapy *out) {
  const dp_tune_desc *d = dp_tune_describe(c->tune);
  const int ncandidate = d->setting[0].n * d->setting[1].n * d->setting[2].n;
  double most = -INFINITY;
  DP_TRY(rehearse(c->tune, o, START, draw, present));
  for (int k = 0; k < ncandidate; k++) {
    dp_tune_verdict v;
    DP_TRY(rehearse(c->tune, o, candidate(d, k), draw, value));
    DP_TRY(dp_tune_judge(c->tune, present, value, o->n, o->n, term, &v));
    if (!v.safe || !v.better || !(v.reward > most)) continue;
    most = v.reward;
    *out = candidate(d, k);
  }
  return DP_OK;
}

dp_status dpi_insulin_tune(dpi_arena *arena, const dpi_insulin_case *c, const dp_belief *b, dp_insulin_therapy *out) {
  const dp_tune_desc *d = dp_tune_describe(c->tune);
  const int n = c->def->ntune < b->ndraw ? c->def->ntune : b->ndraw, nt = REHEARSED_DAYS * DPI_INSULIN_DAY + 1;
  double *draw = DPI_ARENA_ARRAY(arena, double, (size_t)n *nt),
         *present = DPI_ARENA_ARRAY(arena, double, (size_t)n *d->nendpoint),
         *value = DPI_ARENA_ARRAY(arena, double, (size_t)n *d->nendpoint);
  dp_tune_value *term = DPI_ARENA_ARRAY(arena, dp_tune_value, d->nterm + 1);
  dpi_insulin_outlook outlook;
  dpi_meals meals;
  *out = START;
  if (!draw || !present || !value || !term) return DP_ERR_MEMORY;
  DP_TRY(dpi_insulin_meals_make(arena, c, 1, REHEARSED_DAYS, &meals));
  DP_TRY(dpi_insulin_outlook_make(arena, c, b, n, &meals, &outlook));
  return best(c, &outlook, draw, present, value, term, out);
}
