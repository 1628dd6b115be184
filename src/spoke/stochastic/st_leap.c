/* st_leap.c - approximations for large numbers: many jumps at once (tau-leap), jumps as noise (langevin).  D -> D
 *
 * Both choose their steps so that no propensity is expected to change by more than a share eps of itself, in mean and
 * in standard deviation (Cao, Gillespie, Petzold 2006, J. Chem. Phys. 124:044109, eqs. 24 to 33). Near an equilibrium,
 * where means hardly change, that would exceed the time a state lives; so a step uses up at most a share of each state.
 *
 * tau-leap: Poisson numbers of firings, with the propensities of the state expected half-way (Gillespie 2001; of second
 * order in the mean: Anderson, Ganguly, Kurtz 2011, Ann. Appl. Probab. 21:2226); a channel that could use up a reactant
 * within NCRITICAL firings fires at most once in a leap, exactly; a leap that takes a count below zero is halved and
 * drawn anew; where a leap would hold fewer than FEW jumps, BURST jumps are made one by one.
 *
 * langevin: dx = sum over channels of v (a dt + sqrt(a) dW), drift by the trapezoidal rule, noise by Euler and
 * Maruyama. States are real numbers and may become slightly negative; a propensity below zero is then taken as zero, so
 * conserved sums stay.
 *
 * Leaps and steps end at outputs and at known times; triggers that depend on counts are looked at where they end.
 */
#include "spoke/stochastic/st_impl.h"

#define NCRITICAL 10
#define SHARE 0.1 /* most of a state that a step may use up and make anew: what keeps equilibria stable */
#define FEW 10
#define BURST 100

int dpi_st_leap_room(const dpi_st_spoke *sp) { return 5 * sp->nsym + 2 * sp->nchannel; }

typedef struct space {  /* slices of the bench's scratch */
  double *mu, *var;     /* [nsym] of the change per time */
  double *used;         /* [nsym] used up per time */
  double *g;            /* [nsym] how strongly propensities follow a state; 0: not */
  double *was;          /* [nsym] */
  double *rate, *noise; /* [nchannel] */
} space;

static space scratch(const dpi_st_bench *w) {
  const int n = w->spoke->nsym, r = w->spoke->nchannel;
  double *p = w->leap;
  return (space){p, p + n, p + 2 * n, p + 3 * n, p + 4 * n, p + 5 * n, p + 5 * n + r};
}

static const double *steps_of(dpi_st_bench *w, const dpi_st_channel *c) {
  return c->by.tape ? dpi_st_eval(w, &c->by) : w->coef;
}

static double unit_of(const dpi_st_bench *w, int sym) { return w->unit[sym] > 0 ? w->unit[sym] : 1; }

/* ---- how far a step may go ---- */

/* g of a state of which `count` are among `order` reactants, n of it there. */
static double follow(int order, int count, double n) {
  const double one = n > 1.5 ? 1 / (n - 1) : 2, two = n > 2.5 ? 2 / (n - 2) : 4;
  if (count <= 1) return order;
  if (count == 2) return 0.5 * order * (2 + one);
  return (order + one + two) * (count > 3 ? count - 2 : 1);
}

static void find_g(dpi_st_bench *w, double *g) {
  const dpi_st_spoke *sp = w->spoke;
  for (int s = 0; s <= sp->nstate; s++) g[s] = 0;
  for (int r = 0; r < sp->nchannel; r++)
    for (int k = 0; k < sp->channel[r].nreactant; k++) {
      const dpi_st_reactant *q = &sp->channel[r].reactant[k];
      const double f = follow(q->order, q->count, w->sym[q->sym] / unit_of(w, q->sym));
      if (f > g[q->sym]) g[q->sym] = f;
    }
}

