/* policy_twin_read.c - floor 7: the keys of `twin:` with moves (docs/trial.md) -> dpi_policy_horizon, complete and
 * checked; what the twin is not told of the person must be said to be `none`, so that nothing is forgotten by mistake.
 *
 *     observes: {g: cgm}     told: {meal: meal}     given: {basal_rate: basal, bolus: bolus}
 *     knows: {basal: basal_rate}
 *     moves: {basal_rate: {times: [0, 0.5, 1, 1.5, 2], of: basal_rate, hold: 1 h}}     decide: 15 min     look: 4 h
 */
#include "policy/policy_twin.h"

#include "kind/kind_find.h"
#include "num/num.h"

#include <math.h>
#include <string.h>

enum { most_levels = 1000, most_moves = 32, most_quantities = 64, most_ahead = 20000, most_repeats = 10000 };

typedef struct reader {
  dp_policy *p;
  const dpi_yaml_doc *doc;
  const dpi_yaml *map; /* twin: */
  dpi_policy_horizon *h;
  const dp_kind *kind; /* the twin's */
  int nextra;
  const char **param;
  double *value;
  int nquantity;
  dpi_kind_extra_quantity *quantity;
} reader;

static dp_status wrong(const reader *r, const dpi_yaml *node, const char *what, const char *expected) {
  const char *found = node && node->text ? node->text : "something else";
  return dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found '%.60s', expected %s", r->doc->source,
                  node ? node->line : r->map->line, what, found, expected);
}

static int find_name(const char *const *list, int n, const char *id) {
  for (int i = 0; i < n; i++)
    if (strcmp(list[i], id) == 0) return i;
  return -1;
}

static int find_covariate(const dp_kind *k, const char *id) {
  for (int i = 0; i < k->ncovariate; i++)
    if (strcmp(k->covariate[i].id, id) == 0) return i;
  return -1;
}

/* {local name: name in the twin's kind}; every key must be one of list. *text stays `fallback` where there is no
 * entry. */
static dp_status names_map(const reader *r, const char *key, const char *const *list, int n, const dpi_yaml **out) {
  const dpi_yaml *map = *out = dpi_yaml_get(r->map, key);
  if (!map) return DP_OK;
  if (map->type != DPI_YAML_MAP) return wrong(r, map, key, "{name: name in the twin's kind, ...}");
  for (const dpi_yaml *e = map->first; e; e = e->next)
    if (!e->text || find_name(list, n, e->key) < 0)
      return dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: %s: '%s' is no name of this policy's, or is given no word",
                      r->doc->source, e->line, key, e->key);
  return DP_OK;
}

static bool is_none(const char *text) { return strcmp(text, "none") == 0; }

/* Factor between units; texts that are the same need no meaning. */
static dp_status factor_between(const reader *r, const char *what, const char *from, const char *to, double molar_mass,
                                double *out) {
  *out = 1;
  if (!*from || !*to || strcmp(from, to) == 0) return DP_OK;
  if (dp_unit_convert(r->doc->ctx, 1, from, to, molar_mass, out) == DP_OK) return DP_OK;
  dp_ctx_clear_error(r->doc->ctx);
  return dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: '%s' counts in %s, which does not convert to the twin's %s",
                  r->doc->source, r->map->line, what, from, to);
}

/* ---- what is known of the person ---- */

