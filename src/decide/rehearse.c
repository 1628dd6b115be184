/* rehearse.c - floor 6: plans x draws through the waist. Each member is one draw of the digital state under one plan;
 * what comes back
 * are path functionals (extrema as extrema of the curve), never values on a grid.
 *
 * Invariants:
 *   1. a plan that begins in a steady state knows no history; any other begins at `now`, where each draw's own history
 *   has led: from
 *      the state there, or, where a state does not tell all (doses under way, delays, events), from the start of
 *      history;
 *   2. where the response is proportional to the doses and integration is exact, plans that differ by a factor share
 *   members: extrema
 *      and integrals are multiplied, levels divided; and of a window that is several intervals of a steady state one is
 *      simulated;
 *   3. what a draw gives depends on that draw and the plan alone (common random numbers). */
#include <math.h>
#include <string.h>

#include "decide/decide.h"
#include "lang/lang.h"

enum { MAX_MEMBER = 1 << 16 }; /* at one time */

static dp_time now_of(const dp_plan_patient *p) { return (dp_time)llround(p->now * (double)DP_TICKS); }

/* ---------------------------------------------------------------- a draw of the belief */

void dpi_decide_param(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int draw,
                      double *param) {
  memcpy(param, patient->param, sizeof(double) * (size_t)dp_sim_describe(kind->sim)->nparam);
  const double *eta = belief->eta + (size_t)draw * (size_t)belief->neta;
  for (int i = 0; i < patient->nhistory; i++) {
    const dp_instant *s = &patient->history[i];
    if (s->type == DP_SWITCH && s->dir_amount < 0 && s->time <= now_of(patient)) param[s->target] = s->amount;
  }
  for (int e = 0; e < belief->neta; e++) param[kind->effect[patient->eta_effect[e]].sim_param] = eta[e];
}

void dpi_decide_relive(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int draw,
                       double *param, dp_instant *instant) {
  memcpy(param, patient->param, sizeof(double) * (size_t)dp_sim_describe(kind->sim)->nparam);
  const double *eta = belief->eta + (size_t)draw * (size_t)belief->neta;
  /* downwards: of an effect with occasions the first one stays, the switches bring the others */
  for (int e = belief->neta - 1; e >= 0; e--) param[kind->effect[patient->eta_effect[e]].sim_param] = eta[e];
  for (int i = 0; i < patient->nhistory; i++) {
    instant[i] = patient->history[i];
    if (instant[i].type == DP_SWITCH && instant[i].dir_amount >= 0) instant[i].amount = eta[instant[i].dir_amount];
    instant[i].dir_amount = instant[i].dir_time = -1; /* no derivatives are asked for here */
  }
}

/* What of the history has happened by now: later instants are left out, repeats end. Returns how many are left. */
static int past_only(dp_instant *instant, int n, dp_time now) {
  int kept = 0;
  for (int i = 0; i < n; i++) {
    dp_instant s = instant[i];
    if (s.time > now) continue;
    if (s.interval > 0 && s.repeats > 0) {
      int64_t most = (now - s.time) / s.interval;
      if (s.repeats > most) s.repeats = (int32_t)most;
    }
    instant[kept++] = s;
  }
  return kept;
}

/* Does the state at now tell all that history does to what comes? */
static bool state_tells(const dp_kind *kind, const dp_plan_patient *p) {
  dp_time now = now_of(p);
  if (kind->model->nevent || kind->model->ndelayed || kind->model->ndraw) return false;
  for (int i = 0; i < p->nhistory; i++) {
    const dp_instant *s = &p->history[i];
    if (s->time > now || (s->type != DP_ADD && s->type != DP_INFUSE)) continue;
    for (int c = 0; c < kind->ncontrol; c++)
      if (kind->control[c].sim_control == s->target && kind->control[c].timed) return false;
    if (s->type == DP_ADD) continue;
    if (!(s->rate > 0) || s->amount <= 0) return false;
    int64_t k = s->interval > 0 && s->repeats > 0 ? (now - s->time) / s->interval : 0;
    if (k > s->repeats) k = s->repeats;
    /* twice its length: a bioavailability above 1 makes it longer */
    double end = (double)(s->time + k * s->interval) + 2 * s->amount / s->rate * (double)DP_TICKS;
    if (end >= (double)now) return false;
  }
  return true;
}

