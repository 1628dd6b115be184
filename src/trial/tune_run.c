/* tune_run.c - floor 8: every candidate rehearsed on every draw, the best ones again on others.
 *
 *     people of the search     dpi_tune_people_make
 *     candidates x draws       one stream of members: chance goes by the draw (dpi_cohort_chance), so all candidates
 *                              see the same inputs, readings and errors
 *     dp_tune_judge            each beside the present settings
 *     dpi_tune_finals          the best ones, on fresh draws with inputs and errors of their own
 *     dpi_tune_conclude        outcome and words
 *
 * Error of the model (docs/tune.md): the drift is in the sim (trial_model.c). The error of a change is put on
 * afterwards: members give what was counted at each reading as rows, a candidate's are those under the present
 * settings plus 1 + change e times the difference, e standard normal, the draw's own, and endpoints are counted over
 * that.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decide/decide.h"
#include "num/num.h"
#include "trial/tune_impl.h"

#define COOKIE 0x74756e31u
#define BLOCK_BYTES (128.0 * 1048576)

dp_tune_def dp_tune_def_default(void) { return (dp_tune_def){.cookie = COOKIE, .seed = 1}; }

typedef struct owned {
  dp_tune_result pub;
  dpi_arena arena;
} owned;

typedef struct runner {
  const dp_tune *tune;
  const dp_tune_def *def;
  owned *out;
  dp_trial t; /* the tune's, with this person's draws */
  dpi_trial_model *model;
  dpi_sha256 *hash;
  /* one look */
  int ncandidate, n; /* draws */
  double *value;     /* [ncandidate x n x nendpoint] */
  dpi_trial_slot *slot;
  int first;           /* member of the block */
  int nrow, nseen;     /* with rows: readings, kinds of them */
  int *seen;           /* [nendpoint] which kind; -1 */
  double *present;     /* [nseen x n x nrow] under the present settings */
  double *work;        /* [nrow] */
  double begin, share; /* of the progress */
} runner;

/* ---- members ---- */

static dp_status fill(void *user, int first, int n, dp_member *member, double *param) {
  const runner *r = user;
  const size_t nparam = (size_t)dp_sim_describe(r->model->sim)->nparam;
  for (int i = 0; i < n; i++)
    dpi_trial_fill(r->model, r->first + first + i, &r->slot[first + i], &member[i], param + (size_t)i * nparam);
  return DP_OK;
}

/* Endpoints of readings over rows, the error of the change in them. */
static void count_rows(runner *r, int candidate, int draw, const dp_member_result *m, double *value) {
  const dp_trial *t = &r->t;
  const int noutput = dp_sim_describe(r->model->sim)->noutput;
  dpi_rng rng = dpi_rng_make(t->desc.seed, (uint64_t)draw, DPI_TRIAL_CHANGE);
  const double factor = 1 + r->tune->desc.change * dpi_rng_normal(&rng);
  for (int e = 0; e < t->desc.nendpoint; e++) {
    if (r->seen[e] < 0) continue;
    double *before = r->present + ((size_t)r->seen[e] * (size_t)r->n + (size_t)draw) * (size_t)r->nrow;
    const double *row = m->value + r->model->part[0].seen[e];
    for (int k = 0; k < r->nrow; k++) {
      const double x = row[(size_t)k * (size_t)noutput];
      if (candidate == 0) before[k] = x;
      r->work[k] = before[k] + factor * (x - before[k]);
    }
    value[e] = dpi_trial_event(&t->endpoint[e], dpi_trial_count(t, &t->endpoint[e], r->work, r->nrow));
  }
}

static dp_status sink(void *user, const dp_member_result *block, int n) {
  runner *r = user;
  dp_tune_result *out = &r->out->pub;
  const int noutput = dp_sim_describe(r->model->sim)->noutput, nend = r->t.desc.nendpoint;
  const int limited = r->model->part[0].limited;
  for (int i = 0; i < n; i++) {
    const dp_member_result *m = &block[i];
    const int number = r->first + m->member, candidate = number / r->n, draw = number % r->n;
    double *value = r->value + (size_t)number * (size_t)nend;
    const bool there = m->status == DP_MEMBER_OK && m->nout == r->nrow + 1;
    const double *row = there ? m->value + (size_t)r->nrow * (size_t)noutput : NULL;
    dpi_trial_values(r->model, 0, number, row, there ? m->functional : NULL, value);
    if (there && r->nseen) count_rows(r, candidate, draw, m, value);
    if (there && limited >= 0) out->nlimited += (int64_t)row[limited];
    out->nfailed += !there;
    if (there || candidate > 0) continue;
    for (int k = 0; k < r->nseen * r->nrow; k++) /* nothing to compare with */
      r->present[((size_t)(k / r->nrow) * (size_t)r->n + (size_t)draw) * (size_t)r->nrow + (size_t)(k % r->nrow)] = NAN;
  }
  return DP_OK;
}

