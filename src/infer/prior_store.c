/* prior_store.c - priors kept on disk: one text table for a leave-one-out set or a single prior.
 *
 * Format (tab-separated, one number a line, shortest text that reads back to the same bytes):
 *     key  item  row  column  value
 *     1    hash                    3f...        of everything the estimate depends on: see dpi_prior_hash
 *     1    method                  laplace
 *     1    source                  11 other people of the record, Laplace marginal likelihood
 *     1    people                  11           also iterations, converged, objective
 *     1    typical      tv_ka      1.59
 *     1    omega        eta_ka  eta_ka  0.40    also uncertainty; zeros are left out
 * key: the id of the person left out, "*" for nobody. A stored prior is taken only when its hash is the one computed
 * now, so a changed kind or changed data of the others make a new estimate.
 */
#include "infer/infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define EVERYBODY "*" /* key of the estimate that leaves nobody out */

static const char HEADER[] = "key\titem\trow\tcolumn\tvalue\n";

/* ---- writing ---- */

static void line_text(dpi_str *s, const char *key, const char *item, const char *row,
                      const char *col, const char *value) {
  dpi_str_addf(s, "%s\t%s\t%s\t%s\t%s\n", key, item, row, col, value);
}

static void line_number(dpi_str *s, const char *key, const char *item, const char *row,
                        const char *col, double v) {
  char text[32];
  dpi_format_double(v, text);
  line_text(s, key, item, row, col, text);
}

static void add_prior(dpi_str *s, const dp_kind *kind, const char *key, const dp_prior *p) {
  int ne = kind->neffect;
  line_text(s, key, "hash", "", "", p->hash);
  line_text(s, key, "method", "", "", p->method);
  line_text(s, key, "source", "", "", p->source);
  line_number(s, key, "people", "", "", p->npeople);
  line_number(s, key, "iterations", "", "", p->iterations);
  line_number(s, key, "converged", "", "", p->converged);
  line_number(s, key, "objective", "", "", p->objective);
  for (int i = 0; i < kind->nparam; i++)
    line_number(s, key, "typical", kind->param[i].id, "", p->typical[i]);
  for (int i = 0; i < ne * ne; i++) {
    const char *row = kind->effect[i / ne].id, *col = kind->effect[i % ne].id;
    if (p->omega[i] != 0) line_number(s, key, "omega", row, col, p->omega[i]);
    if (p->uncertainty[i] != 0) line_number(s, key, "uncertainty", row, col, p->uncertainty[i]);
  }
}

dp_status dp_prior_write(const dp_kind *kind, const char *path, const char *const *key,
                         const dp_prior *const *prior, int n) {
  dpi_str s;
  dpi_str_init(&s, kind->ctx);
  dpi_str_add(&s, HEADER);
  dp_status st = DP_OK;
  for (int i = 0; i < n && st == DP_OK; i++) {
    if (strpbrk(key[i], "\t\r\n"))
      st = dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: key '%s' of a prior has a tab or line break",
                    path, key[i]);
    else
      add_prior(&s, kind, key[i], prior[i]);
  }
  if (st == DP_OK)
    st = s.failed ? DP_ERR_MEMORY : dpi_file_write(kind->ctx, path, dpi_str_text(&s), s.len);
  dpi_str_release(&s);
  return st;
}

/* ---- reading ---- */

enum { KEY, ITEM, ROW, COL, VALUE, NFIELD };

typedef struct reader {
  const dp_kind *kind;
  const char *path;
  bool hash_only;
  int line;
  char *field[NFIELD];
} reader;

static dp_status wrong(const reader *r, int field, const char *expected) {
  static const char *const name[NFIELD] = {"key", "item", "row", "column", "value"};
  return dpi_fail(r->kind->ctx, DP_ERR_INPUT, "%s:%d: column %s: found '%.80s', expected %s",
                  r->path, r->line, name[field], r->field[field], expected);
}

/* Cut a line into its fields in place. */
static dp_status split(reader *r, char *line) {
  for (int k = 0; k < NFIELD; k++) {
    r->field[k] = line;
    char *tab = strchr(line, '\t');
    if (k == NFIELD - 1) {
      if (tab)
        return dpi_fail(r->kind->ctx, DP_ERR_INPUT, "%s:%d: found more than 5 columns", r->path,
                        r->line);
      return DP_OK;
    }
    if (!tab)
      return dpi_fail(r->kind->ctx, DP_ERR_INPUT, "%s:%d: found %d columns, expected 5", r->path,
                      r->line, k + 1);
    *tab = 0;
    line = tab + 1;
  }
  return DP_OK;
}

