/* folder_rig.h - what tests share that read files: one folder of the test's own, and files put into it. The rig of a
 * room opens it and takes it away. */
#ifndef DPI_FOLDER_RIG_H
#define DPI_FOLDER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

static char dir[64];

static inline void put(const char *name, const char *text) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

#endif
