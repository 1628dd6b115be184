/* sbml_scan.c - floor 3: what an SBML text says before libSBML sees it.
 *
 * One pass over the tags (comments, CDATA and instructions are stepped over, quotes are respected)
 * finds the packages, refuses what libSBML would read over silently, throw at or recurse into without
 * bound, and hands what it does not know to sbml_distrib.c. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/sbml/sbml_scan.h"

/* ---- tags ---- */
static const char *find(const char *at, const char *end, const char *what) {
  size_t n = strlen(what);
  for (; at + n <= end; at++) {
    at = memchr(at, what[0], (size_t)(end - at));
    if (at == NULL || at + n > end) return NULL;
    if (memcmp(at, what, n) == 0) return at;
  }
  return NULL;
}

/* The end of what begins at `at` with '<' and isn't an element; NULL: it is one (or the text breaks off: *broken). */
static const char *past_other(const char *at, const char *end, bool *broken) {
  static const struct {
    const char *open, *close;
  } kind[] = {{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}, {"<!", ">"}};
  for (int i = 0; i < DPI_COUNT(kind); i++) {
    size_t n = strlen(kind[i].open);
    if ((size_t)(end - at) < n || memcmp(at, kind[i].open, n) != 0) continue;
    const char *close = find(at + n, end, kind[i].close);
    *broken = close == NULL;
    return close ? close + strlen(kind[i].close) : NULL;
  }
  return NULL;
}

static const char *past_tag(const char *at, const char *end) {
  char quote = 0;
  for (; at < end; at++) {
    if (quote) {
      if (*at == quote) quote = 0;
    } else if (*at == '"' || *at == '\'') {
      quote = *at;
    } else if (*at == '>') {
      return at + 1;
    }
  }
  return NULL;
}

static bool in_name(char c) { return c && !isspace((unsigned char)c) && !strchr("/>=<\"'", c); }

bool dpi_xml_next(dpi_xml *x, dpi_xml_tag *tag) {
  for (;;) {
    bool broken = false;
    const char *open = x->at < x->end ? memchr(x->at, '<', (size_t)(x->end - x->at)) : NULL;
    if (open == NULL) return false;
    const char *past = past_other(open, x->end, &broken);
    if (broken) return false;
    if (past == NULL) {
      tag->begin = open;
      tag->end = past_tag(open, x->end);
      break;
    }
    if (find(open, past, "<!DOCTYPE") == open && memchr(open, '[', (size_t)(past - open)))
      x->entities = true;
    x->at = past;
  }
  if (tag->end == NULL) return false;
  tag->closing = tag->begin[1] == '/';
  tag->empty = !tag->closing && tag->end - tag->begin > 2 && tag->end[-2] == '/';
  tag->name = tag->begin + 1 + tag->closing;
  for (tag->after = tag->name; tag->after < tag->end && in_name(*tag->after); tag->after++)
    if (*tag->after == ':') tag->name = tag->after + 1;
  x->at = tag->end;
  return true;
}

bool dpi_xml_named(const dpi_xml_tag *tag, const char *name) {
  size_t n = (size_t)(tag->after - tag->name);
  return n == strlen(name) && memcmp(tag->name, name, n) == 0;
}

bool dpi_xml_attribute(const dpi_xml_tag *tag, const char **at, dpi_xml_attr *a) {
  const char *s = *at ? *at : tag->after, *end = tag->end;
  while (s < end && !in_name(*s)) s++;
  a->name = s;
  while (s < end && in_name(*s)) s++;
  a->nname = (int)(s - a->name);
  while (s < end && isspace((unsigned char)*s)) s++;
  if (s >= end || *s != '=') return false;
  for (s++; s < end && isspace((unsigned char)*s); s++) {
  }
  if (s >= end || (*s != '"' && *s != '\'')) return false;
  const char *close = memchr(s + 1, *s, (size_t)(end - s - 1));
  if (close == NULL) return false;
  a->value = s + 1;
  a->nvalue = (int)(close - s - 1);
  *at = close + 1;
  const char *colon = memchr(a->name, ':', (size_t)a->nname);
  a->nprefix = colon ? (int)(colon - a->name) : 0;
  return true;
}

