/* surrogate_kind.c - floor 6, inside infer/surrogate: a surrogate of one person of a kind, and their forecast by it.
 * D -> Q
 *
 * Function: the person's random effects (those of each occasion by themselves) to the kind's observables at some
 * times, their doses and covariates being what they are. Domain: four deviations of the prior each way. A belief's
 * draws of the effects then go through the surrogate, behind the waist, instead of through the model; what the
 * surrogate errs is drawn along.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/surrogate.h"
#include "infer/infer.h"
#include "infer/sobol/case_draws.h"
#include "infer/surrogate/surrogate_train.h"

typedef struct person { /* the function */
  dp_ctx *ctx;
  const dp_surrogate_person *who;
  dpi_case *c;
  dpi_arena arena;
  dpi_when when;
  int *row;   /* [ntime] */
  double *sd; /* [neta] of the prior; 0: not an input */
  int ninput;
  int *input;        /* [ninput] eta */
  const char **name; /* [ninput] eta_ka, of occasion 2: eta_ka_2 */
  const char **id;   /* [ntime x nobservable] */
  uint64_t seed;
  char origin[65];
} person;

/* ---- the person ---- */

static int occasion_of(const dpi_case *c, int eta) {
  int n = 0;
  for (int j = 0; j <= eta; j++) n += c->eta_effect[j] == c->eta_effect[eta];
  return n;
}

static dp_status name_inputs(person *p) {
  const dp_prior *prior = p->who->prior;
  const dp_kind *kind = p->who->kind;
  const size_t n = (size_t)p->c->neta + 1;
  p->sd = DPI_ARENA_ARRAY(&p->arena, double, n);
  p->input = DPI_ARENA_ARRAY(&p->arena, int, n);
  p->name = DPI_ARENA_ARRAY(&p->arena, const char *, n);
  if (!p->sd || !p->input || !p->name) return DP_ERR_MEMORY;
  for (int j = 0; j < p->c->neta; j++) {
    const int e = p->c->eta_effect[j], at = e * prior->neffect + e;
    p->sd[j] = sqrt(prior->omega[at] + prior->uncertainty[at]);
    if (!(p->sd[j] > 0)) continue;
    p->input[p->ninput] = j;
    const char *id = kind->effect[e].id;
    p->name[p->ninput] = kind->effect[e].occasion ? dpi_arena_printf(&p->arena, "%s_%d", id, occasion_of(p->c, j)) : id;
    if (!p->name[p->ninput++]) return DP_ERR_MEMORY;
  }
  if (p->ninput == 0)
    return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED, "surrogate: nobody differs from anybody in kind '%s'", kind->id);
  return DP_OK;
}

static dp_status name_outputs(person *p) {
  const dp_surrogate_person *w = p->who;
  const int no = w->kind->nobservable;
  if (w->ntime < 1 || w->ntime > 100000)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "surrogate: %d times, expected 1 to 100000", w->ntime);
  p->id = DPI_ARENA_ARRAY(&p->arena, const char *, (size_t)w->ntime *(size_t)no + 1);
  p->row = DPI_ARENA_ARRAY(&p->arena, int, w->ntime + 1);
  if (!p->id || !p->row) return DP_ERR_MEMORY;
  for (int i = 0; i < w->ntime; i++) {
    const int before = p->when.n;
    DP_TRY(dpi_when_add(&p->when, &p->arena, w->ntime, "surrogate: observables", w->time[i]));
    if (p->when.n == before) return dpi_fail(p->ctx, DP_ERR_USAGE, "surrogate: time %g is there twice", w->time[i]);
  }
  for (int i = 0; i < w->ntime; i++) {
    p->row[i] = dpi_when_row(&p->when, w->time[i]);
    for (int o = 0; o < no; o++) {
      char *id = DPI_ARENA_ARRAY(&p->arena, char, DPI_SURROGATE_ID);
      if (!id) return DP_ERR_MEMORY;
      DP_TRY(dpi_surrogate_name(p->ctx, w->kind->observable[o].id, p->when.time[p->row[i]].time, id));
      p->id[i * no + o] = id;
    }
  }
  return DP_OK;
}

