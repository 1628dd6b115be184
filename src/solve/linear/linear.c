/* linear.c - floor 3: exact propagation of x' = A x + b + u by the matrix exponential, with
 * sensitivities.
 *
 *     [x(t+h)]       [A  b+u]    [x(t)]
 *     [  1   ] = exp([0   0 ] h) [ 1  ]        S_d(t+h) = E S_d(t) + L_d [x(t); 1]
 *
 * E is the exponential, L_d its Frechet derivative in the direction (dA_d, db_d + dU_d). The extra
 * row is carried only when b + u or one of its derivatives is not zero. Matrices keep only the
 * entries that can be nonzero (incidence.h).
 *
 * A = J and b = f(0) come from the full tape. F_p P is affine in x (the rate is linear in x), so at
 * unit vectors and at zero it gives dA_d and db_d; the unit is 2^60, so that taking db_d away loses
 * nothing (powers of two are exact).
 *
 * Invariants:
 *   1. a propagator is a function of (A, b, their derivatives, input, h) alone, so finding it in the
 *      cache, whoever made it, changes no byte;
 *   2. x does not depend on the directions carried, except where a derivative alone calls for the
 *      extra row.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "solve/linear/incidence.h"
#include "solve/solve_rhs.h"

#define LINEAR_MAX_STATE 40 /* beyond it a stepping method is the better choice */
#define NCACHE 6
#define UNIT 1152921504606846976.0 /* 2^60 */

typedef struct propagator {
  double h;  /* 0: empty */
  bool wide; /* has the extra row */
  double *e; /* [nnz] */
  double *l; /* [nnz x 4 nblock] */
} propagator;

typedef struct linear_solver {
  dpi_solver base;
  dpi_solve_rhs rhs;
  dpi_incidence narrow, wide; /* pattern without and with the extra row */
  double *block;              /* owned: everything below is a slice of it */
  double *a, *b;              /* A [narrow.nnz], b [n] */
  double *da, *db;            /* [narrow.nnz x ndir], [n x ndir] */
  double *m, *dm;             /* matrix in force and its live directions [nnz x 4 nblock] */
  double *x, *xprev, *s, *sprev;
  propagator cache[NCACHE];
  int oldest; /* next cache entry to give up */
  dpi_expm_work work, inner;
  double *had; /* what the cache belongs to: a, b, da, db of the last bind, one behind the other */
  int had_ndir; /* -1: nothing yet */
  int *live; /* [max_dir] directions that change the matrix */
  bool *moves_a; /* [max_dir] directions that change A */
  int nlive, nblock;
  double unit_input; /* what the extra element of x is: scales b + u to the size of A */
  bool is_wide, metzler;
  bool ready;     /* m, dm belong to the present input */
  bool have_wide; /* u, du below are set */
  double *u, *du; /* the input that wide cache entries belong to */
} linear_solver;

static linear_solver *self(dpi_solver *s) { return (linear_solver *)s; }
static const dpi_incidence *pattern(const linear_solver *s) {
  return s->is_wide ? &s->wide : &s->narrow;
}

/* ---------------------------------------------------------------- life */

static void linear_destroy(dpi_solver *base) {
  linear_solver *s = self(base);
  dpi_solve_rhs_release(base, &s->rhs);
  dpi_incidence_release(base->ctx, &s->narrow);
  dpi_incidence_release(base->ctx, &s->wide);
  dpi_free(base->ctx, s->block);
  dpi_free(base->ctx, s->live);
  dpi_free(base->ctx, s->moves_a);
  dpi_free(base->ctx, s);
}

static bool linear_can(const dpi_system *sys) {
  return sys->linear && sys->nalgebraic == 0 && sys->ndelayed == 0 && sys->nstate <= LINEAR_MAX_STATE;
}

