/* quadrature.c - the population's likelihood by adaptive Gauss-Hermite quadrature, exact as the number of nodes grows.
 *
 *     p(y) = integral p(y | x) N(x; 0, Omega) dx ~ sum_j exp(logw_j - l(x_j)/2)
 *     x_j = x* + sqrt(2) W z_j,  W W' = H^-1
 * with x* a person's mode, H the Hessian there and z_j the tensor grid of Gauss-Hermite nodes (Liu & Pierce 1994,
 * Biometrika 81:624; Pinheiro & Bates 1995, J Comp Graph Stat 4:12). One node in each direction is Laplace's
 * approximation.
 *
 * Once laid, nodes stay where they are *in the individual parameters*: when theta moves a typical value, the effects of
 * a node move the other way. So what the model says at a node stands for all theta that only shift, spread or scale the
 * error, and a fit needs simulations only when nodes are laid or other parameters move. At fixed nodes the objective is
 * a smooth function with an exact gradient; the fit lays the nodes anew at its end until nothing changes.
 *
 *   typical value, shift along d:   sum_j r_j (-2 d'P x_j)            r_j: share of node j, P = Omega^-1
 *   entry of Omega, E = dOmega:     tr(P E) - sum_j r_j x_j'P E P x_j
 *   error parameter that scales s:  sum_j r_j (2 n - 2 sum z^2)   (censored: 2 h(u) u, u = +-z, h the normal hazard)
 *   anything else:                  sum_j r_j times a central difference of the data part
 */
#include <math.h>
#include <string.h>

#include "infer/population_impl.h"

#define DIFFERENCE_STEP 1e-3
#define MAX_NODES 20000 /* of one person */
#define LEAST_NODES 3   /* in each direction, without a set number */
#define LEAST_RATIO 0.05
#define PRUNED 1e-7 /* of a person's likelihood */
static const double LN_2PI = 1.8378770664093454836;

typedef struct summary { /* what the data part needs of the predictions at a node */
  double *z2;            /* [n x ngroup] sum of squared residuals of the measured values */
  double *logs;          /* [n] 2 sum ln s; infinity: the model fails there */
  double *z;             /* [n x ncensored] +-(limit - f)/s */
} summary;

typedef struct grid_person {
  dpi_arena arena; /* of what follows, but count and group */
  int n, dim, ncensored;
  int *count;        /* [ngroup] measured values */
  int *group;        /* [ncensored] */
  double *x0, *logw; /* nodes when laid [n x dim], ln of their weights */
  double *eta;       /* [n x neta] */
  summary at;
  double *slope; /* [ngeneric x n] d(data part)/dtheta */
  double *ld;    /* [n] data part at the present theta */
  double *share, *x;
} grid_person;

struct dpi_grid {
  dpi_arena arena;
  int npeople, ngroup, ngeneric;
  int *generic;     /* [ngeneric] thetas that need simulations */
  uint8_t *scales;  /* [ntheta x ngroup] this theta is a factor of the error of that observable */
  double *theta0;   /* [ntheta] where the nodes were laid */
  double *laid;     /* [ntheta] where the summaries belong */
  double *theta;    /* [ntheta] present */
  double *rho;      /* [ngroup] factor of s since then */
  bool slopes;      /* slopes belong to `laid` */
  bool ready;       /* nodes are laid */
  bool fresh, gradient;
  uint8_t *ok;      /* [npeople] */
  grid_person *person;
};

void dpi_grid_destroy(dp_ctx *ctx, dpi_grid *grid) {
  if (!grid) return;
  for (int i = 0; grid->person && i < grid->npeople; i++) dpi_arena_release(&grid->person[i].arena);
  dpi_arena_release(&grid->arena);
  dpi_free(ctx, grid);
}

void dpi_grid_drop(dpi_population *pop) {
  dpi_grid_destroy(pop->ctx, pop->grid);
  pop->grid = NULL;
}

