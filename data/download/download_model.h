#pragma once
#include <filesystem>
#include <string>

#include "data/download/download.h"

namespace folio {

// Downloads what folio needs of a model on the Hugging Face hub into hub_cache(): config.json,
// model.safetensors or its index and shards, and the tokenizer's files if there are any. -> the
// folder that holds them. The hub is HF_ENDPOINT (https://huggingface.co); HF_TOKEN goes to it and
// to nobody else; with HF_HUB_OFFLINE=1 only the cache is looked at. Every file is checked against
// the size and digest that the hub gives for it, and the model counts as downloaded only when all
// its files are there. Throws Error, which says what to do. `options` are each file's.
std::filesystem::path download_model(const std::string& name, FetchOptions options = {});

}  // namespace folio
