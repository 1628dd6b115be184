/* bench_loop.c - floor 8: closed loops of virtual people through the waist: how many patient-days a second, and how far
 * from a tight reference.
 *
 *     people, meals (bench_people.c) -> members of a source -> dp_simulate_stream -> counters of the last output
 *     the first of them again with every reading given -> what was pumped, replayed by rk853 -> error
 *
 * The controller is a law of the sim, written by hand below as a study would write it; meals are switches and doses at
 * each member's own times. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench_people.h"
#include "lang/lang.h"
#include "num/num.h"

enum { COOKIE = 0x6c6f6f70 };

dp_bench_loop_def dp_bench_loop_def_default(void) {
  return (dp_bench_loop_def){.cookie = COOKIE,
                             .nmember = 1024,
                             .days = 14,
                             .nreplay = 30,
                             .replay_days = 3,
                             .repeats = 3,
                             .step = 2.5,
                             .seed = 1,
                             .nthread = 2};
}

/* ---- the controllers ---- */

/* Put before the model's end. The sensor's error has the form of Breton and Kovatchev (J Diabetes Sci Technol 2:853,
 * 2008): a chain e, and a Johnson transform of it; here one link of the chain a reading. */
static const char extra[] =
    "  z = 0; e = 0; announced = 0; bolus = 0; sum = 0; before = 120;\n"
    "  n = 0; low = 0; very_low = 0; in_range = 0; high = 0; total = 0; noisy = 1;\n"
    "  link := 0.7*(e + z);\n"
    "  reading := max(39, min(600, Gs/Vg + noisy*(-5.471 + 15.9574*sinh((link + 0.5444)/1.6898))));\n"
    "  own_rate := u2ss*BW/100;\n"
    "  correction := max(0, reading - 150)/CF;\n"
    "  meal_dose := announced/CR + piecewise(correction, announced > 0, 0);\n"
    "  off := reading - 120;\n"
    "  pid_rate := max(0, min(4*own_rate, own_rate*(1 + 0.008*off + 0.00002*sum + 0.06*(reading - before))));\n";

typedef struct controller {
  const char *name;
  int n;
  const char *target[14], *formula[14];
} controller;

#define COUNTERS_TARGET "e", "n", "low", "very_low", "in_range", "high", "total", "announced"
#define COUNTERS_FORMULA                                                                                      \
  "link", "n + 1", "low + piecewise(1, reading < 70, 0)", "very_low + piecewise(1, reading < 54, 0)",         \
      "in_range + piecewise(1, reading >= 70 && reading <= 180, 0)", "high + piecewise(1, reading > 250, 0)", \
      "total + reading", "0"

static const controller controllers[] = {
    {.name = "basal-bolus",
     .n = 11,
     .target = {COUNTERS_TARGET, "basal_rate", "depot1", "bolus"},
     .formula = {COUNTERS_FORMULA, "piecewise(0, reading < 70, own_rate)", "depot1 + meal_dose", "meal_dose"}},
    {.name = "pid",
     .n = 13,
     .target = {COUNTERS_TARGET, "basal_rate", "depot1", "bolus", "sum", "before"},
     .formula = {COUNTERS_FORMULA, "piecewise(0, reading < 70, pid_rate)", "depot1 + 0.8*meal_dose", "0.8*meal_dose",
                 "max(-10000, min(10000, 0.995*sum + 5*off))", "reading"}},
};
static const char *const noise[] = {"z"};

static const dp_output_def output[] = {{"glucose", NULL, "mg/dL"},
                                       {"interstitial", NULL, "mg/dL"},
                                       {"basal_rate", NULL, "U/h"},
                                       {"bolus", NULL, "U"},
                                       {"n", NULL, ""},
                                       {"low", NULL, ""},
                                       {"very_low", NULL, ""},
                                       {"in_range", NULL, ""},
                                       {"high", NULL, ""},
                                       {"total", NULL, "mg/dL"}};
enum { O_GLUCOSE, O_SENSOR, O_RATE, O_BOLUS, O_N, O_LOW, O_VERY_LOW, O_IN_RANGE, O_HIGH, O_TOTAL, NOUT };
static const dp_control_def control[] = {{.id = "bolus", .target = "depot1"}};