/* Gauss-Hermite nodes and ln of w exp(z^2): eigenvalues of the recurrence's matrix (Golub & Welsch 1969, Math Comp
 * 23:221), polished by Newton's method on the orthonormal polynomials; w exp(z^2) = exp(z^2)/sum_k p_k(z)^2. */
dp_status dpi_gauss_hermite(dp_ctx *ctx, int n, double *z, double *logw) {
  double *a = DPI_NEW_ARRAY(ctx, double, 2 * n * n + 1);
  if (!a) return DP_ERR_MEMORY;
  memset(a, 0, sizeof(double) * (size_t)(2 * n * n));
  for (int k = 1; k < n; k++) a[k * n + k - 1] = a[(k - 1) * n + k] = sqrt(0.5 * k);
  dpi_sym_eig(a, n, z, a + n * n);
  for (int j = 0; j < n; j++) {
    double sum = 0;
    for (int round = 0; round < 3; round++) {
      double p0 = 0, p1 = 0.75112554446494248286; /* pi^(-1/4) */
      sum = p1 * p1;
      for (int k = 1; k <= n; k++) {
        double p = z[j] * sqrt(2.0 / k) * p1 - sqrt((k - 1.0) / k) * p0;
        p0 = p1;
        p1 = p;
        if (k < n) sum += p * p;
      }
      z[j] -= p1 / (sqrt(2.0 * n) * p0);
    }
    if (2 * j + 1 == n) z[j] = 0;
    logw[j] = z[j] * z[j] - dpi_m_log(sum);
  }
  dpi_free(ctx, a);
  return DP_OK;
}

/* ---- laying ---- */

/* Does theta t leave predictions alone and multiply the error of each observable by itself or not at all? factor
 * [ngroup]: 0 not seen yet, 1 no, 2 yes. */
static dp_status scale_holds(const dpi_population *pop, member *mb, const theta_def *t, double *w,
                             uint8_t *factor, bool *holds) {
  dpi_indiv *iv = mb->p->iv;
  int n = iv->def.nobs, neta = iv->def.neta;
  double h = 0.1, grow = dpi_m_exp(h), at = pop->typical[t->param];
  double *eta = w + 4 * n;
  dpi_pred a = {w, w + n, NULL, NULL}, b = {w + 2 * n, w + 3 * n, NULL, NULL};
  for (int j = 0; j < neta; j++) eta[j] = 0.1;
  memcpy(mb->typical, pop->typical, sizeof(double) * (size_t)pop->nparam);
  DP_TRY(iv->def.predict(iv->def.user, eta, false, &a, holds));
  mb->typical[t->param] = dpi_theta_from(t->scale, dpi_theta_to(t->scale, at) + h);
  dp_status st = *holds ? iv->def.predict(iv->def.user, eta, false, &b, holds) : DP_OK;
  mb->typical[t->param] = at;
  for (int i = 0; st == DP_OK && *holds && i < n; i++) {
    double ratio = b.s[i] / a.s[i];
    uint8_t *f = &factor[iv->def.datum[i].group];
    uint8_t found = fabs(ratio - 1) < 1e-12 ? 1 : fabs(ratio - grow) < 1e-11 ? 2 : 3;
    *holds = a.f[i] == b.f[i] && found < 3 && (*f == 0 || *f == found);
    *f = found;
  }
  return st;
}

/* Which thetas are factors of an error; the other generic ones need simulations. */
static dp_status find_scales(dpi_population *pop, dpi_grid *g) {
  int most = 0;
  for (int i = 0; i < pop->npeople; i++) {
    const dpi_indiv_def *d = &pop->member[i].p->iv->def;
    most = most > 4 * d->nobs + d->neta ? most : 4 * d->nobs + d->neta;
  }
  double *w = DPI_ARENA_ARRAY(&g->arena, double, (size_t)most + 1);
  if (!w) return DP_ERR_MEMORY;
  for (int k = 0; k < pop->ntheta; k++) {
    const theta_def *t = &pop->theta[k];
    uint8_t *factor = g->scales + (size_t)k * g->ngroup;
    if (t->kind != THETA_GENERIC) continue;
    bool holds = t->scale == DPI_SCALE_LOG;
    for (int i = 0; i < pop->npeople && holds; i++)
      DP_TRY(scale_holds(pop, &pop->member[i], t, w, factor, &holds));
    for (int o = 0; o < g->ngroup; o++) factor[o] = holds && factor[o] == 2;
    if (!holds) g->generic[g->ngeneric++] = k;
  }
  return DP_OK;
}

