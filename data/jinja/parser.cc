#include "data/jinja/parser.h"

#include <algorithm>

#include "core/check.h"
#include "data/jinja/lexer.h"
#include "data/jinja/scopes.h"

namespace folio {
namespace {

using Expression = JinjaExpression;
using ExpressionPtr = JinjaExpressionPtr;
using Body = std::vector<JinjaStatement>;

constexpr int most_depth = 100;  // of expressions and of statements within each other

class Parser {
 public:
  Parser(std::string_view source, const std::string& where)
      : tokens_(jinja_tokens(source, where)), where_(where) {}

  JinjaStatement run() {
    JinjaStatement root{JinjaStatement::scope, 1};
    root.bodies.push_back(statements({}));
    find_unset_names(root);
    return root;
  }

 private:
  const JinjaToken& now() const { return tokens_[at_]; }
  const JinjaToken& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  [[noreturn]] void refuse(int line, const std::string& what) const {
    fail("{}, line {}: {}", where_, line, what);
  }
  [[noreturn]] void refuse_this() const {
    const JinjaToken& token = now();
    if (token.kind == JinjaToken::block_end || token.kind == JinjaToken::print_end)
      refuse(token.line, "the tag ends too early");
    refuse(token.line, fmt::format("\"{}\" here is beyond what folio follows", token.value));
  }
  bool is_op(std::string_view op) const {
    return now().kind == JinjaToken::op && now().value == op;
  }
  bool is_name(std::string_view name) const {
    return now().kind == JinjaToken::name && now().value == name;
  }
  bool skip_op(std::string_view op) {
    if (!is_op(op)) return false;
    ++at_;
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!is_name(name)) return false;
    ++at_;
    return true;
  }
  void expect_op(std::string_view op) {
    if (!skip_op(op)) refuse_this();
  }
  std::string expect_name() {
    if (now().kind != JinjaToken::name) refuse_this();
    return tokens_[at_++].value;
  }
  void expect(JinjaToken::Kind kind) {
    if (now().kind != kind) refuse_this();
    ++at_;
  }

  // Up to one of the names that end it, which is the next token then; up to the end of the template
  // without any.
  Body statements(const std::vector<std::string_view>& ends) {
    if (++depth_ > most_depth) refuse(now().line, "tags lie too deep within each other");
    Body body;
    const int begin = now().line;
    while (true) {
      const JinjaToken& token = now();
      if (token.kind == JinjaToken::end) {
        if (!ends.empty()) refuse(begin, fmt::format("there is no {{% {} %}}", ends.back()));
        break;
      }
      ++at_;
      if (token.kind == JinjaToken::text) {
        body.push_back({JinjaStatement::text, token.line, token.value});
      } else if (token.kind == JinjaToken::print_begin) {
        body.push_back({JinjaStatement::print, token.line});
        body.back().expressions.push_back(expression());
        expect(JinjaToken::print_end);
      } else if (now().kind == JinjaToken::name && std::ranges::count(ends, now().value) > 0) {
        break;
      } else {
        body.push_back(statement());
      }
    }
    --depth_;
    return body;
  }

  JinjaStatement statement() {
    const int line = now().line;
    const std::string tag = expect_name();
    if (tag == "set") return set(line);
    if (tag == "if") return choice(line);
    if (tag == "for") return loop(line);
    if (tag == "generation") {
      JinjaStatement scope{JinjaStatement::scope, line};
      expect(JinjaToken::block_end);
      scope.bodies.push_back(statements({"endgeneration"}));
      ++at_;
      expect(JinjaToken::block_end);
      return scope;
    }
    if ((tag == "break" || tag == "continue") && loops_ > 0) {
      expect(JinjaToken::block_end);
      return {tag == "break" ? JinjaStatement::leave : JinjaStatement::next, line};
    }
    refuse(line, fmt::format("folio does not follow the tag {{% {} %}}", tag));
  }

  JinjaStatement set(int line) {
    JinjaStatement set{JinjaStatement::set, line, expect_name()};
    if (skip_op(".")) {
      set.kind = JinjaStatement::set_attribute;
      set.attribute = expect_name();
    }
    expect_op("=");
    set.expressions.push_back(expression());
    expect(JinjaToken::block_end);
    return set;
  }

