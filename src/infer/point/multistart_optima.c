/* multistart_optima.c - floor 6, inside infer/point: which of the points found are the same, and what failed
 * where none was.
 *
 * Two points are one optimum when J differs by less than j_tol and x by less than x_tol standard deviations as the
 * better one's curvature has them: along directions without information any distance is none.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "infer/point/multistart_impl.h"
#include "infer/point/point_impl.h"

#define KINDS 64 /* reasons told apart */
#define SHOWN 3  /* of them said */
#define LEADING 1

/* ---- distinct optima ---- */

/* Starts that found anything, by J and then by number, by merging runs: stable and without a comparison
 * through globals. */
static void sort_by_j(dpi_multistart *ms, int *work) {
  ms->nfound = 0;
  for (int k = 0; k < ms->nstart; k++) {
    if (isfinite(ms->start[k].j)) ms->order[ms->nfound++] = k;
  }
  for (int width = 1; width < ms->nfound; width *= 2) {
    for (int left = 0; left < ms->nfound; left += 2 * width) {
      int mid = left + width < ms->nfound ? left + width : ms->nfound;
      int end = mid + width < ms->nfound ? mid + width : ms->nfound, a = left, b = mid;
      for (int k = left; k < end; k++) {
        bool from_left = a < mid && (b >= end || ms->start[ms->order[a]].j <= ms->start[ms->order[b]].j);
        work[k] = from_left ? ms->order[a++] : ms->order[b++];
      }
    }
    memcpy(ms->order, work, sizeof(int) * (size_t)ms->nfound);
  }
}

/* (x - y)'F(x - y), without the parameters that are held still */
static double distance2(const dpi_campaign *c, const dpi_optimum *o, const double *x) {
  int n = c->d->n;
  double sum = 0;
  for (int i = 0; i < n; i++) {
    double di = x[i] - o->x[i];
    if (!o->fisher) {
      double width = c->d->upper[i] - c->d->lower[i],
             unit = isfinite(width) ? 1e-3 * width : 1e-2 * fmax(1, fabs(o->x[i]));
      sum += di * di / (unit * unit);
      continue;
    }
    for (int j = 0; j < n; j++) sum += di * o->fisher[(size_t)i * n + j] * (x[j] - o->x[j]);
  }
  return sum;
}

/* Curvature at the starts of list, asked for together. fisher[k]: NULL where it can't be had. */
static dp_status curvatures(dpi_campaign *c, const int *list, int count, double **fisher) {
  dpi_multistart *ms = c->ms;
  size_t n = (size_t)ms->n, most = (size_t)c->def->batch;
  double *x = DPI_NEW_ARRAY(c->d->ctx, double, 2 * most * n + 1), *gradient = x ? x + most * n : NULL;
  dpi_density_value *v = DPI_NEW_ARRAY(c->d->ctx, dpi_density_value, most);
  dp_status status = x && v ? DP_OK : DP_ERR_MEMORY;
  for (int from = 0; status == DP_OK && from < count; from += (int)most) {
    int m = count - from < (int)most ? count - from : (int)most;
    for (int k = 0; k < m; k++) {
      memcpy(x + (size_t)k * n, ms->start[list[from + k]].x, sizeof(double) * n);
      v[k] = (dpi_density_value){.gradient = gradient + (size_t)k * n};
      v[k].fisher = DPI_ARENA_ARRAY(&ms->arena, double, n * n + 1);
      if (!v[k].fisher) status = DP_ERR_MEMORY;
    }
    if (status == DP_OK) status = dpi_density_eval(c->d, m, x, DPI_DENSITY_GRADIENT | DPI_DENSITY_FISHER, v);
    for (int k = 0; status == DP_OK && k < m; k++) fisher[from + k] = v[k].ok ? v[k].fisher : NULL;
  }
  dpi_free(c->d->ctx, x);
  dpi_free(c->d->ctx, v);
  return status;
}

/* What was cut short by time is told apart by its curvature only if it leads. */
static bool worth_curvature(const dpi_multistart *ms, int rank) {
  return rank < LEADING || ms->start[ms->order[rank]].end != DPI_TRUST_TIME;
}

/* known: its curvature, NULL: ask for it */
static dp_status add_optimum(dpi_campaign *c, int rank, double *known) {
  const int k = c->ms->order[rank];
  dpi_multistart *ms = c->ms;
  dpi_optimum *o = &ms->optimum[ms->noptimum++];
  const dpi_start *s = &ms->start[k];
  *o = (dpi_optimum){.j = s->j, .loglik = s->loglik, .logprior = s->logprior, .x = s->x, .fisher = known, .start = k};
  o->at = DPI_ARENA_ARRAY(&ms->arena, signed char, ms->n + 1);
  if (!o->at) return DP_ERR_MEMORY;
  for (int i = 0; i < ms->n; i++) o->at[i] = (signed char)(o->x[i] <= c->d->lower[i] ? -1 : o->x[i] >= c->d->upper[i]);
  if (known || c->def->trust.hessian > DPI_HESSIAN_FISHER || !worth_curvature(ms, rank)) return DP_OK;
  return curvatures(c, &k, 1, &o->fisher);
}

/* Starts whose J stands clear of the one before are distinct for sure; their curvatures can be asked for in one go. */
static dp_status sure_ones(dpi_campaign *c, int *list, double **fisher, int *count) {
  const dpi_multistart *ms = c->ms;
  *count = 0;
  if (c->def->trust.hessian > DPI_HESSIAN_FISHER) return DP_OK;
  for (int r = 0; r < ms->nfound; r++) {
    if (!worth_curvature(ms, r)) continue;
    bool clear = r == 0 || !(ms->start[ms->order[r]].j - ms->start[ms->order[r - 1]].j < c->def->j_tol);
    if (clear) list[(*count)++] = ms->order[r];
  }
  return curvatures(c, list, *count, fisher);
}