/* What the function follows from, but for its times: kind, doses, covariates, typical values. */
static dp_status identify(person *p) {
  const dpi_case *c = p->c;
  const size_t nparam = (size_t)dp_sim_describe(p->who->kind->ensemble)->nparam;
  double *param = DPI_NEW_ARRAY(p->ctx, double, nparam + (size_t)c->neta + 1);
  dp_instant *in = DPI_NEW_ARRAY(p->ctx, dp_instant, c->ninstant + 1);
  dpi_str s;
  dpi_str_init(&s, p->ctx);
  dp_status st = param && in ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) {
    dpi_case_apply(c, p->who->prior->typical, param + nparam, param, in);
    dpi_str_addf(&s, "%s\n", dp_kind_hash(p->who->kind));
    for (size_t k = 0; k < nparam; k++) dpi_str_addf(&s, "%.17g\n", param[k]);
    for (int k = 0; k < c->ninstant; k++)
      dpi_str_addf(&s, "%lld %d %d %d %.17g %.17g %lld %d %d\n", (long long)in[k].time, in[k].order, (int)in[k].type,
                   in[k].target, in[k].amount, in[k].rate, (long long)in[k].interval, in[k].repeats, in[k].steady);
    for (int j = 0; j < c->neta; j++) dpi_str_addf(&s, "%.17g\n", p->sd[j]);
    st = s.failed ? DP_ERR_MEMORY : DP_OK;
    if (st == DP_OK) dpi_sha256_hex(s.data, s.len, p->origin);
  }
  dpi_str_release(&s);
  dpi_free(p->ctx, param);
  dpi_free(p->ctx, in);
  return st;
}

static void release(person *p) {
  dpi_case_destroy(p->c);
  dpi_arena_release(&p->arena);
}

/* release is right after an error too */
static dp_status prepare(person *p, const dp_surrogate_person *who) {
  *p = (person){.ctx = who->kind->ctx, .who = who};
  dpi_arena_init(&p->arena, p->ctx);
  if (dp_sim_describe(who->kind->ensemble)->caps & DP_CAP_STOCHASTIC)
    return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                    "surrogate: kind '%s' draws random numbers; what is learnt must follow from parameters",
                    who->kind->id);
  DP_TRY(dpi_case_create(who->kind, who->record, who->subject, &p->c));
  DP_TRY(name_inputs(p));
  DP_TRY(name_outputs(p));
  return identify(p);
}

/* ---- training ---- */

/* dp_points_fn */
static dp_status ask(void *user, dp_points *points) {
  person *p = user;
  const int neta = p->c->neta, no = p->who->kind->nobservable;
  double *eta = DPI_NEW_ARRAY(p->ctx, double, (size_t)points->n *(size_t)neta + 1);
  dp_result *r = NULL;
  if (!eta) return DP_ERR_MEMORY;
  for (int i = 0; i < points->n; i++)
    for (int k = 0; k < p->ninput; k++) eta[i * neta + p->input[k]] = points->x[i * p->ninput + k];
  const dp_status st = dpi_case_draws(p->c, p->who->prior->typical, points->n, eta, &p->when, p->seed, &r);
  for (int i = 0; i < points->n && st == DP_OK; i++) {
    points->ok[i] = r->status[i] == DP_MEMBER_OK;
    if (!points->ok[i] && !points->reason[0])
      snprintf(points->reason, sizeof points->reason, "%s", r->reason[i] ? r->reason[i] : "");
    for (int t = 0; t < p->who->ntime && points->ok[i]; t++)
      for (int o = 0; o < no; o++)
        points->y[((size_t)i * (size_t)p->who->ntime + (size_t)t) * (size_t)no + (size_t)o] =
            r->value[(r->value_at[i] + (size_t)p->row[t]) * (size_t)r->noutput +
                     (size_t)p->who->kind->observable[o].value_output];
  }
  dp_result_destroy(r);
  dpi_free(p->ctx, eta);
  return st;
}

