/* decide.h - floor 6: what the files of this room share.
 *
 *   plan.c, plan_text.c, plan_check.c   a plan: data, plan.tsv, what may be given
 *   candidates.c   tablets that exist -> doses
 *   plan_space.c   reward.yaml's `plan` -> variables; a point -> a plan
 *   search.c       points scored in batches, kept apart, the best ones listed; which search
 *   front.c        those that no other beats in every objective, thinned
 *   exhaustive/ cma/ cross_entropy/ gradient/   the searches, found through the generated registry
 *   rehearse.c     plans x draws -> path functionals, through the waist
 *   limits.c       events counted, rewards and risks, confidence bounds, admissible or not
 *   compare.c      objectives, Pareto front, limits that conflict
 *   next_sample.c  would another sample change the advice?
 *   advice.c       the search itself: dp_plan_search
 *   appraise.c     given plans: dp_appraise
 */
#ifndef DPI_DECIDE_H
#define DPI_DECIDE_H

#include "doppel/appraise.h"
#include "doppel/plan.h"
#include "kind/kind_impl.h"
#include "num/num.h"

enum { DPI_MAX_STRENGTH = 16, DPI_MAX_LISTED = 20000 };

/* ---- doses (candidates.c) ---- */

typedef struct dpi_dose {
  double amount;
  int units;
  int count[DPI_MAX_STRENGTH]; /* of each strength */
  char text[96];               /* "2 x 300 mg + 100 mg" */
} dpi_dose;

typedef struct dpi_dose_list {
  const dp_kind *kind;
  const dpi_kind_control *control;
  dpi_dose *dose; /* ascending */
  int n, cap;
} dpi_dose_list;

/* Every sum of the control's tablets within its bounds. */
dp_status dpi_decide_doses(const dp_kind *kind, const dpi_kind_control *control, dpi_dose_list *out);
void dpi_decide_doses_release(dpi_dose_list *list);
int dpi_decide_dose_find(const dpi_dose_list *list, double amount); /* -1 none */
void dpi_decide_dose_text(const dpi_kind_control *c, const dpi_dose_list *list, double amount, char out[96]);

/* ---- plans (plan.c, plan_check.c) ---- */

/* doses: [ncontrol], filled for controls with tablets. */
dp_status dpi_plan_text(const dp_kind *kind, const dp_plan *plan, const dpi_dose_list *doses, char *out, size_t size);
dp_instant dpi_plan_instant(const dp_kind *kind, const dp_plan_row *row, dp_time now);
/* As dp_plan_instants; row [2 nrow], NULL allowed: of which row each dose is, -1: no dose. */
dp_status dpi_plan_instants(const dp_kind *kind, const dp_plan *plan, double now, dp_instant **out, int *n, int *row);
bool dpi_plan_steady(const dp_plan *plan);                        /* begins in a steady state */
double dpi_plan_interval(const dp_plan *plan);                    /* between its first doses; 0: one alone */
double dpi_plan_window(const dp_kind *kind, const dp_plan *plan); /* the whole that functionals are about, time units */
double dpi_plan_figure(const dp_kind *kind, const dp_plan *plan, dpi_term_of of, int control);
/* Changes and hours only: the rest holds by how plans of a space are made. *may false: refused, without a message. */
dp_status dpi_plan_allowed(const dp_kind *kind, const dp_plan *plan, const dp_plan_patient *patient, bool *may);

/* ---- the space of plans (plan_space.c) ---- */

typedef struct dpi_variable {
  bool interval;       /* spacing of doses; else an amount */
  int control;         /* row in control[] */
  int slot;            /* course: decision time; -1 all */
  int n;               /* levels, 0: continuous */
  const double *level; /* owned by the space */
  double lower, upper, step;
} dpi_variable;

typedef struct dpi_space {
  const dp_kind *kind;
  int nvar;
  dpi_variable *var;
  dpi_dose_list *doses; /* [ncontrol] */
  double npoint;        /* how many points, infinite with a continuous variable */
} dpi_space;

dp_status dpi_space_open(const dp_kind *kind, dpi_space *out);
void dpi_space_close(dpi_space *s);
/* u in [0, 1]^nvar to values. */
void dpi_space_decode(const dpi_space *s, const double *u, double *x);
/* Point i of all, the last variable fastest; npoint is finite. */
void dpi_space_point(const dpi_space *s, int64_t i, double *x);
dp_status dpi_space_plan(const dpi_space *s, const double *x, dp_plan **out);
/* The variable that is the amount of a plan's row. */
int dpi_space_variable(const dpi_space *s, int row);
/* dose, interval, units, texts of a candidate. */
dp_status dpi_space_describe(const dpi_space *s, const dp_plan *plan, dp_candidate *c);

/* ---- rehearsal (rehearse.c) ---- */

