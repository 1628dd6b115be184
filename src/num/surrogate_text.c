/* surrogate_text.c - floor 1: a surrogate as text.
 *
 *     doppel surrogate 1
 *     size INPUTS ROWS OUTPUTS FAILED
 *     from START HASH                                           time at which runs began; what was asked, or -
 *     input ID LOW HIGH lin|log legendre|hermite A B            one a line
 *     output ID gp sqexp|matern52 INFLATION SIGNAL NOISE LENGTH ...       or
 *     output ID pce TERMS INFLATION, then POWER ... of each term          one a line
 *     tested POINTS RMS INSIDE                                  behind each output
 *     row X ... Y ...                                           one a line
 *     sha256 HEX                                                of all that stands before this line
 *
 * Words are separated by blanks; numbers read back to the same bits. Ids have no blanks.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "num/surrogate.h"

#define MOST_FACTORS 200000000LL /* numbers in the factors of all outputs */

/* ---- writing ---- */

static void number(dpi_str *t, double x) {
  char text[32];
  dpi_format_double(x, text);
  dpi_str_addf(t, " %s", text);
}

static void write_part(const dpi_surrogate *s, const dpi_surrogate_part *p, dpi_str *t) {
  if (p->kind == DPI_SURROGATE_GP) {
    dpi_str_addf(t, "output %s gp %s", p->id, p->kernel == DPI_KERNEL_SQEXP ? "sqexp" : "matern52");
    number(t, p->inflate);
    number(t, p->signal);
    number(t, p->noise);
    for (int k = 0; k < s->ninput; k++) number(t, p->length[k]);
    dpi_str_add(t, "\n");
    return;
  }
  dpi_str_addf(t, "output %s pce %d", p->id, p->nterm);
  number(t, p->inflate);
  dpi_str_add(t, "\n");
  for (int i = 0; i < p->nterm; i++) {
    for (int k = 0; k < s->ninput; k++)
      dpi_str_addf(t, k ? " %d" : "%d", p->power[(size_t)i * (size_t)s->ninput + (size_t)k]);
    dpi_str_add(t, "\n");
  }
}

dp_status dpi_surrogate_write(dpi_surrogate *s, dpi_str *t) {
  size_t from = t->len;
  dpi_str_addf(t, "doppel surrogate 1\nsize %d %d %d %d\nfrom", s->ninput, s->nrow, s->noutput, s->nfailed);
  number(t, s->start);
  dpi_str_addf(t, " %s\n", s->origin[0] ? s->origin : "-");
  for (int k = 0; k < s->ninput; k++) {
    const dpi_surrogate_input *in = &s->input[k];
    dpi_str_addf(t, "input %s", in->id);
    number(t, in->low);
    number(t, in->high);
    dpi_str_addf(t, " %s %s", in->log ? "log" : "lin", in->hermite ? "hermite" : "legendre");
    number(t, in->a);
    number(t, in->b);
    dpi_str_add(t, "\n");
  }
  for (int o = 0; o < s->noutput; o++) {
    write_part(s, &s->part[o], t);
    dpi_str_addf(t, "tested %d", s->part[o].ntest);
    number(t, s->part[o].rms);
    number(t, s->part[o].inside);
    dpi_str_add(t, "\n");
  }
  for (int i = 0; i < s->nrow; i++) {
    dpi_str_add(t, "row");
    for (int k = 0; k < s->ninput; k++) number(t, s->x[(size_t)i * (size_t)s->ninput + (size_t)k]);
    for (int o = 0; o < s->noutput; o++) number(t, s->part[o].y[i]);
    dpi_str_add(t, "\n");
  }
  if (t->failed) return DP_ERR_MEMORY;
  dpi_sha256_hex(t->data + from, t->len - from, s->hash);
  dpi_str_addf(t, "sha256 %s\n", s->hash);
  return t->failed ? DP_ERR_MEMORY : DP_OK;
}

/* ---- reading ---- */

typedef struct reader {
  dp_ctx *ctx;
  const char *name, *at, *end;
  int line;
  char word[DPI_SURROGATE_ID];
} reader;

