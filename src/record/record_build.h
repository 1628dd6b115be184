/* record_build.h - floor 2, ring two: how a format makes a dp_record (doppel/record.h).
 *
 *     dp_record *rec;
 *     DP_TRY(dpi_record_create(ctx, source, data, size, &rec));
 *     ... texts, events and covariates are taken from dpi_record_arena(rec) ...
 *     DP_TRY(dpi_record_warn(rec, "%s:%d: ...", source, line));
 *     DP_TRY(dpi_record_seal(rec));   after the last field is filled in
 * and on any failure dp_record_destroy(rec).
 */
#ifndef DPI_RECORD_BUILD_H
#define DPI_RECORD_BUILD_H

#include "base/base.h"
#include "doppel/record.h"

/* Empty record with source and the hash of the bytes. Owned by the caller until given away. */
dp_status dpi_record_create(dp_ctx *ctx, const char *source, const void *data, size_t size,
                            dp_record **out);
/* The record's memory; everything a record points to lives here. */
dpi_arena *dpi_record_arena(dp_record *record);
/* A sentence for the reader: kept, not an error. */
dp_status dpi_record_warn(dp_record *record, const char *fmt, ...) DPI_PRINTF(2, 3);
/* Index the subjects and check what every record promises: ids not empty and each once, times not
 * negative and never backward, values finite. ERR_BUG when a format broke one of these: it should
 * have told the user first. */
dp_status dpi_record_seal(dp_record *record);
/* An event with nothing in it: value and limit NaN, dvid "". */
dp_event dpi_event_default(void);

/* Exact ticks of a decimal text ("0.25", "1e-3"), beyond DP_TICKS' decimals rounded to nearest,
 * half away from zero. false: not a number, or too large for dp_time. */
bool dpi_ticks_parse(const char *text, dp_time *out);

#endif
