/* trial_checks.c - floor 8: the credibility report in the shape of ASME V&V 40: question, context of use, what the
 * answer weighs,
 * and the evidence. The engine fills in what it can find out itself; what nobody has shown is a row that says so.
 *
 *     numerical code        each of a few people by themselves gives the bytes that the crowd gave
 *     discretisation        their recorded gifts are given again without a law, at rtol 1e-10: largest difference
 *     validation            published figures of the kind beside ours (evidence.tsv)
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "doppel/twin.h"
#include "num/num.h"
#include "num/sketch.h"
#include "trial/trial_impl.h"

enum { most_evidence = DPI_TRIAL_EVIDENCE, people_replayed = 4, people_alone = 8 };

typedef struct checker {
  const dp_trial *t;
  dp_trial_result *result;
} checker;

DPI_PRINTF(5, 6)
static void add(checker *w, const char *factor, dp_evidence_state state, double value, const char *fmt, ...) {
  dp_trial_credibility *c = &w->result->credibility;
  if (c->nevidence == most_evidence) return;
  dp_trial_evidence *e = &c->evidence[c->nevidence++];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(e->what, sizeof e->what, fmt, ap);
  va_end(ap);
  snprintf(e->factor, sizeof e->factor, "%s", factor);
  e->state = state;
  e->value = value;
  e->limit = NAN;
}

/* ---- numerical code: alone as in company ---- */

typedef struct taker {
  const dpi_trial_model *m;
  int person[people_alone];
  double *value; /* [people_alone x nendpoint] */
} taker;

static dp_status take(void *user, const dp_member_result *block, int n) {
  taker *k = user;
  const int nend = k->m->trial->desc.nendpoint;
  for (int i = 0; i < n; i++) {
    const dp_member_result *r = &block[i];
    const bool there = r->status == DP_MEMBER_OK && r->nout > 0;
    dpi_trial_values(k->m, 0, k->person[r->member], there ? r->value : NULL, r->functional,
                     k->value + (size_t)r->member * (size_t)nend);
  }
  return DP_OK;
}

static dp_status simulate(taker *k, int n, dpi_trial_slot *slot, dp_member *member, double *param) {
  const dp_sim_desc *d = dp_sim_describe(k->m->sim);
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = k->m->trial->desc.seed;
  for (int i = 0; i < n; i++) {
    double *own = param + (size_t)i * (size_t)d->nparam;
    memcpy(own, d->param_default, sizeof(double) * (size_t)d->nparam);
    member[i] = (dp_member){.param = own};
    dpi_trial_fill(k->m, k->person[i], &slot[i], &member[i], own);
  }
  return dp_simulate_into(k->m->sim, member, n, &opts, take, k);
}

static dp_status check_alone(checker *w, const dpi_trial_model *m) {
  const dp_trial *t = w->t;
  const int nend = t->desc.nendpoint, n = t->cohort.n < people_alone ? t->cohort.n : people_alone;
  dpi_trial_slot *slot = NULL;
  dp_member member[people_alone];
  double *param = DPI_NEW_ARRAY(t->ctx, double, people_alone *(size_t)dp_sim_describe(m->sim)->nparam + 1);
  double *value = DPI_NEW_ARRAY(t->ctx, double, 2 * (size_t)people_alone * (size_t)nend);
  taker k = {.m = m, .value = value};
  dp_status status = param && value ? dpi_trial_slots_create(m, people_alone, &slot) : DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) k.person[i] = i;
  if (status == DP_OK) status = simulate(&k, n, slot, member, param);
  int different = 0;
  for (int i = 0; i < n && status == DP_OK; i++) {
    taker one = {.m = m, .person = {i}, .value = value + (size_t)(people_alone + i) * (size_t)nend};
    status = simulate(&one, 1, slot, member, param);
    for (int e = 0; e < nend; e++) {
      const double a = value[i * nend + e], b = value[(people_alone + i) * nend + e];
      different += !(a == b || (isnan(a) && isnan(b)));
    }
  }
  if (status == DP_OK)
    add(w, "code verification: numerical code", different ? DP_EVIDENCE_FAIL : DP_EVIDENCE_PASS, different,
        "%s%.60s%s: %d people by themselves and side by side: %d of their endpoints differ in any bit",
        m->npart > 1 ? "" : "arm '", m->npart > 1 ? "all arms" : t->arm[m->part[0].arm].name,
        m->npart > 1 ? "" : "'", n, different);
  dpi_trial_slots_destroy(m, slot, people_alone);
  dpi_free(t->ctx, param);
  dpi_free(t->ctx, value);
  return status;
}

