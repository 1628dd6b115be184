/* network.h - floor 3: a reaction network as the modeller wrote it, before any equation is made of it.
 *
 *     SBML     --sbml/read--.                                    .--sbml/write-->     SBML
 *                            >--> dpi_net (elements, mathematics) <
 *     Antimony --antimony/--'              |                      '--antimony/write--> Antimony
 *                                          '--network/lower--> dp_model (symbols, expressions, events)
 *
 * A dpi_net is one flat model: submodels are already written out. Its meaning is that of SBML Level 3 Version 2 core
 * (plus `fast` of earlier levels, flux balance and random draws); readers of other levels and languages translate into
 * it: defaults of a level become explicit values, a local parameter stays with its reaction.
 *
 * Everything lives in the net's arena; strings are never NULL ("" when absent); mathematics may be NULL (SBML L3V2
 * allows elements without). `line` is the line in the source (0 unknown).
 * Elements are found by id through dpi_net_find.
 */
#ifndef DPI_NETWORK_H
#define DPI_NETWORK_H

#include "lang/lang.h"
#include "num/num.h"

/* ---------------------------------------------------------------- mathematics as written (network/ast.c) */
/* op, name in Antimony's infix (L3 infix of libSBML), fewest arguments, most (-1 any number).
 * ROOT is (degree, x), LOG is (base, x), PIECEWISE is (value, condition, value, condition, ..., [otherwise]).
 * Relations and AND, OR, XOR, PLUS, TIMES, MIN, MAX are n-ary; EQ LT LE GT GE with n > 2 are chains; NE has two. */
#define DPI_AST_LIST(X)                                                                                               \
  X(NUMBER, "", 0, 0) X(NAME, "", 0, 0) X(TIME, "time", 0, 0) X(AVOGADRO, "avogadro", 0, 0) X(PI, "pi", 0, 0)         \
  X(E, "exponentiale", 0, 0) X(TRUE, "true", 0, 0) X(FALSE, "false", 0, 0) X(INFINITY, "infinity", 0, 0)              \
  X(NAN, "notanumber", 0, 0) X(PLUS, "+", 0, -1) X(TIMES, "*", 0, -1) X(MINUS, "-", 1, 2) X(DIVIDE, "/", 2, 2)        \
  X(POWER, "^", 2, 2) X(ROOT, "root", 2, 2) X(LOG, "log", 2, 2) X(LN, "ln", 1, 1) X(EXP, "exp", 1, 1)                 \
  X(ABS, "abs", 1, 1) X(FLOOR, "floor", 1, 1) X(CEIL, "ceil", 1, 1) X(FACTORIAL, "factorial", 1, 1)                   \
  X(QUOTIENT, "quotient", 2, 2) X(REM, "rem", 2, 2) X(MIN, "min", 1, -1) X(MAX, "max", 1, -1)                         \
  X(SIN, "sin", 1, 1) X(COS, "cos", 1, 1) X(TAN, "tan", 1, 1) X(SEC, "sec", 1, 1) X(CSC, "csc", 1, 1)                 \
  X(COT, "cot", 1, 1) X(SINH, "sinh", 1, 1) X(COSH, "cosh", 1, 1) X(TANH, "tanh", 1, 1) X(SECH, "sech", 1, 1)         \
  X(CSCH, "csch", 1, 1) X(COTH, "coth", 1, 1) X(ARCSIN, "arcsin", 1, 1) X(ARCCOS, "arccos", 1, 1)                     \
  X(ARCTAN, "arctan", 1, 1) X(ARCSEC, "arcsec", 1, 1) X(ARCCSC, "arccsc", 1, 1) X(ARCCOT, "arccot", 1, 1)             \
  X(ARCSINH, "arcsinh", 1, 1) X(ARCCOSH, "arccosh", 1, 1) X(ARCTANH, "arctanh", 1, 1) X(ARCSECH, "arcsech", 1, 1)     \
  X(ARCCSCH, "arccsch", 1, 1) X(ARCCOTH, "arccoth", 1, 1) X(NOT, "!", 1, 1) X(AND, "&&", 0, -1) X(OR, "||", 0, -1)    \
  X(XOR, "xor", 0, -1) X(IMPLIES, "implies", 2, 2) X(EQ, "==", 1, -1) X(NE, "!=", 2, 2) X(LT, "<", 1, -1)             \
  X(LE, "<=", 1, -1) X(GT, ">", 1, -1) X(GE, ">=", 1, -1) X(PIECEWISE, "piecewise", 0, -1)                            \
  X(DELAY, "delay", 2, 2) /* (expression, lag) */                                                                     \
  X(RATEOF, "rateOf", 1, 1) /* (NAME) */                                                                              \
  X(CALL, "", 0, -1) /* function definition `name` */                                                                 \
  X(DRAW, "", 1, -1) /* a random draw; `draw` says of what */                                                         \
  X(BUILTIN, "", 0, -1) /* a function only our own tables know (erf, lgamma, sign, ...): `name` */

