/* fuzz_trial.c - any bytes as policy.yaml or trial.yaml of the template kind (memory-backed /tmp).
 *
 * The first byte chooses which of them; the other is a good one. Nothing may crash, leak or hang. What can be read is
 * also composed into a sim; nothing is run, and no program is started.
 */
#include "trial/trial_impl.h"
#include "small_folder.h"

static const small_file files[] = {{"people.tsv", "person\tage\na\t0.05\nb\t0.08\n"},
                                   {"q.yaml", "policy: q\nevery: 1 h\ngives: {iv: '0'}\n"}, /* a fallback */
                                   {"plan.tsv", "controlId\ttime\tamount\niv\t0\t100\n"},
                                   {"p.yaml", NULL},
                                   {"t.yaml", NULL}};
static const char policy[] =
    "policy: p\nevery: 1 h\nreads: {r: seen}\nstate: {n: 0}\nnext: {n: n + 1}\ngives: {iv: 'max(0, 20 - r)'}\n";
static const char trial[] =
    "trial: t\nkind: ./k\nhorizon: 10 h\ncohort: {population: k}\narms: [{name: a, policy: p.yaml}]\n"
    "endpoints: [{id: m, of: seen, by: readings, metric: mean}]\n";

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  small_open(files, DPI_COUNT(files));
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 8192) return 0;
  const bool which = data[0] & 1;
  small_put("p.yaml", which ? (const void *)(data + 1) : policy, which ? size - 1 : sizeof policy - 1);
  small_put("t.yaml", which ? trial : (const void *)(data + 1), which ? sizeof trial - 1 : size - 1);
  char path[128];
  snprintf(path, sizeof path, "%s/t.yaml", small_dir);
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  dp_trial *t = NULL;
  def.interpret = 1;
  if (dp_ctx_create(&def, &ctx) != DP_OK) return 0;
  if (dp_trial_read(ctx, path, NULL, 0, &t) == DP_OK) {
    dpi_trial_model *m = NULL;
    if (dpi_trial_model_create(t, 0, 1, &m) == DP_OK) dpi_trial_model_destroy(m);
    dp_trial_destroy(t);
  } else if (!*dp_ctx_error(ctx)) {
    abort(); /* refused without a word */
  }
  if (dpi_alloc_live(ctx)) abort();
  dp_ctx_destroy(ctx);
  return 0;
}
