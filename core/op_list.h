#pragma once
#include <cstddef>
#include <tuple>
#include <type_traits>

namespace folio {

// Functions listed as the types of a std::tuple: a number, the place in the list, tells a Backend
// which one to run.

// Error: a list has no function at that place.
[[noreturn]] void fail_place(int place);

// Where Op stands in List. Does not compile for an Op that is not in it.
template <class List, class Op, int i = 0>
constexpr int place_in() {
  if constexpr (std::is_same_v<Op, std::tuple_element_t<size_t(i), List>>) {
    return i;
  } else {
    return place_in<List, Op, i + 1>();
  }
}

// Calls f(Op{}) for the Op at `place` of List. Throws Error for a place that List does not have.
template <class List, int i = 0, class Function>
decltype(auto) visit_place(int place, Function&& f) {
  if constexpr (i + 1 < int(std::tuple_size_v<List>)) {
    if (place != i) return visit_place<List, i + 1>(place, f);
  }
  if (place != i) fail_place(place);
  return f(std::tuple_element_t<size_t(i), List>{});
}

// Calls f(Op{}) for every Op of List, in order.
template <class List, class Function>
void for_each_op(Function&& f) {
  std::apply([&](auto... op) { (f(op), ...); }, List{});
}

}  // namespace folio
