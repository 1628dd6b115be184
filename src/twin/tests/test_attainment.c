/* test_attainment.c - the regimen of twins/vancomycin: what the search states of each regimen against 10^5
 * simulations that share nothing with it: draws of the posterior by rejection from the prior (exact), areas and
 * troughs by closed form, libm, a generator of its own. */
#include <time.h>

#include "doppel/plan.h"
#include "twin/tests/twin_rig.h"

enum { MANY = 100000 };

typedef struct person {
  const char *id;
  double clcr, wt;
  int ndose, nobs;
  double dose[2][3], obs[2][2]; /* amount, start, duration; time, value */
} person;

static const person people[] = {
    {"A", 34, 62, 2, 2, {{1900, 0, 1}, {1750, 22.2, 1}}, {{12, 14.8}, {37.5, 22.5}}},
    {"B", 65, 70, 2, 2, {{2000, 0, 2}, {1400, 24.2, 2}}, {{13, 12}, {48, 10.5}}},
};

/* splitmix64 (Steele, Lea & Flood 2014) and Box-Muller */
static uint64_t state64;
static double uniform(void) {
  uint64_t z = (state64 += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}
static double normal(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

typedef struct body {
  double a, b, A, B, CL;
} body;

static body body_of(const person *p, const double *eta) {
  const double CL = 4.5 * pow(p->clcr / 120, 0.8) * exp(eta[0]), Vc = 58.4 * p->wt / 70 * exp(eta[1]),
               Vp = 38.4 * exp(eta[2]);
  const double k10 = CL / Vc, k12 = 6.5 / Vc, k21 = 6.5 / Vp, s = k10 + k12 + k21, d = sqrt(s * s - 4 * k10 * k21);
  const double a = (s + d) / 2, b = (s - d) / 2;
  return (body){a, b, (a - k21) / (a - b) / Vc, (k21 - b) / (a - b) / Vc, CL};
}

static double conc(const body *p, const double dose[3], double t) {
  const double in = fmin(t - dose[1], dose[2]), out = fmax(t - dose[1] - dose[2], 0), rate = dose[0] / dose[2];
  if (t <= dose[1]) return 0;
  return rate * (p->A / p->a * (1 - exp(-p->a * in)) * exp(-p->a * out) +
                 p->B / p->b * (1 - exp(-p->b * in)) * exp(-p->b * out));
}

static double log_likelihood(const person *p, const double *eta) {
  const body b = body_of(p, eta);
  double l = 0;
  for (int i = 0; i < p->nobs; i++) {
    double c = 0;
    for (int d = 0; d < p->ndose; d++) c += conc(&b, p->dose[d], p->obs[i][0]);
    const double s = 3.4 + 0.227 * c, z = (p->obs[i][1] - c) / s;
    l -= 0.5 * z * z + log(s);
  }
  return l;
}

/* Exact draws of the posterior: the prior's, each kept with its likelihood over a bound of it. */
static void posterior(const person *p, body *out) {
  double bound = 0; /* no residual at all, and the sd of a concentration of zero */
  for (int i = 0; i < p->nobs; i++) bound -= log(3.4);
  double top = -INFINITY, eta[3];
  state64 = 7;
  for (int k = 0; k < 20000; k++) { /* a tighter bound: the largest of many, and half a unit more */
    for (int j = 0; j < 3; j++) eta[j] = sqrt((const double[]){0.147, 0.510, 0.282}[j]) * normal();
    top = fmax(top, log_likelihood(p, eta));
  }
  bound = fmin(bound, top + 0.5);
  for (int n = 0; n < MANY;) {
    for (int j = 0; j < 3; j++) eta[j] = sqrt((const double[]){0.147, 0.510, 0.282}[j]) * normal();
    const double l = log_likelihood(p, eta);
    assert_true(l <= bound);
    if (log(uniform()) < l - bound) out[n++] = body_of(p, eta);
  }
}

/* Shares of draws with the day's area in range, and with a trough above 20 mg/L, at steady state. */
static void attained(const body *draw, double dose, double interval, double duration, double *target, double *trough) {
  int in = 0, high = 0;
  for (int k = 0; k < MANY; k++) {
    const body *b = &draw[k];
    const double area = 24 / interval * dose / b->CL, rate = dose / duration, rest = interval - duration;
    const double c =
        rate * (b->A / b->a * (1 - exp(-b->a * duration)) * exp(-b->a * rest) / (1 - exp(-b->a * interval)) +
                b->B / b->b * (1 - exp(-b->b * duration)) * exp(-b->b * rest) / (1 - exp(-b->b * interval)));
    in += area >= 400 && area <= 600;
    high += c > 20;
  }
  *target = in / (double)MANY;
  *trough = high / (double)MANY;
}

static int term_of(const dp_kind *k, const char *id) {
  for (int t = 0; t < k->reward.nterm; t++)
    if (strcmp(k->reward.term[t].id, id) == 0) return t;
  fail_msg("no term %s", id);
  return -1;
}

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void stated_probabilities(void **state) {
  world one, *w = &one;
  world_open(w, *state, TWINS "/vancomycin");
  const int target = term_of(w->kind, "target"), trough = term_of(w->kind, "trough");
  const int nparam = dp_sim_describe(w->kind->sim)->nparam;
  body *draw = calloc(MANY, sizeof *draw);
  double *param = calloc((size_t)nparam, sizeof *param);
  for (int i = 0; i < 2; i++) {
    const person *p = &people[i];
    dpi_case *c = NULL;
    dp_belief *belief = NULL, *fresh = NULL;
    dp_advice *advice = NULL;
    dp_assimilate_def how = dp_assimilate_def_default();
    how.ndraw = 12000;
    how.nproposal = 16000;
    how.seed = 3;
    OK(dpi_case_create(w->kind, w->record, i, &c));
    OK(dp_assimilate(w->kind, w->record, i, INFINITY, w->prior, &how, &belief));
    how.seed = 4;
    OK(dp_assimilate(w->kind, w->record, i, INFINITY, w->prior, &how, &fresh));
    dp_instant *history = calloc((size_t)c->ninstant + 1, sizeof *history);
    const double zero[3] = {0};
    dpi_case_apply(c, w->prior->typical, zero, param, history);
    dp_plan_patient patient = {.param = param,
                               .eta_effect = c->eta_effect,
                               .history = history,
                               .nhistory = c->ninstant,
                               .now = 48,
                               .stream = c->stream,
                               .belief = belief,
                               .fresh = fresh};
    dp_plan_def def = dp_plan_def_default();
    const double begin = cpu();
    OK(dp_plan_search(w->kind, &patient, &def, &advice));
    printf("person %s: %d regimens, %.1f ms of processor: %s\n", p->id, advice->ncandidate, 1e3 * (cpu() - begin),
           advice->reason);
    posterior(p, draw);
    int judged = 0;
    double worst = 0;
    for (int k = 0; k < advice->ncandidate; k++) {
      const dp_candidate *a = &advice->candidate[k];
      double area, high;
      if (a->ndraw < belief->ndraw) continue;
      attained(draw, a->dose, a->interval, 2, &area, &high);
      judged++;
      worst = fmax(worst, fmax(fabs(a->term[target].value - area), fabs(a->term[trough].value - high)));
      assert_true(fabs(a->term[target].value - area) < 0.01);
      assert_true(fabs(a->term[trough].value - high) < 0.01);
      if (!a->fresh) continue;
      assert_true(fabs(a->fresh[target].value - area) < 0.01);
      assert_true(fabs(a->fresh[trough].value - high) < 0.01);
      if (advice->chosen == k)
        printf("  chosen: stated %.4f, independent %.4f; trough %.4f, %.4f\n", a->fresh[target].value, area,
               a->fresh[trough].value, high);
    }
    printf("  %d regimens judged on all draws, largest difference %.2f points\n", judged, 100 * worst);
    assert_true(judged > 0);
    dp_advice_destroy(advice);
    dp_belief_destroy(belief);
    dp_belief_destroy(fresh);
    dpi_case_destroy(c);
    free(history);
  }
  free(draw);
  free(param);
  world_close(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {TEST(stated_probabilities)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
