/* Independent comparison: beliefs whose law is known by quadrature and that no single component describes. Of each pair
 * of effects only the product is measured, so that their law lies along the two branches of a hyperbola, the smaller of
 * which has a few per cent; of a third pair a + b^2, a crescent. Pairs are independent: mass, means, deviations and
 * evidence are products of two-dimensional integrals. */
#include <stdlib.h>

#include "linear_kind.h"

#define PAIRS 3
#define NOISE 0.15
#define PI 3.14159265358979323846

static const double CENTRE[2 * PAIRS] = {0.5, 0.4, 0.35, 0.5, 0, 0.2}, MEASURED[PAIRS] = {0.8, 0.5, 0.7};

static void write_kind(world *w, const char *dir) {
  static const char name[] = "abcdef";
  char text[2000] = "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\n";
  for (int k = 0; k < 2 * PAIRS; k++)
    snprintf(text + strlen(text), sizeof text - strlen(text), "tv_%c\tlin\t-100\t100\t%g\t0\t1\n", name[k], CENTRE[k]);
  write_text(dir, "parameters.tsv", text);
  strcpy(text, "parameterId\ttypical\tdistribution\teffectId\teffectId2\tlevel\tvariance\testimate\n");
  for (int k = 0; k < 2 * PAIRS; k++)
    snprintf(text + strlen(text), sizeof text - strlen(text), "%c\ttv_%c\tnormal\teta_%c\t\tperson\t1\t0\n", name[k],
             name[k], name[k]);
  write_text(dir, "population.tsv", text);
  write_text(dir, "observables.tsv",
             "observableId\tobservableFormula\tnoiseFormula\tnoiseDistribution\tunit\tdvid\n"
             "ab\ta*b + x\t0.15\tnormal\t1\tab\n"
             "cd\tc*d + x\t0.15\tnormal\t1\tcd\n"
             "ef\te + f^2 + x\t0.15\tnormal\t1\tef\n");
  write_text(dir, "model.ant",
             "model ridges()\n  a = 0; b = 0; c = 0; d = 0; e = 0; f = 0;\n  x = 0;\n  x' = -x;\nend\n");
  write_text(dir, "twin.yaml",
             "kind: ridges\ntitle: Bent ridges\nquestion: On which?\nintended_use: A test.\ntime_unit: h\nuntil: 4\n"
             "horizon: 10\nmodel: model.ant\nparameters: parameters.tsv\npopulation: population.tsv\n"
             "observables: observables.tsv\n");
  OK(dp_kind_load(w->ctx, dir, &w->kind));
}

typedef struct truth { /* of one pair */
  double mass, negative, mean[2], sd[2];
} truth;

/* Midpoints over eight prior deviations in the first effect, and where the measurement puts the second. */
static truth integrate(int pair) {
  enum { N = 4000, M = 400 };
  truth t = {0};
  double square[2] = {0};
  for (int i = 0; i < N; i++) {
    const double x = -8 + 16 * (i + 0.5) / N;
    double low = -8, high = 8;
    if (pair < 2 && fabs(x) > 1e-3) {
      const double half = 8 * NOISE / fabs(x), at = MEASURED[pair] / x;
      low = fmax(low, at - half);
      high = fmin(high, at + half);
    }
    for (int j = 0; j < M * (pair < 2 ? 1 : 10) && low < high; j++) {
      const int m = M * (pair < 2 ? 1 : 10);
      const double y = low + (high - low) * (j + 0.5) / m, a = pair < 2 ? x : y, b = pair < 2 ? y : x;
      const double da = a - CENTRE[2 * pair], db = b - CENTRE[2 * pair + 1];
      const double r = (MEASURED[pair] - (pair < 2 ? a * b : a + b * b)) / NOISE;
      const double density = exp(-0.5 * (da * da + db * db + r * r)) / (2 * PI * sqrt(2 * PI) * NOISE);
      const double p = density * (high - low) / m * 16 / N;
      t.mass += p;
      t.negative += b < 0 ? p : 0;
      t.mean[0] += p * da;
      t.mean[1] += p * db;
      square[0] += p * da * da;
      square[1] += p * db * db;
    }
  }
  t.negative /= t.mass;
  for (int k = 0; k < 2; k++) {
    t.mean[k] /= t.mass;
    t.sd[k] = sqrt(square[k] / t.mass - t.mean[k] * t.mean[k]);
  }
  return t;
}

