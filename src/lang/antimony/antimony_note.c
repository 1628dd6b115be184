/* antimony_note.c - floor 3: what changes no equation: names for people, sources, authors, uncertainty, drawing;
 * and units. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/antimony/antimony_words.h"

static bool in_list(const char *word, const char *const *list) {
  for (; *list != NULL; list++)
    if (strcmp(word, *list) == 0) return true;
  return false;
}

/* ---- x.word = ... ---- */
static const char *const uncertainty[] = {"mean",
                                          "standardDeviation",
                                          "stdev",
                                          "stdDev",
                                          "variance",
                                          "skewness",
                                          "kurtosis",
                                          "median",
                                          "mode",
                                          "interquartileRange",
                                          "confidenceInterval",
                                          "credibleInterval",
                                          "coefficientOfVariation",
                                          "range",
                                          "standardError",
                                          "distribution",
                                          "externalParameter",
                                          "sampleSize",
                                          "CV",
                                          "CI",
                                          NULL};
static const char *const terms[] = {
    "sboTerm", "SBOTERM", "sboterm", "SBOterm",         "SBO",        "geneProductAssociation",
    "gpa",     "charge",  "formula", "chemicalFormula", "kineticLaw", NULL};
static const char *const drawing[] = {
    "layout",    "autolayout", "pos",           "position",   "size",     "width",     "height",      "color",
    "fill",      "fillColor",  "font",          "fontColor",  "fontSize", "fontStyle", "fontWeight",  "line",
    "lineColor", "lineWidth",  "lineThickness", "style",      "shape",    "textbox",   "species_end", "rxn_end",
    "b1",        "b2",         "render",        "background", "arc1",     "arc2",      "arc3",        "arc4",
    "seg1",      "seg2",       "seg3",          "x",          "y",        NULL};

bool dpi_ant_is_attribute(const char *word) {
  return in_list(word, uncertainty) || in_list(word, terms) || in_list(word, drawing);
}

static dp_status keep(ant_reader *r, int var, const char *key, int n, const char **value) {
  ant_note note = {.var = var, .scope = r->scope, .key = dpi_arena_strdup(&r->arena, key), .nvalue = n, .value = value};
  if (note.key == NULL) return DP_ERR_MEMORY;
  ANT_PUSH(r, note, note);
  return DP_OK;
}

static dp_status keep_text(ant_reader *r, int var, const char *key, const char *text) {
  const char **value = DPI_ARENA_ARRAY(&r->net->arena, const char *, 1);
  if (value == NULL || text == NULL) return DP_ERR_MEMORY;
  value[0] = text;
  return keep(r, var, key, 1, value);
}

/* S.charge = 3; S.formula = "H2O" */
static dp_status fbc_word(ant_reader *r, int var, const char *word, int from, int to) {
  ant_var *v = ANT_ROOT(r, var);
  const dpi_tok *last = &r->p.tok[to - 1];
  if (strcmp(word, "charge") == 0) {
    v->charge = last->kind == DPI_TOK_NUM ? last->num : NAN;
    if (to - from == 2 && r->p.tok[from].kind == '-') v->charge = -v->charge;
    return DP_OK;
  }
  if (last->kind != DPI_TOK_STRING) return expected(r, "a formula in quotes");
  v->formula = dpi_net_text(r->net, last->text);
  return v->formula == NULL ? DP_ERR_MEMORY : DP_OK;
}

