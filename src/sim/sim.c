/* sim.c - floor 5, the waist: from a definition to a sim, constant and shared: spoke found and created, outputs
 * compiled, hash of everything that decides results.
 */
#include <math.h>
#include <string.h>

#include "sim/sim_impl.h"

dp_sim_def dp_sim_def_default(void) {
  return (dp_sim_def){.cookie = DPI_SIM_COOKIE,
                      .spoke = "equations",
                      .time_unit = "h",
                      .method = "auto",
                      .rtol = 1e-8,
                      .atol = 1e-10};
}

dp_run_opts dp_run_opts_default(void) { return (dp_run_opts){.cookie = DPI_OPTS_COOKIE}; }

dp_instant dp_instant_default(void) { return (dp_instant){.dir_amount = -1, .dir_time = -1}; }

/* ---- hash ---- */

/* Length first, so that neighbouring texts cannot flow into each other; NULL differs from "". */
static void hash_text(dpi_sha256 *h, const char *text) {
  int64_t n = text ? (int64_t)strlen(text) : -1;
  dpi_sha256_add(h, &n, sizeof n);
  if (n > 0) dpi_sha256_add(h, text, (size_t)n);
}

static void hash_number(dpi_sha256 *h, double x) { dpi_sha256_add(h, &x, sizeof x); }

static void hash_count(dpi_sha256 *h, int64_t n) { dpi_sha256_add(h, &n, sizeof n); }

/* Everything that decides results: spoke, model, outputs, controls, active, method, tolerances, version, arithmetic. */
static dp_status hash_def(dp_sim *sim, const dp_sim_def *def) {
  dpi_sha256 *h = dpi_sha256_create(sim->ctx);
  if (!h) return DP_ERR_MEMORY;
  hash_text(h, "doppel sim 1");
  hash_text(h, dp_version());
  hash_text(h, dp_arithmetic());
  hash_text(h, sim->ops->name);
  hash_count(h, sim->ops->interface);
  hash_text(h, sim->spoke_desc->identity);
  hash_text(h, def->model ? dp_model_hash(def->model) : NULL);
  hash_text(h, def->config);
  hash_text(h, def->time_unit);
  hash_count(h, def->noutput);
  for (int o = 0; o < def->noutput; o++) {
    hash_text(h, def->output[o].id);
    hash_text(h, def->output[o].formula);
  }
  hash_count(h, def->ncontrol);
  for (int c = 0; c < def->ncontrol; c++) {
    const dp_control_def *control = &def->control[c];
    hash_text(h, control->id);
    hash_text(h, control->target);
    hash_text(h, control->bioavailability);
    hash_text(h, control->lag);
    hash_text(h, control->rate);
    hash_text(h, control->duration);
  }
  if (def->nlaw > 0) hash_count(h, def->nlaw);
  for (int l = 0; l < def->nlaw; l++) {
    hash_text(h, def->law[l].id);
    for (int k = 0; k < def->law[l].n; k++) {
      hash_text(h, def->law[l].target[k]);
      hash_text(h, def->law[l].formula[k]);
    }
    if (def->law[l].nnoise > 0) hash_count(h, def->law[l].nnoise);
    for (int k = 0; k < def->law[l].nnoise; k++) hash_text(h, def->law[l].noise[k]);
  }
  hash_count(h, def->nactive);
  for (int a = 0; a < def->nactive; a++) hash_text(h, def->active[a]);
  hash_text(h, def->method);
  hash_count(h, def->same_steps);
  hash_number(h, def->rtol);
  hash_number(h, def->atol);
  if (def->max_steps > 0) hash_count(h, def->max_steps);
  if (def->step > 0) hash_number(h, def->step);
  dpi_sha256_finish(h, sim->hash);
  return DP_OK;
}

/* ---- checks ---- */

/* Every id of a list is there and occurs once. */
static dp_status check_ids(dp_ctx *ctx, const char *what, const char *const *id, int n) {
  dpi_map seen;
  dpi_map_init(&seen, ctx);
  dp_status status = DP_OK;
  for (int k = 0; k < n && status == DP_OK; k++) {
    if (!id[k] || !*id[k]) {
      status = dpi_fail(ctx, DP_ERR_INPUT, "%s %d: the id is empty", what, k + 1);
    } else if (dpi_map_get(&seen, id[k]) >= 0) {
      status = dpi_fail(ctx, DP_ERR_INPUT, "%s '%s': defined twice", what, id[k]);
    } else {
      status = dpi_map_put(&seen, id[k], k);
    }
  }
  dpi_map_release(&seen);
  return status;
}

