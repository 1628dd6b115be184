/* trial_inputs.c - floor 8: what happens to one person: meals, periods, drop-out; all of it as a member of the waist.
 *
 * Orders of instants at equal times: the output of a period that ends (0), meals (1..), parameters and counters set
 * back, what is announced,
 * plans, what was decided earlier and acts now, the law that counts where it is one of its own, the law that decides,
 * a row of what was read.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/num.h"
#include "trial/trial_impl.h"

enum {
  ORDER_OUT,
  ORDER_MEAL,
  ORDER_BACK = 50000000,
  ORDER_RESET = 100000000,
  ORDER_SAY = 200000000,
  ORDER_PLAN = 300000000,
  ORDER_ACT = 350000000,
  ORDER_MONITOR = 400000000,
  ORDER_LAW,
  ORDER_ROW
};

dp_time dpi_trial_ticks(double time) { return (dp_time)floor(time * (double)DP_TICKS + 0.5); }

double dpi_trial_length(const dp_trial *t) {
  const int n = t->desc.design == DP_TRIAL_CROSSOVER ? t->desc.narm : 1;
  return n * t->desc.horizon + (n - 1) * t->desc.washout + t->desc.run_in;
}

double dpi_trial_leaves(const dp_trial *t, int person) {
  if (!(t->dropout > 0)) return INFINITY;
  dpi_rng rng = dpi_rng_make(t->desc.seed, (uint64_t)person, DPI_TRIAL_DROPOUT);
  const double time = t->dropout_per * dpi_m_log(dpi_rng_uniform(&rng)) / dpi_m_log1p(-t->dropout);
  return time < dpi_trial_length(t) ? time : INFINITY;
}

bool dpi_trial_lost(const dp_trial *t, int person, int arm, int endpoint) {
  if (!(t->missing > 0)) return false;
  dpi_rng rng = dpi_rng_make(t->desc.seed, (uint64_t)person, DPI_TRIAL_LOST);
  rng.counter = (uint64_t)(arm * t->desc.nendpoint + endpoint) * 4;
  return dpi_rng_uniform(&rng) < t->missing;
}

/* ---- meals ---- */

/* How often an input's scenario begins before `until`. */
static double rounds(const dpi_trial_input *in, double until) { return in->every > 0 ? ceil(until / in->every) : 1; }

int dpi_trial_meal_most(const dp_trial *t, double until) {
  double n = 0;
  for (int k = 0; k < t->ninput; k++) n += t->input[k].n * rounds(&t->input[k], until);
  return n < 10000000 ? (int)n : 10000000;
}

static int by_time(const void *a, const void *b) {
  const dpi_trial_meal *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  if (x->input != y->input) return x->input < y->input ? -1 : 1;
  return (x->amount > y->amount) - (x->amount < y->amount);
}

int dpi_trial_meals(const dp_trial *t, int person, double until, dpi_trial_meal *meal) {
  int n = 0;
  const int most = dpi_trial_meal_most(t, until);
  const dp_time end = dpi_trial_ticks(until);
  for (int k = 0; k < t->ninput; k++) {
    const dpi_trial_input *in = &t->input[k];
    dpi_rng rng = dpi_rng_make(t->desc.seed, dpi_cohort_chance(t, person), DPI_TRIAL_MEAL);
    for (int i = 0; i < in->n * rounds(in, until) && i < most; i++) {
      rng.counter = ((uint64_t)k << 40) + (uint64_t)i * 16;
      const double skipped = dpi_rng_uniform(&rng), late = dpi_rng_normal(&rng), more = dpi_rng_normal(&rng);
      const double time = in->time[i % in->n] + in->every * (i / in->n) + in->sd_time * late;
      const double amount = in->amount[i % in->n] * (1 + in->sd_amount * more),
                   upper = t->kind->control[in->control].upper;
      if (skipped < in->skip || !(amount > 0) || n == most) continue;
      const dp_time at = dpi_trial_ticks(time > 0 ? time : 0);
      if (at < end) meal[n++] = (dpi_trial_meal){at, amount < upper ? amount : upper, k};
    }
  }
  qsort(meal, (size_t)n, sizeof *meal, by_time);
  return n;
}

