/* theophylline.h - the twelve people of twins/theophylline for tests of this room. */
#ifndef TEST_THEOPHYLLINE_H
#define TEST_THEOPHYLLINE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "infer/infer.h"

#define OK(call)                                                                                \
  do {                                                                                          \
    dp_status ok_ = (call);                                                                     \
    if (ok_ != DP_OK) fail_msg("%s: %s: %s", #call, dp_status_name(ok_), dp_ctx_error(w->ctx)); \
  } while (0)

typedef struct world {
  dp_ctx *ctx;
  dp_kind *kind;
  dp_record *record;
} world;

static inline void world_open(world *w, int nthread) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  memset(w, 0, sizeof *w);
  assert_int_equal(dp_ctx_create(&def, &w->ctx), DP_OK);
  OK(dp_kind_load(w->ctx, DOPPEL_SOURCE_DIR "/twins/theophylline", &w->kind));
  OK(dp_kind_record(w->kind, DOPPEL_SOURCE_DIR "/twins/theophylline/patients/theophylline.csv",
                    &w->record));
}

static inline void world_close(world *w) {
  dp_record_destroy(w->record);
  dp_kind_destroy(w->kind);
  assert_int_equal(dpi_alloc_live(w->ctx), 0);
  dp_ctx_destroy(w->ctx);
}

/* Change measured values of a person later than a time: what a test may do to a record that nobody else may. */
static inline int world_change(world *w, int subject, double after, double factor) {
  int n = 0;
  for (int i = 0; i < w->record->subject[subject].nevent; i++) {
    dp_event *e = (dp_event *)&w->record->subject[subject].event[i];
    if ((double)e->time / DP_TICKS <= after || e->evid != 0) continue;
    e->value *= factor;
    n++;
  }
  return n;
}

#endif
