/* Systems with algebraic states: idas against closed forms and against rk853 on an equivalent system without them;
 * settling of constraints; what is refused, by name. The models are made by hand: the last `na` equations are
 * residuals. */
#include "solve_rig.h"

typedef struct law {
  const char *id, *init, *formula;
} law;

static rig make(const law *s, int na) {
  rig r = {0};
  dp_ctx_def def = dp_ctx_def_default();
  int sym;
  assert_int_equal(dp_ctx_create(&def, &r.ctx), DP_OK);
  rig_must(&r, dpi_model_create(r.ctx, "hand", "hand.ant", &r.model));
  for (const law *q = s; q->id; q++) {
    rig_must(&r, dpi_model_symbol(r.model, q->id, 1, &sym));
    r.model->sym[sym].kind = DPI_SYM_STATE;
    r.model->sym[sym].defined = true;
  }
  for (const law *q = s; q->id; q++) {
    dpi_node node;
    sym = dpi_model_find(r.model, q->id);
    rig_must(&r, dpi_model_parse(r.model, q->init, "init", false, &node));
    r.model->sym[sym].init = node;
    rig_must(&r, dpi_model_parse(r.model, q->formula, "formula", false, &node));
    r.model->sym[sym].formula = node;
  }
  rig_must(&r, dpi_model_seal(r.model));
  rig_must(&r, dpi_system_create(r.ctx, r.model, NULL, 0, &r.sys));
  r.sys->nalgebraic = na;
  r.sym = calloc((size_t)r.model->nsym, sizeof *r.sym);
  assert_non_null(r.sym);
  return r;
}

/* Settle and start at t. */
static void begin(const rig *r, dpi_solver *s, double t, double *x) {
  rig_must(r, s->ops->bind(s, r->sym, NULL, 0));
  s->ops->input(s, NULL, NULL);
  const dpi_solve_outcome o = dpi_solver_settle(s, t, x);
  if (o != DPI_SOLVE_OK) print_error("%s\n", s->reason);
  assert_int_equal(o, DPI_SOLVE_OK);
  assert_int_equal(s->ops->start(s, t, x, NULL), DPI_SOLVE_OK);
}

