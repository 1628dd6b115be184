/* sbml_write_names.c - floor 3: ids as SBML allows them (a letter or _, then letters, digits, _), each once. */
#include <ctype.h>
#include <string.h>

#include "lang/sbml/sbml_write_impl.h"

static bool is_sid(const char *id) {
  if (!(isalpha((unsigned char)id[0]) || id[0] == '_') || (unsigned char)id[0] > 127) return false;
  for (const char *c = id; *c; c++)
    if ((unsigned char)*c > 127 || !(isalnum((unsigned char)*c) || *c == '_')) return false;
  return true;
}

static void fail_memory(dpi_sbmlw *w) {
  if (w->status == DP_OK) w->status = DP_ERR_MEMORY;
}

static void put(dpi_sbmlw *w, dpi_map *map, const char *key, int value) {
  if (dpi_map_put(map, key, value) != DP_OK) fail_memory(w);
}

/* "a.b" -> "a__b", as a submodel's elements are called by other programs; other characters become _ */
static const char *legal(dpi_sbmlw *w, const char *id) {
  size_t n = strlen(id);
  char *out = dpi_arena_alloc(&w->arena, 2 * n + 2);
  if (out == NULL) {
    fail_memory(w);
    return "";
  }
  size_t k = 0;
  if (isdigit((unsigned char)id[0])) out[k++] = '_';
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)id[i];
    if (c == '.') out[k++] = '_';
    out[k++] = c < 128 && isalnum(c) ? (char)c : '_';
  }
  if (k == 0) out[k++] = '_';
  return out;
}

static const char *fresh(dpi_sbmlw *w, dpi_map *taken, const char *wish) {
  const char *id = legal(w, wish);
  for (int i = 2; id[0] && dpi_map_get(taken, id) >= 0; i++) {
    id = dpi_arena_printf(&w->arena, "%s_%d", legal(w, wish), i);
    if (id == NULL) id = "", fail_memory(w);
  }
  put(w, taken, id, 1);
  return id;
}

const char *dpi_sbmlw_new_id(dpi_sbmlw *w, const char *wish) { return fresh(w, &w->taken, wish); }

static void rename_to(dpi_sbmlw *w, dpi_map *map, const char *id, const char *to) {
  if (dpi_grow(w->net->ctx, (void **)&w->text, &w->cap_text, w->ntext + 1, sizeof *w->text) != DP_OK) {
    fail_memory(w);
    return;
  }
  w->text[w->ntext] = to;
  put(w, map, id, w->ntext++);
}

/* ---- all ids twice: first those that stay, then those that need another ---- */
static void take_id(dpi_sbmlw *w, const char *id, bool second) {
  if (id[0] == '\0' || is_sid(id) != !second) return;
  if (!second) {
    put(w, &w->taken, id, 1);
  } else if (dpi_map_get(&w->renamed, id) < 0) {
    const char *to = dpi_sbmlw_new_id(w, id);
    rename_to(w, &w->renamed, id, to);
    dpi_net_note(w->net, "'%s' is called '%s': SBML ids are letters, digits and _", id, to);
  }
}

static void take_reaction(dpi_sbmlw *w, const dpi_net_reaction *r, bool second) {
  take_id(w, r->id, second);
  for (int k = 0; k < r->nreactant; k++) take_id(w, r->reactant[k].id, second);
  for (int k = 0; k < r->nproduct; k++) take_id(w, r->product[k].id, second);
  for (int k = 0; k < r->nlocal; k++) take_id(w, r->local[k].id, second);
}

