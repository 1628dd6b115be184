/* laplace.c - floor 6, folder sample: importance-resampled Laplace.
 *
 * Sources: Tierney & Kadane, J. Am. Stat. Assoc. 81 (1986) 82 (the integral); Vehtari et al., JMLR 25 (2024) (smoothed
 * weights and k-hat); mixture and its adaptation: infer/importance.c.
 *
 * In R^n the mode is another one than in the box (the Jacobian is part of the density): a few damped Newton steps with
 * the curvature go there from the given mode, all modes side by side in one batch. Where a step does not rise it is
 * shortened; a mode that can't be evaluated, or meets a better one on its way, is dropped.
 */
#include "infer/sample/laplace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/infer.h"

#define DOF 5.0
#define CLIMBS 25
#define NEAR 0.1   /* two modes closer than this (in posterior standard deviations) are one */
#define STEP 1e-3  /* of a standard deviation: differences of the gradient */
#define SPREAD 50.0 /* effective draws for standard deviations, at least: known within a tenth */
#define WANTED 0.1 /* effective share of a round's proposals (as in importance.c) */

typedef struct peak {
  double *u, logp;
  double *g, *curve;  /* gradient; curvature of -logp (ridge included) */
  double *chol;       /* of the curvature */
  double *step, damp; /* the present climb: direction, its length */
  double *row;        /* room */
  bool ok, done;
} peak;

typedef struct sampler {
  dpi_density *d;
  const dpi_laplace_def *def;
  dpi_arena arena;
  int n, npeak;
  peak *peak;
  int most; /* points of the largest batch */
  double *u, *x, *jac, *gradient, *fisher;
  dpi_density_value *value;
  double *loglik, *logprior; /* [nproposal x max_round] in the order of proposals */
  int nseen;
  dpi_laplace_report *report;
} sampler;

static double *numbers(dpi_arena *a, size_t n) { return DPI_ARENA_ARRAY(a, double, n); }