/* The model with what controllers need. */
static dp_status read_model(dp_ctx *ctx, dp_model **out) {
  const char *end = NULL;
  for (const char *at = dpi_s2008_text; (at = strstr(at, "\nend")) != NULL; at += 4) end = at + 1;
  if (!end) return dpi_fail(ctx, DP_ERR_BUG, "the text of the model has no end");
  dpi_str text;
  dpi_str_init(&text, ctx);
  dpi_str_addn(&text, dpi_s2008_text, (size_t)(end - dpi_s2008_text));
  dpi_str_add(&text, extra);
  dpi_str_add(&text, "end\n");
  dp_status st =
      text.failed ? DP_ERR_MEMORY : dpi_antimony_read(ctx, dpi_str_text(&text), text.len, "s2008 under control", out);
  dpi_str_release(&text);
  if (st == DP_OK) st = dp_model_seal(*out);
  return st;
}

static dp_status make_sim(dp_ctx *ctx, dp_model *m, const controller *c, const char *method, double step,
                          dp_sim **out) {
  dp_law_def law = {.id = "control", .nnoise = 1, .noise = noise};
  dp_sim_def def = dp_sim_def_default();
  if (c) {
    law.n = c->n;
    law.target = c->target;
    law.formula = c->formula;
    def.law = &law;
    def.nlaw = 1;
  }
  def.model = m;
  def.time_unit = "min";
  def.method = method;
  def.step = step;
  def.rtol = def.atol = 1e-10;
  def.output = output;
  def.noutput = NOUT;
  def.control = control;
  def.ncontrol = 1;
  return dp_sim_create(ctx, &def, out);
}

/* ---- members ---- */

/* Instants of some members one after the other, until all of them have been given. */
typedef struct piece {
  struct piece *next;
  int first, n, left; /* members, and how many are not yet given; 0: free */
  int room;           /* members it is long enough for */
  dp_instant instant[];
} piece;

typedef struct cohort {
  const dp_bench_loop_def *def;
  dp_ctx *ctx;
  const dpi_bench_people *people;
  const dp_sim *sim;
  int *param; /* [people.ncol] parameter of each column, -1 */
  int days;
  int p_announced, p_cho, s_emptied;
  int most; /* instants of a member */
  dp_output_time end;
  pthread_mutex_t lock;
  bool locks;
  piece *piece; /* owned list, under the lock */
  dp_ctx *caller;
  const char *name; /* of the row, told with progress */
} cohort;

static dp_time ticks(double minute) { return (dp_time)(minute * (double)DP_TICKS + 0.5); }

static dp_instant instant(double minute, dp_instant_type type, int target, double amount) {
  dp_instant in = dp_instant_default();
  in.time = ticks(minute);
  in.type = type;
  in.target = target;
  in.amount = amount;
  return in;
}

/* A meal is announced at its beginning. Four instants. */
static dp_instant *put_meals(const cohort *c, const dpi_bench_meal *meal, int n, dp_instant *to) {
  for (int k = 0; k < n; k++) {
    const double at = meal[k].minute;
    *to++ = instant(at, DP_SET, c->s_emptied, 0);
    *to++ = instant(at, DP_SWITCH, c->p_announced, meal[k].grams);
    *to++ = instant(at, DP_SWITCH, c->p_cho, DPI_EATING);
    *to++ = instant(at + 1000 * meal[k].grams / DPI_EATING, DP_SWITCH, c->p_cho, 0);
  }
  return to;
}

static void put_person(const cohort *c, int member, double *param) {
  const dpi_bench_people *p = c->people;
  for (int k = 0; k < p->ncol; k++) {
    const double v = p->value[(member % p->nrow) * p->ncol + k];
    if (c->param[k] >= 0 && !isnan(v)) param[c->param[k]] = v;
  }
}