static int block_of(const runner *r) {
  const double n = BLOCK_BYTES / (double)dpi_trial_slot_size(r->model);
  return n >= 4096 ? 4096 : n <= 64 ? 64 : (int)n;
}

static dp_status run_all(runner *r) {
  const dp_source source = {fill, r};
  const int all = r->ncandidate * r->n, block = block_of(r);
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = r->t.desc.seed;
  for (r->first = 0; r->first < all; r->first += block) {
    const int n = all - r->first < block ? all - r->first : block;
    if (dp_ctx_cancelled(r->tune->ctx)) return DP_ERR_CANCELLED;
    dp_status status = dpi_trial_slots_create(r->model, n, &r->slot);
    if (status == DP_OK) status = dp_simulate_stream(r->model->sim, 0, n, &source, &opts, sink, r);
    dpi_trial_slots_destroy(r->model, r->slot, n);
    r->slot = NULL;
    DP_TRY(status);
    if (r->def->progress) r->def->progress(r->def->progress_user, r->begin + r->share * (r->first + n) / all);
  }
  r->out->pub.nsimulated += all;
  return DP_OK;
}

/* Which rows there are, and room for those of the present settings. */
static dp_status make_rows(runner *r) {
  dp_ctx *ctx = r->tune->ctx;
  const dpi_trial_part *part = &r->model->part[0];
  dp_member member = {0};
  r->nseen = r->nrow = 0;
  if (!r->tune->rows) return DP_OK;
  for (int e = 0; e < r->t.desc.nendpoint; e++) {
    r->seen[e] = part->seen[e] < 0 ? -1 : r->nseen;
    for (int k = 0; k < e && r->seen[e] >= 0; k++)
      if (part->seen[k] == part->seen[e]) r->seen[e] = r->seen[k];
    if (r->seen[e] == r->nseen) r->nseen++;
  }
  double *param = DPI_NEW_ARRAY(ctx, double, dp_sim_describe(r->model->sim)->nparam + 1);
  dp_status status = param ? dpi_trial_slots_create(r->model, 1, &r->slot) : DP_ERR_MEMORY;
  if (status == DP_OK) { /* everybody has as many */
    dpi_trial_fill(r->model, 0, r->slot, &member, param);
    r->nrow = member.nout - 1;
  }
  dpi_trial_slots_destroy(r->model, r->slot, param ? 1 : 0);
  r->slot = NULL;
  dpi_free(ctx, param);
  DP_TRY(status);
  if (r->nrow < 1) return dpi_fail(ctx, DP_ERR_INPUT, "%s: no reading falls into the horizon", r->tune->desc.source);
  r->present = DPI_NEW_ARRAY(ctx, double, (size_t)r->nseen *(size_t)r->n *(size_t)r->nrow + 1);
  r->work = DPI_NEW_ARRAY(ctx, double, r->nrow);
  return r->present && r->work ? DP_OK : DP_ERR_MEMORY;
}

/* Candidates (settings [ncandidate x nsetting], the present ones first) on draws [n x ncolumn]: r->value. */
static dp_status look(runner *r, const double *draws, int n, const double *settings, int ncandidate, uint64_t seed) {
  dp_ctx *ctx = r->tune->ctx;
  r->n = n;
  r->ncandidate = ncandidate;
  r->t.desc.seed = seed;
  r->t.cohort.nrow = n;
  r->t.cohort.n = n * ncandidate;
  r->t.cohort.value = (double *)draws;
  r->t.cohort.nsetting = r->tune->desc.nsetting;
  r->t.cohort.setting = r->tune->column;
  r->t.cohort.replace = settings;
  dpi_free(ctx, r->value);
  dpi_free(ctx, r->present);
  dpi_free(ctx, r->work);
  r->present = r->work = NULL;
  r->value = DPI_NEW_ARRAY(ctx, double, (size_t)n *(size_t)ncandidate *(size_t)r->t.desc.nendpoint);
  if (!r->value) return DP_ERR_MEMORY;
  DP_TRY(make_rows(r));
  DP_TRY(run_all(r));
  const size_t all = (size_t)n * (size_t)ncandidate * (size_t)r->t.desc.nendpoint;
  for (size_t i = 0; i < all; i++)
    if (isnan(r->value[i])) r->value[i] = NAN; /* one NaN of all */
  dpi_sha256_add(r->hash, r->value, all * sizeof *r->value);
  return DP_OK;
}

