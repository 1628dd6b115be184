/* Compared with: the folders as they stand on disk, before and after. */
#include "kind_rig.h"

static void kinds_are_listed(void **state) {
  rig *r = *state;
  static const char *const dirs[] = {TWINS, DOPPEL_SOURCE_DIR "/tests/nonmem", "/nowhere"};
  dp_kind_entry *list = NULL;
  int n = 0;
  assert_int_equal(dp_kind_list(r->ctx, dirs, 3, &list, &n), DP_OK);
  int theophylline = 0, template_kind = 0, run951 = 0;
  for (int i = 0; i < n; i++) {
    if (i > 0) assert_true(strcmp(list[i - 1].id, list[i].id) <= 0);
    theophylline += strcmp(list[i].id, "theophylline") == 0;
    template_kind += strcmp(list[i].id, "template_kind") == 0;
    run951 += strcmp(list[i].id, "run951") == 0;
    if (strcmp(list[i].id, "warfarin") == 0)
      assert_string_equal(list[i].title, "Warfarin by mouth and prothrombin complex activity");
  }
  assert_int_equal(theophylline, 1);
  assert_int_equal(run951, 1);
  assert_int_equal(template_kind, 0);
  dp_kind_list_free(r->ctx, list);
}

/* One that cannot be read does not hide the others. */
static void broken_kind_is_listed_with_reason(void **state) {
  rig *r = *state;
  char path[300];
  rig_join(path, sizeof path, r->dir, "bad");
  mkdir(path, 0777);
  rig_join(path, sizeof path, r->dir, "bad/twin.yaml");
  rig_write(path, "kind: [");
  const char *dirs[] = {r->dir};
  rig_kind(r, "theophylline");
  dp_kind_entry *list = NULL;
  int n = 0;
  assert_int_equal(dp_kind_list(r->ctx, dirs, 1, &list, &n), DP_OK);
  assert_int_equal(n, 2);
  assert_string_equal(list[0].id, "bad");
  assert_non_null(strstr(list[0].title, "cannot be read"));
  assert_string_equal(list[1].id, "theophylline");
  assert_string_equal(dp_ctx_error(r->ctx), "");
  dp_kind_list_free(r->ctx, list);
}

/* A message that nobody has cleared is no reason of a kind's. */
static void older_message_is_no_reason(void **state) {
  rig *r = *state;
  char path[300];
  rig_join(path, sizeof path, r->dir, "bad");
  assert_int_equal(mkdir(path, 0777), 0);
  rig_write(strcat(path, "/twin.yaml"), "kind: bad\n  title: x\n");
  dpi_fail(r->ctx, DP_ERR_INPUT, "an older message");
  const char *dirs[1] = {r->dir};
  dp_kind_entry *list = NULL;
  int n = 0;
  assert_int_equal(dp_kind_list(r->ctx, dirs, 1, &list, &n), DP_OK);
  assert_int_equal(n, 1);
  assert_non_null(strstr(list[0].title, "twin.yaml:2"));
  assert_string_equal(dp_ctx_error(r->ctx), "an older message");
  dp_kind_list_free(r->ctx, list);
  dp_ctx_clear_error(r->ctx);
}

static void kinds_are_found(void **state) {
  rig *r = *state;
  static const char *const dirs[] = {TWINS};
  char path[600];
  assert_int_equal(dp_kind_find(r->ctx, "warfarin", dirs, 1, path, sizeof path), DP_OK);
  assert_string_equal(path, TWINS "/warfarin");
  assert_int_equal(dp_kind_find(r->ctx, TWINS "/_template", dirs, 1, path, sizeof path), DP_OK);
  assert_string_equal(path, TWINS "/_template");
  assert_int_equal(dp_kind_find(r->ctx, "warfarine", dirs, 1, path, sizeof path), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "did you mean 'warfarin'"));
  dp_ctx_clear_error(r->ctx);
  assert_int_equal(dp_kind_find(r->ctx, "warfarin", dirs, 1, path, 5), DP_ERR_INPUT);
  dp_ctx_clear_error(r->ctx);
}

static int count_entries(const char *dir) {
  DIR *d = opendir(dir);
  int n = 0;
  for (struct dirent *e; d && (e = readdir(d));)
    n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  if (d) closedir(d);
  return n;
}

static void new_kind_loads_at_once(void **state) {
  rig *r = *state;
  char path[300];
  assert_int_equal(dp_kind_new(r->ctx, TWINS "/_template", r->dir, "my_drug", 1), DP_OK);
  assert_int_equal(count_entries(r->dir), 0); /* dry run */
  assert_int_equal(dp_kind_new(r->ctx, TWINS "/_template", r->dir, "my_drug", 0), DP_OK);
  assert_int_equal(count_entries(r->dir), 1);
  rig_join(path, sizeof path, r->dir, "my_drug");
  dp_kind *k = rig_load(r, path);
  assert_string_equal(dp_kind_id(k), "my_drug");
  dp_record *record = NULL;
  assert_int_equal(dp_kind_record(k, dp_kind_patients(k), &record), DP_OK);
  assert_int_equal(record->nsubject, 2);
  dp_record_destroy(record);
  dp_kind_destroy(k);
  static const char *const files[] = {"my_drug/twin.yaml", "my_drug/model.ant",
                                      "my_drug/README.md"};
  for (int i = 0; i < 3; i++) {
    rig_join(path, sizeof path, r->dir, files[i]);
    char *text = rig_read(path);
    assert_non_null(text);
    assert_non_null(strstr(text, "my_drug"));
    assert_null(strstr(text, "template_kind"));
    free(text);
  }
  assert_int_equal(dp_kind_new(r->ctx, TWINS "/_template", r->dir, "my_drug", 0), DP_ERR_CONFLICT);
  dp_ctx_clear_error(r->ctx);
  assert_int_equal(dp_kind_new(r->ctx, TWINS "/_template", r->dir, "../evil", 0), DP_ERR_USAGE);
  dp_ctx_clear_error(r->ctx);
  assert_int_equal(dp_kind_new(r->ctx, TWINS "/_template", "/nowhere/at/all", "x", 0), DP_ERR_IO);
  dp_ctx_clear_error(r->ctx);
  assert_int_equal(count_entries(r->dir), 1);
}

/* A copy that fails in the middle leaves nothing: here a link in the template. */
static void nothing_half_written(void **state) {
  rig *r = *state;
  const char *dir = rig_kind(r, "_template");
  char path[400];
  rig_join(path, sizeof path, dir, "zz_link");
  assert_int_equal(symlink("/etc/hostname", path), 0);
  assert_int_equal(dp_kind_new(r->ctx, dir, r->dir, "other", 0), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(r->ctx), "zz_link"));
  assert_int_equal(count_entries(r->dir), 1);
  dp_ctx_clear_error(r->ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(kinds_are_listed, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(broken_kind_is_listed_with_reason, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(older_message_is_no_reason, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(kinds_are_found, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(new_kind_loads_at_once, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(nothing_half_written, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