/* ---------------------------------------------------------------- the rehearser */

/* May members be shared among doses? */
static bool can_scale(const dp_kind *kind) {
  if (!kind->proportional || !(dp_sim_describe(kind->ensemble)->caps & DP_CAP_EXACT)) return false;
  for (int t = 0; t < kind->reward.nterm; t++) {
    const dpi_kind_term *k = &kind->reward.term[t];
    if (k->of == DPI_OF_PATH && !kind->quantity[k->quantity].proportional) return false;
  }
  return true;
}

dp_status dpi_rehearser_open(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief,
                             const int *draw, int ndraw, dpi_rehearser *h) {
  size_t nparam = (size_t)dp_sim_describe(kind->sim)->nparam;
  *h = (dpi_rehearser){.kind = kind, .patient = patient, .belief = belief, .ndraw = ndraw};
  h->draw = DPI_NEW_ARRAY(kind->ctx, int, ndraw);
  h->param = DPI_NEW_ARRAY(kind->ctx, double, (size_t)ndraw *nparam + 1);
  if (!h->draw || !h->param) {
    dpi_rehearser_close(h);
    return DP_ERR_MEMORY;
  }
  for (int k = 0; k < ndraw; k++) {
    h->draw[k] = draw ? draw[k] : k;
    dpi_decide_param(kind, patient, belief, h->draw[k], h->param + (size_t)k * nparam);
  }
  h->relive = !state_tells(kind, patient);
  h->scales = can_scale(kind);
  return DP_OK;
}

dp_status dpi_rehearser_spread(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int n,
                               dpi_rehearser *out) {
  *out = (dpi_rehearser){.kind = kind};
  if (n >= belief->ndraw) return dpi_rehearser_open(kind, patient, belief, NULL, belief->ndraw, out);
  int *draw = DPI_NEW_ARRAY(kind->ctx, int, n);
  if (!draw) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) draw[k] = (int)((int64_t)k * belief->ndraw / n);
  dp_status status = dpi_rehearser_open(kind, patient, belief, draw, n, out);
  dpi_free(kind->ctx, draw);
  return status;
}

void dpi_rehearser_close(dpi_rehearser *h) {
  if (!h->kind) return;
  dpi_free(h->kind->ctx, h->draw);
  dpi_free(h->kind->ctx, h->param);
  dpi_free(h->kind->ctx, h->state);
  *h = (dpi_rehearser){0};
}

/* ---------------------------------------------------------------- history */

typedef struct lives {
  double *param;       /* [ndraw x nparam] */
  dp_instant *instant; /* [ndraw x room] */
  int ninstant;        /* of history, in each */
} lives;

/* Each draw's history up to now, with room for nmore instants after it. */
static dp_status relive_all(const dpi_rehearser *h, int nmore, lives *out) {
  const dp_kind *kind = h->kind;
  size_t nparam = (size_t)dp_sim_describe(kind->sim)->nparam, room = (size_t)h->patient->nhistory + (size_t)nmore + 1;
  *out = (lives){.param = DPI_NEW_ARRAY(kind->ctx, double, (size_t)h->ndraw *nparam + 1),
                 .instant = DPI_NEW_ARRAY(kind->ctx, dp_instant, (size_t)h->ndraw * room)};
  if (!out->param || !out->instant) return DP_ERR_MEMORY;
  for (int k = 0; k < h->ndraw; k++) {
    dp_instant *in = out->instant + (size_t)k * room;
    dpi_decide_relive(kind, h->patient, h->belief, h->draw[k], out->param + (size_t)k * nparam, in);
    out->ninstant = past_only(in, h->patient->nhistory, now_of(h->patient));
  }
  return DP_OK;
}

