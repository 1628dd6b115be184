/* kind_reward.c - reward.yaml: hard limits (event, window, probability) and weighted rewards (functional, event,
 * utility, grades,
 * terms over the plan; risk measures; objectives) to terms of numbers.
 *
 * Every number that is compared with a quantity carries its unit in the file and is converted to the quantity's unit
 * here; what does not convert is refused with both units named.
 */
#include "kind/kind_draft.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static const char *const functionals[] = {"integral",    "maximum",     "minimum", "time_between",
                                          "first_above", "first_below", /* order of dp_functional_kind */
                                          "time_below",  "time_above"}; /* of TIME_BETWEEN, one end infinite */
enum { TIME_BELOW = DP_FIRST_BELOW + 1, TIME_ABOVE };

/* "<relation> <number> [unit]", "in <number> <number> [unit]" */
typedef struct comparison {
  int relation; /* -1: < or <=, +1: > or >=, 0: a band */
  bool closed;  /* <=, >= */
  int band;     /* 1 in, -1 out */
  double number, number2;
  const char *unit; /* "" when none is written */
} comparison;

dp_status dpi_reward_fail(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *expected) {
  const char *key = node->key ? node->key : "entry";
  if (!node->text)
    return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected %s", doc->source, node->line, key, expected);
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found '%s', expected %s", doc->source, node->line, key,
                  node->text, expected);
}

/* "<number> [unit]" at text; *unit is what follows. */
bool dpi_number_and_unit(dpi_arena *arena, const char *text, double *number, const char **unit) {
  while (*text == ' ') text++;
  size_t n = strspn(text, "0123456789.eE+-");
  while (n > 0 && (text[n - 1] == 'e' || text[n - 1] == 'E')) n--; /* "5 eq" or "5e" */
  char *digits = dpi_arena_strndup(arena, text, n);
  if (!digits || !dpi_parse_double(digits, number)) return false;
  text += n;
  while (*text == ' ') text++;
  size_t len = strlen(text);
  while (len > 0 && text[len - 1] == ' ') len--;
  *unit = dpi_arena_strndup(arena, text, len);
  return *unit != NULL;
}

/* "in 400 600 mg.h/L" or "out 400 600 mg.h/L", text after the word. */
static bool read_band(const dpi_yaml_doc *doc, const char *text, comparison *out) {
  while (*text == ' ') text++;
  size_t n = strcspn(text, " ");
  char *low = dpi_arena_strndup(doc->arena, text, n);
  return low && dpi_parse_double(low, &out->number) &&
         dpi_number_and_unit(doc->arena, text + n, &out->number2, &out->unit) && out->number < out->number2;
}

/* The entry's text as a comparison; bands only where they are asked for. */
static dp_status read_comparison(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key, bool bands,
                                 comparison *out) {
  const char *text;
  DP_TRY(dpi_yaml_string(doc, map, key, NULL, &text));
  const dpi_yaml *node = dpi_yaml_get(map, key);
  const char *expected =
      bands ? "<, <=, > or >= and a number, or 'in' or 'out' and two ascending numbers" : "<, <=, > or >= and a number";
  *out = (comparison){.unit = ""};
  while (*text == ' ') text++;
  bool in = strncmp(text, "in ", 3) == 0, outside = strncmp(text, "out ", 4) == 0;
  if (bands && (in || outside)) {
    out->band = in ? 1 : -1;
    return read_band(doc, text + (in ? 3 : 4), out) ? DP_OK : dpi_reward_fail(doc, node, expected);
  }
  if (*text != '<' && *text != '>') return dpi_reward_fail(doc, node, expected);
  out->relation = *text == '<' ? -1 : 1;
  out->closed = text[1] == '=';
  text += out->closed ? 2 : 1;
  return dpi_number_and_unit(doc->arena, text, &out->number, &out->unit) ? DP_OK : dpi_reward_fail(doc, node, expected);
}

