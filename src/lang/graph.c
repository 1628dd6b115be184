/* graph.c - floor 3: storage of the expression graph; hash-consing, reachability, substitution, dependence.
 *
 * 1. arguments of a node have smaller numbers than the node: ascending order is an order of evaluation, so nothing
 *    here recurses and deep expressions can't overflow the C stack;
 * 2. equal nodes (operation, arguments, bits of the constant) are one node;
 * 3. when memory runs out every builder gives DPI_NODE_NONE; the message is in the context.
 */
#include <stdlib.h>
#include <string.h>

#include "lang/lang_impl.h"

typedef struct memo_slot {
  uint64_t key; /* (node << 32 | sym) + 1; 0: empty */
  dpi_node value;
} memo_slot;

struct dpi_graph {
  dp_ctx *ctx;
  dpi_gnode *node;
  int count, cap;
  uint64_t *mask; /* by node: bit s mod 64 is set for each symbol s that it depends on */
  int cap_mask;
  int32_t *slot; /* open addressing, node + 1; 0: empty */
  int nslot;
  /* scratch of dpi_g_reach_fast, indexed by node */
  uint32_t *stamp;
  int32_t *memo;
  dpi_node *list;
  int scratch_cap;
  uint32_t epoch;
  /* derivatives already known */
  memo_slot *diff;
  int ndiff, cap_diff;
};

dp_status dpi_graph_create(dp_ctx *ctx, dpi_graph **out) {
  dpi_graph *g = DPI_NEW(ctx, dpi_graph);
  if (g == NULL) return DP_ERR_MEMORY;
  g->ctx = ctx;
  *out = g;
  return DP_OK;
}

void dpi_graph_destroy(dpi_graph *g) {
  if (g == NULL) return;
  dpi_free(g->ctx, g->node);
  dpi_free(g->ctx, g->mask);
  dpi_free(g->ctx, g->slot);
  dpi_free(g->ctx, g->stamp);
  dpi_free(g->ctx, g->memo);
  dpi_free(g->ctx, g->list);
  dpi_free(g->ctx, g->diff);
  dpi_free(g->ctx, g);
}

dp_ctx *dpi_g_ctx(const dpi_graph *g) { return g->ctx; }

int dpi_graph_count(const dpi_graph *g) { return g->count; }

dpi_gnode dpi_graph_at(const dpi_graph *g, dpi_node n) {
  DP_ASSERT(n >= 0 && n < g->count);
  return g->node[n];
}

bool dpi_g_is_const(const dpi_graph *g, dpi_node n, double *value) {
  if (n < 0 || g->node[n].op != DPI_OP_CONST) return false;
  *value = g->node[n].value;
  return true;
}

/* splitmix64's finaliser */
static uint64_t mix(uint64_t h) {
  h ^= h >> 30;
  h *= 0xbf58476d1ce4e5b9u;
  h ^= h >> 27;
  h *= 0x94d049bb133111ebu;
  return h ^ (h >> 31);
}

static uint64_t node_hash(const dpi_gnode *n) {
  uint64_t bits;
  memcpy(&bits, &n->value, sizeof bits);
  uint64_t h = mix(bits + (uint64_t)n->op * 0x9e3779b97f4a7c15u);
  for (int i = 0; i < 3; i++) h = mix(h + (uint64_t)(uint32_t)n->arg[i] + 0x9e3779b97f4a7c15u);
  return h;
}

static bool node_equal(const dpi_gnode *a, const dpi_gnode *b) {
  return a->op == b->op && a->arg[0] == b->arg[0] && a->arg[1] == b->arg[1] &&
         a->arg[2] == b->arg[2] && memcmp(&a->value, &b->value, sizeof a->value) == 0;
}

static bool rehash(dpi_graph *g) {
  int n = g->nslot ? g->nslot * 2 : 256;
  int32_t *slot = DPI_NEW_ARRAY(g->ctx, int32_t, n);
  if (slot == NULL) return false;
  for (int i = 0; i < g->count; i++) {
    uint64_t at = node_hash(&g->node[i]) & (uint64_t)(n - 1);
    while (slot[at] != 0) at = (at + 1) & (uint64_t)(n - 1);
    slot[at] = i + 1;
  }
  dpi_free(g->ctx, g->slot);
  g->slot = slot;
  g->nslot = n;
  return true;
}

