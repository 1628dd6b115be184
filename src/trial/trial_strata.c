/* trial_strata.c - floor 8: whom chance puts where: permuted blocks, of all people or within strata of their numbers.
 *
 *     stratum       people whose numbers lie in the same intervals: `strata: {age: [65], sex: [0.5]}` are four
 *     block         of a stratum's people in their order, narm x block of them; each arm comes `block` times in it
 *
 * Where somebody of a stratum goes depends on how many of that stratum came before: that is counted once, person by
 * person, before anybody is simulated, and kept in two bytes each.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/num.h"
#include "trial/trial_impl.h"

enum { most_strata = 64, most_cuts = 32, most_block = 1024, ARM_BITS = 4 };

/* ---- permuted blocks ---- */

void dpi_trial_permute(const dp_trial *t, dpi_rng *rng, short *place) {
  const int size = t->desc.narm * t->block;
  for (int i = 0; i < size; i++) place[i] = (short)(i % t->desc.narm);
  for (int i = size - 1; i > 0; i--) {
    const int k = (int)(dpi_rng_uniform(rng) * (i + 1));
    const short other = place[i];
    place[i] = place[k];
    place[k] = other;
  }
}

/* Number `n` of those who are permuted together. */
static int place_of(const dp_trial *t, uint64_t stream, int n, uint32_t purpose) {
  const int size = t->desc.narm * t->block;
  short place[most_block];
  dpi_rng rng = dpi_rng_make(t->desc.seed, stream + (uint64_t)(n / size), purpose);
  dpi_trial_permute(t, &rng, place);
  return place[n % size];
}

int dpi_trial_assigned(const dp_trial *t, int person) {
  if (t->allotted) return t->allotted[person] & ((1 << ARM_BITS) - 1);
  return place_of(t, 0, person, DPI_TRIAL_ASSIGN);
}

/* ---- strata ---- */

int dpi_trial_stratum_of(const dp_trial *t, int person) { return t->allotted ? t->allotted[person] >> ARM_BITS : 0; }

static int interval_of(const dpi_stratify *s, double x) {
  int k = 0;
  while (k < s->ncut && x >= s->cut[k]) k++;
  return k;
}

dp_status dpi_trial_allot(dp_trial *t) {
  int count[most_strata] = {0};
  if (!t->nstratify) return DP_OK;
  t->allotted = DPI_NEW_ARRAY(t->ctx, unsigned short, t->cohort.n);
  double *value = DPI_NEW_ARRAY(t->ctx, double, t->cohort.ncolumn + 1);
  dp_status status = t->allotted && value ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < t->cohort.n && status == DP_OK; i++) {
    char id[64];
    int stratum = 0;
    dpi_cohort_person(t, i, value, id);
    for (int k = 0; k < t->nstratify && status == DP_OK; k++) {
      const dpi_stratify *s = &t->stratify[k];
      const double x = value[s->column];
      if (!isfinite(x))
        status = dpi_fail(t->ctx, DP_ERR_INPUT, "%s:%d: strata: person '%s' has no number '%s'", t->desc.source,
                          s->line, id, t->cohort.column[s->column]);
      stratum = stratum * (s->ncut + 1) + interval_of(s, x);
    }
    if (status != DP_OK) break;
    const int arm = place_of(t, (uint64_t)stratum << 40, count[stratum]++, DPI_TRIAL_STRATUM);
    t->allotted[i] = (unsigned short)(stratum << ARM_BITS | arm);
  }
  dpi_free(t->ctx, value);
  return status;
}

static size_t name_interval(const dp_trial *t, const dpi_stratify *s, int k, char *out, size_t size) {
  const char *name = t->cohort.column[s->column];
  const double low = k ? s->cut[k - 1] : NAN, high = k < s->ncut ? s->cut[k] : NAN;
  int n;
  if (!k)
    n = snprintf(out, size, "%.40s < %.6g", name, high);
  else if (k == s->ncut)
    n = snprintf(out, size, "%.40s >= %.6g", name, low);
  else
    n = snprintf(out, size, "%.6g <= %.40s < %.6g", low, name, high);
  return n > 0 && (size_t)n < size ? (size_t)n : size - 1;
}

