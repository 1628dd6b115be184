/* eq_watch.c - sudden changes on the path: triggers and switches of the rates, found to neighbouring numbers.  D
 *
 * Each step of the solver is looked at in its nodes, on dense output. Between two of them
 *
 *     a value or the sign of a root differs   halved until two neighbouring numbers differ; so `time >= 5` happens at
 *                                             exactly 5 and `time > 5` at the next number; then the trigger decides
 *     nothing differs                         a root may have gone through zero and back: where a parabola through
 *                                             three nodes foretells that it comes near zero, its extremum is sought
 *
 * Nothing here depends on outputs. What time alone decides is known beforehand:
 *
 *     marks   where an expression affine in time goes through zero: the solver stops just before and just behind, so
 *             that no step crosses it
 *     due     where all that a trigger or switch hangs on are such marks, the very number at which it changes, found
 *             on the line of time without any path. The solver goes there directly; where nothing else is watched no
 *             step is looked at
 *
 * Derivatives. With root g(t, x, theta) = 0 at t = tau(theta), f- the rates just before:
 *     dtau = -(g_x S- + g_theta) / (g_x f- + g_t),   S+ = S- + (f- - f+) dtau
 */
#include "spoke/equations/eq_impl.h"

#include <float.h>
#include <math.h>

/* Nodes in a step: the path between them is close to a parabola wherever error control chose the step. */
#define NODES 4
/* Radians of the fastest rate between nodes, where one exact step spans all: 12 looks a period, */
#define SWING 0.5
#define NODES_WHOLE 400 /* but not more of them than this */
#define SPEAKERS 8      /* parts that speak for all: judging a division costs the same however fine it is */
/* Finest division of a step, where a root swings faster than the states do: a pulse of a trigger shorter than this part
 * of a step may be missed. */
#define PARTS 4096
#define TURNS 8   /* changes of sign without consequence between two nodes */
#define SEARCH 40 /* evaluations in the search for an extremum */
#define NEAR 0.5  /* an extremum below this part of the smallest node is sought */
#define MARKS 64  /* looked at in a row for what changes next */
/* Switches in a row without time moving on: a sliding mode, where each restart would undo the one before; from then on
 * the error control steps through it. */
#define CHATTER 40

static int sign(double v) { return (v > 0) - (v < 0); }

/* All that is watched, at t on the solver's last step. */
static void watch_at(dpi_eq_bench *w, double t, double *v) {
  const dpi_solver *s = w->solver;
  const double *x = s->x_now;
  w->watch_credit--;
  if (t != s->t_now) {
    w->solver->some = w->spoke->watch.look;
    w->solver->nsome = w->spoke->watch.nlook;
    s->ops->dense(w->solver, t, w->xs, NULL);
    w->solver->nsome = 0;
    x = w->xs;
  }
  dpi_eq_eval(w, &w->spoke->watch.value, t, x, v);
}

/* Are all triggers and switches the same? */
static bool same_values(const dpi_eq_bench *w, const double *a, const double *b) {
  const int ne = w->spoke->nevent, n = ne + (w->chatter < CHATTER ? w->spoke->watch.nswitch : 0);
  for (int i = 0; i < ne; i++)
    if ((a[i] != 0) != (b[i] != 0)) return false;
  for (int i = ne; i < n; i++)
    if (a[i] != b[i]) return false;
  return true;
}

/* First root with another sign; one that begins at zero has left it. -1: none. */
static int changed_root(const dpi_eq_bench *w, const double *a, const double *b) {
  const dpi_eq_watch *k = &w->spoke->watch;
  const int first = w->spoke->nevent + k->nswitch;
  for (int r = 0; r < k->nroot; r++) {
    const int was = sign(a[first + r]);
    if (was != 0 && sign(b[first + r]) != was) return r;
  }
  return -1;
}

/* The root by which something changed from a to b: rather one that was not at zero before. */
static int responsible(const dpi_eq_bench *w, const double *a, const double *b) {
  const dpi_eq_watch *k = &w->spoke->watch;
  const int first = w->spoke->nevent + k->nswitch, r = changed_root(w, a, b);
  for (int i = 0; i < k->nroot && r < 0; i++)
    if (sign(a[first + i]) != sign(b[first + i])) return i;
  return r;
}

