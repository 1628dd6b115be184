/* path.c - floor 7: figures of one person's path under given doses (dpi_path_eval), and the dose that a figure needs
 * (dpi_path_dose): false position with Illinois' correction, all draws side by side through the waist.
 *
 * Without history the person starts empty, with the covariates and the occasion that hold at the end of the record. */
#include "twin/path.h"

#include <math.h>
#include <string.h>

enum { GRID = 256, REFINE = 64, ROUNDS = 3, MAX_ITER = 80, SCAN = 16 };

static dp_time ticks(double t) { return (dp_time)llround(t * (double)DP_TICKS); }

static double span_start(const dpi_path_job *j) { return isnan(j->now) || (!j->dosing && !j->plan) ? 0.0 : j->now; }

/* ---- members ---- */

typedef struct crew {
  const dpi_path_job *job;
  dp_ctx *ctx;
  int n, nparam, nhistory, ngiven; /* instants before, and of the dosing or plan */
  double *param;                   /* [n x nparam] */
  dp_instant *instant;             /* [n x (nhistory + ngiven)] */
  dp_instant *given;               /* [ngiven] */
  dp_member *member;               /* [n] */
  dp_functional functional;
  dp_output_time when[GRID + 1];
} crew;

static void crew_release(crew *w) {
  dpi_free(w->ctx, w->param);
  dpi_free(w->ctx, w->instant);
  dpi_free(w->ctx, w->given);
  dpi_free(w->ctx, w->member);
}

static int history_length(const dpi_path_job *j) {
  if (!j->dosing && !j->plan) return j->c->ninstant;
  if (isnan(j->now)) return 0;
  int n = 0;
  while (n < j->c->ninstant && j->c->instant[n].time <= ticks(j->now)) n++;
  return n;
}

/* How often the dose is given: as often as was said; a steady state goes on to the end of what the figure looks at. */
static int doses_in_all(const dpi_path_job *j) {
  const dpi_dosing *d = j->dosing;
  const dpi_path_figure *f = j->figure;
  if (d->count > 0) return d->count;
  if (!d->steady) return 1;
  const double n = ceil((f->form == DPI_PATH_VALUE ? f->from : f->to) / d->interval - 1e-9);
  return n < 1 ? 1 : n < INT32_MAX ? (int)n : INT32_MAX;
}

/* One dose, perhaps repeated, as an instant. */
static dp_instant dosing_instant(const dpi_path_job *j, double dose) {
  const dpi_dosing *d = j->dosing;
  const dpi_kind_control *control = &j->kind->control[d->control];
  dp_instant s = dp_instant_default();
  s.time = ticks(span_start(j));
  s.order = INT32_MAX;
  s.type = DP_ADD;
  s.target = control->sim_control;
  s.amount = dose;
  if (d->duration > 0 || control->model_rate || control->model_duration) {
    s.type = DP_INFUSE;
    s.rate = d->duration > 0           ? dose / ((double)ticks(d->duration) / (double)DP_TICKS)
             : control->model_duration ? DP_DURATION_MODEL
                                       : DP_RATE_MODEL;
  }
  s.interval = ticks(d->interval);
  s.repeats = doses_in_all(j) - 1;
  s.steady = d->steady;
  return s;
}

static dp_status given_instants(crew *w) {
  const dpi_path_job *j = w->job;
  if (j->plan) {
    dp_instant *from = NULL;
    DP_TRY(dp_plan_instants(j->kind, j->plan, span_start(j), &from, &w->ngiven));
    w->given = DPI_NEW_ARRAY(w->ctx, dp_instant, w->ngiven + 1);
    if (w->given && w->ngiven) memcpy(w->given, from, sizeof *from * (size_t)w->ngiven);
    dp_plan_instants_free(j->plan, from);
  } else {
    w->ngiven = j->dosing ? 1 : 0;
    w->given = DPI_NEW_ARRAY(w->ctx, dp_instant, 1);
    if (w->given && w->ngiven) w->given[0] = dosing_instant(j, 1.0);
  }
  return w->given ? DP_OK : DP_ERR_MEMORY;
}

/* Without history: covariates and effects as at the end of the record. */
static void settle_param(const dpi_case *c, double *param, const dp_instant *instant) {
  for (int i = 0; i < c->ninstant; i++)
    if (instant[i].type == DP_SWITCH) param[instant[i].target] = instant[i].amount;
}

