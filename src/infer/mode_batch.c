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

#define SCAN_AXIS 13 /* points of a scan along one axis, */
#define SCAN_STEP 0.5 /* prior standard deviations apart */
#define SCAN_STARTS 6
#define CORNER_NEAR 10.0 /* of l */

typedef enum stage { EMPTY, HUNT, SCAN, POLISH, DONE } stage;

typedef struct slot {
  stage stage;
  int person;
  dpi_arena arena;
  dpi_hunt hunt;
  bool more;     /* further starts were asked for already */
  int at;        /* point of the scan; mode that is polished */
  double *scan;  /* [SCAN_AXIS x dim] l there */
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
  s->scan = DPI_ARENA_ARRAY(&s->arena, double, SCAN_AXIS *n + 1);
  s->start = DPI_ARENA_ARRAY(&s->arena, double, SCAN_STARTS *n + 1);
  if (!s->scan || !s->start) return DP_ERR_MEMORY;
  DP_TRY(dpi_hunt_create(&s->arena, w->person[i]->iv, MOST_POLISHED, &s->hunt));
  dpi_hunt_begin(&s->hunt, &rough, NULL, w->def->nstart, starts_of(w, w->person[i]));
  return DP_OK;
}

/* ---- the scan ---- */

/* Point k of the scan into x: the best mode, but for one of the prior's axes. */
static void scan_point(const slot *s, int k, double *x) {
  const dpi_indiv *iv = s->hunt.search.iv;
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
  int n = s->hunt.search.n, total = SCAN_AXIS * s->hunt.search.iv->nfree, nstart = 0;
  while (nstart < SCAN_STARTS) {
    int best = -1;
    for (int k = 0; k < total; k++) {
      int i = k % SCAN_AXIS;
      bool valley = isfinite(s->scan[k]) && (i == 0 || s->scan[k] <= s->scan[k - 1]) &&
                    (i == SCAN_AXIS - 1 || s->scan[k] <= s->scan[k + 1]);
      if (valley && (best < 0 || s->scan[k] < s->scan[best])) best = k;
    }
    if (best < 0) break;
    scan_point(s, best, s->start + (size_t)nstart++ * (size_t)n);
    s->scan[best] = INFINITY;
  }
  return nstart;
}

/* ---- from stage to stage ---- */

static void polish_next(const work *w, slot *s) {
  dpi_hunt *h = &s->hunt;
  size_t n = (size_t)h->search.n, k = (size_t)++s->at;
  s->stage = s->at < h->nmode ? POLISH : DONE;
  if (s->stage == POLISH) dpi_search_begin(&h->search, &w->def->mode, h->x + k * n, h->s + k * n * n);
}

/* The hunt is over: further starts where several modes are, a scan where corners may be, then the last steps. */
static void after_hunt(const work *w, slot *s) {
  dpi_hunt *h = &s->hunt;
  s->at = -1;
  if (!s->more && h->nmode > 0 && h->search.iv->def.corners && h->search.iv->nfree > 0) {
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
  if (s->at < SCAN_AXIS * q->iv->nfree) {
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
  dpi_search_told(q, ok);
  if (q->open) return;
  h->mode[s->at] = q->mode;
  if (q->mode.ok) memcpy(h->x + (size_t)s->at * (size_t)q->n, q->x, sizeof(double) * (size_t)q->n);
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
  DP_TRY(dpi_people_predict(person, n, stage == POLISH ? w->kind->sim : w->kind->ensemble, stage != SCAN, ok));
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
