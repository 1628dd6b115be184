/* Values beyond a limit in a row under errors correlated in time, compared with: the recursion on a fine fixed grid,
 * orthant probabilities in closed form, differences of values; without such values nothing changes, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/infer.h"

enum { LONGEST = 40, ROOM = 8192 };

typedef struct bench {
  dp_ctx *ctx;
  dpi_arena arena;
} bench;

static void open_bench(bench *b) {
  dp_ctx_def def = dp_ctx_def_default();
  assert_int_equal(dp_ctx_create(&def, &b->ctx), DP_OK);
  dpi_arena_init(&b->arena, b->ctx);
}

static void close_bench(bench *b) {
  dpi_arena_release(&b->arena);
  assert_int_equal(dpi_alloc_live(b->ctx), 0);
  dp_ctx_destroy(b->ctx);
}

static void near(double x, double want, double tolerance) {
  if (!(fabs(x - want) <= tolerance)) fail_msg("found %.15g, expected %.15g", x, want);
}

/* One run of n, the same correlation r everywhere, with a measured datum before and after or without. */
typedef struct chain {
  const dpi_run *run;
  const dpi_run_rules *rules;
  dpi_datum datum[LONGEST + 2];
  dpi_link link[LONGEST + 2];
} chain;

static void make(bench *b, int n, double r, bool before, bool after, chain *c) {
  int nrun, total = before + n + after;
  memset(c, 0, sizeof *c);
  for (int i = 0; i < total; i++) {
    c->datum[i].censored = i >= before && i < before + n;
    c->link[i] = (dpi_link){i - 1, i > 0 ? r : 0};
  }
  const dpi_indiv_def def = {.nobs = total, .datum = c->datum, .link = c->link};
  assert_int_equal(dpi_runs_create(&b->arena, &def, &c->run, &nrun, &c->rules), DP_OK);
  assert_int_equal(nrun, 1);
  assert_int_equal(c->run->n, n);
}

static double lnl(bench *b, const chain *c, const double *limit, double zb, double za, double *g) {
  double *work = DPI_ARENA_ARRAY(&b->arena, double, dpi_run_work(c->run, g != NULL)), l;
  assert_non_null(work);
  assert_true(dpi_run_lnl(c->rules, c->run, limit, zb, za, work, &l, g));
  return l;
}

/* ---- the same recursion on a fine grid: panels of eight Gauss-Legendre nodes, a quarter wide, from far below ---- */

static double fine_grid(const chain *c, const double *limit, double zb, double za) {
  static const double X[4] = {0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363},
                      W[4] = {0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763};
  static double z[2][ROOM], p[2][ROOM];
  const dpi_run *run = c->run;
  double l = 0;
  int nbefore = 0;
  for (int k = 0; k <= run->n; k++) {
    const double r = run->rho[k], q = sqrt(1 - r * r), *y = z[(k + 1) % 2], *py = p[(k + 1) % 2];
    double *x = z[k % 2], *px = p[k % 2], most = 0;
    int n = 0;
    if (k < run->n) {
      const double low = fmin(fmin(limit[k], zb), fmin(za, 0)) - 9;
      const int npanel = (int)ceil((limit[k] - low) / 0.25);
      const double half = (limit[k] - low) / npanel / 2;
      assert_true(npanel * 8 <= ROOM);
      for (int i = 0; i < npanel; i++)
        for (int j = 0; j < 8; j++) {
          x[n] = low + half * (2 * i + 1 + (j < 4 ? -X[j] : X[j - 4]));
          px[n++] = half * W[j % 4] / sqrt(2 * acos(-1));
        }
    } else {
      x[n] = za;
      px[n++] = 1;
    }
    for (int i = 0; i < n; i++) {
      double sum = 0;
      if (k == 0) sum = exp(-0.5 * (x[i] - r * zb) * (x[i] - r * zb) / (q * q));
      for (int j = 0; k > 0 && j < nbefore; j++)
        sum += py[j] * (k == run->n && run->after < 0 ? 1 : exp(-0.5 * (x[i] - r * y[j]) * (x[i] - r * y[j]) / (q * q)));
      px[i] *= sum / (k == run->n && run->after < 0 ? 1 : q);
      most = fmax(most, px[i]);
    }
    for (int i = 0; i < n; i++) px[i] /= most;
    l += log(most);
    nbefore = n;
  }
  return l;
}

