/* cvode_adjoint.c - floor 3: the way back along a piece of path by CVODES' adjoint module (see solve_adjoint.h).
 *
 * Forward, CVodeF keeps steps (cubic Hermite between them) and checkpoints; backwards, CVodeB integrates lambda with
 * the transposed Jacobian of the full tape, factorised like the forward one, and the integrals as its quadratures, all
 * under error control. A weight stops it: lambda jumps there, and it starts anew (A. Hindmarsh, R. Serban, CVODES).
 *
 * Sizes. What counts is lambda_j x_j: the absolute tolerance of lambda_j is rtol times the largest of these met so far,
 * over the state's own size along the piece (never less than a thousandth of the largest state, so that a state at 0
 * has its derivative too); that of mu_a the same over |p_a|. LESS of it, since sums may cancel.
 */
#include <cvodes/cvodes.h>
#include <float.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <string.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#include "solve/solve_adjoint.h"
#include "solve/solve_sundials.h"

#define LESS 1e-2
#define LESS_LEAST 1e-14  /* of that: where a rate jumps steps must not have to be shorter than time is resolved */
#define LEAST_SIZE 1e-3   /* of a state, in parts of the largest */
#define RTOL_LEAST 1e-13  /* of a step: below, too many of them are lost to rounding */
#define KEPT_LEAST 100    /* steps */
#define KEPT_MOST 20000
#define MAX_STEPS_BACK 1000000 /* from weight to weight */

extern const dpi_solver_ops dp_solve_cvode;

struct dpi_adjoint {
  dpi_solver base; /* for what the room shares: context, system, options, reason */
  dpi_solve_rhs rhs;
  dpi_sundials core;
  void *mem;
  int which;                   /* backward problem, -1: none yet */
  bool inputs, ready;          /* ready: CVodeF has been called in this mem */
  int nquad;
  N_Vector lambda, quad, atol, atol_quad;
  SUNMatrix jac;               /* -J^T */
  SUNLinearSolver lin;
  double rtol;                 /* of a step */
  double t0, t, t1;            /* piece; where lambda is */
  bool any, placed;            /* lambda or the integrals are not 0; the integrator stands at (t, lambda) */
  bool still;                  /* the piece is shorter than time is resolved */
  double largest;              /* of lambda_j size_j so far */
  double *block, *size, *was;  /* block: owned. [nstate]: sizes of states; the point of the last full tape */
  double was_t;
  bool cached;
};

/* ---- what CVODES calls ---- */

static void need_full(dpi_adjoint *a, double t, const double *x) {
  const size_t size = (size_t)a->base.sys->nstate * sizeof *x;
  if (a->cached && t == a->was_t && memcmp(x, a->was, size) == 0) return;
  dpi_solve_rhs_full(&a->rhs, t, x);
  memcpy(a->was, x, size);
  a->was_t = t;
  a->cached = true;
}

static int on_rhs(realtype t, N_Vector y, N_Vector ydot, void *user) {
  dpi_adjoint *a = user;
  return dpi_solve_rhs_f(&a->rhs, t, NV_DATA_S(y), NV_DATA_S(ydot)) ? 0 : 1;
}

static int on_jac(realtype t, N_Vector y, N_Vector fy, SUNMatrix jac, void *user, N_Vector tmp1, N_Vector tmp2,
                  N_Vector tmp3) {
  (void)fy, (void)tmp1, (void)tmp2, (void)tmp3;
  dpi_adjoint *a = user;
  const dpi_system *sys = a->base.sys;
  need_full(a, t, NV_DATA_S(y));
  const double *value = dpi_solve_rhs_jac(&a->rhs);
  if (dpi_solve_nonfinite(value, sys->jac_nnz) >= 0) return 1;
  dpi_sundials_fill(&a->core, sys, value, jac);
  return 0;
}

/* lambda' = -J^T lambda */
static int on_back(realtype t, N_Vector y, N_Vector yb, N_Vector ybdot, void *user) {
  dpi_adjoint *a = user;
  const dpi_system *sys = a->base.sys;
  const double *l = NV_DATA_S(yb);
  double *o = NV_DATA_S(ybdot);
  need_full(a, t, NV_DATA_S(y));
  const double *jac = dpi_solve_rhs_jac(&a->rhs);
  memset(o, 0, (size_t)sys->nstate * sizeof *o);
  for (int k = 0; k < sys->jac_nnz; k++) o[sys->jac_col[k]] -= jac[k] * l[sys->jac_row[k]];
  return dpi_solve_nonfinite(o, sys->nstate) < 0 ? 0 : 1;
}

