/* lanes_face.c - floor 3: a lane of a group as a dpi_solver, and a group of one lane as a method of its own. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "solve/lane_tableau.h"
#include "solve/lanes_impl.h"
#include "solve/solve_rhs.h"

static dpi_lane_face *self(dpi_solver *s) { return (dpi_lane_face *)s; }

double dpi_lanes_step_size(const dpi_solver *face) { return ((const dpi_lane_face *)face)->h_prev; }

static void lane_destroy(dpi_solver *s) { (void)s; /* the group's */ }

static bool lane_can(const dpi_system *sys) { return sys->nalgebraic == 0 && sys->ndelayed == 0; }

static dp_status lane_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, int max_dir,
                             dpi_solver **out) {
  (void)sys;
  (void)opts;
  (void)max_dir;
  *out = NULL;
  return dpi_fail(ctx, DP_ERR_USAGE, "a lane is made with its group");
}

static const dpi_solver_ops lane_ops = {
    .name = "lane",
    .help = "one lane of a group",
    .can = lane_can,
    .create = lane_create,
    .destroy = lane_destroy,
    .bind = dpi_lane_face_bind,
    .input = dpi_lane_face_input,
    .start = dpi_lane_face_start,
    .step = dpi_lane_face_step,
    .dense = dpi_lane_face_dense,
};

void dpi_lane_face_init(dpi_lanes *g, int lane, double *block) {
  dpi_lane_face *f = &g->face[lane];
  const dpi_system *sys = g->plan->sys;
  f->base = (dpi_solver){.ops = &lane_ops, .ctx = g->ctx, .sys = sys, .opts = g->plan->opts, .x_now = block};
  f->g = g;
  f->lane = lane;
  f->x = block;
  f->fewer = f->x + g->nall;
  f->sym = f->fewer + (g->nall - g->n);
  f->reg_rhs = f->sym + dpi_tangent_nsym(sys, g->plan->ndir);
  f->base.ndir = g->plan->ndir;
  if (g->plan->ndir > 0) f->base.sens_now = f->x + g->n;
  f->fresh = true;
  dpi_tape_init(sys->rhs, f->reg_rhs);
}

void dpi_lane_face_prepare(dpi_lane_face *f, int form) {
  const dpi_lanes *g = f->g;
  const dpi_lanes_regs *r = &g->regs[form];
  if (f->bound[form]) return;
  f->bound[form] = true;
  dpi_tape_lanes_prologue(r->tape, g->width, r->reg, f->lane, f->sym, r->scratch);
}

/* ---- binding ---- */

/* Element i of the plan's [n x ndir] in m, [n x bound directions]: directions that were not bound are zero. */
static double of_bound(const dpi_lane_face *f, const double *m, int i) {
  const int all = f->g->plan->ndir, nd = f->base.ndir;
  return nd == all ? m[i] : i % all < nd ? m[i / all * nd + i % all] : 0.0;
}

void dpi_lane_face_fewer(dpi_lane_face *f) {
  const int all = f->g->plan->ndir, nd = f->base.ndir;
  const double *s = f->x + f->g->n;
  if (nd == all) return;
  for (int i = 0; i < f->g->n * nd; i++) f->fewer[i] = s[i / nd * all + i % nd];
}

/* No input: -0 is added, which changes nothing, not even the sign of a zero. */
static void set_input(dpi_lane_face *f, const double *u, const double *du) {
  dpi_lanes *g = f->g;
  double **row = g->regs[DPI_FORM_INPUT].u;
  f->has_input = false;
  for (int i = 0; i < g->n; i++) {
    if (row[i]) row[i][f->lane] = u && u[i] != 0.0 ? u[i] : -0.0;
    if (u && u[i] != 0.0) f->has_input = true;
  }
  for (int i = g->n; i < g->nall; i++) {
    const double v = du ? of_bound(f, du, i - g->n) : 0.0;
    if (row[i]) row[i][f->lane] = v;
    if (v != 0.0) f->has_input = true;
  }
}

