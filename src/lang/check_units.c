/* check_units.c - floor 3: do the units of a model's formulas agree?
 *
 * The unit of every formula follows from what is declared. A number without a unit fits anything it is added to; in a
 * product it counts as a pure number, and when the product then disagrees, the number may carry the unit: that is not
 * called a disagreement. What depends on an element without a declared unit is not checked, and the elements are named.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/check_dimension.h"
#include "lang/check_impl.h"

typedef enum known {
  UNKNOWN, /* something in it has no unit */
  ANY,     /* a number without a unit: fits */
  KNOWN,
} known;

typedef struct quantity {
  known known;
  bool number;       /* a number other than 1 is a factor of it */
  dpi_dimension d;   /* KNOWN */
} quantity;

typedef struct frame { /* arguments of a function being followed */
  const dpi_net_function *f;
  const quantity *arg;
} frame;

typedef struct complaint { /* the same said of several elements */
  char text[240];
  dpi_check_names names;
  const char *what, *last; /* what the first one is; element named last */
} complaint;

enum { MAX_COMPLAINTS = 40, MAX_DEPTH = 2 * DPI_AST_DEPTH, MAX_ARGS = 32, MAX_VISITS = 4000000 };

typedef struct units {
  dpi_checker *c;
  const dpi_net *net;
  quantity substance, time, extent, volume, area, length;
  const char *element; /* being looked at, with its place and what it is */
  int line;
  const char *what;
  const dpi_net_reaction *reaction;
  uint8_t *unknown;    /* [net->nentry] an element whose unit was needed and is not declared */
  dpi_check_names locals; /* the same for local parameters */
  int nformula, nunchecked, ncomplaint, nmore;
  complaint *complaint; /* [MAX_COMPLAINTS] */
  dpi_check_names numbers; /* disagree, but for a number */
  const char *doubted;     /* the last of them */
  int work;
} units;

static quantity any(void) { return (quantity){ANY, false, dpi_dimension_one()}; }
static quantity pure(void) { return (quantity){KNOWN, false, dpi_dimension_one()}; }
static quantity unknown(void) { return (quantity){UNKNOWN, false, dpi_dimension_one()}; }

/* ---------------------------------------------------------------- declared units */
static quantity declared(const units *u, const char *unit) {
  quantity q = pure();
  return unit[0] && dpi_dimension_of(u->net, unit, &q.d) ? q : unknown();
}

/* what the model says, or the word that Levels 1 and 2 have for it */
static quantity of_model(const units *u, const char *said, const char *word) {
  if (said[0]) return declared(u, said);
  return u->net->level == 1 || u->net->level == 2 ? declared(u, word) : unknown();
}

static quantity times(quantity a, quantity b, double power) {
  if (a.known == UNKNOWN || b.known == UNKNOWN) return unknown();
  quantity q = {a.known == ANY && b.known == ANY ? ANY : KNOWN, a.number || b.number,
                dpi_dimension_times(a.d, b.d, power)};
  return q;
}

static quantity of_compartment(const units *u, const dpi_net_compartment *c) {
  if (c->unit[0]) return declared(u, c->unit);
  return c->dimensions == 3 ? u->volume : c->dimensions == 2 ? u->area : c->dimensions == 1 ? u->length
         : c->dimensions == 0 ? pure() : unknown();
}

static quantity of_species(const units *u, const dpi_net_species *s) {
  int index;
  quantity substance = s->substance_unit[0] ? declared(u, s->substance_unit) : u->substance;
  if (s->only_substance || dpi_net_find(u->net, s->compartment, &index) != DPI_NET_COMPARTMENT) return substance;
  return times(substance, of_compartment(u, &u->net->compartment[index]), -1.0);
}

static quantity of_entry(units *u, int e) {
  dpi_net_entry x = u->net->entry[e];
  switch (x.kind) {
    case DPI_NET_COMPARTMENT: return of_compartment(u, &u->net->compartment[x.index]);
    case DPI_NET_SPECIES: return of_species(u, &u->net->species[x.index]);
    case DPI_NET_PARAMETER: return declared(u, u->net->parameter[x.index].unit);
    case DPI_NET_REACTION: return times(u->extent, u->time, -1.0);
    case DPI_NET_TERM: return pure();
    default: return unknown();
  }
}