/* ---- candidates ---- */

static const char *text_of(dpi_arena *arena, const dp_tune_desc *d, const dp_tune_candidate *c) {
  char text[1024];
  size_t n = 0;
  for (int k = 0; k < d->nsetting && n < sizeof text; k++) {
    const dp_tune_setting *s = &d->setting[k];
    n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %.4g%s%s", k ? ", " : "", s->id, c->setting[k],
                          *s->unit && strcmp(s->unit, "1") != 0 ? " " : "", strcmp(s->unit, "1") != 0 ? s->unit : "");
    if (s->relative && n < sizeof text) n += (size_t)snprintf(text + n, sizeof text - n, " (x %g)", c->step[k]);
  }
  return dpi_arena_strdup(arena, text);
}

static dp_status make_candidate(dpi_arena *arena, const dp_tune *tune, const double *setting, const double *step,
                                dp_tune_candidate *c) {
  double *mean = DPI_ARENA_ARRAY(arena, double, tune->desc.nendpoint);
  c->setting = setting;
  c->step = step;
  c->mean = mean;
  c->term = DPI_ARENA_ARRAY(arena, dp_tune_value, tune->desc.nterm);
  c->text = text_of(arena, &tune->desc, c);
  return mean && c->term && c->text ? DP_OK : DP_ERR_MEMORY;
}

/* All combinations, the present settings first; settings [ncandidate x nsetting]. */
static dp_status enumerate(dpi_arena *arena, const dp_tune *tune, const double *present, dp_tune_result *out,
                           double **settings) {
  const dp_tune_desc *d = &tune->desc;
  const size_t width = (size_t)d->nsetting;
  int all = 1, n = 1;
  for (int k = 0; k < d->nsetting; k++) all *= d->setting[k].n;
  double *value = *settings = DPI_ARENA_ARRAY(arena, double, ((size_t)all + 1) * width);
  double *step = DPI_ARENA_ARRAY(arena, double, ((size_t)all + 1) * width);
  out->candidate = DPI_ARENA_ARRAY(arena, dp_tune_candidate, all + 1);
  if (!value || !step || !out->candidate) return DP_ERR_MEMORY;
  for (size_t k = 0; k < width; k++) {
    value[k] = present[k];
    step[k] = d->setting[k].relative ? 1 : present[k];
  }
  for (int c = 0; c < all; c++) {
    double *v = value + (size_t)n * width, *s = step + (size_t)n * width;
    bool same = true;
    for (int k = d->nsetting - 1, rest = c; k >= 0; rest /= d->setting[k--].n) {
      s[k] = d->setting[k].value[rest % d->setting[k].n];
      v[k] = d->setting[k].relative ? present[k] * s[k] : s[k];
      same = same && v[k] == present[k];
    }
    n += !same;
  }
  out->ncandidate = n;
  for (int c = 0; c < n; c++)
    DP_TRY(make_candidate(arena, tune, value + (size_t)c * width, step + (size_t)c * width, &out->candidate[c]));
  return DP_OK;
}

static dp_status judge(const runner *r, int c, double effective, dp_tune_candidate *out) {
  const int nend = r->t.desc.nendpoint;
  const double *value = r->value + (size_t)c * (size_t)r->n * (size_t)nend;
  double *mean = (double *)out->mean;
  for (int e = 0; e < nend; e++) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < r->n; i++) {
      const double x = value[(size_t)i * (size_t)nend + (size_t)e];
      if (isnan(x)) continue;
      sum += x;
      n++;
    }
    mean[e] = n ? sum / n : NAN;
  }
  return dp_tune_judge(r->tune, r->value, value, r->n, effective, out->term, &out->verdict);
}

/* ---- the whole ---- */

static dp_status search(runner *r, const dpi_tune_people *people, double *settings) {
  dp_tune_result *out = &r->out->pub;
  r->begin = 0;
  r->share = (double)out->ncandidate * people->nsearch /
             ((double)out->ncandidate * people->nsearch + (double)DPI_TUNE_FINALS * people->nfresh);
  DP_TRY(look(r, people->search, people->nsearch, settings, out->ncandidate, r->def->seed));
  for (int c = 0; c < out->ncandidate; c++) DP_TRY(judge(r, c, out->effective, &out->candidate[c]));
  return DP_OK;
}