static bool differs(const dpi_eq_bench *w, const double *a, const double *b, bool roots) {
  return !same_values(w, a, b) || (roots && changed_root(w, a, b) >= 0);
}

/* a differs from b: the first number in (*lo, *hi] at which something differs from a, and the one before it;
 * v: there. */
static void narrow(dpi_eq_bench *w, const double *a, double *lo, double *hi, bool roots, double *v) {
  for (;;) {
    const double mid = *lo + 0.5 * (*hi - *lo);
    if (!(mid > *lo && mid < *hi)) break;
    watch_at(w, mid, v);
    if (differs(w, a, v, roots))
      *hi = mid;
    else
      *lo = mid;
  }
  watch_at(w, *hi, v);
}

/* First change of a value between the nodes a (values va) and b. va is used up, w->v[3] scratch. */
static bool between(dpi_eq_bench *w, double a, double *va, double b, const double *vb, double *when) {
  double *v = w->v[3];
  for (int turn = 0; turn <= TURNS; turn++) {
    const bool roots = turn < TURNS;
    if (!differs(w, va, vb, roots)) return false;
    double lo = a, hi = b;
    narrow(w, va, &lo, &hi, roots, v);
    if (!same_values(w, va, v)) {
      w->found_root = responsible(w, va, v);
      w->found_left = lo;
      *when = hi;
      return true;
    }
    if (!(hi < b)) return false;
    a = hi;
    memcpy(va, v, sizeof *va * (size_t)w->spoke->watch.nall);
  }
  return false;
}

/* ---- through zero and back ---- */

/* Does the parabola of root values g at t[0..2] turn back near zero, between t[0] and t[2]? */
static bool turns_near(const double *t, const double *g, int s) {
  const double d1 = (g[1] - g[0]) / (t[1] - t[0]), d2 = (g[2] - g[1]) / (t[2] - t[1]), c = (d2 - d1) / (t[2] - t[0]);
  if (!(s * c > 0)) return false;
  const double at = 0.5 * (t[0] + t[1]) - d1 / (2 * c);
  if (!(at > t[0] && at < t[2])) return false;
  const double low = g[0] + d1 * (at - t[0]) + c * (at - t[0]) * (at - t[1]);
  double least = s * g[1];
  if (g[0] != 0 && s * g[0] < least) least = s * g[0];
  if (s * g[2] < least) least = s * g[2];
  return s * low < NEAR * least;
}

/* Golden section for the extremum of root number r on [a, b]; v: what is watched there. True when it is at or beyond
 * zero. */
static bool extremum(dpi_eq_bench *w, int at, int s, double a, double b, double *t, double *v) {
  const double part = 0.3819660112501051;
  double p = a + part * (b - a), q = b - part * (b - a), gp, gq;
  watch_at(w, *t = p, v);
  if (s * (gp = v[at]) <= 0) return true;
  watch_at(w, *t = q, v);
  if (s * (gq = v[at]) <= 0) return true;
  for (int i = 0; i < SEARCH && p > a && q > p && b > q; i++) {
    const bool left = s * gp < s * gq;
    if (left) {
      b = q, q = p, gq = gp;
      p = a + part * (b - a);
    } else {
      a = p, p = q, gp = gq;
      q = b - part * (b - a);
    }
    watch_at(w, *t = left ? p : q, v);
    if (s * v[at] <= 0) return true;
    if (left)
      gp = v[at];
    else
      gq = v[at];
  }
  return false;
}

/* A pulse between three nodes at whose ends nothing differs. */
static bool pulse(dpi_eq_bench *w, const double t[3], double *when) {
  const int first = w->spoke->nevent + w->spoke->watch.nswitch;
  double *const *v = w->v;
  for (int r = first; r < w->spoke->watch.nall; r++) {
    const double g[3] = {v[0][r], v[1][r], v[2][r]};
    const int s = sign(g[1]);
    double at;
    if (s == 0 || sign(g[2]) != s || sign(g[0]) == -s || !turns_near(t, g, s)) continue;
    if (!extremum(w, r, s, t[0], t[2], &at, w->v[3])) continue;
    const size_t size = sizeof(double) * (size_t)w->spoke->watch.nall;
    memcpy(w->v[4], v[0], size);
    memcpy(w->v[5], w->v[3], size);
    if (between(w, t[0], w->v[4], at, w->v[5], when)) return true;
  }
  return false;
}

