/* st_jump.c - jumps one by one while propensities are constant between them.  D -> D
 *
 * direct: the integral of the sum of all propensities uses up a unit exponential; then a channel is chosen in
 * proportion to its propensity (Gillespie 1977). The sum is a binary tree, so a change and a choice cost
 * log2(channels). next-reaction: a unit exponential for each channel, a queue of the times at which they run out
 * (Gibson & Bruck 2000; in the form of Anderson 2007, which also holds where a propensity was 0): only channels whose
 * inputs changed are touched, and each keeps what is left of its number.
 */
#include "spoke/stochastic/st_impl.h"

#define BEAT 65536 /* jumps between two questions whether to stop */
#define PACED (256.0 * BEAT) /* jumps after which the pace is looked at */
#define PACED_MOST 1e11      /* still to come at that pace: hours */

/* ---- propensities ---- */

double dpi_st_rate(dpi_st_bench *w, int r) {
  const dpi_st_channel *c = &w->spoke->channel[r];
  if (!c->product) return dpi_st_value(w, &c->rate);
  double a = w->coef[c->coef];
  for (int k = 0; k < c->nfactor; k++) a *= w->sym[c->factor[k].sym] - w->coef[c->factor[k].offset];
  return a;
}

bool dpi_st_bad_rate(dpi_st_bench *w, int r, double a, double t) {
  const char *id = w->spoke->channel[r].id;
  if (!isfinite(a)) return dpi_st_fail(w, t, "reaction '%s': its rate is %g, expected a propensity", id, a);
  return dpi_st_fail(
      w, t, "reaction '%s': its rate is %g: a propensity is not negative (split a reversible reaction in two)", id, a);
}

void dpi_st_put(dpi_st_bench *w, int r, double a) {
  double *tree = w->tree;
  int i = w->spoke->leaf + r;
  tree[i] = a;
  while (i >>= 1) tree[i] = tree[2 * i] + tree[2 * i + 1];
}

static bool load_rates(dpi_st_bench *w, double t) {
  const dpi_st_spoke *sp = w->spoke;
  if (sp->method == DPI_ST_LANGEVIN) return true; /* it forms its own */
  for (int i = 0; i < sp->leaf; i++) w->tree[sp->leaf + i] = 0;
  for (int r = 0; r < sp->nchannel; r++) {
    const double a = dpi_st_rate(w, r);
    if (!(a >= 0 && a < INFINITY)) return dpi_st_bad_rate(w, r, a, t > w->m->t ? t : w->m->t);
    w->tree[sp->leaf + r] = a;
  }
  for (int i = sp->leaf - 1; i > 0; i--) w->tree[i] = w->tree[2 * i] + w->tree[2 * i + 1];
  return true;
}

/* ---- the queue of next-reaction ---- */

static void sift(dpi_st_bench *w, int i) {
  const int n = w->spoke->nchannel;
  int *heap = w->heap, r = heap[i];
  const double t = w->due[r];
  while (i > 0 && w->due[heap[(i - 1) / 2]] > t) {
    heap[i] = heap[(i - 1) / 2];
    w->place[heap[i]] = i;
    i = (i - 1) / 2;
  }
  for (;;) {
    int c = 2 * i + 1;
    if (c >= n) break;
    if (c + 1 < n && w->due[heap[c + 1]] < w->due[heap[c]]) c++;
    if (!(w->due[heap[c]] < t)) break;
    heap[i] = heap[c];
    w->place[heap[i]] = i;
    i = c;
  }
  heap[i] = r;
  w->place[r] = i;
}

static void set_due(dpi_st_bench *w, int r) {
  const double a = w->tree[w->spoke->leaf + r];
  w->due[r] = a > 0 ? w->m->since[r] + w->m->left[r] / a : INFINITY;
}

static void queue_all(dpi_st_bench *w) {
  const int n = w->spoke->nchannel;
  for (int r = 0; r < n; r++) {
    set_due(w, r);
    w->heap[r] = w->place[r] = r;
  }
  for (int i = n / 2; i >= 0 && n > 0; i--) sift(w, i);
}

/* What is left of clock c when propensity a has run until t. */
static void spend(dpi_st_bench *w, int c, double a, double t) {
  dpi_st_member *m = w->m;
  if (!(t > m->since[c])) return;
  m->left[c] -= a * (t - m->since[c]);
  if (m->left[c] < 0) m->left[c] = 0; /* rounding */
  m->since[c] = t;
}

