/* antimony_write.c - floor 3: a network as Antimony text, such that reading it gives an equivalent network.
 *
 * Words of the language that are ids get an underscore, local parameters become global as reaction_parameter; both
 * are noted. What Antimony has no words for is refused by name where it changes equations, else left out and
 * noted.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lang/antimony/antimony_impl.h"

typedef struct writer {
  const dpi_net *net;
  dpi_net *scratch; /* renamed copies of mathematics */
  dpi_str *out;
  dpi_map names; /* id, or reaction.parameter -> text[]; units under " id" */
  dpi_map taken;
  const char **text;
  int ntext, cap_text;
  dpi_map initial;            /* ids with an initial assignment, a rule or a rate: value is a set of these bits */
  dpi_str constant, variable; /* lists of names for one statement each */
} writer;
enum { HAS_INITIAL = 1, HAS_RULE = 2, HAS_RATE = 4, IS_SET = 8 };

#define TRY_PUT(map, key, value) DP_TRY(dpi_map_put((map), (key), (value)))

static dp_status refuse(const writer *w, int line, const char *what, const char *id) {
  return dpi_fail(w->net->ctx, DP_ERR_UNSUPPORTED, "%s:%d: %s '%s' can't be said in Antimony", w->net->source, line,
                  what, id);
}

/* ---- names ---- */
static bool is_keyword(const char *word) {
  static const char *const words[] = {"model",
                                      "module",
                                      "end",
                                      "function",
                                      "at",
                                      "after",
                                      "has",
                                      "is",
                                      "in",
                                      "species",
                                      "compartment",
                                      "var",
                                      "const",
                                      "formula",
                                      "substanceOnly",
                                      "DNA",
                                      "gene",
                                      "operator",
                                      "reaction",
                                      "event",
                                      "import",
                                      "unit",
                                      "delete",
                                      "maximize",
                                      "minimize",
                                      "assert",
                                      "constraint",
                                      "interaction",
                                      "geneProduct",
                                      "priority",
                                      "t0",
                                      "persistent",
                                      "fromTrigger",
                                      "parameter",
                                      "time",
                                      "length",
                                      "area",
                                      "volume",
                                      "substance",
                                      "extent",
                                      "time_unit",
                                      "inf",
                                      "INF",
                                      "nan",
                                      "NaN",
                                      "NAN",
                                      "delay",
                                      "sboTerm",
                                      "identity",
                                      "notes",
                                      "created",
                                      "modified",
                                      "creator",
                                      "model_entity_is",
                                      "origin",
                                      "part",
                                      "description",
                                      "encodes",
                                      "version",
                                      "container",
                                      "property",
                                      "taxon",
                                      "homolog",
                                      "hypernym",
                                      "encoder"};
  for (int i = 0; i < DPI_COUNT(words); i++)
    if (strcmp(words[i], word) == 0) return true;
  return dpi_infix_reserved(word) || dpi_infix_builtin(word);
}

static bool is_base_unit(const char *word) {
  ant_reader none = {0}; /* no units of its own */
  dpi_map_init(&none.units, NULL);
  return dpi_ant_unit_word(&none, word) != NULL;
}

/* letters, digits and _ of an id */
static char *legal(writer *w, const char *id) {
  size_t n = strlen(id);
  char *s = dpi_arena_alloc(&w->scratch->arena, n + 3);
  if (s == NULL) return NULL;
  size_t k = 0;
  if (n == 0 || isdigit((unsigned char)id[0])) s[k++] = '_';
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)id[i];
    s[k++] = c < 128 && (isalnum(c) || c == '_') ? (char)c : '_';
  }
  return s;
}

static dp_status name_it(writer *w, const char *key, const char *wish, bool noted) {
  char *s = legal(w, wish);
  if (s == NULL) return DP_ERR_MEMORY;
  bool word = is_keyword(s) || is_base_unit(s);
  while (word || dpi_map_get(&w->taken, s) >= 0) {
    s = dpi_arena_printf(&w->scratch->arena, "%s_", s);
    if (s == NULL) return DP_ERR_MEMORY;
    word = is_keyword(s);
  }
  DP_TRY(dpi_grow(w->net->ctx, (void **)&w->text, &w->cap_text, w->ntext + 1, sizeof *w->text));
  w->text[w->ntext] = s;
  TRY_PUT(&w->taken, s, 1);
  if (noted && strcmp(s, wish) != 0) dpi_net_note(w->net, "'%s' is called '%s' in Antimony", wish, s);
  return dpi_map_put(&w->names, key, w->ntext++);
}