/* ---- discretisation: recorded gifts given again at a tight tolerance ---- */

typedef struct replay {
  const dpi_trial_model *m;
  const dp_policy *policy;
  dp_kind *tight;
  int output; /* sim output that is compared */
  dpi_trial_slot *slot;
  dp_output_time *out; /* [2 ndecision] before and after each decision */
  dp_instant *instant;
  int ndecision;
} replay;

static int choose_output(const dp_trial *t) {
  const dpi_endpoint *e = NULL;
  for (int k = t->desc.nendpoint - 1; k >= 0; k--)
    if (t->endpoint[k].metric != DPI_METRIC_TOTAL) e = &t->endpoint[k];
  if (!e) return -1;
  return e->observable >= 0 ? t->kind->observable[e->observable].value_output
                            : t->kind->quantity[e->quantity].sim_output;
}

/* The member with the law's gifts as instants: for the tight kind, which has no laws. */
static int recorded(const replay *r, const dp_member *member, const double *value, int noutput) {
  const dpi_trial_part *part = &r->m->part[0];
  int n = 0;
  for (int i = 0; i < member->ninstant; i++) {
    const dp_instant *x = &member->instant[i];
    if (x->type != DP_APPLY && x->type != DP_SWITCH) r->instant[n++] = *x;
  }
  const dp_kind *kind = r->m->kind;
  const int nfixed = n;
  for (int k = 0; k < r->ndecision; k++)
    for (int i = 0; i < r->policy->desc.ngive; i++) {
      const double gift = value[(size_t)(2 * k + 1) * (size_t)noutput + (size_t)part->given[i]];
      double low, high;
      int control;
      dpi_trial_bounds(kind, r->policy->desc.give[i], &low, &high, &control);
      dp_instant x = dp_instant_default();
      x.time = r->out[2 * k].time;
      x.order = 1500000000 + i;
      x.type = control >= 0 ? DP_ADD : DP_SWITCH;
      x.target =
          control >= 0 ? kind->control[control].sim_control : dp_sim_param(r->tight->sim, r->policy->desc.give[i]);
      x.amount = gift;
      if (control < 0 || gift != 0) r->instant[n++] = x;
    }
  /* two ascending lists into one: insertion from behind, the second is short of steps */
  for (int i = nfixed; i < n; i++)
    for (int k = i; k > 0; k--) {
      dp_instant *a = &r->instant[k - 1], *b = &r->instant[k], c;
      if (a->time < b->time || (a->time == b->time && a->order <= b->order)) break;
      c = *a, *a = *b, *b = c;
    }
  return n;
}

static void outputs_of(replay *r, const dpi_trial_period *p) {
  const dp_time every = dpi_trial_ticks(r->policy->desc.every);
  r->ndecision = 0;
  for (dp_time at = 0; at < p->to && r->ndecision < 20000; at += every) {
    r->out[2 * r->ndecision] = (dp_output_time){at, 0};
    r->out[2 * r->ndecision++ + 1] = (dp_output_time){at, 2000000000};
  }
}

/* A number that only one of them has is as far away as can be. */
static double gap(double a, double b) {
  if (isnan(a) && isnan(b)) return 0;
  return isnan(a) || isnan(b) ? INFINITY : fabs(a - b);
}

