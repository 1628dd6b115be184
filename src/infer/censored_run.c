/* censored_run.c - values beyond a limit, one after the other, under errors that are correlated in time.
 *
 * The standardised errors z of an observable are a stationary Ornstein-Uhlenbeck process of unit variance. Of a run of
 * censored values z_1 .. z_n only the sides of limits c_1 .. c_n are known, so with b the measured datum before and a
 * the one after (each where there is one)
 *     L = integral over z_1 < c_1, .., z_n < c_n of p(z_1 | z_b) p(z_2 | z_1) .. p(z_n | z_n-1) p(z_a | z_n),
 *     p(z_k | z_j) = N(r z_j, q^2),  q^2 = 1 - r^2;  p(z_1) = N(0, 1) without b, no last factor without a.
 * A value above its limit is reflected: its z, its limit and the correlations with its neighbours change their sign.
 *
 * The process is Markov, so L is a recursion in one dimension, of z_k's density given all before it; it goes over Gauss
 * and Legendre's nodes in a window that holds all but about 1e-9 of z_k's law given everything. Where that law lies is
 * said by normal factors in place of the limits, settled to the moments of the truncated laws by going to and fro
 * (expectation propagation: Minka 2001; Cunningham, Hennig & Lacoste-Julien 2011, arXiv:1111.6832); how many nodes a
 * window needs, by the sd that is left of z_k when its neighbours are known. Both only carry the integral: ln L is no
 * approximation of theirs, but good to about 1e-8. (One way of moment matching alone, Mendell & Elston 1974, Biometrics
 * 30:41, is off by up to 2 in ln L at r = 0.7.)
 *
 * Slopes, u = (z_b, c, z_a): with e_k = (z_k - r_k z_k-1)/q_k^2, d ln L/du_k = r_k+1 E e_k+1 - E e_k given everything
 * (shift the integrand by u). E z_k comes from the same recursion taken from both ends.
 * Curvature: minus the Hessian of ln L in u is positive semidefinite, L being the integral of a log-concave function.
 * dpi_run_moments gives that of the normal laws of the way forward, as a sum of squares (individual.c): of one value
 * between no measured ones it is h (h + u).
 */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

static const double LN_2PI = 1.8378770664093454836;

enum { RULES = 6, RULE_NODES = 16 + 20 + 24 + 32 + 48 + 64, RULE_MOST = 64 }; /* all even */
static const int RULE[RULES] = {16, 20, 24, 32, 48, 64};
enum { SWEEPS = 12 };
static const double SETTLED = 0.02;  /* sds */
static const double REACH = 44;      /* a window ends where the density has fallen by exp(-REACH/2) */
static const double CAUTION = 0.8;   /* with what normal laws say, as they are none */
static const double PANEL = 37;      /* sds; a longer window is several panels of the largest rule (carry_panel) */
static const double NEGLIGIBLE = 40; /* in logarithms, beside the largest term of a sum */

struct dpi_run_rules {
  double node[RULE_NODES], lnweight[RULE_NODES]; /* on (-1, 1), rule after rule */
};

/* ---- Gauss and Legendre's rules ---- */

static void legendre(int n, double *node, double *lnweight) {
  for (int i = 0; i < n / 2; i++) {
    double x, weight;
    dpi_gauss_legendre(n, i, &x, &weight);
    node[i] = -x;
    node[n - 1 - i] = x;
    lnweight[i] = lnweight[n - 1 - i] = dpi_m_log(weight);
  }
}

/* Rule and panels for a window of so many sds. */
static int rule_for(double sds, int *npanel) {
  int k = 0;
  *npanel = sds > PANEL ? (int)ceil(sds / PANEL) : 1;
  const double need = *npanel > 1 ? RULE[RULES - 1] : 1.5 * sds + 6;
  while (k < RULES - 1 && RULE[k] < need) k++;
  return k;
}

/* ---- the runs of a person ---- */

static double innovation(double rho) { return sqrt(1 - rho * rho); }

/* The sd of z_k that is left when its neighbours are known. */
static double inner_sd(const dpi_run *run, int k) {
  const double in = innovation(run->rho[k]), out = run->rho[k + 1] / innovation(run->rho[k + 1]);
  return 1 / sqrt(1 / (in * in) + out * out);
}

static size_t most_nodes(const dpi_run *run, int k) {
  int npanel, rule = rule_for(2.001 * run->free_sd[k] * sqrt(REACH) / CAUTION / inner_sd(run, k), &npanel);
  return (size_t)(npanel * RULE[rule]);
}