/* Patterns from the structure of J. */
static dp_status make_patterns(linear_solver *s) {
  const dpi_system *sys = s->base.sys;
  int n = sys->nstate;
  uint8_t *reach = DPI_NEW_ARRAY(s->base.ctx, uint8_t, 2 * n * n + 2 * n + 1);
  if (!reach) return DP_ERR_MEMORY;
  uint8_t *wide = reach + n * n;
  for (int k = 0; k < sys->jac_nnz; k++) {
    reach[sys->jac_row[k] * n + sys->jac_col[k]] = 1;
    wide[sys->jac_row[k] * (n + 1) + sys->jac_col[k]] = 1;
  }
  for (int i = 0; i <= n; i++) wide[i * (n + 1) + n] = 1;
  dp_status status = dpi_incidence_init(s->base.ctx, n, reach, &s->narrow);
  if (status == DP_OK) status = dpi_incidence_init(s->base.ctx, n + 1, wide, &s->wide);
  dpi_free(s->base.ctx, reach);
  return status;
}

/* Cut the block: sizes in doubles. */
static dp_status make_block(linear_solver *s, int max_dir) {
  size_t n = (size_t)s->base.sys->nstate, nd = (size_t)max_dir, nl = (nd + 3) / 4 * 4;
  size_t narrow = (size_t)s->narrow.nnz, wide = (size_t)s->wide.nnz;
  struct {
    double **to;
    size_t size;
  } slice[] = {{&s->a, narrow},
               {&s->b, n},
               {&s->da, narrow * nd},
               {&s->db, n * nd},
               {&s->m, wide},
               {&s->dm, wide * nl},
               {&s->x, n},
               {&s->xprev, n},
               {&s->s, n * nd},
               {&s->sprev, n * nd},
               {&s->u, n},
               {&s->du, n * nd},
               {&s->had, (narrow + n) * (1 + nd)}};
  // entries and derivatives of one matrix each
  struct {
    double **to, **dto;
  } matrix[2 + NCACHE + 2 * DPI_COUNT(s->work.x)] = {{&s->work.m, &s->work.dm},
                                                     {&s->work.e, &s->work.de}};
  int nmatrix = 2;
  for (int i = 0; i < NCACHE; i++, nmatrix++) {
    matrix[nmatrix].to = &s->cache[i].e;
    matrix[nmatrix].dto = &s->cache[i].l;
  }
  for (int i = 0; i < DPI_COUNT(s->work.x); i++, nmatrix += 2) {
    matrix[nmatrix].to = &s->work.x[i];
    matrix[nmatrix].dto = &s->work.dx[i];
    matrix[nmatrix + 1].to = &s->inner.x[i];
    matrix[nmatrix + 1].dto = &s->inner.dx[i];
  }
  s->work.inner = &s->inner;
  size_t total = (size_t)nmatrix * wide * (1 + nl);
  for (int i = 0; i < DPI_COUNT(slice); i++) total += slice[i].size;
  s->block = DPI_NEW_ARRAY(s->base.ctx, double, total);
  s->live = DPI_NEW_ARRAY(s->base.ctx, int, nd);
  s->moves_a = DPI_NEW_ARRAY(s->base.ctx, bool, nd);
  if (!s->block || !s->live || !s->moves_a) return DP_ERR_MEMORY;
  double *at = s->block;
  for (int i = 0; i < DPI_COUNT(slice); i++) {
    *slice[i].to = at;
    at += slice[i].size;
  }
  for (int i = 0; i < nmatrix; i++) {
    *matrix[i].to = at;
    *matrix[i].dto = at + wide;
    at += wide * (1 + nl);
  }
  return DP_OK;
}

extern const dpi_solver_ops dp_solve_linear;

static dp_status linear_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts,
                               int max_dir, dpi_solver **out) {
  linear_solver *s = DPI_NEW(ctx, linear_solver);
  if (!s) return DP_ERR_MEMORY;
  s->base = (dpi_solver){.ops = &dp_solve_linear, .ctx = ctx, .sys = sys, .opts = *opts};
  s->had_ndir = -1;
  dp_status status = dpi_solve_rhs_init(&s->base, max_dir, &s->rhs);
  if (status == DP_OK) status = make_patterns(s);
  if (status == DP_OK) status = make_block(s, max_dir);
  if (status != DP_OK) {
    linear_destroy(&s->base);
    return status;
  }
  *out = &s->base;
  return DP_OK;
}

