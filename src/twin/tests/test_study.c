/* Independent comparison: sums of a study made by hand, written out; intervals whose resampling distribution is known (all
 * people alike: a point; two people: 0, 1/2, 1); priors against the leave-one-out prior of the room below; hashes over threads
 * and repeated steps; the n-th allocation failing. */

#include "base/tests/failing_memory.h"
#include "twin_rig.h"

/* ---- a study made by hand: two observables of which the second has no last value ---- */

typedef struct hand {
  dp_study s;
  dp_twin twin[4], *twins[4];
  dp_seen seen[4][3];
  dp_sample_score score[4][3];
} hand;

static dp_sample_score sample(int observation, double crps, double population, double last, double error, int in90) {
  return (dp_sample_score){.observation = observation, .crps = {crps, population, last},
                           .error = {error, 2 * error, isnan(last) ? NAN : last}, .inside = {0, 0, in90, 1},
                           .inside_population = 1 - in90};
}

static void hand_make(hand *h, world *w, int npeople, int nobservable) {
  memset(h, 0, sizeof *h);
  w->kind->nobservable = nobservable; /* put back before the kind is destroyed: it owns nothing by this count */
  h->s = (dp_study){.ctx = w->r->ctx, .kind = w->kind, .def = dp_study_def_default(), .ntwin = npeople, .twin = h->twins};
  for (int i = 0; i < npeople; i++) {
    h->twins[i] = &h->twin[i];
    h->twin[i].view = (dp_twin_view){.subject = "x", .seen = h->seen[i], .score = h->score[i]};
    snprintf(h->twin[i].view.hash, 65, "%064d", i);
  }
}

static void hand_release(hand *h, world *w) {
  dpi_free(w->r->ctx, h->s.score);
  dpi_free(w->r->ctx, h->s.worst_first);
  w->kind->nobservable = 1;
}

static void sums_by_hand(void **state) {
  world u, *w = &u;
  hand h;
  world_open(w, *state, TWINS "/theophylline");
  hand_make(&h, w, 2, 2);
  h.seen[0][2].observable = h.seen[1][2].observable = 1;
  h.score[0][0] = sample(0, 1, 2, 5, 1, 1);
  h.score[0][1] = sample(1, 2, 2, NAN, -3, 0);
  h.score[0][2] = sample(2, 10, 20, NAN, 4, 1);
  h.score[1][0] = sample(0, 6, 2, 5, 2, 0);
  h.score[1][1] = sample(2, 40, 20, NAN, 0, 1);
  h.twin[0].view.nscore = 3;
  h.twin[1].view.nscore = 2;
  OK(dpi_study_sum(&h.s));
  const dp_study_score *a = &h.s.score[0], *b = &h.s.score[1];
  assert_int_equal(a->nsample, 3);
  assert_true(a->inside[2] == 1 && a->inside[3] == 3 && a->inside_population == 2);
  rig_near(a->coverage90, 1.0 / 3, 1e-15);
  rig_near(a->crps[0], 3, 1e-15);
  rig_near(a->crps[1], 2, 1e-15);
  rig_near(a->crps[2], 5, 1e-15); /* of the two samples that had a last value */
  assert_int_equal(a->nlast, 2);
  rig_near(a->crps_twin_last, 3.5, 1e-15); /* the twin on the same two */
  rig_near(a->mae[0], 2, 1e-15);
  rig_near(a->rmse[0], sqrt(14.0 / 3), 1e-15);
  rig_near(a->skill, -0.5, 1e-15);
  assert_true(b->nsample == 2 && b->nlast == 0 && isnan(b->crps[2]) && isnan(b->crps_twin_last));
  rig_near(b->skill, 1 - 25.0 / 20, 1e-15);
  /* person 0: (1/2 + 2/2 + 10/20) / 3 against 1; person 1: (6/2 + 40/20) / 2 against 1 */
  const dp_twin_view *v = &h.twin[0].view, *x = &h.twin[1].view;
  rig_near(v->rel_crps[0], 2.0 / 3, 1e-15);
  rig_near(v->rel_crps[1], 1, 1e-15);
  rig_near(v->rel_crps[2], 2.5, 1e-15);
  rig_near(v->rel_crps_last, 0.5, 1e-15); /* beside the last value only its own sample counts */
  rig_near(x->rel_crps[0], 2.5, 1e-15);
  rig_near(x->rel_crps_last, 3, 1e-15);
  assert_true(h.s.nlost == 1 && h.s.nwon == 1 && h.s.nlost_last == 1);
  assert_true(h.s.worst_first[0] == 1 && h.s.worst_first[1] == 0);
  hand_release(&h, w);
  world_close(w);
}

