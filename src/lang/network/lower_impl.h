/* lower_impl.h - floor 3: what the files that make equations of a network share.
 *
 *     lower.c         the order of the work; symbols; rules
 *     lower_species.c species: state, concentration, amount, initial values; reactions
 *     lower_event.c   events
 *     lower_math.c    mathematics as written -> nodes
 */
#ifndef DPI_LOWER_IMPL_H
#define DPI_LOWER_IMPL_H

#include "lang/lang_impl.h"
#include "lang/network.h"

/* ---- mathematics ---- */
typedef struct dpi_lower_frame { /* a function definition being written out */
  const dpi_net_function *function;
  int base; /* its arguments: stack[base ..] */
  const struct dpi_lower_frame *up;
} dpi_lower_frame;

typedef struct dpi_scope { /* where a formula stands */
  dp_model *m;
  const dpi_net *net; /* functions are found here; NULL: none */
  const char *where;  /* of its element: "model.xml:12" */
  const char *what;   /* for messages: "the rate of reaction 'R'"; "" */
  dpi_names names;
  const dpi_net_reaction *reaction; /* whose local parameters are seen; NULL: none */
  bool draws;                       /* may it contain random draws? */
  dpi_draw_phase phase;             /* then: when are they made */
  int event;
  const dpi_lower_frame *frame;
  int depth;       /* of C recursion */
  long budget;     /* terms left to write, bounds the work of nested functions */
  dpi_node *stack; /* arguments being collected */
  int nstack, cap_stack;
  dpi_str text; /* scratch */
} dpi_scope;
#define DPI_LOWER_BUDGET 50000000L

void dpi_scope_init(dpi_scope *s, dp_model *m, const char *where);
void dpi_scope_release(dpi_scope *s);
dp_status dpi_scope_lower(dpi_scope *s, const dpi_ast *a, dpi_node *out);
dp_status dpi_scope_fail(const dpi_scope *s, const dpi_ast *a, dp_status status, const char *fmt,
                         ...) DPI_PRINTF(4, 5);

/* ---- the network ---- */
enum { DPI_FREE_HAND, DPI_BY_ASSIGNMENT, DPI_BY_RATE }; /* what determines a symbol at all times */

typedef struct dpi_lower_mark { /* of each symbol made for an element */
  uint8_t by;                   /* one of the above */
  bool constant;                /* declared */
  bool set;                     /* an event sets it */
  bool late;                    /* to a value from before a delay */
  bool empty;                   /* has a rule without mathematics */
  dpi_node init;                /* initial assignment */
} dpi_lower_mark;

typedef struct dpi_lower_species {
  int sym, amount, concentration; /* symbols; the last two -1 while not made */
  int base;                       /* what carries it: sym or amount */
  int home;                       /* compartment's symbol, -1: none, volume 1 */
  bool as_amount;                 /* formulas mean its amount */
  bool moves;                     /* reactions change it */
  bool late;                      /* an event sets it to a value from before a delay */
  bool dilutes; /* carried by its concentration though the volume changes, which enters its rate */
  dpi_node volume; /* node; 1 without compartment */
  dpi_node factor; /* conversion factor; 1 */
  dpi_node per; /* a reaction's rate * stoichiometry * factor / per is the base's rate; NONE: 1 */
  bool has_sum;
  dpi_node sum;    /* of stoichiometry * rate */
  int seen, place; /* scratch: last reaction it was met in, place among that reaction's changes */
  int line;
} dpi_lower_species;

typedef struct dpi_lower {
  dp_ctx *ctx;
  dpi_net *net;
  dp_model *m;
  dpi_graph *g;
  dpi_scope scope;
  dpi_str where, what;  /* of the element at hand */
  dpi_lower_mark *mark; /* [nmark], by symbol */
  int nmark;
  dpi_lower_species *species; /* [net->nspecies] */
  uint8_t *varies;            /* [net->ncompartment] its volume may change */
  bool algebraic;             /* there is an algebraic rule */
  dpi_change *change, *order; /* scratch of one reaction */
  int nchange, cap_change, norder, cap_order;
} dpi_lower;

dp_status dpi_lower_fail(dpi_lower *l, dp_status status, int line, const char *fmt, ...)
    DPI_PRINTF(4, 5);
/* Name the element that is being lowered. */
void dpi_lower_at(dpi_lower *l, int line, const char *what, const char *id);
dp_status dpi_lower_math(dpi_lower *l, const dpi_ast *a, dpi_node *out);
/* The stoichiometry of a species reference. */
dp_status dpi_lower_stoichiometry(dpi_lower *l, const dpi_net_term *t, dpi_node *out);
/* Make a symbol a state with this rate; its initial value is set apart. */
dp_status dpi_lower_state(dpi_lower *l, int sym, dpi_node rate);
dp_status dpi_lower_assigned(dpi_lower *l, int sym, dpi_node formula);

dp_status dpi_lower_species_find(dpi_lower *l); /* what carries each species */
dp_status dpi_lower_species_make(dpi_lower *l); /* initial values, sums of reactions */
dp_status dpi_lower_reactions(dpi_lower *l);
dp_status dpi_lower_events(dpi_lower *l);

#endif
