/* test_lane_step.c - step graphs against known solutions: order of every method and of its dense output, input rates,
 * ends of dense output, refusal of what is not finite, stiff problems. */
#include "base/tests/failing_memory.h"
#include "lane_step_rig.h"
#include "solve/lane_tableau.h"

/* nonlinear, with time in it; y = (2 + sin 3t)/3, z = 1/(1 + t) */
static const char *const timed =
    "y' = cos(3*time) + k*(y - (2 + sin(3*time))/3)*(1 + z); z' = -z^2 + (y - (2 + sin(3*time))/3)*0.3;\n"
    "y = 2/3; z = 1; k = -2;";
/* nonlinear, free of time: y = exp(-t), z = 1/(1 + t), w = y z */
static const char *const plain = "y' = -w/z; z' = -z^2; w' = -w - y*z^2; y = 1; z = 1; w = 1;";

static double timed_error(double t, const double *x) {
  return fabs(x[0] - (2.0 + sin(3.0 * t)) / 3.0) + fabs(x[1] - 1.0 / (1.0 + t));
}
static double plain_error(double t, const double *x) {
  double y = exp(-t), z = 1.0 / (1.0 + t);
  return fabs(x[0] - y) + fabs(x[1] - y * z) + fabs(x[2] - z); /* states in the order of first use */
}

typedef struct problem {
  const char *text;
  double (*error)(double t, const double *x);
  double x0[3];
} problem;
static const problem problems[] = {{NULL, timed_error, {2.0 / 3.0, 1.0}}, {NULL, plain_error, {1.0, 1.0, 1.0}}};

static dpi_lane_step_def def_of(const char *method, double rtol, double atol) {
  return (dpi_lane_step_def){.method = method, .rtol = rtol, .atol = atol};
}

/* errors at t = 2 with m equal steps; largest error of dense output inside the steps */
static void run_equal(stepper *s, const problem *p, int m, double *end, double *inside) {
  double h = 2.0 / m, x[3];
  s->sym[0] = 0.0;
  memcpy(s->sym + 1, p->x0, (size_t)s->n * sizeof *x);
  *inside = 0.0;
  for (int i = 0; i < m; i++) {
    stepper_try(s, h);
    for (int j = 1; j < 4 && s->step.ndense > 0; j++) {
      stepper_dense(s, j * 0.25, x);
      *inside = fmax(*inside, p->error(s->sym[0] + j * 0.25 * h, x));
    }
    stepper_accept(s, h);
  }
  *end = p->error(s->sym[0], s->sym + 1);
}

static void test_order(void **state) {
  (void)state;
  for (int k = 0; k < 2; k++) {
    rig r = rig_make(k == 0 ? timed : plain, "");
    for (const dpi_lane_tableau *const *m = dpi_lane_tableau_all(); *m != NULL; m++) {
      stepper s = stepper_make(&r, def_of((*m)->name, 1e-6, 1e-6));
      double e1, e2, d1, d2;
      int coarse = (*m)->order > 5 ? 12 : 24;
      run_equal(&s, &problems[k], coarse, &e1, &d1);
      run_equal(&s, &problems[k], 2 * coarse, &e2, &d2);
      double order = log2(e1 / e2), dense = s.step.ndense > 0 ? log2(d1 / d2) : 0.0;
      print_message("%-9s %s: error %.2e, order %.2f (%d); dense %.2e, order %.2f; %d steps of tape\n", (*m)->name,
                    k == 0 ? "timed" : "plain", e2, order, (*m)->order, d2, dense, dpi_tape_nstep(s.tape));
      assert_true(order > (*m)->order - 0.35);
      if (s.step.ndense > 0) assert_true(dense > (*m)->order - 1.35);
      stepper_drop(&s);
    }
    rig_drop(&r);
  }
}

