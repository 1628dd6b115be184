/* cvode.c - floor 3: SUNDIALS CVODES behind the room's contract: BDF with analytic Jacobian and
 * sensitivities.
 *
 * CVODES does the stepping (A. Hindmarsh and others, SUNDIALS, ACM TOMS 31 (2005); R. Serban, A.
 * Hindmarsh, CVODES). What is done here: the tapes give f, J and S'; J goes to a dense matrix, or a
 * sparse one factorised by KLU when the model is large and J thin; one internal step a call, with
 * t_end as its stop time; the library's flags become outcomes with a reason. What idas does alike
 * stands in solve_sundials.c.
 *
 * Invariants:
 *   1. start() and input() mark the integrator dirty; the next step re-initialises it at (t_now,
 *      x_now, S_now). Nothing that CVODES learned before survives a start;
 *   2. the full tape's values are reused only for the very same (t, x).
 */
#include <cvodes/cvodes.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <string.h>
#include <sunlinsol/sunlinsol_klu.h>

#include "solve/solve_sundials.h"

typedef struct cvode_solver {
  dpi_solver base;
  dpi_solve_rhs rhs;
  dpi_sundials core;
  void *mem;
  N_Vector *ys, *ysdky, *ysatol; /* [max_dir] or NULL */
  int max_dir, nsens;            /* nsens: columns CVODES was set up with, 0: none */
  double *block;     /* owned: the four arrays below */
  double *x, *xprev; /* [n] */
  double *s, *sprev; /* [n x ndir] */
  double *cached_x;  /* [n] argument of the last full tape */
  double cached_t;
  bool cached;
} cvode_solver;

static cvode_solver *self(dpi_solver *s) { return (cvode_solver *)s; }

/* ---------------------------------------------------------------- what CVODES calls */

/* Full tape at (t, x) unless it holds just that. */
static void need_full(cvode_solver *s, double t, const double *x) {
  size_t size = (size_t)s->base.sys->nstate * sizeof *x;
  if (s->cached && t == s->cached_t && memcmp(x, s->cached_x, size) == 0) return;
  dpi_solve_rhs_full(&s->rhs, t, x);
  memcpy(s->cached_x, x, size);
  s->cached_t = t;
  s->cached = true;
}

/* f; with sensitivities by the full tape, whose other values are asked next. 1: not finite, try a
 * smaller step. */
static int on_rhs(realtype t, N_Vector y, N_Vector ydot, void *user) {
  cvode_solver *s = user;
  int n = s->base.sys->nstate;
  double *f = NV_DATA_S(ydot);
  if (s->nsens == 0) return dpi_solve_rhs_f(&s->rhs, t, NV_DATA_S(y), f) ? 0 : 1;
  need_full(s, t, NV_DATA_S(y));
  for (int i = 0; i < n; i++) f[i] = s->rhs.out[i] + (s->rhs.has_u ? s->rhs.u[i] : 0.0);
  return dpi_solve_nonfinite(f, n) < 0 ? 0 : 1;
}

/* S' column by column. */
static int on_sens(int ndir, realtype t, N_Vector y, N_Vector ydot, N_Vector *ys, N_Vector *ysdot,
                   void *user, N_Vector tmp1, N_Vector tmp2) {
  (void)ydot, (void)tmp1, (void)tmp2;
  cvode_solver *s = user;
  const dpi_solve_rhs *r = &s->rhs;
  const dpi_system *sys = r->sys;
  int n = sys->nstate;
  need_full(s, t, NV_DATA_S(y));
  const double *jac = dpi_solve_rhs_jac(r), *fp = jac + sys->jac_nnz;
  for (int d = 0; d < ndir; d++) {
    double *o = NV_DATA_S(ysdot[d]);
    for (int i = 0; i < n; i++) o[i] = r->has_du ? r->du[i * ndir + d] : 0.0;
  }
  for (int k = 0; k < r->nterm; k++)
    NV_DATA_S(ysdot[r->term[k].dir])[r->term[k].row] += fp[r->term[k].entry] * r->term[k].weight;
  for (int d = 0; d < ndir; d++) {
    const double *in = NV_DATA_S(ys[d]);
    double *o = NV_DATA_S(ysdot[d]);
    for (int k = 0; k < sys->jac_nnz; k++) o[sys->jac_row[k]] += jac[k] * in[sys->jac_col[k]];
    if (dpi_solve_nonfinite(o, n) >= 0) return 1;
  }
  return 0;
}

