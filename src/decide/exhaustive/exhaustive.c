/* exhaustive.c - floor 6: every plan there is. The oracle of the other searches, and the search wherever the list is
 * short. */
#include "decide/decide.h"

static dp_status exhaustive_offered(const dp_kind *kind, const dpi_space *space) {
  if (space->npoint <= DPI_MAX_LISTED) return DP_OK;
  return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                  "%s: search exhaustive: there are %s plans, at most %d can be listed; use cma or cross-entropy",
                  kind->dir, space->npoint < 1e300 ? "too many" : "infinitely many", DPI_MAX_LISTED);
}

static dp_status exhaustive_run(dpi_search *s) {
  double *x = DPI_NEW_ARRAY(s->kind->ctx, double, s->space->nvar + 1);
  dp_status status = x ? DP_OK : DP_ERR_MEMORY;
  for (int64_t i = 0; status == DP_OK && i < (int64_t)s->space->npoint; i++) {
    dpi_space_point(s->space, i, x);
    status = dpi_search_keep(s, x);
  }
  dpi_free(s->kind->ctx, x);
  return status;
}

const dpi_search_ops dp_search_exhaustive = {
    .name = "exhaustive",
    .help = "every plan, where at most 20000 can be listed",
    .offered = exhaustive_offered,
    .run = exhaustive_run,
};
