/* petab_read.c - floor 3: the order of reading a PEtab problem, its memory, and errors one by one or all of them.
 *
 *     grouping file -> parameters -> for each group: mapping, observables, conditions, experiments, measurements
 *
 * A group is all of a version 2 problem, or one entry of version 1's list `problems`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/petab/petab_impl.h"

/* ---- memory and messages ---- */

dp_status petab_memory(dpi_petab *p) {
  return dpi_fail(p->ctx, DP_ERR_MEMORY, "%s: out of memory", p->path ? p->path : "petab");
}

dp_status petab_fail(dpi_petab *p, const dpi_petab_place *place, dp_status status, const char *fmt, ...) {
  char text[600];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  bool column = place->column && *place->column;
  return dpi_fail(p->ctx, status, "%s:%d: %s%s%s%s", place->file, place->line, column ? "column " : "",
                  column ? place->column : "", column ? ": " : "", text);
}

void petab_add_issue(dpi_petab_issues *issues, dp_status status, const char *text) {
  if (issues->n == DPI_COUNT(issues->item)) return;
  const char *copy = dpi_arena_strdup(&issues->arena, text);
  if (copy) issues->item[issues->n++] = (dpi_petab_issue){status, copy};
}

dp_status petab_note(petab_reader *r, dp_status status) {
  if (!r->issues || (status != DP_ERR_INPUT && status != DP_ERR_UNSUPPORTED && status != DP_ERR_IO)) return status;
  petab_add_issue(r->issues, status, dp_ctx_error(r->ctx));
  dp_ctx_clear_error(r->ctx);
  return DP_OK;
}

dp_status dpi_petab_create(dp_ctx *ctx, const char *path, int version, dpi_petab **out) {
  *out = NULL;
  dpi_petab *p = DPI_NEW(ctx, dpi_petab);
  if (!p) return DP_ERR_MEMORY;
  p->ctx = ctx;
  p->version = version;
  dpi_arena_init(&p->arena, ctx);
  p->own = DPI_ARENA_NEW(&p->arena, struct petab_private);
  p->path = dpi_arena_strdup(&p->arena, path);
  p->id = "";
  if (p->own) dpi_map_init(&p->own->names, ctx);
  static const dpi_petab_place nowhere = {"", 0, ""};
  int time;
  dp_status status = p->own && p->path ? petab_name(p, "time", 4, &nowhere, &time) : petab_memory(p);
  if (status == DP_OK) {
    p->name[time].kind = DPI_PETAB_TIME;
    *out = p;
  } else {
    dpi_petab_destroy(p);
  }
  return status;
}

void dpi_petab_destroy(dpi_petab *p) {
  if (!p) return;
  if (p->own) dpi_map_release(&p->own->names);
  dpi_free(p->ctx, p->name);
  dpi_free(p->ctx, p->parameter);
  dpi_free(p->ctx, p->observable);
  dpi_free(p->ctx, p->experiment);
  dpi_free(p->ctx, p->measurement);
  dpi_free(p->ctx, (void *)p->note);
  dpi_arena_release(&p->arena);
  dpi_free(p->ctx, p);
}

dp_status petab_name(dpi_petab *p, const char *id, size_t n, const dpi_petab_place *place, int *out) {
  const char *copy = dpi_arena_strndup(&p->arena, id, n);
  if (!copy) return petab_memory(p);
  *out = dpi_map_get(&p->own->names, copy);
  if (*out >= 0) return DP_OK;
  DP_TRY(dpi_grow(p->ctx, (void **)&p->name, &p->own->cap_name, p->nname + 1, sizeof *p->name));
  DP_TRY(dpi_map_put(&p->own->names, copy, p->nname));
  p->name[p->nname] =
      (dpi_petab_name){.id = copy, .model_id = copy, .kind = DPI_PETAB_MODEL, .index = -1, .place = *place};
  *out = p->nname++;
  return DP_OK;
}

/* ---- files and cells ---- */

dp_status petab_load(petab_reader *r, const char *path, char **data, size_t *size) {
  *data = NULL;
  if (r->def->load)
    DP_TRY(r->def->load(r->def->user, r->ctx, path, data, size));
  else
    DP_TRY(dpi_file_read(r->ctx, path, PETAB_FILE_SIZE, data, size));
  uint64_t n = *size;
  unsigned char length[8];
  for (int i = 0; i < 8; i++) length[i] = (unsigned char)(n >> (8 * i));
  dpi_sha256_add(r->hash, length, sizeof length);
  dpi_sha256_add(r->hash, *data, *size);
  return DP_OK;
}

