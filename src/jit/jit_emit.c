/* jit_emit.c - floor 3: a tape to an object file in memory, by LLVM.
 *
 * The steps of a list are cut into pieces of PIECE steps; each piece is a function of its own, and the list's function
 * calls them in order. Between pieces values live in their rows, within a piece in registers. So the time to compile
 * grows with the length of a tape, not with its square, and values that wait long do so where the interpreter keeps
 * them, not where a register allocator has to find room for them.
 *
 *     a row, inside a piece:   not seen yet -> loaded where first read (at home)
 *                              computed     -> kept in a register
 *                                              stored at once if a later piece or an output reads it (at home)
 *     functions are called through op->call with the addresses of rows; after a call what is at home is loaded anew
 *
 * Invariants:
 *   1. one step is one IEEE operation of LLVM without any fast-math flag, or what ops.c says in such operations;
 *   2. nothing is referred to outside: no library function, no data but LLVM's own constants;
 *   3. memory of a row holds what the interpreter would have there whenever a function or a later piece reads it.
 */
#include "jit/jit_impl.h"

#include "jit/jit_llvm.h"

#ifndef DPI_JIT_LLVM
dpi_jit_compiler *dpi_jit_compiler_create(dp_ctx *ctx, char why[DPI_JIT_WHY]) {
  (void)ctx;
  dpi_jit_why(why, "built without LLVM");
  return NULL;
}
void dpi_jit_compiler_destroy(dpi_jit_compiler *c) { (void)c; }
bool dpi_jit_compile(dpi_jit_compiler *c, const dpi_tape *tape, const dpi_jit_target *target, dpi_jit_tier tier,
                     dpi_jit_object *out, char why[DPI_JIT_WHY]) {
  (void)c, (void)tape, (void)target, (void)tier, (void)out;
  return dpi_jit_why(why, "built without LLVM");
}
#else
#include <stdio.h>
#include <string.h>

enum { PIECE = 256 }; /* steps: measured, README.md */
#define ROWS_MOST ((size_t)1 << 30) /* bytes of a workspace: offsets stay within an instruction */

struct dpi_jit_compiler {
  dp_ctx *ctx;
  const dpi_llvm *ll;
  LLVMContextRef context;
  LLVMBuilderRef builder;
  LLVMMemoryBufferRef object; /* the last one */
  struct {
    LLVMTargetMachineRef machine;
    const char *features;
    dpi_jit_tier tier;
  } machine[DPI_NWIDTH * 2]; /* one for each width and tier asked for */
  int nmachine;
  LLVMTypeRef type_void, type_double, type_i8, type_i64, type_ptr, type_code, type_call;
};

/* ---- life ---- */

/* LLVM would print it */
static void diagnostic(LLVMDiagnosticInfoRef info, void *user) { (void)info, (void)user; }

static void make_types(dpi_jit_compiler *c) {
  const dpi_llvm *ll = c->ll;
  c->type_void = ll->VoidTypeInContext(c->context);
  c->type_double = ll->DoubleTypeInContext(c->context);
  c->type_i8 = ll->Int8TypeInContext(c->context);
  c->type_i64 = ll->Int64TypeInContext(c->context);
  c->type_ptr = ll->PointerTypeInContext(c->context, 0);
  LLVMTypeRef ptr[3] = {c->type_ptr, c->type_ptr, c->type_ptr};
  c->type_code = ll->FunctionType(c->type_void, ptr, 2, 0);
  c->type_call = ll->FunctionType(c->type_void, ptr, 3, 0);
}

dpi_jit_compiler *dpi_jit_compiler_create(dp_ctx *ctx, char why[DPI_JIT_WHY]) {
  double seconds;
  if (!dpi_jit_llvm_open(why, &seconds)) return NULL;
  dpi_jit_compiler *c = DPI_NEW(ctx, dpi_jit_compiler);
  if (c == NULL) {
    dpi_jit_why(why, "out of memory");
    return NULL;
  }
  c->ctx = ctx;
  c->ll = dpi_jit_llvm();
  c->context = c->ll->ContextCreate();
  c->ll->ContextSetDiagnosticHandler(c->context, diagnostic, NULL);
  c->ll->ContextSetDiscardValueNames(c->context, 1);
  c->builder = c->ll->CreateBuilderInContext(c->context);
  make_types(c);
  return c;
}