/* What a person has measured of each observable. */
static dp_status person_counts(dpi_population *pop, dpi_grid *g, int i) {
  grid_person *q = &g->person[i];
  const dpi_indiv *iv = pop->member[i].p->iv;
  q->count = DPI_ARENA_ARRAY(&g->arena, int, (size_t)g->ngroup + 1);
  q->group = DPI_ARENA_ARRAY(&g->arena, int, (size_t)iv->def.nobs + 1);
  if (!q->count || !q->group) return DP_ERR_MEMORY;
  for (int o = 0; o < iv->def.nobs; o++) {
    const dpi_datum *d = &iv->def.datum[o];
    if (d->censored)
      q->group[q->ncensored++] = d->group;
    else
      q->count[d->group]++;
  }
  return DP_OK;
}

/* m^dim, or more than MAX_NODES */
static size_t grid_size(int dim, int m) {
  size_t n = 1;
  for (int a = 0; a < dim && n <= MAX_NODES; a++) n *= (size_t)m;
  return n;
}

/* Room for m nodes in each direction of a person; what was there goes. */
static dp_status person_room(dpi_population *pop, dpi_grid *g, int i, int m_nodes) {
  grid_person *q = &g->person[i];
  const dpi_indiv *iv = pop->member[i].p->iv;
  size_t dim = (size_t)iv->dim, neta = (size_t)iv->def.neta, n = grid_size(iv->dim, m_nodes);
  if (n > MAX_NODES)
    return dpi_fail(pop->ctx, DP_ERR_UNSUPPORTED,
                    "quadrature: %d nodes in each of the %d directions of subject %s are more than %d in all; take "
                    "fewer, or another method",
                    m_nodes, iv->dim, pop->member[i].p->c->id, MAX_NODES);
  dpi_arena_release(&q->arena);
  dpi_arena_init(&q->arena, pop->ctx);
  q->n = (int)n;
  q->dim = iv->dim;
  size_t ng = (size_t)g->ngroup, nc = (size_t)q->ncensored, nk = (size_t)g->ngeneric;
  double *m = DPI_ARENA_ARRAY(&q->arena, double, n * (2 * dim + neta + ng + nc + nk + 4) + 1);
  if (!m) return DP_ERR_MEMORY;
  double **slice[] = {&q->x0,    &q->x,    &q->eta,     &q->at.z2, &q->at.z,
                      &q->slope, &q->logw, &q->at.logs, &q->ld,    &q->share};
  size_t width[] = {dim, dim, neta, ng, nc, nk, 1, 1, 1, 1};
  for (int k = 0; k < DPI_COUNT(slice); k++) {
    *slice[k] = m;
    m += n * width[k];
  }
  return DP_OK;
}

/* ln of the weight below which nodes are left out: those of an m^n grid that together have PRUNED of a Gaussian's
 * weight at most. Corners of the grid are most of its nodes and next to nothing of the integral. */
static double least_weight(int m, int n) {
  double nodes = 1;
  if (n < 2) return -INFINITY;
  for (int a = 0; a < n; a++) nodes *= m;
  return 0.5 * n * dpi_m_log(3.14159265358979323846) + dpi_m_log(PRUNED / nodes);
}

