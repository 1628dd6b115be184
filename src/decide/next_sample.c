/* next_sample.c - floor 6: "which next sample would change this": preposterior analysis on the ensemble.
 *
 * For a sample at time t: draw k of the belief plays the truth and gives a hypothetical result y = f_k + sigma_k z; the
 * other draws are reweighted by its likelihood (k itself takes no part: a truth is not among the draws that would be
 * made of it). Every candidate's probabilities and rewards are then weighted sums over its rehearsal on all draws,
 * judged by the rule that chose the plan: limits at the estimate where the bound of the whole ensemble just holds (a
 * belief made after y would be as large), the highest reward, of equal ones the most room under the limits. (Raiffa &
 * Schlaifer 1961: expected value of sample information.)
 *
 * Invariants:
 *   1. a candidate that was not judged on all draws is rehearsed on them when it may win after more than a few of the
 *      results that have not changed the advice yet, as far as the screen's draws show (limits 3, rewards 4 standard
 *      errors wide); results after which only others may win are taken by the interval either way. Where the advice
 *      has changed anyhow it is rehearsed if it wins on the screen's draws after more than a few: for gain and advise;
 *   2. a plan that fresh draws refuted carries what its limits lost there along, and so do those that were passed over
 *      with it: no accident advises it twice;
 *   3. the interval knows of the number of results and of the belief's own draws, which all results share;
 *   4. a result after which too few draws count decides nothing; where that is more than a few of the results, no
 *      probability is stated;
 *   5. the sample that stands out is imagined again with results of its own: the largest of several estimates is too
 *      large.
 *
 * Of a course only the sample that can be taken now is imagined: rehearsals of later decisions would have to begin from
 * other states, and those made would not serve. */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

#define LEAST_EFFECTIVE 50.0 /* draws that must count after a result for it to decide anything */
#define MOST_UNCLEAR 0.1     /* of the results, so many may decide nothing; the interval takes them either way */
#define FEW 0.03             /* of the results: who may win no more of them is not rehearsed for it */
#define FAVOURITE 0.05       /* the same for gain, of those that have changed the advice */
#define AGAIN 7              /* so many times the results for the sample that stands out */
#define MOST_CELLS (1 << 25) /* numbers of all rehearsals together: 256 MB */
#define FOLDS 10             /* of the belief's draws, left out in turn */
#define T95 2.262            /* 97.5 % of Student's law with FOLDS - 1 degrees */
#define TELLS 12.0           /* screened draws that must count before a mean over them is believed */

typedef struct sampling {
  const dpi_next_ask *ask;
  const dp_kind *kind;
  int nresult;                            /* of each sample; AGAIN times as many of the one that stands out */
  int ndraw, ncandidate, nlimit, ncolumn; /* a candidate's columns: reward, then P(event) of each limit */
  int *limit;                             /* [nlimit] terms */
  double *edge;                           /* [nlimit] estimates at which they just hold */
  double *shift;                          /* [ncandidate x nlimit] what fresh draws took from a plan they refuted */
  double **column;                        /* [ncandidate] its [ncolumn x ndraw], NULL: not rehearsed on all draws */
  uint8_t *dead;                          /* [ncandidate] fails in every draw */
  double neff;
  bool large; /* too many plans to rehearse on all draws */
  /* of one sample */
  double *f, *sigma;             /* [ndraw] prediction and sd */
  double *base, *centre, *narrow; /* [ndraw] log weight after y: base - ((y - centre) narrow)^2 / 2 */
  double *w;                /* [nresult x ndraw] weights after each result */
  int *then;                /* [nresult] best candidate after it, -1: none; -2: too few draws count */
  double *some;             /* [screen's draws] weights of one result */
  uint8_t *wanted;          /* [ncandidate] */
  int *won;                 /* [ncandidate] changed results that it wins on the screen's draws */
  int *may;                 /* [ncandidate] unchanged results that it may win, counted to just over a few */
  uint8_t *open;            /* [nresult] one that is not rehearsed may win */
  double *ess;              /* [nresult] */
  double *fold;             /* [listed x ncolumn x FOLDS] estimates without one fold */
  double *estimate;         /* [2 x ncolumn] scratch of best_under */
} sampling;

/* ---------------------------------------------------------------- figures under weights */

/* In a fixed order, so that any build gives the same sum. */
static double weighted(const double *w, const double *x, int n) {
  double part[8] = {0}, rest = 0;
  int k = 0;
  for (; k + 8 <= n; k += 8)
    for (int j = 0; j < 8; j++) part[j] += w[k + j] * x[k + j];
  for (; k < n; k++) rest += w[k] * x[k];
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7])) + rest;
}

/* Sums of w x (x NULL: of w) over each tenth of the draws, taken in turn. */
static void fold_sums(const double *w, const double *x, int n, double out[FOLDS]) {
  int k = 0;
  for (int g = 0; g < FOLDS; g++) out[g] = 0;
  for (; k + FOLDS <= n; k += FOLDS)
    for (int g = 0; g < FOLDS; g++) out[g] += x ? w[k + g] * x[k + g] : w[k + g];
  for (; k < n; k++) out[k % FOLDS] += x ? w[k] * x[k] : w[k];
}

