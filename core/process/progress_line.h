#pragma once
#include <cstdint>
#include <string>

namespace folio {

// "reading the text: 40 % of 2,000 kB" on standard error: one live line on a terminal, cut to its
// width, a line every tenth elsewhere, nothing for less than `quiet_below`. What cannot be written
// is lost. What is counted are bytes, or others, whose name in the plural is `unit`.
class ProgressLine {
 public:
  ProgressLine(std::string what, int64_t total, int64_t quiet_below = 32 << 20,
               std::string unit = "");
  ~ProgressLine();
  void update(int64_t done);

 private:
  std::string what_, of_;  // of_: "2,000 kB"
  int64_t total_;
  bool enabled_, terminal_;
  int64_t percent_ = -1;  // printed last
};

}  // namespace folio
