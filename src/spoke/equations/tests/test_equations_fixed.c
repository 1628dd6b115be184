/* Steps of a fixed length and laws with noise: order against the matrix exponential's closed form and against rk853;
 * the same bytes alone, in lanes of each width, in pieces, by law and by law, saved, forked; noise against its own
 * definition and its moments; refusals by name. */
#include "eq_bed.h"

#include "num/num.h"

static dp_model *text_model(const char *text) {
  dp_model *m = NULL;
  BED_OK(dpi_antimony_read(bed_ctx, text, strlen(text), "fixed", &m));
  BED_OK(dp_model_seal(m));
  return m;
}

/* Glucose, insulin action, insulin; a sampled controller sets `u` from a noisy reading, and counts what it saw. */
static const char loop_text[] =
    "model loop\n"
    "  g' = egp + ra - p*g - act*max(g - 0.2, 0)*g/(g + 3)\n"
    "  act' = 0.5*(ins - act)\n"
    "  ins' = u + dose - 0.8*ins + 0.01*sin(time)\n"
    "  g = 5; act = 0.3; ins = 0.4\n"
    "  egp = 1.1; ra = 0; p = 0.05; u = 0.2; dose = 0; sd = 0.3; goal = 5\n"
    "  z1 = 0; z2 = 0; seen = 5; err = 0; n = 0; low = 0\n"
    "end\n";
static const char *const sensor_target[] = {"seen", "err"};
static const char *const sensor_formula[] = {"g + sd*(0.7*err + z1)", "0.7*err + z1"};
static const char *const sensor_noise[] = {"z1"};
static const char *const control_target[] = {"u", "n", "low"};
static const char *const control_formula[] = {"max(0, 0.2 + 0.1*(seen - goal) + 0.001*z2)", "n + 1",
                                              "low + piecewise(1, seen < 4.5, 0)"};
static const char *const control_noise[] = {"z2"};
static const dp_law_def loop_law[] = {
    {.id = "sensor", .n = 2, .target = sensor_target, .formula = sensor_formula, .nnoise = 1, .noise = sensor_noise},
    {.id = "control",
     .n = 3,
     .target = control_target,
     .formula = control_formula,
     .nnoise = 1,
     .noise = control_noise},
};
static const dp_output_def loop_out[] = {{"g", NULL, ""}, {"u", NULL, ""}, {"low", "low + 1000*n + 1e-3*z1", ""}};
static const dp_control_def loop_control[] = {{.id = "pump", .target = "ins"}, {.id = "food", .target = "g"}};

static dp_sim *loop_sim(dp_model *m, const char *method, double step, int lanes) {
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = method;
  def.step = step;
  def.lanes = lanes;
  def.rtol = 1e-11;
  def.atol = 1e-12;
  def.output = loop_out;
  def.noutput = 3;
  def.control = loop_control;
  def.ncontrol = 2;
  def.law = loop_law;
  def.nlaw = 2;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  return sim;
}

static int earlier(const void *pa, const void *pb) {
  const dp_instant *a = pa, *b = pb;
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  return a->order - b->order;
}

/* Member number i: laws every half hour (sensor before control), meals and doses at times of its own. */
static void person(const dp_sim *sim, bed_run *r, int i, int often) {
  bed_defaults(sim, r);
  for (int l = 0; l < 2; l++) {
    dp_instant *in = &r->in[r->nin++];
    *in = bed_at(i % 3 == 2 ? 0.25 : 0, DP_APPLY, l, 0);
    in->order = l;
    in->interval = bed_ticks(0.5);
    in->repeats = 50 - i;
  }
  const double meal = 3.1 + 0.37 * i;
  r->in[r->nin++] = bed_at(meal, DP_SWITCH, dp_sim_param(sim, "ra"), 4);
  r->in[r->nin++] = bed_at(meal + 0.7, DP_SWITCH, dp_sim_param(sim, "ra"), 0);
  r->in[r->nin] = bed_at(meal, DP_INFUSE, 0, 0.5);
  r->in[r->nin++].rate = 2;
  r->in[r->nin++] = bed_at(i % 4 ? 9.3 : 9.5, DP_ADD, 1, 2);
  qsort(r->in, (size_t)r->nin, sizeof r->in[0], earlier);
  bed_param_set(sim, r, "p", 0.05 + 0.003 * i);
  for (int k = 1; often && k <= 48; k++) bed_out(r, 0.5 * k, k % 2 ? 5 : -1);
  bed_out(r, 24, 9);
}