static void lives_release(dp_ctx *ctx, lives *l) {
  dpi_free(ctx, l->param);
  dpi_free(ctx, l->instant);
}

static dp_status read_states(dpi_rehearser *h, dp_run *run) {
  size_t nstate = (size_t)dp_sim_describe(h->kind->sim)->nstate;
  DP_TRY(dp_run_advance(run, now_of(h->patient)));
  for (int k = 0; k < h->ndraw; k++) DP_TRY(dp_run_state_get(run, k, h->state + (size_t)k * nstate));
  return DP_OK;
}

/* State of every draw at now. */
dp_status dpi_rehearser_live(dpi_rehearser *h) {
  if (h->relive || h->state) return DP_OK;
  const dp_kind *kind = h->kind;
  dp_ctx *ctx = kind->ctx;
  size_t nparam = (size_t)dp_sim_describe(kind->sim)->nparam, nstate = (size_t)dp_sim_describe(kind->sim)->nstate;
  size_t room = (size_t)h->patient->nhistory + 1;
  lives l = {0};
  dp_run *run = NULL;
  dp_output_time end = {now_of(h->patient), INT32_MAX};
  dp_member *member = DPI_NEW_ARRAY(ctx, dp_member, h->ndraw);
  h->state = DPI_NEW_ARRAY(ctx, double, (size_t)h->ndraw *nstate + 1);
  dp_status status = member && h->state ? relive_all(h, 0, &l) : DP_ERR_MEMORY;
  if (status == DP_OK) {
    for (int k = 0; k < h->ndraw; k++)
      member[k] = (dp_member){.param = l.param + (size_t)k * nparam,
                              .instant = l.instant + (size_t)k * room,
                              .ninstant = l.ninstant,
                              .out = &end,
                              .nout = 1,
                              .stream = h->patient->stream};
    dp_run_opts opts = dp_run_opts_default();
    status = dp_run_open(kind->ensemble, member, h->ndraw, &opts, &run);
    if (status == DP_OK) status = read_states(h, run);
    dp_run_close(run);
  }
  lives_release(ctx, &l);
  dpi_free(ctx, member);
  if (status != DP_OK) {
    dpi_free(ctx, h->state);
    h->state = NULL;
  }
  return status;
}

/* ---------------------------------------------------------------- groups of plans that share members */

typedef struct group {
  int leader; /* the plan that is simulated: index into which */
  int nfun;
  dp_functional *fun;
  dp_instant *instant;
  int ninstant;
  bool steady;
  int fold; /* the window is so many times the first interval, which alone is simulated; 1: it is simulated as it is */
} group;

typedef struct block {
  dpi_rehearser *h;
  dp_plan *const *plan; /* by which */
  const int *which;
  int nwhich;
  dpi_rehearsal *out;
  int *group_of; /* [nwhich] */
  double *ratio; /* [nwhich] of its amounts to the leader's */
  int *fun_at;   /* [nwhich x nterm] first functional of a term in its group's list */
  group *group;
  int ngroup;
  double *earned; /* [ndraw] */
} block;

static dp_plan *plan_at(const block *b, int i) { return b->plan[b->which ? b->which[i] : i]; }