bool dpi_xml_is(const dpi_xml_attr *a, const char *name) {
  int skip = a->nprefix ? a->nprefix + 1 : 0;
  return (size_t)(a->nname - skip) == strlen(name) &&
         memcmp(a->name + skip, name, strlen(name)) == 0;
}

bool dpi_xml_large(const dpi_xml_tag *tag, const char *end, dpi_xml_attr *a) {
  const char *at = NULL, *s = tag->end;
  int digits = 0;
  if (tag->closing || tag->empty || !dpi_xml_named(tag, "cn")) return false;
  for (; s < end &&
         (isspace((unsigned char)*s) || *s == '-' || *s == '+' || isdigit((unsigned char)*s));
       s++)
    digits += isdigit((unsigned char)*s) != 0;
  if (digits < 10 || s >= end || *s != '<') return false;
  while (dpi_xml_attribute(tag, &at, a))
    if (dpi_xml_is(a, "type") && a->nvalue == 7 && memcmp(a->value, "integer", 7) == 0) return true;
  return false;
}

int dpi_xml_line(const char *text, const char *at) {
  int line = 1;
  for (const char *s = text; (s = memchr(s, '\n', (size_t)(at - s))) != NULL; s++) line++;
  return line;
}

/* ---- is it SBML? ---- */
bool dpi_sbml_is(const char *text, size_t size) {
  dpi_xml x = {text, text + size, false};
  dpi_xml_tag tag;
  while (x.at < x.end && (isspace((unsigned char)*x.at) || (unsigned char)*x.at >= 0x80))
    x.at++; /* and a mark of UTF-8 */
  if (x.at >= x.end || *x.at != '<') return false;
  return dpi_xml_next(&x, &tag) && !tag.closing && dpi_xml_named(&tag, "sbml");
}

/* ---- packages ---- */
typedef struct package {
  char name[64];
  int version;
} package;

/* The package of a namespace: the last but one part of its address; name "" when it has none. */
static package package_of(const dpi_xml_attr *xmlns) {
  package p = {"", 0};
  char uri[256];
  snprintf(uri, sizeof uri, "%.*s", xmlns->nvalue, xmlns->value);
  char *last = strrchr(uri, '/');
  if (last == NULL || strncmp(last, "/version", 8) != 0) return p;
  p.version = (int)strtol(last + 8, NULL, 10);
  *last = '\0';
  last = strrchr(uri, '/');
  snprintf(p.name, sizeof p.name, "%.60s", last ? last + 1 : uri);
  return p;
}

/* The declaration of a prefix. */
static bool declared(const dpi_xml_tag *sbml, const char *prefix, int nprefix, dpi_xml_attr *a) {
  const char *at = NULL;
  while (dpi_xml_attribute(sbml, &at, a))
    if (a->nprefix == 5 && memcmp(a->name, "xmlns:", 6) == 0 && a->nname - 6 == nprefix &&
        memcmp(a->name + 6, prefix, (size_t)nprefix) == 0)
      return true;
  return false;
}

static bool is_true(const dpi_xml_attr *a) {
  return (a->nvalue == 4 && memcmp(a->value, "true", 4) == 0) ||
         (a->nvalue == 1 && a->value[0] == '1');
}

static dp_status judge_package(scan_place *p, const dpi_xml_tag *sbml,
                               const dpi_xml_attr *required) {
  /* of these, drawings and groups never change mathematics, whatever their flag says */
  static const char *const known[] = {"comp",   "fbc",    "distrib", "l3v2extendedmath",
                                      "layout", "render", "groups"};
  dpi_xml_attr xmlns;
  package pack = {"", 0};
  bool fits = false;
  if (declared(sbml, required->name, required->nprefix, &xmlns)) pack = package_of(&xmlns);
  for (int i = 0; i < DPI_COUNT(known); i++) fits = fits || strcmp(pack.name, known[i]) == 0;
  if (strcmp(pack.name, "distrib") == 0) {
    fits = pack.version == 1;
    p->scan->draws = true;
    p->required = *required;
  }
  if (fits || !is_true(required)) return DP_OK;
  return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                  "%s:%d: the model needs the package '%s' (version %d), which is not supported",
                  p->source, dpi_xml_line(p->text, required->name),
                  pack.name[0] ? pack.name : "without a namespace", pack.version);
}

