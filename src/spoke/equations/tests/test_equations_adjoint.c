/* test_equations_adjoint.c - gradients of members that no lane takes back: the adjoint equations by CVODES. Against
 * closed forms, against the steps' own adjoint in lanes and against forward directions of another integrator; how they
 * come together as the tolerance shrinks; with checkpoints; more states than lanes have implicit steps for. */
#include "eq_bed.h"

enum { CHAIN = 30, LONG = 130, NT = 5, NA = 4, TEXT = 16384 };

static double weight_of(int i) { return cos(1.3 * i + 0.4); }

static dp_status weigh(void *user, int member, const double *value, double *weight) {
  const int n = *(const int *)user;
  (void)member, (void)value;
  for (int i = 0; i < n; i++) weight[i] = weight_of(i);
  return DP_OK;
}

typedef struct scene {
  dp_model *model;
  dp_sim *sim;
  double param[64];
  dp_output_time out[NT];
  dp_instant in[2];
  dp_member member;
  int nrow;
} scene;

static const dp_control_def controls[] = {{"bolus", "s1", NULL, NULL, NULL, NULL},
                                          {"drip", "s2", NULL, NULL, NULL, NULL}};
static const char *const active[NA] = {"k", "top", "q", "d"};

/* A chain that feeds back on its first state, stiff at its end, with an event; doses come from outside. */
static void chain_text(int n, char *t) {
  int at = snprintf(t, TEXT,
                    "model chain\n  k = 1.1; top = 1.4; q = 0.6; d = 0.8;\n"
                    "  s1 = 1; s1' = 2/(1 + s%d) - k*s1 + 0.2*sin(time);\n",
                    n);
  for (int j = 2; j <= n; j++)
    at += snprintf(t + at, TEXT - (size_t)at, "  s%d = 0.1; s%d' = %s*(s%d - s%d*(d + 0.1*s%d));\n", j, j,
                   j > n - 3 ? "2000" : "9*k", j - 1, j, j);
  snprintf(t + at, TEXT - (size_t)at, "  at s1 > top: s1 = q*s1, s3 = s3 + 0.1*q;\nend\n");
}

static dp_sim *sim_of(dp_model *m, const char *method, double rtol, const char *last) {
  dp_output_def output[] = {{"s1", NULL, NULL}, {last, NULL, NULL}};
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = method;
  def.rtol = rtol;
  def.atol = rtol * 1e-2;
  def.output = output;
  def.noutput = 2;
  def.active = active;
  def.nactive = NA;
  def.control = controls;
  def.ncontrol = 2;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  return sim;
}

static void open_scene(scene *s, int n, const char *method, double rtol) {
  char *text = malloc(TEXT), last[16];
  assert_non_null(text);
  chain_text(n, text);
  snprintf(last, sizeof last, "s%d", n);
  BED_OK(dpi_antimony_read(bed_ctx, text, strlen(text), "chain", &s->model));
  free(text);
  BED_OK(dp_model_seal(s->model));
  s->sim = sim_of(s->model, method, rtol, last);
  const dp_sim_desc *d = dp_sim_describe(s->sim);
  assert_true(d->nparam <= 64);
  for (int p = 0; p < d->nparam; p++) s->param[p] = d->param_default[p];
  for (int i = 0; i < NT; i++) s->out[i] = (dp_output_time){bed_ticks(6.0 * (i + 0.37) / NT), 10};
  s->in[0] = bed_at(1.0, DP_ADD, 0, 1.5);
  s->in[1] = bed_at(2.5, DP_INFUSE, 1, 2.0);
  s->in[1].rate = 1.6;
  s->nrow = 2 * NT;
  s->member = (dp_member){.param = s->param, .out = s->out, .nout = NT, .instant = s->in, .ninstant = 2};
}

static void close_scene(scene *s) {
  dp_sim_destroy(s->sim);
  dp_model_destroy(s->model);
}

/* By the parameters, then amounts, rate and times of the two doses. */
enum { NG = NA + 5 };
static void back(scene *s, size_t memory, double *g) {
  dp_vjp_opts opts = dp_vjp_opts_default();
  dp_gradient *r = NULL;
  if (memory) opts.memory = memory;
  BED_OK(dp_simulate_vjp(s->sim, &s->member, 1, &opts, weigh, &s->nrow, &r));
  if (r->nfailed) fail_msg("backwards: %s", r->reason[0]);
  for (int a = 0; a < NA; a++) g[a] = r->param[a];
  g[NA] = r->amount[0];
  g[NA + 1] = r->amount[1];
  g[NA + 2] = r->time[0];
  g[NA + 3] = r->time[1];
  g[NA + 4] = r->rate[1];
  dp_gradient_destroy(r);
}

/* The same by directions, but for the rate: NA + 4 of them. */
static void ahead(scene *s, double *g) {
  enum { ND = NA + 4 };
  double seed[NA * ND] = {0};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  for (int a = 0; a < NA; a++) seed[a * ND + a] = 1;
  s->in[0].dir_amount = NA;
  s->in[1].dir_amount = NA + 1;
  s->in[0].dir_time = NA + 2;
  s->in[1].dir_time = NA + 3;
  opts.ndir = ND;
  s->member.seed = seed;
  BED_OK(dp_simulate(s->sim, &s->member, 1, &opts, &r));
  if (r->nfailed) fail_msg("forward: %s", r->reason[0]);
  for (int q = 0; q < ND; q++) {
    g[q] = 0;
    for (int i = 0; i < s->nrow; i++) g[q] += weight_of(i) * r->dvalue[(size_t)i * ND + q];
  }
  g[ND] = NAN;
  dp_result_destroy(r);
}

