/* spoke.c - floor 4: spokes by name: those the build found under src/spoke, then those given at run time. */
#include "spoke/spoke.h"

#include <string.h>

#define REGISTER_MOST 16

static const dpi_spoke_ops *registered[REGISTER_MOST];
static int nregistered;

const dpi_spoke_ops *dpi_spoke_find(const char *name) {
  for (const dpi_spoke_ops *const *s = dpi_spoke_registry(); *s; s++) {
    if (strcmp((*s)->name, name) == 0) return *s;
  }
  for (int k = 0; k < nregistered; k++) {
    if (strcmp(registered[k]->name, name) == 0) return registered[k];
  }
  return NULL;
}

/* The slots without which there is no spoke; NULL, or the name of the first one missing. */
static const char *missing_slot(const dpi_spoke_ops *ops) {
  if (!ops->create) return "create";
  if (!ops->destroy) return "destroy";
  if (!ops->describe) return "describe";
  if (!ops->open) return "open";
  if (!ops->advance) return "advance";
  if (!ops->close) return "close";
  if (ops->save && !ops->load) return "load";
  if (ops->load && !ops->save) return "save";
  if (ops->state_set && !ops->state_get) return "state_get";
  return NULL;
}

/* Registering the same ops twice is allowed and does nothing. */
dp_status dpi_spoke_register(dp_ctx *ctx, const dpi_spoke_ops *ops) {
  if (ops->interface != DPI_SPOKE_INTERFACE) {
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "spoke '%s': interface %u, expected %u", ops->name,
                    ops->interface, DPI_SPOKE_INTERFACE);
  }
  const char *missing = missing_slot(ops);
  if (missing) {
    return dpi_fail(ctx, DP_ERR_INPUT, "spoke '%s': slot '%s' is missing", ops->name, missing);
  }
  const dpi_spoke_ops *known = dpi_spoke_find(ops->name);
  if (known == ops) return DP_OK;
  if (known) {
    return dpi_fail(ctx, DP_ERR_CONFLICT, "spoke '%s': another spoke has this name", ops->name);
  }
  if (nregistered == REGISTER_MOST) {
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "spoke '%s': %d spokes are registered, no more fit",
                    ops->name, REGISTER_MOST);
  }
  registered[nregistered++] = ops;
  return DP_OK;
}
