/* doppel.h - all public headers of Doppel, in the order of the loop. */
#ifndef DOPPEL_H
#define DOPPEL_H

#include "doppel/status.h"
#include "doppel/ranks.h"
#include "doppel/context.h"
#include "doppel/random.h"
#include "doppel/units.h"
#include "doppel/model.h"
#include "doppel/flux.h"
#include "doppel/sim.h"
#include "doppel/bands.h"
#include "doppel/engine.h"
#include "doppel/record.h"
#include "doppel/kind.h"
#include "doppel/belief.h"
#include "doppel/vpc.h"
#include "doppel/assimilate.h"
#include "doppel/calibrate.h"
#include "doppel/estimate.h"
#include "doppel/sensitivity.h"
#include "doppel/surrogate.h"
#include "doppel/gain.h"
#include "doppel/plan.h"
#include "doppel/twin.h"
#include "doppel/report.h"
#include "doppel/suite.h"
#include "doppel/bench.h"

#endif
