/* fuzz_kind.c - any bytes as any one file of a kind, and as its record.
 *
 * The first byte chooses which file of the template kind the rest replaces; the folder lies in memory-backed /tmp. Nothing may
 * crash, leak or hang; a kind that still loads must read the template's record or refuse it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kind/kind_impl.h"

static const char *const files[] = {"twin.yaml",      "reward.yaml",    "parameters.tsv",
                                    "population.tsv", "covariates.tsv", "observables.tsv",
                                    "controls.tsv",   "quantities.tsv", "record.csv"};

/* The template's texts, small; what is not replaced comes from here. */
static const char *const texts[] = {
    "kind: k\ntitle: t\nquestion: q\nintended_use: u\ntime_unit: h\nuntil: 1\nhorizon: 2\nmodel: "
    "model.ant\n"
    "parameters: parameters.tsv\npopulation: population.tsv\ncovariates: "
    "covariates.tsv\nobservables: observables.tsv\n"
    "controls: controls.tsv\nquantities: quantities.tsv\nreward: reward.yaml\n",
    "rewards:\n  - {id: r, quantity: c, functional: time_between, range: [2, 20], unit: mg/L, "
    "weight: 1}\n",
    "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\ntv_"
    "CL\tlog\t0.1\t50\t2\t1\tL/h\n"
    "sd\tlog\t0.01\t1\t0.1\t1\tmg/L\n",
    "parameterId\ttypical\tdistribution\teffectId\tlevel\tvariance\testimate\nCL\ttv_"
    "CL\tlognormal\teta_CL\tperson\t0.1\t1\n",
    "covariateId\tunit\tlower\tupper\tparameterId\tfactor\tmissing\nWT\tkg\t1\t300\tCL\tWT/"
    "70\t70\n",
    "observableId\tobservableFormula\tnoiseFormula\tunit\tcompartment\ny\tc\tsd\tmg/L\t1\n",
    "controlId\ttarget\tcompartment\tunit\tlower\tupper\niv\tcentral\t1\tmg\t0\t500\n",
    "quantityId\tformula\tunit\nc\tc\tmg/L\n",
    "#units: AMT=mg\nID,TIME,AMT,DV,EVID,CMT,WT\n1,0,100,.,1,1,70\n1,2,0,4,0,1,70\n"};

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
    snprintf(path, sizeof path, "%s/%s", dir, files[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/model.ant", dir);
  unlink(path);
  rmdir(dir);
}

static void begin(void) {
  static const char model[] =
      "model k()\n  CL = 2; V = 20; central = 0;\n  central' = -CL/V*central;\n  c := "
      "central/V;\nend\n";
  snprintf(dir, sizeof dir, "/tmp/doppel-fuzz-XXXXXX");
  if (!mkdtemp(dir)) abort();
  atexit(clean);
  put("model.ant", model, sizeof model - 1);
  for (int i = 0; i < DPI_COUNT(files); i++) put(files[i], texts[i], strlen(texts[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!*dir) begin();
  if (size < 1) return 0;
  int which = data[0] % DPI_COUNT(files);
  put(files[which], data + 1, size - 1);
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  if (dp_ctx_create(&def, &ctx) != DP_OK) abort();
  dp_kind *kind = NULL;
  if (dp_kind_load(ctx, dir, &kind) == DP_OK) {
    char path[128];
    dp_record *record = NULL;
    snprintf(path, sizeof path, "%s/record.csv", dir);
    dp_status status = dp_kind_record(kind, path, &record);
    if ((status == DP_OK) != (record != NULL)) abort();
    dp_record_destroy(record);
    dp_kind_destroy(kind);
  } else if (!*dp_ctx_error(ctx)) {
    abort(); /* a failure always says why */
  }
  if (dpi_alloc_live(ctx) != 0) abort();
  dp_ctx_destroy(ctx);
  put(files[which], texts[which], strlen(texts[which]));
  return 0;
}