/* ---------------------------------------------------------------- the matrix */

/* out [n x ndir] = F_p P at x. */
static void directional(linear_solver *s, const double *x, double *out) {
  dpi_solve_rhs *r = &s->rhs;
  dpi_solve_rhs_full(r, 0.0, x);
  const double *fp = dpi_solve_rhs_jac(r) + r->sys->jac_nnz;
  memset(out, 0, (size_t)r->sys->nstate * (size_t)r->ndir * sizeof *out);
  for (int k = 0; k < r->nterm; k++) out[r->term[k].at] += fp[r->term[k].entry] * r->term[k].weight;
}

/* dA_d, db_d from F_p P at zero and at the unit vectors. s->sprev serves as scratch. */
static void read_directions(linear_solver *s) {
  const dpi_incidence *p = &s->narrow;
  int n = s->base.sys->nstate, nd = s->rhs.ndir;
  memset(s->x, 0, (size_t)n * sizeof *s->x);
  directional(s, s->x, s->db);
  for (int j = 0; j < n; j++) {
    s->x[j] = UNIT;
    directional(s, s->x, s->sprev);
    s->x[j] = 0.0;
    for (int i = 0; i < n; i++) {
      int c = p->at[i * n + j];
      for (int d = 0; c >= 0 && d < nd; d++)
        s->da[c * nd + d] = (s->sprev[i * nd + d] - s->db[i * nd + d]) / UNIT;
    }
  }
}

/* Are A, b and their derivatives what they were, bit by bit? Many a parameter only scales doses. Remembers them. */
static bool same_matrix(linear_solver *s) {
  const size_t n = (size_t)s->base.sys->nstate, nnz = (size_t)s->narrow.nnz, nd = (size_t)s->rhs.ndir;
  const struct {
    const double *v;
    size_t size;
  } part[] = {{s->a, nnz}, {s->b, n}, {s->da, nnz * nd}, {s->db, n * nd}};
  bool same = s->had_ndir == s->rhs.ndir;
  double *had = s->had;
  for (int i = 0; i < DPI_COUNT(part); had += part[i++].size) {
    same = same && memcmp(had, part[i].v, part[i].size * sizeof *had) == 0;
    if (!same) memcpy(had, part[i].v, part[i].size * sizeof *had);
  }
  s->had_ndir = s->rhs.ndir;
  return same;
}

static dp_status linear_bind(dpi_solver *base, const double *sym, const double *seed, int ndir) {
  linear_solver *s = self(base);
  const dpi_system *sys = base->sys;
  DP_TRY(dpi_solve_rhs_bind(base->ctx, &s->rhs, sym, seed, ndir));
  base->ndir = ndir;
  size_t n = (size_t)sys->nstate;
  memset(s->x, 0, n * sizeof *s->x);
  dpi_solve_rhs_full(&s->rhs, 0.0, s->x);
  memcpy(s->b, s->rhs.out, n * sizeof *s->b);
  memset(s->a, 0, (size_t)s->narrow.nnz * sizeof *s->a);
  const double *jac = dpi_solve_rhs_jac(&s->rhs);
  for (int k = 0; k < sys->jac_nnz; k++)
    s->a[s->narrow.at[sys->jac_row[k] * sys->nstate + sys->jac_col[k]]] = jac[k];
  if (ndir > 0) read_directions(s);
  if (!same_matrix(s)) {
    for (int d = 0; d < ndir; d++) s->moves_a[d] = false;
    for (int c = 0; c < s->narrow.nnz * ndir; c++)
      if (s->da[c] != 0.0) s->moves_a[c % ndir] = true;
    for (int i = 0; i < NCACHE; i++) s->cache[i].h = 0.0;
    s->oldest = 0;
    s->have_wide = false;
  }
  memset(s->rhs.u, 0, n * sizeof *s->u);
  memset(s->rhs.du, 0, n * (size_t)ndir * sizeof *s->du);
  s->ready = false;
  base->nrhs = s->rhs.nrhs;
  base->njac = s->rhs.njac;
  return DP_OK;
}

