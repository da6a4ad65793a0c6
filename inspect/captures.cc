#include "inspect/captures.h"

#include <cmath>

#include "autograd/ops.h"

namespace folio {
namespace {

class PointRecorder : public Watcher {
 public:
  explicit PointRecorder(Captures& captures) : captures_(captures) {}
  void value(const std::string& name, const Array& x) override {
    captures_.points.push_back(name);
    captures_.values[name] = of_one_text(x);
  }
  void gradient(const std::string& name, const Array& dx) override {
    captures_.gradients[name] = of_one_text(dx);
  }

 private:
  static HostArray of_one_text(const Array& x) {
    HostArray host = on_host(x);
    host.shape.erase(host.shape.begin());
    return host;
  }

  Captures& captures_;
};

// Watches the model, without dropout, as long as it lives.
class Watching {
 public:
  Watching(Gpt& model, Watcher& watcher) : context_(model.context()), training_(context_.training) {
    context_.watcher = &watcher;
    context_.training = false;
  }
  ~Watching() {
    context_.watcher = nullptr;
    context_.training = training_;
  }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

 private:
  Context& context_;
  const bool training_;
};

}  // namespace

HostArray on_host(const Array& x) {
  const Array f32 = x.dtype() == DType::f32 ? x : backend(x)->elementwise.cast(x, DType::f32);
  const auto dims = x.shape().dims();
  return {{dims.begin(), dims.end()}, to_vector<float>(f32), x.dtype()};
}

Array batch_of(Gpt& model, std::span<const int32_t> tokens) {
  return token_ids(tokens, {1, std::ssize(tokens)}, model.config().vocab_size,
                   model.context().device, "the text");
}

Captures capture(Gpt& model, std::span<const int32_t> tokens) {
  Captures captures{
      .tokens = {tokens.begin(), tokens.end()}, .points = {}, .values = {}, .gradients = {}};
  PointRecorder recorder(captures);
  watch_pass(model, batch_of(model, tokens), recorder);
  return captures;
}

void watch_pass(Gpt& model, const Array& tokens, Watcher& watcher) {
  Watching watching(model, watcher);
  NoGrad no_grad;
  model(tokens);
}

Captures capture_step(Gpt& model, std::span<const int32_t> tokens) {
  check(tokens.size() >= 2, "a training step needs a text of two tokens or more, got {}",
        tokens.size());
  const auto T = int64_t(tokens.size()) - 1;
  Captures captures{
      .tokens = {tokens.begin(), tokens.end() - 1}, .points = {}, .values = {}, .gradients = {}};
  PointRecorder recorder(captures);
  Watching watching(model, recorder);
  Tensor loss =
      model.loss(batch_of(model, tokens.first(size_t(T))), batch_of(model, tokens.subspan(1)));
  captures.loss = item(loss.array());
  loss.backward();
  return captures;
}

double fused_difference(Gpt& model, const Captures& captures) {
  NoGrad no_grad;
  const std::vector<float> fused = on_host(model(batch_of(model, captures.tokens)).array()).values;
  const std::vector<float>& plain = captures.at("logits").values;
  double largest = 0;
  for (size_t i = 0; i < fused.size(); ++i)
    largest = std::max(largest, std::abs(double(fused[i]) - double(plain[i])));
  return largest;
}

}  // namespace folio
