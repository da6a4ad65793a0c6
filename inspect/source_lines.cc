#include "inspect/source_lines.h"

#include <span>

#include "core/check.h"
#include "inspect/page/web_files.h"

namespace folio {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

bool is_indented(std::string_view line) {
  return line.empty() || line[0] == ' ' || line[0] == '}' || line[0] == '#';
}

// Whether a line shows a point to the watcher; `point` empty: any.
bool shows(std::string_view line, std::string_view point) {
  if (line.find("watch(") == line.npos && line.find("add_to(") == line.npos) return false;
  return line.find(fmt::format("\"{}{}", point, point.empty() ? "" : "\"")) != line.npos;
}

// The function around line `at`, counted from 0: from the line that is not indented (and those of
// its comment, or of a signature that is longer) to the brace that closes it.
SourceLines function_around(const EmbeddedFile& file, size_t at) {
  const std::vector<std::string_view> lines = lines_of(file.contents);
  size_t first = at, last = at;
  while (first > 0 && is_indented(lines[first])) --first;
  while (first > 0 && lines[first - 1].starts_with("//")) --first;
  while (last + 1 < lines.size() && lines[last] != "}") ++last;
  SourceLines source{.file = std::string(file.name), .first_line = int64_t(first) + 1, .text = ""};
  for (size_t i = first; i <= last; ++i) source.text.append(lines[i]).append("\n");
  source.begin = source.first_line;
  source.end = int64_t(last) + 2;
  return source;
}

}  // namespace

std::string_view embedded_source(std::string_view file) {
  for (const EmbeddedFile& source : source_files())
    if (source.name == file) return source.contents;
  fail("{}: this source is not in the program", file);
}

SourceLines source_of_point(std::string_view point) {
  for (const EmbeddedFile& file : source_files()) {
    const std::vector<std::string_view> lines = lines_of(file.contents);
    for (size_t at = 0; at < lines.size(); ++at) {
      if (!shows(lines[at], point)) continue;
      SourceLines source = function_around(file, at);
      source.end = int64_t(at) + 2;
      const std::vector<std::string_view> own = lines_of(source.text);
      const auto here = int64_t(at) + 1 - source.first_line;
      int64_t from = 0;  // past the signature, and past the point before
      while (!own[size_t(from++)].ends_with("{")) {
      }
      for (int64_t i = from; i < here; ++i)
        if (shows(own[size_t(i)], "")) from = i + 1;
      source.begin = source.first_line + from;
      return source;
    }
  }
  fail("no source shows the point {}", point);
}

SourceLines source_of_function(std::string_view file, std::string_view function) {
  const EmbeddedFile source{file, embedded_source(file)};
  const std::vector<std::string_view> lines = lines_of(source.contents);
  std::vector<size_t> found;
  for (size_t at = 0; at < lines.size(); ++at)
    if (!is_indented(lines[at]) && !lines[at].starts_with("//") &&
        lines[at].find(function) != std::string_view::npos && !lines[at].ends_with(";"))
      found.push_back(at);
  check(found.size() == 1, "{}: has {} definitions of {}, not one", file, found.size(), function);
  size_t body = found[0] + 1;  // past a signature of several lines
  return function_around(source, std::min(body, lines.size() - 1));
}

}  // namespace folio
