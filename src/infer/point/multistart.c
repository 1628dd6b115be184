/* multistart.c - floor 6, inside infer/point: many searches in lock-step.
 *
 * A round: every search in a slot asks for its next point, the density answers all at once, every search is told. A
 * slot whose start has ended takes the next start. Nothing of a start depends on its slot or its neighbours. In a race
 * each start has a slot, and multistart_race.c says whose turn it is.
 */
#include "infer/point/multistart.h"

#include <math.h>
#include <string.h>

#include "infer/point/multistart_impl.h"
#include "infer/point/point_impl.h"

#define RACE_STARTS 1000
#define RACE_BYTES 536870912.0
#define ROUND_SHARE 0.02 /* of the processor time allowed, one round */
#define COST_FADES 0.9   /* of the dearest point, round by round */

dpi_multistart_def dpi_multistart_def_default(void) {
  return (dpi_multistart_def){.nstart = 100,
                              .seed = 1,
                              .screen = 1,
                              .max_redraw = 20,
                              .batch = 64,
                              .trust = dpi_trust_def_default(),
                              .j_tol = 0.1,
                              .x_tol = 0.5,
                              .save_every = 30};
}

void dpi_multistart_destroy(dpi_multistart *ms) {
  if (!ms) return;
  dp_ctx *ctx = ms->arena.ctx;
  dpi_arena_release(&ms->arena);
  dpi_free(ctx, ms);
}

/* ---- set up ---- */

static dp_status check_def(dpi_density *d, const dpi_multistart_def *def) {
  if (def->nstart < 0 || def->ngiven < 0 || def->nstart > 100000000 - def->ngiven || def->nstart + def->ngiven < 1)
    return dpi_fail(d->ctx, DP_ERR_USAGE, "multi-start: %d drawn and %d given starts, at least one is needed",
                    def->nstart, def->ngiven);
  if (def->batch < 1 || def->screen < 1 || def->max_redraw < 0)
    return dpi_fail(d->ctx, DP_ERR_USAGE, "multi-start: batch %d, candidates %d, redraws %d: out of range", def->batch,
                    def->screen, def->max_redraw);
  return DP_OK;
}

static dp_status make_result(dpi_campaign *c) {
  dpi_multistart *ms = DPI_NEW(c->d->ctx, dpi_multistart);
  if (!ms) return DP_ERR_MEMORY;
  c->ms = ms;
  dpi_arena_init(&ms->arena, c->d->ctx);
  ms->n = c->d->n;
  ms->nstart = c->def->nstart + c->def->ngiven;
  size_t n = (size_t)ms->n, count = (size_t)ms->nstart;
  ms->start = DPI_ARENA_ARRAY(&ms->arena, dpi_start, count);
  ms->order = DPI_ARENA_ARRAY(&ms->arena, int, count);
  double *x = DPI_ARENA_ARRAY(&ms->arena, double, 2 * n * count + 1);
  if (!ms->start || !ms->order || !x) return DP_ERR_MEMORY;
  for (size_t k = 0; k < count; k++) {
    dpi_start *s = &ms->start[k];
    s->j = s->j0 = INFINITY;
    s->loglik = s->logprior = -INFINITY;
    s->optimum = -1;
    s->x = x + 2 * n * k;
    s->x0 = s->x + n;
  }
  return DP_OK;
}

/* A race keeps all searches: as many as memory is well spent on. */
static bool can_race(const dpi_density *d, const dpi_multistart_def *def, int all) {
  const double search = 8.0 * 7 * (double)d->n * (double)d->n;
  return def->race && all <= RACE_STARTS && search * all <= RACE_BYTES && def->max_eval == 0;
}

