/* seal_impl.h - floor 3, inside sealing: what its stages share.
 *
 *     seal.c          the stages in order, numbering, writing out
 *     resolve.c       values of all symbols at the start or at any time; loops
 *     delay.c         delays that need no history
 *     rate.c          rateOf(x)
 *     algebraic.c     which variable a constraint determines; linear blocks solved
 *     root.c          root functions of triggers
 *     unknown.c       what an incomplete model can't say
 */
#ifndef DPI_SEAL_IMPL_H
#define DPI_SEAL_IMPL_H

#include "lang/lang_impl.h"

typedef enum dpi_seal_when {
  DPI_SEAL_PRESENT, /* assigned symbols written out, everything else stands for itself: old numbers */
  DPI_SEAL_PAST,    /* values before the start, as expressions of time: old numbers */
  DPI_SEAL_START,   /* values at the start, old numbers; after PAST */
  DPI_SEAL_NOW,     /* as PRESENT, in new numbers */
} dpi_seal_when;

typedef struct dpi_sealer {
  dp_model *m;
  dp_ctx *ctx;
  int n;              /* symbols the arrays below hold */
  dpi_seal_when when; /* which values are being resolved */
  uint8_t *target;    /* [n] an event sets it */
  dpi_node *past;     /* [n] value before the start, old numbering; only when there are delays */
  dpi_node *start;    /* [n] value at the start, old numbering */
  dpi_node *now;      /* [n] value at any time, new numbering */
  int *number;        /* [n] old -> new */
  uint8_t *mark;      /* [n] 0 not seen, 1 open, 2 done */
  int *path;
  int npath;
  int *stack, *list; /* list: symbols of a node, see dpi_seal_symbols */
  int nstack, cap_stack, cap_list;
  int *rate; /* symbol -> its RATEOF symbol, 0: none (rate.c) */
  int cap_rate, nrate_text;
  int *order; /* of a RATEOF symbol: derivatives taken of what has a value */
  int cap_order;
  bool settled; /* the constraints have found their variables */
  bool partly;  /* what has no value is not known, else refused */
  const char *const *given; /* [ngiven] ids that will have a value */
  int ngiven;
} dpi_sealer;

/* ERR_MEMORY with its message. */
dp_status dpi_seal_no_memory(const dpi_sealer *s);
/* Symbols that node depends on, ascending, in s->list until the next call. */
dp_status dpi_seal_symbols(dpi_sealer *s, dpi_node node, int *n);
/* value[sym] of all symbols as s->when says. */
dp_status dpi_seal_resolve(dpi_sealer *s, dpi_seal_when when, dpi_node *value);
/* *node in values. NONE stays NONE. */
dp_status dpi_seal_write_out(dpi_sealer *s, dpi_node *node, const dpi_node *value);
/* Take away delays that need no history. */
dp_status dpi_seal_delays(dpi_sealer *s);
/* Give every RATEOF symbol its formula; until the constraints are settled those of what they may determine wait. */
dp_status dpi_seal_rates(dpi_sealer *s);
/* May a constraint determine this symbol? */
bool dpi_seal_is_unknown(const dpi_sealer *s, int sym);
/* Each constraint gets its variable: ASSIGNED where it can be solved for, else an algebraic STATE. */
dp_status dpi_seal_constraints(dpi_sealer *s);
/* owner[sym]: the constraint that determines the symbol + 1, 0: none. */
dp_status dpi_seal_match(dpi_sealer *s, int *owner);
/* Sealing partly: find what is not known and take it out of the equations. */
dp_status dpi_seal_unknown(dpi_sealer *s);
dp_status dpi_seal_event_roots(dpi_sealer *s, dpi_model_event *e);

#endif
