/* eq_event.c - the model's own events: triggers found on the path, executions by delay and priority.
 *
 *     trigger turns true -> scheduled at t + delay -> executed (highest priority first, then in the order of scheduling)
 *     trigger turns false -> what is not persistent and not executed yet is taken back
 *
 * A trigger can change only where one of its root functions does. Roots are watched at nodes of each step; a change of sign is
 * narrowed on dense output to neighbouring numbers, so that `time >= 5` happens at exactly 5 and `time > 5` at the next
 * number; then the trigger itself decides.
 *
 * Derivatives (Hiskens & Pai 2000, IEEE Trans. Circuits Syst. I 47:204; "saltation"). With root g(t, x, theta) = 0 at
 * t = tau(theta):
 *     dtau = -(g_x S- + g_theta) / (g_x f- + g_t)
 *     y = S- + f- dtau                         derivative of the state at tau
 *     v+ = h(t, x-, theta),  dv = h_x y + h_theta + h_t dtau     for what is assigned; y for the rest
 *     S+ = (dv or y) - f+ dtau
 * A delayed execution has dtau + d delay. What happens because of a jump (a dose, another event) inherits the jump's dtau.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

#define STORM 10000 /* executions without time moving on */
#define NODES 4     /* in a step */

static const dpi_model_event *law(const dpi_eq_bench *w, int e) { return &w->spoke->model->event[e]; }
static int due_stride(const dpi_eq_bench *w) { return w->ndir + w->spoke->nassign_max * (1 + w->ndir); }

void dpi_eq_event_begin(dpi_eq_bench *w) {
  for (int e = 0; e < w->spoke->nevent; e++) w->m->truth[e] = law(w, e)->initial_value;
  for (int q = 0; q < w->ndir; q++) w->cause[q] = 0;
}

double dpi_eq_event_due(const dpi_eq_member *m) {
  double t = INFINITY;
  for (int i = 0; i < m->ndue; i++)
    if (m->due[i].time < t) t = m->due[i].time;
  return t;
}

/* ---- finding ---- */

static const double *test_at(dpi_eq_bench *w, int e, double t) {
  const dpi_solver *s = w->solver;
  const double *x = s->x_now;
  if (t != s->t_now) {
    s->ops->dense(w->solver, t, w->xs, NULL);
    x = w->xs;
  }
  return dpi_eq_eval(w, &w->spoke->event[e].test, t, x, NULL);
}

static int sign(double v) { return (v > 0) - (v < 0); }

/* Value number r of event e's test at t, as a sign; r = 0: the trigger. */
static int watch(dpi_eq_bench *w, int e, int r, double t) {
  const double v = test_at(w, e, t)[r];
  return r == 0 ? v != 0 : sign(v);
}

/* First number in (lo, hi] at which the watched sign is not `was`; it is not at hi. */
static double narrow(dpi_eq_bench *w, int e, int r, double lo, double hi, int was) {
  for (;;) {
    const double mid = lo + 0.5 * (hi - lo);
    if (!(mid > lo && mid < hi)) return hi;
    if (watch(w, e, r, mid) != was)
      hi = mid;
    else
      lo = mid;
  }
}

/* First change of event e's trigger in (lo, hi] through root r. */
static bool find_root(dpi_eq_bench *w, int e, int r, double lo, double hi, double *when) {
  const int end = watch(w, e, r, hi);
  int was = watch(w, e, r, lo);
  for (int turn = 0; turn < 4 && was != end; turn++) { /* touching zero and leaving it are two changes */
    const double t = narrow(w, e, r, lo, hi, was);
    if (watch(w, e, 0, t) != w->m->truth[e]) {
      *when = t;
      return true;
    }
    lo = t;
    was = watch(w, e, r, t);
  }
  return false;
}

static double next_node(const dpi_eq_bench *w, double t, double from, double to) {
  const double origin = w->solver->t_prev;
  double next = t + (to - from) / NODES;
  if (w->spoke->whole) { /* one step spans the segment: nodes grow from its start */
    const double h = (t - origin) / NODES, h0 = 1e-4 * (to - origin);
    next = t + (h > h0 ? h : h0);
  }
  return next < to ? next : to;
}

