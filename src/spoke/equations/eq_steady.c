/* eq_steady.c - steady states: of a dose repeated for ever, of a constant infusion, of the system left alone.
 *
 * Periodic. Let P(x) be the state one interval T after x with the dose in between (at lag mod T; infusions that last
 * longer than T overlap: floor(D/T) of them always run). The steady state is x* = P(x*). With the monodromy matrix M =
 * dP/dx and P_theta from one integration in nstate + ndir directions, Newton's step is (I - M) dx = P(x) - x; for
 * linear systems the first step is exact. Derivatives: (I - M) dx* = P_theta. Other systems first search at low
 * accuracy; the M found there then corrects maps of full accuracy (chord method: each correction shrinks the error by
 * about the low accuracy), and only derivatives or doubts about stability ask for M at full accuracy. Where this does
 * not settle, Newton at full accuracy does.
 *
 * Cascade (eq_compile.c finds it): the dosed head is linear by itself, so its steady state comes from matrix
 * exponentials; the tail is linear in itself once the head is given, so P is affine in the tail and one Newton step is
 * exact there too.
 *
 * Equilibrium: f(x) + u = 0 by Newton on the analytic Jacobian, from where the system goes by itself.
 *
 * Conserved quantities (w'f = 0 for all x) make these matrices singular. Their left null vectors W (orthonormal rows)
 * are found by sampling f at n + 2 and more states; the bordered matrices I - M + W'W and J + c W'W are regular and, as
 * W r = 0, keep W x as it was before. W is taken as free of the parameters (it is for stoichiometric laws).
 * A state that only grows (an area, a cumulative dose) has no steady state: the member fails and names it.
 *
 * A fixed point counts only when it is stable: powers of M (of exp(J h)) by repeated squaring must
 * not grow. */
#include "spoke/equations/eq_impl.h"

#include <math.h>

#define ROUGH_RTOL 1e-4 /* accuracy of the first search */
#define ROUNDS 36       /* of going towards rest, each three times as long as the one before */
#define WAY_MOST 10000  /* steps of one of these ways; where rates are nothing but rounding, they have no end */
#define STILL 1.0       /* tolerances by which a state may change and be at rest */
#define LAW 3e-14       /* of what a state's rate is: below, a sum of rates is rounding, and what
                         * it sums is conserved, */
#define REGULAR 1e6     /* condition of a matrix of which nobody can doubt that it is regular */
#define LAW_AT_ONCE 40  /* states, up to which factoring costs less than sampling */
#define LEAK 1e-11      /* from here up it changes; between, nobody can tell by numbers, and the state of
                         * rest is lost in them */

typedef struct dpi_eq_rest {
  dpi_solver *way; /* what flow() goes by: steady or rough */
  int ncol;      /* nstate + ndir */
  double *x;     /* [n] where the search stands */
  double *y;     /* [n] one interval later; f at x */
  double *s;     /* [n x ncol] */
  double *s0;    /* [n x ndir] derivatives before: of what is conserved */
  double *seed;  /* [nactive x ncol] zero for the states' columns */
  double *u;     /* [n] */
  double *du;    /* [n x ncol] */
  double *dtau;  /* [ncol] */
  double *before; /* [n] */
  double *flowed; /* [n] where the way without Newton's steps had come to */
  double *a;     /* [n x n] */
  double *m;     /* [n x n] */
  double *q;     /* [n x n] */
  double *b;     /* [n] */
  double *law;   /* [n x n], nlaw rows */
  double *sample; /* [n x (3 n + 4)] */
  double *work;  /* [8 n n] */
  double *sstar; /* [n x ndir] */
  int *piv;      /* [n] */
  int nlaw;
  char why[140];  /* the last attempt failed because */
} rest;

/* The repeated dose. Offsets are from the interval's beginning. */
typedef struct period {
  const dpi_eq_plan *plan;
  double t0, interval;
  double phase;  /* arrival: lag mod interval */
  double hold;   /* infusion: duration mod interval */
  double full;   /* infusion: how many always run */
} period;

static bool rest_memory(dpi_eq_bench *w) {
  if (w->rest) return true;
  const int n = w->spoke->nstate, nd = w->ndir, nc = n + nd, na = w->spoke->nactive;
  rest *r = DPI_ARENA_NEW(&w->arena, rest);
  if (!r) return false;
  struct {
    double **at;
    int count;
  } part[] = {
      {&r->x, n},
      {&r->y, n},
      {&r->s, n * nc},
      {&r->s0, n * nd},
      {&r->seed, na * nc},
      {&r->u, n},
      {&r->du, n * nc},
      {&r->dtau, nc},
      {&r->before, n},
      {&r->flowed, n},
      {&r->a, n * n},
      {&r->m, n * n},
      {&r->q, n * n},
      {&r->b, n},
      {&r->law, n * n},
      {&r->sample, n * (3 * n + 4)},
      {&r->work, 8 * n * n},
      {&r->sstar, n * nd},
  };
  for (int i = 0; i < DPI_COUNT(part); i++)
    if (!(*part[i].at = DPI_ARENA_ARRAY(&w->arena, double, part[i].count + 1))) return false;
  if (!(r->piv = DPI_ARENA_ARRAY(&w->arena, int, n + 1))) return false;
  r->ncol = nc;
  dp_ctx *ctx = w->spoke->base.ctx;
  const dpi_solve_opts *fine = &w->spoke->opts;
  dpi_solve_opts coarse = *fine;
  if (!w->steady && dpi_solver_create(ctx, w->spoke->method, w->spoke->sys, fine, nc, &w->steady) != DP_OK)
    return false;
  if (coarse.rtol < ROUGH_RTOL) {
    coarse.atol *= ROUGH_RTOL / coarse.rtol;
    coarse.rtol = ROUGH_RTOL;
  }
  if (!w->spoke->sys->linear &&
      dpi_solver_create(ctx, w->spoke->method, w->spoke->sys, &coarse, n, &w->rough) != DP_OK)
    return false;
  w->rest = r;
  return true;
}

