/* incidence_cycle.h - floor 3, private to linear: exponentials of a cycle of two states, alone or with one state beside
 * it, in closed form: a centre and a periphery, with the input of an infusion or a depot, or with what leaves gathered.
 *
 * The cycle's block A has eigenvalues z1 <= z2, N = A - z1 I, and by Newton's form of a function of a matrix, with
 * divided differences f[..] of exp at places times h,
 *
 *     exp(A h) = f[z1] I + f[z1,z2] h N
 *     a state k that feeds the cycle by b:     h (f[z1,zk] I + f[z1,z2,zk] h N) b
 *     a state k that the cycle feeds by c:     h c (f[z1,zk] I + f[z1,z2,zk] h N)
 *
 * With d = (a11 - a22)/2, p = a12 a21 and r = sqrt(d^2 + p): z = mean -+ r, N11 = r + d, N22 = r - d.
 *
 * Accuracy. Where p >= 0 (every compartment model) everything above is a sum of positive terms: whichever of r + d, r -
 * d would cancel is p over the other, the eigenvalue near zero is det A over the other with det A to its last bit, and
 * divided differences are those of incidence_chain.h, right at any distance, equal places included. Where p < 0 entries
 * can go through zero; they are right within the size of the whole. Complex eigenvalues mean -+ i s:
 *
 *     exp(A h) = exp(mean h) (cos(s h) I + sin(s h)/(s h) h (A - mean I))
 *
 * Values alone: derivatives go by the series of incidence_body.h.
 *
 * Included by incidence_body.h after incidence_chain.h, once for each instruction set.
 */
#define CYCLE_LEAST 1e-140 /* largest entry: squares neither vanish nor overflow */
#define CYCLE_MOST 1e140

/* a b + c d with one rounding at the size of the result (W. Kahan's use of fma). */
static inline double sum_of_products(double a, double b, double c, double d) {
  const double w = c * d;
  return fma(a, b, w) + fma(c, d, -w);
}

/* The cycle's block: entries by place, eigenvalues, diagonal of N. */
typedef struct cycle {
  double a11, a12, a21, a22;
  double z1, z2, n1, n2;
  double s; /* imaginary part; then z1 is the real part */
} cycle;

static inline bool cycle_lay(const dpi_incidence *p, const double *m, cycle *q) {
  const int i = p->cycle[0], j = p->cycle[1], n = p->n;
  *q = (cycle){
      .a11 = m[p->at[i * n + i]], .a12 = m[p->at[i * n + j]], .a21 = m[p->at[j * n + i]], .a22 = m[p->at[j * n + j]]};
  const double most = fmax(fmax(fabs(q->a11), fabs(q->a12)), fmax(fabs(q->a21), fabs(q->a22)));
  if (!(most > CYCLE_LEAST && most < CYCLE_MOST)) return false;
  const double mean = 0.5 * (q->a11 + q->a22), d = 0.5 * (q->a11 - q->a22), product = q->a12 * q->a21;
  const double square = sum_of_products(d, d, q->a12, q->a21);
  if (square < 0.0) {
    q->s = sqrt(-square);
    q->z1 = mean;
    return true;
  }
  const double r = sqrt(square);
  const double det = sum_of_products(q->a11, q->a22, -q->a12, q->a21);
  q->z1 = mean <= 0.0 ? mean - r : det / (mean + r);
  q->z2 = mean <= 0.0 ? (mean - r == 0.0 ? 0.0 : det / (mean - r)) : mean + r;
  if (!(q->z1 <= q->z2)) q->z1 = q->z2 = mean; /* equal but for rounding */
  q->n1 = d >= 0.0 ? r + d : product / (r - d);
  q->n2 = d <= 0.0 ? r - d : product / (r + d);
  return true;
}

static inline void cycle_waves(const dpi_incidence *p, const cycle *q, double h, double *restrict e) {
  const int i = p->cycle[0], j = p->cycle[1], n = p->n;
  const double x = q->s * h, size = dpi_m_exp(q->z1 * h), c = size * dpi_m_cos(x);
  const double w = (x == 0.0 ? 1.0 : dpi_m_sin(x) / x) * size * h, d = 0.5 * (q->a11 - q->a22);
  e[p->at[i * n + i]] = c + w * d;
  e[p->at[j * n + j]] = c - w * d;
  e[p->at[i * n + j]] = w * q->a12;
  e[p->at[j * n + i]] = w * q->a21;
}

/* Entries between the cycle and the state beside it: first f[z1,zk], second f[z1,z2,zk]. */
static inline void cycle_beside(const dpi_incidence *p, const cycle *q, const double *m, double h, double first,
                                double second, double *restrict e) {
  const int i = p->cycle[0], j = p->cycle[1], k = p->cycle[2], n = p->n;
  const double g1 = first + second * (h * q->n1), g2 = first + second * (h * q->n2), gh = second * h;
  const int ik = p->at[i * n + k], jk = p->at[j * n + k], ki = p->at[k * n + i], kj = p->at[k * n + j];
  if (ik >= 0) {
    e[ik] = h * (g1 * m[ik] + gh * q->a12 * m[jk]);
    e[jk] = h * (g2 * m[jk] + gh * q->a21 * m[ik]);
  }
  if (ki >= 0) {
    e[ki] = h * (g1 * m[ki] + gh * q->a21 * m[kj]);
    e[kj] = h * (g2 * m[kj] + gh * q->a12 * m[ki]);
  }
}

/* exp(m h), values; false: not by this form (entries out of range or not finite, waves with a state beside them). */
static bool expm_cycle(const dpi_incidence *p, const double *m, double h, double *restrict e) {
  const int i = p->cycle[0], j = p->cycle[1], k = p->cycle[2], n = p->n;
  cycle q;
  for (int c = 0; c < p->nnz; c++)
    if (!isfinite(m[c] * h)) return false;
  if (!cycle_lay(p, m, &q)) return false;
  if (q.s > 0.0) {
    if (k < 0) cycle_waves(p, &q, h, e);
    return k < 0;
  }
  double z[3] = {q.z1 * h, q.z2 * h, 0.0}, ez[3] = {dpi_m_exp(z[0]), dpi_m_exp(z[1]), 1.0};
  edge f[3] = {edge_of(z[0], z[1], ez[0], ez[1])};
  const double step = f[0].f * h;
  e[p->at[i * n + i]] = ez[0] + step * q.n1;
  e[p->at[j * n + j]] = ez[0] + step * q.n2;
  e[p->at[i * n + j]] = step * q.a12;
  e[p->at[j * n + i]] = step * q.a21;
  if (k < 0) return true;
  const int kk = p->at[k * n + k];
  double by[3];
  z[2] = m[kk] * h;
  if (z[2] != 0.0) ez[2] = dpi_m_exp(z[2]);
  e[kk] = ez[2];
  f[1] = edge_of(z[0], z[2], ez[0], ez[2]);
  f[2] = edge_of(z[1], z[2], ez[1], ez[2]);
  const double corner = corner_of(z, ez, f, by);
  cycle_beside(p, &q, m, h, f[1].f, corner, e);
  return true;
}