bool dpi_eq_event_find(dpi_eq_bench *w, double from, double to, double *when) {
  for (double a = from; a < to;) {
    const double b = next_node(w, a, from, to);
    double best = INFINITY, t;
    for (int e = 0; e < w->spoke->nevent; e++)
      for (int r = w->spoke->event[e].nroot; r >= 0; r--) { /* the trigger itself last: what no root explained */
        if (!find_root(w, e, r, a, best < b ? best : b, &t) || !(t < best)) continue;
        best = t;
        w->found_event = e;
        w->found_root = r - 1;
      }
    if (isfinite(best)) {
      *when = best;
      return true;
    }
    a = b;
  }
  return false;
}

/* The path was left where a root was found: what its time depends on. */
void dpi_eq_event_cause(dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  const dpi_eq_member *m = w->m;
  const dpi_eq_map *map = &sp->event[w->found_event].slope;
  const int n = sp->nstate, na = sp->nactive, nd = w->ndir, r = w->found_root;
  for (int q = 0; q < nd; q++) w->cause[q] = 0;
  if (nd == 0 || r < 0) return;
  dpi_eq_rhs(w, m->t, m->x, w->u, w->fa);
  const double *val = dpi_eq_eval(w, map, m->t, m->x, NULL);
  double speed = 0;
  for (int k = 0; k < map->nder; k++) {
    if (map->row[k] != r) continue;
    const double g = val[map->nvalue + k];
    const int c = map->col[k];
    if (c == n + na) {
      speed += g;
      continue;
    }
    if (c < n) speed += g * w->fa[c];
    const double *row = c < n ? m->s + (size_t)c * nd : m->p + (size_t)(c - n) * nd;
    for (int q = 0; q < nd; q++) w->cause[q] -= g * row[q];
  }
  for (int q = 0; q < nd; q++) w->cause[q] = speed != 0 ? w->cause[q] / speed : 0;
}

/* ---- scheduling ---- */

static void due_remove(dpi_eq_bench *w, int i) {
  dpi_eq_member *m = w->m;
  const size_t row = due_stride(w);
  m->ndue--;
  for (int k = i; k < m->ndue; k++) m->due[k] = m->due[k + 1];
  memmove(m->due_vec + row * i, m->due_vec + row * (i + 1), sizeof(double) * row * (m->ndue - i));
}

/* Values and derivatives of event e's assignments now, at a time that moves by dtau: into v [nassign], dv [nassign x ndir];
 * delay and its derivative into *delay, ddelay unless NULL. */
static void evaluate(dpi_eq_bench *w, int e, const double *dtau, double *v, double *dv, double *delay, double *ddelay) {
  dpi_eq_member *m = w->m;
  const dpi_eq_map *map = &w->spoke->event[e].act;
  const int n = w->spoke->nstate, nd = w->ndir, na = law(w, e)->nassign;
  dpi_eq_rhs(w, m->t, m->x, w->u, w->fa);
  for (int j = 0; j < n; j++)
    for (int q = 0; q < nd; q++) w->sa[j * nd + q] = m->s[j * nd + q] + w->fa[j] * dtau[q];
  const double *val = dpi_eq_eval(w, map, m->t, m->x, NULL);
  dpi_eq_chain(w, map, val, w->sa, dtau, w->act);
  for (int a = 0; v && a < na; a++) v[a] = val[2 + a];
  for (int i = 0; dv && i < na * nd; i++) dv[i] = w->act[2 * nd + i];
  if (!delay) return;
  *delay = val[1];
  for (int q = 0; q < nd; q++) ddelay[q] = w->act[nd + q];
}

static bool schedule(dpi_eq_bench *w, int e) {
  dpi_eq_member *m = w->m;
  dp_ctx *ctx = w->spoke->base.ctx;
  const int nd = w->ndir, row = due_stride(w);
  if (dpi_grow(ctx, (void **)&m->due, &m->cap_due, m->ndue + 1, sizeof *m->due) != DP_OK ||
      dpi_grow(ctx, (void **)&m->due_vec, &m->cap_due_vec, (m->ndue + 1) * row + 1, sizeof *m->due_vec) != DP_OK)
    return dpi_eq_fail_memory(w);
  double *vec = m->due_vec + (size_t)row * m->ndue, delay;
  evaluate(w, e, w->cause, vec + nd, vec + nd + law(w, e)->nassign, &delay, vec);
  if (!(delay >= 0) || !isfinite(delay))
    return dpi_eq_fail(w, m->t, "event '%s': delay is %g, expected a finite number, not negative", law(w, e)->id, delay);
  for (int q = 0; q < nd; q++) vec[q] += w->cause[q];
  m->due[m->ndue++] = (dpi_eq_due){m->t + delay, e, m->serial++};
  return true;
}