static const char *named(const writer *w, const char *id) {
  int i = dpi_map_get(&w->names, id);
  return i >= 0 ? w->text[i] : id;
}

static const char *local_key(writer *w, const dpi_net_reaction *x, const char *id) {
  return dpi_arena_printf(&w->scratch->arena, "%s.%s", x->id, id);
}

static const char *unit_name(writer *w, const char *unit) {
  const char *key = dpi_arena_printf(&w->scratch->arena, " %s", unit);
  int i = key == NULL ? -1 : dpi_map_get(&w->names, key);
  return i >= 0 ? w->text[i] : unit;
}

static dp_status name_terms(writer *w, const dpi_net_reaction *x) {
  for (int k = 0; k < x->nreactant + x->nproduct; k++) {
    const dpi_net_term *t = k < x->nreactant ? &x->reactant[k] : &x->product[k - x->nreactant];
    if (t->id[0]) DP_TRY(name_it(w, t->id, t->id, true));
  }
  return DP_OK;
}

static dp_status name_locals(writer *w, const dpi_net_reaction *x) {
  for (int k = 0; k < x->nlocal; k++) {
    const char *key = local_key(w, x, x->local[k].id);
    const char *wish = dpi_arena_printf(&w->scratch->arena, "%s_%s", x->id, x->local[k].id);
    if (key == NULL || wish == NULL) return DP_ERR_MEMORY;
    DP_TRY(name_it(w, key, wish, false));
    dpi_net_note(w->net, "the local parameter '%s' of reaction '%s' is the parameter '%s' in Antimony", x->local[k].id,
                 x->id, named(w, key));
  }
  return DP_OK;
}

/* first all ids that can stay as they are, so that a renamed one does not take their place */
static dp_status name_all(writer *w, bool legal_ones) {
  const dpi_net *n = w->net;
#define NAME_EACH(count, list)                                        \
  for (int i = 0; i < n->count; i++)                                  \
    if (n->list[i].id[0] && !is_keyword(n->list[i].id) == legal_ones) \
  DP_TRY(name_it(w, n->list[i].id, n->list[i].id, true))
  NAME_EACH(nfunction, function);
  NAME_EACH(ncompartment, compartment);
  NAME_EACH(nspecies, species);
  NAME_EACH(nparameter, parameter);
  NAME_EACH(nreaction, reaction);
  NAME_EACH(nevent, event);
  NAME_EACH(ninteraction, interaction);
  NAME_EACH(nobjective, objective);
#undef NAME_EACH
  if (legal_ones) return DP_OK;
  for (int i = 0; i < n->nreaction; i++) DP_TRY(name_terms(w, &n->reaction[i]));
  for (int i = 0; i < n->nreaction; i++) DP_TRY(name_locals(w, &n->reaction[i]));
  for (int i = 0; i < n->nunit; i++) {
    const char *key = dpi_arena_printf(&w->scratch->arena, " %s", n->unit[i].id);
    if (key == NULL) return DP_ERR_MEMORY;
    DP_TRY(name_it(w, key, n->unit[i].id, true));
  }
  return DP_OK;
}

/* ---- mathematics ---- */
typedef struct rename_def {
  writer *w;
  const dpi_net_reaction *reaction; /* whose local parameters are meant */
  const dpi_net_function *function; /* whose arguments are meant */
} rename_def;

static bool is_local(const dpi_net_reaction *x, const char *name) {
  for (int i = 0; x != NULL && i < x->nlocal; i++)
    if (strcmp(x->local[i].id, name) == 0) return true;
  return false;
}

static const char *argument(writer *w, const char *name) {
  return is_keyword(name) || is_base_unit(name) ? dpi_arena_printf(&w->scratch->arena, "%s_", name) : name;
}

