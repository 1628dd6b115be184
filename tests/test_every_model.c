/* Every model in every way of running it, byte for byte: the interpreter of one lane is the oracle; the interpreters of 2, 4
 * and 8 lanes and machine code of 1, 2, 4 and 8, quick and optimised, must give its numbers (a NaN is a NaN; +0 is not -0).
 *
 *     model -> seal partly -> rates, Jacobian, initial values, lags | a step of each method that lanes can take
 *           -> tapes -> many points, ordinary and absurd -> outputs compared
 *
 *     test_every_model              every tenth model of the suites, code in 8 lanes and 1
 *     test_every_model --whole      every model, every width, both tiers
 *     test_every_model FILE ...     these, in full
 *
 * Models: the SBML test suite (highest level of each case), BioModels as Antimony, the PEtab benchmark, from ../shared; and some
 * of our own, always. The second arithmetic is run over a part of them.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "doppel/doppel.h"
#include "jit/jit.h"
#include "num/num.h"
#include "solve/lane_tangent.h"

#define SHARED DOPPEL_SOURCE_DIR "/../shared/suites/"
#define PLACE DOPPEL_BINARY_DIR "/suites/"

enum {
  MOST_TAPES = 16,
  MOST_PARAM = 6,     /* parameters that derivatives are taken for */
  MOST_STATE_DIR = 8, /* states up to which steps are taken with a direction too */
  LONG = 4000,        /* steps of a tape: longer ones get fewer points and, sampled, no code */
  ROUNDS = 6,
  SAMPLE = 10,
  SECOND = 4,         /* of the models the part that is run in the other arithmetic */
  THREADS = 2,
  SAYS = 30
};

static const char *const own[] = {
    "A = 1; B = 0; C = 0; k1 = 0.04; k2 = 3e7; k3 = 1e4\n"
    "A' = -k1*A + k3*B*C; B' = k1*A - k3*B*C - k2*B^2; C' = k2*B^2\n",
    "x = 0.3; y = 2; Vm = 1.5; Km = 0.2; n = 4; k = 0.5\n"
    "x' = Vm*y^n/(Km^n + y^n) - k*x; y' = piecewise(exp(-x), time > 3, sin(time)) + abs(y - x) - ln(1 + y)*y\n",
    "a = 1; b = 2; p = 0.7\n"
    "a' = floor(time*p) - a^1.5/(b + 1); b' = max(a, b)*p - min(a*b, 2) + (a > b && b < 3)\n",
    "u = 0.1; v = 3; q = 2\n"
    "u' = tanh(u*v) + cosh(u)/q - arctan(v)*log10(q + 1); v' = -v^3 + sqrt(abs(u))*arcsin(u/4) + u^-2*1e-3 + ceil(v)\n",
    "x = 1; y = 0; w = 2*3.14159\nx' = w*y; y' = -w*x\nat (x > 0.5): y = y + 1\n",
};

typedef struct source {
  char path[400]; /* or "own model N" */
  const char *text;
} source;

typedef struct tally {
  int models, unread, tapes, steps, nocode, wrong;
  int refused[2]; /* explicit, implicit: by lanes */
  long values;
} tally;

static struct {
  source *list;
  int n;
  bool whole, second;
  bool code;
  atomic_int next, says;
  pthread_mutex_t lock;
  tally sum;
} all;

/* what is looked at now: one thread's */
typedef struct bench {
  dp_ctx *ctx;
  const source *from;
  tally t;
  const dpi_tape *tape[MOST_TAPES];
  char name[MOST_TAPES][32];
  int ntape;
  double *sym;       /* [DPI_LANES_MAX x nsym] points of one round */
  const dpi_system *sys;
  int nsym, ndir;
} bench;

static void say(const bench *b, const char *fmt, ...) {
  va_list ap;
  if (atomic_fetch_add(&all.says, 1) >= SAYS) return;
  pthread_mutex_lock(&all.lock);
  printf("%s: ", b->from->path);
  va_start(ap, fmt);
  vprintf(fmt, ap);
  va_end(ap);
  printf("\n");
  fflush(stdout);
  pthread_mutex_unlock(&all.lock);
}