static int on_jac(realtype t, N_Vector y, N_Vector fy, SUNMatrix jac, void *user, N_Vector tmp1,
                  N_Vector tmp2, N_Vector tmp3) {
  (void)fy, (void)tmp1, (void)tmp2, (void)tmp3;
  cvode_solver *s = user;
  const dpi_system *sys = s->base.sys;
  need_full(s, t, NV_DATA_S(y));
  const double *value = dpi_solve_rhs_jac(&s->rhs);
  if (dpi_solve_nonfinite(value, sys->jac_nnz) >= 0) return 1;
  dpi_sundials_fill(&s->core, sys, value, jac);
  return 0;
}

/* ---------------------------------------------------------------- life */

static void cvode_destroy(dpi_solver *base) {
  cvode_solver *s = self(base);
  if (s->mem) CVodeFree(&s->mem);
  if (s->ys) N_VDestroyVectorArray(s->ys, s->max_dir);
  if (s->ysdky) N_VDestroyVectorArray(s->ysdky, s->max_dir);
  if (s->ysatol) N_VDestroyVectorArray(s->ysatol, s->max_dir);
  dpi_sundials_release(base, &s->core);
  dpi_solve_rhs_release(base, &s->rhs);
  dpi_free(base->ctx, s->block);
  dpi_free(base->ctx, s);
}

static bool cvode_can(const dpi_system *sys) { return sys->nalgebraic == 0; }

/* Vectors of the sensitivities. */
static bool make_columns(cvode_solver *s) {
  if (s->max_dir == 0) return true;
  s->ys = N_VCloneVectorArray(s->max_dir, s->core.y);
  s->ysdky = N_VCloneVectorArray(s->max_dir, s->core.y);
  s->ysatol = N_VCloneVectorArray(s->max_dir, s->core.y);
  return s->ys && s->ysdky && s->ysatol;
}

/* The integrator itself, at a dummy point: start() puts it where it belongs. */
static bool make_integrator(cvode_solver *s) {
  const dpi_solve_opts *o = &s->base.opts;
  const dpi_sundials *c = &s->core;
  // the library's own choice, COLAMD, fills in three times as much on reaction networks
  if (c->sparse && SUNLinSol_KLUSetOrdering(c->lin, DPI_KLU_AMD) != SUNLS_SUCCESS) return false;
  s->mem = CVodeCreate(CV_BDF, c->sun);
  return s->mem && CVodeSetErrHandlerFn(s->mem, dpi_sundials_on_error, &s->core) == CV_SUCCESS &&
         CVodeInit(s->mem, on_rhs, 0.0, c->y) == CV_SUCCESS &&
         CVodeSVtolerances(s->mem, dpi_sundials_rtol(o), c->atol) == CV_SUCCESS &&
         CVodeSetUserData(s->mem, s) == CV_SUCCESS &&
         CVodeSetMaxHnilWarns(s->mem, -1) == CV_SUCCESS &&
         CVodeSetLinearSolver(s->mem, c->lin, c->jac) == CV_SUCCESS &&
         CVodeSetJacFn(s->mem, on_jac) == CV_SUCCESS &&
         (o->max_step <= 0.0 || CVodeSetMaxStep(s->mem, o->max_step) == CV_SUCCESS);
}

extern const dpi_solver_ops dp_solve_cvode;