double dpi_trial_announced(const dp_trial *t, const dp_policy *p, int k, const dpi_trial_meal *meal, int n,
                           dp_time from, dp_time to) {
  double sum = 0;
  for (int i = 0; i < n; i++) {
    const char *id = t->kind->control[t->input[meal[i].input].control].id;
    if (meal[i].time > from && meal[i].time <= to && strcmp(id, p->desc.announce_of[k]) == 0) sum += meal[i].amount;
  }
  return sum * p->announce_factor[k];
}

/* ---- periods ---- */

dpi_trial_period dpi_trial_period_of(const dp_trial *t, int person, int arm) {
  dpi_trial_period p = {0};
  if (t->desc.design == DP_TRIAL_CROSSOVER)
    p.position = (arm - dpi_trial_assigned(t, person) + t->desc.narm) % t->desc.narm;
  const double from = p.position * (t->desc.horizon + t->desc.washout) + t->desc.run_in, to = from + t->desc.horizon;
  const double leaves = dpi_trial_leaves(t, person);
  p.from = dpi_trial_ticks(from);
  p.act = dpi_trial_ticks(from - (p.position > 0 && t->washout_next ? t->desc.washout : t->desc.run_in));
  p.to = dpi_trial_ticks(leaves < to ? leaves : to);
  return p;
}

/* ---- a member ---- */

typedef struct filler {
  const dpi_trial_model *m;
  const dp_trial *t;
  dpi_trial_slot *slot;
  int n; /* instants */
} filler;

static dp_instant *put(filler *f, dp_time time, int order, dp_instant_type type, int target, double amount) {
  dp_instant *i = &f->slot->instant[f->n++];
  *i = dp_instant_default();
  i->time = time;
  i->order = order;
  i->type = type;
  i->target = target;
  i->amount = amount;
  return i;
}

static void put_meals(filler *f, int n) {
  int order = ORDER_MEAL;
  for (int i = 0; i < n; i++) {
    const dpi_trial_meal *meal = &f->slot->meal[i];
    const dpi_trial_input *in = &f->t->input[meal->input];
    for (int k = -1; k < in->nalso; k++) {
      const dpi_kind_control *c = &f->m->kind->control[k < 0 ? in->control : in->also[k]];
      if (c->reset_state >= 0) put(f, meal->time, order++, DP_SET, c->reset_state, 0);
      dp_instant *dose = put(f, meal->time, order++, in->rate > 0 ? DP_INFUSE : DP_ADD, c->sim_control, meal->amount);
      dose->rate = in->rate;
    }
  }
}

/* What is announced is there at the first decision at or after the meal's begin; meals before one and the same add up.
 * */
static void put_announcements(filler *f, const dpi_trial_part *part, const dpi_trial_period *p, int nmeal) {
  const dp_policy *policy = f->t->arm[part->arm].policy;
  const dp_time every = dpi_trial_ticks(policy->desc.every);
  for (int k = 0; k < policy->desc.nannounce; k++) {
    dp_instant *last = NULL;
    for (int i = 0; i < nmeal; i++) {
      const dpi_trial_meal *meal = &f->slot->meal[i];
      if (strcmp(f->t->kind->control[f->t->input[meal->input].control].id, policy->desc.announce_of[k]) != 0) continue;
      if (meal->time <= p->act - every || meal->time >= p->to) continue;
      const dp_time after = meal->time > p->act ? meal->time - p->act : 0;
      const dp_time at = p->act + (after + every - 1) / every * every;
      if (at >= p->to) continue;
      if (!last || last->time != at) last = put(f, at, ORDER_SAY + k, DP_SWITCH, part->said[k], 0);
      last->amount += meal->amount * policy->announce_factor[k];
    }
  }
}

static void put_law(filler *f, dp_time from, dp_time to, double every, int order, int law) {
  const dp_time step = dpi_trial_ticks(every);
  if (law < 0 || to <= from) return;
  dp_instant *i = put(f, from, order, DP_APPLY, law, 0);
  const dp_time n = (to - from - 1) / step;
  i->interval = n > 0 ? step : 0;
  i->repeats = (int32_t)(n < 2000000000 ? n : 2000000000);
}

