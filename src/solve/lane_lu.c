/* lane_lu.c - floor 3: sparse elimination without pivoting as nodes of a graph.
 *
 * The pivot is always the diagonal element: of W = 1/(h gamma) - J there is one in every row, and for small h they
 * dominate. The order is Markowitz's: the row and column that can fill in least, the first of those.
 *
 * Instead of pivoting we watch: where elimination makes a diagonal element larger by some factor, as many of its own
 * digits are gone (a small pivot before it does that). The factor does not change when states change their units.
 * Elements that become smaller are no harm done: W itself is nearly singular then (moieties that are conserved, h
 * large), with any pivots.
 */
#include "solve/lane_step_impl.h"

typedef struct order_work {
  int n;
  bool *full; /* [n x n] pattern with fill-in */
  bool *done; /* [n] */
  int *depth; /* [n] pivots before it that wait for each other */
} order_work;

/* (others in its row) * (others in its column): so much could fill in */
static long cost(const order_work *w, int p) {
  long row = 0, col = 0;
  for (int k = 0; k < w->n; k++) {
    if (w->done[k] || k == p) continue;
    row += w->full[p * w->n + k];
    col += w->full[k * w->n + p];
  }
  return row * col;
}

/* of equals the one that waits for the fewest others: it can be computed beside them */
static int cheapest(const order_work *w) {
  int best = -1;
  long least = 0;
  for (int p = 0; p < w->n; p++) {
    if (w->done[p]) continue;
    long c = cost(w, p);
    if (best >= 0 && (c > least || (c == least && w->depth[p] >= w->depth[best]))) continue;
    best = p;
    least = c;
  }
  return best;
}

static void fill_in(order_work *w, int p) {
  int n = w->n;
  for (int i = 0; i < n; i++) {
    if (w->done[i]) continue;
    if ((w->full[i * n + p] || w->full[p * n + i]) && w->depth[i] <= w->depth[p]) w->depth[i] = w->depth[p] + 1;
    if (!w->full[i * n + p]) continue;
    for (int j = 0; j < n; j++)
      if (!w->done[j] && w->full[p * n + j]) w->full[i * n + j] = true;
  }
}

static dp_status find_order(dpi_arena *arena, dpi_lane_lu *lu) {
  int n = lu->n;
  order_work w = {.n = n};
  w.full = DPI_ARENA_ARRAY(arena, bool, n *n);
  w.done = DPI_ARENA_ARRAY(arena, bool, n);
  w.depth = DPI_ARENA_ARRAY(arena, int, n);
  if (w.full == NULL || w.done == NULL || w.depth == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < n * n; i++) w.full[i] = lu->a[i] != DPI_NODE_NONE;
  for (int k = 0; k < n; k++) {
    int p = cheapest(&w);
    w.done[p] = true;
    fill_in(&w, p);
    lu->order[k] = p;
  }
  return DP_OK;
}