static void take_ids(dpi_sbmlw *w, bool second) {
  const dpi_net *net = w->net;
  for (int i = 0; i < net->nfunction; i++) {
    take_id(w, net->function[i].id, second);
    for (int k = 0; k < net->function[i].narg; k++) take_id(w, net->function[i].arg[k], second);
  }
  for (int i = 0; i < net->ncompartment; i++) take_id(w, net->compartment[i].id, second);
  for (int i = 0; i < net->nspecies; i++) take_id(w, net->species[i].id, second);
  for (int i = 0; i < net->nparameter; i++) take_id(w, net->parameter[i].id, second);
  for (int i = 0; i < net->nreaction; i++) take_reaction(w, &net->reaction[i], second);
  for (int i = 0; i < net->nevent; i++) take_id(w, net->event[i].id, second);
  for (int i = 0; i < net->nconstraint; i++) take_id(w, net->constraint[i].id, second);
  for (int i = 0; i < net->nobjective; i++) take_id(w, net->objective[i].id, second);
}

/* ---- units ---- */
static const char *const base_units[] = {
    "ampere", "avogadro", "becquerel", "candela", "coulomb", "dimensionless", "farad", "gram",  "gray",
    "henry",  "hertz",    "item",      "joule",   "katal",   "kelvin",        "kilogram", "litre", "lumen",
    "lux",    "metre",    "mole",      "newton",  "ohm",     "pascal",        "radian", "second", "siemens",
    "sievert", "steradian", "tesla",   "volt",    "watt",    "weber"};

static bool is_base(const char *unit) {
  for (int i = 0; i < DPI_COUNT(base_units); i++)
    if (strcmp(unit, base_units[i]) == 0) return true;
  return false;
}

const dpi_net_unit *dpi_sbmlw_unit_of(const dpi_sbmlw *w, const char *id) {
  const dpi_net *net = w->net;
  for (int i = 0; i < net->nunit && !is_base(id); i++)
    if (strcmp(net->unit[i].id, id) == 0) return &net->unit[i];
  return NULL;
}

/* Is it made of base units in the end? Antimony has units that are defined by themselves. */
static bool is_unit(const dpi_sbmlw *w, const dpi_net_unit *u, int depth, int *left) {
  for (int k = 0; k < u->npart; k++) {
    const char *kind = u->part[k].kind;
    const dpi_net_unit *inner = dpi_sbmlw_unit_of(w, kind);
    if (--*left < 0) return false;
    if (inner ? depth >= 8 || !is_unit(w, inner, depth + 1, left)
              : !is_base(kind) && strcmp(kind, "liter") != 0 && strcmp(kind, "meter") != 0)
      return false;
  }
  return true;
}

bool dpi_sbmlw_unit_is_good(const dpi_sbmlw *w, const dpi_net_unit *u) {
  int left = 1000; /* parts, written out */
  return is_unit(w, u, 0, &left);
}

static void take_units(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  for (int i = 0; i < net->nunit; i++) {
    const char *id = net->unit[i].id;
    if (!dpi_sbmlw_unit_is_good(w, &net->unit[i]))
      dpi_net_note(net, "the unit '%s' is not made of SBML's units: left out", id);
    else if (is_sid(id) && !is_base(id)) put(w, &w->unit_taken, id, i);
  }
  for (int i = 0; i < net->nunit; i++) {
    const char *id = net->unit[i].id;
    if ((is_sid(id) && !is_base(id)) || !dpi_sbmlw_unit_is_good(w, &net->unit[i])) continue;
    const char *wish = is_base(id) ? dpi_arena_printf(&w->arena, "%s_unit", id) : id;
    const char *to = wish ? fresh(w, &w->unit_taken, wish) : "";
    rename_to(w, &w->unit_renamed, id, to);
    dpi_net_note(net, "unit '%s' is called '%s'", id, to);
  }
}

/* Levels 1 and 2 know five words of their own, unless the model defines them otherwise; 'area' has no base unit */
static const char *old_word(const dpi_sbmlw *w, const char *unit) {
  static const char *const words[][2] = {
      {"substance", "mole"}, {"volume", "litre"}, {"length", "metre"}, {"time", "second"}};
  if (w->net->level != 1 && w->net->level != 2) return NULL;
  for (int i = 0; i < DPI_COUNT(words); i++)
    if (strcmp(unit, words[i][0]) == 0) return words[i][1];
  return NULL;
}

