/* sim_impl.h - the inside of the waist; only the files of src/sim include it.
 *
 * A run is a fixed split of its members into batches. Everything a spoke fills lies in `out` (one for each member);
 * what the sim makes of it lies in `rows`. Where the spoke is fused the two share their memory, so no value is ever
 * copied.
 */
#ifndef DPI_SIM_IMPL_H
#define DPI_SIM_IMPL_H

#include "lang/lang.h"
#include "num/num.h"
#include "spoke/spoke.h"

#define DPI_SIM_COOKIE 0x4450534du  /* "DPSM" */
#define DPI_OPTS_COOKIE 0x44504f50u /* "DPOP" */
#define DPI_VJP_COOKIE 0x4450564au  /* "DPVJ" */

/* Output formulas compiled over a spoke's signals, parameters and time (sim_compose.c). */
typedef struct dpi_compose {
  int nsignal, nparam, noutput, nactive;
  int nsym;
  const int *signal_sym, *param_sym; /* symbol of each signal and parameter */
  const int *active_param;           /* [nactive] parameter index */
  dpi_tape *value;                   /* outputs [noutput] */
  dpi_tape *full;                    /* outputs, then the partial derivatives below; NULL when there are none to give */
  int npartial;
  const int *partial_output;         /* [npartial] */
  const int *partial_source;         /* [npartial] signal, or nsignal + active index */
} dpi_compose;

struct dp_sim {
  dp_ctx *ctx;
  dpi_arena arena;
  const dpi_spoke_ops *ops;
  dpi_spoke *spoke;
  const dpi_spoke_desc *spoke_desc;
  dpi_compose *compose;  /* NULL when the spoke is fused */
  int nrow_spoke;        /* columns of a row that the spoke writes */
  dp_sim_desc desc;
  char hash[65];
  const char *const *output_id;
  const char *const *control_id;
  const char *const *active_id;
  const char *const *law_id;
};

/* What the sim keeps of one member beside what the spoke fills. */
typedef struct dpi_rows {
  double *value;   /* [nout x noutput] */
  double *dvalue;  /* [nout x noutput x ndir] or NULL */
  int ncomposed;   /* rows made of the spoke's signals so far */
  int nemitted;    /* rows given to a sink */
  bool final;      /* functionals were given */
} dpi_rows;

typedef struct dpi_sim_batch {
  dpi_batch *spoke;
  int first, n;
  bool started;    /* was advanced at least once */
  dp_time time;    /* reached, when started */
  double *work;    /* composing: registers, symbols, partials; NULL when fused */
  bool stale;      /* a member's instants are others than those it was opened with (run_add.c) */
} dpi_sim_batch;

/* A member's instants once some were added on its way. */
typedef struct dpi_added {
  dp_instant *list; /* owned, all of them; NULL: none were added */
  int cap;
  const dp_instant *base; /* [nbase] those it had at open */
  int nbase;
} dpi_added;

/* Replay log, for spokes that cannot save (run_replay.c). */
typedef enum dpi_log_op { DPI_LOG_ADVANCE, DPI_LOG_EDIT, DPI_LOG_STREAM } dpi_log_op;
typedef struct dpi_log_entry {
  int32_t op;
  int32_t member;  /* EDIT, STREAM */
  int64_t at;      /* ADVANCE: time; EDIT: first of nstate numbers in `number`; STREAM: the stream's bits */
} dpi_log_entry;
typedef struct dpi_log_book {
  dpi_log_entry *entry;
  int nentry, cap_entry;
  double *number;
  int nnumber, cap_number;
} dpi_log_book;

struct dp_run {
  const dp_sim *sim;
  dp_ctx *ctx;
  dp_run_opts opts;
  double opened_s;         /* clock at open, for the deadline */
  int nmember, nbatch, block; /* block: members in a batch */
  const dp_member *member; /* [nmember] the caller's, or own_member */
  const dp_time *end;      /* [nmember] each member's own, for spokes that heed it; NULL: as advance says */
  dp_member *own_member;   /* forks and loads: a copy whose streams may change */
  dpi_added *added;        /* [nmember] owned; NULL: nothing was added anywhere */
  uint64_t *stream0;       /* [nmember] replayed runs: streams at the start; NULL: the members' own */
  dpi_member_out *out;     /* [nmember] */
  dpi_rows *rows;          /* [nmember] */
  dpi_sim_batch *batch;    /* [nbatch] */
  void *store;             /* owned: the memory of rows and out */
  bool started;
  dp_time time;            /* all batches are here, when started and not interrupted */
  bool interrupted;        /* an advance to `pending` was stopped half-way */
  dp_time pending;
  dp_status broken;        /* a batch failed as a whole: only emit and close remain */
  bool counted;            /* holds one of the spoke's instances */
  bool quiet;              /* no progress: replaying */
  dpi_log_book log;
};

/* ---- sim_compose.c ---- */
dp_status dpi_compose_create(dp_ctx *ctx, dpi_arena *arena, const dp_sim_def *def, const dpi_spoke_desc *desc,
                             dpi_compose **out);
void dpi_compose_release(dpi_compose *c); /* NULL allowed; arena parts stay */
size_t dpi_compose_work(const dpi_compose *c); /* doubles of workspace one batch needs */
void dpi_compose_init(const dpi_compose *c, double *work);
/* Turn the rows [rows->ncomposed, out->ndone) that the spoke gave into outputs. */
void dpi_compose_rows(const dpi_compose *c, const dp_member *m, int ndir, const dpi_member_out *out, dpi_rows *rows,
                      double *work);

