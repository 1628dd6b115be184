/* calib_bend.c - floor 6: second derivatives of one measurement's ln p by the simulation y and the noise s.  O
 *
 * With D = h(y) - h(m), r = D/s (see calib_noise.c):
 *
 *     normal    yy = -(h'^2 + h'' D)/s^2      ys = 2 h' D/s^3        ss = (1 - 3 r^2)/s^2
 *     Laplace   yy = -h'' sign(D)/s           ys = h' sign(D)/s^2    ss = (1 - 2 |r|)/s^2
 *
 * Of ln P(a, b), the value known to lie within [low, high], a = (h(low) - h(y))/s and b alike: the chain rule.
 */
#include <math.h>
#include <string.h>

#include "infer/petab/calib.h"

static const double LN_10 = 2.3025850929940456840;

/* h' and h'' at y */
static void scale_slopes(int h, double y, double *d1, double *d2) {
  const double c = h == 2 ? 1 / LN_10 : 1;
  *d1 = h == 0 ? 1 : c / y;
  *d2 = h == 0 ? 0 : -c / (y * y);
}

void dpi_noise_bend_at(dpi_noise noise, double m, double y, double s, dpi_noise_bend *out) {
  const bool laplace = noise >= DPI_NOISE_LAPLACE;
  const double d = dpi_noise_scale(noise, y) - dpi_noise_scale(noise, m), r = d / s, side = (d > 0) - (d < 0);
  double d1, d2;
  scale_slopes((int)noise % 3, y, &d1, &d2);
  out->yy = laplace ? -d2 * side / s : -(d1 * d1 + d2 * d) / (s * s);
  out->ys = laplace ? d1 * side / (s * s) : 2 * d1 * r / (s * s);
  out->ss = (1 - (laplace ? 2 * fabs(r) : 3 * r * r)) / (s * s);
  memset(out->bound, 0, sizeof out->bound);
  memset(out->by, 0, sizeof out->by);
}

/* One end's place (h(at) - h(y))/s by y, s and at: first derivatives d, second dd. An open end takes no part. */
typedef struct end {
  double d[3], dd[3][3];
} end;

static void end_slopes(int h, double at, double y, double s, end *e) {
  double y1, y2, e1, e2;
  *e = (end){0};
  if (isinf(at) || (h > 0 && !(at > 0))) return;
  scale_slopes(h, y, &y1, &y2);
  scale_slopes(h, at, &e1, &e2);
  const dpi_noise noise = (dpi_noise)h;
  const double place = (dpi_noise_scale(noise, at) - dpi_noise_scale(noise, y)) / s;
  e->d[0] = -y1 / s;
  e->d[1] = -place / s;
  e->d[2] = e1 / s;
  e->dd[0][0] = -y2 / s;
  e->dd[0][1] = e->dd[1][0] = y1 / (s * s);
  e->dd[1][1] = 2 * place / (s * s);
  e->dd[2][2] = e2 / s;
  e->dd[1][2] = e->dd[2][1] = -e1 / (s * s);
}

void dpi_noise_bend_within(dpi_noise noise, double low, double high, double y, double s, dpi_noise_bend *out) {
  const int h = (int)noise % 3;
  const double at = dpi_noise_scale(noise, y);
  end a, b;
  dpi_noise_slice t;
  end_slopes(h, low, y, s, &a);
  end_slopes(h, high, y, s, &b);
  dpi_noise_between(noise, (dpi_noise_scale(noise, low) - at) / s, (dpi_noise_scale(noise, high) - at) / s, &t);
  /* by y, s, low, high: each moves an end by these */
  const double da[4] = {a.d[0], a.d[1], a.d[2], 0}, db[4] = {b.d[0], b.d[1], 0, b.d[2]};
  static const int of_a[4] = {0, 1, 2, -1}, of_b[4] = {0, 1, -1, 2};
  double f[4][4];
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      f[i][j] = -t.aa * da[i] * da[j] + t.ab * (da[i] * db[j] + da[j] * db[i]) - t.bb * db[i] * db[j];
      if (of_a[i] >= 0 && of_a[j] >= 0) f[i][j] += t.da * a.dd[of_a[i]][of_a[j]];
      if (of_b[i] >= 0 && of_b[j] >= 0) f[i][j] += t.db * b.dd[of_b[i]][of_b[j]];
    }
  out->yy = f[0][0];
  out->ys = f[0][1];
  out->ss = f[1][1];
  out->bound[0] = t.da * a.d[2];
  out->bound[1] = t.db * b.d[2];
  for (int j = 0; j < 4; j++) {
    out->by[0][j] = f[2][j];
    out->by[1][j] = f[3][j];
  }
}
