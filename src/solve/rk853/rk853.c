/* rk853.c - floor 3: explicit Runge-Kutta of order 8 with embedded orders 5 and 3 and dense output
 * of order 7.
 *
 * Method: Dormand and Prince's 8(5,3) as in E. Hairer, S.P. Norsett, G. Wanner, Solving Ordinary
 * Differential Equations I (2nd ed. 1993), sections II.4 (step control), II.5 (method), II.6 (dense
 * output); stiffness test: E. Hairer, G. Wanner, Solving ODE II, section IV.2.
 *
 * What is integrated is z = [x (n), S (n x ndir, row-major)] at once; the columns of S share the
 * stages of x.
 *
 * Invariants:
 *   1. between steps k[0] = f(t_now, z) (the method's last stage is the next one's first);
 *   2. after a step, stages k[0..12] of that step and zprev, hprev stay until the next step, so
 *      dense output is made only when somebody asks for it (three more stages, once a step);
 *   3. the guess for the next step lives from start() to start().
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "solve/rk853/rk853_table.h"
#include "solve/solve_rhs.h"

/* The tolerance asked of the result, divided by this, is asked of a step. Measured (README.md): at
 * 10 the global error of usual dosing problems stays below rtol for rtol 1e-6 to 1e-12. */
#define RK853_SAFETY 10.0
/* ... but never less than this: below, a step cannot tell its error from rounding. */
#define RK853_RTOL_LEAST 4e-16
#define RK853_LIMIT \
  6.1 /* |h lambda| at the border of stability, with Hairer's estimate of lambda */
#define RK853_STIFF_COUNT 15  /* steps at that border in a row (six quiet ones reset) */
#define RK853_STIFF_AHEAD 100 /* ... and this many more such steps ahead, or ... */
#define RK853_STIFF_TOTAL 300 /* ... this many such steps already since start */
#define RK853_LEAP 0.5        /* of a rate: by so much may it differ at zero from all around (leaps_over_zero) */
#define RK853_LEAPS 500       /* ... so many times since start */
#define WIDE_LEAST 16         /* elements: vectors of four are worth their beginning and end */
#define RK853_JUMP 1e-6       /* of the size that steps lately had: below, rates jump (crosses_jump) */

typedef struct rk853_solver {
  dpi_solver base;
  dpi_solve_rhs rhs;
  int nz;                   /* n (1 + ndir) */
  double *block;            /* owned: everything below is a slice of it */
  double *z, *zprev, *znew; /* at t_now, at t_prev, trial */
  double *stage;            /* argument of a stage */
  double *k[RK853_NSTAGE];  /* stage derivatives; k[12] becomes k[0] of the next step */
  double *cont[7];          /* dense output */
  double *weight;           /* absolute tolerance of each element of z */
  double *q5, *q3;          /* squared error estimates of each element, over the tolerance */
  double h;                 /* guess for the next step, 0: none yet */
  double hprev;             /* size of the last accepted step */
  double hlately;           /* of the larger ones of some twenty accepted steps since start */
  bool have_k0;             /* k[0] belongs to (t_now, z) */
  bool have_dense;          /* cont belongs to the last step */
  bool rolled;              /* k[0] and k[12] were exchanged since the last step */
  int nborder, nquiet, nborder_all; /* stiffness test */
  long taken, nleap;                /* steps tried since start; steps refused by leaps_over_zero */
} rk853_solver;

static rk853_solver *self(dpi_solver *s) { return (rk853_solver *)s; }

/* What a step is asked. */
static double step_rtol(const rk853_solver *s) {
  return fmax(s->base.opts.rtol / RK853_SAFETY, RK853_RTOL_LEAST);
}

/* ---------------------------------------------------------------- evaluation */

/* k = z' at (t, z). False when something is not finite. */
static bool derive(rk853_solver *s, double t, const double *z, double *k) {
  int n = s->base.sys->nstate;
  if (s->rhs.ndir == 0) return dpi_solve_rhs_f(&s->rhs, t, z, k);
  dpi_solve_rhs_full(&s->rhs, t, z);
  return dpi_solve_rhs_apply(&s->rhs, z + n, k, k + n);
}

/* Four elements at once: every array of the solver ends at a multiple of four. */
typedef double two __attribute__((vector_size(16)));
static inline two load(const double *p) {
  two q;
  memcpy(&q, p, sizeof q);
  return q;
}

