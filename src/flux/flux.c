/* flux.c - floor 4: a flux balance problem set up from the network and solved by COIN-OR's Clp (see doppel/flux.h).
 *
 *     columns: reactions;  rows: species that reactions change (neither boundary nor constant), sum of N v = 0
 *
 * Numbers are those at time zero: a bound or a stoichiometry may be set by an initial assignment or a rule. A bound
 * that is not given (allowed unless the model says strict) is no bound, but the lower bound of an irreversible reaction
 * is 0. Kinetic laws and conversion factors play no part (a factor scales a whole row whose right-hand side is 0).
 */
#include "flux/flux.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include <coin/Clp_C_Interface.h>

#define STILL 1e-12 /* a flux nearer to zero is zero */

typedef struct problem { /* minimise or maximise cost x, rows zero, low <= x <= high; columns compressed */
  int ncolumn, nrow;
  int *start, *index; /* [ncolumn + 1], [nentry] */
  double *entry;
  double *cost, *low, *high; /* [ncolumn] */
  double *zero;              /* [nrow] */
  bool maximize;
} problem;

static const dpi_net *net_of(const dp_model *m) { return m->net; }

/* ---- bounds ---- */

static dp_status bound_of(dpi_flux_start *s, const dpi_net_reaction *r, bool upper, double *out) {
  const dpi_net *net = net_of(s->model);
  const char *id = upper ? r->upper : r->lower, *side = upper ? "upper" : "lower";
  if (!*id) {
    if (net->strict)
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: reaction '%s' has no %s flux bound, and the model says strict",
                      net->source, r->line, r->id, side);
    *out = upper ? DBL_MAX : r->reversible ? -DBL_MAX : 0;
    return DP_OK;
  }
  DP_TRY(dpi_flux_start_value(s, id, out));
  if (isnan(*out) || *out == (upper ? -INFINITY : INFINITY))
    return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: reaction '%s': its %s flux bound '%s' is %g", net->source, r->line,
                    r->id, side, id, *out);
  if (isinf(*out)) *out = *out > 0 ? DBL_MAX : -DBL_MAX;
  return DP_OK;
}

static dp_status fill_bounds(dpi_flux_start *s, problem *p) {
  const dpi_net *net = net_of(s->model);
  for (int j = 0; j < p->ncolumn; j++) {
    const dpi_net_reaction *r = &net->reaction[j];
    DP_TRY(bound_of(s, r, false, &p->low[j]));
    DP_TRY(bound_of(s, r, true, &p->high[j]));
    if (p->low[j] > p->high[j])
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: reaction '%s': its flux bounds cross: lower %g, upper %g",
                      net->source, r->line, r->id, p->low[j], p->high[j]);
  }
  return DP_OK;
}

/* ---- matrix ---- */

/* A term's factor: what the model gives its id, its number; 1 where nothing is said. */
static dp_status stoichiometry(dpi_flux_start *s, const dpi_net_term *t, double *out) {
  double given = NAN;
  if (t->math)
    return dpi_fail(s->ctx, DP_ERR_UNSUPPORTED, "%s:%d: species '%s': stoichiometryMath in a flux balance problem",
                    net_of(s->model)->source, t->line, t->species);
  if (*t->id) DP_TRY(dpi_flux_start_value(s, t->id, &given));
  if (isnan(given)) given = isnan(t->stoichiometry) ? 1 : t->stoichiometry;
  *out = given;
  return DP_OK;
}

/* Add the terms of one side of reaction j to the column being built from entry `first` on. */
static dp_status add_side(dpi_flux_start *s, problem *p, const int *row, int first, int *n, const dpi_net_term *term,
                          int nterm, double sign) {
  const dpi_net *net = net_of(s->model);
  for (int k = 0; k < nterm; k++) {
    int species, at = first;
    double by = 0;
    if (dpi_net_find(net, term[k].species, &species) != DPI_NET_SPECIES)
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s:%d: no species '%s'", net->source, term[k].line, term[k].species);
    if (row[species] < 0) continue;
    DP_TRY(stoichiometry(s, &term[k], &by));
    while (at < *n && p->index[at] != row[species]) at++; /* on both sides: one net entry */
    if (at == *n) p->index[(*n)++] = row[species];
    p->entry[at] += sign * by;
  }
  return DP_OK;
}

/* Row of each species, -1 for those that reactions do not change. */
static int *number_rows(dpi_arena *arena, const dpi_net *net, int *nrow) {
  int *row = DPI_ARENA_ARRAY(arena, int, net->nspecies + 1);
  *nrow = 0;
  for (int i = 0; row && i < net->nspecies; i++)
    row[i] = net->species[i].boundary || net->species[i].constant ? -1 : (*nrow)++;
  return row;
}

static dp_status fill_matrix(dpi_flux_start *s, problem *p) {
  const dpi_net *net = net_of(s->model);
  int n = 0, *row = number_rows(&s->arena, net, &p->nrow);
  p->zero = DPI_ARENA_ARRAY(&s->arena, double, p->nrow + 1);
  if (!row || !p->zero) return DP_ERR_MEMORY;
  for (int j = 0; j < p->ncolumn; j++) {
    const dpi_net_reaction *r = &net->reaction[j];
    int first = p->start[j] = n;
    DP_TRY(add_side(s, p, row, first, &n, r->reactant, r->nreactant, -1));
    DP_TRY(add_side(s, p, row, first, &n, r->product, r->nproduct, 1));
  }
  p->start[p->ncolumn] = n;
  return DP_OK;
}

/* ---- objective ---- */

