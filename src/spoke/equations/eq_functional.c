/* eq_functional.c - exact functionals of the path: integrals, extrema, times in a range, first passages.  Q
 *
 * The path is looked at once, as it is integrated, on dense output: each piece [a, b] of a solver's step within the
 * window. A jump separates two pieces, and both its sides belong to them; at the window's end only the side before
 * does.
 *
 *   cells      a step of a stepping method is one cell; the one exact step of `linear` is cut geometrically from the
 *              segment's start (h0 = 1/(4 |J|), growing by 2), because its time scales unfold in that order
 *   curves     a cell is halved until a cubic through values and slopes at its ends foretells value and slope at its
 *              middle (but for a hundredth of what the integrator may err), or there is nothing but its error to be
 *              seen; then the sign of the slope at ends and middle shows the extrema, found as roots of the slope
 *              dO/dt = dO/dx (f + u) + dO/dtime; between extrema the output is monotone and levels are roots
 *   at once    the slope of an affine output of two states under `linear` is a sum of two exponentials and has one zero
 *              at most (complex rates: one in less than half a turn), so the ends of a whole segment tell its extrema,
 *              where both slopes stand clear of rounding
 *   integrals  Gauss-Kronrod 7-15 (Piessens et al. 1983, QUADPACK), halved until both agree; exactly where
 *              x' = A x + b + u and the output is c x + c0: integral of x = A^-1 (x(b) - x(a) - (b + u)(b - a)),
 *              unless A is (nearly) singular
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

#define CURVE_DEPTH 16
#define AREA_DEPTH 14
#define CELLS_MAX 400

typedef struct point {
  double t, g, d; /* time, output, slope */
  double blur;    /* what the integrator may err in the output, by the states that it depends on */
} point;

typedef struct look {
  dpi_eq_bench *w;
  const dp_functional *f;
  dpi_eq_path *p;
  double level; /* for root of g - level */
  double grain; /* part of the output below which a curve is not looked into */
} look;

void dpi_eq_path_begin(dpi_eq_path *p) { *p = (dpi_eq_path){.value = 0, .seen = NAN}; }

/* ---- reading the curve ---- */

/* State at t; functionals that look at the same cells share what was read. */
static const double *state_at(dpi_eq_bench *w, double t) {
  const dpi_solver *s = w->solver;
  if (t == s->t_now) return s->x_now;
  double *x = w->xs;
  if (w->def->nfunctional > 1) {
    uint64_t bits;
    memcpy(&bits, &t, sizeof bits);
    const int at = (int)((bits * 0x9E3779B97F4A7C15u) >> 32) & (DPI_EQ_MEMO - 1);
    x = w->memo_x + (size_t)at * w->spoke->nstate;
    if (w->memo_piece[at] == w->piece && w->memo_t[at] == t) return x;
    w->memo_piece[at] = w->piece;
    w->memo_t[at] = t;
  }
  s->ops->dense(w->solver, t, x, NULL);
  return x;
}

/* What the delayed values' own slopes add to an output's: by differences along the path, at points of the same step. */
static double delayed_slope(dpi_eq_bench *w, const dpi_eq_map *map, double t) {
  const dpi_solver *s = w->solver;
  const int n = w->spoke->nstate, nd = w->spoke->ndelayed;
  const double h = 1e-5 * (s->t_now - s->t_prev);
  const double a = fmax(t - h, s->t_prev), b = fmin(t + h, s->t_now);
  double *va = w->slope_at, *vb = va + nd, *der = vb + nd, sum = 0;
  if (!(b > a)) return 0;
  memcpy(der, w->val + map->nvalue, sizeof *der * (size_t)map->nder);
  s->ops->dense(w->solver, a, w->slope_x, NULL);
  dpi_eq_delayed(w, a, w->slope_x, va);
  s->ops->dense(w->solver, b, w->slope_x, NULL);
  dpi_eq_delayed(w, b, w->slope_x, vb);
  for (int i = 0; i < map->nder; i++)
    if (map->col[i] >= n) sum += der[i] * (vb[map->col[i] - n] - va[map->col[i] - n]) / (b - a);
  return sum;
}