static dp_status read_observes(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *map;
  DP_TRY(names_map(r, "observes", p->desc.read, p->desc.nread, &map));
  r->h->observed = DPI_ARENA_ARRAY(&p->arena, int, p->desc.nread + 1);
  r->h->offset = DPI_ARENA_ARRAY(&p->arena, int, p->desc.nread + 1);
  if (!r->h->observed || !r->h->offset) return DP_ERR_MEMORY;
  int n = 0;
  for (int i = 0; i < p->desc.nread; i++) {
    const dpi_yaml *e = map ? dpi_yaml_get(map, p->desc.read[i]) : NULL;
    const bool measured = p->observable[i] >= 0;
    const char *id = e ? e->text : measured ? p->desc.read_of[i] : "none";
    const int o = r->h->observed[i] = is_none(id) ? -1 : dpi_kind_find_observable(r->kind, id);
    r->h->offset[i] = -1;
    if (is_none(id)) continue;
    if (o < 0)
      return dpi_fail(r->doc->ctx, DP_ERR_INPUT,
                      "%s:%d: observes: '%s' is no observable of the twin's kind; expected %s: one of them, or none",
                      r->doc->source, r->map->line, id, p->desc.read[i]);
    const char *unit = measured ? p->kind->observable[p->observable[i]].unit : p->kind->quantity[p->quantity[i]].unit;
    double factor;
    DP_TRY(factor_between(r, p->desc.read[i], unit, r->kind->observable[o].unit, r->kind->observable[o].molar_mass,
                          &factor));
    if (fabs(factor - 1) > 1e-12) return wrong(r, e, p->desc.read[i], "an observable in the same unit");
    n++;
  }
  return n ? DP_OK : wrong(r, r->map, "observes", "at least one reading that the twin's kind observes");
}

/* Unit in which something is announced: "carbs g". */
static const char *announced_unit(const reader *r, int k) {
  const dpi_yaml *map = dpi_yaml_get(r->doc->root, "announces"),
                 *e = map ? dpi_yaml_get(map, r->p->desc.announce[k]) : NULL;
  const char *unit = e && e->text ? strchr(e->text, ' ') : NULL;
  while (unit && *unit == ' ') unit++;
  const int c = dpi_kind_find_control(r->p->kind, r->p->desc.announce_of[k]);
  return unit && *unit ? unit : c >= 0 ? r->p->kind->control[c].unit : "";
}

/* One control that the announcement k is told to. */
static dp_status add_told(reader *r, int k, const dpi_yaml *at, const char *id) {
  const int c = id ? dpi_kind_find_control(r->kind, id) : -1;
  if (c < 0)
    return dpi_fail(
        r->doc->ctx, DP_ERR_INPUT,
        "%s:%d: told: '%s' is no control of the twin's kind; expected %s: one of them, a list of them, or none",
        r->doc->source, at->line, id ? id : "", r->p->desc.announce[k]);
  dpi_policy_told *t = &r->h->told[r->h->ntold++];
  *t = (dpi_policy_told){.announce = k, .control = c};
  return factor_between(r, r->p->desc.announce[k], announced_unit(r, k), r->kind->control[c].unit,
                        r->kind->control[c].molar_mass, &t->factor);
}

/* What was told from `first` on, of one announcement: with each control also the one that belongs with it. */
static dp_status check_together(const reader *r, int first, const dpi_yaml *at) {
  for (int i = first; i < r->h->ntold; i++) {
    const int with = r->kind->control[r->h->told[i].control].with;
    bool there = with < 0;
    for (int j = first; j < r->h->ntold; j++) there = there || r->h->told[j].control == with;
    if (!there)
      return dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: told: '%s' alone, expected '%s' beside it, which belongs with it",
                      r->doc->source, at->line, r->kind->control[r->h->told[i].control].id, r->kind->control[with].id);
  }
  return DP_OK;
}

/* told: {meal: carbs} or {meal: [first_part, second_part]}, each the whole amount: shares are the kind's. */
static dp_status read_told(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *map = dpi_yaml_get(r->map, "told");
  int room = p->desc.nannounce;
  if (map && map->type != DPI_YAML_MAP) return wrong(r, map, "told", "{announced: control of the twin's kind}");
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    if (e->type == DPI_YAML_MAP || find_name(p->desc.announce, p->desc.nannounce, e->key) < 0)
      return wrong(r, e, e->key, "a name of `announces`, and a control or a list of them");
    room += e->count;
  }
  if (!(r->h->told = DPI_ARENA_ARRAY(&p->arena, dpi_policy_told, room + 1))) return DP_ERR_MEMORY;
  for (int k = 0; k < p->desc.nannounce; k++) {
    const dpi_yaml *e = map ? dpi_yaml_get(map, p->desc.announce[k]) : NULL;
    if (e && e->text && is_none(e->text)) continue;
    if (!e || e->text) DP_TRY(add_told(r, k, e ? e : r->map, e ? e->text : p->desc.announce_of[k]));
    const int first = r->h->ntold - (!e || e->text);
    for (const dpi_yaml *x = e ? e->first : NULL; x; x = x->next) DP_TRY(add_told(r, k, x, x->text));
    DP_TRY(check_together(r, first, e ? e : r->map));
  }
  return DP_OK;
}