/* Longest step when only channels with skip[r] == 0 fire; infinite: nothing limits it. */
static double longest(dpi_st_bench *w, const space *p, const int *skip) {
  const dpi_st_spoke *sp = w->spoke;
  double tau = INFINITY;
  find_g(w, p->g);
  for (int s = 0; s <= sp->nstate; s++) p->mu[s] = p->var[s] = p->used[s] = 0;
  for (int r = 0; r < sp->nchannel; r++) {
    const double a = w->tree[sp->leaf + r];
    if (a <= 0 || (skip && skip[r])) continue;
    const double *v = steps_of(w, &sp->channel[r]);
    for (int k = 0; k < sp->channel[r].nchange; k++) {
      const double by = v[sp->channel[r].change[k].by];
      const int s = sp->channel[r].change[k].sym;
      p->mu[s] += by * a;
      p->var[s] += by * by * a;
      if (by < 0) p->used[s] -= by * a;
    }
  }
  for (int s = 1; s <= sp->nstate; s++) {
    if (p->g[s] == 0 || p->var[s] == 0) continue;
    const double share = sp->eps * fabs(w->sym[s]) / p->g[s], unit = unit_of(w, s), most = share > unit ? share : unit;
    const double a = most / fabs(p->mu[s]), b = most * most / p->var[s];
    if (a < tau) tau = a;
    const double c = SHARE * (fabs(w->sym[s]) > unit ? fabs(w->sym[s]) : unit) / p->used[s];
    if (b < tau) tau = b;
    if (c < tau) tau = c;
  }
  return tau;
}

/* ---- tau-leap ---- */

/* Channels that could use up a reactant soon; their propensities' sum. */
static double find_critical(dpi_st_bench *w, int *critical) {
  const dpi_st_spoke *sp = w->spoke;
  double sum = 0;
  for (int r = 0; r < sp->nchannel; r++) {
    const dpi_st_channel *c = &sp->channel[r];
    const double *v = steps_of(w, c), a = w->tree[sp->leaf + r];
    critical[r] = c->by.tape != NULL;
    for (int k = 0; k < c->nchange; k++) {
      const double by = v[c->change[k].by];
      if (by < 0 && w->sym[c->change[k].sym] < -by * NCRITICAL) critical[r] = 1;
    }
    if (critical[r]) sum += a;
  }
  return sum;
}

static double exponential(dpi_st_bench *w) {
  double u[2];
  dpi_st_uniforms(w, 0, u);
  return -dpi_m_log(u[1]);
}

/* Apply n firings; false: a count would fall below zero. */
static bool apply(dpi_st_bench *w, int r, double n) {
  const dpi_st_channel *c = &w->spoke->channel[r];
  const double *v = steps_of(w, c);
  bool good = true;
  for (int k = 0; k < c->nchange; k++) {
    const int s = c->change[k].sym;
    w->sym[s] = dpi_st_snap(w, s, w->sym[s] + n * v[c->change[k].by]);
    good = good && isfinite(w->sym[s]);
  }
  return good;
}

static bool none_negative(const dpi_st_bench *w, const space *p) {
  for (int s = 1; s <= w->spoke->nstate; s++)
    if (w->sym[s] < 0 && p->was[s] >= 0 && w->spoke->counted[s - 1]) return false;
  return true;
}

/* Which critical channel fires: in proportion among them. */
static int pick_critical(dpi_st_bench *w, const int *critical, double sum) {
  const dpi_st_spoke *sp = w->spoke;
  double u[2];
  int last = -1;
  dpi_st_uniforms(w, 0, u);
  u[0] *= sum;
  for (int r = 0; r < sp->nchannel; r++) {
    const double a = w->tree[sp->leaf + r];
    if (!critical[r] || a <= 0) continue;
    last = r;
    if (u[0] < a) return r;
    u[0] -= a;
  }
  return last;
}

/* Propensities at the state expected after half a leap, critical channels silent, into p->rate. */
static void half_way(dpi_st_bench *w, const space *p, const int *critical, double tau) {
  const dpi_st_spoke *sp = w->spoke;
  for (int r = 0; r < sp->nchannel; r++)
    if (!critical[r] && w->tree[sp->leaf + r] > 0) (void)apply(w, r, 0.5 * tau * w->tree[sp->leaf + r]);
  for (int r = 0; r < sp->nchannel; r++) {
    const double a = critical[r] ? 0 : dpi_st_rate(w, r);
    p->rate[r] = a > 0 && a < INFINITY ? a : 0;
  }
  memcpy(w->sym, p->was, sizeof(double) * (size_t)(sp->nstate + 1));
}

/* One leap of length tau, with one firing of a critical channel when `fire`; false: it went below zero, nothing is
 * changed. */