/* m nodes in each direction around `centre`: centre + sqrt 2 W z with W = root [dim x dim] lower triangular. */
static dp_status place_nodes(dpi_population *pop, member *mb, grid_person *q, int m, const double *centre,
                             const double *root) {
  int n = q->dim;
  double z[64], logw[64], w[64], base = 0;
  DP_TRY(dpi_gauss_hermite(pop->ctx, m, z, logw));
  for (int a = 0; a < n; a++) base += dpi_m_log(root[a * n + a]) + 0.5 * dpi_m_log(2.0);
  double least = least_weight(m, n);
  int kept = 0, total = q->n;
  for (int k = 0; k < total; k++) {
    int rest = k, j = kept;
    double share = 0; /* ln of the node's weight under the Gaussian itself */
    q->logw[j] = base;
    for (int a = 0; a < n; a++, rest /= m) {
      w[a] = sqrt(2.0) * z[rest % m];
      q->logw[j] += logw[rest % m];
      share += logw[rest % m] - z[rest % m] * z[rest % m];
    }
    if (share < least) continue;
    kept++;
    for (int a = 0; a < n; a++) {
      double s = centre[a];
      for (int b = 0; b <= a; b++) s += root[a * n + b] * w[b];
      q->x0[(size_t)j * n + a] = s;
    }
    dpi_indiv_eta(mb->p->iv, q->x0 + (size_t)j * n, q->eta + (size_t)j * mb->p->iv->def.neta);
  }
  q->n = kept;
  return DP_OK;
}

/* Predictions at all nodes with the person's present typical values, summed up. */
static dp_status summarise(dpi_population *pop, member *mb, const grid_person *q, int ngroup, const summary *out) {
  const dpi_indiv *iv = mb->p->iv;
  size_t no = (size_t)iv->def.nobs, n = (size_t)q->n;
  double *f = DPI_NEW_ARRAY(pop->ctx, double, n * (2 * no + (size_t)pop->ne) + 1);
  uint8_t *ok = DPI_NEW_ARRAY(pop->ctx, uint8_t, n + 1);
  dpi_person_batch batch = {f, f + n * no, f + 2 * n * no, ok};
  dp_status st = f && ok ? dpi_person_simulate_by(mb->p, pop->kind->sim, q->eta, q->n, &batch) : DP_ERR_MEMORY;
  for (size_t j = 0; st == DP_OK && j < n; j++) {
    double *z2 = out->z2 + j * (size_t)ngroup, *z = out->z + j * (size_t)q->ncensored;
    memset(z2, 0, sizeof(double) * (size_t)ngroup);
    out->logs[j] = ok[j] ? 0 : INFINITY;
    for (size_t o = 0; ok[j] && o < no; o++) {
      const dpi_datum *d = &iv->def.datum[o];
      double fo = batch.f[j * no + o], s = batch.s[j * no + o];
      if (!isfinite(fo) || !(s > 0) || isinf(s) || (d->log && !(fo > 0))) {
        out->logs[j] = INFINITY;
        break;
      }
      double r = (d->y - (d->log ? dpi_m_log(fo) : fo)) / s;
      if (d->censored) {
        *z++ = d->censored > 0 ? r : -r;
        continue;
      }
      z2[d->group] += r * r;
      out->logs[j] += 2 * dpi_m_log(s);
    }
  }
  dpi_free(pop->ctx, f);
  dpi_free(pop->ctx, ok);
  return st;
}

/* The data part at node j with errors rho times those of the summary. */
static double data_part(const grid_person *q, int ngroup, const summary *s, const double *rho, int j) {
  double l = s->logs[j];
  if (isinf(l)) return l;
  for (int o = 0; o < ngroup; o++)
    if (q->count[o])
      l += s->z2[(size_t)j * ngroup + o] / (rho[o] * rho[o]) + (rho[o] == 1 ? 0 : 2 * q->count[o] * dpi_m_log(rho[o]));
  for (int c = 0; c < q->ncensored; c++)
    l -= 2 * dpi_norm_logcdf(s->z[(size_t)j * q->ncensored + c] / rho[q->group[c]]);
  return l;
}