/* Unit and bounds of what the policy gives, in the person's kind. */
static const char *gift_of(const dp_kind *k, const char *give, dpi_policy_gift *g) {
  const int c = dpi_kind_find_control(k, give), v = find_covariate(k, give);
  *g = (dpi_policy_gift){
      .control = -1, .covariate = -1, .factor = 1, .low = -INFINITY, .high = INFINITY, .dose = c >= 0};
  if (c >= 0) {
    g->low = 0;
    g->high = k->control[c].upper;
    return k->control[c].unit;
  }
  if (v >= 0) {
    g->low = k->covariate[v].lower;
    g->high = k->covariate[v].upper;
    return k->covariate[v].unit;
  }
  for (int i = 0; i < k->nparam; i++)
    if (strcmp(k->param[i].id, give) == 0) {
      g->low = k->param[i].lower;
      g->high = k->param[i].upper;
      return k->param[i].unit;
    }
  return "";
}

static dp_status read_given(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *map;
  DP_TRY(names_map(r, "given", p->desc.give, p->desc.ngive, &map));
  r->h->gift = DPI_ARENA_ARRAY(&p->arena, dpi_policy_gift, p->desc.ngive + 1);
  if (!r->h->gift) return DP_ERR_MEMORY;
  for (int i = 0; i < p->desc.ngive; i++) {
    dpi_policy_gift *g = &r->h->gift[i];
    const dpi_yaml *e = map ? dpi_yaml_get(map, p->desc.give[i]) : NULL;
    const char *unit = gift_of(p->kind, p->desc.give[i], g), *id = e ? e->text : p->desc.give[i], *to;
    if (is_none(id)) continue;
    const int c = g->dose ? dpi_kind_find_control(r->kind, id) : -1, v = g->dose ? -1 : find_covariate(r->kind, id);
    g->control = c;
    g->covariate = v;
    if (c < 0 && v < 0)
      return dpi_fail(r->doc->ctx, DP_ERR_INPUT,
                      "%s:%d: given: '%s' is no %s of the twin's kind; expected %s: one of them, or none",
                      r->doc->source, r->map->line, id, g->dose ? "control" : "covariate", p->desc.give[i]);
    if (v >= 0 && (r->kind->covariate[v].convention != DPI_LOCF || r->kind->covariate[v].occasion))
      return dpi_fail(r->doc->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: given: covariate '%s' does not hold from its row on (locf)", r->doc->source, r->map->line,
                      id);
    to = c >= 0 ? r->kind->control[c].unit : r->kind->covariate[v].unit;
    DP_TRY(factor_between(r, p->desc.give[i], unit, to, c >= 0 ? r->kind->control[c].molar_mass : 0, &g->factor));
    if (c >= 0) g->high = fmin(g->high, r->kind->control[c].upper / g->factor);
    if (v >= 0) g->low = fmax(g->low, r->kind->covariate[v].lower / g->factor);
    if (v >= 0) g->high = fmin(g->high, r->kind->covariate[v].upper / g->factor);
  }
  return DP_OK;
}

