/* antimony.c - floor 3: Antimony text to a model. Finds the blocks of the file, chooses the main model and reads it.
 *
 * Antimony is the model language of the tellurium project (L. Smith et al., Bioinformatics 25:2452, 2009); what a text
 * means was checked against libAntimony 3. The main model is the last one marked with `*`; else what stands outside all
 * models, when that is more than annotations; else the last model.
 */
#include <string.h>

#include "lang/antimony/antimony_impl.h"

bool dpi_ant_word(const dpi_tok *t, const char *word) {
  return t->kind == DPI_TOK_ID && strcmp(t->text, word) == 0;
}

ant_info *dpi_ant_info(ant_reader *r, int sym) {
  int before = r->cap_info;
  if (dpi_grow(r->ctx, (void **)&r->info, &r->cap_info, sym + 1, sizeof *r->info) != DP_OK)
    return NULL;
  if (r->cap_info > before)
    memset(r->info + before, 0, (size_t)(r->cap_info - before) * sizeof *r->info);
  return &r->info[sym];
}

static dp_status fail_at(const ant_reader *r, int pos, dp_status status, const char *what) {
  char buf[48];
  const dpi_tok *t = &r->p.tok[pos];
  return dpi_fail(r->ctx, status, "%s:%d: found %s, expected %s", r->source, t->line,
                  dpi_tok_say(t, buf), what);
}

/* ---- blocks ---- */
static bool at_statement(const dpi_tok *tok, int i) {
  return i == 0 || tok[i - 1].kind == DPI_TOK_NEWLINE || tok[i - 1].kind == ';' ||
         dpi_ant_word(&tok[i - 1], "end");
}

static bool begins_block(const dpi_tok *tok, int i) {
  if (!at_statement(tok, i) || tok[i].kind != DPI_TOK_ID) return false;
  if (tok[i + 1].kind != DPI_TOK_ID && tok[i + 1].kind != '*') return false;
  /* model notes "...", model creator.name "..." */
  if (tok[i + 1].kind == DPI_TOK_ID &&
      (tok[i + 2].kind == DPI_TOK_STRING || tok[i + 2].kind == '.'))
    return false;
  return dpi_ant_word(&tok[i], "model") || dpi_ant_word(&tok[i], "module") ||
         dpi_ant_word(&tok[i], "function");
}

/* header: model *name(a, b). *pos: behind it */
static dp_status read_header(ant_reader *r, int *pos, ant_block *b) {
  const dpi_tok *tok = r->p.tok;
  int i = *pos;
  b->header = i;
  b->function = dpi_ant_word(&tok[i++], "function");
  if (!b->function && tok[i].kind == '*') {
    b->star = true;
    i++;
  }
  if (tok[i].kind != DPI_TOK_ID) return fail_at(r, i, DP_ERR_INPUT, "a name");
  b->name = tok[i++].text;
  /* exported files have names such as p38/MK2-model here: only the first word is kept */
  while (!b->function && tok[i].kind != '(' && tok[i].kind != DPI_TOK_NEWLINE &&
         tok[i].kind != DPI_TOK_END) {
    if (tok[i - 1].kind == DPI_TOK_ID && tok[i].kind == DPI_TOK_ID) break; /* model m x = 3 end */
    i++;
  }
  if (tok[i].kind == '(') {
    while (tok[i].kind != ')' && tok[i].kind != DPI_TOK_END) i++;
    if (tok[i].kind != ')') return fail_at(r, i, DP_ERR_INPUT, "')'");
    i++;
  } else if (b->function) {
    return fail_at(r, i, DP_ERR_INPUT, "'(' with the arguments of the function");
  }
  *pos = i;
  return DP_OK;
}

static dp_status find_end(ant_reader *r, int *pos, ant_block *b) {
  const dpi_tok *tok = r->p.tok;
  int i = *pos;
  b->from = i;
  while (tok[i].kind != DPI_TOK_END && !dpi_ant_word(&tok[i], "end")) {
    if (begins_block(tok, i)) break;
    i++;
  }
  if (!dpi_ant_word(&tok[i], "end"))
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: %s '%s' is not closed, expected 'end'", r->source,
                    tok[b->header].line, b->function ? "function" : "model", b->name);
  b->to = i;
  *pos = i + 1;
  return DP_OK;
}

static dp_status find_blocks(ant_reader *r) {
  const dpi_tok *tok = r->p.tok;
  for (int i = 0; tok[i].kind != DPI_TOK_END;) {
    if (!begins_block(tok, i)) {
      if (dpi_ant_word(&tok[i], "end"))
        return fail_at(r, i, DP_ERR_INPUT, "a model or function before it");
      i++;
      continue;
    }
    ant_block b = {0};
    DP_TRY(read_header(r, &i, &b));
    DP_TRY(find_end(r, &i, &b));
    DP_TRY(dpi_grow(r->ctx, (void **)&r->block, &r->cap_block, r->nblock + 1, sizeof *r->block));
    r->block[r->nblock++] = b;
  }
  return DP_OK;
}

/* ---- functions ---- */
static dp_status add_function(ant_reader *r, const ant_block *b) {
  const dpi_tok *tok = r->p.tok;
  int i = b->header + 3, most = b->from - i;
  dpi_func f = {.name = b->name, .body = tok + b->from, .nbody = b->to - b->from};
  f.arg_name = DPI_ARENA_ARRAY(&r->arena, const char *, most > 0 ? most : 1);
  if (f.arg_name == NULL) return DP_ERR_MEMORY;
  while (tok[i].kind != ')') {
    if (f.narg > 0 && tok[i++].kind != ',') return fail_at(r, i - 1, DP_ERR_INPUT, "',' or ')'");
    if (tok[i].kind != DPI_TOK_ID) return fail_at(r, i, DP_ERR_INPUT, "the name of an argument");
    f.arg_name[f.narg++] = tok[i++].text;
  }
  DP_TRY(dpi_grow(r->ctx, (void **)&r->func, &r->cap_func, r->nfunc + 1, sizeof *r->func));
  r->func[r->nfunc++] = f;
  return DP_OK;
}

