#include "data/jinja/value.h"

#include "core/check.h"

namespace folio {

JinjaValue JinjaValue::list(std::vector<JinjaValue> values) {
  return List(std::make_shared<const std::vector<JinjaValue>>(std::move(values)));
}

bool JinjaValue::is_true() const {
  if (const auto* text = get<MarkedText>()) return text->size() > 0;
  if (const auto* list = get<List>()) return !(*list)->empty();
  if (const auto* dict = get<Dict>()) return !(*dict)->empty();
  if (is_number()) return number() != 0;
  return !is<Undefined>() && !is<None>();
}

int64_t JinjaValue::number() const {
  const bool* truth = get<bool>();
  return truth ? int64_t(*truth) : std::get<int64_t>(any);
}

const char* JinjaValue::kind() const {
  constexpr const char* kinds[] = {"nothing", "none",   "a truth value", "a number", "a text",
                                   "a list",  "a dict", "a namespace",   "the loop", "a function"};
  return kinds[any.index()];
}

bool equal(const JinjaValue& a, const JinjaValue& b) {
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.any.index() != b.any.index()) return false;
  if (a.is<JinjaValue::Undefined>() || a.is<JinjaValue::None>()) return true;
  if (const MarkedText* text = a.text()) return text->text() == b.text()->text();
  const auto* list = a.get<JinjaValue::List>();
  if (!list) fail("== of {} and {}", a.kind(), b.kind());
  const auto& other = *b.get<JinjaValue::List>();
  if ((*list)->size() != other->size()) return false;
  for (size_t i = 0; i < other->size(); ++i)
    if (!equal((**list)[i], (*other)[i])) return false;
  return true;
}

}  // namespace folio