/* P(event) of limit l from a candidate's estimates e [ncolumn]. */
static double event_share(const sampling *s, int c, int l, const double *e) {
  return fmin(fmax(e[1 + l] + s->shift[(size_t)c * (size_t)s->nlimit + (size_t)l], 0), 1);
}

static bool within(const sampling *s, int c, int l, const double *e) {
  const double p = event_share(s, c, l, e);
  return s->kind->reward.term[s->limit[l]].at_least ? p >= s->edge[l] : p <= s->edge[l];
}

static bool admissible(const sampling *s, int c, const double *e) {
  bool ok = !s->dead[c];
  for (int l = 0; ok && l < s->nlimit; l++) ok = within(s, c, l, e);
  return ok;
}

/* A candidate's estimates under weights w, the reward only where every limit holds; do they? */
static bool estimate(const sampling *s, int c, const double *w, double *e) {
  bool ok = !s->dead[c];
  for (int l = 0; ok && l < s->nlimit; l++) {
    e[1 + l] = weighted(w, s->column[c] + (size_t)(1 + l) * (size_t)s->ndraw, s->ndraw);
    ok = within(s, c, l, e);
  }
  if (ok) e[0] = weighted(w, s->column[c], s->ndraw);
  return ok;
}

/* How much of what the worst limit allows is used up; of one limit alone, anything that grows with it. */
static double used_up(const sampling *s, int c, const double *e) {
  double worst = -INFINITY;
  for (int l = 0; l < s->nlimit; l++) {
    const dpi_kind_term *term = &s->kind->reward.term[s->limit[l]];
    const double p = event_share(s, c, l, e);
    worst = fmax(worst, s->nlimit > 1 ? dpi_decide_used(term, p, s->neff, s->kind->reward.confidence)
                                      : term->at_least ? -p : p);
  }
  return worst;
}

/* Is c advised rather than b, by their estimates? As advice.c chooses: by reward; of equal ones by room under the
 * limits; then the first. */
static bool rather(const sampling *s, int c, const double *e, int b, const double *f) {
  if (b < 0) return true;
  if (fabs(e[0] - f[0]) > 1e-9 * fmax(fabs(e[0]), fabs(f[0]))) return e[0] > f[0];
  const double mine = used_up(s, c, e), other = used_up(s, b, f);
  return mine < other || (mine == other && c < b);
}

/* The best of those marked (NULL: of all that were rehearsed on all draws) and of `best`, which may be -1. */
static int best_under(const sampling *s, const double *w, const uint8_t *marked, int best) {
  double *e = s->estimate, *top = s->estimate + s->ncolumn;
  if (best >= 0 && !estimate(s, best, w, top)) best = -1;
  for (int c = 0; c < s->ncandidate; c++) {
    if (!s->column[c] || (marked && !marked[c]) || c == best) continue;
    if (best >= 0) { /* who earns less need not be looked at further */
      double x = weighted(w, s->column[c], s->ndraw);
      if (x < top[0] - 1e-9 * fmax(fabs(x), fabs(top[0]))) continue;
    }
    if (!estimate(s, c, w, e) || !rather(s, c, e, best, top)) continue;
    double *swap = e;
    e = top;
    top = swap;
    best = c;
  }
  return best;
}

/* ---------------------------------------------------------------- candidates on all draws */

/* Columns of candidate c from a row of a rehearsal on all draws. */
static dp_status take_row(sampling *s, int c, const dpi_rehearsal *r, int row) {
  size_t n = (size_t)s->ndraw;
  double *x = s->column[c] = DPI_NEW_ARRAY(s->kind->ctx, double, (size_t)s->ncolumn *n + 1);
  if (!x) return DP_ERR_MEMORY;
  memcpy(x, r->total + (size_t)row * n, sizeof *x * n);
  for (int l = 0; l < s->nlimit; l++) {
    const dpi_kind_term *term = &s->kind->reward.term[s->limit[l]];
    const double *v = dpi_rehearsed(r, row, s->limit[l]);
    for (size_t k = 0; k < n; k++)
      x[(size_t)(1 + l) * n + k] = isnan(v[k]) ? !term->at_least : dpi_decide_event(term, v[k]);
  }
  bool dead = true;
  for (int k = 0; dead && k < s->ndraw; k++) {
    bool failed = false;
    for (int t = 0; t < r->nterm; t++) failed |= isnan(dpi_rehearsed(r, row, t)[k]);
    dead = failed;
  }
  s->dead[c] = dead;
  return DP_OK;
}

