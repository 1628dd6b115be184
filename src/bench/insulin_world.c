/* insulin_world.c - floor 8: the worlds of the experiment on insulin: bodies and twins with a rule of therapy in them,
 * meals, sensor, and what of all this a twin gets to see.
 *
 * The rule, the same in both worlds: at a meal, carbohydrates/ratio + max(0, reading - 140)/factor units at once. It is
 * a law of the sim, so boluses follow each member's own glucose. In the twin's model insulin acts 8 min later, as its
 * control has it.
 */
#include "bench/insulin_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/glucose.h"

#define RULE_BODY "announced/ratio + max(0, Gs/Vg + reading_error - 140)/factor"
#define RULE_TWIN "announced/ratio + max(0, IG + reading_error - 140)/factor"
static const double EATING = 5000, INSULIN_DELAY = 8;
enum { PURPOSE_MEALS = 0x494e5301 };

static dp_time ticks(double minutes) { return (dp_time)(minutes * (double)DP_TICKS); }

/* ---------------------------------------------------------------- worlds */

static dp_status find_all(dpi_insulin_world *w) {
  const dp_sim *s = w->kind->sim;
  w->announced = dp_sim_param(s, "announced");
  w->reading_error = dp_sim_param(s, "reading_error");
  w->ratio = dp_sim_param(s, "ratio");
  w->factor = dp_sim_param(s, "factor");
  w->basal = dp_sim_param(s, w->person ? "basal_rate" : "basal");
  w->cho = w->person ? dp_sim_param(s, "cho") : 0;
  w->emptied = w->person ? dp_sim_state(s, "emptied") : 0;
  w->meal = w->person ? 0 : dp_sim_control(s, "meal");
  w->late = w->person ? -1 : dp_sim_control(s, "meal_late");
  w->glucose = dp_sim_output(s, "cgm");
  w->given = dp_sim_output(s, "given_out");
  w->decide = dp_sim_law(s, "decide");
  w->act = dp_sim_law(s, "act");
  const int all[] = {w->announced, w->reading_error, w->ratio,   w->factor, w->basal,  w->cho,
                     w->emptied,   w->meal,          w->glucose, w->given,  w->decide, w->act};
  for (int k = 0; k < DPI_COUNT(all); k++)
    if (all[k] < 0)
      return dpi_fail(w->kind->ctx, DP_ERR_INPUT, "%s: not the kind that this experiment is about (%s)", w->kind->dir,
                      w->person ? "s2008: basal_rate, cho, emptied, cgm" : "insulin: basal, meal, cgm");
  return DP_OK;
}

dp_status dpi_insulin_world_open(dp_ctx *ctx, const char *dir, bool person, dpi_insulin_world *out) {
  static const char *const param[] = {"announced", "reading_error", "ratio", "factor", "given"}, *const given[] = {
                                                                                                     "given"};
  static const double value[] = {0, 0, 10, 40, 0};
  const char *const state[] = {person ? "depot1" : "Isc1"}, *const rule[] = {person ? RULE_BODY : RULE_TWIN},
                    *const into[] = {person ? "depot1 + given" : "Isc1 + given*1000/BW"};
  const dp_law_def law[] = {{.id = "decide", .n = 1, .target = given, .formula = rule},
                            {.id = "act", .n = 1, .target = state, .formula = into}};
  const dp_output_def output = {.id = "given_out", .formula = "given", .unit = "U"};
  const dpi_kind_extra extra = {.nparam = DPI_COUNT(param),
                                .param = param,
                                .value = value,
                                .nlaw = DPI_COUNT(law),
                                .law = law,
                                .noutput = 1,
                                .output = &output,
                                .method = "ensemble",
                                .rtol = 1e-5,
                                .atol = 1e-5};
  *out = (dpi_insulin_world){.person = person};
  DP_TRY(dpi_kind_load_with(ctx, dir, &extra, &out->kind));
  dp_status status = find_all(out);
  if (status != DP_OK) dpi_insulin_world_close(out);
  return status;
}

void dpi_insulin_world_close(dpi_insulin_world *w) {
  dp_kind_destroy(w->kind);
  w->kind = NULL;
}

/* ---------------------------------------------------------------- days */

static dp_instant *add(dp_instant *s, int *n, double minutes, dp_instant_type type, int target, double amount) {
  s[*n] = dp_instant_default();
  s[*n].time = ticks(minutes);
  s[*n].order = *n;
  s[*n].type = type;
  s[*n].target = target;
  s[*n].amount = amount;
  return &s[(*n)++];
}

