#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "core/weight_format.h"
#include "data/hdf5/checkpoint_file.h"
#include "nn/gpt.h"

namespace folio {

// A model for inference alone, its matrices as `folio quantize` leaves them. What model_file.h says
// of a model's file holds, but the attribute "weights" names the matrices' format, and they are
//   bfloat16    tensors "model/NAME", bf16 [N, K]
//   int8, int4  tensors "packed/NAME", int8, in the layout of the attribute "packed_layout"
// which any Backend reads, on any processor.

// The format of the matrices in `file`; none for a model in f32. Throws Error for another name.
std::optional<WeightFormat> quantized_weights(const CheckpointFile& file);

// `model` as such a file, in bf16, int8 or int4: its f32 matrices go one by one, and it can do
// nothing more. `progress` hears how many bytes of f32 are done, after each matrix.
CheckpointFile quantize(Gpt& model, WeightFormat format,
                        const std::function<void(int64_t done)>& progress = {});

// The packed model, on `device`, of a file with quantized_weights: the bits that packing the f32
// model gives, without any f32 matrix on the way. Throws Error, naming the tensor, before anything
// is allocated that the file's own tensors are not large enough for.
std::unique_ptr<Gpt> load_quantized(const CheckpointFile& file, Device device);
// The same without a copy: its weights are the file's arrays, which are no longer in `file`.
std::unique_ptr<Gpt> take_quantized(CheckpointFile& file, Device device);

}  // namespace folio
