/* nm_control.h - floor 3, private to the folder: what the files that read control streams share.
 *
 *     nm_expr.c     expressions: a graph in which equal parts are one node, children before parents
 *     nm_records.c  the text as records; $INPUT, $DATA, $SUBROUTINES, $MODEL
 *     nm_values.c   $THETA, $OMEGA, $SIGMA
 *     nm_code.c     $PK, $DES, $ERROR, $PRED: run symbolically, statement by statement
 *     nm_advan.c    the rates of ADVAN1 to 5, 7, 10 to 12 under their TRANS
 *     nm_effects.c  which individual parameter each ETA makes; occasions
 *     nm_kind.c     observables, controls, and the texts of the kind
 *
 * Invariants:
 *   1. a node's children have smaller numbers: every walk over a graph is a loop, never a recursion;
 *   2. memory is proportional to the text: nodes are limited (NM_MAX_NODE), text of one formula too (NM_MAX_TEXT);
 *   3. what a variable is before any assignment is X_UNDEF and is refused by name where a result needs it.
 */
#ifndef DPI_NM_CONTROL_H
#define DPI_NM_CONTROL_H

#include "format/nmtran_control.h"

enum {
  NM_MAX_NODE = 60000,
  NM_MAX_TEXT = 1500,
  NM_MAX_VALUE = 200,
  NM_MAX_ETA = 64,
  NM_MAX_CMT = 99,
  NM_MAX_COLUMN = 400
};

typedef int nm_node; /* number of a node; < 0: none */
enum { NM_NONE = -1 };

/* clang-format off */
typedef enum nm_op {
  X_NUM,                                     /* value */
  X_THETA, X_ETA, X_EPS, X_COL, X_A, X_F,    /* a[0]: number from 0 (X_F: none) */
  X_TIME,                                    /* of the integration: T in $DES, TIME in $ERROR */
  X_SYM,                                     /* a[0]: index into texts of nm_graph */
  X_UNDEF,                                   /* a[0]: variable */
  X_NEG, X_EXP, X_LOG, X_LOG10, X_SQRT, X_ABS, X_SIN, X_COS, X_TAN, X_ASIN, X_ACOS, X_ATAN, X_SINH, X_COSH, X_TANH,
  X_INT, X_PHI, X_GAMLN, X_NOT,              /* a[0] */
  X_ADD, X_SUB, X_MUL, X_DIV, X_POW, X_MOD, X_MIN, X_MAX,
  X_EQ, X_NE, X_LT, X_LE, X_GT, X_GE, X_AND, X_OR, /* a[0], a[1] */
  X_IF                                       /* a[0] ? a[1] : a[2] */
} nm_op;
/* clang-format on */

typedef struct nm_expr {
  nm_op op;
  int a[3];
  double value;
  uint32_t leaves; /* NM_BIT of every kind of leaf below */
} nm_expr;

#define NM_BIT(op) (1u << (op))

typedef struct nm_graph {
  dp_ctx *ctx;
  nm_expr *node;
  int n, cap;
  int *slot; /* hash table of node numbers + 1 */
  int nslot;
  bool failed; /* no memory or too many nodes: sticky, later nodes are X_NUM 0 */
  bool full;
} nm_graph;

void nm_graph_init(nm_graph *g, dp_ctx *ctx);
void nm_graph_release(nm_graph *g);
int nm_nchild(nm_op op);
nm_node nm_num(nm_graph *g, double value);
nm_node nm_leaf(nm_graph *g, nm_op op, int index);
nm_node nm_make(nm_graph *g, nm_op op, nm_node a, nm_node b, nm_node c); /* simplified */
bool nm_is_num(const nm_graph *g, nm_node x, double *value);
/* Every node of `from` [n] replaced by `to` [n], in the whole graph below the roots; roots are replaced in place. */
dp_status nm_substitute(nm_graph *g, nm_node *root, int nroot, const nm_node *from, const nm_node *to, int n);
/* mark [g->n] set for all nodes below the roots. Owned by the caller (dpi_free). */
dp_status nm_reach(const nm_graph *g, const nm_node *root, int nroot, uint8_t **mark);
/* d x / d eps(i) at eps = 0; *ok false where the graph has no derivative we know. */
dp_status nm_slope(nm_graph *g, nm_node x, int eps, nm_node *out, bool *ok);

/* ---- what the records say ---- */

typedef struct nm_column {
  const char *name, *synonym; /* upper case; synonym "" when there is none */
  bool drop;
  const char *as; /* the name that the event table gets: the reserved one of the two, "" dropped */
} nm_column;

typedef struct nm_value { /* a THETA */
  double low, init, high;
  bool fixed;
  const char *comment;
  int line;
} nm_value;

typedef struct nm_matrix { /* $OMEGA or $SIGMA */
  int n;
  double *entry;  /* [NM_MAX_ETA x NM_MAX_ETA] */
  uint8_t *fixed; /* [NM_MAX_ETA] */
  int *same;      /* [NM_MAX_ETA] the first copy this one repeats, -1 */
  int *block;     /* [NM_MAX_ETA] number of its block */
  const char **comment;
} nm_matrix;

typedef struct nm_cmt {
  const char *name; /* as written, upper case */
  bool nodose, defdose, defobs;
} nm_cmt;

