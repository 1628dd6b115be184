/* bench_solve.c - microseconds a solve takes, by method, and what the interpreter costs against
 * CVODES with a right-hand side and a Jacobian written by hand in C.
 *
 *     bench_solve [--json] [--seconds S]        S seconds a line (default 0.2)
 *
 * Oral: one compartment, 24 h, 11 output times; all methods, without and with three directions.
 * Warfarin: transit depot, gut, centre and effect on the prothrombin complex, typical values of the
 * published population fit of O'Reilly's data (1963, 1968), 144 h, 24 output times; "by hand" is
 * CVODES with the very tolerances that the method cvode asks of it.
 */
#include <cvodes/cvodes.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <time.h>

#include "solve/solve.h"

enum { MAX_STATE = 8, MAX_DIR = 8, MAX_TIME = 32, MAX_LINE = 32 };

static const char oral_text[] =
    "model oral()\n  depot' = -ka*depot\n  central' = ka*depot - CL/V*central\n  depot = 320; "
    "central = 0\n"
    "  ka = 1.5; CL = 2.8; V = 32\nend\n";
static const char warfarin_text[] =
    "model warfarin()\n  depot' = -ktr*depot\n  gut' = ktr*depot - ka*gut\n  centre' = ka*gut - "
    "CL/V*centre\n"
    "  c := centre/V\n  effect' = kin*(1 - Emax*c/(EC50 + c)) - kout*effect\n  kin := E0*kout\n"
    "  depot = 100; gut = 0; centre = 0; effect = 96.5441\n"
    "  ktr = 1.11182; ka = 0.916677; CL = 0.131336; V = 7.92482; Emax = 0.967705; EC50 = 1.007266\n"
    "  kout = 0.0550232; E0 = 96.5441\nend\n";

typedef struct line {
  char name[48];
  double us, ratio; /* ratio to the group's reference, 0: none */
  long steps;
} line;
static line lines[MAX_LINE];
static int nline;
static double seconds = 0.2;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what) {
  fprintf(stderr, "bench_solve: %s\n", what);
  exit(1);
}

static void add_line(const char *name, double us, long steps) {
  if (nline == MAX_LINE) die("too many lines");
  lines[nline] = (line){.us = us, .steps = steps};
  snprintf(lines[nline++].name, sizeof lines[0].name, "%s", name);
}

/* A model ready to run: start state and unit directions of the named parameters. */
typedef struct problem {
  dp_ctx *ctx;
  dp_model *model;
  dpi_system *sys;
  int active[MAX_DIR], nactive;
  double *sym, x0[MAX_STATE], seed[MAX_DIR * MAX_DIR];
  double t_end;
  int nout;
} problem;

static problem open_problem(const char *text, const char *const *active, int nactive, double t_end,
                            int nout) {
  problem p = {.nactive = nactive, .t_end = t_end, .nout = nout};
  dp_ctx_def def = dp_ctx_def_default();
  if (dp_ctx_create(&def, &p.ctx) != DP_OK) die("no context");
  if (dpi_antimony_read(p.ctx, text, strlen(text), "bench.ant", &p.model) != DP_OK)
    die(dp_ctx_error(p.ctx));
  if (dp_model_seal(p.model) != DP_OK) die(dp_ctx_error(p.ctx));
  for (int a = 0; a < nactive; a++) p.active[a] = dpi_model_find(p.model, active[a]);
  if (dpi_system_create(p.ctx, p.model, p.active, nactive, &p.sys) != DP_OK)
    die(dp_ctx_error(p.ctx));
  p.sym = calloc((size_t)p.model->nsym, sizeof *p.sym);
  double *init = calloc((size_t)p.sys->nstate * (size_t)(1 + nactive), sizeof *init);
  double *reg = calloc((size_t)dpi_tape_nreg(p.sys->init), sizeof *reg);
  if (!p.sym || !init || !reg) die("no memory");
  for (int i = 0; i < p.model->nsym; i++)
    if (p.model->sym[i].kind == DPI_SYM_PARAM) p.sym[i] = p.model->sym[i].value;
  dpi_tape_init(p.sys->init, reg);
  dpi_tape_prologue(p.sys->init, p.sym, reg);
  dpi_tape_eval(p.sys->init, p.sym, reg, init);
  memcpy(p.x0, init, (size_t)p.sys->nstate * sizeof *init);
  for (int a = 0; a < nactive; a++) p.seed[a * nactive + a] = 1.0;
  free(init);
  free(reg);
  return p;
}