/* out = z + h sum_j w[j] k[j] over a row's stages; m, their number, is a constant wherever this is
 * inlined. */
static inline __attribute__((always_inline)) void combine(int m, int nz, const double *z, double h,
                                                          const rk853_row *row,
                                                          double *const *stages, double *out) {
  for (int i = 0; i < nz; i += 4) {
    const double *k = stages[row->stage[0]] + i;
    two a = row->weight[0] * load(k), b = row->weight[0] * load(k + 2);
    for (int j = 1; j < m; j++) {
      k = stages[row->stage[j]] + i;
      a += row->weight[j] * load(k);
      b += row->weight[j] * load(k + 2);
    }
    a = load(z + i) + h * a;
    b = load(z + i + 2) + h * b;
    memcpy(out + i, &a, sizeof a);
    memcpy(out + i + 2, &b, sizeof b);
  }
}

/* The same for one row of a table, by one of the two. */
#define COMBINE_ROW(by)                                                                                       \
  switch (row->n) {                                                                                           \
    case 1: by(1, nz, z, h, row, stages, out); break;                                                         \
    case 2: by(2, nz, z, h, row, stages, out); break;                                                         \
    case 3: by(3, nz, z, h, row, stages, out); break;                                                         \
    case 4: by(4, nz, z, h, row, stages, out); break;                                                         \
    case 5: by(5, nz, z, h, row, stages, out); break;                                                         \
    case 6: by(6, nz, z, h, row, stages, out); break;                                                         \
    case 7: by(7, nz, z, h, row, stages, out); break;                                                         \
    case 8: by(8, nz, z, h, row, stages, out); break;                                                         \
    case 9: by(9, nz, z, h, row, stages, out); break;                                                         \
    default: by(row->n, nz, z, h, row, stages, out); break;                                                   \
  }

#if defined(__x86_64__)
/* The same in the compiler's own vectors: each element by the same operations in the same order, so by the same
 * bytes. */
static inline __attribute__((always_inline)) void combine_each(int m, int nz, const double *restrict z, double h,
                                                               const rk853_row *row, double *const *stages,
                                                               double *restrict out) {
  const double *k[RK853_NSTAGE];
  double w[RK853_NSTAGE];
  for (int j = 0; j < m; j++) {
    k[j] = stages[row->stage[j]];
    w[j] = row->weight[j];
  }
  for (int i = 0; i < nz; i++) {
    double a = w[0] * k[0][i];
    for (int j = 1; j < m; j++) a += w[j] * k[j][i];
    out[i] = z[i] + h * a;
  }
}

__attribute__((target("avx2"))) static void combine_row_four(const rk853_row *row, int nz, const double *z, double h,
                                                             double *const *stages, double *out) {
  COMBINE_ROW(combine_each)
}
#endif

static void combine_row(const rk853_row *row, int nz, const double *z, double h, double *const *stages, double *out) {
#if defined(__x86_64__)
  if (nz >= WIDE_LEAST && __builtin_cpu_supports("avx2")) {
    combine_row_four(row, nz, z, h, stages, out);
    return;
  }
#endif
  COMBINE_ROW(combine)
}

/* ---------------------------------------------------------------- error norm */

/* q5, q3 = squares of the estimates of order 5 and 3, each over its tolerance weight + rtol
 * max(|z|, |znew|). Both rows of the table name the same stages. */
static void scaled_errors(rk853_solver *s) {
  enum { M = 8 };
  const double *w5 = rk853_e[0].weight, *w3 = rk853_e[1].weight;
  double rtol = step_rtol(s);
  const double *k[M];
  for (int j = 0; j < M; j++) k[j] = s->k[rk853_e[0].stage[j]];
  const double *restrict z = s->z, *restrict znew = s->znew, *restrict weight = s->weight;
  double *restrict q5 = s->q5, *restrict q3 = s->q3;
  for (int i = 0; i < s->nz; i++) {
    double v5 = w5[0] * k[0][i], v3 = w3[0] * k[0][i];
    for (int j = 1; j < M; j++) {
      v5 += w5[j] * k[j][i];
      v3 += w3[j] * k[j][i];
    }
    double a = fabs(z[i]), b = fabs(znew[i]);
    double inv = 1.0 / (weight[i] + rtol * (a > b ? a : b));
    q5[i] = (v5 * inv) * (v5 * inv);
    q3[i] = (v3 * inv) * (v3 * inv);
  }
}

