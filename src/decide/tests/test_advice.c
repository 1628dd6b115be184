/* Independent comparison: steady-state formulas of one compartment (libm) on the same draws give every candidate's
 * terms, and
 * from them the best regimen by plain search; a next sample's value by enumeration of a belief with two kinds of
 * people. */
#include "base/tests/failing_memory.h"
#include "decide_rig.h"

enum { NDRAW = 400 };
static const double zero[3], tight[3] = {0.2, 0.08, 0.05}, wide[3] = {0.6, 0.5, 0.3};

static dp_advice *search(world *w, const dp_belief *belief, const dp_belief *fresh, const dp_plan_def *given) {
  dp_plan_def def = dp_plan_def_default();
  dp_plan_patient patient = patient_of(w, belief, fresh);
  dp_advice *a = NULL;
  if (dp_plan_search(w->kind, &patient, given ? given : &def, &a) != DP_OK) fail_msg("%s", dp_ctx_error(w->r->ctx));
  return a;
}

/* Estimates of the three terms of a regimen by the closed form. */
static void closed_estimates(const world *w, const dp_belief *b, const dp_candidate *c, double out[3]) {
  out[0] = out[1] = out[2] = 0;
  for (int k = 0; k < b->ndraw; k++) {
    double t[3];
    closed_terms(person_of(w, b->eta + 3 * k), c->dose, c->interval, t);
    out[0] += t[0] >= 5;
    out[1] += t[1] > 20;
    out[2] += t[2] / c->interval;
  }
  for (int i = 0; i < 3; i++) out[i] /= b->ndraw;
}

static bool closed_admissible(const double e[3], int n) {
  double low, high, unused;
  dpi_binomial_bounds(e[0] * n, n, 0.9, &low, &unused);
  dpi_binomial_bounds(e[1] * n, n, 0.9, &unused, &high);
  return low >= 0.9 && high <= 0.05;
}

/* Best admissible regimen by the closed form, or -1. */
static int closed_best(const world *w, const dp_belief *b, const dp_candidate *c, int n, double *reward) {
  int best = -1;
  for (int i = 0; i < n; i++) {
    double e[3];
    closed_estimates(w, b, &c[i], e);
    if (!closed_admissible(e, b->ndraw) || (best >= 0 && e[2] <= *reward)) continue;
    best = i;
    *reward = e[2];
  }
  return best;
}

/* path functionals at steady state, draw by draw */
static void rehearsal_is_the_formula(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  dp_belief *b = belief_make(20, zero, wide, 3);
  dp_plan_patient patient = patient_of(&w, b, b);
  dp_candidate *c;
  dp_plan **plan = NULL;
  dpi_rehearser h;
  dpi_rehearsal r;
  int n, which[3], draw[20];
  assert_int_equal(list_candidates(w.kind, &c, &n, &plan), DP_OK);
  which[0] = 0, which[1] = n / 2, which[2] = n - 1;
  for (int k = 0; k < 20; k++) draw[k] = 19 - k;
  assert_int_equal(dpi_rehearser_open(w.kind, &patient, b, draw, 20, &h), DP_OK);
  assert_int_equal(dpi_decide_rehearse(&h, plan, which, 3, &r), DP_OK);
  dpi_rehearser_close(&h);
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 20; k++) {
      double t[3];
      closed_terms(person_of(&w, b->eta + 3 * draw[k]), c[which[i]].dose, c[which[i]].interval, t);
      for (int j = 0; j < 3; j++) rig_near(dpi_rehearsed(&r, i, j)[k], t[j], 2e-6);
    }
  dpi_rehearsal_release(w.r->ctx, &r);
  for (int i = 0; i < n; i++) dp_plan_destroy(plan[i]);
  free(plan);
  free(c);
  belief_free(b);
  world_close(&w);
}

