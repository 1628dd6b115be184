/* show.c - floor 3: reading a model file by what it contains, and showing a model as readable equations. */
#include <string.h>

#include "lang/lang_impl.h"

/* ---- reading ---- */
static bool ends_with(const char *path, const char *ending) {
  size_t n = strlen(path), k = strlen(ending);
  return n >= k && strcmp(path + n - k, ending) == 0;
}

static const char *skip_space(const char *s, const char *end) {
  if (end - s >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) s += 3;
  while (s < end && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r')) s++;
  return s;
}

/* what a text that begins with '<' calls itself: the first element's name */
static dp_status refuse_xml(dp_ctx *ctx, const char *path, const char *text, size_t size) {
  char head[2048];
  size_t n = size < sizeof head - 1 ? size : sizeof head - 1;
  memcpy(head, text, n);
  head[n] = '\0';
  const char *what = strstr(head, "<sbml") != NULL || strstr(head, ":sbml") != NULL ? "SBML"
                     : strstr(head, "cellml") != NULL                               ? "CellML"
                                                                                    : "XML";
  return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                  "%s: %s is not readable by this build, expected Antimony text (.ant)", path,
                  what);
}

dp_status dp_model_read(dp_ctx *ctx, const char *path, dp_model **out) {
  char *text = NULL;
  size_t size = 0;
  DP_TRY(dpi_file_read(ctx, path, 0, &text, &size));
  const char *first = skip_space(text, text + size);
  dp_status status;
  if (first < text + size && *first == '<')
    status = refuse_xml(ctx, path, first, (size_t)(text + size - first));
  else if (ends_with(path, ".xml") || ends_with(path, ".sbml") || ends_with(path, ".cellml"))
    status = dpi_fail(ctx, DP_ERR_INPUT, "%s: the text is not XML though the name says so", path);
  else
    status = dpi_antimony_read(ctx, text, size, path, out);
  dpi_free(ctx, text);
  return status;
}

/* ---- showing ---- */
static void show_line(const dp_model *m, const char *before, const char *id, const char *after,
                      dpi_node node, dpi_str *out) {
  dpi_str_addf(out, "%s%s%s", before, id, after);
  dpi_model_print(m, node, out);
  dpi_str_add(out, "\n");
}

static void show_symbols(const dp_model *m, dpi_sym_kind kind, dpi_str *out) {
  char number[32];
  for (int i = 1; i < m->nsym; i++) {
    const dpi_symbol *s = &m->sym[i];
    if (s->kind != kind) continue;
    if (kind == DPI_SYM_STATE) {
      show_line(m, "d[", s->id, "]/dt = ", s->formula, out);
    } else if (kind == DPI_SYM_ASSIGNED) {
      show_line(m, "", s->id, " := ", s->formula, out);
    } else if (s->init != DPI_NODE_NONE) {
      show_line(m, "", s->id, " = ", s->init, out);
    } else {
      dpi_format_double(s->value, number);
      dpi_str_addf(out, "%s = %s%s%s\n", s->id, s->value == s->value ? number : "(no value)",
                   s->unit[0] ? "  # " : "", s->unit);
    }
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
  for (int i = 0; i < e->nassign; i++)
    show_line(m, i == 0 ? ": " : "    , ", m->sym[e->assign[i].sym].id, " = ", e->assign[i].value,
              out);
}

dp_status dp_model_show(const dp_model *m, char **text) {
  dpi_str out;
  dpi_str_init(&out, m->ctx);
  dpi_str_addf(&out, "# model %s (%s)\n", m->name, m->source);
  show_symbols(m, DPI_SYM_STATE, &out);
  for (int i = 1; i < m->nsym; i++)
    if (m->sym[i].kind == DPI_SYM_STATE && m->sym[i].init != DPI_NODE_NONE)
      show_line(m, "", m->sym[i].id, "(0) = ", m->sym[i].init, &out);
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
