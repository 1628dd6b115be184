/* fuzz_tune.c - any bytes as the file of a tuning of the template kind (memory-backed /tmp).
 *
 * Nothing may crash, leak or hang. What can be read judges a candidate beside the present settings; nothing is run.
 */
#include "trial/tune_impl.h"
#include "small_folder.h"

static const small_file files[] = {
    {"p.yaml", "policy: p\nevery: 1 h\nreads: {r: seen}\nperson: [gain]\ngives: {iv: 'max(0, 20 - r)*gain'}\n"},
    {"t.yaml", NULL}};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  small_open(files, DPI_COUNT(files));
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { draws = 12 };
  if (size > 8192) return 0;
  small_put("t.yaml", data, size);
  char path[128];
  snprintf(path, sizeof path, "%s/t.yaml", small_dir);
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
