/* kind_load.c - a kind's folder to a dp_kind: opens the files twin.yaml names, calls the readers in order, keeps the hash.
 *
 *     twin.yaml -> parameters -> population -> covariates -> observables -> controls -> quantities -> reward -> evidence
 *               -> model, composed with all of them -> sim
 *
 * Invariants:
 *   1. a kind is complete and checked, or not returned; its first mistake is named with file and line;
 *   2. the hash covers every file that decides results (evidence, README and patients do not), not where they lie;
 *   3. nothing outside the kind's folder is read.
 */
#include "kind/kind_draft.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---------------------------------------------------------------- files */

/* Part of the hash: which file this is, how long, its bytes. */
static void hash_file(dpi_draft *d, const char *role, const char *text, size_t size) {
  char head[96];
  snprintf(head, sizeof head, "%s %zu\n", role, size);
  dpi_sha256_add(d->hash, head, strlen(head));
  dpi_sha256_add(d->hash, text, size);
}

/* A path in the folder: relative, without "..". */
static bool inside(const char *name) {
  if (!*name || *name == '/') return false;
  for (const char *p = name; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 2 && p[0] == '.' && p[1] == '.') return false;
    p += n + (p[n] == '/');
  }
  return true;
}

/* Path of the file named under key, NULL when none is. */
static dp_status named_path(dpi_draft *d, const char *key, bool required, const char **path) {
  const char *name;
  *path = NULL;
  DP_TRY(dpi_yaml_string(&d->twin, d->twin.root, key, required ? NULL : "", &name));
  if (!*name && !dpi_yaml_get(d->twin.root, key)) return DP_OK;
  if (!inside(name))
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "%s:%d: %s: found '%s', expected the name of a file in the kind's folder",
                    d->twin.source, dpi_yaml_get(d->twin.root, key)->line, key, name);
  *path = dpi_arena_printf(d->arena, "%s/%s", d->kind->dir, name);
  return *path ? DP_OK : DP_ERR_MEMORY;
}

/* One of the files that a control stream became. */
static dp_status control_file(dpi_draft *d, const char *path, char **text, size_t *size) {
  const char *found = dpi_nmtran_text(d->stream, path + strlen(d->kind->dir) + 1);
  if (!found) return dpi_fail(d->ctx, DP_ERR_BUG, "%s: the control stream gave no such file", path);
  *size = strlen(found);
  *text = DPI_NEW_ARRAY(d->ctx, char, *size + 1);
  if (!*text) return DP_ERR_MEMORY;
  memcpy(*text, found, *size);
  return DP_OK;
}

dp_status dpi_draft_file(dpi_draft *d, const char *key, bool required, bool hashed,
                         const char **path, char **text, size_t *size) {
  *text = NULL;
  *size = 0;
  DP_TRY(named_path(d, key, required, path));
  if (!*path) return DP_OK;
  if (!d->stream && !dpi_file_exists(*path))
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s:%d: %s: there is no file '%s'", d->twin.source,
                    dpi_yaml_get(d->twin.root, key)->line, key, *path);
  if (d->stream) DP_TRY(control_file(d, *path, text, size));
  else DP_TRY(dpi_file_read(d->ctx, *path, 16u << 20, text, size));
  if (hashed) hash_file(d, key, *text, *size);
  return DP_OK;
}

dp_status dpi_draft_sheet(dpi_draft *d, const char *key, bool required,
                          const dpi_sheet_column *column, int ncolumn, dpi_sheet *sheet) {
  const char *path;
  char *text;
  size_t size;
  *sheet = (dpi_sheet){.ctx = d->ctx, .arena = d->arena, .column = column, .ncolumn = ncolumn};
  DP_TRY(dpi_draft_file(d, key, required, strcmp(key, "evidence") != 0, &path, &text, &size));
  if (!text) return DP_OK;
  dp_status status = dpi_sheet_open(sheet, d->ctx, d->arena, path, text, size, column, ncolumn);
  dpi_free(d->ctx, text);
  return status;
}

/* ---------------------------------------------------------------- references and units */

