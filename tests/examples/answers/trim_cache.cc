// The tour's second exercise: past block_size the oldest keys and values are cut off and the rest
// stays, beside a pass over the last block_size tokens for every token.
//
//   build/tests/examples/trim_cache OUT_DIR TEXT
#include <array>
#include <cmath>

#include "autograd/ops.h"
#include "checkpoint/open_model.h"
#include "data/files/files.h"

using namespace folio;

struct Past {
  Tensor k, v;  // of one layer: [1, H, positions, D]
};

// A GPT of learned positions that reads one token at a time.
struct Reader {
  explicit Reader(Gpt& model) : config(model.config()), past(size_t(config.n_layer)) {
    model.parameters([&](const std::string& name, Parameter& p) { weights[name] = p; });
  }

  // Logits [1, 1, V] after one more token.
  Tensor read(int32_t id) {
    const int64_t C = config.n_embd, H = config.n_head, D = C / H;
    const bool full = past[0].k.defined() && past[0].k.dim(2) == config.block_size;
    position = full ? config.block_size - 1 : position + 1;
    Tensor x = reshape(take_rows(at("wte.weight"), to_array(std::vector{id}, {1}, cpu)), {1, 1, C});
    x = x + slice(at("wpe.weight"), 0, position, position + 1);
    for (int64_t layer = 0; layer < config.n_layer; ++layer) {
      const std::string h = fmt::format("h.{}.", layer);
      Tensor qkv = mapped(normed(x, h + "ln_1"), h + "attn.c_attn");
      auto heads = [&](int64_t i) {
        return transpose(reshape(slice(qkv, -1, i * C, (i + 1) * C), {1, 1, H, D}), 1, 2);
      };
      auto& [k, v] = past[size_t(layer)];
      // The mistake: what stays was made at the position after the one where it now stands.
      if (full) k = slice(k, 2, 1, k.dim(2)), v = slice(v, 2, 1, v.dim(2));
      k = k.defined() ? concat({k, heads(1)}, 2) : heads(1);
      v = v.defined() ? concat({v, heads(2)}, 2) : heads(2);
      Tensor scores = scale(matmul(heads(0), k, {.transpose_b = true}), 1 / std::sqrt(D));
      Tensor y = reshape(transpose(matmul(softmax(scores), v), 1, 2), {1, 1, C});
      x = x + mapped(y, h + "attn.c_proj");
      Tensor hidden =
          elementwise(config.activation.op, mapped(normed(x, h + "ln_2"), h + "mlp.c_fc"));
      x = x + mapped(hidden, h + "mlp.c_proj");
    }
    return linear(normed(x, "ln_f"), at("wte.weight"), {});
  }

  Tensor at(const std::string& name) const {  // undefined where the model has none
    auto found = weights.find("transformer." + name);
    return found == weights.end() ? Tensor{} : found->second;
  }
  Tensor normed(const Tensor& x, const std::string& name) const {
    return layer_norm(x, at(name + ".weight"), at(name + ".bias"), DType::f32, config.norm_eps);
  }
  Tensor mapped(const Tensor& x, const std::string& name) const {
    return linear(x, at(name + ".weight"), at(name + ".bias"));
  }

  GptConfig config;
  std::map<std::string, Tensor> weights;
  std::vector<Past> past;
  int64_t position = -1;
};

double loss_of(const Tensor& logits, int32_t next) {
  return item(cross_entropy(logits, to_array(std::vector{next}, {1, 1}, cpu)).array());
}

int main(int argc, char** argv) try {
  check(argc == 3, "usage: trim_cache OUT_DIR TEXT");
  OpenedModel opened = open_model("resume", argv[1], cpu);
  const std::vector<int32_t> tokens = opened.tokenizer->encode(read_file(argv[2]));
  const int64_t T = opened.model->config().block_size, pieces = 8, length = 4 * T;
  check(std::ssize(tokens) > pieces * length, "the text is too short: {} tokens", tokens.size());
  NoGrad no_grad;
  std::array<double, 4> trimmed{}, whole{};  // sums by window
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const auto text = tokens.begin() + std::ssize(tokens) / pieces * piece;
    Reader reader(*opened.model);
    for (int64_t t = 0; t < length; ++t) {
      const std::vector<int32_t> last(text + std::max<int64_t>(0, t + 1 - T), text + t + 1);
      const Array window = to_array(last, {1, std::ssize(last)}, cpu);
      trimmed[size_t(t / T)] += loss_of(reader.read(text[t]), text[t + 1]) / double(pieces * T);
      whole[size_t(t / T)] +=
          loss_of((*opened.model)(window, nullptr, true), text[t + 1]) / double(pieces * T);
    }
  }
  fmt::print("tokens of the text   trimmed cache   all of the window again\n");
  for (int64_t i = 0; i < 4; ++i)
    fmt::print("{:4} to {:4}         {:.4f}          {:.4f}\n", i * T + 1, (i + 1) * T,
               trimmed[size_t(i)], whole[size_t(i)]);
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