static dp_status bad(const reader *r, const char *expected) {
  return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: found '%s', expected %s", r->name, r->line, r->word, expected);
}

/* The next word; "" at the end. Too long a word is cut: no word that is expected is so long. */
static void next(reader *r) {
  size_t n = 0;
  while (r->at < r->end && isspace((unsigned char)*r->at)) r->line += *r->at++ == '\n';
  for (; r->at < r->end && !isspace((unsigned char)*r->at); r->at++)
    if (n < sizeof r->word - 1) r->word[n++] = *r->at;
  r->word[n] = 0;
}

static dp_status expect(reader *r, const char *word) {
  next(r);
  return strcmp(r->word, word) == 0 ? DP_OK : bad(r, word);
}

static dp_status take_number(reader *r, double *x) {
  next(r);
  return dpi_parse_double(r->word, x) ? DP_OK : bad(r, "a number");
}

static dp_status take_count(reader *r, int64_t most, int *n) {
  int64_t x;
  next(r);
  if (!dpi_parse_int(r->word, &x) || x < 0 || x > most) return bad(r, "a whole number within its range");
  *n = (int)x;
  return DP_OK;
}

/* One of two words. */
static dp_status take_choice(reader *r, const char *no, const char *yes, bool *out) {
  next(r);
  *out = strcmp(r->word, yes) == 0;
  return *out || strcmp(r->word, no) == 0 ? DP_OK : bad(r, no);
}

static dp_status take_id(reader *r, char *id) {
  next(r);
  if (!r->word[0]) return bad(r, "an id");
  memcpy(id, r->word, sizeof r->word);
  return DP_OK;
}

static dp_status read_input(reader *r, dpi_surrogate_input *in) {
  DP_TRY(expect(r, "input"));
  DP_TRY(take_id(r, in->id));
  DP_TRY(take_number(r, &in->low));
  DP_TRY(take_number(r, &in->high));
  if (!(in->low < in->high)) return bad(r, "a domain's upper end above its lower one");
  DP_TRY(take_choice(r, "lin", "log", &in->log));
  if (in->log && !(in->low > 0)) return bad(r, "lin: the domain reaches 0");
  DP_TRY(take_choice(r, "legendre", "hermite", &in->hermite));
  DP_TRY(take_number(r, &in->a));
  DP_TRY(take_number(r, &in->b));
  return !in->hermite || in->b > 0 ? DP_OK : bad(r, "a positive deviation");
}

static dp_status read_tested(reader *r, dpi_surrogate_part *p) {
  DP_TRY(expect(r, "tested"));
  DP_TRY(take_count(r, INT32_MAX, &p->ntest));
  DP_TRY(take_number(r, &p->rms));
  DP_TRY(take_number(r, &p->inside));
  return p->rms >= 0 && p->inside >= 0 && p->inside <= 1 ? DP_OK : bad(r, "an error and a share before it");
}

static dp_status read_origin(reader *r, dpi_surrogate *s) {
  DP_TRY(expect(r, "from"));
  DP_TRY(take_number(r, &s->start));
  next(r);
  if (strlen(r->word) >= sizeof s->origin || !r->word[0]) return bad(r, "a hash or -");
  if (strcmp(r->word, "-") != 0) memcpy(s->origin, r->word, strlen(r->word) + 1);
  return DP_OK;
}

static dp_status read_part(reader *r, dpi_surrogate *s, int o) {
  dpi_surrogate_part *p = &s->part[o];
  bool chaos, matern;
  int n = 0;
  DP_TRY(expect(r, "output"));
  DP_TRY(take_id(r, p->id));
  DP_TRY(take_choice(r, "gp", "pce", &chaos));
  p->kind = chaos ? DPI_SURROGATE_PCE : DPI_SURROGATE_GP;
  if (chaos) {
    DP_TRY(take_count(r, s->nrow - 1, &n));
    DP_TRY(take_number(r, &p->inflate));
    DP_TRY(dpi_surrogate_terms(s, o, n));
    for (size_t i = 0; i < (size_t)n * (size_t)s->ninput; i++) {
      int power = 0;
      DP_TRY(take_count(r, DPI_SURROGATE_MOST_DEGREE, &power));
      p->power[i] = (uint8_t)power;
    }
    return n > 0 ? DP_OK : bad(r, "at least one term");
  }
  DP_TRY(take_choice(r, "sqexp", "matern52", &matern));
  p->kernel = matern ? DPI_KERNEL_MATERN52 : DPI_KERNEL_SQEXP;
  DP_TRY(take_number(r, &p->inflate));
  DP_TRY(take_number(r, &p->signal));
  DP_TRY(take_number(r, &p->noise));
  for (int k = 0; k < s->ninput; k++) {
    DP_TRY(take_number(r, &p->length[k]));
    if (!(p->length[k] > 0)) return bad(r, "a positive length");
  }
  return p->signal > 0 && p->noise >= 0 ? DP_OK : bad(r, "deviations that are not negative before it");
}