dp_status dpi_draft_unit(dpi_draft *d, const char *where, const char *text, dp_unit *out) {
  if (!where) return DP_ERR_MEMORY;
  if (!*text)
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "%s: the unit is missing, expected one in UCUM's notation ('1': none)", where);
  if (*dp_ctx_error(d->ctx)) return dp_unit_parse(d->ctx, text, out);
  dp_status status = dp_unit_parse(d->ctx, text, out);
  if (status == DP_OK) return DP_OK;
  /* the parser does not know the place: say it again with it */
  char found[400];
  snprintf(found, sizeof found, "%s", dp_ctx_error(d->ctx));
  dp_ctx_clear_error(d->ctx);
  return dpi_fail(d->ctx, status, "%s: %s", where, found);
}

dp_status dpi_draft_refer(dpi_draft *d, const char *where, const char *what, const char *word,
                          const char *const *ids, int n, int *out) {
  if (!where) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++)
    if (strcmp(ids[i], word) == 0) return *out = i, DP_OK;
  const char *near = dpi_nearest_word(word, ids, n);
  return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: found '%s', expected %s %s%s%s%s", where, word,
                  strchr("aeiou", *what) ? "an" : "a", what,
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

dp_status dpi_draft_param_ids(dpi_draft *d, const char *const **ids) {
  const char **list = DPI_ARENA_ARRAY(d->arena, const char *, d->kind->nparam + 1);
  if (!list) return DP_ERR_MEMORY;
  for (int i = 0; i < d->kind->nparam; i++) list[i] = d->param[i].id;
  *ids = list;
  return DP_OK;
}

dp_status dpi_draft_quantity_ids(dpi_draft *d, const char *const **ids) {
  const char **list = DPI_ARENA_ARRAY(d->arena, const char *, d->kind->nquantity + 1);
  if (!list) return DP_ERR_MEMORY;
  for (int i = 0; i < d->kind->nquantity; i++) list[i] = d->quantity[i].id;
  *ids = list;
  return DP_OK;
}

/* ---------------------------------------------------------------- twin.yaml */

static dp_status positive(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key,
                          double fallback, double *out) {
  DP_TRY(dpi_yaml_number(doc, map, key, fallback, out));
  if (*out > 0) return DP_OK;
  return dpi_fail(doc->ctx, DP_ERR_INPUT, "%s:%d: %s: expected a number > 0", doc->source,
                  dpi_yaml_get(map, key)->line, key);
}

/* codes: {sex: {male: 0, female: 1}} as the record reader's "sex:male=0,female=1". */
static dp_status read_codes(dpi_draft *d) {
  const dpi_yaml *codes = dpi_yaml_get(d->twin.root, "codes");
  if (!codes) return DP_OK;
  dpi_str text;
  dpi_str_init(&text, d->ctx);
  bool good = codes->type == DPI_YAML_MAP;
  int line = codes->line;
  for (const dpi_yaml *column = codes->first; good && column; column = column->next) {
    line = column->line;
    good = column->type == DPI_YAML_MAP && column->count > 0 && !strpbrk(column->key, ":,;=");
    dpi_str_addf(&text, "%s%s:", text.len ? ";" : "", column->key);
    for (const dpi_yaml *word = column->first; good && word; word = word->next) {
      double value;
      good = word->text && dpi_parse_double(word->text, &value) && !strpbrk(word->key, ":,;=");
      if (good)
        dpi_str_addf(&text, "%s%s=%s", word == column->first ? "" : ",", word->key, word->text);
    }
  }
  d->kind->codes = good && !text.failed ? dpi_arena_strdup(d->arena, dpi_str_text(&text)) : NULL;
  dpi_str_release(&text);
  if (!good)
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s:%d: codes: expected column: {text: number, ...}",
                    d->twin.source, line);
  return d->kind->codes ? DP_OK : DP_ERR_MEMORY;
}

/* discrepancy: {sd: 0.1, timescale: 6, default: off} */
static dp_status read_discrepancy(dpi_draft *d) {
  static const char *const keys[] = {"sd", "timescale", "default"};
  const dpi_yaml *map = dpi_yaml_get(d->twin.root, "discrepancy");
  if (!map) return DP_OK;
  DP_TRY(dpi_yaml_known(&d->twin, map, "discrepancy", keys, DPI_COUNT(keys)));
  DP_TRY(positive(&d->twin, map, "sd", NAN, &d->kind->discrepancy_sd));
  DP_TRY(positive(&d->twin, map, "timescale", NAN, &d->kind->discrepancy_timescale));
  return dpi_yaml_bool(&d->twin, map, "default", false, &d->kind->discrepancy);
}

/* Draws of a belief differ by percents; five right digits of each are plenty, and stepping integrators take half the time. */
#define ENSEMBLE_RTOL 1e-5

