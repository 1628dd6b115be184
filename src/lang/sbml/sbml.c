/* sbml.c - floor 3: SBML text -> dpi_net through libSBML; the language's row.
 *
 * Invariant: what this version of libSBML finds wrong stops reading with its finding; what it can't
 * know (random draws) is taken out of its sight first (sbml_scan.c). */
#include <stdio.h>
#include <string.h>

#include "lang/sbml/sbml_guard.h"
#include "lang/sbml/sbml_impl.h"

/* ---- findings ---- */
/* Findings of libSBML that change no equation: an encoding not said; of metaids and annotations,
 * notes, SBO terms, units; species that a rate uses without saying so. Ranges, ends included. */
static const unsigned harmless[][2] = {
    {1002, 1002},   {10307, 10309}, {10311, 10313}, {10401, 10499}, {10501, 10599}, {10701, 10899},
    {20217, 20221}, {20233, 20233}, {20401, 20421}, {20502, 20502}, {20504, 20513}, {20518, 20518},
    {20602, 20603}, {20605, 20608}, {20612, 20613}, {20616, 20616}, {21107, 21107}, {21121, 21121},
    {21125, 21126}, {21131, 21131}, {21152, 21152}, {21173, 21173}, {21206, 21206},
};
/* Headings of other findings. */
static const unsigned heading[] = {1090104, 1090105, 1090106};

static bool counts(const dpi_sbml_reader *r, const XMLError_t *e) {
  const char *text = XMLError_getMessage(e), *mark = r->scan->mark;
  unsigned id = XMLError_getErrorId(e);
  if (XMLError_isInfo(e) || XMLError_isWarning(e)) return false;
  for (int i = 0; i < DPI_COUNT(harmless); i++)
    if (id >= harmless[i][0] && id <= harmless[i][1]) return false;
  for (int i = 0; i < DPI_COUNT(heading); i++)
    if (id == heading[i]) return false;
  return !(r->scan->rewritten && text &&
           strstr(text, mark)); /* draws are functions nobody defined */
}

/* libSBML's text is the rule in general, "Reference: ...", then what was found here: that last part, on one line. */
static void detail(const char *text, dpi_str *out) {
  const char *found = text ? strstr(text, "Reference: ") : NULL;
  bool blank = true;
  found = found ? strchr(found, '\n') : text ? strchr(text, '\n') : NULL;
  for (; found && *found && out->len < 400; found++) {
    bool space = strchr(" \t\r\n", *found) != NULL;
    if (!space && blank) dpi_str_add(out, out->len ? " " : ": ");
    if (!space) dpi_str_addn(out, found, 1);
    blank = space;
  }
}

dp_status dpi_sbml_judge(dpi_sbml_reader *r, unsigned before, dp_status status, const char *what) {
  for (unsigned i = before, n = SBMLDocument_getNumErrors(r->doc); i < n; i++) {
    const XMLError_t *e = (const XMLError_t *)SBMLDocument_getError(r->doc, i);
    if (!counts(r, e)) continue;
    const char *text = XMLError_getShortMessage(e);
    dpi_str more;
    dpi_str_init(&more, r->ctx);
    detail(XMLError_getMessage(e), &more);
    int n = text ? (int)strlen(text) : 0;
    if (n > 0 && text[n - 1] == '.') n--;
    dpi_fail(r->ctx, status, "%s:%u: %s%.*s%s (SBML rule %u)", r->source, XMLError_getLine(e), what,
             n, text ? text : "", dpi_str_text(&more), XMLError_getErrorId(e));
    dpi_str_release(&more);
    return status;
  }
  return DP_OK;
}

/* All rules but those of units, SBO terms and practice. libSBML's time grows with the square of the
 * model's size and of the longest sum: of large ones it checks the inside of elements, and building equations finds
 * what refers to nothing. */
dp_status dpi_sbml_check(dpi_sbml_reader *r, bool whole) {
  static const SBMLErrorCategory_t off[] = {
      LIBSBML_CAT_UNITS_CONSISTENCY, LIBSBML_CAT_SBO_CONSISTENCY, LIBSBML_CAT_OVERDETERMINED_MODEL,
      LIBSBML_CAT_MODELING_PRACTICE};
  const Model_t *m = SBMLDocument_getModel(r->doc);
  unsigned before = SBMLDocument_getNumErrors(r->doc);
  unsigned size = Model_getNumSpecies(m) + Model_getNumParameters(m) + Model_getNumReactions(m) +
                  Model_getNumRules(m) + Model_getNumEvents(m) + Model_getNumInitialAssignments(m);
  for (int i = 0; i < DPI_COUNT(off); i++) SBMLDocument_setConsistencyChecks(r->doc, off[i], 0);
  if (whole || (size <= DPI_SBML_CHECKED && r->scan->widest <= DPI_SBML_WIDE_CHECKED))
    SBMLDocument_checkConsistency(r->doc);
  else
    SBMLDocument_checkInternalConsistency(r->doc);
  return dpi_sbml_judge(r, before, DP_ERR_INPUT, "");
}

/* ---- reading ---- */
static dp_status read_document(dpi_sbml_reader *r) {
  char language[32];
  r->doc = readSBMLFromString(dpi_str_text(&r->scan->text));
  if (r->doc == NULL) return DP_ERR_MEMORY;
  DP_TRY(dpi_sbml_judge(r, 0, DP_ERR_INPUT, ""));
  r->level = (int)SBMLDocument_getLevel(r->doc);
  r->version = (int)SBMLDocument_getVersion(r->doc);
  DP_TRY(dpi_sbml_flatten(r));
  snprintf(language, sizeof language, "SBML L%dV%d", r->level, r->version);
  DP_TRY(dpi_net_create(r->ctx, r->source, &r->net));
  r->net->level = r->level;
  r->net->version = r->version;
  DP_TRY(dpi_sbml_text(r, language, &r->net->language));
  r->model = SBMLDocument_getModel(r->doc);
  if (r->model == NULL)
    return dpi_net_index(r->net); /* Level 3 Version 2 allows a document without one */
  DP_TRY(dpi_sbml_read_model(r)); /* first: libSBML's checks take formulas for well-formed */
  return dpi_sbml_check(r, false);
}

static dp_status read_guarded(void *user) { return read_document(user); }

static dp_status free_guarded(void *user) {
  SBMLDocument_free(user);
  return DP_OK;
}

static dp_status sbml_read(dp_ctx *ctx, const char *text, size_t size, const char *source,
                           dpi_net **out) {
  dpi_sbml_scan scan;
  dpi_sbml_reader r = {.ctx = ctx, .source = source, .scan = &scan};
  char what[160];
  dpi_sbml_scan_init(&scan, ctx);
  dp_status s = dpi_sbml_scan_text(ctx, text, size, source, &scan);
  if (s == DP_OK) {
    s = dpi_sbml_guard(read_guarded, &r, what);
    if (what[0])
      dpi_fail(ctx, s, "%s:1: libSBML can't read this document: %s", source, what);
  }
  if (r.doc) dpi_sbml_guard(free_guarded, r.doc, what);
  dpi_sbml_scan_release(&scan);
  if (s == DP_OK)
    *out = r.net;
  else
    dpi_net_destroy(r.net);
  return s;
}

const dpi_language dpi_language_sbml = {
    .name = "sbml",
    .help = "SBML Level 1 to 3; packages comp, fbc, distrib",
    .ending = ".xml .sbml",
    .is = dpi_sbml_is,
    .read = sbml_read,
    .write = dpi_sbml_write,
};
