/* test_lane_rates.c - rates as a step writes them: the same numbers as the model's, also at the ends of the range of
 * numbers, for fewer divisions. */
#include "base/tests/failing_memory.h"
#include "solve/lane_step_impl.h"
#include "solve_rig.h"

/* Rates and Jacobian of a model, as they are and rewritten, as two tapes. */
typedef struct pair {
  rig r;
  int nout;
  dpi_tape *tape[2];
  double *reg[2];
} pair;

static dp_status make_tape(const rig *r, const dpi_node *root, int n, dpi_tape **tape) {
  uint8_t *fast = calloc((size_t)r->sys->nsym, 1);
  assert_non_null(fast);
  memset(fast, 1, (size_t)r->sys->nstate + 1);
  dp_status status = dpi_tape_create(r->ctx, r->model->graph, root, n, fast, r->sys->nsym, tape);
  free(fast);
  return status;
}

static pair pair_make(const char *text, bool jacobian) {
  pair p = {.r = rig_make(text, "")};
  const dpi_system *sys = p.r.sys;
  dpi_node root[256];
  for (int k = 0; k < sys->nstate; k++) root[p.nout++] = p.r.model->sym[1 + k].formula;
  for (int k = 0; k < sys->jac_nnz && jacobian; k++)
    root[p.nout++] = dpi_g_diff(p.r.model->graph, root[sys->jac_row[k]], 1 + sys->jac_col[k]);
  assert_true(p.nout <= 256);
  for (int which = 0; which < 2; which++) {
    if (which == 1) rig_must(&p.r, dpi_lane_rewrite(p.r.ctx, sys, root, p.nout));
    rig_must(&p.r, make_tape(&p.r, root, p.nout, &p.tape[which]));
    p.reg[which] = calloc((size_t)dpi_tape_nreg(p.tape[which]), sizeof(double));
    assert_non_null(p.reg[which]);
    dpi_tape_init(p.tape[which], p.reg[which]);
  }
  return p;
}

static void pair_drop(pair *p) {
  for (int which = 0; which < 2; which++) {
    dpi_tape_destroy(p->tape[which]);
    free(p->reg[which]);
  }
  rig_drop(&p->r);
}

static void pair_eval(pair *p, const double *sym, double *model, double *step) {
  for (int which = 0; which < 2; which++) {
    dpi_tape_prologue(p->tape[which], sym, p->reg[which]);
    dpi_tape_eval(p->tape[which], sym, p->reg[which], which == 0 ? model : step);
  }
}

static int count(const dpi_tape *t, int op) {
  int n = 0;
  for (int i = 0; i < t->nbody; i++) n += t->body[i].op == op;
  return n;
}

/* every kind of node, nested */
static const char *const mixed =
    "a' = -k*a/(K + a) + 2*b/L - 3*a*b/(K*L) + c/(1 + a/K)\n"
    "b' = k*(a/L)^3/((b/K)^2 + (a/L)^3 + 1) - b*(1/K + 1/(K + a))/(K + a)\n"
    "c' = piecewise(a/b, b > 0.5, c/(b*L)) - exp(-k*time)/L + max(a/K - c/L, -b)*(1 - k) - (-(c/k))\n"
    "d' = a*b*c*d*a*b*c*d*k/((K + a)*(L + b)) + d^(-2)/K - abs(sin(a/k) - b)/sqrt(1 + d/L)\n"
    "a = 1; b = 2; c = 0.5; d = 1.5; k = 0.7; K = 3; L = 0.2";

static void test_values(void **state) {
  (void)state;
  pair p = pair_make(mixed, true);
  double model[64], step[64], sym[64];
  memcpy(sym, p.r.sym, sizeof *sym * (size_t)p.r.sys->nsym);
  for (int i = 0; i < 200; i++) {
    sym[0] = 0.01 * i;
    for (int s = 1; s <= p.r.sys->nstate; s++) sym[s] = 0.1 + fmod(0.37 * s + 0.618 * i * s, 3.0);
    for (int s = p.r.sys->nstate + 1; s < p.r.sys->nsym; s++) sym[s] = p.r.sym[s] * (0.5 + fmod(0.273 * i * s, 1.0));
    pair_eval(&p, sym, model, step);
    for (int k = 0; k < p.nout; k++) rig_near("value", k, step[k], model[k], 1e-12, 1e-12);
  }
  pair_drop(&p);
}