/* value in `unit` (as written at node) to the unit `to`. */
dp_status dpi_reward_convert(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *node, const char *unit,
                             const char *to, double *value) {
  const char *where = dpi_arena_printf(d->arena, "%s:%d: %s", doc->source, node->line, node->key ? node->key : "entry");
  dp_unit parsed;
  if (where && !*unit)
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: the number has no unit, expected one that converts to '%s'", where, to);
  DP_TRY(dpi_draft_unit(d, where, unit, &parsed));
  bool clean = !*dp_ctx_error(d->ctx);
  if (dp_unit_convert(d->ctx, *value, unit, to, 0.0, value) == DP_OK) return DP_OK;
  if (clean) dp_ctx_clear_error(d->ctx);
  return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: found the unit '%s', which does not convert to '%s'", where, unit, to);
}

dp_status dpi_draft_time(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *node, double *out) {
  const char *unit;
  static const char expected[] = "a time with its unit, such as '24 h' (0 needs none)";
  if (!node->text || !dpi_number_and_unit(d->arena, node->text, out, &unit))
    return dpi_reward_fail(doc, node, expected);
  if (*out == 0 && !*unit) return DP_OK;
  return dpi_reward_convert(d, doc, node, unit, d->kind->time_unit, out);
}

/* A product or quotient of units, in brackets only where one is compound itself: mg/d, (mg/L).h. */
static const char *two_units(dpi_draft *d, const char *a, char sign, const char *b) {
  const char *compound = "./( {";
  bool ka = strpbrk(a, compound), kb = strpbrk(b, compound);
  return dpi_arena_printf(d->arena, "%s%s%s%c%s%s%s", ka ? "(" : "", a, ka ? ")" : "", sign, kb ? "(" : "", b, kb ? ")" : "");
}

/* Unit of a functional of a quantity. */
static const char *functional_unit(dpi_draft *d, dp_functional_kind kind, const dpi_kind_quantity *q) {
  if (kind == DP_MAXIMUM || kind == DP_MINIMUM) return q->unit;
  if (kind == DP_INTEGRAL) return two_units(d, q->unit, '.', d->kind->time_unit);
  return d->kind->time_unit;
}

/* ---------------------------------------------------------------- what a term is about */

typedef struct reading {
  dpi_draft *d;
  const dpi_yaml_doc *doc;
  const dpi_yaml *map; /* the term */
  dpi_kind_reward *r;
  dpi_kind_term *t;
  int word; /* of functionals[] */
} reading;

static const dpi_yaml *entry(const reading *k, const char *key) { return dpi_yaml_get(k->map, key); }

static const char *place(const reading *k, const char *key) {
  const dpi_yaml *node = entry(k, key);
  return dpi_arena_printf(k->d->arena, "%s:%d: %s", k->doc->source, node ? node->line : k->map->line, key);
}

/* quantity and functional of a term. */
static dp_status read_subject(reading *k) {
  const char *word, *const *ids;
  dpi_kind_term *t = k->t;
  DP_TRY(dpi_yaml_string(k->doc, k->map, "quantity", NULL, &word));
  DP_TRY(dpi_draft_quantity_ids(k->d, &ids));
  DP_TRY(dpi_draft_refer(k->d, place(k, "quantity"), "quantity of quantities.tsv", word, ids, k->d->kind->nquantity,
                         &t->quantity));
  DP_TRY(dpi_yaml_string(k->doc, k->map, "functional", NULL, &word));
  DP_TRY(
      dpi_draft_refer(k->d, place(k, "functional"), "functional", word, functionals, DPI_COUNT(functionals), &k->word));
  t->functional = k->word <= DP_FIRST_BELOW ? (dp_functional_kind)k->word : DP_TIME_BETWEEN;
  t->unit = functional_unit(k->d, t->functional, &k->d->quantity[t->quantity]);
  return t->unit ? DP_OK : DP_ERR_MEMORY;
}