/* ---- conserved quantities ---- */

/* f at states scattered around x (at 1 where x is small): one column of the sample each. False when f is not finite. */
static bool law_sample(dpi_eq_bench *w, double t, const double *x, int ncol) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, width = ncol + n;
  dpi_rng rng = dpi_rng_make(1, 1, 1);
  for (int c = 0; c < ncol; c++) {
    for (int j = 0; j < n; j++) r->before[j] = (0.5 + dpi_rng_uniform(&rng)) * (fabs(x[j]) > 1 ? fabs(x[j]) : 1);
    dpi_eq_rhs(w, t, r->before, NULL, r->b);
    if (!dpi_eq_finite(r->b, n)) return false;
    for (int j = 0; j < n; j++) r->sample[j * width + c] = r->b[j];
  }
  for (int j = 0; j < n; j++) {
    double big = 0;
    for (int c = 0; c < ncol; c++) big = fmax(big, fabs(r->sample[j * width + c]));
    const double scale = big > 0 ? 1 / big : 1;
    for (int c = 0; c < ncol; c++) r->sample[j * width + c] *= scale;
    for (int c = 0; c < n; c++) r->sample[j * width + ncol + c] = c == j ? scale : 0;
  }
  return true;
}

static void swap_rows(double *a, int width, int i, int k) {
  for (int c = 0; c < width; c++) {
    const double v = a[i * width + c];
    a[i * width + c] = a[k * width + c];
    a[k * width + c] = v;
  }
}

/* Eliminate with complete pivoting; rows whose sampled part vanishes hold the laws. Gives the rank; *left is the
 * largest number in those rows. */
static int eliminate(double *a, int n, int ncol, double *left) {
  const int width = ncol + n;
  for (int k = 0; k < n; k++) {
    int bi = k, bc = 0;
    for (int i = k; i < n; i++)
      for (int c = 0; c < ncol; c++)
        if (fabs(a[i * width + c]) > fabs(a[bi * width + bc])) bi = i, bc = c;
    const double p = a[bi * width + bc];
    *left = fabs(p);
    if (*left < LEAK) return k;
    swap_rows(a, width, k, bi);
    for (int i = 0; i < n; i++) {
      if (i == k) continue;
      const double f = a[i * width + bc] / p;
      if (f == 0 || i < k) continue;
      for (int c = 0; c < width; c++) a[i * width + c] -= f * a[k * width + c];
      a[i * width + bc] = 0;
    }
  }
  return n;
}

/* False, with the reason, when a law can't be told from a very slow leak. */
static bool find_laws(dpi_eq_bench *w, double t, const double *x) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, ncol = n + 3, width = ncol + n;
  double left = 0;
  r->nlaw = 0;
  /* w'A = 0 needs a singular A: most linear systems are told at once */
  if (w->spoke->sys->linear && n <= LAW_AT_ONCE && dpi_eq_jac_condition(w) < REGULAR) return true;
  if (!law_sample(w, t, x, ncol)) return true;
  const int rank = eliminate(r->sample, n, ncol, &left);
  if (rank < n && left > LAW) {
    snprintf(r->why, sizeof r->why,
             "a sum of states changes so slowly (%.1e of its fastest rates) that it can't be told from a conserved one",
             left);
    return false;
  }
  for (int k = rank; k < n; k++) {
    double *row = r->law + (size_t)r->nlaw * n;
    for (int j = 0; j < n; j++) row[j] = r->sample[k * width + ncol + j];
    for (int p = 0; p < r->nlaw; p++) {
      double dot = 0;
      for (int j = 0; j < n; j++) dot += row[j] * r->law[p * n + j];
      for (int j = 0; j < n; j++) row[j] -= dot * r->law[p * n + j];
    }
    double len = 0;
    for (int j = 0; j < n; j++) len += row[j] * row[j];
    len = sqrt(len);
    for (int j = 0; j < n; j++) row[j] = fabs(row[j]) < 1e-12 * len ? 0 : row[j] / len;
    r->nlaw++;
  }
  return true;
}

/* a += c W'W */
static void add_laws(const rest *r, int n, double c, double *a) {
  for (int k = 0; k < r->nlaw; k++)
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) a[i * n + j] += c * r->law[k * n + i] * r->law[k * n + j];
}

/* Is W f = 0 to rounding? If not, something is fed into what is conserved, and it gathers along the right null vector
 * that goes with the law: v = (A + c W'W)^-1 w. r->a holds that matrix factored; r->why names the state that gathers
 * most. */