/* What was ordered to go on beyond now is replaced by the new doses. */
static void stop_repeats(dp_instant *instant, int n, dp_time now) {
  for (int i = 0; i < n; i++) {
    dp_instant *s = &instant[i];
    if (s->interval <= 0 || s->repeats == 0) continue;
    const dp_time most = (now - s->time) / s->interval;
    if (s->repeats > most) s->repeats = (int32_t)most;
  }
}

static dp_status crew_open(crew *w, const dpi_path_job *j, int n) {
  *w = (crew){.job = j, .ctx = j->kind->ctx, .n = n, .nparam = dp_sim_describe(j->sim)->nparam};
  w->nhistory = history_length(j);
  DP_TRY(given_instants(w));
  const size_t each = (size_t)j->c->ninstant + (size_t)w->ngiven + 1;
  w->param = DPI_NEW_ARRAY(w->ctx, double, (size_t)n *(size_t)w->nparam + 1);
  w->instant = DPI_NEW_ARRAY(w->ctx, dp_instant, (size_t)n * each);
  w->member = DPI_NEW_ARRAY(w->ctx, dp_member, n);
  return w->param && w->instant && w->member ? DP_OK : DP_ERR_MEMORY;
}

/* Everybody's parameters and instants, under these doses. */
static void crew_fill(crew *w, const double *eta, const double *dose) {
  const dpi_path_job *j = w->job;
  const dpi_case *c = j->c;
  const size_t each = (size_t)c->ninstant + (size_t)w->ngiven + 1;
  for (int k = 0; k < w->n; k++) {
    double *param = w->param + (size_t)k * (size_t)w->nparam;
    dp_instant *in = w->instant + (size_t)k * each;
    dpi_case_apply(c, j->typical, eta + (size_t)k * (size_t)c->neta, param, in);
    if (isnan(j->now) && w->ngiven) settle_param(c, param, in);
    dpi_case_undirect(in, w->nhistory);
    if (!isnan(j->now) && w->ngiven) stop_repeats(in, w->nhistory, ticks(j->now));
    for (int i = 0; i < w->ngiven; i++) {
      dp_instant *s = &in[w->nhistory + i];
      *s = w->given[i];
      if (j->dosing) *s = dosing_instant(j, dose ? dose[k] : j->dosing->dose);
    }
    w->member[k] = (dp_member){.param = param, .instant = in, .ninstant = w->nhistory + w->ngiven, .stream = c->stream};
  }
}

/* ---- figures ---- */

static dp_status functionals_of(crew *w, double *out) {
  const dpi_path_figure *f = w->job->figure;
  const double start = span_start(w->job);
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  w->functional = (dp_functional){.kind = f->functional,
                                  .output = f->output,
                                  .from = ticks(start + f->from),
                                  .to = ticks(start + f->to),
                                  .level = f->level,
                                  .level2 = f->level2};
  for (int k = 0; k < w->n; k++) {
    w->member[k].functional = &w->functional;
    w->member[k].nfunctional = 1;
  }
  DP_TRY(dp_simulate(w->job->sim, w->member, w->n, &opts, &r));
  const bool passage = f->functional == DP_FIRST_ABOVE || f->functional == DP_FIRST_BELOW;
  for (int k = 0; k < w->n; k++) {
    const bool failed = r->status[k] != DP_MEMBER_OK;
    const double v = failed ? NAN : r->functional[r->functional_at[k]];
    out[k] = failed || !passage ? v : isnan(v) ? INFINITY : v - start;
  }
  dp_result_destroy(r);
  return DP_OK;
}

/* Values of the figure's output at nwhen times: out [n x nwhen]. */
static dp_status values_at(crew *w, int nwhen, double *out) {
  const int output = w->job->figure->output;
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  for (int k = 0; k < w->n; k++) {
    w->member[k].out = w->when;
    w->member[k].nout = nwhen;
  }
  DP_TRY(dp_simulate(w->job->sim, w->member, w->n, &opts, &r));
  for (int k = 0; k < w->n; k++)
    for (int i = 0; i < nwhen; i++)
      out[(size_t)k * (size_t)nwhen + (size_t)i] =
          r->status[k] != DP_MEMBER_OK ? NAN
                                       : r->value[(r->value_at[k] + (size_t)i) * (size_t)r->noutput + (size_t)output];
  dp_result_destroy(r);
  return DP_OK;
}

static dp_status value_of(crew *w, double *out) {
  const dpi_path_job *j = w->job;
  const dpi_path_figure *f = j->figure;
  const bool end = isnan(f->from); /* of the record, after all that it has there */
  w->when[0] = (dp_output_time){ticks(end ? j->c->last_time : span_start(j) + f->from), end ? INT32_MAX : INT32_MIN};
  return values_at(w, 1, out);
}

