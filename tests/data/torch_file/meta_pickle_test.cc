#include "data/torch_file/meta_pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files/files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/torch_file/torch_file_writer.h"
#include "tests/message.h"

namespace folio {
namespace {

using namespace torch_writer;
using namespace std::string_literals;
using testing::AllOf;
using testing::HasSubstr;

// Keys that are ints.
std::string numbered(const std::vector<std::pair<int64_t, std::string>>& items) {
  std::string all = "}(";
  for (const auto& [id, character] : items) all += integer(id) + character;
  return all + "u";
}

// A meta.pkl of "\n", "a" and "é", each part of which a test may replace.
struct Meta {
  std::string vocab_size = integer(3);
  std::string itos = numbered({{0, text("\n")}, {1, text("a")}, {2, text("é")}});
  std::string stoi = dict({{"\n", integer(0)}, {"a", integer(1)}, {"é", integer(2)}});

  std::string bytes() const {
    return pickle(dict({{"vocab_size", vocab_size}, {"itos", itos}, {"stoi", stoi}}));
  }
};

std::string error(const std::string& bytes) {
  return error_of([&] { load_meta_pkl(bytes, "meta.pkl"); });
}

// The bytes are those of Python 3.11's pickle.dump(meta), with its protocol 4 and with 2, where
// chars = sorted("\n ab\u00e9\U0001f600") and meta is made as nanoGPT's prepare.py makes it.
TEST(MetaPickle, ReadsWhatNanogptWrites) {
  std::string four =
      "\x80\x04\x95j\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\nvocab_size\x94K\x06\x8c\x04itos\x94}"
      "\x94(K\x00\x8c\x01\n\x94K\x01\x8c\x01 \x94K\x02\x8c\x01\x61\x94K\x03\x8c\x01\x62\x94K\x04"
      "\x8c\x02\xc3\xa9\x94K\x05\x8c\x04\xf0\x9f\x98\x80\x94u\x8c\x04stoi\x94}\x94(h\x04K\x00h\x05"
      "K\x01h\x06K\x02h\x07K\x03h\x08K\x04h\tK\x05uu."s;
  std::string two =
      "\x80\x02}q\x00(X\n\x00\x00\x00vocab_sizeq\x01K\x06X\x04\x00\x00\x00itosq\x02}q\x03(K\x00X"
      "\x01\x00\x00\x00\nq\x04K\x01X\x01\x00\x00\x00 q\x05K\x02X\x01\x00\x00\x00\x61q\x06K\x03X\x01"
      "\x00\x00\x00\x62q\x07K\x04X\x02\x00\x00\x00\xc3\xa9q\x08K\x05X\x04\x00\x00\x00\xf0\x9f\x98"
      "\x80q\tuX\x04\x00\x00\x00stoiq\n}q\x0b(h\x04K\x00h\x05K\x01h\x06K\x02h\x07K\x03h\x08K\x04h\t"
      "K\x05uu."s;
  TemporaryFolder folder;
  for (const std::string& bytes : {four, two}) {
    write_file(folder / "meta.pkl", bytes);
    EXPECT_TRUE(*load_meta_pkl(folder / "meta.pkl") == CharTokenizer(U"\n abé😀"));
  }
  EXPECT_TRUE(*load_meta_pkl(Meta().bytes(), "meta.pkl") == CharTokenizer(U"\naé"));
}

TEST(MetaPickle, WhatDoesNotFitTogetherIsNamed) {
  EXPECT_EQ(error(Meta().bytes()), "");
  EXPECT_THAT(error(Meta{.vocab_size = integer(4)}.bytes()),
              HasSubstr("meta.pkl: \"vocab_size\" is 4, but \"itos\" has 3 characters"));
  EXPECT_THAT(error(Meta{.vocab_size = text("3")}.bytes()), HasSubstr("\"vocab_size\" should be"));
  EXPECT_THAT(
      error(Meta{.itos = numbered({{0, text("\n")}, {1, text("a")}, {3, text("é")}})}.bytes()),
      HasSubstr("\"itos\"'s key 3 is not within the ids of 3 characters"));
  EXPECT_THAT(
      error(Meta{.itos = numbered({{0, text("\n")}, {1, text("a")}, {1, text("é")}})}.bytes()),
      HasSubstr("\"itos\" has the id 1 twice"));
  EXPECT_THAT(
      error(Meta{.itos = numbered({{0, text("\n")}, {1, text("ab")}, {2, text("é")}})}.bytes()),
      HasSubstr("\"itos\"'s 1 should be one character, not the text \"ab\""));
  EXPECT_THAT(
      error(Meta{.itos = numbered({{0, text("")}, {1, text("a")}, {2, text("é")}})}.bytes()),
      HasSubstr("\"itos\"'s 0 should be one character"));
  EXPECT_THAT(
      error(Meta{.stoi = dict({{"\n", integer(0)}, {"a", integer(2)}, {"é", integer(1)}})}.bytes()),
      HasSubstr("\"stoi\" gives 'a' (U+0061) the id 2, which \"itos\" gives to 'é'"));
  EXPECT_THAT(error(Meta{.stoi = dict({{"a", integer(1)}})}.bytes()),
              HasSubstr("\"stoi\" has 1 characters, \"itos\" 3"));
  // In an order that no sorted() gives: a CharTokenizer would give other ids.
  EXPECT_THAT(error(Meta{.itos = numbered({{0, text("a")}, {1, text("\n")}, {2, text("é")}}),
                         .stoi = dict({{"a", integer(0)}, {"\n", integer(1)}, {"é", integer(2)}})}
                        .bytes()),
              AllOf(HasSubstr("meta.pkl: "), HasSubstr("sorted")));
}

TEST(MetaPickle, OtherPicklesAreRefusedAndNotRun) {
  EXPECT_THAT(error(""), HasSubstr("meta.pkl: "));
  EXPECT_THAT(error(pickle(list({}))), HasSubstr("meta.pkl should be a dict of vocab_size"));
  EXPECT_THAT(error(pickle(dict({{"vocab_size", integer(3)}}))), HasSubstr("has no \"itos\""));
  EXPECT_THAT(error(pickle(dict({{"itos", call(global("os", "system"), tuple({text("true")}))}}))),
              HasSubstr("os.system"));
  EXPECT_THAT(error(Meta{.itos = list({text("a")})}.bytes()),
              HasSubstr("\"itos\" should be a dict, not a list"));
}

}  // namespace
}  // namespace folio
