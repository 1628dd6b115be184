/* calib_hessian.c - floor 6: exact products H v of a problem's second derivatives with a direction.  D
 *
 * Along v everything has a tangent, written ': x' = v, theta' = (d theta/dx) v, expressions e' = e_theta theta', atoms
 * a' = a_x x' + a_p p' of the model's own tangent (lang/tangent_model.h). The slope of ln p along v is then a sum over
 * data like ln p itself,
 *
 *     g . v = sum  ln_y y' + ln_s s'         y' = y_a a' + y_o o',  s' alike
 *
 * and its gradient is H v. So the tangent of a problem is a problem of its own, with twice the expressions, states and
 * atoms, that goes through the code of calib_eval.c, forward or backwards, but for what is said of each measurement:
 *
 *     d/da  = (ln_yy y_a + ln_ys s_a) y' + ln_y d y'/da + (ln_ys y_a + ln_ss s_a) s' + ln_s d s'/da
 *     d/da' = ln_y y_a + ln_s s_a                                              and the same by outer parameters o
 *
 * v enters as fixed parameters of the tangent, so one compiled tangent serves all directions, and the columns of a
 * Hessian are members side by side. It is exact wherever the gradient is: the tangent's derivatives are those of the
 * tangent's own integration, whose jumps and steady states are written out (tangent_event.c).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/petab/calib.h"
#include "lang/tangent_model.h"

#define ROOM 0.01

struct dpi_calib_tangent {
  dp_problem p; /* its parts are tangents; what it shares with the problem is the problem's */
  int nexpr;    /* of the problem */
  int *now;     /* [nexpr] number of an expression among those of the tangent */
  int *moved;   /* [nexpr] number of its tangent, -1: zero */
  dpi_node *node;
};

typedef struct maker {
  dp_problem *p;
  struct dpi_calib_tangent *t;
  dp_ctx *ctx;
  dpi_arena *arena;
  /* the part under work */
  const dpi_calib_part *from;
  dpi_calib_part *to;
} maker;

/* ---- expressions ---- */

/* theta' of estimated parameter q: v, or theta ln(base) v */
static dpi_node moved_param(dpi_graph *g, dp_problem_scale scale, int sym, int v) {
  static const double LN_10 = 2.3025850929940456840;
  dpi_node node = dpi_g_sym(g, v);
  if (scale == DP_SCALE_LOG10) node = dpi_g_op2(g, DPI_OP_MUL, dpi_g_const(g, LN_10), node);
  return scale == DP_SCALE_LIN ? node : dpi_g_op2(g, DPI_OP_MUL, dpi_g_sym(g, sym), node);
}