static dp_status rename_node(void *user, dpi_ast *a) {
  const rename_def *d = user;
  if (a->op == DPI_AST_NUMBER && a->unit[0] && !is_base_unit(a->unit)) a->unit = unit_name(d->w, a->unit);
  if (a->op == DPI_AST_CALL) a->name = named(d->w, a->name);
  if (a->op == DPI_AST_BUILTIN) dpi_net_note(d->w->net, "the function '%s' is known to Doppel only", a->name);
  if (a->op != DPI_AST_NAME) return DP_OK;
  if (d->function != NULL) {
    a->name = argument(d->w, a->name);
  } else if (is_local(d->reaction, a->name)) {
    const char *key = local_key(d->w, d->reaction, a->name);
    if (key == NULL) return DP_ERR_MEMORY;
    a->name = named(d->w, key);
  } else {
    a->name = named(d->w, a->name);
  }
  return a->name == NULL ? DP_ERR_MEMORY : DP_OK;
}

static dp_status math_of(writer *w, const dpi_ast *a, const dpi_net_reaction *x, const dpi_net_function *f) {
  rename_def d = {w, x, f};
  dpi_ast *copy = dpi_ast_copy(w->scratch, a);
  if (copy == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_ast_walk(copy, rename_node, &d));
  dpi_ast_print(copy, w->out);
  return DP_OK;
}

static dp_status math(writer *w, const dpi_ast *a) { return math_of(w, a, NULL, NULL); }

static void number(writer *w, double v) {
  dpi_ast a = {.op = DPI_AST_NUMBER, .value = v, .name = "", .unit = ""};
  dpi_ast_print(&a, w->out);
}

/* text between quotes */
static void quoted(writer *w, const char *s) {
  bool block = strchr(s, '\n') != NULL || strchr(s, '"') != NULL;
  if (block && strstr(s, "```") == NULL) {
    dpi_str_addf(w->out, "```%s```", s);
    return;
  }
  dpi_str_add(w->out, "\"");
  for (; *s; s++) dpi_str_addn(w->out, *s == '"' ? "'" : *s == '\n' ? " " : s, 1);
  dpi_str_add(w->out, "\"");
}

/* ---- what determines what ---- */
static int marks(const writer *w, const char *id) {
  int m = dpi_map_get(&w->initial, id);
  return m < 0 ? 0 : m;
}

static dp_status mark(writer *w, const char *id, int bit) { return dpi_map_put(&w->initial, id, marks(w, id) | bit); }

static dp_status mark_all(writer *w) {
  const dpi_net *n = w->net;
  for (int i = 0; i < n->nrule; i++) {
    const dpi_net_rule *r = &n->rule[i];
    if (r->math == NULL) {
      dpi_net_note(n, "a rule of '%s' without mathematics is left out", r->variable);
      continue;
    }
    if (r->kind == DPI_RULE_INITIAL) DP_TRY(mark(w, r->variable, HAS_INITIAL));
    if (r->kind == DPI_RULE_ASSIGNMENT) DP_TRY(mark(w, r->variable, HAS_RULE));
    if (r->kind == DPI_RULE_RATE) DP_TRY(mark(w, r->variable, HAS_RATE));
  }
  for (int i = 0; i < n->nevent; i++)
    for (int k = 0; k < n->event[i].nassign; k++) DP_TRY(mark(w, n->event[i].assign[k].variable, IS_SET));
  return DP_OK;
}

static bool valued(const writer *w, const char *id) { return (marks(w, id) & (HAS_INITIAL | HAS_RULE)) != 0; }

/* ---- units ---- */
static dp_status unit(writer *w, const dpi_net_unit *u) {
  dpi_str_addf(w->out, "  unit %s = ", unit_name(w, u->id));
  if (u->npart == 0) dpi_str_add(w->out, "dimensionless");
  for (int i = 0; i < u->npart; i++) {
    const dpi_net_unit_part *p = &u->part[i];
    double scale = p->multiplier;
    for (int k = 0; k < abs(p->scale) && k < 400; k++) scale = p->scale > 0 ? scale * 10 : scale / 10;
    if (i > 0) dpi_str_add(w->out, " * ");
    scale = p->exponent == 1.0 ? scale : dpi_m_pow(scale, p->exponent);
    if (!(scale > 0.0 && scale < 1e300)) {
      dpi_net_note(w->net, "the factor of '%s' in unit '%s' is out of range and left out", p->kind, u->id);
    } else if (scale != 1.0) {
      number(w, scale);
      dpi_str_add(w->out, " ");
    }
    dpi_str_add(w->out, p->kind);
    if (p->exponent != 1.0) {
      dpi_str_add(w->out, "^");
      number(w, p->exponent);
    }
  }
  dpi_str_add(w->out, ";\n");
  return DP_OK;
}

