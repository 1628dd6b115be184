/* Closed forms: draws are standard normal scores on a grid, so that a tilted belief is a shifted normal one, and rewards and events
 * are linear in them. What wins at which shift, which share of a variance goes and how probable an event is are known by hand. */
#include "explain/why_impl.h"

#include "doppel/report.h"
#include "kind/tests/kind_rig.h"

enum { N = 4000 };

typedef struct stage {
  rig *r;
  dp_kind kind;
  dpi_kind_effect effect[2];
  dpi_kind_term term[2];
  dp_belief belief;
  dp_appraisal a;
  dp_plan_appraisal plan[3];
  dp_term_value value[3][2];
  double z1[N], z2[N], individual[2 * N], draw[3][N], path[3][2 * N], gain[3][2 * N];
  unsigned char event[3][2 * N];
} stage;

static const char text[3][192] = {"A", "B", "C"};

static stage *stage_of(rig *r, int nplan, int nterm) {
  stage *s = calloc(1, sizeof *s);
  assert_non_null(s);
  s->r = r;
  for (int i = 0; i < N; i++) {
    s->z1[i] = dpi_norm_quantile((i + 0.5) / N);
    s->z2[i] = dpi_norm_quantile((i * 2473 % N + 0.5) / N); /* a lattice: nothing to do with the first */
    s->individual[2 * i] = exp(0.5 + 0.3 * s->z1[i]);
    s->individual[2 * i + 1] = exp(0.2 * s->z2[i]);
  }
  s->effect[0] = (dpi_kind_effect){.id = "e1", .parameter = "CL", .name = "clearance", .unit = "L/h"};
  s->effect[1] = (dpi_kind_effect){.id = "e2", .parameter = "V", .name = "volume", .unit = "L"};
  s->kind = (dp_kind){.ctx = r->ctx, .time_unit = "h", .neffect = 2, .effect = s->effect};
  s->kind.reward = (dpi_kind_reward){.given = true, .confidence = 0.95, .nterm = nterm, .term = s->term};
  s->belief = (dp_belief){.ctx = r->ctx, .ndraw = N, .nindividual = 2, .individual = s->individual, .usable = 1, .ess = N};
  for (int i = 0; i < nplan; i++)
    s->plan[i] = (dp_plan_appraisal){.term = s->value[i], .draw = s->draw[i], 
                                      .value = s->path[i], .gain = s->gain[i], .event = s->event[i], .admissible = 1, .binding = -1};
  s->a = (dp_appraisal){.ctx = r->ctx, .nplan = nplan, .nterm = nterm, .ndraw = N, .neff = N, .plan = s->plan, .best = 0};
  return s;
}

static dpi_kind_term reward_term(const char *id, double weight) {
  return (dpi_kind_term){.id = id, .name = id, .text = id, .goal = DPI_GOAL_REWARD, .functional = DP_INTEGRAL, .weight = weight,
                         .objective = -1, .of_control = -1};
}

static dpi_kind_term limit_term(const char *id, double bound, double probability) {
  return (dpi_kind_term){.id = id, .name = id, .text = id, .goal = DPI_GOAL_LIMIT, .functional = DP_MAXIMUM, .relation = 1,
                         .bound = bound, .probability = probability, .objective = -1, .of_control = -1};
}

/* What an appraisal has beside the path: what terms add, which events happened. */
static void complete(stage *s) {
  for (int i = 0; i < s->a.nplan; i++)
    for (int t = 0; t < s->a.nterm; t++)
      for (int k = 0; k < N; k++) {
        bool limit = s->term[t].goal == DPI_GOAL_LIMIT;
        s->gain[i][t * N + k] = limit ? 0 : s->term[t].weight * s->path[i][t * N + k];
        s->event[i][t * N + k] = limit && s->path[i][t * N + k] > s->term[t].bound;
      }
}

