/* eq_bed.h - what the tests of the equations spoke share: small models made without a reader, one-member runs, and
 * central Richardson differences. */
#ifndef EQ_BED_H
#define EQ_BED_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doppel/sim.h"
#include "lang/lang.h"

#define NOT_TOLD __attribute__((unused))

typedef struct bed_state {
  const char *id, *init, *rate;
} bed_state;

typedef struct bed_param {
  const char *id;
  double value;
} bed_param;

typedef struct bed_event {
  const char *trigger, *delay, *priority;
  bool initial_value, persistent, from_trigger;
  const char *target, *value;
} bed_event;

static dp_ctx *bed_ctx;

#define BED_OK(call)                                                                    \
  do {                                                                                  \
    if ((call) != DP_OK) fail_msg("%s:%d: %s", __FILE__, __LINE__, dp_ctx_error(bed_ctx)); \
  } while (0)

NOT_TOLD static int bed_setup(void **state) {
  (void)state;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 2;
  return dp_ctx_create(&def, &bed_ctx) == DP_OK ? 0 : -1;
}

NOT_TOLD static int bed_teardown(void **state) {
  (void)state;
  const size_t live = dpi_alloc_live(bed_ctx);
  dp_ctx_destroy(bed_ctx);
  return live == 0 ? 0 : -1; /* everything was given back */
}

/* Lists end with an entry whose id is NULL. */
NOT_TOLD static dp_model *bed_model(const bed_state *s, const bed_param *p, const bed_event *e) {
  dp_model *m = NULL;
  int sym;
  BED_OK(dpi_model_create(bed_ctx, "bed", "bed.ant", &m));
  for (; p->id; p++) {
    BED_OK(dpi_model_symbol(m, p->id, 1, &sym));
    m->sym[sym].value = p->value;
    m->sym[sym].defined = true;
  }
  for (const bed_state *q = s; q->id; q++) {
    BED_OK(dpi_model_symbol(m, q->id, 1, &sym));
    m->sym[sym].kind = DPI_SYM_STATE;
    m->sym[sym].defined = true;
  }
  for (; s->id; s++) {
    dpi_node node;
    sym = dpi_model_find(m, s->id);
    BED_OK(dpi_model_parse(m, s->init, "init", false, &node));
    m->sym[sym].init = node;
    BED_OK(dpi_model_parse(m, s->rate, "rate", false, &node));
    m->sym[sym].formula = node;
  }
  for (; e && e->trigger; e++) {
    BED_OK(dpi_grow(bed_ctx, (void **)&m->event, &m->cap_event, m->nevent + 1, sizeof *m->event));
    dpi_model_event *v = &m->event[m->nevent++];
    dpi_event_assign *a = DPI_ARENA_NEW(&m->arena, dpi_event_assign);
    *v = (dpi_model_event){.id = e->trigger, .delay = DPI_NODE_NONE, .priority = DPI_NODE_NONE,
                           .initial_value = e->initial_value, .persistent = e->persistent,
                           .from_trigger = e->from_trigger, .nassign = 1, .assign = a};
    BED_OK(dpi_model_parse(m, e->trigger, "trigger", false, &v->trigger));
    if (e->delay) BED_OK(dpi_model_parse(m, e->delay, "delay", false, &v->delay));
    if (e->priority) BED_OK(dpi_model_parse(m, e->priority, "priority", false, &v->priority));
    a->sym = dpi_model_find(m, e->target);
    BED_OK(dpi_model_parse(m, e->value, "value", false, &a->value));
  }
  BED_OK(dpi_model_seal(m));
  return m;
}

/* ---- the standard cases: one compartment with depot, and two compartments ---- */

static const bed_state bed_one[] = {{"depot", "0", "-ka*depot"}, {"central", "0", "ka*depot - CL/V*central"}, {0}};
static const bed_param bed_one_param[] = {{"CL", 4.0},   {"V", 70.0}, {"ka", 1.1}, {"F", 0.6}, {"L", 0.75},
                                          {"D", 2.5},    {"R", 37.0}, {0}};
static const bed_state bed_two[] = {{"depot", "0", "-ka*depot"},
                                    {"central", "0", "ka*depot - (CL + Q)/V*central + Q/V2*peri"},
                                    {"peri", "0", "Q/V*central - Q/V2*peri"},
                                    {0}};
static const bed_param bed_two_param[] = {{"CL", 4.0}, {"V", 70.0},  {"ka", 1.1}, {"F", 0.6}, {"L", 0.75},
                                          {"D", 2.5},  {"R", 37.0}, {"Q", 9.0},  {"V2", 40.0}, {0}};