/* Typical values for simulations at the nodes: shifts as the nodes were laid, the rest as now. */
static void node_typical(const dpi_population *pop, const dpi_grid *g, double *typical) {
  memcpy(typical, pop->typical, sizeof(double) * (size_t)pop->nparam);
  for (int k = 0; k < pop->ntheta; k++)
    if (pop->theta[k].kind == THETA_SHIFT)
      typical[pop->theta[k].param] = dpi_theta_from(pop->theta[k].scale, g->theta0[k]);
}

/* Differences of the data part in the generic thetas. */
static dp_status person_slopes(dpi_population *pop, dpi_grid *g, int i, const double *one) {
  grid_person *q = &g->person[i];
  member *mb = &pop->member[i];
  size_t n = (size_t)q->n, size = (size_t)g->ngroup + (size_t)q->ncensored + 1;
  double *m = g->ngeneric ? DPI_NEW_ARRAY(pop->ctx, double, 2 * n * size) : NULL;
  if (g->ngeneric && !m) return DP_ERR_MEMORY;
  dp_status st = DP_OK;
  for (int a = 0; a < g->ngeneric && st == DP_OK; a++) {
    const theta_def *t = &pop->theta[g->generic[a]];
    double at = dpi_theta_to(t->scale, pop->typical[t->param]);
    double h = t->scale == DPI_SCALE_LIN ? DIFFERENCE_STEP * fmax(fabs(at), 1e-3) : DIFFERENCE_STEP;
    summary side[2];
    for (int k = 0; k < 2 && st == DP_OK; k++) {
      double *base = m + (size_t)k * n * size;
      side[k] = (summary){base, base + n * (size_t)g->ngroup, base + n * ((size_t)g->ngroup + 1)};
      mb->typical[t->param] = dpi_theta_from(t->scale, at + (k ? -h : h));
      st = summarise(pop, mb, q, g->ngroup, &side[k]);
    }
    mb->typical[t->param] = pop->typical[t->param];
    for (int j = 0; st == DP_OK && j < q->n; j++) {
      double d = (data_part(q, g->ngroup, &side[0], one, j) - data_part(q, g->ngroup, &side[1], one, j)) / (2 * h);
      q->slope[(size_t)a * n + (size_t)j] = isfinite(d) ? d : 0;
    }
  }
  dpi_free(pop->ctx, m);
  return st;
}

/* ---- evaluation ---- */

/* Nodes in the effects at the present theta, data part, ln of each node's term; the person's value. */
static double person_value(dpi_population *pop, dpi_grid *g, int i) {
  grid_person *q = &g->person[i];
  member *mb = &pop->member[i];
  const dpi_indiv *iv = mb->p->iv;
  int n = q->dim;
  double move[64] = {0}, d[64], df[64], most = -INFINITY, sum = 0;
  for (int k = 0; k < pop->ntheta; k++) {
    if (pop->theta[k].kind != THETA_SHIFT) continue;
    if (!dpi_shift_direction(pop, mb->p, pop->theta[k].param, d)) continue;
    dpi_indiv_x(iv, d, df);
    for (int a = 0; a < n; a++) move[a] += (g->theta[k] - g->theta0[k]) * df[a];
  }
  for (int j = 0; j < q->n; j++) {
    const double *x0 = q->x0 + (size_t)j * n;
    double *x = q->x + (size_t)j * n, prior = 0;
    for (int a = 0; a < n; a++) x[a] = x0[a] - move[a];
    for (int a = 0; a < n; a++) {
      double s = 0;
      for (int b = 0; b < a; b++) s += 2 * iv->prec[a * n + b] * x[b];
      prior += x[a] * (s + iv->prec[a * n + a] * x[a]);
    }
    q->ld[j] = data_part(q, g->ngroup, &q->at, g->rho, j);
    q->share[j] = q->logw[j] - 0.5 * (q->ld[j] + prior);
    if (q->share[j] > most) most = q->share[j];
  }
  if (!isfinite(most)) return NAN;
  for (int j = 0; j < q->n; j++) {
    q->share[j] = dpi_m_exp(q->share[j] - most);
    sum += q->share[j];
  }
  for (int j = 0; j < q->n; j++) q->share[j] /= sum;
  return -2 * (most + dpi_m_log(sum)) + iv->logdet + n * LN_2PI + dpi_indiv_constant(iv, true) + mb->p->jacobian;
}

