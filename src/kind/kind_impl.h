/* kind_impl.h - ring two: the compiled kind as the rooms above (infer, decide, twin, explain) see it. Read-only after load.
 *
 * How a kind becomes a simulation: the model text is read; each row of population.tsv makes its parameter an assigned
 * symbol of the model, from the typical value (a row of parameters.tsv), the covariate factors (covariates.tsv) and the
 * random effect:
 *     lognormal     P = typical * factor * exp(effect)
 *     normal        P = typical * factor + effect
 *     logitnormal   P = 1/(1 + exp(-(ln(t/(1-t)) + effect))), t = typical * factor
 *     uniform       P = typical * factor * (1 + erf(effect/sqrt 2)): on 0 .. 2 t where the effect's variance is 1
 * so typical values, effects, covariates and error parameters are the sim's parameters, and the effects are the active
 * ones (they carry derivative directions).
 */
#ifndef DPI_KIND_IMPL_H
#define DPI_KIND_IMPL_H

#include "base/base.h"
#include "doppel/kind.h"
#include "doppel/units.h"
#include "num/num.h"

struct dpi_kind_formula; /* kind_plan.c */

typedef enum dpi_scale { DPI_SCALE_LIN, DPI_SCALE_LOG, DPI_SCALE_LOG10, DPI_SCALE_LOGIT } dpi_scale;

/* a row of parameters.tsv (PEtab's columns plus unit and name) */
typedef struct dpi_kind_param {
  const char *id, *name, *unit;
  dpi_scale scale;
  double lower, upper, nominal; /* on the linear scale, PEtab's way */
  bool estimate;                /* part of population estimation */
  int sim_param;                /* index into member.param */
} dpi_kind_param;

typedef enum dpi_distribution {
  DPI_DIST_LOGNORMAL,
  DPI_DIST_NORMAL,
  DPI_DIST_LOGITNORMAL,
  DPI_DIST_UNIFORM
} dpi_distribution;

/* a random effect: a row of population.tsv */
typedef struct dpi_kind_effect {
  const char *id;               /* the sim's parameter: "eta_ka" */
  const char *parameter;        /* the individual parameter it makes: "ka" */
  const char *name, *unit;      /* of the individual parameter, for people: "absorption rate", "1/h" */
  int typical;                  /* row in param[] */
  dpi_distribution distribution;
  bool occasion;                /* level: person (false) or occasion (true) */
  double variance;              /* published or starting value */
  bool estimate;
  int sim_param;                /* index into member.param */
  int active;                   /* index into the sim's active list */
  int sim_output;               /* sim output that gives the individual parameter */
} dpi_kind_effect;

typedef enum dpi_noise { DPI_NOISE_NORMAL, DPI_NOISE_LOGNORMAL, DPI_NOISE_JOHNSON } dpi_noise;

/* a row of observables.tsv */
typedef struct dpi_kind_observable {
  const char *id, *name, *unit, *loinc;
  int value_output;             /* sim output: prediction f */
  int sigma_output;             /* sim output: standard deviation (of the log, for lognormal) */
  dpi_noise noise;
  const char *dvid;             /* text in the dvid column that means this observable; "" none */
  int compartment;              /* CMT that means it; 0 none */
  double lloq;                  /* default limit of quantification; NaN none */
  bool primary;                 /* the one shown first */
  double axis_low, axis_high;   /* reference range, NaN none */
  double molar_mass;            /* g/mol, for records in amount of substance; 0 not known */
  dpi_johnson shape;            /* of the error in standard deviations, where noise is DPI_NOISE_JOHNSON */
  double noise_timescale;       /* correlation time of the error (Ornstein-Uhlenbeck), time units; 0: independent */
} dpi_kind_observable;

typedef enum dpi_missing { DPI_MISSING_REFUSE, DPI_MISSING_VALUE, DPI_MISSING_CARRY } dpi_missing;

/* From when on a row's value of a covariate holds; the words of covariates.tsv in this order. */
typedef enum dpi_convention {
  DPI_LOCF, /* from its row on */
  DPI_NOCB, /* over the interval that ends at its row */
  DPI_NEXT  /* the same, and a dose goes by the first row later than it */
} dpi_convention;

