/* insulin_loop.c - floor 8: the same days of a virtual person under open loop, a PID rule and the twin in a loop
 * (insulin.h): what is read at a moment decides the basal rate from then on.
 *
 * The twin in the loop is a receding horizon. Some draws of the belief go along with the person: they are given the
 * announced meals, the boluses and the basal rate, and each keeps an offset to the readings. Every 15 min all draws
 * rehearse some basal rates, held for an hour and then as usual, over four hours without further meals; offsets stay.
 * What costs is the mean excess of risk (Kovatchev's) beyond a zone of 80 to 140 mg/dL, and a little to leave the usual
 * rate: within the zone there is nothing to mend, and a rate that is moved to no end is missed at the next meal, of
 * which nothing is known yet (a zone: Grosman et al. 2010, J Diabetes Sci Technol 4:961). Taken is the rate that costs
 * least among those under which at most 10 % of the draws fall below 70 mg/dL; where there is none, the lowest rate.
 * Meals are known from when they are eaten.
 * Boluses go by the therapy that was tuned on the twin; under the other rules by the starting one.
 */
#include <math.h>

#include "bench/insulin_impl.h"
#include "doppel/glucose.h"

enum { EVERY = 3, HOLD = 60, LOOK = 15, NLOOK = 16 }; /* decisions in steps of readings; min; min; looks ahead */
static const double rates[] = {0, 0.5, 1, 1.5, 2};    /* of the usual basal rate, ascending */
enum { NRATE = sizeof rates / sizeof *rates };
static const double MAY_BE_LOW = 0.1, LOW = 70, FORGETS = 0.5, ZONE_LOW = 80, ZONE_HIGH = 140, MOVED = 0.5,
                    TARGET = 140, EATING = 5000, INSULIN_DELAY = 8;

typedef struct loop {
  const dpi_insulin_case *c;
  const dpi_meals *meals;
  dp_run *body, *twin; /* twin: NULL but for the twin in the loop */
  int ndraw, order, body_glucose, twin_glucose, meal;
  double vg, rate;  /* U/h now */
  double ratio, factor; /* of boluses, g/U and mg/dL/U */
  double *offset, *x;
  double integral, smooth, before; /* of the PID rule */
} loop;

static dp_time ticks(double minutes) { return (dp_time)(minutes * (double)DP_TICKS); }

static dp_status add(loop *s, dp_run *run, int member, double minutes, dp_instant_type type, int target,
                     double amount) {
  dp_instant in = dp_instant_default();
  in.time = ticks(minutes);
  in.order = s->order++;
  in.type = type;
  in.target = target;
  in.amount = amount;
  return dp_run_add(run, member, &in, 1);
}

static dp_status read_state(loop *s, dp_run *run, int member, int state, double *out) {
  DP_TRY(dp_run_state_get(run, member, s->x));
  *out = s->x[state];
  if (!isfinite(*out))
    return dpi_fail(s->c->kind->ctx, DP_ERR_NUMERIC, "%s: a member of the loop failed: no glucose", s->c->id);
  return DP_OK;
}

/* ---------------------------------------------------------------- the rules */

/* twins/s2008/policies/pid.yaml */
static double pid_rate(loop *s, double g) {
  const double kp = 0.15, ti = 450, td = 60, target = 130, basal = s->c->basal;
  double filtered = s->smooth + 0.4 * (g - s->smooth), slope = (filtered - s->before) / DPI_INSULIN_STEP,
         error = filtered - target, wanted = basal + kp * (error + s->integral / ti + td * slope) / s->c->cf;
  if (wanted > 0 && wanted < 3 * basal) s->integral = fmax(-10000, fmin(10000, s->integral + error * DPI_INSULIN_STEP));
  s->smooth = s->before = filtered;
  return fmax(0, fmin(wanted, 3 * basal));
}

static double risk(double g) {
  double f = 1.509 * (dpi_m_exp(1.084 * dpi_m_log(dpi_m_log(fmin(fmax(g, 20), 600)))) - 5.381);
  return 10 * f * f;
}

/* Beyond the zone. */
static double excess(double g) {
  if (g >= ZONE_LOW && g <= ZONE_HIGH) return 0;
  return risk(g) - risk(g < ZONE_LOW ? ZONE_LOW : ZONE_HIGH);
}

typedef struct outlook { /* of one rate */
  double cost;
  int nlow;
} outlook;

