/* check_conserved.c - floor 3: sums of amounts that no reaction changes.
 *
 * A conserved sum is an integer vector y with y' N = 0, N the stoichiometric matrix (species x reactions). Eliminating
 * the columns of [N | I] by whole-number row operations leaves, in the rows whose N part is zero, a basis of all y.
 * Sums a reader understands have no negative part ("ATP + ADP"): the same elimination that only ever adds rows (Farkas
 * 1902, as in the invariants of Petri nets) finds those with the fewest species; a basis is filled from them first.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/check_impl.h"

#define MAX_CELLS 12000000L /* of the matrix */
#define MAX_WORK 400000000L /* steps of elimination */
#define MAX_ROWS 4000       /* of nonnegative sums under way */
enum { MAX_SHOWN = 24, DENOMINATORS = 120 };

typedef struct laws {
  dpi_checker *c;
  int nrow, ncol, width; /* species that take part, reactions; width = ncol + nrow */
  const int *species;    /* [nrow] index in the network */
  int64_t *a;            /* [nrow x width] = [N | I] */
  long work;
  bool overflow;
  int64_t *found;        /* [nfound x nrow] independent sums */
  int nfound, rank;
  int64_t *pivot;        /* [nrow x nrow] `found` reduced, to judge independence */
} laws;

/* ---------------------------------------------------------------- the matrix */
/* the whole number that `by` times the common denominator is; false: none */
static bool scaled(double by, int64_t *out) {
  double v = by * DENOMINATORS;
  *out = 0;
  if (!(fabs(v) < 1e12) || fabs(v - nearbyint(v)) > 1e-6) return false;
  *out = (int64_t)nearbyint(v);
  return true;
}

static bool same_factor(const dpi_net *net) {
  for (int i = 0; i < net->nspecies; i++)
    if (net->species[i].conversion[0]) return false;
  return true;
}

static bool is_fixed(const dpi_net *net, const dpi_net_term *t) {
  if (t->math || isnan(t->stoichiometry)) return false;
  if (t->id[0] == '\0') return true;
  if (dpi_check_rule(net, t->id, ~0u)) return false;
  for (int i = 0; i < net->nevent; i++)
    for (int k = 0; k < net->event[i].nassign; k++)
      if (strcmp(net->event[i].assign[k].variable, t->id) == 0) return false;
  return true;
}

/* row[species] = 0 where reactions change it by fixed whole shares, else -1 */
static void choose_rows(const dpi_net *net, int *row) {
  for (int i = 0; i < net->nspecies; i++) row[i] = -1;
  for (int pass = 0; pass < 2; pass++) /* the second takes away what any reaction changes by an unknown amount */
    for (int i = 0; i < net->nreaction; i++) {
      const dpi_net_reaction *r = &net->reaction[i];
      for (int k = 0; k < r->nreactant + r->nproduct; k++) {
        const dpi_net_term *t = k < r->nreactant ? &r->reactant[k] : &r->product[k - r->nreactant];
        int s;
        int64_t n;
        if (dpi_net_find(net, t->species, &s) != DPI_NET_SPECIES || net->species[s].boundary ||
            net->species[s].constant)
          continue;
        bool good = is_fixed(net, t) && scaled(t->stoichiometry, &n);
        if (pass == 0) row[s] = 0;
        if (pass == 1 && !good) row[s] = -1;
      }
    }
}

static void fill_matrix(laws *l, const int *row) {
  const dpi_net *net = l->c->net;
  for (int j = 0; j < net->nreaction; j++) {
    const dpi_net_reaction *r = &net->reaction[j];
    for (int k = 0; k < r->nreactant + r->nproduct; k++) {
      const dpi_net_term *t = k < r->nreactant ? &r->reactant[k] : &r->product[k - r->nreactant];
      int s;
      int64_t n;
      if (dpi_net_find(net, t->species, &s) != DPI_NET_SPECIES || row[s] < 0 || !scaled(t->stoichiometry, &n)) continue;
      l->a[(size_t)row[s] * l->width + j] += k < r->nreactant ? -n : n;
    }
  }
  for (int i = 0; i < l->nrow; i++) l->a[(size_t)i * l->width + l->ncol + i] = 1;
}

