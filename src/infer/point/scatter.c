/* scatter.c - floor 6, inside infer/point: scatter search over what many starts have found.
 *
 * A generation:  scan the best member that was not yet -> combine, perturb -> search on -> take into the set.
 *
 * Its file, a table of text, written whole after each generation:
 *
 *     doppel scatter 1
 *     problem <sha-256 of all that the places tried follow from>
 *     state   <generations> <idle ones> <searches> <better ones> <points> <not evaluable>
 *     member  <j> <scanned> <open> <x...>         best first
 *     end
 */
#include "infer/point/scatter.h"

#include <math.h>
#include <string.h>

#include "infer/point/point_impl.h"
#include "num/num.h"

enum { PURPOSE_SCAN = 0x53434154, PURPOSE_PLACES = 0x504c4143 };

#define NOWHERE 1e300     /* J where it can't be evaluated: worse than anything, and still comparable */
#define FAR 0.05          /* of the box: a level of a scan that is further off leads out of the valley */
#define FAR_STARTS 3      /* searches from single parameters moved far */
#define PASSES 6          /* of putting good levels together */
#define BEYOND 0.5        /* of the distance of two members: how far combinations go past them */
#define WIDTH_LOW 0.003   /* perturbations, of the box */
#define WIDTH_HIGH 0.2
#define FAVOUR 0.7        /* chance that a parent is sought further down the set, rank by rank */
#define HEAD "doppel scatter 1"

typedef struct member {
  double j, *x;
  bool scanned, open; /* open: its search has not ended */
} member;

typedef struct scatter {
  dpi_density *d;
  const dpi_scatter_def *def;
  dpi_scatter *out;
  size_t n;
  double *low, *high;      /* [n] the box, finite */
  member *set;             /* [members + 1] by J; the last is room */
  int nset, idle;
  double *pool, *pool_j;   /* [cap x n], [cap]: places to be looked at */
  int npool, cap;
  dpi_density_value *value; /* [batch] */
  double *start;           /* [nstart_most x n] of this generation's searches */
  int nstart, nstart_most;
  int *order;              /* [cap] */
  double *level;           /* [n] best level of each parameter in a scan */
  double begun;
  bool spent;
  char identity[65];
  void *block;
} scatter;

dpi_scatter_def dpi_scatter_def_default(void) {
  return (dpi_scatter_def){.local = dpi_multistart_def_default(),
                           .members = 10,
                           .families = 8,
                           .places = 10,
                           .levels = 6,
                           .steps = 50,
                           .patience = 15};
}

void dpi_scatter_destroy(dpi_scatter *s) {
  if (!s) return;
  dp_ctx *ctx = s->ctx;
  dpi_free(ctx, s->j);
  dpi_free(ctx, s);
}

/* ---- set up ---- */

static int most(int a, int b) { return a > b ? a : b; }

static dp_status check_def(dpi_density *d, const dpi_scatter_def *f) {
  if (f->members < 2 || f->families < 1 || f->places < 1 || f->levels < 0 || f->steps < 1 || f->patience < 1 ||
      f->local.batch < 1 || f->members > 10000 || f->families > 10000 || f->places > 10000 || f->levels > 10000)
    return dpi_fail(d->ctx, DP_ERR_USAGE,
                    "scatter search: %d members, %d families of %d places, %d levels, %d steps, patience %d, batch %d: "
                    "out of range",
                    f->members, f->families, f->places, f->levels, f->steps, f->patience, f->local.batch);
  return DP_OK;
}

static dp_status make_result(scatter *s) {
  dp_ctx *ctx = s->d->ctx;
  s->out = DPI_NEW(ctx, dpi_scatter);
  if (!s->out) return DP_ERR_MEMORY;
  s->out->ctx = ctx;
  s->out->n = (int)s->n;
  s->out->j = DPI_NEW_ARRAY(ctx, double, (size_t)s->def->members * (1 + s->n));
  s->out->x = s->out->j ? s->out->j + s->def->members : NULL;
  return s->out->j ? DP_OK : DP_ERR_MEMORY;
}

