/* policy_twin_move.c - floor 7: which move? Every move is rehearsed on every draw over the look ahead, from the same
 * states with the same offsets (common random numbers); terms are judged as in the room decide: limits at the
 * confidence bound of their probability over draws, rewards by their risk measures. Few moves are all tried, many are
 * searched by the room's cross-entropy method.
 *
 * What is rehearsed after the move: a parameter keeps its level for `hold`, then has `then`; a dose is repeated every
 * `repeat` for `hold`; nothing else is told or given. What fails on any draw is never chosen.
 */
#include "policy/policy_twin.h"

#include <math.h>
#include <string.h>

enum { most_members = 1 << 15 };
static const double failed_miss = 1e6;

typedef struct chooser {
  const dpi_draws *d;
  const dpi_policy_horizon *h;
  const dp_kind *kind;
  const double *person;
  dp_time now;
  int ndraw;
  int *draw; /* [ndraw] of d */
  double neff;
  double *param;          /* [ndraw x nparam] at the anchor, with offsets */
  int nfun, nbase, nmore; /* functionals of all terms; instants before the move; room for those of a move */
  dp_functional *fun;
  dpi_search search;
} chooser;

static dp_time ticks(double time) { return (dp_time)floor(time * (double)DP_TICKS + 0.5); }

double dpi_move_value(const dp_policy *policy, const dpi_policy_move *m, const double *person, double level) {
  const dpi_policy_gift *g = &policy->twin.horizon->gift[m->give];
  const double x = m->of >= 0 ? level * person[m->of] : level;
  return x < g->low ? g->low : x > g->high ? g->high : x;
}

/* ---- what is asked ---- */

static int term_size(const dpi_kind_term *t) { return t->of != DPI_OF_PATH ? 0 : t->ngrade ? t->ngrade : 1; }

static dp_status list_functionals(chooser *c) {
  const dpi_kind_reward *r = &c->kind->reward;
  for (int t = 0; t < r->nterm; t++) c->nfun += term_size(&r->term[t]);
  c->fun = DPI_NEW_ARRAY(c->kind->ctx, dp_functional, c->nfun + 1);
  if (!c->fun) return DP_ERR_MEMORY;
  dp_functional *f = c->fun;
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *k = &r->term[t];
    for (int i = 0; i < term_size(k); i++, f++) {
      *f = (dp_functional){.kind = k->functional, .output = c->kind->quantity[k->quantity].sim_output};
      f->level = k->ngrade ? -INFINITY : k->level;
      f->level2 = k->ngrade ? k->grade_level[i] : k->level2;
      f->from = c->now + (k->windowed ? ticks(k->from) : 0);
      f->to = c->now + ticks(k->windowed ? k->to : c->h->look);
    }
  }
  return DP_OK;
}

/* ---- a move as instants ---- */

static int repeats(const dpi_policy_horizon *h, const dpi_policy_move *m) {
  if (!(m->repeat > 0)) return 0;
  const double n = ceil(fmin(m->hold, h->look) / m->repeat - 1e-9) - 1;
  return n < 0 ? 0 : (int)n;
}

/* Instants of move x behind those before it; gives their number. */
static int put_move(const chooser *c, const double *x, dp_instant *out) {
  const dp_policy *p = c->d->policy;
  int n = 0, order = c->d->ninstant;
  for (int i = 0; i < c->h->nmove; i++) {
    const dpi_policy_move *m = &c->h->move[i];
    const dpi_policy_gift *g = &c->h->gift[m->give];
    const double value = dpi_move_value(p, m, c->person, x[i]) * g->factor;
    if (g->control >= 0) {
      if (!(value > 0)) continue;
      out[n] = dpi_draws_instant(c->kind, g->control, c->now, value);
      out[n].repeats = repeats(c->h, m);
      out[n].interval = out[n].repeats ? ticks(m->repeat) : 0;
      out[n++].order = ++order;
      continue;
    }
    for (int after = 0; after < (m->hold < c->h->look ? 2 : 1); after++) {
      out[n] = dp_instant_default();
      out[n].time = c->now + (after ? ticks(m->hold) : 0);
      out[n].type = DP_SWITCH;
      out[n].target = c->kind->covariate[g->covariate].sim_param;
      out[n].amount = after ? dpi_move_value(p, m, c->person, m->then) * g->factor : value;
      out[n++].order = ++order;
    }
  }
  for (int i = 1; i < n; i++) /* in order of time */
    for (int k = i; k > 0 && out[k].time < out[k - 1].time; k--) {
      const dp_instant swap = out[k];
      out[k] = out[k - 1];
      out[k - 1] = swap;
    }
  return n;
}