/* a row of covariates.tsv */
typedef struct dpi_kind_covariate {
  const char *id, *name, *unit;
  double lower, upper;          /* allowed range; outside: ERR_INPUT */
  const char *parameter;        /* individual parameters whose typical value it multiplies, "CL;V"; "" none (used by the model) */
  const char *factor;           /* formula for each of them, "(WT/70)^0.75;WT/70"; "" none */
  dpi_missing missing;
  double value;                 /* used when missing = value */
  dpi_convention convention;
  int sim_param;                /* -1 when recorded but not used */
  bool occasion;                /* each value of this column is an occasion; a value seen before is that occasion again */
} dpi_kind_covariate;

/* Do random effects move the times at which a control's doses begin or end? */
typedef enum dpi_moved {
  DPI_MOVED_NOT,      /* lag, rate, duration know no effect */
  DPI_MOVED_LAG,      /* the lag is an individual parameter with one effect, the person's own, and no covariate's factor */
  DPI_MOVED_DURATION, /* the duration is */
  DPI_MOVED_SOMEHOW   /* by whatever else: not known from outside */
} dpi_moved;

/* a row of controls.tsv */
typedef struct dpi_kind_control {
  const char *id, *name, *unit;
  int sim_control;
  int compartment;              /* CMT of its doses in event tables; 0: any dose */
  double lower, upper;          /* one dose */
  const double *strength;       /* [nstrength] amounts that exist (tablets) */
  int nstrength;
  int max_units;                /* tablets at one time */
  const double *interval;       /* [ninterval] allowed intervals, time units */
  int ninterval;
  const double *value;          /* [nvalue] the only amounts allowed, 0 possible; none: strengths or continuous */
  int nvalue;
  double step;                  /* amounts are multiples of it; 0: any */
  double rate_limit;            /* largest change of the amount from one dose to the next; infinite: none */
  double hours_from, hours_to;  /* clock hours within which a dose may begin (from > to: over midnight); NaN: any */
  const char *approver;
  double molar_mass;            /* g/mol; 0 not known */
  bool model_rate, model_duration; /* RATE -1, -2 in event tables are offered */
  bool timed;                   /* lag, rate or duration is a formula: parameters move when it acts */
  dpi_moved moved;
  int moved_effect;             /* row in effect[], -1 none: whose individual parameter the lag or duration is */
  bool smooth;                  /* a dose reaches every observable through three or more rates, so that a prediction has two
                                   continuous derivatives by the time of the dose */
  int with;                     /* control whose dose, the same at the same time, belongs to each of this; -1 none */
  const char *resets;           /* state that is set to 0 when a dose begins; "" none */
  int reset_state;              /* the sim's state of it, -1 none */
} dpi_kind_control;

/* a row of quantities.tsv */
typedef struct dpi_kind_quantity {
  const char *id, *name, *unit, *meaning;
  int sim_output;
  double low, high;             /* reference range, NaN none */
  bool proportional;            /* twice the state, twice the quantity */
} dpi_kind_quantity;

typedef enum dpi_goal { DPI_GOAL_LIMIT, DPI_GOAL_REWARD } dpi_goal;

/* What a reward term is about: the path, or the plan itself. */
typedef enum dpi_term_of { DPI_OF_PATH, DPI_OF_AMOUNT, DPI_OF_COUNT, DPI_OF_INTERVAL, DPI_OF_INTENSITY } dpi_term_of;

/* What of the draws a reward term counts. */
typedef enum dpi_risk { DPI_RISK_EXPECTATION, DPI_RISK_QUANTILE, DPI_RISK_CVAR } dpi_risk;

/* a term of reward.yaml */
typedef struct dpi_kind_term {
  const char *id, *name;
  dpi_goal goal;
  dpi_term_of of;
  int of_control;               /* row in control[] that `of` is about, -1: all that are planned */
  int quantity;                 /* row in quantity[] */
  dp_functional_kind functional;
  double level, level2;         /* TIME_BETWEEN's range, an end may be infinite */
  const char *unit;             /* of the functional's value */
  bool windowed;                /* own window, from now, time units; else the whole */
  double from, to;
  int relation;                 /* the event is functional < bound (-1) or > bound (+1); 0: see band */
  bool closed;                  /* at the bound too: <= or >= */
  int band;                     /* 0; the event is bound <= functional <= bound2 (1) or the opposite (-1) */
  double bound, bound2;
  bool event;                   /* REWARD: 1 where the event happens, else 0 */
  struct dpi_kind_formula *utility; /* REWARD: formula over the functional's value, NULL: itself */
  int ngrade;                   /* REWARD: time below each level counts grade_weight, NULL levels: no grades */
  const double *grade_level, *grade_weight;
  dpi_risk risk;                /* REWARD */
  double risk_level;
  int objective;                /* index into reward.objective, -1 none */
  double probability;           /* LIMIT: allowed or required */
  bool at_least;                /* LIMIT: P(event) >= probability (true) or <= (false) */
  bool fraction;                /* REWARD on TIME_BETWEEN: as a fraction of the window */
  double weight;                /* REWARD */
  const char *text;             /* as a person reads it: "P(trough >= 5 mg/L) >= 90 %" */
} dpi_kind_term;