/* counts of events may differ where a draw lies on a limit within the integrator's error: none does here */
static void best_regimen(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  dp_belief *b = belief_make(NDRAW, zero, tight, 1), *f = belief_make(NDRAW, zero, tight, 2);
  dp_advice *a = search(&w, b, f, NULL);
  double reward = 0, e[3];
  int best = closed_best(&w, b, a->candidate, a->ncandidate, &reward), full = 0;
  assert_true(best >= 0);
  assert_int_equal(a->chosen, best);
  const dp_candidate *c = &a->candidate[best];
  rig_near(c->reward, reward, 1e-6);
  closed_estimates(&w, b, c, e);
  for (int t = 0; t < 3; t++) rig_near(c->term[t].value, e[t], 1e-6);
  closed_estimates(&w, f, c, e); /* scored again on other draws */
  for (int t = 0; t < 3; t++) rig_near(c->fresh[t].value, e[t], 1e-6);
  assert_true(c->fresh[2].value != c->term[2].value);
  for (int i = 0; i < a->ncandidate; i++) { /* whoever was judged on all draws has the formula's figures */
    if (a->candidate[i].ndraw != NDRAW) continue;
    closed_estimates(&w, b, &a->candidate[i], e);
    for (int t = 0; t < 3; t++) rig_near(a->candidate[i].term[t].value, e[t], 1e-6);
    assert_int_equal(a->candidate[i].admissible, closed_admissible(e, NDRAW));
    full++;
  }
  assert_true(full > 1);
  if (a->runner_up >= 0) {
    assert_int_equal(a->candidate[a->runner_up].ndraw, NDRAW);
    assert_true(a->candidate[a->runner_up].admissible && a->candidate[a->runner_up].reward <= reward);
  }
  assert_non_null(strstr(a->reason, "again on fresh draws"));
  assert_string_equal(a->approver, "prescriber");
  dp_advice_destroy(a);
  belief_free(b);
  belief_free(f);
  world_close(&w);
}

/* P(best) by the formulas, among all regimens that hold their limits: also against those that were passed over because
 * another earns more on average (whom another dose suits best). */
static void probability_of_being_best(void **state) {
  const char *dir = rig_kind(*state, "theophylline");
  char path[600];
  rig_join(path, sizeof path, dir, "reward.yaml");
  rig_write(path,
            "plan: {intervals: [12 h]}\nrewards:\n  - {id: r, quantity: cc, functional: time_between, range: [6, 12], "
            "unit: mg/L, fraction: "
            "true, weight: 1}\n");
  rig_edit(dir, "controls.tsv", "intervals\tapprover", "intervals\tapprover\tvalues");
  rig_edit(dir, "controls.tsv", "100;200;300\t3\t6;8;12;24\tprescriber", "\t\t6;8;12;24\tprescriber\t200;240;750");
  rig_edit(dir, "quantities.tsv", "half_life\tln(2)*V/CL\th",
           "cc\tsqrt(c*c)\tmg/L"); /* no simulations are shared: some are passed over */
  world w = world_open(*state, dir);
  static const double sd[3] = {0.1, 0.1, 0.1};
  dp_belief *b = belief_make(NDRAW, zero, sd, 1), *f = belief_make(NDRAW, zero, sd, 2);
  for (int k = 0; k < NDRAW; k += 5) b->eta[3 * k + 1] += 0.9; /* a fifth clear the drug fast */
  dp_plan_def def = dp_plan_def_default();
  def.nscreen = NDRAW;
  dp_advice *a = search(&w, b, f, &def);
  double wins = 0;
  assert_true(a->chosen >= 0);
  for (int k = 0; k < NDRAW; k++) {
    double mine = 0, most = 0, same = 0, t;
    for (int i = 0; i < a->ncandidate; i++) {
      const dp_candidate *c = &a->candidate[i];
      person p = person_of(&w, b->eta + 3 * k);
      double top = peak_time(p, c->interval);
      t = fabs(passes(p, c->dose, c->interval, 0, top, 12) - passes(p, c->dose, c->interval, 0, top, 6)) +
          fabs(passes(p, c->dose, c->interval, top, c->interval, 12) -
               passes(p, c->dose, c->interval, top, c->interval, 6));
      t /= c->interval;
      if (i == a->chosen) mine = t;
      if (t > most + 1e-9) most = t, same = 0;
      same += t > most - 1e-9;
    }
    if (mine > most - 1e-9) wins += 1 / same;
  }
  assert_true(wins > 5 && wins < NDRAW - 5);
  rig_near(a->best_probability, wins / NDRAW, 0.01);
  dp_advice_destroy(a);
  belief_free(b);
  belief_free(f);
  world_close(&w);
}