  JinjaStatement choice(int line) {
    JinjaStatement choice{JinjaStatement::choice, line};
    bool is_else = false;
    do {
      if (!is_else) choice.expressions.push_back(any());
      expect(JinjaToken::block_end);
      choice.bodies.push_back(is_else ? statements({"endif"})
                                      : statements({"elif", "else", "endif"}));
      is_else = is_name("else");
    } while (tokens_[at_++].value != "endif");
    expect(JinjaToken::block_end);
    return choice;
  }

  JinjaStatement loop(int line) {
    JinjaStatement loop{JinjaStatement::loop, line, expect_name()};
    if (!skip_name("in")) refuse_this();
    loop.expressions.push_back(any());
    if (now().kind != JinjaToken::block_end) refuse_this();
    ++at_;
    ++loops_;
    loop.bodies.push_back(statements({"endfor"}));
    --loops_;
    ++at_;
    expect(JinjaToken::block_end);
    return loop;
  }

  // An expression over `parts`.
  ExpressionPtr made(Expression::Kind kind, int line, std::string name, auto... parts) const {
    auto made = std::make_unique<Expression>(Expression{kind, line, std::move(name)});
    (add(*made, std::move(parts)), ...);
    return made;
  }
  void add(Expression& to, ExpressionPtr part) const {
    if (part) to.depth = std::max(to.depth, part->depth + 1);
    if (to.depth > most_depth) refuse(to.line, "an expression is nested too deep");
    to.parts.push_back(std::move(part));
  }

  ExpressionPtr expression() {
    if (++depth_ > most_depth) refuse(now().line, "an expression is nested too deep");
    ExpressionPtr value = any();
    while (is_name("if")) {
      const int line = tokens_[at_++].line;
      ExpressionPtr condition = any();
      ExpressionPtr otherwise = skip_name("else") ? expression() : nullptr;
      value = made(Expression::choice, line, "", std::move(condition), std::move(value),
                   std::move(otherwise));
    }
    --depth_;
    return value;
  }

  ExpressionPtr any() {  // of operands with `or` between them
    ExpressionPtr left = all();
    while (is_name("or")) {
      const int line = tokens_[at_++].line;
      left = made(Expression::binary, line, "or", std::move(left), all());
    }
    return left;
  }

  ExpressionPtr all() {
    ExpressionPtr left = negation();
    while (is_name("and")) {
      const int line = tokens_[at_++].line;
      left = made(Expression::binary, line, "and", std::move(left), negation());
    }
    return left;
  }

  ExpressionPtr negation() {
    if (!is_name("not")) return comparison();
    const int line = tokens_[at_++].line;
    if (++depth_ > most_depth) refuse(line, "an expression is nested too deep");
    ExpressionPtr inner = negation();
    --depth_;
    return made(Expression::negation, line, "", std::move(inner));
  }

  ExpressionPtr comparison() {
    ExpressionPtr left = sum();
    for (int compared = 0;; ++compared) {
      const int line = now().line;
      bool negated = false;
      std::string op;
      for (std::string_view one : {"==", "!=", "<", "<=", ">", ">="})
        if (is_op(one)) op = one;
      if (is_name("in")) op = "in";
      if (is_name("not") && ahead().kind == JinjaToken::name && ahead().value == "in") {
        op = "in";
        negated = true;
        ++at_;
      }
      if (op.empty()) return left;
      if (compared > 0) refuse(line, "folio does not follow comparisons in a row");
      ++at_;
      left = made(Expression::binary, line, op, std::move(left), sum());
      if (negated) left = made(Expression::negation, line, "", std::move(left));
    }
  }

  // Operands of the next kind with one of `ops` between them.
  ExpressionPtr chain(std::initializer_list<std::string_view> ops,
                      ExpressionPtr (Parser::*operand)()) {
    ExpressionPtr left = (this->*operand)();
    while (now().kind == JinjaToken::op && std::ranges::count(ops, now().value) > 0) {
      const JinjaToken& op = tokens_[at_++];
      left = made(Expression::binary, op.line, op.value, std::move(left), (this->*operand)());
    }
    return left;
  }
  ExpressionPtr sum() { return chain({"+", "-"}, &Parser::joined); }
  ExpressionPtr joined() { return chain({"~"}, &Parser::product); }
  ExpressionPtr product() { return chain({"*", "/", "//", "%"}, &Parser::filtered); }

  ExpressionPtr filtered() {
    ExpressionPtr value = unary();
    while (true) {
      if (is_op("|")) {
        const int line = tokens_[at_++].line;
        value = made(Expression::filter, line, expect_name(), std::move(value));
        if (is_op("(")) arguments(*value);
      } else if (is_name("is")) {
        value = test(std::move(value));
      } else {
        return value;
      }
    }
  }

