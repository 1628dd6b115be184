/* patient_now.c - floor 7: one person at `now` as plans see them: typical values, covariates, and the history up to now.
 *
 * What the record orders later than now is cut off here: doses, repeats of earlier orders, changes of covariates. Whoever asks what
 * a plan would do must not be given the doses that it replaces. */
#include <math.h>
#include <string.h>

#include "doppel/whatif.h"
#include "kind/kind_impl.h"

struct dp_patient {
  dp_ctx *ctx;
  dpi_case *c;
  double *param;
  dp_instant *history;
  dp_seen *seen;
  int nseen;
  dp_plan_patient view;
};

void dp_patient_destroy(dp_patient *p) {
  if (!p) return;
  dpi_case_destroy(p->c);
  dpi_free(p->ctx, p->param);
  dpi_free(p->ctx, p->history);
  dpi_free(p->ctx, p->seen);
  dpi_free(p->ctx, p);
}

const dp_plan_patient *dp_patient_look(const dp_patient *p) { return &p->view; }

const dp_seen *dp_patient_seen(const dp_patient *p, int *n) {
  *n = p->nseen;
  return p->seen;
}

/* How often more an order is repeated up to `now`. */
static int32_t repeats_until(const dp_instant *s, dp_time now) {
  if (s->interval <= 0 || s->repeats <= 0) return 0;
  dp_time n = (now - s->time) / s->interval;
  return n < s->repeats ? (int32_t)n : s->repeats;
}

/* The history ends at now. */
static int cut(dp_instant *s, int n, dp_time now) {
  int kept = 0;
  for (int i = 0; i < n; i++) {
    if (s[i].time > now) continue;
    s[kept] = s[i];
    s[kept].repeats = repeats_until(&s[i], now);
    kept++;
  }
  return kept;
}

static dp_status list_seen(dp_patient *p, double now) {
  const dpi_case *c = p->c;
  int n = dpi_case_seen(c, now);
  p->seen = DPI_NEW_ARRAY(p->ctx, dp_seen, n + 1);
  if (!p->seen) return DP_ERR_MEMORY;
  for (p->nseen = 0; p->nseen < n; p->nseen++) {
    const dpi_case_obs *o = &c->obs[p->nseen];
    p->seen[p->nseen] = (dp_seen){.time = o->time, .value = o->value, .limit = o->limit, .observable = o->observable,
                                  .censored = o->censored, .line = o->line};
  }
  return DP_OK;
}

static dp_status fill(dp_patient *p, const dp_kind *kind, const dp_prior *prior) {
  const dpi_case *c = p->c;
  double *zero = DPI_NEW_ARRAY(p->ctx, double, c->neta + 1);
  p->param = DPI_NEW_ARRAY(p->ctx, double, dp_sim_describe(kind->sim)->nparam + 1);
  p->history = DPI_NEW_ARRAY(p->ctx, dp_instant, c->ninstant + 1);
  bool good = zero && p->param && p->history;
  if (good) dpi_case_apply(c, prior->typical, zero, p->param, p->history);
  dpi_free(p->ctx, zero);
  return good ? DP_OK : DP_ERR_MEMORY;
}

dp_status dp_patient_create(const dp_kind *kind, const dp_record *record, int subject, const dp_prior *prior, double now,
                            const dp_belief *belief, const dp_belief *fresh, dp_patient **out) {
  *out = NULL;
  if (!isfinite(now) || fabs(now) > 8e9) /* with the longest plan after it, it still fits in ticks */
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "a plan begins at a time, found %g %s", now, kind->time_unit);
  dp_patient *p = DPI_NEW(kind->ctx, dp_patient);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = kind->ctx;
  dp_status status = dpi_case_create(kind, record, subject, &p->c);
  if (status == DP_OK) status = fill(p, kind, prior);
  if (status == DP_OK) status = list_seen(p, now);
  if (status != DP_OK) {
    dp_patient_destroy(p);
    return status;
  }
  double from = now > 0 ? now : 0;
  p->view = (dp_plan_patient){.param = p->param,
                              .eta_effect = p->c->eta_effect,
                              .history = p->history,
                              .nhistory = cut(p->history, p->c->ninstant, (dp_time)llround(from * (double)DP_TICKS)),
                              .now = from,
                              .stream = p->c->stream,
                              .belief = belief,
                              .fresh = fresh};
  *out = p;
  return DP_OK;
}
