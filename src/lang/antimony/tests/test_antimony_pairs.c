/* 108 Antimony texts beside the SBML that libAntimony made of them: both must be the same network, element by element
 * and formula by formula, so that all that follows from them is the same. Names that a text only uses are parameters
 * without a value in its SBML. Needs ../shared. */
#include "lang/network.h"
#include "lang/tests/lang_check.h"

#define ARCHIVE DOPPEL_SOURCE_DIR "/../shared/suites/antimony-pairs.tar.xz"
#define FOLDER DOPPEL_BINARY_DIR "/suite-antimony-pairs"

static int unpack(void) {
  FILE *f = fopen(ARCHIVE, "r");
  if (f == NULL) return -1;
  fclose(f);
  return system("mkdir -p '" FOLDER "' && tar xf '" ARCHIVE "' -C '" FOLDER "' && find '" FOLDER
                "' -name '*.txt' | sort > '" FOLDER "/list'");
}

typedef struct pair {
  const char *file;
  const dpi_net *text, *xml;
  int wrong;
} pair;

static void differs(pair *p, const char *id, const char *what, const char *a, const char *b) {
  print_message("%s: %s of '%s': text '%s', SBML '%s'\n", p->file, what, id, a, b);
  p->wrong++;
}

static void same_text(pair *p, const char *id, const char *what, const char *a, const char *b) {
  if (strcmp(a, b) != 0) differs(p, id, what, a, b);
}

/* a name that repeats the id says nothing */
static void same_name(pair *p, const char *id, const char *a, const char *b) {
  same_text(p, id, "name", strcmp(a, id) == 0 ? "" : a, strcmp(b, id) == 0 ? "" : b);
}

static void same_number(pair *p, const char *id, const char *what, double a, double b) {
  char s[40], t[40];
  if (near_enough(a, b, 1e-15)) return;
  snprintf(s, sizeof s, "%.17g", a);
  snprintf(t, sizeof t, "%.17g", b);
  differs(p, id, what, s, t);
}

static void same_flag(pair *p, const char *id, const char *what, bool a, bool b) {
  if (a != b) differs(p, id, what, a ? "true" : "false", b ? "true" : "false");
}

static void same_math(pair *p, const char *id, const char *what, const dpi_ast *a, const dpi_ast *b) {
  dpi_str s, t;
  dpi_str_init(&s, ctx);
  dpi_str_init(&t, ctx);
  dpi_ast_print(a, &s);
  dpi_ast_print(b, &t);
  same_text(p, id, what, dpi_str_text(&s), dpi_str_text(&t));
  dpi_str_release(&s);
  dpi_str_release(&t);
}

/* the partner of element `id`, or a report that there is none */
static int partner(pair *p, const dpi_net *other, const char *id, dpi_net_kind kind) {
  int index = -1;
  if (dpi_net_find(other, id, &index) == kind) return index;
  differs(p, id, "the element", other == p->xml ? "there" : "", other == p->xml ? "" : "there");
  return -1;
}

static void same_compartments(pair *p) {
  for (int i = 0; i < p->text->ncompartment; i++) {
    const dpi_net_compartment *a = &p->text->compartment[i];
    int k = partner(p, p->xml, a->id, DPI_NET_COMPARTMENT);
    if (k < 0) continue;
    same_number(p, a->id, "size", a->size, p->xml->compartment[k].size);
    same_name(p, a->id, a->name, p->xml->compartment[k].name);
  }
  for (int i = 0; i < p->xml->ncompartment; i++) /* the default one need not be said */
    if (strstr(p->xml->compartment[i].id, "default_compartment") == NULL)
      partner(p, p->text, p->xml->compartment[i].id, DPI_NET_COMPARTMENT);
}

static void same_species(pair *p) {
  for (int i = 0; i < p->text->nspecies; i++) {
    const dpi_net_species *a = &p->text->species[i];
    int k = partner(p, p->xml, a->id, DPI_NET_SPECIES);
    if (k < 0) continue;
    const dpi_net_species *b = &p->xml->species[k];
    if (a->compartment[0]) same_text(p, a->id, "compartment", a->compartment, b->compartment);
    if (!a->compartment[0] && strstr(b->compartment, "default_compartment") == NULL)
      differs(p, a->id, "compartment", "", b->compartment);
    double amount = a->only_substance == b->only_substance ? a->amount : NAN;
    same_number(p, a->id, "amount", amount, b->amount);
    same_number(p, a->id, "concentration", a->concentration, b->concentration);
    same_flag(p, a->id, "substance only", a->only_substance, b->only_substance);
    same_flag(p, a->id, "boundary", a->boundary, b->boundary);
    same_name(p, a->id, a->name, b->name);
  }
  for (int i = 0; i < p->xml->nspecies; i++) partner(p, p->text, p->xml->species[i].id, DPI_NET_SPECIES);
}

static const dpi_net_rule *find_rule(const dpi_net *net, const dpi_net_rule *like) {
  for (int i = 0; i < net->nrule; i++)
    if (net->rule[i].kind == like->kind && strcmp(net->rule[i].variable, like->variable) == 0) return &net->rule[i];
  return NULL;
}

static void same_parameters(pair *p) {
  int index;
  for (int i = 0; i < p->text->nparameter; i++) {
    const dpi_net_parameter *a = &p->text->parameter[i];
    int k = partner(p, p->xml, a->id, DPI_NET_PARAMETER);
    if (k < 0) continue;
    const dpi_net_rule ruled = {.kind = DPI_RULE_ASSIGNMENT, .variable = a->id}; /* its value counts nowhere */
    if (find_rule(p->text, &ruled) == NULL) same_number(p, a->id, "value", a->value, p->xml->parameter[k].value);
    same_name(p, a->id, a->name, p->xml->parameter[k].name);
  }
  for (int i = 0; i < p->xml->nparameter; i++) {
    const dpi_net_parameter *b = &p->xml->parameter[i];
    if (b->value == b->value || dpi_net_find(p->text, b->id, &index) != DPI_NET_NOTHING)
      partner(p, p->text, b->id, DPI_NET_PARAMETER);
  }
}

