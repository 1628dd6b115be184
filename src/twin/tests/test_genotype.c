/* test_genotype.c - twins/warfarin_genotype: the dosing equations against sums made by hand; the typical person's
 * steady state against its closed form; what a response teaches, against people simulated under a known truth. */
#include "doppel/dose.h"
#include "twin/tests/twin_rig.h"

static const char head[] = "ID,TIME,AMT,DV,DVID,EVID,age,height,weight,race,CYP2C9,VKORC1,inducer,amiodarone\n";

/* A record with these lines below the header, read by the kind. */
static dp_record *record_of(world *w, const char *lines) {
  char path[300];
  dp_record *record = NULL;
  rig_join(path, sizeof path, w->r->dir, "people.csv");
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  fprintf(f, "%s%s", head, lines);
  fclose(f);
  OK(dp_kind_record(w->kind, path, &record));
  return record;
}

static void open_kind(world *w, rig *r) {
  *w = (world){.r = r};
  w->kind = rig_load(r, TWINS "/warfarin_genotype");
  OK(dp_prior_nominal(w->kind, &w->prior));
}

static double quantity(world *w, const dpi_case *c, const char *id, const double *eta) {
  double *param = calloc((size_t)dp_sim_describe(w->kind->sim)->nparam, sizeof *param);
  dp_instant *in = calloc((size_t)c->ninstant + 1, sizeof *in);
  dp_output_time when = {0, INT32_MIN};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *result = NULL;
  dpi_case_apply(c, w->prior->typical, eta, param, in);
  dpi_case_undirect(in, c->ninstant);
  dp_member m = {.param = param, .instant = in, .ninstant = c->ninstant, .out = &when, .nout = 1};
  OK(dp_simulate(w->kind->sim, &m, 1, &opts, &result));
  int output = dp_sim_output(w->kind->sim, id);
  assert_true(output >= 0);
  const double value = result->status[0] == DP_MEMBER_OK ? result->value[output] : NAN;
  dp_result_destroy(result);
  free(param);
  free(in);
  return value;
}

/* Sums of the published coefficients made by hand; the dose is the square. */
static void equations_by_hand(void **state) {
  static const struct {
    const char *id, *person;
    double genetic, clinical;
  } example[] = {
      /* 5.6044 - .2614*6 + .0087*170 + .0128*75 - .8677;  4.0376 - .2546*6 + .0118*170 + .0134*75 */
      {"e1", "60,170,75,white,*1/*1,A/G,no,no", 5.6073, 5.5210},
      /* 5.6044 - .2614*4 + .0087*158 + .0128*52 - 1.6974 - .9357 - .1092;  4.0376 - .2546*4 + .0118*158 + .0134*52 -
       * .6752 */
      {"e2", "47,158,52,asian,*1/*3,A/A,no,no", 3.8567, 4.9052},
      /* 5.6044 - .2614*3 + .0087*183 + .0128*104 - .2760;  4.0376 - .2546*3 + .0118*183 + .0134*104 + .4060 */
      {"e3", "35,183,104,black,*1/*1,G/G,no,no", 7.4675, 7.2328},
      /* 5.6044 - .2614*7 + .0087*166 + .0128*81 - .4854 - .2188 - .1032 - .5503;
       * 4.0376 - .2546*7 + .0118*166 + .0134*81 + .0443 - .5695 */
      {"e4", "71,166,81,unknown,unknown,unknown,no,yes", 4.8979, 4.7744},
      /* 5.6044 - .2614*2 + .0087*175 + .0128*68 - .5211 + 1.1816;  4.0376 - .2546*2 + .0118*175 + .0134*68 + 1.2799 */
      {"e5", "29,175,68,white,*1/*2,G/G,yes,no", 8.1350, 7.7845},
      /* from 90 years on nine decades: 5.6044 - .2614*9 + .0087*160 + .0128*60 - .8677 - 1.9206;
       * 4.0376 - .2546*9 + .0118*160 + .0134*60 */
      {"e6", "103,160,60,white,*2/*3,G/A,no,no", 2.6235, 4.4382},
      /* 5.6044 - .2614*5 + .0087*172 + .0128*70 - 2.3312;  4.0376 - .2546*5 + .0118*172 + .0134*70 */
      {"e7", "50,172,70,white,*3/*3,G/G,no,no", 4.3586, 5.7322},
      /* 5.6044 - .2614*5 + .0087*172 + .0128*70 - 1.6974 - 1.0616;  4.0376 - .2546*5 + .0118*172 + .0134*70 */
      {"e8", "59,172,70,white,*2/*2,A/A,no,no", 3.9308, 5.7322},
      /* what is not recorded is unknown, or no: as e4 without amiodarone */
      {"e9", "71,166,81,,,,,", 4.8979 + 0.5503, 4.7744 + 0.5695},
  };
  const int n = (int)(sizeof example / sizeof *example);
  char lines[2000] = "";
  world one, *w = &one;
  open_kind(w, *state);
  for (int i = 0; i < n; i++)
    snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s,0,5,,,1,%s\n", example[i].id, example[i].person);
  dp_record *record = record_of(w, lines);
  for (int i = 0; i < n; i++) {
    dpi_case *c = NULL;
    const double zero[8] = {0};
    OK(dpi_case_create(w->kind, record, i, &c));
    rig_near(quantity(w, c, "dose_genetic", zero), example[i].genetic * example[i].genetic, 1e-13);
    rig_near(quantity(w, c, "dose_clinical", zero), example[i].clinical * example[i].clinical, 1e-13);
    rig_near(quantity(w, c, "dose_week", zero), example[i].genetic * example[i].genetic,
             1e-13); /* the prior's centre */
    dpi_case_destroy(c);
  }
  dp_record_destroy(record);
  world_close(w);
}

