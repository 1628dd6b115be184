/* profile.c - floor 6, inside infer/point: all walks of all profiles, together; verdicts and tables. */
#include "infer/point/profile.h"

#include <math.h>
#include <string.h>

#include "infer/point/point_batch.h"
#include "infer/point/point_impl.h"
#include "infer/point/profile_impl.h"
#include "num/num.h"

#define WORD(name, word, text) word,
#define TEXT(name, word, text) text,
static const char *const end_name[] = {DPI_PROFILE_END_LIST(WORD)};
static const char *const end_text[] = {DPI_PROFILE_END_LIST(TEXT)};
static const char *const verdict_name[] = {DPI_IDENTIFIABLE_LIST(WORD)};
static const char *const verdict_text[] = {DPI_IDENTIFIABLE_LIST(TEXT)};
const char *dpi_profile_end_name(dpi_profile_end end) { return end_name[end]; }
const char *dpi_profile_end_text(dpi_profile_end end) { return end_text[end]; }
const char *dpi_identifiable_name(dpi_identifiable v) { return verdict_name[v]; }
const char *dpi_identifiable_text(dpi_identifiable v) { return verdict_text[v]; }

dpi_profile_def dpi_profile_def_default(void) {
  dpi_profile_def d = {.level = 0.95,
                       .margin = 0.1,
                       .step = 0.2,
                       .root_tol = 1e-3,
                       .flat = 0.01,
                       .better = 1e-3,
                       .max_step = 200,
                       .max_restart = 3,
                       .batch = 64,
                       .trust = dpi_trust_def_default()};
  d.trust.max_iter = 200;
  return d;
}

typedef struct work {
  dpi_density *d;
  const dpi_profile_def *def;
  dpi_profiles *p;
  dpi_trust *home;     /* the optimum itself */
  dpi_walk_share share;
  dpi_walk *walk;      /* [2 nprofile] */
  dpi_trust **slot;    /* [nslot] */
  int *who;            /* [nslot] the walk in it, -1: none */
  int nslot, next, nwalk;
  dpi_batch batch;
  double *scale, *gx, *g, *ggrad; /* predictions asked together */
  bool *gok;
} work;

/* ---- set up ---- */

static dp_status check_def(dpi_density *d, const dpi_profile_def *f) {
  if (f->trust.hessian > DPI_HESSIAN_FISHER)
    return dpi_fail(d->ctx, DP_ERR_USAGE, "profiles need the Fisher information; hessian '%s' has none",
                    dpi_hessian_name(f->trust.hessian));
  if (!(f->level > 0 && f->level < 1) || !(f->step > 0) || f->batch < 1)
    return dpi_fail(d->ctx, DP_ERR_USAGE, "profiles: level %g, step %g, batch %d: out of range", f->level, f->step,
                    f->batch);
  for (int k = 0; f->param && k < f->nparam; k++) {
    int i = f->param[k];
    if (i < 0 || i >= d->n)
      return dpi_fail(d->ctx, DP_ERR_USAGE, "profiles: parameter %d of %d does not exist", i, d->n);
    if (f->trust.fixed && f->trust.fixed[i])
      return dpi_fail(d->ctx, DP_ERR_USAGE, "profile of '%s': this parameter is held", d->name[i]);
  }
  return DP_OK;
}

static dp_status make_profiles(work *w) {
  const dpi_profile_def *f = w->def;
  dpi_profiles *p = w->p = DPI_NEW(w->d->ctx, dpi_profiles);
  if (!p) return DP_ERR_MEMORY;
  dpi_arena_init(&p->arena, w->d->ctx);
  p->n = w->d->n;
  p->threshold = 0.5 * dpi_chi2_quantile(f->level, 1);
  size_t n = (size_t)p->n;
  p->profile = DPI_ARENA_ARRAY(&p->arena, dpi_profile, n + (size_t)f->nparam + (size_t)f->nprediction + 1);
  p->x = DPI_ARENA_ARRAY(&p->arena, double, n + 1);
  p->fisher = DPI_ARENA_ARRAY(&p->arena, double, n * n + 1);
  if (!p->profile || !p->x || !p->fisher) return DP_ERR_MEMORY;
  int count = f->param ? f->nparam : p->n;
  for (int k = 0; k < count; k++) {
    int i = f->param ? f->param[k] : k;
    if (f->trust.fixed && f->trust.fixed[i]) continue;
    p->profile[p->nprofile++] = (dpi_profile){.index = i, .name = w->d->name[i]};
  }
  for (int k = 0; k < f->nprediction; k++)
    p->profile[p->nprofile++] = (dpi_profile){.index = -1, .name = f->prediction[k].name};
  return DP_OK;
}