/* ---------------------------------------------------------------- rows of whole numbers */
static int64_t gcd(int64_t a, int64_t b) {
  a = a < 0 ? -a : a;
  b = b < 0 ? -b : b;
  while (b) {
    int64_t t = a % b;
    a = b;
    b = t;
  }
  return a;
}

static void reduce(int64_t *row, int n) {
  int64_t g = 0;
  for (int k = 0; k < n && g != 1; k++)
    if (row[k]) g = gcd(g, row[k]);
  for (int k = 0; k < n && g > 1; k++) row[k] /= g;
}

/* to := p * x + q * y, reduced; false: numbers too large */
static bool combine(int64_t *to, int64_t p, const int64_t *x, int64_t q, const int64_t *y, int n) {
  for (int k = 0; k < n; k++) {
    int64_t u, v, w;
    if (__builtin_mul_overflow(p, x[k], &u) || __builtin_mul_overflow(q, y[k], &v) ||
        __builtin_add_overflow(u, v, &w) || w > INT64_MAX / 4 || w < -INT64_MAX / 4)
      return false;
    to[k] = w;
  }
  reduce(to, n);
  return true;
}

/* ---------------------------------------------------------------- all sums: a basis */
/* Rows of a become echelon in their first ncol columns; *rank of them are not zero there and stand first. */
static bool eliminate(laws *l) {
  int done = 0;
  for (int j = 0; j < l->ncol && done < l->nrow; j++) {
    int at = -1;
    for (int i = done; i < l->nrow; i++) { /* the smallest number keeps the others small */
      int64_t v = llabs(l->a[(size_t)i * l->width + j]);
      if (v && (at < 0 || v < llabs(l->a[(size_t)at * l->width + j]))) at = i;
    }
    l->work += l->nrow;
    if (at < 0) continue;
    int64_t *pivot = l->a + (size_t)done * l->width, *chosen = l->a + (size_t)at * l->width;
    for (int k = 0; k < l->width && at != done; k++) {
      int64_t t = pivot[k];
      pivot[k] = chosen[k];
      chosen[k] = t;
    }
    for (int i = done + 1; i < l->nrow; i++) {
      int64_t *row = l->a + (size_t)i * l->width;
      if (row[j] == 0) continue;
      int64_t g = gcd(row[j], pivot[j]);
      if (!combine(row, pivot[j] / g, row, -(row[j] / g), pivot, l->width)) l->overflow = true;
      l->work += 3L * l->width;
      if (l->overflow || l->work > MAX_WORK) return false;
    }
    done++;
  }
  l->rank = done;
  return true;
}

/* Keep y when the sums kept so far do not give it. */
static bool keep(laws *l, const int64_t *y) {
  int64_t *row = l->pivot + (size_t)l->nfound * l->nrow;
  memcpy(row, y, sizeof *row * (size_t)l->nrow);
  for (int i = 0; i < l->nfound; i++) {
    const int64_t *p = l->pivot + (size_t)i * l->nrow;
    int lead = 0;
    while (p[lead] == 0) lead++;
    if (row[lead] == 0) continue;
    int64_t g = gcd(row[lead], p[lead]);
    if (!combine(row, p[lead] / g, row, -(row[lead] / g), p, l->nrow)) return false;
    l->work += l->nrow;
  }
  bool any = false;
  for (int k = 0; k < l->nrow; k++) any |= row[k] != 0;
  if (!any) return false;
  memcpy(l->found + (size_t)l->nfound++ * l->nrow, y, sizeof *y * (size_t)l->nrow);
  return true;
}

/* ---------------------------------------------------------------- sums without a negative part */
typedef struct rows {
  int64_t *cell;
  int n, cap;
} rows;

