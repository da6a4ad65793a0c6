#include "data/hugging_face/layout_config.h"

#include "data/hugging_face/config_reader.h"

namespace folio {

LayoutConfig load_layout_config(const std::string& path) {
  const ConfigReader read(path, "");
  const std::string type = read.text("model_type", "gpt2");
  if (type == "gpt2") return load_gpt2_config(path);
  if (type != "llama" && type != "qwen3")
    read.refuse("model_type", "folio computes gpt2, llama and qwen3");
  return load_llama_config(path);
}

}  // namespace folio