static dp_why *explained(stage *s, int best) {
  complete(s);
  dp_why_def def = dp_why_def_default();
  dp_why *w = NULL;
  dp_status status = dp_why_plans(&s->kind, &s->belief, &s->a, text, best, &def, &w);
  if (status != DP_OK) fail_msg("%s", dp_ctx_error(s->r->ctx));
  return w;
}

/* A earns 1 whatever the person is like, B 2 z1 + z2: B wins when the mean of z1 is 0.5 sd higher, or that of z2 1 sd; of the
 * difference's variance, 5, four fifths go with z1. */
static void test_rewards(void **state) {
  stage *s = stage_of(*state, 2, 1);
  s->term[0] = reward_term("gain", 1);
  for (int k = 0; k < N; k++) {
    s->draw[0][k] = s->path[0][k] = 1;
    s->draw[1][k] = s->path[1][k] = 2 * s->z1[k] + s->z2[k];
  }
  s->plan[0].reward = s->value[0][0].value = 1;
  s->plan[1].reward = s->value[1][0].value = 0;
  dp_why *w = explained(s, 0);
  assert_int_equal(w->best, 0);
  assert_int_equal(w->runner_up, 1);
  assert_int_equal(w->ndriver, 2);
  assert_string_equal(w->driver[0].parameter, "CL");
  assert_true(fabs(w->driver[0].share - 0.8) < 0.03 && fabs(w->driver[1].share - 0.2) < 0.03);
  if (!(w->driver[0].low < 0.8 && w->driver[0].high > 0.8)) fail_msg("share %g (%g .. %g)", w->driver[0].share, w->driver[0].low, w->driver[0].high);
  assert_true(w->driver[0].direction < 0); /* the larger, the smaller the lead of A */
  const dp_why_rival *r = &w->rival[0];
  assert_true(fabs(r->better - 0.5 * erfc(1 / sqrt(10))) < 0.01);
  assert_int_equal(r->nshift, 2);
  assert_string_equal(r->shift[0].what, "CL");
  assert_true(fabs(r->shift[0].sd - 0.5) < 0.01);
  assert_true(fabs(r->shift[0].from - exp(0.5)) < 1e-3 && fabs(r->shift[0].to - exp(0.5 + 0.3 * 0.5)) < 0.01);
  assert_string_equal(r->shift[1].what, "V");
  if (!(fabs(r->shift[1].sd - 1.0) < 0.02)) fail_msg("shift %g", r->shift[1].sd);
  assert_true(fabs(w->term[0].difference - 1) < 1e-12);
  double width = w->term[0].high - w->term[0].low;
  if (!(fabs(width / (2 * 1.96 * sqrt(5.0 / N)) - 1) < 0.02)) fail_msg("interval %g", width);
  dp_why_destroy(w);
  free(s);
}

/* Largest estimate whose upper 95 % Clopper-Pearson bound is p, by summing the binomial law. */
static double holds_at(int n, double p) {
  double term = pow(1 - p, n), sum = term;
  int k = 0;
  while (sum <= 0.05) {
    term *= (double)(n - k) / (k + 1) * p / (1 - p);
    sum += term;
    k++;
  }
  return (double)(k - 1) / n;
}

static double upper_tail(double z) { return 0.5 * erfc(z / sqrt(2)); }

