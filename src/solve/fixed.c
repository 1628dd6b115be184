/* fixed.c - floor 3: the classical Runge-Kutta step as a graph, its tape, and W members that take it together.
 *
 *     k_1 = f(t, x), k_2 = f(t + h/2, x + h/2 k_1), k_3 = f(t + h/2, x + h/2 k_2), k_4 = f(t + h, x + h k_3)
 *     x_new = x + h/6 (k_1 + 2 (k_2 + k_3) + k_4)
 *
 * All stages use the same form of the rates (lane_rates.c). */
#include "solve/fixed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "solve/lane_rows.h"
#include "solve/lane_step_impl.h"

#define MOST_STEPS 60000 /* of a tape: as in lanes_plan.c */
enum { STAGES = 4 };

struct dpi_fixed_plan {
  dp_ctx *ctx;
  const dpi_system *sys;
  dpi_tape *tape; /* owned: x_new [n], check; */
  dpi_tape *all;  /* owned: the same for all vectors of a group, */
  dpi_tape *one;  /* owned: and for one of them */
};

/* ---- the step ---- */

bool dpi_fixed_can(const dpi_system *sys, const char **why) {
  const char *no = NULL;
  if (sys->nstate < 1)
    no = "it has no states";
  else if (sys->nalgebraic > 0)
    no = "it has algebraic equations";
  else if (sys->ndelayed > 0)
    no = "it has delays";
  else if (dpi_model_find(sys->model, DPI_FAST_SPEED) >= 0)
    no = "it has fast reactions";
  else if (STAGES * (long)dpi_tape_nstep(sys->rhs) > MOST_STEPS)
    no = "a step is too long as straight-line code";
  if (why) *why = no ? no : "";
  return no == NULL;
}

/* One step being written. */
typedef struct writer {
  dp_ctx *ctx;
  const dpi_system *sys;
  dpi_graph *g;
  int n;
  dpi_node t, h, half; /* half: h/2 */
  dpi_node *block;     /* owned: all lists */
  dpi_node *x, *u, *formula, *point, *k[STAGES], *replacement, *out;
} writer;