static void refusals(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  static const double quick[3] = {0, 0.9, 0}; /* clears the drug 2.5 times as fast */
  dp_belief *b = belief_make(NDRAW, zero, tight, 1), *other = belief_make(NDRAW, quick, tight, 2);
  dp_belief *vague = belief_make(NDRAW, zero, wide, 4);
  /* the fresh draws say something else */
  dp_advice *a = search(&w, b, other, NULL);
  assert_int_equal(a->chosen, -1);
  assert_non_null(strstr(a->reason, "no recommendation, because the most cautious plan tried, of "));
  assert_non_null(strstr(a->reason, "did not hold its limits on fresh draws: "));
  assert_true(a->runner_up >= 0 && a->candidate[a->runner_up].fresh != NULL && a->binding[0]);
  for (int i = 0; i < a->ncandidate; i++) /* who was refuted there is not admissible */
    assert_false(a->candidate[i].fresh && a->candidate[i].admissible);
  dp_advice_destroy(a);
  /* nothing is safe for so vague a belief */
  a = search(&w, vague, vague, NULL);
  double reward;
  assert_int_equal(closed_best(&w, vague, a->candidate, a->ncandidate, &reward), -1);
  assert_int_equal(a->chosen, -1);
  assert_non_null(strstr(a->reason, "none of 36 regimens holds every limit at the 95 % bound; nearest: "));
  assert_non_null(strstr(a->reason, a->binding));
  dp_advice_destroy(a);
  /* a belief that may not be used */
  b->usable = 0;
  strcpy(b->verdict, "not usable: weights");
  a = search(&w, b, vague, NULL);
  assert_string_equal(a->reason, "no recommendation, because the posterior may not be used: not usable: weights");
  assert_int_equal(a->ncandidate, 0);
  dp_advice_destroy(a);
  belief_free(b);
  belief_free(other);
  belief_free(vague);
  world_close(&w);
}

/* 3 % of the draws cannot be simulated: peaks of the others are far below 20, yet 3 % count as above, and as low
 * troughs */
static void failed_members_count(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  dp_belief *b = belief_make(100, zero, tight, 1);
  for (int k = 0; k < 100; k += 34) b->eta[3 * k + 1] = NAN;
  dp_plan_patient patient = patient_of(&w, b, b);
  dp_plan_row row = {.amount = 100, .interval = 6, .steady = 1};
  dp_plan plan = {.ctx = w.r->ctx, .nrow = 1, .row = &row}, *list[1] = {&plan};
  dpi_rehearser h;
  dpi_rehearsal r;
  assert_int_equal(dpi_rehearser_open(w.kind, &patient, b, NULL, 100, &h), DP_OK);
  assert_int_equal(dpi_decide_rehearse(&h, list, NULL, 1, &r), DP_OK);
  dpi_rehearser_close(&h);
  const dpi_kind_term *term = w.kind->reward.term;
  rig_near(judged(w.kind, &term[1], dpi_rehearsed(&r, 0, 1), 100, 100, 6).value, 0.03, 1e-15);
  double ok = 0;
  for (int k = 0; k < 100; k++) {
    double t[3];
    if (k % 34 == 0) continue;
    closed_terms(person_of(&w, b->eta + 3 * k), 100, 6, t);
    ok += t[0] >= 5;
  }
  rig_near(judged(w.kind, &term[0], dpi_rehearsed(&r, 0, 0), 100, 100, 6).value, ok / 100, 1e-15);
  dpi_rehearsal_release(w.r->ctx, &r);
  belief_free(b);
  world_close(&w);
}

/* ---- the next sample ---- */

static dp_plan_def asking(const double *time, int n) {
  dp_plan_def def = dp_plan_def_default();
  def.next_time = time;
  def.nnext_time = n;
  return def;
}

/* a measurement that carries no information changes nothing */
static void useless_sample(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  static const double when[2] = {1, 8};
  dp_plan_def def = asking(when, 2);
  dp_belief *b = belief_make(NDRAW, zero, tight, 1), *f = belief_make(NDRAW, zero, tight, 2);
  for (int i = 0; i < w.kind->nparam; i++)
    if (strcmp(w.kind->param[i].id, "sd_add") == 0) w.param[w.kind->param[i].sim_param] = 1e9;
  dp_advice *a = search(&w, b, f, &def);
  assert_int_equal(a->nnext, 2);
  for (int i = 0; i < 2; i++) {
    assert_true(a->next[i].change == 0);
    assert_true(fabs(a->next[i].gain) < 1e-6);
    assert_true(a->next[i].advise == 1);
  }
  dp_advice_destroy(a);
  belief_free(b);
  belief_free(f);
  world_close(&w);
}