static quantity of_id(units *u, const char *id) {
  int e = dpi_map_get(&u->net->ids, id);
  if (e < 0) return unknown();
  quantity q = of_entry(u, e);
  if (q.known == UNKNOWN) u->unknown[e] = 1;
  return q;
}

static quantity of_name(units *u, const dpi_ast *a, const frame *f) {
  for (int k = 0; f && k < f->f->narg; k++)
    if (strcmp(f->f->arg[k], a->name) == 0) return f->arg[k];
  const dpi_net_parameter *local = f ? NULL : dpi_check_local(u->reaction, a->name);
  if (local == NULL) return of_id(u, a->name);
  quantity q = declared(u, local->unit);
  if (q.known == UNKNOWN && !local->unit[0]) {
    char id[140];
    snprintf(id, sizeof id, "%.60s.%.60s", u->reaction->id, local->id);
    dpi_check_names_add(&u->locals, id, local->line);
    u->locals.first = "";
  }
  return q;
}

/* ---------------------------------------------------------------- disagreements */
static void complain(units *u, const char *text) {
  int k = 0;
  while (k < u->ncomplaint && strcmp(u->complaint[k].text, text) != 0) k++;
  if (k == MAX_COMPLAINTS) {
    u->nmore++;
    return;
  }
  complaint *c = &u->complaint[k];
  if (k == u->ncomplaint) {
    *c = (complaint){.what = u->what, .last = ""};
    snprintf(c->text, sizeof c->text, "%s", text);
    u->ncomplaint++;
  }
  if (strcmp(c->last, u->element) != 0) dpi_check_names_add(&c->names, u->element, u->line);
  c->last = u->element;
}

/* the formula would be right if one of its numbers had a unit */
static void doubt(units *u) {
  if (u->doubted == u->element) return;
  u->doubted = u->element;
  dpi_check_names_add(&u->numbers, u->element, u->line);
}

static void disagree(units *u, quantity a, quantity b, const char *how) {
  char left[100], right[100], text[240];
  if (a.number || b.number) {
    doubt(u);
    return;
  }
  dpi_dimension_print(&a.d, left, sizeof left);
  dpi_dimension_print(&b.d, right, sizeof right);
  snprintf(text, sizeof text, "%s %s and %s", how, left, right);
  complain(u, text);
}

/* Must be alike; gives what is known of both. */
static void match(units *u, quantity *a, quantity b, const char *how) {
  if (a->known == KNOWN && b.known == KNOWN) {
    if (!dpi_dimension_equal(&a->d, &b.d)) disagree(u, *a, b, how);
    a->number = a->number || b.number;
  } else if (a->known == ANY) {
    *a = b;
  } else if (a->known == UNKNOWN && b.known == KNOWN) {
    *a = b; /* the other one has to be so too */
  }
}

static void must_be_pure(units *u, quantity q, const char *function) {
  char unit[100], text[240];
  if (q.known != KNOWN || dpi_dimension_plain(&q.d)) return;
  if (q.number) {
    doubt(u);
    return;
  }
  dpi_dimension_print(&q.d, unit, sizeof unit);
  snprintf(text, sizeof text, "the argument of %s has the unit %s, not a pure number", function, unit);
  complain(u, text);
}

/* ---------------------------------------------------------------- inference */
static dp_status infer(units *u, const dpi_ast *a, const frame *f, int depth, quantity *out);

static dp_status infer_alike(units *u, const dpi_ast *a, const frame *f, int depth, int step, const char *how,
                             quantity *out) {
  *out = any();
  for (int k = 0; k < a->narg; k += step) {
    quantity q;
    DP_TRY(infer(u, a->arg[k], f, depth, &q));
    match(u, out, q, how);
  }
  return DP_OK;
}