/* x' = -k x^2 + u/2 with u = 2: the same as with 1 instead of u/2; without input u is taken to be 0 */
static void test_input(void **state) {
  (void)state;
  static const char *const methods[] = {"rodas5p", "tsit5"};
  for (int m = 0; m < 2; m++) {
    rig r = rig_make("x' = -k*x^2; x = 3; k = 0.5", ""), q = rig_make("x' = 1 - k*x^2; x = 3; k = 0.5", "");
    dpi_lane_step_def def = def_of(methods[m], 1e-6, 1e-8);
    stepper with = stepper_make(&q, def), without = stepper_make(&r, def);
    def.input = true;
    stepper given = stepper_make(&r, def);
    with.sym[1] = without.sym[1] = given.sym[1] = 3.0;
    given.sym[r.sys->nsym + DPI_LANE_U] = 1.0;
    double x = stepper_try(&with, 0.3)[0];
    rig_near("with input", 0.3, stepper_try(&given, 0.3)[0], x, 1e-15, 0.0);
    given.sym[r.sys->nsym + DPI_LANE_U] = 0.0;
    rig_near("input 0", 0.3, stepper_try(&given, 0.3)[0], stepper_try(&without, 0.3)[0], 1e-15, 0.0);
    assert_true(fabs(without.out[0] - x) > 0.1);
    stepper_drop(&with);
    stepper_drop(&without);
    stepper_drop(&given);
    rig_drop(&r);
    rig_drop(&q);
  }
}

static void test_dense_ends(void **state) {
  (void)state;
  rig r = rig_make(timed, "");
  for (const dpi_lane_tableau *const *m = dpi_lane_tableau_all(); *m != NULL; m++) {
    stepper s = stepper_make(&r, def_of((*m)->name, 1e-6, 1e-6));
    s.sym[0] = 0.3;
    s.sym[1] = 0.7;
    s.sym[2] = 1.1;
    stepper_try(&s, 0.17);
    double x[2];
    stepper_dense(&s, 0.0, x);
    assert_memory_equal(x, s.sym + 1, sizeof x);
    stepper_dense(&s, 1.0, x);
    assert_memory_equal(x, s.out, sizeof x);
    stepper_drop(&s);
  }
  rig_drop(&r);
}

/* the norm against the same made from the error nodes by hand */
static void test_norm(void **state) {
  (void)state;
  rig r = rig_make(
      "a' = -a*b; b' = a - b; c' = b*b - 0.1*c; d' = a*c; e' = -3*e; a = 1; b = 2; c = 0.5; d = 0; e = 100", "");
  for (const dpi_lane_tableau *const *m = dpi_lane_tableau_all(); *m != NULL; m++) {
    const double atol[5] = {1e-3, 1e-5, 1e-7, 1e-2, 1e-1};
    dpi_lane_step_def def = def_of((*m)->name, 1e-4, 0.0);
    def.atol_state = atol;
    stepper s = stepper_make(&r, def);
    const double x0[5] = {1, 2, 0.5, 0, 100};
    memcpy(s.sym + 1, x0, sizeof x0);
    for (double h = 1e-3; h < 10; h *= 3) {
      stepper_try(&s, h);
      double worst = 0.0;
      for (int k = 0; k < 5; k++) {
        double e = 0.0;
        for (int i = 0; i < s.step.nstage; i++)
          e += (*m)->error[i] * s.out[step_out_at(5, STEP_STAGE) + i * 5 + k];
        worst = fmax(worst, fabs(e) / (atol[k] + 1e-4 * fmax(fabs(x0[k]), fabs(s.out[k]))));
      }
      rig_near("err", h, stepper_out(&s, STEP_ERR), worst, 1e-7, 1e-9); /* the sum over stages cancels */
    }
    stepper_drop(&s);
  }
  rig_drop(&r);
}

