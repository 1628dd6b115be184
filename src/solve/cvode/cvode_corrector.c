/* cvode_corrector.c - floor 3: linear solves for all sensitivities at once, and the corrector that needs no iteration
 * (cvode_corrector.h).
 *
 * Factors of KLU are taken out by its own function once a factorisation, when columns first ask for them. Operations on
 * a column are klu_solve's and the dense solver's, in their order.
 */
#include "solve/cvode/cvode_corrector.h"

#include <klu.h>
#include <string.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_dense.h>

/* ---- linear ---- */

typedef struct linear {
  dpi_columns *family;
  SUNLinearSolver inner; /* borrowed */
  bool sparse, fresh;    /* fresh: `factors` are those of the last set-up */
  dpi_columns_factors factors;
  SuiteSparse_long *whole;        /* owned: all whole numbers of the factors */
  double *real;                   /* owned: all values of them */
  SuiteSparse_long lnz, unz, fnz; /* room there is */
  double *room;                   /* owned: [n x tile] */
} linear;

static linear *lin(SUNLinearSolver s) { return s->content; }

static SUNLinearSolver_Type linear_type(SUNLinearSolver s) { return SUNLinSolGetType(lin(s)->inner); }
static SUNLinearSolver_ID linear_id(SUNLinearSolver s) { return SUNLinSolGetID(lin(s)->inner); }
static int linear_initialize(SUNLinearSolver s) { return SUNLinSolInitialize(lin(s)->inner); }
static sunindextype linear_flag(SUNLinearSolver s) { return SUNLinSolLastFlag(lin(s)->inner); }

static int linear_setup(SUNLinearSolver s, SUNMatrix a) {
  lin(s)->fresh = false;
  return SUNLinSolSetup(lin(s)->inner, a);
}

/* Room for factors with these numbers of entries. */
static bool make_room(linear *l, const klu_l_numeric *num) {
  dp_ctx *ctx = l->family->ctx;
  if (l->whole && l->real && num->lnz <= l->lnz && num->unz <= l->unz && num->nzoff <= l->fnz) return true;
  dpi_free(ctx, l->whole);
  dpi_free(ctx, l->real);
  l->lnz = num->lnz;
  l->unz = num->unz;
  l->fnz = num->nzoff;
  const SuiteSparse_long entries = l->lnz + l->unz + l->fnz;
  l->whole = DPI_NEW_ARRAY(ctx, SuiteSparse_long, entries + 6 * (SuiteSparse_long)l->family->n + 6);
  l->real = DPI_NEW_ARRAY(ctx, double, entries + l->family->n);
  return l->whole && l->real;
}

/* The factors as they are now. */
static bool take_factors(linear *l) {
  klu_l_numeric *num = SUNLinSol_KLUGetNumeric(l->inner);
  klu_l_symbolic *sym = SUNLinSol_KLUGetSymbolic(l->inner);
  const SuiteSparse_long n = l->family->n;
  if (!make_room(l, num)) {
    l->family->no_memory = true;
    return false;
  }
  SuiteSparse_long *lp = l->whole, *up = lp + n + 1, *fp = up + n + 1, *first = fp + n + 1, *p = first + n + 1,
                   *q = p + n, *li = q + n, *ui = li + l->lnz, *fi = ui + l->unz;
  double *lx = l->real, *ux = lx + l->lnz, *fx = ux + l->unz, *scale = fx + l->fnz;
  if (!klu_l_extract(num, sym, lp, li, lx, up, ui, ux, fp, fi, fx, p, q, scale, first,
                     SUNLinSol_KLUGetCommon(l->inner)))
    return false;
  l->factors = (dpi_columns_factors){.n = (int)n,
                                     .nblock = (int)sym->nblocks,
                                     .first = first,
                                     .p = p,
                                     .q = q,
                                     .scale = scale,
                                     .lp = lp,
                                     .li = li,
                                     .up = up,
                                     .ui = ui,
                                     .fp = fp,
                                     .fi = fi,
                                     .lx = lx,
                                     .ux = ux,
                                     .fx = fx};
  l->fresh = true;
  return true;
}