/* The direction's components become fixed parameters behind those of the table. */
static dp_status add_direction(maker *k, dpi_express *e, dpi_node *at, dpi_node *dot) {
  const dpi_express *from = &k->p->express;
  const int n = from->nparam, nest = k->p->desc.nparam;
  int *sym = DPI_ARENA_ARRAY(k->arena, int, n + nest + 1), *est = DPI_ARENA_ARRAY(k->arena, int, n + nest + 1);
  if (!sym || !est) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    sym[i] = from->sym[i];
    est[i] = from->est[i];
  }
  for (int q = 0; q < nest; q++) {
    const char *id = dpi_arena_printf(k->arena, "direction(%s)", k->p->desc.id[q]);
    if (!id) return DP_ERR_MEMORY;
    DP_TRY(dpi_model_declare(e->scope, id, 0, &sym[n + q]));
    est[n + q] = -1;
    at[q] = from->node[k->p->free[q]];
    dot[q] = moved_param(e->scope->graph, k->p->desc.scale[q], sym[k->p->free[q]], sym[n + q]);
    if (dot[q] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  e->sym = sym;
  e->est = est;
  e->nparam = n + nest;
  return DP_OK;
}

/* In order: parameters, the direction, other expressions, tangents that are not zero. */
static dp_status list_expressions(maker *k, dpi_express *e, const dpi_node *tangent) {
  const dpi_express *from = &k->p->express;
  const int n = from->nparam;
  const dpi_node zero = dpi_g_const(e->scope->graph, 0);
  if (zero == DPI_NODE_NONE) return DP_ERR_MEMORY;
  e->node = k->t->node;
  for (int i = 0; i < from->n; i++) {
    k->t->now[i] = i < n ? i : i + e->nparam - n;
    e->node[k->t->now[i]] = from->node[i];
  }
  for (int q = n; q < e->nparam; q++)
    if ((e->node[q] = dpi_g_sym(e->scope->graph, e->sym[q])) == DPI_NODE_NONE) return DP_ERR_MEMORY;
  e->n = from->n + e->nparam - n;
  for (int i = 0; i < from->n; i++) {
    k->t->moved[i] = tangent[i] == zero ? -1 : e->n;
    if (tangent[i] != zero) e->node[e->n++] = tangent[i];
  }
  return DP_OK;
}

static dp_status make_express(maker *k) {
  const dpi_express *from = &k->p->express;
  dpi_express *e = &k->t->p.express;
  const int nest = k->p->desc.nparam;
  *e = *from;
  e->tape = NULL;
  e->arena = k->arena;
  e->node = NULL;
  e->npartial = 0;
  e->number_of = NULL;
  k->t->nexpr = from->n;
  k->t->now = DPI_ARENA_ARRAY(k->arena, int, from->n + 1);
  k->t->moved = DPI_ARENA_ARRAY(k->arena, int, from->n + 1);
  k->t->node = DPI_ARENA_ARRAY(k->arena, dpi_node, 2 * from->n + nest + 1);
  dpi_node *work = DPI_NEW_ARRAY(k->ctx, dpi_node, 2 * nest + from->n + 1);
  dp_status st = k->t->now && k->t->moved && k->t->node && work ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) st = add_direction(k, e, work, work + nest);
  if (st == DP_OK) st = dpi_g_jvp(e->scope->graph, from->node, from->n, work, work + nest, nest, work + 2 * nest);
  if (st == DP_OK) st = list_expressions(k, e, work + 2 * nest);
  dpi_free(k->ctx, work);
  return st == DP_OK ? dpi_express_compile(e) : st;
}

/* ---- the model and its sims ---- */

typedef struct names {
  const char **id;
  int n, cap;
} names;

static dp_status add_name(maker *k, names *l, const char *id) {
  if (!id) return DP_ERR_MEMORY;
  for (int i = 0; i < l->n; i++)
    if (!strcmp(l->id[i], id)) return DP_OK;
  DP_TRY(dpi_grow(k->ctx, (void **)&l->id, &l->cap, l->n + 1, sizeof *l->id));
  l->id[l->n++] = id;
  return DP_OK;
}

static dp_status tangent_model(maker *k, const dp_model *m, const char *const *active, int nactive, bool at_rest,
                               dp_model **out) {
  const dpi_calib_part *p = k->from;
  names l = {0};
  dp_status st = DP_OK;
  for (int a = 0; a < nactive && st == DP_OK; a++)
    if (strcmp(active[a], DPI_CALIB_SCALE) != 0) st = add_name(k, &l, active[a]);
  for (int i = 0; i < p->nlaw && !at_rest && st == DP_OK; i++)
    for (int j = 0; j < p->law[i].n && st == DP_OK; j++) {
      const int s = dpi_model_find(m, p->law[i].target[j]);
      if (s > 0 && m->sym[s].kind == DPI_SYM_PARAM) st = add_name(k, &l, p->law[i].target[j]);
    }
  if (st == DP_OK) st = dpi_model_tangent(m, l.id, l.n, at_rest, out);
  dpi_free(k->ctx, (void *)l.id);
  return st;
}

/* A law, with what it does to tangents: its time is fixed. */
static dp_status tangent_law(maker *k, const dp_law_def *law, dp_law_def *to) {
  dp_model *t = k->to->model;
  const bool jumps = dpi_model_find(t, DPI_TANGENT_JUMPED) >= 0;
  const char **target = DPI_ARENA_ARRAY(k->arena, const char *, 2 * law->n + 3),
             **formula = DPI_ARENA_ARRAY(k->arena, const char *, 2 * law->n + 3);
  if (!target || !formula) return DP_ERR_MEMORY;
  int n = law->n;
  for (int i = 0; i < law->n; i++) {
    const char *id = dpi_tangent_id(k->arena, law->target[i]);
    if (!id) return DP_ERR_MEMORY;
    target[i] = law->target[i];
    DP_TRY(dpi_tangent_written(k->from->model, law->formula[i], k->arena, &formula[i]));
    if (dpi_model_find(t, id) < 0) continue;
    target[n] = id;
    DP_TRY(dpi_tangent_formula(t, formula[i], k->arena, &formula[n]));
    n++;
  }
  if (jumps) {
    target[n] = DPI_TANGENT_MOMENT;
    formula[n++] = "0";
    target[n] = DPI_TANGENT_JUMPED;
    formula[n++] = "time";
  }
  *to = (dp_law_def){.id = law->id, .n = n, .target = target, .formula = formula};
  return DP_OK;
}

