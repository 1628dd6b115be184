/* incidence_chain.h - floor 3, private to linear: exponentials of up to three states without a cycle, in closed form.
 *
 * Such a matrix is triangular in an order of its states 0, 1, 2 (everybody behind who feeds him). With z_i = m_ii h and
 * the divided differences f[..] of exp at them,
 *
 *     e_ii = f[i]     e_10 = h m_10 f[0,1]     e_20 = h m_20 f[0,2] + h^2 m_21 m_10 f[0,1,2]
 *
 * and the derivative of a divided difference by z_i is the one with i once more. These are what a depot, a centre
 * and an input need again and again; the series of incidence_body.h takes ten products for them.
 *
 * Accuracy. Divided differences of exp are positive and grow with each place. Places at most NEAR apart: a series
 * around the lowest one, all of whose terms are positive. Further apart: the definition, whose two terms then
 * differ by a factor of 1.7 at least. The derivatives by all places add up to the value (exp is its own
 * derivative), which gives the last of them. So each has a relative error of a few units of the last place, at
 * whatever distance. (A. McCurdy, K. Ng, B. Parlett, Accurate computation of divided differences of the
 * exponential function, Math. Comp. 43 (1984).)
 *
 * Included by incidence_body.h, once for each instruction set.
 */
#define NEAR 2.0

/* f[a,b], f[a,a,b], f[a,b,b] of one pair of places, a <= b. */
typedef struct two {
  double ab, aab, abb;
} two;

/* f[a,b,c] and with each of its places once more, a <= b <= c. */
typedef struct three {
  double abc, aabc, abbc, abcc;
} three;

static const double inverse_factorial[24] = {
    1.0,
    1.0,
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40320.0,
    1.0 / 362880.0,
    1.0 / 3628800.0,
    1.0 / 39916800.0,
    1.0 / 479001600.0,
    1.0 / 6227020800.0,
    1.0 / 87178291200.0,
    1.0 / 1307674368000.0,
    1.0 / 20922789888000.0,
    1.0 / 355687428096000.0,
    1.0 / 6402373705728000.0,
    1.0 / 121645100408832000.0,
    1.0 / 2432902008176640000.0,
    1.0 / 51090942171709440000.0,
    1.0 / 1124000727777607680000.0,
    1.0 / 25852016738884976640000.0,
};

/* Degree, odd, at which sum x^j / (j + 2)! has its last bit. */
static inline int degree_within(double x) { return x <= 1.0 / 16 ? 9 : x <= 0.5 ? 13 : x <= 1.0 ? 17 : 21; }

/* x = b - a; ea, eb: exp there. */
static inline two differences_of_two(double x, double ea, double eb) {
  two r;
  if (x <= NEAR) {
    /* even and odd powers by themselves, so that they need not wait for each other */
    const int n = degree_within(x);
    const double xx = x * x;
    double odd = inverse_factorial[n + 2], even = inverse_factorial[n + 1];
    for (int j = n - 2; j > 0; j -= 2) {
      odd = inverse_factorial[j + 2] + xx * odd;
      even = inverse_factorial[j + 1] + xx * even;
    }
    const double aab = even + x * odd;
    r.ab = ea * (1.0 + x * aab);
    r.aab = ea * aab;
  } else {
    r.ab = (eb - ea) / x;
    r.aab = (r.ab - ea) / x;
  }
  r.abb = r.ab - r.aab;
  return r;
}

/* x = b - a, y = c - a; ea: exp(a). f[a,a,t] = ea g(t - a), g(t) = sum t^j / (j + 2)!: its divided differences at x, at
 * x and y, at x twice and y by repeated division (Horner). */
static inline three differences_of_three(double x, double y, double ea, const two *ab, const two *bc) {
  three r;
  if (y <= NEAR) {
    const int n = degree_within(y);
    double g = inverse_factorial[n + 2], gy = 0.0, gyx = 0.0;
    for (int j = n - 1; j >= 0; j--) {
      gyx = gy + x * gyx;
      gy = g + y * gy;
      g = inverse_factorial[j + 2] + x * g;
    }
    r.abc = ea * (g + y * gy);
    r.aabc = ea * gy;
    r.abbc = ea * (gy + x * gyx);
  } else {
    r.abc = (bc->ab - ab->ab) / y;
    r.aabc = (r.abc - ab->aab) / y;
    r.abbc = (bc->aab - ab->abb) / y;
  }
  r.abcc = r.abc - r.aabc - r.abbc;
  return r;
}

/* A difference of two places, and with the first or the second once more. */
typedef struct edge {
  double f, first, second;
} edge;

static inline edge edge_of(double za, double zb, double ea, double eb) {
  const bool up = za <= zb;
  const two t = up ? differences_of_two(zb - za, ea, eb) : differences_of_two(za - zb, eb, ea);
  return (edge){t.ab, up ? t.aab : t.abb, up ? t.abb : t.aab};
}

