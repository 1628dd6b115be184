/* lang.h - floor 3: model languages to one intermediate form; symbolic derivatives; the interpreter (the oracle).
 *
 *     text --antimony.c--> dp_model (symbols, expressions, events) --seal--> resolved graph --tape.c--> dpi_tape
 *
 * Invariants:
 *   1. the graph is hash-consed: equal expressions are one node; nodes are never freed before the graph;
 *   2. a sealed model is const and shared by all threads;
 *   3. tapes evaluate in a fixed order with dpi_m_* functions only: same bytes on every processor of one arithmetic.
 */
#ifndef DPI_LANG_H
#define DPI_LANG_H

#include "base/base.h"
#include "doppel/model.h"

/* ---------------------------------------------------------------- expression graph (graph.c, diff.c) */
typedef int32_t dpi_node;
#define DPI_NODE_NONE (-1)

/* op, arity, printed name. Comparison and logic give 0 or 1; IF is (condition, then, else); every piecewise becomes
 * nested IFs. Only the chosen branch of IF may be non-finite. FMA is a*b + c, for the arithmetic of integrators: fused
 * in the arithmetic `fma`, a product and a sum in `nofma`; no model expression contains it. */
#define DPI_OP_LIST(X)                                                                                        \
  X(CONST, 0, "const") X(SYM, 0, "sym") X(ADD, 2, "+") X(SUB, 2, "-") X(MUL, 2, "*") X(DIV, 2, "/") X(NEG, 1, "-") \
  X(POW, 2, "^") X(POWI, 1, "^i") X(EXP, 1, "exp") X(LOG, 1, "ln") X(LOG10, 1, "log10") X(SQRT, 1, "sqrt")    \
  X(ABS, 1, "abs") X(FLOOR, 1, "floor") X(CEIL, 1, "ceil") X(SIN, 1, "sin") X(COS, 1, "cos") X(TAN, 1, "tan") \
  X(ASIN, 1, "asin") X(ACOS, 1, "acos") X(ATAN, 1, "atan") X(SINH, 1, "sinh") X(COSH, 1, "cosh")              \
  X(TANH, 1, "tanh") X(ASINH, 1, "asinh") X(ACOSH, 1, "acosh") X(ATANH, 1, "atanh") X(EXPM1, 1, "expm1")      \
  X(LOG1P, 1, "log1p") X(ERF, 1, "erf") X(LGAMMA, 1, "lgamma") X(DIGAMMA, 1, "digamma") X(SIGN, 1, "sign")     \
  X(ATAN2, 2, "atan2")                                                                                        \
  X(MIN, 2, "min") X(MAX, 2, "max") X(MOD, 2, "mod") X(LT, 2, "<") X(LE, 2, "<=") X(GT, 2, ">")               \
  X(GE, 2, ">=") X(EQ, 2, "==") X(NE, 2, "!=") X(AND, 2, "&&") X(OR, 2, "||") X(NOT, 1, "!")                  \
  X(IF, 3, "piecewise") X(FMA, 3, "fma")

typedef enum dpi_op {
#define DPI_OP_ENUM(name, arity, text) DPI_OP_##name,
  DPI_OP_LIST(DPI_OP_ENUM)
#undef DPI_OP_ENUM
      DPI_OP_COUNT
} dpi_op;

int dpi_op_arity(dpi_op op); /* how many of a node's arguments are nodes: 0 of CONST and SYM */

typedef struct dpi_graph dpi_graph; /* owns all nodes */
typedef struct dpi_gnode {          /* read-only view of a node */
  dpi_op op;
  int32_t arg[3]; /* child nodes; SYM: arg[0] = symbol; POWI: arg[1] = integer exponent */
  double value;   /* CONST */
} dpi_gnode;

dp_status dpi_graph_create(dp_ctx *ctx, dpi_graph **out);
void dpi_graph_destroy(dpi_graph *g);
int dpi_graph_count(const dpi_graph *g);
dpi_gnode dpi_graph_at(const dpi_graph *g, dpi_node n);
/* Builders fold constants, apply safe identities (x+0, x*1, x*0 = 0, x^1, ...) and share. DPI_NODE_NONE if memory ran
 * out or an argument was DPI_NODE_NONE (so chains need one check at the end). */