static dp_status check_def(dp_ctx *ctx, const dp_sim_def *def) {
  if (!def || def->cookie != DPI_SIM_COOKIE) {
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "dp_sim_create: the definition was not made by dp_sim_def_default");
  }
  if (!def->spoke || !*def->spoke)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_sim_create: no spoke is named");
  if (def->noutput < 0 || def->ncontrol < 0 || def->nactive < 0 || (def->noutput && !def->output) ||
      (def->ncontrol && !def->control) || (def->nactive && !def->active) || def->nlaw < 0 || (def->nlaw && !def->law)) {
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "dp_sim_create: a list is missing or its length is negative");
  }
  if (!(def->rtol > 0 && def->rtol < 1) || !(def->atol > 0 && isfinite(def->atol))) {
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "dp_sim_create: tolerances rtol %g, atol %g: expected 0 < rtol < 1, 0 < atol",
                    def->rtol, def->atol);
  }
  if (def->max_steps < 0)
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_sim_create: max_steps %d: expected 0 or more", def->max_steps);
  const bool fixed = def->method && strcmp(def->method, "fixed") == 0;
  if (fixed ? !(def->step > 0 && isfinite(def->step)) : def->step != 0) {
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_sim_create: step %g of method '%s': expected %s", def->step,
                    def->method ? def->method : "auto", fixed ? "a number above 0" : "0: only method 'fixed' has one");
  }
  if (def->lanes != 0 && def->lanes != 1 && def->lanes != 2 && def->lanes != 4 && def->lanes != 8) {
    return dpi_fail(ctx, DP_ERR_USAGE, "dp_sim_create: lanes %d: expected 0, 1, 2, 4 or 8", def->lanes);
  }
  return DP_OK;
}

/* What a spoke says of itself must agree with the slots it fills. */
static dp_status check_spoke(dp_ctx *ctx, const dpi_spoke_ops *ops, const dpi_spoke_desc *d) {
  const char *wrong = NULL;
  if (d->block < 1) wrong = "block is below 1";
  if ((d->caps & DP_CAP_SAVE) && !(ops->save && ops->load))
    wrong = "DP_CAP_SAVE without save and load";
  if ((d->caps & DP_CAP_EDIT) && !(ops->state_get && ops->state_set)) {
    wrong = "DP_CAP_EDIT without state_get and state_set";
  }
  if ((d->caps & DP_CAP_VJP) && (!ops->gradient || !(d->caps & DP_CAP_FUSED))) {
    wrong = "DP_CAP_VJP without gradient or DP_CAP_FUSED";
  }
  /* a functional is of an output, and only a fused spoke knows outputs */
  if ((d->caps & DP_CAP_FUNCTIONALS) && !(d->caps & DP_CAP_FUSED)) {
    wrong = "DP_CAP_FUNCTIONALS without DP_CAP_FUSED";
  }
  if (!wrong) return DP_OK;
  return dpi_fail(ctx, DP_ERR_BUG, "spoke '%s': %s", ops->name, wrong);
}

/* ---- create ---- */

/* Copies of the ids of a list whose entries are `size` bytes apart. */
static const char *const *copy_ids(dpi_arena *arena, const void *list, int n, size_t size) {
  const char **id = DPI_ARENA_ARRAY(arena, const char *, n);
  for (int k = 0; id && k < n; k++) {
    /* the id is the first field of dp_output_def, dp_control_def and dp_law_def; a list of names is its ids */
    const char *text = *(const char *const *)((const char *)list + (size_t)k * size);
    id[k] = dpi_arena_strdup(arena, text ? text : "");
    if (!id[k]) return NULL;
  }
  return id;
}

static dp_status keep_ids(dp_sim *sim, const dp_sim_def *def) {
  sim->output_id = copy_ids(&sim->arena, def->output, def->noutput, sizeof def->output[0]);
  sim->control_id = copy_ids(&sim->arena, def->control, def->ncontrol, sizeof def->control[0]);
  sim->active_id = copy_ids(&sim->arena, def->active, def->nactive, sizeof def->active[0]);
  sim->law_id = copy_ids(&sim->arena, def->law, def->nlaw, sizeof def->law[0]);
  if (!sim->output_id || !sim->control_id || !sim->active_id || !sim->law_id) return DP_ERR_MEMORY;
  DP_TRY(check_ids(sim->ctx, "output", sim->output_id, def->noutput));
  DP_TRY(check_ids(sim->ctx, "control", sim->control_id, def->ncontrol));
  DP_TRY(check_ids(sim->ctx, "law", sim->law_id, def->nlaw));
  return check_ids(sim->ctx, "active parameter", sim->active_id, def->nactive);
}

