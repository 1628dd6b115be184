/* advice.c - floor 6: the search for a plan: candidates by one of the searches, all screened on some draws, the
 * promising ones judged on all, the choice by reward among those that hold their limits on fresh draws too.
 *
 * Invariants:
 *   1. a candidate leaves at the screen only when even the favourable bound (99.9 %) of a limit misses it;
 *   2. the same draws serve every candidate (common random numbers), so two plans are compared fairly;
 *   3. only a candidate judged on all draws may be advised or be the runner-up;
 *   4. what does not hold on fresh draws is not advised. Who may be looked at there, and in which order, is settled
 *      on the search's draws alone: a ladder from the best admissible plan, the edge, down to ever more cautious
 *      ones. It is climbed from its foot, and the first that misses a limit ends the climb: the highest rung below is
 *      the choice.
 *
 * Why a ladder. The edge is where the search's draws leave the least room, so it is where they flatter most; on fresh
 * draws it often fails. To try the next best until one passes is to look until luck helps: each look errs with 1 -
 * confidence. Looks in an order that is fixed beforehand and ends at the first failure err together with no more than
 * that, however many there are and however they depend on each other: for a plan that breaks a limit to be advised,
 * the first such plan of the order must pass, and that is one look (Maurer, Hothorn & Lehmacher 1995, in Biometrie in
 * der chemisch-pharmazeutischen Industrie 6; for limits on risks: Angelopoulos et al. 2021, Learn then Test,
 * arXiv:2110.01052, fixed sequence testing). So the foot comes first, every look has the full bound, and nothing is
 * split among looks. That several limits hold needs no correction either: all must (Berger 1982, Technometrics
 * 24:295). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"

#define COOKIE 0x504c414eu
#define SCREEN_CONFIDENCE 0.999
#define MAX_RUNGS 5       /* of the ladder: the edge, half its risk, a quarter, ... */
#define MOST_STEPS 8      /* plans that are judged on all draws for the sake of one rung */
#define MOST_CAUTIOUS 6   /* points with more room that a search which does not list all hands on beside the best */
#define MOST_OF_SEARCH 24 /* candidates that a search which does not list all hands on: the best */
#define MOST_OF_FRONT 40  /* and of its Pareto front */
#define MOST_NEAR 8       /* where none holds its limits, judged on all draws: those that by the screen miss least */

dp_plan_def dp_plan_def_default(void) {
  return (dp_plan_def){.cookie = COOKIE, .seed = 1, .nscreen = 120, .nhypothetical = 60};
}

void dp_advice_destroy(dp_advice *a) {
  if (!a) return;
  for (int c = 0; a->candidate && c < a->ncandidate; c++) {
    dpi_free(a->ctx, a->candidate[c].term);
    dpi_free(a->ctx, a->candidate[c].fresh);
    dpi_free(a->ctx, a->candidate[c].objective);
  }
  for (int c = 0; a->plan && c < a->ncandidate; c++) dp_plan_destroy(a->plan[c]);
  dpi_free(a->ctx, a->candidate);
  dpi_free(a->ctx, a->plan);
  dpi_free(a->ctx, a->next);
  dpi_free(a->ctx, a->conflict);
  dpi_free(a->ctx, a);
}

typedef struct search {
  const dp_kind *kind;
  const dp_plan_patient *patient;
  const dp_plan_def *def;
  dp_advice *advice;
  dpi_space space;
  dpi_rehearser some, all, fresh; /* on the screen's draws, on all, on the fresh belief's */
  int *which;                     /* [ncandidate] survivors of the screen, the highest reward first */
  int nwhich;
  int *row;       /* [ncandidate] row of `full`, or -1: not judged on all draws */
  uint8_t *stand; /* [ncandidate] DPI_STAND_: what fresh draws say */
  double *risk;   /* [ncandidate] dpi_decide_risk of those with a row in `full` ... */
  double *hint;   /* [ncandidate] ... and by the screen, negative: not asked yet */
  int nopen;      /* candidates that held their limits when the ladder was made */
  int refuted;    /* the one that did not hold on fresh draws, or -1 */
  dpi_rehearsal screen, full;
} search;

static double effective(const search *s, int n) { return dpi_decide_effective(s->patient->belief, n); }

/* ---------------------------------------------------------------- candidates */

/* Room for n candidates. */
static dp_status make_room(search *s, int n) {
  dp_advice *a = s->advice;
  dp_ctx *ctx = s->kind->ctx;
  a->candidate = DPI_NEW_ARRAY(ctx, dp_candidate, n + 1);
  a->plan = DPI_NEW_ARRAY(ctx, dp_plan *, n + 1);
  s->which = DPI_NEW_ARRAY(ctx, int, n + 1);
  s->row = DPI_NEW_ARRAY(ctx, int, n + 1);
  s->stand = DPI_NEW_ARRAY(ctx, uint8_t, n + 1);
  s->risk = DPI_NEW_ARRAY(ctx, double, 2 * (n + 1));
  s->hint = s->risk ? s->risk + n + 1 : NULL;
  for (int c = 0; s->hint && c < n; c++) s->hint[c] = -1;
  a->nterm = s->kind->reward.nterm;
  a->nobjective = s->kind->reward.nobjective;
  a->objective = s->kind->reward.objective;
  return a->candidate && a->plan && s->which && s->row && s->stand && s->risk ? DP_OK : DP_ERR_MEMORY;
}