static dp_status read_knows(reader *r) {
  dp_policy *p = r->p;
  const dp_kind *k = r->kind;
  const dpi_yaml *map = dpi_yaml_get(r->map, "knows");
  r->h->known = DPI_ARENA_ARRAY(&p->arena, int, k->ncovariate + 1);
  if (!r->h->known) return DP_ERR_MEMORY;
  if (map && map->type != DPI_YAML_MAP) return wrong(r, map, "knows", "{covariate: number of a person}");
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next)
    if (!e->text || find_covariate(k, e->key) < 0 || find_name(p->desc.person, p->desc.nperson, e->text) < 0)
      return wrong(r, e, e->key, "a covariate of the twin's kind, and a name of `person` for it");
  for (int i = 0; i < k->ncovariate; i++) {
    const dpi_kind_covariate *v = &k->covariate[i];
    const dpi_yaml *e = map ? dpi_yaml_get(map, v->id) : NULL;
    const int n = r->h->known[i] = find_name(p->desc.person, p->desc.nperson, e ? e->text : v->id);
    if (v->occasion)
      return dpi_fail(r->doc->ctx, DP_ERR_UNSUPPORTED, "%s:%d: twin: a kind with occasions", r->doc->source,
                      r->map->line);
    if (n < 0 && v->sim_param >= 0 && v->missing != DPI_MISSING_VALUE)
      return dpi_fail(r->doc->ctx, DP_ERR_INPUT,
                      "%s:%d: knows: the twin's kind needs '%s': name it under `person`, or knows: {%s: ...}",
                      r->doc->source, r->map->line, v->id, v->id);
    const int own = n >= 0 ? find_covariate(p->kind, p->desc.person[n]) : -1;
    if (own >= 0 && strcmp(p->kind->covariate[own].unit, v->unit) != 0)
      return dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: knows: %s counts in %s, the person's %s in %s", r->doc->source,
                      r->map->line, v->id, v->unit, p->desc.person[n], p->kind->covariate[own].unit);
  }
  for (int i = 0; i < k->neffect; i++)
    if (k->effect[i].occasion)
      return dpi_fail(r->doc->ctx, DP_ERR_UNSUPPORTED, "%s:%d: twin: a kind with occasions", r->doc->source,
                      r->map->line);
  return DP_OK;
}

/* ---- moves ---- */

static dp_status read_levels(reader *r, const dpi_yaml *e, dpi_policy_move *m) {
  const dpi_yaml *times = dpi_yaml_get(e, "times"), *levels = dpi_yaml_get(e, "levels"), *list = times ? times : levels;
  DP_TRY(dpi_yaml_number(r->doc, e, "lower", 0, &m->lower));
  DP_TRY(dpi_yaml_number(r->doc, e, "upper", 0, &m->upper));
  DP_TRY(dpi_yaml_number(r->doc, e, "step", 0, &m->step));
  const bool range = dpi_yaml_get(e, "upper") != NULL;
  if ((times != NULL) + (levels != NULL) + range != 1)
    return wrong(r, e, e->key, "one of times: [...], levels: [...], or lower and upper");
  if (range) return m->lower < m->upper && m->step >= 0 ? DP_OK : wrong(r, e, e->key, "lower < upper, step >= 0");
  if (dpi_yaml_get(e, "lower") || dpi_yaml_get(e, "step"))
    return wrong(r, e, e->key, "lower and step only beside upper");
  if (list->type != DPI_YAML_SEQUENCE || list->count < 1 || list->count > most_levels)
    return wrong(r, list, e->key, "a list of 1 to 1000 numbers");
  double *level = DPI_ARENA_ARRAY(&r->p->arena, double, list->count);
  if (!level) return DP_ERR_MEMORY;
  for (const dpi_yaml *x = list->first; x; x = x->next)
    if (!x->text || !dpi_parse_double(x->text, &level[m->n++])) return wrong(r, x, e->key, "a number");
  m->level = level;
  m->lower = m->upper = level[0];
  return DP_OK;
}