/* Mean and root of the covariance of a person's law as the present nodes see it; false: no covariance. */
static bool moments(const grid_person *q, double *mean, double *root) {
  int n = q->dim;
  memset(mean, 0, sizeof(double) * (size_t)n);
  memset(root, 0, sizeof(double) * (size_t)n * (size_t)n);
  for (int j = 0; j < q->n; j++)
    for (int a = 0; a < n; a++) mean[a] += q->share[j] * q->x[(size_t)j * n + a];
  for (int j = 0; j < q->n; j++)
    for (int a = 0; a < n; a++)
      for (int b = 0; b < n; b++)
        root[a * n + b] += q->share[j] * (q->x[(size_t)j * n + a] - mean[a]) * (q->x[(size_t)j * n + b] - mean[b]);
  return dpi_chol(root, n);
}

/* Nodes of one person at the present theta: around the mode with the Hessian's spread; without a set number more and
 * more of them, around the mean with the covariance that the last ones gave (Naylor & Smith 1982, Appl Stat 31:214),
 * until their value stays. */
static dp_status lay_person(dpi_population *pop, dpi_grid *g, int i) {
  member *mb = &pop->member[i];
  const dpi_indiv *iv = mb->p->iv;
  int n = iv->dim, m = pop->nodes > 0 ? pop->nodes : LEAST_NODES;
  memcpy(mb->typical, pop->typical, sizeof(double) * (size_t)pop->nparam);
  DP_TRY(dpi_marginal_eval(mb->p->iv, DPI_LAPLACE, false, &mb->m));
  if (!mb->m.ok) DP_TRY(dpi_marginal_eval(mb->p->iv, DPI_FOCEI, false, &mb->m));
  g->ok[i] = mb->m.ok;
  if (!mb->m.ok) return DP_OK;
  double *centre = mb->pe, *root = mb->e, last = NAN, before = NAN;
  memcpy(root, mb->m.qinv, sizeof(double) * (size_t)n * (size_t)n);
  memcpy(centre, mb->m.x, sizeof(double) * (size_t)n);
  dpi_chol(root, n);
  for (;; m += 2) {
    DP_TRY(person_room(pop, g, i, m));
    DP_TRY(place_nodes(pop, mb, &g->person[i], m, centre, root));
    DP_TRY(summarise(pop, mb, &g->person[i], g->ngroup, &g->person[i].at));
    double v = person_value(pop, g, i);
    /* changes shrink by about the same factor each time: what is left is judged from the last two */
    double change = fabs(v - last), left = change * fmax(fmin(change / before, 1.0), LEAST_RATIO);
    if (pop->nodes > 0 || n == 0 || left < pop->node_tolerance / pop->npeople || m + 2 > 64 ||
        grid_size(n, m + 2) > MAX_NODES || !isfinite(v))
      return DP_OK;
    last = v;
    before = isnan(change) ? INFINITY : change;
    if (!moments(&g->person[i], centre, root)) return DP_OK;
  }
}

static double score_of_shift(const dpi_population *pop, const member *mb, const grid_person *q, int param) {
  const dpi_indiv *iv = mb->p->iv;
  int n = q->dim;
  double d[64], df[64], mean[64] = {0}, s = 0;
  if (!dpi_shift_direction(pop, mb->p, param, d)) return 0;
  dpi_indiv_x(iv, d, df);
  for (int j = 0; j < q->n; j++)
    for (int a = 0; a < n; a++) mean[a] += q->share[j] * q->x[(size_t)j * n + a];
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) s -= 2 * df[a] * iv->prec[a * n + b] * mean[b];
  return s;
}