static bool try_leap(dpi_st_bench *w, const space *p, const int *critical, double tau, bool fire, double sum) {
  const dpi_st_spoke *sp = w->spoke;
  bool good = true;
  memcpy(p->was, w->sym, sizeof(double) * (size_t)(sp->nstate + 1));
  half_way(w, p, critical, tau);
  dpi_rng rng = dpi_st_rng(w);
  for (int r = 0; r < sp->nchannel && good; r++) {
    const double mean = p->rate[r] * tau;
    if (mean <= 0) continue;
    const double n = dpi_variate_draw(DPI_VARIATE_POISSON, &mean, 1, &rng);
    if (n > 0) good = apply(w, r, n);
  }
  dpi_st_rng_put(w, &rng);
  if (good && fire) good = apply(w, pick_critical(w, critical, sum), 1);
  if (good && none_negative(w, p)) return true;
  memcpy(w->sym, p->was, sizeof(double) * (size_t)(sp->nstate + 1));
  return false;
}

/* Propensities, flow and triggers where a leap or step has ended. */
static dpi_st_outcome landed(dpi_st_bench *w, double t, bool straight) {
  const dpi_st_spoke *sp = w->spoke;
  bool steers = false;
  if (straight) dpi_st_flow_at(w, t);
  w->sym[0] = t;
  w->m->t = t;
  w->m->since[0] = t;
  for (int r = 0; r < sp->nchannel; r++) steers = steers || sp->channel[r].steers;
  if (steers || !straight) dpi_st_flow_start(w, t);
  if (!dpi_st_refresh(w, t)) return DPI_ST_FAIL;
  if (sp->nevent && !dpi_st_event_run(w)) return DPI_ST_FAIL;
  if (sp->nevent) dpi_st_event_forget(w);
  if (++w->beat >= 4096 && dpi_st_halt(w)) return DPI_ST_FAIL;
  return DPI_ST_AGAIN; /* events may have ordered something */
}

static dpi_st_outcome burst(dpi_st_bench *w, double end) {
  w->m->left[0] = exponential(w);
  w->m->since[0] = w->m->t;
  w->quota = BURST;
  const dpi_st_outcome o = dpi_st_jump_to(w, end);
  w->quota = 0;
  if (o == DPI_ST_THERE) w->m->t = end;
  return o;
}

dpi_st_outcome dpi_st_leap_to(dpi_st_bench *w, double end) {
  const dpi_st_spoke *sp = w->spoke;
  const space p = scratch(w);
  const double t = w->m->t, affine = sp->naffine ? dpi_st_event_next(w) : INFINITY, stop = affine < end ? affine : end;
  const double a0 = w->tree[1];
  dpi_st_flow_at(w, t);
  if (!(a0 > 0)) return stop < end || end > t ? landed(w, stop, true) : DPI_ST_THERE;
  const double sum = find_critical(w, w->fired);
  double tau = longest(w, &p, w->fired);
  for (;;) {
    if (tau < FEW / a0) return burst(w, end);
    const double one = sum > 0 ? exponential(w) / sum : INFINITY;
    double length = tau < one ? tau : one;
    const bool cut = length >= stop - t, fire = !cut && one <= tau;
    if (cut) length = stop - t;
    if (try_leap(w, &p, w->fired, length, fire, sum)) return landed(w, cut ? stop : t + length, true);
    tau = 0.5 * (length < tau ? length : tau);
  }
}

/* ---- langevin ---- */

static bool some_negative(const dpi_st_bench *w) {
  for (int s = 1; s <= w->spoke->nstate; s++)
    if (w->sym[s] < 0 && w->spoke->counted[s - 1]) return true;
  return false;
}

/* Propensities at the present symbols. */
static bool rates(dpi_st_bench *w, double t, double *rate) {
  const bool negative = some_negative(w);
  for (int r = 0; r < w->spoke->nchannel; r++) {
    double a = dpi_st_rate(w, r);
    if (a < 0 && negative) a = 0;
    if (!(a >= 0 && a < INFINITY)) return dpi_st_bad_rate(w, r, a, t);
    rate[r] = a;
  }
  return true;
}

