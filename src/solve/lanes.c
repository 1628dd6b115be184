/* lanes.c - floor 3: a group of lanes: its memory, sending lanes on their way, what a lane's stop means.
 *
 *     idle --send--> on --run--> stopped (covered | stiff | too small | ...) --send--> on ...
 *          <--halt--
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "solve/lanes_impl.h"
#include "solve/solve_rhs.h"

#define MOST_TRIES 1e5 /* steps tried between start and end, where the caller names no number */

/* ---- memory ---- */

static double *row_of(const dpi_lanes *g, const dpi_lanes_regs *r, int row) {
  return row >= 0 ? r->reg + (size_t)row * g->width : NULL;
}

/* A row that is written and read here though the tape may do without. */
static double *own_row(const dpi_lanes *g, const dpi_lanes_regs *r, int row, int spare) {
  return row_of(g, r, row >= 0 ? row : dpi_tape_nreg(r->tape) + spare);
}

static void find_rows(const dpi_lanes *g, dpi_lanes_regs *r) {
  const dpi_tape *tape = r->tape;
  const dpi_system *sys = g->plan->sys;
  const int n = g->n, nd = g->plan->ndir, m = g->plan->step[DPI_FORM_PLAIN].nstage, s_new = dpi_lanes_out_tangent(n, m);
  r->x = r->row;
  r->u = r->row + g->nall;
  r->x_new = (const double **)(void *)(r->row + 2 * g->nall);
  r->stage = r->x_new + g->nall;
  for (int i = 0; i < m * n; i++) r->stage[i] = row_of(g, r, tape->out[dpi_lanes_out_stage(n, 0) + i]);
  r->t = own_row(g, r, dpi_tape_row(tape, 0), 0);
  r->h = own_row(g, r, dpi_tape_row(tape, dpi_lane_sym(sys, DPI_LANE_H)), 1);
  for (int i = 0; i < n; i++) {
    r->x[i] = own_row(g, r, dpi_tape_row(tape, 1 + i), 2 + i);
    r->u[i] = row_of(g, r, dpi_tape_row(tape, dpi_lane_sym(sys, DPI_LANE_U + i)));
    r->x_new[i] = row_of(g, r, tape->out[i]);
  }
  for (int i = 0; i < n * nd; i++) {
    r->x[n + i] = own_row(g, r, dpi_tape_row(tape, dpi_tangent_s(sys, 0, i, nd)), 2 + n + i);
    r->u[n + i] = row_of(g, r, dpi_tape_row(tape, dpi_tangent_u(sys, 0, i, nd)));
    r->x_new[n + i] = row_of(g, r, tape->out[s_new + i]);
  }
  r->size = row_of(g, r, tape->out[dpi_lanes_out_size(n)]);
  r->room = row_of(g, r, tape->out[dpi_lanes_out_room(n)]);
  r->growth = row_of(g, r, tape->out[dpi_lanes_out_growth(n)]);
  r->part = r->stage + m * n;
  for (int k = 0; k < n * g->c.npart; k++) r->part[k] = r->stage[g->c.part[k % g->c.npart] * n + k / g->c.npart];
  r->read = row_of(g, r, dpi_tape_nreg(tape) + 2 + g->nall);
}

static dp_status make_regs(const dpi_lanes *g, const dpi_tape *tape, dpi_lanes_regs *r) {
  const size_t nspare = 2 + (size_t)g->nall + (size_t)g->n;
  r->tape = tape;
  r->size_reg = dpi_tape_lanes_size(tape, g->width) + nspare * (size_t)g->width;
  r->reg = dpi_lanes_alloc(g->ctx, r->size_reg);
  const int nstage = g->plan->step[DPI_FORM_PLAIN].nstage;
  r->row = DPI_NEW_ARRAY(g->ctx, double *, 3 * g->nall + g->n * (nstage + g->c.npart));
  r->scratch = DPI_NEW_ARRAY(g->ctx, double, dpi_tape_nreg(tape));
  if (!r->reg || !r->row || !r->scratch) return DP_ERR_MEMORY;
  dpi_tape_lanes_init(tape, g->width, r->reg);
  dpi_tape_init(tape, r->scratch);
  find_rows(g, r);
  for (int l = 0; l < g->width; l++) r->h[l] = 1.0; /* an empty lane steps from 0 to somewhere */
  return DP_OK;
}