static point curve_at(const look *k, double t) {
  dpi_eq_bench *w = k->w;
  const dpi_eq_map *map = &w->spoke->dot[k->f->output];
  const dpi_solve_opts *o = &w->spoke->opts;
  const double *x = state_at(w, t), *v = dpi_eq_eval(w, map, t, x, NULL);
  const double rtol = w->spoke->whole ? 1e-12 : fmax(o->rtol, 1e-12), atol = w->spoke->whole ? 0 : o->atol;
  point q = {t, v[1], v[0], 0};
  for (int i = 0; i < map->nder; i++)
    if (map->col[i] < w->spoke->nstate) q.blur += fabs(v[2 + i]) * (rtol * fabs(x[map->col[i]]) + atol);
  if (w->have_input)
    for (int i = 0; i < map->nder; i++)
      if (map->col[i] < w->spoke->nstate) q.d += v[2 + i] * w->u[map->col[i]];
  if (w->spoke->ndelayed && w->spoke->out_delayed[k->f->output]) q.d += delayed_slope(w, map, t);
  return q;
}

static double slope_at(void *user, double t) { return curve_at(user, t).d; }

static double above_level(void *user, double t) {
  const look *k = user;
  return curve_at(k, t).g - k->level;
}

static double width_tol(double a, double b) { return 1e-13 * (b - a) + 2e-16 * fmax(fabs(a), fabs(b)); }

/* Where a monotone stretch passes the level (ends lie on different sides). */
static double crossing(look *k, const point *a, const point *b, double level) {
  k->level = level;
  if (a->g == level) return a->t;
  if (b->g == level) return b->t;
  return dpi_root(above_level, k, a->t, a->g - level, b->t, b->g - level, width_tol(a->t, b->t));
}

/* ---- monotone stretches ---- */

/* Part of the stretch on which g lies at or above the level, as a length; *first: where that part begins. */
static double time_above(look *k, const point *a, const point *b, double level, double *first) {
  const bool ia = a->g >= level, ib = b->g >= level;
  *first = a->t;
  if (ia && ib) return b->t - a->t;
  if (!ia && !ib) return 0;
  const double c = crossing(k, a, b, level);
  *first = ia ? a->t : c;
  return ia ? c - a->t : b->t - c;
}

/* Length on which g > level: differs from the above only where g stays at the level. */
static double time_beyond(look *k, const point *a, const point *b, double level) {
  if (a->g == level && b->g == level) return 0;
  double first;
  return time_above(k, a, b, level, &first);
}

static void take(dpi_eq_path *p, double v, bool larger) {
  if (!p->any || (larger ? v > p->value : v < p->value)) p->value = v;
  p->any = 1;
}

static void first_passage(look *k, const point *a, const point *b) {
  const double level = k->f->level;
  const bool up = k->f->kind == DP_FIRST_ABOVE;
  dpi_eq_path *p = k->p;
  if (p->any) return;
  if (up ? a->g >= level : a->g <= level)
    p->value = a->t;
  else if (up ? b->g >= level : b->g <= level)
    p->value = crossing(k, a, b, level);
  else
    return;
  p->any = 1;
}

static void stretch(look *k, const point *a, const point *b) {
  const bool passage = k->f->kind == DP_FIRST_ABOVE || k->f->kind == DP_FIRST_BELOW;
  double first;
  if ((isnan(a->g) || isnan(b->g)) && !(passage && k->p->any)) k->p->unknown = 1;
  switch (k->f->kind) {
    case DP_MAXIMUM:
    case DP_MINIMUM:
      take(k->p, a->g, k->f->kind == DP_MAXIMUM);
      take(k->p, b->g, k->f->kind == DP_MAXIMUM);
      return;
    case DP_TIME_BETWEEN: {
      const double part = time_above(k, a, b, k->f->level, &first) - time_beyond(k, a, b, k->f->level2);
      if (part > 0) k->p->value += part;
      k->p->any = 1;
      return;
    }
    case DP_FIRST_ABOVE:
    case DP_FIRST_BELOW: first_passage(k, a, b); return;
    case DP_INTEGRAL: return;
  }
}

