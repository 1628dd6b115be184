/* lane_step_rk.c - floor 3: one step of an explicit Runge-Kutta method as nodes.
 *
 * Stage vectors are V_i = h f_i, so that rows of the table are constants. Stiffness is seen as in Hairer's DOPRI5
 * (Solving ODE II, section IV.2): |h lambda| from the last two stages, which both stand at t + h.
 */
#include "solve/lane_step_impl.h"

#define OP1(op, a) dpi_g_op1(b->g, DPI_OP_##op, (a))
#define OP2(op, a, c) dpi_g_op2(b->g, DPI_OP_##op, (a), (c))

/* |V_m - V_m-1| / |x_m - x_m-1|, each state by its tolerance: large states that change slowly would hide small ones
 * that are held by stability */
static dp_status add_stiffness(dpi_lane_build *b, dpi_lane_step *s) {
  int m = b->nstage;
  dpi_node up = dpi_lane_const(b, 0.0), down = up, zero = up;
  for (int k = 0; k < b->n; k++) {
    dpi_node room = OP2(DIV, dpi_lane_const(b, 1.0), dpi_lane_weight(b, s, k)),
             dv = OP2(MUL, OP2(SUB, b->stage[m - 1][k], b->stage[m - 2][k]), room),
             dx = OP2(MUL, OP2(SUB, b->point[m - 1][k], b->point[m - 2][k]), room);
    up = dpi_g_fma(b->g, dv, dv, up);
    down = dpi_g_fma(b->g, dx, dx, down);
  }
  s->growth = dpi_g_if(b->g, OP2(GT, down, zero), OP1(SQRT, OP2(DIV, up, down)), zero);
  return s->growth == DPI_NODE_NONE ? dpi_lane_no_memory(b) : DP_OK;
}

dp_status dpi_lane_build_rk(dpi_lane_build *b, dpi_lane_step *s) {
  int m = b->nstage;
  dpi_node w[DPI_LANE_STAGE_MAX];
  for (int i = 0; i < m; i++) {
    b->point[i] = dpi_lane_nodes(b, b->n);
    b->stage[i] = dpi_lane_nodes(b, b->n);
    if (b->point[i] == NULL || b->stage[i] == NULL) return DP_ERR_MEMORY;
    DP_TRY(dpi_lane_row(b, b->tab->a + i * m, i, w));
    DP_TRY(dpi_lane_point(b, i, b->tab->a + i * m, NULL, w, b->point[i]));
    DP_TRY(dpi_lane_rates(b, i));
    for (int k = 0; k < b->n; k++) {
      b->stage[i][k] = OP2(MUL, b->h, b->rate[i][k]);
      if (b->stage[i][k] == DPI_NODE_NONE) return dpi_lane_no_memory(b);
    }
  }
  s->x_new = b->point[m - 1];
  return add_stiffness(b, s);
}
