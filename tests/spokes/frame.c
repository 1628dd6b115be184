/* frame.c - what the four test spokes share: see frame.h. */
#include "frame.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double frame_time(dp_time t) { return (double)t / (double)DP_TICKS; }

void frame_fail(const frame_batch *b, int i, const char *fmt, ...) {
  dpi_member_out *out = &b->def.out[i];
  if (out->status != DP_MEMBER_OK) return;
  va_list args;
  va_start(args, fmt);
  vsnprintf(out->reason, sizeof out->reason, fmt, args);
  va_end(args);
  out->status = DP_MEMBER_FAILED;
  out->fail_time = frame_time(b->m[i].time);
}

/* ---- the spoke ---- */

static int find(const char *const *list, int n, const char *id) {
  for (int k = 0; k < n; k++) {
    if (strcmp(list[k], id) == 0) return k;
  }
  return -1;
}

static dp_status resolve(frame_spoke *s, const dp_sim_def *def) {
  dp_ctx *ctx = s->base.ctx;
  s->ncontrol = def->ncontrol;
  s->nactive = def->nactive;
  s->control_state = DPI_ARENA_ARRAY(&s->arena, int, def->ncontrol);
  s->active_param = DPI_ARENA_ARRAY(&s->arena, int, def->nactive);
  if (!s->control_state || !s->active_param) return DP_ERR_MEMORY;
  for (int c = 0; c < def->ncontrol; c++) {
    const dp_control_def *d = &def->control[c];
    if (d->bioavailability || d->lag || d->rate || d->duration) {
      return dpi_fail(ctx, DP_ERR_UNSUPPORTED,
                      "control '%s': spoke '%s' takes plain doses, no formulas", d->id,
                      s->base.ops->name);
    }
    s->control_state[c] = d->target ? find(s->desc.state_id, s->desc.nstate, d->target) : -1;
    if (s->control_state[c] < 0) {
      return dpi_fail(ctx, DP_ERR_INPUT, "control '%s': target '%s' is no state", d->id,
                      d->target ? d->target : "");
    }
  }
  for (int a = 0; a < def->nactive; a++) {
    s->active_param[a] = find(s->desc.param_id, s->desc.nparam, def->active[a]);
    if (s->active_param[a] < 0) {
      return dpi_fail(ctx, DP_ERR_INPUT, "active parameter '%s': spoke '%s' has none",
                      def->active[a], s->base.ops->name);
    }
  }
  return DP_OK;
}

dp_status frame_create(dp_ctx *ctx, const dp_sim_def *def, const dpi_spoke_ops *slots,
                       const frame_ops *ops, const dpi_spoke_desc *desc, frame_spoke **out) {
  frame_spoke *s = DPI_NEW(ctx, frame_spoke);
  if (!s) return DP_ERR_MEMORY;
  s->base.ops = slots;
  s->base.ctx = ctx;
  s->ops = ops;
  s->desc = *desc;
  dpi_arena_init(&s->arena, ctx);
  dpi_arena_init(&s->tables, ctx);
  dp_status status = resolve(s, def);
  if (status != DP_OK) {
    frame_destroy(&s->base);
    return status;
  }
  *out = s;
  return DP_OK;
}

void frame_destroy(dpi_spoke *spoke) {
  frame_spoke *s = (frame_spoke *)spoke;
  dpi_arena_release(&s->arena);
  dpi_arena_release(&s->tables);
  dpi_free(s->base.ctx, s);
}

const dpi_spoke_desc *frame_describe(const dpi_spoke *spoke) {
  return &((const frame_spoke *)spoke)->desc;
}

/* ---- timelines ---- */

static int by_time(const void *pa, const void *pb) {
  const frame_item *a = pa, *b = pb;
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  if (a->order != b->order) return a->order < b->order ? -1 : 1;
  if (a->pos != b->pos) return a->pos < b->pos ? -1 : 1;
  if (a->repeat != b->repeat) return a->repeat < b->repeat ? -1 : 1;
  return (int)a->ends - (int)b->ends;
}

static int item_count(const dp_member *m) {
  int n = 0;
  for (int k = 0; k < m->ninstant; k++)
    n += (m->instant[k].repeats + 1) * (m->instant[k].type == DP_INFUSE ? 2 : 1);
  return n;
}

