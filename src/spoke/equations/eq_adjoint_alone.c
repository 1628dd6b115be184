/* eq_adjoint_alone.c - back over a piece of path that a member went alone: no lane takes its steps (too many states,
 * too long a step), so the adjoint equations are integrated instead (solve/solve_adjoint.h).  D
 *
 * A piece is gone over once more from the state it began with, with the parameters and input rates of its time, when
 * the first weight is put on it; what took place at its ends is the trace's affair, as in lanes.
 */
#include "spoke/equations/eq_adjoint.h"

#include <math.h>

bool dpi_alone_can(const dpi_eq_spoke *sp) {
  if (sp->lane_method ? sp->lane_forced : strcmp(sp->method, "cvode") != 0) return false;
  return !sp->settles && (sp->desc.caps & DP_CAP_JVP) && dpi_adjoint_can(sp->sys);
}

void dpi_alone_release(const dpi_eq_spoke *sp, dpi_eq_alone *a) {
  dpi_adjoint_destroy(a->adjoint);
  dpi_free(sp->base.ctx, a->sym);
  *a = (dpi_eq_alone){.piece = -1};
}

static dp_status ready(dpi_eq_alone *a, const dpi_eq_spoke *sp, size_t memory) {
  dp_ctx *ctx = sp->base.ctx;
  if (!a->sym && !(a->sym = DPI_NEW_ARRAY(ctx, double, (size_t)sp->nsym + 1))) return DP_ERR_MEMORY;
  if (a->adjoint && a->memory == memory) return DP_OK;
  dpi_adjoint_destroy(a->adjoint);
  a->adjoint = NULL;
  a->memory = memory;
  return dpi_adjoint_create(ctx, sp->sys, &sp->opts, sp->ncontrol > 0, memory, &a->adjoint);
}

static bool say(const dpi_eq_alone *a, dpi_eq_bench *w, double t, dpi_solve_outcome o) {
  if (o == DPI_SOLVE_OK) return true;
  if (o == DPI_SOLVE_MEMORY) return dpi_eq_fail_memory(w);
  return dpi_eq_fail(w, t, "its gradient: %.120s", dpi_adjoint_reason(a->adjoint));
}

/* Over the piece once more, up to t. */
static bool lay(dpi_eq_alone *a, dpi_eq_bench *w, const dpi_eq_trace *tr, int piece, double t) {
  const dpi_eq_spoke *sp = w->spoke;
  const dpi_trace_piece *p = &tr->piece[piece];
  if (ready(a, sp, tr->limit) != DP_OK) return dpi_eq_fail_memory(w);
  for (int i = 0; i < sp->nparam; i++) a->sym[sp->param_sym[i]] = tr->real[p->param + i];
  for (int i = 0; i < sp->ndraw; i++) a->sym[sp->model->draw[i].sym] = tr->real[p->param + sp->nparam + i];
  a->piece = piece;
  const double *u = p->u < 0 ? NULL : tr->real + p->u;
  return say(a, w, t, dpi_adjoint_path(a->adjoint, a->sym, u, p->t, tr->real + p->x, t));
}

bool dpi_alone_weigh(dpi_eq_alone *a, dpi_eq_bench *w, const dpi_eq_trace *tr, int piece, double t,
                     const double *weight) {
  bool zero = true;
  for (int j = 0; j < w->spoke->nstate; j++) zero = zero && weight[j] == 0;
  if (zero) return true;
  if (a->piece != piece && !lay(a, w, tr, piece, t)) return false;
  return say(a, w, t, dpi_adjoint_weigh(a->adjoint, t, weight));
}

bool dpi_alone_start(dpi_eq_alone *a, dpi_eq_bench *w, int piece, double *lambda, double *mu, double *u_bar) {
  if (a->piece != piece) return true; /* nothing hangs on it */
  a->piece = -1;
  return say(a, w, w->m->t, dpi_adjoint_start(a->adjoint, lambda, mu, u_bar));
}
