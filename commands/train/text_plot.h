#pragma once
#include <string>
#include <utility>
#include <vector>

namespace folio {

struct PlotCurve {
  std::string name;                               // shown as it is: see visible() in data/text
  std::vector<std::pair<double, double>> points;  // (x, y) in the order of x
};

struct PlotStyle {
  int width = 80;       // columns
  int height = 10;      // lines of the plot itself
  bool unicode = true;  // Braille patterns, 2 by 4 points a character; else ASCII
  bool color = false;   // ANSI colours tell the curves apart
};

// The curves in one frame as lines of text, with the ends of both axes and each curve's name beside
// its last point; `x_name` stands below. Points that are not finite are left out; "" where no curve
// has two.
std::string text_plot(const std::vector<PlotCurve>& curves, const std::string& x_name,
                      const PlotStyle& style);

// How standard output is to be drawn on: its width; Unicode where the locale of the environment is
// UTF-8; colours on a terminal unless NO_COLOR is set or it is dumb.
PlotStyle style_of_output();

}  // namespace folio