/* The point as the next candidate, unless it may not be given. */
static dp_status add_candidate(search *s, const double *x) {
  dp_advice *a = s->advice;
  dp_ctx *ctx = s->kind->ctx;
  dp_plan *plan;
  bool may;
  DP_TRY(dpi_space_plan(&s->space, x, &plan));
  dp_status status = dpi_plan_allowed(s->kind, plan, s->patient, &may);
  if (status != DP_OK || !may) {
    dp_plan_destroy(plan);
    return status;
  }
  int i = a->ncandidate++;
  dp_candidate *c = &a->candidate[i];
  a->plan[i] = plan;
  s->row[i] = -1;
  c->term = DPI_NEW_ARRAY(ctx, dp_term_value, a->nterm + 1);
  if (a->nobjective) c->objective = DPI_NEW_ARRAY(ctx, double, a->nobjective);
  if (!c->term || (a->nobjective && !c->objective)) return DP_ERR_MEMORY;
  return dpi_space_describe(&s->space, plan, c);
}

/* Points of a search as candidates: all that it kept, or the best and its front. */
static dp_status take_points(search *s, const dpi_search *found, bool all) {
  size_t nvar = (size_t)s->space.nvar;
  int most = all ? found->nseen : MOST_OF_SEARCH + MOST_OF_FRONT + MOST_CAUTIOUS, n = found->nseen;
  DP_TRY(make_room(s, most));
  if (!all) DP_TRY(dpi_search_best(found, MOST_OF_SEARCH, s->which, &n));
  if (!all) DP_TRY(dpi_search_front(found, MOST_OF_FRONT, s->which, &n));
  if (!all) dpi_search_cautious(found, MOST_CAUTIOUS, s->which, &n);
  for (int i = 0; i < n; i++) DP_TRY(add_candidate(s, found->x + (size_t)(all ? i : s->which[i]) * nvar));
  s->advice->evaluations = all ? s->advice->ncandidate : 0;
  for (int i = 0; !all && i < found->nseen; i++) s->advice->evaluations += !isinf(found->miss[i]); /* may be given */
  return DP_OK;
}

static dp_status find_candidates(search *s) {
  const dpi_search_ops *ops;
  const dp_plan_def *def = s->def;
  const dpi_kind_reward *r = &s->kind->reward;
  dpi_search found = {0};
  DP_TRY(dpi_search_choose(s->kind, &s->space, def->search ? def->search : r->search, &ops));
  snprintf(s->advice->search, sizeof s->advice->search, "%s", ops->name);
  dp_status status =
      dpi_search_open(s->kind, &s->space, &s->some, s->patient->now, effective(s, s->patient->belief->ndraw), &found);
  found.seed = def->seed;
  found.budget = def->evaluations > 0 ? def->evaluations : r->evaluations;
  if (status == DP_OK) status = ops->run(&found);
  if (status == DP_OK) status = take_points(s, &found, strcmp(ops->name, "exhaustive") == 0);
  dpi_search_close(&found);
  return status;
}

/* ---------------------------------------------------------------- screen */

/* Judge one candidate from its rehearsal row; fills terms, reward, admissible. */
static dp_status judge(search *s, const dpi_rehearsal *r, int row, double neff, dp_candidate *c, dp_term_value *term) {
  dpi_judgement j;
  DP_TRY(dpi_decide_judge_row(s->kind, r, row, neff, s->kind->reward.confidence, term, c->objective, &j));
  c->admissible = j.admissible;
  c->reward = j.reward;
  c->reward_low = j.low;
  c->reward_high = j.high;
  c->ndraw = r->ndraw;
  c->nfailed = j.nfailed;
  return DP_OK;
}

/* Could this limit of a candidate still turn out to hold, judged leniently? */
static bool could_hold(const search *s, const dpi_kind_term *k, const double *value) {
  int n = s->screen.ndraw;
  dp_term_value v = dpi_decide_judge_limit(k, value, n, effective(s, n), SCREEN_CONFIDENCE);
  return k->at_least ? v.high >= k->probability : v.low <= k->probability;
}

static bool hopeful(const search *s, int row) {
  for (int t = 0; t < s->kind->reward.nterm; t++) {
    const dpi_kind_term *k = &s->kind->reward.term[t];
    if (k->goal == DPI_GOAL_LIMIT && !could_hold(s, k, dpi_rehearsed(&s->screen, row, t))) return false;
  }
  return true;
}

