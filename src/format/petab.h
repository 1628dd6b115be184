/* petab.h - floor 3: a PEtab problem (v1 or v2: YAML, tables, a model) as plain data.
 *
 * PEtab says how a model is compared with measurements: which parameters are estimated and within which bounds, what
 * is observed with which noise, under which conditions. The reader (src/format/petab/) checks all of it and brings
 * version 1 into the shape of version 2. It reads no model and knows no simulator: names it cannot explain are names
 * of the model.
 *
 *     dpi_petab_def def = {.path = "problem.yaml"};
 *     dpi_petab *p;
 *     DP_TRY(dpi_petab_read(ctx, &def, &p));             first error; dpi_petab_lint lists them all
 *     DP_TRY(dpi_petab_check_names(p, known, user));     names that neither tables nor model know
 *     p->experiment[e].period[k].change[c]               what happens when
 *     p->measurement[i]                                  what was seen
 *     dpi_petab_eval(...)                                formulas above the waist, with derivatives
 *     dpi_petab_print(...)                               the same formula as text for dp_output_def, laws, ...
 *     dpi_petab_destroy(p);
 *
 * What a model's course is:
 *   1. parameters of the parameter table replace the model's entities of the same id, before anything starts;
 *   2. an experiment is a list of periods in ascending time. The first begins the simulation; time -inf means: run to a
 *      steady state first (pre-equilibration), then go on with the next period at its time;
 *   3. the changes of the FIRST period are part of the start itself: they replace the model's initial values, and
 *      initial assignments of other entities see them. An amount or a concentration is meant as the model means the
 *      species;
 *   4. when a later period begins, all its changes are evaluated with values as they are just before (time: the
 *      period's) and made at once; then derived values follow. A changed compartment leaves the concentration of
 *      species that the model counts as concentrations, and the amount of those it counts as amounts. Model events at
 *      that time come after;
 *   5. a measurement at the time of a period's begin is taken after its changes.
 */
#ifndef DPI_PETAB_H
#define DPI_PETAB_H

#include "base/base.h"

/* ---------------------------------------------------------------- names and expressions */

/* What an identifier in an expression stands for. An id of the parameter table is PARAMETER even if the model has it
 * too. */
typedef enum dpi_petab_name_kind {
  DPI_PETAB_TIME,
  DPI_PETAB_PARAMETER,   /* index: parameter[] */
  DPI_PETAB_PLACEHOLDER, /* index: observable[] it belongs to; value: the measurement's override */
  DPI_PETAB_MODEL,       /* an entity of the model, or a name nobody knows (dpi_petab_check_names) */
} dpi_petab_name_kind;

typedef struct dpi_petab_place { /* where something was written: "file:line: column" */
  const char *file;
  int line;
  const char *column; /* "" whole row */
} dpi_petab_place;

typedef struct dpi_petab_name {
  const char *id;       /* as the tables write it; v1 placeholders: observableParameter1_obs */
  const char *model_id; /* the model's own id: id, or what the mapping table gives ("reaction1.k1") */
  dpi_petab_name_kind kind;
  int index;
  dpi_petab_place place; /* first use */
} dpi_petab_name;

/* A parsed expression. Ids of observables in it are already replaced by their formulas (v2; v1: in noise formulas). */
typedef struct dpi_petab_expr dpi_petab_expr;

/* ---------------------------------------------------------------- parameters */

typedef enum dpi_petab_scale { DPI_PETAB_LIN, DPI_PETAB_LOG, DPI_PETAB_LOG10 } dpi_petab_scale;

typedef enum dpi_petab_family {
  DPI_PETAB_FLAT, /* no prior */
  DPI_PETAB_UNIFORM,     /* a: low, b: high */
  DPI_PETAB_NORMAL,      /* a: mean, b: standard deviation */
  DPI_PETAB_LAPLACE,     /* a: location, b: scale */
  DPI_PETAB_CAUCHY,      /* a: location, b: scale */
  DPI_PETAB_CHISQUARE,   /* a: degrees of freedom */
  DPI_PETAB_EXPONENTIAL, /* a: scale (the mean) */
  DPI_PETAB_GAMMA,       /* a: shape, b: scale */
  DPI_PETAB_RAYLEIGH,    /* a: scale */
} dpi_petab_family;

/* scale(x) is distributed as family(a, b); log-normal is NORMAL on LOG. The density is that of x, or (on_scale, v1's
 * parameterScale...) that of scale(x): then no Jacobian belongs to it. Truncated to [lower, upper] (of x) in v2 and
 * normalised there; v1 does not truncate. */
typedef struct dpi_petab_prior {
  dpi_petab_family family;
  dpi_petab_scale scale;
  bool on_scale;
  double a, b;
  double lower, upper; /* -inf, inf: not truncated */
  double log_mass;     /* ln of the probability between them, 0 when not truncated */
} dpi_petab_prior;

/* Column parameterType (an extension of pyPESTO's): the parameter is not searched for, but solved for inside
 * the objective. */
typedef enum dpi_petab_solved {
  DPI_PETAB_SEARCHED,
  DPI_PETAB_SCALING,
  DPI_PETAB_OFFSET,
  DPI_PETAB_SIGMA
} dpi_petab_solved;

