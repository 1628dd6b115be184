/* kind_events.h - what an event of a record means under a kind: its control, its observable, its covariates' columns.
 * For case.c and kind_record.c, and for explain, which tells people what was understood.
 */
#ifndef DPI_KIND_EVENTS_H
#define DPI_KIND_EVENTS_H

#include "kind/kind_impl.h"

/* The control a dose belongs to. ERR_INPUT with source and line. */
dp_status dpi_event_control(const dp_kind *kind, const char *source, const dp_event *event,
                            int *out);
/* The observable a measurement belongs to. ERR_INPUT lists what was expected. */
dp_status dpi_event_observable(const dp_kind *kind, const char *source, const dp_event *event,
                               int *out);
/* The record's covariate column of that name, -1: none. */
int dpi_record_covariate(const dp_record *record, const char *id);

#endif
