#include "data/text/parse_json.h"

namespace folio {

void check_json_depth(std::string_view text, std::string_view name) {
  constexpr int most = 100;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      i += c == '\\';
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      check(++depth <= most, "{}: not JSON that folio reads: it nests more than {} deep at byte {}",
            name, most, i);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace folio