typedef struct dpi_petab_parameter {
  const char *id;
  int name;              /* name[]; its model_id is what it replaces in the model, if the model has it */
  const char *label;     /* parameterName, "" */
  dpi_petab_scale scale; /* on which it is estimated; v2: LIN */
  double lower, upper;   /* of the value itself, not of its logarithm; -inf, inf where not given and not estimated */
  double nominal;        /* NaN: not given */
  bool estimate;
  dpi_petab_prior prior; /* enters the objective. v2: without one, UNIFORM over finite bounds (implied) */
  bool implied;          /* the tables give no prior for it */
  dpi_petab_solved solved;
  dpi_petab_prior start; /* v1: initializationPrior, where searches start (default: uniform on scale); v2: as prior */
  dpi_petab_place place;
} dpi_petab_parameter;

/* ---------------------------------------------------------------- conditions and experiments */

typedef enum dpi_petab_how {
  DPI_PETAB_SET,   /* target := value */
  /* v1, NaN after pre-equilibration: a parameter takes the model's own value again (as at the start without any
   * condition); a species or compartment stays as it is: no change */
  DPI_PETAB_RESET,
} dpi_petab_how;

typedef struct dpi_petab_change {
  /* name[] of kind MODEL: an entity of the model; where no model knows it, an output parameter: used in observables and
   * noise only, where its value from this period on is meant */
  int target;
  dpi_petab_how how;
  const dpi_petab_expr *value; /* NULL for RESET */
  dpi_petab_place place;
} dpi_petab_change;

typedef struct dpi_petab_period {
  double time; /* -inf: to a steady state */
  int nchange;
  dpi_petab_change *change; /* targets are different */
  int ncondition;
  const char **condition; /* ids of the conditions it is made of */
} dpi_petab_period;

typedef struct dpi_petab_experiment {
  const char *id; /* v2: its id, "" for measurements without; v1: "simulation" or "preequilibration|simulation" */
  int model;      /* model[] that its measurements use; a v2 experiment used with several models occurs once for each */
  int nperiod;    /* at least 1 */
  dpi_petab_period *period;
  bool model_start; /* v2 without experiment: starts when the model does, else at 0 (period[0].time) */
  int nmeasurement; /* at least 1: experiments that nobody measured are left out */
  int *measurement; /* measurement[] that belong to it, by time, then by row */
  dpi_petab_place place;
} dpi_petab_experiment;

/* ---------------------------------------------------------------- observables and measurements */

typedef enum dpi_petab_noise { DPI_PETAB_NOISE_NORMAL, DPI_PETAB_NOISE_LAPLACE } dpi_petab_noise;

/* scale(measurement) ~ noise(location scale(formula), spread noise_formula); the density is that of the measurement
 * itself (with the Jacobian of scale). log-normal: NORMAL on LOG; v1's log10 transformation: LOG10. Note v2's
 * log-normal: the median is formula. */
typedef struct dpi_petab_observable {
  const char *id;
  const char *label;
  int model; /* v1 with several problems: model[] it belongs to; else -1: all */
  const dpi_petab_expr *formula;
  const dpi_petab_expr *noise_formula;
  dpi_petab_noise noise;
  dpi_petab_scale scale;
  int nplaceholder, nnoise_placeholder;
  int *placeholder, *noise_placeholder; /* name[], in the order of the overrides */
  dpi_petab_place place;
} dpi_petab_observable;

/* Column measurementType (an extension of pyPESTO's, with censoringBounds and measurementCategory): what is known of
 * the value. Censored: that it lies within [low, high]; ordinal: only its category, the categories of an observable
 * being in order. */
typedef enum dpi_petab_known_as {
  DPI_PETAB_QUANTITATIVE,
  DPI_PETAB_LEFT_CENSORED,
  DPI_PETAB_RIGHT_CENSORED,
  DPI_PETAB_INTERVAL_CENSORED,
  DPI_PETAB_ORDINAL,
} dpi_petab_known_as;

typedef struct dpi_petab_measurement {
  int observable, experiment, model;
  double time; /* inf: at steady state */
  double value; /* NaN allowed unless quantitative */
  dpi_petab_known_as type;
  double low, high; /* censored; infinite: open */
  int category;     /* ordinal, 1 or more */
  /* [nplaceholder], [nnoise_placeholder] of the observable: numbers, ids of parameters, or (v2) expressions */
  const dpi_petab_expr **override;
  const dpi_petab_expr **noise_override;
  const char *dataset, *replicate; /* "" */
  dpi_petab_place place;
} dpi_petab_measurement;

/* ---------------------------------------------------------------- the problem */

typedef struct dpi_petab_model {
  const char *id;       /* v2: key of model_files; v1: "model_0", ... */
  const char *path;     /* relative paths are already joined to the YAML file's folder */
  const char *language; /* "sbml", "antimony" */
} dpi_petab_model;

typedef struct dpi_petab_issue {
  dp_status status; /* DP_ERR_INPUT, DP_ERR_UNSUPPORTED, DP_ERR_IO */
  const char *text; /* "file:line: column X: what; remedy" */
} dpi_petab_issue;