static dp_status make_work(work *w) {
  dp_ctx *ctx = w->d->ctx;
  size_t n = (size_t)w->d->n;
  DP_TRY(make_profiles(w));
  w->nwalk = 2 * w->p->nprofile;
  w->nslot = w->def->batch < w->nwalk ? w->def->batch : w->nwalk;
  size_t slots = (size_t)w->nslot;
  w->walk = DPI_NEW_ARRAY(ctx, dpi_walk, w->nwalk + 1);
  w->slot = DPI_NEW_ARRAY(ctx, dpi_trust *, slots + 1);
  w->who = DPI_NEW_ARRAY(ctx, int, slots + 1);
  w->scale = DPI_NEW_ARRAY(ctx, double, n + 1);
  w->share.matrix = DPI_NEW_ARRAY(ctx, double, n * n + 1);
  w->share.vec = DPI_NEW_ARRAY(ctx, double, 8 * n + 1);
  w->share.fixed = DPI_NEW_ARRAY(ctx, bool, n + 1);
  w->gx = DPI_NEW_ARRAY(ctx, double, slots * n + 1);
  w->g = DPI_NEW_ARRAY(ctx, double, slots + 1);
  w->ggrad = DPI_NEW_ARRAY(ctx, double, slots * n + 1);
  w->gok = DPI_NEW_ARRAY(ctx, bool, slots + 1);
  if (!w->walk || !w->slot || !w->who || !w->scale || !w->share.matrix || !w->share.vec || !w->share.fixed || !w->gx ||
      !w->g || !w->ggrad || !w->gok)
    return DP_ERR_MEMORY;
  DP_TRY(dpi_trust_create(ctx, w->d, &w->def->trust, &w->home));
  for (int s = 0; s < w->nslot; s++) DP_TRY(dpi_trust_create(ctx, w->d, &w->def->trust, &w->slot[s]));
  return dpi_batch_init(&w->batch, ctx, w->d->n, w->nslot);
}

static void drop_work(work *w) {
  dp_ctx *ctx = w->d->ctx;
  for (int s = 0; w->slot && s < w->nslot; s++) dpi_trust_destroy(w->slot[s]);
  dpi_trust_destroy(w->home);
  dpi_batch_release(&w->batch);
  void *block[] = {w->walk,        w->slot, w->who, w->scale, w->share.matrix, w->share.vec,
                   w->share.fixed, w->gx,   w->g,   w->ggrad, w->gok};
  for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
}

/* ---- the optimum ---- */

static dp_status settle_optimum(work *w, const double *x) {
  const dpi_density *d = w->d;
  dpi_profiles *p = w->p;
  size_t n = (size_t)d->n;
  DP_TRY(dpi_trust_minimise(w->d, w->home, x, NULL));
  const dpi_trust_result *r = dpi_trust_result_of(w->home);
  p->neval += r->neval;
  if (!isfinite(r->j))
    return dpi_fail(d->ctx, DP_ERR_CONVERGE, "profiles: the optimum given can't be evaluated: %s", r->reason);
  memcpy(p->x, r->x, sizeof(double) * n);
  memcpy(p->fisher, r->fisher, sizeof(double) * n * n);
  p->j = r->j;
  for (int i = 0; i < d->n; i++) {
    double width = d->upper[i] - d->lower[i], size = fmax(1, fabs(p->x[i]));
    w->scale[i] = w->def->trust.scale ? w->def->trust.scale[i] : isfinite(width) ? fmin(width / 10, size) : size;
  }
  dpi_walk_share *sh = &w->share;
  sh->d = w->d;
  sh->def = w->def;
  sh->arena = &p->arena;
  sh->x = p->x;
  sh->fisher = p->fisher;
  sh->gradient = r->gradient;
  sh->at = r->at;
  sh->scale = w->scale;
  sh->j = p->j;
  sh->threshold = p->threshold;
  return DP_OK;
}

/* ---- rounds ---- */

static const dpi_profiled *prediction_of(const work *w, int profile) {
  int first = w->p->nprofile - w->def->nprediction;
  return profile >= first ? &w->def->prediction[profile - first] : NULL;
}

/* Puts walks into a slot until one of them has a question. */
static dp_status fill(work *w, int s) {
  while (w->who[s] < 0 && w->next < w->nwalk) {
    int k = w->next++;
    dpi_walk *walk = &w->walk[k];
    DP_TRY(dpi_walk_begin(walk, &w->share, &w->p->profile[k / 2], k % 2, prediction_of(w, k / 2), w->slot[s]));
    if (walk->phase != WALK_DONE) w->who[s] = k;
  }
  return DP_OK;
}

