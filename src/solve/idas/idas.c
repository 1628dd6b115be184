/* idas.c - floor 3: SUNDIALS IDAS behind the room's contract: BDF for systems with algebraic states.
 *
 *     residual   f_i + u_i - x_i'  for differential states,   f_i  for the last sys->nalgebraic states
 *
 * IDAS does the stepping (A. Hindmarsh and others, SUNDIALS, ACM TOMS 31 (2005); K. Brenan, S.
 * Campbell, L. Petzold, Numerical Solution of Initial-Value Problems in DAEs). What is done here: the
 * tapes give f and J; J - c I (I for differential rows only) goes to a dense matrix, or a sparse one
 * factorised by KLU when the model is large and J thin; one internal step a call, with t_end as its stop
 * time; the library's flags become outcomes with a reason.
 *
 * Invariants:
 *   1. start() and input() mark the integrator dirty; the next step re-initialises it at (t_now, x_now)
 *      with slopes made there. Nothing that IDAS learned before survives a start;
 *   2. start() needs consistent states (dpi_solver_settle): IDAS is never asked to find them.
 *
 * What cvode does alike stands in solve_sundials.c: the same formulas, so the same growth of errors with the number of
 * steps.
 */
#include <float.h>
#include <idas/idas.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "solve/solve_sundials.h"

typedef struct idas_solver {
  dpi_solver base;
  dpi_solve_rhs rhs;
  int first; /* differential states come before this one */
  dpi_sundials core;
  void *mem;
  N_Vector yp, id;
  double *block;     /* owned: the arrays below */
  double *x, *xprev; /* [n] */
  double *lu;        /* [na x na] */
  double *slope;     /* [na] */
  double *fa, *fb;   /* [n] */
  int *piv;          /* [na], owned */
} idas_solver;

static idas_solver *self(dpi_solver *s) { return (idas_solver *)s; }

/* ---------------------------------------------------------------- what IDAS calls */

/* 1: not finite, try a smaller step */
static int on_residual(realtype t, N_Vector y, N_Vector yp, N_Vector res, void *user) {
  idas_solver *s = user;
  const double *slope = NV_DATA_S(yp);
  double *out = NV_DATA_S(res);
  if (!dpi_solve_rhs_f(&s->rhs, t, NV_DATA_S(y), out)) return 1;
  for (int i = 0; i < s->first; i++) out[i] -= slope[i];
  return 0;
}

static int on_jac(realtype t, realtype c, N_Vector y, N_Vector yp, N_Vector res, SUNMatrix jac, void *user,
                  N_Vector tmp1, N_Vector tmp2, N_Vector tmp3) {
  (void)yp, (void)res, (void)tmp1, (void)tmp2, (void)tmp3;
  idas_solver *s = user;
  const dpi_system *sys = s->base.sys;
  dpi_solve_rhs_full(&s->rhs, t, NV_DATA_S(y));
  const double *value = dpi_solve_rhs_jac(&s->rhs);
  if (dpi_solve_nonfinite(value, sys->jac_nnz) >= 0) return 1;
  dpi_sundials_fill(&s->core, sys, value, jac);
  dpi_sundials_shift(&s->core, s->first, c, jac);
  return 0;
}

/* ---------------------------------------------------------------- life */

static void idas_destroy(dpi_solver *base) {
  idas_solver *s = self(base);
  if (s->mem) IDAFree(&s->mem);
  if (s->yp) N_VDestroy(s->yp);
  if (s->id) N_VDestroy(s->id);
  dpi_sundials_release(base, &s->core);
  dpi_solve_rhs_release(base, &s->rhs);
  dpi_free(base->ctx, s->block);
  dpi_free(base->ctx, s->piv);
  dpi_free(base->ctx, s);
}

static bool idas_can(const dpi_system *sys) {
  (void)sys;
  return true;
}

static bool make_vectors(idas_solver *s) {
  s->yp = N_VClone(s->core.y);
  s->id = N_VClone(s->core.y);
  if (!s->yp || !s->id) return false;
  N_VConst(0.0, s->yp);
  for (int i = 0; i < s->base.sys->nstate; i++) NV_Ith_S(s->id, i) = i < s->first ? 1.0 : 0.0;
  return true;
}

/* The integrator itself, at a dummy point: start() puts it where it belongs. */
static bool make_integrator(idas_solver *s) {
  const dpi_solve_opts *o = &s->base.opts;
  const dpi_sundials *c = &s->core;
  s->mem = IDACreate(c->sun);
  return s->mem && IDASetErrHandlerFn(s->mem, dpi_sundials_on_error, &s->core) == IDA_SUCCESS &&
         IDAInit(s->mem, on_residual, 0.0, c->y, s->yp) == IDA_SUCCESS &&
         IDASVtolerances(s->mem, dpi_sundials_rtol(o), c->atol) == IDA_SUCCESS &&
         IDASetUserData(s->mem, s) == IDA_SUCCESS && IDASetId(s->mem, s->id) == IDA_SUCCESS &&
         IDASetLinearSolver(s->mem, c->lin, c->jac) == IDA_SUCCESS &&
         IDASetJacFn(s->mem, on_jac) == IDA_SUCCESS &&
         (o->max_step <= 0.0 || IDASetMaxStep(s->mem, o->max_step) == IDA_SUCCESS);
}