/* The only plan breaks its limit, P(z1 > 1) <= 5 %: it would hold were the mean of z1 lower, by what is left of the normal law. */
static void test_limit(void **state) {
  stage *s = stage_of(*state, 1, 1);
  s->term[0] = limit_term("peak", 1.0, 0.05);
  for (int k = 0; k < N; k++) s->path[0][k] = s->z1[k];
  double p = upper_tail(1);
  s->value[0][0] = (dp_term_value){p, p - 0.01, p + 0.01, 0};
  s->plan[0].admissible = 0;
  s->a.best = -1;
  dp_why *w = explained(s, -1);
  assert_int_equal(w->best, -1);
  assert_int_equal(w->nlimit, 1);
  assert_true(fabs(w->limit[0].slack - (0.05 - p - 0.01)) < 1e-12);
  assert_string_equal(w->limit_driver[0].parameter, "CL");
  assert_true(w->limit_driver[0].share > 0.97);
  const dp_why_rival *r = &w->rival[0];
  double allowed = holds_at(N, 0.05), low = 0, high = 4;
  for (int i = 0; i < 60; i++) {
    double middle = (low + high) / 2;
    *(upper_tail(1 + middle) > allowed ? &low : &high) = middle;
  }
  assert_string_equal(r->shift[0].what, "CL");
  if (fabs(r->shift[0].sd + low) > 0.02) fail_msg("shift %g, expected %g", r->shift[0].sd, -low);
  int at = r->nshift - 1;
  assert_int_equal(r->shift[at].way, DP_WHY_LIMIT);
  assert_true(r->shift[at].loosen && fabs(r->shift[at].to - (p + 0.01)) < 1e-12);
  dp_why_destroy(w);
  free(s);
}

/* Two rewards with known values: the weight at which B draws level; C earns more and breaks the limit, which it would hold at its
 * bound; B would win were the limit stricter than A's bound. */
static void test_weights_and_limits(void **state) {
  stage *s = stage_of(*state, 3, 2);
  s->term[0] = reward_term("gain", 2);
  s->term[1] = limit_term("peak", 3.0, 0.05);
  const double gain[3] = {3, 2.5, 4}, bound[3] = {0.04, 0.01, 0.08};
  for (int i = 0; i < 3; i++) {
    for (int k = 0; k < N; k++) {
      s->draw[i][k] = 2 * gain[i];
      s->path[i][k] = gain[i];
      s->path[i][N + k] = k < bound[i] * N * 0.9 ? 4 : 2;
    }
    s->plan[i].reward = 2 * gain[i];
    s->plan[i].admissible = i < 2;
    s->value[i][0] = (dp_term_value){gain[i], gain[i], gain[i], 1};
    s->value[i][1] = (dp_term_value){0.9 * bound[i], 0, bound[i], i < 2};
  }
  dp_why *w = explained(s, -1);
  assert_int_equal(w->best, 0);
  assert_int_equal(w->runner_up, 1);
  assert_int_equal(w->ndriver, 0); /* the same in every draw */
  for (int i = 0; i < w->nrival; i++) {
    const dp_why_rival *r = &w->rival[i];
    bool limit = false;
    for (int k = 0; k < r->nshift; k++) {
      const dp_why_shift *x = &r->shift[k];
      if (x->way != DP_WHY_LIMIT) continue;
      limit = true;
      assert_int_equal(x->loosen, r->plan == 2);
      assert_true(fabs(x->to - (r->plan == 2 ? 0.08 : 0.04)) < 1e-12);
    }
    assert_true(limit);
  }
  char *words = NULL;
  assert_int_equal(dp_why_text(&s->kind, w, &words), DP_OK);
  assert_non_null(strstr(words, "why: A"));
  assert_non_null(strstr(words, "limit peak at most 8.0 % instead of 5.0 %"));
  assert_non_null(strstr(words, "limit peak stricter than 4.0 %"));
  dp_report_free(s->r->ctx, words);
  assert_int_equal(dp_why_json(&s->kind, w, &words), DP_OK);
  json_t *o = json_loads(words, 0, NULL);
  assert_non_null(o);
  assert_int_equal(json_array_size(json_object_get(o, "rivals")), 2);
  json_decref(o);
  dp_report_free(s->r->ctx, words);
  dp_why_destroy(w);
  free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_rewards, rig_setup, rig_teardown),
                                     cmocka_unit_test_setup_teardown(test_limit, rig_setup, rig_teardown),
                                     cmocka_unit_test_setup_teardown(test_weights_and_limits, rig_setup, rig_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
