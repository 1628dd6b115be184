/* sketch.c - floor 1: quantile summaries with guaranteed rank error (sketch.h), moments merged blockwise. */
#include "num/sketch.h"

#include <math.h>
#include <string.h>

/* ---- sorting a block ---- */

#define SIGN (UINT64_C(1) << 63)

/* Bits whose unsigned order is the order of the numbers. */
static uint64_t key_of(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u & SIGN ? ~u : u | SIGN;
}

static double number_of(uint64_t key) {
  double x;
  key = key & SIGN ? key & ~SIGN : ~key;
  memcpy(&x, &key, sizeof x);
  return x;
}

/* By bytes from the lowest: no branch depends on the numbers. */
void dpi_sketch_sort(double *x, int n, uint64_t *work) {
  uint32_t count[8][256] = {{0}};
  uint64_t *from = work, *to = work + n;
  for (int i = 0; i < n; i++) {
    uint64_t key = from[i] = key_of(x[i]);
    for (int b = 0; b < 8; b++) count[b][key >> 8 * b & 255]++;
  }
  for (int b = 0; b < 8 && n > 0; b++) {
    uint32_t *c = count[b], at = 0;
    if (c[from[0] >> 8 * b & 255] == (uint32_t)n) continue; /* all have this byte */
    for (int k = 0; k < 256; k++) {
      uint32_t here = c[k];
      c[k] = at;
      at += here;
    }
    for (int i = 0; i < n; i++) to[c[from[i] >> 8 * b & 255]++] = from[i];
    uint64_t *swap = from;
    from = to;
    to = swap;
  }
  for (int i = 0; i < n; i++) x[i] = number_of(from[i]);
}

/* ---- a block as a summary ---- */

/* Distance of kept ranks: half of what 2 eps allows; the other half keeps the sum of many blocks short. */
static int stride(int n, double eps) {
  double w = floor(eps * n);
  return w > 1 ? (int)w : 1;
}

int dpi_sketch_piece(int n, double eps) {
  int w = stride(n, eps);
  return n > 0 ? (n - 2 + w) / w + 1 : 0; /* ranks 1, 1 + w, ... and n */
}

int dpi_sketch_digest(const double *x, int n, double eps, double *piece) {
  int w = stride(n, eps), np = dpi_sketch_piece(n, eps);
  for (int k = 0; k + 1 < np; k++) piece[k] = x[(size_t)k * (size_t)w];
  if (np) piece[np - 1] = x[n - 1];
  return np;
}

/* Rank distance of piece element k to the one before it. */
static uint32_t piece_gap(int k, int np, int n, int w) {
  if (k == 0) return 1;
  return k == np - 1 ? (uint32_t)(n - 1 - (np - 2) * w) : (uint32_t)w;
}

/* ---- memory ---- */

static dp_status scratch_room(dp_ctx *ctx, dpi_sketch_scratch *s, int need) {
  if (need <= s->cap) return DP_OK;
  dpi_sketch_scratch_release(ctx, s);
  int cap = need + need / 4;
  s->value = DPI_NEW_ARRAY(ctx, double, cap);
  s->gap = DPI_NEW_ARRAY(ctx, uint32_t, 2 * (size_t)cap);
  if (!s->value || !s->gap) {
    dpi_sketch_scratch_release(ctx, s);
    return DP_ERR_MEMORY;
  }
  s->slack = s->gap + cap;
  s->cap = cap;
  return DP_OK;
}

void dpi_sketch_scratch_release(dp_ctx *ctx, dpi_sketch_scratch *s) {
  dpi_free(ctx, s->value);
  dpi_free(ctx, s->gap);
  *s = (dpi_sketch_scratch){0};
}

/* Room for need numbers; what was kept is lost (the caller has it in its scratch), unless memory is short. */
static dp_status sketch_room(dp_ctx *ctx, dpi_sketch *s, int need) {
  if (need <= s->cap) return DP_OK;
  int cap = s->eps > 0 ? need + need / 8 : need + need / 2;
  double *value = DPI_NEW_ARRAY(ctx, double, cap);
  uint32_t *gap = s->eps > 0 ? DPI_NEW_ARRAY(ctx, uint32_t, 2 * (size_t)cap) : NULL;
  if (!value || (s->eps > 0 && !gap)) {
    dpi_free(ctx, value);
    dpi_free(ctx, gap);
    return DP_ERR_MEMORY;
  }
  dpi_free(ctx, s->value);
  dpi_free(ctx, s->gap);
  s->value = value;
  s->gap = gap;
  s->slack = gap ? gap + cap : NULL;
  s->cap = cap;
  return DP_OK;
}

void dpi_sketch_release(dp_ctx *ctx, dpi_sketch *s) {
  dpi_free(ctx, s->value);
  dpi_free(ctx, s->gap);
  *s = (dpi_sketch){.eps = s->eps};
}

/* ---- adding a block ---- */

/* Both lists in one, ascending, ours first at equal numbers. A number's slack grows by what the other list leaves open
 * between its neighbours there. */