static void swap_rows(double *a, double *b, int nc) {
  for (int c = 0; c < nc; c++) {
    const double keep = a[c];
    a[c] = b[c];
    b[c] = keep;
  }
}

static void row_less(double *to, double v, const double *from, int nc) {
  for (int c = 0; c < nc; c++) to[c] -= v * from[c];
}

/* By the dense solver's factors: rows exchanged, the lower triangle, the upper one. */
static void solve_dense(const linear *l, SUNMatrix a, int nc, double *b) {
  const sunindextype n = l->family->n, *pivot = ((SUNLinearSolverContent_Dense)l->inner->content)->pivots;
  realtype **column = SM_COLS_D(a);
  for (sunindextype k = 0; k < n; k++)
    if (pivot[k] != k) swap_rows(b + k * nc, b + pivot[k] * nc, nc);
  for (sunindextype k = 0; k < n - 1; k++)
    for (sunindextype i = k + 1; i < n; i++) row_less(b + i * nc, column[k][i], b + k * nc, nc);
  for (sunindextype k = n - 1; k >= 0; k--) {
    for (int c = 0; c < nc; c++) b[k * nc + c] /= column[k][k];
    for (sunindextype i = 0; i < k; i++) row_less(b + i * nc, column[k][i], b + k * nc, nc);
  }
}

static int linear_solve(SUNLinearSolver s, SUNMatrix a, N_Vector x, N_Vector b, realtype tol) {
  linear *l = lin(s);
  const int nc = dpi_columns_count(b);
  if (nc == 1) return SUNLinSolSolve(l->inner, a, x, b, tol);
  if (l->family->no_memory || (l->sparse && !l->fresh && !take_factors(l))) return SUNLS_MEM_FAIL;
  N_VScale(1.0, b, x);
  double *to = dpi_columns_data(x);
  if (l->family->no_memory) return SUNLS_MEM_FAIL;
  if (l->sparse)
    l->family->kernels->solve(&l->factors, nc, to, l->room);
  else
    solve_dense(l, a, nc, to);
  return SUNLS_SUCCESS;
}

static int linear_free(SUNLinearSolver s) {
  linear *l = s ? s->content : NULL;
  if (l) {
    dp_ctx *ctx = l->family->ctx;
    dpi_free(ctx, l->whole);
    dpi_free(ctx, l->real);
    dpi_free(ctx, l->room);
    dpi_free(ctx, l);
    s->content = NULL;
  }
  if (s) SUNLinSolFreeEmpty(s);
  return SUNLS_SUCCESS;
}

SUNLinearSolver dpi_corrector_linear(dpi_columns *family, SUNLinearSolver inner, bool sparse, SUNContext sun) {
  SUNLinearSolver s = SUNLinSolNewEmpty(sun);
  linear *l = s ? DPI_NEW(family->ctx, linear) : NULL;
  if (l) {
    *l = (linear){.family = family, .inner = inner, .sparse = sparse};
    l->room = DPI_NEW_ARRAY(family->ctx, double, (size_t)family->n *DPI_COLUMNS_TILE);
    s->content = l;
    s->ops->gettype = linear_type;
    s->ops->getid = linear_id;
    s->ops->initialize = linear_initialize;
    s->ops->setup = linear_setup;
    s->ops->solve = linear_solve;
    s->ops->lastflag = linear_flag;
    s->ops->free = linear_free;
  }
  if (l && l->room) return s;
  if (s) linear_free(s);
  return NULL;
}

/* ---- the corrector ---- */

typedef struct direct {
  dpi_columns *family;
  SUNNonlinSolSysFn residual;
  SUNNonlinSolLSetupFn setup;
  SUNNonlinSolLSolveFn solve;
  N_Vector delta; /* owned, made at the first step */
} direct;

static direct *dir(SUNNonlinearSolver s) { return s->content; }

