/* simulate_trouble.c - floor 9: a member that failed is run once more, up to just before, to see its state there.
 *
 * A state that grew many times over within the last thousandth of the way points to growth without bound; otherwise a
 * formula has left its domain. This is a guess and is called one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/simulate.h"

enum { MOST_SHOWN = 8 };
#define GROWTH 3.0 /* times within the last thousandth of the way */

typedef struct
    look { /* states at three times: the start, a thousandth of the way before the failure, just before it */
  int nstate;
  const char *const *id;
  dp_output_time when[3];
  const double *x; /* [3 x nstate] */
} look;

/* The latest row all of whose values are finite; -1: none. */
static int last_good(const look *l) {
  for (int row = 2; row >= 0; row--) {
    int j = 0;
    while (j < l->nstate && isfinite(l->x[row * l->nstate + j])) j++;
    if (j == l->nstate) return row;
  }
  return -1;
}

static void say_state(const look *l, int row) {
  const double *x = l->x + row * l->nstate;
  fprintf(stderr, "        state at time %.9g:", simulation_time(l->when[row].time));
  for (int j = 0; j < l->nstate && j < MOST_SHOWN; j++) fprintf(stderr, "%s %s = %g", j ? "," : "", l->id[j], x[j]);
  if (l->nstate > MOST_SHOWN) fprintf(stderr, " and %d more", l->nstate - MOST_SHOWN);
  fprintf(stderr, "\n");
}

static void say_cause(const look *l, int row) {
  int worst = -1;
  double most = GROWTH;
  for (int j = 0; row == 2 && j < l->nstate; j++) {
    double before = fabs(l->x[l->nstate + j]), after = fabs(l->x[2 * l->nstate + j]);
    if (before > 0 && after > most * before) {
      most = after / before;
      worst = j;
    }
  }
  if (worst >= 0)
    fprintf(stderr,
            "        likely cause: %s grows without bound (%.3g times between times %.9g and %.9g): it speeds up its "
            "own growth more than in proportion\n",
            l->id[worst], most, simulation_time(l->when[1].time), simulation_time(l->when[2].time));
  else
    fprintf(stderr,
            "        likely cause: a formula leaves its domain there (a division by zero, a logarithm, root or "
            "power of what is not positive, a piecewise none of whose conditions holds) or changes too fast to be "
            "followed\n");
}

/* Look at the states of a sim of its own, made for this. */
static void look_back(cli_call *call, const simulation *s, const dp_sim_desc *d, double time) {
  dp_output_def *output = calloc((size_t)d->nstate + 1, sizeof *output);
  dp_sim_def def = simulation_def(s);
  dp_sim *sim = NULL;
  dp_result *r = NULL;
  look l = {.nstate = d->nstate, .id = d->state_id};
  double way = time - s->start, back[3] = {way, 1e-3 * way, 1e-6 * way};
  for (int k = 0; k < 3; k++)
    l.when[k] = (dp_output_time){(dp_time)floor((time - back[k]) * (double)DP_TICKS) - (k > 0), INT32_MAX};
  for (int j = 0; output && j < d->nstate; j++) output[j] = (dp_output_def){.id = d->state_id[j], .unit = ""};
  def.output = output;
  def.noutput = d->nstate;
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = s->seed;
  dp_member m = s->member;
  m.out = l.when;
  m.nout = 3;
  bool ordered = l.when[0].time <= l.when[1].time && l.when[1].time <= l.when[2].time && l.when[0].time >= m.start;
  if (output && ordered && dp_sim_create(call->ctx, &def, &sim) == DP_OK &&
      dp_simulate(sim, &m, 1, &opts, &r) == DP_OK) {
    l.x = r->value;
    int row = last_good(&l);
    if (row >= 0) {
      say_state(&l, row);
      say_cause(&l, row);
    }
  }
  dp_result_destroy(r);
  dp_sim_destroy(sim);
  free(output);
}

void simulate_explain(cli_call *call, const simulation *s, double time, const char *reason) {
  const dp_sim_desc *d = dp_sim_describe(s->sim);
  fprintf(stderr, "doppel: failed at time %.9g: %s\n", time, reason);
  if (d->nstate && time > s->start) look_back(call, s, d, time);
}
