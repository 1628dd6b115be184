/* UCUM's own functional tests (UcumFunctionalTests.xml by G. Grieve and others, in
 * ../shared/suites/ucum.tar.xz): validation, conversion, multiplication, division, in plain UCUM
 * (mol is a number). Numbers are compared as the suite writes them: within half a unit of the
 * outcome's last digit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "doppel/units.h"
#include "num/unit_impl.h"

#define ARCHIVE DOPPEL_SOURCE_DIR "/../shared/suites/ucum.tar.xz"
#define FOLDER DOPPEL_BINARY_DIR "/suite-ucum"

static dp_ctx *ctx;
static char *xml; /* NULL: no suite here */

/* ---- a reader just sufficient for this file: elements with attributes in double quotes, no
 * CDATA ---- */
typedef struct element {
  const char *start, *end; /* from behind '<' up to '>' */
} element;

/* The next element of that name at or after *at and before stop; comments are skipped. */
static bool next_element(const char **at, const char *stop, const char *name, element *e) {
  size_t n = strlen(name);
  for (const char *p = *at; (p = strchr(p, '<')) && p < stop;) {
    if (strncmp(p, "<!--", 4) == 0) {
      p = strstr(p, "-->");
      if (!p) return false;
      continue;
    }
    const char *end = p + 1;
    bool quoted = false;
    for (; *end && (quoted || *end != '>'); end++) quoted ^= *end == '"';
    if (strncmp(p + 1, name, n) == 0 && strchr(" \t>/", p[1 + n])) {
      *e = (element){p + 1, end};
      *at = end;
      return true;
    }
    p = end;
  }
  return false;
}

/* Value of an attribute, entities resolved; false when it is absent. */
static bool attribute(const element *e, const char *name, char *out, size_t size) {
  size_t n = strlen(name), k = 0;
  const char *p = e->start;
  while (p < e->end && (*p == '/' || *p > ' ')) p++;
  while (p < e->end) {
    while (p < e->end && *p <= ' ' && *p >= 0) p++;
    const char *eq = memchr(p, '=', (size_t)(e->end - p));
    if (!eq || eq[1] != '"') return false;
    const char *end = strchr(eq + 2, '"');
    if ((size_t)(eq - p) == n && strncmp(p, name, n) == 0) {
      for (const char *q = eq + 2; q < end && k + 1 < size; q++) {
        assert_true(*q != '&'); /* the suite has none in what we read */
        out[k++] = *q;
      }
      out[k] = '\0';
      return true;
    }
    p = end + 1;
  }
  return false;
}

/* The part between <name> and </name>. */
static void section(const char *name, const char **start, const char **stop) {
  char close[64];
  const char *at = xml;
  element e;
  assert_true(next_element(&at, xml + strlen(xml), name, &e));
  snprintf(close, sizeof close, "</%s>", name);
  *start = e.end;
  *stop = strstr(e.end, close);
  assert_non_null(*stop);
}

/* ---- the comparison ---- */
/* half a unit of the last digit written: "1.6" gives 0.05, "25" gives 0.5, "1e-7" gives 0.5e-7 */
static double half_digit(const char *text) {
  int decimals = 0, exponent = 0;
  const char *dot = strchr(text, '.'), *e = strpbrk(text, "eE");
  if (dot) decimals = (int)(e ? e - dot - 1 : (long)strlen(dot) - 1);
  if (e) exponent = atoi(e + 1);
  return 0.5 * pow(10.0, exponent - decimals);
}

static bool matches(double x, const char *text) {
  double ref = strtod(text, NULL);
  return fabs(x - ref) <= half_digit(text) + 1e-13 * fabs(ref);
}

static bool plain(const char *text, dp_unit *u) {
  dp_ctx_clear_error(ctx);
  if (dp_unit_parse(ctx, text, u) != DP_OK) return false;
  dpi_unit_plain(u);
  return true;
}

static bool skipped(void) {
  if (xml) return false;
  print_message("skipped: ../shared not there\n");
  return true;
}

static void test_validation(void **state) {
  (void)state;
  if (skipped()) skip();
  const char *at, *stop;
  element e;
  char text[200], valid[10], id[40];
  int total = 0, right = 0;
  section("validation", &at, &stop);
  while (next_element(&at, stop, "case", &e)) {
    dp_unit u;
    if (!attribute(&e, "unit", text, sizeof text) || !attribute(&e, "valid", valid, sizeof valid))
      continue;
    attribute(&e, "id", id, sizeof id);
    total++;
    dp_ctx_clear_error(ctx);
    bool ok = dp_unit_parse(ctx, text, &u) == DP_OK;
    if (ok == (strcmp(valid, "true") == 0))
      right++;
    else
      print_message("%s: '%s' should be %s: %s\n", id, text, valid, dp_ctx_error(ctx));
  }
  print_message("UCUM validation: %d of %d\n", right, total);
  assert_true(total > 500);
  assert_int_equal(right, total);
}

