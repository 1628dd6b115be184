/* eq_dose.c - what a dose is, when it arrives, and what it does to the state and its derivatives.  U -> D
 *
 * A dose is planned at its nominal time with the parameters then: bioavailability F, lag L, rate R, duration D. It then
 * lies in the member's list until its lag has passed; an infusion stays there until it ends.
 *
 * Derivatives. Let tau(theta) be the time of a jump x+ = x- + a. At a fixed time just after it
 *     S+ = S- + da + (f(x-) - f(x+)) dtau                  (differentiate flow(t - tau, x-(tau) + a))
 * and for the start or end of an infusion only f changes, by +R or -R in the dosed state:
 *     start: S += -R dtau,   end: S += R dtau,   and between them S' has the input dR.
 * A later shift of what was seen is not needed: outputs lie at fixed times.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

dp_status dpi_eq_member_doses(dpi_eq_batch *b, dpi_eq_member *m, int need) {
  dp_ctx *ctx = b->spoke->base.ctx;
  DP_TRY(dpi_grow(ctx, (void **)&m->dose, &m->cap_dose, need, sizeof *m->dose));
  const int reals = need * 3 * b->def.ndir;
  return reals ? dpi_grow(ctx, (void **)&m->vec, &m->cap_vec, reals, sizeof *m->vec) : DP_OK;
}

/* Directions of dose i: d start, d stop, d amount; there is no such list without directions. */
static double *dose_dir(const dpi_eq_bench *w, int i) {
  return w->ndir ? w->m->vec + (size_t)3 * w->ndir * i : NULL;
}

void dpi_eq_input(dpi_eq_bench *w) {
  const dpi_eq_member *m = w->m;
  const int n = w->spoke->nstate, nd = w->ndir;
  for (int j = 0; j < n; j++) w->u[j] = 0;
  for (int i = 0; i < n * nd; i++) w->du[i] = 0;
  w->have_input = false;
  for (int i = 0; i < m->ndose; i++) {
    const dpi_eq_dose *d = &m->dose[i];
    if (!d->running) continue;
    w->have_input = true;
    w->u[d->state] += d->amount;
    for (int q = 0; q < nd; q++) w->du[d->state * nd + q] += m->vec[3 * nd * i + 2 * nd + q];
  }
  w->live = false;
}

/* d of formula f of a control by direction. */
static void formula_dir(const dpi_eq_bench *w, const dpi_eq_map *map, int f, const double *dtime, double *d) {
  const int nd = w->ndir, na = w->spoke->nactive;
  for (int q = 0; q < nd; q++) d[q] = 0;
  for (int k = 0; k < map->nder; k++) {
    if (map->row[k] != f) continue;
    const double g = w->val[map->nvalue + k];
    const double *row = map->col[k] < na ? w->m->p + map->col[k] * nd : dtime;
    for (int q = 0; q < nd; q++) d[q] += g * row[q];
  }
}

/* The infusion's rate and duration with their directions; dfa: d(F amount). */
static bool plan_infusion(dpi_eq_bench *w, const dp_instant *in, double t, double fa, const double *dfa,
                          dpi_eq_plan *plan) {
  const dpi_eq_control *c = &w->spoke->control[in->target];
  const int nd = w->ndir;
  double *dr = plan->damount, *dd = plan->dduration;
  if (in->rate == DP_DURATION_MODEL) {
    const double d = w->val[DPI_EQ_DURATION];
    if (!c->has[DPI_EQ_DURATION])
      return dpi_eq_fail(w, t, "dose asks for the model's duration, but its control has no duration formula");
    if (!(d > 0)) return dpi_eq_fail(w, t, "duration of an infusion is %g, expected a positive number", d);
    formula_dir(w, &c->map, DPI_EQ_DURATION, plan->dtime, dd);
    plan->duration = d;
    plan->amount = fa / d;
    for (int q = 0; q < nd; q++) dr[q] = (dfa[q] - plan->amount * dd[q]) / d;
  } else {
    const bool model = in->rate == DP_RATE_MODEL;
    const double r = model ? w->val[DPI_EQ_RATE] : in->rate;
    if (model && !c->has[DPI_EQ_RATE])
      return dpi_eq_fail(w, t, "dose asks for the model's rate, but its control has no rate formula");
    if (!(r > 0)) return dpi_eq_fail(w, t, "rate of an infusion is %g, expected a positive number", r);
    for (int q = 0; q < nd; q++) dr[q] = !model && q + 1 == w->rate_dir ? 1 : 0;
    if (model) formula_dir(w, &c->map, DPI_EQ_RATE, plan->dtime, dr);
    plan->amount = r;
    plan->duration = fa / r;
    for (int q = 0; q < nd; q++) dd[q] = (dfa[q] - plan->duration * dr[q]) / r;
  }
  if (!(plan->duration >= 0) || !isfinite(plan->duration))
    return dpi_eq_fail(w, t, "duration of an infusion is %g, expected a finite number, not negative", plan->duration);
  return true;
}

