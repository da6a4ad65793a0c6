#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/core/arrays.h"

namespace folio {

struct Sizes {
  int64_t B, T, H, D;
  int64_t kv_heads = 0;  // 0: H
  int64_t window = 0;
  int64_t C() const { return H * D; }
  Heads heads() const { return {H, kv_heads > 0 ? kv_heads : H, D, window}; }
  Shape packed() const { return {B, T, heads().columns()}; }
  Shape rows() const { return {B, T, C()}; }
};

inline double largest_error(const Array& actual, const std::vector<double>& expected) {
  std::vector<double> values = values_of(actual);
  EXPECT_EQ(values.size(), expected.size());
  double error = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    double difference = std::abs(values[i] - expected[i]) / (1 + std::abs(expected[i]));
    error = difference <= error ? error : difference;  // NaN counts
  }
  return error;
}

struct AttentionReference {
  std::vector<double> y, lse, dqkv;
};

// Attention and its gradient as the textbook has them, with the whole [T, T] matrix, in f64.
inline AttentionReference attention_reference(const Sizes& s, const std::vector<double>& qkv,
                                              const std::vector<double>& dy,
                                              const Dropout& dropout) {
  const int64_t T = s.T, D = s.D, C = s.C();
  const Heads heads = s.heads();
  AttentionReference r{std::vector<double>(size_t(s.B * T * C)),
                       std::vector<double>(size_t(s.B * s.H * T)),
                       std::vector<double>(size_t(s.packed().size()))};
  const double scale = 1 / std::sqrt(double(D));
  for (int64_t head = 0; head < s.B * s.H; ++head) {
    // Where the head's query (0), key (1) or value (2) of position t begins.
    auto packed = [&](int64_t part, int64_t t) {
      const int64_t h = part == 0 ? head % s.H : head % s.H / heads.shared();
      const int64_t first = part == 0 ? 0 : C + (part - 1) * heads.kv_channels();
      return size_t((head / s.H * T + t) * heads.columns() + first + h * D);
    };
    auto row = [&](int64_t t) { return size_t((head / s.H * T + t) * C + head % s.H * D); };
    for (int64_t i = 0; i < T; ++i) {
      std::vector<double> p(size_t(i + 1)), factor(size_t(i + 1)), dp(size_t(i + 1));
      double sum = 0, delta = 0;
      const int64_t first = s.window > 0 ? std::max<int64_t>(0, i - s.window + 1) : 0;
      for (int64_t j = first; j <= i; ++j) {
        double score = 0;
        for (int64_t c = 0; c < D; ++c) score += qkv[packed(0, i) + c] * qkv[packed(1, j) + c];
        sum += p[j] = std::exp(score * scale);
        bool keeps = !dropout.enabled() || dropout.keeps(uint64_t((head * T + i) * T + j));
        factor[j] = keeps ? dropout.scale() : 0;
      }
      r.lse[size_t(head * T + i)] = std::log(sum);
      for (int64_t j = first; j <= i; ++j) {
        p[j] /= sum;
        for (int64_t c = 0; c < D; ++c) {
          r.y[row(i) + c] += p[j] * factor[j] * qkv[packed(2, j) + c];
          r.dqkv[packed(2, j) + c] += p[j] * factor[j] * dy[row(i) + c];
          dp[j] += factor[j] * dy[row(i) + c] * qkv[packed(2, j) + c];
        }
        delta += p[j] * dp[j];
      }
      for (int64_t j = first; j <= i; ++j) {
        const double ds = p[j] * (dp[j] - delta) * scale;
        for (int64_t c = 0; c < D; ++c) {
          r.dqkv[packed(0, i) + c] += ds * qkv[packed(1, j) + c];
          r.dqkv[packed(1, j) + c] += ds * qkv[packed(0, i) + c];
        }
      }
    }
  }
  return r;
}

}  // namespace folio