/* mu' = -F_p^T lambda, u_bar' = -lambda: integrated backwards these give plus. */
static int on_quad(realtype t, N_Vector y, N_Vector yb, N_Vector qbdot, void *user) {
  dpi_adjoint *a = user;
  const dpi_system *sys = a->base.sys;
  const double *l = NV_DATA_S(yb);
  double *o = NV_DATA_S(qbdot);
  need_full(a, t, NV_DATA_S(y));
  const double *fp = dpi_solve_rhs_jac(&a->rhs) + sys->jac_nnz;
  memset(o, 0, (size_t)a->nquad * sizeof *o);
  for (int k = 0; k < sys->fp_nnz; k++) o[sys->fp_col[k]] -= fp[k] * l[sys->fp_row[k]];
  for (int i = 0; a->inputs && i < sys->nstate; i++) o[sys->nactive + i] = -l[i];
  return dpi_solve_nonfinite(o, a->nquad) < 0 ? 0 : 1;
}

/* A sparse J by columns is its transpose by rows. */
static int on_back_jac(realtype t, N_Vector y, N_Vector yb, N_Vector fyb, SUNMatrix jac, void *user, N_Vector tmp1,
                       N_Vector tmp2, N_Vector tmp3) {
  (void)yb, (void)fyb, (void)tmp1, (void)tmp2, (void)tmp3;
  dpi_adjoint *a = user;
  const dpi_system *sys = a->base.sys;
  need_full(a, t, NV_DATA_S(y));
  const double *value = dpi_solve_rhs_jac(&a->rhs);
  if (dpi_solve_nonfinite(value, sys->jac_nnz) >= 0) return 1;
  if (a->core.sparse) {
    dpi_sundials_fill(&a->core, sys, value, jac);
    for (int k = 0; k < a->core.nnz; k++) SM_DATA_S(jac)[k] = -SM_DATA_S(jac)[k];
    return 0;
  }
  SUNMatZero(jac);
  for (int k = 0; k < sys->jac_nnz; k++) SM_ELEMENT_D(jac, sys->jac_col[k], sys->jac_row[k]) = -value[k];
  return 0;
}

/* ---- life ---- */

bool dpi_adjoint_can(const dpi_system *sys) {
  return sys->nstate > 0 && sys->nalgebraic == 0 && sys->ndelayed == 0;
}

void dpi_adjoint_destroy(dpi_adjoint *a) {
  if (!a) return;
  dp_ctx *ctx = a->base.ctx;
  N_Vector all[] = {a->lambda, a->quad, a->atol, a->atol_quad};
  if (a->mem) CVodeFree(&a->mem);
  if (a->lin) SUNLinSolFree(a->lin);
  if (a->jac) SUNMatDestroy(a->jac);
  for (int i = 0; i < DPI_COUNT(all); i++)
    if (all[i]) N_VDestroy(all[i]);
  dpi_sundials_release(&a->base, &a->core);
  dpi_solve_rhs_release(&a->base, &a->rhs);
  dpi_free(ctx, a->block);
  dpi_free(ctx, a);
}

/* Steps that fit: state, slope and what a vector is wrapped in. */
static long steps_kept(const dpi_adjoint *a, size_t memory) {
  const size_t each = 2 * ((size_t)a->base.sys->nstate * sizeof(double) + 256);
  const size_t n = memory / each;
  return n < KEPT_LEAST ? KEPT_LEAST : n > KEPT_MOST ? KEPT_MOST : (long)n;
}

