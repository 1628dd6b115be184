/* Compared with: closed forms of one compartment (bolus, first-order absorption) evaluated here with libm, piecewise where a
 * covariate or an occasion changes; counts taken from the data files by hand. */
#include "kind_rig.h"

/* Bateman: one compartment, first-order absorption. */
static double oral(double dose, double ka, double CL, double V, double t) {
  double k = CL / V;
  return dose * ka / (V * (ka - k)) * (exp(-k * t) - exp(-ka * t));
}

static dpi_case *make(rig *r, const dp_kind *k, const dp_record *record, int subject) {
  dpi_case *c = NULL;
  if (dpi_case_create(k, record, subject, &c) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  return c;
}

static void theophylline_person_1(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/theophylline");
  dp_record *record = NULL;
  assert_int_equal(dp_kind_record(k, dp_kind_patients(k), &record), DP_OK);
  dpi_case *c = make(r, k, record, dp_record_subject(record, "1"));
  assert_int_equal(c->nobs, 11);
  assert_int_equal(c->nout, 11);
  assert_int_equal(c->ninstant, 1);
  assert_int_equal(c->neta, 3);
  rig_near(c->last_time, 24.37, 0);
  double eta[3] = {.2, -.1, .15};
  double ka = k->param[0].nominal * exp(.2), CL = k->param[1].nominal * exp(-.1),
         V = k->param[2].nominal * exp(.15);
  dp_result *result = rig_simulate(r, c, NULL, eta);
  for (int i = 0; i < c->nobs; i++) {
    double t = c->obs[i].time, want = oral(319.992, ka, CL, V, t), h = 1e-6;
    rig_near(rig_prediction(c, result, i), want, 1e-8);
    double *d =
        result->dvalue + (c->obs[i].row * result->noutput + k->observable[0].value_output) * 3;
    rig_near(
        d[0],
        (oral(319.992, ka * exp(h), CL, V, t) - oral(319.992, ka * exp(-h), CL, V, t)) / (2 * h),
        1e-6);
    rig_near(
        d[1],
        (oral(319.992, ka, CL * exp(h), V, t) - oral(319.992, ka, CL * exp(-h), V, t)) / (2 * h),
        1e-6);
    rig_near(
        d[2],
        (oral(319.992, ka, CL, V * exp(h), t) - oral(319.992, ka, CL, V * exp(-h), t)) / (2 * h),
        1e-6);
  }
  assert_int_equal(dpi_case_seen(c, 0), 1);
  assert_int_equal(dpi_case_seen(c, 2.02), 5);
  assert_int_equal(dpi_case_seen(c, 2.0199), 4);
  assert_int_equal(dpi_case_seen(c, k->until), 5);
  assert_int_equal(dpi_case_seen(c, 1000), 11);
  assert_int_equal(dpi_case_seen(c, -1), 0);
  dp_result_destroy(result);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* 132 measurements of 12 people; 483 of 32 people, of which 8 are replicates of person 9. */
static void all_people_are_read(void **state) {
  rig *r = *state;
  static const struct {
    const char *dir;
    int nsubject, nobs, nreplicate;
  } want[] = {{TWINS "/theophylline", 12, 132, 0}, {TWINS "/warfarin", 32, 483, 8}};
  for (int i = 0; i < 2; i++) {
    dp_kind *k = rig_load(r, want[i].dir);
    dp_record *record = NULL;
    if (dp_kind_record(k, dp_kind_patients(k), &record) != DP_OK)
      fail_msg("%s", dp_ctx_error(r->ctx));
    assert_int_equal(record->nsubject, want[i].nsubject);
    int nobs = 0, nreplicate = 0;
    for (int s = 0; s < record->nsubject; s++) {
      dpi_case *c = make(r, k, record, s);
      nobs += c->nobs;
      for (int o = 0; o < c->nobs; o++) {
        nreplicate += c->obs[o].replicate;
        if (c->obs[o].replicate) assert_string_equal(c->id, "9");
      }
      dpi_case_destroy(c);
    }
    assert_int_equal(nobs, want[i].nobs);
    assert_int_equal(nreplicate, want[i].nreplicate);
    dp_record_destroy(record);
    dp_kind_destroy(k);
  }
}

/* Measurements of one time share an output row. */
static void rows_are_shared(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/warfarin");
  dp_record *record = NULL;
  assert_int_equal(dp_kind_record(k, dp_kind_patients(k), &record), DP_OK);
  dpi_case *c = make(r, k, record, 0);
  assert_int_equal(c->nobs, 18);
  assert_int_equal(c->nout, 14); /* 24, 36, 48 and 72 h have both */
  assert_int_equal(c->obs[7].row, c->obs[8].row);
  assert_int_equal(c->obs[7].observable, 0);
  assert_int_equal(c->obs[8].observable, 1);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

static const char changing[] =
    "ID,TIME,AMT,DV,EVID,CMT,WT\n"
    "1,0,200,.,1,1,70\n1,4,0,5,0,1,100\n1,8,0,3,0,1,50\n";

/* CL = 2 (WT/70)^0.75, V = 20 WT/70 */
static double rate_at(double wt) { return 2 * pow(wt / 70, .75) / (20 * wt / 70); }

static void covariates_hold_forward(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/_template");
  dp_record *record = rig_record(r, k, changing);
  dpi_case *c = make(r, k, record, 0);
  double eta[2] = {0};
  dp_result *result = rig_simulate(r, c, NULL, eta);
  double a4 = 200 * exp(-rate_at(70) * 4), a8 = a4 * exp(-rate_at(100) * 4);
  rig_near(rig_prediction(c, result, 0), a4 / (20 * 100.0 / 70), 1e-9);
  rig_near(rig_prediction(c, result, 1), a8 / (20 * 50.0 / 70), 1e-9);
  dp_result_destroy(result);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

static void covariates_hold_backward(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "_template");
  rig_edit(dir, "covariates.tsv", "locf", "nocb");
  dp_kind *k = rig_load(r, dir);
  dp_record *record = rig_record(r, k, changing);
  dpi_case *c = make(r, k, record, 0);
  double eta[2] = {0};
  dp_result *result = rig_simulate(r, c, NULL, eta);
  double a4 = 200 * exp(-rate_at(100) * 4), a8 = a4 * exp(-rate_at(50) * 4);
  rig_near(rig_prediction(c, result, 0), a4 / (20 * 100.0 / 70), 1e-9);
  rig_near(rig_prediction(c, result, 1), a8 / (20 * 50.0 / 70), 1e-9);
  dp_result_destroy(result);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* A dose goes by the first row later than it (`next`) or by its own: two doses at 0 whose next
 * row is the other one, one at 4 h, one with nothing behind it. Rates go by the interval's end in both. */
static void doses_by_the_next_row(void **state) {
  rig *r = *state;
  static const char text[] = "ID,TIME,AMT,DV,EVID,CMT,WT\n1,0,100,.,1,1,50\n1,0,100,.,1,1,60\n1,4,0,5,0,1,70\n"
                             "1,4,100,.,1,1,100\n1,8,0,4,0,1,80\n1,8,100,.,1,1,90\n";
  for (int next = 0; next < 2; next++) {
    const char *dir = rig_kind(r, "_template");
    rig_edit(dir, "covariates.tsv", "locf", next ? "next" : "nocb");
    rig_edit(dir, "controls.tsv", "\ttarget\t", "\ttarget\tbioavailability\t");
    rig_edit(dir, "controls.tsv", "\tcentral\t", "\tcentral\tWT/70\t");
    dp_kind *k = rig_load(r, dir);
    dp_record *record = rig_record(r, k, text);
    dpi_case *c = make(r, k, record, 0);
    double eta[2] = {0};
    dp_result *result = rig_simulate(r, c, NULL, eta);
    double at0 = next ? 200 : 100 * (50 + 60) / 70.0, at4 = next ? 100 * 80 / 70.0 : 100 * 100 / 70.0;
    double a4 = at0 * exp(-rate_at(70) * 4), a8 = (a4 + at4) * exp(-rate_at(80) * 4);
    rig_near(rig_prediction(c, result, 0), a4 / 20, 1e-9);
    rig_near(rig_prediction(c, result, 1), a8 / (20 * 80.0 / 70), 1e-9);
    dp_result_destroy(result);
    dpi_case_destroy(c);
    dp_record_destroy(record);
    dp_kind_destroy(k);
  }
}

/* A missing weight: the value of the table, the one before, or a refusal. */
static void missing_covariates(void **state) {
  rig *r = *state;
  static const char text[] = "ID,TIME,AMT,DV,EVID,CMT,WT\n1,0,200,.,1,1,90\n1,4,0,5,0,1,.\n";
  static const struct {
    const char *policy;
    double weight; /* at 4 h; NaN: refused */
  } want[] = {{"\t70\t", 70}, {"\tcarry\t", 90}, {"\trefuse\t", NAN}};
  for (int i = 0; i < 3; i++) {
    const char *dir = rig_kind(r, "_template");
    rig_edit(dir, "covariates.tsv", "\t70\t", want[i].policy);
    dp_kind *k = rig_load(r, dir);
    char path[300];
    rig_join(path, sizeof path, r->dir, "missing.csv");
    rig_write(path, text);
    dp_record *record = NULL;
    dp_status status = dp_kind_record(k, path, &record);
    if (isnan(want[i].weight)) {
      assert_int_equal(status, DP_ERR_INPUT);
      assert_non_null(strstr(dp_ctx_error(r->ctx), "missing.csv:3: column WT"));
      dp_ctx_clear_error(r->ctx);
    } else {
      assert_int_equal(status, DP_OK);
      dpi_case *c = make(r, k, record, 0);
      double eta[2] = {0};
      dp_result *result = rig_simulate(r, c, NULL, eta);
      rig_near(rig_prediction(c, result, 0),
               200 * exp(-rate_at(90) * 4) / (20 * want[i].weight / 70), 1e-9);
      dp_result_destroy(result);
      dpi_case_destroy(c);
      dp_record_destroy(record);
    }
    dp_kind_destroy(k);
  }
}

/* The template with an occasion effect on CL. */
static dp_kind *occasion_kind(rig *r) {
  const char *dir = rig_kind(r, "_template");
  rig_edit(dir, "population.tsv", "V\ttv_V",
           "CL\ttv_CL\tlognormal\tiov_CL\toccasion\t0.02\t1\tL/h\tclearance\nV\ttv_V");
  rig_edit(dir, "covariates.tsv", "convention\n",
           "convention\toccasion\nOCC\t1\toccasion\t0\t99\t\t\trefuse\tlocf\t1\n");
  rig_edit(dir, "covariates.tsv", "locf\n", "locf\t0\n");
  return rig_load(r, dir);
}

static void occasions(void **state) {
  rig *r = *state;
  dp_kind *k = occasion_kind(r);
  dp_record *record =
      rig_record(r, k,
                 "ID,TIME,AMT,DV,EVID,CMT,WT,OCC\n"
                 "1,0,200,.,1,1,70,7\n1,4,0,5,0,1,70,7\n1,10,200,.,4,1,70,3\n1,13,0,5,0,1,70,3\n"
                 "1,20,200,.,4,1,70,7\n1,22,0,5,0,1,70,7\n");
  dpi_case *c = make(r, k, record, 0);
  assert_int_equal(c->noccasion, 2);
  assert_int_equal(c->neta, 4); /* eta_CL, eta_V, then iov_CL of both occasions */
  assert_string_equal(k->effect[c->eta_effect[0]].id, "eta_CL");
  assert_string_equal(k->effect[c->eta_effect[1]].id, "eta_V");
  assert_string_equal(k->effect[c->eta_effect[2]].id, "iov_CL");
  assert_string_equal(k->effect[c->eta_effect[3]].id, "iov_CL");
  double eta[4] = {.1, -.2, .3, -.4}, V = 20 * exp(-.2);
  static const double time[3] = {4, 3, 2};
  static const int occasion[3] = {0, 1, 0}; /* the value 7 comes back: the first occasion again */
  dp_result *result = rig_simulate(r, c, NULL, eta);
  for (int i = 0; i < 3; i++) {
    double CL = 2 * exp(.1 + eta[2 + occasion[i]]), want = 200 / V * exp(-CL / V * time[i]);
    rig_near(rig_prediction(c, result, i), want, 1e-9);
    double *d =
        result->dvalue + (c->obs[i].row * result->noutput + k->observable[0].value_output) * 4;
    double slope = -want * CL / V * time[i];
    rig_near(d[0], slope, 1e-7);
    rig_near(d[2 + occasion[i]], slope, 1e-7);
    rig_near(d[3 - occasion[i]], 0, 1e-12);
  }
  dp_result_destroy(result);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* At equal times the order of the rows decides: measured before the dose, and after it. */
static void order_of_rows(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/_template");
  dp_record *record =
      rig_record(r, k,
                 "ID,TIME,AMT,DV,EVID,CMT,WT\n"
                 "1,0,100,.,1,1,70\n1,8,0,1,0,1,70\n1,8,100,.,1,1,70\n1,8,0,6,0,1,70\n");
  dpi_case *c = make(r, k, record, 0);
  assert_int_equal(c->nout, 2);
  assert_false(c->obs[0].replicate && c->obs[0].row == c->obs[1].row);
  double eta[2] = {0}, left = 100 * exp(-.1 * 8);
  dp_result *result = rig_simulate(r, c, NULL, eta);
  rig_near(rig_prediction(c, result, 0), left / 20, 1e-9);
  rig_near(rig_prediction(c, result, 1), (left + 100) / 20, 1e-9);
  dp_result_destroy(result);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* An error by Johnson's law: what is measured for z, and z of what is measured; bad shapes say where. */
static void shaped_errors(void **state) {
  rig *r = *state;
  static const struct {
    const char *from, *to, *column;
  } bad[] = {{"\t-0.5554\t", "\t\t", "noiseGamma"},      {"\t-0.5554\t", "\t6\t", "noiseDelta"},
             {"\t1.7239\t", "\t0.6\t", "noiseDelta"},    {"\t1.7239\t", "\t\t", "noiseDelta"},
             {"\t0.063\t", "\t-11\t", "noiseMean"},      {"johnsonsu", "normal", "noiseGamma"},
             {"\t1.7239\t", "\tnan\t", "noiseDelta"}};
  for (int k = 0; k < DPI_COUNT(bad); k++) {
    const char *dir = rig_kind(r, "insulin");
    dp_kind *none = NULL;
    char want[80];
    rig_edit(dir, "observables.tsv", bad[k].from, bad[k].to);
    dp_ctx_clear_error(r->ctx);
    assert_int_equal(dp_kind_load(r->ctx, dir, &none), DP_ERR_INPUT);
    assert_null(none);
    snprintf(want, sizeof want, "observables.tsv:2: column %s", bad[k].column);
    if (!strstr(dp_ctx_error(r->ctx), want)) fail_msg("%s\nexpected %s", dp_ctx_error(r->ctx), want);
  }
  dp_kind *kind = rig_load(r, rig_kind(r, "insulin"));
  const dpi_kind_observable *o = &kind->observable[0];
  double sum = 0, sum2 = 0, slope, all = 0;
  assert_int_equal(o->noise, DPI_NOISE_JOHNSON);
  for (int k = -800; k <= 800; k++) {
    const double z = 0.01 * k, y = dpi_kind_measure(o, 100, 11.7, z), p = dpi_norm_pdf(z);
    all += p, sum += p * (y - 100), sum2 += p * (y - 100) * (y - 100);
    rig_near(dpi_kind_error(o, y, 100, 11.7, &slope), z, 1e-11);
    /* ln dz/dy, by differences */
    double none;
    const double high = dpi_kind_error(o, y + 1e-4, 100, 11.7, &none), low = dpi_kind_error(o, y - 1e-4, 100, 11.7, &none);
    rig_near(exp(slope), (high - low) / 2e-4, 1e-8);
  }
  rig_near(sum / all, 0.063 * 11.7, 1e-9);
  rig_near(sqrt(sum2 / all - sum / all * (sum / all)), 11.7, 1e-8);
  dp_kind_destroy(kind);
}

static void below_quantification(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "_template");
  rig_edit(dir, "observables.tsv", "\t1\t\t1\t2\t20", "\t1\t0.5\t1\t2\t20");
  dp_kind *k = rig_load(r, dir);
  dp_record *record = rig_record(
      r, k,
      "ID,TIME,AMT,DV,EVID,CMT,WT,CENS,LLOQ\n"
      "1,0,100,.,1,1,70,0,.\n1,1,0,4,0,1,70,0,.\n1,20,0,0.3,0,1,70,0,.\n1,30,0,0,0,1,70,1,0.2\n"
      "1,31,0,0.7,0,1,70,1,.\n1,32,0,0.1,0,1,70,0,0.05\n");
  dpi_case *c = make(r, k, record, 0);
  static const int censored[5] = {0, 1, 1, 1, 0};
  static const double limit[5] = {.5, .5, .2, .7, .05};
  for (int i = 0; i < 5; i++) {
    assert_int_equal(c->obs[i].censored, censored[i]);
    rig_near(c->obs[i].limit, limit[i], 0);
  }
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* The same record in other units is the same record. */
static void units_convert(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/_template");
  dp_record *record = rig_record(
      r, k,
      "#units: TIME=min, AMT=g, DV=ug/L, WT=g\n"
      "ID,TIME,AMT,DV,EVID,CMT,RATE,WT\n1,0,0.2,.,1,1,0.002,70000\n1,240,0,5000,0,1,0,70000\n");
  assert_int_equal(record->nwarning, 4);
  assert_non_null(strstr(record->warning[1], "AMT converted from g to mg (1 g is 1000 mg)"));
  dpi_case *c = make(r, k, record, 0);
  rig_near(c->instant[0].amount, 200, 1e-14);
  rig_near(c->instant[0].rate, 120, 1e-13); /* 0.002 g/min */
  rig_near(c->obs[0].value, 5, 1e-14);
  rig_near(c->obs[0].time, 4, 0);
  rig_near(c->param[k->covariate[0].sim_param], 70, 1e-14);
  dpi_case_destroy(c);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* Amounts of substance by the molar mass (glucose's); an observable's own unit goes before DV's; limits go along. */
static void substance_converts(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "_template");
  rig_edit(dir, "observables.tsv", "axisHigh\n", "axisHigh\tmolarMass\n");
  rig_edit(dir, "observables.tsv", "\t2\t20\n", "\t2\t20\t180.16\n");
  dp_kind *k = rig_load(r, dir);
  static const char rows[] =
      "ID,TIME,AMT,DV,EVID,CMT,WT,CENS,LLOQ\n1,0,100,.,1,1,70,0,.\n"
      "1,1,0,0.025,0,1,70,0,0.01\n1,9,0,0,0,1,70,1,0.01\n";
  static const struct {
    const char *units;
    double factor;
  } list[] = {{"#units: DV=mmol/L\n", 180.16},
              {"#units: DV=mg/dL, c=umol/mL\n", 180.16},
              {"#units: DV=ug/mL\n", 1},
              {"#units: c=mg/dL\n", 10},
              {"", 1}};
  for (int i = 0; i < DPI_COUNT(list); i++) {
    char text[500];
    snprintf(text, sizeof text, "%s%s", list[i].units, rows);
    dp_record *record = rig_record(r, k, text);
    dpi_case *c = make(r, k, record, 0);
    rig_near(c->obs[0].value, .025 * list[i].factor, 1e-14);
    rig_near(c->obs[1].limit, .01 * list[i].factor, 1e-14);
    assert_int_equal(c->obs[1].censored, 1);
    dpi_case_destroy(c);
    dp_record_destroy(record);
  }
  dp_kind_destroy(k);
}

static void suspicious_dose_is_told(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/_template");
  dp_record *record =
      rig_record(r, k, "ID,TIME,AMT,DV,EVID,CMT,WT\n1,0,200000,.,1,1,70\n1,4,0,5,0,1,70\n");
  assert_int_equal(record->nwarning, 1);
  assert_non_null(
      strstr(record->warning[0], "record.csv:2: dose 200000 mg lies outside 0 to 500 mg"));
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

/* Streams differ between people and are the same every time. */
static void streams(void **state) {
  rig *r = *state;
  dp_kind *k = rig_load(r, TWINS "/theophylline");
  dp_record *record = NULL;
  assert_int_equal(dp_kind_record(k, dp_kind_patients(k), &record), DP_OK);
  dpi_case *a = make(r, k, record, 0), *b = make(r, k, record, 1), *again = make(r, k, record, 0);
  assert_true(a->stream != b->stream);
  assert_true(a->stream == again->stream);
  dpi_case_destroy(a);
  dpi_case_destroy(b);
  dpi_case_destroy(again);
  dp_record_destroy(record);
  dp_kind_destroy(k);
}

static void broken_records_say_where(void **state) {
  rig *r = *state;
  static const struct {
    const char *kind, *text;
    dp_status status;
    const char *message[3];
  } list[] = {
      {"warfarin",
       "id,time,amt,dv,dvid,evid\n1,0,100,.,cp,1\n1,1,0,5,inr,0\n",
       DP_ERR_INPUT,
       {"bad.csv:3:", "'inr'", "pca"}},
      {"theophylline",
       "ID,TIME,DV,AMT,EVID,CMT\n1,0,.,100,1,3\n1,1,2,0,0,2\n",
       DP_ERR_INPUT,
       {"bad.csv:2: column CMT", "found 3", "oral"}},
      {"warfarin",
       "id,time,amt,dv,evid\n1,0,100,.,1\n1,1,0,5,0\n",
       DP_ERR_INPUT,
       {"bad.csv:3:", "DVID", "cp"}},
      {"theophylline",
       "ID,TIME,DV,AMT,EVID,CMT,WT\n1,0,.,100,1,1,700\n1,1,2,0,0,2,700\n",
       DP_ERR_INPUT,
       {"bad.csv:2: column WT", "700", "30 to 250 kg"}},
      {"theophylline",
       "ID,TIME,DV,AMT,EVID,CMT,RATE\n1,0,.,100,1,1,-2\n1,1,2,0,0,2,0\n",
       DP_ERR_INPUT,
       {"bad.csv:2: column RATE", "duration"}},
      {"theophylline",
       "ID,TIME,DV,AMT,EVID,CMT,CENS\n1,0,.,100,1,1,0\n1,1,0,0,0,2,1\n",
       DP_ERR_INPUT,
       {"bad.csv:3: column CENS", "limit"}},
      {"theophylline",
       "ID,TIME,DV,AMT,EVID,CMT,CENS\n1,0,.,100,1,1,0\n1,1,30,0,0,2,-1\n",
       DP_ERR_UNSUPPORTED,
       {"bad.csv:3: column CENS"}},
      {"theophylline",
       "#units: AMT=mmol\nID,TIME,DV,AMT,EVID,CMT\n1,0,.,100,1,1\n1,1,2,0,0,2\n",
       DP_ERR_INPUT,
       {"bad.csv:1: #units: AMT", "'mmol'", "'mg'"}},
      {"theophylline",
       "# people\n#units: TIME=h\n#units: WT=L\nID,TIME,DV,AMT,EVID,CMT,WT\n1,0,.,100,1,1,70\n1,1,2,0,0,2,70\n",
       DP_ERR_INPUT,
       {"bad.csv:3: #units: WT", "'L'", "'kg'"}},
      {"theophylline",
       "#units: TIME=h\n#units: c=kg\nID,TIME,DV,AMT,EVID,CMT\n1,0,.,100,1,1\n1,1,2,0,0,2\n",
       DP_ERR_INPUT,
       {"bad.csv:2: #units: c", "'kg'", "'mg/L'"}},
      {"theophylline",
       "#units: AMTT=mg\nID,TIME,DV,AMT,EVID,CMT\n1,0,.,100,1,1\n1,1,2,0,0,2\n",
       DP_ERR_INPUT,
       {"bad.csv:1:", "'AMTT'", "'AMT'"}},
      {"theophylline",
       "#units: AMT=mgg\nID,TIME,DV,AMT,EVID,CMT\n1,0,.,100,1,1\n1,1,2,0,0,2\n",
       DP_ERR_INPUT,
       {"bad.csv:1: #units: AMT", "mgg"}},
      {"theophylline",
       "#units: AMT\nID,TIME,DV,AMT,EVID,CMT\n1,0,.,100,1,1\n1,1,2,0,0,2\n",
       DP_ERR_INPUT,
       {"bad.csv:1:", "NAME=unit"}},
      {"theophylline",
       "ID,TIME,DV,AMT,EVID,CMT\n1,0,.,100,1,1\n1,1,x,0,0,2\n",
       DP_ERR_INPUT,
       {"bad.csv:3:", "DV"}},
  };
  int wrong = 0;
  for (int i = 0; i < DPI_COUNT(list); i++) {
    char dir[300], path[300];
    rig_join(dir, sizeof dir, TWINS, list[i].kind);
    dp_kind *k = rig_load(r, dir);
    rig_join(path, sizeof path, r->dir, "bad.csv");
    rig_write(path, list[i].text);
    dp_record *record = NULL;
    dp_status status = dp_kind_record(k, path, &record);
    const char *message = dp_ctx_error(r->ctx);
    bool good = status == list[i].status && !record;
    for (int m = 0; m < 3 && list[i].message[m]; m++)
      good = good && strstr(message, list[i].message[m]);
    if (!good) printf("%d: %s: %s\n", i, dp_status_name(status), message);
    wrong += !good;
    dp_record_destroy(record);
    dp_kind_destroy(k);
    dp_ctx_clear_error(r->ctx);
  }
  assert_int_equal(wrong, 0);
}

/* A covariate the kind needs and the record lacks. */
static void missing_column(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "_template");
  rig_edit(dir, "covariates.tsv", "\t70\t", "\trefuse\t");
  dp_kind *k = rig_load(r, dir);
  char path[300];
  rig_join(path, sizeof path, r->dir, "lacks.csv");
  rig_write(path, "ID,TIME,AMT,DV,EVID,CMT,WTT\n1,0,200,.,1,1,90\n1,4,0,5,0,1,90\n");
  dp_record *record = NULL;
  assert_int_equal(dp_kind_record(k, path, &record), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "has no column WT"));
  dp_ctx_clear_error(r->ctx);
  dp_kind_destroy(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(theophylline_person_1, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(all_people_are_read, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(rows_are_shared, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(covariates_hold_forward, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(covariates_hold_backward, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(doses_by_the_next_row, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(missing_covariates, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(occasions, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(order_of_rows, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(below_quantification, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(units_convert, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(shaped_errors, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(substance_converts, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(suspicious_dose_is_told, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(streams, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(broken_records_say_where, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(missing_column, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
