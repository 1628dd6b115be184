/* Determinism and memory: the same member gives the same bytes whatever the solver did before; no
 * allocation while integrating; directions do not change states that take no part in their error
 * control. */
#include "base/tests/failing_memory.h"
#include "solve_rig.h"

static const char mixed[] =
    "model w()\n  depot' = -ka*depot\n  central' = ka*depot - Vm*central/(Km + central)\n"
    "  effect' = kin*(1 - central/(IC + central)) - kout*effect\n"
    "  depot = 0; central = 0; effect = 10\n  ka = 1; Vm = 5; Km = 3; kin = 1; kout = 0.1; IC = "
    "2\nend\n";
static const char plain[] =
    "model p()\n  depot' = -ka*depot\n  central' = ka*depot - ke*central - k12*central + "
    "k21*periph\n"
    "  periph' = k12*central - k21*periph\n  depot = 0; central = 0; periph = 0\n"
    "  ka = 1; ke = 0.2; k12 = 0.3; k21 = 0.1\nend\n";
static const char stiff[] =
    "model rob()\n  y1' = -k1*y1 + k3*y2*y3\n  y2' = k1*y1 - k3*y2*y3 - k2*y2^2\n  y3' = k2*y2^2\n"
    "  y1 = 1; y2 = 0; y3 = 0\n  k1 = 0.04; k2 = 3e7; k3 = 1e4\nend\n";

enum { NOUT = 400 };
typedef struct trace {
  double v[NOUT];
  int n;
} trace;

static void put(trace *t, const double *v, int n) {
  for (int i = 0; i < n && t->n < NOUT; i++) t->v[t->n++] = v[i];
}

/* One member's story: doses, an infusion with a derivative, dense output between. scale moves all
 * parameters. */
static trace story(rig *r, dpi_solver *s, double scale, int ndir) {
  trace out = {0};
  int n = r->sys->nstate;
  double sym[RIG_STATE], x[RIG_STATE] = {0}, sens[RIG_STATE * 4], u[RIG_STATE] = {0},
                         du[RIG_STATE * 4] = {0};
  double seed[RIG_ACTIVE * 4] = {0};
  for (int i = 0; i < r->model->nsym; i++) sym[i] = r->sym[i] * scale;
  for (int a = 0; a < r->nactive && a < ndir; a++) seed[a * ndir + a] = 1.0;
  rig_must(r, s->ops->bind(s, sym, seed, ndir));
  x[0] = 1.0;
  assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
  for (int k = 1; k <= 6; k++) {
    double t = 2.0 * k;
    while (s->t_now < t) {
      assert_int_equal(s->ops->step(s, t), DPI_SOLVE_OK);
      s->ops->dense(s, 0.5 * (s->t_prev + s->t_now), x, ndir ? sens : NULL);
    }
    put(&out, x, n);
    put(&out, s->x_now, n);
    if (ndir) put(&out, s->sens_now, n * ndir);
    memcpy(x, s->x_now, (size_t)n * sizeof *x);
    if (ndir) memcpy(sens, s->sens_now, (size_t)(n * ndir) * sizeof *x);
    if (k == 2 || k == 5) {
      u[1] = 1e-3 * scale;
      if (ndir) du[1 * ndir] = 1.0;
      s->ops->input(s, u, ndir ? du : NULL);
    }
    if (k == 3) s->ops->input(s, NULL, NULL);
    if (k == 4) {
      x[0] += 0.5;
      assert_int_equal(s->ops->start(s, t, x, ndir ? sens : NULL), DPI_SOLVE_OK);
    }
  }
  return out;
}

static void same_bytes(const char *text, const char *active, const char *method) {
  rig r = rig_make(text, active);
  dpi_solver *fresh = rig_solver(&r, method, 1e-8, 1e-10);
  trace want2 = story(&r, fresh, 1.0, 2), want0;
  dpi_solver_destroy(fresh);
  fresh = rig_solver(&r, method, 1e-8, 1e-10);
  want0 = story(&r, fresh, 1.0, 0);
  dpi_solver_destroy(fresh);
  assert_true(want2.n > want0.n && want0.n > 0);

  dpi_solver *used = rig_solver(&r, method, 1e-8, 1e-10);
  for (int round = 0; round < 3; round++) {
    story(&r, used, 1.3 + round, round % 3);
    trace got = story(&r, used, 1.0, 2);
    assert_int_equal(got.n, want2.n);
    assert_memory_equal(got.v, want2.v, (size_t)got.n * sizeof(double));
    got = story(&r, used, 1.0, 0);
    assert_int_equal(got.n, want0.n);
    assert_memory_equal(got.v, want0.v, (size_t)got.n * sizeof(double));
  }
  // everything was made at create (auto: cvode when it was first needed)
  size_t before = dpi_alloc_total(r.ctx);
  story(&r, used, 1.0, 2);
  assert_int_equal(dpi_alloc_total(r.ctx), before);
  dpi_solver_destroy(used);
  rig_drop(&r);
}

static void linear_same(void **state) {
  (void)state;
  same_bytes(plain, "ka ke k12", "linear");
}
static void rk853_same(void **state) {
  (void)state;
  same_bytes(plain, "ka ke k12", "rk853");
  same_bytes(mixed, "ka Vm Km", "rk853");
}
static void cvode_same(void **state) {
  (void)state;
  same_bytes(plain, "ka ke k12", "cvode");
  same_bytes(mixed, "ka Vm Km", "cvode");
  same_bytes(stiff, "k1 k2 k3", "cvode");
}
static void auto_same(void **state) {
  (void)state;
  same_bytes(plain, "ka ke k12", "auto");
  same_bytes(mixed, "ka Vm Km", "auto");
  same_bytes(stiff, "k1 k2 k3", "auto");
}

