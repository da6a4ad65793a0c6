#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// A piece of a template: text between tags, the ends of tags, or what stands inside one.
struct JinjaToken {
  enum Kind {
    text,
    block_begin,
    block_end,
    print_begin,
    print_end,
    name,
    string,
    integer,
    op,
    end
  };
  Kind kind;
  std::string value;  // the text, the name, the string without its quotes and escapes, the operator
  int line = 1;       // where it begins
  int64_t number = 0;  // of an integer
};

// The tokens of a template as Jinja cuts it with trim_blocks and lstrip_blocks, which transformers
// sets, without its comments; the last is `end`. Throws Error, "WHERE, line N: ...", for what is no
// template and for what folio does not read.
std::vector<JinjaToken> jinja_tokens(std::string_view source, const std::string& where);

}  // namespace folio
