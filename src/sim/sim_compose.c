/* sim_compose.c - floor 5: outputs as formulas over a spoke's signals, its parameters and time, for spokes that do not
 * evaluate outputs themselves.
 *
 *     y_o = f_o(s, p, t)       dy_o/dv = sum_s (df_o/ds) ds/dv + sum_a (df_o/dp_a) dp_a/dv
 *
 * ds/dv comes from the spoke, dp_a/dv from the member's seed; partial derivatives are symbolic. A parameter that a
 * SWITCH instant replaced has the instant's amount and direction from there on.
 */
#include <stdio.h>
#include <string.h>

#include "sim/sim_impl.h"

/* ---- compile ---- */

typedef struct compiler {
  dp_ctx *ctx;
  dpi_arena *arena;
  dp_model *scope; /* symbols and graph; not needed after compiling */
  dpi_compose *c;
  const dpi_spoke_desc *desc;
  dpi_node *node; /* [noutput], then the partial derivatives */
  int *signal_sym, *param_sym, *active_param, *partial_output, *partial_source;
} compiler;

/* Signals and parameters become symbols; an id may stand for one thing only. */
static dp_status declare(compiler *k) {
  for (int s = 0; s < k->c->nsignal; s++) {
    DP_TRY(dpi_model_symbol(k->scope, k->desc->signal_id[s], 0, &k->signal_sym[s]));
  }
  for (int p = 0; p < k->c->nparam; p++) {
    const char *id = k->desc->param_id[p];
    if (dpi_model_find(k->scope, id) >= 0) {
      return dpi_fail(k->ctx, DP_ERR_BUG, "spoke: '%s' is a signal and a parameter", id);
    }
    DP_TRY(dpi_model_symbol(k->scope, id, 0, &k->param_sym[p]));
  }
  return DP_OK;
}

static dp_status resolve_active(compiler *k, const dp_sim_def *def) {
  for (int a = 0; a < def->nactive; a++) {
    const char *id = def->active[a];
    int found = -1;
    for (int p = 0; p < k->c->nparam && found < 0; p++) {
      if (strcmp(k->desc->param_id[p], id) == 0) found = p;
    }
    if (found < 0) {
      const char *near = dpi_nearest_word(id, k->desc->param_id, k->c->nparam);
      return dpi_fail(k->ctx, DP_ERR_INPUT,
                      "active parameter '%s': the spoke has none of this id%s%s", id,
                      near ? "; did you mean " : "", near ? near : "");
    }
    k->active_param[a] = found;
  }
  return DP_OK;
}

static dp_status parse_output(compiler *k, const dp_output_def *output, dpi_node *node) {
  char where[120];
  snprintf(where, sizeof where, "output '%s'", output->id);
  if (output->formula) return dpi_model_parse(k->scope, output->formula, where, false, node);
  for (int s = 0; s < k->c->nsignal; s++) {
    if (strcmp(k->desc->signal_id[s], output->id) != 0) continue;
    *node = dpi_g_sym(k->scope->graph, k->signal_sym[s]);
    return *node == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
  }
  const char *near = dpi_nearest_word(output->id, k->desc->signal_id, k->c->nsignal);
  return dpi_fail(k->ctx, DP_ERR_INPUT,
                  "%s: without a formula it must be a signal of the spoke%s%s", where,
                  near ? "; did you mean " : "", near ? near : "");
}

/* The partial derivatives that are not zero everywhere. */
static dp_status differentiate(compiler *k) {
  dpi_compose *c = k->c;
  dpi_graph *g = k->scope->graph;
  dpi_node zero = dpi_g_const(g, 0.0);
  if (zero == DPI_NODE_NONE) return DP_ERR_MEMORY;
  for (int o = 0; o < c->noutput; o++) {
    for (int source = 0; source < c->nsignal + c->nactive; source++) {
      int sym = source < c->nsignal ? k->signal_sym[source]
                                    : k->param_sym[k->active_param[source - c->nsignal]];
      dpi_node d = dpi_g_diff(g, k->node[o], sym);
      if (d == DPI_NODE_NONE) return DP_ERR_MEMORY;
      if (d == zero) continue;
      k->partial_output[c->npartial] = o;
      k->partial_source[c->npartial] = source;
      k->node[c->noutput + c->npartial++] = d;
    }
  }
  return DP_OK;
}

