/* svg.c - floor 9: see svg.h. */
#include "cli/svg.h"

double svg_x(const svg_panel *p, double v) { return p->x + (v - p->left) / (p->right - p->left) * p->width; }
double svg_y(const svg_panel *p, double v) { return p->y + p->height - (v - p->low) / (p->high - p->low) * p->height; }

FILE *svg_open(const char *path) {
  FILE *out = fopen(path, "w");
  if (!out) fprintf(stderr, "doppel: %s can't be written\n", path);
  return out;
}

void svg_begin(FILE *out, double width, double height, bool ink) {
  fprintf(out,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
          "font-family=\"system-ui, sans-serif\" font-size=\"12\"%s>\n<rect width=\"100%%\" height=\"100%%\" "
          "fill=\"white\"/>\n",
          width, height, width, height, ink ? " fill=\"" SVG_INK "\"" : "");
}

int svg_end(FILE *out, const char *path) {
  fprintf(out, "</svg>\n");
  if (fclose(out) == 0) return 0;
  fprintf(stderr, "doppel: %s could not be written to its end\n", path);
  return 3;
}

void svg_word(FILE *out, double x, double y, const char *anchor, const char *colour, const char *s) {
  fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, colour);
  for (; *s; s++) {
    if (*s == '<')
      fputs("&lt;", out);
    else if (*s == '&')
      fputs("&amp;", out);
    else
      fputc(*s, out);
  }
  fprintf(out, "</text>\n");
}

void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *colour) {
  fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, colour);
}

void svg_frame(FILE *out, const svg_panel *p) {
  fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"" SVG_QUIET "\"/>\n",
          p->x, p->y, p->width, p->height);
}

void svg_clip(FILE *out, const svg_panel *p, char letter, int number, double more) {
  fprintf(out,
          "<clipPath id=\"%c%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath>\n<g "
          "clip-path=\"url(#%c%d)\">",
          letter, number, p->x, p->y - more, p->width, p->height + 2 * more, letter, number);
}
