/* rootfind.c - root of a continuous function on a bracket.
 *
 * Source: R. P. Brent, Algorithms for Minimization without Derivatives (1973), chapter 4: inverse
 * quadratic interpolation or secant where they do well, bisection where they do not. Ends when
 * the bracket is no wider than tol plus the roundoff.
 */
#include "num/num.h"

#include <float.h>
#include <math.h>

#define MAX_STEPS 500

typedef struct bracket {
  double a, fa; /* the point before b */
  double b, fb; /* best so far */
  double c, fc; /* the other side: fb and fc differ in sign */
  double d, e;  /* last step and the one before */
} bracket;

/* The side opposite to b, and b the better of both. */
static void arrange(bracket *s) {
  if ((s->fb > 0.0) == (s->fc > 0.0)) {
    s->c = s->a;
    s->fc = s->fa;
    s->d = s->e = s->b - s->a;
  }
  if (fabs(s->fc) < fabs(s->fb)) {
    s->a = s->b;
    s->b = s->c;
    s->c = s->a;
    s->fa = s->fb;
    s->fb = s->fc;
    s->fc = s->fa;
  }
}

/* Interpolated step if it is good enough, else half of the bracket m. */
static void choose_step(bracket *s, double m, double tol) {
  double p, q;
  bool bisect = fabs(s->e) < tol || fabs(s->fa) <= fabs(s->fb);
  if (!bisect) {
    double t = s->fb / s->fa;
    if (s->a == s->c) {
      p = 2.0 * m * t;
      q = 1.0 - t;
    } else {
      double u = s->fa / s->fc, v = s->fb / s->fc;
      p = t * (2.0 * m * u * (u - v) - (s->b - s->a) * (v - 1.0));
      q = (u - 1.0) * (v - 1.0) * (t - 1.0);
    }
    if (p > 0.0)
      q = -q;
    else
      p = -p;
    bisect = !(2.0 * p < 3.0 * m * q - fabs(tol * q) && p < fabs(0.5 * s->e * q));
    if (!bisect) {
      s->e = s->d;
      s->d = p / q;
    }
  }
  if (bisect) s->d = s->e = m;
}

double dpi_root(double (*fn)(void *, double), void *user, double a, double fa, double b, double fb,
                double tol) {
  if (fa == 0.0) return a;
  if (fb == 0.0) return b;
  bracket s = {.a = a, .fa = fa, .b = b, .fb = fb, .c = a, .fc = fa, .d = b - a, .e = b - a};
  for (int k = 0; k < MAX_STEPS; k++) {
    arrange(&s);
    double small = 2.0 * DBL_EPSILON * fabs(s.b) + 0.5 * tol, m = 0.5 * (s.c - s.b);
    if (fabs(m) <= small || s.fb == 0.0) return s.b;
    choose_step(&s, m, small);
    s.a = s.b;
    s.fa = s.fb;
    s.b += fabs(s.d) > small ? s.d : copysign(small, m);
    s.fb = fn(user, s.b);
    if (s.fb != s.fb) return NAN;
  }
  return s.b;
}
