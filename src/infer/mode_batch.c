/* mode_batch.c - the modes of many people at once.
 *
 * A worker has people of its own and SLOTS of them in work. In each round everybody in a slot asks for the model at one point
 * (mode_search.h); those points are the members of one batch behind the waist, which takes them in lanes and by machine code
 * where the kind allows. A person whose search has ended makes room for the next.
 *
 *     hunt      all starts, by the kind's sim for ensembles, to a part of a posterior standard deviation
 *     scan      where doses may meet observations: the best mode moved along each axis, valleys are further starts
 *     polish    each mode found, by the kind's own sim, to the tolerance asked for: few steps, as curvature is known
 *     corner    a mode that does not converge lies on a corner of l: that person alone, one by one
 *
 * What a person's search does depends on that person alone, so neither workers nor slots change a byte.
 */
#include <math.h>
#include <string.h>

#include "infer/mode_search.h"

#define SLOTS 64
#define SHARE 512           /* people of one piece of work */
#define ROUGH_DECREMENT 1e-3 /* where the hunt ends: posterior standard deviations */
#define ROUGH_NOISE 1e-6     /* of l by the sim for ensembles, relative */
#define MOST_POLISHED 4
#define POLISH_NEAR 0.1 /* of l: what the hunt left higher above the best mode will not be it */

#define SCAN_AXIS 13 /* points of a scan along one axis, */
#define SCAN_STEP 0.5 /* prior standard deviations apart */
#define SCAN_STARTS 6
#define CORNER_NEAR 10.0 /* of l */

/* Where the corners' places are known (edges), the cells between them take the scan's place. */
#define MOST_CELLS 12
#define CELL_POINTS 4
#define CELL_REACH 3.5   /* prior standard deviations */
#define EDGE_NEAR 0.02   /* what ended so near an edge is looked for on it; prior standard deviations */
#define EDGE_ASIDE 1e-9  /* of x, to be on one side of it */
#define EDGE_JUMP 1e-6   /* of l across it, relative: what counts as none */

typedef enum stage { EMPTY, HUNT, SCAN, POLISH, EDGE, DONE } stage;

typedef struct cell { /* without a mode yet: between two edges */
  int axis;
  double low, high;
} cell;

typedef struct slot {
  stage stage;
  int person;
  dpi_arena arena;
  dpi_hunt hunt;
  bool more;     /* further starts were asked for already */
  int at;        /* point of the scan; mode that is polished */
  cell cell[MOST_CELLS];
  int ncell;     /* 0: the scan goes along axes */
  int edge;      /* that is searched along, -1 none */
  double *scan;  /* [SCAN_AXIS x dim, at least MOST_CELLS x CELL_POINTS] l there */
  double *start; /* [SCAN_STARTS x dim] */
} slot;

typedef struct work {
  dp_ctx *ctx;
  const dp_kind *kind;
  dpi_person *const *person;
  int n;
  const dpi_modes_def *def;
  dpi_modes *out;
} work;

static dpi_rng starts_of(const work *w, const dpi_person *p) {
  return dpi_rng_make(w->def->seed, p->c->stream, DPI_RNG_START);
}

static dp_status take(const work *w, slot *s, int i) {
  dpi_mode_def rough = w->def->mode;
  rough.tolerance = fmax(ROUGH_DECREMENT, rough.tolerance);
  rough.noise = fmax(ROUGH_NOISE, rough.noise);
  s->person = i;
  s->stage = HUNT;
  s->more = false;
  dpi_arena_init(&s->arena, w->ctx);
  size_t n = (size_t)w->person[i]->iv->dim;
  s->scan = DPI_ARENA_ARRAY(&s->arena, double, SCAN_AXIS *n + MOST_CELLS * CELL_POINTS);
  s->ncell = 0;
  s->edge = -1;
  s->start = DPI_ARENA_ARRAY(&s->arena, double, SCAN_STARTS *n + 1);
  if (!s->scan || !s->start) return DP_ERR_MEMORY;
  DP_TRY(dpi_hunt_create(&s->arena, w->person[i]->iv, MOST_POLISHED, &s->hunt));
  s->hunt.best_only = true;
  dpi_hunt_begin(&s->hunt, &rough, NULL, w->def->nstart, starts_of(w, w->person[i]));
  return DP_OK;
}

