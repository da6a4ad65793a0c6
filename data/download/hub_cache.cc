#include "data/download/hub_cache.h"

#include <cstdlib>

#include "core/check.h"
#include "data/files/files.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> environment(const char* name) {
  const char* value = std::getenv(name);
  if (!value || !*value) return {};
  return value;
}

bool is_openai_name(const std::string& name) {
  return name == "gpt2" || name == "gpt2-medium" || name == "gpt2-large" || name == "gpt2-xl";
}

// A part of a repository's name: also the part of a file's name.
bool is_part(std::string_view part) {
  constexpr std::string_view allowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !part.empty() && part.size() <= 96 && part[0] != '.' && part[0] != '-' &&
         part.find("..") == part.npos && part.find("--") == part.npos &&
         part.find_first_not_of(allowed) == part.npos;
}

std::optional<fs::path> snapshot(const std::string& repository) {
  fs::path folder = repository_folder(repository), main = folder / "refs" / "main";
  if (!fs::exists(main)) return {};
  std::string commit = read_file(main.string());
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == ' ')) commit.pop_back();
  if (!is_part(commit)) return {};
  fs::path files = folder / "snapshots" / commit;
  return fs::exists(files / "config.json") ? std::optional(files) : std::nullopt;
}

}  // namespace

fs::path hub_cache() {
  if (auto cache = environment("HF_HUB_CACHE")) return *cache;
  if (auto home = environment("HF_HOME")) return *home / "hub";
  if (auto cache = environment("XDG_CACHE_HOME")) return *cache / "huggingface" / "hub";
  auto home = environment("HOME");
  check(home.has_value(), "neither HF_HOME nor HOME says where downloaded models are kept");
  return *home / ".cache" / "huggingface" / "hub";
}

bool is_hub_name(const std::string& name) {
  size_t slash = name.find('/');
  if (slash == name.npos) return is_openai_name(name);
  return is_part(std::string_view(name).substr(0, slash)) &&
         is_part(std::string_view(name).substr(slash + 1));
}

std::string hub_repository(const std::string& name) {
  check(is_hub_name(name),
        "\"{}\" names no model of the Hugging Face hub: it can be gpt2, gpt2-medium, gpt2-large, "
        "gpt2-xl or OWNER/NAME",
        name);
  return is_openai_name(name) ? "openai-community/" + name : name;
}

fs::path repository_folder(const std::string& repository) {
  std::string name = "models--" + repository;
  size_t slash = name.find('/');
  if (slash != name.npos) name.replace(slash, 1, "--");
  return hub_cache() / name;
}

std::optional<fs::path> cached_model(const std::string& name) {
  auto found = snapshot(hub_repository(name));
  // Other programs know OpenAI's models by their short names, too.
  return found || !is_openai_name(name) ? found : snapshot(name);
}

fs::path downloaded_model(const std::string& name) {
  auto folder = cached_model(name);
  check(folder.has_value(), "{} has not been downloaded to {}: `folio download {}` gets it", name,
        hub_cache().string(), name);
  return *folder;
}

}  // namespace folio