/* ---- curves ---- */

/* A stretch with at most one extremum. */
static void bend(look *k, const point *a, const point *b) {
  if (!(a->d * b->d < 0)) {
    stretch(k, a, b);
    return;
  }
  const double t = dpi_root(slope_at, k, a->t, a->d, b->t, b->d, width_tol(a->t, b->t));
  const point top = curve_at(k, t);
  stretch(k, a, &top);
  stretch(k, &top, b);
}

/* Does the cubic through (g, d) at the ends foretell the middle? An integrator's dense output and the slope of the
 * rates on it differ by what it may err, which on a level stretch is all there is to be seen. */
static bool foretold(const look *k, const point *a, const point *m, const point *b) {
  const double h = b->t - a->t;
  const double g = 0.5 * (a->g + b->g) + 0.125 * h * (a->d - b->d);
  const double d = 1.5 * (b->g - a->g) / h - 0.25 * (a->d + b->d);
  const double move = fabs(b->g - a->g) + fabs(m->g - a->g) + h * (fabs(a->d) + fabs(b->d) + fabs(m->d)) / 8;
  const double slack = 0.01 * move + k->grain * fmax(fabs(a->g), fabs(b->g));
  if (!isfinite(m->g) || !isfinite(m->d)) return true;
  return fabs(m->g - g) <= slack && h * fabs(m->d - d) <= 8 * slack;
}

/* Could the cubic on [a, b] turn twice though its end slopes agree in sign? Turns within the grain are none. */
static bool turns_twice(const look *k, const point *a, const point *b) {
  const double h = b->t - a->t, grain = k->grain * fmax(fabs(a->g), fabs(b->g));
  const double c = 3 * (b->g - a->g) / h - (a->d + b->d); /* slope's middle Bernstein coefficient */
  return a->d * b->d > 0 && a->d * c < 0 && c * c > a->d * b->d && h * fabs(c) > 3 * grain;
}

static bool alike(const point *a, const point *b, double within) { return fabs(a->g - b->g) <= within; }

/* A curve that can't be foretold, but whose ends, middle and quarters differ by less than a tenth of what the
 * integrator may err: on a stretch where states lie within their tolerance, or an output is a difference of large
 * numbers, what can't be foretold is how it errs, however near one looks. */
static bool all_blur(look *k, const point *a, const point *m, const point *b) {
  const double blur = 0.1 * fmin(m->blur, fmin(a->blur, b->blur));
  if (!(alike(a, m, blur) && alike(b, m, blur))) return false;
  const point p = curve_at(k, a->t + 0.5 * (m->t - a->t)), q = curve_at(k, m->t + 0.5 * (b->t - m->t));
  if (!(alike(&p, m, blur) && alike(&q, m, blur))) return false;
  bend(k, a, &p);
  bend(k, &p, m);
  bend(k, m, &q);
  bend(k, &q, b);
  return true;
}

static void curve(look *k, const point *a, const point *b, int depth) {
  const point m = curve_at(k, a->t + 0.5 * (b->t - a->t));
  const bool narrow = depth >= CURVE_DEPTH || !(m.t > a->t && m.t < b->t);
  if (!narrow && (!foretold(k, a, &m, b) || turns_twice(k, a, &m) || turns_twice(k, &m, b))) {
    if (all_blur(k, a, &m, b)) return;
    curve(k, a, &m, depth + 1);
    curve(k, &m, b, depth + 1);
    return;
  }
  bend(k, a, &m);
  bend(k, &m, b);
}

/* ---- integrals ---- */