/* a rate that is not finite, in whatever state it is, refuses the step; the others' errors don't hide it */
static void test_not_finite(void **state) {
  (void)state;
  rig r = rig_make("a' = -a; b' = ln(b); c' = -c; d' = 1/d; a = 1; b = 1; c = 1; d = 1", "");
  for (const dpi_lane_tableau *const *m = dpi_lane_tableau_all(); *m != NULL; m++) {
    stepper s = stepper_make(&r, def_of((*m)->name, 1e-6, 0.0));
    for (int k = 0; k < 3; k++) {
      const double x[3][4] = {{1, -1, 1, 1}, {1, 1, 1, 0}, {INFINITY, 1, 1, 1}};
      memcpy(s.sym + 1, x[k], sizeof x[k]);
      stepper_try(&s, 0.1);
      assert_true(stepper_out(&s, STEP_ERR) == INFINITY);
    }
    const double still[4] = {0, 1, 0, 1e300}; /* 0 against a tolerance of 0 */
    memcpy(s.sym + 1, still, sizeof still);
    stepper_try(&s, 0.1);
    assert_true(stepper_out(&s, STEP_ERR) == 0.0);
    stepper_drop(&s);
  }
  rig_drop(&r);
}

static const char *const robertson =
    "y1' = -k1*y1 + k3*y2*y3; y2' = k1*y1 - k3*y2*y3 - k2*y2^2; y3' = k2*y2^2; y1 = 1; y2 = 0; y3 = 0; k1 = 0.04; k2 = "
    "3e7; k3 = 1e4";

/* published values at t = 40 (Hairer, Wanner II) and 1e11 (Test Set for IVP Solvers) */
static void test_robertson(void **state) {
  (void)state;
  rig r = rig_make(robertson, "");
  static const struct {
    const char *method;
    double rtol, error;
    long most;
  } cases[] = {{"rodas4", 1e-8, 1e-6, 2600},
               {"rodas4p2", 1e-8, 1e-6, 2400},
               {"rodas5p", 1e-8, 1e-7, 1200},
               {"rodas5p", 1e-4, 1e-4, 200}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    stepper s = stepper_make(&r, def_of(cases[i].method, cases[i].rtol, cases[i].rtol * 1e-14));
    s.sym[1] = 1.0;
    assert_true(stepper_go(&s, 40.0, 1e-6));
    rig_near("y1", 40, s.sym[1], 0.7158270688, cases[i].error, 0.0);
    rig_near("y2", 40, s.sym[2], 9.185534765e-6, cases[i].error, 0.0);
    rig_near("y3", 40, s.sym[3], 0.2841637457, cases[i].error, 0.0);
    assert_true(stepper_go(&s, 1e11, 1.0));
    rig_near("y1", 1e11, s.sym[1], 0.2083340149701255e-7, cases[i].error, 0.0);
    rig_near("y2", 1e11, s.sym[2], 0.8333360770334713e-13, cases[i].error, 0.0);
    rig_near("y3", 1e11, s.sym[3], 0.9999999791665050, cases[i].error, 0.0);
    assert_true(stepper_out(&s, STEP_GROWTH) < 10.0);
    print_message("%s at %g: %ld steps, %ld refused\n", cases[i].method, cases[i].rtol, s.naccept, s.nreject);
    assert_true(s.naccept + s.nreject <= cases[i].most);
    stepper_drop(&s);
  }
  rig_drop(&r);
}

/* explicit: a stiff decay held at the border of stability is seen; a slow one is not */
static void test_stiffness(void **state) {
  (void)state;
  rig r = rig_make("x' = -k*(x - cos(time)); x = 1; k = 1000", "");
  stepper s = stepper_make(&r, def_of("tsit5", 1e-4, 1e-6));
  s.sym[1] = 1.0;
  double h = 1e-3;
  int n = 0, border = 0;
  for (; s.sym[0] < 1.0; n++) {
    stepper_try(&s, h);
    border += stepper_out(&s, STEP_GROWTH) > 0.8 * s.step.limit;
    if (stepper_out(&s, STEP_ERR) <= 1.0) stepper_accept(&s, h);
    h *= stepper_factor(&s);
  }
  print_message("stiff: %d of %d steps at the border\n", border, n);
  assert_true(border > n / 2);
  stepper_try(&s, 1e-4);
  rig_near("h lambda", 1, stepper_out(&s, STEP_GROWTH), 0.1, 0.1, 0.0);
  stepper_drop(&s);
  rig_drop(&r);
}

