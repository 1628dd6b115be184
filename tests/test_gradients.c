/* Gradients backwards (dp_simulate_vjp) against forward sensitivities of another integrator, and against Richardson differences:
 * inline models with all that a member's time may hold; given files or folders of SBML as arguments, those (tools/run_gradients.sh).
 *
 *     test_gradients                     inline models
 *     test_gradients shrink FILE.xml[@END] ...  how backwards and forward come together as tolerances shrink
 *     test_gradients cost N FILE.xml[@END] ...  seconds for values, and for derivatives by N parameters either way, code ready
 *     test_gradients FILE.xml[@END] ...  each file: its active parameters are its first 20, outputs its first 12 states at 6 times
 *                                        up to its end; initial states are numbers of the gradient too
 *
 * L = sum of w value, w fixed numbers of either sign. Agreement is measured in the gradient's largest component.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "doppel/doppel.h"
#include "base/tests/failing_memory.h"
#include "lang/lang.h"

#define T(x) ((dp_time)((x) * 1e9 + ((x) < 0 ? -0.5 : 0.5)))
enum { MOST_ACTIVE = 40, MOST_IN = 8, MOST_OUT = 12, MOST_STATE = 12, MOST_GRAD = MOST_ACTIVE + 3 * MOST_IN + MOST_STATE };

typedef struct task {
  const char *name, *text;
  const char *active[MOST_ACTIVE];
  dp_control_def control[3];
  dp_instant in[MOST_IN];
  double end;
  const char *why; /* not checked against differences because */
} task;

typedef struct bench {
  dp_ctx *ctx;
  dp_model *model;
  dp_sim *back, *ahead, *values, *same; /* lanes; another integrator; lanes again; with directions that choose no step */
  dp_sim_def def;
  dp_output_def output[MOST_STATE];
  dp_member member;
  dp_output_time out[MOST_OUT];
  dp_instant in[MOST_IN];
  double param[512], seed[MOST_ACTIVE * MOST_GRAD];
  double state[512];
  int nactive, active[MOST_ACTIVE], noutput, nstate; /* nstate: initial states that are numbers of the gradient too */
  double rtol;
} bench;

typedef struct verdict {
  double ahead, same, differences, size; /* largest deviations: continuous forward, discrete forward with the same steps, the gradient's largest component */
  int ntied, nlost;                /* numbers whose differences do not settle, as L jumps there; that can't be formed */
  char why[200];                   /* "" or why nothing can be said */
} verdict;

static double weight_of(int row, int output) { return cos(1.3 * row + 2.1 * output + 0.4); }

static dp_status weigh(void *user, int member, const double *value, double *weight) {
  const bench *b = user;
  (void)member;
  (void)value;
  for (int r = 0; r < b->member.nout; r++)
    for (int o = 0; o < b->noutput; o++) weight[r * b->noutput + o] = weight_of(r, o);
  return DP_OK;
}

static bool say(const bench *b, verdict *v, const char *what, const char *reason) {
  snprintf(v->why, sizeof v->why, "%s: %s", what, reason ? reason : dp_ctx_error(b->ctx));
  return false;
}

/* L by this sim at the present numbers. */
static bool value_of(bench *b, verdict *v, double *l) {
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  if (dp_simulate(b->values, &b->member, 1, &opts, &r) != DP_OK) return say(b, v, "simulate", NULL);
  *l = 0;
  for (int i = 0; i < b->member.nout * b->noutput; i++) *l += weight_of(i / b->noutput, i % b->noutput) * r->value[i];
  const bool good = r->nfailed == 0 || say(b, v, "simulate", r->reason[0]);
  dp_result_destroy(r);
  return good;
}

/* Backwards: active parameters, then amount, rate, time of each instant. */
static bool gradient_back(bench *b, verdict *v, const dp_sim *sim, double *g) {
  dp_vjp_opts opts = dp_vjp_opts_default();
  dp_gradient *r = NULL;
  if (dp_simulate_vjp(sim, &b->member, 1, &opts, weigh, b, &r) != DP_OK) return say(b, v, "gradient", NULL);
  for (int a = 0; a < b->nactive; a++) g[a] = r->param[a];
  for (int i = 0; i < b->member.ninstant; i++) {
    g[b->nactive + 3 * i] = r->amount[i];
    g[b->nactive + 3 * i + 1] = r->rate[i];
    g[b->nactive + 3 * i + 2] = r->time[i];
  }
  for (int j = 0; j < b->nstate; j++) g[b->nactive + 3 * b->member.ninstant + j] = r->state[j];
  const bool good = r->nfailed == 0 || say(b, v, "gradient", r->reason[0]);
  dp_gradient_destroy(r);
  return good;
}

/* What an instant's numbers are: amount, given rate, time; those that forward derivatives have are directions too. */
static bool has_part(const dp_instant *in, int part) {
  const bool dose = in->type == DP_ADD || in->type == DP_INFUSE;
  if (part == 0) return dose || in->type == DP_SET || in->type == DP_SCALE;
  if (part == 1) return in->type == DP_INFUSE && in->rate > 0;
  return dose;
}

