/* ticks.c - floor 2: decimal text to integer ticks, without a floating-point number in between.
 *
 * The text is a decimal a.b x 10^e; its digits are walked once while the place of each (power of
 * ten) is known, so 0.1 is exactly 100,000,000 ticks. DP_TICKS is 10^9: digits at places below
 * 10^-9 only decide the rounding.
 */
#include "record/record_build.h"

#define TICK_PLACES 9
_Static_assert(DP_TICKS == 1000000000LL, "TICK_PLACES decimals make one time unit");

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* The parts of a decimal text; false when it is none. */
typedef struct parts {
  bool negative;
  const char *digits, *end; /* digits with at most one point */
  int64_t place;            /* power of ten of the first digit */
} parts;

static bool split(const char *s, parts *p) {
  *p = (parts){0};
  while (is_blank(*s)) s++;
  if (*s == '+' || *s == '-') p->negative = *s++ == '-';
  p->digits = s;
  int64_t whole = 0, all = 0;
  bool point = false;
  for (; is_digit(*s) || (*s == '.' && !point); s++) {
    if (*s == '.')
      point = true;
    else
      all++, whole += !point;
  }
  p->end = s;
  if (!all) return false;
  int64_t exponent = 0;
  if (*s == 'e' || *s == 'E') {
    s++;
    bool down = *s == '-';
    if (*s == '+' || *s == '-') s++;
    if (!is_digit(*s)) return false;
    for (; is_digit(*s); s++) {
      if (exponent < 1000000000) exponent = exponent * 10 + (*s - '0');
    }
    if (down) exponent = -exponent;
  }
  while (is_blank(*s)) s++;
  p->place = whole - 1 + exponent;
  return *s == '\0';
}

/* x := 10 x + digit; false when that leaves dp_time. */
static bool append(int64_t *x, int digit) {
  if (*x > (INT64_MAX - digit) / 10) return false;
  *x = *x * 10 + digit;
  return true;
}

bool dpi_ticks_parse(const char *text, dp_time *out) {
  parts p;
  if (!split(text, &p)) return false;
  int64_t ticks = 0, place = p.place;
  bool up = false;
  for (const char *s = p.digits; s < p.end; s++) {
    if (*s == '.') continue;
    if (place >= -TICK_PLACES && !append(&ticks, *s - '0')) return false;
    if (place == -TICK_PLACES - 1) up = *s >= '5';
    place--;
  }
  /* places the text does not reach: zeros; a zero needs none of them */
  for (; ticks != 0 && place >= -TICK_PLACES; place--) {
    if (!append(&ticks, 0)) return false;
  }
  if (up && ticks == INT64_MAX) return false;
  ticks += up;
  *out = p.negative ? -ticks : ticks;
  return true;
}
