#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/check.h"

namespace folio {

// A Python object of a pickle, of the kinds that checkpoints are made of. Objects may refer to
// each other in any way, in circles too: whoever walks them must know how deep to go.
struct PickleValue {
  using Pointer = const PickleValue*;  // lives as long as its Pickle
  struct None {};
  struct Global {  // "torch.FloatStorage": a name, never looked up
    std::string name;
  };
  struct List {
    std::vector<Pointer> items;
  };
  struct Tuple {
    std::vector<Pointer> items;
  };
  struct Dict {  // an OrderedDict too
    std::vector<std::pair<Pointer, Pointer>> items;
  };
  struct Call {  // what `function(*arguments)` would give; it is never called
    std::string function;
    Pointer arguments;  // a Tuple
  };
  struct Persistent {  // an object that the pickle's writer keeps elsewhere, by its id
    Pointer id;
  };
  std::variant<None, bool, int64_t, double, std::string, Global, List, Tuple, Dict, Call,
               Persistent>
      data;

  std::string kind() const;  // "a dict", "the int 3", "torch.FloatStorage", for messages

  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data);
  }
  // Throws Error, "WHAT should be WANTED, not KIND".
  template <class T>
  const T& get(std::string_view what, std::string_view wanted) const {
    if (const T* value = get_if<T>()) return *value;
    fail("{} should be {}, not {}", what, wanted, kind());
  }
};

// The object that a pickle describes (Python's protocols 2 to 5). Nothing is executed: only the
// opcodes that build plain objects are known, a global must be one of `allowed`
// ("module.name"), and what it would be called with is only noted down. Throws Error, which starts
// with `where` and names the opcode or the global, for anything else. Memory stays in proportion
// to `bytes`.
class Pickle {
 public:
  Pickle(std::string_view bytes, std::string where, std::span<const std::string_view> allowed);

  const PickleValue& root() const { return *root_; }

 private:
  std::deque<PickleValue> values_;
  PickleValue::Pointer root_ = nullptr;
};

// The value of a text key; null without one. The last counts, as in Python.
const PickleValue* find(const PickleValue::Dict& dict, std::string_view key);

}  // namespace folio
