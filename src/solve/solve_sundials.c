/* solve_sundials.c - floor 3: what cvode and idas share: tolerances of a step, matrix and linear solver, bookkeeping of
 * steps. */
#include "solve/solve_sundials.h"

#include <float.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <string.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#include "num/num.h"

/* A method of order 5 makes rtol^(-1/6) steps and its errors add up, so the safety grows alike: 30 at 1e-4, 140 at
 * 1e-8, 650 at 1e-12 (README.md: measured). Never less than the last figure: below, a step cannot tell its error from
 * rounding. */
#define SAFETY 30.0
#define SAFETY_AT 1e-4
#define RTOL_LEAST 1e-15
#define MAX_TINY 20  /* consecutive steps at the rounding of t that mean a blow-up */
#define DENSE_MAX 20 /* up to this many states the Jacobian is dense */

double dpi_sundials_safety(const dpi_solve_opts *o) { return SAFETY * dpi_m_pow(SAFETY_AT / o->rtol, 1.0 / 6.0); }
double dpi_sundials_rtol(const dpi_solve_opts *o) { return fmax(o->rtol / dpi_sundials_safety(o), RTOL_LEAST); }

/* ---------------------------------------------------------------- life */

static bool worth_sparse(const dpi_system *sys) {
  return sys->nstate > DENSE_MAX && 3.0 * (sys->jac_nnz + sys->nstate) < (double)sys->nstate * sys->nstate;
}

/* Pattern of J with the whole diagonal (I - gamma J must fit), by columns, from the tape's sorted list. */
static dp_status make_pattern(dp_ctx *ctx, const dpi_system *sys, dpi_sundials *c) {
  int n = sys->nstate, k = 0;
  c->colptr = DPI_NEW_ARRAY(ctx, sunindextype, n + 1);
  c->rowval = DPI_NEW_ARRAY(ctx, sunindextype, sys->jac_nnz + n);
  c->place = DPI_NEW_ARRAY(ctx, int, sys->jac_nnz);
  c->diagonal = DPI_NEW_ARRAY(ctx, int, n);
  if (!c->colptr || !c->rowval || !c->place || !c->diagonal) return DP_ERR_MEMORY;
  for (int j = 0; j < n; j++) {
    bool have = false;
    c->colptr[j] = c->nnz;
    for (; k < sys->jac_nnz && sys->jac_col[k] == j; k++) {
      int i = sys->jac_row[k];
      if (!have && i >= j) c->diagonal[j] = c->nnz;
      if (!have && i > j) c->rowval[c->nnz++] = j;
      have = have || i >= j;
      c->place[k] = c->nnz;
      c->rowval[c->nnz++] = i;
    }
    if (!have) {
      c->diagonal[j] = c->nnz;
      c->rowval[c->nnz++] = j;
    }
  }
  c->colptr[n] = c->nnz;
  return DP_OK;
}

void dpi_sundials_tolerances(const dpi_solver *s, dpi_sundials *c) {
  const dpi_solve_opts *o = &s->opts;
  for (int i = 0; i < s->sys->nstate; i++)
    NV_Ith_S(c->atol, i) = (o->atol_state ? o->atol_state[i] : o->atol) / dpi_sundials_safety(o);
}

static bool make_vectors(const dpi_solver *s, dpi_sundials *c) {
  int n = s->sys->nstate;
  c->y = N_VNew_Serial(n, c->sun);
  if (!c->y) return false;
  N_VConst(0.0, c->y);
  c->atol = N_VClone(c->y);
  c->dky = N_VClone(c->y);
  if (!c->atol || !c->dky) return false;
  dpi_sundials_tolerances(s, c);
  c->jac = c->sparse ? SUNSparseMatrix(n, n, c->nnz, CSC_MAT, c->sun) : SUNDenseMatrix(n, n, c->sun);
  if (!c->jac) return false;
  c->lin = c->sparse ? SUNLinSol_KLU(c->y, c->jac, c->sun) : SUNLinSol_Dense(c->y, c->jac, c->sun);
  return c->lin != NULL;
}

dp_status dpi_sundials_init(dpi_solver *s, dpi_sundials *c) {
  c->sparse = worth_sparse(s->sys);
  if (c->sparse) DP_TRY(make_pattern(s->ctx, s->sys, c));
  if (SUNContext_Create(NULL, &c->sun) != 0 || !make_vectors(s, c)) return dpi_sundials_failed(s, c);
  return DP_OK;
}

dp_status dpi_sundials_failed(dpi_solver *s, const dpi_sundials *c) {
  return dpi_fail(s->ctx, DP_ERR_MEMORY, "%s: the library could not be set up: %s", s->ops->name,
                  c->message[0] ? c->message : "no memory");
}

void dpi_sundials_release(dpi_solver *s, dpi_sundials *c) {
  N_Vector all[] = {c->y, c->atol, c->dky};
  if (c->lin) SUNLinSolFree(c->lin);
  if (c->jac) SUNMatDestroy(c->jac);
  for (int i = 0; i < DPI_COUNT(all); i++)
    if (all[i]) N_VDestroy(all[i]);
  if (c->sun) SUNContext_Free(&c->sun);
  dpi_free(s->ctx, c->colptr);
  dpi_free(s->ctx, c->rowval);
  dpi_free(s->ctx, c->place);
  dpi_free(s->ctx, c->diagonal);
}