/* All that happens at meals; they lie so far apart that one is over when the next begins. At most 8 a meal. */
static int happen(const dpi_insulin_world *w, const dpi_meals *m, const double *error, dp_instant *s) {
  int n = 0;
  for (int k = 0; k < m->n; k++) {
    double t = m->time[k];
    add(s, &n, t, DP_SWITCH, w->announced, m->gram[k]);
    add(s, &n, t, DP_SWITCH, w->reading_error, error[k]);
    add(s, &n, t, DP_APPLY, w->decide, 0);
    if (w->person) {
      add(s, &n, t, DP_APPLY, w->act, 0);
      add(s, &n, t, DP_SET, w->emptied, 0);
      add(s, &n, t, DP_SWITCH, w->cho, EATING);
      add(s, &n, t + 1000 * m->gram[k] / EATING, DP_SWITCH, w->cho, 0);
    } else {
      add(s, &n, t, DP_ADD, w->meal, m->gram[k]);
      if (w->late >= 0) add(s, &n, t, DP_ADD, w->late, m->gram[k]);
      add(s, &n, t + INSULIN_DELAY, DP_APPLY, w->act, 0);
    }
  }
  return n;
}

static dp_status take(const dpi_insulin_world *w, const dp_result *r, int n, int nout, const dpi_meals *m,
                      double *glucose, double *bolus) {
  for (int i = 0; i < n; i++) {
    if (r->status[i] != DP_MEMBER_OK)
      return dpi_fail(w->kind->ctx, DP_ERR_NUMERIC, "%s: member %d fails at %g min: %s", w->kind->id, i,
                      r->fail_time[i], r->reason[i]);
    const double *v = r->value + r->value_at[i] * (size_t)r->noutput;
    for (int k = 0; k < nout; k++) glucose[(size_t)i * nout + k] = v[(size_t)k * r->noutput + w->glucose];
    for (int k = 0; bolus && k < m->n; k++)
      bolus[(size_t)i * m->n + k] = v[(size_t)(m->time[k] / DPI_INSULIN_STEP) * r->noutput + w->given];
  }
  return DP_OK;
}

dp_status dpi_insulin_live(const dpi_insulin_world *w, const double *param, int n, const dpi_meals *meals,
                           const double *error, double *glucose, double *bolus) {
  dp_ctx *ctx = w->kind->ctx;
  const int nout = meals->days * DPI_INSULIN_DAY + 1, np = dp_sim_describe(w->kind->sim)->nparam,
            room = 8 * meals->n + 1;
  dp_instant *instant = DPI_NEW_ARRAY(ctx, dp_instant, (size_t)room * (size_t)(error ? n : 1));
  dp_output_time *out = DPI_NEW_ARRAY(ctx, dp_output_time, nout);
  dp_member *member = DPI_NEW_ARRAY(ctx, dp_member, n);
  dp_result *r = NULL;
  dp_status status = instant && out && member ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    int ninstant = happen(w, meals, error ? error : meals->error, instant);
    for (int i = 1; error && i < n; i++)
      happen(w, meals, error + (size_t)i * (size_t)meals->n, instant + (size_t)i * (size_t)room);
    for (int k = 0; k < nout; k++) out[k] = (dp_output_time){ticks(DPI_INSULIN_STEP * k), ninstant};
    for (int i = 0; i < n; i++)
      member[i] = (dp_member){.param = param + (size_t)i * (size_t)np,
                              .instant = instant + (error ? (size_t)i * (size_t)room : 0),
                              .ninstant = ninstant,
                              .out = out,
                              .nout = nout};
    dp_run_opts opts = dp_run_opts_default();
    status = dp_simulate(w->kind->sim, member, n, &opts, &r);
  }
  if (status == DP_OK) status = take(w, r, n, nout, meals, glucose, bolus);
  dp_result_destroy(r);
  dpi_free(ctx, member);
  dpi_free(ctx, out);
  dpi_free(ctx, instant);
  return status;
}

/* Breakfast, lunch and dinner near 7:00, 12:30 and 19:00: times +- 20 min (to 5 min, within an hour), amounts +- 20 %
 * (within half and one and a half). */
static void regular_day(const dpi_insulin_case *c, int day, dpi_rng *rng, dpi_meals *m) {
  static const double when[] = {420, 750, 1140}, adult[] = {50, 70, 80};
  const double share = strncmp(c->id, "child", 5) == 0 ? 0.5 : 1;
  for (int k = 0; k < DPI_COUNT(when); k++) {
    double late = fmin(fmax(20 * dpi_rng_normal(rng), -60), 60),
           more = 1 + fmin(fmax(0.2 * dpi_rng_normal(rng), -0.5), 0.5);
    m->time[m->n] = 1440 * day + when[k] + 5 * floor(late / 5 + 0.5);
    m->gram[m->n++] = floor(share * adult[k] * more + 0.5);
  }
}

