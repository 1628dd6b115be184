/* Independent comparison: branches against the closed form of one compartment, dose by dose (libm). A belief whose draws are all the
 * same makes every quantile of a quantity that one curve. */
#include "doppel/whatif.h"

#include "twin_rig.h"

static const char record_text[] = "ID,TIME,AMT,DV,EVID,CMT,II,ADDL,WT\n"
                                  "1,0,300,,1,1,12,5,70\n"
                                  "1,2,,8,0,2,,,70\n"
                                  "1,30,,9,0,2,,,70\n"
                                  "1,30.5,200,,1,1,,,70\n";

typedef struct person {
  world w;
  dp_record *record;
  dp_belief *belief;
  dp_patient *patient;
} person;

static void person_open(person *p, rig *r, double now) {
  world *w = &p->w;
  world_open(w, r, TWINS "/theophylline");
  p->record = rig_record(r, w->kind, record_text);
  dp_assimilate_def def = dp_assimilate_def_default();
  def.ndraw = 50;
  def.nproposal = 400;
  def.discrepancy = 0;
  OK(dp_assimilate(w->kind, p->record, 0, now, w->prior, &def, &p->belief));
  for (int k = 1; k < p->belief->ndraw; k++) memcpy(p->belief->eta + 3 * k, p->belief->eta, 3 * sizeof(double));
  p->belief->usable = 1;
  OK(dp_patient_create(w->kind, p->record, 0, w->prior, now, p->belief, NULL, &p->patient));
}

static void person_close(person *p) {
  dp_patient_destroy(p->patient);
  dp_belief_destroy(p->belief);
  dp_record_destroy(p->record);
  world_close(&p->w);
}

static dp_plan *plan_of(world *w, const char *text) {
  dp_plan *plan = NULL;
  OK(dp_plan_read_text(w->kind, text, strlen(text), "plan", &plan));
  return plan;
}

static const dp_strand *quantity(const dp_whatif *x, int plan, const char *id) {
  for (int s = 0; s < x->nshown; s++)
    if (!x->shown[s].measured && strcmp(x->shown[s].id, id) == 0) return &x->strand[plan * x->nshown + s];
  fail_msg("no quantity %s", id);
  return NULL;
}

static double after(const person *p, double dose, double given, double t) {
  return t > given ? closed_form(&p->w, p->belief, 0, dose, t - given) : 0;
}

/* At 20 h two of the record's doses have been given; the four that would follow have not, nor has what stands after now. */
static void test_branches(void **state) {
  person p = {0};
  person_open(&p, *state, 20);
  world *w = &p.w;
  dp_plan *plan[3] = {plan_of(w, "controlId\ttime\tamount\n"), plan_of(w, "controlId\ttime\tamount\tinterval\trepeats\noral\t4\t200\t12\t1\n"),
                      plan_of(w, "controlId\ttime\tamount\noral\t4\t200\noral\t16\t200\n")};
  dp_whatif_def def = dp_whatif_def_default();
  dp_whatif *x = NULL;
  def.from = 0;
  def.end = 60;
  def.ntime = 61;
  OK(dp_whatif_run(w->kind, p.patient, plan, 3, &def, &x));
  for (int i = 0; i < x->ntime; i++) {
    double t = x->time[i], past = after(&p, 300, 0, t) + after(&p, 300, 12, t);
    double planned = past + after(&p, 200, 24, t) + after(&p, 200, 36, t);
    for (int l = 0; l < DP_NLEVEL; l++) {
      rig_near(quantity(x, 0, "c")->q[i * DP_NLEVEL + l], past, 1e-6 * (1 + past));
      rig_near(quantity(x, 1, "c")->q[i * DP_NLEVEL + l], planned, 1e-6 * (1 + planned));
      assert_true(quantity(x, 1, "c")->q[i * DP_NLEVEL + l] == quantity(x, 2, "c")->q[i * DP_NLEVEL + l]);
    }
  }
  double end = after(&p, 300, 0, 60) + after(&p, 300, 12, 60); /* nothing more is given: lowest at the end */
  rig_near(quantity(x, 0, "c")->lowest[1], end, 1e-6);
  int nseen = 0;
  const dp_seen *seen = dp_patient_seen(p.patient, &nseen);
  assert_int_equal(nseen, 1);
  rig_near(seen[0].value, 8, 0);
  const dp_whatif_pair_value *same = dp_whatif_pair(x, 1, 2);
  assert_true(same->difference == 0 && same->better == 0.5);
  rig_near(dp_whatif_pair(x, 0, 1)->better + dp_whatif_pair(x, 1, 0)->better, 1, 1e-12);
  dp_whatif_destroy(x);
  for (int i = 0; i < 3; i++) dp_plan_destroy(plan[i]);
  person_close(&p);
}

