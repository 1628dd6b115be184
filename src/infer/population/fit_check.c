/* fit_check.c - floor 6: standard errors of a population's estimate, individual estimates, shrinkage, and people in
 * conflict with it.
 *
 * Observed information: half the Hessian of -2 ln L by central differences of the gradient. Sandwich: I^-1 J I^-1 with
 * J the sum over people of their scores' outer products (White 1982, Econometrica 50:1). Entries of Omega by
 * the delta method.
 */
#include <math.h>
#include <string.h>

#include "infer/population_impl.h"

void dp_fit_check_destroy(dp_fit_check *c) {
  if (!c) return;
  dp_ctx *ctx = c->ctx;
  dpi_free(ctx, c->label);
  dpi_free(ctx, c->value);
  dpi_free(ctx, c->directions);
  dpi_free(ctx, c);
}

static dp_status check_create(const dpi_population *pop, dp_fit_check **out) {
  size_t nt = (size_t)pop->ntheta, ne = (size_t)pop->ne, np = (size_t)pop->npeople;
  dp_fit_check *c = *out = DPI_NEW(pop->ctx, dp_fit_check);
  if (!c) return DP_ERR_MEMORY;
  c->ctx = pop->ctx;
  c->ntheta = pop->ntheta;
  c->neffect = pop->ne;
  c->npeople = pop->npeople;
  c->label = dpi_alloc_array(pop->ctx, nt + 1, sizeof *c->label);
  c->value = DPI_NEW_ARRAY(pop->ctx, double, 3 * nt + nt * nt + ne + 2 * np + 2 * np * ne + 1);
  c->directions = DPI_NEW_ARRAY(pop->ctx, int, 2 * np + 1);
  if (!c->label || !c->value || !c->directions) return DP_ERR_MEMORY;
  c->se = c->value + nt;
  c->robust = c->se + nt;
  c->covariance = c->robust + nt;
  c->eta_shrinkage = c->covariance + nt * nt;
  c->distance = c->eta_shrinkage + ne;
  c->conflict = c->distance + np;
  c->effect = c->conflict + np;
  c->individual = c->effect + np * ne;
  c->subject = c->directions + np;
  return DP_OK;
}

/* Half the Hessian [nt x nt] and the scores' outer products; *ok = false when a point beside theta can't
 * be evaluated. */
static dp_status information(dpi_population *pop, const double *theta, double *info, double *outer, double *work,
                             bool *ok) {
  int nt = pop->ntheta;
  double *t = work, *gp = t + nt, *gm = gp + nt, value;
  DP_TRY(dpi_population_eval(pop, theta, &value, gp, ok));
  for (int a = 0; a < nt; a++)
    for (int b = 0; b < nt; b++) {
      double s = 0;
      for (int i = 0; i < pop->npeople; i++)
        s += 0.25 * pop->score[(size_t)i * nt + a] * pop->score[(size_t)i * nt + b];
      outer[a * nt + b] = s;
    }
  memcpy(t, theta, sizeof(double) * (size_t)nt);
  for (int a = 0; a < nt && *ok; a++) {
    const theta_def *d = &pop->theta[a];
    double h = fmin(0.1, 0.03 / sqrt(outer[a * nt + a] + 1e-12)), at = theta[a];
    h = fmin(h, 0.4 * (d->upper - d->lower));
    at = fmin(fmax(at, d->lower + h), d->upper - h);
    t[a] = at + h;
    DP_TRY(dpi_population_eval(pop, t, &value, gp, ok));
    t[a] = at - h;
    if (*ok) DP_TRY(dpi_population_eval(pop, t, &value, gm, ok));
    t[a] = theta[a];
    for (int b = 0; b < nt; b++) info[a * nt + b] = (gp[b] - gm[b]) / (4 * h);
  }
  for (int a = 0; a < nt; a++)
    for (int b = 0; b < a; b++) info[a * nt + b] = info[b * nt + a] = 0.5 * (info[a * nt + b] + info[b * nt + a]);
  return DP_OK;
}

/* d natural value of entry k / d theta, g [nt], and the value. */
static double natural(const dpi_population *pop, int k, double *g) {
  const theta_def *t = &pop->theta[k];
  memset(g, 0, sizeof(double) * (size_t)pop->ntheta);
  if (t->param >= 0) {
    double v = pop->typical[t->param];
    g[k] = t->scale == DPI_SCALE_LOG ? v : t->scale == DPI_SCALE_LOGIT ? v * (1 - v) : 1;
    return v;
  }
  const int *e = pop->order + pop->block[t->block].first;
  int at = e[t->row] * pop->ne + e[t->col];
  for (int m = 0; m < pop->ntheta; m++)
    if (pop->theta[m].param < 0) g[m] = pop->domega[(size_t)m * pop->ne * pop->ne + at];
  return pop->omega[at];
}