static double apart(const double *a, const double *b) {
  double size = 0, off = 0;
  for (int i = 0; i < NG; i++) {
    if (isnan(a[i]) || isnan(b[i])) continue;
    size = fmax(size, fabs(b[i]));
    off = fmax(off, fabs(a[i] - b[i]));
  }
  assert_true(size > 0.1); /* something hangs on these numbers */
  return off / size;
}

static void gradient(int n, const char *method, double rtol, bool backwards, double *g) {
  scene s = {0};
  open_scene(&s, n, method, rtol);
  if (backwards) back(&s, 0, g);
  else ahead(&s, g);
  close_scene(&s);
}

/* x' = -k x + R, x(0) = x0: L = w x(T); all derivatives are known. */
static void closed_form(void **state) {
  (void)state;
  static const bed_state states[] = {{"x", "x0", "-k*x"}, {0}};
  static const bed_param params[] = {{"k", 0.4}, {"x0", 3}, {0}};
  static const dp_output_def output[] = {{"x", NULL, NULL}};
  static const dp_control_def control[] = {{"drip", "x", NULL, NULL, NULL, NULL}};
  static const char *const by[] = {"k", "x0"};
  dp_model *m = bed_model(states, params, NULL);
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  dp_gradient *r = NULL;
  dp_vjp_opts opts = dp_vjp_opts_default();
  def.model = m;
  def.method = "cvode";
  def.rtol = 1e-10;
  def.atol = 1e-12;
  def.output = output;
  def.noutput = 1;
  def.active = by;
  def.nactive = 2;
  def.control = control;
  def.ncontrol = 1;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  const double k = 0.4, x0 = 3, T = 5, t0 = 1, t1 = 3, R = 0.7, w = weight_of(0);
  const double param[] = {k, x0};
  const dp_output_time out = {bed_ticks(T), 10};
  dp_instant in = bed_at(t0, DP_INFUSE, 0, R * (t1 - t0));
  in.rate = R;
  const dp_member member = {.param = param, .out = &out, .nout = 1, .instant = &in, .ninstant = 1};
  int nrow = 1;
  BED_OK(dp_simulate_vjp(sim, &member, 1, &opts, weigh, &nrow, &r));
  const double e0 = exp(-k * (T - t0)), e1 = exp(-k * (T - t1));
  const double by_k = -T * x0 * exp(-k * T) - R / (k * k) * (e1 - e0) + R / k * (-(T - t1) * e1 + (T - t0) * e0);
  bed_near(r->param[0], w * by_k, 1e-9, 0, "by k", T);
  bed_near(r->param[1], w * exp(-k * T), 1e-9, 0, "by x0", T);
  bed_near(r->state[0], w * exp(-k * T), 1e-9, 0, "by the start", T);
  bed_near(r->amount[0], w * e1, 1e-9, 0, "by the amount", T); /* it ends later by 1/R */
  bed_near(r->time[0], w * R * (e1 - e0), 1e-9, 0, "by the time", T);
  dp_gradient_destroy(r);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* 3 states (dense) and 30 (sparse), with an event, a dose and an infusion. */
static void beside_lanes(void **state) {
  (void)state;
  static const int sizes[] = {3, CHAIN};
  for (int i = 0; i < 2; i++) {
    double g[NG], lanes[NG], forward[NG];
    gradient(sizes[i], "cvode", 1e-10, true, g);
    gradient(sizes[i], "rodas", 1e-10, true, lanes);
    gradient(sizes[i], "auto", 1e-10, false, forward);
    const double a = apart(g, lanes), b = apart(g, forward);
    print_message("%d states: steps' own adjoint %.1e, forward %.1e\n", sizes[i], a, b);
    assert_true(a <= 1e-8 && b <= 1e-8);
  }
}

static void shrinks(void **state) {
  (void)state;
  static const double rtol[] = {1e-5, 1e-7, 1e-9}, most[] = {1e-5, 1e-7, 1e-8};
  double best[NG], g[NG];
  gradient(CHAIN, "rodas", 1e-11, true, best);
  double before = 1;
  for (int i = 0; i < 3; i++) {
    gradient(CHAIN, "cvode", rtol[i], true, g);
    const double off = apart(g, best);
    print_message("rtol %g: %.1e\n", rtol[i], off);
    assert_true(off <= most[i] && off < before);
    before = off;
  }
}

/* Few steps kept: checkpoints, and the path once more from each. */
static void checkpoints(void **state) {
  (void)state;
  scene s = {0};
  double g[NG], few[NG], again[NG];
  open_scene(&s, CHAIN, "cvode", 1e-9);
  back(&s, 0, g);
  back(&s, 100000, few);
  back(&s, 0, again);
  close_scene(&s);
  assert_memory_equal(g, again, sizeof g);
  assert_true(apart(few, g) <= 1e-9);
}

/* No implicit lanes for so many states: by `ensemble` members begin in explicit ones and go on alone. */
static void too_many_states(void **state) {
  (void)state;
  double g[NG], forward[NG];
  gradient(LONG, "ensemble", 1e-9, true, g);
  gradient(LONG, "cvode", 1e-9, false, forward);
  const double off = apart(g, forward);
  print_message("%d states: forward %.1e\n", LONG, off);
  assert_true(off <= 1e-6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(closed_form, bed_setup, bed_teardown),
      cmocka_unit_test_setup_teardown(beside_lanes, bed_setup, bed_teardown),
      cmocka_unit_test_setup_teardown(shrinks, bed_setup, bed_teardown),
      cmocka_unit_test_setup_teardown(checkpoints, bed_setup, bed_teardown),
      cmocka_unit_test_setup_teardown(too_many_states, bed_setup, bed_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
