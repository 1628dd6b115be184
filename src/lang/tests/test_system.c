/* Compiled systems: Jacobian and parameter derivatives against central differences, initial values and their
 * derivatives against closed forms, shape (linear, autonomous) against models whose shape is known. */
#include "lang_check.h"

typedef struct values {
  double *reg, *out;
} values;

static void run_tape(const dpi_tape *t, const double *sym, double *out) {
  double *reg = DPI_NEW_ARRAY(ctx, double, dpi_tape_nreg(t));
  dpi_tape_init(t, reg);
  dpi_tape_prologue(t, sym, reg);
  dpi_tape_eval(t, sym, reg, out);
  dpi_free(ctx, reg);
}

static void check_columns(const dpi_system *sys, double *sym, const double *full, bool of_params) {
  int n = sys->nstate, ncol = of_params ? sys->nactive : n,
      nnz = of_params ? sys->fp_nnz : sys->jac_nnz;
  const int *row = of_params ? sys->fp_row : sys->jac_row,
            *col = of_params ? sys->fp_col : sys->jac_col;
  const double *value = full + n + (of_params ? sys->jac_nnz : 0);
  double *up = DPI_NEW_ARRAY(ctx, double, n), *down = DPI_NEW_ARRAY(ctx, double, n);
  for (int j = 0, k = 0; j < ncol; j++) {
    int s = of_params ? sys->active[j] : 1 + j;
    double v = sym[s], h = 1e-6 * (1 + fabs(v));
    sym[s] = v + h;
    run_tape(sys->rhs, sym, up);
    sym[s] = v - h;
    run_tape(sys->rhs, sym, down);
    sym[s] = v;
    for (int i = 0; i < n; i++) {
      double want = (up[i] - down[i]) / (2 * h), got = 0;
      if (k < nnz && col[k] == j && row[k] == i) got = value[k++];
      assert_true(near_enough(got, want, 1e-7));
    }
    if (j == ncol - 1) assert_int_equal(k, nnz); /* sorted by column, then row, nothing left over */
  }
  dpi_free(ctx, up);
  dpi_free(ctx, down);
}

static const char *const models[] = {
    "A' = -k*A + B^n/(1 + B^n); B' = k*A - q*B*C; C' = sin(time)*B - C^2; "
    "A=1;B=0.5;C=2;k=0.3;n=2.5;q=1.2;",
    "species S, P, E; J1: S + E -> P + E; Vm*E*S/(Km*(1 + P/Ki) + S); J2: P -> ; k*P; "
    "S=3;P=0.2;E=1;Vm=2;Km=0.5;Ki=0.7;k=0.1",
    "x' = piecewise(a*x, x < y, a*y*x); y' = max(x, b*y) - min(a, x)*y; x = 1.5; y = 1.2; a = 0.4; "
    "b = 2",
    "x' = v; v' = mu*(1 - x^2)*v - x + exp(-time)*w; x = 0.3; v = 1; mu = 5; w = 0.1",
};

static void derivatives_match_differences(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(models); k++) {
    dp_model *m = read_sealed(models[k]);
    dpi_system *sys = NULL;
    int active[16], nactive = 0;
    double sym[32], full[200];
    for (int s = 1; s < m->nsym; s++)
      if (m->sym[s].kind == DPI_SYM_PARAM) active[nactive++] = s;
    check_ok(dpi_system_create(ctx, m, active, nactive, &sys));
    for (int s = 0; s < m->nsym; s++) sym[s] = m->sym[s].value;
    sym[0] = 0.7;
    run_tape(sys->init, sym, full);
    for (int i = 0; i < m->nstate; i++) sym[1 + i] = full[i];
    run_tape(sys->full, sym, full);
    double rhs[16];
    run_tape(sys->rhs, sym, rhs);
    for (int i = 0; i < m->nstate; i++) {
      assert_memory_equal(&rhs[i], &full[i], sizeof(double));
      assert_true(near_enough(rhs[i], oracle(m->graph, m->sym[1 + i].formula, sym), 1e-14));
    }
    check_columns(sys, sym, full, false);
    check_columns(sys, sym, full, true);
    assert_false(sys->linear);
    dpi_system_destroy(sys);
    dp_model_destroy(m);
  }
}

