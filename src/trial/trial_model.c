/* trial_model.c - floor 8: arms into a sim. What an arm decides and what is counted in it are laws of the waist; their
 * memory is
 * parameters added to the kind's model.
 *
 *     arm0_s_integral   state of its rule          arm0_e_tin_n, _s, _q   counters of the endpoint `tin`
 *     arm0_said_0       what was announced         arm0_total_0         sum of what it gave; arm0_gift_0 the last one
 *     arm0_read_0       what an outside policy reads
 *     arm0_late_0_1     gift 0 of the decision before the last, on its way
 *     policy_z0         noise of a sensor          policy_cgm_e         its state: named by the law, the same in all
 *                       arms, so
 *                                                  that arms see the same noise
 *
 * A law sees everything as it is just before. Counters whose readings come as often as decisions are part of the law
 * that
 * decides, so that both see the same reading; else they are a law of their own ("monitor").
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "trial/trial_impl.h"

enum {
  most_targets = 600,
  most_params = 4000,
  most_laws = 64,
  most_outputs = 2000,
  most_noise = 64,
  most_late = 64 /* decisions that a gift may be on its way */
};

typedef struct law {
  char id[40];
  int n, nnoise, nsense;
  const char *target[most_targets], *formula[most_targets];
  const char *noise[most_noise];
  int nsum; /* counters from 0, and what each adds up */
  const char *sum[most_targets], *sum_of[most_targets];
  const char *sensed[64]; /* [nobservable] what stands for a reading in this law, NULL: not read yet */
  const char *drift;      /* its state of the drift, NULL: none yet */
} law;

typedef struct builder {
  const dp_trial *t;
  dpi_trial_model *m;
  dpi_arena *arena;
  dp_ctx *ctx;
  int nparam, nlaw, noutput, npair;
  const char **param;
  double *value;
  law **laws;
  dp_output_def *output;
  /* parameters that take a person's number: */
  const char **pair_param;
  int *pair_column;
  const char **counter; /* [nparam] of the part that is being made */
  int ncounter;
} builder;

double dpi_trial_lag(const dp_trial *t, const dp_policy *p, int control) {
  const dpi_kind_control *c = &t->kind->control[control];
  const dp_control_def *d = &t->kind->sim_def.control[c->sim_control];
  double lag;
  if (!c->timed) return 0;
  if (d->rate || d->duration || !d->lag || !dpi_parse_double(d->lag, &lag) || !(lag >= 0)) return NAN;
  if (lag == 0) return 0;
  /* in a cross-over what is on its way would have to outlive the arm */
  return t->desc.design != DP_TRIAL_CROSSOVER && lag <= most_late * p->desc.every ? lag : NAN;
}

bool dpi_trial_outside(const dp_trial *t, int arm) {
  const dp_policy_desc *d = &t->arm[arm].policy->desc;
  if (d->kind != DP_POLICY_RULE) return d->kind != DP_POLICY_PLAN;
  for (int i = 0; i < d->ngive; i++) /* a law can't begin an infusion, or give something after a time that it finds */
    for (int c = 0; c < t->kind->ncontrol; c++)
      if (strcmp(t->kind->control[c].id, d->give[i]) == 0 && isnan(dpi_trial_lag(t, t->arm[arm].policy, c)))
        return true;
  return false;
}

void dpi_trial_bounds(const dp_kind *kind, const char *give, double *low, double *high, int *control) {
  *low = -INFINITY;
  *high = INFINITY;
  *control = -1;
  for (int i = 0; i < kind->nparam; i++)
    if (strcmp(kind->param[i].id, give) == 0) *low = kind->param[i].lower, *high = kind->param[i].upper;
  for (int i = 0; i < kind->ncovariate; i++)
    if (strcmp(kind->covariate[i].id, give) == 0) *low = kind->covariate[i].lower, *high = kind->covariate[i].upper;
  for (int i = 0; i < kind->ncontrol; i++)
    if (strcmp(kind->control[i].id, give) == 0) *low = 0, *high = kind->control[i].upper, *control = i;
}

/* ---- pieces ---- */

static const char *number(builder *b, double x) {
  char text[32];
  dpi_format_double(x, text);
  return dpi_arena_strdup(b->arena, text);
}

static dp_status too_large(builder *b) {
  return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED, "%s: too many arms, endpoints or states of policies for one sim",
                  b->t->desc.source);
}

static dp_status add_param(builder *b, const char *id, double value) {
  if (!id) return DP_ERR_MEMORY;
  if (b->nparam == most_params) return too_large(b);
  b->param[b->nparam] = id;
  b->value[b->nparam++] = value;
  return DP_OK;
}

/* One that a new period sets back. */
static dp_status add_counter(builder *b, const char *id, double value) {
  DP_TRY(add_param(b, id, value));
  b->counter[b->ncounter++] = id;
  return DP_OK;
}

static dp_status add_law(builder *b, const char *id, law **out) {
  if (b->nlaw == most_laws) return too_large(b);
  law *l = *out = b->laws[b->nlaw] = DPI_ARENA_NEW(b->arena, law);
  if (!l) return DP_ERR_MEMORY;
  snprintf(l->id, sizeof l->id, "%s", id);
  b->nlaw++;
  return DP_OK;
}

