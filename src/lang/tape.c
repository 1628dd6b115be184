/* tape.c - floor 3: expressions compiled to a flat list of steps, and the interpreter that runs it: the inner loop of
 * everything above, and the oracle for compiled code.
 *
 * What a tape is made of and how its registers lie: tape.h.
 *
 * 1. steps stand in ascending order of their nodes, the same for every processor;
 * 2. a product used once by a sum is one step (two roundings, never a fused multiply-add);
 * 3. both branches of a piecewise are computed and one is selected: the other's NaN goes nowhere.
 */
#include <math.h>
#include <string.h>

#include "lang/lang_impl.h"
#include "lang/tape.h"

enum { CLASS_CONST, CLASS_SLOW, CLASS_FAST };

/* ---- compiling ---- */
typedef struct compiler {
  dp_ctx *ctx;
  const dpi_graph *g;
  dpi_tape *t;
  const dpi_node *list; /* reachable nodes, ascending */
  int n;
  int32_t *at;    /* node -> position in list, [last node + 1] */
  uint8_t *class; /* by position, as all below */
  int32_t *uses;  /* number of arguments and outputs that refer to it */
  int32_t *last;  /* position of its last user; n: an output */
  uint8_t *fused; /* computed inside its only user */
  int32_t *reg;
  int32_t *spare; /* free body registers */
  int nspare, nreg;
} compiler;

