/* Sensor glucose with gaps, by a glucose model: adults of the S2008 model (examples/glucose-day.ant) after a
 * breakfast with
 * its bolus, seen every 5 minutes through the sensor error of Breton and Kovatchev (J. Diabetes Sci. Technol. 2
 * (2008) 853):
 * autoregressive on a 15 min grid, through a sinh, cubic in between, and rounding. Insulin sensitivity wanders, meals
 * are
 * estimated badly. 5, 20 and 50 % of the readings are missing, singly or in blocks of up to an hour and a half.
 *
 * A square root filter of the model's states, the sensor's error among them, forecasts every reading, missing or not,
 * from all that came before (one step: 5 min and as long as the gap), and each half hour the one 30 min later: how
 * often do the 90 % bands cover what the sensor would have shown? Standard errors are by series (readings of one series
 * depend on each other) and are printed.
 *
 * --whole: 0.88..0.92 over all series for either look, and for each share of missing readings one step ahead (all are
 * 4 standard errors or more wide on either side of 0.90); each of the 12 counts by itself within 3.3 standard errors of
 * 0.88..0.92 (1e-3, 1.2 % for all if the truth lay on a bound). Else: few series, all together, within 4.5 of it.
 */
#include <stdlib.h>

#include "sim_bed.h"

enum { NTIME = 80, AHEAD = 6, NMOST = 400 };

static int nseries = 3, nmember = 150;
static bool whole;

typedef struct world {
  SIM_BED;
  dpi_sensor sensor;
  dpi_problem problem;
  int nstate, knot[5], si, meal, gp;
  double start[64], noise[64];
} world;

static const double XI = -5.47, LAMBDA = 15.9574, GAMMA = -0.5444, DELTA = 1.6898;

/* The example with insulin sensitivity and meal as states, and the sensor's error as five knots of a grid. */
static void write_model(const char *path) {
  static char text[20000], *end;
  FILE *f = fopen(DOPPEL_SOURCE_DIR "/examples/glucose-day.ant", "r");
  assert_non_null(f);
  size_t n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = 0;
  end = strstr(text, "\nend");
  assert_non_null(end);
  *end = 0;
  char *vmx = strstr(text, "Vmx*X)"), *ra = strstr(text, "Ra := f*");
  assert_non_null(vmx);
  assert_non_null(ra);
  assert_true(ra < vmx);
  f = fopen(path, "w");
  assert_non_null(f);
  fprintf(f, "%.*sRa := f*exp(meal)*%.*sVmx*exp(si)*X)%s\n", (int)(ra - text), text, (int)(vmx - ra - 8), ra + 8,
          vmx + 6);
  fprintf(f,
          "  si = 0; si' = 0; meal = 0; meal' = 0; next = 2.5; next' = 0;\n"
          "  e1 = 0; e1' = 0; e2 = 0; e2' = 0; e3 = 0; e3' = 0; e4 = 0; e4' = 0; e5 = 0; e5' = 0;\n"
          "  shift: at (time >= next): e1 = e2, e2 = e3, e3 = e4, e4 = e5, e5 = 0.7*e5, next = next + 15;\n");
  for (int k = 1; k <= 4; k++) fprintf(f, "  n%d := %g + %g*sinh((e%d - %g)/%g);\n", k, XI, LAMBDA, k, GAMMA, DELTA);
  fprintf(f,
          "  u := (time - next)/15 + 1;\n"
          "  error := n2 + 0.5*u*(n3 - n1 + u*(2*n1 - 5*n2 + 4*n3 - n4 + u*(3*(n2 - n3) + n4 - n1)));\n"
          "  shown := sensor + error;\nend\n");
  assert_int_equal(fclose(f), 0);
}

static dp_status begin(void *user, const double *param, dpi_rng *rng, double *x) {
  const world *w = user;
  (void)param;
  memcpy(x, w->start, (size_t)w->nstate * sizeof *x);
  x[w->si] = 0.3 * dpi_rng_normal(rng);
  x[w->meal] = 0.25 * dpi_rng_normal(rng);
  double e = dpi_rng_normal(rng) * 0.7 / sqrt(1 - 0.49);
  for (int k = 0; k < 5; k++, e = 0.7 * e + (k < 4 ? 0.7 * dpi_rng_normal(rng) : 0)) x[w->knot[k]] = e;
  return DP_OK;
}

