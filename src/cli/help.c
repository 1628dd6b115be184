/* help.c - help and manual page, both from the tables in main.c. */
#include <string.h>

#include "cli/cli.h"

static void synopsis(FILE *to, const cli_command *c) {
  fprintf(to, "doppel %s%s%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "", c->arguments[0] ? " " : "",
          c->arguments);
}

/* A text in lines of its own column, broken between words. */
static void wrapped(FILE *to, const char *text, int indent, int width) {
  int at = 0;
  while (*text) {
    int n = (int)strcspn(text, " ");
    if (at > 0 && at + 1 + n > width) {
      fprintf(to, "\n%*s", indent, "");
      at = 0;
    }
    at += fprintf(to, "%s%.*s", at ? " " : "", n, text);
    text += n + (text[n] == ' ');
  }
  fprintf(to, "\n");
}

static void one(FILE *to, const cli_command *c) {
  fprintf(to, "usage: ");
  synopsis(to, c);
  fprintf(to, " [options]\n\n%s\n", c->help);
  if (c->more) {
    fprintf(to, "\n");
    wrapped(to, c->more, 0, 118);
  }
  fprintf(to, "\noptions:\n");
  for (const cli_option *o = c->option; o->name; o++) {
    if (!o->help) continue;
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    fprintf(to, "  %-26s ", left);
    wrapped(to, o->help, 29, 90);
  }
}

static void all(FILE *to) {
  fprintf(to, "doppel %s: an engine for medical digital twins (research use)\n\nusage:\n", dp_version());
  for (const cli_command *c = cli_commands(); c->noun; c++) {
    char left[80];
    snprintf(left, sizeof left, "doppel %s%s%s %s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "", c->arguments);
    fprintf(to, "  %-44s %s\n", left, c->help);
  }
  fprintf(to,
          "\nEvery command takes --help. Exit codes: 0 done, 1 a check failed, 2 usage, 3 invalid input, 4 conflict, "
          "5 denied,\n6 did not converge, 7 unsupported, 75 try again.\n");
}

void cli_help(FILE *to, const cli_command *command) {
  if (command)
    one(to, command);
  else
    all(to);
}

void cli_manual(FILE *to) {
  fprintf(to, ".TH DOPPEL 1\n.SH NAME\ndoppel \\- an engine for medical digital twins\n.SH COMMANDS\n");
  for (const cli_command *c = cli_commands(); c->noun; c++) {
    fprintf(to, ".SS ");
    synopsis(to, c);
    fprintf(to, "\n%s\n", c->help);
    if (c->more) fprintf(to, ".PP\n%s\n", c->more);
    for (const cli_option *o = c->option; o->name; o++)
      if (o->help) fprintf(to, ".TP\n.B %s %s\n%s\n", o->name, o->argument ? o->argument : "", o->help);
  }
}
