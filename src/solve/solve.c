/* solve.c - floor 3: making a solver by name, and the method "auto".
 *
 * auto is linear where that is exact, idas where there are algebraic states. Otherwise it is a
 * solver that owns two: rk853 goes until it reports stiffness; then cvode, made when first needed,
 * takes over from the beginning of the failed step and stays until the next bind.
 *
 * Invariant: which of the two goes depends only on what this member did since its bind.
 */
#include "solve/solve.h"

#include <stdio.h>
#include <string.h>

dpi_solve_opts dpi_solve_opts_default(void) {
  return (dpi_solve_opts){
      .rtol = 1e-8, .atol = 1e-10, .max_steps = 0, .max_step = 0.0, .sens_error = true};
}

const char *dpi_solve_outcome_text(dpi_solve_outcome o) {
  switch (o) {
    case DPI_SOLVE_OK:
      return "done";
    case DPI_SOLVE_STIFF:
      return "the equations are stiff";
    case DPI_SOLVE_TOO_SMALL:
      return "the step size fell to nothing";
    case DPI_SOLVE_NONFINITE:
      return "a value is not finite";
    case DPI_SOLVE_MAX_STEPS:
      return "too many steps";
    case DPI_SOLVE_FAILED:
      return "the integrator failed";
    case DPI_SOLVE_MEMORY:
      return "memory ran out";
    case DPI_SOLVE_PIVOT:
      return "a step's linear equations need pivoting";
  }
  return "unknown outcome";
}

/* ---------------------------------------------------------------- auto */

typedef struct auto_solver {
  dpi_solver base;
  dpi_solver *now, *explicit_one,
      *implicit_one; /* now: one of the two; implicit_one is NULL until needed */
  int max_dir;
  double *block; /* owned: copies of what bind and input gave */
  double *sym, *seed, *u, *du;
  bool has_u, has_du;
} auto_solver;

static auto_solver *self(dpi_solver *s) { return (auto_solver *)s; }

/* What the user may change between steps. */
static void pass_on(auto_solver *s) {
  s->now->step_limit = s->base.step_limit;
  s->now->past = s->base.past;
  s->now->past_user = s->base.past_user;
}

/* Show the working solver's state and the work of both as ours. */
static void mirror(auto_solver *s) {
  const dpi_solver *a = s->explicit_one, *b = s->implicit_one, *now = s->now;
  s->base.t_prev = now->t_prev;
  s->base.t_now = now->t_now;
  s->base.x_now = now->x_now;
  s->base.sens_now = now->sens_now;
  s->base.nstep = a->nstep + (b ? b->nstep : 0);
  s->base.nreject = a->nreject + (b ? b->nreject : 0);
  s->base.nrhs = a->nrhs + (b ? b->nrhs : 0);
  s->base.njac = a->njac + (b ? b->njac : 0);
}

static dpi_solve_outcome report(auto_solver *s, dpi_solve_outcome o) {
  mirror(s);
  if (o != DPI_SOLVE_OK && s->base.reason != s->now->reason)
    memcpy(s->base.reason, s->now->reason, sizeof s->base.reason);
  return o;
}

static void auto_destroy(dpi_solver *base) {
  auto_solver *s = self(base);
  dpi_solver_destroy(s->explicit_one);
  dpi_solver_destroy(s->implicit_one);
  dpi_free(base->ctx, s->block);
  dpi_free(base->ctx, s);
}

static dp_status auto_bind(dpi_solver *base, const double *sym, const double *seed, int ndir) {
  auto_solver *s = self(base);
  DP_TRY(s->explicit_one->ops->bind(s->explicit_one, sym, seed, ndir));
  memcpy(s->sym, sym, (size_t)base->sys->nsym * sizeof *sym);
  if (seed && ndir > 0)
    memcpy(s->seed, seed, (size_t)base->sys->nactive * (size_t)ndir * sizeof *seed);
  base->ndir = ndir;
  s->has_u = s->has_du = false;
  s->now = s->explicit_one;
  mirror(s);
  return DP_OK;
}