static bool area_is_used(const dpi_net *net) {
  for (int i = 0; i < net->ncompartment; i++)
    if (net->compartment[i].dimensions == 2.0 || strcmp(net->compartment[i].unit, "area") == 0) return true;
  for (int i = 0; i < net->nparameter; i++)
    if (strcmp(net->parameter[i].unit, "area") == 0) return true;
  return false;
}

const char *dpi_sbmlw_model_unit(const dpi_sbmlw *w, const char *said, const char *word) {
  if (said[0] || (w->net->level != 1 && w->net->level != 2)) return dpi_sbmlw_unit(w, said);
  if (strcmp(word, "area") == 0 && dpi_map_get(&w->unit_taken, "area") < 0) return "";
  return dpi_sbmlw_unit(w, word);
}

const char *dpi_sbmlw_unit(const dpi_sbmlw *w, const char *unit) {
  if (unit[0] == '\0') return "";
  int i = dpi_map_get(&w->unit_renamed, unit);
  if (i >= 0) return w->text[i];
  if (dpi_map_get(&w->unit_taken, unit) >= 0 || is_base(unit)) return unit;
  if (strcmp(unit, "liter") == 0) return "litre";
  if (strcmp(unit, "meter") == 0) return "metre";
  const char *word = old_word(w, unit);
  if (word) return word;
  dpi_net_note(w->net, "the unit '%s' is not defined: left out", unit);
  return "";
}

/* ---- */
void dpi_sbmlw_names_init(dpi_sbmlw *w) {
  dpi_map *map[] = {&w->taken, &w->unit_taken, &w->renamed, &w->unit_renamed, &w->annotated};
  for (int i = 0; i < DPI_COUNT(map); i++) dpi_map_init(map[i], w->net->ctx);
}

void dpi_sbmlw_name(dpi_sbmlw *w, const char *key, const char *wish) {
  rename_to(w, &w->renamed, key, dpi_sbmlw_new_id(w, wish));
}

void dpi_sbmlw_restore(dpi_sbmlw *w, const char *key, const char *id) { rename_to(w, &w->renamed, key, id); }


dp_status dpi_sbmlw_names(dpi_sbmlw *w) {
  const dpi_net *net = w->net;
  take_ids(w, false);
  take_ids(w, true);
  take_units(w);
  if ((net->level == 1 || net->level == 2) && dpi_map_get(&w->unit_taken, "area") < 0 && area_is_used(net)) {
    put(w, &w->unit_taken, "area", 1);
    w->define_area = true;
  }
  w->model_id = net->id;
  if (net->id[0] && (!is_sid(net->id) || dpi_map_get(&w->taken, net->id) >= 0)) {
    w->model_id = dpi_sbmlw_new_id(w, net->id);
    dpi_net_note(net, "the model '%s' is called '%s'", net->id, w->model_id);
  } else if (net->id[0]) {
    put(w, &w->taken, net->id, 1);
  }
  w->default_compartment = "";
  for (int i = 0; i < net->nspecies; i++)
    if (net->species[i].compartment[0] == '\0') {
      w->default_compartment = dpi_sbmlw_new_id(w, "default_compartment");
      dpi_net_note(net, "species without compartment are in '%s', of size 1", w->default_compartment);
      break;
    }
  return w->status;
}

void dpi_sbmlw_names_release(dpi_sbmlw *w) {
  dpi_map *map[] = {&w->taken, &w->unit_taken, &w->renamed, &w->unit_renamed, &w->annotated};
  for (int i = 0; i < DPI_COUNT(map); i++) dpi_map_release(map[i]);
  dpi_free(w->net->ctx, w->text);
}

const char *dpi_sbmlw_id(const dpi_sbmlw *w, const char *id) {
  int i = dpi_map_get(&w->renamed, id);
  return i >= 0 ? w->text[i] : id;
}
