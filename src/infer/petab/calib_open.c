/* calib_open.c - floor 6: a problem made from its file, and what it says of itself (see doppel/calibrate.h).  O
 *
 *     dpi_calib_read      tables
 *     dpi_express_init    the parameter table's scope
 *       dpi_calib_model   each model: names, conditions, laws; sealed
 *       dpi_calib_observe atoms and what is outside
 *       dpi_calib_given_values  placeholders
 *     dpi_express_compile
 *       dpi_calib_create  the sim
 *       dpi_calib_plan    simulations, rows
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/petab/calib.h"

dp_problem_def dp_problem_def_default(void) {
  return (dp_problem_def){.cookie = 0x70726231u, .method = "ensemble", .rtol = 1e-8, .atol = 1e-12};
}

double dp_problem_unscale(dp_problem_scale scale, double x) {
  return scale == DP_SCALE_LIN ? x : scale == DP_SCALE_LOG ? dpi_m_exp(x) : dpi_m_pow(10, x);
}

double dp_problem_rescale(dp_problem_scale scale, double value) {
  return scale == DP_SCALE_LIN ? value : scale == DP_SCALE_LOG ? dpi_m_log(value) : dpi_m_log10(value);
}

const dp_problem_desc *dp_problem_describe(const dp_problem *p) { return &p->desc; }

int dp_problem_param(const dp_problem *p, const char *id) {
  for (int q = 0; q < p->desc.nparam; q++)
    if (!strcmp(p->desc.id[q], id)) return q;
  return -1;
}

void dpi_calib_part_release(dpi_calib_part *p) {
  for (int o = 0; p->watch && o < p->table->nobservable; o++) {
    dpi_tape_destroy(p->watch[o].value);
    dpi_tape_destroy(p->watch[o].full);
    dpi_tape_destroy(p->watch[o].twice);
  }
  dpi_free(p->ctx, p->law);
  dpi_free(p->ctx, p->given);
  dp_sim_destroy(p->sim);
  dp_sim_destroy(p->before.sim);
  dp_model_destroy(p->model);
  dp_model_destroy(p->before.model);
}

void dp_problem_close(dp_problem *p) {
  if (!p) return;
  if (p->full) { /* what it shows is the other's */
    dp_problem_close(p->full);
    dpi_arena_release(&p->arena);
    dpi_free(p->ctx, p);
    return;
  }
  dpi_calib_tangent_destroy(p->tangent);
  for (int k = 0; p->part && k < p->file.ntable; k++)
    if (p->part[k].ctx) dpi_calib_part_release(&p->part[k]);
  if (p->express.ctx) dpi_express_release(&p->express);
  dpi_petab_destroy(p->file.petab);
  dpi_arena_release(&p->arena);
  dpi_free(p->ctx, p);
}

/* ---- parameters ---- */

static dp_status check_param(const dp_problem *p, const dpi_calib_param *q) {
  const bool log = q->scale != DP_SCALE_LIN;
  if (!q->estimated) {
    if (isfinite(q->nominal)) return DP_OK;
    return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: parameter '%s' is not estimated and has no nominal value; give one",
                    q->where, q->id);
  }
  if (isnan(q->lower) || isnan(q->upper))
    return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: parameter '%s' is estimated and lacks a bound; give both", q->where,
                    q->id);
  if (!(q->lower < q->upper))
    return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: parameter '%s': its lower bound %g is not below its upper bound %g",
                    q->where, q->id, q->lower, q->upper);
  if (log && q->lower < 0)
    return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: parameter '%s' is estimated by its logarithm, but its lower bound is %g",
                    q->where, q->id, q->lower);
  if (log && q->nominal <= 0)
    return dpi_fail(p->ctx, DP_ERR_INPUT,
                    "%s: parameter '%s' is estimated by its logarithm, but its nominal value is %g", q->where, q->id,
                    q->nominal);
  return DP_OK;
}