/* divisions of an evaluation, without and with the Jacobian */
static void test_divisions(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int rates, all;
  } cases[] = {
      {"x' = -k*x/V + x/(V*V)/K - 3*x/7; x = 1; k = 1; V = 2; K = 3", 0, 0},
      {"x' = -Vm*x/(Km + x); x = 1; Vm = 1; Km = 2", 1, 1},
      {"x' = -Vm*x/(Km + x); y' = x*y/(Km + x) - y/(Km + x)/Km; x = 1; y = 1; Vm = 1; Km = 2", 1, 1},
      {"x' = k*x^4/(K^4 + x^4) - x; y' = -k*y/(1 + x/K); x = 1; y = 1; k = 1; K = 2", 2, 2},
      {"x' = 1/(1 + x) - 1/(1 + x)^2; x = 1", 2, 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int jacobian = 0; jacobian < 2; jacobian++) {
      pair p = pair_make(cases[i].text, jacobian);
      const int n = count(p.tape[1], DPI_OP_DIV), most = jacobian ? cases[i].all : cases[i].rates;
      print_message("%s: %d divisions, %d as written\n", cases[i].text, n, count(p.tape[0], DPI_OP_DIV));
      assert_true(n <= most);
      pair_drop(&p);
    }
  }
}

/* one division for a lonely quotient, and no product more */
static void test_lonely(void **state) {
  (void)state;
  pair p = pair_make("x' = y/(1 + x); y' = x/(1 + y); x = 1; y = 1", false);
  assert_int_equal(count(p.tape[1], DPI_OP_DIV), 2);
  assert_int_equal(count(p.tape[1], DPI_OP_MUL), 0);
  pair_drop(&p);
}

/* what is finite as written is finite rewritten, for sizes from 1e-300 to 1e300, with the same value */
static void test_range(void **state) {
  (void)state;
  pair p = pair_make("x' = -k*x/K + x/(K + x) + (x/K)^16; y' = k*y/K*(y/(K + x)); x = 1; y = 1; k = 1; K = 1", true);
  double model[16], step[16], sym[16];
  const int k = rig_sym(&p.r, "k"), big = rig_sym(&p.r, "K"), x = rig_sym(&p.r, "x"), y = rig_sym(&p.r, "y");
  memcpy(sym, p.r.sym, sizeof *sym * (size_t)p.r.sys->nsym);
  int finite = 0;
  for (int i = -300; i <= 300; i += 20) {
    sym[x] = pow(10.0, i);
    sym[y] = 3.0 * pow(10.0, -i / 3.0);
    for (int e = -1; e <= 1; e++) {
      sym[big] = 0.7 * pow(10.0, i + e);
      sym[k] = pow(10.0, i / 4.0);
      pair_eval(&p, sym, model, step);
      for (int j = 0; j < p.nout; j++) {
        if (!isfinite(model[j]) || fabs(model[j]) > 1e307 || fabs(model[j]) < 1e-290) continue;
        rig_near("value", i, step[j], model[j], 1e-12, 0.0);
        finite++;
      }
    }
  }
  assert_true(finite > 250);
  pair_drop(&p);
}

/* dividing by 0 where nobody looks, by an infinite parameter, and 0 by 0 */
static void test_zero(void **state) {
  (void)state;
  pair p = pair_make("x' = piecewise(-x, K <= 0, -x/K); y' = -y/L; z' = z*q/s; x = 2; y = 1; z = 1; K = 0; L = 1;"
                     "q = 0; s = 0",
                     true);
  double model[8], step[8], sym[16];
  memcpy(sym, p.r.sym, sizeof *sym * (size_t)p.r.sys->nsym);
  sym[1] = 2.0, sym[2] = sym[3] = 1.0;
  sym[rig_sym(&p.r, "L")] = INFINITY;
  pair_eval(&p, sym, model, step);
  for (int j = 0; j < p.nout; j++) assert_true(step[j] == model[j] || (isnan(step[j]) && isnan(model[j])));
  assert_true(step[rig_state(&p.r, "x")] == -2.0 && step[rig_state(&p.r, "y")] == 0.0);
  assert_true(isnan(step[rig_state(&p.r, "z")]));
  pair_drop(&p);
}

/* wherever memory runs out, it is said and nothing is lost */
static void test_memory(void **state) {
  (void)state;
  failing_memory memory = {0};
  rig r = {.ctx = failing_context(&memory)};
  assert_non_null(r.ctx);
  rig_must(&r, dpi_antimony_read(r.ctx, mixed, strlen(mixed), "test.ant", &r.model));
  rig_must(&r, dp_model_seal(r.model));
  rig_must(&r, dpi_system_create(r.ctx, r.model, NULL, 0, &r.sys));
  bool done = false;
  for (long n = 0; !done; n++) {
    dpi_node root[4];
    for (int k = 0; k < 4; k++) root[k] = r.model->sym[1 + k].formula;
    failing_next(&memory, n);
    dp_status status = dpi_lane_rewrite(r.ctx, r.sys, root, 4);
    done = !failing_happened(&memory);
    failing_never(&memory);
    assert_int_equal(status, done ? DP_OK : DP_ERR_MEMORY);
  }
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values), cmocka_unit_test(test_divisions), cmocka_unit_test(test_lonely),
      cmocka_unit_test(test_range),  cmocka_unit_test(test_zero),      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
