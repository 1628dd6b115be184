/* sbc.c - floor 6, folder sample: ranks and simultaneous bands.
 *
 * Source of the band: Saeilynoja, Buerkner & Vehtari, Stat. Comput. 32 (2022) 32, section 2.2 (equations 8 to 13: the
 * pointwise intervals, and their joint probability by recursion over the counts at neighbouring places).
 *
 * The places z_k = k/m are between ranks, and m divides ndraw + 1, so that the discrete ranks are exactly uniform
 * there.
 */
#include "infer/sample/sbc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PLACES 100 /* of the band, at most */
#define MOST 100000

/* ---- binomial laws ---- */

static double log_choose(int n, int k) {
  return dpi_m_lgamma(n + 1.0) - dpi_m_lgamma(k + 1.0) - dpi_m_lgamma(n - k + 1.0);
}

static double binomial(int n, int k, double p) {
  if (p >= 1) return k == n;
  return dpi_m_exp(log_choose(n, k) + k * dpi_m_log(p) + (n - k) * dpi_m_log1p(-p));
}

void dpi_sbc_interval(int n, double z, double pointwise, int *low, int *high) {
  double tail = 0.5 * (1 - pointwise), sum = 0;
  *low = *high = n;
  bool below = true;
  for (int k = 0; k <= n; k++) {
    sum += binomial(n, k, z);
    if (below && sum >= tail) {
      *low = k;
      below = false;
    }
    if (sum >= 1 - tail) {
      *high = k;
      return;
    }
  }
}

/* Probability of passing all places within intervals: the count's law at one place from that at the place before. */
typedef struct band {
  int n, m;
  double *lf;         /* [n + 1] ln k! */
  int *low, *high;    /* [m] */
  double *law, *next; /* [n + 1] */
} band;

static dp_status band_make(dpi_arena *a, int n, int m, band *b) {
  *b = (band){.n = n, .m = m};
  b->lf = DPI_ARENA_ARRAY(a, double, (size_t)n + 1);
  b->law = DPI_ARENA_ARRAY(a, double, (size_t)n + 1);
  b->next = DPI_ARENA_ARRAY(a, double, (size_t)n + 1);
  b->low = DPI_ARENA_ARRAY(a, int, (size_t)m + 1);
  b->high = DPI_ARENA_ARRAY(a, int, (size_t)m + 1);
  if (!b->lf || !b->law || !b->next || !b->low || !b->high) return DP_ERR_MEMORY;
  for (int k = 0; k <= n; k++) b->lf[k] = dpi_m_lgamma(k + 1.0);
  return DP_OK;
}

static double stays(band *b, double pointwise) {
  int n = b->n, from = 0, to = 0;
  b->law[0] = 1;
  for (int k = 1; k < b->m; k++) {
    double p = 1.0 / (b->m - k + 1), lp = dpi_m_log(p), lq = dpi_m_log1p(-p); /* of the rest, the share up to here */
    int low, high;
    dpi_sbc_interval(n, (double)k / b->m, pointwise, &low, &high);
    for (int j = low; j <= high; j++) {
      double sum = 0;
      for (int i = from; i <= to && i <= j; i++)
        if (b->law[i] > 0)
          sum += b->law[i] * dpi_m_exp(b->lf[n - i] - b->lf[j - i] - b->lf[n - j] + (j - i) * lp + (n - j) * lq);
      b->next[j] = sum;
    }
    double *t = b->law;
    b->law = b->next;
    b->next = t;
    from = low;
    to = high;
  }
  return dpi_sum(b->law + from, to - from + 1);
}

static dp_status check_size(dp_ctx *ctx, int n, int m, double p) {
  if (n >= 1 && n <= MOST && m >= 2 && m <= n + MOST && p > 0 && p < 1) return DP_OK;
  return dpi_fail(ctx, DP_ERR_USAGE,
                  "calibration band: %d ranks (1 to %d), %d places (at least 2), probability %g: out of "
                  "range",
                  n, MOST, m, p);
}

dp_status dpi_sbc_simultaneous(dp_ctx *ctx, int n, int m, double pointwise, double *probability) {
  band b;
  dpi_arena a;
  DP_TRY(check_size(ctx, n, m, pointwise));
  dpi_arena_init(&a, ctx);
  dp_status status = band_make(&a, n, m, &b);
  if (status == DP_OK) *probability = stays(&b, pointwise);
  dpi_arena_release(&a);
  return status;
}

/* Counts are whole: the probability rises in steps, and the smallest pointwise coverage that reaches what is wanted is
 * taken. */
