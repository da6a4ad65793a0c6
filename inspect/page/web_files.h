#pragma once
#include <span>
#include <string>
#include <string_view>

namespace folio {

// A file that was in the source tree when folio was built.
struct EmbeddedFile {
  std::string_view name, contents;
};

// Those of inspect/web, by their path in it: "base.css".
std::span<const EmbeddedFile> web_files();
// Error for a name that none has.
std::string_view web_file(std::string_view name);

// folio's sources that pages show, by their path in the project: "nn/attention.cc".
std::span<const EmbeddedFile> source_files();

}  // namespace folio
