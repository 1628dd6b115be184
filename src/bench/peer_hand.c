/* peer_hand.c - floor 8: derivatives of robertson and hires for CVODE, written by hand. */
#include "bench/bench_impl.h"

/* ---- Robertson, in: Walsh (ed.), Numerical Analysis, 1966: A -> B; B + B -> C + B; B + C -> A + C ---- */

static void robertson_rhs(double t, const double *x, const double *p, double *f) {
  (void)t;
  const double slow = p[0] * x[0], fast = p[1] * x[1] * x[1], back = p[2] * x[1] * x[2];
  f[0] = back - slow;
  f[1] = slow - back - fast;
  f[2] = fast;
}

static void robertson_jac(double t, const double *x, const double *p, double *v) {
  (void)t;
  const double by_b = p[2] * x[2], by_c = p[2] * x[1], twice = 2.0 * p[1] * x[1];
  v[0] = -p[0];
  v[1] = p[0];
  v[2] = by_b;
  v[3] = -by_b - twice;
  v[4] = twice;
  v[5] = by_c;
  v[6] = -by_c;
}

static void robertson_start(const double *p, double *x) {
  (void)p;
  x[0] = 1.0;
  x[1] = x[2] = 0.0;
}

static const char *const robertson_state[] = {"A", "B", "C"};
static const char *const robertson_param[] = {"k1", "k2", "k3"};
static const int robertson_row[] = {0, 1, 0, 1, 2, 0, 1}, robertson_column[] = {0, 2, 5, 7};

const dpi_bench_peer dpi_peer_robertson = {
    .nstate = 3,
    .nparam = 3,
    .nnz = 7,
    .state_id = robertson_state,
    .param_id = robertson_param,
    .row = robertson_row,
    .column = robertson_column,
    .rhs = robertson_rhs,
    .jac = robertson_jac,
    .start = robertson_start,
};

/* ---- HIRES (Schaefer 1975; Hairer & Wanner II, section IV.10), the ten constants of its reactions ---- */
enum { K1, K2, K3, K4, K5, K6, KPLUS, KMINUS, KSTAR, OKS };

static void hires_rhs(double t, const double *y, const double *p, double *f) {
  (void)t;
  const double bind = p[KPLUS] * y[5] * y[7], loose = (p[K2] + p[KMINUS] + p[KSTAR]) * y[6];
  f[0] = -p[K1] * y[0] + p[K2] * y[1] + p[K6] * y[2] + p[OKS];
  f[1] = p[K1] * y[0] - (p[K2] + p[K3]) * y[1];
  f[2] = -(p[K6] + p[K1]) * y[2] + p[K2] * y[3] + p[K5] * y[4];
  f[3] = p[K3] * y[1] + p[K1] * y[2] - (p[K4] + p[K2]) * y[3];
  f[4] = -(p[K1] + p[K5]) * y[4] + p[K2] * (y[5] + y[6]);
  f[5] = -bind + p[K4] * y[3] + p[K1] * y[4] - p[K2] * y[5] + p[KMINUS] * y[6];
  f[6] = bind - loose;
  f[7] = loose - bind;
}

static void hires_jac(double t, const double *y, const double *p, double *v) {
  (void)t;
  const double b5 = p[KPLUS] * y[7], b7 = p[KPLUS] * y[5], loose = p[K2] + p[KMINUS] + p[KSTAR];
  v[0] = -p[K1], v[1] = p[K1];
  v[2] = p[K2], v[3] = -(p[K2] + p[K3]), v[4] = p[K3];
  v[5] = p[K6], v[6] = -(p[K6] + p[K1]), v[7] = p[K1];
  v[8] = p[K2], v[9] = -(p[K4] + p[K2]), v[10] = p[K4];
  v[11] = p[K5], v[12] = -(p[K1] + p[K5]), v[13] = p[K1];
  v[14] = p[K2], v[15] = -b5 - p[K2], v[16] = b5, v[17] = -b5;
  v[18] = p[K2], v[19] = p[KMINUS], v[20] = -loose, v[21] = loose;
  v[22] = -b7, v[23] = b7, v[24] = -b7;
}

static void hires_start(const double *p, double *y) {
  (void)p;
  for (int i = 0; i < 8; i++) y[i] = 0.0;
  y[0] = 1.0;
  y[7] = 0.0057;
}

static const char *const hires_state[] = {"y1", "y2", "y3", "y4", "y5", "y6", "y7", "y8"};
static const char *const hires_param[] = {"k1", "k2", "k3", "k4", "k5", "k6", "kplus", "kminus", "kstar", "oks"};
static const int hires_row[] = {0, 1, 0, 1, 3, 0, 2, 3, 2, 3, 5, 2, 4, 5, 4, 5, 6, 7, 4, 5, 6, 7, 5, 6, 7};
static const int hires_column[] = {0, 2, 5, 8, 11, 14, 18, 22, 25};

const dpi_bench_peer dpi_peer_hires = {
    .nstate = 8,
    .nparam = 10,
    .nnz = 25,
    .state_id = hires_state,
    .param_id = hires_param,
    .row = hires_row,
    .column = hires_column,
    .rhs = hires_rhs,
    .jac = hires_jac,
    .start = hires_start,
};
