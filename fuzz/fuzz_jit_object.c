/* fuzz_jit_object.c - any bytes as an object file for machine code: laid out and relocated, never run; no access
 * outside the object or the memory it is given. */
#include <stdlib.h>

#include "jit/jit_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  dpi_jit_layout l;
  char why[DPI_JIT_WHY] = "";
  size_t at;
  if (!dpi_jit_layout_read(data, size, &l, why)) {
    if (why[0] == '\0') abort(); /* a refusal must say why */
    return 0;
  }
  if (l.size > 1 << 22) return 0;
  uint8_t *memory = malloc(l.size);
  if (memory == NULL) return 0;
  if (!dpi_jit_relocate(data, size, &l, memory, 0x7f1234560000, why) && why[0] == '\0') abort();
  if (dpi_jit_find(data, size, &l, DPI_JIT_BODY, &at) && at >= l.ncode) abort();
  free(memory);
  return 0;
}