/* The sd of each z when only the measured data around the run are known. */
static void free_sds(const dpi_run *run, double *sd) {
  double ahead = run->before >= 0 ? 0 : 1, behind = run->after >= 0 ? 0 : 1;
  for (int k = 0; k < run->n; k++) {
    const double r2 = run->rho[k] * run->rho[k];
    sd[k] = ahead = r2 * ahead + 1 - r2;
  }
  for (int k = run->n - 1; k >= 0; k--) {
    const double r2 = run->rho[k + 1] * run->rho[k + 1];
    behind = r2 * behind + 1 - r2;
    sd[k] = 1 / sqrt(1 / sd[k] + 1 / behind - 1);
  }
}

/* The run that begins at datum i, into at, rho, sign and sd. */
static void run_fill(const dpi_indiv_def *def, const int *next, int i, int *at, double *rho, double *sign, double *sd,
                     dpi_run *run) {
  const dpi_datum *d = def->datum;
  *run = (dpi_run){.at = at, .rho = rho, .sign = sign, .free_sd = sd, .before = def->link[i].before, .after = -1};
  double last = 1;
  for (; i >= 0 && d[i].censored; i = next[i]) {
    at[run->n] = i;
    sign[run->n] = d[i].censored > 0 ? 1 : -1;
    rho[run->n] = def->link[i].rho * last * sign[run->n];
    last = sign[run->n++];
  }
  run->after = i;
  rho[run->n] = i >= 0 ? def->link[i].rho * last : 0;
  free_sds(run, sd);
  for (int k = 0; k < run->n; k++) {
    const size_t n = most_nodes(run, k);
    run->nodes += n;
    if (n > run->widest) run->widest = n;
  }
}

dp_status dpi_runs_create(dpi_arena *arena, const dpi_indiv_def *def, const dpi_run **out, int *nrun,
                          const dpi_run_rules **rules) {
  const size_t nobs = (size_t)def->nobs;
  const dpi_datum *d = def->datum;
  *nrun = 0;
  *out = NULL;
  *rules = NULL;
  int any = 0;
  for (size_t i = 0; def->link && i < nobs; i++) any += d[i].censored != 0;
  if (any == 0) return DP_OK;
  int *next = DPI_ARENA_ARRAY(arena, int, nobs), *at = DPI_ARENA_ARRAY(arena, int, nobs);
  double *rho = DPI_ARENA_ARRAY(arena, double, 2 * nobs), *sign = DPI_ARENA_ARRAY(arena, double, nobs),
         *sd = DPI_ARENA_ARRAY(arena, double, nobs);
  dpi_run *run = DPI_ARENA_ARRAY(arena, dpi_run, nobs);
  dpi_run_rules *r = DPI_ARENA_ARRAY(arena, dpi_run_rules, 1);
  if (!next || !at || !rho || !sign || !sd || !run || !r) return DP_ERR_MEMORY;
  for (size_t i = 0; i < nobs; i++) next[i] = -1;
  for (size_t i = 0; i < nobs; i++)
    if (def->link[i].before >= 0) next[def->link[i].before] = (int)i;
  for (size_t i = 0; i < nobs; i++) {
    const int before = def->link[i].before;
    if (!d[i].censored || (before >= 0 && d[before].censored) || (before < 0 && next[i] < 0)) continue;
    dpi_run *one = &run[(*nrun)++];
    run_fill(def, next, (int)i, at, rho, sign, sd, one);
    at += one->n;
    sign += one->n;
    sd += one->n;
    rho += one->n + 1;
  }
  double *node = r->node, *weight = r->lnweight;
  for (int k = 0; k < RULES; k++) {
    legendre(RULE[k], node, weight);
    node += RULE[k];
    weight += RULE[k];
  }
  *out = run;
  *rules = r;
  return DP_OK;
}

/* ---- normal laws in place of truncated ones ---- */

typedef struct site { /* a normal factor exp(shift z - precision z^2/2) that stands for a side of a limit */
  double precision, shift;
} site;

typedef struct law { /* of one z */
  double m, v;
} law;

static law times_site(law x, site s) {
  const double v = x.v / (1 + x.v * s.precision);
  return (law){v * (x.m / x.v + s.shift), v};
}

static law carry(law x, double r) { return (law){r * x.m, r * r * x.v + 1 - r * r}; }

/* What comes from both sides together; each has the stationary N(0, 1) in it. */
static law together(law x, law y) {
  const double v = 1 / (1 / x.v + 1 / y.v - 1);
  return (law){v * (x.m / x.v + y.m / y.v), v};
}