typedef struct dpi_petab {
  dp_ctx *ctx;
  dpi_arena arena;  /* owns everything below but the lists themselves */
  const char *path; /* the YAML file */
  const char *id;   /* v2: id of the problem, "" */
  int version;      /* 1 or 2 */
  int nmodel;
  dpi_petab_model *model;
  int nname;
  dpi_petab_name *name; /* name[0] is time */
  int nparameter;
  dpi_petab_parameter *parameter; /* in file order */
  int nobservable;
  dpi_petab_observable *observable;
  int nexperiment;
  dpi_petab_experiment *experiment;
  int nmeasurement;
  dpi_petab_measurement *measurement; /* in file order, files after each other: the order of simulation tables */
  int nnote; /* what is allowed, and yet probably not meant: "file:line: column X: ..." */
  const char **note;
  char hash[65];                      /* SHA-256 over YAML file and all tables (not the model) */
  struct petab_private *own;          /* the reader's */
} dpi_petab;

typedef struct dpi_petab_def {
  const char *path; /* of the YAML file */
  /* Where files come from; NULL: from disk. *data is given back with dpi_free. */
  dp_status (*load)(void *user, dp_ctx *ctx, const char *path, char **data, size_t *size);
  void *user;
} dpi_petab_def;

dp_status dpi_petab_read(dp_ctx *ctx, const dpi_petab_def *def, dpi_petab **out);
void dpi_petab_destroy(dpi_petab *p); /* NULL allowed */

/* Everything that is wrong with a problem (at most 200 entries), in order of finding; n = 0: nothing. Fails only
 * without memory. */
typedef struct dpi_petab_issues {
  dpi_arena arena;
  int n;
  dpi_petab_issue item[200];
} dpi_petab_issues;
dp_status dpi_petab_lint(dp_ctx *ctx, const dpi_petab_def *def, dpi_petab_issues *out);
void dpi_petab_issues_release(dpi_petab_issues *issues);

/* Each name of kind MODEL must be known to the models it is used with: known(user, model, id) with the model's own
 * id. Names that are not: targets of changes are output parameters if formulas use them, else and otherwise
 * ERR_INPUT with file, line, column. issues, when not NULL, gets them all. */
typedef bool (*dpi_petab_known)(void *user, int model, const char *id);
dp_status dpi_petab_check_names(dpi_petab *p, dpi_petab_known known, void *user, dpi_petab_issues *issues);

/* With the model: parameters of the table that nothing uses, added to the notes. */
dp_status dpi_petab_note_unused(dpi_petab *p, dpi_petab_known known, void *user);

/* ---------------------------------------------------------------- using expressions */

/* Value with value[nname] by name (only those that occur are read). NaN where mathematics has none. */
double dpi_petab_eval(const dpi_petab_expr *e, const double *value);
/* The same, and grad[nname] += seed * d e / d name. Comparisons, sign and the choice of branches have derivative 0. */
double dpi_petab_eval_grad(const dpi_petab_expr *e, const double *value, double seed, double *grad);
/* A number without names? */
bool dpi_petab_number(const dpi_petab_expr *e, double *out);
/* A single id? name[], else -1. */
int dpi_petab_lone_name(const dpi_petab_expr *e);
/* Names that occur: used[name] = true; others untouched. */
void dpi_petab_uses(const dpi_petab_expr *e, bool *used);
/* Text in the project's formula syntax (dp_output_def, laws, dpi_model_parse). Names as the model's ids between
 * backquotes; put[name] (NULL, or nname entries, NULL: none) is written instead of a name, in parentheses: for
 * placeholders' overrides. */
void dpi_petab_print(const dpi_petab *p, const dpi_petab_expr *e, const char *const *put, dpi_str *out);

/* PEtab text -> expression with memory and names of p (adds names): for tests and for whoever has a formula of their
 * own. */
dp_status dpi_petab_parse(dpi_petab *p, const char *text, const dpi_petab_place *place, const dpi_petab_expr **out);
/* An empty problem (no tables) to parse expressions in. */
dp_status dpi_petab_create(dp_ctx *ctx, const char *path, int version, dpi_petab **out);

/* ---------------------------------------------------------------- densities */

double dpi_petab_to_scale(dpi_petab_scale scale, double x);   /* x, ln x, log10 x */
double dpi_petab_from_scale(dpi_petab_scale scale, double s); /* and back */
/* ln density at the parameter's value x (not its logarithm); -inf outside; 0 for FLAT. d1, d2, when not NULL: its first
 * and second derivative by x. */
double dpi_petab_log_prior(const dpi_petab_prior *prior, double x, double *d1, double *d2);
/* The same at y = scale(x), for a prior on_scale: without the way over x, derivatives by y. */
double dpi_petab_log_prior_on_scale(const dpi_petab_prior *prior, double y, double *d1, double *d2);
/* Below which a share of the prior, as truncated, lies: on the prior's scale (dpi_petab_from_scale gives the
 * value). Not FLAT. */
double dpi_petab_prior_quantile(const dpi_petab_prior *prior, double share);

#endif
