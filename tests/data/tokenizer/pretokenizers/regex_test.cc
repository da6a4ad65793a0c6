#include "data/tokenizer/pretokenizers/regex.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <regex.h>

namespace folio {
namespace {

// Oniguruma has functions of the same names: whoever calls POSIX's, another library for instance,
// must not get those.
TEST(Regex, LeavesPosixsFunctionsToTheCLibrary) {
  EXPECT_TRUE(Regex("b+", "a test").find("abbc", 0));  // so that Oniguruma is there
  for (const char* name : {"regcomp", "regexec", "regerror", "regfree"}) {
    Dl_info of_it{};
    ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, name), &of_it), 0) << name;
    EXPECT_THAT(of_it.dli_fname, testing::Not(testing::HasSubstr("onig"))) << name;
  }
  regex_t pattern;
  ASSERT_EQ(regcomp(&pattern, "x [0-9]+ y", REG_EXTENDED | REG_NOSUB), 0);
  EXPECT_EQ(regexec(&pattern, "x 123 y", 0, nullptr, 0), 0);
  regfree(&pattern);
}

}  // namespace
}  // namespace folio