/* ---- a step ---- */

static double next_node(dpi_eq_bench *w, double t, double from, double to, double part) {
  const double origin = w->solver->t_prev;
  double next = t + part / NODES;
  if (w->spoke->whole) { /* one step spans the segment: nodes grow from its start, as far as it may still swing */
    const double span = to - origin, rate = dpi_eq_segment_rate(w);
    double h = (t - origin) / NODES;
    if (h * rate > SWING) h = fmax(SWING / rate, span / NODES_WHOLE);
    h = fmax(h, 1e-4 * span);
    next = t + (part < to - from ? fmin(h, part / NODES) : h);
  }
  if (!(next > t)) next = nextafter(t, INFINITY); /* around a mark every number counts */
  return next < to ? next : to;
}

/* Between the nodes of a step: places that no period divides. */
static const double place[3] = {0.23, 0.4871, 0.7613};

/* Roots may swing faster than the states do. Nodes at from and at three places are in w->v[0], w->v[1], w->v[2],
 * w->v[6]: does a parabola through three of them foretell the fourth, for every root that could reach zero there? */
static bool foretold(const dpi_eq_bench *w) {
  const int first = w->spoke->nevent + w->spoke->watch.nswitch;
  const double b = place[0], c = place[1], d = place[2];
  for (int r = first; r < w->spoke->watch.nall; r++) {
    const double g0 = w->v[0][r], g1 = w->v[1][r], g2 = w->v[2][r], g3 = w->v[6][r];
    const double low = fmin(fmin(g0, g1), fmin(g2, g3)), high = fmax(fmax(g0, g1), fmax(g2, g3)), spread = high - low;
    if (!(spread > 0) || low > 10 * spread || high < -10 * spread) continue;
    const double d1 = (g1 - g0) / b, d2 = (g2 - g1) / (c - b), k = (d2 - d1) / c;
    if (fabs(g0 + d1 * d + k * d * (d - b) - g3) > 0.25 * spread) return false;
  }
  return true;
}

/* Into how many parts the step is cut: until parabolas foretell some of them, at two sizes in a row, as long as the
 * credit lasts. */
static int parts(dpi_eq_bench *w, double from, double to) {
  int n = 1, agreed = 0;
  if (w->spoke->watch.nroot == 0) return 1;
  w->watch_credit += 64;
  for (; n < PARTS && w->watch_credit > 0; n *= 2) {
    bool good = true;
    for (int part = 0; part < n && good && part < SPEAKERS; part++) {
      const int at = n <= SPEAKERS ? part : part * (n / SPEAKERS);
      const double a = from + (to - from) / n * at, h = (to - from) / n;
      watch_at(w, a, w->v[0]);
      watch_at(w, a + place[0] * h, w->v[1]);
      watch_at(w, a + place[1] * h, w->v[2]);
      watch_at(w, a + place[2] * h, w->v[6]);
      good = foretold(w);
    }
    agreed = good ? agreed + 1 : 0;
    if (agreed == 2) break;
  }
  if (n == 2 && agreed == 2) return 1; /* at once: the nodes of the whole step will do */
  return n;
}

/* Most steps come nowhere near a change: at five places nothing differs, and every root is farther from zero than ten
 * times what it moves. */
static bool far_away(dpi_eq_bench *w, double from, double to) {
  const int first = w->spoke->nevent + w->spoke->watch.nswitch;
  double *const at[5] = {w->v[1], w->v[0], w->v[2], w->v[6], w->v[3]};
  if (w->spoke->whole || w->spoke->watch.nroot == 0) return false;
  for (int i = 4; i >= 0; i--) {
    watch_at(w, i == 0 ? from : (i == 4 ? to : from + place[i - 1] * (to - from)), at[i]);
    if (i < 4 && differs(w, at[i], at[4], true)) return false;
  }
  for (int r = first; r < w->spoke->watch.nall; r++) {
    double low = at[0][r], high = low;
    for (int i = 1; i < 5; i++) {
      low = at[i][r] < low ? at[i][r] : low;
      high = at[i][r] > high ? at[i][r] : high;
    }
    if (!(low > 10 * (high - low) || high < -10 * (high - low))) return false;
  }
  return true;
}

