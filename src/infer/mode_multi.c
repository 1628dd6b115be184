/* mode_multi.c - several starts of one person's mode search: a hunt.
 *
 * The first search goes to its end. Each later one is dropped as soon as a mode known already draws it in; what gets half way
 * without that, and has not arrived at a known mode there either, goes to its end too. A second mode asks for more starts. Modes are kept best first.
 *
 *     start k --> rough search --> drawn in, or a known basin? --> next start
 *                                               else full search --> list of modes --> next start
 *
 * Where values are cheap beside derivatives (dpi_indiv_def.many), and l has no corners, starts are the best of several
 * draws by value, and rough searches, the first one's too, go by differences of cheap values.
 */
#include <math.h>
#include <string.h>

#include "infer/mode_search.h"

#define KINK_STARTS 8 /* further starts when the best mode lies on a corner */
#define MORE_STARTS 7 /* and when there is more than one */
#define OTHER 20.0      /* of l: another mode no higher than this above the best asks for more starts */
#define HOPELESS 1.0    /* of l: not the best is what stays so much higher after falling twice as far as its quadratic says */
#define SCREENED 32     /* draws of the prior of which the best is a start, where values are cheap */
#define CHEAP_NOISE 1e-6 /* of cheap values of l, relative */
#define CHEAP_FINE 1e-4  /* posterior standard deviations: what is asked of modes that are not the best */
#define REACH 5.0       /* prior standard deviations within which edges count */
#define EDGE_RADIUS 1e-3 /* a search whose steps get this short... */
#define EDGE_NEAR 0.02   /* ...this near an edge has come to lie on it; prior standard deviations */

/* Distance of two points in prior standard deviations. */
static double prior_distance(const dpi_indiv *iv, const double *x, const double *y) {
  int m = iv->nfree;
  double d[64], s = 0;
  for (int a = 0; a < m; a++) d[a] = x[a] - y[a];
  dpi_tri_solve_lower(iv->chol, m, d);
  for (int a = 0; a < m; a++) s += d[a] * d[a];
  if (iv->dim > m) s += (x[m] - y[m]) * (x[m] - y[m]);
  return sqrt(s);
}

static void put(dpi_hunt *h, int at, const double *x, const double *g, const double *b, const double *s,
                const dpi_mode *mode) {
  size_t n = (size_t)h->search.n;
  h->mode[at] = *mode;
  memcpy(h->x + (size_t)at * n, x, n * sizeof(double));
  memcpy(h->g + (size_t)at * n, g, n * sizeof(double));
  memcpy(h->b + (size_t)at * n * n, b, n * n * sizeof(double));
  memcpy(h->s + (size_t)at * n * n, s, n * n * sizeof(double));
}

static void swap(double *a, double *b, size_t n) {
  for (size_t i = 0; i < n; i++) {
    double t = a[i];
    a[i] = b[i];
    b[i] = t;
  }
}

static void exchange(dpi_hunt *h, int j, int k) {
  size_t n = (size_t)h->search.n, a = (size_t)j, b = (size_t)k;
  dpi_mode t = h->mode[j];
  h->mode[j] = h->mode[k];
  h->mode[k] = t;
  swap(h->x + a * n, h->x + b * n, n);
  swap(h->g + a * n, h->g + b * n, n);
  swap(h->b + a * n * n, h->b + b * n * n, n * n);
  swap(h->s + a * n * n, h->s + b * n * n, n * n);
}

/* Put a mode into the list (best first) unless it is there already. */
static void insert_mode(dpi_hunt *h, const double *x, const dpi_mode *mode) {
  size_t n = (size_t)h->search.n;
  for (int k = 0; k < h->nmode; k++)
    if (prior_distance(h->search.iv, x, h->x + (size_t)k * n) < 1e-3) {
      if (mode->l < h->mode[k].l && mode->converged) put(h, k, x, h->search.g, h->search.b, h->search.s, mode);
      return;
    }
  int at = h->nmode;
  while (at > 0 && mode->l < h->mode[at - 1].l) at--;
  if (at >= h->max) return;
  int last = h->nmode < h->max ? h->nmode++ : h->max - 1;
  for (size_t k = (size_t)last; k > (size_t)at; k--)
    put(h, (int)k, h->x + (k - 1) * n, h->g + (k - 1) * n, h->b + (k - 1) * n * n, h->s + (k - 1) * n * n, &h->mode[k - 1]);
  put(h, at, x, h->search.g, h->search.b, h->search.s, mode);
}

