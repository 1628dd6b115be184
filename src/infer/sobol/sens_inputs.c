/* sens_inputs.c - floor 6, inside infer/sobol: laws of inputs, joined by a Gaussian copula.
 *
 * Correlation is that of the inputs' normal scores z: x_k = F_k^-1(Phi(z_k)), z ~ N(0, R). For normal inputs it is
 * their own correlation; for a given sample it is taken from the ranks (van der Waerden scores), so that columns
 * keep their distribution exactly and their dependence as far as a correlation can say it.
 */
#include <math.h>
#include <string.h>

#include "infer/sobol/sens.h"

#define LEAST_U 0x1p-53
#define SHRINK 1e-9 /* of a sample's correlation: columns that are functions of each other */

static double inside(double u) { return u < LEAST_U ? LEAST_U : u > 1 - LEAST_U ? 1 - LEAST_U : u; }

static bool truncated(const dp_input_def *d) {
  return (d->kind == DP_INPUT_NORMAL || d->kind == DP_INPUT_LOGNORMAL) && (d->low != 0 || d->high != 0);
}

/* The score of a bound. */
static double bound_score(const dp_input_def *d, double x) {
  if (d->kind == DP_INPUT_NORMAL) return (x - d->a) / d->b;
  return x > 0 ? dpi_m_log(x / d->a) / d->b : -INFINITY;
}

static double law_quantile(const dp_input_def *d, double u) {
  if (d->kind == DP_INPUT_UNIFORM) return d->a + (d->b - d->a) * u;
  if (d->kind == DP_INPUT_LOGUNIFORM) return d->a * dpi_m_exp(u * dpi_m_log(d->b / d->a));
  double z, low = -INFINITY, high = INFINITY;
  if (truncated(d)) {
    low = bound_score(d, d->low);
    high = bound_score(d, d->high);
    double from = dpi_norm_cdf(low), to = dpi_norm_cdf(high);
    if (low > 0) { /* in the upper tail by its mirror image: no digits are lost */
      double f = dpi_norm_cdf(-high), t = dpi_norm_cdf(-low);
      z = -dpi_norm_quantile(fmax(f + (t - f) * (1 - u), 1e-300));
    } else {
      z = dpi_norm_quantile(fmax(from + (to - from) * u, 1e-300));
    }
    z = fmin(fmax(z, low), high);
  } else {
    z = dpi_norm_quantile(inside(u));
  }
  return d->kind == DP_INPUT_NORMAL ? d->a + d->b * z : d->a * dpi_m_exp(d->b * z);
}

/* Linear between the sample's points, which stand at (i + 1/2) / n. */
static double sample_quantile(const double *sorted, int n, double u) {
  double at = u * n - 0.5;
  if (!(at > 0)) return sorted[0];
  if (at >= n - 1) return sorted[n - 1];
  int i = (int)at;
  return sorted[i] + (sorted[i + 1] - sorted[i]) * (at - i);
}

double dpi_inputs_quantile(const dpi_inputs *in, int k, double u) {
  int nrow = in->def->nrow;
  return in->sorted ? sample_quantile(in->sorted + (size_t)k * (size_t)nrow, nrow, u)
                    : law_quantile(&in->def->input[k], u);
}

bool dpi_inputs_bounded(const dpi_inputs *in, int k) {
  const dp_input_def *d = &in->def->input[k];
  if (in->sorted || d->kind == DP_INPUT_UNIFORM || d->kind == DP_INPUT_LOGUNIFORM) return true;
  return truncated(d) && isfinite(bound_score(d, d->low)) && isfinite(bound_score(d, d->high));
}

void dpi_inputs_from_scores(const dpi_inputs *in, const double *z, double *x) {
  for (int k = 0; k < in->n; k++) x[k] = dpi_inputs_quantile(in, k, inside(dpi_norm_cdf(z[k])));
}

void dpi_inputs_from_cube(const dpi_inputs *in, const double *u, double *x) {
  if (!in->chol) {
    for (int k = 0; k < in->n; k++) x[k] = dpi_inputs_quantile(in, k, u[k]);
    return;
  }
  for (int k = 0; k < in->n; k++) in->work[k] = dpi_norm_quantile(inside(u[k]));
  dpi_tri_mul_lower(in->chol, in->n, in->work, in->work);
  dpi_inputs_from_scores(in, in->work, x);
}

/* ---- checks ---- */