static void drop_object(dpi_jit_compiler *c) {
  if (c->object) c->ll->DisposeMemoryBuffer(c->object);
  c->object = NULL;
}

void dpi_jit_compiler_destroy(dpi_jit_compiler *c) {
  if (c == NULL) return;
  drop_object(c);
  for (int i = 0; i < c->nmachine; i++) c->ll->DisposeTargetMachine(c->machine[i].machine);
  c->ll->DisposeBuilder(c->builder);
  c->ll->ContextDispose(c->context);
  dpi_free(c->ctx, c);
}

static LLVMTargetMachineRef machine_for(dpi_jit_compiler *c, const dpi_jit_target *t, dpi_jit_tier tier, char *why) {
  LLVMTargetRef target;
  char *message = NULL;
  for (int i = 0; i < c->nmachine; i++)
    if (c->machine[i].tier == tier && strcmp(c->machine[i].features, t->features) == 0) return c->machine[i].machine;
  if (c->nmachine == DPI_COUNT(c->machine) || c->ll->GetTargetFromTriple(t->triple, &target, &message)) {
    dpi_jit_why(why, "LLVM: %s", message ? message : "too many kinds of code in one job");
    if (message) c->ll->DisposeMessage(message);
    return NULL;
  }
  /* no passes over LLVM's own form: steps are shared and folded already. Below Default there is only None: Less takes
   * as long */
  LLVMCodeGenOptLevel level = tier == DPI_JIT_QUICK ? LLVMCodeGenLevelNone : LLVMCodeGenLevelDefault;
  LLVMTargetMachineRef m =
      c->ll->CreateTargetMachine(target, t->triple, t->cpu, t->features, level, LLVMRelocPIC, LLVMCodeModelSmall);
  if (m == NULL) {
    dpi_jit_why(why, "LLVM has no generator for %s", t->triple);
    return NULL;
  }
  c->machine[c->nmachine].machine = m;
  c->machine[c->nmachine].features = t->features;
  c->machine[c->nmachine++].tier = tier;
  return m;
}

/* ---- one list of steps ---- */

/* operations that LLVM knows by name */
enum { FMA, SQRT, FABS, FLOOR, CEIL, NINTRINSIC };
static const char *const intrinsic_name[] = {"llvm.fma", "llvm.sqrt", "llvm.fabs", "llvm.floor", "llvm.ceil"};

typedef struct row {
  LLVMValueRef value;
  int piece, span; /* value is known in this piece; and if at home, in this span between two calls */
  bool home;       /* memory holds it too */
} row;

typedef struct emitter {
  dpi_jit_compiler *c;
  const dpi_llvm *ll;
  const dpi_tape *tape;
  const dpi_jit_target *target;
  LLVMModuleRef module;
  LLVMBuilderRef b;
  LLVMTypeRef type; /* a row: double or a vector of them */
  LLVMValueRef zero, one, minus_one;
  struct {
    LLVMValueRef f; /* NULL: not used yet */
    LLVMTypeRef type;
  } intrinsic[NINTRINSIC];
  LLVMValueRef reg, op; /* parameters of the present function */
  row *row;             /* [nreg] */
  int32_t *last;        /* [steps] the last step that reads a step's result; INT32_MAX: read after the list */
  int piece, span;
  char *why;
} emitter;

/* the rows that a step reads; how many */
static int operands(const dpi_step *s, int32_t r[3]) {
  r[0] = s->a, r[1] = s->b, r[2] = s->c;
  if (s->op >= 0 && s->op < DPI_OP_COUNT) return dpi_op_arity((dpi_op)s->op);
  return s->op == DPI_STEP_CUBE ? 1 : 3;
}

