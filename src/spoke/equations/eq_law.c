/* eq_law.c - laws: several assignments made together at an instant of the timeline.  U -> D
 *
 *     x+, p+ := h(t, x-, p-)        all values are formed before the first is assigned
 *
 * A discrete-time map is a model whose rates are zero and a law at each tick; a sampled controller is a law that sets
 * an input parameter, which the rates hold until the next sample.
 *
 * Noise. Named parameters hold fresh standard normal numbers at each application: a function of (seed, stream, the
 * law's id, how often the member has applied it, position); how often is part of its state.
 *
 * Derivatives. The time of a law is fixed, so nothing is carried over a moving time: S+ = h_x S- + h_p P
 * + h_theta. */
#include "spoke/equations/eq_impl.h"

#include <math.h>

enum { PURPOSE_LAW = 0x6c6177 };

/* ---- making ---- */

static dp_status refuse(dpi_eq_spoke *sp, const dp_law_def *d, const char *target, const char *found) {
  return dpi_fail(sp->base.ctx, DP_ERR_INPUT, "%s: law '%s': target '%s': found %s, expected a state or a parameter",
                  sp->model->source, d->id, target, found);
}

/* Target number k: a state's index, or nstate + a parameter's. */
static dp_status find_target(dpi_eq_spoke *sp, const dp_law_def *d, int k, int *target) {
  const char *id = d->target[k];
  const int sym = id ? dpi_model_find(sp->model, id) : -1;
  if (sym < 0) return refuse(sp, d, id ? id : "", "no such symbol");
  const dpi_symbol *y = &sp->model->sym[sym];
  for (int i = 0; i < k; i++)
    if (strcmp(d->target[i], id) == 0) return refuse(sp, d, id, "it twice");
  if (y->kind == DPI_SYM_STATE && y->algebraic) return refuse(sp, d, id, "a state that a constraint determines");
  *target = sym - 1;
  if (y->kind == DPI_SYM_STATE) return DP_OK;
  for (int p = 0; p < sp->nparam; p++) {
    if (sp->param_sym[p] != sym) continue;
    *target = sp->nstate + p;
    return DP_OK;
  }
  return refuse(sp, d, id, "a value that a formula gives");
}

static dp_status refuse_noise(dpi_eq_spoke *sp, const dp_law_def *d, const char *id, const char *found) {
  return dpi_fail(sp->base.ctx, DP_ERR_INPUT, "%s: law '%s': noise '%s': found %s, expected a parameter",
                  sp->model->source, d->id, id, found);
}

/* Parameters that hold the law's random numbers. */
static dp_status find_noise(dpi_eq_spoke *sp, const dp_law_def *d, dpi_eq_law *law) {
  if (d->nnoise < 0 || (d->nnoise > 0 && !d->noise))
    return dpi_fail(sp->base.ctx, DP_ERR_USAGE, "law '%s': found no list of noise", d->id);
  int *noise = DPI_ARENA_ARRAY(&sp->arena, int, d->nnoise + 1);
  if (!noise) return DP_ERR_MEMORY;
  for (int k = 0; k < d->nnoise; k++) {
    const char *id = d->noise[k] ? d->noise[k] : "";
    const int sym = dpi_model_find(sp->model, id);
    if (sym < 0) return refuse_noise(sp, d, id, "no such symbol");
    noise[k] = -1;
    for (int p = 0; p < sp->nparam; p++)
      if (sp->param_sym[p] == sym) noise[k] = p;
    if (noise[k] < 0) return refuse_noise(sp, d, id, "a state or a value that a formula gives");
    for (int i = 0; i < k; i++)
      if (noise[i] == noise[k]) return refuse_noise(sp, d, id, "it twice");
    for (int i = 0; i < d->n; i++)
      if (law->target[i] == sp->nstate + noise[k]) return refuse_noise(sp, d, id, "a target of this law");
  }
  law->noise = noise;
  law->nnoise = d->nnoise;
  law->purpose = PURPOSE_LAW ^ (uint32_t)dpi_hash64(d->id);
  return DP_OK;
}