/* what hangs on parameters alone is not computed in every step; a step costs what it did */
static void test_work(void **state) {
  (void)state;
  rig r = rig_make("x' = -exp(k)*(1 + k^2)*x^2; x = 1; k = 1", ""), q = rig_make("x' = -k*x^2; x = 1; k = 1", ""),
      rob = rig_make(robertson, "");
  stepper a = stepper_make(&r, def_of("rodas5p", 1e-6, 1e-6)), b = stepper_make(&q, def_of("rodas5p", 1e-6, 1e-6)),
          c = stepper_make(&rob, def_of("rodas5p", 1e-6, 1e-6));
  assert_int_equal(dpi_tape_nstep(a.tape), dpi_tape_nstep(b.tape));
  assert_true(dpi_tape_nstep(c.tape) <= 365);
  stepper_drop(&a);
  stepper_drop(&b);
  stepper_drop(&c);
  rig_drop(&r);
  rig_drop(&q);
  rig_drop(&rob);
}

static void test_refused(void **state) {
  (void)state;
  rig r = rig_make("x' = -x; x = 1", "");
  dpi_arena arena;
  dpi_lane_step step;
  dpi_arena_init(&arena, r.ctx);
  dpi_lane_step_def def = def_of("euler", 1e-6, 1e-6);
  assert_int_equal(dpi_lane_step_build(r.ctx, r.sys, &def, &arena, &step), DP_ERR_USAGE);
  def.method = "rodas5p";
  r.sys->ndelayed = 1;
  assert_int_equal(dpi_lane_step_build(r.ctx, r.sys, &def, &arena, &step), DP_ERR_UNSUPPORTED);
  r.sys->ndelayed = 0;
  dpi_arena_release(&arena);
  rig_drop(&r);
}

/* wherever memory runs out, it is said and nothing is lost */
static void test_memory(void **state) {
  (void)state;
  static const char *const methods[] = {"rodas5p", "tsit5"};
  for (int m = 0; m < 2; m++) {
    failing_memory memory = {0};
    rig r = {.ctx = failing_context(&memory)};
    assert_non_null(r.ctx);
    rig_must(&r, dpi_antimony_read(r.ctx, timed, strlen(timed), "test.ant", &r.model));
    rig_must(&r, dp_model_seal(r.model));
    rig_must(&r, dpi_system_create(r.ctx, r.model, NULL, 0, &r.sys));
    dpi_lane_step_def def = def_of(methods[m], 1e-6, 1e-6);
    bool done = false;
    for (long n = 0; !done; n++) {
      dpi_arena arena;
      dpi_lane_step step;
      dpi_tape *tape = NULL;
      dpi_arena_init(&arena, r.ctx);
      failing_next(&memory, n);
      dp_status status = dpi_lane_step_build(r.ctx, r.sys, &def, &arena, &step);
      if (status == DP_OK) status = step_tape(r.ctx, r.sys, &step, &tape);
      done = !failing_happened(&memory);
      failing_never(&memory);
      assert_int_equal(status, done ? DP_OK : DP_ERR_MEMORY);
      dpi_tape_destroy(tape);
      dpi_arena_release(&arena);
    }
    rig_drop(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),     cmocka_unit_test(test_input),      cmocka_unit_test(test_dense_ends),
      cmocka_unit_test(test_norm),      cmocka_unit_test(test_not_finite), cmocka_unit_test(test_robertson),
      cmocka_unit_test(test_stiffness), cmocka_unit_test(test_work),       cmocka_unit_test(test_refused),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
