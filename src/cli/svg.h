/* svg.h - floor 9: what the pictures of all commands share: colours, words, lines, a panel's coordinates. */
#ifndef DPI_CLI_SVG_H
#define DPI_CLI_SVG_H

#include <stdbool.h>
#include <stdio.h>

#define SVG_INK "#1b2a36"
#define SVG_QUIET "#8796a3"
#define SVG_GRID "#e3e8ec"
#define SVG_BLUE "#0b6e8a"
#define SVG_ORANGE "#c9773f"

typedef struct svg_panel {
  double x, y, width, height;    /* on the page */
  double left, right, low, high; /* what it shows */
} svg_panel;
double svg_x(const svg_panel *p, double v);
double svg_y(const svg_panel *p, double v);

/* NULL after a message. */
FILE *svg_open(const char *path);
void svg_begin(FILE *out, double width, double height, bool ink); /* ink: words are SVG_INK unless they say otherwise */
/* Closes; exit code after a message. */
int svg_end(FILE *out, const char *path);

void svg_word(FILE *out, double x, double y, const char *anchor, const char *colour, const char *s);
void svg_line(FILE *out, double x1, double y1, double x2, double y2, const char *colour);
void svg_frame(FILE *out, const svg_panel *p);
/* What is drawn until </g> stays within the panel, `more` above and below it. */
void svg_clip(FILE *out, const svg_panel *p, char letter, int number, double more);

#endif