static dp_status read_rows(reader *r, dpi_surrogate *s) {
  for (int i = 0; i < s->nrow; i++) {
    double *x = s->x + (size_t)i * (size_t)s->ninput;
    DP_TRY(expect(r, "row"));
    for (int k = 0; k < s->ninput; k++) DP_TRY(take_number(r, &x[k]));
    for (int o = 0; o < s->noutput; o++) DP_TRY(take_number(r, &s->part[o].y[i]));
    int k = dpi_surrogate_outside(s, x);
    if (k >= 0)
      return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: %s = %g is outside its domain", r->name, r->line, s->input[k].id,
                      x[k]);
  }
  return DP_OK;
}

static dp_status read_hash(reader *r, dpi_surrogate *s, const char *text) {
  while (r->at < r->end && isspace((unsigned char)*r->at)) r->line += *r->at++ == '\n';
  dpi_sha256_hex(text, (size_t)(r->at - text), s->hash);
  DP_TRY(expect(r, "sha256"));
  next(r);
  if (strcmp(r->word, s->hash) != 0)
    return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: the hash is not that of the text before it: it was changed", r->name,
                    r->line);
  next(r);
  return r->word[0] ? bad(r, "the end") : DP_OK;
}

static dp_status read_body(reader *r, dpi_surrogate *s, const char *text) {
  DP_TRY(read_origin(r, s));
  for (int k = 0; k < s->ninput; k++) DP_TRY(read_input(r, &s->input[k]));
  for (int o = 0; o < s->noutput; o++) {
    DP_TRY(read_part(r, s, o));
    if (!(s->part[o].inflate > 0)) return bad(r, "a positive inflation");
    DP_TRY(read_tested(r, &s->part[o]));
  }
  DP_TRY(read_rows(r, s));
  DP_TRY(read_hash(r, s, text));
  for (int o = 0; o < s->noutput; o++) DP_TRY(dpi_surrogate_assemble(s, o));
  return DP_OK;
}

dp_status dpi_surrogate_read(dp_ctx *ctx, const char *name, const char *text, size_t size, dpi_surrogate **out) {
  reader r = {.ctx = ctx, .name = name, .at = text, .end = text + size, .line = 1};
  int ninput = 0, nrow = 0, noutput = 0, nfailed = 0;
  *out = NULL;
  DP_TRY(expect(&r, "doppel"));
  DP_TRY(expect(&r, "surrogate"));
  DP_TRY(expect(&r, "1"));
  DP_TRY(expect(&r, "size"));
  DP_TRY(take_count(&r, 1000, &ninput));
  DP_TRY(take_count(&r, DPI_SURROGATE_MOST_ROWS, &nrow));
  DP_TRY(take_count(&r, 10000, &noutput));
  DP_TRY(take_count(&r, 1000000000, &nfailed));
  if ((int64_t)nrow * (ninput + noutput) > (int64_t)size || (int64_t)noutput * nrow * nrow > MOST_FACTORS)
    return bad(&r, "a size that the text can hold");
  dpi_surrogate *s;
  DP_TRY(dpi_surrogate_create(ctx, ninput, nrow, noutput, &s));
  s->nfailed = nfailed;
  dp_status status = read_body(&r, s, text);
  if (status == DP_OK)
    *out = s;
  else
    dpi_surrogate_destroy(s);
  return status;
}
