/* Compared with: the model written once more from the publication and integrated by SciPy at 1e-10
 * (tools/check_s2008.py): all 30 virtual people over a day of four meals. The published initial states are steady at
 * the published basal rate. */
#include "kind_rig.h"

enum { NTIME = 4, NPEOPLE = 30 };
static const double times[NTIME] = {480, 840, 1200, 1440};

/* blood glucose, then sensor glucose, at the four times, mg/dL */
static const struct golden {
  const char *id;
  double value[2 * NTIME];
} golden[] = {
    {"adolescent#001", {158.923908, 136.801108, 117.910375, 96.242557, 156.633760, 141.887922, 118.769575, 97.302389}},
    {"adolescent#002",
     {235.349580, 284.163574, 210.163325, 122.240051, 231.045565, 296.076611, 214.000513, 129.715253}},
    {"adolescent#003", {196.992289, 230.949180, 175.400537, 92.332478, 191.302282, 236.276399, 177.751017, 94.253765}},
    {"adolescent#004", {203.436130, 236.828686, 177.612030, 92.816630, 195.911833, 247.170221, 179.389357, 98.531658}},
    {"adolescent#005", {216.009410, 270.043253, 242.789700, 87.304910, 201.901801, 268.364495, 235.926533, 88.802774}},
    {"adolescent#006",
     {160.653076, 158.319919, 135.547475, 121.935556, 165.512707, 182.018862, 155.429170, 120.953655}},
    {"adolescent#007", {260.939189, 361.438258, 280.242359, 80.905408, 227.402684, 365.448670, 273.139892, 90.021737}},
    {"adolescent#008", {231.291544, 316.116108, 251.104618, 96.793540, 214.984275, 320.169103, 248.320879, 102.375155}},
    {"adolescent#009", {187.162986, 210.920340, 181.672791, 85.754518, 182.019339, 214.416035, 178.844005, 88.008529}},
    {"adolescent#010",
     {162.914194, 154.920924, 131.326269, 104.834518, 162.810610, 157.959102, 130.695467, 107.107601}},
    {"adult#001", {180.384860, 220.292473, 158.100254, 101.318804, 174.681319, 225.944460, 161.376665, 106.395467}},
    {"adult#002", {155.988619, 172.477575, 135.204628, 92.132955, 153.156777, 173.648074, 135.154192, 93.934724}},
    {"adult#003", {169.401585, 159.484551, 139.277594, 132.840796, 171.860254, 172.077280, 145.911530, 136.108836}},
    {"adult#004", {202.665532, 193.538204, 163.472826, 101.162884, 200.891884, 214.022997, 176.482614, 101.994083}},
    {"adult#005", {171.859426, 188.400944, 142.123783, 108.386790, 167.761034, 193.363175, 143.985628, 110.601268}},
    {"adult#006", {170.900888, 198.562627, 169.459434, 99.844649, 160.846393, 192.817981, 159.677534, 104.212469}},
    {"adult#007", {159.006814, 160.689705, 142.837753, 96.494751, 156.569703, 162.415370, 141.789316, 97.450901}},
    {"adult#008", {165.846366, 166.799127, 123.129139, 91.286048, 165.705729, 172.621089, 126.772074, 89.629746}},
    {"adult#009", {184.712534, 214.623548, 148.810654, 132.858650, 180.694796, 222.535867, 154.293773, 136.434513}},
    {"adult#010", {196.773826, 205.517990, 167.328444, 95.508614, 193.829791, 213.754237, 167.482213, 99.154488}},
    {"child#001", {169.040633, 121.524507, 108.059824, 88.355808, 178.557686, 149.014251, 126.286911, 89.523815}},
    {"child#002", {162.699532, 161.131422, 128.619652, 96.080592, 160.935034, 165.726278, 129.201365, 98.882964}},
    {"child#003", {188.248128, 209.298723, 168.395363, 112.754303, 185.165535, 228.829564, 183.684981, 117.331209}},
    {"child#004", {134.278349, 88.227253, 82.310985, 48.173857, 140.692569, 94.690661, 85.546805, 47.970006}},
    {"child#005", {102.899809, 83.227254, 73.530849, 68.153572, 109.353072, 82.982147, 72.937735, 68.125712}},
    {"child#006", {183.724357, 193.563282, 154.538095, 93.571925, 180.988517, 204.446025, 161.045249, 95.662373}},
    {"child#007", {126.536734, 101.647735, 93.440269, 86.692134, 130.903591, 105.033176, 94.640583, 88.343140}},
    {"child#008", {264.290276, 324.740166, 256.302347, 83.541999, 256.363084, 342.342535, 265.316440, 85.909708}},
    {"child#009", {153.530089, 112.014665, 111.643862, 89.773497, 160.131806, 125.807293, 121.962423, 87.653768}},
    {"child#010", {200.158827, 210.221138, 196.283640, 88.687412, 196.092116, 222.546236, 202.647729, 88.331552}},
};