static dp_status tangent_laws(maker *k) {
  dpi_calib_part *to = k->to;
  to->law = DPI_ARENA_ARRAY(k->arena, dp_law_def, to->nlaw + 1);
  if (!to->law) return DP_ERR_MEMORY;
  for (int l = 0; l < to->nlaw; l++) DP_TRY(tangent_law(k, &k->from->law[l], &to->law[l]));
  return DP_OK;
}

/* The parameters that carry directions: those that did, and tangents that are no plain multiples of the direction. */
static dp_status list_active(maker *k, const dp_model *t, const char *const *active, int nactive, names *l) {
  const dpi_express *e = &k->t->p.express;
  dp_status st = DP_OK;
  for (int a = 0; a < nactive && st == DP_OK; a++) st = add_name(k, l, active[a]);
  for (int i = 0; i < k->from->ngiven && st == DP_OK; i++) {
    const dpi_calib_given *g = &k->from->given[i];
    const int moved = k->t->moved[g->expr];
    if (moved < 0 || e->first[moved] == e->first[moved + 1]) continue;
    const char *id = dpi_tangent_id(k->arena, g->param);
    if (!id)
      st = DP_ERR_MEMORY;
    else if (dpi_model_find(t, id) >= 0)
      st = add_name(k, l, id);
  }
  return st;
}

static dp_sim_def sim_def(const dp_problem *p) {
  dp_sim_def d = dp_sim_def_default();
  d.time_unit = "1";
  d.method = p->def.method;
  d.rtol = p->def.rtol;
  d.atol = p->def.atol;
  d.same_steps = p->def.same_steps != 0;
  d.max_steps = p->def.max_steps;
  return d;
}

/* Number of each parameter of the sim among the active, -1. */
static dp_status number_active(maker *k, const dp_sim *sim, const names *l, int **out) {
  const int np = dp_sim_describe(sim)->nparam;
  *out = DPI_ARENA_ARRAY(k->arena, int, np + 1);
  if (!*out) return DP_ERR_MEMORY;
  for (int i = 0; i < np; i++) (*out)[i] = -1;
  for (int a = 0; a < l->n; a++) (*out)[dp_sim_param(sim, l->id[a])] = a;
  return DP_OK;
}

static dp_status tangent_atoms(maker *k, dp_output_def **out) {
  const dpi_calib_part *p = k->from;
  *out = DPI_ARENA_ARRAY(k->arena, dp_output_def, 2 * p->natom + 1);
  if (!*out) return DP_ERR_MEMORY;
  for (int i = 0; i < p->natom; i++) {
    dp_output_def *a = *out + i, *d = a + p->natom;
    a->id = dpi_arena_printf(k->arena, "atom %d", i + 1);
    d->id = dpi_arena_printf(k->arena, "tangent %d", i + 1);
    a->formula = p->atom[i];
    a->unit = d->unit = "";
    if (!a->id || !d->id) return DP_ERR_MEMORY;
    DP_TRY(dpi_tangent_formula(k->to->model, p->atom[i], k->arena, &d->formula));
  }
  k->to->natom = 2 * p->natom;
  return DP_OK;
}

