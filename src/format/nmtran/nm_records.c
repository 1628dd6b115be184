/* nm_records.c - floor 3: a control stream's text as records; those that say what the data and the compartments are.
 *
 * A record begins with $ and a name of which three letters are enough; it goes on until the next. `;` begins a comment.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/nmtran/nm_control.h"

/* ---- small things ---- */

dp_status nm_fail(nm_stream *s, dp_status status, int line, const char *fmt, ...) {
  char text[600];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return dpi_fail(s->ctx, status, "%s:%d: %s", s->source, line, text);
}

dp_status nm_note(nm_stream *s, int line, const char *fmt, ...) {
  char text[600];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  DP_TRY(dpi_grow(s->ctx, (void **)&s->note, &s->cap_note, s->nnote + 1, sizeof *s->note));
  s->note[s->nnote] = dpi_arena_printf(s->arena, "%s:%d: %s", s->source, line, text);
  return s->note[s->nnote++] ? DP_OK : DP_ERR_MEMORY;
}

static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 32) : c; }
static bool letter(char c) { return upper(c) >= 'A' && upper(c) <= 'Z'; }
static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool blank(char c) { return c == ' ' || c == '\t' || c == ','; }

bool nm_same(const char *a, const char *b) {
  for (; *a && *b; a++, b++)
    if (upper(*a) != upper(*b)) return false;
  return *a == *b;
}

bool nm_number(const char *text, size_t n, double *out) {
  char copy[64];
  if (n == 0 || n >= sizeof copy) return false;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    if (!digit(c) && !strchr("+-.eEdD", c)) return false;
    copy[i] = c == 'd' || c == 'D' ? 'e' : c;
  }
  copy[n] = 0;
  return dpi_parse_double(copy, out);
}

static char *upper_copy(dpi_arena *arena, const char *text, size_t n) {
  char *copy = dpi_arena_strndup(arena, text, n);
  for (char *p = copy; p && *p; p++) *p = upper(*p);
  return copy;
}

/* ---- words of a record: blanks and commas between them; ( ) = are words; quotes hold one together ---- */

typedef struct words {
  nm_stream *s;
  const nm_line *item;
  int n, at; /* lines */
  const char *p;
  int line;
  const char *word; /* as written, quotes taken off */
  bool quoted, ended;
} words;

static words words_of(nm_stream *s, const nm_line *item, int n) {
  return (words){.s = s, .item = item, .n = n, .p = n ? item[0].text : "", .line = n ? item[0].line : 0};
}

static size_t word_length(const char *p) {
  size_t n = 0;
  while (p[n] && !blank(p[n]) && !strchr("()=;", p[n])) n++;
  return n;
}

static dp_status word_quoted(words *w) {
  const char *end = strchr(w->p + 1, *w->p);
  if (!end) return NM_WRONG(w->s, w->line, "a quote %c does not end", *w->p);
  w->word = dpi_arena_strndup(w->s->arena, w->p + 1, (size_t)(end - w->p - 1));
  w->p = end + 1;
  w->quoted = true;
  return w->word ? DP_OK : DP_ERR_MEMORY;
}

/* The next word; word NULL at the end of the record. */
static dp_status next_word(words *w) {
  w->word = NULL;
  w->quoted = false;
  for (;;) {
    while (blank(*w->p) || *w->p == '&') w->p++;
    if (*w->p && *w->p != ';') break;
    if (w->at + 1 >= w->n) return w->ended = true, DP_OK;
    w->p = w->item[++w->at].text;
    w->line = w->item[w->at].line;
  }
  if (*w->p == '\'' || *w->p == '"') return word_quoted(w);
  size_t n = word_length(w->p);
  if (n == 0) n = 1;
  w->word = dpi_arena_strndup(w->s->arena, w->p, n);
  w->p += n;
  return w->word ? DP_OK : DP_ERR_MEMORY;
}

static bool word_is(const words *w, const char *text) { return w->word && !w->quoted && nm_same(w->word, text); }

/* Is the next character, blanks apart, this one? Then it is taken. */
static bool take(words *w, char c) {
  const char *p = w->p;
  while (*p == ' ' || *p == '\t') p++;
  if (*p != c) return false;
  w->p = p + 1;
  return true;
}

