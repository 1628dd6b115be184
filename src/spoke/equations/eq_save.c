/* eq_save.c - one member's digital state to another batch, to bytes and back.
 *
 * Bytes: header, then x, S, params, directions, repeats, doses with their directions, scheduled events with theirs,
 * trigger truth, how often laws drew numbers, functionals. They belong to one build and one sim (the sim puts its hash
 * in front); sizes are checked all the same.
 */
#include "spoke/equations/eq_impl.h"

#include <math.h>

#define SAVE_COOKIE 0x65713034u /* "eq04" */

typedef struct header {
  uint32_t cookie;
  int32_t nstate, ndir, nparam, nactive, nevent, nfunctional;
  int32_t begun, next, nrepeat, ndose, ndue;
  uint32_t serial;
  int32_t ndraw, edited;
  uint32_t crew;
  int64_t now;
  double t, longest;
  uint64_t ndrawn, ntie;
} header;

_Static_assert(sizeof(header) == 16 * sizeof(int32_t) + 3 * sizeof(int64_t) + 2 * sizeof(double),
               "header without padding");

enum { SLICES = 13 };

typedef struct slice {
  void *at;
  size_t size;
} slice;

static size_t due_row(const dpi_eq_batch *b) { return (size_t)dpi_eq_due_row(b->spoke, b->def.ndir); }

/* All arrays of a member in their order of saving. */
static int slices(dpi_eq_batch *b, int member, slice out[SLICES]) {
  const dpi_eq_spoke *sp = b->spoke;
  dpi_eq_member *m = &b->m[member];
  const size_t nd = b->def.ndir, d = sizeof(double);
  int n = 0;
  out[n++] = (slice){m->x, d * sp->nstate};
  out[n++] = (slice){m->s, d * sp->nstate * nd};
  out[n++] = (slice){m->param, d * sp->nparam};
  out[n++] = (slice){m->p, d * sp->nactive * nd};
  out[n++] = (slice){m->line.repeat, sizeof(int) * 2 * m->line.nrepeat};
  out[n++] = (slice){m->dose, sizeof(dpi_eq_dose) * m->ndose};
  out[n++] = (slice){m->vec, d * 3 * nd * m->ndose};
  out[n++] = (slice){m->pool.due, sizeof(dpi_due) * m->pool.n};
  out[n++] = (slice){m->pool.vec, d * due_row(b) * m->pool.n};
  out[n++] = (slice){m->truth, (size_t)sp->nevent};
  out[n++] = (slice){m->draw, d * sp->ndraw};
  out[n++] = (slice){m->applied, d * sp->nlaw};
  out[n++] = (slice){b->path + m->path_first, sizeof(dpi_eq_path) * b->def.member[member].nfunctional};
  return n;
}

static header describe(const dpi_eq_batch *b, int member) {
  const dpi_eq_spoke *sp = b->spoke;
  const dpi_eq_member *m = &b->m[member];
  return (header){.cookie = SAVE_COOKIE, .nstate = sp->nstate, .ndir = b->def.ndir, .nparam = sp->nparam,
                  .nactive = sp->nactive, .nevent = sp->nevent, .nfunctional = b->def.member[member].nfunctional,
                  .begun = m->begun, .next = m->line.next, .nrepeat = m->line.nrepeat, .ndose = m->ndose,
                  .ndue = m->pool.n, .serial = m->pool.serial, .ndraw = sp->ndraw, .edited = m->edited,
                  .crew = m->crew, .now = m->now, .t = m->t, .longest = m->longest, .ndrawn = m->ndrawn,
                  .ntie = m->ntie};
}

/* Take the counts over and make room. */
static dp_status receive(dpi_eq_batch *b, int member, const header *h) {
  dp_ctx *ctx = b->spoke->base.ctx;
  const dpi_eq_spoke *sp = b->spoke;
  dpi_eq_member *m = &b->m[member];
  const dp_member *def = &b->def.member[member];
  if (h->cookie != SAVE_COOKIE || h->nstate != sp->nstate || h->ndir != b->def.ndir || h->nparam != sp->nparam ||
      h->nactive != sp->nactive || h->nevent != sp->nevent || h->ndraw != sp->ndraw)
    return dpi_fail(ctx, DP_ERR_INPUT, "saved state: found one of another sim or another number of directions");
  if (h->nfunctional != def->nfunctional || h->next < 0 || h->next > def->ninstant || h->nrepeat < 0 ||
      h->nrepeat > def->ninstant || h->ndose < 0 || h->ndue < 0)
    return dpi_fail(ctx, DP_ERR_INPUT, "saved state: found one of a member with another timeline or other functionals");
  m->fresh = false;
  m->begun = h->begun != 0;
  m->line.next = h->next;
  m->pool.serial = h->serial;
  m->edited = h->edited != 0;
  m->crew = h->crew < DPI_EQ_NCREW && sp->plan[h->crew] ? (uint8_t)h->crew : DPI_EQ_ALONE;
  m->ndrawn = h->ndrawn;
  m->ntie = h->ntie;
  m->now = h->now;
  m->t = h->t;
  m->longest = h->longest > 0 ? h->longest : 0;
  m->line.nrepeat = m->ndose = m->pool.n = 0;
  DP_TRY(dpi_eq_member_doses(b, m, h->ndose));
  DP_TRY(dpi_event_pool_room(ctx, &m->pool, h->ndue, (int)due_row(b)));
  m->line.nrepeat = h->nrepeat;
  m->ndose = h->ndose;
  m->pool.n = h->ndue;
  return DP_OK;
}

