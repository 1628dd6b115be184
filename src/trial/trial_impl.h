/* trial_impl.h - floor 8: a trial as its file has it, and what the files of this room share.
 *
 *     trial_read.c      trial.yaml -> dp_trial        trial_cohort.c   who takes part: table, population, target
 *     trial_model.c     arms into a sim: laws that decide and count     trial_inputs.c   what people eat; a member's
 *                       instants
 *     trial_run.c       people block by block through the arms          trial_outside.c  arms that are asked from
 *                       outside
 *     trial_match.c     those who are like a target population
 *     trial_strata.c    permuted blocks, strata          trial_looks.c    boundaries of looks at the data
 *     trial_stats.c     estimates of arms, drivers      trial_compare.c  differences, tests, looks
 *     trial_shares.c    tests of shares                  trial_power.c    power
 *     trial_checks.c    the engine's own checks         trial_json.c     trial_page.c
 *     trial_count.c     endpoints of readings at hand   tune_impl.h      a person's settings on their twin
 *
 * Invariants:
 *   1. whatever is drawn for a person is a function of (seed, the person's number, what for): it depends on no arm and
 *   no thread;
 *   2. people go through in blocks whose length the trial alone decides; sums and sketches are added in the order of
 *   people;
 *   3. memory does not grow with the number of people, but for 4 bytes each where they are matched to a target, and
 *      8 for every number that they are matched by, and for 2 bytes each where randomisation is stratified.
 */
#ifndef DPI_TRIAL_IMPL_H
#define DPI_TRIAL_IMPL_H

#include "doppel/random.h"
#include "doppel/trial.h"
#include "kind/kind_impl.h"
#include "kind/kind_yaml.h"
#include "num/num.h"
#include "policy/policy_impl.h"

#define DPI_TRIAL_MISSING (-1e300) /* an endpoint's output that there is no number for */
#define DPI_TRIAL_EVIDENCE 120     /* rows of the credibility report, at most */
#define DPI_TRIAL_TARGETS 4        /* numbers that people are matched by, at most */
#define DPI_TRIAL_KEPT 8192        /* people whose endpoints are kept, for bootstrap and power */
#define DPI_TRIAL_STRATIFY 4       /* numbers that strata are made of, at most */
#define DPI_TRIAL_LOOKS 20         /* looks at the data, at most */

enum { /* purposes of random numbers */
       DPI_TRIAL_ROW = 0x7a01,
       DPI_TRIAL_JITTER,
       DPI_TRIAL_ETA,
       DPI_TRIAL_MEAL,
       DPI_TRIAL_DROPOUT,
       DPI_TRIAL_LOST,
       DPI_TRIAL_ASSIGN,
       DPI_TRIAL_BOOTSTRAP,
       DPI_TRIAL_POWER,
       DPI_TRIAL_MATCH,
       DPI_TRIAL_STRATUM,
       DPI_TRIAL_DRIFT,
       DPI_TRIAL_CHANGE,
       DPI_TRIAL_RESAMPLE,
};

/* ---- who ---- */

typedef enum dpi_cohort_kind { DPI_COHORT_TABLE, DPI_COHORT_POPULATION, DPI_COHORT_GIVEN } dpi_cohort_kind;

typedef struct dpi_variation { /* of a covariate, when people are drawn */
  dp_variation kind;
  double a, b;
} dpi_variation;

typedef struct dpi_target { /* of the match: people's numbers shall be distributed like this */
  const char *name;
  int column;  /* a number of theirs; -1: */
  int output;  /* of the kind's sim at a time, before anybody decides; -1: a column */
  double time; /* time units */
  double mean, sd;
} dpi_target;

typedef struct dpi_cohort {
  dpi_cohort_kind kind;
  int n;
  int ncolumn;
  const char **column; /* [ncolumn] numbers of a person */
  /* table */
  const char *table; /* path */
  int nrow;
  const char **person; /* [nrow] */
  double *value;       /* [nrow x ncolumn] */
  bool resample;       /* with replacement; else the rows one after another, again from the first */
  double *jitter;      /* [ncolumn] sd of the logarithm of a factor */
  /* population: columns are first the effects, then covariates */
  double *chol;        /* [neffect x neffect] */
  dpi_variation *vary; /* [ncolumn] of covariates */
  /* match */
  int ntarget;
  dpi_target *target;
  int *accepted;   /* [n] numbers of the candidates who were, NULL without a target */
  double *matched; /* [n x ntarget] their numbers */
  int64_t ncandidate, nsimulated;
  /* given: handed over in memory, nrow people; person i is row i % nrow under the settings i / nrow */
  int nsetting;
  const int *setting;    /* [nsetting] columns that settings replace */
  const double *replace; /* [n / nrow x nsetting] */
} dpi_cohort;

