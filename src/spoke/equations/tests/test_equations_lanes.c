/* Members in lanes: the same bytes alone, in any company, place and width, on any number of threads, beside members
 * that fail; with doses, infusions, lags, steady states, events and functionals; cut, forked, saved and loaded.
 * Compared with the member alone (bytes) and with the scalar methods (tolerance). */
#include "eq_text.h"

#include "jit/jit.h"
#include "num/num.h"

static const char *const lane_methods[] = {"ensemble", "tsit", "rodas"};
#define NM 61
#define NO 3

/* saturable elimination, an event that acts on the dose's state, and a state that explodes when g > 0; stiff for large
 * k */
static const char drug_text[] =
    "model drug\n"
    "  depot' = -ka*depot;\n"
    "  central' = ka*depot - vmax*central/(km + central);\n"
    "  fast' = -k*(fast - central);\n"
    "  y' = g*y*y;\n"
    "  depot = 1; central = 2; y = 1; fast = 2;\n"
    "  ka = 1.1; vmax = 2; km = 3; g = 0; k = 1; F = 0.6; L = 0.75; D = 2.5; R = 37; level = 5;\n"
    "  alarm: at central > level: central = central/2;\n"
    "end\n";

static dp_model *drug(bool events) {
  dp_model *m = NULL;
  char text[1000];
  snprintf(text, sizeof text, "%s", drug_text);
  if (!events) strcpy(strstr(text, "  alarm"), "end\n");
  BED_OK(dpi_antimony_read(bed_ctx, text, strlen(text), "drug", &m));
  BED_OK(dp_model_seal(m));
  return m;
}

static dp_sim *drug_sim(dp_model *m, const char *method, int lanes, double rtol) {
  static const dp_output_def output[] = {{"central", NULL, ""}, {"fast", NULL, ""}, {"sum", "depot + central*y", ""}};
  static const char *const active[] = {"ka", "vmax", "L"};
  static const dp_control_def control[] = {{"plain", "central", NULL, NULL, NULL, NULL},
                                           {"all", "depot", "F", "L", "R", "D"}};
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = method;
  def.lanes = lanes;
  def.rtol = rtol;
  def.atol = 1e-3 * rtol;
  def.output = output;
  def.noutput = NO;
  def.control = control;
  def.ncontrol = 2;
  def.active = active;
  def.nactive = 3;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  return sim;
}

static int lane_ndir; /* directions that members carry */

/* All kinds of members: every seventh blows up, every fifth is stiff, ends differ. */
static bed_run *members_of(const dp_sim *sim, int n, bool events) {
  bed_run *r = calloc((size_t)n, sizeof *r);
  for (int i = 0; i < n; i++) {
    bed_defaults(sim, &r[i]);
    r[i].ndir = lane_ndir;
    for (int a = 0; a < lane_ndir; a++) r[i].seed[a * lane_ndir + a] = 1;
    bed_param_set(sim, &r[i], "vmax", 1 + 0.05 * i);
    bed_param_set(sim, &r[i], "ka", 0.5 + 0.03 * (i % 17));
    bed_param_set(sim, &r[i], "L", 0.2 * (i % 5));
    bed_param_set(sim, &r[i], "g", i % 7 == 3 ? 0.11 : 0);
    bed_param_set(sim, &r[i], "k", i % 5 == 2 ? 1e5 : 1 + i % 3);
    bed_param_set(sim, &r[i], "level", 4 + 0.1 * i);
    r[i].in[0] = bed_at(0, DP_INFUSE, 1, 10 + 0.1 * i);
    r[i].in[0].rate = DP_DURATION_MODEL;
    r[i].in[0].interval = bed_ticks(8);
    r[i].in[0].repeats = i % 4;
    r[i].in[0].steady = i % 9 == 4 && i % 7 != 3 && !events ? 1 : 0; /* what explodes has no steady state */
    r[i].in[1] = bed_at(1, DP_ADD, 0, 5);
    r[i].in[1].interval = bed_ticks(3);
    r[i].in[1].repeats = 4;
    r[i].in[2] = bed_at(5, DP_SWITCH, dp_sim_param(sim, "km"), 3 + 0.05 * i);
    r[i].in[3] = bed_at(9.5, DP_ADD, 1, 2);
    r[i].nin = i % 6 == 5 ? 0 : 4;
    for (int t = 0; t <= i % 23; t++) bed_out(&r[i], 0.7 * t, 0);
    if (i % 4 != 1) {
      r[i].f[0] = (dp_functional){DP_MAXIMUM, 0, bed_ticks(1), bed_ticks(12), 0, 0};
      r[i].f[1] = (dp_functional){DP_INTEGRAL, 0, bed_ticks(2), bed_ticks(6), 0, 0};
      r[i].nf = 2;
    }
  }
  return r;
}