static dp_status infer_product(units *u, const dpi_ast *a, const frame *f, int depth, quantity *out) {
  *out = pure();
  bool all_any = true;
  for (int k = 0; k < a->narg; k++) {
    quantity q;
    DP_TRY(infer(u, a->arg[k], f, depth, &q));
    all_any = all_any && q.known == ANY;
    if (q.known == ANY && !(a->arg[k]->op == DPI_AST_NUMBER && fabs(a->arg[k]->value) == 1.0)) q.number = true;
    *out = times(*out, q, a->op == DPI_AST_DIVIDE && k == 1 ? -1.0 : 1.0);
  }
  if (all_any) *out = any();
  return DP_OK;
}

/* the value of an exponent that never changes */
static bool constant_value(const units *u, const dpi_ast *a, double *out) {
  if (a->op == DPI_AST_NUMBER) return *out = a->value, true;
  if (a->op == DPI_AST_MINUS && a->narg == 1) {
    bool good = constant_value(u, a->arg[0], out);
    *out = -*out;
    return good;
  }
  if (a->op == DPI_AST_DIVIDE) {
    double x, y;
    if (!constant_value(u, a->arg[0], &x) || !constant_value(u, a->arg[1], &y)) return false;
    return *out = x / y, true;
  }
  if (a->op != DPI_AST_NAME) return false;
  const dpi_net_parameter *p = dpi_check_local(u->reaction, a->name);
  int index;
  if (p == NULL && dpi_net_find(u->net, a->name, &index) == DPI_NET_PARAMETER && u->net->parameter[index].constant)
    p = &u->net->parameter[index];
  if (p == NULL || isnan(p->value)) return false;
  return *out = p->value, true;
}

static dp_status infer_power(units *u, const dpi_ast *base, const dpi_ast *exponent, bool root, const frame *f,
                             int depth, quantity *out) {
  quantity b, e;
  double n;
  DP_TRY(infer(u, base, f, depth, &b));
  DP_TRY(infer(u, exponent, f, depth, &e));
  must_be_pure(u, e, "an exponent");
  *out = b;
  if (b.known != KNOWN) return DP_OK;
  if (dpi_dimension_plain(&b.d) && b.d.factor == 1.0) return DP_OK;
  if (f || !constant_value(u, exponent, &n) || (root && n == 0)) *out = unknown();
  else out->d = dpi_dimension_times(dpi_dimension_one(), b.d, root ? 1.0 / n : n);
  return DP_OK;
}

static dp_status infer_call(units *u, const dpi_ast *a, const frame *f, int depth, quantity *out) {
  int index;
  quantity arg[MAX_ARGS];
  *out = unknown();
  for (int k = 0; k < a->narg; k++) {
    quantity q;
    DP_TRY(infer(u, a->arg[k], f, depth, &q));
    if (k < MAX_ARGS) arg[k] = q;
  }
  if (dpi_net_find(u->net, a->name, &index) != DPI_NET_FUNCTION) return DP_OK;
  const dpi_net_function *g = &u->net->function[index];
  if (g->narg != a->narg || g->narg > MAX_ARGS || g->body == NULL) return DP_OK;
  return infer(u, g->body, &(frame){g, arg}, depth, out);
}

static dp_status infer_inside(units *u, const dpi_ast *a, const frame *f, int depth, const char *function,
                              quantity *out) {
  *out = pure();
  for (int k = 0; k < a->narg; k++) {
    quantity q;
    DP_TRY(infer(u, a->arg[k], f, depth, &q));
    if (function) must_be_pure(u, q, function);
    if (q.known == UNKNOWN && function == NULL) *out = unknown();
  }
  return DP_OK;
}

static dp_status infer_piecewise(units *u, const dpi_ast *a, const frame *f, int depth, quantity *out) {
  for (int k = 1; k < a->narg; k += 2) DP_TRY(infer(u, a->arg[k], f, depth, out));
  return infer_alike(u, a, f, depth, 2, "alternatives have the units", out);
}

static dp_status infer_relation(units *u, const dpi_ast *a, const frame *f, int depth, quantity *out) {
  quantity q;
  DP_TRY(infer_alike(u, a, f, depth, 1, "compared are", &q));
  *out = pure();
  return DP_OK;
}