static dp_status put_member(const cohort *c, int member, dp_instant *to, dp_member *m) {
  dpi_bench_meal *meal = DPI_NEW_ARRAY(c->ctx, dpi_bench_meal, (size_t)DPI_MEALS * (size_t)c->days);
  if (!meal) return DP_ERR_MEMORY;
  dpi_bench_people_meals(c->people, member, c->days, c->def->seed, meal);
  dp_instant *loop = to;
  *loop = instant(0, DP_APPLY, 0, 0);
  loop->order = 1;
  loop->interval = ticks(DPI_SAMPLE);
  loop->repeats = 1440 / DPI_SAMPLE * c->days - 1;
  m->instant = to;
  m->ninstant = (int)(put_meals(c, meal, DPI_MEALS * c->days, to + 1) - to);
  m->out = &c->end;
  m->nout = 1;
  m->stream = (uint64_t)member;
  dpi_free(c->ctx, meal);
  return DP_OK;
}

/* Room for the instants of these members. */
static piece *piece_take(cohort *c, int first, int n) {
  pthread_mutex_lock(&c->lock);
  piece *p = c->piece;
  while (p && (p->left > 0 || p->room < n)) p = p->next;
  if (!p && (p = dpi_alloc(c->ctx, sizeof *p + (size_t)n * (size_t)c->most * sizeof *p->instant)) != NULL) {
    p->room = n;
    p->next = c->piece;
    c->piece = p;
  }
  if (p) {
    p->first = first;
    p->n = p->left = n;
  }
  pthread_mutex_unlock(&c->lock);
  return p;
}

/* This member has been given. */
static void piece_give(cohort *c, int member) {
  pthread_mutex_lock(&c->lock);
  for (piece *p = c->piece; p; p = p->next)
    if (p->left > 0 && member >= p->first && member < p->first + p->n) {
      p->left--;
      break;
    }
  pthread_mutex_unlock(&c->lock);
}

/* dp_source */
static dp_status fill(void *user, int first, int n, dp_member *member, double *param) {
  cohort *c = user;
  const int nparam = dp_sim_describe(c->sim)->nparam;
  piece *p = piece_take(c, first, n);
  if (!p) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    put_person(c, first + i, param + (size_t)i * (size_t)nparam);
    DP_TRY(put_member(c, first + i, p->instant + (size_t)i * (size_t)c->most, &member[i]));
  }
  return DP_OK;
}

static dp_status cohort_make(dp_ctx *ctx, const dp_bench_loop_def *def, const dpi_bench_people *people,
                             const dp_sim *sim, int days, cohort *c) {
  *c = (cohort){.def = def, .ctx = ctx, .people = people, .sim = sim, .days = days};
  pthread_mutex_init(&c->lock, NULL);
  c->locks = true;
  c->most = 1 + 4 * DPI_MEALS * days;
  c->end = (dp_output_time){.time = ticks(1440.0 * days), .order = 9};
  c->p_announced = dp_sim_param(sim, "announced");
  c->p_cho = dp_sim_param(sim, "cho");
  c->s_emptied = dp_sim_state(sim, "emptied");
  c->param = DPI_NEW_ARRAY(ctx, int, people->ncol);
  if (!c->param) return DP_ERR_MEMORY;
  for (int k = 0; k < people->ncol; k++) c->param[k] = dp_sim_param(sim, people->id[k]);
  return DP_OK;
}

static void cohort_release(cohort *c) {
  dpi_free(c->ctx, c->param);
  for (piece *p = c->piece, *next; p; p = next) {
    next = p->next;
    dpi_free(c->ctx, p);
  }
  if (c->locks) pthread_mutex_destroy(&c->lock);
}

/* ---- the timed part ---- */

typedef struct tally {
  cohort *c;
  dpi_sha256 *hash;
  double n, low, in_range;
  int nfailed;
} tally;

static dp_status gather(void *user, const dp_member_result *block, int nblock) {
  tally *t = user;
  for (int i = 0; i < nblock; i++) {
    const dp_member_result *r = &block[i];
    piece_give(t->c, r->member);
    t->nfailed += r->status != DP_MEMBER_OK;
    dpi_sha256_add(t->hash, r->value, sizeof(double) * NOUT * (size_t)r->nout);
    if (r->status != DP_MEMBER_OK || r->nout == 0) continue;
    t->n += r->value[O_N];
    t->low += r->value[O_LOW];
    t->in_range += r->value[O_IN_RANGE];
  }
  return DP_OK;
}

