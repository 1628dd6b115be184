/* kind_reward.c - reward.yaml: hard limits (event, window, probability) and weighted rewards to terms of numbers.
 *
 * Every number that is compared with a quantity carries its unit in the file and is converted to the quantity's unit
 * here; what does not convert is refused with both units named.
 */
#include "kind/kind_draft.h"

#include <math.h>
#include <string.h>

static const char *const functionals[] = {
    "integral",     "maximum",     "minimum",
    "time_between", "first_above", "first_below"}; /* order of dp_functional_kind */

/* "<relation> <number> [unit]" */
typedef struct comparison {
  int relation; /* -1: < or <=, +1: > or >= */
  double number;
  const char *unit; /* "" when none is written */
} comparison;

static dp_status fail_node(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *expected) {
  const char *key = node->key ? node->key : "entry";
  if (!node->text)
    return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected %s", doc->source, node->line, key,
                    expected);
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found '%s', expected %s", doc->source,
                  node->line, key, node->text, expected);
}

/* "<number> [unit]" at text; *unit is what follows. */
static bool number_and_unit(dpi_arena *arena, const char *text, double *number, const char **unit) {
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

/* The entry's text as a comparison. */
static dp_status read_comparison(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                                 comparison *out) {
  const char *text;
  DP_TRY(dpi_yaml_string(doc, map, key, NULL, &text));
  const dpi_yaml *node = dpi_yaml_get(map, key);
  static const char expected[] = "<, <=, > or >= and a number";
  while (*text == ' ') text++;
  if (*text != '<' && *text != '>') return fail_node(doc, node, expected);
  out->relation = *text == '<' ? -1 : 1;
  text += text[1] == '=' ? 2 : 1;
  return number_and_unit(doc->arena, text, &out->number, &out->unit)
             ? DP_OK
             : fail_node(doc, node, expected);
}

/* value in `unit` (as written at node) to the unit `to`. */
static dp_status convert(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *node,
                         const char *unit, const char *to, double *value) {
  const char *where = dpi_arena_printf(d->arena, "%s:%d: %s", doc->source, node->line, node->key);
  dp_unit parsed;
  if (where && !*unit)
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "%s: the number has no unit, expected one that converts to '%s'", where, to);
  DP_TRY(dpi_draft_unit(d, where, unit, &parsed));
  bool clean = !*dp_ctx_error(d->ctx);
  if (dp_unit_convert(d->ctx, *value, unit, to, 0.0, value) == DP_OK) return DP_OK;
  if (clean) dp_ctx_clear_error(d->ctx);
  return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: found the unit '%s', which does not convert to '%s'",
                  where, unit, to);
}

/* Unit of a functional of a quantity. */
static const char *functional_unit(dpi_draft *d, dp_functional_kind kind,
                                   const dpi_kind_quantity *q) {
  if (kind == DP_MAXIMUM || kind == DP_MINIMUM) return q->unit;
  if (kind == DP_INTEGRAL)
    return dpi_arena_printf(d->arena, "(%s).(%s)", q->unit, d->kind->time_unit);
  return d->kind->time_unit;
}

/* quantity and functional of a term. */
static dp_status read_subject(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map,
                              dpi_kind_term *t) {
  const char *word, *const *ids;
  DP_TRY(dpi_yaml_string(doc, map, "quantity", NULL, &word));
  DP_TRY(dpi_draft_quantity_ids(d, &ids));
  const char *where = dpi_arena_printf(d->arena, "%s:%d: quantity", doc->source,
                                       dpi_yaml_get(map, "quantity")->line);
  DP_TRY(dpi_draft_refer(d, where, "quantity of quantities.tsv", word, ids, d->kind->nquantity,
                         &t->quantity));
  DP_TRY(dpi_yaml_string(doc, map, "functional", NULL, &word));
  where = dpi_arena_printf(d->arena, "%s:%d: functional", doc->source,
                           dpi_yaml_get(map, "functional")->line);
  int kind;
  DP_TRY(dpi_draft_refer(d, where, "functional", word, functionals, DPI_COUNT(functionals), &kind));
  t->functional = (dp_functional_kind)kind;
  return DP_OK;
}

