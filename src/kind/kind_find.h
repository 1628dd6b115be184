/* kind_find.h - rows of a kind by their id, for the rooms above that read files which name them. Index, or -1 (id
 * may be NULL: -1). */
#ifndef DPI_KIND_FIND_H
#define DPI_KIND_FIND_H

#include "kind/kind_impl.h"

int dpi_kind_find_observable(const dp_kind *kind, const char *id);
int dpi_kind_find_quantity(const dp_kind *kind, const char *id);
int dpi_kind_find_control(const dp_kind *kind, const char *id);

#endif