/* All candidates on a spread subset of the draws. */
static dp_status screen_all(search *s) {
  dp_advice *a = s->advice;
  DP_TRY(dpi_decide_rehearse(&s->some, a->plan, NULL, a->ncandidate, &s->screen));
  s->nwhich = 0;
  for (int c = 0; c < a->ncandidate; c++) {
    DP_TRY(judge(s, &s->screen, c, effective(s, s->screen.ndraw), &a->candidate[c], a->candidate[c].term));
    if (hopeful(s, c)) s->which[s->nwhich++] = c;
  }
  return DP_OK;
}

/* Survivors in descending order of the reward that the screen gave them. */
static void order_survivors(search *s) {
  const dp_candidate *c = s->advice->candidate;
  for (int i = 1; i < s->nwhich; i++)
    for (int j = i; j > 0 && c[s->which[j]].reward > c[s->which[j - 1]].reward; j--) {
      int swap = s->which[j];
      s->which[j] = s->which[j - 1];
      s->which[j - 1] = swap;
    }
}

/* ---------------------------------------------------------------- on all draws */

/* May this candidate still be advised? */
static bool open_to_advice(const search *s, int c) {
  return s->row[c] >= 0 && s->advice->candidate[c].admissible && s->stand[c] == DPI_STAND_OPEN;
}

static const double *totals(const dpi_rehearsal *r, int row) { return r->total + (size_t)row * (size_t)r->ndraw; }

/* The second-best candidate open to advice, or -1. */
static int second_best(const search *s) {
  int first = -1, second = -1;
  for (int i = 0; i < s->nwhich; i++) {
    int c = s->which[i];
    const dp_candidate *a = s->advice->candidate;
    if (!open_to_advice(s, c)) continue;
    if (first < 0 || a[c].reward > a[first].reward) {
      second = first;
      first = c;
    } else if (second < 0 || a[c].reward > a[second].reward) {
      second = c;
    }
  }
  return second;
}

/* Is candidate c, on the screen's draws, worse than the present runner-up by more than 4 standard errors? The same
 * draws
 * serve both (common random numbers), so it is the difference draw by draw that counts. Only expectations are compared
 * so, and only
 * where one number is looked for. */
static bool beaten(const search *s, int c) {
  int rival = second_best(s), n = s->screen.ndraw;
  double sum = 0, sum2 = 0;
  if (rival < 0 || s->kind->reward.npareto || !dpi_decide_neutral(s->kind)) return false;
  for (int k = 0; k < n; k++) {
    double d = totals(&s->screen, rival)[k] - totals(&s->screen, c)[k];
    sum += d;
    sum2 += d * d;
  }
  double mean = sum / n, variance = fmax(sum2 / n - mean * mean, 0);
  return mean > 4 * sqrt(variance / effective(s, n));
}

/* Survivors which[0..n) on every draw, kept as the next rows of `full`. */
static dp_status judge_full(search *s, const int *which, int n) {
  dp_advice *a = s->advice;
  dpi_rehearsal r = {0};
  DP_TRY(dpi_decide_rehearse(&s->all, a->plan, which, n, &r));
  dp_status status = DP_OK;
  size_t values = (size_t)r.nterm * (size_t)r.ndraw;
  for (int i = 0; status == DP_OK && i < n; i++) {
    dp_candidate *c = &a->candidate[which[i]];
    status = judge(s, &r, i, effective(s, r.ndraw), c, c->term);
    int row = s->row[which[i]] = s->full.ncandidate++;
    memcpy(dpi_rehearsed(&s->full, row, 0), dpi_rehearsed(&r, i, 0), sizeof(double) * values);
    memcpy(s->full.total + (size_t)row * (size_t)r.ndraw, totals(&r, i), sizeof(double) * (size_t)r.ndraw);
    s->full.window[row] = r.window[i];
    if (status == DP_OK) status = dpi_decide_risk(s->kind, &r, i, &s->risk[which[i]]);
  }
  dpi_rehearsal_release(s->kind->ctx, &r);
  return status;
}

/* The survivors on every draw, most promising first. Passed over is who is clearly beaten by the runner-up. Called
 * again when a choice
 * has failed and more may be needed. Where plans share their simulations, all are judged at once. */
static dp_status judge_survivors(search *s) {
  if (s->all.scales && s->full.ncandidate == 0) return judge_full(s, s->which, s->nwhich);
  for (int i = 0; i < s->nwhich; i++) {
    int c = s->which[i];
    if (s->row[c] >= 0 || beaten(s, c)) continue;
    DP_TRY(judge_full(s, &s->which[i], 1));
  }
  return DP_OK;
}

/* Is candidate c to be advised rather than b? By reward; of equal ones by the room that is left under the limits. */
static bool rather(const search *s, int c, int b) {
  const dp_candidate *x = &s->advice->candidate[c], *y = &s->advice->candidate[b];
  int which;
  if (fabs(x->reward - y->reward) > 1e-9 * fmax(fabs(x->reward), fabs(y->reward))) return x->reward > y->reward;
  return dpi_decide_shortfall(s->kind, x->term, &which) < dpi_decide_shortfall(s->kind, y->term, &which);
}