static void model_unit(writer *w, const char *word, const char *unit) {
  if (unit[0] == '\0' || strcmp(unit_name(w, unit), word) == 0) return;
  dpi_str_addf(w->out, "  %s = %s;\n", word, unit_name(w, unit));
}

static dp_status units(writer *w) {
  const dpi_net *n = w->net;
  for (int i = 0; i < n->nunit; i++) DP_TRY(unit(w, &n->unit[i]));
  model_unit(w, "substance", n->substance_unit);
  model_unit(w, "extent", n->extent_unit);
  model_unit(w, "time_unit", n->time_unit);
  model_unit(w, "volume", n->volume_unit);
  model_unit(w, "area", n->area_unit);
  model_unit(w, "length", n->length_unit);
  return DP_OK;
}

static void has_unit(writer *w, const char *id, const char *unit) {
  if (unit[0]) dpi_str_addf(w->out, "  %s has %s;\n", named(w, id), unit_name(w, unit));
}

/* ---- functions ---- */
static dp_status function(writer *w, const dpi_net_function *f) {
  if (f->body == NULL) {
    dpi_net_note(w->net, "function '%s' has no mathematics and is left out", f->id);
    return DP_OK;
  }
  dpi_str_addf(w->out, "function %s(", named(w, f->id));
  for (int i = 0; i < f->narg; i++) dpi_str_addf(w->out, "%s%s", i ? ", " : "", argument(w, f->arg[i]));
  dpi_str_add(w->out, ")\n  ");
  DP_TRY(math_of(w, f->body, NULL, f));
  dpi_str_add(w->out, ";\nend\n\n");
  return DP_OK;
}

/* ---- compartments, species, parameters ---- */
static void say_constant(writer *w, const char *id, bool constant) {
  bool moved = (marks(w, id) & (HAS_RULE | HAS_RATE | IS_SET)) != 0;
  dpi_str *list = constant ? &w->constant : &w->variable;
  if (!moved) dpi_str_addf(list, "%s%s", list->len > 0 ? ", " : "", named(w, id));
}

static void say_list(writer *w, const char *word, const dpi_str *list) {
  if (list->len > 0) dpi_str_addf(w->out, "  %s %s;\n", word, dpi_str_text(list));
}

static void value_of(writer *w, const char *id, double v) {
  if (valued(w, id)) return;
  dpi_str_addf(w->out, "  %s = ", named(w, id));
  if (v == v) number(w, v);
  dpi_str_add(w->out, ";\n");
}

static dp_status compartment(writer *w, const dpi_net_compartment *c) {
  dpi_str_addf(w->out, "  compartment %s;\n", named(w, c->id));
  if (c->dimensions == c->dimensions && c->dimensions != 3.0 && c->dimensions != 0.0)
    dpi_net_note(w->net, "compartment '%s' has %g dimensions; Antimony says nothing of it", c->id, c->dimensions);
  value_of(w, c->id, c->size);
  has_unit(w, c->id, c->unit);
  say_constant(w, c->id, c->constant);
  return DP_OK;
}

static const dpi_net_compartment *home_of(const writer *w, const dpi_net_species *s) {
  int index;
  return dpi_net_find(w->net, s->compartment, &index) == DPI_NET_COMPARTMENT ? &w->net->compartment[index] : NULL;
}

static void species_value(writer *w, const dpi_net_species *s, bool as_amount) {
  double v = s->amount == s->amount ? s->amount : s->concentration;
  bool is_amount = s->amount == s->amount;
  if (valued(w, s->id)) return;
  if (v != v || is_amount == as_amount || s->compartment[0] == '\0') {
    value_of(w, s->id, v);
    return;
  }
  dpi_str_addf(w->out, "  %s = ", named(w, s->id));
  number(w, v);
  dpi_str_addf(w->out, "%s%s;\n", as_amount ? "*" : "/", named(w, s->compartment));
}