static void resampled_intervals(void **state) {
  world u, *w = &u;
  hand h;
  world_open(w, *state, TWINS "/theophylline");
  hand_make(&h, w, 4, 1); /* four people, all alike: whoever is drawn, it is the same */
  for (int i = 0; i < 4; i++) {
    h.score[i][0] = sample(0, 1, 4, 5, 1, 1);
    h.score[i][1] = sample(1, 1, 4, 5, 1, 0);
    h.twin[i].view.nscore = 2;
  }
  OK(dpi_study_sum(&h.s));
  const dp_study_score *a = h.s.score;
  assert_true(a->coverage_low == 0.5 && a->coverage_high == 0.5);
  assert_true(a->skill == 0.75 && a->skill_low == 0.75 && a->skill_high == 0.75);
  hand_release(&h, w);
  hand_make(&h, w, 2, 1); /* two people, one inside, one outside: 0, 1/2, 1 with 1/4, 1/2, 1/4 */
  h.score[0][0] = sample(0, 1, 4, 5, 1, 1);
  h.score[1][0] = sample(0, 3, 4, 5, 1, 0);
  h.twin[0].view.nscore = h.twin[1].view.nscore = 1;
  OK(dpi_study_sum(&h.s));
  a = h.s.score;
  assert_true(a->coverage_low == 0 && a->coverage90 == 0.5 && a->coverage_high == 1);
  assert_true(a->skill_low == 0.25 && a->skill == 0.5 && a->skill_high == 0.75);
  hand_release(&h, w);
  hand_make(&h, w, 2, 1); /* no opponent: no skill, and no 0 in its place; the coverage is there all the same */
  for (int i = 0; i < 2; i++) {
    h.score[i][0] = sample(0, 1, NAN, 5, 1, 1);
    h.score[i][0].error[1] = NAN;
    h.twin[i].view.nscore = 1;
  }
  OK(dpi_study_sum(&h.s));
  a = h.s.score;
  assert_true(isnan(a->crps[1]) && isnan(a->skill) && isnan(a->skill_low));
  assert_true(a->coverage_low == 1 && a->coverage_high == 1);
  hand_release(&h, w);
  world_close(w);
}

/* ---- whose data make whose prior ---- */

#define HEAD "ID,TIME,DV,AMT,EVID,CMT,WT\n"

static dp_record *table(world *w, const char *name, const char *text) {
  char path[400];
  dp_record *record = NULL;
  rig_join(path, sizeof path, w->r->dir, name);
  rig_write(path, text);
  OK(dp_kind_record(w->kind, path, &record));
  return record;
}

static void who_is_the_same(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  const char *row = "7,0,.,320,1,1,80\n7,1,5,.,0,2,80\n7,2,6,.,0,2,80\n7,9,3,.,0,2,80\n";
  static const struct {
    const char *rows;
    bool same;
  } other[] = {
      {"x,0,.,320,1,1,80\nx,1,9,.,0,2,80\nx,2,9,.,0,2,80\nx,9,9,.,0,2,80\n", false},       /* all values differ */
      {"x,0,.,320,1,1,80\nx,1,5,.,0,2,80\nx,2,9,.,0,2,80\nx,9,9,.,0,2,80\n", true},        /* later values changed */
      {"x,0,.,320,1,1,80\nx,1,5,.,0,2,80\n", true},                                        /* later rows cut off */
      {"x,0,.,319,1,1,80\nx,1.005,5,.,0,2,80\nx,2,6,.,0,2,80\n", true},                    /* rounded */
      {"x,0,.,320,1,1,80\nx,1,5,.,0,2,80\nx,2,6,.,0,2,80\nx,9,3,.,0,2,80\nx,30,1,.,0,2,80\n", true}, /* one more */
      {"x,0,.,300,1,1,80\nx,1,5,.,0,2,80\nx,2,6,.,0,2,80\nx,9,3,.,0,2,80\n", false},       /* another dose */
      {"x,0,.,320,1,1,80\nx,1,5,.,0,2,80\nx,3,6,.,0,2,80\n", false},                       /* other times */
  };
  char text[600];
  snprintf(text, sizeof text, HEAD "%s", row);
  dp_record *a = table(w, "a.csv", text);
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
    snprintf(text, sizeof text, HEAD "%s", other[i].rows);
    dp_record *b = table(w, "b.csv", text);
    assert_int_equal(dpi_people_same(&a->subject[0], &b->subject[0]), other[i].same);
    assert_int_equal(dpi_people_same(&b->subject[0], &a->subject[0]), other[i].same);
    dp_record_destroy(b);
  }
  dp_record_destroy(a);
  world_close(w);
}