static dp_status build_law(dpi_eq_spoke *sp, dp_model *m, const dp_law_def *d, const uint8_t *fast, const int *column,
                           dpi_eq_law *law) {
  char where[200];
  if (d->n < 1 || !d->target || !d->formula)
    return dpi_fail(sp->base.ctx, DP_ERR_USAGE, "law '%s': found no list of targets and formulas", d->id);
  int *target = DPI_ARENA_ARRAY(&sp->arena, int, d->n);
  dpi_node *node = DPI_ARENA_ARRAY(&sp->arena, dpi_node, d->n);
  if (!target || !node) return DP_ERR_MEMORY;
  for (int k = 0; k < d->n; k++) {
    DP_TRY(find_target(sp, d, k, &target[k]));
    snprintf(where, sizeof where, "law '%.80s', '%.80s'", d->id, d->target[k]);
    if (!d->formula[k]) return dpi_fail(sp->base.ctx, DP_ERR_USAGE, "%s: found no formula", where);
    DP_TRY(dpi_model_parse(m, d->formula[k], where, false, &node[k]));
  }
  law->id = dpi_arena_strdup(&sp->arena, d->id);
  law->target = target;
  law->node = node;
  if (!law->id) return DP_ERR_MEMORY;
  if (d->n > sp->nlaw_max) sp->nlaw_max = d->n;
  DP_TRY(find_noise(sp, d, law));
  return dpi_eq_build(sp, m, fast, node, d->n, column, sp->nstate + sp->nactive, 0, &law->map);
}

dp_status dpi_eq_law_compile(dpi_eq_spoke *sp, dp_model *m, const dp_sim_def *def, const uint8_t *fast,
                             const int *column) {
  sp->law = DPI_ARENA_ARRAY(&sp->arena, dpi_eq_law, def->nlaw + 1);
  if (!sp->law) return DP_ERR_MEMORY;
  for (; sp->nlaw < def->nlaw; sp->nlaw++)
    DP_TRY(build_law(sp, m, &def->law[sp->nlaw], fast, column, &sp->law[sp->nlaw]));
  return DP_OK;
}

/* Parameters that laws set carry directions, as those that events set: `active` [n] and what is added. */
int dpi_eq_law_active(const dp_model *m, const dp_sim_def *def, int *active, int n) {
  for (int l = 0; l < def->nlaw; l++)
    for (int k = 0; k < def->law[l].n && def->law[l].target; k++) {
      const int sym = def->law[l].target[k] ? dpi_model_find(m, def->law[l].target[k]) : -1;
      bool have = sym < 0 || m->sym[sym].kind != DPI_SYM_PARAM;
      for (int i = 0; i < n; i++) have = have || active[i] == sym;
      if (!have) active[n++] = sym;
    }
  return n;
}

/* ---- applying ---- */

bool dpi_eq_law_noisy(const dpi_eq_spoke *sp) {
  for (int l = 0; l < sp->nlaw; l++)
    if (sp->law[l].nnoise > 0) return true;
  return false;
}

double dpi_eq_law_noise(const dpi_eq_law *law, uint64_t seed, uint64_t stream, double k, int position) {
  dpi_rng rng = dpi_rng_make(seed, stream, law->purpose);
  rng.counter = (uint64_t)k * (uint64_t)law->nnoise + (uint64_t)position;
  return dpi_rng_normal(&rng);
}

/* Fresh numbers, which depend on no parameter. */
static void draw_noise(dpi_eq_bench *w, const dpi_eq_law *law, double *applied) {
  const dpi_eq_spoke *sp = w->spoke;
  dpi_eq_member *m = w->m;
  for (int k = 0; k < law->nnoise; k++) {
    const int p = law->noise[k], a = sp->param_active[p];
    m->param[p] = dpi_eq_law_noise(law, w->batch->def.seed, w->def->stream, *applied, k);
    for (int q = 0; a >= 0 && q < w->ndir; q++) m->p[(size_t)a * (size_t)w->ndir + (size_t)q] = 0;
  }
  *applied += 1;
  dpi_eq_bench_params(w);
}

bool dpi_eq_law_apply(dpi_eq_bench *w, int which, double t) {
  const dpi_eq_spoke *sp = w->spoke;
  const dpi_eq_law *law = &sp->law[which];
  dpi_eq_member *m = w->m;
  const int n = sp->nstate, nd = w->ndir;
  if (!dpi_eq_reach(w, t)) return false;
  if (law->nnoise > 0) draw_noise(w, law, &m->applied[which]);
  const double *value = dpi_eq_eval(w, &law->map, t, m->x, NULL);
  if (nd) dpi_eq_chain(w, &law->map, value, m->s, NULL, w->law_dir);
  for (int k = 0; k < law->map.nvalue; k++) {
    const int j = law->target[k], a = j < n ? -1 : sp->param_active[j - n];
    if (!isfinite(value[k]))
      return dpi_eq_fail(w, t, "law '%s' gives '%s' a value that is not finite", law->id,
                         j < n ? sp->desc.state_id[j] : sp->desc.param_id[j - n]);
    *(j < n ? &m->x[j] : &m->param[j - n]) = value[k];
    double *row = j < n ? m->s + (size_t)j * nd : m->p + (size_t)a * nd;
    for (int q = 0; q < nd; q++) row[q] = w->law_dir[k * nd + q];
  }
  dpi_eq_bench_params(w);
  return true;
}