/* Where an extremum lies: a grid, then three finer ones about its best point. One draw at a time. */
static dp_status time_of(const dpi_path_job *j, const double *eta, const double *dose, double *out) {
  const double start = span_start(j), sign = j->figure->functional == DP_MAXIMUM ? 1 : -1;
  double from = j->figure->from, to = j->figure->to, v[GRID + 1];
  crew w;
  dp_status status = crew_open(&w, j, 1);
  if (status == DP_OK) crew_fill(&w, eta, dose);
  for (int round = 0; round <= ROUNDS && status == DP_OK; round++) {
    const int n = round ? REFINE : GRID;
    int best = 0;
    for (int i = 0; i <= n; i++) w.when[i] = (dp_output_time){ticks(start + from + (to - from) * i / n), INT32_MAX};
    status = values_at(&w, n + 1, v);
    for (int i = 1; i <= n && status == DP_OK; i++)
      if (sign * v[i] > sign * v[best]) best = i;
    const double step = (to - from) / n, at = from + step * best;
    *out = isnan(v[best]) ? NAN : at;
    from = fmax(from, at - step);
    to = fmin(to, at + step);
  }
  crew_release(&w);
  return status;
}

dp_status dpi_path_eval(const dpi_path_job *job, const double *eta, const double *dose, int n, double *out) {
  const size_t neta = (size_t)job->c->neta;
  if (job->figure->form == DPI_PATH_EFFECT) {
    for (int k = 0; k < n; k++) out[k] = NAN;
    for (int k = 0; k < n; k++)
      for (size_t e = neta; e-- > 0;) /* of an effect with occasions the first one */
        if (job->c->eta_effect[e] == job->figure->output) out[k] = eta[(size_t)k * neta + e];
    return DP_OK;
  }
  if (job->figure->form == DPI_PATH_TIME_OF) {
    for (int k = 0; k < n; k++) DP_TRY(time_of(job, eta + (size_t)k * neta, dose ? dose + k : NULL, out + k));
    return DP_OK;
  }
  crew w;
  dp_status status = crew_open(&w, job, n);
  if (status == DP_OK) {
    crew_fill(&w, eta, dose);
    status = job->figure->form == DPI_PATH_VALUE ? value_of(&w, out) : functionals_of(&w, out);
  }
  crew_release(&w);
  return status;
}

/* ---- doses ---- */

typedef struct hunt {  /* one draw */
  double a, b, fa, fb; /* bracket, figure minus what is wanted */
  double scale, same;  /* what counts as met: |f| <= same * scale */
  int side;            /* end that was kept last: Illinois halves its value */
  bool open;
} hunt;

/* Next dose to look at, inside the bracket. */
static double guess(const hunt *h) {
  const double mid = 0.5 * (h->a + h->b);
  if (!isfinite(h->fa) || !isfinite(h->fb)) return mid;
  const double x = h->a - h->fa * (h->b - h->a) / (h->fb - h->fa);
  return x > h->a && x < h->b ? x : mid;
}

/* The bracket after the figure at x was f from what is wanted; false: done, *x is the dose, NaN when there is none. */
static bool narrow(hunt *h, double *x, double f) {
  if (isnan(f)) return *x = NAN, false;
  if (fabs(f) <= h->same * h->scale) return false;
  if ((f < 0) == (h->fa < 0)) {
    h->a = *x;
    h->fa = f;
    if (h->side == -1) h->fb *= 0.5;
    h->side = -1;
  } else {
    h->b = *x;
    h->fb = f;
    if (h->side == 1) h->fa *= 0.5;
    h->side = 1;
  }
  if (h->b - h->a > 1e-2 * h->same * h->b) return true;
  if (!(fabs(f) <= 1e-6 * h->scale)) *x = NAN; /* the ends have met, the figure has not: it jumps over the number */
  return false;
}

/* Does the bracket hold the dose? If not, on which side it lies, into *out. */
static bool begin(hunt *h, double lower, double upper, double wanted, double *out) {
  h->a = lower;
  h->b = upper;
  h->side = 0;
  h->scale = wanted != 0 ? fabs(wanted) : fmax(fabs(h->fa), fabs(h->fb));
  *out = NAN;
  if (isnan(h->fa) || isnan(h->fb)) return false;
  if (fabs(h->fa) <= h->same * h->scale) return *out = lower, false;
  if (fabs(h->fb) <= h->same * h->scale) return *out = upper, false;
  if ((h->fa < 0) != (h->fb < 0)) return true;
  const bool rises = h->fb > h->fa, too_little = h->fb < 0;
  if (h->fb != h->fa) *out = rises == too_little ? INFINITY : -INFINITY;
  return false;
}