static void as_on_a_fine_grid(void **state) {
  static const int length[] = {1, 2, 3, 10, 40};
  static const double level[] = {-2, -1, 0, 1}, corr[] = {0.3, 0.7165, 0.9};
  (void)state;
  for (int i = 0; i < DPI_COUNT(length); i++)
    for (int j = 0; j < DPI_COUNT(level); j++)
      for (int k = 0; k < DPI_COUNT(corr); k++)
        for (int ends = 0; ends < 4; ends++) {
          bench b;
          chain c;
          double limit[LONGEST];
          const int n = length[i];
          if (n == 1 && ends == 0) continue; /* goes with no other: no run */
          open_bench(&b);
          make(&b, n, corr[k], ends & 1, ends & 2, &c);
          for (int m = 0; m < n; m++) limit[m] = level[j] + 0.4 * (i % 2) * sin(1.3 * m);
          const double zb = ends & 1 ? 0.4 - 0.5 * j : 0, za = ends & 2 ? level[j] + 0.7 : 0;
          near(lnl(&b, &c, limit, zb, za, NULL), fine_grid(&c, limit, zb, za), 1e-8);
          close_bench(&b);
        }
}

/* One value at the end of a record: ln Phi((c - r z)/q), however far; two and three at limit 0: orthants; values far
 * apart: each by itself. */
static void closed_forms(void **state) {
  (void)state;
  bench b;
  chain c;
  open_bench(&b);
  make(&b, 1, 0.7, true, false, &c);
  for (double limit = 3; limit > -3000; limit = limit > 0 ? -limit : 3 * limit) {
    const double want = dpi_norm_logcdf((limit - 0.7 * 0.5) / sqrt(1 - 0.49));
    near(lnl(&b, &c, &limit, 0.5, 0, NULL), want, 1e-10 + 1e-14 * fabs(want));
  }
  const double zero[3] = {0}, PI = acos(-1);
  make(&b, 2, 0.8, false, false, &c);
  near(lnl(&b, &c, zero, 0, 0, NULL), log(0.25 + asin(0.8) / (2 * PI)), 1e-9);
  make(&b, 3, 0.8, false, false, &c);
  near(lnl(&b, &c, zero, 0, 0, NULL), log(0.125 + (2 * asin(0.8) + asin(0.64)) / (4 * PI)), 1e-9);
  make(&b, 3, 1e-9, false, false, &c);
  const double limit[3] = {-1, 0.5, 1};
  double apart = 0;
  for (int k = 0; k < 3; k++) apart += dpi_norm_logcdf(limit[k]);
  near(lnl(&b, &c, limit, 0, 0, NULL), apart, 1e-8);
  close_bench(&b);
}

