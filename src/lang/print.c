/* print.c - floor 3: expressions as infix text that the formula parser reads back as the same graph.
 *
 * Works from a stack of its own: neither depth nor shape of an expression matters. Shared parts are written out at
 * every use, so the text is cut with "..." beyond PRINT_MAX characters.
 */
#include <string.h>

#include "lang/lang_impl.h"

#define PRINT_MAX (1 << 20)

typedef struct item {
  const char *text; /* literal, or NULL: the node */
  dpi_node node;
  int prec; /* binds at least this tightly, else parentheses */
} item;

typedef struct printer {
  const dpi_graph *g;
  const char *(*name)(void *, int);
  void *user;
  dpi_str *out;
  item *stack;
  int n, cap;
  bool failed;
} printer;

enum {
  PREC_LOGIC = 2,
  PREC_REL = 3,
  PREC_SUM = 4,
  PREC_PROD = 5,
  PREC_UNARY = 6,
  PREC_POW = 7,
  PREC_ATOM = 8
};

static void push(printer *p, const char *text, dpi_node node, int prec) {
  if (dpi_grow(p->out->ctx, (void **)&p->stack, &p->cap, p->n + 1, sizeof *p->stack) != DP_OK) {
    p->failed = true;
    return;
  }
  p->stack[p->n++] = (item){text, node, prec};
}

static int precedence(dpi_gnode n) {
  switch (n.op) {
    case DPI_OP_CONST:
      return n.value < 0 ? PREC_UNARY : PREC_ATOM;
    case DPI_OP_ADD:
    case DPI_OP_SUB:
      return PREC_SUM;
    case DPI_OP_MUL:
    case DPI_OP_DIV:
      return PREC_PROD;
    case DPI_OP_NEG:
    case DPI_OP_NOT:
      return PREC_UNARY;
    case DPI_OP_POW:
    case DPI_OP_POWI:
      return PREC_POW;
    case DPI_OP_LT:
    case DPI_OP_LE:
    case DPI_OP_GT:
    case DPI_OP_GE:
    case DPI_OP_EQ:
    case DPI_OP_NE:
      return PREC_REL;
    case DPI_OP_AND:
    case DPI_OP_OR:
      return PREC_LOGIC;
    default:
      return PREC_ATOM;
  }
}

static void print_leaf(printer *p, dpi_gnode n) {
  char buf[32];
  if (n.op == DPI_OP_SYM) {
    dpi_str_add(p->out, p->name(p->user, n.arg[0]));
    return;
  }
  dpi_format_double(n.value, buf);
  dpi_str_add(p->out, buf);
}

/* a + (b + c) is written (b + c) + a, which is the same number: fewer parentheses */
static void order_operands(printer *p, dpi_gnode *n, int prec) {
  if (n->op != DPI_OP_ADD && n->op != DPI_OP_MUL) return;
  if (precedence(dpi_graph_at(p->g, n->arg[1])) == prec &&
      precedence(dpi_graph_at(p->g, n->arg[0])) > prec) {
    dpi_node t = n->arg[0];
    n->arg[0] = n->arg[1];
    n->arg[1] = t;
  }
}

/* items go onto the stack last first */
static void expand_infix(printer *p, dpi_gnode n, int prec) {
  static const char *const spaced[DPI_OP_COUNT] = {
      [DPI_OP_ADD] = " + ", [DPI_OP_SUB] = " - ", [DPI_OP_MUL] = "*",   [DPI_OP_DIV] = "/",
      [DPI_OP_POW] = "^",   [DPI_OP_LT] = " < ",  [DPI_OP_LE] = " <= ", [DPI_OP_GT] = " > ",
      [DPI_OP_GE] = " >= ", [DPI_OP_EQ] = " == ", [DPI_OP_NE] = " != ", [DPI_OP_AND] = " && ",
      [DPI_OP_OR] = " || ",
  };
  int left = prec, right = prec + 1;
  if (n.op == DPI_OP_POW || prec == PREC_REL)
    left = prec + 1; /* right-associative; chains mean something else */
  order_operands(p, &n, prec);
  push(p, NULL, n.arg[1], right);
  push(p, spaced[n.op], DPI_NODE_NONE, 0);
  push(p, NULL, n.arg[0], left);
}

