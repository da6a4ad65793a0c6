#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/shape.h"

namespace folio {

// One tensor of a safetensors file: what its bytes are and where they lie.
struct SafetensorsEntry {
  std::string dtype;            // "F32", "F16", "BF16", "I64", ...: the format's own names
  Shape shape;                  // row-major
  uint64_t begin = 0, end = 0;  // bytes from the start of the file
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> tensors;
  std::map<std::string, std::string> metadata;
};

// Reads the header of a whole file: an u64 length, that many bytes of JSON, the tensors' bytes
// (https://huggingface.co/docs/safetensors). Throws Error that begins with `name` unless it is all
// in order: at most 100 MB of JSON, no name twice, every extent its shape's, the extents together
// the rest of the file without a gap or an overlap. Allocates no more than the JSON's size asks.
SafetensorsHeader read_safetensors_header(std::string_view file, const std::string& name);

// The header, padded to a multiple of 8 bytes, of a file that holds `tensors` one after another in
// their order, whose `begin` and `end` it fills in. It goes before the tensors' bytes.
std::string make_safetensors_header(std::vector<std::pair<std::string, SafetensorsEntry>>& tensors,
                                    const std::map<std::string, std::string>& metadata);

// Bytes an element; 0 for a dtype that the format does not know.
int64_t safetensors_dtype_size(std::string_view dtype);

}  // namespace folio
