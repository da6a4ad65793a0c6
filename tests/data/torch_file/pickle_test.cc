#include "data/torch_file/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/temporary_folder.h"
#include "tests/data/torch_file/torch_file_writer.h"
#include "tests/message.h"

namespace folio {
namespace {

using namespace torch_writer;
using namespace std::string_literals;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::string_view allowed[] = {"collections.OrderedDict", "torch.FloatStorage"};

Pickle parse(const std::string& bytes) { return Pickle(bytes, "x.pt", allowed); }
std::string error(const std::string& bytes) {
  return error_of([&] { parse(bytes); });
}

template <class T>
T value(const std::string& object) {
  return parse(pickle(object)).root().get<T>("it", "of another type");
}

// The bytes were made by Python 3.11: pickle.dumps(object, protocol).
TEST(Pickle, ReadsWhatPythonWrites) {
  // {"a": [1, -2, 70000, 2**40, -1.5], "b": (None, True), "é": {}} with protocol 2
  Pickle two = parse(
      "\x80\x02}q\x00(X\x01\x00\x00\x00\x61q\x01]q\x02(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00"
      "\x8a\x06\x00\x00\x00\x00\x00\x01G\xbf\xf8\x00\x00\x00\x00\x00\x00\x65X\x01\x00\x00\x00\x62q"
      "\x03N\x88\x86q\x04X\x02\x00\x00\x00\xc3\xa9q\x05}q\x06u."s);
  const auto& dict = two.root().get<PickleValue::Dict>("it", "a dict");
  ASSERT_EQ(dict.items.size(), 3u);
  const auto& numbers = find(dict, "a")->get<PickleValue::List>("a", "a list").items;
  ASSERT_EQ(numbers.size(), 5u);
  EXPECT_EQ(numbers[0]->get<int64_t>("", ""), 1);
  EXPECT_EQ(numbers[1]->get<int64_t>("", ""), -2);
  EXPECT_EQ(numbers[2]->get<int64_t>("", ""), 70000);
  EXPECT_EQ(numbers[3]->get<int64_t>("", ""), int64_t(1) << 40);
  EXPECT_EQ(numbers[4]->get<double>("", ""), -1.5);
  EXPECT_EQ(find(dict, "b")->get<PickleValue::Tuple>("b", "a tuple").items.size(), 2u);
  EXPECT_NE(find(dict, "é"), nullptr);
  EXPECT_EQ(find(dict, "c"), nullptr);
  // ["x", "x", OrderedDict()] with protocol 4: a frame, memoised texts, STACK_GLOBAL
  Pickle four = parse(
      "\x80\x04\x95)\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x01x\x94h\x01\x8c\x0b"
      "collections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94\x65."s);
  const auto& list = four.root().get<PickleValue::List>("it", "a list").items;
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0], list[1]);
  EXPECT_NE(list[2]->get_if<PickleValue::Dict>(), nullptr);
}

TEST(Pickle, IntegersOfEveryLength) {
  EXPECT_EQ(value<int64_t>("\x8a\x00"s), 0);
  EXPECT_EQ(value<int64_t>("\x8a\x01\xff"s), -1);
  EXPECT_EQ(value<int64_t>("\x8a\x02\xff\x00"s), 255);
  EXPECT_EQ(value<int64_t>("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80"s), INT64_MIN);
  EXPECT_THAT(error(pickle("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01"s)),
              HasSubstr("an integer of 9 bytes"));
}

TEST(Pickle, TheLastOfTwoValuesOfAKeyCounts) {
  Pickle both = parse(pickle(dict({{"a", integer(1)}, {"a", integer(2)}})));
  EXPECT_EQ(find(both.root().get<PickleValue::Dict>("", ""), "a")->get<int64_t>("", ""), 2);
}