static double spread(const double *cov, const double *g, int n) {
  double s = 0;
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++) s += g[a] * cov[a * n + b] * g[b];
  return sqrt(s);
}

static dp_status standard_errors(dpi_population *pop, const double *theta, dp_fit_check *c) {
  int n = pop->ntheta;
  size_t n2 = (size_t)n * (size_t)n;
  double *w = DPI_NEW_ARRAY(pop->ctx, double, 4 * n2 + 4 * (size_t)n + 1);
  if (!w) return DP_ERR_MEMORY;
  double *info = w, *outer = info + n2, *half = outer + n2, *robust = half + n2, *work = robust + n2;
  bool ok = false;
  dp_status st = information(pop, theta, info, outer, work, &ok);
  dpi_population_unpack(pop, theta);
  c->determined = st == DP_OK && ok && dpi_chol(info, n);
  if (c->determined) {
    dpi_chol_inverse(info, n, c->covariance);
    for (int pass = 0; pass < 2; pass++)
      for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) {
          double s = 0;
          for (int m = 0; m < n; m++)
            s += pass ? half[a * n + m] * c->covariance[m * n + b] : c->covariance[a * n + m] * outer[m * n + b];
          (pass ? robust : half)[a * n + b] = s;
        }
  }
  for (int k = 0; st == DP_OK && k < n; k++) {
    dpi_population_label(pop, k, c->label[k]);
    c->value[k] = natural(pop, k, work);
    c->se[k] = c->determined ? spread(c->covariance, work, n) : NAN;
    c->robust[k] = c->determined ? spread(robust, work, n) : NAN;
  }
  dpi_free(pop->ctx, w);
  return st;
}

/* Distance of a person's mode from 0 in the law that modes have under the prior: in coordinates where Omega is 1, their
 * covariance is 1 - C. */
static void conflict(const member *mb, double *work, double *distance, int *directions, double *p) {
  const dpi_indiv *iv = mb->p->iv;
  int n = iv->nfree;
  double u[65], *m = work, *w = m + n * n, *v = w + n;
  memcpy(u, mb->m.x, sizeof(double) * (size_t)n);
  dpi_tri_solve_lower(iv->chol, n, u);
  /* columns of L^-1 C, then rows of (L^-1 C) L'^-1 */
  for (int pass = 0; pass < 2; pass++)
    for (int c = 0; c < n; c++) {
      double col[65];
      for (int r = 0; r < n; r++) col[r] = pass ? m[c * n + r] : mb->m.qinv[r * iv->dim + c];
      dpi_tri_solve_lower(iv->chol, n, col);
      for (int r = 0; r < n; r++) m[pass ? c * n + r : r * n + c] = col[r];
    }
  for (int k = 0; k < n * n; k++) m[k] = (k % (n + 1) == 0 ? 1 : 0) - m[k];
  dpi_sym_eig(m, n, w, v);
  *distance = 0;
  *directions = 0;
  for (int a = 0; a < n; a++) {
    double s = 0;
    if (w[a] < 1e-6) continue; /* the data say nothing there */
    for (int r = 0; r < n; r++) s += v[r * n + a] * u[r];
    *distance += s * s / w[a];
    ++*directions;
  }
  *p = *directions ? 1 - dpi_gamma_p(0.5 * *directions, 0.5 * *distance) : 1;
}

/* 1 - sd(modes)/sd(prior) of every effect, 1 - sd of the weighted residuals at the modes. */
static dp_status shrinkage(dpi_population *pop, dp_fit_check *c) {
  double rsum = 0, rsum2 = 0;
  int nr = 0;
  for (int i = 0; i < pop->npeople; i++) {
    const dpi_indiv *iv = pop->member[i].p->iv;
    dpi_point pt = {0, NULL, NULL};
    bool ok = false;
    DP_TRY(dpi_indiv_eval(pop->member[i].p->iv, pop->member[i].m.x, false, &pt, &ok));
    for (int o = 0; ok && o < iv->def.nobs; o++) {
      const dpi_datum *d = &iv->def.datum[o];
      if (d->censored) continue;
      double z = (d->y - (d->log ? dpi_m_log(iv->pred.f[o]) : iv->pred.f[o])) / iv->pred.s[o];
      z = dpi_shaped_at(d->shape, z).z;
      rsum += z, rsum2 += z * z, nr++;
    }
  }
  c->epsilon_shrinkage = nr > 1 ? 1 - sqrt((rsum2 - rsum * rsum / nr) / (nr - 1)) : NAN;
  for (int e = 0; e < pop->ne; e++) {
    double s = 0, s2 = 0, omega = pop->omega[e * pop->ne + e];
    int n = 0;
    for (int i = 0; i < pop->npeople; i++) {
      const dpi_person *p = pop->member[i].p;
      for (int a = 0; a < p->iv->nfree; a++) {
        if (p->c->eta_effect[p->iv->free[a]] != e) continue;
        double x = pop->member[i].m.x[a];
        s += x, s2 += x * x, n++;
      }
    }
    c->eta_shrinkage[e] = n > 1 && omega > 0 ? 1 - sqrt((s2 - s * s / n) / (n - 1) / omega) : NAN;
  }
  return DP_OK;
}