/* second [dim x dim] = sum of shares times x x' */
static double score_of_omega(const dpi_population *pop, member *mb, const double *second, int k) {
  const dpi_indiv *iv = mb->p->iv;
  int n = iv->dim, neta = iv->def.neta;
  double trace = 0, form = 0;
  dpi_person_omega(mb->p, pop->domega + (size_t)k * pop->ne * pop->ne, mb->omega);
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) {
      double s = 0;
      for (int c = 0; c < n; c++) s += iv->prec[a * n + c] * mb->omega[iv->free[c] * neta + iv->free[b]];
      mb->pe[a * n + b] = s;
      if (a == b) trace += s;
    }
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) {
      double s = 0;
      for (int c = 0; c < n; c++) s += mb->pe[a * n + c] * iv->prec[c * n + b];
      form += s * second[a * n + b];
    }
  return trace - form;
}

static double score_of_scale(const dpi_grid *g, const grid_person *q, int k) {
  const uint8_t *scales = g->scales + (size_t)k * g->ngroup;
  double s = 0;
  for (int j = 0; j < q->n; j++) {
    double d = 0;
    if (q->share[j] == 0) continue;
    for (int o = 0; o < g->ngroup; o++)
      if (scales[o] && q->count[o])
        d += 2 * q->count[o] - 2 * q->at.z2[(size_t)j * g->ngroup + o] / (g->rho[o] * g->rho[o]);
    for (int c = 0; c < q->ncensored; c++) {
      double u = q->at.z[(size_t)j * q->ncensored + c] / g->rho[q->group[c]];
      if (scales[q->group[c]]) d += 2 * dpi_norm_hazard(u) * u;
    }
    s += q->share[j] * d;
  }
  return s;
}

static bool is_scale(const dpi_grid *g, int k) {
  for (int o = 0; o < g->ngroup; o++)
    if (g->scales[(size_t)k * g->ngroup + o]) return true;
  return false;
}

static void person_gradient(dpi_population *pop, dpi_grid *g, int i) {
  grid_person *q = &g->person[i];
  member *mb = &pop->member[i];
  int n = q->dim;
  double *second = mb->pep;
  memset(second, 0, sizeof(double) * (size_t)n * (size_t)n);
  for (int j = 0; j < q->n; j++)
    for (int a = 0; a < n; a++)
      for (int b = 0; b < n; b++)
        second[a * n + b] += q->share[j] * q->x[(size_t)j * n + a] * q->x[(size_t)j * n + b];
  for (int k = 0; k < pop->ntheta; k++) {
    const theta_def *t = &pop->theta[k];
    double *s = &pop->score[(size_t)i * pop->ntheta + k];
    *s = 0;
    if (t->kind == THETA_SHIFT)
      *s = score_of_shift(pop, mb, q, t->param);
    else if (t->kind != THETA_GENERIC)
      *s = score_of_omega(pop, mb, second, k);
    else if (is_scale(g, k))
      *s = score_of_scale(g, q, k);
    for (int a = 0; a < g->ngeneric; a++)
      for (int j = 0; g->generic[a] == k && j < q->n; j++) *s += q->share[j] * q->slope[(size_t)a * q->n + j];
  }
}

/* dpi_work_fn: what is out of date for one person, then value and scores */
static dp_status person_eval(void *user, int i, int worker) {
  dpi_population *pop = user;
  dpi_grid *g = pop->grid;
  member *mb = &pop->member[i];
  (void)worker;
  pop->value[i] = NAN;
  dpi_person_omega(mb->p, pop->omega, mb->omega);
  DP_TRY(dpi_indiv_prior(mb->p->iv, mb->omega));
  bool lay = !g->ready, slopes = false;
  if (lay) {
    DP_TRY(lay_person(pop, g, i));
    if (!g->ok[i]) return DP_OK;
  }
  if (!g->ok[i]) return DP_OK;
  node_typical(pop, g, mb->typical);
  if (!lay && !g->fresh) DP_TRY(summarise(pop, mb, &g->person[i], g->ngroup, &g->person[i].at));
  slopes = g->gradient && g->ngeneric && (lay || !g->fresh || !g->slopes);
  if (slopes) DP_TRY(person_slopes(pop, g, i, g->rho));
  pop->value[i] = person_value(pop, g, i);
  if (g->gradient && isfinite(pop->value[i])) person_gradient(pop, g, i);
  return DP_OK;
}

