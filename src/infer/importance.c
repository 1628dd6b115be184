/* importance.c - weighted draws from an unnormalised density by mixture importance sampling, adapted when needed.
 *
 * Proposals are mixtures of multivariate t; round 1 uses the caller's components (modes with their curvature). Weights
 * are smoothed by PSIS, whose k-hat judges them (Vehtari et al. 2024, JMLR 25: above 0.7 they are not to be trusted).
 * When k-hat or the effective sample size is bad, the mixture gets one more component, moment-matched to the weighted
 * draws, and another round is drawn; all rounds together are weighted by the deterministic mixture of all proposals
 * (adaptive multiple importance sampling, Cornuet et al. 2012, Scand J Stat 39:798).
 *
 * Draw number k of a round has its own stream, so draws never depend on how many are made or by whom.
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

#define ESS_WANTED 0.10 /* of the draws of one round */
#define KHAT_GOOD 0.7

typedef struct proposal { /* the mixture of one round */
  int n;
  dpi_component *c;
  double *logdet; /* ln |L| */
} proposal;

typedef struct sampler {
  const dpi_importance_def *def;
  dpi_arena *arena;
  int ncap;
  proposal round[8];
  double *x, *logp, *logw, *w, *work;
  int *order;
} sampler;

static dp_status sampler_init(sampler *s, dpi_arena *arena, const dpi_importance_def *def) {
  memset(s, 0, sizeof *s);
  s->def = def;
  s->arena = arena;
  s->ncap = def->nproposal * def->max_round;
  size_t n = (size_t)s->ncap;
  s->x = DPI_ARENA_ARRAY(arena, double, n *(size_t)def->dim + 1);
  s->logp = DPI_ARENA_ARRAY(arena, double, n + 1);
  s->logw = DPI_ARENA_ARRAY(arena, double, n + 1);
  s->w = DPI_ARENA_ARRAY(arena, double, n + 1);
  s->work = DPI_ARENA_ARRAY(arena, double, 2 * n + 1);
  s->order = DPI_ARENA_ARRAY(arena, int, n + 1);
  return s->x && s->logp && s->logw && s->w && s->work && s->order ? DP_OK : DP_ERR_MEMORY;
}

/* Copy components, weights normalised; ln|L| of each. */
static dp_status proposal_make(sampler *s, proposal *p, const dpi_component *c, int n) {
  double sum = 0;
  p->n = n;
  p->c = DPI_ARENA_ARRAY(s->arena, dpi_component, (size_t)n);
  p->logdet = DPI_ARENA_ARRAY(s->arena, double, (size_t)n);
  if (!p->c || !p->logdet) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) sum += c[k].weight;
  for (int k = 0; k < n; k++) {
    p->c[k] = c[k];
    p->c[k].weight /= sum;
    for (int a = 0; a < s->def->dim; a++) p->logdet[k] += dpi_m_log(c[k].chol[a * s->def->dim + a]);
  }
  return DP_OK;
}

static double proposal_logpdf(const sampler *s, const proposal *p, const double *x) {
  int n = s->def->dim;
  double term[64], best = -INFINITY, sum = 0, d[65];
  for (int k = 0; k < p->n; k++) {
    double m2 = 0;
    for (int a = 0; a < n; a++) d[a] = x[a] - p->c[k].mean[a];
    dpi_tri_solve_lower(p->c[k].chol, n, d);
    for (int a = 0; a < n; a++) m2 += d[a] * d[a];
    term[k] = dpi_m_log(p->c[k].weight) + dpi_t_logpdf(m2, n, s->def->dof) - p->logdet[k];
    if (term[k] > best) best = term[k];
  }
  for (int k = 0; k < p->n; k++) sum += dpi_m_exp(term[k] - best);
  return best + dpi_m_log(sum);
}