/* Doses of a plan before the period is over. */
static void put_plan(filler *f, const dpi_trial_part *part, const dpi_trial_period *p) {
  for (int i = 0; i < part->nplan; i++) {
    dp_instant x = part->plan[i];
    x.time += p->act;
    x.order = ORDER_PLAN + i;
    if (x.time >= p->to) continue;
    if (x.repeats > 0 && x.interval > 0) {
      const dp_time most = (p->to - x.time - 1) / x.interval;
      if (x.repeats > most) x.repeats = (int32_t)most;
    }
    f->slot->instant[f->n++] = x;
  }
}

/* Before another arm follows, parameters that this one's policy set are the person's own again. */
static void put_back(filler *f, const dpi_trial_part *part, const dpi_trial_period *p, const double *param) {
  const dp_policy_desc *d = &f->t->arm[part->arm].policy->desc;
  for (int i = 0; i < d->ngive; i++) {
    double low, high;
    int control;
    dpi_trial_bounds(f->m->kind, d->give[i], &low, &high, &control);
    const int sim = control < 0 ? dp_sim_param(f->m->sim, d->give[i]) : -1;
    if (sim >= 0) put(f, p->to, ORDER_BACK + i, DP_SWITCH, sim, param[sim]);
  }
}

static void put_part(filler *f, const dpi_trial_part *part, const dpi_trial_period *p, int nmeal) {
  const dp_policy *policy = f->t->arm[part->arm].policy;
  if (p->act < p->from && p->from < p->to)
    for (int k = 0; k < part->ncounter; k++)
      put(f, p->from, ORDER_RESET + k, DP_SWITCH, part->counter[k], part->counter_start[k]);
  if (part->said) put_announcements(f, part, p, nmeal);
  put_plan(f, part, p);
  put_law(f, p->act, p->to, policy->desc.every, ORDER_LAW, part->law);
  for (int k = 0; k < part->nact; k++)
    put_law(f, p->act + dpi_trial_ticks(part->act_lag[k]), p->to, policy->desc.every, ORDER_ACT + k, part->act[k]);
  put_law(f, p->from, p->to, f->t->sampling, ORDER_MONITOR, part->monitor);
}

static int in_order(const void *a, const void *b) {
  const dp_instant *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return (x->order > y->order) - (x->order < y->order);
}

/* A row at each reading that counts, of a sim with one arm. */
static void put_rows(filler *f, dp_member *member, const dpi_trial_part *part, const dpi_trial_period *p) {
  if (!f->t->rows) return;
  const bool own = part->monitor >= 0;
  const dp_time step = dpi_trial_ticks(own ? f->t->sampling : f->t->arm[part->arm].policy->desc.every);
  const dp_time begin = own ? p->from : p->act + (p->from - p->act + step - 1) / step * step;
  for (dp_time at = begin; at < p->to; at += step)
    f->slot->out[member->nout++] = (dp_output_time){at, ORDER_ROW};
}

/* Rows and windows of the periods in their order. */
static void put_outputs(filler *f, dp_member *member, const dpi_trial_period *period) {
  const dpi_trial_model *m = f->m;
  for (int position = 0; position < m->npart; position++)
    for (int k = 0; k < m->npart; k++) {
      const dpi_trial_period *p = &period[k];
      if (p->position != position || p->to <= p->from) continue;
      put_rows(f, member, &m->part[k], p);
      f->slot->out[member->nout++] = (dp_output_time){p->to, ORDER_OUT};
      for (int e = 0; e < f->t->desc.nendpoint; e++) {
        const dpi_endpoint *end = &f->t->endpoint[e];
        static const dp_functional_kind kinds[] = {
            [DPI_METRIC_BETWEEN] = DP_TIME_BETWEEN,   [DPI_METRIC_BELOW] = DP_TIME_BETWEEN,
            [DPI_METRIC_ABOVE] = DP_TIME_BETWEEN,     [DPI_METRIC_MEAN] = DP_INTEGRAL,
            [DPI_METRIC_MAXIMUM] = DP_MAXIMUM,        [DPI_METRIC_MINIMUM] = DP_MINIMUM,
            [DPI_METRIC_INTEGRAL] = DP_INTEGRAL,      [DPI_METRIC_FIRST_ABOVE] = DP_FIRST_ABOVE,
            [DPI_METRIC_FIRST_BELOW] = DP_FIRST_BELOW};
        if (m->part[k].path[e] < 0) continue;
        const dp_kind *kind = m->kind;
        dp_functional *g = &f->slot->functional[member->nfunctional++];
        *g = (dp_functional){
            .kind = kinds[end->metric], .from = p->from, .to = p->to, .level = end->level, .level2 = end->level2};
        g->output = end->observable >= 0 ? kind->observable[end->observable].value_output
                                         : kind->quantity[end->quantity].sim_output;
        if (end->metric == DPI_METRIC_BELOW) g->level2 = end->level, g->level = -INFINITY;
        if (end->metric == DPI_METRIC_ABOVE) g->level2 = INFINITY;
      }
    }
}