/* Rehearse those marked on all draws. */
static dp_status rehearse_wanted(sampling *s) {
  const dpi_next_ask *q = s->ask;
  dp_ctx *ctx = s->kind->ctx;
  int n = 0, known = 0;
  int *which = DPI_NEW_ARRAY(ctx, int, s->ncandidate + 1);
  if (!which) return DP_ERR_MEMORY;
  for (int c = 0; c < s->ncandidate; c++) {
    if (s->wanted[c]) which[n++] = c;
    known += s->column[c] != NULL;
  }
  if ((double)(n + known) * s->ndraw * s->ncolumn > MOST_CELLS) s->large = true;
  dpi_rehearsal r = {0};
  dp_status status = n == 0 || s->large ? DP_OK : dpi_decide_rehearse(q->all, q->advice->plan, which, n, &r);
  for (int i = 0; r.value && status == DP_OK && i < n; i++) status = take_row(s, which[i], &r, i);
  dpi_rehearsal_release(ctx, &r);
  dpi_free(ctx, which);
  return status;
}

/* Weights of the screen's draws after a result; how many of them count. */
static double screen_weights(const sampling *s, const double *w) {
  const dpi_next_ask *q = s->ask;
  double sum = 0, sum2 = 0;
  for (int i = 0; i < q->screen->ndraw; i++) sum += s->some[i] = w[q->draw[i]];
  for (int i = 0; i < q->screen->ndraw; i++) {
    s->some[i] = sum > 0 ? s->some[i] / sum : 1.0 / q->screen->ndraw;
    sum2 += s->some[i] * s->some[i];
  }
  return sum > 0 ? 1 / sum2 : 0;
}

/* Could every limit of c hold, judged leniently on the screen's draws of which ess count? */
static bool could_hold(const sampling *s, int c, double ess) {
  const dpi_rehearsal *r = s->ask->screen;
  for (int l = 0; l < s->nlimit; l++) {
    const dpi_kind_term *term = &s->kind->reward.term[s->limit[l]];
    const double *v = dpi_rehearsed(r, c, s->limit[l]);
    double p = 0;
    int hit = 0;
    for (int i = 0; i < r->ndraw; i++) {
      bool event = isnan(v[i]) ? !term->at_least : dpi_decide_event(term, v[i]);
      p += event ? s->some[i] : 0;
      hit += event;
    }
    double wide = ess < TELLS ? (hit > 0 && hit < r->ndraw ? 1 : 0) : 3 * sqrt((fmax(p * (1 - p), 0) + 1 / ess) / ess);
    if (term->at_least ? p + wide < s->edge[l] : p - wide > s->edge[l]) return false;
  }
  return true;
}

/* Could c earn as much as b, on the screen's draws of which ess count? */
static bool could_earn(const sampling *s, int c, int b, double ess) {
  const dpi_rehearsal *r = s->ask->screen;
  const double *x = r->total + (size_t)c * (size_t)r->ndraw, *y = r->total + (size_t)b * (size_t)r->ndraw;
  double mean = 0, square = 0, plain = 0, plain2 = 0;
  for (int i = 0; i < r->ndraw; i++) {
    double d = y[i] - x[i];
    mean += s->some[i] * d;
    square += s->some[i] * d * d;
    plain += d / r->ndraw;
    plain2 += d * d / r->ndraw;
  }
  double variance = fmax(fmax(square - mean * mean, plain2 - plain * plain), 0);
  if (variance <= 1e-18 * plain2) return mean <= 1e-9 * fabs(mean); /* the same in every draw */
  return ess < TELLS || mean <= 4 * sqrt(variance / ess);
}

/* The best by the screen's draws, -1: none holds its limits there. */
static int screen_best(const sampling *s) {
  const dpi_rehearsal *r = s->ask->screen;
  double top = -INFINITY;
  int best = -1;
  for (int c = 0; c < s->ncandidate; c++) {
    const double x = weighted(s->some, r->total + (size_t)c * (size_t)r->ndraw, r->ndraw);
    if (!(x > top) || !could_hold(s, c, INFINITY)) continue;
    top = x;
    best = c;
  }
  return best;
}

/* May c, which is not rehearsed on all draws, win against the present advice? */
static bool may_win(const sampling *s, int c, double ess) {
  const int now = s->ask->advice->chosen;
  return (now < 0 || could_earn(s, c, now, ess)) && could_hold(s, c, ess);
}

/* Mark who is not rehearsed on all draws and may change the advice after more than a few of the results, or wins many
 * of those that have changed it; and the results that others may change. */
static void mark_wanted(sampling *s, int nresult) {
  const int now = s->ask->advice->chosen, few = (int)(FEW * nresult);
  memset(s->wanted, 0, (size_t)s->ncandidate);
  memset(s->won, 0, sizeof *s->won * (size_t)s->ncandidate);
  memset(s->may, 0, sizeof *s->may * (size_t)s->ncandidate);
  for (int h = 0; h < nresult; h++) {
    if (s->then[h] < -1) continue;
    const double ess = screen_weights(s, s->w + (size_t)h * (size_t)s->ndraw);
    if (s->then[h] != now) {
      const int c = screen_best(s);
      if (c >= 0) s->won[c]++;
      continue;
    }
    for (int c = 0; c < s->ncandidate; c++)
      if (!s->column[c] && s->may[c] <= few) s->may[c] += may_win(s, c, ess);
  }
  for (int c = 0; c < s->ncandidate; c++)
    s->wanted[c] = !s->column[c] && (s->may[c] > few || s->won[c] > FAVOURITE * nresult);
  for (int h = 0; h < nresult; h++) {
    s->open[h] = 0;
    if (s->then[h] != now) continue;
    const double ess = screen_weights(s, s->w + (size_t)h * (size_t)s->ndraw);
    for (int c = 0; !s->open[h] && c < s->ncandidate; c++)
      if (!s->column[c] && !s->wanted[c] && s->may[c] > 0) s->open[h] = may_win(s, c, ess);
  }
}

