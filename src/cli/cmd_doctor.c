/* cmd_doctor.c - doppel doctor: is this machine and installation fit? Each line is a check that was made just now. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

const cli_option cli_options_doctor[] = {{"--twins", "DIR", "a further folder with kinds"},
                                         {"--threads", "N", "threads to use"},
                                         {0}};

static int report(bool ok, const char *what, const char *detail) {
  printf("%-5s %-46s %s\n", ok ? "ok" : "FAIL", what, detail);
  return ok ? 0 : 1;
}

/* Exponential decay from a file, against its closed form; worst relative error. */
static double decay_error(dp_ctx *ctx, const char *path, const char *method) {
  dp_model *model = NULL;
  dp_sim *sim = NULL;
  dp_result *result = NULL;
  double worst = NAN;
  dp_sim_def def = dp_sim_def_default();
  dp_output_def out = {.id = "x", .unit = ""};
  dp_output_time when[3] = {{1 * DP_TICKS, 0}, {2 * DP_TICKS, 0}, {5 * DP_TICKS, 0}};
  dp_run_opts opts = dp_run_opts_default();
  if (dp_model_read(ctx, path, &model) != DP_OK || dp_model_seal(model) != DP_OK) goto done;
  def.model = model;
  def.output = &out;
  def.noutput = 1;
  def.method = method;
  def.rtol = 1e-9;
  if (dp_sim_create(ctx, &def, &sim) != DP_OK) goto done;
  dp_member m = {.param = dp_sim_describe(sim)->param_default, .out = when, .nout = 3};
  if (dp_simulate(sim, &m, 1, &opts, &result) != DP_OK) goto done;
  worst = 0;
  for (int i = 0; i < 3; i++) {
    double truth = 10 * exp(-0.5 * (double)when[i].time / (double)DP_TICKS);
    double error = fabs(result->value[i] - truth) / truth;
    if (!(error <= worst)) worst = error;
  }
done:
  dp_result_destroy(result);
  dp_sim_destroy(sim);
  dp_model_destroy(model);
  return worst;
}

static int check_integrators(cli_call *call) {
  static const char text[] = "model decay\n  k = 0.5;\n  x = 10;\n  x' = -k*x;\nend\n";
  static const char *const method[] = {"linear", "rk853", "cvode", "tsit", "rodas"};
  char path[] = "/tmp/doppel-doctor-XXXXXX", detail[160];
  int fd = mkstemp(path), failed = 0;
  bool written = fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)(sizeof text - 1);
  if (fd >= 0) close(fd);
  if (!written) {
    if (fd >= 0) unlink(path);
    return report(false, "temporary file", "cannot be written under /tmp");
  }
  for (size_t i = 0; i < sizeof method / sizeof *method; i++) {
    char what[64];
    double error = decay_error(call->ctx, path, method[i]);
    snprintf(what, sizeof what, "integrator %s against exp(-k t)", method[i]);
    if (error <= 1e-8)
      snprintf(detail, sizeof detail, "relative error %.1e", error);
    else
      snprintf(detail, sizeof detail, "relative error %.1e; %.100s", error, dp_ctx_error(call->ctx));
    failed += report(error <= 1e-8, what, detail);
  }
  unlink(path);
  return failed;
}

/* What there is; nothing of it can be wrong. */
static int check_engine(void) {
  char detail[96];
  dp_engine e = dp_engine_describe();
  snprintf(detail, sizeof detail, "%d members side by side (%s), %s arithmetic", e.lanes, e.instructions, e.arithmetic);
  report(true, "ensembles", detail);
  return report(true, "machine code",
                e.compiler ? "LLVM 19 is there"
                            : "LLVM 19 is not there: models are interpreted, slower, with the same results");
}

static int check_kinds(cli_call *call) {
  const char *dirs[8];
  int n = cli_kind_dirs(call, dirs), found = 0, failed = 0;
  dp_kind_entry *entry = NULL;
  if (dp_kind_list(call->ctx, dirs, n, &entry, &found) != DP_OK || found == 0)
    return report(false, "kinds of twin", "none found; --twins DIR");
  for (int i = 0; i < found; i++) {
    dp_kind *kind = NULL;
    char what[128];
    dp_ctx_clear_error(call->ctx);
    dp_status status = dp_kind_load(call->ctx, entry[i].dir, &kind);
    snprintf(what, sizeof what, "kind %.40s loads", entry[i].id);
    failed += report(status == DP_OK, what, status == DP_OK ? entry[i].dir : dp_ctx_error(call->ctx));
    dp_kind_destroy(kind);
  }
  dp_kind_list_free(call->ctx, entry);
  return failed;
}

int cmd_doctor(cli_call *call) {
  char detail[96];
  if (call->nplain) return cli_usage(call, "doctor takes no argument, found '%s'", call->plain[0]);
  snprintf(detail, sizeof detail, "version %s, %s arithmetic, %d threads", dp_version(), dp_arithmetic(),
           dp_ctx_nthread(call->ctx));
  int failed = report(true, "doppel", detail);
  dp_unit a;
  failed += report(dp_unit_parse(call->ctx, "ug/mL", &a) == DP_OK, "units of measure", "ug/mL read");
  failed += check_engine();
  failed += check_integrators(call);
  failed += check_kinds(call);
  printf("%s\n", failed ? "something is wrong" : "all well");
  return failed ? 1 : 0;
}
