#include "data/download/git_blob.h"

#include <openssl/evp.h>

#include <memory>

#include "core/check.h"

namespace folio {

std::string git_blob_sha1(std::string_view bytes) {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  std::string head = fmt::format("blob {}", bytes.size());
  unsigned char digest[20];
  bool done = context && EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr) == 1 &&
              EVP_DigestUpdate(context.get(), head.c_str(), head.size() + 1) == 1 &&
              EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1 &&
              EVP_DigestFinal_ex(context.get(), digest, nullptr) == 1;
  check(done, "OpenSSL cannot compute SHA-1: is its default provider there?");
  std::string text;
  for (unsigned char byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace folio
