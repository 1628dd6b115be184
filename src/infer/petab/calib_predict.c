/* calib_predict.c - floor 6: a quantity of interest of a calibration problem, as a problem of its own.  D -> Q
 *
 * What is asked for is an observable, or a formula of the model, in one of the problem's experiments at any time,
 * measured or not. The tables of the problem are cut down to that: the same models, parameters and priors, one
 * experiment, one datum. The datum is a value far above everything with Laplace noise of spread 1: there
 *
 *     ln p = -ln 2 - (m - y),   d ln p / dx = dy / dx
 *
 * so that the simulation is the quantity and the likelihood's gradient is the quantity's, forward or backwards, by the
 * code that every calibration runs.
 */
#include <math.h>
#include <string.h>

#include "infer/petab/calib.h"

#define FAR_ABOVE 1e150 /* its square is finite */

typedef struct asker {
  dp_problem *p;
  const dpi_calib_asked *q;
  dpi_calib_table *table; /* of the model that the experiment is of */
  int experiment;
  const char *what; /* for messages */
} asker;

static const char *text_of(asker *k, const dpi_petab_expr *e, const char *const *put) {
  dpi_str s;
  dpi_str_init(&s, k->p->ctx);
  dpi_petab_print(k->p->file.petab, e, put, &s);
  const char *copy = s.failed ? NULL : dpi_arena_strdup(&k->p->arena, dpi_str_text(&s));
  dpi_str_release(&s);
  return copy;
}

/* ---- an experiment that nothing is measured in ----
 *
 * The reader leaves such experiments out. So the measurement table is given one more row on its way to the reader: a
 * copy of the first one with another condition (experiment) and time, which is what makes it valid whatever else its
 * columns ask for. */

#define MOST_BYTES ((size_t)1 << 30)

typedef struct row_adder {
  const dpi_calib_asked *q;
  bool done;
} row_adder;

static size_t line_length(const char *s) { return strcspn(s, "\r\n"); }

/* Cell number k of a line: its start, and its length. */
static const char *cell_of(const char *line, size_t n, int k, size_t *length) {
  const char *end = line + n, *at = line;
  for (; k > 0 && at < end; k--) {
    while (at < end && *at != '\t') at++;
    if (at < end) at++;
  }
  *length = 0;
  while (at + *length < end && at[*length] != '\t') ++*length;
  return at;
}

/* A row like `row`, of the experiment and time that are asked for. */
static void copy_row(const char *head, const char *row, const dpi_calib_asked *q, dpi_str *out) {
  const size_t nh = line_length(head), nr = line_length(row);
  int columns = 1;
  for (size_t i = 0; i < nh; i++) columns += head[i] == '\t';
  const char *bar = strchr(q->experiment, '|');
  for (int k = 0; k < columns; k++) {
    size_t nw, nc;
    const char *word = cell_of(head, nh, k, &nw), *cell = cell_of(row, nr, k, &nc);
    if (k) dpi_str_add(out, "\t");
    if (nw == 21 && !strncmp(word, "simulationConditionId", nw))
      dpi_str_add(out, bar ? bar + 1 : q->experiment);
    else if (nw == 27 && !strncmp(word, "preequilibrationConditionId", nw))
      dpi_str_addn(out, q->experiment, bar ? (size_t)(bar - q->experiment) : 0);
    else if (nw == 12 && !strncmp(word, "experimentId", nw))
      dpi_str_add(out, q->experiment);
    else if (nw == 4 && !strncmp(word, "time", nw))
      dpi_str_addf(out, isinf(q->time) ? "inf" : "%.17g", q->time);
    else
      dpi_str_addn(out, cell, nc);
  }
  dpi_str_add(out, "\n");
}

static bool is_measurements(const char *head) {
  const size_t n = line_length(head);
  int found = 0;
  for (int k = 0;; k++) {
    size_t nw;
    const char *word = cell_of(head, n, k, &nw);
    found += (nw == 12 && !strncmp(word, "observableId", nw)) || (nw == 11 && !strncmp(word, "measurement", nw));
    if (word + nw >= head + n) return found == 2;
  }
}