static int find_param(const dp_kind *k, const char *id) {
  for (int i = 0; i < k->nparam; i++)
    if (!strcmp(k->param[i].id, id)) return i;
  return -1;
}

static int find_effect(const dp_kind *k, const char *id) {
  for (int i = 0; i < k->neffect; i++)
    if (!strcmp(k->effect[i].id, id)) return i;
  return -1;
}

static dp_status take_number(const reader *r, dp_prior *p) {
  const char *item = r->field[ITEM];
  double v;
  if (!dpi_parse_double(r->field[VALUE], &v)) {
    if (strcmp(r->field[VALUE], "nan") || strcmp(item, "objective"))
      return wrong(r, VALUE, "a number");
    v = NAN;
  }
  if (!strcmp(item, "objective"))
    p->objective = v;
  else if (!strcmp(item, "people"))
    p->npeople = (int)v;
  else if (!strcmp(item, "iterations"))
    p->iterations = (int)v;
  else if (!strcmp(item, "converged"))
    p->converged = v != 0;
  else if (!strcmp(item, "typical")) {
    int i = find_param(r->kind, r->field[ROW]);
    if (i < 0) return wrong(r, ROW, "a parameter of the kind");
    p->typical[i] = v;
  } else if (!strcmp(item, "omega") || !strcmp(item, "uncertainty")) {
    int i = find_effect(r->kind, r->field[ROW]), j = find_effect(r->kind, r->field[COL]);
    if (i < 0) return wrong(r, ROW, "a random effect of the kind");
    if (j < 0) return wrong(r, COL, "a random effect of the kind");
    (item[0] == 'o' ? p->omega : p->uncertainty)[i * r->kind->neffect + j] = v;
  } else {
    return wrong(r, ITEM,
                 "hash, method, source, people, iterations, converged, objective, typical, omega, uncertainty");
  }
  return DP_OK;
}

static dp_status take_line(const reader *r, dp_prior *p) {
  const char *item = r->field[ITEM], *value = r->field[VALUE];
  if (!strcmp(item, "hash")) {
    if (strlen(value) != 64) return wrong(r, VALUE, "64 hexadecimal digits");
    snprintf(p->hash, sizeof p->hash, "%s", value);
  } else if (r->hash_only)
    return DP_OK;
  else if (!strcmp(item, "method"))
    snprintf(p->method, sizeof p->method, "%s", value);
  else if (!strcmp(item, "source"))
    snprintf(p->source, sizeof p->source, "%s", value);
  else
    return take_number(r, p);
  return DP_OK;
}

static dp_status read_lines(reader *r, char *text, const char *key, dp_prior *p, bool *found) {
  if (strncmp(text, HEADER, sizeof HEADER - 1))
    return dpi_fail(r->kind->ctx, DP_ERR_INPUT,
                    "%s:1: expected the columns key, item, row, column, value", r->path);
  char *next = text + sizeof HEADER - 1;
  for (r->line = 2; *next; r->line++) {
    char *line = next, *end = strchr(next, '\n');
    next = end ? end + 1 : next + strlen(next);
    if (end) *end = 0;
    DP_TRY(split(r, line));
    if (strcmp(r->field[KEY], key)) continue;
    *found = true;
    DP_TRY(take_line(r, p));
  }
  return DP_OK;
}

/* Nothing that an estimate needs is missing. */
static dp_status check_whole(const reader *r, const char *key, const dp_prior *p) {
  for (int i = 0; i < p->nparam; i++)
    if (isnan(p->typical[i]))
      return dpi_fail(r->kind->ctx, DP_ERR_INPUT, "%s: key '%s': found no typical value of %s",
                      r->path, key, r->kind->param[i].id);
  if (*p->hash) return DP_OK;
  return dpi_fail(r->kind->ctx, DP_ERR_INPUT, "%s: key '%s': found no hash", r->path, key);
}

dp_status dp_prior_read(const dp_kind *kind, const char *path, const char *key, dp_prior **out) {
  char *text = NULL;
  size_t size;
  bool found = false;
  dp_prior *p = NULL;
  reader r = {.kind = kind, .path = path};
  *out = NULL;
  DP_TRY(dpi_file_read(kind->ctx, path, 0, &text, &size));
  dp_status st = dpi_prior_create(kind, &p);
  for (int i = 0; st == DP_OK && i < kind->nparam; i++) p->typical[i] = NAN;
  if (st == DP_OK) st = read_lines(&r, text, key, p, &found);
  if (st == DP_OK && found) st = check_whole(&r, key, p);
  dpi_free(kind->ctx, text);
  if (st == DP_OK && found)
    *out = p;
  else
    dp_prior_destroy(p);
  return st;
}

