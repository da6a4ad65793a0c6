#include "tests/paths.h"

#include <cstdlib>

namespace folio {
namespace {

std::string moved_by(const char* variable, const char* built) {
  const char* moved = std::getenv(variable);
  return moved ? moved : built;
}

}  // namespace

std::string source_dir() { return moved_by("FOLIO_SOURCE_DIR", FOLIO_SOURCE_DIR); }

std::string source_path(const std::string& in_project) { return source_dir() + "/" + in_project; }

std::string folio_program() { return moved_by("FOLIO_PROGRAM", FOLIO_PROGRAM); }

std::string example_program(const std::string& name) { return FOLIO_EXAMPLES "/" + name; }

std::string compiler() { return FOLIO_COMPILER; }

}  // namespace folio