static int merge(const dpi_sketch *s, const double *piece, int n, dpi_sketch_scratch *out) {
  int w = stride(n, s->eps), np = dpi_sketch_piece(n, s->eps), i = 0, j = 0, k = 0;
  while (i < s->n || j < np) {
    if (j == np || (i < s->n && s->value[i] <= piece[j])) {
      out->value[k] = s->value[i];
      out->gap[k] = s->gap[i];
      out->slack[k] = s->slack[i] + (j < np ? piece_gap(j, np, n, w) - 1 : 0);
      i++;
    } else {
      out->value[k] = piece[j];
      out->gap[k] = piece_gap(j, np, n, w);
      out->slack[k] = i < s->n ? s->gap[i] + s->slack[i] - 1 : 0;
      j++;
    }
    k++;
  }
  return k;
}

/* Leave out what its right neighbour can stand for, and what lies between equal numbers (its rank says nothing); from
 * right to left, first and last stay. In place; returns where the rest begins. */
static int thin(dpi_sketch_scratch *p, int n, int64_t most) {
  int to = n - 1; /* the neighbour on the right, in its final place */
  for (int i = n - 2; i >= 0; i--) {
    int64_t together = (int64_t)p->gap[i] + p->gap[to] + p->slack[to];
    bool between = i > 0 && p->value[i - 1] == p->value[to];
    if (between || (i > 0 && to < n - 1 && together <= most)) {
      p->gap[to] += p->gap[i];
      continue;
    }
    to--;
    p->value[to] = p->value[i];
    p->gap[to] = p->gap[i];
    p->slack[to] = p->slack[i];
  }
  return to;
}

/* Every number is kept. */
static dp_status add_all(dp_ctx *ctx, dpi_sketch *s, const double *piece, int n,
                         dpi_sketch_scratch *scratch) {
  DP_TRY(scratch_room(ctx, scratch, s->n));
  if (s->n) memcpy(scratch->value, s->value, (size_t)s->n * sizeof *piece);
  DP_TRY(sketch_room(ctx, s, s->n + n));
  for (int i = 0, j = 0, k = 0; k < s->n + n; k++)
    s->value[k] =
        j == n || (i < s->n && scratch->value[i] <= piece[j]) ? scratch->value[i++] : piece[j++];
  s->n += n;
  s->count += n;
  return DP_OK;
}

dp_status dpi_sketch_add(dp_ctx *ctx, dpi_sketch *s, const double *piece, int n,
                         dpi_sketch_scratch *scratch) {
  if (n <= 0) return DP_OK;
  if (s->count + n > DPI_SKETCH_MOST)
    return dpi_fail(ctx, DP_ERR_INPUT, "quantiles: more than %d numbers", DPI_SKETCH_MOST);
  if (!(s->eps > 0)) return add_all(ctx, s, piece, n, scratch);
  DP_TRY(scratch_room(ctx, scratch, s->n + dpi_sketch_piece(n, s->eps)));
  int all = merge(s, piece, n, scratch);
  int first = thin(scratch, all, 2 * (int64_t)floor(s->eps * (double)(s->count + n)));
  DP_TRY(sketch_room(ctx, s, all - first));
  s->n = all - first;
  s->count += n;
  memcpy(s->value, scratch->value + first, (size_t)s->n * sizeof *s->value);
  memcpy(s->gap, scratch->gap + first, (size_t)s->n * sizeof *s->gap);
  memcpy(s->slack, scratch->slack + first, (size_t)s->n * sizeof *s->slack);
  return DP_OK;
}

/* ---- asking ---- */

double dpi_sketch_quantile(const dpi_sketch *s, double q) {
  if (s->n == 0) return NAN;
  int64_t rank = (int64_t)(q * (double)(s->count - 1) + 0.5) + 1, rmin = 0, least = INT64_MAX;
  if (!s->gap) return s->value[rank - 1];
  int best = 0;
  for (int i = 0; i < s->n; i++) { /* the number whose rank can be furthest off by least */
    rmin += s->gap[i];
    int64_t below = rank - rmin, above = rmin + s->slack[i] - rank,
            worst = below > above ? below : above;
    if (worst < least) {
      least = worst;
      best = i;
    }
  }
  return s->value[best];
}

double dpi_sketch_error(const dpi_sketch *s) {
  uint32_t most = 1;
  for (int i = 0; s->gap && i < s->n; i++) {
    bool same = i > 0 && s->value[i] == s->value[i - 1]; /* all between is this number too */
    uint32_t open = (same ? 1 : s->gap[i]) + s->slack[i];
    if (open > most) most = open;
  }
  return most > 1 ? (double)(most / 2 + most % 2) / (double)s->count : 0.0;
}

/* ---- moments ---- */

dpi_moments dpi_moments_of(const double *x, int n) {
  dpi_moments m = {.count = n};
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[i];
  m.mean = n ? sum / n : 0;
  for (int i = 0; i < n; i++) m.square += (x[i] - m.mean) * (x[i] - m.mean);
  return m;
}

void dpi_moments_add(dpi_moments *m, const dpi_moments *b) {
  if (b->count == 0) return;
  if (m->count == 0) {
    *m = *b;
    return;
  }
  int64_t count = m->count + b->count;
  double apart = b->mean - m->mean, share = (double)b->count / (double)count;
  m->mean += apart * share;
  m->square += b->square + apart * apart * (double)m->count * share;
  m->count = count;
}

double dpi_moments_sd(const dpi_moments *m) {
  return m->count > 1 ? sqrt(m->square / (double)(m->count - 1)) : NAN;
}
