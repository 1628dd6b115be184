/* st_bed.h - what the tests of the stochastic spoke share: small models made without a reader, many members' means and
 * variances at output times. */
#ifndef ST_BED_H
#define ST_BED_H

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
#include "num/num.h"

#define NOT_TOLD __attribute__((unused))

typedef struct st_state {
  const char *id, *init, *rate; /* rate: apart from reactions; NULL: none */
} st_state;

typedef struct st_param {
  const char *id;
  double value;
} st_param;

typedef struct st_reaction {
  const char *id, *rate;
  struct {
    const char *state, *by;
    int used; /* as reactant, for leaps */
  } change[4];
  bool reversible;
} st_reaction;

typedef struct st_event {
  const char *id, *trigger, *delay, *priority;
  bool initial_value, persistent, from_trigger;
  struct {
    const char *target, *value;
  } assign[3];
} st_event;

typedef struct st_draw { /* usable in the owner's formulas by its id */
  const char *id;
  dpi_variate v;
  const char *arg[4];
  dpi_draw_phase phase;
  int event;
} st_draw;

typedef struct st_model { /* lists end with a NULL id */
  const st_state *state;
  const st_param *param;
  const st_reaction *reaction;
  const st_event *event;
  const st_draw *draw;
} st_model;

static dp_ctx *bed_ctx;

#define BED_OK(call)                                                                       \
  do {                                                                                     \
    if ((call) != DP_OK) fail_msg("%s:%d: %s", __FILE__, __LINE__, dp_ctx_error(bed_ctx)); \
  } while (0)

static int bed_threads(int n) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = n;
  return dp_ctx_create(&def, &bed_ctx) == DP_OK ? 0 : -1;
}

NOT_TOLD static int bed_setup(void **state) {
  (void)state;
  return bed_threads(2);
}

NOT_TOLD static int bed_teardown(void **state) {
  (void)state;
  const size_t live = dpi_alloc_live(bed_ctx);
  dp_ctx_destroy(bed_ctx);
  if (live) fprintf(stderr, "%zu blocks were not given back\n", live);
  return live == 0 ? 0 : -1;
}

static dpi_node bed_parse(dp_model *m, const char *text) {
  dpi_node node = DPI_NODE_NONE;
  BED_OK(dpi_model_parse(m, text, text, false, &node));
  return node;
}

static void bed_symbols(dp_model *m, const st_model *d) {
  int sym;
  for (const st_param *p = d->param; p && p->id; p++) {
    BED_OK(dpi_model_symbol(m, p->id, 1, &sym));
    m->sym[sym].value = p->value;
  }
  for (const st_state *s = d->state; s->id; s++) {
    BED_OK(dpi_model_symbol(m, s->id, 1, &sym));
    m->sym[sym].kind = DPI_SYM_STATE;
  }
  for (const st_draw *w = d->draw; w && w->id; w++) {
    BED_OK(dpi_model_symbol(m, w->id, 1, &sym));
    dpi_draw draw = {.sym = sym, .variate = w->v, .phase = w->phase, .event = w->event, .line = 1};
    for (; draw.narg < 4 && w->arg[draw.narg]; draw.narg++) draw.arg[draw.narg] = bed_parse(m, w->arg[draw.narg]);
    BED_OK(dpi_model_add_draw(m, &draw));
  }
}

static void bed_equations(dp_model *m, const st_model *d) {
  for (const st_state *s = d->state; s->id; s++) {
    char text[2000];
    int n = snprintf(text, sizeof text, "%s", s->rate ? s->rate : "0");
    for (const st_reaction *r = d->reaction; r && r->id; r++)
      for (int k = 0; k < 4 && r->change[k].state; k++)
        if (strcmp(r->change[k].state, s->id) == 0)
          n += snprintf(text + n, sizeof text - (size_t)n, " + (%s)*(%s)", r->change[k].by, r->rate);
    const int sym = dpi_model_find(m, s->id);
    const dpi_node init = bed_parse(m, s->init), rate = bed_parse(m, text);
    m->sym[sym].init = init;
    m->sym[sym].formula = rate;
  }
}

static void bed_events(dp_model *m, const st_model *d) {
  for (const st_event *e = d->event; e && e->id; e++) {
    dpi_event_assign *a = DPI_ARENA_ARRAY(&m->arena, dpi_event_assign, 3);
    dpi_model_event v = {.id = e->id,
                         .delay = DPI_NODE_NONE,
                         .priority = DPI_NODE_NONE,
                         .initial_value = e->initial_value,
                         .persistent = e->persistent,
                         .from_trigger = e->from_trigger,
                         .assign = a,
                         .line = 1};
    v.trigger = bed_parse(m, e->trigger);
    if (e->delay) v.delay = bed_parse(m, e->delay);
    if (e->priority) v.priority = bed_parse(m, e->priority);
    for (; v.nassign < 3 && e->assign[v.nassign].target; v.nassign++) {
      a[v.nassign].sym = dpi_model_find(m, e->assign[v.nassign].target);
      a[v.nassign].value = bed_parse(m, e->assign[v.nassign].value);
    }
    BED_OK(dpi_model_add_event(m, &v));
  }
}