/* Forward, by those of the numbers that have a column; the others are left as they are in g. */
static bool some_ahead(bench *b, verdict *v, const dp_sim *sim, const int *column, int n, double *g) {
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  const int total = b->nactive + 3 * b->member.ninstant;
  opts.ndir = n;
  for (int a = 0; a < b->nactive; a++)
    for (int q = 0; q < n; q++) b->seed[a * n + q] = q == column[a];
  for (int i = 0; i < b->member.ninstant; i++) {
    b->in[i].dir_amount = column[b->nactive + 3 * i];
    b->in[i].dir_time = column[b->nactive + 3 * i + 2];
  }
  b->member.seed = b->seed;
  const dp_status st = dp_simulate(sim, &b->member, 1, &opts, &r);
  for (int i = 0; i < b->member.ninstant; i++) b->in[i].dir_amount = b->in[i].dir_time = -1;
  b->member.seed = NULL;
  if (st != DP_OK) return say(b, v, "forward", NULL);
  for (int k = 0; k < total; k++) {
    if (column[k] < 0) continue;
    g[k] = 0;
    for (int i = 0; i < b->member.nout * b->noutput; i++)
      g[k] += weight_of(i / b->noutput, i % b->noutput) * r->dvalue[(size_t)i * n + column[k]];
  }
  const bool good = r->nfailed == 0 || say(b, v, "forward", r->reason[0]);
  dp_result_destroy(r);
  return good;
}

/* Forward, so many directions at once; rates of infusions are left as they are in g. */
static bool gradient_ahead(bench *b, verdict *v, const dp_sim *sim, int most, double *g) {
  int column[MOST_GRAD], n = 0;
  const int total = b->nactive + 3 * b->member.ninstant;
  for (int k = 0; k < total; k++) column[k] = -1;
  for (int k = 0; k < total; k++) {
    const int part = (k - b->nactive) % 3;
    if (k < b->nactive || (part != 1 && has_part(&b->in[(k - b->nactive) / 3], part))) column[k] = n++;
    if (n == 0 || (n < most && k + 1 < total)) continue;
    if (!some_ahead(b, v, sim, column, n, g)) return false;
    for (int i = 0; i <= k; i++) column[i] = -1;
    n = 0;
  }
  return true;
}

/* Number k moved by e. */
static void move(bench *b, int k, double e) {
  const int first = b->nactive + 3 * b->member.ninstant;
  if (k < b->nactive) {
    b->param[b->active[k]] += e;
    return;
  }
  if (k >= first) {
    b->state[k - first] += e;
    return;
  }
  dp_instant *in = &b->in[(k - b->nactive) / 3];
  const int part = (k - b->nactive) % 3;
  if (part == 0) in->amount += e;
  if (part == 1) in->rate += e;
  if (part == 2) in->time += T(e);
}

static double number(const bench *b, int k) {
  const int first = b->nactive + 3 * b->member.ninstant;
  if (k < b->nactive) return b->param[b->active[k]];
  if (k >= first) return b->state[k - first];
  const dp_instant *in = &b->in[(k - b->nactive) / 3];
  const int part = (k - b->nactive) % 3;
  return part == 0 ? in->amount : part == 1 ? in->rate : 1;
}

/* Richardson: two sizes of central differences; *doubt: by how much they differ. */
static bool difference_by(bench *b, verdict *v, int k, double h, double *d, double *doubt) {
  static const double at[4] = {1, -1, 2, -2};
  double l[4];
  bool good = true;
  if (k >= b->nactive + 3 * b->member.ninstant) b->member.state0 = b->state;
  for (int i = 0; i < 4 && good; i++) {
    move(b, k, at[i] * h);
    good = value_of(b, v, &l[i]);
    move(b, k, -at[i] * h);
  }
  b->member.state0 = NULL;
  if (!good) return false;
  *doubt = fabs((l[0] - l[1]) / (2 * h) - (l[2] - l[3]) / (4 * h));
  *d = (8 * (l[0] - l[1]) - (l[2] - l[3])) / (12 * h);
  return true;
}

/* The least doubtful of some sizes; tied: none settles, L jumps there. False: none can be formed. */
static bool difference(bench *b, verdict *v, int k, double *d, bool *tied) {
  static const double part[] = {2e-4, 2e-5, 2e-6};
  double scale = fabs(number(b, k)), least = INFINITY, one, doubt;
  const double unit = v->size > 0 ? v->size : 1;
  for (int j = 0; j < b->nstate && k >= b->nactive + 3 * b->member.ninstant; j++) scale = fmax(scale, 0.1 * fabs(b->state[j]));
  for (size_t i = 0; i < sizeof part / sizeof part[0] && !(least < 1e-4 * unit); i++) {
    if (!difference_by(b, v, k, part[i] * (scale > 0 ? scale : 1), &one, &doubt) || !(doubt < least)) continue;
    least = doubt;
    *d = one;
  }
  *tied = !(least < 1e-2 * unit);
  return isfinite(least);
}