static dp_status read_tolerances(dpi_draft *d) {
  static const char *const keys[] = {"relative", "absolute", "ensemble"};
  dp_sim_def def = dp_sim_def_default();
  d->rtol = def.rtol;
  d->atol = def.atol;
  d->rtol_ensemble = ENSEMBLE_RTOL;
  DP_TRY(dpi_yaml_string(&d->twin, d->twin.root, "method", def.method, &d->method));
  DP_TRY(dpi_yaml_string(&d->twin, d->twin.root, "ensemble_method", d->method, &d->method_ensemble));
  const dpi_yaml *map = dpi_yaml_get(d->twin.root, "tolerances");
  if (!map) return DP_OK;
  DP_TRY(dpi_yaml_known(&d->twin, map, "tolerances", keys, DPI_COUNT(keys)));
  DP_TRY(positive(&d->twin, map, "relative", def.rtol, &d->rtol));
  DP_TRY(positive(&d->twin, map, "absolute", def.atol, &d->atol));
  return positive(&d->twin, map, "ensemble", ENSEMBLE_RTOL, &d->rtol_ensemble);
}

/* table: {columns: "ID TIME AMT DV", ignore: "@", drop: "BLQ.EQ.1", keep: "...", dose_compartment: 1, ...} */
static dp_status read_table(dpi_draft *d) {
  static const char *const keys[] = {"columns", "ignore", "drop", "keep", "dose_compartment", "observed_compartment"};
  const dpi_yaml *map = dpi_yaml_get(d->twin.root, "table");
  dp_record_def *t = &d->kind->table;
  *t = dp_record_def_default();
  if (!map) return DP_OK;
  DP_TRY(dpi_yaml_known(&d->twin, map, "table", keys, DPI_COUNT(keys)));
  DP_TRY(dpi_yaml_string(&d->twin, map, "columns", NULL, &t->columns));
  DP_TRY(dpi_yaml_string(&d->twin, map, "ignore", "#", &t->ignore));
  DP_TRY(dpi_yaml_string(&d->twin, map, "drop", "", &t->drop));
  DP_TRY(dpi_yaml_string(&d->twin, map, "keep", "", &t->keep));
  DP_TRY(dpi_yaml_int(&d->twin, map, "dose_compartment", 0, 0, 9999, &t->dose_compartment));
  return dpi_yaml_int(&d->twin, map, "observed_compartment", 0, 0, 9999, &t->observed_compartment);
}

/* kind: letters, digits, _ and -, at most 63 characters. */
static dp_status read_id(dpi_draft *d) {
  DP_TRY(dpi_yaml_string(&d->twin, d->twin.root, "kind", NULL, &d->kind->id));
  const char *id = d->kind->id;
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  size_t n = strlen(id);
  if (n > 0 && n < 64 && strspn(id, allowed) == n && id[0] != '-') return DP_OK;
  return dpi_fail(d->ctx, DP_ERR_INPUT,
                  "%s:%d: kind: found '%s', expected at most 63 letters, digits, _ or -",
                  d->twin.source, dpi_yaml_get(d->twin.root, "kind")->line, id);
}

/* clock: hours that a clock shows at time 0 of a record. */
static dp_status read_clock(dpi_draft *d) {
  const dpi_yaml *node = dpi_yaml_get(d->twin.root, "clock");
  d->kind->clock = NAN;
  if (!node) return DP_OK;
  DP_TRY(dpi_yaml_number(&d->twin, d->twin.root, "clock", 0.0, &d->kind->clock));
  if (d->kind->clock >= 0 && d->kind->clock < 24) return DP_OK;
  return dpi_fail(d->ctx, DP_ERR_INPUT, "%s:%d: clock: expected hours from 0 to less than 24", d->twin.source, node->line);
}