static bool laws_hold(dpi_eq_bench *w, const double *f, double slack) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  for (int k = 0; k < r->nlaw; k++) {
    double sum = 0, size = 0;
    for (int j = 0; j < n; j++) {
      sum += r->law[k * n + j] * f[j];
      size += fabs(r->law[k * n + j] * f[j]);
    }
    if (fabs(sum) <= slack + 1e-6 * size) continue;
    double *v = r->before;
    int most = 0;
    memcpy(v, r->law + k * n, sizeof(double) * n);
    dpi_lu_solve(r->a, n, r->piv, v);
    for (int j = 1; j < n; j++)
      if (fabs(v[j]) > fabs(v[most])) most = j;
    snprintf(r->why, sizeof r->why, "what is given gathers in state '%.60s' for ever", w->spoke->desc.state_id[most]);
    return false;
  }
  return true;
}

/* What is conserved keeps its derivative: b += c W'(W s0 column d) */
static void keep_laws(const rest *r, int n, int nd, int d, double c, double *b) {
  for (int k = 0; k < r->nlaw; k++) {
    double sum = 0;
    for (int j = 0; j < n; j++) sum += r->law[k * n + j] * r->s0[j * nd + d];
    for (int j = 0; j < n; j++) b[j] += c * sum * r->law[k * n + j];
  }
}

/* ---- stability ---- */

/* Do powers of m fall below `bound` within 2^turns of them, conserved directions left out? m is used up. */
static bool falls(rest *r, int n, double *m, double bound, int turns) {
  for (int k = 0; k < r->nlaw; k++) { /* m := (I - W'W) m */
    for (int c = 0; c < n; c++) {
      double dot = 0;
      for (int j = 0; j < n; j++) dot += r->law[k * n + j] * m[j * n + c];
      for (int j = 0; j < n; j++) m[j * n + c] -= dot * r->law[k * n + j];
    }
  }
  for (int turn = 0; turn < turns; turn++) {
    double norm = 0;
    for (int i = 0; i < n; i++) {
      double row = 0;
      for (int j = 0; j < n; j++) row += fabs(m[i * n + j]);
      norm = fmax(norm, row);
    }
    if (!(norm < 1e100)) return false;
    if (norm < bound) return true;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int k = 0; k < n; k++) sum += m[i * n + k] * m[k * n + j];
        r->q[i * n + j] = sum;
      }
    memcpy(m, r->q, sizeof(double) * n * n);
  }
  return false;
}

/* Do powers of m stay bounded? What neither grows nor falls in 2^40 of them is taken as bounded. */
static bool stable(rest *r, int n, double *m) {
  if (falls(r, n, m, 1, 40)) return true;
  for (int i = 0; i < n * n; i++)
    if (!(fabs(m[i]) < 1e100)) return false;
  return true;
}

/* ---- the flow and the map over one interval ---- */

/* x [n], s go on from t0 to t1; most: steps at most, -1: as many as it takes. */
static bool flow(dpi_eq_bench *w, double t0, double t1, double *x, double *s, int cols, int most) {
  rest *r = w->rest;
  dpi_solver *y = r->way;
  const int n = w->spoke->nstate;
  if (!(t1 > t0)) return true;
  y->ops->input(y, r->u, cols ? r->du : NULL);
  dpi_solve_outcome o = y->ops->start(y, t0, x, cols ? s : NULL);
  for (int k = 0; o == DPI_SOLVE_OK && y->t_now < t1; k++) {
    if (k == most) {
      snprintf(r->why, sizeof r->why, "it was not found in %d steps of %.3g time units", most, y->t_now - t0);
      return false;
    }
    o = y->ops->step(y, t1);
  }
  if (o != DPI_SOLVE_OK || !dpi_eq_finite(y->x_now, n)) {
    if (o == DPI_SOLVE_MEMORY) return dpi_eq_fail_memory(w);
    if (o == DPI_SOLVE_OK)
      snprintf(r->why, sizeof r->why, "a state is not finite");
    else
      snprintf(r->why, sizeof r->why, "%.60s: %.70s", dpi_solve_outcome_text(o), y->reason);
    return false;
  }
  memcpy(x, y->x_now, sizeof(double) * n);
  if (cols) memcpy(s, y->sens_now, sizeof(double) * n * cols);
  return true;
}

/* Input while `count` infusions run. */
static void period_input(rest *r, const dpi_eq_plan *p, double count, int n, int cols, int off) {
  for (int j = 0; j < n; j++) r->u[j] = 0;
  r->u[p->state] = count * p->amount;
  for (int i = 0; i < n * cols; i++) r->du[i] = 0;
  for (int q = off; q < cols; q++) r->du[p->state * cols + q] = count * p->damount[q - off];
}

static bool map_bolus(dpi_eq_bench *w, const period *p, double *x, double *s, int cols, int off) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, c = p->plan->state;
  const double at = p->t0 + p->phase;
  period_input(r, p->plan, 0, n, cols, off);
  if (!flow(w, p->t0, at, x, s, cols, -1)) return false;
  memcpy(r->before, x, sizeof(double) * n);
  x[c] += p->plan->amount;
  for (int q = 0; q < cols; q++) r->dtau[q] = q < off ? 0 : p->plan->dlag[q - off];
  dpi_eq_jump(w, at, r->before, x, r->dtau, s, cols);
  for (int q = off; q < cols; q++) s[c * cols + q] += p->plan->damount[q - off];
  return flow(w, at, p->t0 + p->interval, x, s, cols, -1);
}

