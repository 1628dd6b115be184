/* fuzz_plan.c - any bytes as a plan (plan.tsv): refused with a message, or a plan that can be checked, told, given to
 * the waist, and
 * written so that it reads back to the same rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doppel/plan.h"
#include "kind/kind_impl.h"

#define CHECK(cond) \
  if (!(cond)) abort()

static const char *const files[][2] = {
    {"twin.yaml",
     "kind: k\ntitle: t\nquestion: q\nintended_use: u\ntime_unit: h\nuntil: 1\nhorizon: 2\nclock: 8\nmodel: model.ant\n"
     "parameters: parameters.tsv\nobservables: observables.tsv\ncontrols: controls.tsv\n"},
    {"model.ant",
     "model k()\n  CL = 2; V = 20; central = 0; gut = 0;\n  central' = -CL/V*central + gut;\n  gut' = -gut;\nend\n"},
    {"parameters.tsv",
     "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\nsd\tlin\t0\t1\t0.1\t0\tmg/"
     "L\n"},
    {"observables.tsv", "observableId\tobservableFormula\tnoiseFormula\tunit\ny\tcentral/V\tsd\tmg/L\n"},
    {"controls.tsv",
     "controlId\ttarget\tcompartment\tunit\tlower\tupper\tstrengths\tmaxUnits\tintervals\trateLimit\thours\tvalues\n"
     "iv\tcentral\t1\tmg\t0\t500\t\t\t6;12\t100\t7-19\t0;50;100\noral\tgut\t2\tmg\t0\t900\t100;200\t3\t\t\t\t\n"}};

static dp_ctx *ctx;
static dp_kind *kind;

static void end(void) {
  dp_kind_destroy(kind);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
}

static void begin(void) {
  char dir[64] = "/tmp/doppel-fuzz-XXXXXX", path[128];
  dp_ctx_def def = dp_ctx_def_default();
  CHECK(mkdtemp(dir) && dp_ctx_create(&def, &ctx) == DP_OK);
  for (int i = 0; i < DPI_COUNT(files); i++) {
    snprintf(path, sizeof path, "%s/%s", dir, files[i][0]);
    FILE *f = fopen(path, "wb");
    CHECK(f && fputs(files[i][1], f) >= 0);
    fclose(f);
  }
  if (dp_kind_load(ctx, dir, &kind) != DP_OK) {
    fprintf(stderr, "%s\n", dp_ctx_error(ctx));
    abort();
  }
  for (int i = 0; i < DPI_COUNT(files); i++) {
    snprintf(path, sizeof path, "%s/%s", dir, files[i][0]);
    unlink(path);
  }
  rmdir(dir);
  atexit(end);
}

static void use(const dp_plan *plan) {
  char *text = NULL, line[64];
  dp_plan *again = NULL;
  dp_instant *instant = NULL;
  int n;
  CHECK(dp_plan_describe(kind, plan, line, sizeof line) == DP_OK && strlen(line) < sizeof line);
  CHECK((dp_plan_check(kind, plan, 3) == DP_OK) == !*dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
  dp_instant given = dp_instant_default(); /* 100 mg every hour, of which the last before now counts */
  given.type = DP_ADD;
  given.amount = 100;
  given.interval = DP_TICKS;
  given.repeats = 5;
  const dp_plan_patient patient = {.history = &given, .nhistory = 1, .now = 3};
  CHECK((dp_plan_check_for(kind, plan, &patient) == DP_OK) == !*dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
  CHECK(dp_plan_instants(kind, plan, 3, &instant, &n) == DP_OK && n <= plan->nrow);
  for (int i = 1; i < n; i++) CHECK(instant[i].time >= instant[i - 1].time && instant[i].order > instant[i - 1].order);
  dp_plan_instants_free(plan, instant);
  CHECK(dp_plan_write(kind, plan, &text) == DP_OK);
  CHECK(dp_plan_read_text(kind, text, strlen(text), "again", &again) == DP_OK);
  CHECK(again->nrow == plan->nrow);
  CHECK(plan->nrow == 0 || memcmp(again->row, plan->row, sizeof *plan->row * (size_t)plan->nrow) == 0);
  dp_plan_text_free(plan, text);
  dp_plan_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 4096) return 0;
  if (!kind) begin();
  size_t live = dpi_alloc_live(ctx);
  dp_plan *plan = NULL;
  dp_status status = dp_plan_read_text(kind, (const char *)data, size, "fuzz", &plan);
  CHECK((status == DP_OK) == (plan != NULL) && (status == DP_OK) == !*dp_ctx_error(ctx));
  if (plan) use(plan);
  dp_plan_destroy(plan);
  dp_ctx_clear_error(ctx);
  CHECK(dpi_alloc_live(ctx) == live);
  return 0;
}