static dp_status make_faces(dpi_lanes *g) {
  const dpi_system *sys = g->plan->sys;
  const size_t nsym = (size_t)dpi_tangent_nsym(sys, g->plan->ndir),
               size = (size_t)(2 * g->nall - g->n) + nsym + (size_t)dpi_tape_nreg(sys->rhs);
  g->work = DPI_NEW_ARRAY(g->ctx, double, 4 * g->n);
  g->block = DPI_NEW_ARRAY(g->ctx, double, (size_t)g->width * size);
  if (!g->work || !g->block) return DP_ERR_MEMORY;
  for (int l = 0; l < g->width; l++) dpi_lane_face_init(g, l, g->block + (size_t)l * size);
  return DP_OK;
}

static bool has_part(const dpi_lane_step *step, int stage) {
  for (int k = 0; k < step->ndense; k++)
    if (step->dense_weight[k * step->nstage + stage] != 0.0) return true;
  return false;
}

static dp_status fill(dpi_lanes *g) {
  const dpi_lane_step *step = &g->plan->step[DPI_FORM_PLAIN];
  g->ncol = (size_t)DPI_COL_COUNT * (size_t)g->width;
  g->c.col = dpi_lanes_alloc(g->ctx, g->ncol);
  if (!g->c.col) return DP_ERR_MEMORY;
  for (int i = 0; i < step->nstage; i++)
    if (has_part(step, i)) g->c.part[g->c.npart++] = i;
  for (int k = 0; k < DPI_NFORM; k++) DP_TRY(make_regs(g, g->plan->tape[k], &g->regs[k]));
  g->c.n = g->nall;
  g->c.nstate = g->n;
  g->c.atol = g->plan->atol_step;
  g->c.regs = &g->regs[DPI_FORM_PLAIN];
  g->c.share = 1.0 / (step->order_error + 1);
  g->c.implicit = step->implicit;
  g->c.step = step;
  for (int l = 0; l < g->width; l++) g->c.col[DPI_COL_NEXT * g->width + l] = INFINITY;
  g->c.limit = step->limit;
  g->c.most = g->plan->opts.max_steps > 0 ? (double)g->plan->opts.max_steps : MOST_TRIES;
  return make_faces(g);
}

static dpi_lanes_go choose_go(int width) {
  return width == 8 ? dpi_lanes_go8 : width == 4 ? dpi_lanes_go4 : width == 2 ? dpi_lanes_go2 : dpi_lanes_go1;
}

dp_status dpi_lanes_create(dp_ctx *ctx, const dpi_lane_plan *plan, int width, dpi_lanes **out) {
  *out = NULL;
  if (width != 0 && width != 1 && width != 2 && width != 4 && width != 8)
    return dpi_fail(ctx, DP_ERR_USAGE, "lanes: found width %d, expected 1, 2, 4, 8 or 0 for the widest", width);
  const dpi_lane_ops *ops = dpi_lane_ops_find(width);
  if (!ops) return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "lanes: this processor can't run %d at once", width);
  dpi_lanes *g = DPI_NEW(ctx, dpi_lanes);
  if (!g) return DP_ERR_MEMORY;
  g->ctx = ctx;
  g->plan = plan;
  g->n = plan->sys->nstate;
  g->nall = g->n * (1 + plan->ndir);
  g->width = ops->width;
  g->c.ops = ops;
  g->go = choose_go(ops->width);
  dp_status status = fill(g);
  if (status != DP_OK) {
    dpi_lanes_destroy(g);
    return status;
  }
  *out = g;
  return DP_OK;
}

