/* fuzz_tune.c - any bytes as the file of a tuning of the template kind (memory-backed /tmp).
 *
 * Nothing may crash, leak or hang. What can be read judges a candidate beside the present settings; nothing is run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trial/tune_impl.h"

static const struct {
  const char *name, *text;
} files[] = {
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
    {"k/quantities.tsv", "quantityId\tformula\tunit\nlevel\tx\tmg\n"},
    {"p.yaml",
     "policy: p\nevery: 1 h\nreads: {r: seen}\nperson: [gain]\ngives: {iv: 'max(0, 20 - r)*gain'}\n"}};
static char dir[64];

static void put(const char *name, const void *data, size_t size) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "wb");
  if (!f) abort();
  if (size && fwrite(data, 1, size, f) != size) abort();
  fclose(f);
}

static void clean(void) {
  char path[128];
  for (int i = 0; i < DPI_COUNT(files); i++) {
    snprintf(path, sizeof path, "%s/%s", dir, files[i].name);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/t.yaml", dir);
  unlink(path);
  snprintf(path, sizeof path, "%s/k", dir);
  rmdir(path);
  rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  char path[128];
  strcpy(dir, "/tmp/fuzz_tune_XXXXXX");
  if (!mkdtemp(dir)) abort();
  snprintf(path, sizeof path, "%s/k", dir);
  mkdir(path, 0700);
  for (int i = 0; i < DPI_COUNT(files); i++) put(files[i].name, files[i].text, strlen(files[i].text));
  atexit(clean);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { draws = 12 };
  if (size > 8192) return 0;
  put("t.yaml", data, size);
  char path[128];
  snprintf(path, sizeof path, "%s/t.yaml", dir);
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  dp_tune *t = NULL;
  def.interpret = 1;
  if (dp_ctx_create(&def, &ctx) != DP_OK) return 0;
  if (dp_tune_read(ctx, path, NULL, 0, &t) == DP_OK) {
    static double present[draws * 64], other[draws * 64];
    dp_tune_value term[DPI_TUNE_TERMS];
    dp_tune_verdict v;
    for (int i = 0; i < draws * 64; i++) present[i] = i % 7, other[i] = i % 5;
    if (dp_tune_judge(t, present, other, draws, draws, term, &v) != DP_OK) abort();
    dp_tune_destroy(t);
  } else if (!*dp_ctx_error(ctx)) {
    abort(); /* refused without a word */
  }
  if (dpi_alloc_live(ctx)) abort();
  dp_ctx_destroy(ctx);
  return 0;
}
