/* test_dose.c - doses for a figure, against closed forms (libm) of two compartments and against what open tools
 * published. */
#include "doppel/dose.h"
#include "twin/tests/twin_rig.h"

/* Two compartments: exponents and coefficients of 1 mg at once, by effects. */
typedef struct body {
  double a, b, A, B, CL;
} body;

static body body_of(double clcr, double wt, const double *eta) {
  const double CL = 4.5 * pow(clcr / 120, 0.8) * exp(eta[0]), Vc = 58.4 * wt / 70 * exp(eta[1]),
               Vp = 38.4 * exp(eta[2]);
  const double k10 = CL / Vc, k12 = 6.5 / Vc, k21 = 6.5 / Vp, s = k10 + k12 + k21, d = sqrt(s * s - 4 * k10 * k21);
  const double a = (s + d) / 2, b = (s - d) / 2;
  return (body){a, b, (a - k21) / (a - b) / Vc, (k21 - b) / (a - b) / Vc, CL};
}

/* Concentration at t of a dose at t0 over d. */
static double conc(const body *p, double dose, double t0, double d, double t) {
  const double in = fmin(t - t0, d), out = fmax(t - t0 - d, 0);
  if (t <= t0) return 0;
  return dose / d *
         (p->A / p->a * (1 - exp(-p->a * in)) * exp(-p->a * out) +
          p->B / p->b * (1 - exp(-p->b * in)) * exp(-p->b * out));
}

typedef struct scene {
  world w;
  dp_belief *belief;
  int subject;
} scene;

static void open_scene(scene *s, rig *r, const char *id, int ndraw) {
  world *w = &s->w;
  world_open(w, r, TWINS "/vancomycin");
  s->subject = dp_record_subject(w->record, id);
  assert_true(s->subject >= 0);
  dp_assimilate_def def = dp_assimilate_def_default();
  def.ndraw = ndraw;
  def.nproposal = 4 * ndraw;
  def.seed = 11;
  OK(dp_assimilate(w->kind, w->record, s->subject, INFINITY, w->prior, &def, &s->belief));
}

static void close_scene(scene *s) {
  dp_belief_destroy(s->belief);
  world_close(&s->w);
}

static dp_dose_answer *find(scene *s, const dp_dose_def *def) {
  world *w = &s->w;
  dp_dose_answer *a = NULL;
  OK(dp_dose_find(w->kind, w->record, s->subject, w->prior, s->belief, def, &a));
  return a;
}

/* Every published figure of the two dosing kinds is met. */
static void published_figures(void **state) {
  static const char *const kinds[] = {"vancomycin", "tobramycin", "warfarin_genotype"};
  rig *r = *state;
  for (int i = 0; i < 3; i++) {
    char dir[300];
    world one = {.r = r}, *w = &one;
    dp_validation_row *row = NULL;
    int n = 0;
    rig_join(dir, sizeof dir, TWINS, kinds[i]);
    w->kind = rig_load(r, dir);
    OK(dp_twin_validate(w->kind, &row, &n));
    assert_true(n >= 2);
    for (int k = 0; k < n; k++)
      if (!row[k].pass)
        fail_msg("%s %s: %.9g, published %.9g; %s", kinds[i], row[k].id, row[k].ours, row[k].published, row[k].note);
    dp_validation_free(r->ctx, row);
    dp_kind_destroy(w->kind);
  }
}

