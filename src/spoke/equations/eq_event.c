/* eq_event.c - the model's own events: executions by delay and priority. When triggers change is found by eq_watch.c.
 *
 *     trigger turns true -> scheduled at t + delay -> executed
 *     trigger turns false -> what is not persistent and not executed yet is taken back
 *
 * At one instant, until nothing is left: all triggers are compared with what they were; of what is due the highest
 * priority (evaluated just then; those without one come last) is executed, one of several that tie at random;
 * constraints are settled. So an execution can take back or trigger others at the same instant, and a trigger that
 * turns false and true again within it fires again.
 *
 * Derivatives (Hiskens & Pai 2000, IEEE Trans. Circuits Syst. I 47:204; "saltation"). With dtau as eq_watch.c gives it:
 *     y = S- + f- dtau                         derivative of the state at tau
 *     v+ = h(t, x-, theta),  dv = h_x y + h_theta + h_t dtau     for what is assigned; y for the rest
 *     S+ = (dv or y) - f+ dtau
 * A delayed execution has dtau + d delay. What happens because of a jump (a dose, another event) inherits the jump's
 * dtau.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

static const dpi_model_event *law(const dpi_eq_bench *w, int e) { return &w->spoke->model->event[e]; }
static int due_stride(const dpi_eq_bench *w) { return dpi_eq_due_row(w->spoke, w->ndir); }

void dpi_eq_event_begin(dpi_eq_bench *w) {
  for (int e = 0; e < w->spoke->nevent; e++) w->m->truth[e] = law(w, e)->initial_value;
  for (int q = 0; q < w->ndir; q++) w->cause[q] = 0;
}

/* ---- scheduling ---- */

/* Values and derivatives of event e's assignments now, at a time that moves by dtau: into v [nassign], dv [nassign x
 * ndir]; delay and its derivative into *delay, ddelay unless NULL. */
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
  const int nd = w->ndir, row = due_stride(w);
  if (dpi_event_pool_room(w->spoke->base.ctx, &m->pool, m->pool.n + 1, row) != DP_OK) return dpi_eq_fail_memory(w);
  if (!dpi_eq_draw_now(w, DPI_DRAW_TRIGGER, e)) return false;
  double delay, *vec = dpi_event_pool_add(&m->pool, row, INFINITY, e);
  evaluate(w, e, w->cause, vec + nd, vec + nd + law(w, e)->nassign, &delay, vec);
  if (!(delay >= 0) || !isfinite(delay))
    return dpi_eq_fail(w, m->t, "event '%s': delay is %g, expected a finite number, not negative", law(w, e)->id,
                       delay);
  for (int q = 0; q < nd; q++) vec[q] += w->cause[q];
  m->pool.due[m->pool.n - 1].time = dpi_event_pool_time(m->t, delay);
  return true;
}

/* Compare all triggers with what they were. */
static bool triggers(dpi_eq_bench *w) {
  dpi_eq_member *m = w->m;
  const int ne = w->spoke->nevent;
  dpi_eq_eval(w, &w->spoke->watch.value, m->t, m->x, w->v[3]);
  for (int e = 0; e < ne; e++) {
    const bool now = w->v[3][e] != 0, was = m->truth[e];
    if (now == was) continue;
    m->truth[e] = now;
    if (now && !schedule(w, e)) return false;
    if (!now && !law(w, e)->persistent) dpi_event_pool_revoke(&m->pool, due_stride(w), e);
  }
  return true;
}

/* ---- executing ---- */

/* An event without priority comes after those with one. */
static bool priority_of(void *bench, int i, double *p) {
  dpi_eq_bench *w = bench;
  const int e = w->m->pool.due[i].event;
  *p = -INFINITY;
  if (law(w, e)->priority == DPI_NODE_NONE) return true;
  *p = dpi_eq_eval(w, &w->spoke->event[e].act, w->m->t, w->m->x, NULL)[0];
  return !isnan(*p) || dpi_eq_fail(w, w->m->t, "event '%s': its priority is not a number", law(w, e)->id);
}

static const dpi_event_law EVENT_LAW = {priority_of, dpi_eq_draw_tie};

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

/* Does time move on at all? */
static bool calm(dpi_eq_bench *w, int e) {
  const double t = w->m->t;
  int other;
  if (dpi_event_calm(&w->storm, t, e, &other)) return true;
  if (other == e) return dpi_eq_fail(w, t, "event '%s' triggers itself without end", law(w, e)->id);
  return dpi_eq_fail(w, t, "events '%s' and '%s' trigger each other without end", law(w, other)->id, law(w, e)->id);
}

/* Values from trigger time, of what is a product with something at execution. evaluate has formed y in w->sa. */
static void multiply(dpi_eq_bench *w, int e, const double *dtau, double *v, double *dv) {
  const dpi_eq_map *map = &w->spoke->event[e].times;
  const int nd = w->ndir;
  if (!map->tape) return;
  const double *val = dpi_eq_eval(w, map, w->m->t, w->m->x, NULL);
  dpi_eq_chain(w, map, val, w->sa, dtau, w->act);
  for (int a = 0; a < law(w, e)->nassign; a++) {
    for (int q = a * nd; q < (a + 1) * nd; q++) dv[q] = dv[q] * val[a] + v[a] * w->act[q];
    v[a] *= val[a];
  }
}

static bool execute(dpi_eq_bench *w, int i) {
  dpi_eq_member *m = w->m;
  const int nd = w->ndir, e = m->pool.due[i].event, na = law(w, e)->nassign;
  const double *vec = m->pool.vec + (size_t)due_stride(w) * i;
  double *v = w->held, *dv = w->held + na;
  if (!dpi_eq_draw_now(w, DPI_DRAW_EXECUTION, e)) return false;
  memcpy(w->cause, vec, sizeof(double) * nd);
  evaluate(w, e, w->cause, v, dv, NULL, NULL); /* also forms y in w->sa */
  if (law(w, e)->from_trigger) {
    memcpy(v, vec + nd, sizeof(double) * na * (1 + nd));
    multiply(w, e, w->cause, v, dv);
  }
  dpi_event_pool_remove(&m->pool, due_stride(w), i);
  for (int a = 0; a < na; a++) /* a parameter may be infinite or no number */
    if (law(w, e)->assign[a].sym <= w->spoke->nstate && !isfinite(v[a]))
      return dpi_eq_fail(w, m->t, "event '%s' assigns a value that is not finite", law(w, e)->id);
  assign(w, e, w->cause, v, dv);
  return dpi_eq_settle(w) && calm(w, e);
}

bool dpi_eq_event_run(dpi_eq_bench *w) {
  if (w->spoke->nevent == 0) return true;
  for (;;) {
    if (!triggers(w)) return false;
    const int i = dpi_event_pool_choose(&w->m->pool, w->m->t, &EVENT_LAW, w);
    if (i == -2) return false;
    if (i < 0) return true;
    if (!execute(w, i)) return false;
  }
}