/* The predictions of all walks that need one, kind by kind in one call, and their pull on what the density answered. */
static dp_status pull_all(work *w) {
  size_t n = (size_t)w->d->n;
  for (int q = 0; q < w->def->nprediction; q++) {
    const dpi_profiled *pr = &w->def->prediction[q];
    int m = 0;
    for (int k = 0; k < w->batch.count; k++) {
      if (w->walk[w->who[w->batch.owner[k]]].prediction != pr) continue;
      memcpy(w->gx + (size_t)m++ * n, w->batch.x + (size_t)k * n, sizeof(double) * n);
    }
    if (m == 0) continue;
    DP_TRY(pr->fn(pr->user, m, w->gx, w->g, w->ggrad, w->gok));
    m = 0;
    for (int k = 0; k < w->batch.count; k++) {
      const dpi_walk *walk = &w->walk[w->who[w->batch.owner[k]]];
      if (walk->prediction != pr) continue;
      dpi_walk_pull(walk, &w->batch.value[k], w->batch.what[k], w->g[m], w->ggrad + (size_t)m * n, w->gok[m]);
      m++;
    }
  }
  return DP_OK;
}

static dp_status one_round(work *w, bool *any) {
  w->batch.count = 0;
  for (int s = 0; s < w->nslot; s++) {
    DP_TRY(fill(w, s));
    while (w->who[s] >= 0 && !dpi_batch_ask(&w->batch, w->slot[s], s)) {
      bool done = false;
      w->p->neval += dpi_trust_result_of(w->slot[s])->neval;
      DP_TRY(dpi_walk_ended(&w->walk[w->who[s]], &done));
      if (!done) continue;
      w->who[s] = -1;
      DP_TRY(fill(w, s));
    }
  }
  *any = w->batch.count > 0;
  if (!*any) return DP_OK;
  DP_TRY(dpi_batch_eval(&w->batch, w->d));
  DP_TRY(pull_all(w));
  for (int k = 0; k < w->batch.count; k++) dpi_trust_tell(w->slot[w->batch.owner[k]], &w->batch.value[k]);
  return dp_ctx_cancelled(w->d->ctx) ? DP_ERR_CANCELLED : DP_OK;
}

/* The best of the better optima met, by the first walk that met it; NULL: none was. */
static const dpi_walk *better_optimum(const work *w) {
  const dpi_walk *best = NULL;
  for (int k = 0; k < w->nwalk; k++) {
    if (w->walk[k].side->end == DPI_PROFILE_BETTER && (!best || w->walk[k].better.j < best->better.j))
      best = &w->walk[k];
  }
  return best;
}

/* ---- verdicts ---- */

static dpi_identifiable verdict_of(const work *w, const dpi_profile *p) {
  double rise = 0;
  bool open[2], known = true;
  for (int s = 0; s < 2; s++) {
    const dpi_profile_side *side = &p->side[s];
    open[s] = side->open;
    known =
        known && side->end != DPI_PROFILE_FAILED && side->end != DPI_PROFILE_BETTER && side->end != DPI_PROFILE_STEPS;
    /* once another parameter has met its bound it is the box that speaks, not the data */
    for (int k = 0; k < side->npoint && dpi_walk_met(&w->share, p->index, side->point[k].x) < 0; k++)
      rise = fmax(rise, side->point[k].j - w->p->j);
  }
  if (!open[0] && !open[1]) return DPI_IDENTIFIABLE_YES;
  if (!known) return DPI_IDENTIFIABLE_UNKNOWN;
  if (open[0] && open[1]) return rise <= w->def->flat * w->p->threshold ? DPI_IDENTIFIABLE_NOT : DPI_IDENTIFIABLE_OPEN;
  return open[0] ? DPI_IDENTIFIABLE_OPEN_BELOW : DPI_IDENTIFIABLE_OPEN_ABOVE;
}

static dp_status run(work *w, const double *x) {
  DP_TRY(make_work(w));
  DP_TRY(settle_optimum(w, x));
  while (true) {
    bool any = true;
    w->next = 0;
    for (int s = 0; s < w->nslot; s++) w->who[s] = -1;
    while (any) DP_TRY(one_round(w, &any));
    const dpi_walk *better = better_optimum(w);
    if (!better || w->p->nrestart >= w->def->max_restart) break;
    w->p->nrestart++;
    w->p->better = better->prediction ? better->prediction->name : w->d->name[better->index];
    DP_TRY(settle_optimum(w, better->better.x));
  }
  for (int k = 0; k < w->p->nprofile; k++) w->p->profile[k].verdict = verdict_of(w, &w->p->profile[k]);
  return DP_OK;
}

