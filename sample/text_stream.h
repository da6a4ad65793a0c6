#pragma once
#include <functional>
#include <string>

#include "data/text/utf8_stream.h"
#include "data/tokenizer/tokenizer.h"
#include "sample/stop_strings.h"

namespace folio {

// Shows a text to whoever waits for it, at once.
using Print = std::function<void(const std::string& text)>;

// The text of one sample as its tokens come: whole characters, and nothing that a stop string may
// yet claim.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const StopStrings& stop)
      : tokenizer_(&tokenizer), stop_(stop) {}

  std::string push(int32_t token) {
    return characters_.push(stop_.push(tokenizer_->decode({&token, 1})));
  }
  std::string finish() {
    std::string rest = characters_.push(stop_.finish());
    return rest + characters_.finish();
  }
  // A stop string has completed: what follows is no part of the text.
  bool stopped() const { return stop_.stopped(); }

 private:
  const Tokenizer* tokenizer_;
  StopStrings stop_;
  Utf8Stream characters_;
};

}  // namespace folio
