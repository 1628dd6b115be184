/* page.c - one self-contained HTML page: the template (built from web/, embedded in the program) with the document put
 * in. Nothing in it reaches for the network. */
#include <string.h>

#include "explain/explain.h"

/* generated from web/dist/report.html by src/explain/room.cmake */
extern const unsigned char dpi_page_template[];
extern const size_t dpi_page_template_size;

static const char marker[] = "/*DOPPEL-DATA*/";

/* "</" inside the data would end the script element: write it as "<\/", which JSON reads as the same. */
static void add_escaped(dpi_str *out, const char *json) {
  const char *at = json, *hit;
  while ((hit = strstr(at, "</"))) {
    dpi_str_addn(out, at, (size_t)(hit - at));
    dpi_str_add(out, "<\\/");
    at = hit + 2;
  }
  dpi_str_add(out, at);
}

dp_status dp_report_html(const dp_study *s, const char *path, const char *command) {
  const char *template = (const char *)dpi_page_template;
  const char *place = strstr(template, marker);
  if (!place) return dpi_fail(s->ctx, DP_ERR_BUG, "the page's template has no place for its data");
  char *json = NULL;
  DP_TRY(dpi_explain_page_data(s, command, &json));
  dpi_str page;
  dpi_str_init(&page, s->ctx);
  dpi_str_addn(&page, template, (size_t)(place - template));
  add_escaped(&page, json);
  dpi_str_add(&page, place + sizeof marker - 1);
  dp_report_free(s->ctx, json);
  dp_status status = page.failed ? DP_ERR_MEMORY : dpi_file_write(s->ctx, path, page.data, page.len);
  dpi_str_release(&page);
  return status;
}