static bool compare(bench *b, verdict *v, bool differences) {
  double g[MOST_GRAD], f[MOST_GRAD], s[MOST_GRAD], e[MOST_GRAD], d = 0; /* back, forward; the same with equal steps */
  const int total = b->nactive + 3 * b->member.ninstant + b->nstate;
  if (!gradient_back(b, v, b->back, g) || !gradient_back(b, v, b->same, e)) return false;
  for (int k = 0; k < total; k++) {
    f[k] = g[k];
    s[k] = e[k];
  }
  /* few directions, which fit into lanes whatever the model: there the steps are the same */
  if (!gradient_ahead(b, v, b->ahead, MOST_GRAD, f) || !gradient_ahead(b, v, b->same, 4, s)) return false;
  for (int k = 0; k < total; k++) v->size = fmax(v->size, fmax(fabs(g[k]), fabs(f[k])));
  const double unit = v->size > 0 ? v->size : 1;
  double unit_same = unit; /* steps that suit values alone may give other derivatives */
  for (int k = 0; k < total; k++) unit_same = fmax(unit_same, fmax(fabs(e[k]), fabs(s[k])));
  for (int k = 0; k < total; k++) {
    const double off = fabs(g[k] - f[k]) / unit, off_same = fabs(e[k] - s[k]) / unit_same;
    if (!(off <= v->ahead)) v->ahead = off;
    if (!(off_same <= v->same)) v->same = off_same;
    if (off_same > 1e-10 && getenv("GRADIENTS_VERBOSE")) printf("  number %d: same steps back %.12g forward %.12g\n", k, e[k], s[k]);
    if (off > 1e-6 && getenv("GRADIENTS_VERBOSE")) printf("  number %d: back %.12g ahead %.12g\n", k, g[k], f[k]);
  }
  for (int k = 0; differences && k < total; k++) {
    if (k >= b->nactive && k < total - b->nstate && !has_part(&b->in[(k - b->nactive) / 3], (k - b->nactive) % 3)) continue;
    bool tied;
    if (!difference(b, v, k, &d, &tied)) {
      v->nlost++;
      continue;
    }
    v->ntied += tied;
    if (tied) continue;
    const double off = fabs(g[k] - d) / unit;
    if (!(off <= v->differences)) v->differences = off;
    if (off > 1e-4 && getenv("GRADIENTS_VERBOSE")) printf("  number %d: back %.12g differences %.12g\n", k, g[k], d);
  }
  return true;
}

/* ---- making sims ---- */

static void clear(bench *b) {
  dp_sim_destroy(b->back);
  dp_sim_destroy(b->ahead);
  dp_sim_destroy(b->values);
  dp_sim_destroy(b->same);
  dp_model_destroy(b->model);
  b->back = b->ahead = b->values = b->same = NULL;
  b->model = NULL;
}

static bool make_sims(bench *b, verdict *v, const char *method, const char *const *active, int nactive) {
  b->def.model = b->model;
  b->def.output = b->output;
  b->def.noutput = b->noutput;
  b->def.active = active;
  b->def.nactive = b->nactive = nactive;
  b->def.rtol = b->rtol;
  b->def.atol = b->rtol * 1e-2;
  b->def.method = method;
  if (dp_sim_create(b->ctx, &b->def, &b->back) != DP_OK) return say(b, v, "lanes", NULL);
  if (dp_sim_create(b->ctx, &b->def, &b->values) != DP_OK) return say(b, v, "lanes", NULL);
  b->def.same_steps = true;
  if (dp_sim_create(b->ctx, &b->def, &b->same) != DP_OK) return say(b, v, "lanes", NULL);
  b->def.same_steps = false;
  b->def.method = "auto";
  if (dp_sim_create(b->ctx, &b->def, &b->ahead) != DP_OK) return say(b, v, "auto", NULL);
  const dp_sim_desc *d = dp_sim_describe(b->back);
  if (d->nparam > (int)(sizeof b->param / sizeof b->param[0])) return say(b, v, "parameters", "too many");
  for (int p = 0; p < d->nparam; p++) b->param[p] = d->param_default[p];
  for (int a = 0; a < nactive; a++) b->active[a] = dp_sim_param(b->back, active[a]);
  return true;
}

/* The model's own initial values, so that each can be moved. */
static bool initial_states(bench *b, verdict *v) {
  const dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  if (dp_run_open(b->values, &b->member, 1, &opts, &run) != DP_OK) return say(b, v, "open", NULL);
  const bool good = dp_run_state_get(run, 0, b->state) == DP_OK || say(b, v, "state", NULL);
  dp_run_close(run);
  b->nstate = b->noutput;
  return good;
}

static void times(bench *b, double end, int n) {
  for (int i = 0; i < n; i++) b->out[i] = (dp_output_time){T(end * (i + 0.3719) / (n - 0.6281)), 10};
  b->member = (dp_member){.param = b->param, .out = b->out, .nout = n, .instant = b->in};
}

/* ---- inline models ---- */

#define ADD(t, c, a) {.time = T(t), .type = DP_ADD, .target = c, .amount = a, .dir_amount = -1, .dir_time = -1}
#define INFUSE(t, c, a, r) {.time = T(t), .type = DP_INFUSE, .target = c, .amount = a, .rate = r, .dir_amount = -1, .dir_time = -1}