/* chi-squared variate with integer degrees of freedom */
static double chi2_draw(dpi_rng *rng, int dof) {
  double s = 0;
  for (int i = 0; i < dof; i++) {
    double z = dpi_rng_normal(rng);
    s += z * z;
  }
  return s;
}

/* One round of draws; the component of draw k is stratified: (k + u)/n picks it. */
static void draw_round(sampler *s, int r) {
  const dpi_importance_def *def = s->def;
  const proposal *p = &s->round[r];
  int n = def->dim, dof = (int)def->dof;
  double z[65];
  for (int k = 0; k < def->nproposal; k++) {
    dpi_rng rng = dpi_rng_make(def->seed, def->stream, DPI_RNG_PROPOSAL + (uint32_t)r);
    rng.counter = (uint64_t)k << 16;
    double u = (k + dpi_rng_uniform(&rng)) / def->nproposal;
    int c = 0;
    while (c < p->n - 1 && u > p->c[c].weight) u -= p->c[c++].weight;
    for (int a = 0; a < n; a++) z[a] = dpi_rng_normal(&rng);
    double scale = sqrt(dof / chi2_draw(&rng, dof));
    double *x = s->x + ((size_t)r * def->nproposal + (size_t)k) * n;
    dpi_tri_mul_lower(p->c[c].chol, n, z, x);
    for (int a = 0; a < n; a++) x[a] = p->c[c].mean[a] + scale * x[a];
  }
}

/* With few possible draws the smoothed tail reaches impossible ones and would give them weight: take it back. */
static void drop_impossible(sampler *s, int n) {
  double taken = 0;
  for (int i = 0; i < n; i++)
    if (s->logw[i] == -INFINITY && s->w[i] > 0) {
      taken += s->w[i];
      s->w[i] = 0;
    }
  for (int i = 0; taken > 0 && taken < 1 && i < n; i++) s->w[i] /= 1 - taken;
}

/* What the weights know about a component's variance: sum w^2 (d^2 - v)^2 is its estimate's own variance, which for n normal draws
 * is 2 v^2 / n. Weights that are harmless to means may sit on few far draws that make up a variance. */
static double spread_ess(const sampler *s, int n) {
  int dim = s->def->dim;
  double least = INFINITY;
  for (int a = 0; a < dim; a++) {
    double mean = 0, v = 0, e = 0;
    for (int i = 0; i < n; i++)
      if (s->w[i] > 0) mean += s->w[i] * s->x[(size_t)i * (size_t)dim + (size_t)a];
    for (int i = 0; i < n; i++) {
      double d = s->x[(size_t)i * (size_t)dim + (size_t)a] - mean;
      if (s->w[i] > 0) v += s->w[i] * d * d;
    }
    for (int i = 0; i < n; i++) {
      double d = s->x[(size_t)i * (size_t)dim + (size_t)a] - mean, q = s->w[i] * (d * d - v);
      if (s->w[i] > 0) e += q * q;
    }
    least = fmin(least, e > 0 ? 2 * v * v / e : n);
  }
  return dim > 0 ? least : n;
}

/* Weights of all draws of rounds 0..r under the mixture of all their proposals; smoothed; diagnostics. */
static void weigh(sampler *s, int r, dpi_importance *out) {
  const dpi_importance_def *def = s->def;
  int n = (r + 1) * def->nproposal;
  double best = -INFINITY, sum = 0;
  for (int i = 0; i < n; i++) {
    double q = 0, term[8], top = -INFINITY;
    const double *x = s->x + (size_t)i * def->dim;
    for (int k = 0; k <= r; k++) {
      term[k] = proposal_logpdf(s, &s->round[k], x);
      top = fmax(top, term[k]);
    }
    for (int k = 0; k <= r; k++) q += dpi_m_exp(term[k] - top);
    s->logw[i] = s->logp[i] - (top + dpi_m_log(q / (r + 1)));
    best = fmax(best, s->logw[i]);
  }
  for (int i = 0; i < n; i++) sum += dpi_m_exp(s->logw[i] - best);
  out->evidence = best + dpi_m_log(sum / n);
  memcpy(s->w, s->logw, sizeof(double) * (size_t)n);
  out->khat = dpi_psis(s->w, n, s->work, s->order);
  drop_impossible(s, n);
  out->ess = dpi_ess(s->w, n);
  out->ess_spread = def->spread ? spread_ess(s, n) : NAN;
  out->n = n;
  out->nround = r + 1;
  out->x = s->x;
  out->weight = s->w;
  out->good = out->khat <= KHAT_GOOD && out->ess >= ESS_WANTED * def->nproposal && isfinite(best);
  if (def->spread && !(out->ess_spread >= ESS_WANTED * def->nproposal)) out->good = false;
}