dpi_petab_place petab_place(const petab_sheet *s, int row, const char *column) {
  return (dpi_petab_place){s->file, row < 0 ? s->t->header_line : dpi_table_line(s->t, row), column};
}

const char *petab_cell(const petab_sheet *s, int row, int column) { return dpi_table_cell(s->t, row, column); }

/* "", and what programs that write tables put for nothing */
bool petab_empty(const char *cell) {
  return *cell == '\0' || strcmp(cell, "nan") == 0 || strcmp(cell, "NaN") == 0 || strcmp(cell, "NA") == 0;
}

dp_status petab_cell_id(petab_sheet *s, int row, int column, const char *label, const char **out) {
  dpi_petab *p = s->r->p;
  const char *cell = petab_cell(s, row, column);
  dpi_petab_place place = petab_place(s, row, label);
  if (*cell == '\0') return petab_fail(p, &place, DP_ERR_INPUT, "the cell is empty, expected an identifier");
  if (!petab_valid_id(cell))
    return petab_fail(p, &place, DP_ERR_INPUT,
                      "'%.80s' is no identifier: letters, digits and underscores, not beginning with a digit", cell);
  if (petab_reserved(cell))
    return petab_fail(p, &place, DP_ERR_INPUT, "'%s' is a word of PEtab's own and cannot name anything", cell);
  *out = dpi_arena_strdup(&p->arena, cell);
  return *out ? DP_OK : petab_memory(p);
}

dp_status petab_split(dpi_petab *p, const char *cell, const char ***out, int *n) {
  *n = 0;
  *out = NULL;
  while (*cell == ' ') cell++;
  if (petab_empty(cell)) return DP_OK;
  int most = 1;
  for (const char *c = cell; *c; c++) most += *c == ';';
  const char **part = DPI_ARENA_ARRAY(&p->arena, const char *, most);
  if (!part) return petab_memory(p);
  for (const char *from = cell; *n < most; (*n)++) {
    size_t length = strcspn(from, ";");
    const char *next = from + length + 1;
    while (length > 0 && *from == ' ') from++, length--;
    while (length > 0 && from[length - 1] == ' ') length--;
    part[*n] = dpi_arena_strndup(&p->arena, from, length);
    if (!part[*n]) return petab_memory(p);
    from = next;
  }
  *out = part;
  return DP_OK;
}

static dp_status read_rows(petab_sheet *s, petab_head head, petab_row row, void *columns) {
  DP_TRY(head(s, columns));
  for (int i = 0; i < s->t->nrow; i++) DP_TRY(petab_note(s->r, row(s, i, columns)));
  return DP_OK;
}

/* The end of the row that begins at s (its line end or the end of all), and how many tabs separate its cells. */
static const char *row_end(const char *s, const char *end, int *ntab) {
  bool quoted = s < end && *s == '"';
  for (*ntab = 0; s < end; s++) {
    if (quoted && *s == '"' && s[-1] != '\t') quoted = false;
    if (quoted) continue;
    if (*s == '\n' || *s == '\r') break;
    if (*s != '\t') continue;
    (*ntab)++;
    quoted = s + 1 < end && s[1] == '"';
  }
  return s;
}

/* Programs leave out empty cells at the end of a row: here they are put back. */
static dp_status fill_rows(petab_reader *r, const char *data, size_t size, dpi_str *out) {
  const char *s = data, *end = data + size;
  int header = -1, ntab;
  if (size > (size_t)INT32_MAX)
    return dpi_fail(r->ctx, DP_ERR_UNSUPPORTED, "%s: a table of more than 2 GiB", r->p->path);
  for (const char *to; s < end; s = to) {
    to = row_end(s, end, &ntab);
    dpi_str_addn(out, s, (size_t)(to - s));
    bool comment = *s == '#' || s == to;
    if (header < 0 && !comment) header = ntab;
    for (; !comment && ntab > 0 && ntab < header; ntab++) dpi_str_add(out, "\t");
    for (; to < end && (*to == '\n' || *to == '\r'); to++) dpi_str_addn(out, to, 1);
  }
  return out->failed ? petab_memory(r->p) : DP_OK;
}

