/* lang_impl.h - floor 3, inside the room: what graph, parser, tapes and readers share.
 *
 * Nothing outside src/lang includes this.
 */
#ifndef DPI_LANG_IMPL_H
#define DPI_LANG_IMPL_H

#include "lang/lang.h"
#include "num/num.h"

/* ---- operations (ops.c) ---- */
typedef struct dpi_op_info {
  const char *text; /* printed name */
  int arity;
} dpi_op_info;
extern const dpi_op_info dpi_op_table[DPI_OP_COUNT];

/* Value of one operation; folding and tapes both end here, so a folded constant has the bytes of a computed one. */
double dpi_op_eval(dpi_op op, double a, double b, double c);
/* x^n by square and multiply from the lowest bit, negative n as 1 / x^-n. */
double dpi_powi(double x, int n);
double dpi_op_digamma(double x);
/* Does its derivative hide that the operation is not linear (it jumps,
 * or the derivative is not known)? Of IF the condition. */
bool dpi_op_hides(dpi_op op);
#define DPI_POWI_MAX 64

/* ---- graph (graph.c, build.c) ---- */
#define DPI_GRAPH_MAX (1 << 27)
dpi_node dpi_g_intern(dpi_graph *g, dpi_gnode n);
dpi_node dpi_g_find(const dpi_graph *g,
                    dpi_gnode n); /* DPI_NODE_NONE when there is no such node yet */
dpi_node dpi_g_powi(dpi_graph *g, dpi_node a, int n);
dp_ctx *dpi_g_ctx(const dpi_graph *g);
/* The node that n would be with these arguments, simplified. */
dpi_node dpi_g_rebuild(dpi_graph *g, dpi_gnode n, const dpi_node arg[3]);
/* All nodes reachable from the roots, ascending (so arguments come before their users). Free the list with dpi_free. */
dp_status dpi_g_reach(const dpi_graph *g, const dpi_node *root, int nroot, dpi_node **list, int *n);
/* Same for one root with the graph's own scratch (cheap when little is reachable); when sym >= 0 nodes that surely do
 * not depend on sym, or have a derivative by it in the memo, are left out. The list is borrowed until the next call. */
dp_status dpi_g_reach_fast(dpi_graph *g, dpi_node root, int sym, const dpi_node **list, int *n);
int32_t *dpi_g_scratch(
    dpi_graph *g); /* one int per node reached by the last call, indexed by node */
dpi_node dpi_g_memo_get(const dpi_graph *g, dpi_node node, int sym);
bool dpi_g_memo_put(dpi_graph *g, dpi_node node, int sym, dpi_node value);
/* dpi_g_subst of n nodes in place, each expression walked once however many contain it; NONE stays NONE. */
dp_status dpi_g_subst_all(dpi_graph *g, dpi_node *node, int n, const dpi_node *replacement, int nsym);
/* Derivative of an operation when its arguments have the derivatives d (diff.c); self: the node itself. */
dpi_node dpi_g_chain(dpi_graph *g, dpi_node self, dpi_gnode n, const dpi_node d[3]);
bool dpi_g_is_const(const dpi_graph *g, dpi_node n, double *value);

/* ---- words (lex.c) ---- */
typedef enum dpi_tok_kind {
  DPI_TOK_END = 0,
  DPI_TOK_NEWLINE = 256, /* single characters are their own code */
  DPI_TOK_NUM,
  DPI_TOK_ID,
  DPI_TOK_STRING,
  DPI_TOK_ARROW,  /* -> */
  DPI_TOK_DARROW, /* => */
  DPI_TOK_ASSIGN, /* := */
  DPI_TOK_LE,
  DPI_TOK_GE,
  DPI_TOK_EQ,
  DPI_TOK_NE,
  DPI_TOK_AND,
  DPI_TOK_OR,
  DPI_TOK_POW2, /* ** */
  DPI_TOK_QUOTED, /* `any text`: a name (not in Antimony) */
} dpi_tok_kind;

typedef struct dpi_tok {
  int kind;
  int line, col;    /* from 1 */
  const char *text; /* as written, NUL-terminated, owned by the arena */
  double num;       /* NUM */
} dpi_tok;

typedef struct dpi_lex_def {
  dpi_arena *arena; /* receives the words */
  const char *text;
  size_t size;
  const char *where; /* file, or "file:row: formula" */
  bool antimony;     /* comments, strings, newlines count; messages say where:line */
} dpi_lex_def;
/* The text as words, the last one END. */
dp_status dpi_lex(dp_ctx *ctx, const dpi_lex_def *def, dpi_tok **tok, int *ntok);
/* "'x'", "end of line", "end of the text": for messages. buf holds the answer when it must be made. */
const char *dpi_tok_say(const dpi_tok *t, char buf[48]);

/* ---- infix formulas (formula.c; the grammar: infix.h) ---- */
/* Is this word a constant of the language, or `time`? Such a name can't be defined. */
bool dpi_formula_reserved(const char *word);
dp_status dpi_formula_parse(dp_model *m, const char *text, const char *where, bool allow_new,
                            bool use_new, dpi_node *out);

/* ---- model (model.c, seal.c) ---- */
/* Find or add; a symbol added here is not yet defined: sealing fails at `where` unless something defines it. */
dp_status dpi_model_use(dp_model *m, const char *id, const char *where, int *sym);
/* Read text in this language, lower it, hash it (language.c). */
struct dpi_language;
dp_status dpi_language_model(dp_ctx *ctx, const struct dpi_language *language, const char *text, size_t size,
                             const char *source, dp_model **out);
/* "; did you mean 'x'?" or "" in buf. skip: symbol not to be proposed, or -1. */
const char *dpi_model_suggest(const dp_model *m, const char *id, int skip, char buf[160]);

#endif