/* Who number i is: column values; name into id[64]. */
void dpi_cohort_person(const dp_trial *t, int i, double *value, char id[64]);
/* The number that chance goes by: the same for one and the same row of a given cohort. */
uint64_t dpi_cohort_chance(const dp_trial *t, int i);
/* A given cohort: columns are the kind's effects, typical values and covariates, then what a policy wants to know. */
dp_status dpi_cohort_given(dp_trial *t);
dp_status dpi_cohort_add(dp_trial *t, const dp_policy *p);
int dpi_cohort_column(const dpi_cohort *c, const char *id); /* -1: none */

/* ---- what they eat, or are given whatever the arm ---- */

typedef struct dpi_trial_input {
  int control; /* of the kind */
  int nalso, *also; /* controls that are given the same at the same time */
  int n;
  double *time, *amount; /* [n] time units, control's unit */
  double every;          /* the scenario begins anew; 0: once */
  double rate;           /* control's unit a time unit; 0: at once */
  double sd_time, sd_amount, skip;
} dpi_trial_input;

/* ---- what is asked ---- */

typedef enum dpi_metric {
  DPI_METRIC_BETWEEN,
  DPI_METRIC_BELOW,
  DPI_METRIC_ABOVE,
  DPI_METRIC_MEAN,
  DPI_METRIC_SD,
  DPI_METRIC_CV,
  DPI_METRIC_MAXIMUM,
  DPI_METRIC_MINIMUM,
  DPI_METRIC_INTEGRAL,
  DPI_METRIC_FINAL,
  DPI_METRIC_FIRST_ABOVE,
  DPI_METRIC_FIRST_BELOW,
  DPI_METRIC_GMI,
  DPI_METRIC_LBGI,
  DPI_METRIC_HBGI,
  DPI_METRIC_TOTAL, /* of what a policy gives */
} dpi_metric;

typedef struct dpi_endpoint {
  dp_trial_endpoint pub;
  int observable, quantity; /* rows of the kind, -1 */
  const char *give;         /* TOTAL: what is given */
  bool readings;            /* counted at the times of readings, as measured; else on the path, as it is */
  bool samples;             /* with readings: at their times, but as it is */
  dpi_metric metric;
  double level, level2;
  bool percent;  /* times as a share of the time */
  int relation;  /* of the event: -1 below, +1 above, 0: no event, a mean */
  bool at_bound; /* the event's bound itself is part of it: <=, >= */
  double bound;
} dpi_endpoint;

typedef struct dpi_trial_arm_def {
  const char *name, *path;
  dp_policy *policy;
} dpi_trial_arm_def;

/* A sensor between an observable and its reading, instead of the kind's own noise: a small law of its own. */
typedef struct dpi_trial_sensor {
  int observable;
  int nnoise, nstate;
  const char **noise, **state;
  double *start;
  dpi_policy_formula *next;
  dpi_policy_formula value;
  double low, high;
} dpi_trial_sensor;

/* What an observable does that the model does not have: stationary, normal, forgotten in `timescale`. */
typedef struct dpi_trial_drift {
  int observable; /* -1: none */
  double sd, timescale;
} dpi_trial_drift;

typedef struct dpi_stratify { /* strata by a number of the people */
  int column, ncut, line;     /* line: of the file */
  const double *cut;          /* [ncut] ascending; a stratum begins at a cut */
} dpi_stratify;

typedef enum dpi_dropout_analysis { DPI_DROPOUT_UNTIL, DPI_DROPOUT_EXCLUDE } dpi_dropout_analysis;

struct dp_trial {
  dp_ctx *ctx;
  dpi_arena arena;
  dp_trial_desc desc;
  dp_kind *kind;
  const char *folder, *kind_dir;
  dpi_cohort cohort;
  int ninput;
  dpi_trial_input *input;
  dpi_trial_arm_def *arm;
  int nsensor;
  dpi_trial_sensor *sensor;
  dpi_endpoint *endpoint;
  const char **arm_name;
  dp_trial_endpoint *endpoint_pub;
  int block;               /* parallel: people of each arm in a block of the randomisation */
  int nstratify, nstratum; /* parallel: numbers that strata are made of, 0: none; strata */
  dpi_stratify *stratify;
  unsigned short *allotted;    /* [cohort.n] stratum and arm, NULL without strata (trial_strata.c) */
  bool washout_next;           /* in the wash-out the next arm's policy acts already */
  double dropout, dropout_per; /* probability within that time; 0: nobody leaves */
  dpi_dropout_analysis dropout_analysis;
  double missing;  /* probability that an endpoint of a person is missing */
  double sampling; /* time units between readings */
  double confidence;
  bool bootstrap;
  int nbootstrap;
  bool clopper, holm;
  int power_n, power_trials;
  int nlook;                        /* looks at the data, the last one included; 0: only at the end */
  double look[DPI_TRIAL_LOOKS];     /* shares of the people, the last one 1 */
  double critical[DPI_TRIAL_LOOKS]; /* |z| that ends the trial there */
  const char *boundary;             /* which */
  int look_line;                    /* of the file */
  const char *method;               /* NULL: the kind's */
  int method_line;                  /* of the file */
  double rtol, atol, step;
  const char *context, *influence, *consequence, *risk;
  double error_limit; /* of the replay at a tight tolerance, in the unit of what is compared; 0: none */
  int nevidence;
  const char **evidence; /* stated in the file */
  dpi_trial_drift drift;
  bool rows; /* members give a row at each reading, beside the last one */
};

