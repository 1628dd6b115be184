/* Compared with: small texts whose tree and line numbers are plain to see. */
#include "kind/kind_yaml.h"
#include "kind_rig.h"

static dp_status parse(rig *r, dpi_arena *arena, dpi_yaml_doc *doc, const char *text, size_t size) {
  dpi_arena_init(arena, r->ctx);
  *doc = (dpi_yaml_doc){.ctx = r->ctx, .arena = arena, .source = "a.yaml"};
  dp_ctx_clear_error(r->ctx);
  return dpi_yaml_parse(doc, text, size);
}

static void tree_and_lines(void **state) {
  rig *r = *state;
  static const char text[] =
      "a: 1\nb:\n  - {x: yes, y: 'two words'}\n  - z\nc: >-\n  long\n  text\n";
  dpi_arena arena;
  dpi_yaml_doc doc;
  assert_int_equal(parse(r, &arena, &doc, text, sizeof text - 1), DP_OK);
  assert_int_equal(doc.root->count, 3);
  double a;
  assert_int_equal(dpi_yaml_number(&doc, doc.root, "a", NAN, &a), DP_OK);
  rig_near(a, 1, 0);
  const dpi_yaml *b = dpi_yaml_get(doc.root, "b");
  assert_int_equal(b->type, DPI_YAML_SEQUENCE);
  assert_int_equal(b->count, 2);
  assert_int_equal(b->first->line, 3);
  bool x;
  const char *y, *c;
  assert_int_equal(dpi_yaml_bool(&doc, b->first, "x", false, &x), DP_OK);
  assert_true(x);
  assert_int_equal(dpi_yaml_string(&doc, b->first, "y", NULL, &y), DP_OK);
  assert_string_equal(y, "two words");
  assert_string_equal(b->first->next->text, "z");
  assert_int_equal(dpi_yaml_string(&doc, doc.root, "c", NULL, &c), DP_OK);
  assert_string_equal(c, "long text");
  assert_int_equal(dpi_yaml_get(doc.root, "c")->line, 5);
  int n;
  assert_int_equal(dpi_yaml_int(&doc, doc.root, "a", 0, 0, 5, &n), DP_OK);
  assert_int_equal(n, 1);
  assert_int_equal(dpi_yaml_int(&doc, doc.root, "none", 7, 0, 5, &n), DP_OK);
  assert_int_equal(n, 7);
  assert_int_equal(dpi_yaml_int(&doc, doc.root, "a", 0, 2, 5, &n), DP_ERR_INPUT);
  dpi_arena_release(&arena);
}

static void refused(void **state) {
  rig *r = *state;
  static const struct {
    const char *text, *message;
  } list[] = {{"", "empty"},
              {"a: 1\na: 2\n", "a.yaml:2: key 'a' occurs twice"},
              {"a: &x 1\nb: *x\n", "a.yaml:2: aliases"},
              {"[a]: 1\n", "a.yaml:1: a key"},
              {"a: 1\n---\nb: 2\n", "only one document"},
              {"a: [1\n", "not YAML"},
              {"a: \"x\\0y\"\n", "NUL"},
              {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "too deeply"}};
  for (int i = 0; i < DPI_COUNT(list); i++) {
    dpi_arena arena;
    dpi_yaml_doc doc;
    assert_int_equal(parse(r, &arena, &doc, list[i].text, strlen(list[i].text)), DP_ERR_INPUT);
    if (!strstr(dp_ctx_error(r->ctx), list[i].message))
      fail_msg("%s: '%s' lacks '%s'", list[i].text, dp_ctx_error(r->ctx), list[i].message);
    assert_null(doc.root);
    dpi_arena_release(&arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(tree_and_lines, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(refused, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