static void *need(void *p) {
  if (p) return p;
  fprintf(stderr, "no memory\n");
  exit(1);
}

static bool same(double a, double b) { return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b); }

/* ---- points ---- */

static double absurd(dpi_rng *rng) {
  static const double list[] = {0.0, -0.0, 1.0, -1.0, INFINITY, -INFINITY, NAN, 5e-324, -2.2e-308, 1.7e308, 1e300, -1e300, 1e-300,
                                709.7, -745.2, 0x1p-53, 0.5, 2.0, 3.0, 20.5, -7.0, 1e16};
  return list[dpi_rng_u64(rng) % (sizeof list / sizeof *list)];
}

/* wild 0: near the model's own numbers; 1: within a factor 10; 2: some are absurd; 3: anything */
static double disturbed(double v, int wild, dpi_rng *rng) {
  const double u = dpi_rng_uniform(rng);
  if (v != v) v = u;
  if (wild == 0) return v;
  if (wild >= 2 && dpi_rng_uniform(rng) < (wild == 2 ? 0.1 : 0.4)) return absurd(rng);
  if (v == 0) return dpi_rng_uniform(rng) < 0.5 ? 0.0 : 2 * u - 0.5;
  const double w = v * pow(10.0, 2 * u - 1);
  return wild == 3 && dpi_rng_uniform(rng) < 0.3 ? -w : w;
}

/* The model's own parameters, states as they start. */
static void nominal(const bench *b, double *sym) {
  const dpi_system *sys = b->sys;
  double *reg = need(calloc((size_t)dpi_tape_nreg(sys->init), sizeof *reg));
  double *out = need(calloc((size_t)sys->init->nout + 1, sizeof *out));
  for (int s = 0; s < b->nsym; s++) sym[s] = 0;
  for (int s = 1; s < sys->nsym; s++) sym[s] = sys->model->sym[s].kind == DPI_SYM_PARAM ? sys->model->sym[s].value : 0.5;
  dpi_tape_init(sys->init, reg);
  dpi_tape_prologue(sys->init, sym, reg);
  dpi_tape_eval(sys->init, sym, reg, out);
  for (int i = 0; i < sys->nstate; i++) sym[1 + i] = out[i];
  sym[dpi_lane_sym(sys, DPI_LANE_H)] = 0.01;
  for (int i = 0; i < sys->nstate; i++) sym[dpi_lane_sym(sys, DPI_LANE_U + i)] = -0.0;
  free(reg);
  free(out);
}

static void make_points(bench *b, int round, const double *own_point) {
  const int n = b->nsym, h = dpi_lane_sym(b->sys, DPI_LANE_H);
  for (int l = 0; l < DPI_LANES_MAX; l++) {
    dpi_rng rng = dpi_rng_make(20 + (uint64_t)round, (uint64_t)l, 1);
    double *sym = b->sym + (size_t)l * n;
    for (int s = 0; s < n; s++) {
      const int wild = round == 0 ? (l > 0) : round < 3 ? 1 : round < 5 ? 2 : 3;
      sym[s] = disturbed(own_point[s], wild, &rng);
    }
    if (round > 0) sym[0] = 30 * dpi_rng_uniform(&rng);
    if (round < 4) sym[h] = pow(10.0, -4 + 5 * dpi_rng_uniform(&rng));
  }
}

/* ---- running ---- */

static void run_oracle(const bench *b, const dpi_tape *t, double *reg, double *out) {
  for (int l = 0; l < DPI_LANES_MAX; l++) {
    const double *sym = b->sym + (size_t)l * b->nsym;
    dpi_tape_init(t, reg);
    dpi_tape_prologue(t, sym, reg);
    dpi_tape_eval(t, sym, reg, out + (size_t)l * t->nout);
  }
}