static void bed_reactions(dp_model *m, const st_model *d) {
  for (const st_reaction *r = d->reaction; r && r->id; r++) {
    dpi_change *change = DPI_ARENA_ARRAY(&m->arena, dpi_change, 4), *order = DPI_ARENA_ARRAY(&m->arena, dpi_change, 4);
    int sym;
    BED_OK(dpi_model_symbol(m, r->id, 1, &sym));
    m->sym[sym].kind = DPI_SYM_ASSIGNED;
    const dpi_node rate = bed_parse(m, r->rate);
    m->sym[sym].formula = rate;
    dpi_model_reaction v = {.id = r->id,
                            .sym = sym,
                            .rate = rate,
                            .reversible = r->reversible,
                            .change = change,
                            .order = order,
                            .line = 1};
    for (int k = 0; k < 4 && r->change[k].state; k++) {
      const int s = dpi_model_find(m, r->change[k].state);
      if (strcmp(r->change[k].by, "0") != 0) change[v.nchange++] = (dpi_change){s, bed_parse(m, r->change[k].by)};
      if (r->change[k].used) order[v.norder++] = (dpi_change){s, dpi_g_const(m->graph, r->change[k].used)};
    }
    BED_OK(dpi_model_add_reaction(m, &v));
  }
}

NOT_TOLD static dp_model *bed_model(const st_model *d) {
  dp_model *m = NULL;
  BED_OK(dpi_model_create(bed_ctx, "bed", "bed.ant", &m));
  bed_symbols(m, d);
  bed_equations(m, d);
  bed_events(m, d);
  bed_reactions(m, d);
  BED_OK(dpi_model_seal(m));
  return m;
}

NOT_TOLD static dp_sim_def bed_def(dp_model *m, const char *method, const dp_output_def *out, int nout) {
  dp_sim_def def = dp_sim_def_default();
  def.spoke = "stochastic";
  def.model = m;
  def.method = method;
  def.output = out;
  def.noutput = nout;
  return def;
}

NOT_TOLD static dp_sim *bed_sim(dp_model *m, const char *method, const dp_output_def *out, int nout) {
  const dp_sim_def def = bed_def(m, method, out, nout);
  dp_sim *sim = NULL;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  return sim;
}

#define T(x) ((dp_time)llround((x)*1e9))
#define BED_OUT 16
#define BED_WIDE 4
typedef struct bed_stat {
  int n, nfailed, wide;
  double mean[BED_OUT][BED_WIDE], m2[BED_OUT][BED_WIDE]; /* m2: sum of squares about the mean */
  double least[BED_OUT][BED_WIDE], most[BED_OUT][BED_WIDE];
  char reason[160];
  double fail_time;
} bed_stat;

static dp_status bed_count(void *user, const dp_member_result *block, int nblock) {
  bed_stat *s = user;
  for (int b = 0; b < nblock; b++) {
    if (block[b].status != DP_MEMBER_OK) {
      s->nfailed++;
      snprintf(s->reason, sizeof s->reason, "%s", block[b].reason);
      s->fail_time = block[b].fail_time;
      continue;
    }
    s->n++;
    for (int t = 0; t < block[b].nout; t++)
      for (int o = 0; o < s->wide; o++) {
        const double x = block[b].value[t * s->wide + o], d = x - s->mean[t][o];
        s->mean[t][o] += d / s->n;
        s->m2[t][o] += d * (x - s->mean[t][o]);
        if (s->n == 1 || x < s->least[t][o]) s->least[t][o] = x;
        if (s->n == 1 || x > s->most[t][o]) s->most[t][o] = x;
      }
  }
  return DP_OK;
}

/* n members of the default parameters at these times, with these instants. */
NOT_TOLD static bed_stat bed_go(const dp_sim *sim, int n, const double *t, int nt, const dp_instant *in, int nin,
                                uint64_t seed) {
  const dp_sim_desc *d = dp_sim_describe(sim);
  dp_member *m = calloc((size_t)n, sizeof *m);
  dp_output_time out[BED_OUT];
  bed_stat s = {.wide = d->noutput};
  for (int i = 0; i < nt; i++) out[i] = (dp_output_time){T(t[i]), 5};
  for (int i = 0; i < n; i++)
    m[i] = (dp_member){
        .param = d->param_default, .out = out, .nout = nt, .instant = in, .ninstant = nin, .stream = (uint64_t)i};
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = seed;
  const dp_status st = dp_simulate_into(sim, m, n, &opts, bed_count, &s);
  free(m);
  BED_OK(st);
  return s;
}

/* Standard errors by which mean and variance miss; variance by its own standard error for a law like the normal. */
NOT_TOLD static void bed_expect(const bed_stat *s, int t, int o, double mean, double sd, double z, const char *what) {
  if (s->nfailed) fail_msg("%s: %d failed: %s", what, s->nfailed, s->reason);
  const double got = sqrt(s->m2[t][o] / (s->n - 1));
  const double zm = sd > 0 ? (s->mean[t][o] - mean) / sd * sqrt(s->n) : (s->mean[t][o] == mean ? 0 : INFINITY);
  const double zs = sd > 0 ? (got * got / (sd * sd) - 1) * sqrt(s->n / 2.0) : (got == 0 ? 0 : INFINITY);
  if (!(fabs(zm) <= z && fabs(zs) <= 1.7 * z))
    fail_msg("%s: output %d of time %d: mean %g (expected %g, z %.2f), sd %g (expected %g, z %.2f)", what, o, t,
             s->mean[t][o], mean, zm, got, sd, zs);
}

#endif
