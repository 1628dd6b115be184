/* test_spokes.c - the list of test spokes. */
#include "test_spokes.h"

dp_status dp_test_spokes_register(dp_ctx *ctx) {
  static const dpi_spoke_ops *const all[] = {&dp_test_spoke_lingauss, &dp_test_spoke_birthdeath,
                                             &dp_test_spoke_diffusion, &dp_test_spoke_plugin};
  for (int k = 0; k < DPI_COUNT(all); k++) DP_TRY(dpi_spoke_register(ctx, all[k]));
  return DP_OK;
}
