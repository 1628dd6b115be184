/* profile_walk.c - floor 6, inside infer/point: one side of one profile.
 *
 * From a point with J, slope s (exact, by the envelope theorem) and curvature c (what of the Fisher information is left
 * when the other parameters follow) the next one lies where J is expected to have risen by the step's share:
 *
 *     s h + c h^2 / 2 = rise
 *
 * The other parameters are predicted there along the tangent (from the Fisher information) or the secant of the last
 * two points, whichever was nearer the last time, and the trust region does the rest.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "infer/point/point_impl.h"
#include "infer/point/profile_impl.h"
#include "num/num.h"

#define MAX_HALVED 10
#define MAX_FAILED 30   /* in all */
#define MAX_ROOT 30
#define MAX_STUCK 4     /* steps of a prediction that lead nowhere */
#define FAR 1e6         /* units of scale: further than this is nowhere */
#define WORSE 0.5       /* of the threshold: a rise beyond what was expected that is looked at twice */
#define RIDGE 1e-12     /* of the diagonal: what a direction without information counts */
#define FALLS 0.01      /* of the threshold: J lower by that is another branch */
#define LEAP 3.0        /* further from where it was expected than this many steps of the others: another branch */

static double threshold_j(const dpi_walk *w) { return w->share->j + w->share->threshold; }

/* ---- slope, curvature, tangent ---- */

/* y = F^-1 rhs over the parameters that can move; the others 0. */
static void solve_free(const dpi_walk *w, const double *fisher, const signed char *at, const double *rhs, double *y) {
  const dpi_walk_share *sh = w->share;
  int n = sh->d->n, m = 0;
  double *a = sh->matrix, *b = sh->vec + 6 * n;
  bool *out = sh->fixed;
  for (int i = 0; i < n; i++) {
    out[i] = (sh->def->trust.fixed && sh->def->trust.fixed[i]) || i == w->index || (at && at[i]);
    m += !out[i];
  }
  for (int i = 0, k = 0; i < n; i++) {
    if (out[i]) continue;
    for (int j = 0, l = 0; j < n; j++) {
      if (out[j]) continue;
      /* in units of scale, so that the ridge means the same for each */
      a[(size_t)k * m + l] = sh->scale[i] * sh->scale[j] * fisher[(size_t)i * n + j];
      l++;
    }
    b[k++] = sh->scale[i] * rhs[i];
  }
  double top = 0;
  for (int k = 0; k < m; k++) top = fmax(top, a[(size_t)k * m + k]);
  bool fine = m > 0;
  for (int k = 0; k < m; k++) a[(size_t)k * m + k] += RIDGE * top + DBL_MIN;
  fine = fine && dpi_chol(a, m);
  if (fine) dpi_chol_solve(a, m, b);
  for (int i = 0, k = 0; i < n; i++) {
    y[i] = 0;
    if (out[i]) continue;
    y[i] = fine ? sh->scale[i] * b[k] : 0;
    k++;
  }
}

/* Tangent and curvature of the profile from the Fisher information at a point. */
static void tangent_of_parameter(dpi_walk *w, const double *fisher, const signed char *at) {
  int n = w->share->d->n, i = w->index;
  const double *row = fisher + (size_t)i * n;
  solve_free(w, fisher, at, row, w->tangent);
  w->curvature = row[i];
  for (int k = 0; k < n; k++) {
    w->tangent[k] = -w->tangent[k];
    if (k != i) w->curvature += row[k] * w->tangent[k];
  }
  w->tangent[i] = 1;
  w->curvature = fmax(w->curvature, 0);
}

/* The Fisher information holds the pull already: grad grad' / sigma^2. */
static void tangent_of_prediction(dpi_walk *w, const double *fisher, const signed char *at, const double *grad,
                                  double pull) {
  int n = w->share->d->n;
  double var = 0;
  solve_free(w, fisher, at, grad, w->tangent);
  for (int k = 0; k < n; k++) var += grad[k] * w->tangent[k];
  for (int k = 0; k < n; k++) w->tangent[k] = var > 0 ? w->tangent[k] / var : 0;
  w->curvature = var > 0 ? fmax(1 / var - pull, 0) : 0;
}

/* ---- asking ---- */

