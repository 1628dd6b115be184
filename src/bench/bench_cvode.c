/* bench_cvode.c - floor 8: the peer. CVODE's BDF over compiled derivatives, one solver for all members.
 *
 * Compiled twice where another build of SUNDIALS is given (room.cmake): into the library against the installed one, and
 * as a module that is loaded beside it. So nothing here needs the rest of the program, and memory comes from the C
 * library as CVODE's own does. SUNDIALS 6 and 7.
 *
 * A member is a CVodeReInit, and so is each place where an infusion starts or ends: integration stops there exactly. A
 * state that our model keeps only as a memory (p->memory) is no state here but a known function of time: at the start
 * of an infusion into it the sum of two states, from then on what has been infused besides.
 */
#include <cvodes/cvodes.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdlib.h>
#include <string.h>
#include <sundials/sundials_version.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunmatrix/sunmatrix_sparse.h>

#include "bench/bench_impl.h"

#if SUNDIALS_VERSION_MAJOR >= 7
typedef sunrealtype realtype;
#define NO_COMMUNICATOR SUN_COMM_NULL
#else
#define NO_COMMUNICATOR NULL
#endif

enum { MAX_STATE = 32, MAX_PARAM = 64, MAX_BREAK = 32, MAX_NNZ = 256 };

struct dpi_bench_cvode {
  const dpi_bench_case *c;
  const dpi_bench_peer *peer;
  SUNContext sun;
  void *mem;
  N_Vector y;
  SUNMatrix jac;
  SUNLinearSolver lin;
  double p[MAX_PARAM];
  double input[MAX_STATE]; /* of the present piece */
  bool driven;
  double *memory; /* in p, or NULL */
  double memory0, memory_rate, memory_t0;
  double breaks[MAX_BREAK]; /* ascending, first 0, last t_end */
  int nbreak;
  double sum;
};

static void before(struct dpi_bench_cvode *s, double t) {
  if (s->memory) *s->memory = s->memory0 + s->memory_rate * (t - s->memory_t0);
}

static int call_rhs(realtype t, N_Vector y, N_Vector ydot, void *user) {
  struct dpi_bench_cvode *s = user;
  double *f = NV_DATA_S(ydot);
  before(s, t);
  s->peer->rhs(t, NV_DATA_S(y), s->p, f);
  if (s->driven)
    for (int j = 0; j < s->peer->nstate; j++) f[j] += s->input[j];
  return 0;
}

static int call_jac_dense(realtype t, N_Vector y, N_Vector fy, SUNMatrix m, void *user, N_Vector t1, N_Vector t2,
                          N_Vector t3) {
  (void)fy, (void)t1, (void)t2, (void)t3;
  struct dpi_bench_cvode *s = user;
  const dpi_bench_peer *e = s->peer;
  double v[MAX_NNZ];
  before(s, t);
  e->jac(t, NV_DATA_S(y), s->p, v);
  for (int j = 0; j < e->nstate; j++) {
    double *column = SM_COLUMN_D(m, j);
    for (int k = e->column[j]; k < e->column[j + 1]; k++) column[e->row[k]] = v[k];
  }
  return 0;
}

static int call_jac_klu(realtype t, N_Vector y, N_Vector fy, SUNMatrix m, void *user, N_Vector t1, N_Vector t2,
                        N_Vector t3) {
  (void)fy, (void)t1, (void)t2, (void)t3;
  struct dpi_bench_cvode *s = user;
  const dpi_bench_peer *e = s->peer;
  sunindextype *pointer = SM_INDEXPTRS_S(m), *index = SM_INDEXVALS_S(m);
  before(s, t);
  e->jac(t, NV_DATA_S(y), s->p, SM_DATA_S(m));
  for (int j = 0; j <= e->nstate; j++) pointer[j] = e->column[j];
  for (int k = 0; k < e->nnz; k++) index[k] = e->row[k];
  return 0;
}