static const task tasks[] = {
    {.name = "loop without discontinuities",
     .text = "k1 = 0.7; k2 = 2.1; K = 0.8; n = 2.5; a0 = 1.2; b0 = 0.3; a = a0; b = b0*a0; c = 0.9;\n"
             "a' = -k1*a*c + k2*b^n/(K^n + b^n) + 0.4*(1.5 + sin(time)); b' = k1*a*c - k2*b; c' = k2*b - c*exp(-K*a)/(1 + c)",
     .active = {"k1", "k2", "K", "n", "a0", "b0"},
     .end = 9},
    {.name = "switches of the rates",
     .text = "k = 0.7; limit = 0.5; d = 1.5; a = 1; b = 0; a' = -k*a + piecewise(d, b < limit, 0); b' = k*a - b",
     .active = {"k", "limit", "d"},
     .end = 6},
    {.name = "kinks of the rates: max, min, abs",
     .text = "k = 0.7; m = 0.4; q = 1.3; c = 0.2; a = 1; b = 0; a' = -k*max(a - m, c*b) + 0.3*abs(sin(q*time) - b); b' = k*min(a, q*b + c) - b*c",
     .active = {"k", "m", "q", "c"},
     .end = 9},
    {.name = "at rest in what derivatives move",
     .text = "k = 0.7; s = 0; q = 40; p = 2; a = 1; b = 0; c = 0; a' = 1e-3*(p - a) + c; b' = s*sin(9*time) - q*b; c' = q*b - q*c",
     .active = {"k", "s", "q", "p"},
     .end = 8},
    {.name = "doses, lags, infusions",
     .text = "CL = 4; V = 70; ka = 1.1; F = 0.6; L = 0.75; D = 2.5; R = 37; Vm = 9; depot = 0; central = 0.5;\n"
             "depot' = -ka*depot; central' = ka*depot - CL/V*central - Vm*central/(20 + central)",
     .active = {"CL", "V", "ka", "F", "L", "D", "R", "Vm"},
     .control = {{"iv", "central", NULL, NULL, NULL, NULL}, {"all", "depot", "F", "L*(1 + 0.1*F)", "R", "D"}},
     .in = {ADD(0.1, 1, 100), INFUSE(1, 0, 30, 12), {.time = T(2), .type = DP_INFUSE, .target = 1, .amount = 50, .rate = DP_RATE_MODEL,
            .dir_amount = -1, .dir_time = -1}, INFUSE(4.1, 1, 20, DP_DURATION_MODEL),
            {.time = T(5), .type = DP_ADD, .target = 1, .amount = 40, .interval = T(1.7), .repeats = 3, .dir_amount = -1, .dir_time = -1},
            {.time = T(6), .type = DP_SCALE, .target = 1, .amount = 0.7, .dir_amount = -1, .dir_time = -1},
            {.time = T(8), .type = DP_SET, .target = 0, .amount = 3, .dir_amount = -1, .dir_time = -1}},
     .end = 14},
    {.name = "events: state-dependent, delayed, from trigger, assigning parameters",
     .text = "k = 0.9; up = 2; q = 0.5; delay = 0.3; p = 1; a = 0; b = 0; a' = k*p + q*sin(b) ; b' = a - 0.3*b;\n"
             "E1: at a > up: a = 0.2*b + q; E2: at delay*(1 + 0.1*a) after b > 1.5*q: b = b*q, p = p*0.8 + 0.05*a;\n"
             "E3: at 0.2 after a > 1.1*up/1.5, fromTrigger=true: b = a + q",
     .active = {"k", "up", "q", "delay"},
     .end = 8},
    {.name = "events and doses together",
     .text = "k = 0.9; top = 5; q = 0.5; L = 0.4; a = 1; b = 0; on = 1; a' = -k*a*on; b' = k*a - 0.3*b;\n"
             "E1: at a > top: on = 0.5*q, a = a*0.9; E2: at a < 0.3*top: on = 1",
     .active = {"k", "top", "q", "L"},
     .control = {{"bolus", "a", NULL, "L", NULL, NULL}, {"drip", "a", "q", NULL, NULL, NULL}},
     .in = {ADD(1, 0, 6), INFUSE(3, 1, 8, 2.2), ADD(6, 0, 3)},
     .end = 12},
    {.name = "steady states of doses",
     .text = "CL = 4; V = 30; ka = 1.1; L = 0.6; Vm = 6; depot = 0; central = 0;\n"
             "depot' = -ka*depot; central' = ka*depot - CL/V*central - Vm*central/(20 + central)",
     .active = {"CL", "V", "ka", "L", "Vm"},
     .control = {{"oral", "depot", NULL, "L", NULL, NULL}, {"iv", "central", NULL, NULL, NULL, NULL}},
     .in = {{.time = T(0.1), .type = DP_ADD, .target = 0, .amount = 60, .interval = T(6), .steady = 1, .repeats = 1, .dir_amount = -1, .dir_time = -1},
            {.time = T(14), .type = DP_INFUSE, .target = 1, .amount = 20, .rate = 10, .interval = T(8), .steady = 2, .dir_amount = -1, .dir_time = -1}},
     .end = 20},
    {.name = "equilibrium",
     .text = "kin = 3; kout = 0.4; E = 0.5; a = 1; b = 2; a' = kin/(1 + b) - kout*a; b' = E*a - 0.7*b",
     .active = {"kin", "kout", "E"},
     .in = {{.time = T(0), .type = DP_EQUILIBRATE, .dir_amount = -1, .dir_time = -1}, ADD(1, 0, 2)},
     .control = {{"bolus", "a", NULL, NULL, NULL, NULL}},
     .end = 6},
};

/* Model, sims and member of a task. */
static bool lay_task(bench *b, verdict *v, const task *k, const char *method) {
  int nactive = 0, nin = 0, ncontrol = 0;
  while (nactive < MOST_ACTIVE && k->active[nactive]) nactive++;
  while (nin < MOST_IN && k->in[nin].dir_amount < 0) nin++;
  while (ncontrol < 3 && k->control[ncontrol].id) ncontrol++;
  if (dpi_model_read_text(b->ctx, k->text, strlen(k->text), "inline", &b->model) != DP_OK) return say(b, v, "read", NULL);
  if (dp_model_seal(b->model) != DP_OK) return say(b, v, "seal", NULL);
  b->def = dp_sim_def_default();
  b->def.control = k->control;
  b->def.ncontrol = ncontrol;
  static const char *const ids[] = {"a", "b", "depot", "central"};
  const int first = strstr(k->text, "depot") ? 2 : 0;
  b->noutput = 2;
  for (int o = 0; o < 2; o++) b->output[o] = (dp_output_def){ids[first + o], NULL, NULL};
  if (!make_sims(b, v, method, k->active, nactive)) return false;
  times(b, k->end, 7);
  memcpy(b->in, k->in, sizeof b->in);
  b->member.ninstant = nin;
  return true;
}

static bool run_task(bench *b, verdict *v, const task *k, const char *method) {
  return lay_task(b, v, k, method) && compare(b, v, true);
}

