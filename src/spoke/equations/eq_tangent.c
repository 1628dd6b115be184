/* eq_tangent.c - steps in lanes that carry directions: a plan for each number of them, made when first asked for.  D
 *
 * The step and its tangent are one tape (solve/lane_tangent.h), so a plan belongs to one number of directions. Where
 * that tape gets too long the scalar methods carry them.
 */
#include "spoke/equations/eq_impl.h"

#define DIR_MOST 32
#define STEPS_MOST 40000 /* of a tape with directions, as foretold */

struct dpi_eq_tangent {
  dpi_eq_tangent *next;
  int ndir;
  dpi_lane_plan *plan[DPI_EQ_NCREW]; /* owned; NULL: not offered */
  dpi_jit *jit;                      /* owned; NULL: nothing is compiled yet */
  int64_t seen;                      /* members that went this way */
  bool code_asked;
};

#define MEMBERS_ENOUGH 64 /* worth compiling for, as in eq_code.c */

int dpi_eq_tangent_most(const dpi_eq_spoke *sp) {
  int most = sp->plan[DPI_EQ_EXPLICIT] || sp->plan[DPI_EQ_IMPLICIT] ? DIR_MOST : 0;
  for (int c = 0; c < DPI_EQ_NCREW; c++) {
    const dpi_tape *const *tape;
    const int n = sp->plan[c] ? dpi_lane_plan_tapes(sp->plan[c], &tape) : 0;
    for (int i = 0; i < n; i++)
      while (most > 0 && dpi_tape_nstep(tape[i]) * (1 + 1.5 * most) > STEPS_MOST) most--;
  }
  return most;
}

bool dpi_eq_tangent_fits(const dpi_eq_spoke *sp, int ndir) { return ndir <= sp->desc.lane_dirs; }

static dp_status make(const dpi_eq_spoke *sp, int ndir, dpi_eq_tangent **out) {
  static const dpi_lane_kind kind[] = {[DPI_EQ_EXPLICIT] = DPI_LANE_EXPLICIT, [DPI_EQ_IMPLICIT] = DPI_LANE_IMPLICIT};
  dp_ctx *ctx = sp->base.ctx;
  dpi_eq_tangent *k = DPI_NEW(ctx, dpi_eq_tangent);
  dp_status st = k ? DP_OK : DP_ERR_MEMORY;
  for (int c = 0; c < DPI_EQ_NCREW && st == DP_OK; c++)
    if (sp->plan[c]) st = dpi_lane_plan_create(ctx, sp->sys, &sp->opts, kind[c], ndir, &k->plan[c]);
  if (st != DP_OK) {
    dpi_eq_tangent_destroy(ctx, k);
    return st;
  }
  k->ndir = ndir;
  *out = k;
  return DP_OK;
}

dp_status dpi_eq_tangent_plan(const dpi_eq_spoke *spoke, int crew, int ndir, const dpi_lane_plan **out) {
  dpi_eq_spoke *sp = (dpi_eq_spoke *)spoke; /* its list of plans is no part of what it computes */
  dp_status st = DP_OK;
  *out = sp->plan[crew];
  if (ndir == 0 || !*out) return DP_OK;
  pthread_mutex_lock(&sp->lock);
  dpi_eq_tangent *k = sp->tangent;
  while (k && k->ndir != ndir) k = k->next;
  if (!k && (st = make(sp, ndir, &k)) == DP_OK) {
    k->next = sp->tangent;
    sp->tangent = k;
  }
  pthread_mutex_unlock(&sp->lock);
  if (st == DP_OK) *out = k->plan[crew];
  return st;
}

static dp_status compile(const dpi_eq_spoke *sp, dpi_eq_tangent *k) {
  dpi_jit_unit unit[2 * DPI_EQ_NCREW + 2];
  const dpi_jit_opts opts = dpi_jit_opts_default();
  int n = 0;
  for (int c = 0; c < DPI_EQ_NCREW; c++) {
    const dpi_tape *const *tape;
    for (int i = k->plan[c] ? dpi_lane_plan_tapes(k->plan[c], &tape) : 0; i > 0 && n < DPI_COUNT(unit); i--)
      unit[n++] = (dpi_jit_unit){*tape++, sp->width};
  }
  return dpi_jit_start(sp->base.ctx, unit, n, &opts, &k->jit);
}

dp_status dpi_eq_tangent_members(const dpi_eq_spoke *spoke, int ndir, int n) {
  dpi_eq_spoke *sp = (dpi_eq_spoke *)spoke;
  if (ndir == 0 || dpi_ctx_interpret(sp->base.ctx)) return DP_OK;
  pthread_mutex_lock(&sp->lock);
  dpi_eq_tangent *k = sp->tangent;
  while (k && k->ndir != ndir) k = k->next;
  if (k) k->seen += n;
  const bool now = k && !k->code_asked && k->seen >= MEMBERS_ENOUGH;
  if (now) k->code_asked = true;
  pthread_mutex_unlock(&sp->lock);
  return now ? compile(sp, k) : DP_OK;
}

void dpi_eq_tangent_destroy(dp_ctx *ctx, dpi_eq_tangent *list) {
  while (list) {
    dpi_eq_tangent *next = list->next;
    dpi_jit_destroy(list->jit);
    for (int c = 0; c < DPI_EQ_NCREW; c++) dpi_lane_plan_destroy(list->plan[c]);
    dpi_free(ctx, list);
    list = next;
  }
}
