/* antimony_words.h - floor 3, inside the folder: short names for the steps over words, for files that read statements
 * and for nothing else. Included last. */
#ifndef DPI_ANTIMONY_WORDS_H
#define DPI_ANTIMONY_WORDS_H

#include "lang/antimony/antimony_impl.h"

#define peek dpi_ant_peek
#define next dpi_ant_next
#define take dpi_ant_take
#define ahead dpi_ant_ahead
#define at_end dpi_ant_at_end
#define expected dpi_ant_expected
#define take_word dpi_ant_take_word
#define says dpi_ant_says

#endif
