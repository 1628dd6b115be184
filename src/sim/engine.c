/* engine.c - floor 5: what this processor and installation offer (doppel/engine.h). */
#include "doppel/engine.h"

#include "jit/jit.h"
#include "lang/tape.h"

dp_engine dp_engine_describe(void) {
  const dpi_lane_ops *widest = dpi_lane_ops_find(0);
  return (dp_engine){.arithmetic = dp_arithmetic(),
                     .instructions = widest ? widest->isa : "plain",
                     .lanes = widest ? widest->width : 1,
                     .compiler = dpi_jit_available()};
}
