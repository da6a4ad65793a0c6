#pragma once
#include <string>
#include <string_view>

namespace folio {

// Files of this kind have a JSON object a line, whose "text" is a document.
bool is_json_lines(const std::string& path);  // by its name: .jsonl or .ndjson

// Nothing but blanks, or a byte order mark: no document, and no fault.
bool is_blank(std::string_view line);

// The document of a line. Throws Error that says what the line is instead; the place is the
// caller's to add.
std::string document_of(std::string_view line);

}  // namespace folio
