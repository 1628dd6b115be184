/* run_state.c - floor 5: reading and replacing the named state of a member between advances: what filters do. */
#include <math.h>

#include "sim/sim_impl.h"

static dp_status check_member(const dp_run *run, const char *call, int member) {
  DP_TRY(dpi_run_level(run, call));
  if (member >= 0 && member < run->nmember) return DP_OK;
  return dpi_fail(run->ctx, DP_ERR_INPUT, "%s: member %d, expected 0 to %d", call, member,
                  run->nmember - 1);
}

/* A failed member has no state: NaN, so that a filter gives it no weight. */
dp_status dp_run_state_get(const dp_run *run, int member, double *x) {
  DP_TRY(check_member(run, "dp_run_state_get", member));
  const dp_sim *sim = run->sim;
  if (!sim->ops->state_get) {
    return dpi_fail(run->ctx, DP_ERR_UNSUPPORTED,
                    "dp_run_state_get: spoke '%s' does not offer its state", sim->ops->name);
  }
  if (run->out[member].status != DP_MEMBER_OK) {
    for (int j = 0; j < sim->desc.nstate; j++) x[j] = NAN;
    return DP_OK;
  }
  const dpi_sim_batch *b = dpi_run_batch(run, member);
  uint64_t fp = dpi_fp_enter();
  dp_status status = sim->ops->state_get(b->spoke, member - b->first, x);
  dpi_fp_leave(fp);
  return status;
}

dp_status dpi_state_put(dp_run *run, int member, const double *x) {
  const dpi_sim_batch *b = dpi_run_batch(run, member);
  uint64_t fp = dpi_fp_enter();
  dp_status status = run->sim->ops->state_set(b->spoke, member - b->first, x);
  dpi_fp_leave(fp);
  return status;
}

static dp_status check_edit(const dp_run *run, int member, const double *x) {
  DP_TRY(check_member(run, "dp_run_state_set", member));
  const dp_sim *sim = run->sim;
  if (!(sim->spoke_desc->caps & DP_CAP_EDIT)) {
    return dpi_fail(run->ctx, DP_ERR_UNSUPPORTED,
                    "dp_run_state_set: spoke '%s' does not offer DP_CAP_EDIT", sim->ops->name);
  }
  if (run->out[member].status != DP_MEMBER_OK) {
    return dpi_fail(run->ctx, DP_ERR_INPUT, "dp_run_state_set: member %d has failed at %.9g: %s",
                    member, run->out[member].fail_time, run->out[member].reason);
  }
  for (int j = 0; j < sim->desc.nstate; j++) {
    if (isfinite(x[j])) continue;
    return dpi_fail(run->ctx, DP_ERR_INPUT,
                    "dp_run_state_set: member %d, state '%s': found %g, expected a number", member,
                    sim->desc.state_id[j], x[j]);
  }
  return DP_OK;
}

dp_status dp_run_state_set(dp_run *run, int member, const double *x) {
  DP_TRY(check_edit(run, member, x));
  DP_TRY(dpi_state_put(run, member, x));
  if (!dpi_replay_needed(run->sim)) return DP_OK;
  dp_status status = dpi_replay_log(run, DPI_LOG_EDIT, member, 0, x);
  if (status != DP_OK)
    run->broken = status; /* an edit that is not in the log would be lost by a replay */
  return status;
}