/* Stratum number s in words. */
static void name_stratum(const dp_trial *t, int s, char *out, size_t size) {
  int k[DPI_TRIAL_STRATIFY];
  size_t at = 0;
  for (int i = t->nstratify - 1; i >= 0; i--) {
    k[i] = s % (t->stratify[i].ncut + 1);
    s /= t->stratify[i].ncut + 1;
  }
  for (int i = 0; i < t->nstratify; i++) {
    if (i && size - at > 2) at += (size_t)snprintf(out + at, size - at, ", ");
    at += name_interval(t, &t->stratify[i], k[i], out + at, size - at);
  }
}

dp_status dpi_trial_balance(const dp_trial *t, dp_trial_result *out) {
  if (!t->nstratify) return DP_OK;
  out->stratum = DPI_NEW_ARRAY(t->ctx, dp_trial_stratum, t->nstratum);
  if (!out->stratum) return DP_ERR_MEMORY;
  out->nstratum = t->nstratum;
  for (int s = 0; s < t->nstratum; s++) {
    name_stratum(t, s, out->stratum[s].name, sizeof out->stratum[s].name);
    out->stratum[s].nperson = DPI_NEW_ARRAY(t->ctx, int, t->desc.narm);
    if (!out->stratum[s].nperson) return DP_ERR_MEMORY;
  }
  for (int i = 0; i < t->cohort.n; i++) out->stratum[dpi_trial_stratum_of(t, i)].nperson[dpi_trial_assigned(t, i)]++;
  return DP_OK;
}

/* ---- reading ---- */

static dp_status wrong(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *what, const char *expected) {
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected %s", doc->source, node->line, what, expected);
}

static dp_status read_cuts(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *e, dpi_stratify *s) {
  static const char expected[] = "[number, ...]: 1 to 32 ascending numbers at which a stratum ends and the next begins";
  double *cut = DPI_ARENA_ARRAY(&t->arena, double, most_cuts);
  if (!cut) return DP_ERR_MEMORY;
  s->cut = cut;
  if (e->type != DPI_YAML_SEQUENCE || e->count < 1 || e->count > most_cuts) return wrong(doc, e, e->key, expected);
  for (const dpi_yaml *c = e->first; c; c = c->next) {
    double x;
    if (c->type != DPI_YAML_SCALAR || !dpi_parse_double(c->text, &x) || !isfinite(x) ||
        (s->ncut && !(x > cut[s->ncut - 1])))
      return wrong(doc, c, e->key, expected);
    cut[s->ncut++] = x;
  }
  return DP_OK;
}

dp_status dpi_trial_read_strata(dp_trial *t, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  t->nstratum = 1;
  if (!map) return DP_OK;
  if (map->type != DPI_YAML_MAP || map->count < 1 || map->count > DPI_TRIAL_STRATIFY)
    return wrong(doc, map, "strata", "{number of a person: [cut, ...]}, 1 to 4 of them");
  t->stratify = DPI_ARENA_ARRAY(&t->arena, dpi_stratify, map->count);
  if (!t->stratify) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = map->first; e; e = e->next) {
    dpi_stratify *s = &t->stratify[t->nstratify++];
    s->column = -1;
    s->line = e->line;
    for (int k = 0; k < t->cohort.ncolumn; k++)
      if (strcmp(t->cohort.column[k], e->key) == 0) s->column = k;
    if (s->column < 0) return wrong(doc, e, e->key, "a number of the people of the cohort as what strata are made of");
    DP_TRY(read_cuts(t, doc, e, s));
    t->nstratum *= s->ncut + 1;
    if (t->nstratum > most_strata) return wrong(doc, e, "strata", "at most 64 strata in all");
  }
  return DP_OK;
}