static void clamp(const dpi_walk *w, double *x) {
  const dpi_density *d = w->share->d;
  for (int i = 0; i < d->n; i++) x[i] = fmin(fmax(x[i], d->lower[i]), d->upper[i]);
}

static void hold_index(dpi_walk *w, const double *x) {
  const dpi_trust_def *def = &w->share->def->trust;
  bool *fixed = w->share->fixed;
  for (int i = 0; i < w->share->d->n; i++) fixed[i] = (def->fixed && def->fixed[i]) || i == w->index;
  dpi_trust_begin(w->t, x, fixed);
}

/* Search for the profile's point at w->at from x (changed). slope: expected there. */
static void search_from(dpi_walk *w, double *x, double slope) {
  if (w->prediction)
    w->z = w->at + w->sigma2 * slope;
  else
    x[w->index] = w->at;
  clamp(w, x);
  hold_index(w, x);
}

/* How strongly a prediction is pulled: ten times what holds it where the walk is, so that it goes where it is asked
 * to. What does not move (at first a parameter that the data press against its bound) is pulled a hundred times
 * harder. */
static void choose_pull(dpi_walk *w) {
  if (!w->prediction) return;
  w->sigma2 = w->unit * w->unit;
  if (w->curvature > 0) w->sigma2 = fmin(w->sigma2, 0.1 / w->curvature);
  for (int k = 0; k < w->stuck; k++) w->sigma2 *= 0.01;
}

/* How far the next point lies, by the rise wanted. */
static double choose_step(const dpi_walk *w) {
  if (w->stuck > 0) return w->step;
  double rise = w->share->def->step * w->share->threshold, s = w->direction * w->now.slope, c = w->curvature;
  double h = s + sqrt(s * s + 2 * c * rise) > 0 && (s > 0 || c > 0)
                 ? 2 * rise / (fmax(s, 0) + sqrt(s * s + 2 * c * rise))
                 : INFINITY;
  h = fmin(h, w->nstep > 0 ? 4 * w->step : w->unit);
  return fmin(h, w->largest);
}

static void predict(dpi_walk *w) {
  int n = w->share->d->n;
  double h = w->at - w->now.at, back = w->now.at - w->last_at;
  for (int i = 0; i < n; i++) {
    w->guess_tangent[i] = w->now.x[i] + h * w->tangent[i];
    w->guess_secant[i] = w->now.x[i] + (w->has_last && back != 0 ? h / back * (w->now.x[i] - w->last_x[i]) : 0);
  }
  clamp(w, w->guess_tangent);
  clamp(w, w->guess_secant);
}

/* The next point outward, w->step away or at the bound. */
static void ask_out(dpi_walk *w) {
  const dpi_density *d = w->share->d;
  double *x = w->share->vec;
  w->at = w->now.at + w->direction * w->step;
  choose_pull(w);
  if (!w->prediction) w->at = fmin(fmax(w->at, d->lower[w->index]), d->upper[w->index]);
  double h = w->at - w->now.at;
  w->expected = w->now.j + h * w->now.slope + 0.5 * w->curvature * h * h;
  predict(w);
  memcpy(x, w->use_secant ? w->guess_secant : w->guess_tangent, sizeof(double) * (size_t)d->n);
  w->phase = WALK_OUT;
  search_from(w, x, w->now.slope + w->curvature * h);
}

int dpi_walk_met(const dpi_walk_share *sh, int index, const double *x) {
  const dpi_density *d = sh->d;
  for (int i = 0; i < d->n; i++) {
    if (i == index || (sh->def->trust.fixed && sh->def->trust.fixed[i])) continue;
    if ((x[i] <= d->lower[i] || x[i] >= d->upper[i]) && x[i] != sh->x[i]) return i;
  }
  return -1;
}

static void finish(dpi_walk *w, dpi_profile_end end) {
  dpi_profile_side *s = w->side;
  w->phase = WALK_DONE;
  s->end = end;
  s->open = end != DPI_PROFILE_CROSSED && end != DPI_PROFILE_CONSTANT;
  if (s->open) s->limit = w->now.at;
  if (end == DPI_PROFILE_FLAT) s->limit = w->direction * INFINITY;
  s->met = dpi_walk_met(w->share, w->index, w->now.x);
}

static bool at_bound(const dpi_walk *w) {
  const dpi_density *d = w->share->d;
  if (w->prediction) return w->stuck >= MAX_STUCK;
  return w->direction > 0 ? w->now.at >= d->upper[w->index] : w->now.at <= d->lower[w->index];
}

