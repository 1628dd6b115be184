/* place.c - floor 6, folder filter: an ensemble with its drifts and weights going through time. */
#include <math.h>
#include <string.h>

#include "infer/filter/filter_impl.h"
#include "infer/infer.h"

dpi_rng dpi_place_rng(const dpi_filter *f, const dpi_place *p, int member, uint32_t purpose) {
  uint64_t key = dpi_rng_at(f->def.seed, p->stream[member], purpose, (uint64_t)p->time);
  return dpi_rng_make(key, p->stream[member], purpose);
}

static dpi_place *place_new(const dpi_filter *f) {
  dpi_place *p = DPI_NEW(f->ctx, dpi_place);
  if (!p) return NULL;
  p->drift = DPI_NEW_ARRAY(f->ctx, double, f->n * f->ndrift);
  p->weight = DPI_NEW_ARRAY(f->ctx, double, f->n);
  p->stream = DPI_NEW_ARRAY(f->ctx, uint64_t, f->n);
  p->origin = DPI_NEW_ARRAY(f->ctx, int, f->n);
  if (p->drift && p->weight && p->stream && p->origin) return p;
  dpi_place_close(f, p);
  return NULL;
}

void dpi_place_close(const dpi_filter *f, dpi_place *p) {
  if (!p) return;
  if (p->swarm) f->problem.process->ops->close(p->swarm);
  dpi_free(f->ctx, p->drift);
  dpi_free(f->ctx, p->weight);
  dpi_free(f->ctx, p->stream);
  dpi_free(f->ctx, p->origin);
  dpi_free(f->ctx, p);
}

static void all_equal(const dpi_filter *f, dpi_place *p) {
  for (int i = 0; i < f->n; i++) p->weight[i] = 1.0 / f->n;
}

/* Which row of parameters each member has: weighted ones are resampled for methods without weights. */
static void choose_rows(const dpi_filter *f, dpi_place *p) {
  bool particles = f->def.method == DPI_FILTER_BOOTSTRAP || f->def.method == DPI_FILTER_AUXILIARY;
  for (int i = 0; i < f->n; i++) p->origin[i] = i;
  all_equal(f, p);
  if (!f->start_weight) return;
  if (particles) {
    memcpy(p->weight, f->start_weight, (size_t)f->n * sizeof(double));
    return;
  }
  dpi_rng rng = dpi_rng_make(f->def.seed, 0, DPI_RNG_FILTER_CARRY);
  dpi_resample(f->start_weight, f->n, dpi_rng_uniform(&rng), f->n, p->origin);
}

/* Parameters, initial states and streams of the members; the swarm copies them. */
static dp_status open_swarm(const dpi_filter *f, dpi_place *p) {
  dpi_process *process = f->problem.process;
  dpi_swarm_def def = {.n = f->n, .seed = f->def.seed, .stream = p->stream};
  size_t np = (size_t)process->nparam, ns = (size_t)f->nstate;
  dpi_arena arena;
  dpi_arena_init(&arena, f->ctx);
  double *param = DPI_ARENA_ARRAY(&arena, double, (size_t)f->n *np + 1);
  double *state0 = DPI_ARENA_ARRAY(&arena, double, (size_t)f->n *ns + 1);
  dp_status status = param && state0 ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < f->n && status == DP_OK; i++) {
    const double *from = process->param_default;
    if (f->param) from = f->def.param ? f->param + (size_t)p->origin[i] * np : f->param;
    if (np) memcpy(param + (size_t)i * np, from, np * sizeof(double));
    if (!f->problem.begin) continue;
    dpi_rng rng = dpi_place_rng(f, p, i, DPI_RNG_FILTER_START);
    status = f->problem.begin(f->problem.user, param + (size_t)i * np, &rng, state0 + (size_t)i * ns);
  }
  def.param = param;
  def.state0 = f->problem.begin ? state0 : NULL;
  if (status == DP_OK) status = process->ops->open(process, &def, &p->swarm);
  dpi_arena_release(&arena);
  return status;
}

static void begin_drifts(const dpi_filter *f, dpi_place *p) {
  for (int i = 0; i < f->n; i++) {
    dpi_rng rng = dpi_place_rng(f, p, i, DPI_RNG_FILTER_START);
    rng.counter = 1u << 20; /* beyond what `begin` takes */
    for (int k = 0; k < f->ndrift; k++) {
      const dpi_drift *d = &f->problem.drift[k];
      p->drift[(size_t)i * (size_t)f->ndrift + (size_t)k] = d->mean + d->sd * dpi_rng_normal(&rng);
    }
  }
}