/* ---- the scan ---- */

/* Does any mode found lie between two places of an axis? */
static bool has_mode(const dpi_hunt *h, const cell *c) {
  for (int k = 0; k < h->nmode; k++) {
    double x = h->x[(size_t)k * (size_t)h->search.n + (size_t)c->axis];
    if (h->mode[k].converged && x > c->low && x < c->high) return true;
  }
  return false;
}

/* The cells in which no mode is known, those nearest to the best mode where there are many. */
static void find_cells(slot *s) {
  const dpi_hunt *h = &s->hunt;
  double away[MOST_CELLS];
  s->ncell = 0;
  for (int k = 0; k <= h->nedge && h->nedge > 0; k++) {
    /* an edge closes the cell below it; the last one of its axis also opens the one above */
    bool first = k == 0 || (k < h->nedge && h->edge[k].axis != h->edge[k - 1].axis), last = k > 0 && (first || k == h->nedge);
    for (int side = 0; side < 2; side++) {
      if (side == 0 ? !last : k == h->nedge) continue;
      int axis = h->edge[side == 0 ? k - 1 : k].axis;
      double reach = CELL_REACH * dpi_hunt_sd(h, axis), x = h->x[axis];
      cell c = {axis, side == 0 ? h->edge[k - 1].at : first ? -reach : h->edge[k - 1].at, side == 0 ? reach : h->edge[k].at};
      c.low = fmax(c.low, -reach);
      c.high = fmin(c.high, reach);
      if (!(c.low < c.high) || has_mode(h, &c)) continue;
      double d = fmax(fmax(c.low - x, x - c.high), 0) / reach;
      int at = s->ncell < MOST_CELLS ? s->ncell++ : MOST_CELLS;
      for (; at > 0 && d < away[at - 1]; at--)
        if (at < MOST_CELLS) {
          away[at] = away[at - 1];
          s->cell[at] = s->cell[at - 1];
        }
      if (at == MOST_CELLS) continue;
      away[at] = d;
      s->cell[at] = c;
    }
  }
}

static int scan_size(const slot *s) {
  return s->ncell > 0 ? s->ncell * CELL_POINTS : SCAN_AXIS * s->hunt.search.iv->nfree;
}

/* Point k of the scan into x: the best mode, but for one of the prior's axes, or moved into a cell. */
static void scan_point(const slot *s, int k, double *x) {
  const dpi_indiv *iv = s->hunt.search.iv;
  if (s->ncell > 0) {
    const cell *c = &s->cell[k / CELL_POINTS];
    static const double place[CELL_POINTS] = {0.03, 0.3, 0.7, 0.97}; /* modes like to lie beside edges */
    double part = place[k % CELL_POINTS];
    dpi_hunt_shift(&s->hunt, s->hunt.x, c->axis, c->low + part * (c->high - c->low), x);
    return;
  }
  int m = iv->nfree, axis = k / SCAN_AXIS;
  double u[65];
  memcpy(u, s->hunt.x, sizeof(double) * (size_t)iv->dim);
  dpi_tri_solve_lower(iv->chol, m, u);
  u[axis] = SCAN_STEP * (k % SCAN_AXIS - SCAN_AXIS / 2);
  for (int a = 0; a < m; a++) {
    x[a] = 0;
    for (int b = 0; b <= a; b++) x[a] += iv->chol[a * m + b] * u[b];
  }
  if (iv->dim > m) x[m] = u[m];
}

