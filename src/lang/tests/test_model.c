/* The intermediate form: definition and use, assignment from outside, sealing, hashes;
 * against hand-made expectations. */
#include "lang_check.h"

static void parameters_from_outside_replace_the_models(void **state) {
  (void)state;
  char buf[200];
  dp_model *m = read_text("depot' = -ka*depot; depot = 100; ka = 1; F = 1");
  check_ok(dpi_model_assign(m, "ka", "tv_ka*exp(eta_ka)", "population.tsv:2"));
  int sym;
  check_ok(dpi_model_symbol(m, "tv_ka", 0, &sym));
  check_ok(dpi_model_symbol(m, "eta_ka", 0, &sym));
  check_ok(dpi_model_seal(m));
  assert_string_equal(printed(m, m->sym[1].formula, buf, sizeof buf), "-(tv_ka*exp(eta_ka)*depot)");
  assert_int_equal(m->sym[sym_of(m, "ka")].kind, DPI_SYM_ASSIGNED);
  assert_int_equal(m->sym[sym_of(m, "tv_ka")].kind, DPI_SYM_PARAM);
  dpi_node n;
  check_ok(dpi_model_parse(m, "depot*ka", "obs", false, &n)); /* after sealing: written out */
  uint8_t seen[16] = {0};
  dpi_g_depends(m->graph, n, seen, m->nsym);
  assert_true(seen[sym_of(m, "eta_ka")] && seen[1] && !seen[sym_of(m, "ka")]);
  dp_model_destroy(m);
}

static void assignments_from_outside_may_be_wrong(void **state) {
  (void)state;
  dp_model *m = read_text("A' = -k*A; A = 1; k = 1; c := 2*A");
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_model_assign(m, "A", "3", "pop.tsv:2"), DP_ERR_CONFLICT);
  assert_string_equal(dp_ctx_error(ctx),
                      "pop.tsv:2: 'A' is a state of model 'main', expected a parameter");
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_model_assign(m, "c", "3", "pop.tsv:3"), DP_ERR_CONFLICT);
  assert_non_null(
      strstr(dp_ctx_error(ctx), "pop.tsv:3: 'c' is already given by a formula (m.ant:1)"));
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_model_assign(m, "k", "tv*", "pop.tsv:4"), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_model_assign(m, "time", "1", "pop.tsv:4"), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  check_ok(dpi_model_assign(m, "k", "tv_kk*2", "pop.tsv:5"));
  int sym;
  check_ok(dpi_model_symbol(m, "tv_k", 0, &sym));
  assert_int_equal(dpi_model_seal(m), DP_ERR_INPUT);
  assert_string_equal(dp_ctx_error(ctx),
                      "pop.tsv:5: 'tv_kk' is used but not defined; did you mean 'tv_k'?");
  dp_ctx_clear_error(ctx);
  check_ok(dpi_model_symbol(m, "tv_kk", 0, &sym)); /* corrected: sealing works now */
  check_ok(dpi_model_seal(m));
  check_ok(dpi_model_seal(m)); /* twice is once */
  assert_int_equal(dpi_model_assign(m, "x", "1", "late"), DP_ERR_USAGE);
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_model_symbol(m, "x", 0, &sym), DP_ERR_USAGE);
  dp_ctx_clear_error(ctx);
  check_ok(dpi_model_symbol(m, "A", 0, &sym));
  assert_int_equal(sym, 1);
  dp_model_destroy(m);
}

static void states_come_first_in_order_of_appearance(void **state) {
  (void)state;
  dp_model *m =
      read_sealed("k = 1; p = 3; B' = -k*C; C' = k*B; B = 1; C = p; q := B + C; A' = 0; A = 2");
  const char *const want[] = {"time", "B", "C", "A", "k", "p", "q"};
  assert_int_equal(m->nsym, 7);
  assert_int_equal(dp_model_nstate(m), 3);
  for (int i = 0; i < 7; i++) {
    assert_string_equal(m->sym[i].id, want[i]);
    assert_int_equal(dpi_model_find(m, want[i]), i);
  }
  assert_int_equal(dpi_model_value(m, 2), dpi_g_sym(m->graph, 2));
  assert_int_equal(dpi_model_find(m, "nobody"), -1);
  dp_model_destroy(m);
}

