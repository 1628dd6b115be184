/* search.c - floor 6: what searches share: points scored in batches through the waist, each once; which of them are
 * judged further;
 * which search is taken.
 *
 * A point's score on the search's draws is its weighted reward and its miss: by how much limits are missed at the
 * estimate where the
 * bound of the whole ensemble would just hold. Everything is compared by (miss, reward): a plan that holds its limits
 * is better than any
 * that does not (Deb 2000, Comput Methods Appl Mech Eng 186:311). */
#include <math.h>
#include <string.h>

#include "decide/decide.h"

/* ---------------------------------------------------------------- which search */

static dp_status unknown(const dp_kind *kind, const char *name) {
  dpi_str names;
  dpi_str_init(&names, kind->ctx);
  for (const dpi_search_ops *const *o = dpi_decide_registry(); *o; o++)
    dpi_str_addf(&names, "%s%s", dpi_str_text(&names)[0] ? ", " : "", (*o)->name);
  dp_status status =
      dpi_fail(kind->ctx, DP_ERR_USAGE, "search: found '%s', expected one of %s", name, dpi_str_text(&names));
  dpi_str_release(&names);
  return status;
}

static const dpi_search_ops *find(const char *name) {
  for (const dpi_search_ops *const *o = dpi_decide_registry(); *o; o++)
    if (strcmp((*o)->name, name) == 0) return *o;
  return NULL;
}

dp_status dpi_search_choose(const dp_kind *kind, const dpi_space *space, const char *name, const dpi_search_ops **out) {
  bool clean = !*dp_ctx_error(kind->ctx), given = name && *name;
  static const char *const order[] = {"exhaustive", "gradient", "cma"};
  if (given) {
    if (!(*out = find(name))) return unknown(kind, name);
    return (*out)->offered ? (*out)->offered(kind, space) : DP_OK;
  }
  for (int i = 0; i < DPI_COUNT(order); i++) {
    *out = find(order[i]);
    if (*out && (!(*out)->offered || (*out)->offered(kind, space) == DP_OK)) return DP_OK;
    if (clean) dp_ctx_clear_error(kind->ctx);
  }
  return dpi_fail(kind->ctx, DP_ERR_BUG, "no search is compiled in");
}

/* ---------------------------------------------------------------- the points */

dp_status dpi_search_open(const dp_kind *kind, const dpi_space *space, dpi_rehearser *h, double now, double neff,
                          dpi_search *s) {
  *s = (dpi_search){.kind = kind, .space = space, .rehearser = h, .now = now, .neff = neff};
  s->threshold = DPI_NEW_ARRAY(kind->ctx, double, kind->reward.nterm + 1);
  if (!s->threshold) return DP_ERR_MEMORY;
  for (int t = 0; t < kind->reward.nterm; t++)
    if (kind->reward.term[t].goal == DPI_GOAL_LIMIT)
      s->threshold[t] = dpi_decide_threshold(&kind->reward.term[t], neff, kind->reward.confidence);
  return DP_OK;
}

void dpi_search_close(dpi_search *s) {
  if (!s->kind) return;
  dp_ctx *ctx = s->kind->ctx;
  dpi_free(ctx, s->threshold);
  dpi_free(ctx, s->x);
  dpi_free(ctx, s->u);
  dpi_free(ctx, s->reward);
  dpi_free(ctx, s->miss);
  dpi_free(ctx, s->risk);
  dpi_free(ctx, s->objective);
  dpi_free(ctx, s->slot);
  *s = (dpi_search){0};
}

static uint64_t hash_point(const double *x, int n) {
  uint64_t h = 1469598103934665603u;
  for (int i = 0; i < n; i++) {
    uint64_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    h = (h ^ bits) * 1099511628211u;
    h ^= h >> 29;
  }
  return h;
}