/* The days of the open simulator (simglucose, RandomScenario): breakfast, snack, lunch, snack, dinner, snack, each with
 * a probability, a truncated normal time and a normal amount. Times to 5 min; what would begin while something is still
 * eaten waits until it is over and its bolus is given. */
static void random_day(int day, dpi_rng *rng, dpi_meals *m) {
  static const struct {
    double probability, from, to, mean, sd, gram, gram_sd;
  } meal[DPI_INSULIN_MEALS] = {{0.95, 300, 540, 420, 60, 45, 10},  {0.3, 540, 600, 570, 30, 10, 5},
                               {0.95, 600, 840, 720, 60, 70, 10},  {0.3, 840, 960, 900, 30, 10, 5},
                               {0.95, 960, 1200, 1080, 60, 80, 10}, {0.3, 1200, 1380, 1290, 30, 10, 5}};
  for (int k = 0; k < DPI_INSULIN_MEALS; k++) {
    const bool eaten = dpi_rng_uniform(rng) < meal[k].probability;
    double t;
    do t = meal[k].mean + meal[k].sd * dpi_rng_normal(rng);
    while (t < meal[k].from || t > meal[k].to);
    const double gram = floor(meal[k].gram + meal[k].gram_sd * dpi_rng_normal(rng) + 0.5);
    if (!eaten || gram < 1) continue;
    t = 1440 * day + 5 * floor(t / 5 + 0.5);
    if (m->n > 0) {
      const double over = fmax(1000 * m->gram[m->n - 1] / EATING, INSULIN_DELAY);
      t = fmax(t, m->time[m->n - 1] + 5 * (floor(over / 5) + 1));
    }
    m->time[m->n] = t;
    m->gram[m->n++] = gram;
  }
}

dp_status dpi_insulin_meals_make(dpi_arena *arena, const dpi_insulin_case *c, int number, int days, dpi_meals *out) {
  const int most = DPI_INSULIN_MEALS * days;
  dpi_rng rng = dpi_rng_make(c->def->seed, c->stream + (uint64_t)number, PURPOSE_MEALS);
  *out = (dpi_meals){.days = days};
  out->time = DPI_ARENA_ARRAY(arena, double, most);
  out->gram = DPI_ARENA_ARRAY(arena, double, most);
  out->error = DPI_ARENA_ARRAY(arena, double, most);
  if (!out->time || !out->gram || !out->error) return DP_ERR_MEMORY;
  for (int day = 0; day < days; day++) {
    if (c->def->meals == DP_INSULIN_RANDOM)
      random_day(day, &rng, out);
    else
      regular_day(c, day, &rng, out);
  }
  return DP_OK;
}

dp_status dpi_insulin_errors(const dpi_insulin_case *c, int number, dpi_meals *meals, double *error) {
  const dp_sensor_model sensor = dp_sensor_model_default();
  const int n = meals->days * DPI_INSULIN_DAY + 1;
  dp_ctx *ctx = c->kind->ctx;
  double *time = DPI_NEW_ARRAY(ctx, double, n);
  if (!time) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) time[k] = DPI_INSULIN_STEP * k;
  dp_status status = dp_sensor_errors(ctx, &sensor, c->def->seed, c->stream + (uint64_t)number, time, n, error);
  dpi_free(ctx, time);
  for (int k = 0; status == DP_OK && k < meals->n; k++)
    meals->error[k] = error[(int)(meals->time[k] / DPI_INSULIN_STEP)];
  return status;
}

/* ---------------------------------------------------------------- people */

dp_status dpi_insulin_people_read(dp_ctx *ctx, const char *dir, dpi_insulin_people *out) {
  char path[1100];
  if (snprintf(path, sizeof path, "%s/people.tsv", dir) >= (int)sizeof path)
    return dpi_fail(ctx, DP_ERR_USAGE, "%.40s...: the path is too long", dir);
  DP_TRY(dpi_table_load(ctx, path, '\t', &out->t));
  const struct {
    const char *name;
    int *column;
  } need[] = {{"person", &out->id}, {"BW", &out->bw}, {"basal_rate", &out->basal}, {"CR", &out->cr}, {"CF", &out->cf}};
  dp_status status = DP_OK;
  for (int k = 0; k < DPI_COUNT(need) && status == DP_OK; k++)
    status = dpi_table_need(out->t, need[k].name, need[k].column);
  if (status != DP_OK) dpi_table_destroy(out->t);
  return status;
}

