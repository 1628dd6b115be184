/* suite_stochastic.c - floor 8: the stochastic cases of the SBML Test Suite (see doppel/suite.h).
 *
 * n runs of one file stream through dp_simulate_into in members' order; for each output time and quantity only the
 * first four moments are kept (Welford's update, so nothing cancels). A column of the results is the mean or the
 * standard deviation of a quantity, "X-mean", "X-sd", or of its logarithm, "ln(X)-mean"; with mu and sigma from the
 * table and X, S from the runs:
 *
 *     sigma > 0           Z = sqrt(n) (X - mu) / sigma within meanRange,
 *                         Y = sqrt(n/2) (S^2 / sigma^2 - 1) within sdRange
 *     sigma = 0           X = mu and S = 0
 *     no column of sigma  Z with S in place of sigma; but where a few runs make up the sum of squares, so that the mean
 *                         does not settle (a Cauchy law), mu is the median: runs below it against n/2, over sqrt(n)/2
 *
 * A logarithm of 0 is written as 0 (references do so before the first draw).
 *
 * A perfect simulator leaves a range now and then: of 50 independent times within +-3, one column in eight. A case that
 * does is repeated TRIES - 1 times with other seeds, and fails when a column leaves its range in a repeat at a time at
 * which it did before. Columns that left it again at any time are counted, and are no failure: with 50 independent
 * times and long tails a perfect simulator has some of them in every sweep. How many of these, and how many values
 * outside in the first try, follows from the ranges: Z is normal, Y nearly so with variance (kurtosis - 1) / 2,
 * times as independent.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "doppel/sim.h"
#include "lang/lang.h"
#include "num/num.h"
#include "suite/suite_impl.h"

#define TRIES 3
#define CHUNK 20000    /* runs whose members lie in memory at once */
#define LAST_TIME 9e9  /* what ticks can hold */
#define DOMINATED 0.02 /* share of one run in the sum of squares from which on the mean does not settle */
#define EXACT 1e-9     /* relative: tables are decimal */
#define TRY_SECONDS 600.0 /* runs that take longer are an error */
#define PURPOSE 0x53544f43u

typedef struct quantity {
  const char *name; /* "X", "ln(X)" */
  const char *signal;
  bool log;
  int mean, sd; /* columns, -1: none */
} quantity;

typedef struct moments {   /* of one quantity at one time */
  double mean, m2, m3, m4; /* sums of powers of the distance from the mean */
  double far;              /* largest |x - mu| */
  int nbelow;              /* runs below mu; those at mu count half: twice the number is kept */
} moments;

typedef struct trial {
  const dpi_suite_case *c;
  const quantity *q;
  int nq;
  int n;           /* runs so far */
  moments *m;      /* [nrow x nq] */
  double *over;    /* [nrow x ncolumn] deviation over its range */
  int nout;        /* values outside their range */
  double expected; /* values that a perfect simulator has outside */
  double *stay;    /* [ncolumn] probability that a perfect simulator has no value of this column outside */
  int compared;
  char reason[200];
} trial;

/* ---- gathering ---- */

static double logarithm(double x) { return x == 0 ? 0 : (x > 0 ? dpi_m_log(x) : NAN); }

/* Welford's update to the fourth order (Pebay 2008). */
static void add(moments *m, int n, double x, double mu) {
  const double d = x - m->mean, dn = d / n, dn2 = dn * dn, t = d * dn * (n - 1);
  m->mean += dn;
  m->m4 += t * dn2 * ((double)n * n - 3.0 * n + 3) + 6 * dn2 * m->m2 - 4 * dn * m->m3;
  m->m3 += t * dn * (n - 2) - 3 * dn * m->m2;
  m->m2 += t;
  if (!(fabs(x - mu) <= m->far)) m->far = fabs(x - mu);
  m->nbelow += x < mu ? 2 : x == mu;
}

