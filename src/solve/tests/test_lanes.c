/* Lanes: closed forms, and scalar methods as witnesses; the same bytes for every width, lane and neighbour; what
 * happens in one lane stays there. */
#include "base/tests/failing_memory.h"
#include "lanes_rig.h"
#include "solve/lanes_impl.h"

/* ---- accuracy ---- */

/* x' = -k x against exp, dense output inside every step too */
static void decay(const char *method, double rtol) {
  rig r = rig_make("model d()\n  x' = -k*x\n  y' = k*x - q*y\n  x = 2; y = 0\n  k = 0.7; q = 0.3\nend\n", "");
  dpi_solver *s = rig_solver(&r, method, rtol, rtol * 1e-3);
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  double x0[2] = {2.0, 0.0}, x[2];
  assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
  while (s->t_now < 10.0) {
    assert_int_equal(s->ops->step(s, 10.0), DPI_SOLVE_OK);
    for (int k = 0; k <= 4; k++) {
      double t = k == 4 ? s->t_now : s->t_prev + 0.25 * k * (s->t_now - s->t_prev);
      s->ops->dense(s, t, x, NULL);
      double ex = 2.0 * exp(-0.7 * t), ey = 2.0 * 0.7 / (0.3 - 0.7) * (exp(-0.7 * t) - exp(-0.3 * t));
      rig_near(method, t, x[0], ex, rtol, rtol * 1e-3);
      rig_near(method, t, x[1], ey, rtol, rtol * 1e-1);
    }
  }
  assert_true(s->t_now == 10.0);
  dpi_solver_destroy(s);
  rig_drop(&r);
}

static void closed_form(void **state) {
  (void)state;
  for (double rtol = 1e-4; rtol > 0.5e-10; rtol *= 1e-2) {
    decay("rodas", rtol);
    decay("tsit", rtol);
  }
}

/* Largest error of a lane at t over the members, in units of rtol |x| + atol, against cvode at 1e-12. */
static double worst(const char *text, dpi_lane_kind kind, double rtol, double atol, double t) {
  rig r = rig_make(text, "");
  dpi_lane_plan *p = lanes_plan(&r, kind, rtol, atol);
  dpi_lanes *g;
  rig_must(&r, dpi_lanes_create(r.ctx, p, 1, &g));
  dpi_solver *ref = rig_solver(&r, "cvode", 1e-12, atol * 1e-6), *s = dpi_lanes_solver(g, 0);
  double most = 0.0;
  for (int who = 0; who < 6; who++) {
    double sym[RIG_STATE], x[RIG_STATE];
    lanes_member(&r, who, sym, x);
    rig_must(&r, ref->ops->bind(ref, sym, NULL, 0));
    assert_int_equal(ref->ops->start(ref, 0.0, x, NULL), DPI_SOLVE_OK);
    rig_must_go(ref, t);
    lanes_lay(&r, g, 0, who, 0.0);
    rig_must_go(s, t);
    for (int i = 0; i < r.sys->nstate; i++)
      most = fmax(most, fabs(s->x_now[i] - ref->x_now[i]) / (rtol * fabs(ref->x_now[i]) + atol));
  }
  dpi_solver_destroy(ref);
  dpi_lanes_destroy(g);
  dpi_lane_plan_destroy(p);
  rig_drop(&r);
  return most;
}

static void stiff_problems(void **state) {
  (void)state;
  for (double rtol = 1e-3; rtol > 0.5e-8; rtol *= 0.1) {
    assert_true(worst(lanes_robertson, DPI_LANE_IMPLICIT, rtol, rtol * 1e-6, 1e4) < 1.0);
    assert_true(worst(lanes_hires, DPI_LANE_IMPLICIT, rtol, rtol * 1e-4, 321.8) < 1.0);
    assert_true(worst(lanes_effect, DPI_LANE_EXPLICIT, rtol, rtol * 1e-4, 20.0) < 1.0);
    assert_true(worst(lanes_effect, DPI_LANE_IMPLICIT, rtol, rtol * 1e-4, 20.0) < 1.0);
  }
  /* a limit cycle turns a lag in time into a large error where it jumps: smooth places only */
  assert_true(worst(lanes_vdp, DPI_LANE_IMPLICIT, 1e-6, 1e-9, 10.0) < 10.0);
}

/* ---- the same bytes ---- */

enum { NMEMBER = 21, NPIECE = 5 };
typedef struct story {
  double v[NMEMBER][NPIECE * 2 * RIG_STATE];
  int step[NMEMBER];
} story;

/* A member's story as far as it is: NPIECE pieces of time, an input in the second, a jump after the third. Reads dense
 * output in the middle of the step that covers half of each piece. */
typedef struct teller {
  rig *r;
  dpi_lanes *g;
  story *out;
  double span;
  int who[DPI_LANES_MAX], piece[DPI_LANES_MAX], next;
  bool half[DPI_LANES_MAX];
} teller;

static void send(teller *t, int lane) {
  const double end = (t->piece[lane] + 1) * t->span;
  dpi_lanes_send(t->g, lane, end, t->half[lane] ? end : end - 0.5 * t->span);
}

static bool lay(teller *t, int lane) {
  if (t->next >= NMEMBER) return false;
  t->who[lane] = t->next++;
  t->piece[lane] = 0;
  t->half[lane] = false;
  lanes_lay(t->r, t->g, lane, t->who[lane], 0.0);
  send(t, lane);
  return true;
}