/* Best candidate open to advice, or -1. */
static int best_open(const search *s) {
  int best = -1;
  for (int c = 0; c < s->advice->ncandidate; c++)
    if (open_to_advice(s, c) && (best < 0 || rather(s, c, best))) best = c;
  return best;
}

/* ---------------------------------------------------------------- on fresh draws */

/* Is it as good as certain, by the search's draws, that candidate c holds on fresh ones? Its unfavourable bound
 * (99.9 %), of no more draws than there are fresh ones, as these scatter too, must lie where theirs just holds. */
static bool sure(const search *s, int c) {
  const dp_belief *b = s->patient->fresh;
  const double fresh = dpi_decide_effective(b, b->ndraw), neff = fmin(effective(s, s->full.ndraw), fresh);
  for (int t = 0; t < s->kind->reward.nterm; t++) {
    const dpi_kind_term *k = &s->kind->reward.term[t];
    if (k->goal != DPI_GOAL_LIMIT) continue;
    const double edge = dpi_decide_threshold(k, fresh, s->kind->reward.confidence);
    const dp_term_value v = dpi_decide_judge_limit(k, dpi_rehearsed(&s->full, s->row[c], t), s->full.ndraw, neff,
                                                   SCREEN_CONFIDENCE);
    if (k->at_least ? !(v.low >= edge) : !(v.high <= edge)) return false;
  }
  return true;
}

/* A candidate's risk by the screen's draws. */
static dp_status hint(const search *s, int c, double *risk) {
  if (s->hint[c] < 0) DP_TRY(dpi_decide_risk(s->kind, &s->screen, c, &s->hint[c]));
  *risk = s->hint[c];
  return DP_OK;
}

/* The best candidate with at most half the risk of `from`: of those judged on all draws, or of the other
 * survivors, whose risk is known by the screen's draws. -1: there is none. */
static dp_status best_below(const search *s, int from, bool judged, int *best) {
  double mine, risk;
  *best = -1;
  DP_TRY(hint(s, from, &mine));
  for (int c = 0; judged && c < s->advice->ncandidate; c++)
    if (open_to_advice(s, c) && c != from && s->risk[c] <= s->risk[from] / 2 && (*best < 0 || rather(s, c, *best)))
      *best = c;
  for (int i = 0; !judged && i < s->nwhich; i++) {
    const int c = s->which[i];
    if (s->row[c] >= 0 || (*best >= 0 && !rather(s, c, *best))) continue;
    DP_TRY(hint(s, c, &risk));
    if (risk <= mine / 2) *best = c;
  }
  return DP_OK;
}

/* The rung below `from`, or -1. A survivor that was passed over on the way to all draws is judged on them when it
 * may be the better one. */
static dp_status step_back(search *s, int from, int *next) {
  for (int i = 0; i < MOST_STEPS; i++) {
    int other;
    DP_TRY(best_below(s, from, true, next));
    DP_TRY(best_below(s, from, false, &other));
    if (other < 0 || (*next >= 0 && !rather(s, other, *next))) return DP_OK;
    DP_TRY(judge_full(s, &other, 1));
  }
  return best_below(s, from, true, next);
}

/* The ladder, the edge first, down to a plan that is sure to hold or to the last rung; only the search's draws are
 * asked. */
static dp_status make_ladder(search *s, int rung[MAX_RUNGS], int *n) {
  *n = s->nopen = 0;
  for (int c = 0; c < s->advice->ncandidate; c++) s->nopen += open_to_advice(s, c);
  for (int next = best_open(s); next >= 0 && *n < MAX_RUNGS;) {
    rung[(*n)++] = next;
    if (*n == MAX_RUNGS || sure(s, next)) break;
    DP_TRY(step_back(s, next, &next));
  }
  return DP_OK;
}

/* One candidate's row of a rehearsal on fresh draws; *holds when all limits hold there too. */
static dp_status judge_fresh(search *s, const dpi_rehearsal *r, int row, int which, bool *holds) {
  const dp_belief *b = s->patient->fresh;
  dp_candidate *c = &s->advice->candidate[which];
  dpi_judgement j = {0};
  c->fresh = DPI_NEW_ARRAY(s->kind->ctx, dp_term_value, s->kind->reward.nterm + 1);
  if (!c->fresh) return DP_ERR_MEMORY;
  DP_TRY(dpi_decide_judge_row(s->kind, r, row, dpi_decide_effective(b, b->ndraw), s->kind->reward.confidence, c->fresh,
                              NULL, &j));
  *holds = j.admissible;
  return DP_OK;
}

/* Who promises more than the choice and was not confirmed may not be advised: the one that was refuted ended the
 * climb. */