static void inline_models(void **state) {
  (void)state;
  static const char *const methods[] = {"rodas", "tsit", "ensemble", "cvode"}; /* cvode: the adjoint equations, not steps */
  dp_ctx_def def = dp_ctx_def_default();
  bench b = {0};
  int nbad = 0;
  assert_int_equal(dp_ctx_create(&def, &b.ctx), DP_OK);
  for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
    for (int m = 0; m < 4; m++) {
      verdict v = {0};
      b.rtol = m == 3 ? 1e-10 : 1e-12;
      const bool good = run_task(&b, &v, &tasks[i], methods[m]);
      const bool right = good && v.ahead <= 1e-6 && (m == 3 || v.same <= 1e-10) && v.differences <= 1e-4;
      print_message("%-70s %-9s forward %.1e, same steps %.1e, differences %.1e %s\n", tasks[i].name, methods[m], v.ahead, v.same, v.differences, v.why);
      nbad += !right;
      clear(&b);
    }
  dp_ctx_destroy(b.ctx);
  assert_int_equal(nbad, 0);
}

/* ---- many members ---- */

enum { MANY = 19 };

/* Gradients of MANY members with parameters of their own: [MANY x (nactive + nstate)]; member 4 fails. */
static void many(bench *b, size_t memory, bool together, double *g) {
  static double param[MANY][8];
  dp_member m[MANY];
  const dp_sim_desc *d = dp_sim_describe(b->back);
  const int row = d->nactive + d->nstate;
  for (int i = 0; i < MANY; i++) {
    for (int p = 0; p < d->nparam; p++) param[i][p] = d->param_default[p] * (1 + 0.013 * i);
    if (i == 4) param[i][0] = NAN;
    m[i] = b->member;
    m[i].param = param[i];
  }
  dp_vjp_opts opts = dp_vjp_opts_default();
  if (memory) opts.memory = memory;
  for (int first = 0; first < MANY; first += together ? MANY : 1) {
    const int n = together ? MANY : 1;
    dp_gradient *r = NULL;
    assert_int_equal(dp_simulate_vjp(b->back, m + first, n, &opts, weigh, b, &r), DP_OK);
    for (int i = 0; i < n; i++) {
      if ((r->status[i] != DP_MEMBER_OK) != (first + i == 4)) fail_msg("member %d: %s", first + i, r->reason[i]);
      if (first + i == 4) assert_non_null(strstr(r->reason[i], "k1"));
      memcpy(g + (first + i) * row, r->param + i * d->nactive, sizeof *g * (size_t)d->nactive);
      memcpy(g + (first + i) * row + d->nactive, r->state + i * d->nstate, sizeof *g * (size_t)d->nstate);
    }
    dp_gradient_destroy(r);
  }
}

/* In lanes or alone, with all states kept or few, on one thread or three: the same bytes. */
static void members_do_not_see_each_other(void **state) {
  (void)state;
  static const task loop = {
      .text = "k1 = 0.7; k2 = 2.1; top = 1.1; a = 1.2; b = 0.3; c = 0.9;\n"
              "a' = -k1*a*c + k2*b/(0.8 + b) + 0.3; b' = k1*a*c - k2*b; c' = k2*b - c/(1 + c); at a > top: a = 0.7*top",
      .active = {"k1", "k2", "top"}, .end = 9};
  static double g[4][MANY * 8];
  for (int k = 0; k < 4; k++) {
    dp_ctx_def def = dp_ctx_def_default();
    bench b = {.rtol = 1e-8};
    verdict v = {0};
    def.nthread = k == 3 ? 3 : 1;
    assert_int_equal(dp_ctx_create(&def, &b.ctx), DP_OK);
    assert_true(run_task(&b, &v, &loop, "rodas"));
    many(&b, k == 1 ? 9000 : 0, k != 2, g[k]);
    clear(&b);
    dp_ctx_destroy(b.ctx);
    if (k) assert_memory_equal(g[0], g[k], sizeof g[0]);
  }
}

/* ---- no memory ---- */

static const task all_sorts = {
    .text = "k = 0.9; top = 5; q = 0.5; L = 0.4; a = 1; b = 0; a' = -k*max(a, b); b' = k*a/(0.2 + a) - 0.3*b;\n"
            "E1: at q after a > top: a = a*0.9, b = b + q",
    .active = {"k", "top", "q", "L"},
    .control = {{"bolus", "a", NULL, "L", NULL, NULL}, {"drip", "a", "q", NULL, NULL, NULL}},
    .in = {ADD(1, 0, 6), INFUSE(3, 1, 8, 2.2)}, .end = 5};

enum { NMEMORY = 3, MOST_MEMORY = 4000 };
typedef dp_status (*worker)(bench *b, double *g); /* what is asked of all_sorts for NMEMORY members */

static dp_status work_back(bench *b, double *g) {
  dp_vjp_opts opts = dp_vjp_opts_default();
  dp_member m[NMEMORY];
  dp_gradient *r = NULL;
  for (int i = 0; i < NMEMORY; i++) m[i] = b->member;
  const dp_status st = dp_simulate_vjp(b->back, m, NMEMORY, &opts, weigh, b, &r);
  if (st != DP_OK) return st;
  assert_int_equal(r->nfailed, 0);
  memcpy(g, r->param, sizeof *g * (size_t)(NMEMORY * b->nactive));
  dp_gradient_destroy(r);
  return DP_OK;
}