static int find_optimum(const dpi_campaign *c, int k) {
  const dpi_multistart *ms = c->ms;
  for (int o = ms->noptimum - 1; o >= 0 && ms->start[k].j - ms->optimum[o].j < c->def->j_tol; o--) {
    if (distance2(c, &ms->optimum[o], ms->start[k].x) <= c->def->x_tol * c->def->x_tol) return o;
  }
  return -1;
}

dp_status dpi_multistart_optima(dpi_campaign *c) {
  dpi_multistart *ms = c->ms;
  int *work = DPI_ARENA_ARRAY(&ms->arena, int, ms->nstart + 1), nhit = 0, nsure, sure = 0;
  double **fisher = DPI_ARENA_ARRAY(&ms->arena, double *, ms->nstart + 1);
  ms->optimum = DPI_ARENA_ARRAY(&ms->arena, dpi_optimum, ms->nstart + 1);
  if (!ms->optimum || !work || !fisher) return DP_ERR_MEMORY;
  sort_by_j(ms, work);
  if (ms->nfound == 0) return dpi_multistart_nothing(c);
  int begun = 0;
  for (int k = 0; k < ms->nstart; k++) begun += c->state[k] == START_DONE;
  DP_TRY(sure_ones(c, work, fisher, &nsure));
  for (int r = 0; r < ms->nfound; r++) {
    int k = ms->order[r], o = find_optimum(c, k);
    if (o < 0) {
      o = ms->noptimum;
      while (sure < nsure && ms->start[work[sure]].j < ms->start[k].j) sure++;
      DP_TRY(add_optimum(c, r, sure < nsure && work[sure] == k ? fisher[sure] : NULL));
    }
    ms->start[k].optimum = o;
    ms->optimum[o].count++;
    nhit += ms->start[k].j <= ms->start[ms->order[0]].j + c->def->j_tol;
  }
  ms->hit_rate = (double)nhit / begun;
  return DP_OK;
}

/* ---- nothing found ---- */

/* Reasons are the same when they differ by numbers only. */
static bool same_kind(const char *a, const char *b) {
  const char *numeric = "0123456789.+-";
  while (*a && *b) {
    size_t na = strspn(a, numeric), nb = strspn(b, numeric);
    if ((na > 0) != (nb > 0) || (na == 0 && *a != *b)) return false;
    a += na ? na : 1;
    b += nb ? nb : 1;
    if (na && *a == 'e' && a[1]) a += 1 + strspn(a + 1, numeric);
    if (nb && *b == 'e' && b[1]) b += 1 + strspn(b + 1, numeric);
  }
  return *a == *b;
}

double dpi_point_cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

dp_status dpi_multistart_nothing(const dpi_campaign *c) {
  const dpi_multistart *ms = c->ms;
  const char *kind[KINDS];
  int count[KINDS], nkind = 0;
  char text[800] = "";
  size_t used = 0;
  for (int k = 0; k < ms->nstart; k++) {
    int i = 0;
    while (i < nkind && !same_kind(kind[i], ms->start[k].reason)) i++;
    if (i == KINDS) continue;
    if (i == nkind) {
      kind[nkind] = ms->start[k].reason;
      count[nkind++] = 0;
    }
    count[i]++;
  }
  for (int shown = 0; shown < SHOWN && shown < nkind; shown++) {
    int most = 0;
    for (int i = 1; i < nkind; i++) {
      if (count[i] > count[most]) most = i;
    }
    if (count[most] == 0) break;
    const char *reason = kind[most][0] ? kind[most] : "no reason was given";
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%d times '%s'", used ? ", " : "", count[most], reason);
    count[most] = 0;
  }
  return dpi_fail(c->d->ctx, DP_ERR_CONVERGE,
                  "none of %d starts could be evaluated (%ld points tried): %s; narrow the bounds or give a start",
                  ms->nstart, ms->neval, text);
}

/* ---- tables ---- */

static void add_number(dpi_str *out, double x) {
  char text[32];
  dpi_format_double(x, text);
  dpi_str_addf(out, "\t%s", text);
}

void dpi_multistart_write(const dpi_multistart *ms, const dpi_density *d, dpi_str *out) {
  double best = ms->nfound ? ms->start[ms->order[0]].j : INFINITY;
  dpi_str_add(out, "rank\tstart\tJ\tJ-best\toptimum\tend\tevaluations\tJ at start\n");
  for (int r = 0; r < ms->nfound; r++) {
    const dpi_start *s = &ms->start[ms->order[r]];
    dpi_str_addf(out, "%d\t%d", r + 1, ms->order[r] + 1);
    add_number(out, s->j);
    add_number(out, s->j - best);
    dpi_str_addf(out, "\t%d\t%s\t%ld", s->optimum + 1, dpi_trust_end_name(s->end), s->neval);
    add_number(out, s->j0);
    dpi_str_add(out, "\n");
  }
  dpi_str_add(out, "\noptimum\tJ\tstarts");
  for (int i = 0; i < d->n; i++) dpi_str_addf(out, "\t%s", d->name[i]);
  dpi_str_add(out, "\n");
  for (int o = 0; o < ms->noptimum; o++) {
    dpi_str_addf(out, "%d", o + 1);
    add_number(out, ms->optimum[o].j);
    dpi_str_addf(out, "\t%d", ms->optimum[o].count);
    for (int i = 0; i < d->n; i++) add_number(out, ms->optimum[o].x[i]);
    dpi_str_add(out, "\n");
  }
}
