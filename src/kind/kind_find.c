/* kind_find.c - floor 5: rows of a kind by their id. A kind has tens of rows at most, so they are walked. */
#include "kind/kind_find.h"

#include <string.h>

int dpi_kind_find_observable(const dp_kind *kind, const char *id) {
  for (int i = 0; id && i < kind->nobservable; i++)
    if (strcmp(kind->observable[i].id, id) == 0) return i;
  return -1;
}

int dpi_kind_find_quantity(const dp_kind *kind, const char *id) {
  for (int i = 0; id && i < kind->nquantity; i++)
    if (strcmp(kind->quantity[i].id, id) == 0) return i;
  return -1;
}

int dpi_kind_find_control(const dp_kind *kind, const char *id) {
  for (int i = 0; id && i < kind->ncontrol; i++)
    if (strcmp(kind->control[i].id, id) == 0) return i;
  return -1;
}
