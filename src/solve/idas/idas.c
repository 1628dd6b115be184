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
 *   2. start() needs consistent states (dpi_solver_settle): IDAS is never asked to find them;
 *   3. SUNDIALS allocates by the C library: its blocks do not pass the context's hook, ours do.
 */
#include <float.h>
#include <idas/idas.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <string.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#include "num/num.h"
#include "solve/solve_rhs.h"

/* As for cvode: the same formulas, the same growth of errors with the number of steps. */
#define IDAS_SAFETY 30.0
#define IDAS_SAFETY_AT 1e-4
#define IDAS_RTOL_LEAST 1e-15
#define MAX_TINY 20       /* consecutive steps at the rounding of t that mean a blow-up */
#define IDAS_DENSE_MAX 20 /* up to this many states the Jacobian is dense */

typedef struct idas_solver {
  dpi_solver base;
  dpi_solve_rhs rhs;
  int first; /* differential states come before this one */
  SUNContext sun;
  void *mem;
  N_Vector y, yp, atol, id, dky;
  SUNMatrix jac;
  SUNLinearSolver lin;
  bool sparse;
  int nnz; /* sparse: pattern of J and the diagonal, by columns */
  sunindextype *colptr, *rowval;
  int *place;        /* [jac_nnz] where entry k of the tape goes */
  int *diagonal;     /* [first] where the diagonal of a differential state goes */
  double *block;     /* owned: the arrays below */
  double *x, *xprev; /* [n] */
  double *lu;        /* [na x na] */
  double *slope;     /* [na] */
  double *fa, *fb;   /* [n] */
  int *piv;          /* [na], owned */
  bool dirty, moved; /* moved: the last step was IDAS', so it can interpolate */
  long taken;        /* steps since start */
  int ntiny;         /* tiny steps in a row */
  long fails_seen;   /* error test failures already counted */
  char message[80];  /* what the library said last */
} idas_solver;

static double safety(const dpi_solve_opts *o) {
  return IDAS_SAFETY * dpi_m_pow(IDAS_SAFETY_AT / o->rtol, 1.0 / 6.0);
}
static double step_rtol(const dpi_solve_opts *o) {
  return fmax(o->rtol / safety(o), IDAS_RTOL_LEAST);
}

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
  if (!s->sparse) {
    SUNMatZero(jac);
    for (int k = 0; k < sys->jac_nnz; k++) SM_ELEMENT_D(jac, sys->jac_row[k], sys->jac_col[k]) = value[k];
    for (int i = 0; i < s->first; i++) SM_ELEMENT_D(jac, i, i) -= c;
    return 0;
  }
  memcpy(SM_INDEXPTRS_S(jac), s->colptr, (size_t)(sys->nstate + 1) * sizeof *s->colptr);
  memcpy(SM_INDEXVALS_S(jac), s->rowval, (size_t)s->nnz * sizeof *s->rowval);
  double *data = SM_DATA_S(jac);
  memset(data, 0, (size_t)s->nnz * sizeof *data);
  for (int k = 0; k < sys->jac_nnz; k++) data[s->place[k]] = value[k];
  for (int i = 0; i < s->first; i++) data[s->diagonal[i]] -= c;
  return 0;
}

/* Keep the library's words for the reason. */
static void on_error(int code, const char *module, const char *function, char *text, void *user) {
  (void)module, (void)function;
  idas_solver *s = user;
  if (code < 0) snprintf(s->message, sizeof s->message, "%s", text);
}

/* ---------------------------------------------------------------- life */

