#pragma once
#include <string_view>
#include <utility>

#include "core/check.h"

namespace folio {

// Standard output. What cannot be written throws: Interrupted (core/stop.h) where nobody reads any
// more, Error otherwise. Text is buffered until flush_output, which main calls at the end.
void write_output(std::string_view text);
void flush_output();

template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  write_output(fmt::format(text, std::forward<Args>(args)...));
}

// Columns of the terminal behind a descriptor; 80 where there is none.
int terminal_width(int fd);

// Opens /dev/null in the place of each of standard input, output and error that is closed: the next
// file to be opened would become it, and receive what is printed. Call first of all.
void open_standard_files();

}  // namespace folio