bool dpi_eq_dose_plan(dpi_eq_bench *w, const dp_instant *in, double t, dpi_eq_plan *plan) {
  const dpi_eq_control *c = &w->spoke->control[in->target];
  const int nd = w->ndir;
  double *const dfa = w->dir + 4 * nd;
  *plan = (dpi_eq_plan){.state = c->state, .infusion = in->type == DP_INFUSE, .damount = w->dir, .dlag = w->dir + nd,
                        .dduration = w->dir + 2 * nd, .dtime = w->dir + 3 * nd};
  dpi_eq_eval(w, &c->map, t, w->m->x, NULL); /* no formula of a control depends on states */
  const double f = w->val[DPI_EQ_F], lag = w->val[DPI_EQ_LAG], fa = f * in->amount;
  if (!isfinite(fa)) return dpi_eq_fail(w, t, "amount of a dose is not finite (bioavailability %g)", f);
  if (!(lag >= 0) || !isfinite(lag))
    return dpi_eq_fail(w, t, "lag of a dose is %g, expected a finite number, not negative", lag);
  for (int q = 0; q < nd; q++) {
    plan->dtime[q] = q == in->dir_time ? 1 : 0;
    plan->dduration[q] = 0;
  }
  plan->lag = lag;
  formula_dir(w, &c->map, DPI_EQ_LAG, plan->dtime, plan->dlag);
  formula_dir(w, &c->map, DPI_EQ_F, plan->dtime, dfa);
  for (int q = 0; q < nd; q++) dfa[q] = dfa[q] * in->amount + (q == in->dir_amount ? f : 0);
  if (plan->infusion) return plan_infusion(w, in, t, fa, dfa, plan);
  plan->amount = fa;
  for (int q = 0; q < nd; q++) plan->damount[q] = dfa[q];
  return true;
}

bool dpi_eq_dose_add(dpi_eq_bench *w, const dpi_eq_plan *plan, double t, double shift, bool running) {
  dpi_eq_member *m = w->m;
  const int nd = w->ndir;
  if (dpi_eq_member_doses(w->batch, m, m->ndose + 1) != DP_OK) return dpi_eq_fail_memory(w);
  const int i = m->ndose++;
  m->dose[i] = (dpi_eq_dose){.start = t + shift, .stop = t + (shift + plan->duration), .amount = plan->amount,
                             .state = plan->state, .infusion = plan->infusion, .running = running};
  double *v = dose_dir(w, i);
  for (int q = 0; q < nd; q++) {
    v[q] = plan->dtime[q] + plan->dlag[q];
    v[nd + q] = v[q] + plan->dduration[q];
    v[2 * nd + q] = plan->damount[q];
  }
  return true;
}

static void dose_remove(dpi_eq_bench *w, int i) {
  dpi_eq_member *m = w->m;
  const size_t row = (size_t)3 * w->ndir;
  m->ndose--;
  for (int k = i; k < m->ndose; k++) {
    m->dose[k] = m->dose[k + 1];
    for (size_t q = 0; q < row; q++) m->vec[row * k + q] = m->vec[row * (k + 1) + q];
  }
}

static double dose_time(const dpi_eq_dose *d) { return d->running ? d->stop : d->start; }

int dpi_eq_dose_next(const dpi_eq_bench *w, double *t) {
  const dpi_eq_member *m = w->m;
  int best = -1;
  for (int i = 0; i < m->ndose; i++)
    if (best < 0 || dose_time(&m->dose[i]) < dose_time(&m->dose[best])) best = i;
  if (best >= 0) *t = dose_time(&m->dose[best]);
  return best;
}

void dpi_eq_jump(dpi_eq_bench *w, double t, const double *before, const double *after, const double *dtau, double *s,
                 int stride) {
  const int n = w->spoke->nstate;
  bool any = false;
  for (int q = 0; q < stride; q++) any = any || dtau[q] != 0;
  if (!any) return;
  dpi_eq_rhs(w, t, before, NULL, w->fa);
  dpi_eq_rhs(w, t, after, NULL, w->fb);
  for (int j = 0; j < n; j++)
    for (int q = 0; q < stride; q++) s[j * stride + q] += (w->fa[j] - w->fb[j]) * dtau[q];
}

bool dpi_eq_dose_happen(dpi_eq_bench *w, int i) {
  dpi_eq_member *m = w->m;
  dpi_eq_dose *d = &m->dose[i];
  const int n = w->spoke->nstate, nd = w->ndir, c = d->state;
  const double *v = dose_dir(w, i);
  double *row = m->s + (size_t)c * nd;
  w->live = false;
  if (d->infusion) {
    const double sign = d->running ? d->amount : -d->amount;
    for (int q = 0; q < nd; q++) row[q] += sign * v[(d->running ? nd : 0) + q];
    if (d->running)
      dose_remove(w, i);
    else
      d->running = 1;
    dpi_eq_input(w);
    return true;
  }
  for (int j = 0; j < n; j++) w->xb[j] = m->x[j];
  m->x[c] += d->amount;
  dpi_eq_jump(w, m->t, w->xb, m->x, v, m->s, nd);
  for (int q = 0; q < nd; q++) row[q] += v[2 * nd + q];
  dose_remove(w, i);
  return true;
}

bool dpi_eq_dose_give(dpi_eq_bench *w, const dp_instant *in, double t) {
  dpi_eq_plan plan;
  const bool constant = in->steady && in->type == DP_INFUSE && in->amount == 0;
  if (!dpi_eq_dose_plan(w, in, t, &plan)) return false;
  if (in->steady && (!dpi_eq_reach(w, t) || !dpi_eq_steady_dose(w, in, t, &plan))) return false;
  if (constant) return true; /* the constant infusion itself is over (after its lag): nothing more is given */
  if (!dpi_eq_dose_add(w, &plan, t, plan.lag, false)) return false;
  if (plan.lag > 0) return true;
  const int last = w->m->ndose - 1;
  return dpi_eq_reach(w, t) && dpi_eq_dose_happen(w, last);
}
