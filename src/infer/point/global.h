/* global.h - floor 6, inside infer/point: one search over the whole box, without derivatives, then a polish.
 *
 * The answer has the form of a multi-start's. Of NLopt's methods (crs2, esch, isres, direct) one point comes out and is
 * polished; mlsl samples the box, starts a search from each sample that has no better one near, and gives
 * what they find.
 */
#ifndef DPI_GLOBAL_H
#define DPI_GLOBAL_H

#include "infer/point/multistart.h"

#define DPI_GLOBAL_LIST(X)                                                                       \
  X(CRS2, "crs2", "controlled random search with local mutation (Price 1983; Kaelo & Ali 2006)") \
  X(ESCH, "esch", "evolution with Cauchy mutations (Santos et al. 2010)")                        \
  X(ISRES, "isres", "evolution with stochastic ranking (Runarsson & Yao 2005)")                  \
  X(DIRECT, "direct", "dividing rectangles (Jones et al. 1993); no randomness")                  \
  X(MLSL, "mlsl", "multi-level single linkage (Rinnooy Kan & Timmer 1987) over Sobol samples, with the trust region")
typedef enum dpi_global_method {
#define DPI_GLOBAL_ENUM(name, word, help) DPI_GLOBAL_##name,
  DPI_GLOBAL_LIST(DPI_GLOBAL_ENUM)
#undef DPI_GLOBAL_ENUM
      DPI_GLOBAL_COUNT
} dpi_global_method;
const char *dpi_global_name(dpi_global_method m);
int dpi_global_find(const char *word); /* -1: none */
bool dpi_global_offered(dpi_global_method m); /* false: built without NLopt */

typedef struct dpi_global_def {
  dpi_global_method method;
  long max_eval;      /* points of the search over the box; the polish comes on top */
  int population;     /* 0: the method's own */
  double xtol, ftol;  /* NLopt's relative tolerances; 0: only the budget ends it */
  dpi_multistart_def polish; /* seed, trust, tolerances, batch; its starts are not used */
} dpi_global_def;
dpi_global_def dpi_global_def_default(void);

/* *nsearch (NULL allowed): points of the search over the box. The box must be finite. */
dp_status dpi_global_run(dpi_density *d, const dpi_global_def *def, long *nsearch, dpi_multistart **out);

#endif
