/* antimony_read.c - floor 3: Antimony text to a network. Reads the files, finds their blocks, chooses the main
 * model and reads it.
 *
 * Antimony is the model language of the tellurium project (L. Smith et al., Bioinformatics 25:2452, 2009); what a
 * text means was checked against libAntimony 3. The main model is the last one marked with `*`; else what stands
 * outside all models, when that is more than annotations; else the last model.
 */
#include <string.h>

#include "lang/antimony/antimony_impl.h"

#define MAX_FILES 200
#define MAX_FILE_SIZE (64u << 20)
#define MAX_WORK 30000000L

static dp_status fail_at(const ant_reader *r, const ant_file *f, int pos, const char *what) {
  char buf[48];
  const dpi_tok *t = &f->tok[pos];
  return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: found %s, expected %s", f->path, t->line, dpi_tok_say(t, buf), what);
}

/* ---- blocks ---- */
static bool at_statement(const dpi_tok *tok, int i) {
  return i == 0 || tok[i - 1].kind == DPI_TOK_NEWLINE || tok[i - 1].kind == ';' || dpi_ant_says(&tok[i - 1], "end");
}

static bool begins_block(const dpi_tok *tok, int i) {
  if (!at_statement(tok, i) || tok[i].kind != DPI_TOK_ID) return false;
  if (tok[i + 1].kind != DPI_TOK_ID && tok[i + 1].kind != '*') return false;
  /* model notes "...", model creator.name "..." */
  if (tok[i + 1].kind == DPI_TOK_ID && (tok[i + 2].kind == DPI_TOK_STRING || tok[i + 2].kind == '.')) return false;
  return dpi_ant_says(&tok[i], "model") || dpi_ant_says(&tok[i], "module") || dpi_ant_says(&tok[i], "function");
}

/* header: model *name(a, b). *pos: behind it */
static dp_status read_header(ant_reader *r, const ant_file *f, int *pos, ant_block *b) {
  const dpi_tok *tok = f->tok;
  int i = *pos;
  b->header = i;
  b->function = dpi_ant_says(&tok[i++], "function");
  if (!b->function && tok[i].kind == '*') {
    b->star = true;
    i++;
  }
  if (tok[i].kind != DPI_TOK_ID) return fail_at(r, f, i, "a name");
  b->name = tok[i++].text;
  /* exported files have names such as p38/MK2-model here: only the first word is kept */
  while (!b->function && tok[i].kind != '(' && tok[i].kind != DPI_TOK_NEWLINE && tok[i].kind != DPI_TOK_END) {
    if (tok[i - 1].kind == DPI_TOK_ID && tok[i].kind == DPI_TOK_ID) break; /* model m x = 3 end */
    i++;
  }
  if (tok[i].kind == '(') {
    while (tok[i].kind != ')' && tok[i].kind != DPI_TOK_END) i++;
    if (tok[i].kind != ')') return fail_at(r, f, i, "')'");
    i++;
  } else if (b->function) {
    return fail_at(r, f, i, "'(' with the arguments of the function");
  }
  *pos = i;
  return DP_OK;
}

static dp_status find_end(ant_reader *r, const ant_file *f, int *pos, ant_block *b) {
  const dpi_tok *tok = f->tok;
  int i = *pos;
  b->from = i;
  while (tok[i].kind != DPI_TOK_END && !dpi_ant_says(&tok[i], "end")) {
    if (begins_block(tok, i)) break;
    i++;
  }
  if (!dpi_ant_says(&tok[i], "end"))
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: %s '%s' is not closed, expected 'end'", f->path, tok[b->header].line,
                    b->function ? "function" : "model", b->name);
  b->to = i;
  *pos = i + 1;
  return DP_OK;
}

static dp_status add_file(ant_reader *r, const char *path, const char *text, size_t size, bool sbml, int *index);

/* ---- imported files ---- */
static bool is_import(const dpi_tok *tok, int i) {
  return at_statement(tok, i) && dpi_ant_says(&tok[i], "import") && tok[i + 1].kind == DPI_TOK_STRING;
}

/* beside the file that imports it */
static const char *path_of(ant_reader *r, const char *from, const char *name) {
  const char *slash = strrchr(from, '/');
  if (name[0] == '/' || slash == NULL) return dpi_arena_strdup(&r->arena, name);
  return dpi_arena_printf(&r->arena, "%.*s%s", (int)(slash - from) + 1, from, name);
}