/* ---------------------------------------------------------------- one sample */

static dp_next_sample nothing_known(const sampling *s, double time, int observable) {
  return (dp_next_sample){.time = time, .observable = observable, .id = s->kind->observable[observable].id,
                          .change = NAN, .change_low = NAN, .change_high = NAN, .gain = NAN, .advise = NAN,
                          .unclear = 1};
}

/* What of each draw's log weight the result does not touch, and where and how wide its law is (of logarithms under
 * lognormal noise). A draw that has no prediction gets no weight. */
static void prepare(sampling *s, const dpi_kind_observable *o) {
  const bool log = o->noise == DPI_NOISE_LOGNORMAL;
  for (int k = 0; k < s->ndraw; k++) {
    const bool good = isfinite(s->f[k]) && s->sigma[k] > 0 && isfinite(s->sigma[k]) && (!log || s->f[k] > 0);
    s->base[k] = good ? -dpi_m_log(s->sigma[k]) : -INFINITY;
    s->centre[k] = good ? (log ? dpi_m_log(s->f[k]) : s->f[k]) : 0;
    s->narrow[k] = good ? 1 / s->sigma[k] : 0;
  }
}

/* Weights of all draws but `truth` after the result y; how many draws count, 0: none. */
static double reweight(const sampling *s, const dpi_kind_observable *o, double y, int truth, double *w) {
  const double at = o->noise == DPI_NOISE_LOGNORMAL ? (y > 0 ? dpi_m_log(y) : NAN) : y;
  double top = -INFINITY, sum = 0, sum2 = 0;
  if (!isfinite(at)) return 0;
  for (int k = 0; k < s->ndraw; k++) {
    double z = (at - s->centre[k]) * s->narrow[k], ln_slope = 0, slope, bend;
    if (o->noise == DPI_NOISE_JOHNSON) {
      z = dpi_johnson_z(&o->shape, z, &slope, &bend);
      ln_slope = dpi_m_log(slope);
    }
    w[k] = s->base[k] - 0.5 * z * z + ln_slope;
  }
  w[truth] = -INFINITY;
  for (int k = 0; k < s->ndraw; k++) top = w[k] > top ? w[k] : top;
  if (isinf(top)) return 0;
  for (int k = 0; k < s->ndraw; k++) sum += w[k] = w[k] - top < -40 ? 0 : dpi_m_exp(w[k] - top); /* 4e-18 is nothing */
  for (int k = 0; k < s->ndraw; k++) {
    w[k] /= sum;
    sum2 += w[k] * w[k];
  }
  return 1 / sum2;
}

/* Hypothetical results and the weights after them; returns how many there are. */
static int imagine(sampling *s, const dpi_kind_observable *o, dpi_rng *rng, int nresult) {
  int done = 0;
  for (int h = 0; h < nresult; h++) {
    int k = (int)((int64_t)h * s->ndraw / nresult);
    double z = dpi_rng_normal(rng), y = dpi_kind_measure(o, s->f[k], s->sigma[k], z);
    if (!isfinite(y) || isinf(s->base[k])) continue;
    s->ess[done] = reweight(s, o, y, k, s->w + (size_t)done * (size_t)s->ndraw);
    s->then[done] = s->ess[done] >= LEAST_EFFECTIVE ? -1 : -2;
    done++;
  }
  return done;
}

/* The advice after each result: of the plans known on all draws, then of those that may be too. */
static dp_status decide_again(sampling *s, int done) {
  for (int pass = 0; pass < 2; pass++) {
    if (pass) {
      mark_wanted(s, done);
      DP_TRY(rehearse_wanted(s));
    }
    for (int h = 0; !s->large && h < done; h++)
      if (s->then[h] >= -1)
        s->then[h] = best_under(s, s->w + (size_t)h * (size_t)s->ndraw, pass ? s->wanted : NULL,
                                pass ? s->then[h] : s->ask->advice->chosen);
  }
  return DP_OK;
}

