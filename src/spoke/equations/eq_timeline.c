/* eq_timeline.c - what comes next on a member's timeline, and what each kind of instant does.  U -> D
 *
 * Order of what happens at one real time:
 *   1. what was under way: doses whose lag has passed, infusions that end (in the order they were given), model events;
 *   2. instants and outputs by `order`, instants first, then by position; a repeat has its instant's order and
 *      position.
 * So a lagged dose that arrives exactly at an output's time acts before that output.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

/* ---- the kinds of instant ---- */

/* parameter := amount. Its derivatives become those of the amount. Nothing happens when nothing changes, so that a
 * covariate that is merely repeated does not restart the integration. */
static bool do_switch(dpi_eq_bench *w, const dp_instant *in, double t) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_member *m = w->m;
  const int a = sp->param_active[in->target], nd = w->ndir;
  bool same = m->param[in->target] == in->amount;
  if (a < 0 && nd > 0 && in->dir_amount >= 0)
    return dpi_eq_fail(w, t, "switch of '%s' carries a direction, but it is not an active parameter",
                       sp->desc.param_id[in->target]);
  for (int q = 0; a >= 0 && q < nd; q++) same = same && m->p[a * nd + q] == (q == in->dir_amount ? 1 : 0);
  if (same) return true;
  if (!dpi_eq_reach(w, t)) return false;
  m->param[in->target] = in->amount;
  for (int q = 0; a >= 0 && q < nd; q++) m->p[a * nd + q] = q == in->dir_amount ? 1 : 0;
  dpi_eq_bench_params(w);
  return true;
}

static bool do_set(dpi_eq_bench *w, const dp_instant *in, double t) {
  dpi_eq_member *m = w->m;
  const int nd = w->ndir;
  if (!dpi_eq_reach(w, t)) return false;
  m->x[in->target] = in->amount;
  for (int q = 0; q < nd; q++) m->s[in->target * nd + q] = q == in->dir_amount ? 1 : 0;
  return true;
}

static bool do_scale(dpi_eq_bench *w, const dp_instant *in, double t) {
  dpi_eq_member *m = w->m;
  const int nd = w->ndir;
  if (!dpi_eq_reach(w, t)) return false;
  for (int q = 0; q < nd; q++) {
    double *s = &m->s[in->target * nd + q];
    *s = *s * in->amount + (q == in->dir_amount ? m->x[in->target] : 0);
  }
  m->x[in->target] *= in->amount;
  return true;
}

/* All states to their initial values under the present parameters; running infusions stop, doses in their lag are lost.
 * Repeats that are still to come were ordered and stay so. */
static bool do_reset(dpi_eq_bench *w, double t) {
  if (!dpi_eq_reach(w, t)) return false;
  w->m->ndose = 0;
  dpi_eq_input(w);
  dpi_eq_initial(w, t, w->m->x, w->m->s);
  if (!dpi_eq_finite(w->m->x, w->spoke->nstate)) return dpi_eq_fail(w, t, "an initial value is not finite");
  return true;
}

/* A steady state is the state of its own doses alone: repeats that earlier records ordered are cancelled, as NONMEM
 * does (its help on the SS data item). Those of this very record stay. */
static void cancel_repeats(dpi_timeline *line, int instant) {
  int kept = 0;
  for (int r = 0; r < line->nrepeat; r++) {
    if (line->repeat[2 * r] != instant) continue;
    line->repeat[2 * kept] = line->repeat[2 * r];
    line->repeat[2 * kept + 1] = line->repeat[2 * r + 1];
    kept++;
  }
  line->nrepeat = kept;
}

bool dpi_eq_instant(dpi_eq_bench *w, const dpi_coming *n) {
  dp_instant in = w->def->instant[n->instant];
  if (n->repeat >= 0) in.steady = 0; /* the repeats of a steady-state dose are ordinary doses */
  if ((in.type == DP_ADD || in.type == DP_INFUSE) && in.steady == 1) cancel_repeats(&w->m->line, n->instant);
  switch (in.type) {
    case DP_SWITCH: return do_switch(w, &in, n->t);
    case DP_SET: return do_set(w, &in, n->t);
    case DP_SCALE: return do_scale(w, &in, n->t);
    case DP_RESET: return do_reset(w, n->t);
    case DP_EQUILIBRATE: return dpi_eq_reach(w, n->t) && dpi_eq_equilibrate(w, n->t);
    case DP_APPLY: return dpi_eq_law_apply(w, in.target, n->t);
    case DP_ADD:
    case DP_INFUSE: return dpi_eq_dose_give(w, &in, n->t);
  }
  return dpi_eq_fail(w, n->t, "instant %d: unknown type %d", n->instant, (int)in.type);
}