/* Place in the list of a node that is in it. */
static int node_at(const compiler *c, dpi_node node) {
  if (c->at) return c->at[node];
  int lo = 0, hi = c->n - 1;
  while (lo < hi) {
    int mid = (lo + hi) / 2;
    if (c->list[mid] < node)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

static int arg_at(const compiler *c, dpi_gnode n, int k) { return node_at(c, n.arg[k]); }

static dp_status compiler_init(compiler *c, const dpi_node *out, int nout) {
  dpi_node *list = NULL;
  DP_TRY(dpi_g_reach(c->g, out, nout, &list, &c->n));
  c->list = list;
  int n = c->n > 0 ? c->n : 1, top = c->n > 0 ? c->list[c->n - 1] + 1 : 1;
  bool few = top / 64 > n; /* a small tape of a large graph must not cost the graph's size */
  if (!few) c->at = DPI_NEW_ARRAY(c->ctx, int32_t, top);
  c->class = DPI_NEW_ARRAY(c->ctx, uint8_t, n);
  c->uses = DPI_NEW_ARRAY(c->ctx, int32_t, n);
  c->last = DPI_NEW_ARRAY(c->ctx, int32_t, n);
  c->fused = DPI_NEW_ARRAY(c->ctx, uint8_t, n);
  c->reg = DPI_NEW_ARRAY(c->ctx, int32_t, n);
  c->spare = DPI_NEW_ARRAY(c->ctx, int32_t, n);
  bool ok = (few || c->at) && c->class && c->uses && c->last && c->fused && c->reg && c->spare;
  return ok ? DP_OK : DP_ERR_MEMORY;
}

static void compiler_release(compiler *c) {
  dpi_free(c->ctx, (void *)c->list);
  dpi_free(c->ctx, c->at);
  dpi_free(c->ctx, c->class);
  dpi_free(c->ctx, c->uses);
  dpi_free(c->ctx, c->last);
  dpi_free(c->ctx, c->fused);
  dpi_free(c->ctx, c->reg);
  dpi_free(c->ctx, c->spare);
}

/* constant, slow or fast; how often and how late each node is used */
static dp_status classify(compiler *c, const dpi_node *out, int nout, const uint8_t *fast,
                          int nsym) {
  for (int i = 0; i < c->n; i++) {
    dpi_gnode n = dpi_graph_at(c->g, c->list[i]);
    if (c->at) c->at[c->list[i]] = i;
    c->last[i] = i;
    if (n.op == DPI_OP_SYM && n.arg[0] >= nsym)
      return dpi_fail(c->ctx, DP_ERR_BUG, "tape: symbol %d is outside 0..%d", n.arg[0], nsym - 1);
    c->class[i] = n.op == DPI_OP_CONST ? CLASS_CONST : CLASS_SLOW;
    if (n.op == DPI_OP_SYM && fast[n.arg[0]]) c->class[i] = CLASS_FAST;
    for (int k = 0; k < dpi_op_arity(n.op); k++) {
      int a = arg_at(c, n, k);
      if (c->class[a] == CLASS_FAST) c->class[i] = CLASS_FAST;
      c->uses[a]++;
      c->last[a] = i;
    }
  }
  for (int i = 0; i < nout; i++) {
    c->uses[node_at(c, out[i])]++;
    c->last[node_at(c, out[i])] = c->n;
  }
  return DP_OK;
}

/* the argument of a sum that is a product nobody else needs, or -1 */
static int fusable(const compiler *c, int i, dpi_gnode n) {
  if (n.op != DPI_OP_ADD && n.op != DPI_OP_SUB) return -1;
  for (int k = 1; k >= 0; k--) {
    int a = arg_at(c, n, k);
    if (dpi_graph_at(c->g, c->list[a]).op == DPI_OP_MUL && c->uses[a] == 1 &&
        c->class[a] == c->class[i])
      return k;
  }
  return -1;
}

/* products move into their sums; their factors live until then */
static void fuse(compiler *c) {
  for (int i = 0; i < c->n; i++) {
    dpi_gnode n = dpi_graph_at(c->g, c->list[i]);
    int k = fusable(c, i, n);
    if (k < 0) continue;
    int p = arg_at(c, n, k);
    dpi_gnode prod = dpi_graph_at(c->g, c->list[p]);
    c->fused[p] = 1;
    for (int j = 0; j < 2; j++) {
      int f = arg_at(c, prod, j);
      if (c->last[f] < i) c->last[f] = i;
    }
  }
}

/* what a step reads, by position in the list: at most three */
static int operands(const compiler *c, int i, dpi_gnode n, int pos[3], int *op) {
  int k = fusable(c, i, n);
  *op = (int)n.op;
  if (k >= 0) {
    dpi_gnode prod = dpi_graph_at(c->g, c->list[arg_at(c, n, k)]);
    pos[0] = arg_at(c, prod, 0);
    pos[1] = arg_at(c, prod, 1);
    pos[2] = arg_at(c, n, 1 - k);
    *op = n.op == DPI_OP_ADD ? DPI_STEP_MADD : k == 0 ? DPI_STEP_MSUB : DPI_STEP_NMADD;
    return 3;
  }
  for (int j = 0; j < dpi_op_arity(n.op); j++) pos[j] = arg_at(c, n, j);
  if (n.op == DPI_OP_POWI && n.arg[1] == 2) {
    pos[1] = pos[0];
    *op = DPI_OP_MUL;
    return 2;
  }
  if (n.op == DPI_OP_POWI && n.arg[1] == 3) *op = DPI_STEP_CUBE;
  return dpi_op_arity(n.op);
}

/* registers whose value is read here for the last time may be written again */
static void free_operands(compiler *c, int i, const int pos[3], int npos) {
  for (int k = 0; k < npos; k++) {
    int a = pos[k];
    bool repeated = (k > 0 && pos[0] == a) || (k > 1 && pos[1] == a);
    bool body = c->class[a] == CLASS_FAST && dpi_graph_at(c->g, c->list[a]).op != DPI_OP_SYM;
    if (body && !repeated && c->last[a] == i) c->spare[c->nspare++] = c->reg[a];
  }
}

static void emit(compiler *c, int i, dpi_step *list, int *count) {
  dpi_gnode n = dpi_graph_at(c->g, c->list[i]);
  int pos[3] = {0, 0, 0}, op;
  int npos = operands(c, i, n, pos, &op);
  dpi_step s = {.op = op};
  s.a = npos > 0 ? c->reg[pos[0]] : 0;
  s.b = npos > 1 ? c->reg[pos[1]] : 0;
  s.c = npos > 2 ? c->reg[pos[2]] : 0;
  if (op == DPI_OP_POWI) s.b = n.arg[1];
  if (c->class[i] == CLASS_FAST) {
    free_operands(c, i, pos, npos);
    c->reg[i] = c->nspare > 0 ? c->spare[--c->nspare] : c->nreg++;
  } else {
    c->reg[i] = c->nreg++;
  }
  s.dst = c->reg[i];
  list[(*count)++] = s;
}

static void assign_leaves(compiler *c, int class) {
  dpi_tape *t = c->t;
  for (int i = 0; i < c->n; i++) {
    dpi_gnode n = dpi_graph_at(c->g, c->list[i]);
    if (c->class[i] != class || (n.op != DPI_OP_CONST && n.op != DPI_OP_SYM)) continue;
    c->reg[i] = c->nreg++;
    if (class == CLASS_CONST) t->constant[t->nconst++] = n.value;
    if (class == CLASS_SLOW) t->slow[t->nslow++] = (dpi_load){c->reg[i], n.arg[0]};
    if (class == CLASS_FAST) t->fast[t->nfast++] = (dpi_load){c->reg[i], n.arg[0]};
  }
}

static void assign_steps(compiler *c, int class, dpi_step *list, int *count) {
  for (int i = 0; i < c->n; i++) {
    dpi_gnode n = dpi_graph_at(c->g, c->list[i]);
    if (c->class[i] == class && n.op != DPI_OP_CONST && n.op != DPI_OP_SYM && !c->fused[i])
      emit(c, i, list, count);
  }
  list[*count] = (dpi_step){.op = DPI_STEP_END};
}

static dp_status tape_alloc(compiler *c, int nout) {
  dpi_tape *t = c->t;
  int n = c->n + 1;
  t->constant = DPI_NEW_ARRAY(c->ctx, double, n);
  t->slow = DPI_NEW_ARRAY(c->ctx, dpi_load, n);
  t->fast = DPI_NEW_ARRAY(c->ctx, dpi_load, n);
  t->prologue = DPI_NEW_ARRAY(c->ctx, dpi_step, n);
  t->body = DPI_NEW_ARRAY(c->ctx, dpi_step, n);
  t->out = DPI_NEW_ARRAY(c->ctx, int32_t, nout > 0 ? nout : 1);
  bool ok = t->constant && t->slow && t->fast && t->prologue && t->body && t->out;
  return ok ? DP_OK : DP_ERR_MEMORY;
}

static dp_status compile(compiler *c, const dpi_node *out, int nout, const uint8_t *fast,
                         int nsym) {
  DP_TRY(compiler_init(c, out, nout));
  DP_TRY(tape_alloc(c, nout));
  DP_TRY(classify(c, out, nout, fast, nsym));
  fuse(c);
  assign_leaves(c, CLASS_CONST);
  assign_leaves(c, CLASS_SLOW);
  assign_steps(c, CLASS_SLOW, c->t->prologue, &c->t->nprologue);
  assign_leaves(c, CLASS_FAST);
  assign_steps(c, CLASS_FAST, c->t->body, &c->t->nbody);
  for (int i = 0; i < nout; i++) c->t->out[i] = c->reg[node_at(c, out[i])];
  c->t->nout = nout;
  c->t->nreg = c->nreg > 0 ? c->nreg : 1;
  return DP_OK;
}

dp_status dpi_tape_create(dp_ctx *ctx, const dpi_graph *g, const dpi_node *out, int nout,
                          const uint8_t *fast, int nsym, dpi_tape **tape) {
  for (int i = 0; i < nout; i++)
    if (out[i] < 0)
      return dpi_fail(ctx, DP_ERR_MEMORY, "tape: expression %d could not be built", i);
  dpi_tape *t = DPI_NEW(ctx, dpi_tape);
  if (t == NULL) return DP_ERR_MEMORY;
  t->ctx = ctx;
  compiler c = {.ctx = ctx, .g = g, .t = t};
  dp_status status = compile(&c, out, nout, fast, nsym);
  compiler_release(&c);
  if (status != DP_OK) {
    dpi_tape_destroy(t);
    return status;
  }
  *tape = t;
  return DP_OK;
}

void dpi_tape_destroy(dpi_tape *t) {
  if (t == NULL) return;
  dpi_free(t->ctx, t->constant);
  dpi_free(t->ctx, t->slow);
  dpi_free(t->ctx, t->fast);
  dpi_free(t->ctx, t->prologue);
  dpi_free(t->ctx, t->body);
  dpi_free(t->ctx, t->out);
  dpi_free(t->ctx, t);
}

int dpi_tape_nreg(const dpi_tape *t) { return t->nreg; }
int dpi_tape_nstep(const dpi_tape *t) { return t->nbody; }

/* ---- running ---- */
#define TAPE_RUN run
#define TAPE_FMA(a, b, c) dpi_m_fma(a, b, c)
#include "lang/tape_scalar.h"

void dpi_tape_attach(const dpi_tape *t, int width, const dpi_code *code) {
  dpi_tape *own = (dpi_tape *)t; /* code is no part of what a tape says */
  atomic_store_explicit(&own->code[dpi_width_index(width)], code, memory_order_release);
}

static const dpi_code *plain_code(const dpi_tape *t) { return atomic_load_explicit(&t->code[0], memory_order_acquire); }

static inline void run_body(const dpi_tape *t, double *reg) {
  const dpi_code *code = plain_code(t);
  if (code != NULL && code->body != NULL)
    code->body(reg, dpi_lane_ops_find(1));
  else
    run(t->body, reg);
}

void dpi_tape_init(const dpi_tape *t, double *reg) {
  memset(reg, 0, (size_t)t->nreg * sizeof *reg);
  for (int i = 0; i < t->nconst; i++) reg[i] = t->constant[i];
}

void dpi_tape_prologue(const dpi_tape *t, const double *sym, double *reg) {
  for (int i = 0; i < t->nslow; i++) reg[t->slow[i].reg] = sym[t->slow[i].sym];
  const dpi_code *code = plain_code(t);
  if (code != NULL && code->prologue != NULL)
    code->prologue(reg, dpi_lane_ops_find(1));
  else
    run(t->prologue, reg);
}

const int32_t *dpi_tape_run(const dpi_tape *t, double time, const double *x, double *reg) {
  for (const dpi_load *f = t->fast, *end = f + t->nfast; f < end; f++)
    reg[f->reg] = f->sym == 0 ? time : x[f->sym - 1];
  run_body(t, reg);
  return t->out;
}

void dpi_tape_eval(const dpi_tape *t, const double *sym, double *reg, double *out) {
  for (int i = 0; i < t->nfast; i++) reg[t->fast[i].reg] = sym[t->fast[i].sym];
  run_body(t, reg);
  for (int i = 0; i < t->nout; i++) out[i] = reg[t->out[i]];
}