/* Where the point is, or would be, in the table. */
static int32_t *place(const dpi_search *s, const double *x) {
  size_t bytes = sizeof(double) * (size_t)s->space->nvar;
  uint64_t at = hash_point(x, s->space->nvar) & (uint64_t)(s->nslot - 1);
  while (s->slot[at] && memcmp(s->x + (size_t)(s->slot[at] - 1) * (size_t)s->space->nvar, x, bytes) != 0)
    at = (at + 1) & (uint64_t)(s->nslot - 1);
  return &s->slot[at];
}

static dp_status grow_table(dpi_search *s) {
  if (s->nslot > 2 * (s->nseen + 1)) return DP_OK;
  int n = s->nslot ? 2 * s->nslot : 256;
  int32_t *slot = DPI_NEW_ARRAY(s->kind->ctx, int32_t, n);
  if (!slot) return DP_ERR_MEMORY;
  dpi_free(s->kind->ctx, s->slot);
  s->slot = slot;
  s->nslot = n;
  for (int i = 0; i < s->nseen; i++) *place(s, s->x + (size_t)i * (size_t)s->space->nvar) = i + 1;
  return DP_OK;
}

static dp_status grow_points(dpi_search *s) {
  dp_ctx *ctx = s->kind->ctx;
  size_t point = sizeof(double) * (size_t)s->space->nvar;
  if (s->nseen < s->cap) return DP_OK;
  int cap[6] = {s->cap, s->cap, s->cap, s->cap, s->cap, s->cap}, npareto = s->kind->reward.npareto;
  DP_TRY(dpi_grow(ctx, (void **)&s->x, &cap[0], s->nseen + 1, point));
  DP_TRY(dpi_grow(ctx, (void **)&s->u, &cap[1], s->nseen + 1, point));
  DP_TRY(dpi_grow(ctx, (void **)&s->reward, &cap[2], s->nseen + 1, sizeof(double)));
  DP_TRY(dpi_grow(ctx, (void **)&s->miss, &cap[3], s->nseen + 1, sizeof(double)));
  DP_TRY(dpi_grow(ctx, (void **)&s->risk, &cap[5], s->nseen + 1, sizeof(double)));
  if (npareto)
    DP_TRY(dpi_grow(ctx, (void **)&s->objective, &cap[4], s->nseen + 1, sizeof(double) * (size_t)npareto));
  s->cap = cap[0];
  return DP_OK;
}

/* The point's number; *fresh when it was not there before. u NULL: not asked for in [0, 1]. */
static dp_status add_point(dpi_search *s, const double *x, const double *u, int *index, bool *fresh) {
  size_t nvar = (size_t)s->space->nvar;
  DP_TRY(grow_table(s));
  int32_t *at = place(s, x);
  *fresh = *at == 0;
  *index = *at - 1;
  if (!*fresh) return DP_OK;
  DP_TRY(grow_points(s));
  *index = s->nseen++;
  *at = *index + 1;
  memcpy(s->x + (size_t)*index * nvar, x, sizeof(double) * nvar);
  if (u) memcpy(s->u + (size_t)*index * nvar, u, sizeof(double) * nvar);
  s->reward[*index] = -INFINITY;
  s->miss[*index] = s->risk[*index] = INFINITY;
  return DP_OK;
}

dp_status dpi_search_keep(dpi_search *s, const double *x) {
  int index;
  bool fresh;
  return add_point(s, x, NULL, &index, &fresh);
}

/* ---------------------------------------------------------------- scores */

bool dpi_search_better(double miss_a, double reward_a, double miss_b, double reward_b) {
  return miss_a != miss_b ? miss_a < miss_b : reward_a > reward_b;
}

double dpi_search_fold(double u) {
  double m = fmod(fabs(u), 2.0);
  return m > 1 ? 2 - m : m;
}