/* At steady state a day's area is the day's dose over the clearance: by mode and by draw. */
static void area_at_steady_state(void **state) {
  scene s;
  open_scene(&s, *state, "B", 400);
  dp_dose_def def = dp_dose_def_default();
  def.target = "integral(c, 0, 24) = 400";
  def.interval = 12; /* without a count the doses go on: two of them */
  def.duration = 2;
  def.steady = 1;
  def.low = 350;
  def.high = 500;
  dp_dose_answer *a = find(&s, &def);
  rig_near(a->dose, 200 * body_of(65, 70, s.belief->mode).CL, 1e-7);
  rig_near(a->value, 400, 1e-8);
  int inside = 0;
  assert_int_equal(a->ndraw, 400);
  for (int k = 0; k < a->ndraw; k++) {
    const double CL = body_of(65, 70, s.belief->eta + 3 * k).CL, area = 2 * a->dose / CL;
    rig_near(a->draw_dose[k], 200 * CL, 1e-5);
    rig_near(a->draw_value[k], area, 1e-5);
    inside += area >= 350 && area <= 500;
  }
  rig_near(a->probability, inside / 400.0, 1e-12);
  assert_true(a->probability_low < a->probability && a->probability < a->probability_high);
  dp_dose_answer_destroy(a);
  close_scene(&s);
}

/* From now on: what was given before goes on, and the new dose adds to it. */
static void on_top_of_history(void **state) {
  scene s;
  open_scene(&s, *state, "A", 100);
  const body p = body_of(34, 62, s.belief->mode);
  dp_dose_def def = dp_dose_def_default();
  def.target = "c(24) = 20";
  def.duration = 1;
  def.now = 48;
  dp_dose_answer *a = find(&s, &def);
  const double left = conc(&p, 1900, 0, 1, 72) + conc(&p, 1750, 22.2, 1, 72);
  rig_near(a->dose, (20 - left) / conc(&p, 1, 0, 1, 24), 1e-6);
  dp_dose_answer_destroy(a);
  def.now = 20; /* before the second dose: it is not part of the past */
  a = find(&s, &def);
  rig_near(a->dose, (20 - conc(&p, 1900, 0, 1, 44)) / conc(&p, 1, 0, 1, 24), 1e-6);
  dp_dose_answer_destroy(a);
  close_scene(&s);
}

/* A time in range is nothing for little and for much drug; a dose between gives it, for the mode and for every draw. */
static void between_two_ends_that_miss(void **state) {
  scene s;
  open_scene(&s, *state, "B", 100);
  dp_dose_def def = dp_dose_def_default();
  def.target = "time_between(c, 10, 20, 0, 12) = 3";
  def.duration = 2;
  def.upper = 20000;
  dp_dose_answer *a = find(&s, &def);
  if (a->reason[0]) fail_msg("%s", a->reason);
  rig_near(a->value, 3, 1e-8);
  for (int k = -1; k < a->ndraw; k++) {
    const body p = body_of(65, 70, k < 0 ? s.belief->mode : s.belief->eta + 3 * k);
    double in = 0, h = 1e-3;
    for (int i = 0; i < 12000; i++) {
      const double c = conc(&p, k < 0 ? a->dose : a->draw_dose[k], 0, 2, (i + 0.5) * h);
      in += c >= 10 && c <= 20 ? h : 0;
    }
    rig_near(in, 3, 2e-3);
  }
  dp_dose_answer_destroy(a);
  close_scene(&s);
}

/* Passages and times of extremes under a dose that is given. */
static void figures_of_a_dose(void **state) {
  scene s;
  open_scene(&s, *state, "B", 100);
  const body p = body_of(65, 70, s.belief->mode);
  dp_dose_def def = dp_dose_def_default();
  def.target = "first_below(c, 10, 2, 100)";
  def.dose = 1500;
  def.duration = 2;
  dp_dose_answer *a = find(&s, &def);
  rig_near(conc(&p, 1500, 0, 2, a->value), 10, 1e-7);
  dp_dose_answer_destroy(a);
  def.target = "time_of_maximum(c, 0, 24)";
  a = find(&s, &def);
  rig_near(a->value, 2, 1e-5); /* the end of the infusion */
  dp_dose_answer_destroy(a);
  def.target = "first_above(c, 1000, 0, 100)";
  a = find(&s, &def);
  assert_true(isinf(a->value));
  dp_dose_answer_destroy(a);
  close_scene(&s);
}

