/* prediction.c - a patient's case as data and predictor: the only file of this room that runs the sim.
 *
 * Invariant: nothing later than `until` is read. Observations after it are no data; outputs end at the last observation
 * used; instants after it are left out. (A covariate read backwards from a later row acts only after `until`.)
 */
#include "infer/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MANY_LEAST 8 /* directions: derivatives along so many cost more than as many members of an ensemble in lanes */

/* y, its logarithm where that is compared, limits; refuses what has no likelihood. */
static dp_status datum_fill(dpi_person *p, const dp_record *record, const dpi_case_obs *o,
                            dpi_datum *d) {
  const dpi_kind_observable *ob = &p->c->kind->observable[o->observable];
  double y = o->censored ? o->limit : o->value;
  d->time = o->time;
  d->censored = o->censored;
  d->group = o->observable;
  d->log = ob->noise == DPI_NOISE_LOGNORMAL;
  d->shape = ob->noise == DPI_NOISE_JOHNSON ? &ob->shape : NULL;
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

/* Errors that go with the one before: the datum before of the same observable, and the correlation. */
static dp_status link_errors(dpi_person *p, const dp_record *record, bool discrepancy) {
  const dp_kind *k = p->c->kind;
  bool any = false;
  if (discrepancy) DP_TRY(dpi_refuse_shapes(k, "the discrepancy term"));
  for (int o = 0; o < k->nobservable; o++) any = any || k->observable[o].noise_timescale > 0;
  if (!any) return DP_OK;
  p->link = DPI_ARENA_ARRAY(&p->arena, dpi_link, (size_t)p->nobs + 1);
  if (!p->link) return DP_ERR_MEMORY;
  for (int i = 0; i < p->nobs; i++) {
    const dpi_datum *d = &p->datum[i];
    int before = -1;
    double tau = k->observable[d->group].noise_timescale;
    for (int j = i - 1; tau > 0 && j >= 0 && before < 0; j--)
      if (p->datum[j].group == d->group) before = j;
    bool again = before >= 0 && !(d->time > p->datum[before].time);
    const char *why = discrepancy ? "together with a discrepancy term" : NULL;
    bool beyond = d->censored || (before >= 0 && p->datum[before].censored);
    if (beyond && before >= 0 && d->time - p->datum[before].time < DPI_RUN_NEAR * tau)
      why = "where values beyond a limit lie within 1/10000 of that time of their neighbours";
    if (again) why = "for two measurements at one time";
    if (tau > 0 && why)
      return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: errors of %s correlated in time (noiseTimescale) are not supported %s",
                      record->source, p->c->obs[i].line, k->observable[d->group].id, why);
    p->link[i] = (dpi_link){before, before < 0 ? 0 : dpi_m_exp((p->datum[before].time - d->time) / tau)};
  }
  return DP_OK;
}

dp_status dpi_refuse_shapes(const dp_kind *kind, const char *what) {
  for (int o = 0; o < kind->nobservable; o++)
    if (kind->observable[o].noise == DPI_NOISE_JOHNSON)
      return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "kind %s: the error of %s is a johnsonsu: not supported by %s",
                      kind->id, kind->observable[o].id, what);
  return DP_OK;
}

dp_status dpi_refuse_links(const dp_kind *kind, const char *what) {
  for (int o = 0; o < kind->nobservable; o++)
    if (kind->observable[o].noise_timescale > 0)
      return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED,
                      "kind %s: errors of %s are correlated in time (noiseTimescale): not supported by %s",
                      kind->id, kind->observable[o].id, what);
  return dpi_refuse_shapes(kind, what);
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

/* dpi_predict_by_ensemble_fn over the sim for ensembles */
static dp_status predict_by_ensemble(void *user, const double *eta, int n, double *f, double *s, uint8_t *ok) {
  const dpi_person *p = user;
  double *individual = DPI_NEW_ARRAY(p->ctx, double, n *p->c->kind->neffect + 1);
  if (!individual) return DP_ERR_MEMORY;
  dp_status st = dpi_person_simulate(p, eta, n, &(dpi_person_batch){f, s, individual, ok});
  dpi_free(p->ctx, individual);
  return st;
}

/* ---- where doses that move meet what stands still ---- */

typedef struct dpi_meeting {
  int direction;  /* eta of the lag or duration */
  double value;   /* of the individual parameter there */
} meeting;