/* libSBML looks up some packages by their usual prefix and takes for granted that they are found. */
static dp_status judge_prefix(scan_place *p, const dpi_xml_tag *sbml, const dpi_xml_attr *xmlns) {
  static const char *const usual[DPI_SBML_PREFIXES] = {"comp", "fbc"};
  package pack = package_of(xmlns);
  const char *prefix = xmlns->name + 6;
  int n = xmlns->nname - 6;
  for (int i = 0; i < DPI_SBML_PREFIXES; i++) {
    dpi_xml_attr other;
    bool is = n == (int)strlen(usual[i]) && memcmp(prefix, usual[i], (size_t)n) == 0;
    if (strcmp(pack.name, usual[i]) != 0) {
      if (!is || !declared(sbml, prefix, n, &other) || package_of(&other).name[0] == '\0') continue;
      return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: the prefix '%s' stands for the package '%s'", p->source,
                      dpi_xml_line(p->text, prefix), usual[i], pack.name);
    }
    bool *seen = i == 0 ? &p->scan->comp : &p->scan->flux;
    if (*seen || (!is && declared(sbml, usual[i], (int)strlen(usual[i]), &other)))
      return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED, "%s:%d: the package '%s' is declared twice",
                      p->source, dpi_xml_line(p->text, prefix), usual[i]);
    *seen = true;
    if (!is) p->prefix[p->nprefix++] = (dpi_sbml_prefix){prefix, n, usual[i]};
  }
  return DP_OK;
}

static bool same(const dpi_xml_attr *a, const char *text) {
  return (size_t)a->nvalue == strlen(text) && memcmp(a->value, text, strlen(text)) == 0;
}

/* Level, version and namespace must belong together: on others libSBML throws, which ends a program in C. */
static dp_status judge_level(scan_place *p, const dpi_xml_tag *sbml) {
  static const struct {
    const char *level, *version, *space;
  } known[] = {{"1", "1", "level1"},
               {"1", "2", "level1"},
               {"2", "1", "level2"},
               {"2", "2", "level2/version2"},
               {"2", "3", "level2/version3"},
               {"2", "4", "level2/version4"},
               {"2", "5", "level2/version5"},
               {"3", "1", "level3/version1/core"},
               {"3", "2", "level3/version2/core"}};
  const char *at = NULL, *prefix = sbml->begin + 1;
  dpi_xml_attr a, level = {0}, version = {0}, space = {0};
  int n = sbml->name > prefix ? (int)(sbml->name - prefix) - 1 : 0;
  while (dpi_xml_attribute(sbml, &at, &a)) {
    if (a.nprefix == 0 && dpi_xml_is(&a, "level")) level = a;
    if (a.nprefix == 0 && dpi_xml_is(&a, "version")) version = a;
    if (n == 0 && a.nprefix == 0 && dpi_xml_is(&a, "xmlns")) space = a;
  }
  if (n > 0) (void)declared(sbml, prefix, n, &space);
  for (int i = 0; i < DPI_COUNT(known); i++) {
    char uri[64];
    snprintf(uri, sizeof uri, "http://www.sbml.org/sbml/%s", known[i].space);
    if (!same(&level, known[i].level) || !same(&version, known[i].version) || !same(&space, uri))
      continue;
    p->level_one = known[i].level[0] == '1';
    p->level_three = known[i].level[0] == '3';
    return DP_OK;
  }
  return dpi_fail(p->ctx, DP_ERR_INPUT,
                  "%s:%d: no SBML is of level '%.*s', version '%.*s' and namespace '%.*s' together",
                  p->source, dpi_xml_line(p->text, sbml->begin), level.nvalue,
                  level.value ? level.value : "", version.nvalue,
                  version.value ? version.value : "", space.nvalue, space.value ? space.value : "");
}