static void world_open(world *w) {
  static const char path[] = DOPPEL_BINARY_DIR "/glucose_gaps.ant";
  static dp_time time[NTIME];
  memset(w, 0, sizeof *w);
  sim_bed_context(&w->bed, 1);
  write_model(path);
  dp_sim_def def = dp_sim_def_default();
  def.method = "ensemble";
  def.rtol = 1e-4;
  def.atol = 1e-6;
  for (int k = 0; k < NTIME; k++) time[k] = T(5 * (k + 1));
  sim_bed_process(&w->bed, path, def, "shown", time, NTIME);
  w->nstate = w->process->nstate;
  assert_true(w->nstate <= 64);
  uint64_t stream = 0;
  dpi_swarm_def one = {.n = 1, .stream = &stream};
  dpi_swarm *s;
  OK(w, w->process->ops->open(w->process, &one, &s));
  OK(w, w->process->ops->get(s, w->start));
  w->process->ops->close(s);
  for (int k = 0; k < 5; k++) {
    char id[3] = {'e', (char)('1' + k), 0};
    w->knot[k] = dp_sim_state(w->sim, id);
  }
  w->si = dp_sim_state(w->sim, "si");
  w->meal = dp_sim_state(w->sim, "meal");
  w->gp = dp_sim_state(w->sim, "Gp");
  /* 60 g of carbohydrate and 6 units of insulin at once */
  w->start[dp_sim_state(w->sim, "stomach1")] = 60000;
  w->start[dp_sim_state(w->sim, "eaten")] = 60000;
  w->start[dp_sim_state(w->sim, "depot1")] += 6 * 6000 / 102.32;
  w->noise[w->si] = 0.1 / sqrt(60);
  w->noise[w->gp] = 0.3;
  w->noise[w->knot[4]] = 0.7 / sqrt(15);
  w->sensor = (dpi_sensor){.id = "glucose", .scale = 1};
  w->problem = (dpi_problem){.process = w->process,
                             .sensor = &w->sensor,
                             .nsensor = 1,
                             .noise = w->noise,
                             .noise_step = T(5),
                             .begin = begin,
                             .user = w};
}

static void world_close(world *w) { sim_bed_close(&w->bed); }

/* What the sensor shows in people of the same law: y [NTIME x n]. */
static void make_people(world *w, int n, double *y) {
  dpi_filter_def def = dpi_filter_def_default();
  dpi_filter *f;
  def.method = DPI_FILTER_BOOTSTRAP;
  def.n = n;
  def.seed = 4711;
  def.ncheckpoint = 0;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  for (int k = 0; k < NTIME; k++) {
    OK(w, dpi_filter_advance(f, T(5 * (k + 1))));
    OK(w, dpi_filter_predict(f, 0, y + k * n));
    for (int i = 0; i < n; i++) {
      dpi_rng rng = dpi_rng_make(99, (uint64_t)i, (uint32_t)(1000 + k));
      y[k * n + i] += dpi_rng_normal(&rng);
    }
  }
  dpi_filter_destroy(f);
}

/* A share of the readings is missing: each by itself, or in blocks of 4 to 18. */
static void make_gaps(uint64_t number, double share, bool block, bool *missing) {
  dpi_rng rng = dpi_rng_make(17, number, block ? 2 : 1);
  int left = 0;
  for (int k = 0; k < NTIME; k++) {
    if (!block) {
      missing[k] = dpi_rng_uniform(&rng) < share;
      continue;
    }
    if (left == 0 && dpi_rng_uniform(&rng) < share / (1 - share) / 11) left = 4 + (int)(15 * dpi_rng_uniform(&rng));
    missing[k] = left > 0;
    left -= left > 0;
  }
}

static bool inside(const double *h, int n, double y) {
  double p = 0;
  for (int i = 0; i < n; i++) p += dpi_norm_cdf(y - h[i]) / n;
  return p >= 0.05 && p <= 0.95;
}

typedef struct share {
  double in[2][NMOST], of[2][NMOST]; /* one step, 30 min; by series */
  int n;
} share;

static void one_series(world *w, int i, const double *y, int n, const bool *missing, share *s) {
  static double h[2000];
  dpi_filter_def def = dpi_filter_def_default();
  dpi_filter *f, *g;
  def.n = nmember;
  def.seed = 1000 + (uint64_t)i;
  def.ncheckpoint = 0;
  OK(w, dpi_filter_create(&w->problem, &def, &f));
  int at = s->n++;
  s->in[0][at] = s->in[1][at] = s->of[0][at] = s->of[1][at] = 0;
  for (int k = 0; k < NTIME; k++) {
    OK(w, dpi_filter_advance(f, T(5 * (k + 1))));
    OK(w, dpi_filter_predict(f, 0, h));
    s->in[0][at] += inside(h, nmember, y[k * n + i]);
    s->of[0][at]++;
    dpi_reading r = {.time = T(5 * (k + 1)), .y = y[k * n + i]};
    if (!missing[k]) OK(w, dpi_filter_read(f, &r, 1));
    if (k % AHEAD || k + AHEAD >= NTIME) continue;
    OK(w, dpi_filter_fork(f, &g));
    OK(w, dpi_filter_advance(g, T(5 * (k + AHEAD + 1))));
    OK(w, dpi_filter_predict(g, 0, h));
    dpi_filter_destroy(g);
    s->in[1][at] += inside(h, nmember, y[(k + AHEAD) * n + i]);
    s->of[1][at]++;
  }
  dpi_filter_report report;
  dpi_filter_judge(f, &report);
  if (!report.usable) fail_msg("series %d: %s", i, report.verdict);
  dpi_filter_destroy(f);
}

