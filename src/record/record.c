/* record.c - floor 2: the life of a record and what every record promises.  O, U */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "record/record_build.h"

typedef struct owner {
  dp_record record; /* what the caller holds */
  dp_ctx *ctx;
  dpi_arena arena;
  dpi_map subject; /* id -> index; filled by seal */
  const char **warning;
  int warning_cap;
} owner;

/* ---- life ---- */

dp_status dpi_record_create(dp_ctx *ctx, const char *source, const void *data, size_t size,
                            dp_record **out) {
  *out = NULL;
  owner *o = DPI_NEW(ctx, owner);
  if (!o) return DP_ERR_MEMORY;
  o->ctx = ctx;
  o->record.owner = o;
  dpi_arena_init(&o->arena, ctx);
  dpi_map_init(&o->subject, ctx);
  o->record.source = dpi_arena_strdup(&o->arena, source);
  dpi_sha256_hex(data, size, o->record.hash);
  if (o->record.source && o->record.hash[0]) {
    *out = &o->record;
    return DP_OK;
  }
  dp_record_destroy(&o->record);
  return dpi_fail(ctx, DP_ERR_MEMORY, "%s: out of memory", source);
}

void dp_record_destroy(dp_record *record) {
  if (!record) return;
  owner *o = record->owner;
  dpi_map_release(&o->subject);
  dpi_free(o->ctx, o->warning);
  dpi_arena_release(&o->arena);
  dpi_free(o->ctx, o);
}

dpi_arena *dpi_record_arena(dp_record *record) { return &((owner *)record->owner)->arena; }

dp_event dpi_event_default(void) { return (dp_event){.value = NAN, .limit = NAN, .dvid = ""}; }

dp_status dpi_record_warn(dp_record *record, const char *fmt, ...) {
  owner *o = record->owner;
  char line[1024];
  va_list args;
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  const char *copy = dpi_arena_strdup(&o->arena, line);
  if (!copy) return DP_ERR_MEMORY;
  DP_TRY(dpi_grow(o->ctx, (void **)&o->warning, &o->warning_cap, record->nwarning + 1,
                  sizeof *o->warning));
  o->warning[record->nwarning++] = copy;
  record->warning = o->warning;
  return DP_OK;
}

/* ---- promises ---- */

static bool finite_or_nan(double x) { return isnan(x) || x - x == 0.0; }

/* What is wrong with an event, or NULL. */
static const char *event_fault(const dp_record *r, const dp_event *e, dp_time before) {
  if (e->time < 0) return "a negative time";
  if (e->time < before) return "a time before the row above it";
  if (!e->dvid) return "no dvid text";
  if (!(e->amount - e->amount == 0.0) || !(e->rate - e->rate == 0.0)) return "an infinite dose";
  if (!finite_or_nan(e->value) || !finite_or_nan(e->limit)) return "an infinite value";
  if (r->ncovariate && !e->covariate) return "no covariates";
  return NULL;
}

dp_status dpi_record_seal(dp_record *record) {
  owner *o = record->owner;
  for (int s = 0; s < record->nsubject; s++) {
    const dp_subject *subject = &record->subject[s];
    if (!subject->id || !*subject->id || dpi_map_get(&o->subject, subject->id) >= 0) {
      return dpi_fail(o->ctx, DP_ERR_BUG, "%s: subject %d has no id of its own", record->source,
                      s + 1);
    }
    DP_TRY(dpi_map_put(&o->subject, subject->id, s));
    dp_time before = 0;
    for (int k = 0; k < subject->nevent; k++) {
      const dp_event *e = &subject->event[k];
      const char *fault = event_fault(record, e, before);
      before = e->time;
      if (!fault) continue;
      return dpi_fail(o->ctx, DP_ERR_BUG, "%s:%d: the format let through %s", record->source,
                      e->line, fault);
    }
  }
  return DP_OK;
}

int dp_record_subject(const dp_record *record, const char *id) {
  return dpi_map_get(&((const owner *)record->owner)->subject, id);
}
