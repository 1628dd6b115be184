/* calib_plan.c - floor 6: experiments become members' templates: parameters, instants, output times.  U -> D
 *
 *     start                      parameters and initial values as the first condition gives them; where that lasts up
 *                                to a steady state, from there (dpi_calib_before)
 *       APPLY        order 1..   later conditions, each a law
 *       outputs      order 1000  what is measured then
 *     end
 *       EQUILIBRATE  order 2000  measurements at steady state
 *       outputs      order 3000
 *
 * A condition acts before events of its time. The engine runs events of a time before instants of that time, so where a
 * model has events, conditions come one tick early.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/petab/calib.h"

enum { ORDER_CONDITION = 1, ORDER_OUTPUT = 1000, ORDER_REST = 2000, ORDER_LAST = 3000 };

/* ---- what measurements give ---- */

static dp_status bound(dpi_calib_part *p, const dpi_calib_datum *d, const char *text, int *out) {
  const char *foreign = NULL;
  *out = -1;
  if (text) DP_TRY(dpi_express_add(p->express, NULL, text, d->where, NAN, out, &foreign));
  return foreign ? dpi_fail(p->ctx, DP_ERR_INPUT, "%s: bound '%s' is not in the parameter table", d->where, foreign)
                 : DP_OK;
}

dp_status dpi_calib_given_values(dpi_calib_part *p) {
  const dpi_calib_table *t = p->table;
  p->row = DPI_ARENA_ARRAY(p->arena, dpi_calib_row, t->ndatum + 1);
  if (!p->row) return DP_ERR_MEMORY;
  p->nrow = t->ndatum;
  for (int d = 0; d < t->ndatum; d++) {
    const dpi_calib_datum *from = &t->datum[d];
    const dpi_calib_observable *o = &t->observable[from->observable];
    dpi_calib_row *r = &p->row[d];
    *r = (dpi_calib_row){.observable = from->observable,
                         .experiment = from->experiment,
                         .number = t->number[d],
                         .value = from->value,
                         .time = from->time,
                         .where = from->where,
                         .low = -1,
                         .high = -1};
    const bool within = from->low || from->high;
    DP_TRY(bound(p, from, from->low, &r->low));
    DP_TRY(bound(p, from, from->high, &r->high));
    r->given = DPI_ARENA_ARRAY(p->arena, int, o->nplaceholder + 1);
    if (!r->given) return DP_ERR_MEMORY;
    if (!within && o->distribution % 3 != 0 && !(from->value > 0))
      return dpi_fail(p->ctx, DP_ERR_INPUT,
                      "%s: measurement %g of '%s' is not positive, but its noise is %s; correct the value "
                      "or the noise distribution",
                      from->where, from->value, o->id, dpi_noise_name(o->distribution));
    for (int j = 0; j < o->nplaceholder; j++) {
      const char *foreign;
      DP_TRY(dpi_express_add(p->express, NULL, from->given[j], from->where, NAN, &r->given[j], &foreign));
      if (foreign)
        return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: '%s' for '%s' is neither a number nor in the parameter table",
                        from->where, foreign, o->placeholder[j]);
    }
  }
  return DP_OK;
}

/* ---- the sim ---- */

/* Does the course depend on this parameter? */
static bool matters(const dp_model *m, const uint8_t *inner, const char *id) {
  const int sym = dpi_model_find(m, id);
  return sym > 0 && m->sym[sym].kind == DPI_SYM_PARAM && (m->sym[sym].needed || (inner && inner[sym]));
}

/* Parameters that matter to a model and that some experiment gives a value that depends on estimated ones. */
static dp_status find_active(dpi_calib_part *p, const dp_model *m, const uint8_t *inner, const char **active, int *n) {
  const dpi_express *e = p->express;
  dpi_map seen;
  dpi_map_init(&seen, p->ctx);
  dp_status st = DP_OK;
  for (int i = 0; i < p->ngiven && st == DP_OK; i++) {
    const dpi_calib_given *g = &p->given[i];
    if (e->first[g->expr] == e->first[g->expr + 1] || dpi_map_get(&seen, g->param) >= 0 || !matters(m, inner, g->param))
      continue;
    st = dpi_map_put(&seen, g->param, *n);
    active[(*n)++] = g->param;
  }
  dpi_map_release(&seen);
  if (*n > 0) active[(*n)++] = DPI_CALIB_SCALE;
  return st;
}