static void leave_bolder(search *s) {
  dp_advice *a = s->advice;
  const int n = s->screen.ndraw;
  const double *mine = totals(&s->screen, a->chosen);
  for (int c = 0; c < a->ncandidate; c++) {
    double sum = 0;
    if (s->stand[c] != DPI_STAND_OPEN || !a->candidate[c].admissible) continue;
    /* who was passed over on the way to all draws is known on the screen's alone */
    for (int k = 0; k < n; k++) sum += totals(&s->screen, c)[k] - mine[k];
    if (s->row[c] >= 0 ? !rather(s, c, a->chosen) : !(sum > 0)) continue;
    s->stand[c] = DPI_STAND_BOLDER;
    a->candidate[c].admissible = 0;
    a->candidate[c].left_out = 1;
  }
}

/* Up the ladder from its foot while limits hold on fresh draws. Where plans share their simulations all rungs are
 * rehearsed at once. */
static dp_status climb(search *s, const int *rung, int n) {
  const dp_belief *b = s->patient->fresh;
  dp_advice *a = s->advice;
  bool holds = true;
  if (n == 0) return DP_OK;
  if (!s->fresh.kind) DP_TRY(dpi_rehearser_open(s->kind, s->patient, b, NULL, b->ndraw, &s->fresh));
  const int block = s->fresh.scales ? n : 1;
  for (int i = n - block; holds && i >= 0; i -= block) {
    dpi_rehearsal r = {0};
    DP_TRY(dpi_decide_rehearse(&s->fresh, a->plan, rung + i, block, &r));
    dp_status status = DP_OK;
    for (int k = block - 1; status == DP_OK && holds && k >= 0; k--) {
      status = judge_fresh(s, &r, k, rung[i + k], &holds);
      if (status != DP_OK) break;
      if (holds) a->chosen = rung[i + k];
      else s->refuted = rung[i + k];
    }
    dpi_rehearsal_release(s->kind->ctx, &r);
    DP_TRY(status);
  }
  if (a->chosen >= 0) s->stand[a->chosen] = DPI_STAND_CHOSEN;
  if (s->refuted < 0) return DP_OK;
  s->stand[s->refuted] = DPI_STAND_REFUTED;
  a->candidate[s->refuted].admissible = 0;
  if (a->chosen >= 0) leave_bolder(s);
  return DP_OK;
}

/* ---------------------------------------------------------------- how good against the others */

/* Passed over on the way to all draws, though as far as the screen shows it holds its limits; edge: the estimates at
 * which they just hold. */
static bool passed_over(const search *s, const double *edge, int c) {
  if (s->row[c] >= 0 || s->stand[c] != DPI_STAND_OPEN) return false;
  for (int t = 0; t < s->kind->reward.nterm; t++) {
    const dpi_kind_term *k = &s->kind->reward.term[t];
    const double v = s->advice->candidate[c].term[t].value;
    if (k->goal == DPI_GOAL_LIMIT && (k->at_least ? !(v >= edge[t]) : !(v <= edge[t]))) return false;
  }
  return s->advice->candidate[c].nfailed < s->advice->candidate[c].ndraw;
}

/* How much of draw k the chosen one wins against the others, by rows [ncandidate] of a rehearsal (-1: takes no part): 1
 * when it earns most, its share when it draws level, else 0. */
static double won(const dpi_rehearsal *r, const int *row, int n, int chosen, int k) {
  double mine = totals(r, row[chosen])[k];
  int same = 0;
  for (int c = 0; c < n; c++) {
    if (row[c] < 0) continue;
    double x = totals(r, row[c])[k];
    if (x > mine) return 0;
    same += x == mine;
  }
  return 1.0 / same;
}

static double mean_won(const dpi_rehearsal *r, const int *row, int n, int chosen) {
  double sum = 0;
  for (int k = 0; k < r->ndraw; k++) sum += won(r, row, n, chosen, k);
  return r->ndraw ? sum / r->ndraw : NAN;
}

/* P(chosen has the highest reward among those that may be advised), draw by draw. Who was passed over is known on the
 * screen's draws alone: there it is counted what part of the chosen one's wins over those judged on all draws is left
 * against everybody. */
static dp_status probability_best(const search *s, int chosen, double *out) {
  const dpi_kind_reward *r = &s->kind->reward;
  int n = s->advice->ncandidate, passed = 0;
  int *full = DPI_NEW_ARRAY(s->kind->ctx, int, 3 * (size_t)n + 1);
  double *edge = DPI_NEW_ARRAY(s->kind->ctx, double, r->nterm + 1);
  if (!full || !edge) {
    dpi_free(s->kind->ctx, full);
    dpi_free(s->kind->ctx, edge);
    return DP_ERR_MEMORY;
  }
  int *judged = full + n, *all = full + 2 * n;
  for (int t = 0; t < r->nterm; t++)
    if (r->term[t].goal == DPI_GOAL_LIMIT && s->full.ncandidate < n)
      edge[t] = dpi_decide_threshold(&r->term[t], effective(s, s->patient->belief->ndraw), r->confidence);
  for (int c = 0; c < n; c++) {
    bool open = c == chosen || open_to_advice(s, c), over = !open && passed_over(s, edge, c);
    full[c] = open ? s->row[c] : -1;
    judged[c] = open ? c : -1; /* the screen has a row for each */
    all[c] = open || over ? c : -1;
    passed += over;
  }
  *out = mean_won(&s->full, full, n, chosen);
  if (passed > 0) {
    double some = mean_won(&s->screen, judged, n, chosen);
    *out *= some > 0 ? mean_won(&s->screen, all, n, chosen) / some : 0;
  }
  dpi_free(s->kind->ctx, full);
  dpi_free(s->kind->ctx, edge);
  return DP_OK;
}

