/* Independent comparison: modes of people whose lag or duration is an individual parameter, against a search that knows no
 * derivative and no edge: the best of many draws of the prior, then a compass that shrinks where it finds nothing better.
 *
 * The kinds are those of tests/nonmem (003: lag, 006: duration of a zero-order input), the people simulated here, with samples so
 * early that the joint objective has corners or jumps where the moved time passes a sample. */
#include <stdio.h>
#include <stdlib.h>

#include "theophylline.h"

#include "infer/mode_search.h"

enum { N = 12, NOBS = 7, DIM = 4, DRAWS = 1500, FINALISTS = 5, SWEEPS = 400 };
static const double sample[NOBS] = {0.6, 1.0, 1.6, 2.5, 4, 6, 10};

typedef struct trial {
  world w;
  dp_prior *prior;
  dpi_person *p[N];
} trial;

/* The kind of a run and a record of N people with one dose each; DV is filled in later. */
static void trial_open(trial *t, const char *run, bool second, int nthread) {
  world *w = &t->w;
  char path[512], name[] = "/tmp/doppel-edges-XXXXXX";
  dp_ctx_def def = dp_ctx_def_default();
  memset(t, 0, sizeof *t);
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, &w->ctx), DP_OK);
  snprintf(path, sizeof path, DOPPEL_SOURCE_DIR "/tests/nonmem/%s", run);
  OK(dp_kind_load(w->ctx, path, &w->kind));
  int fd = mkstemp(name);
  assert_true(fd >= 0);
  FILE *f = fdopen(fd, "w");
  fprintf(f, "ID,TIME,EVID,AMT,CMT,RATE,MDV,DV\n");
  for (int i = 1; i <= N; i++) {
    fprintf(f, "%d,0,1,10000,1,0,1,.\n", i);
    if (second) fprintf(f, "%d,0,1,10000,2,-2,1,.\n", i);
    for (int k = 0; k < NOBS; k++) fprintf(f, "%d,%g,0,0,2,0,0,1\n", i, sample[k]);
  }
  assert_int_equal(fclose(f), 0);
  OK(dp_kind_record(w->kind, name, &w->record));
  remove(name);
  OK(dp_prior_nominal(w->kind, &t->prior));
}

static void people_close(trial *t) {
  for (int i = 0; i < N; i++) {
    dpi_person_destroy(t->p[i]);
    t->p[i] = NULL;
  }
}

static void people_open(trial *t) {
  world *w = &t->w;
  double omega[64];
  for (int i = 0; i < N; i++) {
    OK(dpi_person_create(w->kind, w->record, i, INFINITY, false, &t->p[i]));
    t->p[i]->typical = t->prior->typical;
    dpi_person_omega(t->p[i], t->prior->omega, omega);
    OK(dpi_indiv_prior(t->p[i]->iv, omega));
    assert_int_equal(t->p[i]->iv->dim, DIM);
  }
}

static void trial_close(trial *t) {
  world *w = &t->w;
  people_close(t);
  dp_prior_destroy(t->prior);
  world_close(w);
}

/* Effects from the prior, samples with their error, put into the record. */
static void simulate(trial *t) {
  world *w = &t->w;
  for (int i = 0; i < N; i++) {
    dpi_rng rng = dpi_rng_make(11, (uint64_t)i, 0x7e57);
    double eta[DIM], f[NOBS], s[NOBS], individual[DIM];
    uint8_t ok = 0;
    for (int a = 0; a < DIM; a++) eta[a] = sqrt(t->prior->omega[a * (DIM + 1)]) * dpi_rng_normal(&rng);
    dpi_person_batch out = {f, s, individual, &ok};
    OK(dpi_person_simulate(t->p[i], eta, 1, &out));
    assert_true(ok);
    const dp_subject *person = &w->record->subject[i];
    int k = 0;
    for (int e = 0; e < person->nevent; e++) {
      dp_event *event = (dp_event *)&person->event[e];
      if (event->evid != 0) continue;
      /* where nothing is there yet a little was measured (with an error in proportion a 0 would leave l without a least value):
       * a sample that pulls against its neighbours */
      event->value = f[k] > 0 ? f[k] * fmax(0.2, 1 + 0.22 * dpi_rng_normal(&rng)) : 4;
      k++;
    }
  }
  people_close(t);
  people_open(t);
}

static double value(dpi_indiv *iv, const double *x) {
  bool ok = false;
  dpi_point pt = {0, NULL, NULL};
  assert_int_equal(dpi_indiv_eval(iv, x, false, &pt, &ok), DP_OK);
  return ok ? pt.l : INFINITY;
}

