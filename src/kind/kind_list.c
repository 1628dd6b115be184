/* kind_list.c - kinds of twin on disk: which there are, where one is, a new one from the template.
 *
 * A folder is a kind when it holds a twin.yaml and its name begins with neither '_' nor '.'.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kind/kind_draft.h"

/* ---------------------------------------------------------------- folders */

static bool is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_kind(const char *dir) {
  char path[1200];
  int n = snprintf(path, sizeof path, "%s/twin.yaml", dir);
  return n > 0 && n < (int)sizeof path && dpi_file_exists(path);
}

/* A control stream by its name's ending. */
static bool is_control(const char *path) {
  static const char *const endings[] = {".ctl", ".mod", ".nmctl", ".con", ".CTL", ".MOD"};
  const char *dot = strrchr(path, '.');
  for (int i = 0; dot && i < DPI_COUNT(endings); i++)
    if (strcmp(dot, endings[i]) == 0) return dpi_file_exists(path) && !is_folder(path);
  return false;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in a folder, sorted, without "." and "..". */
static dp_status folder_names(dp_ctx *ctx, dpi_arena *arena, const char *dir, char ***out, int *n) {
  DIR *d = opendir(dir);
  if (!d) return dpi_fail(ctx, DP_ERR_IO, "%s: cannot read the folder: %s", dir, strerror(errno));
  char **names = NULL;
  int cap = 0;
  dp_status status = DP_OK;
  *n = 0;
  for (struct dirent *e; status == DP_OK && (e = readdir(d));) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    status = dpi_grow(ctx, (void **)&names, &cap, *n + 1, sizeof *names);
    if (status != DP_OK) break;
    names[*n] = dpi_arena_strdup(arena, e->d_name);
    if (!names[(*n)++]) status = DP_ERR_MEMORY;
  }
  closedir(d);
  char **copy = status == DP_OK ? DPI_ARENA_ARRAY(arena, char *, *n) : NULL;
  if (copy && *n) memcpy(copy, names, sizeof *names * (size_t)*n);
  dpi_free(ctx, names);
  if (!copy) return status == DP_OK ? DP_ERR_MEMORY : status;
  qsort(copy, (size_t)*n, sizeof *copy, by_text);
  *out = copy;
  return DP_OK;
}

/* ---------------------------------------------------------------- list */

typedef struct entry_work {
  dp_ctx *ctx;
  const char *name; /* of the folder */
  dp_kind_entry *entry;
} entry_work;

/* Id and title from a kind's twin.yaml; a file that cannot be read is listed under its folder's name, and why. A dpi_work_fn
 * of a loop of one item, so that the reason is this file's own message and no older one. */
static dp_status read_entry(void *user, int i, int worker) {
  (void)i, (void)worker;
  const entry_work *w = user;
  dp_ctx *ctx = w->ctx;
  dp_kind_entry *entry = w->entry;
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  char path[1100], *text = NULL;
  size_t size = 0;
  const char *id = "", *title = "";
  snprintf(path, sizeof path, "%s/twin.yaml", entry->dir);
  dpi_yaml_doc doc = {.ctx = ctx, .arena = &arena, .source = path};
  dp_status status = dpi_file_read(ctx, path, 1u << 20, &text, &size);
  if (status == DP_OK) status = dpi_yaml_parse(&doc, text, size);
  if (status == DP_OK) status = dpi_yaml_string(&doc, doc.root, "kind", NULL, &id);
  if (status == DP_OK) status = dpi_yaml_string(&doc, doc.root, "title", NULL, &title);
  if (status == DP_OK) {
    snprintf(entry->id, sizeof entry->id, "%s", id);
    snprintf(entry->title, sizeof entry->title, "%s", title);
  } else if (status != DP_ERR_MEMORY) {
    snprintf(entry->id, sizeof entry->id, "%.63s", w->name);
    snprintf(entry->title, sizeof entry->title, "(cannot be read: %.120s)", dp_ctx_error(ctx));
    status = DP_OK;
  }
  dpi_free(ctx, text);
  dpi_arena_release(&arena);
  return status;
}

typedef struct entries {
  dp_kind_entry *list;
  int n, cap;
} entries;

/* The kinds in one folder. */
static dp_status list_folder(dp_ctx *ctx, dpi_arena *arena, const char *dir, entries *out) {
  char **names;
  int n;
  DP_TRY(folder_names(ctx, arena, dir, &names, &n));
  for (int i = 0; i < n; i++) {
    char path[1024];
    int len = snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    if (names[i][0] == '_' || names[i][0] == '.' || len >= (int)sizeof path || !is_kind(path))
      continue;
    DP_TRY(dpi_grow(ctx, (void **)&out->list, &out->cap, out->n + 1, sizeof *out->list));
    dp_kind_entry *entry = &out->list[out->n];
    memset(entry, 0, sizeof *entry);
    memcpy(entry->dir, path, (size_t)len + 1);
    entry_work w = {ctx, names[i], entry};
    DP_TRY(dpi_parallel_for(ctx, 1, read_entry, &w));
    out->n++;
  }
  return DP_OK;
}

