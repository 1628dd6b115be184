/* step.c - the page to read first: one turn of the loop for one patient.
 *
 *     O record -> assimilate -> D belief -> forecast -> Q fans -> score -> decide -> R, U advice -> audit
 *
 * Floor 7. Each step reads what the steps before it left in the twin (twin_impl.h groups the fields by step) and writes
 * only its own. Nothing here is special to a disease: all of that is in the kind's folder.
 */
#include "twin/twin_impl.h"

dp_status dp_twin_step(dp_twin *t) {
  DP_TRY(dpi_twin_observe(t));    /* O  doses, and the samples up to `until`; the rest stays sealed   */
  DP_TRY(dpi_twin_assimilate(t)); /* D  what the seen samples say about this person's parameters      */
  DP_TRY(dpi_twin_forecast(t));   /* Q  what later samples will show, with bands                      */
  DP_TRY(dpi_twin_score(t));      /*    open the sealed samples; twin against population and last value */
  DP_TRY(dpi_twin_decide(t));     /* RU regimens rehearsed on the belief, or "no recommendation"      */
  DP_TRY(dpi_twin_audit(t));      /*    one hash over all of it                                       */
  return DP_OK;
}