static void idas_destroy(dpi_solver *base) {
  idas_solver *s = self(base);
  N_Vector all[] = {s->y, s->yp, s->atol, s->id, s->dky};
  if (s->mem) IDAFree(&s->mem);
  if (s->lin) SUNLinSolFree(s->lin);
  if (s->jac) SUNMatDestroy(s->jac);
  for (int i = 0; i < DPI_COUNT(all); i++)
    if (all[i]) N_VDestroy(all[i]);
  if (s->sun) SUNContext_Free(&s->sun);
  dpi_solve_rhs_release(base, &s->rhs);
  dpi_free(base->ctx, s->block);
  dpi_free(base->ctx, s->piv);
  dpi_free(base->ctx, s->colptr);
  dpi_free(base->ctx, s->rowval);
  dpi_free(base->ctx, s->place);
  dpi_free(base->ctx, s->diagonal);
  dpi_free(base->ctx, s);
}

static bool idas_can(const dpi_system *sys) {
  (void)sys;
  return true;
}

/* Pattern of J with the whole diagonal, by columns, from the tape's sorted list. */
static dp_status make_sparse_pattern(idas_solver *s) {
  const dpi_system *sys = s->base.sys;
  dp_ctx *ctx = s->base.ctx;
  int n = sys->nstate;
  s->colptr = DPI_NEW_ARRAY(ctx, sunindextype, n + 1);
  s->rowval = DPI_NEW_ARRAY(ctx, sunindextype, sys->jac_nnz + n);
  s->place = DPI_NEW_ARRAY(ctx, int, sys->jac_nnz);
  s->diagonal = DPI_NEW_ARRAY(ctx, int, n);
  if (!s->colptr || !s->rowval || !s->place || !s->diagonal) return DP_ERR_MEMORY;
  int k = 0;
  for (int j = 0; j < n; j++) {
    bool have = false;
    s->colptr[j] = s->nnz;
    for (; k < sys->jac_nnz && sys->jac_col[k] == j; k++) {
      int i = sys->jac_row[k];
      if (!have && i >= j) s->diagonal[j] = s->nnz;
      if (!have && i > j) s->rowval[s->nnz++] = j;
      have = have || i >= j;
      s->place[k] = s->nnz;
      s->rowval[s->nnz++] = i;
    }
    if (!have) {
      s->diagonal[j] = s->nnz;
      s->rowval[s->nnz++] = j;
    }
  }
  s->colptr[n] = s->nnz;
  return DP_OK;
}

static bool worth_sparse(const dpi_system *sys) {
  return sys->nstate > IDAS_DENSE_MAX &&
         3.0 * (sys->jac_nnz + sys->nstate) < (double)sys->nstate * sys->nstate;
}

/* All vectors, the matrix, the linear solver. */
static bool make_vectors(idas_solver *s) {
  int n = s->base.sys->nstate;
  s->y = N_VNew_Serial(n, s->sun);
  if (!s->y) return false;
  N_VConst(0.0, s->y);
  N_Vector *other[] = {&s->yp, &s->atol, &s->id, &s->dky};
  for (int i = 0; i < DPI_COUNT(other); i++)
    if (!(*other[i] = N_VClone(s->y))) return false;
  N_VConst(0.0, s->yp);
  s->jac = s->sparse ? SUNSparseMatrix(n, n, s->nnz, CSC_MAT, s->sun) : SUNDenseMatrix(n, n, s->sun);
  if (!s->jac) return false;
  s->lin = s->sparse ? SUNLinSol_KLU(s->y, s->jac, s->sun) : SUNLinSol_Dense(s->y, s->jac, s->sun);
  return s->lin != NULL;
}

