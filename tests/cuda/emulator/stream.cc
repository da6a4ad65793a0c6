#include "tests/cuda/emulator/stream.h"

#include <algorithm>
#include <vector>

#include "tests/cuda/emulator/device_memory.h"

namespace {

std::vector<CUstream_st*>& streams() {
  static std::vector<CUstream_st*> all;
  return all;
}

}  // namespace

CUstream_st::CUstream_st() { streams().push_back(this); }
CUstream_st::~CUstream_st() { std::erase(streams(), this); }

void CUstream_st::add(std::function<void()> work) {
  if (captures_) return captured_.push_back(std::move(work));
  work_.push_back(std::move(work));
  ++added_;
}

void CUstream_st::run_to(uint64_t end) {
  if (work_.empty() || added_ - work_.size() >= end) return;
  folio::emulator::DeviceMemory::Opened opened;
  while (!work_.empty() && added_ - work_.size() < end) {
    std::function<void()> next = std::move(work_.front());
    work_.pop_front();
    try {
      next();
    } catch (...) {
      folio::emulator::drop_everything();
      throw;
    }
  }
}

namespace folio::emulator {

std::recursive_mutex& runtime_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

bool is_stream(const CUstream_st* stream) {
  return std::find(streams().begin(), streams().end(), stream) != streams().end();
}

void run_everything() {
  for (size_t i = 0; i < streams().size(); ++i) streams()[i]->run_to(streams()[i]->added());
}

void drop_everything() {
  for (CUstream_st* stream : streams()) stream->drop();
}

}  // namespace folio::emulator