/* Compare all triggers with what they were. */
static bool triggers(dpi_eq_bench *w) {
  dpi_eq_member *m = w->m;
  for (int e = 0; e < w->spoke->nevent; e++) {
    const bool now = dpi_eq_eval(w, &w->spoke->event[e].test, m->t, m->x, NULL)[0] != 0, was = m->truth[e];
    if (now == was) continue;
    m->truth[e] = now;
    if (now && !schedule(w, e)) return false;
    for (int i = m->ndue - 1; !now && !law(w, e)->persistent && i >= 0; i--)
      if (m->due[i].event == e) due_remove(w, i);
  }
  return true;
}

/* ---- executing ---- */

/* The due execution that comes first, or -1. */
static int choose(dpi_eq_bench *w) {
  dpi_eq_member *m = w->m;
  int best = -1;
  double best_priority = 0;
  for (int i = 0; i < m->ndue; i++) {
    if (m->due[i].time > m->t) continue;
    double p = -INFINITY; /* an event without priority comes after those with one */
    if (law(w, m->due[i].event)->priority != DPI_NODE_NONE)
      p = dpi_eq_eval(w, &w->spoke->event[m->due[i].event].act, m->t, m->x, NULL)[0];
    const bool first = best < 0 || p > best_priority || (p == best_priority && m->due[i].serial < m->due[best].serial);
    if (!first) continue;
    best = i;
    best_priority = p;
  }
  return best;
}

/* x+, p+ and their directions; S+ = y - f+ dtau. */
static void assign(dpi_eq_bench *w, int e, const double *dtau, const double *v, const double *dv) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_member *m = w->m;
  const int n = sp->nstate, nd = w->ndir;
  for (int i = 0; i < n * nd; i++) m->s[i] = w->sa[i];
  for (int a = 0; a < law(w, e)->nassign; a++) {
    const int sym = law(w, e)->assign[a].sym;
    if (sym <= n) {
      m->x[sym - 1] = v[a];
      memcpy(m->s + (size_t)(sym - 1) * nd, dv + a * nd, sizeof(double) * nd);
      continue;
    }
    for (int k = 0; k < sp->nparam; k++) {
      if (sp->param_sym[k] != sym) continue;
      m->param[k] = v[a];
      if (sp->param_active[k] >= 0) memcpy(m->p + (size_t)sp->param_active[k] * nd, dv + a * nd, sizeof(double) * nd);
    }
  }
  dpi_eq_bench_params(w);
  dpi_eq_rhs(w, m->t, m->x, w->u, w->fb);
  for (int j = 0; j < n; j++)
    for (int q = 0; q < nd; q++) m->s[j * nd + q] -= w->fb[j] * dtau[q];
}

static bool execute(dpi_eq_bench *w, int i) {
  dpi_eq_member *m = w->m;
  const int nd = w->ndir, e = m->due[i].event, na = law(w, e)->nassign;
  const double *vec = m->due_vec + (size_t)due_stride(w) * i;
  double *v = w->held, *dv = w->held + na;
  memcpy(w->cause, vec, sizeof(double) * nd);
  evaluate(w, e, w->cause, v, dv, NULL, NULL); /* also forms y in w->sa */
  if (law(w, e)->from_trigger) memcpy(v, vec + nd, sizeof(double) * na * (1 + nd));
  due_remove(w, i);
  if (!dpi_eq_finite(v, na)) return dpi_eq_fail(w, m->t, "event '%s' assigns a value that is not finite", law(w, e)->id);
  assign(w, e, w->cause, v, dv);
  if (++w->storm > STORM)
    return dpi_eq_fail(w, m->t, "event '%s': events trigger each other without end", law(w, e)->id);
  return true;
}

bool dpi_eq_event_run(dpi_eq_bench *w) {
  for (;;) {
    if (!triggers(w)) return false;
    const int i = choose(w);
    if (i < 0) return true;
    if (!execute(w, i)) return false;
  }
}
