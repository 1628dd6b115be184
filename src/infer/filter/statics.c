/* statics.c - floor 6, folder filter: static parameters: readings in, evidence by time, verdict. */
#include "infer/filter/statics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/filter/statics_impl.h"

dpi_statics_def dpi_statics_def_default(void) {
  return (dpi_statics_def){.n = 1000,
                           .ess = 0.5,
                           .correlation = 0.3,
                           .max_move = 10,
                           .ninner = 100,
                           .ninner_most = 1600,
                           .inner = DPI_FILTER_BOOTSTRAP,
                           .npilot = -1};
}

/* ---- create ---- */

static dp_status check(const dpi_problem *p, const dpi_static_prior *prior, const dpi_statics_def *def) {
  dp_ctx *ctx = p->process->ctx;
  if (prior->n < 1 || prior->n > DPI_EIG_MAX)
    return dpi_fail(ctx, DP_ERR_INPUT, "static parameters: %d, expected 1 to %d", prior->n, DPI_EIG_MAX);
  for (int k = 0; k < prior->n; k++) {
    if (prior->param[k] < 0 || prior->param[k] >= p->process->nparam)
      return dpi_fail(ctx, DP_ERR_INPUT, "static parameter %d: is parameter %d of the process, there are %d", k,
                      prior->param[k], p->process->nparam);
    if (!prior->logprior && (!prior->mean || !prior->sd || !(prior->sd[k] > 0)))
      return dpi_fail(ctx, DP_ERR_INPUT, "static parameter %d: no prior, or one without spread", k);
  }
  if ((prior->logprior == NULL) != (prior->draw == NULL))
    return dpi_fail(ctx, DP_ERR_INPUT, "static parameters: a prior needs both its density and its draws");
  if (def->n < 10 || !(def->ess > 0 && def->ess < 1) || def->max_move < 1 || (def->nested && def->ninner < 2))
    return dpi_fail(ctx, DP_ERR_INPUT,
                    "static parameters: %d particles (10 or more), ess %g (between 0 and 1), %d moves", def->n,
                    def->ess, def->max_move);
  if (def->nested) return DP_OK;
  if (p->process->stochastic || p->noise || p->ndrift)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                    "static parameters: the likelihood of the past can't be computed where the process has noise or a "
                    "sensor drifts: use nested");
  return DP_OK;
}

static dp_status make_room(dpi_statics *s) {
  size_t n = (size_t)s->n, d = (size_t)s->dim;
  double **one[] = {&s->weight,     &s->logprior,  &s->past,      &s->last,
                    &s->next_prior, &s->next_past, &s->next_last, &s->ratio};
  double **many[] = {&s->x, &s->next_x, &s->before};
  double **small[] = {&s->mean[0], &s->mean[1], &s->chol[0], &s->chol[1], &s->copy};
  bool ok = true;
  for (int i = 0; i < DPI_COUNT(one); i++) ok = ok && (*one[i] = DPI_ARENA_ARRAY(&s->arena, double, n)) != NULL;
  for (int i = 0; i < DPI_COUNT(many); i++) ok = ok && (*many[i] = DPI_ARENA_ARRAY(&s->arena, double, n *d)) != NULL;
  for (int i = 0; i < DPI_COUNT(small); i++)
    ok = ok && (*small[i] = DPI_ARENA_ARRAY(&s->arena, double, d *d + 2 * d)) != NULL;
  s->out = DPI_ARENA_ARRAY(&s->arena, uint8_t, n);
  s->index = DPI_ARENA_ARRAY(&s->arena, int, n);
  ok = ok && s->out && s->index;
  if (ok && s->def.nested) {
    s->inner = DPI_ARENA_ARRAY(&s->arena, dpi_filter *, n);
    s->next_inner = DPI_ARENA_ARRAY(&s->arena, dpi_filter *, n);
    ok = s->inner && s->next_inner;
  }
  return ok ? DP_OK : DP_ERR_MEMORY;
}