/* Shorten a step over which propensities would change by more than a tenth through time and flow alone. */
static double shorten(dpi_st_bench *w, const space *p, double t, double h) {
  const dpi_st_spoke *sp = w->spoke;
  const double *f = w->slope;
  memcpy(p->was, w->sym, sizeof(double) * (size_t)(sp->nstate + 1));
  for (int i = 0; i < sp->nflow; i++) { /* and a state of the flow by more than a share of it */
    const double x = fabs(w->sym[sp->flow_sym[i]]), most = sp->eps * (x > 1 ? x : 1);
    if (fabs(f[i]) * h > most) h = most / fabs(f[i]);
  }
  for (int tries = 0; tries < 40 && sp->drift && sp->nchannel; tries++) {
    bool good = true;
    w->sym[0] = t + h;
    for (int i = 0; i < sp->nflow; i++) w->sym[sp->flow_sym[i]] = p->was[sp->flow_sym[i]] + h * f[i];
    for (int r = 0; r < sp->nchannel && good; r++) {
      if (!sp->channel[r].drifts) continue;
      const double a = p->rate[r], b = dpi_st_rate(w, r), scale = a * h > 1 ? a : 1 / h;
      good = fabs(b - a) <= 0.1 * scale;
    }
    memcpy(w->sym, p->was, sizeof(double) * (size_t)(sp->nstate + 1));
    if (good) break;
    h *= 0.5;
  }
  return h;
}

/* x += sum over channels of v (share a h + noise), flow += share f h. */
static void push(dpi_st_bench *w, const double *rate, const double *noise, double h) {
  const dpi_st_spoke *sp = w->spoke;
  for (int r = 0; r < sp->nchannel; r++) {
    const dpi_st_channel *c = &sp->channel[r];
    const double *v = steps_of(w, c), n = rate[r] * h + (noise ? noise[r] : 0);
    for (int k = 0; k < c->nchange; k++) w->sym[c->change[k].sym] += n * v[c->change[k].by];
  }
}

static bool langevin_step(dpi_st_bench *w, const space *p, double t, double h) {
  const dpi_st_spoke *sp = w->spoke;
  double *f1 = w->y;
  dpi_rng rng = dpi_st_rng(w);
  for (int r = 0; r < sp->nchannel; r++) p->noise[r] = sqrt(p->rate[r] * h) * dpi_rng_normal(&rng);
  dpi_st_rng_put(w, &rng);
  memcpy(p->was, w->sym, sizeof(double) * (size_t)(sp->nstate + 1));
  push(w, p->rate, p->noise, h);
  for (int i = 0; i < sp->nflow; i++) w->sym[sp->flow_sym[i]] += h * w->slope[i];
  w->sym[0] = t + h;
  /* the drift where this leads; then the way again with the mean of both */
  if (sp->nflow) memcpy(f1, dpi_st_eval(w, &sp->flow), sizeof *f1 * (size_t)sp->nflow);
  double *rate1 = w->due;
  if (!rates(w, t + h, rate1)) return false;
  for (int r = 0; r < sp->nchannel; r++) rate1[r] = 0.5 * (p->rate[r] + rate1[r]);
  memcpy(w->sym, p->was, sizeof(double) * (size_t)(sp->nstate + 1));
  push(w, rate1, p->noise, h);
  for (int i = 0; i < sp->nflow; i++) w->sym[sp->flow_sym[i]] += 0.5 * h * (w->slope[i] + f1[i]);
  w->sym[0] = t + h;
  for (int s = 1; s <= sp->nstate; s++)
    if (!isfinite(w->sym[s])) return dpi_st_fail(w, t + h, "state '%s' is not finite", sp->desc.state_id[s - 1]);
  return true;
}

dpi_st_outcome dpi_st_langevin_to(dpi_st_bench *w, double end) {
  const dpi_st_spoke *sp = w->spoke;
  const space p = scratch(w);
  const double t = w->m->t, affine = sp->naffine ? dpi_st_event_next(w) : INFINITY, stop = affine < end ? affine : end;
  w->sym[0] = t;
  if (sp->straight) dpi_st_flow_at(w, t);
  if (!rates(w, t, p.rate)) return DPI_ST_FAIL;
  for (int r = 0; r < sp->nchannel; r++) w->tree[sp->leaf + r] = p.rate[r];
  if (sp->nflow) memcpy(w->slope, dpi_st_eval(w, &sp->flow), sizeof(double) * (size_t)sp->nflow);
  double h = longest(w, &p, NULL);
  if (!(h < stop - t)) h = stop - t;
  h = shorten(w, &p, t, h);
  const bool cut = h >= stop - t;
  if (!langevin_step(w, &p, t, h)) return DPI_ST_FAIL;
  return landed(w, cut ? stop : t + h, false);
}