static void auto_input(dpi_solver *base, const double *u, const double *du) {
  auto_solver *s = self(base);
  size_t n = (size_t)base->sys->nstate;
  s->has_u = u != NULL;
  s->has_du = du != NULL && base->ndir > 0;
  if (s->has_u) memcpy(s->u, u, n * sizeof *u);
  if (s->has_du) memcpy(s->du, du, n * (size_t)base->ndir * sizeof *du);
  s->now->ops->input(s->now, u, du);
}

static dpi_solve_outcome auto_start(dpi_solver *base, double t, const double *x,
                                    const double *sens) {
  auto_solver *s = self(base);
  base->reason[0] = '\0';
  pass_on(s);
  return report(s, s->now->ops->start(s->now, t, x, sens));
}

/* Bring cvode to the beginning of the step that rk853 refused. */
static dpi_solve_outcome switch_over(auto_solver *s) {
  dpi_solver *from = s->explicit_one;
  const dpi_system *sys = s->base.sys;
  dp_status status = DP_OK;
  if (!s->implicit_one)
    status =
        dpi_solver_create(s->base.ctx, "cvode", sys, &s->base.opts, s->max_dir, &s->implicit_one);
  if (status == DP_OK)
    status = s->implicit_one->ops->bind(s->implicit_one, s->sym, s->seed, s->base.ndir);
  if (status != DP_OK) {
    snprintf(s->base.reason, sizeof s->base.reason,
             "at t = %.10g: stiff, and cvode cannot take over: %s", from->t_now,
             dp_status_sentence(status));
    return status == DP_ERR_MEMORY ? DPI_SOLVE_MEMORY : DPI_SOLVE_FAILED;
  }
  s->now = s->implicit_one;
  pass_on(s);
  s->now->ops->input(s->now, s->has_u ? s->u : NULL, s->has_du ? s->du : NULL);
  return report(s, s->now->ops->start(s->now, from->t_now, from->x_now, from->sens_now));
}

static dpi_solve_outcome auto_step(dpi_solver *base, double t_end) {
  auto_solver *s = self(base);
  pass_on(s);
  dpi_solve_outcome o = s->now->ops->step(s->now, t_end);
  if (o == DPI_SOLVE_STIFF && s->now == s->explicit_one) {
    o = switch_over(s);
    if (o != DPI_SOLVE_OK) return o;
    o = s->now->ops->step(s->now, t_end);
  }
  return report(s, o);
}

static void auto_dense(dpi_solver *base, double t, double *x, double *sens) {
  auto_solver *s = self(base);
  pass_on(s);
  s->now->ops->dense(s->now, t, x, sens);
  mirror(s);
}

static bool auto_can(const dpi_system *sys) {
  return sys->nalgebraic == 0;
}

static dp_status auto_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts,
                             int max_dir, dpi_solver **out);

static const dpi_solver_ops auto_ops = {
    .name = "auto",
    .help = "linear where exact, idas with algebraic states, else rk853, else (stiff) cvode",
    .can = auto_can,
    .create = auto_create,
    .destroy = auto_destroy,
    .bind = auto_bind,
    .input = auto_input,
    .start = auto_start,
    .step = auto_step,
    .dense = auto_dense,
};

static dp_status auto_create(dp_ctx *ctx, const dpi_system *sys, const dpi_solve_opts *opts,
                             int max_dir, dpi_solver **out) {
  auto_solver *s = DPI_NEW(ctx, auto_solver);
  if (!s) return DP_ERR_MEMORY;
  s->base = (dpi_solver){.ops = &auto_ops, .ctx = ctx, .sys = sys, .opts = *opts};
  s->max_dir = max_dir;
  size_t n = (size_t)sys->nstate, nd = (size_t)max_dir;
  size_t nsym = (size_t)sys->nsym, nseed = (size_t)sys->nactive * nd;
  s->block = DPI_NEW_ARRAY(ctx, double, nsym + nseed + n + n * nd);
  dp_status status = DP_ERR_MEMORY;
  if (s->block) status = dpi_solver_create(ctx, "rk853", sys, opts, max_dir, &s->explicit_one);
  if (status != DP_OK) {
    auto_destroy(&s->base);
    return status;
  }
  s->sym = s->block;
  s->seed = s->sym + nsym;
  s->u = s->seed + nseed;
  s->du = s->u + n;
  s->now = s->explicit_one;
  *out = &s->base;
  return DP_OK;
}