void dpi_lanes_destroy(dpi_lanes *g) {
  if (!g) return;
  for (int k = 0; k < DPI_NFORM; k++) {
    dpi_lanes_free(g->ctx, g->regs[k].reg, g->regs[k].size_reg);
    dpi_free(g->ctx, g->regs[k].row);
    dpi_free(g->ctx, g->regs[k].scratch);
  }
  dpi_lanes_free(g->ctx, g->c.col, g->ncol);
  dpi_free(g->ctx, g->work);
  dpi_free(g->ctx, g->block);
  dpi_free(g->ctx, g);
}

int dpi_lanes_width(const dpi_lanes *g) { return g->width; }
dpi_solver *dpi_lanes_solver(dpi_lanes *g, int lane) { return &g->face[lane].base; }
dpi_solve_outcome dpi_lanes_outcome(const dpi_lanes *g, int lane) { return g->face[lane].outcome; }

/* ---- stopping ---- */

static long most_steps(const dpi_lane_face *f) { return (long)f->g->c.most; }

static void count_work(dpi_lanes *g, dpi_lane_face *f) {
  double *taken = dpi_lanes_own(g, DPI_COL_TAKEN, f->lane);
  const double left = *dpi_lanes_own(g, DPI_COL_LEFT, f->lane);
  f->base.nstep += (long)*taken;
  f->base.nreject += (long)(f->left - left - *taken);
  f->left = left;
  *taken = 0.0;
}

void dpi_lanes_show(dpi_lanes *g, int lane) {
  dpi_lane_face *f = &g->face[lane];
  const dpi_lanes_regs *r = &g->regs[f->form];
  for (int i = 0; i < g->nall; i++) f->x[i] = r->x[i][lane];
  dpi_lane_face_fewer(f);
  f->base.t_prev = f->base.t_now = r->t[lane];
  f->h_prev = 0.0;
  f->moved = false;
  count_work(g, f);
}

/* The step under way was accepted and covers what was asked for. */
static void show_step(dpi_lanes *g, dpi_lane_face *f) {
  const dpi_lanes_regs *r = &g->regs[f->form];
  const int l = f->lane;
  for (int i = 0; i < g->nall; i++) f->x[i] = r->x_new[i][l];
  dpi_lane_face_fewer(f);
  f->base.t_prev = r->t[l];
  f->base.t_now = *dpi_lanes_own(g, DPI_COL_T_NEW, l);
  f->h_prev = r->h[l];
  f->moved = true;
  count_work(g, f);
}

/* The state that changes fastest for its size, "" when there is none. */
static const char *fastest(dpi_lane_face *f) {
  const dpi_lanes *g = f->g;
  const dpi_system *sys = g->plan->sys;
  const int32_t *at = dpi_tape_run(sys->rhs, f->base.t_now, f->x, f->reg_rhs);
  int best = -1;
  double most = 0.0;
  for (int i = 0; i < g->n; i++) {
    const double speed = fabs(f->reg_rhs[at[i]]) / (fabs(f->x[i]) + g->plan->atol_step[i]);
    if (speed > most) most = speed, best = i;
  }
  return best >= 0 ? dpi_solve_state_id(sys, best) : "nothing";
}