/* The exact method's states do not depend on the directions carried. */
static void directions_leave_states_alone(void **state) {
  (void)state;
  rig r = rig_make(plain, "ka ke k12 k21");
  dpi_solver *s = rig_solver(&r, "linear", 1e-8, 1e-10);
  double x0[3] = {1.0, 0.5, 0.25}, with[3], without[3];
  for (int nd = 4; nd >= 0; nd -= 4) {
    rig_must(&r, s->ops->bind(s, r.sym, r.seed, nd));
    assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
    assert_int_equal(s->ops->step(s, 7.0), DPI_SOLVE_OK);
    memcpy(nd ? with : without, s->x_now, sizeof with);
  }
  assert_memory_equal(with, without, sizeof with);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* An infusion switched off and on again finds its old propagators, and they are right: a second
 * solver that never cached gives the same bytes. */
static void cache_is_invisible(void **state) {
  (void)state;
  rig r = rig_make(plain, "ka ke");
  dpi_solver *s = rig_solver(&r, "linear", 1e-8, 1e-10);
  double x[3] = {1.0, 0.0, 0.0}, u[3] = {0.0, 2.0, 0.0};
  rig_must(&r, s->ops->bind(s, r.sym, r.seed, 2));
  assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
  for (int k = 0; k < 12; k++) {
    double x0[3], s0[6], t0 = s->t_now;
    memcpy(x0, s->x_now, sizeof x0);
    memcpy(s0, s->sens_now, sizeof s0);
    u[1] = k < 8 ? 2.0 : 3.0;
    s->ops->input(s, k % 2 ? u : NULL, NULL);
    assert_int_equal(s->ops->step(s, t0 + 1.0), DPI_SOLVE_OK);
    dpi_solver *other = rig_solver(&r, "linear", 1e-8, 1e-10);
    rig_must(&r, other->ops->bind(other, r.sym, r.seed, 2));
    other->ops->input(other, k % 2 ? u : NULL, NULL);
    assert_int_equal(other->ops->start(other, t0, x0, s0), DPI_SOLVE_OK);
    assert_int_equal(other->ops->step(other, t0 + 1.0), DPI_SOLVE_OK);
    assert_memory_equal(other->x_now, s->x_now, sizeof x0);
    assert_memory_equal(other->sens_now, s->sens_now, sizeof s0);
    dpi_solver_destroy(other);
  }
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* Every allocation of create fails once: a clean refusal each time, nothing is left behind. */
static void memory_runs_out(void **state) {
  (void)state;
  rig r = rig_make(plain, "ka ke");
  static const char *const methods[] = {"linear", "rk853", "cvode", "auto"};
  for (int m = 0; m < 4; m++) {
    bool made = false;
    for (int n = 0; !made; n++) {
      failing_memory memory = {0};
      dp_ctx *ctx = failing_context(&memory);
      dpi_solver *s = NULL;
      assert_non_null(ctx);
      failing_stays(&memory, n);
      dp_status status = dpi_solver_create(ctx, methods[m], r.sys, NULL, 2, &s);
      made = status == DP_OK;
      if (!made) {
        assert_int_equal(status, DP_ERR_MEMORY);
        assert_null(s);
      }
      dpi_solver_destroy(s);
      assert_int_equal(dpi_alloc_live(ctx), 0);
      dp_ctx_destroy(ctx);
      assert_true(n < 200);
    }
  }
  rig_drop(&r);
}

/* Options out of range are refused by name; so is a missing seed. */
static void bad_calls(void **state) {
  (void)state;
  rig r = rig_make(plain, "ka");
  dpi_solve_opts o = dpi_solve_opts_default();
  dpi_solver *s = NULL;
  o.rtol = 0.0;
  assert_int_equal(dpi_solver_create(r.ctx, "rk853", r.sys, &o, 1, &s), DP_ERR_USAGE);
  dp_ctx_clear_error(r.ctx);
  o = dpi_solve_opts_default();
  o.atol = -1.0;
  assert_int_equal(dpi_solver_create(r.ctx, "rk853", r.sys, &o, 1, &s), DP_ERR_USAGE);
  assert_non_null(strstr(dp_ctx_error(r.ctx), "atol"));
  dp_ctx_clear_error(r.ctx);
  for (const dpi_solver_ops *const *m = dpi_solver_registry(); *m; m++) {
    rig_must(&r, dpi_solver_create(r.ctx, (*m)->name, r.sys, NULL, 1, &s));
    assert_int_equal(s->ops->bind(s, r.sym, NULL, 1), DP_ERR_USAGE);
    assert_int_equal(s->ops->bind(s, r.sym, r.seed, 2), DP_ERR_USAGE);
    dp_ctx_clear_error(r.ctx);
    dpi_solver_destroy(s);
  }
  dpi_solver_destroy(NULL);
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(linear_same),
      cmocka_unit_test(rk853_same),
      cmocka_unit_test(cvode_same),
      cmocka_unit_test(auto_same),
      cmocka_unit_test(directions_leave_states_alone),
      cmocka_unit_test(cache_is_invisible),
      cmocka_unit_test(bad_calls),
      cmocka_unit_test(memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
