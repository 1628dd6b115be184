/* lanes_plan.c - floor 3: what is constant of integrating a system in lanes: method, tolerances, the step and its tape.
 *
 * The step is built in a graph of its own, into which the rates are copied: plans can be made on any thread, and the
 * model's graph does not grow.
 */
#include <string.h>

#include "solve/lane_tableau.h"
#include "solve/lanes_impl.h"

#define MOST_STEPS 60000 /* of a tape: beyond, straight-line code no longer pays (nor fits the caches) */
#define MOST_STATES 100  /* implicit */
#define EXPLICIT_EACH 40.0 /* operations of a state besides its six rates: what will be too long is refused unbuilt */
#define RTOL_LEAST 4e-16 /* below, a step can't tell its error from rounding */

/* Which method for which tolerance asked of the result, and that over the tolerance asked of a step: measured
 * (README.md). */
typedef struct choice {
  dpi_lane_kind kind;
  double rtol; /* this one from here up */
  const char *method;
  double safety;
} choice;
static const choice choices[] = {
    {DPI_LANE_IMPLICIT, 5e-5, "rodas4", 3.0},
    {DPI_LANE_IMPLICIT, 1.5e-5, "rodas5p", 5.0}, /* its dense output is of lower order: more and more to ask of
                                                    a step, */
    {DPI_LANE_IMPLICIT, 4e-6, "rodas5p", 7.0},   /* little by little, so that the cost does not leap */
    {DPI_LANE_IMPLICIT, 0.0, "rodas5p", 10.0},
    {DPI_LANE_EXPLICIT, 0.0, "tsit5", 5.0},
};

static const choice *choose(dpi_lane_kind kind, double rtol) {
  const choice *c = choices;
  while (c->kind != kind || c->rtol > rtol) c++;
  return c;
}

bool dpi_lane_can(const dpi_system *sys, dpi_lane_kind kind, const char **why) {
  const char *no = NULL;
  if (sys->nstate < 1)
    no = "it has no states";
  else if (sys->nalgebraic > 0)
    no = "it has algebraic equations";
  else if (sys->ndelayed > 0)
    no = "it has delays";
  else if (dpi_model_find(sys->model, DPI_FAST_SPEED) >= 0)
    no = "it has fast reactions";
  else if (kind == DPI_LANE_IMPLICIT && sys->nstate > MOST_STATES)
    no = "it has more than 100 states";
  else if (dpi_tape_nstep(sys->rhs) > MOST_STEPS / 8 ||
           (kind == DPI_LANE_EXPLICIT && 6.0 * dpi_tape_nstep(sys->rhs) + EXPLICIT_EACH * sys->nstate > MOST_STEPS))
    no = "a step is too long as straight-line code";
  if (why) *why = no ? no : "";
  return no == NULL;
}

static dp_status copy_tolerances(dpi_lane_plan *p, double safety) {
  const dpi_solve_opts *o = &p->opts;
  const int n = p->sys->nstate;
  p->rtol_step = o->rtol / safety > RTOL_LEAST ? o->rtol / safety : RTOL_LEAST;
  p->atol_step = DPI_NEW_ARRAY(p->ctx, double, n);
  if (o->atol_state) p->atol_state = DPI_NEW_ARRAY(p->ctx, double, n);
  if (!p->atol_step || (o->atol_state && !p->atol_state)) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) p->atol_step[i] = (o->atol_state ? o->atol_state[i] : o->atol) / safety;
  if (o->atol_state) memcpy(p->atol_state, o->atol_state, (size_t)n * sizeof *p->atol_state);
  p->opts.atol_state = p->atol_state;
  return DP_OK;
}

/* ---- a graph of its own ---- */

/* Node n of `from`, whose arguments are in `to` by map. */
static dpi_node copy_node(dpi_graph *to, dpi_gnode n, const dpi_node *map) {
  switch (n.op) {
    case DPI_OP_CONST: return dpi_g_const(to, n.value);
    case DPI_OP_SYM: return dpi_g_sym(to, n.arg[0]);
    case DPI_OP_POWI: return dpi_g_op2(to, DPI_OP_POW, map[n.arg[0]], dpi_g_const(to, n.arg[1]));
    case DPI_OP_IF: return dpi_g_if(to, map[n.arg[0]], map[n.arg[1]], map[n.arg[2]]);
    case DPI_OP_FMA: return dpi_g_fma(to, map[n.arg[0]], map[n.arg[1]], map[n.arg[2]]);
    default:
      return dpi_op_arity(n.op) == 1 ? dpi_g_op1(to, n.op, map[n.arg[0]])
                                     : dpi_g_op2(to, n.op, map[n.arg[0]], map[n.arg[1]]);
  }
}