/* What is set once a member besides the model's symbols. */
static void set_directions(dpi_lane_face *f, const double *sym, const double *seed) {
  const dpi_system *sys = f->g->plan->sys;
  const int nd = f->g->plan->ndir;
  for (int i = 0; i < sys->nactive * nd; i++) f->sym[dpi_tangent_p(sys, 0, i, nd)] = of_bound(f, seed, i);
  for (int q = 0; q < nd; q++)
    f->sym[dpi_tangent_scale(sys, q, nd)] = q < f->base.ndir ? dpi_solve_scale(sys, sym, seed, q, f->base.ndir) : 1.0;
}

dp_status dpi_lane_face_bind(dpi_solver *s, const double *sym, const double *seed, int ndir) {
  dpi_lane_face *f = self(s);
  dpi_lanes *g = f->g;
  if (ndir > g->plan->ndir)
    return dpi_fail(s->ctx, DP_ERR_USAGE, "solver: %d directions asked, its step carries %d", ndir, g->plan->ndir);
  if (ndir > 0 && !seed && s->sys->nactive > 0)
    return dpi_fail(s->ctx, DP_ERR_USAGE, "solver: %d directions without seeds", ndir);
  dpi_lanes_halt(g, f->lane);
  s->ndir = ndir;
  s->sens_now = ndir == 0 ? NULL : ndir < g->plan->ndir ? f->fewer : f->x + g->n;
  dpi_tape_prologue(s->sys->rhs, sym, f->reg_rhs);
  memcpy(f->sym, sym, (size_t)s->sys->nsym * sizeof *sym);
  memset(f->bound, 0, sizeof f->bound);
  set_directions(f, sym, seed);
  set_input(f, NULL, NULL);
  f->fresh = true;
  f->h_prev = 0.0;
  return DP_OK;
}

/* What the last step said about the next one is void; its size is still a good guess. */
void dpi_lane_face_input(dpi_solver *s, const double *u, const double *du) {
  dpi_lane_face *f = self(s);
  dpi_lanes_halt(f->g, f->lane);
  set_input(f, u, du);
  f->fresh = true;
  f->h_prev = 0.0;
}

dpi_solve_outcome dpi_lane_face_start(dpi_solver *s, double t, const double *x, const double *sens) {
  dpi_lane_face *f = self(s);
  dpi_lanes *g = f->g;
  dpi_lanes_halt(g, f->lane);
  memmove(f->x, x, (size_t)g->n * sizeof *x);
  for (int i = g->n; i < g->nall; i++) f->x[i] = sens ? of_bound(f, sens, i - g->n) : 0.0;
  dpi_lane_face_fewer(f);
  s->t_prev = s->t_now = t;
  s->reason[0] = '\0';
  f->h_prev = 0.0;
  f->fresh = true;
  f->left = -1.0;
  f->nleap = 0;
  *dpi_lanes_own(g, DPI_COL_WISH, f->lane) = 0.0;
  f->outcome = DPI_SOLVE_OK;
  const int bad = dpi_solve_nonfinite(f->x, g->n);
  if (bad < 0) return DPI_SOLVE_OK;
  snprintf(s->reason, sizeof s->reason, "at t = %.10g: the start value of %s is not finite", t,
           dpi_solve_state_id(s->sys, bad));
  return f->outcome = DPI_SOLVE_NONFINITE;
}

/* ---- the first step's size (E. Hairer, S.P. Norsett, G. Wanner, Solving Ordinary Differential Equations I,
 * II.4) ---- */

bool dpi_lane_face_rate(dpi_lane_face *f, double t, const double *x, double *out) {
  const dpi_lanes *g = f->g;
  const int32_t *at = dpi_tape_run(g->plan->sys->rhs, t, x, f->reg_rhs);
  double *const *u = g->regs[DPI_FORM_INPUT].u, zero = 0.0;
  for (int i = 0; i < g->n; i++) {
    out[i] = f->has_input && u[i] ? f->reg_rhs[at[i]] + u[i][f->lane] : f->reg_rhs[at[i]];
    zero += out[i] - out[i];
  }
  return zero == 0.0;
}

/* Largest |v_i| / (atol_i + rtol |x_i|), these as per_room */
static double scaled(int n, const double *v, const double *per_room) {
  double most = 0.0;
  for (int i = 0; i < n; i++) {
    const double q = fabs(v[i]) * per_room[i];
    if (q > most) most = q;
  }
  return most;
}

