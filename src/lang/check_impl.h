/* check_impl.h - ring three of the model check: what its files share.
 *
 *     check.c            what the model is and needs; its structure
 *     check_conserved.c  sums that stay constant
 *     check_units.c      units of every formula (check_dimension.c: units as exponents of the base units)
 *     check_words.c      words that should be units and are none
 */
#ifndef DPI_CHECK_IMPL_H
#define DPI_CHECK_IMPL_H

#include "lang/lang_impl.h"
#include "lang/network.h"

typedef struct dpi_checker {
  const dp_model *m;
  const dpi_net *net; /* never NULL after dpi_check_summary */
  dp_ctx *ctx;
  dpi_arena arena;
  dp_finding_fn each;
  void *user;
  dp_status status; /* a failure on the way to an answer */
} dpi_checker;

dp_status dpi_check_say(dpi_checker *c, dp_finding_kind kind, const char *element, int line, const char *fmt, ...)
    DPI_PRINTF(5, 6);

/* Ids to be named together: "k1, k2, k3 and 14 more". */
typedef struct dpi_check_names {
  char text[640];
  int n, line;       /* how many; line of the first */
  const char *first; /* "" while there is none */
} dpi_check_names;
void dpi_check_names_add(dpi_check_names *l, const char *id, int line);
/* One finding, if there are names: `one` and `many` have a %s for the names; many a %d before it. */
dp_status dpi_check_names_say(dpi_checker *c, const dpi_check_names *l, dp_finding_kind kind, const char *one,
                              const char *many);

/* Does the node depend on anything that is not a constant parameter? seen: [nsym] scratch. */
bool dpi_check_moves(dpi_checker *c, dpi_node node, uint8_t *seen);

/* All formulas of the network but those of functions; r: the reaction whose local parameters are seen, else NULL. */
typedef dp_status (*dpi_check_formula)(void *user, dpi_ast *a, const dpi_net_reaction *r);
dp_status dpi_check_formulas(const dpi_net *net, dpi_check_formula fn, void *user);
/* Is `id` a local parameter there? */
const dpi_net_parameter *dpi_check_local(const dpi_net_reaction *r, const char *id);
/* The rule of these kinds (bits 1 << kind) for a variable; NULL: none. */
const dpi_net_rule *dpi_check_rule(const dpi_net *net, const char *variable, unsigned kinds);

dp_status dpi_check_structure(dpi_checker *c);
dp_status dpi_check_conserved(dpi_checker *c);
dp_status dpi_check_units(dpi_checker *c);
dp_status dpi_check_unit_words(dpi_checker *c);

#endif
