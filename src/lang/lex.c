/* lex.c - floor 3: model text and formulas into words.
 *
 * Words are copied into an arena, so that they stay readable after the text is gone. In Antimony newlines are
 * words, comments are // # and / * * /, strings are "..." or ```...```, and a backslash joins two lines. In tables
 * `...` quotes a name.
 */
#include <string.h>

#include "lang/lang_impl.h"

#define LEX_MAX_TOKENS (1 << 24)

typedef struct lexer {
  dp_ctx *ctx;
  const dpi_lex_def *def;
  const char *s, *end;
  const char *line_start;
  int line;
  dpi_tok *tok;
  int n, cap;
} lexer;

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int column(const lexer *x, const char *at) { return (int)(at - x->line_start) + 1; }

static dp_status lex_fail(const lexer *x, const char *at, const char *found, const char *expected) {
  if (x->def->antimony)
    return dpi_fail(x->ctx, DP_ERR_INPUT, "%s:%d: found %s, expected %s", x->def->where, x->line,
                    found, expected);
  return dpi_fail(x->ctx, DP_ERR_INPUT, "%s: column %d: found %s, expected %s", x->def->where,
                  column(x, at), found, expected);
}

static dp_status put(lexer *x, int kind, const char *from, size_t len, int line) {
  if (x->n >= LEX_MAX_TOKENS)
    return lex_fail(x, from, "a text of too many words", "at most 16 million");
  DP_TRY(dpi_grow(x->ctx, (void **)&x->tok, &x->cap, x->n + 1, sizeof *x->tok));
  dpi_tok t = {.kind = kind, .line = line, .col = column(x, from), .text = ""};
  if (kind == DPI_TOK_ID || kind == DPI_TOK_STRING || kind == DPI_TOK_NUM || kind == DPI_TOK_QUOTED) {
    t.text = dpi_arena_strndup(x->def->arena, from, len);
    if (t.text == NULL) return DP_ERR_MEMORY;
  }
  if (kind == DPI_TOK_NUM && !dpi_parse_double(t.text, &t.num)) {
    char found[64];
    memcpy(found, "'", 2);
    strncat(found, t.text, 40);
    strcat(found, "'");
    return lex_fail(x, from, found, "a number");
  }
  x->tok[x->n++] = t;
  return DP_OK;
}

/* 12  1.5  .5  2.  1e-3; "2e" is the number 2 and the name e */
static const char *number_end(const char *s, const char *end) {
  while (s < end && is_digit(*s)) s++;
  if (s < end && *s == '.') s++;
  while (s < end && is_digit(*s)) s++;
  if (s < end && (*s == 'e' || *s == 'E')) {
    const char *e = s + 1;
    if (e < end && (*e == '+' || *e == '-')) e++;
    if (e < end && is_digit(*e)) {
      while (e < end && is_digit(*e)) e++;
      s = e;
    }
  }
  return s;
}

static bool starts(const lexer *x, const char *word) {
  size_t n = strlen(word);
  return (size_t)(x->end - x->s) >= n && memcmp(x->s, word, n) == 0;
}

static void count_lines(lexer *x, const char *to) {
  for (; x->s < to; x->s++) {
    if (*x->s != '\n') continue;
    x->line++;
    x->line_start = x->s + 1;
  }
}

static const char *find(const lexer *x, const char *from, const char *word) {
  size_t n = strlen(word);
  for (; from + n <= x->end; from++)
    if (memcmp(from, word, n) == 0) return from;
  return NULL;
}

static dp_status lex_string(lexer *x) {
  bool block = starts(x, "```");
  const char *quote = block ? "```" : "\"";
  size_t n = strlen(quote);
  int line = x->line;
  const char *from = x->s + n, *to = find(x, from, quote);
  if (!block && to != NULL && memchr(from, '\n', (size_t)(to - from)) != NULL) to = NULL;
  if (to == NULL)
    return lex_fail(x, x->s, "a text that is not closed",
                    block ? "a closing ```" : "a closing \" in this line");
  DP_TRY(put(x, DPI_TOK_STRING, from, (size_t)(to - from), line));
  count_lines(x, to);
  x->s = to + n;
  return DP_OK;
}

/* `any name` in a formula of a table */
static dp_status lex_quoted(lexer *x) {
  const char *from = x->s + 1, *to = find(x, from, "`");
  if (to == NULL || to == from) return lex_fail(x, x->s, "'`'", "a name and a closing `");
  DP_TRY(put(x, DPI_TOK_QUOTED, from, (size_t)(to - from), x->line));
  count_lines(x, to);
  x->s = to + 1;
  return DP_OK;
}

/* comments and joined lines; *skipped says whether there was one */
static dp_status skip_comment(lexer *x, bool *skipped) {
  *skipped = true;
  if (*x->s == '#' || starts(x, "//")) {
    while (x->s < x->end && *x->s != '\n') x->s++;
    return DP_OK;
  }
  if (starts(x, "/*")) {
    const char *to = find(x, x->s + 2, "*/");
    if (to == NULL) return lex_fail(x, x->s, "a comment that is not closed", "a closing */");
    count_lines(x, to);
    x->s = to + 2;
    return DP_OK;
  }
  if (*x->s == '\\') {
    const char *e = x->s + 1;
    while (e < x->end && (*e == ' ' || *e == '\t' || *e == '\r')) e++;
    if (e < x->end && *e == '\n') {
      count_lines(x, e + 1);
      return DP_OK;
    }
  }
  *skipped = false;
  return DP_OK;
}