/* dpi_petab_def.load */
static dp_status load(void *user, dp_ctx *ctx, const char *path, char **data, size_t *size) {
  row_adder *a = user;
  DP_TRY(dpi_file_read(ctx, path, MOST_BYTES, data, size));
  const char *head = *data, *row = head + line_length(head);
  while (*row == '\r' || *row == '\n') row++;
  if (a->done || memchr(*data, 0, *size) || !is_measurements(head) || !*row) return DP_OK;
  dpi_str s;
  dpi_str_init(&s, ctx);
  dpi_str_addn(&s, *data, *size);
  if (*size && (*data)[*size - 1] != '\n') dpi_str_add(&s, "\n");
  copy_row(head, row, a->q, &s);
  dpi_free(ctx, *data);
  *data = NULL;
  if (s.failed) {
    dpi_str_release(&s);
    return DP_ERR_MEMORY;
  }
  *data = s.data; /* the string's memory is the file's from here on */
  *size = s.len;
  a->done = true;
  return DP_OK;
}

static bool has_experiment(const dpi_calib_file *f, const char *id) {
  for (int m = 0; m < f->ntable; m++)
    for (int i = 0; i < f->table[m].nexperiment; i++)
      if (strcmp(f->table[m].experiment[i].id, id) == 0) return true;
  return false;
}

dp_status dpi_calib_ask_read(dp_problem *p, const char *path, const dpi_calib_asked *q) {
  row_adder a = {.q = q};
  if (!q->experiment || !q->experiment[0] || has_experiment(&p->file, q->experiment)) return DP_OK;
  if (strpbrk(q->experiment, "\t\r\n\"") || isnan(q->time)) return DP_OK; /* refused later, by name */
  dpi_calib_file other = {0};
  const dp_status st = dpi_calib_read(&p->arena, &(dpi_petab_def){.path = path, .load = load, .user = &a}, &other);
  if (st == DP_OK && has_experiment(&other, q->experiment)) {
    dpi_petab_destroy(p->file.petab);
    p->file = other;
    p->file.added = true;
    return DP_OK;
  }
  dpi_petab_destroy(other.petab);
  if (st == DP_ERR_MEMORY) return st;
  dp_ctx_clear_error(p->ctx); /* there is no such condition, or no such time in it: told as if nothing had been tried */
  return DP_OK;
}

/* ---- where ---- */

static dp_status no_experiment(asker *k) {
  dpi_str s;
  dpi_str_init(&s, k->p->ctx);
  for (int m = 0, n = 0; m < k->p->file.ntable; m++)
    for (int i = 0; i < k->p->file.table[m].nexperiment && n < 12; i++, n++)
      dpi_str_addf(&s, "%s'%s'", n ? ", " : "", k->p->file.table[m].experiment[i].id);
  const dp_status st =
      dpi_fail(k->p->ctx, DP_ERR_INPUT, "%s: the problem has no %s '%s' with that time; it measures in %s", k->what,
               k->p->file.version == 1 ? "condition" : "experiment", k->q->experiment, dpi_str_text(&s));
  dpi_str_release(&s);
  return st;
}

static dp_status find_experiment(asker *k) {
  int total = 0;
  for (int m = 0; m < k->p->file.ntable; m++) {
    dpi_calib_table *t = &k->p->file.table[m];
    total += t->nexperiment;
    for (int i = 0; i < t->nexperiment; i++) {
      if (k->q->experiment && strcmp(t->experiment[i].id, k->q->experiment) != 0) continue;
      if (k->table && k->q->experiment)
        return dpi_fail(k->p->ctx, DP_ERR_UNSUPPORTED, "%s: several models have an experiment '%s'", k->what,
                        k->q->experiment);
      k->table = t;
      k->experiment = i;
    }
  }
  if (!k->q->experiment && total > 1)
    return dpi_fail(k->p->ctx, DP_ERR_INPUT, "%s: the problem has %d %s; say in which one, as in OBSERVABLE@%s:TIME",
                    k->what, total, k->p->file.version == 1 ? "conditions" : "experiments",
                    k->p->file.table[0].experiment[0].id);
  return k->table ? DP_OK : no_experiment(k);
}

