/* closed_form.h - people whose predictions are written by hand, so that tests of this room need no sim.
 *
 * oral: one compartment, first-order absorption, P = TV exp(eta) for CL, V, ka; bolus doses into the depot:
 *     c(t) = sum_doses D ka/(V (ka - k)) (exp(-k s) - exp(-ka s)), k = CL/V, s = t - t_dose
 * sigma = sqrt(prop^2 c^2 + add^2). Derivatives are written out.
 */
#ifndef TEST_CLOSED_FORM_H
#define TEST_CLOSED_FORM_H

#include <math.h>
#include <string.h>

#include "infer/infer.h"

typedef struct oral {
  int nobs, ndose;
  const double *t, *dose_t, *dose;
  double cl, v, ka, prop, add;
} oral;

static inline dp_status oral_predict(void *user, const double *eta, bool deriv, dpi_pred *out,
                                     bool *ok) {
  const oral *o = user;
  double cl = o->cl * dpi_m_exp(eta[0]), v = o->v * dpi_m_exp(eta[1]),
         ka = o->ka * dpi_m_exp(eta[2]), k = cl / v;
  *ok = fabs(ka - k) > 1e-9;
  for (int i = 0; *ok && i < o->nobs; i++) {
    double c = 0, dk = 0, dka = 0, dv = 0;
    for (int d = 0; d < o->ndose; d++) {
      double s = o->t[i] - o->dose_t[d];
      if (s < 0) continue;
      double e = dpi_m_exp(-k * s), ea = dpi_m_exp(-ka * s), a = o->dose[d] / v * ka / (ka - k),
             b = e - ea;
      c += a * b;
      dk += a / (ka - k) * b - a * s * e;
      dka += -o->dose[d] / v * k / ((ka - k) * (ka - k)) * b + a * s * ea;
      dv += -a * b / v;
    }
    out->f[i] = c;
    double sd = sqrt(o->prop * o->prop * c * c + o->add * o->add);
    out->s[i] = sd;
    if (!deriv) continue;
    double *df = out->df + 3 * i, *ds = out->ds + 3 * i;
    df[0] = dk * k;
    df[1] = dv * v - dk * k;
    df[2] = dka * ka;
    for (int j = 0; j < 3; j++) ds[j] = o->prop * o->prop * c * df[j] / sd;
  }
  return DP_OK;
}

/* line: f = (a + eta_0) + (b + eta_1) t, sigma constant: everything about it is known in closed form */
typedef struct line_model {
  int nobs;
  const double *t;
  double a, b, sigma;
} line_model;

static inline dp_status line_predict(void *user, const double *eta, bool deriv, dpi_pred *out,
                                     bool *ok) {
  const line_model *m = user;
  *ok = true;
  for (int i = 0; i < m->nobs; i++) {
    out->f[i] = m->a + eta[0] + (m->b + eta[1]) * m->t[i];
    out->s[i] = m->sigma;
    if (!deriv) continue;
    out->df[2 * i] = 1;
    out->df[2 * i + 1] = m->t[i];
    out->ds[2 * i] = out->ds[2 * i + 1] = 0;
  }
  return DP_OK;
}

static inline dp_ctx *test_ctx(int nthread) {
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  def.nthread = nthread;
  return dp_ctx_create(&def, &ctx) == DP_OK ? ctx : NULL;
}

#endif