static bool same_input(const linear_solver *s) {
  size_t n = (size_t)s->base.sys->nstate, nd = (size_t)s->rhs.ndir;
  return memcmp(s->u, s->rhs.u, n * sizeof *s->u) == 0 &&
         memcmp(s->du, s->rhs.du, n * nd * sizeof *s->du) == 0;
}

/* Is the input in force this one already? NULL: none. */
static bool input_stays(const linear_solver *s, const double *u, const double *du) {
  size_t n = (size_t)s->base.sys->nstate, nd = (size_t)s->rhs.ndir;
  if (s->rhs.has_u != (u != NULL) || s->rhs.has_du != (du != NULL && nd > 0)) return false;
  return (!u || memcmp(s->rhs.u, u, n * sizeof *u) == 0) &&
         (!s->rhs.has_du || memcmp(s->rhs.du, du, n * nd * sizeof *du) == 0);
}

static void linear_input(dpi_solver *base, const double *u, const double *du) {
  linear_solver *s = self(base);
  size_t n = (size_t)base->sys->nstate, nd = (size_t)s->rhs.ndir;
  if (input_stays(s, u, du)) return; /* what was prepared for it is still right */
  dpi_solve_rhs_input(&s->rhs, u, du);
  if (!s->rhs.has_u) memset(s->rhs.u, 0, n * sizeof *s->u);
  if (!s->rhs.has_du) memset(s->rhs.du, 0, n * nd * sizeof *s->du);
  s->ready = false;
}

/* Does direction d change A, or (wide) b + u? */
static bool is_live(const linear_solver *s, int d) {
  int n = s->base.sys->nstate, nd = s->rhs.ndir;
  if (s->moves_a[d]) return true;
  for (int i = 0; i < n; i++)
    if (s->db[i * nd + d] + s->rhs.du[i * nd + d] != 0.0) return true;
  return false;
}

/* Is there anything in the extra column? Its largest value comes back in *most. */
static bool needs_wide(const linear_solver *s, double *most) {
  int n = s->base.sys->nstate, nd = s->rhs.ndir;
  bool some = false;
  *most = 0.0;
  for (int i = 0; i < n; i++) *most = fmax(*most, fabs(s->b[i] + s->rhs.u[i]));
  for (int i = 0; i < n * nd; i++) some = some || s->db[i] + s->rhs.du[i] != 0.0;
  return some || *most > 0.0;
}

/* A power of two near most / max |A|: the extra element of x, so that the extra column is of A's
 * size. */
static double input_unit(const linear_solver *s, double most) {
  double largest = 0.0;
  int exponent = 0;
  for (int c = 0; c < s->narrow.nnz; c++) largest = fmax(largest, fabs(s->a[c]));
  double ratio = largest > 0.0 ? most / largest : most;
  if (!(ratio > 0.0) || !isfinite(ratio)) return 1.0;
  (void)frexp(ratio, &exponent);
  return ldexp(1.0, exponent);
}