/* Outcome and reason of a lane that can't go on. */
static dpi_solve_outcome say(dpi_lanes *g, dpi_lane_face *f, int stop) {
  char *why = f->base.reason;
  const size_t size = sizeof f->base.reason;
  const double t = f->base.t_now, h = g->regs[f->form].h[f->lane];
  switch (stop) {
    case DPI_LANES_HELD:
      if (!g->c.implicit) {
        snprintf(why, size, "at t = %.10g: stiff, steps of %.3g are held by stability", t, h);
        return DPI_SOLVE_STIFF;
      }
      snprintf(why, size, "at t = %.10g: the linear equations of a step of %.3g can't be solved without pivoting", t,
               h);
      return DPI_SOLVE_PIVOT;
    case DPI_LANES_TINY:
      if (isinf(g->regs[f->form].size[f->lane])) {
        snprintf(why, size, "at t = %.10g: no step, however small, gives finite values", t);
        return DPI_SOLVE_NONFINITE;
      }
      snprintf(why, size, "at t = %.10g: the step fell to %.3g; %s changes fastest", t, h, fastest(f));
      return DPI_SOLVE_TOO_SMALL;
    default:
      snprintf(why, size, "at t = %.10g: %ld steps since the start and not at %.10g", t, most_steps(f),
               *dpi_lanes_own(g, DPI_COL_T_END, f->lane));
      return DPI_SOLVE_MAX_STEPS;
  }
}

static void stopped(dpi_lanes *g, int lane) {
  dpi_lane_face *f = &g->face[lane];
  const int stop = (int)*dpi_lanes_own(g, DPI_COL_STOP, lane);
  if (stop == DPI_LANES_COVERED) {
    show_step(g, f);
    f->outcome = DPI_SOLVE_OK;
    return;
  }
  dpi_lanes_show(g, lane);
  f->outcome = say(g, f, stop);
}

/* ---- going ---- */

/* The rows in use hold x_now at t_now. */
static void load(dpi_lanes *g, dpi_lane_face *f) {
  const int l = f->lane;
  f->form = (int)(g->c.regs - g->regs);
  dpi_lane_face_prepare(f, f->form);
  for (int i = 0; i < g->nall; i++) g->c.regs->x[i][l] = f->x[i];
  g->c.regs->t[l] = f->base.t_now;
  f->moved = false;
  if (!f->fresh) return;
  f->fresh = false;
  *dpi_lanes_own(g, DPI_COL_PACE, l) = *dpi_lanes_own(g, DPI_COL_LATELY, l) = 0.0;
  *dpi_lanes_own(g, DPI_COL_HELD, l) = *dpi_lanes_own(g, DPI_COL_QUIET, l) = *dpi_lanes_own(g, DPI_COL_HELD_ALL, l) =
      0.0;
  g->c.again &= ~(1u << l);
  if (f->left < 0.0) f->left = *dpi_lanes_own(g, DPI_COL_LEFT, l) = (double)most_steps(f);
}

void dpi_lanes_send(dpi_lanes *g, int lane, double t_end, double attend) {
  dpi_lane_face *f = &g->face[lane];
  const uint32_t bit = 1u << lane;
  f->outcome = DPI_SOLVE_OK;
  g->c.on &= ~bit;
  g->done |= bit;
  g->c.log[lane].done = 0;
  *dpi_lanes_own(g, DPI_COL_NEXT, lane) = INFINITY;
  if (!(t_end > f->base.t_now)) return;
  if (f->moved || f->fresh || g->c.regs != &g->regs[f->form]) load(g, f);
  f->h_prev = 0.0;
  const bool arrived = *dpi_lanes_own(g, DPI_COL_T_END, lane) == f->base.t_now;
  *dpi_lanes_own(g, DPI_COL_T_END, lane) = t_end;
  if (f->left <= 0.0) {
    f->outcome = say(g, f, DPI_LANES_SPENT);
    return;
  }
  const double longest = dpi_solve_step_limit(&f->base);
  double *wish = dpi_lanes_own(g, DPI_COL_WISH, lane);
  /* also where a first step was as short as the way to the end that it reached: it says nothing about the next one.
   * Only there: who merely looked must change nothing */
  if (*wish == 0.0 || (arrived && *wish <= 4.0 * DPI_LANES_NOTHING * fabs(f->base.t_now))) {
    f->outcome = dpi_lane_face_first(f, t_end, wish);
    if (f->outcome != DPI_SOLVE_OK) return;
  }
  *dpi_lanes_own(g, DPI_COL_ATTEND, lane) = attend;
  *dpi_lanes_own(g, DPI_COL_LONGEST, lane) = longest > 0.0 ? longest : INFINITY;
  g->c.on |= bit;
  g->done &= ~bit;
}