void dpi_trial_fill(const dpi_trial_model *m, int person, dpi_trial_slot *slot, dp_member *member, double *param) {
  filler f = {m, m->trial, slot, 0};
  const dp_trial *t = m->trial;
  char id[64];
  dpi_trial_period period[16];
  dpi_cohort_person(t, person, slot->column, id);
  for (int k = 0; k < m->npair; k++) param[m->pair_param[k]] = slot->column[m->pair_column[k]];
  for (int k = 0; k < m->npart; k++) {
    if (m->part[k].drift < 0) continue;
    dpi_rng rng = dpi_rng_make(t->desc.seed, dpi_cohort_chance(t, person), DPI_TRIAL_DRIFT);
    param[m->part[k].drift] = t->drift.sd * dpi_rng_normal(&rng);
  }
  const double leaves = dpi_trial_leaves(t, person), length = dpi_trial_length(t);
  const int nmeal = dpi_trial_meals(t, person, leaves < length ? leaves : length, slot->meal);
  put_meals(&f, nmeal);
  for (int k = 0; k < m->npart; k++) {
    period[k] = dpi_trial_period_of(t, person, m->part[k].arm);
    if (period[k].to > period[k].act) {
      put_part(&f, &m->part[k], &period[k], nmeal);
      if (period[k].position + 1 < m->npart) put_back(&f, &m->part[k], &period[k], param);
    }
  }
  qsort(slot->instant, (size_t)f.n, sizeof *slot->instant, in_order);
  put_outputs(&f, member, period);
  member->instant = slot->instant;
  member->ninstant = f.n;
  member->out = slot->out;
  member->functional = slot->functional;
  member->stream = dpi_cohort_chance(t, person);
}

/* ---- room ---- */

static int instants_of(const dpi_trial_model *m, int nmeal) {
  int also = 0;
  for (int k = 0; k < m->trial->ninput; k++)
    if (m->trial->input[k].nalso > also) also = m->trial->input[k].nalso;
  int n = 2 * nmeal * (1 + also);
  for (int k = 0; k < m->npart; k++) {
    const dpi_trial_part *p = &m->part[k];
    n += 2 + p->nact + p->ncounter + p->nplan + m->trial->arm[p->arm].policy->desc.ngive + (p->said ? nmeal : 0);
  }
  return n;
}

int dpi_trial_row_most(const dpi_trial_model *m) {
  const dp_trial *t = m->trial;
  double every = t->sampling;
  for (int k = 0; k < m->npart && t->rows; k++)
    if (m->part[k].monitor < 0) every = fmin(every, t->arm[m->part[k].arm].policy->desc.every);
  return m->npart + (t->rows ? (int)(t->desc.horizon / every) + 2 : 0);
}

size_t dpi_trial_slot_size(const dpi_trial_model *m) {
  const size_t rows = m->trial->rows ? (size_t)dpi_trial_row_most(m) : 0;
  const int nmeal = dpi_trial_meal_most(m->trial, dpi_trial_length(m->trial));
  return (size_t)instants_of(m, nmeal) * sizeof(dp_instant) + (size_t)nmeal * sizeof(dpi_trial_meal) +
         (size_t)m->trial->cohort.ncolumn * sizeof(double) + (size_t)dp_sim_describe(m->sim)->nparam * sizeof(double) +
         rows * (size_t)(dp_sim_describe(m->sim)->noutput + 2) * sizeof(double) + 1024;
}

