/* prediction.c - a patient's case as data and predictor: the only file of this room that runs the sim.
 *
 * Invariant: nothing later than `until` is read. Observations after it are no data; outputs end at the last observation
 * used; instants after it are left out. (A covariate read backwards from a later row acts only after `until`.)
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

/* y, its logarithm where that is compared, limits; refuses what has no likelihood. */
static dp_status datum_fill(dpi_person *p, const dp_record *record, const dpi_case_obs *o,
                            dpi_datum *d) {
  const dpi_kind_observable *ob = &p->c->kind->observable[o->observable];
  double y = o->censored ? o->limit : o->value;
  d->time = o->time;
  d->censored = o->censored;
  d->group = o->observable;
  d->log = ob->noise == DPI_NOISE_LOGNORMAL;
  if (!isfinite(y))
    return dpi_fail(p->ctx, DP_ERR_INPUT,
                    "%s:%d: %s of subject %s: found no number, expected a value or limit",
                    record->source, o->line, ob->id, p->c->id);
  if (d->log && !(y > 0))
    return dpi_fail(p->ctx, DP_ERR_INPUT,
                    "%s:%d: %s of subject %s: found %g, expected more than 0 because its error is "
                    "log-normal; mark it as "
                    "below quantification",
                    record->source, o->line, ob->id, p->c->id, y);
  d->y = d->log ? dpi_m_log(y) : y;
  if (d->log && !d->censored) p->jacobian += 2 * d->y;
  return DP_OK;
}

/* The timeline up to the last observation used; with none, one output at the start gives the individual parameters, before
 * a later row's covariates act backwards. */
static dp_status timeline_cut(dpi_person *p) {
  const dpi_case *c = p->c;
  p->nout = p->nobs > 0 ? c->obs[p->nobs - 1].row + 1 : 1;
  p->out = DPI_ARENA_ARRAY(&p->arena, dp_output_time, (size_t)p->nout);
  if (!p->out) return DP_ERR_MEMORY;
  if (p->nobs > 0)
    memcpy(p->out, c->out, sizeof *p->out * (size_t)p->nout);
  else
    p->out[0] = c->start;
  dp_time last = p->out[p->nout - 1].time;
  p->ninstant = 0;
  while (p->ninstant < c->ninstant && c->instant[p->ninstant].time <= last) p->ninstant++;
  return DP_OK;
}

/* A person's member at eta; the person's own buffers hold what it points to. */
static dp_member member_at(dpi_person *p, const double *eta, bool deriv) {
  const dpi_case *c = p->c;
  dpi_case_apply(c, p->typical, eta, p->param, p->instant);
  if (!deriv) dpi_case_undirect(p->instant, p->ninstant);
  return (dp_member){.param = p->param,
                     .seed = deriv ? c->seed : NULL,
                     .instant = p->instant,
                     .ninstant = p->ninstant,
                     .out = p->out,
                     .nout = p->nout,
                     .stream = c->stream};
}

/* Member k of a result as a person's predictions. */
static bool member_take(const dpi_person *p, const dp_result *r, int k, bool deriv, dpi_pred *out) {
  const dp_kind *kind = p->c->kind;
  size_t no = (size_t)r->noutput, nd = (size_t)p->c->neta;
  if (r->status[k] != DP_MEMBER_OK) return false;
  for (int i = 0; i < p->nobs; i++) {
    const dpi_kind_observable *ob = &kind->observable[p->c->obs[i].observable];
    size_t row = (r->value_at[k] + (size_t)p->c->obs[i].row) * no, f = row + (size_t)ob->value_output,
           s = row + (size_t)ob->sigma_output;
    out->f[i] = r->value[f];
    out->s[i] = r->value[s];
    if (!deriv || nd == 0) continue;
    memcpy(out->df + (size_t)i * nd, r->dvalue + f * nd, nd * sizeof(double));
    memcpy(out->ds + (size_t)i * nd, r->dvalue + s * nd, nd * sizeof(double));
  }
  return true;
}

