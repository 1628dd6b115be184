/* solve_rhs.c - floor 3: the right-hand side that all methods share (solve_rhs.h says what and in
 * which layout). */
#include "solve/solve_rhs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Memory for at most max_dir directions. */
dp_status dpi_solve_rhs_init(dpi_solver *s, int max_dir, dpi_solve_rhs *r) {
  dp_ctx *ctx = s->ctx;
  const dpi_system *sys = s->sys;
  *r = (dpi_solve_rhs){.sys = sys, .max_dir = max_dir, .delayed = sys->ndelayed > 0 ? s : NULL};
  s->rhs = r;
  size_t n = (size_t)sys->nstate, nd = (size_t)max_dir;
  r->sym = DPI_NEW_ARRAY(ctx, double, sys->nsym);
  r->reg_rhs = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(sys->rhs));
  r->reg_full = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(sys->full));
  r->out = DPI_NEW_ARRAY(ctx, double, sys->nstate + sys->jac_nnz + sys->fp_nnz);
  r->seed = DPI_NEW_ARRAY(ctx, double, (size_t)sys->nactive *nd);
  r->u = DPI_NEW_ARRAY(ctx, double, n);
  r->du = DPI_NEW_ARRAY(ctx, double, n *nd);
  r->term = DPI_NEW_ARRAY(ctx, dpi_solve_term, (size_t)sys->fp_nnz * nd);
  if (!r->sym || !r->reg_rhs || !r->reg_full || !r->out || !r->seed || !r->u || !r->du || !r->term)
    return DP_ERR_MEMORY;
  dpi_tape_init(sys->rhs, r->reg_rhs);
  dpi_tape_init(sys->full, r->reg_full);
  if (!r->delayed) return DP_OK;
  s->point = DPI_NEW_ARRAY(ctx, double, sys->nstate + sys->ndelayed);
  return s->point ? DP_OK : DP_ERR_MEMORY;
}

void dpi_solve_rhs_release(dpi_solver *s, dpi_solve_rhs *r) {
  dp_ctx *ctx = s->ctx;
  dpi_free(ctx, s->point);
  s->point = NULL;
  dpi_free(ctx, r->sym);
  dpi_free(ctx, r->reg_rhs);
  dpi_free(ctx, r->reg_full);
  dpi_free(ctx, r->out);
  dpi_free(ctx, r->seed);
  dpi_free(ctx, r->u);
  dpi_free(ctx, r->du);
  dpi_free(ctx, r->term);
  *r = (dpi_solve_rhs){0};
}

/* List the terms of F_p P whose weight is not zero: most directions move one parameter only. */
static void list_terms(dpi_solve_rhs *r) {
  const dpi_system *sys = r->sys;
  r->nterm = 0;
  for (int k = 0; k < sys->fp_nnz; k++) {
    for (int d = 0; d < r->ndir; d++) {
      double w = r->seed[sys->fp_col[k] * r->ndir + d];
      if (w == 0.0) continue;
      int row = sys->fp_row[k];
      r->term[r->nterm++] =
          (dpi_solve_term){.row = row, .dir = d, .at = row * r->ndir + d, .entry = k, .weight = w};
    }
  }
}

dp_status dpi_solve_rhs_bind(dp_ctx *ctx, dpi_solve_rhs *r, const double *sym, const double *seed,
                             int ndir) {
  const dpi_system *sys = r->sys;
  if (ndir < 0 || ndir > r->max_dir)
    return dpi_fail(ctx, DP_ERR_USAGE, "solver: %d directions asked, at most %d were announced",
                    ndir, r->max_dir);
  if (ndir > 0 && !seed && sys->nactive > 0)
    return dpi_fail(ctx, DP_ERR_USAGE, "solver: %d directions without seeds", ndir);
  r->ndir = ndir;
  r->has_u = r->has_du = false;
  memcpy(r->sym, sym, (size_t)sys->nsym * sizeof *sym);
  // time and states are ours: leave nothing of the caller's in them
  for (int i = 0; i <= sys->nstate + sys->ndelayed; i++) r->sym[i] = 0.0;
  if (ndir > 0 && sys->nactive > 0)
    memcpy(r->seed, seed, (size_t)sys->nactive * (size_t)ndir * sizeof *seed);
  dpi_tape_prologue(sys->rhs, r->sym, r->reg_rhs);
  dpi_tape_prologue(sys->full, r->sym, r->reg_full);
  list_terms(r);
  return DP_OK;
}