/* The next mixture: the last one at half weight and a component with the moments of the weighted draws. */
static dp_status adapt(sampler *s, int r, const dpi_importance *now) {
  int n = s->def->dim, nc = s->round[r].n + 1 > 60 ? 60 : s->round[r].n + 1;
  dpi_component *c = DPI_ARENA_ARRAY(s->arena, dpi_component, (size_t)nc);
  double *mean = DPI_ARENA_ARRAY(s->arena, double, (size_t)n + 1);
  double *cov = DPI_ARENA_ARRAY(s->arena, double, (size_t)n *(size_t)n + 1);
  if (!c || !mean || !cov) return DP_ERR_MEMORY;
  for (int i = 0; i < now->n; i++)
    for (int a = 0; a < n; a++) mean[a] += now->weight[i] * now->x[(size_t)i * n + a];
  for (int i = 0; i < now->n; i++) {
    const double *x = now->x + (size_t)i * n;
    for (int a = 0; a < n; a++)
      for (int b = 0; b <= a; b++)
        cov[a * n + b] += now->weight[i] * (x[a] - mean[a]) * (x[b] - mean[b]);
  }
  memcpy(c, s->round[r].c, sizeof *c * (size_t)(nc - 1));
  for (int k = 0; k < nc - 1; k++) c[k].weight *= 0.5;
  for (int a = 0; a < n; a++) cov[a * n + a] *= 1 + 1e-6;
  if (!dpi_chol(cov, n)) {
    /* too few distinct draws carry weight: widen what there is */
    const double *l = s->round[r].c[0].chol;
    for (int k = 0; k < n * n; k++) cov[k] = 2 * l[k];
  }
  for (int a = 0; a < n; a++)
    for (int b = a + 1; b < n; b++) cov[a * n + b] = 0;
  c[nc - 1] = (dpi_component){0.5, mean, cov};
  return proposal_make(s, &s->round[r + 1], c, nc);
}

dp_status dpi_importance_run(dpi_arena *arena, const dpi_importance_def *def, dpi_importance *out) {
  sampler s;
  memset(out, 0, sizeof *out);
  DP_TRY(sampler_init(&s, arena, def));
  DP_TRY(proposal_make(&s, &s.round[0], def->component, def->ncomponent));
  for (int r = 0; r < def->max_round; r++) {
    size_t first = (size_t)r * (size_t)def->nproposal;
    draw_round(&s, r);
    DP_TRY(def->target(def->user, s.x + first * (size_t)def->dim, def->nproposal, s.logp + first));
    weigh(&s, r, out);
    if ((out->good && out->ess >= def->ess) || r + 1 == def->max_round) break;
    DP_TRY(adapt(&s, r, out));
  }
  return DP_OK;
}

void dpi_resample(const double *weight, int n, double u, int m, int *index) {
  double sum = 0, total = 0;
  for (int i = 0; i < n; i++) total += weight[i];
  for (int i = 0, k = 0; i < n && k < m; i++) {
    sum += weight[i];
    bool last = i == n - 1;
    while (k < m && (last || (k + u) * total < sum * m)) index[k++] = i;
  }
}
