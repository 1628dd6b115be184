/* model.c - floor 3: the intermediate form: symbols, formulas, events of one model before and after sealing.
 *
 *     create -> (symbol | assign | parse | use | event)* -> seal (seal.c) -> parse*
 *
 * A symbol is *used* when a formula names it and *defined* when the text gives it a value, rate, formula or
 * declaration, or when a caller asks for it by dpi_model_symbol. Sealing refuses a symbol that is only used:
 * it is a typing error.
 */
#include <math.h>
#include <string.h>

#include "lang/lang_impl.h"
#include "lang/network.h"

static dp_status hash_add(dp_model *m, const char *a, const char *b) {
  dpi_sha256 *h = dpi_sha256_create(m->ctx);
  if (h == NULL) return DP_ERR_MEMORY;
  dpi_sha256_add(h, m->hash, strlen(m->hash));
  dpi_sha256_add(h, a, strlen(a) + 1);
  dpi_sha256_add(h, b, strlen(b) + 1);
  dpi_sha256_finish(h, m->hash);
  return DP_OK;
}

static dp_status add_symbol(dp_model *m, const char *id, int *sym) {
  DP_TRY(dpi_grow(m->ctx, (void **)&m->sym, &m->cap_sym, m->nsym + 1, sizeof *m->sym));
  char *copy = dpi_arena_strdup(&m->arena, id);
  if (copy == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_map_put(&m->ids, copy, m->nsym));
  m->sym[m->nsym] = (dpi_symbol){.id = copy,
                                 .kind = DPI_SYM_PARAM,
                                 .value = NAN,
                                 .init = DPI_NODE_NONE,
                                 .formula = DPI_NODE_NONE,
                                 .delay = DPI_NODE_NONE,
                                 .unit = "",
                                 .where = ""};
  *sym = m->nsym++;
  return DP_OK;
}

static dp_status model_init(dp_model *m, const char *name, const char *source) {
  int time;
  m->name = dpi_arena_strdup(&m->arena, name);
  m->source = dpi_arena_strdup(&m->arena, source);
  if (m->name == NULL || m->source == NULL) return DP_ERR_MEMORY;
  dpi_sha256_hex("", 0, m->hash);
  DP_TRY(dpi_graph_create(m->ctx, &m->graph));
  DP_TRY(add_symbol(m, "time", &time));
  m->sym[time].kind = DPI_SYM_TIME;
  m->sym[time].defined = true;
  return DP_OK;
}

dp_status dpi_model_create(dp_ctx *ctx, const char *name, const char *source, dp_model **out) {
  dp_model *m = DPI_NEW(ctx, dp_model);
  if (m == NULL) return DP_ERR_MEMORY;
  m->ctx = ctx;
  dpi_arena_init(&m->arena, ctx);
  dpi_map_init(&m->ids, ctx);
  dp_status status = model_init(m, name, source);
  if (status != DP_OK) {
    dp_model_destroy(m);
    return status;
  }
  *out = m;
  return DP_OK;
}

void dp_model_destroy(dp_model *m) {
  if (m == NULL) return;
  dpi_graph_destroy(m->graph);
  dpi_map_release(&m->ids);
  dpi_free(m->ctx, m->sym);
  dpi_free(m->ctx, m->event);
  dpi_free(m->ctx, m->constraint);
  dpi_free(m->ctx, m->draw);
  dpi_free(m->ctx, m->reaction);
  dpi_free(m->ctx, m->unknown);
  dpi_free(m->ctx, m->value);
  dpi_free(m->ctx, m->start);
  dpi_net_destroy(m->net);
  dpi_arena_release(&m->arena);
  dpi_free(m->ctx, m);
}

int dp_model_nstate(const dp_model *m) {
  if (m->sealed) return m->nstate;
  int n = 0;
  for (int i = 0; i < m->nsym; i++) n += m->sym[i].kind == DPI_SYM_STATE;
  return n;
}

const char *dp_model_name(const dp_model *m) { return m->name; }
const char *dp_model_hash(const dp_model *m) { return m->hash; }

int dpi_model_find(const dp_model *m, const char *id) { return dpi_map_get(&m->ids, id); }

static dp_status refuse_sealed(const dp_model *m, const char *id) {
  return dpi_fail(m->ctx, DP_ERR_USAGE, "model '%s' is sealed: '%s' can't be added any more",
                  m->name, id);
}

dp_status dpi_model_symbol(dp_model *m, const char *id, int line, int *sym) {
  *sym = dpi_model_find(m, id);
  if (*sym < 0) {
    if (m->sealed) return refuse_sealed(m, id);
    if (dpi_formula_reserved(id))
      return dpi_fail(m->ctx, DP_ERR_INPUT, "'%s' is a word of the formula language", id);
    DP_TRY(add_symbol(m, id, sym));
  }
  if (m->sealed) return DP_OK;
  if (!m->sym[*sym].defined) m->sym[*sym].line = line;
  m->sym[*sym].defined = true;
  return DP_OK;
}

dp_status dpi_model_declare(dp_model *m, const char *id, int line, int *sym) {
  *sym = dpi_model_find(m, id);
  if (m->sealed) return refuse_sealed(m, id);
  if (*sym <= 0) DP_TRY(add_symbol(m, id, sym));
  if (!m->sym[*sym].defined) m->sym[*sym].line = line;
  m->sym[*sym].defined = true;
  return DP_OK;
}

dp_status dpi_model_use(dp_model *m, const char *id, const char *where, int *sym) {
  *sym = dpi_model_find(m, id);
  if (*sym >= 0) return DP_OK;
  if (m->sealed) return refuse_sealed(m, id);
  DP_TRY(add_symbol(m, id, sym));
  m->sym[*sym].where = dpi_arena_strdup(&m->arena, where);
  return m->sym[*sym].where == NULL ? DP_ERR_MEMORY : DP_OK;
}