static double expected(const trial *t, int row, int column) {
  return column < 0 ? NAN : dpi_suite_expected(t->c, row, column);
}

/* dp_sink_fn */
static dp_status gather(void *user, const dp_member_result *block, int nblock) {
  trial *t = user;
  for (int b = 0; b < nblock; b++) {
    if (block[b].status != DP_MEMBER_OK) {
      if (!t->reason[0])
        snprintf(t->reason, sizeof t->reason, "a run failed at time %.9g: %s", block[b].fail_time, block[b].reason);
      continue;
    }
    t->n++;
    for (int i = 0; i < block[b].nout; i++)
      for (int k = 0; k < t->nq; k++) {
        const double x = block[b].value[i * t->nq + k];
        add(&t->m[i * t->nq + k], t->n, t->q[k].log ? logarithm(x) : x, expected(t, i, t->q[k].mean));
      }
  }
  return DP_OK;
}

/* ---- judging ---- */

/* Deviation over the half of its range on its side; within: at most 1. */
static double over_range(double v, const double range[2]) {
  if (!isfinite(v)) return INFINITY;
  const double limit = v < 0 ? range[0] : range[1];
  return v == 0 ? 0 : (limit == 0 || (limit < 0) != (v < 0) ? INFINITY : v / limit);
}

/* Probability that a normal number of this standard deviation is outside. */
static double outside(double sd, const double range[2]) {
  return sd > 0 ? dpi_norm_cdf(range[0] / sd) + dpi_norm_cdf(-range[1] / sd) : 0;
}

/* One value: how far out it is and how likely a perfect simulator is outside. */
static void take(trial *t, int row, int column, double over, double chance) {
  t->compared++;
  t->expected += chance;
  t->stay[column] *= 1 - chance;
  t->nout += !(over <= 1);
  t->over[row * t->c->ncolumn + column] = over;
}

static bool equal(double x, double mu) { return fabs(x - mu) <= EXACT * fmax(1, fabs(mu)); }

static void judge_mean(trial *t, int row, const quantity *q, const moments *m) {
  const double mu = expected(t, row, q->mean), n = t->n, s = sqrt(m->m2 / (n - 1));
  double sigma = q->sd >= 0 ? expected(t, row, q->sd) : s, z;
  if (sigma == 0) {
    take(t, row, q->mean, equal(m->mean, mu) ? 0 : INFINITY, 0);
    return;
  }
  const double about = m->m2 + n * (m->mean - mu) * (m->mean - mu); /* sum of squares about mu */
  const bool median = q->sd < 0 && !(m->far * m->far <= DOMINATED * about);
  z = median ? (0.5 * m->nbelow - 0.5 * n) / (0.5 * sqrt(n)) : sqrt(n) * (m->mean - mu) / sigma;
  take(t, row, q->mean, over_range(z, t->c->mean_range), outside(1, t->c->mean_range));
}

static void judge_sd(trial *t, int row, const quantity *q, const moments *m) {
  const double sigma = expected(t, row, q->sd), n = t->n, s2 = m->m2 / (n - 1);
  if (sigma == 0) {
    take(t, row, q->sd, equal(sqrt(s2), 0) ? 0 : INFINITY, 0);
    return;
  }
  const double y = sqrt(0.5 * n) * (s2 / (sigma * sigma) - 1), kurtosis = n * m->m4 / (m->m2 * m->m2);
  const double chance = isfinite(kurtosis) ? outside(sqrt(fmax(kurtosis - 1, 0) / 2), t->c->sd_range) : 0;
  take(t, row, q->sd, over_range(y, t->c->sd_range), chance);
}

static void judge_all(trial *t) {
  for (int i = 0; i < t->c->nrow; i++)
    for (int k = 0; k < t->nq; k++) {
      if (t->q[k].mean >= 0) judge_mean(t, i, &t->q[k], &t->m[i * t->nq + k]);
      if (t->q[k].sd >= 0) judge_sd(t, i, &t->q[k], &t->m[i * t->nq + k]);
    }
}

