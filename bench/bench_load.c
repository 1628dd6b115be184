/* bench_load.c - how long a model takes from text to its first step, and how that grows with the model.
 *
 *     bench_load [--json] [--repeats N] [FOLDER]     FOLDER: the published PEtab problems; without it only the chains
 *
 * Processor time. Published models, medians of N repeats (9): parse (SBML to network, libSBML included), libSBML alone
 * (its reader on the same text), build (network to equations, seal, derivatives and tapes, sim), first step (open a run
 * and advance it to a thousandth of a time unit). Then by the clock, as machine code is made beside it: text to the
 * first step by the method `ensemble` (`auto` where a model is too large for lanes), nothing ready and with machine
 * code in a cache on disk; "our own share": the first of these less libSBML's.
 *
 * Chains S0 -> S1 -> ... of n species in Antimony, n doubled from 250 to 4000: microseconds a species, best of 3, and
 * growth, the power of n by which time rose from the first n to the last (1: in proportion). Per species the same
 * everywhere means that no step of ours is quadratic.
 */
#include <math.h>
#include <sbml/SBMLTypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doppel/sim.h"
#include "lang/lang.h"
#include "lang/network.h"

enum { MAX_REPEAT = 101, STAGES = 3, CHAINS = 5 };

static const char *const stage_name[STAGES] = {"parse", "build", "first step"};

static const struct {
  const char *size, *file;
} published[] = {{"small", "Boehm_JProteomeRes2014/model_Boehm_JProteomeRes2014.xml"},
                 {"middle", "Bachmann_MSB2011/model_Bachmann_MSB2011.xml"},
                 {"large", "Chen_MSB2009/model_Chen_MSB2009.xml"}};

static dp_ctx *ctx;
static bool json;
static int nline;

/* Processor time: all of this runs on one thread, and others on the machine are then left out. */
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what) {
  fprintf(stderr, "bench_load: %s\n", what);
  exit(1);
}
static void try(dp_status status) {
  if (status != DP_OK) die(dp_ctx_error(ctx));
}

static void print_line(const char *name, double value, const char *unit) {
  if (json)
    printf("%s\n{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"}", nline++ ? "," : "", name, value, unit);
  else
    printf("%-52s %12.5g %s\n", name, value, unit);
}

/* Open a run, advance it a little, close it. */
static void first_step(const dp_sim *sim) {
  dp_output_time when = {DP_TICKS / 1000, 0};
  dp_member member = {.param = dp_sim_describe(sim)->param_default, .out = &when, .nout = 1};
  dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  try(dp_run_open(sim, &member, 1, &opts, &run));
  try(dp_run_advance(run, when.time));
  dp_run_close(run);
}

static double clock_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* libSBML's reader alone. */
static double read_only(const char *text) {
  double t = now();
  SBMLDocument_t *doc = readSBMLFromString(text);
  t = now() - t;
  SBMLDocument_free(doc);
  return t;
}

/* Seconds by the clock from text to the first step in a context of its own, which then lives `rest` seconds more. */
static double text_to_step(const char *path, const char *cache, double rest) {
  dp_ctx *keep = ctx;
  dp_ctx_def d = dp_ctx_def_default();
  dp_model *model = NULL;
  dp_sim *sim = NULL;
  d.cache = cache;
  const double begin = clock_now();
  if (dp_ctx_create(&d, &ctx) != DP_OK) die("no context");
  try(dp_model_read(ctx, path, &model));
  try(dp_model_seal(model));
  dp_sim_def def = dp_sim_def_default();
  def.model = model;
  def.method = "ensemble";
  def.rtol = 1e-4;
  def.atol = 1e-6;
  if (dp_sim_create(ctx, &def, &sim) == DP_ERR_UNSUPPORTED) { /* too large for lanes */
    dp_ctx_clear_error(ctx);
    def.method = "auto";
    try(dp_sim_create(ctx, &def, &sim));
  }
  first_step(sim);
  const double spent = clock_now() - begin;
  const struct timespec wait = {(time_t)rest, 0};
  nanosleep(&wait, NULL);
  dp_sim_destroy(sim);
  dp_model_destroy(model);
  dp_ctx_destroy(ctx);
  ctx = keep;
  return spent;
}

/* Seconds of the stages of one text; the number of states. */
static int load_once(const char *text, size_t size, const char *source, double spent[STAGES]) {
  dpi_net *net = NULL;
  dp_model *model = NULL;
  dp_sim *sim = NULL;
  double t0 = now();
  const dpi_language *language = dpi_language_of(text, size);
  if (!language) die("a model in no language this build knows");
  try(language->read(ctx, text, size, source, &net));
  double t1 = now();
  try(dpi_net_lower(net, &model));
  try(dp_model_seal(model));
  dp_sim_def def = dp_sim_def_default();
  def.model = model;
  try(dp_sim_create(ctx, &def, &sim));
  double t2 = now();
  first_step(sim);
  double t3 = now();
  spent[0] = t1 - t0;
  spent[1] = t2 - t1;
  spent[2] = t3 - t2;
  int nstate = dp_model_nstate(model);
  dp_sim_destroy(sim);
  dp_model_destroy(model);
  return nstate;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *x, int n) {
  qsort(x, (size_t)n, sizeof *x, by_value);
  return x[n / 2];
}

