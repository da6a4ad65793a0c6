#include "data/files/sha256.h"

#include <openssl/evp.h>

#include "core/check.h"

namespace folio {
namespace {

EVP_MD_CTX* context(const void* p) { return static_cast<EVP_MD_CTX*>(const_cast<void*>(p)); }
void require(int ok) {
  check(ok == 1, "OpenSSL cannot compute SHA-256: is its default provider there?");
}

}  // namespace

void Sha256::Free::operator()(void* p) const { EVP_MD_CTX_free(context(p)); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  require(context_ && EVP_DigestInit_ex(context(context_.get()), EVP_sha256(), nullptr));
}

void Sha256::update(std::string_view bytes) {
  require(EVP_DigestUpdate(context(context_.get()), bytes.data(), bytes.size()));
}

Digest Sha256::digest() const {
  Sha256 copy;  // finishing ends a context
  require(EVP_MD_CTX_copy_ex(context(copy.context_.get()), context(context_.get())));
  Digest digest;
  require(EVP_DigestFinal_ex(context(copy.context_.get()), digest.data(), nullptr));
  return digest;
}

Digest sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.digest();
}

std::string hex(const Digest& digest) {
  std::string text;
  for (uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace folio