/* As dpi_lanes does: slow rows lane by lane, fast rows written, then the body. */
static void run_lanes(const bench *b, const dpi_tape *t, int width, double *reg, double *scratch, double *out) {
  const dpi_lane_ops *ops = dpi_lane_ops_find(width);
  dpi_tape_lanes_init(t, width, reg);
  for (int first = 0; first < DPI_LANES_MAX; first += width) {
    for (int l = 0; l < width; l++) {
      const double *sym = b->sym + (size_t)(first + l) * b->nsym;
      dpi_tape_init(t, scratch);
      dpi_tape_lanes_prologue(t, width, reg, l, sym, scratch);
      for (int i = 0; i < t->nfast; i++) reg[(size_t)t->fast[i].reg * width + l] = sym[t->fast[i].sym];
    }
    dpi_tape_lanes_run(t, ops, reg);
    for (int l = 0; l < width; l++)
      for (int i = 0; i < t->nout; i++) out[(size_t)(first + l) * t->nout + i] = reg[(size_t)t->out[i] * width + l];
  }
}

typedef struct work { /* room for one tape */
  double *reg, *scratch, *want, *got;
  size_t size;
} work;

static work work_make(const bench *b, const dpi_tape *t) {
  work w = {.size = dpi_tape_lanes_size(t, DPI_LANES_MAX)};
  w.reg = need(dpi_lanes_alloc(b->ctx, w.size));
  w.scratch = need(calloc((size_t)dpi_tape_nreg(t), sizeof(double)));
  w.want = need(calloc((size_t)t->nout * DPI_LANES_MAX + 1, sizeof(double)));
  w.got = need(calloc((size_t)t->nout * DPI_LANES_MAX + 1, sizeof(double)));
  return w;
}

static void work_free(const bench *b, work *w) {
  dpi_lanes_free(b->ctx, w->reg, w->size);
  free(w->scratch);
  free(w->want);
  free(w->got);
}

static void check(bench *b, const dpi_tape *t, const char *name, const work *w, const char *how, int width, int round) {
  int wrong = 0;
  for (int l = 0; l < DPI_LANES_MAX; l++)
    for (int i = 0; i < t->nout; i++) {
      const size_t at = (size_t)l * t->nout + i;
      if (same(w->want[at], w->got[at])) continue;
      if (wrong++ == 0)
        say(b, "%s, %s, width %d, %s: point %d of round %d, output %d of %d: %a, the oracle says %a", name, how, width,
            dp_arithmetic(), l, round, i, t->nout, w->got[at], w->want[at]);
    }
  b->t.wrong += wrong > 0;
  b->t.values += (long)t->nout * DPI_LANES_MAX;
}

/* One round: all tapes in these widths, by the interpreter or by what is attached. */
static void run_round(bench *b, const char *how, const int *width, int nwidth, int round) {
  for (int k = 0; k < b->ntape; k++) {
    const dpi_tape *t = b->tape[k];
    const dpi_code *code = atomic_load(&((dpi_tape *)t)->code[0]);
    if (round > 2 && t->nbody > 4 * LONG && !all.whole) continue;
    work w = work_make(b, t);
    dpi_tape_attach(t, 1, NULL); /* the oracle is never code */
    run_oracle(b, t, w.scratch, w.want);
    dpi_tape_attach(t, 1, code);
    for (int i = 0; i < nwidth; i++) {
      if (!dpi_lane_ops_find(width[i])) continue;
      run_lanes(b, t, width[i], w.reg, w.scratch, w.got);
      check(b, t, b->name[k], &w, how, width[i], round);
    }
    if (code) { /* the plain workspace has its own way to the code */
      run_oracle(b, t, w.scratch, w.got);
      check(b, t, b->name[k], &w, how, 0, round);
    }
    work_free(b, &w);
  }
}

static const int widths[] = {8, 1, 4, 2};