static const double node15[8] = {0.991455371120812639206854697526329, 0.949107912342758524526189684047851,
                                 0.864864423359769072789712788640926, 0.741531185599394439863864773280788,
                                 0.586087235467691130294144691693013, 0.405845151377397166906606412076961,
                                 0.207784955007898467600689403773245, 0.0};
static const double weight15[8] = {0.022935322010529224963732008058970, 0.063092092629978553290700663189204,
                                   0.104790010322250183839876322541518, 0.140653259715525918745189590510238,
                                   0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
                                   0.204432940075298892414161999234649, 0.209482141084727828012999174891714};
static const double weight7[4] = {0.129484966168869693270611432679082, 0.279705391489276667901467771423780,
                                  0.381830050505118944950369775488975, 0.417959183673469387755102040816327};

static double area(look *k, double a, double b, int depth) {
  const double mid = 0.5 * (a + b), half = 0.5 * (b - a);
  double high = 0, low = 0, size = 0;
  for (int i = 0; i < 8; i++) {
    const double g1 = curve_at(k, mid - half * node15[i]).g;
    const double g = i == 7 ? g1 : g1 + curve_at(k, mid + half * node15[i]).g;
    high += weight15[i] * g;
    size += weight15[i] * fabs(g);
    if (i % 2 == 1) low += weight7[i / 2] * g;
  }
  if (depth >= AREA_DEPTH || !(fabs(high - low) > 1e-9 * size)) return half * high;
  return area(k, a, mid, depth + 1) + area(k, mid, b, depth + 1);
}

/* ---- cells ---- */

/* Fastest rate of the segment: the Jacobian's largest column sum at its start. */
double dpi_eq_segment_rate(dpi_eq_bench *w) {
  const dpi_system *sys = w->spoke->sys;
  const int n = w->spoke->nstate;
  if (w->scale >= 0) return w->scale;
  const double *val = dpi_eq_eval(w, &w->spoke->full, w->m->t, w->m->x, NULL);
  double best = 0, sum = 0;
  for (int k = 0; k < sys->jac_nnz; k++) {
    if (k > 0 && sys->jac_col[k] != sys->jac_col[k - 1]) sum = 0;
    sum += fabs(val[n + k]);
    best = fmax(best, sum);
  }
  return w->scale = best;
}

/* Factor the Jacobian once for these parameters. Its memory is taken when first needed: it grows with the square of the
 * model. */
static void factor_segment(dpi_eq_bench *w) {
  const dpi_system *sys = w->spoke->sys;
  const int n = w->spoke->nstate;
  if (w->jac_inverse >= 0) return;
  if (!w->jac) w->jac = dpi_arena_array(&w->arena, (size_t)n * (size_t)n + 1, sizeof *w->jac);
  if (!w->jac) {
    w->no_memory = true;
    w->jac_inverse = INFINITY;
    return;
  }
  const double *val = dpi_eq_eval(w, &w->spoke->full, w->m->t, w->m->x, NULL);
  memset(w->jac, 0, (size_t)n * (size_t)n * sizeof *w->jac);
  for (int k = 0; k < sys->jac_nnz; k++) w->jac[sys->jac_row[k] * n + sys->jac_col[k]] = val[n + k];
  w->jac_inverse = INFINITY;
  w->jac_size = 0;
  for (int i = 0; i < n * n; i++) w->jac_size = fmax(w->jac_size, fabs(w->jac[i]));
  if (!dpi_lu(w->jac, n, w->jac_piv)) return;
  double best = 0;
  for (int c = 0; c < n; c++) { /* column by column: a bound of the inverse's size */
    for (int j = 0; j < n; j++) w->fb[j] = j == c;
    dpi_lu_solve(w->jac, n, w->jac_piv, w->fb);
    double sum = 0;
    for (int j = 0; j < n; j++) sum += fabs(w->fb[j]);
    best += sum;
  }
  w->jac_inverse = best;
}

double dpi_eq_jac_condition(dpi_eq_bench *w) {
  factor_segment(w);
  return w->jac_inverse * w->jac_size;
}