/* Effects and individual parameters at one person's mode; eta [neta], f and s [nobs] are scratch. */
static dp_status own_estimate(const member *mb, double *eta, double *f, double *s, double *effect, double *individual) {
  const dpi_person *p = mb->p;
  uint8_t ok = 0;
  const dpi_person_batch out = {f, s, individual, &ok};
  dpi_indiv_eta(p->iv, mb->m.x, eta);
  /* directions stand in the order of occasions: what is kept of an effect is its last one */
  for (int j = 0; j < p->c->neta; j++) effect[p->c->eta_effect[j]] = eta[j];
  return dpi_person_simulate_by(p, p->c->kind->sim, eta, 1, &out);
}

static dp_status own_estimates(dpi_population *pop, dp_fit_check *c) {
  for (int i = 0; i < pop->npeople; i++) {
    const dpi_person *p = pop->member[i].p;
    double *work = DPI_NEW_ARRAY(pop->ctx, double, p->c->neta + 2 * p->nobs + 1);
    if (!work) return DP_ERR_MEMORY;
    const size_t at = (size_t)i * (size_t)pop->ne;
    const dp_status st = own_estimate(&pop->member[i], work, work + p->c->neta, work + p->c->neta + p->nobs,
                                      c->effect + at, c->individual + at);
    dpi_free(pop->ctx, work);
    DP_TRY(st);
  }
  return DP_OK;
}

static dp_status people(dpi_population *pop, const double *theta, dp_fit_check *c) {
  double value;
  char who[320];
  bool ok = false;
  dpi_population_method(pop, DPI_LAPLACE);
  DP_TRY(dpi_population_eval(pop, theta, &value, NULL, &ok));
  if (!ok)
    return dpi_fail(pop->ctx, DP_ERR_CONVERGE, "%scheck of a population: the mode of this person was not found",
                    dpi_population_failing(pop, who));
  for (int i = 0; i < pop->npeople; i++) {
    int n = pop->member[i].p->iv->nfree;
    double *work = DPI_NEW_ARRAY(pop->ctx, double, 2 * n * n + n + 1);
    if (!work) return DP_ERR_MEMORY;
    conflict(&pop->member[i], work, &c->distance[i], &c->directions[i], &c->conflict[i]);
    dpi_free(pop->ctx, work);
  }
  DP_TRY(own_estimates(pop, c));
  return shrinkage(pop, c);
}

/* Who of the record's subjects the population's people are: all but those excluded, in their order. */
static void name_people(const dp_record *record, const int *exclude, int nexclude, dp_fit_check *c) {
  for (int i = 0, n = 0; i < record->nsubject && n < c->npeople; i++) {
    bool out = false;
    for (int k = 0; k < nexclude; k++) out = out || exclude[k] == i;
    if (!out) c->subject[n++] = i;
  }
}

dp_status dp_prior_check(const dp_kind *kind, const dp_record *record, const int *exclude, int nexclude,
                         const dp_prior *prior, const char *method, dp_fit_check **out) {
  dpi_marginal_method m;
  dpi_population *pop = NULL;
  *out = NULL;
  DP_TRY(dpi_marginal_method_find(kind->ctx, method, &m));
  DP_TRY(dpi_population_create(kind, record, exclude, nexclude, prior, m, &pop));
  double *theta = DPI_NEW_ARRAY(kind->ctx, double, pop->ntheta + 1);
  dp_fit_check *c = NULL;
  dp_status st = theta ? check_create(pop, &c) : DP_ERR_MEMORY;
  if (st == DP_OK) {
    dpi_population_start(pop, theta);
    name_people(record, exclude, nexclude, c);
    st = standard_errors(pop, theta, c);
  }
  if (st == DP_OK) st = people(pop, theta, c);
  dpi_free(kind->ctx, theta);
  dpi_population_destroy(pop);
  if (st == DP_OK)
    *out = c;
  else
    dp_fit_check_destroy(c);
  return st;
}
