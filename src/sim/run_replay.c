/* run_replay.c - floor 5: save, load and fork for spokes that cannot do them: go the same way again from the start.
 *
 * The log of a run holds the times of its advances, the edits of states and the changes of streams, in their order. A
 * fresh run that follows the log ends with the same bytes, because a member's result depends on nothing else. The cost
 * is the whole past of a run; a spoke for which that is too much offers DP_CAP_SAVE.
 */
#include <string.h>

#include "sim/sim_impl.h"

bool dpi_replay_needed(const dp_sim *sim) { return !(sim->spoke_desc->caps & DP_CAP_SAVE); }

dp_status dpi_replay_log(dp_run *run, dpi_log_op op, int member, int64_t at, const double *x) {
  dpi_log_book *log = &run->log;
  int nstate = run->sim->desc.nstate;
  if (log->nentry == INT32_MAX || log->nnumber > INT32_MAX - nstate) {
    return dpi_fail(run->ctx, DP_ERR_UNSUPPORTED,
                    "run: the log of a run that is replayed is full (%d entries)", log->nentry);
  }
  DP_TRY(dpi_grow(run->ctx, (void **)&log->entry, &log->cap_entry, log->nentry + 1,
                  sizeof *log->entry));
  if (op == DPI_LOG_EDIT) {
    DP_TRY(dpi_grow(run->ctx, (void **)&log->number, &log->cap_number, log->nnumber + nstate,
                    sizeof(double)));
    if (nstate) memcpy(log->number + log->nnumber, x, (size_t)nstate * sizeof(double));
    at = log->nnumber;
    log->nnumber += nstate;
  }
  log->entry[log->nentry++] = (dpi_log_entry){.op = (int32_t)op, .member = member, .at = at};
  return DP_OK;
}

static dp_status replay_entry(dp_run *run, const dpi_log_entry *e) {
  switch ((dpi_log_op)e->op) {
    case DPI_LOG_ADVANCE:
      return dpi_run_go(run, e->at);
    case DPI_LOG_EDIT:
      return dpi_state_put(run, e->member, run->log.number + e->at);
    case DPI_LOG_STREAM:
      run->own_member[e->member].stream = (uint64_t)e->at;
      return DP_OK;
  }
  return dpi_fail(run->ctx, DP_ERR_BUG, "run: the replay log holds operation %d", e->op);
}

dp_status dpi_replay_go(dp_run *run) {
  run->quiet = true;
  dp_status status = DP_OK;
  for (int k = 0; k < run->log.nentry && status == DP_OK; k++)
    status = replay_entry(run, &run->log.entry[k]);
  run->quiet = false;
  return status;
}

void dpi_replay_release(dp_run *run) {
  dpi_free(run->ctx, run->log.entry);
  dpi_free(run->ctx, run->log.number);
  run->log = (dpi_log_book){0};
}

dp_status dpi_replay_fork(const dp_run *from, const int *index, dp_run *to) {
  for (int k = 0; k < from->log.nentry; k++) {
    const dpi_log_entry *e = &from->log.entry[k];
    if (e->op == DPI_LOG_ADVANCE) {
      DP_TRY(dpi_replay_log(to, DPI_LOG_ADVANCE, 0, e->at, NULL));
      continue;
    }
    const double *x = e->op == DPI_LOG_EDIT ? from->log.number + e->at : NULL;
    for (int i = 0; i < to->nmember; i++) {
      if (index[i] == e->member) DP_TRY(dpi_replay_log(to, (dpi_log_op)e->op, i, e->at, x));
    }
  }
  return DP_OK;
}