/* Is the word an abbreviation of this keyword, at least `least` letters of it? */
static bool short_for(const char *word, const char *full, size_t least) {
  size_t n = strlen(word);
  if (n < least || n > strlen(full)) return false;
  for (size_t i = 0; i < n; i++)
    if (upper(word[i]) != full[i]) return false;
  return true;
}

/* ---- $INPUT ---- */

static bool reserved(const char *name) {
  static const char *const list[] = {"ID",  "TIME", "AMT",  "DV",   "EVID", "CMT", "RATE", "II",   "ADDL", "SS",
                                     "MDV", "DATE", "DAT1", "DAT2", "DAT3", "L1",  "L2",   "CALL", "CONT", "PCMT"};
  for (int i = 0; i < DPI_COUNT(list); i++)
    if (strcmp(list[i], name) == 0) return true;
  return false;
}

static bool drop_word(const char *w) { return strcmp(w, "DROP") == 0 || strcmp(w, "SKIP") == 0; }

static bool good_name(const char *name) {
  if (!letter(*name)) return false;
  for (const char *p = name; *p; p++)
    if (!letter(*p) && !digit(*p) && *p != '_') return false;
  return strlen(name) <= 40;
}

/* The name the event table gets. Columns that mean something to the table's reader and nothing to NM-TRAN
 * change names. */
static dp_status column_as(nm_stream *s, nm_column *c) {
  static const char *const ours[] = {"DVID", "CENS", "LIMIT", "LLOQ"};
  c->as = c->drop ? "" : !reserved(c->name) && reserved(c->synonym) ? c->synonym : c->name;
  for (int i = 0; i < DPI_COUNT(ours); i++)
    if (strcmp(c->as, ours[i]) == 0) c->as = dpi_arena_printf(s->arena, "%s_", c->name);
  return c->as ? DP_OK : DP_ERR_MEMORY;
}

static dp_status add_column(nm_stream *s, int line, const char *a, const char *b) {
  if (s->ncolumn >= NM_MAX_COLUMN) return NM_REFUSE(s, line, "$INPUT: more than %d columns", NM_MAX_COLUMN);
  nm_column *c = &s->column[s->ncolumn];
  *c = (nm_column){.name = a, .synonym = b};
  if (drop_word(a))
    c->drop = true, c->name = b, c->synonym = "";
  else if (drop_word(b))
    c->drop = true, c->synonym = "";
  for (int i = 0; i < 2; i++) {
    const char *name = i ? c->synonym : c->name;
    if (!*name) continue;
    if (!good_name(name)) {
      if (c->drop) continue;
      return NM_WRONG(s, line, "$INPUT: found '%s', expected the name of a column", name);
    }
    if (nm_column_find(s, name) >= 0 && !c->drop) return NM_WRONG(s, line, "$INPUT: column %s stands twice", name);
  }
  DP_TRY(column_as(s, c));
  static const char *const refused[] = {"L1", "L2", "CALL", "CONT"};
  for (int i = 0; i < DPI_COUNT(refused); i++)
    if (strcmp(c->as, refused[i]) == 0)
      return NM_REFUSE(s, line, "$INPUT: column %s is not supported (DROP it)", c->as);
  s->ncolumn++;
  return DP_OK;
}

static dp_status read_input(nm_stream *s, const nm_line *item, int n) {
  words w = words_of(s, item, n);
  for (;;) {
    DP_TRY(next_word(&w));
    if (!w.word) return DP_OK;
    int line = w.line;
    const char *a = upper_copy(s->arena, w.word, strlen(w.word)), *b = "";
    if (!a) return DP_ERR_MEMORY;
    if (take(&w, '=')) {
      DP_TRY(next_word(&w));
      if (!w.word) return NM_WRONG(s, line, "$INPUT: %s = without a second name", a);
      b = upper_copy(s->arena, w.word, strlen(w.word));
      if (!b) return DP_ERR_MEMORY;
    }
    DP_TRY(add_column(s, line, a, b));
  }
}

int nm_column_find(const nm_stream *s, const char *name) {
  for (int i = 0; i < s->ncolumn; i++) {
    const nm_column *c = &s->column[i];
    if (!drop_word(name) && (strcmp(c->name, name) == 0 || (*c->synonym && strcmp(c->synonym, name) == 0)) && !c->drop)
      return i;
  }
  return -1;
}

/* ---- $DATA ---- */

