#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/pretokenizers/cl100k.h"
#include "data/tokenizer/pretokenizers/gpt2.h"
#include "data/tokenizer/pretokenizers/regex.h"
#include "data/tokenizer/pretokenizers/steps.h"

namespace folio {

// Cuts texts into pretokens, across which no token goes.
class Pretokenizer {
 public:
  // Error, naming `where`, for a pattern that is none.
  Pretokenizer(const PretokenizerSteps& steps, const std::string& where);

  // Calls f(text, at, bytes) for each pretoken, text[at, at + bytes), of UTF-8 in order. What is
  // around it in this text means nothing. Error where a pattern takes too long.
  template <class F>
  void each(std::string_view text, F&& f) const {
    apply(0, text, 0, f);
  }

  // The last place in `text` before which and after which the pretokens are the same whether the
  // text is cut there or not, and whatever comes after `text`; 0 if none is known.
  size_t last_safe_cut(std::string_view text) const;

 private:
  enum class Kind { gpt2, cl100k, digits, match, prefix };
  struct Step {
    Kind kind;
    int digits = 0;                 // of cl100k: as many in a row; of digits: 1 or all
    SplitStep split = {};           // of match, a regex or a text
    std::vector<Regex> regex = {};  // one, if it is a regex
  };
  struct Part {
    size_t begin, end;
    bool matches;
  };

  void add(const SplitStep& split, const std::string& where);
  static std::vector<Part> parts(const Step& step, std::string_view text);

  // The steps from `step` on, of text[at, ...).
  template <class F>
  void apply(size_t step, std::string_view text, size_t at, F& f) const {
    const Step* here = step < steps_.size() ? &steps_[step] : nullptr;
    if (here && here->kind == Kind::match) {
      std::string_view all = text.substr(at);
      for (const Part& part : parts(*here, all))
        apply(step + 1, all.substr(0, part.end), part.begin, f);
      return;
    }
    if (here && here->kind == Kind::prefix && at < text.size() && text[at] != ' ') {
      std::string spaced = " ";
      spaced += text.substr(at);
      return apply(step + 1, spaced, 0, f);
    }
    const bool last = step + 1 >= steps_.size();
    for (size_t end; at < text.size(); at = end) {
      end = here ? end_of(*here, text, at) : text.size();
      if (last)
        f(text, at, end - at);
      else
        apply(step + 1, text.substr(0, end), at, f);
    }
  }
  // Of the part that starts at `at`.
  static size_t end_of(const Step& step, std::string_view text, size_t at) {
    if (step.kind == Kind::gpt2) return pretoken_end(text, at);
    if (step.kind == Kind::cl100k) return cl100k_end(text, at, step.digits);
    if (step.kind == Kind::digits) return digits_end(text, at, step.digits);
    return text.size();  // what has its space already
  }
  static size_t digits_end(std::string_view text, size_t at, int most);

  std::vector<Step> steps_;
  enum class SafeCut { none, before_space, before_white_space } safe_cut_ = SafeCut::none;
};

}  // namespace folio