/* Data that contradict each other, as on the way to a mode: a value, and slopes. */
static void far_apart(void **state) {
  (void)state;
  bench b;
  chain c;
  double limit[LONGEST], g[LONGEST + 2];
  open_bench(&b);
  for (int s = 0; s < 2; s++) {
    make(&b, 5, 0.9, true, true, &c);
    for (int k = 0; k < 5; k++) limit[k] = s ? -200 - k : 300;
    const double zb = s ? 150 : -200, za = s ? 90 : 220, at = lnl(&b, &c, limit, zb, za, g);
    assert_true(isfinite(at) && at < -1000);
    for (int k = 0; k < 7; k++) assert_true(isfinite(g[k]));
    const double up = lnl(&b, &c, limit, zb, za + 1e-3, NULL), down = lnl(&b, &c, limit, zb, za - 1e-3, NULL);
    near(g[6], (up - down) / 2e-3, 1e-5 * fabs(g[6]));
  }
  /* no limit is near: what the two measured data say of each other, r^6 apart */
  const double r6 = pow(0.9, 6), q2 = 1 - r6 * r6;
  make(&b, 5, 0.9, true, true, &c);
  for (int k = 0; k < 5; k++) limit[k] = 300;
  near(lnl(&b, &c, limit, 30, -20, NULL), -0.5 * ((-20 - r6 * 30) * (-20 - r6 * 30) / q2 + log(q2)), 1e-7);
  close_bench(&b);
}

/* ---- one person: gradient and Fisher matrix ---- */

enum { N = 14, P = 3, MANY = 64 };
static const double T[N] = {0, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 5.5, 6, 7, 8, 9},
                    Y[N] = {9, 7.6, 6, 5, 4.5, 4, 2.1, 3.1, 2.2, 1.6, 1.9, 0.8, 1.2, 0.9}, TAU = 2.5;
/* the first observable: a run in the middle, with a value above its limit, and one at the end; the second, whose error
 * is lognormal: runs at the start and in the middle */
static const int GROUP[N] = {0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0},
                 CENSORED[N] = {0, 1, 0, 1, 1, 1, 0, -1, -1, 0, 1, 1, 0, 1};

typedef struct person {
  int neta;
  dpi_datum datum[N];
  dpi_link link[N];
  dpi_indiv *iv;
} person;

/* f = 10 exp(eta_0 - 0.3 exp(eta_1) t), s = (0.5 + 0.2 f) exp(eta_2); of many effects each third adds to these three */
static dp_status predict(void *user, const double *eta, bool deriv, dpi_pred *out, bool *ok) {
  const person *p = user;
  double x[3] = {0};
  for (int a = 0; a < p->neta; a++) x[a % 3] += eta[a];
  for (int i = 0; i < N; i++) {
    const double k = 0.3 * exp(x[1]), f = 10 * exp(x[0] - k * T[i]), grow = exp(x[2]);
    out->f[i] = f;
    out->s[i] = (0.5 + 0.2 * f) * grow * (p->datum[i].log ? 0.3 : 1);
    if (!deriv) continue;
    for (int a = 0; a < p->neta; a++) {
      const size_t at = (size_t)i * (size_t)p->neta + (size_t)a;
      out->df[at] = a % 3 == 0 ? f : a % 3 == 1 ? -f * k * T[i] : 0;
      out->ds[at] = a % 3 == 2 ? out->s[i] : 0.2 * out->df[at] * grow * (p->datum[i].log ? 0.3 : 1);
    }
  }
  *ok = true;
  return DP_OK;
}

static dp_status predict_many(void *user, const double *eta, int n, double *f, double *s, uint8_t *ok) {
  const person *p = user;
  for (int k = 0; k < n; k++) {
    dpi_pred one = {f + (size_t)k * N, s + (size_t)k * N, NULL, NULL};
    bool fine;
    predict(user, eta + (size_t)k * (size_t)p->neta, false, &one, &fine);
    ok[k] = fine;
  }
  return DP_OK;
}