dp_status dpi_profiles_run(dpi_density *d, const double *x, const dpi_profile_def *def, dpi_profiles **out) {
  work w = {.d = d, .def = def};
  *out = NULL;
  DP_TRY(check_def(d, def));
  dp_status status = run(&w, x);
  drop_work(&w);
  if (status == DP_OK)
    *out = w.p;
  else
    dpi_profiles_destroy(w.p);
  return status;
}

void dpi_profiles_destroy(dpi_profiles *p) {
  if (!p) return;
  dp_ctx *ctx = p->arena.ctx;
  dpi_arena_release(&p->arena);
  dpi_free(ctx, p);
}

/* ---- words ---- */

const char *dpi_prediction_verdict(dpi_identifiable v) {
  switch (v) {
    case DPI_IDENTIFIABLE_YES: return "bounded";
    case DPI_IDENTIFIABLE_OPEN_BELOW: return "unbounded below";
    case DPI_IDENTIFIABLE_OPEN_ABOVE: return "unbounded above";
    case DPI_IDENTIFIABLE_OPEN:
    case DPI_IDENTIFIABLE_NOT: return "unbounded";
    default: return "unknown";
  }
}

static void prediction_end(const dpi_profile_side *s, const dpi_density *d, const char *which, dpi_str *out) {
  if (s->open && out->len) dpi_str_add(out, "; ");
  switch (s->open ? s->end : DPI_PROFILE_CROSSED) {
    case DPI_PROFILE_BOUND:
      dpi_str_addf(out, "%s: the data allow all that the parameters' bounds do, to %.6g", which, s->limit);
      break;
    case DPI_PROFILE_FLAT: dpi_str_addf(out, "%s: the data allow any value", which); break;
    case DPI_PROFILE_CROSSED: break;
    default:
      dpi_str_addf(out, "%s: not followed beyond %.6g: %s", which, s->limit,
                   s->reason[0] ? s->reason : dpi_profile_end_text(s->end));
  }
  if (s->open && s->met >= 0) dpi_str_addf(out, ", where '%s' is at its bound", d->name[s->met]);
  if (s->jumped) dpi_str_addf(out, "%s%s: another valley was entered on the way", out->len ? "; " : "", which);
}

void dpi_prediction_words(const dpi_profile *p, const dpi_density *d, dpi_str *out) {
  if (p->side[0].end == DPI_PROFILE_CONSTANT) {
    dpi_str_add(out, "it depends on nothing that is estimated");
    return;
  }
  prediction_end(&p->side[0], d, "below", out);
  prediction_end(&p->side[1], d, "above", out);
  if (out->len == 0) dpi_str_add(out, "both ends of the interval were found");
}

/* ---- tables ---- */

static void add_number(dpi_str *out, double x) {
  char text[32];
  dpi_format_double(x, text);
  dpi_str_addf(out, "\t%s", text);
}

static void add_side(const dpi_profile_side *s, const dpi_density *d, const char *which, dpi_str *out) {
  if (s->open) dpi_str_addf(out, "; %s: %s", which, dpi_profile_end_text(s->end));
  if (s->reason[0] && s->end == DPI_PROFILE_FAILED) dpi_str_addf(out, " (%s)", s->reason);
  if (s->met >= 0) dpi_str_addf(out, "; %s: '%s' meets its bound on the way", which, d->name[s->met]);
  if (s->jumped) dpi_str_addf(out, "; %s: a lower branch was found on the way", which);
}

void dpi_profiles_write(const dpi_profiles *p, const dpi_density *d, dpi_str *out) {
  dpi_str_add(out, "name\toptimum\tlower\tupper\tverdict\twhy\n");
  for (int k = 0; k < p->nprofile; k++) {
    const dpi_profile *q = &p->profile[k];
    dpi_str_add(out, q->name);
    add_number(out, q->at);
    for (int s = 0; s < 2; s++) add_number(out, q->side[s].open ? (s ? INFINITY : -INFINITY) : q->side[s].limit);
    dpi_str_addf(out, "\t%s\t%s", dpi_identifiable_name(q->verdict), dpi_identifiable_text(q->verdict));
    add_side(&q->side[0], d, "below", out);
    add_side(&q->side[1], d, "above", out);
    dpi_str_add(out, "\n");
  }
}
