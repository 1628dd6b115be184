/* strings.c - floor 0: growing text, numbers to and from text, nearest word. Nothing here depends
 * on the locale. */
#include <float.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* ---- growing text ---- */

void dpi_str_init(dpi_str *s, dp_ctx *ctx) { *s = (dpi_str){.ctx = ctx}; }

void dpi_str_release(dpi_str *s) {
  dpi_free(s->ctx, s->data);
  dpi_str_init(s, s->ctx);
}

/* Room for n more bytes and the NUL. */
static bool str_reserve(dpi_str *s, size_t n) {
  if (s->failed) return false;
  if (n < s->cap - s->len && s->data) return true;
  if (n > SIZE_MAX / 4 || s->len > SIZE_MAX / 4) {
    s->failed = true;
    return false;
  }
  size_t cap = s->cap ? s->cap : 64;
  while (cap - s->len <= n) cap *= 2;
  char *data = dpi_realloc(s->ctx, s->data, cap);
  if (!data) {
    s->failed = true;
    return false;
  }
  s->data = data;
  s->cap = cap;
  return true;
}

void dpi_str_addn(dpi_str *s, const char *text, size_t n) {
  if (!str_reserve(s, n)) return;
  if (n) memcpy(s->data + s->len, text, n);
  s->len += n;
  s->data[s->len] = '\0';
}

void dpi_str_add(dpi_str *s, const char *text) { dpi_str_addn(s, text, strlen(text)); }

void dpi_str_addf(dpi_str *s, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  int n = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  if (n < 0) s->failed = true;
  if (n < 0 || !str_reserve(s, (size_t)n)) return;
  va_start(args, fmt);
  vsnprintf(s->data + s->len, (size_t)n + 1, fmt, args);
  va_end(args);
  s->len += (size_t)n;
}

const char *dpi_str_text(const dpi_str *s) { return s->data ? s->data : ""; }

