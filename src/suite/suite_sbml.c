/* suite_sbml.c - floor 8: the semantic cases of the SBML Test Suite (see doppel/suite.h).
 *
 * One file of a case: read, seal (what SBML leaves undefined is NaN), one member through the waist at
 * start + i * duration / steps, every value compared:
 *
 *     |C - U| <= Ta + Tr |C|      C expected, U ours; NaN matches NaN, an infinity only itself
 *
 * A case without times states a flux balance problem: its columns are reactions and the objective, one row; where the
 * problem has no solution all its values are NaN.
 *
 * "refused" is said of what stopped before time zero as unsupported; whatever goes wrong later is an error.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/flux.h"
#include "doppel/sim.h"
#include "suite/suite_impl.h"

#define CASE_SECONDS 120.0 /* a case that takes longer is an error */
#define LAST_TIME 9e9      /* what ticks can hold */
#define COARSE 1e-5        /* of a step: the most by which a tick may lie beside a row's time */
#define SCALED 10          /* other units are powers of two that bring the last row between 2^9 and 2^10 */

typedef struct deviation { /* of one file from the expected values */
  double worst;            /* largest, over its tolerance */
  int row, column;         /* of it */
  double ours;
  int compared, outside;
} deviation;

/* ---- judging ---- */

/* Deviation over its tolerance; 0 where both are the same NaN or infinity. */
static double over_tolerance(const dpi_suite_case *c, double expected, double ours) {
  if (isnan(expected) || isnan(ours)) return isnan(expected) && isnan(ours) ? 0 : INFINITY;
  if (isinf(expected) || isinf(ours)) return expected == ours ? 0 : INFINITY;
  double gap = fabs(expected - ours);
  return gap == 0 ? 0 : gap / (c->absolute + c->relative * fabs(expected));
}

static void compare(const dpi_suite_case *c, const double *ours, deviation *d) {
  memset(d, 0, sizeof *d);
  for (int i = 0; i < c->nrow; i++)
    for (int k = 0; k < c->ncolumn; k++) {
      double u = ours[(size_t)i * (size_t)c->ncolumn + (size_t)k];
      double over = over_tolerance(c, dpi_suite_expected(c, i, k), u);
      d->compared++;
      d->outside += !(over <= 1);
      if (over > d->worst || d->compared == 1) {
        d->worst = over;
        d->row = i;
        d->column = k;
        d->ours = u;
      }
    }
}

static void judge_deviation(const dpi_suite_case *c, const deviation *d, dp_sbml_case *r) {
  r->worst = d->worst;
  r->compared = d->compared;
  r->tighter = d->worst <= 0.1;
  if (d->outside == 0) {
    dpi_suite_verdict(r, "pass", "%s", "");
    return;
  }
  char when[48] = "";
  if (c->timed) snprintf(when, sizeof when, " at time %.9g", c->time[d->row]);
  dpi_suite_verdict(r, "fail", "%s%s: found %.9g, expected %.9g (%.3g times the tolerance); %d of %d values outside",
                    c->column[d->column], when, d->ours, dpi_suite_expected(c, d->row, d->column), d->worst,
                    d->outside, d->compared);
}

/* ---- a course over time ---- */

static dp_time ticks(double t) { return (dp_time)llround(t * (double)DP_TICKS); }

/* Time of a row: that which the settings say; where the table has it at another time, the table's. */
static double row_time(const dpi_suite_case *c, int i) {
  double steps = c->steps > 0 ? c->steps : 1, t = c->start + c->duration * (double)i / steps;
  return fabs(c->time[i] - t) <= 1e-3 * c->duration / steps ? t : c->time[i];
}