static int spread(const frame_spoke *s, const dp_instant *d, int pos, frame_item *item) {
  int n = 0;
  for (int k = 0; k <= d->repeats; k++) {
    bool dose = d->type == DP_ADD || d->type == DP_INFUSE;
    frame_item *i = &item[n++];
    *i = (frame_item){.time = d->time + k * d->interval,
                      .order = d->order,
                      .pos = pos,
                      .repeat = k,
                      .type = d->type,
                      .target = dose ? s->control_state[d->target] : d->target,
                      .amount = d->type == DP_INFUSE ? d->rate : d->amount,
                      .dir = d->dir_amount};
    if (d->type != DP_INFUSE) continue;
    frame_item *end = &item[n++];
    *end = *i;
    end->ends = true;
    end->time += (dp_time)(d->amount / d->rate * (double)DP_TICKS + 0.5);
  }
  return n;
}

static void make_items(const frame_spoke *s, const dp_member *m, frame_member *f) {
  f->nitem = 0;
  for (int k = 0; k < m->ninstant; k++)
    f->nitem += spread(s, &m->instant[k], k, f->item + f->nitem);
  qsort(f->item, (size_t)f->nitem, sizeof *f->item, by_time);
  for (int e = 0; e < f->nitem; e++) {
    if (!f->item[e].ends) continue;
    for (int k = 0; k < e; k++) {
      const frame_item *a = &f->item[k];
      if (!a->ends && a->pos == f->item[e].pos && a->repeat == f->item[e].repeat)
        f->item[e].begin = k;
    }
  }
}

static dp_status refuse(const frame_batch *b, const dp_member *m) {
  for (int k = 0; k < m->ninstant && b->spoke->ops->refuse; k++)
    DP_TRY(b->spoke->ops->refuse(b, &m->instant[k]));
  return DP_OK;
}

/* ---- batches ---- */

/* One block: members, their items, parameters and numbers. */
static dp_status make_memory(frame_batch *b) {
  size_t nparam = (size_t)b->spoke->desc.nparam,
         nx = (size_t)b->spoke->ops->nx(b->spoke, b->def.ndir), items = 0;
  size_t n = (size_t)b->def.n;
  for (int i = 0; i < b->def.n; i++) items += (size_t)item_count(&b->def.member[i]);
  char *p = dpi_alloc(
      b->ctx, n * sizeof *b->m + items * sizeof(frame_item) + n * (nparam + nx) * sizeof(double));
  if (!p) return DP_ERR_MEMORY;
  b->memory = p;
  b->m = (frame_member *)p;
  frame_item *item = (frame_item *)(p + n * sizeof *b->m);
  double *number = (double *)(item + items);
  for (int i = 0; i < b->def.n; i++) {
    frame_member *m = &b->m[i];
    m->item = item;
    m->param = number;
    m->x = number + nparam;
    item += item_count(&b->def.member[i]);
    number += nparam + nx;
  }
  return DP_OK;
}

static dp_status begin(frame_batch *b, int i) {
  const dp_member *member = &b->def.member[i];
  frame_member *m = &b->m[i];
  DP_TRY(refuse(b, member));
  make_items(b->spoke, member, m);
  m->time = member->start;
  m->stream = member->stream;
  if (b->spoke->desc.nparam)
    memcpy(m->param, member->param, (size_t)b->spoke->desc.nparam * sizeof(double));
  return b->spoke->ops->begin(b, i);
}

dp_status frame_open(const dpi_spoke *spoke, const dpi_batch_def *def, dpi_batch **out) {
  frame_batch *b = DPI_NEW(spoke->ctx, frame_batch);
  if (!b) return DP_ERR_MEMORY;
  b->spoke = (const frame_spoke *)spoke;
  b->ctx = spoke->ctx;
  b->def = *def;
  dp_status status = make_memory(b);
  for (int i = 0; i < def->n && status == DP_OK; i++) status = begin(b, i);
  if (status != DP_OK) {
    frame_close((dpi_batch *)b);
    return status;
  }
  *out = (dpi_batch *)b;
  return DP_OK;
}

void frame_close(dpi_batch *batch) {
  frame_batch *b = (frame_batch *)batch;
  for (int i = 0; b->m && b->spoke->ops->more_free && i < b->def.n; i++)
    b->spoke->ops->more_free(b, i);
  dpi_free(b->ctx, b->memory);
  dpi_free(b->ctx, b);
}

/* ---- walking ---- */

static void flow(frame_batch *b, int i, dp_time to) {
  frame_member *m = &b->m[i];
  if (to <= m->time) return;
  b->spoke->ops->flow(b, i, to);
  m->time = to;
}

static void give_row(frame_batch *b, int i) {
  dpi_member_out *out = &b->def.out[i];
  size_t width = (size_t)b->spoke->desc.nsignal, row = (size_t)out->ndone * width;
  double *dvalue = out->dvalue ? out->dvalue + row * (size_t)b->def.ndir : NULL;
  b->spoke->ops->give(b, i, out->value + row, dvalue);
  for (size_t s = 0; s < width; s++) {
    if (isfinite(out->value[row + s])) continue;
    frame_fail(b, i, "signal '%s' is not finite", b->spoke->desc.signal_id[s]);
    return;
  }
  out->ndone++;
}