/* "(A.EQ.1, B=2, C 'x')" from the character behind the parenthesis: into "A.EQ.1 B.EQ.2 C.EQ.x". */
static dp_status read_conditions(words *w, const char **list) {
  dpi_str text, part;
  dpi_str_init(&text, w->s->ctx);
  dpi_str_init(&part, w->s->ctx);
  dpi_str_add(&text, *list ? *list : "");
  dp_status st = DP_OK;
  bool open = true;
  char quote = 0;
  while (open && st == DP_OK) {
    char c = *w->p;
    if (!c || c == ';') {
      if (w->at + 1 >= w->n) break;
      w->p = w->item[++w->at].text;
      w->line = w->item[w->at].line;
      continue;
    }
    w->p++;
    if (quote) {
      if (c == quote)
        quote = 0;
      else
        dpi_str_addn(&part, &c, 1);
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == ',' || c == ')') {
      if (part.len) dpi_str_addf(&text, "%s%s", text.len ? " " : "", dpi_str_text(&part));
      dpi_str_release(&part);
      dpi_str_init(&part, w->s->ctx);
      open = c != ')';
    } else if (c == '=' || c == '<' || c == '>' || c == '/') {
      char two = *w->p == '=' ? '=' : 0;
      w->p += two != 0;
      if (c == '/' && !two) st = NM_WRONG(w->s, w->line, "$DATA: found '/' in a condition");
      dpi_str_add(&part, c == '='   ? ".EQ."
                         : c == '/' ? ".NE."
                         : c == '<' ? (two ? ".LE." : ".LT.")
                         : two      ? ".GE."
                                    : ".GT.");
    } else if (c == ' ' || c == '\t' || c == '&') {
      continue;
    } else {
      c = upper(c);
      dpi_str_addn(&part, &c, 1);
    }
  }
  if (st == DP_OK && open) st = NM_WRONG(w->s, w->line, "$DATA: a list of conditions does not end with ')'");
  *list = dpi_arena_strdup(w->s->arena, dpi_str_text(&text));
  if (st == DP_OK && (text.failed || part.failed || !*list)) st = DP_ERR_MEMORY;
  dpi_str_release(&text);
  dpi_str_release(&part);
  return st;
}

/* IGNORE=@ , IGNORE=C , IGNORE=(...) */
static dp_status read_ignore(nm_stream *s, words *w) {
  bool equal = take(w, '=');
  if (take(w, '(')) return read_conditions(w, &s->drop_rows);
  while (*w->p == ' ' || *w->p == '\t') w->p++;
  if (!equal || !*w->p) return NM_WRONG(s, w->line, "$DATA: expected IGNORE=c or IGNORE=(conditions)");
  const char *p = w->p;
  bool quoted = (*p == '\'' || *p == '"') && p[1] && p[2] == *p;
  s->ignore = dpi_arena_strndup(s->arena, p + quoted, 1);
  w->p += quoted ? 3 : 1;
  return s->ignore ? DP_OK : DP_ERR_MEMORY;
}

/* A name and its value, where the value does not matter. */
static dp_status skip_value(words *w) {
  if (!take(w, '=')) return DP_OK;
  return next_word(w);
}

static dp_status data_option(nm_stream *s, words *w) {
  const char *word = w->word;
  if (short_for(word, "IGNORE", 3)) return read_ignore(s, w);
  if (short_for(word, "ACCEPT", 3)) {
    take(w, '=');
    if (!take(w, '(')) return NM_WRONG(s, w->line, "$DATA: expected ACCEPT=(conditions)");
    return read_conditions(w, &s->keep_rows);
  }
  static const char *const harmless[] = {"NOWIDE",   "WIDE",  "CHECKOUT", "NULL",   "REWIND",
                                         "NOREWIND", "LRECL", "BLANKOK",  "NOOPEN", "PRED_IGNORE_DATA"};
  for (int i = 0; i < DPI_COUNT(harmless); i++)
    if (short_for(word, harmless[i], 4)) return skip_value(w);
  return NM_REFUSE(s, w->line, "$DATA: option %s is not supported", word);
}