static dp_status check_time(asker *k) {
  const dpi_calib_experiment *e = &k->table->experiment[k->experiment];
  const double t = k->q->time;
  int n = 0;
  double first = 0;
  for (int i = e->nperiod - 1; i >= 0; i--)
    if (!e->period[i].steady) n++, first = e->period[i].time;
  if (isnan(t) || t == -INFINITY) return dpi_fail(k->p->ctx, DP_ERR_INPUT, "%s: expected a time or inf", k->what);
  if (isinf(t)) return DP_OK;
  if (n == 0)
    return dpi_fail(k->p->ctx, DP_ERR_INPUT, "%s: '%s' only comes to rest and has no times; ask at inf", k->what,
                    e->id);
  if (t < first)
    return dpi_fail(k->p->ctx, DP_ERR_INPUT, "%s: the time %g lies before the start of '%s' at %g", k->what, t, e->id,
                    first);
  return DP_OK;
}

/* ---- what ---- */

static const dpi_petab_observable *find_observable(const dpi_petab *p, const char *id) {
  for (int i = 0; i < p->nobservable; i++)
    if (strcmp(p->observable[i].id, id) == 0) return &p->observable[i];
  return NULL;
}

/* A formula of one's own: observables in it are replaced by theirs. */
static dp_status own_formula(asker *k, dpi_calib_observable *to) {
  dpi_petab *p = k->p->file.petab;
  const dpi_petab_place place = {k->what, 1, ""};
  const dpi_petab_expr *e = NULL;
  DP_TRY(dpi_petab_parse(p, k->q->formula, &place, &e));
  const char **put = DPI_ARENA_ARRAY(&k->p->arena, const char *, p->nname + 1);
  bool *used = DPI_ARENA_ARRAY(&k->p->arena, bool, p->nname + 1);
  if (!put || !used) return DP_ERR_MEMORY;
  dpi_petab_uses(e, used);
  for (int i = 0; i < p->nname; i++) {
    const dpi_petab_observable *o = used[i] ? find_observable(p, p->name[i].id) : NULL;
    if (!o) continue;
    if (o->nplaceholder > 0)
      return dpi_fail(k->p->ctx, DP_ERR_UNSUPPORTED,
                      "%s: observable '%s' has placeholders and can't stand in a formula; ask for it alone", k->what,
                      o->id);
    if (!(put[i] = text_of(k, o->formula, NULL))) return DP_ERR_MEMORY;
  }
  to->formula = text_of(k, e, put);
  return to->formula ? DP_OK : DP_ERR_MEMORY;
}

static bool same_given(const dpi_calib_datum *a, const dpi_calib_datum *b, int n) {
  for (int i = 0; i < n; i++)
    if (strcmp(a->given[i], b->given[i]) != 0) return false;
  return true;
}

/* What the observable's measurements give its placeholders: in this experiment, else in all others; they must agree. */
static dp_status find_given(asker *k, const dpi_petab_observable *o, dpi_calib_datum *to) {
  const dpi_calib_table *t = k->table;
  const dpi_calib_datum *one = NULL;
  for (int here = !k->p->file.added; here >= 0 && !one; here--)
    for (int i = 0; i < t->ndatum; i++) {
      const dpi_calib_datum *d = &t->datum[i];
      if (strcmp(t->observable[d->observable].id, o->id) != 0 || (here && d->experiment != k->experiment)) continue;
      if (one && !same_given(one, d, o->nplaceholder + (k->q->measured ? o->nnoise_placeholder : 0)))
        return dpi_fail(k->p->ctx, DP_ERR_UNSUPPORTED,
                        "%s: the measurements at %s and %s give the placeholders of '%s' different values; write a "
                        "formula instead of the observable",
                        k->what, one->where, d->where, o->id);
      one = d;
    }
  if (!one)
    return dpi_fail(k->p->ctx, DP_ERR_UNSUPPORTED,
                    "%s: '%s' has placeholders and no measurement says what they are; write a formula instead", k->what,
                    o->id);
  to->given = one->given;
  return DP_OK;
}