dpi_node dpi_g_const(dpi_graph *g, double value);
dpi_node dpi_g_sym(dpi_graph *g, int sym);
dpi_node dpi_g_op1(dpi_graph *g, dpi_op op, dpi_node a);
dpi_node dpi_g_op2(dpi_graph *g, dpi_op op, dpi_node a, dpi_node b);
dpi_node dpi_g_if(dpi_graph *g, dpi_node cond, dpi_node a, dpi_node b);
/* a*b + c as DPI_OP_FMA. Folds only what both arithmetics agree on. */
dpi_node dpi_g_fma(dpi_graph *g, dpi_node a, dpi_node b, dpi_node c);
/* d node / d symbol, other symbols constant (memoised). Piecewise: derivative of the branch; floor, comparisons: 0. */
dpi_node dpi_g_diff(dpi_graph *g, dpi_node node, int sym);
/* Directional derivatives of out[nout] when the nodes at[nat] (symbols, or any others: what lies below such a node is
 * then taken as constant on that way) change by dot[nat]; NONE among them: 0. One pass, of a small multiple of the
 * nodes (tangent.c). */
dp_status dpi_g_jvp(dpi_graph *g, const dpi_node *out, int nout, const dpi_node *at, const dpi_node *dot, int nat,
                    dpi_node *tangent);
/* d (sum_k weight[k] out[k]) / d at[i] for all i in one backward pass (reverse.c). at, NONE: as above. */
dp_status dpi_g_vjp(dpi_graph *g, const dpi_node *out, const dpi_node *weight, int nout, const dpi_node *at, int nat,
                    dpi_node *grad);
/* Replace symbol s by replacement[s] where that is not DPI_NODE_NONE (nsym entries), everywhere, once. */
dpi_node dpi_g_subst(dpi_graph *g, dpi_node node, const dpi_node *replacement, int nsym);
/* seen[s] = 1 for each symbol that node depends on (other entries untouched). */
dp_status dpi_g_depends(const dpi_graph *g, dpi_node node, uint8_t *seen, int nsym);
/* The symbols that node depends on, ascending; borrowed until the graph is used again. Takes time of the node's size,
 * not of the model's. */
dp_status dpi_g_symbols(dpi_graph *g, dpi_node node, const int32_t **sym, int *n);
/* Infix text with symbol names. */
void dpi_g_print(const dpi_graph *g, dpi_node node, const char *(*name)(void *, int), void *user, dpi_str *out);

/* ---------------------------------------------------------------- tapes: compiled lists of steps (tape.c) */
/* A tape computes nout values from the symbol array sym[nsym]. Steps that depend only on symbols whose fast[s] == 0
 * form the prologue, run once when those change; the body runs at every evaluation. A workspace of dpi_tape_nreg
 * doubles belongs to one thread; constants are written into it by dpi_tape_init. */
typedef struct dpi_tape dpi_tape;
dp_status dpi_tape_create(dp_ctx *ctx, const dpi_graph *g, const dpi_node *out, int nout, const uint8_t *fast, int nsym,
                          dpi_tape **tape);
void dpi_tape_destroy(dpi_tape *tape);
int dpi_tape_nreg(const dpi_tape *tape);
int dpi_tape_nstep(const dpi_tape *tape);                                           /* body steps: work measure */
void dpi_tape_init(const dpi_tape *tape, double *reg);                              /* load constants */
void dpi_tape_prologue(const dpi_tape *tape, const double *sym, double *reg);       /* slow symbols changed */
void dpi_tape_eval(const dpi_tape *tape, const double *sym, double *reg, double *out);
/* The same where the fast symbols are time and states: output i is reg[out[i]], out comes back. */
const int32_t *dpi_tape_run(const dpi_tape *tape, double t, const double *x, double *reg);

/* ---------------------------------------------------------------- the model (model.c) */
/* Symbol 0 is time. A symbol is one id of the model. After sealing, states come first: symbols 1..nstate (differential,
 * then algebraic), then the delayed, then all others. Sealed expressions may contain delayed and draw symbols besides.
 * Assigned symbols never appear in sealed expressions: they are substituted. */