static dp_status infer_delay(units *u, const dpi_ast *a, const frame *f, int depth, quantity *out) {
  quantity lag;
  DP_TRY(infer(u, a->arg[0], f, depth, out));
  DP_TRY(infer(u, a->arg[1], f, depth, &lag));
  match(u, &lag, u->time, "a lag and time have the units");
  return DP_OK;
}

static dp_status infer(units *u, const dpi_ast *a, const frame *f, int depth, quantity *out) {
  *out = unknown();
  if (a == NULL || depth > MAX_DEPTH || ++u->work > MAX_VISITS) return DP_OK;
  depth++;
  switch (a->op) {
    case DPI_AST_NUMBER: *out = a->unit[0] ? declared(u, a->unit) : any(); return DP_OK;
    case DPI_AST_NAME: *out = of_name(u, a, f); return DP_OK;
    case DPI_AST_TIME: *out = u->time; return DP_OK;
    case DPI_AST_INFINITY:
    case DPI_AST_NAN: *out = any(); return DP_OK;
    case DPI_AST_AVOGADRO: *out = pure(); out->number = true; return DP_OK; /* often meant as 1/mole */
    case DPI_AST_PI:
    case DPI_AST_E:
    case DPI_AST_TRUE:
    case DPI_AST_FALSE: *out = pure(); return DP_OK;
    case DPI_AST_PLUS:
    case DPI_AST_MINUS:
      return infer_alike(u, a, f, depth, 1, a->op == DPI_AST_PLUS ? "added are" : "subtracted are", out);
    case DPI_AST_MIN:
    case DPI_AST_MAX:
    case DPI_AST_REM:
    case DPI_AST_ABS:
    case DPI_AST_FLOOR:
    case DPI_AST_CEIL: return infer_alike(u, a, f, depth, 1, "compared are", out);
    case DPI_AST_TIMES:
    case DPI_AST_DIVIDE: return infer_product(u, a, f, depth, out);
    case DPI_AST_POWER: return infer_power(u, a->arg[0], a->arg[1], false, f, depth, out);
    case DPI_AST_ROOT: return infer_power(u, a->arg[1], a->arg[0], true, f, depth, out);
    case DPI_AST_EQ:
    case DPI_AST_NE:
    case DPI_AST_LT:
    case DPI_AST_LE:
    case DPI_AST_GT:
    case DPI_AST_GE: return infer_relation(u, a, f, depth, out);
    case DPI_AST_NOT:
    case DPI_AST_AND:
    case DPI_AST_OR:
    case DPI_AST_XOR:
    case DPI_AST_IMPLIES: return infer_inside(u, a, f, depth, NULL, out);
    case DPI_AST_PIECEWISE: return infer_piecewise(u, a, f, depth, out);
    case DPI_AST_DELAY: return infer_delay(u, a, f, depth, out);
    case DPI_AST_RATEOF:
      DP_TRY(infer(u, a->arg[0], f, depth, out));
      *out = times(*out, u->time, -1.0);
      return DP_OK;
    case DPI_AST_CALL: return infer_call(u, a, f, depth, out);
    case DPI_AST_DRAW: DP_TRY(infer_inside(u, a, f, depth, NULL, out)); *out = unknown(); return DP_OK;
    case DPI_AST_QUOTIENT: DP_TRY(infer_product(u, a, f, depth, out)); *out = unknown(); return DP_OK;
    default: return infer_inside(u, a, f, depth, a->op == DPI_AST_BUILTIN ? NULL : dpi_ast_text(a->op), out);
  }
}

/* ---------------------------------------------------------------- every formula of the model */
/* A formula whose unit should be `want`; known UNKNOWN: nothing is expected of it. */
static dp_status formula(units *u, const char *what, const char *element, int line, const dpi_ast *a, quantity want,
                         const char *how) {
  quantity got;
  if (a == NULL) return DP_OK;
  u->what = what;
  u->element = element[0] ? element : "(unnamed)";
  u->line = line;
  u->nformula++;
  DP_TRY(infer(u, a, NULL, 0, &got));
  if (how == NULL) return DP_OK;
  if (got.known == UNKNOWN || want.known == UNKNOWN) u->nunchecked++;
  else match(u, &got, want, how);
  return DP_OK;
}