static dp_status read_data(nm_stream *s, const nm_line *item, int n) {
  words w = words_of(s, item, n);
  while (*w.p == ' ' || *w.p == '\t') w.p++;
  if (!*w.p || *w.p == ';')
    DP_TRY(next_word(&w)); /* the name stands in a later line */
  else if (*w.p == '\'' || *w.p == '"')
    DP_TRY(word_quoted(&w));
  else {
    size_t len = strcspn(w.p, " \t,;");
    w.word = dpi_arena_strndup(s->arena, w.p, len);
    w.p += len;
    if (!w.word) return DP_ERR_MEMORY;
  }
  if (!w.word) return NM_WRONG(s, w.line, "$DATA without a file");
  if (strcmp(w.word, "*") == 0)
    return NM_REFUSE(s, w.line, "$DATA * (the data of an earlier problem) is not supported");
  s->data = w.word;
  for (;;) {
    DP_TRY(next_word(&w));
    if (!w.word) return DP_OK;
    DP_TRY(data_option(s, &w));
  }
}

/* ---- $SUBROUTINES, $MODEL ---- */

static int number_behind(const char *word, const char *start) {
  size_t n = strlen(start);
  for (size_t i = 0; i < n; i++)
    if (upper(word[i]) != start[i]) return -1;
  if (!digit(word[n]) || strlen(word + n) > 3 || strspn(word + n, "0123456789") != strlen(word + n)) return -1;
  return atoi(word + n);
}

static dp_status read_subroutines(nm_stream *s, const nm_line *item, int n) {
  words w = words_of(s, item, n);
  for (;;) {
    DP_TRY(next_word(&w));
    if (!w.word) return DP_OK;
    s->subs_line = w.line;
    const char *word = w.word;
    if (short_for(word, "ADVAN", 5) || short_for(word, "TRANS", 5)) {
      if (!take(&w, '=')) return NM_WRONG(s, w.line, "$SUBROUTINES: %s without =", word);
      DP_TRY(next_word(&w));
      if (!w.word) return NM_WRONG(s, s->subs_line, "$SUBROUTINES: %s = without a name", word);
    }
    int advan = number_behind(w.word, "ADVAN"), trans = number_behind(w.word, "TRANS");
    if (advan > 0) {
      s->advan = advan;
    } else if (trans > 0) {
      s->trans = trans;
    } else if (short_for(word, "TOLERANCE", 3) || short_for(word, "ATOL", 4) || short_for(word, "SSTOL", 5) ||
               short_for(word, "SSATOL", 6) || number_behind(word, "SS") > 0 || short_for(word, "SS", 2)) {
      DP_TRY(skip_value(&w)); /* our integrators have tolerances of their own */
    } else {
      return NM_REFUSE(s, w.line, "$SUBROUTINES: %s is not supported (code outside the control stream cannot be read)",
                       word);
    }
  }
}

static dp_status compartment_option(nm_stream *s, nm_cmt *c, int line, const char *word) {
  if (short_for(word, "NODOSE", 3))
    c->nodose = true;
  else if (short_for(word, "DEFDOSE", 4))
    c->defdose = true;
  else if (short_for(word, "DEFOBSERVATION", 4))
    c->defobs = true;
  else if (short_for(word, "INITIALOFF", 4))
    return NM_REFUSE(s, line, "$MODEL: INITIALOFF (a compartment off at the start) is not supported");
  else if (short_for(word, "EQUILIBRIUM", 4))
    return NM_REFUSE(s, line, "$MODEL: EQUILIBRIUM compartments are not supported");
  else if (!short_for(word, "NOOFF", 3))
    return NM_WRONG(s, line, "$MODEL: unknown option %s of a compartment", word);
  return DP_OK;
}

/* COMP=(NAME,OPTION ...), COMP(NAME), COMP=NAME */
static dp_status read_compartment(nm_stream *s, words *w) {
  int line = w->line;
  if (s->ncmt >= NM_MAX_CMT) return NM_REFUSE(s, line, "$MODEL: more than %d compartments", NM_MAX_CMT);
  nm_cmt *c = &s->cmt[++s->ncmt];
  take(w, '=');
  bool list = take(w, '(');
  for (int k = 0;; k++) {
    if (list && take(w, ')')) break;
    DP_TRY(next_word(w));
    if (!w->word) return NM_WRONG(s, line, "$MODEL: a compartment does not end with ')'");
    if (list && word_is(w, ")")) break;
    if (k == 0)
      c->name = upper_copy(s->arena, w->word, strlen(w->word));
    else
      DP_TRY(compartment_option(s, c, w->line, w->word));
    if (k == 0 && !c->name) return DP_ERR_MEMORY;
    if (!list) break;
  }
  if (!c->name) c->name = "";
  return DP_OK;
}