/* ---- runs ---- */

static dp_status run_members(const dp_sim *sim, const dpi_suite_case *c, const dp_output_time *when, int runs,
                             uint64_t seed, trial *t) {
  const int most = runs < CHUNK ? runs : CHUNK;
  dp_member *member = DPI_NEW_ARRAY(c->ctx, dp_member, most);
  if (!member) return DP_ERR_MEMORY;
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = seed;
  opts.deadline_s = TRY_SECONDS;
  dp_status status = DP_OK;
  for (int first = 0; first < runs && status == DP_OK; first += most) {
    const int n = runs - first < most ? runs - first : most;
    for (int i = 0; i < n; i++)
      member[i] = (dp_member){.param = dp_sim_describe(sim)->param_default,
                              .out = when,
                              .nout = c->nrow,
                              .start = when[0].time < 0 ? when[0].time : 0,
                              .stream = (uint64_t)(first + i)};
    status = dp_simulate_into(sim, member, n, &opts, gather, t);
  }
  dpi_free(c->ctx, member);
  if (status == DP_ERR_CANCELLED && !dp_ctx_cancelled(c->ctx)) {
    snprintf(t->reason, sizeof t->reason, "took longer than %g s", TRY_SECONDS);
    return DP_OK;
  }
  return status;
}

static dp_status trial_make(dpi_arena *arena, const dpi_suite_case *c, const quantity *q, int nq, trial *t) {
  *t = (trial){.c = c, .q = q, .nq = nq};
  t->m = DPI_ARENA_ARRAY(arena, moments, (size_t)c->nrow * (size_t)nq);
  t->over = DPI_ARENA_ARRAY(arena, double, (size_t)c->nrow *(size_t)c->ncolumn);
  t->stay = DPI_ARENA_ARRAY(arena, double, c->ncolumn);
  for (int k = 0; t->stay && k < c->ncolumn; k++) t->stay[k] = 1;
  return t->m && t->over && t->stay ? DP_OK : DP_ERR_MEMORY;
}

/* Value i of the table as judged by all tries: what was outside at first counts by its worst repeat. */
static double judged(const trial *t, int ntry, int i) {
  if (t[0].over[i] <= 1) return t[0].over[i];
  double again = 0;
  for (int k = 1; k < ntry; k++)
    if (!(t[k].over[i] <= again)) again = t[k].over[i];
  return again;
}

/* The largest deviation of a column in one try. */
static double farthest(const trial *t, int column) {
  double most = 0;
  for (int i = column; i < t->c->nrow * t->c->ncolumn; i += t->c->ncolumn)
    if (!(t->over[i] <= most)) most = t->over[i];
  return most;
}

/* Columns that left their range again in a repeat, at whatever time. */
static void count_again(const trial *t, int ntry, dp_sbml_case *r) {
  for (int k = 0; k < t->c->ncolumn; k++) {
    const double leaves = 1 - t->stay[k];
    bool again = false;
    for (int j = 1; j < ntry; j++) again = again || !(farthest(&t[j], k) <= 1);
    r->expected_again += leaves * (1 - (1 - leaves) * (1 - leaves));
    r->again += again && !(farthest(&t[0], k) <= 1);
  }
}

static void verdict(const trial *t, int ntry, dp_sbml_case *r) {
  const dpi_suite_case *c = t->c;
  int worst = 0;
  r->worst = 0;
  count_again(t, ntry, r);
  for (int i = 0; i < c->nrow * c->ncolumn; i++) {
    const double over = judged(t, ntry, i);
    if (over <= r->worst) continue;
    r->worst = over;
    worst = i;
  }
  if (r->worst <= 1) {
    dpi_suite_verdict(r, "pass", "%s", "");
    return;
  }
  dpi_suite_verdict(r, "fail", "%s at time %.9g: outside its range (%.3g of it), and again in a repeat (%.3g of it)",
                    c->column[worst % c->ncolumn], c->time[worst / c->ncolumn], t[0].over[worst], r->worst);
}

