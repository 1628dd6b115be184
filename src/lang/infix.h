/* infix.h - floor 3, inside the room: infix text to mathematics as written (dpi_ast). formula.c gives it the scope of a
 * model, antimony/ the scope of a module. */
#ifndef DPI_INFIX_H
#define DPI_INFIX_H

#include "lang/lang_impl.h"
#include "lang/network.h"

typedef struct dpi_infix {
  dpi_net *net; /* receives the nodes */
  const dpi_tok *tok;
  int pos;
  const char *where;
  bool antimony; /* log(base, x), newline ends a formula; else PEtab's log(x, base) */
  bool ellipsis; /* `...` stands for a value: NAME "..." */
  int depth;     /* of C recursion */
  int paren;     /* open parentheses: newlines inside don't count */
  long budget;   /* words left to read, nodes left to copy */
  /* What a name means; called with the word taken. NULL: a NAME node. */
  dp_status (*name)(struct dpi_infix *p, const dpi_tok *t, dpi_ast **out);
  /* Number of arguments of a function that the text defines, -1: there is none. NULL: none. */
  int (*function)(void *user, const char *word);
  /* Names of such functions for "did you mean"; NULL: none. */
  int (*functions)(void *user, const char **word, int most);
  /* The unit that this word is when it stands after a number, NULL: it is none. */
  const char *(*unit)(void *user, const char *word);
  void *user;
} dpi_infix;
#define DPI_INFIX_WORK 4000000L

dp_status dpi_infix_expr(dpi_infix *p, dpi_ast **out);
const dpi_tok *dpi_infix_peek(dpi_infix *p);
const dpi_tok *dpi_infix_next(dpi_infix *p);
bool dpi_infix_take(dpi_infix *p, int kind);
dp_status dpi_infix_fail(const dpi_infix *p, const dpi_tok *t, dp_status status, const char *fmt, ...) DPI_PRINTF(4, 5);
dp_status dpi_infix_expected(dpi_infix *p, const char *what);
/* A constant of the language, or `time`. */
bool dpi_infix_reserved(const char *word);
bool dpi_infix_builtin(const char *word);

#endif