static dp_status replay_one(replay *r, int person, double *worst) {
  const dp_trial *t = r->m->trial;
  dp_ctx *ctx = t->ctx;
  const dp_sim_desc *d = dp_sim_describe(r->m->sim), *e = dp_sim_describe(r->tight->sim);
  const dpi_trial_period period = dpi_trial_period_of(t, person, r->m->part[0].arm);
  double *param = DPI_NEW_ARRAY(ctx, double, d->nparam + 1), *again = DPI_NEW_ARRAY(ctx, double, e->nparam + 1);
  dp_member member = {.param = param};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *closed = NULL, *open = NULL;
  opts.seed = t->desc.seed;
  dp_status status = param && again ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    memcpy(param, d->param_default, sizeof(double) * (size_t)d->nparam);
    dpi_trial_fill(r->m, person, r->slot, &member, param);
    outputs_of(r, &period);
    member.out = r->out;
    member.nout = 2 * r->ndecision;
    member.nfunctional = 0;
    status = dp_simulate(r->m->sim, &member, 1, &opts, &closed);
  }
  if (status == DP_OK && !closed->nfailed) {
    for (int k = 0; k < e->nparam; k++) {
      const int same = dp_sim_param(r->m->sim, e->param_id[k]);
      again[k] = same >= 0 ? param[same] : e->param_default[k];
    }
    dp_member plain = {.param = again, .instant = r->instant, .out = r->out, .nout = 2 * r->ndecision};
    plain.ninstant = recorded(r, &member, closed->value, d->noutput);
    status = dp_simulate(r->tight->sim, &plain, 1, &opts, &open);
  }
  if (status == DP_OK && open && !open->nfailed)
    for (int k = 0; k < 2 * r->ndecision; k++)
      *worst = fmax(*worst, gap(closed->value[(size_t)k * (size_t)d->noutput + (size_t)r->output],
                                  open->value[(size_t)k * (size_t)e->noutput + (size_t)r->output]));
  else
    *worst = INFINITY;
  dp_result_destroy(closed);
  dp_result_destroy(open);
  dpi_free(ctx, param);
  dpi_free(ctx, again);
  return status;
}

static dp_status check_steps(checker *w, const dpi_trial_model *m) {
  const dp_trial *t = w->t;
  const int arm = m->part[0].arm, output = choose_output(t);
  replay r = {.m = m, .policy = t->arm[arm].policy, .output = output};
  if (output < 0 || r.policy->desc.kind != DP_POLICY_RULE) return DP_OK;
  const dpi_kind_extra extra = {
      .method = strcmp(t->kind->sim_def.method, "ensemble") == 0 ? "auto" : NULL, .rtol = 1e-10, .atol = 1e-10};
  const size_t most = (size_t)(dpi_trial_length(t) / r.policy->desc.every) + 2, cap = most < 20000 ? most : 20000;
  dp_status status = dpi_kind_load_with(t->ctx, t->kind_dir, &extra, &r.tight);
  r.out = DPI_NEW_ARRAY(t->ctx, dp_output_time, 2 * cap + 2);
  r.instant = DPI_NEW_ARRAY(
      t->ctx, dp_instant,
      (cap + 1) * (size_t)r.policy->desc.ngive + 3 * (size_t)dpi_trial_meal_most(t, dpi_trial_length(t)) + 100);
  if (status == DP_OK) status = r.out && r.instant ? dpi_trial_slots_create(m, 1, &r.slot) : DP_ERR_MEMORY;
  double worst = 0;
  int n = 0;
  for (int i = 0; i < t->cohort.n && n < people_replayed && status == DP_OK; i++) {
    if (t->desc.design == DP_TRIAL_PARALLEL && dpi_trial_assigned(t, i) != arm) continue;
    status = replay_one(&r, i, &worst);
    n++;
  }
  if (status == DP_OK && (n == 0 || !isfinite(worst))) {
    add(w, "calculation verification: discretisation", n ? DP_EVIDENCE_FAIL : DP_EVIDENCE_MISSING, NAN,
        n ? "arm '%.60s': what was given to %d people could not be given again: a simulation failed"
          : "arm '%.60s': %d people in it whose gifts could be given again",
        t->arm[arm].name, n);
  } else if (status == DP_OK) {
    const dp_output_def *o = &t->kind->sim_def.output[output];
    const double limit = t->error_limit;
    add(w, "calculation verification: discretisation",
        !(limit > 0)     ? DP_EVIDENCE_STATED
        : worst <= limit ? DP_EVIDENCE_PASS
                         : DP_EVIDENCE_FAIL,
        worst,
        "arm '%.60s': gifts of %d people given again at rtol 1e-10: largest difference of %.40s %.3g %.20s at any "
        "decision",
        t->arm[arm].name, n, o->id, worst, o->unit ? o->unit : "");
    w->result->credibility.evidence[w->result->credibility.nevidence - 1].limit = limit > 0 ? limit : NAN;
  }
  dpi_trial_slots_destroy(m, r.slot, 1);
  dpi_free(t->ctx, r.out);
  dpi_free(t->ctx, r.instant);
  dp_kind_destroy(r.tight);
  return status;
}