/* Starting point k: 0 the prior's centre, then `first`, then draws. */
static void start_point(const dpi_indiv *iv, int k, const double *first, dpi_rng *rng, double *x) {
  int m = iv->nfree;
  double z[64] = {0};
  if (k == 1 && first) {
    memcpy(x, first, sizeof(double) * (size_t)iv->dim);
    return;
  }
  for (int a = 0; k > 0 && a < m; a++) z[a] = dpi_rng_normal(rng);
  for (int a = 0; a < m; a++) {
    double s = 0;
    for (int b = 0; b <= a; b++) s += iv->chol[a * m + b] * z[b];
    x[a] = s;
  }
  if (iv->dim > m) x[m] = dpi_m_log(0.5 * iv->def.discrepancy_sd);
}

/* ---- edges: places of corners that are known ---- */

double dpi_hunt_sd(const dpi_hunt *h, int a) {
  const dpi_indiv *iv = h->search.iv;
  double v = 0;
  for (int b = 0; b <= a; b++) v += iv->chol[a * iv->nfree + b] * iv->chol[a * iv->nfree + b];
  return sqrt(v);
}

int dpi_hunt_edge(const dpi_hunt *h, const double *x, double within) {
  int best = -1;
  for (int k = 0; k < h->nedge; k++) {
    double d = fabs(x[h->edge[k].axis] - h->edge[k].at) / dpi_hunt_sd(h, h->edge[k].axis);
    if (d < within) {
      within = d;
      best = k;
    }
  }
  return best;
}

void dpi_hunt_shift(const dpi_hunt *h, const double *x, int a, double to, double *out) {
  const dpi_indiv *iv = h->search.iv;
  int m = iv->nfree;
  double v = dpi_hunt_sd(h, a), t = (to - x[a]) / (v * v);
  memcpy(out, x, sizeof(double) * (size_t)h->search.n);
  for (int b = 0; b < m; b++) {
    double cov = 0;
    for (int c = 0; c <= a && c <= b; c++) cov += iv->chol[a * m + c] * iv->chol[b * m + c];
    out[b] += t * cov;
  }
  out[a] = to;
}

/* Do two points lie on the same side of every edge? Then l is smooth between them. */
static bool same_cell(const dpi_hunt *h, const double *x, const double *y) {
  for (int k = 0; k < h->nedge; k++) {
    const dpi_edge *e = &h->edge[k];
    if ((x[e->axis] > e->at) != (y[e->axis] > e->at)) return false;
  }
  return true;
}

static dp_status find_edges(dpi_arena *arena, dpi_hunt *h) {
  const dpi_indiv *iv = h->search.iv;
  int n = 0, j;
  double at;
  while (iv->def.corner && iv->def.corner(iv->def.user, n, &j, &at)) n++;
  if (n == 0) return DP_OK;
  h->edge = DPI_ARENA_ARRAY(arena, dpi_edge, (size_t)n);
  if (!h->edge) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) {
    iv->def.corner(iv->def.user, k, &j, &at);
    for (int a = 0; a < iv->nfree; a++)
      if (iv->free[a] == j && fabs(at) < REACH * dpi_hunt_sd(h, a)) h->edge[h->nedge++] = (dpi_edge){a, at};
  }
  return DP_OK;
}