static dp_status number_active(dpi_calib_part *p, const dp_sim *sim, const char **active, int n, int **out) {
  const int np = dp_sim_describe(sim)->nparam;
  *out = DPI_ARENA_ARRAY(p->arena, int, np + 1);
  if (!*out) return DP_ERR_MEMORY;
  for (int k = 0; k < np; k++) (*out)[k] = -1;
  for (int a = 0; a < n; a++) (*out)[dp_sim_param(sim, active[a])] = a;
  return DP_OK;
}

/* The sim of steady states: its outputs are the states that are handed over. */
static dp_status create_before(dpi_calib_part *p, const dp_sim_def *from) {
  dpi_calib_before *b = &p->before;
  dp_sim_def d = *from;
  dp_output_def *output = DPI_ARENA_ARRAY(p->arena, dp_output_def, b->nslot + 1);
  b->active = DPI_ARENA_ARRAY(p->arena, const char *, p->ngiven + 2);
  if (!output || !b->active) return DP_ERR_MEMORY;
  for (int i = 0; i < b->nslot; i++) {
    output[i].id = b->state[i];
    output[i].formula = dpi_arena_printf(p->arena, "`%s`", b->state[i]);
    output[i].unit = "";
    if (!output[i].formula) return DP_ERR_MEMORY;
  }
  DP_TRY(find_active(p, b->model, NULL, b->active, &b->nactive));
  d.model = b->model;
  d.output = output;
  d.noutput = b->nslot;
  d.law = NULL;
  d.nlaw = 0;
  d.active = b->active;
  d.nactive = b->nactive;
  DP_TRY(dp_sim_create(p->ctx, &d, &b->sim));
  b->desc = dp_sim_describe(b->sim);
  DP_TRY(number_active(p, b->sim, b->active, b->nactive, &b->active_of));
  b->scale_active = dp_sim_active(b->sim, DPI_CALIB_SCALE);
  return DP_OK;
}

dp_status dpi_calib_create(dpi_calib_part *p, const dp_problem_def *def) {
  dpi_calib_before *b = &p->before;
  dp_output_def *output = DPI_ARENA_ARRAY(p->arena, dp_output_def, p->natom + 1);
  if (!output) return DP_ERR_MEMORY;
  for (int i = 0; i < p->natom; i++) {
    output[i].id = dpi_arena_printf(p->arena, "atom %d", i + 1);
    output[i].formula = p->atom[i];
    output[i].unit = "";
    if (!output[i].id) return DP_ERR_MEMORY;
  }
  dp_sim_def d = dp_sim_def_default();
  d.time_unit = "1";
  d.method = def->method;
  d.rtol = def->rtol;
  d.atol = def->atol;
  d.same_steps = def->same_steps != 0;
  d.max_steps = def->max_steps;
  if (p->steady) DP_TRY(create_before(p, &d));
  p->active = DPI_ARENA_ARRAY(p->arena, const char *, p->ngiven + b->nslot + 3);
  if (!p->active) return DP_ERR_MEMORY;
  DP_TRY(find_active(p, p->model, p->inner, p->active, &p->nactive));
  if (p->nactive == 0 && b->nactive > 0) p->active[p->nactive++] = DPI_CALIB_SCALE;
  for (int i = 0; i < b->nslot && b->nactive > 0; i++) p->active[p->nactive++] = b->slot[i];
  d.model = p->model;
  d.output = output;
  d.noutput = p->natom;
  d.law = p->law;
  d.nlaw = p->nlaw;
  d.active = p->active;
  d.nactive = p->nactive;
  DP_TRY(dp_sim_create(p->ctx, &d, &p->sim));
  p->desc = dp_sim_describe(p->sim);
  p->outer = DPI_ARENA_ARRAY(p->arena, int, p->nouter + 1);
  if (!p->outer) return DP_ERR_MEMORY;
  for (int o = 0; o < p->nouter; o++) p->outer[o] = dp_sim_param(p->sim, p->outer_id[o]);
  b->slot_param = DPI_ARENA_ARRAY(p->arena, int, b->nslot + 1);
  if (!b->slot_param) return DP_ERR_MEMORY;
  for (int i = 0; i < b->nslot; i++) b->slot_param[i] = dp_sim_param(p->sim, b->slot[i]);
  DP_TRY(number_active(p, p->sim, p->active, p->nactive, &p->active_of));
  p->scale_active = dp_sim_active(p->sim, DPI_CALIB_SCALE);
  return DP_OK;
}

/* Degree of a node in the states from those of its arguments: 0 free of them, 1 linear, 2 anything else; the time
 * counts as 2. */