/* ---------------------------------------------------------------- what the library calls */

/* Keep the library's words for the reason. */
void dpi_sundials_on_error(int code, const char *module, const char *function, char *text, void *user) {
  (void)module, (void)function;
  dpi_sundials *c = user;
  if (code < 0) snprintf(c->message, sizeof c->message, "%s", text);
}

void dpi_sundials_fill(const dpi_sundials *c, const dpi_system *sys, const double *value, SUNMatrix jac) {
  if (!c->sparse) {
    SUNMatZero(jac);
    for (int k = 0; k < sys->jac_nnz; k++) SM_ELEMENT_D(jac, sys->jac_row[k], sys->jac_col[k]) = value[k];
    return;
  }
  // the library may have cleared the matrix, pattern and all
  memcpy(SM_INDEXPTRS_S(jac), c->colptr, (size_t)(sys->nstate + 1) * sizeof *c->colptr);
  memcpy(SM_INDEXVALS_S(jac), c->rowval, (size_t)c->nnz * sizeof *c->rowval);
  double *data = SM_DATA_S(jac);
  memset(data, 0, (size_t)c->nnz * sizeof *data);
  for (int k = 0; k < sys->jac_nnz; k++) data[c->place[k]] = value[k];
}

void dpi_sundials_shift(const dpi_sundials *c, int n, double shift, SUNMatrix jac) {
  for (int i = 0; i < n; i++) {
    double *at = c->sparse ? &SM_DATA_S(jac)[c->diagonal[i]] : &SM_ELEMENT_D(jac, i, i);
    *at -= shift;
  }
}

/* ---------------------------------------------------------------- going through time */

dpi_solve_outcome dpi_sundials_start(dpi_solver *s, dpi_sundials *c, double t, const double *x) {
  s->t_prev = s->t_now = t;
  s->reason[0] = '\0';
  c->dirty = true;
  c->moved = false;
  c->taken = 0;
  int bad = dpi_solve_nonfinite(x, s->sys->nstate);
  if (bad < 0) return DPI_SOLVE_OK;
  snprintf(s->reason, sizeof s->reason, "at t = %.10g: the start value of %s is not finite", t,
           dpi_solve_state_id(s->sys, bad));
  return DPI_SOLVE_NONFINITE;
}

void dpi_sundials_restarted(dpi_sundials *c) {
  c->fails_seen = 0;
  c->ntiny = 0;
  c->dirty = false;
}

bool dpi_sundials_before(dpi_solver *s, dpi_sundials *c, double t_end, double *stop, dpi_solve_outcome *o) {
  double t = s->t_now;
  int most = s->opts.max_steps > 0 ? s->opts.max_steps : 100000;
  *o = DPI_SOLVE_OK;
  if (!(t_end > t)) return true;
  if (s->sys->nstate == 0 || t_end - t <= 4.0 * DBL_EPSILON * fmax(fabs(t), fabs(t_end))) {
    s->t_prev = t; /* nothing moves: no states, or a distance below the resolution of time */
    s->t_now = t_end;
    c->moved = false;
    c->dirty = true;
    return true;
  }
  if (c->taken >= most) {
    snprintf(s->reason, sizeof s->reason, "at t = %.10g: %d steps since the start and not at %.10g", t, most, t_end);
    *o = DPI_SOLVE_MAX_STEPS;
    return true;
  }
  // a limit that changes from step to step is kept by stopping there
  double limit = s->step_limit;
  *stop = limit > 0.0 && t + limit < t_end ? t + limit : t_end;
  return false;
}

void dpi_sundials_after(dpi_solver *s, dpi_sundials *c, double t_new) {
  s->t_prev = s->t_now;
  s->t_now = t_new;
  s->nstep++;
  c->taken++;
  c->moved = true;
}

dpi_solve_outcome dpi_sundials_tiny(dpi_solver *s, dpi_sundials *c, double h, double last, double *f) {
  double least = 16.0 * DBL_EPSILON * fabs(s->t_now);
  // after a dose the first steps are rightly tiny (about atol/|x'|) and grow; a blow-up's stay tiny
  c->ntiny = fabs(last) > least || h > least ? 0 : c->ntiny + 1;
  if (c->ntiny < MAX_TINY) return DPI_SOLVE_OK;
  snprintf(s->reason, sizeof s->reason, "at t = %.10g: the step fell to %.3g", s->t_now, last);
  dpi_solve_say_fastest(s, s->t_now, s->x_now, f);
  return DPI_SOLVE_TOO_SMALL;
}

void dpi_sundials_count(dpi_solver *s, dpi_sundials *c, long fails) {
  s->nreject += fails - c->fails_seen;
  c->fails_seen = fails;
  s->nrhs = s->rhs->nrhs;
  s->njac = s->rhs->njac;
}

const double *dpi_sundials_end(const dpi_solver *s, const dpi_sundials *c, double t, const double *now,
                               const double *prev) {
  return t == s->t_now || !c->moved ? now : t == s->t_prev ? prev : NULL;
}