double dpi_search_miss(const dpi_search *s, const dp_term_value *term) {
  double miss = 0;
  for (int t = 0; t < s->kind->reward.nterm; t++) {
    const dpi_kind_term *k = &s->kind->reward.term[t];
    if (k->goal != DPI_GOAL_LIMIT) continue;
    double lack = k->at_least ? s->threshold[t] - term[t].value : term[t].value - s->threshold[t];
    if (lack > 0) miss += lack / fmax(k->at_least ? 1 - k->probability : k->probability, 1e-6);
  }
  return miss;
}

#define UNKNOWN 1e30 /* miss of a plan that no draw could be simulated under */

/* Score of point `index` from row i of a rehearsal. */
static dp_status score_row(dpi_search *s, const dpi_rehearsal *r, int i, int index, dp_term_value *term,
                           double *objective) {
  const dpi_kind_reward *reward = &s->kind->reward;
  dpi_judgement j;
  DP_TRY(dpi_decide_judge_row(s->kind, r, i, s->rehearser->ndraw, reward->confidence, term, objective, &j));
  s->miss[index] = dpi_search_miss(s, term);
  if (j.nfailed == r->ndraw) s->miss[index] = UNKNOWN;
  s->reward[index] = j.reward;
  DP_TRY(dpi_decide_risk(s->kind, r, i, &s->risk[index]));
  for (int k = 0; k < reward->npareto; k++)
    s->objective[(size_t)index * (size_t)reward->npareto + (size_t)k] = objective[reward->pareto[k]];
  return DP_OK;
}

/* Rehearse and score plans of the points index[0..n). */
static dp_status score_plans(dpi_search *s, dp_plan *const *plan, const int *index, int n) {
  dp_ctx *ctx = s->kind->ctx;
  dpi_rehearsal r = {0};
  dp_term_value *term = DPI_NEW_ARRAY(ctx, dp_term_value, s->kind->reward.nterm + 1);
  double *objective = DPI_NEW_ARRAY(ctx, double, s->kind->reward.nobjective + 1);
  dp_status status = term && objective ? dpi_decide_rehearse(s->rehearser, plan, NULL, n, &r) : DP_ERR_MEMORY;
  for (int i = 0; status == DP_OK && i < n; i++) status = score_row(s, &r, i, index[i], term, objective);
  dpi_rehearsal_release(ctx, &r);
  dpi_free(ctx, term);
  dpi_free(ctx, objective);
  return status;
}

/* The points that are new and may be given, as plans. */
static dp_status make_plans(dpi_search *s, const int *index, const uint8_t *fresh, int n, dp_plan **plan, int *kept,
                            int *nplan) {
  for (int i = 0; i < n; i++) {
    if (!fresh[i]) continue;
    dp_plan *p;
    bool may;
    DP_TRY(dpi_space_plan(s->space, s->x + (size_t)index[i] * (size_t)s->space->nvar, &p));
    dp_status status = dpi_plan_allowed(s->kind, p, s->rehearser->patient, &may);
    if (status != DP_OK || !may) dp_plan_destroy(p);
    DP_TRY(status);
    if (!may) continue;
    kept[*nplan] = index[i];
    plan[(*nplan)++] = p;
  }
  return DP_OK;
}

/* Points that are no plans: the new ones, all at once, by whoever knows. */
static dp_status score_outside(dpi_search *s, const int *index, const uint8_t *fresh, int n) {
  dp_ctx *ctx = s->kind->ctx;
  const size_t nvar = (size_t)s->space->nvar;
  double *x = DPI_NEW_ARRAY(ctx, double, (size_t)n *(nvar + 2) + 1), *reward = x ? x + (size_t)n * nvar : NULL;
  int k = 0;
  if (!x) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++)
    if (fresh[i]) memcpy(x + (size_t)k++ * nvar, s->x + (size_t)index[i] * nvar, sizeof(double) * nvar);
  const dp_status status = k ? s->score(s->score_user, x, k, reward, reward + n) : DP_OK;
  k = 0;
  for (int i = 0; status == DP_OK && i < n; i++) {
    if (!fresh[i]) continue;
    s->reward[index[i]] = reward[k];
    s->miss[index[i]] = reward[n + k++];
  }
  dpi_free(ctx, x);
  return status;
}

