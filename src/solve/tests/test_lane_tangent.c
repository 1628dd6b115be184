/* The tangent of a step against differences of the step; its adjoint against the tangent's transpose: rounding. */
#include "lane_step_rig.h"

#include "solve/lane_tangent.h"

/* time, a power, a piecewise rate, a fed loop */
static const char MODEL[] =
    "k1 = 0.7; k2 = 2.1; K = 0.8; n = 2.5; amp = 0.4; a = 1.2; b = 0.3; c = 0.9;\n"
    "a' = -k1*a*c + k2*b^n/(K^n + b^n) + amp*sin(time)\n"
    "b' = k1*a*c - k2*b + piecewise(0.1*K, a > 0.5, ln(a))\n"
    "c' = k2*b - c*exp(-K*a)/(1 + c)\n";
enum { N = 3, NA = 5 };
static const char *const methods[] = {"tsit5", "rodas4", "rodas5p"};
static const double x0[N] = {1.2, 0.3, 0.9}, u0[N] = {0.2, 0, 0.05};

typedef struct bed {
  rig r;
  dpi_arena arena;
  dpi_lane_step step;
  dpi_tape *plain, *tangent;
  dpi_lane_adjoint *adj;
} bed;

/* x_new, stages, S_new, stages' derivatives */
static dpi_tape *tangent_tape(bed *k) {
  const dpi_system *sys = k->r.sys;
  const int n = N * (1 + k->step.nstage), nsym = dpi_tangent_nsym(sys, 2);
  dpi_lane_tangent tan;
  dpi_tape *tape = NULL;
  uint8_t *fast = calloc((size_t)nsym + 1, 1);
  dpi_node *out = calloc((size_t)n * 3 + 1, sizeof *out);
  rig_must(&k->r, dpi_lane_tangent_init(&tan, k->r.ctx, sys, &k->step, 2));
  for (int j = 0; j < N; j++) out[j] = k->step.x_new[j];
  for (int i = 0; i < k->step.nstage * N; i++) out[N + i] = k->step.stage[i / N][i % N];
  for (int i = 0; i < 2 * N; i++) out[n + i] = tan.x_new[i];
  for (int i = 0; i < 2 * N * k->step.nstage; i++) out[n + 2 * N + i] = tan.stage[i];
  dpi_tangent_fast(sys, 2, fast);
  rig_must(&k->r, dpi_tape_create(k->r.ctx, k->r.model->graph, out, 3 * n, fast, nsym, &tape));
  dpi_lane_tangent_release(&tan);
  free(out), free(fast);
  return tape;
}
static int tangent_first(const bed *k) { return N * (1 + k->step.nstage); }

static bed make(const char *method) {
  bed k = {.r = rig_make(MODEL, "k1 k2 K n amp")};
  dpi_arena_init(&k.arena, k.r.ctx);
  const dpi_lane_step_def def = {.method = method, .rtol = 1e-6, .atol = 1e-9, .input = true};
  rig_must(&k.r, dpi_lane_step_build(k.r.ctx, k.r.sys, &def, &k.arena, &k.step));
  rig_must(&k.r, step_tape(k.r.ctx, k.r.sys, &k.step, &k.plain));
  k.tangent = tangent_tape(&k);
  rig_must(&k.r, dpi_lane_adjoint_create(k.r.ctx, &k.step, &k.adj));
  return k;
}

static void drop(bed *k) {
  dpi_lane_adjoint_destroy(k->adj);
  dpi_tape_destroy(k->plain);
  dpi_tape_destroy(k->tangent);
  dpi_arena_release(&k->arena);
  rig_drop(&k->r);
}

static double *run(const bed *k, const dpi_tape *tape, const double *sym) {
  double *reg = calloc((size_t)dpi_tape_nreg(tape) + 1, sizeof *reg),
         *out = calloc((size_t)tape->nout + 1, sizeof *out);
  (void)k;
  dpi_tape_init(tape, reg);
  dpi_tape_prologue(tape, sym, reg);
  dpi_tape_eval(tape, sym, reg, out);
  free(reg);
  return out;
}

/* symbols of a step at time 0.3 with the states, inputs and parameters moved by e times direction q */
static double *symbols(const bed *k, int nsym, double e, int q) {
  const dpi_system *sys = k->r.sys;
  double *sym = calloc((size_t)nsym + 1, sizeof *sym);
  memcpy(sym, k->r.sym, sizeof *sym * (size_t)k->r.model->nsym);
  sym[0] = 0.3;
  sym[dpi_lane_sym(sys, DPI_LANE_H)] = 0.11;
  for (int j = 0; j < N; j++) sym[1 + j] = x0[j] + e * (q ? 0.2 * j - 0.3 : 1.0 / (1 + j));
  for (int j = 0; j < N; j++) sym[dpi_lane_sym(sys, DPI_LANE_U) + j] = u0[j] + e * (q ? 0.4 : -0.1 * j);
  for (int a = 0; a < NA; a++) sym[k->r.active[a]] += e * (q ? 0.5 - 0.1 * a : 0.3 * a);
  return sym;
}