static void expect_prior(world *w, const dp_record *study, int subject, const char *hash) {
  dpi_people people;
  dp_prior *p = NULL;
  OK(dpi_people_create(w->kind, study, &people));
  OK(dpi_people_prior(w->kind, &people, subject, NULL, &p));
  assert_string_equal(p->hash, hash);
  dp_prior_destroy(p);
  dpi_people_release(&people);
}

/* A study of the kind's own record leaves out the very person, though another has the same doses and times; a part of that
 * person's rows in a file of one's own leaves that person out; a newcomer of the same protocol and a stranger leave out
 * nobody. */
static void priors_without_the_person(void **state) {
  world u, *w = &u;
  const char *dir = rig_kind(*state, "_template");
  char text[2000] = "ID,TIME,AMT,DV,EVID,CMT,WT\n", path[600], kind[400];
  snprintf(kind, sizeof kind, "%s", dir);
  for (int i = 0; i < 6; i++) { /* 1 and 2 alike in doses and times */
    char rows[200];
    double dose = i < 2 ? 200 : 100 + 30 * i, c = dose / (18 + i);
    snprintf(rows, sizeof rows, "%d,0,%g,.,1,1,70\n%d,1,.,%.3f,0,1,70\n%d,6,.,%.3f,0,1,70\n%d,12,.,%.3f,0,1,70\n", i, dose, i,
             0.93 * c, i, 0.57 * c, i, (0.3 + 0.02 * i) * c);
    strcat(text, rows);
  }
  rig_join(path, sizeof path, kind, "patients/example.csv");
  rig_write(path, text);
  world_open(w, *state, kind);
  dp_prior *without[3], *all;
  dp_fit_def def = dp_fit_def_default();
  for (int i = 0; i < 3; i++) OK(dp_prior_loo(w->kind, w->record, i, NULL, &without[i]));
  OK(dp_prior_fit(w->kind, w->record, NULL, 0, &def, &all));
  dp_record *again = NULL;
  OK(dp_kind_record(w->kind, dp_kind_patients(w->kind), &again));
  for (int i = 0; i < 3; i++) expect_prior(w, again, i, without[i]->hash);
  dp_record *part = table(w, "part.csv", "ID,TIME,AMT,DV,EVID,CMT,WT\nq,0,200,.,1,1,70\nq,1,.,10.3,0,1,70\n");
  expect_prior(w, part, 0, without[0]->hash);
  dp_record *newcomer = table(w, "newcomer.csv", "ID,TIME,AMT,DV,EVID,CMT,WT\nq,0,200,.,1,1,70\nq,1,.,8,0,1,70\n");
  expect_prior(w, newcomer, 0, all->hash);
  dp_record *stranger = table(w, "stranger.csv", "ID,TIME,AMT,DV,EVID,CMT,WT\nq,0,55,.,1,1,70\nq,1,.,1,0,1,70\n");
  expect_prior(w, stranger, 0, all->hash);
  dp_record_destroy(again);
  dp_record_destroy(part);
  dp_record_destroy(newcomer);
  dp_record_destroy(stranger);
  for (int i = 0; i < 3; i++) dp_prior_destroy(without[i]);
  dp_prior_destroy(all);
  world_close(w);
}

/* ---- the same bytes ---- */

static dp_study *run_study(world *w, const char *priors, const char *only) {
  dp_study_def def = dp_study_def_default();
  dp_study *s = NULL;
  def.twin = quick_def();
  def.twin.decide = 1;
  def.priors = priors;
  def.nuntil = 2;
  def.only = only;
  OK(dp_study_run(w->kind, w->record, &def, &s));
  return s;
}