void dpi_lanes_record(dpi_lanes *g, int lane, const double *t, int n, double *x) {
  if (n < 1) return;
  g->c.log[lane] = (dpi_lanes_log){t, x, n, 0};
  *dpi_lanes_own(g, DPI_COL_NEXT, lane) = t[0];
}

int dpi_lanes_recorded(const dpi_lanes *g, int lane) { return g->c.log[lane].done; }

void dpi_lanes_log_step(dpi_lanes *g, int lane) {
  const dpi_lane_face *f = &g->face[lane];
  dpi_lanes_log *log = &g->c.log[lane];
  double *next = dpi_lanes_own(g, DPI_COL_NEXT, lane);
  const double t_new = *dpi_lanes_own(g, DPI_COL_T_NEW, lane), h = g->regs[f->form].h[lane];
  while (*next <= t_new) {
    dpi_lane_face_inside(f, t_new, h, *next, log->x);
    log->x += g->n;
    *next = ++log->done < log->n ? log->t[log->done] : INFINITY;
  }
}

void dpi_lanes_halt(dpi_lanes *g, int lane) {
  const uint32_t bit = 1u << lane;
  g->done &= ~bit;
  if (!(g->c.on & bit)) return;
  g->c.on &= ~bit;
  dpi_lanes_show(g, lane);
}

/* Go on in this form: the columns of running lanes move over; idle ones keep their last step where it is. */
static void change_form(dpi_lanes *g, int form) {
  const dpi_lanes_regs *to = &g->regs[form];
  g->c.regs = to;
  for (int l = 0; l < g->width; l++) {
    dpi_lane_face *f = &g->face[l];
    const dpi_lanes_regs *from = &g->regs[f->form];
    if (!(g->c.on >> l & 1u) || from == to) continue;
    dpi_lane_face_prepare(f, form);
    f->form = form;
    for (int i = 0; i < g->nall; i++) to->x[i][l] = from->x[i][l];
    to->t[l] = from->t[l];
    to->h[l] = from->h[l];
  }
}

static int form_wanted(const dpi_lanes *g) {
  for (int l = 0; l < g->width; l++)
    if ((g->c.on >> l & 1u) && g->face[l].has_input) return DPI_FORM_INPUT;
  return DPI_FORM_PLAIN;
}

uint32_t dpi_lanes_run(dpi_lanes *g) {
  uint32_t mask = g->done;
  g->done = 0;
  if (mask != 0 || g->c.on == 0) return mask;
  change_form(g, form_wanted(g));
  while (mask == 0) {
    const uint32_t stop = g->go(&g->c);
    for (int l = 0; l < g->width; l++) {
      const uint32_t bit = 1u << l;
      if (!(stop & bit)) continue;
      if (*dpi_lanes_own(g, DPI_COL_STOP, l) == DPI_LANES_ZERO && dpi_lanes_pass_zero(g, l)) {
        g->c.on |= bit;
        continue;
      }
      stopped(g, l);
      mask |= bit;
    }
  }
  return mask;
}

void dpi_lanes_single(dpi_lanes *g, int lane, double t_end) {
  const uint32_t others = ~(1u << lane), on = g->c.on & others, done = g->done & others, again = g->c.again & others;
  g->c.on = g->done = 0;
  dpi_lanes_send(g, lane, t_end, g->face[lane].base.t_now);
  (void)dpi_lanes_run(g);
  g->c.on = on;
  g->done = done;
  g->c.again |= again; /* the others' last tries: whoever steps alone knows of its own only */
}