/* A level that is no multiple of a person's number lies within the bounds. */
static dp_status check_level(reader *r, const dpi_yaml *e, const dpi_policy_move *m, double x) {
  const dpi_policy_gift *g = &r->h->gift[m->give];
  if (m->of >= 0 ? !(x < 0 && g->low >= 0) : x >= g->low && x <= g->high) return DP_OK;
  return dpi_fail(r->doc->ctx, DP_ERR_INPUT, "%s:%d: %s: found the level %g, expected %g to %g", r->doc->source,
                  e->line, e->key, x, g->low, g->high);
}

static dp_status check_bounds(reader *r, const dpi_yaml *e, const dpi_policy_move *m) {
  for (int i = 0; i < (m->n ? m->n : 2); i++)
    DP_TRY(check_level(r, e, m, m->n ? m->level[i] : i ? m->upper : m->lower));
  return DP_OK;
}

static dp_status time_of(reader *r, const dpi_yaml *map, const char *key, double fallback, double *out) {
  DP_TRY(dpi_policy_yaml_quantity(r->doc, map, key, r->p->kind->time_unit, fallback, out));
  if (*out >= 0 && *out < 1e8) return DP_OK;
  return dpi_yaml_get(map, key) ? wrong(r, dpi_yaml_get(map, key), key, "a time from 0 to 1e8 units") : DP_OK;
}

static bool is_multiple(double x, double of) { return fabs(x / of - floor(x / of + 0.5)) < 1e-9 * fmax(1, x / of); }

static dp_status read_move(reader *r, const dpi_yaml *e, dpi_policy_move *m) {
  static const char *const keys[] = {"times", "levels", "lower", "upper", "step", "of", "hold", "then", "repeat"};
  const dp_policy *p = r->p;
  const char *of;
  if (e->type != DPI_YAML_MAP)
    return wrong(r, e, e->key, "{times: [...], of: ...} or {levels: [...]} or {lower:, upper:}");
  DP_TRY(dpi_yaml_known(r->doc, e, "a move", keys, DPI_COUNT(keys)));
  m->give = find_name(p->desc.give, p->desc.ngive, e->key);
  if (m->give < 0) return wrong(r, e, e->key, "a name of `gives`");
  const dpi_policy_gift *g = &r->h->gift[m->give];
  if (g->control < 0 && g->covariate < 0) return wrong(r, e, e->key, "a gift that the twin's kind knows");
  if (g->control >= 0 && r->kind->control[g->control].reset_state >= 0)
    return wrong(r, e, e->key, "no control that resets a state");
  if (g->covariate >= 0 && r->kind->covariate[g->covariate].sim_param < 0)
    return wrong(r, e, e->key, "a covariate that the twin's model uses");
  DP_TRY(dpi_yaml_string(r->doc, e, "of", "", &of));
  m->of = *of ? find_name(p->desc.person, p->desc.nperson, of) : -1;
  if (*of && m->of < 0) return wrong(r, dpi_yaml_get(e, "of"), "of", "a name of `person`");
  if ((dpi_yaml_get(e, "times") != NULL) > (m->of >= 0))
    return wrong(r, e, e->key, "of: what levels are times of, beside times");
  DP_TRY(read_levels(r, e, m));
  DP_TRY(check_bounds(r, e, m));
  DP_TRY(time_of(r, e, "hold", r->h->look, &m->hold));
  DP_TRY(time_of(r, e, "repeat", 0, &m->repeat));
  if (!(m->hold > 0)) return wrong(r, e, "hold", "a time > 0");
  if (g->dose ? dpi_yaml_get(e, "then") != NULL : m->repeat > 0)
    return wrong(r, e, e->key, "repeat with a dose, then with a parameter, and not the other way round");
  if (m->repeat > 0 && !is_multiple(m->repeat, p->desc.every)) return wrong(r, e, "repeat", "a multiple of `every`");
  if (m->repeat > 0 && fmin(m->hold, r->h->look) / m->repeat > most_repeats)
    return wrong(r, e, "repeat", "at most 10000 doses in `hold` and `look`");
  DP_TRY(dpi_yaml_number(r->doc, e, "then", g->dose ? 0 : m->of >= 0 ? 1 : NAN, &m->then));
  if (!g->dose) DP_TRY(check_level(r, e, m, m->then));
  m->safe = NAN;
  return DP_OK;
}