static dp_status sheet_table(petab_sheet *s, const char *data, size_t size) {
  dpi_str text;
  dpi_str_init(&text, s->r->ctx);
  dp_status status = fill_rows(s->r, data, size, &text);
  if (status == DP_OK) status = dpi_table_read(s->r->ctx, dpi_str_text(&text), text.len, s->file, '\t', &s->t);
  dpi_str_release(&text);
  return status;
}

dp_status petab_sheet_read(petab_reader *r, const char *path, petab_head head, petab_row row, void *columns) {
  char *data = NULL;
  size_t size = 0;
  petab_sheet s = {.r = r, .file = path};
  DP_TRY(petab_note(r, petab_load(r, path, &data, &size)));
  if (!data) return DP_OK; /* noted */
  dp_status status = sheet_table(&s, data, size);
  dpi_free(r->ctx, data);
  if (status == DP_OK) status = read_rows(&s, head, row, columns);
  dpi_table_destroy(s.t);
  return petab_note(r, status);
}

dp_status petab_sheet_read_all(petab_reader *r, const petab_files *files, petab_head head, petab_row row,
                               void *columns) {
  for (int i = 0; i < files->n; i++) DP_TRY(petab_sheet_read(r, files->path[i], head, row, columns));
  return DP_OK;
}

/* ---- the mapping table ---- */

typedef struct mapping_columns {
  int petab, model;
} mapping_columns;

static dp_status mapping_head(petab_sheet *s, void *columns) {
  mapping_columns *c = columns;
  DP_TRY(dpi_table_need(s->t, "petabEntityId", &c->petab));
  return dpi_table_need(s->t, "modelEntityId", &c->model);
}

/* A row without a model entity is an annotation. */
static dp_status mapping_row(petab_sheet *s, int row, void *columns) {
  const mapping_columns *c = columns;
  dpi_petab *p = s->r->p;
  const char *id, *model = petab_cell(s, row, c->model);
  int name;
  DP_TRY(petab_cell_id(s, row, c->petab, "petabEntityId", &id));
  if (petab_empty(model) || strcmp(id, model) == 0) return DP_OK;
  dpi_petab_place place = petab_place(s, row, "petabEntityId");
  DP_TRY(petab_name(p, id, strlen(id), &place, &name));
  if (strcmp(p->name[name].model_id, id) != 0)
    return petab_fail(p, &place, DP_ERR_INPUT, "'%s' is mapped twice; leave one of the rows", id);
  if (strchr(model, '`'))
    return petab_fail(p, &place, DP_ERR_INPUT,
                      "the model entity '%.80s' contains a backquote, which no id of a model has", model);
  p->name[name].model_id = dpi_arena_strdup(&p->arena, model);
  return p->name[name].model_id ? DP_OK : petab_memory(p);
}

dp_status petab_read_mapping(petab_reader *r, const petab_group *g) {
  mapping_columns c;
  return petab_sheet_read_all(r, &g->mapping, mapping_head, mapping_row, &c);
}

/* ---- all of it ---- */

static void reader_maps(petab_reader *r, void (*fn)(dpi_map *map, dp_ctx *ctx)) {
  dpi_map *maps[] = {&r->observables, &r->conditions, &r->courses, &r->experiments, &r->cells};
  for (int i = 0; i < DPI_COUNT(maps); i++) fn(maps[i], r->ctx);
}

static void release_map(dpi_map *map, dp_ctx *ctx) {
  (void)ctx;
  dpi_map_release(map);
}

void petab_group_clear(petab_reader *r) {
  reader_maps(r, release_map);
  reader_maps(r, dpi_map_init);
  for (int i = 0; i < r->ncondition; i++) dpi_free(r->ctx, r->condition[i].change);
  for (int i = 0; i < r->ncourse; i++) dpi_free(r->ctx, r->course[i].step);
  r->ncondition = r->ncourse = r->ncell = 0;
  r->first_observable = r->p->nobservable;
}