static dp_status lists(writer *w, const uint8_t *fed) {
  const size_t n = (size_t)w->n, nsym = (size_t)w->sys->nsym;
  w->block = DPI_NEW_ARRAY(w->ctx, dpi_node, (5 + STAGES) * n + 1 + nsym);
  if (!w->block) return DP_ERR_MEMORY;
  w->x = w->block;
  w->u = w->x + n;
  w->formula = w->u + n;
  w->point = w->formula + n;
  for (int s = 0; s < STAGES; s++) w->k[s] = w->point + (size_t)(1 + s) * n;
  w->out = w->k[STAGES - 1] + n;
  w->replacement = w->out + n + 1;
  w->t = dpi_g_sym(w->g, 0);
  w->h = dpi_g_sym(w->g, dpi_lane_sym(w->sys, DPI_LANE_H));
  w->half = dpi_g_op2(w->g, DPI_OP_MUL, w->h, dpi_g_const(w->g, 0.5));
  for (size_t i = 0; i < nsym; i++) w->replacement[i] = DPI_NODE_NONE;
  for (int j = 0; j < w->n; j++) {
    w->x[j] = dpi_g_sym(w->g, 1 + j);
    w->u[j] = !fed || fed[j] ? dpi_g_sym(w->g, dpi_lane_sym(w->sys, DPI_LANE_U + j)) : DPI_NODE_NONE;
    w->formula[j] = w->sys->model->sym[1 + j].formula;
    if (w->x[j] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return w->half == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* k[s] from the stage before it: at t + c h, x + (c h) k[s - 1]. */
static dp_status stage(writer *w, int s) {
  static const double c[STAGES] = {0, 0.5, 0.5, 1};
  const dpi_node way = c[s] == 0.5 ? w->half : w->h;
  w->replacement[0] = s == 0 ? w->t : dpi_g_op2(w->g, DPI_OP_ADD, w->t, way);
  for (int j = 0; j < w->n; j++) {
    w->replacement[1 + j] = s == 0 ? w->x[j] : dpi_g_fma(w->g, way, w->k[s - 1][j], w->x[j]);
    if (w->replacement[1 + j] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  if (w->replacement[0] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  for (int j = 0; j < w->n; j++) {
    const dpi_node f = dpi_g_subst(w->g, w->formula[j], w->replacement, w->sys->nsym);
    w->k[s][j] = w->u[j] == DPI_NODE_NONE ? f : dpi_g_op2(w->g, DPI_OP_ADD, f, w->u[j]);
    if (w->k[s][j] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status finish(writer *w) {
  dpi_graph *g = w->g;
  const dpi_node sixth = dpi_g_op2(g, DPI_OP_MUL, w->h, dpi_g_const(g, 1.0 / 6)), two = dpi_g_const(g, 2);
  dpi_node check = dpi_g_const(g, 0);
  for (int j = 0; j < w->n; j++) {
    const dpi_node ends = dpi_g_op2(g, DPI_OP_ADD, w->k[0][j], w->k[3][j]);
    const dpi_node inside = dpi_g_op2(g, DPI_OP_ADD, w->k[1][j], w->k[2][j]);
    w->out[j] = dpi_g_fma(g, sixth, dpi_g_fma(g, two, inside, ends), w->x[j]);
    check = dpi_g_op2(g, DPI_OP_ADD, check, w->out[j]);
    if (w->out[j] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  w->out[w->n] = check;
  return check == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

static dp_status compile(writer *w, const uint8_t *moving, dpi_tape **tape) {
  const int nsym = dpi_lane_nsym(w->sys);
  uint8_t *fast = DPI_NEW_ARRAY(w->ctx, uint8_t, nsym);
  if (!fast) return DP_ERR_MEMORY;
  dpi_lane_fast(w->sys, fast);
  dp_status st = dpi_lane_powers(w->ctx, w->g, w->out, w->n + 1, fast); /* before `moving`, which decides no result */
  for (int i = 0; moving && i < w->sys->nsym; i++) fast[i] = fast[i] || moving[i];
  if (st == DP_OK) st = dpi_tape_create(w->ctx, w->g, w->out, w->n + 1, fast, nsym, tape);
  dpi_free(w->ctx, fast);
  return st;
}

static dp_status write_in(writer *w, const uint8_t *moving, const uint8_t *fed, dpi_tape **tape) {
  dp_status st = lists(w, fed);
  if (st == DP_OK) st = dpi_lane_rewrite(w->ctx, w->sys, w->formula, w->n);
  for (int s = 0; s < STAGES && st == DP_OK; s++) st = stage(w, s);
  if (st == DP_OK) st = finish(w);
  if (st == DP_OK) st = compile(w, moving, tape);
  dpi_free(w->ctx, w->block);
  return st;
}

/* In a graph of its own: symbols of a step are none of the model's. */
static dp_status write_step(dpi_fixed_plan *p, const uint8_t *moving, const uint8_t *fed) {
  dpi_arena arena;
  dpi_graph *graph = NULL;
  dpi_system *sys = NULL;
  dpi_arena_init(&arena, p->ctx);
  dp_status st = dpi_lane_copy_system(p->ctx, p->sys, &arena, &graph, &sys);
  if (st == DP_OK) {
    writer w = {.ctx = p->ctx, .sys = sys, .g = graph, .n = sys->nstate};
    st = write_in(&w, moving, fed, &p->tape);
  }
  dpi_graph_destroy(graph);
  dpi_arena_release(&arena);
  if (st == DP_OK) st = dpi_tape_spread(p->tape, DPI_FIXED_VECTORS, DPI_FIXED_VECTORS, &p->all);
  if (st == DP_OK) st = dpi_tape_spread(p->tape, DPI_FIXED_VECTORS, 1, &p->one);
  if (st == DP_ERR_MEMORY) return dpi_fail(p->ctx, st, "model '%s': a step can't be stored", p->sys->model->name);
  return st;
}

dp_status dpi_fixed_plan_create(dp_ctx *ctx, const dpi_system *sys, const uint8_t *moving, const uint8_t *fed,
                                dpi_fixed_plan **out) {
  const char *why;
  *out = NULL;
  if (!dpi_fixed_can(sys, &why))
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "model '%s' can't be integrated with steps of a fixed length: %s",
                    sys->model->name, why);
  dpi_fixed_plan *p = DPI_NEW(ctx, dpi_fixed_plan);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = ctx;
  p->sys = sys;
  const dp_status st = write_step(p, moving, fed);
  if (st != DP_OK) {
    dpi_fixed_plan_destroy(p);
    return st;
  }
  *out = p;
  return DP_OK;
}

void dpi_fixed_plan_destroy(dpi_fixed_plan *p) {
  if (!p) return;
  dpi_tape_destroy(p->tape);
  dpi_tape_destroy(p->all);
  dpi_tape_destroy(p->one);
  dpi_free(p->ctx, p);
}

void dpi_fixed_plan_tapes(const dpi_fixed_plan *p, const dpi_tape *tape[DPI_FIXED_TAPES]) {
  tape[0] = p->all;
  tape[1] = p->one;
}

/* ---- a lane's face ---- */

static dpi_fixed_face *self(dpi_solver *s) { return (dpi_fixed_face *)s; }

static double *row_of(const dpi_fixed *g, int row) { return g->reg + (size_t)row * (size_t)g->width; }

static dp_status face_bind(dpi_solver *s, const double *sym, const double *seed, int ndir) {
  const dpi_fixed_face *f = self(s);
  const dpi_fixed *g = f->g;
  const dpi_tape *tape = g->plan->tape;
  (void)seed;
  if (ndir != 0) return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "steps of a fixed length carry no directions");
  dpi_tape_lanes_prologue(tape, g->width, g->reg, f->lane, sym, g->scratch);
  for (int i = 0; i < tape->nfast; i++)
    if (tape->fast[i].sym > g->n && tape->fast[i].sym < g->plan->sys->nsym)
      row_of(g, tape->fast[i].reg)[f->lane] = sym[tape->fast[i].sym];
  return DP_OK;
}

static void face_input(dpi_solver *s, const double *u, const double *du) {
  const dpi_fixed_face *f = self(s);
  (void)du;
  for (int j = 0; j < f->g->n; j++)
    if (f->g->u[j]) f->g->u[j][f->lane] = u ? u[j] : 0;
}

static dpi_solve_outcome face_start(dpi_solver *s, double t, const double *x, const double *sens) {
  dpi_fixed_face *f = self(s);
  (void)sens;
  s->t_prev = s->t_now = t;
  s->reason[0] = 0;
  for (int j = 0; j < f->g->n; j++) f->g->x[j][f->lane] = f->x[j] = x[j];
  return DPI_SOLVE_OK;
}

/* Who drives a group steps all of its lanes; one alone is never asked for. */
static dpi_solve_outcome face_step(dpi_solver *s, double t_end) {
  (void)t_end;
  snprintf(s->reason, sizeof s->reason, "a lane of a group does not step alone");
  return DPI_SOLVE_FAILED;
}

static void face_dense(dpi_solver *s, double t, double *x, double *sens) {
  (void)t;
  (void)sens;
  memcpy(x, s->x_now, (size_t)self(s)->g->n * sizeof *x);
}

static const dpi_solver_ops face_ops = {
    .name = "fixed",
    .help = "the classical Runge-Kutta method with steps of a fixed length",
    .can = NULL,
    .bind = face_bind,
    .input = face_input,
    .start = face_start,
    .step = face_step,
    .dense = face_dense,
};

/* ---- the group ---- */

/* A symbol's row, or a spare one behind those of the tape where it uses none. */
static double *own_row(const dpi_fixed *g, int sym, int spare) {
  const int row = dpi_tape_row(g->plan->tape, sym);
  return row_of(g, row >= 0 ? row : dpi_tape_nreg(g->plan->tape) + spare);
}

static void find_rows(dpi_fixed *g) {
  const dpi_system *sys = g->plan->sys;
  const dpi_tape *tape = g->plan->tape;
  g->timed = dpi_tape_row(tape, 0) >= 0;
  g->t = own_row(g, 0, 0);
  g->h = own_row(g, dpi_lane_sym(sys, DPI_LANE_H), 1);
  for (int j = 0; j < g->n; j++) {
    const int u = dpi_tape_row(tape, dpi_lane_sym(sys, DPI_LANE_U + j));
    g->x[j] = own_row(g, 1 + j, 2 + j);
    g->u[j] = u >= 0 ? row_of(g, u) : NULL;
    g->x_new[j] = row_of(g, tape->out[j]);
    if (g->x[j] == g->x_new[j]) continue; /* a state whose rate is 0 */
    g->moved[g->nmoved] = g->x[j];
    g->moved_from[g->nmoved++] = g->x_new[j];
  }
  g->check = row_of(g, tape->out[g->n]);
}

static dp_status fill(dpi_fixed *g) {
  const dpi_tape *tape = g->plan->tape;
  const size_t n = (size_t)g->n, list = n * sizeof(double *), width = (size_t)g->width;
  g->size_reg = dpi_tape_lanes_size(tape, g->width) + (2 + n) * width;
  g->reg = dpi_lanes_alloc(g->ctx, g->size_reg);
  g->scratch = DPI_NEW_ARRAY(g->ctx, double, dpi_tape_nreg(tape));
  char *block = g->block = dpi_alloc(g->ctx, 5 * list + width * n * sizeof(double));
  if (!g->reg || !g->scratch || !block) return DP_ERR_MEMORY;
  g->x = (double **)(void *)block;
  g->u = (double **)(void *)(block + list);
  g->x_new = (const double **)(void *)(block + 2 * list);
  g->moved = (double **)(void *)(block + 3 * list);
  g->moved_from = (const double **)(void *)(block + 4 * list);
  double *now = (double *)(void *)(block + 5 * list);
  dpi_tape_lanes_init(tape, g->width, g->reg);
  dpi_tape_init(tape, g->scratch);
  find_rows(g);
  for (int l = 0; l < g->width; l++) {
    dpi_fixed_face *f = &g->face[l];
    *f = (dpi_fixed_face){.g = g, .lane = l, .x = now + (size_t)l * n};
    f->base.ops = &face_ops;
    f->base.ctx = g->ctx;
    f->base.sys = g->plan->sys;
    f->base.x_now = f->x;
  }
  return DP_OK;
}
_Static_assert(sizeof(double *) <= sizeof(double), "lists of rows and numbers share a block");

dp_status dpi_fixed_create(dp_ctx *ctx, const dpi_fixed_plan *plan, int vector, dpi_fixed **out) {
  *out = NULL;
  const dpi_lane_ops *ops = dpi_lane_ops_find(vector);
  if (!ops) return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "lanes: this processor can't run %d at once", vector);
  dpi_fixed *g = DPI_NEW(ctx, dpi_fixed);
  if (!g) return DP_ERR_MEMORY;
  g->ctx = ctx;
  g->plan = plan;
  g->ops = ops;
  g->n = plan->sys->nstate;
  g->vector = ops->width;
  g->width = DPI_FIXED_VECTORS * ops->width;
  const dp_status st = fill(g);
  if (st != DP_OK) {
    dpi_fixed_destroy(g);
    return st;
  }
  *out = g;
  return DP_OK;
}

void dpi_fixed_destroy(dpi_fixed *g) {
  if (!g) return;
  dpi_lanes_free(g->ctx, g->reg, g->size_reg);
  dpi_free(g->ctx, g->scratch);
  dpi_free(g->ctx, g->block);
  dpi_free(g->ctx, g);
}

dpi_solver *dpi_fixed_solver(dpi_fixed *g, int lane) { return &g->face[lane].base; }

double *dpi_fixed_param(const dpi_fixed *g, int sym) {
  const int row = dpi_tape_row(g->plan->tape, sym);
  return row >= 0 ? row_of(g, row) : NULL;
}

void dpi_fixed_show(dpi_fixed *g, int lane, double t_now) {
  dpi_fixed_face *f = &g->face[lane];
  f->base.t_prev = f->base.t_now;
  f->base.t_now = t_now;
  for (int j = 0; j < g->n; j++) f->x[j] = g->x[j][lane];
}

static bool finite(const dpi_fixed *g, int lane) {
  for (int j = 0; j < g->n; j++)
    if (!isfinite(g->x[j][lane])) return false;
  return true;
}

/* x_new of all vectors in which a lane is on. */
static void compute(const dpi_fixed *g, uint32_t on) {
  const uint32_t first = (1u << g->vector) - 1;
  if ((on & first) && on >> g->vector)
    dpi_tape_lanes_run(g->plan->all, g->ops, g->reg);
  else
    dpi_tape_lanes_run(g->plan->one, g->ops, on & first ? g->reg : g->reg + g->vector);
}
_Static_assert(DPI_FIXED_VECTORS == 2, "compute: either both or one");

uint32_t dpi_fixed_step(dpi_fixed *g, uint32_t on) {
  compute(g, on);
  uint32_t bad = dpi_rows_wild(g->vector, g->width, g->check) & on;
  dpi_rows_move(g->vector, g->width, g->moved, g->moved_from, g->nmoved, on);
  for (uint32_t left = bad; left; left &= left - 1) {
    const int l = __builtin_ctz(left);
    if (finite(g, l)) bad &= ~(1u << l);
  }
  return bad;
}