/* The levels a functional needs: range for time_between, level for first_above and first_below. */
static dp_status read_levels(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map,
                             dpi_kind_term *t) {
  const char *unit, *to = d->quantity[t->quantity].unit;
  const dpi_yaml *range = dpi_yaml_get(map, "range"), *level = dpi_yaml_get(map, "level");
  bool between = t->functional == DP_TIME_BETWEEN;
  bool first = t->functional == DP_FIRST_ABOVE || t->functional == DP_FIRST_BELOW;
  DP_TRY(dpi_yaml_string(doc, map, "unit", "", &unit));
  t->level = t->level2 = NAN;
  if (range && !between) return fail_node(doc, range, "no range with this functional");
  if (level && !first) return fail_node(doc, level, "no level with this functional");
  if (first) {
    DP_TRY(dpi_yaml_number(doc, map, "level", NAN, &t->level));
    return convert(d, doc, level, unit, to, &t->level);
  }
  if (!between) return DP_OK;
  if (!range || range->type != DPI_YAML_SEQUENCE || range->count != 2)
    return range ? fail_node(doc, range, "[low, high]")
                 : dpi_fail(d->ctx, DP_ERR_INPUT, "%s:%d: time_between needs range: [low, high]",
                            doc->source, map->line);
  const dpi_yaml *low = range->first, *high = low->next;
  bool good = low->text && high->text && dpi_parse_double(low->text, &t->level) &&
              dpi_parse_double(high->text, &t->level2) && t->level < t->level2;
  if (!good) return fail_node(doc, range, "[low, high] with low < high");
  DP_TRY(convert(d, doc, range, unit, to, &t->level));
  return convert(d, doc, range, unit, to, &t->level2);
}

/* event and probability of a limit. */
static dp_status read_limit(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map,
                            dpi_kind_term *t) {
  comparison event, probability;
  DP_TRY(read_comparison(doc, map, "event", &event));
  const char *fallback = "";
  bool level_unit =
      t->functional == DP_MAXIMUM || t->functional == DP_MINIMUM || t->functional == DP_INTEGRAL;
  if (level_unit) DP_TRY(dpi_yaml_string(doc, map, "unit", "", &fallback));
  const char *to = functional_unit(d, t->functional, &d->quantity[t->quantity]);
  if (!to) return DP_ERR_MEMORY;
  t->relation = event.relation;
  t->bound = event.number;
  DP_TRY(convert(d, doc, dpi_yaml_get(map, "event"), *event.unit ? event.unit : fallback, to,
                 &t->bound));
  DP_TRY(read_comparison(doc, map, "probability", &probability));
  t->at_least = probability.relation > 0;
  t->probability = probability.number;
  if (*probability.unit || !(t->probability > 0 && t->probability < 1))
    return fail_node(doc, dpi_yaml_get(map, "probability"),
                     "a relation and a number between 0 and 1");
  return DP_OK;
}

/* What a person reads when the file has no text. */
static const char *term_text(dpi_draft *d, const dpi_kind_term *t) {
  const dpi_kind_quantity *q = &d->quantity[t->quantity];
  const char *f = functionals[t->functional];
  char bound[32], p[32], low[32], high[32], weight[32];
  dpi_format_double(t->bound, bound);
  dpi_format_double(t->probability, p);
  dpi_format_double(t->level, low);
  dpi_format_double(t->level2, high);
  dpi_format_double(t->weight, weight);
  if (t->goal == DPI_GOAL_LIMIT)
    return dpi_arena_printf(d->arena, "P(%s of %s %s %s %s) %s %s", f, q->name,
                            t->relation < 0 ? "<" : ">", bound,
                            functional_unit(d, t->functional, q), t->at_least ? ">=" : "<=", p);
  if (t->functional == DP_TIME_BETWEEN)
    return dpi_arena_printf(d->arena, "%s x time of %s between %s and %s %s", weight, q->name, low,
                            high, q->unit);
  return dpi_arena_printf(d->arena, "%s x %s of %s", weight, f, q->name);
}

static dp_status read_term(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map,
                           dpi_goal goal, dpi_kind_term *t) {
  static const char *const limit_keys[] = {"id",    "name",  "text", "quantity", "functional",
                                           "range", "level", "unit", "event",    "probability"};
  static const char *const reward_keys[] = {"id",    "name",  "text", "quantity", "functional",
                                            "range", "level", "unit", "weight",   "fraction"};
  bool limit = goal == DPI_GOAL_LIMIT;
  DP_TRY(dpi_yaml_known(doc, map, limit ? "a limit" : "a reward", limit ? limit_keys : reward_keys,
                        limit ? DPI_COUNT(limit_keys) : DPI_COUNT(reward_keys)));
  *t = (dpi_kind_term){.goal = goal, .bound = NAN, .probability = NAN};
  DP_TRY(dpi_yaml_string(doc, map, "id", NULL, &t->id));
  DP_TRY(dpi_yaml_string(doc, map, "name", t->id, &t->name));
  DP_TRY(read_subject(d, doc, map, t));
  DP_TRY(read_levels(d, doc, map, t));
  if (limit) {
    DP_TRY(read_limit(d, doc, map, t));
  } else {
    DP_TRY(dpi_yaml_number(doc, map, "weight", NAN, &t->weight));
    DP_TRY(dpi_yaml_bool(doc, map, "fraction", false, &t->fraction));
    if (t->fraction && t->functional != DP_TIME_BETWEEN)
      return fail_node(doc, dpi_yaml_get(map, "fraction"), "fraction only with time_between");
  }
  const char *text = term_text(d, t);
  if (!text) return DP_ERR_MEMORY;
  return dpi_yaml_string(doc, map, "text", text, &t->text);
}