static bool map_infusion(dpi_eq_bench *w, const period *p, double *x, double *s, int cols, int off) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, c = p->plan->state;
  const double rate = p->plan->amount, *dl = p->plan->dlag, *dd = p->plan->dduration;
  const bool wrap = p->phase + p->hold > p->interval; /* runs on from the interval before */
  const double off_at = wrap ? p->phase + p->hold - p->interval : p->phase + p->hold;
  double from = 0;
  for (int k = 0; k < 3; k++) { /* two marks: on and off; then the rest of the interval */
    const bool off_mark = k < 2 && (k == 0) == wrap;
    const double to = k == 2 ? p->interval : (off_mark ? off_at : p->phase);
    const bool on = wrap ? k != 1 : k == 1;
    period_input(r, p->plan, p->full + (on ? 1 : 0), n, cols, off);
    if (!flow(w, p->t0 + from, p->t0 + to, x, s, cols, -1)) return false;
    for (int q = off; k < 2 && q < cols; q++)
      s[c * cols + q] += off_mark ? rate * (dl[q - off] + dd[q - off]) : -rate * dl[q - off];
    from = to;
  }
  return true;
}

/* x := P(x); s (cols columns, the first `off` of them by x) follows. */
static bool period_map(dpi_eq_bench *w, const period *p, double *x, double *s, int cols, int off) {
  return p->plan->infusion ? map_infusion(w, p, x, s, cols, off) : map_bolus(w, p, x, s, cols, off);
}

/* ---- Newton on the map ---- */

/* Flows go by y from now on, with cols columns: none, the states, or the states and the member's directions. */
static bool bind_steady(dpi_eq_bench *w, dpi_solver *y, int cols) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, nd = w->ndir;
  for (int a = 0; a < w->spoke->nactive; a++)
    for (int q = 0; q < cols; q++) r->seed[a * cols + q] = q < n ? 0 : w->m->p[a * nd + q - n];
  r->way = y;
  const dp_status st = y->ops->bind(y, w->sym, cols ? r->seed : NULL, cols);
  if (st == DP_ERR_MEMORY) return dpi_eq_fail_memory(w);
  if (st != DP_OK) snprintf(r->why, sizeof r->why, "the solver could not take the parameters");
  return st == DP_OK;
}

/* max |d_i| / (rtol |x_i| + atol) */
static double weigh(const dpi_eq_bench *w, const double *d, const double *x) {
  const dpi_solve_opts *o = &w->spoke->opts;
  double worst = 0;
  for (int j = 0; j < w->spoke->nstate; j++) {
    const double v = fabs(d[j]) / (o->rtol * fabs(x[j]) + o->atol + 1e-300);
    if (!(v <= worst)) worst = v;
  }
  return worst;
}

/* Factor I - M + W'W; M from the states' columns of s, which has cols. */
static bool factor_map(dpi_eq_bench *w, int cols) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      r->m[i * n + j] = r->s[i * cols + j];
      r->a[i * n + j] = (i == j ? 1 : 0) - r->m[i * n + j];
    }
  add_laws(r, n, 1, r->a);
  for (int j = 0; j < n; j++) {
    double big = 0;
    for (int i = 0; i < n; i++) big = fmax(big, fabs(r->a[i * n + j]));
    if (big > 0) continue;
    snprintf(r->why, sizeof r->why, "nothing brings state '%s' to rest", w->spoke->desc.state_id[j]);
    return false;
  }
  if (dpi_lu(r->a, n, r->piv)) return true;
  snprintf(r->why, sizeof r->why, "the map over one interval is singular");
  return false;
}

/* Derivatives of the fixed point. */
static void map_derivatives(dpi_eq_bench *w) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, nd = w->ndir, nc = r->ncol;
  for (int d = 0; d < nd; d++) {
    for (int j = 0; j < n; j++) r->b[j] = r->s[j * nc + n + d];
    keep_laws(r, n, nd, d, 1, r->b);
    dpi_lu_solve(r->a, n, r->piv, r->b);
    for (int j = 0; j < n; j++) r->sstar[j * nd + d] = r->b[j];
  }
}

/* y := P(x), b := y - x; with columns also M, factored. */
static bool map_miss(dpi_eq_bench *w, const period *p, int cols) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  memcpy(r->y, r->x, sizeof(double) * n);
  for (int i = 0; i < n * cols; i++) r->s[i] = 0;
  for (int j = 0; cols && j < n; j++) r->s[j * cols + j] = 1;
  if (!period_map(w, p, r->y, r->s, cols, cols ? n : 0)) return false;
  for (int j = 0; j < n; j++) r->b[j] = r->y[j] - r->x[j];
  return cols == 0 || factor_map(w, cols);
}

/* x += (I - M)^-1 b; the size of this step in tolerances comes back, infinite when it makes no sense. */
static double map_correct(dpi_eq_bench *w) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  if (!laws_hold(w, r->b, 10 * w->spoke->opts.atol)) return INFINITY;
  dpi_lu_solve(r->a, n, r->piv, r->b);
  const double step = weigh(w, r->b, r->x);
  for (int j = 0; j < n; j++) r->x[j] += r->b[j];
  return dpi_eq_finite(r->x, n) ? step : INFINITY;
}

/* ---- cascades ---- */

/* r->m := exp(r->a tau) r->m, with `count` infusions running; matrices of the head with one column for what is
 * constant. */
