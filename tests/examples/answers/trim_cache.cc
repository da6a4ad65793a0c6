// The tour's second exercise: past block_size the oldest keys and values are cut off, beside the
// right way, the whole window read again for every token.
//
//   build/tests/examples/trim_cache OUT_DIR TEXT
#include <cmath>

#include "autograd/ops.h"
#include "checkpoint/open_model.h"
#include "data/files/files.h"

using namespace folio;

// A GPT of learned positions and no biases that reads one token at a time.
struct Reader {
  explicit Reader(Gpt& model) : config(model.config()), past(size_t(config.n_layer)) {
    model.parameters([&](const std::string& name, Parameter& p) { weights[name] = p; });
  }
  const Tensor& at(const std::string& n) const {
    return weights.at("transformer." + n + ".weight");
  }
  Tensor normed(const Tensor& x, const std::string& n) const {
    return layer_norm(x, at(n), {}, DType::f32);
  }

  // Logits [1, V] of what follows `id`.
  Tensor operator()(int32_t id) {
    const int64_t C = config.n_embd, H = config.n_head, D = C / H;
    const bool full = position + 1 == config.block_size;
    if (!full) ++position;
    Tensor x = slice(at("wte"), 0, id, id + 1) + slice(at("wpe"), 0, position, position + 1);
    for (size_t layer = 0; layer < past.size(); ++layer) {
      const std::string h = fmt::format("h.{}.", layer);
      Tensor qkv = linear(normed(x, h + "ln_1"), at(h + "attn.c_attn"), {});
      auto heads = [&](int64_t i) {  // 0: of queries, 1: of keys, 2: of values
        return transpose(reshape(slice(qkv, -1, i * C, (i + 1) * C), {1, 1, H, D}), 1, 2);
      };
      auto& [k, v] = past[layer];
      // The mistake: what stays was made for the position after the one where it now stands.
      if (full) k = slice(k, 2, 1, k.dim(2)), v = slice(v, 2, 1, v.dim(2));
      k = k.defined() ? concat({k, heads(1)}, 2) : heads(1);
      v = v.defined() ? concat({v, heads(2)}, 2) : heads(2);
      Tensor scores = scale(matmul(heads(0), k, {.transpose_b = true}), 1 / std::sqrt(D));
      Tensor y = reshape(transpose(matmul(softmax(scores), v), 1, 2), {1, C});
      x = x + linear(y, at(h + "attn.c_proj"), {});
      y = linear(normed(x, h + "ln_2"), at(h + "mlp.c_fc"), {}, config.activation.op);
      x = x + linear(y, at(h + "mlp.c_proj"), {});
    }
    return linear(normed(x, "ln_f"), at("wte"), {});
  }

  GptConfig config;
  std::map<std::string, Tensor> weights;
  std::vector<std::pair<Tensor, Tensor>> past;  // a layer's k and v, [1, H, positions, D]
  int64_t position = -1;
};

int main(int argc, char** argv) try {
  check(argc == 3, "usage: trim_cache OUT_DIR TEXT");
  OpenedModel opened = open_model("resume", argv[1], cpu);
  const std::vector<int32_t> text = opened.tokenizer->encode(read_file(argv[2]));
  const int64_t T = opened.model->config().block_size, windows = 4;
  check(std::ssize(text) > windows * T, "needs a text of more than {} tokens", windows * T);
  NoGrad no_grad;
  Reader reader(*opened.model);
  fmt::print("tokens of the text   trimmed cache   the whole window again\n");
  for (int64_t i = 0; i < windows * T; i += T) {
    double trimmed = 0, whole = 0;  // sums of losses
    for (int64_t t = i; t < i + T; ++t) {
      const std::vector<int32_t> last(&text[std::max<int64_t>(0, t + 1 - T)], &text[t + 1]);
      const Array window = to_array(last, {1, std::ssize(last)}, cpu);
      const Array next = to_array(std::vector{text[t + 1]}, {1}, cpu);
      trimmed += item(cross_entropy(reader(text[t]), next).array());
      whole += item(cross_entropy((*opened.model)(window, nullptr, true), next).array());
    }
    fmt::print("{:4} to {:4} {:21.4f} {:15.4f}\n", i + 1, i + T, trimmed / T, whole / T);
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
