#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "data/jinja/syntax.h"

namespace folio {

// A template as a scope of its statements, of the part of Jinja that folio follows: text, {{ }},
// set (of names and a namespace's attributes), if, for, break, continue, generation; operators,
// slices, calls, filters, tests. Throws Error, "WHERE, line N: ...", for anything else.
JinjaStatement parse_jinja(std::string_view source, const std::string& where);

}  // namespace folio