static bool too_far(const dpi_walk *w) {
  return fabs(w->now.at - (w->side->npoint ? w->side->point[0].at : w->now.at)) > FAR * w->unit;
}

/* ---- the crossing ---- */

static dpi_profile_point *point_of(dpi_walk *w, int k, dpi_profile_point *optimum) {
  return k >= 0 ? &w->side->point[k] : optimum;
}

typedef struct cubic { double f0, f1, d0, d1, level; } cubic;
static double hermite(void *user, double u) {
  const cubic *c = user;
  double v = 1 - u;
  return v * v * (1 + 2 * u) * c->f0 + u * u * (1 + 2 * v) * c->f1 + u * v * v * c->d0 - u * u * v * c->d1 - c->level;
}

/* Where the cubic through both ends with their slopes crosses; share of the way from a to b. */
static double cross(const dpi_profile_point *a, const dpi_profile_point *b, double level, double *slope) {
  double h = b->at - a->at;
  cubic c = {a->j, b->j, a->slope * h, b->slope * h, level};
  double u = dpi_root(hermite, &c, 0, a->j - level, 1, b->j - level, 1e-10), e = 1e-4;
  double lo = fmax(u - e, 0), hi = fmin(u + e, 1);
  *slope = (hermite(&c, hi) - hermite(&c, lo)) / ((hi - lo) * h);
  return u;
}

static void optimum_point(dpi_walk *w, dpi_profile_point *o) {
  o->j = w->share->j;
  o->slope = w->prediction ? 0 : w->share->gradient[w->index];
  o->x = (double *)w->share->x;
  o->at = w->side->limit; /* kept there until the walk ends */
}

/* The threshold is crossed at `at`: the end, unless an alternative lies lower there. */
static void crossed(dpi_walk *w, double at, double slope) {
  const dpi_profile_def *def = w->share->def;
  size_t n = (size_t)w->share->d->n;
  double *x = w->share->vec;
  if (w->alternative >= def->nalternative || w->nchecked >= 3 * def->nalternative) {
    finish(w, DPI_PROFILE_CROSSED);
    w->side->limit = at;
    return;
  }
  memcpy(x, def->alternative + (size_t)w->alternative * n, sizeof(double) * n);
  w->alternative++;
  w->nchecked++;
  w->at = at;
  w->crossing = at;
  w->phase = WALK_CHECK;
  if (w->prediction) w->sigma2 *= 0.01; /* the other valley may hold it more strongly */
  search_from(w, x, slope);
}

/* The end of the interval from the bracket, and either the next question or the end. */
static void ask_root(dpi_walk *w) {
  dpi_profile_point optimum;
  optimum_point(w, &optimum);
  const dpi_profile_point *a = point_of(w, w->low, &optimum), *b = point_of(w, w->low + 1, &optimum);
  double level = threshold_j(w), slope, u = cross(a, b, level, &slope), tol = w->share->def->root_tol;
  double at = a->at + u * (b->at - a->at), width = fabs(b->at - a->at);
  bool near = fabs(a->j - level) <= tol || fabs(b->j - level) <= tol;
  if (near || w->nroot >= MAX_ROOT || width <= 1e-9 * fmax(fabs(at), w->unit)) {
    crossed(w, at, slope);
    return;
  }
  double *x = w->share->vec;
  u = fmin(fmax(u, 0.02), 0.98);
  w->at = a->at + u * (b->at - a->at);
  for (int i = 0; i < w->share->d->n; i++) x[i] = a->x[i] + u * (b->x[i] - a->x[i]);
  w->phase = WALK_ROOT;
  w->nroot++;
  search_from(w, x, slope);
}

static void ask_back(dpi_walk *w);

/* The walk is over: was the threshold crossed on the way? The last point below it is searched again from the one above,
 * before: each end is come to from both sides. */
static void conclude(dpi_walk *w, dpi_profile_end otherwise) {
  for (int k = 0; k < w->side->npoint; k++) {
    if (w->side->point[k].j < threshold_j(w)) continue;
    if (k > 0 && !w->from_outside) {
      w->from_outside = true;
      w->back = k - 1;
      ask_back(w);
      return;
    }
    w->low = k - 1;
    ask_root(w);
    return;
  }
  finish(w, otherwise);
}