void dpi_solve_rhs_input(dpi_solve_rhs *r, const double *u, const double *du) {
  size_t n = (size_t)r->sys->nstate;
  r->has_u = u != NULL;
  r->has_du = du != NULL && r->ndir > 0;
  if (r->has_u) memcpy(r->u, u, n * sizeof *u);
  if (r->has_du) memcpy(r->du, du, n * (size_t)r->ndir * sizeof *du);
}

#define WIDE_LEAST 7 /* directions: from here on vectors of four are worth it */

/* v - v is +0 (all bits clear) for every finite v and NaN otherwise: no branch, and the vectoriser
 * likes it. */
static inline __attribute__((always_inline)) bool all_finite(const double *v, int n) {
  uint64_t bad = 0;
  for (int i = 0; i < n; i++) {
    double zero = v[i] - v[i];
    uint64_t bits;
    memcpy(&bits, &zero, sizeof bits);
    bad |= bits;
  }
  return bad == 0;
}

int dpi_solve_nonfinite(const double *v, int n) {
  if (all_finite(v, n)) return -1;
  for (int i = 0; i < n; i++)
    if (!isfinite(v[i])) return i;
  return -1;
}

bool dpi_solve_rhs_f(dpi_solve_rhs *r, double t, const double *x, double *f) {
  int n = r->sys->nstate;
  if (r->delayed) x = dpi_solver_point(r->delayed, t, x);
  const int32_t *at = dpi_tape_run(r->sys->rhs, t, x, r->reg_rhs);
  double zero = 0.0; /* v - v is 0 for every finite v and NaN otherwise */
  r->nrhs++;
  for (int i = 0; i < n; i++) {
    double v = r->reg_rhs[at[i]];
    if (r->has_u) v += r->u[i];
    f[i] = v;
    zero += v - v;
  }
  return zero == 0.0;
}

void dpi_solve_rhs_full(dpi_solve_rhs *r, double t, const double *x) {
  const dpi_system *sys = r->sys;
  if (r->delayed) x = dpi_solver_point(r->delayed, t, x);
  const int32_t *at = dpi_tape_run(sys->full, t, x, r->reg_full);
  int nout = sys->nstate + sys->jac_nnz + sys->fp_nnz;
  for (int i = 0; i < nout; i++) r->out[i] = r->reg_full[at[i]];
  r->nrhs++;
  r->njac++;
}

/* dsens = U + F_p P + J S; nd is a constant wherever this is inlined. */
static inline __attribute__((always_inline)) void sens_rate(const dpi_solve_rhs *r, int nd,
                                                            const double *restrict sens,
                                                            double *restrict dsens) {
  const dpi_system *sys = r->sys;
  const double *restrict jac = r->out + sys->nstate;
  const double *restrict fp = jac + sys->jac_nnz;
  const int *restrict row = sys->jac_row, *restrict col = sys->jac_col;
  if (r->has_du)
    memcpy(dsens, r->du, (size_t)sys->nstate * (size_t)nd * sizeof *dsens);
  else
    memset(dsens, 0, (size_t)sys->nstate * (size_t)nd * sizeof *dsens);
  for (int k = 0; k < r->nterm; k++)
    dsens[r->term[k].at] += fp[r->term[k].entry] * r->term[k].weight;
  for (int k = 0; k < sys->jac_nnz; k++) {
    double a = jac[k];
    const double *restrict in = sens + col[k] * nd;
    double *restrict out = dsens + row[k] * nd;
    for (int d = 0; d < nd; d++) out[d] += a * in[d];
  }
}