/* Where integration must stop: starts and ends of infusions. */
static void find_breaks(struct dpi_bench_cvode *s) {
  const dpi_bench_problem *p = s->c->problem;
  s->breaks[s->nbreak++] = 0.0;
  for (int k = 0; k < 2 * p->ninfusion; k++) {
    const dpi_bench_infusion *in = &p->infusion[k / 2];
    double t = k % 2 ? in->start + in->amount / in->rate : in->start;
    int at = 0;
    while (at < s->nbreak && s->breaks[at] < t) at++;
    if (t >= p->t_end || (at < s->nbreak && s->breaks[at] == t)) continue;
    memmove(&s->breaks[at + 1], &s->breaks[at], (size_t)(s->nbreak - at) * sizeof *s->breaks);
    s->breaks[at] = t;
    s->nbreak++;
  }
  s->breaks[s->nbreak++] = p->t_end;
}

static dp_status set_up(struct dpi_bench_cvode *s, bool klu, double rtol, double atol) {
  const int n = s->peer->nstate;
  bool fine = SUNContext_Create(NO_COMMUNICATOR, &s->sun) == 0;
  fine = fine && (s->y = N_VNew_Serial(n, s->sun)) != NULL;
  if (fine) N_VConst(0.0, s->y);
  fine = fine &&
         (s->jac = klu ? SUNSparseMatrix(n, n, s->peer->nnz, CSC_MAT, s->sun) : SUNDenseMatrix(n, n, s->sun)) != NULL;
  fine = fine && (s->lin = klu ? SUNLinSol_KLU(s->y, s->jac, s->sun) : SUNLinSol_Dense(s->y, s->jac, s->sun)) != NULL;
  fine = fine && (s->mem = CVodeCreate(CV_BDF, s->sun)) != NULL;
  fine = fine && CVodeInit(s->mem, call_rhs, 0.0, s->y) == 0 && CVodeSStolerances(s->mem, rtol, atol) == 0;
  fine = fine && CVodeSetUserData(s->mem, s) == 0 && CVodeSetLinearSolver(s->mem, s->lin, s->jac) == 0;
  fine = fine && CVodeSetJacFn(s->mem, klu ? call_jac_klu : call_jac_dense) == 0;
  fine = fine && CVodeSetMaxNumSteps(s->mem, 1000000) == 0;
#if SUNDIALS_VERSION_MAJOR < 7
  fine = fine && CVodeSetErrFile(s->mem, NULL) == 0;
#else
  if (fine) SUNContext_ClearErrHandlers(s->sun);
#endif
  return fine ? DP_OK : DP_ERR_MEMORY;
}

static void cvode_destroy(dpi_bench_cvode *s) {
  if (!s) return;
  if (s->mem) CVodeFree(&s->mem);
  if (s->lin) SUNLinSolFree(s->lin);
  if (s->jac) SUNMatDestroy(s->jac);
  if (s->y) N_VDestroy(s->y);
  if (s->sun) SUNContext_Free(&s->sun);
  free(s);
}

static dpi_bench_cvode *cvode_create(const dpi_bench_case *c, bool klu, double rtol, double atol) {
  const dpi_bench_problem *p = c->problem;
  if (p->peer->nstate > MAX_STATE || p->peer->nparam > MAX_PARAM || 2 * p->ninfusion + 2 > MAX_BREAK ||
      p->peer->nnz > MAX_NNZ)
    return NULL;
  struct dpi_bench_cvode *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->c = c;
  s->peer = p->peer;
  if (p->memory) s->memory = &s->p[p->peer->nparam - 1];
  s->driven = p->ninfusion > 0;
  find_breaks(s);
  if (set_up(s, klu, rtol, atol) == DP_OK) return s;
  cvode_destroy(s);
  return NULL;
}

static int state_of(const dpi_bench_peer *e, const char *id) {
  for (int j = 0; j < e->nstate; j++)
    if (strcmp(e->state_id[j], id) == 0) return j;
  return -1;
}

