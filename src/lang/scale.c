/* scale.c - floor 3: a model in another unit of time, before it is sealed.
 *
 * Let t' = t / unit. Then dx/dt' = unit dx/dt, `time` is unit t', a lag or an event's delay d is d / unit, and
 * rateOf(x), which sealing takes by t', is divided by unit again. Rates of reactions as a modeller sees them stay as
 * they are; as propensities they count per t'. */
#include <math.h>

#include "doppel/model.h"
#include "lang/lang_impl.h"

typedef struct scale {
  dp_model *m;
  dpi_graph *g;
  dpi_node unit;
  dpi_node *now; /* [nsym] what stands for a symbol; NONE: itself */
} scale;

static dp_status turn(const scale *s, dpi_node *node, dpi_op op) {
  if (*node == DPI_NODE_NONE) return DP_OK;
  *node = dpi_g_subst(s->g, *node, s->now, s->m->nsym);
  if (op != DPI_OP_CONST) *node = dpi_g_op2(s->g, op, *node, s->unit);
  return *node == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

static dp_status turn_symbol(const scale *s, dpi_symbol *y) {
  DP_TRY(turn(s, &y->init, DPI_OP_CONST));
  DP_TRY(turn(s, &y->formula, y->kind == DPI_SYM_STATE ? DPI_OP_MUL : DPI_OP_CONST));
  return turn(s, &y->delay, DPI_OP_DIV);
}

static dp_status turn_event(const scale *s, dpi_model_event *e) {
  dpi_event_assign *a = DPI_ARENA_ARRAY(&s->m->arena, dpi_event_assign, e->nassign > 0 ? e->nassign : 1);
  if (a == NULL) return DP_ERR_MEMORY;
  DP_TRY(turn(s, &e->trigger, DPI_OP_CONST));
  DP_TRY(turn(s, &e->delay, DPI_OP_DIV));
  DP_TRY(turn(s, &e->priority, DPI_OP_CONST));
  for (int k = 0; k < e->nassign; k++) {
    a[k] = e->assign[k];
    DP_TRY(turn(s, &a[k].value, DPI_OP_CONST));
  }
  e->assign = a;
  return DP_OK;
}

static dp_status turn_changes(const scale *s, const dpi_change **list, int n) {
  dpi_change *made = DPI_ARENA_ARRAY(&s->m->arena, dpi_change, n > 0 ? n : 1);
  if (made == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) {
    made[k] = (*list)[k];
    DP_TRY(turn(s, &made[k].by, DPI_OP_CONST));
  }
  *list = made;
  return DP_OK;
}

static dp_status turn_all(const scale *s) {
  dp_model *m = s->m;
  for (int i = 1; i < m->nsym; i++) DP_TRY(turn_symbol(s, &m->sym[i]));
  for (int i = 0; i < m->nevent; i++) DP_TRY(turn_event(s, &m->event[i]));
  for (int i = 0; i < m->nconstraint; i++) DP_TRY(turn(s, &m->constraint[i].residual, DPI_OP_CONST));
  for (int i = 0; i < m->ndraw; i++)
    for (int k = 0; k < m->draw[i].narg; k++) DP_TRY(turn(s, &m->draw[i].arg[k], DPI_OP_CONST));
  for (int i = 0; i < m->nreaction; i++) {
    dpi_model_reaction *r = &m->reaction[i];
    DP_TRY(turn(s, &r->rate, DPI_OP_MUL));
    DP_TRY(turn_changes(s, &r->change, r->nchange));
    DP_TRY(turn_changes(s, &r->order, r->norder));
  }
  return DP_OK;
}

dp_status dp_model_scale_time(dp_model *m, double unit) {
  if (m->sealed) return dpi_fail(m->ctx, DP_ERR_USAGE, "model '%s' is sealed: its unit of time stays", m->name);
  if (!(unit > 0) || !isfinite(unit)) return dpi_fail(m->ctx, DP_ERR_USAGE, "a unit of time of %g", unit);
  if (unit == 1) return DP_OK;
  scale s = {.m = m, .g = m->graph, .unit = dpi_g_const(m->graph, unit)};
  s.now = DPI_NEW_ARRAY(m->ctx, dpi_node, m->nsym);
  dp_status status = s.now == NULL || s.unit == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
  for (int i = 0; i < m->nsym && status == DP_OK; i++) {
    s.now[i] = DPI_NODE_NONE;
    if (i > 0 && m->sym[i].kind != DPI_SYM_RATEOF) continue;
    s.now[i] = dpi_g_op2(s.g, i > 0 ? DPI_OP_DIV : DPI_OP_MUL, dpi_g_sym(s.g, i), s.unit);
    if (s.now[i] == DPI_NODE_NONE) status = DP_ERR_MEMORY;
  }
  if (status == DP_OK) status = turn_all(&s);
  dpi_free(m->ctx, s.now);
  return status;
}
