/* st_event.c - the model's own events: triggers, executions by delay and priority, random draws.
 *
 *     trigger turns true -> draws of trigger time, values from trigger time -> scheduled at t + delay
 *     due -> highest priority first; equal priorities: by a random number; without priority: as they were scheduled
 *     trigger turns false -> what is not persistent and not executed yet is taken back
 *
 * Between jumps a trigger changes only through time and flow. Three reaches: still (neither is in it), affine (its
 * roots are affine in both and the flow is straight: the next time is known beforehand), curved (sought on the path). A
 * time that was found is narrowed to neighbouring numbers: `time >= 5` happens at exactly 5, `time > 5` at the next
 * number.
 */
#include "spoke/stochastic/st_impl.h"

#define STORM 10000 /* executions without time moving on */
#define NODES 8     /* places looked at on a piece of path */

static const dpi_model_event *law(const dpi_st_bench *w, int e) { return &w->spoke->model->event[e]; }
static int stride(const dpi_st_spoke *sp) { return sp->nassign_max + sp->ntrigger_max; }

void dpi_st_event_begin(dpi_st_bench *w) {
  for (int e = 0; e < w->spoke->nevent; e++) w->m->truth[e] = law(w, e)->initial_value;
}

void dpi_st_event_forget(dpi_st_bench *w) {
  for (int e = 0; e < w->spoke->nevent; e++) w->when[e] = NAN;
}

double dpi_st_event_due(const dpi_st_member *m) {
  double t = INFINITY;
  for (int i = 0; i < m->ndue; i++)
    if (m->due[i].time < t) t = m->due[i].time;
  return t;
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

static void due_remove(dpi_st_bench *w, int i) {
  dpi_st_member *m = w->m;
  const size_t row = (size_t)stride(w->spoke);
  m->ndue--;
  for (int k = i; k < m->ndue; k++) m->due[k] = m->due[k + 1];
  memmove(m->vec + row * (size_t)i, m->vec + row * (size_t)(i + 1), sizeof(double) * row * (size_t)(m->ndue - i));
}

static bool schedule(dpi_st_bench *w, int e) {
  dpi_st_member *m = w->m;
  const dpi_st_spoke *sp = w->spoke;
  const dpi_st_event *v = &sp->event[e];
  if (m->ndue >= STORM) return dpi_st_fail(w, m->t, "event '%s': too many executions are scheduled", law(w, e)->id);
  if (dpi_st_room(w, 0, m->ndue + 1) != DP_OK) return dpi_st_no_memory(w);
  for (int k = 0; k < v->ntrigger; k++)
    if (!dpi_st_draw(w, v->trigger_draw[k])) return false;
  const double delay = v->delay.tape ? dpi_st_value(w, &v->delay) : 0;
  if (!(delay >= 0) || !isfinite(delay))
    return dpi_st_fail(w, m->t, "event '%s': delay is %g, expected a finite number, not negative", law(w, e)->id,
                       delay);
  double *vec = m->vec + (size_t)stride(sp) * (size_t)m->ndue;
  memset(vec, 0, sizeof *vec * (size_t)stride(sp));
  if (law(w, e)->from_trigger && v->act.tape) memcpy(vec, dpi_st_eval(w, &v->act), sizeof *vec * (size_t)v->act.n);
  for (int k = 0; k < v->ntrigger; k++) vec[sp->nassign_max + k] = w->sym[sp->model->draw[v->trigger_draw[k]].sym];
  m->due[m->ndue++] = (dpi_st_due){m->t + delay, e, m->serial++};
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
    for (int i = m->ndue - 1; !now && !law(w, e)->persistent && i >= 0; i--)
      if (m->due[i].event == e) due_remove(w, i);
  }
  return true;
}

/* ---- executing ---- */

/* The draws that due execution i made when it was triggered. */
static void recall(dpi_st_bench *w, int i) {
  const dpi_st_spoke *sp = w->spoke;
  const dpi_st_event *v = &sp->event[w->m->due[i].event];
  const double *vec = w->m->vec + (size_t)stride(sp) * (size_t)i + sp->nassign_max;
  for (int k = 0; k < v->ntrigger; k++) w->sym[sp->model->draw[v->trigger_draw[k]].sym] = vec[k];
}

/* The due execution that comes first, or -1. Of equal priorities one is chosen with equal chances as they are met. */
static int choose(dpi_st_bench *w) {
  dpi_st_member *m = w->m;
  int best = -1, equal = 0;
  double best_priority = 0;
  for (int i = 0; i < m->ndue; i++) {
    if (m->due[i].time > m->t) continue;
    const dpi_st_map *priority = &w->spoke->event[m->due[i].event].priority;
    double p = -INFINITY; /* an event without priority comes after those with one */
    if (priority->tape) {
      recall(w, i);
      p = dpi_st_value(w, priority);
    }
    bool first = best < 0 || p > best_priority;
    if (!first && p == best_priority && priority->tape) {
      dpi_rng rng = dpi_st_rng(w);
      equal++;
      first = dpi_rng_uniform(&rng) * (equal + 1) < 1;
      dpi_st_rng_put(w, &rng);
    } else if (first) {
      equal = 0;
    }
    if (!first) continue;
    best = i;
    best_priority = p;
  }
  return best;
}

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

static bool execute(dpi_st_bench *w, int i) {
  dpi_st_member *m = w->m;
  const dpi_st_spoke *sp = w->spoke;
  const int e = m->due[i].event, na = law(w, e)->nassign;
  const dpi_st_event *v = &sp->event[e];
  recall(w, i);
  if (law(w, e)->from_trigger) {
    memcpy(w->held, m->vec + (size_t)stride(sp) * (size_t)i, sizeof(double) * (size_t)na);
    due_remove(w, i);
  } else {
    due_remove(w, i);
    for (int k = 0; k < v->nexecution; k++)
      if (!dpi_st_draw(w, v->execution_draw[k])) return false;
    if (na) memcpy(w->held, dpi_st_eval(w, &v->act), sizeof(double) * (size_t)na);
  }
  for (int a = 0; a < na; a++)
    if (!isfinite(w->held[a]))
      return dpi_st_fail(w, m->t, "event '%s' assigns a value that is not finite", law(w, e)->id);
  bool param = false;
  assign(w, e, w->held, &param);
  if (param) dpi_st_bench_params(w);
  if (++w->storm > STORM)
    return dpi_st_fail(w, m->t, "event '%s': events trigger each other without end", law(w, e)->id);
  return true;
}

bool dpi_st_event_run(dpi_st_bench *w) {
  bool any = false;
  for (;;) {
    if (!triggers(w)) return false;
    const int i = choose(w);
    if (i < 0) break;
    if (!execute(w, i)) return false;
    any = true;
  }
  if (!any) return true;
  dpi_st_flow_start(w, w->m->t);
  return dpi_st_refresh(w, w->m->t);
}
