/* nmtran_control.c - floor 3: a control stream to the texts of a kind; see nmtran_control.h.
 *
 *     nm_records_read -> nm_advan_setup -> nm_code_run -> nm_kind_write
 */
#include "format/nmtran_control.h"

#include <string.h>

#include "format/nmtran/nm_control.h"

const char *dpi_nmtran_text(const dpi_nmtran_kind *kind, const char *name) {
  for (int i = 0; i < kind->nfile; i++)
    if (strcmp(kind->file[i].name, name) == 0) return kind->file[i].text;
  return NULL;
}

/* The kind's id: the file's name without folders and ending; letters, digits and _ only. */
static const char *id_of(dpi_arena *arena, const char *source) {
  const char *base = strrchr(source, '/');
  char id[64];
  size_t n = 0;
  base = base ? base + 1 : source;
  if ((*base >= '0' && *base <= '9') || *base == '_') n = 1, id[0] = 'm';
  for (; *base && *base != '.' && n + 1 < sizeof id; base++) {
    char c = *base;
    bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    id[n++] = good ? c : '_';
  }
  id[n] = 0;
  return dpi_arena_strdup(arena, n ? id : "control");
}

static dp_status read_all(nm_stream *s, const char *text, size_t size, dpi_nmtran_kind *out) {
  DP_TRY(nm_records_read(s, text, size));
  if (!s->problem) return NM_WRONG(s, 1, "found no $PROBLEM: this is no control stream");
  if (s->ncolumn == 0) return NM_WRONG(s, 1, "there is no $INPUT");
  DP_TRY(nm_advan_setup(s));
  if (!s->block[NM_PK].line) return NM_WRONG(s, 1, "there is no $PK");
  if (!s->block[NM_ERROR].line) return NM_WRONG(s, 1, "there is no $ERROR");
  DP_TRY(nm_code_run(s));
  const char *id = id_of(s->arena, s->source);
  if (!id) return DP_ERR_MEMORY;
  return nm_kind_write(s, id, out);
}

dp_status dpi_nmtran_control(dp_ctx *ctx, dpi_arena *arena, const char *text, size_t size, const char *source,
                             dpi_nmtran_kind *out) {
  *out = (dpi_nmtran_kind){.data = ""};
  nm_stream *s = DPI_ARENA_NEW(arena, nm_stream);
  if (!s) return DP_ERR_MEMORY;
  s->ctx = ctx;
  s->arena = arena;
  s->source = source;
  nm_graph_init(&s->g, ctx);
  dpi_map_init(&s->var_index, ctx);
  for (int i = 0; i <= NM_MAX_CMT; i++) s->cmt[i].name = "";
  dp_status st = read_all(s, text, size, out);
  if (st == DP_OK && s->data) out->data = s->data;
  const char **note = DPI_ARENA_ARRAY(arena, const char *, s->nnote + 1);
  if (note && s->nnote) memcpy(note, s->note, sizeof *note * (size_t)s->nnote);
  if (st == DP_OK && !note) st = DP_ERR_MEMORY;
  out->note = note;
  out->nnote = note ? s->nnote : 0;
  for (int i = 0; i < NM_NBLOCK; i++) dpi_free(ctx, s->block[i].item);
  dpi_free(ctx, s->var);
  dpi_free(ctx, s->after_pk);
  dpi_free(ctx, s->note);
  dpi_map_release(&s->var_index);
  nm_graph_release(&s->g);
  return st;
}

/* ---- what looks like one ---- */

bool dpi_nmtran_is_control(const char *text, size_t size) {
  static const char *const first[] = {"PRO", "SIZ", "INP", "ABB", "DAT", "SUB"};
  size_t at = 0;
  if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) at = 3;
  while (at < size) {
    while (at < size && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n')) at++;
    if (at >= size || text[at] != ';') break;
    while (at < size && text[at] != '\n') at++;
  }
  if (at + 4 > size || text[at] != '$') return false;
  for (int i = 0; i < DPI_COUNT(first); i++) {
    bool same = true;
    for (int k = 0; k < 3; k++) same = same && (text[at + 1 + (size_t)k] & ~32) == first[i][k];
    if (same) return true;
  }
  return false;
}