/* ---- answers ---- */

static dp_status insert_point(dpi_walk *w, int place, const dpi_profile_point *p) {
  dpi_profile_side *s = w->side;
  size_t n = (size_t)w->share->d->n;
  if (s->npoint == w->cap) {
    int cap = w->cap ? 2 * w->cap : 16;
    dpi_profile_point *more = DPI_ARENA_ARRAY(w->share->arena, dpi_profile_point, cap);
    if (!more) return DP_ERR_MEMORY;
    if (s->npoint) memcpy(more, s->point, sizeof *more * (size_t)s->npoint);
    s->point = more;
    w->cap = cap;
  }
  memmove(s->point + place + 1, s->point + place, sizeof *s->point * (size_t)(s->npoint - place));
  s->point[place] = *p;
  s->point[place].x = DPI_ARENA_ARRAY(w->share->arena, double, n);
  if (!s->point[place].x) return DP_ERR_MEMORY;
  memcpy(s->point[place].x, p->x, sizeof(double) * n);
  s->npoint++;
  return DP_OK;
}

/* The search's result as a point of the profile; curvature and tangent there when wanted. */
static dp_status take_point(dpi_walk *w, const dpi_trust_result *r, dpi_profile_point *p, bool tangent, bool *ok) {
  int n = w->share->d->n;
  *p = (dpi_profile_point){w->at, r->j, 0, (double *)r->x};
  *ok = true;
  if (!w->prediction) {
    p->slope = r->gradient[w->index];
    if (tangent) tangent_of_parameter(w, r->fisher, r->at);
    return DP_OK;
  }
  double g, *grad = w->share->vec + 5 * n;
  DP_TRY(w->prediction->fn(w->prediction->user, 1, r->x, &g, grad, ok));
  if (!*ok) return DP_OK;
  p->at = g;
  p->slope = (w->z - g) / w->sigma2;
  p->j = r->j - 0.5 * (g - w->z) * (g - w->z) / w->sigma2;
  if (tangent) tangent_of_prediction(w, r->fisher, r->at, grad, 1 / w->sigma2);
  return DP_OK;
}

static double far_from(const dpi_walk *w, const double *guess, const double *x) {
  double sum = 0;
  for (int i = 0; i < w->share->d->n; i++) {
    double e = (guess[i] - x[i]) / w->share->scale[i];
    sum += e * e;
  }
  return sum;
}

static void move_to(dpi_walk *w, const dpi_profile_point *p) {
  size_t size = sizeof(double) * (size_t)w->share->d->n;
  w->use_secant = w->has_last && far_from(w, w->guess_secant, p->x) < far_from(w, w->guess_tangent, p->x);
  memcpy(w->last_x, w->now.x, size);
  w->last_at = w->now.at;
  w->has_last = true;
  double *x = w->now.x;
  memcpy(x, p->x, size);
  w->now = *p;
  w->now.x = x;
}

/* Onward from the point just accepted. */
static void onward(dpi_walk *w) {
  if (w->now.j >= w->share->j + (1 + w->share->def->margin) * w->share->threshold) {
    conclude(w, DPI_PROFILE_STEPS);
  } else if (at_bound(w)) {
    conclude(w, DPI_PROFILE_BOUND);
  } else if (too_far(w)) {
    conclude(w, DPI_PROFILE_FLAT);
  } else if (w->nstep >= w->share->def->max_step) {
    conclude(w, DPI_PROFILE_STEPS);
  } else {
    w->step = choose_step(w);
    ask_out(w);
  }
}

/* Earlier points are searched again from where the lower branch is. */
static void ask_back(dpi_walk *w) {
  const dpi_profile_point *p = &w->side->point[w->back];
  double *x = w->share->vec;
  memcpy(x, w->side->point[w->back + 1].x, sizeof(double) * (size_t)w->share->d->n);
  w->at = p->at;
  w->phase = WALK_BACK;
  choose_pull(w);
  if (w->prediction) w->sigma2 *= 0.01; /* it is to stand where the earlier point is */
  search_from(w, x, w->side->point[w->back + 1].slope);
}

/* Has the search left the branch it was on? J falls where it was rising, or the others are nowhere near where both
 * tangent and secant have them. */
