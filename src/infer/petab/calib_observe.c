/* calib_observe.c - floor 6: observables and noise cut in two: what the sim gives, and what is computed from
 * that outside.  O
 *
 * In the graph of the sealed model an observable is an expression of time, states and parameters. Parameters that
 * nothing inside depends on (scales, offsets, noise, placeholders) are outer. The largest parts without them, made of
 * operations that are defined everywhere, are atoms: outputs of the sim. What is left is a small expression of atoms
 * and outer parameters, with its derivatives, evaluated for each measurement with that measurement's own numbers. So
 * outer parameters cost no direction, placeholders need no simulation of their own, and a quotient is formed only where
 * it was measured.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/petab/calib.h"

typedef struct cutter {
  dpi_calib_part *p;
  dp_ctx *ctx;
  dp_model *m;
  dpi_graph *g;
  uint8_t *outer;    /* [nsym] 1: outer */
  int *outer_number; /* [nsym] among p->outer, -1 */
  int natom, cap_atom;
  dpi_node *atom;
  dpi_node *y, *sigma; /* [nobservable] in the model's graph */
  /* one observable under work */
  dpi_graph *small;
  uint8_t *mark;  /* [count] see below */
  dpi_node *copy; /* [count] its node in small */
  int nin, cap_in;
  dpi_calib_in *in;
  int placeholder_first;
} cutter;

enum { NEEDED = 1, INSIDE = 2, OUTSIDE = 4, UNSAFE = 8, CUT = 16 };

/* ---- which symbols are outer ---- */

static dp_status mark_inner(cutter *k, uint8_t *inner, const char *formula, const char *where) {
  dpi_node node;
  const int32_t *list;
  int n;
  DP_TRY(dpi_model_parse(k->m, formula, where, false, &node));
  DP_TRY(dpi_g_symbols(k->g, node, &list, &n));
  for (int i = 0; i < n; i++) inner[list[i]] = 1;
  return DP_OK;
}

/* What the tables give, and neither equations nor laws look at. */
static dp_status find_outer(cutter *k) {
  dpi_calib_part *p = k->p;
  uint8_t *inner = p->inner = DPI_ARENA_ARRAY(p->arena, uint8_t, k->m->nsym);
  if (!inner) return DP_ERR_MEMORY;
  dp_status st = DP_OK;
  for (int l = 0; l < p->nlaw && st == DP_OK; l++)
    for (int i = 0; i < p->law[l].n && st == DP_OK; i++) {
      const int target = dpi_model_find(k->m, p->law[l].target[i]);
      if (target > 0) inner[target] = 1;
      st = mark_inner(k, inner, p->law[l].formula[i], p->law[l].id);
    }
  for (int i = 0; i < p->ngiven; i++) {
    const int s = dpi_model_find(k->m, p->given[i].param);
    if (s > 0 && k->m->sym[s].kind == DPI_SYM_PARAM && !k->m->sym[s].needed && !inner[s]) k->outer[s] = 1;
  }
  for (int o = 0; o < p->table->nobservable; o++)
    for (int j = 0; j < p->table->observable[o].nplaceholder; j++) {
      const int s = dpi_model_find(k->m, p->table->observable[o].placeholder[j]);
      if (s > 0 && !k->m->sym[s].needed) k->outer[s] = 1;
    }
  return st;
}

/* ---- formulas ---- */

static dp_status parse(cutter *k) {
  const dpi_calib_table *t = k->p->table;
  char where[400];
  for (int o = 0; o < t->nobservable; o++) {
    const dpi_calib_observable *w = &t->observable[o];
    snprintf(where, sizeof where, "%.300s: column observableFormula", w->where);
    DP_TRY(dpi_model_parse(k->m, w->formula, where, false, &k->y[o]));
    snprintf(where, sizeof where, "%.300s: column noiseFormula", w->where);
    DP_TRY(dpi_model_parse(k->m, w->noise, where, false, &k->sigma[o]));
  }
  return DP_OK;
}

/* ---- cutting ---- */