dp_status dpi_sbc_pointwise(dp_ctx *ctx, int n, int m, double simultaneous, double *pointwise) {
  band b;
  dpi_arena a;
  DP_TRY(check_size(ctx, n, m, simultaneous));
  dpi_arena_init(&a, ctx);
  dp_status status = band_make(&a, n, m, &b);
  double low = dpi_m_log(1 - simultaneous) - dpi_m_log(2.0 * m),
         high = dpi_m_log(1 - simultaneous); /* ln(1 - pointwise) */
  for (int i = 0; status == DP_OK && i < 14; i++) {
    double mid = 0.5 * (low + high);
    if (stays(&b, 1 - dpi_m_exp(mid)) >= simultaneous)
      low = mid;
    else
      high = mid;
  }
  *pointwise = 1 - dpi_m_exp(low);
  dpi_arena_release(&a);
  return status;
}

/* ---- ranks ---- */

dp_status dpi_sbc_init(dpi_sbc *s, dp_ctx *ctx, int nquantity, int nreplicate, int ndraw, double false_alarm) {
  memset(s, 0, sizeof *s);
  if (nquantity < 1 || nreplicate < 1 || nreplicate > MOST || ndraw < 1 || !(false_alarm > 0 && false_alarm < 1))
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "calibration: %d quantities, %d replicates, %d draws, false alarm %g: out of range", nquantity,
                    nreplicate, ndraw, false_alarm);
  *s = (dpi_sbc){
      .ctx = ctx, .nquantity = nquantity, .nreplicate = nreplicate, .ndraw = ndraw, .false_alarm = false_alarm};
  s->n = DPI_NEW_ARRAY(ctx, int, nquantity);
  s->rank = DPI_NEW_ARRAY(ctx, int, (size_t)nquantity *(size_t)nreplicate);
  if (s->n && s->rank) return DP_OK;
  dpi_sbc_release(s);
  return DP_ERR_MEMORY;
}

void dpi_sbc_release(dpi_sbc *s) {
  if (!s->ctx) return;
  dpi_free(s->ctx, s->n);
  dpi_free(s->ctx, s->rank);
  memset(s, 0, sizeof *s);
}

dp_status dpi_sbc_add(dpi_sbc *s, int quantity, double truth, const double *draw, int stride) {
  int below = 0, equal = 0;
  if (quantity < 0 || quantity >= s->nquantity || s->n[quantity] >= s->nreplicate)
    return dpi_fail(s->ctx, DP_ERR_USAGE, "calibration: quantity %d has %d of %d replicates already", quantity,
                    quantity >= 0 && quantity < s->nquantity ? s->n[quantity] : 0, s->nreplicate);
  for (int i = 0; i < s->ndraw; i++) {
    below += draw[(size_t)i * (size_t)stride] < truth;
    equal += draw[(size_t)i * (size_t)stride] == truth;
  }
  dpi_rng rng = dpi_rng_make((uint64_t)s->n[quantity], (uint64_t)quantity, 0x1409);
  int up = equal ? (int)(dpi_rng_uniform(&rng) * (equal + 1)) : 0;
  s->rank[(size_t)quantity * (size_t)s->nreplicate + (size_t)s->n[quantity]++] = below + up;
  return DP_OK;
}

/* The most places, at most PLACES, that fall between ranks. */
static int places(int nrank) {
  for (int m = nrank < PLACES ? nrank : PLACES; m > 1; m--)
    if (nrank % m == 0) return m;
  return nrank; /* a prime number of ranks: every one of them */
}

/* One quantity against its band: largest distance from the middle in half widths. */
static void compare(const dpi_sbc *s, int q, int m, double pointwise, dpi_sbc_report *r) {
  int n = s->n[q], count, low, high;
  const int *rank = s->rank + (size_t)q * (size_t)s->nreplicate;
  for (int k = 1; k < m; k++) {
    count = 0;
    for (int i = 0; i < n; i++) count += rank[i] < (int64_t)k * (s->ndraw + 1) / m;
    dpi_sbc_interval(n, (double)k / m, pointwise, &low, &high);
    double middle = 0.5 * (low + high), half = 0.5 * (high - low) + 0.5, off = fabs(count - middle) / half;
    if (off <= r->excess) continue;
    r->excess = off;
    r->worst = q;
    r->at = (double)k / m;
  }
}

dp_status dpi_sbc_check(const dpi_sbc *s, dpi_sbc_report *r) {
  int m = places(s->ndraw + 1);
  memset(r, 0, sizeof *r);
  for (int q = 0; q < s->nquantity; q++) {
    if (q == 0 || s->n[q] != s->n[q - 1])
      DP_TRY(dpi_sbc_pointwise(s->ctx, s->n[q], m, 1 - s->false_alarm / s->nquantity, &r->pointwise));
    compare(s, q, m, r->pointwise, r);
  }
  r->uniform = r->excess <= 1;
  snprintf(r->words, sizeof r->words,
           "%s: quantity %d reaches %.2f of its band at %.2f of the ranks (%d replicates, %d draws, false alarm %g)",
           r->uniform ? "calibrated" : "not calibrated", r->worst, r->excess, r->at, s->n[r->worst], s->ndraw,
           s->false_alarm);
  return DP_OK;
}
