#pragma once
#include <string>

namespace folio {

// What lies where only CMake knows: in paths.cc alone, so that all else compiles to the same bytes
// in every clone, and a compiler cache serves them all. The environment variables FOLIO_SOURCE_DIR
// and FOLIO_PROGRAM say where it lies if the tests have been moved (scripts/make-bundle).
std::string source_dir();                                // of the project
std::string source_path(const std::string& in_project);  // "tests/reference/ops.json" in it
std::string folio_program();                             // the program under test
std::string example_program(const std::string& name);    // one of tests/examples
std::string compiler();                                  // of C++, that built this

}  // namespace folio
