// docs/cluster/Containerfile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "tests/examples/cluster/stand_ins.h"
#include "tests/examples/tour_page.h"
#include "tests/paths.h"

namespace folio {
namespace {

// A library that folio begins to use is missing from the image until its package is named there.
TEST(ClusterImage, HasThePackagesOfEveryLibraryThatFolioLoads) {
  if (run_line("dpkg-query --version && ldd --version && readelf --version").status != 0)
    GTEST_SKIP() << "no Debian system with binutils";
  const std::string image = read_text(source_path("docs/cluster/Containerfile"));
  const std::string of_image = image.substr(image.rfind("\nFROM "));
  const Result needed =
      run_line("for name in $(readelf -d '" + folio_program() +
               "' | sed -n 's/.*NEEDED.*\\[\\(.*\\)\\]/\\1/p'); do"
               "  file=$(ldd '" +
               folio_program() +
               "' | awk -v name=\"$name\" '$1 == name { print $3 }');"
               "  dpkg-query -S \"$(readlink -f \"$file\")\" 2>/dev/null | sed 's/:.*//';"
               "done");
  // In the image before, or with libdnnl2, which needs it.
  const std::set<std::string> in_base{"libc6", "libgcc-s1", "libstdc++6", "ocl-icd-libopencl1"};
  size_t packages = 0;
  for (const std::string& package : lines_of(needed.output)) {
    if (in_base.contains(package) || package.find("san") != std::string::npos) continue;
    if (package.starts_with("libcu") && package != "libcurl4") continue;  // of a build for GPUs
    ++packages;
    EXPECT_THAT(of_image,
                testing::ContainsRegex(
                    "[ \n]" + std::regex_replace(package, std::regex("[+.]"), "\\$&") + "[ \n]"));
  }
  EXPECT_GT(packages, 8u);
}

}  // namespace
}  // namespace folio
