#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/hugging_face_config.h"
#include "checkpoint/stored_tensors.h"
#include "nn/gpt.h"

namespace folio {

// The weights of a folder of Hugging Face's, as its config.json says that they are laid out. Errors
// name the file and the tensor.
class HuggingFaceWeights {
 public:
  HuggingFaceWeights(const std::filesystem::path& file, const LayoutConfig& config);

  const std::string& path() const { return file_.path(); }
  std::string metadata(const std::string& key) const { return file_.metadata(key); }

  // Throws Error unless the file has tensors of the sizes that config.json claims: to be called
  // before a model of that size takes memory.
  void check_sizes() const;
  // Throws Error for a file without the head that config.json asks for, and for one whose head is
  // to be the token embedding but holds other numbers.
  void check_head() const;
  // Throws Error for a tensor that is neither a parameter of the model nor a buffer: what it does
  // in the model that was saved, folio would leave out.
  void check_all_known(Gpt& model) const;

  // The parameter `name`, of that shape, in f32. `parts` are the rows of each of the file's tensors
  // that lie below each other in it; empty: it is one tensor. With `may_be_mapped` the array may
  // lie in the file: it must not be written to.
  Array parameter(const std::string& name, const Shape& shape, const std::vector<int64_t>& parts,
                  bool may_be_mapped) const;

 private:
  bool is_gpt2() const { return std::holds_alternative<Gpt2Config>(config_); }
  bool is_tied() const;
  std::string embedding() const;  // its name in the layout
  std::string place(const std::string& name) const;
  bool has(const std::string& name) const { return file_.has(place(name)); }
  Array tensor(const std::string& name, const Shape& wanted) const;
  void check_shape(const std::string& name, const Shape& wanted) const;
  void check_sizes(const Gpt2Config& config) const;
  void check_sizes(const LlamaConfig& config) const;

  StoredTensors file_;
  const LayoutConfig& config_;
};

}  // namespace folio