/* behind x.word */
dp_status dpi_ant_attribute(ant_reader *r, int var, const char *word) {
  int end = dpi_ant_statement_end(r, r->p.pos), from = r->p.pos;
  char key[80];
  if (in_list(word, drawing)) {
    r->p.pos = end;
    return DP_OK;
  }
  if (strcmp(word, "kineticLaw") == 0) { /* J.kineticLaw.sboTerm, J.kineticLaw identity "..." */
    if (!take(r, '.')) return dpi_ant_note(r, var);
    const dpi_tok *t = next(r);
    if (t->kind != DPI_TOK_ID) return expected(r, "what is said of the rate law");
    snprintf(key, sizeof key, "kineticLaw.%.60s", t->text);
    word = key;
    from = r->p.pos;
  }
  if (!take(r, '=') && !dpi_ant_take_word(r, "is")) {
    dpi_ant_skip(r); /* species a.sboTerm */
    return r->p.pos > from ? dpi_infix_fail(&r->p, &r->p.tok[from], DP_ERR_INPUT, "expected '=' behind '.%s'", word)
                           : DP_OK;
  }
  from = r->p.pos;
  r->p.pos = end;
  if (end == from) return DP_OK;
  if (var >= 0 && (strcmp(word, "charge") == 0 || strcmp(word, "formula") == 0 || strcmp(word, "chemicalFormula") == 0))
    return fbc_word(r, var, word, from, end);
  if (strncmp(word, "sbo", 3) == 0 || strncmp(word, "SBO", 3) == 0) { /* 27, SBO:0000027 */
    const dpi_tok *last = &r->p.tok[end - 1];
    if (last->kind != DPI_TOK_NUM || !(last->num >= 0 && last->num <= 9999999.0))
      return dpi_infix_fail(&r->p, last, DP_ERR_INPUT, "expected the number of an SBO term");
    char sbo[16];
    snprintf(sbo, sizeof sbo, "SBO:%07d", (int)last->num);
    return keep_text(r, var, "sbo", dpi_net_text(r->net, sbo));
  }
  return keep_text(r, var, word, dpi_ant_text(r, from, end));
}

/* ---- x word "..." ---- */
static const char *const sources[] = {"identity",
                                      "biological_entity_is",
                                      "hasPart",
                                      "part",
                                      "isPartOf",
                                      "parthood",
                                      "isVersionOf",
                                      "hypernym",
                                      "hasVersion",
                                      "version",
                                      "isHomologTo",
                                      "homolog",
                                      "isDescribedBy",
                                      "description",
                                      "isEncodedBy",
                                      "encoder",
                                      "encodes",
                                      "encodement",
                                      "occursIn",
                                      "container",
                                      "hasProperty",
                                      "property",
                                      "isPropertyOf",
                                      "propertyBearer",
                                      "hasTaxon",
                                      "taxon",
                                      "notes",
                                      "model_entity_is",
                                      "origin",
                                      "derivation",
                                      "isDerivedFrom",
                                      "instance",
                                      "hasInstance",
                                      "isInstanceOf",
                                      "class",
                                      "bioentity",
                                      "model_source",
                                      "isRelatedTo",
                                      NULL};

static bool is_author_word(const char *s) {
  return strncmp(s, "created", 7) == 0 || strncmp(s, "modified", 8) == 0 || strncmp(s, "creator", 7) == 0;
}

bool dpi_ant_is_note(ant_reader *r) {
  const dpi_tok *t = peek(r), *second = ahead(r, 1);
  if (t->kind != DPI_TOK_ID) return false;
  if (says(t, "is")) return second->kind == DPI_TOK_STRING;
  if (in_list(t->text, sources))
    return second->kind == DPI_TOK_STRING || second->kind == DPI_TOK_NEWLINE || second->kind == '.';
  if (is_author_word(t->text))
    return second->kind == DPI_TOK_STRING || second->kind == '.' || second->kind == DPI_TOK_NUM;
  return second->kind == DPI_TOK_STRING; /* any other relation of a newer version */
}

static dp_status set_display(ant_reader *r, int var, const char *text) {
  const char *copy = dpi_net_text(r->net, text);
  if (copy == NULL) return DP_ERR_MEMORY;
  if (var >= 0)
    ANT_ROOT(r, var)->display = copy;
  else if (r->scope == 0)
    r->net->name = copy;
  return DP_OK;
}

