#include "commands/sample/probability_table.h"

#include <fmt/format.h>

#include <cmath>

#include "data/text/utf8.h"

namespace folio {

std::string quoted_token(const Tokenizer& tokenizer, int32_t token) {
  std::string bytes = tokenizer.decode({&token, 1}), text = "\"";
  for (size_t at = 0; at < bytes.size();) {
    Utf8 next = decode_utf8(bytes, at);
    std::string_view raw = std::string_view(bytes).substr(at, size_t(next.bytes));
    if (raw == "\n")
      text += "\\n";
    else if (raw == "\r")
      text += "\\r";
    else if (raw == "\t")
      text += "\\t";
    else if (raw == "\"" || raw == "\\")
      text.append("\\").append(raw);
    else if (next.fault || next.code_point < 0x20 || next.code_point == 0x7f)
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(raw[0]));
    else
      text += raw;
    at += size_t(next.bytes);
  }
  return text + '"';
}

std::string probability_header(int64_t alternatives) {
  return fmt::format("{:16} {:>11}  {:>8}{}\n", "token", "probability", "log",
                     alternatives > 0 ? "   likeliest" : "");
}

std::string probability_row(const Tokenizer& tokenizer,
                            std::span<const TokenProbability> probabilities) {
  const TokenProbability& drawn = probabilities[0];
  std::string row = fmt::format("{:16} {:9.2f} %  {:8.4f}", quoted_token(tokenizer, drawn.token),
                                100 * drawn.probability, std::log(drawn.probability));
  const char* separator = "   ";
  for (const TokenProbability& other : probabilities.subspan(1)) {
    row += fmt::format("{}{} {:.2f} %", separator, quoted_token(tokenizer, other.token),
                       100 * other.probability);
    separator = "  ";
  }
  return row + "\n";
}

}  // namespace folio
