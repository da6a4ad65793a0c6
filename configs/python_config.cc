#include "configs/python_config.h"

#include <charconv>
#include <cmath>

#include "configs/option_text.h"
#include "core/check.h"

namespace folio {
namespace {

using Known = std::map<std::string, OptionValue>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// The name at the front of `rest`, taken off it; empty where there is none.
std::string take_name(std::string_view& rest) {
  size_t size = 0;
  while (size < rest.size() && (is_letter(rest[size]) || (size > 0 && is_digit(rest[size]))))
    ++size;
  std::string name(rest.substr(0, size));
  rest.remove_prefix(size);
  return name;
}

std::string_view trimmed(std::string_view text) {
  size_t begin = std::min(text.find_first_not_of(" \t\r"), text.size());
  size_t end = text.find_last_not_of(" \t\r") + 1;
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  bool overflow = false;
  for (; exponent > 0 && !overflow; exponent >>= 1) {
    if (exponent & 1) overflow |= __builtin_mul_overflow(result, base, &result);
    if (exponent > 1) overflow |= __builtin_mul_overflow(base, base, &base);
  }
  check(!overflow, "the result is too large for an integer");
  return result;
}

int64_t of_integers(const std::string& op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") overflow = __builtin_add_overflow(a, b, &result);
  if (op == "-") overflow = __builtin_sub_overflow(a, b, &result);
  if (op == "*") overflow = __builtin_mul_overflow(a, b, &result);
  if (op == "//") {
    overflow = b == -1 && __builtin_sub_overflow(int64_t(0), a, &result);
    if (b != -1) result = a / b - (a % b != 0 && (a < 0) != (b < 0));
  }
  check(!overflow, "the result is too large for an integer");
  return op == "**" ? power(a, b) : result;
}

double of_numbers(const std::string& op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  return op == "/" ? a / b : std::floor(a / b);
}

double as_double(const OptionValue& value) {
  const auto* integer = std::get_if<int64_t>(&value);
  return integer ? double(*integer) : std::get<double>(value);
}

bool is_number(const OptionValue& value) {
  return std::holds_alternative<int64_t>(value) || std::holds_alternative<double>(value);
}

OptionValue computed(const std::string& op, const OptionValue& a, const OptionValue& b) {
  const auto *text = std::get_if<std::string>(&a), *more = std::get_if<std::string>(&b);
  if (op == "+" && text && more) return *text + *more;
  check(is_number(a) && is_number(b), "{} {} {} is nothing that folio computes", shown(a), op,
        shown(b));
  check((op != "/" && op != "//") || as_double(b) != 0, "division by zero");
  const auto *i = std::get_if<int64_t>(&a), *j = std::get_if<int64_t>(&b);
  bool integers = i && j && op != "/" && (op != "**" || *j >= 0);
  if (integers) return of_integers(op, *i, *j);
  return of_numbers(op, as_double(a), as_double(b));
}

// Python's grammar from the loosest operator to the tightest, a function each. Throws Error with
// the reason alone.
class Expression {
 public:
  Expression(std::string_view text, const Known& known) : rest_(text), known_(known) {}

  // The value of the whole text, up to a comment.
  OptionValue value() {
    OptionValue value = sum();
    skip_blanks();
    check(rest_.empty() || rest_[0] == '#', "{} was not expected", quoted(rest_));
    return value;
  }
  std::string_view rest() const { return rest_; }

 private:
  static constexpr int deepest = 100;

  void skip_blanks() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r"), rest_.size()));
  }