/* behind x: is "name", identity "a", "b", created.year 2019 */
dp_status dpi_ant_note(ant_reader *r, int var) {
  const dpi_tok *t = next(r);
  char key[80];
  if (t->kind != DPI_TOK_ID) {
    r->p.pos--;
    return expected(r, "'is' and a name, or an annotation");
  }
  snprintf(key, sizeof key, "%.70s", t->text);
  if (take(r, '.')) {
    const dpi_tok *sub = next(r);
    if (sub->kind == DPI_TOK_ID && strlen(sub->text) < 40) snprintf(key, sizeof key, "%.30s.%.40s", t->text, sub->text);
  }
  if (strcmp(key, "is") == 0 && peek(r)->kind == DPI_TOK_STRING) {
    /* attributes such as externalParameter is "..." come through dpi_ant_attribute */
    const char *text = next(r)->text;
    return set_display(r, var, text);
  }
  int from = r->p.pos, end = dpi_ant_statement_end(r, from), n = 0;
  const char **value = DPI_ARENA_ARRAY(&r->net->arena, const char *, end - from + 1);
  if (value == NULL) return DP_ERR_MEMORY;
  for (int i = from; i < end; i++) {
    const dpi_tok *v = &r->p.tok[i];
    if (v->kind != DPI_TOK_STRING && v->kind != DPI_TOK_NUM && v->kind != DPI_TOK_ID) continue;
    if ((value[n++] = dpi_net_text(r->net, v->text)) == NULL) return DP_ERR_MEMORY;
  }
  r->p.pos = end;
  return keep(r, var, key, n, value);
}

/* ---- units ---- */
static const char *const base_units[] = {
    "ampere",   "avogadro", "becquerel", "candela", "celsius", "coulomb", "dimensionless", "farad",
    "gram",     "gray",     "henry",     "hertz",   "item",    "joule",   "katal",         "kelvin",
    "kilogram", "liter",    "litre",     "lumen",   "lux",     "meter",   "metre",         "mole",
    "newton",   "ohm",      "pascal",    "radian",  "second",  "siemens", "sievert",       "steradian",
    "tesla",    "volt",     "watt",      "weber",   NULL};

static const char *base_unit(const char *word) {
  size_t n = strlen(word);
  for (int i = 0; base_units[i] != NULL; i++) {
    size_t k = strlen(base_units[i]);
    if (strncmp(word, base_units[i], k) != 0 || (n != k && (n != k + 1 || word[k] != 's'))) continue;
    if (strcmp(base_units[i], "avogadro") == 0) return NULL;
    if (strcmp(base_units[i], "liter") == 0) return "litre";
    if (strcmp(base_units[i], "meter") == 0) return "metre";
    return base_units[i];
  }
  return NULL;
}

const char *dpi_ant_unit_word(void *user, const char *word) {
  const ant_reader *r = user;
  if (dpi_map_get(&r->units, word) > 0) return word;
  return base_unit(word);
}

dp_status dpi_ant_find_units(ant_reader *r, const ant_file *f) {
  for (int i = 0; f->tok[i].kind != DPI_TOK_END; i++)
    if (dpi_ant_says(&f->tok[i], "unit") && f->tok[i + 1].kind == DPI_TOK_ID && f->tok[i + 2].kind == '=')
      DP_TRY(dpi_map_put(&r->units, f->tok[i + 1].text, 1));
  return DP_OK;
}

/* one unit of a product: (multiplier * 10^scale * kind)^exponent */
typedef struct unit_list {
  dpi_net_unit_part part[32];
  int n;
  double number; /* what no unit has taken yet */
} unit_list;

static const dpi_net_unit *find_unit(const ant_reader *r, const char *id) {
  for (int i = 0; i < r->net->nunit; i++)
    if (strcmp(r->net->unit[i].id, id) == 0) return &r->net->unit[i];
  return NULL;
}

static dp_status add_part(ant_reader *r, unit_list *u, const char *word, double exponent) {
  const char *kind = base_unit(word);
  const dpi_net_unit *other = kind == NULL ? find_unit(r, word) : NULL;
  if (kind == NULL && other == NULL) kind = word; /* defined later, or never: its checker says so */
  int n = other != NULL ? other->npart : 1;
  if (u->n + n > DPI_COUNT(u->part))
    return dpi_infix_fail(&r->p, peek(r), DP_ERR_UNSUPPORTED, "a unit of more than %d parts", DPI_COUNT(u->part));
  for (int i = 0; i < n; i++) {
    dpi_net_unit_part p = {.kind = kind, .exponent = 1.0, .multiplier = 1.0};
    if (other != NULL) p = other->part[i];
    p.exponent *= exponent;
    u->part[u->n++] = p;
  }
  return DP_OK;
}

