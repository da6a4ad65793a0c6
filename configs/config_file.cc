// How OptionTable reads config files.
#include <toml++/toml.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "configs/option_table.h"
#include "configs/option_text.h"
#include "configs/python_config.h"
#include "core/check.h"
#include "core/text/nearest.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

// `~` and `~/x` in a path; `place` for messages.
std::string with_home(const std::string& path, const std::string& place) {
  if (!path.starts_with('~')) return path;
  check(path.size() == 1 || path[1] == '/',
        "{}: {}: folio knows ~/ as your home folder, but not another's; write the path in full (or "
        "./{} for a name that starts so)",
        place, path, path);
  const char* home = std::getenv("HOME");
  check(home && *home, "{}: {}: the environment variable HOME, which ~ stands for, is not set",
        place, path);
  return home + path.substr(1);
}

// PREFIX/share/folio for the program PREFIX/bin/folio: below it the config files that came with it
// have the names of the source tree.
fs::path installed_files() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return program.parent_path().parent_path() / "share" / "folio";
}

// The path itself, or of the installed file of that name where there is no such file here.
std::string here_or_installed(const std::string& path) {
  std::error_code error;
  const fs::path installed = installed_files() / path;
  const bool elsewhere = fs::path(path).is_relative() && !fs::exists(path, error) &&
                         fs::is_regular_file(installed, error);
  return elsewhere ? installed.string() : path;
}

// What the user may have meant by a config file that is not there: ends the sentence.
std::string instead_of(const std::string& path) {
  if (path.find('=') != path.npos) return fmt::format("; for an option write --{}", path);
  std::vector<std::string> names, paths;
  std::string parent = fs::path(path).parent_path().string();
  for (const fs::path& folder : {fs::path(parent.empty() ? "." : parent), fs::path("configs"),
                                 installed_files() / "configs"}) {
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(folder, missing)) {
      if (entry.path().extension() != ".toml" && entry.path().extension() != ".py") continue;
      names.push_back(entry.path().filename());
      paths.push_back(entry.path().lexically_normal());
    }
  }
  std::string known = nearest(fs::path(path).filename().string(), names);
  if (known.empty()) return "";
  return fmt::format("; did you mean {}?",
                     paths[size_t(std::ranges::find(names, known) - names.begin())]);
}

std::string content_of(const std::string& path) {
  std::error_code error;
  check(fs::exists(path, error), "{}: there is no such config file{}", path, instead_of(path));
  std::ifstream file(path, std::ios::binary);
  file.peek();  // a folder opens, but cannot be read
  check(file.is_open() && !file.bad(), "{}: the config file cannot be read", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string shown_node(const toml::node& node) {
  std::ostringstream out;
  node.visit([&](const auto& typed) { out << typed; });
  return out.str();
}

OptionValue value_from_node(const toml::node& node, const std::string& place) {
  if (auto boolean = node.as_boolean()) return boolean->get();
  if (auto integer = node.as_integer()) return integer->get();
  if (auto number = node.as_floating_point()) return number->get();
  if (auto text = node.as_string()) return text->get();
  fail("{}: expected true or false, a number or text, got {}", place, shown_node(node));
}

// A number as the file has it; empty for other values. Columns count characters, not bytes.
std::string written_number(const std::vector<std::string>& lines, const toml::node& node) {
  const toml::source_region& source = node.source();
  bool number = node.is_integer() || node.is_floating_point();
  if (!number || source.begin.line == 0 || source.begin.line > lines.size()) return "";
  const std::string& line = lines[source.begin.line - 1];
  size_t begin = 0;
  for (size_t column = 1; begin < line.size(); ++begin) {
    bool first_byte = (line[begin] & 0xc0) != 0x80;
    if (first_byte && column++ == source.begin.column) break;
  }
  return line.substr(begin, line.find_first_of(" \t\r,]}#", begin) - begin);
}

std::vector<std::string> lines_of(const std::string& content) {
  std::vector<std::string> lines;
  std::istringstream in(content);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

void OptionTable::set_by_user(const std::string& name, OptionValue value, const std::string& where,
                              std::string_view written) {
  const Option* option = find(name, where);
  auto* text = std::get_if<std::string>(&value);
  if (option && text && option->path_after && text->starts_with(*option->path_after)) {
    size_t size = option->path_after->size();
    *text =
        text->substr(0, size) + with_home(text->substr(size), fmt::format("{}: {}", where, name));
  }
  set(name, value, where, written);
}

void OptionTable::read_config(const std::string& given_path) {
  std::string path = here_or_installed(with_home(given_path, "the config file"));
  std::string content = content_of(path);
  bool python = fs::path(path).extension() == ".py";
  python ? read_python(path, content) : read_toml(path, content);
}

void OptionTable::read_python(const std::string& path, const std::string& content) {
  auto wanted = [&](const std::string& name, const std::string& where) {
    return find(name, where) != nullptr;
  };
  for (const Assignment& line : read_assignments(content, path, values(), wanted)) {
    bool text = std::holds_alternative<std::string>(line.value);
    set_by_user(line.name, line.value, line.where, text ? "" : line.written);
  }
}

void OptionTable::read_toml(const std::string& path, const std::string& content) {
  // Every dot in a key is one more level, on which toml++ 3.3 calls itself.
  check(
      std::ranges::count(content, '.') <= 5000,
      "{}: has more than 5000 dots, so it is no config file; a long text belongs in a file of its "
      "own",
      path);
  toml::table table;
  try {
    table = toml::parse(content, path);
  } catch (const toml::parse_error& error) {
    fail("{}:{}: not valid TOML: {}", path, error.source().begin.line, error.description());
  }
  std::vector<std::string> lines = lines_of(content);
  for (const auto& [key, node] : table) {
    std::string name(key), where = fmt::format("{}:{}", path, key.source().begin.line);
    const Option* option = find(name, where);
    if (!option) continue;
    bool takes_list = std::holds_alternative<std::vector<std::string>*>(option->value);
    auto set_one = [&](const toml::node& value) {
      set_by_user(name, value_from_node(value, fmt::format("{}: {}", where, name)), where,
                  written_number(lines, value));
    };
    const toml::array* list = takes_list ? node.as_array() : nullptr;
    if (!list) set_one(node);
    for (size_t i = 0; list && i < list->size(); ++i) set_one((*list)[i]);
  }
}

}  // namespace folio
