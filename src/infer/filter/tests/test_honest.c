/* Is what is said about a person as sure as it says? Shown on people who are made up: effects from the prior,
 * readings from
 * the model, the belief from those readings alone.
 *
 *     coverage   theophylline people: 90 % intervals of the next reading and of each parameter, by the batch method and
 *                reading by reading. 10,000 people with --whole (0.90 +- 0.01 is 3.3 standard errors: 9e-4 false alarms
 *                each, 8 counts, under 1 % in all); fewer without, against 4.5 standard errors (7e-6 each)
 *     ranks      simulation-based calibration: theophylline, warfarin (drug and effect) and a model of neutrophils
 *     under a
 *                drug that stops their making (delay chain, feedback). 500 replicates with --whole, else few; bands
 *                that
 *                hold everywhere at once (Saeilynoja et al. 2022) at 0.001 each: 7 checks, under 1 % in all
 *
 *     test_honest [--whole] [--only coverage|ranks] [--people N] [--replicates N]
 */
#include "../../tests/linear_kind.h"

#include <stdlib.h>

#include "doppel/assimilate.h"
#include "infer/sample/nuts.h"
#include "infer/sample/sbc.h"

static bool whole;
static const char *only;
static int npeople, nreplicate;

/* ---- people who are made up ---- */

typedef struct maker {
  world *w;
  dp_prior *prior;
  dpi_person *person; /* all readings of the subject's design */
  int subject;
  double chol[64], f[64], s[64];
} maker;

static void maker_open(maker *m, world *w, int subject) {
  memset(m, 0, sizeof *m);
  m->w = w;
  m->subject = subject;
  OK(dp_prior_nominal(w->kind, &m->prior));
  OK(dpi_person_create(w->kind, w->record, subject, INFINITY, false, &m->person));
  m->person->typical = m->prior->typical;
  int n = m->person->c->neta;
  assert_true(n <= 8 && m->person->nobs <= 64);
  dpi_person_omega(m->person, m->prior->omega, m->chol);
  assert_true(dpi_chol(m->chol, n));
}

static void maker_close(maker *m) {
  dpi_person_destroy(m->person);
  dp_prior_destroy(m->prior);
}

/* Effects into eta, readings into the record. */
static void make_person(maker *m, uint64_t number, double *eta) {
  world *w = m->w;
  const dpi_case *c = m->person->c;
  const dp_subject *subject = &w->record->subject[m->subject];
  int n = c->neta;
  dpi_rng rng = dpi_rng_make(20240917, number, 77);
  double z[8], individual[8];
  uint8_t ok;
  for (int i = 0; i < n; i++) z[i] = dpi_rng_normal(&rng);
  dpi_tri_mul_lower(m->chol, n, z, eta);
  dpi_person_batch out = {m->f, m->s, individual, &ok};
  OK(dpi_person_simulate(m->person, eta, 1, &out));
  if (!ok) fail_msg("person %d can't be simulated", (int)number);
  for (int i = 0; i < m->person->nobs; i++) {
    bool log = w->kind->observable[c->obs[i].observable].noise == DPI_NOISE_LOGNORMAL;
    double e = m->s[i] * dpi_rng_normal(&rng), y = log ? m->f[i] * exp(e) : m->f[i] + e;
    for (int k = 0; k < subject->nevent; k++)
      if (subject->event[k].line == c->obs[i].line) ((dp_event *)&subject->event[k])->value = y;
  }
}

static double value_of(const maker *m, int obs) {
  const dp_subject *subject = &m->w->record->subject[m->subject];
  for (int k = 0; k < subject->nevent; k++)
    if (subject->event[k].line == m->person->c->obs[obs].line) return subject->event[k].value;
  return NAN;
}

/* ---- beliefs ---- */

static dp_belief *by_batch(const maker *m, double until, uint64_t seed) {
  world *w = m->w;
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_belief *b;
  def.seed = seed;
  def.discrepancy = 0;
  OK(dp_assimilate(w->kind, w->record, m->subject, until, m->prior, &def, &b));
  return b;
}

