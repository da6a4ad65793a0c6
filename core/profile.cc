#include "core/profile.h"

#include <algorithm>
#include <map>

#include "core/backend.h"

namespace folio {

Profiler::Profiler(Device device) : device_(device), machine_(backend(device)->machine) {
  machine_.marks();  // of nobody any more
  active_ = this;
}

Profiler::~Profiler() { active_ = nullptr; }

void Profiler::begin(Device device, const Caller& caller) {
  if (!(device == device_) || depth_++ > 0) return;
  arrays_.clear();
  calls_.push_back({.cost = {.name = short_name(caller.function_name()), .calls = 1}});
  machine_.mark();
}

void Profiler::end(Device device) {
  if (!(device == device_) || --depth_ > 0) return;
  machine_.mark();
}

void Profiler::touched(const Array& x) {
  if (depth_ == 0 || !(x.device() == device_) || calls_.back().bytes_are_said) return;
  const auto array = std::pair(static_cast<const void*>(x.place()), x.bytes());
  if (std::ranges::find(arrays_, array) != arrays_.end()) return;
  arrays_.push_back(array);
  calls_.back().cost.bytes += double(array.second);
}

void Profiler::add_flops(double flops) {
  if (depth_ > 0) calls_.back().cost.flops += flops;
}

void Profiler::set_bytes(double bytes) {
  if (depth_ == 0 || calls_.back().bytes_are_said) return;
  calls_.back().cost.bytes = bytes;
  calls_.back().bytes_are_said = true;
}

Profile Profiler::result() {
  const std::vector<double> marks = machine_.marks();
  std::map<std::string, OperationTime> by_name;
  for (size_t i = 0; i < calls_.size(); ++i) {
    const OperationTime& cost = calls_[i].cost;
    if (cost.bytes == 0) continue;  // nothing that the device does: a block of memory, say
    OperationTime& sum = by_name[cost.name];
    sum.name = cost.name;
    sum.calls += 1;
    sum.bytes += cost.bytes;
    sum.flops += cost.flops;
    sum.seconds += marks.at(2 * i + 1) - marks.at(2 * i);
  }
  Profile profile;
  for (auto& [name, time] : by_name) profile.operations.push_back(time);
  std::ranges::stable_sort(profile.operations, std::greater(), &OperationTime::seconds);
  if (!marks.empty()) profile.seconds = marks.back() - marks.front();
  return profile;
}

Profile profile(Device device, const std::function<void()>& work) {
  Profiler profiler(device);
  work();
  return profiler.result();
}

std::string short_name(std::string_view function) {
  std::string name(function);
  for (std::string_view noise : {"(anonymous namespace)::", "{anonymous}::", "folio::"})
    for (size_t at; (at = name.find(noise)) != std::string::npos;) name.erase(at, noise.size());
  const bool within = name.find("lambda") != std::string::npos ||  // as GCC and as Clang write it
                      name.find("(anonymous class)") != std::string::npos;
  name.resize(std::min(name.find('('), name.size()));
  const size_t type = name.rfind(' ');  // of the result
  if (type != std::string::npos) name.erase(0, type + 1);
  return within ? name + ", gradient" : name;
}

}  // namespace folio
