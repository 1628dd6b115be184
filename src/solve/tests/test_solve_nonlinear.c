/* Nonlinear and stiff problems against closed forms (Lambert's W, the logistic curve), published
 * reference solutions (Robertson; van der Pol from the Test Set for IVP Solvers) and Richardson
 * differences. */
#include "solve_rig.h"

static const char mm[] =
    "model mm()\n  A' = -Vmax*A/(Km + A)\n  A = 100\n  Vmax = 12; Km = 7\nend\n";

/* ln of Lambert's W argument in, W out: w + ln w = z, by Newton (z may be far beyond exp's range).
 */
static long double lambert_from_log(long double z) {
  long double w = z > 1.0L ? z - logl(z) : expl(z);
  for (int k = 0; k < 50; k++) {
    long double step = (w + logl(w) - z) / (1.0L + 1.0L / w);
    w = w - step > 0.0L ? w - step : w / 2.0L;
    if (fabsl(step) < 1e-19L * w) break;
  }
  return w;
}

/* A(t) = Km W((A0/Km) exp((A0 - Vmax t)/Km)) (Schnell, Mendoza 1997). */
static long double mm_closed(long double vmax, long double km, long double a0, long double t) {
  return km * lambert_from_log(logl(a0 / km) + (a0 - vmax * t) / km);
}

/* Asked rtol -> granted on states and sensitivities. Derivatives from A + Km ln A = A0 + Km ln A0 -
 * Vmax t. */
static void michaelis_menten(void **state) {
  (void)state;
  static const char *const methods[] = {"rk853", "cvode", "auto"};
  rig r = rig_make(mm, "Vmax Km");
  assert_false(r.sys->linear);
  for (int m = 0; m < 3; m++) {
    for (double rtol = 1e-6; rtol > 0.5e-10; rtol *= 1e-2) {
      dpi_solver *s = rig_solver(&r, methods[m], rtol, 1e-4 * rtol);
      double x0 = 100.0;
      rig_must(&r, s->ops->bind(s, r.sym, r.seed, 2));
      assert_int_equal(s->ops->start(s, 0.0, &x0, NULL), DPI_SOLVE_OK);
      for (double t = 0.5; t <= 16.0; t += 0.5) {
        rig_must_go(s, t);
        long double a = mm_closed(12.0L, 7.0L, 100.0L, t), slow = 1.0L + 7.0L / a;
        rig_near("A", t, s->x_now[0], (double)a, 5.0 * rtol, 0.0);
        rig_near("dA/dVmax", t, s->sens_now[0], (double)(-t / slow), 10.0 * rtol, 0.0);
        rig_near("dA/dKm", t, s->sens_now[1], (double)((logl(100.0L) - logl(a)) / slow),
                 10.0 * rtol, 0.0);
      }
      dpi_solver_destroy(s);
    }
  }
  rig_drop(&r);
}

/* linear refuses by name what is not linear. */
static void linear_refuses(void **state) {
  (void)state;
  rig r = rig_make(mm, "");
  dpi_solver *s = NULL;
  assert_int_equal(dpi_solver_create(r.ctx, "linear", r.sys, NULL, 0, &s), DP_ERR_UNSUPPORTED);
  assert_null(s);
  assert_non_null(strstr(dp_ctx_error(r.ctx), "linear"));
  dp_ctx_clear_error(r.ctx);
  assert_int_equal(dpi_solver_create(r.ctx, "euler", r.sys, NULL, 0, &s), DP_ERR_USAGE);
  assert_non_null(strstr(dp_ctx_error(r.ctx), "rk853"));
  rig_drop(&r);
}

static const char robertson[] =
    "model rob()\n  y1' = -k1*y1 + k3*y2*y3\n  y2' = k1*y1 - k3*y2*y3 - k2*y2^2\n  y3' = k2*y2^2\n"
    "  y1 = 1; y2 = 0; y3 = 0\n  k1 = 0.04; k2 = 3e7; k3 = 1e4\nend\n";

/* y at t = 40 (Hairer, Wanner II, IV.10; SUNDIALS' example cvsRoberts) and, by cvode, at 1e11 (Test
 * Set for IVP Solvers). */
