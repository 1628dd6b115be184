/* peer_loop.c - floor 8: the closed loop as a plain C program would be written: one person at a time, the S2008 model
 * by Runge-Kutta steps of 1 minute, the C library's tanh, basal-bolus every 5 minutes without noise. Compiled with
 * -O3. */
#include <math.h>

#include "bench/bench_people.h"

enum { Q1, Q2, GUT, GP, GT, IP, X, I1, ID, IL, S1, S2, GS, N };

typedef struct person {
  double BW, Ib, kabs, kmax, kmin, b, d, f, Vg, Vi, Vmx, Km0, k1, k2, p2u, m1, m2, m4, m30, ki, kp1, kp2, kp3, ke1, ke2,
      Fsnc, Vm0, kd, ksc, ka1, ka2, u2ss;
} person;

static void rates(const person *p, const double *x, double cho, double dose, double insulin, double *f) {
  const double q = x[Q1] + x[Q2], D = dose > 0 ? dose : 1;
  const double up = 5 / (2 * D * (1 - p->b)), down = 5 / (2 * D * p->d);
  const double kgut = p->kmin + (p->kmax - p->kmin) / 2 * (tanh(up * (q - p->b * D)) - tanh(down * (q - p->d * D)) + 2);
  const double egp = fmax(p->kp1 - p->kp2 * x[GP] - p->kp3 * x[ID], 0), kidney = p->ke1 * fmax(x[GP] - p->ke2, 0);
  const double i = x[IP] / p->Vi;
  f[Q1] = cho - p->kmax * x[Q1];
  f[Q2] = p->kmax * x[Q1] - kgut * x[Q2];
  f[GUT] = kgut * x[Q2] - p->kabs * x[GUT];
  f[GP] = egp + p->f * p->kabs * x[GUT] / p->BW - p->Fsnc - kidney - p->k1 * x[GP] + p->k2 * x[GT];
  f[GT] = -(p->Vm0 + p->Vmx * x[X]) * x[GT] / (p->Km0 + x[GT]) + p->k1 * x[GP] - p->k2 * x[GT];
  f[IP] = -(p->m2 + p->m4) * x[IP] + p->m1 * x[IL] + p->ka1 * x[S1] + p->ka2 * x[S2];
  f[X] = p->p2u * (i - p->Ib - x[X]);
  f[I1] = p->ki * (i - x[I1]);
  f[ID] = p->ki * (x[I1] - x[ID]);
  f[IL] = -(p->m1 + p->m30) * x[IL] + p->m2 * x[IP];
  f[S1] = insulin - (p->ka1 + p->kd) * x[S1];
  f[S2] = p->kd * x[S1] - p->ka2 * x[S2];
  f[GS] = p->ksc * (x[GP] - x[GS]);
}

static void step(const person *p, double *x, double cho, double dose, double insulin) {
  double k1[N], k2[N], k3[N], k4[N], y[N];
  rates(p, x, cho, dose, insulin, k1);
  for (int j = 0; j < N; j++) y[j] = x[j] + 0.5 * k1[j];
  rates(p, y, cho, dose, insulin, k2);
  for (int j = 0; j < N; j++) y[j] = x[j] + 0.5 * k2[j];
  rates(p, y, cho, dose, insulin, k3);
  for (int j = 0; j < N; j++) y[j] = x[j] + k3[j];
  rates(p, y, cho, dose, insulin, k4);
  for (int j = 0; j < N; j++) x[j] += (k1[j] + 2 * k2[j] + 2 * k3[j] + k4[j]) / 6;
}

static void read_person(const dpi_bench_people *t, int row, person *p, double *x) {
#define GET(id) p->id = dpi_bench_people_value(t, row, #id)
  GET(BW), GET(Ib), GET(kabs), GET(kmax), GET(kmin), GET(b), GET(d), GET(f), GET(Vg), GET(Vi), GET(Vmx), GET(Km0);
  GET(k1), GET(k2), GET(p2u), GET(m1), GET(m2), GET(m4), GET(m30), GET(ki), GET(kp1), GET(kp2), GET(kp3), GET(ke1);
  GET(ke2), GET(Fsnc), GET(Vm0), GET(kd), GET(ksc), GET(ka1), GET(ka2), GET(u2ss);
#undef GET
  static const char *const start[N] = {"x0_1", "x0_2", "x0_3",  "x0_4",  "x0_5",  "x0_6", "x0_7",
                                       "x0_8", "x0_9", "x0_10", "x0_11", "x0_12", "x0_13"};
  for (int j = 0; j < N; j++) x[j] = dpi_bench_people_value(t, row, start[j]);
}

void dpi_peer_loop(const dpi_bench_people *table, int row, const dpi_bench_meal *meal, int nmeal, int days,
                   dpi_loop_peer *out) {
  person p;
  double x[N], cho = 0, dose = 0, announced = 0, left = 0, rate = 0;
  read_person(table, row, &p, x);
  out->low = out->in_range = out->n = 0;
  for (int minute = 0, next = 0; minute < 1440 * days; minute++) {
    if (next < nmeal && meal[next].minute == minute) {
      dose = x[Q1] + x[Q2];
      left = 1000 * meal[next].grams;
      announced = meal[next++].grams;
    }
    if (minute % DPI_SAMPLE == 0) {
      const double reading = fmax(39, fmin(600, x[GS] / p.Vg));
      rate = reading < 70 ? 0 : p.u2ss;
      if (announced > 0) x[S1] += (announced / out->cr + fmax(0, reading - 150) / out->cf) * 6000 / p.BW;
      announced = 0;
      out->low += reading < 70;
      out->in_range += reading >= 70 && reading <= 180;
      out->n += 1;
    }
    cho = left < DPI_EATING ? left : DPI_EATING;
    left -= cho;
    dose += 0.5 * cho; /* the middle of the minute */
    step(&p, x, cho, dose, rate);
    dose += 0.5 * cho;
  }
  out->glucose = x[GP] / p.Vg;
}