/* Arguments have smaller numbers than what is made of them: one way down marks, one way up copies. map [count] NONE. */
static dp_status copy_rates(const dp_model *m, dpi_graph *to, dpi_node *map, dpi_symbol *sym) {
  enum { WANTED = -2 };
  dpi_node last = 0;
  for (int i = 1; i <= m->nstate; i++) {
    map[m->sym[i].formula] = WANTED;
    if (m->sym[i].formula > last) last = m->sym[i].formula;
  }
  for (dpi_node k = last; k >= 0; k--) {
    if (map[k] != WANTED) continue;
    const dpi_gnode n = dpi_graph_at(m->graph, k);
    for (int j = 0; j < dpi_op_arity(n.op); j++) map[n.arg[j]] = WANTED;
  }
  for (dpi_node k = 0; k <= last; k++) {
    if (map[k] != WANTED) continue;
    map[k] = copy_node(to, dpi_graph_at(m->graph, k), map);
    if (map[k] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  for (int i = 1; i <= m->nstate; i++) sym[i].formula = map[m->sym[i].formula];
  return DP_OK;
}

dp_status dpi_lane_copy_system(dp_ctx *ctx, const dpi_system *from, dpi_arena *arena, dpi_graph **graph,
                               dpi_system **out) {
  const dp_model *m = from->model;
  dpi_system *sys = DPI_ARENA_NEW(arena, dpi_system);
  dp_model *model = DPI_ARENA_NEW(arena, dp_model);
  dpi_symbol *sym = dpi_arena_array(arena, (size_t)m->nsym, sizeof *sym);
  if (!sys || !model || !sym) return DP_ERR_MEMORY;
  memcpy(sym, m->sym, (size_t)m->nsym * sizeof *sym);
  *model = *m;
  *sys = *from;
  model->sym = sym;
  sys->model = model;
  DP_TRY(dpi_graph_create(ctx, graph));
  model->graph = *graph;
  const int count = dpi_graph_count(m->graph);
  dpi_node *map = DPI_NEW_ARRAY(ctx, dpi_node, count > 0 ? count : 1);
  if (!map) return DP_ERR_MEMORY;
  for (int i = 0; i < count; i++) map[i] = DPI_NODE_NONE;
  dp_status status = copy_rates(m, *graph, map, sym);
  dpi_free(ctx, map);
  *out = sys;
  return status;
}

/* ---- the plan ---- */

/* err <= 1 without waiting for the division in it: err = if(finite, a / b, infinite) is asked as if(finite, a,
 * infinite) <= b. */
static void split_error(dpi_graph *g, dpi_node err, dpi_node *size, dpi_node *room) {
  const dpi_gnode all = dpi_graph_at(g, err), part = dpi_graph_at(g, all.op == DPI_OP_IF ? all.arg[1] : err);
  *size = err;
  *room = dpi_g_const(g, 1.0);
  if (part.op != DPI_OP_DIV) return;
  *size = all.op == DPI_OP_IF ? dpi_g_if(g, all.arg[0], part.arg[0], all.arg[2]) : part.arg[0];
  *room = part.arg[1];
}

/* S_new and the stages' derivatives; the error becomes that of all directions too. */
static dp_status add_tangent(dpi_lane_plan *p, const dpi_system *sys, const dpi_lane_step *step, dpi_node *out,
                             dpi_node *err, dpi_node *growth) {
  const size_t n = (size_t)sys->nstate * (size_t)p->ndir;
  dpi_lane_tangent tan;
  DP_TRY(dpi_lane_tangent_init(&tan, p->ctx, sys, step, p->ndir));
  memcpy(out, tan.x_new, n * sizeof *out);
  memcpy(out + n, tan.stage, n * (size_t)step->nstage * sizeof *out);
  dp_status status = p->opts.sens_error ? dpi_lane_tangent_error(&tan, step, err) : DP_OK;
  if (status == DP_OK && p->opts.sens_error) status = dpi_lane_tangent_growth(&tan, step, growth);
  dpi_lane_tangent_release(&tan);
  return status;
}

static dp_status make_tape(dpi_lane_plan *p, const dpi_system *sys, int form) {
  const dpi_lane_step *step = &p->step[form];
  const int n = sys->nstate, plain = dpi_lanes_out_tangent(n, step->nstage),
            nout = plain + n * p->ndir * (1 + step->nstage);
  const int nsym = dpi_tangent_nsym(sys, p->ndir);
  dpi_node err = step->err, growth = step->growth;
  uint8_t *fast = DPI_NEW_ARRAY(p->ctx, uint8_t, nsym);
  dpi_node *out = DPI_NEW_ARRAY(p->ctx, dpi_node, nout);
  dp_status status = fast && out ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK && p->ndir > 0) status = add_tangent(p, sys, step, out + plain, &err, &growth);
  if (status == DP_OK) {
    dpi_tangent_fast(sys, p->ndir, fast);
    memcpy(out, step->x_new, (size_t)n * sizeof *out);
    split_error(p->graph, err, &out[dpi_lanes_out_size(n)], &out[dpi_lanes_out_room(n)]);
    out[dpi_lanes_out_growth(n)] = growth == DPI_NODE_NONE ? dpi_g_const(p->graph, 0.0) : growth;
    for (int i = 0; i < step->nstage; i++)
      memcpy(out + dpi_lanes_out_stage(n, i), step->stage[i], (size_t)n * sizeof *out);
    status = dpi_lane_powers(p->ctx, p->graph, out, nout, fast);
    if (status == DP_OK) status = dpi_tape_create(p->ctx, p->graph, out, nout, fast, nsym, &p->tape[form]);
  }
  dpi_free(p->ctx, fast);
  dpi_free(p->ctx, out);
  return status;
}

static dp_status build(dpi_lane_plan *p) {
  const choice *c = choose(p->kind, p->opts.rtol);
  dpi_system *sys;
  DP_TRY(copy_tolerances(p, c->safety));
  DP_TRY(dpi_lane_copy_system(p->ctx, p->sys, &p->arena, &p->graph, &sys));
  dpi_lane_step_def def = {.method = c->method, .rtol = p->rtol_step, .atol_state = p->atol_step};
  for (int form = 0; form < DPI_NFORM; form++) {
    def.input = form == DPI_FORM_INPUT;
    DP_TRY(dpi_lane_step_build(p->ctx, sys, &def, &p->arena, &p->step[form]));
    DP_TRY(make_tape(p, sys, form));
    if (dpi_tape_nstep(p->tape[form]) > MOST_STEPS)
      return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                      "model '%s' can't be integrated in lanes: a step of method %s has %d operations, at most %d are "
                      "taken",
                      sys->model->name, c->method, dpi_tape_nstep(p->tape[form]), MOST_STEPS);
  }
  return DP_OK;
}