/* Reading by reading, and whether the next one fell into its interval. */
static dp_belief *by_readings(const maker *m, double until, uint64_t seed, int nparticle, int *inside) {
  world *w = m->w;
  dp_assimilation_def def = dp_assimilation_def_default();
  dp_assimilation *a;
  dp_belief *b;
  int n, k = 0;
  def.seed = seed;
  def.nparticle = nparticle;
  OK(dp_assimilation_create(w->kind, w->record, m->subject, m->prior, &def, &a));
  const dp_observation *o = dp_assimilation_record(a, &n);
  while (k < n && o[k].time <= until) { /* readings of one moment together */
    int first = k;
    while (k < n && o[k].time == o[first].time) k++;
    OK(dp_assimilation_read(a, &o[first], k - first));
  }
  if (inside && k < n) {
    dp_outlook look;
    OK(dp_assimilation_forecast(a, &o[k], &look));
    *inside = look.inside90;
  }
  OK(dp_assimilation_belief(a, &b));
  dp_assimilation_destroy(a);
  return b;
}

/* ---- coverage ---- */

typedef struct tally {
  int n, inside[4], unfit;
} tally;

static double share_below(const dp_belief *b, int j, double truth) {
  double below = 0;
  for (int k = 0; k < b->ndraw; k++) below += b->weight[k] * (b->eta[k * b->neta + j] < truth);
  return below;
}

static void count_parameters(tally *t, const dp_belief *b, const double *eta) {
  for (int j = 0; j < 3; j++) {
    double p = share_below(b, j, eta[j]);
    t->inside[1 + j] += p >= 0.05 && p <= 0.95;
  }
  t->unfit += !b->usable;
  t->n++;
}

/* The next reading under the batch belief: the mixture of its draws' laws. */
static int next_inside(const maker *m, const dp_belief *b) {
  static double f[1000 * 16], s[1000 * 16], individual[1000 * 3];
  static uint8_t ok[1000];
  world *w = m->w;
  int nobs = m->person->nobs, at = b->nobs;
  double y = value_of(m, at), below = 0;
  assert_true(b->ndraw <= 1000 && nobs <= 16 && at < nobs);
  dpi_person_batch out = {f, s, individual, ok};
  OK(dpi_person_simulate(m->person, b->eta, b->ndraw, &out));
  for (int k = 0; k < b->ndraw; k++) below += b->weight[k] * dpi_norm_cdf((y - f[k * nobs + at]) / s[k * nobs + at]);
  return below >= 0.05 && below <= 0.95;
}

static void check_tally(const char *how, const tally *t) {
  static const char *const what[] = {"next reading", "ka", "CL", "V"};
  for (int i = 0; i < 4; i++) {
    double share = (double)t->inside[i] / t->n, se = sqrt(0.09 / t->n), bound = t->n >= 10000 ? 0.01 : 4.5 * se;
    print_message("%-20s %-13s %d of %d in the 90 %% interval: %.4f (95 %% of it: %.4f..%.4f)\n", how, what[i],
                  t->inside[i], t->n, share, share - 1.96 * se, share + 1.96 * se);
    if (fabs(share - 0.9) > bound) fail_msg("%s, %s: coverage %.4f", how, what[i], share);
  }
  print_message("%-20s %d of %d beliefs said that they are not fit\n", how, t->unfit, t->n);
  assert_true(t->unfit <= 0.01 * t->n);
}

