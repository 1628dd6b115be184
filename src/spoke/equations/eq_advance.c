/* eq_advance.c - one member from where it stands to a time: from discontinuity to discontinuity.  D, U -> O, Q
 *
 *     what is next?  a dose's arrival or end, a model event  |  an instant  |  an output  |  the end of this advance
 *     extend the path until it covers that time, then let it happen
 *
 * The solver is started after each discontinuity and steps towards the next one that is known, never towards an output:
 * an output is read from dense output of the step that covers it. The end of an advance is read in the same way and the
 * next advance starts anew there; so results at outputs depend neither on other outputs nor (beyond the tolerance of a
 * restart) on how a run is cut into advances, and a run that goes on from saved bytes gives the same bytes.
 *
 * Nobody here steps the solver: `next` does all that can be done on the path as far as it is known, then says how far
 * it must go on; who drives takes steps and shows each to `stepped`. One member alone is driven by a plain loop (at the
 * end of this file), several in lanes by eq_lanes.c.
 *
 *     begin -> next -> WANTS_STEP -> (solver steps) -> stepped -> next -> ... -> DONE | FAILED
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

#define CROWD 20000    /* happenings after which the pace is looked at */
#define CROWD_MOST 1e8 /* at that pace still to come: hours */

/* ---- the path ---- */

/* A comparison with a value that is none would be false without a word. */
static bool has_values(dpi_eq_bench *w) {
  for (int k = 0; k < w->spoke->nparam; k++)
    if (w->spoke->param_needed[k] && isnan(w->m->param[k]))
      return dpi_eq_fail(w, w->m->t, "the equations can't start");
  return true;
}

static bool path_start(dpi_eq_bench *w) {
  dpi_solver *s = w->solver;
  const dpi_eq_member *m = w->m;
  if (!has_values(w)) return false;
  if (!dpi_eq_bind(w) || (m->history && !dpi_eq_history_start(w))) return false;
  s->ops->input(s, w->have_input ? w->u : NULL, w->have_input && w->ndir ? w->du : NULL);
  const dpi_solve_outcome o = s->ops->start(s, m->t, m->x, w->ndir ? m->s : NULL);
  if (o != DPI_SOLVE_OK) return dpi_eq_fail_solver(w, s, o);
  w->live = true;
  w->piece++;
  w->looked = m->t;
  w->scale = -1;
  w->found = INFINITY;
  if (w->spoke->watch.nmark) dpi_eq_watch_marks(w, m->t);
  return !w->trace || dpi_eq_trace_start(w);
}

/* Where the solver may step to from here: the next known discontinuity. Behind the last one an exact method goes to the
 * end of this advance; others may go beyond it, so that the end does not shape their steps. */
static double path_target(dpi_eq_bench *w) {
  const double horizon = w->next.horizon;
  double t = horizon;
  if (w->spoke->fixed)
    t = w->next.first; /* steps of a fixed length end wherever somebody looks */
  else if (w->spoke->whole)
    t = horizon < w->limit ? horizon : w->limit;
  else if (!isfinite(horizon))
    t = w->limit + (w->limit - w->m->t) + 1;
  return w->spoke->watch.nmark ? dpi_eq_watch_stop(w, w->solver->t_now, t) : t;
}

/* Does anything that is watched hang on the path, not on time alone? */
static bool watches_path(const dpi_eq_bench *w) { return dpi_eq_watches(w) && !w->spoke->watch.all_timed; }

/* What is watched, kept or summed up is so step by step. */
static bool looks_at_steps(const dpi_eq_bench *w) { return watches_path(w) || w->def->nfunctional || w->m->history; }

/* Until when nobody needs to see the path. */
static double path_attend(const dpi_eq_bench *w) {
  if (looks_at_steps(w)) return w->solver->t_now;
  return w->next.first < w->target ? w->next.first : w->target;
}

/* Let events and functionals see what the last step added. */
static void path_look(dpi_eq_bench *w) {
  const dpi_solver *s = w->solver;
  double to = s->t_now < w->limit ? s->t_now : w->limit;
  double when;
  if (to <= w->looked || isfinite(w->found)) return; /* nothing beyond a trigger is true */
  if (watches_path(w) ? dpi_eq_watch_find(w, w->looked, to, &when) : dpi_eq_watch_due(w, to, &when))
    to = w->found = when;
  if (w->def->nfunctional) dpi_eq_path_look(w, w->looked, to);
  w->looked = to;
}