static void head_flow(dpi_eq_bench *w, const period *p, double count, double tau) {
  const dpi_eq_spoke *sp = w->spoke;
  rest *r = w->rest;
  const int k = sp->nhead + 1;
  double *a = r->sample, *product = r->sample + k * k;
  if (!(tau > 0)) return;
  memcpy(a, r->a, sizeof(double) * k * k);
  a[sp->head_at[p->plan->state] * k + k - 1] += count * p->plan->amount;
  dpi_expm(a, k, tau, r->q, r->work);
  for (int i = 0; i < k; i++)
    for (int j = 0; j < k; j++) {
      double sum = 0;
      for (int l = 0; l < k; l++) sum += r->q[i * k + l] * r->m[l * k + j];
      product[i * k + j] = sum;
    }
  memcpy(r->m, product, sizeof(double) * k * k);
}

/* r->m := the affine map of the head over one interval. */
static void head_map(dpi_eq_bench *w, const period *p) {
  const dpi_eq_spoke *sp = w->spoke;
  rest *r = w->rest;
  const int k = sp->nhead + 1, c = sp->head_at[p->plan->state];
  const double end = p->phase + p->hold;
  for (int i = 0; i < k * k; i++) r->m[i] = i % (k + 1) == 0;
  if (!p->plan->infusion) {
    head_flow(w, p, 0, p->phase);
    r->m[c * k + k - 1] += p->plan->amount; /* the last row is 0 ... 0 1 */
    head_flow(w, p, 0, p->interval - p->phase);
    return;
  }
  const bool wrap = end > p->interval;
  const double first = wrap ? end - p->interval : p->phase, second = wrap ? p->phase : end;
  head_flow(w, p, p->full + (wrap ? 1 : 0), first);
  head_flow(w, p, p->full + (wrap ? 0 : 1), second - first);
  head_flow(w, p, p->full + (wrap ? 1 : 0), p->interval - second);
}

/* The head's steady state into r->x; false: it has none, or not one that rounding leaves alone. */
static bool head_steady(dpi_eq_bench *w, const period *p) {
  const dpi_eq_spoke *sp = w->spoke;
  const dpi_system *sys = sp->sys;
  rest *r = w->rest;
  const int n = sp->nstate, h = sp->nhead, k = h + 1;
  for (int i = 0; i < h; i++) r->x[sp->head[i]] = 0;
  const double *val = dpi_eq_eval(w, &sp->full, p->t0, r->x, NULL);
  for (int i = 0; i < k * k; i++) r->a[i] = 0;
  for (int i = 0; i < h; i++) r->a[i * k + h] = val[sp->head[i]];
  for (int e = 0; e < sys->jac_nnz; e++) {
    const int row = sp->head_at[sys->jac_row[e]];
    if (row >= 0) r->a[row * k + sp->head_at[sys->jac_col[e]]] = val[n + e];
  }
  head_map(w, p);
  for (int i = 0; i < h; i++) {
    r->b[i] = r->m[i * k + h];
    for (int j = 0; j < h; j++) {
      r->work[i * h + j] = r->m[i * k + j];
      r->a[i * h + j] = (i == j) - r->m[i * k + j];
    }
  }
  if (!dpi_eq_finite(r->m, k * k) || !dpi_lu(r->a, h, r->piv) || !falls(r, h, r->work, 1, 40)) return false;
  dpi_lu_solve(r->a, h, r->piv, r->b);
  for (int i = 0; i < h; i++) r->x[sp->head[i]] = r->b[i];
  return dpi_eq_finite(r->b, h);
}

/* b := what the tail misses, or false when the head does not repeat itself within the solver's tolerance. */
static bool tail_miss(dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  rest *r = w->rest;
  for (int j = 0; j < sp->nstate; j++) r->before[j] = sp->head_at[j] >= 0 ? r->y[j] - r->x[j] : 0;
  for (int i = 0; i < sp->ntail; i++) r->b[i] = r->y[sp->tail[i]] - r->x[sp->tail[i]];
  return weigh(w, r->before, r->x) <= 10;
}

static bool tail_correct(dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  rest *r = w->rest;
  dpi_lu_solve(r->a, sp->ntail, r->piv, r->b);
  for (int i = 0; i < sp->ntail; i++) r->x[sp->tail[i]] += r->b[i];
  return dpi_eq_finite(r->b, sp->ntail);
}

/* The largest row sum of the tail's M (used up), or infinity when its powers grow. */
static double tail_factor(dpi_eq_bench *w) {
  const dpi_eq_spoke *sp = w->spoke;
  rest *r = w->rest;
  const int nt = sp->ntail;
  double size = 0;
  for (int i = 0; i < nt; i++) {
    double row = 0;
    for (int j = 0; j < nt; j++) {
      const double m = r->s[sp->tail[i] * nt + j];
      r->m[i * nt + j] = m;
      r->a[i * nt + j] = (i == j) - m;
      row += fabs(m);
    }
    size = fmax(size, row);
  }
  return dpi_lu(r->a, nt, r->piv) && falls(r, nt, r->m, 1, 40) ? size : INFINITY;
}

/* Steady state of a cascade whose head is dosed; false: not settled, nothing is said. */
static bool cascade_map(dpi_eq_bench *w, const period *p) {
  const dpi_eq_spoke *sp = w->spoke;
  rest *r = w->rest;
  const int n = sp->nstate, nt = sp->ntail;
  if (!sp->cascade || r->nlaw > 0 || sp->head_at[p->plan->state] < 0 || !head_steady(w, p)) return false;
  if (!bind_steady(w, w->steady, nt)) return false;
  memcpy(r->y, r->x, sizeof(double) * n);
  for (int i = 0; i < n * nt; i++) r->s[i] = 0;
  for (int i = 0; i < nt; i++) r->s[sp->tail[i] * nt + i] = 1;
  if (!period_map(w, p, r->y, r->s, nt, nt)) return false;
  const double size = tail_factor(w);
  if (!isfinite(size) || !tail_miss(w) || !tail_correct(w)) return false;
  if (size > 0.8) { /* slow: the error of M counts many times over; correct once more */
    if (!bind_steady(w, w->steady, 0) || !map_miss(w, p, 0) || !tail_miss(w) || !tail_correct(w)) return false;
  }
  if (w->ndir == 0) return true;
  if (!bind_steady(w, w->steady, r->ncol) || !map_miss(w, p, r->ncol)) return false;
  map_derivatives(w);
  return true;
}