static dp_status rules(units *u) {
  for (int i = 0; i < u->net->nrule; i++) {
    const dpi_net_rule *r = &u->net->rule[i];
    const char *what = r->kind == DPI_RULE_RATE ? "rate of" : r->kind == DPI_RULE_INITIAL ? "start of" : "rule for";
    if (r->kind == DPI_RULE_ALGEBRAIC) {
      DP_TRY(formula(u, "rule", "0 = ...", r->line, r->math, any(), NULL));
      continue;
    }
    quantity want = of_id(u, r->variable);
    if (r->kind == DPI_RULE_RATE) want = times(want, u->time, -1.0);
    DP_TRY(formula(u, what, r->variable, r->line, r->math, want, "formula and what it gives have the units"));
  }
  return DP_OK;
}

static dp_status reactions(units *u) {
  quantity rate = times(u->extent, u->time, -1.0);
  for (int i = 0; i < u->net->nreaction; i++) {
    const dpi_net_reaction *r = &u->net->reaction[i];
    u->reaction = r;
    DP_TRY(formula(u, "reaction", r->id, r->line, r->rate, rate, "its rate and extent per time have the units"));
  }
  u->reaction = NULL;
  return DP_OK;
}

static dp_status events(units *u) {
  for (int i = 0; i < u->net->nevent; i++) {
    const dpi_net_event *e = &u->net->event[i];
    DP_TRY(formula(u, "trigger of event", e->id, e->line, e->trigger, any(), NULL));
    DP_TRY(formula(u, "delay of event", e->id, e->line, e->delay, u->time, "delay and time have the units"));
    DP_TRY(formula(u, "priority of event", e->id, e->line, e->priority, any(), NULL));
    for (int k = 0; k < e->nassign; k++)
      DP_TRY(formula(u, "event assignment to", e->assign[k].variable, e->line, e->assign[k].math,
                     of_id(u, e->assign[k].variable), "formula and what it gives have the units"));
  }
  for (int i = 0; i < u->net->nconstraint; i++)
    DP_TRY(formula(u, "constraint", u->net->constraint[i].id, u->net->constraint[i].line, u->net->constraint[i].math,
                   any(), NULL));
  return DP_OK;
}

/* ---------------------------------------------------------------- what is not declared */
static bool declares_anything(const dpi_net *net) {
  const char *model[] = {net->substance_unit, net->time_unit, net->volume_unit, net->extent_unit};
  bool any_said = net->nunit > 0;
  for (int i = 0; i < DPI_COUNT(model); i++) any_said = any_said || model[i][0];
  for (int i = 0; i < net->nparameter && !any_said; i++) any_said = net->parameter[i].unit[0];
  for (int i = 0; i < net->nspecies && !any_said; i++) any_said = net->species[i].substance_unit[0];
  for (int i = 0; i < net->ncompartment && !any_said; i++) any_said = net->compartment[i].unit[0];
  for (int i = 0; i < net->nreaction && !any_said; i++)
    for (int k = 0; k < net->reaction[i].nlocal && !any_said; k++) any_said = net->reaction[i].local[k].unit[0];
  return any_said;
}