static bool row_is_there(const dpi_tape *t, int32_t r) { return r >= 0 && r < t->nreg; }

/* fills e->last: from each row's writer to its last reader. after[r] != 0: row r is read when the list is done */
static bool find_last(emitter *e, const dpi_step *step, int n, const uint8_t *after) {
  int32_t *writer = DPI_NEW_ARRAY(e->c->ctx, int32_t, e->tape->nreg);
  if (writer == NULL) return dpi_jit_why(e->why, "out of memory");
  for (int r = 0; r < e->tape->nreg; r++) writer[r] = -1;
  bool good = true;
  for (int i = 0; i < n && good; i++) {
    int32_t r[3];
    int k = operands(&step[i], r);
    for (int j = 0; j < k && good; j++) {
      good = row_is_there(e->tape, r[j]);
      if (good && writer[r[j]] >= 0) e->last[writer[r[j]]] = i;
    }
    good = good && row_is_there(e->tape, step[i].dst);
    if (good) writer[step[i].dst] = i;
    e->last[i] = i;
  }
  for (int r = 0; r < e->tape->nreg; r++)
    if (after[r] && writer[r] >= 0) e->last[writer[r]] = INT32_MAX;
  dpi_free(e->c->ctx, writer);
  return good || dpi_jit_why(e->why, "a step of the tape reads or writes outside its rows");
}

/* ---- rows ---- */

static LLVMValueRef address(emitter *e, int32_t r) {
  LLVMValueRef index = e->ll->ConstInt(e->c->type_i64, (unsigned long long)r * (unsigned)e->target->width, 0);
  return e->ll->BuildInBoundsGEP2(e->b, e->c->type_double, e->reg, &index, 1, "");
}

static void store(emitter *e, int32_t r) {
  LLVMValueRef s = e->ll->BuildStore(e->b, e->row[r].value, address(e, r));
  e->ll->SetAlignment(s, 8 * (unsigned)e->target->width);
  e->row[r].home = true;
  e->row[r].span = e->span;
}

static bool row_known(const emitter *e, int32_t r) {
  const row *w = &e->row[r];
  return w->value != NULL && w->piece == e->piece && (!w->home || w->span == e->span);
}

static LLVMValueRef read_row(emitter *e, int32_t r) {
  if (!row_known(e, r)) {
    LLVMValueRef v = e->ll->BuildLoad2(e->b, e->type, address(e, r), "");
    e->ll->SetAlignment(v, 8 * (unsigned)e->target->width);
    e->row[r] = (row){v, e->piece, e->span, true};
  }
  return e->row[r].value;
}

/* the row's address, its memory up to date */
static LLVMValueRef send_row(emitter *e, int32_t r) {
  if (row_known(e, r) && !e->row[r].home) store(e, r);
  return address(e, r);
}

/* ---- steps ---- */

static LLVMValueRef splat(emitter *e, double x) {
  LLVMValueRef one = e->ll->ConstReal(e->c->type_double, x), all[DPI_LANES_MAX];
  for (int l = 0; l < e->target->width; l++) all[l] = one;
  return e->target->width == 1 ? one : e->ll->ConstVector(all, (unsigned)e->target->width);
}

static LLVMValueRef intrinsic(emitter *e, int which, LLVMValueRef *arg, unsigned n) {
  if (e->intrinsic[which].f == NULL) {
    unsigned id = e->ll->LookupIntrinsicID(intrinsic_name[which], strlen(intrinsic_name[which]));
    e->intrinsic[which].f = e->ll->GetIntrinsicDeclaration(e->module, id, &e->type, 1);
    e->intrinsic[which].type = e->ll->IntrinsicGetType(e->c->context, id, &e->type, 1);
  }
  return e->ll->BuildCall2(e->b, e->intrinsic[which].type, e->intrinsic[which].f, arg, n, "");
}