/* Half of the draws are one person, half another, and the sample tells them apart: what is advised for each of the two
 * alone,
 * by the formulas, gives change, gain and advice exactly. */
static void telling_sample(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  static const double when[1] = {2}, slow[3] = {0, -0.35, 0}, fast[3] = {0, 0.35, 0.1};
  dp_plan_def def = asking(when, 1);
  dp_belief *b = belief_make(200, zero, zero, 1), *half[2];
  for (int k = 0; k < 200; k++) memcpy(b->eta + 3 * k, k % 2 ? fast : slow, sizeof slow);
  half[0] = belief_make(200, slow, zero, 1);
  half[1] = belief_make(200, fast, zero, 1);
  for (int i = 0; i < w.kind->nparam; i++)
    if (strcmp(w.kind->param[i].id, "sd_add") == 0) w.param[w.kind->param[i].sim_param] = 1e-4;
  def.nhypothetical = 200; /* every draw is the truth equally often */
  dp_advice *a = search(&w, b, b, &def);
  double now_reward = 0, reward, change = 0, advise = 0, gain = 0;
  int now = closed_best(&w, b, a->candidate, a->ncandidate, &now_reward);
  for (int h = 0; h < 2; h++) {
    int then = closed_best(&w, half[h], a->candidate, a->ncandidate, &reward);
    double e[3];
    change += 0.5 * (then != now);
    advise += 0.5 * (then >= 0);
    gain += then >= 0 ? 0.5 * reward : 0;
    if (now < 0) continue;
    closed_estimates(&w, half[h], &a->candidate[now], e);
    if (closed_admissible(e, 200)) gain -= 0.5 * e[2];
  }
  assert_int_equal(a->chosen, now);
  assert_true(change > 0); /* else the case tests nothing */
  rig_near(a->next[0].change, change, 1e-12);
  rig_near(a->next[0].advise, advise, 1e-12);
  rig_near(a->next[0].gain, gain, 1e-6);
  dp_advice_destroy(a);
  for (int h = 0; h < 2; h++) belief_free(half[h]);
  belief_free(b);
  world_close(&w);
}

/* A course's next sample is one of now: half of the draws clear the drug slowly, half fast, and a sample tells them
 * apart; what would then be advised is what is best for each half alone, by their own appraisals of the same plans. */
static void a_course_asks_for_a_sample_now(void **state) {
  const char *dir = rig_kind(*state, "theophylline");
  char path[600];
  rig_join(path, sizeof path, dir, "reward.yaml");
  rig_write(
      path,
      "window: 24 h\nplan: {form: course, times: [0, 12 h], same: true}\nlimits:\n"
      "  - {id: peak, quantity: c, functional: maximum, event: \"> 14 mg/L\", probability: \"<= 0.3\"}\n"
      "rewards:\n  - {id: r, quantity: c, functional: time_above, level: 8, unit: mg/L, fraction: true, weight: 1}\n");
  world w = world_open(*state, dir);
  static const double slow[3] = {0, -0.5, 0}, fast[3] = {0, 0.5, 0}, when[3] = {9, 12, 20};
  dp_plan_def def = asking(when, 3);
  dp_belief *b = belief_make(200, zero, zero, 1),
            *half[2] = {belief_make(200, slow, zero, 1), belief_make(200, fast, zero, 1)};
  for (int k = 0; k < 200; k++) memcpy(b->eta + 3 * k, k % 2 ? fast : slow, sizeof slow);
  for (int i = 0; i < w.kind->nparam; i++)
    if (strcmp(w.kind->param[i].id, "sd_add") == 0) w.param[w.kind->param[i].sim_param] = 1e-4;
  def.nhypothetical = 200; /* every draw is the truth equally often */
  dp_plan_patient patient = patient_of(&w, b, b);
  patient.now = 8;
  dp_advice *a = NULL;
  if (dp_plan_search(w.kind, &patient, &def, &a) != DP_OK) fail_msg("%s", dp_ctx_error(w.r->ctx));
  assert_true(a->chosen >= 0);
  assert_int_equal(a->nnext, 1);
  rig_near(a->next[0].time, 8, 0);
  double change = 0, gain = 0;
  for (int h = 0; h < 2; h++) {
    dp_appraisal *p = NULL;
    assert_int_equal(dp_appraise(w.kind, &patient, a->plan, a->ncandidate, half[h], &p), DP_OK);
    assert_true(p->best >= 0);
    change += 0.5 * (p->best != a->chosen);
    gain += 0.5 * (p->plan[p->best].reward - (p->plan[a->chosen].admissible ? p->plan[a->chosen].reward : 0));
    dp_appraisal_destroy(p);
  }
  assert_true(change > 0 && gain > 0); /* else the case tests nothing */
  rig_near(a->next[0].change, change, 1e-12);
  rig_near(a->next[0].gain, gain, 1e-6);
  rig_near(a->next[0].advise, 1, 1e-12);
  dp_advice_destroy(a);
  for (int h = 0; h < 2; h++) belief_free(half[h]);
  belief_free(b);
  world_close(&w);
}