static dp_status list_params(dp_problem *p) {
  const dpi_calib_table *t = &p->file.table[0];
  const size_t n = (size_t)t->nparam + 1;
  const char **id = DPI_ARENA_ARRAY(&p->arena, const char *, n);
  dp_problem_scale *scale = DPI_ARENA_ARRAY(&p->arena, dp_problem_scale, n);
  double *nominal = DPI_ARENA_ARRAY(&p->arena, double, n);
  p->lower = DPI_ARENA_ARRAY(&p->arena, double, n);
  p->upper = DPI_ARENA_ARRAY(&p->arena, double, n);
  p->est = DPI_ARENA_ARRAY(&p->arena, int, n);
  p->free = DPI_ARENA_ARRAY(&p->arena, int, n);
  if (!id || !scale || !nominal || !p->lower || !p->upper || !p->est || !p->free) return DP_ERR_MEMORY;
  int m = 0;
  for (int k = 0; k < t->nparam; k++) {
    const dpi_calib_param *q = &t->param[k];
    DP_TRY(check_param(p, q));
    p->est[k] = q->estimated ? m : -1;
    if (!q->estimated) continue;
    id[m] = q->id;
    scale[m] = q->scale;
    nominal[m] = dp_problem_rescale(q->scale, q->nominal);
    p->lower[m] = q->scale != DP_SCALE_LIN && q->lower == 0 ? -INFINITY : dp_problem_rescale(q->scale, q->lower);
    p->upper[m] = isinf(q->upper) ? q->upper : dp_problem_rescale(q->scale, q->upper);
    p->has_prior = p->has_prior || q->prior.family != DPI_PETAB_FLAT;
    p->free[m++] = k;
  }
  p->desc.nparam = m;
  p->desc.nfixed = t->nparam - m;
  p->desc.id = id;
  p->desc.scale = scale;
  p->desc.nominal = nominal;
  p->desc.lower = p->lower;
  p->desc.upper = p->upper;
  p->desc.has_prior = p->has_prior;
  return DP_OK;
}

/* ---- what is measured ---- */

static dp_status list_observables(dp_problem *p) {
  int n = 0;
  for (int k = 0; k < p->file.ntable; k++) n += p->file.table[k].nobservable;
  const char **id = DPI_ARENA_ARRAY(&p->arena, const char *, n + 1);
  if (!id) return DP_ERR_MEMORY;
  p->desc.observable = id;
  for (int k = 0; k < p->file.ntable; k++)
    for (int o = 0; o < p->file.table[k].nobservable; o++) {
      int at = 0;
      while (at < p->desc.nobservable && strcmp(id[at], p->file.table[k].observable[o].id)) at++;
      if (at == p->desc.nobservable) id[p->desc.nobservable++] = p->file.table[k].observable[o].id;
    }
  return DP_OK;
}

static dp_status list_data(dp_problem *p) {
  const size_t n = (size_t)p->file.ndatum + 1;
  int *observable = DPI_ARENA_ARRAY(&p->arena, int, n);
  const char **experiment = DPI_ARENA_ARRAY(&p->arena, const char *, n),
             **where = DPI_ARENA_ARRAY(&p->arena, const char *, n);
  double *time = DPI_ARENA_ARRAY(&p->arena, double, n), *value = DPI_ARENA_ARRAY(&p->arena, double, n);
  if (!observable || !experiment || !where || !time || !value) return DP_ERR_MEMORY;
  for (int k = 0; k < p->file.ntable; k++) {
    const dpi_calib_table *t = &p->file.table[k];
    for (int d = 0; d < t->ndatum; d++) {
      const int i = t->number[d];
      const char *id = t->observable[t->datum[d].observable].id;
      while (strcmp(p->desc.observable[observable[i]], id) != 0) observable[i]++;
      experiment[i] = t->experiment[t->datum[d].experiment].id;
      where[i] = t->datum[d].where;
      time[i] = t->datum[d].time;
      value[i] = t->datum[d].low || t->datum[d].high ? NAN : t->datum[d].value;
    }
  }
  p->desc.ndatum = p->file.ndatum;
  p->desc.datum_observable = observable;
  p->desc.datum_experiment = experiment;
  p->desc.datum_where = where;
  p->desc.datum_time = time;
  p->desc.datum_value = value;
  return DP_OK;
}

