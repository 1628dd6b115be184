/* nested.c - floor 6, folder filter: SMC2. Each particle of the parameters owns a particle filter of the states.
 *
 * Two islands. Moves leave a posterior as it is, but only if whether they are made does not hang on the particles
 * that they move: with a near thing, what is left unmoved is not what is moved. So each half of the particles is an
 * island of its own: it is resampled by itself, moves when the *other* one's particles say so (who_moves), with the
 * other one's moments, and as often as the other one needs. Islands meet only in the evidence, and where one has lost
 * nearly all weight.
 *
 * A filter's seed is a number of its own, so what it does depends on nothing but its particle and when it was made; the
 * particles' filters run on the workers. Moves are particle marginal Metropolis-Hastings (C. Andrieu, A. Doucet, R.
 * Holenstein, J. R. Stat. Soc. B 72 (2010) 269): a proposal's filter goes through all readings so far. When few
 * moves are
 * accepted, the filters get twice the particles (the exchange step of Chopin et al. 2013, section 3.6).
 */
#include <math.h>
#include <string.h>

#include "infer/filter/statics_impl.h"

#define ACCEPT_LEAST 0.15
#define SHARE_LEAST 0.02 /* of the weight: what an island has less of is filled from the other */

typedef struct job { /* filters to be made, or to be given readings */
  dpi_statics *s;
  const double *x; /* [n x dim] where they are made; NULL: they exist */
  dpi_filter **filter;
  int first, n;  /* readings to take */
  uint64_t seed; /* of the first one */
  double *value; /* [n] ln likelihood of all so far */
} job;

static dp_status make_filter(const job *j, int i) {
  dpi_statics *s = j->s;
  double *param = DPI_NEW_ARRAY(s->ctx, double, s->problem.process->nparam + 1);
  if (!param) return DP_ERR_MEMORY;
  dpi_statics_param(s, j->x + (size_t)i * (size_t)s->dim, param);
  dpi_filter_def def = dpi_filter_def_default();
  def.seed = dpi_rng_at(s->def.seed, j->seed + (uint64_t)i, DPI_RNG_FILTER_STATIC, 1);
  def.method = s->def.inner;
  def.n = s->ninner;
  def.param_one = param;
  def.ncheckpoint = 0;
  dp_status status = dpi_filter_create(&s->problem, &def, &j->filter[i]);
  dpi_free(s->ctx, param);
  return status;
}

static dp_status one(void *user, int i, int worker) {
  (void)worker;
  const job *j = user;
  if (j->x && j->s->out[i]) { /* outside the prior: nobody is going to ask */
    j->value[i] = -INFINITY;
    return DP_OK;
  }
  if (j->x) DP_TRY(make_filter(j, i));
  DP_TRY(dpi_filter_read(j->filter[i], j->s->reading + j->first, j->n));
  j->value[i] = j->filter[i]->now->evidence;
  return DP_OK;
}

static dp_status all(const job *j) {
  dpi_statics *s = j->s;
  if (s->problem.process->threads) return dpi_parallel_for(s->ctx, s->n, one, (void *)j);
  for (int i = 0; i < s->n; i++) DP_TRY(one((void *)j, i, 0));
  return DP_OK;
}

static void close_all(dpi_statics *s, dpi_filter **filter) {
  for (int i = 0; filter && i < s->n; i++) {
    dpi_filter_destroy(filter[i]);
    filter[i] = NULL;
  }
}

void dpi_nested_release(dpi_statics *s) {
  close_all(s, s->inner);
  close_all(s, s->next_inner);
}

/* Filters at x through the readings so far, into next_inner and value. */
static dp_status make_all(dpi_statics *s, const double *x, int nread, double *value) {
  job j = {.s = s, .x = x, .filter = s->next_inner, .n = nread, .seed = s->count, .value = value};
  s->count += (uint64_t)s->n;
  for (int i = 0; i < s->n; i++) s->report.nrun += s->out[i] ? 0 : s->ninner;
  dp_status status = all(&j);
  if (status != DP_OK) close_all(s, s->next_inner);
  return status;
}

/* Each particle gets a filter of its own: a copy with new streams where several came from one. Islands that do not move
 * keep theirs. */
static dp_status share_filters(dpi_statics *s, const bool *move) {
  for (int i = 0; i < s->n; i++) {
    if (move[i >= s->n / 2]) {
      const uint64_t seed = dpi_rng_at(s->def.seed, s->count++, DPI_RNG_FILTER_STATIC, 2);
      DP_TRY(dpi_filter_fork_as(s->inner[s->index[i]], seed, &s->next_inner[i]));
      continue;
    }
    s->next_inner[i] = s->inner[i];
    s->inner[i] = NULL; /* nobody else has it as ancestor */
  }
  close_all(s, s->inner);
  dpi_filter **inner = s->inner;
  s->inner = s->next_inner;
  s->next_inner = inner;
  memcpy(s->next_past, s->past, (size_t)s->n * sizeof(double));
  for (int i = 0; i < s->n; i++) s->past[i] = s->next_past[s->index[i]];
  return DP_OK;
}

static dp_status sweep(dpi_statics *s, int nread, uint64_t key, int k, const bool *move) {
  size_t d = (size_t)s->dim;
  int naccept = 0, nmove = 0;
  dpi_statics_propose(s, key, k);
  for (int i = 0; i < s->n; i++) {
    s->out[i] = s->out[i] || !move[i >= s->n / 2];
    nmove += move[i >= s->n / 2];
  }
  DP_TRY(make_all(s, s->next_x, nread, s->next_past));
  for (int i = 0; i < s->n; i++) {
    double change = s->next_prior[i] + s->next_past[i] - s->logprior[i] - s->past[i] + s->ratio[i];
    if (!isfinite(s->next_past[i]) || !dpi_statics_accept(s, key, k, i, change)) continue;
    naccept++;
    memcpy(s->x + (size_t)i * d, s->next_x + (size_t)i * d, d * sizeof(double));
    s->logprior[i] = s->next_prior[i];
    s->past[i] = s->next_past[i];
    dpi_filter *f = s->inner[i];
    s->inner[i] = s->next_inner[i];
    s->next_inner[i] = f;
  }
  close_all(s, s->next_inner);
  s->report.accept = (double)naccept / nmove;
  s->report.nsweep++;
  return DP_OK;
}

