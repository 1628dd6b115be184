/* simulate.h - floor 9: what the files of doppel simulate share.
 *
 *     cmd_simulate.c       options -> times, doses, columns, parameters; the run
 *     simulate_scale.c     the absolute tolerance where none is asked for
 *     simulate_answer.c    one curve, bands over members, trajectories, fluxes: CSV or JSON
 *     simulate_trouble.c   where a member failed, in which state, and why that may be
 */
#ifndef DPI_CLI_SIMULATE_H
#define DPI_CLI_SIMULATE_H

#include "cli/cli.h"

enum { CLI_MAX_TIME = 1000001, CLI_MAX_DOSE = 256 };

typedef struct simulation {
  dp_model *model;
  dp_sim *sim;
  const char *spoke, *method;
  dp_output_def *column; /* owned; ids in `words` or the model's */
  int ncolumn;
  char (*words)[128];    /* owned: ids of states taken from a first sim */
  dp_control_def control[CLI_MAX_DOSE];
  dp_instant instant[CLI_MAX_DOSE];
  int ndose, ncontrol;
  char target[CLI_MAX_DOSE][64];
  dp_output_time *when; /* owned */
  int nwhen;
  double start;
  int nmember;
  bool ensemble, all, json;
  unsigned long long seed;
  double rtol, atol;  /* atol 0: chosen by simulate_scale */
  double *param;      /* owned: of one member, or of each when they vary */
  size_t param_step;  /* between members: 0 when all have the same */
} simulation;

static inline double simulation_time(dp_time t) { return (double)t / (double)DP_TICKS; }
dp_member simulation_member(const simulation *s, int m);
dp_sim_def simulation_def(const simulation *s); /* of all but outputs */

/* Run and print; the exit code. */
/* Choose s->atol by running the first member, and make s->sim anew; *first: the answer, of the columns and more. */
int simulate_scale(cli_call *call, simulation *s, dp_result **first);
int simulate_curve(cli_call *call, const simulation *s, dp_result *first /* NULL: not run yet; owned from here on */);
int simulate_ensemble(cli_call *call, const simulation *s);
int simulate_flux(cli_call *call, const dp_model *model, bool json);
/* Say on stderr in which state member 0 failed and what may have caused it. */
void simulate_explain(cli_call *call, const simulation *s, double time, const char *reason);

#endif