static void run_interpreted(bench *b, const double *point) {
  for (int round = 0; round < ROUNDS; round++) {
    make_points(b, round, point);
    run_round(b, "interpreter", widths, DPI_NWIDTH, round);
  }
}

static bool takes_code(const dpi_tape *t) { return all.whole || t->nbody + t->nprologue <= LONG; }

static void run_code(bench *b, dpi_jit_tier tier, int nwidth, const double *point) {
  dpi_jit_unit unit[MOST_TAPES * DPI_NWIDTH];
  dpi_jit_opts opts = dpi_jit_opts_default();
  dpi_jit *job = NULL;
  int n = 0;
  for (int k = 0; k < b->ntape; k++)
    for (int i = 0; i < nwidth && takes_code(b->tape[k]); i++)
      if (dpi_lane_ops_find(widths[i])) unit[n++] = (dpi_jit_unit){b->tape[k], widths[i]};
  opts.tier = tier;
  opts.wait = true;
  opts.cache = false;
  if (dpi_jit_start(b->ctx, unit, n, &opts, &job) != DP_OK) need(NULL);
  const dpi_jit_report r = dpi_jit_describe(job);
  if (r.ncode < n) {
    b->t.nocode += n - r.ncode;
    say(b, "%d of %d tapes have no code: %s", n - r.ncode, n, r.why);
  }
  for (int round = 0; round < ROUNDS; round++) {
    make_points(b, round, point);
    run_round(b, tier == DPI_JIT_QUICK ? "quick code" : "optimised code", widths, nwidth, round);
  }
  dpi_jit_destroy(job);
}

static void run_all_ways(bench *b) {
  const int nstep = dpi_lane_nsym(b->sys), with_dir = dpi_tangent_nsym(b->sys, 1);
  b->nsym = with_dir > nstep ? with_dir : nstep;
  b->sym = need(calloc((size_t)b->nsym * DPI_LANES_MAX, sizeof(double)));
  double *point = need(calloc((size_t)b->nsym, sizeof(double)));
  nominal(b, point);
  for (int s = nstep; s < b->nsym; s++) point[s] = 1;
  run_interpreted(b, point);
  if (all.code && all.whole) {
    run_code(b, DPI_JIT_QUICK, DPI_NWIDTH, point);
    run_code(b, DPI_JIT_OPTIMISED, DPI_NWIDTH, point);
  } else if (all.code) {
    run_code(b, DPI_JIT_OPTIMISED, 2, point);
  }
  free(point);
  free(b->sym);
}

/* ---- tapes ---- */

static void add(bench *b, const dpi_tape *t, const char *name) {
  if (!t || b->ntape == MOST_TAPES) return;
  snprintf(b->name[b->ntape], sizeof b->name[0], "%s", name);
  b->tape[b->ntape++] = t;
  b->t.tapes++;
}

typedef struct way { /* one plan */
  const char *name;
  dpi_lane_kind kind;
  double rtol;
  int ndir;
} way;
static const way ways[] = {
    {"explicit step", DPI_LANE_EXPLICIT, 1e-8, 0},
    {"implicit step", DPI_LANE_IMPLICIT, 1e-8, 0},
    {"coarse implicit step", DPI_LANE_IMPLICIT, 1e-4, 0},
    {"explicit step, tangent", DPI_LANE_EXPLICIT, 1e-8, 1},
    {"implicit step, tangent", DPI_LANE_IMPLICIT, 1e-8, 1},
};
enum { NWAY = sizeof ways / sizeof *ways };