dp_status dpi_eq_fork(const dpi_batch *from, int member, dpi_batch *to, int member_to) {
  dpi_eq_batch *a = (dpi_eq_batch *)from, *b = (dpi_eq_batch *)to;
  DP_TRY(dpi_eq_member_ready(a, member));
  const header h = describe(a, member);
  slice sa[SLICES] = {{0}}, sb[SLICES] = {{0}};
  DP_TRY(receive(b, member_to, &h));
  const int n = slices(a, member, sa);
  slices(b, member_to, sb);
  for (int i = 0; i < n; i++)
    if (sa[i].size) memcpy(sb[i].at, sa[i].at, sa[i].size);
  return DP_OK;
}

dp_status dpi_eq_save(const dpi_batch *batch, int member, dpi_str *bytes) {
  dpi_eq_batch *b = (dpi_eq_batch *)batch;
  DP_TRY(dpi_eq_member_ready(b, member));
  const header h = describe(b, member);
  slice s[SLICES] = {{0}};
  const int n = slices(b, member, s);
  dpi_str_addn(bytes, (const char *)&h, sizeof h);
  for (int i = 0; i < n; i++)
    if (s[i].size) dpi_str_addn(bytes, (const char *)s[i].at, s[i].size);
  return bytes->failed ? DP_ERR_MEMORY : DP_OK;
}

/* Indices in what was read point into the member's own lists. */
static bool plausible(const dpi_eq_batch *b, int member) {
  const dpi_eq_spoke *sp = b->spoke;
  const dpi_eq_member *m = &b->m[member];
  for (int i = 0; i < m->ndose; i++)
    if (m->dose[i].state < 0 || m->dose[i].state >= sp->nstate) return false;
  for (int l = 0; l < sp->nlaw; l++)
    if (!(m->applied[l] >= 0 && m->applied[l] < 0x1p53)) return false;
  return dpi_timeline_plausible(&m->line, &b->def.member[member]) && dpi_event_pool_plausible(&m->pool, sp->nevent);
}

dp_status dpi_eq_load(dpi_batch *batch, int member, const void *bytes, size_t size) {
  dpi_eq_batch *b = (dpi_eq_batch *)batch;
  dp_ctx *ctx = b->spoke->base.ctx;
  header h;
  slice s[SLICES] = {{0}};
  const char *at = bytes;
  if (size < sizeof h) return dpi_fail(ctx, DP_ERR_INPUT, "saved state: found %zu bytes, expected more", size);
  memcpy(&h, at, sizeof h);
  at += sizeof h;
  size_t left = size - sizeof h;
  /* counts are believed only as far as the bytes go */
  if (h.ndose < 0 || h.ndue < 0 || (size_t)h.ndose > left / sizeof(dpi_eq_dose) ||
      (size_t)h.ndue > left / sizeof(dpi_due))
    return dpi_fail(ctx, DP_ERR_INPUT, "saved state: found %zu bytes, expected more", size);
  DP_TRY(receive(b, member, &h));
  const int n = slices(b, member, s);
  for (int i = 0; i < n; i++) {
    if (s[i].size > left) return dpi_fail(ctx, DP_ERR_INPUT, "saved state: found %zu bytes, expected more", size);
    if (s[i].size) memcpy(s[i].at, at, s[i].size);
    at += s[i].size;
    left -= s[i].size;
  }
  if (left != 0 || !plausible(b, member)) {
    b->m[member].line.nrepeat = b->m[member].ndose = b->m[member].pool.n = 0;
    return dpi_fail(ctx, DP_ERR_INPUT, "saved state: found bytes that make no sense for this member");
  }
  return DP_OK;
}