static dp_status read_moves(reader *r) {
  const dpi_yaml *moves = dpi_yaml_get(r->map, "moves"), *safe = dpi_yaml_get(r->map, "safe");
  if (moves->type != DPI_YAML_MAP || moves->count < 1 || moves->count > most_moves)
    return wrong(r, moves, "moves", "{gift: {times: [...], of: ...}, ...}, 1 to 32");
  r->h->move = DPI_ARENA_ARRAY(&r->p->arena, dpi_policy_move, moves->count);
  if (!r->h->move) return DP_ERR_MEMORY;
  for (const dpi_yaml *e = moves->first; e; e = e->next) {
    dpi_policy_move *m = &r->h->move[r->h->nmove];
    DP_TRY(read_move(r, e, m));
    for (int i = 0; i < r->h->nmove; i++)
      if (r->h->move[i].give == m->give) return wrong(r, e, e->key, "each gift once");
    r->h->nmove++;
    const dpi_yaml *s = safe && safe->type == DPI_YAML_MAP ? dpi_yaml_get(safe, e->key) : NULL;
    if (safe && (!s || !s->text || !dpi_parse_double(s->text, &m->safe)))
      return wrong(r, safe, "safe", "{gift: level} for every move, in the moves' own words");
    if (safe) DP_TRY(check_level(r, s, m, m->safe));
  }
  r->h->safe = safe != NULL;
  if (safe && safe->count != r->h->nmove) return wrong(r, safe, "safe", "the moves, and nothing else");
  return DP_OK;
}

/* ---- when, how far, how ---- */

static dp_status read_correct(reader *r) {
  const char *text;
  DP_TRY(dpi_yaml_string(r->doc, r->map, "correct", "none", &text));
  const dpi_yaml *n = dpi_yaml_get(r->map, "correct");
  r->h->share = 1;
  r->h->correct = is_none(text)                   ? DPI_CORRECT_NOT
                  : strcmp(text, "reweight") == 0 ? DPI_CORRECT_REWEIGHT
                                                  : DPI_CORRECT_OFFSET;
  if (r->h->correct == DPI_CORRECT_OFFSET) {
    if (strncmp(text, "offset", 6) != 0)
      return wrong(r, n, "correct", "none, reweight, or offset and a share (offset 0.5)");
    const char *share = text + 6 + strspn(text + 6, " ");
    if (*share && (!dpi_parse_double(share, &r->h->share) || !(r->h->share > 0) || r->h->share > 1))
      return wrong(r, n, "correct", "offset and a share of over 0 to 1");
  }
  for (int i = 0; i < r->p->desc.nread && r->h->correct == DPI_CORRECT_REWEIGHT; i++)
    if (r->h->observed[i] >= 0 && r->kind->observable[r->h->observed[i]].noise_timescale > 0)
      return dpi_fail(r->doc->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: correct: reweight takes readings for independent; the errors of '%s' last",
                      r->doc->source, n->line, r->kind->observable[r->h->observed[i]].id);
  return DP_OK;
}

static dp_status read_times(reader *r) {
  const double every = r->p->desc.every;
  dpi_policy_horizon *h = r->h;
  const char *update;
  DP_TRY(time_of(r, r->map, "decide", every, &h->decide));
  DP_TRY(time_of(r, r->map, "look", NAN, &h->look));
  DP_TRY(time_of(r, r->map, "readings", 0, &h->thin));
  DP_TRY(time_of(r, r->map, "remember", INFINITY, &h->remember));
  DP_TRY(dpi_yaml_string(r->doc, r->map, "update", "each", &update));
  h->update = strcmp(update, "never") == 0 ? INFINITY : h->decide;
  if (strcmp(update, "never") != 0 && strcmp(update, "each") != 0)
    DP_TRY(time_of(r, r->map, "update", NAN, &h->update));
  if (!(h->look > 0)) return wrong(r, dpi_yaml_get(r->map, "look"), "look", "a time > 0");
  if (!(h->decide > 0) || !is_multiple(h->decide, every) || !is_multiple(r->p->twin.wait, every))
    return wrong(r, r->map, "decide, wait", "multiples of `every`");
  return dpi_yaml_int(r->doc, r->map, "evaluations", 200, 1, most_ahead, &h->evaluations);
}