static dp_status lex_punctuation(lexer *x) {
  static const struct {
    const char *text;
    int kind;
  } two[] = {{"->", DPI_TOK_ARROW}, {"=>", DPI_TOK_DARROW}, {":=", DPI_TOK_ASSIGN},
             {"<=", DPI_TOK_LE},    {">=", DPI_TOK_GE},     {"==", DPI_TOK_EQ},
             {"!=", DPI_TOK_NE},    {"<>", DPI_TOK_NE},     {"&&", DPI_TOK_AND},
             {"||", DPI_TOK_OR},    {"**", DPI_TOK_POW2}};
  for (int i = 0; i < DPI_COUNT(two); i++) {
    if (!starts(x, two[i].text)) continue;
    DP_TRY(put(x, two[i].kind, x->s, 2, x->line));
    x->s += 2;
    return DP_OK;
  }
  const char *known = x->def->antimony ? "+-*/^%()=<>!,;:'$.{}|&" : "+-*/^%()=<>!,";
  if (*x->s == '\0' || strchr(known, *x->s) == NULL) {
    char found[8] = {'\'', *x->s, '\'', 0};
    bool plain = *x->s >= ' ' && *x->s <= '~';
    return lex_fail(x, x->s, plain ? found : "a character that is not ASCII",
                    "a name, number or operator");
  }
  DP_TRY(put(x, (unsigned char)*x->s, x->s, 1, x->line));
  x->s++;
  return DP_OK;
}

static dp_status lex_word(lexer *x) {
  bool antimony = x->def->antimony;
  const char *s = x->s;
  if (is_letter(*s)) {
    while (s < x->end && (is_letter(*s) || is_digit(*s))) s++;
    DP_TRY(put(x, DPI_TOK_ID, x->s, (size_t)(s - x->s), x->line));
    x->s = s;
    return DP_OK;
  }
  if (is_digit(*s) || (*s == '.' && s + 1 < x->end && is_digit(s[1]))) {
    s = number_end(s, x->end);
    DP_TRY(put(x, DPI_TOK_NUM, x->s, (size_t)(s - x->s), x->line));
    x->s = s;
    return DP_OK;
  }
  if (antimony && (*s == '"' || starts(x, "```"))) return lex_string(x);
  if (!antimony && *s == '`') return lex_quoted(x);
  return lex_punctuation(x);
}

static dp_status lex_all(lexer *x) {
  while (x->s < x->end) {
    char c = *x->s;
    if (c == '\n') {
      if (x->def->antimony) DP_TRY(put(x, DPI_TOK_NEWLINE, x->s, 1, x->line));
      count_lines(x, x->s + 1);
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
      x->s++;
      continue;
    }
    bool skipped = false;
    if (x->def->antimony) DP_TRY(skip_comment(x, &skipped));
    if (!skipped) DP_TRY(lex_word(x));
  }
  return put(x, DPI_TOK_END, x->s, 0, x->line);
}

dp_status dpi_lex(dp_ctx *ctx, const dpi_lex_def *def, dpi_tok **tok, int *ntok) {
  lexer x = {.ctx = ctx,
             .def = def,
             .s = def->text,
             .end = def->text + def->size,
             .line_start = def->text,
             .line = 1};
  if (def->antimony && starts(&x, "\xef\xbb\xbf")) x.s += 3; /* byte order mark */
  dp_status status = lex_all(&x);
  if (status == DP_OK) {
    *tok = DPI_ARENA_ARRAY(def->arena, dpi_tok, x.n);
    if (*tok == NULL) status = DP_ERR_MEMORY;
  }
  if (status == DP_OK) {
    memcpy(*tok, x.tok, (size_t)x.n * sizeof **tok);
    *ntok = x.n;
  }
  dpi_free(ctx, x.tok);
  return status;
}

const char *dpi_tok_say(const dpi_tok *t, char buf[48]) {
  static const char *const two[] = {"'->'", "'=>'", "':='", "'<='", "'>='",
                                    "'=='", "'!='", "'&&'", "'||'", "'**'"};
  if (t->kind == DPI_TOK_END) return "the end";
  if (t->kind == DPI_TOK_NEWLINE) return "the end of the line";
  if (t->kind >= DPI_TOK_ARROW && t->kind <= DPI_TOK_POW2) return two[t->kind - DPI_TOK_ARROW];
  char quote = t->kind == DPI_TOK_STRING ? '"' : t->kind == DPI_TOK_QUOTED ? '`' : '\'';
  buf[0] = quote;
  buf[1] = '\0';
  if (t->kind < 256) {
    buf[1] = (char)t->kind;
    buf[2] = '\0';
  } else {
    strncat(buf, t->text, 40);
  }
  strcat(buf, (char[2]){quote, '\0'});
  return buf;
}