typedef enum dpi_sym_kind {
  DPI_SYM_TIME,
  DPI_SYM_STATE,    /* has a rate (rate rule or reactions) */
  DPI_SYM_PARAM,    /* constant unless set by an event or a timeline switch */
  DPI_SYM_ASSIGNED, /* given by a formula at all times; after sealing also a parameter computed from other parameters */
  DPI_SYM_RATEOF,   /* before sealing: the rate of change of symbol `target`; becomes ASSIGNED */
  DPI_SYM_DELAYED,  /* value of `formula` at time - `delay`; before the start: of its value at the start,
                     * as a function of time */
  DPI_SYM_DRAW,     /* a random draw, made anew whenever its owner (dpi_draw) is executed; between that a constant */
} dpi_sym_kind;

typedef enum dpi_sym_unknown {
  DPI_KNOWN,
  DPI_UNKNOWN_VALUE,
  DPI_UNKNOWN_COURSE, /* it was a state */
} dpi_sym_unknown;

typedef struct dpi_symbol {
  const char *id;
  dpi_sym_kind kind;
  double value;      /* PARAM: default; NaN: no default was given */
  dpi_node init;     /* STATE and PARAM: initial expression (sealed: in params, draws and time only) or DPI_NODE_NONE;
                        sealed DELAYED: what formula was before the start */
  dpi_node formula;  /* STATE: rate; ASSIGNED: value; PARAM: DPI_NODE_NONE. Sealed: in time, states and params only */
  dpi_node delay;    /* DELAYED: lag; else DPI_NODE_NONE */
  int target;        /* RATEOF: symbol */
  bool free;         /* PARAM, or STATE without a rate of its own, that a constraint may determine: set by
                      * whoever fills the model */
  bool algebraic;    /* sealed STATE given by a constraint: 0 = formula; init is where the search for it starts */
  bool needed;       /* sealed: a rate, a start value, an event, a delay or a draw depends on it */
  bool varies;       /* sealed: the model may change its value after the start */
  bool unrated;      /* PARAM standing for the rate of a reaction without one: sealing fails unless it is partly or
                      * something gives it */
  dpi_sym_unknown unknown; /* sealed partly (unknown.c): ASSIGNED, and its value is NaN */
  const char *unit;  /* "" unknown */
  int line;          /* where it was defined */
  bool defined;      /* false: only used so far; sealing fails unless something defines it or gives it a value */
  const char *where; /* first use of a symbol that is not defined: "model.ant:12" */
} dpi_symbol;

typedef struct dpi_event_assign {
  int sym;
  dpi_node value;
  int times; /* symbol by whose value at execution `value` is multiplied; 0: none. Only with from_trigger */
} dpi_event_assign;

typedef struct dpi_model_event {
  const char *id;
  dpi_node trigger;     /* fires when this turns from false to true */
  dpi_node delay;       /* DPI_NODE_NONE: none */
  dpi_node priority;    /* DPI_NODE_NONE: none */
  bool initial_value;   /* t0: value of the trigger before start; true: does not fire at start */
  bool persistent;      /* stays scheduled though the trigger turns false before execution */
  bool from_trigger;    /* assignment values taken at trigger time */
  int nassign;
  const dpi_event_assign *assign;
  /* sealed: one root function for each elementary relation inside the trigger (trigger can change only at a zero) */
  int nroot;
  const dpi_node *root;
  int line;
} dpi_model_event;

/* An equation 0 = residual that determines some variable; sealing finds which (algebraic.c). */
typedef struct dpi_constraint {
  dpi_node residual;
  int line;
} dpi_constraint;

/* What a draw belongs to decides when it is made. */
typedef enum dpi_draw_phase {
  DPI_DRAW_START,     /* initial values, in order of creation */
  DPI_DRAW_TRIGGER,   /* when `event` is triggered: its delay, its priority, values from trigger time */
  DPI_DRAW_EXECUTION, /* when `event` is executed */
} dpi_draw_phase;