/* What a term over the gifts themselves is about. */
static double figure(const chooser *c, const dpi_kind_term *t, const double *x) {
  double amount = 0, count = 0;
  for (int i = 0; i < c->h->nmove; i++) {
    const dpi_policy_move *m = &c->h->move[i];
    const dpi_policy_gift *g = &c->h->gift[m->give];
    if (g->control < 0 || (t->of_control >= 0 && t->of_control != g->control)) continue;
    const double value = dpi_move_value(c->d->policy, m, c->person, x[i]) * g->factor;
    const int n = value > 0 ? repeats(c->h, m) + 1 : 0;
    count += n;
    amount += n * value;
  }
  return t->of == DPI_OF_COUNT ? count : t->of == DPI_OF_AMOUNT ? amount : amount / c->h->look;
}

/* ---- rehearsal ---- */

/* One draw's values of all terms; f NULL: it failed. */
static void take_values(const chooser *c, const double *x, const double *f, dpi_rehearsal *r, int i, int draw) {
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *k = &c->kind->reward.term[t];
    double value = f ? 0 : NAN;
    if (k->of != DPI_OF_PATH) {
      dpi_rehearsed(r, i, t)[draw] = figure(c, k, x);
      continue;
    }
    for (int j = 0; f && j < k->ngrade; j++) value += k->grade_weight[j] * f[j];
    if (f && !k->ngrade) value = *f;
    const bool passage = k->functional == DP_FIRST_ABOVE || k->functional == DP_FIRST_BELOW;
    if (f && passage) value = isnan(value) ? INFINITY : value - (double)c->now / (double)DP_TICKS;
    dpi_rehearsed(r, i, t)[draw] = value;
    if (f) f += term_size(k);
  }
}

static dp_status simulate(const chooser *c, const double *x, int n, dpi_rehearsal *r, int *nfailed) {
  dp_ctx *ctx = c->kind->ctx;
  const dpi_draws *d = c->d;
  const size_t nparam = (size_t)dp_sim_describe(c->kind->sim)->nparam,
               nstate = (size_t)dp_sim_describe(c->kind->sim)->nstate, room = (size_t)(c->nbase + c->nmore);
  const dp_run_opts opts = dp_run_opts_default();
  dp_result *result = NULL;
  dp_member *member = DPI_NEW_ARRAY(ctx, dp_member, (size_t)n * (size_t)c->ndraw + 1);
  dp_instant *instant = DPI_NEW_ARRAY(ctx, dp_instant, (size_t)n * room + 1);
  dp_status status = member && instant ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < n && status == DP_OK; i++) {
    dp_instant *in = instant + (size_t)i * room;
    if (c->nbase) memcpy(in, d->instant + d->past, sizeof *in * (size_t)c->nbase);
    const int more = put_move(c, x + (size_t)i * (size_t)c->h->nmove, in + c->nbase);
    for (int j = 0; j < c->ndraw; j++)
      member[(size_t)i * (size_t)c->ndraw + (size_t)j] =
          (dp_member){.param = c->param + (size_t)j * nparam,
                      .instant = in,
                      .ninstant = c->nbase + more,
                      .functional = c->fun,
                      .nfunctional = c->nfun,
                      .start = d->anchor,
                      .state0 = d->lived ? d->state + (size_t)c->draw[j] * nstate : NULL};
  }
  if (status == DP_OK) status = dp_simulate(c->kind->sim, member, n * c->ndraw, &opts, &result);
  for (int i = 0; i < n && status == DP_OK; i++)
    for (int j = 0; j < c->ndraw; j++) {
      const int m = i * c->ndraw + j;
      const bool failed = result->status[m] != DP_MEMBER_OK;
      nfailed[i] += failed;
      take_values(c, x + (size_t)i * (size_t)c->h->nmove, failed ? NULL : result->functional + result->functional_at[m],
                  r, i, j);
    }
  dp_result_destroy(result);
  dpi_free(ctx, member);
  dpi_free(ctx, instant);
  return status;
}