/* Instant k: does it begin or end at times that move? *unknown: in a way that is not known from outside. */
static const dpi_kind_control *moving(const dpi_person *p, const dp_instant *dose, bool *unknown) {
  const dp_kind *kind = p->c->kind;
  if (dose->type != DP_ADD && dose->type != DP_INFUSE) return NULL;
  for (int i = 0; i < kind->ncontrol; i++) {
    const dpi_kind_control *c = &kind->control[i];
    if (c->sim_control != dose->target || c->moved == DPI_MOVED_NOT) continue;
    bool lag = c->moved == DPI_MOVED_LAG, duration = c->moved == DPI_MOVED_DURATION;
    bool ends = dose->type == DP_INFUSE; /* what lasts and is moved as a whole has two ends */
    *unknown = *unknown || !(lag || duration) || dose->steady || (lag && ends);
    if (duration && !(ends && dose->rate == DP_DURATION_MODEL)) return NULL;
    return c;
  }
  return NULL;
}

static int direction_of(const dpi_case *c, int effect) {
  for (int j = 0; j < c->neta; j++)
    if (c->eta_effect[j] == effect) return j;
  return -1;
}

static int later(const void *a, const void *b) {
  const meeting *x = a, *y = b;
  if (x->direction != y->direction) return x->direction < y->direction ? -1 : 1;
  return (x->value > y->value) - (x->value < y->value);
}

#define MOST_MEETINGS 4096

/* One dose, given at `from`, meets everything later: observations, and instants that change parameters or states. */
static bool meet(dpi_person *p, int direction, dp_time from, bool smooth) {
  const dpi_case *c = p->c;
  for (int i = 0; i < p->nout + p->ninstant; i++) {
    const dp_instant *other = i < p->nout ? NULL : &c->instant[i - p->nout];
    if (other ? other->type == DP_ADD || other->type == DP_INFUSE : smooth) continue;
    dp_time at = other ? other->time : p->out[i].time;
    if (at <= from) continue;
    if (p->nmeeting == MOST_MEETINGS) return false;
    if (p->meeting) p->meeting[p->nmeeting] = (meeting){direction, (double)(at - from) / (double)DP_TICKS};
    p->nmeeting++;
  }
  return true;
}

/* All of them, counted only while p->meeting is NULL; false: too many, or not known. */
static bool meetings(dpi_person *p) {
  bool unknown = false;
  dp_time last = p->out[p->nout - 1].time;
  p->nmeeting = 0;
  for (int k = 0; k < p->ninstant && !unknown; k++) {
    const dp_instant *dose = &p->c->instant[k];
    const dpi_kind_control *c = moving(p, dose, &unknown);
    int direction = c && !unknown ? direction_of(p->c, c->moved_effect) : -1;
    if (!c || unknown) continue;
    dp_time at = dose->time;
    for (int r = 0; r <= dose->repeats && at <= last; r++, at += dose->interval)
      if (direction < 0 || !meet(p, direction, at, c->smooth)) return false;
  }
  return !unknown;
}

/* Sorted, each once; *corners: not known. */
static dp_status find_meetings(dpi_person *p, bool *corners) {
  *corners = !meetings(p);
  if (*corners || p->nmeeting == 0) {
    p->nmeeting = 0;
    return DP_OK;
  }
  p->meeting = DPI_ARENA_ARRAY(&p->arena, meeting, (size_t)p->nmeeting);
  if (!p->meeting) return DP_ERR_MEMORY;
  meetings(p);
  qsort(p->meeting, (size_t)p->nmeeting, sizeof *p->meeting, later);
  int n = 0;
  for (int k = 0; k < p->nmeeting; k++)
    if (n == 0 || later(&p->meeting[n - 1], &p->meeting[k]) != 0) p->meeting[n++] = p->meeting[k];
  p->nmeeting = n;
  return DP_OK;
}

/* dpi_indiv_def.corner: the eta that makes the individual parameter what it is at meeting k. */
static bool corner(void *user, int k, int *j, double *at) {
  const dpi_person *p = user;
  if (k >= p->nmeeting) return false;
  const meeting *m = &p->meeting[k];
  const dp_kind *kind = p->c->kind;
  const dpi_kind_effect *e = &kind->effect[p->c->eta_effect[m->direction]];
  double t = p->typical ? p->typical[e->typical] : kind->param[e->typical].nominal;
  *j = m->direction;
  if (e->distribution == DPI_DIST_NORMAL) *at = m->value - t;
  else if (e->distribution == DPI_DIST_LOGNORMAL) *at = dpi_m_log(m->value / t);
  else if (e->distribution == DPI_DIST_UNIFORM)
    *at = m->value < 2 * t ? dpi_norm_quantile(0.5 * m->value / t) : INFINITY;
  else *at = m->value < 1 ? dpi_m_log(m->value / (1 - m->value)) - dpi_m_log(t / (1 - t)) : INFINITY;
  return true;
}