/* ---- the twin's kind with what the file adds ---- */

static const char *observable_formula(const reader *r, int o) {
  const dp_output_def *d = &r->kind->sim_def.output[r->kind->observable[o].value_output];
  return d->formula ? d->formula : d->id;
}

static dp_status put_quantity(reader *r, const char *id, const char *formula, const char *unit, int line) {
  const char *where = dpi_arena_printf(&r->p->arena, "%s:%d: %s", r->doc->source, line, id);
  if (!where || !formula) return DP_ERR_MEMORY;
  r->quantity[r->nquantity++] = (dpi_kind_extra_quantity){id, formula, unit, where};
  return DP_OK;
}

/* Readings as quantities: what the model says of them and, where draws keep one, the offset. */
static dp_status add_readings(reader *r, const char **name, const char **formula) {
  const dp_policy_desc *d = &r->p->desc;
  int n = 0;
  for (int i = 0; i < d->nread; i++) {
    const int o = r->h->observed[i];
    if (o < 0) continue;
    const bool offset = r->h->correct == DPI_CORRECT_OFFSET;
    name[n] = d->read[i];
    formula[n] = observable_formula(r, o);
    if (offset) {
      const char *id = dpi_arena_printf(&r->p->arena, "offset_%s", d->read[i]);
      if (!id) return DP_ERR_MEMORY;
      r->param[r->nextra] = id;
      r->value[r->nextra++] = 0;
      formula[n] = dpi_arena_printf(&r->p->arena, "(%s) + %s", formula[n], id);
    }
    if (offset || dpi_kind_find_quantity(r->kind, d->read[i]) < 0)
      DP_TRY(put_quantity(r, d->read[i], formula[n], r->kind->observable[o].unit, r->map->line));
    n++;
  }
  return DP_OK;
}

/* quantities: {risk: {formula: "...", unit: "1"}} over readings and the twin's model. */
static dp_status add_quantities(reader *r, const dpi_yaml *map, const char *const *name, const char *const *formula) {
  static const char *const keys[] = {"formula", "unit"};
  int n = 0;
  while (name[n]) n++;
  for (const dpi_yaml *e = map ? map->first : NULL; e; e = e->next) {
    const char *text, *unit;
    if (!dpi_policy_name(e->key))
      return wrong(r, e, e->key, "a name of letters, digits and _ that is no word of formulas");
    DP_TRY(dpi_yaml_known(r->doc, e, "a quantity", keys, 2));
    DP_TRY(dpi_yaml_string(r->doc, e, "formula", NULL, &text));
    DP_TRY(dpi_yaml_string(r->doc, e, "unit", NULL, &unit));
    DP_TRY(dpi_policy_replace(r->doc->ctx, &r->p->arena, text, name, formula, n, &text));
    DP_TRY(put_quantity(r, e->key, text, unit, e->line));
  }
  return DP_OK;
}

