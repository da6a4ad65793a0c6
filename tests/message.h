#pragma once
#include <gtest/gtest.h>

#include <string>

#include "core/check.h"

namespace folio {

// The message of the Error that `run` throws; "" if it throws none.
template <class F>
std::string error_of(F&& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// The same, where one must be thrown: fails the test if none is.
template <class F>
std::string message_of(F&& run) {
  std::string message = error_of(run);
  if (message.empty()) ADD_FAILURE() << "expected an Error, none was thrown";
  return message;
}

}  // namespace folio