typedef struct field {
  hunt *h;
  double *eta, *dose, *f; /* of those still hunting */
  int *who;
} field;

static dp_status hunt_all(const dpi_path_job *job, const double *eta, int n, double wanted, field *w, double *out) {
  const size_t neta = (size_t)job->c->neta;
  for (int iter = 0; iter < MAX_ITER; iter++) {
    int m = 0;
    for (int k = 0; k < n; k++) {
      if (!w->h[k].open) continue;
      w->who[m] = k;
      w->dose[m] = guess(&w->h[k]);
      memcpy(w->eta + (size_t)m++ * neta, eta + (size_t)k * neta, sizeof(double) * neta);
    }
    if (m == 0) return DP_OK;
    DP_TRY(dpi_path_eval(job, w->eta, w->dose, m, w->f));
    for (int i = 0; i < m; i++) {
      hunt *h = &w->h[w->who[i]];
      h->open = narrow(h, &w->dose[i], w->f[i] - wanted);
      if (!h->open) out[w->who[i]] = w->dose[i];
    }
  }
  return DP_OK; /* those still open stay NaN */
}

/* Both ends lie on the same side: between them a figure that rises and falls with the dose (a time in range) may still
 * be met. SCAN - 1 doses are looked at; the first two neighbours with the number between them are the bracket. */
static dp_status look_between(const dpi_path_job *job, const double *eta, int n, double wanted, double lower,
                              double upper, field *w, double *out) {
  const size_t neta = (size_t)job->c->neta;
  for (int i = 1; i < SCAN; i++) {
    const double x = lower + (upper - lower) * i / SCAN;
    int m = 0;
    for (int k = 0; k < n; k++) {
      const hunt *h = &w->h[k];
      if (h->open || isfinite(out[k]) || isnan(h->fa) || isnan(h->fb)) continue;
      w->who[m] = k;
      w->dose[m] = x;
      memcpy(w->eta + (size_t)m++ * neta, eta + (size_t)k * neta, sizeof(double) * neta);
    }
    if (m == 0) return DP_OK;
    DP_TRY(dpi_path_eval(job, w->eta, w->dose, m, w->f));
    for (int j = 0; j < m; j++) {
      hunt *h = &w->h[w->who[j]];
      const double f = w->f[j] - wanted;
      if (isnan(f) || (f < 0) == (h->fa < 0)) continue;
      h->a = lower + (upper - lower) * (i - 1) / SCAN;
      h->b = x;
      h->fb = f;                                /* fa: of the same sign as everywhere before */
      h->fa = h->fa < 0 ? -INFINITY : INFINITY; /* its size there is not known: the first guess is the middle */
      h->open = true;
      out[w->who[j]] = NAN;
    }
  }
  return DP_OK;
}

dp_status dpi_path_dose(const dpi_path_job *job, const double *eta, int n, double wanted, double lower, double upper,
                        double *out) {
  dp_ctx *ctx = job->kind->ctx;
  const size_t neta = (size_t)job->c->neta;
  field w = {.h = DPI_NEW_ARRAY(ctx, hunt, n),
             .eta = DPI_NEW_ARRAY(ctx, double, (size_t)n *neta + 1),
             .dose = DPI_NEW_ARRAY(ctx, double, n),
             .f = DPI_NEW_ARRAY(ctx, double, n),
             .who = DPI_NEW_ARRAY(ctx, int, n)};
  dp_status status = w.h && w.eta && w.dose && w.f && w.who ? DP_OK : DP_ERR_MEMORY;
  for (int end = 0; end < 2 && status == DP_OK; end++) {
    for (int k = 0; k < n; k++) w.dose[k] = end ? upper : lower;
    status = dpi_path_eval(job, eta, w.dose, n, w.f);
    for (int k = 0; k < n && status == DP_OK; k++) *(end ? &w.h[k].fb : &w.h[k].fa) = w.f[k] - wanted;
  }
  for (int k = 0; k < n && status == DP_OK; k++) {
    w.h[k].same = job->same;
    w.h[k].open = begin(&w.h[k], lower, upper, wanted, &out[k]);
  }
  if (status == DP_OK) status = look_between(job, eta, n, wanted, lower, upper, &w, out);
  if (status == DP_OK) status = hunt_all(job, eta, n, wanted, &w, out);
  dpi_free(ctx, w.h);
  dpi_free(ctx, w.eta);
  dpi_free(ctx, w.dose);
  dpi_free(ctx, w.f);
  dpi_free(ctx, w.who);
  return status;
}