/* Every try has its own numbers; cases do not share them. */
static uint64_t seed_of(const dpi_suite_case *c, const dp_sbml_def *def, int try) {
  return dpi_rng_at(def->seed, dpi_hash64(c->id), PURPOSE, (uint64_t)try);
}

static dp_status run_tries(const dp_sim *sim, const dpi_suite_case *c, const dp_sbml_def *def,
                           const dp_output_time *when, const quantity *q, int nq, dpi_arena *arena, dp_sbml_case *r) {
  trial t[TRIES];
  int n = 0;
  do {
    DP_TRY(trial_make(arena, c, q, nq, &t[n]));
    DP_TRY(run_members(sim, c, when, def->runs, seed_of(c, def, n), &t[n]));
    if (t[n].reason[0]) {
      dpi_suite_verdict(r, "error", "%s", t[n].reason);
      return DP_OK;
    }
    judge_all(&t[n]);
    n++;
  } while (n < TRIES && t[0].nout > 0);
  r->excursions = t[0].nout;
  r->expected = t[0].expected;
  r->compared = t[0].compared;
  verdict(t, n, r);
  return DP_OK;
}

/* ---- what the columns are ---- */

static bool ends_with(const char *s, const char *end) {
  const size_t n = strlen(s), k = strlen(end);
  return n > k && strcmp(s + n - k, end) == 0;
}

static const char *signal_of(const dpi_suite_case *c, const dp_model *model, const char *name) {
  for (int i = 0, n = dp_model_nelement(model); i < n; i++) {
    dp_element e = dp_model_element(model, i);
    if (e.kind == DP_ELEMENT_SPECIES && strcmp(e.id, name) == 0) return dpi_suite_signal(c, name);
  }
  return name;
}

static dp_status read_columns(const dpi_suite_case *c, const dp_model *model, dpi_arena *arena, quantity *q, int *nq) {
  *nq = 0;
  for (int k = 0; k < c->ncolumn; k++) {
    const bool mean = ends_with(c->column[k], "-mean"), sd = ends_with(c->column[k], "-sd");
    if (!mean && !sd)
      return dpi_fail(c->ctx, DP_ERR_INPUT, "%s: column '%s': expected NAME-mean or NAME-sd", c->id, c->column[k]);
    char *name = dpi_arena_strndup(arena, c->column[k], strlen(c->column[k]) - (mean ? 5 : 3));
    if (!name) return DP_ERR_MEMORY;
    int at = 0;
    while (at < *nq && strcmp(q[at].name, name) != 0) at++;
    if (at == *nq) {
      q[(*nq)++] = (quantity){.name = name, .mean = -1, .sd = -1};
      const size_t n = strlen(name);
      q[at].log = n > 4 && strncmp(name, "ln(", 3) == 0 && name[n - 1] == ')';
      const char *id = q[at].log ? dpi_arena_strndup(arena, name + 3, n - 4) : name;
      if (!id) return DP_ERR_MEMORY;
      q[at].signal = signal_of(c, model, id);
    }
    *(mean ? &q[at].mean : &q[at].sd) = k;
  }
  return DP_OK;
}

static dp_status check_ranges(const dpi_suite_case *c, const quantity *q, int nq) {
  for (int k = 0; k < nq; k++)
    if ((q[k].mean >= 0 && isnan(c->mean_range[0])) || (q[k].sd >= 0 && isnan(c->sd_range[0])))
      return dpi_fail(c->ctx, DP_ERR_INPUT, "%s: the settings give no range for '%s'", c->id, q[k].name);
  return DP_OK;
}

