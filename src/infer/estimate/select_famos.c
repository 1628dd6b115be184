/* select_famos.c - floor 6: FAMoS over subsets of parameters (see select_famos.h).
 *
 * No model is fitted twice: neighbours that were fitted are no candidates. What a search does depends on the criteria
 * alone.
 */
#include "infer/estimate/select_famos.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

#define BEST_KEPT 100 /* of which the complements are looked at before a jump; the original has it so */

#define FAMOS_WORD(name, word) word,
static const char *const method_word[] = {DPI_FAMOS_LIST(FAMOS_WORD)};
const char *dpi_famos_name(dpi_famos_method m) { return method_word[m]; }
bool dpi_famos_named(const char *word, dpi_famos_method *out) {
  for (int k = 0; k < DPI_FAMOS_COUNT; k++) {
    if (strcmp(word, method_word[k]) != 0) continue;
    *out = (dpi_famos_method)k;
    return true;
  }
  return false;
}

#define F DPI_FAMOS_FORWARD
#define B DPI_FAMOS_BACKWARD
#define L DPI_FAMOS_LATERAL
static const dpi_famos_rule paper[] = {
    {2, {B, F}, L}, {2, {F, B}, L}, {2, {B, L}, DPI_FAMOS_END},       {2, {F, L}, DPI_FAMOS_END}, {1, {F}, B},
    {1, {B}, F},    {1, {L}, F},    {1, {DPI_FAMOS_MOST_DISTANT}, F}, {.n = 0, .next = F}};
#undef F
#undef B
#undef L

typedef struct famos_fit {
  bool *estimated;
  double criterion;
  int number;
} famos_fit;

typedef struct famos {
  dp_ctx *ctx;
  const dpi_famos_def *def;
  const dpi_famos_rule *rule;
  int nrule, left; /* left: reattempts */
  int nfit, cap;
  famos_fit *fit;                 /* all that were fitted, in order */
  int nbest, best[BEST_KEPT + 1]; /* into fit[], by criterion */
  int ncandidate, cap_candidate;
  bool *candidate;      /* [ncandidate x nparam] */
  bool *present, *work; /* [nparam] */
  double present_criterion;
  int present_number;
  dpi_famos_method history[DPI_FAMOS_PATTERN]; /* of the last turns, the last one last */
  int nhistory;
} famos;

/* ---- models ---- */

static bool critical_fine(const famos *f, const bool *m) {
  for (int c = 0; c < f->def->ncritical; c++) {
    bool any = false;
    for (int i = 0; i < f->def->critical[c].n; i++) any = any || m[f->def->critical[c].param[i]];
    if (!any) return false;
  }
  return true;
}

static bool was_fitted(const famos *f, const bool *m) {
  for (int k = 0; k < f->nfit; k++)
    if (memcmp(f->fit[k].estimated, m, sizeof *m * (size_t)f->def->nparam) == 0) return true;
  return false;
}

static bool may_flip(const famos *f, const bool *m, int k) {
  return m[k] ? f->def->may_fix[k] : f->def->may_estimate[k];
}

/* f->work, unless it is none. */
static dp_status add_candidate(famos *f) {
  const size_t n = (size_t)f->def->nparam;
  if (!critical_fine(f, f->work) || was_fitted(f, f->work)) return DP_OK;
  for (int k = 0; k < f->ncandidate; k++) /* two swap sets may have the same pair */
    if (memcmp(f->candidate + (size_t)k * n, f->work, n * sizeof *f->work) == 0) return DP_OK;
  DP_TRY(dpi_grow(f->ctx, (void **)&f->candidate, &f->cap_candidate, f->ncandidate + 1, n * sizeof *f->candidate));
  memcpy(f->candidate + (size_t)f->ncandidate++ * n, f->work, n * sizeof *f->work);
  return DP_OK;
}

/* One parameter more, or less. */
static dp_status steps(famos *f, bool up) {
  for (int k = 0; k < f->def->nparam; k++) {
    if (f->present[k] == up || !may_flip(f, f->present, k)) continue;
    memcpy(f->work, f->present, sizeof *f->work * (size_t)f->def->nparam);
    f->work[k] = up;
    DP_TRY(add_candidate(f));
  }
  return DP_OK;
}

/* One parameter of a swap set for another. */
static dp_status swaps(famos *f) {
  for (int s = 0; s < f->def->nswap; s++) {
    const dpi_famos_set *set = &f->def->swap[s];
    for (int i = 0; i < set->n; i++)
      for (int j = 0; j < set->n; j++) {
        const int out = set->param[i], in = set->param[j];
        if (!f->present[out] || f->present[in]) continue;
        if (!may_flip(f, f->present, out) || !may_flip(f, f->present, in)) continue;
        memcpy(f->work, f->present, sizeof *f->work * (size_t)f->def->nparam);
        f->work[out] = false;
        f->work[in] = true;
        DP_TRY(add_candidate(f));
      }
  }
  return DP_OK;
}

