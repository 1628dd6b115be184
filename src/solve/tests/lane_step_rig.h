/* lane_step_rig.h - one step graph, run by the interpreter, and the plainest loop over its steps. */
#ifndef DPI_LANE_STEP_RIG_H
#define DPI_LANE_STEP_RIG_H

#include "solve/lane_step.h"
#include "solve_rig.h"

/* A step's tape here: x_new [n]; err; growth (0 where the step has none); stage vectors V [nstage x n]. Place
 * of each: */
typedef enum step_out { STEP_X, STEP_ERR, STEP_GROWTH, STEP_STAGE } step_out;
static inline int step_out_at(int nstate, step_out which) { return which == STEP_X ? 0 : nstate + (int)which - 1; }

static inline dp_status step_tape(dp_ctx *ctx, const dpi_system *sys, const dpi_lane_step *step, dpi_tape **out) {
  const int n = sys->nstate;
  int count = 0;
  uint8_t *fast = calloc((size_t)dpi_lane_nsym(sys), sizeof *fast);
  dpi_node *node = calloc((size_t)(n * (step->nstage + 1) + 2), sizeof *node);
  assert_true(fast && node);
  dpi_lane_fast(sys, fast);
  for (int k = 0; k < n; k++) node[count++] = step->x_new[k];
  node[count++] = step->err;
  node[count++] = step->growth == DPI_NODE_NONE ? dpi_g_const(sys->model->graph, 0.0) : step->growth;
  for (int i = 0; i < step->nstage; i++)
    for (int k = 0; k < n; k++) node[count++] = step->stage[i][k];
  dp_status status = dpi_tape_create(ctx, sys->model->graph, node, count, fast, dpi_lane_nsym(sys), out);
  free(fast);
  free(node);
  return status;
}

typedef struct stepper {
  const rig *r;
  dpi_arena arena;
  dpi_lane_step step;
  dpi_tape *tape;
  int n;
  double *sym, *reg, *out;
  long naccept, nreject;
} stepper;

static inline stepper stepper_make(const rig *r, dpi_lane_step_def def) {
  stepper s = {.r = r, .n = r->sys->nstate};
  dpi_arena_init(&s.arena, r->ctx);
  rig_must(r, dpi_lane_step_build(r->ctx, r->sys, &def, &s.arena, &s.step));
  rig_must(r, step_tape(r->ctx, r->sys, &s.step, &s.tape));
  s.sym = calloc((size_t)dpi_lane_nsym(r->sys), sizeof *s.sym);
  s.reg = calloc((size_t)dpi_tape_nreg(s.tape), sizeof *s.reg);
  s.out = calloc((size_t)((s.step.nstage + 1) * s.n + 2), sizeof *s.out);
  assert_true(s.sym && s.reg && s.out);
  memcpy(s.sym, r->sym, (size_t)r->sys->nsym * sizeof *s.sym);
  dpi_tape_init(s.tape, s.reg);
  dpi_tape_prologue(s.tape, s.sym, s.reg);
  return s;
}

static inline void stepper_drop(stepper *s) {
  free(s->sym);
  free(s->reg);
  free(s->out);
  dpi_tape_destroy(s->tape);
  dpi_arena_release(&s->arena);
}

/* One step with h from what sym holds; nothing moves. */
static inline const double *stepper_try(stepper *s, double h) {
  s->sym[s->r->sys->nsym + DPI_LANE_H] = h;
  dpi_tape_eval(s->tape, s->sym, s->reg, s->out);
  return s->out;
}

static inline double stepper_out(const stepper *s, step_out which) { return s->out[step_out_at(s->n, which)]; }

/* What to multiply h by for the next try. */
static inline double stepper_factor(const stepper *s) {
  const double f = 0.9 * pow(stepper_out(s, STEP_ERR), -1.0 / (s->step.order_error + 1));
  return fmin(fmax(f, 0.2), 6.0);
}

static inline void stepper_accept(stepper *s, double h) {
  s->sym[0] += h;
  memcpy(s->sym + 1, s->out, (size_t)s->n * sizeof *s->out);
}

/* Dense output of the last try, before it is accepted. */
static inline void stepper_dense(const stepper *s, double theta, double *x) {
  const double *v = s->out + step_out_at(s->n, STEP_STAGE);
  for (int k = 0; k < s->n; k++) {
    double sum = 0.0;
    for (int d = s->step.ndense - 1; d >= 0; d--) {
      double dk = 0.0;
      for (int i = 0; i < s->step.nstage; i++) dk += s->step.dense_weight[d * s->step.nstage + i] * v[i * s->n + k];
      sum = sum * theta + dk;
    }
    x[k] = (1.0 - theta) * s->sym[1 + k] + theta * (s->out[k] + (1.0 - theta) * sum);
  }
}

/* From sym to t_end; false: step too small. */
static inline bool stepper_go(stepper *s, double t_end, double h) {
  bool rejected = false;
  while (s->sym[0] < t_end) {
    double t = s->sym[0], left = t_end - t;
    bool last = h >= left * (1.0 - 1e-12);
    if (last) h = left;
    if (!(h > 1e-15 * t) || h < 1e-300) return false;
    stepper_try(s, h);
    double f = stepper_factor(s);
    if (stepper_out(s, STEP_ERR) <= 1.0) {
      stepper_accept(s, h);
      if (last) s->sym[0] = t_end;
      if (rejected && f > 1.0) f = 1.0;
      rejected = false;
      s->naccept++;
    } else {
      rejected = true;
      s->nreject++;
    }
    h *= f;
  }
  return true;
}

#endif