static void same_terms(pair *p, const char *id, const char *what, const dpi_net_term *a, int na, const dpi_net_term *b,
                       int nb) {
  same_number(p, id, what, na, nb);
  for (int i = 0; i < na && i < nb; i++) {
    same_text(p, id, what, a[i].species, b[i].species);
    same_text(p, id, "stoichiometry's name", a[i].id, b[i].id);
    bool bare = a[i].id[0] && b[i].stoichiometry != b[i].stoichiometry; /* a name without a value: 1 here, none there */
    same_number(p, id, "stoichiometry", a[i].stoichiometry, bare && a[i].stoichiometry == 1 ? 1 : b[i].stoichiometry);
  }
}

static void same_reactions(pair *p) {
  for (int i = 0; i < p->text->nreaction; i++) {
    const dpi_net_reaction *a = &p->text->reaction[i];
    int k = partner(p, p->xml, a->id, DPI_NET_REACTION);
    if (k < 0) continue;
    const dpi_net_reaction *b = &p->xml->reaction[k];
    same_terms(p, a->id, "reactants", a->reactant, a->nreactant, b->reactant, b->nreactant);
    same_terms(p, a->id, "products", a->product, a->nproduct, b->product, b->nproduct);
    same_math(p, a->id, "rate", a->rate, b->rate);
    same_flag(p, a->id, "reversible", a->reversible, b->reversible);
    same_text(p, a->id, "compartment", a->compartment, b->compartment);
  }
  for (int i = 0; i < p->xml->nreaction; i++) partner(p, p->text, p->xml->reaction[i].id, DPI_NET_REACTION);
}

static void same_rules(pair *p) {
  same_number(p, "rules", "number", p->text->nrule, p->xml->nrule);
  for (int i = 0; i < p->text->nrule; i++) {
    const dpi_net_rule *a = &p->text->rule[i], *b = find_rule(p->xml, a);
    if (b == NULL) differs(p, a->variable, "rule", "there", "");
    if (b != NULL) same_math(p, a->variable, "rule", a->math, b->math);
  }
}

static void same_events(pair *p) {
  same_number(p, "events", "number", p->text->nevent, p->xml->nevent);
  for (int i = 0; i < p->text->nevent && i < p->xml->nevent; i++) {
    const dpi_net_event *a = &p->text->event[i], *b = &p->xml->event[i];
    same_text(p, a->id, "id", a->id, b->id);
    same_math(p, a->id, "trigger", a->trigger, b->trigger);
    same_math(p, a->id, "delay", a->delay, b->delay);
    same_math(p, a->id, "priority", a->priority, b->priority);
    same_flag(p, a->id, "t0", a->initial_value, b->initial_value);
    same_flag(p, a->id, "persistent", a->persistent, b->persistent);
    same_flag(p, a->id, "fromTrigger", a->from_trigger, b->from_trigger);
    same_number(p, a->id, "assignments", a->nassign, b->nassign);
    for (int k = 0; k < a->nassign && k < b->nassign; k++) {
      int m = 0; /* SBML gives them in another order */
      while (m < b->nassign - 1 && strcmp(a->assign[k].variable, b->assign[m].variable) != 0) m++;
      same_math(p, a->assign[k].variable, "event assignment", a->assign[k].math, b->assign[m].math);
    }
  }
}

static dpi_net *read_net(const dpi_language *language, const char *path) {
  char *text = NULL;
  size_t size = 0;
  dpi_net *net = NULL;
  check_ok(dpi_file_read(ctx, path, 0, &text, &size));
  dp_ctx_clear_error(ctx);
  if (language->read(ctx, text, size, path, &net) != DP_OK) print_message("%s\n", dp_ctx_error(ctx));
  dpi_free(ctx, text);
  return net;
}

static int one_pair(const char *path, int *read) {
  char xml[1000];
  pair p = {.file = strrchr(path, '/') + 1};
  snprintf(xml, sizeof xml, "%.*s.xml", (int)strlen(path) - 4, path);
  dpi_net *a = read_net(&dpi_language_antimony, path), *b = read_net(&dpi_language_sbml, xml);
  p.text = a;
  p.xml = b;
  if (a != NULL && b != NULL) {
    *read += 1;
    same_compartments(&p);
    same_species(&p);
    same_parameters(&p);
    same_reactions(&p);
    same_rules(&p);
    same_events(&p);
  }
  dpi_net_destroy(a);
  dpi_net_destroy(b);
  return p.wrong;
}

static void text_and_sbml_are_one_network(void **state) {
  (void)state;
  int unpacked = unpack(), n = 0, read = 0, different = 0;
  if (unpacked < 0) {
    print_message("skipped: ../shared not there\n");
    skip();
  }
  assert_int_equal(unpacked, 0);
  FILE *list = fopen(FOLDER "/list", "r");
  assert_non_null(list);
  char path[1000];
  for (; fgets(path, sizeof path, list) != NULL; n++) {
    path[strcspn(path, "\n")] = '\0';
    different += one_pair(path, &read) > 0;
  }
  fclose(list);
  print_message("%d pairs, %d read on both sides, %d different\n", n, read, different);
  assert_int_equal(n, 108);
  assert_int_equal(read, 108);
  assert_int_equal(different, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(text_and_sbml_are_one_network)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