dpi_node dpi_g_find(const dpi_graph *g, dpi_gnode n) {
  if (g->nslot == 0) return DPI_NODE_NONE;
  uint64_t at = node_hash(&n) & (uint64_t)(g->nslot - 1);
  for (; g->slot[at] != 0; at = (at + 1) & (uint64_t)(g->nslot - 1))
    if (node_equal(&g->node[g->slot[at] - 1], &n)) return g->slot[at] - 1;
  return DPI_NODE_NONE;
}

static uint64_t mask_of(const dpi_graph *g, const dpi_gnode *n) {
  uint64_t mask = n->op == DPI_OP_SYM ? (uint64_t)1 << (n->arg[0] & 63) : 0;
  for (int k = 0; k < dpi_op_arity(n->op); k++) mask |= g->mask[n->arg[k]];
  return mask;
}

/* false: node surely does not depend on sym */
static bool may_use(const dpi_graph *g, dpi_node node, int sym) { return g->mask[node] >> (sym & 63) & 1; }

dpi_node dpi_g_intern(dpi_graph *g, dpi_gnode n) {
  if (g->count * 2 >= g->nslot && !rehash(g)) return DPI_NODE_NONE;
  uint64_t at = node_hash(&n) & (uint64_t)(g->nslot - 1);
  for (; g->slot[at] != 0; at = (at + 1) & (uint64_t)(g->nslot - 1))
    if (node_equal(&g->node[g->slot[at] - 1], &n)) return g->slot[at] - 1;
  if (g->count >= DPI_GRAPH_MAX) {
    dpi_fail(g->ctx, DP_ERR_MEMORY, "the model has more than %d different expressions",
             DPI_GRAPH_MAX);
    return DPI_NODE_NONE;
  }
  if (dpi_grow(g->ctx, (void **)&g->node, &g->cap, g->count + 1, sizeof *g->node) != DP_OK)
    return DPI_NODE_NONE;
  if (dpi_grow(g->ctx, (void **)&g->mask, &g->cap_mask, g->count + 1, sizeof *g->mask) != DP_OK) return DPI_NODE_NONE;
  g->node[g->count] = n;
  g->mask[g->count] = mask_of(g, &n);
  g->slot[at] = ++g->count;
  return g->count - 1;
}

