/* linear_bed.h - what the tests of the filters share: a linear Gaussian world with two sensors, and its readings. */
#ifndef TEST_LINEAR_BED_H
#define TEST_LINEAR_BED_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "infer/filter/kalman.h"

#define T(x) ((dp_time)((x)*DP_TICKS))

typedef struct bed {
  dp_ctx *ctx;
  dpi_linear_def def;
  dpi_process *process;
  dpi_problem problem;
  dpi_sensor sensor[4];
  dpi_drift drift[2];
  dpi_reading reading[200];
  int nreading;
} bed;

#define OK(b, call)                                                                            \
  do {                                                                                         \
    dp_status status_ = (call);                                                                \
    if (status_ != DP_OK) fail_msg("%s: %s", dp_status_name(status_), dp_ctx_error((b)->ctx)); \
  } while (0)

static double bed_a[4] = {-0.5, 0.4, -0.3, -0.2}, bed_b[2] = {0.3, 0.1}, bed_q[4] = {0.2, 0.05, 0.05, 0.1},
              bed_c[4] = {1, 0, 1, 0.5}, bed_m0[2] = {1, -0.5}, bed_p0[4] = {0.6, 0.1, 0.1, 0.4};

static inline void bed_open(bed *b, int nthread) {
  dp_ctx_def def = dp_ctx_def_default();
  memset(b, 0, sizeof *b);
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, &b->ctx), DP_OK);
  b->def.system = (dpi_linear){
      .nstate = 2, .noutput = 2, .a = bed_a, .b = bed_b, .q = bed_q, .c = bed_c, .m0 = bed_m0, .p0 = bed_p0};
  OK(b, dpi_process_linear(b->ctx, &b->def, &b->process));
  b->sensor[0] = (dpi_sensor){.id = "one", .index = 0, .scale = 0.3};
  b->sensor[1] = (dpi_sensor){.id = "two", .index = 1, .scale = 0.5};
  b->problem = (dpi_problem){.process = b->process, .sensor = b->sensor, .nsensor = 2, .drift = b->drift};
}

static inline void bed_close(bed *b) {
  dpi_process_destroy(b->process);
  assert_int_equal(dpi_alloc_live(b->ctx), 0);
  dp_ctx_destroy(b->ctx);
}

static inline void bed_add(bed *b, double t, int sensor, double y) {
  b->reading[b->nreading++] = (dpi_reading){.time = T(t), .sensor = sensor, .y = y};
}

/* A course that somebody might see; both sensors at some times. */
static inline void bed_course(bed *b, int n) {
  for (int k = 0; k < n; k++) {
    double t = 0.5 + 0.7 * k;
    bed_add(b, t, 0, 0.8 + 0.5 * sin(1.1 * t) + 0.2 * cos(7.0 * k));
    if (k % 3 == 1) bed_add(b, t, 1, 0.5 + 0.5 * sin(1.1 * t) - 0.3 * cos(5.0 * k));
  }
}

static inline void near(const char *what, double got, double want, double tol) {
  if (!(fabs(got - want) <= tol)) fail_msg("%s: got %.12g, expected %.12g +- %.3g", what, got, want, tol);
}

#endif