/* Reward and miss of n moves. A limit that does not hold at its bound is a miss, however small. */
static dp_status judge(const chooser *c, const dpi_rehearsal *r, const int *nfailed, double *reward, double *miss) {
  dp_term_value *term = DPI_NEW_ARRAY(c->kind->ctx, dp_term_value, r->nterm + 1);
  dp_status status = term ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < r->ncandidate && status == DP_OK; i++) {
    dpi_judgement j;
    status = dpi_decide_judge_row(c->kind, r, i, c->neff, c->kind->reward.confidence, term, NULL, &j);
    if (status != DP_OK) break;
    reward[i] = j.reward;
    miss[i] = j.admissible ? 0 : fmax(dpi_search_miss(&c->search, term), 1e-12);
    if (nfailed[i] || !isfinite(j.reward)) miss[i] = failed_miss + nfailed[i], reward[i] = -INFINITY;
  }
  dpi_free(c->kind->ctx, term);
  return status;
}

static dp_status score_some(chooser *c, const double *x, int n, double *reward, double *miss) {
  dp_ctx *ctx = c->kind->ctx;
  dpi_rehearsal r = {.ncandidate = n, .nterm = c->kind->reward.nterm, .ndraw = c->ndraw};
  const size_t size = (size_t)n * (size_t)r.nterm * (size_t)r.ndraw;
  r.value = DPI_NEW_ARRAY(ctx, double, size + 1);
  r.window = DPI_NEW_ARRAY(ctx, double, n + 1);
  int *nfailed = DPI_NEW_ARRAY(ctx, int, n + 1);
  dp_status status = r.value && r.window && nfailed ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < n && status == DP_OK; i++) r.window[i] = c->h->look;
  if (status == DP_OK) status = simulate(c, x, n, &r, nfailed);
  if (status == DP_OK) status = judge(c, &r, nfailed, reward, miss);
  dpi_rehearsal_release(ctx, &r);
  dpi_free(ctx, nfailed);
  return status;
}

static dp_status score(void *user, const double *x, int n, double *reward, double *miss) {
  chooser *c = user;
  const int at_once = most_members / c->ndraw > 1 ? most_members / c->ndraw : 1;
  for (int i = 0; i < n; i += at_once)
    DP_TRY(score_some(c, x + (size_t)i * (size_t)c->h->nmove, n - i < at_once ? n - i : at_once, reward + i, miss + i));
  return DP_OK;
}

/* ---- search ---- */

static dp_status space_of(const chooser *c, dpi_space *s) {
  *s = (dpi_space){.kind = c->kind, .nvar = c->h->nmove, .npoint = 1};
  s->var = DPI_NEW_ARRAY(c->kind->ctx, dpi_variable, c->h->nmove + 1);
  if (!s->var) return DP_ERR_MEMORY;
  for (int i = 0; i < c->h->nmove; i++) {
    const dpi_policy_move *m = &c->h->move[i];
    s->var[i] = (dpi_variable){
        .control = -1, .slot = -1, .n = m->n, .level = m->level, .lower = m->lower, .upper = m->upper, .step = m->step};
    s->npoint *= m->n ? m->n : INFINITY;
  }
  return DP_OK;
}

static void keep_best(const double *x, int nvar, const double *reward, const double *miss, int n, double *level,
                      double *best_reward, double *best_miss) {
  for (int i = 0; i < n; i++) {
    if (!dpi_search_better(miss[i], reward[i], *best_miss, *best_reward)) continue;
    *best_miss = miss[i];
    *best_reward = reward[i];
    memcpy(level, x + (size_t)i * (size_t)nvar, sizeof *level * (size_t)nvar);
  }
}

