/* st_event.c - the model's own events: triggers, executions by delay and priority, random draws.
 *
 *     trigger turns true -> draws of trigger time, values from trigger time -> scheduled at t + delay
 *     due -> highest priority first; without priority last; one of several that tie by a random number
 *     trigger turns false -> what is not persistent and not executed yet is taken back
 *
 * Between jumps a trigger changes only through time and flow. Three reaches: still (neither is in it), affine (its
 * roots are affine in both and the flow is straight: the next time is known beforehand), curved (sought on the path). A
 * time that was found is narrowed to neighbouring numbers: `time >= 5` happens at exactly 5, `time > 5` at the next
 * number.
 */
#include "spoke/stochastic/st_impl.h"

#define SCHEDULED_MOST 10000 /* executions that wait at a time: a limit on memory */
#define NODES 8              /* places looked at on a piece of path */

static const dpi_model_event *law(const dpi_st_bench *w, int e) { return &w->spoke->model->event[e]; }

void dpi_st_event_begin(dpi_st_bench *w) {
  for (int e = 0; e < w->spoke->nevent; e++) w->m->truth[e] = law(w, e)->initial_value;
}

void dpi_st_event_forget(dpi_st_bench *w) {
  for (int e = 0; e < w->spoke->nevent; e++) w->when[e] = NAN;
}

/* ---- finding ---- */

static int sign(double v) { return (v > 0) - (v < 0); }

/* Value number r of event e's test at t, as a sign; r = 0: the trigger. */
static int watch(dpi_st_bench *w, int e, int r, double t, dpi_st_path_fn at) {
  at(w, t);
  const double v = dpi_st_eval(w, &w->spoke->event[e].test)[r];
  return r == 0 ? v != 0 : sign(v);
}

/* First number in (lo, hi] at which the watched sign is not `was`; it is not at hi. */
static double narrow(dpi_st_bench *w, int e, int r, double lo, double hi, int was, dpi_st_path_fn at) {
  for (;;) {
    const double mid = lo + 0.5 * (hi - lo);
    if (!(mid > lo && mid < hi)) return hi;
    if (watch(w, e, r, mid, at) != was)
      hi = mid;
    else
      lo = mid;
  }
}

/* First change of event e's trigger in (lo, hi] through value r. */
static bool find_root(dpi_st_bench *w, int e, int r, double lo, double hi, dpi_st_path_fn at, double *when) {
  const int end = watch(w, e, r, hi, at);
  int was = watch(w, e, r, lo, at);
  for (int turn = 0; turn < 4 && was != end; turn++) { /* touching zero and leaving it are two changes */
    const double t = narrow(w, e, r, lo, hi, was, at);
    if (watch(w, e, 0, t, at) != w->m->truth[e]) {
      *when = t;
      return true;
    }
    lo = t;
    was = watch(w, e, r, t, at);
  }
  return false;
}

static bool find_in(dpi_st_bench *w, double from, double to, dpi_st_path_fn at, double *when) {
  double best = INFINITY, t;
  for (int e = 0; e < w->spoke->nevent; e++) {
    const dpi_st_event *v = &w->spoke->event[e];
    if (v->reach != DPI_ST_CURVED) continue;
    for (int r = v->test.n - 1; r >= 0; r--) /* the trigger itself last: what no root explained */
      if (find_root(w, e, r, from, best < to ? best : to, at, &t) && t < best) best = t;
  }
  *when = best;
  return isfinite(best);
}

bool dpi_st_event_find(dpi_st_bench *w, double from, double to, dpi_st_path_fn at, double *when) {
  if (!(to > from) || !isfinite(to)) return false;
  for (int i = 0; i < NODES; i++) {
    const double a = from + (to - from) * i / NODES, b = i + 1 < NODES ? from + (to - from) * (i + 1) / NODES : to;
    if (b > a && find_in(w, a, b, at, when)) return true;
  }
  return false;
}

