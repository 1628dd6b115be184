/* gauss_legendre.c - floor 1: Gauss and Legendre's rule (num.h). */
#include "num/num.h"

static const double PI = 3.14159265358979323846;

void dpi_gauss_legendre(int n, int i, double *node, double *weight) {
  double x = dpi_m_cos(PI * (i + 0.75) / (n + 0.5)), slope = 1;
  for (int turn = 0; turn < 20; turn++) {
    double p = 1, before = 0;
    for (int k = 1; k <= n; k++) {
      const double next = ((2 * k - 1) * x * p - (k - 1) * before) / k;
      before = p;
      p = next;
    }
    slope = n * (x * p - before) / (x * x - 1);
    x -= p / slope;
  }
  *node = x;
  *weight = 2 / ((1 - x * x) * slope * slope);
}