bool dpi_eq_member_stepped(dpi_eq_bench *w, dpi_solve_outcome o) {
  dpi_solver *s = w->solver;
  w->piece++;
  if (o != DPI_SOLVE_OK) return dpi_eq_fail_solver(w, s, o);
  if (!dpi_eq_finite(s->x_now, w->spoke->nstate)) return dpi_eq_fail(w, s->t_now, "a state is not finite");
  if (!isfinite(s->t_now)) return dpi_eq_fail(w, w->m->t, "the solver left the line of time");
  if (w->m->history && !dpi_eq_history_step(w)) return false;
  path_look(w);
  if (isfinite(w->found)) w->next.known = false;
  return true;
}

/* State on the covered path. */
static void path_read(const dpi_eq_bench *w, double t, double *x, double *s) {
  const dpi_solver *y = w->solver;
  const int n = w->spoke->nstate, nd = w->ndir;
  if (t != y->t_now) {
    y->ops->dense(w->solver, t, x, nd ? s : NULL);
    return;
  }
  for (int j = 0; j < n; j++) x[j] = y->x_now[j];
  for (int i = 0; i < n * nd; i++) s[i] = y->sens_now[i];
}

bool dpi_eq_reach(dpi_eq_bench *w, double t) {
  dpi_eq_member *m = w->m;
  if (t > m->t) {
    if (!w->live || w->solver->t_now < t) return dpi_eq_fail(w, t, "the path is not known so far");
    path_read(w, t, m->x, m->s);
    if (m->history) dpi_eq_history_cut(w, t);
    m->t = t;
    if (!dpi_eq_finite(m->x, w->spoke->nstate)) return dpi_eq_fail(w, t, "a state is not finite");
    if (w->trace && !dpi_eq_trace_reach(w, t)) return false;
  }
  w->live = false;
  w->found = INFINITY;
  return true;
}

/* ---- outputs ---- */

/* A row of outputs at t from state x, and sensitivities s. */
static void emit_row(dpi_eq_bench *w, double t, const double *x, const double *s) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_member_out *out = w->out;
  const int no = sp->noutput, nd = w->ndir;
  double *value = out->value + (size_t)out->ndone * no;
  const bool der = nd > 0 && out->dvalue;
  if (sp->out_state && !der) {
    for (int i = 0; i < no; i++) value[i] = x[sp->out_state[i]];
    return;
  }
  const double *val = dpi_eq_eval(w, der ? &sp->out_der : &sp->out, t, x, NULL);
  for (int i = 0; i < no; i++) value[i] = val[i];
  if (der) dpi_eq_chain(w, &sp->out_der, val, s, NULL, out->dvalue + (size_t)out->ndone * no * nd);
}

static bool emit(dpi_eq_bench *w, double t) {
  dpi_eq_member *m = w->m;
  const double *x = m->x, *s = m->s;
  if (t > m->t && t == w->limit && !w->trace && !dpi_eq_reach(w, t)) return false; /* the end would be read anyhow */
  if (t > m->t) {
    path_read(w, t, w->xs, w->ss);
    x = w->xs;
    s = w->ss;
    if (!dpi_eq_finite(x, w->spoke->nstate)) return dpi_eq_fail(w, t, "a state is not finite");
  }
  emit_row(w, t, x, s);
  if (w->trace && !dpi_eq_trace_output(w, w->out->ndone, t, x, t > m->t)) return false;
  w->out->ndone++;
  return true;
}

bool dpi_eq_member_recorded(dpi_eq_bench *w, int n) {
  const int nstate = w->spoke->nstate;
  for (int i = 0; i < n; i++) {
    const double t = w->record_t[i], *x = w->record_x + (size_t)i * (size_t)nstate;
    if (!dpi_eq_finite(x, nstate)) return dpi_eq_fail(w, t, "a state is not finite");
    emit_row(w, t, x, NULL);
    w->out->ndone++;
    w->next.known = false;
  }
  w->nrecord = 0;
  return true;
}

/* ---- the loop ---- */

/* What happened at m->t comes back through delays. */
static bool jumped(dpi_eq_bench *w) { return !w->m->history || dpi_eq_history_jump(w); }

static bool member_begin(dpi_eq_bench *w) {
  dpi_eq_member *m = w->m;
  m->begun = true;
  if (!dpi_eq_draw_started(w)) return false;
  if (!dpi_eq_finite(m->x, w->spoke->nstate - w->spoke->sys->nalgebraic))
    return dpi_eq_fail(w, m->t, "an initial value is not finite");
  if (m->history) dpi_eq_history_begin(w);
  if (!dpi_eq_settle(w)) return false;
  dpi_eq_event_begin(w);
  return dpi_eq_event_run(w) && jumped(w);
}