static dp_status compile_tapes(compiler *k, bool jvp) {
  dpi_compose *c = k->c;
  c->nsym = k->scope->nsym;
  /* parameters change only at SWITCH instants: they are slow, signals and time are fast */
  uint8_t *fast = DPI_ARENA_ARRAY(k->arena, uint8_t, c->nsym);
  if (!fast) return DP_ERR_MEMORY;
  memset(fast, 1, (size_t)c->nsym);
  for (int p = 0; p < c->nparam; p++) fast[k->param_sym[p]] = 0;
  const dpi_graph *g = k->scope->graph;
  DP_TRY(dpi_tape_create(k->ctx, g, k->node, c->noutput, fast, c->nsym, &c->value));
  if (!jvp) return DP_OK;
  return dpi_tape_create(k->ctx, g, k->node, c->noutput + c->npartial, fast, c->nsym, &c->full);
}

static dp_status compile(compiler *k, const dp_sim_def *def) {
  bool jvp = (k->desc->caps & DP_CAP_JVP) != 0;
  DP_TRY(declare(k));
  DP_TRY(resolve_active(k, def));
  for (int o = 0; o < def->noutput; o++) DP_TRY(parse_output(k, &def->output[o], &k->node[o]));
  if (jvp) DP_TRY(differentiate(k));
  return compile_tapes(k, jvp);
}

static dp_status compiler_init(compiler *k, const dp_sim_def *def) {
  dpi_compose *c = k->c;
  c->nsignal = k->desc->nsignal;
  c->nparam = k->desc->nparam;
  c->noutput = def->noutput;
  c->nactive = def->nactive;
  size_t most = (size_t)c->noutput * (size_t)(c->nsignal + c->nactive);
  k->signal_sym = DPI_ARENA_ARRAY(k->arena, int, c->nsignal);
  k->param_sym = DPI_ARENA_ARRAY(k->arena, int, c->nparam);
  k->active_param = DPI_ARENA_ARRAY(k->arena, int, c->nactive);
  k->partial_output = DPI_ARENA_ARRAY(k->arena, int, most);
  k->partial_source = DPI_ARENA_ARRAY(k->arena, int, most);
  k->node = DPI_ARENA_ARRAY(k->arena, dpi_node, (size_t)c->noutput + most);
  if (!k->signal_sym || !k->param_sym || !k->active_param || !k->partial_output ||
      !k->partial_source || !k->node) {
    return DP_ERR_MEMORY;
  }
  c->signal_sym = k->signal_sym;
  c->param_sym = k->param_sym;
  c->active_param = k->active_param;
  c->partial_output = k->partial_output;
  c->partial_source = k->partial_source;
  return dpi_model_create(k->ctx, "outputs", "outputs", &k->scope);
}

dp_status dpi_compose_create(dp_ctx *ctx, dpi_arena *arena, const dp_sim_def *def,
                             const dpi_spoke_desc *desc, dpi_compose **out) {
  compiler k = {.ctx = ctx, .arena = arena, .desc = desc, .c = DPI_ARENA_NEW(arena, dpi_compose)};
  if (!k.c) return DP_ERR_MEMORY;
  *out = k.c; /* the sim releases it also when compiling fails */
  dp_status status = compiler_init(&k, def);
  if (status == DP_OK) status = compile(&k, def);
  dp_model_destroy(k.scope);
  return status;
}

void dpi_compose_release(dpi_compose *c) {
  if (!c) return;
  dpi_tape_destroy(c->value);
  dpi_tape_destroy(c->full);
}

/* ---- evaluate ---- */

/* A batch's workspace: registers of both tapes, symbols, the tape's results. */
typedef struct workspace {
  double *reg_value, *reg_full, *sym, *result;
} workspace;

static workspace cut(const dpi_compose *c, double *work) {
  workspace w = {.reg_value = work};
  w.reg_full = w.reg_value + dpi_tape_nreg(c->value);
  w.sym = w.reg_full + (c->full ? dpi_tape_nreg(c->full) : 0);
  w.result = w.sym + c->nsym;
  return w;
}

size_t dpi_compose_work(const dpi_compose *c) {
  size_t reg = (size_t)dpi_tape_nreg(c->value) + (c->full ? (size_t)dpi_tape_nreg(c->full) : 0);
  return reg + (size_t)c->nsym + (size_t)c->noutput + (size_t)c->npartial;
}