/* of: a term over the plan itself; control: of which. */
static dp_status read_of(reading *k) {
  static const char *const words[] = {"amount", "count", "interval", "intensity"}; /* order of dpi_term_of, from 1 */
  static const char *const path[] = {"quantity", "functional", "range", "level",    "window", "event",
                                     "utility",  "grades",     "risk",  "fraction", "unit"};
  dpi_draft *d = k->d;
  const char *word;
  int index;
  DP_TRY(dpi_yaml_string(k->doc, k->map, "of", NULL, &word));
  DP_TRY(dpi_draft_refer(d, place(k, "of"), "amount, count, interval or intensity of the plan", word, words,
                         DPI_COUNT(words), &index));
  for (int i = 0; i < DPI_COUNT(path); i++)
    if (entry(k, path[i])) return dpi_reward_fail(k->doc, entry(k, path[i]), "nothing about the path beside `of`");
  k->t->of = (dpi_term_of)(index + 1);
  k->t->of_control = -1;
  if (entry(k, "control")) {
    const char **ids = DPI_ARENA_ARRAY(d->arena, const char *, d->kind->ncontrol + 1);
    if (!ids) return DP_ERR_MEMORY;
    for (int i = 0; i < d->kind->ncontrol; i++) ids[i] = d->control[i].id;
    DP_TRY(dpi_yaml_string(k->doc, k->map, "control", NULL, &word));
    DP_TRY(dpi_draft_refer(d, place(k, "control"), "control of controls.tsv", word, ids, d->kind->ncontrol,
                           &k->t->of_control));
  }
  for (int i = 0; (index == 0 || index == 3) && k->t->of_control < 0 && i < k->r->nplanned; i++)
    if (strcmp(d->control[k->r->planned[i]].unit, d->control[k->r->control].unit) != 0)
      return dpi_fail(d->ctx, DP_ERR_INPUT,
                      "%s: the planned controls '%s' and '%s' count in different units (%s, %s), which do not add up; "
                      "say which is meant with control",
                      place(k, "of"), d->control[k->r->control].id, d->control[k->r->planned[i]].id,
                      d->control[k->r->control].unit, d->control[k->r->planned[i]].unit);
  if (k->r->control < 0 && (k->t->of_control < 0 || index > 1)) /* of a policy's moves */
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: expected amount or count, and the control that is meant", place(k, "of"));
  const char *unit = d->control[k->t->of_control >= 0 ? k->t->of_control : k->r->control].unit;
  k->t->unit = index == 1   ? "1"
               : index == 2 ? d->kind->time_unit
               : index == 0 ? unit
                            : two_units(d, unit, '/', d->kind->time_unit);
  return k->t->unit ? DP_OK : DP_ERR_MEMORY;
}

/* The levels a functional needs: range for time_between, level for first_above and first_below, time_above and
 * time_below. */
static dp_status read_levels(reading *k) {
  dpi_draft *d = k->d;
  const dpi_yaml_doc *doc = k->doc;
  dpi_kind_term *t = k->t;
  const char *unit, *to = d->quantity[t->quantity].unit;
  const dpi_yaml *range = entry(k, "range"), *level = entry(k, "level");
  bool between = k->word == DP_TIME_BETWEEN, graded = entry(k, "grades") != NULL;
  bool one = (t->functional >= DP_TIME_BETWEEN && !between) && !graded;
  DP_TRY(dpi_yaml_string(doc, k->map, "unit", "", &unit));
  t->level = t->level2 = NAN;
  if (range && !between) return dpi_reward_fail(doc, range, "no range with this functional");
  if (level && !one)
    return dpi_reward_fail(doc, level, graded ? "no level beside grades" : "no level with this functional");
  if (one) {
    DP_TRY(dpi_yaml_number(doc, k->map, "level", NAN, &t->level));
    DP_TRY(dpi_reward_convert(d, doc, level, unit, to, &t->level));
    if (k->word == TIME_BELOW) t->level2 = t->level, t->level = -INFINITY;
    if (k->word == TIME_ABOVE) t->level2 = INFINITY;
    return DP_OK;
  }
  if (!between) return DP_OK;
  if (!range || range->type != DPI_YAML_SEQUENCE || range->count != 2)
    return range ? dpi_reward_fail(doc, range, "[low, high]")
                 : dpi_fail(d->ctx, DP_ERR_INPUT, "%s:%d: time_between needs range: [low, high]", doc->source,
                            k->map->line);
  const dpi_yaml *low = range->first, *high = low->next;
  bool good = low->text && high->text && dpi_parse_double(low->text, &t->level) &&
              dpi_parse_double(high->text, &t->level2) && t->level < t->level2;
  if (!good) return dpi_reward_fail(doc, range, "[low, high] with low < high");
  DP_TRY(dpi_reward_convert(d, doc, range, unit, to, &t->level));
  return dpi_reward_convert(d, doc, range, unit, to, &t->level2);
}

