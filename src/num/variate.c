/* variate.c - floor 1: draws from the distributions of SBML's package distrib. */
#include <string.h>

#include "num/num.h"

static const struct {
  const char *name;
  int narg;
} table[] = {
#define ROW(id, text, narg) {text, narg},
    DPI_VARIATE_LIST(ROW)
#undef ROW
};

const char *dpi_variate_name(dpi_variate v) { return table[v].name; }
int dpi_variate_narg(dpi_variate v) { return table[v].narg; }

int dpi_variate_find(const char *name) {
  for (int i = 0; i < DPI_VARIATE_COUNT; i++)
    if (strcmp(table[i].name, name) == 0) return i;
  return -1;
}