/* What rehearsals of one belief on the same draws share. */
typedef struct dpi_rehearser {
  const dp_kind *kind;
  const dp_plan_patient *patient;
  const dp_belief *belief;
  int ndraw;
  int *draw;     /* [ndraw] of the belief */
  double *param; /* [ndraw x nparam] parameters from now on */
  double *state; /* [ndraw x nstate] state at now, NULL until a course asks; NaN where history failed */
  bool relive;   /* history has something that a state does not tell: courses are simulated from their start */
  bool scales;   /* one simulation serves every dose of the same schedule */
} dpi_rehearser;

dp_status dpi_rehearser_open(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief,
                             const int *draw, int ndraw, dpi_rehearser *out);
void dpi_rehearser_close(dpi_rehearser *h);
/* Makes state, where a state tells all; else relive is set already. */
dp_status dpi_rehearser_live(dpi_rehearser *h);
/* Draws 0 .. n-1 of the belief, spread when n is less than it has. */
dp_status dpi_rehearser_spread(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int n,
                               dpi_rehearser *out);

/* Values of every term's functional for some plans on some draws: the rehearsal's whole result. */
typedef struct dpi_rehearsal {
  int ncandidate, nterm, ndraw;
  double
      *value; /* [ncandidate x nterm x ndraw], NaN where the member failed, infinite for a passage that never comes */
  double *total;  /* [ncandidate x ndraw] weighted reward of each draw */
  double *window; /* [ncandidate] time units */
} dpi_rehearsal;

static inline double *dpi_rehearsed(const dpi_rehearsal *r, int candidate, int term) {
  return r->value + ((size_t)candidate * (size_t)r->nterm + (size_t)term) * (size_t)r->ndraw;
}

/* Rehearse plan[which[k]] (which NULL: plan[k]) on the rehearser's draws. Released by the caller. */
dp_status dpi_decide_rehearse(dpi_rehearser *h, dp_plan *const *plan, const int *which, int nwhich, dpi_rehearsal *out);
void dpi_rehearsal_release(dp_ctx *ctx, dpi_rehearsal *r);

/* Parameter vector of one draw for a plan from now on: covariates of now, the last occasion's effects. */
void dpi_decide_param(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int draw,
                      double *param);
/* Parameters and instants [nhistory] of one draw living through the history again, occasion by occasion. */
void dpi_decide_relive(const dp_kind *kind, const dp_plan_patient *patient, const dp_belief *belief, int draw,
                       double *param, dp_instant *instant);

/* ---- judging (limits.c, compare.c) ---- */

/* Did the limit's event happen for this functional value? A failed member counts against the plan. */
bool dpi_decide_event(const dpi_kind_term *term, double value);
/* What each draw earns by a reward term, before its weight: a failed member earns nothing, or the worst of the others
 * where that is less. */
dp_status dpi_decide_earn(const dp_kind *kind, const dpi_kind_term *term, const double *value, int n, double window,
                          double *out);
/* Estimate and bounds of one term from n (effective) draws; holds is set for limits. */
dp_status dpi_decide_judge(const dp_kind *kind, const dpi_kind_term *term, const double *value, int ndraw, double neff,
                           double window, double confidence, dp_term_value *out);
/* The same for an event that needs no kind. */
dp_term_value dpi_decide_judge_limit(const dpi_kind_term *term, const double *value, int ndraw, double neff,
                                     double confidence);
/* Largest (at_least: smallest) estimate of P(event) that holds at the bound with n effective draws. */
double dpi_decide_threshold(const dpi_kind_term *term, double neff, double confidence);
/* How much of what a limit allows an estimate uses up at its bound, n effective draws: 1 is all of it. */
double dpi_decide_used(const dpi_kind_term *term, double estimate, double neff, double confidence);
/* How much of what the worst limit allows a plan uses up at the estimate, 0 without limits. Unlike a count it is
 * continuous in tails of a few draws too: it orders plans by caution and is not stated anywhere. */
dp_status dpi_decide_risk(const dp_kind *kind, const dpi_rehearsal *r, int row, double *out);
double dpi_decide_effective(const dp_belief *b, int ndraw);
/* Does every reward count by its expectation? */
bool dpi_decide_neutral(const dp_kind *kind);

/* One row of a rehearsal: terms [nterm], reward with bounds, by objective [nobjective] (NULL: not asked), admissible.
 * */
typedef struct dpi_judgement {
  double reward, low, high;
  bool admissible;
  int nfailed; /* draws in which some functional could not be had; all of them: not admissible */
} dpi_judgement;
dp_status dpi_decide_judge_row(const dp_kind *kind, const dpi_rehearsal *r, int row, double neff, double confidence,
                               dp_term_value *term, double *objective, dpi_judgement *out);
/* How far the worst limit is missed, as a fraction of what is allowed; *which is that limit, -1 without limits. */
double dpi_decide_shortfall(const dp_kind *kind, const dp_term_value *term, int *which);
/* Does a beat b nowhere and is worse somewhere? Over the objectives of `pareto`. */
bool dpi_decide_dominated(const dp_kind *kind, const double *a, const double *b);
/* Smallest set of limits that no candidate holds together; holds [ncandidate x nterm]. *n 0: some candidate holds all.
 * */
