/* lower_event.c - floor 3: events.
 *
 * An assignment to a species that is carried by its amount sets amount(S) to value * V. All values are those before
 * the event: an event that sets the volume too leaves the amount that follows from the old one. Where the value is that
 * of the trigger's time and the volume may change until it is executed, V is the one just before that.
 */
#include "lang/network/lower_impl.h"

typedef struct plan { /* of one event */
  const dpi_net_event *e;
  dpi_event_assign *assign; /* in the model's arena */
  int n;
} plan;

static dp_status lower_part(dpi_lower *l, const dpi_net_event *e, const dpi_ast *a,
                            const char *what, bool draws, dpi_node *out) {
  *out = DPI_NODE_NONE;
  if (a == NULL) return DP_OK;
  dpi_lower_at(l, a->line > 0 ? a->line : e->line, what, e->id);
  l->scope.draws = draws;
  l->scope.phase = DPI_DRAW_TRIGGER;
  l->scope.event = l->m->nevent;
  return dpi_lower_math(l, a, out);
}

static dp_status lower_values(dpi_lower *l, plan *p) {
  for (int k = 0; k < p->e->nassign; k++) {
    const dpi_net_assignment *a = &p->e->assign[k];
    if (a->math == NULL) continue;
    int sym = dpi_model_find(l->m, a->variable);
    dpi_lower_at(l, a->line > 0 ? a->line : p->e->line, "an assignment of event", p->e->id);
    l->scope.draws = true;
    l->scope.phase = p->e->from_trigger ? DPI_DRAW_TRIGGER : DPI_DRAW_EXECUTION;
    l->scope.event = l->m->nevent;
    DP_TRY(dpi_lower_math(l, a->math, &p->assign[p->n].value));
    p->assign[p->n++].sym = sym;
  }
  return DP_OK;
}

/* from species to what carries them */
static dp_status turn_species(dpi_lower *l, plan *p) {
  for (int k = 0; k < p->n; k++) {
    int index, sym = p->assign[k].sym;
    if (dpi_net_find(l->net, l->m->sym[sym].id, &index) != DPI_NET_SPECIES) continue;
    const dpi_lower_species *x = &l->species[index];
    if (x->base == x->sym) continue;
    bool waits = p->e->from_trigger && (p->e->delay != NULL || l->mark[x->home].set);
    p->assign[k].sym = x->base;
    if (waits) { /* the volume counts when it is executed, the value before */
      p->assign[k].times = x->home;
      continue;
    }
    p->assign[k].value = dpi_g_op2(l->g, DPI_OP_MUL, p->assign[k].value, x->volume);
    if (p->assign[k].value == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status lower_event(dpi_lower *l, int i, plan *p) {
  const dpi_net_event *e = p->e = &l->net->event[i];
  dpi_model_event made = {.initial_value = e->initial_value,
                          .persistent = e->persistent,
                          .from_trigger = e->from_trigger,
                          .line = e->line};
  if (e->trigger == NULL) return DP_OK; /* never fires */
  made.id =
      e->id[0] ? dpi_arena_strdup(&l->m->arena, e->id) : dpi_arena_printf(&l->m->arena, "_E%d", i);
  p->assign = DPI_ARENA_ARRAY(&l->m->arena, dpi_event_assign, e->nassign > 0 ? e->nassign : 1);
  p->n = 0;
  if (made.id == NULL || p->assign == NULL) return DP_ERR_MEMORY;
  DP_TRY(lower_part(l, e, e->trigger, "the trigger of event", false, &made.trigger));
  DP_TRY(lower_part(l, e, e->delay, "the delay of event", true, &made.delay));
  DP_TRY(lower_part(l, e, e->priority, "the priority of event", true, &made.priority));
  DP_TRY(lower_values(l, p));
  DP_TRY(turn_species(l, p));
  made.assign = p->assign;
  made.nassign = p->n;
  return dpi_model_add_event(l->m, &made);
}

dp_status dpi_lower_events(dpi_lower *l) {
  plan p = {0};
  for (int i = 0; i < l->net->nevent; i++) DP_TRY(lower_event(l, i, &p));
  return DP_OK;
}
