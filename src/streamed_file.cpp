#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "new_file.hpp"

#include <cerrno>
#include <cstdio>
#include <utility>

namespace cleave {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

} // namespace

struct StreamedFile::State {
  std::filesystem::path name;
  NewFile file;
  std::unique_ptr<std::FILE, CloseFile> stream;

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorKind::io, why, {name.string(), 0, {}});
  }
  void require(bool succeeded, const char* doing) const {
    if (!succeeded)
      fail(FileFailure(doing, errno).what());
  }
};

StreamedFile::StreamedFile(const std::filesystem::path& file)
    : state_(std::make_unique<State>(State{file, NewFile(file), nullptr})) {
  state_->stream.reset(std::fopen(state_->file.path().c_str(), "wbx"));
  state_->require(state_->stream != nullptr, "create it");
}

StreamedFile::StreamedFile(StreamedFile&&) noexcept = default;
StreamedFile& StreamedFile::operator=(StreamedFile&&) noexcept = default;
StreamedFile::~StreamedFile() = default;

void StreamedFile::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) // of which there may be no address
    return;
  state_->require(std::fwrite(bytes.data(), 1, bytes.size(), state_->stream.get()) == bytes.size(),
                  "write it");
}

void StreamedFile::publish() {
  state_->require(std::fclose(state_->stream.release()) == 0, "write it");
  try {
    state_->file.sync();
    state_->file.replace();
  } catch (const FileFailure& failure) {
    state_->fail(failure.what());
  }
}

} // namespace cleave