/* Valleys of the scan, deepest first, become starts; returns how many. */
static int scan_starts(slot *s) {
  int n = s->hunt.search.n, total = scan_size(s), row = s->ncell > 0 ? CELL_POINTS : SCAN_AXIS, nstart = 0;
  while (nstart < SCAN_STARTS) {
    int best = -1;
    for (int k = 0; k < total; k++) {
      int i = k % row;
      bool valley = isfinite(s->scan[k]) && (i == 0 || s->scan[k] <= s->scan[k - 1]) &&
                    (i == row - 1 || s->scan[k] <= s->scan[k + 1]);
      if (valley && (best < 0 || s->scan[k] < s->scan[best])) best = k;
    }
    if (best < 0) break;
    scan_point(s, best, s->start + (size_t)nstart++ * (size_t)n);
    s->scan[best] = INFINITY;
  }
  return nstart;
}

/* ---- from stage to stage ---- */

static void polished(slot *s) {
  dpi_hunt *h = &s->hunt;
  dpi_search *q = &h->search;
  h->mode[s->at] = q->mode;
  if (q->mode.ok) memcpy(h->x + (size_t)s->at * (size_t)q->n, q->x, sizeof(double) * (size_t)q->n);
}

/* Do the way and the last steps go by the same numbers? */
static bool one_sim(const dp_kind *k) {
  return k->sim == k->ensemble ||
         (dp_sim_describe(k->sim)->caps & dp_sim_describe(k->ensemble)->caps & DP_CAP_EXACT) != 0;
}

/* Mode `at` in the ordinary way; false: nothing was left to do. */
static bool polish_one(const work *w, slot *s) {
  dpi_hunt *h = &s->hunt;
  size_t n = (size_t)h->search.n, k = (size_t)s->at;
  double *x = h->x + k * n, *remainder = h->s + k * n * n;
  if (!one_sim(w->kind)) {
    dpi_search_begin(&h->search, &w->def->mode, x, remainder);
    return true;
  }
  dpi_search_resume(&h->search, &w->def->mode, x, h->mode[k].l, h->g + k * n, h->b + k * n * n, remainder);
  if (!h->search.open) polished(s);
  return h->search.open;
}

static void polish_next(const work *w, slot *s) {
  dpi_hunt *h = &s->hunt;
  double *x = NULL;
  s->stage = POLISH;
  s->edge = -1;
  for (s->at++; s->at < h->nmode; s->at++) {
    x = h->x + (size_t)s->at * (size_t)h->search.n;
    if (!h->mode[s->at].converged && (s->edge = dpi_hunt_edge(h, x, EDGE_NEAR)) >= 0) break;
    if (h->mode[s->at].converged && h->mode[s->at].l > h->mode[0].l + POLISH_NEAR) continue;
    if (polish_one(w, s)) return;
  }
  if (s->at >= h->nmode) {
    s->stage = DONE;
    return;
  }
  /* along the edge, a little below it */
  const dpi_edge *e = &h->edge[s->edge];
  double xt[65];
  dpi_hunt_shift(h, x, e->axis, e->at - EDGE_ASIDE, xt);
  dpi_search_along(&h->search, &w->def->mode, xt, e->axis);
}

/* The search along an edge is over: does l fall towards the edge from below? Then the other side is looked at. */
static void along_edge(const work *w, slot *s) {
  dpi_hunt *h = &s->hunt;
  dpi_search *q = &h->search;
  const dpi_edge *e = &h->edge[s->edge];
  if (!q->mode.ok || !q->mode.converged || dpi_search_across(q, e->axis) > 0) {
    polish_next(w, s); /* not converged: values decide */
    return;
  }
  s->stage = EDGE;
  q->mode.kink = true;
  memcpy(q->xt, q->x, sizeof(double) * (size_t)q->n);
  q->xt[e->axis] = e->at + EDGE_ASIDE;
}

