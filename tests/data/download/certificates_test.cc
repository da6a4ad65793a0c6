#include "data/download/certificates.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "data/files/files.h"
#include "tests/data/temporary_folder.h"

namespace folio {
namespace {

TEST(Certificates, AreTheFirstFileThatIsThereUnlessTheEnvironmentNamesOne) {
  const char* before = getenv("SSL_CERT_FILE");
  const std::string kept = before ? before : "";
  unsetenv("SSL_CERT_FILE");
  TemporaryFolder folder;
  const std::string missing = folder / "missing.pem", there = folder / "there.pem",
                    later = folder / "later.pem";
  write_file(there, "x");
  write_file(later, "x");
  const char* const files[] = {missing.c_str(), there.c_str(), later.c_str()};
  EXPECT_EQ(find_certificates(files), there);
  EXPECT_EQ(find_certificates(std::span(files).first(1)), "");
  setenv("SSL_CERT_FILE", "/elsewhere.pem", 1);
  EXPECT_EQ(find_certificates(files), "/elsewhere.pem");
  setenv("SSL_CERT_FILE", "", 1);
  EXPECT_EQ(find_certificates(files), there);
  before ? setenv("SSL_CERT_FILE", kept.c_str(), 1) : unsetenv("SSL_CERT_FILE");
}

}  // namespace
}  // namespace folio
