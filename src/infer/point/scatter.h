/* scatter.h - floor 6, inside infer/point: from what many starts have found to what lies beyond: scatter search.
 *
 * A small set of the best distinct minima is kept. Each generation makes new places from it, looks at their values, and
 * searches on from the best of each family with the trust region; what is found replaces the worst of the set.
 *
 *     scan       one parameter after the other over the whole box, the others as they are: a parameter that has come
 *                to rest where nothing depends on it, or beyond a jump, is found again
 *     combine    two of the set, parameter by parameter on the line through both, some way beyond either end
 *     perturb    one of the set, some of its parameters moved, from a little to a fifth of the box
 *
 * After Egea, Marti, Banga, Comput. Oper. Res. 37 (2010) 315 (combination in hyper-rectangles, local searches from a
 * few of many) and Villaverde et al., Bioinformatics 35 (2019) 830 (with gradients); families and the scan are our own.
 *
 * Which places are tried follows from seed, set and number of the generation alone: the same bytes for any batch.
 */
#ifndef DPI_SCATTER_H
#define DPI_SCATTER_H

#include "infer/point/multistart.h"

typedef struct dpi_scatter_def {
  dpi_multistart_def local; /* seed, trust, batch, j_tol, key; its starts and files are not used */
  int members;    /* of the set: 10 */
  int families;   /* of places a generation, half of them combined, half perturbed: 8 */
  int places;     /* of a family: values looked at; the best is searched on from: 10 */
  int levels;     /* of a parameter in a scan: 6; 0: no scans */
  int steps;      /* of a search; one that gets into the set and has not ended goes on in the next generation: 50 */
  int patience;   /* generations that find nothing better by j_tol, then it ends: 15 */
  double max_cpu; /* seconds of processor time of the process; 0: no limit */
  const char *file; /* state after each generation, for going on; NULL: none */
} dpi_scatter_def;
dpi_scatter_def dpi_scatter_def_default(void);

typedef struct dpi_scatter {
  dp_ctx *ctx;
  int n, nmember;
  double *j, *x;        /* [nmember], [nmember x n]: the set, best first */
  int generations, nsearch;
  int nbetter;          /* generations that found something better by j_tol */
  long neval, nfailed;
  bool ended;           /* by its patience; else the processor time was spent */
} dpi_scatter;

/* x [npoint x n], j [npoint]: places found so far; at least one with finite j. CANCELLED: after the file is written. */
dp_status dpi_scatter_run(dpi_density *d, const dpi_scatter_def *def, int npoint, const double *x, const double *j,
                          dpi_scatter **out);
void dpi_scatter_destroy(dpi_scatter *s); /* NULL allowed */

#endif