static dp_status check_law(dp_ctx *ctx, const dp_input_def *d) {
  if (!isfinite(d->a) || !isfinite(d->b))
    return dpi_fail(ctx, DP_ERR_USAGE, "input %s: its law's numbers must be finite", d->id);
  if (d->kind == DP_INPUT_UNIFORM && !(d->a < d->b))
    return dpi_fail(ctx, DP_ERR_USAGE, "input %s: uniform from %g to %g, expected a lower end below the upper", d->id,
                    d->a, d->b);
  if (d->kind == DP_INPUT_LOGUNIFORM && !(d->a != d->b && d->b / d->a > 0))
    return dpi_fail(ctx, DP_ERR_USAGE, "input %s: log-uniform from %g to %g, expected two ends of one sign", d->id,
                    d->a, d->b);
  if ((d->kind == DP_INPUT_NORMAL || d->kind == DP_INPUT_LOGNORMAL) && !(d->b > 0))
    return dpi_fail(ctx, DP_ERR_USAGE, "input %s: spread %g, expected a positive number", d->id, d->b);
  if (d->kind == DP_INPUT_LOGNORMAL && d->a == 0) return dpi_fail(ctx, DP_ERR_USAGE, "input %s: a median of 0", d->id);
  if (!truncated(d)) return DP_OK;
  if (!(d->low < d->high) || (d->kind == DP_INPUT_LOGNORMAL && !(d->a > 0)))
    return dpi_fail(ctx, DP_ERR_USAGE, "input %s: between %g and %g, expected a lower end below the upper", d->id,
                    d->low, d->high);
  double low = bound_score(d, d->low), high = bound_score(d, d->high);
  double share = low > 0 ? dpi_norm_cdf(-low) - dpi_norm_cdf(-high) : dpi_norm_cdf(high) - dpi_norm_cdf(low);
  if (!(share > 1e-250))
    return dpi_fail(ctx, DP_ERR_USAGE, "input %s: its law has no share between %g and %g", d->id, d->low, d->high);
  return DP_OK;
}

static dp_status check(dp_ctx *ctx, const dp_sensitivity_def *def) {
  if (def->ninput < 1 || !def->input) return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: no inputs");
  if (def->row && def->nrow < 10)
    return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: a sample of %d rows, expected at least 10", def->nrow);
  if (def->row && def->correlation)
    return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: a sample brings its own correlation; one more was given");
  for (int k = 0; k < def->ninput; k++) {
    if (!def->input[k].id) return dpi_fail(ctx, DP_ERR_USAGE, "sensitivity: input %d has no id", k);
    if (!def->row) DP_TRY(check_law(ctx, &def->input[k]));
  }
  return DP_OK;
}

/* ---- groups ---- */