dp_status dpi_search_score(dpi_search *s, const double *u, int n, double *reward, double *miss) {
  dp_ctx *ctx = s->kind->ctx;
  size_t nvar = (size_t)s->space->nvar;
  double *x = DPI_NEW_ARRAY(ctx, double, nvar + 1);
  int *index = DPI_NEW_ARRAY(ctx, int, 2 * (size_t)n + 1), *kept = index ? index + n : NULL, nplan = 0;
  uint8_t *fresh = DPI_NEW_ARRAY(ctx, uint8_t, n + 1);
  dp_plan **plan = DPI_NEW_ARRAY(ctx, dp_plan *, n + 1);
  dp_status status = x && index && fresh && plan ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; status == DP_OK && i < n; i++) {
    bool is_new = false;
    dpi_space_decode(s->space, u + (size_t)i * nvar, x);
    status = add_point(s, x, u + (size_t)i * nvar, &index[i], &is_new);
    fresh[i] = is_new;
  }
  if (status == DP_OK && s->score) status = score_outside(s, index, fresh, n);
  if (status == DP_OK && !s->score) status = make_plans(s, index, fresh, n, plan, kept, &nplan);
  if (status == DP_OK && nplan > 0) status = score_plans(s, plan, kept, nplan);
  for (int i = 0; status == DP_OK && i < n; i++) {
    reward[i] = s->reward[index[i]];
    miss[i] = s->miss[index[i]];
  }
  for (int i = 0; plan && i < nplan; i++) dp_plan_destroy(plan[i]);
  dpi_free(ctx, x);
  dpi_free(ctx, index);
  dpi_free(ctx, fresh);
  dpi_free(ctx, plan);
  return status;
}

/* ---------------------------------------------------------------- the best */

bool dpi_search_apart(const dpi_search *s, int i, int j) {
  size_t nvar = (size_t)s->space->nvar;
  for (size_t k = 0; k < nvar; k++) {
    const dpi_variable *v = &s->space->var[k];
    double d = fabs(s->x[(size_t)i * nvar + k] - s->x[(size_t)j * nvar + k]);
    if (v->n ? d > 0 : d > 0.01 * (v->upper - v->lower)) return true;
  }
  return false;
}

dp_status dpi_search_best(const dpi_search *s, int most, int *index, int *n) {
  uint8_t *out = DPI_NEW_ARRAY(s->kind->ctx, uint8_t, s->nseen + 1);
  if (!out) return DP_ERR_MEMORY;
  *n = 0;
  while (*n < most) {
    int best = -1;
    for (int i = 0; i < s->nseen; i++) {
      if (out[i] || isinf(s->miss[i])) continue;
      if (best < 0 || dpi_search_better(s->miss[i], s->reward[i], s->miss[best], s->reward[best])) best = i;
    }
    if (best < 0) break;
    index[(*n)++] = best;
    for (int i = 0; i < s->nseen; i++)
      if (!out[i] && !dpi_search_apart(s, i, best)) out[i] = 1;
  }
  dpi_free(s->kind->ctx, out);
  return DP_OK;
}

#define LITTLE (1.0 / 64) /* of what is allowed: who risks less needs no more room */

void dpi_search_cautious(const dpi_search *s, int most, int *index, int *n) {
  if (*n == 0) return;
  for (double risk = s->risk[index[0]] / 2; most > 0 && isfinite(risk) && risk > LITTLE; risk /= 2, most--) {
    int best = -1;
    for (int i = 0; i < s->nseen; i++)
      if (s->miss[i] == 0 && s->risk[i] <= risk && (best < 0 || s->reward[i] > s->reward[best])) best = i;
    if (best < 0) return;
    bool new = true;
    for (int k = 0; new && k < *n; k++) new = index[k] != best && dpi_search_apart(s, index[k], best);
    if (new) index[(*n)++] = best;
  }
}
