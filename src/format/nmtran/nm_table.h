/* nm_table.h - floor 3, private to the folder: a data file as NM-TRAN reads it, by the columns of dp_record_def. */
#ifndef DPI_NM_TABLE_H
#define DPI_NM_TABLE_H

#include "doppel/record.h"
#include "format/table.h"

dp_status nm_table_read(dp_ctx *ctx, const char *data, size_t size, const char *source, const dp_record_def *def,
                        dpi_table **out);

#endif