static LLVMValueRef test(emitter *e, LLVMRealPredicate p, LLVMValueRef a, LLVMValueRef b) {
  return e->ll->BuildFCmp(e->b, p, a, b, "");
}
static LLVMValueRef choose(emitter *e, LLVMValueRef cond, LLVMValueRef a, LLVMValueRef b) {
  return e->ll->BuildSelect(e->b, cond, a, b, "");
}
/* ops.c: true is whatever is not 0, NaN too */
static LLVMValueRef truth(emitter *e, LLVMValueRef a) { return test(e, LLVMRealUNE, a, e->zero); }
static LLVMValueRef number(emitter *e, LLVMValueRef cond) { return choose(e, cond, e->one, e->zero); }

/* as dpi_powi, product for product */
static LLVMValueRef power(emitter *e, LLVMValueRef x, int n) {
  unsigned k = n < 0 ? 0u - (unsigned)n : (unsigned)n;
  LLVMValueRef r = e->one, b = x;
  bool first = true;
  for (; k != 0; k >>= 1) {
    if (k & 1u) {
      r = first ? b : e->ll->BuildFMul(e->b, r, b, "");
      first = false;
    }
    if (k > 1) b = e->ll->BuildFMul(e->b, b, b, "");
  }
  return n < 0 ? e->ll->BuildFDiv(e->b, e->one, r, "") : r;
}

/* a < b || a != a ? a : b, and for max the other way */
static LLVMValueRef extreme(emitter *e, LLVMRealPredicate p, LLVMValueRef a, LLVMValueRef b) {
  LLVMValueRef cond = e->ll->BuildOr(e->b, test(e, p, a, b), test(e, LLVMRealUNO, a, a), "");
  return choose(e, cond, a, b);
}

static LLVMValueRef sign(emitter *e, LLVMValueRef a) {
  LLVMValueRef below = choose(e, test(e, LLVMRealOLT, a, e->zero), e->minus_one, e->zero);
  LLVMValueRef s = choose(e, test(e, LLVMRealOGT, a, e->zero), e->one, below);
  return choose(e, test(e, LLVMRealUNO, a, a), a, s);
}

static LLVMValueRef fused(emitter *e, LLVMValueRef v[3]) {
  if (e->target->fma) return intrinsic(e, FMA, v, 3);
  return e->ll->BuildFAdd(e->b, e->ll->BuildFMul(e->b, v[0], v[1], ""), v[2], "");
}

/* arithmetic of one step; NULL: not one that is done in line. v: its operands */
static LLVMValueRef arithmetic(emitter *e, const dpi_step *s, LLVMValueRef v[3]) {
  const dpi_llvm *ll = e->ll;
  LLVMBuilderRef b = e->b;
  switch (s->op) {
    case DPI_OP_ADD:
      return ll->BuildFAdd(b, v[0], v[1], "");
    case DPI_OP_SUB:
      return ll->BuildFSub(b, v[0], v[1], "");
    case DPI_OP_MUL:
      return ll->BuildFMul(b, v[0], v[1], "");
    case DPI_OP_DIV:
      return ll->BuildFDiv(b, v[0], v[1], "");
    case DPI_OP_NEG:
      return ll->BuildFNeg(b, v[0], "");
    case DPI_OP_POWI:
      return power(e, v[0], s->b);
    case DPI_OP_SQRT:
      return intrinsic(e, SQRT, v, 1);
    case DPI_OP_ABS:
      return intrinsic(e, FABS, v, 1);
    case DPI_OP_FLOOR:
      return e->target->floor ? intrinsic(e, FLOOR, v, 1) : NULL;
    case DPI_OP_CEIL:
      return e->target->floor ? intrinsic(e, CEIL, v, 1) : NULL;
    case DPI_OP_SIGN:
      return sign(e, v[0]);
    case DPI_OP_FMA:
      return fused(e, v);
    case DPI_STEP_MADD:
      return ll->BuildFAdd(b, ll->BuildFMul(b, v[0], v[1], ""), v[2], "");
    case DPI_STEP_MSUB:
      return ll->BuildFSub(b, ll->BuildFMul(b, v[0], v[1], ""), v[2], "");
    case DPI_STEP_NMADD:
      return ll->BuildFSub(b, v[2], ll->BuildFMul(b, v[0], v[1], ""), "");
    case DPI_STEP_CUBE:
      return ll->BuildFMul(b, v[0], ll->BuildFMul(b, v[0], v[0], ""), "");
    default:
      return NULL;
  }
}