/* Above an edge: l rises away from it, or stands higher. Then the point is a mode. */
static void above_edge(const work *w, slot *s, bool ok) {
  dpi_hunt *h = &s->hunt;
  dpi_search *q = &h->search;
  const dpi_edge *e = &h->edge[s->edge];
  double jump = EDGE_JUMP * (1 + fabs(q->l)), slope = 0;
  for (int a = 0; ok && a < q->n; a++) {
    double cov = 0;
    for (int c = 0; c <= a && c <= e->axis && a < q->iv->nfree; c++)
      cov += q->iv->chol[a * q->iv->nfree + c] * q->iv->chol[e->axis * q->iv->nfree + c];
    slope += q->pt.g[a] * cov;
  }
  bool mode = !ok || q->pt.l > q->l + jump || (q->pt.l > q->l - jump && slope >= 0);
  if (mode) {
    h->mode[s->at] = q->mode;
    memcpy(h->x + (size_t)s->at * (size_t)q->n, q->x, sizeof(double) * (size_t)q->n);
  }
  polish_next(w, s);
}

/* The hunt is over: further starts where several modes are, a scan where corners may be, then the last steps. */
static void after_hunt(const work *w, slot *s) {
  dpi_hunt *h = &s->hunt;
  s->at = -1;
  if (!s->more && h->nmode > 0) find_cells(s);
  if (!s->more && h->nmode > 0 && (h->search.iv->def.corners || s->ncell > 0) && h->search.iv->nfree > 0) {
    s->more = true;
    s->stage = SCAN;
    s->at = 0;
    scan_point(s, 0, h->search.xt);
    return;
  }
  if (!s->more && h->nmode > 1 && w->def->nstart_more > w->def->nstart) {
    s->more = true;
    dpi_hunt_more(h, w->def->nstart_more);
    if (h->open) return;
  }
  polish_next(w, s);
}

static void scan_told(const work *w, slot *s, bool ok) {
  dpi_search *q = &s->hunt.search;
  s->scan[s->at++] = ok ? q->pt.l : INFINITY;
  if (s->at < scan_size(s)) {
    scan_point(s, s->at, q->xt);
    return;
  }
  s->stage = HUNT;
  dpi_hunt_from(&s->hunt, s->start, scan_starts(s));
  if (!s->hunt.open) after_hunt(w, s);
}

/* The model has been evaluated at the point that was wanted, or can't be. */
static void told(const work *w, slot *s, bool ok) {
  dpi_hunt *h = &s->hunt;
  dpi_search *q = &h->search;
  if (s->stage == SCAN) {
    scan_told(w, s, ok);
    return;
  }
  if (s->stage == HUNT) {
    dpi_hunt_told(h, ok);
    if (!h->open) after_hunt(w, s);
    return;
  }
  if (s->stage == EDGE) {
    above_edge(w, s, ok);
    return;
  }
  dpi_search_told(q, ok);
  if (q->open) return;
  if (s->edge >= 0) {
    along_edge(w, s);
    return;
  }
  polished(s);
  polish_next(w, s);
}

static int best_of(const dpi_hunt *h) {
  int best = 0;
  for (int k = 1; k < h->nmode; k++)
    if (h->mode[k].l < h->mode[best].l) best = k;
  return best;
}

static dp_status finish(const work *w, slot *s) {
  dpi_hunt *h = &s->hunt;
  dpi_modes *o = &w->out[s->person];
  size_t n = (size_t)h->search.n;
  int best = best_of(h);
  dp_status st = DP_OK;
  if (h->nmode > 0 && !h->mode[best].converged) {
    h->def = w->def->mode;
    dpi_hunt_first(h, best);
    st = dpi_hunt_corner(h);
    best = best_of(h);
  }
  /* what stalled on another corner may lie lower once it is polished */
  for (int k = 0; k < h->nmode && st == DP_OK; k++)
    if (!h->mode[k].converged && !h->mode[k].kink && h->mode[k].l < h->mode[best].l + CORNER_NEAR)
      st = dpi_mode_kink(h->search.iv, h->x + (size_t)k * n, &h->mode[k]);
  best = best_of(h);
  o->nmode = h->nmode;
  if (h->nmode > 0) {
    o->mode = h->mode[best];
    memcpy(o->x, h->x + (size_t)best * n, n * sizeof(double));
  }
  s->stage = EMPTY;
  dpi_arena_release(&s->arena);
  return st;
}

