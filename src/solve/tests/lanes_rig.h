/* lanes_rig.h - what the tests of the lanes share: models, members that differ by a factor on each
 * parameter, groups. */
#ifndef DPI_LANES_RIG_H
#define DPI_LANES_RIG_H

#include "solve/lanes.h"
#include "solve_rig.h"

static const char lanes_robertson[] =
    "model rob()\n  y1' = -k1*y1 + k3*y2*y3\n  y2' = k1*y1 - k3*y2*y3 - k2*y2^2\n  y3' = k2*y2^2\n"
    "  y1 = 1; y2 = 0; y3 = 0\n  k1 = 0.04; k2 = 3e7; k3 = 1e4\nend\n";
static const char lanes_hires[] =
    "model hires()\n  y1' = -1.71*k*y1 + 0.43*y2 + 8.32*y3 + 0.0007\n  y2' = 1.71*k*y1 - 8.75*y2\n"
    "  y3' = -10.03*y3 + 0.43*y4 + 0.035*y5\n  y4' = 8.32*y2 + 1.71*y3 - 1.12*y4\n"
    "  y5' = -1.745*y5 + 0.43*y6 + 0.43*y7\n  y6' = -280*y6*y8 + 0.69*y4 + 1.71*y5 - 0.43*y6 + 0.69*y7\n"
    "  y7' = 280*y6*y8 - 1.81*y7\n  y8' = -280*y6*y8 + 1.81*y7\n"
    "  y1 = 1; y2 = 0; y3 = 0; y4 = 0; y5 = 0; y6 = 0; y7 = 0; y8 = 0.0057\n  k = 1\nend\n";
static const char lanes_vdp[] =
    "model vdp()\n  x' = y\n  y' = mu*((1 - x^2)*y) - x\n  x = 2; y = 0\n  mu = 50\nend\n";
static const char lanes_blow[] = "model blow()\n  x' = a*x^2\n  y' = -y\n  x = 1; y = 1\n  a = 1\nend\n";
static const char lanes_jump[] =
    "model j()\n  x' = piecewise(1, time < 1/3, -k)\n  y' = piecewise(2, x < 0.25, 1 - y)\n  x = 0; y = 0\n  k = "
    "0.5\nend\n";
static const char lanes_leap[] =
    "model leap()\n  x' = 1 - v*x/(1e-13 + x)\n  c' = -40*s\n  s' = 40*c\n  x = 10; c = 1; s = 0\n  v = 100\nend\n";
static const char lanes_effect[] =
    "model w()\n  depot' = -ka*depot\n  central' = ka*depot - Vm*central/(Km + central)\n"
    "  effect' = kin*(1 - central/(IC + central)) - kout*effect*exp(-0.1*effect)\n"
    "  depot = 0; central = 0; effect = 10\n  ka = 1; Vm = 5; Km = 3; kin = 1; kout = 0.1; IC = 2\nend\n";

/* Symbols and start of member `who`: parameters within a factor of 3 up and down, by a rule of its own. */
static inline void lanes_member(const rig *r, int who, double *sym, double *x) {
  uint64_t z = (uint64_t)who * 0x9E3779B97F4A7C15u + 0x1234567u;
  for (int i = 0; i < r->model->nsym; i++) {
    z ^= z >> 29;
    z *= 0xBF58476D1CE4E5B9u;
    z ^= z >> 32;
    sym[i] = r->sym[i] * exp2((double)(z >> 11) * 0x1p-53 * 3.17 - 1.585);
  }
  double *reg = calloc((size_t)dpi_tape_nreg(r->sys->init), sizeof *reg);
  double *out = calloc((size_t)(r->sys->nstate * (1 + r->sys->nactive)), sizeof *out);
  dpi_tape_init(r->sys->init, reg);
  dpi_tape_prologue(r->sys->init, sym, reg);
  dpi_tape_eval(r->sys->init, sym, reg, out);
  memcpy(x, out, (size_t)r->sys->nstate * sizeof *x);
  free(reg);
  free(out);
}

static inline dpi_lane_plan *lanes_plan(const rig *r, dpi_lane_kind kind, double rtol, double atol) {
  dpi_solve_opts o = dpi_solve_opts_default();
  o.rtol = rtol;
  o.atol = atol;
  dpi_lane_plan *p = NULL;
  rig_must(r, dpi_lane_plan_create(r->ctx, r->sys, &o, kind, 0, &p));
  return p;
}

/* Lay member `who` on a lane and start it at t0. */
static inline void lanes_lay(const rig *r, dpi_lanes *g, int lane, int who, double t0) {
  double sym[RIG_STATE], x[RIG_STATE];
  dpi_solver *s = dpi_lanes_solver(g, lane);
  lanes_member(r, who, sym, x);
  rig_must(r, s->ops->bind(s, sym, NULL, 0));
  assert_int_equal(s->ops->start(s, t0, x, NULL), DPI_SOLVE_OK);
}

#endif