/* comparisons, logic and choice; NULL: something else */
static LLVMValueRef decision(emitter *e, const dpi_step *s, LLVMValueRef v[3]) {
  switch (s->op) {
    case DPI_OP_MIN:
      return extreme(e, LLVMRealOLT, v[0], v[1]);
    case DPI_OP_MAX:
      return extreme(e, LLVMRealOGT, v[0], v[1]);
    case DPI_OP_LT:
      return number(e, test(e, LLVMRealOLT, v[0], v[1]));
    case DPI_OP_LE:
      return number(e, test(e, LLVMRealOLE, v[0], v[1]));
    case DPI_OP_GT:
      return number(e, test(e, LLVMRealOGT, v[0], v[1]));
    case DPI_OP_GE:
      return number(e, test(e, LLVMRealOGE, v[0], v[1]));
    case DPI_OP_EQ:
      return number(e, test(e, LLVMRealOEQ, v[0], v[1]));
    case DPI_OP_NE:
      return number(e, test(e, LLVMRealUNE, v[0], v[1]));
    case DPI_OP_AND:
      return number(e, e->ll->BuildAnd(e->b, truth(e, v[0]), truth(e, v[1]), ""));
    case DPI_OP_OR:
      return number(e, e->ll->BuildOr(e->b, truth(e, v[0]), truth(e, v[1]), ""));
    case DPI_OP_NOT:
      return number(e, test(e, LLVMRealOEQ, v[0], e->zero));
    case DPI_OP_IF:
      return choose(e, truth(e, v[0]), v[1], v[2]);
    default:
      return NULL;
  }
}

static bool is_inline(const emitter *e, int op) {
  if (op >= DPI_STEP_MADD && op <= DPI_STEP_CUBE) return true;
  if (op == DPI_OP_FLOOR || op == DPI_OP_CEIL) return e->target->floor;
  return (op >= DPI_OP_ADD && op <= DPI_OP_NEG) || op == DPI_OP_POWI || op == DPI_OP_SQRT || op == DPI_OP_ABS ||
         op == DPI_OP_SIGN || op == DPI_OP_FMA || op == DPI_OP_MIN || op == DPI_OP_MAX ||
         (op >= DPI_OP_LT && op <= DPI_OP_IF);
}

/* op->call[which](a, b, dst): on rows; whatever was at home is read again afterwards, as registers don't survive it */
static void call_function(emitter *e, const dpi_step *s) {
  const dpi_llvm *ll = e->ll;
  LLVMValueRef at = ll->ConstInt(e->c->type_i64, offsetof(dpi_lane_ops, call) + (size_t)s->op * sizeof(dpi_lane_fn), 0);
  int32_t r[3];
  int n = operands(s, r);
  LLVMValueRef f =
      ll->BuildLoad2(e->b, e->c->type_ptr, ll->BuildInBoundsGEP2(e->b, e->c->type_i8, e->op, &at, 1, ""), "");
  LLVMValueRef arg[3] = {send_row(e, s->a), send_row(e, n > 1 ? s->b : s->a), address(e, s->dst)};
  ll->BuildCall2(e->b, e->c->type_call, f, arg, 3, "");
  e->span++;
  e->row[s->dst] = (row){NULL, e->piece, e->span, true};
}