static int by_id(const void *a, const void *b) {
  const dp_kind_entry *x = a, *y = b;
  int order = strcmp(x->id, y->id);
  return order ? order : strcmp(x->dir, y->dir);
}

dp_status dp_kind_list(dp_ctx *ctx, const char *const *dirs, int ndir, dp_kind_entry **out,
                       int *n) {
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  entries found = {0};
  dp_status status = DP_OK;
  for (int i = 0; i < ndir && status == DP_OK; i++)
    if (is_folder(dirs[i])) status = list_folder(ctx, &arena, dirs[i], &found);
  dpi_arena_release(&arena);
  *out = NULL;
  *n = 0;
  if (status != DP_OK) {
    dpi_free(ctx, found.list);
    return status;
  }
  if (found.n) qsort(found.list, (size_t)found.n, sizeof *found.list, by_id);
  *out = found.list;
  *n = found.n;
  return DP_OK;
}

void dp_kind_list_free(dp_ctx *ctx, dp_kind_entry *entries) { dpi_free(ctx, entries); }

/* ---------------------------------------------------------------- find */

static dp_status copy_path(dp_ctx *ctx, const char *path, char *out, size_t size) {
  int n = snprintf(out, size, "%s", path);
  return n >= 0 && (size_t)n < size ? DP_OK
                                    : dpi_fail(ctx, DP_ERR_INPUT, "%s: the path is too long", path);
}

/* "no kind 'x'; did you mean 'y'?" */
static dp_status not_found(dp_ctx *ctx, const char *name, const dp_kind_entry *list, int n) {
  const char **ids = DPI_NEW_ARRAY(ctx, const char *, n);
  if (!ids) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) ids[i] = list[i].id;
  const char *near = dpi_nearest_word(name, ids, n);
  dpi_fail(ctx, DP_ERR_INPUT, "there is no kind of twin '%s'%s%s%s", name,
           near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  dpi_free(ctx, ids);
  return DP_ERR_INPUT;
}

dp_status dp_kind_find(dp_ctx *ctx, const char *name, const char *const *dirs, int ndir, char *path,
                       size_t size) {
  if (is_kind(name) || is_control(name)) return copy_path(ctx, name, path, size);
  for (int d = 0; d < ndir; d++) {
    dp_kind_entry *list;
    int n;
    DP_TRY(dp_kind_list(ctx, &dirs[d], 1, &list, &n));
    int at = 0;
    while (at < n && strcmp(list[at].id, name) != 0) at++;
    dp_status status = at < n ? copy_path(ctx, list[at].dir, path, size) : DP_OK;
    dp_kind_list_free(ctx, list);
    if (at < n) return status;
  }
  dp_kind_entry *list;
  int n;
  DP_TRY(dp_kind_list(ctx, dirs, ndir, &list, &n));
  dp_status status = not_found(ctx, name, list, n);
  dp_kind_list_free(ctx, list);
  return status;
}

/* ---------------------------------------------------------------- new */

typedef struct copy {
  dp_ctx *ctx;
  dpi_arena *arena;
  const char *from_id, *to_id;
} copy;

static bool word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Text with the template's id replaced by the new one wherever it stands as a whole word. */
static void replace_id(const copy *c, const char *text, size_t size, dpi_str *out) {
  size_t n = strlen(c->from_id);
  for (size_t i = 0; i < size;) {
    bool hit = n <= size - i && memcmp(text + i, c->from_id, n) == 0 &&
               (i == 0 || !word_char(text[i - 1])) && (i + n == size || !word_char(text[i + n]));
    if (hit)
      dpi_str_add(out, c->to_id);
    else
      dpi_str_addn(out, text + i, 1);
    i += hit ? n : 1;
  }
}

static dp_status copy_file(const copy *c, const char *from, const char *to) {
  char *text;
  size_t size;
  DP_TRY(dpi_file_read(c->ctx, from, 16u << 20, &text, &size));
  dpi_str out;
  dpi_str_init(&out, c->ctx);
  replace_id(c, text, size, &out);
  dpi_free(c->ctx, text);
  dp_status status =
      out.failed ? DP_ERR_MEMORY : dpi_file_write(c->ctx, to, dpi_str_text(&out), out.len);
  dpi_str_release(&out);
  return status;
}

