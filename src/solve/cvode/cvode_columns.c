/* cvode_columns.c - floor 3: vectors of SUNDIALS that hold all sensitivities at once (cvode_columns.h says why and what
 * holds).
 */
#include "solve/cvode/cvode_columns.h"

#include <math.h>
#include <nvector/nvector_serial.h>
#include <string.h>

#define KERNELS dpi_columns_base
#define WIDE 2
#include "solve/cvode/cvode_columns_body.h"

#define LINE 64 /* bytes */

#define SLOTS 96 /* vectors at once: CVODES has about 45 */

/* What is behind a vector. It stays, with its memory, when the vector goes, and serves the next. */
typedef struct dpi_columns_slot {
  struct _N_VectorContent_Serial serial; /* length: of the shape it has now; data: where its numbers are */
  dpi_columns *family;
  void *block;     /* owned */
  double *own;     /* in it, where a line of the cache begins: wide registers want it so */
  size_t room;     /* elements of own */
  int nc, made;    /* columns now, and when it was made */
  unsigned queued; /* the epoch in which it last waited */
  bool used;
} content;

static content *in(N_Vector v) { return v->content; }

/* ---- the family ---- */

static const dpi_columns_kernels *best_kernels(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return &dpi_columns_avx512;
  if (__builtin_cpu_supports("avx")) return &dpi_columns_avx;
#endif
  return &dpi_columns_base;
}

dp_status dpi_columns_init(dp_ctx *ctx, int n, int most, dpi_columns *f) {
  *f = (dpi_columns){.ctx = ctx, .kernels = best_kernels(), .n = n, .most = most, .epoch = 1};
  f->sum = DPI_NEW_ARRAY(ctx, double, most + 1);
  f->slot = DPI_NEW_ARRAY(ctx, content, SLOTS);
  return f->sum && f->slot ? DP_OK : DP_ERR_MEMORY;
}

void dpi_columns_release(dpi_columns *f) {
  if (!f->ctx) return;
  for (int i = 0; f->slot && i < SLOTS; i++) dpi_free(f->ctx, f->slot[i].block);
  dpi_free(f->ctx, f->slot);
  dpi_free(f->ctx, f->sum);
  *f = (dpi_columns){0};
}

static void flush(dpi_columns *f) {
  if (f->nqueue > 0) f->kernels->elements(f->queue, f->nqueue, f->count);
  f->nqueue = 0;
  f->epoch++;
}

/* Do what waits if v has to do with it. */
static void settle(N_Vector v) {
  content *c = in(v);
  if (c->queued == c->family->epoch) flush(c->family);
}

/* ---- a vector ---- */

/* Room for `need` elements instead of what there is. */
static bool make_room(content *c, size_t need) {
  dp_ctx *ctx = c->family->ctx;
  void *block = need > SIZE_MAX / sizeof(double) - LINE ? NULL : dpi_alloc(ctx, need * sizeof(double) + LINE);
  if (!block) {
    c->family->no_memory = true;
    return false;
  }
  dpi_free(ctx, c->block);
  c->block = block;
  c->own = (double *)(((uintptr_t)block + LINE - 1) / LINE * LINE);
  c->serial.data = c->own;
  c->room = need;
  return true;
}

/* This many columns, the content lost; false: no memory. */
static bool reshape(N_Vector v, int nc) {
  content *c = in(v);
  dpi_columns *f = c->family;
  const size_t need = (size_t)f->n * (size_t)nc;
  if (c->nc == nc) return true;
  settle(v);
  if (c->serial.data == c->own && need > c->room && !make_room(c, need)) return false;
  c->nc = nc;
  c->serial.length = (sunindextype)need;
  return true;
}

static void columns_destroy(N_Vector v) {
  if (!v) return;
  if (v->content) {
    settle(v);
    in(v)->used = false;
    v->content = NULL;
  }
  N_VFreeEmpty(v);
}

/* A slot for so many numbers: the smallest that has room, else the smallest of all. */
static content *take_slot(dpi_columns *f, size_t need) {
  content *best = NULL;
  for (content *c = f->slot; c < f->slot + SLOTS; c++) {
    if (c->used) continue;
    const bool fits = c->block && c->room >= need, did = best && best->block && best->room >= need;
    if (!best || (fits && !did) || (fits == did && c->room < best->room)) best = c;
  }
  DP_ASSERT(best);
  return best;
}

static N_Vector_ID columns_id(N_Vector v) {
  (void)v;
  return SUNDIALS_NVEC_SERIAL; /* by its layout: see invariant 5 */
}

static N_Vector columns_clone(N_Vector v) { return dpi_columns_new(in(v)->family, v->sunctx, in(v)->made); }
static realtype *columns_array(N_Vector v) { return dpi_columns_data(v); }
static sunindextype columns_length(N_Vector v) { return in(v)->serial.length; }

/* ---- element by element ---- */

