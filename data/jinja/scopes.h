#pragma once
#include "data/jinja/syntax.h"

namespace folio {

// Finds the names that are nothing until they are set in a scope, whatever they are outside it
// (JinjaStatement::unset). Jinja decides that from the text of a template, not as it runs: a name
// belongs to the scope that sets it, and unless the scope reads it before, or sets it inside an if,
// or a scope around it speaks of it too, it has no value from outside.
void find_unset_names(JinjaStatement& root);

}  // namespace folio