static dp_status make_groups(dpi_inputs *in) {
  int n = in->n, *number = DPI_ARENA_ARRAY(&in->arena, int, n);
  in->group = DPI_ARENA_ARRAY(&in->arena, int, n);
  in->name = DPI_ARENA_ARRAY(&in->arena, const char *, n);
  if (!number || !in->group || !in->name) return DP_ERR_MEMORY;
  for (int k = 0; k < n; k++) {
    const dp_input_def *d = &in->def->input[k];
    int g = 0;
    while (g < in->ngroup && (d->group <= 0 || number[g] != d->group)) g++;
    in->group[k] = g;
    if (g == in->ngroup) {
      number[in->ngroup++] = d->group > 0 ? d->group : -1;
      in->name[g] = dpi_arena_strdup(&in->arena, d->id);
    } else {
      in->name[g] = dpi_arena_printf(&in->arena, "%s+%s", in->name[g], d->id);
    }
    if (!in->name[g]) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

/* ---- correlation ---- */

static dp_status factor(dpi_inputs *in) {
  int n = in->n;
  in->chol = DPI_ARENA_ARRAY(&in->arena, double, (size_t)n *(size_t)n);
  if (!in->chol) return DP_ERR_MEMORY;
  memcpy(in->chol, in->correlation, sizeof(double) * (size_t)n * (size_t)n);
  if (!dpi_chol(in->chol, n))
    return dpi_fail(in->ctx, DP_ERR_USAGE, "sensitivity: the inputs' correlation is not positive definite");
  for (int i = 0; i < n; i++)
    for (int j = i + 1; j < n; j++) in->chol[(size_t)i * (size_t)n + (size_t)j] = 0;
  return DP_OK;
}

static dp_status given_correlation(dpi_inputs *in) {
  int n = in->n;
  const double *r = in->def->correlation;
  in->correlation = DPI_ARENA_ARRAY(&in->arena, double, (size_t)n *(size_t)n);
  if (!in->correlation) return DP_ERR_MEMORY;
  memcpy(in->correlation, r, sizeof(double) * (size_t)n * (size_t)n);
  for (int i = 0; i < n; i++)
    for (int j = 0; j <= i; j++) {
      double c = r[i * n + j];
      bool good = i == j ? fabs(c - 1) < 1e-9 : fabs(c) < 1 && fabs(c - r[j * n + i]) < 1e-9;
      if (!good)
        return dpi_fail(in->ctx, DP_ERR_USAGE, "sensitivity: correlation of %s and %s is %g%s", in->def->input[i].id,
                        in->def->input[j].id, c, i == j ? ", expected 1" : ", expected one number between -1 and 1");
    }
  return factor(in);
}

/* Normal scores of a column's ranks; ties share the mean of their ranks. */
static void scores(const double *column, const int *order, int n, double *z) {
  for (int i = 0; i < n;) {
    int j = i + 1;
    while (j < n && column[order[j]] == column[order[i]]) j++;
    double score = dpi_norm_quantile((0.5 * (i + j - 1) + 0.5) / n);
    for (; i < j; i++) z[order[i]] = score;
  }
}

static double product(const double *a, const double *b, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static dp_status one_column(dpi_inputs *in, int k, double *column, int *order, double *z) {
  const dp_sensitivity_def *def = in->def;
  for (int r = 0; r < def->nrow; r++) {
    column[r] = def->row[(size_t)r * (size_t)in->n + (size_t)k];
    if (!isfinite(column[r]))
      return dpi_fail(in->ctx, DP_ERR_INPUT, "input %s: row %d of the sample is no finite number", def->input[k].id,
                      r + 1);
  }
  dpi_argsort(column, def->nrow, order);
  for (int r = 0; r < def->nrow; r++) in->sorted[(size_t)k * (size_t)def->nrow + (size_t)r] = column[order[r]];
  if (column[order[0]] == column[order[def->nrow - 1]])
    return dpi_fail(in->ctx, DP_ERR_INPUT, "input %s: does not vary in the sample", def->input[k].id);
  scores(column, order, def->nrow, z);
  return DP_OK;
}

static dp_status sample_correlation(dpi_inputs *in, const double *z) {
  size_t n = (size_t)in->n, nrow = (size_t)in->def->nrow;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++) {
      const double *a = z + i * nrow, *b = z + j * nrow;
      double c = product(a, b, (int)nrow) / sqrt(product(a, a, (int)nrow) * product(b, b, (int)nrow));
      in->correlation[i * n + j] = in->correlation[j * n + i] = i == j ? 1 : c * (1 - SHRINK);
    }
  return factor(in);
}

static dp_status take_sample(dpi_inputs *in) {
  size_t n = (size_t)in->n, nrow = (size_t)in->def->nrow;
  in->sorted = DPI_ARENA_ARRAY(&in->arena, double, n *nrow);
  in->correlation = DPI_ARENA_ARRAY(&in->arena, double, n *n);
  double *column = DPI_NEW_ARRAY(in->ctx, double, nrow), *z = DPI_NEW_ARRAY(in->ctx, double, n *nrow);
  int *order = DPI_NEW_ARRAY(in->ctx, int, nrow);
  dp_status status = in->sorted && in->correlation && column && z && order ? DP_OK : DP_ERR_MEMORY;
  for (int k = 0; k < in->n && status == DP_OK; k++) status = one_column(in, k, column, order, z + (size_t)k * nrow);
  if (status == DP_OK) status = sample_correlation(in, z);
  dpi_free(in->ctx, column);
  dpi_free(in->ctx, z);
  dpi_free(in->ctx, order);
  return status;
}

dp_status dpi_inputs_init(dpi_inputs *in, dp_ctx *ctx, const dp_sensitivity_def *def) {
  *in = (dpi_inputs){.ctx = ctx, .def = def, .n = def->ninput};
  dpi_arena_init(&in->arena, ctx);
  DP_TRY(check(ctx, def));
  in->work = DPI_ARENA_ARRAY(&in->arena, double, in->n);
  if (!in->work) return DP_ERR_MEMORY;
  DP_TRY(make_groups(in));
  if (def->row) return take_sample(in);
  return def->correlation ? given_correlation(in) : DP_OK;
}

void dpi_inputs_release(dpi_inputs *in) { dpi_arena_release(&in->arena); }

dp_status dpi_inputs_need_independent(const dpi_inputs *in, const char *method) {
  for (int i = 0; i < in->n && in->correlation; i++)
    for (int j = 0; j < i; j++)
      if (in->group[i] != in->group[j] && in->correlation[(size_t)i * (size_t)in->n + (size_t)j] != 0)
        return dpi_fail(
            in->ctx, DP_ERR_UNSUPPORTED,
            "%s: inputs %s and %s are correlated, so their shares overlap; use shapley, or put them into one group",
            method, in->def->input[j].id, in->def->input[i].id);
  return DP_OK;
}