static dpi_lane_plan *plan_of(bench *b, const way *y) {
  const char *why;
  dpi_lane_plan *plan = NULL;
  dpi_solve_opts opts = dpi_solve_opts_default();
  if (y->ndir && (b->sys->nactive == 0 || b->sys->nstate > MOST_STATE_DIR)) return NULL;
  if (y->rtol > 1e-8 && !all.whole) return NULL;
  opts.rtol = y->rtol;
  dp_ctx_clear_error(b->ctx);
  if (!dpi_lane_can(b->sys, y->kind, &why)) {
    b->t.refused[y->kind] += y->ndir == 0 && y->rtol <= 1e-8;
    return NULL;
  }
  const dp_status st = dpi_lane_plan_create(b->ctx, b->sys, &opts, y->kind, y->ndir, &plan);
  if (st == DP_ERR_UNSUPPORTED) b->t.refused[y->kind]++;
  if (st != DP_OK && st != DP_ERR_UNSUPPORTED) {
    b->t.wrong++;
    say(b, "%s: %s", y->name, dp_ctx_error(b->ctx));
  }
  return plan;
}

static void run_system(bench *b) {
  dpi_lane_plan *plan[NWAY];
  const dpi_system *sys = b->sys;
  add(b, sys->rhs, "rates");
  add(b, sys->full, "rates and Jacobian");
  add(b, sys->init, "initial values");
  add(b, sys->lag, "lags");
  add(b, sys->past, "past");
  for (int i = 0; i < NWAY; i++) {
    const dpi_tape *const *tape;
    plan[i] = plan_of(b, &ways[i]);
    for (int k = 0, n = plan[i] ? dpi_lane_plan_tapes(plan[i], &tape) : 0; k < n; k++, b->t.steps++)
      add(b, tape[k], ways[i].name);
  }
  run_all_ways(b);
  for (int i = 0; i < NWAY; i++) dpi_lane_plan_destroy(plan[i]);
}

static void run_model(bench *b) {
  dp_model *m = NULL;
  dpi_system *sys = NULL;
  int active[MOST_PARAM], nactive = 0;
  dp_status st = b->from->text ? dpi_antimony_read(b->ctx, b->from->text, strlen(b->from->text), b->from->path, &m)
                               : dp_model_read(b->ctx, b->from->path, &m);
  if (st == DP_OK) st = dp_model_seal_partly(m, NULL, 0);
  for (int s = 1; st == DP_OK && s < m->nsym && nactive < MOST_PARAM; s++)
    if (m->sym[s].kind == DPI_SYM_PARAM) active[nactive++] = s;
  if (st == DP_OK) st = dpi_system_create(b->ctx, m, active, nactive, &sys);
  if (st == DP_OK) {
    b->sys = sys;
    b->t.models++;
    run_system(b);
  } else {
    b->t.unread++;
    if (st == DP_ERR_BUG || st == DP_ERR_MEMORY) say(b, "%s", dp_ctx_error(b->ctx)), b->t.wrong++;
  }
  dpi_system_destroy(sys);
  dp_model_destroy(m);
}

/* ---- all of them ---- */

static void add_up(const tally *t) {
  tally *s = &all.sum;
  pthread_mutex_lock(&all.lock);
  s->models += t->models;
  s->unread += t->unread;
  s->tapes += t->tapes;
  s->steps += t->steps;
  s->nocode += t->nocode;
  s->wrong += t->wrong;
  s->values += t->values;
  for (int k = 0; k < 2; k++) s->refused[k] += t->refused[k];
  pthread_mutex_unlock(&all.lock);
}

static void *run_models(void *unused) {
  (void)unused;
  const int stride = all.second ? SECOND : 1;
  for (int i; (i = atomic_fetch_add(&all.next, 1) * stride) < all.n;) {
    dp_ctx_def def = dp_ctx_def_default();
    bench b = {.from = &all.list[i]};
    if (dp_ctx_create(&def, &b.ctx) != DP_OK) need(NULL);
    run_model(&b);
    dp_ctx_destroy(b.ctx);
    add_up(&b.t);
  }
  return NULL;
}

