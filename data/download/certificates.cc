#include "data/download/certificates.h"

#include <cstdlib>
#include <filesystem>

namespace folio {

std::span<const char* const> certificate_files() {
  static constexpr const char* files[] = {
      "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Arch
      "/etc/pki/tls/certs/ca-bundle.crt",                   // Fedora, RHEL 6
      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // RHEL 7 and later
      "/etc/ssl/ca-bundle.pem",                             // openSUSE
      "/etc/ssl/cert.pem",                                  // others
  };
  return files;
}

std::string find_certificates(std::span<const char* const> files) {
  const char* named = std::getenv("SSL_CERT_FILE");
  if (named && *named) return named;
  for (const char* file : files) {
    std::error_code missing;
    if (std::filesystem::exists(file, missing)) return file;
  }
  return "";
}

}  // namespace folio
