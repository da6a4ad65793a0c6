#include "commands/train/update_ratio.h"

#include <cmath>
#include <set>

#include "autograd/ops.h"

namespace folio {
namespace {

constexpr int64_t most_elements = 1 << 17;  // of one matrix

Array first_rows(const Array& matrix) {
  const int64_t rows = std::min(matrix.dim(0), std::max<int64_t>(1, most_elements / matrix.dim(1)));
  return matrix.slice(0, rows);
}

double norm(const Array& x) { return item(backend(x)->optimizer.norm(std::span(&x, 1))); }

}  // namespace

void UpdateRatio::before(Gpt& model) {
  before_.clear();
  std::set<std::string> hidden;
  model.hidden_matrices([&](const std::string& name, auto&) { hidden.insert(name); });
  model.parameters([&](const std::string& name, Parameter& parameter) {
    if (!hidden.contains(name)) return;
    const Array rows = first_rows(parameter.array());
    before_.emplace_back(name, backend(rows)->elementwise.cast(rows, rows.dtype()));
  });
}

std::optional<UpdateRatio::Ratios> UpdateRatio::after(Gpt& model) {
  NoGrad no_grad;
  std::vector<double> ratios;
  auto next = before_.begin();
  model.parameters([&](const std::string& name, Parameter& parameter) {
    if (next == before_.end() || next->first != name) return;
    const Array& old = (next++)->second;
    const Array now = first_rows(parameter.array());
    const double ratio = norm(sub(now, old).array()) / norm(old);
    if (std::isfinite(ratio)) ratios.push_back(ratio);
  });
  before_.clear();
  if (ratios.empty()) return {};
  std::sort(ratios.begin(), ratios.end());
  return Ratios{ratios[ratios.size() / 2], ratios.front(), ratios.back()};
}

}  // namespace folio