/* ---- validation: the kind's own figures ---- */

static dp_status check_figures(checker *w) {
  const dp_trial *t = w->t;
  dp_validation_row *rows = NULL;
  int n = 0, failed = 0;
  if (!t->kind->nevidence) {
    add(w, "model form: published figures", DP_EVIDENCE_MISSING, NAN,
        "the kind states no published figures (evidence.tsv)");
    return DP_OK;
  }
  DP_TRY(dp_twin_validate(t->kind, &rows, &n));
  for (int i = 0; i < n; i++) failed += !rows[i].pass;
  add(w, "model form: published figures", failed ? DP_EVIDENCE_FAIL : DP_EVIDENCE_PASS, failed,
      "%d published figures beside ours, %d beyond their tolerance (doppel twin validate %.60s)", n, failed,
      t->kind->id);
  dp_validation_free(t->ctx, rows);
  return DP_OK;
}

/* ---- who took part ---- */

/* Kolmogorov's distance of x[n], which is sorted, to a normal law. */
static double distance(double *x, int n, double mean, double sd) {
  double most = 0;
  dpi_sort(x, n);
  for (int i = 0; i < n; i++) {
    const double p = dpi_norm_cdf((x[i] - mean) / sd);
    most = fmax(most, fmax(p - (double)i / n, (i + 1.0) / n - p));
  }
  return most;
}

static dp_status check_target(checker *w) {
  const dp_trial *t = w->t;
  const dpi_cohort *c = &t->cohort;
  double *all = c->ntarget ? DPI_NEW_ARRAY(t->ctx, double, c->n) : NULL;
  if (c->ntarget && !all) return DP_ERR_MEMORY;
  for (int k = 0; k < c->ntarget; k++) {
    const dpi_target *g = &c->target[k];
    for (int i = 0; i < c->n; i++) all[i] = c->matched[(size_t)i * (size_t)c->ntarget + (size_t)k];
    const dpi_moments m = dpi_moments_of(all, c->n);
    const double apart = distance(all, c->n, g->mean, g->sd);
    const double limit = 0.05 + 1.63 / sqrt(c->n); /* what nobody would mind, and chance (1 of 100) */
    add(w, "input: population", apart <= limit ? DP_EVIDENCE_PASS : DP_EVIDENCE_FAIL, m.mean,
        "'%.40s' of those accepted: mean %.4g, sd %.4g (target %.4g, %.4g); largest distance of their distribution to "
        "the target's %.3f, limit %.3f",
        g->name, m.mean, dpi_moments_sd(&m), g->mean, g->sd, apart, limit);
  }
  dpi_free(t->ctx, all);
  return DP_OK;
}

/* What people's covariates are that the kind does not take: drawn, or by jitter. */
static dp_status check_covariates(checker *w) {
  const dp_trial *t = w->t;
  const dpi_cohort *c = &t->cohort;
  double *value = DPI_NEW_ARRAY(t->ctx, double, c->ncolumn + 1);
  int *outside = DPI_NEW_ARRAY(t->ctx, int, t->kind->ncovariate + 1);
  const int n = c->n < DPI_TRIAL_KEPT ? c->n : DPI_TRIAL_KEPT;
  char id[64];
  for (int i = 0; value && outside && i < n; i++) {
    dpi_cohort_person(t, i, value, id);
    for (int v = 0; v < t->kind->ncovariate; v++)
      for (int k = 0; k < c->ncolumn; k++)
        if (strcmp(c->column[k], t->kind->covariate[v].id) == 0)
          outside[v] += value[k] < t->kind->covariate[v].lower || value[k] > t->kind->covariate[v].upper;
  }
  for (int v = 0; value && outside && v < t->kind->ncovariate; v++) {
    const dpi_kind_covariate *o = &t->kind->covariate[v];
    if (outside[v])
      add(w, "input: population", DP_EVIDENCE_FAIL, outside[v],
          "'%.40s' of %d of the first %d people is outside %.6g to %.6g%s%.20s, for which the kind was made", o->id,
          outside[v], n, o->lower, o->upper, strcmp(o->unit, "1") ? " " : "", strcmp(o->unit, "1") ? o->unit : "");
  }
  const bool good = value && outside;
  dpi_free(t->ctx, value);
  dpi_free(t->ctx, outside);
  return good ? DP_OK : DP_ERR_MEMORY;
}