static uint8_t degree(dpi_gnode n, const dp_model *m, const uint8_t *of) {
  const int arity = dpi_op_arity(n.op);
  uint8_t most = 0, sum = 0;
  if (n.op == DPI_OP_SYM) return n.arg[0] == 0 ? 2 : n.arg[0] <= m->nstate + m->ndelayed ? 1 : 0;
  for (int a = 0; a < arity; a++) {
    most = of[n.arg[a]] > most ? of[n.arg[a]] : most;
    sum = (uint8_t)(sum + of[n.arg[a]]);
  }
  if (most == 0) return 0;
  if (n.op == DPI_OP_ADD || n.op == DPI_OP_SUB || n.op == DPI_OP_NEG) return most;
  if (n.op == DPI_OP_MUL) return sum > 1 ? 2 : 1;
  if (n.op == DPI_OP_DIV) return of[n.arg[1]] ? 2 : most;
  if (n.op == DPI_OP_IF) return of[n.arg[0]] ? 2 : most;
  return 2;
}

static dp_status find_linear(dpi_calib_part *p) {
  const dp_model *m = p->model;
  const int n = dpi_graph_count(m->graph);
  uint8_t *of = DPI_NEW_ARRAY(p->ctx, uint8_t, n + 1);
  if (!of) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) of[i] = degree(dpi_graph_at(m->graph, i), m, of);
  p->linear = m->nalgebraic == 0 && m->ndelayed == 0;
  for (int s = 1; s <= m->nstate; s++) p->linear = p->linear && of[m->sym[s].formula] < 2;
  dpi_free(p->ctx, of);
  return DP_OK;
}

/* ---- simulations ---- */

typedef struct planner {
  dpi_calib_part *p;
  dp_ctx *ctx;
  dpi_arena *arena;
  dpi_map index;  /* id -> parameter of the sim */
  dpi_map before; /* id -> parameter of the sim of steady states */
  int *eff;       /* [nparam] expression that counts, -1 */
  bool *outer;    /* [nparam] */
} planner;

static dp_status ticks(const planner *k, double t, const char *where, dp_time *out) {
  const double at = t * (double)DP_TICKS;
  if (!(fabs(at) < 9e18))
    return dpi_fail(k->ctx, DP_ERR_UNSUPPORTED, "%s: time %g is beyond what ticks of 1e-9 can count (9e9)", where, t);
  *out = (dp_time)(at < 0 ? at - 0.5 : at + 0.5);
  if (fabs((double)*out - at) > 1e-6 * fabs(at) && fabs(at) > 0)
    return dpi_fail(k->ctx, DP_ERR_UNSUPPORTED,
                    "%s: time %g can't be told from its neighbours in ticks of 1e-9; use a smaller unit of time",
                    where, t);
  return DP_OK;
}

static dp_status timeline(planner *k, int x, dpi_calib_sim *s) {
  const dpi_calib_experiment *e = &k->p->table->experiment[x];
  const bool steady = e->nperiod > 0 && e->period[0].steady;
  dp_time last;
  s->instant = DPI_ARENA_ARRAY(k->arena, dp_instant, e->nperiod + 3);
  if (!s->instant) return DP_ERR_MEMORY;
  const int first = steady ? 1 : 0;
  if (first < e->nperiod) DP_TRY(ticks(k, e->period[first].time, e->id, &s->start));
  last = s->start;
  for (int i = 1; i < e->nperiod; i++) {
    dp_instant in = dp_instant_default();
    DP_TRY(ticks(k, e->period[i].time, e->id, &in.time));
    if (in.time < last) return dpi_fail(k->ctx, DP_ERR_BUG, "experiment '%s': its times are not in order", e->id);
    last = in.time;
    if (k->p->law_of[x][i] < 0) continue;
    if (k->p->model->nevent > 0 && in.time > s->start) in.time--;
    in.order = ORDER_CONDITION + i;
    in.type = DP_APPLY;
    in.target = k->p->law_of[x][i];
    s->instant[s->ninstant++] = in;
  }
  return DP_OK;
}