static bool make_forward(dpi_adjoint *a, size_t memory) {
  const dpi_sundials *c = &a->core;
  const dpi_solve_opts *o = &a->base.opts;
  a->mem = CVodeCreate(CV_BDF, c->sun);
  return a->mem && CVodeSetErrHandlerFn(a->mem, dpi_sundials_on_error, &a->core) == CV_SUCCESS &&
         CVodeInit(a->mem, on_rhs, 0.0, c->y) == CV_SUCCESS &&
         CVodeSVtolerances(a->mem, a->rtol, c->atol) == CV_SUCCESS && CVodeSetUserData(a->mem, a) == CV_SUCCESS &&
         CVodeSetMaxHnilWarns(a->mem, -1) == CV_SUCCESS && CVodeSetMaxNumSteps(a->mem, -1) == CV_SUCCESS &&
         CVodeSetLinearSolver(a->mem, c->lin, c->jac) == CV_SUCCESS && CVodeSetJacFn(a->mem, on_jac) == CV_SUCCESS &&
         (o->max_step <= 0.0 || CVodeSetMaxStep(a->mem, o->max_step) == CV_SUCCESS) &&
         CVodeAdjInit(a->mem, steps_kept(a, memory), CV_HERMITE) == CV_SUCCESS;
}

static bool make_vectors(dpi_adjoint *a) {
  const dpi_sundials *c = &a->core;
  const int n = a->base.sys->nstate;
  a->lambda = N_VNew_Serial(n, c->sun);
  a->atol = N_VNew_Serial(n, c->sun);
  a->quad = N_VNew_Serial(a->nquad > 0 ? a->nquad : 1, c->sun);
  a->atol_quad = N_VNew_Serial(a->nquad > 0 ? a->nquad : 1, c->sun);
  a->jac = c->sparse ? SUNSparseMatrix(n, n, c->nnz, CSR_MAT, c->sun) : SUNDenseMatrix(n, n, c->sun);
  if (!a->lambda || !a->atol || !a->quad || !a->atol_quad || !a->jac) return false;
  N_VConst(0.0, a->lambda);
  N_VConst(0.0, a->quad);
  a->lin = c->sparse ? SUNLinSol_KLU(a->lambda, a->jac, c->sun) : SUNLinSol_Dense(a->lambda, a->jac, c->sun);
  if (!a->lin) return false;
  if (!c->sparse) return true;
  return SUNLinSol_KLUSetOrdering(c->lin, DPI_KLU_AMD) == SUNLS_SUCCESS &&
         SUNLinSol_KLUSetOrdering(a->lin, DPI_KLU_AMD) == SUNLS_SUCCESS;
}

static dp_status build(dpi_adjoint *a, size_t memory) {
  dp_ctx *ctx = a->base.ctx;
  const size_t n = (size_t)a->base.sys->nstate;
  DP_TRY(dpi_solve_rhs_init(&a->base, 0, &a->rhs));
  a->block = DPI_NEW_ARRAY(ctx, double, 2 * n);
  if (!a->block) return DP_ERR_MEMORY;
  a->size = a->block;
  a->was = a->size + n;
  a->rtol = fmax(dpi_sundials_rtol(&a->base.opts), RTOL_LEAST);
  DP_TRY(dpi_sundials_init(&a->base, &a->core));
  return make_vectors(a) && make_forward(a, memory) ? DP_OK : dpi_sundials_failed(&a->base, &a->core);
}

dp_status dpi_adjoint_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, bool inputs, size_t memory,
                             dpi_adjoint **out) {
  *out = NULL;
  dpi_adjoint *a = DPI_NEW(ctx, dpi_adjoint);
  if (!a) return DP_ERR_MEMORY;
  a->base = (dpi_solver){.ops = &dp_solve_cvode, .ctx = ctx, .sys = sys, .opts = *opts};
  a->inputs = inputs;
  a->nquad = sys->nactive + (inputs ? sys->nstate : 0);
  a->which = -1;
  const dp_status st = build(a, memory);
  if (st != DP_OK) {
    dpi_adjoint_destroy(a);
    return st;
  }
  *out = a;
  return DP_OK;
}

const char *dpi_adjoint_reason(const dpi_adjoint *a) { return a->base.reason; }

/* ---- forward ---- */

/* Too near for the library to begin there. */
static bool near(double s, double t) { return fabs(t - s) <= 16 * DBL_EPSILON * fmax(fabs(s), fabs(t)); }

