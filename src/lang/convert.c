/* convert.c - floor 3: a model written in another language, with notes on what the other language says differently. */
#include <stdio.h>
#include <string.h>

#include "lang/network.h"

void dpi_net_note(const dpi_net *net, const char *fmt, ...) {
  char text[512];
  if (net->notes == NULL) return;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  dpi_str_add(net->notes, text);
  dpi_str_add(net->notes, "\n");
}

/* the text of s as the caller's own block (dp_model_text_free) */
static dp_status hand_over(dp_ctx *ctx, dpi_str *s, char **out) {
  if (!s->failed && s->data == NULL) dpi_str_add(s, "");
  if (s->failed) return DP_ERR_MEMORY;
  if (s->data != NULL) {
    *out = s->data;
    s->data = NULL;
    return DP_OK;
  }
  *out = DPI_NEW_ARRAY(ctx, char, 1);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* a unit that is not defined is used many times, and noted once */
static dp_status drop_repeated_lines(dpi_str *s) {
  dpi_map seen;
  dpi_map_init(&seen, s->ctx);
  dp_status status = s->failed ? DP_ERR_MEMORY : DP_OK;
  size_t kept = 0;
  for (size_t from = 0; status == DP_OK && from < s->len;) {
    char *line = s->data + from;
    size_t n = strcspn(line, "\n");
    from += n + 1;
    line[n] = '\0';
    if (dpi_map_get(&seen, line) < 0) {
      status = dpi_map_put(&seen, line, 1);
      line[n] = '\n';
      memmove(s->data + kept, line, n + 1);
      kept += n + 1;
    }
  }
  if (s->data) s->data[kept] = '\0';
  s->len = kept;
  dpi_map_release(&seen);
  return status;
}

static dp_status write_both(const dp_model *model, const dpi_language *language, dpi_str *text, dpi_str *notes) {
  dpi_net net = *model->net; /* the model stays constant: only this copy knows where notes go */
  net.notes = notes;
  DP_TRY(language->write(&net, text));
  return drop_repeated_lines(notes);
}

/* What is handed over reads back. A text may be sound here and not there: libSBML finds `i = 0*i` circular. */
static dp_status read_back(dp_ctx *ctx, const dpi_language *language, const dpi_str *text) {
  dpi_net *again = NULL;
  char why[400];
  dp_status status = language->read(ctx, dpi_str_text(text), text->len, "line", &again);
  dpi_net_destroy(again);
  if (status != DP_ERR_INPUT) return status == DP_ERR_MEMORY ? status : DP_OK;
  snprintf(why, sizeof why, "%s", dp_ctx_error(ctx));
  dp_ctx_clear_error(ctx);
  return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "written as %s the model would not be valid: %s", language->name, why);
}

const char *dp_model_language(const dp_model *model) { return model->net ? model->net->language : ""; }

dp_status dp_model_write(const dp_model *model, const char *language, char **text, char **notes) {
  dp_ctx *ctx = model->ctx;
  const dpi_language *l = dpi_language_find(language);
  if (l == NULL || l->write == NULL)
    return dpi_fail(ctx, DP_ERR_USAGE, "there is no language '%s' to write a model in; there are sbml and antimony",
                    language);
  if (model->net == NULL)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "the model '%s' was not read from a text: nothing to write", model->name);
  dpi_str body, said;
  dpi_str_init(&body, ctx);
  dpi_str_init(&said, ctx);
  *text = NULL;
  if (notes) *notes = NULL;
  dp_status status = write_both(model, l, &body, &said);
  if (status == DP_OK) status = read_back(ctx, l, &body);
  if (status == DP_OK) status = hand_over(ctx, &body, text);
  if (status == DP_OK && notes) status = hand_over(ctx, &said, notes);
  if (status != DP_OK) {
    dpi_free(ctx, *text);
    *text = NULL;
  }
  dpi_str_release(&body);
  dpi_str_release(&said);
  return status;
}