/* ---- sim_check.c ---- */
dp_status dpi_check_opts(const dp_sim *sim, const dp_run_opts *opts);
dp_status dpi_check_members(const dp_sim *sim, const dp_member *member, int n, const dp_run_opts *opts);
/* Instants that are to be added to a member, none before `least`. */
dp_status dpi_check_added(const dp_sim *sim, int member, const dp_instant *list, int n, int ndir, dp_time least);
/* Last moment at which the member still gives something; start when there is none. */
dp_time dpi_member_end(const dp_member *m);
/* How many of the member's output times lie at or before t. */
int dpi_member_rows(const dp_member *m, dp_time t);

/* ---- sim_instances.c ---- */
dp_status dpi_instance_take(const dp_sim *sim);
void dpi_instance_give(const dp_sim *sim);

/* ---- run.c ---- */
/* Members in a batch: of the spoke and the number of members alone. */
int dpi_run_block(const dp_sim *sim, int nmember);
/* Doubles that the rows of one member need: the spoke's columns, and the composed ones unless they are the same. */
size_t dpi_rows_size(const dp_sim *sim, const dp_member *m, int ndir);
/* Cut the member's arrays out of p (filled with NaN); returns what follows. */
double *dpi_rows_place(const dp_sim *sim, const dp_member *m, int ndir, dpi_member_out *out, dpi_rows *rows, double *p);
dp_status dpi_batch_open(dp_run *run, dpi_sim_batch *b);
dp_status dpi_batch_reopen(dp_run *run, dpi_sim_batch *b); /* the spoke's part alone */
/* One batch to `to`: the spoke, then the formulas. */
dp_status dpi_batch_advance(dp_run *run, dpi_sim_batch *b, dp_time to);
void dpi_batch_close(dp_run *run, dpi_sim_batch *b);
double dpi_run_clock(const dp_run_opts *opts); /* when the deadline begins; 0 without one */
bool dpi_run_stop(const void *run); /* cancelled or past the deadline */
/* A run without a log entry or checks; members stay borrowed. */
dp_status dpi_run_make(const dp_sim *sim, const dp_member *member, int n, const dp_run_opts *opts, bool own_members,
                       dp_run **out);
/* All batches to `to`, no log entry. */
dp_status dpi_run_go(dp_run *run, dp_time to);
/* ERR_USAGE when the run is broken or half-way. */
dp_status dpi_run_level(const dp_run *run, const char *call);
dpi_sim_batch *dpi_run_batch(const dp_run *run, int member);

/* ---- run_add.c ---- */
dpi_added *dpi_added_create(dp_ctx *ctx, int nmember);
void dpi_added_destroy(dp_ctx *ctx, dpi_added *added, int nmember); /* NULL allowed */
/* The member's instants are this list from now on, a copy of which `a` owns. */
dp_status dpi_added_take(dp_ctx *ctx, dpi_added *a, dp_member *m, const dp_instant *list, int n);
dp_member dpi_added_base(const dp_run *run, int i); /* the member as it was at open */
/* Batches whose members have other instants now are opened anew, each member where it stood. */
dp_status dpi_run_renew(dp_run *run);

/* ---- simulate.c ---- */
/* Memory of a simulation that the next one uses again; {0} at first. */
typedef struct dpi_part {
  dp_result *result; /* owned; of the last simulation */
  char *scratch;     /* owned */
  size_t size;       /* of scratch */
} dpi_part;
/* n members into part->result, in batches of at most `block` that nthread threads share. Members and options are
 * checked already. opened_s: when the deadline began. */
dp_status dpi_part_simulate(const dp_sim *sim, const dp_member *member, int n, int block, int nthread,
                            const dp_run_opts *opts, double opened_s, dpi_part *part);
void dpi_part_release(const dp_sim *sim, dpi_part *part);
/* Members of the next batch when nleft are left: of several threads' batches the last ones get smaller, so that none
 * waits long for another. */
int dpi_batch_length(int nthread, int block, int nleft);
/* One member's part of a result as a sink is given it, as member `number` of the whole. */
dp_member_result dpi_result_member(const dp_result *r, int i, int number);

/* ---- stream.c ---- */
/* Members first to first + n - 1 of a source, made from the sim's defaults. param: [n x nparam] */
dp_status dpi_source_fill(const dp_sim *sim, const dp_source *source, int first, int n, dp_member *member,
                          double *param);
/* What that member has (nout, nfunctional ...); its param points nowhere any more. */
dp_status dpi_source_shape(const dp_sim *sim, const dp_source *source, int number, dp_member *out);
/* dp_simulate_stream; ramp: begin with short chunks. eager (or NULL) sees each chunk before the sink does, on any
 * thread, several at once, in any order. keep: memory from call to call, NULL at first, or no place for it. */
typedef struct dpi_slots dpi_slots;
dp_status dpi_simulate_source(const dp_sim *sim, int first, int nmember, const dp_source *source, bool ramp,
                              const dp_run_opts *opts, dp_sink_fn eager, dp_sink_fn sink, void *user, dpi_slots **keep);
void dpi_slots_release(const dp_sim *sim, dpi_slots *slots); /* NULL allowed */

/* ---- run_replay.c ---- */
bool dpi_replay_needed(const dp_sim *sim); /* the spoke cannot save */
dp_status dpi_replay_log(dp_run *run, dpi_log_op op, int member, int64_t at, const double *x);
/* Bring a fresh run to where its log says. */
dp_status dpi_replay_go(dp_run *run);
void dpi_replay_release(dp_run *run);
/* The parent's log as it concerns child member k = parent's index[k]. */
dp_status dpi_replay_fork(const dp_run *from, const int *index, dp_run *to);

/* ---- run_state.c ---- */
dp_status dpi_state_put(dp_run *run, int member, const double *x); /* without a log entry */

#endif