typedef struct nm_line { /* one line of code, continuation joined, comment cut */
  const char *text;
  int line;
} nm_line;

typedef struct nm_block { /* $PK, $DES, $ERROR, $PRED */
  nm_line *item;
  int n, cap;
  int line;
} nm_block;

enum { NM_PK, NM_DES, NM_ERROR, NM_PRED, NM_NBLOCK };

typedef struct nm_var {
  const char *name;
  nm_node value;   /* now; NM_NONE: nothing gave it one */
  const char *why; /* of what only stands for something that is not supported; NULL: a variable */
  int line;        /* first seen */
} nm_var;

typedef struct nm_stream {
  dp_ctx *ctx;
  dpi_arena *arena;
  const char *source;
  nm_graph g;
  const char *problem;
  /* $INPUT, $DATA */
  nm_column column[NM_MAX_COLUMN];
  int ncolumn;
  const char *data, *ignore, *drop_rows, *keep_rows;
  /* $SUBROUTINES, $MODEL */
  int advan, trans, subs_line, model_line;
  nm_cmt cmt[NM_MAX_CMT + 1]; /* from 1 */
  int ncmt, defdose, defobs;
  bool closed; /* an ADVAN with compartments of its own */
  /* values */
  nm_value theta[NM_MAX_VALUE];
  int ntheta;
  nm_matrix omega, sigma;
  /* code */
  nm_block block[NM_NBLOCK];
  nm_var *var;
  int nvar, cap_var;
  dpi_map var_index;
  nm_node rate[NM_MAX_CMT + 1]; /* d A(i)/dt without doses */
  nm_node *after_pk;            /* [npk] variables as $PK leaves them */
  int npk;
  /* replacements of $ABBR */
  struct {
    const char *from, *to;
  } abbr[64];
  int nabbr;
  const char *method;
  const char **note;
  int nnote, cap_note;
  int depth; /* of expressions being read */
} nm_stream;

/* "source:line: ..." ; status ERR_UNSUPPORTED for what is not understood, ERR_INPUT for what is wrong */
#define NM_REFUSE(s, line, ...) nm_fail((s), DP_ERR_UNSUPPORTED, (line), __VA_ARGS__)
#define NM_WRONG(s, line, ...) nm_fail((s), DP_ERR_INPUT, (line), __VA_ARGS__)
dp_status nm_fail(nm_stream *s, dp_status status, int line, const char *fmt, ...) DPI_PRINTF(4, 5);
dp_status nm_note(nm_stream *s, int line, const char *fmt, ...) DPI_PRINTF(3, 4);

bool nm_same(const char *a, const char *b);              /* letters' case apart */
bool nm_number(const char *text, size_t n, double *out); /* Fortran: 1.D0, .5, 1E-3; the whole of text */

dp_status nm_records_read(nm_stream *s, const char *text, size_t size);
dp_status nm_theta_read(nm_stream *s, const nm_line *line, int n);
dp_status nm_matrix_read(nm_stream *s, nm_matrix *m, const char *what, const nm_line *line, int n);
/* $PK, the compartments' rates (an ADVAN's own or $DES), $ERROR: variables have their last values afterwards. */
dp_status nm_code_run(nm_stream *s);
dp_status nm_advan_setup(nm_stream *s); /* compartments, before code */
dp_status nm_advan_rates(nm_stream *s); /* rates, after $PK */
/* The variable's value now; NM_NONE when it has none. */
nm_node nm_var_value(const nm_stream *s, const char *name);
/* What variable `name` is after $PK, NM_NONE when it has no value. */
nm_node nm_pk_value(const nm_stream *s, const char *name);
/* Graph full or without memory: the status to return. */
dp_status nm_check(nm_stream *s);
int nm_column_find(const nm_stream *s, const char *name); /* by name or synonym, -1 */

/* ---- effects and occasions ---- */

typedef struct nm_individual {
  const char *id;
  nm_node symbol;   /* what stands for it in the graph from now on */
  int theta;        /* typical value; -1: the constant 1 (lognormal) or 0 (normal) */
  nm_node factor;   /* on the typical value, NM_NONE */
  int distribution; /* 0 lognormal, 1 normal, 2 logitnormal */
  int eta[4], neta;
} nm_individual;

typedef struct nm_people {
  nm_individual item[NM_MAX_ETA];
  int n;
  int occasion_column; /* -1 */
  double occasion_low, occasion_high;
  bool occasion[NM_MAX_ETA]; /* an effect of each occasion */
} nm_people;

/* Everything that results need: the first `nneed` entries; behind them values of variables, kept up to date for
 * their names. */
typedef struct nm_roots {
  nm_node *node;
  int nneed, n;
  const char **name; /* [n] of variables, NULL for what is needed */
} nm_roots;

/* Occasions, then individual parameters; roots are rewritten on symbols (X_SYM, a[0]: index into item). */
dp_status nm_people_find(nm_stream *s, nm_people *p, nm_roots *r);
dp_status nm_kind_write(nm_stream *s, const char *id, dpi_nmtran_kind *out);
/* Constants that column c is compared with for equality below the roots, ascending: at most 64; *n. */
dp_status nm_constants(nm_stream *s, const nm_node *root, int nroot, int column, double *value, int *n,
                       bool *only_equal);

#endif