/* Doses move in time, and reach what is observed smoothly. */
static bool moves_smoothly(const dp_kind *kind) {
  for (int k = 0; k < kind->ncontrol; k++)
    if (kind->control[k].moved_effect >= 0 && kind->control[k].smooth) return true;
  return false;
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
  DP_TRY(link_errors(p, record, discrepancy));
  DP_TRY(timeline_cut(p));
  bool corners;
  DP_TRY(find_meetings(p, &corners));
  dpi_indiv_def def = {.neta = c->neta,
                       .nobs = p->nobs,
                       .datum = p->datum,
                       .link = p->link,
                       .predict = predict,
                       .many = kind->ensemble != kind->sim && c->neta >= MANY_LEAST && !corners && p->nmeeting == 0
                                   ? predict_by_ensemble
                                   : NULL,
                       .user = p,
                       .corners = corners,
                       .corner = corner,
                       .smooth = !corners && p->nmeeting == 0 && moves_smoothly(kind),
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
  return dpi_person_simulate_streams(p, sim, eta, NULL, n, out);
}

/* n draws: members, parameters and instants in the caller's memory. */
static dp_status batch_part(const dpi_person *p, const dp_sim *sim, const double *eta, const uint64_t *stream, int n,
                            dp_member *m, double *param, dp_instant *inst, const dpi_person_batch *out) {
  const dpi_case *c = p->c;
  size_t np = (size_t)dp_sim_describe(c->kind->sim)->nparam, ni = (size_t)c->ninstant;
  for (int k = 0; k < n; k++) {
    dpi_case_apply(c, p->typical, eta + (size_t)k * c->neta, param + (size_t)k * np,
                   inst + (size_t)k * ni);
    dpi_case_undirect(inst + (size_t)k * ni, p->ninstant);
    m[k] = (dp_member){.param = param + (size_t)k * np,
                       .instant = inst + (size_t)k * ni,
                       .ninstant = p->ninstant,
                       .out = p->out,
                       .nout = p->nout,
                       .stream = stream ? stream[k] : c->stream};
  }
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  dp_status st = dp_simulate(sim, m, n, &opts, &r);
  if (st == DP_OK) batch_take(p, r, n, out);
  dp_result_destroy(r);
  return st;
}

/* Draws of one part: their results stay in cache, and memory does not grow with the number of draws. Each thread has
 * work. */
#define PART_BYTES (2 << 20)
enum { PART_LEAST = 64, PART_MOST = 4096 };

dp_status dpi_person_simulate_streams(const dpi_person *p, const dp_sim *sim, const double *eta,
                                      const uint64_t *stream, int n, const dpi_person_batch *out) {
  const dpi_case *c = p->c;
  const dp_sim_desc *desc = dp_sim_describe(sim);
  size_t np = (size_t)dp_sim_describe(c->kind->sim)->nparam, ni = (size_t)c->ninstant;
  size_t each = sizeof(double) * (size_t)desc->noutput * ((size_t)p->nout + 1);
  int part = (int)(PART_BYTES / each) * dp_ctx_nthread(p->ctx);
  part = part < PART_LEAST ? PART_LEAST : part > PART_MOST ? PART_MOST : part / PART_LEAST * PART_LEAST;
  if (part > n) part = n;
  dpi_arena arena;
  dpi_arena_init(&arena, p->ctx);
  dp_member *m = DPI_ARENA_ARRAY(&arena, dp_member, (size_t)part + 1);
  double *param = DPI_ARENA_ARRAY(&arena, double, (size_t)part *np + 1);
  dp_instant *inst = DPI_ARENA_ARRAY(&arena, dp_instant, (size_t)part * ni + 1);
  dp_status st = m && param && inst ? DP_OK : DP_ERR_MEMORY;
  for (int k = 0; st == DP_OK && k < n; k += part) {
    size_t at = (size_t)k * (size_t)p->nobs;
    dpi_person_batch o = {out->f + at, out->s + at, out->individual + (size_t)k * (size_t)c->kind->neffect,
                          out->ok + k};
    int count = n - k < part ? n - k : part;
    st = batch_part(p, sim, eta + (size_t)k * c->neta, stream ? stream + k : NULL, count, m, param, inst, &o);
  }
  dpi_arena_release(&arena);
  return st;
}
