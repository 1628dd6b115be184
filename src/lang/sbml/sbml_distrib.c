/* sbml_distrib.c - floor 3: what the packaged libSBML does not know, said in words that it knows:
 * random draws, whole numbers of ten digits and more (they become real), packages under another
 * prefix than their usual one.
 *
 * Package distrib: `<csymbol definitionURL=".../distrib/normal"> any text </csymbol>` is rewritten
 * into `<ci>MARKnormal</ci>`, a call that sbml_math.c turns into a draw; lines stay where they are.
 * What elements say of their uncertainty has no effect on a simulation and is read over.
 * Before the package, a function definition carried
 * `<distribution definition="http://.../Normal_distribution"/>` in its annotation: its body becomes
 * the draw. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lang/sbml/sbml_scan.h"

static const char url[] = "http://www.sbml.org/sbml/symbols/distrib/";

static dp_status choose_mark(scan_place *p) {
  dpi_str copy;
  char *mark = p->scan->mark;
  snprintf(mark, sizeof p->scan->mark, "draw_of_");
  dpi_str_init(&copy, p->ctx);
  dpi_str_addn(&copy, p->text, p->size);
  while (!copy.failed && strstr(dpi_str_text(&copy), mark) &&
         strlen(mark) + 2 < sizeof p->scan->mark)
    strcat(mark, "_");
  bool taken = strstr(dpi_str_text(&copy), mark) != NULL, failed = copy.failed;
  dpi_str_release(&copy);
  if (failed) return DP_ERR_MEMORY;
  return taken ? dpi_fail(p->ctx, DP_ERR_INPUT, "%s: the name '%s' is reserved", p->source, mark)
               : DP_OK;
}

static void add_lines(dpi_str *out, const char *from, const char *to) {
  for (; from < to; from++)
    if (*from == '\n') dpi_str_add(out, "\n");
}

static bool draw_of(const dpi_xml_tag *tag, dpi_xml_attr *a) {
  const char *at = NULL;
  if (tag->closing || !dpi_xml_named(tag, "csymbol")) return false;
  while (dpi_xml_attribute(tag, &at, a)) {
    while (a->nvalue > 0 && isspace((unsigned char)a->value[0])) a->value++, a->nvalue--;
    while (a->nvalue > 0 && isspace((unsigned char)a->value[a->nvalue - 1])) a->nvalue--;
    if (dpi_xml_is(a, "definitionURL") && a->nvalue >= (int)sizeof url - 1 &&
        memcmp(a->value, url, sizeof url - 1) == 0) {
      a->value += sizeof url - 1;
      a->nvalue -= (int)sizeof url - 1;
      return true;
    }
  }
  return false;
}

/* The text up to `from` as it is, then `with` instead of what stands between `from` and `to`. */
static void edit(scan_place *p, const char **done, const char *from, const char *to,
                 const char *with) {
  dpi_str_addn(&p->scan->text, *done, (size_t)(from - *done));
  dpi_str_add(&p->scan->text, with);
  *done = to;
  p->scan->changed = true;
}

static dp_status rewrite_draw(scan_place *p, dpi_xml *x, const dpi_xml_tag *tag,
                              const dpi_xml_attr *a, const char **done) {
  dpi_str *out = &p->scan->text;
  dpi_xml_tag close = *tag;
  int prefix = (int)(tag->name - tag->begin - 1);
  if (!tag->empty &&
      (!dpi_xml_next(x, &close) || !close.closing || !dpi_xml_named(&close, "csymbol")))
    return dpi_fail(p->ctx, DP_ERR_INPUT, "%s:%d: a csymbol is text alone", p->source,
                    dpi_xml_line(p->text, tag->begin));
  edit(p, done, tag->begin, close.end, "");
  dpi_str_addf(out, "<%.*sci>%s%.*s", prefix, tag->begin + 1, p->scan->mark, a->nvalue, a->value);
  add_lines(out, tag->begin, close.end);
  dpi_str_addf(out, "</%.*sci>", prefix, tag->begin + 1);
  p->scan->rewritten = true;
  return DP_OK;
}

static void rewrite_prefix(scan_place *p, const char *name, int n, const char **done) {
  for (int i = 0; i < p->nprefix; i++)
    if (p->prefix[i].nold == n && memcmp(p->prefix[i].old, name, (size_t)n) == 0)
      edit(p, done, name, name + n, p->prefix[i].name);
}

/* Prefixes of a tag, of its attributes and in its declarations; distrib's flag, which stands in the first tag. */
static void rewrite_names(scan_place *p, const dpi_xml_tag *tag, const char **done) {
  const char *at = NULL, *name = tag->begin + 1 + tag->closing;
  dpi_xml_attr a;
  if (tag->name > name) rewrite_prefix(p, name, (int)(tag->name - name) - 1, done);
  while (!tag->closing && dpi_xml_attribute(tag, &at, &a)) {
    if (a.nprefix == 5 && memcmp(a.name, "xmlns", 5) == 0)
      rewrite_prefix(p, a.name + 6, a.nname - 6, done);
    else if (a.nprefix > 0)
      rewrite_prefix(p, a.name, a.nprefix, done);
    if (p->scan->draws && a.value == p->required.value)
      edit(p, done, a.value, a.value + a.nvalue, "false");
  }
}

