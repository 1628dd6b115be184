/* The visual predictive check: data made by the law itself, in closed form and apart from the code under test, lie inside nine
 * times of ten; a law with half the variance does not go through; corrections against a formula; nothing depends on threads. */
#include "../../tests/linear_kind.h"
#include "infer/population/vpc_impl.h"

#include <stdlib.h>

enum { NTIME = 4, MOST_PEOPLE = 500 };
static const double T[NTIME] = {1, 2, 4, 7};

/* N people of the nominal law: base 2 (variance 0.5), slope 1 (0.3), error 0.4. W: everybody's covariate or NULL. */
static void make_people(world *w, int npeople, uint64_t seed, const double *weight, bool lognormal, double *y) {
  size_t size = (size_t)npeople * NTIME * 60 + 100;
  char *text = malloc(size), *end = text;
  assert_non_null(text);
  end += snprintf(end, size, weight ? "ID,TIME,DV,W\n" : "ID,TIME,DV\n");
  dpi_rng rng = dpi_rng_make(seed, 11, 3);
  for (int i = 0; i < npeople; i++) {
    double base = 2 + sqrt(.5) * noise(&rng), slope = (weight ? weight[i] / 70 : 1) + sqrt(.3) * noise(&rng);
    for (int k = 0; k < NTIME; k++) {
      char number[32];
      double v = base + slope * T[k] + .4 * noise(&rng);
      y[i * NTIME + k] = lognormal ? dpi_m_exp(v) : v;
      dpi_format_double(y[i * NTIME + k], number);
      end += snprintf(end, size - (size_t)(end - text), "%d,%g,%s", i + 1, T[k], number);
      end += weight ? snprintf(end, size - (size_t)(end - text), ",%g\n", weight[i]) : snprintf(end, 2, "\n");
    }
  }
  OK(linear_read(w, text));
  free(text);
}

/* Largest k with P(X < k) <= tail and smallest with P(X > k) <= tail, X binomial. */
static void binomial_band(int n, double p, double tail, int *low, int *high) {
  double pmf = pow(1 - p, n), sum = 0;
  *low = *high = 0;
  for (int k = 0; k <= n; k++) {
    if (sum <= tail) *low = k;
    sum += pmf;
    if (1 - sum > tail) *high = k + 1;
    pmf *= (double)(n - k) / (k + 1) * p / (1 - p);
  }
  if (*high > n) *high = n;
}

/* 150 data sets. False alarm: 1e-3 over all twelve cells and both sides (Bonferroni). Of 200 exchangeable percentiles the
 * observed one lies below interpolated position 10.9 with chance 10.9/200. */
static void test_coverage(void **state) {
  (void)state;
  enum { SETS = 150, PEOPLE = 15, REPLICATES = 199 };
  static const variant v = {.name = "vpc_coverage"};
  world W, *w = &W;
  static double y[MOST_PEOPLE * NTIME];
  int inside[NTIME * DP_VPC_NPERCENTILE] = {0}, low, high;
  dp_prior *prior = NULL;
  linear_open(w, &v, 2);
  OK(dp_prior_nominal(w->kind, &prior));
  for (int s = 0; s < SETS; s++) {
    dp_vpc *vpc = NULL;
    dp_vpc_def def = dp_vpc_def_default();
    def.nreplicate = REPLICATES;
    def.seed = 1000 + (uint64_t)s;
    make_people(w, PEOPLE, 77 + (uint64_t)s, NULL, false, y);
    OK(dp_vpc_create(w->kind, w->record, prior, &def, &vpc));
    assert_int_equal(vpc->npanel, 1);
    assert_int_equal(vpc->panel[0].nbin, NTIME);
    for (int k = 0; k < NTIME; k++) {
      assert_int_equal(vpc->panel[0].bin[k].nobs, PEOPLE);
      for (int q = 0; q < DP_VPC_NPERCENTILE; q++) inside[k * DP_VPC_NPERCENTILE + q] += vpc->panel[0].bin[k].inside[q];
    }
    dp_vpc_destroy(vpc);
  }
  binomial_band(SETS, 1 - 2 * 10.9 / 200, 1e-3 / 24, &low, &high);
  assert_true(low > 100 && high < SETS);
  for (int c = 0; c < NTIME * DP_VPC_NPERCENTILE; c++)
    if (inside[c] < low || inside[c] > high) fail_msg("cell %d: inside in %d of %d data sets, expected %d to %d", c, inside[c], SETS, low, high);
  dp_prior_destroy(prior);
  world_close(w);
}