typedef enum dpi_ast_op {
#define DPI_AST_ENUM(name, text, min, max) DPI_AST_##name,
  DPI_AST_LIST(DPI_AST_ENUM)
#undef DPI_AST_ENUM
      DPI_AST_COUNT
} dpi_ast_op;

typedef struct dpi_ast dpi_ast;
struct dpi_ast { /* a tree in the net's arena; never shared between two places, at most DPI_AST_DEPTH deep */
  dpi_ast_op op;
  int narg;
  dpi_ast **arg;
  double value;     /* NUMBER */
  const char *name; /* NAME, CALL, BUILTIN; else "" */
  const char *unit; /* NUMBER with a unit; else "" */
  int draw;         /* DRAW: dpi_variate of num/num.h */
  int line;
};
#define DPI_AST_DEPTH 512

typedef struct dpi_net dpi_net;
dpi_ast *dpi_ast_new(dpi_net *net, dpi_ast_op op, int narg); /* args NULL, to be filled; NULL without memory */
dpi_ast *dpi_ast_number(dpi_net *net, double value);
dpi_ast *dpi_ast_name(dpi_net *net, const char *name);       /* copies the name */
dpi_ast *dpi_ast_op1(dpi_net *net, dpi_ast_op op, dpi_ast *a); /* NULL when an argument is NULL */
dpi_ast *dpi_ast_op2(dpi_net *net, dpi_ast_op op, dpi_ast *a, dpi_ast *b);
dpi_ast *dpi_ast_copy(dpi_net *net, const dpi_ast *a);       /* may copy from another net */
/* Visit all nodes, arguments first; stops at the first status that is not DP_OK. */
typedef dp_status (*dpi_ast_visit)(void *user, dpi_ast *node);
dp_status dpi_ast_walk(dpi_ast *a, dpi_ast_visit visit, void *user);
bool dpi_ast_uses(const dpi_ast *a, const char *name);
const char *dpi_ast_text(dpi_ast_op op);
/* Infix that libSBML's SBML_parseL3Formula reads: log10(x), ln(x), piecewise(v, c, ...), delay(x, d), rateOf(x), time,
 * avogadro. Numbers with the fewest digits that read back the same. */
void dpi_ast_print(const dpi_ast *a, dpi_str *out);

/* ---------------------------------------------------------------- elements */
typedef struct dpi_net_unit_part {
  const char *kind; /* SBML base unit: "mole", "litre", "second", "dimensionless", ... */
  double exponent;
  int scale;
  double multiplier; /* (multiplier * 10^scale * kind)^exponent */
} dpi_net_unit_part;

typedef struct dpi_net_unit {
  const char *id, *name;
  int npart;
  dpi_net_unit_part *part;
  int line;
} dpi_net_unit;

typedef struct dpi_net_function {
  const char *id, *name;
  int narg;
  const char **arg;
  dpi_ast *body;
  int line;
} dpi_net_function;

typedef struct dpi_net_compartment {
  const char *id, *name, *unit;
  double dimensions; /* 3 by default; NaN not said; with 0 species in it are amounts in formulas */
  double size;       /* NaN not said */
  bool constant;
  int line;
} dpi_net_compartment;

typedef struct dpi_net_species {
  const char *id, *name;
  const char *compartment;     /* "" : none (Antimony): volume 1 */
  const char *substance_unit;
  const char *conversion;      /* conversion factor's parameter; "" : the model's */
  double amount, concentration; /* initial; NaN not said, at most one is a number */
  bool only_substance;         /* in formulas the id is an amount, not a concentration */
  bool boundary, constant;
  double charge;               /* NaN not said */
  const char *formula;         /* fbc: chemical formula, "" */
  bool dna;                    /* Antimony: part of a DNA strand (kept, no effect) */
  int line;
} dpi_net_species;

typedef struct dpi_net_parameter {
  const char *id, *name, *unit;
  double value; /* NaN not said */
  bool constant;
  int line;
} dpi_net_parameter;

typedef struct dpi_net_term { /* species reference */
  const char *id;      /* "": none; else usable in formulas as the stoichiometry */
  const char *species;
  double stoichiometry; /* NaN not said */
  dpi_ast *math;       /* L2 stoichiometryMath: a formula at all times; NULL */
  bool constant;
  int line;
} dpi_net_term;