dp_status dpi_sbml_rewrite(scan_place *p) {
  dpi_str *out = &p->scan->text;
  dpi_xml x = {p->text, p->text + p->size, false};
  dpi_xml_tag tag;
  dpi_xml_attr a;
  const char *done = p->text;
  DP_TRY(choose_mark(p));
  for (bool first = true; dpi_xml_next(&x, &tag); first = false) {
    if (p->scan->draws && draw_of(&tag, &a))
      DP_TRY(rewrite_draw(p, &x, &tag, &a, &done));
    else if (dpi_xml_large(&tag, x.end, &a))
      edit(p, &done, a.value, a.value + a.nvalue, "real");
    else if (first || p->nprefix > 0)
      rewrite_names(p, &tag, &done);
  }
  dpi_str_addn(out, done, (size_t)(p->text + p->size - done));
  return out->failed ? DP_ERR_MEMORY : DP_OK;
}

/* ---- annotations of older models ---- */
/* The last part of an address ("Normal_distribution", "uniform") -> a distribution. */
static int variate_of(const char *definition, int n) {
  static const struct {
    const char *word;
    dpi_variate variate;
  } known[] = {{"log-normal", DPI_VARIATE_LOGNORMAL}, {"lognormal", DPI_VARIATE_LOGNORMAL},
               {"normal", DPI_VARIATE_NORMAL},        {"gaussian", DPI_VARIATE_NORMAL},
               {"uniform", DPI_VARIATE_UNIFORM},      {"exponential", DPI_VARIATE_EXPONENTIAL},
               {"gamma", DPI_VARIATE_GAMMA},          {"poisson", DPI_VARIATE_POISSON},
               {"chi-square", DPI_VARIATE_CHISQUARE}, {"laplace", DPI_VARIATE_LAPLACE},
               {"cauchy", DPI_VARIATE_CAUCHY},        {"rayleigh", DPI_VARIATE_RAYLEIGH},
               {"binomial", DPI_VARIATE_BINOMIAL},    {"bernoulli", DPI_VARIATE_BERNOULLI}};
  char word[128];
  int from = n;
  while (from > 0 && definition[from - 1] != '/' && definition[from - 1] != '#') from--;
  snprintf(word, sizeof word, "%.*s", n - from, definition + from);
  for (char *c = word; *c; c++) *c = (char)tolower((unsigned char)*c);
  if (strstr(word, "truncated") || strstr(word, "negative") || strstr(word, "discrete")) return -1;
  for (int i = 0; i < DPI_COUNT(known); i++)
    if (strncmp(word, known[i].word, strlen(known[i].word)) == 0) return (int)known[i].variate;
  return -1;
}

static dp_status become_draw(dpi_sbml_reader *r, dpi_net_function *f, const char *definition,
                             int n) {
  int variate = variate_of(definition, n),
      least = variate < 0 ? 0 : dpi_variate_narg((dpi_variate)variate);
  if (variate < 0 || (f->narg != least && f->narg != least + 2))
    return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED,
                    "%s:%d: function '%s' stands for draws from '%.*s' with %d arguments",
                    r->source, f->line, f->id, n < 200 ? n : 200, definition, f->narg);
  f->body = dpi_ast_new(r->net, DPI_AST_DRAW, f->narg);
  if (f->body == NULL) return DP_ERR_MEMORY;
  f->body->draw = variate;
  f->body->line = f->line;
  for (int i = 0; i < f->narg; i++)
    if ((f->body->arg[i] = dpi_ast_name(r->net, f->arg[i])) == NULL) return DP_ERR_MEMORY;
  return DP_OK;
}

dp_status dpi_sbml_function_draw(dpi_sbml_reader *r, FunctionDefinition_t *f,
                                 dpi_net_function *out) {
  static const char space[] = "http://sbml.org/annotations/distribution";
  if (!SBase_isSetAnnotation((SBase_t *)f)) return DP_OK;
  char *text = SBase_getAnnotationString((SBase_t *)f);
  dp_status s = DP_OK;
  if (text && strstr(text, space)) {
    dpi_xml x = {text, text + strlen(text), false};
    dpi_xml_tag tag;
    dpi_xml_attr a;
    while (s == DP_OK && dpi_xml_next(&x, &tag)) {
      const char *at = NULL;
      if (tag.closing || !dpi_xml_named(&tag, "distribution")) continue;
      while (dpi_xml_attribute(&tag, &at, &a))
        if (dpi_xml_is(&a, "definition")) s = become_draw(r, out, a.value, a.nvalue);
    }
  }
  util_free(text);
  return s;
}