static SUNNonlinearSolver_Type direct_type(SUNNonlinearSolver s) {
  (void)s;
  return SUNNONLINEARSOLVER_ROOTFIND;
}

static int direct_set_residual(SUNNonlinearSolver s, SUNNonlinSolSysFn f) {
  dir(s)->residual = f;
  return SUN_NLS_SUCCESS;
}

static int direct_set_setup(SUNNonlinearSolver s, SUNNonlinSolLSetupFn f) {
  dir(s)->setup = f;
  return SUN_NLS_SUCCESS;
}

static int direct_set_solve(SUNNonlinearSolver s, SUNNonlinSolLSolveFn f) {
  dir(s)->solve = f;
  return SUN_NLS_SUCCESS;
}

/* Neither tested nor repeated. */
static int direct_set_test(SUNNonlinearSolver s, SUNNonlinSolConvTestFn f, void *data) {
  (void)s, (void)f, (void)data;
  return SUN_NLS_SUCCESS;
}

static int direct_set_most(SUNNonlinearSolver s, int most) {
  (void)s, (void)most;
  return SUN_NLS_SUCCESS;
}

static int direct_iterations(SUNNonlinearSolver s, long *n) {
  (void)s;
  *n = 1;
  return SUN_NLS_SUCCESS;
}

static int direct_iteration(SUNNonlinearSolver s, int *i) {
  (void)s;
  *i = 0;
  return SUN_NLS_SUCCESS;
}

static int direct_failures(SUNNonlinearSolver s, long *n) {
  (void)s;
  *n = 0;
  return SUN_NLS_SUCCESS;
}

/* One step of Newton's method with the Jacobian of here and now; y comes as 0. */
static int direct_solve(SUNNonlinearSolver s, N_Vector y0, N_Vector y, N_Vector w, realtype tol, booleantype again,
                        void *mem) {
  (void)y0, (void)w, (void)tol, (void)again;
  direct *d = dir(s);
  booleantype current;
  if (!d->delta) d->delta = N_VClone(y);
  if (d->family->no_memory) {
    N_VDestroy(d->delta);
    d->delta = NULL;
    return SUN_NLS_MEM_FAIL;
  }
  DP_ASSERT(d->setup && d->solve);
  int flag = d->residual(y, d->delta, mem);
  d->family->exact = true;
  if (flag == SUN_NLS_SUCCESS) flag = d->setup(SUNTRUE, &current, mem);
  d->family->exact = false;
  if (flag != SUN_NLS_SUCCESS) return flag;
  N_VScale(-1.0, d->delta, d->delta);
  flag = d->solve(d->delta, mem);
  if (flag == SUN_NLS_SUCCESS) N_VLinearSum(1.0, y, 1.0, d->delta, y);
  return flag;
}

static int direct_free(SUNNonlinearSolver s) {
  direct *d = s ? s->content : NULL;
  if (d) {
    if (d->delta) N_VDestroy(d->delta);
    dpi_free(d->family->ctx, d);
    s->content = NULL;
  }
  if (s) SUNNonlinSolFreeEmpty(s);
  return SUN_NLS_SUCCESS;
}

SUNNonlinearSolver dpi_corrector_direct(dpi_columns *family, SUNContext sun) {
  SUNNonlinearSolver s = SUNNonlinSolNewEmpty(sun);
  if (!s) return NULL;
  direct *d = DPI_NEW(family->ctx, direct);
  if (!d) {
    SUNNonlinSolFreeEmpty(s);
    return NULL;
  }
  d->family = family;
  s->content = d;
  s->ops->gettype = direct_type;
  s->ops->solve = direct_solve;
  s->ops->free = direct_free;
  s->ops->setsysfn = direct_set_residual;
  s->ops->setlsetupfn = direct_set_setup;
  s->ops->setlsolvefn = direct_set_solve;
  s->ops->setctestfn = direct_set_test;
  s->ops->setmaxiters = direct_set_most;
  s->ops->getnumiters = direct_iterations;
  s->ops->getcuriter = direct_iteration;
  s->ops->getnumconvfails = direct_failures;
  return s;
}