static dp_status read_group(petab_reader *r, const petab_group *g) {
  petab_group_clear(r);
  DP_TRY(petab_read_mapping(r, g));
  DP_TRY(petab_read_observables(r, g));
  DP_TRY(petab_read_conditions(r, g));
  DP_TRY(petab_read_experiments(r, g));
  DP_TRY(petab_read_measurements(r, g));
  return petab_note_group(r);
}

static dp_status read_problem(petab_reader *r) {
  char *text = NULL;
  size_t size = 0;
  DP_TRY(petab_load(r, r->p->path, &text, &size));
  dp_status status = petab_grouping(r, text, size);
  dpi_free(r->ctx, text);
  DP_TRY(status);
  DP_TRY(petab_read_parameters(r));
  for (int i = 0; i < r->ngroup; i++) DP_TRY(read_group(r, &r->group[i]));
  return DP_OK;
}

/* Measurements of each experiment by time, then by row. */
typedef struct when {
  double time;
  int row;
} when;

static int compare_when(const void *a, const void *b) {
  const when *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

static dp_status sort_measurements(dpi_petab *p) {
  when *order = DPI_NEW_ARRAY(p->ctx, when, p->nmeasurement > 0 ? p->nmeasurement : 1);
  int *start = DPI_NEW_ARRAY(p->ctx, int, p->nexperiment + 1);
  int *all = DPI_ARENA_ARRAY(&p->arena, int, p->nmeasurement > 0 ? p->nmeasurement : 1);
  dp_status status = order && start && all ? DP_OK : petab_memory(p);
  if (status == DP_OK) {
    for (int i = 0; i < p->nmeasurement; i++) p->experiment[p->measurement[i].experiment].nmeasurement++;
    for (int e = 0; e < p->nexperiment; e++) start[e + 1] = start[e] + p->experiment[e].nmeasurement;
    for (int i = 0; i < p->nmeasurement; i++)
      order[start[p->measurement[i].experiment]++] = (when){p->measurement[i].time, i};
    for (int e = 0, from = 0; e < p->nexperiment; from += p->experiment[e++].nmeasurement) {
      int n = p->experiment[e].nmeasurement;
      qsort(order + from, (size_t)n, sizeof *order, compare_when); /* n > 0 */
      p->experiment[e].measurement = all + from;
      for (int i = 0; i < n; i++) all[from + i] = order[from + i].row;
    }
  }
  dpi_free(p->ctx, order);
  dpi_free(p->ctx, start);
  return status;
}

static dp_status read_all(dp_ctx *ctx, const dpi_petab_def *def, dpi_petab_issues *issues, dpi_petab **out) {
  petab_reader r = {.ctx = ctx, .def = def, .issues = issues};
  DP_TRY(dpi_petab_create(ctx, def->path, 0, &r.p));
  reader_maps(&r, dpi_map_init);
  dpi_map_init(&r.models, ctx);
  r.hash = dpi_sha256_create(ctx);
  dp_status status = r.hash ? petab_note(&r, read_problem(&r)) : petab_memory(r.p);
  if (r.hash) dpi_sha256_finish(r.hash, r.p->hash);
  if (status == DP_OK && !(issues && issues->n > 0)) status = sort_measurements(r.p);
  petab_group_clear(&r);
  reader_maps(&r, release_map);
  dpi_map_release(&r.models);
  dpi_free(ctx, r.group);
  dpi_free(ctx, r.condition);
  dpi_free(ctx, r.course);
  dpi_free(ctx, r.cell);
  if (status != DP_OK) {
    dpi_petab_destroy(r.p);
    r.p = NULL;
  }
  *out = r.p;
  return status;
}

dp_status dpi_petab_read(dp_ctx *ctx, const dpi_petab_def *def, dpi_petab **out) {
  *out = NULL;
  return read_all(ctx, def, NULL, out);
}

dp_status dpi_petab_lint(dp_ctx *ctx, const dpi_petab_def *def, dpi_petab_issues *out) {
  dpi_petab *p = NULL;
  out->n = 0;
  dpi_arena_init(&out->arena, ctx);
  dp_ctx_clear_error(ctx);
  dp_status status = read_all(ctx, def, out, &p);
  dpi_petab_destroy(p);
  if (status != DP_OK) dpi_petab_issues_release(out);
  return status;
}

void dpi_petab_issues_release(dpi_petab_issues *issues) {
  dpi_arena_release(&issues->arena);
  issues->n = 0;
}