static void test_coverage(void **state) {
  (void)state;
  if (only && strcmp(only, "coverage") != 0) skip();
  int people = npeople ? npeople : whole ? 10000 : 96;
  tally batch = {0}, sequence = {0};
  world W, *w = &W;
  maker m[12];
  world_open(w, 1);
  for (int i = 0; i < 12; i++) maker_open(&m[i], w, i);
  for (int i = 0; i < people; i++) {
    maker *k = &m[i % 12];
    double eta[8];
    int inside = 0;
    make_person(k, (uint64_t)i, eta);
    dp_belief *b = by_batch(k, 2.25, (uint64_t)i + 1);
    batch.inside[0] += next_inside(k, b);
    count_parameters(&batch, b, eta);
    dp_belief_destroy(b);
    b = by_readings(k, 2.25, (uint64_t)i + 1, 400, &inside);
    sequence.inside[0] += inside;
    count_parameters(&sequence, b, eta);
    dp_belief_destroy(b);
  }
  check_tally("batch", &batch);
  check_tally("reading by reading", &sequence);
  for (int i = 0; i < 12; i++) maker_close(&m[i]);
  world_close(w);
}

/* ---- ranks ---- */

/* One person's posterior as what samplers see. */
typedef struct indiv_density {
  dpi_density base;
  dpi_indiv *iv;
  double lower[8], upper[8], fisher[64];
} indiv_density;

static dp_status indiv_eval(dpi_density *d, int npoint, const double *x, unsigned what, dpi_density_value *value) {
  indiv_density *id = (indiv_density *)d;
  for (int i = 0; i < npoint; i++) {
    dpi_density_value *v = &value[i];
    bool deriv = what & (DPI_DENSITY_GRADIENT | DPI_DENSITY_FISHER);
    dpi_point pt = {0, v->gradient, what & DPI_DENSITY_FISHER ? v->fisher : id->fisher};
    DP_TRY(dpi_indiv_eval(id->iv, x + i * d->n, deriv, &pt, &v->ok));
    v->loglik = v->ok ? -0.5 * pt.l : -INFINITY;
    v->logprior = 0;
    for (int k = 0; k < d->n && deriv; k++) v->gradient[k] *= -0.5;
  }
  return DP_OK;
}
static const dpi_density_ops indiv_ops = {.eval = indiv_eval};

enum { NDRAW = 99, THIN = 3 };

static void by_nuts(const maker *m, uint64_t seed, double *draw) {
  world *w = m->w;
  dpi_person *p;
  dpi_draws *draws;
  dpi_nuts_report report;
  double omega[64], start[8] = {0};
  OK(dpi_person_create(w->kind, w->record, m->subject, INFINITY, false, &p));
  p->typical = m->prior->typical;
  dpi_person_omega(p, m->prior->omega, omega);
  OK(dpi_indiv_prior(p->iv, omega));
  indiv_density d = {.base = {.ops = &indiv_ops, .ctx = w->ctx, .n = p->iv->dim}, .iv = p->iv};
  for (int i = 0; i < 8; i++) d.lower[i] = -INFINITY, d.upper[i] = INFINITY;
  d.base.lower = d.lower;
  d.base.upper = d.upper;
  dpi_nuts_def def = dpi_nuts_def_default();
  def.seed = seed;
  def.nchain = 1;
  def.nwarmup = 200;
  def.ndraw = NDRAW * THIN;
  def.start = start;
  OK(dpi_nuts_run(&d.base, &def, &draws, &report));
  assert_int_equal(report.nstuck, 0);
  for (int k = 0; k < NDRAW; k++) memcpy(draw + k * d.base.n, draws->x + k * THIN * d.base.n, sizeof *draw * d.base.n);
  dpi_draws_destroy(draws);
  dpi_person_destroy(p);
}

/* One of ten of a belief's draws: 99 of them. */
static void thin(const dp_belief *b, double *draw) {
  for (int k = 0; k < NDRAW; k++)
    memcpy(draw + k * b->neta, b->eta + (size_t)(k * (b->ndraw / NDRAW)) * b->neta, sizeof *draw * b->neta);
}

enum { IMPORTANCE, IBIS, NUTS, NSAMPLER };
static const char *const sampler_name[] = {"importance", "ibis", "nuts"};

