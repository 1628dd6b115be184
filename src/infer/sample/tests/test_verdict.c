/* Independent comparison: every statistic with arviz 0.23.4 (functions _rhat_rank, _ess_bulk, _ess_tail, _ess_mean,
 * _mcse_mean, _mcse_sd, bfmi of arviz.stats.diagnostics; Vehtari et al. 2021) on series that a few lines make exactly
 * anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "infer/sample/verdict.h"
#include "sample_target.h"

#define MOST 4000

/* y := phi y + (u - 1/2), u from Knuth's MMIX generator; first chain scaled, last one shifted, values on a grid */
typedef struct series {
  int nchain, ndraw;
  double phi, shift, scale, grid;
  double gold[8]; /* mean, sd, mcse of mean, mcse of sd, R-hat, ESS bulk, tail, mean */
} series;

static void make(const series *s, double *x) {
  uint64_t state = 1;
  for (int c = 0; c < s->nchain; c++) {
    double y = 0;
    for (int i = 0; i < s->ndraw; i++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      y = s->phi * y + ((double)(state >> 11) * 0x1p-53 - 0.5);
      double v = y * (1 + s->scale * (c == 0)) + s->shift * (c == s->nchain - 1);
      x[c * s->ndraw + i] = s->grid > 0 ? floor(v / s->grid) * s->grid : v;
    }
  }
}

static const series golden[] = {
    {4,
     200,
     0.7,
     0,
     0,
     0,
     {0.0236012734642032, 0.384821454321339, 0.0285738147945281, 0.0136711075359539, 1.00750132001224, 180.169748271383,
      297.705644104901, 181.376953163418}},
    {4,
     101,
     0.5,
     0.3,
     0,
     0, /* an odd number of draws, a chain elsewhere */
     {0.0694579192952401, 0.350918621238706, 0.0693276929533225, 0.0128203001556564, 1.13970067994474, 24.8558898892712,
      103.434598367773, 25.6211920719463}},
    {4,
     200,
     0.3,
     0,
     0,
     0.25, /* ties */
     {-0.1159375, 0.306243534579654, 0.0139914653578648, 0.00580179340293101, 1.00438602624905, 470.62451189465,
      626.944399873805, 479.079352851585}},
    {2,
     500,
     -0.5,
     0,
     0,
     0, /* better than independent: capped */
     {0.00564060760058366, 0.335839658960087, 0.00613156523057605, 0.00719069662852974, 0.998349169261908, 3000,
      1043.61970349169, 3000}},
    {4,
     150,
     0.2,
     0,
     2,
     0, /* a chain three times as wide: only folding sees it */
     {0.0013765615157771, 0.482316114142475, 0.023415723523101, 0.128910599380043, 1.16327359785261, 437.565716956544,
      32.6367217831576, 424.275916827587}},
    {3,
     40,
     0.95,
     0,
     0,
     0,
     {-0.157297466704226, 0.672592335934279, 0.275073802353123, 0.128161785450045, 1.73381245297681, 5.90717761003577,
      23.1589639410868, 5.97868079869877}},
    {4,
     1000,
     0.0,
     0,
     0,
     0,
     {0.0026847322708047, 0.287659465564073, 0.00451749112265178, 0.00204411376963456, 0.999566820175283,
      4026.90683748617, 4010.59603534675, 4054.73730651278}},
};

static void test_golden(void **state) {
  dp_ctx *ctx = target_ctx();
  static double x[MOST];
  (void)state;
  for (int i = 0; i < DPI_COUNT(golden); i++) {
    const series *s = &golden[i];
    dpi_mixing m;
    make(s, x);
    assert_int_equal(dpi_mixing_of(ctx, x, s->nchain, s->ndraw, &m), DP_OK);
    double got[8] = {m.mean, m.sd, m.mcse_mean, m.mcse_sd, m.rhat, m.ess_bulk, m.ess_tail, m.ess_mean};
    for (int k = 0; k < 8; k++) {
      if (!(fabs(got[k] - s->gold[k]) <= 1e-9 * fabs(s->gold[k]))) print_message("case %d, %d: %.15g\n", i, k, got[k]);
      assert_true(fabs(got[k] - s->gold[k]) <= 1e-9 * fabs(s->gold[k]));
    }
  }
  series one = {1, 300, 0.6, 0, 0, 0, {0}};
  make(&one, x);
  assert_true(fabs(dpi_mixing_bfmi(x, 300) - 0.8790194693286) < 1e-12);
  make(&golden[0], x);
  assert_true(fabs(dpi_mixing_ess(x, 4, 200) - 174.08418967252874) < 1e-9);
  dp_ctx_destroy(ctx);
}

