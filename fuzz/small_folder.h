/* small_folder.h - a folder in /tmp (memory-backed) with a small kind `k` in it, for targets that read files about a kind.
 * Included once by a target; the folder goes when the process ends.
 */
#ifndef FUZZ_SMALL_FOLDER_H
#define FUZZ_SMALL_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

typedef struct small_file {
  const char *name, *text; /* text NULL: written by the target at each input */
} small_file;

static const small_file small_kind[] = {
    {"k/twin.yaml",
     "kind: k\ntitle: t\nquestion: q\nintended_use: u\ntime_unit: h\nuntil: 1\nhorizon: 10\nmodel: model.ant\n"
     "parameters: parameters.tsv\npopulation: population.tsv\nobservables: observables.tsv\ncontrols: controls.tsv\n"
     "quantities: quantities.tsv\n"},
    {"k/model.ant", "model k()\n  x = 0;\n  x' = -CL*x + u;\n  CL = 0.1;\n  u = 0;\nend\n"},
    {"k/parameters.tsv",
     "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\nsd\tlog\t0.01\t9\t1\t0\tmg\n"
     "tv_CL\tlog\t0.01\t9\t1\t0\t1/h\n"},
    {"k/population.tsv",
     "parameterId\ttypical\tdistribution\teffectId\tlevel\tvariance\testimate\nCL\ttv_CL\tlognormal\teta_CL\tperson\t0."
     "1\t1\n"},
    {"k/observables.tsv", "observableId\tobservableFormula\tnoiseFormula\tunit\nseen\tx\tsd\tmg\n"},
    {"k/controls.tsv", "controlId\ttarget\tunit\tlower\tupper\niv\tx\tmg\t0\t500\n"},
    {"k/quantities.tsv", "quantityId\tformula\tunit\nlevel\tx\tmg\n"}};
static char small_dir[64];
static const small_file *small_more; /* the target's own */
static int small_nmore;

static void small_put(const char *name, const void *data, size_t size) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", small_dir, name);
  FILE *f = fopen(path, "wb");
  if (!f) abort();
  if (size && fwrite(data, 1, size, f) != size) abort();
  fclose(f);
}

static void small_each(const small_file *file, int n, bool write) {
  char path[128];
  for (int i = 0; i < n; i++) {
    snprintf(path, sizeof path, "%s/%s", small_dir, file[i].name);
    if (!write)
      unlink(path);
    else if (file[i].text)
      small_put(file[i].name, file[i].text, strlen(file[i].text));
  }
}

static void small_clean(void) {
  char path[128];
  small_each(small_kind, DPI_COUNT(small_kind), false);
  small_each(small_more, small_nmore, false);
  snprintf(path, sizeof path, "%s/k", small_dir);
  rmdir(path);
  rmdir(small_dir);
}

static void small_open(const small_file *more, int nmore) {
  char path[128];
  small_more = more;
  small_nmore = nmore;
  strcpy(small_dir, "/tmp/fuzz_small_XXXXXX");
  if (!mkdtemp(small_dir)) abort();
  snprintf(path, sizeof path, "%s/k", small_dir);
  mkdir(path, 0700);
  small_each(small_kind, DPI_COUNT(small_kind), true);
  small_each(more, nmore, true);
  atexit(small_clean);
}

#endif
