#include "data/jinja/scopes.h"

#include <set>

namespace folio {
namespace {

using Names = std::set<std::string>;

// What one scope speaks of, by its own statements: bodies of loops are scopes of their own.
class Scope {
 public:
  // `outside` are the names that the scopes around it speak of.
  Scope(JinjaStatement& scope, Names outside) : scope_(scope), outside_(std::move(outside)) {
    if (scope.kind == JinjaStatement::loop) names_ = {scope.name, "loop"};
    for (JinjaStatement& statement : scope.bodies[0]) visit(statement, /*always=*/true);
    outside_.merge(Names(names_));
    for (JinjaStatement* inner : inner_) Scope(*inner, outside_);
  }

 private:
  void read(const JinjaExpression* expression) {
    if (!expression) return;
    if (expression->kind == JinjaExpression::variable && !outside_.contains(expression->name))
      names_.insert(expression->name);
    for (const JinjaExpressionPtr& part : expression->parts) read(part.get());
    for (const auto& [name, argument] : expression->named) read(argument.get());
  }

  // `always`: not inside an if.
  void visit(JinjaStatement& statement, bool always) {
    for (const JinjaExpressionPtr& expression : statement.expressions) read(expression.get());
    switch (statement.kind) {
      case JinjaStatement::set:
        if (names_.insert(statement.name).second && always && !outside_.contains(statement.name))
          scope_.unset.push_back(statement.name);
        return;
      case JinjaStatement::set_attribute:
        if (!outside_.contains(statement.name)) names_.insert(statement.name);
        return;
      case JinjaStatement::choice:
        for (auto& body : statement.bodies)
          for (JinjaStatement& inner : body) visit(inner, false);
        return;
      case JinjaStatement::loop:
      case JinjaStatement::scope:
        inner_.push_back(&statement);
        return;
      default:
        return;
    }
  }

  JinjaStatement& scope_;
  Names outside_, names_;
  std::vector<JinjaStatement*> inner_;
};

}  // namespace

void find_unset_names(JinjaStatement& root) { Scope(root, {}); }

}  // namespace folio