/* What a stop of a lane is worth telling; false: the member is done. */
static bool heard(teller *t, int lane) {
  dpi_solver *s = dpi_lanes_solver(t->g, lane);
  const int n = t->r->sys->nstate, who = t->who[lane], k = t->piece[lane];
  double x[RIG_STATE], u[RIG_STATE] = {0};
  if (dpi_lanes_outcome(t->g, lane) != DPI_SOLVE_OK) {
    t->out->v[who][0] = (double)dpi_lanes_outcome(t->g, lane);
    return false;
  }
  if (!t->half[lane]) {
    s->ops->dense(s, (k + 0.5) * t->span, t->out->v[who] + 2 * k * n, NULL);
    t->half[lane] = true;
    return true;
  }
  assert_true(s->t_now == (k + 1) * t->span);
  memcpy(t->out->v[who] + (2 * k + 1) * n, s->x_now, (size_t)n * sizeof *x);
  memcpy(x, s->x_now, (size_t)n * sizeof *x);
  t->half[lane] = false;
  if (k == 0) {
    u[0] = 0.01;
    s->ops->input(s, u, NULL);
  }
  if (k == 1) s->ops->input(s, NULL, NULL);
  if (k == 2) {
    x[0] += 0.5;
    assert_int_equal(s->ops->start(s, s->t_now, x, NULL), DPI_SOLVE_OK);
  }
  return ++t->piece[lane] < NPIECE;
}

static void tell(rig *r, dpi_lanes *g, double span, int first, story *out) {
  teller t = {.r = r, .g = g, .out = out, .span = span};
  const int w = dpi_lanes_width(g);
  int busy = 0;
  long before[NMEMBER];
  memset(out, 0, sizeof *out);
  for (int l = 0; l < w; l++) {
    const int lane = (first + l) % w;
    before[t.next < NMEMBER ? t.next : 0] = dpi_lanes_solver(g, lane)->nstep;
    busy += lay(&t, lane);
  }
  while (busy > 0) {
    const uint32_t stop = dpi_lanes_run(g);
    assert_true(stop != 0);
    for (int l = 0; l < w; l++) {
      if (!(stop >> l & 1u)) continue;
      if (heard(&t, l)) {
        send(&t, l);
        continue;
      }
      const long now = dpi_lanes_solver(g, l)->nstep;
      out->step[t.who[l]] = (int)(now - before[t.who[l]]);
      if (t.next < NMEMBER) before[t.next] = now;
      busy -= !lay(&t, l);
    }
  }
  assert_true(dpi_lanes_run(g) == 0);
}

static void same_story(const char *text, dpi_lane_kind kind, double span) {
  rig r = rig_make(text, "");
  dpi_lane_plan *p = lanes_plan(&r, kind, 1e-6, 1e-9);
  static story want, got;
  for (int w = 1; w <= DPI_LANES_MAX; w *= 2) {
    if (!dpi_lane_ops_find(w)) continue;
    dpi_lanes *g;
    rig_must(&r, dpi_lanes_create(r.ctx, p, w, &g));
    assert_int_equal(dpi_lanes_width(g), w);
    for (int first = 0; first < w; first++) {
      const size_t before = dpi_alloc_total(r.ctx);
      tell(&r, g, span, first, w == 1 ? &want : &got);
      assert_int_equal(dpi_alloc_total(r.ctx), before);
      if (w > 1) assert_memory_equal(&want, &got, sizeof want);
    }
    dpi_lanes_destroy(g);
  }
  for (int i = 0; i < NMEMBER; i++) assert_true(want.step[i] > 0);
  dpi_lane_plan_destroy(p);
  rig_drop(&r);
}

static void same_bytes(void **state) {
  (void)state;
  same_story(lanes_robertson, DPI_LANE_IMPLICIT, 20.0);
  same_story(lanes_hires, DPI_LANE_IMPLICIT, 10.0);
  same_story(lanes_vdp, DPI_LANE_IMPLICIT, 30.0);
  same_story(lanes_effect, DPI_LANE_IMPLICIT, 3.0);
  same_story(lanes_effect, DPI_LANE_EXPLICIT, 3.0);
  same_story(lanes_vdp, DPI_LANE_EXPLICIT, 5.0);
  same_story(lanes_blow, DPI_LANE_EXPLICIT, 0.3); /* some blow up, some don't */
  same_story(lanes_blow, DPI_LANE_IMPLICIT, 0.3);
  same_story(lanes_leap, DPI_LANE_IMPLICIT, 0.2);
  same_story(lanes_leap, DPI_LANE_EXPLICIT, 0.2);
  same_story(lanes_jump, DPI_LANE_IMPLICIT, 1.0);
  same_story(lanes_jump, DPI_LANE_EXPLICIT, 1.0);
}

/* ---- recorded on the way ---- */

enum { NLOG = 400, NLOGGED = 11 };
typedef struct diary {
  double t[NLOG], x[NLOG][RIG_STATE];
  int n, nseen;   /* times; those that the path covers */
  double end[64]; /* of the first steps */
  int nend;
  dpi_solve_outcome o;
} diary;

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void lay_with_input(const rig *r, dpi_lanes *g, int lane, int who, bool input) {
  double u[RIG_STATE] = {0.01};
  lanes_lay(r, g, lane, who, 0.0);
  dpi_solver *s = dpi_lanes_solver(g, lane);
  if (input) s->ops->input(s, u, NULL);
}

/* Times that are worth it: an even grid, ends of steps with their neighbours, some of them twice, the very last. */
static void choose_times(diary *d, double span) {
  d->n = 0;
  for (int k = 1; k <= 60; k++) d->t[d->n++] = span * k / 60;
  for (int k = 0; k < d->nend; k++) {
    d->t[d->n++] = d->end[k];
    if (k % 3 == 0) d->t[d->n++] = d->end[k];
    if (k % 3 == 1) d->t[d->n++] = nextafter(d->end[k], 0.0);
    if (k % 3 == 2) d->t[d->n++] = nextafter(d->end[k], INFINITY);
  }
  d->t[d->n++] = 1e-9 * span;
  qsort(d->t, (size_t)d->n, sizeof *d->t, ascending);
  while (d->n > 0 && d->t[d->n - 1] > span) d->n--;
}