/* The prior, before any reading. */
static dp_status begin(dpi_statics *s) {
  int nrestart = s->report.nrestart;
  if (s->def.nested) dpi_nested_release(s);
  dpi_filter_destroy(s->run);
  s->run = NULL;
  s->ntaken = 0;
  s->count = 0;
  s->lost = false;
  s->moves = 0;
  s->grown = false;
  s->ninner = s->def.ninner;
  s->report = (dpi_statics_report){.ess_least = s->n, .nrestart = nrestart};
  if (s->pilot) {
    s->pilot->nreading = 0;
    DP_TRY(begin(s->pilot));
  }
  return dpi_statics_draw_prior(s);
}

static dp_status make_pilot(dpi_statics *s) {
  dpi_statics_def def = s->def;
  const int quarter = s->n / 4;
  if (!def.nested || def.npilot == 0) return DP_OK;
  def.n = def.npilot > 0 ? def.npilot : quarter < 30 ? 30 : quarter > 200 ? 200 : quarter;
  def.npilot = 0;
  def.seed = dpi_rng_at(s->def.seed, 0, DPI_RNG_FILTER_STATIC, 3);
  return dpi_statics_create(&s->problem, &s->prior, &def, &s->pilot);
}

dp_status dpi_statics_create(const dpi_problem *problem, const dpi_static_prior *prior, const dpi_statics_def *def,
                             dpi_statics **out) {
  *out = NULL;
  DP_TRY(check(problem, prior, def));
  dp_ctx *ctx = problem->process->ctx;
  dpi_statics *s = DPI_NEW(ctx, dpi_statics);
  if (!s) return DP_ERR_MEMORY;
  s->ctx = ctx;
  s->problem = *problem;
  s->prior = *prior;
  s->def = *def;
  s->n = def->n;
  s->dim = prior->n;
  dpi_arena_init(&s->arena, ctx);
  dp_status status = make_room(s);
  if (status == DP_OK) status = make_pilot(s);
  if (status == DP_OK) status = begin(s);
  if (status == DP_OK) {
    *out = s;
    return DP_OK;
  }
  dpi_statics_destroy(s);
  return status;
}

void dpi_statics_destroy(dpi_statics *s) {
  if (!s) return;
  dp_ctx *ctx = s->ctx;
  dpi_statics_destroy(s->pilot);
  if (s->def.nested) dpi_nested_release(s);
  dpi_filter_destroy(s->run);
  dpi_free(ctx, s->reading);
  dpi_free(ctx, s->time);
  dpi_free(ctx, s->gained);
  dpi_arena_release(&s->arena);
  dpi_free(ctx, s);
}

/* ---- readings ---- */

static dp_status step(dpi_statics *s) {
  const dpi_reading *r = s->reading + s->ntaken;
  int n = 1, t = s->report.ntime;
  if (dp_ctx_cancelled(s->ctx)) return dpi_fail(s->ctx, DP_ERR_CANCELLED, "static parameters: stopped on request");
  while (s->ntaken + n < s->nreading && r[n].time == r->time) n++;
  DP_TRY(dpi_grow(s->ctx, (void **)&s->time, &s->cap_time, t + 1, sizeof *s->time));
  DP_TRY(dpi_grow(s->ctx, (void **)&s->gained, &s->cap_gained, t + 1, sizeof *s->gained));
  s->time[t] = r->time;
  const bool lost = s->lost;
  if (s->pilot) {
    const long before = s->pilot->report.nrun;
    DP_TRY(dpi_statics_read(s->pilot, r, n));
    s->report.nrun += s->pilot->report.nrun - before;
  }
  if (lost)
    s->gained[t] = -INFINITY;
  else if (s->def.nested)
    DP_TRY(dpi_nested_step(s, s->ntaken, n, &s->gained[t]));
  else
    DP_TRY(dpi_ibis_step(s, s->ntaken, n, &s->gained[t]));
  if (s->lost && !lost) {
    s->lost_time = r->time;
    s->lost_sensor = n == 1 ? r->sensor : -1;
  }
  s->report.evidence += s->gained[t];
  s->report.ntime++;
  s->ntaken += n;
  return DP_OK;
}