/* a number before a unit is its multiplier: number^sign = multiplier^exponent */
static double spread(double number, double sign, double exponent) {
  double v = sign < 0 ? 1.0 / number : number;
  if (exponent == 1.0) return v;
  if (exponent == -1.0) return 1.0 / v;
  return exponent == 0.0 ? 1.0 : dpi_m_pow(v, 1.0 / exponent);
}

static dp_status exponent_of(ant_reader *r, double *exponent) {
  *exponent = 1.0;
  if (!take(r, '^')) return DP_OK;
  bool paren = take(r, '('), minus = take(r, '-');
  if (peek(r)->kind != DPI_TOK_NUM) return expected(r, "an exponent");
  *exponent = next(r)->num;
  if (paren && take(r, '/') && peek(r)->kind == DPI_TOK_NUM) *exponent /= next(r)->num;
  if (minus) *exponent = -*exponent;
  if (paren && !take(r, ')')) return expected(r, "')'");
  return DP_OK;
}

static dp_status unit_product(ant_reader *r, unit_list *u);

static dp_status unit_factor(ant_reader *r, unit_list *u, double sign) {
  double exponent, number = 1.0;
  if (take(r, '(')) {
    if (++r->depth > 50) return expected(r, "a simpler unit");
    unit_list inner = {.number = 1.0};
    DP_TRY(unit_product(r, &inner));
    if (!take(r, ')')) return expected(r, "')'");
    DP_TRY(exponent_of(r, &exponent));
    r->depth--;
    for (int i = 0; i < inner.n && u->n < DPI_COUNT(u->part); i++) {
      u->part[u->n] = inner.part[i];
      u->part[u->n++].exponent *= sign * exponent;
    }
    u->number *= dpi_m_pow(inner.number, sign * exponent);
    return DP_OK;
  }
  if (peek(r)->kind == DPI_TOK_NUM) {
    number = next(r)->num;
    DP_TRY(exponent_of(r, &exponent));
    number = exponent == 1.0 ? number : dpi_m_pow(number, exponent);
    if (!(number > 0.0 && number <= 1e300)) return expected(r, "a unit behind a number above 0");
    if (peek(r)->kind != DPI_TOK_ID) {
      u->number *= sign < 0 ? 1.0 / number : number;
      return DP_OK;
    }
  }
  if (peek(r)->kind != DPI_TOK_ID || r->p.pos >= r->stop) return expected(r, "a unit");
  const char *word = next(r)->text;
  DP_TRY(exponent_of(r, &exponent));
  int first = u->n;
  DP_TRY(add_part(r, u, word, sign * exponent));
  if (number != 1.0 && u->n > first) u->part[first].multiplier *= spread(number, sign, u->part[first].exponent);
  return DP_OK;
}

static dp_status unit_product(ant_reader *r, unit_list *u) {
  double sign = 1.0;
  DP_TRY(unit_factor(r, u, sign));
  for (;;) {
    if (take(r, '*'))
      sign = 1.0;
    else if (take(r, '/'))
      sign = -1.0;
    else
      return DP_OK;
    DP_TRY(unit_factor(r, u, sign));
  }
}