static dp_status species(writer *w, const dpi_net_species *s) {
  const dpi_net_compartment *home = home_of(w, s);
  bool as_amount = s->only_substance || (home != NULL && home->dimensions == 0.0);
  dpi_str_addf(w->out, "  %sspecies %s%s", as_amount ? "substanceOnly " : "", s->boundary && !s->constant ? "$" : "",
               named(w, s->id));
  if (s->compartment[0]) dpi_str_addf(w->out, " in %s", named(w, s->compartment));
  dpi_str_add(w->out, ";\n");
  species_value(w, s, as_amount);
  if (s->constant) say_constant(w, s->id, true);
  has_unit(w, s->id, s->substance_unit);
  if (s->charge == s->charge) {
    dpi_str_addf(w->out, "  %s.charge = ", named(w, s->id));
    number(w, s->charge);
    dpi_str_add(w->out, ";\n");
  }
  if (s->formula[0]) dpi_str_addf(w->out, "  %s.chemicalFormula = \"%s\";\n", named(w, s->id), s->formula);
  return DP_OK;
}

static dp_status parameter(writer *w, const dpi_net_parameter *p, const char *id) {
  value_of(w, id, p->value);
  has_unit(w, id, p->unit);
  say_constant(w, id, p->constant);
  return DP_OK;
}

/* ---- reactions ---- */
static dp_status conversion_of(const writer *w, const dpi_net_reaction *x, const char *species, double *factor) {
  int index, at;
  *factor = 1.0;
  if (dpi_net_find(w->net, species, &index) != DPI_NET_SPECIES) return DP_OK;
  const dpi_net_species *s = &w->net->species[index];
  const char *id = s->conversion[0] ? s->conversion : w->net->conversion;
  if (id[0] == '\0') return DP_OK;
  if (dpi_net_find(w->net, id, &at) != DPI_NET_PARAMETER || marks(w, id) != 0)
    return refuse(w, x->line, "the conversion factor", id);
  *factor = w->net->parameter[at].value;
  return DP_OK;
}

/* stoichiometries that are formulas get names: reaction_species_n */
static dp_status term(writer *w, const dpi_net_reaction *x, const dpi_net_term *t, dpi_str *later) {
  double factor, n = t->stoichiometry;
  DP_TRY(conversion_of(w, x, t->species, &factor));
  if (t->math != NULL || (t->id[0] && factor != 1.0)) {
    const char *wish = dpi_arena_printf(&w->scratch->arena, "%s_%s_n", x->id, t->species);
    if (wish == NULL) return DP_ERR_MEMORY;
    DP_TRY(name_it(w, wish, wish, false));
    const char *name = w->text[w->ntext - 1];
    dpi_str *out = w->out;
    w->out = later;
    dpi_str_addf(later, "  %s := ", name);
    if (factor != 1.0) number(w, factor);
    if (factor != 1.0) dpi_str_add(later, "*(");
    dp_status status = t->math != NULL ? math(w, t->math) : DP_OK;
    if (t->math == NULL) dpi_str_add(later, named(w, t->id));
    dpi_str_add(later, factor != 1.0 ? ");\n" : ";\n");
    w->out = out;
    DP_TRY(status);
    dpi_str_addf(w->out, "%s ", name);
    if (t->id[0] && t->math == NULL) {
      dpi_str_addf(later, "  formula %s;\n", named(w, t->id));
      if (!valued(w, t->id) && n == n) {
        dpi_str_addf(later, "  %s = ", named(w, t->id));
        w->out = later;
        number(w, n);
        w->out = out;
        dpi_str_add(later, ";\n");
      }
    }
  } else if (t->id[0]) {
    dpi_str_addf(w->out, "%s ", named(w, t->id));
    if (!valued(w, t->id)) {
      if (n != n) return refuse(w, x->line, "the missing value of the stoichiometry", t->id);
      dpi_str *out = w->out;
      w->out = later;
      dpi_str_addf(later, "  %s = ", named(w, t->id));
      number(w, n);
      dpi_str_add(later, ";\n");
      w->out = out;
    }
  } else {
    if (n != n) return refuse(w, x->line, "the missing stoichiometry in reaction", x->id);
    if (n * factor != 1.0) {
      number(w, n * factor);
      dpi_str_add(w->out, " ");
    }
  }
  dpi_str_add(w->out, named(w, t->species));
  return DP_OK;
}

/* reactants with a negative number are products */
static bool turned(const dpi_net_term *t) { return t->id[0] == '\0' && t->math == NULL && t->stoichiometry < 0.0; }

static dp_status side(writer *w, const dpi_net_reaction *x, bool product, dpi_str *later) {
  int n = 0;
  for (int k = 0; k < x->nreactant + x->nproduct; k++) {
    bool is_product = k >= x->nreactant;
    dpi_net_term t = is_product ? x->product[k - x->nreactant] : x->reactant[k];
    if ((is_product != turned(&t)) != product) continue;
    if (turned(&t)) t.stoichiometry = -t.stoichiometry;
    if (n++ > 0) dpi_str_add(w->out, " + ");
    DP_TRY(term(w, x, &t, later));
  }
  return DP_OK;
}