/* Are the rows of p those of q times one factor? */
static bool same_shape(const dp_kind *kind, const dp_plan *p, const dp_plan *q, double *ratio) {
  if (p->nrow != q->nrow || !dpi_plan_steady(p) || !dpi_plan_steady(q)) return false;
  *ratio = p->row[0].amount / q->row[0].amount;
  if (!(*ratio > 0) || isinf(*ratio)) return false;
  for (int i = 0; i < p->nrow; i++) {
    const dp_plan_row *a = &p->row[i], *b = &q->row[i];
    const dpi_kind_control *c = &kind->control[a->control];
    bool same = a->control == b->control && a->time == b->time && a->duration == b->duration &&
                a->interval == b->interval && a->repeats == b->repeats && a->steady == b->steady;
    /* a rate of the control's own makes a larger dose a longer one */
    if (!same || (c->model_rate && !c->model_duration && !(a->duration > 0))) return false;
    if (fabs(a->amount - *ratio * b->amount) > 1e-12 * a->amount) return false;
  }
  return true;
}

/* How many equal intervals of a steady state the window is. */
static int fold_of(const block *b, const dp_plan *p, double window) {
  const dpi_kind_reward *r = &b->h->kind->reward;
  if (!b->h->scales || !dpi_plan_steady(p)) return 1;
  double interval = p->row[0].interval, n = floor(window / interval + 0.5);
  for (int i = 0; i < p->nrow; i++)
    if (p->row[i].interval != interval || !p->row[i].steady || p->row[i].duration > interval ||
        p->row[i].repeats + 1 < n) /* it ends before the window does */
      return 1;
  for (int t = 0; t < r->nterm; t++)
    if (r->term[t].windowed) return 1;
  return n >= 2 && n < 1e6 && fabs(window - n * interval) <= 1e-9 * window ? (int)n : 1;
}

static void put_in_groups(block *b) {
  for (int i = 0; i < b->nwhich; i++) {
    const dp_plan *p = plan_at(b, i);
    int g = -1;
    double ratio = 1;
    /* plans of one shape are mostly neighbours: the last groups are looked at first */
    for (int k = b->ngroup - 1; b->h->scales && g < 0 && k >= 0 && k >= b->ngroup - 64; k--)
      if (same_shape(b->h->kind, p, plan_at(b, b->group[k].leader), &ratio)) g = k;
    if (g < 0) {
      g = b->ngroup++;
      b->group[g] = (group){.leader = i, .steady = dpi_plan_steady(p), .fold = fold_of(b, p, b->out->window[i])};
      ratio = 1;
    }
    b->group_of[i] = g;
    b->ratio[i] = ratio;
  }
}

/* How many functionals a term asks for. */
static int term_size(const dpi_kind_term *t) { return t->of != DPI_OF_PATH ? 0 : t->ngrade ? t->ngrade : 1; }

/* Does the term's functional of another dose follow from that of this one, without another level? */
static bool follows(const dpi_kind_term *t) {
  return t->functional == DP_MAXIMUM || t->functional == DP_MINIMUM || t->functional == DP_INTEGRAL;
}

/* Functionals of one term of one plan into f [term_size]. */
static void ask(const block *b, const dpi_kind_term *t, double window, const group *g, double ratio, dp_functional *f) {
  double base = g->steady ? 0 : b->h->patient->now, from = t->windowed ? t->from : 0;
  double to = t->windowed ? t->to : window / g->fold;
  for (int k = 0; k < term_size(t); k++) {
    f[k] = (dp_functional){.kind = t->functional, .output = b->h->kind->quantity[t->quantity].sim_output};
    f[k].level = t->ngrade ? -INFINITY : t->level / ratio;
    f[k].level2 = (t->ngrade ? t->grade_level[k] : t->level2) / ratio;
    f[k].from = (dp_time)llround((base + from) * (double)DP_TICKS);
    f[k].to = (dp_time)llround((base + to) * (double)DP_TICKS);
  }
}