/* The hash under a key, "" when there is none. Nothing else is judged: an entry of another version of the kind may name
 * parameters that exist no more. */
static dp_status read_hash(const dp_kind *kind, const char *path, const char *key, char hash[65]) {
  char *text = NULL;
  size_t size;
  bool found = false;
  dp_prior p = {0};
  reader r = {.kind = kind, .path = path, .hash_only = true};
  DP_TRY(dpi_file_read(kind->ctx, path, 0, &text, &size));
  dp_status st = read_lines(&r, text, key, &p, &found);
  dpi_free(kind->ctx, text);
  memcpy(hash, p.hash, sizeof p.hash);
  return st;
}

/* ---- leave one out ---- */

/* Is the stored hash that of an estimate from these people by def's method, or, with def NULL, by any of them? */
static dp_status still_fits(const dp_kind *kind, const dp_record *record, int subject, const dp_fit_def *def,
                            const char *stored, bool *fits) {
  static const char *const methods[] = {"laplace", "agq", "focei", "saem"};
  char hash[65];
  *fits = false;
  for (int k = 0; k < DPI_COUNT(methods) && !*fits; k++) {
    dp_fit_def any = dp_fit_def_default();
    any.method = methods[k];
    if (def && k > 0) break;
    DP_TRY(dpi_prior_hash(kind, record, &subject, subject >= 0, def ? def : &any, hash));
    *fits = !strcmp(stored, hash);
  }
  return DP_OK;
}

static dp_status loo_by(const dp_kind *kind, const dp_record *record, int subject, const char *store,
                        const dp_fit_def *def, dp_prior **out) {
  dp_fit_def usual = dp_fit_def_default();
  char stored[65];
  int nexclude = subject >= 0;
  *out = NULL;
  if (subject >= record->nsubject)
    return dpi_fail(kind->ctx, DP_ERR_USAGE, "%s: subject %d: the record has %d", record->source,
                    subject, record->nsubject);
  if (store && *store && dpi_file_exists(store)) {
    const char *key = nexclude ? record->subject[subject].id : EVERYBODY;
    bool fits = false;
    DP_TRY(read_hash(kind, store, key, stored));
    DP_TRY(still_fits(kind, record, subject, def, stored, &fits));
    if (fits) return dp_prior_read(kind, store, key, out);
  }
  return dp_prior_fit(kind, record, &subject, nexclude, def ? def : &usual, out);
}

dp_status dp_prior_loo(const dp_kind *kind, const dp_record *record, int subject, const char *store,
                       dp_prior **out) {
  return loo_by(kind, record, subject, store, NULL, out);
}

typedef struct loo_work {
  const dp_kind *kind;
  const dp_record *record;
  const char *store;
  const dp_fit_def *def;
  dp_prior **prior;
} loo_work;

/* item nsubject leaves nobody out: for people who are not in the record */
static dp_status loo_one(void *user, int i, int worker) {
  loo_work *w = user;
  (void)worker;
  return loo_by(w->kind, w->record, i < w->record->nsubject ? i : -1, w->store, w->def, &w->prior[i]);
}

dp_status dp_prior_loo_store(const dp_kind *kind, const dp_record *record, const char *path) {
  dp_fit_def def = dp_fit_def_default();
  return dp_prior_loo_store_by(kind, record, path, &def);
}

dp_status dp_prior_loo_store_by(const dp_kind *kind, const dp_record *record, const char *path, const dp_fit_def *def) {
  int n = record->nsubject + 1;
  if (dp_record_subject(record, EVERYBODY) >= 0)
    return dpi_fail(kind->ctx, DP_ERR_INPUT,
                    "%s: a subject has the id '" EVERYBODY
                    "', which stands for nobody left out: rename it",
                    record->source);
  dp_prior **prior = DPI_NEW_ARRAY(kind->ctx, dp_prior *, n + 1);
  const char **key = DPI_NEW_ARRAY(kind->ctx, const char *, n + 1);
  loo_work w = {kind, record, path, def, prior};
  dp_status st = prior && key ? dpi_parallel_for(kind->ctx, n, loo_one, &w) : DP_ERR_MEMORY;
  for (int i = 0; st == DP_OK && i < n; i++)
    key[i] = i < record->nsubject ? record->subject[i].id : EVERYBODY;
  if (st == DP_OK) st = dp_prior_write(kind, path, key, (const dp_prior *const *)prior, n);
  for (int i = 0; prior && i < n; i++) dp_prior_destroy(prior[i]);
  dpi_free(kind->ctx, prior);
  dpi_free(kind->ctx, key);
  return st;
}