static void same_on_any_threads(void **state) {
  rig *r = *state;
  char hash[3][65], priors[400];
  static const int threads[3] = {1, 2, 4};
  rig_join(priors, sizeof priors, r->dir, "priors.tsv");
  for (int i = 0; i < 3; i++) {
    world u, *w = &u;
    rig other = *r;
    dp_ctx_def def = dp_ctx_def_default();
    def.nthread = threads[i];
    assert_int_equal(dp_ctx_create(&def, &other.ctx), DP_OK);
    world_open(w, &other, TWINS "/theophylline");
    if (i == 0) OK(dp_prior_loo_store(w->kind, w->record, priors));
    dp_study *s = run_study(w, priors, NULL);
    assert_int_equal(s->ntwin, 12);
    memcpy(hash[i], s->hash, 65);
    for (int k = 0; k < 12; k++) /* nobody's prior knows that person */
      assert_true(s->prior[k]->npeople == 11 && strcmp(s->prior[k]->hash, s->prior[(k + 1) % 12]->hash) != 0);
    if (i == 0) { /* one person of the study alone is the same as in it */
      dp_study *one = run_study(w, priors, "5");
      int at = dp_record_subject(w->record, "5");
      assert_int_equal(one->ntwin, 1);
      assert_string_equal(dp_twin_look(one->twin[0])->hash, dp_twin_look(s->twin[at])->hash);
      dp_study_destroy(one);
    }
    dp_study_destroy(s);
    world_close(w);
    assert_int_equal(dpi_alloc_live(other.ctx), 0);
    dp_ctx_destroy(other.ctx);
  }
  assert_string_equal(hash[0], hash[1]);
  assert_string_equal(hash[0], hash[2]);
}

static void stepping_again(void **state) {
  world u, *w = &u;
  char hash[65];
  world_open(w, *state, TWINS "/theophylline");
  dp_twin_def def = quick_def();
  def.decide = 1;
  dp_twin *t = twin_of(w, 2, &def);
  OK(dp_twin_step(t));
  memcpy(hash, dp_twin_look(t)->hash, 65);
  OK(dp_twin_step(t));
  assert_string_equal(hash, dp_twin_look(t)->hash);
  dp_twin_destroy(t);
  def.seed++;
  t = twin_of(w, 2, &def);
  OK(dp_twin_step(t));
  assert_string_not_equal(hash, dp_twin_look(t)->hash);
  dp_twin_destroy(t);
  world_close(w);
}

static void unknown_subject(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  dp_study_def def = dp_study_def_default();
  dp_study *s = NULL;
  def.only = "nobody";
  assert_int_equal(dp_study_run(w->kind, w->record, &def, &s), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(w->r->ctx), "no subject with id 'nobody'"));
  dp_ctx_clear_error(w->r->ctx);
  dp_twin *t;
  dp_twin_def twin = quick_def();
  assert_int_equal(dp_twin_create(w->kind, w->record, 12, w->prior, &twin, &t), DP_ERR_USAGE);
  dp_ctx_clear_error(w->r->ctx);
  world_close(w);
}

/* the n-th allocation fails: a status, no half-made study, nothing left behind */
static void out_of_memory(void **state) {
  world u, *w = &u;
  rig other = *(rig *)*state;
  char priors[400];
  failing_memory memory = {0};
  other.ctx = failing_context(&memory);
  assert_non_null(other.ctx);
  world_open(w, &other, TWINS "/theophylline");
  rig_join(priors, sizeof priors, other.dir, "priors.tsv");
  OK(dp_prior_loo_store(w->kind, w->record, priors));
  dp_study_def def = dp_study_def_default();
  def.twin = quick_def();
  def.twin.ndraw = 60;
  def.twin.nproposal = 200;
  def.twin.decide = 1;
  def.twin.discrepancy = 1;
  def.priors = priors;
  def.only = "1";
  def.nuntil = 1;
  int failed = 0;
  bool enough = false;
  for (long n = 0; !enough; n = n < 20 ? n + 1 : n + 1 + n / 12) {
    dp_study *s = NULL;
    failing_stays(&memory, n);
    dp_status status = dp_study_run(w->kind, w->record, &def, &s);
    enough = !failing_happened(&memory);
    failing_never(&memory);
    if (status != DP_OK) {
      assert_int_equal(status, DP_ERR_MEMORY);
      assert_null(s);
      failed++;
    }
    dp_study_destroy(s);
    dp_ctx_clear_error(other.ctx);
  }
  assert_true(failed > 40);
  world_close(w); /* a sim may keep its tools until then */
  assert_int_equal(dpi_alloc_live(other.ctx), 0);
  dp_ctx_destroy(other.ctx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(sums_by_hand),        TEST(resampled_intervals), TEST(who_is_the_same), TEST(priors_without_the_person),
      TEST(same_on_any_threads), TEST(stepping_again),      TEST(unknown_subject), TEST(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
