/* eq_draw.c - random draws of a model: made when their owner is executed, constants in between.  D
 *
 * The k-th number of a member is a function of (seed, stream, purpose, k). k is part of the member's state, so a fork
 * or a run that was saved goes on with the numbers that come next, and a fork with another stream draws others from
 * then on.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

enum { PURPOSE_DRAW = 0x64726177, PURPOSE_TIE = 0x746965 };

static dpi_rng stream_of(const dpi_eq_bench *w, uint32_t purpose, uint64_t counter) {
  dpi_rng rng = dpi_rng_make(w->batch->def.seed, w->def->stream, purpose);
  rng.counter = counter;
  return rng;
}

/* False when the arguments lie outside the distribution's domain. */
static bool draw_one(dpi_eq_bench *w, int i) {
  const dpi_draw *d = &w->spoke->model->draw[i];
  dpi_eq_member *m = w->m;
  dpi_rng rng = stream_of(w, PURPOSE_DRAW, m->ndrawn);
  const double *arg = dpi_eq_eval(w, &w->spoke->draw[i].arg, m->t, m->x, NULL);
  m->draw[i] = dpi_variate_draw((dpi_variate)d->variate, arg, d->narg, &rng);
  m->ndrawn = rng.counter;
  dpi_eq_bench_params(w);
  return !isnan(m->draw[i]);
}

static bool fail_draw(dpi_eq_bench *w, int i) {
  const dpi_draw *d = &w->spoke->model->draw[i];
  char text[80] = "";
  int len = 0;
  const double *arg = dpi_eq_eval(w, &w->spoke->draw[i].arg, w->m->t, w->m->x, NULL);
  for (int k = 0; k < d->narg && len >= 0 && len < (int)sizeof text; k++)
    len += snprintf(text + len, sizeof text - (size_t)len, k ? ", %g" : "%g", arg[k]);
  return dpi_eq_fail(w, w->m->t, "line %d: nothing can be drawn from %s(%s)", d->line,
                     dpi_variate_name((dpi_variate)d->variate), text);
}

void dpi_eq_draw_start(dpi_eq_bench *w) {
  for (int i = 0; i < w->spoke->ndraw; i++) w->m->draw[i] = NAN;
  for (int i = 0; i < w->spoke->ndraw; i++)
    if (w->spoke->model->draw[i].phase == DPI_DRAW_START) draw_one(w, i);
}

bool dpi_eq_draw_started(dpi_eq_bench *w) {
  for (int i = 0; i < w->spoke->ndraw; i++)
    if (w->spoke->model->draw[i].phase == DPI_DRAW_START && isnan(w->m->draw[i])) return fail_draw(w, i);
  return true;
}

bool dpi_eq_draw_now(dpi_eq_bench *w, dpi_draw_phase phase, int event) {
  for (int i = 0; i < w->spoke->ndraw; i++) {
    const dpi_draw *d = &w->spoke->model->draw[i];
    if (d->phase == phase && d->event == event && !draw_one(w, i)) return fail_draw(w, i);
  }
  return true;
}

int dpi_eq_draw_tie(void *bench, int n) {
  dpi_eq_bench *w = bench;
  dpi_rng rng = stream_of(w, PURPOSE_TIE, w->m->ntie);
  const int i = (int)(dpi_rng_uniform(&rng) * n);
  w->m->ntie = rng.counter;
  return i < n ? i : n - 1;
}