/* A search that shrinks to nothing beside an edge lies on it: it ends there, not converged. */
static void stop_on_edge(dpi_hunt *h) {
  dpi_search *q = &h->search;
  if (!q->open || q->first || h->nedge == 0 || q->radius > EDGE_RADIUS || dpi_hunt_edge(h, q->x, EDGE_NEAR) < 0) return;
  q->open = false;
  q->mode.l = q->l;
  q->mode.decrement = q->decrement;
  q->mode.converged = false;
}

/* It has ended on an edge; the better of two searches on one edge is kept. */
static bool put_on_edge(dpi_hunt *h) {
  dpi_search *q = &h->search;
  int edge = q->mode.converged ? -1 : dpi_hunt_edge(h, q->x, EDGE_NEAR);
  if (edge < 0) return false;
  for (int k = 0; k < h->nmode; k++)
    if (!h->mode[k].converged && dpi_hunt_edge(h, h->x + (size_t)k * (size_t)q->n, EDGE_NEAR) == edge) {
      if (q->mode.l < h->mode[k].l) {
        put(h, k, q->x, q->g, q->b, q->s, &q->mode);
        for (; k > 0 && h->mode[k].l < h->mode[k - 1].l; k--) exchange(h, k, k - 1);
      }
      return true;
    }
  insert_mode(h, q->x, &q->mode);
  return true;
}

/* Has a search that is only half done come into the basin of a mode known already? Across a corner the next mode may be near. */
static bool known_basin(const dpi_hunt *h, const double *x, const dpi_mode *m) {
  double near = h->search.iv->def.corners ? 0.02 : 0.1;
  for (int k = 0; k < h->nmode; k++)
    if (h->mode[k].converged && m->l - h->mode[k].l < 0.1 &&
        same_cell(h, x, h->x + (size_t)k * (size_t)h->search.n) &&
        prior_distance(h->search.iv, x, h->x + (size_t)k * (size_t)h->search.n) < near)
      return true;
  return false;
}

/* Is a later start's search on its way into a mode that is known? Its end is known then, too. Gradients say nothing of what
 * lies behind a corner: it must be on the mode's side of all, and where they are not known nothing is said. */
static bool drawn(const dpi_hunt *h) {
  size_t n = (size_t)h->search.n;
  if (h->search.iv->def.corners) return false;
  for (size_t k = 0; k < (size_t)h->nmode; k++)
    if (h->mode[k].converged && same_cell(h, h->search.x, h->x + k * n) &&
        dpi_search_drawn(&h->search, h->x + k * n, h->b + k * n * n, h->s + k * n * n))
      return true;
  return false;
}

/* A second mode: there may be more. */
static void ask_more(dpi_hunt *h) { h->wanted = h->nstart + MORE_STARTS; }

/* Only the best mode is wanted, and this search's way down ends above it. Where edges are known cells say where else to look;
 * where they are not, random starts are followed: another mode that they meet, however high, asks for more of them. */
static bool hopeless(const dpi_hunt *h) {
  const dpi_search *q = &h->search;
  if (!h->best_only || !(h->given || h->nedge > 0) || h->nmode == 0 || q->first) return false;
  return q->l - 2 * q->decrement * q->decrement > h->mode[0].l + HOPELESS;
}

/* The end of a search is a mode. */
static void take_mode(dpi_hunt *h) {
  const dpi_search *q = &h->search;
  if (h->nmode > 0 && prior_distance(q->iv, q->x, h->x) > 0.01 && q->mode.l < h->mode[0].l + OTHER) ask_more(h);
  insert_mode(h, q->x, &q->mode);
}

/* The rough search has ended where no mode is known: on from there. Where values are cheap, the best mode gets its last
 * digits when all are known. */
static void refine(dpi_hunt *h) {
  dpi_search *q = &h->search;
  dpi_mode_def fine = h->def;
  if (h->cheap) fine.tolerance = fmax(CHEAP_FINE, fine.tolerance);
  h->refine = true;
  memcpy(h->xt, q->x, sizeof(double) * (size_t)q->n);
  dpi_search_begin(q, &fine, h->xt, q->s);
}