/* One lane, step by step, each time read from dense output when it is covered. */
static void keep_diary(const rig *r, dpi_lanes *one, int who, bool input, double span, diary *d) {
  dpi_solver *s = dpi_lanes_solver(one, 0);
  memset(d, 0, sizeof *d);
  for (int pass = 0; pass < 2; pass++) {
    lay_with_input(r, one, 0, who, input);
    d->nseen = 0;
    for (d->o = DPI_SOLVE_OK; s->t_now < span;) {
      d->o = s->ops->step(s, span);
      if (d->o != DPI_SOLVE_OK) break;
      if (pass == 0 && d->nend < 64) d->end[d->nend++] = s->t_now;
      for (; pass == 1 && d->nseen < d->n && d->t[d->nseen] <= s->t_now; d->nseen++)
        s->ops->dense(s, d->t[d->nseen], d->x[d->nseen], NULL);
    }
    if (pass == 0) choose_times(d, span);
  }
}

/* How far a lane is with its diary, asked for in pieces of `chunk` times. */
typedef struct writer {
  const diary *want;
  int who, done, asked;
  double x[NLOG * RIG_STATE];
} writer;

/* The step that covers a piece may cover more: that is there to be read. */
static bool read_covered(dpi_lanes *g, int lane, writer *w) {
  const diary *d = w->want;
  dpi_solver *s = dpi_lanes_solver(g, lane);
  for (; w->done < d->n && d->t[w->done] <= s->t_now; w->done++)
    s->ops->dense(s, d->t[w->done], w->x + w->done * s->sys->nstate, NULL);
  return w->done < d->n;
}

static void ask(dpi_lanes *g, int lane, writer *w, double span, int chunk) {
  const diary *d = w->want;
  const int left = d->n - w->done, n = dpi_lanes_solver(g, lane)->sys->nstate;
  w->asked = left < chunk ? left : chunk;
  dpi_lanes_send(g, lane, span, w->asked < left ? d->t[w->done + w->asked - 1] : span);
  dpi_lanes_record(g, lane, d->t + w->done, w->asked, w->x + w->done * n);
}

/* What was covered is written as dense output has it; nothing else is. */
static bool wrote(dpi_lanes *g, int lane, writer *w, int n) {
  const diary *d = w->want;
  const int got = dpi_lanes_recorded(g, lane);
  const bool good = dpi_lanes_outcome(g, lane) == DPI_SOLVE_OK;
  if (good) assert_int_equal(got, w->asked);
  for (int k = w->done; k < w->done + got; k++)
    if (memcmp(w->x + k * n, d->x[k], (size_t)n * sizeof(double)) != 0)
      fail_msg("%s, width %d: member %d, time %d of %d, %.17g: recorded %.17g ..., read %.17g ...",
               dpi_lanes_solver(g, lane)->sys->model->name, dpi_lanes_width(g), w->who, k, d->n, d->t[k],
               w->x[k * n], d->x[k][0]);
  w->done += got;
  for (int k = w->done * n; k < d->n * n; k++) assert_true(w->x[k] == -77.0);
  if (!good) assert_int_equal(dpi_lanes_outcome(g, lane), d->o);
  return good && read_covered(g, lane, w);
}

static void record_all(const rig *r, dpi_lanes *g, const diary *want, double span, int chunk) {
  static writer w[DPI_LANES_MAX];
  const int width = dpi_lanes_width(g), n = r->sys->nstate;
  int next = 0, busy = 0;
  for (int l = 0; l < width; l++) w[l].want = NULL;
  for (uint32_t mask = (1u << width) - 1; mask != 0; mask = busy > 0 ? dpi_lanes_run(g) : 0)
    for (int l = 0; l < width; l++) {
      if (!(mask >> l & 1u)) continue;
      if (w[l].want && wrote(g, l, &w[l], n)) {
        ask(g, l, &w[l], span, chunk);
        continue;
      }
      if (w[l].want) {
        assert_int_equal(w[l].done, w[l].want->nseen);
        busy--;
      }
      w[l].want = NULL;
      if (next >= NLOGGED) continue;
      w[l].want = &want[next];
      w[l].who = next;
      w[l].done = 0;
      for (int k = 0; k < NLOG * RIG_STATE; k++) w[l].x[k] = -77.0;
      lay_with_input(r, g, l, next, next % 3 == 1);
      ask(g, l, &w[l], span, chunk);
      next++;
      busy++;
    }
}

/* -> how many times were recorded, and how many members could not go on */
static void recorded_as_read(const char *text, dpi_lane_kind kind, double span, int *ntime, int *nstopped) {
  static diary want[NLOGGED];
  static const int chunks[] = {NLOG, 7, 1};
  rig r = rig_make(text, "");
  dpi_lane_plan *p = lanes_plan(&r, kind, 1e-6, 1e-9);
  dpi_lanes *one;
  rig_must(&r, dpi_lanes_create(r.ctx, p, 1, &one));
  *ntime = *nstopped = 0;
  for (int i = 0; i < NLOGGED; i++) {
    keep_diary(&r, one, i, i % 3 == 1, span, &want[i]);
    *ntime += want[i].nseen;
    *nstopped += want[i].o != DPI_SOLVE_OK;
  }
  dpi_lanes_destroy(one);
  for (int w = 1; w <= DPI_LANES_MAX; w *= 2) {
    if (!dpi_lane_ops_find(w)) continue;
    dpi_lanes *g;
    rig_must(&r, dpi_lanes_create(r.ctx, p, w, &g));
    for (int k = 0; k < DPI_COUNT(chunks); k++) record_all(&r, g, want, span, chunks[k]);
    dpi_lanes_destroy(g);
  }
  dpi_lane_plan_destroy(p);
  rig_drop(&r);
}