/* Exact area of an affine output over [a, b]; false where rounding would spoil it. */
static bool exact_area(look *k, double a, double b, double *out) {
  dpi_eq_bench *w = k->w;
  const dpi_eq_map *map = &w->spoke->dot[k->f->output];
  const dpi_solver *s = w->solver;
  const int n = w->spoke->nstate;
  if (!w->spoke->affine[k->f->output]) return false;
  factor_segment(w);
  if (!isfinite(w->jac_inverse)) return false;
  double *xa = w->xs, *xb = w->xb, *y = w->fa, size = 0;
  s->ops->dense(w->solver, a, xa, NULL);
  s->ops->dense(w->solver, b, xb, NULL);
  for (int j = 0; j < n; j++) w->fb[j] = 0;
  dpi_eq_rhs(w, a, w->fb, w->u, y); /* b + u */
  for (int j = 0; j < n; j++) {
    size = fmax(size, fmax(fabs(xa[j]) + fabs(xb[j]), fabs(y[j]) * (b - a)));
    y[j] = xb[j] - xa[j] - y[j] * (b - a);
  }
  dpi_lu_solve(w->jac, n, w->jac_piv, y);
  const double *v = dpi_eq_eval(w, map, a, xa, NULL);
  double sum = 0, rest = v[1], weight = 0;
  for (int i = 0; i < map->nder; i++) {
    sum += v[2 + i] * y[map->col[i]];
    rest -= v[2 + i] * xa[map->col[i]];
    weight += fabs(v[2 + i]);
  }
  if (!(1e-16 * size * w->jac_inverse * weight <= 1e-12 * fabs(sum))) return false;
  *out = sum + rest * (b - a);
  return true;
}

/* The longest stretch on which the slope of an affine output passes zero once at most: for these parameters. */
static double turn_of(dpi_eq_bench *w) {
  const dpi_system *sys = w->spoke->sys;
  const int n = w->spoke->nstate;
  if (w->turn >= 0) return w->turn;
  w->turn = 0;
  if (n > 2) return 0;
  const double *val = dpi_eq_eval(w, &w->spoke->full, w->m->t, w->m->x, NULL);
  double a[4] = {0};
  for (int k = 0; k < sys->jac_nnz; k++) a[2 * sys->jac_row[k] + sys->jac_col[k]] = val[n + k];
  const double d = 0.5 * (a[0] - a[3]), square = d * d + a[1] * a[2];
  if (square >= 0) w->turn = INFINITY;
  if (square < 0) w->turn = 3 / sqrt(-square); /* less than half a turn, pi */
  return w->turn;
}

/* Is the slope at q larger than what rounding may have made of it? weight: of a state in the output; span: the
 * piece's length. */
static bool clear_slope(dpi_eq_bench *w, const point *q, double weight, double span) {
  const double *x = state_at(w, q->t), rate = dpi_eq_segment_rate(w);
  double size = 0, input = 0;
  for (int j = 0; j < w->spoke->nstate; j++) {
    size += fabs(x[j]);
    if (w->have_input) input += fabs(w->u[j]);
  }
  return fabs(q->d) > 1e-11 * (1 + rate * span) * weight * (rate * size + input);
}

/* The piece from pa, which was just read, to b at once; false: nothing done. */
static bool at_once(look *k, const point *pa, double b) {
  dpi_eq_bench *w = k->w;
  const dpi_eq_map *map = &w->spoke->dot[k->f->output];
  const double span = b - pa->t;
  double weight = 0;
  if (w->spoke->nstate > 2 || !w->spoke->affine[k->f->output]) return false;
  for (int i = 0; i < map->nder; i++) weight = fmax(weight, fabs(w->val[map->nvalue + i]));
  if (!(span <= turn_of(w)) || !clear_slope(w, pa, weight, span)) return false;
  const point end = curve_at(k, b);
  if (!clear_slope(w, &end, weight, span)) return false;
  bend(k, pa, &end);
  return true;
}

