/* States and sensitivities of one- and two-compartment models, all methods, against closed forms in
 * extended precision (derivatives of the closed forms by the complex step). */
#include "pk_closed.h"
#include "solve_rig.h"

static const char *const methods[] = {"linear", "rk853", "cvode", "auto"};
/* asked: rtol 1e-10; granted: */
static const double state_tol[] = {1e-12, 1e-9, 1e-9, 1e-12};
static const double sens_tol[] = {1e-12, 3e-9, 1e-8, 1e-12};
static const double times[] = {0.25, 0.5, 1, 2, 3.5, 5, 8, 12, 24};

static const char one[] =
    "model one()\n  depot' = -ka*depot\n  central' = ka*depot - CL/V*central\n  depot = 0; central "
    "= 0\n"
    "  ka = 1; CL = 4; V = 70\nend\n";
static const char two[] =
    "model two()\n  depot' = -ka*depot\n  central' = ka*depot - CL/V*central - Q/V*central + "
    "Q/Vp*periph\n"
    "  periph' = Q/V*central - Q/Vp*periph\n  depot = 0; central = 0; periph = 0\n"
    "  ka = 1; CL = 4; V = 70; Q = 4; Vp = 50\nend\n";

/* The closed form of one experiment: p are the active parameters in order. */
typedef pkc (*closed_fn)(const pkc *p, long double t);

static pkc one_oral(const pkc *p, long double t) { return 100.0L * pk1_oral(p[0], p[1] / p[2], t); }
static pkc one_bolus(const pkc *p, long double t) { return 100.0L * pk1_bolus(p[1] / p[2], t); }
static pkc one_infusion(const pkc *p, long double t) {
  pkc ke = p[1] / p[2];
  if (t <= 2.0L) return 50.0L * pk1_infusion(ke, t);
  return 50.0L * pk1_infusion(ke, 2.0L) * cexpl(-ke * (t - 2.0L));
}
static pkc two_oral(const pkc *p, long double t) {
  return 100.0L * pk2_oral(p[0], p[1] / p[2], p[3] / p[2], p[3] / p[4], t);
}
static pkc two_bolus(const pkc *p, long double t) {
  return 100.0L * pk2_bolus(p[1] / p[2], p[3] / p[2], p[3] / p[4], t);
}
static pkc two_infusion(const pkc *p, long double t) {
  // superposition: a rate from 0 on less the same rate from 2 on
  pkc v = pk2_infusion(p[1] / p[2], p[3] / p[2], p[3] / p[4], t);
  if (t > 2.0L) v -= pk2_infusion(p[1] / p[2], p[3] / p[2], p[3] / p[4], t - 2.0L);
  return 50.0L * v;
}

typedef enum route { ORAL, BOLUS, INFUSION } route;

/* One experiment of one method at the model's values times factor[]: the central state and all its
 * derivatives. */
static void check(rig *r, int m, route how, closed_fn truth, const char *what, double state_rel,
                  double sens_rel) {
  dpi_solver *s = rig_solver(r, methods[m], 1e-10, 1e-12);
  int n = r->sys->nstate, nd = r->nactive, central = rig_state(r, "central");
  double x[RIG_STATE] = {0}, u[RIG_STATE] = {0};
  pkc p[RIG_ACTIVE];
  for (int a = 0; a < nd; a++) p[a] = r->sym[r->active[a]];
  if (how == ORAL) x[rig_state(r, "depot")] = 100.0;
  if (how == BOLUS) x[central] = 100.0;
  u[central] = 50.0;
  rig_must(r, s->ops->bind(s, r->sym, r->seed, nd));
  s->ops->input(s, how == INFUSION ? u : NULL, NULL);
  assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
  double most[RIG_ACTIVE] = {0};
  for (int k = 0; k < DPI_COUNT(times); k++) {
    double t = times[k];
    rig_must_go(s, t);
    if (how == INFUSION && t == 2.0) s->ops->input(s, NULL, NULL);
    double want = (double)creall(truth(p, t));
    rig_near(what, t, s->x_now[central], want, state_rel, 0.0);
    for (int d = 0; d < nd; d++) {
      p[d] += PK_STEP * I;
      double slope = (double)(cimagl(truth(p, t)) / PK_STEP);
      p[d] = creall(p[d]);
      // a derivative passes through zero: judge by the largest so far, or by the state for a
      // relative change of p
      most[d] = fmax(most[d], fmax(fabs(slope), want / (double)creall(p[d])));
      rig_near(what, t, s->sens_now[central * nd + d], slope, sens_rel, sens_rel * most[d]);
    }
  }
  assert_true(s->nstep > 0);
  assert_int_equal(n, r->sys->nstate);
  dpi_solver_destroy(s);
}