/* The integrator itself, at a dummy point: start() puts it where it belongs. */
static bool make_integrator(idas_solver *s) {
  const dpi_solve_opts *o = &s->base.opts;
  for (int i = 0; i < s->base.sys->nstate; i++) {
    NV_Ith_S(s->atol, i) = (o->atol_state ? o->atol_state[i] : o->atol) / safety(o);
    NV_Ith_S(s->id, i) = i < s->first ? 1.0 : 0.0;
  }
  s->mem = IDACreate(s->sun);
  return s->mem && IDASetErrHandlerFn(s->mem, on_error, s) == IDA_SUCCESS &&
         IDAInit(s->mem, on_residual, 0.0, s->y, s->yp) == IDA_SUCCESS &&
         IDASVtolerances(s->mem, step_rtol(o), s->atol) == IDA_SUCCESS &&
         IDASetUserData(s->mem, s) == IDA_SUCCESS && IDASetId(s->mem, s->id) == IDA_SUCCESS &&
         IDASetLinearSolver(s->mem, s->lin, s->jac) == IDA_SUCCESS &&
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
  s->sparse = worth_sparse(sys);
  if (s->sparse) DP_TRY(make_sparse_pattern(s));
  if (SUNContext_Create(NULL, &s->sun) != 0 || !make_vectors(s) || !make_integrator(s))
    return dpi_fail(ctx, DP_ERR_MEMORY, "idas: the library could not be set up: %s",
                    s->message[0] ? s->message : "no memory");
  return DP_OK;
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
  s->dirty = true;
  if (ndir == 0) return DP_OK;
  return dpi_fail(base->ctx, DP_ERR_UNSUPPORTED, "idas: found %d directions: derivatives are not offered by this method",
                  ndir);
}

static void idas_input(dpi_solver *base, const double *u, const double *du) {
  idas_solver *s = self(base);
  dpi_solve_rhs_input(&s->rhs, u, du);
  s->dirty = true;
}

static dpi_solve_outcome idas_start(dpi_solver *base, double t, const double *x, const double *sens) {
  idas_solver *s = self(base);
  (void)sens;
  memcpy(s->x, x, (size_t)base->sys->nstate * sizeof *x);
  base->t_prev = base->t_now = t;
  base->x_now = s->x;
  base->sens_now = NULL;
  base->reason[0] = '\0';
  s->dirty = true;
  s->moved = false;
  s->taken = 0;
  int bad = dpi_solve_nonfinite(s->x, base->sys->nstate);
  if (bad < 0) return DPI_SOLVE_OK;
  snprintf(base->reason, sizeof base->reason, "at t = %.10g: the start value of %s is not finite", t,
           dpi_solve_state_id(base->sys, bad));
  return DPI_SOLVE_NONFINITE;
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
  if (!dpi_lu(s->lu, na, s->piv) || !dpi_solve_rhs_f(&s->rhs, t + h, s->fb, NV_DATA_S(s->dky))) return;
  for (int i = 0; i < na; i++) s->slope[i] = -(NV_Ith_S(s->dky, first + i) - s->fa[first + i]) / h;
  dpi_lu_solve(s->lu, na, s->piv, s->slope);
  for (int i = 0; i < na; i++)
    if (isfinite(s->slope[i])) slope[first + i] = s->slope[i];
}

/* Put the integrator at (t_now, x_now). */
static int restart(idas_solver *s, double t_end) {
  const int n = s->base.sys->nstate;
  const double t = s->base.t_now, h = fmax(1e-7 * (t_end - t), 4.0 * DBL_EPSILON * fabs(t));
  double *slope = NV_DATA_S(s->yp);
  memcpy(NV_DATA_S(s->y), s->x, (size_t)n * sizeof *s->x);
  dpi_solve_rhs_full(&s->rhs, t, s->x);
  for (int i = 0; i < s->first; i++) slope[i] = s->rhs.out[i] + (s->rhs.has_u ? s->rhs.u[i] : 0.0);
  if (dpi_solve_nonfinite(slope, s->first) >= 0) return IDA_FIRST_RES_FAIL;
  algebraic_slopes(s, h);
  s->fails_seen = 0;
  s->ntiny = 0;
  s->dirty = false;
  return IDAReInit(s->mem, t, s->y, s->yp);
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
               "at t = %.10g: no step lets the equations be solved (a constraint may have lost its solution)", b->t_now);
      return DPI_SOLVE_TOO_SMALL;
    default:
      snprintf(b->reason, sizeof b->reason, "at t = %.10g: idas: %s (flag %d)", b->t_now, s->message, flag);
      return DPI_SOLVE_FAILED;
  }
}