static dpi_solve_outcome failed(dpi_adjoint *a, const char *what, double t, int flag) {
  if (flag == CV_MEM_FAIL || flag == CV_MEM_NULL) return DPI_SOLVE_MEMORY;
  snprintf(a->base.reason, sizeof a->base.reason, "%s at t = %.10g: cvode: %s (flag %d)", what, t, a->core.message,
           flag);
  return DPI_SOLVE_FAILED;
}

static void note_sizes(dpi_adjoint *a) {
  const double *y = NV_DATA_S(a->core.y);
  for (int i = 0; i < a->base.sys->nstate; i++)
    if (fabs(y[i]) > a->size[i]) a->size[i] = fabs(y[i]);
}

/* States' own sizes along the piece, none too small. */
static void settle_sizes(dpi_adjoint *a) {
  double most = 0;
  const int n = a->base.sys->nstate;
  for (int i = 0; i < n; i++) most = a->size[i] > most ? a->size[i] : most;
  const double least = most > 0 ? LEAST_SIZE * most : 1;
  for (int i = 0; i < n; i++) a->size[i] = a->size[i] > least ? a->size[i] : least;
}

dpi_solve_outcome dpi_adjoint_path(dpi_adjoint *a, const double *sym, const double *u, double t0, const double *x0,
                                   double t1) {
  const size_t n = (size_t)a->base.sys->nstate;
  double t = t0;
  int ncheck, flag;
  if (dpi_solve_rhs_bind(a->base.ctx, &a->rhs, sym, NULL, 0) != DP_OK) return DPI_SOLVE_FAILED;
  dpi_solve_rhs_input(&a->rhs, u, NULL);
  a->cached = a->any = a->placed = false;
  a->base.reason[0] = a->core.message[0] = '\0';
  a->t0 = t0;
  a->t = a->t1 = t1;
  a->largest = 0;
  memset(a->size, 0, n * sizeof *a->size);
  memcpy(NV_DATA_S(a->core.y), x0, n * sizeof *x0);
  note_sizes(a);
  N_VConst(0.0, a->lambda);
  N_VConst(0.0, a->quad);
  a->still = near(t0, t1);
  if (a->still) return DPI_SOLVE_OK;
  flag = CVodeReInit(a->mem, t0, a->core.y);
  if (flag == CV_SUCCESS && a->ready) flag = CVodeAdjReInit(a->mem);
  a->ready = true;
  if (flag == CV_SUCCESS) flag = CVodeSetStopTime(a->mem, t1);
  while (flag >= 0 && flag != CV_TSTOP_RETURN && t < t1) {
    flag = CVodeF(a->mem, t1, a->core.y, &t, CV_ONE_STEP, &ncheck);
    note_sizes(a);
  }
  if (flag < 0) return failed(a, "once more", t, flag);
  settle_sizes(a);
  return DPI_SOLVE_OK;
}

/* ---- back ---- */

static void set_tolerances(dpi_adjoint *a) {
  const dpi_system *sys = a->base.sys;
  const double *l = NV_DATA_S(a->lambda);
  for (int i = 0; i < sys->nstate; i++) a->largest = fmax(a->largest, fabs(l[i]) * a->size[i]);
  const double small = fmax(LESS * a->rtol, LESS_LEAST) * a->largest;
  for (int i = 0; i < sys->nstate; i++) NV_Ith_S(a->atol, i) = small / a->size[i];
  for (int q = 0; q < sys->nactive; q++) {
    const double p = fabs(a->rhs.sym[sys->active[q]]);
    NV_Ith_S(a->atol_quad, q) = small / (p > 1e-10 && isfinite(p) ? p : 1);
  }
  for (int i = 0; a->inputs && i < sys->nstate; i++) NV_Ith_S(a->atol_quad, sys->nactive + i) = small / a->size[i];
}