/* f[0,1,2], by[i]: with i once more. */
static inline double corner_of(const double *z, const double *ez, const edge *f, double *by) {
  int o[3] = {0, 1, 2}, t;
  if (z[o[0]] > z[o[1]]) t = o[0], o[0] = o[1], o[1] = t;
  if (z[o[1]] > z[o[2]]) t = o[1], o[1] = o[2], o[2] = t;
  if (z[o[0]] > z[o[1]]) t = o[0], o[0] = o[1], o[1] = t;
  const edge *low = &f[o[0] + o[1] - 1], *high = &f[o[1] + o[2] - 1];
  const bool l = o[0] < o[1], h = o[1] < o[2];
  const two ab = {low->f, l ? low->first : low->second, l ? low->second : low->first};
  const two bc = {high->f, h ? high->first : high->second, h ? high->second : high->first};
  const three r = differences_of_three(z[o[1]] - z[o[0]], z[o[2]] - z[o[0]], ez[o[0]], &ab, &bc);
  by[o[0]] = r.aabc;
  by[o[1]] = r.abbc;
  by[o[2]] = r.abcc;
  return r.abc;
}

/* What an entry's derivative is made of: coefficients of the matrix's own derivatives, entry by entry. */
typedef struct blend {
  int n, entry[6];
  double by[6];
} blend;

static inline void blend_take(const blend *b, int nl, const double *dm, double *restrict de) {
  for (int l = 0; l < nl; l += 4) {
    lanes4 sum = b->by[0] * *(const lanes4 *)(dm + b->entry[0] * nl + l);
    for (int k = 1; k < b->n; k++) sum += b->by[k] * *(const lanes4 *)(dm + b->entry[k] * nl + l);
    *(lanes4 *)(de + l) = sum;
  }
}

/* Nothing there, and nothing comes there in any direction. */
static inline bool is_empty(int entry, int nl, const double *m, const double *dm) {
  bool none = entry < 0 || m[entry] == 0.0;
  for (int l = 0; none && entry >= 0 && l < nl; l++) none = dm[entry * nl + l] == 0.0;
  return none;
}

/* The matrix in its order: entries, places, their exponentials, differences of pairs (0 and 1, 0 and 2, 1 and 2). */
typedef struct chain {
  int at[3][3];
  double z[3], ez[3];
  edge f[3];
} chain;

static inline bool chain_lay(const dpi_incidence *p, const double *m, double h, chain *q) {
  for (int c = 0; c < p->nnz; c++)
    if (!isfinite(m[c] * h)) return false;
  for (int i = 0; i < p->n; i++) {
    for (int j = 0; j < p->n; j++) q->at[i][j] = p->at[p->chain[i] * p->n + p->chain[j]];
    q->z[i] = m[q->at[i][i]] * h;
    q->ez[i] = q->z[i] == 0.0 ? 1.0 : dpi_m_exp(q->z[i]);
  }
  return true;
}

/* Entry (i, j) as if nothing lay between. */
static inline void chain_pair(chain *q, int i, int j, int nl, const double *m, const double *dm, double h,
                              double *restrict e, double *restrict de) {
  const int c = q->at[i][j];
  const edge g = q->f[i + j - 1] = edge_of(q->z[j], q->z[i], q->ez[j], q->ez[i]);
  const double rate = h * m[c];
  const blend b = {3, {c, q->at[j][j], q->at[i][i]}, {h * g.f, h * rate * g.first, h * rate * g.second}};
  e[c] = rate * g.f;
  blend_take(&b, nl, dm, de + c * nl);
}

/* Entry (2, 0) with the way through 1. */
static inline void chain_corner(const chain *q, int nl, const double *m, const double *dm, double h, double *restrict e,
                                double *restrict de) {
  const int c = q->at[2][0], c10 = q->at[1][0], c21 = q->at[2][1];
  double by[3];
  const double f = corner_of(q->z, q->ez, q->f, by);
  const double r10 = h * m[c10], r21 = h * m[c21], r20 = h * m[c], way = r21 * r10;
  const edge *g = &q->f[1];
  const blend b = {6,
                   {c, c21, c10, q->at[0][0], q->at[1][1], q->at[2][2]},
                   {h * g->f, h * (r10 * f), h * (r21 * f), h * (r20 * g->first + way * by[0]), h * (way * by[1]),
                    h * (r20 * g->second + way * by[2])}};
  e[c] = r20 * g->f + way * f;
  blend_take(&b, nl, dm, de + c * nl);
}

/* exp(m h) and its derivatives; false: m h is not finite. Empty entries are left out: they would come out as 0. */
static bool expm_chain(const dpi_incidence *p, int nblock, const double *m, const double *dm, double h,
                       double *restrict e, double *restrict de) {
  const int nl = 4 * nblock;
  chain q = {0};
  if (!chain_lay(p, m, h, &q)) return false;
  for (int i = 0; i < p->n; i++) {
    const int c = q.at[i][i];
    const blend own = {1, {c}, {h * q.ez[i]}};
    e[c] = q.ez[i];
    blend_take(&own, nl, dm, de + c * nl);
  }
  const bool through = p->n == 3 && !is_empty(q.at[1][0], nl, m, dm) && !is_empty(q.at[2][1], nl, m, dm);
  for (int i = 1; i < p->n; i++)
    for (int j = 0; j < i; j++) {
      const int c = q.at[i][j];
      if (c < 0) continue;
      if (through || !is_empty(c, nl, m, dm)) {
        chain_pair(&q, i, j, nl, m, dm, h, e, de);
        continue;
      }
      e[c] = 0.0;
      memset(de + c * nl, 0, (size_t)nl * sizeof *de);
    }
  if (through) chain_corner(&q, nl, m, dm, h, e, de);
  return true;
}