typedef struct dpi_draw {
  int sym;
  int variate; /* dpi_variate of num/num.h */
  int narg;    /* with the bounds of a truncated distribution, when given */
  dpi_node arg[4]; /* sealed: START: values at the start; else present values */
  dpi_draw_phase phase;
  int event;
  int line;
} dpi_draw;

/* A reaction as a jump: with propensity `rate` (amount per time), each change's state grows by `by`. A deterministic
 * reading is the sum of by * rate in the states' formulas. Kept for stochastic simulation and for analysis. */
typedef struct dpi_change {
  int state;
  dpi_node by;
} dpi_change;
/* Parameter that multiplies the rates of fast reactions, in models that have some; they are stiff, and their first
 * values are those where the fast reactions have come to rest (dpi_solver_settle). */
#define DPI_FAST_SPEED "speed(fast)"
typedef struct dpi_model_reaction {
  const char *id;
  int sym;       /* ASSIGNED symbol whose value is the rate */
  dpi_node rate;
  bool reversible, fast;
  int nchange;
  const dpi_change *change; /* states only: boundary species are left out; a species on both sides has one net change */
  int norder;               /* reactants counted with their stoichiometry, for tau-leaping: species and how many */
  const dpi_change *order;
  int line;
} dpi_model_reaction;

/* One sentence of what a model sealed partly does not know. */
typedef struct dpi_unknown {
  const char *text;
  const char *element; /* id, "" */
  int line;            /* 0 unknown */
} dpi_unknown;

struct dpi_net;

struct dp_model {
  dp_ctx *ctx;
  dpi_arena arena;
  dpi_graph *graph;
  dpi_map ids;            /* id -> symbol */
  const char *name;       /* model name, file it came from */
  const char *source;
  char hash[65];          /* SHA-256 of the model text and of everything added before sealing */
  int nsym, cap_sym;
  dpi_symbol *sym;
  int nstate;             /* after sealing: symbols 1..nstate */
  int nalgebraic;         /* after sealing: the last nalgebraic of them are algebraic */
  int ndelayed;           /* after sealing: symbols nstate+1 .. nstate+ndelayed are DELAYED */
  int nevent, cap_event;
  dpi_model_event *event;
  int nconstraint, cap_constraint;
  dpi_constraint *constraint; /* before sealing */
  int ndraw, cap_draw;
  dpi_draw *draw;
  int nreaction, cap_reaction;
  dpi_model_reaction *reaction;
  int nunknown, cap_unknown;
  dpi_unknown *unknown;   /* sealed partly: what is not known, causes first */
  struct dpi_net *net;    /* what it was made of; NULL: made by hand. Owned */
  dpi_node *value;        /* sealed: node of each symbol, see dpi_model_value */
  dpi_node *start;        /* sealed: value at the start in params, draws and time (evaluated at another time: what
                             the symbol was before the start) */
  bool sealed;
};

dp_status dpi_model_create(dp_ctx *ctx, const char *name, const char *source, dp_model **out);
/* Find a symbol by id, -1 when there is none. */
int dpi_model_find(const dp_model *m, const char *id);
/* Find or add, and count it as defined (a name that formulas use and nobody defines stops sealing: it is a typing
 * error). New symbols are PARAM without a value. */
dp_status dpi_model_symbol(dp_model *m, const char *id, int line, int *sym);
/* The same for a name taken as it stands: it may be a word of the formula language, and hides it ("time" too: symbol 0
 * keeps meaning time). For elements of a net and for symbols of our own: rateOf(x), delay(x, d), draws. */
dp_status dpi_model_declare(dp_model *m, const char *id, int line, int *sym);
/* Append; lists are copied. Before sealing only. */
dp_status dpi_model_add_event(dp_model *m, const dpi_model_event *e); /* e->assign: not copied, in the model's arena */
dp_status dpi_model_add_constraint(dp_model *m, dpi_node residual, int line);
dp_status dpi_model_add_draw(dp_model *m, const dpi_draw *draw); /* makes draw->sym a DRAW */
dp_status dpi_model_add_reaction(dp_model *m, const dpi_model_reaction *r);
/* Make id an assigned symbol with this formula text (replaces a parameter's value): how a kind's individual parameters
 * ("ka = tv_ka*exp(eta_ka)") enter the model. where ("population.tsv:3") prefixes messages. Before sealing only. */