/* The factor that gives N(m, v) the mean and variance that it has below c. */
static site site_of(law x, double c) {
  const double sd = sqrt(x.v), u = (c - x.m) / sd, h = dpi_norm_hazard(u);
  /* what is left of the variance is 1/u^2 far out, where 1 - h (h + u) has no digits */
  const double left = fmax(1 - h * (h + u), 1 / (6 + u * u)), precision = (1 / left - 1) / x.v;
  return (site){precision, (x.m - sd * h) / (x.v * left) - x.m / x.v};
}

/* Sites that agree with each other, of everything, or of all but the datum after; behind [n]: what the data after k
 * say. */
static void settle(const dpi_run *run, const double *c, double zb, double za, bool after, site *s, law *behind) {
  const int n = run->n;
  double moved = 1;
  for (int k = 0; k < n; k++) s[k] = (site){0, 0};
  for (int sweep = 0; sweep < SWEEPS && moved > SETTLED; sweep++) {
    moved = 0;
    behind[n - 1] = after ? (law){run->rho[n] * za, 1 - run->rho[n] * run->rho[n]} : (law){0, 1};
    for (int k = n - 1; k > 0; k--) behind[k - 1] = carry(times_site(behind[k], s[k]), run->rho[k]);
    law x = {run->before >= 0 ? zb : 0, run->before >= 0 ? 0 : 1};
    for (int k = 0; k < n; k++) {
      x = carry(x, run->rho[k]);
      const law was = times_site(together(x, behind[k]), s[k]), around = together(x, behind[k]);
      s[k] = site_of(around, c[k]);
      const law is = times_site(around, s[k]);
      moved = fmax(moved, fabs(is.m - was.m) / sqrt(is.v));
      x = times_site(x, s[k]);
    }
  }
}

void dpi_run_moments(const dpi_run *run, const double *c, double zb, double *work, double *m, double *v, double *w) {
  site *s = (site *)(void *)work;
  law x = {run->before >= 0 ? zb : 0, run->before >= 0 ? 0 : 1};
  settle(run, c, zb, 0, false, s, (law *)(void *)(work + 2 * run->n));
  for (int k = 0; k <= run->n; k++) {
    x = carry(x, run->rho[k]);
    m[k] = x.m;
    v[k] = x.v;
    if (k == run->n) break;
    w[k] = x.v * s[k].precision / (1 + x.v * s[k].precision);
    x = times_site(x, s[k]);
  }
}

/* Windows low, high [n] of z given everything. To the left a density falls no slower than the normal law that z_k has
 * without any limits: they let it rise the less the farther left. */
static void windows(const dpi_run *run, const double *c, double zb, double za, double *work, double *low,
                    double *high) {
  site *s = (site *)(void *)work;
  law *behind = (law *)(void *)(work + 2 * run->n), x = {run->before >= 0 ? zb : 0, run->before >= 0 ? 0 : 1};
  settle(run, c, zb, za, run->after >= 0, s, behind);
  for (int k = 0; k < run->n; k++) {
    x = carry(x, run->rho[k]);
    const law at = together(x, behind[k]);
    const double sd = run->free_sd[k], top = fmin(c[k], at.m), slope = CAUTION * sd * (at.m - top) / at.v;
    high[k] = fmin(c[k], at.m + sqrt(REACH * at.v) / CAUTION);
    low[k] = top - sd * REACH / (sqrt(slope * slope + REACH) + slope);
    x = times_site(x, s[k]);
  }
}

/* ---- the recursion, in logarithms: where data contradict each other densities are smaller than any double ---- */

typedef struct nodes { /* of one window */
  int n, rule, npanel;
  double low, half;      /* of the window, of a panel */
  double *z, *lnw, *lnp; /* place, ln weight, ln (weight * density given all before) */
} nodes;

static int first_node(int rule) {
  int first = 0;
  for (int j = 0; j < rule; j++) first += RULE[j];
  return first;
}

static void lay(const dpi_run_rules *r, const dpi_run *run, int k, double low, double high, nodes *out) {
  int npanel, rule = rule_for((high - low) / inner_sd(run, k), &npanel);
  const double *node = r->node + first_node(rule), *lnweight = r->lnweight + first_node(rule);
  const double half = 0.5 * (high - low) / npanel, lnhalf = dpi_m_log(half);
  out->n = 0;
  out->rule = rule;
  out->npanel = npanel;
  out->low = low;
  out->half = half;
  for (int p = 0; p < npanel; p++)
    for (int j = 0; j < RULE[rule]; j++) {
      out->z[out->n] = low + half * (2 * p + 1 + node[j]);
      out->lnw[out->n++] = lnhalf + lnweight[j];
    }
}