/* All rates by all draws from `now` on. */
static dp_status look_ahead(loop *s, dp_run *ahead, double now, outlook *out) {
  double lowest[NRATE * DPI_INSULIN_LOOP_DRAWS], g;
  const int basal = s->c->model->basal;
  for (int k = 0; k < NRATE * s->ndraw; k++) {
    lowest[k] = INFINITY;
    DP_TRY(add(s, ahead, k, now, DP_SWITCH, basal, rates[k / s->ndraw] * s->c->basal));
    DP_TRY(add(s, ahead, k, now + HOLD, DP_SWITCH, basal, s->c->basal));
  }
  for (int h = 1; h <= NLOOK; h++) {
    DP_TRY(dp_run_advance(ahead, ticks(now + LOOK * h)));
    for (int k = 0; k < NRATE * s->ndraw; k++) {
      DP_TRY(read_state(s, ahead, k, s->twin_glucose, &g));
      g += s->offset[k % s->ndraw];
      out[k / s->ndraw].cost += excess(g);
      lowest[k] = fmin(lowest[k], g);
    }
  }
  for (int k = 0; k < NRATE * s->ndraw; k++) out[k / s->ndraw].nlow += lowest[k] < LOW;
  return DP_OK;
}

static dp_status twin_rate(loop *s, double now, double reading) {
  int index[NRATE * DPI_INSULIN_LOOP_DRAWS], best = -1;
  outlook o[NRATE] = {{0}};
  dp_run *ahead = NULL;
  double g;
  for (int j = 0; j < s->ndraw; j++) {
    DP_TRY(read_state(s, s->twin, j, s->twin_glucose, &g));
    s->offset[j] += (now > 0 ? FORGETS : 1) * (reading - g - s->offset[j]);
  }
  for (int k = 0; k < NRATE * s->ndraw; k++) index[k] = k % s->ndraw;
  DP_TRY(dp_run_fork(s->twin, index, NRATE * s->ndraw, NULL, &ahead));
  dp_status status = look_ahead(s, ahead, now, o);
  dp_run_close(ahead);
  if (status != DP_OK) return status;
  for (int k = 0; k < NRATE; k++) {
    o[k].cost += MOVED * s->ndraw * fabs(rates[k] - 1);
    if (o[k].nlow <= MAY_BE_LOW * s->ndraw && (best < 0 || o[k].cost < o[best].cost)) best = k;
  }
  s->rate = rates[best < 0 ? 0 : best] * s->c->basal;
  for (int j = 0; j < s->ndraw; j++) DP_TRY(add(s, s->twin, j, now, DP_SWITCH, s->c->model->basal, s->rate));
  return DP_OK;
}

/* ---------------------------------------------------------------- days */

static dp_status eat(loop *s, double now, double gram, double bolus) {
  const dpi_insulin_world *b = s->c->body, *t = s->c->model;
  const int given = dp_sim_param(b->kind->sim, "given"), twin_given = dp_sim_param(t->kind->sim, "given");
  DP_TRY(add(s, s->body, 0, now, DP_SWITCH, given, bolus));
  DP_TRY(add(s, s->body, 0, now, DP_APPLY, b->act, 0));
  DP_TRY(add(s, s->body, 0, now, DP_SET, b->emptied, 0));
  DP_TRY(add(s, s->body, 0, now, DP_SWITCH, b->cho, EATING));
  DP_TRY(add(s, s->body, 0, now + 1000 * gram / EATING, DP_SWITCH, b->cho, 0));
  for (int j = 0; s->twin && j < s->ndraw; j++) {
    DP_TRY(add(s, s->twin, j, now, DP_ADD, t->meal, gram));
    if (t->late >= 0) DP_TRY(add(s, s->twin, j, now, DP_ADD, t->late, gram));
    DP_TRY(add(s, s->twin, j, now, DP_SWITCH, twin_given, bolus));
    DP_TRY(add(s, s->twin, j, now + INSULIN_DELAY, DP_APPLY, t->act, 0));
  }
  return DP_OK;
}

