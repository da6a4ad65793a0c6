#include "size_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/paths.h"
#include "tests/tree/seeded_tree.h"

namespace folio {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(SizeRules, TheTreeKeepsThem) { EXPECT_THAT(size_violations(source_dir()), IsEmpty()); }

class SizesOf : public SeededTree {
 protected:
  void add_lines(const std::string& file, int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i) text += "\n";
    add(file, text);
  }
  void add_units(const std::string& folder, int units) {
    for (int i = 0; i < units; ++i) add(folder + "/" + std::to_string(i) + ".cc", "");
  }
};

TEST_F(SizesOf, AFileHas400LinesAtMost) {
  for (std::string file : {"main.cc", "nn/gpt.cc", "data/text/utf8.h", "tests/nn/gpt_test.cc"}) {
    clear();
    add_lines(file, 400);
    EXPECT_THAT(size_violations(root), IsEmpty()) << file;
    add_lines(file, 401);
    EXPECT_THAT(size_violations(root), ElementsAre(file + ": 401 lines, at most 400"));
  }
}

TEST_F(SizesOf, AFolderHas15UnitsAtMost) {
  for (std::string folder : {"autograd", "data/text", "commands", "tests/core/backend"}) {
    clear();
    add_units(folder, 15);
    add(folder + "/0.h", "");  // the header of a source
    add(folder + "/notes.md", "");
    add_units(folder + "/below", 15);
    EXPECT_THAT(size_violations(root), IsEmpty()) << folder;
    add(folder + "/other.h", "");
    EXPECT_THAT(size_violations(root), ElementsAre(folder + ": 16 units, at most 15"));
  }
}

TEST_F(SizesOf, TheContractAndTheKernelsOfADeviceAreMore) {
  add_units("core/cpu", 40);
  EXPECT_THAT(size_violations(root), IsEmpty());
  add_units("core/backend", 20);
  add_units("core", 16);
  EXPECT_THAT(size_violations(root), IsEmpty());
  add_units("core", 17);
  add_units("core/cpu", 41);
  add_units("core/backend", 21);
  EXPECT_THAT(size_violations(root),
              ElementsAre("core: 17 units, at most 16", "core/backend: 21 units, at most 20",
                          "core/cpu: 41 units, at most 40"));
}

}  // namespace
}  // namespace folio