dp_status dpi_lane_plan_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts, dpi_lane_kind kind,
                               int ndir, dpi_lane_plan **out) {
  const char *why;
  *out = NULL;
  if (!dpi_lane_can(sys, kind, &why))
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "model '%s' can't be integrated in lanes: %s", sys->model->name, why);
  dpi_lane_plan *p = DPI_NEW(ctx, dpi_lane_plan);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = ctx;
  p->sys = sys;
  p->opts = opts ? *opts : dpi_solve_opts_default();
  p->kind = kind;
  p->ndir = ndir;
  dpi_arena_init(&p->arena, ctx);
  dp_status status = build(p);
  if (status != DP_OK) {
    dpi_lane_plan_destroy(p);
    return status;
  }
  *out = p;
  return DP_OK;
}

void dpi_lane_plan_destroy(dpi_lane_plan *p) {
  if (!p) return;
  for (int form = 0; form < DPI_NFORM; form++) dpi_tape_destroy(p->tape[form]);
  dpi_graph_destroy(p->graph);
  dpi_arena_release(&p->arena);
  dpi_free(p->ctx, p->atol_state);
  dpi_free(p->ctx, p->atol_step);
  dpi_free(p->ctx, p);
}

int dpi_lane_plan_tapes(const dpi_lane_plan *p, const dpi_tape *const **tape) {
  *tape = (const dpi_tape *const *)p->tape;
  return DPI_NFORM;
}

const dpi_lane_step *dpi_lane_plan_step(const dpi_lane_plan *p) { return &p->step[DPI_FORM_INPUT]; }