// What runs code when Python loads it is refused by name, and nothing is called.
TEST(Pickle, NamesTheGlobalThatItRefuses) {
  EXPECT_THAT(error(pickle(call(global("os", "system"), tuple({text("touch /tmp/x")})))),
              AllOf(HasSubstr("x.pt"), HasSubstr("os.system"), HasSubstr("byte 2")));
  EXPECT_THAT(error("\x80\x04\x8c\x08"
                    "builtins\x8c\x04"
                    "eval\x93."s),
              HasSubstr("builtins.eval"));
  EXPECT_THAT(error(pickle(global("torch", "FloatStorage.__reduce__"))),
              HasSubstr("torch.FloatStorage.__reduce__"));
}

TEST(Pickle, NamesTheOpcodeThatItRefuses) {
  struct Case {
    std::string bytes, name;
  };
  for (const Case& refused :
       {Case{"(ios\nsystem\n", "INST"}, Case{"(o", "OBJ"}, Case{"))\x81", "NEWOBJ"},
        Case{"\x8f", "EMPTY_SET"}, Case{"I42\n", "INT"}, Case{"\x82\x01", "EXT1"},
        Case{"\xff", "unknown"}, Case{"N0", "POP"}})
    EXPECT_THAT(error(pickle(refused.bytes)), AllOf(HasSubstr("opcode " + refused.name)));
}

TEST(Pickle, ACallIsNotedDownAndNotMade) {
  Pickle noted = parse(pickle(call(global("torch", "FloatStorage"), tuple({integer(7)}))));
  const auto& made = noted.root().get<PickleValue::Call>("it", "a call");
  EXPECT_EQ(made.function, "torch.FloatStorage");
  EXPECT_EQ(made.arguments->get<PickleValue::Tuple>("", "").items.size(), 1u);
}

TEST(Pickle, DamageIsAnErrorWithItsPlace) {
  EXPECT_THAT(error(""), HasSubstr("not a pickle"));
  EXPECT_THAT(error("(dp0\n."), HasSubstr("not a pickle"));
  EXPECT_THAT(error("\x80\x06N."s), HasSubstr("protocol"));
  EXPECT_THAT(error("\x80\x02N"s), HasSubstr("byte 3"));
  EXPECT_THAT(error("\x80\x02."s), HasSubstr("one object"));
  EXPECT_THAT(error("\x80\x02NN."s), HasSubstr("one object"));
  EXPECT_THAT(error("\x80\x02(N."s), HasSubstr("one object"));
  EXPECT_THAT(error("\x80\x02X\xff\xff\xff\xff"
                    "a."s),
              HasSubstr("4294967295 bytes are wanted"));
  EXPECT_THAT(error(pickle(text("\xff"))), HasSubstr("UTF-8"));
  EXPECT_THAT(error(pickle("h\x05"s)), HasSubstr("object 5"));
  EXPECT_THAT(error(pickle("q\x05"s)), HasSubstr("none is left"));
  EXPECT_THAT(error(pickle("e")), HasSubstr("MARK"));
  EXPECT_THAT(error(pickle("NNa")), HasSubstr("a list is wanted, not None"));
  EXPECT_THAT(error(pickle("}(Nu")), HasSubstr("a key without a value"));
  EXPECT_THAT(error(pickle("N(\x85")), HasSubstr("none is left"));  // not across the mark
  EXPECT_THAT(error(pickle("ccollections\n")), HasSubstr("a line without end"));
  EXPECT_THAT(error(pickle(call(text("f"), ")"))), HasSubstr("the text \"f\" is called"));
  EXPECT_THAT(error(pickle("]Nb")), HasSubstr("an OrderedDict is wanted"));
}

// A million lists in each other end without a deep stack, and a list may hold itself.
TEST(Pickle, DeepAndCircularObjectsAreHarmless) {
  constexpr size_t depth = 1000000;
  parse(pickle(std::string(depth, ']') + std::string(depth - 1, 'a')));
  Pickle circle =
      parse(pickle("]q\x01h\x01"
                   "a"));
  const auto& list = circle.root().get<PickleValue::List>("", "").items;
  EXPECT_EQ(list[0], &circle.root());
}

}  // namespace
}  // namespace folio