/* ln sum exp */
static double add_up(const double *x, int n) {
  double most = -INFINITY, sum = 0;
  for (int i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
  if (isinf(most)) return -INFINITY;
  for (int i = 0; i < n; i++)
    if (x[i] > most - NEGLIGIBLE) sum += dpi_m_exp(x[i] - most);
  return most + dpi_m_log(sum);
}

typedef struct crossing { /* from the nodes y of one panel's rule to those x of another's: (D + a x - b y)^2 h */
  int from, to;
  double D, a, b, h;
} crossing;

/* out_i = ln sum_j exp(t_j - (D + a x_i - b y_j)^2 h); t is replaced. Multiplied out, only exp(l x y) belongs to two
 * nodes, and nodes come in pairs +-x: one exponential serves four pairs, eight where both rules are one. Panels are so
 * short (PANEL) that l x y stays below 350: what exp(t - most) loses below the range of doubles is nothing beside what
 * stays. */
static void carry_panel(const dpi_run_rules *rules, const crossing *c, double *t, double *out) {
  const int from = c->from, to = c->to;
  const double D = c->D, a = c->a, b = c->b, h = c->h;
  const int n = RULE[to] / 2, m = RULE[from] / 2;
  const double *x = rules->node + first_node(to), *y = rules->node + first_node(from), l = 2 * h * a * b;
  double e[RULE_MOST / 2 * RULE_MOST / 2], most = -INFINITY;
  for (int j = 0; j < 2 * m; j++) {
    t[j] -= h * b * y[j] * (b * y[j] - 2 * D);
    most = t[j] > most ? t[j] : most;
  }
  for (int j = 0; j < 2 * m; j++) t[j] = dpi_m_exp(t[j] - most);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++) e[i * m + j] = from == to && j < i ? e[j * m + i] : dpi_m_exp(l * x[i] * y[j]);
  for (int i = 0; i < n; i++) {
    double low = 0, high = 0;
    for (int j = 0; j < m; j++) {
      const double same = e[i * m + j], other = 1 / same;
      low += same * t[j] + other * t[2 * m - 1 - j];
      high += other * t[j] + same * t[2 * m - 1 - j];
    }
    out[i] = most - h * (D + a * x[i]) * (D + a * x[i]) + dpi_m_log(low);
    out[2 * n - 1 - i] = most - h * (D - a * x[i]) * (D - a * x[i]) + dpi_m_log(high);
  }
}

static double ln_add(double x, double y) {
  const double most = x > y ? x : y, less = x > y ? y : x;
  return less > most - NEGLIGIBLE ? most + dpi_m_log1p(dpi_m_exp(less - most)) : most;
}

/* ln of integrals over one window, t being logarithms at its nodes, for the nodes of its neighbour: out_i = ln sum_j
 * exp(t_j - (rto z_i - rfrom y_j)^2 h). */
static void carry_over(const dpi_run_rules *rules, const nodes *from, double rfrom, const double *t, const nodes *to,
                       double rto, double h, double *out) {
  double part[RULE_MOST], sum[RULE_MOST];
  const int n = RULE[to->rule], m = RULE[from->rule];
  for (int p = 0; p < to->npanel; p++)
    for (int q = 0; q < from->npanel; q++) {
      const double D = rto * (to->low + (2 * p + 1) * to->half) - rfrom * (from->low + (2 * q + 1) * from->half);
      const crossing c = {from->rule, to->rule, D, rto * to->half, rfrom * from->half, h};
      memcpy(part, t + (size_t)q * (size_t)m, sizeof *t * (size_t)m);
      carry_panel(rules, &c, part, sum);
      for (int i = 0; i < n; i++) out[p * n + i] = q > 0 ? ln_add(out[p * n + i], sum[i]) : sum[i];
    }
}

/* The window of datum k from the one before, or (NULL) from what is measured. */
static void forward(const dpi_run_rules *rules, const dpi_run *run, int k, const nodes *from, double zb, nodes *to) {
  const double r = run->rho[k], q2 = 1 - r * r, half = 0.5 / q2, factor = -0.5 * (LN_2PI + dpi_m_log(q2));
  if (from) carry_over(rules, from, r, from->lnp, to, 1, half, to->lnp);
  for (int i = 0; i < to->n; i++) {
    const double d = to->z[i] - r * zb;
    to->lnp[i] = to->lnw[i] + factor + (from ? to->lnp[i] : -half * d * d);
  }
}