/* ---- fits ---- */

static void keep_best(famos *f, int which) {
  int at = f->nbest;
  while (at > 0 && f->fit[f->best[at - 1]].criterion >= f->fit[which].criterion) at--;
  if (at == BEST_KEPT) return;
  memmove(f->best + at + 1, f->best + at, sizeof *f->best * (size_t)(f->nbest - at));
  f->best[at] = which;
  if (f->nbest < BEST_KEPT) f->nbest++;
}

static dp_status fit_one(famos *f, const bool *m, int predecessor, bool counts) {
  const size_t size = sizeof *m * (size_t)f->def->nparam;
  DP_TRY(dpi_grow(f->ctx, (void **)&f->fit, &f->cap, f->nfit + 1, sizeof *f->fit));
  famos_fit *to = &f->fit[f->nfit];
  to->estimated = dpi_alloc(f->ctx, size + 1);
  if (!to->estimated) return DP_ERR_MEMORY;
  memcpy(to->estimated, m, size);
  f->nfit++;
  DP_TRY(f->def->fit(f->def->user, m, predecessor, &to->number, &to->criterion));
  if (isnan(to->criterion)) to->criterion = INFINITY;
  if (counts) keep_best(f, f->nfit - 1);
  return DP_OK;
}

static void stand_on(famos *f, const famos_fit *at) {
  memcpy(f->present, at->estimated, sizeof *f->present * (size_t)f->def->nparam);
  f->present_criterion = at->criterion;
  f->present_number = at->number;
}

/* Fits the candidates; *better: the best of them is the present model now. */
static dp_status fit_candidates(famos *f, bool *better) {
  const int first = f->nfit;
  int best = -1;
  for (int k = 0; k < f->ncandidate; k++)
    DP_TRY(fit_one(f, f->candidate + (size_t)k * (size_t)f->def->nparam, f->present_number, true));
  for (int k = first; k < f->nfit; k++)
    if (f->fit[k].criterion < (best < 0 ? f->present_criterion : f->fit[best].criterion)) best = k;
  *better = best >= 0;
  if (*better) stand_on(f, &f->fit[best]);
  return DP_OK;
}

/* ---- jumps ---- */

static int nearest_fitted(const famos *f, const bool *m) {
  int least = f->def->nparam;
  for (int k = 0; k < f->nfit; k++) {
    int d = 0;
    for (int i = 0; i < f->def->nparam; i++) d += f->fit[k].estimated[i] != m[i];
    if (d < least) least = d;
  }
  return least;
}

/* Of the best models' complements the one furthest from all that were fitted becomes present. *done: there is none. */
static dp_status jump(famos *f, bool *done) {
  const int n = f->def->nparam;
  int most = 0;
  bool found = false;
  for (int b = 0; b < f->nbest; b++) {
    const bool *from = f->fit[f->best[b]].estimated;
    for (int i = 0; i < n; i++) f->work[i] = may_flip(f, from, i) ? !from[i] : from[i];
    const int d = nearest_fitted(f, f->work);
    if (d <= most) continue;
    most = d;
    found = true;
    memcpy(f->present, f->work, sizeof *f->work * (size_t)n);
  }
  *done = !found;
  if (!found) return DP_OK;
  if (!critical_fine(f, f->present))
    for (int c = 0; c < f->def->ncritical; c++)
      if (f->def->critical[c].n > 0 && f->def->may_estimate[f->def->critical[c].param[0]])
        f->present[f->def->critical[c].param[0]] = true;
  f->left--;
  if (f->def->turn) f->def->turn(f->def->user, DPI_FAMOS_MOST_DISTANT, f->present, 1);
  DP_TRY(fit_one(f, f->present, -1, false));
  stand_on(f, &f->fit[f->nfit - 1]);
  return DP_OK;
}

/* ---- the scheme ---- */

/* The rule for exactly these methods, or for the last turns' when n is negative; NULL: there is none. */
static const dpi_famos_rule *rule_for(const famos *f, const dpi_famos_method *last, int n) {
  for (int k = 0; k < f->nrule; k++) {
    const dpi_famos_rule *r = &f->rule[k];
    const int have = n < 0 ? f->nhistory : n;
    if (n >= 0 ? r->n != n : r->n == 0 || r->n > have) continue;
    if (r->n == 0) return r;
    const dpi_famos_method *end = (n < 0 ? f->history : last) + have - r->n;
    if (memcmp(end, r->previous, sizeof *end * (size_t)r->n) == 0) return r;
  }
  return NULL;
}