/* Hairer's combination of both: h e5^2 / sqrt(n (e5^2 + e3^2 / 100)), sums over n elements given.
 */
static double combined_error(double sum5, double sum3, int n, double h) {
  double denom = sum5 + 0.01 * sum3;
  return denom <= 0.0 ? 0.0 : fabs(h) * sum5 / sqrt(denom * n);
}

/* Largest of the states' error and each column's: a direction is never averaged away. NaN wins. */
static double step_error(rk853_solver *s, double h) {
  int n = s->base.sys->nstate, nd = s->base.opts.sens_error ? s->rhs.ndir : 0;
  if (n == 0) return 0.0;
  scaled_errors(s);
  double sum5 = 0.0, sum3 = 0.0;
  for (int i = 0; i < n; i++) {
    sum5 += s->q5[i];
    sum3 += s->q3[i];
  }
  double err = combined_error(sum5, sum3, n, h);
  for (int d = 0; d < nd; d++) {
    sum5 = sum3 = 0.0;
    for (int i = 0, at = n + d; i < n; i++, at += nd) {
      sum5 += s->q5[at];
      sum3 += s->q3[at];
    }
    double e = combined_error(sum5, sum3, n, h);
    if (!(e <= err)) err = e;
  }
  return err;
}

/* Root mean square of v / (weight + rtol |z|) over the elements that are under error control. */
static double scaled_norm(const rk853_solver *s, const double *v, int count) {
  double rtol = step_rtol(s), sum = 0.0;
  for (int i = 0; i < count; i++) {
    double q = v[i] / (s->weight[i] + rtol * fabs(s->z[i]));
    sum += q * q;
  }
  return count > 0 ? sqrt(sum / count) : 0.0;
}

/* v^(1/8), by roots that every processor rounds alike */
static double root8(double v) { return sqrt(sqrt(sqrt(v))); }

/* First step: an explicit Euler step gives the second derivative; h so that the error is about 1 %
 * (Hairer II.4). */
static double first_step(rk853_solver *s, double t, double span) {
  int count = s->base.opts.sens_error ? s->nz : s->base.sys->nstate;
  double d0 = scaled_norm(s, s->z, count), d1 = scaled_norm(s, s->k[0], count);
  double h = d0 > 1e-5 && d1 > 1e-5 ? 0.01 * (d0 / d1) : 1e-6;
  double least = 1024.0 * DBL_EPSILON * fabs(t); /* a state near zero says nothing about steps below */
  if (!(h >= least)) h = least;
  if (!(h <= span)) h = span;
  for (int i = 0; i < s->nz; i++) s->stage[i] = s->z[i] + h * s->k[0][i];
  if (!derive(s, t + h, s->stage, s->k[1])) {
    // the Euler step left the domain: begin small, the controller finds the way
    return h * 1e-3;
  }
  for (int i = 0; i < s->nz; i++) s->stage[i] = s->k[1][i] - s->k[0][i];
  double d2 = scaled_norm(s, s->stage, count) / h;
  double dmax = fmax(d1, d2);
  double h1 = dmax <= 1e-15 ? fmax(1e-6, h * 1e-3) : root8(0.01 / dmax);
  return fmin(fmin(100.0 * h, h1), span);
}

/* ---------------------------------------------------------------- life */

static void rk853_destroy(dpi_solver *base) {
  rk853_solver *s = self(base);
  dpi_solve_rhs_release(base, &s->rhs);
  dpi_free(base->ctx, s->block);
  dpi_free(base->ctx, s);
}

extern const dpi_solver_ops dp_solve_rk853;

static dp_status rk853_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts,
                              int max_dir, dpi_solver **out) {
  rk853_solver *s = DPI_NEW(ctx, rk853_solver);
  if (!s) return DP_ERR_MEMORY;
  s->base = (dpi_solver){.ops = &dp_solve_rk853, .ctx = ctx, .sys = sys, .opts = *opts};
  size_t size = ((size_t)sys->nstate * (size_t)(1 + max_dir) + 3) / 4 * 4;
  size_t narray = 7 + RK853_NSTAGE + 7;
  s->block = DPI_NEW_ARRAY(ctx, double, narray *size);
  dp_status status = s->block ? dpi_solve_rhs_init(&s->base, max_dir, &s->rhs) : DP_ERR_MEMORY;
  if (status != DP_OK) {
    rk853_destroy(&s->base);
    return status;
  }
  double *at = s->block;
  double **slice[] = {&s->z, &s->zprev, &s->znew, &s->stage, &s->weight, &s->q5, &s->q3};
  for (int i = 0; i < DPI_COUNT(slice); i++, at += size) *slice[i] = at;
  for (int i = 0; i < RK853_NSTAGE; i++, at += size) s->k[i] = at;
  for (int i = 0; i < 7; i++, at += size) s->cont[i] = at;
  *out = &s->base;
  return DP_OK;
}