static void one_compartment(void **state) {
  (void)state;
  rig r = rig_make(one, "ka CL V");
  assert_true(r.sys->linear);
  for (int m = 0; m < DPI_COUNT(methods); m++) {
    check(&r, m, ORAL, one_oral, "one oral", state_tol[m], sens_tol[m]);
    check(&r, m, BOLUS, one_bolus, "one bolus", state_tol[m], sens_tol[m]);
    check(&r, m, INFUSION, one_infusion, "one infusion", state_tol[m], sens_tol[m]);
  }
  rig_drop(&r);
}

static void two_compartments(void **state) {
  (void)state;
  rig r = rig_make(two, "ka CL V Q Vp");
  assert_true(r.sys->linear);
  for (int m = 0; m < DPI_COUNT(methods); m++) {
    check(&r, m, ORAL, two_oral, "two oral", state_tol[m], sens_tol[m]);
    check(&r, m, BOLUS, two_bolus, "two bolus", state_tol[m], sens_tol[m]);
    check(&r, m, INFUSION, two_infusion, "two infusion", state_tol[m], sens_tol[m]);
  }
  rig_drop(&r);
}

/* ka = ke up to relative gaps from 0 to 1e-3: the textbook formula loses all its figures, the
 * solver none. */
static void nearly_equal_rates(void **state) {
  (void)state;
  static const double gap[] = {0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3};
  rig r = rig_make(one, "ka CL V");
  for (int g = 0; g < DPI_COUNT(gap); g++) {
    r.sym[r.active[0]] = r.sym[r.active[1]] / r.sym[r.active[2]] * (1.0 + gap[g]);
    check(&r, 0, ORAL, one_oral, "equal rates", 1e-12, 1e-12);
  }
  rig_drop(&r);
}

/* Fast absorption and long intervals: thousands of units of time for the fast rate in one
 * exponential. */
static void rates_far_apart(void **state) {
  (void)state;
  rig r = rig_make(one, "ka CL V");
  for (double ka = 10.0; ka < 2e6; ka *= 10.0) {
    r.sym[r.active[0]] = ka;
    check(&r, 0, ORAL, one_oral, "far apart", 1e-12, 1e-12);
  }
  rig_drop(&r);
  r = rig_make(two, "ka CL V Q Vp");
  for (double ka = 10.0; ka < 2e6; ka *= 10.0) {
    r.sym[r.active[0]] = ka;
    check(&r, 0, ORAL, two_oral, "two far apart", 1e-12, 1e-12);
  }
  rig_drop(&r);
}

/* Derivatives with respect to a dose (start sensitivity) and to a rate of infusion (U), which move
 * no parameter. */