void dpi_decide_conflict(const dp_kind *kind, const uint8_t *holds, int ncandidate, int *term, int *n);

/* ---- searches (search.c and the folders) ---- */

typedef struct dpi_search {
  const dp_kind *kind;
  const dpi_space *space;
  dpi_rehearser *rehearser;
  double now;
  uint64_t seed;
  int budget;        /* plans to rehearse at most */
  double neff;       /* draws that count in limits */
  double *threshold; /* [nterm] estimates at which limits just hold */
  /* every point seen, in order */
  int nseen, cap;
  double *x;             /* [nseen x nvar] values */
  double *u;             /* [nseen x nvar] where it was asked for */
  double *reward, *miss; /* miss: 0 when every limit holds; infinite: may not be given */
  double *risk;          /* [nseen] dpi_decide_risk; infinite where nothing was rehearsed */
  double *objective;     /* [nseen x npareto] in the order of `pareto`; NULL without one */
  int32_t *slot;         /* [nslot] hash table of points */
  int nslot;
  /* NULL: points are plans, rehearsed; else what gives reward and miss [n] of points x [n x nvar] (rehearser: NULL) */
  dp_status (*score)(void *user, const double *x, int n, double *reward, double *miss);
  void *score_user;
} dpi_search;

typedef struct dpi_search_ops {
  const char *name;
  const char *help;
  /* NULL: offered for every space and reward; else ERR_UNSUPPORTED says why not. */
  dp_status (*offered)(const dp_kind *kind, const dpi_space *space);
  dp_status (*run)(dpi_search *s);
} dpi_search_ops;
/* All compiled-in searches, NULL-terminated (generated registry). */
const dpi_search_ops *const *dpi_decide_registry(void);
/* By name; "" or NULL: exhaustive where all plans can be listed, else gradient where offered, else cma. */
dp_status dpi_search_choose(const dp_kind *kind, const dpi_space *space, const char *name, const dpi_search_ops **out);

dp_status dpi_search_open(const dp_kind *kind, const dpi_space *space, dpi_rehearser *h, double now, double neff,
                          dpi_search *out);
void dpi_search_close(dpi_search *s);
/* Score n points u [n x nvar]: reward and miss [n]. Points seen before cost nothing. */
dp_status dpi_search_score(dpi_search *s, const double *u, int n, double *reward, double *miss);
/* Sum of what limits are missed by at the estimate, as parts of what they leave. */
double dpi_search_miss(const dpi_search *s, const dp_term_value *term);
/* Keep a point without scoring it (exhaustive). */
dp_status dpi_search_keep(dpi_search *s, const double *x);
/* Is (miss, reward) a better than b? */
bool dpi_search_better(double miss_a, double reward_a, double miss_b, double reward_b);
/* Fold any number into [0, 1] as between two mirrors. */
double dpi_search_fold(double u);
/* At most `most` points to judge, best first and apart from each other: indices into x. */
dp_status dpi_search_best(const dpi_search *s, int most, int *index, int *n);
/* Adds to index[*n] at most `most` points that hold their limits with more and more room: the best of those with
 * half the risk of index[0], with a quarter, and so on. */
void dpi_search_cautious(const dpi_search *s, int most, int *index, int *n);
/* Is point i another plan than j, by more than a hundredth of some variable's range or a level? */
bool dpi_search_apart(const dpi_search *s, int i, int j);
/* Adds to index[*n] at most `most` points of the Pareto front of all that were scored and hold their limits. */
dp_status dpi_search_front(const dpi_search *s, int most, int *index, int *n);

/* How a candidate stands after fresh draws. */
enum {
  DPI_STAND_OPEN,    /* may be advised, as far as is known */
  DPI_STAND_CHOSEN,
  DPI_STAND_REFUTED, /* did not hold its limits there */
  DPI_STAND_BOLDER   /* not looked at there: promises more than the choice, and so does one that was refuted */
};

/* Preposterior analysis of an advice that has been given. */
typedef struct dpi_next_ask {
  const dp_kind *kind;
  const dp_plan_patient *patient;
  const dp_plan_def *def;
  const dpi_rehearsal *screen; /* all candidates on some draws of the belief ... */
  const int *draw;             /* ... which */
  dpi_rehearser *all;          /* on all draws */
  const dpi_rehearsal *full;   /* what was judged on them */
  const int *row;              /* [ncandidate] its row there, -1: none */
  const uint8_t *stand;        /* [ncandidate] DPI_STAND_ */
  int refuted;                 /* the candidate that is DPI_STAND_REFUTED, or -1 */
  dp_advice *advice;           /* next and next_best are filled */
} dpi_next_ask;
dp_status dpi_decide_next(const dpi_next_ask *q);

enum { /* random purposes of this room */
       DPI_PURPOSE_NEXT_SAMPLE = 0x4e585431, /* and the number after it */
       DPI_PURPOSE_CMA = 0x434d4131,
       DPI_PURPOSE_CROSS_ENTROPY = 0x43524f31,
       DPI_PURPOSE_GRADIENT = 0x47524431
};

#endif