static dp_status bindings(planner *k, int x, dpi_calib_sim *s, dpi_calib_use *u) {
  const dpi_calib_part *p = k->p;
  const int np = p->desc->nparam;
  for (int i = 0; i < np; i++) k->eff[i] = -1;
  for (int i = 0; i < p->ngiven; i++) {
    if (p->given[i].experiment >= 0 && p->given[i].experiment != x) continue;
    const int at = dpi_map_get(&k->index, p->given[i].param);
    if (at >= 0) k->eff[at] = p->given[i].expr;
  }
  u->outer = DPI_ARENA_ARRAY(k->arena, int, p->nouter + 1);
  s->bind = DPI_ARENA_ARRAY(k->arena, dpi_calib_bind, np + 1);
  if (!u->outer || !s->bind) return DP_ERR_MEMORY;
  for (int o = 0; o < p->nouter; o++) u->outer[o] = k->eff[p->outer[o]];
  for (int i = 0; i < np; i++)
    if (k->eff[i] >= 0 && !k->outer[i]) s->bind[s->nbind++] = (dpi_calib_bind){i, k->eff[i]};
  return DP_OK;
}

static bool same_binds(const dpi_calib_bind *a, int na, const dpi_calib_bind *b, int nb) {
  bool equal = na == nb;
  for (int i = 0; i < na && equal; i++) equal = a[i].param == b[i].param && a[i].expr == b[i].expr;
  return equal;
}

/* The steady state from which an experiment starts. */
static dp_status find_before(planner *k, int x, int *out) {
  dpi_calib_part *p = k->p;
  dpi_calib_before *b = &p->before;
  const int np = b->desc->nparam;
  dpi_calib_rest r = {.experiment = p->table->experiment[x].id};
  int *eff = DPI_NEW_ARRAY(k->ctx, int, np + 1); /* 1 + expression */
  r.bind = DPI_ARENA_ARRAY(k->arena, dpi_calib_bind, np + 1);
  if (!eff || !r.bind) {
    dpi_free(k->ctx, eff);
    return DP_ERR_MEMORY;
  }
  for (int i = 0; i < p->ngiven; i++) {
    if (p->given[i].experiment >= 0 && p->given[i].experiment != x) continue;
    const int at = dpi_map_get(&k->before, p->given[i].param);
    if (at >= 0 && matters(b->model, NULL, p->given[i].param)) eff[at] = 1 + p->given[i].expr;
  }
  for (int i = 0; i < np; i++)
    if (eff[i] > 0) r.bind[r.nbind++] = (dpi_calib_bind){i, eff[i] - 1};
  dpi_free(k->ctx, eff);
  for (*out = 0; *out < b->nrest; ++*out)
    if (same_binds(b->rest[*out].bind, b->rest[*out].nbind, r.bind, r.nbind)) return DP_OK;
  b->rest[b->nrest++] = r;
  return DP_OK;
}

static bool same(const dpi_calib_sim *a, const dpi_calib_sim *b) {
  if (a->start != b->start || a->from != b->from || a->ninstant != b->ninstant) return false;
  if (!same_binds(a->bind, a->nbind, b->bind, b->nbind)) return false;
  for (int i = 0; i < a->ninstant; i++)
    if (a->instant[i].time != b->instant[i].time || a->instant[i].order != b->instant[i].order ||
        a->instant[i].type != b->instant[i].type || a->instant[i].target != b->instant[i].target)
      return false;
  return true;
}

static dp_status find_simulations(planner *k) {
  dpi_calib_part *p = k->p;
  for (int x = 0; x < p->table->nexperiment; x++) {
    const dpi_calib_experiment *e = &p->table->experiment[x];
    dpi_calib_sim s = {.experiment = e->id, .from = -1};
    if (e->nperiod > 0 && e->period[0].steady) DP_TRY(find_before(k, x, &s.from));
    DP_TRY(timeline(k, x, &s));
    DP_TRY(bindings(k, x, &s, &p->use[x]));
    int at = 0;
    while (at < p->nsim && !same(&p->sims[at], &s)) at++;
    if (at == p->nsim) p->sims[p->nsim++] = s;
    p->use[x].sim = at;
  }
  return DP_OK;
}

/* ---- times ---- */

typedef struct moment {
  dp_time tick; /* DP_TIME_MAX: at steady state */
  double time;
} moment;

static int by_tick(const void *a, const void *b) {
  const moment *x = a, *y = b;
  return x->tick < y->tick ? -1 : x->tick > y->tick;
}

static dp_status row_moment(const planner *k, const dpi_calib_row *r, moment *out) {
  const dpi_calib_sim *s = &k->p->sims[r->sim];
  out->time = r->time;
  out->tick = DP_TIME_MAX;
  if (isinf(r->time)) return DP_OK;
  DP_TRY(ticks(k, r->time, r->where, &out->tick));
  if (out->tick < s->start)
    return dpi_fail(k->ctx, DP_ERR_INPUT, "%s: time %g lies before the experiment's start at %g; correct one of them",
                    r->where, r->time, (double)s->start / (double)DP_TICKS);
  return DP_OK;
}