dp_status dpi_model_assign(dp_model *m, const char *id, const char *formula, const char *where);
/* Parse infix text in the scope of the model; unknown ids are ERR_INPUT with "did you mean" (allow_new: added as
 * PARAM instead). On a sealed model the result is already substituted (states, params, time only). */
dp_status dpi_model_parse(dp_model *m, const char *text, const char *where, bool allow_new, dpi_node *out);
/* A node as a formula that dpi_model_parse reads back, whatever the ids. g: the graph it lies in,
 * whose symbols are m's. */
dp_status dpi_model_quote(const dp_model *m, const dpi_graph *g, dpi_node node, dpi_arena *arena, const char **out);
/* Resolve assigned symbols (loops are named), order states first, fold initial expressions, build event roots, check
 * that every symbol is defined. After this the model is constant except that dpi_model_parse may add nodes (not
 * thread-safe). */
dp_status dpi_model_seal(dp_model *m);
/* The sealed node of a symbol: SYM for state and param, the substituted formula for assigned. */
dpi_node dpi_model_value(const dp_model *m, int sym);
/* Text with symbol ids. */
void dpi_model_print(const dp_model *m, dpi_node node, dpi_str *out);

/* ---------------------------------------------------------------- the compiled right-hand side (system.c) */
/* All tapes an integrator needs for a sealed model. Symbol array layout for all tapes: dp_model's (sym[0] = time,
 * sym[1..nstate] = x, then the rest); "fast" symbols are time and states. */
typedef struct dpi_system {
  dp_ctx *ctx;
  const dp_model *model; /* borrowed, outlives the system */
  int nsym, nstate;
  int nactive;           /* symbols (params) that may carry derivative directions */
  const int *active;     /* [nactive] symbol indices */
  dpi_tape *rhs;         /* dx/dt [nstate] */
  /* rhs and its derivatives in one tape: out = dx/dt [nstate], J values [jac_nnz], F_p values [fp_nnz] */
  dpi_tape *full;
  int jac_nnz;
  const int *jac_row, *jac_col;   /* [jac_nnz] sorted by column then row */
  int fp_nnz;
  const int *fp_row, *fp_col;     /* [fp_nnz]; col indexes active[] */
  dpi_tape *init;        /* x(0) [nstate] then d x0 / d active, dense [nstate x nactive] */
  int nalgebraic;        /* the last of the states: rhs gives their residual, to be 0; J is that of rhs all the same */
  int ndelayed;          /* symbols nstate+1..: sym and x arrays of every tape go on with their values: x [nstate +
                            ndelayed]. J leaves them constant: a step is never longer than the shortest lag */
  dpi_tape *lag;         /* NULL without: lags [ndelayed], then the delayed expressions [ndelayed], at (t, x) */
  dpi_tape *past;        /* NULL without: the delayed expressions [ndelayed] at a time before the start, from time,
                            params and draws alone. Its prologue is run once, at the start: an event that sets a
                            param changes no past */
  bool linear;           /* rhs = A(params) x + b(params): J and the remainder are free of x and time */
  bool autonomous;       /* rhs does not depend on time */
} dpi_system;
/* Adds derivative nodes to the model's graph: create systems of one model from one thread at a time. */
dp_status dpi_system_create(dp_ctx *ctx, const dp_model *m, const int *active, int nactive, dpi_system **out);
void dpi_system_destroy(dpi_system *sys);

/* ---------------------------------------------------------------- readers */
/* Text in any language (network.h) -> unsealed model; base for files it refers to and name in messages: source. */
dp_status dpi_model_read_text(dp_ctx *ctx, const char *text, size_t size, const char *source, dp_model **out);
/* Antimony text -> unsealed model. source names the file in messages. */
dp_status dpi_antimony_read(dp_ctx *ctx, const char *text, size_t size, const char *source, dp_model **out);

#endif