/* target := formula; where a law has that target already (two doses into one state), `more` is added to it. */
static dp_status add_target(builder *b, law *l, const char *target, const char *formula, const char *more) {
  if (!target || !formula) return DP_ERR_MEMORY;
  for (int k = 0; k < l->n; k++) {
    if (strcmp(l->target[k], target) != 0) continue;
    if (!more) return dpi_fail(b->ctx, DP_ERR_INPUT, "%s: '%s' is set twice by one policy", b->t->desc.source, target);
    l->formula[k] = dpi_arena_printf(b->arena, "%s + (%s)", l->formula[k], more);
    return l->formula[k] ? DP_OK : DP_ERR_MEMORY;
  }
  if (l->n == most_targets) return too_large(b);
  l->target[l->n] = target;
  l->formula[l->n++] = formula;
  return DP_OK;
}

static dp_status add_output(builder *b, const char *id, const char *formula, int *out) {
  if (!id || !formula) return DP_ERR_MEMORY;
  if (b->noutput == most_outputs) return too_large(b);
  b->output[b->noutput] = (dp_output_def){.id = id, .formula = formula, .unit = ""};
  *out = b->t->kind->sim_def.noutput + b->noutput++;
  return DP_OK;
}

static const char *output_formula(const dp_trial *t, int output) {
  const dp_output_def *d = &t->kind->sim_def.output[output];
  return d->formula ? d->formula : d->id;
}

/* ---- readings ---- */

/* What the observable is: by the model, with the drift. */
static dp_status value_of(builder *b, law *l, int observable, const char **out);

static dp_status add_noise(builder *b, law *l, const char **out) {
  if (l->nnoise == most_noise) return too_large(b);
  *out = dpi_arena_printf(b->arena, "%s_z%d", l->id, l->nnoise);
  DP_TRY(add_param(b, *out, 0));
  l->noise[l->nnoise++] = *out;
  return DP_OK;
}