dp_status dpi_place_open(const dpi_filter *f, dpi_place **out) {
  dpi_place *p = *out = place_new(f);
  if (!p) return DP_ERR_MEMORY;
  p->time = f->problem.process->start;
  p->ess_least = f->n;
  choose_rows(f, p);
  for (int i = 0; i < f->n; i++) p->stream[i] = dpi_rng_at(f->def.seed, (uint64_t)i, DPI_RNG_FILTER_STREAM, UINT64_MAX);
  dp_status status = open_swarm(f, p);
  if (status == DP_OK) {
    begin_drifts(f, p);
    return DP_OK;
  }
  dpi_place_close(f, p);
  *out = NULL;
  return status;
}

/* Everything but the swarm, from members index (NULL: the same ones). */
static void copy_rest(const dpi_filter *f, const dpi_place *from, const int *index, dpi_place *to) {
  size_t nd = (size_t)f->ndrift;
  to->time = from->time;
  to->reached = from->reached;
  to->ntaken = from->ntaken;
  to->evidence = from->evidence;
  to->ess_least = from->ess_least;
  to->nresample = from->nresample;
  to->lost = from->lost;
  to->lost_time = from->lost_time;
  to->lost_sensor = from->lost_sensor;
  for (int i = 0; i < f->n; i++) {
    int k = index ? index[i] : i;
    if (nd) memcpy(to->drift + (size_t)i * nd, from->drift + (size_t)k * nd, nd * sizeof(double));
    to->weight[i] = from->weight[k];
    to->stream[i] = from->stream[k];
    to->origin[i] = from->origin[k];
  }
}

dp_status dpi_place_fork(const dpi_filter *f, const dpi_place *from, dpi_place **out) {
  dpi_place *p = *out = place_new(f);
  int *index = DPI_NEW_ARRAY(f->ctx, int, f->n);
  dp_status status = p && index ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    for (int i = 0; i < f->n; i++) index[i] = i;
    copy_rest(f, from, NULL, p);
    status = f->problem.process->ops->fork(from->swarm, index, f->n, NULL, &p->swarm);
  }
  dpi_free(f->ctx, index);
  if (status == DP_OK) return DP_OK;
  dpi_place_close(f, p);
  *out = NULL;
  return status;
}

/* x[i] := x[index[i]] */
static dp_status gather(const dpi_filter *f, const int *index, double *x) {
  double *copy = DPI_NEW_ARRAY(f->ctx, double, f->n);
  if (!copy) return DP_ERR_MEMORY;
  memcpy(copy, x, (size_t)f->n * sizeof(double));
  for (int i = 0; i < f->n; i++) x[i] = copy[index[i]];
  dpi_free(f->ctx, copy);
  return DP_OK;
}

dp_status dpi_place_resample(const dpi_filter *f, dpi_place *p, double *along) {
  const dpi_process_ops *ops = f->problem.process->ops;
  dpi_place *next = place_new(f);
  int *index = DPI_NEW_ARRAY(f->ctx, int, f->n);
  dp_status status = next && index ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    dpi_rng rng = dpi_rng_make(dpi_rng_at(f->def.seed, 0, DPI_RNG_FILTER_RESAMPLE, (uint64_t)p->time), 0,
                               DPI_RNG_FILTER_RESAMPLE);
    dpi_resample(p->weight, f->n, dpi_rng_uniform(&rng), f->n, index);
    copy_rest(f, p, index, next);
    for (int i = 0; i < f->n; i++)
      next->stream[i] = dpi_rng_at(f->def.seed, (uint64_t)i, DPI_RNG_FILTER_STREAM, (uint64_t)p->time);
    status = ops->fork(p->swarm, index, f->n, next->stream, &next->swarm);
  }
  if (status == DP_OK && along) status = gather(f, index, along);
  if (status == DP_OK) {
    dpi_place old = *p;
    all_equal(f, next);
    next->nresample++;
    *p = *next;
    *next = old;
  }
  dpi_free(f->ctx, index);
  dpi_place_close(f, next);
  return status;
}

/* ---- through time ---- */

static double units(dp_time h) { return (double)h / (double)DP_TICKS; }

/* Noise of the states over h, in place. */
static dp_status add_noise(const dpi_filter *f, dpi_place *p, dp_time h) {
  const dpi_process_ops *ops = f->problem.process->ops;
  double root = sqrt(units(h));
  double *x = DPI_NEW_ARRAY(f->ctx, double, f->n * f->nstate);
  if (!x) return DP_ERR_MEMORY;
  dp_status status = ops->get(p->swarm, x);
  for (int i = 0; i < f->n && status == DP_OK; i++) {
    dpi_rng rng = dpi_place_rng(f, p, i, DPI_RNG_FILTER_NOISE);
    for (int j = 0; j < f->nstate; j++)
      if (f->problem.noise[j] > 0)
        x[(size_t)i * (size_t)f->nstate + (size_t)j] += f->problem.noise[j] * root * dpi_rng_normal(&rng);
  }
  if (status == DP_OK) status = ops->set(p->swarm, x);
  dpi_free(f->ctx, x);
  return status;
}