static dp_status look_again(runner *r, const dpi_tune_people *people) {
  dp_tune_result *out = &r->out->pub;
  dpi_arena *arena = &r->out->arena;
  const size_t width = (size_t)r->tune->desc.nsetting;
  const uint64_t seed = r->def->seed ^ 0x9e3779b97f4a7c15u; /* other inputs, readings and errors */
  double *settings = DPI_ARENA_ARRAY(arena, double, (size_t)out->nfinal *width);
  out->again = DPI_ARENA_ARRAY(arena, dp_tune_candidate, out->nfinal);
  if (!settings || !out->again) return DP_ERR_MEMORY;
  r->begin = r->share;
  r->share = 1 - r->begin;
  for (int i = 0; i < out->nfinal; i++) {
    const dp_tune_candidate *c = &out->candidate[out->final[i]];
    memcpy(settings + (size_t)i * width, c->setting, sizeof *settings * width);
    DP_TRY(make_candidate(arena, r->tune, c->setting, c->step, &out->again[i]));
  }
  DP_TRY(look(r, people->fresh, people->nfresh, settings, out->nfinal, seed));
  for (int i = 0; i < out->nfinal; i++) DP_TRY(judge(r, i, out->effective_fresh, &out->again[i]));
  return dpi_tune_conclude(arena, out, r->value, seed);
}

static dp_status run(runner *r, const dp_tune_person *person) {
  dp_tune_result *out = &r->out->pub;
  dpi_tune_people people;
  double *settings;
  DP_TRY(dpi_tune_people_make(&r->out->arena, r->tune, person, r->def, &people));
  out->present = people.present;
  out->ndraw = people.nsearch;
  out->nfresh = people.nfresh;
  out->fresh_new = people.fresh_new;
  out->effective = dpi_decide_effective(person->belief, people.nsearch);
  out->effective_fresh = dpi_decide_effective(person->belief, people.nfresh);
  DP_TRY(dpi_tune_enough(r->tune, fmin(out->effective, out->effective_fresh)));
  DP_TRY(enumerate(&r->out->arena, r->tune, people.present, out, &settings));
  r->seen = DPI_ARENA_ARRAY(&r->out->arena, int, r->t.desc.nendpoint);
  r->hash = dpi_sha256_create(r->tune->ctx);
  if (!r->seen || !r->hash) return DP_ERR_MEMORY;
  DP_TRY(dpi_trial_model_create(&r->t, 0, 1, &r->model));
  DP_TRY(search(r, &people, settings));
  DP_TRY(dpi_tune_finals(&r->out->arena, out));
  return look_again(r, &people);
}

static void release(runner *r) {
  dp_ctx *ctx = r->tune->ctx;
  dpi_trial_model_destroy(r->model);
  if (r->hash) dpi_sha256_finish(r->hash, r->out->pub.hash);
  dpi_free(ctx, r->value);
  dpi_free(ctx, r->present);
  dpi_free(ctx, r->work);
}

dp_status dp_tune_run(const dp_tune *tune, const dp_tune_person *person, const dp_tune_def *def, dp_tune_result **out) {
  dp_ctx *ctx = tune->ctx;
  *out = NULL;
  if (def->cookie != COOKIE) return dpi_fail(ctx, DP_ERR_USAGE, "dp_tune_run: def is not from dp_tune_def_default()");
  if (person->subject < 0 || person->subject >= person->record->nsubject)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_tune_run: the record has no subject %d", person->subject);
  owned *o = DPI_NEW(ctx, owned);
  if (!o) return DP_ERR_MEMORY;
  dpi_arena_init(&o->arena, ctx);
  o->pub = (dp_tune_result){.ctx = ctx, .tune = tune, .proposed = -1, .runner_up = -1, .reason = ""};
  o->pub.best_probability = o->pub.beats_runner_up = NAN;
  dp_status status = DP_OK;
  if (!person->belief->usable) {
    o->pub.outcome = DP_TUNE_UNFIT;
    o->pub.reason = dpi_arena_printf(&o->arena, "no proposal: what is believed of this person is not fit for use: %s",
                                     person->belief->verdict);
    if (!o->pub.reason) status = DP_ERR_MEMORY;
  } else {
    runner r = {.tune = tune, .def = def, .out = o, .t = *tune->trial};
    status = run(&r, person);
    release(&r);
  }
  if (status == DP_OK)
    *out = &o->pub;
  else
    dp_tune_result_destroy(&o->pub);
  return status;
}

void dp_tune_result_destroy(dp_tune_result *result) {
  if (!result) return;
  owned *o = (owned *)result; /* its first member */
  dp_ctx *ctx = result->ctx;
  dpi_arena_release(&o->arena);
  dpi_free(ctx, o);
}