/* A nonlinear kind: no closed form, so the dose found is simulated again as a dose that is given. */
static void nonlinear(void **state) {
  world one, *w = &one;
  world_open(w, *state, TWINS "/warfarin_genotype");
  dp_assimilate_def def = dp_assimilate_def_default();
  dp_belief *b = NULL;
  def.ndraw = 60;
  def.nproposal = 300;
  OK(dp_assimilate(w->kind, w->record, 0, 72, w->prior, &def, &b));
  dp_dose_def ask = dp_dose_def_default();
  dp_dose_answer *a = NULL, *again = NULL;
  ask.target = "relative(24) = 30";
  ask.interval = 24;
  ask.steady = 1;
  OK(dp_dose_find(w->kind, w->record, 0, w->prior, b, &ask, &a));
  rig_near(a->value, 30, 1e-7);
  ask.target = "relative(24)";
  ask.dose = a->dose;
  OK(dp_dose_find(w->kind, w->record, 0, w->prior, b, &ask, &again));
  rig_near(again->value, 30, 1e-7);
  for (int k = 0; k < 60;
       k++) /* more than half of the effect is gone at 30 %: each draw's dose follows its own curve */
    assert_true(a->draw_dose[k] > 0 && a->draw_dose[k] < 40);
  dp_dose_answer_destroy(a);
  dp_dose_answer_destroy(again);
  dp_belief_destroy(b);
  world_close(w);
}

static void what_cannot_be(void **state) {
  scene s;
  rig *r = *state;
  open_scene(&s, r, "B", 100);
  dp_dose_def def = dp_dose_def_default();
  def.target = "integral(c, 0, 24) = 4000";
  dp_dose_answer *a = find(&s, &def);
  assert_true(isnan(a->dose) && strstr(a->reason, "3000 mg still gives"));
  for (int k = 0; k < a->ndraw; k++) assert_true(isinf(a->draw_dose[k]) || a->draw_dose[k] > 2500);
  dp_dose_answer_destroy(a);
  static const struct {
    const char *target, *control, *said;
    double dose, interval, upper, duration;
  } bad[] = {
      {"integral(c, 0, 24)", NULL, "FIGURE = NUMBER", NAN, 0, NAN, 0},
      {"CL = 2", NULL, "figure of the path", NAN, 0, NAN, 0},
      {"c(24) = 11", "oral", "'oral'", NAN, 0, NAN, 0},
      {"c(24) = 11", NULL, "> 0", -5, 0, NAN, 0},
      {"c(24) = 11", NULL, "expected 0 to 1e9", NAN, -1, NAN, 0},
      {"c(24) = 11", NULL, "finite range", NAN, 0, INFINITY, 0},
      {"c(24) = 11", NULL, "an infusion over 14 h has not ended when the next begins after 12 h", NAN, 12, NAN, 14},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    def = dp_dose_def_default();
    def.target = bad[i].target;
    def.control = bad[i].control;
    def.dose = bad[i].dose;
    def.interval = bad[i].interval;
    def.upper = bad[i].upper;
    def.duration = bad[i].duration;
    def.steady = bad[i].duration > 0;
    dp_ctx_clear_error(r->ctx);
    assert_int_not_equal(dp_dose_find(s.w.kind, s.w.record, s.subject, s.w.prior, s.belief, &def, &a), DP_OK);
    if (!strstr(dp_ctx_error(r->ctx), bad[i].said)) fail_msg("%s: %s", bad[i].target, dp_ctx_error(r->ctx));
  }
  s.belief->usable = 0;
  snprintf(s.belief->verdict, sizeof s.belief->verdict, "weights collapsed");
  def = dp_dose_def_default();
  def.target = "c(24) = 11";
  a = find(&s, &def);
  assert_true(isnan(a->dose) && strstr(a->reason, "weights collapsed"));
  dp_dose_answer_destroy(a);
  close_scene(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {TEST(published_figures), TEST(area_at_steady_state),
                                     TEST(on_top_of_history), TEST(between_two_ends_that_miss),
                                     TEST(figures_of_a_dose), TEST(nonlinear),
                                     TEST(what_cannot_be)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
