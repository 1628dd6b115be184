/* calib.h - floor 6, inside infer/petab: a calibration problem from its tables to a batch of members and a
 * likelihood.  O -> D
 *
 *     tables (calib_read.c) -> model and sim (calib_model.c), observables (calib_observe.c), simulations (calib_plan.c)
 *     x -> theta -> expressions -> members -> rows of atoms -> y, sigma -> ln p, gradient, information (calib_eval.c)
 *
 * Words:
 *   expression  what a table gives as a value, a function of the parameter table alone: a condition's value, an
 *               override. Its derivatives by the estimated parameters are known before anything is simulated
 *   inner       a parameter of the sim that the course of a simulation depends on; it may carry directions
 *   outer       one that only observables and noise use: it never carries a direction, its derivative is taken outside
 *   atom        an output of the sim: the largest part of an observable that depends on nothing outer
 *   simulation  what experiments share that differ in nothing inner: one member for each point asked for
 *
 * Invariants:
 *   1. what a point gives depends on that point alone; sums run in the order of the data;
 *   2. times are ticks; conditions act before what is measured at their time;
 *   3. no formula is evaluated where it was not measured: a quotient of atoms may be 0/0 elsewhere.
 */
#ifndef DPI_CALIB_H
#define DPI_CALIB_H

#include "base/base.h"
#include "doppel/calibrate.h"
#include "doppel/sim.h"
#include "format/petab.h"
#include "infer/density.h"
#include "lang/lang.h"
#include "num/num.h"

/* ---- noise (calib_noise.c) ---- */
typedef enum dpi_noise {
  DPI_NOISE_NORMAL,
  DPI_NOISE_LOG_NORMAL,
  DPI_NOISE_LOG10_NORMAL,
  DPI_NOISE_LAPLACE,
  DPI_NOISE_LOG_LAPLACE,
  DPI_NOISE_LOG10_LAPLACE,
} dpi_noise;
const char *dpi_noise_name(dpi_noise noise);
typedef struct dpi_noise_value {
  double ln;       /* ln p(m | y, s) */
  double residual; /* standardised: (y - m)/s on the scale of the noise */
  double dy, ds;   /* derivatives of ln */
  double iy, is;   /* expected information about y, about s */
} dpi_noise_value;
/* False: y or s lies outside the noise's domain. */
bool dpi_noise_eval(dpi_noise noise, double m, double y, double s, dpi_noise_value *out);
/* The same of the fact that the measurement lies within [low, high], infinite where open (M3, ordered categories): ln
 * P. Its residual is 0, its information by y the curvature of -ln P, that by s the squared slope. */
bool dpi_noise_within(dpi_noise noise, double low, double high, double y, double s, dpi_noise_value *out);
/* Second derivatives of ln by y and s (calib_bend.c); where it has a value. Of a value within [low, high] also by these,
 * 0 low, 1 high: the first, and its derivatives by y, s, low, high. */
typedef struct dpi_noise_bend {
  double yy, ys, ss;
  double bound[2], by[2][4];
} dpi_noise_bend;
void dpi_noise_bend_at(dpi_noise noise, double m, double y, double s, dpi_noise_bend *out);
void dpi_noise_bend_within(dpi_noise noise, double low, double high, double y, double s, dpi_noise_bend *out);
/* h: identity, ln or log10 */
double dpi_noise_scale(dpi_noise noise, double v);
double dpi_noise_unscale(dpi_noise noise, double hv);
/* ln P(a < e < b) of the standardised error, slopes and curvatures by a and b: aa and bb minus the second derivatives,
 * ab the mixed. */
typedef struct dpi_noise_slice {
  double ln, da, db, aa, bb, ab;
} dpi_noise_slice;
void dpi_noise_between(dpi_noise noise, double a, double b, dpi_noise_slice *out);

/* ---- what the tables say, one model's part (calib_read.c) ---- */
typedef enum dpi_calib_solved {
  DPI_SOLVED_NOT,
  DPI_SOLVED_SCALING,
  DPI_SOLVED_OFFSET,
  DPI_SOLVED_SIGMA,
  DPI_SOLVED_THRESHOLD, /* between two categories of an ordinal observable: no row of the table */
} dpi_calib_solved;

typedef struct dpi_calib_param {
  const char *id, *where; /* where: "parameters.tsv:3" */
  const char *element;    /* what the model calls it */
  dp_problem_scale scale;
  bool estimated;
  dpi_calib_solved solved;      /* not searched for but solved inside the objective (calib_inner.c) */
  double nominal, lower, upper; /* as in the table: not scaled */
  dpi_petab_prior prior; /* FLAT: none that counts */
} dpi_calib_param;

