/* trial_looks.c - floor 8: boundaries of group sequential trials, two-sided and symmetric.
 *
 *     obrien-fleming              |z| >= C sqrt(K/k) at look k of K    O'Brien & Fleming 1979
 *     pocock                      |z| >= C                             Pocock 1977
 *     lan-demets-obrien-fleming   of alpha, until share t of the information: 4 (1 - Phi(z_(alpha/4) / sqrt t))
 *     lan-demets-pocock           alpha ln(1 + (e - 1) t)      both Lan & DeMets 1983, with alpha/2 on either side
 *
 * Without a difference, B(t) = z sqrt t at share t of the information is a Brownian motion. Its density among trials
 * that go on, look after look (Armitage, McPherson & Rowe 1969), is kept at the nodes of Gauss and Legendre's rule:
 *
 *     g_k(y) = integral of g_(k-1)(x) phi((y - x)/s)/s dx over |x| < c_(k-1) sqrt t_(k-1),    s^2 = t_k - t_(k-1)
 *     P(ends at k) = integral of g_(k-1)(x) P(|x + s Z| >= c_k sqrt t_k) dx
 */
#include <math.h>
#include <string.h>

#include "num/num.h"
#include "trial/trial_impl.h"

enum { nnode = 128 };
static const double most_z = 38, wide = 9; /* beyond: no probability that a double holds; no mass of the density */

/* ---- trials that go on ---- */

typedef struct going {
  double node[nnode], weight[nnode];
  double t; /* share of the information at the last look; 0: none yet */
  double x[nnode], mass[nnode];
} going;

/* P of an end at a look at t with |z| >= c. */
static double ends(const going *g, double t, double c) {
  if (g->t == 0) return 2 * dpi_norm_cdf(-c);
  const double b = c * sqrt(t), s = sqrt(t - g->t);
  double sum = 0;
  for (int i = 0; i < nnode; i++)
    sum += g->mass[i] * (dpi_norm_cdf((g->x[i] - b) / s) + dpi_norm_cdf((-b - g->x[i]) / s));
  return sum;
}

static void go_on(going *g, double t, double c) {
  const double b = fmin(c, wide) * sqrt(t), s = sqrt(t - g->t);
  double x[nnode], mass[nnode];
  for (int j = 0; j < nnode; j++) {
    x[j] = b * g->node[j];
    double density = g->t == 0 ? dpi_norm_pdf(x[j] / s) / s : 0;
    for (int i = 0; i < nnode && g->t > 0; i++) density += g->mass[i] * dpi_norm_pdf((x[j] - g->x[i]) / s) / s;
    mass[j] = density * b * g->weight[j];
  }
  memcpy(g->x, x, sizeof x);
  memcpy(g->mass, mass, sizeof mass);
  g->t = t;
}

/* ---- boundaries ---- */

static double classical(dpi_boundary kind, double c, double t) { return kind == DPI_BOUNDARY_OBF ? c / sqrt(t) : c; }

static double all_ends(const going *rule, dpi_boundary kind, double c, const double *share, int n) {
  going g = *rule;
  double sum = 0;
  for (int k = 0; k < n; k++) {
    const double z = classical(kind, c, share[k]);
    sum += ends(&g, share[k], z);
    if (k + 1 < n) go_on(&g, share[k], z);
  }
  return sum;
}

/* Of alpha, what may be spent until share t. */
static double spent(dpi_boundary kind, double alpha, double t) {
  if (t >= 1) return alpha;
  if (kind == DPI_BOUNDARY_LD_POCOCK) return alpha * dpi_m_log(1 + (dpi_m_exp(1) - 1) * t);
  return 4 * dpi_norm_cdf(dpi_norm_quantile(alpha / 4) / sqrt(t));
}

void dpi_trial_boundaries(dpi_boundary kind, const double *share, int n, double alpha, double *critical) {
  going g = {.t = 0};
  for (int i = 0; i < nnode; i++) dpi_gauss_legendre(nnode, i, &g.node[i], &g.weight[i]);
  const bool spending = kind == DPI_BOUNDARY_LD_OBF || kind == DPI_BOUNDARY_LD_POCOCK;
  double low = 0, high = most_z;
  while (!spending && high - low > 1e-12) { /* P falls with the boundary */
    const double c = (low + high) / 2;
    *(all_ends(&g, kind, c, share, n) > alpha ? &low : &high) = c;
  }
  for (int k = 0; k < n; k++) {
    critical[k] = classical(kind, high, share[k]);
    if (!spending) continue;
    const double now = spent(kind, alpha, share[k]) - (k ? spent(kind, alpha, share[k - 1]) : 0);
    low = 0;
    high = most_z;
    while (high - low > 1e-12) {
      const double c = (low + high) / 2;
      *(ends(&g, share[k], c) > now ? &low : &high) = c;
    }
    critical[k] = high;
    go_on(&g, share[k], high);
  }
}