static bool leapt(const dpi_walk *w, const dpi_profile_point *p) {
  if (w->side->npoint == 0 || !w->has_last) return false;
  if (p->j < w->now.j - FALLS * w->share->threshold && w->direction * w->now.slope > 0) return true;
  double far = fmin(far_from(w, w->guess_tangent, p->x), far_from(w, w->guess_secant, p->x));
  double usual = far_from(w, w->now.x, w->last_x) + far_from(w, w->now.x, w->guess_tangent);
  return far > LEAP * LEAP * usual && far > 1e-4;
}

static dp_status accept_out(dpi_walk *w, const dpi_trust_result *r) {
  dpi_profile_point p;
  bool ok, jump;
  DP_TRY(take_point(w, r, &p, true, &ok));
  double moved = w->direction * (p.at - w->now.at);
  w->stuck = w->prediction && !(moved > 1e-3 * w->step) ? w->stuck + 1 : 0;
  jump = leapt(w, &p);
  w->nstep++;
  w->halved = 0;
  move_to(w, &p);
  if (!w->prediction || moved > 0) {
    DP_TRY(insert_point(w, w->side->npoint, &p));
  } else {
    jump = false;
  }
  if (jump) {
    w->back = w->side->npoint - 2;
    ask_back(w);
  } else {
    onward(w);
  }
  return DP_OK;
}

/* No point there: nearer, or the end. */
static void nearer(dpi_walk *w, const dpi_trust_result *r) {
  dpi_point_reason(w->side->reason, r->reason[0] ? r->reason : dpi_trust_end_text(r->end));
  if (++w->halved > MAX_HALVED || ++w->nfailed > MAX_FAILED || w->step < 1e-4 * w->unit) {
    conclude(w, DPI_PROFILE_FAILED);
    return;
  }
  w->step *= 0.5;
  memset(w->tangent, 0, sizeof(double) * (size_t)w->share->d->n);
  w->use_secant = false;
  ask_out(w);
}

/* The same point once more, from the other prediction (or from where the others were). */
static void ask_retry(dpi_walk *w, const dpi_profile_point *p) {
  int n = w->share->d->n;
  double *x = w->share->vec, *kept = w->kept.x;
  memcpy(kept, p->x, sizeof(double) * (size_t)n);
  w->kept = *p;
  w->kept.x = kept;
  memcpy(x, w->use_secant ? w->guess_tangent : w->now.x, sizeof(double) * (size_t)n);
  w->phase = WALK_RETRY;
  search_from(w, x, w->now.slope);
}

static bool is_better(dpi_walk *w, const dpi_profile_point *p) {
  if (!(p->j < w->share->j - w->share->def->better)) return false;
  memcpy(w->better.x, p->x, sizeof(double) * (size_t)w->share->d->n);
  w->better.j = p->j;
  finish(w, DPI_PROFILE_BETTER);
  return true;
}

static dp_status ended_out(dpi_walk *w, const dpi_trust_result *r) {
  dpi_profile_point p;
  bool ok = isfinite(r->j);
  if (ok) DP_TRY(take_point(w, r, &p, false, &ok));
  if (w->phase == WALK_RETRY) {
    w->phase = WALK_OUT;
    if (!ok || p.j >= w->kept.j) { /* the first answer stands: it is searched again only to have its derivatives */
      memcpy(w->share->vec, w->kept.x, sizeof(double) * (size_t)w->share->d->n);
      w->has_kept = true;
      if (w->prediction) w->at = w->kept.at;
      search_from(w, w->share->vec, w->kept.slope);
      return DP_OK;
    }
  } else if (!ok) {
    nearer(w, r);
    return DP_OK;
  } else if (!w->has_kept && p.j > w->expected + WORSE * w->share->threshold) {
    if (!is_better(w, &p)) ask_retry(w, &p);
    return DP_OK;
  }
  w->has_kept = false;
  return is_better(w, &p) ? DP_OK : accept_out(w, r);
}

/* p takes the place of an earlier point that lies higher. A prediction is not held: where p is no longer between the
 * neighbours, the earlier point is left out. */