  ExpressionPtr test(ExpressionPtr value) {
    const int line = tokens_[at_++].line;
    const bool negated = skip_name("not");
    value = made(Expression::test, line, expect_name(), std::move(value));
    if (is_op("(")) {
      arguments(*value);
    } else if (now().kind == JinjaToken::string || now().kind == JinjaToken::integer ||
               is_op("[") ||
               (now().kind == JinjaToken::name && !is_name("else") && !is_name("or") &&
                !is_name("and"))) {
      refuse_this();  // an argument without parentheses: `is eq 1`
    }
    return negated ? made(Expression::negation, line, "", std::move(value)) : std::move(value);
  }

  ExpressionPtr unary() {
    if (is_op("+")) refuse_this();
    if (!is_op("-")) return postfix(primary());
    const int line = tokens_[at_++].line;
    if (now().kind != JinjaToken::integer && now().kind != JinjaToken::name) refuse_this();
    return made(Expression::minus, line, "", postfix(primary()));
  }

  ExpressionPtr primary() {
    const JinjaToken& token = now();
    ++at_;
    auto constant = [&](JinjaValue value) {
      ExpressionPtr made = this->made(Expression::constant, token.line, "");
      made->value = std::move(value);
      return made;
    };
    if (token.kind == JinjaToken::name) {
      if (token.value == "true" || token.value == "True") return constant(true);
      if (token.value == "false" || token.value == "False") return constant(false);
      if (token.value == "none" || token.value == "None") return constant(JinjaValue::None{});
      return made(Expression::variable, token.line, token.value);
    }
    if (token.kind == JinjaToken::integer) return constant(token.number);
    if (token.kind == JinjaToken::string) {
      std::string text = token.value;
      for (; now().kind == JinjaToken::string; ++at_) text += now().value;
      return constant(MarkedText::written(text));
    }
    if (token.kind == JinjaToken::op && token.value == "(") {
      ExpressionPtr inner = expression();
      expect_op(")");
      return inner;
    }
    if (token.kind != JinjaToken::op || token.value != "[") {
      --at_;
      refuse_this();
    }
    ExpressionPtr list = made(Expression::list, token.line, "");
    while (!skip_op("]")) {
      if (!list->parts.empty()) expect_op(",");
      if (skip_op("]")) break;
      add(*list, expression());
    }
    return list;
  }

  ExpressionPtr postfix(ExpressionPtr value) {
    while (true) {
      const int line = now().line;
      if (skip_op(".")) {
        value = made(Expression::attribute, line, expect_name(), std::move(value));
      } else if (skip_op("[")) {
        value = subscript(line, std::move(value));
      } else if (is_op("(")) {
        value = made(Expression::call, line, "", std::move(value));
        arguments(*value);
      } else {
        return value;
      }
    }
  }

  ExpressionPtr subscript(int line, ExpressionPtr value) {
    std::vector<ExpressionPtr> bounds(1);
    while (!skip_op("]")) {
      if (skip_op(":"))
        bounds.emplace_back();
      else if (bounds.back())
        refuse_this();
      else
        bounds.back() = expression();
    }
    if (bounds.size() > 3 || (bounds.size() == 1 && !bounds[0]))
      refuse(line, "folio does not follow this subscript");
    value =
        made(bounds.size() == 1 ? Expression::item : Expression::slice, line, "", std::move(value));
    for (ExpressionPtr& bound : bounds) add(*value, std::move(bound));
    return value;
  }

  void arguments(Expression& to) {
    expect_op("(");
    bool first = true;
    while (!skip_op(")")) {
      if (!first) expect_op(",");
      first = false;
      if (skip_op(")")) break;
      if (now().kind == JinjaToken::name && ahead().kind == JinjaToken::op &&
          ahead().value == "=") {
        const std::string name = expect_name();
        ++at_;
        ExpressionPtr value = expression();
        to.depth = std::max(to.depth, value->depth + 1);
        to.named.emplace_back(name, std::move(value));
      } else {
        if (!to.named.empty()) refuse_this();
        add(to, expression());
      }
    }
    if (to.depth > most_depth) refuse(to.line, "an expression is nested too deep");
  }

  std::vector<JinjaToken> tokens_;
  const std::string where_;
  size_t at_ = 0;
  int depth_ = 0, loops_ = 0;
};

}  // namespace

JinjaStatement parse_jinja(std::string_view source, const std::string& where) {
  return Parser(source, where).run();
}

}  // namespace folio
