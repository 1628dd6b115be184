/* antimony_impl.h - floor 3: what the three files of the Antimony reader share.
 *
 *     antimony.c        blocks, choice of the main model, the whole order
 *     antimony_stmt.c   one statement after the other: what the text says of each name
 *     antimony_build.c  from reactions, rules and compartments to rates
 */
#ifndef DPI_ANTIMONY_IMPL_H
#define DPI_ANTIMONY_IMPL_H

#include "lang/lang_impl.h"

typedef struct ant_info { /* what the text says of a symbol, beside dpi_symbol */
  bool species, compartment;
  bool boundary;       /* $: reactions do not change it */
  bool constant;       /* const */
  bool substance_only; /* the symbol is an amount, not a concentration */
  bool in_reaction;
  bool event_target;
  int home;     /* compartment's symbol, 0: not said */
  int reaction; /* index + 1 when the symbol is a reaction, else 0 */
  int line;     /* of its rate or formula */
  bool has_rate;
  dpi_node rate; /* of a rate rule */
  bool has_sum;
  dpi_node sum; /* of stoichiometry times rate over all reactions */
} ant_info;

typedef struct ant_term {
  int species;
  bool product;
  dpi_node stoich;
} ant_term;

typedef struct ant_reaction {
  int sym, line;
  bool has_rate;
  dpi_node rate;
  int first, nterm; /* in term[] */
} ant_reaction;

typedef struct
    ant_block { /* a model or function of the file, words [from, to) without header and `end` */
  const char *name;
  bool function, star;
  int header, from, to;
} ant_block;

typedef struct ant_reader {
  dp_ctx *ctx;
  dpi_arena arena; /* words and names while reading */
  const char *source;
  dp_model *m;
  dpi_parser p;
  int stop; /* position after the last word of the main model */
  ant_block *block;
  int nblock, cap_block;
  dpi_func *func;
  int nfunc, cap_func;
  dpi_map units; /* declared unit names */
  ant_info *info;
  int cap_info;
  ant_reaction *reaction;
  int nreaction, cap_reaction;
  ant_term *term;
  int nterm, cap_term;
  int next_reaction, next_event; /* numbers for those without a name */
} ant_reader;

/* Info of a symbol (grows with the model). NULL without memory; valid until the next call. */
ant_info *dpi_ant_info(ant_reader *r, int sym);
/* Read all statements in [p.pos, stop). */
dp_status dpi_ant_statements(ant_reader *r);
/* Is the statement at this position only an annotation? */
bool dpi_ant_is_annotation(const ant_reader *r, int pos);
/* Position of the end of the statement that begins at pos: ';', newline or end. */
int dpi_ant_statement_end(const ant_reader *r, int pos);
bool dpi_ant_word(const dpi_tok *t, const char *word);
/* Make rates of what was read. */
dp_status dpi_ant_build(ant_reader *r);

#endif