static void treat(const dpi_insulin_world *w, double basal, double cr, double cf, dp_insulin_therapy therapy,
                  double *param) {
  param[w->basal] = basal * therapy.basal;
  param[w->ratio] = cr * therapy.ratio;
  param[w->factor] = cf * therapy.factor;
}

dp_status dpi_insulin_person_param(const dpi_insulin_world *w, const dpi_insulin_people *p, int row,
                                   dp_insulin_therapy therapy, double *param) {
  const dp_sim_desc *d = dp_sim_describe(w->kind->sim);
  double basal, cr, cf;
  memcpy(param, d->param_default, sizeof *param * (size_t)d->nparam);
  for (int c = 0; c < p->t->ncolumn; c++) {
    int k = dp_sim_param(w->kind->sim, p->t->column[c]);
    if (k >= 0) DP_TRY(dpi_table_number(p->t, row, c, &param[k]));
  }
  DP_TRY(dpi_table_number(p->t, row, p->basal, &basal));
  DP_TRY(dpi_table_number(p->t, row, p->cr, &cr));
  DP_TRY(dpi_table_number(p->t, row, p->cf, &cf));
  treat(w, basal, cr, cf, therapy, param);
  return DP_OK;
}

void dpi_insulin_twin_param(const dpi_insulin_case *c, const double *eta, dp_insulin_therapy therapy, double *param) {
  const dp_kind *k = c->model->kind;
  const dp_sim_desc *d = dp_sim_describe(k->sim);
  memcpy(param, d->param_default, sizeof *param * (size_t)d->nparam);
  for (int i = 0; i < k->nparam; i++) param[k->param[i].sim_param] = k->param[i].nominal;
  for (int e = 0; e < k->neffect; e++) param[k->effect[e].sim_param] = eta[e];
  for (int v = 0; v < k->ncovariate; v++) {
    const dpi_kind_covariate *cov = &k->covariate[v];
    param[cov->sim_param] = strcmp(cov->id, "BW") == 0 ? c->bw : c->basal;
  }
  treat(c->model, c->basal, c->cr, c->cf, therapy, param);
}

/* ---------------------------------------------------------------- what a twin sees */

dp_status dpi_insulin_record(const dpi_insulin_case *c, const dpi_meals *meals, const double *shown,
                             const double *bolus, dp_record **out) {
  dp_ctx *ctx = c->kind->ctx;
  const dp_sensor_model sensor = dp_sensor_model_default();
  char path[1100], tail[120];
  dpi_str s;
  dpi_str_init(&s, ctx);
  snprintf(path, sizeof path, "%s/%s.csv", c->def->work, c->id);
  snprintf(tail, sizeof tail, "%.17g,%.17g,%.17g", c->bw, c->basal, c->basal);
  dpi_str_add(
      &s,
      "# A virtual person (S2008, in silico): readings of a sensor (CENS 1: the least that it shows), announced meals\n"
      "# (CMT 1, g), boluses (CMT 2, U).\n"
      "ID,TIME,AMT,CMT,EVID,DVID,DV,CENS,BW,basal,basal_rest\n");
  for (int k = 0, m = 0; k <= meals->days * DPI_INSULIN_DAY; k++) {
    double t = DPI_INSULIN_STEP * k;
    if (fmod(t, c->def->every) == 0)
      dpi_str_addf(&s, "%s,%g,,,0,cgm,%.1f,%d,%s\n", c->id, t, shown[k], shown[k] <= sensor.lower, tail);
    for (; m < meals->n && meals->time[m] == t; m++) {
      dpi_str_addf(&s, "%s,%g,%g,1,1,,,,%s\n", c->id, t, meals->gram[m], tail);
      if (c->model->late >= 0) dpi_str_addf(&s, "%s,%g,%g,3,1,,,,%s\n", c->id, t, meals->gram[m], tail);
      if (bolus[m] > 0) dpi_str_addf(&s, "%s,%g,%.17g,2,1,,,,%s\n", c->id, t, bolus[m], tail);
    }
  }
  dp_status status = s.failed ? DP_ERR_MEMORY : dpi_file_write(ctx, path, dpi_str_text(&s), s.len);
  dpi_str_release(&s);
  return status == DP_OK ? dp_kind_record(c->kind, path, out) : status;
}

void dpi_insulin_ranges(const double *glucose, int n, double *in_range, double *low) {
  int in = 0, below = 0;
  for (int k = 0; k < n; k++) {
    in += glucose[k] >= 70 && glucose[k] <= 180;
    below += glucose[k] < 70;
  }
  *in_range = (double)in / n;
  *low = (double)below / n;
}