/* Admissible candidates, judged on all draws, that none of the others dominates. */
static void mark_pareto(search *s) {
  dp_advice *a = s->advice;
  for (int i = 0; s->kind->reward.npareto && i < a->ncandidate; i++) {
    bool kept = s->row[i] >= 0 && a->candidate[i].admissible;
    for (int j = 0; kept && j < a->ncandidate; j++)
      if (s->row[j] >= 0 && a->candidate[j].admissible &&
          dpi_decide_dominated(s->kind, a->candidate[i].objective, a->candidate[j].objective))
        kept = false;
    a->candidate[i].pareto = kept;
  }
}

/* ---------------------------------------------------------------- why */

/* The candidate that misses least, of those judged on all draws or of the others; -1: there is none. */
static int nearest_miss(const search *s, bool all, int *term) {
  int best = -1;
  double least = INFINITY;
  for (int c = 0; c < s->advice->ncandidate; c++) {
    int t = -1;
    if ((s->row[c] >= 0) != all) continue;
    double miss = dpi_decide_shortfall(s->kind, s->advice->candidate[c].term, &t);
    if (t >= 0 && miss < least) {
      least = miss;
      best = c;
      *term = t;
    }
  }
  return best;
}

/* The few that by the screen miss least on all draws: its hundred alone do not tell which of them is nearest. */
static dp_status judge_nearest(search *s) {
  for (int i = 0, t, c; i < MOST_NEAR && (c = nearest_miss(s, false, &t)) >= 0; i++) DP_TRY(judge_full(s, &c, 1));
  return DP_OK;
}

/* Which limits does no candidate hold together? Who left at the screen is judged leniently. */
static dp_status find_conflict(search *s) {
  dp_advice *a = s->advice;
  size_t nterm = (size_t)a->nterm;
  uint8_t *holds = DPI_NEW_ARRAY(s->kind->ctx, uint8_t, (size_t)a->ncandidate * nterm + 1);
  a->conflict = DPI_NEW_ARRAY(s->kind->ctx, int, nterm + 1);
  for (int c = 0; holds && a->conflict && c < a->ncandidate; c++)
    for (int t = 0; t < a->nterm; t++) {
      const dpi_kind_term *k = &s->kind->reward.term[t];
      bool hold = k->goal != DPI_GOAL_LIMIT || a->candidate[c].term[t].holds;
      if (!hold && s->row[c] < 0) hold = could_hold(s, k, dpi_rehearsed(&s->screen, c, t));
      holds[(size_t)c * nterm + (size_t)t] = hold;
    }
  dp_status status = holds && a->conflict ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) dpi_decide_conflict(s->kind, holds, a->ncandidate, a->conflict, &a->nconflict);
  dpi_free(s->kind->ctx, holds);
  return status;
}

static void say_limit(const dp_kind *kind, const dp_term_value *term, int t, char *out, size_t size) {
  const dpi_kind_term *k = &kind->reward.term[t];
  const dp_term_value *v = &term[t];
  const double bound = k->at_least ? v->low : v->high;
  const int digits = fabs(bound - k->probability) < 0.0005 ? 2 : 1; /* a near miss is to look like one */
  snprintf(out, size, "%s: estimate %.*f %%, at the %.0f %% bound %.*f %%", k->text, digits, 100 * v->value,
           100 * kind->reward.confidence, digits, 100 * bound);
}

/* Add to the reason what fits. */
static void reason(dp_advice *a, const char *fmt, ...) DPI_PRINTF(2, 3);
static void reason(dp_advice *a, const char *fmt, ...) {
  size_t at = strlen(a->reason);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(a->reason + at, sizeof a->reason - at, fmt, ap);
  va_end(ap);
}

/* "regimens" or "courses" */
static const char *plans(const search *s) { return s->kind->reward.form == DPI_FORM_COURSE ? "courses" : "regimens"; }

/* Who must approve: each once, of the controls that the chosen plan gives. */
static void name_approvers(search *s) {
  dp_advice *a = s->advice;
  const dp_plan *p = a->plan[a->chosen];
  for (int i = 0; i < p->nrow; i++) {
    const char *who = s->kind->control[p->row[i].control].approver;
    size_t at = strlen(a->approver);
    bool named = !who || !*who || !(p->row[i].amount > 0);
    for (int k = 0; !named && k < i; k++)
      named = p->row[k].amount > 0 && strcmp(s->kind->control[p->row[k].control].approver, who) == 0;
    if (!named) snprintf(a->approver + at, sizeof a->approver - at, "%s%s", at ? ", " : "", who);
  }
}