static void replace(dpi_walk *w, const dpi_profile_point *p, int place) {
  dpi_profile_side *s = w->side;
  dpi_profile_point *old = &s->point[place];
  bool after = place == 0 || w->direction * (p->at - s->point[place - 1].at) > 0;
  bool before = place + 1 == s->npoint || w->direction * (s->point[place + 1].at - p->at) > 0;
  s->jumped = true;
  if (after && before) {
    double *x = old->x;
    memcpy(x, p->x, sizeof(double) * (size_t)w->share->d->n);
    *old = *p;
    old->x = x;
  } else {
    s->npoint--;
    memmove(old, old + 1, sizeof *old * (size_t)(s->npoint - place));
  }
}

static dp_status ended_back(dpi_walk *w, const dpi_trust_result *r) {
  dpi_profile_point p, *old = &w->side->point[w->back];
  bool ok = isfinite(r->j);
  if (ok) DP_TRY(take_point(w, r, &p, false, &ok));
  if (ok && is_better(w, &p)) return DP_OK;
  if (ok && p.j < old->j + old->slope * (p.at - old->at) - FALLS * w->share->threshold) {
    replace(w, &p, w->back);
    if (--w->back >= 0) {
      ask_back(w);
      return DP_OK;
    }
  }
  onward(w);
  return DP_OK;
}

static dp_status ended_root(dpi_walk *w, const dpi_trust_result *r) {
  dpi_profile_point p, optimum;
  bool ok = isfinite(r->j);
  if (ok) DP_TRY(take_point(w, r, &p, false, &ok));
  if (ok && is_better(w, &p)) return DP_OK;
  optimum_point(w, &optimum);
  const dpi_profile_point *a = point_of(w, w->low, &optimum), *b = &w->side->point[w->low + 1];
  bool between = ok && (p.at - a->at) * w->direction > 0 && (b->at - p.at) * w->direction > 0;
  if (!between) { /* no better than what is known */
    double slope, u = cross(a, b, threshold_j(w), &slope);
    crossed(w, a->at + u * (b->at - a->at), slope);
    return DP_OK;
  }
  DP_TRY(insert_point(w, w->low + 1, &p));
  if (p.j < threshold_j(w)) w->low++;
  ask_root(w);
  return DP_OK;
}

/* From the alternative: lower here, then the walk goes on from there, and earlier points are looked at again. */
static dp_status ended_check(dpi_walk *w, const dpi_trust_result *r) {
  dpi_profile_point p;
  dpi_profile_side *s = w->side;
  bool ok = isfinite(r->j);
  double slope = w->now.slope;
  if (ok) DP_TRY(take_point(w, r, &p, true, &ok));
  if (ok && is_better(w, &p)) return DP_OK;
  ok = ok && p.j < threshold_j(w) - 0.01 * w->share->threshold && w->direction * (p.at - w->crossing) > -1e-6 * w->unit;
  if (!ok) {
    crossed(w, w->crossing, slope);
    return DP_OK;
  }
  while (s->npoint > 0 && w->direction * (s->point[s->npoint - 1].at - p.at) >= 0) s->npoint--;
  move_to(w, &p);
  w->has_last = w->use_secant = false;
  w->alternative = 0;
  s->jumped = true;
  DP_TRY(insert_point(w, s->npoint, &p));
  w->back = s->npoint - 2;
  if (w->back >= 0)
    ask_back(w);
  else
    onward(w);
  return DP_OK;
}

dp_status dpi_walk_ended(dpi_walk *w, bool *done) {
  const dpi_trust_result *r = dpi_trust_result_of(w->t);
  dp_status status = DP_OK;
  switch (w->phase) {
    case WALK_OUT:
    case WALK_RETRY: status = ended_out(w, r); break;
    case WALK_BACK: status = ended_back(w, r); break;
    case WALK_ROOT: status = ended_root(w, r); break;
    case WALK_CHECK: status = ended_check(w, r); break;
    case WALK_DONE: break;
  }
  *done = w->phase == WALK_DONE;
  return status;
}

void dpi_walk_pull(const dpi_walk *w, dpi_density_value *v, unsigned what, double g, const double *grad, bool ok) {
  int n = w->share->d->n;
  if (!v->ok) return;
  if (!ok || !isfinite(g)) {
    v->ok = false;
    dpi_point_reason(v->reason, "the prediction could not be evaluated");
    return;
  }
  double e = (g - w->z) / w->sigma2;
  v->loglik -= 0.5 * e * (g - w->z);
  for (int i = 0; (what & DPI_DENSITY_GRADIENT) && i < n; i++) v->gradient[i] -= e * grad[i];
  for (int i = 0; (what & DPI_DENSITY_FISHER) && i < n; i++) {
    for (int j = 0; j < n; j++) v->fisher[(size_t)i * n + j] += grad[i] * grad[j] / w->sigma2;
  }
}