static void close_problem(problem *p) {
  free(p->sym);
  dpi_system_destroy(p->sys);
  dp_model_destroy(p->model);
  dp_ctx_destroy(p->ctx);
}

/* One solve: states at nout equal times by dense output. */
static double solve_once(const problem *p, dpi_solver *s, int ndir) {
  double x[MAX_STATE], sens[MAX_STATE * MAX_DIR], sum = 0.0;
  if (s->ops->bind(s, p->sym, ndir ? p->seed : NULL, ndir) != DP_OK) die(dp_ctx_error(p->ctx));
  if (s->ops->start(s, 0.0, p->x0, NULL) != DPI_SOLVE_OK) die(s->reason);
  int k = 1;
  while (k <= p->nout) {
    if (s->ops->step(s, p->t_end) != DPI_SOLVE_OK) die(s->reason);
    for (; k <= p->nout && p->t_end * k / p->nout <= s->t_now; k++) {
      s->ops->dense(s, p->t_end * k / p->nout, x, ndir ? sens : NULL);
      sum += x[0];
    }
  }
  return sum;
}

static void time_method(const problem *p, const char *label, const char *method, double rtol,
                        int ndir) {
  dpi_solve_opts o = dpi_solve_opts_default();
  dpi_solver *s = NULL;
  o.rtol = rtol;
  o.atol = rtol * 1e-2;
  if (dpi_solver_create(p->ctx, method, p->sys, &o, p->nactive, &s) != DP_OK)
    die(dp_ctx_error(p->ctx));
  solve_once(p, s, ndir);
  long steps = s->nstep, n = 0;
  double begin = now(), end = begin;
  for (; end - begin < seconds; end = now())
    for (int i = 0; i < 8; i++, n++) solve_once(p, s, ndir);
  char name[48];
  snprintf(name, sizeof name, "%s %s, %d directions", label, method, ndir);
  add_line(name, (end - begin) / (double)n * 1e6, steps);
  dpi_solver_destroy(s);
}

/* ---------------------------------------------------------------- by hand */

static const double ktr = 1.11182, ka = 0.916677, cl = 0.131336, vol = 7.92482, emax = 0.967705,
                    ec50 = 1.007266, kout = 0.0550232, e0 = 96.5441;

static int hand_rhs(realtype t, N_Vector y, N_Vector ydot, void *user) {
  (void)t, (void)user;
  const double *x = NV_DATA_S(y);
  double *f = NV_DATA_S(ydot), c = x[2] / vol;
  f[0] = -ktr * x[0];
  f[1] = ktr * x[0] - ka * x[1];
  f[2] = ka * x[1] - cl / vol * x[2];
  f[3] = e0 * kout * (1.0 - emax * c / (ec50 + c)) - kout * x[3];
  return 0;
}

static int hand_jac(realtype t, N_Vector y, N_Vector fy, SUNMatrix j, void *user, N_Vector t1,
                    N_Vector t2, N_Vector t3) {
  (void)t, (void)fy, (void)user, (void)t1, (void)t2, (void)t3;
  double c = NV_Ith_S(y, 2) / vol;
  SM_ELEMENT_D(j, 0, 0) = -ktr;
  SM_ELEMENT_D(j, 1, 0) = ktr;
  SM_ELEMENT_D(j, 1, 1) = -ka;
  SM_ELEMENT_D(j, 2, 1) = ka;
  SM_ELEMENT_D(j, 2, 2) = -cl / vol;
  SM_ELEMENT_D(j, 3, 2) = -e0 * kout * emax * ec50 / ((ec50 + c) * (ec50 + c)) / vol;
  SM_ELEMENT_D(j, 3, 3) = -kout;
  return 0;
}

typedef struct hand {
  SUNContext sun;
  void *mem;
  N_Vector y, out;
  SUNMatrix jac;
  SUNLinearSolver lin;
} hand;

static void hand_open(hand *h, double rtol, double atol) {
  if (SUNContext_Create(NULL, &h->sun) != 0) die("SUNContext_Create");
  h->y = N_VNew_Serial(4, h->sun);
  h->out = N_VClone(h->y);
  h->jac = SUNDenseMatrix(4, 4, h->sun);
  h->lin = SUNLinSol_Dense(h->y, h->jac, h->sun);
  h->mem = CVodeCreate(CV_BDF, h->sun);
  N_VConst(0.0, h->y);
  if (CVodeInit(h->mem, hand_rhs, 0.0, h->y) || CVodeSStolerances(h->mem, rtol, atol) ||
      CVodeSetLinearSolver(h->mem, h->lin, h->jac) || CVodeSetJacFn(h->mem, hand_jac))
    die("CVODES set-up");
}

