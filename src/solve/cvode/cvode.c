/* cvode.c - floor 3: SUNDIALS CVODES behind the room's contract: BDF with analytic Jacobian and
 * sensitivities.
 *
 * All sensitivities are one vector to the library (cvode_columns.h); many of them are corrected without iterating
 * (cvode_corrector.h).
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
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#include "solve/cvode/cvode_columns.h"
#include "solve/cvode/cvode_corrector.h"
#include "solve/solve_sundials.h"

typedef struct cvode_solver {
  dpi_solver base;
  dpi_solve_rhs rhs;
  dpi_sundials core;
  void *mem;
  dpi_columns family;        /* from here to rows: with directions only */
  N_Vector ys, ysdky, ysatol; /* S to begin with, S on its way out, tolerances */
  SUNLinearSolver lin;       /* around the room's own */
  SUNNonlinearSolver direct;
  dpi_columns_rows rows;     /* owned: J by rows */
  int max_dir, nsens;        /* nsens: columns CVODES was set up with, 0: none */
  double *block;     /* owned: the arrays below */
  double *x, *xprev; /* [n] */
  double *s, *sprev; /* [n x ndir] */
  double *jac;       /* [jac_nnz] as last asked for */
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
  double *f = s->max_dir > 0 ? dpi_columns_begin(ydot) : NV_DATA_S(ydot);
  if (s->nsens == 0) return dpi_solve_rhs_f(&s->rhs, t, NV_DATA_S(y), f) ? 0 : 1;
  need_full(s, t, NV_DATA_S(y));
  for (int i = 0; i < n; i++) f[i] = s->rhs.out[i] + (s->rhs.has_u ? s->rhs.u[i] : 0.0);
  return dpi_solve_nonfinite(f, n) < 0 ? 0 : 1;
}

/* S' = U + F_p P + J S. */
static int on_sens(int one, realtype t, N_Vector y, N_Vector ydot, N_Vector *ys, N_Vector *ysdot,
                   void *user, N_Vector tmp1, N_Vector tmp2) {
  (void)one, (void)ydot, (void)tmp1, (void)tmp2;
  cvode_solver *s = user;
  const dpi_solve_rhs *r = &s->rhs;
  const size_t size = (size_t)r->sys->nstate * (size_t)s->nsens;
  need_full(s, t, NV_DATA_S(y));
  const double *jac = dpi_solve_rhs_jac(r), *fp = jac + r->sys->jac_nnz, *in = dpi_columns_data(*ys);
  double *o = dpi_columns_begin(*ysdot);
  if (s->family.no_memory) return -1;
  if (r->has_du)
    memcpy(o, r->du, size * sizeof *o);
  else
    memset(o, 0, size * sizeof *o);
  for (int k = 0; k < r->nterm; k++) o[r->term[k].at] += fp[r->term[k].entry] * r->term[k].weight;
  s->family.kernels->product(&s->rows, s->nsens, jac, in, o);
  return dpi_solve_nonfinite(o, (int)size) < 0 ? 0 : 1;
}

/* I - gamma J. An older J will do (`kept`) where it is iterated with. */
static int on_system(realtype t, N_Vector y, N_Vector fy, SUNMatrix a, booleantype kept, booleantype *fresh,
                     realtype gamma, void *user, N_Vector tmp1, N_Vector tmp2, N_Vector tmp3) {
  (void)fy, (void)tmp1, (void)tmp2, (void)tmp3;
  cvode_solver *s = user;
  const dpi_system *sys = s->base.sys;
  *fresh = !kept || s->family.exact;
  if (*fresh) {
    need_full(s, t, NV_DATA_S(y));
    memcpy(s->jac, dpi_solve_rhs_jac(&s->rhs), (size_t)sys->jac_nnz * sizeof *s->jac);
    if (dpi_solve_nonfinite(s->jac, sys->jac_nnz) >= 0) return 1;
  }
  dpi_sundials_fill(&s->core, sys, s->jac, a);
  double *value = s->core.sparse ? SM_DATA_S(a) : SM_DATA_D(a);
  const int n = s->core.sparse ? s->core.nnz : sys->nstate * sys->nstate;
  for (int i = 0; i < n; i++) value[i] *= -gamma;
  dpi_sundials_shift(&s->core, sys->nstate, -1.0, a);
  return 0;
}

/* ---------------------------------------------------------------- life */

