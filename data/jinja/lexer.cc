#include "data/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "core/check.h"
#include "data/jinja/marked_text.h"
#include "data/text/utf8.h"

namespace folio {
namespace {

bool is_digit(char c) { return '0' <= c && c <= '9'; }
bool begins_name(char c) { return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_'; }

// Jinja's line ends, "\n", and without the last of them.
std::string with_plain_lines(std::string_view source) {
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& where)
      : source_(with_plain_lines(source)), where_(where) {}

  std::vector<JinjaToken> run() {
    while (at_ < source_.size()) read_text();
    tokens_.push_back({JinjaToken::end, "", line_at(at_)});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void refuse(size_t at, const std::string& what) {
    fail("{}, line {}: {}", where_, line_at(at), what);
  }
  // Asked for places in order.
  int line_at(size_t at) {
    if (at < counted_) counted_ = 0, line_ = 1;
    line_ += int(std::count(source_.begin() + long(counted_), source_.begin() + long(at), '\n'));
    counted_ = at;
    return line_;
  }
  bool ahead(std::string_view text) const { return source_.compare(at_, text.size(), text) == 0; }
  void add(JinjaToken::Kind kind, std::string value, size_t at) {
    tokens_.push_back({kind, std::move(value), line_at(at)});
  }

  // What stands before a tag, and the tag.
  void read_text() {
    size_t tag = at_;
    while ((tag = source_.find('{', tag)) != source_.npos) {
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : ' ';
      if (next == '{' || next == '%' || next == '#') break;
      ++tag;
    }
    const bool has_tag = tag != source_.npos;
    const size_t begin = at_;
    std::string text = source_.substr(begin, has_tag ? tag - begin : source_.npos);
    if (!has_tag) {
      at_ = source_.size();
      return add(JinjaToken::text, text, begin);
    }
    const char kind = source_[tag + 1];
    at_ = tag + 2;
    const char sign = at_ < source_.size() ? source_[at_] : ' ';
    if (sign == '-' || sign == '+') ++at_;
    if (sign == '-') {
      text.resize(space_begins(text));
    } else if (sign != '+' && kind != '{') {
      const size_t line_begin = text.rfind('\n') + 1;  // 0 without one
      if ((line_begin > 0 || line_starting_) && skip_space(text, line_begin) == text.size())
        text.resize(line_begin);
    }
    if (!text.empty()) add(JinjaToken::text, text, begin);
    if (kind == '#')
      read_comment(tag);
    else
      read_tag(tag, kind == '{');
    line_starting_ = source_[at_ - 1] == '\n';
  }

  void read_comment(size_t tag) {
    const size_t close = source_.find("#}", at_);
    if (close == source_.npos) refuse(tag, "the comment {# has no end");
    const char sign = close > at_ ? source_[close - 1] : ' ';
    at_ = close + 2;
    after_tag(sign, /*trims=*/true);
  }

  // A tag ends in -%}, +%} or %}: the white space, nothing or the line's end behind it goes.
  void after_tag(char sign, bool trims) {
    if (sign == '-')
      at_ = skip_space(source_, at_);
    else if (sign != '+' && trims && at_ < source_.size() && source_[at_] == '\n')
      ++at_;
  }

  bool at_end_of_tag(bool prints) {
    const std::string_view close = prints ? "}}" : "%}";
    const bool has_sign = ahead("-") || (!prints && ahead("+"));
    if (source_.compare(at_ + (has_sign ? 1 : 0), 2, close) != 0) return false;
    add(prints ? JinjaToken::print_end : JinjaToken::block_end, "", at_);
    const char sign = has_sign ? source_[at_] : ' ';
    at_ += has_sign ? 3 : 2;
    after_tag(sign, /*trims=*/!prints);
    return true;
  }

  void read_tag(size_t tag, bool prints) {
    add(prints ? JinjaToken::print_begin : JinjaToken::block_begin, "", tag);
    std::string open;  // brackets, inside which }} ends nothing
    while (true) {
      if (at_ >= source_.size()) refuse(tag, prints ? "{{ has no end" : "{% has no end");
      if (open.empty() && at_end_of_tag(prints)) return;
      const size_t begin = at_;
      const char c = source_[at_];
      if (const size_t next = skip_space(source_, at_); next > at_) {
        at_ = next;
      } else if (is_digit(c)) {
        read_integer();
      } else if (begins_name(c)) {
        while (at_ < source_.size() && (begins_name(source_[at_]) || is_digit(source_[at_]))) ++at_;
        add(JinjaToken::name, source_.substr(begin, at_ - begin), begin);
      } else if (c == '\'' || c == '"') {
        read_string(c);
      } else {
        read_operator(open);
      }
    }
  }

  void read_integer() {
    const size_t begin = at_;
    while (at_ < source_.size() && is_digit(source_[at_])) ++at_;
    JinjaToken token{JinjaToken::integer, source_.substr(begin, at_ - begin), line_at(begin)};
    const char next = at_ < source_.size() ? source_[at_] : ' ';
    const char* end = token.value.data() + token.value.size();
    const bool is_one = std::from_chars(token.value.data(), end, token.number).ec == std::errc{} &&
                        (token.value[0] != '0' || token.value == "0") && next != '.' &&
                        !begins_name(next);
    if (!is_one) refuse(begin, fmt::format("folio reads whole numbers alone, not {}", token.value));
    tokens_.push_back(std::move(token));
  }

  void read_string(char quote) {
    const size_t begin = at_++;
    std::string value;
    for (; at_ < source_.size() && source_[at_] != quote; ++at_) {
      if (source_[at_] != '\\') {
        value += source_[at_];
        continue;
      }
      constexpr std::string_view escapes = "\\'\"ntr\n", meant = "\\'\"\n\t\r";
      const size_t which = at_ + 1 < source_.size() ? escapes.find(source_[at_ + 1]) : escapes.npos;
      if (which == escapes.npos)
        refuse(at_, fmt::format("folio does not follow the escape {}", source_.substr(at_, 2)));
      if (which < meant.size()) value += meant[which];  // the last joins two lines
      ++at_;
    }
    if (at_ >= source_.size()) refuse(begin, "a string has no end");
    ++at_;
    add(JinjaToken::string, value, begin);
  }

  void read_operator(std::string& open) {
    const size_t begin = at_;
    for (std::string_view two : {"==", "!=", ">=", "<=", "//", "**"}) {
      if (!ahead(two)) continue;
      at_ += 2;
      return add(JinjaToken::op, std::string(two), begin);
    }
    const char c = source_[at_];
    if (std::string_view("+-*/%~[](){}<>=.:|,;").find(c) == std::string_view::npos)
      refuse(begin, fmt::format("{} stands in a tag, where Jinja has no such thing",
                                describe(decode_utf8(source_, at_).code_point)));
    if (c == '(' || c == '[' || c == '{') open += c;
    if (c == ')' || c == ']' || c == '}') {
      const char opening = c == ')' ? '(' : char(c - 2);
      if (!open.ends_with(opening)) refuse(begin, fmt::format("{} closes nothing", c));
      open.pop_back();
    }
    ++at_;
    add(JinjaToken::op, std::string(1, c), begin);
  }

  const std::string source_, where_;
  size_t at_ = 0, counted_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag took its line's end with it
  std::vector<JinjaToken> tokens_;
};

}  // namespace

std::vector<JinjaToken> jinja_tokens(std::string_view source, const std::string& where) {
  return Lexer(source, where).run();
}

}  // namespace folio