static void giving_a_value_defines(void **state) {
  (void)state;
  dp_model *m = read_text("A' = -k*A; A = 1");
  m->sym[sym_of(m, "k")].value = 3;
  check_ok(dpi_model_seal(m));
  assert_true(m->sym[sym_of(m, "k")].value == 3);
  dp_model_destroy(m);
}

static void new_names_are_allowed_on_request(void **state) {
  (void)state;
  dp_model *m = NULL;
  dpi_node n;
  check_ok(dpi_model_create(ctx, "t", "t", &m));
  assert_int_equal(dpi_model_parse(m, "a*b", "f", false, &n), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  check_ok(dpi_model_parse(m, "a*b", "f", true, &n));
  assert_int_equal(m->sym[sym_of(m, "a")].kind, DPI_SYM_PARAM);
  assert_true(m->sym[sym_of(m, "b")].value != m->sym[sym_of(m, "b")].value);
  check_ok(dpi_model_seal(m));
  dp_model_destroy(m);
}

/* same text, same hash; text and every assignment count, in their order */
static void hashes_follow_text_and_assignments(void **state) {
  (void)state;
  char hex[65], first[65];
  const char *text = "A' = -k*A; A = 1; k = 1; j = 2";
  dp_model *a = read_text(text), *b = read_text(text);
  dpi_sha256_hex(text, strlen(text), hex);
  assert_string_equal(dp_model_hash(a), hex); /* the text's own SHA-256 */
  check_ok(dpi_model_assign(a, "k", "2", "w"));
  strcpy(first, dp_model_hash(a));
  assert_string_not_equal(first, hex);
  check_ok(dpi_model_assign(b, "k", "2", "w"));
  assert_string_equal(dp_model_hash(b), first);
  check_ok(dpi_model_assign(a, "j", "3", "w"));
  assert_string_not_equal(dp_model_hash(a), first);
  check_ok(dpi_model_seal(a));
  assert_int_equal(strlen(dp_model_hash(a)), 64);
  dp_model_destroy(a);
  dp_model_destroy(b);
}

static void long_chains_of_assignments_seal(void **state) {
  (void)state;
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_str_add(&s, "x0 = 1; y = 3; ");
  for (int i = 1; i < 5000; i++)
    dpi_str_addf(&s, "x%d := x%d*x%d + y\n", i, i - 1, i - 1); /* 2^5000 when written out */
  dp_model *m = read_sealed(dpi_str_text(&s));
  assert_true(dpi_graph_count(m->graph) < 60000);
  char *text = NULL;
  dpi_str_release(&s);
  dp_model_destroy(m);
  m = read_sealed(
      "a = 1; b := a + 1; c = 2; c' = -b*c; E: at 2 after (c < 1), priority=3, t0=false: c = a, b2 "
      "= 1; b2 = 0");
  check_ok(dp_model_show(m, &text));
  const char *const want[] = {
      "# model main (m.ant)\n",
      "d[c]/dt = -((a + 1)*c)\n",
      "c(0) = 2\n",
      "b := a + 1\n",
      "E: at 2 after c < 1, priority = 3, t0 = false: c = a\n    , b2 = 1\n",
      "\na = 1\n",
      "\nb2 = 0\n"};
  for (int i = 0; i < DPI_COUNT(want); i++) {
    if (strstr(text, want[i]) == NULL) print_message("%s\nhas no %s", text, want[i]);
    assert_non_null(strstr(text, want[i]));
  }
  dp_model_text_free(m, text);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parameters_from_outside_replace_the_models),
      cmocka_unit_test(assignments_from_outside_may_be_wrong),
      cmocka_unit_test(states_come_first_in_order_of_appearance),
      cmocka_unit_test(giving_a_value_defines),
      cmocka_unit_test(new_names_are_allowed_on_request),
      cmocka_unit_test(hashes_follow_text_and_assignments),
      cmocka_unit_test(long_chains_of_assignments_seal),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
