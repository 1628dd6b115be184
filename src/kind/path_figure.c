/* path_figure.c - floor 5: figures of a path and doses, from text (path_figure.h has the grammar). */
#include "kind/path_figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kind/kind_find.h"

enum { WORD = 64, MOST_COUNT = 100000 };
static const double LONGEST = 1e9; /* time units: ticks of it still fit */

typedef struct reader {
  const dp_kind *kind;
  const char *where, *text, *at;
} reader;

static dp_status expected(const reader *r, const char *what) {
  if (*r->at)
    return dpi_fail(r->kind->ctx, DP_ERR_INPUT, "%s: '%.200s': at '%.60s': expected %s", r->where, r->text, r->at,
                    what);
  return dpi_fail(r->kind->ctx, DP_ERR_INPUT, "%s: '%.200s': at its end: expected %s", r->where, r->text, what);
}

static void skip(reader *r) {
  while (*r->at == ' ' || *r->at == '\t') r->at++;
}

static bool take(reader *r, char c) {
  skip(r);
  if (*r->at != c) return false;
  r->at++;
  return true;
}

static bool word_char(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* The word at the place, "" where there is none. */
static dp_status take_word(reader *r, char out[WORD]) {
  size_t n = 0;
  skip(r);
  while (word_char(r->at[n], n == 0)) n++;
  if (n >= WORD) return expected(r, "a shorter word");
  memcpy(out, r->at, n);
  out[n] = 0;
  r->at += n;
  return DP_OK;
}

/* A piece up to , ; = or the ) that closes what is open around it. */
static dp_status take_piece(reader *r, char out[WORD]) {
  int depth = 0;
  size_t n = 0;
  skip(r);
  for (; r->at[n] && !strchr(",;=", r->at[n]); n++) {
    depth += r->at[n] == '(';
    if (r->at[n] == ')' && depth-- == 0) break;
  }
  if (n == 0) return expected(r, "a number");
  if (n >= WORD) return expected(r, "a number, and perhaps its unit");
  memcpy(out, r->at, n);
  out[n] = 0;
  while (n > 0 && out[n - 1] == ' ') out[--n] = 0;
  return DP_OK;
}

dp_status dpi_path_number(const dp_kind *kind, const char *text, const char *to, const char *where, double *out) {
  char digits[WORD], unit[WORD];
  while (*text == ' ') text++;
  size_t n = strspn(text, "0123456789.eE+-");
  while (n > 0 && (text[n - 1] == 'e' || text[n - 1] == 'E')) n--; /* "5 eq" or "5e" */
  snprintf(digits, sizeof digits, "%.*s", (int)(n < WORD ? n : 0), text);
  snprintf(unit, sizeof unit, "%s", text + n + strspn(text + n, " "));
  for (size_t k = strlen(unit); k > 0 && unit[k - 1] == ' '; k--) unit[k - 1] = 0;
  if (!dpi_parse_double(digits, out) || !isfinite(*out))
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: found '%.60s', expected a number, and perhaps its unit", where, text);
  if (!*unit || strcmp(unit, to) == 0) return DP_OK;
  bool clean = !*dp_ctx_error(kind->ctx);
  if (dp_unit_convert(kind->ctx, *out, unit, to, 0.0, out) == DP_OK && isfinite(*out)) return DP_OK;
  if (clean) dp_ctx_clear_error(kind->ctx);
  return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: found '%.60s', whose unit does not convert to '%s'", where, text, to);
}

static dp_status take_number(reader *r, const char *unit, double *out) {
  char piece[WORD];
  DP_TRY(take_piece(r, piece));
  DP_TRY(dpi_path_number(r->kind, piece, unit, r->where, out));
  r->at += strlen(piece);
  skip(r);
  return DP_OK;
}

static dp_status take_comma(reader *r) { return take(r, ',') ? DP_OK : expected(r, "','"); }

static dp_status take_time(reader *r, double *out) {
  const char *begin = r->at;
  DP_TRY(take_number(r, r->kind->time_unit, out));
  if (*out >= 0 && *out <= LONGEST) return DP_OK;
  r->at = begin;
  return expected(r, "a time from 0 to 1e9");
}

/* ---- what it is of ---- */

/* Unit of the sim output that Q names; NULL: Q is none. */
static const char *output_unit(const dp_kind *k, const char *id, int *output) {
  int i = dpi_kind_find_quantity(k, id);
  if (i >= 0) return *output = k->quantity[i].sim_output, k->quantity[i].unit;
  i = dpi_kind_find_observable(k, id);
  if (i >= 0) return *output = k->observable[i].value_output, k->observable[i].unit;
  for (int i = 0; i < k->neffect; i++)
    if (strcmp(k->effect[i].parameter, id) == 0) return *output = k->effect[i].sim_output, k->effect[i].unit;
  return NULL;
}

/* Q of a figure, or of one that has no such quantity: refused with the nearest id. */
static dp_status take_output(reader *r, const char *id, int *output, const char **unit) {
  const dp_kind *k = r->kind;
  const char *word[256], *near;
  int n = 0;
  if ((*unit = output_unit(k, id, output))) return DP_OK;
  for (int i = 0; i < k->nquantity && n < 256; i++) word[n++] = k->quantity[i].id;
  for (int i = 0; i < k->nobservable && n < 256; i++) word[n++] = k->observable[i].id;
  for (int i = 0; i < k->neffect && n < 256; i++) word[n++] = k->effect[i].parameter;
  for (int i = 0; i < k->neffect && n < 256; i++) word[n++] = k->effect[i].id;
  near = dpi_nearest_word(id, word, n);
  return dpi_fail(
      k->ctx, DP_ERR_INPUT,
      "%s: '%.200s': found '%s', expected a quantity, an observable or an individual parameter of kind %s%s%s%s",
      r->where, r->text, id, k->id, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static const char *const functionals[] = {"integral",     "maximum",     "minimum",
                                          "time_between", "first_above", "first_below"}; /* dp_functional_kind */

static int functional_of(const char *word) {
  for (int i = 0; i < DPI_COUNT(functionals); i++)
    if (strcmp(word, functionals[i]) == 0) return i;
  return -1;
}

static dp_status take_window(reader *r, dpi_path_figure *f) {
  DP_TRY(take_time(r, &f->from));
  DP_TRY(take_comma(r));
  DP_TRY(take_time(r, &f->to));
  return f->to >= f->from + 1.0 / (double)DP_TICKS ? DP_OK : expected(r, "a window that ends after it began");
}

/* After "(": Q, levels, window. */
static dp_status take_functional(reader *r, dpi_path_figure *f, const char *q_unit) {
  const dp_functional_kind k = f->functional;
  const char *time = r->kind->time_unit;
  const bool first = k == DP_FIRST_ABOVE || k == DP_FIRST_BELOW;
  if (first || k == DP_TIME_BETWEEN) {
    DP_TRY(take_number(r, q_unit, &f->level));
    DP_TRY(take_comma(r));
  }
  if (k == DP_TIME_BETWEEN) {
    DP_TRY(take_number(r, q_unit, &f->level2));
    DP_TRY(take_comma(r));
    if (!(f->level2 > f->level)) return expected(r, "a range whose upper end is the larger");
  }
  DP_TRY(take_window(r, f));
  const size_t top = strchr(q_unit, '(') ? 0 : strcspn(q_unit, "/"); /* mg/L times h is mg.h/L */
  if (k == DP_INTEGRAL && top > 0)
    snprintf(f->unit, sizeof f->unit, "%.*s.%.20s%.60s", (int)(top < 60 ? top : 60), q_unit, time, q_unit + top);
  else if (k == DP_INTEGRAL)
    snprintf(f->unit, sizeof f->unit, "(%.80s).%.20s", q_unit, time);
  else
    snprintf(f->unit, sizeof f->unit, "%.100s",
             f->form == DPI_PATH_TIME_OF || k == DP_TIME_BETWEEN || first ? time : q_unit);
  return DP_OK;
}

/* A word that is no function: an effect, or Q at the end of the record. */
static dp_status bare_word(reader *r, const char *word, dpi_path_figure *f) {
  const char *unit;
  for (int i = 0; i < r->kind->neffect; i++)
    if (strcmp(r->kind->effect[i].id, word) == 0) {
      f->form = DPI_PATH_EFFECT;
      f->output = i;
      snprintf(f->unit, sizeof f->unit, "1");
      return DP_OK;
    }
  f->form = DPI_PATH_VALUE;
  f->from = NAN;
  DP_TRY(take_output(r, word, &f->output, &unit));
  snprintf(f->unit, sizeof f->unit, "%.100s", unit);
  return DP_OK;
}

/* The word has been read. */
static dp_status take_figure(reader *r, const char *word, dpi_path_figure *f) {
  char id[WORD];
  const char *unit;
  *f = (dpi_path_figure){.level = NAN, .level2 = NAN};
  if (!*word) return expected(r, "a figure such as integral(Q, FROM, TO), value(Q, TIME) or an id");
  if (!take(r, '(')) return bare_word(r, word, f);
  int functional = functional_of(word);
  const bool of_max = strcmp(word, "time_of_maximum") == 0, of_min = strcmp(word, "time_of_minimum") == 0;
  f->form = functional >= 0 ? DPI_PATH_FUNCTIONAL : of_max || of_min ? DPI_PATH_TIME_OF : DPI_PATH_VALUE;
  f->functional = functional >= 0 ? (dp_functional_kind)functional : of_max ? DP_MAXIMUM : DP_MINIMUM;
  const bool brief = f->form == DPI_PATH_VALUE && strcmp(word, "value") != 0; /* Q(TIME) */
  if (brief) {
    snprintf(id, sizeof id, "%s", word);
  } else {
    DP_TRY(take_word(r, id));
    DP_TRY(take_comma(r));
  }
  DP_TRY(take_output(r, id, &f->output, &unit));
  if (f->form == DPI_PATH_VALUE) {
    DP_TRY(take_time(r, &f->from));
    snprintf(f->unit, sizeof f->unit, "%.100s", unit);
  } else {
    DP_TRY(take_functional(r, f, unit));
  }
  return take(r, ')') ? DP_OK : expected(r, "')'");
}

/* ---- doses ---- */

dpi_dosing dpi_dosing_default(void) { return (dpi_dosing){.control = -1, .dose = NAN}; }

static dp_status take_control(reader *r, dpi_dosing *d) {
  char id[WORD];
  const char *begin = r->at;
  DP_TRY(take_word(r, id));
  d->control = dpi_kind_find_control(r->kind, id);
  if (d->control >= 0) return DP_OK;
  r->at = begin;
  return expected(r, "a control of this kind");
}

static dp_status take_count(reader *r, dpi_dosing *d) {
  double n;
  const char *begin = r->at;
  DP_TRY(take_number(r, "1", &n));
  if (n >= 1 && n <= MOST_COUNT && n == floor(n)) return d->count = (int)n, DP_OK;
  r->at = begin;
  return expected(r, "a whole number from 1 to 100000");
}

/* dose 1500 mg, duration 2 h, interval 24 h, count 11, control iv, steady. The amount's unit is known when the
 * control is. */
static dp_status take_dosing(reader *r, dpi_dosing *d) {
  char word[WORD], amount[WORD] = "";
  do {
    DP_TRY(take_word(r, word));
    skip(r);
    if (strcmp(word, "dose") == 0) {
      DP_TRY(take_piece(r, amount));
      r->at += strlen(amount);
      skip(r);
    } else if (strcmp(word, "interval") == 0) {
      DP_TRY(take_time(r, &d->interval));
    } else if (strcmp(word, "duration") == 0) {
      DP_TRY(take_time(r, &d->duration));
    } else if (strcmp(word, "count") == 0) {
      DP_TRY(take_count(r, d));
    } else if (strcmp(word, "control") == 0) {
      DP_TRY(take_control(r, d));
    } else if (strcmp(word, "steady") == 0) {
      d->steady = true;
    } else {
      return expected(r, "dose, interval, duration, count, control or steady");
    }
  } while (take(r, ','));
  DP_TRY(dpi_dosing_check(r->kind, r->where, d));
  if (!*amount) return DP_OK;
  DP_TRY(dpi_path_number(r->kind, amount, r->kind->control[d->control].unit, r->where, &d->dose));
  return d->dose > 0 ? DP_OK
                     : dpi_fail(r->kind->ctx, DP_ERR_INPUT, "%s: dose: found %s, expected > 0", r->where, amount);
}

dp_status dpi_dosing_check(const dp_kind *kind, const char *where, dpi_dosing *d) {
  if (d->control < 0 && kind->reward.given) d->control = kind->reward.control;
  if (d->control < 0 && kind->ncontrol == 1) d->control = 0;
  if (d->control < 0)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: kind %s has %d controls: say which with control ID", where, kind->id,
                    kind->ncontrol);
  const double tick = 1.0 / (double)DP_TICKS;
  if ((d->interval > 0 && d->interval < tick) || (d->duration > 0 && d->duration < tick))
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: an interval or duration shorter than %g %s", where, tick,
                    kind->time_unit);
  if ((d->count > 1 || d->steady) && !(d->interval > 0))
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: doses given more than once, or at steady state, need an interval",
                    where);
  if ((d->count > 1 || d->steady) && d->duration > d->interval * (1 + 1e-9)) /* as plans have it */
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: an infusion over %g %s has not ended when the next begins after %g %s",
                    where, d->duration, kind->time_unit, d->interval, kind->time_unit);
  if (d->interval > 0 && d->interval * d->count > LONGEST)
    return dpi_fail(kind->ctx, DP_ERR_INPUT, "%s: %d doses every %g reach beyond 1e9 %s", where, d->count, d->interval,
                    kind->time_unit);
  return DP_OK;
}