typedef struct dpi_net_reaction {
  const char *id, *name;
  const char *compartment; /* no effect on equations */
  bool reversible, fast;
  int nreactant, nproduct, nmodifier, nlocal;
  dpi_net_term *reactant, *product;
  const char **modifier;     /* species ids */
  dpi_net_parameter *local;
  dpi_ast *rate;             /* amount per time; NULL: none (flux balance, or unknown) */
  bool has_rate;             /* a kinetic law stands there, even if without mathematics */
  const char *lower, *upper; /* fbc: parameters (V2, V3), ""; V1 bounds are made into parameters by the reader */
  int line;
} dpi_net_reaction;

typedef struct dpi_net_interaction { /* Antimony: regulates, inhibits, activates; kept, no effect */
  const char *id, *name;
  const char *kind;   /* "-o", "-|", "-(" */
  int nsource;
  const char **source;
  const char *target; /* reaction or species */
  int line;
} dpi_net_interaction;

typedef enum dpi_net_rule_kind {
  DPI_RULE_ASSIGNMENT, /* variable = math at all times */
  DPI_RULE_RATE,       /* d variable / dt = math */
  DPI_RULE_ALGEBRAIC,  /* 0 = math; variable is "" */
  DPI_RULE_INITIAL,    /* variable = math at the start */
} dpi_net_rule_kind;

typedef struct dpi_net_rule {
  dpi_net_rule_kind kind;
  const char *variable;
  dpi_ast *math;
  int line;
} dpi_net_rule;

typedef struct dpi_net_assignment {
  const char *variable;
  dpi_ast *math;
  int line;
} dpi_net_assignment;

typedef struct dpi_net_event {
  const char *id, *name;
  dpi_ast *trigger, *delay, *priority;
  bool initial_value;  /* of the trigger before the start; true: does not fire at the start */
  bool persistent;
  bool from_trigger;   /* values from trigger time */
  int nassign;
  dpi_net_assignment *assign;
  int line;
} dpi_net_event;

typedef struct dpi_net_constraint {
  dpi_ast *math;       /* must stay true */
  const char *id, *message;
  int line;
} dpi_net_constraint;

typedef struct dpi_net_flux_term {
  const char *reaction;
  double coefficient;
} dpi_net_flux_term;

typedef struct dpi_net_objective {
  const char *id, *name;
  bool maximize;
  int nterm;
  dpi_net_flux_term *term;
} dpi_net_objective;

/* Terms that say what an element is; they change no equation and survive a conversion. */
typedef struct dpi_net_annotation {
  const char *id;       /* element; "" : the model */
  const char *key;      /* "name" is with the element; here: "sbo", "notes", "identity", "hasPart",
                         * ... (Antimony's words) */
  int nvalue;
  const char **value;
} dpi_net_annotation;

typedef enum dpi_net_kind { /* what an id names */
  DPI_NET_NOTHING,
  DPI_NET_COMPARTMENT,
  DPI_NET_SPECIES,
  DPI_NET_PARAMETER,
  DPI_NET_REACTION,
  DPI_NET_TERM,     /* species reference: dpi_net_term_at(index) */
  DPI_NET_FUNCTION,
  DPI_NET_EVENT,
} dpi_net_kind;

typedef struct dpi_net_entry {
  dpi_net_kind kind;
  int index;
} dpi_net_entry;

struct dpi_net {
  dp_ctx *ctx;
  dpi_arena arena;
  const char *id, *name;      /* of the model */
  const char *source;         /* file, for messages */
  const char *language;       /* "SBML L3V2", "Antimony" */
  int level, version;         /* of SBML; 0 for Antimony */
  const char *substance_unit, *time_unit, *volume_unit, *area_unit, *length_unit, *extent_unit; /* "" not said */
  const char *conversion;     /* model's conversion factor parameter, "" */
  int nunit, cap_unit;                 dpi_net_unit *unit;
  int nfunction, cap_function;         dpi_net_function *function;
  int ncompartment, cap_compartment;   dpi_net_compartment *compartment;
  int nspecies, cap_species;           dpi_net_species *species;
  int nparameter, cap_parameter;       dpi_net_parameter *parameter;
  int nreaction, cap_reaction;         dpi_net_reaction *reaction;
  int ninteraction, cap_interaction;   dpi_net_interaction *interaction;
  int nrule, cap_rule;                 dpi_net_rule *rule; /* in the text's order, all four kinds */
  int nevent, cap_event;               dpi_net_event *event;
  int nconstraint, cap_constraint;     dpi_net_constraint *constraint;
  int nannotation, cap_annotation;     dpi_net_annotation *annotation;
  /* flux balance (package fbc) */
  bool flux;                           /* the package is used */
  bool strict;                         /* fbc:strict (V2, V3) */
  int nobjective, cap_objective;       dpi_net_objective *objective;
  int active_objective;                /* index, -1 none */
  dpi_map ids;                         /* id -> entry; filled by dpi_net_index */
  int nentry, cap_entry;               struct dpi_net_entry *entry;
  dpi_str *notes;                      /* borrowed: where a writer says what it renamed or left out
                                        * (dpi_net_note); NULL */
};

