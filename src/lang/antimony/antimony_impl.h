/* antimony_impl.h - floor 3: what the files of the Antimony reader share.
 *
 *     antimony_read.c   files and blocks, choice of the main model, the whole order
 *     antimony_scope.c  names: variables, submodels, what is the same as what
 *     antimony_statement.c   one statement after the other: what the text says of each variable
 *     antimony_part.c   reactions, events, strands, submodels: statements with parts
 *     antimony_note.c   annotations and units
 *     antimony_dna.c    what elements of DNA strands inherit
 *     antimony_net.c    variables to the elements of a network
 *
 * Invariants:
 *   1. a submodel is its module's statements, read again in a scope of its own; what the text says later overrides;
 *   2. in mathematics a NAME stands for variable `draw` (-1: argument of a function) until antimony_net.c resolves it;
 *   3. variables that were declared to be the same point (`same`) to one of them, which carries all that was said.
 */
#ifndef DPI_ANTIMONY_IMPL_H
#define DPI_ANTIMONY_IMPL_H

#include "lang/infix.h"

typedef enum ant_kind {
  ANT_ANY, /* nothing said: a parameter */
  ANT_FORMULA,
  ANT_SPECIES,
  ANT_COMPARTMENT,
  ANT_REACTION,    /* element: reaction */
  ANT_EVENT,       /* element: event */
  ANT_STRAND,      /* element: strand */
  ANT_SUBMODEL,    /* element: scope */
  ANT_INTERACTION, /* element: interaction */
  ANT_CONSTRAINT,
  ANT_ALGEBRAIC,
  ANT_OBJECTIVE,
  ANT_GENE_PRODUCT,
  ANT_UNIT,
} ant_kind;

typedef struct ant_math { /* mathematics and the scope it was written in; ast NULL: none */
  dpi_ast *ast;
  int scope, line;
} ant_math;

typedef struct ant_var {
  const char *name;
  int scope, line;
  int same;        /* variable that carries its contents; itself */
  dpi_ast *factor; /* this variable * factor = `same`; NULL: 1 */
  ant_kind kind;
  int element;
  bool defined, deleted;
  bool said_const, said_var, boundary, amount_only;
  bool in_reaction, set;     /* set: by an event */
  bool no_value;             /* "x = ;" */
  ant_math init, rule, rate; /* reactions: init is the rate */
  int home;                  /* compartment's variable, -1: not said */
  const char *display, *unit, *formula;
  double charge;
  int nuse;  /* as a stoichiometry */
  int place; /* antimony_net.c: of its element */
} ant_var;

typedef struct ant_scope { /* a submodel; 0: the main model */
  int parent;              /* -1: none */
  const char *prefix, *module;
  dpi_map names; /* -> variable */
  ant_math timeconv, extentconv;
  int home;
  int next_reaction, next_event, next_submodel, next_other;
} ant_scope;

typedef struct ant_term {
  int species;
  bool product;
  double number; /* NaN: none */
  int stoich;    /* variable, -1: none */
} ant_term;

typedef struct ant_reaction {
  int var, scope, home, line;
  bool reversible;
  int first, nterm; /* in term[] */
} ant_reaction;

typedef struct ant_assign {
  int var;
  ant_math value;
} ant_assign;

typedef struct ant_event {
  int var, line;
  ant_math trigger, delay, priority;
  bool t0, persistent, from_trigger;
  int first, nassign; /* in assign[] */
} ant_event;

typedef struct ant_strand {
  int var, home;
  bool open_up, open_down;
  bool inside;      /* part of another strand */
  bool reached;     /* part of a whole strand */
  int first, nitem; /* in item[]: variables */
} ant_strand;

typedef struct ant_interaction {
  int var, target, line;
  const char *kind;
  int first, nsource; /* in item[] */
} ant_interaction;

typedef struct ant_relation { /* constraint, algebraic rule, objective */
  int var;                    /* -1: no name */
  ant_kind kind;
  bool minimize;
  ant_math math;
} ant_relation;

typedef struct ant_note {
  int var; /* -1: the model of `scope` */
  int scope;
  const char *key;
  int nvalue;
  const char **value;
} ant_note;

typedef struct ant_file { /* the main text or an imported one */
  const char *path;
  const dpi_tok *tok;
  int ntok;
  int *block; /* [ntok] 1 + block that begins with this word, 0: none */
  bool sbml;  /* a network written out: its models only */
} ant_file;

typedef struct ant_block { /* a model or function, words [from, to) without header and `end` */
  const char *name;
  bool function, star;
  int file, header, from, to;
} ant_block;

#define ANT_LIST(type, name) \
  type *name;                \
  int n##name, cap_##name

typedef struct ant_reader {
  dp_ctx *ctx;
  dpi_arena arena; /* words and names while reading */
  const char *source;
  dpi_net *net;
  dpi_infix p;
  int stop;                   /* position after the last word of the block at hand */
  int file;                   /* at hand */
  int scope;                  /* at hand */
  int depth;                  /* of submodels */
  const ant_block *function;  /* whose body is read, NULL */
  dpi_map units;              /* declared unit names */
  dpi_map functions, modules; /* name -> the last block of that name */
  ANT_LIST(ant_file, file_list);
  ANT_LIST(ant_block, block);
  ANT_LIST(ant_var, var);
  ANT_LIST(ant_scope, scope_list);
  ANT_LIST(ant_term, term);
  ANT_LIST(ant_reaction, reaction);
  ANT_LIST(ant_assign, assign);
  ANT_LIST(ant_event, event);
  ANT_LIST(ant_strand, strand);
  ANT_LIST(ant_interaction, interaction);
  ANT_LIST(ant_relation, relation);
  ANT_LIST(ant_note, note);
  ANT_LIST(int, item);
} ant_reader;

