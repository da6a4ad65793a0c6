#include "data/tokenizer/training/symbols.h"

#include <array>

#include "core/check.h"
#include "core/text/numbers.h"

namespace folio {
namespace {

constexpr int32_t end_of_pretoken = -1, inside = -2;

}  // namespace

Symbols::Symbols(const SharedPretokenCounts& counts, const std::vector<std::string>& tokens) {
  std::array<int32_t, 256> ids{};
  for (size_t id = 0; id < tokens.size(); ++id) {
    add_token(tokens[id].size());
    if (tokens[id].size() == 1) ids[static_cast<unsigned char>(tokens[id][0])] = int32_t(id);
  }
  size_t cells = 1, pretokens = 0;
  counts.each([&](std::string_view pretoken, int64_t) {
    if (pretoken.size() < 2) return;  // nothing to merge
    cells += pretoken.size() + 1;
    ++pretokens;
  });
  check(cells <= UINT32_MAX,
        "the text's distinct words have {} bytes; a tokenizer can be trained on those of at most "
        "{}: give a part of the text",
        with_commas(int64_t(cells)), with_commas(UINT32_MAX));
  cells_.reserve(cells);
  counts_.reserve(pretokens);
  cells_.push_back({end_of_pretoken, 0});
  counts.each([&](std::string_view pretoken, int64_t count) {
    if (pretoken.size() < 2) return;
    auto number = uint32_t(counts_.size());
    for (char c : pretoken) cells_.push_back({ids[static_cast<unsigned char>(c)], number});
    cells_.push_back({end_of_pretoken, number});
    counts_.push_back(count);
  });
}

void Symbols::each_pair(const std::function<void(Pair, int64_t, Places)>& f) const {
  // All symbols are bytes yet: a table of pairs is small.
  struct Found {
    int64_t count = 0;
    size_t places = 0;
  };
  const size_t ids = length_.size();
  std::vector<Found> found(ids * ids);
  auto each_place = [&](auto&& visit) {
    for (size_t at = 1; at + 1 < cells_.size(); ++at)
      if (cells_[at].id >= 0 && cells_[at + 1].id >= 0)
        visit(size_t(cells_[at].id) * ids + size_t(cells_[at + 1].id), at);
  };
  each_place([&](size_t pair, size_t at) {
    found[pair].count += count(uint32_t(at));
    ++found[pair].places;
  });
  std::vector<Places> places(found.size());
  for (size_t pair = 0; pair < found.size(); ++pair) places[pair].reserve(found[pair].places);
  each_place([&](size_t pair, size_t at) { places[pair].push_back(uint32_t(at)); });
  for (size_t pair = 0; pair < found.size(); ++pair)
    if (found[pair].places > 0)
      f({int32_t(pair / ids), int32_t(pair % ids)}, found[pair].count, std::move(places[pair]));
}

void Symbols::merge(uint32_t place, Pair pair, int32_t merged) {
  uint32_t right = place + length(pair.left);
  cells_[right].id = inside;
  cells_[right + length(pair.right) - 1].id = merged;
  cells_[place].id = merged;
}

}  // namespace folio