static void ranks(world *w, const char *model, int first, int npeople_of, unsigned samplers) {
  int n = nreplicate ? nreplicate : whole ? 500 : 8, neta = 0, unfit = 0;
  static double draw[NDRAW * 8];
  dpi_sbc sbc[NSAMPLER];
  maker m[12];
  for (int i = 0; i < npeople_of; i++) maker_open(&m[i], w, first + i), neta = m[i].person->c->neta;
  for (int s = 0; s < NSAMPLER; s++) OK(dpi_sbc_init(&sbc[s], w->ctx, neta, n, NDRAW, 0.001));
  for (int i = 0; i < n; i++) {
    maker *k = &m[i % npeople_of];
    double eta[8];
    make_person(k, 1000000 + (uint64_t)i, eta);
    for (int s = 0; s < NSAMPLER; s++) {
      if (!(samplers & 1u << s)) continue;
      uint64_t seed = 5000 + (uint64_t)i;
      dp_belief *b = s == IMPORTANCE ? by_batch(k, INFINITY, seed)
                     : s == IBIS     ? by_readings(k, INFINITY, seed, 400, NULL)
                                     : NULL;
      if (b) unfit += !b->usable, thin(b, draw);
      if (!b) by_nuts(k, seed, draw);
      dp_belief_destroy(b);
      for (int j = 0; j < neta; j++) OK(dpi_sbc_add(&sbc[s], j, eta[j], draw + j, neta));
    }
  }
  for (int s = 0; s < NSAMPLER; s++) {
    dpi_sbc_report r;
    if (samplers & 1u << s) {
      OK(dpi_sbc_check(&sbc[s], &r));
      print_message("%-12s %-11s %d replicates, %d effects: %s (%.2f of the band's width)\n", model, sampler_name[s], n,
                    neta, r.uniform ? "uniform" : "NOT uniform", r.excess);
      if (!r.uniform) fail_msg("%s, %s: %s", model, sampler_name[s], r.words);
    }
    dpi_sbc_release(&sbc[s]);
  }
  print_message("%-12s %d beliefs said that they are not fit\n", model, unfit);
  assert_true(unfit <= 0.02 * n);
  for (int i = 0; i < npeople_of; i++) maker_close(&m[i]);
}

static void test_ranks_theophylline(void **state) {
  (void)state;
  if (only && strcmp(only, "ranks") != 0) skip();
  world W, *w = &W;
  world_open(w, 1);
  ranks(w, "theophylline", 0, 12, 1u << IMPORTANCE | 1u << IBIS | 1u << NUTS);
  world_close(w);
}

static void test_ranks_warfarin(void **state) {
  (void)state;
  if (only && strcmp(only, "ranks") != 0) skip();
  world W, *w = &W;
  dp_ctx_def def = dp_ctx_def_default();
  memset(w, 0, sizeof *w);
  def.nthread = 1;
  assert_int_equal(dp_ctx_create(&def, &w->ctx), DP_OK);
  OK(dp_kind_load(w->ctx, DOPPEL_SOURCE_DIR "/twins/warfarin", &w->kind));
  OK(dp_kind_record(w->kind, DOPPEL_SOURCE_DIR "/twins/warfarin/patients/warfarin.csv", &w->record));
  ranks(w, "warfarin", 0, whole ? 8 : 2, 1u << IMPORTANCE | 1u << IBIS);
  world_close(w);
}

/* A drug with two doses; proliferating cells, three transit compartments, circulating ones, feedback: L. E. Friberg
 * et al.,
 * J. Clin. Oncol. 20 (2002) 4713. Time in h, cells in 1e9/L. */