/* What fewer draws would have made of it: for each fold left out, the best of the listed plans under weights w. */
static void without_folds(const sampling *s, const double *w, const int *list, int n, int best[FOLDS]) {
  double all[FOLDS], part[FOLDS], *e = s->estimate, *kept = s->fold;
  fold_sums(w, NULL, s->ndraw, all);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < s->ncolumn; j++) {
      double sum = 0, *out = kept + ((size_t)i * (size_t)s->ncolumn + (size_t)j) * FOLDS;
      fold_sums(w, s->column[list[i]] + (size_t)j * (size_t)s->ndraw, s->ndraw, part);
      for (int g = 0; g < FOLDS; g++) sum += part[g];
      for (int g = 0; g < FOLDS; g++) out[g] = all[g] < 1 ? (sum - part[g]) / (1 - all[g]) : 0;
    }
  for (int g = 0; g < FOLDS; g++) {
    double *f = s->estimate + s->ncolumn;
    best[g] = -1;
    for (int i = 0; i < n; i++) {
      const double *of = kept + (size_t)i * (size_t)s->ncolumn * FOLDS + g;
      for (int j = 0; j < s->ncolumn; j++) e[j] = of[j * FOLDS];
      if (!admissible(s, list[i], e) || !rather(s, list[i], e, best[g], f)) continue;
      best[g] = list[i];
      memcpy(f, e, sizeof *f * (size_t)s->ncolumn);
    }
  }
}

/* Standard error of P(change) that the belief's own draws leave open, all results alike: delete-a-group jackknife over
 * them (Efron & Tibshirani 1993, ch. 11), among the plans that are best after some result. */
static dp_status error_of_draws(sampling *s, int done, int clear, double *out) {
  int first[FOLDS], then[FOLDS], n = 0, *list = DPI_NEW_ARRAY(s->kind->ctx, int, s->ncandidate + 1);
  double changed[FOLDS] = {0}, mean = 0, square = 0;
  memset(s->wanted, 0, (size_t)s->ncandidate);
  if (s->ask->advice->chosen >= 0) s->wanted[s->ask->advice->chosen] = 1;
  for (int h = 0; h < done; h++)
    if (s->then[h] >= 0) s->wanted[s->then[h]] = 1;
  for (int c = 0; list && c < s->ncandidate; c++)
    if (s->wanted[c]) list[n++] = c;
  dpi_free(s->kind->ctx, s->fold);
  s->fold = DPI_NEW_ARRAY(s->kind->ctx, double, (size_t)n *(size_t)s->ncolumn * FOLDS + 1);
  if (!list || !s->fold) {
    dpi_free(s->kind->ctx, list);
    return DP_ERR_MEMORY;
  }
  for (int k = 0; k < s->ndraw; k++) s->f[k] = 1.0 / s->ndraw; /* predictions have served */
  without_folds(s, s->f, list, n, first);
  for (int h = 0; h < done; h++) {
    if (s->then[h] < -1) continue;
    without_folds(s, s->w + (size_t)h * (size_t)s->ndraw, list, n, then);
    for (int g = 0; g < FOLDS; g++) changed[g] += then[g] != first[g];
  }
  for (int g = 0; g < FOLDS; g++) mean += changed[g] / clear / FOLDS;
  for (int g = 0; g < FOLDS; g++) square += (changed[g] / clear - mean) * (changed[g] / clear - mean);
  *out = sqrt((FOLDS - 1.0) / FOLDS * square);
  dpi_free(s->kind->ctx, list);
  return DP_OK;
}

/* 95 % interval of the probability: by the number of results (Clopper-Pearson; what decides nothing, or who is not
 * rehearsed may decide, counts either way) and by the belief's draws, as independent errors. */
static dp_status interval(sampling *s, int done, int clear, double changed, dp_next_sample *next) {
  double low, high, unused, error, open = 0;
  for (int h = 0; h < done; h++) open += s->then[h] == s->ask->advice->chosen && s->open[h];
  DP_TRY(error_of_draws(s, done, clear, &error));
  dpi_binomial_bounds(changed, done, 0.95, &low, &unused);
  dpi_binomial_bounds(changed + open + done - clear, done, 0.95, &unused, &high);
  const double p = next->change, wide = T95 * error;
  next->change_low = fmax(p - sqrt((p - low) * (p - low) + wide * wide), 0);
  next->change_high = fmin(p + sqrt((high - p) * (high - p) + wide * wide), 1);
  return DP_OK;
}

static dp_status count(sampling *s, int done, int now, dp_next_sample *next) {
  double changed = 0, gain = 0, advise = 0, *e = s->estimate;
  int clear = 0;
  for (int h = 0; h < done; h++) {
    const double *w = s->w + (size_t)h * (size_t)s->ndraw;
    if (s->then[h] < -1) continue;
    clear++;
    changed += s->then[h] != now;
    advise += s->then[h] >= 0;
    if (s->then[h] >= 0 && estimate(s, s->then[h], w, e)) gain += e[0];
    if (now >= 0 && estimate(s, now, w, e)) gain -= e[0]; /* what the present advice is worth, knowing the result */
  }
  dpi_sort(s->ess, done);
  next->nresult = done;
  next->ess = done ? s->ess[done / 2] : 0;
  next->unclear = done ? 1 - (double)clear / done : 1;
  if (clear == 0 || next->unclear > MOST_UNCLEAR) return DP_OK;
  next->change = changed / clear;
  next->gain = gain / clear;
  next->advise = advise / clear;
  return interval(s, done, clear, changed, next);
}

