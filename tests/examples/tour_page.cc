#include "tests/examples/tour_page.h"

#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace folio {
namespace {

std::vector<std::string> matches_of(const std::string& text, const std::regex& pattern) {
  return {std::sregex_token_iterator(text.begin(), text.end(), pattern), {}};
}

bool lines_alike(const std::string& shown, const std::string& printed) {
  static const std::regex decimal(R"(-?\d+\.\d+(e[-+]\d+)?)"), space(R"(\s+)"), end(R"(\s+$)");
  auto without_numbers = [&](const std::string& line) {
    const std::string words = std::regex_replace(line, decimal, "#");
    return std::regex_replace(std::regex_replace(words, end, ""), space, " ");
  };
  if (without_numbers(shown) != without_numbers(printed)) return false;
  const auto expected = matches_of(shown, decimal), found = matches_of(printed, decimal);
  for (size_t i = 0; i < expected.size(); ++i)
    if (expected[i].find('e') != std::string::npos &&
        std::stod(found[i]) > 10 * std::stod(expected[i]))
      return false;
  return true;
}

using Line = std::vector<std::string>::const_iterator;

bool alike(Line shown, Line shown_end, Line printed, Line printed_end) {
  if (shown == shown_end) return printed == printed_end;
  if (*shown == "...")
    return alike(shown + 1, shown_end, printed, printed_end) ||
           (printed != printed_end && alike(shown, shown_end, printed + 1, printed_end));
  return printed != printed_end && lines_alike(*shown, *printed) &&
         alike(shown + 1, shown_end, printed + 1, printed_end);
}

}  // namespace

std::string Block::text() const {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::vector<Block> blocks_of(const std::string& page) {
  static const std::regex mark("<!-- test: (\\w+) -->");
  std::vector<Block> blocks;
  bool inside = false;
  std::string before;
  for (const std::string& line : lines_of(page)) {
    if (line.starts_with("```")) {
      inside = !inside;
      std::smatch mode;
      if (inside) blocks.push_back({line.substr(3), "", {}});
      if (inside && std::regex_match(before, mode, mark)) blocks.back().mode = mode[1];
    } else if (inside) {
      blocks.back().lines.push_back(line);
    }
    before = line;
  }
  return blocks;
}

std::vector<Command> commands_of(const std::vector<Block>& blocks) {
  std::vector<Command> commands;
  for (const Block& block : blocks) {
    if (block.language != "console") continue;
    for (const std::string& line : block.lines)
      if (line.starts_with("$ "))
        commands.push_back({line.substr(2), block.mode, {}});
      else
        commands.back().output.push_back(line);
  }
  return commands;
}

std::vector<Place> places_of(const std::string& page) {
  static const std::regex link(R"(\]\(([^)\s#]+)\)(:((\s+`[^`]+`,?)+))?)"), name("`([^`]+)`");
  std::vector<Place> places;
  for (std::sregex_iterator at(page.begin(), page.end(), link), end; at != end; ++at) {
    Place& place = places.emplace_back(Place{(*at)[1], {}});
    const std::string names = (*at)[3];
    for (std::sregex_token_iterator n(names.begin(), names.end(), name, 1), last; n != last; ++n)
      place.names.push_back(*n);
  }
  return places;
}

bool prints_alike(const std::vector<std::string>& shown, const std::vector<std::string>& printed) {
  return alike(shown.begin(), shown.end(), printed.begin(), printed.end());
}

std::map<std::string, std::string> patched(const std::vector<std::string>& diff,
                                           const std::string& folder) {
  std::map<std::string, std::string> files;
  std::string path, before, after;
  auto put_hunk = [&] {
    if (before.empty() && after.empty()) return;
    std::string& text = files.at(path);
    const size_t at = text.find(before);
    if (at == std::string::npos || text.find(before, at + 1) != std::string::npos)
      throw std::runtime_error("in " + path + " not once:\n" + before);
    text.replace(at, before.size(), after);
    before.clear(), after.clear();
  };
  for (const std::string& line : diff) {
    if (line.starts_with("--- ") || line.starts_with("@@")) {
      put_hunk();
    } else if (line.starts_with("+++ b/")) {
      path = line.substr(6);
      files[path] = read_text(folder + "/" + path);
    } else {
      const std::string content = line.empty() ? "\n" : line.substr(1) + "\n";
      if (!line.starts_with("+")) before += content;
      if (!line.starts_with("-")) after += content;
    }
  }
  put_hunk();
  return files;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace folio