static dp_status work_ahead(bench *b, double *g) {
  dp_run_opts opts = dp_run_opts_default();
  dp_member m[NMEMORY];
  dp_result *r = NULL;
  opts.ndir = 2;
  for (int i = 0; i < 2 * b->nactive; i++) b->seed[i] = 0.3 * i + 0.1;
  for (int i = 0; i < NMEMORY; i++) m[i] = b->member;
  for (int i = 0; i < NMEMORY; i++) m[i].seed = b->seed;
  const dp_status st = dp_simulate(b->back, m, NMEMORY, &opts, &r);
  if (st != DP_OK) return st;
  assert_int_equal(r->nfailed, 0);
  memcpy(g, r->dvalue, sizeof *g * (size_t)(b->member.nout * b->noutput * 2));
  dp_result_destroy(r);
  return DP_OK;
}

/* Request n of the work gets no memory: that is said, nothing is lost, and the same sim does the work afterwards. True: there
 * was no request n. */
static bool fails_at(worker work, const char *method, long n, const double *right, double *g) {
  failing_memory memory = {0};
  dp_ctx_def def = failing_def(&memory);
  bench b = {.rtol = 1e-6};
  verdict v = {0};
  def.interpret = true; /* machine code is made in the background, whose requests come at any time */
  def.nthread = 1;
  assert_int_equal(dp_ctx_create(&def, &b.ctx), DP_OK);
  if (!lay_task(&b, &v, &all_sorts, method)) fail_msg("%s", v.why);
  failing_next(&memory, n);
  const dp_status st = work(&b, g);
  const bool through = !failing_happened(&memory);
  failing_never(&memory);
  if ((st == DP_OK) != through || (st != DP_OK && st != DP_ERR_MEMORY)) fail_msg("%s: request %ld: status %d: %s", method, n, st, dp_ctx_error(b.ctx));
  if (st != DP_OK) assert_true(dp_ctx_error(b.ctx)[0] != '\0');
  if (st != DP_OK && work(&b, g) != DP_OK) fail_msg("%s: after request %ld: %s", method, n, dp_ctx_error(b.ctx));
  if (right && memcmp(right, g, sizeof *g * 32) != 0) fail_msg("%s: request %ld changed numbers", method, n);
  clear(&b);
  if (dpi_alloc_live(b.ctx) != 0) fail_msg("%s: request %ld: %zu blocks are lost", method, n, dpi_alloc_live(b.ctx));
  dp_ctx_destroy(b.ctx);
  return through;
}

static void memory_runs_out(void **state) {
  static const char *const methods[] = {"rodas", "tsit", "ensemble", "cvode"};
  static const worker workers[] = {work_back, work_ahead};
  (void)state;
  for (int k = 0; k < 8; k++) {
    double right[64] = {0}, g[64] = {0};
    long n = 0;
    assert_true(fails_at(workers[k / 4], methods[k % 4], MOST_MEMORY, NULL, right));
    while (!fails_at(workers[k / 4], methods[k % 4], n, right, g)) n++;
    assert_true(n > 20);
    print_message("%s %s: %ld requests\n", methods[k % 4], k < 4 ? "backwards" : "forward", n);
  }
}

/* What is not offered, and what does not fit, is said. */
static void refusals(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  bench b = {.rtol = 1e-8};
  verdict v = {0};
  dp_vjp_opts opts = dp_vjp_opts_default();
  dp_gradient *r = NULL;
  assert_int_equal(dp_ctx_create(&def, &b.ctx), DP_OK);
  assert_true(run_task(&b, &v, &tasks[0], "rodas"));
  assert_int_equal(dp_simulate_vjp(b.ahead, &b.member, 1, &opts, weigh, &b, &r), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(b.ctx), "DP_CAP_VJP"));
  assert_int_equal(dp_simulate_vjp(b.back, &b.member, 1, NULL, weigh, &b, &r), DP_ERR_USAGE);
  opts.memory = 3000;
  assert_int_equal(dp_simulate_vjp(b.back, &b.member, 1, &opts, weigh, &b, &r), DP_OK);
  assert_int_equal(r->nfailed, 1);
  assert_non_null(strstr(r->reason[0], "3000 bytes"));
  assert_true(isnan(r->param[0]));
  dp_gradient_destroy(r);
  const dp_functional area = {.kind = DP_INTEGRAL, .to = T(1)};
  b.member.functional = &area;
  b.member.nfunctional = 1;
  assert_int_equal(dp_simulate_vjp(b.back, &b.member, 1, &opts, weigh, &b, &r), DP_ERR_UNSUPPORTED);
  clear(&b);
  dp_ctx_destroy(b.ctx);
}

/* ---- models from files ---- */

/* settings of a case of the SBML Test Suite beside FILE: its duration; else `otherwise` */
static double duration_of(const char *path, double otherwise) {
  char name[512], line[200];
  double d = otherwise;
  snprintf(name, sizeof name, "%s", path);
  char *at = strstr(name, "-sbml-");
  if (!at) return otherwise;
  snprintf(at, sizeof name - (size_t)(at - name), "-settings.txt");
  FILE *f = fopen(name, "r");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "duration: %lf", &d) == 1) break;
  if (f) fclose(f);
  return d;
}

/* The first parameters that have a value and are not zero: a sim without any says which there are. */
static int choose_active(bench *b, verdict *v, int most, const char **active) {
  dp_sim *sim = NULL;
  int n = 0;
  if (dp_sim_create(b->ctx, &b->def, &sim) != DP_OK) {
    say(b, v, "sim", NULL);
    return -1;
  }
  const dp_sim_desc *d = dp_sim_describe(sim);
  for (int p = 0; p < d->nparam && n < most; p++)
    if (isfinite(d->param_default[p]) && d->param_default[p] != 0) active[n++] = strdup(d->param_id[p]);
  b->noutput = d->nstate < MOST_STATE ? d->nstate : MOST_STATE;
  for (int o = 0; o < b->noutput; o++) b->output[o] = (dp_output_def){strdup(d->state_id[o]), NULL, NULL};
  dp_sim_destroy(sim);
  return n;
}