static int by_number(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* The same for few nodes, in time of their number rather than the graph's: a small set of nodes seen. False:
 * too many. */
#define FEW 192
typedef struct few {
  dpi_node slot[4 * FEW]; /* node + 1; 0 free */
  dpi_node node[FEW];
  int n;
} few;

static bool few_add(few *f, dpi_node node) {
  unsigned at = (unsigned)node * 2654435761u % (4 * FEW);
  for (; f->slot[at] != 0; at = (at + 1) % (4 * FEW))
    if (f->slot[at] == node + 1) return true;
  if (f->n == FEW) return false;
  f->slot[at] = node + 1;
  f->node[f->n++] = node;
  return true;
}

static bool reach_few(const dpi_graph *g, const dpi_node *root, int nroot, few *f) {
  for (int i = 0; i < nroot; i++)
    if (root[i] >= 0 && !few_add(f, root[i])) return false;
  for (int i = 0; i < f->n; i++) {
    const dpi_gnode *at = &g->node[f->node[i]];
    for (int k = 0; k < dpi_op_arity(at->op); k++)
      if (!few_add(f, at->arg[k])) return false;
  }
  qsort(f->node, (size_t)f->n, sizeof *f->node, by_number);
  return true;
}

dp_status dpi_g_reach(const dpi_graph *g, const dpi_node *root, int nroot, dpi_node **list,
                      int *n) {
  few f = {.n = 0};
  if (nroot <= FEW && reach_few(g, root, nroot, &f)) {
    *list = DPI_NEW_ARRAY(g->ctx, dpi_node, f.n > 0 ? f.n : 1);
    if (*list == NULL) return DP_ERR_MEMORY;
    memcpy(*list, f.node, (size_t)f.n * sizeof *f.node);
    *n = f.n;
    return DP_OK;
  }
  dpi_node top = 0;
  for (int i = 0; i < nroot; i++) top = root[i] > top ? root[i] : top;
  uint8_t *seen = DPI_NEW_ARRAY(g->ctx, uint8_t, top + 1);
  if (seen == NULL) return DP_ERR_MEMORY;
  int count = 0;
  for (int i = 0; i < nroot; i++)
    if (root[i] >= 0) seen[root[i]] = 1;
  for (dpi_node i = top; i >= 0; i--) {
    if (!seen[i] || g->count == 0) continue;
    count++;
    for (int k = 0; k < dpi_op_arity(g->node[i].op); k++) seen[g->node[i].arg[k]] = 1;
  }
  *list = DPI_NEW_ARRAY(g->ctx, dpi_node, count > 0 ? count : 1);
  if (*list != NULL) {
    *n = 0;
    for (dpi_node i = 0; i <= top; i++)
      if (seen[i] && *n < count) (*list)[(*n)++] = i;
  }
  dpi_free(g->ctx, seen);
  return *list == NULL ? DP_ERR_MEMORY : DP_OK;
}

static dp_status grow_scratch(dpi_graph *g) {
  if (g->scratch_cap >= g->count) return DP_OK;
  int cap = g->cap;
  uint32_t *stamp = DPI_NEW_ARRAY(g->ctx, uint32_t, cap);
  int32_t *memo = DPI_NEW_ARRAY(g->ctx, int32_t, cap);
  dpi_node *list = DPI_NEW_ARRAY(g->ctx, dpi_node, cap);
  if (stamp == NULL || memo == NULL || list == NULL) {
    dpi_free(g->ctx, stamp);
    dpi_free(g->ctx, memo);
    dpi_free(g->ctx, list);
    return DP_ERR_MEMORY;
  }
  dpi_free(g->ctx, g->stamp);
  dpi_free(g->ctx, g->memo);
  dpi_free(g->ctx, g->list);
  g->stamp = stamp;
  g->memo = memo;
  g->list = list;
  g->scratch_cap = cap;
  g->epoch = 0;
  return DP_OK;
}

dp_status dpi_g_reach_fast(dpi_graph *g, dpi_node root, int sym, const dpi_node **list, int *n) {
  DP_TRY(grow_scratch(g));
  if (++g->epoch == 0) { /* stamps wrapped round */
    memset(g->stamp, 0, (size_t)g->scratch_cap * sizeof *g->stamp);
    g->epoch = 1;
  }
  int count = 0;
  g->list[count++] = root;
  g->stamp[root] = g->epoch;
  for (int i = 0; i < count; i++) {
    const dpi_gnode *at = &g->node[g->list[i]];
    for (int k = 0; k < dpi_op_arity(at->op); k++) {
      dpi_node a = at->arg[k];
      if (g->stamp[a] == g->epoch) continue;
      if (sym >= 0 && (!may_use(g, a, sym) || dpi_g_memo_get(g, a, sym) != DPI_NODE_NONE)) continue;
      g->stamp[a] = g->epoch;
      g->list[count++] = a;
    }
  }
  qsort(g->list, (size_t)count, sizeof *g->list, by_number);
  *list = g->list;
  *n = count;
  return DP_OK;
}

int32_t *dpi_g_scratch(dpi_graph *g) { return g->memo; }

dp_status dpi_g_symbols(dpi_graph *g, dpi_node node, const int32_t **sym, int *n) {
  const dpi_node *list;
  int count = 0, nlist;
  DP_TRY(dpi_g_reach_fast(g, node, -1, &list, &nlist));
  for (int i = 0; i < nlist; i++)
    if (g->node[list[i]].op == DPI_OP_SYM) g->list[count++] = g->node[list[i]].arg[0];
  qsort(g->list, (size_t)count, sizeof *g->list, by_number);
  *sym = g->list;
  *n = count;
  return DP_OK;
}

/* ---- memo of derivatives ---- */
static uint64_t memo_key(dpi_node node, int sym) {
  return ((uint64_t)(uint32_t)node << 32 | (uint32_t)sym) + 1;
}

dpi_node dpi_g_memo_get(const dpi_graph *g, dpi_node node, int sym) {
  if (g->cap_diff == 0) return DPI_NODE_NONE;
  uint64_t key = memo_key(node, sym), at = mix(key) & (uint64_t)(g->cap_diff - 1);
  for (; g->diff[at].key != 0; at = (at + 1) & (uint64_t)(g->cap_diff - 1))
    if (g->diff[at].key == key) return g->diff[at].value;
  return DPI_NODE_NONE;
}

static bool memo_grow(dpi_graph *g) {
  int cap = g->cap_diff ? g->cap_diff * 2 : 256;
  memo_slot *slot = DPI_NEW_ARRAY(g->ctx, memo_slot, cap);
  if (slot == NULL) return false;
  for (int i = 0; i < g->cap_diff; i++) {
    if (g->diff[i].key == 0) continue;
    uint64_t at = mix(g->diff[i].key) & (uint64_t)(cap - 1);
    while (slot[at].key != 0) at = (at + 1) & (uint64_t)(cap - 1);
    slot[at] = g->diff[i];
  }
  dpi_free(g->ctx, g->diff);
  g->diff = slot;
  g->cap_diff = cap;
  return true;
}

bool dpi_g_memo_put(dpi_graph *g, dpi_node node, int sym, dpi_node value) {
  if (g->ndiff * 2 >= g->cap_diff && !memo_grow(g)) return false;
  uint64_t key = memo_key(node, sym), at = mix(key) & (uint64_t)(g->cap_diff - 1);
  while (g->diff[at].key != 0 && g->diff[at].key != key)
    at = (at + 1) & (uint64_t)(g->cap_diff - 1);
  g->ndiff += g->diff[at].key == 0;
  g->diff[at] = (memo_slot){key, value};
  return true;
}

/* ---- substitution and dependence ---- */

/* What stands for node `at`; memo: what stands for its arguments. */
static dpi_node replaced(dpi_graph *g, dpi_node node, const int32_t *memo, const dpi_node *replacement, int nsym) {
  dpi_gnode at = g->node[node];
  dpi_node arg[3] = {DPI_NODE_NONE, DPI_NODE_NONE, DPI_NODE_NONE};
  if (at.op == DPI_OP_CONST) return node;
  if (at.op == DPI_OP_SYM)
    return at.arg[0] < nsym && replacement[at.arg[0]] != DPI_NODE_NONE ? replacement[at.arg[0]] : node;
  bool same = true;
  for (int k = 0; k < dpi_op_arity(at.op); k++) {
    arg[k] = memo[at.arg[k]];
    same = same && arg[k] == at.arg[k];
  }
  return same ? node : dpi_g_rebuild(g, at, arg);
}

dpi_node dpi_g_subst(dpi_graph *g, dpi_node node, const dpi_node *replacement, int nsym) {
  if (node < 0) return DPI_NODE_NONE;
  const dpi_node *list;
  int n;
  if (dpi_g_reach_fast(g, node, -1, &list, &n) != DP_OK) return DPI_NODE_NONE;
  int32_t *memo = dpi_g_scratch(g); /* stays valid: only dpi_g_reach_fast moves it */
  for (int i = 0; i < n; i++) {
    memo[list[i]] = replaced(g, list[i], memo, replacement, nsym);
    if (memo[list[i]] == DPI_NODE_NONE) return DPI_NODE_NONE;
  }
  return memo[node];
}

dp_status dpi_g_subst_all(dpi_graph *g, dpi_node *node, int n, const dpi_node *replacement, int nsym) {
  dpi_node *list = NULL;
  int count = 0;
  DP_TRY(dpi_g_reach(g, node, n, &list, &count));
  int32_t *memo = DPI_NEW_ARRAY(g->ctx, int32_t, g->count > 0 ? g->count : 1);
  dp_status status = memo == NULL ? DP_ERR_MEMORY : DP_OK;
  for (int i = 0; i < count && status == DP_OK; i++) {
    memo[list[i]] = replaced(g, list[i], memo, replacement, nsym);
    if (memo[list[i]] == DPI_NODE_NONE) status = DP_ERR_MEMORY;
  }
  for (int i = 0; i < n && status == DP_OK; i++)
    if (node[i] >= 0) node[i] = memo[node[i]];
  dpi_free(g->ctx, memo);
  dpi_free(g->ctx, list);
  return status;
}

dp_status dpi_g_depends(const dpi_graph *g, dpi_node node, uint8_t *seen, int nsym) {
  dpi_node *list = NULL;
  int n = 0;
  if (node < 0) return DP_OK;
  DP_TRY(dpi_g_reach(g, &node, 1, &list, &n));
  for (int i = 0; i < n; i++) {
    const dpi_gnode *at = &g->node[list[i]];
    if (at->op == DPI_OP_SYM && at->arg[0] < nsym) seen[at->arg[0]] = 1;
  }
  dpi_free(g->ctx, list);
  return DP_OK;
}