/* Results of a sample and the weights after them. round: 0 all samples, 1 the one that stands out, results anew. */
static int draw_results(sampling *s, int nresult, int round, const dp_next_sample *next) {
  const dpi_next_ask *q = s->ask;
  const dpi_kind_observable *o = &s->kind->observable[next->observable];
  uint64_t stream = q->patient->stream ^ dpi_hash64(o->id) ^ (uint64_t)llround(next->time * 1e6);
  dpi_rng rng = dpi_rng_make(q->def->seed, stream, DPI_PURPOSE_NEXT_SAMPLE + (uint32_t)round);
  prepare(s, o);
  return imagine(s, o, &rng, nresult);
}

/* One sample: average over hypothetical results. */
static dp_status sample_value(sampling *s, int nresult, int round, dp_next_sample *next) {
  *next = nothing_known(s, next->time, next->observable);
  const int done = draw_results(s, nresult, round, next);
  DP_TRY(decide_again(s, done));
  return s->large ? DP_OK : count(s, done, s->ask->advice->chosen, next);
}

/* Predictions of the observables at the imagined times, for all draws. */
static dp_status predict(const dp_kind *kind, const dp_plan_patient *patient, const dp_plan_def *def, const int *draw,
                         int ndraw, dp_result **out) {
  dp_ctx *ctx = kind->ctx;
  int nparam = dp_sim_describe(kind->sim)->nparam, nt = def->nnext_time;
  size_t nhistory = (size_t)patient->nhistory;
  double *param = DPI_NEW_ARRAY(ctx, double, (size_t)ndraw *(size_t)nparam);
  dp_instant *instant = DPI_NEW_ARRAY(ctx, dp_instant, (size_t)ndraw * nhistory + 1);
  dp_member *member = DPI_NEW_ARRAY(ctx, dp_member, ndraw);
  dp_output_time *when = DPI_NEW_ARRAY(ctx, dp_output_time, nt);
  dp_status status = DP_ERR_MEMORY;
  if (param && instant && member && when) {
    for (int t = 0; t < nt; t++)
      when[t] = (dp_output_time){(dp_time)llround(def->next_time[t] * (double)DP_TICKS), INT32_MAX};
    for (int k = 0; k < ndraw; k++) {
      double *p = param + (size_t)k * (size_t)nparam;
      dp_instant *in = instant + (size_t)k * nhistory;
      dpi_decide_relive(kind, patient, patient->belief, draw[k], p, in);
      member[k] = (dp_member){
          .param = p, .instant = in, .ninstant = patient->nhistory, .out = when, .nout = nt, .stream = patient->stream};
    }
    dp_run_opts opts = dp_run_opts_default();
    opts.seed = def->seed;
    status = dp_simulate(kind->ensemble, member, ndraw, &opts, out);
  }
  dpi_free(ctx, param);
  dpi_free(ctx, instant);
  dpi_free(ctx, member);
  dpi_free(ctx, when);
  return status;
}

/* Columns f and sigma of one output time. A discrepancy of the model blurs a sample as its error does (its marginal
 * law:
 * what the seen samples say about it is left out, so a sample is never thought to tell more than it would). */
static void columns(const dp_kind *kind, const dp_result *result, int observable, int t, const dp_belief *b,
                    const int *draw, double *f, double *sigma) {
  const dpi_kind_observable *o = &kind->observable[observable];
  for (int k = 0; k < result->nmember; k++) {
    const double *row = result->value + (result->value_at[k] + (size_t)t) * (size_t)result->noutput;
    f[k] = row[o->value_output];
    sigma[k] = row[o->sigma_output];
    if (!b->discrepancy) continue;
    double d = b->discrepancy[draw[k]] * (o->noise == DPI_NOISE_LOGNORMAL ? 1.0 : f[k]);
    sigma[k] = sqrt(sigma[k] * sigma[k] + d * d);
  }
}

/* ---------------------------------------------------------------- all together */

static void sampling_release(sampling *s) {
  dp_ctx *ctx = s->kind->ctx;
  for (int c = 0; s->column && c < s->ncandidate; c++) dpi_free(ctx, s->column[c]);
  dpi_free(ctx, s->limit);
  dpi_free(ctx, s->edge);
  dpi_free(ctx, s->shift);
  dpi_free(ctx, s->column);
  dpi_free(ctx, s->dead);
  dpi_free(ctx, s->f);
  dpi_free(ctx, s->w);
  dpi_free(ctx, s->then);
  dpi_free(ctx, s->some);
  dpi_free(ctx, s->wanted);
  dpi_free(ctx, s->won);
  dpi_free(ctx, s->may);
  dpi_free(ctx, s->open);
  dpi_free(ctx, s->ess);
  dpi_free(ctx, s->fold);
  dpi_free(ctx, s->estimate);
}