static void sum_up(dp_problem *p) {
  p->desc.name = p->file.name;
  p->desc.version = p->file.version;
  p->desc.nmodel = p->file.ntable;
  p->desc.adjoint = 1;
  for (int k = 0; k < p->file.ntable; k++) {
    const dpi_calib_part *q = &p->part[k];
    p->desc.nstate += q->desc->nstate;
    p->desc.nexperiment += q->table->nexperiment;
    p->desc.nsimulation += q->nsim;
    if (q->maxdir > p->desc.ndirection) p->desc.ndirection = q->maxdir;
    p->desc.adjoint = p->desc.adjoint && (q->nactive == 0 || (q->desc->caps & DP_CAP_VJP));
  }
}

/* ---- open ---- */

/* dpi_petab_known */
static bool known(void *user, int model, const char *id) {
  const dp_problem *p = user;
  for (int k = 0; k < p->file.ntable; k++)
    if (p->file.table[k].index == model) return dpi_model_find(p->part[k].model, id) >= 0;
  return true; /* a model that nothing is measured of */
}

static dp_status make_parts(dp_problem *p, const dp_problem_def *def) {
  p->part = DPI_ARENA_ARRAY(&p->arena, dpi_calib_part, p->file.ntable + 1);
  if (!p->part) return DP_ERR_MEMORY;
  for (int k = 0; k < p->file.ntable; k++) {
    dpi_calib_part *q = &p->part[k];
    *q = (dpi_calib_part){.ctx = p->ctx, .arena = &p->arena, .table = &p->file.table[k], .express = &p->express};
    DP_TRY(dp_model_read(p->ctx, q->table->model, &q->model));
  }
  DP_TRY(dpi_petab_check_names(p->file.petab, known, p, NULL));
  DP_TRY(dpi_petab_note_unused(p->file.petab, known, p));
  for (int i = 0; i < p->file.petab->nnote && !def->quiet; i++) dpi_log(p->ctx, 1, "%s", p->file.petab->note[i]);
  for (int k = 0; k < p->file.ntable; k++) {
    dpi_calib_part *q = &p->part[k];
    DP_TRY(dpi_calib_model(q));
    DP_TRY(dpi_calib_observe(q));
    DP_TRY(dpi_calib_given_values(q));
  }
  DP_TRY(dpi_express_compile(&p->express));
  for (int k = 0; k < p->file.ntable; k++) {
    DP_TRY(dpi_calib_create(&p->part[k], def));
    DP_TRY(dpi_calib_plan(&p->part[k]));
  }
  return DP_OK;
}

/* What the caller wants estimated or fixed instead of what the table says. */
static dp_status choose(dp_problem *p, const char *path, const dp_problem_def *def) {
  dpi_calib_table *t = &p->file.table[0];
  for (int i = 0; i < def->nchoice; i++) {
    const dp_problem_choice *c = &def->choice[i];
    int k = 0;
    while (k < t->nparam && strcmp(t->param[k].id, c->id) != 0) k++;
    if (k == t->nparam)
      return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: '%s' is to be chosen, but the parameter table has no such parameter",
                      path, c->id);
    t->param[k].estimated = c->estimate != 0;
    if (!c->estimate) t->param[k].nominal = c->value;
  }
  return DP_OK;
}

