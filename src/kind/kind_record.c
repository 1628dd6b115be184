/* kind_record.c - an event table as a kind's record: other units converted, everything checked that the kind asks for.  O, U
 *
 * A table's numbers are in the kind's units (time_unit; AMT in the control's; DV in the observable's; a covariate in its
 * own) unless a comment line of the table says otherwise:
 *
 *     #units: TIME=min, AMT=ug, DV=ug/L, WT=[lb_av]
 *
 * Names are TIME (II with it), AMT (RATE with it, per TIME), DV (LLOQ with it), an observable's id for that observable alone,
 * a covariate's id. What converts is converted and told as a warning; what does not is refused with both units named.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kind/kind_events.h"
#include "record/record_build.h"

typedef struct named_unit {
  const char *unit; /* NULL: nothing was said */
  int line;         /* that names it */
} named_unit;

typedef struct units {
  dp_ctx *ctx;
  const dp_kind *kind;
  dp_record *record;
  const char *source;
  named_unit time, amount, value; /* none: as the kind says */
  named_unit *observable;         /* [nobservable] none: `value` */
  named_unit *covariate;          /* [ncovariate] */
  bool any;
} units;

/* ---------------------------------------------------------------- the #units: line */

static dp_status unknown_name(const units *u, int line, const char *name) {
  const dp_kind *k = u->kind;
  int n = 3 + k->nobservable + k->ncovariate;
  const char **words = DPI_NEW_ARRAY(u->ctx, const char *, n);
  if (!words) return DP_ERR_MEMORY;
  words[0] = "TIME", words[1] = "AMT", words[2] = "DV";
  for (int i = 0; i < k->nobservable; i++) words[3 + i] = k->observable[i].id;
  for (int i = 0; i < k->ncovariate; i++) words[3 + k->nobservable + i] = k->covariate[i].id;
  const char *near = dpi_nearest_word(name, words, n);
  dp_status status = dpi_fail(
      u->ctx, DP_ERR_INPUT,
      "%s:%d: #units: found '%s', expected TIME, AMT, DV, an observable or a covariate%s%s%s",
      u->source, line, name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  dpi_free(u->ctx, words);
  return status;
}

/* Where the unit of that name is kept, NULL: nobody knows the name. */
static named_unit *slot(units *u, const char *name) {
  if (strcmp(name, "TIME") == 0) return &u->time;
  if (strcmp(name, "AMT") == 0) return &u->amount;
  if (strcmp(name, "DV") == 0) return &u->value;
  for (int i = 0; i < u->kind->nobservable; i++)
    if (strcmp(name, u->kind->observable[i].id) == 0) return &u->observable[i];
  for (int i = 0; i < u->kind->ncovariate; i++)
    if (strcmp(name, u->kind->covariate[i].id) == 0) return &u->covariate[i];
  return NULL;
}

/* A copy without the blanks around it. */
static char *trimmed(dpi_arena *arena, const char *text, size_t n) {
  while (n > 0 && (*text == ' ' || *text == '\t')) text++, n--;
  while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t')) n--;
  return dpi_arena_strndup(arena, text, n);
}

/* "TIME=min, AMT=ug": the rest of the line after "#units:". */
static dp_status read_line(units *u, const char *text, size_t n, int line) {
  dpi_arena *arena = dpi_record_arena(u->record);
  while (n > 0) {
    size_t part = 0, equal = 0;
    while (part < n && text[part] != ',') part++;
    while (equal < part && text[equal] != '=') equal++;
    char *name = trimmed(arena, text, equal);
    char *unit = equal < part ? trimmed(arena, text + equal + 1, part - equal - 1) : "";
    if (!name || !unit) return DP_ERR_MEMORY;
    if (!*unit)
      return dpi_fail(u->ctx, DP_ERR_INPUT, "%s:%d: #units: found '%s', expected NAME=unit",
                      u->source, line, name);
    named_unit *place = slot(u, name);
    if (!place) return unknown_name(u, line, name);
    if (place->unit)
      return dpi_fail(u->ctx, DP_ERR_INPUT, "%s:%d: #units: '%s' occurs twice", u->source, line,
                      name);
    *place = (named_unit){unit, line};
    u->any = true;
    part += part < n;
    text += part;
    n -= part;
  }
  return DP_OK;
}

/* Every "#units:" line of the table. */
static dp_status read_units(units *u, const char *text, size_t size) {
  static const char key[] = "#units:";
  size_t nkey = sizeof key - 1;
  int line = 1;
  for (size_t at = 0; at < size; line++) {
    size_t n = 0;
    while (at + n < size && text[at + n] != '\n' && text[at + n] != '\r') n++;
    size_t bom = at == 0 && n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    if (n >= nkey + bom && memcmp(text + at + bom, key, nkey) == 0)
      DP_TRY(read_line(u, text + at + bom + nkey, n - nkey - bom, line));
    at += n + 1;
    if (at < size && text[at - 1] == '\r' && text[at] == '\n') at++;
  }
  return DP_OK;
}

/* ---------------------------------------------------------------- conversion */

/* value from the unit that a line named (or none: no change) to the kind's unit. */
static dp_status convert(const units *u, const char *name, const named_unit *from, const char *to,
                         double molar_mass, double *value) {
  if (!from->unit || isnan(*value)) return DP_OK;
  bool clean = !*dp_ctx_error(u->ctx);
  if (dp_unit_convert(u->ctx, *value, from->unit, to, molar_mass, value) == DP_OK) return DP_OK;
  char why[300];
  snprintf(why, sizeof why, "%s", dp_ctx_error(u->ctx));
  if (clean) dp_ctx_clear_error(u->ctx);
  return dpi_fail(
      u->ctx, DP_ERR_INPUT,
      "%s:%d: #units: %s: found the unit '%s', which does not convert to the kind's '%s' (%s)",
      u->source, from->line, name, from->unit, to, why);
}

static dp_status convert_time(const units *u, double factor, int line, dp_time *t) {
  if (!u->time.unit) return DP_OK;
  double ticks = floor((double)*t * factor + 0.5);
  if (!(fabs(ticks) < 9e18))
    return dpi_fail(u->ctx, DP_ERR_INPUT, "%s:%d: column TIME: the converted time is too large",
                    u->source, line);
  *t = (dp_time)ticks;
  return DP_OK;
}

static dp_status convert_dose(const units *u, double time_factor, dp_event *e) {
  if (e->evid != 1 && e->evid != 4) return DP_OK;
  int index;
  DP_TRY(dpi_event_control(u->kind, u->source, e, &index));
  const dpi_kind_control *c = &u->kind->control[index];
  DP_TRY(convert(u, "AMT", &u->amount, c->unit, c->molar_mass, &e->amount));
  if (!(e->rate > 0)) return DP_OK;
  DP_TRY(convert(u, "AMT", &u->amount, c->unit, c->molar_mass, &e->rate));
  if (u->time.unit) e->rate /= time_factor;
  return DP_OK;
}

/* The unit of an observable's numbers: its own, or that of DV. */
static const named_unit *unit_of(const units *u, int observable) {
  return u->observable[observable].unit ? &u->observable[observable] : &u->value;
}

static dp_status convert_value(const units *u, dp_event *e) {
  if (e->evid != 0 || e->missing) return DP_OK;
  int index;
  DP_TRY(dpi_event_observable(u->kind, u->source, e, &index));
  const dpi_kind_observable *o = &u->kind->observable[index];
  const named_unit *from = unit_of(u, index);
  DP_TRY(convert(u, o->id, from, o->unit, o->molar_mass, &e->value));
  return convert(u, o->id, from, o->unit, o->molar_mass, &e->limit);
}

static dp_status convert_covariates(const units *u, dp_event *e, double *values) {
  if (u->record->ncovariate)
    memcpy(values, e->covariate, sizeof(double) * (size_t)u->record->ncovariate);
  e->covariate = values;
  for (int i = 0; i < u->kind->ncovariate; i++) {
    const dpi_kind_covariate *v = &u->kind->covariate[i];
    int column = dpi_record_covariate(u->record, v->id);
    if (column >= 0) DP_TRY(convert(u, v->id, &u->covariate[i], v->unit, 0.0, &values[column]));
  }
  return DP_OK;
}

static dp_status convert_subject(const units *u, double time_factor, const dp_subject *from,
                                 dp_subject *to) {
  dpi_arena *arena = dpi_record_arena(u->record);
  size_t ncov = (size_t)u->record->ncovariate, n = (size_t)from->nevent;
  dp_event *event = DPI_ARENA_ARRAY(arena, dp_event, n);
  double *values = DPI_ARENA_ARRAY(arena, double, n *ncov);
  if (!event || !values) return DP_ERR_MEMORY;
  for (size_t i = 0; i < n; i++) {
    dp_event *e = &event[i];
    *e = from->event[i];
    DP_TRY(convert_time(u, time_factor, e->line, &e->time));
    DP_TRY(convert_time(u, time_factor, e->line, &e->interval));
    DP_TRY(convert_dose(u, time_factor, e));
    DP_TRY(convert_value(u, e));
    DP_TRY(convert_covariates(u, e, values + i * ncov));
  }
  *to = *from;
  to->event = event;
  return DP_OK;
}

/* Tell what one unit of the table became. */
static dp_status tell(const units *u, const char *name, const named_unit *from, const char *to,
                      double molar_mass) {
  double one = 1.0;
  if (!from->unit) return DP_OK;
  DP_TRY(convert(u, name, from, to, molar_mass, &one));
  return dpi_record_warn(u->record, "%s: %s converted from %s to %s (1 %s is %.6g %s)", u->source,
                         name, from->unit, to, from->unit, one, to);
}

static dp_status tell_all(const units *u) {
  const dp_kind *k = u->kind;
  DP_TRY(tell(u, "TIME", &u->time, k->time_unit, 0.0));
  for (int i = 0; i < k->ncontrol; i++)
    DP_TRY(tell(u, "AMT", &u->amount, k->control[i].unit, k->control[i].molar_mass));
  for (int i = 0; i < k->nobservable; i++) {
    const dpi_kind_observable *o = &k->observable[i];
    DP_TRY(tell(u, o->id, unit_of(u, i), o->unit, o->molar_mass));
  }
  for (int i = 0; i < k->ncovariate; i++)
    DP_TRY(tell(u, k->covariate[i].id, &u->covariate[i], k->covariate[i].unit, 0.0));
  return DP_OK;
}

static dp_status convert_record(const units *u) {
  DP_TRY(tell_all(u)); /* also refuses what does not convert before a row is touched */
  double time_factor = 1.0;
  DP_TRY(convert(u, "TIME", &u->time, u->kind->time_unit, 0.0, &time_factor));
  dp_subject *subject =
      DPI_ARENA_ARRAY(dpi_record_arena(u->record), dp_subject, u->record->nsubject);
  if (!subject) return DP_ERR_MEMORY;
  for (int i = 0; i < u->record->nsubject; i++)
    DP_TRY(convert_subject(u, time_factor, &u->record->subject[i], &subject[i]));
  u->record->subject = subject;
  return DP_OK;
}

/* ---------------------------------------------------------------- checks */

/* A dose far from what the control allows is most often a wrong unit: told, not refused (it was given). */
static dp_status tell_doses(const units *u) {
  const dp_kind *k = u->kind;
  const dp_event *first = NULL;
  const dpi_kind_control *control = NULL;
  int n = 0, index;
  for (int s = 0; s < u->record->nsubject; s++) {
    const dp_subject *subject = &u->record->subject[s];
    for (int i = 0; i < subject->nevent; i++) {
      const dp_event *e = &subject->event[i];
      if (e->evid != 1 && e->evid != 4) continue;
      DP_TRY(dpi_event_control(k, u->source, e, &index));
      const dpi_kind_control *c = &k->control[index];
      if (e->amount == 0 || (e->amount >= c->lower && e->amount <= c->upper)) continue;
      if (n++ == 0) first = e, control = c;
    }
  }
  if (n == 0) return DP_OK;
  return dpi_record_warn(
      u->record, "%s:%d: dose %g %s lies outside %g to %g %s of control '%s' (%d such dose%s)",
      u->source, first->line, first->amount, control->unit, control->lower, control->upper,
      control->unit, control->id, n, n > 1 ? "s" : "");
}

/* Every person makes a case. */
static dp_status check_cases(const units *u) {
  for (int i = 0; i < u->record->nsubject; i++) {
    dpi_case *c;
    DP_TRY(dpi_case_create(u->kind, u->record, i, &c));
    dpi_case_destroy(c);
  }
  return DP_OK;
}

static dp_status apply_kind(units *u, const char *path) {
  char *text;
  size_t size;
  DP_TRY(dpi_file_read(u->ctx, path, 0, &text, &size));
  dp_status status = read_units(u, text, size);
  dpi_free(u->ctx, text);
  DP_TRY(status);
  if (u->any) DP_TRY(convert_record(u));
  DP_TRY(tell_doses(u));
  return check_cases(u);
}

typedef struct record_work {
  const dp_kind *kind;
  const char *path;
  dp_record **out;
} record_work;

/* dpi_work_fn */
static dp_status record_one(void *user, int i, int worker) {
  (void)i, (void)worker;
  const record_work *w = user;
  const dp_kind *kind = w->kind;
  const char *path = w->path;
  dp_record_def def = kind->table;
  def.codes = kind->codes;
  dp_record *record;
  DP_TRY(dp_record_read(kind->ctx, path, &def, &record));
  units u = {.ctx = kind->ctx, .kind = kind, .record = record, .source = record->source};
  dpi_arena *arena = dpi_record_arena(record);
  u.observable = DPI_ARENA_ARRAY(arena, named_unit, kind->nobservable);
  u.covariate = DPI_ARENA_ARRAY(arena, named_unit, kind->ncovariate);
  dp_status status = u.observable && u.covariate ? apply_kind(&u, path) : DP_ERR_MEMORY;
  if (status != DP_OK)
    dp_record_destroy(record);
  else
    *w->out = record;
  return status;
}

/* As a loop of one item: see dp_kind_load. */
dp_status dp_kind_record(const dp_kind *kind, const char *path, dp_record **out) {
  record_work w = {kind, path, out};
  *out = NULL;
  return dpi_parallel_for(kind->ctx, 1, record_one, &w);
}
