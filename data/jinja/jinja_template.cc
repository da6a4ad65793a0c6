#include "data/jinja/jinja_template.h"

#include <algorithm>

#include "core/check.h"
#include "data/jinja/builtins.h"
#include "data/jinja/parser.h"

namespace folio {
namespace {

using Expression = JinjaExpression;

// Steps of one rendering, and 64s of bytes that they make: a bound on its time.
constexpr int64_t most_work = 1 << 19;

// What every template has besides its input, defined though folio may not follow it.
bool is_function(std::string_view name) {
  constexpr std::string_view functions[] = {
      "namespace", "raise_exception", "strftime_now", "range", "dict",
      "lipsum",    "cycler",          "joiner",       "self"};
  return std::ranges::count(functions, name) > 0;
}

// Python's strftime, where C's says the same.
std::string formatted(std::time_t now, const std::string& format) {
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') continue;
    ++i;
    const bool known = i < format.size() && std::string_view("aAbBdHIjmMpSyY%").find(format[i]) !=
                                                std::string_view::npos;
    check(known, "strftime_now: folio does not follow the format \"{}\"", format);
  }
  check(format.size() < 1000, "strftime_now: a format of {} bytes", format.size());
  std::tm time{};
  localtime_r(&now, &time);
  std::string text(size_t{20} * format.size() + 1, '\0');
  text.resize(std::strftime(text.data(), text.size(), format.c_str(), &time));
  return text;
}

class Rendering {
 public:
  Rendering(const JinjaInput& input, const std::string& where)
      : input_(input), where_(where), frames_{input.variables} {}

  MarkedText run(const JinjaStatement& root) {
    run_one(root);
    return std::move(output_);
  }

 private:
  enum class Then { goes_on, next, leaves };

  // What is wrong at a line of the template; what lies within has named its own.
  template <class F>
  auto at_line(int line, F&& f) {
    try {
      return f();
    } catch (const Error& error) {
      const std::string what = error.what();
      if (what.starts_with(where_)) throw;
      fail("{}, line {}: {}", where_, line, what);
    }
  }
  void count(size_t bytes) {
    work_ += 1 + int64_t(bytes / 64);
    check(work_ < most_work, "the template goes on and on; folio stops here");
  }

  Then run_body(const std::vector<JinjaStatement>& body) {
    for (const JinjaStatement& statement : body) {
      const Then then = at_line(statement.line, [&] { return run_one(statement); });
      if (then != Then::goes_on) return then;
    }
    return Then::goes_on;
  }

  Then run_one(const JinjaStatement& s) {
    count(0);
    switch (s.kind) {
      case JinjaStatement::text:
        print(MarkedText::written(s.name));
        return Then::goes_on;
      case JinjaStatement::print:
        print(printed(value(*s.expressions[0])));
        return Then::goes_on;
      case JinjaStatement::set:
        frames_.back()[s.name] = value(*s.expressions[0]);
        return Then::goes_on;
      case JinjaStatement::set_attribute:
        set_attribute(s);
        return Then::goes_on;
      case JinjaStatement::choice:
        return choose(s);
      case JinjaStatement::loop:
        loop(s);
        return Then::goes_on;
      case JinjaStatement::scope: {
        enter(s);
        const Then then = run_body(s.bodies[0]);
        frames_.pop_back();
        return then;
      }
      case JinjaStatement::leave:
        return Then::leaves;
      default:
        return Then::next;
    }
  }

  void enter(const JinjaStatement& scope) {
    frames_.emplace_back();
    for (const std::string& name : scope.unset) frames_.back()[name] = JinjaValue();
  }

  void print(const MarkedText& text) {
    count(text.size());
    output_ += text;
  }

  void set_attribute(const JinjaStatement& s) {
    JinjaValue made = value(*s.expressions[0]);
    const JinjaValue object = variable(s.name);
    const auto* space = object.get<JinjaValue::Namespace>();
    check(space && !s.attribute.starts_with("_") && !made.is<JinjaValue::Namespace>(),
          "{}.{}: folio sets attributes of a namespace alone, and to no other", s.name,
          s.attribute);
    (**space)[s.attribute] = std::move(made);
  }

  Then choose(const JinjaStatement& s) {
    for (size_t i = 0; i < s.bodies.size(); ++i)
      if (i >= s.expressions.size() || value(*s.expressions[i]).is_true())
        return run_body(s.bodies[i]);
    return Then::goes_on;
  }

  void loop(const JinjaStatement& s) {
    const JinjaValue over = value(*s.expressions[0]);
    check(over.text() || over.is<JinjaValue::List>() || over.is<JinjaValue::Undefined>(),
          "for: folio does not go through {}", over.kind());
    const JinjaValue all = apply_filter(over, "list", {});
    const std::vector<JinjaValue>& elements = **all.get<JinjaValue::List>();
    for (size_t i = 0; i < elements.size(); ++i) {
      enter(s);
      frames_.back()["loop"] = JinjaValue::Loop{int64_t(i), std::ssize(elements)};
      frames_.back()[s.name] = elements[i];
      const Then then = run_body(s.bodies[0]);
      frames_.pop_back();
      if (then == Then::leaves) return;
    }
  }