static dp_status import_net(ant_reader *r, const char *path, const char *text, size_t size) {
  const dpi_language *language = dpi_language_of(text, size);
  dpi_net *net = NULL;
  dpi_str out;
  int index;
  if (language == NULL || language == &dpi_language_antimony) return add_file(r, path, text, size, false, &index);
  DP_TRY(language->read(r->ctx, text, size, path, &net));
  dpi_str_init(&out, r->ctx);
  dp_status status = dpi_antimony_write(net, &out);
  if (status == DP_OK && out.failed) status = DP_ERR_MEMORY;
  if (status == DP_OK) status = add_file(r, path, dpi_str_text(&out), out.len, true, &index);
  dpi_str_release(&out);
  dpi_net_destroy(net);
  return status;
}

static dp_status import(ant_reader *r, int file, int pos) {
  const ant_file *f = &r->file_list[file];
  const dpi_tok *t = &f->tok[pos + 1];
  const char *path = path_of(r, f->path, t->text);
  char *text = NULL;
  size_t size = 0;
  if (path == NULL) return DP_ERR_MEMORY;
  for (int i = 0; i < r->nfile_list; i++)
    if (strcmp(r->file_list[i].path, path) == 0) return DP_OK; /* read already */
  if (r->nfile_list >= MAX_FILES)
    return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED, "%s:%d: more than %d imported files", f->path, t->line, MAX_FILES);
  dp_status read = dpi_file_read(r->ctx, path, MAX_FILE_SIZE, &text, &size);
  if (read == DP_ERR_MEMORY) return read;
  dp_ctx_clear_error(r->ctx);
  if (read != DP_OK)
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: the imported file '%s' can't be read", f->path, t->line, path);
  dp_status status = import_net(r, path, text, size);
  dpi_free(r->ctx, text);
  return status;
}

static dp_status find_blocks(ant_reader *r, int file) {
  for (int i = 0; r->file_list[file].tok[i].kind != DPI_TOK_END;) {
    ant_file f = r->file_list[file]; /* the list may move */
    if (is_import(f.tok, i)) {
      DP_TRY(import(r, file, i));
      i += 2;
      continue;
    }
    if (!begins_block(f.tok, i)) {
      if (dpi_ant_says(&f.tok[i], "end")) return fail_at(r, &f, i, "a model or function before it");
      i++;
      continue;
    }
    ant_block b = {.file = file};
    DP_TRY(read_header(r, &f, &i, &b));
    DP_TRY(find_end(r, &f, &i, &b));
    ANT_PUSH(r, block, b);
    r->file_list[file].block[b.header] = r->nblock;
    DP_TRY(dpi_map_put(b.function ? &r->functions : &r->modules, b.name, r->nblock - 1));
  }
  return DP_OK;
}

static dp_status add_file(ant_reader *r, const char *path, const char *text, size_t size, bool sbml, int *index) {
  dpi_tok *tok = NULL;
  int ntok = 0;
  dpi_lex_def def = {.arena = &r->arena, .text = text, .size = size, .where = path, .antimony = true};
  DP_TRY(dpi_lex(r->ctx, &def, &tok, &ntok));
  int *block = DPI_ARENA_ARRAY(&r->arena, int, ntok);
  if (block == NULL) return DP_ERR_MEMORY;
  ANT_PUSH(r, file_list, (ant_file){.path = path, .tok = tok, .ntok = ntok, .block = block, .sbml = sbml});
  *index = r->nfile_list - 1;
  DP_TRY(dpi_ant_find_units(r, &r->file_list[*index]));
  return find_blocks(r, *index);
}

/* ---- functions ---- */
static int count_args(const ant_reader *r, const ant_block *b) {
  const dpi_tok *tok = r->file_list[b->file].tok;
  int n = 0;
  for (int i = b->header + 3; i < b->from; i++) n += tok[i].kind == DPI_TOK_ID;
  return n;
}

static int function_args(void *user, const char *word) {
  const ant_reader *r = user;
  int i = dpi_map_get(&r->functions, word);
  return i < 0 ? -1 : count_args(r, &r->block[i]);
}

static int function_names(void *user, const char **word, int most) {
  const ant_reader *r = user;
  int n = 0;
  for (int i = 0; i < r->nblock && n < most; i++)
    if (r->block[i].function) word[n++] = r->block[i].name;
  return n;
}

static void turn_to(ant_reader *r, int file, int from, int to) {
  r->file = file;
  r->p.tok = r->file_list[file].tok;
  r->p.where = r->file_list[file].path;
  r->p.pos = from;
  r->p.paren = r->p.depth = 0;
  r->stop = to;
}

/* every name in the body is an argument */
typedef struct body_check {
  ant_reader *r;
  const dpi_net_function *f;
} body_check;

static dp_status check_body(void *user, dpi_ast *a) {
  const body_check *c = user;
  if (a->op != DPI_AST_NAME) return DP_OK;
  for (int i = 0; i < c->f->narg; i++)
    if (strcmp(c->f->arg[i], a->name) == 0) return DP_OK;
  return dpi_fail(c->r->ctx, DP_ERR_INPUT, "%s:%d: function '%s' uses '%s', which is not one of its arguments",
                  c->r->p.where, a->line, c->f->id, a->name);
}