static dp_status make_room(sampling *s) {
  const int nresult = AGAIN * s->nresult;
  dp_ctx *ctx = s->kind->ctx;
  size_t n = (size_t)s->ndraw, nc = (size_t)s->ncandidate, nl = (size_t)s->nlimit;
  s->shift = DPI_NEW_ARRAY(ctx, double, nc *nl + 1);
  s->column = DPI_NEW_ARRAY(ctx, double *, nc + 1);
  s->dead = DPI_NEW_ARRAY(ctx, uint8_t, nc + 1);
  s->wanted = DPI_NEW_ARRAY(ctx, uint8_t, nc + 1);
  s->won = DPI_NEW_ARRAY(ctx, int, nc + 1);
  s->may = DPI_NEW_ARRAY(ctx, int, nc + 1);
  s->open = DPI_NEW_ARRAY(ctx, uint8_t, nresult);
  s->f = DPI_NEW_ARRAY(ctx, double, 5 * n);
  s->w = DPI_NEW_ARRAY(ctx, double, (size_t)nresult *n);
  s->then = DPI_NEW_ARRAY(ctx, int, nresult);
  s->ess = DPI_NEW_ARRAY(ctx, double, nresult);
  s->some = DPI_NEW_ARRAY(ctx, double, s->ask->screen->ndraw + 1);
  s->estimate = DPI_NEW_ARRAY(ctx, double, 2 * s->ncolumn);
  if (!s->estimate || !s->shift || !s->column || !s->dead) return DP_ERR_MEMORY;
  if (!s->wanted || !s->won || !s->may || !s->open) return DP_ERR_MEMORY;
  if (!s->f || !s->w || !s->then || !s->ess || !s->some) return DP_ERR_MEMORY;
  s->sigma = s->f + n;
  s->base = s->f + 2 * n;
  s->centre = s->f + 3 * n;
  s->narrow = s->f + 4 * n;
  return DP_OK;
}

static dp_status list_limits(sampling *s) {
  const dpi_kind_reward *r = &s->kind->reward;
  s->limit = DPI_NEW_ARRAY(s->kind->ctx, int, r->nterm + 1);
  s->edge = DPI_NEW_ARRAY(s->kind->ctx, double, r->nterm + 1);
  if (!s->limit || !s->edge) return DP_ERR_MEMORY;
  for (int t = 0; t < r->nterm; t++) {
    if (r->term[t].goal != DPI_GOAL_LIMIT) continue;
    s->limit[s->nlimit] = t;
    s->edge[s->nlimit++] = dpi_decide_threshold(&r->term[t], s->neff, r->confidence);
  }
  s->ncolumn = 1 + s->nlimit;
  return DP_OK;
}

/* What was judged on all draws, and what fresh draws said of the plan that they refuted: those that promise more
 * than the choice and were therefore not looked at there carry the same along. */
static dp_status take_judged(sampling *s) {
  const dpi_next_ask *q = s->ask;
  for (int c = 0; c < s->ncandidate; c++) {
    if (q->row[c] >= 0) DP_TRY(take_row(s, c, q->full, q->row[c]));
    const dp_candidate *x = &q->advice->candidate[c];
    if (q->stand[c] == DPI_STAND_BOLDER) x = &q->advice->candidate[q->refuted]; /* what it lost, they may lose */
    if ((q->stand[c] != DPI_STAND_REFUTED && q->stand[c] != DPI_STAND_BOLDER) || !x->fresh) continue;
    for (int l = 0; l < s->nlimit; l++) {
      double lost = x->fresh[s->limit[l]].value - x->term[s->limit[l]].value;
      bool worse = s->kind->reward.term[s->limit[l]].at_least ? lost < 0 : lost > 0;
      s->shift[(size_t)c * (size_t)s->nlimit + (size_t)l] = worse ? lost : 0;
    }
  }
  return DP_OK;
}

/* Does the rule, without any result, give the advice that was given? Else (nothing was confirmed on fresh draws, say)
 * what it gives after a result says nothing about it. */
static bool gives_the_advice(sampling *s) {
  for (int k = 0; k < s->ndraw; k++) s->w[k] = 1.0 / s->ndraw;
  return best_under(s, s->w, NULL, -1) == s->ask->advice->chosen;
}

static dp_status value_all(sampling *s, const dp_plan_def *def, int observable, const dp_result *result) {
  const dpi_next_ask *q = s->ask;
  dp_advice *a = q->advice;
  const bool known = gives_the_advice(s);
  const int n = s->nresult;
  for (int t = 0; t < def->nnext_time; t++) {
    a->next[t] = nothing_known(s, def->next_time[t], observable);
    a->nnext = t + 1;
    if (!known) continue;
    columns(s->kind, result, observable, t, q->patient->belief, q->all->draw, s->f, s->sigma);
    DP_TRY(sample_value(s, n, 0, &a->next[t]));
    if (!isnan(a->next[t].change) && (a->next_best < 0 || a->next[t].change > a->next[a->next_best].change))
      a->next_best = t;
  }
  if (a->next_best < 0) return DP_OK;
  columns(s->kind, result, observable, a->next_best, q->patient->belief, q->all->draw, s->f, s->sigma);
  DP_TRY(sample_value(s, AGAIN * n, 1, &a->next[a->next_best]));
  if (isnan(a->next[a->next_best].change)) a->next_best = -1; /* more results showed that nothing can be said */
  return DP_OK;
}

