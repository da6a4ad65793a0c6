#pragma once
#include <span>
#include <string>

namespace folio {

// Where systems keep the certificates that they trust, in one file each: Debian's first.
std::span<const char* const> certificate_files();

// The file of certificates for https: what the environment variable SSL_CERT_FILE names, else the
// first of `files` that is there, else "" (libcurl's own place, for its own message). A program
// that brings its libcurl to another system than that was built for needs to be told.
std::string find_certificates(std::span<const char* const> files = certificate_files());

}  // namespace folio
