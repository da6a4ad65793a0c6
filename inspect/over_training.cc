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

// Sums up, for the texts of one pass, `share` of each of which counts.
class StateWatcher : public Watcher {
 public:
  StateWatcher(InsideState& state, std::span<const int32_t> texts, int64_t T, double share)
      : state_(state), texts_(texts), T_(T), share_(share) {}
  void value(const std::string& name, const Array& x) override {
    const bool in_stream = name == "transformer.embedding" || name.ends_with(".residual") ||
                           (name.ends_with(".output") && !name.ends_with("attn.output"));
    if (in_stream) add_spread(on_host(x));
    if (name == "transformer.logits") add_losses(on_host(x));
  }
  void gradient(const std::string&, const Array&) override {}

 private:
  void add_spread(const HostArray& x) {
    const size_t size = x.values.size() / size_t(x.dim(0));
    for (int64_t text = 0; text < x.dim(0); ++text)
      state_.spread[point_] +=
          share_ * deviation_of(std::span(x.values).subspan(size_t(text) * size, size));
    ++point_;
  }
  void add_losses(const HostArray& logits) {
    const auto bands = std::ssize(state_.loss_by_position);
    auto first = [&](int64_t band) { return (band * T_ + bands - 1) / bands; };  // its position
    for (int64_t row = 0; row < logits.dim(0) * T_; ++row) {
      const int64_t text = row / T_, t = row % T_, band = t * bands / T_;
      const double loss = loss_of(logits.row(row), texts_[size_t(text * (T_ + 1) + t + 1)]);
      state_.loss_by_position[size_t(band)] +=
          share_ * loss / double(first(band + 1) - first(band));
    }
  }

  InsideState& state_;
  std::span<const int32_t> texts_;  // of T + 1 tokens each
  const int64_t T_;
  const double share_;
  size_t point_ = 0;
};

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
  // As many texts a pass as keep attention's [H, T, T] of all of them within 32 MB.
  const int64_t texts = texts_of(T);
  const int64_t at_once =
      std::clamp<int64_t>((1 << 23) / (model.config().n_head * T * T), 1, texts);
  for (int64_t begin = 0; begin < texts; begin += at_once) {
    const int64_t n = std::min(at_once, texts - begin);
    std::vector<int32_t> both(size_t(n * (T + 1))), read;
    for (int64_t i = 0; i < n; ++i) {
      const auto text = std::span(both).subspan(size_t(i * (T + 1)), size_t(T + 1));
      val.read(last * (begin + i) / texts, text);
      read.insert(read.end(), text.begin(), text.end() - 1);
    }
    StateWatcher watcher(state, both, T, 1 / double(texts));
    watch_pass(
        model,
        token_ids(read, {n, T}, model.config().vocab_size, model.context().device, val.path()),
        watcher);
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