/* Columns wait; a state alone is done at once, after what it has to do with. x or y may be NULL. */
static void put(dpi_columns_kind kind, double a, N_Vector x, double b, N_Vector y, N_Vector z) {
  dpi_columns *f = in(z)->family;
  if (f->no_memory || !reshape(z, x ? in(x)->nc : in(z)->made)) return;
  DP_ASSERT(!y || in(y)->nc == in(z)->nc);
  const dpi_columns_op op = {.kind = kind,
                             .a = a,
                             .b = b,
                             .x = x ? in(x)->serial.data : NULL,
                             .y = y ? in(y)->serial.data : NULL,
                             .z = in(z)->serial.data};
  const size_t count = (size_t)in(z)->serial.length;
  if (in(z)->nc == 1) {
    if (x) settle(x);
    if (y) settle(y);
    settle(z);
    f->kernels->elements(&op, 1, count);
    return;
  }
  if (f->nqueue == DPI_COLUMNS_QUEUE || (f->nqueue > 0 && f->count != count)) flush(f);
  f->count = count;
  f->queue[f->nqueue++] = op;
  if (x) in(x)->queued = f->epoch;
  if (y) in(y)->queued = f->epoch;
  in(z)->queued = f->epoch;
}

/* In the library's arrangement, so that rounding is the same: equal factors are taken out. */
static void columns_sum(realtype a, N_Vector x, realtype b, N_Vector y, N_Vector z) {
  if (fabs(a) == fabs(b) && fabs(a) != 1.0)
    put(DPI_COLUMNS_BOTH, a, x, a == b ? 1.0 : -1.0, y, z);
  else
    put(DPI_COLUMNS_SUM, a, x, b, y, z);
}

static void columns_const(realtype a, N_Vector z) { put(DPI_COLUMNS_SET, a, NULL, 0, NULL, z); }
static void columns_prod(N_Vector x, N_Vector y, N_Vector z) { put(DPI_COLUMNS_PRODUCT, 0, x, 0, y, z); }
static void columns_div(N_Vector x, N_Vector y, N_Vector z) { put(DPI_COLUMNS_QUOTIENT, 0, x, 0, y, z); }
static void columns_abs(N_Vector x, N_Vector z) { put(DPI_COLUMNS_SIZE, 0, x, 0, NULL, z); }
static void columns_inv(N_Vector x, N_Vector z) { put(DPI_COLUMNS_INVERSE, 0, x, 0, NULL, z); }
static void columns_add(N_Vector x, realtype a, N_Vector z) { put(DPI_COLUMNS_ADD, a, x, 0, NULL, z); }
static void columns_scale(realtype a, N_Vector x, N_Vector z) {
  if (a != 1.0 || x != z) put(DPI_COLUMNS_SCALE, a, x, 0, NULL, z);
}

/* ---- numbers out of it ---- */

static realtype columns_wrms(N_Vector x, N_Vector w) {
  dpi_columns *f = in(x)->family;
  const int nc = in(x)->nc;
  if (f->no_memory || in(w)->nc != nc) return NAN;
  f->kernels->squares(f->n, nc, dpi_columns_data(x), dpi_columns_data(w), f->sum);
  double most = sqrt(f->sum[0] / f->n);
  for (int c = 1; c < nc; c++) {
    const double norm = sqrt(f->sum[c] / f->n);
    if (norm > most) most = norm;
  }
  return most;
}

static realtype columns_max(N_Vector v) {
  const double *x = dpi_columns_data(v);
  double most = 0.0;
  for (sunindextype i = 0; i < in(v)->serial.length; i++)
    if (fabs(x[i]) > most) most = fabs(x[i]);
  return most;
}

static realtype columns_min(N_Vector v) {
  const double *x = dpi_columns_data(v);
  double least = x[0];
  for (sunindextype i = 1; i < in(v)->serial.length; i++)
    if (x[i] < least) least = x[i];
  return least;
}

static void set_operations(N_Vector_Ops o) {
  o->nvgetvectorid = columns_id;
  o->nvclone = columns_clone;
  o->nvdestroy = columns_destroy;
  o->nvgetarraypointer = columns_array;
  o->nvgetlength = columns_length;
  o->nvlinearsum = columns_sum;
  o->nvconst = columns_const;
  o->nvprod = columns_prod;
  o->nvdiv = columns_div;
  o->nvscale = columns_scale;
  o->nvabs = columns_abs;
  o->nvinv = columns_inv;
  o->nvaddconst = columns_add;
  o->nvmaxnorm = columns_max;
  o->nvwrmsnorm = columns_wrms;
  o->nvmin = columns_min;
}

N_Vector dpi_columns_new(dpi_columns *f, SUNContext sun, int nc) {
  const size_t need = (size_t)f->n * (size_t)nc;
  content *c = take_slot(f, need);
  N_Vector v = c ? N_VNewEmpty(sun) : NULL;
  if (!v) return NULL;
  set_operations(v->ops);
  c->used = true;
  c->family = f;
  c->made = c->nc = nc;
  c->queued = 0;
  c->serial.length = (sunindextype)need;
  c->serial.data = c->own;
  v->content = c;
  if (!c->block || c->room < need) make_room(c, need);
  if (!f->no_memory) memset(c->own, 0, need * sizeof *c->own);
  return v;
}

void dpi_columns_set(N_Vector v, int nc) {
  in(v)->made = nc;
  reshape(v, nc);
}

double *dpi_columns_begin(N_Vector v) {
  settle(v);
  reshape(v, in(v)->made);
  return in(v)->serial.data;
}

double *dpi_columns_data(N_Vector v) {
  settle(v);
  return in(v)->serial.data;
}

void dpi_columns_lend(N_Vector v, double *data) {
  settle(v);
  in(v)->serial.data = data ? data : in(v)->own;
}

int dpi_columns_count(N_Vector v) { return in(v)->nc; }