/* Share and its standard error over series (a ratio of sums). */
static double ratio(const share *s, int what, double *se) {
  double in = 0, of = 0, v = 0;
  for (int i = 0; i < s->n; i++) in += s->in[what][i], of += s->of[what][i];
  for (int i = 0; i < s->n; i++) {
    double d = s->in[what][i] - in / of * s->of[what][i];
    v += d * d;
  }
  *se = sqrt(v * s->n / (s->n - 1.0)) / of;
  return in / of;
}

static void test_gaps(void **state) {
  (void)state;
  static const double part[] = {0.05, 0.2, 0.5};
  static share all, here;
  world W, *w = &W;
  world_open(w);
  double *y = malloc(sizeof *y * NTIME * (size_t)(nseries * 6)), se;
  int n = nseries * 6, outside = 0;
  assert_non_null(y);
  make_people(w, n, y);
  all.n = 0;
  for (int c = 0; c < 6; c++) {
    bool missing[NTIME], block = c % 2;
    int nmissing = 0;
    here.n = 0;
    for (int i = c * nseries; i < (c + 1) * nseries; i++) {
      make_gaps((uint64_t)i, part[c / 2], block, missing);
      for (int k = 0; k < NTIME; k++) nmissing += missing[k];
      one_series(w, i, y, n, missing, &here);
      for (int q = 0; q < 2 && all.n < NMOST; q++) {
        all.in[q][all.n] = here.in[q][here.n - 1];
        all.of[q][all.n] = here.of[q][here.n - 1];
      }
      all.n += all.n < NMOST;
    }
    for (int q = 0; q < 2; q++) {
      double cover = ratio(&here, q, &se);
      print_message("%2.0f %% %-6s (%4.1f %% missing) %-9s coverage %.4f (95 %%: %.4f..%.4f)\n", 100 * part[c / 2],
                    block ? "blocks" : "single", 100.0 * nmissing / nseries / NTIME, q ? "30 min" : "one step", cover,
                    cover - 1.96 * se, cover + 1.96 * se);
      outside += cover < 0.88 - 3.3 * se || cover > 0.92 + 3.3 * se;
    }
  }
  for (int q = 0; q < 2; q++) {
    double cover = ratio(&all, q, &se);
    print_message("all %-9s coverage %.4f (95 %%: %.4f..%.4f)\n", q ? "30 min" : "one step", cover, cover - 1.96 * se,
                  cover + 1.96 * se);
    double more = whole ? 0 : 4.5 * se;
    if (cover < 0.88 - more || cover > 0.92 + more) fail_msg("coverage %.4f", cover);
  }
  for (int c = 0; c < 3; c++) {
    share both = {.n = 0};
    for (int i = 2 * c * nseries; i < 2 * (c + 1) * nseries; i++, both.n++)
      both.in[0][both.n] = all.in[0][i], both.of[0][both.n] = all.of[0][i];
    double cover = ratio(&both, 0, &se);
    print_message("%2.0f %% missing, one step: coverage %.4f (95 %%: %.4f..%.4f)\n", 100 * part[c], cover,
                  cover - 1.96 * se, cover + 1.96 * se);
    if (whole && (cover < 0.88 || cover > 0.92)) fail_msg("coverage %.4f", cover);
  }
  if (whole && outside) fail_msg("%d of 12 counts far outside 0.88..0.92", outside);
  free(y);
  world_close(w);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--whole") == 0) whole = true, nseries = 60;
    if (strcmp(argv[i], "--series") == 0 && i + 1 < argc) nseries = atoi(argv[++i]);
    if (strcmp(argv[i], "--members") == 0 && i + 1 < argc) nmember = atoi(argv[++i]);
  }
  if (nseries < 1 || nseries > NMOST / 6 || nmember < 30 || nmember > 2000) return 2;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gaps)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