static dp_status set_times(planner *k, dpi_calib_sim *s, moment *m, int n) {
  double *time = DPI_ARENA_ARRAY(k->arena, double, n + 1);
  s->out = DPI_ARENA_ARRAY(k->arena, dp_output_time, n + 1);
  if (!s->out || !time) return DP_ERR_MEMORY;
  s->time = time;
  qsort(m, (size_t)n, sizeof *m, by_tick);
  dp_time last = s->start;
  for (int i = 0; i < s->ninstant; i++) last = s->instant[i].time > last ? s->instant[i].time : last;
  for (int i = 0; i < n; i++) {
    if (i > 0 && m[i].tick == m[i - 1].tick) continue;
    const bool rest = m[i].tick == DP_TIME_MAX;
    if (!rest && m[i].tick > last) last = m[i].tick;
    time[s->nout] = m[i].time;
    s->out[s->nout++] = (dp_output_time){rest ? last : m[i].tick, rest ? ORDER_LAST : ORDER_OUTPUT};
    if (!rest) continue;
    dp_instant in = dp_instant_default();
    in.time = last;
    in.order = ORDER_REST;
    in.type = DP_EQUILIBRATE;
    s->instant[s->ninstant++] = in;
    s->settles = true;
  }
  return DP_OK;
}

