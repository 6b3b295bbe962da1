/// @file
/// What tests of input share: parameters of made-up workloads, and what a refusal says.
#pragma once

#include "cleave/error.hpp"
#include "cleave/workload.hpp"

#include <gtest/gtest.h>

#include <string>

namespace cleave::testing {

inline Parameter parameter(const std::string& name, ParameterType type, const std::string& value) {
  Parameter made;
  made.name = name;
  made.type = type;
  made.default_value = value;
  return made;
}

/// The message of the Error bad_input that `work` throws; "accepted" when it throws none.
template <class Work>
std::string refusal(Work work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    return error.what();
  }
  return "accepted";
}

} // namespace cleave::testing
