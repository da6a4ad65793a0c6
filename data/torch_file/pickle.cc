#include "data/torch_file/pickle.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "data/text/utf8.h"

namespace folio {
namespace {

using Pointer = PickleValue::Pointer;

// Python's names, Lib/pickletools.py.
enum Opcode : uint8_t {
  MARK = '(',
  STOP = '.',
  BININT = 'J',
  BININT1 = 'K',
  BININT2 = 'M',
  NONE = 'N',
  BINPERSID = 'Q',
  REDUCE = 'R',
  BINUNICODE = 'X',
  APPEND = 'a',
  BUILD = 'b',
  GLOBAL = 'c',
  APPENDS = 'e',
  BINGET = 'h',
  LONG_BINGET = 'j',
  EMPTY_LIST = ']',
  BINPUT = 'q',
  LONG_BINPUT = 'r',
  SETITEM = 's',
  TUPLE = 't',
  EMPTY_TUPLE = ')',
  SETITEMS = 'u',
  EMPTY_DICT = '}',
  BINFLOAT = 'G',
  PROTO = 0x80,
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  TUPLE3 = 0x87,
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  LONG1 = 0x8a,
  SHORT_BINUNICODE = 0x8c,
  STACK_GLOBAL = 0x93,
  MEMOIZE = 0x94,
  FRAME = 0x95,
};

// Those that a pickle may also hold and that this machine refuses, for its message.
std::string_view refused_name(uint8_t opcode) {
  static const std::unordered_map<int, std::string_view> names = {{'0', "POP"},
                                                                  {'1', "POP_MARK"},
                                                                  {'2', "DUP"},
                                                                  {'F', "FLOAT"},
                                                                  {'I', "INT"},
                                                                  {'L', "LONG"},
                                                                  {'P', "PERSID"},
                                                                  {'S', "STRING"},
                                                                  {'T', "BINSTRING"},
                                                                  {'U', "SHORT_BINSTRING"},
                                                                  {'V', "UNICODE"},
                                                                  {'B', "BINBYTES"},
                                                                  {'C', "SHORT_BINBYTES"},
                                                                  {'d', "DICT"},
                                                                  {'g', "GET"},
                                                                  {'i', "INST"},
                                                                  {'l', "LIST"},
                                                                  {'o', "OBJ"},
                                                                  {'p', "PUT"},
                                                                  {0x81, "NEWOBJ"},
                                                                  {0x82, "EXT1"},
                                                                  {0x83, "EXT2"},
                                                                  {0x84, "EXT4"},
                                                                  {0x8b, "LONG4"},
                                                                  {0x8d, "BINUNICODE8"},
                                                                  {0x8e, "BINBYTES8"},
                                                                  {0x8f, "EMPTY_SET"},
                                                                  {0x90, "ADDITEMS"},
                                                                  {0x91, "FROZENSET"},
                                                                  {0x92, "NEWOBJ_EX"},
                                                                  {0x96, "BYTEARRAY8"},
                                                                  {0x97, "NEXT_BUFFER"},
                                                                  {0x98, "READONLY_BUFFER"}};
  auto found = names.find(opcode);
  return found == names.end() ? "unknown" : found->second;
}

class Unpickler {
 public:
  Unpickler(std::string_view bytes, const std::string& where,
            std::span<const std::string_view> allowed, std::deque<PickleValue>& values)
      : bytes_(bytes), where_(where), allowed_(allowed), values_(values) {}

  Pointer run() {
    require(!bytes_.empty() && uint8_t(bytes_[0]) == PROTO, "not a pickle of protocol 2 or later");
    while (true) {
      opcode_at_ = at_;
      uint8_t opcode = byte();
      if (opcode == STOP) break;
      step(opcode);
    }
    require(stack_.size() == 1 && marks_.empty(), "it ends with more or less than one object");
    return stack_[0];
  }

 private:
  template <class... Args>
  void require(bool ok, fmt::format_string<Args...> message, Args&&... args) const {
    if (ok) return;
    fail("{}: damaged at byte {}: {}", where_, opcode_at_,
         fmt::format(message, std::forward<Args>(args)...));
  }