static int support(const int64_t *y, int n) {
  int s = 0;
  for (int k = 0; k < n; k++) s += y[k] != 0;
  return s;
}

/* does a's support lie within b's? */
static bool within(const int64_t *a, const int64_t *b, int n) {
  for (int k = 0; k < n; k++)
    if (a[k] && !b[k]) return false;
  return true;
}

static int64_t *row_at(const laws *l, const rows *r, int i) { return r->cell + (size_t)i * l->width; }

/* a combination that contains the species of another row and more is no smallest sum */
static bool smallest(laws *l, const rows *r, const int64_t *y) {
  for (int i = 0; i < r->n; i++)
    if (within(row_at(l, r, i) + l->ncol, y + l->ncol, l->nrow)) return false;
  l->work += (long)r->n * 4;
  return true;
}

static dp_status room(laws *l, rows *r) {
  if (r->n < r->cap) return DP_OK;
  int cap = r->cap ? 2 * r->cap : 2 * l->nrow + 16;
  int64_t *cell = dpi_realloc(l->c->ctx, r->cell, sizeof *cell * (size_t)cap * (size_t)l->width);
  if (cell == NULL) return DP_ERR_MEMORY;
  r->cell = cell;
  r->cap = cap;
  return DP_OK;
}

/* Make column j zero: rows that have 0 there stay, each positive one meets each negative one. */
static dp_status clear_column(laws *l, const rows *from, rows *to, int j, bool *gave_up) {
  to->n = 0;
  for (int i = 0; i < from->n; i++) {
    if (row_at(l, from, i)[j]) continue;
    DP_TRY(room(l, to));
    memcpy(row_at(l, to, to->n++), row_at(l, from, i), sizeof(int64_t) * (size_t)l->width);
  }
  for (int p = 0; p < from->n; p++) {
    const int64_t *plus = row_at(l, from, p);
    for (int q = 0; q < from->n && plus[j] > 0; q++) {
      const int64_t *minus = row_at(l, from, q);
      if (minus[j] >= 0) continue;
      DP_TRY(room(l, to));
      int64_t g = gcd(plus[j], minus[j]), *sum = row_at(l, to, to->n);
      l->work += 3L * l->width;
      *gave_up =
          to->n >= MAX_ROWS || l->work > MAX_WORK || !combine(sum, -minus[j] / g, plus, plus[j] / g, minus, l->width);
      if (*gave_up) return DP_OK;
      if (smallest(l, to, sum)) to->n++;
    }
  }
  return DP_OK;
}

static int fewest(const laws *l, const rows *r) { /* the column that makes the fewest combinations; -1 all are zero */
  int best = -1;
  long least = 0;
  for (int j = 0; j < l->ncol; j++) {
    long plus = 0, minus = 0;
    for (int i = 0; i < r->n; i++) {
      int64_t v = row_at(l, r, i)[j];
      plus += v > 0;
      minus += v < 0;
    }
    if (plus + minus == 0) continue;
    long growth = plus * minus - plus - minus;
    if (best < 0 || growth < least) best = j, least = growth;
  }
  return best;
}

/* those with the fewest species first, until they give all sums */
static dp_status keep_smallest(laws *l, const rows *r) {
  int *size = DPI_NEW_ARRAY(l->c->ctx, int, r->n + 1);
  if (size == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < r->n; i++) size[i] = support(row_at(l, r, i) + l->ncol, l->nrow);
  l->work = 0;
  for (int n = 1; n <= l->nrow && l->work < MAX_WORK; n++)
    for (int i = 0; i < r->n && l->nfound < l->nrow - l->rank; i++)
      if (size[i] == n) keep(l, row_at(l, r, i) + l->ncol);
  dpi_free(l->c->ctx, size);
  return DP_OK;
}