/* ---- low accuracy first ---- */

/* Near to the fixed point at low accuracy, from a few doses on; r->a, r->m are those of the last turn, whose step comes
 * back: infinite when it did not settle. */
static double rough_map(dpi_eq_bench *w, const period *p) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  const double near_by = 0.1 / w->spoke->opts.rtol;
  if (!bind_steady(w, w->rough, 0)) return INFINITY;
  for (int k = 0; k < 3; k++)
    if (!period_map(w, p, r->x, NULL, 0, 0)) return INFINITY;
  if (!bind_steady(w, w->rough, n)) return INFINITY;
  for (int turn = 0; turn < 8; turn++) {
    if (!map_miss(w, p, n)) return INFINITY;
    const double step = map_correct(w);
    if (!(step > near_by) || !isfinite(step)) return step;
  }
  return INFINITY;
}

/* From r->x by low accuracy, then by corrected maps of full accuracy; false: not settled, nothing is said. */
static bool chord_map(dpi_eq_bench *w, const period *p) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  double last = rough_map(w, p);
  bool there = false;
  if (!isfinite(last)) return false;
  const bool calm = falls(r, n, r->m, 0.5, 6); /* far enough from 1 for an M that is not exact */
  if (!bind_steady(w, w->steady, 0)) return false;
  for (int turn = 0; turn < 8 && !there; turn++) {
    if (!map_miss(w, p, 0)) return false;
    const double step = map_correct(w), rate = step / last;
    if (!isfinite(step)) return false;
    /* what is left is about rate x step; below 1 the solver's own errors may be all that is seen */
    there = step <= 0.01 || (rate < 0.3 && rate * step <= 0.02) || (step <= 1 && rate >= 0.3);
    if (!there && rate >= 0.3) return false;
    last = step;
  }
  if (!there || (calm && w->ndir == 0)) return there;
  if (!bind_steady(w, w->steady, r->ncol) || !map_miss(w, p, r->ncol) || !stable(r, n, r->m)) return false;
  map_derivatives(w);
  return true;
}

/* From r->x to the fixed point; false: this start did not lead there (r->why). */
static bool newton_map(dpi_eq_bench *w, const period *p) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, nc = r->ncol;
  double last = INFINITY;
  if (!bind_steady(w, w->steady, nc)) return false;
  for (int turn = 0; turn < 15; turn++) {
    if (!map_miss(w, p, nc)) return false;
    const double miss = weigh(w, r->b, r->x);
    const bool there = miss <= 0.01 || (miss <= 10 && miss > 0.5 * last);
    const bool exact = w->spoke->sys->linear && turn == 0 && w->ndir == 0;
    if (there || exact) {
      if (!stable(r, n, r->m)) {
        snprintf(r->why, sizeof r->why, "the state that repeats itself is not stable");
        return false;
      }
      map_derivatives(w);
    }
    if (there) return true;
    last = miss;
    r->why[0] = '\0';
    if (!isfinite(map_correct(w))) break;
    if (exact) return true;
  }
  if (!r->why[0]) snprintf(r->why, sizeof r->why, "the search did not converge");
  return false;
}

/* A few doses from the initial values bring a nonlinear system near enough; more of them when that was not enough. */
static bool find_period(dpi_eq_bench *w, const period *p) {
  static const int intervals[] = {3, 10, 50, 200, 1000};
  rest *r = w->rest;
  if (w->spoke->sys->linear) return newton_map(w, p);
  memcpy(w->xs, r->x, sizeof(double) * w->spoke->nstate);
  if (cascade_map(w, p)) return true;
  memcpy(r->x, w->xs, sizeof(double) * w->spoke->nstate);
  if (!w->no_memory && chord_map(w, p)) return true;
  if (w->no_memory) return false;
  for (int round = 0; round < DPI_COUNT(intervals); round++) {
    if (!bind_steady(w, w->steady, 0)) return false;
    for (int k = 0; k < intervals[round]; k++)
      if (!period_map(w, p, w->xs, NULL, 0, 0)) return false;
    memcpy(r->x, w->xs, sizeof(double) * w->spoke->nstate);
    if (newton_map(w, p)) return true;
  }
  return false;
}

/* ---- equilibrium ---- */

/* f(x) + u into r->y, Jacobian into r->m, F_p P + U into r->s [n x ndir]. */
static void equilibrium_at(dpi_eq_bench *w, double t, const double *x) {
  rest *r = w->rest;
  const dpi_system *sys = w->spoke->sys;
  const int n = w->spoke->nstate, nd = w->ndir;
  const double *val = dpi_eq_eval(w, &w->spoke->full, t, x, NULL);
  for (int j = 0; j < n; j++) r->y[j] = val[j] + r->u[j];
  for (int i = 0; i < n * n; i++) r->m[i] = 0;
  for (int k = 0; k < sys->jac_nnz; k++) r->m[sys->jac_row[k] * n + sys->jac_col[k]] = val[n + k];
  for (int i = 0; i < n * nd; i++) r->s[i] = r->du[i];
  for (int k = 0; k < sys->fp_nnz; k++)
    for (int q = 0; q < nd; q++)
      r->s[sys->fp_row[k] * nd + q] += val[n + sys->jac_nnz + k] * w->m->p[sys->fp_col[k] * nd + q];
}