typedef struct dpi_calib_assign {
  const char *target, *value, *where;
  bool keep; /* value "": what the model says by itself */
} dpi_calib_assign;

typedef struct dpi_calib_period {
  double time;
  bool steady; /* up to a steady state before `time`, which is that of the next period */
  int nassign;
  dpi_calib_assign *assign;
} dpi_calib_period;

typedef struct dpi_calib_experiment {
  const char *id;
  int nperiod;
  dpi_calib_period *period;
} dpi_calib_experiment;

typedef struct dpi_calib_observable {
  const char *id, *formula, *noise, *where;
  dpi_noise distribution;
  int nplaceholder;
  const char **placeholder;
} dpi_calib_observable;

typedef struct dpi_calib_datum {
  int observable, experiment;
  double time, value; /* time: infinity, at steady state */
  const char *where;
  const char *low, *high; /* the value is only known to lie between; NULL: open; both NULL: it is `value` */
  const char **given; /* one for each placeholder of the observable: a number or a parameter's id */
} dpi_calib_datum;

typedef struct dpi_calib_table {
  const char *model; /* path */
  int index;         /* of it in the file */
  bool reevaluate;   /* v1: constants given by others follow them from one condition to the next */
  int nparam, nexperiment, nobservable, ndatum;
  dpi_calib_param *param; /* shared by all models of a problem */
  dpi_calib_experiment *experiment;
  dpi_calib_observable *observable;
  dpi_calib_datum *datum;
  int *number; /* [ndatum] place in the order of the files */
} dpi_calib_table;

typedef struct dpi_calib_file {
  dpi_petab *petab; /* owned */
  const char *name;
  int version;
  int ntable, ndatum; /* one table a model; ndatum over all */
  dpi_calib_table *table;
  bool added; /* one measurement is not the file's (calib_predict.c) */
} dpi_calib_file;
/* Everything in the arena, but out->petab: also after a failure. */
dp_status dpi_calib_read(dpi_arena *arena, const dpi_petab_def *def, dpi_calib_file *out);

/* ---- expressions of the parameter table (calib_express.c) ---- */
typedef struct dpi_express {
  dp_ctx *ctx;
  dpi_arena *arena;
  dp_model *scope; /* symbols: time, parameters of the table, constants of the model that values name */
  int nparam;
  const dpi_calib_param *param;
  const int *est; /* [nparam] number among the estimated, or -1 */
  int *sym;       /* [nparam] */
  int n, cap;
  dpi_node *node; /* [n]; the first nparam are the parameters themselves */
  int cap_number, *number_of;
  int nconstant, cap_constant;
  int *constant_sym;
  double *constant;
  /* compiled */
  dpi_tape *tape; /* values [n], then partial derivatives [npartial] */
  int npartial;
  int *first; /* [n + 1] partials of expression i */
  int *by;    /* [npartial] estimated parameter */
  int nreg;
} dpi_express;
dp_status dpi_express_init(dpi_express *e, dpi_arena *arena, const dpi_calib_param *param, int nparam, const int *est);
void dpi_express_release(dpi_express *e);
/* Number of this expression. *foreign: a name that is no parameter of the table nor a constant of the model (*out is -1
 * then); NULL: there is none. at: the time that `time` stands for. */
dp_status dpi_express_add(dpi_express *e, const dp_model *m, const char *text, const char *where, double at, int *out,
                          const char **foreign);
dp_status dpi_express_constant(dpi_express *e, double value, int *out);
dp_status dpi_express_compile(dpi_express *e);
/* theta [nparam]; reg, sym: workspace of dpi_express_work doubles; out [n + npartial]. */
size_t dpi_express_work(const dpi_express *e);
void dpi_express_eval(const dpi_express *e, const double *theta, double *work, double *out);

/* ---- one model's part of a problem ---- */
typedef struct dpi_calib_in { /* what an observable's tape takes */
  enum { DPI_IN_ATOM, DPI_IN_OUTER, DPI_IN_PLACEHOLDER } kind;
  int index;
} dpi_calib_in;

typedef struct dpi_calib_watch { /* an observable, compiled */
  int nin;
  dpi_calib_in *in;
  dpi_tape *value; /* y, sigma */
  dpi_tape *full;  /* and dy/din, dsigma/din [nin] */
  dpi_tape *twice; /* of a part's tangent only: see calib_hessian.c */
} dpi_calib_watch;

typedef struct dpi_calib_bind {
  int param, expr;
} dpi_calib_bind;

typedef struct dpi_calib_rest { /* a distinct steady state from which simulations start */
  int nbind;
  dpi_calib_bind *bind; /* of the sim `rest` */
  int ndir;
  int *dir;
  const char *experiment;
} dpi_calib_rest;