enum { PEOPLE = 21 };

static dp_result *people(const dp_sim *sim, int n, int often, uint64_t seed) {
  static bed_run r[PEOPLE];
  dp_member list[PEOPLE];
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  opts.seed = seed;
  for (int i = 0; i < n; i++) {
    person(sim, &r[i], i, often);
    list[i] = bed_member(&r[i]);
    list[i].stream = 100 + (uint64_t)i;
  }
  BED_OK(dp_simulate(sim, list, n, &opts, &res));
  return res;
}

/* ---- accuracy ---- */

/* No law, no input: x'' = -x by steps of h against cos, whose error falls as h^4. */
static void test_order(void **state) {
  (void)state;
  dp_model *m = text_model("model osc\n  x' = y; y' = -x; x = 1; y = 0;\nend\n");
  static const dp_output_def out[] = {{"x", NULL, ""}};
  double error[3];
  for (int k = 0; k < 3; k++) {
    dp_sim_def def = dp_sim_def_default();
    dp_sim *sim = NULL;
    def.model = m;
    def.method = "fixed";
    def.step = 0.2 / (1 << k);
    def.output = out;
    def.noutput = 1;
    BED_OK(dp_sim_create(bed_ctx, &def, &sim));
    static bed_run r;
    bed_defaults(sim, &r);
    bed_out(&r, 10, 0);
    bed_go(sim, &r);
    error[k] = fabs(r.value[0] - cos(10));
    dp_sim_destroy(sim);
  }
  for (int k = 0; k < 2; k++) {
    const double order = log2(error[k] / error[k + 1]);
    if (!(order > 3.7 && order < 4.6)) fail_msg("errors %g, %g: order %g", error[k], error[k + 1], order);
  }
  dp_model_destroy(m);
}

/* The whole loop, with noise, infusions, switches and doses, against rk853 at 1e-11. */
static void test_reference(void **state) {
  (void)state;
  dp_model *m = text_model(loop_text);
  dp_sim *want = loop_sim(m, "rk853", 0, 0), *coarse = loop_sim(m, "fixed", 0.1, 0),
         *fine = loop_sim(m, "fixed", 0.025, 0);
  dp_result *a = people(want, PEOPLE, 1, 7), *b = people(coarse, PEOPLE, 1, 7), *c = people(fine, PEOPLE, 1, 7);
  double eb = 0, ec = 0;
  assert_int_equal(a->nfailed + b->nfailed + c->nfailed, 0);
  for (size_t k = 0; k < 3 * a->value_at[PEOPLE]; k++) {
    if (k % 3 == 2) {
      assert_true(fabs(a->value[k] - b->value[k]) < 1e-9); /* counts and the numbers drawn */
      continue;
    }
    eb = fmax(eb, fabs(a->value[k] - b->value[k]));
    ec = fmax(ec, fabs(a->value[k] - c->value[k]));
  }
  if (!(eb < 1e-3 && ec < eb / 50)) fail_msg("errors %g with step 0.1, %g with 0.025", eb, ec);
  dp_result_destroy(a);
  dp_result_destroy(b);
  dp_result_destroy(c);
  dp_sim_destroy(want);
  dp_sim_destroy(coarse);
  dp_sim_destroy(fine);
  dp_model_destroy(m);
}

/* ---- same bytes ---- */

