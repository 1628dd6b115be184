/* petab_notes.c - floor 3: what PEtab allows, and yet is probably not meant: things nobody uses, columns that are
 * nearly one of PEtab's, nominal values outside the bounds. A note refuses nothing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/petab/petab_impl.h"

enum { MOST_NOTES = 50 };

dp_status petab_remark(dpi_petab *p, const dpi_petab_place *place, const char *fmt, ...) {
  char what[300];
  va_list args;
  if (p->nnote >= MOST_NOTES) return DP_OK;
  va_start(args, fmt);
  vsnprintf(what, sizeof what, fmt, args);
  va_end(args);
  const bool column = place->column && place->column[0];
  const char *text = dpi_arena_printf(&p->arena, "%s:%d: %s%s%s%s", place->file, place->line, column ? "column " : "",
                                      column ? place->column : "", column ? ": " : "", what);
  if (!text) return petab_memory(p);
  DP_TRY(dpi_grow(p->ctx, (void **)&p->note, &p->own->cap_note, p->nnote + 1, sizeof *p->note));
  p->note[p->nnote++] = text;
  return DP_OK;
}

dp_status petab_note_columns(petab_sheet *s, const char *const *words, int n) {
  for (int k = 0; k < s->t->ncolumn; k++) {
    const char *id = s->t->column[k];
    bool known = false;
    for (int i = 0; i < n; i++) known = known || strcmp(id, words[i]) == 0;
    const char *near = known ? NULL : dpi_nearest_word(id, words, n);
    if (!near || dpi_table_column(s->t, near) >= 0) continue;
    const char *copy = dpi_arena_strdup(&s->r->p->arena, id);
    if (!copy) return petab_memory(s->r->p);
    const dpi_petab_place place = petab_place(s, -1, copy);
    DP_TRY(petab_remark(s->r->p, &place, "this column is not read; did you mean '%s'?", near));
  }
  return DP_OK;
}

dp_status petab_note_group(petab_reader *r) {
  dpi_petab *p = r->p;
  for (int i = 0; i < r->ncourse; i++)
    if (!r->course[i].used)
      DP_TRY(petab_remark(p, &r->course[i].place, "no measurement uses experiment '%.80s'", r->course[i].id));
  for (int i = 0; i < r->ncondition; i++)
    if (!r->condition[i].used)
      DP_TRY(petab_remark(
          p, &r->condition[i].place,
          p->version == 1 ? "no measurement uses condition '%.80s'" : "no experiment uses condition '%.80s'",
          r->condition[i].id));
  bool *seen = DPI_NEW_ARRAY(p->ctx, bool, p->nobservable + 1);
  if (!seen) return petab_memory(p);
  for (int i = 0; i < p->nmeasurement; i++) seen[p->measurement[i].observable] = true;
  dp_status st = DP_OK;
  for (int i = r->first_observable; i < p->nobservable && st == DP_OK; i++)
    if (!seen[i])
      st = petab_remark(p, &p->observable[i].place, "observable '%.80s' is not measured", p->observable[i].id);
  dpi_free(p->ctx, seen);
  return st;
}

static void uses(const dpi_petab_expr *e, bool *used) {
  if (e) dpi_petab_uses(e, used);
}

dp_status dpi_petab_note_unused(dpi_petab *p, dpi_petab_known known, void *user) {
  bool *used = DPI_NEW_ARRAY(p->ctx, bool, p->nname + 1);
  dp_status st = used ? DP_OK : petab_memory(p);
  for (int i = 0; i < p->nobservable && st == DP_OK; i++) {
    uses(p->observable[i].formula, used);
    uses(p->observable[i].noise_formula, used);
  }
  for (int i = 0; i < p->nmeasurement && st == DP_OK; i++) {
    const dpi_petab_observable *o = &p->observable[p->measurement[i].observable];
    for (int k = 0; k < o->nplaceholder; k++) uses(p->measurement[i].override[k], used);
    for (int k = 0; k < o->nnoise_placeholder; k++) uses(p->measurement[i].noise_override[k], used);
  }
  for (int e = 0; e < p->nexperiment && st == DP_OK; e++)
    for (int k = 0; k < p->experiment[e].nperiod; k++)
      for (int c = 0; c < p->experiment[e].period[k].nchange; c++)
        uses(p->experiment[e].period[k].change[c].value, used);
  for (int i = 0; i < p->nparameter && st == DP_OK; i++) {
    const dpi_petab_parameter *q = &p->parameter[i];
    bool in = used[q->name];
    for (int m = 0; m < p->nmodel && !in; m++) in = known(user, m, p->name[q->name].model_id);
    if (in) continue;
    st = q->estimate
             ? petab_remark(
                   p, &q->place,
                   "neither the model nor a table uses '%.80s': the data can say nothing of it; correct its id or "
                   "remove the row",
                   q->id)
             : petab_remark(p, &q->place, "neither the model nor a table uses '%.80s'", q->id);
  }
  dpi_free(p->ctx, used);
  return st;
}
