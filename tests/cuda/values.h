#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace folio {

// n numbers of a standard normal distribution, as E.
template <class E>
std::vector<E> normal(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution;
  std::vector<E> values(n);
  for (E& value : values) value = E(distribution(random));
  return values;
}

template <class E>
std::vector<double> doubles(const std::vector<E>& values) {
  return std::vector<double>(values.begin(), values.end());
}

// The largest difference, as a share of 1 + |expected|; NaN counts.
template <class E>
double error_of(const std::vector<E>& actual, const std::vector<double>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double error = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double difference = std::abs(double(actual[i]) - expected[i]);
    const double share = difference / (1 + std::abs(expected[i]));
    error = share <= error ? error : share;
  }
  return error;
}

}  // namespace folio