/* v^(-1/k) for v in (1e-300, 1e300), within 1 %: the exponent's share from the bits, Newton without a division. */
static double root(double v, int k) {
  const double one = 1023.0 * 4503599627370496.0, part = 1.0 / k; /* bits of 1.0 */
  uint64_t bits;
  double y;
  memcpy(&bits, &v, sizeof bits);
  bits = (uint64_t)(one * (1.0 + part) - (double)bits * part);
  memcpy(&y, &bits, sizeof y);
  for (int turn = 0; turn < 2; turn++) {
    double p = v;
    for (int i = 0; i < k; i++) p *= y;
    y += y * (1.0 - p) * part;
  }
  return y;
}

static double least(double a, double b) { return a < b ? a : b; }

dpi_solve_outcome dpi_lane_face_first(dpi_lane_face *f, double t_end, double *first) {
  const dpi_lanes *g = f->g;
  const dpi_lane_plan *p = g->plan;
  const int n = g->n;
  double *k = g->work, *moved = k + n, *there = moved + n, *per_room = there + n;
  const double t = f->base.t_now, span = t_end - t;
  f->base.nrhs += 2;
  if (!dpi_lane_face_rate(f, t, f->x, k)) {
    dpi_solve_say_nonfinite(&f->base, t, k);
    return DPI_SOLVE_NONFINITE;
  }
  for (int i = 0; i < n; i++) per_room[i] = 1.0 / (p->atol_step[i] + p->rtol_step * fabs(f->x[i]));
  const double d0 = scaled(n, f->x, per_room), d1 = scaled(n, k, per_room);
  double h = d0 > 1e-5 && d1 > 1e-5 ? 0.01 * (d0 / d1) : 1e-6;
  const double small = 1024.0 * DPI_LANES_EPS * fabs(t); /* a state near zero says nothing about steps below */
  if (!(h >= small)) h = small;
  if (!(h <= span)) h = span;
  for (int i = 0; i < n; i++) moved[i] = f->x[i] + h * k[i];
  if (!dpi_lane_face_rate(f, t + h, moved, there)) {
    *first = h * 1e-3;  /* the Euler step left the domain: begin small, the controller finds the way */
    return DPI_SOLVE_OK;
  }
  for (int i = 0; i < n; i++) there[i] -= k[i];
  const double d2 = scaled(n, there, per_room) / h, most = d1 > d2 ? d1 : d2;
  double h1 = h * 1e-3 > 1e-6 ? h * 1e-3 : 1e-6;
  if (most > 1e-15) h1 = root(least(100.0 * most, 1e200), p->step[f->form].order + 1);
  *first = least(least(100.0 * h, h1 > 1e-6 * h ? h1 : 1e-6 * h), span);
  return DPI_SOLVE_OK;
}

/* ---- going alone ---- */

dpi_solve_outcome dpi_lane_face_step(dpi_solver *s, double t_end) {
  dpi_lane_face *f = self(s);
  if (!(t_end > s->t_now)) return DPI_SOLVE_OK;
  dpi_lanes_single(f->g, f->lane, t_end);
  return f->outcome;
}

/* weight [stages]: of each stage in D = (1 - theta) sum_k theta^k D_k */
static void dense_weights(const dpi_lane_step *step, double theta, double *weight) {
  const int m = step->nstage;
  for (int i = 0; i < m; i++) {
    double v = 0.0;
    for (int k = step->ndense - 1; k >= 0; k--) v = step->dense_weight[k * m + i] + theta * v;
    weight[i] = (1.0 - theta) * v;
  }
}

/* x(t_prev + theta h) = (1 - theta) x + theta (x_new + (1 - theta) sum_k theta^k D_k), D_k = sum_i weight_ki V_i */
void dpi_lane_face_inside(const dpi_lane_face *f, double t_new, double h, double t, double *x) {
  const dpi_lanes *g = f->g;
  const dpi_lanes_regs *r = &g->regs[f->form];
  const int n = g->n, l = f->lane;
  const double theta = (t - r->t[l]) / h, rest = 1.0 - theta;
  double weight[DPI_LANE_STAGE_MAX];
  dense_weights(g->c.step, theta, weight);
  for (int j = 0; j < n; j++) x[j] = r->x_new[j][l];
  if (t >= t_new) return;
  for (int p = 0; p < g->c.npart; p++) {
    const double w = weight[g->c.part[p]], *const *row = r->stage + (size_t)g->c.part[p] * (size_t)n;
    for (int j = 0; j < n; j++) x[j] += w * row[j][l];
  }
  for (int j = 0; j < n; j++) x[j] = rest * r->x[j][l] + theta * x[j];
}

