/* show.c - floor 3: showing a model as readable equations. */
#include <string.h>

#include "lang/lang_impl.h"
#include "lang/network.h"

static void show_line(const dp_model *m, const char *before, const char *id, const char *after,
                      dpi_node node, dpi_str *out) {
  dpi_str_addf(out, "%s%s%s", before, id, after);
  dpi_model_print(m, node, out);
  dpi_str_add(out, "\n");
}

static void show_number(const dpi_symbol *s, dpi_str *out) {
  char number[32];
  dpi_format_double(s->value, number);
  dpi_str_addf(out, "%s = %s%s%s\n", s->id, s->value == s->value ? number : "(no value)", s->unit[0] ? "  # " : "",
               s->unit);
}

/* amount(S) and concentration(S) exist for every species: where they follow from S and the volume a reader knows it */
static bool is_view(const dp_model *m, const dpi_symbol *s) {
  return m->net && s->kind == DPI_SYM_ASSIGNED &&
         (strncmp(s->id, "amount(", 7) == 0 || strncmp(s->id, "concentration(", 14) == 0);
}

static void show_symbols(const dp_model *m, dpi_sym_kind kind, dpi_str *out) {
  for (int i = 1; i < m->nsym; i++) {
    const dpi_symbol *s = &m->sym[i];
    if (s->kind != kind || is_view(m, s)) continue;
    if (kind == DPI_SYM_STATE && !s->algebraic) {
      show_line(m, "d[", s->id, "]/dt = ", s->formula, out);
    } else if (kind == DPI_SYM_ASSIGNED) {
      show_line(m, "", s->id, " := ", s->formula, out);
    } else if (kind == DPI_SYM_PARAM && s->init != DPI_NODE_NONE) {
      show_line(m, "", s->id, " = ", s->init, out);
    } else if (kind == DPI_SYM_PARAM) {
      show_number(s, out);
    }
  }
}

/* equations whose solution a variable is */
static void show_algebraic(const dp_model *m, dpi_str *out) {
  for (int i = 1; i < m->nsym; i++) {
    if (!m->sym[i].algebraic) continue;
    dpi_str_add(out, "0 = ");
    dpi_model_print(m, m->sym[i].formula, out);
    dpi_str_addf(out, "  # gives %s\n", m->sym[i].id);
  }
}

/* a delayed value says by its name what it is; where that would be too long it is written here */
static void show_delayed(const dp_model *m, dpi_str *out) {
  for (int i = m->nstate + 1; i <= m->nstate + m->ndelayed; i++) {
    dpi_str_addf(out, "%s := delay(", m->sym[i].id);
    dpi_model_print(m, m->sym[i].formula, out);
    dpi_str_add(out, ", ");
    dpi_model_print(m, m->sym[i].delay, out);
    dpi_str_add(out, ")\n");
  }
}

static void show_draw(const dp_model *m, const dpi_draw *d, dpi_str *out) {
  dpi_str_addf(out, "%s ~ %s(", m->sym[d->sym].id, dpi_variate_name((dpi_variate)d->variate));
  for (int k = 0; k < d->narg; k++) {
    if (k > 0) dpi_str_add(out, ", ");
    dpi_model_print(m, d->arg[k], out);
  }
  if (d->phase == DPI_DRAW_START)
    dpi_str_add(out, ")  # drawn at the start\n");
  else
    dpi_str_addf(out, ")  # drawn when %s is %s\n", m->event[d->event].id,
                 d->phase == DPI_DRAW_TRIGGER ? "triggered" : "executed");
}

/* " + 2 A" for what a reaction takes (sign -1) or gives (1) */
static int show_side(const dp_model *m, const dpi_model_reaction *r, int sign, dpi_str *out) {
  char number[32];
  int n = 0;
  for (int i = 0; i < r->nchange; i++) {
    double by = 1.0;
    bool known = dpi_g_is_const(m->graph, r->change[i].by, &by);
    if ((known && by < 0.0 ? -1 : 1) != sign) continue;
    if (n++ > 0) dpi_str_add(out, " + ");
    dpi_format_double(by * sign, number);
    if (!known) {
      dpi_str_add(out, "(");
      dpi_model_print(m, r->change[i].by, out);
      dpi_str_add(out, ") ");
    } else if (by * sign != 1.0) {
      dpi_str_addf(out, "%s ", number);
    }
    dpi_str_add(out, m->sym[r->change[i].state].id);
  }
  return n;
}

/* what one reaction changes; its rate is among the assigned values */
static void show_changes(const dp_model *m, const dpi_model_reaction *r, dpi_str *out) {
  dpi_str_addf(out, "# %s: ", r->id);
  if (show_side(m, r, -1, out) > 0) dpi_str_add(out, " ");
  dpi_str_add(out, r->reversible ? "<->" : "->");
  size_t before = out->len;
  dpi_str_add(out, " ");
  if (show_side(m, r, 1, out) == 0 && !out->failed) {
    out->len = before;
    out->data[before] = '\0';
  }
  dpi_str_add(out, "\n");
}