static dp_status build(cvode_solver *s) {
  dp_ctx *ctx = s->base.ctx;
  const dpi_system *sys = s->base.sys;
  size_t n = (size_t)sys->nstate, ns = n * (size_t)s->max_dir;
  DP_TRY(dpi_solve_rhs_init(&s->base, s->max_dir, &s->rhs));
  s->block = DPI_NEW_ARRAY(ctx, double, 3 * n + 2 * ns);
  if (!s->block) return DP_ERR_MEMORY;
  s->x = s->block;
  s->xprev = s->x + n;
  s->cached_x = s->xprev + n;
  s->s = s->cached_x + n;
  s->sprev = s->s + ns;
  if (n == 0) return DP_OK;
  DP_TRY(dpi_sundials_init(&s->base, &s->core));
  return make_columns(s) && make_integrator(s) ? DP_OK : dpi_sundials_failed(&s->base, &s->core);
}

static dp_status cvode_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts,
                              int max_dir, dpi_solver **out) {
  cvode_solver *s = DPI_NEW(ctx, cvode_solver);
  if (!s) return DP_ERR_MEMORY;
  s->base = (dpi_solver){.ops = &dp_solve_cvode, .ctx = ctx, .sys = sys, .opts = *opts};
  s->max_dir = max_dir;
  dp_status status = build(s);
  if (status != DP_OK) {
    cvode_destroy(&s->base);
    return status;
  }
  *out = &s->base;
  return DP_OK;
}

/* Absolute tolerance of a sensitivity: its state's times the size of the direction
 * (dpi_solve_rhs_scale). */
static void set_sens_tolerances(cvode_solver *s) {
  for (int d = 0; d < s->rhs.ndir; d++) {
    double scale = dpi_solve_rhs_scale(&s->rhs, d);
    for (int i = 0; i < s->base.sys->nstate; i++)
      NV_Ith_S(s->ysatol[d], i) = NV_Ith_S(s->core.atol, i) * scale;
  }
}

/* Give CVODES as many columns as this bind has. */
static bool set_columns(cvode_solver *s, int ndir) {
  const dpi_solve_opts *o = &s->base.opts;
  if (ndir != s->nsens) {
    if (s->nsens > 0) CVodeSensFree(s->mem);
    s->nsens = 0;
    for (int d = 0; d < ndir; d++) N_VConst(0.0, s->ys[d]);
    if (ndir > 0 && CVodeSensInit(s->mem, ndir, CV_STAGGERED, on_sens, s->ys) != CV_SUCCESS)
      return false;
    s->nsens = ndir;
    if (ndir > 0 && CVodeSetSensErrCon(s->mem, o->sens_error) != CV_SUCCESS) return false;
  }
  if (ndir == 0) return true;
  set_sens_tolerances(s);
  return CVodeSensSVtolerances(s->mem, dpi_sundials_rtol(o), s->ysatol) == CV_SUCCESS;
}

static dp_status cvode_bind(dpi_solver *base, const double *sym, const double *seed, int ndir) {
  cvode_solver *s = self(base);
  DP_TRY(dpi_solve_rhs_bind(base->ctx, &s->rhs, sym, seed, ndir));
  base->ndir = ndir;
  s->cached = false;
  s->core.dirty = true;
  if (base->sys->nstate > 0 && !set_columns(s, ndir))
    return dpi_fail(base->ctx, DP_ERR_MEMORY, "cvode: no room for %d directions: %s", ndir,
                    s->core.message);
  return DP_OK;
}

static void cvode_input(dpi_solver *base, const double *u, const double *du) {
  cvode_solver *s = self(base);
  dpi_solve_rhs_input(&s->rhs, u, du);
  s->core.dirty = true;
}

static void publish(cvode_solver *s) {
  s->base.x_now = s->x;
  s->base.sens_now = s->rhs.ndir > 0 ? s->s : NULL;
}