/* ---- the first step ---- */

/* A prediction without a slope at the optimum: it depends on nothing that is estimated, or is extreme there. */
static dp_status no_slope(dpi_walk *w, double g) {
  const dpi_walk_share *sh = w->share;
  int n = sh->d->n;
  double *x = sh->vec, *grad = sh->vec + 5 * n, there;
  bool same = true, ok;
  for (int side = -1; side <= 1; side += 2) {
    for (int i = 0; i < n; i++) {
      bool held = sh->def->trust.fixed && sh->def->trust.fixed[i];
      x[i] = sh->x[i] + (held ? 0 : side * sh->scale[i] * 0.01 * (1 + i));
    }
    clamp(w, x);
    DP_TRY(w->prediction->fn(w->prediction->user, 1, x, &there, grad, &ok));
    same = same && ok && there == g;
    for (int i = 0; same && i < n; i++) same = grad[i] == 0;
  }
  finish(w, same ? DPI_PROFILE_CONSTANT : DPI_PROFILE_FAILED);
  if (same) w->side->limit = g;
  if (!same) dpi_point_reason(w->side->reason, "it has no slope at the optimum: it is extreme there");
  return DP_OK;
}

static dp_status begin_prediction(dpi_walk *w, dpi_profile *p) {
  const dpi_walk_share *sh = w->share;
  int n = sh->d->n;
  double g, *grad = sh->vec + 5 * n, reach = 0;
  bool ok;
  DP_TRY(w->prediction->fn(w->prediction->user, 1, sh->x, &g, grad, &ok));
  if (!ok)
    return dpi_fail(sh->d->ctx, DP_ERR_NUMERIC, "prediction '%s': can't be evaluated at the optimum",
                    w->prediction->name);
  for (int i = 0; i < n; i++) {
    if (!(sh->def->trust.fixed && sh->def->trust.fixed[i])) reach += fabs(grad[i]) * sh->scale[i];
  }
  tangent_of_prediction(w, sh->fisher, sh->at, grad, 0);
  w->unit = reach;
  w->largest = FAR * reach;
  choose_pull(w);
  p->at = g;
  w->index = -1;
  return DP_OK;
}

dp_status dpi_walk_begin(dpi_walk *w, const dpi_walk_share *share, dpi_profile *p, int side,
                         const dpi_profiled *prediction, dpi_trust *t) {
  size_t n = (size_t)share->d->n;
  double *m = DPI_ARENA_ARRAY(share->arena, double, 7 * n + 1);
  *w = (dpi_walk){.share = share, .side = &p->side[side], .prediction = prediction, .index = p->index,
                  .direction = side ? 1 : -1, .t = t};
  *w->side = (dpi_profile_side){.met = -1};
  if (!m) return DP_ERR_MEMORY;
  double **vec[] = {&w->now.x, &w->tangent, &w->last_x, &w->guess_tangent, &w->guess_secant, &w->kept.x, &w->better.x};
  for (int k = 0; k < DPI_COUNT(vec); k++) *vec[k] = m + (size_t)k * n;
  memcpy(w->now.x, share->x, sizeof(double) * n);
  w->now.j = share->j;
  if (prediction) {
    DP_TRY(begin_prediction(w, p));
  } else {
    double width = share->d->upper[p->index] - share->d->lower[p->index];
    w->unit = share->scale[p->index];
    w->largest = isfinite(width) ? width / 10 : FAR * w->unit;
    p->at = share->x[p->index];
    w->now.slope = share->gradient[p->index];
    tangent_of_parameter(w, share->fisher, share->at);
  }
  w->now.at = w->side->limit = p->at;
  if (prediction && !(w->unit > 0)) {
    DP_TRY(no_slope(w, p->at));
  } else if (!(w->unit > 0)) {
    finish(w, DPI_PROFILE_FLAT);
  } else if (at_bound(w)) {
    finish(w, DPI_PROFILE_BOUND);
  } else {
    w->step = choose_step(w);
    ask_out(w);
  }
  return DP_OK;
}