void dpi_compose_init(const dpi_compose *c, double *work) {
  workspace w = cut(c, work);
  dpi_tape_init(c->value, w.reg_value);
  if (c->full) dpi_tape_init(c->full, w.reg_full);
}

/* The last SWITCH of a parameter before instant number `upto`, or NULL. */
static const dp_instant *last_switch(const dp_member *m, int upto, int param) {
  for (int k = upto - 1; k >= 0; k--) {
    if (m->instant[k].type == DP_SWITCH && m->instant[k].target == param) return &m->instant[k];
  }
  return NULL;
}

/* dp_a/dv for direction v at a place in the timeline. */
static double param_direction(const dpi_compose *c, const dp_member *m, int upto, int ndir, int a,
                              int v) {
  const dp_instant *s = last_switch(m, upto, c->active_param[a]);
  if (s) return s->dir_amount == v ? 1.0 : 0.0;
  return m->seed ? m->seed[(size_t)a * (size_t)ndir + (size_t)v] : 0.0;
}

/* One row's derivatives from the partials in w->result. */
static void chain(const dpi_compose *c, const dp_member *m, int upto, int ndir,
                  const double *dsignal, const double *result, double *dvalue) {
  memset(dvalue, 0, (size_t)c->noutput * (size_t)ndir * sizeof *dvalue);
  for (int k = 0; k < c->npartial; k++) {
    double partial = result[c->noutput + k];
    int source = c->partial_source[k];
    double *d = dvalue + (size_t)c->partial_output[k] * (size_t)ndir;
    for (int v = 0; v < ndir; v++) {
      double ds = source < c->nsignal ? dsignal[(size_t)source * (size_t)ndir + (size_t)v]
                                      : param_direction(c, m, upto, ndir, source - c->nsignal, v);
      /* a branch not taken may have an infinite partial: nothing flows through a zero */
      if (ds != 0.0) d[v] += partial * ds;
    }
  }
}

static bool before(const dp_instant *instant, const dp_output_time *out) {
  return instant->time < out->time || (instant->time == out->time && instant->order <= out->order);
}

/* Apply the SWITCH instants up to this output; true when a parameter changed. */
static bool pass_instants(const dpi_compose *c, const dp_member *m, const dp_output_time *out,
                          int *next, double *sym) {
  bool changed = false;
  for (; *next < m->ninstant && before(&m->instant[*next], out); ++*next) {
    const dp_instant *instant = &m->instant[*next];
    if (instant->type != DP_SWITCH) continue;
    sym[c->param_sym[instant->target]] = instant->amount;
    changed = true;
  }
  return changed;
}

void dpi_compose_rows(const dpi_compose *c, const dp_member *m, int ndir, const dpi_member_out *out,
                      dpi_rows *rows, double *work) {
  if (rows->ncomposed >= out->ndone) return;
  workspace w = cut(c, work);
  const dpi_tape *tape = ndir > 0 ? c->full : c->value;
  double *reg = ndir > 0 ? w.reg_full : w.reg_value;
  size_t noutput = (size_t)c->noutput, nsignal = (size_t)c->nsignal, nd = (size_t)ndir;
  for (int p = 0; p < c->nparam; p++) w.sym[c->param_sym[p]] = m->param[p];
  int next = 0;
  bool changed = true;
  for (int r = rows->ncomposed; r < out->ndone; r++) {
    size_t row = (size_t)r;
    if (pass_instants(c, m, &m->out[r], &next, w.sym)) changed = true;
    if (changed) dpi_tape_prologue(tape, w.sym, reg);
    changed = false;
    w.sym[0] = (double)m->out[r].time / (double)DP_TICKS;
    for (size_t s = 0; s < nsignal; s++) w.sym[c->signal_sym[s]] = out->value[row * nsignal + s];
    dpi_tape_eval(tape, w.sym, reg, w.result);
    memcpy(rows->value + row * noutput, w.result, noutput * sizeof(double));
    if (ndir == 0) continue;
    chain(c, m, next, ndir, out->dvalue + row * nsignal * nd, w.result,
          rows->dvalue + row * noutput * nd);
  }
  rows->ncomposed = out->ndone;
}