static void remember(famos *f, dpi_famos_method m) {
  if (f->nhistory == DPI_FAMOS_PATTERN) {
    memmove(f->history, f->history + 1, sizeof *f->history * (DPI_FAMOS_PATTERN - 1));
    f->nhistory--;
  }
  f->history[f->nhistory++] = m;
}

static dp_status no_rule(const famos *f, const char *after) {
  return dpi_fail(f->ctx, DP_ERR_INPUT, "method_scheme: no entry says what comes %s; add one", after);
}

/* A turn without success (or a lateral one that is to be the only one): the next method, or the end. */
static dp_status choose_next(famos *f, bool swapped, dpi_famos_method *method) {
  static const dpi_famos_method lateral = DPI_FAMOS_LATERAL, distant = DPI_FAMOS_MOST_DISTANT;
  const dpi_famos_rule *r = swapped ? rule_for(f, &lateral, 1) : rule_for(f, NULL, -1);
  if (!r) return no_rule(f, method_word[*method]);
  dpi_famos_method next = r->next;
  if (next == *method)
    return dpi_fail(f->ctx, DP_ERR_INPUT, "method_scheme: %s without success is followed by itself", method_word[next]);
  if (next == DPI_FAMOS_LATERAL && f->def->nswap == 0) next = DPI_FAMOS_END;
  if (next == DPI_FAMOS_END && f->left > 0) next = DPI_FAMOS_MOST_DISTANT;
  if (next == DPI_FAMOS_MOST_DISTANT) {
    bool done;
    DP_TRY(jump(f, &done));
    r = rule_for(f, &distant, 1);
    if (!done && !r) return no_rule(f, "after most_distant");
    next = done ? DPI_FAMOS_END : r->next;
  }
  *method = next;
  return DP_OK;
}

static dp_status begin(famos *f, dpi_famos_method *method) {
  const dpi_famos_def *d = f->def;
  const dpi_famos_rule *r = rule_for(f, NULL, 0);
  if (!r) return no_rule(f, "at the start (previous_methods: null)");
  *method = r->next;
  if (!d->start && (*method > DPI_FAMOS_BACKWARD || d->ncritical > 0))
    return dpi_fail(f->ctx, DP_ERR_INPUT, "famos: %s needs a model to start from; give predecessor_model",
                    d->ncritical > 0 ? "a search with critical sets" : "the first method, lateral,");
  for (int k = 0; k < d->nparam; k++)
    f->present[k] = d->start ? d->start[k] : *method == DPI_FAMOS_FORWARD ? !d->may_fix[k] : d->may_estimate[k];
  if (d->start && !critical_fine(f, f->present))
    return dpi_fail(f->ctx, DP_ERR_INPUT,
                    "famos: predecessor_model estimates no parameter of one of the critical sets; give another one");
  f->present_criterion = INFINITY;
  f->present_number = -1;
  if (d->start_is_nothing) return DP_OK;
  DP_TRY(fit_one(f, f->present, -1, true));
  stand_on(f, &f->fit[0]);
  return DP_OK;
}

static dp_status search(famos *f) {
  dpi_famos_method method = DPI_FAMOS_END;
  DP_TRY(begin(f, &method));
  while (method != DPI_FAMOS_END) {
    bool better = false;
    f->ncandidate = 0;
    DP_TRY(method == DPI_FAMOS_LATERAL ? swaps(f) : steps(f, method == DPI_FAMOS_FORWARD));
    if (f->def->turn) f->def->turn(f->def->user, method, f->present, f->ncandidate);
    DP_TRY(fit_candidates(f, &better));
    remember(f, method);
    const bool only = method == DPI_FAMOS_LATERAL && better && !f->def->consecutive;
    if (!better || only) DP_TRY(choose_next(f, only, &method));
  }
  return DP_OK;
}

dp_status dpi_famos_run(dp_ctx *ctx, const dpi_famos_def *def) {
  famos f = {.ctx = ctx, .def = def, .left = def->nreattempt};
  f.rule = def->nrule > 0 ? def->rule : paper;
  f.nrule = def->nrule > 0 ? def->nrule : DPI_COUNT(paper);
  f.present = DPI_NEW_ARRAY(ctx, bool, 2 * def->nparam + 1);
  if (!f.present) return DP_ERR_MEMORY;
  f.work = f.present + def->nparam;
  const dp_status st = search(&f);
  for (int k = 0; k < f.nfit; k++) dpi_free(ctx, f.fit[k].estimated);
  dpi_free(ctx, f.fit);
  dpi_free(ctx, f.candidate);
  dpi_free(ctx, f.present);
  return st;
}