static dp_status make(scatter *s) {
  dp_ctx *ctx = s->d->ctx;
  const dpi_scatter_def *f = s->def;
  const size_t n = s->n, rows = (size_t)f->members + 1;
  s->cap = most(f->families * f->places, (int)n * most(f->levels, 1));
  s->nstart_most = f->families + f->members + FAR_STARTS + 1;
  DP_TRY(make_result(s));
  double *p = s->block =
      DPI_NEW_ARRAY(ctx, double, 3 * n + rows * n + (size_t)s->cap * (n + 1) + (size_t)s->nstart_most * n + 1);
  s->set = DPI_NEW_ARRAY(ctx, member, rows);
  s->value = DPI_NEW_ARRAY(ctx, dpi_density_value, f->local.batch);
  s->order = DPI_NEW_ARRAY(ctx, int, s->cap + 1);
  if (!p || !s->set || !s->value || !s->order) return DP_ERR_MEMORY;
  s->low = p;
  s->high = s->low + n;
  s->level = s->high + n;
  p = s->level + n;
  for (size_t k = 0; k < rows; k++, p += n) s->set[k].x = p;
  s->pool = p;
  s->pool_j = s->pool + (size_t)s->cap * n;
  s->start = s->pool_j + s->cap;
  s->begun = dpi_point_cpu();
  return DP_OK;
}

static void drop(scatter *s) {
  dp_ctx *ctx = s->d->ctx;
  dpi_free(ctx, s->block);
  dpi_free(ctx, s->set);
  dpi_free(ctx, s->value);
  dpi_free(ctx, s->order);
}

/* ---- the set ---- */

/* Into the set, which is kept by J: of two with the same J only the better stays. false: it is not good enough. */
static bool take(scatter *s, double j, const double *x, bool scanned, bool open) {
  const double tol = s->def->local.j_tol;
  int at = 0, gone = s->nset;
  if (!(j < NOWHERE)) return false;
  for (int k = 0; k < s->nset; k++) {
    if (fabs(s->set[k].j - j) >= tol) continue;
    if (s->set[k].j <= j) return false;
    scanned = scanned || s->set[k].scanned; /* the same place, a little further down */
    gone = k;
    break;
  }
  if (gone == s->nset && s->nset == s->def->members) {
    gone = s->nset - 1;
    if (j >= s->set[gone].j) return false;
  }
  if (gone == s->nset) s->nset++;
  double *row = s->set[gone].x;
  for (at = gone; at > 0 && s->set[at - 1].j > j; at--) s->set[at] = s->set[at - 1];
  s->set[at] = (member){j, row, scanned, open};
  memcpy(row, x, s->n * sizeof *row);
  return true;
}

/* The box; where it is infinite, what the members span and as much as they are large on either side. */
static void make_box(scatter *s) {
  for (size_t i = 0; i < s->n; i++) {
    double low = INFINITY, high = -INFINITY;
    for (int k = 0; k < s->nset; k++) {
      low = fmin(low, s->set[k].x[i]);
      high = fmax(high, s->set[k].x[i]);
    }
    const double room = 5 * fmax(1, fmax(fabs(low), fabs(high)));
    s->low[i] = isfinite(s->d->lower[i]) ? s->d->lower[i] : low - room;
    s->high[i] = isfinite(s->d->upper[i]) ? s->d->upper[i] : high + room;
  }
}

/* ---- values ---- */

static bool time_is_spent(scatter *s) {
  if (s->def->max_cpu > 0 && dpi_point_cpu() - s->begun >= s->def->max_cpu) s->spent = true;
  return s->spent;
}

/* J of all places in the pool, batch by batch; what time does not allow is nowhere. */
static dp_status look(scatter *s) {
  for (int from = 0; from < s->npool; from += s->def->local.batch) {
    const int left = s->npool - from, m = left < s->def->local.batch ? left : s->def->local.batch;
    for (int k = 0; k < m; k++) s->pool_j[from + k] = NOWHERE;
    if (time_is_spent(s)) continue;
    if (dp_ctx_cancelled(s->d->ctx)) return DP_ERR_CANCELLED;
    memset(s->value, 0, sizeof *s->value * (size_t)m);
    DP_TRY(dpi_density_eval(s->d, m, s->pool + (size_t)from * s->n, DPI_DENSITY_VALUE, s->value));
    s->out->neval += m;
    for (int k = 0; k < m; k++) {
      const double j = -(s->value[k].loglik + s->value[k].logprior);
      if (s->value[k].ok && isfinite(j)) s->pool_j[from + k] = j;
      else s->out->nfailed++;
    }
  }
  return DP_OK;
}

