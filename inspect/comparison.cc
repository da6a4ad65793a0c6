#include "inspect/comparison.h"

#include <cmath>

namespace folio {
namespace {

std::vector<std::array<std::string, 3>> differing_fields(const GptConfig& a, const GptConfig& b) {
  std::map<std::string, std::string> of_a;
  each_field(a, [&](std::string_view name, const auto& value, auto) {
    of_a[std::string(name)] = fmt::format("{}", value);
  });
  std::vector<std::array<std::string, 3>> differing;
  each_field(b, [&](std::string_view name, const auto& value, auto) {
    const std::string here = of_a.at(std::string(name)), there = fmt::format("{}", value);
    if (here != there) differing.push_back({std::string(name), here, there});
  });
  return differing;
}

std::vector<double> attention_distances(const GptConfig& config, const Captures& a,
                                        const Captures& b) {
  std::vector<double> distances;
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    const HostArray &p = a.at(layer, "attn.probabilities"), &q = b.at(layer, "attn.probabilities");
    const auto in_head = p.values.size() / size_t(config.n_head);
    for (size_t head = 0; head < size_t(config.n_head); ++head) {
      double sum = 0;
      for (size_t i = head * in_head; i < (head + 1) * in_head; ++i)
        sum += std::abs(double(p.values[i]) - double(q.values[i]));
      distances.push_back(sum / 2 / double(a.tokens.size()));
    }
  }
  return distances;
}

std::vector<std::pair<std::string, double>> parameter_distances(Gpt& model, Gpt& other) {
  std::map<std::string, Array> theirs;
  other.parameters([&](const std::string& name, Parameter& p) { theirs[name] = p.array(); });
  std::vector<std::pair<std::string, double>> distances;
  model.parameters([&](const std::string& name, Parameter& p) {
    const auto found = theirs.find(name);
    if (found == theirs.end() || found->second.shape() != p.shape()) return;
    const std::vector<float> a = on_host(p.array()).values, b = on_host(found->second).values;
    double difference = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference += (double(b[i]) - a[i]) * (double(b[i]) - a[i]);
      size += double(a[i]) * a[i];
    }
    distances.emplace_back(name, size > 0 ? std::sqrt(difference / size) : 0);
  });
  return distances;
}

}  // namespace

Comparison compare(const Inspection& inspection, Gpt& model, Gpt& other, const Tokenizer& tokenizer,
                   std::string source) {
  const std::vector<int32_t>& tokens = inspection.captures.tokens;
  check(std::ssize(tokens) <= other.config().block_size,
        "compare: the text has {} tokens, but the block_size of {} is {}", tokens.size(), source,
        other.config().block_size);
  check(tokenizer == *inspection.tokenizer,
        "compare: {} has another vocabulary: the two models do not read the same tokens", source);
  const Captures captures = capture(other, tokens);
  const int64_t known = std::min(tokenizer.vocab_size(), other.config().vocab_size);
  const GptConfig &a = model.config(), &b = other.config();
  Comparison comparison{.source = std::move(source),
                        .config = differing_fields(a, b),
                        .lens = logit_lens(other, captures, known),
                        .heads = head_scores(other, known),
                        .attention_distance = {},
                        .parameter_distance = parameter_distances(model, other)};
  if (a.n_layer == b.n_layer && a.n_head == b.n_head)
    comparison.attention_distance = attention_distances(a, inspection.captures, captures);
  return comparison;
}

}  // namespace folio