static dp_status train(person *p, const dp_surrogate_def *def, dp_surrogate **out) {
  dp_surrogate_def own = *def;
  dp_input_def *input = DPI_ARENA_ARRAY(&p->arena, dp_input_def, p->ninput + 1);
  if (!input) return DP_ERR_MEMORY;
  for (int k = 0; k < p->ninput; k++)
    input[k] = (dp_input_def){.id = p->name[k], .kind = DP_INPUT_NORMAL, .a = 0, .b = p->sd[p->input[k]]};
  own.input = input;
  own.ninput = p->ninput;
  p->seed = def->seed;
  return dpi_surrogate_make(p->ctx, &own, p->who->ntime * p->who->kind->nobservable, p->id, 0, p->origin, ask, p, out);
}

dp_status dp_surrogate_fit_person(const dp_surrogate_person *who, const dp_surrogate_def *def, dp_surrogate **out) {
  person p;
  *out = NULL;
  DP_TRY(dpi_surrogate_check(who->kind->ctx, def));
  dp_status st = prepare(&p, who);
  if (st == DP_OK) st = train(&p, def, out);
  release(&p);
  return st;
}

/* ---- forecasts ---- */

typedef struct draws { /* of a belief, of one output: those that went through */
  int n;
  double *weight, *value, *error; /* [ndraw] */
  int *order;
} draws;

static void digest(const draws *d, dp_surrogate_fan *f) {
  double sum = 0, mean = 0, square = 0, error = 0;
  for (int k = 0; k < d->n; k++) {
    int at = k;
    for (; at > 0 && d->value[d->order[at - 1]] > d->value[k]; at--) d->order[at] = d->order[at - 1];
    d->order[at] = k;
    sum += d->weight[k];
    mean += d->weight[k] * d->value[k];
    error += d->weight[k] * d->error[k] * d->error[k];
  }
  f->mean = mean / sum;
  for (int k = 0; k < d->n; k++) square += d->weight[k] * (d->value[k] - f->mean) * (d->value[k] - f->mean);
  f->sd = sqrt(square / sum);
  f->error = sqrt(error / sum);
  f->q05 = dpi_quantile_weighted(d->value, d->weight, d->n, 0.05, d->order);
  f->q50 = dpi_quantile_weighted(d->value, d->weight, d->n, 0.5, d->order);
  f->q95 = dpi_quantile_weighted(d->value, d->weight, d->n, 0.95, d->order);
}

/* The belief's draws through the surrogate. Outputs: a value and an error of each observable. */
static dp_status by_surrogate(person *p, const dp_surrogate *s, const dp_belief *b, dp_result **out) {
  const int no = p->who->kind->nobservable;
  dp_output_def *column = DPI_ARENA_ARRAY(&p->arena, dp_output_def, 2 * no + 1);
  double *param = DPI_NEW_ARRAY(p->ctx, double, (size_t)b->ndraw *(size_t)p->ninput + 1);
  dp_member *member = DPI_NEW_ARRAY(p->ctx, dp_member, b->ndraw + 1);
  dp_sim *sim = NULL;
  dp_status st = column && param && member ? DP_OK : DP_ERR_MEMORY;
  for (int o = 0; o < no && st == DP_OK; o++) {
    column[2 * o] = (dp_output_def){.id = p->who->kind->observable[o].id, .unit = ""};
    column[2 * o + 1].id = dpi_arena_printf(&p->arena, "error(%s)", column[2 * o].id);
    column[2 * o + 1].unit = "";
    if (!column[2 * o + 1].id) st = DP_ERR_MEMORY;
  }
  dp_sim_def def = dp_sim_def_default();
  def.spoke = "statistical";
  def.method = "draw";
  def.config = dp_surrogate_text(s, NULL);
  def.output = column;
  def.noutput = 2 * no;
  if (st == DP_OK) st = dp_sim_create(p->ctx, &def, &sim);
  for (int k = 0; k < b->ndraw && st == DP_OK; k++) {
    for (int i = 0; i < p->ninput; i++)
      param[k * p->ninput + dp_sim_param(sim, p->name[i])] = b->eta[k * b->neta + p->input[i]];
    member[k] = (dp_member){
        .param = param + (size_t)k * (size_t)p->ninput, .out = p->when.time, .nout = p->when.n, .stream = (uint64_t)k};
  }
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = p->seed;
  if (st == DP_OK) st = dp_simulate(sim, member, b->ndraw, &opts, out);
  dp_sim_destroy(sim);
  dpi_free(p->ctx, param);
  dpi_free(p->ctx, member);
  return st;
}