static void show_terms(const dpi_net_term *t, int n, dpi_str *out) {
  char number[32];
  for (int i = 0; i < n; i++) {
    if (i > 0) dpi_str_add(out, " + ");
    dpi_format_double(t[i].stoichiometry, number);
    if (t[i].math != NULL) {
      dpi_str_add(out, "(");
      dpi_ast_print(t[i].math, out);
      dpi_str_add(out, ") ");
    } else if (t[i].id[0] != '\0') {
      dpi_str_addf(out, "%s ", t[i].id);
    } else if (t[i].stoichiometry == t[i].stoichiometry && t[i].stoichiometry != 1.0) {
      dpi_str_addf(out, "%s ", number);
    }
    dpi_str_add(out, t[i].species);
  }
}

/* a reaction as the text has it */
static void show_written(const dpi_net_reaction *r, dpi_str *out) {
  dpi_str_addf(out, "# %s: ", r->id);
  show_terms(r->reactant, r->nreactant, out);
  dpi_str_addf(out, "%s%s%s", r->nreactant > 0 ? " " : "", r->reversible ? "<->" : "->", r->nproduct > 0 ? " " : "");
  show_terms(r->product, r->nproduct, out);
  dpi_str_add(out, "\n");
}

static void show_reactions(const dp_model *m, dpi_str *out) {
  if (m->net != NULL) {
    for (int i = 0; i < m->net->nreaction; i++) show_written(&m->net->reaction[i], out);
    return;
  }
  for (int i = 0; i < m->nreaction; i++) show_changes(m, &m->reaction[i], out);
}

/* functions of the text, as they were written */
static void show_functions(const dp_model *m, dpi_str *out) {
  const dpi_net *net = m->net;
  for (int i = 0; net != NULL && i < net->nfunction; i++) {
    const dpi_net_function *f = &net->function[i];
    dpi_str_addf(out, "# %s(", f->id);
    for (int k = 0; k < f->narg; k++) dpi_str_addf(out, "%s%s", k > 0 ? ", " : "", f->arg[k]);
    dpi_str_add(out, ") = ");
    if (f->body != NULL) dpi_ast_print(f->body, out);
    dpi_str_add(out, "\n");
  }
}

static void show_event(const dp_model *m, const dpi_model_event *e, dpi_str *out) {
  dpi_str_addf(out, "%s: at ", e->id);
  if (e->delay != DPI_NODE_NONE) {
    dpi_model_print(m, e->delay, out);
    dpi_str_add(out, " after ");
  }
  dpi_model_print(m, e->trigger, out);
  if (e->priority != DPI_NODE_NONE) {
    dpi_str_add(out, ", priority = ");
    dpi_model_print(m, e->priority, out);
  }
  if (!e->initial_value) dpi_str_add(out, ", t0 = false");
  if (!e->persistent) dpi_str_add(out, ", persistent = false");
  if (!e->from_trigger) dpi_str_add(out, ", fromTrigger = false");
  if (e->nassign == 0) dpi_str_add(out, "\n");
  for (int i = 0; i < e->nassign; i++) {
    const dpi_event_assign *a = &e->assign[i];
    dpi_str_add(out, i == 0 ? ": " : "    , ");
    dpi_str_add(out, m->sym[a->sym].id);
    if (a->times > 0) dpi_str_addf(out, " / %s", m->sym[a->times].id);
    show_line(m, "", "", " = ", a->value, out);
  }
}

dp_status dp_model_show(const dp_model *m, char **text) {
  dpi_str out;
  dpi_str_init(&out, m->ctx);
  dpi_str_addf(&out, "# model %s (%s)\n", m->name, m->source);
  for (int i = 0; i < m->nunknown; i++) dpi_str_addf(&out, "# incomplete: %s\n", m->unknown[i].text);
  show_functions(m, &out);
  show_reactions(m, &out);
  show_symbols(m, DPI_SYM_STATE, &out);
  show_algebraic(m, &out);
  for (int i = 1; i < m->nsym; i++)
    if (m->sym[i].kind == DPI_SYM_STATE && m->sym[i].init != DPI_NODE_NONE)
      show_line(m, m->sym[i].algebraic ? "# search from " : "", m->sym[i].id, m->sym[i].algebraic ? " = " : "(0) = ",
                m->sym[i].init, &out);
  if (m->sealed) show_delayed(m, &out);
  for (int i = 0; i < m->ndraw; i++) show_draw(m, &m->draw[i], &out);
  show_symbols(m, DPI_SYM_ASSIGNED, &out);
  for (int i = 0; i < m->nevent; i++) show_event(m, &m->event[i], &out);
  show_symbols(m, DPI_SYM_PARAM, &out);
  dp_status status = DP_OK;
  if (out.failed)
    status = dpi_fail(m->ctx, DP_ERR_MEMORY, "model '%s' is too large to show", m->name);
  if (status == DP_OK) {
    size_t n = strlen(dpi_str_text(&out)) + 1;
    *text = dpi_alloc(m->ctx, n);
    if (*text == NULL) status = DP_ERR_MEMORY;
    if (*text != NULL) memcpy(*text, dpi_str_text(&out), n);
  }
  dpi_str_release(&out);
  return status;
}

void dp_model_text_free(const dp_model *m, char *text) { dpi_free(m->ctx, text); }