/* ---- numbers ---- */

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static void c_locale_make(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* Switch this thread to the C locale; hand the result to locale_leave. */
static locale_t locale_enter(void) {
  pthread_once(&c_locale_once, c_locale_make);
  return uselocale(c_locale);
}
static void locale_leave(locale_t before) { uselocale(before); }

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* A decimal number as digits: value = mantissa * 10^exponent when exact. */
typedef struct decimal {
  bool negative;
  uint64_t mantissa; /* of the first 19 significant digits */
  bool exact;        /* nothing was cut off */
  int64_t exponent;
} decimal;

/* Digits and at most one point into d. Gives the end, or NULL when there is no digit. */
static const char *scan_digits(const char *s, decimal *d) {
  bool point = false, any = false;
  for (;; s++) {
    if (*s == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(*s)) break;
    any = true;
    if (d->mantissa < (uint64_t)1000000000000000000u) {
      d->mantissa = d->mantissa * 10 + (uint64_t)(*s - '0');
      d->exponent -= point;
    } else {
      if (*s != '0') d->exact = false;
      d->exponent += !point;
    }
  }
  return any ? s : NULL;
}

/* Blanks, sign, digits with an optional point, optional exponent, blanks, end. */
static bool scan_decimal(const char *s, decimal *d) {
  *d = (decimal){.exact = true};
  while (is_blank(*s)) s++;
  if (*s == '+' || *s == '-') d->negative = *s++ == '-';
  s = scan_digits(s, d);
  if (!s) return false;
  if (*s == 'e' || *s == 'E') {
    s++;
    bool down = *s == '-';
    if (*s == '+' || *s == '-') s++;
    if (!is_digit(*s)) return false;
    int64_t e = 0;
    for (; is_digit(*s); s++) {
      if (e < 1000000) e = e * 10 + (*s - '0');
    }
    d->exponent += down ? -e : e;
  }
  while (is_blank(*s)) s++;
  return *s == '\0';
}

/* Exact short cut: mantissa below 2^53 and a power of ten that is itself a double need one
 * rounding only (Clinger 1990, "How to read floating point numbers accurately"). */
static bool decimal_short(const decimal *d, double *out) {
  static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (!d->exact || d->mantissa > ((uint64_t)1 << 53)) return false;
  if (d->exponent < -22 || d->exponent > 22) return false;
  double m = (double)d->mantissa;
  double x = d->exponent < 0 ? m / power[-d->exponent] : m * power[d->exponent];
  *out = d->negative ? -x : x;
  return true;
}

bool dpi_parse_double(const char *s, double *out) {
  decimal d;
  if (!s || !scan_decimal(s, &d)) return false;
  if (decimal_short(&d, out)) return true;
  locale_t before = locale_enter();
  double x = strtod(s, NULL);
  locale_leave(before);
  if (x - x != 0.0) return false; /* beyond the largest double */
  *out = x;
  return true;
}

bool dpi_parse_int(const char *s, int64_t *out) {
  if (!s) return false;
  while (is_blank(*s)) s++;
  bool negative = *s == '-';
  if (*s == '+' || *s == '-') s++;
  if (!is_digit(*s)) return false;
  uint64_t most = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
  uint64_t x = 0;
  for (; is_digit(*s); s++) {
    uint64_t digit = (uint64_t)(*s - '0');
    if (x > (most - digit) / 10) return false;
    x = x * 10 + digit;
  }
  while (is_blank(*s)) s++;
  if (*s) return false;
  if (!negative)
    *out = (int64_t)x;
  else
    *out = x == most ? INT64_MIN : -(int64_t)x;
  return true;
}

/* "1e-05" and "1e+20" to "1e-5" and "1e20", in place. */
static void tidy_exponent(char *s) {
  char *e = strchr(s, 'e');
  if (!e) return;
  char *to = e + 1, *from = e + 1;
  if (*from == '-')
    *to++ = *from++;
  else if (*from == '+')
    from++;
  while (*from == '0' && from[1]) from++;
  memmove(to, from, strlen(from) + 1);
}

void dpi_format_double(double x, char out[32]) {
  if (x != x) {
    memcpy(out, "nan", 4);
    return;
  }
  if (x - x != 0.0) {
    memcpy(out, x > 0 ? "inf" : "-inf", x > 0 ? 4 : 5);
    return;
  }
  /* 15 digits always survive the way to a normal double and back, so fewer need no trial */
  double size = x < 0 ? -x : x;
  int digits = size < DBL_MIN ? 1 : 15;
  locale_t before = locale_enter();
  for (; digits <= 17; digits++) {
    snprintf(out, 32, "%.*g", digits, x);
    if (digits == 17 || strtod(out, NULL) == x) break;
  }
  locale_leave(before);
  tidy_exponent(out);
}

/* ---- nearest word ---- */

#define WORD_MOST 64

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static int least(int a, int b) { return a < b ? a : b; }

/* Letters to insert, delete, change or swap with their neighbour (optimal string alignment),
 * letters' case apart; both words shorter than WORD_MOST. */
static int edit_distance(const char *a, int na, const char *b, int nb) {
  int rows[3][WORD_MOST + 1];
  int *before = rows[0], *above = rows[1], *row = rows[2];
  for (int j = 0; j <= nb; j++) row[j] = j;
  for (int i = 1; i <= na; i++) {
    int *free_row = before;
    before = above, above = row, row = free_row;
    row[0] = i;
    for (int j = 1; j <= nb; j++) {
      char x = lower(a[i - 1]), y = lower(b[j - 1]);
      row[j] = least(above[j - 1] + (x != y), least(above[j], row[j - 1]) + 1);
      bool swapped = i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y;
      if (swapped) row[j] = least(row[j], before[j - 2] + 1);
    }
  }
  return row[nb];
}

const char *dpi_nearest_word(const char *word, const char *const *words, int n) {
  const char *best = NULL;
  size_t na = strlen(word);
  if (na >= WORD_MOST) return NULL;
  int nearest = na > 2 ? 3 : (int)na; /* one more than allowed */
  for (int k = 0; k < n; k++) {
    size_t nb = strlen(words[k]);
    if (nb >= WORD_MOST) continue;
    int d = edit_distance(word, (int)na, words[k], (int)nb);
    if (d < nearest) {
      nearest = d;
      best = words[k];
    }
  }
  return best;
}