extern const dpi_solver_ops dp_solve_idas;

static dp_status build(idas_solver *s, int max_dir) {
  dp_ctx *ctx = s->base.ctx;
  const dpi_system *sys = s->base.sys;
  size_t n = (size_t)sys->nstate, na = (size_t)sys->nalgebraic;
  DP_TRY(dpi_solve_rhs_init(&s->base, max_dir, &s->rhs));
  s->first = sys->nstate - sys->nalgebraic;
  s->block = DPI_NEW_ARRAY(ctx, double, 4 * n + na * na + na);
  s->piv = DPI_NEW_ARRAY(ctx, int, na);
  if (!s->block || !s->piv) return DP_ERR_MEMORY;
  s->x = s->block;
  s->xprev = s->x + n;
  s->fa = s->xprev + n;
  s->fb = s->fa + n;
  s->slope = s->fb + n;
  s->lu = s->slope + na;
  if (n == 0) return DP_OK;
  DP_TRY(dpi_sundials_init(&s->base, &s->core));
  return make_vectors(s) && make_integrator(s) ? DP_OK : dpi_sundials_failed(&s->base, &s->core);
}

static dp_status idas_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, int max_dir,
                             dpi_solver **out) {
  idas_solver *s = DPI_NEW(ctx, idas_solver);
  if (!s) return DP_ERR_MEMORY;
  s->base = (dpi_solver){.ops = &dp_solve_idas, .ctx = ctx, .sys = sys, .opts = *opts};
  dp_status status = build(s, max_dir);
  if (status != DP_OK) {
    idas_destroy(&s->base);
    return status;
  }
  *out = &s->base;
  return DP_OK;
}

static dp_status idas_bind(dpi_solver *base, const double *sym, const double *seed, int ndir) {
  idas_solver *s = self(base);
  DP_TRY(dpi_solve_rhs_bind(base->ctx, &s->rhs, sym, seed, ndir));
  s->core.dirty = true;
  if (ndir == 0) return DP_OK;
  return dpi_fail(base->ctx, DP_ERR_UNSUPPORTED,
                  "idas: found %d directions: derivatives are not offered by this method", ndir);
}

static void idas_input(dpi_solver *base, const double *u, const double *du) {
  idas_solver *s = self(base);
  dpi_solve_rhs_input(&s->rhs, u, du);
  s->core.dirty = true;
}

static dpi_solve_outcome idas_start(dpi_solver *base, double t, const double *x, const double *sens) {
  idas_solver *s = self(base);
  (void)sens;
  memcpy(s->x, x, (size_t)base->sys->nstate * sizeof *x);
  base->x_now = s->x;
  base->sens_now = NULL;
  return dpi_sundials_start(base, &s->core, t, s->x);
}

/* ---------------------------------------------------------------- going through time */

/* Slopes of the algebraic states at (t, x): from d/dt g = 0, that is g_z z' = -(g_y y' + g_t), with the right side by
 * a small move along (1, y'). They only foretell the first step: without them it would be smaller. */
static void algebraic_slopes(idas_solver *s, double h) {
  const dpi_system *sys = s->base.sys;
  const int n = sys->nstate, na = sys->nalgebraic, first = s->first;
  double *slope = NV_DATA_S(s->yp);
  const double t = s->base.t_now, *jac = dpi_solve_rhs_jac(&s->rhs);
  for (int i = first; i < n; i++) slope[i] = 0.0;
  if (na == 0) return;
  memset(s->lu, 0, (size_t)na * (size_t)na * sizeof *s->lu);
  for (int k = 0; k < sys->jac_nnz; k++) {
    int i = sys->jac_row[k] - first, j = sys->jac_col[k] - first;
    if (i >= 0 && j >= 0) s->lu[i * na + j] = jac[k];
  }
  for (int i = 0; i < n; i++) s->fb[i] = s->x[i] + (i < first ? h * slope[i] : 0.0);
  memcpy(s->fa, s->rhs.out, (size_t)n * sizeof *s->fa);
  if (!dpi_lu(s->lu, na, s->piv) || !dpi_solve_rhs_f(&s->rhs, t + h, s->fb, NV_DATA_S(s->core.dky))) return;
  for (int i = 0; i < na; i++) s->slope[i] = -(NV_Ith_S(s->core.dky, first + i) - s->fa[first + i]) / h;
  dpi_lu_solve(s->lu, na, s->piv, s->slope);
  for (int i = 0; i < na; i++)
    if (isfinite(s->slope[i])) slope[first + i] = s->slope[i];
}