static bool rk853_can(const dpi_system *sys) { return sys->nalgebraic == 0; }

/* Absolute tolerance of each element: the states' own; a sensitivity's is that of its state times
 * the size of the direction's change of the parameters (dpi_solve_rhs_scale). */
static void set_weights(rk853_solver *s) {
  const dpi_solve_opts *o = &s->base.opts;
  int n = s->base.sys->nstate, nd = s->rhs.ndir;
  for (int i = 0; i < n; i++)
    s->weight[i] = (o->atol_state ? o->atol_state[i] : o->atol) / RK853_SAFETY;
  for (int d = 0; d < nd; d++) {
    double scale = dpi_solve_rhs_scale(&s->rhs, d);
    for (int i = 0; i < n; i++) s->weight[n + i * nd + d] = s->weight[i] * scale;
  }
}

static dp_status rk853_bind(dpi_solver *base, const double *sym, const double *seed, int ndir) {
  rk853_solver *s = self(base);
  DP_TRY(dpi_solve_rhs_bind(base->ctx, &s->rhs, sym, seed, ndir));
  base->ndir = ndir;
  s->nz = base->sys->nstate * (1 + ndir);
  s->h = 0.0;
  s->have_k0 = s->have_dense = false;
  set_weights(s);
  return DP_OK;
}

static void rk853_input(dpi_solver *base, const double *u, const double *du) {
  rk853_solver *s = self(base);
  dpi_solve_rhs_input(&s->rhs, u, du);
  s->have_k0 = false;
}

static void publish(rk853_solver *s) {
  s->base.x_now = s->z;
  s->base.sens_now = s->rhs.ndir > 0 ? s->z + s->base.sys->nstate : NULL;
}

static dpi_solve_outcome rk853_start(dpi_solver *base, double t, const double *x,
                                     const double *sens) {
  rk853_solver *s = self(base);
  size_t n = (size_t)base->sys->nstate;
  memcpy(s->z, x, n * sizeof *x);
  if (s->rhs.ndir > 0) {
    if (sens)
      memcpy(s->z + n, sens, n * (size_t)s->rhs.ndir * sizeof *sens);
    else
      memset(s->z + n, 0, n * (size_t)s->rhs.ndir * sizeof *s->z);
  }
  memcpy(s->zprev, s->z, (size_t)s->nz * sizeof *s->z);
  base->t_prev = base->t_now = t;
  base->reason[0] = '\0';
  s->h = s->hprev = s->hlately = 0.0;
  s->have_k0 = s->have_dense = false;
  s->nborder = s->nquiet = s->nborder_all = 0;
  s->taken = s->nleap = 0;
  publish(s);
  int bad = dpi_solve_nonfinite(s->z, s->nz);
  if (bad < 0) return DPI_SOLVE_OK;
  snprintf(base->reason, sizeof base->reason, "at t = %.10g: the start value of %s is not finite",
           t, dpi_solve_state_id(base->sys, bad < (int)n ? bad : (bad - (int)n) / base->ndir));
  return DPI_SOLVE_NONFINITE;
}

/* ---------------------------------------------------------------- one step */

/* Stages 1..11, the new z and f there, from k[0]. False when something is not finite. */
static bool try_step(rk853_solver *s, double t, double h) {
  for (int i = 1; i < 12; i++) {
    combine_row(&rk853_a[i], s->nz, s->z, h, s->k, s->stage);
    if (!derive(s, t + rk853_c[i] * h, s->stage, s->k[i])) return false;
  }
  combine_row(&rk853_a[12], s->nz, s->z, h, s->k, s->znew);
  return dpi_solve_nonfinite(s->znew, s->nz) < 0;
}

/* |h lambda| from the last two slopes at the same time, k[11] at `stage` and k[12] at znew (Hairer,
 * Wanner II, IV.2). */