/* The backward problem, made at the first weight of all. */
static int make_back(dpi_adjoint *a) {
  int flag = CVodeCreateB(a->mem, CV_BDF, &a->which);
  if (flag == CV_SUCCESS) flag = CVodeInitB(a->mem, a->which, on_back, a->t, a->lambda);
  if (flag == CV_SUCCESS) flag = CVodeSVtolerancesB(a->mem, a->which, a->rtol, a->atol);
  if (flag == CV_SUCCESS) flag = CVodeSetUserDataB(a->mem, a->which, a);
  if (flag == CV_SUCCESS) flag = CVodeSetMaxNumStepsB(a->mem, a->which, MAX_STEPS_BACK);
  if (flag == CV_SUCCESS) flag = CVodeSetLinearSolverB(a->mem, a->which, a->lin, a->jac);
  if (flag == CV_SUCCESS) flag = CVodeSetJacFnB(a->mem, a->which, on_back_jac);
  if (flag == CV_SUCCESS && a->nquad > 0) {
    flag = CVodeQuadInitB(a->mem, a->which, on_quad, a->quad);
    if (flag == CV_SUCCESS) flag = CVodeQuadSVtolerancesB(a->mem, a->which, a->rtol, a->atol_quad);
    if (flag == CV_SUCCESS) flag = CVodeSetQuadErrConB(a->mem, a->which, SUNTRUE);
  }
  void *inner = flag == CV_SUCCESS ? CVodeGetAdjCVodeBmem(a->mem, a->which) : NULL;
  if (inner) flag = CVodeSetErrHandlerFn(inner, dpi_sundials_on_error, &a->core);
  if (inner && flag == CV_SUCCESS) flag = CVodeSetMaxHnilWarns(inner, -1);
  return flag;
}

/* The integrator to (t, lambda), with the integrals so far. */
static int place(dpi_adjoint *a) {
  set_tolerances(a);
  a->placed = true;
  if (a->which < 0) return make_back(a);
  int flag = CVodeReInitB(a->mem, a->which, a->t, a->lambda);
  if (flag == CV_SUCCESS) flag = CVodeSVtolerancesB(a->mem, a->which, a->rtol, a->atol);
  if (flag == CV_SUCCESS && a->nquad > 0) flag = CVodeQuadReInitB(a->mem, a->which, a->quad);
  if (flag == CV_SUCCESS && a->nquad > 0) flag = CVodeQuadSVtolerancesB(a->mem, a->which, a->rtol, a->atol_quad);
  return flag;
}

static dpi_solve_outcome back_to(dpi_adjoint *a, double t) {
  double at = a->t;
  if (!(t < a->t)) return DPI_SOLVE_OK;
  if (!a->any || a->still || near(t, a->t)) {
    a->t = t;
    return DPI_SOLVE_OK;
  }
  int flag = a->placed ? CV_SUCCESS : place(a);
  if (flag == CV_SUCCESS) flag = CVodeB(a->mem, t, CV_NORMAL);
  if (flag >= 0) flag = CVodeGetB(a->mem, a->which, &at, a->lambda);
  if (flag >= 0 && a->nquad > 0) flag = CVodeGetQuadB(a->mem, a->which, &at, a->quad);
  if (flag < 0) return failed(a, "backwards", at, flag);
  a->t = t;
  return DPI_SOLVE_OK;
}

dpi_solve_outcome dpi_adjoint_weigh(dpi_adjoint *a, double t, const double *w) {
  bool zero = true;
  for (int i = 0; i < a->base.sys->nstate; i++) zero = zero && w[i] == 0;
  if (zero) return DPI_SOLVE_OK;
  const dpi_solve_outcome o = back_to(a, t);
  if (o != DPI_SOLVE_OK) return o;
  for (int i = 0; i < a->base.sys->nstate; i++) NV_Ith_S(a->lambda, i) += w[i];
  a->any = true;
  a->placed = false;
  return DPI_SOLVE_OK;
}

dpi_solve_outcome dpi_adjoint_start(dpi_adjoint *a, double *lambda, double *mu, double *u_bar) {
  const dpi_system *sys = a->base.sys;
  const dpi_solve_outcome o = back_to(a, a->t0);
  if (o != DPI_SOLVE_OK || !a->any) return o;
  for (int i = 0; i < sys->nstate; i++) lambda[i] += NV_Ith_S(a->lambda, i);
  for (int q = 0; q < sys->nactive; q++) mu[q] += NV_Ith_S(a->quad, q);
  for (int i = 0; a->inputs && i < sys->nstate; i++) u_bar[i] += NV_Ith_S(a->quad, sys->nactive + i);
  return DPI_SOLVE_OK;
}