/* States written on the way are the bytes that dense output gives: at ends of steps and beside them, twice, with input
 * and without, in steps through zero and across jumps, by members that stop midway. */
static void recorded(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double span;
    int kinds;
    bool stops;
  } cases[] = {{lanes_robertson, 50.0, 2, false}, {lanes_hires, 30.0, 2, false}, {lanes_vdp, 5.0, 3, false},
               {lanes_effect, 12.0, 3, false},    {lanes_blow, 1.5, 3, true},    {lanes_leap, 0.4, 3, false},
               {lanes_jump, 2.0, 3, false}};
  for (int c = 0; c < DPI_COUNT(cases); c++)
    for (int kind = DPI_LANE_EXPLICIT; kind <= DPI_LANE_IMPLICIT; kind++) {
      int ntime, nstopped;
      if (!(cases[c].kinds >> kind & 1)) continue;
      recorded_as_read(cases[c].text, kind, cases[c].span, &ntime, &nstopped);
      assert_true(ntime > 60 * NLOGGED / 4);
      if (cases[c].stops) assert_true(nstopped > 0 && nstopped < NLOGGED);
    }
}

/* Times that nobody can cover: none is written; what was asked for before is forgotten by the next send. */
static void recorded_none(void **state) {
  (void)state;
  rig r = rig_make(lanes_effect, "");
  dpi_lane_plan *p = lanes_plan(&r, DPI_LANE_EXPLICIT, 1e-6, 1e-9);
  dpi_lanes *g;
  rig_must(&r, dpi_lanes_create(r.ctx, p, 2, &g));
  const double t[2] = {1.0, 2.0};
  double x[2][RIG_STATE] = {{-77.0}, {-77.0}};
  for (int l = 0; l < 2; l++) lanes_lay(&r, g, l, l, 0.0);
  dpi_lanes_send(g, 0, 0.0, 0.0); /* no way to go */
  dpi_lanes_record(g, 0, t, 2, x[0]);
  assert_int_equal(dpi_lanes_run(g), 1);
  assert_int_equal(dpi_lanes_recorded(g, 0), 0);
  dpi_lanes_send(g, 0, 3.0, 3.0);
  dpi_lanes_record(g, 0, t, 0, x[0]); /* nothing asked */
  assert_int_equal(dpi_lanes_run(g), 1);
  assert_int_equal(dpi_lanes_recorded(g, 0), 0);
  lanes_lay(&r, g, 0, 0, 0.0);
  dpi_lanes_send(g, 0, 3.0, 3.0);
  dpi_lanes_record(g, 0, t, 2, x[0]);
  dpi_lanes_halt(g, 0); /* taken back */
  dpi_solver *s = dpi_lanes_solver(g, 0);
  rig_must_go(s, 3.0);
  assert_int_equal(dpi_lanes_recorded(g, 0), 0);
  assert_true(x[0][0] == -77.0 && x[1][0] == -77.0);
  dpi_lanes_destroy(g);
  dpi_lane_plan_destroy(p);
  rig_drop(&r);
}

/* ---- a lane alone ---- */

/* The lane's own ops->step goes the same way as the run, and leaves the others where they are. */
static void step_alone(void **state) {
  (void)state;
  rig r = rig_make(lanes_hires, "");
  dpi_lane_plan *p = lanes_plan(&r, DPI_LANE_IMPLICIT, 1e-6, 1e-9);
  dpi_lanes *g, *one;
  rig_must(&r, dpi_lanes_create(r.ctx, p, 0, &g));
  rig_must(&r, dpi_lanes_create(r.ctx, p, 1, &one));
  const int w = dpi_lanes_width(g), n = r.sys->nstate;
  for (int l = 0; l < w; l++) lanes_lay(&r, g, l, l, 0.0);
  for (int l = 0; l < w; l++) {
    dpi_solver *s = dpi_lanes_solver(g, l), *y = dpi_lanes_solver(one, 0);
    if (l + 1 < w) dpi_lanes_send(g, l + 1, 50.0, 50.0); /* on its way while lane l steps alone */
    lanes_lay(&r, one, 0, l, 0.0);
    dpi_lanes_halt(g, l);
    while (y->t_now < 50.0) {
      double a[RIG_STATE], b[RIG_STATE];
      assert_int_equal(y->ops->step(y, 50.0), DPI_SOLVE_OK);
      assert_int_equal(s->ops->step(s, 50.0), DPI_SOLVE_OK);
      assert_true(s->t_now == y->t_now && s->t_prev == y->t_prev);
      assert_memory_equal(s->x_now, y->x_now, (size_t)n * sizeof(double));
      y->ops->dense(y, y->t_prev + 0.3 * (y->t_now - y->t_prev), a, NULL);
      s->ops->dense(s, y->t_prev + 0.3 * (y->t_now - y->t_prev), b, NULL);
      assert_memory_equal(a, b, (size_t)n * sizeof *a);
      const int last = n - 1; /* only one state is asked for: the same number, and no other is touched */
      double c[RIG_STATE];
      for (int k = 0; k < n; k++) c[k] = -77;
      s->some = &last, s->nsome = 1;
      s->ops->dense(s, y->t_prev + 0.3 * (y->t_now - y->t_prev), c, NULL);
      s->nsome = 0;
      assert_true(c[last] == b[last] && (n == 1 || c[0] == -77));
      s->ops->dense(s, s->t_prev, b, NULL);
    }
    assert_true(s->t_now == 50.0);
    if (l + 1 < w) assert_true(dpi_lanes_solver(g, l + 1)->t_now == 0.0);
  }
  dpi_lanes_destroy(g);
  dpi_lanes_destroy(one);
  dpi_lane_plan_destroy(p);
  rig_drop(&r);
}