static bool at_border(const rk853_solver *s, double h) {
  double num = 0.0, den = 0.0;
  for (int i = 0; i < s->base.sys->nstate; i++) {
    double a = s->k[12][i] - s->k[11][i], b = s->znew[i] - s->stage[i];
    num += a * a;
    den += b * b;
  }
  return den > 0.0 && h * h * num > RK853_LIMIT * RK853_LIMIT * den;
}

/* Count steps at the border of stability; true when going on explicitly would be a waste. */
static bool looks_stiff(rk853_solver *s, double h, double left) {
  if (!at_border(s, h)) {
    if (s->nborder > 0 && ++s->nquiet >= 6) s->nborder = s->nquiet = 0;
    return false;
  }
  s->nquiet = 0;
  s->nborder++;
  s->nborder_all++;
  if (s->nborder < RK853_STIFF_COUNT) return false;
  return left > RK853_STIFF_AHEAD * h || s->nborder_all > RK853_STIFF_TOTAL;
}

/* k[0] at the present state and a first guess of h, where missing. */
static dpi_solve_outcome prepare(rk853_solver *s, double t_end) {
  double t = s->base.t_now;
  if (!s->have_k0) {
    if (!derive(s, t, s->z, s->k[0])) {
      dpi_solve_say_nonfinite(&s->base, t, s->k[0]);
      return DPI_SOLVE_NONFINITE;
    }
    s->have_k0 = true;
  } else if (s->rolled) {
    double *last = s->k[12];
    s->k[12] = s->k[0];
    s->k[0] = last;
  }
  s->rolled = false;
  s->have_dense = false;
  // also after a step that t_end cut to nothing: it says nothing about the next one
  if (s->h <= 64.0 * DBL_EPSILON * fabs(t)) s->h = first_step(s, t, t_end - t);
  return DPI_SOLVE_OK;
}

/* Take the trial step as the solution. */
static void accept(rk853_solver *s, double t_new, double h) {
  double *old = s->zprev;
  s->zprev = s->z;
  s->z = s->znew;
  s->znew = old;
  s->hprev = h;
  s->hlately = fmax(0.8 * s->hlately, h);
  s->base.t_prev = s->base.t_now;
  s->base.t_now = t_new;
  s->base.nstep++;
  s->rolled = true;
  publish(s);
}

/* h_new = h / factor, the elementary controller of order 8 (Hairer's DOP853 by default: beta = 0). */
static double step_factor(double err) {
  const double safe = 0.9;
  return fmax(1.0 / 6.0, fmin(3.0, root8(err) / safe));
}

static dpi_solve_outcome give_up(rk853_solver *s, bool nonfinite, double h) {
  dpi_solver *b = &s->base;
  if (nonfinite) {
    snprintf(b->reason, sizeof b->reason,
             "at t = %.10g: no step, however small, gives finite values", b->t_now);
    return DPI_SOLVE_NONFINITE;
  }
  int big = 0;
  for (int i = 1; i < b->sys->nstate; i++)
    if (fabs(s->k[0][i]) > fabs(s->k[0][big])) big = i;
  snprintf(b->reason, sizeof b->reason, "at t = %.10g: the step fell to %.3g; %s changes fastest",
           b->t_now, h, dpi_solve_state_id(b->sys, big));
  return DPI_SOLVE_TOO_SMALL;
}

/* What the loop of rk853_step found out about a trial. */
typedef enum trial { TRIAL_GOOD, TRIAL_ERROR, TRIAL_NONFINITE } trial;

/* Try a step of h to t_new: znew, k[1..12], *err. */
static trial attempt(rk853_solver *s, double t_new, double h, double *err) {
  if (!try_step(s, s->base.t_now, h)) return TRIAL_NONFINITE;
  *err = step_error(s, h);
  if (!isfinite(*err)) return TRIAL_NONFINITE;
  if (*err > 1.0) return TRIAL_ERROR;
  return derive(s, t_new, s->znew, s->k[12]) ? TRIAL_GOOD : TRIAL_NONFINITE;
}

