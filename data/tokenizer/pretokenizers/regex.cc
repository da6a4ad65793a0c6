#include "data/tokenizer/pretokenizers/regex.h"

#include <oniguruma.h>

#include "core/check.h"
#include "data/tokenizer/file_place.h"

namespace folio {
namespace {

constexpr size_t most_bytes = 10000;  // of a pattern

template <auto F>
struct Free {
  void operator()(auto* p) const { F(p); }
};
void free_region(OnigRegion* region) { onig_region_free(region, 1); }

const OnigUChar* bytes(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

void initialize() {
  static const int result = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    return onig_initialize(encodings, 1);
  }();
  check(result == ONIG_NORMAL, "Oniguruma cannot start: error {}", result);
}

// Steps that a search may take which passes this many bytes. What files ask for takes a few each.
size_t fair_steps(size_t passed) { return 1000 + 64 * passed; }

// The state of a thread's searches.
struct Search {
  std::unique_ptr<OnigRegion, Free<free_region>> region{onig_region_new()};
  std::unique_ptr<OnigMatchParam, Free<onig_free_match_param>> limits{onig_new_match_param()};
};

}  // namespace

struct Regex::Compiled {
  regex_t* code = nullptr;
  ~Compiled() {
    if (code) onig_free(code);
  }
};

Regex::Regex(const std::string& pattern, const std::string& where) : pattern_(pattern) {
  check(pattern.size() <= most_bytes, "{}: a pattern of {} bytes; folio takes at most {}", where,
        pattern.size(), most_bytes);
  initialize();
  auto compiled = std::make_shared<Compiled>();
  OnigErrorInfo info{};
  int error = onig_new(&compiled->code, bytes(pattern), bytes(pattern) + pattern.size(),
                       ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
  if (error != ONIG_NORMAL) {
    OnigUChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
    int length = onig_error_code_to_str(text, error, &info);
    compiled->code = nullptr;  // onig_new has freed it
    fail("{}: \"{}\" is no pattern: {}", where, Excerpt{pattern},
         std::string_view(reinterpret_cast<const char*>(text), size_t(length)));
  }
  compiled_ = compiled;
}

// A search may take as many steps as are fair for all of the text, but when it has a match, not
// many more than are fair for what it passed: so that a text takes time in proportion to its
// length. As the passed part is known only afterwards, the limit grows from search to search.
std::optional<Regex::Match> Regex::find(std::string_view text, size_t from) const {
  thread_local Search search;
  const OnigUChar *begin = bytes(text), *end = begin + text.size();
  const size_t most = fair_steps(text.size() - from);
  int at = ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER;
  size_t steps = fair_steps(0);
  for (bool last = false; !last; steps *= 4) {
    last = steps >= most;
    onig_initialize_match_param(search.limits.get());
    onig_set_retry_limit_in_match_of_match_param(search.limits.get(), steps);
    onig_set_retry_limit_in_search_of_match_param(search.limits.get(), steps);
    onig_region_clear(search.region.get());
    at = onig_search_with_param(compiled_->code, begin, end, begin + from, end, search.region.get(),
                                ONIG_OPTION_NONE, search.limits.get());
    if (at != ONIGERR_RETRY_LIMIT_IN_MATCH_OVER && at != ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER) break;
  }
  if (at == ONIG_MISMATCH) return {};
  Match match{0, 0};
  bool found = at >= 0;
  if (found) match = {size_t(search.region->beg[0]), size_t(search.region->end[0])};
  if (found && steps <= 4 * fair_steps(match.end - from)) return match;
  OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN] = "it takes too many steps";
  if (!found) onig_error_code_to_str(why, at);
  fail("the tokenizer's pattern \"{}\" cannot cut this text, at byte {}: {}", Excerpt{pattern_},
       from, reinterpret_cast<const char*>(why));
}

}  // namespace folio