/* The matrix in force and its live directions, from A, b and the input. */
static void assemble(linear_solver *s) {
  const dpi_system *sys = s->base.sys;
  int n = sys->nstate, nd = s->rhs.ndir;
  double most;
  s->is_wide = needs_wide(s, &most);
  const dpi_incidence *p = pattern(s);
  s->unit_input = s->is_wide ? input_unit(s, most) : 1.0;
  s->nlive = 0;
  for (int d = 0; d < nd; d++)
    if (is_live(s, d)) s->live[s->nlive++] = d;
  s->nblock = (s->nlive + 3) / 4;
  int nl = 4 * s->nblock;
  memset(s->m, 0, (size_t)p->nnz * sizeof *s->m);
  if (s->nlive < nl || s->is_wide) memset(s->dm, 0, (size_t)p->nnz * (size_t)nl * sizeof *s->dm);
  s->metzler = true;
  for (int c = 0; c < p->nnz; c++) {
    int i = p->row[c], j = p->col[c];
    if (i == n) continue;
    int from = j < n ? s->narrow.at[i * n + j] : -1;
    s->m[c] = j < n ? s->a[from] : (s->b[i] + s->rhs.u[i]) / s->unit_input;
    if (i != j && !(s->m[c] >= 0.0)) s->metzler = false;
    for (int l = 0; l < s->nlive; l++) {
      int d = s->live[l];
      s->dm[c * nl + l] = j < n ? s->da[from * nd + d]
                                : (s->db[i * nd + d] + s->rhs.du[i * nd + d]) / s->unit_input;
    }
  }
}

/* Make the matrix valid for the present input. Narrow propagators know nothing of inputs, so after
 * an infusion they serve again; wide ones belong to one input. */
static void prepare(linear_solver *s) {
  if (s->ready) return;
  size_t n = (size_t)s->base.sys->nstate, nd = (size_t)s->rhs.ndir;
  assemble(s);
  s->ready = true;
  if (!s->is_wide || (s->have_wide && same_input(s))) return;
  for (int i = 0; i < NCACHE; i++)
    if (s->cache[i].wide) s->cache[i].h = 0.0;
  memcpy(s->u, s->rhs.u, n * sizeof *s->u);
  memcpy(s->du, s->rhs.du, n * nd * sizeof *s->du);
  s->have_wide = true;
}

/* The propagator over h, from the cache or made; NULL when it is not finite. */
static const propagator *propagate_over(linear_solver *s, double h) {
  for (int i = 0; i < NCACHE; i++)
    if (s->cache[i].h == h && s->cache[i].wide == s->is_wide) return &s->cache[i];
  propagator *q = &s->cache[s->oldest];
  q->h = 0.0;
  if (!dpi_incidence_expm(pattern(s), s->nblock, s->m, s->dm, s->metzler, h, q->e, q->l, &s->work))
    return NULL;
  s->oldest = (s->oldest + 1) % NCACHE;
  q->h = h;
  q->wide = s->is_wide;
  return q;
}

/* x1 = E [x0; 1], S1 = E S0 + L [x0; 1]. */
static void apply(const linear_solver *s, const propagator *q, const double *x0, const double *s0,
                  double *restrict x1, double *restrict s1) {
  const dpi_incidence *p = pattern(s);
  int n = s->base.sys->nstate, nd = s1 ? s->rhs.ndir : 0, nl = 4 * s->nblock;
  for (int i = 0; i < n; i++) x1[i] = 0.0;
  for (int i = 0; i < n * nd; i++) s1[i] = 0.0;
  for (int c = 0; c < p->nnz; c++) {
    int i = p->row[c], k = p->col[c];
    if (i == n) break;
    double xk = k < n ? x0[k] : s->unit_input;
    x1[i] += q->e[c] * xk;
    if (nd == 0) continue;
    double *row = s1 + i * nd;
    for (int d = 0; k < n && d < nd; d++) row[d] += q->e[c] * s0[k * nd + d];
    for (int l = 0; l < s->nlive; l++) row[s->live[l]] += q->l[c * nl + l] * xk;
  }
}

/* ---------------------------------------------------------------- going through time */

static void publish(linear_solver *s) {
  s->base.x_now = s->x;
  s->base.sens_now = s->rhs.ndir > 0 ? s->s : NULL;
}