static dp_status output_times(const dpi_suite_case *c, dp_output_time *when) {
  for (int i = 0; i < c->nrow; i++) {
    const double t = c->time[i];
    if (!(fabs(t) <= LAST_TIME) || (i && !(t > c->time[i - 1])))
      return dpi_fail(c->ctx, DP_ERR_UNSUPPORTED, "%s: output time %g: times must ascend and be at most %g", c->id, t,
                      LAST_TIME);
    when[i] = (dp_output_time){(dp_time)llround(t * (double)DP_TICKS), INT32_MAX};
  }
  return DP_OK;
}

/* ---- one case ---- */

static dp_status run_model(const dpi_suite_case *c, const dp_sbml_def *def, dp_model *model, dpi_arena *arena,
                           dp_sbml_case *r) {
  quantity *q = DPI_ARENA_ARRAY(arena, quantity, c->ncolumn);
  dp_output_def *output = DPI_ARENA_ARRAY(arena, dp_output_def, c->ncolumn);
  dp_output_time *when = DPI_ARENA_ARRAY(arena, dp_output_time, c->nrow);
  int nq;
  if (!q || !output || !when) return DP_ERR_MEMORY;
  DP_TRY(read_columns(c, model, arena, q, &nq));
  DP_TRY(check_ranges(c, q, nq));
  DP_TRY(output_times(c, when));
  /* ids are only labels here: X and ln(X) may both be asked for */
  for (int k = 0; k < nq; k++) output[k] = (dp_output_def){.id = q[k].name, .formula = q[k].signal, .unit = ""};
  dp_sim_def sim_def = dp_sim_def_default();
  dp_sim *sim = NULL;
  sim_def.spoke = "stochastic";
  sim_def.model = model;
  sim_def.output = output;
  sim_def.noutput = nq;
  sim_def.method = def->method ? def->method : "direct";
  DP_TRY(dp_sim_create(c->ctx, &sim_def, &sim));
  const dp_status status = run_tries(sim, c, def, when, q, nq, arena, r);
  dp_sim_destroy(sim);
  return status;
}

static dp_status run_file(const dpi_suite_case *c, const dp_sbml_def *def, const dpi_suite_file *file,
                          dp_sbml_case *r) {
  dp_model *model = NULL;
  dpi_arena arena;
  dpi_arena_init(&arena, c->ctx);
  snprintf(r->level, sizeof r->level, "%.15s", file->level);
  dp_status status = dp_model_read(c->ctx, file->path, &model);
  if (status == DP_OK) status = dp_model_seal(model);
  if (status == DP_OK) status = run_model(c, def, model, &arena, r);
  dp_model_destroy(model);
  dpi_arena_release(&arena);
  return status;
}

/* dpi_judge_fn. All levels: the first that does not pass decides. */
static dp_status judge(dp_ctx *ctx, dpi_suite_case *c, const dp_sbml_def *def, dp_sbml_case *r) {
  dpi_suite_file file[DPI_SUITE_FILES];
  int nfile;
  DP_TRY(dpi_suite_files(c, file, &nfile));
  if (!c->timed || c->nrow < 1) return dpi_fail(ctx, DP_ERR_INPUT, "%s: a stochastic case needs output times", c->id);
  if (!def->all_levels) return run_file(c, def, &file[0], r);
  for (int i = 0; i < nfile; i++) {
    DP_TRY(run_file(c, def, &file[i], r));
    if (strcmp(r->status, "pass") != 0) return DP_OK;
  }
  snprintf(r->level, sizeof r->level, "all");
  return DP_OK;
}

/* One case after the other: its runs take the threads. */
dp_status dp_suite_sbml_stochastic(dp_ctx *ctx, const char *dir, const dp_sbml_def *def, dp_sbml_fn each, void *user) {
  if (def->runs < 2) return dpi_fail(ctx, DP_ERR_USAGE, "found %d runs, expected 2 or more", def->runs);
  return dpi_suite_run(ctx, dir, def, true, judge, each, user);
}
