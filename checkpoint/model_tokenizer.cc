#include "checkpoint/model_tokenizer.h"

#include <filesystem>

#include "data/hugging_face/tokenizer_files.h"
#include "data/tokenizer/find_tokenizer.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Found = std::shared_ptr<const Tokenizer>;

Found tokenizer_at(const std::string& place) {
  fs::path path = place;
  if (fs::exists(path / "meta.json")) return load_meta((path / "meta.json").string()).tokenizer;
  if (path.filename() == "meta.json") return load_meta(place).tokenizer;
  bool files = fs::is_directory(path) || path.filename() == "tokenizer.json";
  if (files && fs::exists(path)) {
    if (Found found = load_tokenizer_files(fs::is_directory(path) ? path : path.parent_path()))
      return found;
  }
  return find_tokenizer(place);
}

Found dataset_tokenizer(const fs::path& folder) {
  fs::path meta = folder / "meta.json";
  if (fs::exists(meta)) return load_meta(meta.string()).tokenizer;
  return open_dataset(folder.string()).meta.tokenizer;
}

// What the model's run has saved of that option; empty if nothing.
std::string saved_option(const OpenedModel& opened, const std::string& key) {
  auto saved = opened.attributes.find("option/" + key);
  const auto* text =
      saved == opened.attributes.end() ? nullptr : std::get_if<std::string>(&saved->second);
  return text ? *text : "";
}

std::string from_its_dataset(OpenedModel& opened, const TokenizerPlace& place) {
  const int64_t rows = opened.model->config().vocab_size;
  std::string name = saved_option(opened, "dataset"), why = "it names no dataset";
  std::string data_dir = place.data_dir.empty() ? saved_option(opened, "data_dir") : place.data_dir;
  fs::path folder = fs::path(data_dir.empty() ? "datasets" : data_dir) / name;
  if (!name.empty()) {
    why = fmt::format("its dataset is not in {}", folder.string());
    if (fs::exists(folder)) {
      Found found = dataset_tokenizer(folder);
      if (rows_fit(rows, *found)) {  // else it is another vocabulary of the same name
        opened.tokenizer = found;
        return fmt::format("it has no tokenizer; that of its dataset, {}, is used",
                           folder.string());
      }
      why = fmt::format("{}, of its dataset's name, has {} tokens, the model {}", folder.string(),
                        found->vocab_size(), rows);
    }
  }
  fail(
      "{}: has no tokenizer, and {}. Name one with --tokenizer=gpt2, with --tokenizer=FOLDER (of "
      "tokenizer.json, of vocab.json and merges.txt, or of meta.json), or name a prepared dataset "
      "with --dataset",
      opened.source, why);
}

}  // namespace

std::string find_tokenizer_of(OpenedModel& opened, const TokenizerPlace& place) {
  check(place.tokenizer.empty() || place.dataset.empty(),
        "tokenizer and dataset both say where the tokenizer is: give one of them");
  std::string what;
  if (!place.tokenizer.empty() || !place.dataset.empty()) {
    fs::path folder = fs::path(place.data_dir.empty() ? "datasets" : place.data_dir);
    Found found = place.dataset.empty() ? tokenizer_at(place.tokenizer)
                                        : dataset_tokenizer(folder / place.dataset);
    what = place.dataset.empty() ? "--tokenizer=" + place.tokenizer : "--dataset=" + place.dataset;
    check(!opened.tokenizer || *opened.tokenizer == *found,
          "{}: has a tokenizer of its own, of {} tokens, and that of {}, of {}, makes other ids; "
          "leave the option out",
          opened.source, opened.tokenizer ? opened.tokenizer->vocab_size() : 0, what,
          found->vocab_size());
    if (!opened.tokenizer) opened.tokenizer = found;
  } else if (!opened.tokenizer_error.empty()) {
    fail("{}. Without it there is no text: name the tokenizer that goes with {} with --tokenizer",
         opened.tokenizer_error, opened.source);
  } else if (!opened.tokenizer) {
    return from_its_dataset(opened, place);
  }
  check_tokenizer(opened, *opened.tokenizer);
  return "";
}

}  // namespace folio