/* While one lane is on its way, its neighbour steps alone, with input and without, and is sent again: the first has no
 * other bytes than by itself, whatever form the steps of the group have. */
static void alone_beside_running(void **state) {
  (void)state;
  rig r = rig_make(lanes_hires, "");
  long nreject = 0;
  for (int kind = DPI_LANE_EXPLICIT; kind <= DPI_LANE_IMPLICIT; kind++)
    for (int input = 0; input < 2; input++) { /* of the lane on its way */
      dpi_lane_plan *p = lanes_plan(&r, kind, 1e-6, 1e-9);
      dpi_lanes *g;
      rig_must(&r, dpi_lanes_create(r.ctx, p, 2, &g));
      dpi_solver *s = dpi_lanes_solver(g, 0), *y = dpi_lanes_solver(g, 1);
      const double none[8] = {0.0}, some[8] = {0.1};
      double want[8];
      lay_with_input(&r, g, 0, 0, input != 0);
      dpi_lanes_send(g, 0, 20.0, 20.0);
      assert_int_equal(dpi_lanes_run(g), 1);
      memcpy(want, s->x_now, sizeof want);
      const double end = s->t_now; /* the explicit one gives up before 20 */
      nreject += s->nreject;
      lay_with_input(&r, g, 0, 0, input != 0);
      lanes_lay(&r, g, 1, 1, 0.0);
      dpi_lanes_send(g, 0, 20.0, 20.0);
      uint32_t mask = 0;
      for (int k = 0; !(mask & 1u); k++) {
        dpi_lanes_send(g, 1, 1e3, y->t_now);
        mask = dpi_lanes_run(g);
        if (!(mask & 2u)) dpi_lanes_halt(g, 1);
        y->ops->input(y, k % 4 < 2 ? none : some, NULL);
        if (y->ops->step(y, 1e3) != DPI_SOLVE_OK) lanes_lay(&r, g, 1, 1, 0.0); /* stiff */
        assert_true(k < 20000);
      }
      assert_true(s->t_now == end);
      assert_memory_equal(want, s->x_now, sizeof want);
      dpi_lanes_destroy(g);
      dpi_lane_plan_destroy(p);
    }
  assert_true(nreject > 0);
  rig_drop(&r);
}

/* Where steps become as short as rounding, on the way to a pole: looked at after each or never, a lane ends alike. */
static void ends_alike(void **state) {
  (void)state;
  rig r = rig_make(lanes_blow, "");
  for (int kind = DPI_LANE_EXPLICIT; kind <= DPI_LANE_IMPLICIT; kind++)
    for (int who = 0; who < 40; who++) {
      dpi_lane_plan *p = lanes_plan(&r, kind, who % 2 ? 1e-6 : 1e-8, 1e-10);
      dpi_lanes *g;
      rig_must(&r, dpi_lanes_create(r.ctx, p, 1, &g));
      dpi_solver *s = dpi_lanes_solver(g, 0);
      char reason[sizeof s->reason];
      lanes_lay(&r, g, 0, who, 0.0);
      dpi_lanes_send(g, 0, 10.0, 10.0);
      assert_int_equal(dpi_lanes_run(g), 1);
      const dpi_solve_outcome o = dpi_lanes_outcome(g, 0);
      const double t = s->t_now, x = s->x_now[0];
      assert_true(o != DPI_SOLVE_OK);
      memcpy(reason, s->reason, sizeof reason);
      lanes_lay(&r, g, 0, who, 0.0);
      assert_int_equal(rig_go(s, 10.0), o);
      assert_string_equal(reason, s->reason);
      assert_true(s->t_now == t && s->x_now[0] == x);
      dpi_lanes_destroy(g);
      dpi_lane_plan_destroy(p);
    }
  rig_drop(&r);
}

/* Dense output is the path itself at both ends and stays while others go on. */
static void dense_stays(void **state) {
  (void)state;
  rig r = rig_make(lanes_robertson, "");
  dpi_lane_plan *p = lanes_plan(&r, DPI_LANE_IMPLICIT, 1e-6, 1e-9);
  dpi_lanes *g;
  rig_must(&r, dpi_lanes_create(r.ctx, p, 2, &g));
  dpi_solver *s = dpi_lanes_solver(g, 0);
  double old[3], a[3], b[3];
  for (int l = 0; l < 2; l++) lanes_lay(&r, g, l, l, 0.0);
  for (int k = 0; k < 20; k++) {
    memcpy(old, s->x_now, sizeof old);
    dpi_lanes_send(g, 0, 1e3, s->t_now);
    assert_int_equal(dpi_lanes_run(g), 1);
    const double mid = 0.5 * (s->t_prev + s->t_now);
    s->ops->dense(s, mid, a, NULL);
    dpi_lanes_send(g, 1, 1e5, 10.0 * (k + 1));
    assert_int_equal(dpi_lanes_run(g), 2);
    s->ops->dense(s, mid, b, NULL);
    assert_memory_equal(a, b, sizeof a);
    s->ops->dense(s, s->t_prev, b, NULL);
    assert_memory_equal(old, b, sizeof old);
    s->ops->dense(s, s->t_now, b, NULL);
    assert_memory_equal(s->x_now, b, sizeof b);
    s->ops->dense(s, nextafter(s->t_now, 0.0), b, NULL);
    for (int i = 0; i < 3; i++) rig_near("near the end", s->t_now, b[i], s->x_now[i], 1e-9, 1e-12);
  }
  dpi_lanes_destroy(g);
  dpi_lane_plan_destroy(p);
  rig_drop(&r);
}

