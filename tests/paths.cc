#include "tests/paths.h"

namespace folio {

std::string source_dir() { return FOLIO_SOURCE_DIR; }

std::string source_path(const std::string& in_project) { return source_dir() + "/" + in_project; }

std::string folio_program() { return FOLIO_PROGRAM; }

std::string example_program(const std::string& name) { return FOLIO_EXAMPLES "/" + name; }

}  // namespace folio
