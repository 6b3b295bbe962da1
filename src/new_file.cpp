#include "new_file.hpp"

#include "cleave/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio> // renameat2
#include <cstring>
#include <random>
#include <string>
#include <utility>

namespace cleave {
namespace {

void require(bool succeeded, const char* doing) {
  if (!succeeded)
    throw FileFailure(doing, errno);
}

std::filesystem::path temporary_name(const std::filesystem::path& final_name) {
  std::random_device device;
  std::filesystem::path name = final_name;
  name += "." + std::to_string(device()) + std::to_string(device()) + ".tmp";
  return name;
}

Descriptor opened(const std::filesystem::path& path, int flags) {
  Descriptor descriptor(open(path.c_str(), flags | O_CLOEXEC, 0666));
  require(static_cast<bool>(descriptor), (flags & O_CREAT) != 0 ? "create it" : "open it");
  return descriptor;
}

void bring_to_disk(const Descriptor& descriptor) {
  // EINVAL: a file system on which directories are always in step.
  require(fsync(descriptor.get()) == 0 || errno == EINVAL, "bring it to the disk");
}

std::string mend_of(int error) {
  return error == ENOSPC || error == EDQUOT ? "; free some space, or name a file on another disk"
                                            : "";
}

/// A folder as /tmp is, and who owns what in it.
class Folder {
public:
  explicit Folder(const std::filesystem::path& file) {
    const auto parent = file.parent_path();
    shared_ = stat(parent.empty() ? "." : parent.c_str(), &state_) == 0 &&
              (state_.st_mode & S_ISVTX) != 0 && (state_.st_mode & S_IWOTH) != 0;
  }
  [[nodiscard]] bool trusts(const struct stat& entry) const noexcept {
    return !shared_ || entry.st_uid == geteuid() || entry.st_uid == state_.st_uid;
  }

private:
  struct stat state_ {};
  bool shared_ = false;
};

Descriptor refused(int error) {
  errno = error;
  return {};
}

bool no_hard_links(int error) {
  return error == EPERM || error == ENOTSUP || error == ENOSYS || error == EMLINK;
}

} // namespace

FileFailure::FileFailure(const char* doing, int error)
    : std::runtime_error(std::string("cannot ") + doing + ": " + std::strerror(error) +
                         mend_of(error)),
      error_(error) {}

void write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    require(written >= 0 || errno == EINTR, "write it");
    bytes = bytes.subspan(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
}

NewFile::NewFile(const std::filesystem::path& final_name, bool durable)
    : final_(final_name), temporary_(temporary_name(final_name)), durable_(durable) {}

NewFile::NewFile(NewFile&& other) noexcept
    : final_(std::move(other.final_)), temporary_(std::exchange(other.temporary_, {})),
      durable_(other.durable_) {}

NewFile& NewFile::operator=(NewFile&& other) noexcept {
  std::swap(final_, other.final_);
  std::swap(temporary_, other.temporary_);
  std::swap(durable_, other.durable_);
  return *this;
}

NewFile::~NewFile() {
  if (!temporary_.empty())
    unlink(temporary_.c_str());
}

void NewFile::write(std::span<const std::byte> bytes) const {
  const Descriptor descriptor = opened(temporary_, O_WRONLY | O_CREAT | O_EXCL);
  write_all(descriptor.get(), bytes);
  if (durable_)
    bring_to_disk(descriptor);
}

void NewFile::sync() const {
  bring_to_disk(opened(temporary_, O_RDONLY));
}

void NewFile::sync_directory() const {
  if (!durable_)
    return;
  const auto parent = final_.parent_path();
  bring_to_disk(opened(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY));
}

void NewFile::publish() {
  // rename() would overwrite a file that has appeared since anybody looked; link() refuses.
  if (link(temporary_.c_str(), final_.c_str()) == 0)
    require(unlink(temporary_.c_str()) == 0, "remove its temporary name");
  else
    require(no_hard_links(errno) && renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD,
                                              final_.c_str(), RENAME_NOREPLACE) == 0,
            "give it its name");
  temporary_.clear();
  sync_directory();
}

void NewFile::replace() {
  require(rename(temporary_.c_str(), final_.c_str()) == 0, "give it its name");
  temporary_.clear();
  sync_directory();
}

void replace_with_text(const std::filesystem::path& file, std::string_view text) {
  try {
    NewFile made(file);
    made.write(std::as_bytes(std::span(text)));
    made.replace();
  } catch (const FileFailure& failure) {
    throw Error(ErrorKind::io, failure.what(), {file.string(), 0, ""});
  }
}

Descriptor open_output(const std::filesystem::path& file, int flags) {
  const int safe = (flags & ~O_TRUNC) | O_CREAT | O_CLOEXEC; // emptied when it is known whose it is
  const Folder folder(file);
  Descriptor opened(open(file.c_str(), safe | O_NOFOLLOW, 0666));
  struct stat state {};
  if (!opened && errno == ELOOP) {
    if (lstat(file.c_str(), &state) != 0)
      return {};
    if (!folder.trusts(state))
      return refused(EACCES);
    opened = Descriptor(open(file.c_str(), safe, 0666));
  } else if (opened && (fstat(opened.get(), &state) != 0 || !folder.trusts(state))) {
    return refused(EACCES);
  }
  if (opened && (flags & O_TRUNC) != 0 && fstat(opened.get(), &state) == 0 &&
      S_ISREG(state.st_mode) && ftruncate(opened.get(), 0) != 0)
    return {};
  return opened;
}

bool is_strangers(const std::filesystem::path& folder) {
  const std::filesystem::path name = folder.has_filename() ? folder : folder.parent_path();
  struct stat state {};
  return lstat(name.c_str(), &state) == 0 && !Folder(name).trusts(state);
}

bool is_named(const Descriptor& file, const std::filesystem::path& name) {
  struct stat opened {};
  struct stat named {};
  return fstat(file.get(), &opened) == 0 && stat(name.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

} // namespace cleave
