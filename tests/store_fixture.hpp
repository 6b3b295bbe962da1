/// @file
/// What the tests of the store share: a folder, files as bytes, refusals, children.
#pragma once

#include "cleave/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace cleave::testing {

/// A folder of its own for a test, and what is in it.
class StoreTest : public ::testing::Test {
protected:
  StoreTest() { std::filesystem::create_directories(folder_); }
  ~StoreTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::filesystem::path in_folder(const std::string& name) const {
    return folder_ / name;
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      names.push_back(entry.path().filename());
    return names;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("store_test." + std::to_string(getpid()));
  const std::filesystem::path file_ = folder_ / "run.h5";
};

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

/// The Error that `work` ends with.
template <class Work>
Error error_of(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::wrong_answer, ""};
}

inline void expect_refusal(const Error& error, const std::filesystem::path& file,
                           const std::string& words) {
  EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
  EXPECT_THAT(error.message(), ::testing::HasSubstr(words));
  EXPECT_EQ(error.place().file, file.string());
}

/// Runs `work` in a child of this process; the status that it returned, -1 if it crashed or threw.
template <class Work>
int status_of_child(Work work) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      _exit(work());
    } catch (...) {
      abort(); // the tests to come are the parent's
    }
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} // namespace cleave::testing