/* window: [0, 24 h] from now. */
static dp_status read_own_window(reading *k) {
  const dpi_yaml *node = entry(k, "window");
  static const char expected[] = "[from, to] with from < to, such as [0, 24 h]";
  if (!node) return DP_OK;
  if (node->type != DPI_YAML_SEQUENCE || node->count != 2) return dpi_reward_fail(k->doc, node, expected);
  DP_TRY(dpi_draft_time(k->d, k->doc, node->first, &k->t->from));
  DP_TRY(dpi_draft_time(k->d, k->doc, node->first->next, &k->t->to));
  if (!(k->t->from >= 0 && k->t->from < k->t->to)) return dpi_reward_fail(k->doc, node, expected);
  k->t->windowed = true;
  return DP_OK;
}

/* ---------------------------------------------------------------- limits */

/* event: a comparison or a band, in the functional's unit. */
static dp_status read_event(reading *k) {
  comparison event;
  dpi_kind_term *t = k->t;
  DP_TRY(read_comparison(k->doc, k->map, "event", true, &event));
  const char *unit = "";
  bool level_unit = t->functional == DP_MAXIMUM || t->functional == DP_MINIMUM || t->functional == DP_INTEGRAL;
  if (level_unit) DP_TRY(dpi_yaml_string(k->doc, k->map, "unit", "", &unit));
  if (*event.unit) unit = event.unit;
  t->relation = event.relation;
  t->closed = event.closed;
  t->band = event.band;
  t->bound = event.number;
  t->bound2 = event.number2;
  const dpi_yaml *node = entry(k, "event");
  DP_TRY(dpi_reward_convert(k->d, k->doc, node, unit, t->unit, &t->bound));
  return event.band ? dpi_reward_convert(k->d, k->doc, node, unit, t->unit, &t->bound2) : DP_OK;
}

/* event and probability of a limit. */
static dp_status read_limit(reading *k) {
  comparison probability;
  dpi_kind_term *t = k->t;
  DP_TRY(read_event(k));
  DP_TRY(read_comparison(k->doc, k->map, "probability", false, &probability));
  t->at_least = probability.relation > 0;
  t->probability = strcmp(probability.unit, "%") == 0 ? probability.number / 100 : probability.number;
  if ((*probability.unit && strcmp(probability.unit, "%") != 0) || !(t->probability > 0 && t->probability < 1))
    return dpi_reward_fail(k->doc, entry(k, "probability"), "a relation and a number between 0 and 1, or 0 and 100 %");
  return DP_OK;
}

/* ---------------------------------------------------------------- rewards */

/* risk: expectation | quantile 0.10 | cvar 10 % */
static dp_status read_risk(reading *k) {
  static const char *const words[] = {"expectation", "quantile", "cvar"}; /* order of dpi_risk */
  const char *text;
  int risk;
  k->t->risk_level = NAN;
  DP_TRY(dpi_yaml_string(k->doc, k->map, "risk", "expectation", &text));
  size_t n = strcspn(text, " ");
  const char *word = dpi_arena_strndup(k->d->arena, text, n);
  if (!word) return DP_ERR_MEMORY;
  DP_TRY(dpi_draft_refer(k->d, place(k, "risk"), "risk: expectation, quantile P or cvar P", word, words,
                         DPI_COUNT(words), &risk));
  k->t->risk = (dpi_risk)risk;
  while (text[n] == ' ') n++;
  if (risk == DPI_RISK_EXPECTATION)
    return text[n] ? dpi_reward_fail(k->doc, entry(k, "risk"), "nothing after 'expectation'") : DP_OK;
  const char *unit;
  bool read = dpi_number_and_unit(k->d->arena, text + n, &k->t->risk_level, &unit);
  bool percent = read && strcmp(unit, "%") == 0;
  if (percent) k->t->risk_level /= 100;
  if (read && (percent || !*unit) && k->t->risk_level > 0 && k->t->risk_level < 1) return DP_OK;
  return dpi_reward_fail(k->doc, entry(k, "risk"), "a share of the draws between 0 and 1, such as 'cvar 0.10'");
}

