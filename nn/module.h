#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "autograd/tensor.h"

namespace folio {

// A learned Tensor: f32 (f64 in gradient checks), a leaf of the tape.
using Parameter = Tensor;

// What a forward pass needs beside its input. One per model, shared by its modules.
struct Context {
  Device device;             // of the parameters and of all that is computed
  DType dtype = DType::f32;  // of the matrices and what they multiply
  bool training = false;     // dropout on
  bool recompute = false;    // in training, each block keeps its input alone and runs twice
  double dropout = 0;
  Generator random;  // draws the dropout masks

  // Of the residual stream: never narrower than f32, or what each block adds would be rounded away.
  DType residual_dtype() const { return dtype == DType::f64 ? DType::f64 : DType::f32; }
  Dropout next_dropout() {
    return training && dropout > 0 ? Dropout::with(dropout, random.next()) : Dropout{};
  }
};

struct PackOptions {
  WeightFormat format = WeightFormat::f32;
  // Give each matrix's memory back once it is packed: the parameter keeps its shape alone, and the
  // model can do nothing but inference from then on.
  bool release = false;
};

// A part of a model: it owns parameters and other modules, each registered in its constructor under
// Hugging Face's GPT-2 name.
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  using Visitor = std::function<void(const std::string& name, Parameter& parameter)>;
  // Every parameter once, in the order of registration, under its full name
  // ("transformer.h.0.attn.c_attn.weight").
  void parameters(const Visitor& visit, const std::string& prefix = "");
  // Lays every weight matrix out for inference; call again after a parameter changes.
  void pack(const PackOptions& options = {});
  // Every matrix that pack lays out, defined or not, under the full name of its parameter.
  using PackedVisitor =
      std::function<void(const std::string& name, Parameter& parameter, PackedWeight& packed)>;
  virtual void packed_weights(const PackedVisitor& visit, const std::string& prefix = "");

 protected:
  // Registers `parameter` as `name` with a shape alone, no memory: the model that owns it draws or
  // loads it, or packs what it loads.
  void add(const std::string& name, Parameter& parameter, Shape shape);
  // The same with values to start from.
  void add(const std::string& name, Parameter& parameter, Array values);
  void add(const std::string& name, Module& module);

 private:
  std::vector<std::pair<std::string, Parameter*>> parameters_;
  std::vector<std::pair<std::string, Module*>> modules_;
};

}  // namespace folio