static void hand_close(hand *h) {
  CVodeFree(&h->mem);
  SUNLinSolFree(h->lin);
  SUNMatDestroy(h->jac);
  N_VDestroy(h->y);
  N_VDestroy(h->out);
  SUNContext_Free(&h->sun);
}

static long hand_once(hand *h, const double *x0, double t_end, int nout) {
  memcpy(NV_DATA_S(h->y), x0, 4 * sizeof *x0);
  if (CVodeReInit(h->mem, 0.0, h->y)) die("CVodeReInit");
  CVodeSetStopTime(h->mem, t_end);
  double t = 0.0;
  for (int k = 1; k <= nout;) {
    if (CVode(h->mem, t_end, h->y, &t, CV_ONE_STEP) < 0) die("CVode");
    for (; k <= nout && t_end * k / nout <= t; k++)
      CVodeGetDky(h->mem, t_end * k / nout, 0, h->out);
  }
  long steps = 0;
  CVodeGetNumSteps(h->mem, &steps);
  return steps;
}

/* The tolerance that the method cvode asks of a step when rtol is asked of the result (its README).
 */
static double cvode_inner(double rtol) { return rtol / (30.0 * pow(1e-4 / rtol, 1.0 / 6.0)); }

static void time_hand(const problem *p, double rtol) {
  hand h;
  double inner = cvode_inner(rtol);
  hand_open(&h, inner, rtol * 1e-2 * (inner / rtol));
  long steps = hand_once(&h, p->x0, p->t_end, p->nout), n = 0;
  double begin = now(), end = begin;
  for (; end - begin < seconds; end = now())
    for (int i = 0; i < 8; i++, n++) hand_once(&h, p->x0, p->t_end, p->nout);
  add_line("warfarin CVODES by hand in C", (end - begin) / (double)n * 1e6, steps);
  hand_close(&h);
}

/* ---------------------------------------------------------------- report */

static void report(bool json) {
  if (json)
    printf("{\"bench\": \"solve\", \"lines\": [");
  else
    printf("%-44s %12s %8s %8s\n", "", "us a solve", "steps", "ratio");
  for (int i = 0; i < nline; i++) {
    const line *l = &lines[i];
    if (json)
      printf("%s\n  {\"name\": \"%s\", \"us\": %.3f, \"steps\": %ld, \"ratio\": %.3f}",
             i ? "," : "", l->name, l->us, l->steps, l->ratio);
    else if (l->ratio > 0.0)
      printf("%-44s %12.3f %8ld %8.2f\n", l->name, l->us, l->steps, l->ratio);
    else
      printf("%-44s %12.3f %8ld\n", l->name, l->us, l->steps);
  }
  if (json) printf("\n]}\n");
}

int main(int argc, char **argv) {
  static const char *const oral_active[] = {"ka", "CL", "V"};
  static const char *const warfarin_active[] = {"ktr",  "ka",   "CL",   "V",
                                                "Emax", "EC50", "kout", "E0"};
  static const char *const oral_methods[] = {"linear", "rk853", "cvode"};
  static const char *const warfarin_methods[] = {"cvode", "rk853"};
  bool json = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0)
      json = true;
    else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
      seconds = atof(argv[++i]);
    else
      die("usage: bench_solve [--json] [--seconds S]");
  }
  problem oral = open_problem(oral_text, oral_active, 3, 24.0, 11);
  for (int ndir = 0; ndir <= 3; ndir += 3) {
    int first = nline;
    for (int m = 0; m < 3; m++) time_method(&oral, "oral", oral_methods[m], 1e-8, ndir);
    for (int i = first; i < nline; i++) lines[i].ratio = lines[i].us / lines[first].us;
  }
  close_problem(&oral);
  problem warfarin = open_problem(warfarin_text, warfarin_active, 8, 144.0, 24);
  int first = nline;
  time_hand(&warfarin, 1e-8);
  for (int ndir = 0; ndir <= 8; ndir += 8)
    for (int m = 0; m < 2; m++) time_method(&warfarin, "warfarin", warfarin_methods[m], 1e-8, ndir);
  for (int i = first; i < nline; i++) lines[i].ratio = lines[i].us / lines[first].us;
  close_problem(&warfarin);
  report(json);
  return 0;
}