static dp_status read_model(nm_stream *s, const nm_line *item, int n) {
  words w = words_of(s, item, n);
  if (!s->model_line) s->model_line = n ? item[0].line : 0;
  int count = 0;
  for (;;) {
    DP_TRY(next_word(&w));
    if (!w.word) break;
    const char *word = w.word;
    int line = w.line;
    if (short_for(word, "COMPARTMENT", 4)) {
      DP_TRY(read_compartment(s, &w));
      continue;
    }
    bool ncomp = short_for(word, "NCOMPARTMENTS", 5) || short_for(word, "NCOMPS", 5);
    if (!ncomp && !short_for(word, "NPARAMETERS", 4) && !short_for(word, "NEQUILIBRIUM", 4))
      return NM_REFUSE(s, line, "$MODEL: %s is not supported", word);
    take(&w, '=');
    DP_TRY(next_word(&w));
    double x = 0;
    if (!w.word || !nm_number(w.word, strlen(w.word), &x))
      return NM_WRONG(s, line, "$MODEL: %s without a number", word);
    if (short_for(word, "NEQUILIBRIUM", 4) && x != 0)
      return NM_REFUSE(s, line, "$MODEL: equilibrium compartments are not supported");
    if (ncomp && (x < 1 || x > NM_MAX_CMT)) return NM_WRONG(s, line, "$MODEL: found %g compartments", x);
    if (ncomp) count = (int)x;
  }
  for (; s->ncmt < count; s->cmt[s->ncmt].name = "") s->ncmt++;
  return DP_OK;
}

/* ---- $ABBREVIATED, $ESTIMATION ---- */

static dp_status read_abbr(nm_stream *s, const nm_line *item, int n) {
  words w = words_of(s, item, n);
  for (;;) {
    DP_TRY(next_word(&w));
    if (!w.word) return DP_OK;
    if (!short_for(w.word, "REPLACE", 4)) {
      if (short_for(w.word, "DECLARE", 4) || short_for(w.word, "FUNCTION", 4) || short_for(w.word, "VECTOR", 4))
        return NM_REFUSE(s, w.line, "$ABBREVIATED %s is not supported", w.word);
      DP_TRY(skip_value(&w));
      continue;
    }
    char from[64] = "", to[64] = "";
    bool right = false, good = true;
    while (*w.p && *w.p != ';') {
      char c = upper(*w.p++);
      char *side = right ? to : from;
      size_t len = strlen(side);
      if (c == '=' && !right)
        right = true;
      else if (!blank(c) || c == ',') {
        good = good && len + 1 < sizeof from && c != ',' && c != ':';
        if (len + 1 < sizeof from) side[len] = c, side[len + 1] = 0;
      }
    }
    if (!good || !right || !*from || !*to || s->nabbr >= DPI_COUNT(s->abbr))
      return NM_REFUSE(s, w.line, "$ABBREVIATED REPLACE: expected one NAME = one value (lists are not supported)");
    s->abbr[s->nabbr].from = dpi_arena_strdup(s->arena, from);
    s->abbr[s->nabbr].to = dpi_arena_strdup(s->arena, to);
    if (!s->abbr[s->nabbr].from || !s->abbr[s->nabbr].to) return DP_ERR_MEMORY;
    s->nabbr++;
  }
}

static dp_status read_estimation(nm_stream *s, const nm_line *item, int n) {
  words w = words_of(s, item, n);
  int first = n ? item[0].line : 0;
  const char *method = NULL;
  bool laplace = false;
  for (;;) {
    DP_TRY(next_word(&w));
    if (!w.word) break;
    if (short_for(w.word, "LIKELIHOOD", 4) || strcmp(w.word, "-2LL") == 0 || short_for(w.word, "-2LLIKELIHOOD", 4))
      return NM_REFUSE(s, w.line, "$ESTIMATION %s: Y as a likelihood is not supported", w.word);
    if (short_for(w.word, "LAPLACIAN", 4)) laplace = true;
    if (!short_for(w.word, "METHOD", 4)) continue;
    take(&w, '=');
    DP_TRY(next_word(&w));
    method = w.word;
  }
  if (!method) method = laplace ? "LAPLACE" : "0";
  s->method = method;
  if (strcmp(method, "0") == 0 || nm_same(method, "ZERO") || nm_same(method, "FO"))
    return nm_note(s, first, "$ESTIMATION METHOD=%s: there is no first-order method here; fits go by laplace or focei",
                   method);
  return DP_OK;
}