static void open_person(bench *b, int neta, const int *censored, person *p) {
  *p = (person){.neta = neta};
  for (int i = 0; i < N; i++) {
    const bool log = GROUP[i] == 1;
    p->datum[i] = (dpi_datum){
        .y = log ? dpi_m_log(Y[i]) : Y[i], .time = T[i], .censored = censored[i], .group = GROUP[i], .log = log};
    p->link[i] = (dpi_link){-1, 0};
    for (int j = 0; j < i; j++)
      if (GROUP[j] == GROUP[i]) p->link[i] = (dpi_link){j, dpi_m_exp((T[j] - T[i]) / TAU)};
  }
  const dpi_indiv_def def = {
      .neta = neta, .nobs = N, .datum = p->datum, .link = p->link, .predict = predict, .many = predict_many, .user = p};
  double *omega = DPI_ARENA_ARRAY(&b->arena, double, (size_t)neta *(size_t)neta);
  memset(omega, 0, sizeof *omega * (size_t)neta * (size_t)neta);
  for (int a = 0; a < neta; a++) omega[a * neta + a] = 0.09;
  assert_int_equal(dpi_indiv_create(b->ctx, &def, &p->iv), DP_OK);
  assert_int_equal(dpi_indiv_prior(p->iv, omega), DP_OK);
}

static void by_differences(bench *b, int neta) {
  person p;
  double x[MANY], g[MANY], eigen[MANY], *fisher = DPI_ARENA_ARRAY(&b->arena, double, 2 * MANY * MANY),
                                        *v = fisher + MANY * MANY;
  bool ok;
  open_person(b, neta, CENSORED, &p);
  assert_int_equal(p.iv->nrun, 4);
  for (int a = 0; a < neta; a++) x[a] = (a % 2 ? -0.2 : 0.15) * 3 / neta;
  dpi_point pt = {0, g, fisher};
  assert_int_equal(dpi_indiv_eval(p.iv, x, true, &pt, &ok), DP_OK);
  assert_true(ok);
  double l[2], many;
  assert_int_equal(dpi_indiv_many(p.iv, x, 1, &many), DP_OK);
  assert_true(many == pt.l); /* the search's values are the posterior's */
  for (int a = 0; a < neta && a < 6; a++) {
    for (int side = 0; side < 2; side++) {
      const double keep = x[a];
      dpi_point value = {0, NULL, NULL};
      x[a] += side ? 1e-4 : -1e-4;
      assert_int_equal(dpi_indiv_eval(p.iv, x, false, &value, &ok), DP_OK);
      assert_true(ok);
      l[side] = value.l;
      x[a] = keep;
    }
    near(g[a], (l[1] - l[0]) / 2e-4, 1e-5);
  }
  for (int a = 0; a < neta; a++)
    for (int c = 0; c < neta; c++) assert_true(fisher[a * neta + c] == fisher[c * neta + a]);
  for (int a = 0; a < neta; a++) fisher[a * neta + a] -= 1 / 0.09; /* the prior's part */
  dpi_sym_eig(fisher, neta, eigen, v);
  for (int a = 0; a < neta; a++) assert_true(eigen[a] > -1e-9);
  dpi_indiv_destroy(p.iv);
}

static void gradient_by_differences(void **state) {
  (void)state;
  bench b;
  open_bench(&b);
  by_differences(&b, P);
  by_differences(&b, MANY);
  close_bench(&b);
}