/* "stepped back": what the one that ended the climb misses on fresh draws. */
static void say_refuted(search *s) {
  const dp_candidate *c = &s->advice->candidate[s->refuted];
  char what[160] = "every draw: none could be simulated";
  int t = -1;
  dpi_decide_shortfall(s->kind, c->fresh, &t);
  if (t >= 0) say_limit(s->kind, c->fresh, t, what, sizeof what);
  reason(s->advice, "; a step back from %s and what promises more than it: on fresh draws it misses %s", c->text, what);
}

static void explain_choice(search *s) {
  dp_advice *a = s->advice;
  const dp_candidate *c = &a->candidate[a->chosen];
  int t = -1, admissible = 0, front = 0;
  dpi_decide_shortfall(s->kind, c->term, &t);
  if (t >= 0) say_limit(s->kind, c->term, t, a->binding, sizeof a->binding);
  for (int i = 0; i < a->ncandidate; i++) admissible += a->candidate[i].admissible;
  for (int i = 0; i < a->ncandidate; i++) front += a->candidate[i].pareto;
  if (admissible == 1)
    reason(a, "%s: the only admissible one out of %d %s", c->text, a->evaluations, plans(s));
  else
    reason(a, "%s: highest reward of %d admissible %s out of %d", c->text, admissible, plans(s), a->evaluations);
  if (t >= 0) reason(a, "; every limit holds at its bound on the search draws and again on fresh draws");
  if (front > 0) reason(a, "; %d stand on the Pareto front", front);
  if (s->refuted >= 0) say_refuted(s);
  if (s->patient->belief->discrepancy)
    reason(a, "; limits are about the model's own curve, without the discrepancy term");
}

/* "no safe plan: limits 'a' and 'b' conflict" */
static void say_conflict(search *s) {
  dp_advice *a = s->advice;
  const dpi_kind_term *term = s->kind->reward.term;
  if (a->nconflict == 0) return;
  const bool all = strcmp(a->search, "exhaustive") == 0; /* else others may hold what these do not */
  reason(a, all ? "; no safe plan: " : "; no safe plan among those rehearsed: ");
  if (a->nconflict == 1) {
    reason(a, "limit '%s' is held by none", term[a->conflict[0]].id);
    return;
  }
  for (int i = 0; i < a->nconflict; i++)
    reason(a, "%s'%s'", i == 0 ? "limits " : i + 1 == a->nconflict ? " and " : ", ", term[a->conflict[i]].id);
  reason(a, " conflict, no plan holds them together");
}

/* Limits that so few draws can't show to hold, even where none of them breaks one (Clopper-Pearson at no event). */
static void say_too_few(search *s) {
  const dpi_kind_reward *r = &s->kind->reward;
  const double count = effective(s, s->patient->belief->ndraw);
  for (int t = 0; t < r->nterm; t++) {
    if (r->term[t].goal != DPI_GOAL_LIMIT) continue;
    const double allowed = r->term[t].at_least ? 1 - r->term[t].probability : r->term[t].probability;
    const double needed = ceil(dpi_m_log(1 - r->confidence) / dpi_m_log(1 - allowed) - 1e-9);
    if (needed > count)
      reason(s->advice,
             "; %.0f effective draws are too few to show that limit '%s' holds, whatever the plan: it takes %.0f", count,
             r->term[t].id, needed);
  }
}

/* Why none. */
static dp_status explain_refusal(search *s) {
  dp_advice *a = s->advice;
  int t = -1;
  if (a->ncandidate == 0) {
    reason(a, "no recommendation, because no plan may be given: rate limits or clinic hours leave none");
    return DP_OK;
  }
  a->runner_up = s->refuted >= 0 ? s->refuted : nearest_miss(s, true, &t);
  if (a->runner_up < 0) {
    reason(a, "no recommendation, because none of %d %s can be simulated", a->evaluations, plans(s));
    return DP_OK;
  }
  const dp_candidate *c = &a->candidate[a->runner_up];
  const bool refuted = s->refuted >= 0;
  if (refuted) dpi_decide_shortfall(s->kind, c->fresh, &t);
  if (t >= 0) say_limit(s->kind, refuted ? c->fresh : c->term, t, a->binding, sizeof a->binding);
  if (refuted)
    reason(a,
           "no recommendation, because the most cautious plan tried, of %d admissible %s out of %d, did not hold its "
           "limits on fresh draws: %s misses %s",
           s->nopen, plans(s), a->evaluations, c->text, t >= 0 ? a->binding : "every draw: none could be simulated");
  else
    reason(
        a,
        "no recommendation, because none of %d %s holds every limit at the %.0f %% bound; nearest: %s, which misses %s",
        a->evaluations, plans(s), 100 * s->kind->reward.confidence, c->text, a->binding);
  say_conflict(s);
  say_too_few(s);
  return DP_OK;
}

/* ---------------------------------------------------------------- all together */