static void fill_desc(dp_sim *sim, const dp_sim_def *def) {
  const dpi_spoke_desc *d = sim->spoke_desc;
  sim->desc = (dp_sim_desc){.spoke = sim->ops->name,
                            .caps = d->caps,
                            .max_instances = d->max_instances,
                            .ranks = d->ranks > 0 ? d->ranks : 1,
                            .nparam = d->nparam,
                            .param_id = d->param_id,
                            .param_default = d->param_default,
                            .nstate = d->nstate,
                            .state_id = d->state_id,
                            .state_unit = d->state_unit,
                            .noutput = def->noutput,
                            .ncontrol = def->ncontrol,
                            .nactive = def->nactive,
                            .nlaw = def->nlaw,
                            .lane_dirs = d->lane_dirs,
                            .hash = sim->hash};
}

static dp_status find_spoke(dp_ctx *ctx, const char *name, const dpi_spoke_ops **out) {
  *out = dpi_spoke_find(name);
  if (!*out) return dpi_fail(ctx, DP_ERR_INPUT, "spoke '%s': there is none of this name", name);
  if ((*out)->interface == DPI_SPOKE_INTERFACE) return DP_OK;
  return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "spoke '%s': interface %u, expected %u", name,
                  (*out)->interface, DPI_SPOKE_INTERFACE);
}

static dp_status sim_build(dp_sim *sim, const dp_sim_def *def) {
  DP_TRY(find_spoke(sim->ctx, def->spoke, &sim->ops));
  DP_TRY(keep_ids(sim, def));
  DP_TRY(sim->ops->create(sim->ctx, def, &sim->spoke));
  sim->spoke_desc = sim->ops->describe(sim->spoke);
  DP_TRY(check_spoke(sim->ctx, sim->ops, sim->spoke_desc));
  if (def->nlaw > 0 && !(sim->spoke_desc->caps & DP_CAP_LAWS)) {
    return dpi_fail(sim->ctx, DP_ERR_UNSUPPORTED, "law '%s': spoke '%s' does not offer DP_CAP_LAWS", def->law[0].id,
                    sim->ops->name);
  }
  sim->nrow_spoke = def->noutput;
  if (!(sim->spoke_desc->caps & DP_CAP_FUSED)) {
    sim->nrow_spoke = sim->spoke_desc->nsignal;
    DP_TRY(dpi_compose_create(sim->ctx, &sim->arena, def, sim->spoke_desc, &sim->compose));
  }
  DP_TRY(hash_def(sim, def));
  fill_desc(sim, def);
  return DP_OK;
}

dp_status dp_sim_create(dp_ctx *ctx, const dp_sim_def *def, dp_sim **out) {
  *out = NULL;
  DP_TRY(check_def(ctx, def));
  dp_sim *sim = DPI_NEW(ctx, dp_sim);
  if (!sim) return DP_ERR_MEMORY;
  sim->ctx = ctx;
  dpi_arena_init(&sim->arena, ctx);
  uint64_t fp = dpi_fp_enter();
  dp_status status = sim_build(sim, def);
  dpi_fp_leave(fp);
  if (status != DP_OK) {
    dp_sim_destroy(sim);
    return status;
  }
  *out = sim;
  return DP_OK;
}

void dp_sim_destroy(dp_sim *sim) {
  if (!sim) return;
  dpi_compose_release(sim->compose);
  if (sim->spoke) sim->ops->destroy(sim->spoke);
  dpi_arena_release(&sim->arena);
  dpi_free(sim->ctx, sim);
}

_Static_assert(offsetof(dp_output_def, id) == 0 && offsetof(dp_control_def, id) == 0 && offsetof(dp_law_def, id) == 0,
               "ids come first");

/* ---- queries ---- */

const dp_sim_desc *dp_sim_describe(const dp_sim *sim) { return &sim->desc; }

dp_status dp_sim_warm(const dp_sim *sim, int *npiece) {
  int n = 0;
  dp_status status = sim->ops->warm ? sim->ops->warm(sim->spoke, &n) : DP_OK;
  if (npiece) *npiece = n;
  return status;
}

static int find_id(const char *const *list, int n, const char *id) {
  for (int k = 0; k < n; k++) {
    if (strcmp(list[k], id) == 0) return k;
  }
  return -1;
}

int dp_sim_param(const dp_sim *sim, const char *id) {
  return find_id(sim->desc.param_id, sim->desc.nparam, id);
}
int dp_sim_output(const dp_sim *sim, const char *id) {
  return find_id(sim->output_id, sim->desc.noutput, id);
}
int dp_sim_control(const dp_sim *sim, const char *id) {
  return find_id(sim->control_id, sim->desc.ncontrol, id);
}
int dp_sim_active(const dp_sim *sim, const char *id) {
  return find_id(sim->active_id, sim->desc.nactive, id);
}
int dp_sim_state(const dp_sim *sim, const char *id) {
  return find_id(sim->desc.state_id, sim->desc.nstate, id);
}
int dp_sim_law(const dp_sim *sim, const char *id) {
  return find_id(sim->law_id, sim->desc.nlaw, id);
}
