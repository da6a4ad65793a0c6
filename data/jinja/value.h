#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "data/jinja/marked_text.h"

namespace folio {

// What an expression of a template gives. `Undefined` is what Jinja makes of a name or a key that
// nothing has: no text, false, and an error where more is asked of it.
class JinjaValue {
 public:
  struct Undefined {};
  struct None {};
  struct Loop {  // `loop`, inside a for
    int64_t index0, length;
  };
  struct Function {
    std::string name;
  };
  using List = std::shared_ptr<const std::vector<JinjaValue>>;
  using Dict = std::shared_ptr<const std::map<std::string, JinjaValue>>;
  using Namespace = std::shared_ptr<std::map<std::string, JinjaValue>>;
  using Any = std::variant<Undefined, None, bool, int64_t, MarkedText, List, Dict, Namespace, Loop,
                           Function>;

  JinjaValue() = default;
  template <class T>
  JinjaValue(T value) : any(std::move(value)) {}
  static JinjaValue list(std::vector<JinjaValue> values);

  template <class T>
  bool is() const {
    return std::holds_alternative<T>(any);
  }
  template <class T>
  const T* get() const {
    return std::get_if<T>(&any);
  }
  const MarkedText* text() const { return get<MarkedText>(); }
  bool is_true() const;
  // A bool counts as 0 or 1, as in Python.
  bool is_number() const { return is<int64_t>() || is<bool>(); }
  int64_t number() const;
  // "a text", "a list": for messages.
  const char* kind() const;

  Any any;
};

// As Python's ==. Throws Error for what folio does not compare: dicts and what lies within.
bool equal(const JinjaValue& a, const JinjaValue& b);

}  // namespace folio