/* x' = -z, z = x + cos t: x = (sin t ... ) by variation of constants: x' = -x - cos t */
static void test_closed_form(void **state) {
  (void)state;
  static const law m[] = {{"x", "1", "-z"}, {"z", "0", "z - x - cos(time)"}, {0}};
  rig r = make(m, 1);
  for (int k = 4; k <= 10; k += 2) {
    const double rtol = pow(10, -k);
    dpi_solver *s = rig_solver(&r, "auto", rtol, rtol * 1e-3);
    assert_string_equal(s->ops->name, "idas");
    double x[2] = {1, 0};
    begin(&r, s, 0, x);
    rig_near("z(0)", 0, x[1], 2, 1e-12, 0);
    while (s->t_now < 10) {
      const dpi_solve_outcome o = s->ops->step(s, 10);
      if (o != DPI_SOLVE_OK) print_error("%s\n", s->reason);
      assert_int_equal(o, DPI_SOLVE_OK);
      for (int i = 0; i <= 4; i++) {
        const double t = s->t_prev + (s->t_now - s->t_prev) * i / 4;
        s->ops->dense(s, t, x, NULL);
        const double want = 1.5 * exp(-t) - 0.5 * (cos(t) + sin(t));
        rig_near("x", t, x[0], want, 10 * rtol, 10 * rtol);
        rig_near("z", t, x[1], want + cos(t), 10 * rtol, 10 * rtol);
      }
    }
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* Robertson's reaction with its conservation as a constraint, against the three differential equations. */
static void test_robertson(void **state) {
  (void)state;
  static const law dae[] = {{"a", "1", "-0.04*a + 1e4*b*c"},
                            {"b", "0", "0.04*a - 1e4*b*c - 3e7*b^2"},
                            {"c", "0", "a + b + c - 1"},
                            {0}};
  static const law ode[] = {{"a", "1", "-0.04*a + 1e4*b*c"},
                            {"b", "0", "0.04*a - 1e4*b*c - 3e7*b^2"},
                            {"c", "0", "3e7*b^2"},
                            {0}};
  rig r = make(dae, 1), q = make(ode, 0);
  dpi_solver *s = rig_solver(&r, "idas", 1e-8, 1e-12), *w = rig_solver(&q, "cvode", 1e-10, 1e-14);
  double x[3] = {1, 0, 0.3}, y[3] = {1, 0, 0};
  begin(&r, s, 0, x);
  begin(&q, w, 0, y);
  for (double t = 0.4; t < 1e6; t *= 10) {
    rig_must_go(s, t);
    rig_must_go(w, t);
    for (int j = 0; j < 3; j++) rig_near("robertson", t, s->x_now[j], w->x_now[j], 1e-7, 1e-12);
  }
  dpi_solver_destroy(s);
  dpi_solver_destroy(w);
  rig_drop(&r);
  rig_drop(&q);
}

/* A pendulum in Cartesian coordinates, its tension from the twice differentiated constraint, against the angle. */
static void test_pendulum(void **state) {
  (void)state;
  static const law dae[] = {{"x", "1", "u"},
                            {"y", "0", "v"},
                            {"u", "0", "-l*x"},
                            {"v", "0", "-l*y - 9.81"},
                            {"l", "1", "u^2 + v^2 - l*(x^2 + y^2) - 9.81*y"},
                            {0}};
  static const law ode[] = {{"phi", "0", "w"}, {"w", "0", "-9.81*cos(phi)"}, {0}};
  rig r = make(dae, 1), q = make(ode, 0);
  dpi_solver *s = rig_solver(&r, "auto", 1e-9, 1e-12), *w = rig_solver(&q, "rk853", 1e-11, 1e-13);
  double x[5] = {1, 0, 0, 0, 5}, y[2] = {0, 0};
  begin(&r, s, 0, x);
  rig_near("tension at rest", 0, x[4], 0, 0, 1e-10);
  begin(&q, w, 0, y);
  for (int i = 1; i <= 8; i++) {
    const double t = 0.25 * i;
    rig_must_go(s, t);
    rig_must_go(w, t);
    rig_near("x", t, s->x_now[0], cos(w->x_now[0]), 0, 1e-7);
    rig_near("y", t, s->x_now[1], sin(w->x_now[0]), 0, 1e-7);
    rig_near("l", t, s->x_now[4], w->x_now[1] * w->x_now[1] - 9.81 * sin(w->x_now[0]), 1e-6, 1e-6);
  }
  dpi_solver_destroy(s);
  dpi_solver_destroy(w);
  rig_drop(&r);
  rig_drop(&q);
}

/* Only constraints: nothing moves but time. */
static void test_only_algebraic(void **state) {
  (void)state;
  static const law m[] = {{"y", "1", "y^3 + y - time"}, {"z", "1", "z*y - y - z + 7"}, {0}};
  rig r = make(m, 2);
  dpi_solver *s = rig_solver(&r, "auto", 1e-8, 1e-10);
  double x[2] = {3, 1};
  begin(&r, s, 10, x);
  rig_near("y", 10, x[0], 2, 1e-10, 0);
  rig_near("z", 10, x[1], -5, 1e-9, 0);
  rig_must_go(s, 30);
  rig_near("y", 30, s->x_now[0], 3, 1e-7, 0);
  rig_near("z", 30, s->x_now[1], -2, 1e-7, 0);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* A ring of 30 thin compartments with a sum as constraint each: the sparse way. */
static void test_sparse(void **state) {
  (void)state;
  enum { N = 30 };
  static char text[2 * N][2][80];
  law m[2 * N + 1] = {{0}};
  for (int i = 0; i < N; i++) {
    snprintf(text[i][0], 80, "x%d", i);
    snprintf(text[i][1], 80, "z%d - x%d", i, i);
    m[i] = (law){text[i][0], i == 0 ? "1" : "0", text[i][1]};
    snprintf(text[N + i][0], 80, "z%d", i);
    snprintf(text[N + i][1], 80, "2*z%d - x%d - x%d", i, (i + 1) % N, (i + N - 1) % N);
    m[N + i] = (law){text[N + i][0], "0", text[N + i][1]};
  }
  rig r = make(m, N);
  dpi_solver *s = rig_solver(&r, "idas", 1e-8, 1e-12);
  double x[2 * N] = {1};
  begin(&r, s, 0, x);
  rig_must_go(s, 2);
  double sum = 0;
  for (int i = 0; i < N; i++) sum += s->x_now[i];
  rig_near("sum", 2, sum, 1, 1e-8, 0);
  /* x_0 = 1/N sum over k of exp((cos(2 pi k/N) - 1) t) */
  double want = 0;
  for (int k = 0; k < N; k++) want += exp((cos(2 * 3.14159265358979323846 * k / N) - 1) * 2) / N;
  rig_near("x0", 2, s->x_now[0], want, 1e-7, 0);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* ---- settling ---- */

static void settle_one(const law *m, double start, double want, const char *words) {
  rig r = make(m, 1);
  dpi_solver *s = rig_solver(&r, "idas", 1e-8, 1e-10);
  double x[2] = {4, start};
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  const dpi_solve_outcome o = dpi_solver_settle(s, 0.5, x);
  if (words) {
    assert_int_not_equal(o, DPI_SOLVE_OK);
    if (!strstr(s->reason, words) || !strstr(s->reason, "0.5")) fail_msg("%s: found '%s'", words, s->reason);
  } else {
    if (o != DPI_SOLVE_OK) fail_msg("%s: %s", m[1].formula, s->reason);
    rig_near(m[1].formula, start, x[1], want, 1e-10, 1e-10);
    assert_true(x[0] == 4);
  }
  dpi_solver_destroy(s);
  rig_drop(&r);
}

static void test_settle(void **state) {
  (void)state;
  static const law root[] = {{"y", "4", "0"}, {"z", "0", "z^2 - y"}, {0}};
  static const law steep[] = {{"y", "4", "0"}, {"z", "0", "exp(z) - y"}, {0}};
  static const law flat[] = {{"y", "4", "0"}, {"z", "0", "atan(z) - 1"}, {0}};
  static const law none[] = {{"y", "4", "0"}, {"z", "0", "z^2 + y"}, {0}};
  static const law singular[] = {{"y", "4", "0"}, {"z", "0", "y - 4 + 0*z"}, {0}};
  static const law domain[] = {{"y", "4", "0"}, {"z", "0", "ln(z) - y/2"}, {0}};
  settle_one(root, 0, 2, NULL);      /* the block is singular at the start */
  settle_one(root, -1, -2, NULL);    /* the nearer one */
  settle_one(root, 1e8, 2, NULL);
  settle_one(root, NAN, 2, NULL);
  settle_one(steep, -8, log(4), NULL); /* a full step would leave the numbers */
  settle_one(flat, 5, tan(1), NULL);   /* full steps would swing up */
  settle_one(domain, 1, exp(2), NULL);
  settle_one(none, 1, 0, "z");
  settle_one(singular, 1, 0, "z does not say");
}

static void test_refused(void **state) {
  (void)state;
  static const law m[] = {{"x", "1", "-z"}, {"z", "0", "z - x"}, {0}};
  static const char *const others[] = {"linear", "rk853", "cvode"};
  rig r = make(m, 1);
  dpi_solver *s = NULL;
  for (int k = 0; k < DPI_COUNT(others); k++) {
    assert_int_equal(dpi_solver_create(r.ctx, others[k], r.sys, NULL, 0, &s), DP_ERR_UNSUPPORTED);
    if (!strstr(dp_ctx_error(r.ctx), "algebraic")) fail_msg("%s: %s", others[k], dp_ctx_error(r.ctx));
  }
  const double seed[2] = {0};
  rig_must(&r, dpi_solver_create(r.ctx, "auto", r.sys, NULL, 2, &s));
  assert_int_equal(s->ops->bind(s, r.sym, seed, 2), DP_ERR_UNSUPPORTED);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* The solution ends where the constraint folds: said with its time, not gone beyond. */
static void test_fold(void **state) {
  (void)state;
  static const law m[] = {{"x", "-1", "1"}, {"z", "1", "z^2 + x"}, {0}};
  rig r = make(m, 1);
  dpi_solver *s = rig_solver(&r, "idas", 1e-8, 1e-10);
  double x[2] = {-1, 1};
  begin(&r, s, 0, x);
  const dpi_solve_outcome o = rig_go(s, 2);
  assert_int_not_equal(o, DPI_SOLVE_OK);
  assert_true(s->t_now <= 1.001 && s->t_now > 0.9);
  if (!strstr(s->reason, "at t = ")) fail_msg("%s", s->reason);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_closed_form), cmocka_unit_test(test_robertson), cmocka_unit_test(test_pendulum),
      cmocka_unit_test(test_only_algebraic), cmocka_unit_test(test_sparse), cmocka_unit_test(test_settle),
      cmocka_unit_test(test_refused), cmocka_unit_test(test_fold),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