static dp_status reaction(writer *w, const dpi_net_reaction *x, int index, dpi_str *later) {
  if (x->fast) return refuse(w, x->line, "the fast reaction", x->id);
  if (x->id[0])
    dpi_str_addf(w->out, "  %s", named(w, x->id));
  else
    dpi_str_addf(w->out, "  reaction_%d", index + 1);
  if (x->compartment[0]) dpi_str_addf(w->out, " in %s", named(w, x->compartment));
  dpi_str_add(w->out, ": ");
  DP_TRY(side(w, x, false, later));
  dpi_str_add(w->out, x->reversible ? " -> " : " => ");
  DP_TRY(side(w, x, true, later));
  dpi_str_add(w->out, "; ");
  if (x->rate != NULL) DP_TRY(math_of(w, x->rate, x, NULL));
  dpi_str_add(w->out, ";\n");
  return DP_OK;
}

static dp_status locals(writer *w, const dpi_net_reaction *x) {
  for (int i = 0; i < x->nlocal; i++) {
    const char *key = local_key(w, x, x->local[i].id);
    if (key == NULL) return DP_ERR_MEMORY;
    DP_TRY(parameter(w, &x->local[i], key));
  }
  return DP_OK;
}

static dp_status modifiers(writer *w, const dpi_net_reaction *x) {
  for (int i = 0; i < x->nmodifier; i++)
    if (x->rate == NULL || !dpi_ast_uses(x->rate, x->modifier[i]))
      dpi_str_addf(w->out, "  %s -( %s;\n", named(w, x->modifier[i]), named(w, x->id));
  return DP_OK;
}

static dp_status interaction(writer *w, const dpi_net_interaction *x) {
  dpi_str_add(w->out, "  ");
  if (x->id[0]) dpi_str_addf(w->out, "%s: ", named(w, x->id));
  for (int i = 0; i < x->nsource; i++) dpi_str_addf(w->out, "%s%s", i ? " + " : "", named(w, x->source[i]));
  dpi_str_addf(w->out, " %s %s;\n", x->kind, named(w, x->target));
  return DP_OK;
}

static dp_status reactions(writer *w) {
  dpi_str later;
  dpi_str_init(&later, w->net->ctx);
  dp_status status = DP_OK;
  for (int i = 0; i < w->net->nreaction && status == DP_OK; i++) status = reaction(w, &w->net->reaction[i], i, &later);
  if (status == DP_OK && later.failed) status = DP_ERR_MEMORY;
  if (status == DP_OK) dpi_str_add(w->out, dpi_str_text(&later));
  dpi_str_release(&later);
  return status;
}

/* ---- rules, events, constraints ---- */
static dp_status rule(writer *w, const dpi_net_rule *r) {
  if (r->math == NULL) return DP_OK;
  if (r->kind == DPI_RULE_ALGEBRAIC)
    dpi_str_add(w->out, "  0 = ");
  else
    dpi_str_addf(w->out, "  %s%s ", named(w, r->variable),
                 r->kind == DPI_RULE_ASSIGNMENT ? " :="
                 : r->kind == DPI_RULE_RATE     ? "' ="
                                                : " =");
  DP_TRY(math(w, r->math));
  dpi_str_add(w->out, ";\n");
  return DP_OK;
}

static dp_status event(writer *w, const dpi_net_event *e) {
  if (e->trigger == NULL) {
    dpi_net_note(w->net, "event '%s' has no trigger and is left out", e->id);
    return DP_OK;
  }
  dpi_str_add(w->out, "  ");
  if (e->id[0]) dpi_str_addf(w->out, "%s: ", named(w, e->id));
  dpi_str_add(w->out, "at ");
  if (e->delay != NULL) {
    dpi_str_add(w->out, "(");
    DP_TRY(math(w, e->delay));
    dpi_str_add(w->out, ") after ");
  }
  dpi_str_add(w->out, "(");
  DP_TRY(math(w, e->trigger));
  dpi_str_add(w->out, ")");
  if (e->priority != NULL) {
    dpi_str_add(w->out, ", priority=");
    DP_TRY(math(w, e->priority));
  }
  if (!e->initial_value) dpi_str_add(w->out, ", t0=false");
  if (!e->persistent) dpi_str_add(w->out, ", persistent=false");
  if (!e->from_trigger) dpi_str_add(w->out, ", fromTrigger=false");
  dpi_str_add(w->out, ":");
  for (int i = 0, n = 0; i < e->nassign; i++) {
    if (e->assign[i].math == NULL) continue;
    dpi_str_addf(w->out, "%s %s = ", n++ ? "," : "", named(w, e->assign[i].variable));
    DP_TRY(math(w, e->assign[i].math));
  }
  dpi_str_add(w->out, ";\n");
  return DP_OK;
}