static bool emit_step(emitter *e, const dpi_lane_ops *ops, const dpi_step *s, bool keep) {
  LLVMValueRef v[3] = {NULL, NULL, NULL};
  int32_t r[3];
  if (!is_inline(e, s->op)) {
    if (s->op < 0 || s->op >= DPI_OP_COUNT || ops->call[s->op] == NULL)
      return dpi_jit_why(e->why, "operation %d has no function in width %d", (int)s->op, e->target->width);
    call_function(e, s);
    return true;
  }
  for (int k = 0, n = operands(s, r); k < n; k++) v[k] = read_row(e, r[k]);
  LLVMValueRef result = arithmetic(e, s, v);
  if (result == NULL) result = decision(e, s, v);
  DP_ASSERT(result != NULL); /* is_inline says so */
  e->row[s->dst] = (row){result, e->piece, e->span, false};
  if (keep) store(e, s->dst);
  return true;
}

/* ---- functions ---- */

static void attribute(emitter *e, LLVMValueRef f, unsigned index, const char *name) {
  unsigned kind = e->ll->GetEnumAttributeKindForName(name, strlen(name));
  e->ll->AddAttributeAtIndex(f, index, e->ll->CreateEnumAttribute(e->c->context, kind, 0));
}

static void attribute_text(emitter *e, LLVMValueRef f, const char *name, const char *value) {
  e->ll->AddAttributeAtIndex(
      f, LLVMAttributeFunctionIndex,
      e->ll->CreateStringAttribute(e->c->context, name, (unsigned)strlen(name), value, (unsigned)strlen(value)));
}

/* a function (reg, op) with an open block */
static LLVMValueRef begin_function(emitter *e, const char *name, LLVMLinkage linkage) {
  LLVMValueRef f = e->ll->AddFunction(e->module, name, e->c->type_code);
  e->ll->SetLinkage(f, linkage);
  attribute(e, f, (unsigned)LLVMAttributeFunctionIndex, "nounwind");
  attribute(e, f, 1, "noalias");
  attribute(e, f, 2, "noalias");
  if (e->target->width == 8) {
    /* LLVM would split them in halves */
    attribute_text(e, f, "prefer-vector-width", "512");
    attribute_text(e, f, "min-legal-vector-width", "512");
  }
  e->ll->PositionBuilderAtEnd(e->b, e->ll->AppendBasicBlockInContext(e->c->context, f, ""));
  e->reg = e->ll->GetParam(f, 0);
  e->op = e->ll->GetParam(f, 1);
  return f;
}

static LLVMValueRef emit_piece(emitter *e, const dpi_lane_ops *ops, const dpi_step *step, int from, int to,
                               const char *name) {
  LLVMValueRef f = begin_function(e, name, LLVMInternalLinkage);
  e->piece++;
  for (int i = from; i < to; i++)
    if (!emit_step(e, ops, &step[i], e->last[i] >= to)) return NULL;
  e->ll->BuildRetVoid(e->b);
  return f;
}

/* the list as function `name`; after: rows that are read when it is done */
static bool emit_list(emitter *e, const dpi_lane_ops *ops, const dpi_step *step, int n, const uint8_t *after,
                      const char *name) {
  int npiece = (n + PIECE - 1) / PIECE;
  LLVMValueRef *piece = DPI_NEW_ARRAY(e->c->ctx, LLVMValueRef, npiece + 1);
  e->last = DPI_NEW_ARRAY(e->c->ctx, int32_t, n + 1);
  bool good = piece != NULL && e->last != NULL ? find_last(e, step, n, after) : dpi_jit_why(e->why, "out of memory");
  for (int k = 0; k < npiece && good; k++) {
    char part[48];
    int to = n - k * PIECE < PIECE ? n : (k + 1) * PIECE;
    snprintf(part, sizeof part, "%s.%d", name, k);
    piece[k] = emit_piece(e, ops, step, k * PIECE, to, part);
    good = piece[k] != NULL;
  }
  if (good) {
    begin_function(e, name, LLVMExternalLinkage);
    LLVMValueRef arg[2] = {e->reg, e->op};
    for (int k = 0; k < npiece; k++) e->ll->BuildCall2(e->b, e->c->type_code, piece[k], arg, 2, "");
    e->ll->BuildRetVoid(e->b);
  }
  dpi_free(e->c->ctx, piece);
  dpi_free(e->c->ctx, e->last);
  e->last = NULL;
  return good;
}

