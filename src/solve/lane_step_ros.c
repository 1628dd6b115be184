/* lane_step_ros.c - floor 3: one step of a Rosenbrock-Wanner method as nodes.
 *
 * The matrix is kept as J - 1/(h gamma), and lane_lu.c solves with its negative: no sign is
 * ever changed. */
#include "solve/lane_step_impl.h"

#define OP2(op, a, c) dpi_g_op2(b->g, DPI_OP_##op, (a), (c))

/* J - 1/(h gamma), factored */
static dp_status factor(dpi_lane_build *b) {
  const dpi_system *sys = b->sys;
  int n = b->n;
  dpi_node *a = dpi_lane_nodes(b, n * n), shift = OP2(MUL, dpi_lane_const(b, 1.0 / b->tab->gamma), b->h_inv);
  if (a == NULL) return DP_ERR_MEMORY;
  for (int k = 0; k < sys->jac_nnz; k++) a[sys->jac_row[k] * n + sys->jac_col[k]] = b->jac[k];
  for (int k = 0; k < n; k++) {
    dpi_node *d = &a[k * n + k];
    *d = OP2(SUB, *d == DPI_NODE_NONE ? dpi_lane_const(b, 0.0) : *d, shift);
    if (*d == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  }
  return dpi_lane_lu_factor(b->arena, b->g, n, a, &b->lu) == DP_OK ? DP_OK : dpi_lane_no_memory(b);
}

/* Up to so many states a step waits for results more than it computes: the rates, known last, are added last. Beyond,
 * one operation less for each rate matters more. */
#define LATE_MOST 16

/* rate + sum c_ij/h U_j + gamma_i h df/dt */
static dp_status right_side(dpi_lane_build *b, int i, dpi_node *v) {
  dpi_node w[DPI_LANE_STAGE_MAX], zero = dpi_lane_const(b, 0.0);
  dpi_node ht = b->rate_t != NULL ? OP2(MUL, dpi_lane_const(b, b->tab->gammas[i]), b->h) : zero;
  bool late = b->n <= LATE_MOST;
  DP_TRY(dpi_lane_row(b, b->tab->c + i * b->nstage, i, w));
  for (int j = 0; j < i && !late; j++) {
    if (w[j] == DPI_NODE_NONE) continue;
    w[j] = OP2(MUL, w[j], b->h_inv);
    if (w[j] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  }
  for (int k = 0; k < b->n; k++) {
    if (late)
      v[k] = dpi_g_fma(b->g, dpi_lane_sum(b, zero, w, b->stage, 0, i, k), b->h_inv, b->rate[i][k]);
    else
      v[k] = dpi_lane_sum(b, b->rate[i][k], w, b->stage, 0, i, k);
    if (b->rate_t != NULL) v[k] = dpi_g_fma(b->g, ht, b->rate_t[k], v[k]);
  }
  return DP_OK;
}

/* U_i = W^-1 of that */
static dp_status solve_stage(dpi_lane_build *b, int i) {
  dpi_node *v = dpi_lane_nodes(b, b->n);
  if (v == NULL) return DP_ERR_MEMORY;
  DP_TRY(right_side(b, i, v));
  dpi_lane_lu_solve(b->g, &b->lu, v);
  for (int k = 0; k < b->n; k++)
    if (v[k] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
  b->stage[i] = v;
  return DP_OK;
}

dp_status dpi_lane_build_ros(dpi_lane_build *b, dpi_lane_step *s) {
  int m = b->nstage;
  dpi_node w[DPI_LANE_STAGE_MAX];
  b->h_inv = OP2(DIV, dpi_lane_const(b, 1.0), b->h);
  for (int i = 0; i < m; i++) {
    const double *row = b->tab->a + i * m;
    b->point[i] = dpi_lane_nodes(b, b->n);
    if (b->point[i] == NULL) return DP_ERR_MEMORY;
    DP_TRY(dpi_lane_row(b, row, i, w));
    DP_TRY(dpi_lane_point(b, i, row, i > 1 ? row - m : NULL, w, b->point[i]));
    DP_TRY(dpi_lane_rates(b, i));
    if (i == 0) DP_TRY(factor(b));
    DP_TRY(solve_stage(b, i));
  }
  s->x_new = dpi_lane_nodes(b, b->n);
  if (s->x_new == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_lane_row(b, b->tab->b, m, w));
  s->growth = b->lu.growth;
  return dpi_lane_point(b, m, b->tab->b, b->tab->a + (m - 1) * m, w, s->x_new);
}
