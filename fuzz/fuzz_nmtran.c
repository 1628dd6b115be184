/* fuzz_nmtran.c - any bytes as an event table: refused with a message or a record that keeps what
 * records promise, all memory given back. Bytes before the first 0x01, when there is one, are the
 * codes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/format.h"

extern const dpi_format_ops dp_format_nmtran;

#define CHECK(cond) \
  if (!(cond)) abort()

static void check_event(const dp_record *r, const dp_event *e, dp_time before) {
  bool dose = e->evid == 1 || e->evid == 4;
  CHECK(e->time >= before && e->line > 1);
  CHECK(e->evid >= 0 && e->evid <= 4);
  CHECK(e->amount >= 0 && isfinite(e->amount) && isfinite(e->rate));
  CHECK(dose || (e->amount == 0 && e->rate == 0 && !e->interval && !e->repeats && !e->steady));
  CHECK(!dose || e->amount > 0 || (e->rate > 0 && e->steady));
  CHECK(!e->repeats || (e->repeats > 0 && e->interval > 0));
  CHECK(e->interval >= 0 && e->time + e->interval * e->repeats >= 0);
  CHECK(e->evid != 0 || e->missing || isfinite(e->value));
  CHECK(e->evid == 0 || e->missing);
  CHECK(e->dvid && e->censored >= -1 && e->censored <= 1);
  for (int k = 0; k < r->ncovariate; k++) CHECK(!isinf(e->covariate[k]));
}

static void check_record(const dp_record *r) {
  CHECK(r->nsubject > 0 && strlen(r->hash) == 64 && r->ncovariate <= r->ncolumn);
  for (int s = 0; s < r->nsubject; s++) {
    const dp_subject *subject = &r->subject[s];
    CHECK(dp_record_subject(r, subject->id) == s && subject->nevent > 0);
    dp_time before = 0;
    for (int k = 0; k < subject->nevent; k++) {
      check_event(r, &subject->event[k], before);
      before = subject->event[k].time;
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 8192) return 0;
  const uint8_t *mark = size ? memchr(data, 1, size) : NULL;
  size_t ncodes = mark ? (size_t)(mark - data) : 0, skip = mark ? ncodes + 1 : 0;
  char codes[8193];
  if (ncodes) memcpy(codes, data, ncodes);
  codes[ncodes] = '\0';
  dp_ctx_def cdef = dp_ctx_def_default();
  dp_record_def def = dp_record_def_default();
  if (mark) def.codes = codes;
  dp_ctx *ctx;
  dp_record *r;
  CHECK(dp_ctx_create(&cdef, &ctx) == DP_OK);
  const char *table = (const char *)data + skip;
  int sure = dp_format_nmtran.probe(table, size - skip, "fuzz");
  CHECK(sure >= 0 && sure <= 100);
  dp_status status = dp_format_nmtran.read(ctx, table, size - skip, "fuzz", &def, &r);
  CHECK((status == DP_OK) == (r != NULL));
  CHECK((status == DP_OK) == !*dp_ctx_error(ctx));
  CHECK(status == DP_OK || status == DP_ERR_INPUT || status == DP_ERR_UNSUPPORTED);
  if (r) check_record(r);
  dp_record_destroy(r);
  CHECK(dpi_alloc_live(ctx) == 0);
  dp_ctx_destroy(ctx);
  return 0;
}
