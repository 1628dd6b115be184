/* Compared with: the rules of context.h (first message wins, log lines whole, cancel and resume),
 * stated here one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static dp_ctx *context(void) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  return ctx;
}

static void a_definition_must_be_made_by_default(void **state) {
  (void)state;
  dp_ctx *ctx = (dp_ctx *)1;
  dp_ctx_def def = {0};
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_ERR_USAGE);
  assert_null(ctx);
  assert_int_equal(dp_ctx_create(NULL, &ctx), DP_ERR_USAGE);
  def = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&def, NULL), DP_ERR_USAGE);
  def.nthread = 0;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_ERR_USAGE);
  dp_ctx_destroy(NULL);
}

static void the_first_message_is_kept(void **state) {
  (void)state;
  dp_ctx *ctx = context();
  assert_string_equal(dp_ctx_error(ctx), "");
  assert_int_equal(dpi_fail(ctx, DP_ERR_INPUT, "a.csv:%d: found '%s'", 3, "x"), DP_ERR_INPUT);
  assert_int_equal(dpi_fail(ctx, DP_ERR_IO, "second"), DP_ERR_IO);
  assert_string_equal(dp_ctx_error(ctx), "a.csv:3: found 'x'");
  dp_ctx_clear_error(ctx);
  assert_string_equal(dp_ctx_error(ctx), "");
  dpi_fail(ctx, DP_ERR_IO, "third");
  assert_string_equal(dp_ctx_error(ctx), "third");
  assert_int_equal(dpi_fail(NULL, DP_ERR_BUG, "nobody listens"), DP_ERR_BUG);
  dp_ctx_destroy(ctx);
}

static void a_long_message_is_cut_and_says_so(void **state) {
  (void)state;
  dp_ctx *ctx = context();
  char *text = malloc(10001);
  memset(text, 'm', 10000);
  text[10000] = '\0';
  dpi_fail(ctx, DP_ERR_INPUT, "%s", text);
  const char *kept = dp_ctx_error(ctx);
  assert_true(strlen(kept) > 1000 && strlen(kept) < 10000);
  assert_string_equal(kept + strlen(kept) - 4, "m...");
  free(text);
  dp_ctx_destroy(ctx);
}

typedef struct log_seen {
  int n, level;
  char line[100];
} log_seen;

static void log_keep(void *user, int level, const char *line) {
  log_seen *seen = user;
  seen->n++;
  seen->level = level;
  snprintf(seen->line, sizeof seen->line, "%s", line);
}

static void log_lines_reach_the_hook(void **state) {
  (void)state;
  log_seen seen = {0};
  dp_ctx_def def = dp_ctx_def_default();
  def.log = log_keep;
  def.log_user = &seen;
  dp_ctx *ctx;
  assert_int_equal(dp_ctx_create(&def, &ctx), DP_OK);
  dpi_log(ctx, 2, "%d members", 7);
  assert_int_equal(seen.n, 1);
  assert_int_equal(seen.level, 2);
  assert_string_equal(seen.line, "7 members");
  dp_ctx_destroy(ctx);
  dpi_log(NULL, 0, "nobody listens");
  ctx = context();
  dpi_log(ctx, 0, "silent");
  dp_ctx_destroy(ctx);
}

static dp_status count_item(void *user, int i, int worker) {
  (void)i, (void)worker;
  ++*(int *)user;
  return DP_OK;
}

static void cancel_stops_and_resume_goes_on(void **state) {
  (void)state;
  dp_ctx *ctx = context();
  int n = 0;
  dp_ctx_cancel(ctx);
  assert_true(dp_ctx_cancelled(ctx));
  dp_ctx_clear_error(ctx);
  assert_true(dp_ctx_cancelled(ctx)); /* handling an error must not swallow the request */
  assert_int_equal(dpi_parallel_for(ctx, 5, count_item, &n), DP_ERR_CANCELLED);
  assert_int_equal(n, 0);
  dp_ctx_resume(ctx);
  assert_false(dp_ctx_cancelled(ctx));
  assert_int_equal(dpi_parallel_for(ctx, 5, count_item, &n), DP_OK);
  assert_int_equal(n, 5);
  dp_ctx_destroy(ctx);
}

static void the_version_is_the_projects(void **state) {
  (void)state;
  int a, b, c;
  char rest;
  assert_int_equal(sscanf(dp_version(), "%d.%d.%d%c", &a, &b, &c, &rest), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_definition_must_be_made_by_default),
      cmocka_unit_test(the_first_message_is_kept),
      cmocka_unit_test(a_long_message_is_cut_and_says_so),
      cmocka_unit_test(log_lines_reach_the_hook),
      cmocka_unit_test(cancel_stops_and_resume_goes_on),
      cmocka_unit_test(the_version_is_the_projects),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