  JinjaValue variable(const std::string& name) const {
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame)
      if (auto found = frame->find(name); found != frame->end()) return found->second;
    if (is_function(name)) return JinjaValue::Function{name};
    const auto unknown = input_.unknown.find(name);
    if (unknown != input_.unknown.end()) fail("{}: {}", name, unknown->second);
    return {};
  }

  JinjaValue value(const Expression& e) {
    JinjaValue made = at_line(e.line, [&] { return evaluate(e); });
    count(made.text() ? made.text()->size() : 0);
    if (const auto* list = made.get<JinjaValue::List>()) count((*list)->size() * 64);
    return made;
  }
  JinjaValue part(const Expression& e, size_t i) {
    return e.parts[i] ? value(*e.parts[i]) : JinjaValue();
  }

  JinjaValue evaluate(const Expression& e) {
    switch (e.kind) {
      case Expression::constant:
        return e.value;
      case Expression::variable:
        return variable(e.name);
      case Expression::list:
        return list(e);
      case Expression::attribute:
        return attribute_of(part(e, 0), e.name);
      case Expression::item:
        return item_of(part(e, 0), part(e, 1));
      case Expression::slice:
        return slice(e);
      case Expression::call:
        return call(e);
      case Expression::filter:
        return apply_filter(part(e, 0), e.name, arguments(e));
      case Expression::test:
        return apply_test(part(e, 0), e.name, arguments(e));
      case Expression::negation:
        return !part(e, 0).is_true();
      case Expression::minus:
        return apply_operator("-", int64_t{0}, part(e, 0));
      case Expression::binary:
        return binary(e);
      default:
        return part(e, part(e, 0).is_true() ? 1 : 2);
    }
  }

  JinjaValue list(const Expression& e) {
    std::vector<JinjaValue> all;
    for (const auto& one : e.parts) {
      all.push_back(value(*one));
      check(!all.back().is<JinjaValue::Namespace>(),
            "a list of namespaces");  // which could be cyclic
    }
    return JinjaValue::list(std::move(all));
  }

  JinjaValue slice(const Expression& e) {
    std::vector<JinjaValue> bounds(3);
    for (size_t i = 1; i < e.parts.size(); ++i) {
      bounds[i - 1] = part(e, i);
      check(!e.parts[i] || !bounds[i - 1].is<JinjaValue::Undefined>(),
            "[:]: a bound that nothing defines");
    }
    return slice_of(part(e, 0), bounds[0], bounds[1], bounds[2]);
  }

  JinjaValue binary(const Expression& e) {
    JinjaValue left = part(e, 0);
    if (e.name == "and") return left.is_true() ? part(e, 1) : left;
    if (e.name == "or") return left.is_true() ? left : part(e, 1);
    return apply_operator(e.name, left, part(e, 1));
  }

  JinjaArguments arguments(const Expression& e) {
    JinjaArguments all;
    for (size_t i = 1; i < e.parts.size(); ++i) all.in_order.push_back(part(e, i));
    for (const auto& [name, argument] : e.named) all.named[name] = value(*argument);
    return all;
  }

  JinjaValue call(const Expression& e) {
    const Expression& callee = *e.parts[0];
    if (callee.kind == Expression::attribute)
      return call_method(value(*callee.parts[0]), callee.name, arguments(e));
    const JinjaValue called = value(callee);
    const auto* function = called.get<JinjaValue::Function>();
    check(function, "folio does not call {}", called.kind());
    const JinjaArguments all = arguments(e);
    const MarkedText* text =
        all.size() == 1 && all.named.empty() ? all.in_order[0].text() : nullptr;
    if (function->name == "namespace" && all.in_order.empty()) {
      for (const auto& [name, one] : all.named)
        check(!name.starts_with("_") && !one.is<JinjaValue::Namespace>(),
              "namespace: folio does not follow its attribute {}", name);
      return JinjaValue::Namespace(std::make_shared<std::map<std::string, JinjaValue>>(all.named));
    }
    if (function->name == "raise_exception" && text)
      fail("the template refuses this conversation: {}", text->text());
    if (function->name == "strftime_now" && text)
      return MarkedText::written(formatted(input_.now, text->text()));
    fail("folio does not follow {}() with these arguments", function->name);
  }

  const JinjaInput& input_;
  const std::string& where_;
  std::vector<std::map<std::string, JinjaValue>> frames_;  // names, the innermost last
  MarkedText output_;
  int64_t work_ = 0;
};

}  // namespace

JinjaTemplate::JinjaTemplate(std::string_view source, std::string where)
    : where_(std::move(where)),
      root_(std::make_shared<const JinjaStatement>(parse_jinja(source, where_))) {}

MarkedText JinjaTemplate::render(const JinjaInput& input) const {
  return Rendering(input, where_).run(*root_);
}

}  // namespace folio