static void cvode_destroy(dpi_solver *base) {
  cvode_solver *s = self(base);
  if (s->mem) CVodeFree(&s->mem);
  if (s->ysdky) dpi_columns_lend(s->ysdky, NULL);
  N_Vector all[] = {s->ys, s->ysdky, s->ysatol};
  for (int i = 0; i < DPI_COUNT(all); i++)
    if (all[i]) N_VDestroy(all[i]);
  if (s->direct) SUNNonlinSolFree(s->direct);
  if (s->lin) SUNLinSolFree(s->lin);
  dpi_free(base->ctx, s->rows.first);
  dpi_free(base->ctx, s->rows.entry);
  dpi_free(base->ctx, s->rows.col);
  dpi_sundials_release(base, &s->core);
  dpi_columns_release(&s->family);
  dpi_solve_rhs_release(base, &s->rhs);
  dpi_free(base->ctx, s->block);
  dpi_free(base->ctx, s);
}

static bool cvode_can(const dpi_system *sys) { return sys->nalgebraic == 0; }

/* J by rows, from the tape's list by columns. */
static dp_status make_rows(cvode_solver *s) {
  dp_ctx *ctx = s->base.ctx;
  const dpi_system *sys = s->base.sys;
  dpi_columns_rows *r = &s->rows;
  r->n = sys->nstate;
  r->first = DPI_NEW_ARRAY(ctx, int, sys->nstate + 2);
  r->entry = DPI_NEW_ARRAY(ctx, int, sys->jac_nnz + 1);
  r->col = DPI_NEW_ARRAY(ctx, int, sys->jac_nnz + 1);
  if (!r->first || !r->entry || !r->col) return DP_ERR_MEMORY;
  int *next = r->first + 1; /* counted one further, so that filling moves them to where they belong */
  for (int k = 0; k < sys->jac_nnz; k++) next[sys->jac_row[k] + 1]++;
  for (int i = 1; i <= sys->nstate; i++) next[i] += next[i - 1];
  for (int k = 0; k < sys->jac_nnz; k++) {
    const int at = next[sys->jac_row[k]]++;
    r->entry[at] = k;
    r->col[at] = sys->jac_col[k];
  }
  return DP_OK;
}

/* What sensitivities need. The state is a vector of their kind too, since the library mixes them. */
static dp_status make_columns(cvode_solver *s) {
  dpi_sundials *c = &s->core;
  if (s->max_dir == 0) return DP_OK;
  DP_TRY(dpi_columns_init(s->base.ctx, s->base.sys->nstate, s->max_dir, &s->family));
  DP_TRY(make_rows(s));
  N_VDestroy(c->y);
  c->y = dpi_columns_new(&s->family, c->sun, 1);
  N_VDestroy(c->dky);
  c->dky = dpi_columns_new(&s->family, c->sun, 1);
  N_VDestroy(c->atol);
  c->atol = dpi_columns_new(&s->family, c->sun, 1);
  s->ys = dpi_columns_new(&s->family, c->sun, s->max_dir);
  s->ysdky = dpi_columns_new(&s->family, c->sun, s->max_dir);
  s->ysatol = dpi_columns_new(&s->family, c->sun, s->max_dir);
  s->lin = dpi_corrector_linear(&s->family, c->lin, c->sparse, c->sun);
  s->direct = dpi_corrector_direct(&s->family, c->sun);
  const bool made = c->y && c->dky && c->atol && s->ys && s->ysdky && s->ysatol && s->lin && s->direct;
  if (!made || s->family.no_memory) return DP_ERR_MEMORY;
  dpi_sundials_tolerances(&s->base, c);
  return DP_OK;
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
         CVodeSetLinearSolver(s->mem, s->lin ? s->lin : c->lin, c->jac) == CV_SUCCESS &&
         CVodeSetLinSysFn(s->mem, on_system) == CV_SUCCESS &&
         (o->max_step <= 0.0 || CVodeSetMaxStep(s->mem, o->max_step) == CV_SUCCESS);
}

extern const dpi_solver_ops dp_solve_cvode;