static dp_status find_nonnegative(laws *l) {
  rows a = {0}, b = {0};
  bool gave_up = false;
  dp_status status = DP_OK;
  for (int i = 0; i < l->nrow && status == DP_OK; i++) {
    status = room(l, &a);
    if (status == DP_OK) memcpy(row_at(l, &a, a.n++), l->a + (size_t)i * l->width, sizeof(int64_t) * (size_t)l->width);
  }
  for (int j = 0; status == DP_OK && !gave_up && (j = fewest(l, &a)) >= 0;) {
    l->work += (long)l->ncol * a.n;
    status = clear_column(l, &a, &b, j, &gave_up);
    rows t = a;
    a = b;
    b = t;
    gave_up = gave_up || l->work > MAX_WORK;
  }
  if (status == DP_OK && !gave_up) status = keep_smallest(l, &a);
  dpi_free(l->c->ctx, a.cell);
  dpi_free(l->c->ctx, b.cell);
  return status;
}

/* ---------------------------------------------------------------- what is said */
/* The amounts at the start; NaN where they depend on what is not known. */
static dp_status start_amounts(laws *l, double *amount) {
  const dp_model *m = l->c->m;
  dpi_node *out = DPI_ARENA_ARRAY(&l->c->arena, dpi_node, l->nrow);
  double *sym = DPI_ARENA_ARRAY(&l->c->arena, double, m->nsym);
  uint8_t *fast = DPI_ARENA_ARRAY(&l->c->arena, uint8_t, m->nsym);
  if (!out || !sym || !fast) return DP_ERR_MEMORY;
  for (int i = 0; i < l->nrow; i++) {
    const char *id = dpi_arena_printf(&l->c->arena, "amount(%s)", l->c->net->species[l->species[i]].id);
    if (id == NULL) return DP_ERR_MEMORY;
    int s = dpi_model_find(m, id);
    amount[i] = NAN;
    if (s < 0 || m->start == NULL || m->start[s] == DPI_NODE_NONE) return DP_OK;
    out[i] = m->start[s];
  }
  for (int i = 0; i < m->nsym; i++) sym[i] = i == 0 ? 0.0 : m->sym[i].kind == DPI_SYM_PARAM ? m->sym[i].value : NAN;
  dpi_tape *tape = NULL;
  DP_TRY(dpi_tape_create(l->c->ctx, m->graph, out, l->nrow, fast, m->nsym, &tape));
  double *reg = DPI_NEW_ARRAY(l->c->ctx, double, dpi_tape_nreg(tape) + 1);
  if (reg) {
    dpi_tape_init(tape, reg);
    dpi_tape_prologue(tape, sym, reg);
    dpi_tape_eval(tape, sym, reg, amount);
  }
  dpi_free(l->c->ctx, reg);
  dpi_tape_destroy(tape);
  return reg ? DP_OK : DP_ERR_MEMORY;
}

static bool set_by_event(const dpi_net *net, const char *id) {
  for (int i = 0; i < net->nevent; i++)
    for (int k = 0; k < net->event[i].nassign; k++)
      if (strcmp(net->event[i].assign[k].variable, id) == 0) return true;
  return false;
}

static dp_status say_sum(laws *l, const int64_t *y, const double *amount) {
  const dpi_net *net = l->c->net;
  dpi_str out;
  dpi_str_init(&out, l->c->ctx);
  double total = 0.0;
  int shown = 0, negative = 0, positive = 0;
  bool events = false;
  int first = 0;
  for (int i = l->nrow - 1; i >= 0; i--) {
    negative += y[i] < 0;
    positive += y[i] > 0;
    if (y[i]) first = i;
  }
  int64_t sign = negative > positive || (negative == positive && y[first] < 0) ? -1 : 1;
  for (int i = 0; i < l->nrow; i++) {
    int64_t n = sign * y[i];
    if (n == 0) continue;
    const char *id = net->species[l->species[i]].id;
    total += (double)n * amount[i];
    events |= set_by_event(net, id);
    if (shown++ >= 40) continue;
    dpi_str_add(&out, out.len == 0 ? n < 0 ? "-" : "" : n < 0 ? " - " : " + ");
    if (n != 1 && n != -1) dpi_str_addf(&out, "%" PRId64 " ", n < 0 ? -n : n);
    dpi_str_add(&out, id);
  }
  if (shown > 40) dpi_str_addf(&out, " + ... (%d species)", shown);
  char number[40] = "";
  if (isfinite(total)) snprintf(number, sizeof number, " = %.10g", total == 0.0 ? 0.0 : total);
  dp_status status = out.failed ? DP_ERR_MEMORY
                                : dpi_check_say(l->c, DP_FINDING_CONSERVED, "", 0, "%s%s%s", dpi_str_text(&out), number,
                                                events ? " until an event sets one of them" : "");
  dpi_str_release(&out);
  return status;
}