static dp_status make_campaign(dpi_campaign *c, dpi_density *d, const dpi_multistart_def *def) {
  dp_ctx *ctx = d->ctx;
  int all = def->nstart + def->ngiven;
  const bool race = can_race(d, def, all);
  *c = (dpi_campaign){.d = d, .def = def, .nslot = race || def->batch > all ? all : def->batch, .race = race};
  c->width = def->batch < c->nslot ? def->batch : c->nslot;
  if (def->nstart > 0) DP_TRY(dpi_starts_init(&c->starts, d, def->sampling, def->nstart, def->seed));
  DP_TRY(make_result(c));
  c->state = DPI_NEW_ARRAY(ctx, start_state, all);
  c->slot = DPI_NEW_ARRAY(ctx, dpi_trust *, c->nslot);
  c->who = DPI_NEW_ARRAY(ctx, int, c->nslot);
  c->candidate = DPI_NEW_ARRAY(ctx, double, (size_t)def->screen * (size_t)d->n + 1);
  c->seen = DPI_NEW_ARRAY(ctx, dpi_density_value, def->screen);
  c->turn = DPI_NEW_ARRAY(ctx, int, c->nslot);
  c->rank = DPI_NEW_ARRAY(ctx, int, all);
  c->rank_j = DPI_NEW_ARRAY(ctx, double, all);
  if (!c->state || !c->slot || !c->who || !c->candidate || !c->seen) return DP_ERR_MEMORY;
  if (!c->turn || !c->rank || !c->rank_j) return DP_ERR_MEMORY;
  for (int s = 0; s < c->nslot; s++) c->who[s] = -1;
  c->saved_at = dpi_clock_s();
  DP_TRY(dpi_batch_init(&c->batch, ctx, d->n, c->width));
  if (def->max_cpu > 0) c->width = 1; /* until it is known what a point with derivatives costs */
  return dpi_campaign_identity(c);
}

void dpi_campaign_drop(dpi_campaign *c) {
  dp_ctx *ctx = c->d->ctx;
  dpi_starts_release(&c->starts);
  dpi_batch_release(&c->batch);
  for (int s = 0; c->slot && s < c->nslot; s++) dpi_trust_destroy(c->slot[s]);
  dpi_free(ctx, c->slot);
  dpi_free(ctx, c->state);
  dpi_free(ctx, c->who);
  dpi_free(ctx, c->turn);
  dpi_free(ctx, c->rank);
  dpi_free(ctx, c->rank_j);
  dpi_free(ctx, c->candidate);
  dpi_free(ctx, c->seen);
}

dp_status dpi_campaign_slot(dpi_campaign *c, int slot) {
  return c->slot[slot] ? DP_OK : dpi_trust_create(c->d->ctx, c->d, &c->def->trust, &c->slot[slot]);
}

/* ---- one start ---- */

/* The best of the candidates of this attempt into x0; false: none of them can be evaluated. */
static dp_status screen(dpi_campaign *c, int k, int attempt, bool *any) {
  const dpi_multistart_def *def = c->def;
  dpi_start *start = &c->ms->start[k];
  size_t n = (size_t)c->d->n;
  int best = -1;
  double least = INFINITY;
  for (int i = 0; i < def->screen; i++)
    DP_TRY(dpi_starts_point(&c->starts, k - def->ngiven, attempt * def->screen + i, c->candidate + (size_t)i * n));
  memset(c->seen, 0, sizeof *c->seen * (size_t)def->screen);
  DP_TRY(dpi_density_eval(c->d, def->screen, c->candidate, DPI_DENSITY_VALUE, c->seen));
  start->neval += def->screen;
  for (int i = 0; i < def->screen; i++) {
    double j = -(c->seen[i].loglik + c->seen[i].logprior);
    if (c->seen[i].ok && isfinite(j)) {
      if (best < 0 || j < least) best = i;
      least = fmin(least, j);
    } else {
      start->nfailed++;
      dpi_point_reason(start->reason, c->seen[i].reason);
    }
  }
  *any = best >= 0;
  if (*any) memcpy(start->x0, c->candidate + (size_t)best * n, sizeof(double) * n);
  return DP_OK;
}

/* Where start k begins (again) goes into x0, and its search to that place; *left: no attempt is left. */
static dp_status place(dpi_campaign *c, int k, dpi_trust *t, bool *left) {
  const dpi_multistart_def *def = c->def;
  dpi_start *start = &c->ms->start[k];
  *left = false;
  if (k < def->ngiven) {
    memcpy(start->x0, def->given + (size_t)k * (size_t)c->d->n, sizeof(double) * (size_t)c->d->n);
  } else if (def->screen == 1) {
    DP_TRY(dpi_starts_point(&c->starts, k - def->ngiven, start->nredraw, start->x0));
  } else {
    bool any = false;
    while (true) {
      DP_TRY(screen(c, k, start->nredraw, &any));
      if (any) break;
      if (start->nredraw >= def->max_redraw) {
        *left = true;
        return DP_OK;
      }
      start->nredraw++;
    }
  }
  dpi_trust_begin(t, start->x0, NULL);
  return DP_OK;
}