static double matrix_size(const double *m, int n) {
  double big = 0;
  for (int i = 0; i < n * n; i++) big = fmax(big, fabs(m[i]));
  return big;
}

/* Factor J + c W'W into r->a. */
static bool factor_jacobian(dpi_eq_bench *w, double c) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  memcpy(r->a, r->m, sizeof(double) * n * n);
  add_laws(r, n, c, r->a);
  for (int j = 0; j < n; j++) {
    double big = 0;
    for (int i = 0; i < n; i++) big = fmax(big, fabs(r->a[i * n + j]));
    if (big > 0) continue;
    snprintf(r->why, sizeof r->why, "nothing brings state '%s' to rest", w->spoke->desc.state_id[j]);
    return false;
  }
  if (dpi_lu(r->a, n, r->piv)) return true;
  snprintf(r->why, sizeof r->why, "the Jacobian is singular");
  return false;
}

static bool equilibrium_stable(dpi_eq_bench *w, double size) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  double *e = r->sample; /* the laws have been found */
  if (size == 0) return true;
  dpi_expm(r->m, n, 1 / size, e, r->work);
  if (stable(r, n, e)) return true;
  snprintf(r->why, sizeof r->why, "the state of rest is not stable");
  return false;
}

/* r->x is the state of rest; f and the Jacobian's factors belong to it. */
static bool rest_found(dpi_eq_bench *w, double size) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, nd = w->ndir;
  for (int d = 0; d < nd; d++) {
    for (int j = 0; j < n; j++) r->b[j] = -r->s[j * nd + d];
    keep_laws(r, n, nd, d, size, r->b);
    dpi_lu_solve(r->a, n, r->piv, r->b);
    for (int j = 0; j < n; j++) r->sstar[j * nd + d] = r->b[j];
  }
  return equilibrium_stable(w, size);
}

static bool newton_rest(dpi_eq_bench *w, double t) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  double last = INFINITY;
  for (int turn = 0; turn < 40; turn++) {
    equilibrium_at(w, t, r->x);
    const double size = matrix_size(r->m, n);
    if (!dpi_eq_finite(r->y, n) || !factor_jacobian(w, size)) return false;
    for (int j = 0; j < n; j++) r->b[j] = -r->y[j];
    dpi_lu_solve(r->a, n, r->piv, r->b);
    const double miss = weigh(w, r->b, r->x);
    for (int j = 0; j < n; j++) r->x[j] += r->b[j];
    if (!dpi_eq_finite(r->x, n)) break;
    if (miss <= 1e-4 || (miss <= 1 && miss > 0.5 * last)) return rest_found(w, size);
    last = miss;
  }
  snprintf(r->why, sizeof r->why, "the search did not converge");
  return false;
}

static bool near(const double *a, const double *b, int n, double atol) {
  for (int j = 0; j < n; j++)
    if (!(fabs(a[j] - b[j]) <= 0.02 * (fabs(a[j]) + fabs(b[j])) + 1000 * atol)) return false;
  return true;
}

/* Where slow rates are differences of fast ones, their rounding keeps Newton's steps from settling. The way by itself
 * does not suffer from that: it counts when going on to three times as long changed nothing, and Newton's steps, as far
 * as they can tell, stayed there: what is slower than the way was long would have shown as a step far away. */
static bool flow_rests(dpi_eq_bench *w, double t) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  if (!near(r->x, w->xs, n, w->spoke->opts.atol)) return false;
  for (int j = 0; j < n; j++) r->b[j] = w->xs[j] - r->flowed[j];
  if (!(weigh(w, r->b, w->xs) <= STILL)) return false;
  memcpy(r->x, w->xs, sizeof(double) * n);
  equilibrium_at(w, t, r->x);
  const double size = matrix_size(r->m, n);
  return dpi_eq_finite(r->y, n) && factor_jacobian(w, size) && rest_found(w, size);
}

/* From r->x to the state of rest under the input r->u. Nonlinear systems first go by themselves for longer
 * and longer. */
static bool find_rest(dpi_eq_bench *w, double t) {
  rest *r = w->rest;
  const int n = w->spoke->nstate;
  if (!w->spoke->sys->autonomous) {
    snprintf(r->why, sizeof r->why, "the equations depend on time");
    return false;
  }
  equilibrium_at(w, t, r->x);
  const double size = matrix_size(r->m, n);
  if (r->nlaw > 0 && (!factor_jacobian(w, size) || !laws_hold(w, r->y, 0))) return false;
  if (w->spoke->sys->linear) return newton_rest(w, t);
  double span = size > 0 ? 10 / size : 1;
  memcpy(w->xs, r->x, sizeof(double) * n);
  for (int round = 0; round < ROUNDS; round++, span *= 3) {
    if (!bind_steady(w, w->steady, 0)) return false;
    memcpy(r->flowed, w->xs, sizeof(double) * n);
    if (!flow(w, t, t + span, w->xs, NULL, 0, WAY_MOST)) return false;
    memcpy(r->x, w->xs, sizeof(double) * n);
    if (newton_rest(w, t) ? near(r->x, w->xs, n, w->spoke->opts.atol) : flow_rests(w, t)) return true;
  }
  return false;
}