/* Where a root that is g0 now and g1 one unit of time later leaves the sign it has; to the number. */
static double affine_root(dpi_st_bench *w, int e, int r, double t, double g0, double g1) {
  const double slope = g1 - g0, t0 = t - g0 / slope;
  if (slope == 0 || !isfinite(slope)) return INFINITY;
  if (g0 == 0) return nextafter(t, INFINITY);
  if (!(t0 > t) || !isfinite(t0)) return INFINITY;
  const int was = sign(g0);
  double lo = t0, hi = t0, d = nextafter(fabs(t0), INFINITY) - fabs(t0);
  if (watch(w, e, r, t0, dpi_st_flow_at) == was) {
    for (; watch(w, e, r, hi, dpi_st_flow_at) == was; d *= 2) {
      lo = hi;
      hi += d;
      if (!isfinite(hi)) return INFINITY;
    }
  } else {
    for (; lo > t && watch(w, e, r, lo, dpi_st_flow_at) != was; d *= 2) {
      hi = lo;
      lo -= d;
    }
    if (lo < t) lo = t;
  }
  return narrow(w, e, r, lo, hi, was, dpi_st_flow_at);
}

static double affine_next(dpi_st_bench *w, int e) {
  const dpi_st_event *v = &w->spoke->event[e];
  const double t = w->m->t;
  double best = INFINITY;
  dpi_st_flow_at(w, t);
  for (int r = 1; r < v->test.n; r++) {
    const double now = dpi_st_eval(w, &v->test)[r];
    dpi_st_flow_at(w, t + 1);
    const double next = dpi_st_eval(w, &v->test)[r];
    const double root = affine_root(w, e, r, t, now, next);
    if (root < best) best = root;
    dpi_st_flow_at(w, t);
  }
  return best;
}

double dpi_st_event_next(dpi_st_bench *w) {
  double best = INFINITY;
  for (int e = 0; e < w->spoke->nevent; e++) {
    if (w->spoke->event[e].reach != DPI_ST_AFFINE) continue;
    if (!(w->when[e] > w->m->t)) w->when[e] = affine_next(w, e);
    if (w->when[e] < best) best = w->when[e];
  }
  return best;
}

bool dpi_st_event_changed(dpi_st_bench *w, int r) {
  const dpi_st_channel *c = &w->spoke->channel[r];
  bool changed = false;
  for (int k = 0; k < c->nwatch; k++) {
    const int e = c->watch[k];
    w->when[e] = NAN;
    changed = changed || (dpi_st_value(w, &w->spoke->event[e].test) != 0) != w->m->truth[e];
  }
  return changed;
}

/* ---- scheduling ---- */

static bool schedule(dpi_st_bench *w, int e) {
  dpi_st_member *m = w->m;
  const dpi_st_spoke *sp = w->spoke;
  const dpi_st_event *v = &sp->event[e];
  const int width = dpi_st_due_width(sp);
  if (m->pool.n >= SCHEDULED_MOST)
    return dpi_st_fail(w, m->t, "event '%s': too many executions are scheduled", law(w, e)->id);
  if (dpi_event_pool_room(sp->base.ctx, &m->pool, m->pool.n + 1, width) != DP_OK) return dpi_st_no_memory(w);
  for (int k = 0; k < v->ntrigger; k++)
    if (!dpi_st_draw(w, v->trigger_draw[k])) return false;
  const double delay = v->delay.tape ? dpi_st_value(w, &v->delay) : 0;
  if (!(delay >= 0) || !isfinite(delay))
    return dpi_st_fail(w, m->t, "event '%s': delay is %g, expected a finite number, not negative", law(w, e)->id,
                       delay);
  double *vec = dpi_event_pool_add(&m->pool, width, dpi_event_pool_time(m->t, delay), e);
  if (law(w, e)->from_trigger && v->act.tape) memcpy(vec, dpi_st_eval(w, &v->act), sizeof *vec * (size_t)v->act.n);
  for (int k = 0; k < v->ntrigger; k++) vec[sp->nassign_max + k] = w->sym[sp->model->draw[v->trigger_draw[k]].sym];
  return true;
}

/* Compare all triggers with what they were. */
static bool triggers(dpi_st_bench *w) {
  dpi_st_member *m = w->m;
  for (int e = 0; e < w->spoke->nevent; e++) {
    const bool now = dpi_st_value(w, &w->spoke->event[e].test) != 0, was = m->truth[e];
    if (now == was) continue;
    m->truth[e] = now;
    if (now && !schedule(w, e)) return false;
    if (!now && !law(w, e)->persistent) dpi_event_pool_revoke(&m->pool, dpi_st_due_width(w->spoke), e);
  }
  return true;
}

/* ---- executing ---- */

