/* spoke.h - ring two of the waist (floor 4): what somebody who adds a spoke implements.
 *
 * A spoke is a folder src/spoke/<name>/ whose last lines define `const dpi_spoke_ops dp_spoke_<name>`; the build finds
 * it and writes the registry. The sim splits a run into batches (fixed blocks of members, never depending on threads)
 * and gives each batch to one thread. A batch holds the state of its members between calls.
 *
 * A spoke with DP_CAP_FUSED evaluates the sim's outputs itself; otherwise it gives its signals at output times and the
 * sim composes the formulas (with derivatives by the chain rule when the spoke offers JVP).
 *
 * What a spoke may rely on, and must keep:
 *   1. calls on one batch never overlap; different batches run on different threads only with DP_CAP_THREADS;
 *   2. the sim has checked the members (order, ranges, only offered capabilities) and set the
 *      floating-point environment;
 *   3. a member's result depends on that member, ndir and the seed alone, never on its neighbours or its place;
 *   4. trouble in one member (a value that is not a number, a blow-up) is written into its dpi_member_out and is no
 *      error of the call; rows from ndone on stay as they are. A member that is FAILED already is left alone. Lack of
 *      memory is no member's trouble: the call returns DP_ERR_MEMORY, since a result must not depend on it;
 *   5. at equal times: `order` ascending, instants before outputs of the same order, then by position;
 *   6. a stochastic spoke reads def.member[i].stream whenever it draws: a fork may give a member another stream at
 *      the time of the fork.
 */
#ifndef DPI_SPOKE_H
#define DPI_SPOKE_H

#include "base/base.h"
#include "doppel/sim.h"

#define DPI_SPOKE_INTERFACE 2u

typedef struct dpi_spoke { /* first member of a spoke's own struct; constant after create */
  const struct dpi_spoke_ops *ops;
  dp_ctx *ctx;
} dpi_spoke;

typedef struct dpi_batch dpi_batch; /* the spoke's own (struct dpi_batch is never defined here,
                                     * cast to your own type) */

/* Filled by the spoke while it advances; memory is the sim's, sized for the member's whole timeline. */
typedef struct dpi_member_out {
  int ndone;            /* output times passed so far, written by the spoke */
  double *value;        /* [nout x ncol], ncol = noutput (fused) or nsignal */
  double *dvalue;       /* [nout x ncol x ndir] or NULL */
  double *functional;   /* [nfunctional], NaN at first; final once the window has passed */
  dp_member_status status;
  double fail_time;
  char reason[160];
} dpi_member_out;

typedef struct dpi_spoke_desc {
  uint32_t caps;
  int max_instances, ranks;
  int nparam, nstate, nsignal;
  const char *const *param_id;
  const double *param_default;
  const char *const *state_id;
  const char *const *state_unit;
  const char *const *signal_id; /* what composed formulas may use besides parameters and time; unused when fused */
  int block;                    /* members a batch should hold (lanes x something); >= 1 */
  int block_most;               /* or, where there are many members, up to so many; 0: always block */
  int lane_dirs;                /* as in dp_sim_desc */
  bool own_end;                 /* heeds dpi_batch_def.end */
  const char *identity;         /* what decides results besides the definition (a plug-in's hash);
                                 * NULL: nothing. Hashed */
} dpi_spoke_desc;

typedef struct dpi_batch_def {
  const dp_member *member;  /* [n] */
  int n;
  int ndir;
  uint64_t seed;
  dpi_member_out *out;      /* [n] */
  const dp_time *end;       /* [n] no member goes further than its own end, whatever advance says;
                             * NULL: all do as it says */
  /* May be NULL. A spoke whose advance takes long asks now and then; when true it returns DP_ERR_CANCELLED from a place
   * at which a later advance goes on as if it had not been stopped. */
  bool (*stop)(const void *user);
  const void *stop_user;
} dpi_batch_def;

/* Where the gradient of one member goes; zero on entry. */
typedef struct dpi_member_gradient {
  double *param;  /* [nactive] */
  double *state;  /* [nstate] */
  double *amount, *rate, *time; /* [ninstant] */
} dpi_member_gradient;

typedef struct dpi_gradient_def {
  size_t memory;             /* bytes of one member's path */
  const dp_time *to;         /* [n] each member's end */
  int first;                 /* the caller's number of member 0 */
  bool along;                /* as dp_vjp_opts.along */
  dp_weight_fn weight;
  void *user;
  dpi_member_gradient *out;  /* [n] */
} dpi_gradient_def;

typedef struct dpi_spoke_ops {
  uint32_t interface;       /* DPI_SPOKE_INTERFACE */
  const char *name;
  const char *help;
  /* required */
  dp_status (*create)(dp_ctx *ctx, const dp_sim_def *def, dpi_spoke **out);
  void (*destroy)(dpi_spoke *spoke);
  const dpi_spoke_desc *(*describe)(const dpi_spoke *spoke);
  /* def is borrowed during the call (copy it), what it points to until close; open leaves out[i].status alone */
  dp_status (*open)(const dpi_spoke *spoke, const dpi_batch_def *def, dpi_batch **out);
  /* advance all members that have not failed to `to` (inclusive of instants and outputs at `to`) */
  dp_status (*advance)(dpi_batch *batch, dp_time to);
  void (*close)(dpi_batch *batch);
  /* optional: make now what else is made in the background (machine code), return when it is there;
   * how many pieces there are */
  dp_status (*warm)(const dpi_spoke *spoke, int *npiece);
  /* Optional with a default (replay from the start); save and load come together and go with DP_CAP_SAVE, fork without
   * them is not used, and where fork is missing it is save and load. They move the spoke's own state (with time and
   * place in the timeline); the sim has already put out[member] of the receiving batch (ndone, status, functional) as
   * it was in the giving one. Both batches are of the same spoke and ndir, both members have the same timeline. */
  dp_status (*fork)(const dpi_batch *from, int member, dpi_batch *to, int member_to); /* copy one member's state */
  dp_status (*save)(const dpi_batch *batch, int member, dpi_str *bytes); /* same state, same bytes: no padding */
  dp_status (*load)(dpi_batch *batch, int member, const void *bytes, size_t size); /* bytes: not aligned, not trusted */
  /* optional; state_set needs DP_CAP_EDIT. Before the first advance: the initial state, instants at the start not yet
   * done. An edit shifts the state by a constant: its derivatives stay as they are. */
  dp_status (*state_get)(const dpi_batch *batch, int member, double *x);
  dp_status (*state_set)(dpi_batch *batch, int member, const double *x);
  /* optional, with DP_CAP_VJP and DP_CAP_FUSED: members from their start to their end and back. batch->ndir is 0;
   * batch->out is filled as by advance. */
  dp_status (*gradient)(const dpi_spoke *spoke, const dpi_batch_def *batch, const dpi_gradient_def *def);
} dpi_spoke_ops;

/* Generated from src/spoke/<folder>; NULL-terminated. A second list can be given for tests (dpi_spoke_register). */
const dpi_spoke_ops *const *dpi_spoke_registry(void);
const dpi_spoke_ops *dpi_spoke_find(const char *name);
/* Tests and plug-ins add spokes at run time (at most 16); not thread-safe. */
dp_status dpi_spoke_register(dp_ctx *ctx, const dpi_spoke_ops *ops);

#endif
