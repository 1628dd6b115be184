/* test_every_kind.c - every kind of the folder twins: it loads, says what it is for, and its own record is read
 * person by person. */
#include "kind/tests/kind_rig.h"

static void one_kind(rig *r, const char *dir) {
  dp_kind *k = rig_load(r, dir);
  assert_true(*dp_kind_title(k) && *dp_kind_question(k) && *k->intended_use);
  char readme[1100];
  rig_join(readme, sizeof readme, dir, "README.md");
  char *text = rig_read(readme);
  if (!text || !strstr(text, "## Equations")) fail_msg("%s: expected a README.md with its equations", dir);
  free(text);
  if (*dp_kind_patients(k)) {
    dp_record *record = NULL;
    if (dp_kind_record(k, dp_kind_patients(k), &record) != DP_OK) fail_msg("%s: %s", dir, dp_ctx_error(r->ctx));
    assert_true(record->nsubject > 0);
    for (int s = 0; s < record->nsubject; s++) {
      dpi_case *c = NULL;
      if (dpi_case_create(k, record, s, &c) != DP_OK) fail_msg("%s: %s", dir, dp_ctx_error(r->ctx));
      dpi_case_destroy(c);
    }
    dp_record_destroy(record);
  }
  dp_kind_destroy(k);
}

static void all_of_them(void **state) {
  rig *r = *state;
  const char *dirs[] = {TWINS};
  dp_kind_entry *list = NULL;
  int n = 0;
  assert_int_equal(dp_kind_list(r->ctx, dirs, 1, &list, &n), DP_OK);
  assert_true(n >= 5);
  for (int i = 0; i < n; i++) one_kind(r, list[i].dir);
  dp_kind_list_free(r->ctx, list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {TEST(all_of_them)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