typedef struct dpi_calib_sim { /* one distinct simulation */
  dp_time start;
  int from; /* steady state it starts from, -1: the model's own start */
  int nbind;
  dpi_calib_bind *bind; /* ascending by param */
  int ninstant, nout;
  dp_instant *instant;
  dp_output_time *out;
  bool settles; /* ends at a steady state */
  int ndir;
  int *dir;               /* [ndir] estimated parameters, ascending */
  const char *experiment; /* the first that uses it: for messages */
  const double *time;     /* [nout] as the tables have it; infinity at the end when it settles */
} dpi_calib_sim;

typedef struct dpi_calib_use { /* an experiment: its simulation and its outer values */
  int sim;
  int *outer; /* [nouter] expression, -1: none */
} dpi_calib_use;

typedef struct dpi_calib_row { /* a datum, resolved */
  int sim, row, observable, experiment, number;
  double value, time;
  int low, high; /* expressions between which the value lies, -1: open; both -1: it is `value` */
  int *given; /* [nplaceholder] expressions */
  const char *where;
} dpi_calib_row;

/* Steady states before a simulation: a model of its own, in which the time stands still, and each distinct one once. */
typedef struct dpi_calib_before {
  dp_model *model;
  dp_sim *sim;
  const dp_sim_desc *desc;
  int nslot;          /* states that are handed over */
  const char **state; /* [nslot] ids */
  const char **slot;  /* [nslot] parameters of the main sim that take them */
  int *slot_param;    /* [nslot] */
  int nactive;
  const char **active;
  int *active_of;   /* [nparam] */
  int scale_active; /* as in the part */
  int nrest, maxdir;
  dpi_calib_rest *rest;
} dpi_calib_before;

/* A parameter that nothing depends on: it carries the scale of each direction to the integrators (calib_eval.c). */
#define DPI_CALIB_SCALE "directions()"

typedef struct dpi_calib_part {
  dp_ctx *ctx;
  dpi_arena *arena;
  const dpi_calib_table *table;
  dpi_express *express;
  dp_model *model;
  dp_sim *sim;
  const dp_sim_desc *desc;
  /* calib_model.c: laws and what conditions set */
  bool steady; /* some experiment begins at a steady state */
  dpi_calib_before before;
  int nlaw, cap_law;
  dp_law_def *law;
  int **law_of; /* [nexperiment][nperiod] law, -1: nothing to set */
  int ngiven, cap_given;
  struct dpi_calib_given *given; /* what experiments give parameters of the sim */
  /* calib_observe.c */
  uint8_t *inner; /* [nsym of the sealed model] 1: laws set it or look at it */
  int natom, nouter;
  const char **atom; /* formulas */
  int *outer;        /* [nouter] parameter of the sim */
  const char **outer_id;
  dpi_calib_watch *watch; /* [nobservable] */
  int nactive;
  const char **active;
  int *active_of;   /* [nparam of the sim] number among the active, -1 */
  int scale_active; /* number among them of DPI_CALIB_SCALE, -1 */
  /* calib_plan.c */
  int nsim, maxdir;
  int width;           /* calib_eval.c: directions that one run of a member carries; 0: not known yet */
  bool back_pays;      /* gradients are cheaper backwards */
  bool tried, no_back; /* backwards was tried at the nominal point; it can't be done there */
  bool linear;         /* rates are linear in the states, free of the time: directions cost little */
  dpi_calib_sim *sims;
  dpi_calib_use *use; /* [nexperiment] */
  int nrow;
  dpi_calib_row *row;
  int *row_first; /* [nsim + 1] rows of a simulation lie together in by_sim */
  int *by_sim;
  /* calib_hessian.c: this part is the tangent of another along a direction of the parameters */
  const struct dpi_calib_tangent *tangent; /* NULL: it is no tangent */
  const struct dpi_calib_part *of;         /* what it is the tangent of */
  bool twice;                              /* calib_observe.c: make the tapes `twice` */
} dpi_calib_part;

/* An experiment gives a parameter of the sim an expression. */
typedef struct dpi_calib_given {
  int experiment; /* -1: all of them; what one gives by itself comes later in the list and counts */
  const char *param;
  int expr;
} dpi_calib_given;

dp_status dpi_calib_model(dpi_calib_part *p);                             /* the model that was read: prepare, seal */
dp_status dpi_calib_observe(dpi_calib_part *p);                           /* atoms, outer, tapes */
dp_status dpi_calib_given_values(dpi_calib_part *p);                      /* what measurements give placeholders */
dp_status dpi_calib_create(dpi_calib_part *p, const dp_problem_def *def); /* active, sim: expressions are compiled */
dp_status dpi_calib_plan(dpi_calib_part *p);                              /* simulations, rows */
void dpi_calib_part_release(dpi_calib_part *p);