/* ---- a sim with arms in it (trial_model.c) ---- */

typedef struct dpi_trial_part { /* of one arm in a sim */
  int arm;
  int law, monitor; /* laws that decide and that count (-1: none, or the same) */
  int *said;        /* [nannounce of the policy] parameters of what is announced */
  int *output;      /* [nendpoint] outputs; -1: by a functional or by what is given from outside */
  int *path;        /* [nendpoint] index among the functionals of an arm, -1 */
  int limited;      /* output: gifts that were cut; -1 */
  dp_instant *plan; /* of a plan, from 0 on */
  int nplan;
  int *reading; /* [nread] outputs of what an outside policy reads */
  int *given;   /* [ngive] outputs: last gift of a rule, for replay */
  int nact;     /* gifts with a lag: laws that bring them, so long after the decision */
  int *act;
  double *act_lag;
  int *seen;    /* [nendpoint] with rows: outputs of what was read or sampled last, -1 */
  int drift;    /* parameter: the drift's state, -1 */
  int ncounter;
  int *counter; /* [ncounter] parameters to set back when a period begins */
  double *counter_start;
} dpi_trial_part;

typedef struct dpi_trial_model {
  const dp_trial *trial;
  dpi_arena arena;
  dp_kind *kind;
  const dp_sim *sim;
  int npart;
  dpi_trial_part *part; /* arms [first, first + npart) */
  int npair;
  int *pair_column, *pair_param; /* [npair] a person's number and a parameter that it sets; a number may set several */
  int npath;                     /* endpoints by functionals: so many for each arm */
} dpi_trial_model;
dp_status dpi_trial_model_create(const dp_trial *t, int first, int n, dpi_trial_model **out);
void dpi_trial_model_destroy(dpi_trial_model *m);
bool dpi_trial_outside(const dp_trial *t, int arm); /* is it asked from outside? */
/* Bounds of what a policy gives: of the control, covariate or parameter. */
void dpi_trial_bounds(const dp_kind *kind, const char *give, double *low, double *high, int *control);

/* ---- one member (trial_inputs.c) ---- */

typedef struct dpi_trial_meal {
  dp_time time;
  double amount;
  int input;
} dpi_trial_meal;
/* Meals of a person up to `until`, ascending; room for dpi_trial_meal_most. Gives their number. */
int dpi_trial_meals(const dp_trial *t, int person, double until, dpi_trial_meal *meal);
int dpi_trial_meal_most(const dp_trial *t, double until);
double dpi_trial_length(const dp_trial *t);             /* of a person's part, time units */
double dpi_trial_leaves(const dp_trial *t, int person); /* when they drop out, time units; INFINITY: never */
bool dpi_trial_lost(const dp_trial *t, int person, int arm, int endpoint);
dp_time dpi_trial_ticks(double time);
/* Announced to the policy in (from, to], in its unit. */
double dpi_trial_announced(const dp_trial *t, const dp_policy *p, int k, const dpi_trial_meal *meal, int n,
                           dp_time from, dp_time to);

typedef struct dpi_trial_slot { /* room for one member */
  dp_instant *instant;
  dp_output_time *out;
  dp_functional *functional;
  dpi_trial_meal *meal;
  double *column;
} dpi_trial_slot;
dp_status dpi_trial_slots_create(const dpi_trial_model *m, int n, dpi_trial_slot **out);
void dpi_trial_slots_destroy(const dpi_trial_model *m, dpi_trial_slot *slot, int n);
size_t dpi_trial_slot_size(const dpi_trial_model *m);
/* Fill a member for this person; param [sim nparam] holds the sim's defaults. */
void dpi_trial_fill(const dpi_trial_model *m, int person, dpi_trial_slot *slot, dp_member *member, double *param);
/* When an arm's period of this person begins, when it is over (its end, or when they leave), and the how many-th it
 * is. */