/* x0 = D F, y0 = x0^2 + a: derivatives by hand */
static void initial_values_and_their_derivatives(void **state) {
  (void)state;
  dp_model *m = read_sealed("x' = -x; y' = x; x = D*F; y = x^2 + a; D = 3; F = 0.5; a = 1; b = 2");
  dpi_system *sys = NULL;
  int active[3] = {sym_of(m, "D"), sym_of(m, "a"), sym_of(m, "b")};
  double sym[8], out[8];
  check_ok(dpi_system_create(ctx, m, active, 3, &sys));
  for (int s = 0; s < m->nsym; s++) sym[s] = m->sym[s].value;
  run_tape(sys->init, sym, out);
  const double want[8] = {1.5, 3.25, 0.5, 0, 0, 2 * 1.5 * 0.5, 1, 0};
  for (int i = 0; i < 8; i++) assert_true(near_enough(out[i], want[i], 1e-15));
  dpi_system_destroy(sys);
  dp_model_destroy(m);
}

static void shapes_are_recognised(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool linear, autonomous;
  } cases[] = {
      {"A' = -k*A; B' = k*A - q*B + r; A=1;B=0;k=1;q=exp(k);r=2", true, true},
      {"A' = -k*(A - B)/V; B' = k*(A - B) - B*2^p; A=1;B=0;k=1;V=3;p=2", true, true},
      {"A' = piecewise(-k*A, k > 1, -2*A); A = 1; k = 1", true,
       true}, /* the condition is constant */
      {"A' = 3; A = 0", true, true},
      {"A' = -k*A + time; A = 1; k = 1", false, false},
      {"A' = -k*A*sin(time); A = 1; k = 1", false, false},
      {"A' = -A^2; A = 1", false, true},
      {"A' = -A*B; B' = A; A = 1; B = 1", false, true},
      {"A' = piecewise(1, A > 3, 2); A = 0", false, true},         /* J = 0 but it jumps */
      {"A' = piecewise(A + 1, A > 3, A + 2); A = 0", false, true}, /* J = 1 on both sides */
      {"A' = floor(A); A = 0", false, true},
      {"A' = mod(A, 3); A = 0", false, true},
      {"A' = abs(A); A = 1", false, true},
      {"A' = max(A, 1); A = 1", false, true},
      {"A' = -k*A + piecewise(1, time < 5, 0); A = 1; k = 1", false, false},
      {"A' = lgamma(A); A = 1", false, true},
  };
  for (int i = 0; i < DPI_COUNT(cases); i++) {
    dp_model *m = read_sealed(cases[i].text);
    dpi_system *sys = NULL;
    check_ok(dpi_system_create(ctx, m, NULL, 0, &sys));
    if (sys->linear != cases[i].linear || sys->autonomous != cases[i].autonomous)
      print_message("%s\n", cases[i].text);
    assert_int_equal(sys->linear, cases[i].linear);
    assert_int_equal(sys->autonomous, cases[i].autonomous);
    dpi_system_destroy(sys);
    dp_model_destroy(m);
  }
}

static void what_depends_on_parameters_only_is_not_repeated(void **state) {
  (void)state;
  dp_model *m = read_sealed("A' = -exp(k)*ln(V)*A; A = 1; k = 1; V = 2");
  dpi_system *sys = NULL;
  check_ok(dpi_system_create(ctx, m, NULL, 0, &sys));
  assert_int_equal(dpi_tape_nstep(sys->rhs), 2); /* one product, one sign */
  assert_int_equal(dpi_tape_nstep(sys->full), 2);
  assert_int_equal(sys->jac_nnz, 1);
  dpi_system_destroy(sys);
  dp_model_destroy(m);
}

static void wrong_calls_are_refused(void **state) {
  (void)state;
  dpi_system *sys = NULL;
  dp_model *m = read_text("A' = -k*A; A = 1; k = 1");
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_system_create(ctx, m, NULL, 0, &sys), DP_ERR_USAGE);
  dp_ctx_clear_error(ctx);
  check_ok(dpi_model_seal(m));
  int active = 1; /* a state */
  assert_int_equal(dpi_system_create(ctx, m, &active, 1, &sys), DP_ERR_USAGE);
  assert_non_null(strstr(dp_ctx_error(ctx), "'A' can't carry derivatives"));
  dp_ctx_clear_error(ctx);
  dp_model_destroy(m);
  m = read_sealed("k = 1"); /* no states at all */
  check_ok(dpi_system_create(ctx, m, NULL, 0, &sys));
  double reg[4] = {0}, sym[2] = {0, 1};
  assert_true(dpi_tape_nreg(sys->rhs) <= 4);
  dpi_tape_init(sys->rhs, reg);
  dpi_tape_prologue(sys->rhs, sym, reg);
  dpi_tape_eval(sys->rhs, sym, reg, NULL);
  dpi_system_destroy(sys);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(derivatives_match_differences),
      cmocka_unit_test(initial_values_and_their_derivatives),
      cmocka_unit_test(shapes_are_recognised),
      cmocka_unit_test(what_depends_on_parameters_only_is_not_repeated),
      cmocka_unit_test(wrong_calls_are_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