static void note_done(dpi_campaign *c, int k, const dpi_trust_result *r) {
  dpi_start *start = &c->ms->start[k];
  c->state[k] = START_DONE;
  start->end = r ? r->end : DPI_TRUST_START;
  if (!r) return;
  start->neval += r->neval;
  start->nfailed += r->nfailed;
  start->niter = r->niter;
  if (r->reason[0]) memcpy(start->reason, r->reason, sizeof start->reason);
  memcpy(start->x, r->x, sizeof(double) * (size_t)c->d->n);
  if (r->end == DPI_TRUST_START) return;
  start->j = r->j;
  start->loglik = r->loglik;
  start->logprior = r->logprior;
  start->optimality = r->optimality;
}

/* The search in a slot has ended: its start is done, or is drawn again. */
static dp_status conclude(dpi_campaign *c, int slot) {
  int k = c->who[slot];
  const dpi_trust_result *r = dpi_trust_result_of(c->slot[slot]);
  dpi_start *start = &c->ms->start[k];
  if (r->end == DPI_TRUST_START && k >= c->def->ngiven && start->nredraw < c->def->max_redraw) {
    bool left;
    start->nredraw++;
    start->neval += r->neval;
    start->nfailed += r->nfailed;
    memcpy(start->reason, r->reason, sizeof start->reason);
    DP_TRY(place(c, k, c->slot[slot], &left));
    if (!left) return DP_OK;
    r = NULL;
  }
  note_done(c, k, r);
  c->who[slot] = -1;
  c->fresh = true;
  return DP_OK;
}

/* Points taken by the starts that are done and have only done ones before them. */
static long taken_in_order(const dpi_campaign *c) {
  long sum = 0;
  for (int k = 0; k < c->ms->nstart && c->state[k] == START_DONE; k++) sum += c->ms->start[k].neval;
  return sum;
}

static dp_status fill(dpi_campaign *c, int slot) {
  while (c->who[slot] < 0) {
    while (c->next < c->ms->nstart && c->state[c->next] != START_WAITING) c->next++;
    if (c->next >= c->ms->nstart) return DP_OK;
    if (c->def->max_eval > 0 && taken_in_order(c) >= c->def->max_eval) return DP_OK;
    int k = c->next;
    bool left;
    DP_TRY(dpi_campaign_slot(c, slot));
    DP_TRY(place(c, k, c->slot[slot], &left));
    if (left) {
      note_done(c, k, NULL);
    } else {
      c->state[k] = START_SEARCH;
      c->who[slot] = k;
    }
  }
  return DP_OK;
}

/* ---- rounds ---- */

static dp_status tell_all(dpi_campaign *c) {
  for (int k = 0; k < c->batch.count; k++) {
    int slot = c->batch.owner[k];
    dpi_start *start = &c->ms->start[c->who[slot]];
    const dpi_density_value *v = &c->batch.value[k];
    bool first = !isfinite(start->j0) && v->ok;
    dpi_trust_tell(c->slot[slot], v);
    if (first) start->j0 = -(v->loglik + v->logprior);
  }
  return DP_OK;
}

static dp_status conclude_ended(dpi_campaign *c) {
  for (int s = 0; s < c->nslot; s++)
    if (c->who[s] >= 0 && dpi_trust_result_of(c->slot[s])->end != DPI_TRUST_RUNNING) DP_TRY(conclude(c, s));
  return DP_OK;
}

static void progress(const dpi_campaign *c) {
  int done = 0;
  double best = INFINITY;
  if (!c->def->progress) return;
  for (int k = 0; k < c->ms->nstart; k++) {
    done += c->state[k] == START_DONE;
    best = fmin(best, c->ms->start[k].j);
  }
  c->def->progress(c->def->user, done, c->ms->nstart, best);
}

/* Time is looked at between rounds: one that takes much of it asks for less at once. What is found by each start does
 * not depend on that. */
static void suit_width(dpi_campaign *c, double took) {
  const double most = c->batch.cap, share = ROUND_SHARE * c->def->max_cpu;
  unsigned what = 0;
  if (!(c->def->max_cpu > 0)) return;
  for (int k = 0; k < c->batch.count; k++) what |= c->batch.what[k];
  c->cost = fmax(COST_FADES * c->cost, took / c->batch.count);
  c->known = c->known || what != DPI_DENSITY_VALUE;
  if (c->known) c->width = (int)fmax(1, c->cost > 0 ? fmin(share / c->cost, fmin(2.0 * c->width, most)) : most);
}