/* One value at the end: the Fisher matrix is h (h + u) du du', as of a value by itself. */
static void curvature_of_the_last(void **state) {
  (void)state;
  bench b;
  person p;
  const int last[N] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, i = N - 1, before = N - 3;
  double x[P] = {0.1, -0.1, 0.2}, g[2][P], fisher[2][P * P], du[P];
  bool ok;
  open_bench(&b);
  for (int k = 0; k < 2; k++) { /* with it, and with a limit so high that nothing is said */
    open_person(&b, P, last, &p);
    if (k) p.datum[i].y = 60;
    dpi_point pt = {0, g[k], fisher[k]};
    assert_int_equal(dpi_indiv_eval(p.iv, x, true, &pt, &ok), DP_OK);
    assert_true(ok);
    if (k == 0) {
      const double r = p.link[i].rho, q = sqrt(1 - r * r);
      double z[2], u;
      for (int e = 0; e < 2; e++) {
        const int at = e ? before : i;
        z[e] = (Y[at] - p.iv->pred.f[at]) / p.iv->pred.s[at];
      }
      u = (z[0] - r * z[1]) / q;
      for (int a = 0; a < P; a++) {
        double dz[2];
        for (int e = 0; e < 2; e++) {
          const int at = e ? before : i;
          dz[e] = -(p.iv->pred.df[at * P + a] + z[e] * p.iv->pred.ds[at * P + a]) / p.iv->pred.s[at];
        }
        du[a] = (dz[0] - r * dz[1]) / q;
      }
      const double h = dpi_norm_hazard(u);
      for (int a = 0; a < P; a++) {
        g[0][a] += 2 * h * du[a];
        for (int c = 0; c < P; c++) fisher[0][a * P + c] -= h * (h + u) * du[a] * du[c];
      }
    }
    dpi_indiv_destroy(p.iv);
  }
  for (int a = 0; a < P; a++) near(g[0][a], g[1][a], 1e-7);
  for (int a = 0; a < P * P; a++) near(fisher[0][a], fisher[1][a], 1e-8 * (1 + fabs(fisher[1][a])));
  close_bench(&b);
}

/* Nothing beyond a limit: the sum over pairs of old, to the byte. */
static void nothing_censored(void **state) {
  (void)state;
  bench b;
  person p;
  const int none[N] = {0};
  const double x[P] = {0.1, -0.1, 0.2};
  bool ok;
  open_bench(&b);
  open_person(&b, P, none, &p);
  assert_int_equal(p.iv->nrun, 0);
  dpi_point pt = {0, NULL, NULL};
  assert_int_equal(dpi_indiv_eval(p.iv, x, false, &pt, &ok), DP_OK);
  assert_true(ok);
  double l = 0, prior = 0, z[N];
  for (int i = 0; i < N; i++) {
    const double f = p.iv->pred.f[i], s = p.iv->pred.s[i], r = p.link[i].rho;
    z[i] = (p.datum[i].y - (p.datum[i].log ? dpi_m_log(f) : f)) / s;
    if (p.link[i].before < 0) {
      l += z[i] * z[i] + 2 * dpi_m_log(s);
      continue;
    }
    const double v = z[i] - r * z[p.link[i].before], q2 = 1 - r * r;
    l += v * v / q2 + 2 * dpi_m_log(s) + dpi_m_log(q2);
  }
  for (int a = 0; a < P; a++) {
    for (int c = 0; c < P; c++) prior += c == a ? 0 : p.iv->prec[a * P + c] * x[c];
    l += x[a] * (prior + p.iv->prec[a * P + a] * x[a]);
    prior = 0;
  }
  assert_true(pt.l == l);
  dpi_indiv_destroy(p.iv);
  close_bench(&b);
}

/* Residual of the datum after a run: by what the run leaves of it, between that of its pair and of itself alone. */
static void residual_after_a_run(void **state) {
  (void)state;
  bench b;
  chain c;
  double work[4 * LONGEST], m[LONGEST + 1], v[LONGEST + 1], w[LONGEST];
  const double limit[2] = {-1, -1};
  open_bench(&b);
  make(&b, 2, 0.7, true, true, &c);
  dpi_run_moments(c.run, limit, 0.3, work, m, v, w);
  assert_true(v[0] == 1 - 0.7 * 0.7);
  assert_true(v[2] > 1 - 0.7 * 0.7 && v[2] < 1 - pow(0.7, 6));
  assert_true(m[2] < -0.7 && m[2] > -1.5);
  for (int k = 0; k < 2; k++) assert_true(w[k] > 0 && w[k] < 1);
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(as_on_a_fine_grid),     cmocka_unit_test(closed_forms),
      cmocka_unit_test(far_apart),             cmocka_unit_test(gradient_by_differences),
      cmocka_unit_test(curvature_of_the_last), cmocka_unit_test(nothing_censored),
      cmocka_unit_test(residual_after_a_run)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