static dp_status main_sim(maker *k) {
  dpi_calib_part *to = k->to;
  dp_output_def *output;
  names l = {0};
  DP_TRY(tangent_model(k, k->from->model, k->from->active, k->from->nactive, false, &to->model));
  DP_TRY(tangent_laws(k));
  DP_TRY(tangent_atoms(k, &output));
  dp_sim_def d = sim_def(k->p);
  dp_status st = list_active(k, to->model, k->from->active, k->from->nactive, &l);
  const dpi_calib_before *b = &k->from->before;
  for (int i = 0; i < b->nslot && b->nactive > 0 && st == DP_OK; i++)
    st = add_name(k, &l, dpi_tangent_id(k->arena, b->slot[i]));
  d.model = to->model;
  d.output = output;
  d.noutput = to->natom;
  d.law = to->law;
  d.nlaw = to->nlaw;
  d.active = l.id;
  d.nactive = to->nactive = l.n;
  if (st == DP_OK) st = dp_sim_create(k->ctx, &d, &to->sim);
  if (st == DP_OK) st = number_active(k, to->sim, &l, &to->active_of);
  if (st == DP_OK) {
    to->desc = dp_sim_describe(to->sim);
    to->scale_active = dp_sim_active(to->sim, DPI_CALIB_SCALE);
  }
  dpi_free(k->ctx, (void *)l.id);
  return st;
}

/* ---- steady states before ---- */