static dp_status find_and_say(laws *l, double *amount) {
  bool nonneg = false;
  int64_t *copy = DPI_NEW_ARRAY(l->c->ctx, int64_t, (size_t)l->nrow * l->width);
  if (copy == NULL) return DP_ERR_MEMORY;
  memcpy(copy, l->a, sizeof *copy * (size_t)l->nrow * l->width);
  bool complete = eliminate(l);
  int64_t *echelon = l->a;
  dp_status status = DP_OK;
  if (complete && l->rank < l->nrow) {
    l->a = copy;
    l->work = 0;
    status = find_nonnegative(l);
    l->a = echelon;
    nonneg = true;
  }
  for (int i = l->rank; complete && nonneg && i < l->nrow && l->nfound < l->nrow - l->rank; i++)
    keep(l, echelon + (size_t)i * l->width + l->ncol);
  dpi_free(l->c->ctx, copy);
  DP_TRY(status);
  if (!complete)
    return dpi_check_say(l->c, DP_FINDING_CONSERVED, "", 0, "conserved sums were not found: the network is too large");
  if (l->nfound == 0) return DP_OK;
  DP_TRY(start_amounts(l, amount));
  for (int i = 0; i < l->nfound && i < MAX_SHOWN; i++) DP_TRY(say_sum(l, l->found + (size_t)i * l->nrow, amount));
  if (l->nfound > MAX_SHOWN)
    return dpi_check_say(l->c, DP_FINDING_CONSERVED, "", 0, "%d more sums stay constant", l->nfound - MAX_SHOWN);
  return DP_OK;
}

dp_status dpi_check_conserved(dpi_checker *c) {
  const dpi_net *net = c->net;
  laws l = {.c = c, .ncol = net->nreaction};
  int *row = DPI_ARENA_ARRAY(&c->arena, int, net->nspecies + 1),
      *species = DPI_ARENA_ARRAY(&c->arena, int, net->nspecies + 1);
  if (!row || !species) return DP_ERR_MEMORY;
  if (net->nreaction == 0 || !same_factor(net)) return DP_OK;
  choose_rows(net, row);
  for (int i = 0; i < net->nspecies; i++)
    if (row[i] == 0) species[l.nrow] = i, row[i] = l.nrow++;
  l.species = species;
  l.width = l.ncol + l.nrow;
  if (l.nrow == 0) return DP_OK;
  if ((long)l.nrow * l.width > MAX_CELLS)
    return dpi_check_say(c, DP_FINDING_CONSERVED, "", 0,
                         "conserved sums were not looked for: the network is too large");
  l.a = DPI_NEW_ARRAY(c->ctx, int64_t, (size_t)l.nrow * l.width);
  l.found = DPI_NEW_ARRAY(c->ctx, int64_t, (size_t)l.nrow * l.nrow);
  l.pivot = DPI_NEW_ARRAY(c->ctx, int64_t, (size_t)(l.nrow + 1) * l.nrow);
  double *amount = DPI_ARENA_ARRAY(&c->arena, double, l.nrow);
  dp_status status = l.a && l.found && l.pivot && amount ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    fill_matrix(&l, row);
    status = find_and_say(&l, amount);
  }
  dpi_free(c->ctx, l.a);
  dpi_free(c->ctx, l.found);
  dpi_free(c->ctx, l.pivot);
  return status;
}