/* The kind's own noise. */
static dp_status sense_plainly(builder *b, law *l, const dpi_kind_observable *o, const char **out) {
  const char *z, *value, *sigma = output_formula(b->t, o->sigma_output);
  DP_TRY(value_of(b, l, (int)(o - b->t->kind->observable), &value));
  DP_TRY(add_noise(b, l, &z));
  if (o->noise == DPI_NOISE_JOHNSON)
    *out = dpi_arena_printf(b->arena, "(%s) + (%s)*(%.17g + %.17g*sinh((%s - (%.17g))/%.17g))", value, sigma,
                            o->shape.shift, o->shape.scale, z, o->shape.gamma, o->shape.delta);
  else
    *out = o->noise == DPI_NOISE_LOGNORMAL ? dpi_arena_printf(b->arena, "(%s)*exp((%s)*%s)", value, sigma, z)
                                           : dpi_arena_printf(b->arena, "(%s) + (%s)*%s", value, sigma, z);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* By a sensor of the trial. */
static dp_status sense_by(builder *b, law *l, const dpi_trial_sensor *s, const char **out) {
  const dpi_kind_observable *o = &b->t->kind->observable[s->observable];
  const char *name[64], *formula[64];
  int n = 0;
  for (int i = 0; i < s->nnoise; i++) {
    name[n] = s->noise[i];
    DP_TRY(add_noise(b, l, &formula[n++]));
  }
  for (int i = 0; i < s->nstate; i++) {
    name[n] = s->state[i];
    formula[n] = dpi_arena_printf(b->arena, "%s_%s_%s", l->id, o->id, s->state[i]);
    DP_TRY(add_param(b, formula[n++], s->start[i]));
  }
  name[n] = o->id;
  DP_TRY(value_of(b, l, s->observable, &formula[n++]));
  DP_TRY(dpi_policy_replace(b->ctx, b->arena, s->value.text, name, formula, n, out));
  for (int i = 0; i < s->nstate; i++) {
    const char *next;
    if (!s->next[i].text) continue;
    DP_TRY(dpi_policy_replace(b->ctx, b->arena, s->next[i].text, name, formula, n, &next));
    DP_TRY(add_target(b, l, formula[s->nnoise + i], next, NULL));
  }
  if (isfinite(s->high)) *out = dpi_arena_printf(b->arena, "min(%s, %s)", number(b, s->high), *out);
  if (*out && isfinite(s->low)) *out = dpi_arena_printf(b->arena, "max(%s, %s)", number(b, s->low), *out);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

static dp_status value_of(builder *b, law *l, int observable, const char **out) {
  const dpi_trial_drift *d = &b->t->drift;
  const char *value = output_formula(b->t, b->t->kind->observable[observable].value_output);
  *out = value;
  if (!(d->sd > 0) || d->observable != observable) return DP_OK;
  if (!l->drift) { /* from reading to reading: an Ornstein-Uhlenbeck process, exactly */
    const double keep = dpi_m_exp(-b->t->sampling / d->timescale), fresh = d->sd * sqrt(1 - keep * keep);
    const char *z, *state = dpi_arena_printf(b->arena, "%s_drift", l->id);
    DP_TRY(add_noise(b, l, &z));
    DP_TRY(add_param(b, state, 0));
    l->drift = state;
    DP_TRY(add_target(b, l, state,
                      dpi_arena_printf(b->arena, "%s*%s + %s*%s", number(b, keep), state, number(b, fresh), z), NULL));
  }
  *out = dpi_arena_printf(b->arena, "(%s) + %s", value, l->drift);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* What a measurement of the observable in this law is: one reading, whoever asks. */
static dp_status sense(builder *b, law *l, int observable, const char **out) {
  if (observable >= DPI_COUNT(l->sensed)) return too_large(b);
  *out = l->sensed[observable];
  if (*out) return DP_OK;
  const dpi_trial_sensor *s = NULL;
  for (int i = 0; i < b->t->nsensor; i++)
    if (b->t->sensor[i].observable == observable) s = &b->t->sensor[i];
  if (s)
    DP_TRY(sense_by(b, l, s, out));
  else
    DP_TRY(sense_plainly(b, l, &b->t->kind->observable[observable], out));
  l->sensed[observable] = *out;
  return DP_OK;
}

/* ---- counters of endpoints ---- */

/* s := s + x, from `start`. */
static dp_status sum_up(builder *b, law *l, const char *id, const char *x, double start) {
  DP_TRY(add_counter(b, id, start));
  return add_target(b, l, id, dpi_arena_printf(b->arena, "%s + (%s)", id, x), NULL);
}

/* The same from 0, by the name that this sum has: *id, or that of one which adds up the same in this law already.
 * Endpoints share the number of readings, and often what they count. */
static dp_status share_sum(builder *b, law *l, const char **id, const char *x) {
  for (int i = 0; i < l->nsum; i++) {
    if (strcmp(l->sum_of[i], x) != 0) continue;
    *id = l->sum[i];
    return DP_OK;
  }
  if (l->nsum < most_targets) {
    l->sum[l->nsum] = *id;
    l->sum_of[l->nsum++] = x;
  }
  return sum_up(b, l, *id, x, 0);
}

/* Share of readings, or a sum over them, by their number. */
static dp_status count_mean(builder *b, law *l, const char *n, const char **sum, const char *x, double factor,
                            double offset, const char **value) {
  DP_TRY(share_sum(b, l, &n, "1"));
  DP_TRY(share_sum(b, l, sum, x));
  *value = dpi_arena_printf(b->arena, "piecewise(%s + %s*%s/%s, %s > 0, -1e300)", number(b, offset), number(b, factor),
                            *sum, n, n);
  return DP_OK;
}

/* Mean and sum of squares, updated reading by reading (Welford 1962). */
static dp_status count_spread(builder *b, law *l, const dpi_endpoint *e, const char *n, const char *s, const char *q,
                              const char *r, const char **value) {
  DP_TRY(share_sum(b, l, &n, "1"));
  DP_TRY(add_counter(b, s, 0));
  DP_TRY(add_counter(b, q, 0));
  DP_TRY(add_target(b, l, s, dpi_arena_printf(b->arena, "%s + ((%s) - %s)/(%s + 1)", s, r, s, n), NULL));
  DP_TRY(add_target(b, l, q,
                    dpi_arena_printf(b->arena, "%s + ((%s) - %s)*((%s) - %s)*%s/(%s + 1)", q, r, s, r, s, n, n), NULL));
  *value = e->metric == DPI_METRIC_SD
               ? dpi_arena_printf(b->arena, "piecewise(sqrt(%s/max(%s - 1, 1)), %s > 1, -1e300)", q, n, n)
               : dpi_arena_printf(b->arena, "piecewise(100*sqrt(%s/max(%s - 1, 1))/%s, %s > 1, -1e300)", q, n, s, n);
  return DP_OK;
}

static dp_status count_extreme(builder *b, law *l, const dpi_endpoint *e, const char *s, const char *r,
                               const char **value) {
  const bool most = e->metric == DPI_METRIC_MAXIMUM;
  DP_TRY(add_counter(b, s, most ? -1e299 : 1e299));
  *value = dpi_arena_printf(b->arena, "piecewise(%s, abs(%s) < 1e299, -1e300)", s, s);
  return add_target(b, l, s, dpi_arena_printf(b->arena, "%s(%s, %s)", most ? "max" : "min", s, r), NULL);
}

/* One endpoint over readings r of an arm: counters, and the output at the end. */
static dp_status count_endpoint(builder *b, law *l, int arm, int k, const char *r, const char **value) {
  const dpi_endpoint *e = &b->t->endpoint[k];
  const char *name = dpi_arena_printf(b->arena, "arm%d_e_%s", arm, e->pub.id), *x = NULL;
  const char *n = dpi_arena_printf(b->arena, "%s_n", name), *s = dpi_arena_printf(b->arena, "%s_s", name);
  const char *q = dpi_arena_printf(b->arena, "%s_q", name);
  const char *low = number(b, e->level), *high = number(b, e->level2);
  if (!name || !n || !s || !q || !low || !high) return DP_ERR_MEMORY;
  double factor = 1, offset = 0;
  static const char risk[] = "1.509*(ln(max(%s, 1))^1.084 - 5.381)"; /* Kovatchev's symmetrised glucose, mg/dL */
  const char *f = dpi_arena_printf(b->arena, risk, r);
  if (!f) return DP_ERR_MEMORY;
  switch (e->metric) {
    case DPI_METRIC_SD:
    case DPI_METRIC_CV:
      return count_spread(b, l, e, n, s, q, r, value);
    case DPI_METRIC_MAXIMUM:
    case DPI_METRIC_MINIMUM:
      return count_extreme(b, l, e, s, r, value);
    case DPI_METRIC_BETWEEN:
      x = dpi_arena_printf(b->arena, "piecewise(1, (%s >= %s) && (%s <= %s), 0)", r, low, r, high);
      break;
    case DPI_METRIC_BELOW:
      x = dpi_arena_printf(b->arena, "piecewise(1, %s < %s, 0)", r, low);
      break;
    case DPI_METRIC_ABOVE:
      x = dpi_arena_printf(b->arena, "piecewise(1, %s > %s, 0)", r, low);
      break;
    case DPI_METRIC_LBGI:
      x = dpi_arena_printf(b->arena, "10*min(%s, 0)*min(%s, 0)", f, f);
      break;
    case DPI_METRIC_HBGI:
      x = dpi_arena_printf(b->arena, "10*max(%s, 0)*max(%s, 0)", f, f);
      break;
    default:
      x = r;
      break;
  }
  if (!x) return DP_ERR_MEMORY;
  if (e->metric <= DPI_METRIC_ABOVE) factor = 100;
  if (e->metric == DPI_METRIC_GMI) factor = 0.02392, offset = 3.31;
  DP_TRY(count_mean(b, l, n, &s, x, factor, offset, value));
  if (e->metric <= DPI_METRIC_ABOVE && !e->percent) /* a reading stands for the time to the next */
    *value = dpi_arena_printf(b->arena, "%s*%s", number(b, b->t->sampling), s);
  return DP_OK;
}

/* What an endpoint counts: a reading, or what there is at its time. */
static dp_status counted_of(builder *b, law *l, const dpi_endpoint *e, const char **out) {
  const char *r;
  if (!e->samples)
    DP_TRY(sense(b, l, e->observable, &r));
  else if (e->observable >= 0)
    DP_TRY(value_of(b, l, e->observable, &r));
  else
    r = output_formula(b->t, b->t->kind->quantity[e->quantity].sim_output);
  *out = dpi_arena_printf(b->arena, "(%s)", r);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* With rows: what was counted last, as an output; endpoints that count the same share it. */
static dp_status add_seen(builder *b, law *l, dpi_trial_part *part, const char **seen, int k) {
  for (int i = 0; i < k; i++)
    if (seen[i] && strcmp(seen[i], seen[k]) == 0) {
      part->seen[k] = part->seen[i];
      return DP_OK;
    }
  const char *id = dpi_arena_printf(b->arena, "arm%d_seen_%d", part->arm, k);
  DP_TRY(add_param(b, id, 0));
  DP_TRY(add_target(b, l, id, seen[k], NULL));
  return add_output(b, dpi_arena_printf(b->arena, "%s_out", id), id, &part->seen[k]);
}

static dp_status add_counters(builder *b, law *l, dpi_trial_part *part) {
  const char **seen = DPI_ARENA_ARRAY(b->arena, const char *, b->t->desc.nendpoint + 1);
  if (!seen) return DP_ERR_MEMORY;
  for (int k = 0; k < b->t->desc.nendpoint; k++) {
    const dpi_endpoint *e = &b->t->endpoint[k];
    const char *r, *value = NULL;
    part->seen[k] = -1;
    if (!e->readings) continue;
    DP_TRY(counted_of(b, l, e, &r));
    seen[k] = r;
    if (b->t->rows) DP_TRY(add_seen(b, l, part, seen, k));
    DP_TRY(count_endpoint(b, l, part->arm, k, r, &value));
    DP_TRY(add_output(b, dpi_arena_printf(b->arena, "arm%d_out_%s", part->arm, e->pub.id), value, &part->output[k]));
  }
  return DP_OK;
}

/* ---- what an arm decides ---- */

/* own_<name>: the person's number as it was, whatever a policy makes of the parameter of that name. */
static dp_status add_own(builder *b, const char *id, const char **out) {
  const dp_trial *t = b->t;
  *out = dpi_arena_printf(b->arena, "own_%s", id);
  if (!*out) return DP_ERR_MEMORY;
  for (int i = 0; i < b->nparam; i++)
    if (strcmp(b->param[i], *out) == 0) return DP_OK;
  const int sim = dp_sim_param(t->kind->sim, id);
  DP_TRY(add_param(b, *out, sim >= 0 ? dp_sim_describe(t->kind->sim)->param_default[sim] : 0));
  for (int k = 0; k < t->cohort.ncolumn; k++) {
    if (strcmp(t->cohort.column[k], id) != 0) continue;
    b->pair_param[b->npair] = *out;
    b->pair_column[b->npair++] = k;
  }
  return DP_OK;
}

static dp_status policy_words(builder *b, law *l, const dp_policy *p, int arm, dpi_policy_words *w) {
  const dp_trial *t = b->t;
  const char **read = DPI_ARENA_ARRAY(b->arena, const char *, p->desc.nread + 1);
  const char **said = DPI_ARENA_ARRAY(b->arena, const char *, p->desc.nannounce + 1);
  const char **person = DPI_ARENA_ARRAY(b->arena, const char *, p->desc.nperson + 1);
  const char **state = DPI_ARENA_ARRAY(b->arena, const char *, p->rule.nstate + 1);
  if (!read || !said || !person || !state) return DP_ERR_MEMORY;
  *w = (dpi_policy_words){read, said, person, state};
  for (int i = 0; i < p->desc.nread; i++) {
    if (p->observable[i] >= 0)
      DP_TRY(sense(b, l, p->observable[i], &read[i]));
    else
      read[i] = output_formula(t, t->kind->quantity[p->quantity[i]].sim_output);
  }
  for (int i = 0; i < p->desc.nannounce; i++) said[i] = dpi_arena_printf(b->arena, "arm%d_said_%d", arm, i);
  for (int i = 0; i < p->desc.nperson; i++) DP_TRY(add_own(b, p->desc.person[i], &person[i]));
  for (int i = 0; i < p->rule.nstate; i++) state[i] = dpi_arena_printf(b->arena, "arm%d_s_%s", arm, p->rule.state[i]);
  return DP_OK;
}

/* A dose into its target, now or by a law of its own that comes `lag` after the decision: what was decided moves along
 * a queue, decision by decision. */
static dp_status add_dose(builder *b, law *l, dpi_trial_part *part, int i, const char *target, const char *amount,
                          double lag) {
  const double every = b->t->arm[part->arm].policy->desc.every;
  const int n = lag > 0 ? (int)ceil(lag / every * (1 - 1e-12)) : 0;
  const char *last = amount;
  char id[40];
  law *act = NULL;
  if (n == 0) return add_target(b, l, target, dpi_arena_printf(b->arena, "%s + %s", target, amount), amount);
  for (int k = 0; k < n; k++) {
    const char *late = dpi_arena_printf(b->arena, "arm%d_late_%d_%d", part->arm, i, k);
    DP_TRY(add_param(b, late, 0));
    DP_TRY(add_target(b, l, late, last, NULL));
    last = late;
  }
  snprintf(id, sizeof id, "act%d", i);
  part->act_lag[part->nact] = lag;
  part->act[part->nact++] = b->nlaw;
  DP_TRY(add_law(b, id, &act));
  return add_target(b, act, target, dpi_arena_printf(b->arena, "%s + %s", target, last), NULL);
}

/* Gift number i of a rule: cut to its bounds, given, counted. */
static dp_status add_gift(builder *b, law *l, const dp_policy *p, dpi_trial_part *part, int i, const char *formula,
                          dpi_str *outside) {
  const int arm = part->arm;
  const dp_kind *kind = b->t->kind;
  const char *give = p->desc.give[i], *cut = formula;
  double low, high;
  int control;
  dpi_trial_bounds(kind, give, &low, &high, &control);
  if (isfinite(high)) cut = dpi_arena_printf(b->arena, "min(%s, %s)", number(b, high), cut);
  if (cut && isfinite(low)) cut = dpi_arena_printf(b->arena, "max(%s, %s)", number(b, low), cut);
  if (cut && cut != formula) /* a bound makes no dose of what is none: the person fails, as outside */
    cut = dpi_arena_printf(b->arena, "piecewise(%s, abs(%s) < 1e300, %s)", cut, formula, formula);
  if (!cut) return DP_ERR_MEMORY;
  if (isfinite(high)) dpi_str_addf(outside, " + piecewise(1, %s > %.17g, 0)", formula, high);
  if (isfinite(low)) dpi_str_addf(outside, " + piecewise(1, %s < %.17g, 0)", formula, low);
  if (control >= 0) {
    const dp_control_def *c = &kind->sim_def.control[kind->control[control].sim_control];
    const char *amount = c->bioavailability ? dpi_arena_printf(b->arena, "(%s)*(%s)", c->bioavailability, cut) : cut;
    if (!amount) return DP_ERR_MEMORY;
    DP_TRY(add_dose(b, l, part, i, c->target, amount, dpi_trial_lag(b->t, p, control)));
  } else {
    DP_TRY(add_target(b, l, give, cut, NULL));
  }
  const char *gift = dpi_arena_printf(b->arena, "arm%d_gift_%d", arm, i);
  DP_TRY(add_param(b, gift, 0));
  DP_TRY(add_target(b, l, gift, cut, NULL));
  const char *total = dpi_arena_printf(b->arena, "arm%d_total_%d", arm, i);
  return total ? sum_up(b, l, total, cut, 0) : DP_ERR_MEMORY;
}

static dp_status add_rule(builder *b, law *l, dpi_trial_part *part) {
  const dp_policy *p = b->t->arm[part->arm].policy;
  const int arm = part->arm;
  part->act = DPI_ARENA_ARRAY(b->arena, int, p->desc.ngive + 1);
  part->act_lag = DPI_ARENA_ARRAY(b->arena, double, p->desc.ngive + 1);
  if (!part->act || !part->act_lag) return DP_ERR_MEMORY;
  dpi_policy_words w;
  dpi_policy_formulas f;
  DP_TRY(policy_words(b, l, p, arm, &w));
  DP_TRY(dpi_policy_formulas_make(p, &w, b->arena, &f));
  for (int i = 0; i < p->desc.nannounce; i++) {
    DP_TRY(add_param(b, w.announce[i], 0));
    DP_TRY(add_target(b, l, w.announce[i], "0", NULL));
  }
  for (int i = 0; i < p->rule.nstate; i++) {
    DP_TRY(add_param(b, w.state[i], p->rule.start[i]));
    if (f.next[i]) DP_TRY(add_target(b, l, w.state[i], f.next[i], NULL));
  }
  const char *cut = dpi_arena_printf(b->arena, "arm%d_cut", arm),
             *steps = dpi_arena_printf(b->arena, "arm%d_steps", arm);
  if (!cut || !steps) return DP_ERR_MEMORY;
  dpi_str outside;
  dpi_str_init(&outside, b->ctx);
  dpi_str_add(&outside, "0");
  dp_status status = share_sum(b, l, &steps, "1");
  for (int i = 0; i < p->desc.ngive && status == DP_OK; i++) {
    const char *formula = dpi_arena_printf(b->arena, "(%s)", f.give[i]);
    status = formula ? add_gift(b, l, p, part, i, formula, &outside) : DP_ERR_MEMORY;
  }
  if (status == DP_OK) status = outside.failed ? DP_ERR_MEMORY : sum_up(b, l, cut, dpi_str_text(&outside), 0);
  dpi_str_release(&outside);
  DP_TRY(status);
  DP_TRY(add_output(b, dpi_arena_printf(b->arena, "arm%d_limited", arm), cut, &part->limited));
  part->given = DPI_ARENA_ARRAY(b->arena, int, p->desc.ngive + 1);
  if (!part->given) return DP_ERR_MEMORY;
  for (int i = 0; i < p->desc.ngive; i++)
    DP_TRY(add_output(b, dpi_arena_printf(b->arena, "arm%d_given_%d", arm, i),
                      dpi_arena_printf(b->arena, "arm%d_gift_%d", arm, i), &part->given[i]));
  return DP_OK;
}

/* What an outside policy reads, taken at its decisions. */
static dp_status add_readings(builder *b, law *l, dpi_trial_part *part) {
  const dp_policy *p = b->t->arm[part->arm].policy;
  part->reading = DPI_ARENA_ARRAY(b->arena, int, p->desc.nread + 1);
  const char *steps = dpi_arena_printf(b->arena, "arm%d_steps", part->arm); /* a law of nothing is none */
  if (!part->reading || !steps) return DP_ERR_MEMORY;
  DP_TRY(share_sum(b, l, &steps, "1"));
  for (int i = 0; i < p->desc.nread; i++) {
    const char *r, *id = dpi_arena_printf(b->arena, "arm%d_read_%d", part->arm, i);
    if (p->observable[i] >= 0)
      DP_TRY(sense(b, l, p->observable[i], &r));
    else
      r = output_formula(b->t, b->t->kind->quantity[p->quantity[i]].sim_output);
    DP_TRY(add_param(b, id, 0));
    DP_TRY(add_target(b, l, id, r, NULL));
    DP_TRY(add_output(b, dpi_arena_printf(b->arena, "%s_out", id), id, &part->reading[i]));
  }
  return DP_OK;
}

/* ---- an arm ---- */

/* Endpoints that are neither counted nor functionals of the path: totals of what was given, values at the end. */
static dp_status add_rest(builder *b, dpi_trial_part *part) {
  const dp_trial *t = b->t;
  const dp_policy *p = t->arm[part->arm].policy;
  for (int k = 0; k < t->desc.nendpoint; k++) {
    const dpi_endpoint *e = &t->endpoint[k];
    if (e->readings) continue;
    if (e->metric == DPI_METRIC_FINAL)
      part->output[k] = e->observable >= 0 ? t->kind->observable[e->observable].value_output
                                           : t->kind->quantity[e->quantity].sim_output;
    if (e->metric != DPI_METRIC_TOTAL || p->plan || dpi_trial_outside(t, part->arm)) continue;
    int i = 0, control;
    double low, high;
    while (strcmp(p->desc.give[i], e->give) != 0) i++;
    dpi_trial_bounds(t->kind, e->give, &low, &high, &control);
    const char *sum = dpi_arena_printf(b->arena, "arm%d_total_%d", part->arm, i);
    const char *mean =
        dpi_arena_printf(b->arena, "piecewise(%s/arm%d_steps, arm%d_steps > 0, -1e300)", sum, part->arm, part->arm);
    DP_TRY(add_output(b, dpi_arena_printf(b->arena, "arm%d_out_%s", part->arm, e->pub.id), control >= 0 ? sum : mean,
                      &part->output[k]));
  }
  return DP_OK;
}

static dp_status law_name(const builder *b, const char *word, int arm, char out[40]) {
  if (b->m->npart == 1)
    snprintf(out, 40, "%s", word); /* the same in all arms: the same noise */
  else
    snprintf(out, 40, "%s_arm%d", word, arm);
  return DP_OK;
}

static dp_status add_part(builder *b, dpi_trial_part *part) {
  const dp_trial *t = b->t;
  const dp_policy *p = t->arm[part->arm].policy;
  bool counted = false, same = false;
  char id[40];
  law *l = NULL;
  part->law = part->monitor = part->limited = part->drift = -1;
  part->seen = DPI_ARENA_ARRAY(b->arena, int, t->desc.nendpoint);
  part->output = DPI_ARENA_ARRAY(b->arena, int, t->desc.nendpoint);
  part->path = DPI_ARENA_ARRAY(b->arena, int, t->desc.nendpoint);
  if (!part->output || !part->path || !part->seen) return DP_ERR_MEMORY;
  b->m->npath = 0;
  for (int k = 0; k < t->desc.nendpoint; k++) {
    const dpi_endpoint *e = &t->endpoint[k];
    const bool path = !e->readings && e->metric != DPI_METRIC_FINAL && e->metric != DPI_METRIC_TOTAL;
    counted = counted || e->readings;
    part->output[k] = -1;
    part->path[k] = path ? b->m->npath++ : -1;
  }
  b->ncounter = 0;
  if (p->desc.kind != DP_POLICY_PLAN) {
    law_name(b, "policy", part->arm, id);
    part->law = b->nlaw;
    DP_TRY(add_law(b, id, &l));
    if (dpi_trial_outside(t, part->arm))
      DP_TRY(add_readings(b, l, part));
    else
      DP_TRY(add_rule(b, l, part));
    same = fabs(p->desc.every - t->sampling) < 1e-9 * t->sampling;
  }
  if (counted && !same) {
    law_name(b, "monitor", part->arm, id);
    part->monitor = b->nlaw;
    DP_TRY(add_law(b, id, &l));
  }
  if (counted) DP_TRY(add_counters(b, l, part));
  DP_TRY(add_rest(b, part));
  part->ncounter = b->ncounter;
  return DP_OK;
}

/* ---- the sim ---- */

/* A method that nobody knows, or that can't take the model, is the file's: said again with its place. */
static dp_status say_method(const dp_trial *t, dp_status status) {
  char found[400];
  if ((status != DP_ERR_USAGE && status != DP_ERR_UNSUPPORTED) || !t->method) return status;
  snprintf(found, sizeof found, "%s", dp_ctx_error(t->ctx));
  dp_ctx_clear_error(t->ctx);
  return dpi_fail(t->ctx, status == DP_ERR_USAGE ? DP_ERR_INPUT : status, "%s:%d: method '%s': %s", t->desc.source,
                  t->method_line, t->method, found);
}

static dp_status load(builder *b) {
  const dp_trial *t = b->t;
  dp_law_def *def = DPI_ARENA_ARRAY(b->arena, dp_law_def, b->nlaw + 1);
  if (!def) return DP_ERR_MEMORY;
  int n = 0;
  for (int i = 0; i < b->nlaw; i++) {
    const law *l = b->laws[i];
    def[n++] = (dp_law_def){
        .id = l->id, .n = l->n, .target = l->target, .formula = l->formula, .nnoise = l->nnoise, .noise = l->noise};
  }
  const dpi_kind_extra extra = {.nparam = b->nparam,
                                .param = b->param,
                                .value = b->value,
                                .nlaw = n,
                                .law = def,
                                .noutput = b->noutput,
                                .output = b->output,
                                .method = t->method,
                                .rtol = t->rtol,
                                .atol = t->atol,
                                .step = t->step};
  DP_TRY(say_method(t, dpi_kind_load_with(t->ctx, t->kind_dir, &extra, &b->m->kind)));
  b->m->sim = b->m->kind->sim;
  return DP_OK;
}

static dp_status find(builder *b, const char *id, int *out) {
  *out = dp_sim_param(b->m->sim, id);
  return *out >= 0 ? DP_OK : dpi_fail(b->ctx, DP_ERR_BUG, "%s: the sim lost '%s'", b->t->desc.source, id);
}

/* Indices of parameters once the sim is there. */
static dp_status resolve(builder *b, dpi_trial_part *part, const char *const *counter) {
  const dp_policy *p = b->t->arm[part->arm].policy;
  char id[64];
  if (!p->plan && !dpi_trial_outside(b->t, part->arm) && p->desc.nannounce > 0) {
    part->said = DPI_ARENA_ARRAY(b->arena, int, p->desc.nannounce);
    if (!part->said) return DP_ERR_MEMORY;
    for (int i = 0; i < p->desc.nannounce; i++) {
      snprintf(id, sizeof id, "arm%d_said_%d", part->arm, i);
      DP_TRY(find(b, id, &part->said[i]));
    }
  }
  if (part->law >= 0 && b->laws[part->law]->drift) DP_TRY(find(b, b->laws[part->law]->drift, &part->drift));
  part->counter = DPI_ARENA_ARRAY(b->arena, int, part->ncounter + 1);
  part->counter_start = DPI_ARENA_ARRAY(b->arena, double, part->ncounter + 1);
  if (!part->counter || !part->counter_start) return DP_ERR_MEMORY;
  for (int i = 0; i < part->ncounter; i++) {
    DP_TRY(find(b, counter[i], &part->counter[i]));
    part->counter_start[i] = dp_sim_describe(b->m->sim)->param_default[part->counter[i]];
  }
  if (p->desc.kind != DP_POLICY_PLAN) return DP_OK;
  dp_instant *instant;
  int n;
  DP_TRY(dp_plan_instants(b->t->kind, p->plan, 0, &instant, &n));
  part->plan = DPI_ARENA_ARRAY(b->arena, dp_instant, n + 1);
  if (part->plan && n) memcpy(part->plan, instant, sizeof *instant * (size_t)n);
  part->nplan = n;
  dp_plan_instants_free(p->plan, instant);
  for (int i = 0; i < n && part->plan; i++)
    if (part->plan[i].steady)
      return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED, "%s: a plan at steady state is not offered in trials",
                      p->desc.source);
  return part->plan ? DP_OK : DP_ERR_MEMORY;
}

static dp_status pairs(builder *b) {
  dpi_trial_model *m = b->m;
  const dpi_cohort *c = &b->t->cohort;
  m->pair_column = DPI_ARENA_ARRAY(b->arena, int, c->ncolumn + b->npair + 1);
  m->pair_param = DPI_ARENA_ARRAY(b->arena, int, c->ncolumn + b->npair + 1);
  if (!m->pair_column || !m->pair_param) return DP_ERR_MEMORY;
  for (int k = 0; k < c->ncolumn; k++) {
    const int sim = dp_sim_param(m->sim, c->column[k]);
    if (sim < 0) continue;
    m->pair_column[m->npair] = k;
    m->pair_param[m->npair++] = sim;
  }
  for (int k = 0; k < b->npair; k++) {
    m->pair_column[m->npair] = b->pair_column[k];
    DP_TRY(find(b, b->pair_param[k], &m->pair_param[m->npair++]));
  }
  return DP_OK;
}

static dp_status make_room(builder *b) {
  b->param = DPI_ARENA_ARRAY(b->arena, const char *, most_params);
  b->value = DPI_ARENA_ARRAY(b->arena, double, most_params);
  b->laws = DPI_ARENA_ARRAY(b->arena, law *, most_laws);
  b->output = DPI_ARENA_ARRAY(b->arena, dp_output_def, most_outputs);
  b->pair_param = DPI_ARENA_ARRAY(b->arena, const char *, most_params);
  b->pair_column = DPI_ARENA_ARRAY(b->arena, int, most_params);
  b->m->part = DPI_ARENA_ARRAY(b->arena, dpi_trial_part, b->m->npart);
  return b->param && b->value && b->laws && b->output && b->pair_param && b->pair_column && b->m->part ? DP_OK
                                                                                                       : DP_ERR_MEMORY;
}

static dp_status make(builder *b, int first, const char ***counters) {
  DP_TRY(make_room(b));
  for (int k = 0; k < b->m->npart; k++) {
    b->m->part[k].arm = first + k;
    b->counter = counters[k] = DPI_ARENA_ARRAY(b->arena, const char *, most_params);
    if (!b->counter) return DP_ERR_MEMORY;
    DP_TRY(add_part(b, &b->m->part[k]));
  }
  DP_TRY(load(b));
  for (int k = 0; k < b->m->npart; k++) DP_TRY(resolve(b, &b->m->part[k], counters[k]));
  return pairs(b);
}

dp_status dpi_trial_model_create(const dp_trial *t, int first, int n, dpi_trial_model **out) {
  const char **counters[16];
  *out = NULL;
  dpi_trial_model *m = DPI_NEW(t->ctx, dpi_trial_model);
  if (!m) return DP_ERR_MEMORY;
  m->trial = t;
  m->npart = n;
  dpi_arena_init(&m->arena, t->ctx);
  builder b = {.t = t, .m = m, .arena = &m->arena, .ctx = t->ctx};
  const dp_status status = make(&b, first, counters);
  if (status == DP_OK)
    *out = m;
  else
    dpi_trial_model_destroy(m);
  return status;
}

void dpi_trial_model_destroy(dpi_trial_model *m) {
  if (!m) return;
  dp_ctx *ctx = m->trial->ctx;
  dp_kind_destroy(m->kind);
  dpi_arena_release(&m->arena);
  dpi_free(ctx, m);
}