static void expand_call(printer *p, dpi_gnode n) {
  int arity = dpi_op_table[n.op].arity;
  push(p, ")", DPI_NODE_NONE, 0);
  if (n.op == DPI_OP_IF) { /* piecewise(value, condition, otherwise) */
    dpi_node t = n.arg[0];
    n.arg[0] = n.arg[1];
    n.arg[1] = t;
  }
  for (int k = arity - 1; k >= 0; k--) {
    push(p, NULL, n.arg[k], 0);
    if (k > 0) push(p, ", ", DPI_NODE_NONE, 0);
  }
  push(p, "(", DPI_NODE_NONE, 0);
  push(p, dpi_op_table[n.op].text, DPI_NODE_NONE, 0);
}

static void expand_power(printer *p, dpi_gnode n) {
  char buf[32];
  dpi_format_double((double)n.arg[1], buf);
  if (n.arg[1] < 0) push(p, ")", DPI_NODE_NONE, 0);
  /* the exponent is text that must outlive this call: digits are pushed one by one */
  static const char *const digit[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  for (int k = (int)strlen(buf) - 1; k >= 0; k--)
    push(p, buf[k] == '-' ? "-" : digit[(buf[k] - '0') % 10], DPI_NODE_NONE, 0);
  push(p, n.arg[1] < 0 ? "^(" : "^", DPI_NODE_NONE, 0);
  push(p, NULL, n.arg[0], PREC_POW + 1);
}

static void expand(printer *p, item it) {
  dpi_gnode n = dpi_graph_at(p->g, it.node);
  int prec = precedence(n);
  bool paren = prec < it.prec;
  if (paren) {
    dpi_str_add(p->out, "(");
    push(p, ")", DPI_NODE_NONE, 0);
  }
  if (n.op == DPI_OP_CONST || n.op == DPI_OP_SYM) {
    print_leaf(p, n);
  } else if (n.op == DPI_OP_NEG || n.op == DPI_OP_NOT) {
    push(p, NULL, n.arg[0], PREC_UNARY);
    push(p, n.op == DPI_OP_NEG ? "-" : "!", DPI_NODE_NONE, 0);
  } else if (n.op == DPI_OP_POWI) {
    expand_power(p, n);
  } else if (prec < PREC_ATOM) {
    expand_infix(p, n, prec);
  } else {
    expand_call(p, n);
  }
}

void dpi_g_print(const dpi_graph *g, dpi_node node, const char *(*name)(void *, int), void *user,
                 dpi_str *out) {
  printer p = {.g = g, .name = name, .user = user, .out = out};
  size_t limit = out->len + PRINT_MAX;
  if (node >= 0) push(&p, NULL, node, 0);
  while (p.n > 0 && !p.failed) {
    item it = p.stack[--p.n];
    if (out->len > limit) {
      dpi_str_add(out, "...");
      break;
    }
    if (it.text != NULL)
      dpi_str_add(out, it.text);
    else
      expand(&p, it);
  }
  if (p.failed) out->failed = true;
  dpi_free(out->ctx, p.stack);
}

/* ---- of a model ---- */

typedef struct namer {
  const dp_model *m;
  dpi_str text[2]; /* a printer may hold the name before while it asks for the next */
  int turn;
} namer;

/* Any id reads back between backquotes. */
static const char *quoted(void *user, int sym) {
  namer *n = user;
  dpi_str *s = &n->text[n->turn = 1 - n->turn];
  if (sym == 0) return "time";
  s->len = 0;
  dpi_str_addf(s, "`%s`", n->m->sym[sym].id);
  return dpi_str_text(s);
}

dp_status dpi_model_quote(const dp_model *m, const dpi_graph *g, dpi_node node, dpi_arena *arena, const char **out) {
  namer n = {.m = m};
  dpi_str text;
  for (int i = 0; i < 2; i++) dpi_str_init(&n.text[i], m->ctx);
  dpi_str_init(&text, m->ctx);
  dpi_g_print(g, node, quoted, &n, &text);
  *out = text.failed ? NULL : dpi_arena_strdup(arena, dpi_str_text(&text));
  for (int i = 0; i < 2; i++) dpi_str_release(&n.text[i]);
  dpi_str_release(&text);
  return *out ? DP_OK : DP_ERR_MEMORY;
}