static double *place(scatter *s, const double *x) {
  double *p = s->pool + (size_t)s->npool++ * s->n;
  memcpy(p, x, s->n * sizeof *p);
  return p;
}

static void begin_at(scatter *s, const double *x) {
  if (s->nstart < s->nstart_most) memcpy(s->start + (size_t)s->nstart++ * s->n, x, s->n * sizeof *x);
}

static double within(const scatter *s, size_t i, double x) { return fmin(fmax(x, s->low[i]), s->high[i]); }

/* ---- scans ---- */

/* The best level of each parameter is kept in s->level, its J in pool_j[i * levels]; order: parameters by that. */
static dp_status scan_levels(scatter *s, const member *m) {
  const int levels = s->def->levels, n = (int)s->n;
  dpi_rng rng = dpi_rng_make(s->def->local.seed, (uint64_t)s->out->generations, PURPOSE_SCAN);
  s->npool = 0;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < levels; k++) {
      const double u = (k + dpi_rng_uniform(&rng)) / levels;
      place(s, m->x)[i] = within(s, (size_t)i, s->low[i] + u * (s->high[i] - s->low[i]));
    }
  DP_TRY(look(s));
  for (int i = 0; i < n; i++) {
    int best = i * levels;
    for (int k = best + 1; k < (i + 1) * levels; k++)
      if (s->pool_j[k] < s->pool_j[best]) best = k;
    s->level[i] = s->pool[(size_t)best * s->n + (size_t)i];
    s->pool_j[i] = s->pool_j[best]; /* i <= best, and what lies between has been looked at */
  }
  dpi_argsort(s->pool_j, n, s->order);
  return DP_OK;
}

/* Good levels of several parameters together, the best first, as long as J falls; one that spoils it is left out. x is
 * where it begins and ends. */
static dp_status put_together(scatter *s, const int *good, int ngood, double *x, double *j) {
  int at = 0;
  for (int pass = 0; pass < PASSES && at < ngood; pass++) {
    int best = -1;
    s->npool = 0;
    for (int k = at; k < ngood && s->npool < s->cap; k++) {
      double *p = place(s, k == at ? x : s->pool + (size_t)(s->npool - 1) * s->n);
      p[good[k]] = s->level[good[k]];
    }
    DP_TRY(look(s));
    for (int k = 0; k < s->npool; k++)
      if (s->pool_j[k] < (best < 0 ? *j : s->pool_j[best])) best = k;
    if (best >= 0) {
      *j = s->pool_j[best];
      memcpy(x, s->pool + (size_t)best * s->n, s->n * sizeof *x);
    }
    at += best + 2; /* what came next did not help */
  }
  return DP_OK;
}

/* The best member that was not yet scanned; searches begin where its parameters are better put together, and where
 * single ones are far from where they were. */
static dp_status scan(scatter *s) {
  member *m = NULL;
  for (int k = 0; k < s->nset && !m; k++)
    if (!s->set[k].scanned && !s->set[k].open) m = &s->set[k];
  if (!m || s->def->levels == 0) return DP_OK;
  DP_TRY(scan_levels(s, m));
  if (time_is_spent(s)) return DP_OK;
  double *x = s->start + (size_t)s->nstart_most * s->n - s->n, j = m->j; /* room that is used last */
  int ngood = 0, nfar = 0;
  const int n = (int)s->n;
  for (int r = 0; r < n && nfar < FAR_STARTS; r++) {
    const int i = s->order[r];
    if (!(s->pool_j[i] < NOWHERE) || fabs(s->level[i] - m->x[i]) < FAR * (s->high[i] - s->low[i])) continue;
    memcpy(x, m->x, s->n * sizeof *x);
    x[i] = s->level[i];
    begin_at(s, x);
    nfar++;
  }
  while (ngood < n && s->pool_j[s->order[ngood]] < m->j) ngood++;
  memcpy(x, m->x, s->n * sizeof *x);
  m->scanned = true;
  if (ngood < 2) return DP_OK;
  DP_TRY(put_together(s, s->order, ngood, x, &j));
  if (j < m->j) begin_at(s, x);
  return DP_OK;
}