/* ln of what the datum after, if any, says of z at the last window's nodes. */
static void last_message(const dpi_run *run, const nodes *x, double za, double *b) {
  const double r = run->rho[run->n], q2 = 1 - r * r, half = 0.5 / q2, factor = -0.5 * dpi_m_log(q2);
  for (int i = 0; i < x->n; i++) {
    const double d = za - r * x->z[i];
    b[i] = run->after < 0 ? 0 : factor - half * d * d;
  }
}

/* ln L from one window; E z into *mean, unless NULL. term: scratch */
static double total(const nodes *x, const double *message, double *term, double *mean) {
  for (int i = 0; i < x->n; i++) term[i] = x->lnp[i] + message[i];
  const double lnl = add_up(term, x->n);
  if (!mean) return lnl;
  *mean = 0;
  for (int i = 0; i < x->n; i++)
    if (term[i] > lnl - NEGLIGIBLE) *mean += x->z[i] * dpi_m_exp(term[i] - lnl);
  return lnl;
}

/* E z_k [n] given everything into mean; b: the last window's message, replaced; other, term: scratch. */
static void backward(const dpi_run_rules *rules, const dpi_run *run, const nodes *x, double *b, double *other,
                     double *term, double *mean) {
  for (int k = run->n - 1; k >= 0; k--) {
    total(&x[k], b, term, &mean[k]);
    if (k == 0) break;
    const nodes *to = &x[k], *from = &x[k - 1];
    const double r = run->rho[k], q2 = 1 - r * r, half = 0.5 / q2, factor = -0.5 * (LN_2PI + dpi_m_log(q2));
    for (int i = 0; i < to->n; i++) b[i] += to->lnw[i] + factor;
    carry_over(rules, to, 1, b, from, r, half, other);
    double *swap = b;
    b = other;
    other = swap;
  }
}

size_t dpi_run_work(const dpi_run *run, bool slopes) {
  const size_t n = (size_t)run->n;
  return 7 * n + 3 * run->widest + (slopes ? 3 * run->nodes + sizeof(nodes) / sizeof(double) * n : 6 * run->widest);
}

/* d ln L/du from E z [n]. */
static void slopes_of(const dpi_run *run, double zb, double za, const double *mean, double *g) {
  const int n = run->n;
  double before = run->before >= 0 ? zb : 0;
  memset(g, 0, sizeof *g * ((size_t)n + 2));
  for (int k = 0; k <= n && (k < n || run->after >= 0); k++) {
    const double r = run->rho[k], now = k < n ? mean[k] : za, e = (now - r * before) / (1 - r * r);
    g[k] += r * e;
    g[k + 1] -= e;
    before = now;
  }
}

/* Room for a window of the recursion */
static double *window_at(nodes *x, double *at, size_t most) {
  *x = (nodes){.z = at, .lnw = at + most, .lnp = at + 2 * most};
  return at + 3 * most;
}

bool dpi_run_lnl(const dpi_run_rules *rules, const dpi_run *run, const double *c, double zb, double za, double *work,
                 double *lnl, double *g) {
  const size_t n = (size_t)run->n, widest = run->widest;
  double *low = work + 4 * n, *high = low + n, *mean = high + n, *message = mean + n, *other = message + widest,
         *term = other + widest, *at = term + widest;
  for (size_t k = 0; k < n; k++)
    if (!isfinite(c[k])) return false;
  windows(run, c, zb, za, work, low, high);
  nodes two[2], *all = NULL, *last = NULL;
  if (g) { /* all windows are kept */
    all = (nodes *)(void *)at;
    at += sizeof(nodes) / sizeof(double) * n;
  } else {
    at = window_at(&two[0], at, widest);
    at = window_at(&two[1], at, widest);
  }
  for (size_t k = 0; k < n; k++) {
    if (!(low[k] < high[k])) return false; /* not finite, or farther out than a double tells apart */
    nodes *now = g ? &all[k] : &two[k % 2];
    if (g) at = window_at(now, at, most_nodes(run, (int)k));
    lay(rules, run, (int)k, low[k], high[k], now);
    forward(rules, run, (int)k, last, zb, now);
    last = now;
  }
  last_message(run, last, za, message);
  *lnl = total(last, message, term, NULL);
  if (!isfinite(*lnl)) return false;
  if (!g) return true;
  backward(rules, run, all, message, other, term, mean);
  slopes_of(run, zb, za, mean, g);
  return true;
}
