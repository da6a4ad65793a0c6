#include "commands/train/text_plot.h"

#include <langinfo.h>
#include <locale.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "core/process/output.h"
#include "core/text/columns.h"
#include "data/text/utf8.h"

namespace folio {
namespace {

// ANSI's blue, yellow, magenta, green, cyan, red: of curves in turn.
constexpr const char* colors[] = {"\033[34m", "\033[33m", "\033[35m",
                                  "\033[32m", "\033[36m", "\033[31m"};
constexpr const char* marks = "*o+x#@";  // likewise in ASCII

struct Frame {
  double x0 = std::numeric_limits<double>::infinity(), x1 = -x0, y0 = x0, y1 = -x0;
  void take(double x, double y) {
    x0 = std::min(x0, x), x1 = std::max(x1, x);
    y0 = std::min(y0, y), y1 = std::max(y1, y);
  }
};

struct Cell {
  unsigned dots = 0;  // of Braille: bit 0 upper left, as Unicode numbers them
  int curve = -1;     // whose colour or mark
};

// A grid of characters onto which curves are drawn.
class Canvas {
 public:
  Canvas(int columns, int rows, const PlotStyle& style, const Frame& frame)
      : columns_(columns),
        rows_(rows),
        style_(style),
        frame_(frame),
        cells_(size_t(columns * rows)) {}

  // From point to point, at each column of points once or more.
  void draw(int curve, const std::vector<std::pair<double, double>>& points) {
    for (size_t i = 0; i < points.size(); ++i) {
      auto [x, y] = place(points[i]);
      auto [from_x, from_y] = place(points[i > 0 ? i - 1 : 0]);
      const int steps = std::max({std::abs(x - from_x), std::abs(y - from_y), 1});
      for (int step = 0; step <= steps; ++step)
        set(curve, from_x + (x - from_x) * step / steps, from_y + (y - from_y) * step / steps);
    }
  }
  int row_of(double y) const { return place({frame_.x0, y}).second / dots_y(); }
  std::string row(int row) const {
    std::string line;
    int color = -1;
    for (int column = 0; column < columns_; ++column) {
      const Cell& cell = cells_[size_t(row * columns_ + column)];
      if (style_.color && cell.curve != color) {
        line += cell.curve < 0 ? "\033[0m" : colors[cell.curve % 6];
        color = cell.curve;
      }
      if (cell.curve < 0)
        line += ' ';
      else if (style_.unicode)
        append_utf8(line, char32_t(0x2800 + cell.dots));
      else
        line += marks[cell.curve % 6];
    }
    if (color >= 0) line += "\033[0m";
    return line;
  }

 private:
  int dots_x() const { return style_.unicode ? 2 : 1; }
  int dots_y() const { return style_.unicode ? 4 : 1; }
  std::pair<int, int> place(std::pair<double, double> point) const {
    auto along = [](double value, double low, double high, int dots) {
      const double share = high > low ? (value - low) / (high - low) : 0.5;
      return int(std::lround(std::clamp(share, 0.0, 1.0) * (dots - 1)));
    };
    return {along(point.first, frame_.x0, frame_.x1, columns_ * dots_x()),
            along(-point.second, -frame_.y1, -frame_.y0, rows_ * dots_y())};
  }
  void set(int curve, int x, int y) {
    static constexpr unsigned bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    Cell& cell = cells_[size_t(y / dots_y() * columns_ + x / dots_x())];
    cell.dots |= bits[y % dots_y()][x % dots_x()];
    cell.curve = curve;
  }

  const int columns_, rows_;
  const PlotStyle& style_;
  const Frame frame_;
  std::vector<Cell> cells_;
};

// What stands right of the plot: each name in the row of its curve's end, or the nearest free one.
std::vector<std::string> end_names(const std::vector<PlotCurve>& curves, const Canvas& canvas,
                                   const PlotStyle& style) {
  std::vector<std::string> names(static_cast<size_t>(style.height));
  for (size_t i = 0; i < curves.size(); ++i) {
    if (curves[i].points.empty()) continue;
    const double last = curves[i].points.back().second;
    const int wanted = canvas.row_of(last);
    for (int away = 0; away < 2 * style.height; ++away) {
      const int row = wanted + (away % 2 ? (away + 1) / 2 : -away / 2);
      if (row < 0 || row >= style.height || !names[size_t(row)].empty()) continue;
      std::string text = fmt::format("{} {:.4f}", curves[i].name, last);
      if (!style.unicode) text = fmt::format("{} {}", marks[i % 6], text);
      names[size_t(row)] = style.color ? colors[i % 6] + text + "\033[0m" : text;
      break;
    }
  }
  return names;
}

}  // namespace

std::string text_plot(const std::vector<PlotCurve>& all, const std::string& x_name,
                      const PlotStyle& style) {
  std::vector<PlotCurve> curves = all;
  Frame frame;
  size_t most = 0, longest = 0;
  for (PlotCurve& curve : curves) {
    std::erase_if(curve.points, [](auto& point) {
      return !std::isfinite(point.first) || !std::isfinite(point.second);
    });
    for (auto [x, y] : curve.points) frame.take(x, y);
    most = std::max(most, curve.points.size());
    longest = std::max(longest, columns_of(curve.name) + (style.unicode ? 7 : 9));
  }
  if (most < 2) return "";
  const std::string top = fmt::format("{:.2f}", frame.y1), low = fmt::format("{:.2f}", frame.y0);
  const size_t margin = std::max(top.size(), low.size());
  const int columns = std::max(10, style.width - int(margin + longest) - 4);
  Canvas canvas(columns, style.height, style, frame);
  for (size_t i = 0; i < curves.size(); ++i) canvas.draw(int(i), curves[i].points);
  const std::vector<std::string> names = end_names(curves, canvas, style);
  const char *side = style.unicode ? "│" : "|", *corner = style.unicode ? "└" : "+",
             *floor = style.unicode ? "─" : "-";
  std::string text;
  for (int row = 0; row < style.height; ++row) {
    const std::string& label = row == 0 ? top : row + 1 == style.height ? low : "";
    const std::string& name = names[size_t(row)];
    std::string line = fmt::format("{:>{}} {}{}{}{}", label, margin, side, canvas.row(row),
                                   name.empty() ? "" : " ", name);
    line.resize(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  text += std::string(margin + 1, ' ') + corner;
  for (int column = 0; column < columns; ++column) text += floor;
  const std::string begin = fmt::format("{:g}", frame.x0), end = fmt::format("{:g}", frame.x1);
  const size_t taken = begin.size() + end.size() + columns_of(x_name);
  const size_t gap = size_t(columns) > taken ? size_t(columns) - taken : 2;
  text += fmt::format("\n{}{}{}{}{}{}\n", std::string(margin + 2, ' '), begin,
                      std::string(gap / 2, ' '), x_name, std::string(gap - gap / 2, ' '), end);
  return text;
}

PlotStyle style_of_output() {
  PlotStyle style;
  style.width = std::min(terminal_width(STDOUT_FILENO), 100);
  // Looked up, not set: numbers and texts of the program are those of the "C" locale everywhere.
  if (locale_t locale = newlocale(LC_CTYPE_MASK, "", nullptr)) {
    style.unicode = std::string_view(nl_langinfo_l(CODESET, locale)) == "UTF-8";
    freelocale(locale);
  } else {
    style.unicode = false;
  }
  const char *no_color = std::getenv("NO_COLOR"), *term = std::getenv("TERM");
  style.color =
      output_is_terminal() && (!no_color || !*no_color) && term && std::string_view(term) != "dumb";
  return style;
}

}  // namespace folio