/* ---- trouble ---- */

/* x' = x^2 from 1 has no value at 1: that lane says so, near there; the other's bytes do not know. */
static void failing_neighbour(void **state) {
  (void)state;
  rig r = rig_make(lanes_blow, "");
  for (int kind = DPI_LANE_EXPLICIT; kind <= DPI_LANE_IMPLICIT; kind++) {
    dpi_lane_plan *p = lanes_plan(&r, kind, 1e-8, 1e-10);
    dpi_lanes *g;
    rig_must(&r, dpi_lanes_create(r.ctx, p, 2, &g));
    dpi_solver *bad = dpi_lanes_solver(g, 0), *good = dpi_lanes_solver(g, 1);
    double x0[2] = {1.0, 1.0}, alone[2];
    rig_must(&r, good->ops->bind(good, r.sym, NULL, 0));
    x0[0] = 0.1;
    assert_int_equal(good->ops->start(good, 0.0, x0, NULL), DPI_SOLVE_OK);
    rig_must_go(good, 2.0);
    memcpy(alone, good->x_now, sizeof alone);
    rig_near("1/(10 - t)", 2.0, alone[0], 1.0 / 8.0, 1e-8, 0.0);
    assert_int_equal(good->ops->start(good, 0.0, x0, NULL), DPI_SOLVE_OK);
    x0[0] = 1.0;
    rig_must(&r, bad->ops->bind(bad, r.sym, NULL, 0));
    assert_int_equal(bad->ops->start(bad, 0.0, x0, NULL), DPI_SOLVE_OK);
    for (int l = 0; l < 2; l++) dpi_lanes_send(g, l, 2.0, 2.0);
    uint32_t seen = 0;
    while (seen != 3) seen |= dpi_lanes_run(g);
    assert_int_equal(dpi_lanes_outcome(g, 1), DPI_SOLVE_OK);
    assert_true(good->t_now == 2.0);
    assert_memory_equal(alone, good->x_now, sizeof alone);
    const dpi_solve_outcome o = dpi_lanes_outcome(g, 0);
    assert_true(o == DPI_SOLVE_TOO_SMALL || o == DPI_SOLVE_NONFINITE);
    assert_true(bad->t_now < 1.0001 && bad->t_now > 0.9999);
    assert_true(bad->reason[0] != '\0' && isfinite(bad->x_now[0]));
    /* the lane is as good as new for the next */
    x0[0] = 0.1;
    rig_must(&r, bad->ops->bind(bad, r.sym, NULL, 0));
    assert_int_equal(bad->ops->start(bad, 0.0, x0, NULL), DPI_SOLVE_OK);
    rig_must_go(bad, 2.0);
    assert_memory_equal(alone, bad->x_now, sizeof alone);
    dpi_lanes_destroy(g);
    dpi_lane_plan_destroy(p);
  }
  rig_drop(&r);
}

/* An explicit lane on a stiff problem gives up where it stands, and the implicit one goes on from there. */
static void stiffness(void **state) {
  (void)state;
  rig r = rig_make(lanes_robertson, "");
  dpi_lane_plan *p = lanes_plan(&r, DPI_LANE_EXPLICIT, 1e-6, 1e-9);
  dpi_lanes *g;
  rig_must(&r, dpi_lanes_create(r.ctx, p, 2, &g));
  dpi_solver *s = dpi_lanes_solver(g, 1), *y = rig_solver(&r, "rodas", 1e-6, 1e-9);
  double x0[3] = {1.0, 0.0, 0.0};
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
  dpi_lanes_send(g, 1, 1e5, 1e5);
  assert_int_equal(dpi_lanes_run(g), 2);
  assert_int_equal(dpi_lanes_outcome(g, 1), DPI_SOLVE_STIFF);
  assert_non_null(strstr(s->reason, "stiff"));
  assert_true(s->t_now > 0.0 && s->t_now < 1.0 && s->nstep < 400);
  rig_must(&r, y->ops->bind(y, r.sym, NULL, 0));
  assert_int_equal(y->ops->start(y, s->t_now, s->x_now, NULL), DPI_SOLVE_OK);
  rig_must_go(y, 40.0);
  rig_near("y1(40)", 40.0, y->x_now[0], 0.7158270687, 1e-6, 0.0); /* Hairer, Wanner: reference solution */
  dpi_solver_destroy(y);
  dpi_lanes_destroy(g);
  dpi_lane_plan_destroy(p);
  rig_drop(&r);
}

/* A rate that jumps where nobody looks for it, and one that jumps to and fro: the path goes on behind it, within the
 * tolerance. */