/* What is done with a model of a file whose sims and member are there. */
typedef bool (*deed)(bench *b, verdict *v);

static bool compare_all(bench *b, verdict *v) { return initial_states(b, v) && compare(b, v, true); }

/* most: active parameters; beside: every parameter a little elsewhere, where no events tie. */
static bool with_file(bench *b, verdict *v, const char *path, const char *method, double end, int most, bool beside, deed act) {
  const char *active[MOST_ACTIVE];
  b->noutput = b->nstate = 0;
  dp_ctx_clear_error(b->ctx);
  if (dp_model_read(b->ctx, path, &b->model) != DP_OK) return say(b, v, "read", NULL);
  if (dp_model_seal(b->model) != DP_OK) return say(b, v, "seal", NULL);
  b->def = dp_sim_def_default();
  b->def.model = b->model;
  const int n = choose_active(b, v, most, active);
  bool good = n >= 0;
  if (good && b->noutput == 0) good = say(b, v, "model", "no states");
  good = good && make_sims(b, v, method, active, n);
  for (int a = 0; good && beside && a < n; a++) b->param[b->active[a]] *= 1 + 0.004 * (a % 5 + 1);
  if (good) {
    times(b, end, 6);
    good = act(b, v);
  }
  for (int a = 0; a < n; a++) free((void *)active[a]);
  for (int o = 0; o < b->noutput; o++) free((void *)b->output[o].id);
  return good;
}

static bool run_file(bench *b, verdict *v, const char *path, const char *method, double end, bool beside) {
  return with_file(b, v, path, method, end, 20, beside, compare_all);
}

/* Models of which nothing can be said, and why. */
static const struct {
  const char *name, *why;
} known[] = {
    {"Laske_PLOSComputBiol2019", "more than 100000 steps at rtol 1e-12, forward as backwards"},
    {"SalazarCavazos_MBoC2020", "more than 100000 steps at rtol 1e-12, forward"},
};

/* Refused by what is offered, or on the list: NULL: neither. */
static const char *expected_silence(const char *path, const verdict *v) {
  if (strstr(v->why, "no states") || strstr(v->why, "can't take these equations")) return "not offered";
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strstr(path, known[i].name)) return known[i].why;
  return NULL;
}

/* FILE[@END]: cuts the end off. */
static double end_of(char *path, double otherwise) {
  char *last = strrchr(path, '@');
  if (last) *last = '\0';
  return duration_of(path, last && atof(last + 1) > 0 ? atof(last + 1) : otherwise);
}

/* ---- shrinking with the tolerance ---- */

static const double tolerances[] = {1e-6, 1e-8, 1e-10, 1e-12};
enum { NTOLERANCE = 4 };

static bool compare_ahead(bench *b, verdict *v) { return compare(b, v, false); }

/* By two decades of tolerance at least one of disagreement, down to what rounding leaves. */
static bool shrinks(const double *ahead) {
  bool good = true;
  for (int i = 1; i < NTOLERANCE; i++) good = good && ahead[i] <= fmax(0.1 * ahead[i - 1], 1e-11);
  return good;
}

static void disagreement_shrinks(void **state) {
  (void)state;
  static const char *const methods[] = {"rodas", "tsit"};
  dp_ctx_def def = dp_ctx_def_default();
  bench b = {0};
  assert_int_equal(dp_ctx_create(&def, &b.ctx), DP_OK);
  for (int m = 0; m < 2; m++) {
    double worst[NTOLERANCE] = {0};
    for (int k = 0; k < NTOLERANCE; k++)
      for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        verdict v = {0};
        b.rtol = tolerances[k];
        if (!lay_task(&b, &v, &tasks[i], methods[m]) || !compare(&b, &v, false)) fail_msg("%s: %s", tasks[i].name, v.why);
        worst[k] = fmax(worst[k], v.ahead);
        clear(&b);
      }
    print_message("%-6s worst of all models at 1e-6 .. 1e-12: %.1e %.1e %.1e %.1e\n", methods[m], worst[0], worst[1], worst[2], worst[3]);
    assert_true(shrinks(worst));
  }
  dp_ctx_destroy(b.ctx);
}

static int shrink_files(int argc, char **argv) {
  dp_ctx_def def = dp_ctx_def_default();
  bench b = {0};
  int nbad = 0;
  if (dp_ctx_create(&def, &b.ctx) != DP_OK) return 1;
  for (int i = 0; i < argc; i++) {
    double ahead[NTOLERANCE];
    const double end = end_of(argv[i], 10);
    for (int k = 0; k < NTOLERANCE; k++) {
      verdict v = {0};
      b.rtol = tolerances[k];
      ahead[k] = with_file(&b, &v, argv[i], "rodas", end, 20, false, compare_ahead) ? v.ahead : NAN;
      clear(&b);
    }
    nbad += !shrinks(ahead);
    printf("%s %s at 1e-6 .. 1e-12: %.1e %.1e %.1e %.1e\n", shrinks(ahead) ? "shrinks" : "DOES NOT SHRINK", argv[i], ahead[0], ahead[1], ahead[2], ahead[3]);
  }
  dp_ctx_destroy(b.ctx);
  return nbad > 0;
}

/* ---- what it costs ---- */