/* The part of the path from pa to b; pa becomes its end. */
static void cell(look *k, point *pa, double b) {
  if (k->f->kind == DP_INTEGRAL) {
    k->p->value += area(k, pa->t, b, 0);
    k->p->any = 1;
    pa->t = b;
    return;
  }
  const point pb = curve_at(k, b);
  curve(k, pa, &pb, 0);
  *pa = pb;
}

static void piece(look *k, double a, double b) {
  dpi_eq_bench *w = k->w;
  double exact;
  point pa = {a, 0, 0, 0};
  if ((k->f->kind == DP_FIRST_ABOVE || k->f->kind == DP_FIRST_BELOW) && k->p->any) return;
  if (k->f->kind != DP_INTEGRAL) pa = curve_at(k, a);
  if (w->spoke->whole) {
    if (k->f->kind == DP_INTEGRAL && exact_area(k, a, b, &exact)) {
      k->p->value += exact;
      k->p->any = 1;
      return;
    }
    if (k->f->kind != DP_INTEGRAL && at_once(k, &pa, b)) return;
    const double origin = w->solver->t_prev, rate = dpi_eq_segment_rate(w);
    double h = rate > 0 ? 0.25 / rate : b - origin;
    if (h < (b - origin) * 1e-12) h = (b - origin) * 1e-12;
    for (int i = 0; i < CELLS_MAX && pa.t < b; i++, h *= 2) {
      const double edge = origin + h;
      if (edge > pa.t) cell(k, &pa, edge < b ? edge : b);
    }
  }
  if (pa.t < b) cell(k, &pa, b);
}

void dpi_eq_path_look(dpi_eq_bench *w, double from, double to) {
  for (int i = 0; i < w->def->nfunctional; i++) {
    look k = {.w = w, .f = &w->def->functional[i], .p = &w->batch->path[w->m->path_first + i]};
    const double wa = dpi_real(k.f->from), wb = dpi_real(k.f->to);
    const double a = from > wa ? from : wa, b = to < wb ? to : wb;
    k.grain = w->spoke->whole ? 1e-12 : fmax(1e-12, 0.01 * w->spoke->opts.rtol);
    if (k.p->done || a > b || (a == b && (wa < wb || from > wa || to <= wa))) continue;
    if (a == b) { /* a window of one instant: the value after everything there */
      const point q = curve_at(&k, a);
      stretch(&k, &q, &q);
      k.p->any = 1;
      continue;
    }
    piece(&k, a, b);
  }
}

/* A window of one instant at the very end of the run has no path after it. */
static void last_instant(look *k) {
  dpi_eq_bench *w = k->w;
  const double *v = dpi_eq_eval(w, &w->spoke->dot[k->f->output], w->m->t, w->m->x, NULL);
  const point q = {w->m->t, v[1], v[0], 0};
  stretch(k, &q, &q);
  if (k->f->kind == DP_INTEGRAL) k->p->any = 1;
}

/* A passage that is not known is told from one that never comes: the member fails. Of others the number is none. */
bool dpi_eq_path_close(dpi_eq_bench *w, dp_time now) {
  bool known = true;
  for (int i = 0; i < w->def->nfunctional; i++) {
    look k = {.w = w, .f = &w->def->functional[i], .p = &w->batch->path[w->m->path_first + i]};
    const bool first = k.f->kind == DP_FIRST_ABOVE || k.f->kind == DP_FIRST_BELOW;
    if (k.f->to <= now && !k.p->done) {
      if (!k.p->any && k.f->from == k.f->to && k.f->to == now) last_instant(&k);
      k.p->done = 1;
    }
    if (k.p->done || (first && k.p->any))
      w->out->functional[i] = k.p->any && !k.p->unknown ? k.p->value : NAN;
    known = known && !(first && k.p->unknown);
  }
  return known || dpi_eq_fail(w, w->m->t, "an output is not a number on its way: when it passes a level is not known");
}