/* Which sample changes the advice most often on the screen's draws alone, where every candidate is known; -1: unknown.
 * Nothing is stated from this. */
static dp_status stands_out(const sampling *all, const dp_plan_def *def, int observable, int *best) {
  const dpi_next_ask *q = all->ask;
  sampling s = {.ask = q, .kind = all->kind, .ndraw = q->screen->ndraw, .ncandidate = all->ncandidate,
                .nresult = all->nresult, .neff = all->neff};
  dp_result *result = NULL;
  double most = -1;
  *best = -1;
  dp_status status = list_limits(&s);
  if (status == DP_OK) status = make_room(&s);
  for (int c = 0; status == DP_OK && c < s.ncandidate; c++) status = take_row(&s, c, q->screen, c);
  if (status == DP_OK) status = predict(s.kind, q->patient, def, q->draw, s.ndraw, &result);
  for (int k = 0; status == DP_OK && k < s.ndraw; k++) s.some[k] = 1.0 / s.ndraw;
  const int now = status == DP_OK ? best_under(&s, s.some, NULL, -1) : -1;
  for (int t = 0; status == DP_OK && t < def->nnext_time; t++) {
    const dp_next_sample next = nothing_known(&s, def->next_time[t], observable);
    int changed = 0, clear = 0;
    columns(s.kind, result, observable, t, q->patient->belief, q->draw, s.f, s.sigma);
    const int done = draw_results(&s, s.nresult, 0, &next);
    for (int h = 0; h < done; h++) {
      if (s.ess[h] * all->ndraw < LEAST_EFFECTIVE * s.ndraw) continue;
      clear++;
      changed += best_under(&s, s.w + (size_t)h * (size_t)s.ndraw, NULL, now) != now;
    }
    if (clear == 0 || clear < (1 - MOST_UNCLEAR) * done || !((double)changed / clear > most)) continue;
    most = (double)changed / clear;
    *best = t;
  }
  dp_result_destroy(result);
  sampling_release(&s);
  return status;
}

/* Only of the sample that stands out anything is stated. */
static dp_status value_one(sampling *s, const dp_plan_def *def, int observable) {
  const dpi_next_ask *q = s->ask;
  dp_advice *a = q->advice;
  dp_plan_def one = *def;
  dp_result *result = NULL;
  int best = 0;
  for (int t = 0; t < def->nnext_time; t++) a->next[t] = nothing_known(s, def->next_time[t], observable);
  a->nnext = def->nnext_time;
  if (!gives_the_advice(s)) return DP_OK;
  if (def->nnext_time > 1) DP_TRY(stands_out(s, def, observable, &best));
  if (best < 0) return DP_OK;
  one.next_time = &def->next_time[best];
  one.nnext_time = 1;
  dp_status status = predict(s->kind, q->patient, &one, q->all->draw, s->ndraw, &result);
  if (status == DP_OK) columns(s->kind, result, observable, 0, q->patient->belief, q->all->draw, s->f, s->sigma);
  dp_result_destroy(result);
  if (status == DP_OK) status = sample_value(s, AGAIN * s->nresult, 1, &a->next[best]);
  if (status == DP_OK && !isnan(a->next[best].change)) a->next_best = best;
  return status;
}

dp_status dpi_decide_next(const dpi_next_ask *q) {
  const dp_kind *kind = q->kind;
  dp_plan_def copy = *q->def, *def = &copy;
  int observable = 0;
  for (int o = 0; o < kind->nobservable; o++)
    if (kind->observable[o].primary) observable = o;
  if (def->nnext_time <= 0 || def->nhypothetical <= 0) return DP_OK;
  if (kind->reward.form == DPI_FORM_COURSE) { /* it begins now: a sample before it is one of now */
    def->next_time = &q->patient->now;
    def->nnext_time = 1;
  }
  sampling s = {.ask = q, .kind = kind, .ndraw = q->all->ndraw, .ncandidate = q->advice->ncandidate,
                .neff = dpi_decide_effective(q->patient->belief, q->patient->belief->ndraw)};
  s.nresult = (int)fmin(fmax(MOST_CELLS / AGAIN / s.ndraw, 1), def->nhypothetical);
  q->advice->next = DPI_NEW_ARRAY(kind->ctx, dp_next_sample, def->nnext_time);
  dp_result *result = NULL;
  dp_status status = q->advice->next ? list_limits(&s) : DP_ERR_MEMORY;
  if (status == DP_OK) status = make_room(&s);
  if (status == DP_OK) status = take_judged(&s);
  if (status == DP_OK && def->next_one) status = value_one(&s, def, observable);
  if (status == DP_OK && !def->next_one) status = predict(kind, q->patient, def, q->all->draw, s.ndraw, &result);
  if (status == DP_OK && !def->next_one) status = value_all(&s, def, observable, result);
  dp_result_destroy(result);
  sampling_release(&s);
  return status;
}