/* Is there room and leave for a step of h? */
static dpi_solve_outcome may_try(rk853_solver *s, double h, bool lands, bool nonfinite,
                                 double t_end) {
  dpi_solver *b = &s->base;
  int most = b->opts.max_steps > 0 ? b->opts.max_steps : 100000;
  double least = lands ? 0.0 : 16.0 * DBL_EPSILON * fabs(b->t_now);
  if (h <= least || h < 1e-290) return give_up(s, nonfinite, h);
  if (s->taken++ < most) return DPI_SOLVE_OK;
  snprintf(b->reason, sizeof b->reason, "at t = %.10g: %d steps since the start and not at %.10g",
           b->t_now, most, t_end);
  return DPI_SOLVE_MAX_STEPS;
}

/* Choose the next size, look for stiffness, accept. wish: what h was before t_end cut it. */
static dpi_solve_outcome finish(rk853_solver *s, double t_new, double h, double wish, double err,
                                bool rejected, double t_end) {
  double next = h / step_factor(err);
  if (rejected && next > h) next = h;
  // a step cut short by t_end says little: keep what was wished for
  s->h = next < wish && h < wish ? wish : next;
  if (looks_stiff(s, h, t_end - s->base.t_now)) {
    snprintf(s->base.reason, sizeof s->base.reason,
             "at t = %.10g: stiff, steps of %.3g are held by stability", s->base.t_now, h);
    return DPI_SOLVE_STIFF;
  }
  accept(s, t_new, h);
  return DPI_SOLVE_OK;
}

/* Must a step of h, small as the rounding of t, be taken although its error is too large? Rates that
 * jump inside a step let no step pass; what it does to the state is no more than what rounding of the
 * time of the jump does. Towards a pole steps become small too, but little by little: there the steps
 * before were as small. */
static bool crosses_jump(rk853_solver *s, double t_new, double h, double err, bool lands) {
  double least = 16.0 * DBL_EPSILON * fabs(s->base.t_now);
  bool last = lands ? h <= least : h / step_factor(err) <= least && h < RK853_JUMP * s->hlately;
  return last && derive(s, t_new, s->znew, s->k[12]);
}

static dpi_solve_outcome cross(rk853_solver *s, double t_new, double h) {
  double lately = s->hlately;
  accept(s, t_new, h);
  s->hlately = RK853_JUMP * lately; /* the next one has to be a long way off */
  s->h = 0.0;
  return DPI_SOLVE_OK;
}

/* Does the rate of a state that goes through zero within the step differ there from all that the
 * stages saw? V x/(K + x) with a K far smaller than the step's change is the same on both sides of
 * zero: a step over it has no error to estimate and leaves the branch on which x stays positive. */
static bool leaps_over_zero(rk853_solver *s, double t, double h) {
  const int n = s->base.sys->nstate;
  for (int i = 0; i < n; i++) {
    if (!(s->z[i] * s->znew[i] < 0.0) || fabs(s->znew[i]) < 1e2 * s->weight[i]) continue; /* noise */
    double part = s->z[i] / (s->z[i] - s->znew[i]), low = s->k[0][i], high = low;
    for (int j = 0; j < n; j++) s->stage[j] = s->z[j] + part * (s->znew[j] - s->z[j]);
    s->stage[i] = 0.0;
    if (!dpi_solve_rhs_f(&s->rhs, t + part * h, s->stage, s->q5)) continue; /* zero is no place to be */
    for (int j = 1; j <= 12; j++) {
      low = fmin(low, s->k[j][i]);
      high = fmax(high, s->k[j][i]);
    }
    double room = (high - low) + RK853_LEAP * fmax(fabs(low), fabs(high));
    if (s->q5[i] < low - room || s->q5[i] > high + room) return true;
  }
  return false;
}

static dpi_solve_outcome take_step(rk853_solver *s, double t_end) {
  double t = s->base.t_now, hmax = dpi_solve_step_limit(&s->base), h = s->h, err = 0.0;
  bool nonfinite = false, rejected = false;
  for (;;) {
    if (hmax > 0.0 && h > hmax) h = hmax;
    double wish = h;
    bool lands = t + 1.01 * h >= t_end;
    if (lands) h = t_end - t;
    dpi_solve_outcome leave = may_try(s, h, lands, nonfinite, t_end);
    if (leave != DPI_SOLVE_OK) return leave;
    double t_new = lands ? t_end : t + h;
    trial found = attempt(s, t_new, h, &err);
    if (found == TRIAL_GOOD && s->nleap < RK853_LEAPS && h > 1e3 * DBL_EPSILON * fabs(t) &&
        leaps_over_zero(s, t, h)) {
      s->nleap++;
      rejected = true;
      s->base.nreject++;
      h *= 0.1;
      continue;
    }
    if (found == TRIAL_GOOD) return finish(s, t_new, h, wish, err, rejected, t_end);
    if (found == TRIAL_ERROR && crosses_jump(s, t_new, h, err, lands)) return cross(s, t_new, h);
    rejected = true;
    s->base.nreject++;
    nonfinite = found == TRIAL_NONFINITE;
    h = nonfinite ? 0.1 * h : h / step_factor(err);
  }
}