static void add_cohort(checker *w) {
  const dpi_cohort *c = &w->t->cohort;
  if (c->kind == DPI_COHORT_TABLE)
    add(w, "input: population", DP_EVIDENCE_STATED, c->nrow, "people are %s of a table of %d%s",
        c->resample ? "draws" : "the rows", c->nrow,
        c->n > c->nrow ? ", each of them several times: intervals are about these, not about all people" : "");
  else
    add(w, "input: population", DP_EVIDENCE_STATED, c->n,
        "people are drawn from the kind's population law (population.tsv)");
}

/* ---- all of it ---- */

static dp_status own_checks(checker *w) {
  const dp_trial *t = w->t;
  if (t->desc.design == DP_TRIAL_CROSSOVER) {
    add(w, "calculation verification: discretisation", DP_EVIDENCE_MISSING, NAN,
        "cross-over: people's gifts are not given again at a tight tolerance");
    return DP_OK;
  }
  for (int a = 0; a < t->desc.narm; a++) {
    dpi_trial_model *m;
    if (dpi_trial_outside(t, a)) {
      static const char *const who[] = {[DP_POLICY_RULE] = "a rule asked person by person, whose steps were",
                                        [DP_POLICY_PROCESS] = "a program outside, which was",
                                        [DP_POLICY_LIBRARY] = "a shared object, which was",
                                        [DP_POLICY_TWIN] = "a search on a belief, which was"};
      add(w, "code verification: software", DP_EVIDENCE_MISSING, NAN, "arm '%.60s' is decided by %s not checked here",
          t->arm[a].name, who[t->arm[a].policy->desc.kind]);
      continue;
    }
    DP_TRY(dpi_trial_model_create(t, a, 1, &m));
    dp_status status = check_alone(w, m);
    if (status == DP_OK) status = check_steps(w, m);
    dpi_trial_model_destroy(m);
    DP_TRY(status);
  }
  return DP_OK;
}

static void add_losses(checker *w) {
  for (int a = 0; a < w->result->narm; a++) {
    const dp_trial_arm *x = &w->result->arm[a];
    if (x->nfailed)
      add(w, "calculation verification: solver", DP_EVIDENCE_FAIL, x->nfailed, "arm '%.60s': %d simulations failed",
          x->name, x->nfailed);
    const bool search = w->t->arm[a].policy->desc.kind == DP_POLICY_TWIN; /* no recommendation is a normal answer */
    if (x->nincident)
      add(w, "code verification: software", search ? DP_EVIDENCE_STATED : DP_EVIDENCE_FAIL, x->nincident,
          "arm '%.60s': its policy gave no answer %d times; the fallback decided then", x->name, x->nincident);
  }
}

dp_status dpi_trial_checks(const dp_trial *t, bool all, dp_trial_result *result) {
  checker w = {t, result};
  dp_trial_credibility *c = &result->credibility;
  c->question = t->desc.question;
  c->context = t->context;
  c->influence = t->influence;
  c->consequence = t->consequence;
  c->risk = t->risk;
  if (all)
    DP_TRY(own_checks(&w));
  else
    add(&w, "code verification: numerical code", DP_EVIDENCE_MISSING, NAN,
        "the engine's own checks were not asked for");
  add_losses(&w);
  if (all) DP_TRY(check_figures(&w));
  add_cohort(&w);
  DP_TRY(check_target(&w));
  DP_TRY(check_covariates(&w));
  for (int i = 0; i < t->nevidence; i++) add(&w, "stated", DP_EVIDENCE_STATED, NAN, "%.230s", t->evidence[i]);
  add(&w, "validation: comparator", DP_EVIDENCE_MISSING, NAN,
      "nothing here was compared with what happened to real people under these policies");
  return DP_OK;
}
