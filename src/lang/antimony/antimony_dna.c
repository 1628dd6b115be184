/* antimony_dna.c - floor 3: DNA strands. An element's formula may contain `...`, the formula of the element
 * upstream of it; without a formula it is `...`; nothing upstream is 0. A reaction's rate is the sum over all
 * strands that contain it. */
#include <string.h>

#include "lang/antimony/antimony_impl.h"

#define MAX_NEST 50
#define MAX_WORK 1000000L

typedef struct line { /* a whole strand: variables of its elements, parts written out */
  int *item;
  int n, cap;
} line;

typedef struct dna {
  ant_reader *r;
  long budget;
  int up_size;   /* of what upstream gives */
  ant_math *sum; /* [nvar] of reactions: their rate so far */
} dna;

static dp_status fail(const dna *d, int var, dp_status status, const char *what) {
  const ant_var *v = &d->r->var[var];
  return dpi_fail(d->r->ctx, status, "%s:%d: DNA strand '%s' %s", d->r->source, v->line, v->name, what);
}

/* the strand that stands for a submodel: the one whose ends are open where something is attached */
static dp_status proxy(dna *d, int strand, int scope, bool up, bool down, int *out) {
  ant_reader *r = d->r;
  *out = -1;
  for (int i = 0; i < r->nstrand; i++) {
    const ant_strand *s = &r->strand[i];
    d->budget--;
    if (r->var[s->var].scope != scope || (up && !s->open_up) || (down && !s->open_down)) continue;
    if (*out >= 0) return fail(d, r->strand[strand].var, DP_ERR_INPUT, "contains a submodel with several open strands");
    *out = i;
  }
  return *out >= 0 ? DP_OK : fail(d, r->strand[strand].var, DP_ERR_INPUT, "contains a submodel without an open strand");
}

/* the strand that item k of a strand is; -1: a simple element */
static dp_status strand_of(dna *d, int strand, int k, int *out) {
  const ant_strand *s = &d->r->strand[strand];
  const ant_var *v = ANT_ROOT(d->r, d->r->item[s->first + k]);
  *out = -1;
  if (v->kind == ANT_STRAND) *out = v->element;
  if (v->kind != ANT_SUBMODEL) return DP_OK;
  return proxy(d, strand, v->element, k > 0 || s->open_up, k + 1 < s->nitem || s->open_down, out);
}

static dp_status write_out(dna *d, int strand, int depth, line *out) {
  ant_reader *r = d->r;
  if (depth > MAX_NEST) return fail(d, r->strand[strand].var, DP_ERR_INPUT, "contains itself");
  r->strand[strand].reached = true;
  for (int k = 0; k < r->strand[strand].nitem; k++) {
    int inner;
    if (--d->budget < 0)
      return fail(d, r->strand[strand].var, DP_ERR_UNSUPPORTED, "is too long when it is written out");
    DP_TRY(strand_of(d, strand, k, &inner));
    if (inner >= 0) {
      DP_TRY(write_out(d, inner, depth + 1, out));
      continue;
    }
    DP_TRY(dpi_grow(r->ctx, (void **)&out->item, &out->cap, out->n + 1, sizeof *out->item));
    out->item[out->n++] = dpi_ant_root(r, r->item[r->strand[strand].first + k]);
  }
  return DP_OK;
}

static dp_status mark_inside(dna *d) {
  for (int i = 0; i < d->r->nstrand; i++) {
    for (int k = 0; k < d->r->strand[i].nitem; k++) {
      int inner;
      DP_TRY(strand_of(d, i, k, &inner));
      if (inner < 0) continue;
      if (d->r->strand[inner].inside)
        return fail(d, d->r->strand[inner].var, DP_ERR_INPUT, "is part of two other strands");
      d->r->strand[inner].inside = true;
    }
  }
  return DP_OK;
}

/* what upstream gives takes the place of `...` */
static dp_status fill(dna *d, dpi_ast **a, const dpi_ast *up) {
  if (--d->budget < 0)
    return dpi_fail(d->r->ctx, DP_ERR_UNSUPPORTED, "%s: DNA strands are too long when they are written out",
                    d->r->source);
  if ((*a)->op == DPI_AST_NAME && strcmp((*a)->name, "...") == 0) {
    d->budget -= d->up_size;
    *a = dpi_ast_copy(d->r->net, up);
    return *a == NULL ? DP_ERR_MEMORY : DP_OK;
  }
  for (int i = 0; i < (*a)->narg; i++) DP_TRY(fill(d, &(*a)->arg[i], up));
  return DP_OK;
}