bool dpi_st_refresh(dpi_st_bench *w, double t) {
  const dpi_st_spoke *sp = w->spoke;
  const bool queue = sp->method == DPI_ST_NEXT;
  if (!queue) spend(w, 0, w->tree[1], t);
  for (int r = 0; queue && r < sp->nchannel; r++) spend(w, r, w->tree[sp->leaf + r], t);
  if (!load_rates(w, t)) return false;
  if (queue) queue_all(w);
  return true;
}

static double exponential(dpi_st_bench *w, int c) {
  double u[2];
  dpi_st_uniforms(w, c, u);
  return -dpi_m_log(u[1]);
}

void dpi_st_wind(dpi_st_bench *w, double t) {
  for (int c = 0; c < w->spoke->nclock; c++) {
    w->m->left[c] = exponential(w, c);
    w->m->since[c] = t;
  }
}

/* ---- firing ---- */

bool dpi_st_pick(dpi_st_bench *w, double u, double t, int *r) {
  const double *tree = w->tree;
  const int leaf = w->spoke->leaf;
  int i = 1;
  u *= tree[1];
  while (i < leaf) {
    i *= 2;
    if (u >= tree[i] && tree[i + 1] > 0) {
      u -= tree[i];
      i++;
    }
  }
  *r = i - leaf;
  if (*r < w->spoke->nchannel && tree[i] > 0) return true;
  return dpi_st_fail(w, t, "no reaction could be chosen");
}

static bool below_zero(dpi_st_bench *w, int r, int sym, double was, double by, double t) {
  return dpi_st_fail(w, t, "reaction '%s' takes '%s' from %g below zero (by %g): its rate is no propensity there",
                     w->spoke->channel[r].id, w->spoke->desc.state_id[sym - 1], was, by);
}

bool dpi_st_fire(dpi_st_bench *w, int r, double times, double t) {
  const dpi_st_channel *c = &w->spoke->channel[r];
  const double *step = c->by.tape ? dpi_st_eval(w, &c->by) : w->coef;
  for (int k = 0; k < c->nchange; k++) {
    const int s = c->change[k].sym;
    const double was = w->sym[s], by = times * step[c->change[k].by];
    double x = was + by;
    if (w->unit[s] != 0) x = dpi_st_snap(w, s, x);
    if (x < 0 && was >= 0) {
      if (x < -1e-9 * fabs(by)) return below_zero(w, r, s, was, by, t);
      x = 0;
    }
    if (!isfinite(x)) return dpi_st_fail(w, t, "reaction '%s' makes '%s' %g", c->id, w->spoke->desc.state_id[s - 1], x);
    w->sym[s] = x;
  }
  return true;
}

/* Jumps so close to each other that, at this pace, the end would not be reached. */
static bool not_crowded(dpi_st_bench *w, int jumps) {
  if ((w->paced += jumps) < PACED) return true;
  const double pace = w->paced / (w->m->t - w->paced_t), since = w->paced_t;
  if ((w->limit - w->m->t) * pace > PACED_MOST)
    return dpi_st_fail(w, w->m->t,
                       "reactions happen too often for the end to be reached jump by jump: %.3g since time %.9g",
                       w->paced, since);
  w->paced = 0;
  w->paced_t = w->m->t;
  return true;
}

bool dpi_st_halt(dpi_st_bench *w) {
  const dpi_batch_def *def = &w->batch->def;
  const int jumps = w->beat < BEAT ? 0 : w->beat; /* leaps take many at once */
  w->beat = 0;
  if (!(w->m->t > w->beat_t)) {
    dpi_st_fail(w, w->m->t, "reactions follow each other faster than time can tell");
    return true;
  }
  w->beat_t = w->m->t;
  if (def->stop && def->stop(def->stop_user)) w->stopped = true;
  return w->stopped || !not_crowded(w, jumps);
}

/* Channel r has fired at t: what hangs on it. AGAIN: an event happened. */
static dpi_st_outcome after(dpi_st_bench *w, const dpi_st_channel *c, int r, double t) {
  if (c->steers) dpi_st_flow_start(w, t);
  if (c->nwatch && dpi_st_event_changed(w, r)) return dpi_st_event_run(w) ? DPI_ST_AGAIN : DPI_ST_FAIL;
  return DPI_ST_THERE;
}