/* Steps along axes, and along the two diagonals of each pair of them, halved where none is better. */
static double compass(dpi_indiv *iv, double *x, double best) {
  int sweep = 0;
  for (double step = 0.1; step > 1e-6;) {
    bool any = false;
    assert_true(++sweep < SWEEPS);
    for (int a = 0; a < DIM; a++)
      for (int b = a; b < DIM; b++)
        for (int sign = 0; sign < 4; sign++) {
          double y[DIM];
          memcpy(y, x, sizeof y);
          y[a] += sign & 1 ? -step : step;
          if (b != a) y[b] += sign & 2 ? -step : step;
          double l = value(iv, y);
          if (!(l < best)) continue;
          best = l;
          memcpy(x, y, sizeof y);
          any = true;
        }
    if (!any) step *= 0.5;
  }
  return best;
}

static double best_known(const trial *t, int i, double *x) {
  dpi_indiv *iv = t->p[i]->iv;
  static double draw[DRAWS][DIM], l[DRAWS];
  static int order[DRAWS];
  double best = INFINITY;
  for (int k = 0; k < DRAWS; k++) {
    dpi_rng rng = dpi_rng_make(12, (uint64_t)i, 0x7e57);
    rng.counter = (uint64_t)k << 8;
    for (int a = 0; a < DIM; a++) draw[k][a] = sqrt(t->prior->omega[a * (DIM + 1)]) * dpi_rng_normal(&rng);
    l[k] = value(iv, draw[k]);
  }
  dpi_argsort(l, DRAWS, order);
  for (int k = 0; k < FINALISTS; k++) {
    double now = compass(iv, draw[order[k]], l[order[k]]);
    if (now >= best) continue;
    best = now;
    memcpy(x, draw[order[k]], sizeof draw[0]);
  }
  return best;
}

/* Between which samples does the moved time lie? */
static int cell_of(const trial *t, double eta) {
  int k = 0;
  double at = t->prior->typical[t->w.kind->effect[DIM - 1].typical] * dpi_m_exp(eta);
  while (k < NOBS && at > sample[k]) k++;
  return k;
}

typedef struct found {
  double x[N][DIM];
  dpi_modes m[N];
} found;

static void find(trial *t, found *out) {
  world *w = &t->w;
  dpi_modes_def def = {.mode = dpi_mode_def_default(), .nstart = 3, .nstart_more = 16, .seed = 1};
  memset(out, 0, sizeof *out);
  for (int i = 0; i < N; i++) out->m[i].x = out->x[i];
  OK(dpi_modes_find(w->kind, t->p, N, &def, out->m));
}

/* Nobody's mode is worse than what the other search knows, alone or side by side; some are not what one search from the centre
 * finds, else this would test nothing. */
static void compare(const char *run, bool second) {
  trial t, other;
  found f, g;
  int nleft = 0, nedge = 0;
  trial_open(&t, run, second, 2);
  people_open(&t);
  simulate(&t);
  find(&t, &f);
  for (int i = 0; i < N; i++) {
    world *w = &t.w;
    dpi_indiv *iv = t.p[i]->iv;
    double x[DIM] = {0}, plain[DIM] = {0}, many[4 * DIM], known = best_known(&t, i, x), room = 1e-5 * (1 + fabs(known));
    dpi_mode_def def = dpi_mode_def_default();
    dpi_mode mode, modes[4];
    int nmode = 0;
    OK(dpi_mode_find(iv, &def, plain, &mode));
    OK(dpi_mode_multi(iv, &def, NULL, 8, dpi_rng_make(1, (uint64_t)i, DPI_RNG_START), 4, many, modes, &nmode));
    if (getenv("SHOW"))
      print_message("%s %2d: known %.6f batch %+.1e multi %+.1e plain %+.1e cells %d %d %d kink %d\n", run, i, known,
                    f.m[i].mode.l - known, modes[0].l - known, mode.l - known, cell_of(&t, x[3]), cell_of(&t, f.x[i][3]),
                    cell_of(&t, plain[3]), f.m[i].mode.kink);
    assert_true(f.m[i].nmode > 0 && f.m[i].mode.converged);
    assert_true(f.m[i].mode.l <= known + room && modes[0].l <= known + room);
    assert_true(fabs(value(iv, f.x[i]) - f.m[i].mode.l) <= 1e-9 * (1 + fabs(known)));
    nleft += mode.l > known + 1e-3;
    nedge += f.m[i].mode.kink;
  }
  assert_true(nleft >= 2);
  if (getenv("SHOW")) print_message("%s: %d not by one search, %d on edges\n", run, nleft, nedge);
  trial_open(&other, run, second, 1);
  people_open(&other);
  simulate(&other);
  find(&other, &g);
  assert_memory_equal(f.x, g.x, sizeof f.x);
  trial_close(&other);
  trial_close(&t);
}

static void test_lag(void **state) {
  (void)state;
  compare("run003", false);
}

static void test_duration(void **state) {
  (void)state;
  compare("run006", true);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_lag), cmocka_unit_test(test_duration)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
