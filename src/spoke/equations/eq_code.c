/* eq_code.c - machine code for the tapes of a spoke, once enough work is seen: nobody waits for it, nobody notices.
 *
 *     members opened in lanes  | evaluations by scalar methods  -- enough? --> dpi_jit_start, in the background
 *
 * Interpreter and code give the same bytes, so when one takes over from the other is nobody's business. What is
 * compiled is what the inner loops run: the steps in lanes, rates, initial values, outputs, triggers. Tapes of doses,
 * draws and executed events run once in a while and stay interpreted.
 */
#include "spoke/equations/eq_impl.h"

#define MEMBERS_ENOUGH 64    /* in lanes: then a wave of more is likely */
#define WORK_ENOUGH 200000000 /* operations of scalar methods: a few tenths of a second, as long as the
                                 compiler takes */

enum { UNITS_MAX = 16 };

static void add(dpi_jit_unit *unit, int *n, const dpi_tape *tape, int width) {
  if (tape && dpi_tape_nstep(tape) > 0 && *n < UNITS_MAX) unit[(*n)++] = (dpi_jit_unit){tape, width};
}

/* The most used first. */
static int units(const dpi_eq_spoke *sp, dpi_jit_unit *unit) {
  int n = 0;
  const dpi_tape *own[UNITS_MAX / 2];
  const int nown = dpi_eq_fixed_tapes(sp, own, UNITS_MAX / 2);
  for (int i = 0; i < nown; i++) add(unit, &n, own[i], sp->width);
  for (int c = DPI_EQ_NCREW - 1; c >= 0; c--) {
    const dpi_tape *const *tape;
    for (int i = sp->plan[c] ? dpi_lane_plan_tapes(sp->plan[c], &tape) : 0; i > 0; i--)
      add(unit, &n, *tape++, sp->width);
  }
  add(unit, &n, sp->rhs.tape, 1);
  add(unit, &n, sp->out.tape, 1);
  add(unit, &n, sp->init.tape, 1);
  add(unit, &n, sp->watch.value.tape, 1);
  if (sp->plan[DPI_EQ_EXPLICIT] || sp->plan[DPI_EQ_IMPLICIT] || sp->fixed) return n;
  add(unit, &n, sp->full.tape, 1);
  add(unit, &n, sp->out_der.tape, 1);
  return n;
}

static dp_status start(dpi_eq_spoke *sp) {
  dpi_jit_unit unit[UNITS_MAX];
  const dpi_jit_opts opts = dpi_jit_opts_default();
  dpi_jit *job = NULL;
  const dp_status st = dpi_jit_start(sp->base.ctx, unit, units(sp, unit), &opts, &job);
  pthread_mutex_lock(&sp->lock);
  sp->jit = job;
  pthread_mutex_unlock(&sp->lock);
  return st;
}

/* The first who says so starts it. */
static dp_status wanted(const dpi_eq_spoke *spoke, int64_t members, int64_t work) {
  dpi_eq_spoke *sp = (dpi_eq_spoke *)spoke; /* its counters and its code are no part of what it computes */
  if (dpi_ctx_interpret(sp->base.ctx)) return DP_OK;
  pthread_mutex_lock(&sp->lock);
  sp->seen_members += members;
  sp->seen_work += work;
  const bool now = !sp->code_asked && (sp->seen_members >= MEMBERS_ENOUGH || sp->seen_work >= WORK_ENOUGH);
  if (now) sp->code_asked = true;
  pthread_mutex_unlock(&sp->lock);
  return now ? start(sp) : DP_OK;
}

dp_status dpi_eq_code_members(const dpi_eq_spoke *sp, int n) { return sp->code_asked ? DP_OK : wanted(sp, n, 0); }

dp_status dpi_eq_code_evaluations(const dpi_eq_spoke *sp, long n) {
  return sp->code_asked ? DP_OK : wanted(sp, 0, (int64_t)n * dpi_tape_nstep(sp->rhs.tape));
}

dp_status dpi_eq_code_warm(const dpi_spoke *spoke, int *ncode) {
  const dpi_eq_spoke *sp = (const dpi_eq_spoke *)spoke;
  *ncode = 0;
  pthread_mutex_t *lock = (pthread_mutex_t *)&sp->lock;
  DP_TRY(wanted(sp, MEMBERS_ENOUGH, 0));
  pthread_mutex_lock(lock);
  dpi_jit *job = sp->jit; /* NULL: interpreted, or another thread is just about to start it */
  pthread_mutex_unlock(lock);
  if (!job) return DP_OK;
  dpi_jit_wait(job);
  *ncode = dpi_jit_describe(job).ncode;
  return DP_OK;
}