static bool finite_point(const slot *s) {
  bool fine = true;
  for (int a = 0; a < s->hunt.search.n; a++) fine = fine && isfinite(s->hunt.search.xt[a]);
  return fine;
}

/* Everybody of one stage and one number of directions, `first` and what follows it, in one batch; had[k]: this round is over for them. */
static dp_status evaluate_like(const work *w, slot *slots, int first, bool *had) {
  dpi_person *person[SLOTS];
  slot *who[SLOTS];
  uint8_t ok[SLOTS];
  int n = 0, neta = w->person[slots[first].person]->c->neta;
  stage stage = slots[first].stage;
  for (int k = first; k < SLOTS; k++) {
    slot *s = &slots[k];
    if (had[k] || s->stage != stage || w->person[s->person]->c->neta != neta) continue;
    had[k] = true;
    if (!finite_point(s)) {
      told(w, s, false);
      continue;
    }
    who[n] = s;
    person[n++] = w->person[s->person];
    dpi_indiv_eta(w->person[s->person]->iv, s->hunt.search.xt, w->person[s->person]->iv->eta);
  }
  DP_TRY(dpi_people_predict(person, n, stage == POLISH || stage == EDGE ? w->kind->sim : w->kind->ensemble, stage != SCAN, ok));
  for (int k = 0; k < n; k++) {
    dpi_search *q = &who[k]->hunt.search;
    dpi_indiv *iv = person[k]->iv;
    if (ok[k])
      ok[k] = stage == SCAN ? dpi_indiv_value(iv, q->xt, &iv->pred, &q->pt.l) : dpi_indiv_point(iv, q->xt, &q->pt);
    told(w, who[k], ok[k]);
  }
  return DP_OK;
}

static dp_status round_of(const work *w, slot *slots) {
  bool had[SLOTS] = {false};
  for (int k = 0; k < SLOTS; k++)
    if (!had[k] && slots[k].stage != EMPTY) DP_TRY(evaluate_like(w, slots, k, had));
  for (int k = 0; k < SLOTS; k++)
    if (slots[k].stage == DONE) DP_TRY(finish(w, &slots[k]));
  return DP_OK;
}

/* dpi_work_fn: one worker's people */
static dp_status share(void *user, int i, int worker) {
  const work *w = user;
  (void)worker;
  int next = i * SHARE, end = next + SHARE < w->n ? next + SHARE : w->n;
  slot *slots = DPI_NEW_ARRAY(w->ctx, slot, SLOTS);
  if (!slots) return DP_ERR_MEMORY;
  memset(slots, 0, sizeof *slots * SLOTS);
  dp_status st = DP_OK;
  for (bool any = true; any && st == DP_OK;) {
    any = false;
    for (int k = 0; k < SLOTS && st == DP_OK; k++) {
      if (slots[k].stage == EMPTY && next < end) st = take(w, &slots[k], next++);
      any = any || slots[k].stage != EMPTY;
    }
    if (any && st == DP_OK) st = round_of(w, slots);
  }
  for (int k = 0; k < SLOTS; k++)
    if (slots[k].stage != EMPTY) dpi_arena_release(&slots[k].arena);
  dpi_free(w->ctx, slots);
  return st;
}

dp_status dpi_modes_find(const dp_kind *kind, dpi_person *const *person, int n, const dpi_modes_def *def,
                         dpi_modes *out) {
  work w = {.ctx = kind->ctx, .kind = kind, .person = person, .n = n, .def = def, .out = out};
  return dpi_parallel_for(kind->ctx, (n + SHARE - 1) / SHARE, share, &w);
}