/* ---- combinations and perturbations ---- */

static int parent(const scatter *s, dpi_rng *rng) {
  int k = 0;
  while (k < s->nset - 1 && dpi_rng_uniform(rng) < FAVOUR) k++;
  return k;
}

static void combine(scatter *s, dpi_rng *rng, const double *a, const double *b) {
  double *p = place(s, a);
  for (size_t i = 0; i < s->n; i++)
    p[i] = within(s, i, a[i] + (b[i] - a[i]) * ((1 + 2 * BEYOND) * dpi_rng_uniform(rng) - BEYOND));
}

/* Parameters of one or of the other, as they are. */
static void cross(scatter *s, dpi_rng *rng, const double *a, const double *b) {
  double *p = place(s, a);
  for (size_t i = 0; i < s->n; i++)
    if (dpi_rng_uniform(rng) < 0.5) p[i] = b[i];
}

static void perturb(scatter *s, dpi_rng *rng, const double *a, double width, double share) {
  double *p = place(s, a);
  for (size_t i = 0; i < s->n; i++) {
    const double u = dpi_rng_uniform(rng), z = dpi_rng_normal(rng);
    if (u < share) p[i] = within(s, i, a[i] + width * (s->high[i] - s->low[i]) * z);
  }
}

static void family(scatter *s, dpi_rng *rng, bool combined) {
  const int first = parent(s, rng), other = parent(s, rng);
  const double *a = s->set[first].x, u = dpi_rng_uniform(rng), v = dpi_rng_uniform(rng);
  const double width = WIDTH_LOW * dpi_m_exp(u * dpi_m_log(WIDTH_HIGH / WIDTH_LOW)),
               share = fmax(v, 1.5 / (double)s->n);
  const double *b = s->set[other != first ? other : (first + 1) % s->nset].x;
  for (int k = 0; k < s->def->places; k++) {
    if (!combined || s->nset < 2) perturb(s, rng, a, width, share);
    else if (v < 0.5) combine(s, rng, a, b);
    else cross(s, rng, a, b);
  }
}

/* All families are looked at together; the best of each is searched on from. */
static dp_status breed(scatter *s) {
  const int places = s->def->places;
  s->npool = 0;
  for (int f = 0; f < s->def->families; f++) {
    const uint64_t stream = (uint64_t)s->out->generations * 65536u + (uint64_t)f;
    dpi_rng rng = dpi_rng_make(s->def->local.seed, stream, PURPOSE_PLACES);
    family(s, &rng, f % 2 == 0);
  }
  DP_TRY(look(s));
  for (int f = 0; f < s->def->families; f++) {
    int best = f * places;
    for (int k = best + 1; k < (f + 1) * places; k++)
      if (s->pool_j[k] < s->pool_j[best]) best = k;
    if (s->pool_j[best] < NOWHERE) begin_at(s, s->pool + (size_t)best * s->n);
  }
  return DP_OK;
}

/* ---- searches ---- */

static dp_status search_on(scatter *s) {
  dpi_multistart_def f = s->def->local;
  dpi_multistart *ms = NULL;
  f.nstart = 0;
  f.given = s->start;
  f.ngiven = s->nstart;
  f.screen = 1;
  f.race = false;
  f.starts_only = true;
  f.file = NULL;
  f.progress = NULL;
  f.max_eval = 0;
  f.trust.max_iter = s->def->steps;
  if (s->def->max_cpu > 0) f.max_cpu = fmax(s->def->max_cpu - (dpi_point_cpu() - s->begun), 1e-9);
  dp_status status = dpi_multistart_run(s->d, &f, &ms);
  if (status == DP_ERR_CONVERGE) { /* none of them could be evaluated: nothing found this time */
    dp_ctx_clear_error(s->d->ctx);
    return DP_OK;
  }
  if (status != DP_OK) return status;
  s->out->nsearch += ms->nstart;
  s->out->neval += ms->neval;
  s->out->nfailed += ms->nfailed;
  for (int k = 0; k < ms->nstart; k++)
    take(s, ms->start[k].j, ms->start[k].x, false, ms->start[k].end == DPI_TRUST_ITERATIONS);
  dpi_multistart_destroy(ms);
  return DP_OK;
}