/* Lines of the whole way from text to the first step. */
static void time_first(const char *size, int nstate, const char *path, const char *text, int repeats) {
  static const char *const what[] = {"libSBML alone", "text to first step", "text to first step, our own share",
                                     "text to first step, machine code in the cache"};
  char name[96], cache[] = "/tmp/bench_load_XXXXXX", command[64];
  double each[3][MAX_REPEAT], value[4];
  if (!mkdtemp(cache)) die("no temporary folder");
  text_to_step(path, cache, 3.0); /* fills it */
  for (int i = 0; i < repeats; i++) {
    each[0][i] = read_only(text);
    each[1][i] = text_to_step(path, NULL, 0.0);
    each[2][i] = text_to_step(path, cache, 0.0);
  }
  value[0] = median(each[0], repeats);
  value[1] = median(each[1], repeats);
  value[2] = value[1] - value[0];
  value[3] = median(each[2], repeats);
  for (int k = 0; k < 4; k++) {
    snprintf(name, sizeof name, "%s model (%d states), %s", size, nstate, what[k]);
    print_line(name, value[k] * 1e3, "ms");
  }
  snprintf(command, sizeof command, "rm -r '%s'", cache);
  if (system(command) != 0) die("the temporary folder stays");
}

static void time_published(const char *folder, int repeats) {
  for (int k = 0; k < DPI_COUNT(published); k++) {
    char path[2048], name[80];
    char *text = NULL;
    size_t size;
    double spent[STAGES][MAX_REPEAT], one[STAGES];
    int nstate = 0;
    snprintf(path, sizeof path, "%s/%s", folder, published[k].file);
    try(dpi_file_read(ctx, path, 0, &text, &size));
    for (int i = 0; i < repeats; i++) {
      nstate = load_once(text, size, path, one);
      for (int s = 0; s < STAGES; s++) spent[s][i] = one[s];
    }
    for (int s = 0; s < STAGES; s++) {
      qsort(spent[s], (size_t)repeats, sizeof *spent[s], by_value);
      snprintf(name, sizeof name, "%s model (%d states), %s", published[k].size, nstate, stage_name[s]);
      print_line(name, spent[s][repeats / 2] * 1e3, "ms");
    }
    time_first(published[k].size, nstate, path, text, repeats);
    dpi_free(ctx, text);
  }
}

/* "S0 -> S1; k*S0" ... in Antimony. */
static void chain_text(int n, dpi_str *out) {
  dpi_str_add(out, "model chain()\n  compartment c = 1;\n  k = 0.1;\n");
  for (int i = 0; i < n; i++) dpi_str_addf(out, "  species S%d in c; S%d = %d;\n", i, i, i == 0);
  for (int i = 0; i + 1 < n; i++) dpi_str_addf(out, "  J%d: S%d -> S%d; k*S%d*c;\n", i, i, i + 1, i);
  dpi_str_add(out, "end\n");
  if (out->failed) die("no memory");
}

static void time_chains(void) {
  double best[CHAINS][STAGES], one[STAGES];
  char name[80];
  for (int k = 0, n = 250; k < CHAINS; k++, n *= 2) {
    dpi_str text;
    dpi_str_init(&text, ctx);
    chain_text(n, &text);
    for (int i = 0; i < 3; i++) {
      load_once(dpi_str_text(&text), text.len, "chain.ant", one);
      for (int s = 0; s < STAGES; s++) best[k][s] = i == 0 || one[s] < best[k][s] ? one[s] : best[k][s];
    }
    for (int s = 0; s < STAGES; s++) {
      snprintf(name, sizeof name, "chain of %d, %s", n, stage_name[s]);
      print_line(name, best[k][s] / n * 1e6, "us/species");
    }
    dpi_str_release(&text);
  }
  for (int s = 0; s < STAGES; s++) {
    snprintf(name, sizeof name, "growth from 250 to 4000, %s", stage_name[s]);
    print_line(name, log(best[CHAINS - 1][s] / best[0][s]) / log(16.0), "power");
  }
}

int main(int argc, char **argv) {
  const char *folder = NULL;
  int repeats = 9;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0)
      json = true;
    else if (strcmp(argv[i], "--repeats") == 0 && i + 1 < argc)
      repeats = atoi(argv[++i]);
    else if (argv[i][0] != '-' && !folder)
      folder = argv[i];
    else
      die("usage: bench_load [--json] [--repeats N] [FOLDER]");
  }
  if (repeats < 1 || repeats > MAX_REPEAT) die("--repeats: expected 1 to 101");
  dp_ctx_def def = dp_ctx_def_default();
  if (dp_ctx_create(&def, &ctx) != DP_OK) die("no context");
  if (json) printf("{\"lines\":[");
  if (folder) time_published(folder, repeats);
  time_chains();
  if (json) printf("\n]}\n");
  dp_ctx_destroy(ctx);
  return 0;
}