static void neutrophil_open(world *w) {
  char dir[400];
  dp_ctx_def def = dp_ctx_def_default();
  memset(w, 0, sizeof *w);
  def.nthread = 1;
  assert_int_equal(dp_ctx_create(&def, &w->ctx), DP_OK);
  snprintf(dir, sizeof dir, "%s/neutrophils", DOPPEL_BINARY_DIR);
  mkdir(dir, 0777);
  write_text(dir, "twin.yaml",
             "kind: neutrophils\ntitle: Neutrophils\nquestion: How low?\nintended_use: A test.\n"
             "time_unit: h\nuntil: 240\nhorizon: 500\nmodel: model.ant\nparameters: parameters.tsv\n"
             "population: population.tsv\ncovariates: covariates.tsv\nobservables: observables.tsv\n"
             "controls: controls.tsv\n");
  write_text(
      dir, "model.ant",
      "model neutrophils()\n  base = 5; mtt = 100; slope = 0.1;\n  drug = 0; prol = base; t1 = base; t2 = base;\n"
      "  t3 = base; circ = base;\n  k := 4/mtt;\n  drug' = -0.03*drug;\n"
      "  prol' = k*prol*((1 - slope*drug/10)*(base/circ)^0.17 - 1);\n"
      "  t1' = k*(prol - t1); t2' = k*(t1 - t2); t3' = k*(t2 - t3);\n  circ' = k*(t3 - circ);\nend\n");
  write_text(dir, "parameters.tsv",
             "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\n"
             "tv_base\tlog\t0.1\t100\t5\t1\t1\ntv_mtt\tlog\t1\t1000\t110\t1\th\ntv_slope\tlog\t0.0001\t10\t0.12\t1\t1\n"
             "sd\tlog\t0.001\t10\t0.2\t1\t1\n");
  write_text(dir, "population.tsv",
             "parameterId\ttypical\tdistribution\teffectId\tlevel\tvariance\testimate\n"
             "base\ttv_base\tlognormal\teta_base\tperson\t0.1\t1\nmtt\ttv_mtt\tlognormal\teta_mtt\tperson\t0.03\t1\n"
             "slope\ttv_slope\tlognormal\teta_slope\tperson\t0.15\t1\n");
  write_text(dir, "covariates.tsv", "covariateId\tunit\tlower\tupper\tparameterId\tfactor\tmissing\tconvention\n");
  write_text(dir, "controls.tsv",
             "controlId\ttarget\tunit\tname\tcompartment\tlower\tupper\tstrengths\tmaxUnits\tintervals\tapprover\n"
             "dose\tdrug\t1\tdrug\t1\t0\t900\t100\t3\t24\tprescriber\n");
  write_text(dir, "observables.tsv",
             "observableId\tobservableFormula\tnoiseFormula\tnoiseDistribution\tunit\tcompartment\n"
             "cells\tcirc\tsd\tlognormal\t1\t2\n");
  OK(dp_kind_load(w->ctx, dir, &w->kind));
  OK(linear_read(w,
                 "ID,TIME,DV,AMT,EVID,CMT\n1,0,0,100,1,1\n1,24,5,0,0,2\n1,120,3,0,0,2\n1,168,0,80,1,1\n1,200,2,0,0,2\n"
                 "1,264,2,0,0,2\n1,360,2,0,0,2\n1,500,4,0,0,2\n"));
}

static void test_ranks_neutrophils(void **state) {
  (void)state;
  if (only && strcmp(only, "ranks") != 0) skip();
  world W, *w = &W;
  neutrophil_open(w);
  ranks(w, "neutrophils", 0, 1, 1u << IMPORTANCE | 1u << IBIS);
  world_close(w);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--whole") == 0) whole = true;
    if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) only = argv[++i];
    if (strcmp(argv[i], "--people") == 0 && i + 1 < argc) npeople = atoi(argv[++i]);
    if (strcmp(argv[i], "--replicates") == 0 && i + 1 < argc) nreplicate = atoi(argv[++i]);
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_coverage), cmocka_unit_test(test_ranks_theophylline),
                                     cmocka_unit_test(test_ranks_warfarin), cmocka_unit_test(test_ranks_neutrophils)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
