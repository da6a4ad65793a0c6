#pragma once
#include <string_view>
#include <utility>

#include "core/check.h"

namespace folio {

// Standard output, written at once. What cannot be written throws: Interrupted
// (core/process/stop.h) where nobody reads any more, Error otherwise.
void write_output(std::string_view text);

template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  write_output(fmt::format(text, std::forward<Args>(args)...));
}

// Standard error: progress, remarks. What cannot be written there is lost, and ends nothing.
void write_aside(std::string_view text) noexcept;

template <class... Args>
void note(fmt::format_string<Args...> text, Args&&... args) {
  write_aside(fmt::format(text, std::forward<Args>(args)...));
}

// Whether what is written to standard output is seen on a terminal. mpirun lends its processes one
// and passes on what they write there, so that its own output counts.
bool output_is_terminal();

// The columns of the terminal that `fd` is; 80 where it is none, or does not tell.
int terminal_width(int fd);

// Opens /dev/null in the place of each of standard input, output and error that is closed: the next
// file to be opened would become it, and receive what is printed. Call first of all.
void open_standard_files();

}  // namespace folio