/* Where the sum is not positive nothing is said rather than something wrong. */
static void beyond_the_equation(void **state) {
  world one, *w = &one;
  dpi_case *c = NULL;
  const double zero[8] = {0};
  open_kind(w, *state);
  /* 5.6044 - .2614*9 + .0087*120 + .0128*30 - 1.6974 - 2.3312 - .1092 - .5503 = -0.0083 */
  dp_record *record = record_of(w, "e,0,5,,,1,95,120,30,asian,*3/*3,A/A,no,yes\n");
  OK(dpi_case_create(w->kind, record, 0, &c));
  assert_true(isnan(quantity(w, c, "dose_genetic", zero)));
  assert_true(isnan(quantity(w, c, "dose_week", zero)));
  dpi_case_destroy(c);
  dp_record_destroy(record);
  world_close(w);
}

/* Under a constant input of the equation's dose the typical person comes to 30 % of their own activity: Emax c/(EC50
 * + c) = 0.7 at c = dose/(168 CL). Given as 24 small doses a day, which is nearly constant. */
static void equation_dose_holds_the_level(void **state) {
  world one, *w = &one;
  open_kind(w, *state);
  dp_record *record = record_of(w, "e,0,5,,,1,60,170,75,white,*1/*1,A/G,no,no\n");
  dp_belief *b = NULL;
  dp_assimilate_def how = dp_assimilate_def_default();
  dp_dose_def def = dp_dose_def_default();
  dp_dose_answer *a = NULL;
  how.ndraw = 10;
  how.nproposal = 100;
  OK(dp_assimilate(w->kind, record, 0, -1, w->prior, &how, &b)); /* nothing measured: the mode is the typical person */
  def.target = "integral(relative, 0, 1) = 30";
  def.interval = 1;
  def.steady = 1;
  OK(dp_dose_find(w->kind, record, 0, w->prior, b, &def, &a));
  rig_near(168 * a->dose, 5.6073 * 5.6073, 2e-4);
  dp_dose_answer_destroy(a);
  dp_belief_destroy(b);
  dp_record_destroy(record);
  world_close(w);
}

/* Mean and sd over draws of ln(dose that the person needs / dose of the equation): the effects of CL and EC50, whose
 * product the dose is proportional to. */
static void spread(const dp_belief *b, double *mean, double *sd) {
  double s = 0, s2 = 0;
  for (int k = 0; k < b->ndraw; k++) {
    const double x = b->eta[k * b->neta + 0] + b->eta[k * b->neta + 2];
    s += x;
    s2 += x * x;
  }
  *mean = s / b->ndraw;
  *sd = sqrt(s2 / b->ndraw - *mean * *mean);
}

/* The simulated people of the kind (made by tools/genotype.py with a model and an integrator of its own): after three
 * weeks the dose is known more than twice as well as before, nearer to the true one, and the true one lies where the
 * belief says: the squared distances in deviations sum to a chi-squared number of 8 degrees, of which 99.9 % lie
 * between 0.71 and 27.87. */
static void response_narrows(void **state) {
  static const double truth[] = {23.1, 48.0, 29.2, 34.0, 26.7, 86.0, 26.5, 16.1}, /* mg a week, printed by the tool */
      equation[] = {31.4, 39.5, 26.8, 27.8, 28.8, 50.6, 30.2, 18.6};
  world one, *w = &one;
  world_open(w, *state, TWINS "/warfarin_genotype");
  assert_int_equal(w->record->nsubject, 8);
  assert_string_equal(w->kind->effect[0].id, "eta_CL");
  assert_string_equal(w->kind->effect[2].id, "eta_EC50");
  dp_assimilate_def how = dp_assimilate_def_default();
  how.ndraw = 300;
  how.nproposal = 1200;
  how.seed = 5;
  double before = 0, after = 0, chi2 = 0;
  for (int i = 0; i < 8; i++) {
    dp_belief *prior = NULL, *later = NULL;
    double mean, sd;
    OK(dp_assimilate(w->kind, w->record, i, -1, w->prior, &how, &prior));
    OK(dp_assimilate(w->kind, w->record, i, 504, w->prior, &how, &later));
    spread(prior, &mean, &sd);
    rig_near(sd, sqrt(0.0304 + 0.0770), 0.15); /* 300 draws: 4 % standard error */
    spread(later, &mean, &sd);
    assert_true(later->usable);
    assert_true(sd < 0.5 * sqrt(0.0304 + 0.0770));
    before += fabs(log(truth[i] / equation[i]));
    after += fabs(mean - log(truth[i] / equation[i]));
    chi2 += pow((mean - log(truth[i] / equation[i])) / sd, 2);
    dp_belief_destroy(prior);
    dp_belief_destroy(later);
  }
  assert_true(after < before);
  assert_true(chi2 > 0.71 && chi2 < 27.87);
  world_close(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {TEST(equations_by_hand), TEST(beyond_the_equation),
                                     TEST(equation_dose_holds_the_level), TEST(response_narrows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
