/* simulate.h - floor 9: what the files of doppel simulate share.
 *
 *     cmd_simulate.c       options -> times, doses, columns, parameters; the run
 *     simulate_scale.c     the absolute tolerance where none is asked for
 *     simulate_vary.c      parameters that vary; members made from their numbers
 *     simulate_answer.c    one curve, fluxes: CSV or JSON
 *     simulate_many.c      bands over members, every trajectory; progress, Ctrl-C
 *     simulate_surrogate.c a surrogate's file in place of a model
 *     simulate_trouble.c   where a member failed, in which state, and why that may be
 */
#ifndef DPI_CLI_SIMULATE_H
#define DPI_CLI_SIMULATE_H

#include "cli/cli.h"

enum { CLI_MAX_TIME = 1000001, CLI_MAX_DOSE = 256, CLI_MAX_BAND = 32 };

typedef struct variation {
  int param;
  dp_variation kind;
  double a, b;
  char id[128]; /* what its stream is named by */
} variation;

typedef struct band { /* a column for each quantity */
  char name[16];      /* "mean", "sd", "q05" */
  double q;           /* share; of mean and sd: NAN */
} band;

typedef struct simulation {
  dp_model *model;         /* NULL: a surrogate is simulated */
  dp_surrogate *surrogate; /* owned, or NULL */
  dp_sim *sim;
  const char *spoke, *method;
  bool method_given;
  int lanes;
  dp_output_def *column; /* owned; ids in `words` or the model's */
  int ncolumn;
  char (*words)[128]; /* owned: ids of states taken from a first sim */
  dp_control_def control[CLI_MAX_DOSE];
  dp_instant instant[CLI_MAX_DOSE];
  int ndose, ncontrol;
  char target[CLI_MAX_DOSE][64];
  dp_output_time *when; /* owned */
  int nwhen;
  double start;
  dp_time first_time;
  int nmember;
  bool ensemble, all, json;
  unsigned long long seed;
  double rtol, atol; /* atol 0: chosen by simulate_scale */
  double *param;     /* owned: what members have in common */
  variation *varied; /* owned */
  int nvaried;
  dp_member member; /* the first one; its parameters: */
  double *own;      /* owned */
  band band[CLI_MAX_BAND];
  int nband;
  double rank_error;
} simulation;

static inline double simulation_time(dp_time t) { return (double)t / (double)DP_TICKS; }
dp_sim_def simulation_def(const simulation *s); /* of all but outputs */

/* All that give an int give an exit code, 0 or after a message. */

/* cmd_simulate.c: for commands that run a model as doppel simulate does, with its options as far as they have them */
/* Rows of their tables: what simulate_prepare reads beside --output, --vary and --members; --times before them, as it
 * is said there, becomes --at (cli_as). */
#define SIMULATE_OPTIONS                                                                                     \
  {"--at", "T,T,...", "the same"},                                                                           \
  {"--start", "T", "start time (0)"},                                                                        \
  {"--end", "T", "end time (10), instead of --times"},                                                       \
  {"--steps", "N", "equal steps from start to end (50)"},                                                    \
  {"--set", "ID=VALUE", "a parameter's value; may be repeated"},                                             \
  {"--dose", "STATE=AMOUNT@T", "dose into a state; also AMOUNT@T/DURATION, AMOUNT@T+II*N; may be repeated"}, \
  {"--seed", "N", "seed of all random numbers (1)"},                                                         \
  {"--interpret", NULL, "no machine code; results do not depend on it"},                                     \
  {"--cache", "DIR", "where machine code is kept between runs"},                                             \
  {"--no-cache", NULL, "keep and read no machine code"},                                                     \
  {"--rtol", "X", "relative tolerance (1e-8)"},                                                              \
  {"--atol", "X", "absolute tolerance (chosen from the size of the states)"}
int simulate_prepare(cli_call *call, simulation *s); /* s zero; the sim of many members, with columns and parameters */
void simulate_release(simulation *s);
int simulate_make_sim(cli_call *call, simulation *s);   /* s->sim anew, with the columns */
int simulate_parameters(cli_call *call, simulation *s); /* --set, --vary; the first member */

/* simulate_vary.c */
int simulate_read_vary(cli_call *call, simulation *s);
/* ID=DIST of another option: id and law; param is not set. */
int simulate_read_law(cli_call *call, const char *option, const char *text, variation *out);
/* dp_source.fill; user: the simulation */
dp_status simulate_fill(void *user, int first, int n, dp_member *member, double *param);
int simulate_first_member(simulation *s); /* s->member */
dp_input_def simulate_input(const variation *v); /* the law as an input's */

/* simulate_surrogate.c */
/* Is the file a surrogate's? Then it is loaded, s->surrogate is set, and the sim is made with columns, times and
 * parameters. */
int simulate_surrogate(cli_call *call, simulation *s);
int simulate_load_surrogate(cli_call *call, dp_surrogate **out); /* NULL: the file is none */

/* simulate_scale.c */
/* Choose s->atol by running the first member, and make s->sim anew; *first: the answer, of the columns and more. */
int simulate_scale(cli_call *call, simulation *s, dp_result **first);

/* simulate_many.c: run and print */
int simulate_read_bands(cli_call *call, simulation *s);
int simulate_many(cli_call *call, simulation *s);

/* simulate_trouble.c */
/* Say on stderr in which state member 0 failed and what may have caused it. */
void simulate_explain(cli_call *call, const simulation *s, double time, const char *reason);

/* simulate_answer.c: run and print; rows */
/* first: NULL: not run yet; owned from here on */
int simulate_curve(cli_call *call, const simulation *s, dp_result *first);
int simulate_flux(cli_call *call, const dp_model *model, bool json);
void simulate_number(double x, bool json);
void simulate_header(const simulation *s, const char *first, const band *band, int nband);
void simulate_row(const simulation *s, bool first, const char *lead, double time, const double *value, int n);
/* What stands behind the rows in JSON. more: further members as text, or "". */
void simulate_end(const simulation *s, int nfailed, double fail_time, const char *reason, const char *more);

#endif