/* grades: [[2.0, 1], [1.5, 2]]: levels descending, what a day below each counts. */
static dp_status read_grades(reading *k) {
  const dpi_yaml *node = entry(k, "grades");
  static const char expected[] = "[[level, weight], ...] with descending levels and ascending weights > 0";
  if (k->word != TIME_BELOW) return dpi_reward_fail(k->doc, node, "grades only with time_below");
  const char *unit, *to = k->d->quantity[k->t->quantity].unit;
  DP_TRY(dpi_yaml_string(k->doc, k->map, "unit", "", &unit));
  if (node->type != DPI_YAML_SEQUENCE || node->count < 1 || node->count > 64)
    return dpi_reward_fail(k->doc, node, expected);
  double *level = DPI_ARENA_ARRAY(k->d->arena, double, node->count);
  double *weight = DPI_ARENA_ARRAY(k->d->arena, double, node->count), last = 0;
  if (!level || !weight) return DP_ERR_MEMORY;
  int i = 0;
  for (const dpi_yaml *pair = node->first; pair; pair = pair->next, i++) {
    const dpi_yaml *a = pair->type == DPI_YAML_SEQUENCE && pair->count == 2 ? pair->first : NULL;
    double grade;
    bool good = a && a->text && a->next->text && dpi_parse_double(a->text, &level[i]) &&
                dpi_parse_double(a->next->text, &grade);
    if (!good || !(grade > last)) return dpi_reward_fail(k->doc, node, expected);
    DP_TRY(dpi_reward_convert(k->d, k->doc, node, unit, to, &level[i]));
    if (i && !(level[i] < level[i - 1])) return dpi_reward_fail(k->doc, node, expected);
    weight[i] = grade - last; /* who lies below a level also lies below all before it */
    last = grade;
  }
  k->t->ngrade = node->count;
  k->t->grade_level = level;
  k->t->grade_weight = weight;
  return DP_OK;
}

/* What is made of the functional: at most one of fraction, event, utility, grades. */
static dp_status read_worth(reading *k) {
  dpi_kind_term *t = k->t;
  const dpi_yaml *event = entry(k, "event"), *utility = entry(k, "utility"), *grades = entry(k, "grades");
  DP_TRY(dpi_yaml_bool(k->doc, k->map, "fraction", false, &t->fraction));
  if (t->fraction && (t->functional != DP_TIME_BETWEEN || grades))
    return dpi_reward_fail(k->doc, entry(k, "fraction"), "fraction only with time_between, time_below and time_above");
  if ((event != NULL) + (utility != NULL) + (grades != NULL) + t->fraction > 1)
    return dpi_fail(k->d->ctx, DP_ERR_INPUT,
                    "%s:%d: reward '%s': expected at most one of event, utility, grades and fraction", k->doc->source,
                    k->map->line, t->id);
  t->event = event != NULL;
  if (event) DP_TRY(read_event(k));
  if (grades) DP_TRY(read_grades(k));
  if (utility) DP_TRY(dpi_draft_utility(k->d, k->doc, utility, &t->utility));
  return read_risk(k);
}

/* objective: a word; those of all terms are listed once each. */
static dp_status read_objective(reading *k) {
  const char *word;
  k->t->objective = -1;
  DP_TRY(dpi_yaml_string(k->doc, k->map, "objective", "", &word));
  if (!*word) return DP_OK;
  const char **list = (const char **)(uintptr_t)k->r->objective; /* room for one a term: read_reward */
  for (int i = 0; i < k->r->nobjective; i++)
    if (strcmp(list[i], word) == 0) return k->t->objective = i, DP_OK;
  list[k->r->nobjective] = word;
  k->t->objective = k->r->nobjective++;
  return DP_OK;
}

static dp_status read_gain(reading *k) {
  DP_TRY(dpi_yaml_number(k->doc, k->map, "weight", NAN, &k->t->weight));
  DP_TRY(read_objective(k));
  return k->t->of == DPI_OF_PATH ? read_worth(k) : DP_OK;
}

/* ---------------------------------------------------------------- terms */

/* The event in words: "> 20 mg/L", "in 400 to 600 (mg/L).h". */
static const char *event_text(dpi_draft *d, const dpi_kind_term *t) {
  char a[32], b[32];
  dpi_format_double(t->bound, a);
  dpi_format_double(t->bound2, b);
  if (t->band) return dpi_arena_printf(d->arena, "%s %s to %s %s", t->band > 0 ? "in" : "outside", a, b, t->unit);
  return dpi_arena_printf(d->arena, "%s%s %s %s", t->relation < 0 ? "<" : ">", t->closed ? "=" : "", a, t->unit);
}

