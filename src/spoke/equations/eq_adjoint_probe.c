/* eq_adjoint_probe.c - the direction that a path is recorded with, so that its steps suit derivatives too.  D
 *
 * The error of values says nothing about that of derivatives: where a rate has a kink (max, abs), and where a path is
 * at rest that other numbers would wake. So a recorded member carries one forward direction, and its error takes part
 * in choosing the steps: all numbers that the gradient is asked by, moved together, each by its own size.
 *
 *     active parameter    c |p|       0, or no number: 1 and 0
 *     initial state       c max(|x|, X/10)
 *     amount of a dose    1, which is X over X
 *
 * all over X, the largest state or amount; c differs from number to number and in sign, so that nothing cancels but by
 * chance. Every fast mode of the system is woken by that, and followed until it has died away. A caller who knows along
 * which directions derivatives are wanted gives one that holds all of them instead (member.seed, dp_vjp_opts.along).
 */
#include <math.h>

#include "spoke/equations/eq_adjoint.h"

int dpi_probe_ndir(const dpi_eq_spoke *sp) { return sp->opts.sens_error && (sp->desc.caps & DP_CAP_JVP) ? 1 : 0; }

/* Between 0.75 and 1.25, of either sign; the k-th of a sequence that never comes near an earlier one. */
static double part(int k) {
  const double x = 0.6180339887498949 * (k + 1), y = 0.75 + 0.5 * (x - floor(x));
  return k % 2 == 0 ? y : -y;
}

static bool is_amount(const dp_instant *in) { return in->type == DP_ADD || in->type == DP_INFUSE; }

/* The largest state or amount, 1 where all are 0. */
static double largest(const dpi_eq_bench *w) {
  double most = 0;
  for (int j = 0; j < w->spoke->nstate; j++)
    if (fabs(w->m->x[j]) > most) most = fabs(w->m->x[j]);
  for (int i = 0; i < w->def->ninstant; i++)
    if (is_amount(&w->def->instant[i]) && fabs(w->def->instant[i].amount) > most)
      most = fabs(w->def->instant[i].amount);
  return most > 0 && isfinite(most) ? most : 1;
}

static bool direct_amounts(dpi_eq_probe *p, dpi_eq_bench *w) {
  const int n = w->def->ninstant;
  if (dpi_grow(w->spoke->base.ctx, (void **)&p->instant, &p->cap_instant, n + 1, sizeof *p->instant) != DP_OK)
    return dpi_eq_fail_memory(w);
  for (int i = 0; i < n; i++) {
    p->instant[i] = w->def->instant[i];
    if (is_amount(&p->instant[i]) || p->instant[i].type == DP_SET) p->instant[i].dir_amount = 0;
  }
  p->def = *w->def;
  p->def.instant = p->instant;
  w->def = &p->def;
  return true;
}

bool dpi_probe_lay(dpi_eq_probe *p, dpi_eq_bench *w, bool along) {
  const dpi_eq_spoke *sp = w->spoke;
  if (along && w->def->seed) return true; /* the bench has laid it */
  dpi_eq_member *m = w->m;
  const double size = largest(w);
  if (!direct_amounts(p, w)) return false;
  for (int a = 0; a < sp->nseed; a++) {
    const double v = fabs(m->param[sp->active_param[a]]);
    m->p[a] = !isfinite(v) ? 0 : part(a) * (v > 0 ? v : 1) / size;
  }
  dpi_eq_initial(w, m->t, m->x, m->s);
  for (int j = 0; j < sp->nstate; j++) {
    const double x = fabs(m->x[j]) / size;
    m->s[j] += part(sp->nseed + j) * (x > 0.1 ? x : 0.1);
  }
  return true;
}