  // --- bytes
  std::string_view take(uint64_t n) {
    require(n <= bytes_.size() - at_, "{} bytes are wanted, {} are left", n, bytes_.size() - at_);
    at_ += size_t(n);
    return bytes_.substr(at_ - size_t(n), size_t(n));
  }
  uint8_t byte() { return uint8_t(take(1)[0]); }
  uint64_t little_endian(size_t n) {
    uint64_t value = 0;
    size_t shift = 0;
    for (char c : take(n)) value |= uint64_t(uint8_t(c)) << shift, shift += 8;
    return value;
  }
  double big_endian_double() {
    uint64_t bits = 0;
    for (char c : take(8)) bits = bits << 8 | uint8_t(c);
    return std::bit_cast<double>(bits);
  }
  int64_t long1() {
    size_t n = byte();
    require(n <= 8, "an integer of {} bytes; at most 8 are read", n);
    uint64_t bits = little_endian(n);
    bool negative = n > 0 && n < 8 && (bits >> (8 * n - 1) & 1);
    return int64_t(negative ? bits | ~uint64_t(0) << 8 * n : bits);
  }
  std::string text(uint64_t n) {
    std::string_view bytes = take(n);
    for_each_code_point(bytes, where_ + ": a text", [](char32_t, size_t) {});
    return std::string(bytes);
  }
  std::string line() {
    size_t end = bytes_.find('\n', at_);
    require(end != bytes_.npos, "a line without end");
    std::string line = text(end - at_);
    ++at_;
    return line;
  }

