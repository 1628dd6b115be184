/* nested.c - floor 6, folder filter: SMC2. Each particle of the parameters owns a particle filter of the states.
 *
 * A filter's seed is a number of its own, so what it does depends on nothing but its particle and when it was made; the
 * particles' filters run on the workers. Moves are particle marginal Metropolis-Hastings (C. Andrieu, A. Doucet, R.
 * Holenstein, J. R. Stat. Soc. B 72 (2010) 269): a proposal's filter goes through all readings so far. When few
 * moves are
 * accepted, the filters get twice the particles (the exchange step of Chopin et al. 2013, section 3.6).
 *
 * Moves leave the posterior as it is, whenever they are made; but not if the particles themselves decide when. "Few are
 * effective" and what the particles say of any mean go together, so that those that are moved and those that are left are
 * not alike; and where it is a near thing that error falls with the root of their number only. So a pilot decides: fewer
 * particles, on their own from the prior on, whose answer is not used. What it decides is independent of the others.
 */
#include <math.h>
#include <string.h>

#include "infer/filter/statics_impl.h"

#define ACCEPT_LEAST 0.15
#define ESS_LEAST 0.1 /* below this share the particles don't wait for the pilot */

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
  s->report.nrun += (long)s->n * s->ninner;
  dp_status status = all(&j);
  if (status != DP_OK) close_all(s, s->next_inner);
  return status;
}

/* Each particle gets a filter of its own: a copy with new streams where several came from one. */
static dp_status share_filters(dpi_statics *s) {
  for (int i = 0; i < s->n; i++)
    DP_TRY(dpi_filter_fork_as(s->inner[s->index[i]], dpi_rng_at(s->def.seed, s->count++, DPI_RNG_FILTER_STATIC, 2),
                              &s->next_inner[i]));
  close_all(s, s->inner);
  dpi_filter **inner = s->inner;
  s->inner = s->next_inner;
  s->next_inner = inner;
  memcpy(s->next_past, s->past, (size_t)s->n * sizeof(double));
  for (int i = 0; i < s->n; i++) s->past[i] = s->next_past[s->index[i]];
  return DP_OK;
}

static dp_status sweep(dpi_statics *s, int nread, uint64_t key, int k) {
  size_t d = (size_t)s->dim;
  int naccept = 0;
  dpi_statics_propose(s, key, k);
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
  s->report.accept = (double)naccept / s->n;
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

/* The pilot, where it has decided that all move now; or NULL. */
static const dpi_statics *decided(const dpi_statics *s) {
  return s->pilot && !s->pilot->lost && s->pilot->moves > 0 ? s->pilot : NULL;
}

static dp_status rejuvenate(dpi_statics *s, int nread) {
  const dpi_statics *pilot = decided(s);
  uint64_t key = s->count++;
  dpi_statics_resample(s, key);
  DP_TRY(share_filters(s));
  for (int k = 0; k < (pilot ? pilot->moves : s->def.max_move); k++) {
    DP_TRY(sweep(s, nread, key, k));
    s->moves++;
    s->report.correlation = dpi_statics_correlation(s);
    if (!pilot && k >= 1 && s->report.correlation < s->def.correlation) break;
  }
  dpi_statics_moved(s);
  s->grown = (pilot ? pilot->grown : s->report.accept < ACCEPT_LEAST) && 2 * s->ninner <= s->def.ninner_most;
  return s->grown ? exchange(s, nread) : DP_OK;
}

static bool few_left(const dpi_statics *s, double ess) {
  if (!s->pilot || s->pilot->lost) return ess < s->def.ess * s->n;
  return decided(s) || ess < ESS_LEAST * s->n;
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
  s->moves = 0;
  s->grown = false;
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
  double ess = dpi_ess(s->weight, s->n);
  s->report.ess_least = fmin(s->report.ess_least, ess);
  return few_left(s, ess) ? rejuvenate(s, first + n) : DP_OK;
}