static dp_status constraint(writer *w, const dpi_net_constraint *c, int index) {
  if (c->math == NULL) return DP_OK;
  if (c->id[0]) DP_TRY(name_it(w, c->id, c->id, true));
  dpi_str_add(w->out, "  constraint ");
  if (c->id[0])
    dpi_str_addf(w->out, "%s: ", named(w, c->id));
  else
    dpi_str_addf(w->out, "constraint_%d: ", index + 1);
  DP_TRY(math(w, c->math));
  dpi_str_add(w->out, ";\n");
  if (c->message[0]) dpi_net_note(w->net, "the message of a constraint is left out: %.200s", c->message);
  return DP_OK;
}

static dp_status flux(writer *w) {
  const dpi_net *n = w->net;
  for (int i = 0; i < n->nreaction; i++) {
    const dpi_net_reaction *x = &n->reaction[i];
    if (x->lower[0]) dpi_str_addf(w->out, "  %s <= %s;\n", named(w, x->lower), named(w, x->id));
    if (x->upper[0]) dpi_str_addf(w->out, "  %s <= %s;\n", named(w, x->id), named(w, x->upper));
  }
  for (int i = 0; i < n->nobjective; i++) {
    const dpi_net_objective *o = &n->objective[i];
    if (n->active_objective >= 0 && i != n->active_objective) {
      dpi_net_note(n, "objective '%s' is not the active one and is left out", o->id);
      continue;
    }
    dpi_str_add(w->out, "  ");
    if (o->id[0]) dpi_str_addf(w->out, "%s: ", named(w, o->id));
    dpi_str_add(w->out, o->maximize ? "maximize " : "minimize ");
    for (int k = 0; k < o->nterm; k++) {
      if (k > 0) dpi_str_add(w->out, " + ");
      if (o->term[k].coefficient != 1.0) {
        number(w, o->term[k].coefficient);
        dpi_str_add(w->out, "*");
      }
      dpi_str_add(w->out, named(w, o->term[k].reaction));
    }
    dpi_str_add(w->out, ";\n");
  }
  return DP_OK;
}

/* ---- names for people, annotations ---- */
static void display(writer *w, const char *id, const char *name) {
  if (name[0] == '\0' || id[0] == '\0' || strcmp(id, name) == 0) return;
  dpi_str_addf(w->out, "  %s is ", named(w, id));
  quoted(w, name);
  dpi_str_add(w->out, ";\n");
}

static void displays(writer *w) {
  const dpi_net *n = w->net;
  for (int i = 0; i < n->ncompartment; i++) display(w, n->compartment[i].id, n->compartment[i].name);
  for (int i = 0; i < n->nspecies; i++) display(w, n->species[i].id, n->species[i].name);
  for (int i = 0; i < n->nparameter; i++) display(w, n->parameter[i].id, n->parameter[i].name);
  for (int i = 0; i < n->nreaction; i++) display(w, n->reaction[i].id, n->reaction[i].name);
  for (int i = 0; i < n->nevent; i++) display(w, n->event[i].id, n->event[i].name);
}

static bool knows(const writer *w, const char *id) { return id[0] == '\0' || dpi_map_get(&w->names, id) >= 0; }

static bool is_plain(const char *s) {
  for (; *s; s++)
    if (!isalnum((unsigned char)*s) && strchr("._+-{},", *s) == NULL) return false;
  return true;
}