/* Each group's list: what follows from the leader once, what has levels for every plan. */
static dp_status list_functionals(block *b) {
  const dpi_kind_reward *r = &b->h->kind->reward;
  dp_ctx *ctx = b->h->kind->ctx;
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < b->nwhich; i++) {
      group *g = &b->group[b->group_of[i]];
      for (int t = 0; t < r->nterm; t++) {
        const dpi_kind_term *k = &r->term[t];
        int *at = &b->fun_at[(size_t)i * (size_t)r->nterm + (size_t)t];
        if (i != g->leader && follows(k)) {
          *at = b->fun_at[(size_t)g->leader * (size_t)r->nterm + (size_t)t];
          continue;
        }
        *at = g->nfun;
        if (pass == 1) ask(b, k, b->out->window[i], g, b->ratio[i], g->fun + g->nfun);
        g->nfun += term_size(k);
      }
    }
    for (int k = 0; pass == 0 && k < b->ngroup; k++) {
      b->group[k].fun = DPI_NEW_ARRAY(ctx, dp_functional, b->group[k].nfun + 1);
      if (!b->group[k].fun) return DP_ERR_MEMORY;
      b->group[k].nfun = 0;
    }
  }
  for (int k = 0; k < b->ngroup; k++) {
    const dp_plan *p = plan_at(b, b->group[k].leader);
    double now = b->group[k].steady ? 0 : b->h->patient->now;
    DP_TRY(dp_plan_instants(b->h->kind, p, now, &b->group[k].instant, &b->group[k].ninstant));
    for (int i = 0; b->group[k].fold > 1 && i < b->group[k].ninstant; i++) b->group[k].instant[i].repeats = 0;
  }
  return DP_OK;
}

/* ---------------------------------------------------------------- simulation */

/* What a functional's value means: a first passage that is masked in a sound member never came; from now on. */
static double value_of(const dpi_kind_term *t, bool failed, double value, double base) {
  if (failed) return NAN;
  bool passage = t->functional == DP_FIRST_ABOVE || t->functional == DP_FIRST_BELOW;
  if (!passage) return value;
  return isnan(value) ? INFINITY : value - base;
}

/* One plan's values on one draw, from its group's member; f NULL: it failed. */
static void take_values(block *b, int i, int draw, const double *f) {
  const dpi_kind_reward *r = &b->h->kind->reward;
  const group *g = &b->group[b->group_of[i]];
  double base = g->steady ? 0 : b->h->patient->now;
  for (int t = 0; t < r->nterm; t++) {
    const dpi_kind_term *k = &r->term[t];
    const double *v = f ? f + b->fun_at[(size_t)i * (size_t)r->nterm + (size_t)t] : NULL;
    double x = 0;
    if (k->of != DPI_OF_PATH) continue;
    if (!v)
      x = NAN;
    else if (k->ngrade)
      for (int j = 0; j < k->ngrade; j++) x += k->grade_weight[j] * v[j];
    else
      x = follows(k) ? v[0] * b->ratio[i] : v[0];
    if (k->functional == DP_INTEGRAL || k->functional == DP_TIME_BETWEEN) x *= g->fold;
    dpi_rehearsed(b->out, i, t)[draw] = value_of(k, f == NULL, x, base);
  }
}

/* Members of groups first .. first + n - 1 for all draws; steady ones and those from the state at now. */
static dp_status simulate_groups(block *b, int first, int n, dp_member *member) {
  const dpi_rehearser *h = b->h;
  size_t nparam = (size_t)dp_sim_describe(h->kind->sim)->nparam, nstate = (size_t)dp_sim_describe(h->kind->sim)->nstate;
  dp_run_opts opts = dp_run_opts_default();
  dp_result *result = NULL;
  for (int g = 0; g < n; g++) {
    const group *q = &b->group[first + g];
    for (int k = 0; k < h->ndraw; k++) {
      dp_member *m = &member[g * h->ndraw + k];
      *m = (dp_member){.param = h->param + (size_t)k * nparam,
                       .instant = q->instant,
                       .ninstant = q->ninstant,
                       .functional = q->fun,
                       .nfunctional = q->nfun,
                       .stream = h->patient->stream};
      if (q->steady) continue;
      const double *x = h->state + (size_t)k * nstate;
      m->start = now_of(h->patient);
      if (nstate == 0 || !isnan(x[0]))
        m->state0 = nstate ? x : NULL;
      else
        m->ninstant = m->nfunctional = 0; /* history failed; so does what follows */
    }
  }
  DP_TRY(dp_simulate(h->kind->ensemble, member, n * h->ndraw, &opts, &result));
  for (int i = 0; i < b->nwhich; i++) {
    int g = b->group_of[i] - first;
    if (g < 0 || g >= n) continue;
    for (int k = 0; k < h->ndraw; k++) {
      int m = g * h->ndraw + k;
      bool failed = result->status[m] != DP_MEMBER_OK || member[m].nfunctional != b->group[first + g].nfun;
      take_values(b, i, k, failed ? NULL : result->functional + result->functional_at[m]);
    }
  }
  dp_result_destroy(result);
  return DP_OK;
}