static dpi_draws *draws_of(dp_ctx *ctx, const series *s, bool stat) {
  dpi_draws *d = NULL;
  const char *name[] = {"k_on", "k_off"};
  dpi_draws_def def = {.sampler = "test",
                       .tag = "t",
                       .seed = 1,
                       .n = 2,
                       .name = name,
                       .nchain = s->nchain,
                       .ndraw = s->ndraw,
                       .stat = stat,
                       .nstate = 1};
  assert_int_equal(dpi_draws_create(ctx, &def, &d), DP_OK);
  double *x = malloc(sizeof(double) * (size_t)(s->nchain * s->ndraw));
  make(s, x);
  for (int i = 0; i < s->nchain * s->ndraw; i++) {
    int other = (i * 7 + 3) % (s->nchain * s->ndraw); /* mixes well, whatever the series does */
    d->x[2 * i] = x[other];
    d->x[2 * i + 1] = x[i];
    d->loglik[i] = -x[other];
    if (stat) d->stat[i * DPI_DRAW_NSTAT + DPI_DRAW_ENERGY] = x[(other * 3) % (s->nchain * s->ndraw)];
  }
  for (int c = 0; c < s->nchain; c++) d->done[c] = s->ndraw;
  free(x);
  return d;
}

static void test_words(void **state) {
  dp_ctx *ctx = target_ctx();
  dpi_verdict v;
  dpi_mixing m[2];
  (void)state;
  dpi_draws *good = draws_of(ctx, &golden[6], true), *slow = draws_of(ctx, &golden[0], false),
            *apart = draws_of(ctx, &golden[1], false);
  assert_int_equal(dpi_verdict_chains(good, m, &v), DP_OK);
  assert_int_equal(v.usable, 1);
  assert_int_equal(strncmp(v.words, "usable: R-hat 1.00", 18), 0);
  assert_true(fabs(m[1].ess_bulk - 4026.90683748617) < 1e-6);
  /* one trajectory in 4000 may diverge, five may not; a slow energy may not */
  good->stat[DPI_DRAW_DIVERGENT] = 1;
  assert_int_equal(dpi_verdict_chains(good, m, &v), DP_OK);
  assert_int_equal(v.usable, 1);
  for (int i = 0; i < 5; i++) good->stat[i * DPI_DRAW_NSTAT + DPI_DRAW_DIVERGENT] = 1;
  assert_int_equal(dpi_verdict_chains(good, m, &v), DP_OK);
  assert_int_equal(v.usable, 0);
  assert_int_equal(strncmp(v.words, "not usable: R-hat", 17), 0);
  assert_non_null(strstr(v.words, "0.12 % of the trajectories diverged"));
  for (int i = 0; i < 4000; i++) good->stat[i * DPI_DRAW_NSTAT + DPI_DRAW_ENERGY] = i % 1000;
  assert_int_equal(dpi_verdict_chains(good, m, &v), DP_OK);
  assert_non_null(strstr(v.words, "E-BFMI"));
  assert_true(v.bfmi < 0.01);
  /* too few, and apart: by name */
  assert_int_equal(dpi_verdict_chains(slow, m, &v), DP_OK);
  assert_int_equal(v.usable, 0);
  assert_non_null(strstr(v.words, "180 in the bulk (k_off)"));
  assert_int_equal(dpi_verdict_chains(apart, m, &v), DP_OK);
  assert_int_equal(v.usable, 0);
  assert_non_null(strstr(v.words, "R-hat 1.14 (k_off), above 1.01"));
  assert_int_equal(v.worst_rhat, 1);
  /* a chain that stands still everywhere */
  for (int i = 0; i < 4 * 101; i++) apart->x[2 * i] = 3;
  assert_int_equal(dpi_verdict_chains(apart, m, &v), DP_OK);
  assert_int_equal(v.usable, 0);
  assert_non_null(strstr(v.words, "k_on does not vary"));
  slow->done[2] = 7;
  assert_int_equal(dpi_verdict_chains(slow, NULL, &v), DP_OK);
  assert_int_equal(v.usable, 0);
  assert_non_null(strstr(v.words, "chain 2 has 7 of 200 draws"));
  dpi_verdict_weights(0.4, 900, 100, &v);
  assert_int_equal(v.usable, 1);
  dpi_verdict_weights(0.71, 900, 100, &v);
  assert_int_equal(v.usable, 0);
  assert_non_null(strstr(v.words, "k-hat 0.71"));
  dpi_verdict_weights(NAN, 900, 100, &v);
  assert_int_equal(v.usable, 0);
  dpi_draws_destroy(good);
  dpi_draws_destroy(slow);
  dpi_draws_destroy(apart);
  assert_int_equal(dpi_alloc_live(ctx), 0);
  dp_ctx_destroy(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_words)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
