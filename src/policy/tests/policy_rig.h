/* policy_rig.h - what the tests of this room share: a folder that files are put into, policies read from it or refused,
 * one person's controller asked. A test file has one context and one kind; its own set-up loads the kind. */
#ifndef DPI_POLICY_RIG_H
#define DPI_POLICY_RIG_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/tests/folder_rig.h"
#include "doppel/policy.h"

static dp_ctx *ctx;
static dp_kind *kind;

static inline dp_status read_file(const char *name, dp_policy **p) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  dp_ctx_clear_error(ctx);
  return dp_policy_read(kind, path, p);
}

static inline dp_policy *read_policy(const char *name) {
  dp_policy *p = NULL;
  const dp_status status = read_file(name, &p);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(ctx));
  assert_int_equal(status, DP_OK);
  return p;
}

static inline dp_policy *policy_of(const char *text) {
  put("twin.yaml", text);
  return read_policy("twin.yaml");
}

static inline void refused(const char *text, const char *why) {
  dp_policy *p = NULL;
  put("bad.yaml", text);
  assert_int_not_equal(read_file("bad.yaml", &p), DP_OK);
  assert_null(p);
  if (!strstr(dp_ctx_error(ctx), why)) print_message("'%s' is not in '%s'\n", why, dp_ctx_error(ctx));
  assert_non_null(strstr(dp_ctx_error(ctx), why));
  dp_ctx_clear_error(ctx);
}

static inline dp_policy_session *open_session(const dp_policy *p, const double *value) {
  const dp_policy_person person = {"somebody", value, 1, 2};
  dp_policy_session *s = NULL;
  assert_int_equal(dp_policy_open(p, &person, &s), DP_OK);
  return s;
}

/* The only gift, from the only reading. */
static inline double ask(dp_policy_session *s, double time, double period, double reading) {
  const dp_policy_input in = {time, period, &reading, NULL};
  double give = -1;
  const dp_status status = dp_policy_step(s, &in, &give);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(ctx));
  assert_int_equal(status, DP_OK);
  return give;
}

/* The context and an empty folder; false: there is none. */
static inline bool open_rig(void) {
  const dp_ctx_def def = dp_ctx_def_default();
  strcpy(dir, "/tmp/test_policy_XXXXXX");
  return mkdtemp(dir) && dp_ctx_create(&def, &ctx) == DP_OK;
}

/* A cmocka tear-down: nothing of the context is left, the folder is gone. */
static inline int close_rig(void **state) {
  (void)state;
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", dir);
  dp_kind_destroy(kind);
  const bool leak = dpi_alloc_live(ctx) != 0;
  dp_ctx_destroy(ctx);
  return system(command) != 0 || leak;
}

#endif