#if defined(__x86_64__)
/* The same in vectors of four: each element by the same operations, so by the same bytes. */
__attribute__((target("avx2"))) static bool sens_rate_four(const dpi_solve_rhs *r, int nd, const double *restrict sens,
                                                           double *restrict dsens) {
  sens_rate(r, nd, sens, dsens);
  return all_finite(dsens, r->sys->nstate * nd);
}
#endif

bool dpi_solve_rhs_apply(const dpi_solve_rhs *r, const double *sens, double *f, double *dsens) {
  int n = r->sys->nstate, nd = r->ndir;
  for (int i = 0; i < n; i++) f[i] = r->out[i];
  if (r->has_u)
    for (int i = 0; i < n; i++) f[i] += r->u[i];
#if defined(__x86_64__)
  if (nd >= WIDE_LEAST && __builtin_cpu_supports("avx2")) return sens_rate_four(r, nd, sens, dsens) && all_finite(f, n);
#endif
  switch (nd) {
    case 1:
      sens_rate(r, 1, sens, dsens);
      break;
    case 2:
      sens_rate(r, 2, sens, dsens);
      break;
    case 3:
      sens_rate(r, 3, sens, dsens);
      break;
    case 4:
      sens_rate(r, 4, sens, dsens);
      break;
    case 5:
      sens_rate(r, 5, sens, dsens);
      break;
    case 6:
      sens_rate(r, 6, sens, dsens);
      break;
    case 8:
      sens_rate(r, 8, sens, dsens);
      break;
    default:
      sens_rate(r, nd, sens, dsens);
      break;
  }
  return all_finite(f, n) && all_finite(dsens, n * nd);
}

double dpi_solve_scale(const dpi_system *sys, const double *sym, const double *seed, int dir, int ndir) {
  double scale = 0.0;
  for (int a = 0; a < sys->nactive; a++) {
    double p = fabs(sym[sys->active[a]]);
    double w = fabs(seed[a * ndir + dir]) / (p > 1.0 ? p : 1.0);
    if (w > scale) scale = w;
  }
  return scale > 0.0 && isfinite(scale) ? scale : 1.0;
}

double dpi_solve_rhs_scale(const dpi_solve_rhs *r, int dir) {
  return dpi_solve_scale(r->sys, r->sym, r->seed, dir, r->ndir);
}

const char *dpi_solve_state_id(const dpi_system *sys, int i) {
  return i >= 0 && i < sys->nstate ? sys->model->sym[1 + i].id : "?";
}

void dpi_solve_say_nonfinite(dpi_solver *s, double t, const double *f) {
  int bad = dpi_solve_nonfinite(f, s->sys->nstate);
  if (bad >= 0)
    snprintf(s->reason, sizeof s->reason, "at t = %.10g: the rate of %s is not finite", t,
             dpi_solve_state_id(s->sys, bad));
  else
    snprintf(s->reason, sizeof s->reason, "at t = %.10g: a sensitivity's rate is not finite", t);
}

void dpi_solve_say_fastest(dpi_solver *s, double t, const double *x, double *f) {
  int best = -1;
  double most = 0.0;
  size_t len = strlen(s->reason);
  if (!dpi_solve_rhs_f(s->rhs, t, x, f)) return;
  for (int i = 0; i < s->sys->nstate - s->sys->nalgebraic; i++) {
    double atol = s->opts.atol_state ? s->opts.atol_state[i] : s->opts.atol;
    double speed = fabs(f[i]) / (fabs(x[i]) + atol);
    if (speed > most) most = speed, best = i;
  }
  if (best >= 0)
    snprintf(s->reason + len, sizeof s->reason - len, "; %s changes fastest", dpi_solve_state_id(s->sys, best));
}
