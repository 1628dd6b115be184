/* policy_twin.h - floor 7: a twin that chooses moves over a look ahead (receding horizon), as its files share it.
 *
 *     policy_twin_read.c     the keys of `twin:` -> dpi_policy_horizon
 *     policy_twin_horizon.c  one person: record, belief now and then, decisions
 *     policy_twin_draws.c    draws of the belief carried along: their state now, and how far they are from readings
 *     policy_twin_move.c     moves rehearsed on the draws; the search
 *
 * The flow at a decision:
 *
 *     O readings -> record -> (now and then) dp_assimilate -> D draws -> carried to now, corrected by readings
 *       -> each move x each draw rehearsed over the look ahead -> terms judged as in the room decide -> U the best move
 *
 * Everything depends on this person's readings and on the person's own seed: not on other people, threads or lanes.
 */
#ifndef DPI_POLICY_TWIN_H
#define DPI_POLICY_TWIN_H

#include "decide/decide.h"
#include "policy/policy_impl.h"

typedef enum dpi_correct { DPI_CORRECT_NOT, DPI_CORRECT_OFFSET, DPI_CORRECT_REWEIGHT } dpi_correct;

/* What may be chosen of one gift. Levels are in the move's own words: times a number of the person, or absolute. */
typedef struct dpi_policy_move {
  int give;            /* of desc.give */
  int of;              /* number of desc.person that levels are times of; -1: absolute */
  int n;               /* levels, 0: anything from lower to upper */
  const double *level; /* [n] */
  double lower, upper, step;
  double hold;   /* time units: in the rehearsal a parameter keeps the level, a dose is repeated, for so long */
  double then;   /* a parameter's level afterwards */
  double repeat; /* a dose: time units between repeats, 0: once */
  double safe;   /* NAN: none */
} dpi_policy_move;

/* What a gift is in the twin's kind: a control, or a covariate. Both -1: the twin is not told. */
typedef struct dpi_policy_gift {
  int control, covariate;
  double factor;    /* from the policy's unit to the twin's */
  double low, high; /* bounds in the policy's unit */
  bool dose;        /* the policy gives amounts; else a parameter's new value */
} dpi_policy_gift;

typedef struct dpi_policy_told {
  int announce, control;
  double factor; /* from the announced unit to the control's */
} dpi_policy_told;

struct dpi_policy_horizon {
  dp_kind *ahead;        /* the twin's kind with offsets, quantities and aims of the file; owned */
  int *observed;         /* [nread] observable of the twin's kind, -1: none */
  int *offset;           /* [nread] parameter of ahead's sim */
  int ntold;             /* what is announced is told to the twin: */
  dpi_policy_told *told; /* [ntold] the same to several controls, where the twin's kind has it in parts */
  dpi_policy_gift *gift; /* [ngive] */
  int *known;            /* [ncovariate of the kind] number of desc.person, -1: none */
  int nmove;
  dpi_policy_move *move;
  bool safe;           /* all moves name a safe level */
  double update;       /* time units between updates of the belief; INFINITY: once */
  double remember;     /* readings older than this are left out; INFINITY: none */
  double thin;         /* time units between readings that the belief takes; 0: all */
  double decide, look; /* time units */
  dpi_correct correct;
  double share;    /* of the distance to a reading that an offset takes up */
  int evaluations; /* moves rehearsed at a decision, at most */
};

dp_status dpi_horizon_read(dp_policy *policy, const dpi_yaml_doc *doc, const dpi_yaml *map);
void dpi_horizon_release(dp_policy *policy);

/* ---- draws on their way (policy_twin_draws.c) ---- */

typedef struct dpi_draws {
  const dp_policy *policy;
  const dpi_policy_horizon *h;
  const dp_kind *kind;     /* ahead */
  int n, begun;            /* draws that are left, and that there were; 0: none yet */
  double neff;             /* draws that count in bounds */
  double *param;           /* [n x nparam] at the anchor */
  double *state;           /* [n x nstate] at the anchor; meaningless while !lived */
  double *next;            /* [n x nstate] */
  double *offset;          /* [n x nread] */
  double *weight;          /* [n] */
  double *seen;            /* [n x 2 nread] predictions and standard deviations at the last dpi_draws_go */
  bool *dead;              /* [n] */
  bool lived;              /* state holds */
  bool *compared;          /* [nread] a reading has been compared already */
  dp_time anchor;          /* where state is */
  double *lag;             /* [ncontrol] longest of all draws, time units; infinite: a state never tells all */
  bool tells;              /* may a state stand for what was? */
  dp_time pending;         /* until then something given is under way */
  dp_instant *instant;     /* all that was told and given, ascending */
  int ninstant, cap, past; /* past: instants before the anchor */
} dpi_draws;

dp_status dpi_draws_open(const dp_policy *policy, dpi_draws *out);
void dpi_draws_close(dpi_draws *d);
dp_status dpi_draws_dose(dpi_draws *d, int control, dp_time time, double amount);
dp_status dpi_draws_switch(dpi_draws *d, int covariate, dp_time time, double value);
/* New draws, at time 0 with the covariates that hold there. */
dp_status dpi_draws_begin(dpi_draws *d, const dp_prior *prior, const dp_belief *belief, const double *covariate);
/* All draws to now; what fails on the way is dropped. Fills seen. Nothing may have been given at `now` yet. */
dp_status dpi_draws_go(dpi_draws *d, dp_time now);
/* Readings [nread] of now (NAN: none) against seen. */
dp_status dpi_draws_correct(dpi_draws *d, const double *reading, uint64_t seed);
/* The instant of a dose; amount in the kind's unit. */
dp_instant dpi_draws_instant(const dp_kind *kind, int control, dp_time time, double amount);

/* Is it about this person's data, and not about the machine or the call? Then it is a reason, and the fallback decides
 * (policy_twin.c). */
bool dpi_twin_of_the_data(dp_status status);

/* ---- moves (policy_twin_move.c) ---- */

/* A level in own words as what is given. */
double dpi_move_value(const dp_policy *policy, const dpi_policy_move *m, const double *person, double level);
/* The best move at `now` in own words [nmove]; *found false: none holds its limits. */
dp_status dpi_move_choose(const dpi_draws *d, const double *person, dp_time now, uint64_t seed, double *level,
                          bool *found);

/* ---- one person (policy_twin_horizon.c) ---- */

typedef struct dpi_horizon dpi_horizon;
dp_status dpi_horizon_open(const dp_policy *policy, const dp_policy_person *person, dpi_horizon **out);
/* give: on entry what the fallback gives, on return what is given. reason: "" or what went wrong. */
dp_status dpi_horizon_step(dpi_horizon *h, const dp_policy_input *in, double *give, char reason[160]);
void dpi_horizon_close(dpi_horizon *h);

#endif