/* what the words at hand say, as a unit of this id */
static dp_status define_unit(ant_reader *r, const char *id, int line) {
  unit_list u = {.number = 1.0};
  DP_TRY(unit_product(r, &u));
  if (u.n == 0) u.part[u.n++] = (dpi_net_unit_part){.kind = "dimensionless", .exponent = 1.0, .multiplier = 1.0};
  u.part[0].multiplier *= spread(u.number, 1.0, u.part[0].exponent);
  for (int i = 0; i < u.n; i++)
    if (!(u.part[i].multiplier > 0.0 && u.part[i].multiplier <= 1e300) || fabs(u.part[i].exponent) > 1e6)
      return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: unit '%s' has a factor or an exponent out of range", r->p.where,
                      line, id);
  dpi_net_unit *unit = (dpi_net_unit *)find_unit(r, id);
  if (unit == NULL) unit = dpi_net_add_unit(r->net, id);
  if (unit == NULL) return DP_ERR_MEMORY;
  unit->line = line;
  unit->npart = u.n;
  unit->part = DPI_ARENA_ARRAY(&r->net->arena, dpi_net_unit_part, u.n);
  if (unit->part == NULL) return DP_ERR_MEMORY;
  memcpy(unit->part, u.part, (size_t)u.n * sizeof *u.part);
  for (int i = 0; i < u.n; i++)
    if ((unit->part[i].kind = dpi_net_text(r->net, u.part[i].kind)) == NULL) return DP_ERR_MEMORY;
  return DP_OK;
}

/* the model's own measures by the names that Level 2 gave them */
static const char **global_unit(dpi_net *net, const char *word) {
  if (strcmp(word, "substance") == 0) return &net->substance_unit;
  if (strcmp(word, "time_unit") == 0) return &net->time_unit;
  if (strcmp(word, "volume") == 0) return &net->volume_unit;
  if (strcmp(word, "area") == 0) return &net->area_unit;
  if (strcmp(word, "length") == 0) return &net->length_unit;
  if (strcmp(word, "extent") == 0) return &net->extent_unit;
  return NULL;
}

/* unit mL = 1e-3 litre */
dp_status dpi_ant_unit(ant_reader *r) {
  next(r);
  if (peek(r)->kind != DPI_TOK_ID) return expected(r, "the name of a unit");
  const dpi_tok *t = next(r);
  if (dpi_ant_is_note(r)) { /* unit x is "name" */
    dpi_ant_skip(r);
    return DP_OK;
  }
  if (!take(r, '=')) return at_end(r) ? DP_OK : expected(r, "'='");
  DP_TRY(define_unit(r, t->text, t->line));
  const char **global = r->scope == 0 ? global_unit(r->net, t->text) : NULL;
  if (global != NULL) *global = dpi_net_text(r->net, t->text);
  return DP_OK;
}

bool dpi_ant_is_global_unit(ant_reader *r) {
  const dpi_tok *value = ahead(r, 2);
  return ahead(r, 1)->kind == '=' && global_unit(r->net, peek(r)->text) != NULL && value->kind == DPI_TOK_ID &&
         dpi_ant_unit_word(r, value->text) != NULL;
}

dp_status dpi_ant_global_unit(ant_reader *r) {
  const dpi_tok *t = next(r);
  const char **global = global_unit(r->net, t->text);
  next(r); /* = */
  const char *simple = dpi_ant_unit_word(r, peek(r)->text);
  const dpi_tok *after = ahead(r, 1);
  if (after->kind == '*' || after->kind == '/' || after->kind == '^') {
    DP_TRY(define_unit(r, t->text, t->line));
    simple = t->text;
  } else {
    next(r);
  }
  if (r->scope == 0) *global = dpi_net_text(r->net, simple);
  return *global == NULL ? DP_ERR_MEMORY : DP_OK;
}

/* x has mg/L: a unit of one word by its name, others by their text */
dp_status dpi_ant_has_unit(ant_reader *r, int var) {
  int from = r->p.pos, end = dpi_ant_statement_end(r, from);
  const dpi_tok *t = peek(r);
  if (end == from) return expected(r, "a unit");
  const char *unit = t->kind == DPI_TOK_ID ? dpi_ant_unit_word(r, t->text) : NULL;
  if (end - from == 1 && t->kind == DPI_TOK_ID) {
    unit = dpi_net_text(r->net, unit != NULL ? unit : t->text);
    next(r);
  } else {
    unit = dpi_ant_text(r, from, end);
    if (unit == NULL) return DP_ERR_MEMORY;
    DP_TRY(define_unit(r, unit, t->line));
  }
  if (unit == NULL) return DP_ERR_MEMORY;
  ANT_ROOT(r, var)->unit = unit;
  return DP_OK;
}