/* The sim's unit of time: the model's own, unless ticks of it are too coarse or too fine for the rows. */
static double time_unit(const dpi_suite_case *c) {
  double last = 0, step = INFINITY, off = 0;
  int exponent;
  for (int i = 0; i < c->nrow; i++) {
    double t = row_time(c, i);
    last = fmax(last, fabs(t));
    if (i) step = fmin(step, t - row_time(c, i - 1));
    if (fabs(t) <= LAST_TIME) off = fmax(off, fabs((double)ticks(t) / (double)DP_TICKS - t));
  }
  bool fits = last <= LAST_TIME && off <= COARSE * step;
  if (fits || !isfinite(last) || last == 0 || !(step > 0)) return 1;
  (void)frexp(last, &exponent);
  return ldexp(1, exponent - SCALED);
}

static dp_status output_times(const dpi_suite_case *c, dp_output_time *when) {
  double unit = time_unit(c);
  for (int i = 0; i < c->nrow; i++) {
    double t = row_time(c, i) / unit;
    if (!(fabs(t) <= LAST_TIME) || (i && ticks(t) <= when[i - 1].time))
      return dpi_fail(c->ctx, DP_ERR_UNSUPPORTED,
                      "%s: output time %g: times must ascend by more than a trillionth of the last", c->id,
                      row_time(c, i));
    when[i] = (dp_output_time){ticks(t), INT32_MAX};
  }
  return DP_OK;
}

/* Integration so accurate that it never decides: far below what is compared. */
static void choose_tolerances(const dpi_suite_case *c, const dp_sbml_def *def, dp_sim_def *sim) {
  sim->rtol = def->rtol > 0 ? def->rtol : fmax(fmin(1e-8, c->relative * 1e-4), 1e-10);
  sim->atol = def->atol > 0 ? def->atol : fmax(fmin(1e-12, c->absolute * 1e-6), 1e-30);
}

/* Amounts and concentrations are asked for of species; what the settings list there and is none is what its id says. */
static const char *signal_of(const dpi_suite_case *c, const dp_model *model, const char *name) {
  for (int i = 0, n = dp_model_nelement(model); i < n; i++) {
    dp_element e = dp_model_element(model, i);
    if (e.kind == DP_ELEMENT_SPECIES && !strcmp(e.id, name)) return dpi_suite_signal(c, name);
  }
  return name;
}

/* The model's own time: what the sim counts in units of it. */
static bool is_time(const dp_model *model, const char *signal) {
  if (strcmp(signal, "time")) return false;
  for (int i = 0; i < dp_model_nelement(model); i++)
    if (!strcmp(dp_model_element(model, i).id, signal)) return false;
  return true;
}

typedef struct source { /* of a column */
  int output;
  double unit; /* what its value is multiplied by */
} source;

/* Every output is asked for under its signal, once; a table of times alone asks for the time. */
static dp_status make_sim(const dpi_suite_case *c, const dp_sbml_def *def, dp_model *model, dpi_arena *arena,
                          source *from, dp_sim **out) {
  dp_output_def *output = DPI_ARENA_ARRAY(arena, dp_output_def, c->ncolumn + 1);
  if (!output) return DP_ERR_MEMORY;
  int n = 0;
  for (int k = 0; k < c->ncolumn; k++) {
    const char *signal = signal_of(c, model, c->column[k]);
    from[k] = (source){0, is_time(model, signal) ? time_unit(c) : 1};
    while (from[k].output < n && strcmp(output[from[k].output].id, signal)) from[k].output++;
    if (from[k].output == n) output[n++] = (dp_output_def){.id = signal, .unit = ""};
  }
  if (n == 0) output[n++] = (dp_output_def){.id = "time", .unit = ""};
  dp_sim_def sim = dp_sim_def_default();
  sim.model = model;
  sim.output = output;
  sim.noutput = n;
  if (def->method) sim.method = def->method;
  choose_tolerances(c, def, &sim);
  return dp_sim_create(c->ctx, &sim, out);
}