  bool take(std::string_view token) {
    skip_blanks();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  OptionValue sum() {
    OptionValue value = product();
    for (;;) {
      if (take("+"))
        value = computed("+", value, product());
      else if (take("-"))
        value = computed("-", value, product());
      else
        return value;
    }
  }

  OptionValue product() {
    OptionValue value = sign();
    for (;;) {
      if (take("//"))
        value = computed("//", value, sign());
      else if (take("/"))
        value = computed("/", value, sign());
      else if (take("*"))
        value = computed("*", value, sign());
      else
        return value;
    }
  }

  OptionValue sign() {
    check(++depth_ <= deepest, "it is nested more than {} deep", deepest);
    OptionValue value;
    if (take("-"))
      value = computed("-", int64_t(0), sign());
    else if (take("+"))
      value = computed("+", int64_t(0), sign());
    else
      value = raised();
    --depth_;
    return value;
  }

  OptionValue raised() {
    OptionValue value = atom();
    return take("**") ? computed("**", value, sign()) : value;
  }

  OptionValue atom() {
    skip_blanks();
    check(!rest_.empty() && rest_[0] != '#', "a value is missing");
    char c = rest_[0];
    if (c == '\'' || c == '"') return text(c);
    if (is_digit(c) || c == '.') return number();
    if (take("(")) {
      OptionValue value = sum();
      check(take(")"), "a ) is missing");
      return value;
    }
    std::string_view from = rest_;
    std::string name = take_name(rest_);
    check(!name.empty(), "{} was not expected", quoted(from));
    if (name == "True") return true;
    if (name == "False") return false;
    auto known = known_.find(name);
    check(known != known_.end(), "{} has no value here", quoted(name));
    return known->second;
  }

  OptionValue number() {
    size_t size = 1;
    auto goes_on = [&](char c) {
      bool exponents_sign = (c == '+' || c == '-') && (rest_[size - 1] | 0x20) == 'e';
      return is_digit(c) || is_letter(c) || c == '.' || exponents_sign;
    };
    while (size < rest_.size() && goes_on(rest_[size])) ++size;
    std::string_view text = rest_.substr(0, size);
    std::optional<OptionValue> number = number_from(text);
    check(number.has_value(), "{} is no number", quoted(text));
    rest_.remove_prefix(size);
    return *number;
  }

  OptionValue text(char quote) {
    static const std::map<char, char> escapes{{'n', '\n'},  {'t', '\t'},  {'r', '\r'},
                                              {'\\', '\\'}, {'\'', '\''}, {'"', '"'}};
    check(!rest_.starts_with(std::string(3, quote)), "text in three quotes is not read");
    std::string text;
    for (size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == quote) {
        rest_.remove_prefix(i + 1);
        return text;
      }
      bool escaped = rest_[i] == '\\' && i + 1 < rest_.size();
      auto escape = escaped ? escapes.find(rest_[++i]) : escapes.end();
      check(!escaped || escape != escapes.end(), "the escape \\{} is not read", rest_[i]);
      text += escaped ? escape->second : rest_[i];
    }
    fail("the text does not end");
  }

  std::string_view rest_;
  const Known& known_;
  int depth_ = 0;
};

// The name that a line assigns to, and in `value` what stands behind the =.
std::string assigned_name(std::string_view line, std::string_view& value) {
  check(line[0] != ' ' && line[0] != '\t', "the line is indented");
  value = line;
  std::string name = take_name(value);
  value = trimmed(value);
  check(!name.empty() && value.starts_with('=') && !value.starts_with("=="),
        "expected NAME = VALUE");
  value = trimmed(value.substr(1));
  return name;
}

// For a message: short, and without what would disturb a terminal.
std::string printable(std::string_view line) {
  std::string text(trimmed(line).substr(0, 100));
  for (char& c : text)
    if (uint8_t(c) < ' ' || c == 0x7f) c = '?';
  return text;
}

}  // namespace

std::optional<OptionValue> number_from(std::string_view text) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    bool between = i > 0 && i + 1 < text.size() && is_digit(text[i - 1]) && is_digit(text[i + 1]);
    if (text[i] != '_' || !between) digits += text[i];
  }
  const char* end = digits.data() + digits.size();
  auto whole = [&](std::from_chars_result result) {
    return result.ec == std::errc() && result.ptr == end;
  };
  int64_t integer = 0;
  if (whole(std::from_chars(digits.data(), end, integer))) return integer;
  double number = 0;
  if (whole(std::from_chars(digits.data(), end, number))) return number;
  return {};
}

std::vector<Assignment> read_assignments(
    std::string_view text, const std::string& path, Known known,
    const std::function<bool(const std::string& name, const std::string& where)>& wanted) {
  std::vector<Assignment> found;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n')), value;
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    std::string_view bare = trimmed(line);
    bool empty = bare.empty() || bare[0] == '#';
    if (empty || line.starts_with("import ") || line.starts_with("from ")) continue;
    std::string where = fmt::format("{}:{}", path, number), name;
    auto read = [&](auto&& step) {
      try {
        step();
      } catch (const Error& error) {
        fail("{}: {}; folio reads assignments and runs no Python: {}", where, error.what(),
             printable(line));
      }
    };
    read([&] { name = assigned_name(line, value); });
    if (!wanted(name, where)) continue;
    read([&] {
      Expression expression(value, known);
      known[name] = expression.value();
      value.remove_suffix(expression.rest().size());
    });
    found.push_back({name, known[name], std::string(trimmed(value)), where});
  }
  return found;
}

}  // namespace folio