typedef enum dpi_plan_form {
  DPI_FORM_REGIMEN, /* a dose every interval, at steady state */
  DPI_FORM_COURSE   /* doses at given times from now on, in the state that the person is in */
} dpi_plan_form;

typedef struct dpi_kind_reward {
  bool given;
  int control;                  /* row in control[] that is planned, the first of them */
  bool residual;                /* does residual error count in events */
  double confidence;            /* of the bound at which limits must hold: 0.95 one-sided */
  double window;                /* length at steady state, time units; 0: one interval */
  int nterm;
  const dpi_kind_term *term;
  const char *note;
  /* plan: which plans there are (kind_plan.c) */
  dpi_plan_form form;
  int nplanned;
  const int *planned;           /* rows in control[] */
  int ntime;                    /* course: doses at given times from now on */
  const double *time;
  double first;                 /* course with spacings: doses at first + k spacing, k < count */
  int count;
  int nspacing;                 /* course: alternatives; regimen: intervals instead of the controls' own */
  const double *spacing;
  bool same;                    /* course: one amount for all times */
  const char *search;           /* "" chosen by the room decide */
  int evaluations;
  int nobjective;               /* words under `objective` of terms */
  const char *const *objective;
  int npareto;
  const int *pareto;            /* objectives compared */
} dpi_kind_reward;

/* A formula over one number x; constant, shared by all threads. */
void dpi_kind_formula_many(const struct dpi_kind_formula *f, const double *x, int n, double *work, double *out);
double dpi_kind_formula_slope(const struct dpi_kind_formula *f, double x, double *work, double *value); /* slope, and value */
int dpi_kind_formula_work(const struct dpi_kind_formula *f); /* doubles of work for that */

/* a published figure to reproduce: evidence/evidence.tsv */
typedef struct dpi_kind_evidence {
  const char *id, *what, *method, *source;
  const char *person;           /* methods map, typical: of the kind's patients; "" none */
  const char *plan;             /* methods map, typical: path of a plan that is given instead of the person's doses; "" none */
  const char *where;            /* file, line and column of `what`, for messages */
  double published, tolerance;  /* absolute tolerance */
  const char *unit;
} dpi_kind_evidence;

struct dp_kind {
  dp_ctx *ctx;
  dpi_arena arena;
  const char *id, *title, *question, *intended_use, *dir, *time_unit, *patients, *people, *source;
  char hash[65];                /* of every file that decides results */
  char law[65];                 /* of model, formulas of observables and controls, integrator: what decides an estimate;
                                   the same for every version and arithmetic, so that stored estimates serve all */
  double until, horizon;
  double clock;                 /* clock hours at time 0 of a record; NaN: not said */
  bool proportional;            /* twice the doses, twice the state: rates linear in states, nothing comes of itself */
  bool discrepancy;             /* model-discrepancy term switched on by default */
  double discrepancy_sd;        /* its stationary sd, relative to the prediction; 0 when twin.yaml gives none */
  double discrepancy_timescale; /* its correlation time, time units */
  dp_model *model;
  dp_sim_def sim_def;           /* what sim was made of: outputs, controls, laws; its texts live as long as the kind */
  dp_sim *sim;                  /* at the kind's tolerances: modes, derivatives, estimates */
  dp_sim *ensemble;             /* the same law and indices at the tolerance of ensembles: draws, forecasts, rehearsals */
  const char *codes;            /* for dp_record_def.codes */
  dp_record_def table;          /* how event tables are read: columns by their place, rows left out */
  int nparam;        const dpi_kind_param *param;
  int neffect;       const dpi_kind_effect *effect;
  const double *omega;          /* [neffect x neffect] published or starting covariance */
  const uint8_t *omega_free;    /* [neffect x neffect] symmetric: estimated entries */
  int nobservable;   const dpi_kind_observable *observable;
  int ncovariate;    const dpi_kind_covariate *covariate;
  int ncontrol;      const dpi_kind_control *control;
  int nquantity;     const dpi_kind_quantity *quantity;
  dpi_kind_reward reward;
  int nevidence;     const dpi_kind_evidence *evidence;
};

