#include "data/tokenizer/pretokenizers/pretokenizer.h"

#include <algorithm>
#include <climits>
#include <optional>

#include "core/check.h"
#include "data/tokenizer/pretokenizers/char_runs.h"
#include "data/tokenizer/pretokenizers/known_patterns.h"
#include "data/tokenizer/pretokenizers/newer_characters.h"

namespace folio {
namespace {

// By Rust's char::is_numeric, which is Unicode 17's.
bool is_numeric(std::string_view text, size_t at, size_t& bytes) {
  Char next = char_at(text, at);
  bytes = next.bytes;
  if (next.kind == CharClass::number) return true;
  if (next.bytes < 4) return false;
  char32_t c = decode_multibyte(text, at).code_point;
  return (0x11de0 <= c && c <= 0x11de9) || (0x16ff4 <= c && c <= 0x16ff6);
}

size_t last_space_cut(std::string_view text) {
  for (size_t at = text.size(); at > 1; --at)
    if (text[at - 1] == ' ' && char_at(text, char_start(text, at - 1)).kind != CharClass::space)
      return at - 1;
  return 0;
}

}  // namespace

Pretokenizer::Pretokenizer(const PretokenizerSteps& steps, const std::string& where) {
  bool all_known = true, by_words = false, line_ends = true;
  for (const PretokenizerStep& step : steps) {
    if (const auto* split = std::get_if<SplitStep>(&step)) {
      add(*split, where);
    } else if (const auto* digits = std::get_if<DigitsStep>(&step)) {
      steps_.push_back({.kind = Kind::digits, .digits = digits->individual_digits ? 1 : INT_MAX});
    } else if (const auto* level = std::get_if<ByteLevelStep>(&step)) {
      if (level->add_prefix_space) steps_.push_back({.kind = Kind::prefix});
      if (level->use_regex) steps_.push_back({.kind = Kind::gpt2});
    }
  }
  for (const Step& step : steps_) {
    all_known &= step.kind != Kind::match;
    by_words |= step.kind == Kind::gpt2 || step.kind == Kind::cl100k;
    line_ends &= step.kind == Kind::gpt2 || step.kind == Kind::digits;
  }
  if (all_known && by_words)
    safe_cut_ = line_ends ? SafeCut::before_white_space : SafeCut::before_space;
}

void Pretokenizer::add(const SplitStep& split, const std::string& where) {
  if (split.is_regex && split.behavior == SplitBehavior::isolated) {
    if (split.pattern == gpt2_pattern) return steps_.push_back({.kind = Kind::gpt2});
    if (split.pattern == llama3_pattern)
      return steps_.push_back({.kind = Kind::cl100k, .digits = 3});
    if (split.pattern == qwen_pattern) return steps_.push_back({.kind = Kind::cl100k, .digits = 1});
  }
  steps_.push_back({.kind = Kind::match, .split = split});
  if (split.is_regex) steps_.back().regex.emplace_back(split.pattern, where);
}

size_t Pretokenizer::digits_end(std::string_view text, size_t at, int most) {
  size_t bytes;
  bool numeric = is_numeric(text, at, bytes);
  if (!numeric) most = INT_MAX;
  do at += bytes;
  while (--most > 0 && at < text.size() && is_numeric(text, at, bytes) == numeric);
  return at;
}

// The matches one after the other, as the iterator of Rust's onig finds them, and what lies
// between.
std::vector<Pretokenizer::Part> Pretokenizer::parts(const Step& step, std::string_view text) {
  const SplitStep& split = step.split;
  const std::optional<std::string> older =
      split.is_regex ? with_older_characters(text) : std::nullopt;
  auto find = [&](size_t from) -> std::optional<Regex::Match> {
    if (split.is_regex) return step.regex[0].find(older ? *older : text, from);
    size_t at = text.find(split.pattern, from);
    if (at == text.npos) return {};
    return Regex::Match{at, at + split.pattern.size()};
  };
  std::vector<Part> found;
  size_t end = 0;  // of the last match
  bool any = false;
  for (size_t from = 0; from <= text.size();) {
    auto match = find(from);
    if (!match) break;
    if (match->begin == match->end && any && match->end == end) {  // no two empty ones in a row
      from += from < text.size() ? char_at(text, from).bytes : 1;
      continue;
    }
    if (match->begin > end) found.push_back({end, match->begin, split.invert});
    found.push_back({match->begin, match->end, !split.invert});
    from = end = match->end;
    any = true;
  }
  if (end < text.size()) found.push_back({end, text.size(), split.invert});

  std::vector<Part> parts;
  auto merged = [&](const Part& part, bool into_last) {
    if (into_last && !parts.empty())
      parts.back().begin = std::min(parts.back().begin, part.begin),
      parts.back().end = std::max(parts.back().end, part.end);
    else
      parts.push_back(part);
  };
  bool before = false;  // whether the part before matched
  switch (split.behavior) {
    case SplitBehavior::isolated:
      return found;
    case SplitBehavior::removed:
      std::erase_if(found, [](const Part& part) { return part.matches; });
      return found;
    case SplitBehavior::contiguous:
      for (const Part& part : found)
        merged(part, std::exchange(before, part.matches) == part.matches);
      return parts;
    case SplitBehavior::merged_with_previous:
      for (const Part& part : found)
        merged(part, !std::exchange(before, part.matches) && part.matches);
      return parts;
    case SplitBehavior::merged_with_next:
      std::ranges::reverse(found);
      for (const Part& part : found)
        merged(part, !std::exchange(before, part.matches) && part.matches);
      std::ranges::reverse(parts);
      return parts;
  }
  return parts;
}

size_t Pretokenizer::last_safe_cut(std::string_view text) const {
  switch (safe_cut_) {
    case SafeCut::none:
      return 0;
    case SafeCut::before_space:
      return last_space_cut(text);
    case SafeCut::before_white_space:
      return folio::last_safe_cut(text);
  }
  return 0;
}

}  // namespace folio
