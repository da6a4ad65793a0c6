#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace folio {

using Digest = std::array<uint8_t, 32>;

// FIPS 180-4's SHA-256 of bytes as they come.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  Digest digest() const;  // of what has come so far

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

Digest sha256(std::string_view bytes);
std::string hex(const Digest& digest);  // 64 lower-case digits

}  // namespace folio