/* weight := weight x exp(by), normalised; gives ln of the sum. */
static double reweigh(dpi_statics *s, const double *by) {
  double top = -INFINITY, sum = 0;
  for (int i = 0; i < s->n; i++)
    if (s->weight[i] > 0) top = fmax(top, by[i]);
  if (!isfinite(top)) return -INFINITY;
  for (int i = 0; i < s->n; i++) sum += s->weight[i] > 0 ? s->weight[i] * dpi_m_exp(by[i] - top) : 0;
  for (int i = 0; i < s->n; i++) s->weight[i] = s->weight[i] > 0 ? s->weight[i] * dpi_m_exp(by[i] - top) / sum : 0;
  return top + dpi_m_log(sum);
}

/* Twice the particles in each filter, weights corrected by the new estimates over the old ones. */
static dp_status exchange(dpi_statics *s, int nread) {
  s->ninner *= 2;
  memset(s->out, 0, (size_t)s->n);
  DP_TRY(make_all(s, s->x, nread, s->next_past));
  for (int i = 0; i < s->n; i++) s->ratio[i] = isfinite(s->next_past[i]) ? s->next_past[i] - s->past[i] : -INFINITY;
  if (reweigh(s, s->ratio) == -INFINITY) s->lost = true;
  memcpy(s->past, s->next_past, (size_t)s->n * sizeof(double));
  dpi_filter **inner = s->inner;
  s->inner = s->next_inner;
  s->next_inner = inner;
  close_all(s, s->next_inner);
  return DP_OK;
}

/* An island moves where, since it did so last, the effective share of the other one has fallen below def.ess:
 * the share now, times what it fell by before the other one was resampled. So both move at much the same times, and
 * neither by its own weights. */
static bool who_moves(dpi_statics *s, bool *move) {
  double share[2], after[2];
  const int half = s->n / 2, size[2] = {half, s->n - half};
  for (int h = 0; h < 2; h++) share[h] = dpi_statics_island_ess(s, h, NULL) / size[h];
  for (int h = 0; h < 2; h++) {
    move[h] = s->fallen[h] * share[1 - h] < s->def.ess;
    after[h] = move[h] ? 1 : share[h];
  }
  for (int h = 0; h < 2; h++) s->fallen[h] = (move[h] ? 1 : s->fallen[h] * share[1 - h]) / after[1 - h];
  return move[0] || move[1];
}

/* Which islands go on: while the other one's particles still correlate with where they were; one alone goes by its
 * own. */
static void go_on(dpi_statics *s, const bool *move, int k, bool *again) {
  double left[2] = {0, 0};
  for (int h = 0; h < 2; h++)
    if (move[h]) left[h] = dpi_statics_island_correlation(s, h);
  s->report.correlation = fmax(left[0], left[1]);
  for (int h = 0; h < 2; h++)
    again[h] = again[h] && (k < 1 || !(left[move[1 - h] ? 1 - h : h] < s->def.correlation));
}

static dp_status rejuvenate(dpi_statics *s, int nread, const bool *move) {
  uint64_t key = s->count++;
  bool again[2] = {move[0], move[1]};
  double share = 0;
  dpi_statics_island_ess(s, 0, &share);
  if (fmin(share, 1 - share) < SHARE_LEAST) {
    again[0] = again[1] = true;
    s->fallen[0] = s->fallen[1] = 1;
    dpi_statics_resample(s, key);
  } else {
    dpi_statics_resample_islands(s, key, move);
  }
  const bool moved[2] = {again[0], again[1]};
  DP_TRY(share_filters(s, moved));
  for (int k = 0; k < s->def.max_move && (again[0] || again[1]); k++) {
    DP_TRY(sweep(s, nread, key, k, again));
    go_on(s, moved, k, again);
  }
  dpi_statics_moved(s);
  if (s->report.accept < ACCEPT_LEAST && 2 * s->ninner <= s->def.ninner_most) return exchange(s, nread);
  return DP_OK;
}

dp_status dpi_nested_begin(dpi_statics *s, int nread) {
  if (s->inner[0]) return DP_OK;
  memset(s->out, 0, (size_t)s->n);
  DP_TRY(make_all(s, s->x, nread, s->past));
  dpi_filter **inner = s->inner;
  s->inner = s->next_inner;
  s->next_inner = inner;
  return DP_OK;
}

dp_status dpi_nested_step(dpi_statics *s, int first, int n, double *gained) {
  DP_TRY(dpi_nested_begin(s, 0));
  job j = {.s = s, .filter = s->inner, .first = first, .n = n, .value = s->next_past};
  DP_TRY(all(&j));
  for (int i = 0; i < s->n; i++) s->last[i] = isfinite(s->next_past[i]) ? s->next_past[i] - s->past[i] : -INFINITY;
  memcpy(s->past, s->next_past, (size_t)s->n * sizeof(double));
  *gained = reweigh(s, s->last);
  if (*gained == -INFINITY) {
    s->lost = true;
    return DP_OK;
  }
  s->report.ess_least = fmin(s->report.ess_least, dpi_ess(s->weight, s->n));
  bool move[2];
  return who_moves(s, move) ? rejuvenate(s, first + n, move) : DP_OK;
}
