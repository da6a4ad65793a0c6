#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/check.h"

namespace folio {

// The message of the Error that `run` throws; fails the test when it throws none.
inline std::string message_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error, none was thrown";
  return "";
}

}  // namespace folio
