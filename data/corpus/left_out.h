#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace folio {

// What a corpus holds that is no text, and so is in no dataset: how much of it, and the first few.
class LeftOut {
 public:
  // `noun` in the singular: "file". With `strict` the first call of add is an Error.
  LeftOut(std::string noun, bool strict) : noun_(std::move(noun)), strict_(strict) {}

  void add(const std::string& name, const std::string& why);
  int64_t count() const { return count_; }
  // "2 files left out: FIRST: why; SECOND: why" or "7 ...; and 4 more".
  std::string in_words() const;

 private:
  std::string noun_;
  bool strict_;
  int64_t count_ = 0;
  std::vector<std::string> first_;
};

}  // namespace folio