static dp_status grid_create(dpi_population *pop, const double *theta) {
  dpi_grid *g = DPI_NEW(pop->ctx, dpi_grid);
  if (!g) return DP_ERR_MEMORY;
  pop->grid = g;
  dpi_arena_init(&g->arena, pop->ctx);
  g->npeople = pop->npeople;
  size_t nt = (size_t)pop->ntheta;
  g->ngroup = pop->kind->nobservable;
  g->generic = DPI_ARENA_ARRAY(&g->arena, int, nt + 1);
  g->scales = DPI_ARENA_ARRAY(&g->arena, uint8_t, nt * (size_t)g->ngroup + 1);
  g->theta0 = DPI_ARENA_ARRAY(&g->arena, double, 3 * nt + (size_t)g->ngroup + 1);
  g->ok = DPI_ARENA_ARRAY(&g->arena, uint8_t, (size_t)pop->npeople + 1);
  g->person = DPI_ARENA_ARRAY(&g->arena, grid_person, (size_t)pop->npeople + 1);
  if (!g->generic || !g->scales || !g->theta0 || !g->ok || !g->person) return DP_ERR_MEMORY;
  g->laid = g->theta0 + nt;
  g->theta = g->laid + nt;
  g->rho = g->theta + nt;
  memcpy(g->theta0, theta, sizeof(double) * nt);
  DP_TRY(find_scales(pop, g));
  for (int i = 0; i < pop->npeople; i++) DP_TRY(person_counts(pop, g, i));
  return DP_OK;
}

/* Errors' factors since the summaries were made; summaries stay while no theta that needs simulations has moved. */
static void bring_up(const dpi_population *pop, dpi_grid *g, const double *theta) {
  memcpy(g->theta, theta, sizeof(double) * (size_t)pop->ntheta);
  g->fresh = g->ready;
  for (int a = 0; a < g->ngeneric && g->fresh; a++) g->fresh = g->laid[g->generic[a]] == theta[g->generic[a]];
  for (int o = 0; o < g->ngroup; o++) {
    double move = 0;
    for (int k = 0; k < pop->ntheta && g->fresh; k++)
      if (g->scales[(size_t)k * g->ngroup + o]) move += theta[k] - g->laid[k];
    g->rho[o] = dpi_m_exp(move);
  }
}

dp_status dpi_grid_eval(dpi_population *pop, const double *theta, double *value, double *grad, bool *ok) {
  if (!pop->grid) DP_TRY(dpi_refuse_links(pop->kind, "quadrature"));
  if (!pop->grid) DP_TRY(grid_create(pop, theta));
  dpi_grid *g = pop->grid;
  bring_up(pop, g, theta);
  g->gradient = grad != NULL;
  DP_TRY(dpi_parallel_for(pop->ctx, pop->npeople, person_eval, pop));
  if (!g->fresh) memcpy(g->laid, theta, sizeof(double) * (size_t)pop->ntheta);
  g->slopes = g->gradient || (g->fresh && g->slopes);
  *value = dpi_sum(pop->value, pop->npeople);
  *ok = isfinite(*value);
  if (!g->ready && !*ok) { /* no nodes for somebody: the next point begins anew */
    dpi_grid_drop(pop);
    return DP_OK;
  }
  g->ready = true;
  for (int k = 0; grad && k < pop->ntheta; k++) {
    grad[k] = 0;
    for (int i = 0; i < pop->npeople; i++) grad[k] += pop->score[(size_t)i * pop->ntheta + k];
  }
  return DP_OK;
}
