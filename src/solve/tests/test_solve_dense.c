/* Dense output and order: against the logistic curve (closed form) and exact compartments; ends
 * agree to the last bit. */
#include "pk_closed.h"
#include "solve_rig.h"

static const char logistic[] = "model l()\n  x' = r*x*(1 - x/K)\n  x = 0.1\n  r = 1; K = 2\nend\n";

static double logistic_closed(double t) {
  return (double)(2.0L / (1.0L + 19.0L * expl(-(long double)t)));
}
/* d/dr of the same: t times the slope (r only scales time) */
static double logistic_by_r(double t) {
  long double x = 2.0L / (1.0L + 19.0L * expl(-(long double)t));
  return (double)((long double)t * x * (1.0L - x / 2.0L));
}

/* Errors of states at step ends and inside steps when every step has size h. */
static void errors_at(rig *r, double h, double *at_end, double *inside) {
  dpi_solve_opts o = dpi_solve_opts_default();
  dpi_solver *s = NULL;
  o.rtol = 0.1;
  o.atol = 1e3;
  o.max_step = h;
  rig_must(r, dpi_solver_create(r->ctx, "rk853", r->sys, &o, 0, &s));
  double x0 = 0.1, x;
  *at_end = *inside = 0.0;
  rig_must(r, s->ops->bind(s, r->sym, NULL, 0));
  assert_int_equal(s->ops->start(s, 0.0, &x0, NULL), DPI_SOLVE_OK);
  while (s->t_now < 4.0) {
    assert_int_equal(s->ops->step(s, 4.0), DPI_SOLVE_OK);
    // the first step is the starting rule's own
    if (s->t_prev == 0.0) continue;
    *at_end = fmax(*at_end, fabs(s->x_now[0] - logistic_closed(s->t_now)));
    for (int k = 1; k < 8; k++) {
      double t = s->t_prev + k / 8.0 * (s->t_now - s->t_prev);
      s->ops->dense(s, t, &x, NULL);
      *inside = fmax(*inside, fabs(x - logistic_closed(t)));
    }
  }
  dpi_solver_destroy(s);
}

/* Halving the step divides the error at step ends by about 2^8, inside steps by at least about 2^7.
 */
static void order(void **state) {
  (void)state;
  rig r = rig_make(logistic, "");
  double end1, in1, end2, in2;
  errors_at(&r, 1.0, &end1, &in1);
  errors_at(&r, 0.5, &end2, &in2);
  double at_ends = log2(end1 / end2), inside = log2(in1 / in2);
  if (at_ends < 7.2 || inside < 6.6) print_error("order at ends %g, inside %g\n", at_ends, inside);
  assert_true(at_ends > 7.2 && at_ends < 10.5);
  assert_true(inside > 6.6 && inside < 10.5);
  rig_drop(&r);
}

/* Inside steps states and sensitivities are as good as asked (times a grant), at both ends they are
 * the step's own bytes. */
static void inside_steps(void **state) {
  (void)state;
  static const char *const methods[] = {"rk853", "cvode", "auto"};
  rig r = rig_make(logistic, "r");
  for (int m = 0; m < 3; m++) {
    for (double rtol = 1e-5; rtol > 0.5e-11; rtol *= 1e-2) {
      dpi_solver *s = rig_solver(&r, methods[m], rtol, rtol * 1e-2);
      double x0 = 0.1, x, sens, last_x = 0.1, last_s = 0.0;
      rig_must(&r, s->ops->bind(s, r.sym, r.seed, 1));
      assert_int_equal(s->ops->start(s, 0.0, &x0, NULL), DPI_SOLVE_OK);
      while (s->t_now < 10.0) {
        assert_int_equal(s->ops->step(s, 10.0), DPI_SOLVE_OK);
        for (int k = 1; k < 4; k++) {
          double t = s->t_prev + k / 4.0 * (s->t_now - s->t_prev);
          s->ops->dense(s, t, &x, &sens);
          rig_near(methods[m], t, x, logistic_closed(t), 5.0 * rtol, 0.0);
          rig_near(methods[m], t, sens, logistic_by_r(t), 20.0 * rtol, 5.0 * rtol);
        }
        s->ops->dense(s, s->t_prev, &x, &sens);
        assert_memory_equal(&x, &last_x, sizeof x);
        assert_memory_equal(&sens, &last_s, sizeof sens);
        s->ops->dense(s, s->t_now, &x, &sens);
        assert_memory_equal(&x, s->x_now, sizeof x);
        assert_memory_equal(&sens, s->sens_now, sizeof sens);
        last_x = x;
        last_s = sens;
      }
      dpi_solver_destroy(s);
    }
  }
  rig_drop(&r);
}

/* linear: one step, then any time inside is exact; asking does not move the solver. */
static void linear_inside(void **state) {
  (void)state;
  rig r = rig_make(
      "model o()\n  depot' = -ka*depot\n  central' = ka*depot - ke*central\n  auc' = central\n"
      "  depot = 0; central = 0; auc = 0\n  ka = 1.3; ke = 0.21\nend\n",
      "ka ke");
  int depot = rig_state(&r, "depot"), central = rig_state(&r, "central"),
      auc = rig_state(&r, "auc");
  dpi_solver *s = rig_solver(&r, "linear", 1e-10, 1e-12);
  double x0[3] = {0}, x[3], sens[6];
  x0[depot] = 1.0;
  rig_must(&r, s->ops->bind(s, r.sym, r.seed, 2));
  assert_int_equal(s->ops->start(s, 5.0, x0, NULL), DPI_SOLVE_OK);
  assert_int_equal(s->ops->step(s, 30.0), DPI_SOLVE_OK);
  assert_true(s->t_now == 30.0);
  for (double t = 5.125; t < 30.0; t += 1.625) {
    long double dt = (long double)t - 5.0L, ka = r.sym[r.active[0]], ke = r.sym[r.active[1]];
    pkc by_ka = pk1_oral(ka + PK_STEP * I, ke, dt), by_ke = pk1_oral(ka, ke + PK_STEP * I, dt);
    s->ops->dense(s, t, x, sens);
    rig_near("central", t, x[central], (double)creall(by_ka), 1e-12, 0.0);
    rig_near("dka", t, sens[central * 2], (double)(cimagl(by_ka) / PK_STEP), 1e-12, 1e-12);
    rig_near("dke", t, sens[central * 2 + 1], (double)(cimagl(by_ke) / PK_STEP), 1e-12, 1e-12);
    // mass balance: what left the depot is in central or was cleared, ke auc
    rig_near("balance", t, x[depot] + x[central] + (double)ke * x[auc], 1.0, 1e-13, 0.0);
  }
  s->ops->dense(s, 30.0, x, NULL);
  assert_memory_equal(x, s->x_now, sizeof x);
  s->ops->dense(s, 5.0, x, NULL);
  assert_memory_equal(x, x0, sizeof x);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(inside_steps),
                                     cmocka_unit_test(linear_inside)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