/* dpi_predict_fn over one member of the sim. */
static dp_status predict(void *user, const double *eta, bool deriv, dpi_pred *out, bool *ok) {
  dpi_person *p = user;
  dp_member m = member_at(p, eta, deriv);
  dp_run_opts opts = dp_run_opts_default();
  opts.ndir = deriv ? p->c->neta : 0;
  dp_result *r = NULL;
  DP_TRY(dp_simulate(p->c->kind->sim, &m, 1, &opts, &r));
  *ok = member_take(p, r, 0, deriv, out);
  dp_result_destroy(r);
  return DP_OK;
}

dp_status dpi_people_predict(dpi_person *const *person, int n, const dp_sim *sim, bool deriv, uint8_t *ok) {
  if (n == 0) return DP_OK;
  dp_ctx *ctx = person[0]->ctx;
  dp_member *m = DPI_NEW_ARRAY(ctx, dp_member, n);
  if (!m) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) m[k] = member_at(person[k], person[k]->iv->eta, deriv);
  dp_run_opts opts = dp_run_opts_default();
  opts.ndir = deriv ? person[0]->c->neta : 0;
  dp_result *r = NULL;
  dp_status st = dp_simulate(sim, m, n, &opts, &r);
  for (int k = 0; st == DP_OK && k < n; k++) {
    person[k]->iv->neval++;
    ok[k] = member_take(person[k], r, k, deriv, &person[k]->iv->pred);
  }
  dp_result_destroy(r);
  dpi_free(ctx, m);
  return st;
}

static bool corners(const dp_kind *kind) {
  bool any = false;
  for (int i = 0; i < kind->ncontrol; i++) any = any || kind->control[i].timed;
  return any;
}

static dp_status person_fill(dpi_person *p, const dp_kind *kind, const dp_record *record,
                             int subject, double until, bool discrepancy) {
  DP_TRY(dpi_case_create(kind, record, subject, &p->c));
  const dpi_case *c = p->c;
  p->nobs = dpi_case_seen(c, until);
  size_t np = (size_t)dp_sim_describe(kind->sim)->nparam;
  p->datum = DPI_ARENA_ARRAY(&p->arena, dpi_datum, (size_t)p->nobs + 1);
  p->param = DPI_ARENA_ARRAY(&p->arena, double, np + 1);
  p->instant = DPI_ARENA_ARRAY(&p->arena, dp_instant, (size_t)c->ninstant + 1);
  if (!p->datum || !p->param || !p->instant) return DP_ERR_MEMORY;
  for (int i = 0; i < p->nobs; i++) DP_TRY(datum_fill(p, record, &c->obs[i], &p->datum[i]));
  DP_TRY(timeline_cut(p));
  dpi_indiv_def def = {.neta = c->neta,
                       .nobs = p->nobs,
                       .datum = p->datum,
                       .predict = predict,
                       .user = p,
                       .corners = corners(kind),
                       .discrepancy = discrepancy,
                       .discrepancy_sd = kind->discrepancy_sd,
                       .discrepancy_tau = kind->discrepancy_timescale};
  return dpi_indiv_create(p->ctx, &def, &p->iv);
}

dp_status dpi_person_create(const dp_kind *kind, const dp_record *record, int subject, double until,
                            bool discrepancy, dpi_person **out) {
  *out = NULL;
  dpi_person *p = DPI_NEW(kind->ctx, dpi_person);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = kind->ctx;
  dpi_arena_init(&p->arena, kind->ctx);
  dp_status st = person_fill(p, kind, record, subject, until, discrepancy);
  if (st != DP_OK) {
    dpi_person_destroy(p);
    return st;
  }
  *out = p;
  return DP_OK;
}

void dpi_person_destroy(dpi_person *p) {
  if (!p) return;
  dp_ctx *ctx = p->ctx;
  dpi_indiv_destroy(p->iv);
  dpi_case_destroy(p->c);
  dpi_arena_release(&p->arena);
  dpi_free(ctx, p);
}

