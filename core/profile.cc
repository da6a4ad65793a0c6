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
  calls_.push_back({.caller = caller.function_name()});
  machine_.mark();
}

void Profiler::end(Device device) {
  if (!(device == device_) || --depth_ > 0) return;
  machine_.mark();
}

void Profiler::touched(Device device, const void* at, size_t bytes) {
  if (depth_ == 0 || !(device == device_) || calls_.back().bytes_are_said) return;
  const auto array = std::pair(at, bytes);
  if (std::ranges::find(arrays_, array) != arrays_.end()) return;
  arrays_.push_back(array);
  calls_.back().bytes += double(bytes);
}

void Profiler::add_flops(double flops) {
  if (depth_ > 0) calls_.back().flops += flops;
}

void Profiler::set_bytes(double bytes) {
  if (depth_ == 0 || calls_.back().bytes_are_said) return;
  calls_.back().bytes = bytes;
  calls_.back().bytes_are_said = true;
}

Profile Profiler::result() {
  const std::vector<double> marks = machine_.marks();
  std::map<std::string, OperationTime> by_name;
  for (size_t i = 0; i < calls_.size(); ++i) {
    const Call& call = calls_[i];
    if (call.bytes == 0) continue;  // nothing that the device does: a block of memory, say
    const std::string name = short_name(call.caller);
    OperationTime& sum = by_name[name];
    sum.name = name;
    sum.calls += 1;
    sum.bytes += call.bytes;
    sum.flops += call.flops;
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
