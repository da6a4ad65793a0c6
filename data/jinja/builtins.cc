#include "data/jinja/builtins.h"

#include <algorithm>

#include "core/check.h"

namespace folio {
namespace {

using List = JinjaValue::List;
using Dict = JinjaValue::Dict;
using Undefined = JinjaValue::Undefined;

const MarkedText& text_argument(const JinjaArguments& arguments, size_t i, std::string_view name) {
  const bool given = i < arguments.in_order.size() && arguments.in_order[i].text();
  if (!given) fail("{}: folio follows it with a text as its argument {}", name, i + 1);
  return *arguments.in_order[i].text();
}

// How often at most, an argument that may be left out.
int64_t most_argument(const JinjaArguments& arguments, size_t i, const std::string& keyword,
                      std::string_view name) {
  const auto found = arguments.named.find(keyword);
  const bool in_order = i < arguments.in_order.size();
  check(arguments.size() <= i + 1 && (arguments.named.empty() || found != arguments.named.end()),
        "{}: folio does not follow these arguments", name);
  if (!in_order && found == arguments.named.end()) return -1;
  const JinjaValue& value = in_order ? arguments.in_order[i] : found->second;
  check(value.is<int64_t>(), "{}: folio follows it with a number as its argument {}", name, i + 1);
  return std::max<int64_t>(-1, value.number());
}

void take_none(const JinjaArguments& arguments, std::string_view name) {
  check(arguments.size() == 0, "{}: folio follows it without arguments", name);
}

MarkedText stripped(const MarkedText& text, const JinjaArguments& arguments, std::string_view name,
                    bool left, bool right) {
  if (arguments.size() == 0) return text.strip(left, right);
  check(arguments.size() == 1, "{}: folio follows it with one argument", name);
  return text.strip(text_argument(arguments, 0, name).text(), left, right);
}

JinjaValue list_of(const std::vector<MarkedText>& texts) {
  return JinjaValue::list(std::vector<JinjaValue>(texts.begin(), texts.end()));
}

MarkedText in_case(const MarkedText& text, std::string_view name) {
  const bool is_ascii = std::ranges::all_of(text.text(), [](char c) { return (c & 0x80) == 0; });
  check(is_ascii, "{}: folio follows it for ASCII alone", name);
  return name == "upper" ? text.upper() : text.lower();
}

MarkedText replaced(const MarkedText& text, const JinjaArguments& arguments,
                    std::string_view name) {
  const MarkedText& from = text_argument(arguments, 0, name);
  check(from.size() > 0, "{}: folio does not follow it for an empty text", name);
  const MarkedText& to = text_argument(arguments, 1, name);
  return text.replace(from.text(), to, most_argument(arguments, 2, "count", name));
}

JinjaValue text_method(const MarkedText& text, const std::string& name,
                       const JinjaArguments& arguments) {
  if (name == "strip") return stripped(text, arguments, name, true, true);
  if (name == "lstrip") return stripped(text, arguments, name, true, false);
  if (name == "rstrip") return stripped(text, arguments, name, false, true);
  if (name == "upper" || name == "lower") {
    take_none(arguments, name);
    return in_case(text, name);
  }
  if (name == "replace") return replaced(text, arguments, name);
  if (name == "split" || name == "rsplit") {
    const std::string& separator = text_argument(arguments, 0, name).text();
    check(!separator.empty(), "{}: an empty separator", name);
    const int64_t most = most_argument(arguments, 1, "maxsplit", name);
    return list_of(name == "split" ? text.split(separator, most)
                                   : text.split_from_right(separator, most));
  }
  if (name == "startswith" || name == "endswith") {
    check(arguments.size() == 1, "{}: folio follows it with one argument", name);
    const std::string& part = text_argument(arguments, 0, name).text();
    return name == "startswith" ? text.text().starts_with(part) : text.text().ends_with(part);
  }
  fail("{}: folio does not follow this method of a text", name);
}

int64_t length_of(const JinjaValue& value, std::string_view name) {
  if (value.is<Undefined>()) return 0;
  if (const MarkedText* text = value.text()) return std::ssize(text->characters());
  if (const auto* list = value.get<List>()) return std::ssize(**list);
  if (const auto* dict = value.get<Dict>()) return std::ssize(**dict);
  fail("{}: folio does not follow it for {}", name, value.kind());
}

// The elements of a list or the characters of a text.
std::vector<JinjaValue> elements_of(const JinjaValue& value, std::string_view name) {
  if (value.is<Undefined>()) return {};
  if (const auto* list = value.get<List>()) return **list;
  check(value.text(), "{}: folio does not follow it for {}", name, value.kind());
  std::vector<JinjaValue> all;
  for (MarkedText& one : value.text()->characters()) all.push_back(std::move(one));
  return all;
}

JinjaValue joined(const JinjaValue& value, const JinjaArguments& arguments) {
  check(arguments.size() <= 1, "join: folio follows it with one argument");
  MarkedText between, all;
  if (arguments.size() == 1) between = text_argument(arguments, 0, "join");
  bool first = true;
  for (const JinjaValue& element : elements_of(value, "join")) {
    if (!std::exchange(first, false)) all += between;
    all += printed(element);
  }
  return all;
}

// default(other, boolean=false)
JinjaValue or_default(const JinjaValue& value, const JinjaArguments& arguments) {
  const auto& [in_order, named] = arguments;
  const auto found = named.find("boolean");
  check(in_order.size() <= 2 && named.size() == (found == named.end() ? 0 : 1),
        "default: folio does not follow these arguments");
  const bool also_false = in_order.size() == 2 ? in_order[1].is_true()
                                               : found != named.end() && found->second.is_true();
  if (!value.is<Undefined>() && !(also_false && !value.is_true())) return value;
  return in_order.empty() ? MarkedText() : in_order[0];
}

// Attributes of Python's dict, that come before its keys.
bool is_method_of_dict(const std::string& name) {
  constexpr std::string_view methods[] = {"clear",      "copy",   "fromkeys", "get",
                                          "items",      "keys",   "pop",      "popitem",
                                          "setdefault", "update", "values"};
  return std::ranges::count(methods, name) > 0 || name.starts_with("_");
}

JinjaValue loop_attribute(const JinjaValue::Loop& loop, const std::string& name) {
  const auto [index0, length] = loop;
  if (name == "index0") return index0;
  if (name == "index") return index0 + 1;
  if (name == "revindex0") return length - index0 - 1;
  if (name == "revindex") return length - index0;
  if (name == "first") return index0 == 0;
  if (name == "last") return index0 == length - 1;
  if (name == "length") return length;
  fail("loop.{}: folio does not follow it", name);
}

// Of a sequence of `size`, counted from its end if it is negative; -1: it has none there.
int64_t place(int64_t index, int64_t size) {
  if (index < 0) index += size;
  return index < 0 || index >= size ? -1 : index;
}

bool contains(const JinjaValue& all, const JinjaValue& one) {
  if (all.is<Undefined>()) return false;
  if (const auto* list = all.get<List>())
    return std::ranges::any_of(**list, [&](const JinjaValue& other) { return equal(one, other); });
  check(one.text() && (all.text() || all.is<Dict>()), "in: folio does not look for {} in {}",
        one.kind(), all.kind());
  if (const MarkedText* text = all.text())
    return text->text().find(one.text()->text()) != std::string::npos;
  return (*all.get<Dict>())->contains(one.text()->text());
}

int64_t arithmetic(const std::string& name, int64_t left, int64_t right) {
  int64_t result = 0;
  bool overflows = false;
  if (name == "+") overflows = __builtin_add_overflow(left, right, &result);
  if (name == "-") overflows = __builtin_sub_overflow(left, right, &result);
  if (name == "*") overflows = __builtin_mul_overflow(left, right, &result);
  if (name == "%" || name == "//") {
    check(right > 0, "{}: folio follows it for numbers above 0", name);
    const int64_t rest = (left % right + right) % right;
    result = name == "%" ? rest : (left - rest) / right;
  }
  check(!overflows && name != "/", "{}: folio follows it for whole numbers of 64 bits", name);
  return result;
}

bool in_order(const std::string& name, const auto& left, const auto& right) {
  if (name == "<") return left < right;
  if (name == "<=") return left <= right;
  return name == ">" ? left > right : left >= right;
}

}  // namespace

MarkedText printed(const JinjaValue& value) {
  if (const MarkedText* text = value.text()) return *text;
  if (value.is<Undefined>()) return {};
  if (value.is<JinjaValue::None>()) return MarkedText::written("None");
  if (const bool* truth = value.get<bool>()) return MarkedText::written(*truth ? "True" : "False");
  if (value.is<int64_t>()) return MarkedText::written(std::to_string(value.number()));
  fail("folio does not print {}", value.kind());
}

JinjaValue call_method(const JinjaValue& object, const std::string& name,
                       const JinjaArguments& arguments) {
  if (const MarkedText* text = object.text()) return text_method(*text, name, arguments);
  const auto* dict = object.get<Dict>();
  check(dict && name == "get", "{}: folio does not follow this method of {}", name, object.kind());
  const bool has_other = arguments.in_order.size() == 2;
  check(arguments.named.empty() && (arguments.in_order.size() == 1 || has_other),
        "get: folio follows it with one or two arguments");
  const auto found = (*dict)->find(text_argument(arguments, 0, name).text());
  if (found != (*dict)->end()) return found->second;
  return has_other ? arguments.in_order[1] : JinjaValue::None{};
}

JinjaValue apply_filter(const JinjaValue& value, const std::string& name,
                        const JinjaArguments& arguments) {
  if (name == "default" || name == "d") return or_default(value, arguments);
  if (name == "join") return joined(value, arguments);
  if (name == "length" || name == "count") {
    take_none(arguments, name);
    return length_of(value, name);
  }
  if (name == "first" || name == "last" || name == "list") {
    take_none(arguments, name);
    std::vector<JinjaValue> all = elements_of(value, name);
    if (name == "list") return JinjaValue::list(std::move(all));
    if (all.empty()) return {};
    return name == "first" ? all.front() : all.back();
  }
  if (name == "string") {
    take_none(arguments, name);
    return printed(value);
  }
  constexpr std::string_view of_texts[] = {"trim", "upper", "lower", "replace"};
  check(std::ranges::count(of_texts, name) > 0, "folio does not follow the filter {}", name);
  check(value.text() || value.is<Undefined>(), "{}: folio does not follow it for {}", name,
        value.kind());
  return text_method(printed(value), name == "trim" ? "strip" : name, arguments);
}

bool apply_test(const JinjaValue& value, const std::string& name, const JinjaArguments& arguments) {
  if (name == "eq" || name == "equalto") {
    check(arguments.in_order.size() == 1 && arguments.named.empty(), "{}: needs one argument",
          name);
    return equal(value, arguments.in_order[0]);
  }
  take_none(arguments, name);
  const bool* truth = value.get<bool>();
  if (name == "defined") return !value.is<Undefined>();
  if (name == "undefined") return value.is<Undefined>();
  if (name == "none") return value.is<JinjaValue::None>();
  if (name == "string") return value.text();
  if (name == "mapping") return value.is<Dict>();
  if (name == "boolean") return truth;
  if (name == "true") return truth && *truth;
  if (name == "false") return truth && !*truth;
  if (name == "number") return value.is_number();
  if (name == "integer") return value.is<int64_t>();
  if ((name == "odd" || name == "even") && value.is_number())
    return (value.number() % 2 != 0) == (name == "odd");
  if (name == "iterable" || name == "sequence") {
    if (value.text() || value.is<List>() || value.is<Dict>()) return true;
    if (value.is<JinjaValue::None>() || value.is_number()) return false;
  }
  fail("folio does not follow the test \"{}\" for {}", name, value.kind());
}

JinjaValue attribute_of(const JinjaValue& object, const std::string& name) {
  if (const auto* loop = object.get<JinjaValue::Loop>()) return loop_attribute(*loop, name);
  const auto* dict = object.get<Dict>();
  const auto* space = object.get<JinjaValue::Namespace>();
  check((dict && !is_method_of_dict(name)) || (space && !name.starts_with("_")),
        ".{}: folio does not follow it for {}", name, object.kind());
  const std::map<std::string, JinjaValue>& members = dict ? **dict : **space;
  const auto found = members.find(name);
  return found == members.end() ? JinjaValue() : found->second;
}

JinjaValue item_of(const JinjaValue& object, const JinjaValue& key) {
  if (object.is<Dict>() && key.text()) return attribute_of(object, key.text()->text());
  check((object.is<List>() || object.text()) && key.is<int64_t>(),
        "[]: folio does not follow it with {} for {}", key.kind(), object.kind());
  const std::vector<JinjaValue> all = elements_of(object, "[]");
  const int64_t at = place(key.number(), std::ssize(all));
  return at < 0 ? JinjaValue() : all[size_t(at)];
}

JinjaValue slice_of(const JinjaValue& object, const JinjaValue& from, const JinjaValue& to,
                    const JinjaValue& step) {
  check(object.is<List>() || object.text(), "[:]: folio does not follow it for {}", object.kind());
  auto bound = [](const JinjaValue& value, int64_t otherwise) {
    check(value.is<Undefined>() || value.is<int64_t>(), "[:]: folio follows numbers alone");
    return value.is<Undefined>() ? otherwise : value.number();
  };
  const std::vector<JinjaValue> all = elements_of(object, "[:]");
  const int64_t size = std::ssize(all), by = bound(step, 1);
  check(by == 1 || by == -1, "[:]: folio follows steps of 1 and -1");
  auto cut = [&](int64_t index, int64_t least, int64_t most) {
    return std::clamp(index < 0 ? index + size : index, least, most);
  };
  std::vector<JinjaValue> part;
  if (by == 1) {
    const int64_t end = cut(bound(to, size), 0, size);
    for (int64_t i = cut(bound(from, 0), 0, size); i < end; ++i) part.push_back(all[size_t(i)]);
  } else {
    const int64_t end = to.is<Undefined>() ? -1 : cut(bound(to, 0), -1, size - 1);
    for (int64_t i = cut(bound(from, size - 1), -1, size - 1); i > end; --i)
      part.push_back(all[size_t(i)]);
  }
  if (object.is<List>()) return JinjaValue::list(std::move(part));
  MarkedText text;
  for (const JinjaValue& character : part) text += *character.text();
  return text;
}

JinjaValue apply_operator(const std::string& name, const JinjaValue& left,
                          const JinjaValue& right) {
  if (name == "==") return equal(left, right);
  if (name == "!=") return !equal(left, right);
  if (name == "in") return contains(right, left);
  if (name == "~" || (name == "+" && left.text() && right.text())) {
    MarkedText both = printed(left);
    both += printed(right);
    return both;
  }
  const bool compares = name[0] == '<' || name[0] == '>';
  if (left.is_number() && right.is_number()) {
    if (compares) return in_order(name, left.number(), right.number());
    return arithmetic(name, left.number(), right.number());
  }
  if (compares && left.text() && right.text())
    return in_order(name, left.text()->text(), right.text()->text());
  if (name == "+" && left.is<List>() && right.is<List>()) {
    std::vector<JinjaValue> both = **left.get<List>();
    both.insert(both.end(), (*right.get<List>())->begin(), (*right.get<List>())->end());
    return JinjaValue::list(std::move(both));
  }
  fail("{}: folio does not follow it between {} and {}", name, left.kind(), right.kind());
}

}  // namespace folio
