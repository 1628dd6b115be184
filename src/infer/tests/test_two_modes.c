/* Independent comparison: a person whose posterior has two modes. Absorption and elimination can change places: with
 * k = CL / V the curve of (ka, CL, V) is that of (k, CL, CL / ka) to the last digit, so a vague prior leaves both. In logarithms
 * the exchange is linear with determinant +-1; the likelihood is the same on both sides, so that the mass of one side over that
 * of the other is the mean of prior(exchanged) / prior over the draws of one side. */
#include <stdlib.h>

#include "theophylline.h"

enum { KA, CL, V, DIM };

/* A vague law of the effects: a variance each, in the kind's own order. */
static dp_prior *vague(world *w, int at[DIM]) {
  static const char *const id[DIM] = {"ka", "CL", "V"};
  static const double variance[DIM] = {6, 0.5, 9};
  dp_prior *p = NULL;
  OK(dp_prior_nominal(w->kind, &p));
  assert_int_equal(p->neffect, DIM);
  memset(p->omega, 0, sizeof(double) * DIM * DIM);
  memset(p->uncertainty, 0, sizeof(double) * DIM * DIM);
  for (int a = 0; a < DIM; a++) {
    at[a] = -1;
    for (int i = 0; i < w->kind->neffect; i++)
      if (strcmp(w->kind->effect[i].parameter, id[a]) == 0) at[a] = i;
    assert_true(at[a] >= 0);
    p->omega[at[a] * (DIM + 1)] = variance[a];
  }
  return p;
}

/* The same curve with absorption and elimination exchanged. */
static void exchange(const world *w, const dp_prior *p, const int at[DIM], const double *eta, double *out) {
  double tv[DIM], x[DIM];
  for (int a = 0; a < DIM; a++) {
    tv[a] = dpi_m_log(p->typical[w->kind->effect[at[a]].typical]);
    x[a] = tv[a] + eta[at[a]];
  }
  double y[DIM] = {x[CL] - x[V], x[CL], x[CL] - x[KA]};
  for (int a = 0; a < DIM; a++) out[at[a]] = y[a] - tv[a];
}

static double log_prior(const dp_prior *p, const double *eta) {
  double s = 0;
  for (int a = 0; a < DIM; a++) s -= 0.5 * eta[a] * eta[a] / p->omega[a * (DIM + 1)];
  return s;
}

static bool flipped(const world *w, const dp_prior *p, const int at[DIM], const double *eta) {
  double other[DIM];
  exchange(w, p, at, eta, other);
  return eta[at[KA]] < other[at[KA]]; /* ka < k */
}

static void test_flip_flop(void **state) {
  (void)state;
  world W, *w = &W;
  int at[DIM];
  world_open(w, 2);
  dp_prior *prior = vague(w, at);
  dpi_person *person = NULL;
  OK(dpi_person_create(w->kind, w->record, 2, INFINITY, false, &person));
  person->typical = prior->typical;
  OK(dpi_indiv_prior(person->iv, prior->omega));

  /* both modes, best first, and each the other one exchanged, but for what the prior says */
  dp_assimilate_def ad = dp_assimilate_def_default();
  dpi_mode_def def = dpi_mode_def_default();
  dpi_mode mode[4];
  double x[4 * DIM], other[DIM];
  int nmode = 0;
  OK(dpi_mode_multi(person->iv, &def, NULL, ad.nstart, dpi_rng_make(7, person->c->stream, DPI_RNG_START), 4, x, mode, &nmode));
  assert_int_equal(nmode, 2);
  assert_true(mode[0].converged && mode[1].converged && mode[0].l < mode[1].l);
  assert_true(flipped(w, prior, at, x) != flipped(w, prior, at, x + DIM));
  exchange(w, prior, at, x + DIM, other);
  for (int a = 0; a < DIM; a++) assert_true(fabs(other[a] - x[a]) < 0.2);
  /* the likelihoods of a point and of its exchange are one number */
  bool ok = false;
  dpi_point here = {0, NULL, NULL}, there = {0, NULL, NULL};
  OK(dpi_indiv_eval(person->iv, x + DIM, false, &here, &ok));
  OK(dpi_indiv_eval(person->iv, other, false, &there, &ok));
  assert_true(fabs(here.l - there.l + 2 * (log_prior(prior, x + DIM) - log_prior(prior, other))) < 1e-6);

  /* the belief: starts from the better one, says that there are two, has both in their proportion */
  dp_belief *b = NULL;
  ad.seed = 7;
  ad.ndraw = 4000;
  ad.nproposal = 20000;
  OK(dp_assimilate(w->kind, w->record, 2, INFINITY, prior, &ad, &b));
  assert_int_equal(b->usable, 1);
  assert_non_null(strstr(b->verdict, "2 modes"));
  for (int a = 0; a < DIM; a++) assert_true(fabs(b->mode[a] - x[a]) < 1e-6);
  double nother = 0, ratio = 0, square = 0, n = 0;
  bool side = flipped(w, prior, at, x);
  for (int k = 0; k < b->ndraw; k++) {
    const double *eta = b->eta + (size_t)k * DIM;
    if (flipped(w, prior, at, eta) != side) {
      nother++;
      continue;
    }
    exchange(w, prior, at, eta, other);
    double r = dpi_m_exp(log_prior(prior, other) - log_prior(prior, eta));
    n++;
    ratio += r;
    square += r * r;
  }
  ratio /= n;
  double share = ratio / (1 + ratio), found = nother / b->ndraw;
  /* errors of the share found, and of the mean ratio; one comparison of 4.5 of them: a false alarm in 1e-5 */
  double error = sqrt(share * (1 - share) / fmin(b->ess, b->ndraw)) + sqrt((square / n - ratio * ratio) / n);
  if (getenv("SHOW")) print_message("share %.4f, expected %.4f +- %.4f: %s\n", found, share, error, b->verdict);
  assert_true(share > 0.02 && share < 0.5);
  assert_true(fabs(found - share) < 4.5 * error);
  dp_belief_destroy(b);
  dpi_person_destroy(person);
  dp_prior_destroy(prior);
  world_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_flip_flop)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
