#include "inspect/backward_pass.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "autograd/tape_observer.h"
#include "core/parallel.h"

namespace folio {
namespace {

class Tape : public TapeObserver {
 public:
  void recorded(const RecordedOp& op) override {
    const auto dims = op.results.at(0).dims();
    entries.push_back({.name = short_name(op.function),
                       .point = "",
                       .part = "",
                       .order = op.order,
                       .inputs = op.inputs,
                       .shape = {dims.begin(), dims.end()}});
  }
  std::vector<TapeEntry> entries;
};

// The part of the model that the ops after a point belong to; `last` is the last block's layer.
std::string part_after(const std::string& point, int64_t last) {
  if (point == "embedding") return "h.0.attn";
  if (!point.starts_with("h.")) return "head";
  const std::string layer = point.substr(2, point.find('.', 2) - 2);
  const std::string in_block = point.substr(3 + layer.size());
  if (in_block == "residual" || in_block == "mlp.hidden") return fmt::format("h.{}.mlp", layer);
  if (in_block != "output") return fmt::format("h.{}.attn", layer);
  const int64_t next = std::stoll(layer) + 1;
  return next > last ? "head" : fmt::format("h.{}.attn", next);
}

// The points were recorded in the order in which they were shown, each as an op of its own, and
// cut the tape into the parts of the model.
void name_parts(std::vector<TapeEntry>& tape, const std::vector<std::string>& points,
                int64_t layers) {
  constexpr size_t prefix = std::string_view("transformer.").size();
  std::string part = "embedding";
  size_t shown = 0;
  for (TapeEntry& op : tape) {
    op.part = part;
    if (op.name != "Context::watched") continue;
    op.name = "watch";
    op.point = points.at(shown++).substr(prefix);
    part = part_after(op.point, layers - 1);
  }
}

double norm_of(std::span<const float> values) {
  double sum = 0;
  for (float x : values) sum += double(x) * double(x);
  return std::sqrt(sum);
}

// Where bin 1 and those after it begin: a search among them is several times faster than a
// logarithm of each of GPT-2's gradients.
std::array<float, ParameterStep::bins - 1> bin_starts() {
  std::array<float, ParameterStep::bins - 1> starts;
  for (size_t i = 0; i < starts.size(); ++i)
    starts[i] = float(std::pow(10.0, ParameterStep::least_decade + double(i + 1) / 2));
  return starts;
}

void count_magnitudes(ParameterStep& step, std::span<const float> gradient) {
  static const auto starts = bin_starts();
  step.histogram.assign(ParameterStep::bins, 0);
  for (float x : gradient) {
    if (x == 0)
      ++step.zeros;
    else
      ++step.histogram[size_t(std::ranges::upper_bound(starts, std::abs(x)) - starts.begin())];
  }
}

// Everything on the host: of GPT-2's size a second's work, shared by all threads.
std::vector<ParameterStep> parameter_steps(Gpt& model, const std::function<void()>& step) {
  std::vector<Parameter*> parameters;
  std::vector<ParameterStep> steps;
  model.parameters([&](const std::string& name, Parameter& p) {
    const auto dims = p.shape().dims();
    parameters.push_back(&p);
    steps.push_back({.name = name, .shape = {dims.begin(), dims.end()}, .histogram = {}});
  });
  std::vector<HostArray> before;
  for (const Parameter* p : parameters) before.push_back(on_host(p->array()));
  parallel_for(std::ssize(parameters), [&](int64_t i) {
    ParameterStep& s = steps[size_t(i)];
    const HostArray gradient = on_host(parameters[size_t(i)]->grad());
    s.weight_norm = norm_of(before[size_t(i)].values);
    s.gradient_norm = norm_of(gradient.values);
    count_magnitudes(s, gradient.values);
  });
  if (!step) return steps;
  step();
  parallel_for(std::ssize(parameters), [&](int64_t i) {
    std::vector<float> update = on_host(parameters[size_t(i)]->array()).values;
    const std::vector<float>& from = before[size_t(i)].values;
    for (size_t j = 0; j < update.size(); ++j) update[j] -= from[j];
    steps[size_t(i)].update_norm = norm_of(update);
  });
  for (size_t i = 0; i < parameters.size(); ++i)
    parameters[i]->assign(
        to_array(before[i].values, parameters[i]->shape(), model.context().device));
  return steps;
}

}  // namespace

BackwardPass backward_pass(Gpt& model, std::span<const int32_t> tokens,
                           const std::function<void()>& step) {
  BackwardPass pass;
  auto clear = [&] { model.parameters([](const std::string&, Parameter& p) { p.zero_grad(); }); };
  clear();
  Captures captures;
  {
    Tape tape;
    captures = capture_step(model, tokens);
    pass.tape = std::move(tape.entries);
  }
  name_parts(pass.tape, captures.points, model.config().n_layer);
  pass.loss = captures.loss;
  for (const std::string& point : captures.points)
    pass.points.emplace_back(point, norm_of(captures.gradients.at(point).values));
  pass.parameters = parameter_steps(model, step);
  clear();
  for (const ParameterStep& p : pass.parameters)
    pass.gradient_norm = std::hypot(pass.gradient_norm, p.gradient_norm);
  return pass;
}

}  // namespace folio