int dpi_trial_look_at(const dp_trial *t, int k, int people) {
  return k + 1 == t->nlook ? people : (int)floor(t->look[k] * people + 0.5);
}

bool dpi_trial_looks_fit(const dp_trial *t, int people) {
  for (int k = 0; k < t->nlook; k++)
    if (dpi_trial_look_at(t, k, people) <= (k ? dpi_trial_look_at(t, k - 1, people) : 0)) return false;
  return true;
}

/* ---- reading ---- */

static dp_status wrong(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what, const char *expected) {
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected %s", doc->source, node->line, what, expected);
}

static dp_status read_at(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map, bool spending) {
  static const char shares[] = "2 to 20 ascending shares of the people, 0.01 apart or more, the last one 1";
  const dpi_yaml *at = dpi_yaml_get(map, "at");
  if (!at || at->type == DPI_YAML_SCALAR) {
    DP_TRY(dpi_yaml_int(doc, map, "at", 0, 2, DPI_TRIAL_LOOKS, &t->nlook));
    if (!t->nlook) return wrong(doc, map, "looks", "at: how many looks, or at which shares of the people");
    for (int k = 0; k < t->nlook; k++) t->look[k] = (k + 1.0) / t->nlook;
    return DP_OK;
  }
  if (at->type != DPI_YAML_SEQUENCE || at->count < 2 || at->count > DPI_TRIAL_LOOKS)
    return wrong(doc, at, "at", shares);
  if (!spending)
    return wrong(doc, at, "at", "a number of looks at equal distances; other ones have the boundaries lan-demets-...");
  for (const dpi_yaml *e = at->first; e; e = e->next) {
    const double before = t->nlook ? t->look[t->nlook - 1] : 0;
    double x;
    if (e->type != DPI_YAML_SCALAR || !dpi_parse_double(e->text, &x) || !(x >= before + 0.01 - 1e-12 && x <= 1))
      return wrong(doc, e, "at", shares);
    t->look[t->nlook++] = x;
  }
  return t->look[t->nlook - 1] == 1 ? DP_OK : wrong(doc, at, "at", shares);
}

dp_status dpi_trial_read_looks(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  static const char *const keys[] = {"at", "boundary"};
  static const char *const words[] = {[DPI_BOUNDARY_OBF] = "obrien-fleming",
                                      [DPI_BOUNDARY_POCOCK] = "pocock",
                                      [DPI_BOUNDARY_LD_OBF] = "lan-demets-obrien-fleming",
                                      [DPI_BOUNDARY_LD_POCOCK] = "lan-demets-pocock"};
  if (!map) return DP_OK;
  int kind = 0;
  t->look_line = map->line;
  DP_TRY(dpi_yaml_known(doc, map, "looks", keys, 2));
  DP_TRY(dpi_yaml_string(doc, map, "boundary", "obrien-fleming", &t->boundary));
  while (kind < DPI_COUNT(words) && strcmp(words[kind], t->boundary) != 0) kind++;
  if (kind == DPI_COUNT(words))
    return wrong(doc, dpi_yaml_get(map, "boundary"), "boundary",
                 "obrien-fleming, pocock, lan-demets-obrien-fleming or lan-demets-pocock");
  if (t->desc.narm < 2) return wrong(doc, map, "looks", "two arms or more, whose differences are looked at");
  if (t->holm)
    return wrong(doc, map, "looks",
                 "it without multiplicity: holm: a boundary holds the level of one comparison, and Holm's steps would "
                 "not hold it at several looks");
  DP_TRY(read_at(t, doc, map, kind == DPI_BOUNDARY_LD_OBF || kind == DPI_BOUNDARY_LD_POCOCK));
  dpi_trial_boundaries((dpi_boundary)kind, t->look, t->nlook, 1 - t->confidence, t->critical);
  return DP_OK;
}