static dp_status judge_course(const dpi_suite_case *c, const source *from, const double *value, int noutput,
                              dp_sbml_case *r) {
  double *ours = DPI_NEW_ARRAY(c->ctx, double, (size_t)c->nrow *(size_t)c->ncolumn + 1);
  if (!ours) return DP_ERR_MEMORY;
  for (int i = 0; i < c->nrow; i++)
    for (int k = 0; k < c->ncolumn; k++)
      ours[(size_t)i * (size_t)c->ncolumn + (size_t)k] =
          value[(size_t)i * (size_t)noutput + (size_t)from[k].output] * from[k].unit;
  deviation d;
  compare(c, ours, &d);
  judge_deviation(c, &d, r);
  dpi_free(c->ctx, ours);
  return DP_OK;
}

/* The member's course, or why it failed. Initial values hold at time zero, also when outputs start later. */
static dp_status run_member(const dpi_suite_case *c, const dp_sbml_def *def, const dp_sim *sim,
                            const dp_output_time *when, const source *from, dp_sbml_case *r) {
  dp_member member = {.param = dp_sim_describe(sim)->param_default,
                      .out = when,
                      .nout = c->nrow,
                      .start = when[0].time < 0 ? when[0].time : 0};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *result = NULL;
  opts.seed = def->seed;
  opts.deadline_s = CASE_SECONDS;
  dp_status status = dp_simulate(sim, &member, 1, &opts, &result);
  if (status == DP_OK && result->status[0] != DP_MEMBER_OK) {
    dpi_suite_verdict(r, "error", "at time %.9g: %s", result->fail_time[0], result->reason[0]);
  } else if (status == DP_OK) {
    status = judge_course(c, from, result->value + result->value_at[0] * (size_t)result->noutput, result->noutput, r);
  } else if (status == DP_ERR_CANCELLED && !dp_ctx_cancelled(c->ctx)) {
    dpi_suite_verdict(r, "error", "took longer than %g s", CASE_SECONDS);
    status = DP_OK;
  }
  dp_result_destroy(result);
  return status;
}

static dp_status run_course(const dpi_suite_case *c, const dp_sbml_def *def, dp_model *model, dp_sbml_case *r) {
  dp_sim *sim = NULL;
  dpi_arena arena;
  dpi_arena_init(&arena, c->ctx);
  dp_output_time *when = DPI_ARENA_ARRAY(&arena, dp_output_time, c->nrow);
  source *from = DPI_ARENA_ARRAY(&arena, source, c->ncolumn + 1);
  dp_status status = when && from ? output_times(c, when) : DP_ERR_MEMORY;
  if (status == DP_OK) status = make_sim(c, def, model, &arena, from, &sim);
  if (status == DP_OK) status = run_member(c, def, sim, when, from, r);
  dp_sim_destroy(sim);
  dpi_arena_release(&arena);
  return status;
}

/* ---- steady fluxes ---- */

static bool flux_value(const dp_flux *f, const char *name, double *out) {
  for (int j = 0; j < f->nreaction; j++)
    if (!strcmp(f->reaction[j], name)) {
      *out = f->value[j];
      return true;
    }
  return false;
}

/* Any other name of a column means the objective: an objective's id is not a reaction's. */
static void flux_rows(const dpi_suite_case *c, const dp_flux *f, double *ours) {
  for (int i = 0; i < c->nrow; i++)
    for (int k = 0; k < c->ncolumn; k++) {
      double *u = &ours[(size_t)i * (size_t)c->ncolumn + (size_t)k];
      if (!f)
        *u = NAN;
      else if (!flux_value(f, c->column[k], u))
        *u = f->objective;
    }
}

