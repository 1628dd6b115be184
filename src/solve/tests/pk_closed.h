/* pk_closed.h - closed forms of the usual compartment models in extended precision with complex
 * arguments, so that the complex step gives their derivatives to full accuracy. Source: Gibaldi,
 * Perrier, Pharmacokinetics (2nd ed. 1982). */
#ifndef DPI_PK_CLOSED_H
#define DPI_PK_CLOSED_H

#include <complex.h>
#include <math.h>

typedef long double _Complex pkc;

/* (1 - e^(-d t)) / d, also where d t is small */
static inline pkc pk_gap(pkc d, long double t) {
  pkc z = d * t;
  if (cabsl(z) > 0.5L) return (1.0L - cexpl(-z)) / d;
  pkc term = 1.0L, sum = 0.0L;
  for (int k = 1; k < 30; k++) {
    sum += term;
    term *= -z / (k + 1.0L);
  }
  return t * sum;
}

/* One compartment, amounts. Dose 1 into depot at 0; dose 1 into central; rate 1 into central from 0
 * on. */
static inline pkc pk1_oral(pkc ka, pkc ke, long double t) {
  return ka * cexpl(-ke * t) * pk_gap(ka - ke, t);
}
static inline pkc pk1_bolus(pkc ke, long double t) { return cexpl(-ke * t); }
static inline pkc pk1_infusion(pkc ke, long double t) { return pk_gap(ke, t); }

/* Two compartments. alpha > beta. */
static inline void pk2_rates(pkc k10, pkc k12, pkc k21, pkc *alpha, pkc *beta) {
  pkc sum = k10 + k12 + k21, root = csqrtl(sum * sum - 4.0L * k10 * k21);
  *alpha = (sum + root) / 2.0L;
  *beta = k10 * k21 / *alpha;
}
static inline pkc pk2_bolus(pkc k10, pkc k12, pkc k21, long double t) {
  pkc a, b;
  pk2_rates(k10, k12, k21, &a, &b);
  return ((a - k21) * cexpl(-a * t) + (k21 - b) * cexpl(-b * t)) / (a - b);
}
static inline pkc pk2_peripheral(pkc k10, pkc k12, pkc k21, long double t) {
  pkc a, b;
  pk2_rates(k10, k12, k21, &a, &b);
  return k12 * (cexpl(-b * t) - cexpl(-a * t)) / (a - b);
}
static inline pkc pk2_infusion(pkc k10, pkc k12, pkc k21, long double t) {
  pkc a, b;
  pk2_rates(k10, k12, k21, &a, &b);
  return ((a - k21) * pk_gap(a, t) + (k21 - b) * pk_gap(b, t)) / (a - b);
}
/* ka must not be close to alpha or beta */
static inline pkc pk2_oral(pkc ka, pkc k10, pkc k12, pkc k21, long double t) {
  pkc a, b;
  pk2_rates(k10, k12, k21, &a, &b);
  return ka * ((k21 - ka) * cexpl(-ka * t) / ((a - ka) * (b - ka)) +
               (k21 - a) * cexpl(-a * t) / ((ka - a) * (b - a)) +
               (k21 - b) * cexpl(-b * t) / ((ka - b) * (a - b)));
}

#define PK_STEP 1e-30L /* complex step: derivative = Im f(p + i h) / h */

#endif