/* ---- a kind with something added to its model: policies and trials (kind_load.c) ---- */

typedef struct dpi_kind_extra { /* all borrowed during the call */
  int nparam;
  const char *const *param;     /* [nparam] new parameters of the model; a name that it has already is refused */
  const double *value;
  int nlaw;
  const dp_law_def *law;        /* formulas in ids of the model and of the new parameters */
  int noutput;
  const dp_output_def *output;  /* after the kind's own */
  const char *method;           /* NULL: the kind's */
  double rtol, atol;            /* 0: the kind's tolerances of ensembles */
  double step;                  /* of method "fixed", time units; 0: none */
  int nquantity;
  const struct dpi_kind_extra_quantity *quantity; /* after the kind's own */
  const struct dpi_yaml_doc *reward; /* its root's `limits`, `rewards` and `confidence` count in place of reward.yaml;
                                        NULL: reward.yaml. Its texts must live as long as the kind */
} dpi_kind_extra;
typedef struct dpi_kind_extra_quantity { /* texts that live as long as the kind */
  const char *id, *formula, *unit, *where; /* formula: in ids of the model and of new parameters; where: for messages */
} dpi_kind_extra_quantity;
/* The kind loaded once more with these in its sim (sim and ensemble are one). */
dp_status dpi_kind_load_with(dp_ctx *ctx, const char *dir, const dpi_kind_extra *extra, dp_kind **out);

/* ---- one subject under a kind (case.c) ---- */

typedef struct dpi_case_obs {
  int row;             /* index into out[] (and rows of results) */
  int observable;      /* kind->observable */
  double value;
  int censored;        /* 1: value lies below `limit`; 0 measured */
  double limit;
  double time;         /* time units */
  int line;
  bool replicate;      /* same time and observable as another */
} dpi_case_obs;

/* Everything the waist needs for one person, with random effects laid out as directions: first the person's effects, then
 * those of occasion 1, 2, ... */
typedef struct dpi_case {
  const dp_kind *kind;
  dpi_arena arena;
  const char *id;
  uint64_t stream;         /* hash of the kind's and the subject's id */
  int neta;                /* directions */
  int noccasion;
  const int *eta_effect;   /* [neta] which effect each direction is */
  double *param;           /* [sim nparam] nominal typical values, covariates, effects 0 */
  double *seed;            /* [nactive x neta] */
  dp_instant *instant;
  int ninstant;
  dp_output_time *out;
  int nout;
  dpi_case_obs *obs;       /* ascending by row; all of the record's observations, seen and sealed */
  int nobs;
  double last_time;
  dp_output_time start;    /* after the rows of time 0, before what the next row announces backwards */
} dpi_case;

/* Build a case from a subject; all observations included. ERR_INPUT with file and line. */
dp_status dpi_case_create(const dp_kind *kind, const dp_record *record, int subject, dpi_case **out);
void dpi_case_destroy(dpi_case *c);
/* How many leading observations lie at or before time t (time units); observations are in time order. */
int dpi_case_seen(const dpi_case *c, double until);
/* Write typical values (kind->param order; NULL: nominal) and eta [neta] into a member's param vector and instants
 * (copies of c->param, c->instant with c->ninstant entries). */
void dpi_case_apply(const dpi_case *c, const double *typical, const double *eta, double *param, dp_instant *instant);
/* What is measured when the model says f and sigma and the standard normal draw is z. */
double dpi_kind_measure(const dpi_kind_observable *o, double f, double sigma, double z);
/* The z of a measurement y, and ln dz/dy without the constants of the law; NaN where there is none. */
double dpi_kind_error(const dpi_kind_observable *o, double y, double f, double sigma, double *ln_slope);
/* Take the directions off applied instants: a run without derivatives refuses those that the switches of occasions carry. */
void dpi_case_undirect(dp_instant *instant, int n);

#endif