/* One group whose draws live through their history again and then through the plan. */
static dp_status simulate_again(block *b, int g, dp_member *member) {
  const dpi_rehearser *h = b->h;
  dp_ctx *ctx = h->kind->ctx;
  const group *q = &b->group[g];
  size_t nparam = (size_t)dp_sim_describe(h->kind->sim)->nparam;
  size_t room = (size_t)h->patient->nhistory + (size_t)q->ninstant + 1;
  dp_run_opts opts = dp_run_opts_default();
  dp_result *result = NULL;
  lives l = {0};
  dp_status status = relive_all(h, q->ninstant, &l);
  for (int k = 0; status == DP_OK && k < h->ndraw; k++) {
    dp_instant *in = l.instant + (size_t)k * room;
    if (q->ninstant) memcpy(in + l.ninstant, q->instant, sizeof *in * (size_t)q->ninstant);
    member[k] = (dp_member){.param = l.param + (size_t)k * nparam,
                            .instant = in,
                            .ninstant = l.ninstant + q->ninstant,
                            .functional = q->fun,
                            .nfunctional = q->nfun,
                            .stream = h->patient->stream};
  }
  if (status == DP_OK) status = dp_simulate(h->kind->ensemble, member, h->ndraw, &opts, &result);
  for (int i = 0; status == DP_OK && i < b->nwhich; i++)
    for (int k = 0; b->group_of[i] == g && k < h->ndraw; k++)
      take_values(b, i, k, result->status[k] != DP_MEMBER_OK ? NULL : result->functional + result->functional_at[k]);
  dp_result_destroy(result);
  lives_release(ctx, &l);
  return status;
}

static dp_status simulate_all(block *b) {
  dp_ctx *ctx = b->h->kind->ctx;
  int at_once = MAX_MEMBER / b->h->ndraw > 1 ? MAX_MEMBER / b->h->ndraw : 1;
  if (at_once > b->ngroup) at_once = b->ngroup;
  bool courses = false;
  for (int g = 0; g < b->ngroup; g++) courses |= !b->group[g].steady;
  if (courses && b->h->patient->now < 0)
    return dpi_fail(ctx, DP_ERR_USAGE, "a plan that does not begin in a steady state begins at now >= 0, found %g",
                    b->h->patient->now);
  if (courses) DP_TRY(dpi_rehearser_live(b->h));
  dp_member *member = DPI_NEW_ARRAY(ctx, dp_member, (size_t)at_once * (size_t)b->h->ndraw + 1);
  dp_status status = member ? DP_OK : DP_ERR_MEMORY;
  for (int g = 0; status == DP_OK && g < b->ngroup;) {
    if (b->h->relive && !b->group[g].steady) {
      status = simulate_again(b, g++, member);
      continue;
    }
    int n = 1;
    while (n < at_once && g + n < b->ngroup && !(b->h->relive && !b->group[g + n].steady)) n++;
    status = simulate_groups(b, g, n, member);
    g += n;
  }
  dpi_free(ctx, member);
  return status;
}

/* ---------------------------------------------------------------- all together */

