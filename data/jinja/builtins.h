#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/jinja/value.h"

namespace folio {

// What a call, a filter or a test gets besides the value that it is about.
struct JinjaArguments {
  std::vector<JinjaValue> in_order;
  std::map<std::string, JinjaValue> named;

  size_t size() const { return in_order.size() + named.size(); }
};

// Each gives what Jinja gives, and throws Error for a name, an argument or a value that folio does
// not follow it in; messages begin with the name.
JinjaValue call_method(const JinjaValue& object, const std::string& name,
                       const JinjaArguments& arguments);  // text.strip(), dict.get(key)
JinjaValue apply_filter(const JinjaValue& value, const std::string& name,
                        const JinjaArguments& arguments);
bool apply_test(const JinjaValue& value, const std::string& name, const JinjaArguments& arguments);

// What {{ value }} prints.
MarkedText printed(const JinjaValue& value);

// object.name and object[key], where there is no call behind it.
JinjaValue attribute_of(const JinjaValue& object, const std::string& name);
JinjaValue item_of(const JinjaValue& object, const JinjaValue& key);
// object[from:to:step]; those that are Undefined are left out.
JinjaValue slice_of(const JinjaValue& object, const JinjaValue& from, const JinjaValue& to,
                    const JinjaValue& step);

// left NAME right, but for `and` and `or`.
JinjaValue apply_operator(const std::string& name, const JinjaValue& left, const JinjaValue& right);

}  // namespace folio
