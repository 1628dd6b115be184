/* glucose_series.h - floor 3: a sensor's readings from bytes (glucose.h reads them from files). */
#ifndef DPI_GLUCOSE_SERIES_H
#define DPI_GLUCOSE_SERIES_H

#include "base/base.h"
#include "doppel/glucose.h"

/* As dp_glucose_read; source is the name in messages. */
dp_status dpi_glucose_read_text(dp_ctx *ctx, const char *data, size_t size, const char *source,
                                const dp_glucose_read_def *def, dp_glucose_series **out, int *n);

#endif
