/* trial_rig.h - what the tests of this room share: a folder with files, and trials read from it. */
#ifndef DPI_TRIAL_RIG_H
#define DPI_TRIAL_RIG_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/tests/folder_rig.h"
#include "doppel/trial.h"

typedef struct rig_file {
  const char *name, *text;
} rig_file;

/* The folder, with room for a kind in k/, and its files; false: there is none. */
static inline bool open_folder(const rig_file *file, int n) {
  char path[100];
  strcpy(dir, "/tmp/test_trial_XXXXXX");
  if (!mkdtemp(dir)) return false;
  snprintf(path, sizeof path, "%s/k", dir);
  if (mkdir(path, 0700) != 0) return false;
  for (int i = 0; i < n; i++) put(file[i].name, file[i].text);
  return true;
}

static inline bool close_folder(void) {
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", dir);
  return system(command) == 0;
}

static inline dp_status read_trial(dp_ctx *ctx, const char *text, dp_trial **trial) {
  char path[200];
  put("trial.yaml", text);
  snprintf(path, sizeof path, "%s/trial.yaml", dir);
  dp_ctx_clear_error(ctx);
  return dp_trial_read(ctx, path, NULL, 0, trial);
}

/* n people, 0: as the file says; without the engine's own checks. */
static inline dp_trial_result *run_trial(dp_ctx *ctx, const dp_trial *t, int n) {
  dp_trial_def def = dp_trial_def_default();
  dp_trial_result *r = NULL;
  def.nperson = n;
  def.check = 0;
  const dp_status status = dp_trial_run(t, &def, &r);
  if (status != DP_OK) print_message("%s\n", dp_ctx_error(ctx));
  assert_int_equal(status, DP_OK);
  return r;
}

#endif