/* The best that holds its limits on the search's draws and on fresh ones; *looked: some held them on the search's. */
static dp_status try_best(search *s, bool *looked) {
  int rung[MAX_RUNGS], n;
  DP_TRY(judge_survivors(s));
  DP_TRY(make_ladder(s, rung, &n));
  *looked = n > 0;
  return climb(s, rung, n);
}

/* Choose, score again, explain. */
static dp_status choose(search *s) {
  dp_advice *a = s->advice;
  bool looked;
  DP_TRY(try_best(s, &looked));
  if (!looked) { /* what the screen dropped may yet hold on all draws */
    DP_TRY(find_conflict(s));
    DP_TRY(judge_nearest(s));
    DP_TRY(try_best(s, &looked));
    if (looked) a->nconflict = 0;
  }
  mark_pareto(s);
  if (a->chosen < 0) return explain_refusal(s);
  a->runner_up = best_open(s);
  DP_TRY(probability_best(s, a->chosen, &a->best_probability));
  explain_choice(s);
  name_approvers(s);
  return DP_OK;
}

static dp_status make_full(search *s) {
  dp_ctx *ctx = s->kind->ctx;
  size_t n = (size_t)s->nwhich + MOST_NEAR + 1, ndraw = (size_t)s->patient->belief->ndraw;
  s->full = (dpi_rehearsal){.nterm = s->advice->nterm, .ndraw = (int)ndraw};
  s->full.value = DPI_NEW_ARRAY(ctx, double, n *(size_t)s->full.nterm *ndraw);
  s->full.total = DPI_NEW_ARRAY(ctx, double, n *ndraw);
  s->full.window = DPI_NEW_ARRAY(ctx, double, n);
  return s->full.value && s->full.total && s->full.window ? DP_OK : DP_ERR_MEMORY;
}

static dp_status run_search(search *s) {
  const dp_belief *b = s->patient->belief;
  DP_TRY(dpi_space_open(s->kind, &s->space));
  DP_TRY(dpi_rehearser_spread(s->kind, s->patient, b, s->def->nscreen, &s->some));
  DP_TRY(dpi_rehearser_open(s->kind, s->patient, b, NULL, b->ndraw, &s->all));
  DP_TRY(find_candidates(s));
  if (s->advice->ncandidate == 0) return explain_refusal(s);
  DP_TRY(screen_all(s));
  order_survivors(s);
  DP_TRY(make_full(s));
  DP_TRY(choose(s));
  if (!dpi_decide_neutral(s->kind)) return DP_OK; /* an imagined result reweights expectations */
  const dpi_next_ask ask = {.kind = s->kind, .patient = s->patient, .def = s->def, .screen = &s->screen,
                            .draw = s->some.draw, .all = &s->all, .full = &s->full, .row = s->row, .stand = s->stand,
                            .refuted = s->refuted, .advice = s->advice};
  return dpi_decide_next(&ask);
}

static void search_release(search *s) {
  dp_ctx *ctx = s->kind->ctx;
  dpi_rehearsal_release(ctx, &s->screen);
  dpi_rehearsal_release(ctx, &s->full);
  dpi_rehearser_close(&s->some);
  dpi_rehearser_close(&s->all);
  dpi_rehearser_close(&s->fresh);
  if (s->space.kind) dpi_space_close(&s->space);
  dpi_free(ctx, s->which);
  dpi_free(ctx, s->row);
  dpi_free(ctx, s->stand);
  dpi_free(ctx, s->risk);
}

static dp_status check(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def) {
  if (def->cookie != COOKIE) return dpi_fail(kind->ctx, DP_ERR_USAGE, "dp_plan_def not from dp_plan_def_default");
  if (!kind->reward.given)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: this kind has no reward.yaml, so nothing can be decided",
                    kind->dir);
  if (kind->reward.residual)
    return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                    "%s: reward.yaml: residual: true (limits on measured rather than true values) is not supported",
                    kind->dir);
  if (patient->belief->ndraw < 2 || patient->fresh->ndraw < 2 || def->nscreen < 2)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "a plan needs at least two draws of the belief and two to screen on");
  return DP_OK;
}

dp_status dp_plan_search(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def, dp_advice **out) {
  *out = NULL;
  DP_TRY(check(kind, patient, def));
  dp_advice *a = DPI_NEW(kind->ctx, dp_advice);
  if (!a) return DP_ERR_MEMORY;
  *a = (dp_advice){.ctx = kind->ctx, .chosen = -1, .runner_up = -1, .next_best = -1, .best_probability = NAN};
  search s = {.kind = kind, .patient = patient, .def = def, .advice = a, .refuted = -1};
  dp_status status = DP_OK;
  if (!patient->belief->usable || !patient->fresh->usable)
    reason(a, "no recommendation, because the posterior may not be used: %s",
           patient->belief->usable ? patient->fresh->verdict : patient->belief->verdict);
  else
    status = run_search(&s);
  search_release(&s);
  if (status != DP_OK) {
    dp_advice_destroy(a);
    return status;
  }
  *out = a;
  return DP_OK;
}