/* The same numbers, of some states. */
static void inside_some(const dpi_lane_face *f, double t, double *x) {
  const dpi_solver *s = &f->base;
  const dpi_lanes *g = f->g;
  const dpi_lanes_regs *r = &g->regs[f->form];
  const int n = g->n, l = f->lane;
  const double theta = (t - r->t[l]) / f->h_prev, rest = 1.0 - theta;
  double weight[DPI_LANE_STAGE_MAX];
  dense_weights(g->c.step, theta, weight);
  for (int i = 0; i < s->nsome; i++) {
    const int j = s->some[i];
    double v = r->x_new[j][l];
    for (int p = 0; p < g->c.npart; p++) {
      const size_t at = (size_t)g->c.part[p] * (size_t)n + (size_t)j;
      v += weight[g->c.part[p]] * r->stage[at][l];
    }
    x[j] = t >= s->t_now ? r->x_new[j][l] : rest * r->x[j][l] + theta * v;
  }
}

void dpi_lane_face_dense(dpi_solver *s, double t, double *x, double *sens) {
  const dpi_lane_face *f = self(s);
  const dpi_lanes *g = f->g;
  const dpi_lanes_regs *r = &g->regs[f->form];
  const dpi_lane_step *step = &g->plan->step[f->form];
  const int n = g->n, l = f->lane, m = step->nstage;
  if (t == s->t_now || f->h_prev == 0.0) {
    memcpy(x, f->x, (size_t)n * sizeof *x);
    if (sens && s->ndir > 0) memcpy(sens, s->sens_now, (size_t)n * (size_t)s->ndir * sizeof *sens);
    return;
  }
  if (t == s->t_prev)
    for (int j = 0; j < n; j++) x[j] = r->x[j][l];
  else if (s->nsome > 0)
    inside_some(f, t, x);
  else
    dpi_lane_face_inside(f, s->t_now, f->h_prev, t, x);
  if (!sens || s->ndir == 0) return;
  const double theta = (t - s->t_prev) / f->h_prev, rest = 1.0 - theta;
  double weight[DPI_LANE_STAGE_MAX];
  dense_weights(step, theta, weight);
  const int ns = g->nall - n, all = g->plan->ndir, nd = s->ndir;
  const int32_t *out = r->tape->out + dpi_lanes_out_tangent(n, m) + ns;
  for (int k = 0; k < n * nd; k++) {
    const int j = nd == all ? k : k / nd * all + k % nd;
    double v = f->x[n + j];
    for (int i = 0; i < m; i++) v += weight[i] * r->reg[(size_t)out[i * ns + j] * (size_t)g->width + (size_t)l];
    sens[k] = t == s->t_prev ? r->x[n + j][l] : rest * r->x[n + j][l] + theta * v;
  }
}

/* ---- a group of one lane as a method ---- */

bool dpi_lane_solver_can(const dpi_system *sys, dpi_lane_kind kind) { return dpi_lane_can(sys, kind, NULL); }

void dpi_lane_solver_destroy(dpi_solver *s) {
  dpi_lanes *g = self(s)->g;
  dpi_lane_plan *plan = g->owned;
  dpi_lanes_destroy(g);
  dpi_lane_plan_destroy(plan);
}

dp_status dpi_lane_solver_create(dp_ctx *ctx, const dpi_solver_ops *ops, const dpi_system *sys,
                                 const dpi_solve_opts *opts, dpi_lane_kind kind, int max_dir, dpi_solver **out) {
  dpi_lane_plan *plan;
  dpi_lanes *g;
  DP_TRY(dpi_lane_plan_create(ctx, sys, opts, kind, max_dir, &plan));
  dp_status status = dpi_lanes_create(ctx, plan, 1, &g);
  if (status != DP_OK) {
    dpi_lane_plan_destroy(plan);
    return status;
  }
  g->owned = plan;
  g->face[0].base.ops = ops;
  *out = &g->face[0].base;
  return DP_OK;
}