/* One person's day as an event table: header and row of people.tsv become covariates. */
static dp_record *make_day(rig *r, const dp_kind *kind, const char *header, const char *person, bool meals) {
  static const double when[] = {420, 735, 780, 1110}, grams[] = {45, 70, 20, 80};
  char path[300], row[2000], *id = row, *numbers;
  double share = strncmp(person, "child", 5) == 0 ? 0.5 : 1, ratio = 0;
  dp_record *record = NULL;
  rig_join(path, sizeof path, r->dir, "day.csv");
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  snprintf(row, sizeof row, "%s", person);
  numbers = strchr(row, '\t');
  assert_non_null(numbers);
  *numbers++ = 0;
  const char *name = strchr(header, '\t') + 1;
  fprintf(f, "ID,TIME,AMT,RATE,CMT,EVID,DVID,DV");
  for (const char *p = strchr(header, '\t'); *p && *p != '\n'; p++) fputc(*p == '\t' ? ',' : *p, f);
  fputc('\n', f);
  for (char *p = numbers; *p; p++) {
    if ((p == numbers || p[-1] == ',') && strncmp(name, "CR\t", 3) == 0) ratio = atof(p);
    if (*p != '\t' && *p != '\n') continue;
    *p = *p == '\t' ? ',' : 0;
    name = strchr(name, '\t') ? strchr(name, '\t') + 1 : name;
    if (!*p) break;
  }
  assert_true(ratio > 1);
  fprintf(f, "%s,0,0,0,0,0,cgm,100,%s\n", id, numbers);
  for (int k = 0, m = 0; k < NTIME; k++) {
    for (; m < NTIME && when[m] < times[k] && meals; m++) {
      fprintf(f, "%s,%g,%.17g,5000,1,1,,,%s\n", id, when[m], 1000 * share * grams[m], numbers);
      fprintf(f, "%s,%g,%.17g,0,2,1,,,%s\n", id, when[m], share * grams[m] / ratio, numbers);
    }
    fprintf(f, "%s,%g,0,0,0,0,cgm,100,%s\n", id, times[k], numbers);
  }
  assert_int_equal(fclose(f), 0);
  if (dp_kind_record(kind, path, &record) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  return record;
}

static void run_day(rig *r, const dp_kind *kind, const char *header, const char *person, bool meals, const double *want,
                    double tolerance) {
  dp_record *record = make_day(r, kind, header, person, meals);
  dpi_case *c = NULL;
  if (dpi_case_create(kind, record, 0, &c) != DP_OK) fail_msg("%s", dp_ctx_error(r->ctx));
  assert_int_equal(c->nobs, NTIME + 1);
  dp_result *result = rig_simulate(r, c, NULL, NULL);
  int bg = dp_sim_output(kind->sim, "bg"), cgm = kind->observable[0].value_output;
  for (int k = 0; k < NTIME; k++) {
    const double *row = result->value + (size_t)c->obs[k + 1].row * (size_t)result->noutput;
    const double *start = result->value + (size_t)c->obs[0].row * (size_t)result->noutput;
    double blood = want ? want[k] : start[bg], sensor = want ? want[NTIME + k] : start[cgm];
    if (fabs(row[bg] - blood) > tolerance || fabs(row[cgm] - sensor) > tolerance)
      fail_msg("%.14s at %g min: blood %.9g for %.9g, sensor %.9g for %.9g", person, times[k], row[bg], blood, row[cgm],
               sensor);
  }
  dp_result_destroy(result);
  dpi_case_destroy(c);
  dp_record_destroy(record);
}

static void people_eat_as_the_reference(void **state) {
  rig *r = *state;
  dp_kind *kind = rig_load(r, TWINS "/s2008");
  static char header[2000], line[2000];
  int n = 0;
  FILE *f = fopen(TWINS "/s2008/people.tsv", "r");
  assert_non_null(f);
  while (fgets(line, sizeof line, f)) {
    if (*line == '#') continue;
    if (!*header) {
      memcpy(header, line, sizeof header);
      continue;
    }
    assert_true(n < NPEOPLE);
    assert_int_equal(strncmp(line, golden[n].id, strlen(golden[n].id)), 0);
    run_day(r, kind, header, line, true, golden[n].value, 1e-4);
    run_day(r, kind, header, line, false, NULL, 1e-5);
    n++;
  }
  fclose(f);
  assert_int_equal(n, NPEOPLE);
  dp_kind_destroy(kind);
}

/* What a meal resets is said where it can't be done. */
static void resets_are_checked(void **state) {
  rig *r = *state;
  char path[300];
  dp_kind *kind = rig_load(r, TWINS "/s2008");
  dp_record *record = NULL;
  rig_join(path, sizeof path, r->dir, "many.csv");
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fprintf(f, "ID,TIME,AMT,RATE,CMT,EVID,ADDL,II\n1,10,45000,5000,1,1,3,300\n");
  assert_int_equal(fclose(f), 0);
  assert_int_equal(dp_kind_record(kind, path, &record), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "expected a row for each"));
  assert_null(record);
  dp_kind_destroy(kind);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(people_eat_as_the_reference, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(resets_are_checked, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