dp_status dpi_trial_slots_create(const dpi_trial_model *m, int n, dpi_trial_slot **out) {
  dp_ctx *ctx = m->trial->ctx;
  const int nmeal = dpi_trial_meal_most(m->trial, dpi_trial_length(m->trial));
  dpi_trial_slot *slot = *out = DPI_NEW_ARRAY(ctx, dpi_trial_slot, n);
  if (!slot) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    slot[i].instant = DPI_NEW_ARRAY(ctx, dp_instant, instants_of(m, nmeal) + 1);
    slot[i].out = DPI_NEW_ARRAY(ctx, dp_output_time, dpi_trial_row_most(m) + 1);
    slot[i].functional = DPI_NEW_ARRAY(ctx, dp_functional, m->npart * m->npath + 1);
    slot[i].meal = DPI_NEW_ARRAY(ctx, dpi_trial_meal, nmeal + 1);
    slot[i].column = DPI_NEW_ARRAY(ctx, double, m->trial->cohort.ncolumn + 1);
    if (!slot[i].instant || !slot[i].out || !slot[i].functional || !slot[i].meal || !slot[i].column)
      return DP_ERR_MEMORY;
  }
  return DP_OK;
}

void dpi_trial_slots_destroy(const dpi_trial_model *m, dpi_trial_slot *slot, int n) {
  dp_ctx *ctx = m->trial->ctx;
  for (int i = 0; slot && i < n; i++) {
    void *const block[] = {slot[i].instant, slot[i].out, slot[i].functional, slot[i].meal, slot[i].column};
    for (int k = 0; k < DPI_COUNT(block); k++) dpi_free(ctx, block[k]);
  }
  dpi_free(ctx, slot);
}

/* ---- what came of it ---- */

/* from: when the period begins that is counted; passages are told as times from then on. */
static double path_value(const dpi_endpoint *e, double x, double from, double length) {
  if (e->metric <= DPI_METRIC_ABOVE) return e->percent ? 100 * x / length : x;
  if (e->metric == DPI_METRIC_MEAN) return x / length;
  const bool passage = e->metric == DPI_METRIC_FIRST_ABOVE || e->metric == DPI_METRIC_FIRST_BELOW;
  if (!passage) return x;
  return isnan(x) && e->relation ? INFINITY : x - from; /* never: later than any bound, but no number for a mean */
}

double dpi_trial_event(const dpi_endpoint *e, double value) {
  if (!e->relation || isnan(value)) return value;
  if (value == e->bound) return e->at_bound;
  return e->relation < 0 ? value < e->bound : value > e->bound;
}

double dpi_trial_plan_total(const dpi_trial_model *m, int part, const char *give, dp_time act, dp_time from,
                            dp_time to) {
  const dpi_trial_part *p = &m->part[part];
  double low, high, sum = 0;
  int control;
  dpi_trial_bounds(m->kind, give, &low, &high, &control);
  for (int i = 0; i < p->nplan && control >= 0; i++) {
    const dp_instant *x = &p->plan[i];
    if ((x->type != DP_ADD && x->type != DP_INFUSE) || x->target != m->kind->control[control].sim_control) continue;
    for (int k = 0; k <= x->repeats; k++) {
      const dp_time at = act + x->time + k * x->interval;
      sum += at >= from && at < to ? x->amount : 0;
    }
  }
  return sum;
}

void dpi_trial_values(const dpi_trial_model *m, int part, int person, const double *row, const double *functional,
                      double *value) {
  const dp_trial *t = m->trial;
  const dpi_trial_part *p = &m->part[part];
  const dpi_trial_period period = dpi_trial_period_of(t, person, p->arm);
  const double length = (double)(period.to - period.from) / (double)DP_TICKS;
  const bool out = t->dropout_analysis == DPI_DROPOUT_EXCLUDE && length < t->desc.horizon * (1 - 1e-12);
  for (int e = 0; e < t->desc.nendpoint; e++) {
    const dpi_endpoint *end = &t->endpoint[e];
    value[e] = NAN;
    if (!row || out || dpi_trial_lost(t, person, p->arm, e)) continue;
    if (p->path[e] >= 0)
      value[e] = path_value(end, functional[p->path[e]], (double)period.from / (double)DP_TICKS, length);
    else if (p->output[e] >= 0)
      value[e] = row[p->output[e]];
    else if (end->metric == DPI_METRIC_TOTAL && t->arm[p->arm].policy->plan) /* an empty one gives 0 */
      value[e] = dpi_trial_plan_total(m, part, end->give, period.act, period.from, period.to);
    if (!(value[e] > DPI_TRIAL_MISSING)) value[e] = NAN;
    value[e] = dpi_trial_event(end, value[e]);
  }
}