/* Folder with everything in it, four levels deep at most; only plain files and folders. */
static dp_status copy_folder(const copy *c, const char *from, const char *to, int depth) {
  char **names;
  int n;
  if (depth > 4) return dpi_fail(c->ctx, DP_ERR_INPUT, "%s: folders nested too deeply", from);
  if (mkdir(to, 0777) != 0)
    return dpi_fail(c->ctx, DP_ERR_IO, "%s: cannot make the folder: %s", to, strerror(errno));
  DP_TRY(folder_names(c->ctx, c->arena, from, &names, &n));
  for (int i = 0; i < n; i++) {
    const char *a = dpi_arena_printf(c->arena, "%s/%s", from, names[i]);
    const char *b = dpi_arena_printf(c->arena, "%s/%s", to, names[i]);
    struct stat st;
    if (!a || !b) return DP_ERR_MEMORY;
    if (lstat(a, &st) != 0) return dpi_fail(c->ctx, DP_ERR_IO, "%s: %s", a, strerror(errno));
    if (S_ISDIR(st.st_mode))
      DP_TRY(copy_folder(c, a, b, depth + 1));
    else if (S_ISREG(st.st_mode))
      DP_TRY(copy_file(c, a, b));
    else
      return dpi_fail(c->ctx, DP_ERR_INPUT, "%s: neither a file nor a folder", a);
  }
  return DP_OK;
}

/* A control stream as the folder of the kind that is read from it. */
static dp_status write_control(const copy *c, const char *from, const char *to) {
  char *text;
  size_t size;
  dpi_nmtran_kind kind;
  if (mkdir(to, 0777) != 0)
    return dpi_fail(c->ctx, DP_ERR_IO, "%s: cannot make the folder: %s", to, strerror(errno));
  DP_TRY(dpi_file_read(c->ctx, from, 1u << 20, &text, &size));
  dp_status status = dpi_nmtran_control(c->ctx, c->arena, text, size, from, &kind);
  dpi_free(c->ctx, text);
  for (int i = 0; i < kind.nfile && status == DP_OK; i++) {
    const char *path = dpi_arena_printf(c->arena, "%s/%s", to, kind.file[i].name);
    dpi_str out;
    dpi_str_init(&out, c->ctx);
    replace_id(c, kind.file[i].text, strlen(kind.file[i].text), &out);
    status = out.failed || !path ? DP_ERR_MEMORY : dpi_file_write(c->ctx, path, dpi_str_text(&out), out.len);
    dpi_str_release(&out);
  }
  return status;
}

/* Take away what copy_folder made; errors are ignored, the first message stands. */
static void remove_folder(const copy *c, const char *dir) {
  char **names;
  int n;
  struct stat st; /* of links themselves: what they point to is not ours */
  if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) return;
  if (folder_names(c->ctx, c->arena, dir, &names, &n) != DP_OK) return;
  for (int i = 0; i < n; i++) {
    const char *path = dpi_arena_printf(c->arena, "%s/%s", dir, names[i]);
    if (!path) return;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
      remove_folder(c, path);
    else
      unlink(path);
  }
  rmdir(dir);
}

/* Copy beside the goal, load the copy as a check, rename. */
static dp_status copy_kind(const copy *c, const char *from, const char *into, const char *goal,
                           bool dry_run) {
  if (dry_run) return DP_OK;
  const char *part = dpi_arena_printf(c->arena, "%s/.%s.part", into, c->to_id);
  if (!part) return DP_ERR_MEMORY;
  remove_folder(c, part); /* left over from an interrupted try */
  dp_kind *kind = NULL;
  dp_status status = is_folder(from) ? copy_folder(c, from, part, 0) : write_control(c, from, part);
  if (status == DP_OK) status = dp_kind_load(c->ctx, part, &kind);
  dp_kind_destroy(kind);
  if (status == DP_OK && rename(part, goal) != 0)
    status = dpi_fail(c->ctx, DP_ERR_IO, "%s: cannot rename: %s", goal, strerror(errno));
  if (status != DP_OK) remove_folder(c, part);
  return status;
}

static dp_status check_new(dp_ctx *ctx, const char *into, const char *id, const char *goal) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
  size_t n = strlen(id);
  bool letter = id[0] >= 'a' && id[0] <= 'z';
  if (!letter || n > 63 || strspn(id, allowed) != n)
    return dpi_fail(
        ctx, DP_ERR_USAGE,
        "'%s': expected an id of lower-case letters, digits and _, beginning with a letter", id);
  if (!is_folder(into)) return dpi_fail(ctx, DP_ERR_IO, "%s: no such folder", into);
  struct stat st;
  if (lstat(goal, &st) == 0) return dpi_fail(ctx, DP_ERR_CONFLICT, "%s: exists already", goal);
  return DP_OK;
}

dp_status dp_kind_new(dp_ctx *ctx, const char *template_dir, const char *into_dir, const char *id,
                      int dry_run) {
  dp_kind *kind;
  DP_TRY(dp_kind_load(ctx, template_dir,
                      &kind)); /* a template that does not load makes no good kind */
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  copy c = {.ctx = ctx, .arena = &arena, .from_id = kind->id, .to_id = id};
  const char *goal = dpi_arena_printf(&arena, "%s/%s", into_dir, id);
  dp_status status = goal ? check_new(ctx, into_dir, id, goal) : DP_ERR_MEMORY;
  if (status == DP_OK) status = copy_kind(&c, kind->dir, into_dir, goal, dry_run != 0);
  dpi_arena_release(&arena);
  dp_kind_destroy(kind);
  return status;
}