const char *dpi_model_suggest(const dp_model *m, const char *id, int skip, char buf[160]) {
  buf[0] = '\0';
  const char **words = DPI_NEW_ARRAY(m->ctx, const char *, m->nsym);
  if (words == NULL) return buf;
  int n = 0;
  for (int i = 0; i < m->nsym; i++)
    if (i != skip && m->sym[i].defined) words[n++] = m->sym[i].id;
  const char *near = dpi_nearest_word(id, words, n);
  if (near != NULL) {
    strcpy(buf, "; did you mean '");
    strncat(buf, near, 120);
    strcat(buf, "'?");
  }
  dpi_free(m->ctx, (void *)words);
  return buf;
}

/* a formula that was refused leaves no names behind */
static dp_status parse_or_undo(dp_model *m, const char *text, const char *where, bool allow_new,
                               bool use_new, dpi_node *out) {
  int before = m->nsym;
  dp_status status = dpi_formula_parse(m, text, where, allow_new, use_new, out);
  while (status != DP_OK && m->nsym > before) (void)dpi_map_put(&m->ids, m->sym[--m->nsym].id, -1);
  return status;
}

dp_status dpi_model_assign(dp_model *m, const char *id, const char *formula, const char *where) {
  int sym;
  dpi_node node;
  if (m->sealed) return refuse_sealed(m, id);
  if (dpi_formula_reserved(id))
    return dpi_fail(m->ctx, DP_ERR_INPUT, "%s: '%s' is a word of the formula language", where, id);
  sym = dpi_model_find(m, id);
  if (sym >= 0 && m->sym[sym].kind == DPI_SYM_STATE)
    return dpi_fail(m->ctx, DP_ERR_CONFLICT,
                    "%s: '%s' is a state of model '%s', expected a parameter", where, id, m->name);
  if (sym >= 0 && m->sym[sym].kind == DPI_SYM_ASSIGNED)
    return dpi_fail(m->ctx, DP_ERR_CONFLICT, "%s: '%s' is already given by a formula (%s:%d)",
                    where, id, m->source, m->sym[sym].line);
  DP_TRY(parse_or_undo(m, formula, where, false, true, &node));
  DP_TRY(dpi_model_symbol(m, id, 0, &sym));
  dpi_symbol *s = &m->sym[sym];
  s->kind = DPI_SYM_ASSIGNED;
  s->formula = node;
  s->init = DPI_NODE_NONE;
  s->value = NAN;
  return hash_add(m, id, formula);
}

dp_status dpi_model_parse(dp_model *m, const char *text, const char *where, bool allow_new,
                          dpi_node *out) {
  return parse_or_undo(m, text, where, allow_new, false, out);
}

dp_status dpi_model_add_event(dp_model *m, const dpi_model_event *e) {
  DP_TRY(dpi_grow(m->ctx, (void **)&m->event, &m->cap_event, m->nevent + 1, sizeof *m->event));
  m->event[m->nevent++] = *e;
  return DP_OK;
}

dp_status dpi_model_add_constraint(dp_model *m, dpi_node residual, int line) {
  if (residual == DPI_NODE_NONE) return DP_ERR_MEMORY;
  DP_TRY(dpi_grow(m->ctx, (void **)&m->constraint, &m->cap_constraint, m->nconstraint + 1,
                  sizeof *m->constraint));
  m->constraint[m->nconstraint++] = (dpi_constraint){residual, line};
  return DP_OK;
}

dp_status dpi_model_add_draw(dp_model *m, const dpi_draw *draw) {
  DP_TRY(dpi_grow(m->ctx, (void **)&m->draw, &m->cap_draw, m->ndraw + 1, sizeof *m->draw));
  m->sym[draw->sym].kind = DPI_SYM_DRAW;
  m->sym[draw->sym].value = NAN;
  m->sym[draw->sym].init = DPI_NODE_NONE;
  m->draw[m->ndraw++] = *draw;
  return DP_OK;
}

static const dpi_change *copy_changes(dp_model *m, const dpi_change *list, int n) {
  dpi_change *copy = DPI_ARENA_ARRAY(&m->arena, dpi_change, n > 0 ? n : 1);
  if (copy != NULL && n > 0) memcpy(copy, list, (size_t)n * sizeof *copy);
  return copy;
}

dp_status dpi_model_add_reaction(dp_model *m, const dpi_model_reaction *r) {
  DP_TRY(dpi_grow(m->ctx, (void **)&m->reaction, &m->cap_reaction, m->nreaction + 1,
                  sizeof *m->reaction));
  dpi_model_reaction *made = &m->reaction[m->nreaction];
  *made = *r;
  made->id = dpi_arena_strdup(&m->arena, r->id);
  made->change = copy_changes(m, r->change, r->nchange);
  made->order = copy_changes(m, r->order, r->norder);
  if (made->id == NULL || made->change == NULL || made->order == NULL) return DP_ERR_MEMORY;
  m->nreaction++;
  return DP_OK;
}

dpi_node dpi_model_value(const dp_model *m, int sym) {
  DP_ASSERT(m->sealed && sym >= 0 && sym < m->nsym);
  return m->value[sym];
}

static const char *symbol_name(void *user, int sym) {
  const dp_model *m = user;
  return sym < m->nsym ? m->sym[sym].id : "?";
}

void dpi_model_print(const dp_model *m, dpi_node node, dpi_str *out) {
  dpi_g_print(m->graph, node, symbol_name, (void *)m, out);
}