/* ---- quantities of interest (calib_predict.c) ---- */
typedef struct dpi_calib_asked {
  const char *name;       /* as the user wrote it */
  const char *formula;    /* an observable's id, or a formula of the model and of observables */
  const char *experiment; /* NULL: the only one */
  double time;            /* infinity: at rest */
  bool measured;          /* an observable with its own noise, as a measurement would have it: sigma is told too */
} dpi_calib_asked;

/* ---- the problem ---- */
struct dp_problem {
  dpi_density density; /* first: a problem is a density */
  dp_ctx *ctx;
  dpi_arena arena;
  dp_problem_desc desc;
  dpi_calib_file file;
  dpi_express express;
  int *est;              /* [nparam of the table] number among the estimated */
  int *free;             /* [desc.nparam] row in the table */
  double *lower, *upper; /* [desc.nparam] on the scale */
  bool has_prior;
  dpi_calib_part *part; /* [file.ntable] */
  dp_problem_derivative derivative;
  dp_problem_def def; /* as it was opened; what it points at is the arena's */
  char key[65]; /* SHA-256 of all that answers follow from: tables, models, the definition. For files to go on from */
  /* parameters that are solved inside the objective: `full` is the problem with them among its parameters, owned
   * (calib_inner.c) */
  dp_problem *full;
  struct dpi_calib_inner *inner;
  struct dpi_calib_tangent *tangent; /* calib_hessian.c: made at the first product; owned */
};

/* dp_problem_open, of the whole problem (asked NULL) or of one quantity. */
dp_status dpi_calib_open(dp_ctx *ctx, const char *path, const dp_problem_def *def, const dpi_calib_asked *asked,
                         dp_problem **out);
/* Reads the problem again, with one more measurement, where nothing is measured in the experiment that is asked for. */
dp_status dpi_calib_ask_read(dp_problem *p, const char *path, const dpi_calib_asked *asked);
/* Cuts the tables that were read down to what is asked for. */
dp_status dpi_calib_ask(dp_problem *p, const dpi_calib_asked *asked);
/* A problem with the parameters of p (of p->full where some are solved inside its objective) whose only simulation is
 * the quantity, and whose gradient is the quantity's. */
dp_status dpi_calib_predict(dp_problem *p, const dpi_calib_asked *asked, dp_problem **out);

/* Puts a problem in front of *p that searches for fewer parameters, when some are solved inside the objective. */
dp_status dpi_calib_hide(dp_problem **p);
dp_status dpi_calib_inner_eval(dp_problem *p, int npoint, const double *x, unsigned what, dp_problem_value *value);

/* All parts' sums at points whose expressions are known (calib_eval.c); expr, scale [npoint x ..], values started. */
dp_status dpi_calib_eval_parts(dp_problem *p, int npoint, const double *expr, const double *scale, unsigned what,
                               dp_problem_value *value);
/* A tangent's part of the likelihood: one simulation's share of the slope along the direction, and its derivatives:
 * weight [nout x natom], added to grad [nparam]. *ok false: why. */
typedef struct dpi_calib_share {
  double slope;
  bool ok;
  char reason[200];
} dpi_calib_share;
dp_status dpi_calib_tangent_score(const dpi_calib_part *part, int sim, const double *expr, const double *value,
                                  double *weight, double *grad, dpi_calib_share *out);
void dpi_calib_tangent_destroy(struct dpi_calib_tangent *t); /* NULL allowed */
/* dp_problem_hessian_vector where parameters are solved inside the objective (calib_inner.c). */
dp_status dpi_calib_inner_product(dp_problem *p, int npoint, const double *x, const double *v, dp_problem_product *out);

/* x on the scale -> theta of the whole table, and dtheta/dx of the estimated. */
void dpi_calib_theta(const dp_problem *p, const double *x, double *theta, double *slope);
/* ln prior at x, with gradient and minus second derivative added to g and h (diagonal) unless NULL; jacobian: density
 * of x rather than of what each law is of. term [nparam]: of single parameters, unless NULL. */
double dpi_calib_prior(const dp_problem *p, const double *x, bool jacobian, double *g, double *h, double *term);
/* d2 [nparam]: second derivatives of ln prior, of either kind. */
void dpi_calib_prior_bend(const dp_problem *p, const double *x, double *d2);
extern const dpi_density_ops dpi_calib_density_ops;

#endif