/* Half the variance: at late times the outer percentiles of 500 people stand five standard errors off (a miss in a thousand). */
static void test_wrong_law(void **state) {
  (void)state;
  static const variant v = {.name = "vpc_wrong"};
  world W, *w = &W;
  static double y[MOST_PEOPLE * NTIME];
  dp_prior *prior = NULL;
  dp_vpc *right = NULL, *wrong = NULL;
  dp_vpc_def def = dp_vpc_def_default();
  def.nreplicate = 100;
  def.nbin = NTIME;
  linear_open(w, &v, 2);
  OK(dp_prior_nominal(w->kind, &prior));
  make_people(w, MOST_PEOPLE, 5, NULL, false, y);
  OK(dp_vpc_create(w->kind, w->record, prior, &def, &right));
  for (int k = 0; k < 4; k++) prior->omega[k] *= 0.5;
  OK(dp_vpc_create(w->kind, w->record, prior, &def, &wrong));
  for (int k = 2; k < NTIME; k++) {
    const dp_vpc_bin *b = &wrong->panel[0].bin[k];
    assert_true(b->observed[0] < b->simulated[0][0]);
    assert_true(b->observed[2] > b->simulated[2][2]);
    assert_false(b->inside[0] || b->inside[2]);
  }
  assert_true(right->ninside > wrong->ninside);
  assert_int_equal(right->ncell, NTIME * DP_VPC_NPERCENTILE);
  dp_vpc_destroy(right);
  dp_vpc_destroy(wrong);
  dp_prior_destroy(prior);
  world_close(w);
}

static void test_threads(void **state) {
  (void)state;
  dp_vpc *vpc[2] = {NULL, NULL};
  world W[2];
  for (int i = 0; i < 2; i++) {
    world *w = &W[i];
    dp_prior *prior = NULL;
    dp_vpc_def def = dp_vpc_def_default();
    def.nreplicate = 60;
    def.correction = "ratio";
    world_open(w, i ? 7 : 1);
    OK(dp_prior_nominal(w->kind, &prior));
    OK(dp_vpc_create(w->kind, w->record, prior, &def, &vpc[i]));
    dp_prior_destroy(prior);
  }
  const dp_vpc_panel *a = vpc[0]->panel, *b = vpc[1]->panel;
  assert_int_equal(a->nbin, 11);
  assert_int_equal(a->nbin, b->nbin);
  assert_memory_equal(a->bin, b->bin, sizeof *a->bin * (size_t)a->nbin);
  assert_memory_equal(a->value, b->value, sizeof *a->value * (size_t)a->npoint);
  for (int i = 0; i < 2; i++) {
    dp_vpc_destroy(vpc[i]);
    world_close(&W[i]);
  }
}

/* exp(base + slope W/70 t): the factor is known; and of y itself the difference. */
static void test_correction(void **state) {
  (void)state;
  enum { PEOPLE = 9 };
  static const variant v[2] = {{.name = "vpc_ratio", .lognormal = true, .weight = "locf"}, {.name = "vpc_difference", .weight = "locf"}};
  const double weight[PEOPLE] = {40, 45, 50, 55, 70, 80, 90, 100, 110}; /* the median person is the middle one */
  for (int m = 0; m < 2; m++) {
    world W, *w = &W;
    double y[PEOPLE * NTIME], wide = 0;
    dp_prior *prior = NULL;
    dp_vpc *vpc = NULL;
    dp_vpc_def def = dp_vpc_def_default();
    def.nreplicate = 40;
    def.correction = m ? "difference" : "ratio";
    linear_open(w, &v[m], 1);
    make_people(w, PEOPLE, 21, weight, m == 0, y);
    OK(dp_prior_nominal(w->kind, &prior));
    OK(dp_vpc_create(w->kind, w->record, prior, &def, &vpc));
    assert_int_equal(vpc->panel[0].npoint, PEOPLE * NTIME);
    for (int k = 0; k < NTIME; k++)
      for (int i = 0; i < PEOPLE; i++) {
        double shift = (1 - weight[i] / 70) * T[k], at = y[i * NTIME + k];
        near("corrected", vpc->panel[0].value[k * PEOPLE + i], m ? at + shift : at * exp(shift), 1e-5);
        wide = fmax(wide, fabs(shift));
      }
    assert_true(wide > 3);
    dp_vpc_destroy(vpc);
    dp_prior_destroy(prior);
    world_close(w);
  }
}