/* What flows in from t on, and the memory's new course. */
static void begin_piece(struct dpi_bench_cvode *s, double t) {
  const dpi_bench_problem *p = s->c->problem;
  const double *x = NV_DATA_S(s->y);
  before(s, t);
  double memory = s->memory ? *s->memory : 0.0, rate = 0.0;
  memset(s->input, 0, sizeof s->input);
  for (int k = 0; k < p->ninfusion; k++) {
    const dpi_bench_infusion *in = &p->infusion[k];
    int j = state_of(s->peer, in->state);
    bool on = in->start <= t && t < in->start + in->amount / in->rate;
    if (on && j >= 0) s->input[j] += in->rate;
    if (on && j < 0) rate += in->rate;
    if (j < 0 && in->start == t) memory = x[state_of(s->peer, p->memory_of[0])] + x[state_of(s->peer, p->memory_of[1])];
  }
  s->memory0 = memory;
  s->memory_rate = rate;
  s->memory_t0 = t;
}

/* States to value [nstate], or only looked at. */
static void give(struct dpi_bench_cvode *s, double *value, int k) {
  const int n = s->peer->nstate;
  const double *x = NV_DATA_S(s->y);
  if (value)
    memcpy(value + (size_t)k * (size_t)n, x, (size_t)n * sizeof *value);
  else
    for (int j = 0; j < n; j++) s->sum += x[j];
}

/* value: [nout x nstate] or NULL */
static bool run_member(struct dpi_bench_cvode *s, double *value, long *nstep) {
  const dpi_bench_problem *p = s->c->problem;
  int k = 0;
  s->memory0 = s->memory_rate = s->memory_t0 = 0.0;
  s->peer->start(s->p, NV_DATA_S(s->y));
  for (int b = 0; b + 1 < s->nbreak; b++) {
    const double from = s->breaks[b], to = s->breaks[b + 1];
    double t = from;
    long steps = 0;
    if (s->driven) begin_piece(s, from);
    if (CVodeReInit(s->mem, from, s->y) || CVodeSetStopTime(s->mem, to)) return false;
    for (; k < p->nout && p->out[k] <= to; k++) {
      if (CVode(s->mem, p->out[k], s->y, &t, CV_NORMAL) < 0) return false;
      give(s, value, k);
    }
    if (t < to && CVode(s->mem, to, s->y, &t, CV_NORMAL) < 0) return false;
    CVodeGetNumSteps(s->mem, &steps);
    *nstep += steps;
  }
  return true;
}

static void cvode_run(dpi_bench_cvode *s, const double *param, int n, double *value, dpi_bench_count *count) {
  const dpi_bench_case *c = s->c;
  const size_t size = (size_t)s->peer->nstate * (size_t)c->problem->nout;
  *count = (dpi_bench_count){0};
  for (int i = 0; i < n; i++) {
    const double *p = param + (size_t)i * (size_t)c->nparam;
    for (int k = 0; k < s->peer->nparam; k++)
      if (c->peer_param[k] >= 0) s->p[k] = p[c->peer_param[k]];
    double *v = value ? value + (size_t)i * size : NULL;
    for (size_t k = 0; v && k < size; k++) v[k] = NAN;
    count->nfailed += !run_member(s, v, &count->nstep);
  }
}

static void cvode_version(char *text, size_t size) {
  if (SUNDIALSGetVersion(text, (int)size)) text[0] = 0;
}

#ifdef DPI_BENCH_MODULE
extern const dpi_bench_cvode_ops dpi_bench_cvode_module;
const dpi_bench_cvode_ops dpi_bench_cvode_module = {
#else
const dpi_bench_cvode_ops dpi_bench_cvode_installed = {
#endif
    .create = cvode_create,
    .destroy = cvode_destroy,
    .run = cvode_run,
    .version = cvode_version,
};