static int row_at(const dpi_calib_sim *s, moment m) {
  if (m.tick == DP_TIME_MAX) return s->nout - 1;
  int lo = 0, hi = s->nout - 1 - s->settles;
  while (lo < hi) {
    const int mid = (lo + hi) / 2;
    if (s->out[mid].time < m.tick)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

static dp_status gather(planner *k) {
  dpi_calib_part *p = k->p;
  moment *m = DPI_NEW_ARRAY(k->ctx, moment, p->nrow + 1);
  dp_status st = m ? DP_OK : DP_ERR_MEMORY;
  for (int s = 0; s < p->nsim && st == DP_OK; s++) {
    const int n = p->row_first[s + 1] - p->row_first[s], *list = p->by_sim + p->row_first[s];
    for (int i = 0; i < n && st == DP_OK; i++) st = row_moment(k, &p->row[list[i]], &m[i]);
    if (st == DP_OK) st = set_times(k, &p->sims[s], m, n);
    for (int i = 0; i < n && st == DP_OK; i++) {
      moment at;
      st = row_moment(k, &p->row[list[i]], &at);
      p->row[list[i]].row = row_at(&p->sims[s], at);
    }
  }
  dpi_free(k->ctx, m);
  return st;
}

static dp_status sort_rows(planner *k) {
  dpi_calib_part *p = k->p;
  p->row_first = DPI_ARENA_ARRAY(k->arena, int, p->nsim + 2);
  p->by_sim = DPI_ARENA_ARRAY(k->arena, int, p->nrow + 1);
  if (!p->row_first || !p->by_sim) return DP_ERR_MEMORY;
  for (int d = 0; d < p->nrow; d++) {
    p->row[d].sim = p->use[p->row[d].experiment].sim;
    p->row_first[p->row[d].sim + 1]++;
  }
  for (int s = 0; s < p->nsim; s++) p->row_first[s + 1] += p->row_first[s];
  int *at = DPI_NEW_ARRAY(k->ctx, int, p->nsim + 1);
  if (!at) return DP_ERR_MEMORY;
  memcpy(at, p->row_first, (size_t)p->nsim * sizeof *at);
  for (int d = 0; d < p->nrow; d++) p->by_sim[at[p->row[d].sim]++] = d;
  dpi_free(k->ctx, at);
  return DP_OK;
}

/* ---- directions ---- */

static void see(const planner *k, const dpi_calib_bind *bind, int n, const int *active_of, uint8_t *seen) {
  const dpi_express *e = k->p->express;
  for (int i = 0; i < n; i++)
    for (int j = e->first[bind[i].expr]; j < e->first[bind[i].expr + 1]; j++)
      if (active_of[bind[i].param] >= 0) seen[e->by[j]] = 1;
}

static dp_status list_seen(const planner *k, const uint8_t *seen, int nest, int *ndir, int **dir, int *most) {
  for (int q = 0; q < nest; q++) *ndir += seen[q];
  *dir = DPI_ARENA_ARRAY(k->arena, int, *ndir + 1);
  if (!*dir) return DP_ERR_MEMORY;
  for (int q = 0, n = 0; q < nest; q++)
    if (seen[q]) (*dir)[n++] = q;
  if (*ndir > *most) *most = *ndir;
  return DP_OK;
}

static dp_status directions(planner *k, dpi_calib_sim *s, uint8_t *seen, int nest) {
  const dpi_calib_rest *r = s->from >= 0 ? &k->p->before.rest[s->from] : NULL;
  memset(seen, 0, (size_t)nest);
  see(k, s->bind, s->nbind, k->p->active_of, seen);
  for (int i = 0; r && i < r->ndir; i++) seen[r->dir[i]] = 1;
  return list_seen(k, seen, nest, &s->ndir, &s->dir, &k->p->maxdir);
}

static dp_status all_directions(planner *k) {
  int nest = 0;
  for (int i = 0; i < k->p->express->nparam; i++) nest += k->p->express->est[i] >= 0;
  uint8_t *seen = DPI_NEW_ARRAY(k->ctx, uint8_t, nest + 1);
  dp_status st = seen ? DP_OK : DP_ERR_MEMORY;
  dpi_calib_before *b = &k->p->before;
  for (int r = 0; r < b->nrest && st == DP_OK; r++) {
    memset(seen, 0, (size_t)nest);
    see(k, b->rest[r].bind, b->rest[r].nbind, b->active_of, seen);
    st = list_seen(k, seen, nest, &b->rest[r].ndir, &b->rest[r].dir, &b->maxdir);
  }
  for (int s = 0; s < k->p->nsim && st == DP_OK; s++) st = directions(k, &k->p->sims[s], seen, nest);
  dpi_free(k->ctx, seen);
  return st;
}

/* Every outer value that a measurement needs is given. */
static dp_status check_outer(const planner *k) {
  const dpi_calib_part *p = k->p;
  for (int d = 0; d < p->nrow; d++) {
    const dpi_calib_row *r = &p->row[d];
    const dpi_calib_watch *w = &p->watch[r->observable];
    for (int i = 0; i < w->nin; i++) {
      if (w->in[i].kind != DPI_IN_OUTER) continue;
      const int o = w->in[i].index;
      if (p->use[r->experiment].outer[o] >= 0 || !isnan(p->desc->param_default[p->outer[o]])) continue;
      return dpi_fail(
          k->ctx, DP_ERR_INPUT,
          "%s: observable '%s' uses '%s', which has no value in experiment '%s'; give it in the condition or the "
          "parameter table",
          r->where, p->table->observable[r->observable].id, p->outer_id[o], p->table->experiment[r->experiment].id);
    }
  }
  return DP_OK;
}

static dp_status plan(planner *k) {
  dpi_calib_part *p = k->p;
  const int np = p->desc->nparam, nx = p->table->nexperiment;
  k->eff = DPI_ARENA_ARRAY(k->arena, int, np + 1);
  k->outer = DPI_ARENA_ARRAY(k->arena, bool, np + 1);
  p->sims = DPI_ARENA_ARRAY(k->arena, dpi_calib_sim, nx + 1);
  p->use = DPI_ARENA_ARRAY(k->arena, dpi_calib_use, nx + 1);
  p->before.rest = DPI_ARENA_ARRAY(k->arena, dpi_calib_rest, nx + 1);
  if (!k->eff || !k->outer || !p->sims || !p->use || !p->before.rest) return DP_ERR_MEMORY;
  for (int i = 0; p->steady && i < p->before.desc->nparam; i++)
    DP_TRY(dpi_map_put(&k->before, p->before.desc->param_id[i], i));
  for (int i = 0; i < np; i++) {
    DP_TRY(dpi_map_put(&k->index, p->desc->param_id[i], i));
    const int sym = dpi_model_find(p->model, p->desc->param_id[i]);
    k->outer[i] = !p->model->sym[sym].needed && !p->inner[sym];
  }
  DP_TRY(find_simulations(k));
  DP_TRY(sort_rows(k));
  DP_TRY(gather(k));
  DP_TRY(check_outer(k));
  DP_TRY(find_linear(p));
  return all_directions(k);
}

dp_status dpi_calib_plan(dpi_calib_part *p) {
  planner k = {.p = p, .ctx = p->ctx, .arena = p->arena};
  dpi_map_init(&k.index, k.ctx);
  dpi_map_init(&k.before, k.ctx);
  const dp_status st = plan(&k);
  dpi_map_release(&k.index);
  dpi_map_release(&k.before);
  return st;
}