static dp_status generation(scatter *s) {
  const double before = s->set[0].j;
  s->nstart = 0;
  for (int k = 0; k < s->nset; k++)
    if (s->set[k].open) {
      begin_at(s, s->set[k].x);
      s->set[k].open = false;
    }
  DP_TRY(scan(s));
  if (!time_is_spent(s)) DP_TRY(breed(s));
  if (!time_is_spent(s) && s->nstart > 0) DP_TRY(search_on(s));
  const bool better = s->set[0].j < before - s->def->local.j_tol;
  s->out->nbetter += better;
  s->idle = better ? 0 : s->idle + 1;
  s->out->generations++;
  return DP_OK;
}

/* ---- the file ---- */

static void add_number(dpi_str *out, double x) {
  char text[32];
  dpi_format_double(x, text);
  dpi_str_addf(out, "\t%s", text);
}

/* What the places tried follow from: the definition, the box and the first set. */
static dp_status identify(scatter *s) {
  const dpi_scatter_def *f = s->def;
  const dpi_trust_def *t = &f->local.trust;
  dpi_str text;
  dpi_str_init(&text, s->d->ctx);
  dpi_str_addf(&text, "%s\n%d %d %d %d %d %d %llu", f->local.key ? f->local.key : "", f->members, f->families,
               f->places, f->levels, f->steps, f->patience, (unsigned long long)f->local.seed);
  dpi_str_addf(&text, " %d %d %d %d %ld", (int)t->hessian, t->exact_max, t->value_first, t->refresh, t->max_eval);
  const double number[] = {t->gtol, t->ftol, t->xtol, t->noise, t->radius, f->local.j_tol};
  for (int k = 0; k < DPI_COUNT(number); k++) add_number(&text, number[k]);
  for (size_t i = 0; i < s->n; i++) {
    dpi_str_addf(&text, "\n%s", s->d->name[i]);
    add_number(&text, s->low[i]);
    add_number(&text, s->high[i]);
    for (int k = 0; k < s->nset; k++) add_number(&text, s->set[k].x[i]);
  }
  dp_status status = text.failed ? DP_ERR_MEMORY : DP_OK;
  if (status == DP_OK) dpi_sha256_hex(text.data, text.len, s->identity);
  dpi_str_release(&text);
  return status;
}

static dp_status save(const scatter *s) {
  const dpi_scatter *o = s->out;
  dpi_str text;
  dpi_str_init(&text, s->d->ctx);
  dpi_str_addf(&text, HEAD "\nproblem\t%s\nstate\t%d\t%d\t%d\t%d\t%ld\t%ld\n", s->identity, o->generations, s->idle,
               o->nsearch, o->nbetter, o->neval, o->nfailed);
  for (int k = 0; k < s->nset; k++) {
    dpi_str_add(&text, "member");
    add_number(&text, s->set[k].j);
    dpi_str_addf(&text, "\t%d\t%d", s->set[k].scanned, s->set[k].open);
    for (size_t i = 0; i < s->n; i++) add_number(&text, s->set[k].x[i]);
    dpi_str_add(&text, "\n");
  }
  dpi_str_add(&text, "end\n");
  dp_status status = text.failed ? DP_ERR_MEMORY : dpi_file_write(s->d->ctx, s->def->file, text.data, text.len);
  dpi_str_release(&text);
  return status;
}

/* Numbers of a line, separated by tabs; false: there are not exactly so many. */
static bool numbers(char *line, double *x, int n) {
  for (int k = 0; k < n; k++) {
    char *tab = line ? strchr(line, '\t') : NULL;
    if (!line) return false;
    if (tab) *tab = 0;
    if (!dpi_parse_double(line, &x[k]) || !isfinite(x[k])) return false;
    line = tab ? tab + 1 : NULL;
  }
  return line == NULL;
}

static bool counts(const double *x, int n) {
  for (int k = 0; k < n; k++)
    if (!(x[k] >= 0 && x[k] <= 2e9 && x[k] == floor(x[k]))) return false;
  return true;
}

