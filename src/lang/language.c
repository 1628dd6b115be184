/* language.c - floor 3: the languages a model may be written in, and reading one by what the text contains.
 *
 *     file -> text -> dpi_language_of -> read -> dpi_net -> dpi_net_lower -> dp_model
 *
 * A model's hash is the SHA-256 of its text, whatever the language: stored priors are kept under it.
 */
#include <string.h>

#include "lang/lang_impl.h"
#include "lang/network.h"

/* in the order in which they are asked; the last takes what is no other */
static const dpi_language *const languages[] = {&dpi_language_sbml, &dpi_language_antimony};

const dpi_language *dpi_language_find(const char *name) {
  for (int i = 0; i < DPI_COUNT(languages); i++)
    if (strcmp(languages[i]->name, name) == 0) return languages[i];
  return NULL;
}

const dpi_language *dpi_language_of(const char *text, size_t size) {
  for (int i = 0; i < DPI_COUNT(languages); i++)
    if (languages[i]->is(text, size)) return languages[i];
  return NULL;
}

/* ---- what the text is ---- */
static const char *skip_space(const char *s, const char *end) {
  if (end - s >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) s += 3;
  while (s < end && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r')) s++;
  return s;
}

static bool is_xml(const char *text, size_t size) {
  const char *end = text + size, *first = skip_space(text, end);
  return first < end && *first == '<';
}

static bool ends_with(const char *path, const char *ending) {
  size_t n = strlen(path), k = strlen(ending);
  return n >= k && strcmp(path + n - k, ending) == 0;
}

/* The line on which the text ends within a tag or before its first element; 0: it does neither. */
static int cut_line(const char *text, size_t size) {
  bool within = false, element = false;
  int line = 1, tag_line = 1;
  for (size_t i = 0; i < size; i++) {
    if (text[i] == '\n') line++;
    if (text[i] == '>') within = false;
    if (text[i] != '<') continue;
    within = true;
    tag_line = line;
    element = element || (i + 1 < size && text[i + 1] != '?' && text[i + 1] != '!');
  }
  return within ? tag_line : element ? 0 : line;
}

/* XML that no language takes: cut off, or named by what it calls itself */
static dp_status refuse_xml(dp_ctx *ctx, const char *source, const char *text, size_t size) {
  char head[2048];
  int line = cut_line(text, size);
  if (line)
    return dpi_fail(ctx, DP_ERR_INPUT, "%s:%d: the XML ends here before it says what it is: the file is cut off",
                    source, line);
  size_t n = size < sizeof head - 1 ? size : sizeof head - 1;
  memcpy(head, text, n);
  head[n] = '\0';
  const char *what = strstr(head, "<sbml") != NULL || strstr(head, ":sbml") != NULL ? "SBML"
                     : strstr(head, "cellml") != NULL                               ? "CellML"
                                                                                    : "XML";
  return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "%s: %s is not readable by this build, expected SBML or Antimony (.ant)",
                  source, what);
}

/* ---- reading ---- */
dp_status dpi_language_model(dp_ctx *ctx, const dpi_language *language, const char *text, size_t size,
                             const char *source, dp_model **out) {
  dpi_net *net = NULL;
  DP_TRY(language->read(ctx, text, size, source, &net));
  DP_TRY(dpi_net_lower(net, out)); /* takes the net over */
  dpi_sha256_hex(text, size, (*out)->hash);
  return DP_OK;
}

dp_status dpi_model_read_text(dp_ctx *ctx, const char *text, size_t size, const char *source, dp_model **out) {
  const dpi_language *language = dpi_language_of(text, size);
  if (is_xml(text, size) && (language == NULL || language == &dpi_language_antimony)) {
    const char *first = skip_space(text, text + size);
    return refuse_xml(ctx, source, first, (size_t)(text + size - first));
  }
  bool named_xml = ends_with(source, ".xml") || ends_with(source, ".sbml") || ends_with(source, ".cellml");
  if (named_xml && !is_xml(text, size))
    return dpi_fail(ctx, DP_ERR_INPUT, "%s: the text is not XML though the name says so", source);
  if (language == NULL)
    return dpi_fail(ctx, DP_ERR_UNSUPPORTED, "%s: the language is not known, expected SBML or Antimony text", source);
  return dpi_language_model(ctx, language, text, size, source, out);
}

dp_status dp_model_read(dp_ctx *ctx, const char *path, dp_model **out) {
  char *text = NULL;
  size_t size = 0;
  DP_TRY(dpi_file_read(ctx, path, 0, &text, &size));
  dp_status status = dpi_model_read_text(ctx, text, size, path, out);
  dpi_free(ctx, text);
  return status;
}