/* The draws that due execution i made when it was triggered. */
static void recall(dpi_st_bench *w, int i) {
  const dpi_st_spoke *sp = w->spoke;
  const dpi_st_event *v = &sp->event[w->m->pool.due[i].event];
  const double *vec = w->m->pool.vec + (size_t)dpi_st_due_width(sp) * (size_t)i + sp->nassign_max;
  for (int k = 0; k < v->ntrigger; k++) w->sym[sp->model->draw[v->trigger_draw[k]].sym] = vec[k];
}

static bool priority_of(void *bench, int i, double *p) {
  dpi_st_bench *w = bench;
  const int e = w->m->pool.due[i].event;
  *p = -INFINITY; /* an event without priority comes after those with one */
  if (!w->spoke->event[e].priority.tape) return true;
  recall(w, i);
  *p = dpi_st_value(w, &w->spoke->event[e].priority);
  return !isnan(*p) || dpi_st_fail(w, w->m->t, "event '%s': its priority is not a number", law(w, e)->id);
}

static int lot(void *bench, int n) {
  dpi_rng rng = dpi_st_rng(bench);
  const int i = (int)(dpi_rng_uniform(&rng) * n);
  dpi_st_rng_put(bench, &rng);
  return i < n ? i : n - 1;
}

static const dpi_event_law EVENT_LAW = {priority_of, lot};

/* Assign; true in *param when a parameter was among them. */
static void assign(dpi_st_bench *w, int e, const double *v, bool *param) {
  const dpi_st_spoke *sp = w->spoke;
  for (int a = 0; a < law(w, e)->nassign; a++) {
    const int sym = law(w, e)->assign[a].sym;
    if (sym <= sp->nstate) {
      w->sym[sym] = dpi_st_snap(w, sym, v[a]);
      continue;
    }
    for (int k = 0; k < sp->nparam; k++) {
      if (sp->param_sym[k] != sym) continue;
      w->m->param[k] = v[a];
      *param = true;
    }
  }
}

/* Does time move on at all? */
static bool calm(dpi_st_bench *w, int e) {
  const double t = w->m->t;
  int other;
  if (dpi_event_calm(&w->storm, t, e, &other)) return true;
  if (other == e) return dpi_st_fail(w, t, "event '%s' triggers itself without end", law(w, e)->id);
  return dpi_st_fail(w, t, "events '%s' and '%s' trigger each other without end", law(w, other)->id, law(w, e)->id);
}

static bool execute(dpi_st_bench *w, int i) {
  dpi_st_member *m = w->m;
  const dpi_st_spoke *sp = w->spoke;
  const int e = m->pool.due[i].event, na = law(w, e)->nassign, width = dpi_st_due_width(sp);
  const dpi_st_event *v = &sp->event[e];
  const bool from_trigger = law(w, e)->from_trigger;
  recall(w, i);
  if (from_trigger) memcpy(w->held, m->pool.vec + (size_t)width * (size_t)i, sizeof(double) * (size_t)na);
  if (from_trigger && v->times.tape) {
    const double *by = dpi_st_eval(w, &v->times);
    for (int a = 0; a < na; a++) w->held[a] *= by[a];
  }
  dpi_event_pool_remove(&m->pool, width, i);
  for (int k = 0; !from_trigger && k < v->nexecution; k++)
    if (!dpi_st_draw(w, v->execution_draw[k])) return false;
  if (!from_trigger && na) memcpy(w->held, dpi_st_eval(w, &v->act), sizeof(double) * (size_t)na);
  for (int a = 0; a < na; a++)
    if (law(w, e)->assign[a].sym <= sp->nstate && !isfinite(w->held[a])) /* a parameter may be infinite or no number */
      return dpi_st_fail(w, m->t, "event '%s' assigns a value that is not finite", law(w, e)->id);
  bool param = false;
  assign(w, e, w->held, &param);
  if (param) dpi_st_bench_params(w);
  return calm(w, e);
}

bool dpi_st_event_run(dpi_st_bench *w) {
  bool any = false;
  for (;;) {
    if (!triggers(w)) return false;
    const int i = dpi_event_pool_choose(&w->m->pool, w->m->t, &EVENT_LAW, w);
    if (i == -2) return false;
    if (i < 0) break;
    if (!execute(w, i)) return false;
    any = true;
  }
  if (!any) return true;
  dpi_st_flow_start(w, w->m->t);
  return dpi_st_refresh(w, w->m->t);
}