/* rows of slow values are read by lanes' prologue, by the body and by outputs: all of them are kept */
static bool emit_lists(emitter *e, const dpi_lane_ops *ops, uint8_t *after) {
  const dpi_tape *t = e->tape;
  for (int i = 0; i < t->nprologue; i++)
    if (row_is_there(t, t->prologue[i].dst)) after[t->prologue[i].dst] = 1;
  if (e->target->width == 1 && t->nprologue > 0 &&
      !emit_list(e, ops, t->prologue, t->nprologue, after, DPI_JIT_PROLOGUE))
    return false;
  memset(after, 0, (size_t)t->nreg);
  for (int i = 0; i < t->nout; i++)
    if (row_is_there(t, t->out[i])) after[t->out[i]] = 1;
  return emit_list(e, ops, t->body, t->nbody, after, DPI_JIT_BODY);
}

static bool generate(emitter *e, LLVMTargetMachineRef machine) {
  char *message = NULL;
  drop_object(e->c);
  if (!e->ll->TargetMachineEmitToMemoryBuffer(machine, e->module, LLVMObjectFile, &message, &e->c->object)) return true;
  e->c->object = NULL;
  dpi_jit_why(e->why, "LLVM: %s", message ? message : "no reason given");
  if (message) e->ll->DisposeMessage(message);
  return false;
}

static void begin_module(emitter *e, LLVMTargetMachineRef machine) {
  e->module = e->ll->ModuleCreateWithNameInContext("", e->c->context);
  e->ll->SetTarget(e->module, e->target->triple);
  LLVMTargetDataRef layout = e->ll->CreateTargetDataLayout(machine);
  e->ll->SetModuleDataLayout(e->module, layout);
  e->ll->DisposeTargetData(layout);
  e->zero = splat(e, 0.0);
  e->one = splat(e, 1.0);
  e->minus_one = splat(e, -1.0);
}

bool dpi_jit_compile(dpi_jit_compiler *c, const dpi_tape *tape, const dpi_jit_target *target, dpi_jit_tier tier,
                     dpi_jit_object *out, char why[DPI_JIT_WHY]) {
  emitter e = {.c = c, .ll = c->ll, .tape = tape, .target = target, .b = c->builder, .why = why};
  const dpi_lane_ops *ops = dpi_lane_ops_find(target->width);
  size_t width = (size_t)target->width;
  if (ops == NULL) return dpi_jit_why(why, "this processor has no lanes of width %d", target->width);
  if (tape->nreg <= 0 || (size_t)tape->nreg > ROWS_MOST / sizeof(double) / width)
    return dpi_jit_why(why, "the tape has too many rows: %d", tape->nreg);
  LLVMTargetMachineRef machine = machine_for(c, target, tier, why);
  if (machine == NULL) return false;
  e.type = width == 1 ? c->type_double : c->ll->VectorType(c->type_double, (unsigned)width);
  e.row = DPI_NEW_ARRAY(c->ctx, row, tape->nreg);
  uint8_t *after = DPI_NEW_ARRAY(c->ctx, uint8_t, tape->nreg);
  bool good = e.row != NULL && after != NULL;
  if (good) {
    begin_module(&e, machine);
    good = emit_lists(&e, ops, after) && generate(&e, machine);
    c->ll->DisposeModule(e.module);
  } else {
    dpi_jit_why(why, "out of memory");
  }
  dpi_free(c->ctx, e.row);
  dpi_free(c->ctx, after);
  if (good) *out = (dpi_jit_object){c->ll->GetBufferStart(c->object), c->ll->GetBufferSize(c->object)};
  return good;
}
#endif