/* ---- which record ---- */

typedef dp_status (*record_fn)(nm_stream *s, const nm_line *item, int n);

static dp_status read_theta(nm_stream *s, const nm_line *item, int n) { return nm_theta_read(s, item, n); }
static dp_status read_omega(nm_stream *s, const nm_line *item, int n) {
  return nm_matrix_read(s, &s->omega, "$OMEGA", item, n);
}
static dp_status read_sigma(nm_stream *s, const nm_line *item, int n) {
  return nm_matrix_read(s, &s->sigma, "$SIGMA", item, n);
}

/* code -1: by `read`; -2: nothing in it matters to a kind; -3: refused */
static const struct {
  const char *name;
  int code;
  record_fn read;
} kinds_of_record[] = {
    {"PROBLEM", -1, NULL},
    {"INPUT", -1, read_input},
    {"INPT", -1, read_input},
    {"DATA", -1, read_data},
    {"INFILE", -1, read_data},
    {"SUBROUTINES", -1, read_subroutines},
    {"SUBS", -1, read_subroutines},
    {"MODEL", -1, read_model},
    {"PK", NM_PK, NULL},
    {"DES", NM_DES, NULL},
    {"ERROR", NM_ERROR, NULL},
    {"PRED", NM_PRED, NULL},
    {"THETA", -1, read_theta},
    {"OMEGA", -1, read_omega},
    {"SIGMA", -1, read_sigma},
    {"ABBREVIATED", -1, read_abbr},
    {"ESTIMATION", -1, read_estimation},
    {"ESTIMATE", -1, read_estimation},
    {"ESTM", -1, read_estimation},
    {"COVARIANCE", -2, NULL},
    {"COVR", -2, NULL},
    {"TABLE", -2, NULL},
    {"SCATTERPLOT", -2, NULL},
    {"SIZES", -2, NULL},
    {"SIMULATION", -2, NULL},
    {"SIMULATE", -2, NULL},
    {"SIML", -2, NULL},
    {"WARNINGS", -2, NULL},
    {"INDEX", -2, NULL},
    {"ETAS", -2, NULL},
    {"PHIS", -2, NULL},
    {"CHAIN", -2, NULL},
    {"RCOV", -2, NULL},
    {"MSFI", -2, NULL},
    {"NONPARAMETRIC", -2, NULL},
    {"DEFAULT", -2, NULL},
    {"OLKJDF", -2, NULL},
    {"SLKJDF", -2, NULL},
    {"TOL", -2, NULL},
    {"MIX", -3, NULL},
    {"PRIOR", -3, NULL},
    {"LEVEL", -3, NULL},
    {"AES", -3, NULL},
    {"AESINITIAL", -3, NULL},
    {"INFN", -3, NULL},
    {"CONTR", -3, NULL},
    {"BIND", -3, NULL},
    {"OMIT", -3, NULL},
    {"INCLUDE", -3, NULL},
    {"SUPER", -3, NULL},
    {"DESIGN", -3, NULL},
    {"THETAI", -3, NULL},
    {"THETAR", -3, NULL},
    {"THETAP", -3, NULL},
    {"THETAPV", -3, NULL},
    {"OMEGAP", -3, NULL},
    {"OMEGAPD", -3, NULL},
    {"SIGMAP", -3, NULL},
    {"SIGMAPD", -3, NULL},
    {"ANNEAL", -3, NULL},
    {"OVARF", -3, NULL},
    {"SVARF", -3, NULL},
    {"TTDF", -3, NULL},
};

/* The record of that name; exact names before abbreviations. -1: none. */
static int find_record(const char *word) {
  for (int i = 0; i < DPI_COUNT(kinds_of_record); i++)
    if (nm_same(word, kinds_of_record[i].name)) return i;
  for (int i = 0; i < DPI_COUNT(kinds_of_record); i++)
    if (short_for(word, kinds_of_record[i].name, 3)) return i;
  return -1;
}