static int run_pass(const char *arithmetic, bool second) {
  pthread_t thread[THREADS];
  pthread_attr_t attr;
  if (!dpi_math_select(arithmetic)) {
    printf("%s: skipped: this processor has no such instruction\n", arithmetic);
    return 0;
  }
  all.second = second;
  memset(&all.sum, 0, sizeof all.sum);
  atomic_store(&all.next, 0);
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, (size_t)64 << 20); /* the compiler runs on it */
  for (int k = 0; k < THREADS; k++)
    if (pthread_create(&thread[k], &attr, run_models, NULL) != 0) need(NULL);
  for (int k = 0; k < THREADS; k++) pthread_join(thread[k], NULL);
  pthread_attr_destroy(&attr);
  const tally *s = &all.sum;
  printf("%s: %d models, %d not read or not sealed; %d tapes, %d of steps; in no lanes: explicit %d, implicit %d; "
         "%ld values compared, %d tapes differ, %d units without code\n",
         arithmetic, s->models, s->unread, s->tapes, s->steps, s->refused[DPI_LANE_EXPLICIT], s->refused[DPI_LANE_IMPLICIT],
         s->values, s->wrong, s->nocode);
  fflush(stdout);
  return s->wrong + s->nocode;
}

/* ---- which ---- */

static void list_add(const char *path, const char *text) {
  static int cap;
  if (all.n == cap) all.list = need(realloc(all.list, (size_t)(cap = cap ? 2 * cap : 64) * sizeof *all.list));
  source *s = &all.list[all.n++];
  *s = (source){.text = text};
  snprintf(s->path, sizeof s->path, "%s", path);
}

/* Unpacked once, as tools/run_suite.sh does; files whose name fits, sorted. highest: the last of each folder. */
static void list_suite(const char *name, const char *pattern, bool highest, int every) {
  char command[3000], line[400], last[400] = "";
  struct stat st;
  snprintf(command, sizeof command, SHARED "%s.tar.xz", name);
  if (stat(command, &st) != 0) {
    printf("%s: skipped: ../shared not there\n", name);
    return;
  }
  snprintf(command, sizeof command,
           "place='" PLACE "%s'; if [ ! -d \"$place\" ]; then mkdir -p '" PLACE "' && part=$(mktemp -d '" PLACE "part.XXXXXX') && "
           "tar -xJf '" SHARED "%s.tar.xz' -C \"$part\" && { mv -T \"$part\" \"$place\" 2>/dev/null || rm -rf \"$part\"; }; fi; "
           "find \"$place\" -name '%s' | LC_ALL=C sort",
           name, name, pattern);
  FILE *f = popen(command, "r");
  int found = 0;
  while (f && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = '\0';
    const size_t folder = strrchr(last, '/') ? (size_t)(strrchr(last, '/') - last) + 1 : 0;
    const bool other = folder == 0 || strncmp(line, last, folder) != 0;
    if (last[0] && (!highest || other) && found++ % every == 0) list_add(last, NULL);
    snprintf(last, sizeof last, "%s", line);
  }
  if (last[0] && found++ % every == 0) list_add(last, NULL);
  if (f) pclose(f);
  printf("%s: %d models, every %s\n", name, found, every > 1 ? "tenth taken" : "one taken");
}

static void list_all(int every) {
  char name[32];
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    snprintf(name, sizeof name, "own model %zu", i);
    list_add(name, own[i]);
  }
  list_suite("sbml-semantic", "*-sbml-l?v?.xml", true, every);
  list_suite("antimony-biomodels", "*.txt", false, every);
  list_suite("petab-benchmark", "*.xml", false, every);
}

int main(int argc, char **argv) {
  const bool files = argc > 1 && argv[1][0] != '-';
  pthread_mutex_init(&all.lock, NULL);
  all.whole = files || (argc > 1 && strcmp(argv[1], "--whole") == 0);
  all.code = dpi_jit_available();
  if (!all.code) printf("skipped: machine code, there is no LLVM\n");
  if (files)
    for (int i = 1; i < argc; i++) list_add(argv[i], NULL);
  else
    list_all(all.whole ? 1 : SAMPLE);
  int wrong = run_pass("fma", false);
  wrong += run_pass("nofma", !files);
  free(all.list);
  return wrong ? 1 : 0;
}
