#include "train/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "core/check.h"

namespace folio {
namespace {

constexpr LogColumn columns[] = {
    {"train_loss", &LogRow::train_loss, 6},
    {"val_loss", &LogRow::val_loss, 6},
    {"step_loss", &LogRow::step_loss, 6},
    {"lr", &LogRow::lr, -1},
    {"ms", &LogRow::ms, 2},
    {"grad_norm", &LogRow::grad_norm, 6},
    {"seconds", &LogRow::seconds, 2},
    {"update_ratio", &LogRow::update_ratio, -1},
    {"update_ratio_least", &LogRow::update_ratio_least, -1},
    {"update_ratio_most", &LogRow::update_ratio_most, -1},
};

std::string header() {
  std::string line = "iter";
  for (const LogColumn& column : columns) line += fmt::format(",{}", column.name);
  return line;
}

std::string line_of(const LogRow& row) {
  std::string line = fmt::format("{}", row.iter);
  for (const auto& [name, member, digits] : columns) {
    line += ',';
    const std::optional<double>& value = row.*member;
    if (value)
      line += digits < 0 ? fmt::format("{:g}", *value) : fmt::format("{:.{}f}", *value, digits);
  }
  return line;
}

// The parts of a line between its commas.
std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == line.npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

// The lines that end, without their ends.
std::vector<std::string_view> whole_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    lines.push_back(text.substr(0, end));
    if (lines.back().ends_with('\r')) lines.back().remove_suffix(1);
  }
  return lines;
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

// The rows of iterations before `first` as they are, but for the columns that they lack.
std::string rows_before(int64_t first, std::string_view log) {
  std::string kept;
  for (std::string_view line : whole_lines(log)) {
    auto iter = number_of<int64_t>(fields_of(line)[0]);
    if (!iter || *iter >= first) continue;
    const size_t fields = fields_of(line).size(), all = std::size(columns) + 1;
    kept.append(line).append(all > fields ? all - fields : 0, ',') += '\n';
  }
  return kept;
}

}  // namespace

std::span<const LogColumn> log_columns() { return columns; }

std::vector<LogRow> read_log(const std::filesystem::path& path) {
  const std::string text = read_file(path.string());
  std::vector<std::string_view> lines = whole_lines(text);
  if (lines.empty()) return {};
  check(fields_of(lines[0])[0] == "iter",
        "{}: is no log of a run: its first line does not begin with \"iter,\"", path.string());
  std::vector<const LogColumn*> places;  // by field; null: a column that is not known here
  for (std::string_view name : fields_of(lines[0])) {
    auto found = std::ranges::find(columns, name, &LogColumn::name);
    places.push_back(found == std::end(columns) ? nullptr : found);
  }
  std::vector<LogRow> rows;
  for (std::string_view line : std::span(lines).subspan(1)) {
    std::vector<std::string_view> fields = fields_of(line);
    auto iter = number_of<int64_t>(fields[0]);
    if (!iter) continue;
    LogRow& row = rows.emplace_back(LogRow{.iter = *iter});
    for (size_t i = 1; i < std::min(fields.size(), places.size()); ++i)
      if (places[i]) row.*places[i]->member = number_of<double>(fields[i]);
  }
  return rows;
}

LogFile::LogFile(const std::filesystem::path& path, int64_t first) : path_(path.string()) {
  const bool goes_on = first > 0 && std::filesystem::is_regular_file(path);
  write_file(path_, header() + "\n" + (goes_on ? rows_before(first, read_file(path_)) : ""));
  file_ = open_file(path_, O_WRONLY | O_APPEND);
}

void LogFile::add(const LogRow& row) {
  struct stat before {};
  bool known = retry_on_signal([&] { return fstat(file_.get(), &before); }) == 0;
  try {
    write_all(file_.get(), line_of(row) + "\n", path_);
  } catch (const Error&) {
    if (known) (void)!retry_on_signal([&] { return ftruncate(file_.get(), before.st_size); });
    throw;
  }
}

}  // namespace folio