/* ---- the whole ---- */

const char *dpi_path_request_unit(const dp_kind *kind, const dpi_path_request *q) {
  return q->ask == DPI_ASK_DOSE_FOR ? kind->control[q->dosing.control].unit : q->figure.unit;
}

static dp_status take_wanted(reader *r, dpi_path_request *q, bool needed) {
  if (!take(r, '=')) return needed ? expected(r, "'=' and the number that is to be reached") : DP_OK;
  return take_number(r, q->figure.unit, &q->wanted);
}

dp_status dpi_path_request_parse(const dp_kind *kind, const char *text, const char *where, dpi_path_request *out) {
  reader r = {kind, where, text, text};
  char word[WORD];
  *out = (dpi_path_request){.wanted = NAN, .dosing = dpi_dosing_default()};
  DP_TRY(take_word(&r, word));
  if (strcmp(word, "dose_for") == 0) out->ask = DPI_ASK_DOSE_FOR;
  if (strcmp(word, "value_of") == 0) out->ask = DPI_ASK_VALUE_OF;
  const bool inner = out->ask != DPI_ASK_FIGURE;
  if (inner) {
    if (!take(&r, '(')) return expected(&r, "'('");
    DP_TRY(take_word(&r, word));
  }
  DP_TRY(take_figure(&r, word, &out->figure));
  DP_TRY(take_wanted(&r, out, out->ask == DPI_ASK_DOSE_FOR));
  if (inner && take(&r, ';')) DP_TRY(take_dosing(&r, &out->dosing));
  if (inner) DP_TRY(dpi_dosing_check(kind, where, &out->dosing));
  if (inner && !take(&r, ')')) return expected(&r, "')'");
  skip(&r);
  if (*r.at) return expected(&r, "nothing more");
  if (out->ask == DPI_ASK_VALUE_OF && !isnan(out->wanted)) return expected(&r, "no '=' inside value_of");
  if (out->ask == DPI_ASK_VALUE_OF && isnan(out->dosing.dose)) return expected(&r, "'dose' and its amount");
  if (inner && (out->figure.form == DPI_PATH_EFFECT || isnan(out->figure.from)))
    return expected(&r, "a figure of the path under these doses");
  return DP_OK;
}
