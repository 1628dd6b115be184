/* formula.c - floor 3: formulas of tables in the scope of a model: text -> mathematics (infix.c) -> nodes (network/).
 *
 * Two dialects differ in one function: Antimony's log(base, x) is log(x, base) here, as PEtab has it. A name between
 * backquotes is any id of the model: `amount(S1)`, `R.k`.
 */
#include <stdio.h>
#include <string.h>

#include "lang/infix.h"

typedef struct table { /* whose formula it is */
  dp_model *m;
  bool known; /* only names that the model knows */
} table;

bool dpi_formula_reserved(const char *word) { return dpi_infix_reserved(word); }

/* names are checked where their column is known */
static dp_status table_name(dpi_infix *p, const dpi_tok *t, dpi_ast **out) {
  const table *x = p->user;
  char near[160];
  if (x->known && dpi_model_find(x->m, t->text) < 0)
    return dpi_infix_fail(p, t, DP_ERR_INPUT, "unknown name '%s'%s", t->text,
                          dpi_model_suggest(x->m, t->text, -1, near));
  *out = dpi_ast_name(p->net, t->text);
  return DP_OK;
}

static dp_status parse(dpi_net *net, table *x, const char *text, const char *where, dpi_ast **out) {
  dpi_tok *tok = NULL;
  int ntok = 0;
  dpi_lex_def def = {.arena = &net->arena, .text = text, .size = strlen(text), .where = where};
  DP_TRY(dpi_lex(net->ctx, &def, &tok, &ntok));
  dpi_infix p = {.net = net, .tok = tok, .where = where, .budget = DPI_INFIX_WORK, .name = table_name, .user = x};
  DP_TRY(dpi_infix_expr(&p, out));
  if (dpi_infix_peek(&p)->kind != DPI_TOK_END) return dpi_infix_expected(&p, "an operator or the end");
  return DP_OK;
}

dp_status dpi_formula_parse(dp_model *m, const char *text, const char *where, bool allow_new, bool use_new,
                            dpi_node *out) {
  dpi_net *net = NULL;
  dpi_ast *a = NULL;
  table x = {m, !allow_new && !use_new};
  DP_TRY(dpi_net_create(m->ctx, where, &net));
  dp_status status = parse(net, &x, text, where, &a);
  dpi_names names = allow_new ? DPI_NAMES_NEW : use_new ? DPI_NAMES_USE : DPI_NAMES_KNOWN;
  if (status == DP_OK) status = dpi_ast_lower(m, a, where, names, out);
  dpi_net_destroy(net);
  return status;
}