/* ---- the two entries ---- */

static bool no_steady(dpi_eq_bench *w, double t) {
  if (w->no_memory) return false;
  return dpi_eq_fail(w, t, "no steady state: %s", w->rest->why);
}

/* Doses given before t that are still under way: those that wait for their lag, those that still run. */
static bool steady_past(dpi_eq_bench *w, double t, const dpi_eq_plan *plan, double interval) {
  const double reach = plan->lag + (plan->infusion ? plan->duration : 0);
  for (double k = floor(reach / interval) + 1; k >= 1; k--) {
    const double shift = plan->lag - k * interval;
    if (shift < 0 && !(plan->infusion && shift + plan->duration > 0)) continue;
    if (!dpi_eq_dose_add(w, plan, t, shift, shift < 0)) return false;
  }
  return true;
}

static bool steady_of(dpi_eq_bench *w, const dp_instant *in, double t, const dpi_eq_plan *plan, double interval) {
  rest *r = w->rest;
  const int n = w->spoke->nstate, nd = w->ndir;
  if (in->type == DP_INFUSE && in->amount == 0) {
    for (int j = 0; j < n; j++) r->u[j] = 0;
    for (int i = 0; i < n * nd; i++) r->du[i] = 0;
    r->u[plan->state] = plan->amount;
    for (int q = 0; q < nd; q++) r->du[plan->state * nd + q] = plan->damount[q];
    return find_rest(w, t);
  }
  period p = {.plan = plan, .t0 = t, .interval = interval};
  p.phase = plan->lag - floor(plan->lag / interval) * interval;
  p.full = plan->infusion ? floor(plan->duration / interval) : 0;
  p.hold = plan->infusion ? plan->duration - p.full * interval : 0;
  return find_period(w, &p);
}

/* The state becomes (steady = 1) or gains (steady = 2) the steady state of this dose. S+ = [S-] + dx* + (f- - f+)
 * dtime. */
bool dpi_eq_steady_dose(dpi_eq_bench *w, const dp_instant *in, double t, const dpi_eq_plan *plan) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_member *m = w->m;
  const int n = sp->nstate, nd = w->ndir;
  const bool constant = in->type == DP_INFUSE && in->amount == 0, add = in->steady == 2;
  const double interval = dpi_real(in->interval);
  if (!constant && in->interval <= 0) return dpi_eq_fail(w, t, "a steady-state dose has no interval");
  if (in->dir_time >= 0 && nd > 0 && !sp->sys->autonomous)
    return dpi_eq_fail(w, t, "derivative by the time of a steady-state dose: the equations depend on time themselves");
  if (!rest_memory(w)) return dpi_eq_fail_memory(w);
  rest *r = w->rest;
  dpi_eq_initial(w, t, r->x, r->s0);
  if (!dpi_eq_finite(r->x, n)) return dpi_eq_fail(w, t, "an initial value is not finite");
  if (!find_laws(w, t, r->x) || !steady_of(w, in, t, plan, interval)) return no_steady(w, t);
  for (int j = 0; j < n; j++) w->xb[j] = m->x[j];
  for (int j = 0; j < n; j++) w->xs[j] = w->u[j]; /* the input before */
  if (!add) m->ndose = 0;
  if (constant) { /* it has always run and ends when the lag is over; amount 0 says nothing of its duration */
    dpi_eq_plan past = *plan;
    past.duration = 0;
    for (int q = 0; q < nd; q++) past.dduration[q] = 0;
    if (!dpi_eq_dose_add(w, &past, t, plan->lag, true)) return false;
  } else if (!steady_past(w, t, plan, interval)) {
    return false;
  }
  dpi_eq_input(w);
  for (int j = 0; j < n; j++) m->x[j] = r->x[j] + (add ? m->x[j] : 0);
  dpi_eq_rhs(w, t, w->xb, w->xs, w->fa);
  dpi_eq_rhs(w, t, m->x, w->u, w->fb);
  for (int i = 0; i < n; i++)
    for (int q = 0; q < nd; q++) {
      const double shift = ((add ? w->fa[i] : 0) - w->fb[i]) * plan->dtime[q];
      m->s[i * nd + q] = r->sstar[i * nd + q] + (add ? m->s[i * nd + q] : 0) + shift;
    }
  return true;
}

/* state := steady state without doses, from where it is. Doses under way stay under way. */
bool dpi_eq_equilibrate(dpi_eq_bench *w, double t) {
  dpi_eq_member *m = w->m;
  const int n = w->spoke->nstate, nd = w->ndir;
  if (!rest_memory(w)) return dpi_eq_fail_memory(w);
  rest *r = w->rest;
  memcpy(r->x, m->x, sizeof(double) * n);
  memcpy(r->s0, m->s, sizeof(double) * n * nd);
  for (int j = 0; j < n; j++) r->u[j] = 0;
  for (int i = 0; i < n * nd; i++) r->du[i] = 0;
  if (!find_laws(w, t, r->x) || !find_rest(w, t)) return no_steady(w, t);
  memcpy(m->x, r->x, sizeof(double) * n);
  memcpy(m->s, r->sstar, sizeof(double) * n * nd);
  w->live = false;
  return true;
}