static dp_status function_header(ant_reader *r, const ant_block *b, dpi_net_function *f) {
  const ant_file *file = &r->file_list[b->file];
  int i = b->header + 3, most = b->from - i;
  f->line = file->tok[b->header].line;
  f->arg = DPI_ARENA_ARRAY(&r->net->arena, const char *, most > 0 ? most : 1);
  if (f->arg == NULL) return DP_ERR_MEMORY;
  while (file->tok[i].kind != ')') {
    if (file->tok[i].kind == DPI_TOK_NEWLINE) {
      i++;
      continue;
    }
    if (f->narg > 0 && file->tok[i++].kind != ',') return fail_at(r, file, i - 1, "',' or ')'");
    while (file->tok[i].kind == DPI_TOK_NEWLINE) i++;
    if (file->tok[i].kind != DPI_TOK_ID) return fail_at(r, file, i, "the name of an argument");
    f->arg[f->narg] = dpi_net_text(r->net, file->tok[i++].text);
    if (f->arg[f->narg++] == NULL) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

static dp_status add_function(ant_reader *r, const ant_block *b) {
  ant_math body;
  if (r->block + dpi_map_get(&r->functions, b->name) != b) return DP_OK; /* the last of one name counts */
  dpi_net_function *f = dpi_net_add_function(r->net, b->name);
  if (f == NULL) return DP_ERR_MEMORY;
  DP_TRY(function_header(r, b, f));
  turn_to(r, b->file, b->from, b->to);
  r->function = b;
  dpi_ant_skip_newlines(r);
  DP_TRY(dpi_ant_math(r, &body));
  while (r->p.pos < r->stop && (dpi_ant_peek(r)->kind == DPI_TOK_NEWLINE || dpi_ant_peek(r)->kind == ';'))
    dpi_ant_next(r);
  if (r->p.pos != r->stop) return dpi_ant_expected(r, "'end' of the function");
  r->function = NULL;
  f->body = body.ast;
  body_check check = {r, f};
  return dpi_ast_walk(f->body, check_body, &check);
}

static dp_status add_functions(ant_reader *r) {
  for (int i = 0; i < r->nblock; i++)
    if (r->block[i].function) DP_TRY(add_function(r, &r->block[i]));
  return DP_OK;
}

/* ---- the main model ---- */
static int block_at(const ant_reader *r, int file, int pos) { return r->file_list[file].block[pos] - 1; }

/* "m is "name"" and the like: the rest of the statement begins with a word of annotation */
static bool is_annotation(ant_reader *r, int file, int pos) {
  const dpi_tok *tok = r->file_list[file].tok;
  turn_to(r, file, pos, r->file_list[file].ntok - 1);
  if (tok[pos].kind != DPI_TOK_ID) return false;
  r->p.pos = pos + dpi_ant_after_path(r, 0);
  if (r->p.pos >= 1 && tok[r->p.pos - 1].kind == DPI_TOK_ID && r->p.pos - pos > 1 &&
      dpi_ant_is_attribute(tok[r->p.pos - 1].text))
    return true;
  return dpi_ant_is_note(r);
}

/* does anything but annotations stand outside all blocks? */
static bool has_top_level(ant_reader *r, int file) {
  const dpi_tok *tok = r->file_list[file].tok;
  int i = 0;
  while (tok[i].kind != DPI_TOK_END) {
    int b = block_at(r, file, i);
    if (b >= 0) {
      i = r->block[b].to + 1;
    } else if (tok[i].kind == DPI_TOK_NEWLINE || tok[i].kind == ';') {
      i++;
    } else {
      if (!is_import(tok, i) && !is_annotation(r, file, i)) return true;
      i = dpi_ant_statement_end(r, i);
    }
  }
  return false;
}

/* blocks of the main file only: an imported file gives parts */
static int main_block(ant_reader *r, int file) {
  int last = -1, star = -1;
  for (int i = 0; i < r->nblock; i++) {
    if (r->block[i].function || r->block[i].file != file) continue;
    last = i;
    if (r->block[i].star) star = i;
  }
  if (star >= 0) return star;
  return last >= 0 && has_top_level(r, file) ? -1 : last;
}

/* what stands outside the blocks; of the main model's: its annotations */
static dp_status read_outside(ant_reader *r, int file, int main) {
  for (int i = 0; r->file_list[file].tok[i].kind != DPI_TOK_END;) {
    const dpi_tok *tok = r->file_list[file].tok;
    int b = block_at(r, file, i), from = i;
    if (b >= 0) {
      i = r->block[b].to + 1;
      continue;
    }
    if (tok[i].kind == DPI_TOK_NEWLINE || tok[i].kind == ';') {
      i++;
      continue;
    }
    turn_to(r, file, i, r->file_list[file].ntok - 1);
    if (is_import(tok, i)) {
      i += 2;
      continue;
    }
    bool note = main >= 0 && tok[i].kind == DPI_TOK_ID && strcmp(tok[i].text, r->block[main].name) == 0;
    if (main >= 0) {
      i = dpi_ant_statement_end(r, from);
      if (!note || !is_annotation(r, file, from)) continue;
      turn_to(r, file, from + 1, i);
      if (r->p.tok[r->p.pos].kind == '.' && r->p.tok[r->p.pos + 1].kind == DPI_TOK_ID) {
        r->p.pos += 2;
        DP_TRY(dpi_ant_attribute(r, -1, tok[from + 2].text));
      } else {
        DP_TRY(dpi_ant_note(r, -1));
      }
      continue;
    }
    while (tok[i].kind != DPI_TOK_END && block_at(r, file, i) < 0 && !is_import(tok, i)) i++;
    turn_to(r, file, from, i);
    DP_TRY(dpi_ant_run(r));
  }
  return DP_OK;
}

static dp_status read_main(ant_reader *r) {
  int scope, main = main_block(r, 0);
  DP_TRY(dpi_ant_new_scope(r, -1, "", "", &scope));
  const char *name = main >= 0 ? r->block[main].name : "main";
  r->scope_list[0].module = name;
  r->net->id = dpi_net_text(r->net, name);
  if (r->net->id == NULL) return DP_ERR_MEMORY;
  r->scope = 0;
  if (main >= 0) {
    turn_to(r, r->block[main].file, r->block[main].from, r->block[main].to);
    DP_TRY(dpi_ant_run(r));
    DP_TRY(read_outside(r, 0, main));
  } else {
    for (int f = r->nfile_list - 1; f >= 0; f--) /* imported first */
      if (!r->file_list[f].sbml) DP_TRY(read_outside(r, f, -1));
  }
  DP_TRY(dpi_ant_dna(r));
  return dpi_ant_net(r);
}

static dp_status read_text(ant_reader *r, const char *text, size_t size) {
  int file;
  r->p = (dpi_infix){.net = r->net,
                     .antimony = true,
                     .ellipsis = true,
                     .budget = MAX_WORK,
                     .name = dpi_ant_name_node,
                     .function = function_args,
                     .functions = function_names,
                     .unit = dpi_ant_unit_word,
                     .user = r,
                     .where = r->source};
  DP_TRY(add_file(r, r->source, text, size, false, &file));
  DP_TRY(add_functions(r));
  return read_main(r);
}

static void reader_release(ant_reader *r) {
  for (int i = 0; i < r->nscope_list; i++) dpi_map_release(&r->scope_list[i].names);
  void *list[] = {r->file_list, r->block,  r->var,         r->scope_list, r->term, r->reaction, r->assign,
                  r->event,     r->strand, r->interaction, r->relation,   r->note, r->item};
  for (int i = 0; i < DPI_COUNT(list); i++) dpi_free(r->ctx, list[i]);
  dpi_map_release(&r->units);
  dpi_map_release(&r->functions);
  dpi_map_release(&r->modules);
  dpi_arena_release(&r->arena);
}

dp_status dpi_antimony_net(dp_ctx *ctx, const char *text, size_t size, const char *source, dpi_net **out) {
  ant_reader r = {.ctx = ctx, .source = source};
  DP_TRY(dpi_net_create(ctx, source, &r.net));
  dpi_arena_init(&r.arena, ctx);
  dpi_map_init(&r.units, ctx);
  dpi_map_init(&r.functions, ctx);
  dpi_map_init(&r.modules, ctx);
  dp_status status = read_text(&r, text, size);
  reader_release(&r);
  if (status != DP_OK) {
    dpi_net_destroy(r.net);
    return status;
  }
  *out = r.net;
  return DP_OK;
}

dp_status dpi_antimony_read(dp_ctx *ctx, const char *text, size_t size, const char *source, dp_model **out) {
  return dpi_language_model(ctx, &dpi_language_antimony, text, size, source, out);
}

/* any text that is not XML: nothing else marks it */
static bool antimony_is(const char *text, size_t size) {
  size_t i = 0;
  if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) i = 3;
  while (i < size && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r')) i++;
  return i == size || text[i] != '<';
}

const dpi_language dpi_language_antimony = {
    .name = "antimony",
    .help = "Antimony, the text language of the tellurium project",
    .ending = ".ant .txt",
    .is = antimony_is,
    .read = dpi_antimony_net,
    .write = dpi_antimony_write,
};