/* Terms over the plan itself, and the weighted reward of every draw. */
static dp_status add_up(block *b) {
  const dp_kind *kind = b->h->kind;
  dpi_rehearsal *r = b->out;
  for (int i = 0; i < b->nwhich; i++) {
    double *total = r->total + (size_t)i * (size_t)r->ndraw;
    for (int t = 0; t < r->nterm; t++) {
      const dpi_kind_term *k = &kind->reward.term[t];
      double *v = dpi_rehearsed(r, i, t), figure = 0;
      if (k->of != DPI_OF_PATH) figure = dpi_plan_figure(kind, plan_at(b, i), k->of, k->of_control);
      for (int d = 0; k->of != DPI_OF_PATH && d < r->ndraw; d++) v[d] = figure;
      if (k->goal != DPI_GOAL_REWARD) continue;
      DP_TRY(dpi_decide_earn(kind, k, v, r->ndraw, r->window[i], b->earned));
      for (int d = 0; d < r->ndraw; d++) total[d] += k->weight * b->earned[d];
    }
  }
  return DP_OK;
}

static void block_release(block *b) {
  dp_ctx *ctx = b->h->kind->ctx;
  for (int g = 0; b->group && g < b->ngroup; g++) {
    dpi_free(ctx, b->group[g].fun);
    dpi_free(ctx, b->group[g].instant);
  }
  dpi_free(ctx, b->group);
  dpi_free(ctx, b->group_of);
  dpi_free(ctx, b->ratio);
  dpi_free(ctx, b->fun_at);
  dpi_free(ctx, b->earned);
}

void dpi_rehearsal_release(dp_ctx *ctx, dpi_rehearsal *r) {
  dpi_free(ctx, r->value);
  dpi_free(ctx, r->total);
  dpi_free(ctx, r->window);
  *r = (dpi_rehearsal){0};
}

static dp_status make_room(block *b) {
  dp_ctx *ctx = b->h->kind->ctx;
  dpi_rehearsal *r = b->out;
  size_t n = (size_t)b->nwhich, nterm = (size_t)r->nterm, ndraw = (size_t)r->ndraw;
  r->value = DPI_NEW_ARRAY(ctx, double, n *nterm *ndraw + 1);
  r->total = DPI_NEW_ARRAY(ctx, double, n *ndraw + 1);
  r->window = DPI_NEW_ARRAY(ctx, double, n + 1);
  b->group = DPI_NEW_ARRAY(ctx, group, n + 1);
  b->group_of = DPI_NEW_ARRAY(ctx, int, n + 1);
  b->ratio = DPI_NEW_ARRAY(ctx, double, n + 1);
  b->fun_at = DPI_NEW_ARRAY(ctx, int, n *nterm + 1);
  b->earned = DPI_NEW_ARRAY(ctx, double, ndraw + 1);
  return r->value && r->total && r->window && b->group && b->group_of && b->ratio && b->fun_at && b->earned
             ? DP_OK
             : DP_ERR_MEMORY;
}

dp_status dpi_decide_rehearse(dpi_rehearser *h, dp_plan *const *plan, const int *which, int nwhich,
                              dpi_rehearsal *out) {
  *out = (dpi_rehearsal){.ncandidate = nwhich, .nterm = h->kind->reward.nterm, .ndraw = h->ndraw};
  block b = {.h = h, .plan = plan, .which = which, .nwhich = nwhich, .out = out};
  dp_status status = make_room(&b);
  if (status == DP_OK) {
    for (int i = 0; i < nwhich; i++) out->window[i] = dpi_plan_window(h->kind, plan_at(&b, i));
    put_in_groups(&b);
    status = list_functionals(&b);
  }
  if (status == DP_OK) status = simulate_all(&b);
  if (status == DP_OK) status = add_up(&b);
  block_release(&b);
  if (status != DP_OK) dpi_rehearsal_release(h->kind->ctx, out);
  return status;
}
