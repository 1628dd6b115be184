/* plugin.c - test spoke: a shared library loaded at run time; config is its path. One run at a time, one thread. */
#include <dlfcn.h>
#include <math.h>
#include <string.h>

#include "frame.h"
#include "plugin_abi.h"
#include "test_spokes.h"

typedef struct library {
  void *handle;
  const plugin_abi *abi;
  char hash[65];
} library;

static const library *library_of(const frame_batch *b) { return b->spoke->own; }

static int pl_nx(const frame_spoke *s, int ndir) {
  (void)ndir;
  return ((const library *)s->own)->abi->nstate;
}

static dp_status pl_begin(frame_batch *b, int i) {
  const plugin_abi *abi = library_of(b)->abi;
  frame_member *m = &b->m[i];
  abi->set_param(m->param);
  abi->initial();
  if (b->def.member[i].state0) abi->set_state(b->def.member[i].state0);
  abi->get_state(m->x);
  return DP_OK;
}

/* The member's numbers in, on, and out again: the library knows one state only. */
static void pl_flow(frame_batch *b, int i, dp_time to) {
  const plugin_abi *abi = library_of(b)->abi;
  frame_member *m = &b->m[i];
  abi->set_param(m->param);
  abi->set_state(m->x);
  int wrong = abi->integrate(frame_time(m->time), frame_time(to));
  abi->get_state(m->x);
  if (wrong) frame_fail(b, i, "the library gave up (%d) on the way to %g", wrong, frame_time(to));
}

static void pl_act(frame_batch *b, int i, int k) {
  frame_member *m = &b->m[i];
  const frame_item *item = &m->item[k];
  const plugin_abi *abi = library_of(b)->abi;
  switch (item->type) {
    case DP_ADD:
      m->x[item->target] += item->amount;
      break;
    case DP_SET:
      m->x[item->target] = item->amount;
      break;
    case DP_SCALE:
      m->x[item->target] *= item->amount;
      break;
    case DP_SWITCH:
      m->param[item->target] = item->amount;
      break;
    case DP_RESET:
      abi->set_param(m->param);
      abi->initial();
      abi->get_state(m->x);
      break;
    default:
      break; /* refused */
  }
}

static void pl_give(const frame_batch *b, int i, double *signal, double *dsignal) {
  (void)dsignal;
  memcpy(signal, b->m[i].x, (size_t)library_of(b)->abi->nstate * sizeof *signal);
}

static dp_status pl_refuse(const frame_batch *b, const dp_instant *s) {
  if (s->type != DP_INFUSE) return DP_OK;
  return dpi_fail(b->ctx, DP_ERR_UNSUPPORTED, "spoke 'plugin': an infusion is not offered");
}

static const frame_ops ops = {.nx = pl_nx,
                              .begin = pl_begin,
                              .flow = pl_flow,
                              .act = pl_act,
                              .give = pl_give,
                              .refuse = pl_refuse};

/* ---- create ---- */

static dp_status open_library(dp_ctx *ctx, const char *path, library *lib) {
  if (!path)
    return dpi_fail(ctx, DP_ERR_INPUT,
                    "spoke 'plugin': config is missing, expected a library's path");
  char *data = NULL;
  size_t size = 0;
  DP_TRY(dpi_file_read(ctx, path, 0, &data, &size));
  dpi_sha256_hex(data, size, lib->hash);
  dpi_free(ctx, data);
  lib->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!lib->handle) return dpi_fail(ctx, DP_ERR_IO, "spoke 'plugin': %s", dlerror());
  plugin_describe_fn describe = NULL;
  void *symbol = dlsym(lib->handle, PLUGIN_SYMBOL);
  memcpy(&describe, &symbol,
         sizeof describe); /* ISO C has no cast from object to function pointer */
  lib->abi = describe ? describe() : NULL;
  if (lib->abi && lib->abi->version == PLUGIN_VERSION) return DP_OK;
  return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "spoke 'plugin': %s offers no '%s' of version %u", path,
                  PLUGIN_SYMBOL, PLUGIN_VERSION);
}

static dp_status create_on(dp_ctx *ctx, const dp_sim_def *def, library *lib, frame_spoke **out) {
  DP_TRY(open_library(ctx, def->config, lib));
  const plugin_abi *abi = lib->abi;
  dpi_spoke_desc desc = {.caps = DP_CAP_EDIT,
                         .max_instances = 1,
                         .ranks = 1,
                         .nparam = abi->nparam,
                         .nstate = abi->nstate,
                         .nsignal = abi->nstate,
                         .param_id = abi->param_id,
                         .param_default = abi->param_default,
                         .state_id = abi->state_id,
                         .state_unit = abi->state_unit,
                         .signal_id = abi->state_id,
                         .block = 2,
                         .identity = lib->hash};
  DP_TRY(frame_create(ctx, def, &dp_test_spoke_plugin, &ops, &desc, out));
  (*out)->own = lib;
  return DP_OK;
}

static void close_library(dp_ctx *ctx, library *lib) {
  if (lib->handle) dlclose(lib->handle);
  dpi_free(ctx, lib);
}

static dp_status plugin_create(dp_ctx *ctx, const dp_sim_def *def, dpi_spoke **out) {
  library *lib = DPI_NEW(ctx, library);
  if (!lib) return DP_ERR_MEMORY;
  frame_spoke *s = NULL;
  dp_status status = create_on(ctx, def, lib, &s);
  if (status != DP_OK) {
    close_library(ctx, lib);
    return status;
  }
  *out = &s->base;
  return DP_OK;
}

static void plugin_destroy(dpi_spoke *spoke) {
  library *lib = ((frame_spoke *)spoke)->own;
  close_library(spoke->ctx, lib);
  frame_destroy(spoke);
}

static dp_status plugin_state_get(const dpi_batch *batch, int member, double *x) {
  const frame_batch *b = (const frame_batch *)batch;
  memcpy(x, b->m[member].x, (size_t)library_of(b)->abi->nstate * sizeof *x);
  return DP_OK;
}

static dp_status plugin_state_set(dpi_batch *batch, int member, const double *x) {
  frame_batch *b = (frame_batch *)batch;
  memcpy(b->m[member].x, x, (size_t)library_of(b)->abi->nstate * sizeof *x);
  return DP_OK;
}

const dpi_spoke_ops dp_test_spoke_plugin = {
    .interface = DPI_SPOKE_INTERFACE,
    .name = "plugin",
    .help = "test: a model in a shared library; config: its path",
    .create = plugin_create,
    .destroy = plugin_destroy,
    .describe = frame_describe,
    .open = frame_open,
    .advance = frame_advance,
    .close = frame_close,
    .state_get = plugin_state_get,
    .state_set = plugin_state_set,
};