/* Row i less a multiple of row p; columns behind the k-th of the order. */
static dp_status eliminate_row(dpi_graph *g, dpi_lane_lu *lu, int k, int i) {
  int n = lu->n, p = lu->order[k];
  dpi_node *row = lu->a + i * n, *pivot = lu->a + p * n;
  dpi_node m = dpi_g_op2(g, DPI_OP_MUL, row[p], lu->inv[p]);
  if (m == DPI_NODE_NONE) return DP_ERR_MEMORY;
  row[p] = m;
  lu->nnz++;
  for (int l = k + 1; l < n; l++) {
    int j = lu->order[l];
    if (pivot[j] == DPI_NODE_NONE) continue;
    row[j] = row[j] == DPI_NODE_NONE ? dpi_g_op2(g, DPI_OP_MUL, m, pivot[j]) : dpi_g_fma(g, m, pivot[j], row[j]);
    if (row[j] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

/* -1/pivot; *least: how small the diagonal element was beside it, at worst */
static dp_status invert(dpi_graph *g, dpi_lane_lu *lu, int p, dpi_node before, dpi_node *least) {
  dpi_node pivot = lu->a[p * lu->n + p];
  lu->inv[p] = dpi_g_op2(g, DPI_OP_DIV, dpi_g_const(g, -1.0), pivot);
  if (lu->inv[p] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  if (pivot == before) return DP_OK;
  dpi_node part = dpi_g_op1(g, DPI_OP_ABS, dpi_g_op2(g, DPI_OP_MUL, before, lu->inv[p]));
  *least = *least == DPI_NODE_NONE ? part : dpi_g_op2(g, DPI_OP_MIN, *least, part);
  return part == DPI_NODE_NONE || *least == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* U by rows divided by their pivots */
static dp_status scale_rows(dpi_graph *g, dpi_lane_lu *lu) {
  for (int k = 0; k < lu->n; k++) {
    int p = lu->order[k];
    for (int l = k + 1; l < lu->n; l++) {
      dpi_node *u = &lu->a[p * lu->n + lu->order[l]];
      if (*u == DPI_NODE_NONE) continue;
      *u = dpi_g_op2(g, DPI_OP_MUL, *u, lu->inv[p]);
      if (*u == DPI_NODE_NONE) return DP_ERR_MEMORY;
      lu->nnz++;
    }
  }
  return DP_OK;
}

static dp_status eliminate(dpi_graph *g, dpi_lane_lu *lu, const dpi_node *before, dpi_node *least) {
  for (int k = 0; k < lu->n; k++) {
    int p = lu->order[k];
    DP_TRY(invert(g, lu, p, before[p], least));
    for (int l = k + 1; l < lu->n; l++)
      if (lu->a[lu->order[l] * lu->n + p] != DPI_NODE_NONE) DP_TRY(eliminate_row(g, lu, k, lu->order[l]));
  }
  return DP_OK;
}

dp_status dpi_lane_lu_factor(dpi_arena *arena, dpi_graph *g, int n, dpi_node *a, dpi_lane_lu *lu) {
  *lu = (dpi_lane_lu){.n = n, .a = a, .growth = DPI_NODE_NONE};
  lu->order = DPI_ARENA_ARRAY(arena, int, n);
  lu->inv = DPI_ARENA_ARRAY(arena, dpi_node, n);
  dpi_node least = DPI_NODE_NONE, *before = DPI_ARENA_ARRAY(arena, dpi_node, n);
  if (lu->order == NULL || lu->inv == NULL || before == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) before[i] = a[i * n + i];
  DP_TRY(find_order(arena, lu));
  DP_TRY(eliminate(g, lu, before, &least));
  DP_TRY(scale_rows(g, lu));
  if (least == DPI_NODE_NONE) return DP_OK;
  lu->growth = dpi_g_op2(g, DPI_OP_DIV, dpi_g_const(g, 1.0), least);
  return lu->growth == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

/* In both directions what is known last is added last. */
void dpi_lane_lu_solve(dpi_graph *g, const dpi_lane_lu *lu, dpi_node *b) {
  int n = lu->n;
  for (int k = 0; k < n; k++) {
    int i = lu->order[k];
    for (int l = 0; l < k; l++) {
      int j = lu->order[l];
      if (lu->a[i * n + j] != DPI_NODE_NONE) b[i] = dpi_g_fma(g, lu->a[i * n + j], b[j], b[i]);
    }
  }
  for (int k = n - 1; k >= 0; k--) {
    int i = lu->order[k];
    b[i] = dpi_g_op2(g, DPI_OP_MUL, b[i], lu->inv[i]);
    for (int l = n - 1; l > k; l--) {
      int j = lu->order[l];
      if (lu->a[i * n + j] != DPI_NODE_NONE) b[i] = dpi_g_fma(g, lu->a[i * n + j], b[j], b[i]);
    }
  }
}
