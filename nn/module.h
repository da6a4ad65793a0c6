#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/weight.h"

namespace folio {

// A learned Tensor: f32 (f64 in gradient checks), a leaf of the tape.
using Parameter = Tensor;

// A part of a model: it owns parameters and other modules, each registered in its constructor under
// Hugging Face's GPT-2 name.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // Every parameter once, in the order of registration, under its full name
  // ("transformer.h.0.attn.c_attn.weight"). That of a packed weight has a shape alone.
  using Visitor = std::function<void(const std::string& name, Parameter& parameter)>;
  void parameters(const Visitor& visit, const std::string& prefix = "");
  // Of these the matrices that activations are multiplied by, which can be packed.
  using WeightVisitor = std::function<void(const std::string& name, Weight& weight)>;
  void weights(const WeightVisitor& visit, const std::string& prefix = "");
  // Of these the matrices between hidden layers, which neither embed tokens nor give logits; `rows`
  // are those of each of the maps that lie in one, one below the other (Linear).
  using HiddenVisitor =
      std::function<void(const std::string& name, const std::vector<int64_t>& rows)>;
  void hidden_matrices(const HiddenVisitor& visit, const std::string& prefix = "") const;
  // Lays every weight out for inference, and gives its dense memory back: the model can do nothing
  // but inference from then on.
  void pack(WeightFormat format);

 protected:
  // Registers `parameter` as `name` with a shape alone, no memory: the model that owns it draws or
  // loads it, or packs what it loads.
  void add(const std::string& name, Parameter& parameter, Shape shape);
  // The same with values to start from.
  void add(const std::string& name, Parameter& parameter, Array values);
  void add(const std::string& name, Weight& weight, Shape shape);
  // The same for a matrix between hidden layers, [sum of rows, in].
  void add_hidden(const std::string& name, Weight& weight, std::vector<int64_t> rows, int64_t in);
  void add(const std::string& name, Module& module);

 private:
  std::vector<std::pair<std::string, Parameter*>> parameters_;
  std::vector<std::pair<std::string, Weight*>> weights_;
  std::vector<std::pair<std::string, std::vector<int64_t>>> hidden_;
  std::vector<std::pair<std::string, Module*>> modules_;
};

}  // namespace folio
