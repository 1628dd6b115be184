/* delay.c - floor 3: delays that need no history are taken away; the others get names that can be read.
 *
 *  delayed by nothing, or constant:      what it is now;
 *  of an expression of time alone:       the expression at time - lag, before the start as after it.
 */
#include <float.h>
#include <string.h>

#include "lang/seal_impl.h"

#define NAME_MAX_LENGTH 60
#define PASSES 8 /* for delays of delays */

/* "delay(x + 1, tau)" for a name that only numbers its expressions */
static dp_status name_delay(dpi_sealer *s, int sym) {
  dp_model *m = s->m;
  dpi_str text;
  if (strchr(m->sym[sym].id, '#') == NULL) return DP_OK;
  dpi_str_init(&text, s->ctx);
  dpi_str_add(&text, "delay(");
  dpi_model_print(m, m->sym[sym].formula, &text);
  dpi_str_add(&text, ", ");
  dpi_model_print(m, m->sym[sym].delay, &text);
  dpi_str_add(&text, ")");
  dp_status status = text.failed ? DP_ERR_MEMORY : DP_OK;
  if (status == DP_OK && text.len <= NAME_MAX_LENGTH && dpi_model_find(m, dpi_str_text(&text)) < 0) {
    char *id = dpi_arena_strdup(&m->arena, dpi_str_text(&text));
    status = id == NULL ? DP_ERR_MEMORY : dpi_map_put(&m->ids, id, sym);
    if (status == DP_OK) m->sym[sym].id = id;
  }
  dpi_str_release(&text);
  return status;
}

static dp_status look_at(dpi_sealer *s, int sym) {
  dpi_symbol *y = &s->m->sym[sym];
  double lag, value;
  bool fixed = dpi_g_is_const(s->m->graph, y->delay, &lag);
  if (fixed && !(lag >= 0.0 && lag <= DBL_MAX))
    return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: '%s': the delay is %g, expected a time that is not negative",
                    s->m->source, y->line, y->id, lag);
  DP_TRY(name_delay(s, sym));
  if ((fixed && lag == 0.0) || dpi_g_is_const(s->m->graph, y->formula, &value)) y->kind = DPI_SYM_ASSIGNED;
  return DP_OK;
}

/* x(time) delayed is x(time - lag) */
static dp_status shift(dpi_sealer *s, int sym, bool *done) {
  dpi_symbol *y = &s->m->sym[sym];
  dpi_graph *g = s->m->graph;
  dpi_node x = y->formula;
  int n;
  *done = false;
  DP_TRY(dpi_seal_write_out(s, &x, s->now));
  DP_TRY(dpi_seal_symbols(s, x, &n));
  if (n > 1 || (n == 1 && s->list[0] != 0)) return DP_OK;
  dpi_node earlier = dpi_g_op2(g, DPI_OP_SUB, dpi_g_sym(g, 0), y->delay);
  if (earlier == DPI_NODE_NONE) return dpi_seal_no_memory(s);
  y->formula = dpi_g_subst(g, x, &earlier, 1); /* symbol 0 is time */
  y->kind = DPI_SYM_ASSIGNED;
  *done = true;
  return y->formula == DPI_NODE_NONE ? dpi_seal_no_memory(s) : DP_OK;
}

dp_status dpi_seal_delays(dpi_sealer *s) {
  dp_model *m = s->m;
  bool again = false;
  for (int i = 1; i < m->nsym; i++) {
    if (m->sym[i].kind != DPI_SYM_DELAYED) continue;
    DP_TRY(look_at(s, i));
    again = true;
  }
  for (int pass = 0; pass < PASSES && again; pass++) {
    again = false;
    DP_TRY(dpi_seal_resolve(s, DPI_SEAL_PRESENT, s->now));
    for (int i = 1; i < m->nsym; i++) {
      bool done = false;
      if (m->sym[i].kind == DPI_SYM_DELAYED) DP_TRY(shift(s, i, &done));
      again = again || done;
    }
  }
  return DP_OK;
}