/* one more, zeroed, at the end of a list; DP_ERR_MEMORY */
#define ANT_PUSH(r, list, ...)                                                                              \
  do {                                                                                                      \
    DP_TRY(dpi_grow((r)->ctx, (void **)&(r)->list, &(r)->cap_##list, (r)->n##list + 1, sizeof *(r)->list)); \
    (r)->list[(r)->n##list++] = __VA_ARGS__;                                                                \
  } while (0)

/* ---- words (antimony_statement.c) ---- */
const dpi_tok *dpi_ant_peek(ant_reader *r);
const dpi_tok *dpi_ant_ahead(ant_reader *r, int n); /* never beyond the last word */
const dpi_tok *dpi_ant_next(ant_reader *r);
bool dpi_ant_take(ant_reader *r, int kind);
bool dpi_ant_take_word(ant_reader *r, const char *word);
bool dpi_ant_says(const dpi_tok *t, const char *word);
bool dpi_ant_at_end(ant_reader *r); /* of the statement */
void dpi_ant_skip_newlines(ant_reader *r);
void dpi_ant_skip(ant_reader *r); /* the rest of the statement */
int dpi_ant_statement_end(const ant_reader *r, int pos);
bool dpi_ant_has(const ant_reader *r, int kind); /* in the rest of the statement */
dp_status dpi_ant_expected(ant_reader *r, const char *what);
dp_status dpi_ant_math(ant_reader *r, ant_math *out);
/* Words [from, to) as text. */
const char *dpi_ant_text(ant_reader *r, int from, int to);
/* All statements of [p.pos, stop). */
dp_status dpi_ant_run(ant_reader *r);
/* Position after a path of names (a.b.c) that begins n words ahead, relative; n when there is none. */
int dpi_ant_after_path(ant_reader *r, int n);

/* ---- names (antimony_scope.c) ---- */
dp_status dpi_ant_new_scope(ant_reader *r, int parent, const char *name, const char *module, int *scope);
/* Find or add a variable of this scope. */
dp_status dpi_ant_variable(ant_reader *r, int scope, const char *name, int line, int *var);
/* The variable that carries what is said of var. */
int dpi_ant_root(const ant_reader *r, int var);
#define ANT_ROOT(r, v) (&(r)->var[dpi_ant_root(r, v)])
/* A path of names at hand: a.b.c. `what` for messages. attribute: when the last name is not a variable but says
 * something about it (S.sboTerm): that word; NULL: not allowed. */
dp_status dpi_ant_path(ant_reader *r, const char *what, int *var, const char **attribute);
/* The same for something that the text defines here; kind ANT_ANY: none. */
dp_status dpi_ant_define(ant_reader *r, const char *what, ant_kind kind, int *var);
dp_status dpi_ant_become(ant_reader *r, int var, ant_kind kind, int line);
/* `a * factor is b` */
dp_status dpi_ant_same(ant_reader *r, int a, int b, dpi_ast *factor, int line);
void dpi_ant_delete(ant_reader *r, int var);
const char *dpi_ant_id(const ant_reader *r, int var); /* flat id: submodel__name; in the arena, "" without memory */
/* What dpi_infix wants. */
dp_status dpi_ant_name_node(dpi_infix *p, const dpi_tok *t, dpi_ast **out);

/* ---- parts (antimony_part.c) ---- */
dp_status dpi_ant_reaction(ant_reader *r, int var, int home);
dp_status dpi_ant_event(ant_reader *r, int var);
bool dpi_ant_is_interaction(ant_reader *r);
dp_status dpi_ant_interaction(ant_reader *r, int var);
bool dpi_ant_is_strand(ant_reader *r);
dp_status dpi_ant_strand(ant_reader *r, int var, int home);
dp_status dpi_ant_submodel(ant_reader *r, int var, int home);
int dpi_ant_module(const ant_reader *r, const char *name); /* block, -1 */

/* ---- annotations, units (antimony_note.c) ---- */
bool dpi_ant_is_attribute(const char *word);
/* Is the rest of the statement (behind the name) an annotation such as `identity "..."`? */
bool dpi_ant_is_note(ant_reader *r);
dp_status dpi_ant_note(ant_reader *r, int var);
dp_status dpi_ant_attribute(ant_reader *r, int var, const char *word);
dp_status dpi_ant_unit(ant_reader *r);      /* unit x = ... */
bool dpi_ant_is_global_unit(ant_reader *r); /* length = metre */
dp_status dpi_ant_global_unit(ant_reader *r);
dp_status dpi_ant_has_unit(ant_reader *r, int var);
const char *dpi_ant_unit_word(void *user, const char *word);
dp_status dpi_ant_find_units(ant_reader *r, const ant_file *f);

/* ---- results ---- */
dp_status dpi_ant_dna(ant_reader *r);
dp_status dpi_ant_net(ant_reader *r);
/* Text to a network. */
dp_status dpi_antimony_net(dp_ctx *ctx, const char *text, size_t size, const char *source, dpi_net **out);
dp_status dpi_antimony_write(const dpi_net *net, dpi_str *out);

#endif
