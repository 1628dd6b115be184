/* tangent_impl.h - floor 3, inside the room: what tangent_model.c and tangent_event.c share. */
#ifndef DPI_TANGENT_IMPL_H
#define DPI_TANGENT_IMPL_H

#include "lang/lang_impl.h"
#include "lang/tangent_model.h"

typedef struct dpi_tangent_maker {
  dp_ctx *ctx;
  const dp_model *m; /* sealed */
  dp_model *t;       /* under work */
  dpi_graph *g;      /* of t */
  int *sym;          /* [m->nsym] symbol of t, 0: none */
  int *dot;          /* [m->nsym] symbol of its tangent, 0: none */
  int count;         /* nodes of m's graph */
  dpi_node *copy;    /* [count] node of t, NONE */
  int nat;
  dpi_node *at, *to;          /* [nat + 1] symbols that have a tangent, and these; one more is room for the time */
  dpi_node *rate;             /* [m->nstate] rates, in t's graph */
  int moment, caught, jumped; /* symbols; 0: no moving jumps */
} dpi_tangent_maker;

/* Derivatives along the tangents. */
dp_status dpi_tangent_of(const dpi_tangent_maker *k, const dpi_node *node, int n, dpi_node *out);
/* All nodes below these, into t's graph. as [count]: what stands for a node; NONE, or NULL for all: itself. */
dp_status dpi_tangent_copy(const dpi_tangent_maker *k, const dpi_node *list, int n, const dpi_node *as, dpi_node *copy);
dp_status dpi_tangent_events(dpi_tangent_maker *k, bool at_rest);

#endif
