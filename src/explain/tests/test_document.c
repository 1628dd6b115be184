/* Independent comparison: the document read back by a parser and set beside the study's own numbers; densities by their
 * integral and a known law; texts against the Unicode standard's examples of ill-formed sequences (table 3-8). */
#include "explain/explain.h"
#include "twin/tests/twin_rig.h"

static dp_study *study_of(world *w, const char *only, int discrepancy) {
  dp_study_def def = dp_study_def_default();
  dp_study *s = NULL;
  def.twin = quick_def();
  def.twin.decide = 1;
  def.twin.discrepancy = discrepancy;
  def.nuntil = 2;
  def.only = only;
  OK(dp_study_run(w->kind, w->record, &def, &s));
  return s;
}

static double at(const json_t *o, const char *path) { /* "a.b.0.c" */
  char copy[200];
  snprintf(copy, sizeof copy, "%s", path);
  for (char *part = strtok(copy, "."); part; part = strtok(NULL, "."))
    o = json_is_array(o) ? json_array_get(o, (size_t)atoi(part)) : json_object_get(o, part);
  if (!json_is_number(o) && !json_is_boolean(o)) fail_msg("%s is no number", path);
  return json_is_boolean(o) ? json_is_true(o) : json_number_value(o);
}

static void document_holds_the_study(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  dp_study *s = study_of(w, "1", 1);
  const dp_twin_view *v = dp_twin_look(s->twin[0]);
  char *text = NULL, *again = NULL;
  OK(dp_report_json(s, "doppel run x", &text));
  json_error_t error;
  json_t *o = json_loads(text, 0, &error);
  assert_non_null(o);
  static const char *const keys[] = {"observed", "belief", "forecast", "score", "proposal", "reason", "hashes", "seed",
                                     "doppel", "command", "record", "kind", "prior", "next_sample"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) assert_non_null(json_object_get(o, keys[i]));
  assert_true(at(o, "seed") == (double)s->def.twin.seed);
  assert_int_equal(json_array_size(json_object_get(o, "observed")), v->nseen + v->nsealed);
  rig_near(at(o, "score.samples.1.pit"), v->score[1].pit, 1e-11);
  rig_near(at(o, "score.samples.1.crps.population"), v->score[1].crps[DP_BY_POPULATION], 1e-11);
  rig_near(at(o, "forecast.0.quantiles.4.9"), v->fan[0].q[9 * DP_NLEVEL + 4], 1e-11);
  rig_near(at(o, "summary.scores.0.skill"), s->score[0].skill, 1e-11);
  /* the discrepancy term is on, and its median is there */
  double sorted[200];
  memcpy(sorted, v->belief->discrepancy, sizeof sorted);
  dpi_sort(sorted, 200);
  assert_true(at(o, "discrepancy") == 1 && at(o, "belief.discrepancy") == 1);
  rig_near(at(o, "belief.discrepancy_sd"), 0.5 * (sorted[99] + sorted[100]), 1e-11);
  assert_string_equal(json_string_value(json_object_get(json_object_get(o, "hashes"), "turn")), v->hash);
  assert_string_equal(json_string_value(json_object_get(json_object_get(o, "record"), "source")), "theophylline.csv");
  json_decref(o);
  OK(dp_report_json(s, "doppel run x", &again));
  assert_string_equal(text, again);
  dp_report_free(s->ctx, text);
  dp_report_free(s->ctx, again);
  dp_study_destroy(s);
  world_close(w);
}

/* the table says which of the two it is */
static void table_says_discrepancy(void **state) {
  world u, *w = &u;
  world_open(w, *state, TWINS "/theophylline");
  for (int on = 0; on < 2; on++) {
    dp_study *s = study_of(w, "2", on);
    char *text = NULL;
    OK(dp_report_table(s, &text));
    assert_non_null(strstr(text, on ? "bands hold a discrepancy term, sd " : "taken as true up to its parameters"));
    dp_report_free(s->ctx, text);
    dp_study_destroy(s);
  }
  world_close(w);
}

/* The same study gives the same page; nothing in the data ends the script element; a page that cannot be written leaves
 * nothing. */