/* A sample so sharp that after its result hardly a draw counts decides nothing here, and that is what is said. */
static void too_sharp_a_sample(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  static const double when[1] = {2};
  dp_plan_def def = asking(when, 1);
  dp_belief *b = belief_make(NDRAW, zero, tight, 1), *f = belief_make(NDRAW, zero, tight, 2);
  for (int i = 0; i < w.kind->nparam; i++)
    if (strcmp(w.kind->param[i].id, "sd_add") == 0) w.param[w.kind->param[i].sim_param] = 1e-4;
  dp_advice *a = search(&w, b, f, &def);
  assert_int_equal(a->nnext, 1);
  assert_int_equal(a->next_best, -1);
  assert_true(isnan(a->next[0].change) && isnan(a->next[0].change_low) && isnan(a->next[0].gain));
  assert_true(a->next[0].unclear > 0.9 && a->next[0].ess < 50);
  assert_int_equal(a->next[0].nresult, def.nhypothetical);
  dp_advice_destroy(a);
  belief_free(b);
  belief_free(f);
  world_close(&w);
}

/* Who may win after a result is found on the screen's draws: a screen of all draws, which can overlook nobody, gives the
 * same probabilities, and they lie in their intervals. */
static void screen_overlooks_nobody(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  static const double when[2] = {2, 8}, wide[3] = {0.3, 0.3, 0.2};
  dp_belief *b = belief_make(NDRAW, zero, wide, 1), *f = belief_make(NDRAW, zero, wide, 2);
  dp_advice *a[2];
  double most = 0;
  for (int i = 0; i < 2; i++) {
    dp_plan_def def = asking(when, 2);
    def.nscreen = i ? NDRAW : 60;
    a[i] = search(&w, b, f, &def);
  }
  assert_int_equal(a[0]->chosen, a[1]->chosen);
  assert_int_equal(a[0]->next_best, a[1]->next_best);
  for (int i = 0; i < 2; i++) {
    const dp_next_sample *x = &a[0]->next[i], *y = &a[1]->next[i];
    rig_near(x->change, y->change, 1e-12);
    rig_near(x->gain, y->gain, 1e-9);
    rig_near(x->advise, y->advise, 1e-12);
    assert_true(x->change_low <= x->change && x->change <= x->change_high && x->change_low < x->change_high);
    most = fmax(most, x->change);
  }
  assert_true(most > 0.05); /* else the case tests nothing */
  for (int i = 0; i < 2; i++) dp_advice_destroy(a[i]);
  belief_free(b);
  belief_free(f);
  world_close(&w);
}

/* Asked for the one that stands out alone: it is the one that stands out of all, what is said of it agrees with what is
 * said when all are asked about, and nothing is said of the other. */
static void only_the_one_that_stands_out(void **state) {
  world w = world_open(*state, TWINS "/theophylline");
  static const double when[2] = {2, 8}, wide[3] = {0.3, 0.3, 0.2};
  dp_belief *b = belief_make(NDRAW, zero, wide, 1), *f = belief_make(NDRAW, zero, wide, 2);
  dp_advice *a[2];
  for (int i = 0; i < 2; i++) {
    dp_plan_def def = asking(when, 2);
    def.next_one = i;
    a[i] = search(&w, b, f, &def);
  }
  const int best = a[1]->next_best;
  assert_int_equal(a[1]->nnext, 2);
  assert_true(best >= 0 && best == a[0]->next_best);
  const dp_next_sample *one = &a[1]->next[best], *all = &a[0]->next[best], *other = &a[1]->next[1 - best];
  assert_int_equal(one->nresult, all->nresult);
  rig_near(one->ess, all->ess, 1e-9); /* the same results */
  assert_true(one->change > 0.05); /* else the case tests nothing */
  assert_true(one->change_low <= all->change && all->change <= one->change_high);
  assert_true(isnan(other->change) && isnan(other->gain) && other->nresult == 0);
  for (int i = 0; i < 2; i++) dp_advice_destroy(a[i]);
  belief_free(b);
  belief_free(f);
  world_close(&w);
}