static void controls(void **state) {
  (void)state;
  rig r = rig_make(one, "ka CL V");
  int nd = 2, central = rig_state(&r, "central"), depot = rig_state(&r, "depot");
  double none[2 * 3] = {0};
  for (int m = 0; m < DPI_COUNT(methods); m++) {
    dpi_solver *s = rig_solver(&r, methods[m], 1e-10, 1e-12);
    double x[2] = {0}, sens[4] = {0}, u[2] = {0}, du[4] = {0};
    x[depot] = 100.0;
    sens[depot * nd + 0] = 1.0;
    u[central] = 30.0;
    du[central * nd + 1] = 1.0;
    rig_must(&r, s->ops->bind(s, r.sym, none, nd));
    s->ops->input(s, u, du);
    assert_int_equal(s->ops->start(s, 0.0, x, sens), DPI_SOLVE_OK);
    for (int k = 0; k < DPI_COUNT(times); k++) {
      double t = times[k];
      rig_must_go(s, t);
      double by_dose = (double)creall(pk1_oral(1.0L, 4.0L / 70.0L, t));
      double by_rate = (double)creall(pk1_infusion(4.0L / 70.0L, t));
      rig_near("state", t, s->x_now[central], 100.0 * by_dose + 30.0 * by_rate, state_tol[m], 0.0);
      rig_near("by dose", t, s->sens_now[central * nd + 0], by_dose, sens_tol[m], 0.0);
      rig_near("by rate", t, s->sens_now[central * nd + 1], by_rate, sens_tol[m], 0.0);
    }
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* Constant production (b in x' = A x + b): an indirect response, R = E0 + (R0 - E0) e^(-kout t),
 * where kout moves A and b at once and E0 makes b a million times larger than A. */
static pkc turnover(const pkc *p, long double t) { return p[0] + (3.0L - p[0]) * cexpl(-p[1] * t); }
static void constant_production(void **state) {
  (void)state;
  rig r = rig_make("model t()\n  R' = E0*kout - kout*R\n  R = 0\n  E0 = 1e6; kout = 0.0625\nend\n",
                   "E0 kout");
  assert_true(r.sys->linear);
  for (int m = 0; m < DPI_COUNT(methods); m++) {
    dpi_solver *s = rig_solver(&r, methods[m], 1e-10, 1e-10);
    double x[1] = {3.0};
    pkc p[2] = {1e6L, 0.0625L};
    rig_must(&r, s->ops->bind(s, r.sym, r.seed, 2));
    assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
    for (int k = 0; k < DPI_COUNT(times); k++) {
      double t = times[k];
      rig_must_go(s, t);
      rig_near("R", t, s->x_now[0], (double)creall(turnover(p, t)), state_tol[m], 0.0);
      for (int d = 0; d < 2; d++) {
        pkc q[2] = {p[0], p[1]};
        q[d] += PK_STEP * I;
        double want = (double)(cimagl(turnover(q, t)) / PK_STEP);
        rig_near("dR", t, s->sens_now[d], want, sens_tol[m], 0.0);
      }
    }
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* An infusion that begins and ends costs no rejected steps by itself: the slope is taken anew. Work
 * is counted. */
static void input_takes_slope_anew(void **state) {
  (void)state;
  rig r = rig_make(one, "ka CL V");
  dpi_solver *s = rig_solver(&r, "rk853", 1e-10, 1e-12);
  int central = rig_state(&r, "central");
  double x[2] = {0}, u[2] = {0};
  x[central] = 100.0;
  u[central] = 1.0;
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
  for (int k = 1; k <= 40; k++) {
    rig_must_go(s, 0.25 * k);
    s->ops->input(s, k % 2 ? u : NULL, NULL);
  }
  assert_in_range(s->nstep, 40, 60);
  assert_in_range(s->nreject, 0, 3);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

/* What one run from a bind on gives: states and sensitivities after two steps of equal length and one other. */
static void run_from_bind(rig *r, dpi_solver *s, double cl, int nd, double rate, double *out) {
  double x[RIG_STATE] = {0}, u[RIG_STATE] = {0};
  int n = r->sys->nstate, at = rig_sym(r, "CL");
  double keep = r->sym[at];
  x[rig_state(r, "depot")] = 100.0;
  u[rig_state(r, "central")] = rate;
  r->sym[at] = cl;
  rig_must(r, s->ops->bind(s, r->sym, nd ? r->seed : NULL, nd));
  r->sym[at] = keep;
  s->ops->input(s, rate > 0 ? u : NULL, NULL);
  assert_int_equal(s->ops->start(s, 0.0, x, NULL), DPI_SOLVE_OK);
  for (int k = 1; k <= 3; k++) {
    rig_must_go(s, k < 3 ? k : 3.5);
    memcpy(out, s->x_now, sizeof(double) * (size_t)n);
    out += n;
    if (nd) memcpy(out, s->sens_now, sizeof(double) * (size_t)(n * nd));
    out += n * nd;
  }
}

/* A solver that is bound again and again, with what it was bound with before or with something else, gives the bytes of
 * one that was just made: what it keeps from bind to bind is what it would have computed. */
static void bound_again(void **state) {
  (void)state;
  rig r = rig_make(one, "ka CL V");
  static const struct {
    double cl;
    int nd;
    double rate;
  } bind[] = {{4, 3, 0}, {4, 3, 0}, {5, 3, 0}, {4, 3, 0}, {4, 3, 50}, {4, 3, 50}, {4, 3, 20},
              {4, 3, 0}, {4, 0, 0}, {4, 0, 0}, {4, 3, 0}, {5, 0, 50}, {5, 3, 50}};
  dpi_solver *s = rig_solver(&r, "linear", 1e-10, 1e-12);
  for (int k = 0; k < DPI_COUNT(bind); k++) {
    double again[3 * RIG_STATE * (1 + RIG_ACTIVE)] = {0}, fresh[3 * RIG_STATE * (1 + RIG_ACTIVE)] = {0};
    dpi_solver *new = rig_solver(&r, "linear", 1e-10, 1e-12);
    run_from_bind(&r, s, bind[k].cl, bind[k].nd, bind[k].rate, again);
    run_from_bind(&r, new, bind[k].cl, bind[k].nd, bind[k].rate, fresh);
    assert_memory_equal(again, fresh, sizeof again);
    dpi_solver_destroy(new);
  }
  dpi_solver_destroy(s);
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_compartment),
      cmocka_unit_test(two_compartments),
      cmocka_unit_test(nearly_equal_rates),
      cmocka_unit_test(rates_far_apart),
      cmocka_unit_test(controls),
      cmocka_unit_test(constant_production),
      cmocka_unit_test(input_takes_slope_anew),
      cmocka_unit_test(bound_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