static dp_status judge_packages(scan_place *p, const dpi_xml_tag *sbml) {
  const char *at = NULL;
  dpi_xml_attr a;
  if (!dpi_xml_named(sbml, "sbml"))
    return dpi_fail(p->ctx, DP_ERR_INPUT, "%s:%d: found <%.*s>, expected <sbml>", p->source,
                    dpi_xml_line(p->text, sbml->begin), (int)(sbml->after - sbml->name),
                    sbml->name);
  DP_TRY(judge_level(p, sbml));
  while (p->level_three && dpi_xml_attribute(sbml, &at, &a)) {
    if (a.nprefix == 5 && memcmp(a.name, "xmlns:", 6) == 0)
      DP_TRY(judge_prefix(p, sbml, &a));
    else if (a.nprefix > 0 && dpi_xml_is(&a, "required"))
      DP_TRY(judge_package(p, sbml, &a));
  }
  return DP_OK;
}

/* A prefix that is rewritten must mean the same everywhere; and a package must be declared where
 * libSBML looks for it. */
static dp_status judge_redeclared(const scan_place *p, const dpi_xml_tag *tag) {
  const char *at = NULL;
  dpi_xml_attr a;
  while (dpi_xml_attribute(tag, &at, &a)) {
    if (a.nname < 5 || memcmp(a.name, "xmlns", 5) != 0) continue;
    package pack = package_of(&a);
    bool bad = strcmp(pack.name, "comp") == 0 || strcmp(pack.name, "fbc") == 0;
    bool same = a.nprefix == 5 && a.nname - 6 == (int)strlen(pack.name) &&
                memcmp(a.name + 6, pack.name, (size_t)(a.nname - 6)) == 0;
    for (int i = 0; i < p->nprefix && a.nprefix == 5; i++)
      bad = bad || (a.nname - 6 == p->prefix[i].nold &&
                    memcmp(a.name + 6, p->prefix[i].old, (size_t)p->prefix[i].nold) == 0);
    if (bad && !same)
      return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                      "%s:%d: a package is declared here, inside the document", p->source,
                      dpi_xml_line(p->text, a.name));
  }
  return DP_OK;
}

/* ---- the pass ---- */
/* libSBML's formula parser and its trees recurse; formulas of Level 1 are attributes. */
static dp_status judge_formula(scan_place *p, const dpi_xml_tag *tag) {
  const char *at = NULL;
  dpi_xml_attr a;
  while (dpi_xml_attribute(tag, &at, &a)) {
    int count = 0;
    if (!dpi_xml_is(&a, "formula")) continue;
    for (int i = 0; i < a.nvalue; i++) count += strchr("+-*/^(,", a.value[i]) != NULL && a.value[i];
    if (count > DPI_SBML_FORMULA)
      return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED, "%s:%d: a formula has more than %d operators",
                      p->source, dpi_xml_line(p->text, a.name), DPI_SBML_FORMULA);
  }
  return DP_OK;
}

/* Version 2 allows elements without mathematics; libSBML crashes on them where it converts time or
 * extent of a submodel. */
static void judge_wanting(scan_place *p, const dpi_xml_tag *tag) {
  static const char *const owner[] = {
      "kineticLaw",        "delay",          "priority",          "trigger",
      "rateRule",          "assignmentRule", "algebraicRule",     "eventAssignment",
      "initialAssignment", "constraint",     "functionDefinition"};
  if (tag->closing) {
    if (p->wanting != p->depth + 1) return;
    p->scan->lacks_math = true;
    p->wanting = 0;
    return;
  }
  if (p->wanting > 0 && dpi_xml_named(tag, "math")) p->wanting = 0;
  for (int i = 0; i < DPI_COUNT(owner); i++) {
    if (!dpi_xml_named(tag, owner[i])) continue;
    p->scan->lacks_math = p->scan->lacks_math || tag->empty;
    if (!tag->empty) p->wanting = p->depth;
  }
}

/* libSBML's time grows with the square of an operation's arguments. */
static dp_status judge_width(scan_place *p, const dpi_xml_tag *tag) {
  if (p->depth < 0) return DP_OK; /* more closed than opened: libSBML says so */
  int *outer = &p->wide[p->depth];
  if (p->depth > 0 && *outer >= 0 && ++*outer > p->scan->widest) p->scan->widest = *outer;
  if (p->scan->widest > DPI_SBML_WIDE)
    return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED, "%s:%d: an operation with more than %d arguments", p->source,
                    dpi_xml_line(p->text, tag->begin), DPI_SBML_WIDE);
  p->wide[p->depth + 1] = dpi_xml_named(tag, "apply") || dpi_xml_named(tag, "piecewise") ? 0 : -1;
  return DP_OK;
}