/* The functional and its levels: "maximum of glucose", "time of glucose below 70 mg/dL". NULL without memory. */
static const char *functional_text(const reading *k) {
  dpi_draft *d = k->d;
  const dpi_kind_term *t = k->t;
  const dpi_kind_quantity *q = &d->quantity[t->quantity];
  const char *share = t->fraction ? "share of the " : "";
  char low[32], high[32];
  dpi_format_double(t->level, low);
  dpi_format_double(t->level2, high);
  if (t->ngrade) return dpi_arena_printf(d->arena, "grade-time of %s", q->name);
  if (k->word == DP_TIME_BETWEEN)
    return dpi_arena_printf(d->arena, "%stime of %s between %s and %s %s", share, q->name, low, high, q->unit);
  if (k->word == TIME_BELOW)
    return dpi_arena_printf(d->arena, "%stime of %s below %s %s", share, q->name, high, q->unit);
  if (k->word == TIME_ABOVE)
    return dpi_arena_printf(d->arena, "%stime of %s above %s %s", share, q->name, low, q->unit);
  if (k->word == DP_FIRST_ABOVE)
    return dpi_arena_printf(d->arena, "first time of %s above %s %s", q->name, low, q->unit);
  if (k->word == DP_FIRST_BELOW)
    return dpi_arena_printf(d->arena, "first time of %s below %s %s", q->name, low, q->unit);
  return dpi_arena_printf(d->arena, "%s of %s", functionals[k->word], q->name);
}

/* Its own window: " within 24 h", " from 1 to 24 h"; "" without one. */
static const char *window_text(const reading *k) {
  char from[32], to[32];
  if (!k->t->windowed) return "";
  dpi_format_double(k->t->from, from);
  dpi_format_double(k->t->to, to);
  if (k->t->from == 0) return dpi_arena_printf(k->d->arena, " within %s %s", to, k->d->kind->time_unit);
  return dpi_arena_printf(k->d->arena, " from %s to %s %s", from, to, k->d->kind->time_unit);
}

/* What a person reads when the file has no text. */
static const char *term_text(const reading *k) {
  dpi_draft *d = k->d;
  const dpi_kind_term *t = k->t;
  static const char *const of[] = {"", "amount", "number of doses", "interval", "dose intensity"};
  static const char *const risks[] = {"", ", quantile ", ", cvar "}; /* order of dpi_risk */
  char p[32], weight[32], level[32] = "";
  dpi_format_double(t->probability, p);
  dpi_format_double(t->weight, weight);
  if (t->of != DPI_OF_PATH)
    return dpi_arena_printf(d->arena, "%s x %s%s%s", weight, of[t->of], t->of_control >= 0 ? " of " : "",
                            t->of_control >= 0 ? d->control[t->of_control].name : "");
  const char *what = functional_text(k), *when = window_text(k);
  const char *event = t->goal == DPI_GOAL_LIMIT || t->event ? event_text(d, t) : "";
  if (!what || !when || !event) return NULL;
  if (t->goal == DPI_GOAL_LIMIT)
    return dpi_arena_printf(d->arena, "P(%s %s%s) %s %s", what, event, when, t->at_least ? ">=" : "<=", p);
  if (t->risk != DPI_RISK_EXPECTATION) dpi_format_double(t->risk_level, level);
  const char *risk = risks[t->risk];
  if (t->event) return dpi_arena_printf(d->arena, "%s x P(%s %s%s)%s%s", weight, what, event, when, risk, level);
  const char *utility = t->utility ? "utility of the " : "";
  return dpi_arena_printf(d->arena, "%s x %s%s%s%s%s", weight, utility, what, when, risk, level);
}

