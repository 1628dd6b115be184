/* format.h - floor 3, ring two: what somebody who adds a clinical file format implements.
 *
 * A format is a folder src/format/<name>/ whose file ends with `const dpi_format_ops dp_format_<name>`. It turns bytes
 * into a dp_record (doppel/record.h) and never touches a database or a kind.
 */
#ifndef DPI_FORMAT_H
#define DPI_FORMAT_H

#include "base/base.h"
#include "doppel/record.h"

typedef struct dpi_format_ops {
  const char *name;
  const char *help;
  /* could these bytes be of this format? (0 no .. 100 certain) */
  int (*probe)(const char *data, size_t size, const char *source);
  dp_status (*read)(dp_ctx *ctx, const char *data, size_t size, const char *source, const dp_record_def *def,
                    dp_record **out);
} dpi_format_ops;

const dpi_format_ops *const *dpi_format_registry(void);

#endif