static void same(const dp_result *a, const dp_result *b, int n, const char *what) {
  for (int i = 0; i < n; i++) {
    const size_t rows = a->value_at[i + 1] - a->value_at[i];
    assert_int_equal(a->status[i], b->status[i]);
    if (memcmp(a->value + 3 * a->value_at[i], b->value + 3 * b->value_at[i], 3 * rows * sizeof(double)) != 0)
      fail_msg("%s: member %d differs: %.17g, %.17g", what, i, a->value[3 * a->value_at[i]],
               b->value[3 * b->value_at[i]]);
  }
}

static void test_widths(void **state) {
  (void)state;
  dp_model *m = text_model(loop_text);
  dp_sim *one = loop_sim(m, "fixed", 0.1, 1);
  dp_result *alone = people(one, PEOPLE, 0, 7);
  assert_int_equal(alone->nfailed, 0);
  for (int lanes = 0; lanes <= 8; lanes = lanes ? 2 * lanes : 2) {
    dp_sim *sim = loop_sim(m, "fixed", 0.1, lanes);
    dp_result *res = people(sim, PEOPLE, 0, 7);
    same(alone, res, PEOPLE, "width");
    dp_result_destroy(res);
    int npiece;
    BED_OK(dp_sim_warm(sim, &npiece));
    res = people(sim, PEOPLE, 0, 7);
    same(alone, res, PEOPLE, "machine code");
    dp_result_destroy(res);
    dp_result *few = people(sim, 5, 0, 7);
    same(few, alone, 5, "company");
    dp_result_destroy(few);
    dp_sim_destroy(sim);
  }
  dp_result *other = people(one, PEOPLE, 0, 8);
  assert_true(other->value[0] != alone->value[0]); /* the seed counts */
  dp_result_destroy(other);
  dp_result_destroy(alone);
  dp_sim_destroy(one);
  dp_model_destroy(m);
}

