/* incidence.c - floor 3: products and exponentials, with directional derivatives, of matrices of
 * one closed pattern.
 *
 * Exponential: scaling and squaring with the truncated Taylor series of degree 8, 12 or 16 in the
 * form of Paterson and Stockmeyer,
 *
 *     exp(M h) = (exp(mu tau) T_m(N tau))^(2^s),   tau = h / 2^s,   N = M - mu I.
 *
 * - mu is the least diagonal entry when M is essentially nonnegative (compartments): N >= 0, so
 *   nothing cancels and every entry keeps its relative accuracy (J. Xue, Q. Ye, Entrywise relative
 *   perturbation bounds for exponentials of essentially non-negative matrices, Numer. Math. 110
 *   (2008)).
 * - The size of N is taken as alpha = max(|N^3|^(1/3), |N^4|^(1/4)), compared without taking roots (A. Al-Mohy,
 *   N. Higham, A new scaling and squaring algorithm, SIAM J. Matrix Anal. Appl. 31 (2009)), so units that differ
 *   between states do not cause needless squaring.
 * - Derivatives go with every product by the product rule (A. Al-Mohy, N. Higham, Computing the
 *   Frechet derivative, SIAM J. Matrix Anal. Appl. 30 (2009)).
 * - Squaring doubles the relative error of what lies on the diagonal. Where that is known it is put
 *   right on the way, which also keeps the entries beside it right: exp(m_ii tau) for a state in no
 *   cycle, the block's own exponential (which a fast rate elsewhere does not force into many
 *   squarings) for a cycle.
 *
 * Up to three states without a cycle have a closed form that is shorter (incidence_chain.h), and so have the values of
 * a cycle of two with at most one state beside it (incidence_cycle.h).
 *
 * The arithmetic stands in incidence_body.h, for each width of registers once.
 *
 * Invariant: e does not depend on whether derivatives are asked.
 */
#define OPS dpi_incidence_base
#define WIDE 4
#include "solve/linear/incidence_body.h"

/* ---------------------------------------------------------------- the pattern */

/* Reflexive and transitive closure (Warshall). */
static void close_relation(int n, uint8_t *reach) {
  for (int i = 0; i < n; i++) reach[i * n + i] = 1;
  for (int k = 0; k < n; k++)
    for (int i = 0; i < n; i++)
      if (reach[i * n + k])
        for (int j = 0; j < n; j++) reach[i * n + j] |= reach[k * n + j];
}

/* For each entry (i, j) the pairs (i, k), (k, j); counts only while pair is NULL. */
static int list_pairs(dpi_incidence *p) {
  int n = p->n, count = 0;
  for (int c = 0; c < p->nnz; c++) {
    if (p->pair) p->first[c] = count;
    for (int k = 0; k < n; k++) {
      int a = p->at[p->row[c] * n + k], b = p->at[k * n + p->col[c]];
      if (a < 0 || b < 0) continue;
      if (p->pair) p->pair[count] = (dpi_pair){a, b};
      count++;
    }
  }
  if (p->pair) p->first[p->nnz] = count;
  return count;
}

/* The block of the states in member[]. */
static dp_status make_block(dp_ctx *ctx, const dpi_incidence *p, const int *member, int count,
                            dpi_block *b) {
  uint8_t *all = DPI_NEW_ARRAY(ctx, uint8_t, count * count);
  b->sub = DPI_NEW(ctx, dpi_incidence);
  b->entry = DPI_NEW_ARRAY(ctx, int, count *count);
  dp_status status = DP_ERR_MEMORY;
  if (all && b->sub && b->entry) {
    memset(all, 1, (size_t)(count * count));
    status = dpi_incidence_init(ctx, count, all, b->sub);
  }
  for (int i = 0; i < count * count && status == DP_OK; i++)
    b->entry[i] = p->at[member[i / count] * p->n + member[i % count]];
  dpi_free(ctx, all);
  return status;
}

/* Find the cycles that are not everything. */
static dp_status find_blocks(dp_ctx *ctx, dpi_incidence *p) {
  int n = p->n;
  int *member = DPI_NEW_ARRAY(ctx, int, n);
  p->block = DPI_NEW_ARRAY(ctx, dpi_block, n / 2);
  dp_status status = member && p->block ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < n && status == DP_OK; i++) {
    int count = 0;
    for (int j = 0; j < n; j++)
      if (p->at[i * n + j] >= 0 && p->at[j * n + i] >= 0) member[count++] = j;
    // each once, by its first state
    if (count < 2 || count == n || member[0] != i) continue;
    status = make_block(ctx, p, member, count, &p->block[p->nblock++]);
  }
  dpi_free(ctx, member);
  return status;
}