/* Somebody may have set the state since the last advance. */
static bool member_resume(dpi_eq_bench *w) {
  if (!w->m->edited) return true;
  w->m->edited = false;
  for (int q = 0; q < w->ndir; q++) w->cause[q] = 0;
  return dpi_eq_settle(w) && dpi_eq_event_run(w) && jumped(w);
}

/* Rates that jump back and forth without time moving on: the solver has to go along their border by itself. */
static void count_chatter(dpi_eq_bench *w, double t) {
  const double least = 1e-9 * (1 + fabs(t));
  w->chatter = t - w->chatter_t < least ? w->chatter + 1 : 0;
  w->chatter_t = t;
}

/* Events or jumps of the rates so close to each other that, at this pace, the end would not be reached. */
static bool not_crowded(dpi_eq_bench *w, double t) {
  if (w->crowd == 0) w->crowd_t = t;
  if (++w->crowd <= CROWD) return true;
  const double pace = CROWD / (t - w->crowd_t), since = w->crowd_t;
  w->crowd = 0;
  if ((w->limit - t) * pace <= CROWD_MOST) return true;
  if (w->storm.n == 0)
    return dpi_eq_fail(w, t, "the rates jump too often for the end to be reached: %d times since time %.9g", CROWD,
                       since);
  return dpi_eq_fail(w, t,
                     "event '%s' and the like happen too often for the end to be reached: %d times since time %.9g",
                     w->spoke->model->event[w->storm.event].id, CROWD, since);
}

/* Something under way happens at real time t: a dose arrives or ends, a trigger or a rate changes, a delayed event is
 * due, a jump comes back. */
static bool under_way(dpi_eq_bench *w, double t, int dose) {
  const bool root = t == w->found;
  /* a jump that comes back through a delay is no new jump */
  const bool jump = root || dose >= 0 || dpi_event_pool_next(&w->m->pool) <= t;
  if (root && w->ndir) dpi_eq_watch_left(w, w->fa);
  if (!dpi_eq_reach(w, t) || (dose < 0 && !not_crowded(w, t))) return false;
  if (root && w->spoke->watch.nswitch) count_chatter(w, t);
  if (dpi_eq_watches(w)) {
    const int nd = w->ndir;
    const dpi_eq_dose *d = dose >= 0 ? &w->m->dose[dose] : NULL;
    for (int q = 0; q < nd; q++) w->cause[q] = d ? w->m->vec[3 * nd * dose + (d->running ? nd : 0) + q] : 0;
    if (root) dpi_eq_watch_cross(w, w->fa);
  }
  if (w->m->history && !dpi_eq_history_pass(w)) return false;
  if (dose >= 0 && !dpi_eq_dose_happen(w, dose)) return false;
  return dpi_eq_settle(w) && dpi_eq_event_run(w) && (!jump || jumped(w));
}

static bool happen_instant(dpi_eq_bench *w, const dpi_coming *n) {
  dpi_timeline_pass(&w->m->line, w->def, n);
  if (!dpi_eq_instant(w, n)) return false;
  if (w->spoke->nevent == 0 && !w->spoke->settles && !w->m->history) return true;
  for (int q = 0; q < w->ndir; q++) w->cause[q] = q == w->def->instant[n->instant].dir_time ? 1 : 0;
  return dpi_eq_reach(w, n->t) && dpi_eq_settle(w) && dpi_eq_event_run(w) && jumped(w);
}

/* What comes next up to w->limit, and how far the path must be known for it. */
static void look_ahead(dpi_eq_bench *w) {
  dpi_eq_next *k = &w->next;
  k->line = dpi_timeline_next(&w->m->line, w->def);
  const bool instant = dpi_timeline_before_output(w->def, w->out->ndone, &k->line);
  const bool output = !instant && w->out->ndone < w->def->nout;
  k->t = instant ? k->line.t : (output ? dpi_real(w->def->out[w->out->ndone].time) : INFINITY);
  k->what = instant ? DPI_EQ_INSTANT : DPI_EQ_OUTPUT;
  double way = dpi_event_pool_next(&w->m->pool), arrival = INFINITY;
  k->dose = dpi_eq_dose_next(w, &arrival);
  const double back = dpi_eq_history_break(w);
  if (arrival < way) way = arrival;
  if (back < way) way = back;
  k->horizon = way < k->line.t ? way : k->line.t;
  if (w->found < way) way = w->found;
  k->before = way < k->line.t ? way : k->line.t;
  if (way <= k->t) {
    k->what = DPI_EQ_WAY;
    k->t = way;
    if (way != arrival) k->dose = -1;
  }
  if (!(k->t <= w->limit)) {
    k->what = DPI_EQ_END;
    k->t = w->limit;
  }
  k->first = k->t;
  k->known = true;
}