/* Tangents of what is handed over are handed over; where nothing estimated moves it, they are zero. */
static dp_status before_slots(maker *k, dp_output_def **out) {
  const dpi_calib_before *from = &k->from->before;
  dpi_calib_before *to = &k->to->before;
  const int n = from->nslot, all = from->nactive > 0 ? 2 * n : n;
  to->nslot = all;
  to->state = DPI_ARENA_ARRAY(k->arena, const char *, all + 1);
  to->slot = DPI_ARENA_ARRAY(k->arena, const char *, all + 1);
  to->slot_param = DPI_ARENA_ARRAY(k->arena, int, all + 1);
  *out = DPI_ARENA_ARRAY(k->arena, dp_output_def, all + 1);
  if (!to->state || !to->slot || !to->slot_param || !*out) return DP_ERR_MEMORY;
  for (int i = 0; i < all; i++) {
    to->state[i] = i < n ? from->state[i] : dpi_tangent_id(k->arena, from->state[i - n]);
    to->slot[i] = i < n ? from->slot[i] : dpi_tangent_id(k->arena, from->slot[i - n]);
    if (!to->state[i] || !to->slot[i]) return DP_ERR_MEMORY;
    to->slot_param[i] = dp_sim_param(k->to->sim, to->slot[i]);
    (*out)[i].id = to->state[i];
    (*out)[i].formula = dpi_arena_printf(k->arena, "`%s`", to->state[i]);
    (*out)[i].unit = "";
    if (!(*out)[i].formula) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status before_sim(maker *k) {
  const dpi_calib_before *from = &k->from->before;
  dpi_calib_before *to = &k->to->before;
  dp_output_def *output;
  names l = {0};
  DP_TRY(tangent_model(k, from->model, from->active, from->nactive, true, &to->model));
  DP_TRY(before_slots(k, &output));
  dp_sim_def d = sim_def(k->p);
  dp_status st = list_active(k, to->model, from->active, from->nactive, &l);
  d.model = to->model;
  d.output = output;
  d.noutput = to->nslot;
  d.active = l.id;
  d.nactive = to->nactive = l.n;
  if (st == DP_OK) st = dp_sim_create(k->ctx, &d, &to->sim);
  if (st == DP_OK) st = number_active(k, to->sim, &l, &to->active_of);
  if (st == DP_OK) {
    to->desc = dp_sim_describe(to->sim);
    to->scale_active = dp_sim_active(to->sim, DPI_CALIB_SCALE);
  }
  dpi_free(k->ctx, (void *)l.id);
  return st;
}

/* ---- simulations and rows ---- */

/* What expressions give parameters, and their tangents what the tangents are given. */
static dp_status binds(maker *k, const dp_sim_desc *from, const dp_sim *sim, dpi_calib_bind **bind, int *nbind) {
  const dpi_calib_bind *had = *bind;
  const int n = *nbind;
  dpi_calib_bind *to = DPI_ARENA_ARRAY(k->arena, dpi_calib_bind, 2 * n + 1);
  if (!to) return DP_ERR_MEMORY;
  *bind = to;
  *nbind = 0;
  for (int i = 0; i < n; i++) {
    const char *id = from->param_id[had[i].param], *dot = dpi_tangent_id(k->arena, id);
    const int moved = k->t->moved[had[i].expr], param = dp_sim_param(sim, id);
    if (!dot) return DP_ERR_MEMORY;
    const int by = moved < 0 ? -1 : dp_sim_param(sim, dot);
    to[(*nbind)++] = (dpi_calib_bind){param, k->t->now[had[i].expr]};
    if (by >= 0) to[(*nbind)++] = (dpi_calib_bind){by, moved};
  }
  return DP_OK;
}

static dp_status simulations(maker *k) {
  const dpi_calib_part *p = k->from;
  dpi_calib_part *to = k->to;
  const bool jumps = dpi_model_find(to->model, DPI_TANGENT_JUMPED) >= 0;
  to->sims = DPI_ARENA_ARRAY(k->arena, dpi_calib_sim, p->nsim + 1);
  to->before.rest = DPI_ARENA_ARRAY(k->arena, dpi_calib_rest, p->before.nrest + 1);
  if (!to->sims || !to->before.rest) return DP_ERR_MEMORY;
  for (int s = 0; s < p->nsim; s++) {
    to->sims[s] = p->sims[s];
    if (p->sims[s].settles && jumps)
      return dpi_fail(k->ctx, DP_ERR_UNSUPPORTED,
                      "experiment '%s': second derivatives are not offered where a steady state is measured and the "
                      "times of jumps move with parameters",
                      p->sims[s].experiment);
    DP_TRY(binds(k, p->desc, to->sim, &to->sims[s].bind, &to->sims[s].nbind));
  }
  for (int r = 0; r < p->before.nrest; r++) {
    dpi_calib_rest *rest = &to->before.rest[r];
    *rest = p->before.rest[r];
    DP_TRY(binds(k, p->before.desc, to->before.sim, &rest->bind, &rest->nbind));
  }
  return DP_OK;
}

static dp_status watches(maker *k) {
  dpi_calib_part other = *k->from;
  other.arena = k->arena;
  other.watch = NULL;
  other.natom = other.nouter = 0;
  other.twice = true;
  const dp_status st = dpi_calib_observe(&other);
  k->to->watch = other.watch;
  if (st == DP_OK && (other.natom != k->from->natom || other.nouter != k->from->nouter))
    return dpi_fail(k->ctx, DP_ERR_BUG, "%s: observables were cut otherwise than before", k->from->model->source);
  return st;
}

static dp_status make_part(maker *k) {
  dpi_calib_part *to = k->to;
  *to = *k->from;
  to->arena = k->arena;
  to->express = &k->t->p.express;
  to->tangent = k->t;
  to->of = k->from;
  to->model = NULL;
  to->sim = NULL;
  to->law = NULL;
  to->given = NULL;
  to->watch = NULL;
  to->before.model = NULL;
  to->before.sim = NULL;
  to->width = 0;
  to->tried = true;
  DP_TRY(watches(k));
  DP_TRY(main_sim(k));
  if (k->from->steady) DP_TRY(before_sim(k));
  return simulations(k);
}

/* ---- the tangent of a problem ---- */

void dpi_calib_tangent_destroy(struct dpi_calib_tangent *t) {
  if (!t) return;
  dp_problem *p = &t->p;
  for (int k = 0; p->part && k < p->file.ntable; k++)
    if (p->part[k].ctx) {
      p->part[k].law = NULL; /* the arena's */
      dpi_calib_part_release(&p->part[k]);
    }
  dpi_tape_destroy(p->express.tape);
  dp_ctx *ctx = p->ctx;
  dpi_arena_release(&p->arena);
  dpi_free(ctx, t);
}

static dp_status fill(maker *k) {
  dp_problem *t = &k->t->p;
  DP_TRY(make_express(k));
  t->part = DPI_ARENA_ARRAY(k->arena, dpi_calib_part, t->file.ntable + 1);
  if (!t->part) return DP_ERR_MEMORY;
  for (int i = 0; i < t->file.ntable; i++) {
    k->from = &k->p->part[i];
    k->to = &t->part[i];
    DP_TRY(make_part(k));
  }
  return DP_OK;
}

static dp_status make(dp_problem *p) {
  struct dpi_calib_tangent *t = DPI_NEW(p->ctx, struct dpi_calib_tangent);
  if (!t) return DP_ERR_MEMORY;
  t->p = *p;
  dpi_arena_init(&t->p.arena, p->ctx);
  t->p.part = NULL;
  t->p.tangent = NULL;
  t->p.has_prior = false;
  t->p.express = (dpi_express){0};
  maker k = {.p = p, .t = t, .ctx = p->ctx, .arena = &t->p.arena};
  const dp_status st = fill(&k);
  if (st == DP_OK)
    p->tangent = t;
  else
    dpi_calib_tangent_destroy(t);
  return st;
}

/* ---- one simulation's share ---- */

typedef struct look { /* what one measurement needs */
  double *sym, *reg, *out;
  void *block;
} look;

static dp_status look_init(look *l, const dpi_calib_part *p) {
  int nin = 0, nreg = 0;
  for (int o = 0; o < p->table->nobservable; o++) {
    const dpi_calib_watch *w = &p->watch[o];
    nin = w->nin > nin ? w->nin : nin;
    nreg = dpi_tape_nreg(w->twice) > nreg ? dpi_tape_nreg(w->twice) : nreg;
  }
  l->block = l->sym = DPI_NEW_ARRAY(p->ctx, double, 6 * (size_t)nin + (size_t)nreg + 6);
  if (!l->block) return DP_ERR_MEMORY;
  l->out = l->sym + 2 * nin + 1;
  l->reg = l->out + 4 * nin + 4;
  return DP_OK;
}

static int expr_of(const dpi_calib_part *p, const dpi_calib_row *r, dpi_calib_in in) {
  return in.kind == DPI_IN_PLACEHOLDER ? r->given[in.index] : p->use[r->experiment].outer[in.index];
}

static void run_look(const dpi_calib_part *p, const dpi_calib_row *r, const double *expr, const double *atom, look *l) {
  const dpi_calib_watch *w = &p->watch[r->observable];
  const struct dpi_calib_tangent *t = p->tangent;
  const int n = w->nin, natom = p->of->natom;
  l->sym[0] = r->time;
  for (int i = 0; i < n; i++) {
    const dpi_calib_in in = w->in[i];
    double *x = &l->sym[1 + i], *dot = &l->sym[1 + n + i];
    if (in.kind == DPI_IN_ATOM) {
      *x = atom[in.index];
      *dot = atom[natom + in.index];
      continue;
    }
    const int e = expr_of(p->of, r, in);
    *x = e >= 0 ? expr[t->now[e]] : p->of->desc->param_default[p->of->outer[in.index]];
    *dot = e >= 0 && t->moved[e] >= 0 ? expr[t->moved[e]] : 0;
  }
  dpi_tape_init(w->twice, l->reg);
  dpi_tape_prologue(w->twice, l->sym, l->reg);
  dpi_tape_eval(w->twice, l->sym, l->reg, l->out);
}

static void add_partials(const dpi_express *e, const double *expr, int which, double by, double *grad) {
  for (int j = which < 0 ? 0 : e->first[which]; which >= 0 && j < e->first[which + 1]; j++)
    grad[e->by[j]] += by * expr[e->n + j];
}

/* The slope's derivatives by what the measurement is made of. moved [4]: tangents of y, sigma and the two bounds. */
static void pull(const dpi_calib_part *p, const dpi_calib_row *r, const dpi_noise_value *v, const dpi_noise_bend *b,
                 const double moved[4], const look *l, const double *expr, double *weight, double *grad) {
  const dpi_calib_watch *w = &p->watch[r->observable];
  const struct dpi_calib_tangent *t = p->tangent;
  const int n = w->nin, natom = p->of->natom, bound[2] = {r->low, r->high};
  const double *y = l->out + 4, *s = y + n, *dy = s + n, *ds = dy + n;
  double by_y = b->yy * moved[0] + b->ys * moved[1], by_s = b->ys * moved[0] + b->ss * moved[1];
  for (int k = 0; k < 2; k++) {
    double by = 0;
    if (bound[k] < 0) continue;
    by_y += b->by[k][0] * moved[2 + k];
    by_s += b->by[k][1] * moved[2 + k];
    for (int j = 0; j < 4; j++) by += b->by[k][j] * moved[j];
    add_partials(p->express, expr, t->now[bound[k]], by, grad);
    add_partials(p->express, expr, t->moved[bound[k]], b->bound[k], grad);
  }
  for (int i = 0; i < n; i++) {
    const double by = by_y * y[i] + v->dy * dy[i] + by_s * s[i] + v->ds * ds[i], by_dot = v->dy * y[i] + v->ds * s[i];
    if (w->in[i].kind == DPI_IN_ATOM) {
      weight[w->in[i].index] += by;
      weight[natom + w->in[i].index] += by_dot;
      continue;
    }
    const int e = expr_of(p->of, r, w->in[i]);
    if (e < 0) continue;
    add_partials(p->express, expr, t->now[e], by, grad);
    add_partials(p->express, expr, t->moved[e], by_dot, grad);
  }
}

static double tangent_of(const dpi_calib_part *p, const double *expr, int e) {
  const int moved = e < 0 ? -1 : p->tangent->moved[e];
  return moved < 0 ? 0 : expr[moved];
}

/* False: outside the noise's domain. */
static bool judge(const dpi_calib_part *p, const dpi_calib_row *r, const double *expr, double y, double s,
                  dpi_noise_value *v, dpi_noise_bend *b) {
  const dpi_noise noise = p->table->observable[r->observable].distribution;
  if (r->low < 0 && r->high < 0) {
    if (!dpi_noise_eval(noise, r->value, y, s, v)) return false;
    dpi_noise_bend_at(noise, r->value, y, s, b);
    return true;
  }
  const int *now = p->tangent->now;
  const double low = r->low < 0 ? -INFINITY : expr[now[r->low]], high = r->high < 0 ? INFINITY : expr[now[r->high]];
  if (!dpi_noise_within(noise, low, high, y, s, v)) return false;
  dpi_noise_bend_within(noise, low, high, y, s, b);
  return true;
}

dp_status dpi_calib_tangent_score(const dpi_calib_part *p, int sim, const double *expr, const double *value,
                                  double *weight, double *grad, dpi_calib_share *out) {
  look l;
  *out = (dpi_calib_share){.ok = true};
  DP_TRY(look_init(&l, p));
  for (int i = p->row_first[sim]; i < p->row_first[sim + 1] && out->ok; i++) {
    const dpi_calib_row *r = &p->row[p->by_sim[i]];
    const size_t at = (size_t)r->row * (size_t)p->natom;
    dpi_noise_value v;
    dpi_noise_bend b;
    run_look(p, r, expr, value + at, &l);
    out->ok = judge(p, r, expr, l.out[0], l.out[1], &v, &b);
    if (!out->ok) {
      snprintf(out->reason, sizeof out->reason, "%.80s: '%.50s' is %.4g with noise %.4g, outside the domain of %s",
               r->where, p->table->observable[r->observable].id, l.out[0], l.out[1],
               dpi_noise_name(p->table->observable[r->observable].distribution));
      break;
    }
    const double moved[4] = {l.out[2], l.out[3], tangent_of(p, expr, r->low), tangent_of(p, expr, r->high)};
    out->slope += v.dy * moved[0] + v.ds * moved[1] + b.bound[0] * moved[2] + b.bound[1] * moved[3];
    pull(p, r, &v, &b, moved, &l, expr, weight + at, grad);
  }
  dpi_free(p->ctx, l.block);
  return DP_OK;
}

/* ---- points ---- */

/* Products are linear in v: a tangent is integrated along v / length, in which parameters move by ROOM of their size at
 * most. So what is noise to a tangent is 1/ROOM of what is noise to a state, as for the directions of calib_eval.c. */
static double length_of(const dp_problem *p, const double *scale, const double *v) {
  double most = 0;
  for (int q = 0; q < p->desc.nparam; q++) most = fmax(most, scale[q] * fabs(v[q]));
  return most > 0 && isfinite(most) ? most / ROOM : 1;
}

/* Expressions and their partial derivatives by x, at x along v / length [npoint]; scale as calib_eval.c has it. */
static dp_status express_points(dp_problem *p, int npoint, const double *x, const double *v, double *expr,
                                double *scale, double *length) {
  const dpi_express *e = &p->tangent->p.express;
  const size_t n = (size_t)e->n + (size_t)e->npartial, nest = (size_t)p->desc.nparam;
  double *work = DPI_NEW_ARRAY(p->ctx, double, dpi_express_work(e) + (size_t)e->nparam + nest + 1);
  if (!work) return DP_ERR_MEMORY;
  double *theta = work + dpi_express_work(e), *slope = theta + e->nparam;
  for (int i = 0; i < npoint; i++) {
    double *to = expr + (size_t)i * n;
    dpi_calib_theta(p, x + (size_t)i * nest, theta, slope);
    for (size_t q = 0; q < nest; q++) {
      const double size = fabs(theta[p->free[q]]);
      scale[(size_t)i * nest + q] = size > 0 ? fabs(slope[q]) / size : 1;
    }
    length[i] = length_of(p, scale + (size_t)i * nest, v + (size_t)i * nest);
    for (size_t q = 0; q < nest; q++) theta[(size_t)p->express.nparam + q] = v[(size_t)i * nest + q] / length[i];
    dpi_express_eval(e, theta, work, to);
    for (int j = 0; j < e->npartial; j++) to[e->n + j] *= slope[e->by[j]];
  }
  dpi_free(p->ctx, work);
  return DP_OK;
}

static void start(const dp_problem *p, int npoint, dp_problem_product *out, dp_problem_value *value) {
  for (int i = 0; i < npoint; i++) {
    value[i] = (dp_problem_value){.ok = 1, .gradient = out[i].product};
    memset(out[i].product, 0, (size_t)p->desc.nparam * sizeof(double));
  }
}

static void finish(const dp_problem *p, const dp_problem_value *v, double length, dp_problem_product *out) {
  out->ok = v->ok;
  out->slope = v->llh * length;
  memcpy(out->reason, v->reason, sizeof out->reason);
  bool finite = isfinite(out->slope);
  for (int q = 0; q < p->desc.nparam; q++) {
    out->product[q] *= length;
    finite = finite && isfinite(out->product[q]);
  }
  if (out->ok && !finite) {
    out->ok = 0;
    snprintf(out->reason, sizeof out->reason, "the log-likelihood's second derivatives are not finite");
  }
  if (out->ok) return;
  out->slope = NAN;
  for (int q = 0; q < p->desc.nparam; q++) out->product[q] = NAN;
}

/* Where the way back is not offered at all, auto goes forward: of all points alike. */
static dp_status eval(dp_problem *p, int npoint, const double *expr, const double *scale, dp_problem_product *out,
                      dp_problem_value *value) {
  dp_problem *t = &p->tangent->p;
  start(p, npoint, out, value);
  dp_status st = dpi_calib_eval_parts(t, npoint, expr, scale, DP_PROBLEM_GRADIENT, value);
  if (st != DP_ERR_UNSUPPORTED || t->derivative != DP_DERIVATIVE_AUTO) return st;
  dp_ctx_clear_error(p->ctx);
  for (int k = 0; k < t->file.ntable; k++) t->part[k].no_back = true;
  start(p, npoint, out, value);
  return dpi_calib_eval_parts(t, npoint, expr, scale, DP_PROBLEM_GRADIENT, value);
}

dp_status dp_problem_hessian_vector(dp_problem *p, int npoint, const double *x, const double *v,
                                    dp_problem_product *out) {
  if (!p || npoint < 0 || (npoint > 0 && (!x || !v || !out)))
    return dpi_fail(p ? p->ctx : NULL, DP_ERR_USAGE,
                    "dp_problem_hessian_vector: found no problem, points, directions or room for products");
  if (p->full) return dpi_calib_inner_product(p, npoint, x, v, out);
  if (!p->tangent) DP_TRY(make(p));
  const dpi_express *e = &p->tangent->p.express;
  const size_t n = (size_t)e->n + (size_t)e->npartial, nest = (size_t)p->desc.nparam;
  double *expr = DPI_NEW_ARRAY(p->ctx, double, (n + nest + 1) * (size_t)npoint + 1);
  double *scale = expr ? expr + n * (size_t)npoint : NULL, *length = expr ? scale + nest * (size_t)npoint : NULL;
  dp_problem_value *value = DPI_NEW_ARRAY(p->ctx, dp_problem_value, npoint + 1);
  dp_status st = expr && value ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) st = express_points(p, npoint, x, v, expr, scale, length);
  if (st == DP_OK) st = eval(p, npoint, expr, scale, out, value);
  for (int i = 0; i < npoint && st == DP_OK; i++) finish(p, &value[i], length[i], &out[i]);
  dpi_free(p->ctx, expr);
  dpi_free(p->ctx, value);
  return st;
}

void dp_problem_prior_hessian(const dp_problem *p, const double *x, double *d2) {
  for (int q = 0; q < p->desc.nparam; q++) d2[q] = 0;
  if (p->has_prior) dpi_calib_prior_bend(p, x, d2);
}