static void do_item(frame_batch *b, int i) {
  frame_member *m = &b->m[i];
  int k = m->next++;
  b->spoke->ops->act(b, i, k);
}

static void walk(frame_batch *b, int i, dp_time to) {
  frame_member *m = &b->m[i];
  const dp_member *member = &b->def.member[i];
  dpi_member_out *out = &b->def.out[i];
  if (m->stream != member->stream) {
    m->stream = member->stream;
    if (b->spoke->ops->restream) b->spoke->ops->restream(b, i);
  }
  while (out->status == DP_MEMBER_OK && b->broken == DP_OK) {
    const frame_item *item =
        m->next < m->nitem && m->item[m->next].time <= to ? &m->item[m->next] : NULL;
    const dp_output_time *row = out->ndone < member->nout && member->out[out->ndone].time <= to
                                    ? &member->out[out->ndone]
                                    : NULL;
    if (!item && !row) break;
    bool instant = item && (!row || item->time < row->time ||
                            (item->time == row->time && item->order <= row->order));
    flow(b, i, instant ? item->time : row->time);
    if (out->status != DP_MEMBER_OK || b->broken != DP_OK) break;
    if (instant)
      do_item(b, i);
    else
      give_row(b, i);
  }
  if (out->status == DP_MEMBER_OK && b->broken == DP_OK) flow(b, i, to);
}

dp_status frame_advance(dpi_batch *batch, dp_time to) {
  frame_batch *b = (frame_batch *)batch;
  for (int i = 0; i < b->def.n && b->broken == DP_OK; i++) walk(b, i, to);
  return b->broken;
}

/* ---- save, load, fork ---- */

dp_status frame_save(const dpi_batch *batch, int i, dpi_str *bytes) {
  const frame_batch *b = (const frame_batch *)batch;
  const frame_member *m = &b->m[i];
  int64_t head[] = {m->next, m->time, (int64_t)m->stream};
  dpi_str_addn(bytes, (const char *)head, sizeof head);
  dpi_str_addn(bytes, (const char *)m->param, (size_t)b->spoke->desc.nparam * sizeof(double));
  dpi_str_addn(bytes, (const char *)m->x,
               (size_t)b->spoke->ops->nx(b->spoke, b->def.ndir) * sizeof(double));
  if (b->spoke->ops->more_save) b->spoke->ops->more_save(b, i, bytes);
  return DP_OK;
}

dp_status frame_load(dpi_batch *batch, int i, const void *bytes, size_t size) {
  frame_batch *b = (frame_batch *)batch;
  frame_member *m = &b->m[i];
  const char *p = bytes;
  int64_t head[3];
  size_t nparam = (size_t)b->spoke->desc.nparam * sizeof(double);
  size_t nx = (size_t)b->spoke->ops->nx(b->spoke, b->def.ndir) * sizeof(double);
  size_t fixed = sizeof head + nparam + nx;
  bool exact = !b->spoke->ops->more_load;
  if (size < fixed || (exact && size != fixed)) {
    return dpi_fail(b->ctx, DP_ERR_INPUT, "spoke '%s': %zu bytes of state, expected %zu",
                    b->spoke->base.ops->name, size, fixed);
  }
  memcpy(head, p, sizeof head);
  if (head[0] < 0 || head[0] > m->nitem) {
    return dpi_fail(b->ctx, DP_ERR_INPUT, "spoke '%s': state at instant %lld of %d",
                    b->spoke->base.ops->name, (long long)head[0], m->nitem);
  }
  m->next = (int)head[0];
  m->time = head[1];
  m->stream = (uint64_t)head[2];
  if (nparam) memcpy(m->param, p + sizeof head, nparam);
  memcpy(m->x, p + sizeof head + nparam, nx);
  return exact ? DP_OK : b->spoke->ops->more_load(b, i, p + fixed, size - fixed);
}

dp_status frame_fork(const dpi_batch *from, int member, dpi_batch *to, int member_to) {
  const frame_batch *a = (const frame_batch *)from;
  frame_batch *b = (frame_batch *)to;
  const frame_member *f = &a->m[member];
  frame_member *t = &b->m[member_to];
  t->next = f->next;
  t->time = f->time;
  t->stream = f->stream;
  if (a->spoke->desc.nparam)
    memcpy(t->param, f->param, (size_t)a->spoke->desc.nparam * sizeof(double));
  memcpy(t->x, f->x, (size_t)a->spoke->ops->nx(a->spoke, a->def.ndir) * sizeof(double));
  return DP_OK;
}