/* Outputs before anything else happens need no stop each: who drives records the states there. */
static void plan_record(dpi_eq_bench *w) {
  const double before = w->next.before < w->limit ? w->next.before : w->limit;
  const double end = before < w->target ? before : w->target;
  int k = w->out->ndone;
  for (; k < w->def->nout && w->nrecord < DPI_EQ_RECORD; k++) {
    const double t = dpi_real(w->def->out[k].time);
    if (!(t < end)) break;
    w->record_t[w->nrecord++] = t;
  }
  if (w->nrecord > 0) w->attend = w->nrecord < DPI_EQ_RECORD ? end : w->record_t[w->nrecord - 1];
}

/* A model event may lie before what comes next on a path that is not known yet; and though a dose that waits for its
 * lag does not need the path, what the next target of the solver is must not depend on who asked first. */
static dpi_eq_need cover(dpi_eq_bench *w) {
  if (!w->live && !path_start(w)) return DPI_EQ_FAILED;
  if (w->solver->t_now >= w->next.first) return DPI_EQ_DONE;
  w->target = path_target(w);
  w->attend = path_attend(w);
  w->nrecord = 0;
  if (w->record_x && w->next.what == DPI_EQ_OUTPUT && !looks_at_steps(w) && !w->trace && !w->spoke->fixed)
    plan_record(w);
  return DPI_EQ_WANTS_STEP;
}

bool dpi_eq_happen(dpi_eq_bench *w, const dpi_eq_next *k) {
  switch (k->what) {
    case DPI_EQ_WAY: return under_way(w, k->t, k->dose);
    case DPI_EQ_INSTANT: return happen_instant(w, &k->line);
    case DPI_EQ_OUTPUT: return emit(w, k->t < w->m->t ? w->m->t : k->t);
    case DPI_EQ_END: break;
  }
  if (w->limit > w->m->t && !dpi_eq_reach(w, w->limit)) return false;
  w->m->now = w->to;
  return dpi_eq_path_close(w, w->to);
}

/* After an output: another one before anything else? Nothing but the output has changed since look_ahead. */
static bool output_again(dpi_eq_bench *w) {
  const dpi_member_out *out = w->out;
  if (out->ndone >= w->def->nout) return false;
  const double t = dpi_real(w->def->out[out->ndone].time);
  if (!(t < w->next.before && t <= w->limit)) return false;
  w->next.t = w->next.first = t;
  return true;
}

static bool happen(dpi_eq_bench *w) {
  if (w->next.what == DPI_EQ_OUTPUT) {
    const double t = w->next.t;
    if (!emit(w, t < w->m->t ? w->m->t : t)) return false;
    w->next.known = output_again(w);
    return true;
  }
  const dpi_eq_next k = w->next;
  w->next.known = false;
  if (w->trace && (k.what == DPI_EQ_WAY || k.what == DPI_EQ_INSTANT)) return dpi_eq_trace_happen(w, &k, dpi_eq_happen);
  return dpi_eq_happen(w, &k);
}

static bool traced_begin(dpi_eq_bench *w, const dpi_eq_next *next) {
  (void)next;
  return member_begin(w);
}

bool dpi_eq_member_begin(dpi_eq_bench *w, dp_time to) {
  w->to = to;
  w->limit = dpi_real(to);
  w->next.known = false;
  if (w->m->begun) return member_resume(w);
  return w->trace ? dpi_eq_trace_happen(w, NULL, traced_begin) : member_begin(w);
}

dpi_eq_need dpi_eq_member_next(dpi_eq_bench *w) {
  for (;;) {
    if (!w->next.known) look_ahead(w);
    const bool end = w->next.what == DPI_EQ_END;
    if (w->next.first > w->m->t) {
      const dpi_eq_need need = cover(w);
      if (need != DPI_EQ_DONE) return need;
    }
    if (!happen(w)) return DPI_EQ_FAILED;
    if (end) return DPI_EQ_DONE;
  }
}

void dpi_eq_member_advance(dpi_eq_bench *w, dp_time to) {
  if (!dpi_eq_member_begin(w, to)) return;
  while (dpi_eq_member_next(w) == DPI_EQ_WANTS_STEP)
    if (!dpi_eq_member_stepped(w, w->solver->ops->step(w->solver, w->target))) return;
}