/* Name what is not finite among rates, then states. */
static dpi_solve_outcome refuse(linear_solver *s, double t, const double *x) {
  dpi_solver *b = &s->base;
  int n = b->sys->nstate, bad = dpi_solve_nonfinite(x, n), rate = dpi_solve_nonfinite(s->b, n);
  for (int c = 0; c < s->narrow.nnz && rate < 0; c++)
    if (!isfinite(s->a[c])) rate = s->narrow.row[c];
  if (rate >= 0)
    snprintf(b->reason, sizeof b->reason, "at t = %.10g: the rate of %s is not finite", t,
             dpi_solve_state_id(b->sys, rate));
  else if (bad >= 0)
    snprintf(b->reason, sizeof b->reason, "at t = %.10g: %s is not finite", t,
             dpi_solve_state_id(b->sys, bad));
  else
    snprintf(b->reason, sizeof b->reason, "at t = %.10g: a sensitivity or its rate is not finite",
             t);
  return DPI_SOLVE_NONFINITE;
}

static dpi_solve_outcome linear_start(dpi_solver *base, double t, const double *x,
                                      const double *sens) {
  linear_solver *s = self(base);
  size_t n = (size_t)base->sys->nstate, ns = n * (size_t)s->rhs.ndir;
  memcpy(s->x, x, n * sizeof *x);
  if (ns > 0 && sens)
    memcpy(s->s, sens, ns * sizeof *sens);
  else
    memset(s->s, 0, ns * sizeof *s->s);
  memcpy(s->xprev, s->x, n * sizeof *x);
  memcpy(s->sprev, s->s, ns * sizeof *x);
  base->t_prev = base->t_now = t;
  base->reason[0] = '\0';
  publish(s);
  if (dpi_solve_nonfinite(s->x, (int)n) >= 0 || dpi_solve_nonfinite(s->s, (int)ns) >= 0 ||
      dpi_solve_nonfinite(s->a, s->narrow.nnz) >= 0 || dpi_solve_nonfinite(s->b, (int)n) >= 0)
    return refuse(s, t, s->x);
  return DPI_SOLVE_OK;
}

/* All the way to t_end. */
static dpi_solve_outcome linear_step(dpi_solver *base, double t_end) {
  linear_solver *s = self(base);
  int n = base->sys->nstate;
  if (!(t_end > base->t_now)) return DPI_SOLVE_OK;
  prepare(s);
  const propagator *q = propagate_over(s, t_end - base->t_now);
  if (!q) return refuse(s, base->t_now, s->x);
  double *x = s->xprev, *sens = s->sprev;
  apply(s, q, s->x, s->s, x, s->rhs.ndir > 0 ? sens : NULL);
  s->xprev = s->x;
  s->sprev = s->s;
  s->x = x;
  s->s = sens;
  base->t_prev = base->t_now;
  base->t_now = t_end;
  base->nstep++;
  publish(s);
  if (dpi_solve_nonfinite(x, n) >= 0 || dpi_solve_nonfinite(sens, n * s->rhs.ndir) >= 0)
    return refuse(s, t_end, x);
  return DPI_SOLVE_OK;
}

static void linear_dense(dpi_solver *base, double t, double *x, double *sens) {
  linear_solver *s = self(base);
  size_t n = (size_t)base->sys->nstate, ns = n * (size_t)s->rhs.ndir;
  bool at_now = t == base->t_now || base->t_now == base->t_prev, at_prev = t == base->t_prev;
  if (at_now || at_prev) {
    memcpy(x, at_now ? s->x : s->xprev, n * sizeof *x);
    if (sens) memcpy(sens, at_now ? s->s : s->sprev, ns * sizeof *sens);
    return;
  }
  const propagator *q = propagate_over(s, t - base->t_prev);
  if (q) {
    apply(s, q, s->xprev, s->sprev, x, sens);
    return;
  }
  for (size_t i = 0; i < n; i++) x[i] = NAN;
  for (size_t i = 0; sens && i < ns; i++) sens[i] = NAN;
}

const dpi_solver_ops dp_solve_linear = {
    .name = "linear",
    .help =
        "exact propagation by the matrix exponential; equations linear in the states with constant "
        "coefficients",
    .can = linear_can,
    .create = linear_create,
    .destroy = linear_destroy,
    .bind = linear_bind,
    .input = linear_input,
    .start = linear_start,
    .step = linear_step,
    .dense = linear_dense,
};