static bool safe(dpi_gnode n) {
  switch (n.op) {
    case DPI_OP_ADD:
    case DPI_OP_SUB:
    case DPI_OP_MUL:
    case DPI_OP_NEG:
    case DPI_OP_ABS:
    case DPI_OP_MIN:
    case DPI_OP_MAX:
    case DPI_OP_CONST:
    case DPI_OP_SYM:
    case DPI_OP_IF:
      return true;
    case DPI_OP_POWI:
      return n.arg[1] >= 0;
    default:
      return n.op >= DPI_OP_LT && n.op <= DPI_OP_NOT;
  }
}

/* Needed nodes from the roots down, then what they are made of from the leaves up. */
static void survey(cutter *k, int count, const dpi_node *root, int nroot) {
  memset(k->mark, 0, (size_t)count);
  for (int i = 0; i < nroot; i++) k->mark[root[i]] |= NEEDED;
  for (int i = count - 1; i >= 0; i--) {
    if (!(k->mark[i] & NEEDED)) continue;
    const dpi_gnode n = dpi_graph_at(k->g, i);
    for (int a = 0; a < dpi_op_arity(n.op); a++) k->mark[n.arg[a]] |= NEEDED;
  }
  for (int i = 0; i < count; i++) {
    if (!(k->mark[i] & NEEDED)) continue;
    const dpi_gnode n = dpi_graph_at(k->g, i);
    if (n.op == DPI_OP_SYM && n.arg[0] != 0) k->mark[i] |= k->outer[n.arg[0]] ? OUTSIDE : INSIDE;
    for (int a = 0; a < dpi_op_arity(n.op); a++) k->mark[i] |= k->mark[n.arg[a]] & (INSIDE | OUTSIDE | UNSAFE);
    if (!safe(n)) k->mark[i] |= UNSAFE;
  }
}

static bool whole(uint8_t mark) { return (mark & INSIDE) && !(mark & (OUTSIDE | UNSAFE)); }

/* From the roots down: a needed node that is whole is an atom; below it nothing is needed for its sake. */
static void cut(cutter *k, int count, const dpi_node *root, int nroot) {
  for (int i = 0; i < count; i++) k->mark[i] &= (uint8_t) ~(NEEDED | CUT);
  for (int i = 0; i < nroot; i++) k->mark[root[i]] |= NEEDED;
  for (int i = count - 1; i >= 0; i--) {
    if (!(k->mark[i] & NEEDED)) continue;
    const dpi_gnode n = dpi_graph_at(k->g, i);
    if (whole(k->mark[i]) || (n.op == DPI_OP_SYM && (k->mark[i] & INSIDE))) {
      k->mark[i] |= CUT;
      continue;
    }
    for (int a = 0; a < dpi_op_arity(n.op); a++) k->mark[n.arg[a]] |= NEEDED;
  }
}

static dp_status atom_number(cutter *k, dpi_node node, int *out) {
  for (*out = 0; *out < k->natom; ++*out)
    if (k->atom[*out] == node) return DP_OK;
  DP_TRY(dpi_grow(k->ctx, (void **)&k->atom, &k->cap_atom, k->natom + 1, sizeof *k->atom));
  k->atom[k->natom++] = node;
  return DP_OK;
}

static dp_status outer_number(cutter *k, int sym, int *out) {
  dpi_calib_part *p = k->p;
  if (k->outer_number[sym] < 0) {
    k->outer_number[sym] = p->nouter;
    p->outer_id[p->nouter++] = k->m->sym[sym].id;
  }
  *out = k->outer_number[sym];
  return DP_OK;
}

static int placeholder_of(const cutter *k, const dpi_calib_observable *o, int sym) {
  for (int j = 0; j < o->nplaceholder; j++)
    if (dpi_model_find(k->m, o->placeholder[j]) == sym) return j;
  return -1;
}

static dp_status input(cutter *k, const dpi_calib_observable *o, dpi_node node, dpi_node *copy) {
  const dpi_gnode n = dpi_graph_at(k->g, node);
  dpi_calib_in in = {.kind = DPI_IN_ATOM};
  if (k->mark[node] & CUT) {
    DP_TRY(atom_number(k, node, &in.index));
  } else {
    in.index = placeholder_of(k, o, n.arg[0]);
    in.kind = in.index >= 0 ? DPI_IN_PLACEHOLDER : DPI_IN_OUTER;
    if (in.index < 0) DP_TRY(outer_number(k, n.arg[0], &in.index));
  }
  DP_TRY(dpi_grow(k->ctx, (void **)&k->in, &k->cap_in, k->nin + 1, sizeof *k->in));
  k->in[k->nin++] = in;
  *copy = dpi_g_sym(k->small, k->nin); /* symbol 0 is time */
  return *copy == DPI_NODE_NONE ? DP_ERR_MEMORY : DP_OK;
}