/* Few states in no cycle, by the number of those that reach them: who reaches another has fewer. */
static void find_chain(dpi_incidence *p) {
  const int n = p->n;
  for (int i = 0; i < n; i++)
    if (n > DPI_CHAIN || !p->alone[i]) return;
  p->nchain = 0;
  for (int count = 1; count <= n; count++)
    for (int i = 0; i < n; i++) {
      int reach = 0;
      for (int j = 0; j < n; j++) reach += p->at[i * n + j] >= 0;
      if (reach == count) p->chain[p->nchain++] = i;
    }
}

/* Two states that reach each other, and at most one beside them. */
static void find_cycle(dpi_incidence *p) {
  const int n = p->n;
  p->cycle[2] = -1;
  if (n < 2 || n > 3) return;
  for (int i = 0, found = 0; i < n; i++) {
    if (p->alone[i])
      p->cycle[2] = i;
    else if (found < 2)
      p->cycle[found++] = i;
    p->has_cycle = found == 2 && (n == 2 || p->cycle[2] >= 0);
  }
}

/* The widest that this processor has. */
static const dpi_incidence_ops *choose_ops(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return &dpi_incidence_avx512;
  if (__builtin_cpu_supports("avx")) return &dpi_incidence_avx;
#endif
  return &dpi_incidence_base;
}

dp_status dpi_incidence_init(dp_ctx *ctx, int n, uint8_t *reach, dpi_incidence *p) {
  *p = (dpi_incidence){.n = n, .ops = choose_ops()};
  close_relation(n, reach);
  for (int i = 0; i < n * n; i++) p->nnz += reach[i];
  p->row = DPI_NEW_ARRAY(ctx, int, p->nnz);
  p->col = DPI_NEW_ARRAY(ctx, int, p->nnz);
  p->at = DPI_NEW_ARRAY(ctx, int, n *n);
  p->diag = DPI_NEW_ARRAY(ctx, int, n);
  p->first = DPI_NEW_ARRAY(ctx, int, p->nnz + 1);
  p->alone = DPI_NEW_ARRAY(ctx, uint8_t, n);
  if (!p->row || !p->col || !p->at || !p->diag || !p->first || !p->alone) return DP_ERR_MEMORY;
  int c = 0;
  for (int i = 0; i < n; i++) {
    p->alone[i] = 1;
    for (int j = 0; j < n; j++) {
      p->at[i * n + j] = reach[i * n + j] ? c : -1;
      if (!reach[i * n + j]) continue;
      if (i == j)
        p->diag[i] = c;
      else if (reach[j * n + i])
        p->alone[i] = 0;
      p->row[c] = i;
      p->col[c++] = j;
    }
  }
  p->pair = NULL;
  int npair = list_pairs(p);
  p->pair = DPI_NEW_ARRAY(ctx, dpi_pair, npair);
  if (!p->pair) return DP_ERR_MEMORY;
  list_pairs(p);
  find_chain(p);
  find_cycle(p);
  return find_blocks(ctx, p);
}

void dpi_incidence_release(dp_ctx *ctx, dpi_incidence *p) {
  dpi_free(ctx, p->row);
  dpi_free(ctx, p->col);
  dpi_free(ctx, p->at);
  dpi_free(ctx, p->diag);
  dpi_free(ctx, p->first);
  dpi_free(ctx, p->pair);
  dpi_free(ctx, p->alone);
  for (int i = 0; i < p->nblock; i++) {
    if (p->block[i].sub) dpi_incidence_release(ctx, p->block[i].sub);
    dpi_free(ctx, p->block[i].sub);
    dpi_free(ctx, p->block[i].entry);
  }
  dpi_free(ctx, p->block);
  *p = (dpi_incidence){0};
}

/* ---------------------------------------------------------------- arithmetic */

void dpi_incidence_multiply(const dpi_incidence *p, int nblock, const double *a, const double *da,
                            const double *b, const double *db, double *c, double *dc) {
  p->ops->multiply(p, nblock, a, da, b, db, c, dc);
}

bool dpi_incidence_expm(const dpi_incidence *p, int nblock, const double *m, const double *dm,
                        bool metzler, double h, double *e, double *de, dpi_expm_work *w) {
  return p->ops->expm(p, nblock, m, dm, metzler, h, e, de, w);
}

double dpi_incidence_norm(const dpi_incidence *p, const double *a) {
  double most = 0.0, sum = 0.0;
  for (int e = 0; e < p->nnz; e++) {
    sum = e > 0 && p->row[e] == p->row[e - 1] ? sum + fabs(a[e]) : fabs(a[e]);
    if (sum > most || sum != sum) most = sum; /* not a number stays */
  }
  return most;
}