static int size_of(const dpi_ast *a) {
  int n = 1;
  for (int i = 0; i < a->narg; i++) n += size_of(a->arg[i]);
  return n;
}

static int depth_of(const dpi_ast *a) {
  int most = 0;
  for (int i = 0; i < a->narg; i++) {
    int n = depth_of(a->arg[i]);
    if (n > most) most = n;
  }
  return most + 1;
}

static dp_status inherit(dna *d, const ant_var *v, dpi_ast **up) {
  const ant_math *own = v->kind == ANT_REACTION || v->rule.ast == NULL ? &v->init : &v->rule;
  if (own->ast == NULL) return DP_OK;
  dpi_ast *a = dpi_ast_copy(d->r->net, own->ast);
  if (a == NULL) return DP_ERR_MEMORY;
  d->up_size = size_of(*up);
  DP_TRY(fill(d, &a, *up));
  if (depth_of(a) > DPI_AST_DEPTH - 8)
    return dpi_fail(d->r->ctx, DP_ERR_UNSUPPORTED, "%s:%d: '%s' inherits a formula that is nested too deep",
                    d->r->source, v->line, v->name);
  *up = a;
  return DP_OK;
}

static dp_status add_rate(dna *d, int var, const dpi_ast *rate) {
  ant_math *sum = &d->sum[var];
  dpi_ast *copy = dpi_ast_copy(d->r->net, rate);
  if (copy == NULL) return DP_ERR_MEMORY;
  if (sum->ast != NULL) copy = dpi_ast_op2(d->r->net, DPI_AST_PLUS, sum->ast, copy);
  *sum = (ant_math){copy, d->r->var[var].scope, d->r->var[var].line};
  return copy == NULL ? DP_ERR_MEMORY : DP_OK;
}

static dp_status one_strand(dna *d, int strand) {
  line l = {0};
  dpi_ast *up = dpi_ast_number(d->r->net, 0.0);
  dp_status status = up == NULL ? DP_ERR_MEMORY : write_out(d, strand, 0, &l);
  for (int k = 0; k < l.n && status == DP_OK; k++) {
    const ant_var *v = &d->r->var[l.item[k]];
    status = inherit(d, v, &up);
    if (status == DP_OK && v->kind == ANT_REACTION) status = add_rate(d, l.item[k], up);
  }
  dpi_free(d->r->ctx, l.item);
  return status;
}

/* an element's own value: nothing is upstream of it */
static dp_status settle(dna *d, int var) {
  ant_var *v = &d->r->var[var];
  dpi_ast *zero = dpi_ast_number(d->r->net, 0.0);
  if (zero == NULL) return DP_ERR_MEMORY;
  d->up_size = 1;
  if (v->kind == ANT_REACTION) {
    if (d->sum[var].ast != NULL) v->init = d->sum[var];
    return DP_OK;
  }
  if (v->kind == ANT_STRAND || v->kind == ANT_SUBMODEL) return DP_OK;
  if (v->rule.ast == NULL && v->init.ast != NULL) {
    v->rule = v->init;
    v->init = (ant_math){0};
  }
  return v->rule.ast == NULL ? DP_OK : fill(d, &v->rule.ast, zero);
}

static dp_status all_strands(dna *d) {
  ant_reader *r = d->r;
  DP_TRY(mark_inside(d));
  for (int i = 0; i < r->nstrand; i++)
    if (!r->strand[i].inside) DP_TRY(one_strand(d, i));
  for (int i = 0; i < r->nstrand; i++)
    if (!r->strand[i].reached) return fail(d, r->strand[i].var, DP_ERR_INPUT, "contains itself");
  for (int i = 0; i < r->nstrand; i++)
    for (int k = 0; k < r->strand[i].nitem; k++) DP_TRY(settle(d, dpi_ant_root(r, r->item[r->strand[i].first + k])));
  return DP_OK;
}

dp_status dpi_ant_dna(ant_reader *r) {
  if (r->nstrand == 0) return DP_OK;
  dna d = {.r = r, .budget = MAX_WORK};
  d.sum = DPI_ARENA_ARRAY(&r->arena, ant_math, r->nvar);
  return d.sum == NULL ? DP_ERR_MEMORY : all_strands(&d);
}