enum { P_CL, P_V, P_KA, P_F, P_L, P_D, P_R, P_Q, P_V2 };
enum { C_IV, C_ORAL, C_ALL, C_IV_ALL }; /* plain into central; plain into depot; with F, lag, rate, duration */
static const dp_control_def bed_control[] = {
    {"iv", "central", NULL, NULL, NULL, NULL},
    {"oral", "depot", NULL, NULL, NULL, NULL},
    {"oral_all", "depot", "F", "L", "R", "D"},
    {"iv_all", "central", "F", "L", "R", "D"},
};
static const dp_output_def bed_output[] = {
    {"conc", "central/V", "mg/L"}, {"central", NULL, "mg"}, {"gut", "depot", "mg"}};
static const char *const bed_active[] = {"CL", "V", "ka", "F", "L", "D", "R"};

NOT_TOLD static dp_sim *bed_sim(dp_model *m, const char *method, double rtol) {
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = method;
  def.rtol = rtol;
  def.atol = 1e-12;
  def.time_unit = "h";
  def.output = bed_output;
  def.noutput = 3;
  def.control = bed_control;
  def.ncontrol = 4;
  def.active = bed_active;
  def.nactive = 7;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  return sim;
}

NOT_TOLD static dp_time bed_ticks(double t) { return (dp_time)llround(t * 1e9); }

NOT_TOLD static dp_instant bed_at(double time, dp_instant_type type, int target, double amount) {
  dp_instant in = dp_instant_default();
  in.time = bed_ticks(time);
  in.type = type;
  in.target = target;
  in.amount = amount;
  return in;
}

#define BED_MAX 400
typedef struct bed_run { /* a member under construction and what came back */
  dp_instant in[40];
  int nin;
  dp_output_time out[BED_MAX];
  int nout;
  dp_functional f[16];
  int nf;
  double param[40];
  double seed[40 * 16];
  int ndir;
  const double *state0;
  double value[BED_MAX * 3], dvalue[BED_MAX * 3 * 16], functional[16];
  int status;
  double fail_time;
  char reason[200];
} bed_run;

NOT_TOLD static void bed_defaults(const dp_sim *sim, bed_run *r) {
  const dp_sim_desc *d = dp_sim_describe(sim);
  memset(r, 0, sizeof *r);
  for (int k = 0; k < d->nparam; k++) r->param[k] = d->param_default[k];
}

NOT_TOLD static void bed_param_set(const dp_sim *sim, bed_run *r, const char *id, double v) {
  const int k = dp_sim_param(sim, id);
  assert_true(k >= 0);
  r->param[k] = v;
}

NOT_TOLD static void bed_out(bed_run *r, double t, int order) {
  r->out[r->nout++] = (dp_output_time){bed_ticks(t), order};
}

NOT_TOLD static dp_member bed_member(const bed_run *r) {
  return (dp_member){.param = r->param, .seed = r->ndir ? r->seed : NULL, .state0 = r->state0, .instant = r->in,
                     .ninstant = r->nin, .out = r->out, .nout = r->nout, .functional = r->f, .nfunctional = r->nf};
}

NOT_TOLD static void bed_take(bed_run *r, const dp_result *res, int i, int no) {
  const size_t at = res->value_at[i];
  r->status = res->status[i];
  r->fail_time = res->fail_time[i];
  snprintf(r->reason, sizeof r->reason, "%s", res->reason[i]);
  memcpy(r->value, res->value + at * no, sizeof(double) * r->nout * no);
  if (r->ndir) memcpy(r->dvalue, res->dvalue + at * no * r->ndir, sizeof(double) * r->nout * no * r->ndir);
  memcpy(r->functional, res->functional + res->functional_at[i], sizeof(double) * r->nf);
}

NOT_TOLD static void bed_go(const dp_sim *sim, bed_run *r) {
  for (int i = 0; i < r->nin && r->ndir == 0; i++) r->in[i].dir_amount = r->in[i].dir_time = -1;
  const dp_member m = bed_member(r);
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  opts.ndir = r->ndir;
  BED_OK(dp_simulate(sim, &m, 1, &opts, &res));
  bed_take(r, res, 0, res->noutput);
  dp_result_destroy(res);
}

NOT_TOLD static void bed_near(double got, double want, double rel, double abs_, const char *what, double at) {
  if (!(fabs(got - want) <= rel * fabs(want) + abs_))
    fail_msg("%s at %g: got %.15g, want %.15g, relative error %.3g", what, at, got, want, fabs(got / want - 1));
}

#endif