static bool read_member(scatter *s, char *line, double *row) {
  if (s->nset >= s->def->members || !numbers(line, row, (int)s->n + 3) || !counts(row + 1, 2)) return false;
  if (row[0] >= NOWHERE || row[1] > 1 || row[2] > 1 || (s->nset > 0 && row[0] < s->set[s->nset - 1].j)) return false;
  for (size_t i = 0; i < s->n; i++)
    if (!(row[3 + i] >= s->d->lower[i] && row[3 + i] <= s->d->upper[i])) return false;
  member *m = &s->set[s->nset++];
  m->j = row[0];
  m->scanned = row[1] != 0;
  m->open = row[2] != 0;
  memcpy(m->x, row + 3, s->n * sizeof *row);
  return true;
}

static bool read_state(scatter *s, char *text, double *row) {
  char *save = NULL, *line = strtok_r(text, "\n", &save);
  if (!line || strncmp(line, "state\t", 6) != 0 || !numbers(line + 6, row, 6) || !counts(row, 6)) return false;
  s->out->generations = (int)row[0];
  s->idle = (int)row[1];
  s->out->nsearch = (int)row[2];
  s->out->nbetter = (int)row[3];
  s->out->neval = (long)row[4];
  s->out->nfailed = (long)row[5];
  s->nset = 0;
  while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
    if (strcmp(line, "end") == 0) return s->nset > 0 && !strtok_r(NULL, "\n", &save);
    if (strncmp(line, "member\t", 7) != 0 || !read_member(s, line + 7, row)) return false;
  }
  return false;
}

static dp_status load(scatter *s) {
  dp_ctx *ctx = s->d->ctx;
  const char *path = s->def->file;
  char *text = NULL, head[128] = HEAD "\nproblem\t";
  size_t size;
  if (!path || !dpi_file_exists(path)) return DP_OK;
  strcat(strcat(head, s->identity), "\n");
  DP_TRY(dpi_file_read(ctx, path, (size_t)1 << 30, &text, &size));
  double *row = DPI_NEW_ARRAY(ctx, double, s->n + 8);
  dp_status status = row ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK && (memchr(text, 0, size) || strncmp(text, HEAD "\n", strlen(HEAD) + 1) != 0))
    status = dpi_fail(ctx, DP_ERR_CONFLICT, "%s: not a file of a scatter search; give another name", path);
  if (status == DP_OK && strncmp(text, head, strlen(head)) != 0)
    status = dpi_fail(ctx, DP_ERR_CONFLICT,
                      "%s: the state of another problem, of other settings or after other starts; give another name or "
                      "remove it",
                      path);
  if (status == DP_OK && !read_state(s, text + strlen(head), row))
    status = dpi_fail(ctx, DP_ERR_INPUT, "%s: damaged; remove the file to begin the scatter search anew", path);
  dpi_free(ctx, text);
  dpi_free(ctx, row);
  return status;
}

/* ---- the whole ---- */

static dp_status run(scatter *s) {
  dp_status status = DP_OK;
  make_box(s);
  DP_TRY(identify(s));
  DP_TRY(load(s));
  while (status == DP_OK && s->idle < s->def->patience && !time_is_spent(s)) {
    status = generation(s);
    if (status == DP_OK && s->def->file && !time_is_spent(s)) status = save(s);
  }
  if (status != DP_OK) return status;
  s->out->ended = !s->spent;
  s->out->nmember = s->nset;
  for (int k = 0; k < s->nset; k++) {
    s->out->j[k] = s->set[k].j;
    memcpy(s->out->x + (size_t)k * s->n, s->set[k].x, s->n * sizeof(double));
  }
  return DP_OK;
}

dp_status dpi_scatter_run(dpi_density *d, const dpi_scatter_def *def, int npoint, const double *x, const double *j,
                          dpi_scatter **out) {
  scatter s = {.d = d, .def = def, .n = (size_t)d->n};
  *out = NULL;
  DP_TRY(check_def(d, def));
  dp_status status = make(&s);
  for (int k = 0; status == DP_OK && k < npoint; k++) take(&s, j[k], x + (size_t)k * s.n, false, false);
  if (status == DP_OK && s.nset == 0)
    status = dpi_fail(d->ctx, DP_ERR_USAGE, "scatter search: there is no place with a finite J to begin with");
  if (status == DP_OK) status = run(&s);
  drop(&s);
  if (status == DP_OK)
    *out = s.out;
  else
    dpi_scatter_destroy(s.out);
  return status;
}
