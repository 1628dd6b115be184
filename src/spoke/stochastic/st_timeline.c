/* st_timeline.c - one member from where it stands to a time: instants, doses under way, outputs, and the process
 * between.  U, D -> D, O
 *
 * Order at one real time: doses whose lag has passed and due executions first, then instants and outputs by `order`,
 * instants first, then by position; a repeat has its instant's order and position.
 */
#include "spoke/stochastic/st_impl.h"

/* ---- instants ---- */

static int dose_next(const dpi_st_member *m) {
  int best = -1;
  for (int i = 0; i < m->ndose; i++)
    if (best < 0 || m->dose[i].time < m->dose[best].time) best = i;
  return best;
}

static bool add_amount(dpi_st_bench *w, int sym, double amount) {
  w->sym[sym] = dpi_st_snap(w, sym, w->sym[sym] + amount);
  return true;
}

static bool give_dose(dpi_st_bench *w, const dp_instant *in, double t) {
  dpi_st_member *m = w->m;
  const dpi_st_control *c = &w->spoke->control[in->target];
  const double *v = dpi_st_eval(w, &c->map), amount = v[0] * in->amount, lag = v[1];
  if (!isfinite(amount) || !(lag >= 0) || !isfinite(lag))
    return dpi_st_fail(w, t, "a dose of %g with a lag of %g can't be given", amount, lag);
  if (lag == 0) return add_amount(w, c->sym, amount);
  if (dpi_grow(w->spoke->base.ctx, (void **)&m->dose, &m->cap_dose, m->ndose + 1, sizeof *m->dose) != DP_OK)
    return dpi_st_no_memory(w);
  m->dose[m->ndose++] = (dpi_st_dose){t + lag, amount, c->sym, 0};
  return true;
}

/* A counted state is scaled to the nearest whole number of its steps. */
static void scale(dpi_st_bench *w, int sym, double factor) {
  double x = w->sym[sym] * factor;
  const double unit = w->unit[sym] > 0 ? w->unit[sym] : 1;
  if (w->spoke->counted[sym - 1] && w->spoke->method != DPI_ST_LANGEVIN) x = rint(x / unit) * unit;
  w->sym[sym] = x;
}

static bool act(dpi_st_bench *w, const dp_instant *in, double t) {
  dpi_st_member *m = w->m;
  switch (in->type) {
    case DP_ADD: return give_dose(w, in, t);
    case DP_SET: w->sym[1 + in->target] = in->amount; return true;
    case DP_SCALE: scale(w, 1 + in->target, in->amount); return true;
    case DP_SWITCH:
      m->param[in->target] = in->amount;
      dpi_st_bench_params(w);
      return true;
    case DP_RESET: m->ndose = 0; return dpi_st_initial(w);
    default: return dpi_st_fail(w, t, "instant of type %d is not offered", (int)in->type);
  }
}

/* The member stands at t and something from outside has changed it. */
static bool settled(dpi_st_bench *w, double t) {
  w->m->t = t;
  dpi_st_flow_start(w, t);
  if (!dpi_st_refresh(w, t)) return false;
  return w->spoke->nevent == 0 || dpi_st_event_run(w);
}

static bool happen_instant(dpi_st_bench *w, const dpi_coming *n) {
  dpi_st_flow_at(w, n->t);
  w->m->t = n->t;
  dpi_timeline_pass(&w->m->line, w->def, n);
  return act(w, &w->def->instant[n->instant], n->t) && settled(w, n->t);
}

/* ---- outputs ---- */

static void emit(dpi_st_bench *w, double t) {
  const dpi_st_spoke *sp = w->spoke;
  dpi_member_out *out = w->out;
  if (sp->noutput) {
    dpi_st_flow_at(w, t);
    memcpy(out->value + (size_t)out->ndone * (size_t)sp->noutput, dpi_st_eval(w, &sp->out),
           sizeof(double) * (size_t)sp->noutput);
  }
  out->ndone++;
}

/* ---- the loop ---- */

static dpi_st_outcome process_to(dpi_st_bench *w, double t) {
  const dpi_st_spoke *sp = w->spoke;
  if (sp->method == DPI_ST_LANGEVIN) return dpi_st_langevin_to(w, t);
  if (sp->drift) return dpi_st_drift_to(w, t);
  if (sp->method == DPI_ST_LEAP) return dpi_st_leap_to(w, t);
  return dpi_st_jump_to(w, t);
}

static bool begin(dpi_st_bench *w) {
  dpi_st_member *m = w->m;
  m->begun = true;
  if (m->bad) {
    char why[sizeof w->out->reason];
    memcpy(why, w->out->reason, sizeof why);
    why[sizeof why - 1] = 0;
    return dpi_st_fail(w, m->t, "%s", why[0] ? why : "an initial value is not finite");
  }
  dpi_st_flow_start(w, m->t);
  if (!dpi_st_refresh(w, -INFINITY)) return false;
  dpi_st_event_begin(w);
  return w->spoke->nevent == 0 || dpi_st_event_run(w);
}

/* Propensities follow from the state. A member whose stream has been changed winds its clocks from the new one:
 * exponentials have no memory. */
static bool resume(dpi_st_bench *w) {
  dpi_st_member *m = w->m;
  if (m->stream != w->def->stream) {
    m->stream = w->def->stream;
    const double now = dpi_real(m->now);
    dpi_st_wind(w, now > m->t ? now : m->t);
  }
  if (!m->begun) return begin(w);
  dpi_st_flow_start(w, m->from);
  return dpi_st_refresh(w, -INFINITY);
}

/* What was under way arrives: doses at t, executions that are due. */
static bool under_way(dpi_st_bench *w, double t) {
  dpi_st_member *m = w->m;
  dpi_st_flow_at(w, t);
  m->t = t;
  const int i = dose_next(m);
  if (i >= 0 && m->dose[i].time <= t) {
    add_amount(w, m->dose[i].sym, m->dose[i].amount);
    m->ndose--;
    for (int k = i; k < m->ndose; k++) m->dose[k] = m->dose[k + 1];
    return settled(w, t);
  }
  return dpi_st_event_run(w);
}

/* One happening up to w->limit; *more: there may be another. */
static bool happening(dpi_st_bench *w, bool *more) {
  dpi_st_member *m = w->m;
  const dpi_coming n = dpi_timeline_next(&m->line, w->def);
  const bool instant = dpi_timeline_before_output(w->def, w->out->ndone, &n),
             output = !instant && w->out->ndone < w->def->nout;
  const double t = instant ? n.t : (output ? dpi_real(w->def->out[w->out->ndone].time) : INFINITY);
  const int dose = dose_next(m);
  double way = dpi_event_pool_next(&m->pool);
  if (dose >= 0 && m->dose[dose].time < way) way = m->dose[dose].time;
  double first = way <= t ? way : t;
  *more = first <= w->limit;
  if (!*more) first = w->limit;
  if (first > m->t) {
    const dpi_st_outcome o = process_to(w, first);
    if (o == DPI_ST_FAIL) return false;
    if (o == DPI_ST_AGAIN) return *more = true;
  }
  if (!*more) return true;
  if (way <= t) return under_way(w, way > m->t ? way : m->t);
  if (instant) return happen_instant(w, &n);
  emit(w, t);
  return true;
}

void dpi_st_member_advance(dpi_st_bench *w, dp_time to) {
  dpi_st_member *m = w->m;
  bool more = true;
  w->limit = dpi_real(to);
  if (!resume(w)) return;
  while (more)
    if (!happening(w, &more)) return;
  m->now = to;
}