typedef struct dpi_trial_period {
  dp_time from, to; /* counted */
  dp_time act;      /* the arm's policy acts from here on */
  int position;
} dpi_trial_period;
dpi_trial_period dpi_trial_period_of(const dp_trial *t, int person, int arm);
int dpi_trial_row_most(const dpi_trial_model *m); /* rows of a member at most */
/* An endpoint over readings x[n], without its event: as the laws count. NaN: missing. */
double dpi_trial_count(const dp_trial *t, const dpi_endpoint *e, const double *x, int n);
/* Lag of a rule's gifts of a control, where it is a number that a law can keep to; NaN. */
double dpi_trial_lag(const dp_trial *t, const dp_policy *p, int control);
/* Is it so? 1, 0; without an event the value itself. NaN stays. */
double dpi_trial_event(const dpi_endpoint *e, double value);
/* Endpoints of one arm: a row of outputs at its end (NULL: never there), the arm's functionals. NaN: missing. */
void dpi_trial_values(const dpi_trial_model *m, int part, int person, const double *row, const double *functional,
                      double *value);

/* ---- who goes where (trial_strata.c) ---- */

int dpi_trial_assigned(const dp_trial *t, int person); /* PARALLEL: arm; CROSSOVER: sequence */
int dpi_trial_stratum_of(const dp_trial *t, int person);
/* One permuted block, place [narm x block]. */
void dpi_trial_permute(const dp_trial *t, dpi_rng *rng, short *place);
/* With strata: everybody's stratum and arm, into t->allotted (the caller's to free). */
dp_status dpi_trial_allot(dp_trial *t);
dp_status dpi_trial_balance(const dp_trial *t, dp_trial_result *out); /* strata of the result */
dp_status dpi_trial_read_strata(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map);

/* ---- looks at the data (trial_looks.c) ---- */

typedef enum dpi_boundary {
  DPI_BOUNDARY_OBF,
  DPI_BOUNDARY_POCOCK,
  DPI_BOUNDARY_LD_OBF,
  DPI_BOUNDARY_LD_POCOCK
} dpi_boundary;
/* |z| at which each of n looks at information share[] ends the trial, two-sided at level alpha. The first two are for
 * looks at equal distances. */
void dpi_trial_boundaries(dpi_boundary kind, const double *share, int n, double alpha, double *critical);
int dpi_trial_look_at(const dp_trial *t, int k, int people); /* people of `people` that look k sees */
bool dpi_trial_looks_fit(const dp_trial *t, int people);     /* does each look see somebody more? */
dp_status dpi_trial_read_looks(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map);

/* ---- running and adding up ---- */

typedef struct dpi_trial_tally dpi_trial_tally;
dp_status dpi_trial_tally_create(const dp_trial *t, dpi_trial_tally **out);
void dpi_trial_tally_destroy(dpi_trial_tally *tally);
/* One block of people, in order: value [n x narm x nendpoint], NaN: missing or not in that arm. */
dp_status dpi_trial_tally_add(dpi_trial_tally *tally, const double *value, int n);
dp_status dpi_trial_tally_finish(dpi_trial_tally *tally, dp_trial_result *out);
/* One row of evidence: which numbers of people the first endpoint goes with. */
dp_status dpi_trial_tally_drivers(dpi_trial_tally *tally, dp_trial_result *out);

bool dpi_trial_any_outside(const dpi_trial_model *m); /* is any of its arms? */
/* People list[n] of a block through the model's arms, some of which are asked from outside; value [block x narm x
 * nendpoint], its first person is number `first`. */
dp_status dpi_trial_outside_run(const dpi_trial_model *m, const int *list, int n, int first, double *value,
                                dp_trial_result *result);
/* What a plan that begins at `act` gives of a control in [from, to). */
double dpi_trial_plan_total(const dpi_trial_model *m, int part, const char *give, dp_time act, dp_time from,
                            dp_time to);

dp_status dpi_trial_checks(const dp_trial *t, bool all, dp_trial_result *result);
dp_status dpi_trial_match(dp_trial *t);
/* A file that has most of a trial's words, about draws of one person in the place of people (tune_read.c): `title` and
 * `key` are its words, one policy the arm; `rest` reads what else it has. */
typedef struct dpi_trial_form {
  const char *title, *what;
  const char *const *key;
  int nkey;
  dp_status (*rest)(void *user, dp_trial *t, const dpi_yaml_doc *doc);
  void *user;
} dpi_trial_form;
dp_status dpi_trial_read_form(dp_ctx *ctx, const char *path, const char *const *dirs, int ndir,
                              const dpi_trial_form *form, dp_trial **out);
dp_status dpi_trial_read_cohort(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map);

#endif
