#include "include_rules.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>

namespace folio {
namespace {

namespace fs = std::filesystem;

// folder -> the folders, and single headers, that it may include besides itself
const std::map<std::string, std::set<std::string>> folder_rules = {
    {"core", {}},
    {"autograd", {"core"}},
    {"nn", {"autograd", "core"}},
    {"data", {"core"}},
    {"configs", {"core", "nn/gpt_config.h"}},  // the options of a model are its fields
    {"checkpoint", {"nn", "autograd", "data", "configs", "core"}},
    {"train", {"checkpoint", "nn", "autograd", "data", "configs", "core"}},
    {"sample", {"checkpoint", "nn", "autograd", "data", "configs", "core"}},
    {"inspect", {"checkpoint", "nn", "autograd", "data", "configs", "core"}},
    {"commands",
     {"train", "sample", "inspect", "checkpoint", "nn", "autograd", "data", "configs", "core"}},
};

// a vendor's header, by how its path starts -> the folders that may include it
const std::map<std::string, std::set<std::string>> vendor_rules = {
    {"oneapi/", {"core/cpu"}},
    {"dnnl", {"core/cpu"}},
    {"hwy/", {"core/cpu"}},
    {"omp.h", {"core/cpu"}},
    {"immintrin.h", {"core/cpu"}},
    {"arm_neon.h", {"core/cpu"}},
    {"hdf5", {"data/hdf5"}},
    {"H5", {"data/hdf5"}},
    {"curl/", {"data/download"}},
    {"openssl/", {"data"}},
    {"nlohmann/", {"data", "inspect", "commands"}},  // the last: what they print with --json
    {"toml++/", {"configs"}},
    {"pcre2", {"data"}},
    {"oniguruma", {"data/tokenizer"}},
    {"utf8proc", {"data/text"}},
    {"zip.h", {"data"}},
    {"histedit.h", {"commands"}},
    {"google/protobuf", {"commands/train"}},
    {"isa-l", {"commands/train"}},
    {"cuda", {"core/cuda"}},
    {"cublas", {"core/cuda"}},
    {"cudnn", {"core/cuda"}},
    {"nccl", {"core/cuda"}},
    {"mpi.h", {"core/ranks"}},
};

// a header of ours that prints -> who may include it: commands print their results and remarks, and
//   main what ends them; of several ranks one says so, from the thread that watches over the others
//   or for all of them; an OptionTable says which of nanoGPT's options it ignores, and wraps its
//   help to the terminal; whatever reads or writes gigabytes in data/ shows how far it has come
const std::map<std::string, std::set<std::string>> printing_rules = {
    {"core/process/output.h",
     {"commands", "core/process", "core/ranks/leave.cc", "configs/command_line.cc", "main.cc"}},
    {"core/process/progress_line.h", {"commands", "core/process", "data"}},
};

struct Include {
  int line;
  std::string path;
  bool quoted;
};

std::vector<Include> includes_of(const fs::path& file) {
  static const std::regex include(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)");
  std::vector<Include> found;
  std::ifstream in(file);
  std::string text;
  std::smatch match;
  for (int line = 1; std::getline(in, text); ++line)
    if (std::regex_match(text, match, include)) found.push_back({line, match[2], match[1] == "\""});
  return found;
}

// `owner` is a folder or a file.
bool belongs_to(const fs::path& file, const std::string& owner) {
  return file == owner || file.generic_string().starts_with(owner + "/");
}

// "only data/, main.cc may include zip.h", unless `file` belongs to one of them.
std::string objection_of(const std::set<std::string>& owners, const fs::path& file,
                         const std::string& included) {
  std::vector<std::string> names;
  for (const std::string& owner : owners) {
    if (belongs_to(file, owner)) return "";
    names.push_back(fs::path(owner).has_extension() ? owner : owner + "/");
  }
  return fmt::format("only {} may include {}", fmt::join(names, ", "), included);
}

// Why `file` may not include it; empty when it may.
std::string objection(const fs::path& root, const fs::path& file, const Include& include) {
  for (const auto& [start, owners] : vendor_rules)
    if (include.path.starts_with(start))
      if (std::string why = objection_of(owners, file, include.path); !why.empty()) return why;
  if (auto printing = printing_rules.find(include.path); printing != printing_rules.end())
    if (std::string why = objection_of(printing->second, file, include.path); !why.empty())
      return why;
  std::string from = *file.begin(), to = *fs::path(include.path).begin();
  bool ours = folder_rules.contains(to) || fs::exists(root / include.path);
  if (include.quoted && !ours)
    return fmt::format("{} is not a path from the root of the tree", include.path);
  if (!ours || file == "main.cc" || from == to) return "";
  for (const char* device : {"core/cpu", "core/cuda"})
    if (to == "core" && belongs_to(include.path, device))
      return fmt::format("{} is reached through core/backend.h only, not {}", device, include.path);
  const std::set<std::string>& allowed = folder_rules.at(from);
  if (allowed.contains(to) || allowed.contains(include.path)) return "";
  return fmt::format("{} may not include {}", from, include.path);
}

}  // namespace

std::vector<fs::path> sources_below(const fs::path& root, const std::string& folder) {
  std::vector<fs::path> sources;
  if (!fs::exists(root / folder)) return sources;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    std::string extension = entry.path().extension();
    if (extension == ".h" || extension == ".cc" || extension == ".cu")
      sources.push_back(entry.path().lexically_relative(root));
  }
  std::sort(sources.begin(), sources.end());
  return sources;
}

std::vector<fs::path> program_sources(const fs::path& root) {
  std::vector<fs::path> sources;
  if (fs::exists(root / "main.cc")) sources.push_back("main.cc");
  for (const auto& [folder, allowed] : folder_rules)
    std::ranges::copy(sources_below(root, folder), std::back_inserter(sources));
  std::sort(sources.begin(), sources.end());
  return sources;
}

std::vector<std::string> include_violations(const fs::path& root) {
  std::vector<std::string> violations;
  for (const fs::path& file : program_sources(root)) {
    for (const Include& include : includes_of(root / file)) {
      std::string why = objection(root, file, include);
      if (!why.empty())
        violations.push_back(fmt::format("{}:{}: {}", file.string(), include.line, why));
    }
  }
  return violations;
}

}  // namespace folio