static dpi_solve_outcome cvode_start(dpi_solver *base, double t, const double *x,
                                     const double *sens) {
  cvode_solver *s = self(base);
  size_t n = (size_t)base->sys->nstate, ns = n * (size_t)s->rhs.ndir;
  memcpy(s->x, x, n * sizeof *x);
  if (ns > 0 && sens)
    memcpy(s->s, sens, ns * sizeof *sens);
  else
    memset(s->s, 0, ns * sizeof *s->s);
  s->cached = false;
  publish(s);
  const dpi_solve_outcome o = dpi_sundials_start(base, &s->core, t, s->x);
  if (o != DPI_SOLVE_OK || dpi_solve_nonfinite(s->s, (int)ns) < 0) return o;
  snprintf(base->reason, sizeof base->reason, "at t = %.10g: the start value of a sensitivity is not finite", t);
  return DPI_SOLVE_NONFINITE;
}

/* ---------------------------------------------------------------- going through time */

static void columns_in(cvode_solver *s) {
  int n = s->base.sys->nstate, nd = s->rhs.ndir;
  for (int d = 0; d < nd; d++)
    for (int i = 0; i < n; i++) NV_Ith_S(s->ys[d], i) = s->s[i * nd + d];
}

static void columns_out(const cvode_solver *s, N_Vector *from, double *sens) {
  int n = s->base.sys->nstate, nd = s->rhs.ndir;
  for (int d = 0; d < nd; d++)
    for (int i = 0; i < n; i++) sens[i * nd + d] = NV_Ith_S(from[d], i);
}

/* Put the integrator at (t_now, x_now, S_now). */
static int restart(cvode_solver *s) {
  memcpy(NV_DATA_S(s->core.y), s->x, (size_t)s->base.sys->nstate * sizeof *s->x);
  columns_in(s);
  int flag = CVodeReInit(s->mem, s->base.t_now, s->core.y);
  if (flag == CV_SUCCESS && s->nsens > 0) flag = CVodeSensReInit(s->mem, CV_STAGGERED, s->ys);
  dpi_sundials_restarted(&s->core);
  return flag;
}

/* A flag of the library as outcome and reason. */
static dpi_solve_outcome explain(cvode_solver *s, int flag) {
  dpi_solver *b = &s->base;
  switch (flag) {
    case CV_RHSFUNC_FAIL:
    case CV_FIRST_RHSFUNC_ERR:
    case CV_REPTD_RHSFUNC_ERR:
    case CV_UNREC_RHSFUNC_ERR:
    case CV_SRHSFUNC_FAIL:
    case CV_FIRST_SRHSFUNC_ERR:
    case CV_REPTD_SRHSFUNC_ERR:
    case CV_UNREC_SRHSFUNC_ERR:
    case CV_LSETUP_FAIL:
      // at the last good point the rate may be finite: then say that no step leads on
      if (dpi_solve_rhs_f(&s->rhs, b->t_now, s->x, NV_DATA_S(s->core.dky)))
        snprintf(b->reason, sizeof b->reason,
                 "at t = %.10g: no step, however small, gives finite rates", b->t_now);
      else
        dpi_solve_say_nonfinite(b, b->t_now, NV_DATA_S(s->core.dky));
      return DPI_SOLVE_NONFINITE;
    case CV_ERR_FAILURE:
    case CV_TOO_MUCH_ACC:
      snprintf(b->reason, sizeof b->reason, "at t = %.10g: no step meets the tolerance", b->t_now);
      dpi_solve_say_fastest(b, b->t_now, s->x, NV_DATA_S(s->core.dky));
      return DPI_SOLVE_TOO_SMALL;
    case CV_CONV_FAILURE:
      snprintf(b->reason, sizeof b->reason,
               "at t = %.10g: no step lets the implicit equations be solved", b->t_now);
      dpi_solve_say_fastest(b, b->t_now, s->x, NV_DATA_S(s->core.dky));
      return DPI_SOLVE_TOO_SMALL;
    default:
      snprintf(b->reason, sizeof b->reason, "at t = %.10g: cvode: %s (flag %d)", b->t_now,
               s->core.message, flag);
      return DPI_SOLVE_FAILED;
  }
}