static dp_status go(loop *s, dp_insulin_rule rule, const double *error, double *glucose) {
  const int nt = s->meals->days * DPI_INSULIN_DAY + 1;
  for (int k = 0, m = 0; k < nt; k++) {
    double now = DPI_INSULIN_STEP * k, state, last = s->rate;
    DP_TRY(dp_run_advance(s->body, ticks(now)));
    if (s->twin) DP_TRY(dp_run_advance(s->twin, ticks(now)));
    DP_TRY(read_state(s, s->body, 0, s->body_glucose, &state));
    glucose[k] = state / s->vg;
    if (k + 1 == nt) break;
    const double reading = glucose[k] + error[k];
    if (m < s->meals->n && s->meals->time[m] == now) {
      double gram = s->meals->gram[m++], whole = gram / s->ratio,
             bolus = rule == DP_INSULIN_PID ? 0.8 * whole : whole + fmax(0, reading - TARGET) / s->factor;
      DP_TRY(eat(s, now, gram, bolus));
    }
    if (rule == DP_INSULIN_PID) s->rate = pid_rate(s, reading);
    if (s->twin && k % EVERY == 0) DP_TRY(twin_rate(s, now, reading));
    if (s->rate != last) DP_TRY(add(s, s->body, 0, now, DP_SWITCH, s->c->body->basal, s->rate));
  }
  return DP_OK;
}

static dp_status twin_open(loop *s, dpi_arena *arena, const dp_belief *b, dp_member *member) {
  const dp_run_opts opts = dp_run_opts_default();
  const size_t np = (size_t)dp_sim_describe(s->c->model->kind->sim)->nparam;
  double *param = DPI_ARENA_ARRAY(arena, double, np *(size_t)s->ndraw);
  if (!param) return DP_ERR_MEMORY;
  for (int j = 0; j < s->ndraw; j++) {
    const double *eta = b->eta + (size_t)(j * (b->ndraw / s->ndraw)) * (size_t)b->neta;
    dpi_insulin_twin_param(s->c, eta, (dp_insulin_therapy){1, 1, 1}, param + (size_t)j * np);
    member[j] = (dp_member){.param = param + (size_t)j * np};
  }
  return dp_run_open(s->c->model->kind->sim, member, s->ndraw, &opts, &s->twin);
}

dp_status dpi_insulin_loop(const dpi_insulin_case *c, const dp_belief *b, dp_insulin_rule rule,
                           dp_insulin_therapy tuned, const dpi_meals *meals, const double *error, double *glucose) {
  const dp_sim *body = c->body->kind->sim, *model = c->model->kind->sim;
  const dp_sim_desc *db = dp_sim_describe(body), *dm = dp_sim_describe(model);
  const dp_run_opts opts = dp_run_opts_default();
  const bool by_twin = rule == DP_INSULIN_TWIN && b->usable;
  loop s = {.c = c,
            .meals = meals,
            .rate = c->basal,
            .ratio = c->cr * (by_twin ? tuned.ratio : 1),
            .factor = c->cf * (by_twin ? tuned.factor : 1),
            .smooth = TARGET,
            .before = TARGET};
  dp_member person = {0}, member[DPI_INSULIN_LOOP_DRAWS] = {{0}};
  dpi_arena arena;
  s.ndraw = c->def->nloop < b->ndraw ? c->def->nloop : b->ndraw;
  s.body_glucose = dp_sim_state(body, "Gs");
  s.twin_glucose = dp_sim_state(model, "IG");
  const int vg = dp_sim_param(body, "Vg");
  if (s.body_glucose < 0 || s.twin_glucose < 0 || vg < 0)
    return dpi_fail(c->kind->ctx, DP_ERR_INPUT, "expected states Gs and IG and a parameter Vg");
  dpi_arena_init(&arena, c->kind->ctx);
  double *param = DPI_ARENA_ARRAY(&arena, double, db->nparam);
  s.offset = DPI_ARENA_ARRAY(&arena, double, s.ndraw);
  s.x = DPI_ARENA_ARRAY(&arena, double, db->nstate + dm->nstate);
  dp_status status = param && s.offset && s.x ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK)
    status = dpi_insulin_person_param(c->body, c->people, c->row, (dp_insulin_therapy){1, 1, 1}, param);
  person.param = param;
  if (status == DP_OK) s.vg = param[vg];
  if (status == DP_OK) status = dp_run_open(body, &person, 1, &opts, &s.body);
  if (status == DP_OK && by_twin) status = twin_open(&s, &arena, b, member);
  if (status == DP_OK) status = go(&s, rule, error, glucose);
  dp_run_close(s.twin);
  dp_run_close(s.body);
  dpi_arena_release(&arena);
  return status;
}