/* Exact for the Ornstein-Uhlenbeck law. */
static void move_drifts(const dpi_filter *f, dpi_place *p, dp_time h) {
  for (int i = 0; i < f->n; i++) {
    dpi_rng rng = dpi_place_rng(f, p, i, DPI_RNG_FILTER_NOISE);
    rng.counter = 1u << 20;
    for (int k = 0; k < f->ndrift; k++) {
      const dpi_drift *d = &f->problem.drift[k];
      double a = d->rate * units(h), *b = &p->drift[(size_t)i * (size_t)f->ndrift + (size_t)k];
      double var = a > 0 ? -dpi_m_expm1(-2 * a) / (2 * d->rate) : units(h);
      *b = dpi_m_exp(-a) * *b + d->diffusion * sqrt(var) * dpi_rng_normal(&rng);
    }
  }
}

/* Where outputs are given as a time is reached, noise enters a tick before it: else they would not know of it. */
static dp_status one_piece(const dpi_filter *f, dpi_place *p, dp_time to) {
  const dpi_process *process = f->problem.process;
  const dp_time h = to - p->time;
  const bool early = f->problem.noise && process->output_first && h > 1;
  DP_TRY(process->ops->advance(p->swarm, early ? to - 1 : to));
  p->time = to;
  p->reached = true;
  if (h <= 0) return DP_OK;
  if (f->problem.noise) DP_TRY(add_noise(f, p, h));
  if (early) DP_TRY(process->ops->advance(p->swarm, to));
  move_drifts(f, p, h);
  return DP_OK;
}

dp_status dpi_place_advance(const dpi_filter *f, dpi_place *p, dp_time to) {
  dp_time start = f->problem.process->start, step = f->problem.noise ? f->problem.noise_step : 0;
  if (p->reached && p->time >= to) return DP_OK;
  while (step > 0) {
    dp_time next = start + ((p->time - start) / step + 1) * step;
    if (next >= to) break;
    DP_TRY(one_piece(f, p, next));
  }
  return one_piece(f, p, to);
}

/* ---- what sensors see ---- */

dp_status dpi_view_make(const dpi_filter *f, dpi_place *p, const dpi_reading *r, int n, dpi_arena *arena,
                        dpi_view *out) {
  const dpi_process_ops *ops = f->problem.process->ops;
  size_t ns = (size_t)f->nstate, nz = (size_t)f->nz, nd = (size_t)f->ndrift, many = (size_t)f->n;
  bool outputs = false;
  for (int k = 0; k < n; k++) {
    const dpi_sensor *s = &f->problem.sensor[r[k].sensor];
    outputs = outputs || !s->of_state || s->scale_given;
  }
  double *x = DPI_ARENA_ARRAY(arena, double, many *ns + 1);
  *out =
      (dpi_view){.z = DPI_ARENA_ARRAY(arena, double, many *nz + 1), .good = DPI_ARENA_ARRAY(arena, uint8_t, many + 1)};
  if (outputs) out->f = DPI_ARENA_ARRAY(arena, double, many *(size_t)f->noutput + 1);
  if (!x || !out->z || !out->good || (outputs && !out->f)) return DP_ERR_MEMORY;
  DP_TRY(ops->get(p->swarm, x));
  if (outputs) DP_TRY(ops->output(p->swarm, out->f));
  for (size_t i = 0; i < many; i++) {
    memcpy(out->z + i * nz, x + i * ns, ns * sizeof(double));
    if (nd) memcpy(out->z + i * nz + ns, p->drift + i * nd, nd * sizeof(double));
    out->good[i] = 1;
    for (size_t j = 0; j < nz; j++)
      if (!isfinite(out->z[i * nz + j])) out->good[i] = 0;
    out->ngood += out->good[i];
  }
  return DP_OK;
}

double dpi_view_seen(const dpi_filter *f, const dpi_view *v, const dpi_sensor *s, int i) {
  size_t k = (size_t)i;
  return s->of_state ? v->z[k * (size_t)f->nz + (size_t)s->index] : v->f[k * (size_t)f->noutput + (size_t)s->index];
}

double dpi_view_bias(const dpi_filter *f, const dpi_view *v, const dpi_sensor *s, int i) {
  if (!s->drifts) return 0;
  return v->z[(size_t)i * (size_t)f->nz + (size_t)(f->nstate + s->drift)];
}

double dpi_view_scale(const dpi_filter *f, const dpi_view *v, const dpi_sensor *s, int i) {
  return s->scale_given ? v->f[(size_t)i * (size_t)f->noutput + (size_t)s->scale_output] : s->scale;
}