static void count_work(cvode_solver *s) {
  long fails = s->core.fails_seen;
  CVodeGetNumErrTestFails(s->mem, &fails);
  dpi_sundials_count(&s->base, &s->core, fails);
}

/* After a good step: keep the old point, take the new one. */
static dpi_solve_outcome take(cvode_solver *s, double t_new) {
  size_t n = (size_t)s->base.sys->nstate;
  double *x = s->xprev, *sens = s->sprev, h = t_new - s->base.t_now, told = t_new;
  memcpy(x, NV_DATA_S(s->core.y), n * sizeof *x);
  if (s->nsens > 0) {
    if (CVodeGetSens(s->mem, &told, s->ysdky) != CV_SUCCESS) return explain(s, CV_UNRECOGNIZED_ERR);
    columns_out(s, s->ysdky, sens);
  }
  s->xprev = s->x;
  s->sprev = s->s;
  s->x = x;
  s->s = sens;
  dpi_sundials_after(&s->base, &s->core, t_new);
  publish(s);
  if (dpi_solve_nonfinite(x, (int)n) >= 0 || dpi_solve_nonfinite(sens, (int)n * s->rhs.ndir) >= 0)
    return explain(s, CV_REPTD_RHSFUNC_ERR);
  double last = h;
  CVodeGetLastStep(s->mem, &last);
  return dpi_sundials_tiny(&s->base, &s->core, h, last, NV_DATA_S(s->core.dky));
}

/* One internal step of CVODES, at most to t_end. */
static dpi_solve_outcome cvode_step(dpi_solver *base, double t_end) {
  cvode_solver *s = self(base);
  double t_new = base->t_now, stop;
  dpi_solve_outcome o;
  if (dpi_sundials_before(base, &s->core, t_end, &stop, &o)) return o;
  int flag = s->core.dirty ? restart(s) : CV_SUCCESS;
  if (flag == CV_SUCCESS) flag = CVodeSetStopTime(s->mem, stop);
  if (flag == CV_SUCCESS) flag = CVode(s->mem, stop, s->core.y, &t_new, CV_ONE_STEP);
  count_work(s);
  if (flag < 0) {
    s->core.dirty = true;
    s->core.moved = false;
    return explain(s, flag);
  }
  // the library stops within rounding of its stop time
  if (flag == CV_TSTOP_RETURN) t_new = stop;
  return take(s, t_new);
}

static void cvode_dense(dpi_solver *base, double t, double *x, double *sens) {
  cvode_solver *s = self(base);
  size_t n = (size_t)base->sys->nstate, ns = n * (size_t)s->rhs.ndir;
  const double *end = dpi_sundials_end(base, &s->core, t, s->x, s->xprev);
  if (end) {
    memcpy(x, end, n * sizeof *x);
    if (sens) memcpy(sens, end == s->x ? s->s : s->sprev, ns * sizeof *sens);
    return;
  }
  bool good = CVodeGetDky(s->mem, t, 0, s->core.dky) == CV_SUCCESS;
  for (size_t i = 0; i < n; i++) x[i] = good ? NV_Ith_S(s->core.dky, i) : NAN;
  if (!sens || s->nsens == 0) return;
  good = CVodeGetSensDky(s->mem, t, 0, s->ysdky) == CV_SUCCESS;
  if (good) columns_out(s, s->ysdky, sens);
  for (size_t i = 0; !good && i < ns; i++) sens[i] = NAN;
}

const dpi_solver_ops dp_solve_cvode = {
    .name = "cvode",
    .help =
        "SUNDIALS CVODES, backward differentiation formulas with analytic Jacobian; for stiff "
        "problems",
    .can = cvode_can,
    .create = cvode_create,
    .destroy = cvode_destroy,
    .bind = cvode_bind,
    .input = cvode_input,
    .start = cvode_start,
    .step = cvode_step,
    .dense = cvode_dense,
};