dp_status dpi_statics_read(dpi_statics *s, const dpi_reading *reading, int n) {
  dp_time reached = s->ntaken ? s->reading[s->ntaken - 1].time : s->problem.process->start - 1;
  bool late = false;
  for (int k = 0; k < n; k++) DP_TRY(dpi_reading_check(&s->problem, &reading[k], k));
  for (int k = 0; k < n; k++) {
    if (isnan(reading[k].y)) continue;
    late = late || reading[k].time <= reached;
    DP_TRY(dpi_reading_insert(s->ctx, &s->reading, &s->nreading, &s->cap_reading, &reading[k]));
  }
  if (late) {
    s->report.nrestart++;
    DP_TRY(begin(s));
  }
  while (s->ntaken < s->nreading) DP_TRY(step(s));
  return DP_OK;
}

/* ---- what is thought now ---- */

const double *dpi_statics_x(const dpi_statics *s) { return s->x; }
const double *dpi_statics_weight(const dpi_statics *s) { return s->weight; }

void dpi_statics_params(const dpi_statics *s, double *param) {
  for (int i = 0; i < s->n; i++)
    dpi_statics_param(s, s->x + (size_t)i * (size_t)s->dim, param + (size_t)i * (size_t)s->problem.process->nparam);
}

void dpi_statics_moments(const dpi_statics *s, double *mean, double *cov) {
  int d = s->dim;
  for (int a = 0; a < d; a++) {
    mean[a] = 0;
    for (int i = 0; i < s->n; i++) mean[a] += s->weight[i] * s->x[(size_t)i * d + a];
  }
  for (int a = 0; cov && a < d; a++)
    for (int b = 0; b <= a; b++) {
      double c = 0;
      for (int i = 0; i < s->n; i++)
        c += s->weight[i] * (s->x[(size_t)i * d + a] - mean[a]) * (s->x[(size_t)i * d + b] - mean[b]);
      cov[a * d + b] = cov[b * d + a] = c;
    }
}

static void words(dpi_statics_report *r, bool bad, const char *text) {
  size_t at = strlen(r->verdict);
  snprintf(r->verdict + at, sizeof r->verdict - at, "%s%s", at ? "; " : "", text);
  if (bad) r->usable = 0;
}

const dpi_statics_report *dpi_statics_judge(dpi_statics *s) {
  dpi_statics_report *r = &s->report;
  double least = fmax(20, 0.02 * s->n);
  char text[160];
  r->time = s->time;
  r->gained = s->gained;
  r->ess = dpi_ess(s->weight, s->n);
  r->ninner = s->def.nested ? s->ninner : 0;
  r->usable = 1;
  r->verdict[0] = 0;
  if (s->lost) words(r, true, "no particle could explain some reading");
  if (r->ess_least < least) {
    snprintf(text, sizeof text, "only %.3g of %d particles were effective at one time, %.3g are wanted", r->ess_least,
             s->n, least);
    words(r, true, text);
  }
  if (r->nrejuvenate && dpi_statics_unmixed(s)) {
    snprintf(text, sizeof text, "moves did not mix: correlation %.2g with before, %.2g of moves accepted",
             r->correlation, r->accept);
    words(r, true, text);
  }
  if (r->nunmixed > 0) {
    snprintf(text, sizeof text, "moves did not mix in %d of %d rejuvenations", r->nunmixed, r->nrejuvenate);
    words(r, 2 * r->nunmixed > r->nrejuvenate, text);
  } else if (r->usable) {
    words(r, false, "in order");
  }
  return r;
}