static dpi_node rebuilt(cutter *k, dpi_gnode n) {
  const dpi_node a = k->copy[n.arg[0]];
  switch (dpi_op_arity(n.op)) {
    case 1:
      if (n.op != DPI_OP_POWI) return dpi_g_op1(k->small, n.op, a);
      return dpi_g_op2(k->small, DPI_OP_POW, a, dpi_g_const(k->small, n.arg[1]));
    case 2:
      return dpi_g_op2(k->small, n.op, a, k->copy[n.arg[1]]);
    default:
      return dpi_g_if(k->small, a, k->copy[n.arg[1]], k->copy[n.arg[2]]);
  }
}

static dp_status copy_down(cutter *k, const dpi_calib_observable *o, int count) {
  for (int i = 0; i < count; i++) {
    if (!(k->mark[i] & NEEDED)) continue;
    const dpi_gnode n = dpi_graph_at(k->g, i);
    if ((k->mark[i] & CUT) || (n.op == DPI_OP_SYM && n.arg[0] != 0))
      DP_TRY(input(k, o, i, &k->copy[i]));
    else if (n.op == DPI_OP_SYM || n.op == DPI_OP_CONST)
      k->copy[i] = n.op == DPI_OP_SYM ? dpi_g_sym(k->small, 0) : dpi_g_const(k->small, n.value);
    else
      k->copy[i] = rebuilt(k, n);
    if (k->copy[i] == DPI_NODE_NONE) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status make_tapes(cutter *k, dpi_node y, dpi_node sigma, dpi_calib_watch *w) {
  const int n = k->nin;
  dpi_node *all = DPI_NEW_ARRAY(k->ctx, dpi_node, 2 + 2 * n);
  uint8_t *fast = DPI_NEW_ARRAY(k->ctx, uint8_t, n + 1);
  dp_status st = all && fast ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) {
    memset(fast, 1, (size_t)n + 1);
    all[0] = y;
    all[1] = sigma;
    for (int i = 0; i < n; i++) {
      all[2 + i] = dpi_g_diff(k->small, y, 1 + i);
      all[2 + n + i] = dpi_g_diff(k->small, sigma, 1 + i);
      if (all[2 + i] == DPI_NODE_NONE || all[2 + n + i] == DPI_NODE_NONE) st = DP_ERR_MEMORY;
    }
  }
  if (st == DP_OK) st = dpi_tape_create(k->ctx, k->small, all, 2, fast, n + 1, &w->value);
  if (st == DP_OK) st = dpi_tape_create(k->ctx, k->small, all, 2 + 2 * n, fast, n + 1, &w->full);
  dpi_free(k->ctx, all);
  dpi_free(k->ctx, fast);
  return st;
}

/* With a tangent beside each input, in' = symbols nin + 1 .. 2 nin: y, sigma, y', sigma', then the derivatives of these
 * four by in. Those of y' and sigma' by in' are those of y and sigma by in. */
static dp_status make_twice(cutter *k, dpi_node y, dpi_node sigma, dpi_calib_watch *w) {
  const int n = k->nin;
  dpi_node *all = DPI_NEW_ARRAY(k->ctx, dpi_node, 4 + 4 * n), *at = DPI_NEW_ARRAY(k->ctx, dpi_node, 2 * n + 1);
  uint8_t *fast = DPI_NEW_ARRAY(k->ctx, uint8_t, 2 * n + 1);
  dp_status st = all && at && fast ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < 2 * n && st == DP_OK; i++) {
    at[i] = dpi_g_sym(k->small, 1 + i);
    if (at[i] == DPI_NODE_NONE) st = DP_ERR_MEMORY;
  }
  if (st == DP_OK) {
    memset(fast, 1, 2 * (size_t)n + 1);
    all[0] = y;
    all[1] = sigma;
    st = dpi_g_jvp(k->small, all, 2, at, at + n, n, all + 2);
  }
  for (int f = 0; f < 4 && st == DP_OK; f++)
    for (int i = 0; i < n && st == DP_OK; i++) {
      all[4 + f * n + i] = dpi_g_diff(k->small, all[f], 1 + i);
      if (all[4 + f * n + i] == DPI_NODE_NONE) st = DP_ERR_MEMORY;
    }
  if (st == DP_OK) st = dpi_tape_create(k->ctx, k->small, all, 4 + 4 * n, fast, 2 * n + 1, &w->twice);
  dpi_free(k->ctx, all);
  dpi_free(k->ctx, at);
  dpi_free(k->ctx, fast);
  return st;
}

