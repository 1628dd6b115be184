/* check_words.c - floor 3: words that stand for a unit and mean none: misspelt, or never defined.
 *
 * One finding a word, at the first place that uses it. What is said to have such a unit is not called an element
 * without one (check_units.c).
 */
#include <string.h>

#include "lang/check_dimension.h"
#include "lang/check_impl.h"

enum { MAX_WORDS = 32 };

typedef struct word {
  const char *text;
  int line; /* of the first place */
  bool part; /* of a unit's definition */
  dpi_check_names users;
} word;

typedef struct words {
  const dpi_net *net;
  word *word; /* [MAX_WORDS] */
  int n;
  bool more;
} words;

static bool defined(const dpi_net *net, const char *unit) {
  for (int i = 0; i < net->nunit; i++)
    if (strcmp(net->unit[i].id, unit) == 0) return true;
  return false;
}

/* `unit` is said of `id`. A unit that is defined by unknown words is not unknown itself: they are. */
static void look_at(words *w, const char *unit, const char *id, int line, bool part) {
  dpi_dimension d;
  if (!unit[0] || dpi_dimension_of(w->net, unit, &d) || defined(w->net, unit)) return;
  int k = 0;
  while (k < w->n && strcmp(w->word[k].text, unit) != 0) k++;
  if (k == MAX_WORDS) {
    w->more = true;
    return;
  }
  if (k == w->n) w->word[w->n++] = (word){.text = unit, .line = line, .part = part};
  dpi_check_names_add(&w->word[k].users, id, line);
}

static void look_at_model(words *w) {
  const dpi_net *n = w->net;
  look_at(w, n->substance_unit, "substance", 0, false);
  look_at(w, n->time_unit, "time", 0, false);
  look_at(w, n->volume_unit, "volume", 0, false);
  look_at(w, n->area_unit, "area", 0, false);
  look_at(w, n->length_unit, "length", 0, false);
  look_at(w, n->extent_unit, "extent", 0, false);
  for (int i = 0; i < n->nunit; i++)
    for (int k = 0; k < n->unit[i].npart; k++)
      look_at(w, n->unit[i].part[k].kind, n->unit[i].id, n->unit[i].line, true);
}

static void look_at_elements(words *w) {
  const dpi_net *n = w->net;
  for (int i = 0; i < n->ncompartment; i++)
    look_at(w, n->compartment[i].unit, n->compartment[i].id, n->compartment[i].line, false);
  for (int i = 0; i < n->nspecies; i++)
    look_at(w, n->species[i].substance_unit, n->species[i].id, n->species[i].line, false);
  for (int i = 0; i < n->nparameter; i++)
    look_at(w, n->parameter[i].unit, n->parameter[i].id, n->parameter[i].line, false);
  for (int i = 0; i < n->nreaction; i++)
    for (int k = 0; k < n->reaction[i].nlocal; k++)
      look_at(w, n->reaction[i].local[k].unit, n->reaction[i].local[k].id, n->reaction[i].local[k].line, false);
}

static dp_status number_in(void *user, dpi_ast *a) {
  if (a->op == DPI_AST_NUMBER) look_at(user, a->unit, "a number in a formula", a->line, false);
  return DP_OK;
}

static dp_status formula(void *user, dpi_ast *a, const dpi_net_reaction *r) {
  (void)r;
  return a ? dpi_ast_walk(a, number_in, user) : DP_OK;
}

static dp_status say(dpi_checker *c, const word *w) {
  const char *others = w->users.n == 2 ? " and one more" : " and others";
  return dpi_check_say(c, DP_FINDING_UNITS, "", w->line, "'%.60s' is no unit that is known: %s %.100s%s", w->text,
                       w->part ? "in the definition of" : "said of", w->users.first, w->users.n > 1 ? others : "");
}

dp_status dpi_check_unit_words(dpi_checker *c) {
  words w = {.net = c->net, .word = DPI_ARENA_ARRAY(&c->arena, word, MAX_WORDS)};
  if (!w.word) return DP_ERR_MEMORY;
  look_at_model(&w);
  look_at_elements(&w);
  DP_TRY(dpi_check_formulas(c->net, formula, &w));
  for (int k = 0; k < w.n; k++) DP_TRY(say(c, &w.word[k]));
  return w.more ? dpi_check_say(c, DP_FINDING_UNITS, "", 0, "and more words that are no known units") : DP_OK;
}
