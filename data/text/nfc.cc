#include "data/text/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "core/check.h"
#include "data/text/utf8.h"

namespace folio {
namespace {

struct Range {
  char32_t first, last;
};
// What later versions of Unicode, up to 17, gave a combining class, a decomposition, or a part in
// one.
constexpr Range newer[] = {
    {0x5c8, 0x5c9},     {0x7fd, 0x7fd},     {0x897, 0x89f},     {0x8ca, 0x8d3},
    {0x9fe, 0x9fe},     {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},
    {0x1715, 0x1715},   {0x1abf, 0x1af0},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},
    {0x105c9, 0x105c9}, {0x105d2, 0x105d2}, {0x105da, 0x105da}, {0x105e4, 0x105e4},
    {0x10d24, 0x10d27}, {0x10d69, 0x10d6d}, {0x10eab, 0x10eac}, {0x10ecb, 0x10ecf},
    {0x10ef0, 0x10efb}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x11382, 0x11391}, {0x113b8, 0x113d0},
    {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11930, 0x11938}, {0x1193d, 0x1193e},
    {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47},
    {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97},
    {0x11f41, 0x11f42}, {0x1611e, 0x1612f}, {0x16d63, 0x16d6a}, {0x16ff0, 0x16ff1},
    {0x1d127, 0x1d128}, {0x1d250, 0x1d252}, {0x1d25b, 0x1d25c}, {0x1d25f, 0x1d25f},
    {0x1d280, 0x1d281}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1e5ee, 0x1e5ef}, {0x1e6e3, 0x1e6e3},
    {0x1e6e6, 0x1e6e6}, {0x1e6ee, 0x1e6ef}, {0x1e6f5, 0x1e6f5}};
constexpr int most_parts = 4;  // of a canonical decomposition
constexpr auto decomposed = utf8proc_option_t(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
constexpr auto composed = utf8proc_option_t(UTF8PROC_COMPOSE | UTF8PROC_STABLE);

int decompose(char32_t c, utf8proc_int32_t* parts) {
  int boundary = 0;
  auto count =
      utf8proc_decompose_char(utf8proc_int32_t(c), parts, most_parts, decomposed, &boundary);
  check(0 < count && count <= most_parts, "utf8proc cannot decompose U+{:04X}", uint32_t(c));
  return int(count);
}

// By code point: whether it is a starter that stays as it is, whatever stands before it.
std::vector<bool> find_simple() {
  std::vector<bool> simple(0x110000, true);
  utf8proc_int32_t parts[most_parts];
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (0xd800 <= c && c < 0xe000) continue;
    if (utf8proc_get_property(utf8proc_int32_t(c))->combining_class != 0) simple[c] = false;
    int count = decompose(c, parts);
    if (count == 1 && parts[0] == utf8proc_int32_t(c)) continue;
    // What composes with something before it is some decomposition's later part.
    for (int i = 1; i < count; ++i) simple[size_t(parts[i])] = false;
    auto back = utf8proc_normalize_utf32(parts, count, composed);
    if (back != 1 || parts[0] != utf8proc_int32_t(c)) simple[c] = false;
  }
  for (Range range : newer)
    std::fill(simple.begin() + range.first, simple.begin() + range.last + 1, true);
  return simple;
}

bool is_newer(char32_t c) {
  auto after = std::ranges::upper_bound(newer, c, {}, &Range::first);
  return after != std::begin(newer) && c <= (after - 1)->last;
}

// Appends what `text`, which nothing around it changes, becomes.
void append_composed(std::string& out, std::string_view text) {
  std::vector<utf8proc_int32_t> points;
  utf8proc_int32_t parts[most_parts];
  for (size_t at = 0; at < text.size();) {
    Utf8 c = decode_utf8(text, at);
    points.insert(points.end(), parts, parts + decompose(c.code_point, parts));
    at += size_t(c.bytes);
  }
  auto combining = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto begin = points.begin(); begin != points.end();) {
    auto end = std::find_if(begin, points.end(), [&](auto c) { return combining(c) == 0; });
    std::ranges::stable_sort(begin, end, {}, combining);
    begin = end == points.end() ? end : end + 1;
  }
  auto count = utf8proc_normalize_utf32(points.data(), utf8proc_ssize_t(points.size()), composed);
  check(count >= 0, "utf8proc cannot compose a text");
  for (utf8proc_ssize_t i = 0; i < count; ++i) append_utf8(out, char32_t(points[size_t(i)]));
}

}  // namespace

std::optional<std::string> nfc(std::string_view text) {
  static const std::vector<bool> simple = find_simple();
  std::string out;
  size_t done = 0, starter = 0;  // bytes in `out`; where the last simple character is
  bool starter_is_newer = false;
  for (size_t at = 0; at < text.size();) {
    auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      at += std::max<size_t>(ascii_eights(text, at), 1);
      starter = at - 1;
      starter_is_newer = false;
      continue;
    }
    Utf8 c = decode_multibyte(text, at);
    if (simple[c.code_point]) {
      starter = at;
      at += size_t(c.bytes);
      starter_is_newer = is_newer(c.code_point);
      continue;
    }
    // From the starter, or after one that takes no part, to the next.
    if (starter_is_newer) starter = at;
    size_t end = at;
    while (end < text.size()) {
      Utf8 next = decode_utf8(text, end);
      if (simple[next.code_point]) break;
      end += size_t(next.bytes);
    }
    out += text.substr(done, starter - done);
    append_composed(out, text.substr(starter, end - starter));
    done = starter = at = end;
    starter_is_newer = false;
  }
  out += text.substr(done);
  if (done == 0 || out == text) return {};
  return out;
}

}  // namespace folio