/* ---------------------------------------------------------------- by name */

static const dpi_solver_ops *find(const char *name) {
  for (const dpi_solver_ops *const *m = dpi_solver_registry(); *m; m++)
    if (strcmp((*m)->name, name) == 0) return *m;
  return NULL;
}

/* "auto, cvode, linear, rk853" */
static dp_status unknown_method(dp_ctx *ctx, const char *method) {
  dpi_str names;
  dpi_str_init(&names, ctx);
  dpi_str_add(&names, "auto");
  for (const dpi_solver_ops *const *m = dpi_solver_registry(); *m; m++)
    dpi_str_addf(&names, ", %s", (*m)->name);
  dp_status status = dpi_fail(ctx, DP_ERR_USAGE, "integrator: found '%s', expected one of: %s",
                              method, dpi_str_text(&names));
  dpi_str_release(&names);
  return status;
}

static dp_status check_opts(dp_ctx *ctx, const dpi_solve_opts *o, int nstate) {
  if (!(o->rtol >= 1e-14 && o->rtol <= 0.1))
    return dpi_fail(ctx, DP_ERR_USAGE, "integrator: rtol is %g, expected 1e-14 to 0.1", o->rtol);
  if (!(o->atol > 0.0) && !o->atol_state)
    return dpi_fail(ctx, DP_ERR_USAGE, "integrator: atol is %g, expected > 0", o->atol);
  for (int i = 0; o->atol_state && i < nstate; i++)
    if (!(o->atol_state[i] > 0.0))
      return dpi_fail(ctx, DP_ERR_USAGE, "integrator: atol of state %d is %g, expected > 0", i,
                      o->atol_state[i]);
  if (!(o->max_step >= 0.0) || o->max_steps < 0)
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "integrator: max_step is %g and max_steps %d, expected 0 (no limit) or more",
                    o->max_step, o->max_steps);
  return DP_OK;
}

/* What keeps a method from taking a system. */
static const char *why_not(const dpi_system *sys) {
  if (sys->nalgebraic > 0) return "it has algebraic equations";
  if (sys->ndelayed > 0) return "it has delays";
  return sys->linear ? "linear but too large" : "not linear in its states or depending on time";
}

dp_status dpi_solver_create(dp_ctx *ctx, const char *method, const dpi_system *sys,
                            const dpi_solve_opts *opts, int max_dir, dpi_solver **out) {
  dpi_solve_opts o = opts ? *opts : dpi_solve_opts_default();
  *out = NULL;
  DP_TRY(check_opts(ctx, &o, sys->nstate));
  if (max_dir < 0)
    return dpi_fail(ctx, DP_ERR_USAGE, "integrator: %d directions, expected 0 or more", max_dir);
  const dpi_solver_ops *linear = find("linear"), *ops;
  if (strcmp(method, "auto") != 0)
    ops = find(method);
  else
    ops = sys->nalgebraic > 0                                    ? find("idas")
          : dpi_model_find(sys->model, DPI_FAST_SPEED) >= 0      ? find("cvode")
          : linear && linear->can(sys)                           ? linear
                                                                 : &auto_ops;
  if (!ops) return unknown_method(ctx, method);
  if (!ops->can(sys))
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "%s: the method '%s' cannot take this system (%s): %s",
                    sys->model->name ? sys->model->name : "model", method, why_not(sys), ops->help);
  return ops->create(ctx, sys, &o, max_dir, out);
}

const double *dpi_solver_point(dpi_solver *s, double t, const double *x) {
  if (s->sys->ndelayed == 0) return x;
  memcpy(s->point, x, (size_t)s->sys->nstate * sizeof *x);
  s->past(s->past_user, t, x, s->point + s->sys->nstate);
  return s->point;
}

void dpi_solver_destroy(dpi_solver *s) {
  if (s) s->ops->destroy(s);
}
