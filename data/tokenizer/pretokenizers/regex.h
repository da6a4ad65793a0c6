#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace folio {

// A pattern of Oniguruma's, the engine of Hugging Face's tokenizers. Any thread may use it.
class Regex {
 public:
  struct Match {
    size_t begin, end;
  };

  // Error, naming `where`, for what is no pattern, and for one of more than 10,000 bytes.
  Regex(const std::string& pattern, const std::string& where);

  // The first match in UTF-8 that begins at `from` or later. Error, with the pattern, where the
  // search takes steps out of all proportion to the text that it passes.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  struct Compiled;
  std::string pattern_;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace folio