enum { NCOST = 256 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cost_of(bench *b, const dp_member *m, int ndir, bool back) {
  const double begun = now();
  dp_run_opts opts = dp_run_opts_default();
  dp_vjp_opts vjp = dp_vjp_opts_default();
  dp_result *r = NULL;
  dp_gradient *g = NULL;
  opts.ndir = ndir;
  const dp_status st = back ? dp_simulate_vjp(b->back, m, NCOST, &vjp, weigh, b, &g) : dp_simulate(b->back, m, NCOST, &opts, &r);
  const double seconds = st == DP_OK && (back ? g->nfailed : r->nfailed) == 0 ? now() - begun : NAN;
  dp_result_destroy(r);
  dp_gradient_destroy(g);
  return seconds;
}

/* Each three times; between them the background has time to make code. */
static bool tell_cost(bench *b, verdict *v) {
  static const char *const what[] = {"values", "forward", "backwards"};
  dp_member m[NCOST];
  const int n = b->nactive;
  int npiece = 0;
  for (int i = 0; i < n * n; i++) b->seed[i] = i % (n + 1) == 0;
  if (dp_sim_warm(b->back, &npiece) != DP_OK) return say(b, v, "warm", NULL);
  for (int k = 0; k < 3; k++) {
    double best = INFINITY;
    for (int i = 0; i < NCOST; i++) {
      m[i] = b->member;
      m[i].seed = k == 1 ? b->seed : NULL;
    }
    for (int i = 0; i < 4; i++) {
      const double s = cost_of(b, m, k == 1 ? n : 0, k == 2);
      if (!(s > best)) best = s;
      if (i == 0) sleep(15);
    }
    printf("  %-9s %8.3f ms a member\n", what[k], 1e3 * best / NCOST);
    fflush(stdout);
  }
  return true;
}

static int cost_files(int argc, char **argv) {
  dp_ctx_def def = dp_ctx_def_default();
  bench b = {.rtol = 1e-6};
  def.nthread = 1;
  if (argc < 1 || dp_ctx_create(&def, &b.ctx) != DP_OK) return 1;
  const int n = atoi(argv[0]);
  for (int i = 1; i < argc; i++) {
    verdict v = {0};
    const double end = end_of(argv[i], 10);
    printf("%s, %d parameters\n", argv[i], n);
    if (!with_file(&b, &v, argv[i], "ensemble", end, n < MOST_ACTIVE ? n : MOST_ACTIVE, false, tell_cost)) printf("  %s\n", v.why);
    clear(&b);
  }
  dp_ctx_destroy(b.ctx);
  return 0;
}

/* ---- many files ---- */

/* Each file in one line; at the end how many agree. */
static int files(int argc, char **argv) {
  dp_ctx_def def = dp_ctx_def_default();
  bench b = {.rtol = 1e-12};
  const char *method = getenv("GRADIENTS_METHOD") ? getenv("GRADIENTS_METHOD") : "rodas";
  const double end = getenv("GRADIENTS_END") ? atof(getenv("GRADIENTS_END")) : 10;
  int agree = 0, beside = 0, ntied = 0, differ = 0, silent = 0, unforeseen = 0;
  double ahead = 0, same = 0, differences = 0;
  if (dp_ctx_create(&def, &b.ctx) != DP_OK) return 1;
  for (int i = 1; i < argc; i++) {
    verdict v = {0};
    char tied[160] = "";
    const double to = end_of(argv[i], end);
    bool good = run_file(&b, &v, argv[i], method, to, false), right = good && v.ahead <= 1e-6 && v.same <= 1e-10 && v.differences <= 1e-4;
    clear(&b);
    if (good && right && v.ntied > 0) snprintf(tied, sizeof tied, "(L jumps at %d of its numbers)", v.ntied);
    if (good && !right) {
      snprintf(tied, sizeof tied, "(at the model's own parameters: forward %.1e, same steps %.1e, differences %.1e)", v.ahead, v.same, v.differences);
      v = (verdict){0};
      good = run_file(&b, &v, argv[i], method, to, true);
      right = good && v.ahead <= 1e-6 && v.same <= 1e-10 && v.differences <= 1e-4;
      clear(&b);
    }
    printf("%-7s %s forward %.1e same steps %.1e differences %.1e %s%s\n", !good ? "unsaid" : !right ? "DIFFER" : v.ntied ? "tied" : tied[0] ? "beside" : "agree",
           argv[i], v.ahead, v.same, v.differences, v.why, tied);
    const char *silence = good ? NULL : expected_silence(argv[i], &v);
    unforeseen += !good && !silence;
    if (!good) printf("        %s\n", silence ? silence : "NOT FORESEEN");
    fflush(stdout);
    *(good ? right ? &agree : &differ : &silent) += 1;
    beside += good && right && tied[0] && !v.ntied;
    ntied += good && right && v.ntied;
    if (right) ahead = fmax(ahead, v.ahead), same = fmax(same, v.same), differences = fmax(differences, v.differences);
  }
  printf("%d agree (worst: forward %.1e, same steps %.1e, differences %.1e), %d of them only beside the model's own parameters, %d where events tie for some "
         "number; %d differ, %d say nothing, %d of them unforeseen\n",
         agree, ahead, same, differences, beside, ntied, differ, silent, unforeseen);
  dp_ctx_destroy(b.ctx);
  return differ + unforeseen > 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "shrink") == 0) return shrink_files(argc - 2, argv + 2);
  if (argc > 1 && strcmp(argv[1], "cost") == 0) return cost_files(argc - 2, argv + 2);
  if (argc > 1) return files(argc, argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(inline_models), cmocka_unit_test(disagreement_shrinks), cmocka_unit_test(members_do_not_see_each_other), cmocka_unit_test(memory_runs_out),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
