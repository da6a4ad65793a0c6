#pragma once
#include <string>

namespace folio {

std::string version();       // "0.1.0": of the project, as CMakeLists.txt says
std::string release_date();  // "2026-11-28": of that version, as CHANGELOG.md says

// What `folio --version` prints: "folio 0.1.0", and a line about this build.
std::string version_text();

}  // namespace folio