/* Code: comments cut, continued lines joined, empty ones left out. */
static dp_status add_code(nm_stream *s, nm_block *b, const nm_line *item, int n) {
  for (int i = 0; i < n;) {
    dpi_str text;
    dpi_str_init(&text, s->ctx);
    int line = item[i].line;
    for (bool more = true; more && i < n; i++) {
      size_t len = strcspn(item[i].text, ";");
      while (len && blank(item[i].text[len - 1])) len--;
      more = len && item[i].text[len - 1] == '&';
      dpi_str_addn(&text, item[i].text, len - more);
    }
    const char *p = dpi_str_text(&text);
    p += strspn(p, " \t");
    dp_status st = text.failed ? DP_ERR_MEMORY : DP_OK;
    if (st == DP_OK && *p) st = dpi_grow(s->ctx, (void **)&b->item, &b->cap, b->n + 1, sizeof *b->item);
    if (st == DP_OK && *p) {
      b->item[b->n].line = line;
      b->item[b->n].text = dpi_arena_strdup(s->arena, p);
      if (!b->item[b->n++].text) st = DP_ERR_MEMORY;
    }
    dpi_str_release(&text);
    DP_TRY(st);
  }
  return DP_OK;
}

static dp_status read_record(nm_stream *s, const nm_line *item, int n) {
  const char *p = item[0].text + 1;
  size_t len = 0;
  while (letter(p[len])) len++;
  char *word = dpi_arena_strndup(s->arena, p, len);
  nm_line *rest = DPI_ARENA_ARRAY(s->arena, nm_line, n);
  if (!word || !rest) return DP_ERR_MEMORY;
  memcpy(rest, item, sizeof *rest * (size_t)n);
  rest[0].text = p + len;
  int k = len >= 2 ? find_record(word) : -1;
  if (k < 0) return NM_REFUSE(s, item[0].line, "record $%s is not known", word);
  int code = kinds_of_record[k].code;
  const char *name = kinds_of_record[k].name;
  if (code == -3) return NM_REFUSE(s, item[0].line, "record $%s is not supported", name);
  if (code == -2) return DP_OK;
  if (code >= 0) {
    if (!s->block[code].line) s->block[code].line = item[0].line;
    return add_code(s, &s->block[code], rest, n);
  }
  if (kinds_of_record[k].read) return kinds_of_record[k].read(s, rest, n);
  if (s->problem) return NM_REFUSE(s, item[0].line, "a second $PROBLEM is not supported");
  s->problem = rest[0].text + strspn(rest[0].text, " \t");
  return DP_OK;
}

/* The text as lines; a NUL byte ends nothing. */
static dp_status lines_of(nm_stream *s, const char *text, size_t size, nm_line **out, int *n) {
  int count = 1, line = 1;
  if (memchr(text, 0, size)) return NM_WRONG(s, 1, "a NUL byte: this is no text");
  for (size_t i = 0; i < size; i++) count += text[i] == '\n';
  *out = DPI_ARENA_ARRAY(s->arena, nm_line, count);
  if (!*out) return DP_ERR_MEMORY;
  *n = 0;
  for (size_t at = 0; at <= size; line++) {
    size_t len = 0;
    while (at + len < size && text[at + len] != '\n') len++;
    size_t cut = len;
    while (cut && (text[at + cut - 1] == '\r' || text[at + cut - 1] == ' ')) cut--;
    char *copy = dpi_arena_strndup(s->arena, text + at, cut);
    if (!copy) return DP_ERR_MEMORY;
    (*out)[*n].line = line;
    (*out)[(*n)++].text = copy;
    at += len + 1;
  }
  return DP_OK;
}

/* Where a record's line begins, NULL when the line begins none. */
static const char *record_start(const char *text) {
  const char *p = text + strspn(text, " \t");
  if (memcmp(p, "\xEF\xBB\xBF", strlen(p) < 3 ? strlen(p) : 3) == 0 && strlen(p) >= 3) p += 3;
  return *p == '$' ? p : NULL;
}

dp_status nm_records_read(nm_stream *s, const char *text, size_t size) {
  nm_line *line = NULL;
  int n = 0, first = 0;
  DP_TRY(lines_of(s, text, size, &line, &n));
  for (int i = 0; i < n; i++) {
    const char *start = record_start(line[i].text);
    if (start) line[i].text = start;
  }
  while (first < n && line[first].text[0] != '$') {
    const char *p = line[first].text + strspn(line[first].text, " \t\r");
    if (*p && *p != ';') return NM_WRONG(s, line[first].line, "found text before the first record ($PROBLEM)");
    first++;
  }
  for (int a = first, b; a < n; a = b) {
    for (b = a + 1; b < n && line[b].text[0] != '$'; b++) {
    }
    DP_TRY(read_record(s, line + a, b - a));
  }
  return DP_OK;
}
