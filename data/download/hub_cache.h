#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace folio {

// The cache that folio shares with Hugging Face's own libraries, in their layout, so that either
// finds what the other has downloaded:
//   CACHE/models--OWNER--NAME/refs/main            the commit that main was
//   CACHE/models--OWNER--NAME/snapshots/COMMIT/F   file F, a link to
//   CACHE/models--OWNER--NAME/blobs/DIGEST         its bytes
// CACHE is HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub (XDG_CACHE_HOME for
// ~/.cache).
std::filesystem::path hub_cache();

// True for gpt2, gpt2-medium, gpt2-large, gpt2-xl and OWNER/NAME.
bool is_hub_name(const std::string& name);
// "openai-community/gpt2" for "gpt2". Throws Error for what is no hub name.
std::string hub_repository(const std::string& name);
// Where the files of a repository are kept.
std::filesystem::path repository_folder(const std::string& repository);

// The folder of a model that was downloaded whole, config.json in it; nothing if it was not.
std::optional<std::filesystem::path> cached_model(const std::string& name);
// The same; an Error without it says `folio download NAME`.
std::filesystem::path downloaded_model(const std::string& name);

}  // namespace folio
