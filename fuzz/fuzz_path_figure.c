/* fuzz_path_figure.c - any bytes as a figure of a path, with doses or without: read or refused, never more. What is
 * read has a window that ends after it began, a whole number of doses, and numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kind/path_figure.h"

static const char *const file[][2] = {
    {"twin.yaml",
     "kind: k\ntitle: t\nquestion: q\nintended_use: u\ntime_unit: h\nuntil: 1\nhorizon: 2\nmodel: model.ant\n"
     "parameters: parameters.tsv\npopulation: population.tsv\nobservables: observables.tsv\n"
     "controls: controls.tsv\nquantities: quantities.tsv\n"},
    {"model.ant", "model m()\n CL = 2; central = 0; central' = -CL*central; c := central/10;\nend\n"},
    {"parameters.tsv",
     "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\n"
     "tv_CL\tlog\t0.1\t50\t2\t1\tL/h\nsd\tlog\t0.01\t1\t0.1\t1\tmg/L\n"},
    {"population.tsv",
     "parameterId\ttypical\tdistribution\teffectId\tlevel\tvariance\testimate\n"
     "CL\ttv_CL\tlognormal\teta_CL\tperson\t0.1\t1\n"},
    {"observables.tsv", "observableId\tobservableFormula\tnoiseFormula\tunit\tcompartment\ny\tc\tsd\tmg/L\t1\n"},
    {"controls.tsv", "controlId\ttarget\tcompartment\tunit\tlower\tupper\niv\tcentral\t1\tmg\t0\t500\n"},
    {"quantities.tsv", "quantityId\tformula\tunit\nc\tc\tmg/L\n"},
};

static dp_ctx *ctx;
static dp_kind *kind;

static void open_kind(void) {
  char dir[64] = "/tmp/doppel-fuzz-XXXXXX", path[128];
  dp_ctx_def def = dp_ctx_def_default();
  if (dp_ctx_create(&def, &ctx) != DP_OK || !mkdtemp(dir)) abort();
  for (int i = 0; i < DPI_COUNT(file); i++) {
    snprintf(path, sizeof path, "%s/%s", dir, file[i][0]);
    FILE *f = fopen(path, "wb");
    if (!f || fputs(file[i][1], f) < 0 || fclose(f) != 0) abort();
  }
  if (dp_kind_load(ctx, dir, &kind) != DP_OK) abort();
  for (int i = 0; i < DPI_COUNT(file); i++) {
    snprintf(path, sizeof path, "%s/%s", dir, file[i][0]);
    unlink(path);
  }
  rmdir(dir);
}

static void close_kind(void) {
  dp_kind_destroy(kind);
  dp_ctx_destroy(ctx);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  open_kind();
  return atexit(close_kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  dpi_path_request q;
  if (!text) return 0;
  if (size) memcpy(text, data, size);
  text[size] = 0;
  dp_ctx_clear_error(ctx);
  if (dpi_path_request_parse(kind, text, "text", &q) == DP_OK) {
    const dpi_path_figure *f = &q.figure;
    const bool window = f->form == DPI_PATH_FUNCTIONAL || f->form == DPI_PATH_TIME_OF;
    if (window && !(f->from >= 0 && f->to > f->from && f->to <= 1e9)) abort();
    if (isinf(q.wanted) || isinf(q.dosing.dose) || q.dosing.count < 0 || !(q.dosing.duration >= 0)) abort();
    if (!memchr(f->unit, 0, sizeof f->unit)) abort();
  } else if (!*dp_ctx_error(ctx)) {
    abort(); /* a refusal says why */
  }
  free(text);
  return 0;
}
