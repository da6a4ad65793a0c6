#pragma once
#include <string>
#include <string_view>

namespace folio {

// The name that git gives a file with these bytes: SHA-1 of "blob SIZE\0" and them, 40 lower-case
// hex digits.
std::string git_blob_sha1(std::string_view bytes);

}  // namespace folio
