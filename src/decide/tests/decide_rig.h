/* decide_rig.h - what the tests of this room share: theophylline, beliefs made by hand, and the closed form of one
 * compartment
 * with first-order absorption at steady state (Gibaldi & Perrier 1982, Pharmacokinetics, ch. 3), written with libm. */
#ifndef DPI_DECIDE_RIG_H
#define DPI_DECIDE_RIG_H

#include "decide/decide.h"
#include "kind/tests/kind_rig.h"

typedef struct world {
  rig *r;
  dp_kind *kind;
  double *param;
  dp_instant history[1];
  int effect[3];
} world;

static inline world world_open(rig *r, const char *dir) {
  world w = {.r = r, .kind = rig_load(r, dir), .effect = {0, 1, 2}};
  const dp_sim_desc *d = dp_sim_describe(w.kind->sim);
  w.param = calloc((size_t)d->nparam, sizeof(double));
  memcpy(w.param, d->param_default, sizeof(double) * (size_t)d->nparam);
  for (int i = 0; i < w.kind->nparam; i++) w.param[w.kind->param[i].sim_param] = w.kind->param[i].nominal;
  for (int i = 0; i < w.kind->neffect; i++) w.param[w.kind->effect[i].sim_param] = 0;
  w.history[0] = dp_instant_default();
  w.history[0].type = DP_ADD;
  w.history[0].amount = 300;
  return w;
}

static inline void world_close(world *w) {
  dp_kind_destroy(w->kind);
  free(w->param);
}

/* A belief of n draws: effects ka, CL, V normal about mean with sd, from a stream of their own. */
static inline dp_belief *belief_make(int n, const double mean[3], const double sd[3], uint64_t seed) {
  dp_belief *b = calloc(1, sizeof *b);
  b->ndraw = n;
  b->neta = b->nindividual = 3;
  b->eta = calloc((size_t)n * 3, sizeof(double));
  b->usable = 1;
  b->ess = n;
  for (int k = 0; k < n; k++)
    for (int e = 0; e < 3; e++) {
      dpi_rng rng = dpi_rng_make(seed, (uint64_t)k, (uint32_t)e);
      b->eta[3 * k + e] = mean[e] + sd[e] * dpi_rng_normal(&rng);
    }
  return b;
}

static inline void belief_free(dp_belief *b) {
  free(b->eta);
  free(b->discrepancy);
  free(b);
}

static inline dp_plan_patient patient_of(world *w, const dp_belief *belief, const dp_belief *fresh) {
  return (dp_plan_patient){.param = w->param,
                           .eta_effect = w->effect,
                           .history = w->history,
                           .nhistory = 1,
                           .stream = 5,
                           .belief = belief,
                           .fresh = fresh};
}

/* Every plan of the kind's space as candidates, calloc'ed; plan may be NULL. *out stays NULL and *n 0 when refused. */
static inline dp_status list_candidates(const dp_kind *kind, dp_candidate **out, int *n, dp_plan ***plan) {
  dpi_space space;
  *out = NULL;
  *n = 0;
  DP_TRY(dpi_space_open(kind, &space));
  int all = (int)space.npoint;
  *out = calloc((size_t)all + 1, sizeof **out);
  if (plan) *plan = calloc((size_t)all + 1, sizeof **plan);
  double *x = calloc((size_t)space.nvar + 1, sizeof *x);
  for (; *n < all; ++*n) {
    dp_plan *p;
    dpi_space_point(&space, *n, x);
    assert_int_equal(dpi_space_plan(&space, x, &p), DP_OK);
    assert_int_equal(dpi_space_describe(&space, p, &(*out)[*n]), DP_OK);
    if (plan)
      (*plan)[*n] = p;
    else
      dp_plan_destroy(p);
  }
  free(x);
  dpi_space_close(&space);
  return DP_OK;
}

/* Judge one term; it must work. */
static inline dp_term_value judged(const dp_kind *kind, const dpi_kind_term *t, const double *x, int n, double neff,
                                   double window) {
  dp_term_value v;
  assert_int_equal(dpi_decide_judge(kind, t, x, n, neff, window, 0.95, &v), DP_OK);
  return v;
}

typedef struct person {
  double ka, ke, V;
} person;

static inline person person_of(const world *w, const double *eta) {
  double p[3];
  for (int e = 0; e < 3; e++) p[e] = w->kind->param[w->kind->effect[e].typical].nominal * exp(eta[e]);
  return (person){p[0], p[1] / p[2], p[2]};
}

/* Concentration at steady state, t after a dose. */
static inline double steady(person p, double dose, double tau, double t) {
  double a = exp(-p.ke * t) / (1 - exp(-p.ke * tau)), b = exp(-p.ka * t) / (1 - exp(-p.ka * tau));
  return dose * p.ka / (p.V * (p.ka - p.ke)) * (a - b);
}

static inline double peak_time(person p, double tau) {
  return log(p.ka * (1 - exp(-p.ke * tau)) / (p.ke * (1 - exp(-p.ka * tau)))) / (p.ka - p.ke);
}

/* Where a monotone stretch of the curve passes a level, clamped to its ends. */
static inline double passes(person p, double dose, double tau, double from, double to, double level) {
  double a = steady(p, dose, tau, from), b = steady(p, dose, tau, to);
  if ((level - a) * (b - a) <= 0) return from;
  if ((level - b) * (b - a) >= 0) return to;
  double low = from, high = to;
  for (int i = 0; i < 100; i++) {
    double mid = 0.5 * (low + high);
    if ((steady(p, dose, tau, mid) < level) == (b > a))
      low = mid;
    else
      high = mid;
  }
  return low;
}

/* The three terms of twins/theophylline's reward.yaml: trough, peak, hours between 10 and 20 mg/L. */
static inline void closed_terms(person p, double dose, double tau, double out[3]) {
  double top = peak_time(p, tau);
  out[0] = steady(p, dose, tau, tau);
  out[1] = steady(p, dose, tau, top);
  out[2] = fabs(passes(p, dose, tau, 0, top, 20) - passes(p, dose, tau, 0, top, 10)) +
           fabs(passes(p, dose, tau, top, tau, 20) - passes(p, dose, tau, top, tau, 10));
}

#endif