/* The next start, or the end; a start at which the model can't be evaluated is replaced, within reason. */
static void next_start(dpi_hunt *h) {
  h->open = h->nextra > 0 || (h->k < h->wanted + 10 && h->nfound < h->wanted);
  if (!h->open) return;
  dpi_mode_def rough = h->def;
  rough.tolerance = fmax(0.05, h->def.tolerance);
  if (h->cheap) rough.noise = fmax(CHEAP_NOISE, rough.noise);
  h->given = h->nextra > 0;
  h->screen = false;
  if (h->given) {
    memcpy(h->xt, h->extra, sizeof(double) * (size_t)h->search.n);
    h->extra += h->search.n;
    h->nextra--;
  } else {
    h->screen = h->k > 1 || (h->k == 1 && !h->start);
    start_point(h->search.iv, h->k++, h->start, &h->rng, h->xt);
  }
  h->refine = false;
  dpi_search_begin(&h->search, h->nmode > 0 || h->cheap ? &rough : &h->def, h->xt, NULL);
}

dp_status dpi_hunt_create(dpi_arena *arena, dpi_indiv *iv, int max, dpi_hunt *h) {
  memset(h, 0, sizeof *h);
  h->max = max < DPI_HUNT_MODES ? max : DPI_HUNT_MODES;
  DP_TRY(dpi_search_create(arena, iv, &h->search));
  size_t n = (size_t)iv->dim;
  h->x = DPI_ARENA_ARRAY(arena, double, (size_t)h->max *n + 1);
  h->g = DPI_ARENA_ARRAY(arena, double, (size_t)h->max *n + 1);
  h->b = DPI_ARENA_ARRAY(arena, double, (size_t)h->max *n *n + 1);
  h->s = DPI_ARENA_ARRAY(arena, double, (size_t)h->max *n *n + 1);
  return h->x && h->g && h->b && h->s ? find_edges(arena, h) : DP_ERR_MEMORY;
}

void dpi_hunt_begin(dpi_hunt *h, const dpi_mode_def *def, const double *first, int nstart, dpi_rng rng) {
  h->def = *def;
  h->start = first;
  h->rng = rng;
  h->nstart = h->wanted = nstart;
  h->k = h->nfound = h->nmode = 0;
  next_start(h);
}

void dpi_hunt_more(dpi_hunt *h, int nstart) {
  h->nstart = nstart;
  h->wanted = nstart + (h->nmode > 1 ? MORE_STARTS : 0);
  next_start(h);
}

void dpi_hunt_from(dpi_hunt *h, const double *x, int n) {
  h->extra = x;
  h->nextra = n;
  h->wanted = h->nfound; /* no others */
  next_start(h);
}

void dpi_hunt_told(dpi_hunt *h, bool ok) {
  dpi_search *q = &h->search;
  dpi_search_told(q, ok);
  stop_on_edge(h);
  if (q->open && !(h->nmode > 0 && (drawn(h) || hopeless(h)))) return;
  if (q->open) {
    h->nfound += !h->refine;
    next_start(h);
    return;
  }
  if (!q->mode.ok) {
    next_start(h);
    return;
  }
  if (!h->refine) h->nfound++;
  if (put_on_edge(h)) {
    next_start(h);
    return;
  }
  if ((h->nmode > 0 || h->cheap) && !h->refine) {
    if (known_basin(h, q->x, &q->mode)) {
      next_start(h);
      return;
    }
    refine(h);
    return;
  }
  take_mode(h);
  next_start(h);
}

void dpi_hunt_first(dpi_hunt *h, int k) {
  if (k > 0) exchange(h, 0, k);
}