static dp_status add_functions(ant_reader *r) {
  for (int i = 0; i < r->nblock; i++)
    if (r->block[i].function) DP_TRY(add_function(r, &r->block[i]));
  r->p.func = r->func;
  r->p.nfunc = r->nfunc;
  return DP_OK;
}

/* ---- units: words that may stand after a number ---- */
static dp_status find_units(ant_reader *r) {
  const dpi_tok *tok = r->p.tok;
  for (int i = 0; tok[i].kind != DPI_TOK_END; i++)
    if (at_statement(tok, i) && dpi_ant_word(&tok[i], "unit") && tok[i + 1].kind == DPI_TOK_ID)
      DP_TRY(dpi_map_put(&r->units, tok[i + 1].text, 1));
  return DP_OK;
}

static bool is_unit(void *user, const char *word) {
  static const char *const known[] = {
      "ampere",  "becquerel", "candela",   "celsius", "coulomb", "dimensionless", "farad",
      "gram",    "gray",      "henry",     "hertz",   "item",    "joule",         "katal",
      "kelvin",  "kilogram",  "liter",     "litre",   "lumen",   "lux",           "meter",
      "metre",   "mole",      "newton",    "ohm",     "pascal",  "radian",        "second",
      "siemens", "sievert",   "steradian", "tesla",   "volt",    "watt",          "weber"};
  const ant_reader *r = user;
  if (dpi_map_get(&r->units, word) > 0) return true;
  size_t n = strlen(word);
  for (int i = 0; i < DPI_COUNT(known); i++) {
    size_t k = strlen(known[i]);
    if (strncmp(word, known[i], k) == 0 && (n == k || (n == k + 1 && word[k] == 's'))) return true;
  }
  return false;
}

/* ---- the main model ---- */
static int block_at(const ant_reader *r, int pos) {
  for (int i = 0; i < r->nblock; i++)
    if (r->block[i].header == pos) return i;
  return -1;
}

/* does anything but annotations stand outside all blocks? */
static bool has_top_level(const ant_reader *r) {
  const dpi_tok *tok = r->p.tok;
  int i = 0;
  while (tok[i].kind != DPI_TOK_END) {
    int b = block_at(r, i);
    if (b >= 0) {
      i = r->block[b].to + 1;
    } else if (tok[i].kind == DPI_TOK_NEWLINE || tok[i].kind == ';') {
      i++;
    } else {
      if (!dpi_ant_is_annotation(r, i)) return true;
      i = dpi_ant_statement_end(r, i);
    }
  }
  return false;
}

static int main_block(const ant_reader *r) {
  int last = -1, star = -1;
  for (int i = 0; i < r->nblock; i++) {
    if (r->block[i].function) continue;
    last = i;
    if (r->block[i].star) star = i;
  }
  if (star >= 0) return star;
  return last >= 0 && has_top_level(r) ? -1 : last;
}

static void reader_release(ant_reader *r) {
  dpi_free(r->ctx, r->block);
  dpi_free(r->ctx, r->func);
  dpi_free(r->ctx, r->info);
  dpi_free(r->ctx, r->reaction);
  dpi_free(r->ctx, r->term);
  dpi_map_release(&r->units);
  dpi_arena_release(&r->arena);
}

static dp_status read_main(ant_reader *r, const char *text, size_t size, int ntok) {
  int main = main_block(r);
  DP_TRY(dpi_model_create(r->ctx, main >= 0 ? r->block[main].name : "main", r->source, &r->m));
  dpi_sha256_hex(text, size, r->m->hash);
  r->p.m = r->m;
  r->p.pos = main >= 0 ? r->block[main].from : 0;
  r->stop = main >= 0 ? r->block[main].to : ntok - 1;
  DP_TRY(dpi_ant_statements(r));
  return dpi_ant_build(r);
}

static dp_status read_text(ant_reader *r, const char *text, size_t size) {
  dpi_tok *tok = NULL;
  int ntok = 0;
  dpi_lex_def def = {
      .arena = &r->arena, .text = text, .size = size, .where = r->source, .antimony = true};
  DP_TRY(dpi_lex(r->ctx, &def, &tok, &ntok));
  r->p = (dpi_parser){.tok = tok,
                      .where = r->source,
                      .antimony = true,
                      .use_new = true,
                      .budget = 50000000L,
                      .is_unit = is_unit,
                      .user = r};
  DP_TRY(find_blocks(r));
  DP_TRY(add_functions(r));
  DP_TRY(find_units(r));
  return read_main(r, text, size, ntok);
}

dp_status dpi_antimony_read(dp_ctx *ctx, const char *text, size_t size, const char *source,
                            dp_model **out) {
  ant_reader r = {.ctx = ctx, .source = source};
  dpi_arena_init(&r.arena, ctx);
  dpi_map_init(&r.units, ctx);
  dp_status status = read_text(&r, text, size);
  reader_release(&r);
  if (status != DP_OK) {
    dp_model_destroy(r.m);
    return status;
  }
  *out = r.m;
  return DP_OK;
}