static void ridges_open(world *w, int nthread) {
  char dir[400];
  dp_ctx_def def = dp_ctx_def_default();
  memset(w, 0, sizeof *w);
  def.nthread = nthread;
  OK(dp_ctx_create(&def, &w->ctx));
  snprintf(dir, sizeof dir, "%s/bent_ridges", DOPPEL_BINARY_DIR);
  mkdir(dir, 0777);
  write_kind(w, dir);
  OK(linear_read(w, "ID,TIME,DVID,DV\n1,1,ab,0.8\n1,1,cd,0.5\n1,1,ef,0.7\n"));
}

static dp_belief *ridges_belief(world *w, const dp_prior *prior, int seed) {
  dp_assimilate_def ad = dp_assimilate_def_default();
  dp_belief *b = NULL;
  ad.seed = (uint64_t)seed;
  ad.ess = 400;
  ad.khat = 0.5;
  OK(dp_assimilate(w->kind, w->record, 0, INFINITY, prior, &ad, &b));
  return b;
}

/* Seeds 1 to 5, 12 means and deviations and 3 shares each: 75 comparisons with at least 400 effective draws' standard
 * errors, beyond 4.5 of which one in 150000 lies by chance. Laws with tails: a deviation's error is taken as twice a
 * normal law's. */
static void test_ridges(void **state) {
  (void)state;
  world W, *w = &W;
  dp_prior *prior = NULL;
  ridges_open(w, 2);
  OK(dp_prior_nominal(w->kind, &prior));
  truth t[PAIRS];
  double evidence = 0;
  for (int k = 0; k < PAIRS; k++) {
    t[k] = integrate(k);
    evidence += log(t[k].mass);
  }
  assert_true(t[0].negative > 0.02 && t[0].negative < 0.45 && t[1].negative > 0.02 && t[1].negative < 0.45);
  for (int seed = 1; seed <= 5; seed++) {
    dp_belief *b = ridges_belief(w, prior, seed);
    if (getenv("SHOW"))
      print_message("seed %d: %s (%s), ln evidence %.3f, %.3f expected\n", seed, b->verdict, b->method, b->evidence,
                    evidence);
    assert_int_equal(b->usable, 1);
    const double n = fmin(b->ess, b->ndraw);
    assert_true(n >= 400 && fabs(b->evidence - evidence) < 4.5 / sqrt(n));
    for (int k = 0; k < 2 * PAIRS; k++) {
      double m = 0, v = 0, negative = 0;
      for (int i = 0; i < b->ndraw; i++) {
        const double x = b->eta[i * b->neta + k];
        m += x / b->ndraw;
        v += x * x / b->ndraw;
        negative += (x + CENTRE[k] < 0) / (double)b->ndraw;
      }
      const truth *e = &t[k / 2];
      const double sd = e->sd[k % 2], share = e->negative;
      if (getenv("SHOW"))
        print_message("  %c: %.3f (%.3f), sd %.3f (%.3f), below 0 %.3f (%.3f)\n", "abcdef"[k], m, e->mean[k % 2],
                      sqrt(v - m * m), sd, negative, share);
      assert_true(fabs(m - e->mean[k % 2]) < 4.5 * sd / sqrt(n));
      assert_true(fabs(sqrt(v - m * m) / sd - 1) < 4.5 * 2 / sqrt(2 * n));
      if (k % 2) assert_true(fabs(negative - share) < 4.5 * sqrt(share * (1 - share) / n));
    }
    dp_belief_destroy(b);
  }
  dp_prior_destroy(prior);
  world_close(w);
}

/* Settled sets on one, two and five threads: the same bytes. */
static void test_threads(void **state) {
  static const int nthread[] = {1, 2, 5};
  char first[65] = "";
  (void)state;
  for (int k = 0; k < 3; k++) {
    world W, *w = &W;
    dp_prior *prior = NULL;
    ridges_open(w, nthread[k]);
    OK(dp_prior_nominal(w->kind, &prior));
    dp_belief *b = ridges_belief(w, prior, 1);
    assert_string_equal(b->method, "settled mixture");
    if (k == 0) snprintf(first, sizeof first, "%s", b->hash);
    assert_string_equal(b->hash, first);
    dp_belief_destroy(b);
    dp_prior_destroy(prior);
    world_close(w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_ridges), cmocka_unit_test(test_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