static dp_status build(cvode_solver *s) {
  dp_ctx *ctx = s->base.ctx;
  const dpi_system *sys = s->base.sys;
  size_t n = (size_t)sys->nstate, ns = n * (size_t)s->max_dir;
  DP_TRY(dpi_solve_rhs_init(&s->base, s->max_dir, &s->rhs));
  s->block = DPI_NEW_ARRAY(ctx, double, 3 * n + 2 * ns + (size_t)sys->jac_nnz);
  if (!s->block) return DP_ERR_MEMORY;
  s->x = s->block;
  s->xprev = s->x + n;
  s->cached_x = s->xprev + n;
  s->s = s->cached_x + n;
  s->sprev = s->s + ns;
  s->jac = s->sprev + ns;
  if (n == 0) return DP_OK;
  DP_TRY(dpi_sundials_init(&s->base, &s->core));
  DP_TRY(make_columns(s));
  const bool made = make_integrator(s);
  if (s->family.no_memory) return DP_ERR_MEMORY;
  return made ? DP_OK : dpi_sundials_failed(&s->base, &s->core);
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
  double *to = dpi_columns_data(s->ysatol);
  const int nd = s->rhs.ndir;
  for (int d = 0; d < nd; d++) {
    double scale = dpi_solve_rhs_scale(&s->rhs, d);
    for (int i = 0; i < s->base.sys->nstate; i++) to[i * nd + d] = NV_Ith_S(s->core.atol, i) * scale;
  }
}

/* CVODES is told of one sensitivity with ndir columns. */
static bool start_columns(cvode_solver *s, int ndir) {
  N_Vector all[] = {s->ys, s->ysdky, s->ysatol};
  for (int i = 0; i < DPI_COUNT(all); i++) dpi_columns_set(all[i], ndir);
  N_VConst(0.0, s->ys);
  if (CVodeSensInit(s->mem, 1, CV_STAGGERED, on_sens, &s->ys) != CV_SUCCESS) return false;
  s->nsens = ndir;
  const bool at_once = ndir >= DPI_CORRECTOR_LEAST && s->base.sys->nstate >= DPI_CORRECTOR_STATES;
  if (at_once && CVodeSetNonlinearSolverSensStg(s->mem, s->direct) != CV_SUCCESS) return false;
  return CVodeSetSensErrCon(s->mem, s->base.opts.sens_error) == CV_SUCCESS;
}

static void stop_columns(cvode_solver *s) {
  if (s->nsens > 0) CVodeSensFree(s->mem);
  s->nsens = 0;
}

/* Give CVODES as many columns as this bind has. */
static bool set_columns(cvode_solver *s, int ndir) {
  s->family.no_memory = false;
  if (ndir != s->nsens) stop_columns(s);
  if (ndir == 0) return true;
  bool good = ndir == s->nsens || start_columns(s, ndir);
  if (good) set_sens_tolerances(s);
  good = good && CVodeSensSVtolerances(s->mem, dpi_sundials_rtol(&s->base.opts), &s->ysatol) == CV_SUCCESS;
  if (good && !s->family.no_memory) return true;
  stop_columns(s);
  return false;
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
  s->family.no_memory = false;
  publish(s);
  const dpi_solve_outcome o = dpi_sundials_start(base, &s->core, t, s->x);
  if (o != DPI_SOLVE_OK || dpi_solve_nonfinite(s->s, (int)ns) < 0) return o;
  snprintf(base->reason, sizeof base->reason, "at t = %.10g: the start value of a sensitivity is not finite", t);
  return DPI_SOLVE_NONFINITE;
}

/* ---------------------------------------------------------------- going through time */

/* Put the integrator at (t_now, x_now, S_now). */
static int restart(cvode_solver *s) {
  memcpy(NV_DATA_S(s->core.y), s->x, (size_t)s->base.sys->nstate * sizeof *s->x);
  if (s->nsens > 0)
    memcpy(dpi_columns_data(s->ys), s->s, (size_t)s->base.sys->nstate * (size_t)s->nsens * sizeof *s->s);
  int flag = CVodeReInit(s->mem, s->base.t_now, s->core.y);
  if (flag == CV_SUCCESS && s->nsens > 0) flag = CVodeSensReInit(s->mem, CV_STAGGERED, &s->ys);
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
    dpi_columns_lend(s->ysdky, sens);
    if (CVodeGetSens(s->mem, &told, &s->ysdky) != CV_SUCCESS) return explain(s, CV_UNRECOGNIZED_ERR);
    dpi_columns_data(s->ysdky);
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
  if (s->family.no_memory) return DPI_SOLVE_MEMORY;
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
  dpi_columns_lend(s->ysdky, sens);
  good = CVodeGetSensDky(s->mem, t, 0, &s->ysdky) == CV_SUCCESS;
  dpi_columns_lend(s->ysdky, NULL);
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