  // --- objects
  template <class T>
  void push(T value) {
    stack_.push_back(&values_.emplace_back(PickleValue{std::move(value)}));
  }
  Pointer pop() {
    require(stack_.size() > base(), "an object is wanted, none is left");
    Pointer value = stack_.back();
    stack_.pop_back();
    return value;
  }
  // All since the last MARK, which goes too.
  std::vector<Pointer> pop_to_mark() {
    require(!marks_.empty(), "MARK is wanted");
    auto first = stack_.begin() + std::ptrdiff_t(marks_.back());
    std::vector<Pointer> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }
  size_t base() const { return marks_.empty() ? 0 : marks_.back(); }
  // The container on top of the stack, to be filled.
  template <class T>
  T& top(const char* wanted) {
    require(stack_.size() > base(), "{} is wanted, nothing is left", wanted);
    T* value = std::get_if<T>(&stack_.back()->data);
    require(value != nullptr, "{} is wanted, not {}", wanted, stack_.back()->kind());
    return *value;
  }
  void push_tuple(size_t n) {
    std::vector<Pointer> items(n);
    for (size_t i = n; i-- > 0;) items[i] = pop();
    push(PickleValue::Tuple{std::move(items)});
  }
  void append(const std::vector<Pointer>& items) {
    auto& list = top<PickleValue::List>("a list").items;
    list.insert(list.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<Pointer>& items) {
    require(items.size() % 2 == 0, "a key without a value");
    auto& dict = top<PickleValue::Dict>("a dict").items;
    for (size_t i = 0; i < items.size(); i += 2) dict.emplace_back(items[i], items[i + 1]);
  }
  void global(const std::string& module, const std::string& name) {
    std::string full = module + "." + name;
    check(std::ranges::find(allowed_, full) != allowed_.end(),
          "{}: it wants Python's {} (byte {}), which folio does not allow: it reads tensors and "
          "plain values, and runs nothing that a file asks for",
          where_, full, opcode_at_);
    push(PickleValue::Global{full});
  }
  std::string popped_text(const char* what) { return pop()->get<std::string>(what, "a text"); }

  void reduce() {
    Pointer arguments = pop(), function = pop();
    auto* global = function->get_if<PickleValue::Global>();
    require(global != nullptr, "{} is called", function->kind());
    auto* tuple = arguments->get_if<PickleValue::Tuple>();
    require(tuple != nullptr, "{} is called with {}", global->name, arguments->kind());
    if (global->name != "collections.OrderedDict")
      return push(PickleValue::Call{global->name, arguments});
    require(tuple->items.empty(), "collections.OrderedDict is called with arguments");
    push(PickleValue::Dict{});
  }
  // Sets attributes; all that a checkpoint has are those of the state_dict (its _metadata).
  void build() {
    Pointer state = pop();
    top<PickleValue::Dict>("an OrderedDict");
    require(state->get_if<PickleValue::Dict>() != nullptr, "its attributes are {}", state->kind());
  }

  void put(uint64_t place) {
    require(stack_.size() > base(), "an object is wanted, none is left");
    memo_[place] = stack_.back();
  }
  void get(uint64_t place) {
    auto found = memo_.find(place);
    require(found != memo_.end(), "object {} is wanted before it was made", place);
    stack_.push_back(found->second);
  }

  void step(uint8_t opcode) {
    switch (opcode) {
      case PROTO:
        return require(byte() <= 5, "a protocol later than Python's 5");
      case FRAME:
        return void(take(8));
      case MARK:
        return marks_.push_back(stack_.size());
      case NONE:
        return push(PickleValue::None{});
      case NEWTRUE:
      case NEWFALSE:
        return push(opcode == NEWTRUE);
      case BININT:
        return push(int64_t(int32_t(uint32_t(little_endian(4)))));
      case BININT1:
      case BININT2:
        return push(int64_t(little_endian(opcode == BININT1 ? 1 : 2)));
      case LONG1:
        return push(long1());
      case BINFLOAT:
        return push(big_endian_double());
      case BINUNICODE:
      case SHORT_BINUNICODE:
        return push(text(little_endian(opcode == BINUNICODE ? 4 : 1)));
      case EMPTY_LIST:
        return push(PickleValue::List{});
      case EMPTY_DICT:
        return push(PickleValue::Dict{});
      case EMPTY_TUPLE:
      case TUPLE1:
      case TUPLE2:
      case TUPLE3:
        return push_tuple(opcode == EMPTY_TUPLE ? 0 : size_t(opcode - TUPLE1 + 1));
      case TUPLE:
        return push(PickleValue::Tuple{pop_to_mark()});
      default:
        return step_on_objects(opcode);
    }
  }

  void step_on_objects(uint8_t opcode) {
    switch (opcode) {
      case APPEND: {
        Pointer item = pop();
        return append({item});
      }
      case APPENDS:
        return append(pop_to_mark());
      case SETITEM: {
        Pointer value = pop(), key = pop();
        return set_items({key, value});
      }
      case SETITEMS:
        return set_items(pop_to_mark());
      case BINPUT:
      case LONG_BINPUT:
        return put(little_endian(opcode == BINPUT ? 1 : 4));
      case MEMOIZE:
        return put(memo_.size());
      case BINGET:
      case LONG_BINGET:
        return get(little_endian(opcode == BINGET ? 1 : 4));
      case GLOBAL: {
        std::string module = line();
        return global(module, line());
      }
      case STACK_GLOBAL: {
        std::string name = popped_text("a global's name");
        return global(popped_text("a global's module"), name);
      }
      case REDUCE:
        return reduce();
      case BUILD:
        return build();
      case BINPERSID: {
        Pointer id = pop();
        return push(PickleValue::Persistent{id});
      }
      default:
        fail(
            "{}: it uses pickle's opcode {} ({:#04x}, byte {}), which no checkpoint of tensors "
            "and plain values needs; folio does not execute it",
            where_, refused_name(opcode), opcode, opcode_at_);
    }
  }

  std::string_view bytes_;
  const std::string& where_;
  std::span<const std::string_view> allowed_;
  std::deque<PickleValue>& values_;
  size_t at_ = 0, opcode_at_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

}  // namespace

std::string PickleValue::kind() const {
  struct Visitor {
    std::string operator()(None) { return "None"; }
    std::string operator()(bool value) { return value ? "True" : "False"; }
    std::string operator()(int64_t value) { return fmt::format("the int {}", value); }
    std::string operator()(double value) { return fmt::format("the float {}", value); }
    std::string operator()(const std::string& text) {
      return text.size() > 40 ? "a long text" : fmt::format("the text \"{}\"", text);
    }
    std::string operator()(const Global& global) { return global.name; }
    std::string operator()(const List&) { return "a list"; }
    std::string operator()(const Tuple&) { return "a tuple"; }
    std::string operator()(const Dict&) { return "a dict"; }
    std::string operator()(const Call& call) { return "the result of " + call.function; }
    std::string operator()(const Persistent&) { return "a storage"; }
  };
  return std::visit(Visitor{}, data);
}

Pickle::Pickle(std::string_view bytes, std::string where,
               std::span<const std::string_view> allowed) {
  root_ = Unpickler(bytes, where, allowed, values_).run();
}

const PickleValue* find(const PickleValue::Dict& dict, std::string_view key) {
  for (auto item = dict.items.rbegin(); item != dict.items.rend(); ++item) {
    auto* text = item->first->get_if<std::string>();
    if (text && *text == key) return item->second;
  }
  return nullptr;
}

}  // namespace folio