static double clock_of(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* dp_run_opts.progress */
static void tell(void *user, double done) {
  const cohort *c = user;
  if (dp_ctx_cancelled(c->caller)) dp_ctx_cancel(c->ctx);
  if (c->def->progress) c->def->progress(c->def->progress_user, c->name, done);
}

static dp_status run_once(cohort *c, dp_bench_loop_row *row) {
  tally t = {.c = c, .hash = dpi_sha256_create(c->ctx)};
  char hex[65];
  if (!t.hash) return DP_ERR_MEMORY;
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = c->def->seed;
  opts.progress = tell;
  opts.progress_user = c;
  const dp_source source = {.fill = fill, .user = c};
  const double wall = clock_of(CLOCK_MONOTONIC), spent = clock_of(CLOCK_PROCESS_CPUTIME_ID);
  for (piece *p = c->piece; p; p = p->next) p->left = 0;
  const dp_status st = dp_simulate_stream(c->sim, 0, row->nmember, &source, &opts, gather, &t);
  const double seconds = clock_of(CLOCK_PROCESS_CPUTIME_ID) - spent;
  dpi_sha256_finish(t.hash, hex);
  DP_TRY(st);
  if (row->digest[0] && strncmp(row->digest, hex, 16) != 0)
    return dpi_fail(c->ctx, DP_ERR_BUG, "closed loop '%s': two runs gave different bytes", row->name);
  snprintf(row->digest, sizeof row->digest, "%.16s", hex);
  if (row->seconds > 0 && seconds >= row->seconds) return DP_OK;
  row->seconds = seconds;
  row->wall = clock_of(CLOCK_MONOTONIC) - wall;
  row->nfailed = t.nfailed;
  row->days_per_second = (double)row->nmember * row->days / seconds;
  row->in_range = t.in_range / t.n;
  row->low = t.low / t.n;
  return DP_OK;
}

/* ---- the error ---- */

/* Rows of one member into `value` [nout x NOUT]. */
static dp_status run_member(const dp_sim *sim, const dp_member *m, uint64_t seed, double *value) {
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  opts.seed = seed;
  DP_TRY(dp_simulate(sim, m, 1, &opts, &r));
  dp_status st = DP_OK;
  if (r->nfailed) st = dpi_fail(r->ctx, DP_ERR_NUMERIC, "closed loop: a member failed: %s", r->reason[0]);
  memcpy(value, r->value, sizeof(double) * NOUT * (size_t)m->nout);
  dp_result_destroy(r);
  return st;
}

/* The pump's log and the meals as one plan: laws are left out, `recorded` [n x NOUT] holds what was set at each
 * reading. */
static int write_plan(const cohort *c, const dp_member *m, const double *recorded, int n, dp_instant *to) {
  int i = 1, count = 0;
  const int p_rate = dp_sim_param(c->sim, "basal_rate");
  for (int k = 0; k < n; k++) {
    const double at = DPI_SAMPLE * (double)k;
    for (; i < m->ninstant && m->instant[i].time <= ticks(at); i++)
      if (m->instant[i].target != c->p_announced || m->instant[i].type != DP_SWITCH) to[count++] = m->instant[i];
    to[count++] = instant(at, DP_SWITCH, p_rate, recorded[k * NOUT + O_RATE]);
    if (recorded[k * NOUT + O_BOLUS] > 0) to[count++] = instant(at, DP_ADD, 0, recorded[k * NOUT + O_BOLUS]);
  }
  for (; i < m->ninstant; i++)
    if (m->instant[i].target != c->p_announced || m->instant[i].type != DP_SWITCH) to[count++] = m->instant[i];
  return count;
}

/* Parameters have the same numbers in both sims: they are the model's. */
static dp_status replay(const cohort *c, const dp_sim *reference, int member, double *error) {
  const int n = 1440 / DPI_SAMPLE * c->days, nparam = dp_sim_describe(c->sim)->nparam;
  double *value = DPI_NEW_ARRAY(c->ctx, double, 2 * NOUT * (size_t)n), *want = value + NOUT * (size_t)n;
  double *param = DPI_NEW_ARRAY(c->ctx, double, nparam);
  dp_output_time *out = DPI_NEW_ARRAY(c->ctx, dp_output_time, n);
  dp_instant *plan = DPI_NEW_ARRAY(c->ctx, dp_instant, c->most + 2 * n);
  dp_instant *own = DPI_NEW_ARRAY(c->ctx, dp_instant, c->most);
  dp_status st = value && param && out && plan && own ? DP_OK : DP_ERR_MEMORY;
  dp_member m = {.param = param};
  if (st == DP_OK) {
    memcpy(param, dp_sim_describe(c->sim)->param_default, sizeof(double) * (size_t)nparam);
    for (int k = 0; k < n; k++) out[k] = (dp_output_time){.time = ticks(DPI_SAMPLE * (double)k), .order = 2};
    put_person(c, member, param);
    st = put_member(c, member, own, &m);
  }
  m.out = out;
  m.nout = n;
  if (st == DP_OK) st = run_member(c->sim, &m, c->def->seed, value);
  if (st == DP_OK) {
    m.ninstant = write_plan(c, &m, value, n, plan);
    m.instant = plan;
    st = run_member(reference, &m, c->def->seed, want);
  }
  for (int k = 0; k < n * NOUT && st == DP_OK; k++)
    if (k % NOUT == O_GLUCOSE || k % NOUT == O_SENSOR) *error = fmax(*error, fabs(value[k] - want[k]));
  dpi_free(c->ctx, value);
  dpi_free(c->ctx, param);
  dpi_free(c->ctx, out);
  dpi_free(c->ctx, plan);
  dpi_free(c->ctx, own);
  return st;
}

static dp_status find_error(dp_ctx *ctx, const dp_bench_loop_def *def, const dpi_bench_people *people, dp_model *m,
                            const dp_sim *sim, double *error) {
  cohort c = {.ctx = ctx};
  dp_sim *reference = NULL;
  dp_status st = make_sim(ctx, m, NULL, "rk853", 0, &reference);
  if (st == DP_OK) st = cohort_make(ctx, def, people, sim, def->replay_days, &c);
  *error = 0;
  for (int i = 0; i < def->nreplay && st == DP_OK; i++) st = replay(&c, reference, i, error);
  cohort_release(&c);
  dp_sim_destroy(reference);
  return st;
}

/* ---- rows ---- */

typedef struct bench {
  dp_ctx *caller;
  const dp_bench_loop_def *def;
  const dpi_bench_people *people;
  dp_bench_loop_fn each;
  void *user;
} bench;

static bool wanted(const bench *b, const char *name) {
  for (int i = 0; i < b->def->nonly; i++)
    if (strcmp(b->def->only[i], name) == 0) return true;
  return b->def->nonly == 0;
}

static void row_name(const controller *k, int nthread, char *name, size_t size) {
  snprintf(name, size, nthread > 1 ? "%s, %d threads" : "%s", k->name, nthread);
}

/* Every name asked for is one of a row. */
static dp_status check_names(const bench *b) {
  for (int i = 0; i < b->def->nonly; i++) {
    bool known = strcmp(b->def->only[i], "plain C") == 0;
    for (int k = 0; k < DPI_COUNT(controllers); k++) {
      char one[64], more[64];
      row_name(&controllers[k], 1, one, sizeof one);
      row_name(&controllers[k], b->def->nthread, more, sizeof more);
      known = known || strcmp(b->def->only[i], one) == 0 || strcmp(b->def->only[i], more) == 0;
    }
    if (!known)
      return dpi_fail(b->caller, DP_ERR_INPUT,
                      "closed loops: no row '%s' (basal-bolus, pid, plain C; \"pid, %d threads\")", b->def->only[i],
                      b->def->nthread > 1 ? b->def->nthread : 2);
  }
  return DP_OK;
}

/* One controller on so many threads, in a context of its own. */
static dp_status loop_rows(const bench *b, const controller *k, int nthread, char digest[17]) {
  char name[64];
  dp_ctx_def cd = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  dp_model *m = NULL;
  dp_sim *sim = NULL;
  cohort c = {0};
  cd.nthread = nthread;
  cd.interpret = b->def->interpret;
  row_name(k, nthread, name, sizeof name);
  if (!wanted(b, name)) return DP_OK;
  DP_TRY(dp_ctx_create(&cd, &ctx));
  dp_bench_loop_row row = {
      .name = name, .nmember = b->def->nmember, .days = b->def->days, .nthread = nthread, .error = NAN};
  c.ctx = ctx;
  dp_status st = read_model(ctx, &m);
  if (st == DP_OK) st = make_sim(ctx, m, k, "fixed", b->def->step, &sim);
  if (st == DP_OK) st = dp_sim_warm(sim, &(int){0});
  if (st == DP_OK) st = cohort_make(ctx, b->def, b->people, sim, b->def->days, &c);
  c.caller = b->caller;
  c.name = name;
  memcpy(row.digest, digest, sizeof row.digest);
  for (int i = 0; i < b->def->repeats && st == DP_OK; i++)
    st = dp_ctx_cancelled(b->caller) ? DP_ERR_CANCELLED : run_once(&c, &row);
  memcpy(digest, row.digest, sizeof row.digest);
  if (st == DP_OK && nthread == 1 && b->def->nreplay > 0) st = find_error(ctx, b->def, b->people, m, sim, &row.error);
  if (st == DP_OK)
    b->each(b->user, &row);
  else
    dpi_fail(b->caller, st, "%s", dp_ctx_error(ctx));
  cohort_release(&c);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
  dp_ctx_destroy(ctx);
  return st;
}

/* Fewer people: it is slow, and all of them are alike. */
static dp_status plain_c(const bench *b) {
  const int n = b->def->nmember < 60 ? b->def->nmember : 60, nmeal = DPI_MEALS * b->def->days;
  dpi_bench_meal *meal = DPI_NEW_ARRAY(b->caller, dpi_bench_meal, nmeal);
  if (!meal) return DP_ERR_MEMORY;
  dp_bench_loop_row row = {.name = "plain C", .nmember = n, .days = b->def->days, .nthread = 1, .error = NAN};
  for (int r = 0; r < b->def->repeats; r++) {
    double readings = 0, low = 0, in_range = 0;
    const double wall = clock_of(CLOCK_MONOTONIC), spent = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < n; i++) {
      const int person = i % b->people->nrow;
      dpi_loop_peer p = {.cr = dpi_bench_people_value(b->people, person, "CR"),
                         .cf = dpi_bench_people_value(b->people, person, "CF")};
      dpi_bench_people_meals(b->people, i, b->def->days, b->def->seed, meal);
      dpi_peer_loop(b->people, person, meal, nmeal, b->def->days, &p);
      readings += p.n;
      low += p.low;
      in_range += p.in_range;
      row.nfailed += r == 0 && !isfinite(p.glucose);
    }
    const double seconds = clock_of(CLOCK_PROCESS_CPUTIME_ID) - spent;
    if (row.seconds > 0 && seconds >= row.seconds) continue;
    row.seconds = seconds;
    row.wall = clock_of(CLOCK_MONOTONIC) - wall;
    row.days_per_second = (double)n * row.days / seconds;
    row.low = low / readings;
    row.in_range = in_range / readings;
  }
  b->each(b->user, &row);
  dpi_free(b->caller, meal);
  return DP_OK;
}

dp_status dp_bench_loop(dp_ctx *ctx, const dp_bench_loop_def *def, dp_bench_loop_fn each, void *user) {
  if (!def || def->cookie != COOKIE)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_bench_loop: the definition was not made by dp_bench_loop_def_default");
  if (def->nmember < 1 || def->days < 1 || def->repeats < 1 || def->nreplay < 0 || def->replay_days < 1 ||
      !(def->step > 0))
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_bench_loop: members, days, repeats and step: expected more than 0");
  dpi_bench_people people;
  DP_TRY(dpi_bench_people_read(ctx, &people));
  const bench b = {.caller = ctx, .def = def, .people = &people, .each = each, .user = user};
  dp_status st = check_names(&b);
  for (int k = 0; k < DPI_COUNT(controllers) && st == DP_OK; k++) {
    char digest[17] = "";
    st = loop_rows(&b, &controllers[k], 1, digest);
    if (st == DP_OK && def->nthread > 1) st = loop_rows(&b, &controllers[k], def->nthread, digest);
  }
  if (st == DP_OK && wanted(&b, "plain C")) st = plain_c(&b);
  dpi_bench_people_release(&people);
  return st;
}