static double *tangent_symbols(const bed *k) {
  const dpi_system *sys = k->r.sys;
  double *sym = symbols(k, dpi_tangent_nsym(sys, 2), 0, 0);
  for (int q = 0; q < 2; q++) {
    for (int j = 0; j < N; j++) sym[dpi_tangent_s(sys, j, q, 2)] = q ? 0.2 * j - 0.3 : 1.0 / (1 + j);
    for (int j = 0; j < N; j++) sym[dpi_tangent_u(sys, j, q, 2)] = q ? 0.4 : -0.1 * j;
    for (int a = 0; a < NA; a++) sym[dpi_tangent_p(sys, a, q, 2)] = q ? 0.5 - 0.1 * a : 0.3 * a;
    sym[dpi_tangent_scale(sys, q, 2)] = 1;
  }
  return sym;
}

static void tangents_are_differences(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(methods); i++) {
    bed k = make(methods[i]);
    double *sym = tangent_symbols(&k), *d = run(&k, k.tangent, sym), *s0 = symbols(&k, dpi_lane_nsym(k.r.sys), 0, 0);
    double *v = run(&k, k.plain, s0);
    const int first = tangent_first(&k), stage = step_out_at(N, STEP_STAGE);
    for (int j = 0; j < first; j++) assert_true(v[j < N ? j : j + 2] == d[j]); /* the step itself */
    for (int q = 0; q < 2; q++) {
      const double e = 1e-6;
      double *sp = symbols(&k, dpi_lane_nsym(k.r.sys), e, q), *sm = symbols(&k, dpi_lane_nsym(k.r.sys), -e, q);
      double *up = run(&k, k.plain, sp), *down = run(&k, k.plain, sm);
      for (int j = 0; j < N; j++) rig_near("S", j, d[first + 2 * j + q], (up[j] - down[j]) / (2 * e), 1e-7, 1e-8);
      for (int j = 0; j < N * k.step.nstage; j++)
        rig_near("V", j, d[first + 2 * (N + j) + q], (up[stage + j] - down[stage + j]) / (2 * e), 1e-7, 1e-8);
      free(sp), free(sm), free(up), free(down);
    }
    free(sym), free(d), free(s0), free(v);
    drop(&k);
  }
}

/* w . (J v) = (J' w) . v, of x_new alone and with dense output */
static void adjoints_are_transposes(void **state) {
  (void)state;
  for (int i = 0; i < DPI_COUNT(methods); i++) {
    bed k = make(methods[i]);
    const dpi_system *sys = k.r.sys;
    double *ts = tangent_symbols(&k), *d = run(&k, k.tangent, ts), *sym = symbols(&k, k.adj->nsym, 0, 0);
    const int first = tangent_first(&k), m = k.step.nstage;
    double w[(1 + DPI_LANE_DENSE_MAX) * N];
    for (int c = 0; c < (1 + k.step.ndense) * N; c++) w[c] = sym[dpi_adjoint_w(sys, -1, 0) + c] = 0.7 - 0.13 * c;
    for (int dense = 0; dense < 2; dense++) {
      double *g = run(&k, dense ? k.adj->back_dense : k.adj->back, sym);
      for (int q = 0; q < 2; q++) {
        double left = 0, right = 0;
        for (int j = 0; j < N; j++) left += w[j] * d[first + 2 * j + q];
        for (int c = 0; dense && c < k.step.ndense; c++)
          for (int j = 0; j < N; j++)
            for (int s = 0; s < m; s++)
              left += w[(1 + c) * N + j] * k.step.dense_weight[c * m + s] * d[first + 2 * (N + s * N + j) + q];
        for (int j = 0; j < N; j++)
          right += g[j] * ts[dpi_tangent_s(sys, j, q, 2)] + g[N + j] * ts[dpi_tangent_u(sys, j, q, 2)];
        for (int a = 0; a < NA; a++) right += g[2 * N + a] * ts[dpi_tangent_p(sys, a, q, 2)];
        rig_near(methods[i], q, right, left, 1e-12, 1e-13);
      }
      free(g);
    }
    double *full = run(&k, k.adj->out, sym), *only = run(&k, k.adj->step, sym), *v = run(&k, k.plain, sym);
    for (int j = 0; j < N; j++) assert_true(full[j] == v[j] && only[j] == v[j]);
    print_message("%s: step %d, tangent of 2 %d, backwards %d, with dense output %d operations\n", methods[i],
                  dpi_tape_nstep(k.plain), dpi_tape_nstep(k.tangent), dpi_tape_nstep(k.adj->back),
                  dpi_tape_nstep(k.adj->back_dense));
    free(full), free(only), free(v), free(ts), free(d), free(sym);
    drop(&k);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tangents_are_differences),
      cmocka_unit_test(adjoints_are_transposes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