/* The definition, kept for problems that are opened beside this one. */
static dp_status keep_def(dp_problem *p, const dp_problem_def *def) {
  dp_problem_choice *choice = DPI_ARENA_ARRAY(&p->arena, dp_problem_choice, def->nchoice + 1);
  p->def = *def;
  p->def.choice = choice;
  if (!choice) return DP_ERR_MEMORY;
  if (def->method && !(p->def.method = dpi_arena_strdup(&p->arena, def->method))) return DP_ERR_MEMORY;
  for (int i = 0; i < def->nchoice; i++) {
    choice[i] = def->choice[i];
    if (!(choice[i].id = dpi_arena_strdup(&p->arena, choice[i].id))) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status fill(dp_problem *p, const char *path, const dp_problem_def *def, const dpi_calib_asked *asked) {
  DP_TRY(keep_def(p, def));
  DP_TRY(dpi_calib_read(&p->arena, &(dpi_petab_def){.path = path}, &p->file));
  if (asked) DP_TRY(dpi_calib_ask_read(p, path, asked));
  DP_TRY(choose(p, path, def));
  if (asked) DP_TRY(dpi_calib_ask(p, asked));
  DP_TRY(list_params(p));
  const dpi_calib_table *t = &p->file.table[0];
  DP_TRY(dpi_express_init(&p->express, &p->arena, t->param, t->nparam, p->est));
  DP_TRY(make_parts(p, def));
  DP_TRY(list_observables(p));
  DP_TRY(list_data(p));
  sum_up(p);
  if (def->derivative == DP_DERIVATIVE_ADJOINT && !p->desc.adjoint)
    return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                    "%s: gradients backwards are not offered for its model by method '%s'; use them forward", path,
                    def->method);
  return DP_OK;
}

/* What was found for another problem must not be gone on from. */
static dp_status identify(dp_problem *p, const dp_problem_def *def) {
  dpi_str s;
  dpi_str_init(&s, p->ctx);
  dpi_str_addf(&s, "%s\n%s %.17g %.17g %d %d %d\n", p->file.petab->hash, def->method ? def->method : "", def->rtol,
               def->atol, (int)def->derivative, def->same_steps, def->max_steps);
  for (int i = 0; i < def->nchoice; i++)
    dpi_str_addf(&s, "%s %d %.17g\n", def->choice[i].id, def->choice[i].estimate, def->choice[i].value);
  for (int k = 0; k < p->file.ntable; k++) dpi_str_addf(&s, "%s\n", dp_model_hash(p->part[k].model));
  const dp_status st = s.failed ? DP_ERR_MEMORY : DP_OK;
  if (st == DP_OK) dpi_sha256_hex(s.data, s.len, p->key);
  dpi_str_release(&s);
  return st;
}

dp_status dp_problem_open(dp_ctx *ctx, const char *path, const dp_problem_def *def, dp_problem **out) {
  return dpi_calib_open(ctx, path, def, NULL, out);
}

dp_status dpi_calib_open(dp_ctx *ctx, const char *path, const dp_problem_def *def, const dpi_calib_asked *asked,
                         dp_problem **out) {
  if (!path || !def || def->cookie != dp_problem_def_default().cookie)
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "dp_problem_open: found no path, or a def that dp_problem_def_default did not make");
  dp_problem *p = DPI_NEW(ctx, dp_problem);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = ctx;
  p->derivative = def->derivative;
  dpi_arena_init(&p->arena, ctx);
  dp_status st = fill(p, path, def, asked);
  if (st == DP_OK) st = identify(p, def);
  if (st != DP_OK) {
    dp_problem_close(p);
    return st;
  }
  p->density = (dpi_density){.ops = &dpi_calib_density_ops,
                             .ctx = ctx,
                             .n = p->desc.nparam,
                             .name = p->desc.id,
                             .lower = p->lower,
                             .upper = p->upper,
                             .ndatum = p->desc.ndatum};
  const dp_status hidden = dpi_calib_hide(&p);
  if (hidden != DP_OK) {
    dp_problem_close(p);
    return hidden;
  }
  if (p->full) memcpy(p->key, p->full->key, sizeof p->key);
  *out = p;
  return DP_OK;
}