/* An output at every law makes each of them go the general way, one member at a time: eq_law.c is the oracle. */
static void test_together(void **state) {
  (void)state;
  dp_model *m = text_model(loop_text);
  dp_sim *sim = loop_sim(m, "fixed", 0.1, 0);
  dp_result *often = people(sim, PEOPLE, 1, 7), *once = people(sim, PEOPLE, 0, 7);
  assert_int_equal(often->nfailed + once->nfailed, 0);
  for (int i = 0; i < PEOPLE; i++) {
    if (i % 3 == 2) continue; /* whose laws lie between the outputs, which cut steps of their own */
    const double *a = often->value + 3 * (often->value_at[i + 1] - 1), *b = once->value + 3 * once->value_at[i];
    if (memcmp(a, b, 3 * sizeof *a) != 0) fail_msg("member %d: %.17g one by one, %.17g together", i, a[0], b[0]);
  }
  dp_result_destroy(often);
  dp_result_destroy(once);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* One law that reads the noisy sensor and sets the pump, every half hour, over and over with nothing between: people by
 * themselves with an output at every law (the general way) are the oracle; in company, in all widths,
 * as machine code. */
static void test_one_law(void **state) {
  (void)state;
  static const char *const target[] = {"err", "u", "n"};
  static const char *const formula[] = {
      "0.7*err + z1", "max(0, 0.2 + 0.1*(g + sd*(0.7*err + z1) - goal) + 0.001*cos(time))", "n + 1"};
  static const dp_law_def law = {
      .id = "loop", .n = 3, .target = target, .formula = formula, .nnoise = 1, .noise = sensor_noise};
  char text[sizeof loop_text];
  memcpy(text, loop_text, sizeof text);
  memcpy(strstr(text, "sin(time)"), "sin(act) ", 9); /* a body that does not look at the clock */
  dp_model *m = text_model(text);
  dp_result *result[10] = {NULL};
  int n = 0;
  for (int lanes = 0; lanes <= 8; lanes = lanes ? 2 * lanes : 1) {
    for (int often = lanes == 1; often >= 0; often--) {
      dp_sim_def def = dp_sim_def_default();
      dp_sim *sim = NULL;
      def.model = m;
      def.method = "fixed";
      def.step = 0.1;
      def.lanes = lanes;
      def.output = loop_out;
      def.noutput = 3;
      def.control = loop_control;
      def.ncontrol = 2;
      def.law = &law;
      def.nlaw = 1;
      BED_OK(dp_sim_create(bed_ctx, &def, &sim));
      static bed_run r[PEOPLE];
      dp_member list[PEOPLE];
      dp_run_opts opts = dp_run_opts_default();
      opts.seed = 7;
      for (int i = 0; i < PEOPLE; i++) {
        person(sim, &r[i], i, often);
        int kept = 0;
        for (int k = 0; k < r[i].nin; k++)
          if (r[i].in[k].type != DP_APPLY || r[i].in[k].target == 0) r[i].in[kept++] = r[i].in[k];
        r[i].nin = kept;
        list[i] = bed_member(&r[i]);
        list[i].stream = 100 + (uint64_t)i;
      }
      if (lanes == 4) BED_OK(dp_sim_warm(sim, &(int){0}));
      BED_OK(dp_simulate(sim, list, PEOPLE, &opts, &result[n]));
      assert_int_equal(result[n++]->nfailed, 0);
      dp_sim_destroy(sim);
    }
  }
  const dp_result *oracle = result[1]; /* width 1, an output at every law */
  for (int k = 0; k < n; k++)
    for (int i = 0; i < PEOPLE; i++) {
      if (i % 3 == 2) continue; /* whose laws lie between the outputs, which cut steps of their own */
      const double *a = oracle->value + 3 * (oracle->value_at[i + 1] - 1),
                   *b = result[k]->value + 3 * (result[k]->value_at[i + 1] - 1);
      if (memcmp(a, b, 3 * sizeof *a) != 0) fail_msg("run %d, member %d: %.17g, alone %.17g", k, i, b[0], a[0]);
    }
  for (int k = 2; k < n; k++) same(result[0], result[k], PEOPLE, "one law");
  for (int k = 0; k < n; k++) dp_result_destroy(result[k]);
  dp_model_destroy(m);
}

static dp_status last(void *user, const dp_member_result *b, int n) {
  for (int i = 0; i < n; i++)
    if (b[i].nout > 0) memcpy((double *)user + 3 * b[i].member, b[i].value + 3 * (b[i].nout - 1), 3 * sizeof(double));
  return DP_OK;
}

/* In pieces that end where laws are, saved on the way and forked. */
static void test_going_on(void **state) {
  (void)state;
  dp_model *m = text_model(loop_text);
  dp_sim *sim = loop_sim(m, "fixed", 0.1, 0);
  dp_result *whole = people(sim, PEOPLE, 0, 7);
  static bed_run r[PEOPLE];
  dp_member list[PEOPLE];
  for (int i = 0; i < PEOPLE; i++) {
    person(sim, &r[i], i, 0);
    list[i] = bed_member(&r[i]);
    list[i].stream = 100 + (uint64_t)i;
  }
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = 7;
  dp_run *run = NULL, *load = NULL, *fork = NULL;
  void *bytes;
  size_t size;
  int index[PEOPLE];
  double own[3 * PEOPLE], loaded[3 * PEOPLE], forked[3 * PEOPLE];
  for (int i = 0; i < PEOPLE; i++) index[i] = PEOPLE - 1 - i;
  BED_OK(dp_run_open(sim, list, PEOPLE, &opts, &run));
  BED_OK(dp_run_advance(run, bed_ticks(2)));
  BED_OK(dp_run_advance(run, bed_ticks(10.5)));
  BED_OK(dp_run_save(run, &bytes, &size));
  BED_OK(dp_run_load(sim, list, PEOPLE, &opts, bytes, size, &load));
  BED_OK(dp_run_fork(run, index, PEOPLE, NULL, &fork));
  BED_OK(dp_run_advance(run, bed_ticks(24)));
  BED_OK(dp_run_advance(load, bed_ticks(24)));
  BED_OK(dp_run_advance(fork, bed_ticks(24)));
  BED_OK(dp_run_emit(run, last, own));
  BED_OK(dp_run_emit(load, last, loaded));
  BED_OK(dp_run_emit(fork, last, forked));
  assert_memory_equal(own, loaded, sizeof own);
  for (int i = 0; i < PEOPLE; i++) {
    assert_memory_equal(own + 3 * i, forked + 3 * (PEOPLE - 1 - i), 3 * sizeof(double));
    if (i % 3 == 2) continue; /* whose laws lie elsewhere than the ends of the pieces */
    assert_memory_equal(own + 3 * i, whole->value + 3 * i, 3 * sizeof(double));
  }
  dp_run_close(run);
  dp_run_close(load);
  dp_run_close(fork);
  dp_run_bytes_free(sim, bytes);
  dp_result_destroy(whole);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* ---- noise ---- */

static const char noise_text[] = "model noise\n  x' = 0; y' = 0; x = 0; y = 0; a = 0; b = 0;\nend\n";

/* x gathers a, y gathers b: differences of outputs are the numbers drawn. */
static dp_result *numbers(const char *method, const char *id, uint64_t stream, int n) {
  static const char *const target[] = {"x", "y"}, *const formula[] = {"a", "b"}, *const noise[] = {"a", "b"};
  const dp_law_def law = {.id = id, .n = 2, .target = target, .formula = formula, .nnoise = 2, .noise = noise};
  static const dp_output_def out[] = {{"x", NULL, ""}, {"y", NULL, ""}, {"sum", "x + y", ""}};
  dp_model *m = text_model(noise_text);
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = method;
  def.step = strcmp(method, "fixed") == 0 ? 1 : 0;
  def.output = out;
  def.noutput = 3;
  def.law = &law;
  def.nlaw = 1;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  assert_true(dp_sim_describe(sim)->caps & DP_CAP_STOCHASTIC);
  dp_output_time *at = calloc((size_t)n, sizeof *at);
  for (int i = 0; i < n; i++) at[i] = (dp_output_time){bed_ticks(i), 1};
  dp_instant in = bed_at(0, DP_APPLY, 0, 0);
  in.interval = bed_ticks(1);
  in.repeats = n;
  const double param[2] = {0};
  const dp_member one = {.param = param, .instant = &in, .ninstant = 1, .out = at, .nout = n, .stream = stream};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  opts.seed = 12345;
  BED_OK(dp_simulate(sim, &one, 1, &opts, &res));
  assert_int_equal(res->nfailed, 0);
  free(at);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
  return res;
}

/* By definition: number 2 k + position of the stream that seed, stream and the law's id name; so for every method.
 * Mean, variance, correlations in a row and between the two within 5 standard errors (false alarm 3e-6 in all, one
 * seed). */
static void test_noise(void **state) {
  (void)state;
  enum { N = 4000 };
  dp_result *a = numbers("auto", "draw", 3, N), *b = numbers("fixed", "draw", 3, N);
  double sum[5] = {0};
  for (int k = 0; k < N; k++) {
    const double x = a->value[3 * k], y = a->value[3 * k + 1], before = k ? a->value[3 * k - 3] : 0;
    dpi_rng rng = dpi_rng_make(12345, 3, 0x6c6177 ^ (uint32_t)dpi_hash64("draw"));
    rng.counter = (uint64_t)(2 * k);
    assert_true(x == dpi_rng_normal(&rng) && y == dpi_rng_normal(&rng));
    assert_memory_equal(&a->value[3 * k], &b->value[3 * k], 3 * sizeof(double));
    sum[0] += x;
    sum[1] += x * x - 1;
    sum[2] += y;
    sum[3] += x * y;
    sum[4] += x * before;
  }
  for (int i = 0; i < 5; i++) {
    const double z = sum[i] / sqrt(N * (i == 1 ? 2.0 : 1.0));
    if (!(fabs(z) < 5)) fail_msg("moment %d is %g standard errors off", i, z);
  }
  dp_result *stream = numbers("auto", "draw", 4, 3), *id = numbers("auto", "drawn", 3, 3);
  assert_true(stream->value[0] != a->value[0] && id->value[0] != a->value[0]);
  dp_result_destroy(a);
  dp_result_destroy(b);
  dp_result_destroy(stream);
  dp_result_destroy(id);
}

/* ---- failures and refusals ---- */

/* A law that gives one member what is no number, and a state that runs away: each alone, as the general way says it. */
static void test_fails(void **state) {
  (void)state;
  static const char *const target[] = {"u", "c"}, *const formula[] = {"1/(2.5 - c*bad)", "c + 1"};
  static const dp_law_def law = {.id = "divide", .n = 2, .target = target, .formula = formula};
  static const dp_output_def out[] = {{"x", NULL, ""}, {"u", NULL, ""}, {"c", NULL, ""}};
  dp_model *m = text_model("model f\n  x' = -k*x + grow*x^2; x = 1; k = 1; u = 0; c = 0; bad = 0; grow = 0;\nend\n");
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = "fixed";
  def.step = 0.25;
  def.output = out;
  def.noutput = 3;
  def.law = &law;
  def.nlaw = 1;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  static bed_run r[9];
  dp_member list[9];
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  for (int i = 0; i < 9; i++) {
    bed_defaults(sim, &r[i]);
    if (i == 3) bed_param_set(sim, &r[i], "bad", 0.5);
    if (i == 6) bed_param_set(sim, &r[i], "grow", 3);
    dp_instant *in = &r[i].in[r[i].nin++];
    *in = bed_at(1, DP_APPLY, 0, 0);
    in->interval = bed_ticks(1);
    in->repeats = 20;
    bed_out(&r[i], 12, 0);
    list[i] = bed_member(&r[i]);
  }
  BED_OK(dp_simulate(sim, list, 9, &opts, &res));
  assert_int_equal(res->nfailed, 2);
  assert_int_equal(res->status[3], DP_MEMBER_FAILED);
  assert_true(res->fail_time[3] == 6); /* the sixth application divides by zero */
  assert_non_null(strstr(res->reason[3], "law 'divide' gives 'u'"));
  assert_int_equal(res->status[6], DP_MEMBER_FAILED);
  assert_non_null(strstr(res->reason[6], "not finite"));
  for (int i = 0; i < 9; i++)
    if (i != 3 && i != 6) assert_memory_equal(res->value, res->value + 3 * i, 3 * sizeof(double));
  bed_near(res->value[0], exp(-12), 2e-3, 0, "x", 12);
  dp_result_destroy(res);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

static void refused(const char *text, const char *method, double step, const char *noise, dp_status status,
                    const char *word) {
  dp_model *m = text_model(text);
  const char *const target[] = {"x"}, *const formula[] = {"x + 1"};
  const dp_law_def law = {.id = "rule",
                          .n = 1,
                          .target = target,
                          .formula = formula,
                          .nnoise = noise ? 2 : 0,
                          .noise = (const char *[]){"w", noise}};
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = method;
  def.step = step;
  def.law = &law;
  def.nlaw = 1;
  assert_int_equal(dp_sim_create(bed_ctx, &def, &sim), status);
  if (!strstr(dp_ctx_error(bed_ctx), word)) fail_msg("'%s' does not say '%s'", dp_ctx_error(bed_ctx), word);
  dp_ctx_clear_error(bed_ctx);
  dp_model_destroy(m);
}

static void test_refused(void **state) {
  (void)state;
  static const char plain[] = "model r\n  x' = -k*x; x = 1; k = 1; w = 0; y := 2*x;\nend\n";
  refused(plain, "fixed", 0, NULL, DP_ERR_USAGE, "step 0");
  refused(plain, "fixed", INFINITY, NULL, DP_ERR_USAGE, "step inf");
  refused(plain, "auto", 1, NULL, DP_ERR_USAGE, "only method 'fixed'");
  refused(plain, "auto", 0, "q", DP_ERR_INPUT, "noise 'q': found no such symbol");
  refused(plain, "auto", 0, "x", DP_ERR_INPUT, "noise 'x': found a state");
  refused(plain, "auto", 0, "y", DP_ERR_INPUT, "noise 'y'");
  refused(plain, "auto", 0, "w", DP_ERR_INPUT, "twice");
  refused("model e\n  x' = -x; x = 1; at (x < 0.5): x = 1; w = 0;\nend\n", "fixed", 1, NULL, DP_ERR_UNSUPPORTED,
          "depends on states");
  refused("model j\n  x' = piecewise(-1, x > 0.5, -2); x = 1; w = 0;\nend\n", "fixed", 1, NULL, DP_ERR_UNSUPPORTED,
          "depends on states");
  dp_model *m = text_model(plain);
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  static const dp_output_def out[] = {{"x", NULL, ""}};
  def.model = m;
  def.method = "fixed";
  def.step = 1e-4;
  def.output = out;
  def.noutput = 1;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  static bed_run r;
  bed_defaults(sim, &r);
  bed_out(&r, 11, 0);
  bed_go(sim, &r);
  assert_int_equal(r.status, DP_MEMBER_FAILED); /* 110 000 steps */
  assert_non_null(strstr(r.reason, "too many steps"));
  r.f[r.nf++] = (dp_functional){.kind = DP_INTEGRAL, .output = 0, .to = bed_ticks(1)};
  const dp_member one = bed_member(&r);
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  assert_int_equal(dp_simulate(sim, &one, 1, &opts, &res), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(bed_ctx), "FUNCTIONALS"));
  dp_ctx_clear_error(bed_ctx);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* What time alone decides is stopped at: a rate that jumps at 1.3, an event at 2.7 that a fixed grid would miss. */
static void test_timed(void **state) {
  (void)state;
  static const char text[] =
      "model t\n  x' = piecewise(1, time < 1.3, -2); x = 0; w = 0\n  at (time >= 2.7): x = x + w + 5;\nend\n";
  static const char *const target[] = {"w"}, *const formula[] = {"w + 1"};
  static const dp_law_def law = {.id = "tick", .n = 1, .target = target, .formula = formula};
  static const dp_output_def out[] = {{"x", NULL, ""}, {"w", NULL, ""}};
  dp_model *m = text_model(text);
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = "fixed";
  def.step = 0.5;
  def.output = out;
  def.noutput = 2;
  def.law = &law;
  def.nlaw = 1;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  static bed_run r;
  bed_defaults(sim, &r);
  r.in[r.nin] = bed_at(0, DP_APPLY, 0, 0);
  r.in[r.nin].interval = bed_ticks(1);
  r.in[r.nin++].repeats = 10;
  bed_out(&r, 4, 1);
  bed_go(sim, &r);
  assert_int_equal(r.status, DP_MEMBER_OK);
  bed_near(r.value[0], 1.3 - 2 * 2.7 + 8, 1e-12, 1e-12, "x", 4);
  bed_near(r.value[1], 5, 1e-15, 0, "laws", 4);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* Steps longer than the method can take are not taken: a rate of 30/h under a step of 1 h. */
static void test_stable(void **state) {
  (void)state;
  static const dp_output_def out[] = {{"x", NULL, ""}, {"y", NULL, ""}};
  dp_model *m = text_model(
      "model s\n  x' = 1 - k*x; y' = k*(x - y) - 0.1*k*z; z' = k*(y - z); k = 30\n  x = 0; y = 0; z = 0;\nend\n");
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  def.model = m;
  def.method = "fixed";
  def.step = 1;
  def.output = out;
  def.noutput = 2;
  BED_OK(dp_sim_create(bed_ctx, &def, &sim));
  static bed_run r;
  bed_defaults(sim, &r);
  bed_out(&r, 8, 0);
  bed_go(sim, &r);
  assert_int_equal(r.status, DP_MEMBER_OK);
  bed_near(r.value[0], 1.0 / 30, 1e-9, 0, "x", 8); /* at rest: x = 1/k, y = x - 0.1 z, z = y */
  bed_near(r.value[1], 1.0 / 30 / 1.1, 1e-9, 0, "y", 8);
  dp_sim_destroy(sim);
  dp_model_destroy(m);
}

/* Laws whose values are what they read: everything is seen as it was just before, in whatever row it is kept. One law
 * alone, and a second that reads the same; full lanes and some left over; counted on by hand. */
static void test_exchange(void **state) {
  (void)state;
  dp_model *m = text_model("model exchange\n  x' = c; x = 0; a = 2; b = 5; c = 0; d = 0;\nend\n");
  static const char *const first[] = {"a", "b", "c"}, *const first_is[] = {"b", "a", "a"};
  static const char *const second[] = {"d", "x"}, *const second_is[] = {"d + a", "x + d"};
  static const dp_law_def law[] = {{.id = "first", .n = 3, .target = first, .formula = first_is},
                                   {.id = "second", .n = 2, .target = second, .formula = second_is}};
  static const dp_output_def out[] = {{"x", NULL, ""}, {"a", NULL, ""}, {"b", NULL, ""}, {"d", NULL, ""}};
  enum { N = 11 };
  for (int nlaw = 1; nlaw <= 2; nlaw++) {
    dp_sim_def def = dp_sim_def_default();
    dp_sim *sim = NULL;
    dp_result *res = NULL;
    dp_run_opts opts = dp_run_opts_default();
    static bed_run r[N];
    dp_member list[N];
    def.model = m;
    def.method = "fixed";
    def.step = 0.5;
    def.output = out;
    def.noutput = 4;
    def.law = law;
    def.nlaw = nlaw;
    BED_OK(dp_sim_create(bed_ctx, &def, &sim));
    for (int i = 0; i < N; i++) {
      bed_defaults(sim, &r[i]);
      bed_param_set(sim, &r[i], "a", 2 + i);
      for (int l = 0; l < nlaw; l++) {
        dp_instant *in = &r[i].in[r[i].nin++];
        *in = bed_at(1, DP_APPLY, l, 0);
        in->order = l;
        in->interval = bed_ticks(1);
        in->repeats = 3 + i;
      }
      bed_out(&r[i], 20, 9);
      list[i] = bed_member(&r[i]);
    }
    BED_OK(dp_simulate(sim, list, N, &opts, &res));
    assert_int_equal(res->nfailed, 0);
    for (int i = 0; i < N; i++) {
      double x = 0, a = 2 + i, b = 5, c = 0, d = 0;
      for (int t = 1; t <= 20; t++) {
        x += c;
        if (t > 4 + i) continue;
        const double was = a;
        a = b;
        b = c = was;
        if (nlaw < 2) continue;
        x += d;
        d += a;
      }
      const double want[4] = {x, a, b, d};
      for (int k = 0; k < 4; k++)
        if (!(fabs(res->value[4 * i + k] - want[k]) <= 1e-9))
          fail_msg("%d laws, member %d, output %d: %g, not %g", nlaw, i, k, res->value[4 * i + k], want[k]);
    }
    dp_result_destroy(res);
    dp_sim_destroy(sim);
  }
  dp_model_destroy(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),    cmocka_unit_test(test_reference), cmocka_unit_test(test_widths),
      cmocka_unit_test(test_together), cmocka_unit_test(test_one_law),   cmocka_unit_test(test_going_on),
      cmocka_unit_test(test_noise),    cmocka_unit_test(test_fails),     cmocka_unit_test(test_refused),
      cmocka_unit_test(test_timed),    cmocka_unit_test(test_stable),    cmocka_unit_test(test_exchange),
  };
  return cmocka_run_group_tests(tests, bed_setup, bed_teardown);
}
