/* estimate_limits.c - floor 6: estimate.h over the folders point and sample: likelihood profiles.  O -> D */
#include <math.h>
#include <string.h>

#include "doppel/estimate.h"
#include "infer/petab/calib.h"
#include "infer/point/profile.h"

#define LIMITS_COOKIE 0x6c696d31u
#define STEP 0.125 /* rise of J from point to point, of the threshold: a curve to be looked at, not only its ends */

typedef struct limits_own {
  dp_limits pub;
  dpi_arena arena;
} limits_own;

dp_problem_limits_def dp_problem_limits_def_default(void) {
  return (dp_problem_limits_def){.cookie = LIMITS_COOKIE, .level = 0.95};
}

static dp_limit_point point_of(const dpi_profile_point *p) { return (dp_limit_point){p->at, p->j, p->slope}; }

static dp_status keep_points(limits_own *l, const dpi_profile *from, double j, dp_limit *to) {
  const int below = from->side[0].npoint, above = from->side[1].npoint;
  dp_limit_point *p = DPI_ARENA_ARRAY(&l->arena, dp_limit_point, below + above + 1);
  if (!p) return DP_ERR_MEMORY;
  for (int i = 0; i < below; i++)
    p[below - 1 - i] = point_of(&from->side[0].point[i]);
  p[below] = (dp_limit_point){from->at, j, 0};
  for (int i = 0; i < above; i++) p[below + 1 + i] = point_of(&from->side[1].point[i]);
  to->npoint = below + above + 1;
  to->point = p;
  return DP_OK;
}

static dp_status keep(limits_own *l, const dp_problem *p, const dpi_profiles *from) {
  const int n = p->desc.nparam;
  dp_limit *limit = DPI_ARENA_ARRAY(&l->arena, dp_limit, from->nprofile + 1);
  double *x = DPI_ARENA_ARRAY(&l->arena, double, n + 1);
  if (!limit || !x) return DP_ERR_MEMORY;
  memcpy(x, from->x, (size_t)n * sizeof *x);
  for (int i = 0; i < from->nprofile; i++) {
    const dpi_profile *q = &from->profile[i];
    limit[i] = (dp_limit){.param = q->index,
                          .at = q->at,
                          .lower = q->side[0].open ? -INFINITY : q->side[0].limit,
                          .upper = q->side[1].open ? INFINITY : q->side[1].limit,
                          .verdict = dpi_identifiable_name(q->verdict),
                          .words = dpi_identifiable_text(q->verdict)};
    DP_TRY(keep_points(l, q, from->j, &limit[i]));
  }
  l->pub = (dp_limits){.nparam = n,
                       .n = from->nprofile,
                       .limit = limit,
                       .j = from->j,
                       .x = x,
                       .nbetter = from->nrestart,
                       .threshold = from->threshold,
                       .neval = from->neval};
  return DP_OK;
}

dp_status dp_problem_limits(dp_problem *problem, const double *x, const dp_problem_limits_def *def, dp_limits **out) {
  *out = NULL;
  if (!def || def->cookie != LIMITS_COOKIE)
    return dpi_fail(problem->ctx, DP_ERR_USAGE,
                    "profiles: the definition was not made by dp_problem_limits_def_default");
  if (!(def->level > 0 && def->level < 1))
    return dpi_fail(problem->ctx, DP_ERR_USAGE, "profiles: level %g, expected a probability between 0 and 1",
                    def->level);
  dpi_profile_def pd = dpi_profile_def_default();
  pd.level = def->level;
  pd.step = STEP;
  pd.param = def->param;
  pd.nparam = def->n;
  pd.alternative = def->other;
  pd.nalternative = def->nother;
  limits_own *l = DPI_NEW(problem->ctx, limits_own);
  if (!l) return DP_ERR_MEMORY;
  dpi_arena_init(&l->arena, problem->ctx);
  dpi_profiles *from = NULL;
  dp_status st = dpi_profiles_run(&problem->density, x, &pd, &from);
  if (st == DP_OK) st = keep(l, problem, from);
  dpi_profiles_destroy(from);
  if (st == DP_OK)
    *out = &l->pub;
  else
    dp_limits_destroy(&l->pub);
  return st;
}

void dp_limits_destroy(dp_limits *limits) {
  if (!limits) return;
  limits_own *l = (limits_own *)limits;
  dp_ctx *ctx = l->arena.ctx;
  dpi_arena_release(&l->arena);
  dpi_free(ctx, l);
}