dp_status dpi_draft_twin(dpi_draft *d) {
  static const char *const keys[] = {
      "kind",        "title",      "question",   "intended_use", "people",     "source",
      "time_unit",   "until",      "horizon",    "model",        "parameters", "population",
      "observables", "covariates", "controls",   "quantities",   "reward",     "evidence",
      "patients",    "method",     "ensemble_method", "tolerances", "discrepancy",  "codes",      "table",
      "clock"};
  dp_kind *k = d->kind;
  const dpi_yaml_doc *doc = &d->twin;
  const dpi_yaml *root = doc->root;
  DP_TRY(dpi_yaml_known(doc, root, "twin.yaml", keys, DPI_COUNT(keys)));
  DP_TRY(read_id(d));
  DP_TRY(dpi_yaml_string(doc, root, "title", NULL, &k->title));
  DP_TRY(dpi_yaml_string(doc, root, "question", NULL, &k->question));
  DP_TRY(dpi_yaml_string(doc, root, "intended_use", NULL, &k->intended_use));
  DP_TRY(dpi_yaml_string(doc, root, "people", "", &k->people));
  DP_TRY(dpi_yaml_string(doc, root, "source", "", &k->source));
  DP_TRY(dpi_yaml_string(doc, root, "time_unit", NULL, &k->time_unit));
  const char *where = dpi_arena_printf(d->arena, "%s:%d: time_unit", doc->source,
                                       dpi_yaml_get(root, "time_unit")->line);
  DP_TRY(dpi_draft_unit(d, where, k->time_unit, &d->time_unit));
  double hours;
  if (dp_unit_convert(d->ctx, 1.0, k->time_unit, "h", 0.0, &hours) != DP_OK) {
    dp_ctx_clear_error(d->ctx);
    return dpi_fail(d->ctx, DP_ERR_INPUT, "%s: '%s' is no unit of time", where, k->time_unit);
  }
  DP_TRY(dpi_yaml_number(doc, root, "until", NAN, &k->until));
  DP_TRY(positive(doc, root, "horizon", NAN, &k->horizon));
  DP_TRY(read_clock(d));
  DP_TRY(read_tolerances(d));
  DP_TRY(read_discrepancy(d));
  DP_TRY(read_codes(d));
  DP_TRY(read_table(d));
  DP_TRY(named_path(d, "patients", false, &k->patients));
  if (!k->patients) k->patients = "";
  return DP_OK;
}

/* ---------------------------------------------------------------- a control stream */