static dp_status undeclared(units *u) {
  const dpi_net *net = u->net;
  dpi_check_names p = {0}, s = {0}, v = {0};
  for (int i = 0; i < net->nparameter; i++)
    if (!net->parameter[i].unit[0] && u->unknown[dpi_map_get(&net->ids, net->parameter[i].id)])
      dpi_check_names_add(&p, net->parameter[i].id, net->parameter[i].line);
  for (int i = 0; i < net->nspecies; i++)
    if (!net->species[i].substance_unit[0] && u->unknown[dpi_map_get(&net->ids, net->species[i].id)])
      dpi_check_names_add(&s, net->species[i].id, net->species[i].line);
  for (int i = 0; i < net->ncompartment; i++)
    if (!net->compartment[i].unit[0] && u->unknown[dpi_map_get(&net->ids, net->compartment[i].id)])
      dpi_check_names_add(&v, net->compartment[i].id, net->compartment[i].line);
  DP_TRY(dpi_check_names_say(u->c, &v, DP_FINDING_UNITS, "compartment %s has no unit",
                             "%d compartments have no unit: %s"));
  DP_TRY(dpi_check_names_say(u->c, &s, DP_FINDING_UNITS, "species %s has no unit", "%d species have no unit: %s"));
  DP_TRY(dpi_check_names_say(u->c, &p, DP_FINDING_UNITS, "parameter %s has no unit", "%d parameters have no unit: %s"));
  DP_TRY(dpi_check_names_say(u->c, &u->locals, DP_FINDING_UNITS, "local parameter %s has no unit",
                             "local parameters are used %d times without a unit: %s"));
  if (u->time.known == UNKNOWN && !net->time_unit[0])
    DP_TRY(dpi_check_say(u->c, DP_FINDING_UNITS, "", 0, "time has no unit"));
  if (u->extent.known == UNKNOWN && !net->extent_unit[0] && net->nreaction > 0)
    DP_TRY(dpi_check_say(u->c, DP_FINDING_UNITS, "", 0, "the extent of reactions has no unit"));
  return DP_OK;
}

static dp_status say_complaint(units *u, const complaint *c) {
  if (c->names.n == 1)
    return dpi_check_say(u->c, DP_FINDING_UNITS, c->names.first, c->names.line, "%s %s: %s", c->what, c->names.first,
                         c->text);
  char many[300];
  snprintf(many, sizeof many, "%s, in %%d places: %%s", c->text);
  return dpi_check_names_say(u->c, &c->names, DP_FINDING_UNITS, many, many);
}

static dp_status say_rest(units *u) {
  for (int i = 0; i < u->ncomplaint; i++) DP_TRY(say_complaint(u, &u->complaint[i]));
  if (u->nmore > 0) DP_TRY(dpi_check_say(u->c, DP_FINDING_UNITS, "", 0, "units disagree in %d more places", u->nmore));
  DP_TRY(dpi_check_names_say(u->c, &u->numbers, DP_FINDING_UNITS,
                             "%s: units agree only if a number in the formula carries one",
                             "%d times units agree only if a number in the formula carries one: %s"));
  DP_TRY(undeclared(u));
  if (u->nunchecked > 0)
    DP_TRY(dpi_check_say(u->c, DP_FINDING_UNITS, "", 0,
                         "%d of %d formulas could not be checked for want of declared units", u->nunchecked,
                         u->nformula));
  if (u->ncomplaint == 0 && u->nunchecked == 0 && u->numbers.n == 0)
    return dpi_check_say(u->c, DP_FINDING_UNITS, "", 0, "the units of all %d formulas agree", u->nformula);
  return DP_OK;
}

dp_status dpi_check_units(dpi_checker *c) {
  const dpi_net *net = c->net;
  units u = {.c = c, .net = net};
  u.substance = of_model(&u, net->substance_unit, "substance");
  u.time = of_model(&u, net->time_unit, "time");
  u.volume = of_model(&u, net->volume_unit, "volume");
  u.area = of_model(&u, net->area_unit, "area");
  u.length = of_model(&u, net->length_unit, "length");
  u.extent = of_model(&u, net->extent_unit, "substance");
  DP_TRY(dpi_check_unit_words(c));
  if (net->nrule + net->nreaction + net->nevent == 0) return DP_OK;
  if (!declares_anything(net))
    return dpi_check_say(c, DP_FINDING_UNITS, "", 0, "no units are declared: nothing to check");
  u.unknown = DPI_ARENA_ARRAY(&c->arena, uint8_t, net->nentry);
  u.complaint = DPI_ARENA_ARRAY(&c->arena, complaint, MAX_COMPLAINTS);
  if (u.unknown == NULL || u.complaint == NULL) return DP_ERR_MEMORY;
  DP_TRY(rules(&u));
  DP_TRY(reactions(&u));
  DP_TRY(events(&u));
  return say_rest(&u);
}