static dp_status make(sampler *s) {
  const dpi_laplace_def *def = s->def;
  size_t n = (size_t)s->n, k = (size_t)def->nmode, most = (size_t)def->nproposal;
  dpi_arena *a = &s->arena;
  if (2 * n * k > most) most = 2 * n * k;
  s->peak = DPI_ARENA_ARRAY(a, peak, k);
  s->u = numbers(a, most * n);
  s->x = numbers(a, most * n);
  s->jac = numbers(a, most);
  s->gradient = numbers(a, 2 * n * k * n);
  s->fisher = numbers(a, k * n * n);
  s->value = DPI_ARENA_ARRAY(a, dpi_density_value, most);
  s->loglik = numbers(a, (size_t)def->nproposal * (size_t)def->max_round);
  s->logprior = numbers(a, (size_t)def->nproposal * (size_t)def->max_round);
  if (!s->peak || !s->u || !s->x || !s->jac || !s->gradient || !s->fisher || !s->value || !s->loglik || !s->logprior)
    return DP_ERR_MEMORY;
  for (size_t i = 0; i < k; i++) {
    peak *p = &s->peak[i];
    p->u = numbers(a, n);
    p->g = numbers(a, n);
    p->step = numbers(a, n);
    p->row = numbers(a, n);
    p->curve = numbers(a, n * n);
    p->chol = numbers(a, n * n);
    if (!p->u || !p->g || !p->step || !p->row || !p->curve || !p->chol) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

/* ---- curvature ---- */

/* Cholesky factor of the curvature; directions that it leaves open get more and more of a ridge. */
static bool factor(sampler *s, peak *p) {
  int n = s->n;
  for (int i = 0; i < n * n; i++)
    if (!isfinite(p->curve[i])) return false;
  for (double ridge = 0; ridge < 1e6; ridge = ridge == 0 ? 1e-4 : ridge * 100) {
    memcpy(p->chol, p->curve, sizeof(double) * (size_t)n * (size_t)n);
    for (int i = 0; i < n; i++) p->chol[i * n + i] += ridge;
    if (dpi_chol(p->chol, n)) return true;
  }
  return false;
}

/* ---- climbing ---- */

static void ask(sampler *s, int slot, const double *u, bool fisher) {
  size_t n = (size_t)s->n, at = (size_t)slot;
  memcpy(s->u + at * n, u, sizeof(double) * n);
  s->value[at] =
      (dpi_density_value){.gradient = s->gradient + at * n, .fisher = fisher ? s->fisher + at * n * n : NULL};
}

static double total(const sampler *s, int slot) {
  const dpi_density_value *v = &s->value[slot];
  return v->ok ? v->loglik + v->logprior + s->jac[slot] : -INFINITY;
}

/* A new best place of a peak: gradient, curvature, the next step from it. */
static void arrive(sampler *s, peak *p, int k, int slot) {
  int n = s->n;
  double rise = 0;
  memcpy(p->u, s->u + (size_t)slot * (size_t)n, sizeof(double) * (size_t)n);
  p->logp = total(s, slot);
  memcpy(p->g, s->value[slot].gradient, sizeof(double) * (size_t)n);
  dpi_box_gradient(s->d, p->u, p->g);
  if (s->def->hessian) {
    /* at a mode inside the gradient by x is 0, and so is what it would add where the map bends */
    memcpy(p->curve, s->def->hessian + (size_t)k * (size_t)n * (size_t)n, sizeof(double) * (size_t)n * (size_t)n);
    dpi_box_fisher(s->d, p->u, p->curve);
  } else {
    memcpy(p->curve, s->value[slot].fisher, sizeof(double) * (size_t)n * (size_t)n);
    dpi_box_fisher(s->d, p->u, p->curve);
  }
  p->ok = factor(s, p);
  if (!p->ok) return;
  memcpy(p->step, p->g, sizeof(double) * (size_t)n);
  dpi_chol_solve(p->chol, n, p->step);
  for (int i = 0; i < n; i++) rise += p->g[i] * p->step[i];
  p->damp = 1;
  p->done = rise < 1e-8; /* twice what a full step promises */
}

/* All peaks that still rise: one batch. *any: there were some. */
static dp_status climb(sampler *s, bool first, bool *any) {
  int n = s->n, m = 0, who[DPI_LAPLACE_MODES];
  double try[DPI_LAPLACE_DIRECTIONS];
  unsigned what = DPI_DENSITY_GRADIENT | (s->def->hessian ? 0u : DPI_DENSITY_FISHER);
  for (int k = 0; k < s->npeak; k++) {
    peak *p = &s->peak[k];
    if (!first && (!p->ok || p->done)) continue;
    for (int i = 0; i < n; i++) try[i] = p->u[i] + (first ? 0 : p->damp * p->step[i]);
    ask(s, m, try, !s->def->hessian);
    who[m++] = k;
  }
  *any = m > 0;
  if (m == 0) return DP_OK;
  s->report->npoint += m;
  DP_TRY(dpi_box_eval(s->d, m, s->u, what, s->x, s->jac, s->value));
  for (int j = 0; j < m; j++) {
    peak *p = &s->peak[who[j]];
    double now = total(s, j);
    if (first ? now > -INFINITY : now > p->logp)
      arrive(s, p, who[j], j);
    else if ((p->damp *= 0.3) < 1e-4)
      p->done = true;
  }
  return DP_OK;
}

/* Central differences of the gradient at every peak, along each direction by a part of its scale: one batch. */
static dp_status differences(sampler *s) {
  int n = s->n, m = 0;
  double h[DPI_LAPLACE_DIRECTIONS], u[DPI_LAPLACE_DIRECTIONS];
  for (int k = 0; k < s->npeak; k++)
    for (int i = 0; i < n && s->peak[k].ok; i++)
      for (int side = -1; side <= 1; side += 2) {
        const peak *p = &s->peak[k];
        memcpy(u, p->u, sizeof(double) * (size_t)n);
        u[i] += side * STEP / sqrt(fmax(p->curve[i * n + i], 1e-4));
        ask(s, m++, u, false);
      }
  if (m == 0) return DP_OK;
  s->report->npoint += m;
  DP_TRY(dpi_box_eval(s->d, m, s->u, DPI_DENSITY_GRADIENT, s->x, s->jac, s->value));
  for (int j = 0; j < m; j++) dpi_box_gradient(s->d, s->u + (size_t)j * (size_t)n, s->value[j].gradient);
  for (int k = 0, j = 0; k < s->npeak; k++) {
    peak *p = &s->peak[k];
    if (!p->ok) continue;
    bool all = true;
    for (int i = 0; i < n; i++) h[i] = STEP / sqrt(fmax(p->curve[i * n + i], 1e-4));
    double *c = p->row;    /* a row */
    double *now = p->chol; /* room: factored again below */
    for (int i = 0; i < n; i++, j += 2) {
      all = all && s->value[j].ok && s->value[j + 1].ok;
      for (int l = 0; l < n; l++) c[l] = (s->value[j].gradient[l] - s->value[j + 1].gradient[l]) / (2 * h[i]);
      memcpy(now + i * n, c, sizeof(double) * (size_t)n);
    }
    for (int i = 0; all && i < n; i++)
      for (int l = 0; l < n; l++) p->curve[i * n + l] = 0.5 * (now[i * n + l] + now[l * n + i]);
    p->ok = factor(s, p);
  }
  return DP_OK;
}

/* Distance of v from a peak in its own standard deviations. */
static double apart(const sampler *s, const peak *p, const double *v) {
  double d = 0;
  for (int i = 0; i < s->n; i++) {
    double sum = 0; /* row i of L'(v - u) */
    for (int j = i; j < s->n; j++) sum += p->chol[j * s->n + i] * (v[j] - p->u[j]);
    d += sum * sum;
  }
  return sqrt(d);
}

/* ---- the proposal ---- */

/* Components from distinct peaks, weighted by their Gaussian integrals. */
static dp_status components(sampler *s, dpi_component *c, int *nc) {
  size_t n = (size_t)s->n;
  double top = -INFINITY, sum = 0, mass[DPI_LAPLACE_MODES];
  *nc = 0;
  for (int k = 0; k < s->npeak; k++) {
    peak *p = &s->peak[k];
    for (int j = 0; j < k && p->ok; j++)
      if (s->peak[j].ok && apart(s, &s->peak[j], p->u) < NEAR) p->ok = false;
    if (!p->ok) continue;
    mass[*nc] = p->logp - 0.5 * dpi_chol_logdet(p->chol, s->n);
    top = fmax(top, mass[*nc]);
    double *cov = numbers(&s->arena, n * n);
    if (!cov) return DP_ERR_MEMORY;
    dpi_chol_inverse(p->chol, s->n, cov);
    if (!dpi_chol(cov, s->n)) continue;
    for (size_t i = 0; i < n; i++)
      for (size_t j = i + 1; j < n; j++) cov[i * n + j] = 0;
    c[(*nc)++] = (dpi_component){mass[*nc], p->u, cov};
  }
  if (*nc == 0) return DP_OK;
  for (int k = 0; k < *nc; k++) sum += dpi_m_exp(mass[k] - top);
  for (int k = 0; k < *nc; k++)
    c[k].weight = fmax(dpi_m_exp(mass[k] - top) / sum, 0.02); /* none so light that it is not seen */
  s->report->evidence_laplace = top + dpi_m_log(sum) + 0.5 * s->n * 1.8378770664093454836;
  return DP_OK;
}

/* target of importance.c: called round after round, so that values stand in the order of proposals */
static dp_status target(void *user, const double *x, int m, double *logp) {
  sampler *s = user;
  memset(s->value, 0, sizeof *s->value * (size_t)m);
  s->report->npoint += m;
  DP_TRY(dpi_box_eval(s->d, m, x, DPI_DENSITY_VALUE, s->x, s->jac, s->value));
  for (int i = 0; i < m; i++, s->nseen++) {
    logp[i] = total(s, i);
    s->loglik[s->nseen] = s->value[i].loglik;
    s->logprior[s->nseen] = s->value[i].logprior;
  }
  return DP_OK;
}

static dp_status draw(sampler *s, const dpi_importance *is, dpi_draws *w) {
  int m = s->def->ndraw;
  int *index = DPI_ARENA_ARRAY(&s->arena, int, (size_t)m);
  if (!index) return DP_ERR_MEMORY;
  double u = ((double)(dpi_rng_at(s->def->seed, (uint64_t)s->def->chain, DPI_RNG_LAPLACE, 0) >> 12) + 0.5) * 0x1p-52;
  dpi_resample(is->weight, is->n, u, m, index);
  for (int i = 0; i < m; i++) {
    dpi_box_to(s->d, is->x + (size_t)index[i] * (size_t)s->n, w->x + (size_t)i * (size_t)s->n);
    w->loglik[i] = s->loglik[index[i]];
    w->logprior[i] = s->logprior[index[i]];
  }
  w->done[0] = m;
  return DP_OK;
}

static dp_status importance(sampler *s, const dpi_component *c, int nc, dpi_draws *w) {
  const dpi_laplace_def *def = s->def;
  dpi_laplace_report *r = s->report;
  dpi_importance is;
  dpi_importance_def id = {.dim = s->n,
                           .nproposal = def->nproposal,
                           .max_round = def->max_round,
                           .dof = DOF,
                           .seed = def->seed,
                           .stream = (uint64_t)def->chain,
                           .target = target,
                           .user = s,
                           .component = c,
                           .ncomponent = nc,
                           .spread = true};
  DP_TRY(dpi_importance_run(&s->arena, &id, &is));
  dpi_verdict_weights(is.khat, is.ess, WANTED * def->nproposal, &r->verdict);
  r->ess_spread = is.ess_spread;
  bool few = !(is.ess_spread >= SPREAD);
  dpi_verdict_add(&r->verdict, few, "%.0f for deviations%s", is.ess_spread, few ? ", too few" : "");
  r->nround = is.nround;
  if (!isfinite(is.evidence)) {
    dpi_verdict_add(&r->verdict, true, "no proposal can be evaluated");
    return DP_OK;
  }
  r->evidence = is.evidence - def->log_prior_mass;
  r->evidence_laplace -= def->log_prior_mass;
  r->evidence_error = sqrt(fmax(0, is.n / is.ess - 1) / is.n);
  return draw(s, &is, w);
}

/* ---- the call ---- */

dpi_laplace_def dpi_laplace_def_default(void) {
  return (dpi_laplace_def){.seed = 1, .nproposal = 1000, .max_round = 4, .ndraw = 1000};
}

static dp_status check(dpi_density *d, const dpi_laplace_def *def) {
  if (def->nmode < 1 || def->nmode > DPI_LAPLACE_MODES || !def->mode || def->nproposal < 50 || def->max_round < 1 ||
      def->max_round > 8 || def->ndraw < 1 || def->chain < 0 || def->nproposal > 10000000)
    return dpi_fail(d->ctx, DP_ERR_USAGE,
                    "laplace: %d modes (1 to %d), %d proposals (at least 50), %d rounds (1 to 8), %d "
                    "draws: out of range",
                    def->nmode, DPI_LAPLACE_MODES, def->nproposal, def->max_round, def->ndraw);
  if (d->n > DPI_LAPLACE_DIRECTIONS)
    return dpi_fail(d->ctx, DP_ERR_UNSUPPORTED, "laplace: %d parameters: importance weights serve at most %d; use NUTS",
                    d->n, DPI_LAPLACE_DIRECTIONS);
  return DP_OK;
}

static dp_status run(sampler *s, dpi_draws *w) {
  dpi_component c[DPI_LAPLACE_MODES];
  bool any;
  DP_TRY(make(s));
  s->npeak = s->def->nmode;
  for (int k = 0; k < s->npeak; k++) {
    s->peak[k].logp = -INFINITY;
    dpi_box_from(s->d, s->def->mode + (size_t)k * (size_t)s->n, s->peak[k].u);
  }
  DP_TRY(climb(s, true, &any));
  for (int i = 0; any && i < CLIMBS; i++) DP_TRY(climb(s, false, &any));
  if (s->def->differences) DP_TRY(differences(s));
  DP_TRY(components(s, c, &s->report->nmode));
  if (s->report->nmode == 0) {
    dpi_verdict_weights(INFINITY, 0, 1, &s->report->verdict);
    dpi_verdict_add(&s->report->verdict, true, "no mode that can be evaluated and has a finite curvature");
    return DP_OK;
  }
  return importance(s, c, s->report->nmode, w);
}

dp_status dpi_laplace_run(dpi_density *d, const dpi_laplace_def *def, dpi_draws **out, dpi_laplace_report *report) {
  sampler s = {.d = d, .def = def, .n = d->n, .report = report};
  dpi_draws *draws = NULL;
  *out = NULL;
  memset(report, 0, sizeof *report);
  report->evidence = report->evidence_error = report->evidence_laplace = NAN;
  DP_TRY(check(d, def));
  dpi_draws_def w = {.sampler = "laplace",
                     .tag = "",
                     .seed = def->seed,
                     .n = d->n,
                     .name = d->name,
                     .nchain = 1,
                     .first_chain = def->chain,
                     .ndraw = def->ndraw};
  DP_TRY(dpi_draws_create(d->ctx, &w, &draws));
  dpi_arena_init(&s.arena, d->ctx);
  dp_status status = run(&s, draws);
  dpi_arena_release(&s.arena);
  if (status == DP_OK)
    *out = draws;
  else
    dpi_draws_destroy(draws);
  return status;
}