bool dpi_eq_watch_find(dpi_eq_bench *w, double from, double to, double *when) {
  if (far_away(w, from, to)) return false;
  const double part = (to - from) / parts(w, from, to);
  double t[3] = {NAN, from, from};
  watch_at(w, from, w->v[1]);
  while (t[1] < to) {
    t[2] = next_node(w, t[1], from, to, part);
    watch_at(w, t[2], w->v[2]);
    const bool quiet = !differs(w, w->v[1], w->v[2], true);
    if (quiet && t[0] < t[1] && pulse(w, t, when)) return true;
    if (!quiet) {
      memcpy(w->v[4], w->v[1], sizeof(double) * (size_t)w->spoke->watch.nall);
      if (between(w, t[1], w->v[4], t[2], w->v[2], when)) return true;
    }
    double *spare = w->v[0];
    w->v[0] = w->v[1];
    w->v[1] = w->v[2];
    w->v[2] = spare;
    t[0] = t[1];
    t[1] = t[2];
  }
  return false;
}

/* ---- derivatives ---- */

void dpi_eq_watch_left(dpi_eq_bench *w, double *f) {
  if (w->left) {
    memcpy(f, w->left, sizeof *f * (size_t)w->spoke->nstate);
    return;
  }
  w->solver->ops->dense(w->solver, w->found_left, w->xs, NULL);
  dpi_eq_rhs(w, w->found_left, w->xs, w->have_input ? w->u : NULL, f);
}

void dpi_eq_watch_cross(dpi_eq_bench *w, const double *f) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_member *m = w->m;
  const dpi_eq_map *map = &sp->watch.slope;
  const int n = sp->nstate, na = sp->nactive, nd = w->ndir, r = w->found_root;
  for (int q = 0; q < nd; q++) w->cause[q] = 0;
  if (nd == 0 || r < 0) return;
  const double *val = dpi_eq_eval(w, map, m->t, m->x, NULL);
  double speed = 0;
  for (int k = 0; k < map->nder; k++) {
    if (map->row[k] != r) continue;
    const double g = val[map->nvalue + k];
    const int c = map->col[k];
    if (c == n + na) {
      speed += g;
      continue;
    }
    if (c < n) speed += g * f[c];
    const double *row = c < n ? m->s + (size_t)c * nd : m->p + (size_t)(c - n) * nd;
    for (int q = 0; q < nd; q++) w->cause[q] -= g * row[q];
  }
  for (int q = 0; q < nd; q++) w->cause[q] = speed != 0 ? w->cause[q] / speed : 0;
  if (sp->watch.nswitch == 0) return;
  dpi_eq_rhs(w, m->t, m->x, w->have_input ? w->u : NULL, w->fb);
  for (int j = 0; j < n; j++)
    for (int q = 0; q < nd; q++) m->s[(size_t)j * nd + q] += (f[j] - w->fb[j]) * w->cause[q];
}

/* ---- what is known beforehand ---- */

static double slack(double t) { return 1.5 * DBL_EPSILON * fabs(t); }

/* The first mark behind t; infinite: none. */
static double next_mark(dpi_eq_bench *w, double t) {
  const dpi_eq_watch *k = &w->spoke->watch;
  double first = INFINITY;
  if (k->nmark == 0) return first;
  const double *v = dpi_eq_eval(w, &k->mark, t, w->m->x, NULL);
  for (int i = 0; i < k->nmark; i++) {
    const double a = v[2 * i], slope = v[2 * i + 1];
    double goal = 0;
    if (k->whole[i]) goal = slope > 0 ? floor(a) + 1 : ceil(a) - 1;
    const double at = t + (goal - a) / slope;
    if (isfinite(at) && at - slack(at) > t + slack(t) && at < first) first = at;
  }
  return first;
}