static dp_status read_term(reading *k, dpi_goal goal) {
  static const char *const limit_keys[] = {"id",    "name",  "text", "quantity", "functional", "window",
                                           "range", "level", "unit", "event",    "probability"};
  static const char *const reward_keys[] = {"id",      "name",   "text",   "quantity",  "functional", "range",
                                            "level",   "unit",   "weight", "fraction",  "window",     "event",
                                            "utility", "grades", "risk",   "objective", "of",         "control"};
  bool limit = goal == DPI_GOAL_LIMIT;
  dpi_kind_term *t = k->t;
  DP_TRY(dpi_yaml_known(k->doc, k->map, limit ? "a limit" : "a reward", limit ? limit_keys : reward_keys,
                        limit ? DPI_COUNT(limit_keys) : DPI_COUNT(reward_keys)));
  *t =
      (dpi_kind_term){.goal = goal, .bound = NAN, .bound2 = NAN, .probability = NAN, .objective = -1, .of_control = -1};
  DP_TRY(dpi_yaml_string(k->doc, k->map, "id", NULL, &t->id));
  DP_TRY(dpi_yaml_string(k->doc, k->map, "name", t->id, &t->name));
  if (entry(k, "of")) {
    DP_TRY(read_of(k));
  } else {
    if (entry(k, "control")) return dpi_reward_fail(k->doc, entry(k, "control"), "control only beside `of`");
    DP_TRY(read_subject(k));
    DP_TRY(read_levels(k));
    DP_TRY(read_own_window(k));
  }
  DP_TRY(limit ? read_limit(k) : read_gain(k));
  const char *text = term_text(k);
  if (!text) return DP_ERR_MEMORY;
  return dpi_yaml_string(k->doc, k->map, "text", text, &t->text);
}

/* Terms under `limits` or `rewards`, appended to list. A term counts from the moment it may own a formula. */
static dp_status read_terms(dpi_draft *d, const dpi_yaml_doc *doc, const char *key, dpi_goal goal, dpi_kind_reward *r,
                            dpi_kind_term *list) {
  const dpi_yaml *node = dpi_yaml_get(doc->root, key);
  if (!node) return DP_OK;
  if (node->type != DPI_YAML_SEQUENCE) return dpi_reward_fail(doc, node, "a list of terms");
  for (const dpi_yaml *item = node->first; item; item = item->next) {
    int n = r->nterm++;
    reading k = {.d = d, .doc = doc, .map = item, .r = r, .t = &list[n]};
    DP_TRY(read_term(&k, goal));
    for (int i = 0; i < n; i++)
      if (strcmp(list[i].id, list[n].id) == 0)
        return dpi_fail(d->ctx, DP_ERR_INPUT, "%s:%d: id '%s' occurs twice", doc->source, item->line, list[i].id);
  }
  return DP_OK;
}

/* ---------------------------------------------------------------- the file */

/* window: `interval` (0) or a length with its unit. */
static dp_status read_window(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  const char *text, *unit;
  DP_TRY(dpi_yaml_string(doc, doc->root, "window", "interval", &text));
  r->window = 0;
  if (strcmp(text, "interval") == 0) return DP_OK;
  const dpi_yaml *node = dpi_yaml_get(doc->root, "window");
  if (!dpi_number_and_unit(d->arena, text, &r->window, &unit) || !(r->window > 0))
    return dpi_reward_fail(doc, node, "'interval' or a length with its unit, such as '24 h'");
  return dpi_reward_convert(d, doc, node, unit, d->kind->time_unit, &r->window);
}

/* control: which row of controls.tsv is planned; may be left out when there is one, or under plan.controls. */
static dp_status read_planned(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  int n = d->kind->ncontrol;
  const char *word;
  const dpi_yaml *plan = dpi_yaml_get(doc->root, "plan");
  if (n == 0)
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: a reward needs a control to plan, but the kind has none", doc->source);
  bool listed = plan && plan->type == DPI_YAML_MAP && dpi_yaml_get(plan, "controls");
  DP_TRY(dpi_yaml_string(doc, doc->root, "control", n == 1 || listed ? d->control[0].id : NULL, &word));
  const char **ids = DPI_ARENA_ARRAY(d->arena, const char *, n);
  if (!ids) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) ids[i] = d->control[i].id;
  const dpi_yaml *node = dpi_yaml_get(doc->root, "control");
  const char *where = dpi_arena_printf(d->arena, "%s:%d: control", doc->source, node ? node->line : 1);
  return dpi_draft_refer(d, where, "control of controls.tsv", word, ids, n, &r->control);
}