/* One accepted step of at most to t_end. */
static dpi_solve_outcome rk853_step(dpi_solver *base, double t_end) {
  rk853_solver *s = self(base);
  if (!(t_end > base->t_now)) return DPI_SOLVE_OK;
  dpi_solve_outcome outcome = prepare(s, t_end);
  if (outcome == DPI_SOLVE_OK) outcome = take_step(s, t_end);
  // the stages of the last step are gone
  if (outcome != DPI_SOLVE_OK) s->hprev = 0.0;
  base->nrhs = s->rhs.nrhs;
  base->njac = s->rhs.njac;
  return outcome;
}

/* ---------------------------------------------------------------- dense output */

/* Three more stages and the coefficients of
 *     z(t_prev + theta h) = zprev + theta (c0 + (1 - theta) (c1 + theta (c2 + (1 - theta) (c3 + ...
 * c6)))). */
static void make_dense(rk853_solver *s) {
  double h = s->hprev;
  for (int i = 13; i < RK853_NSTAGE; i++) {
    combine_row(&rk853_a[i], s->nz, s->zprev, h, s->k, s->stage);
    // a value outside the domain shows as NaN in what dense gives
    (void)derive(s, s->base.t_prev + rk853_c[i] * h, s->stage, s->k[i]);
  }
  for (int i = 0; i < s->nz; i++) {
    double dz = s->z[i] - s->zprev[i];
    s->cont[0][i] = dz;
    s->cont[1][i] = h * s->k[0][i] - dz;
    s->cont[2][i] = 2.0 * dz - h * (s->k[12][i] + s->k[0][i]);
  }
  memset(s->stage, 0, (size_t)s->nz * sizeof *s->stage);
  for (int i = 0; i < 4; i++) combine_row(&rk853_d[i], s->nz, s->stage, h, s->k, s->cont[3 + i]);
  s->have_dense = true;
  s->base.nrhs = s->rhs.nrhs;
  s->base.njac = s->rhs.njac;
}

/* Elements [first, first + count) at theta. */
static void evaluate(const rk853_solver *s, double theta, int first, int count,
                     double *restrict out) {
  double rest = 1.0 - theta;
  const double *c[7];
  for (int j = 0; j < 7; j++) c[j] = s->cont[j] + first;
  const double *zprev = s->zprev + first;
  for (int i = 0; i < count; i++) {
    double v = c[6][i] * theta;
    v = (v + c[5][i]) * rest;
    v = (v + c[4][i]) * theta;
    v = (v + c[3][i]) * rest;
    v = (v + c[2][i]) * theta;
    v = (v + c[1][i]) * rest;
    out[i] = zprev[i] + (v + c[0][i]) * theta;
  }
}

static void rk853_dense(dpi_solver *base, double t, double *x, double *sens) {
  rk853_solver *s = self(base);
  int n = base->sys->nstate;
  const double *end = t == base->t_now || s->hprev == 0.0 ? s->z
                      : t == base->t_prev                 ? s->zprev
                                                          : NULL;
  if (end) {
    memcpy(x, end, (size_t)n * sizeof *x);
    if (sens) memcpy(sens, end + n, (size_t)(s->nz - n) * sizeof *sens);
    return;
  }
  if (!s->have_dense) make_dense(s);
  double theta = (t - base->t_prev) / s->hprev;
  evaluate(s, theta, 0, n, x);
  if (sens) evaluate(s, theta, n, s->nz - n, sens);
}

const dpi_solver_ops dp_solve_rk853 = {
    .name = "rk853",
    .help = "explicit Runge-Kutta 8(5,3), dense output of order 7; for problems that are not stiff",
    .can = rk853_can,
    .create = rk853_create,
    .destroy = rk853_destroy,
    .bind = rk853_bind,
    .input = rk853_input,
    .start = rk853_start,
    .step = rk853_step,
    .dense = rk853_dense,
};