/* Put the integrator at (t_now, x_now). */
static int restart(idas_solver *s, double t_end) {
  const int n = s->base.sys->nstate;
  const double t = s->base.t_now, h = fmax(1e-7 * (t_end - t), 4.0 * DBL_EPSILON * fabs(t));
  double *slope = NV_DATA_S(s->yp);
  memcpy(NV_DATA_S(s->core.y), s->x, (size_t)n * sizeof *s->x);
  dpi_solve_rhs_full(&s->rhs, t, s->x);
  for (int i = 0; i < s->first; i++) slope[i] = s->rhs.out[i] + (s->rhs.has_u ? s->rhs.u[i] : 0.0);
  if (dpi_solve_nonfinite(slope, s->first) >= 0) return IDA_FIRST_RES_FAIL;
  algebraic_slopes(s, h);
  dpi_sundials_restarted(&s->core);
  return IDAReInit(s->mem, t, s->core.y, s->yp);
}

/* A flag of the library as outcome and reason. */
static dpi_solve_outcome explain(idas_solver *s, int flag) {
  dpi_solver *b = &s->base;
  switch (flag) {
    case IDA_RES_FAIL:
    case IDA_FIRST_RES_FAIL:
    case IDA_REP_RES_ERR:
    case IDA_LSETUP_FAIL:
      if (dpi_solve_rhs_f(&s->rhs, b->t_now, s->x, s->fa))
        snprintf(b->reason, sizeof b->reason, "at t = %.10g: no step, however small, can be solved", b->t_now);
      else
        dpi_solve_say_nonfinite(b, b->t_now, s->fa);
      return DPI_SOLVE_NONFINITE;
    case IDA_ERR_FAIL:
    case IDA_TOO_MUCH_ACC:
      snprintf(b->reason, sizeof b->reason, "at t = %.10g: no step meets the tolerance", b->t_now);
      dpi_solve_say_fastest(b, b->t_now, s->x, s->fa);
      return DPI_SOLVE_TOO_SMALL;
    case IDA_CONV_FAIL:
      snprintf(b->reason, sizeof b->reason,
               "at t = %.10g: no step lets the equations be solved (a constraint may have lost its solution)",
               b->t_now);
      return DPI_SOLVE_TOO_SMALL;
    default:
      snprintf(b->reason, sizeof b->reason, "at t = %.10g: idas: %s (flag %d)", b->t_now, s->core.message, flag);
      return DPI_SOLVE_FAILED;
  }
}

static void count_work(idas_solver *s) {
  long fails = s->core.fails_seen;
  IDAGetNumErrTestFails(s->mem, &fails);
  dpi_sundials_count(&s->base, &s->core, fails);
}

/* After a good step: keep the old point, take the new one. */
static dpi_solve_outcome take(idas_solver *s, double t_new) {
  size_t n = (size_t)s->base.sys->nstate;
  double *x = s->xprev, h = t_new - s->base.t_now;
  memcpy(x, NV_DATA_S(s->core.y), n * sizeof *x);
  s->xprev = s->x;
  s->x = x;
  dpi_sundials_after(&s->base, &s->core, t_new);
  s->base.x_now = x;
  if (dpi_solve_nonfinite(x, (int)n) >= 0) return explain(s, IDA_REP_RES_ERR);
  double last = h;
  IDAGetLastStep(s->mem, &last);
  return dpi_sundials_tiny(&s->base, &s->core, h, last, s->fa);
}

/* One internal step of IDAS, at most to t_end. */
static dpi_solve_outcome idas_step(dpi_solver *base, double t_end) {
  idas_solver *s = self(base);
  double t_new = base->t_now, stop;
  dpi_solve_outcome o;
  if (dpi_sundials_before(base, &s->core, t_end, &stop, &o)) return o;
  int flag = s->core.dirty ? restart(s, t_end) : IDA_SUCCESS;
  if (flag == IDA_SUCCESS) flag = IDASetStopTime(s->mem, stop);
  if (flag == IDA_SUCCESS) flag = IDASolve(s->mem, stop, &t_new, s->core.y, s->yp, IDA_ONE_STEP);
  count_work(s);
  if (flag < 0) {
    s->core.dirty = true;
    s->core.moved = false;
    return explain(s, flag);
  }
  // the library stops within rounding of its stop time
  if (flag == IDA_TSTOP_RETURN) t_new = stop;
  return take(s, t_new);
}

static void idas_dense(dpi_solver *base, double t, double *x, double *sens) {
  idas_solver *s = self(base);
  size_t n = (size_t)base->sys->nstate;
  (void)sens;
  const double *end = dpi_sundials_end(base, &s->core, t, s->x, s->xprev);
  if (end) {
    memcpy(x, end, n * sizeof *x);
    return;
  }
  bool good = IDAGetDky(s->mem, t, 0, s->core.dky) == IDA_SUCCESS;
  for (size_t i = 0; i < n; i++) x[i] = good ? NV_Ith_S(s->core.dky, i) : NAN;
}

const dpi_solver_ops dp_solve_idas = {
    .name = "idas",
    .help = "SUNDIALS IDAS, backward differentiation formulas for equations with constraints (index 1)",
    .can = idas_can,
    .create = idas_create,
    .destroy = idas_destroy,
    .bind = idas_bind,
    .input = idas_input,
    .start = idas_start,
    .step = idas_step,
    .dense = idas_dense,
};
