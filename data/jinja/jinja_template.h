#pragma once
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/jinja/syntax.h"

namespace folio {

// What a template is rendered with.
struct JinjaInput {
  std::map<std::string, JinjaValue> variables;
  std::map<std::string, std::string> unknown = {};  // names of others, and why nobody knows them
  std::time_t now = 0;                              // for strftime_now, in the local time zone
};

// A chat template as Hugging Face's models have them: a part of Jinja, with transformers' settings
// and functions (raise_exception, strftime_now, namespace). It gives the very text that
// transformers renders, or an Error "WHERE, line N: ..." that names what folio does not follow it
// in.
class JinjaTemplate {
 public:
  // `where` is what messages call it: its file, and the key.
  JinjaTemplate(std::string_view source, std::string where);

  // The Error of raise_exception has its message. A template that goes on and on is an Error too.
  MarkedText render(const JinjaInput& input) const;

 private:
  std::string where_;
  std::shared_ptr<const JinjaStatement> root_;
};

}  // namespace folio