static bool plain_file(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The data file that a control stream names, from the stream's folder; "" when it is not there. */
static dp_status control_data(dpi_draft *d, const char *name) {
  const char *dir = d->kind->dir, *slash = strrchr(dir, '/');
  d->kind->patients = "";
  if (!*name) return DP_OK;
  const char *path = *name == '/' || !slash ? name : dpi_arena_printf(d->arena, "%.*s/%s", (int)(slash - dir), dir, name);
  if (!path) return DP_ERR_MEMORY;
  if (plain_file(path)) d->kind->patients = path;
  return DP_OK;
}

/* The kind of a control stream: its files are texts in memory; see format/nmtran_control.h. */
static dp_status open_control(dpi_draft *d) {
  char *text;
  size_t size;
  dpi_nmtran_kind *control = DPI_ARENA_NEW(d->arena, dpi_nmtran_kind);
  if (!control) return DP_ERR_MEMORY;
  DP_TRY(dpi_file_read(d->ctx, d->kind->dir, 1u << 20, &text, &size));
  dp_status status = dpi_nmtran_control(d->ctx, d->arena, text, size, d->kind->dir, control);
  dpi_free(d->ctx, text);
  DP_TRY(status);
  d->stream = control;
  for (int i = 0; i < control->nnote; i++) dpi_log(d->ctx, 1, "%s", control->note[i]);
  return DP_OK;
}

/* ---------------------------------------------------------------- load */

/* Read and parse twin.yaml. */
static dp_status open_twin(dpi_draft *d) {
  d->twin = (dpi_yaml_doc){.ctx = d->ctx, .arena = d->arena};
  d->twin.source = dpi_arena_printf(d->arena, "%s/twin.yaml", d->kind->dir);
  if (!d->twin.source) return DP_ERR_MEMORY;
  if (plain_file(d->kind->dir)) DP_TRY(open_control(d));
  if (!d->stream && !dpi_file_exists(d->twin.source))
    return dpi_fail(d->ctx, DP_ERR_INPUT,
                    "%s: no such file: a kind of twin is a folder with a twin.yaml",
                    d->twin.source);
  char *text;
  size_t size;
  if (d->stream) DP_TRY(control_file(d, d->twin.source, &text, &size));
  else DP_TRY(dpi_file_read(d->ctx, d->twin.source, 1u << 20, &text, &size));
  hash_file(d, "twin", text, size);
  dp_status status = dpi_yaml_parse(&d->twin, text, size);
  dpi_free(d->ctx, text);
  return status;
}

static dp_status read_all(dpi_draft *d) {
  DP_TRY(open_twin(d));
  DP_TRY(dpi_draft_twin(d));
  if (d->stream) DP_TRY(control_data(d, d->stream->data));
  DP_TRY(dpi_draft_parameters(d));
  DP_TRY(dpi_draft_population(d));
  DP_TRY(dpi_draft_covariates(d));
  DP_TRY(dpi_draft_observables(d));
  DP_TRY(dpi_draft_controls(d));
  DP_TRY(dpi_draft_quantities(d));
  DP_TRY(dpi_draft_reward(d));
  DP_TRY(dpi_draft_evidence(d));
  DP_TRY(dpi_draft_compose(d));
  return dpi_draft_evidence_check(d);
}

/* dir without slashes at its end. */
static char *clean_dir(dpi_arena *arena, const char *dir) {
  size_t n = strlen(dir);
  while (n > 1 && dir[n - 1] == '/') n--;
  return dpi_arena_strndup(arena, dir, n);
}

typedef struct load_work {
  dp_ctx *ctx;
  const char *dir;
  const dpi_kind_extra *extra;
  dp_kind **out;
} load_work;

/* dpi_work_fn */
static dp_status load_one(void *user, int i, int worker) {
  (void)i, (void)worker;
  const load_work *w = user;
  dp_ctx *ctx = w->ctx;
  const char *dir = w->dir;
  dp_kind *kind = DPI_NEW(ctx, dp_kind);
  if (!kind) return DP_ERR_MEMORY;
  kind->ctx = ctx;
  dpi_arena_init(&kind->arena, ctx);
  dpi_draft draft = {.ctx = ctx, .kind = kind, .arena = &kind->arena, .extra = w->extra};
  draft.hash = dpi_sha256_create(ctx);
  kind->dir = clean_dir(&kind->arena, dir);
  dp_status status = draft.hash && kind->dir ? read_all(&draft) : DP_ERR_MEMORY;
  if (draft.hash) dpi_sha256_finish(draft.hash, kind->hash);
  dpi_free(ctx, draft.factor);
  if (status != DP_OK) {
    dp_kind_destroy(kind);
    return status;
  }
  *w->out = kind;
  return DP_OK;
}

/* As a loop of one item: messages that the readers say again with their place stay apart from those of other threads. */
dp_status dp_kind_load(dp_ctx *ctx, const char *dir, dp_kind **out) {
  return dpi_kind_load_with(ctx, dir, NULL, out);
}

dp_status dpi_kind_load_with(dp_ctx *ctx, const char *dir, const dpi_kind_extra *extra, dp_kind **out) {
  load_work w = {ctx, dir, extra, out};
  *out = NULL;
  return dpi_parallel_for(ctx, 1, load_one, &w);
}

void dp_kind_destroy(dp_kind *kind) {
  if (!kind) return;
  if (kind->ensemble != kind->sim) dp_sim_destroy(kind->ensemble);
  dp_sim_destroy(kind->sim);
  dp_model_destroy(kind->model);
  dpi_kind_reward_release(kind);
  dpi_arena_release(&kind->arena);
  dpi_free(kind->ctx, kind);
}

const char *dp_kind_id(const dp_kind *kind) { return kind->id; }
const char *dp_kind_title(const dp_kind *kind) { return kind->title; }
const char *dp_kind_question(const dp_kind *kind) { return kind->question; }
const char *dp_kind_dir(const dp_kind *kind) { return kind->dir; }
const char *dp_kind_hash(const dp_kind *kind) { return kind->hash; }
const char *dp_kind_time_unit(const dp_kind *kind) { return kind->time_unit; }
const char *dp_kind_patients(const dp_kind *kind) { return kind->patients; }
double dp_kind_until(const dp_kind *kind) { return kind->until; }
double dp_kind_horizon(const dp_kind *kind) { return kind->horizon; }
const char *dp_kind_parameter_id(const dp_kind *kind, int i) { return kind->param[i].id; }
const char *dp_kind_effect_id(const dp_kind *kind, int i) { return kind->effect[i].id; }
const char *dp_kind_effect_parameter(const dp_kind *kind, int i) { return kind->effect[i].parameter; }
const char *dp_kind_control_id(const dp_kind *kind, int i) { return kind->control[i].id; }
const char *dp_kind_control_unit(const dp_kind *kind, int i) { return kind->control[i].unit; }
const dp_sim *dp_kind_sim(const dp_kind *kind) { return kind->sim; }