static void robertson_states(void **state) {
  (void)state;
  static const char *const methods[] = {"cvode", "auto"};
  rig r = rig_make(robertson, "");
  int y1 = rig_state(&r, "y1"), y2 = rig_state(&r, "y2"), y3 = rig_state(&r, "y3");
  for (int m = 0; m < 2; m++) {
    dpi_solver *s = rig_solver(&r, methods[m], 1e-9, 1e-14);
    double x[3] = {0};
    x[y1] = 1.0;
    rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
    assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
    rig_must_go(s, 40.0);
    rig_near("y1", 40, s->x_now[y1], 0.7158270688, 1e-9, 0.0);
    rig_near("y2", 40, s->x_now[y2], 9.185534765e-6, 1e-9, 0.0);
    rig_near("y3", 40, s->x_now[y3], 0.2841637457, 1e-9, 0.0);
    assert_in_range(s->nstep, 1, 20000);
    dpi_solver_destroy(s);
  }
  dpi_solver *s = rig_solver(&r, "cvode", 1e-8, 1e-22);
  double x[3] = {0};
  x[y1] = 1.0;
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
  rig_must_go(s, 1e11);
  rig_near("y1", 1e11, s->x_now[y1], 0.2083340149701255e-7, 1e-6, 0.0);
  rig_near("y2", 1e11, s->x_now[y2], 0.8333360770334713e-13, 1e-6, 0.0);
  rig_near("y3", 1e11, s->x_now[y3], 0.9999999791665050, 1e-9, 0.0);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* Final state at t with parameter a moved by delta. */
static void end_state(rig *r, const char *method, double t, const double *x0, int a, double delta,
                      double *x) {
  dpi_solver *s = rig_solver(r, method, 1e-11, 1e-16);
  double keep = r->sym[r->active[a]];
  r->sym[r->active[a]] = keep + delta;
  rig_must(r, s->ops->bind(s, r->sym, NULL, 0));
  r->sym[r->active[a]] = keep;
  assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
  rig_must_go(s, t);
  memcpy(x, s->x_now, (size_t)r->sys->nstate * sizeof *x);
  dpi_solver_destroy(s);
}

/* Central differences of steps h and h/2, extrapolated. */
static void richardson(rig *r, const char *method, double t, const double *x0, int a, double *dx) {
  double h = 2e-2 * r->sym[r->active[a]], up[RIG_STATE], down[RIG_STATE], rough[RIG_STATE];
  int n = r->sys->nstate;
  for (int round = 0; round < 2; round++, h /= 2.0) {
    end_state(r, method, t, x0, a, h, up);
    end_state(r, method, t, x0, a, -h, down);
    for (int i = 0; i < n; i++) {
      double d = (up[i] - down[i]) / (2.0 * h);
      if (round == 0)
        rough[i] = d;
      else
        dx[i] = d + (d - rough[i]) / 3.0;
    }
  }
}

/* Sensitivities of a stiff problem; the differences are good to about 1e-6. */
static void robertson_sensitivities(void **state) {
  (void)state;
  static const char *const methods[] = {"cvode", "auto"};
  rig r = rig_make(robertson, "k1 k2 k3");
  double x0[3] = {0}, dx[3];
  x0[rig_state(&r, "y1")] = 1.0;
  for (int m = 0; m < 2; m++) {
    dpi_solver *s = rig_solver(&r, methods[m], 1e-8, 1e-13);
    rig_must(&r, s->ops->bind(s, r.sym, r.seed, 3));
    assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
    rig_must_go(s, 40.0);
    for (int a = 0; a < 3; a++) {
      richardson(&r, "cvode", 40.0, x0, a, dx);
      for (int i = 0; i < 3; i++)
        rig_near("Robertson", a, s->sens_now[i * 3 + a], dx[i], 2e-6, 0.0);
    }
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* A constant input and its derivative live through the change of method: against differences in the
 * rate. */
static void stiff_input(void **state) {
  (void)state;
  static const char *const methods[] = {"cvode", "auto"};
  rig r = rig_make(robertson, "k1 k2");
  int y1 = rig_state(&r, "y1");
  double rate = 2e-3, h = 1e-3, x0[3] = {0}, none[4] = {0}, end[2][3];
  x0[y1] = 1.0;
  for (int m = 0; m < 2; m++) {
    for (int side = 0; side < 3; side++) {
      dpi_solver *s = rig_solver(&r, methods[m], 1e-10, 1e-15);
      double u[3] = {0}, du[6] = {0};
      u[y1] = rate + (side == 0 ? -h : side == 1 ? h : 0.0);
      du[y1 * 2 + 1] = 1.0;
      rig_must(&r, s->ops->bind(s, r.sym, none, side == 2 ? 2 : 0));
      s->ops->input(s, u, side == 2 ? du : NULL);
      assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
      rig_must_go(s, 40.0);
      if (side < 2) memcpy(end[side], s->x_now, sizeof end[side]);
      for (int i = 0; side == 2 && i < 3; i++) {
        double slope = (end[1][i] - end[0][i]) / (2.0 * h);
        // the differences err by h^2 times the third derivative, some 1e-4 here
        rig_near("by rate", i, s->sens_now[i * 2 + 1], slope, 5e-4, 0.0);
        rig_near("by nothing", i, s->sens_now[i * 2], 0.0, 0.0, 1e-15);
      }
      // mass balance: what was there and what came in
      double total = s->x_now[0] + s->x_now[1] + s->x_now[2];
      rig_near("mass", 40, total, 1.0 + 40.0 * u[y1], 1e-9, 0.0);
      dpi_solver_destroy(s);
    }
  }
  rig_drop(&r);
}

/* y'' = ((1 - y^2) y' - y) / eps, eps = 1e-6, y = 2, y' = 0; y(2) from the Test Set for IVP Solvers
 * (VDPOL). */
static void van_der_pol(void **state) {
  (void)state;
  static const char *const methods[] = {"cvode", "auto"};
  rig r = rig_make(
      "model vdp()\n  y' = z\n  z' = ((1 - y^2)*z - y)/eps\n  y = 2; z = 0\n  eps = 1e-6\nend\n",
      "");
  int y = rig_state(&r, "y"), z = rig_state(&r, "z");
  for (int m = 0; m < 2; m++) {
    dpi_solver *s = rig_solver(&r, methods[m], 1e-8, 1e-10);
    double x[2];
    x[y] = 2.0;
    x[z] = 0.0;
    rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
    assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
    rig_must_go(s, 2.0);
    rig_near("y", 2, s->x_now[y], 0.1706167732170483e1, 1e-7, 0.0);
    rig_near("z", 2, s->x_now[z], -0.8928097010247975, 1e-7, 0.0);
    dpi_solver_destroy(s);
  }
  // the explicit method alone says so, at once, and stays where it was
  dpi_solver *s = rig_solver(&r, "rk853", 1e-8, 1e-10);
  double x[2];
  x[y] = 2.0;
  x[z] = 0.0;
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
  assert_int_equal(rig_go(s, 2.0), DPI_SOLVE_STIFF);
  assert_in_range(s->nstep + s->nreject, 10, 400);
  assert_true(s->t_now < 2.0);
  assert_non_null(strstr(s->reason, "stiff"));
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* x' = x^2 from 1 has no value at t = 1: every method stops just before and says when. */
static void blow_up(void **state) {
  (void)state;
  static const char *const methods[] = {"rk853", "cvode", "auto", "rodas", "tsit"};
  rig r = rig_make("model b()\n  x' = k*x^2\n  x = 1\n  k = 1\nend\n", "k");
  for (int m = 0; m < 5; m++) {
    for (int nd = 0; nd < 2; nd++) {
      dpi_solver *s = rig_solver(&r, methods[m], 1e-8, 1e-10);
      double x = 1.0;
      rig_must(&r, s->ops->bind(s, r.sym, r.seed, nd));
      assert_int_equal(s->ops->start(s, 0.0, &x, NULL), DPI_SOLVE_OK);
      dpi_solve_outcome o = rig_go(s, 2.0);
      assert_true(o == DPI_SOLVE_TOO_SMALL || o == DPI_SOLVE_NONFINITE);
      rig_near("time of the end", 1, s->t_now, 1.0, 1e-6, 0.0);
      assert_non_null(strstr(s->reason, "t = 1") ? strstr(s->reason, "t = 1")
                                                 : strstr(s->reason, "t = 0.99"));
      dpi_solver_destroy(s);
    }
  }
  rig_drop(&r);
}

/* A rate that is not finite at the start names the state; so does a start value. */
static void not_finite(void **state) {
  (void)state;
  static const char *const methods[] = {"rk853", "cvode", "auto"};
  rig r = rig_make("model nf()\n  good' = -good\n  bad' = ln(good - 5)\n  good = 1; bad = 0\nend\n",
                   "");
  for (int m = 0; m < 3; m++) {
    dpi_solver *s = rig_solver(&r, methods[m], 1e-8, 1e-10);
    double x[2] = {1.0, 1.0};
    rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
    assert_int_equal(s->ops->start(s, 3.0, x, NULL), DPI_SOLVE_OK);
    assert_int_equal(rig_go(s, 4.0), DPI_SOLVE_NONFINITE);
    assert_non_null(strstr(s->reason, "t = 3"));
    assert_non_null(strstr(s->reason, "bad"));
    x[rig_state(&r, "good")] = NAN;
    assert_int_equal(s->ops->start(s, 3.0, x, NULL), DPI_SOLVE_NONFINITE);
    assert_non_null(strstr(s->reason, "good"));
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* max_steps is kept, and counts from start. */
static void too_many_steps(void **state) {
  (void)state;
  static const char *const methods[] = {"rk853", "cvode"};
  rig r = rig_make("model o()\n  a' = b\n  b' = -a^3\n  a = 1; b = 0\nend\n", "");
  for (int m = 0; m < 2; m++) {
    dpi_solve_opts o = dpi_solve_opts_default();
    dpi_solver *s = NULL;
    o.max_steps = 20;
    rig_must(&r, dpi_solver_create(r.ctx, methods[m], r.sys, &o, 0, &s));
    double x[2] = {1.0, 0.0};
    rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
    for (int round = 0; round < 2; round++) {
      assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
      long before = s->nstep + s->nreject;
      assert_int_equal(rig_go(s, 1000.0), DPI_SOLVE_MAX_STEPS);
      assert_in_range(s->nstep + s->nreject - before, 18, 22);
      assert_non_null(strstr(s->reason, "20 steps"));
    }
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* A chain of 40 states whose matrix is thin takes the sparse way in cvode; closed form: Poisson
 * probabilities x_k = t^k e^-t / k! of a unit chain (the last state's loss left in). A quadratic
 * term of weight 0 keeps `linear` away. */
static void sparse_chain(void **state) {
  (void)state;
  enum { N = 40 };
  char text[4096], line[128];
  snprintf(text, sizeof text, "model chain()\n  s0' = -k*s0 - z*s0^2\n");
  for (int i = 1; i < N; i++) {
    snprintf(line, sizeof line, "  s%d' = k*s%d - k*s%d\n", i, i - 1, i);
    strcat(text, line);
  }
  for (int i = 0; i < N; i++) {
    snprintf(line, sizeof line, "  s%d = 0\n", i);
    strcat(text, line);
  }
  strcat(text, "  k = 1; z = 0\nend\n");
  rig r = rig_make(text, "k");
  assert_false(r.sys->linear);
  dpi_solver *s = rig_solver(&r, "cvode", 1e-8, 1e-12);
  double x[RIG_STATE] = {0};
  x[rig_state(&r, "s0")] = 1.0;
  rig_must(&r, s->ops->bind(s, r.sym, r.seed, 1));
  assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
  double t = 12.0;
  rig_must_go(s, t);
  long double p = expl(-(long double)t);
  for (int k = 0; k < N; k++) {
    char id[16];
    snprintf(id, sizeof id, "s%d", k);
    int i = rig_state(&r, id);
    // d/dk at k = 1: p' t with p' = p (k/t - 1)
    rig_near(id, t, s->x_now[i], (double)p, 1e-7, 1e-11);
    rig_near(id, t, s->sens_now[i], (double)(p * (k - (long double)t)), 1e-7,
             1e-7 * (double)p * t + 1e-10);
    p *= (long double)t / (k + 1);
  }
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* A rate that jumps is crossed at any tolerance, whichever side a step begins on; a pole is not (blow_up). */
static void jumping_rate(void **state) {
  (void)state;
  rig r = rig_make("model jump()\n  x' = piecewise(1, time < 1/3, 1000)\n  x = 0\n  y' = -y; y = 1e-20\nend\n", "");
  static const double atol[] = {1e-10, 1e-30, 1e-100};
  for (int k = 0; k < 3; k++) {
    dpi_solver *s = rig_solver(&r, "rk853", 1e-12, atol[k]);
    double x0[2] = {0.0, 0.0};
    x0[rig_state(&r, "y")] = 1e-20;
    rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
    assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
    rig_must_go(s, 2.0);
    rig_near("x", 2.0, s->x_now[rig_state(&r, "x")], 1.0 / 3 + 1000 * (5.0 / 3), 1e-11, 0.0);
    if (k > 0) rig_near("y", 2.0, s->x_now[rig_state(&r, "y")], 1e-20 * 0.1353352832366127, 1e-10, 0.0);
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* Consumption at a constant rate that ends only where next to nothing is left: the state must not go on
 * below zero, where the rate is as large again. */
static void no_leap_over_zero(void **state) {
  (void)state;
  rig r = rig_make("model leap()\n  x' = 1 - 100*x/(1e-13 + x)\n  x = 10\nend\n", "");
  dpi_solver *s = rig_solver(&r, "auto", 1e-8, 1e-16);
  double x0 = 10.0;
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  assert_int_equal(s->ops->start(s, 0.0, &x0, NULL), DPI_SOLVE_OK);
  rig_must_go(s, 1.0);
  rig_near("x", 1.0, s->x_now[0], 1e-13 / 99, 1e-6, 1e-17);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* A solver made for two directions takes one or none: that one is as if it were made for it. */
static void fewer_directions(void **state) {
  (void)state;
  static const char *const methods[] = {"rk853", "cvode", "auto", "rodas", "tsit"};
  rig r = rig_make("model f()\n  x' = m - k*x^2; y' = k*x - y\n  x = 1; y = 0.5; k = 1.3; m = 0.4\nend\n", "k m");
  for (int m = 0; m < 5; m++) {
    /* half: S at 0.7 with 0, 1, 2 directions */
    double at[2], none[2], x0[2], s0[4] = {0}, half[3][4] = {{0}}, end[2] = {0};
    const double du[4] = {0.3, 0.2, 0.1, 0.4}, u[2] = {0.1, 0.2}, du1[2] = {0.3, 0.1}, seed1[2] = {1, 0};
    x0[rig_state(&r, "x")] = 1;
    x0[rig_state(&r, "y")] = 0.5;
    for (int nd = 0; nd < 3; nd++) {
      dpi_solver *s = rig_solver(&r, methods[m], 1e-10, 1e-12);
      rig_must(&r, s->ops->bind(s, r.sym, nd == 0 ? NULL : nd == 1 ? seed1 : r.seed, nd));
      s->ops->input(s, u, nd == 0 ? NULL : nd == 1 ? du1 : du);
      assert_int_equal(s->ops->start(s, 0.0, x0, nd ? s0 : NULL), DPI_SOLVE_OK);
      while (s->t_now < 0.7) assert_int_equal(s->ops->step(s, 2.0), DPI_SOLVE_OK);
      s->ops->dense(s, 0.7, nd ? at : none, nd ? half[nd] : NULL);
      assert_int_equal(s->sens_now == NULL, nd == 0);
      rig_must_go(s, 2.0);
      for (int j = 0; j < 2 && nd == 1; j++) end[j] = s->sens_now[j];
      for (int j = 0; j < 2 && nd == 2; j++) rig_near("S", 2, end[j], s->sens_now[2 * j], 1e-7, 1e-9);
      dpi_solver_destroy(s);
    }
    for (int j = 0; j < 2; j++) {
      rig_near("x", 0.7, at[j], none[j], 1e-8, 0.0);
      rig_near("S", 0.7, half[1][j], half[2][2 * j], 1e-7, 1e-9);
    }
  }
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(jumping_rate),     cmocka_unit_test(no_leap_over_zero),
      cmocka_unit_test(michaelis_menten), cmocka_unit_test(linear_refuses),
      cmocka_unit_test(robertson_states), cmocka_unit_test(robertson_sensitivities),
      cmocka_unit_test(stiff_input),      cmocka_unit_test(van_der_pol),
      cmocka_unit_test(blow_up),          cmocka_unit_test(not_finite),
      cmocka_unit_test(too_many_steps),   cmocka_unit_test(sparse_chain),
      cmocka_unit_test(fewer_directions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
