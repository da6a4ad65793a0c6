#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// A function of folio's own source, as it was when folio was built.
struct SourceLines {
  std::string file;            // "nn/attention.cc"
  int64_t first_line = 0;      // of the function in it, counted from 1
  std::string text;            // the whole function
  int64_t begin = 0, end = 0;  // the lines in question, in the file: [begin, end)
};

// The function that shows the point ("attn.scores", of nn/context.h) to a watcher, and in it the
// lines from the point before to this one: they compute it. Error if no source shows it.
SourceLines source_of_point(std::string_view point);

// The definition of a function, by how its line names it: "Gpt::rotations(" or "append(const
// CachedHead<E, S>". Error if the file has none, or several.
SourceLines source_of_function(std::string_view file, std::string_view function);

// The file as it was built; Error for one that is not in the program.
std::string_view embedded_source(std::string_view file);

}  // namespace folio