/* Nothing moves: no states, or a distance below the resolution of time. */
static dpi_solve_outcome jump(idas_solver *s, double t_end) {
  s->base.t_prev = s->base.t_now;
  s->base.t_now = t_end;
  s->moved = false;
  s->dirty = true;
  return DPI_SOLVE_OK;
}

static void count_work(idas_solver *s) {
  long fails = s->fails_seen;
  IDAGetNumErrTestFails(s->mem, &fails);
  s->base.nreject += fails - s->fails_seen;
  s->fails_seen = fails;
  s->base.nrhs = s->rhs.nrhs;
  s->base.njac = s->rhs.njac;
}

/* After a good step: keep the old point, take the new one. */
static dpi_solve_outcome take(idas_solver *s, double t_new) {
  size_t n = (size_t)s->base.sys->nstate;
  double *x = s->xprev, h = t_new - s->base.t_now;
  memcpy(x, NV_DATA_S(s->y), n * sizeof *x);
  s->xprev = s->x;
  s->x = x;
  s->base.t_prev = s->base.t_now;
  s->base.t_now = t_new;
  s->base.x_now = x;
  s->base.nstep++;
  s->taken++;
  s->moved = true;
  if (dpi_solve_nonfinite(x, (int)n) >= 0) return explain(s, IDA_REP_RES_ERR);
  double hlast = h, least = 16.0 * DBL_EPSILON * fabs(t_new);
  IDAGetLastStep(s->mem, &hlast);
  s->ntiny = fabs(hlast) > least || h > least ? 0 : s->ntiny + 1;
  if (s->ntiny < MAX_TINY) return DPI_SOLVE_OK;
  snprintf(s->base.reason, sizeof s->base.reason, "at t = %.10g: the step fell to %.3g", t_new, hlast);
  dpi_solve_say_fastest(&s->base, t_new, x, s->fa);
  return DPI_SOLVE_TOO_SMALL;
}

/* One internal step of IDAS, at most to t_end. */
static dpi_solve_outcome idas_step(dpi_solver *base, double t_end) {
  idas_solver *s = self(base);
  double t = base->t_now, t_new = t;
  int most = base->opts.max_steps > 0 ? base->opts.max_steps : 100000;
  if (!(t_end > t)) return DPI_SOLVE_OK;
  if (base->sys->nstate == 0 || t_end - t <= 4.0 * DBL_EPSILON * fmax(fabs(t), fabs(t_end))) return jump(s, t_end);
  if (s->taken >= most) {
    snprintf(base->reason, sizeof base->reason, "at t = %.10g: %d steps since the start and not at %.10g", t, most, t_end);
    return DPI_SOLVE_MAX_STEPS;
  }
  // a limit that changes from step to step is kept by stopping there
  double limit = base->step_limit, stop = limit > 0.0 && t + limit < t_end ? t + limit : t_end;
  int flag = s->dirty ? restart(s, t_end) : IDA_SUCCESS;
  if (flag == IDA_SUCCESS) flag = IDASetStopTime(s->mem, stop);
  if (flag == IDA_SUCCESS) flag = IDASolve(s->mem, stop, &t_new, s->y, s->yp, IDA_ONE_STEP);
  count_work(s);
  if (flag < 0) {
    s->dirty = true;
    s->moved = false;
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
  bool at_now = t == base->t_now || !s->moved, at_prev = t == base->t_prev;
  if (at_now || at_prev) {
    memcpy(x, at_now ? s->x : s->xprev, n * sizeof *x);
    return;
  }
  bool good = IDAGetDky(s->mem, t, 0, s->dky) == IDA_SUCCESS;
  for (size_t i = 0; i < n; i++) x[i] = good ? NV_Ith_S(s->dky, i) : NAN;
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
