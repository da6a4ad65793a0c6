#pragma once
#include <map>
#include <string>
#include <vector>

namespace folio {

// A fenced block of a page, with its language; "<!-- test: loose -->" on the line before gives it
// the mode "loose".
struct Block {
  std::string language, mode;
  std::vector<std::string> lines;

  std::string text() const;
};
std::vector<Block> blocks_of(const std::string& page);

// A "$ ..." line of a console block, and the lines after it.
struct Command {
  std::string line, mode;
  std::vector<std::string> output;
};
std::vector<Command> commands_of(const std::vector<Block>& blocks);

// A file that the page links, with the names in it that follow the link: "[a.cc](../a.cc): `f`,
// `g`".
struct Place {
  std::string path;  // as linked, from the folder of the page
  std::vector<std::string> names;
};
std::vector<Place> places_of(const std::string& page);

// Whether a program printed what the page shows: words and whole numbers alike, any decimal number
// for a decimal number, but one like 1.2e-07 at most ten times as large; "..." stands for any
// lines.
bool prints_alike(const std::vector<std::string>& shown, const std::vector<std::string>& printed);

// What a diff makes of files, by path. Throws std::runtime_error if a hunk does not fit.
std::map<std::string, std::string> patched(const std::vector<std::string>& diff,
                                           const std::string& folder);

std::string read_text(const std::string& path);
std::vector<std::string> lines_of(const std::string& text);

}  // namespace folio