static const dpi_net_objective *active(const dpi_net *net) {
  return net && net->flux && net->active_objective >= 0 && net->active_objective < net->nobjective
             ? &net->objective[net->active_objective]
             : NULL;
}

static dp_status fill_cost(dpi_flux_start *s, problem *p) {
  const dpi_net *net = net_of(s->model);
  const dpi_net_objective *o = active(net);
  p->maximize = o->maximize;
  for (int k = 0; k < o->nterm; k++) {
    int j;
    if (dpi_net_find(net, o->term[k].reaction, &j) != DPI_NET_REACTION)
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s: objective '%s': no reaction '%s'", net->source, o->id,
                      o->term[k].reaction);
    if (!isfinite(o->term[k].coefficient))
      return dpi_fail(s->ctx, DP_ERR_INPUT, "%s: objective '%s': the coefficient of '%s' is no number", net->source,
                      o->id, o->term[k].reaction);
    p->cost[j] += o->term[k].coefficient;
  }
  return DP_OK;
}

static dp_status make_problem(dpi_flux_start *s, problem *p) {
  const dpi_net *net = net_of(s->model);
  int nentry = 0;
  p->ncolumn = net->nreaction;
  for (int j = 0; j < net->nreaction; j++) nentry += net->reaction[j].nreactant + net->reaction[j].nproduct;
  p->start = DPI_ARENA_ARRAY(&s->arena, int, p->ncolumn + 1);
  p->index = DPI_ARENA_ARRAY(&s->arena, int, nentry + 1);
  p->entry = DPI_ARENA_ARRAY(&s->arena, double, nentry + 1);
  p->cost = DPI_ARENA_ARRAY(&s->arena, double, p->ncolumn + 1);
  p->low = DPI_ARENA_ARRAY(&s->arena, double, p->ncolumn + 1);
  p->high = DPI_ARENA_ARRAY(&s->arena, double, p->ncolumn + 1);
  if (!p->start || !p->index || !p->entry || !p->cost || !p->low || !p->high) return DP_ERR_MEMORY;
  DP_TRY(fill_bounds(s, p));
  DP_TRY(fill_matrix(s, p));
  return fill_cost(s, p);
}

/* ---- solution ---- */

/* 0 solved, 1 infeasible, 2 unbounded, else given up; fluxes into value. No random perturbation: same bytes. */
static int solve(const problem *p, double *value) {
  Clp_Simplex *clp = Clp_newModel();
  Clp_setLogLevel(clp, 0);
  Clp_loadProblem(clp, p->ncolumn, p->nrow, p->start, p->index, p->entry, p->low, p->high, p->cost, p->zero, p->zero);
  Clp_setOptimizationDirection(clp, p->maximize ? -1 : 1);
  Clp_setPerturbation(clp, 100);
  Clp_primal(clp, 0);
  int status = Clp_status(clp);
  const double *x = Clp_primalColumnSolution(clp);
  for (int j = 0; j < p->ncolumn; j++) value[j] = fabs(x[j]) < STILL ? 0 : x[j];
  Clp_deleteModel(clp);
  return status;
}

static dp_status fill_answer(dpi_flux_start *s, const problem *p, dp_flux *f) {
  const dpi_net *net = net_of(s->model);
  int status = solve(p, f->value);
  if (status)
    return dpi_fail(s->ctx, DP_ERR_CONVERGE, "%s: objective '%s': %s", net->source, active(net)->id,
                    status == 1   ? "infeasible: no fluxes within their bounds keep every species balanced"
                    : status == 2 ? "unbounded: some flux may grow without limit"
                                  : "the linear program was not solved");
  for (int j = 0; j < p->ncolumn; j++) {
    f->reaction[j] = net->reaction[j].id;
    f->objective += p->cost[j] * f->value[j];
  }
  return DP_OK;
}

bool dp_flux_has(const dp_model *model) { return active(net_of(model)) != NULL; }

bool dp_flux_only(const dp_model *model) {
  const dpi_net *net = net_of(model);
  if (!dp_flux_has(model) || net->nevent) return false;
  for (int j = 0; j < net->nreaction; j++)
    if (net->reaction[j].has_rate) return false;
  for (int i = 0; i < net->nrule; i++)
    if (net->rule[i].kind == DPI_RULE_RATE || net->rule[i].kind == DPI_RULE_ALGEBRAIC) return false;
  return true;
}

dp_status dp_flux_solve(const dp_model *model, dp_flux **out) {
  dp_ctx *ctx = model->ctx;
  dpi_flux_start s;
  problem p = {0};
  *out = NULL;
  if (!dp_flux_has(model))
    return dpi_fail(ctx, DP_ERR_INPUT, "%s: states no flux balance problem (no active objective)", model->source);
  dp_flux *f = DPI_NEW(ctx, dp_flux);
  if (!f) return DP_ERR_MEMORY;
  f->ctx = ctx;
  f->nreaction = net_of(model)->nreaction;
  f->reaction = DPI_NEW_ARRAY(ctx, const char *, f->nreaction);
  f->value = DPI_NEW_ARRAY(ctx, double, f->nreaction);
  dp_status status = f->reaction && f->value ? dpi_flux_start_init(&s, model) : DP_ERR_MEMORY;
  if (status == DP_OK) {
    status = make_problem(&s, &p);
    if (status == DP_OK) status = fill_answer(&s, &p, f);
    dpi_flux_start_release(&s);
  }
  if (status == DP_OK)
    *out = f;
  else
    dp_flux_destroy(f);
  return status;
}

void dp_flux_destroy(dp_flux *flux) {
  if (!flux) return;
  dpi_free(flux->ctx, flux->reaction);
  dpi_free(flux->ctx, flux->value);
  dpi_free(flux->ctx, flux);
}