dp_status dpi_net_create(dp_ctx *ctx, const char *source, dpi_net **out);
void dpi_net_destroy(dpi_net *net); /* NULL allowed */
/* Copy into the arena; NULL without memory. */
const char *dpi_net_text(dpi_net *net, const char *text);
/* Each appends one element with its defaults (NaN, "", constant as L3 says) and gives it back; NULL without memory. The
 * pointer is valid until the next append of the same kind. */
dpi_net_unit *dpi_net_add_unit(dpi_net *net, const char *id);
dpi_net_function *dpi_net_add_function(dpi_net *net, const char *id);
dpi_net_compartment *dpi_net_add_compartment(dpi_net *net, const char *id);
dpi_net_species *dpi_net_add_species(dpi_net *net, const char *id);
dpi_net_parameter *dpi_net_add_parameter(dpi_net *net, const char *id);
dpi_net_reaction *dpi_net_add_reaction(dpi_net *net, const char *id);
dpi_net_interaction *dpi_net_add_interaction(dpi_net *net, const char *id);
dpi_net_rule *dpi_net_add_rule(dpi_net *net, dpi_net_rule_kind kind, const char *variable, dpi_ast *math);
dpi_net_event *dpi_net_add_event(dpi_net *net, const char *id);
dpi_net_constraint *dpi_net_add_constraint(dpi_net *net);
dpi_net_objective *dpi_net_add_objective(dpi_net *net, const char *id);
dpi_net_annotation *dpi_net_add_annotation(dpi_net *net, const char *id, const char *key);
/* Build `ids`; an id given twice is ERR_INPUT by name and line. Readers call it last. */
dp_status dpi_net_index(dpi_net *net);
dpi_net_kind dpi_net_find(const dpi_net *net, const char *id, int *index);
#define DPI_NET_TERM_PLACES 16384 /* most species references of one reaction */
dpi_net_term *dpi_net_term_at(const dpi_net *net, int index); /* index / PLACES: the reaction; reactants first */

/* ---------------------------------------------------------------- to equations (network/lower*.c) */
/* The model takes the net over (also when this fails). ERR_INPUT: contradictory; ERR_UNSUPPORTED: names the construct
 * and the element. Element ids become symbol ids; besides:
 *   amount(S), concentration(S)  for each species: one of them a state where the other is computed;
 *   R.k                          a local parameter of reaction R;
 *   a net id "time" hides the model's own time by that name (symbol 0 stays time). */
dp_status dpi_net_lower(dpi_net *net, dp_model **out);
/* A formula as written -> a node in the scope of the model. Names the model does not know follow `names`. */
typedef enum dpi_names { DPI_NAMES_KNOWN, DPI_NAMES_NEW, DPI_NAMES_USE } dpi_names; /* ERR_INPUT; a new param; used */
dp_status dpi_ast_lower(dp_model *m, const dpi_ast *a, const char *where, dpi_names names, dpi_node *out);

/* ---------------------------------------------------------------- languages (language.c) */
typedef struct dpi_language {
  const char *name; /* "antimony" */
  const char *help;
  const char *ending; /* ".ant .txt" */
  bool (*is)(const char *text, size_t size); /* judged by content */
  /* source: path of the file, for messages and for files it refers to */
  dp_status (*read)(dp_ctx *ctx, const char *text, size_t size, const char *source, dpi_net **out);
  dp_status (*write)(const dpi_net *net, dpi_str *out);
} dpi_language;
extern const dpi_language dpi_language_sbml, dpi_language_antimony;
/* For writers: one line about what was renamed or left out (convert.c). */
void dpi_net_note(const dpi_net *net, const char *fmt, ...) DPI_PRINTF(2, 3);
const dpi_language *dpi_language_find(const char *name); /* NULL: none */
const dpi_language *dpi_language_of(const char *text, size_t size);

#endif