/* Every move there is. */
static dp_status try_all(chooser *c, const dpi_space *s, double *level, double *best_reward, double *best_miss) {
  const int n = (int)s->npoint;
  double *x = DPI_NEW_ARRAY(c->kind->ctx, double, (size_t)n *(size_t)(s->nvar + 2) + 1);
  if (!x) return DP_ERR_MEMORY;
  double *reward = x + (size_t)n * (size_t)s->nvar, *miss = reward + n;
  for (int i = 0; i < n; i++) dpi_space_point(s, i, x + (size_t)i * (size_t)s->nvar);
  const dp_status status = score(c, x, n, reward, miss);
  if (status == DP_OK) keep_best(x, s->nvar, reward, miss, n, level, best_reward, best_miss);
  dpi_free(c->kind->ctx, x);
  return status;
}

static dp_status search(chooser *c, uint64_t seed, double *level, double *best_reward, double *best_miss) {
  dpi_space s;
  const dpi_search_ops *ops;
  DP_TRY(space_of(c, &s));
  dp_status status = dpi_search_open(c->kind, &s, NULL, 0, c->neff, &c->search);
  c->search.seed = seed;
  c->search.budget = c->h->evaluations;
  c->search.score = score;
  c->search.score_user = c;
  if (status == DP_OK && s.npoint <= c->h->evaluations) {
    status = try_all(c, &s, level, best_reward, best_miss);
  } else if (status == DP_OK) {
    status = dpi_search_choose(c->kind, &s, "cross-entropy", &ops);
    if (status == DP_OK) status = ops->run(&c->search);
    if (status == DP_OK)
      keep_best(c->search.x, s.nvar, c->search.reward, c->search.miss, c->search.nseen, level, best_reward, best_miss);
  }
  dpi_search_close(&c->search);
  dpi_free(c->kind->ctx, s.var);
  return status;
}

/* ---- the whole ---- */

/* Draws for the rehearsal: all of them, or by their weights as evenly as can be. */
static void choose_draws(chooser *c) {
  const dpi_draws *d = c->d;
  double sum = 0, sum2 = 0;
  bool equal = true;
  for (int j = 0; j < d->n; j++) {
    sum2 += d->weight[j] * d->weight[j];
    equal = equal && d->weight[j] == d->weight[0];
    c->draw[j] = j;
  }
  c->ndraw = d->n;
  c->neff = fmin(d->neff, d->n);
  if (equal) return;
  c->neff = fmin(c->neff, 1 / sum2);
  for (int j = 0, k = 0; j < d->n; j++) {
    while (k + 1 < d->n && sum + d->weight[k] < (j + 0.5) / d->n) sum += d->weight[k++];
    c->draw[j] = k;
  }
}

static dp_status prepare(chooser *c) {
  dp_ctx *ctx = c->kind->ctx;
  const dpi_draws *d = c->d;
  const size_t nparam = (size_t)dp_sim_describe(c->kind->sim)->nparam;
  c->draw = DPI_NEW_ARRAY(ctx, int, d->n + 1);
  c->param = DPI_NEW_ARRAY(ctx, double, (size_t)d->n *nparam + 1);
  if (!c->draw || !c->param) return DP_ERR_MEMORY;
  choose_draws(c);
  for (int j = 0; j < c->ndraw; j++) {
    double *p = c->param + (size_t)j * nparam;
    if (nparam) memcpy(p, d->param + (size_t)c->draw[j] * nparam, sizeof *p * nparam);
    for (int k = 0; k < d->policy->desc.nread; k++)
      if (c->h->offset[k] >= 0)
        p[c->h->offset[k]] = d->offset[(size_t)c->draw[j] * (size_t)d->policy->desc.nread + (size_t)k];
  }
  c->nbase = d->ninstant - d->past;
  c->nmore = 2 * c->h->nmove;
  return list_functionals(c);
}

dp_status dpi_move_choose(const dpi_draws *d, const double *person, dp_time now, uint64_t seed, double *level,
                          bool *found) {
  chooser c = {.d = d, .h = d->h, .kind = d->kind, .person = person, .now = now};
  double best_reward = -INFINITY, best_miss = INFINITY;
  dp_status status = prepare(&c);
  if (status == DP_OK) status = search(&c, seed, level, &best_reward, &best_miss);
  *found = best_miss == 0;
  dpi_free(d->policy->ctx, c.draw);
  dpi_free(d->policy->ctx, c.param);
  dpi_free(d->policy->ctx, c.fun);
  return status;
}