static dp_status one_round(dpi_campaign *c, bool *any) {
  bool ended = c->fresh;
  c->fresh = false;
  c->batch.count = 0;
  const int nturn = dpi_campaign_turn(c);
  for (int i = 0; i < nturn; i++) {
    const int s = c->turn[i];
    DP_TRY(fill(c, s));
    /* a start may end at once (redrawn in vain): then the slot takes another */
    while (c->who[s] >= 0 && !dpi_batch_ask(&c->batch, c->slot[s], s)) {
      DP_TRY(conclude(c, s));
      DP_TRY(fill(c, s));
      ended = true;
    }
  }
  *any = c->batch.count > 0;
  if (ended) progress(c);
  if (!*any) return DP_OK;
  const double begun = dpi_point_cpu();
  DP_TRY(dpi_batch_eval(&c->batch, c->d));
  suit_width(c, dpi_point_cpu() - begun);
  DP_TRY(tell_all(c));
  DP_TRY(conclude_ended(c)); /* a state that is saved now has no searches that are at their end */
  if (c->def->file && dpi_clock_s() - c->saved_at >= c->def->save_every) DP_TRY(dpi_campaign_save(c));
  return dp_ctx_cancelled(c->d->ctx) ? DP_ERR_CANCELLED : DP_OK;
}

/* Processor time is spent: the state has been saved as it is, and now what is under way ends where it is. */
static void stop_all(dpi_campaign *c) {
  for (int s = 0; s < c->nslot; s++) {
    if (c->who[s] < 0) continue;
    dpi_start *start = &c->ms->start[c->who[s]];
    const dpi_trust_result *r = dpi_trust_result_of(c->slot[s]);
    if (start->neval + r->neval == 0) continue; /* only its place is known: not begun */
    note_done(c, c->who[s], r);
    start->end = DPI_TRUST_TIME;
    c->who[s] = -1;
  }
}

/* Starts that were begun after the budget had been spent do not count, whatever the batch. */
static void cut_to_budget(dpi_campaign *c) {
  long sum = 0;
  for (int k = 0; c->def->max_eval > 0 && k < c->ms->nstart; k++) {
    if (sum >= c->def->max_eval || c->state[k] != START_DONE) {
      c->ms->nstart = k;
      return;
    }
    sum += c->ms->start[k].neval;
  }
}

static dp_status rounds(dpi_campaign *c) {
  bool any = true, spent = false;
  const double begun = dpi_point_cpu();
  dp_status status = DP_OK;
  while (any && !spent && status == DP_OK) {
    status = one_round(c, &any);
    spent = c->def->max_cpu > 0 && dpi_point_cpu() - begun >= c->def->max_cpu;
  }
  if (c->def->file && (status == DP_OK || status == DP_ERR_CANCELLED)) {
    dp_status saved = dpi_campaign_save(c);
    if (status == DP_OK) status = saved;
  }
  for (int k = 0; k < c->ms->nstart; k++) c->ms->nended += c->state[k] == START_DONE;
  if (status == DP_OK && spent) stop_all(c);
  return status;
}

static dp_status only_starts(dpi_campaign *c) {
  for (int k = 0; k < c->ms->nstart; k++) c->ms->nfound += isfinite(c->ms->start[k].j);
  return c->ms->nfound > 0 ? DP_OK : dpi_multistart_nothing(c);
}

static dp_status run(dpi_campaign *c) {
  DP_TRY(dpi_campaign_load(c));
  DP_TRY(rounds(c));
  cut_to_budget(c);
  for (int k = 0; k < c->ms->nstart; k++) {
    c->ms->neval += c->ms->start[k].neval;
    c->ms->nfailed += c->ms->start[k].nfailed;
    c->ms->nredraw += c->ms->start[k].nredraw;
  }
  return c->def->starts_only ? only_starts(c) : dpi_multistart_optima(c);
}

dp_status dpi_multistart_run(dpi_density *d, const dpi_multistart_def *def, dpi_multistart **out) {
  dpi_campaign c = {.d = d};
  *out = NULL;
  dp_status status = check_def(d, def);
  if (status == DP_OK) status = make_campaign(&c, d, def);
  if (status == DP_OK) status = run(&c);
  dpi_campaign_drop(&c);
  if (status == DP_OK)
    *out = c.ms;
  else
    dpi_multistart_destroy(c.ms);
  return status;
}