static void test_conversion(void **state) {
  (void)state;
  if (skipped()) skip();
  const char *at, *stop;
  element e;
  char value[60], from[100], to[100], outcome[60];
  int total = 0, right = 0;
  section("conversion", &at, &stop);
  while (next_element(&at, stop, "case", &e)) {
    if (!attribute(&e, "value", value, sizeof value) ||
        !attribute(&e, "srcUnit", from, sizeof from) || !attribute(&e, "dstUnit", to, sizeof to) ||
        !attribute(&e, "outcome", outcome, sizeof outcome)) {
      continue;
    }
    dp_unit a, b;
    double f = NAN;
    total++;
    bool ok = plain(from, &a) && plain(to, &b) && dp_unit_factor(ctx, &a, &b, 0.0, &f) == DP_OK;
    double x = strtod(value, NULL) * f;
    if (ok && matches(x, outcome))
      right++;
    else
      print_message("%s %s -> %s: %.17g, expected %s: %s\n", value, from, to, x, outcome,
                    dp_ctx_error(ctx));
  }
  print_message("UCUM conversion: %d of %d\n", right, total);
  assert_true(total >= 30);
  assert_int_equal(right, total);
}

/* v1 u1 times (sign +1) or over (-1) v2 u2, in the unit uRes */
static void products(const char *name, const char *sign) {
  const char *at, *stop;
  element e;
  char v[2][40], u[2][80], want[60], unit[80], joined[200];
  int total = 0, right = 0;
  section(name, &at, &stop);
  while (next_element(&at, stop, "case", &e)) {
    if (!attribute(&e, "v1", v[0], 40) || !attribute(&e, "v2", v[1], 40) ||
        !attribute(&e, "u1", u[0], 80) || !attribute(&e, "u2", u[1], 80) ||
        !attribute(&e, "vRes", want, 60) || !attribute(&e, "uRes", unit, 80)) {
      continue;
    }
    dp_unit a, b;
    double f = NAN, v1 = strtod(v[0], NULL), v2 = strtod(v[1], NULL);
    total++;
    snprintf(joined, sizeof joined, "(%s)%s(%s)", u[0], sign, u[1]);
    bool ok = plain(joined, &a) && plain(unit, &b) && dp_unit_factor(ctx, &a, &b, 0.0, &f) == DP_OK;
    double x = (*sign == '.' ? v1 * v2 : v1 / v2) * f;
    if (ok && matches(x, want))
      right++;
    else
      print_message("%s: %.17g, expected %s %s: %s\n", joined, x, want, unit, dp_ctx_error(ctx));
  }
  print_message("UCUM %s: %d of %d\n", name, right, total);
  assert_true(total >= 2);
  assert_int_equal(right, total);
}

static void test_multiplication(void **state) {
  (void)state;
  if (skipped()) skip();
  products("multiplication", ".");
}

static void test_division(void **state) {
  (void)state;
  if (skipped()) skip();
  products("division", "/");
}

/* The committed table against the essence: every code is there, and its value in its unit is one
 * of it. */
static void test_essence(void **state) {
  (void)state;
  if (skipped()) skip();
  char *text = NULL;
  size_t size;
  assert_int_equal(
      dpi_file_read(ctx, FOLDER "/ucum/main/resources/ucum-essence.xml", 0, &text, &size), DP_OK);
  const char *at = text, *stop = text + size;
  element u, v;
  char code[60], value[100], unit[60];
  int total = 0, right = 0;
  while (next_element(&at, stop, "unit", &u)) {
    dp_unit a, b;
    double f = NAN;
    assert_true(attribute(&u, "Code", code, sizeof code));
    assert_true(next_element(&at, stop, "value", &v));
    assert_true(attribute(&v, "Unit", unit, sizeof unit));
    if (!plain(code, &a)) fail_msg("%s: %s", code, dp_ctx_error(ctx));
    if (!attribute(&v, "value", value, sizeof value)) continue; /* special units */
    if (a.arbitrary[0] && strcmp(unit, "1") == 0) continue;
    total++;
    bool ok = plain(unit, &b) && dp_unit_factor(ctx, &a, &b, 0.0, &f) == DP_OK;
    if (ok && fabs(f / strtod(value, NULL) - 1.0) < 1e-14)
      right++;
    else
      print_message("1 %s = %.17g %s, expected %s: %s\n", code, f, unit, value, dp_ctx_error(ctx));
  }
  dpi_free(ctx, text);
  print_message("UCUM essence: %d of %d definitions\n", right, total);
  assert_true(total > 200);
  assert_int_equal(right, total);
}

/* Unpack into the build folder; the suite stays optional. */
static void open_suite(void) {
  size_t size;
  if (!dpi_file_exists(ARCHIVE)) return;
  if (system("mkdir -p '" FOLDER "' && tar -xJf '" ARCHIVE "' -C '" FOLDER "' --no-same-owner") !=
      0) {
    print_error("the suite could not be unpacked\n");
    return;
  }
  dp_status st =
      dpi_file_read(ctx, FOLDER "/ucum/test/resources/UcumFunctionalTests.xml", 0, &xml, &size);
  if (st != DP_OK) print_error("%s\n", dp_ctx_error(ctx));
}

int main(void) {
  dp_ctx_def def = dp_ctx_def_default();
  if (dp_ctx_create(&def, &ctx) != DP_OK) return 1;
  open_suite();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_validation),     cmocka_unit_test(test_conversion),
      cmocka_unit_test(test_multiplication), cmocka_unit_test(test_division),
      cmocka_unit_test(test_essence),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  dpi_free(ctx, xml);
  dp_ctx_destroy(ctx);
  return failed;
}