/* Does a value that time alone decides differ? */
static bool timed_differs(const dpi_eq_bench *w, const double *a, const double *b, int first, int end) {
  const int ne = w->spoke->nevent;
  for (int i = first; i < end; i++)
    if (w->spoke->watch.timed[i] && (i < ne ? (a[i] != 0) != (b[i] != 0) : a[i] != b[i])) return true;
  return false;
}

/* Timed values at lo are v[0], at hi others: the first number with others. */
static void due_between(dpi_eq_bench *w, double lo, double hi) {
  const dpi_eq_map *map = &w->spoke->watch.value;
  const int ne = w->spoke->nevent, n = ne + w->spoke->watch.nswitch;
  for (;;) {
    const double mid = lo + 0.5 * (hi - lo);
    if (!(mid > lo && mid < hi)) break;
    dpi_eq_eval(w, map, mid, w->m->x, w->v[1]);
    if (timed_differs(w, w->v[0], w->v[1], 0, n))
      hi = mid;
    else
      lo = mid;
  }
  dpi_eq_eval(w, map, lo, w->m->x, w->v[0]);
  dpi_eq_eval(w, map, hi, w->m->x, w->v[1]);
  w->due = hi;
  w->due_left = lo;
  w->due_root = responsible(w, w->v[0], w->v[1]);
  w->due_jump = timed_differs(w, w->v[0], w->v[1], ne, n);
}

/* The next change behind t of what time alone decides. Rounding may move it away from its mark by more than the slack:
 * so values are compared before and behind each mark, and far behind the last one. */
static void find_due(dpi_eq_bench *w, double t) {
  const dpi_eq_map *map = &w->spoke->watch.value;
  const int n = w->spoke->nevent + w->spoke->watch.nswitch;
  w->due = INFINITY;
  w->due_root = DPI_EQ_NO_CHANGE;
  w->due_jump = false;
  dpi_eq_eval(w, map, t, w->m->x, w->v[0]);
  for (int turn = 0; turn < MARKS; turn++) {
    const double mark = next_mark(w, t);
    const double at[2] = {mark - slack(mark), mark < INFINITY ? mark + slack(mark) : 2 * fabs(t) + 1};
    for (int i = mark < INFINITY ? 0 : 1; i < 2; i++) {
      if (!(at[i] > t)) continue;
      dpi_eq_eval(w, map, at[i], w->m->x, w->v[1]);
      if (timed_differs(w, w->v[0], w->v[1], 0, n)) {
        due_between(w, t, at[i]);
        return;
      }
      t = at[i];
    }
    if (!(mark < INFINITY)) return;
  }
  w->due = t;
}

bool dpi_eq_watch_due(dpi_eq_bench *w, double to, double *when) {
  if (!(w->due <= to) || w->due_root == DPI_EQ_NO_CHANGE) return false;
  w->found_root = w->due_root;
  w->found_left = w->due_left;
  *when = w->due;
  return true;
}

void dpi_eq_watch_marks(dpi_eq_bench *w, double t) {
  w->mark = w->spoke->watch.all_timed ? INFINITY : next_mark(w, t);
  if (w->spoke->watch.any_timed && !(w->due > t)) find_due(w, t);
}

double dpi_eq_watch_stop(dpi_eq_bench *w, double t, double target) {
  if (w->spoke->watch.any_timed) {
    if (!(w->due > t)) find_due(w, t);
    const double stop = w->due_jump && t < w->due_left ? w->due_left : w->due; /* no step ends in another rate */
    /* next to zero numbers lie closer than any step can be: a change that near is gone over, and found on the way */
    const double nothing = 1e-30 * (isfinite(target) ? target - t : 1);
    const double reach = stop > t && stop - t < nothing ? t + nothing : stop;
    if (stop > t && reach < target) target = reach;
  }
  if (w->spoke->watch.all_timed) return target;
  for (int turn = 0; turn < 100 && w->mark + slack(w->mark) <= t; turn++) dpi_eq_watch_marks(w, t);
  if (!(w->mark < INFINITY)) return target;
  const double before = w->mark - slack(w->mark), behind = w->mark + slack(w->mark);
  const double stop = t < before ? before : behind;
  return stop > t && stop < target ? stop : target;
}