/* ---- threads, memory ---- */

static void fold(const dp_advice *a, char hex[65]) {
  dpi_str s;
  dpi_str_init(&s, a->ctx);
  dpi_str_addf(&s, "%d %d %a %s", a->chosen, a->runner_up, a->best_probability, a->reason);
  for (int c = 0; c < a->ncandidate; c++)
    for (int t = 0; t < a->nterm; t++)
      dpi_str_addf(&s, " %a %a %a", a->candidate[c].term[t].value, a->candidate[c].term[t].low, a->candidate[c].reward);
  for (int i = 0; i < a->nnext; i++)
    dpi_str_addf(&s, " %a %a %a %a %a", a->next[i].change, a->next[i].gain, a->next[i].advise, a->next[i].change_low,
                 a->next[i].change_high);
  dpi_sha256_hex(s.data, s.len, hex);
  dpi_str_release(&s);
}

static void same_on_any_threads(void **state) {
  rig *r = *state;
  static const double when[2] = {1, 8};
  static const int threads[3] = {1, 2, 5};
  char hex[3][65];
  dp_plan_def def = asking(when, 2);
  dp_belief *b = belief_make(NDRAW, zero, tight, 1), *f = belief_make(NDRAW, zero, tight, 2);
  for (int i = 0; i < 3; i++) {
    dp_ctx_def ctx_def = dp_ctx_def_default();
    ctx_def.nthread = threads[i];
    rig other = *r;
    assert_int_equal(dp_ctx_create(&ctx_def, &other.ctx), DP_OK);
    world w = world_open(&other, TWINS "/theophylline");
    dp_advice *a = search(&w, b, f, &def);
    fold(a, hex[i]);
    dp_advice_destroy(a);
    world_close(&w);
    assert_int_equal(dpi_alloc_live(other.ctx), 0);
    dp_ctx_destroy(other.ctx);
  }
  assert_string_equal(hex[0], hex[1]);
  assert_string_equal(hex[0], hex[2]);
  belief_free(b);
  belief_free(f);
}

/* the n-th allocation fails: a status, nothing left behind */
static void out_of_memory(void **state) {
  rig other = *(rig *)*state;
  static const double when[1] = {8};
  dp_plan_def def = asking(when, 1);
  failing_memory memory = {0};
  other.ctx = failing_context(&memory);
  assert_non_null(other.ctx);
  world w = world_open(&other, TWINS "/theophylline");
  dp_belief *b = belief_make(60, zero, tight, 1);
  dp_plan_patient patient = patient_of(&w, b, b);
  int failed = 0;
  for (long n = 0; n < 100000; n = n < 60 ? n + 1 : n + n / 9) {
    dp_advice *a = NULL;
    failing_stays(&memory, n);
    dp_status status = dp_plan_search(w.kind, &patient, &def, &a);
    bool enough = !failing_happened(&memory);
    failing_never(&memory);
    if (status != DP_OK) {
      assert_int_equal(status, DP_ERR_MEMORY);
      assert_null(a);
      failed++;
    }
    dp_advice_destroy(a);
    dp_ctx_clear_error(other.ctx);
    if (enough) break;
  }
  assert_true(failed > 20);
  world_close(&w); /* a sim may keep its tools until then */
  assert_int_equal(dpi_alloc_live(other.ctx), 0);
  belief_free(b);
  dp_ctx_destroy(other.ctx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(rehearsal_is_the_formula),
      TEST(best_regimen),
      TEST(refusals),
      TEST(failed_members_count),
      TEST(useless_sample),
      TEST(telling_sample),
      TEST(too_sharp_a_sample),
      TEST(screen_overlooks_nobody),
      TEST(only_the_one_that_stands_out),
      TEST(same_on_any_threads),
      TEST(out_of_memory),
      TEST(probability_of_being_best),
      TEST(a_course_asks_for_a_sample_now),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