static bed_run *members(const dp_sim *sim, int n) { return members_of(sim, n, true); }

static void same_result(const bed_run *a, const bed_run *b, const char *what, int i) {
  const size_t nd = (size_t)a->ndir;
  if (a->status != b->status || memcmp(a->dvalue, b->dvalue, sizeof(double) * NO * nd * (size_t)a->nout) != 0 ||
      memcmp(a->value, b->value, sizeof(double) * NO * (size_t)a->nout) != 0 ||
      memcmp(a->functional, b->functional, sizeof(double) * (size_t)a->nf) != 0 || strcmp(a->reason, b->reason) != 0 ||
      memcmp(&a->fail_time, &b->fail_time, sizeof a->fail_time) != 0)
    fail_msg("%s: member %d differs: status %d %d, '%s' at %g, '%s' at %g, first value %.17g %.17g", what, i, a->status,
             b->status, a->reason, a->fail_time, b->reason, b->fail_time, a->value[NO * (a->nout - 1)],
             b->value[NO * (a->nout - 1)]);
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* One call for all, in the order i * step mod n. */
static void go_all(const dp_sim *sim, bed_run *r, int n, int step) {
  dp_member *list = calloc((size_t)n, sizeof *list);
  dp_result *res = NULL;
  dp_run_opts opts = dp_run_opts_default();
  opts.ndir = lane_ndir;
  for (int i = 0; i < n; i++) list[i] = bed_member(&r[i * step % n]);
  BED_OK(dp_simulate(sim, list, n, &opts, &res));
  for (int i = 0; i < n; i++) bed_take(&r[i * step % n], res, i, NO);
  dp_result_destroy(res);
  free(list);
}

static void company(int ndir) {
  lane_ndir = ndir;
  static const int width[] = {0, 1, 2, 4, 8};
  for (int events = 0; events < 2; events++) {
    dp_model *m = drug(events);
    for (int k = 0; k < DPI_COUNT(lane_methods); k++) {
      dp_sim *sim = drug_sim(m, lane_methods[k], 0, 1e-6);
      bed_run *alone = members_of(sim, NM, events);
      int nfailed = 0;
      for (int i = 0; i < NM; i++) {
        bed_go(sim, &alone[i]);
        nfailed += alone[i].status != DP_MEMBER_OK;
      }
      assert_true(nfailed > 0 && nfailed < NM / 2);
      dp_sim_destroy(sim);
      for (int j = 0; j < DPI_COUNT(width); j++) {
        bed_run *r = members_of(sim = drug_sim(m, lane_methods[k], width[j], 1e-6), NM, events);
        for (int step = 1; step < 14; step += 6) {
          go_all(sim, r, NM, step);
          for (int i = 0; i < NM; i++) same_result(&alone[i], &r[i], lane_methods[k], i);
        }
        free(r);
        dp_sim_destroy(sim);
      }
      free(alone);
    }
    dp_model_destroy(m);
  }
}

/* A batch of one thread's and of two threads' context; two threads are the bed's. */
static void test_threads(void **state) {
  (void)state;
  dp_ctx *two = bed_ctx, *one = NULL;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 1;
  assert_int_equal(dp_ctx_create(&def, &one), DP_OK);
  bed_run *r[2];
  for (int t = 0; t < 2; t++) {
    bed_ctx = t ? two : one;
    dp_model *m = drug(true);
    dp_sim *sim = drug_sim(m, "ensemble", 0, 1e-6);
    r[t] = members(sim, 4 * NM);
    go_all(sim, r[t], 4 * NM, 1);
    dp_sim_destroy(sim);
    dp_model_destroy(m);
  }
  bed_ctx = two;
  for (int i = 0; i < 4 * NM; i++) same_result(&r[0][i], &r[1][i], "threads", i);
  free(r[0]);
  free(r[1]);
  assert_int_equal(dpi_alloc_live(one), 0);
  dp_ctx_destroy(one);
}

static void test_company(void **state) {
  (void)state;
  company(0);
}

static void test_company_directions(void **state) {
  (void)state;
  company(3);
  lane_ndir = 0;
}

/* Machine code, where it can be made, gives what the interpreter gives, in each width. -> the interpreted members, to
 * be freed */
static bed_run *code_and_widths(void) {
  static const int width[] = {1, 2, 4, 8};
  dp_ctx *with = bed_ctx, *without = NULL;
  dp_ctx_def def = dp_ctx_def_default();
  def.interpret = 1;
  assert_int_equal(dp_ctx_create(&def, &without), DP_OK);
  bed_ctx = without;
  dp_model *m = drug(true), *twin;
  dp_sim *sim = drug_sim(m, "ensemble", 0, 1e-6);
  bed_run *want = members(sim, 2 * NM);
  int npiece = -1;
  BED_OK(dp_sim_warm(sim, &npiece));
  assert_int_equal(npiece, 0);
  go_all(sim, want, 2 * NM, 1);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
  bed_ctx = with;
  twin = drug(true);
  for (int j = 0; j < DPI_COUNT(width); j++) {
    sim = drug_sim(twin, "ensemble", width[j], 1e-6);
    bed_run *got = members(sim, 2 * NM);
    BED_OK(dp_sim_warm(sim, &npiece));
    if (dpi_jit_available()) assert_true(npiece > 0);
    go_all(sim, got, 2 * NM, 1);
    for (int i = 0; i < 2 * NM; i++) same_result(&want[i], &got[i], "machine code", i);
    free(got);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(twin);
  assert_int_equal(dpi_alloc_live(without), 0);
  dp_ctx_destroy(without);
  return want;
}

/* In both arithmetics, which do not give the same. */
static void test_code(void **state) {
  (void)state;
  static const char *const arithmetic[] = {"nofma", "fma"};
  bed_run *found[2] = {NULL, NULL};
  for (int k = 0; k < 2; k++)
    if (dpi_math_select(arithmetic[k])) found[k] = code_and_widths();
  assert_true(dpi_math_select(NULL));
  int ndiffer = 0;
  for (int i = 0; found[0] && found[1] && i < 2 * NM; i++)
    ndiffer += memcmp(found[0][i].value, found[1][i].value, sizeof found[0][i].value) != 0;
  if (found[1]) assert_true(ndiffer > 0);
  free(found[0]);
  free(found[1]);
}

/* The scalar methods solve the same equations. */
static void test_agrees(void **state) {
  (void)state;
  dp_model *m = drug(true);
  dp_sim *ref = drug_sim(m, "auto", 0, 1e-10);
  bed_run *want = members(ref, NM);
  go_all(ref, want, NM, 1);
  for (int k = 0; k < DPI_COUNT(lane_methods); k++) {
    dp_sim *sim = drug_sim(m, lane_methods[k], 0, 1e-8);
    bed_run *got = members(sim, NM);
    go_all(sim, got, NM, 1);
    for (int i = 0; i < NM; i++) {
      if (strcmp(lane_methods[k], "tsit") == 0 && i % 5 == 2) continue; /* stiff: no case for an explicit
                                                                           method alone */
      if (want[i].status != got[i].status)
        fail_msg("%s: member %d: '%s', '%s' with auto", lane_methods[k], i, got[i].reason, want[i].reason);
      for (int j = 0; j < NO * want[i].nout && want[i].status == DP_MEMBER_OK; j++)
        bed_near(got[i].value[j], want[i].value[j], 1e-5, 1e-6, lane_methods[k], i);
      for (int j = 0; j < want[i].nf && want[i].status == DP_MEMBER_OK; j++)
        bed_near(got[i].functional[j], want[i].functional[j], 1e-5, 0, lane_methods[k], i);
      if (want[i].status != DP_MEMBER_OK) bed_near(got[i].fail_time, want[i].fail_time, 1e-3, 0, "fail time", i);
    }
    free(got);
    dp_sim_destroy(sim);
  }
  free(want);
  dp_sim_destroy(ref);
  dp_model_destroy(m);
}

/* ---- going on ---- */

typedef struct tail {
  double value[NM][BED_MAX * NO], functional[NM][4];
} tail;

static dp_status take_tail(void *user, const dp_member_result *b, int n) {
  tail *t = user;
  for (int i = 0; i < n; i++) {
    memcpy(t->value[b[i].member] + NO * b[i].out_first, b[i].value, sizeof(double) * NO * (size_t)b[i].nout);
    if (b[i].nfunctional)
      memcpy(t->functional[b[i].member], b[i].functional, sizeof(double) * (size_t)b[i].nfunctional);
  }
  return DP_OK;
}

static void finish(dp_run *run, tail *t) {
  BED_OK(dp_run_advance(run, bed_ticks(17)));
  BED_OK(dp_run_emit(run, take_tail, t));
  dp_run_close(run);
}

static void test_fork_save_load(void **state) {
  (void)state;
  dp_model *m = drug(true);
  for (int k = 0; k < DPI_COUNT(lane_methods); k++) {
    dp_sim *sim = drug_sim(m, lane_methods[k], 0, 1e-6);
    bed_run *r = members(sim, NM);
    dp_member list[NM];
    int index[NM];
    tail *own = calloc(3, sizeof *own), *forked = own + 1, *loaded = own + 2;
    dp_run *run = NULL, *fork = NULL, *load = NULL;
    dp_run_opts opts = dp_run_opts_default();
    void *bytes = NULL;
    size_t size = 0;
    for (int i = 0; i < NM; i++) {
      list[i] = bed_member(&r[i]);
      index[i] = (i * 11 + 3) % NM;
    }
    BED_OK(dp_run_open(sim, list, NM, &opts, &run));
    BED_OK(dp_run_advance(run, bed_ticks(8.25)));
    BED_OK(dp_run_emit(run, take_tail, own));
    BED_OK(dp_run_fork(run, index, NM, NULL, &fork));
    BED_OK(dp_run_save(run, &bytes, &size));
    BED_OK(dp_run_load(sim, list, NM, &opts, bytes, size, &load));
    finish(run, own);
    finish(fork, forked);
    finish(load, loaded);
    for (int i = 0; i < NM; i++) {
      const int from = index[i], first = 12; /* outputs after 8.25 */
      for (int j = first; j < r[from].nout; j++)
        assert_memory_equal(own->value[from] + NO * j, forked->value[i] + NO * j, NO * sizeof(double));
      for (int j = first; j < r[i].nout; j++)
        assert_memory_equal(own->value[i] + NO * j, loaded->value[i] + NO * j, NO * sizeof(double));
      assert_memory_equal(own->functional[from], forked->functional[i], 2 * sizeof(double));
      assert_memory_equal(own->functional[i], loaded->functional[i], 2 * sizeof(double));
    }
    dp_run_bytes_free(sim, bytes);
    free(own);
    free(r);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

static dp_status ignore(void *user, const dp_member_result *b, int n) {
  (void)user, (void)b, (void)n;
  return DP_OK;
}

/* Once warm, no call allocates for its members: the second of two equal ones as much as any later. */
static void test_no_allocation(void **state) {
  (void)state;
  dp_ctx *two = bed_ctx;
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 1;
  def.interpret = 1; /* the compiler's own memory is no batch's */
  assert_int_equal(dp_ctx_create(&def, &bed_ctx), DP_OK);
  dp_model *m = drug(true);
  for (int k = 0; k < DPI_COUNT(lane_methods); k++) {
    dp_sim *sim = drug_sim(m, lane_methods[k], 0, 1e-6);
    bed_run *r = members(sim, 8 * NM);
    dp_member *list = calloc(8 * NM, sizeof *list);
    dp_run_opts opts = dp_run_opts_default();
    size_t count[3];
    for (int i = 0; i < 8 * NM; i++) list[i] = bed_member(&r[i]);
    for (int pass = 0; pass < 3; pass++) {
      const size_t before = dpi_alloc_total(bed_ctx);
      BED_OK(dp_simulate_into(sim, list, 8 * NM, &opts, ignore, NULL));
      count[pass] = dpi_alloc_total(bed_ctx) - before;
    }
    /* slots, cuts, what the sink sees; scratch, result and the texts of what failed,
     * the result again for a longer batch */
    if (count[2] > 7 || count[1] > 7)
      fail_msg("%s: %zu, %zu, %zu allocations", lane_methods[k], count[0], count[1], count[2]);
    dp_run *run = NULL;
    BED_OK(dp_run_open(sim, list, 8 * NM, &opts, &run));
    BED_OK(dp_run_advance(run, bed_ticks(5)));
    const size_t before = dpi_alloc_total(bed_ctx);
    BED_OK(dp_run_advance(run, bed_ticks(17)));
    assert_int_equal(dpi_alloc_total(bed_ctx) - before, 0);
    dp_run_close(run);
    free(list);
    free(r);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
  assert_int_equal(dpi_alloc_live(bed_ctx), 0);
  dp_ctx_destroy(bed_ctx);
  bed_ctx = two;
}

/* ---- outputs recorded on the way ---- */

/* What time alone switches needs no look at the steps either: the path stops there, with outputs on both sides. */
static const char timed_text[] =
    "model timed\n"
    "  depot' = -ka*depot;\n"
    "  central' = ka*depot - vmax*central/(km + central) + piecewise(rise, time > 2.5 && time <= 4.7, 0);\n"
    "  fast' = -k*(fast - central);\n"
    "  y' = g*y*y;\n"
    "  depot = 1; central = 2; y = 1; fast = 2; n = 0;\n"
    "  ka = 1.1; vmax = 2; km = 3; g = 0; k = 1; F = 0.6; L = 0.75; D = 2.5; R = 37; level = 5; rise = 1;\n"
    "  bell: at 0.35 after time >= 6.3: depot = depot + level;\n"
    "end\n";

static dp_model *timed(void) {
  dp_model *m = NULL;
  BED_OK(dpi_antimony_read(bed_ctx, timed_text, strlen(timed_text), "timed", &m));
  BED_OK(dp_model_seal(m));
  return m;
}

/* Many outputs, some at the same time, at the start, the end, with doses, arrivals and switches and on both sides of
 * them. nf: a functional makes each step be looked at, so that no output is recorded. */
static bed_run *dense_members(const dp_sim *sim, int n, int nf) {
  bed_run *r = members_of(sim, n, true);
  for (int i = 0; i < n; i++) {
    static const double odd[] = {0, 0, 0.2, 0.75, 1, 1, 2.5, 2.5, 4, 4.7, 5, 5, 6.3, 6.65, 6.65, 9.5, 9.5, 16};
    const int ngrid = i % 3 == 0 ? 130 : i % 3 == 1 ? 47 : 10;
    double t[200];
    int nt = 0;
    for (int k = 0; k < DPI_COUNT(odd); k++) t[nt++] = odd[k];
    for (int k = 0; k <= ngrid; k++) t[nt++] = 16.0 * k / ngrid;
    r[i].nout = 0;
    qsort(t, (size_t)nt, sizeof *t, ascending);
    for (int k = 0; k < nt; k++) bed_out(&r[i], t[k], k > 0 && t[k] == t[k - 1] ? 1 : i % 2 ? 0 : -1);
    for (int k = 0; k < r[i].nin; k++) r[i].in[k].order = i % 5 == 1;
    r[i].f[0] = (dp_functional){DP_INTEGRAL, 0, bed_ticks(2), bed_ticks(6), 0, 0};
    r[i].nf = nf;
  }
  return r;
}

typedef struct rows {
  double value[NM][BED_MAX * NO];
  int n[NM], status[NM];
} rows;

static dp_status take_rows(void *user, const dp_member_result *b, int n) {
  rows *t = user;
  for (int i = 0; i < n; i++) {
    memcpy(t->value[b[i].member] + NO * b[i].out_first, b[i].value, sizeof(double) * NO * (size_t)b[i].nout);
    t->n[b[i].member] = b[i].out_first + b[i].nout;
    t->status[b[i].member] = b[i].status;
  }
  return DP_OK;
}

/* A run of the members r, which list is filled with. */
static dp_run *open_members(const dp_sim *sim, const bed_run *r, dp_member *list, rows *out) {
  const dp_run_opts opts = dp_run_opts_default();
  dp_run *run = NULL;
  memset(out, 0, sizeof *out);
  for (int i = 0; i < NM; i++) list[i] = bed_member(&r[i]);
  BED_OK(dp_run_open(sim, list, NM, &opts, &run));
  return run;
}

/* A run cut at these times; from the cut `keep` on as saved and loaded (-1: never). */
static void run_cut(const dp_sim *sim, const bed_run *r, const double *cut, int ncut, int keep, rows *out) {
  dp_member list[NM];
  const dp_run_opts opts = dp_run_opts_default();
  dp_run *run = open_members(sim, r, list, out);
  for (int k = 0; k < ncut; k++) {
    BED_OK(dp_run_advance(run, bed_ticks(cut[k])));
    if (k == keep) {
      void *bytes = NULL;
      size_t size = 0;
      BED_OK(dp_run_save(run, &bytes, &size));
      dp_run_close(run);
      BED_OK(dp_run_load(sim, list, NM, &opts, bytes, size, &run));
      dp_run_bytes_free(sim, bytes);
    }
    BED_OK(dp_run_emit(run, take_rows, out));
  }
  dp_run_close(run);
}

static void same_rows(const rows *a, const rows *b, const bed_run *r, const char *what) {
  for (int i = 0; i < NM; i++) {
    if (a->status[i] != b->status[i]) fail_msg("%s: member %d: status %d, %d", what, i, a->status[i], b->status[i]);
    assert_int_equal(a->n[i], b->n[i]);
    for (int k = 0; k < r[i].nout; k++)
      if (memcmp(a->value[i] + NO * k, b->value[i] + NO * k, sizeof(double) * NO) != 0)
        fail_msg("%s: member %d, output %d at %g: %.17g, %.17g", what, i, k, (double)r[i].out[k].time / 1e9,
                 a->value[i][NO * k], b->value[i][NO * k]);
  }
}

static void recorded_in(dp_model *m, const char *method, int width) {
  static const double cuts[] = {0.2, 2.5, 3.14159, 4.7, 5, 5, 6.4, 6.65, 12, 16};
  dp_sim *sim = drug_sim(m, method, width, 1e-6);
  bed_run *with = dense_members(sim, NM, 0), *without = dense_members(sim, NM, 1);
  rows *own = calloc(2, sizeof *own), *other = own + 1;
  go_all(sim, with, NM, 1);
  go_all(sim, without, NM, 7);
  for (int i = 0; i < NM; i++) {
    with[i].nf = without[i].nf = 0; /* all but the functional is the same */
    same_result(&with[i], &without[i], "recorded and read", i);
    without[i].nf = 1;
  }
  for (int keep = -1; keep < DPI_COUNT(cuts); keep += 5) {
    run_cut(sim, with, cuts, DPI_COUNT(cuts), keep, own);
    run_cut(sim, without, cuts, DPI_COUNT(cuts), -1, other);
    same_rows(own, other, with, "cut and whole");
  }
  free(own);
  free(with);
  free(without);
  dp_sim_destroy(sim);
}

/* Outputs that are recorded by the lanes are, byte for byte, those that are read one at a time: with doses, lags,
 * infusions, laws of order, failures, members that change to other lanes; with switches and an event by time alone; in
 * one piece, cut, loaded. */
static void test_recorded(void **state) {
  (void)state;
  static const int width[] = {0, 1, 4};
  for (int t = 0; t < 2; t++) {
    dp_model *m = t ? timed() : drug(false);
    for (int k = 0; k < DPI_COUNT(lane_methods); k++)
      for (int j = 0; j < DPI_COUNT(width); j++) recorded_in(m, lane_methods[k], width[j]);
    dp_model_destroy(m);
  }
}

/* Memory that asks for a stop at its n-th request: in the middle of a batch. */
typedef struct stopper {
  dp_ctx *ctx;
  long at;
} stopper;

static void *stopping(void *user, void *ptr, size_t old_size, size_t new_size) {
  stopper *s = user;
  (void)old_size;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  if (s->ctx && s->at-- == 0) dp_ctx_cancel(s->ctx);
  return realloc(ptr, new_size);
}

/* Stopped in the middle of an advance: members under way go on to its end, the others wait; the next advance completes
 * it, and no output differs. */
static void test_recorded_cancel(void **state) {
  (void)state;
  dp_ctx *two = bed_ctx;
  stopper stop = {0};
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = 1;
  def.interpret = 1;
  def.alloc = stopping;
  def.alloc_user = &stop;
  assert_int_equal(dp_ctx_create(&def, &bed_ctx), DP_OK);
  dp_model *m = drug(false);
  rows *whole = calloc(2, sizeof *whole), *parts = whole + 1;
  int nstopped = 0;
  for (long at = 0; at < 60; at += 9) {
    dp_sim *sim = drug_sim(m, "ensemble", 4, 1e-6);
    bed_run *r = dense_members(sim, NM, 0);
    dp_member list[NM];
    dp_run *run = open_members(sim, r, list, parts);
    if (at > 0) stop = (stopper){bed_ctx, at};
    const dp_status st = dp_run_advance(run, bed_ticks(16));
    stop.ctx = NULL;
    dp_ctx_resume(bed_ctx);
    nstopped += st == DP_ERR_CANCELLED;
    if (st == DP_ERR_CANCELLED) {
      dp_ctx_clear_error(bed_ctx);
      BED_OK(dp_run_emit(run, take_rows, parts));
      BED_OK(dp_run_advance(run, bed_ticks(16)));
    } else {
      BED_OK(st);
    }
    BED_OK(dp_run_emit(run, take_rows, parts));
    dp_run_close(run);
    if (at == 0) *whole = *parts;
    same_rows(whole, parts, r, "stopped and taken up again");
    free(r);
    dp_sim_destroy(sim);
  }
  assert_true(nstopped > 0);
  free(whole);
  dp_model_destroy(m);
  assert_int_equal(dpi_alloc_live(bed_ctx), 0);
  dp_ctx_destroy(bed_ctx);
  bed_ctx = two;
}

/* ---- what can't go in lanes ---- */

static const char lagged[] = "model lagged\n  x' = -delay(x, 1);\n  x = 1;\nend\n";

static void test_refused(void **state) {
  (void)state;
  static text_run r = {.method = "rodas", .out = {"x"}, .t = {1, 2, 3}, .nt = 3};
  dp_model *m = NULL;
  BED_OK(dpi_antimony_read(bed_ctx, lagged, strlen(lagged), "lagged", &m));
  BED_OK(dp_model_seal(m));
  dp_sim *sim = text_sim(&r, m);
  assert_null(sim);
  assert_int_equal(r.created, DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(r.error, "rodas"));
  r.method = "ensemble"; /* goes as auto would */
  sim = text_sim(&r, m);
  assert_non_null(sim);
  dp_sim_destroy(sim);
  dp_sim_def def = dp_sim_def_default();
  def.model = m;
  def.lanes = 3;
  assert_int_equal(dp_sim_create(bed_ctx, &def, &sim), DP_ERR_USAGE);
  assert_non_null(strstr(dp_ctx_error(bed_ctx), "lanes"));
  dp_ctx_clear_error(bed_ctx);
  dp_model_destroy(m);
}

/* The width takes no part in a sim's hash: what was saved with one is loaded with another. */
static void test_hash(void **state) {
  (void)state;
  dp_model *m = drug(true);
  dp_sim *a = drug_sim(m, "ensemble", 1, 1e-6), *b = drug_sim(m, "ensemble", 0, 1e-6);
  assert_string_equal(dp_sim_describe(a)->hash, dp_sim_describe(b)->hash);
  dp_sim_destroy(a);
  dp_sim_destroy(b);
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_company),        cmocka_unit_test(test_company_directions),
      cmocka_unit_test(test_threads),        cmocka_unit_test(test_agrees),
      cmocka_unit_test(test_fork_save_load), cmocka_unit_test(test_no_allocation),
      cmocka_unit_test(test_recorded),       cmocka_unit_test(test_recorded_cancel),
      cmocka_unit_test(test_refused),        cmocka_unit_test(test_hash),
      cmocka_unit_test(test_code),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