static dp_status digest_all(const person *p, const dp_result *r, const dp_belief *b, bool stands_in,
                            dp_surrogate_fan *fan) {
  const int no = p->who->kind->nobservable, n = b->ndraw;
  double *block = DPI_NEW_ARRAY(p->ctx, double, 3 * (size_t)n + 1);
  int *order = DPI_NEW_ARRAY(p->ctx, int, n + 1);
  draws d = {0, block, block + n, block + 2 * (size_t)n, order};
  for (int i = 0; block && order && i < p->who->ntime * no; i++) {
    const int t = i / no, o = i % no, at = stands_in ? 2 * o : p->who->kind->observable[o].value_output;
    d.n = 0;
    for (int k = 0; k < n; k++) {
      const double *v = r->value + (r->value_at[k] + (size_t)p->row[t]) * (size_t)r->noutput + (size_t)at;
      if (r->status[k] != DP_MEMBER_OK || !isfinite(v[0])) continue;
      d.weight[d.n] = b->weight[k];
      d.value[d.n] = v[0];
      d.error[d.n++] = stands_in ? v[1] : 0;
    }
    fan[i] =
        (dp_surrogate_fan){.observable = p->who->kind->observable[o].id, .time = p->who->time[t], .nfailed = n - d.n};
    digest(&d, &fan[i]);
  }
  const dp_status st = block && order ? DP_OK : DP_ERR_MEMORY;
  dpi_free(p->ctx, block);
  dpi_free(p->ctx, order);
  return st;
}

static dp_status forecast(person *p, const dp_surrogate *s, const dp_belief *b, dp_surrogate_fan *fan) {
  dp_result *r = NULL;
  if (b->neta != p->c->neta)
    return dpi_fail(p->ctx, DP_ERR_USAGE, "surrogate: the belief is about %d effects, this person has %d", b->neta,
                    p->c->neta);
  if (s && strcmp(dp_surrogate_describe(s).origin, p->origin) != 0)
    return dpi_fail(p->ctx, DP_ERR_CONFLICT,
                    "surrogate: it was trained for another person, other doses, another prior or version of kind '%s'; "
                    "train it anew",
                    p->who->kind->id);
  const dp_status st = s ? by_surrogate(p, s, b, &r)
                         : dpi_case_draws(p->c, p->who->prior->typical, b->ndraw, b->eta, &p->when, p->seed, &r);
  if (st == DP_OK) {
    const dp_status told = digest_all(p, r, b, s != NULL, fan);
    dp_result_destroy(r);
    return told;
  }
  dp_result_destroy(r);
  return st;
}

dp_status dp_surrogate_forecast(const dp_surrogate_person *who, const dp_surrogate *s, const dp_belief *belief,
                                uint64_t seed, dp_surrogate_fan *fan) {
  person p;
  dp_status st = prepare(&p, who);
  p.seed = seed;
  if (st == DP_OK) st = forecast(&p, s, belief, fan);
  release(&p);
  return st;
}