/* Corners come in numbers: where the best search ended on one, polish it and as many from further starts. */
dp_status dpi_hunt_corner(dpi_hunt *h) {
  dpi_search *q = &h->search;
  if (h->nmode == 0 || h->mode[0].converged || q->iv->def.smooth) return DP_OK;
  DP_TRY(dpi_mode_kink(q->iv, h->x, &h->mode[0]));
  for (int k = 0; k < KINK_STARTS; k++) {
    start_point(q->iv, 2, NULL, &h->rng, h->xt);
    dpi_search_begin(q, &h->def, h->xt, NULL);
    DP_TRY(dpi_search_run(q));
    if (!q->mode.ok || q->mode.l > h->mode[0].l + OTHER) continue;
    memcpy(h->xt, q->x, sizeof(double) * (size_t)q->n);
    if (!q->mode.converged) DP_TRY(dpi_mode_kink(q->iv, h->xt, &q->mode));
    insert_mode(h, h->xt, &q->mode);
  }
  return DP_OK;
}

/* The start becomes the best, by value, of itself and further draws. */
static dp_status screen(dpi_hunt *h) {
  dpi_indiv *iv = h->search.iv;
  size_t n = (size_t)iv->dim;
  double l[SCREENED], *x = DPI_NEW_ARRAY(iv->ctx, double, SCREENED *n);
  if (!x) return DP_ERR_MEMORY;
  h->screen = false;
  memcpy(x, h->search.xt, n * sizeof *x);
  for (size_t k = 1; k < SCREENED; k++) start_point(iv, 2, NULL, &h->rng, x + k * n);
  dp_status st = dpi_indiv_many(iv, x, SCREENED, l);
  size_t best = 0;
  for (size_t k = 1; st == DP_OK && k < SCREENED; k++)
    if (l[k] < l[best]) best = k;
  memcpy(h->search.xt, x + best * n, n * sizeof *x);
  dpi_free(iv->ctx, x);
  return st;
}

/* What the model gives at the point that the hunt asks for. */
static dp_status look(dpi_hunt *h, bool *ok) {
  dpi_search *q = &h->search;
  *ok = false;
  if (h->cheap && h->screen && q->first) DP_TRY(screen(h));
  DP_TRY(dpi_search_probe(q));
  if (h->cheap && !h->refine) DP_TRY(dpi_indiv_rough(q->iv, q->xt, &q->pt, ok));
  return *ok ? DP_OK : dpi_indiv_eval(q->iv, q->xt, true, &q->pt, ok);
}

/* The best mode's last digits, where it has been left without. */
static dp_status finish_best(dpi_hunt *h) {
  dpi_search *q = &h->search;
  if (!h->cheap || h->nmode == 0 || !(h->mode[0].decrement > h->def.tolerance)) return DP_OK;
  dpi_search_resume(q, &h->def, h->x, h->mode[0].l, h->g, h->b, h->s);
  DP_TRY(dpi_search_run(q));
  if (q->mode.decrement < h->mode[0].decrement) put(h, 0, q->x, q->g, q->b, q->s, &q->mode);
  return DP_OK;
}

static dp_status hunt_run(dpi_hunt *h) {
  while (h->open) {
    bool ok;
    DP_TRY(look(h, &ok));
    dpi_hunt_told(h, ok);
  }
  DP_TRY(finish_best(h));
  return dpi_hunt_corner(h);
}

dp_status dpi_mode_multi(dpi_indiv *iv, const dpi_mode_def *def, const double *first, int nstart, dpi_rng rng, int max,
                         double *x, dpi_mode *mode, int *nmode) {
  dpi_arena arena;
  dpi_arena_init(&arena, iv->ctx);
  dpi_hunt h;
  *nmode = 0;
  dp_status st = dpi_hunt_create(&arena, iv, max, &h);
  if (st == DP_OK) {
    h.cheap = iv->def.many && !iv->def.corners && h.nedge == 0;
    dpi_hunt_begin(&h, def, first, nstart, rng);
    st = hunt_run(&h);
  }
  if (st == DP_OK) {
    *nmode = h.nmode;
    memcpy(mode, h.mode, (size_t)h.nmode * sizeof *mode);
    memcpy(x, h.x, (size_t)h.nmode * (size_t)iv->dim * sizeof(double));
  }
  dpi_arena_release(&arena);
  return st;
}