static dp_status run_flux(const dpi_suite_case *c, const dp_model *model, dp_sbml_case *r) {
  dp_flux *flux = NULL;
  if (!dp_flux_has(model))
    return dpi_fail(c->ctx, DP_ERR_UNSUPPORTED,
                    "%s: a case without times, and the model states no flux balance problem", c->id);
  dp_status status = dp_flux_solve(model, &flux);
  if (status != DP_OK && status != DP_ERR_CONVERGE) return status;
  double *ours = DPI_NEW_ARRAY(c->ctx, double, (size_t)c->nrow *(size_t)c->ncolumn);
  if (ours) {
    deviation d;
    flux_rows(c, flux, ours);
    compare(c, ours, &d);
    judge_deviation(c, &d, r);
  }
  dpi_free(c->ctx, ours);
  dp_flux_destroy(flux);
  return ours ? DP_OK : DP_ERR_MEMORY;
}

/* ---- files and cases ---- */

static dp_status run_file(const dpi_suite_case *c, const dp_sbml_def *def, const char *path, dp_sbml_case *r) {
  dp_model *model = NULL;
  dp_status status = dp_model_read(c->ctx, path, &model);
  if (status == DP_OK && c->timed) status = dp_model_scale_time(model, time_unit(c));
  if (status == DP_OK && c->timed) status = dp_model_seal_partly(model, NULL, 0);
  if (status == DP_OK) status = c->timed ? run_course(c, def, model, r) : run_flux(c, model, r);
  dp_model_destroy(model);
  return status;
}

/* As run_file, with every trouble but memory and a stop told in r. */
static dp_status judge_file(const dpi_suite_case *c, const dp_sbml_def *def, const dpi_suite_file *file,
                            dp_sbml_case *r) {
  dp_ctx_clear_error(c->ctx);
  dp_status status = run_file(c, def, file->path, r);
  if (status == DP_ERR_MEMORY || dp_ctx_cancelled(c->ctx)) return status == DP_OK ? DP_ERR_CANCELLED : status;
  if (status != DP_OK) {
    const char *message = dp_ctx_error(c->ctx);
    dpi_suite_verdict(r, status == DP_ERR_UNSUPPORTED ? "refused" : "error", "%s",
                      message[0] ? message : dp_status_sentence(status));
  }
  snprintf(r->level, sizeof r->level, "%s", file->level);
  return DP_OK;
}

static int gravity(const char *status) {
  static const char *const order[] = {"pass", "refused", "fail", "error"};
  int k = 0;
  while (k < 3 && strcmp(order[k], status)) k++;
  return k;
}

/* The worst of all files decides, the first of those that are equally bad. */
static dp_status judge_levels(const dpi_suite_case *c, const dp_sbml_def *def, const dpi_suite_file *file, int nfile,
                              dp_sbml_case *r) {
  char why[sizeof r->why];
  for (int i = 0; i < nfile; i++) {
    dp_sbml_case one = *r;
    one.worst = NAN;
    one.compared = 0;
    one.tighter = false;
    DP_TRY(judge_file(c, def, &file[i], &one));
    r->compared += one.compared;
    r->worst = isnan(r->worst) || one.worst > r->worst ? one.worst : r->worst;
    r->tighter = one.tighter && (i == 0 || r->tighter);
    if (i && gravity(one.status) <= gravity(r->status)) continue;
    snprintf(why, sizeof why, "%s", one.why);
    dpi_suite_verdict(r, one.status, "%s%s%s", why[0] ? file[i].level : "", why[0] ? ": " : "", why);
  }
  snprintf(r->level, sizeof r->level, "all");
  return DP_OK;
}

/* dpi_judge_fn */
static dp_status judge(dp_ctx *ctx, dpi_suite_case *c, const dp_sbml_def *def, dp_sbml_case *r) {
  (void)ctx;
  dpi_suite_file file[DPI_SUITE_FILES];
  int nfile;
  DP_TRY(dpi_suite_files(c, file, &nfile));
  return def->all_levels ? judge_levels(c, def, file, nfile, r) : judge_file(c, def, &file[0], r);
}

dp_status dp_suite_sbml(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, dp_sbml_fn each, void *user) {
  return dpi_suite_run(ctx, dir, def, false, judge, each, user);
}