static dp_status load_ahead(reader *r) {
  dp_policy *p = r->p;
  const dpi_yaml *map = dpi_yaml_get(r->map, "quantities");
  const bool own = dpi_yaml_get(r->map, "rewards") || dpi_yaml_get(r->map, "limits");
  const int nread = p->desc.nread;
  if (map && (map->type != DPI_YAML_MAP || map->count > most_quantities))
    return wrong(r, map, "quantities", "{name: {formula:, unit:}}, at most 64");
  if (!own && !r->kind->reward.given)
    return wrong(r, r->map, "rewards", "rewards or limits: the twin's kind has no reward.yaml");
  r->param = DPI_ARENA_ARRAY(&p->arena, const char *, nread + 1);
  r->value = DPI_ARENA_ARRAY(&p->arena, double, nread + 1);
  r->quantity = DPI_ARENA_ARRAY(&p->arena, dpi_kind_extra_quantity, nread + (map ? map->count : 0) + 1);
  const char **name = DPI_ARENA_ARRAY(&p->arena, const char *, nread + 1),
             **formula = DPI_ARENA_ARRAY(&p->arena, const char *, nread + 1);
  if (!r->param || !r->value || !r->quantity || !name || !formula) return DP_ERR_MEMORY;
  DP_TRY(add_readings(r, name, formula));
  DP_TRY(add_quantities(r, map, name, formula));
  dpi_yaml_doc aims = *r->doc;
  aims.root = r->map;
  const dpi_kind_extra extra = {.nparam = r->nextra,
                                .param = r->param,
                                .value = r->value,
                                .nquantity = r->nquantity,
                                .quantity = r->quantity,
                                .reward = own ? &aims : NULL,
                                /* many members, again and again: in lanes where that can be */
                                .method = strcmp(r->kind->sim_def.method, "auto") == 0 ? "ensemble" : NULL};
  DP_TRY(dpi_kind_load_with(p->ctx, r->kind->dir, &extra, &r->h->ahead));
  for (int i = 0, k = 0; i < nread && r->h->correct == DPI_CORRECT_OFFSET; i++)
    if (r->h->observed[i] >= 0) r->h->offset[i] = dp_sim_param(r->h->ahead->sim, r->param[k++]);
  return DP_OK;
}

/* Can so many draws hold the limit at all, with not one of them against it? Do terms lie within the look ahead? */
static dp_status check_terms(reader *r) {
  const dp_kind *k = r->h->ahead;
  for (int t = 0; t < k->reward.nterm; t++) {
    const dpi_kind_term *m = &k->reward.term[t];
    double low, high;
    if (m->of == DPI_OF_INTERVAL) return wrong(r, r->map, m->id, "terms that moves have: none about an interval");
    if (m->windowed && m->to > r->h->look) return wrong(r, r->map, m->id, "a window within `look`");
    if (m->goal != DPI_GOAL_LIMIT) continue;
    dpi_binomial_bounds(0, r->p->twin.draws, 2 * k->reward.confidence - 1, &low, &high);
    if (high > (m->at_least ? 1 - m->probability : m->probability))
      return dpi_fail(
          r->doc->ctx, DP_ERR_INPUT,
          "%s:%d: limit '%s' can't hold with %d draws at confidence %g: not one against it leaves %.3g possible; "
          "more draws, or another probability",
          r->doc->source, r->map->line, m->id, r->p->twin.draws, k->reward.confidence, high);
  }
  return DP_OK;
}

dp_status dpi_horizon_read(dp_policy *p, const dpi_yaml_doc *doc, const dpi_yaml *map) {
  reader r = {.p = p, .doc = doc, .map = map, .kind = p->twin.kind ? p->twin.kind : p->kind};
  r.h = p->twin.horizon = DPI_ARENA_NEW(&p->arena, dpi_policy_horizon);
  if (!r.h) return DP_ERR_MEMORY;
  DP_TRY(read_times(&r));
  DP_TRY(read_observes(&r));
  DP_TRY(read_told(&r));
  DP_TRY(read_given(&r));
  DP_TRY(read_knows(&r));
  DP_TRY(read_moves(&r));
  DP_TRY(read_correct(&r));
  DP_TRY(load_ahead(&r));
  return check_terms(&r);
}

void dpi_horizon_release(dp_policy *p) {
  if (!p->twin.horizon) return;
  dp_kind_destroy(p->twin.horizon->ahead);
  p->twin.horizon->ahead = NULL;
}
