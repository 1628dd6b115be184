/* The exact methods against closed forms: birth and death, dimerisation by its master equation, immigration with a rate
 * that varies in time, a rate that follows a continuous state; speed is told, not judged. */
#include "st_bed.h"

#include <time.h>

#define Z 4.0 /* standard errors */

static const st_state one[] = {{"X", "100", NULL}, {0}};
static const st_param bd_param[] = {{"lambda", 0.1}, {"mu", 0.11}, {0}};
static const st_reaction bd_reaction[] = {
    {"birth", "lambda*X", {{"X", "1", 1}}, false}, {"death", "mu*X", {{"X", "-1", 1}}, false}, {0}};
static const st_model bd = {one, bd_param, bd_reaction, NULL, NULL};
static const dp_output_def x_out[] = {{.id = "X"}};

static const char *const exact[] = {"direct", "next-reaction"};

/* mean x0 e^(l-m)t, variance x0 (l+m)/(l-m) e^(l-m)t (e^(l-m)t - 1) */
static void test_birth_death(void **state) {
  (void)state;
  const double t[] = {0, 1, 10, 50};
  dp_model *m = bed_model(&bd);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], x_out, 1);
    const clock_t begin = clock();
    const bed_stat s = bed_go(sim, 10000, t, 4, NULL, 0, 11);
    printf("%s: %.2f s of processor for 10000 runs of 850 jumps on average\n", exact[k],
           (double)(clock() - begin) / CLOCKS_PER_SEC);
    for (int i = 0; i < 4; i++) {
      const double r = 0.1 - 0.11, e = exp(r * t[i]);
      bed_expect(&s, i, 0, 100 * e, sqrt(100 * (0.21 / r) * e * (e - 1)), Z, exact[k]);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* 2 P -> P2, P2 -> 2 P with 100 P at the start: the master equation on 51 states by small steps of order 4 */
static void master(double k1, double k2, double t, double *mean, double *sd) {
  enum { N = 51 };
  double p[N] = {1}, k[4][N], y[N];
  const int steps = (int)ceil(t / 0.002);
  const double h = t / steps;
  for (int s = 0; s < steps; s++) {
    for (int g = 0; g < 4; g++) {
      for (int i = 0; i < N; i++) y[i] = p[i] + (g == 0 ? 0 : (g == 3 ? h : h / 2) * k[g - 1][i]);
      for (int i = 0; i < N; i++) {
        const double f = k1 * (100 - 2 * i) * (99 - 2 * i) / 2, b = k2 * i;
        k[g][i] = -(f + b) * y[i];
        if (i > 0) k[g][i] += k1 * (102 - 2 * i) * (101 - 2 * i) / 2 * y[i - 1];
        if (i < N - 1) k[g][i] += k2 * (i + 1) * y[i + 1];
      }
    }
    for (int i = 0; i < N; i++) p[i] += h / 6 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
  }
  double a = 0, b = 0;
  for (int i = 0; i < N; i++) {
    a += i * p[i];
    b += (double)i * i * p[i];
  }
  *mean = a;
  *sd = sqrt(b - a * a);
}

static void test_dimer(void **state) {
  (void)state;
  static const st_state states[] = {{"P", "100/V", NULL}, {"P2", "0", NULL}, {0}};
  static const st_param param[] = {{"k1", 0.001}, {"k2", 0.01}, {"V", 0.3}, {0}};
  /* concentrations in a volume: rates are in amounts, a jump changes a concentration by 1/V */
  static const st_reaction reaction[] = {{"bind", "k1*(P*V)*(P*V - 1)/2", {{"P", "-2/V", 2}, {"P2", "1/V", 0}}, false},
                                         {"part", "k2*P2*V", {{"P", "2/V", 0}, {"P2", "-1/V", 1}}, false},
                                         {0}};
  static const st_model d = {states, param, reaction, NULL, NULL};
  static const dp_output_def out[] = {{.id = "P", .formula = "P*V"}, {.id = "P2", .formula = "P2*V"}};
  const double t[] = {0, 5, 20};
  dp_model *m = bed_model(&d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], out, 2);
    const bed_stat s = bed_go(sim, 8000, t, 3, NULL, 0, 3);
    for (int i = 1; i < 3; i++) {
      double mean, sd;
      master(0.001, 0.01, t[i], &mean, &sd);
      bed_expect(&s, i, 1, mean, sd, Z, exact[k]);
      bed_expect(&s, i, 0, 100 - 2 * mean, 2 * sd, Z, exact[k]);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Poisson with mean int 20 (1 + sin t) dt: a propensity that varies in time; and one that follows exp(-t) from a rate
 * rule */
static void test_time(void **state) {
  (void)state;
  static const st_state states[] = {{"X", "0", NULL}, {"Y", "0", NULL}, {"c", "1", "-c"}, {0}};
  static const st_reaction reaction[] = {
      {"in", "20*(1 + sin(time))", {{"X", "1", 0}}, false}, {"drug", "30*c", {{"Y", "1", 0}}, false}, {0}};
  static const st_model d = {states, NULL, reaction, NULL, NULL};
  static const dp_output_def out[] = {{.id = "X"}, {.id = "Y"}, {.id = "c"}};
  const double t[] = {0.5, 4, 9};
  dp_model *m = bed_model(&d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], out, 3);
    const bed_stat s = bed_go(sim, 3000, t, 3, NULL, 0, 5);
    for (int i = 0; i < 3; i++) {
      const double x = 20 * (t[i] + 1 - cos(t[i])), y = 30 * (1 - exp(-t[i]));
      bed_expect(&s, i, 0, x, sqrt(x), Z, "sine");
      bed_expect(&s, i, 1, y, sqrt(y), Z, "decay");
      assert_true(fabs(s.mean[i][2] - exp(-t[i])) < 1e-7);
    }
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* A clock that jumps steer: c' = X between jumps of a Poisson process: mean k t^2/2, variance k t^3/3; c has no noise
 * of its own */
static void test_steered(void **state) {
  (void)state;
  static const st_state states[] = {{"X", "0", NULL}, {"c", "0", "X"}, {0}};
  static const st_reaction reaction[] = {{"in", "3", {{"X", "1", 0}}, false}, {0}};
  static const st_model d = {states, NULL, reaction, NULL, NULL};
  static const dp_output_def out[] = {{.id = "X"}, {.id = "c"}};
  const double t[] = {2, 5};
  dp_model *m = bed_model(&d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], out, 2);
    const bed_stat s = bed_go(sim, 8000, t, 2, NULL, 0, 6);
    for (int i = 0; i < 2; i++) bed_expect(&s, i, 1, 1.5 * t[i] * t[i], sqrt(t[i] * t[i] * t[i]), Z, "area");
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

/* Many channels: a ring of 40 places; every molecule is uniform on it in the end, so counts are binomial */
static void test_ring(void **state) {
  (void)state;
  enum { R = 40 };
  static char id[R][16], rate[R][32], name[R][16];
  st_state states[R + 1];
  st_reaction reaction[R + 1];
  memset(states, 0, sizeof states);
  memset(reaction, 0, sizeof reaction);
  for (int i = 0; i < R; i++) {
    snprintf(id[i], sizeof id[i], "S%d", i);
    snprintf(name[i], sizeof name[i], "r%d", i);
    snprintf(rate[i], sizeof rate[i], "5*S%d", i);
    states[i] = (st_state){id[i], "10", NULL};
  }
  for (int i = 0; i < R; i++)
    reaction[i] = (st_reaction){name[i], rate[i], {{id[i], "-1", 1}, {id[(i + 1) % R], "1", 0}}, false};
  const st_model d = {states, NULL, reaction, NULL, NULL};
  const dp_output_def out[] = {{.id = "S0"}, {.id = "S17"}, {.id = "sum", .formula = "S0 + S1 + S2 + S3"}};
  const double t[] = {6};
  dp_model *m = bed_model(&d);
  for (int k = 0; k < 2; k++) {
    dp_sim *sim = bed_sim(m, exact[k], out, 3);
    const bed_stat s = bed_go(sim, 800, t, 1, NULL, 0, 8);
    bed_expect(&s, 0, 0, 10, sqrt(400 * 0.025 * 0.975), Z, exact[k]);
    bed_expect(&s, 0, 1, 10, sqrt(400 * 0.025 * 0.975), Z, exact[k]);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_birth_death), cmocka_unit_test(test_dimer),
                                     cmocka_unit_test(test_time), cmocka_unit_test(test_steered),
                                     cmocka_unit_test(test_ring)};
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