/* pareto: [benefit, harm]: objectives of the terms. */
static dp_status read_pareto(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  const dpi_yaml *node = dpi_yaml_get(doc->root, "pareto");
  if (!node) return DP_OK;
  if (node->type != DPI_YAML_SEQUENCE || node->count < 2)
    return dpi_reward_fail(doc, node, "a list of at least two objectives of rewards");
  int *list = DPI_ARENA_ARRAY(d->arena, int, node->count);
  if (!list) return DP_ERR_MEMORY;
  for (const dpi_yaml *item = node->first; item; item = item->next) {
    if (!item->text) return dpi_reward_fail(doc, item, "an objective of a reward");
    const char *where = dpi_arena_printf(d->arena, "%s:%d: pareto", doc->source, item->line);
    DP_TRY(
        dpi_draft_refer(d, where, "objective of a reward", item->text, r->objective, r->nobjective, &list[r->npareto]));
    for (int i = 0; i < r->npareto; i++)
      if (list[i] == list[r->npareto]) return dpi_reward_fail(doc, item, "each objective once");
    r->npareto++;
  }
  r->pareto = list;
  return DP_OK;
}

/* limits, rewards and pareto. */
static dp_status read_all_terms(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  const dpi_yaml *limits = dpi_yaml_get(doc->root, "limits"), *rewards = dpi_yaml_get(doc->root, "rewards");
  int room = (limits ? limits->count : 0) + (rewards ? rewards->count : 0);
  dpi_kind_term *list = DPI_ARENA_ARRAY(d->arena, dpi_kind_term, room + 1);
  const char **words = DPI_ARENA_ARRAY(d->arena, const char *, room + 1);
  if (!list || !words) return DP_ERR_MEMORY;
  r->term = list;
  r->objective = words;
  DP_TRY(read_terms(d, doc, "limits", DPI_GOAL_LIMIT, r, list));
  DP_TRY(read_terms(d, doc, "rewards", DPI_GOAL_REWARD, r, list));
  if (r->nterm == 0) return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: has no limits and no rewards", doc->source);
  DP_TRY(read_pareto(d, doc, r));
  r->given = true;
  return DP_OK;
}

static dp_status read_reward(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  static const char *const keys[] = {"control", "window",  "residual", "confidence", "note",
                                     "limits",  "rewards", "plan",     "pareto"};
  DP_TRY(dpi_yaml_known(doc, doc->root, "reward.yaml", keys, DPI_COUNT(keys)));
  DP_TRY(read_planned(d, doc, r));
  DP_TRY(read_window(d, doc, r));
  DP_TRY(dpi_yaml_bool(doc, doc->root, "residual", false, &r->residual));
  DP_TRY(dpi_yaml_number(doc, doc->root, "confidence", 0.95, &r->confidence));
  if (!(r->confidence > 0.5 && r->confidence < 1))
    return dpi_reward_fail(doc, dpi_yaml_get(doc->root, "confidence"), "a number between 0.5 and 1");
  DP_TRY(dpi_yaml_string(doc, doc->root, "note", "", &r->note));
  DP_TRY(dpi_draft_plan(d, doc, dpi_yaml_get(doc->root, "plan"), r));
  return read_all_terms(d, doc, r);
}

/* A policy's own aims: no plan is searched under them. */
static dp_status read_aims(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  r->control = -1;
  DP_TRY(dpi_yaml_number(doc, doc->root, "confidence", 0.95, &r->confidence));
  if (!(r->confidence > 0.5 && r->confidence < 1))
    return dpi_reward_fail(doc, dpi_yaml_get(doc->root, "confidence"), "a number between 0.5 and 1");
  r->note = "";
  return read_all_terms(d, doc, r);
}

dp_status dpi_draft_reward(dpi_draft *d) {
  const char *path;
  char *text;
  size_t size;
  if (d->extra && d->extra->reward) return read_aims(d, d->extra->reward, &d->kind->reward);
  DP_TRY(dpi_draft_file(d, "reward", false, true, &path, &text, &size));
  if (!text) return DP_OK;
  dpi_yaml_doc doc = {.ctx = d->ctx, .arena = d->arena, .source = path};
  dp_status status = dpi_yaml_parse(&doc, text, size);
  dpi_free(d->ctx, text);
  DP_TRY(status);
  return read_reward(d, &doc, &d->kind->reward);
}