static void jumping_rate(void **state) {
  (void)state;
  rig r = rig_make(lanes_jump, "");
  for (int m = 0; m < 2; m++) {
    dpi_solver *s = rig_solver(&r, m ? "tsit" : "rodas", 1e-8, 1e-10);
    double x0[2] = {0.0, 0.0};
    rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
    assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
    rig_must_go(s, 2.0);
    /* x up to 1/3, then down: below 1/4 again from t = 1/2; y: 2 t, then towards 1 for a quarter, then up again */
    const double y1 = 0.5, y2 = 1.0 + (y1 - 1.0) * exp(-0.25), y3 = y2 + 2.0 * 1.5;
    rig_near("x", 2.0, s->x_now[0], 1.0 / 3.0 - 0.5 * (2.0 - 1.0 / 3.0), 1e-7, 1e-10);
    rig_near("y", 2.0, s->x_now[1], y3, 1e-7, 0.0);
    assert_true(s->nstep < 600);
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* Consumption at a constant rate that ends only where next to nothing is left: no way on below zero, where the rate is
 * as large again; a path that does go through zero is not held up. */
static void no_leap_over_zero(void **state) {
  (void)state;
  rig r = rig_make(lanes_leap, "");
  for (int m = 0; m < 2; m++) {
    dpi_solver *s = rig_solver(&r, m ? "tsit" : "rodas", 1e-8, 1e-16);
    double x0[3] = {10.0, 1.0, 0.0};
    rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
    assert_int_equal(s->ops->start(s, 0.0, x0, NULL), DPI_SOLVE_OK);
    dpi_solve_outcome o = rig_go(s, 1.0);
    if (o == DPI_SOLVE_STIFF) { /* where x rests, it is stiff */
      assert_true(m == 1 && fabs(s->x_now[0]) < 1e-10);
    } else {
      assert_int_equal(o, DPI_SOLVE_OK);
      rig_near("x", 1.0, s->x_now[0], 1e-13 / 99, 1e-6, 1e-17);
      rig_near("c", 1.0, s->x_now[1], cos(40.0), 1e-6, 1e-8);
    }
    dpi_solver_destroy(s);
  }
  rig_drop(&r);
}

/* Elimination that keeps losing digits (the monitor is forged here) makes steps smaller, then stops the lane by name;
 * digits lost now and then only cost a smaller step. */
static void lost_pivots(void **state) {
  (void)state;
  rig r = rig_make(lanes_hires, "");
  dpi_lane_plan *p = lanes_plan(&r, DPI_LANE_IMPLICIT, 1e-6, 1e-9);
  dpi_lanes *g;
  rig_must(&r, dpi_lanes_create(r.ctx, p, 2, &g));
  double *forged = dpi_lanes_alloc(r.ctx, 8);
  const double *honest = g->regs[DPI_FORM_PLAIN].growth;
  dpi_solver *s = dpi_lanes_solver(g, 0), *y = dpi_lanes_solver(g, 1);
  double alone[8];
  lanes_lay(&r, g, 1, 1, 0.0);
  rig_must_go(y, 5.0);
  memcpy(alone, y->x_now, sizeof alone);
  for (int l = 0; l < 2; l++) {
    lanes_lay(&r, g, l, l, 0.0);
    dpi_lanes_send(g, l, 5.0, 5.0);
  }
  forged[0] = 1e12;
  g->regs[DPI_FORM_PLAIN].growth = forged;
  assert_int_equal(dpi_lanes_run(g), 1);
  assert_int_equal(dpi_lanes_outcome(g, 0), DPI_SOLVE_PIVOT);
  assert_non_null(strstr(s->reason, "pivoting"));
  assert_true(s->t_now == 0.0 && s->nstep == 0 && s->nreject == DPI_LANES_LOST_MOST + 1);
  assert_int_equal(dpi_lanes_run(g), 2);
  assert_memory_equal(alone, y->x_now, sizeof alone);
  lanes_lay(&r, g, 0, 0, 0.0);
  dpi_lanes_send(g, 0, 5.0, 5.0);
  const double first = *dpi_lanes_own(g, DPI_COL_WISH, 0);
  *dpi_lanes_own(g, DPI_COL_LEFT, 0) = 1.0; /* one try, which loses its digits */
  assert_int_equal(dpi_lanes_run(g), 1);
  assert_true(s->t_now == 0.0 && *dpi_lanes_own(g, DPI_COL_WISH, 0) <= 0.25 * first);
  g->regs[DPI_FORM_PLAIN].growth = honest;
  *dpi_lanes_own(g, DPI_COL_LEFT, 0) = g->face[0].left = 1e5;
  rig_must_go(s, 5.0);
  assert_true(*dpi_lanes_own(g, DPI_COL_HELD, 0) == 0.0 && g->c.counted == 0);
  dpi_lanes_free(r.ctx, forged, 8);
  dpi_lanes_destroy(g);
  dpi_lane_plan_destroy(p);
  rig_drop(&r);
}

static void limits(void **state) {
  (void)state;
  rig r = rig_make(lanes_hires, "");
  dpi_solve_opts o = dpi_solve_opts_default();
  o.max_steps = 20;
  o.max_step = 0.01;
  for (int kind = DPI_LANE_EXPLICIT; kind <= DPI_LANE_IMPLICIT; kind++) {
    dpi_lane_plan *p;
    dpi_lanes *g;
    rig_must(&r, dpi_lane_plan_create(r.ctx, r.sys, &o, kind, 0, &p));
    rig_must(&r, dpi_lanes_create(r.ctx, p, 2, &g));
    dpi_solver *s = dpi_lanes_solver(g, 0);
    lanes_lay(&r, g, 0, 0, 5.0);
    dpi_lanes_send(g, 0, 6.0, 6.0);
    assert_int_equal(dpi_lanes_run(g), 1);
    assert_int_equal(dpi_lanes_outcome(g, 0), DPI_SOLVE_MAX_STEPS);
    assert_true(s->nstep + s->nreject == 20 && s->t_now <= 5.2 && s->t_now > 5.0);
    assert_non_null(strstr(s->reason, "20 steps"));
    /* the same step by step */
    lanes_lay(&r, g, 0, 0, 5.0);
    const long before = s->nstep + s->nreject;
    dpi_solve_outcome o2 = DPI_SOLVE_OK;
    while (o2 == DPI_SOLVE_OK) o2 = s->ops->step(s, 6.0);
    assert_int_equal(o2, DPI_SOLVE_MAX_STEPS);
    assert_true(s->nstep + s->nreject - before == 20);
    s->step_limit = 0.002; /* below max_step: the smaller one holds */
    lanes_lay(&r, g, 0, 0, 5.0);
    for (int k = 0; k < 10; k++) {
      assert_int_equal(s->ops->step(s, 6.0), DPI_SOLVE_OK);
      assert_true(s->t_now - s->t_prev <= 0.002 * (1 + 1e-12));
    }
    /* no way to go, and an end a few roundings away */
    lanes_lay(&r, g, 0, 0, 5.0);
    dpi_lanes_send(g, 0, 5.0, 5.0);
    assert_int_equal(dpi_lanes_run(g), 1);
    assert_int_equal(dpi_lanes_outcome(g, 0), DPI_SOLVE_OK);
    assert_true(s->t_now == 5.0);
    const double near = nextafter(5.0, 6.0);
    rig_must_go(s, near);
    assert_true(s->t_now == near && s->t_prev == 5.0);
    dpi_lanes_destroy(g);
    dpi_lane_plan_destroy(p);
  }
  rig_drop(&r);
}

/* What can't go in lanes is refused by name; so are a bad width, tolerances and directions. */
static void refusals(void **state) {
  (void)state;
  rig r = rig_make(lanes_hires, "");
  dpi_lane_plan *p = NULL;
  dpi_lanes *g = NULL;
  const char *why = NULL;
  dpi_system sys = *r.sys;
  assert_true(dpi_lane_can(&sys, DPI_LANE_IMPLICIT, &why));
  sys.nalgebraic = 1;
  assert_false(dpi_lane_can(&sys, DPI_LANE_IMPLICIT, &why));
  assert_non_null(strstr(why, "algebraic"));
  assert_int_equal(dpi_lane_plan_create(r.ctx, &sys, NULL, DPI_LANE_IMPLICIT, 0, &p), DP_ERR_UNSUPPORTED);
  assert_non_null(strstr(dp_ctx_error(r.ctx), "algebraic"));
  sys = *r.sys;
  sys.ndelayed = 1;
  assert_false(dpi_lane_can(&sys, DPI_LANE_EXPLICIT, &why));
  assert_non_null(strstr(why, "delays"));
  dp_ctx_clear_error(r.ctx);
  rig_must(&r, dpi_lane_plan_create(r.ctx, r.sys, NULL, DPI_LANE_IMPLICIT, 0, &p));
  const dpi_tape *const *tape;
  assert_int_equal(dpi_lane_plan_tapes(p, &tape), 2);
  assert_true(dpi_tape_nstep(tape[0]) > 100);
  assert_int_equal(dpi_lanes_create(r.ctx, p, 3, &g), DP_ERR_USAGE);
  assert_null(g);
  dp_ctx_clear_error(r.ctx);
  rig_must(&r, dpi_lanes_create(r.ctx, p, 1, &g));
  dpi_solver *s = dpi_lanes_solver(g, 0);
  double bad[8] = {1.0, NAN};
  rig_must(&r, s->ops->bind(s, r.sym, NULL, 0));
  assert_int_equal(s->ops->start(s, 0.0, bad, NULL), DPI_SOLVE_NONFINITE);
  assert_non_null(strstr(s->reason, "y2"));
  dpi_lanes_destroy(g);
  dpi_lane_plan_destroy(p);
  dpi_lane_plan_destroy(NULL);
  dpi_lanes_destroy(NULL);
  rig_drop(&r);
}

/* Every allocation of plan and group fails once: a clean refusal each time, nothing is left behind. */
static void memory_runs_out(void **state) {
  (void)state;
  rig r = rig_make(lanes_robertson, "");
  bool made = false;
  for (int n = 0; !made; n++) {
    failing_memory memory = {0};
    dp_ctx *ctx = failing_context(&memory);
    dpi_lane_plan *p = NULL;
    dpi_lanes *g = NULL;
    assert_non_null(ctx);
    failing_next(&memory, n);
    dp_status status = dpi_lane_plan_create(ctx, r.sys, NULL, DPI_LANE_IMPLICIT, 0, &p);
    if (status == DP_OK) status = dpi_lanes_create(ctx, p, 0, &g);
    made = status == DP_OK && !failing_happened(&memory); /* what only remembers may do without */
    if (status != DP_OK) assert_int_equal(status, DP_ERR_MEMORY);
    dpi_lanes_destroy(g);
    dpi_lane_plan_destroy(p);
    assert_int_equal(dpi_alloc_live(ctx), 0);
    dp_ctx_destroy(ctx);
    assert_true(n < 1000);
  }
  rig_drop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(closed_form),     cmocka_unit_test(stiff_problems), cmocka_unit_test(same_bytes),
      cmocka_unit_test(step_alone),      cmocka_unit_test(dense_stays),    cmocka_unit_test(failing_neighbour),
      cmocka_unit_test(stiffness),       cmocka_unit_test(jumping_rate),   cmocka_unit_test(no_leap_over_zero),
      cmocka_unit_test(lost_pivots),     cmocka_unit_test(limits),         cmocka_unit_test(refusals),
      cmocka_unit_test(memory_runs_out), cmocka_unit_test(recorded),       cmocka_unit_test(recorded_none),
      cmocka_unit_test(alone_beside_running), cmocka_unit_test(ends_alike),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