int dpi_person_occasion(const dpi_person *p, int j) {
  const dpi_case *c = p->c;
  int nperson = 0, noccasion = 0;
  for (int e = 0; e < c->kind->neffect; e++) {
    if (c->kind->effect[e].occasion)
      noccasion++;
    else
      nperson++;
  }
  return j < nperson || noccasion == 0 ? 0 : 1 + (j - nperson) / noccasion;
}

void dpi_person_omega(const dpi_person *p, const double *effect_cov, double *omega) {
  const dpi_case *c = p->c;
  int ne = c->kind->neffect;
  for (int i = 0; i < c->neta; i++)
    for (int j = 0; j < c->neta; j++) {
      bool same = dpi_person_occasion(p, i) == dpi_person_occasion(p, j);
      omega[i * c->neta + j] = same ? effect_cov[c->eta_effect[i] * ne + c->eta_effect[j]] : 0;
    }
}

static void batch_take(const dpi_person *p, const dp_result *r, int n,
                       const dpi_person_batch *out) {
  const dp_kind *kind = p->c->kind;
  size_t no = (size_t)r->noutput;
  for (int k = 0; k < n; k++) {
    out->ok[k] = r->status[k] == DP_MEMBER_OK;
    const double *v = r->value + r->value_at[k] * no;
    for (int i = 0; out->ok[k] && i < p->nobs; i++) {
      const dpi_kind_observable *ob = &kind->observable[p->c->obs[i].observable];
      const double *row = v + (size_t)p->c->obs[i].row * no;
      out->f[(size_t)k * p->nobs + i] = row[ob->value_output];
      out->s[(size_t)k * p->nobs + i] = row[ob->sigma_output];
    }
    const double *last = v + (size_t)(p->nout - 1) * no;
    for (int e = 0; e < kind->neffect; e++)
      out->individual[(size_t)k * kind->neffect + e] =
          out->ok[k] ? last[kind->effect[e].sim_output] : NAN;
  }
}

dp_status dpi_person_simulate(const dpi_person *p, const double *eta, int n,
                              const dpi_person_batch *out) {
  return dpi_person_simulate_by(p, p->c->kind->ensemble, eta, n, out);
}

dp_status dpi_person_simulate_by(const dpi_person *p, const dp_sim *sim, const double *eta, int n,
                                 const dpi_person_batch *out) {
  const dpi_case *c = p->c;
  size_t np = (size_t)dp_sim_describe(c->kind->sim)->nparam, ni = (size_t)c->ninstant;
  dpi_arena arena;
  dpi_arena_init(&arena, p->ctx);
  dp_member *m = DPI_ARENA_ARRAY(&arena, dp_member, (size_t)n + 1);
  double *param = DPI_ARENA_ARRAY(&arena, double, (size_t)n *np + 1);
  dp_instant *inst = DPI_ARENA_ARRAY(&arena, dp_instant, (size_t)n * ni + 1);
  dp_result *r = NULL;
  dp_status st = m && param && inst ? DP_OK : DP_ERR_MEMORY;
  for (int k = 0; st == DP_OK && k < n; k++) {
    dpi_case_apply(c, p->typical, eta + (size_t)k * c->neta, param + (size_t)k * np,
                   inst + (size_t)k * ni);
    dpi_case_undirect(inst + (size_t)k * ni, p->ninstant);
    m[k] = (dp_member){.param = param + (size_t)k * np,
                       .instant = inst + (size_t)k * ni,
                       .ninstant = p->ninstant,
                       .out = p->out,
                       .nout = p->nout,
                       .stream = c->stream};
  }
  dp_run_opts opts = dp_run_opts_default();
  if (st == DP_OK) st = dp_simulate(sim, m, n, &opts, &r);
  if (st == DP_OK) batch_take(p, r, n, out);
  dp_result_destroy(r);
  dpi_arena_release(&arena);
  return st;
}
