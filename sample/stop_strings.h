#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// Cuts a text that comes in pieces before the first stop string that completes in it; of those that
// complete together, before the longest. What may yet become part of one waits.
class StopStrings {
 public:
  StopStrings() = default;
  // Error for an empty one.
  explicit StopStrings(std::vector<std::string> strings);

  // The text that is certain to stay, of this piece and what waited.
  std::string push(std::string_view piece);
  // No more text comes: what waited.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  size_t longest_beginning() const;

  std::vector<std::string> strings_;
  std::string waiting_;
  bool stopped_ = false;
};

}  // namespace folio