static dp_status observable(cutter *k, int o, int count) {
  const dpi_node root[2] = {k->y[o], k->sigma[o]};
  const dpi_calib_observable *w = &k->p->table->observable[o];
  dpi_calib_watch *made = &k->p->watch[o];
  k->nin = 0;
  survey(k, count, root, 2);
  cut(k, count, root, 2);
  DP_TRY(dpi_graph_create(k->ctx, &k->small));
  dp_status st = copy_down(k, w, count);
  if (st == DP_OK) {
    made->nin = k->nin;
    made->in = DPI_ARENA_ARRAY(k->p->arena, dpi_calib_in, k->nin + 1);
    st = made->in ? DP_OK : DP_ERR_MEMORY;
  }
  if (st == DP_OK && k->nin > 0) memcpy(made->in, k->in, (size_t)k->nin * sizeof *k->in);
  if (st == DP_OK) st = make_tapes(k, k->copy[root[0]], k->copy[root[1]], made);
  if (st == DP_OK && k->p->twice) st = make_twice(k, k->copy[root[0]], k->copy[root[1]], made);
  dpi_graph_destroy(k->small);
  k->small = NULL;
  return st;
}

/* ---- what the sim is asked for ---- */

static dp_status print_atoms(cutter *k) {
  dpi_calib_part *p = k->p;
  p->natom = k->natom;
  p->atom = DPI_ARENA_ARRAY(p->arena, const char *, k->natom + 1);
  if (!p->atom) return DP_ERR_MEMORY;
  for (int i = 0; i < k->natom; i++) DP_TRY(dpi_model_quote(k->m, k->g, k->atom[i], p->arena, &p->atom[i]));
  return DP_OK;
}

static dp_status cut_all(cutter *k) {
  dpi_calib_part *p = k->p;
  const int count = dpi_graph_count(k->g);
  k->mark = DPI_NEW_ARRAY(k->ctx, uint8_t, count);
  k->copy = DPI_NEW_ARRAY(k->ctx, dpi_node, count);
  if (!k->mark || !k->copy) return DP_ERR_MEMORY;
  for (int s = 0; s < k->m->nsym; s++) k->outer_number[s] = -1;
  for (int o = 0; o < p->table->nobservable; o++) DP_TRY(observable(k, o, count));
  return print_atoms(k);
}

dp_status dpi_calib_observe(dpi_calib_part *p) {
  cutter k = {.p = p, .ctx = p->ctx, .m = p->model, .g = p->model->graph};
  const int nsym = k.m->nsym, no = p->table->nobservable;
  k.outer = DPI_NEW_ARRAY(k.ctx, uint8_t, nsym);
  k.outer_number = DPI_NEW_ARRAY(k.ctx, int, nsym);
  k.y = DPI_NEW_ARRAY(k.ctx, dpi_node, no + 1);
  k.sigma = DPI_NEW_ARRAY(k.ctx, dpi_node, no + 1);
  p->watch = DPI_ARENA_ARRAY(p->arena, dpi_calib_watch, no + 1);
  p->outer_id = DPI_ARENA_ARRAY(p->arena, const char *, nsym);
  dp_status st = k.outer && k.outer_number && k.y && k.sigma && p->watch && p->outer_id ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) st = find_outer(&k);
  if (st == DP_OK) st = parse(&k);
  if (st == DP_OK) st = cut_all(&k);
  dpi_free(k.ctx, k.outer);
  dpi_free(k.ctx, k.outer_number);
  dpi_free(k.ctx, k.y);
  dpi_free(k.ctx, k.sigma);
  dpi_free(k.ctx, k.mark);
  dpi_free(k.ctx, k.copy);
  dpi_free(k.ctx, k.atom);
  dpi_free(k.ctx, k.in);
  return st;
}
