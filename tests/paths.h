#pragma once
#include <string>

namespace folio {

// What lies where only CMake knows: in paths.cc alone, so that all else compiles to the same bytes
// in every clone, and a compiler cache serves them all.
std::string source_dir();                                // of the project
std::string source_path(const std::string& in_project);  // "tests/reference/ops.json" in it
std::string folio_program();                             // the program under test
std::string example_program(const std::string& name);    // one of tests/examples

}  // namespace folio
