#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/jinja/value.h"

namespace folio {

struct JinjaExpression;
using JinjaExpressionPtr = std::unique_ptr<JinjaExpression>;

// `parts` are the operands in order; null where one is left out.
struct JinjaExpression {
  enum Kind {
    constant,   // value
    variable,   // name
    list,       // [parts...]
    attribute,  // part.name
    item,       // part[part]
    slice,      // part[part:part:part]
    call,       // part(parts...)
    filter,     // part | name(parts...)
    test,       // part is name(parts...)
    negation,   // not part
    minus,      // -part
    binary,     // part NAME part: + - * // % ~ == != < <= > >= in and or
    choice,     // part if part else part
  };
  Kind kind;
  int line;
  std::string name = {};
  JinjaValue value = {};
  std::vector<JinjaExpressionPtr> parts = {};
  std::vector<std::pair<std::string, JinjaExpressionPtr>> named = {};  // f(name=part)
  int depth = 1;                                                       // of it and what lies within
};

struct JinjaStatement {
  enum Kind {
    text,           // name
    print,          // {{ expressions[0] }}
    set,            // name = expressions[0]
    set_attribute,  // name.attribute = expressions[0]
    choice,         // if and elif: bodies[i] where expressions[i] is true first, else the last body
    loop,           // for name in expressions[0]: bodies[0]
    scope,          // {% generation %} bodies[0], and the whole template
    leave,          // break
    next,           // continue
  };
  Kind kind;
  int line;
  std::string name = {}, attribute = {};
  std::vector<JinjaExpressionPtr> expressions = {};
  std::vector<std::vector<JinjaStatement>> bodies = {};
  std::vector<std::string> unset = {};  // of a loop or a scope: see scopes.h
};

}  // namespace folio
