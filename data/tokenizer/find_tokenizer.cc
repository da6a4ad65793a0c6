#include "data/tokenizer/find_tokenizer.h"

#include <filesystem>

#include "core/check.h"
#include "data/download/hub_cache.h"
#include "data/tokenizer/bpe_files.h"

namespace folio {

std::shared_ptr<const BpeTokenizer> find_tokenizer(const std::string& name) {
  if (std::filesystem::exists(name)) return load_bpe(name);
  std::optional<std::filesystem::path> model;
  if (is_hub_name(name)) model = cached_model(name);
  if (model) return load_bpe(model->string());
  fail(
      "tokenizer \"{}\": is no file or folder, nor a model that has been downloaded; `folio "
      "download "
      "gpt2` gets GPT-2's, or give the folder that holds vocab.json and merges.txt, or "
      "tokenizer.json: --tokenizer=FOLDER",
      name);
}

}  // namespace folio
