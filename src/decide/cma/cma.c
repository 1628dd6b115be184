/* cma.c - floor 6: CMA-ES, an evolution strategy that learns the covariance of good steps.
 *
 * (mu/mu_w, lambda)-CMA-ES with cumulative step-size adaptation, rank-one and rank-mu updates, equations and default
 * constants of
 * N. Hansen, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772 (2016), sections B and C, weights positive only.
 * Each generation
 * is one batch through the waist. Points outside [0, 1]^n are folded back as between mirrors. When a run has converged,
 * another begins
 * elsewhere with twice as many points (Auger & Hansen 2005), while plans are left to rehearse. */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

enum { MAX_VAR = 200, STALL = 12, PATIENCE = 40 };

typedef struct cma {
  int n, lambda, mu;
  double *weight; /* [lambda] of ranks, the first mu positive */
  double mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi;
  double sigma;
  double *mean, *p_sigma, *p_c; /* [n] */
  double *c, *b, *d;            /* covariance, its eigenvectors (columns), roots of its eigenvalues */
  double *z, *y, *u;            /* [lambda x n] standard normal, steps, points */
  double *work;                 /* [3 n] */
  double *reward, *miss;        /* [lambda] */
  int *rank;                    /* [lambda] best first */
  int generation;
  dpi_rng rng;
} cma;

static void constants(cma *m) {
  double n = m->n, sum = 0, sum2 = 0;
  m->mu = m->lambda / 2;
  for (int i = 0; i < m->mu; i++) {
    m->weight[i] = dpi_m_log(0.5 * (m->lambda + 1)) - dpi_m_log(i + 1.0);
    sum += m->weight[i];
  }
  for (int i = 0; i < m->mu; i++) {
    m->weight[i] /= sum;
    sum2 += m->weight[i] * m->weight[i];
  }
  m->mu_eff = 1 / sum2;
  m->c_sigma = (m->mu_eff + 2) / (n + m->mu_eff + 5);
  m->d_sigma = 1 + 2 * fmax(0, sqrt((m->mu_eff - 1) / (n + 1)) - 1) + m->c_sigma;
  m->c_c = (4 + m->mu_eff / n) / (n + 4 + 2 * m->mu_eff / n);
  m->c_1 = 2 / ((n + 1.3) * (n + 1.3) + m->mu_eff);
  m->c_mu = fmin(1 - m->c_1, 2 * (m->mu_eff - 2 + 1 / m->mu_eff) / ((n + 2) * (n + 2) + m->mu_eff));
  m->chi = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
}

/* A new run: from the middle first, from anywhere later. */
static void begin(cma *m, bool first) {
  int n = m->n;
  for (int i = 0; i < n; i++) m->mean[i] = first ? 0.5 : dpi_rng_uniform(&m->rng);
  memset(m->p_sigma, 0, sizeof(double) * (size_t)n);
  memset(m->p_c, 0, sizeof(double) * (size_t)n);
  memset(m->c, 0, sizeof(double) * (size_t)n * (size_t)n);
  for (int i = 0; i < n; i++) m->c[i * n + i] = 1;
  m->sigma = 0.3;
  m->generation = 0;
  constants(m);
}

/* y = B D z */
static void sample(cma *m) {
  int n = m->n;
  for (int k = 0; k < m->lambda; k++) {
    double *z = m->z + (size_t)k * (size_t)n, *y = m->y + (size_t)k * (size_t)n, *u = m->u + (size_t)k * (size_t)n;
    for (int i = 0; i < n; i++) z[i] = dpi_rng_normal(&m->rng);
    for (int i = 0; i < n; i++) {
      y[i] = 0;
      for (int j = 0; j < n; j++) y[i] += m->b[i * n + j] * m->d[j] * z[j];
      u[i] = dpi_search_fold(m->mean[i] + m->sigma * y[i]);
    }
  }
}

static void rank_all(cma *m) {
  for (int i = 0; i < m->lambda; i++) m->rank[i] = i;
  for (int i = 1; i < m->lambda; i++)
    for (int j = i; j > 0; j--) {
      int a = m->rank[j], b = m->rank[j - 1];
      if (!dpi_search_better(m->miss[a], m->reward[a], m->miss[b], m->reward[b])) break;
      m->rank[j] = b;
      m->rank[j - 1] = a;
    }
}

/* C from the paths and the mu best steps. */
static void update_covariance(cma *m, double h) {
  int n = m->n;
  double keep = 1 - m->c_1 - m->c_mu + (1 - h) * m->c_1 * m->c_c * (2 - m->c_c);
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++) {
      double sum = 0;
      for (int k = 0; k < m->mu; k++) {
        const double *y = m->y + (size_t)m->rank[k] * (size_t)n;
        sum += m->weight[k] * y[i] * y[j];
      }
      double c = keep * m->c[i * n + j] + m->c_1 * m->p_c[i] * m->p_c[j] + m->c_mu * sum;
      m->c[i * n + j] = m->c[j * n + i] = c;
    }
}

