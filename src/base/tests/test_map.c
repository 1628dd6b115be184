/* Compared with: a plain array searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void the_map_agrees_with_an_array(void **state) {
  (void)state;
  enum { N = 5000 };
  static int value[N];
  dpi_map map;
  dpi_map_init(&map, NULL);
  assert_int_equal(dpi_map_get(&map, "anything"), -1);
  for (int k = 0; k < N; k++) value[k] = -1;
  for (int k = 0; k < 3 * N; k++) { /* many keys are put again */
    int i = (int)((uint64_t)k * 2654435761u % N);
    char key[32];
    snprintf(key, sizeof key, "patient/%d", i);
    value[i] = k;
    assert_int_equal(dpi_map_put(&map, key, k), DP_OK);
    key[0] = '!'; /* the map keeps its own copy */
  }
  int count = 0;
  for (int i = 0; i < N; i++) {
    char key[32];
    snprintf(key, sizeof key, "patient/%d", i);
    assert_int_equal(dpi_map_get(&map, key), value[i]);
    count += value[i] >= 0;
  }
  assert_int_equal(map.count, count);
  assert_int_equal(dpi_map_get(&map, "patient/"), -1);
  assert_int_equal(dpi_map_get(&map, ""), -1);
  assert_int_equal(dpi_map_put(&map, "", 3), DP_OK);
  assert_int_equal(dpi_map_get(&map, ""), 3);
  dpi_map_release(&map);
  assert_int_equal(dpi_map_get(&map, ""), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_map_agrees_with_an_array)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