static dp_status from_observable(asker *k, const dpi_petab_observable *o, dpi_calib_observable *to,
                                 dpi_calib_datum *datum) {
  const dpi_petab *p = k->p->file.petab;
  const int n = o->nplaceholder, all = k->q->measured ? n + o->nnoise_placeholder : n;
  if (!(to->formula = text_of(k, o->formula, NULL))) return DP_ERR_MEMORY;
  if (k->q->measured && !(to->noise = text_of(k, o->noise_formula, NULL))) return DP_ERR_MEMORY;
  if (k->q->measured) { /* some value that any noise allows; nobody looks at its likelihood */
    to->distribution = (dpi_noise)((o->noise == DPI_PETAB_NOISE_LAPLACE ? 3 : 0) + (int)o->scale);
    datum->value = 1;
  }
  if (all == 0) return DP_OK;
  to->nplaceholder = all;
  to->placeholder = DPI_ARENA_ARRAY(&k->p->arena, const char *, all + 1);
  if (!to->placeholder) return DP_ERR_MEMORY;
  for (int i = 0; i < all; i++)
    to->placeholder[i] = p->name[i < n ? o->placeholder[i] : o->noise_placeholder[i - n]].model_id;
  return find_given(k, o, datum);
}

/* ---- the tables cut down ---- */

static dp_status cut_down(asker *k, const dpi_calib_observable *observable, const dpi_calib_datum *datum) {
  dpi_calib_file *f = &k->p->file;
  dpi_calib_table t = *k->table;
  dpi_calib_experiment e = t.experiment[k->experiment];
  t.experiment = DPI_ARENA_ARRAY(&k->p->arena, dpi_calib_experiment, 1);
  t.observable = DPI_ARENA_ARRAY(&k->p->arena, dpi_calib_observable, 1);
  t.datum = DPI_ARENA_ARRAY(&k->p->arena, dpi_calib_datum, 1);
  t.number = DPI_ARENA_ARRAY(&k->p->arena, int, 1);
  if (!t.experiment || !t.observable || !t.datum || !t.number) return DP_ERR_MEMORY;
  t.nexperiment = t.nobservable = t.ndatum = 1;
  *t.experiment = e;
  *t.observable = *observable;
  *t.datum = *datum;
  /* what is solved inside the objective is a parameter like any other here */
  for (int i = 0; i < t.nparam; i++) t.param[i].solved = DPI_SOLVED_NOT;
  f->table[0] = t;
  f->ntable = f->ndatum = 1;
  return DP_OK;
}

dp_status dpi_calib_ask(dp_problem *p, const dpi_calib_asked *q) {
  asker k = {.p = p, .q = q};
  k.what = dpi_arena_printf(&p->arena, "prediction '%s'", q->name);
  if (!k.what) return DP_ERR_MEMORY;
  DP_TRY(find_experiment(&k));
  DP_TRY(check_time(&k));
  dpi_calib_observable observable = {.id = q->name, .noise = "1", .where = k.what, .distribution = DPI_NOISE_LAPLACE};
  dpi_calib_datum datum = {.time = q->time, .value = FAR_ABOVE, .where = k.what};
  const dpi_petab_observable *o = find_observable(p->file.petab, q->formula);
  if (!o && q->measured)
    return dpi_fail(p->ctx, DP_ERR_INPUT,
                    "%s: '%s' is no observable: only what the problem has noise for can be measured", k.what,
                    q->formula);
  if (o)
    DP_TRY(from_observable(&k, o, &observable, &datum));
  else
    DP_TRY(own_formula(&k, &observable));
  return cut_down(&k, &observable, &datum);
}

dp_status dpi_calib_predict(dp_problem *p, const dpi_calib_asked *asked, dp_problem **out) {
  const dp_problem *whole = p->full ? p->full : p;
  dp_problem_def def = whole->def;
  *out = NULL;
  def.quiet = 1;
  DP_TRY(dpi_calib_open(p->ctx, whole->file.petab->path, &def, asked, out));
  /* with one more row the tables' hash is another one */
  const bool measured = !asked->experiment || has_experiment(&whole->file, asked->experiment);
  const bool same = measured ? strcmp((*out)->file.petab->hash, whole->file.petab->hash) == 0
                             : (*out)->desc.nparam == whole->desc.nparam;
  if (same) return DP_OK;
  dp_problem_close(*out);
  *out = NULL;
  return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: has changed since it was read", whole->file.petab->path);
}
