#include "sample/sample_command.h"

#include "checkpoint/model_file.h"
#include "configs/sample_options.h"
#include "data/files.h"
#include "sample/decoder.h"

namespace folio {
namespace {

std::string start_text(const SampleOptions& options) {
  bool is_file = options.start.starts_with("FILE:");
  return is_file ? read_file(options.start.substr(5)) : options.start;
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

// folio sample --out_dir=DIR [--key=value ...]
int sample_command(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  SampleOptions options = parse_sample_options(args);
  backend(device_named(options.device)).set_threads(int(options.threads));

  CheckpointFile file = load(best_checkpoint(options.out_dir));
  std::shared_ptr<const Tokenizer> tokenizer = saved_tokenizer(file);
  std::string text = start_text(options);
  check(!text.empty(), "--start is empty: the model needs a character or more to continue");
  std::vector<int32_t> prompt = tokenizer->encode(text);

  std::unique_ptr<Gpt> model = load_model(file);
  if (!options.dtype.empty()) model->context().dtype = dtype_named(options.dtype);
  model->pack();

  // One sample is printed as it comes, several when they are done.
  bool stream = options.num_samples == 1;
  if (stream) print(text);
  auto samples = generate(*model, {size_t(options.num_samples), prompt},
                          {.max_new_tokens = options.max_new_tokens,
                           .sampler = {options.temperature, options.top_k, options.top_p},
                           .seed = uint64_t(options.seed),
                           .kv_cache = options.kv_cache},
                          [&](size_t, int32_t token) {
                            if (stream) print(tokenizer->decode(std::span(&token, 1)));
                          });
  if (stream) print("\n");
  for (const auto& sample : samples) {
    if (!stream) print(tokenizer->decode(sample) + "\n---------------\n");
  }
  return 0;
}

}  // namespace folio