/* Mean, paths, covariance, step size from the ranked generation. */
static void update(cma *m) {
  int n = m->n;
  double *step = m->work, *white = m->work + n, norm = 0;
  for (int i = 0; i < n; i++) {
    step[i] = 0;
    for (int k = 0; k < m->mu; k++) step[i] += m->weight[k] * m->y[(size_t)m->rank[k] * (size_t)n + (size_t)i];
    m->mean[i] = dpi_search_fold(m->mean[i] + m->sigma * step[i]);
  }
  for (int j = 0; j < n; j++) { /* D^-1 B' step */
    white[j] = 0;
    for (int i = 0; i < n; i++) white[j] += m->b[i * n + j] * step[i];
    white[j] /= m->d[j];
  }
  double rate = sqrt(m->c_sigma * (2 - m->c_sigma) * m->mu_eff);
  for (int i = 0; i < n; i++) {
    double w = 0;
    for (int j = 0; j < n; j++) w += m->b[i * n + j] * white[j];
    m->p_sigma[i] = (1 - m->c_sigma) * m->p_sigma[i] + rate * w;
    norm += m->p_sigma[i] * m->p_sigma[i];
  }
  norm = sqrt(norm);
  double grown = 1 - dpi_m_pow(1 - m->c_sigma, 2.0 * (m->generation + 1));
  double h = norm / sqrt(grown) < (1.4 + 2.0 / (n + 1)) * m->chi ? 1 : 0;
  rate = h * sqrt(m->c_c * (2 - m->c_c) * m->mu_eff);
  for (int i = 0; i < n; i++) m->p_c[i] = (1 - m->c_c) * m->p_c[i] + rate * step[i];
  update_covariance(m, h);
  m->sigma *= dpi_m_exp(m->c_sigma / m->d_sigma * (norm / m->chi - 1));
  m->generation++;
}

/* B and D of C. */
static void decompose(cma *m) {
  dpi_sym_eig(m->c, m->n, m->d, m->b);
  for (int i = 0; i < m->n; i++) m->d[i] = sqrt(fmax(m->d[i], 1e-20));
}

/* Are steps too small to tell points apart? */
static bool converged(const cma *m) {
  double most = 0;
  for (int i = 0; i < m->n; i++) most = fmax(most, m->d[i]);
  return m->sigma * most < 1e-9 || m->sigma > 1e3;
}

/* One run to its end. *idle counts generations in a row that met no new plan. */
static dp_status run_once(dpi_search *s, cma *m, int *idle) {
  int same = 0;
  double best_miss = INFINITY, best_reward = -INFINITY;
  while (s->nseen < s->budget && *idle < PATIENCE) {
    int before = s->nseen;
    decompose(m);
    if (converged(m)) break;
    sample(m);
    DP_TRY(dpi_search_score(s, m->u, m->lambda, m->reward, m->miss));
    rank_all(m);
    int top = m->rank[0];
    double gain = m->miss[top] == best_miss ? m->reward[top] - best_reward : INFINITY;
    bool better = dpi_search_better(m->miss[top], m->reward[top], best_miss, best_reward);
    same = better && gain > 1e-14 * fabs(best_reward) ? 0 : same + 1;
    if (better) best_miss = m->miss[top], best_reward = m->reward[top];
    *idle = s->nseen > before ? 0 : *idle + 1;
    if (same > STALL + 10 * m->n) break;
    update(m);
  }
  return DP_OK;
}

static dp_status make_room(dpi_search *s, cma *m, int most) {
  dp_ctx *ctx = s->kind->ctx;
  size_t n = (size_t)m->n, l = (size_t)most;
  m->weight = DPI_NEW_ARRAY(ctx, double, l + 1);
  m->mean = DPI_NEW_ARRAY(ctx, double, 6 * n + 2 * n * n + 3 * l * n + 2 * l + 1);
  m->rank = DPI_NEW_ARRAY(ctx, int, l + 1);
  if (!m->weight || !m->mean || !m->rank) return DP_ERR_MEMORY;
  m->p_sigma = m->mean + n;
  m->p_c = m->p_sigma + n;
  m->d = m->p_c + n;
  m->work = m->d + n;
  m->c = m->work + 2 * n;
  m->b = m->c + n * n;
  m->z = m->b + n * n;
  m->y = m->z + l * n;
  m->u = m->y + l * n;
  m->reward = m->u + l * n;
  m->miss = m->reward + l;
  return DP_OK;
}

static dp_status cma_run(dpi_search *s) {
  int first = 4 + (int)floor(3 * dpi_m_log((double)s->space->nvar)), most = 16 * first, idle = 0;
  cma m = {.n = s->space->nvar, .rng = dpi_rng_make(s->seed, 0, DPI_PURPOSE_CMA)};
  dp_status status = make_room(s, &m, most);
  for (m.lambda = first; status == DP_OK && m.lambda <= most && s->nseen < s->budget && idle < PATIENCE;
       m.lambda *= 2) {
    begin(&m, m.lambda == first);
    status = run_once(s, &m, &idle);
  }
  dpi_free(s->kind->ctx, m.weight);
  dpi_free(s->kind->ctx, m.mean);
  dpi_free(s->kind->ctx, m.rank);
  return status;
}

static dp_status cma_offered(const dp_kind *kind, const dpi_space *space) {
  if (space->nvar <= MAX_VAR) return DP_OK;
  return dpi_fail(kind->ctx, DP_ERR_UNSUPPORTED, "%s: search cma: %d variables, at most %d", kind->dir, space->nvar,
                  MAX_VAR);
}

const dpi_search_ops dp_search_cma = {
    .name = "cma",
    .help = "CMA-ES: continuous and discrete doses, any reward, limits",
    .offered = cma_offered,
    .run = cma_run,
};