static void annotation(writer *w, const dpi_net_annotation *a) {
  const char *id = a->id[0] ? named(w, a->id) : "model";
  bool sbo = strcmp(a->key, "sbo") == 0 || strcmp(a->key, "sboTerm") == 0;
  if (a->nvalue == 0 || !knows(w, a->id)) return;
  if (sbo || (a->nvalue == 1 && dpi_ant_is_attribute(a->key))) {
    const char *v = a->value[0];
    if (sbo && strncmp(v, "SBO:", 4) == 0) v += 4;
    while (sbo && v[0] == '0' && v[1]) v++;
    dpi_str_addf(w->out, "  %s.%s = %s;\n", id, sbo ? "sboTerm" : a->key, v);
    return;
  }
  dpi_str_addf(w->out, "  %s %s ", id, a->key);
  bool part =
      strchr(a->key, '.') != NULL && a->nvalue == 1 && is_plain(a->value[0]) && isdigit((unsigned char)a->value[0][0]);
  for (int i = 0; i < a->nvalue; i++) {
    if (i > 0) dpi_str_add(w->out, ", ");
    if (part)
      dpi_str_add(w->out, a->value[i]);
    else
      quoted(w, a->value[i]);
  }
  dpi_str_add(w->out, ";\n");
}

/* ---- all ---- */
static dp_status body(writer *w) {
  const dpi_net *n = w->net;
  DP_TRY(units(w));
  for (int i = 0; i < n->ncompartment; i++) DP_TRY(compartment(w, &n->compartment[i]));
  for (int i = 0; i < n->nspecies; i++) DP_TRY(species(w, &n->species[i]));
  for (int i = 0; i < n->nparameter; i++) DP_TRY(parameter(w, &n->parameter[i], n->parameter[i].id));
  for (int i = 0; i < n->nreaction; i++) DP_TRY(locals(w, &n->reaction[i]));
  say_list(w, "const", &w->constant);
  say_list(w, "var", &w->variable);
  DP_TRY(reactions(w));
  for (int i = 0; i < n->nrule; i++) DP_TRY(rule(w, &n->rule[i]));
  for (int i = 0; i < n->nevent; i++) DP_TRY(event(w, &n->event[i]));
  for (int i = 0; i < n->nconstraint; i++) DP_TRY(constraint(w, &n->constraint[i], i));
  for (int i = 0; i < n->ninteraction; i++) DP_TRY(interaction(w, &n->interaction[i]));
  if (n->ninteraction == 0)
    for (int i = 0; i < n->nreaction; i++) DP_TRY(modifiers(w, &n->reaction[i]));
  DP_TRY(flux(w));
  displays(w);
  for (int i = 0; i < n->nannotation; i++) annotation(w, &n->annotation[i]);
  return DP_OK;
}

static dp_status write_all(writer *w) {
  const dpi_net *n = w->net;
  const char *model = legal(w, n->id[0] ? n->id : "model_1");
  if (model == NULL) return DP_ERR_MEMORY;
  TRY_PUT(&w->taken, model, 1);
  DP_TRY(name_all(w, true));
  DP_TRY(name_all(w, false));
  DP_TRY(mark_all(w));
  dpi_str_add(w->out, "// Created by Doppel\n\n");
  for (int i = 0; i < n->nfunction; i++) DP_TRY(function(w, &n->function[i]));
  dpi_str_addf(w->out, "model *%s()\n", model);
  DP_TRY(body(w));
  dpi_str_add(w->out, "end\n");
  if (n->name[0] && strcmp(n->name, model) != 0) {
    dpi_str_addf(w->out, "\n%s is ", model);
    quoted(w, n->name);
    dpi_str_add(w->out, "\n");
  }
  return w->out->failed ? DP_ERR_MEMORY : DP_OK;
}

dp_status dpi_antimony_write(const dpi_net *net, dpi_str *out) {
  writer w = {.net = net, .out = out};
  DP_TRY(dpi_net_create(net->ctx, net->source, &w.scratch));
  dpi_map_init(&w.names, net->ctx);
  dpi_map_init(&w.taken, net->ctx);
  dpi_map_init(&w.initial, net->ctx);
  dpi_str_init(&w.constant, net->ctx);
  dpi_str_init(&w.variable, net->ctx);
  dp_status status = write_all(&w);
  if (w.constant.failed || w.variable.failed) status = DP_ERR_MEMORY;
  dpi_str_release(&w.constant);
  dpi_str_release(&w.variable);
  dpi_free(net->ctx, (void *)w.text);
  dpi_map_release(&w.names);
  dpi_map_release(&w.taken);
  dpi_map_release(&w.initial);
  dpi_net_destroy(w.scratch);
  return status;
}