static void page(void **state) {
  world u, *w = &u;
  char a[400], b[400], nowhere[400];
  world_open(w, *state, TWINS "/theophylline");
  dp_study *s = study_of(w, "1", 0);
  rig_join(a, sizeof a, w->r->dir, "a.html");
  rig_join(b, sizeof b, w->r->dir, "b.html");
  rig_join(nowhere, sizeof nowhere, w->r->dir, "none/c.html");
  OK(dp_report_html(s, a, "doppel '</script><b>'"));
  OK(dp_report_html(s, b, "doppel '</script><b>'"));
  char *x = NULL, *y = NULL;
  size_t nx, ny;
  OK(dpi_file_read(w->r->ctx, a, 0, &x, &nx));
  OK(dpi_file_read(w->r->ctx, b, 0, &y, &ny));
  assert_true(nx == ny && memcmp(x, y, nx) == 0);
  assert_null(strstr(x, "</script><b>"));
  assert_non_null(strstr(x, "<\\/script><b>"));
  assert_null(strstr(x, "DOPPEL-DATA"));
  dpi_free(w->r->ctx, x);
  dpi_free(w->r->ctx, y);
  assert_int_equal(dp_report_html(s, nowhere, "x"), DP_ERR_IO);
  dp_ctx_clear_error(w->r->ctx);
  assert_false(dpi_file_exists(nowhere));
  dp_study_destroy(s);
  world_close(w);
}

static void texts(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"plain", "plain"},
      {"\xc3\xa9\xe2\x89\xa5\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x89\xa5\xf0\x9f\x98\x80"}, /* two, three, four bytes */
      {"caf\xe9", "caf?"},                                                              /* Latin-1 */
      {"cut \xe2\x89", "cut ??"},                                                       /* a message cut short */
      {"\xc0\xaf", "??"},                                                               /* overlong */
      {"\xed\xa0\x80", "???"},                                                          /* surrogate */
      {"\xf4\x91\x92\x93\xff" "A", "?????A"},                                           /* beyond U+10FFFF */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *t = dpi_explain_text(cases[i][0]);
    assert_string_equal(json_string_value(t), cases[i][1]);
    json_decref(t);
  }
  json_t *t = dpi_explain_text(NULL);
  assert_string_equal(json_string_value(t), "");
  json_decref(t);
  assert_true(json_is_null(dpi_explain_number(NAN)) && json_is_null(dpi_explain_number(INFINITY)));
}

/* Densities integrate to 1 and, for many draws of a normal law, are that law widened by the kernel. */
static void densities(void **state) {
  (void)state;
  enum { N = 4000 };
  double a[N], b[N], x[DPI_DENSITY_POINTS], da[DPI_DENSITY_POINTS], db[DPI_DENSITY_POINTS], sum[2] = {0};
  for (int i = 0; i < N; i++) {
    a[i] = dpi_norm_quantile((i + 0.5) / N);
    b[i] = 1 + 0.5 * a[i];
  }
  dpi_explain_density(a, N, b, N, false, x, da, db);
  double h = 1.06 * pow(N, -0.2), wide = sqrt(1 + h * h);
  for (int i = 0; i < DPI_DENSITY_POINTS; i++) {
    sum[0] += da[i] * (x[1] - x[0]);
    sum[1] += db[i] * (x[1] - x[0]);
    rig_near(da[i], exp(-0.5 * x[i] * x[i] / (wide * wide)) / (wide * sqrt(8 * atan(1))), 2e-3);
  }
  rig_near(sum[0], 1, 5e-3);
  rig_near(sum[1], 1, 5e-3);
  dpi_explain_density(a, N, b, N, true, x, da, db);
  assert_true(x[0] > 0 && x[DPI_DENSITY_POINTS - 1] > 10); /* the axis is put back from logarithms */
}

/* how rows are understood: counts made by hand from the text */
static void record_in_words(void **state) {
  world u, *w = &u;
  char path[400], *text = NULL;
  world_open(w, *state, TWINS "/theophylline");
  rig_join(path, sizeof path, w->r->dir, "two.csv");
  rig_write(path, "ID,TIME,DV,AMT,EVID,CMT,WT,MDV\na,0,.,300,1,1,80,1\na,1,5,.,0,2,80,0\na,2,.,.,0,2,80,1\n"
                  "b,0,.,200,1,1,60,1\nb,3,2.5,.,0,2,60,0\nb,4,.,.,2,2,61,1\n");
  dp_record *record = NULL;
  OK(dp_kind_record(w->kind, path, &record));
  OK(dp_report_record(w->kind, record, &text));
  assert_non_null(strstr(text, "doses       oral       mg       2 rows, 200 to 300\n"));
  assert_non_null(strstr(text, "samples     c          mg/L     2 rows of 2 people, 2.5 to 5\n"));
  assert_non_null(strstr(text, "left out    1 samples without a value"));
  assert_non_null(strstr(text, "other rows  1 (EVID 2)"));
  dp_report_free(w->r->ctx, text);
  dp_record_destroy(record);
  OK(dp_report_kind_json(w->kind, &text));
  json_t *o = json_loads(text, 0, NULL);
  rig_near(at(o, "reward.terms.1.probability"), 0.05, 1e-12);
  json_decref(o);
  dp_report_free(w->r->ctx, text);
  world_close(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(document_holds_the_study), TEST(table_says_discrepancy), TEST(page), cmocka_unit_test(texts),
      cmocka_unit_test(densities),    TEST(record_in_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