static dp_status judge_tag(scan_place *p, const dpi_xml_tag *tag) {
  dpi_xml_attr a;
  if (tag->closing) {
    p->depth--;
    judge_wanting(p, tag);
    return DP_OK;
  }
  DP_TRY(p->ntag++ == 0 ? judge_packages(p, tag) : judge_redeclared(p, tag));
  DP_TRY(judge_width(p, tag));
  if (!tag->empty && ++p->depth > DPI_SBML_XML_DEPTH)
    return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED, "%s:%d: elements are nested more than %d deep",
                    p->source, dpi_xml_line(p->text, tag->begin), DPI_SBML_XML_DEPTH);
  p->large = p->large || dpi_xml_large(tag, p->text + p->size, &a);
  if (p->level_one) DP_TRY(judge_formula(p, tag));
  judge_wanting(p, tag);
  if (p->scan->draws && dpi_xml_named(tag, "drawFromDistribution"))
    return dpi_fail(
        p->ctx, DP_ERR_UNSUPPORTED,
        "%s:%d: 'drawFromDistribution' of a draft of the package distrib is not supported",
        p->source, dpi_xml_line(p->text, tag->begin));
  return p->scan->comp ? dpi_sbml_models_tag(p, tag) : DP_OK;
}

void dpi_sbml_scan_init(dpi_sbml_scan *scan, dp_ctx *ctx) {
  *scan = (dpi_sbml_scan){0};
  dpi_str_init(&scan->text, ctx);
}

void dpi_sbml_scan_release(dpi_sbml_scan *scan) { dpi_str_release(&scan->text); }

static dp_status pass(scan_place *p, double *copies) {
  dpi_xml x = {p->text, p->text + p->size, false};
  dpi_xml_tag tag;
  dpi_str *out = &p->scan->text;
  if (memchr(p->text, '\0', p->size))
    return dpi_fail(p->ctx, DP_ERR_INPUT, "%s: not SBML: a byte 0 in the text", p->source);
  while (dpi_xml_next(&x, &tag)) DP_TRY(judge_tag(p, &tag));
  if (x.entities)
    return dpi_fail(p->ctx, DP_ERR_UNSUPPORTED,
                    "%s: a document type with declarations of its own is not supported", p->source);
  DP_TRY(dpi_sbml_models_count(p, copies));
  if (p->nesting == 0 && p->scan->converts && p->scan->lacks_math)
    return dpi_fail(
        p->ctx, DP_ERR_UNSUPPORTED,
        "%s: an element without mathematics in a document that converts the time or the "
        "extent of submodels",
        p->source);
  /* libSBML would put it before the text with a line of its own */
  if (p->size < 5 || memcmp(p->text, "<?xml", 5) != 0)
    dpi_str_add(out, "<?xml version='1.0' encoding='UTF-8'?>");
  if (p->scan->draws || p->large || p->nprefix > 0) return dpi_sbml_rewrite(p);
  dpi_str_addn(out, p->text, p->size);
  return out->failed ? DP_ERR_MEMORY : DP_OK;
}

static dp_status scan(scan_place *p, double *copies) {
  if (p->size >= 3 && memcmp(p->text, "\xef\xbb\xbf", 3) == 0) p->text += 3, p->size -= 3;
  dpi_sbml_models_init(&p->models, p->ctx);
  dp_status s = pass(p, copies);
  dpi_sbml_models_release(&p->models);
  return s;
}

dp_status dpi_sbml_scan_text(dp_ctx *ctx, const char *text, size_t size, const char *source,
                             dpi_sbml_scan *out) {
  int nfile = 0;
  double copies = 0;
  scan_place p = {
      .ctx = ctx, .text = text, .size = size, .source = source, .nfile = &nfile, .scan = out};
  return scan(&p, &copies);
}

dp_status dpi_sbml_scan_file(const scan_place *from, const char *text, size_t size,
                             const char *source, dpi_sbml_scan *out, double *copies) {
  scan_place p = {.ctx = from->ctx,
                  .text = text,
                  .size = size,
                  .source = source,
                  .nesting = from->nesting + 1,
                  .nfile = from->nfile,
                  .scan = out};
  return scan(&p, copies);
}