/* Doses of one to four, concentrations in proportion: one curve once corrected. Time after dose counts from repeats too. */
static void test_doses(void **state) {
  (void)state;
  world W, *w = &W;
  dp_prior *prior = NULL;
  dp_vpc *plain = NULL, *corrected = NULL;
  dp_vpc_def def = dp_vpc_def_default();
  char text[2000] = "ID,TIME,AMT,DV,EVID,CMT,WT\n";
  def.nreplicate = 20;
  for (int i = 0; i < 4; i++) {
    double dose = 100 * (i + 1);
    snprintf(text + strlen(text), sizeof text - strlen(text), "%d,0,%g,.,1,1,70\n%d,1,.,%g,0,2,70\n%d,6,.,%g,0,2,70\n", i + 1, dose, i + 1,
             dose * .02, i + 1, dose * .01);
  }
  world_open(w, 1);
  mkdir("vpc_doses", 0777);
  OK(linear_read_in(w, "vpc_doses", text));
  OK(dp_prior_nominal(w->kind, &prior));
  OK(dp_vpc_create(w->kind, w->record, prior, &def, &plain));
  def.correction = "ratio";
  OK(dp_vpc_create(w->kind, w->record, prior, &def, &corrected));
  assert_int_equal(plain->panel[0].nbin, 2);
  for (int k = 0; k < 2; k++) {
    assert_true(plain->panel[0].bin[k].observed[2] > 2 * plain->panel[0].bin[k].observed[0]);
    near("collapsed", corrected->panel[0].bin[k].observed[2], corrected->panel[0].bin[k].observed[0], 1e-6);
  }
  dp_vpc_destroy(plain);
  dp_vpc_destroy(corrected);
  OK(linear_read_in(w, "vpc_doses", "ID,TIME,AMT,DV,EVID,CMT,WT,II,ADDL\n1,0,.,0.1,0,2,70,.,.\n1,0,300,.,1,1,70,8,2\n1,1,.,5,0,2,70,.,.\n"
                    "1,9,.,6,0,2,70,.,.\n1,18,.,6,0,2,70,.,.\n1,30,.,2,0,2,70,.,.\n"));
  def.correction = "none";
  def.after_dose = 1;
  OK(dp_vpc_create(w->kind, w->record, prior, &def, &plain));
  const double since[4] = {1, 1, 2, 14};
  assert_int_equal(plain->panel[0].npoint, 4);
  assert_int_equal(plain->panel[0].nleft_out, 1);
  for (int i = 0; i < 4; i++) near("after dose", plain->panel[0].time[i], since[i], 1e-12);
  dp_vpc_destroy(plain);
  dp_prior_destroy(prior);
  world_close(w);
}

static void test_limits(void **state) {
  (void)state;
  static const variant v = {.name = "vpc_limits"};
  world W, *w = &W;
  dp_prior *prior = NULL;
  dp_vpc *vpc = NULL;
  dp_vpc_def def = dp_vpc_def_default();
  const double edge[3] = {0, 3, 5};
  linear_open(w, &v, 1);
  OK(linear_read(w, "ID,TIME,DV,CENS\n1,1,2,1\n1,4,6,0\n2,1,3,0\n2,4,7,0\n3,1,4,0\n3,9,12,0\n"));
  OK(dp_prior_nominal(w->kind, &prior));
  def.edge = edge;
  def.nedge = 3;
  OK(dp_vpc_create(w->kind, w->record, prior, &def, &vpc));
  const dp_vpc_panel *p = vpc->panel;
  assert_int_equal(p->nbin, 2);
  assert_int_equal(p->nleft_out, 1);
  assert_int_equal(p->bin[0].nobs, 3);
  assert_int_equal(p->bin[0].nbelow, 1);
  assert_true(isinf(p->bin[0].observed[0]) && p->bin[0].observed[0] < 0);
  near("median", p->bin[0].observed[1], 3, 1e-12);
  near("95 %", p->bin[0].observed[2], 3.9, 1e-12);
  /* P(3 + effects + error < 2), sd^2 = 0.5 + 0.3 + 0.16, is 0.154: of three people none or one in the middle */
  assert_true(p->bin[0].below[0] == 0 && p->bin[0].below[2] > 0.3 && p->bin[0].below[2] < 0.7);
  assert_true(isinf(p->bin[0].simulated[0][0]));
  dp_vpc_destroy(vpc);
  def.correction = "ratio";
  assert_int_equal(dp_vpc_create(w->kind, w->record, prior, &def, &vpc), DP_ERR_UNSUPPORTED);
  assert_null(vpc);
  dp_ctx_clear_error(w->ctx);
  def = dp_vpc_def_default();
  def.after_dose = 1;
  assert_int_equal(dp_vpc_create(w->kind, w->record, prior, &def, &vpc), DP_ERR_INPUT);
  dp_ctx_clear_error(w->ctx);
  const double back[2] = {3, 1};
  for (int bad = 0; bad < 4; bad++) {
    def = dp_vpc_def_default();
    if (bad == 0) def.cookie = 0;
    if (bad == 1) def.nreplicate = 1;
    if (bad == 2) def.correction = "guess";
    if (bad == 3) def.edge = back, def.nedge = 2;
    assert_int_equal(dp_vpc_create(w->kind, w->record, prior, &def, &vpc), DP_ERR_USAGE);
    dp_ctx_clear_error(w->ctx);
  }
  dp_prior_destroy(prior);
  world_close(w);
}

static void test_percentile(void **state) {
  (void)state;
  const double x[5] = {-INFINITY, 1, 2, 4, 8};
  assert_true(isnan(dpi_vpc_percentile(x, 0, 0.5)));
  assert_true(dpi_vpc_percentile(x, 5, 0.5) == 2);
  assert_true(dpi_vpc_percentile(x, 5, 1) == 8);
  assert_true(isinf(dpi_vpc_percentile(x, 5, 0.1)));
  assert_true(fabs(dpi_vpc_percentile(x + 1, 4, 0.5) - 3) < 1e-15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_percentile), cmocka_unit_test(test_coverage),   cmocka_unit_test(test_wrong_law),
      cmocka_unit_test(test_threads),    cmocka_unit_test(test_correction), cmocka_unit_test(test_doses),
      cmocka_unit_test(test_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