/* With doses among the points: each has one when it is given and at the same distance after it, ascending, on the curve. */
static void test_doses_are_points(void **state) {
  person p = {0};
  person_open(&p, *state, 20);
  world *w = &p.w;
  dp_plan *plan = plan_of(w, "controlId\ttime\tamount\tinterval\trepeats\noral\t4.25\t200\t12.5\t1\n");
  dp_whatif_def def = dp_whatif_def_default();
  dp_whatif *x = NULL;
  def.end = 60;
  def.ntime = 9;
  def.doses = 1;
  OK(dp_whatif_run(w->kind, p.patient, &plan, 1, &def, &x));
  int given[2] = {0}, soon[2] = {0};
  assert_true(x->doses && x->ntime > 9);
  for (int i = 0; i < x->ntime; i++) {
    double t = x->time[i];
    double is = after(&p, 300, 0, t) + after(&p, 300, 12, t) + after(&p, 200, 24.25, t) + after(&p, 200, 36.75, t);
    assert_true(i == 0 || t > x->time[i - 1]);
    for (int k = 0; k < 2; k++) {
      given[k] += t == 24.25 + 12.5 * k;
      soon[k] += fabs(t - (24.25 + 12.5 * k + 12.5 / 8)) < 1e-6;
    }
    rig_near(quantity(x, 0, "c")->q[i * DP_NLEVEL + 4], is, 1e-6 * (1 + is));
  }
  for (int k = 0; k < 2; k++) assert_true(given[k] == 1 && soon[k] == 1);
  dp_whatif_destroy(x);
  dp_plan_destroy(plan);
  person_close(&p);
}

/* What is measured spreads about the one curve by the model's error alone: 5 and 95 % at 1.645 standard deviations. */
static void test_noise(void **state) {
  person p = {0};
  person_open(&p, *state, 20);
  world *w = &p.w;
  dp_plan *plan = plan_of(w, "controlId\ttime\tamount\n");
  dp_whatif_def def = dp_whatif_def_default();
  dp_whatif *x = NULL;
  def.end = 26;
  def.ntime = 3;
  OK(dp_whatif_run(w->kind, p.patient, &plan, 1, &def, &x));
  double sd = w->prior->typical[parameter_row(w, "sd_add")], c = after(&p, 300, 0, 23) + after(&p, 300, 12, 23);
  const double *q = x->strand[0].q + DP_NLEVEL; /* the observable, in the middle */
  assert_true(x->shown[0].measured);
  assert_true(fabs(q[4] - c) < 4.5 * 1.2533 * sd / sqrt(50.0));
  assert_true(q[1] < c - 0.8 * sd && q[1] > c - 2.9 * sd && q[7] > c + 0.8 * sd && q[7] < c + 2.9 * sd);
  dp_whatif_destroy(x);
  dp_plan_destroy(plan);
  person_close(&p);
}

static void test_refused(void **state) {
  person p = {0};
  person_open(&p, *state, 20);
  world *w = &p.w;
  dp_plan *plan = plan_of(w, "controlId\ttime\tamount\n");
  dp_whatif_def def = dp_whatif_def_default();
  dp_whatif *x = NULL;
  def.end = 19;
  assert_int_equal(dp_whatif_run(w->kind, p.patient, &plan, 1, &def, &x), DP_ERR_USAGE);
  assert_non_null(strstr(dp_ctx_error(w->r->ctx), "ends after now (20 h), found 19"));
  dp_ctx_clear_error(w->r->ctx);
  def.end = NAN;
  p.belief->usable = 0;
  snprintf(p.belief->verdict, sizeof p.belief->verdict, "the weights collapsed");
  assert_int_equal(dp_whatif_run(w->kind, p.patient, &plan, 1, &def, &x), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(w->r->ctx), "the weights collapsed"));
  dp_ctx_clear_error(w->r->ctx);
  dp_plan_destroy(plan);
  person_close(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_branches, rig_setup, rig_teardown),
                                     cmocka_unit_test_setup_teardown(test_doses_are_points, rig_setup, rig_teardown),
                                     cmocka_unit_test_setup_teardown(test_noise, rig_setup, rig_teardown),
                                     cmocka_unit_test_setup_teardown(test_refused, rig_setup, rig_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