/* A trigger that may change without a jump, before `stop`: taken to it. */
static dpi_st_outcome on_the_way(dpi_st_bench *w, double stop) {
  const dpi_st_spoke *sp = w->spoke;
  double t = sp->naffine ? dpi_st_event_next(w) : INFINITY, curved;
  if (t > stop) t = INFINITY;
  if (sp->ncurved && dpi_st_event_find(w, w->m->t, t < stop ? t : stop, dpi_st_flow_at, &curved)) t = curved;
  if (!isfinite(t)) return DPI_ST_THERE;
  dpi_st_flow_at(w, t);
  w->m->t = t;
  return dpi_st_event_run(w) ? DPI_ST_AGAIN : DPI_ST_FAIL;
}

static dpi_st_outcome direct_to(dpi_st_bench *w, double end) {
  const dpi_st_spoke *sp = w->spoke;
  dpi_st_member *m = w->m;
  const bool moving = sp->naffine + sp->ncurved > 0;
  for (;;) {
    const double a0 = w->tree[1], t = a0 > 0 ? m->since[0] + m->left[0] / a0 : INFINITY;
    if (moving) {
      const dpi_st_outcome o = on_the_way(w, t < end ? t : end);
      if (o != DPI_ST_THERE) return o;
    }
    if (t > end) return DPI_ST_THERE;
    double u[2];
    int r;
    dpi_st_uniforms(w, 0, u);
    if (!dpi_st_pick(w, u[0], t, &r)) return DPI_ST_FAIL;
    const dpi_st_channel *c = &sp->channel[r];
    if (c->steers || c->by.tape || c->nwatch) dpi_st_flow_at(w, t);
    if (!dpi_st_fire(w, r, 1, t)) return DPI_ST_FAIL;
    m->t = t;
    for (int k = 0; k < c->nhit; k++) {
      const double a = dpi_st_rate(w, c->hit[k]);
      if (!(a >= 0 && a < INFINITY)) {
        dpi_st_bad_rate(w, c->hit[k], a, t);
        return DPI_ST_FAIL;
      }
      dpi_st_put(w, c->hit[k], a);
    }
    m->left[0] = -dpi_m_log(u[1]);
    m->since[0] = t;
    const dpi_st_outcome o = after(w, c, r, t);
    if (o != DPI_ST_THERE) return o;
    if (++w->beat >= BEAT && dpi_st_halt(w)) return DPI_ST_FAIL;
    if (w->quota > 0 && --w->quota == 0) return DPI_ST_AGAIN;
  }
}

/* Channel h's propensity may have changed at t. */
static bool requeue(dpi_st_bench *w, int h, double t) {
  double *a = &w->tree[w->spoke->leaf + h];
  const double now = dpi_st_rate(w, h);
  if (!(now >= 0 && now < INFINITY)) return dpi_st_bad_rate(w, h, now, t);
  spend(w, h, *a, t);
  *a = now;
  set_due(w, h);
  sift(w, w->place[h]);
  return true;
}

static dpi_st_outcome next_to(dpi_st_bench *w, double end) {
  const dpi_st_spoke *sp = w->spoke;
  dpi_st_member *m = w->m;
  const bool moving = sp->naffine + sp->ncurved > 0;
  for (;;) {
    const int r = w->heap[0];
    const double t = sp->nchannel ? w->due[r] : INFINITY;
    if (moving) {
      const dpi_st_outcome o = on_the_way(w, t < end ? t : end);
      if (o != DPI_ST_THERE) return o;
    }
    if (t > end) return DPI_ST_THERE;
    const dpi_st_channel *c = &sp->channel[r];
    if (c->steers || c->by.tape || c->nwatch) dpi_st_flow_at(w, t);
    if (!dpi_st_fire(w, r, 1, t)) return DPI_ST_FAIL;
    m->t = t;
    m->left[r] = exponential(w, r);
    m->since[r] = t;
    set_due(w, r);
    sift(w, w->place[r]);
    for (int k = 0; k < c->nhit; k++)
      if (!requeue(w, c->hit[k], t)) return DPI_ST_FAIL;
    const dpi_st_outcome o = after(w, c, r, t);
    if (o != DPI_ST_THERE) return o;
    if (++w->beat >= BEAT && dpi_st_halt(w)) return DPI_ST_FAIL;
  }
}

dpi_st_outcome dpi_st_jump_to(dpi_st_bench *w, double end) {
  return w->spoke->method == DPI_ST_NEXT ? next_to(w, end) : direct_to(w, end);
}