/* Terms under `limits` or `rewards`, appended to list. */
static dp_status read_terms(dpi_draft *d, const dpi_yaml_doc *doc, const char *key, dpi_goal goal,
                            dpi_kind_term *list, int *n) {
  const dpi_yaml *node = dpi_yaml_get(doc->root, key);
  if (!node) return DP_OK;
  if (node->type != DPI_YAML_SEQUENCE) return fail_node(doc, node, "a list of terms");
  for (const dpi_yaml *item = node->first; item; item = item->next) {
    DP_TRY(read_term(d, doc, item, goal, &list[*n]));
    for (int i = 0; i < *n; i++)
      if (strcmp(list[i].id, list[*n].id) == 0)
        return dpi_fail(d->ctx, DP_ERR_INPUT, "%s:%d: id '%s' occurs twice", doc->source,
                        item->line, list[i].id);
    (*n)++;
  }
  return DP_OK;
}

/* window: `interval` (0) or a length with its unit. */
static dp_status read_window(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  const char *text, *unit;
  DP_TRY(dpi_yaml_string(doc, doc->root, "window", "interval", &text));
  r->window = 0;
  if (strcmp(text, "interval") == 0) return DP_OK;
  const dpi_yaml *node = dpi_yaml_get(doc->root, "window");
  if (!number_and_unit(d->arena, text, &r->window, &unit) || !(r->window > 0))
    return fail_node(doc, node, "'interval' or a length with its unit, such as '24 h'");
  return convert(d, doc, node, unit, d->kind->time_unit, &r->window);
}

/* control: which row of controls.tsv is planned; may be left out when there is one. */
static dp_status read_planned(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  int n = d->kind->ncontrol;
  const char *word;
  if (n == 0)
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "%s: a reward needs a control to plan, but the kind has none", doc->source);
  DP_TRY(dpi_yaml_string(doc, doc->root, "control", n == 1 ? d->control[0].id : NULL, &word));
  const char **ids = DPI_ARENA_ARRAY(d->arena, const char *, n);
  if (!ids) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) ids[i] = d->control[i].id;
  const dpi_yaml *node = dpi_yaml_get(doc->root, "control");
  const char *where =
      dpi_arena_printf(d->arena, "%s:%d: control", doc->source, node ? node->line : 1);
  return dpi_draft_refer(d, where, "control of controls.tsv", word, ids, n, &r->control);
}

static dp_status read_reward(dpi_draft *d, const dpi_yaml_doc *doc, dpi_kind_reward *r) {
  static const char *const keys[] = {"control", "window", "residual", "confidence",
                                     "note",    "limits", "rewards"};
  DP_TRY(dpi_yaml_known(doc, doc->root, "reward.yaml", keys, DPI_COUNT(keys)));
  DP_TRY(read_planned(d, doc, r));
  DP_TRY(read_window(d, doc, r));
  DP_TRY(dpi_yaml_bool(doc, doc->root, "residual", false, &r->residual));
  DP_TRY(dpi_yaml_number(doc, doc->root, "confidence", 0.95, &r->confidence));
  if (!(r->confidence > 0.5 && r->confidence < 1))
    return fail_node(doc, dpi_yaml_get(doc->root, "confidence"), "a number between 0.5 and 1");
  DP_TRY(dpi_yaml_string(doc, doc->root, "note", "", &r->note));
  const dpi_yaml *limits = dpi_yaml_get(doc->root, "limits"),
                 *rewards = dpi_yaml_get(doc->root, "rewards");
  int room = (limits ? limits->count : 0) + (rewards ? rewards->count : 0);
  dpi_kind_term *list = DPI_ARENA_ARRAY(d->arena, dpi_kind_term, room + 1);
  if (!list) return DP_ERR_MEMORY;
  int n = 0;
  DP_TRY(read_terms(d, doc, "limits", DPI_GOAL_LIMIT, list, &n));
  DP_TRY(read_terms(d, doc, "rewards", DPI_GOAL_REWARD, list, &n));
  if (n == 0)
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: has no limits and no rewards", doc->source);
  r->term = list;
  r->nterm = n;
  r->given = true;
  return DP_OK;
}

dp_status dpi_draft_reward(dpi_draft *d) {
  const char *path;
  char *text;
  size_t size;
  DP_TRY(dpi_draft_file(d, "reward", false, true, &path, &text, &size));
  if (!text) return DP_OK;
  dpi_yaml_doc doc = {.ctx = d->ctx, .arena = d->arena, .source = path};
  dp_status status = dpi_yaml_parse(&doc, text, size);
  dpi_free(d->ctx, text);
  DP_TRY(status);
  return read_reward(d, &doc, &d->kind->reward);
}
