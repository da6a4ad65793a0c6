#include "inspect/over_training.h"

#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/ops.h"
#include "data/text/parse_json.h"
#include "inspect/captures.h"

namespace folio {
namespace {

constexpr int64_t most_bands = 8;

int64_t texts_of(int64_t block_size) { return std::clamp<int64_t>(1024 / block_size, 4, 16); }

double loss_of(std::span<const float> logits, int32_t target) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (float logit : logits) sum += std::exp(double(logit) - largest);
  return std::log(sum) + largest - logits[size_t(target)];
}

double deviation_of(std::span<const float> values) {
  double sum = 0, squares = 0;
  for (float x : values) sum += x, squares += double(x) * x;
  const double mean = sum / double(values.size());
  return std::sqrt(std::max(0.0, squares / double(values.size()) - mean * mean));
}

// `share`: of this text in the means.
void add_text(Gpt& model, std::span<const int32_t> text, double share, InsideState& state) {
  const auto T = std::ssize(text) - 1;
  const Captures seen = capture(model, text.first(size_t(T)));
  const auto bands = std::ssize(state.loss_by_position);
  auto first = [&](int64_t band) { return (band * T + bands - 1) / bands; };  // position of a band
  for (int64_t t = 0; t < T; ++t) {
    const int64_t band = t * bands / T;
    const auto in_band = double(first(band + 1) - first(band));
    state.loss_by_position[size_t(band)] +=
        loss_of(seen.at("logits").row(t), text[size_t(t + 1)]) / in_band * share;
  }
  size_t point = 0;
  auto add = [&](const HostArray& x) { state.spread[point++] += deviation_of(x.values) * share; };
  add(seen.at("embedding"));
  for (int64_t layer = 0; layer < model.config().n_layer; ++layer) {
    add(seen.at(layer, "residual"));
    add(seen.at(layer, "output"));
  }
}

std::string line_of(const InsideState& state) {
  nlohmann::ordered_json scores = nlohmann::ordered_json::array();
  auto rounded = [](double x) { return std::round(x * 1e4) / 1e4; };
  for (const HeadScore& s : state.heads)
    scores.push_back({s.layer, s.head, rounded(s.previous), rounded(s.same), rounded(s.first),
                      rounded(s.induction)});
  std::vector<double> loss, spread;
  for (double x : state.loss_by_position) loss.push_back(rounded(x));
  for (double x : state.spread) spread.push_back(rounded(x));
  return nlohmann::ordered_json{{"iter", state.iter},
                                {"scores", scores},
                                {"loss_by_position", loss},
                                {"spread", spread}}
             .dump() +
         "\n";
}

InsideState state_of(const nlohmann::json& line) {
  InsideState state;
  line.at("iter").get_to(state.iter);
  for (const nlohmann::json& s : line.at("scores"))
    state.heads.push_back({.layer = s.at(0),
                           .head = s.at(1),
                           .previous = s.at(2),
                           .same = s.at(3),
                           .first = s.at(4),
                           .induction = s.at(5)});
  for (HeadScore& score : state.heads) score.kind = kind_of(score);
  line.at("loss_by_position").get_to(state.loss_by_position);
  line.at("spread").get_to(state.spread);
  return state;
}

}  // namespace

InsideState inside_state(Gpt& model, const TokenFile& val, int64_t iter) {
  const int64_t T = model.config().block_size, last = val.size() - T - 1;
  InsideState state{.iter = iter, .heads = {}, .loss_by_position = {}, .spread = {}};
  if (T < 2) return state;
  state.heads = head_scores(model, std::min(val.vocab_size(), model.config().vocab_size));
  if (last < 0) return state;
  state.loss_by_position.assign(size_t(std::min(most_bands, T)), 0);
  state.spread.assign(size_t(2 * model.config().n_layer + 1), 0);
  std::vector<int32_t> text(size_t(T + 1));
  for (int64_t i = 0, texts = texts_of(T); i < texts; ++i) {
    val.read(last * i / texts, text);
    add_text(model, text, 1 / double(texts), state);
  }
  return state;
}

InsideLog::InsideLog(const std::filesystem::path& path, int64_t first) : path_(path.string()) {
  std::string kept;
  if (first > 0)
    for (const InsideState& state : load_inside(path))
      if (state.iter < first) kept += line_of(state);
  write_file(path_, kept);
  file_ = open_file(path_, O_WRONLY | O_APPEND);
}

void InsideLog::add(const InsideState& state) { write_all(file_.get(), line_of(state), path_); }

std::vector<InsideState> load_inside(const std::filesystem::path& path) {
  std::vector<InsideState> states;
  if (!std::filesystem::exists(path)) return states;
  const std::string text = read_file(path.string());
  int64_t number = 1;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; ++number) {
    const std::string name = fmt::format("{}:{}", path.string(), number);
    const auto line = parse_json<nlohmann::json>(text.substr(begin, end - begin), name);
    try {
      states.push_back(state_of(line));
    } catch (const nlohmann::json::exception& error) {
      fail("{}: not a line of a run's inside: {}; delete the file to go on without", name,
           error.what());
    }
    begin = end + 1;
  }
  return states;
}

}  // namespace folio
